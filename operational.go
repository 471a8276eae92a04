package telltale

import (
	"bytes"
	"encoding/json"
	"net/url"
	"time"
)

// OperationalSource is the source of the events that Telltale makes about itself.
const OperationalSource = "telltale"

// OperationalEvent makes an event about a webhook, or about a delivery to it.
// attempt is the one that was the occasion, if there was one; delivery is empty
// unless the event is about it. No payload holds a secret: URLs are without user info and query.
func OperationalEvent(t EventType, w *Webhook, attempt *Attempt, delivery *FailedDelivery, at time.Time) (*Event, error) {
	type lastError struct {
		Code     FailureCode `json:"code,omitempty"`
		Status   int         `json:"status,omitempty"`
		Sentence string      `json:"sentence"`
	}
	payload := struct {
		Type       EventType `json:"type"`
		OccurredAt int64     `json:"occurred_at"`
		Webhook    struct {
			ID          WebhookID `json:"id"`
			URL         string    `json:"url"`
			Description string    `json:"description,omitempty"`
		} `json:"webhook"`
		Delivery     *FailedDelivery `json:"delivery,omitempty"`
		Reason       DisabledReason  `json:"reason,omitempty"`
		FailingSince int64           `json:"failing_since,omitempty"`
		Failures     int             `json:"failures,omitempty"`
		LastError    *lastError      `json:"last_error,omitempty"`
	}{Type: t, OccurredAt: at.Unix(), Delivery: delivery}
	payload.Webhook.ID, payload.Webhook.URL, payload.Webhook.Description = w.ID, bareURL(w.URL), w.Description
	if t == WebhookDisabled {
		payload.Reason = w.DisabledReason
	}
	if s := w.Standing; !s.FailingSince.IsZero() {
		payload.FailingSince, payload.Failures = s.FailingSince.Unix(), s.Failures
	}
	if attempt != nil && !attempt.Success() {
		payload.LastError = &lastError{attempt.Failure, attempt.Status, attempt.Sentence()}
	}
	var text bytes.Buffer
	enc := json.NewEncoder(&text)
	enc.SetEscapeHTML(false) // it is no HTML: <, > and & stay themselves, as in every payload
	if err := enc.Encode(payload); err != nil {
		return nil, err
	}
	at = at.UTC().Truncate(time.Millisecond)
	return &Event{ID: NewEventID(), ProjectID: w.ProjectID, Type: t, Source: OperationalSource, OccurredAt: at, ReceivedAt: at, Payload: bytes.TrimSpace(text.Bytes())}, nil
}

// bareURL leaves out what of a URL may be secret: user info and query.
func bareURL(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return ""
	}
	u.User, u.RawQuery, u.ForceQuery, u.Fragment = nil, "", false, ""
	return u.String()
}

// FailedDelivery is what an operational event tells of a delivery that failed.
type FailedDelivery struct {
	ID        DeliveryID `json:"id"`
	EventID   EventID    `json:"event_id"`
	EventType EventType  `json:"event_type"`
	Attempts  int        `json:"attempts"`
}
