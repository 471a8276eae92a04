package ingest

import (
	"context"
	"fmt"
	"slices"
	"sync"

	"telltale.example/telltale"
)

// memoryStore accepts events in memory, by the rules of [telltale.EventStore].
type memoryStore struct {
	mu       sync.Mutex
	events   []*telltale.Event
	changes  []telltale.UserChanges
	profiles []*telltale.Profile
	asked    []string // the ids of messages and the users, in the order in which they were asked for
	err      error
}

func (m *memoryStore) Messages(_ context.Context, _ telltale.ProjectID, ids []string) ([]*telltale.Message, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	messages := make([]*telltale.Message, len(ids))
	for i, id := range ids {
		m.asked = append(m.asked, "message "+id)
		var of []*telltale.Event
		for _, e := range m.events {
			if e.MessageID == id || telltale.CanonicalMessageID(e.ProviderMessageID) == id {
				of = append(of, e)
			}
		}
		messages[i] = telltale.MessageOf(of)
	}
	return messages, m.err
}

func (m *memoryStore) ProfilesByRef(_ context.Context, _ telltale.ProjectID, users []telltale.UserRef) ([]*telltale.Profile, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	profiles := make([]*telltale.Profile, len(users))
	for i, user := range users {
		m.asked = append(m.asked, "user "+user.UserID())
		for _, p := range m.profiles {
			if user.UserID() == p.UserID || user.ID == "" && user.Email == p.Email {
				profiles[i] = p
			}
		}
	}
	return profiles, m.err
}

// ChangeUsers notes what it is asked for, and makes one event of each change.
func (m *memoryStore) ChangeUsers(_ context.Context, c telltale.UserChanges) (telltale.UserChanged, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.err != nil {
		return telltale.UserChanged{}, m.err
	}
	m.changes = append(m.changes, c)
	var changed telltale.UserChanged
	for i := range c.Changes {
		if c.Changes[i].User.UserID() == "" {
			changed.Results = append(changed.Results, telltale.UserResult{Err: telltale.Errorf(telltale.Invalid, "Nobody.")})
			continue
		}
		changed.Results = append(changed.Results, telltale.UserResult{Created: i == 0, Repeated: i == 1, Events: 1})
		e := &telltale.Event{ID: telltale.NewEventID()}
		changed.Events = append(changed.Events, telltale.AcceptedEvent{ID: e.ID})
		if w := (&telltale.Webhook{}); c.Room.Reserve(w) {
			changed.Claims = append(changed.Claims, telltale.Claim{Event: e, Webhook: w})
		}
	}
	return changed, nil
}

func (m *memoryStore) AcceptEvents(_ context.Context, a telltale.Acceptance) (telltale.Accepted, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.err != nil {
		return telltale.Accepted{}, m.err
	}
	var accepted telltale.Accepted
	var fresh []*telltale.Event
	for i, e := range a.Events {
		known := slices.IndexFunc(append(m.events, fresh...), func(k *telltale.Event) bool {
			return e.CallerID != "" && k.CallerID == e.CallerID && k.ProjectID == e.ProjectID
		})
		if known < 0 {
			fresh = append(fresh, e)
			accepted.Events = append(accepted.Events, telltale.AcceptedEvent{ID: e.ID})
			if w := (&telltale.Webhook{}); a.Room != nil && a.Room.Reserve(w) {
				accepted.Claims = append(accepted.Claims, telltale.Claim{Event: e, Webhook: w})
			}
			continue
		}
		first := append(m.events, fresh...)[known]
		if first.ContentHash != e.ContentHash {
			return telltale.Accepted{}, &telltale.Error{Code: telltale.Conflict, Message: "The id is known with other content.", Faults: []telltale.Fault{
				{Location: fmt.Sprintf("body[%d].telltale.id", i), Message: "The id was used for another event.", Value: e.CallerID},
			}}
		}
		accepted.Events = append(accepted.Events, telltale.AcceptedEvent{ID: first.ID, Duplicate: true})
	}
	m.events = append(m.events, fresh...)
	return accepted, nil
}

// offers is a [Dispatcher] with room for so many deliveries.
type offers struct {
	mu      sync.Mutex
	room    int
	offered []telltale.Accepted
}

func (o *offers) Reserve(*telltale.Webhook) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.room--
	return o.room >= 0
}

func (o *offers) Release(*telltale.Webhook) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.room++
}

func (o *offers) Offer(a telltale.Accepted) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.offered = append(o.offered, a)
}
