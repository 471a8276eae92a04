package feed

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"telltale.example/telltale"
)

// Event is what a provider says of one message to one recipient, in no dialect.
// What is unknown is left at its zero value.
type Event struct {
	Type telltale.EventType
	// Key tells it from every other event of the provider, and is the same when
	// it is sent again. Empty: it comes of the part that it stands in.
	Key        string
	OccurredAt time.Time
	Recipient  string // the address that was mailed

	ProviderMessageID string // the provider's own
	MessageID         string // the Message-Id, with or without angle brackets

	Bounce    BounceType // of bounced
	Code      int        // of bounced and failed: the reply's, three digits
	Reason    string     // of bounced and failed, behind the code
	UserAgent string     // of opened and clicked
	URL       string     // of clicked
	IP        string     // of the recipient
	Machine   *bool      // whether a machine opened or clicked

	// Meta is what the sender attached to the message, Tags what they marked it
	// with, and Subject what they wrote above it.
	Meta    object
	Tags    []string
	Subject string
}

// BounceType says whether there is sense in mailing the address again.
type BounceType string

const (
	Hard BounceType = "hard"
	Soft BounceType = "soft"
)

// key is how a repetition of the event is known: the provider's id, or else a
// hash of what it said. Another source of the same provider that gets the same
// event tells nothing new, either.
func (e *Event) key(p *Provider, part string, place int) string {
	key := e.Key
	if key == "" {
		sum := sha256.Sum256([]byte(part))
		key = hex.EncodeToString(sum[:16])
		if place > 0 {
			key += "#" + strconv.Itoa(place)
		}
	}
	if utf8.RuneCountInString(key) > maxKey || !utf8.ValidString(key) {
		sum := sha256.Sum256([]byte(key))
		key = hex.EncodeToString(sum[:16])
	}
	return p.Name + ":" + key
}

// idKey makes the key of an event that has no id of its own, of what tells it from
// every other: an id or a time, without which there is none, and the rest. It stays
// the same when the event is sent again in another request.
func idKey(id string, rest ...string) string {
	if id == "" {
		return ""
	}
	h := sha256.New()
	for _, part := range append([]string{id}, rest...) {
		fmt.Fprintf(h, "%d:%s,", len(part), part) // no two lists of parts read the same
	}
	return hex.EncodeToString(h.Sum(nil)[:16])
}

// maxKey leaves room for the provider's name within [telltale.MaxIDChars].
const maxKey = 200

// activity says in our words what the event does.
func (e *Event) activity(p *Provider, part string, place int) telltale.Activity {
	a := telltale.Activity{
		Type:       e.Type,
		CallerID:   e.key(p, part, place),
		OccurredAt: e.OccurredAt,

		ProviderMessageID: cut(telltale.CanonicalMessageID(e.ProviderMessageID), telltale.MaxIDChars),

		URL: e.URL, IP: e.IP, Machine: e.Machine,
	}
	switch e.Type {
	case telltale.Opened, telltale.Clicked:
		setText(&a.Top, "user_agent", e.UserAgent)
	case telltale.Bounced:
		setText(&a.Top, "bounce_type", string(e.Bounce))
		fallthrough
	case telltale.Failed:
		if e.Code != 0 {
			a.Top.SetInt("bounce_code", int64(e.Code))
		}
		setText(&a.Top, "bounce_message", cut(e.Reason, maxReason))
	}
	e.metadata().describe(&a, e)
	return a
}

// maxReason bounds what a receiver's server said, in characters.
const maxReason = 2000

// sent is the sent that the event shows to have been, for providers that report
// none.
func (e *Event) sent(p *Provider, part string) (a telltale.Activity, ok bool) {
	id := e.ProviderMessageID
	if id == "" {
		id = e.MessageID
	}
	if id == "" || (e.Type != telltale.Delivered && e.Type != telltale.Bounced) {
		return a, false
	}
	earlier := *e
	earlier.Type, earlier.Key = telltale.Sent, "sent:"+id+":"+strings.ToLower(e.Recipient)
	return earlier.activity(p, part, 0), true
}

func setText(o *telltale.Object, name, value string) {
	if value != "" {
		o.SetString(name, value)
	}
}

// cut shortens a text to so many characters.
func cut(s string, most int) string {
	if len(s) <= most {
		return s
	}
	n := 0
	for i := range s {
		if n == most {
			return s[:i]
		}
		n++
	}
	return s
}
