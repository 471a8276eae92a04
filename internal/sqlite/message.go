package sqlite

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"telltale.example/telltale"
)

// A message has no row: it is what its events say ([telltale.MessageOf]), which
// are found by its names. So accepting an event neither reads nor changes what
// is known of its message, and a message goes when its events go.

func (s *Store) Messages(ctx context.Context, project telltale.ProjectID, ids []string) (messages []*telltale.Message, err error) {
	if err := s.down(); err != nil {
		return nil, err
	}
	p := s.known.project(project)
	if p == nil || len(ids) == 0 {
		return make([]*telltale.Message, len(ids)), nil
	}
	f := s.writer.names.current()
	err = s.read(ctx, "looking for messages", func(c *conn) error {
		look := messageSearch{store: s, conn: c, fresh: f, project: p, id: project}
		messages, err = look.messages(ids)
		return err
	})
	return messages, err
}

// messageSearch looks for messages of one project in one transaction.
type messageSearch struct {
	store   *Store
	conn    *conn
	fresh   fresh
	project *project
	id      telltale.ProjectID
}

// messages gives an entry for each id, nil where nothing bears it.
func (s *messageSearch) messages(ids []string) ([]*telltale.Message, error) {
	found, err := s.events(ids)
	if err != nil {
		return nil, err
	}
	messages := make([]*telltale.Message, len(ids))
	for i, events := range found {
		messages[i] = telltale.MessageOf(events)
	}
	return messages, nil
}

// events gives the events of the message that has each id, oldest first. An event
// may have named it by its other id alone, which an event that has both tells.
func (s *messageSearch) events(ids []string) ([][]*telltale.Event, error) {
	found, err := s.bearers(ids)
	if err != nil {
		return nil, err
	}
	others, of := []string{}, []int{}
	for i, events := range found {
		if other := telltale.OtherMessageID(telltale.CanonicalMessageID(ids[i]), events); other != "" {
			others, of = append(others, other), append(of, i)
		}
	}
	more, err := s.bearers(others)
	if err != nil {
		return nil, err
	}
	for i, events := range more {
		all := append(found[of[i]], events...)
		slices.SortFunc(all, func(a, b *telltale.Event) int { return cmp.Compare(a.Sequence, b.Sequence) })
		found[of[i]] = slices.CompactFunc(all, func(a, b *telltale.Event) bool { return a.Sequence == b.Sequence })
	}
	return found, nil
}

// bearers gives the events that bear each id, oldest first.
func (s *messageSearch) bearers(ids []string) ([][]*telltale.Event, error) {
	if len(ids) == 0 {
		return nil, nil
	}
	names := make([]name, len(ids))
	for i, id := range ids {
		names[i] = s.store.name(nameOfMessage, s.project.number, telltale.CanonicalMessageID(id))
	}
	numbers, err := s.fresh.find(s.conn, names, 0)
	if err != nil {
		return nil, err
	}
	events := make([][]*telltale.Event, len(ids))
	for i, id := range ids {
		id = telltale.CanonicalMessageID(id)
		for _, number := range numbers[names[i]] {
			_, err := s.conn.query(`SELECT ` + eventColumns + ` FROM event e WHERE e.number = ? AND e.project = ? AND NOT e.test`).int(number).int(s.project.number).
				one(func(q *query) {
					if e := s.store.scanEvent(q, s.id); e.MessageID == id || telltale.CanonicalMessageID(e.ProviderMessageID) == id {
						events[i] = append(events[i], e)
					}
				})
			if err != nil {
				return nil, fmt.Errorf("the message %s: %w", telltale.CutValue(id), err)
			}
		}
	}
	return events, nil
}
