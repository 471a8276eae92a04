package telltale

import (
	"time"

	"telltale.example/telltale/schema"
)

// SourceTest is the source of the samples that tests send.
const SourceTest = "test"

// SampleEvent makes a test's event: the documented sample of the type, received
// now. Invalid for what is no type.
func SampleEvent(project ProjectID, t EventType) (Event, error) {
	if t.Operational() {
		return operationalSample(project, t)
	}
	if _, err := ParseEventType(string(t)); err != nil {
		return Event{}, err
	}
	sample, err := ParseActivity(schema.Sample(string(t)), "sample")
	if err != nil {
		return Event{}, err
	}
	receivedAt := now()
	rendered, faults := sample.Render(receivedAt)
	if err := Faulty("The sample is wrong.", faults); err != nil {
		return Event{}, err
	}
	return Event{
		ID: NewEventID(), ProjectID: project, Type: t, Source: SourceTest, Test: true,
		OccurredAt: rendered.OccurredAt, ReceivedAt: receivedAt, Payload: rendered.Payload,
		UserID: rendered.UserID, Email: rendered.Email, MessageID: rendered.MessageID, CampaignID: rendered.CampaignID,
	}, nil
}

// operationalSample is an operational event about a webhook that does not exist.
func operationalSample(project ProjectID, t EventType) (Event, error) {
	at := now()
	w := NewWebhook(project, "https://hooks.example.com/telltale", AllEventTypes)
	w.ID, w.Description = "whk_01JD0000000000000000000000", "Sample"
	var a *Attempt
	var failed *FailedDelivery
	if t != WebhookRecovered {
		w.DisabledReason = DisabledFailing
		w.Standing = Standing{FailingSince: at.Add(-WarnAfter), Failures: DisableFailures}
		a = &Attempt{Status: 500, Error: ErrorHTTPStatus, Failure: FailureHTTP5xx, Duration: 9 * time.Millisecond, Request: SentRequest{URL: w.URL}}
	}
	if t == DeliveryFailed {
		failed = &FailedDelivery{ID: "dlv_01JD0000000000000000000000", EventID: "evt_01JD0000000000000000000000", EventType: Bounced, Attempts: 12}
	}
	e, err := OperationalEvent(t, &w, a, failed, at)
	if err != nil {
		return Event{}, err
	}
	e.Test, e.Source = true, SourceTest
	return *e, nil
}
