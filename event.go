package telltale

import (
	"crypto/sha256"
	"strconv"
	"strings"
	"time"
)

// Event is one stored fact: something that happened to a message or a user.
// It is immutable, its payload above all: the bytes are rendered once and are
// the same on every attempt of every delivery.
type Event struct {
	ID        EventID // the webhook-id of every request that carries it
	ProjectID ProjectID
	Type      EventType
	Source    string // where it came in: "api", "trigger", …
	Test      bool   // a sample that Test sent; no webhook but the tested one got it
	// HardBounce is what the payload of bounced says, told apart for the store
	// that accepts it, and not stored.
	HardBounce bool

	OccurredAt time.Time // as the source says, else ReceivedAt
	ReceivedAt time.Time
	Sequence   int64 // rises within the project in the order of acceptance; gaps are allowed. Set by the store

	// Payload is what receivers get, and the fields below are read from it
	// once so that events can be found by them. Each is empty if unknown.
	Payload    []byte
	UserID     string // canonical: the number 123 and the string "123" are one user
	Email      string
	MessageID  string
	CampaignID string

	// What a source may know beyond the payload. It reaches receivers in
	// headers, and in the body of webhooks with extensions.
	URL               string // the link that was clicked
	IP                string // of the recipient
	Machine           *bool  // whether a machine opened or clicked; nil if unknown
	ProviderMessageID string
	ConversionEvent   string
	// Credit says of converted, if we found it, why the message is credited.
	// Receivers are not told, since the payload has no place for it.
	Credit Credit

	// CallerID is the caller's own id: within 30 days a second event with it
	// is not stored again. ContentHash is the hash of the input as it came,
	// and tells a repetition from a clash of ids.
	CallerID    string
	ContentHash [sha256.Size]byte
}

// ByMachine reports whether a machine is known to have made the event, such as
// a scanner that opens each message before its recipient does.
func (e *Event) ByMachine() bool { return e.Machine != nil && *e.Machine }

// Suppression says why messages to the user should not be sent after this; empty
// for most events.
func (e *Event) Suppression() Suppression {
	switch {
	case e.Type == Complained:
		return SuppressedComplained
	case e.HardBounce:
		return SuppressedBounced
	}
	return ""
}

// SentBody gives the bytes that a request carried, whose headers are head: the
// event's payload or, if the webhook had extensions at that time, the payload
// with them. The log does not keep the bytes twice: the length that the request
// declared tells which it was, and where there is none, whether the webhook has
// extensions now.
func (e *Event) SentBody(head []Header, extensions bool) []byte {
	extended := AppendExtensions(nil, e.Payload, Extensions{
		ID: e.ID, Source: e.Source, OccurredAt: e.OccurredAt, URL: e.URL, IP: e.IP, Machine: e.Machine,
	})
	for _, h := range head {
		if strings.EqualFold(h.Name, "Content-Length") {
			extensions = h.Value == strconv.Itoa(len(extended))
		}
	}
	if extensions {
		return extended
	}
	return e.Payload
}
