package telltale

import (
	"strings"
	"time"
)

// Erasure is a durable job that forgets a person: the profile, their events with
// payloads, deliveries and attempts, and so their messages, and their tracked
// events. What of their deliveries was not finished is cancelled. The audit log
// keeps that it was done, by whom and when.
//
// It finds events by the id and the email that they are about, as they are
// written. What someone caught in the inspector, and the rows that an import
// refused, it does not look into: these go after their own time.
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

// ErasedName is what the audit log calls who was erased: their id, unless that is
// an address, which would be kept beyond the erasure.
func ErasedName(p *Profile) string {
	if strings.Contains(p.UserID, "@") {
		return ""
	}
	return p.UserID
}
