package postgres

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"telltale.example/telltale"
	"telltale.example/telltale/internal/stored"
)

// A message has no row: it is what its events say ([telltale.MessageOf]), which
// are found by its names. So accepting an event neither reads nor changes what
// is known of its message, and a message goes when its events go.

func (s *Store) Messages(ctx context.Context, project telltale.ProjectID, ids []string) ([]*telltale.Message, error) {
	messages := make([]*telltale.Message, len(ids))
	known, err := s.configured(ctx)
	if err != nil {
		return nil, err
	}
	p := known.project(project)
	if p == nil || len(ids) == 0 {
		return messages, nil
	}
	err = s.read(ctx, "looking for messages", func(ctx context.Context, q querier) error {
		search := messageSearch{q, p}
		found, err := search.events(ctx, ids)
		if err != nil {
			return err
		}
		for i, id := range ids {
			messages[i] = telltale.MessageOf(found[telltale.CanonicalMessageID(id)])
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return messages, nil
}

// messageSearch looks for messages of one project.
type messageSearch struct {
	q       querier
	project *project
}

// events gives the events of the messages that have the ids, by canonical id,
// oldest first. An event may have named its message by the other id alone, which
// an event that has both tells.
func (s *messageSearch) events(ctx context.Context, ids []string) (map[string][]*telltale.Event, error) {
	found, err := s.bearers(ctx, ids)
	if err != nil {
		return nil, err
	}
	otherOf := map[string]string{}
	var others []string
	for id, events := range found {
		if other := telltale.OtherMessageID(id, events); other != "" {
			otherOf[id] = other
			others = append(others, other)
		}
	}
	more, err := s.bearers(ctx, others)
	if err != nil {
		return nil, err
	}
	for id, other := range otherOf {
		found[id] = inOrder(append(found[id], more[other]...))
	}
	return found, nil
}

// inOrder sorts events, and leaves each once.
func inOrder(events []*telltale.Event) []*telltale.Event {
	slices.SortFunc(events, func(a, b *telltale.Event) int { return cmp.Compare(a.Sequence, b.Sequence) })
	return slices.CompactFunc(events, func(a, b *telltale.Event) bool { return a.Sequence == b.Sequence })
}

// mostNamed is how many events of an id are looked at, half of them the oldest
// and half the newest: what thousands of events bear is the id of no message.
const mostNamed = 128

// ofMessages are the types of events that happen to messages.
var ofMessages = func() (codes []int64) {
	for code, t := range stored.EventTypes {
		if t.OfMessage() {
			codes = append(codes, int64(code))
		}
	}
	return codes
}()

// bearers gives the events that bear each id, by canonical id, oldest first.
func (s *messageSearch) bearers(ctx context.Context, ids []string) (map[string][]*telltale.Event, error) {
	found := make(map[string][]*telltale.Event, len(ids))
	canonical := make([]string, len(ids))
	for i, id := range ids {
		canonical[i] = telltale.CanonicalMessageID(id)
	}
	slices.Sort(canonical)
	canonical = slices.Compact(canonical)
	full, err := s.named(ctx, canonical, "ASC", mostNamed, found)
	if err == nil {
		_, err = s.named(ctx, full, "DESC", mostNamed/2, found)
	}
	if err != nil {
		return nil, err
	}
	for id, events := range found {
		if events = inOrder(events); len(events) > mostNamed {
			events = slices.Concat(events[:mostNamed/2], events[len(events)-mostNamed/2:])
		}
		found[id] = events
	}
	return found, nil
}

// named adds the first events, in that order, that bear each id as their
// message's or its provider's, and tells of which ids there may be more.
func (s *messageSearch) named(ctx context.Context, ids []string, order string, limit int, into map[string][]*telltale.Event) (full []string, err error) {
	if len(ids) == 0 {
		return nil, nil
	}
	texts := make([]string, len(ids))
	for i, id := range ids {
		texts[i] = clean(id)
	}
	of := func(column, id string) string {
		return fmt.Sprintf(`(SELECT * FROM event e WHERE e.%s = %s AND e.project = $2 AND e.type = ANY($3::smallint[]) AND NOT e.test ORDER BY e.number %s LIMIT %d)`, column, id, order, limit)
	}
	sql := `SELECT i.place, ` + eventColumns + ` FROM unnest($1::text[]) WITH ORDINALITY AS i(id, place) CROSS JOIN LATERAL (` +
		of("message_id", "i.id") + ` UNION ALL ` + of("provider_message_id", "i.id") + ` UNION ALL ` + of("provider_message_id", "'<' || i.id || '>'") + `) e`
	var place int64
	var row scannedEvent
	found := make([]int, len(ids))
	err = each(ctx, s.q, sql, []any{texts, s.project.number, ofMessages}, append([]any{&place}, row.into()...), func() error {
		id := ids[place-1]
		into[id] = append(into[id], row.event(s.project.ID))
		if found[place-1]++; found[place-1] == limit {
			full = append(full, id)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("the events of %d messages: %w", len(ids), err)
	}
	return full, nil
}
