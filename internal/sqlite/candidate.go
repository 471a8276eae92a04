package sqlite

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"time"

	"telltale.example/telltale"
	"telltale.example/telltale/internal/stored"
)

const (
	// mostCandidates is how many messages are looked at for one event: those
	// that were accepted last.
	mostCandidates = 200
	// sentEarly is by how much a message may be accepted before the time at which
	// it says that it was sent.
	sentEarly = 24 * time.Hour
)

// candidates gives the user's messages that may be credited with what the user
// did, as they were at that time. known is everything that the user's messages
// may stand under.
func (s *messageSearch) candidates(known []string, goals *telltale.Goals, e *telltale.TrackedEvent) ([]*telltale.Message, error) {
	ids, err := s.sentTo(known, goals, e)
	if err != nil || len(ids) == 0 {
		return nil, err
	}
	found, err := s.events(ids)
	if err != nil {
		return nil, err
	}
	var candidates []*telltale.Message
	for _, events := range found {
		m := telltale.MessageOf(slices.DeleteFunc(events, func(event *telltale.Event) bool {
			return event.Type != telltale.Sent && event.Type != telltale.Converted && event.OccurredAt.After(e.OccurredAt)
		}))
		if m != nil && slices.Contains(known, cmp.Or(m.UserID, m.User.Text("email"))) {
			candidates = append(candidates, m)
		}
	}
	return candidates, nil
}

// sentTo gives an id of each message that was sent to the user for the sake of
// the event, within the longest window before it.
func (s *messageSearch) sentTo(known []string, goals *telltale.Goals, e *telltale.TrackedEvent) (ids []string, err error) {
	names := make([]name, len(known))
	for i, user := range known {
		names[i] = s.store.name(nameOfUser, s.project.number, user)
	}
	found, err := s.fresh.find(s.conn, names, stored.FirstNumber(e.OccurredAt.Add(-goals.Longest()-sentEarly)))
	if err != nil {
		return nil, err
	}
	numbers := slices.Concat(slices.Collect(maps.Values(found))...)
	slices.Sort(numbers)
	goal := telltale.EventName(e.Name)
	for _, number := range slices.Backward(slices.Compact(numbers)) {
		_, err := s.conn.query(`SELECT lag, occurred, user_id, email, message_id, campaign_id, provider_message_id, conversion_event FROM event
			WHERE number = ? AND project = ? AND NOT test`).int(number).int(s.project.number).one(func(q *query) {
			sentAt := stored.MilliTime(stored.NumberMilli(number) - q.getInt() - q.getInt())
			sent := &telltale.Event{UserID: q.getText(), Email: q.getText(), MessageID: q.getText()}
			m := &telltale.Message{}
			m.Campaign.SetString("id", q.getText())
			sent.ProviderMessageID, m.Goal = q.getText(), q.getText()
			age := e.OccurredAt.Sub(sentAt)
			if slices.Contains(known, messageUser(sent)) && age >= 0 && age <= goals.Longest() && goals.Of(m) == goal {
				ids = append(ids, cmp.Or(sent.MessageID, sent.ProviderMessageID))
			}
		})
		if err != nil {
			return nil, fmt.Errorf("the message of event %d: %w", number, err)
		}
		if len(ids) == mostCandidates {
			break
		}
	}
	slices.Sort(ids)
	return slices.Compact(ids), nil
}
