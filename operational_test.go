package telltale

import (
	"testing"
	"time"

	"telltale.example/telltale/schema"
)

func TestAnOperationalEventTellsWhatHappened(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)
	w := NewWebhook("prj_1", "https://jo:secret@hooks.example.com/in?token=secret", AllEventTypes)
	w.ID, w.Description, w.DisabledReason = "whk_1", "CRM", DisabledFailing
	w.Standing = Standing{FailingSince: at, Failures: 20}
	a := Attempt{Status: 500, Error: ErrorHTTPStatus}
	a.Failure, a.Duration, a.Request.URL = FailureHTTP5xx, 9*time.Millisecond, w.URL
	schemas := compileSchemas(t)
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
		if err := validate(schemas[event.kind], e.Payload); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if string(e.Payload) != event.want || e.Source != OperationalSource {
			t.Errorf("%s: %s", name, e.Payload)
		}
	}
}

// The documented samples are what is sent of such an occasion.
func TestOperationalSamplesAreWhatIsSent(t *testing.T) {
	t.Parallel()
	at := time.Unix(1795176000, 0)
	failed := &Attempt{Status: 500, Error: ErrorHTTPStatus, Failure: FailureHTTP5xx, Duration: 9 * time.Millisecond}
	for _, occasion := range []struct {
		of       EventType
		standing Standing
		attempt  *Attempt
		delivery *FailedDelivery
	}{
		{WebhookFailing, Standing{FailingSince: at.Add(-WarnAfter), Failures: 43}, failed, nil},
		{WebhookDisabled, Standing{FailingSince: at.Add(-DisableAfter), Failures: 214}, failed, nil},
		{WebhookRecovered, Standing{}, &Attempt{Status: 200}, nil},
		{DeliveryFailed, Standing{FailingSince: at.Add(-WarnAfter), Failures: 43}, failed,
			&FailedDelivery{ID: "dlv_01JD0000000000000000000000", EventID: "evt_01JD0000000000000000000000", EventType: Bounced, Attempts: 12}},
	} {
		w := NewWebhook("prj_1", "https://jo:secret@hooks.example.com/in", AllEventTypes)
		w.ID, w.Description, w.Standing = "whk_01JD0000000000000000000000", "CRM", occasion.standing
		if occasion.of == WebhookDisabled {
			w.DisabledReason = DisabledFailing
		}
		occasion.attempt.Request.URL = w.URL
		e, err := OperationalEvent(occasion.of, &w, occasion.attempt, occasion.delivery, at)
		if err != nil {
			t.Fatal(err)
		}
		if want := schema.Sample(string(occasion.of)); string(e.Payload) != string(want) {
			t.Errorf("%s: %s\nthe sample is %s", occasion.of, e.Payload, want)
		}
	}
}

// The title and the description of a schema are those of its type.
func TestOperationalSchemasSayWhatTheirTypesSay(t *testing.T) {
	t.Parallel()
	for _, of := range OperationalEventTypes() {
		root, err := ParseObject(schema.Schema(string(of)))
		if err != nil {
			t.Fatal(err)
		}
		if root.Text("title") != of.Label() || root.Text("description") != of.Description() {
			t.Errorf("%s: the schema says %q, %q; want %q, %q", of, root.Text("title"), root.Text("description"), of.Label(), of.Description())
		}
	}
}
