package telltale

import (
	"testing"
	"time"
)

func TestAnOperationalEventTellsWhatHappened(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)
	w := NewWebhook("prj_1", "https://jo:secret@hooks.example.com/in?token=secret", AllEventTypes)
	w.ID, w.Description, w.DisabledReason = "whk_1", "CRM", DisabledFailing
	w.Standing = Standing{FailingSince: at, Failures: 20}
	a := Attempt{Status: 500, Error: ErrorHTTPStatus}
	a.Failure, a.Duration, a.Request.URL = FailureHTTP5xx, 9*time.Millisecond, w.URL
	for name, event := range map[string]struct {
		kind   EventType
		failed *FailedDelivery
		want   string
	}{
		"disabled": {WebhookDisabled, nil, `{"type":"webhook.disabled","occurred_at":1795176000,"webhook":{"id":"whk_1","url":"https://hooks.example.com/in","description":"CRM"},"reason":"failing","failing_since":1795176000,"failures":20,` +
			`"last_error":{"code":"http_5xx","status":500,"sentence":"hooks.example.com answered 500 Internal Server Error in 9 ms."}}`},
		"failed": {DeliveryFailed, &FailedDelivery{ID: "dlv_1", EventID: "evt_1", EventType: Bounced, Attempts: 12}, `{"type":"delivery.failed","occurred_at":1795176000,"webhook":{"id":"whk_1","url":"https://hooks.example.com/in","description":"CRM"},` +
			`"delivery":{"id":"dlv_1","event_id":"evt_1","event_type":"bounced","attempts":12},"failing_since":1795176000,"failures":20,` +
			`"last_error":{"code":"http_5xx","status":500,"sentence":"hooks.example.com answered 500 Internal Server Error in 9 ms."}}`},
	} {
		e, err := OperationalEvent(event.kind, &w, &a, event.failed, at)
		if err != nil {
			t.Fatal(err)
		}
		if string(e.Payload) != event.want || e.Source != OperationalSource {
			t.Errorf("%s: %s", name, e.Payload)
		}
	}
}
