package postgres

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"telltale.example/telltale"
	"telltale.example/telltale/internal/stored"
)

// conversion is what a user did that may convert a message of theirs, and the
// event converted of the one that is credited with it.
type conversion struct {
	change  int // that it comes of
	profile *telltale.Profile
	event   *telltale.TrackedEvent

	message   *telltale.Message // nil if none is credited
	converted *telltale.Event
}

// messageKey tells messages of a project apart.
type messageKey struct{ id, provider string }

func newMessageKey(m *telltale.Message) messageKey {
	return messageKey{m.MessageID, m.ProviderMessageID}
}

// convert finds out which message each of them converts, in order: a message
// converts once. Somebody else, who has the same email, may convert one right
// now. So before an outcome stands its messages are locked, and looked at again
// for what was committed meanwhile.
func (tx *tx) convert(p *project, c *telltale.UserChanges, all []conversion) error {
	if len(all) == 0 {
		return nil
	}
	search := messageSearch{tx.conn, p}
	asks := make([]ask, len(all))
	for i, one := range all {
		asks[i] = ask{one.profile.Known(), one.event}
	}
	candidates, err := search.candidates(tx.ctx, &p.goals.Goals, asks)
	if err != nil {
		return fmt.Errorf("what tracked events may convert: %w", err)
	}
	locked, converted := map[messageKey]bool{}, map[messageKey]bool{}
	for {
		credited := creditAll(&p.goals.Goals, c, all, candidates, converted, tx.presentTime())
		credited = slices.DeleteFunc(credited, func(m *telltale.Message) bool { return locked[newMessageKey(m)] })
		if len(credited) == 0 {
			return nil
		}
		for _, m := range credited {
			locked[newMessageKey(m)] = true
		}
		if err := tx.lockMessages(p, credited, converted); err != nil {
			return err
		}
	}
}

// creditAll decides which messages are credited, and gives them. What is
// converted already is not.
func creditAll(goals *telltale.Goals, c *telltale.UserChanges, all []conversion, candidates [][]*telltale.Message, converted map[messageKey]bool, now time.Time) (credited []*telltale.Message) {
	taken := map[messageKey]bool{}
	for i := range all {
		one := &all[i]
		one.message, one.converted = nil, nil
		left := slices.DeleteFunc(slices.Clone(candidates[i]), func(m *telltale.Message) bool { return taken[newMessageKey(m)] || converted[newMessageKey(m)] })
		m, credit := goals.Convert(one.event, one.event.OccurredAt, left)
		if m == nil {
			continue
		}
		a := m.Conversion(one.profile, one.event.OccurredAt)
		event, faults := a.Event(c.ProjectID, c.Source, now)
		if len(faults) > 0 {
			continue // the message and the user are too much for one payload
		}
		event.Credit = credit
		one.message, one.converted = m, event
		taken[newMessageKey(m)] = true
		credited = append(credited, m)
	}
	return credited
}

// messageLocks is how many advisory locks the messages of a project share, since
// the server's table of locks is not large. Their keys are the number of the
// project and one of these; no other lock has two keys.
const messageLocks = 256

var convertedCode = int64(slices.Index(stored.EventTypes, telltale.Converted))

// lockMessages keeps others from converting the messages before the transaction
// ends, and notes which have been converted.
func (tx *tx) lockMessages(p *project, messages []*telltale.Message, converted map[messageKey]bool) error {
	locks := make([]int64, len(messages))
	of := map[string]messageKey{}
	var names []string
	for i, m := range messages {
		key := newMessageKey(m)
		hash := sha256.Sum256([]byte(key.id + "\x00" + key.provider))
		locks[i] = int64(binary.BigEndian.Uint32(hash[:])) % messageLocks
		for _, name := range [...]string{m.MessageID, telltale.CanonicalMessageID(m.ProviderMessageID)} {
			if name != "" {
				of[clean(name)] = key
				names = append(names, clean(name), clean("<"+name+">"))
			}
		}
	}
	slices.Sort(locks)
	b := &pgx.Batch{}
	b.Queue(`SELECT pg_advisory_xact_lock($1::integer, l) FROM unnest($2::integer[]) l`, p.number, slices.Compact(locks))
	b.Queue(`SELECT coalesce(message_id, ''), coalesce(provider_message_id, '') FROM event WHERE message_id = ANY($1) AND project = $2 AND type = $3 AND NOT test
		UNION ALL SELECT coalesce(message_id, ''), coalesce(provider_message_id, '') FROM event WHERE provider_message_id = ANY($1) AND project = $2 AND type = $3 AND NOT test`,
		names, p.number, convertedCode).Query(func(rows pgx.Rows) error {
		var id, provider string
		_, err := pgx.ForEachRow(rows, []any{&id, &provider}, func() error {
			for _, name := range [...]string{id, telltale.CanonicalMessageID(provider)} {
				if key, ok := of[name]; ok {
					converted[key] = true
				}
			}
			return nil
		})
		return err
	})
	if err := tx.conn.SendBatch(tx.ctx, b).Close(); err != nil {
		return fmt.Errorf("locking %d messages: %w", len(messages), err)
	}
	return nil
}

// Bounds of a trial, which reads what users did one by one.
const (
	trialEvents = 100_000 // looked at
	trialTime   = 2 * time.Second
	// Every so many events a trial looks whether it takes too long.
	trialStep = 500
)

// TryGoal reads on a connection that others wait for, so it gives up long before
// a read has to end.
func (s *Store) TryGoal(ctx context.Context, project telltale.ProjectID, g telltale.Goal, since time.Time) (telltale.GoalTrial, error) {
	trial := telltale.GoalTrial{Credited: map[telltale.Credit]int{}}
	if err := g.Validate(); err != nil {
		return trial, err
	}
	known, err := s.configured(ctx)
	if err != nil {
		return trial, err
	}
	p := known.project(project)
	if p == nil {
		return trial, notFound("project")
	}
	try := goalTrial{goal: g, name: telltale.EventName(g.EventName), goals: p.goals.With(g), credited: map[messageKey]bool{}, trial: &trial}
	if try.name == "" {
		return trial, nil
	}
	err = s.read(ctx, "trying a goal", func(ctx context.Context, q querier) error {
		try.messageSearch = messageSearch{q, p}
		return try.run(ctx, s, since)
	})
	return trial, err
}

// goalTrial is a goal that is tried on what users did.
type goalTrial struct {
	messageSearch
	goal     telltale.Goal
	name     string
	goals    telltale.Goals
	credited map[messageKey]bool // in this trial
	trial    *telltale.GoalTrial
}

func (t *goalTrial) run(ctx context.Context, s *Store, since time.Time) error {
	began := time.Now()
	above := stored.FirstNumber(since) - 1
	for looked := 0; ; looked += trialStep {
		if looked >= trialEvents || looked > 0 && time.Since(began) > trialTime {
			t.trial.More = true
			return nil
		}
		step, err := t.next(ctx, s, above)
		if err != nil {
			return err
		}
		if err := t.add(ctx, step.asks); err != nil || step.read < trialStep {
			return err
		}
		above = step.last
	}
}

// trialRows is what was read for the next step of a trial.
type trialRows struct {
	read int
	last int64 // the number of the last one
	asks []ask // of events of the name
}

// next reads what users did next, whatever the project.
func (t *goalTrial) next(ctx context.Context, s *Store, above int64) (step trialRows, err error) {
	var row scannedTracked
	var profile, project int64
	var profiles []int64
	var events []*telltale.TrackedEvent
	err = each(ctx, t.q, fmt.Sprintf(`SELECT %s, t.profile, t.project FROM tracked_event t WHERE t.number > $1 ORDER BY t.number LIMIT %d`, trackedColumns, trialStep), []any{above},
		append(row.into(), &profile, &project), func() error {
			step.read++
			step.last = row.Sequence
			if project != t.project.number || telltale.EventName(row.Name) != t.name {
				return nil
			}
			e, err := row.event()
			profiles, events = append(profiles, profile), append(events, e)
			return err
		})
	if err != nil || len(events) == 0 {
		return step, err
	}
	known := map[int64][]string{}
	var user scannedProfile
	err = each(ctx, t.q, `SELECT `+profileColumns+` FROM profile p WHERE p.number = ANY($1::bigint[])`, []any{profiles}, user.into(), func() error {
		p, err := user.profile(s, t.project.ID)
		if err == nil {
			known[user.number] = p.Known()
		}
		return err
	})
	for i, e := range events {
		if of := known[profiles[i]]; of != nil {
			step.asks = append(step.asks, ask{of, e})
		}
	}
	return step, err
}

// add counts events, and credits a message of the campaign with each if it comes
// first. What was converted in truth says nothing of those.
func (t *goalTrial) add(ctx context.Context, asks []ask) error {
	candidates, err := t.candidates(ctx, &t.goals, asks)
	if err != nil {
		return err
	}
	for i, a := range asks {
		t.trial.Events++
		for _, m := range candidates[i] {
			if m.CampaignID() != t.goal.CampaignID {
				continue
			}
			m.ConvertedAt = time.Time{}
			if t.credited[newMessageKey(m)] {
				m.ConvertedAt = a.event.OccurredAt
			}
		}
		m, credit := t.goals.Convert(a.event, a.event.OccurredAt, candidates[i])
		if m != nil && m.CampaignID() == t.goal.CampaignID {
			t.credited[newMessageKey(m)] = true
			t.trial.Credited[credit]++
		}
	}
	return nil
}
