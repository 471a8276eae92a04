package postgres

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"telltale.example/telltale"
	"telltale.example/telltale/internal/stored"
)

const (
	// mostCandidates is how many messages are looked at for one event: those
	// that were accepted last.
	mostCandidates = 200
	// mostLookedAt is how many events of a user are looked at for what was sent
	// to them, likewise.
	mostLookedAt = 2000
	// sentEarly is by how much a message may be accepted before the time at which
	// it says that it was sent.
	sentEarly = 24 * time.Hour
	// askedAtOnce is for how many events candidates are looked for at once: their
	// messages are in memory together.
	askedAtOnce = 50
)

// ask is a question for the messages that may be credited with what a user did.
type ask struct {
	known []string // everything that the user's messages may stand under
	event *telltale.TrackedEvent
}

// candidates answers each ask with the user's messages, as they were when the
// user did that.
func (s *messageSearch) candidates(ctx context.Context, goals *telltale.Goals, asks []ask) ([][]*telltale.Message, error) {
	answers := make([][]*telltale.Message, 0, len(asks))
	for some := range slices.Chunk(asks, askedAtOnce) {
		found, err := s.someCandidates(ctx, goals, some)
		if err != nil {
			return nil, err
		}
		answers = append(answers, found...)
	}
	return answers, nil
}

func (s *messageSearch) someCandidates(ctx context.Context, goals *telltale.Goals, asks []ask) ([][]*telltale.Message, error) {
	sent, err := s.sentTo(ctx, goals, asks)
	if err != nil {
		return nil, err
	}
	ids := make([][]string, len(asks))
	for i, a := range asks {
		ids[i] = a.mayBe(goals, sent)
	}
	found, err := s.events(ctx, slices.Concat(ids...))
	if err != nil {
		return nil, err
	}
	answers := make([][]*telltale.Message, len(asks))
	for i, a := range asks {
		for _, id := range ids[i] {
			events := slices.DeleteFunc(slices.Clone(found[id]), func(e *telltale.Event) bool {
				return e.Type != telltale.Sent && e.Type != telltale.Converted && e.OccurredAt.After(a.event.OccurredAt)
			})
			m := telltale.MessageOf(events)
			if m != nil && slices.Contains(a.known, cmp.Or(m.UserID, m.User.Text("email"))) {
				answers[i] = append(answers[i], m)
			}
		}
	}
	return answers, nil
}

// sentMessage is what an event sent says of a message, as far as it is in columns.
type sentMessage struct {
	number  int64
	at      time.Time
	id      string // canonical
	message telltale.Message
}

// sentLatest finds what was sent to users, by id or else by email, and may
// convert: for the first a column and for the second a condition stand in it.
const sentLatest = `(SELECT e.number, e.occurred_at, e.message_id, e.campaign_id, e.provider_message_id, e.conversion_event
	FROM (SELECT * FROM event e WHERE e.%s = u.name AND e.number > $3 ORDER BY e.number DESC LIMIT %d) e
	WHERE e.project = $2 AND e.type = $4 AND NOT e.test AND (e.message_id IS NOT NULL OR e.provider_message_id IS NOT NULL) AND (e.campaign_id IS NOT NULL OR e.conversion_event IS NOT NULL)%s
	ORDER BY e.number DESC LIMIT %d)`

var sentQuery = `SELECT u.place, e.number, e.occurred_at, coalesce(e.message_id, ''), coalesce(e.campaign_id, ''), coalesce(e.provider_message_id, ''), coalesce(e.conversion_event, '')
	FROM unnest($1::text[]) WITH ORDINALITY AS u(name, place) CROSS JOIN LATERAL (` +
	fmt.Sprintf(sentLatest, "user_id", mostLookedAt, "", mostCandidates) + ` UNION ALL ` +
	fmt.Sprintf(sentLatest, "email", mostLookedAt, " AND e.user_id IS NULL", mostCandidates) + `) e`

// sentTo gives what was sent to whom within the longest window before what they did.
func (s *messageSearch) sentTo(ctx context.Context, goals *telltale.Goals, asks []ask) (map[string][]sentMessage, error) {
	var names, texts []string
	first := asks[0].event.OccurredAt
	for _, a := range asks {
		names = append(names, a.known...)
		if a.event.OccurredAt.Before(first) {
			first = a.event.OccurredAt
		}
	}
	slices.Sort(names)
	names = slices.Compact(names)
	for _, name := range names {
		texts = append(texts, clean(name))
	}
	sent := map[string][]sentMessage{}
	var place, occurredAt int64
	var row sentMessage
	var campaign string
	m := &row.message
	above := stored.FirstNumber(first.Add(-goals.Longest() - sentEarly))
	err := each(ctx, s.q, sentQuery, []any{texts, s.project.number, above, sentCode}, []any{&place, &row.number, &occurredAt, &m.MessageID, &campaign, &m.ProviderMessageID, &m.Goal}, func() error {
		found := row
		found.at, found.id = stored.MilliTime(occurredAt), telltale.CanonicalMessageID(cmp.Or(m.MessageID, m.ProviderMessageID))
		found.message.Campaign = telltale.Object{}
		found.message.Campaign.SetString("id", campaign)
		sent[names[place-1]] = append(sent[names[place-1]], found)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("what was sent to %d users: %w", len(names), err)
	}
	return sent, nil
}

var sentCode = int64(slices.Index(stored.EventTypes, telltale.Sent))

// mayBe gives an id of each message that was sent to the user for the sake of
// the event, within the longest window before it.
func (a *ask) mayBe(goals *telltale.Goals, sent map[string][]sentMessage) (ids []string) {
	var all []sentMessage
	for _, name := range a.known {
		all = append(all, sent[name]...)
	}
	slices.SortFunc(all, func(a, b sentMessage) int { return cmp.Compare(b.number, a.number) })
	goal := telltale.EventName(a.event.Name)
	for i := range all {
		m := &all[i]
		age := a.event.OccurredAt.Sub(m.at)
		if age >= 0 && age <= goals.Longest() && goals.Of(&m.message) == goal {
			ids = append(ids, m.id)
		}
		if len(ids) == mostCandidates {
			break
		}
	}
	slices.Sort(ids)
	return slices.Compact(ids)
}
