package telltale

import (
	"crypto/sha256"
	"strings"
	"time"
)

// TrackedEvent is something that a user did, as the Track API or an import told
// us. It is not reported by itself, but it may be the goal of a campaign.
type TrackedEvent struct {
	Name string // as given
	Data Object // may be empty
	// OccurredAt is when it happened; zero, or in the future, stands for its receipt.
	OccurredAt time.Time
	// Message is the message that the event is credited to by name (vero_conv);
	// empty if the sender does not say.
	Message string
	// CheckID tells repetitions of events without data apart; empty if not given.
	CheckID string

	// What the store adds.
	ReceivedAt time.Time
	Sequence   int64 // on the line of numbers of events
}

// RepeatWindow is how long, if nobody says otherwise, an event that is tracked
// again is taken for a repetition.
const RepeatWindow = 5 * time.Minute

// EventName is the name by which tracked events are compared: case, and space
// against underscore, make no difference.
func EventName(name string) string {
	return strings.ToLower(strings.ReplaceAll(strings.TrimSpace(name), " ", "_"))
}

// RepeatKey is what two events of a project have in common if the second repeats
// the first: the name, the user, and the data or else the check id. When they
// happened is no part of it.
func (e *TrackedEvent) RepeatKey(project ProjectID, userID string) [sha256.Size]byte {
	key := make([]byte, 0, 256)
	for _, part := range []string{string(project), EventName(e.Name), userID} {
		key = append(append(key, quote(part)...), ' ')
	}
	switch {
	case e.Data.Len() > 0:
		key = appendCanonical(append(key, "data "...), string(e.Data.AppendJSON(nil)))
	case e.CheckID != "":
		key = append(append(key, "check "...), quote(e.CheckID)...)
	}
	return sha256.Sum256(key)
}
