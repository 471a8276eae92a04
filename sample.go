package telltale

import "telltale.example/telltale/schema"

// SourceTest is the source of the samples that tests send.
const SourceTest = "test"

// SampleEvent makes a test's event: the documented sample of the type, received
// now. Invalid for what is no type.
func SampleEvent(project ProjectID, t EventType) (Event, error) {
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
