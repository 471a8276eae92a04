package telltale

import (
	"encoding/json"
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

// operationalSample is the documented one as well. It is Telltale's own, so no
// contract renders it: what it says is all there is.
func operationalSample(project ProjectID, t EventType) (Event, error) {
	payload := schema.Sample(string(t))
	var told struct {
		OccurredAt int64 `json:"occurred_at"`
	}
	if err := json.Unmarshal(payload, &told); err != nil {
		return Event{}, err
	}
	return Event{
		ID: NewEventID(), ProjectID: project, Type: t, Source: SourceTest, Test: true,
		OccurredAt: time.Unix(told.OccurredAt, 0).UTC(), ReceivedAt: now(), Payload: payload,
	}, nil
}
