package storetest

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	mathrand "math/rand/v2"
	"time"

	"telltale.example/telltale"
)

// What engines are measured with is the same for all, so that their numbers can
// be compared.

// AnyRoom has all the room in the world.
type AnyRoom struct{}

func (AnyRoom) Reserve(*telltale.Webhook) bool { return true }
func (AnyRoom) Release(*telltale.Webhook)      {}

var loadPayload = []byte(randomText("", 350))

func randomText(prefix string, n int) string {
	b := make([]byte, n)
	_, _ = rand.Read(b) // it never fails
	return prefix + hex.EncodeToString(b)
}

// NewEvents makes events as an ingest would: 700 bytes of payload, a user of a
// million, a message of its own.
func NewEvents(project telltale.ProjectID, n int) []*telltale.Event {
	events := make([]*telltale.Event, n)
	types := telltale.EventTypes()
	now := time.Now().UTC().Truncate(time.Millisecond)
	for i := range events {
		user := mathrand.IntN(1_000_000)
		events[i] = &telltale.Event{
			ID: telltale.NewEventID(), ProjectID: project, Type: types[i%len(types)], Source: "api", OccurredAt: now, ReceivedAt: now, Payload: loadPayload,
			UserID: fmt.Sprint(user), Email: fmt.Sprintf("user.%d@mail.example", user), MessageID: randomText("", 12), CampaignID: "1234",
		}
	}
	return events
}

// Successes makes results of claims with the headers of a usual exchange, some
// 450 bytes in the request and 250 in the response.
func Successes(claims []telltale.Claim, node telltale.NodeID) []telltale.Result {
	results := make([]telltale.Result, len(claims))
	for i := range claims {
		c := &claims[i]
		a := &telltale.Attempt{
			Number: c.Attempt, Trigger: c.Trigger, StartedAt: time.Now(), Duration: 4321 * time.Microsecond, Node: node, Status: 200, RemoteAddr: "203.0.113.9:443",
			Timing: telltale.Timing{FirstByte: 4 * time.Millisecond},
			Request: telltale.SentRequest{Method: "POST", URL: c.Webhook.URL, Headers: []telltale.Header{
				{Name: "Host", Value: "receiver.example"}, {Name: "User-Agent", Value: "Telltale/1.0 (+https://telltale.example)"}, {Name: "Content-Length", Value: "700"},
				{Name: "Content-Type", Value: "application/json"}, {Name: "webhook-id", Value: string(c.Event.ID)}, {Name: "webhook-timestamp", Value: "1767225600"},
				{Name: "webhook-signature", Value: "v1," + randomText("", 22)}, {Name: "telltale-source", Value: "api"}, {Name: "telltale-attempt", Value: "1"},
				{Name: "Accept-Encoding", Value: "identity"}, {Name: "traceparent", Value: randomText("00-", 26)},
			}},
			Response: telltale.GotResponse{Body: []byte(`{"ok":true}`), Headers: []telltale.Header{
				{Name: "Date", Value: "Mon, 23 Nov 2026 21:00:00 GMT"}, {Name: "Content-Type", Value: "application/json; charset=utf-8"}, {Name: "Content-Length", Value: "11"},
				{Name: "Server", Value: "nginx/1.27.3"}, {Name: "Connection", Value: "keep-alive"}, {Name: "X-Request-Id", Value: randomText("", 16)},
				{Name: "Strict-Transport-Security", Value: "max-age=31536000; includeSubDomains"}, {Name: "Vary", Value: "Accept-Encoding"},
			}},
		}
		results[i] = telltale.Result{ClaimRef: c.ClaimRef, Attempt: a, Outcome: telltale.Outcome{State: telltale.StateSucceeded, Step: 1}, WebhookVersion: c.Webhook.Version}
	}
	return results
}
