package telltale

import (
	"crypto/rand"
	"strings"
	"sync"
	"time"

	"github.com/oklog/ulid/v2"
)

// Ids are a prefix that names the noun and a ULID, 26 characters of Crockford
// base 32 that sort by the time of making. Ids made by one process rise
// strictly, so that rows are appended to an index and not spread over it.
// Each noun has its own type: a delivery's id cannot be passed for an event's.
type (
	ProjectID  string // prj_…
	WebhookID  string // whk_…
	EventID    string // evt_…
	DeliveryID string // dlv_…
	KeyID      string // key_…
	ReplayID   string // rpl_…
	NodeID     string // nod_…
	RequestID  string // req_…, one request that reached our own HTTP server
	OperatorID string // opr_…
	AuditID    string // aud_…
	ProfileID  string // prf_…
	ImportID   string // imp_…
	ErasureID  string // ers_…
	SourceID   string // src_…
)

const ulidLength = 26

// An id is bounded by prefix, underscore and ULID.
const (
	projectPrefix  = "prj_"
	webhookPrefix  = "whk_"
	eventPrefix    = "evt_"
	deliveryPrefix = "dlv_"
	keyPrefix      = "key_"
	nodePrefix     = "nod_"
	requestPrefix  = "req_"
	replayPrefix   = "rpl_"
	operatorPrefix = "opr_"
	auditPrefix    = "aud_"
	profilePrefix  = "prf_"
	importPrefix   = "imp_"
	erasurePrefix  = "ers_"
	sourcePrefix   = "src_"
)

func NewProjectID() ProjectID   { return ProjectID(newID(projectPrefix)) }
func NewWebhookID() WebhookID   { return WebhookID(newID(webhookPrefix)) }
func NewEventID() EventID       { return EventID(newID(eventPrefix)) }
func NewDeliveryID() DeliveryID { return DeliveryID(newID(deliveryPrefix)) }
func NewKeyID() KeyID           { return KeyID(newID(keyPrefix)) }
func NewNodeID() NodeID         { return NodeID(newID(nodePrefix)) }
func NewRequestID() RequestID   { return RequestID(newID(requestPrefix)) }
func NewReplayID() ReplayID     { return ReplayID(newID(replayPrefix)) }
func NewOperatorID() OperatorID { return OperatorID(newID(operatorPrefix)) }
func NewAuditID() AuditID       { return AuditID(newID(auditPrefix)) }
func NewProfileID() ProfileID   { return ProfileID(newID(profilePrefix)) }
func NewImportID() ImportID     { return ImportID(newID(importPrefix)) }
func NewErasureID() ErasureID   { return ErasureID(newID(erasurePrefix)) }
func NewSourceID() SourceID     { return SourceID(newID(sourcePrefix)) }

// ids is the one source of ULIDs in a process: strictly rising within a
// millisecond, which [ulid.MonotonicEntropy] gives only under a lock.
var ids = struct {
	sync.Mutex
	entropy *ulid.MonotonicEntropy
}{entropy: ulid.Monotonic(rand.Reader, 0)}

func newID(prefix string) string {
	var text [4 + ulidLength]byte
	copy(text[:], prefix)
	ids.Lock()
	u, err := ulid.New(ulid.Timestamp(time.Now()), ids.entropy)
	ids.Unlock()
	if err != nil {
		// crypto/rand never fails; 2^80 ids in one millisecond do not happen.
		panic("telltale: making an id: " + err.Error())
	}
	_ = u.MarshalTextTo(text[4:]) // fails only for a wrong length
	return string(text[:])
}

// ValidID reports whether id is the prefix of its noun, such as "evt_", and a ULID.
func ValidID(prefix, id string) bool {
	rest, ok := strings.CutPrefix(id, prefix)
	if !ok || len(rest) != ulidLength {
		return false
	}
	_, err := ulid.ParseStrict(rest)
	return err == nil
}
