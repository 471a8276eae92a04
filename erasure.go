package telltale

import "time"

// Erasure is a durable job that forgets a person: the profile, their events with
// payloads, deliveries and attempts, their tracked events and messages. What of
// their deliveries was not finished is cancelled. The audit log keeps that it was
// done, by whom and when.
type Erasure struct {
	ID        ErasureID
	ProjectID ProjectID
	// Known is what the person's data stands under: ids and email. It is
	// forgotten, too, once the erasure is complete.
	Known []string

	Events    int // removed so far
	CreatedBy string
	CreatedAt time.Time
	// CompletedAt is zero until nothing is left.
	CompletedAt time.Time
}
