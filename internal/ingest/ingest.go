package ingest

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"telltale.example/telltale"
)

// Dispatcher is what we hand accepted events to: it has room for so many
// deliveries, and takes them over once they are stored.
type Dispatcher interface {
	telltale.Room
	// Offer takes over what was accepted. It does not block.
	Offer(telltale.Accepted)
}

// Store is what we ask of storage: to store events and to change users, and to
// know the messages and the users of activities that do not say all.
type Store interface {
	AcceptEvents(ctx context.Context, a telltale.Acceptance) (telltale.Accepted, error)
	ChangeUsers(ctx context.Context, c telltale.UserChanges) (telltale.UserChanged, error)
	telltale.MessageStore
	telltale.ProfileFinder
}

// Ingest accepts activities, and changes of users. Make one with [New].
type Ingest struct {
	// RepeatWindow is for how long a tracked event is known; 0 takes every one.
	// [New] sets [telltale.RepeatWindow]. It is set before Ingest is used.
	RepeatWindow time.Duration

	store      Store
	dispatcher Dispatcher
	rates      *rates
	metrics    *metrics
}

// New makes an Ingest that stores in store and hands over to d. Its metrics are
// registered with reg, unless that is nil.
func New(store Store, d Dispatcher, reg prometheus.Registerer) *Ingest {
	return &Ingest{RepeatWindow: telltale.RepeatWindow, store: store, dispatcher: d, rates: newRates(), metrics: newMetrics(reg)}
}

// Accept stores the activities as events of the project p, with their
// deliveries, and hands the deliveries over. source says where they came in. The
// answer has one entry per activity, in order.
//
// It gives RateLimited if the project's rate is used up, Invalid for activities
// that break the contract of their type (one that [Decode] made does not),
// Conflict if a caller's id is known with other content, and Unavailable if they
// cannot be stored now.
func (in *Ingest) Accept(ctx context.Context, p telltale.Project, source string, activities []telltale.Activity) (telltale.Accepted, error) {
	accepted, _, err := in.AcceptOnce(ctx, p, source, activities, Request{})
	return accepted, err
}

// AcceptOnce is Accept for a request that its caller named, and reports whether
// it was accepted before. Activities that have an id of their own go by that. It
// gives Invalid, beyond what Accept gives, if another request had the name.
func (in *Ingest) AcceptOnce(ctx context.Context, p telltale.Project, source string, activities []telltale.Activity, r Request) (accepted telltale.Accepted, before bool, err error) {
	if len(activities) == 0 {
		return telltale.Accepted{}, false, nil
	}
	started := time.Now()
	accepted, err = in.accept(ctx, p, source, activities, r)
	in.metrics.observe(accepted, err, time.Since(started))
	return accepted, r.repeated(activities, accepted), err
}

func (in *Ingest) accept(ctx context.Context, p telltale.Project, source string, activities []telltale.Activity, r Request) (telltale.Accepted, error) {
	if err := in.rates.take(p, len(activities)); err != nil {
		return telltale.Accepted{}, err
	}
	completed, err := in.complete(ctx, p.ID, activities)
	if err != nil {
		return telltale.Accepted{}, err
	}
	events, err := newEvents(p.ID, source, activities, completed)
	if err != nil {
		return telltale.Accepted{}, err
	}
	r.name(activities, events)
	accepted, err := in.store.AcceptEvents(ctx, telltale.Acceptance{ProjectID: p.ID, Events: events, Room: in.dispatcher})
	if err != nil {
		if clash := r.clash(activities, err); clash != nil {
			return telltale.Accepted{}, clash
		}
		locate(err, activities)
		return telltale.Accepted{}, fmt.Errorf("ingest: storing %d events of project %s: %w", len(events), p.ID, err)
	}
	in.dispatcher.Offer(accepted)
	return accepted, nil
}

// newEvents makes the activities of one request into events, or gives every
// fault that they have. came is what they were before they were completed: what
// would make one past the bounds is left out again.
func newEvents(project telltale.ProjectID, source string, came, completed []telltale.Activity) ([]*telltale.Event, error) {
	// To the millisecond, as times are stored.
	receivedAt := time.Now().UTC().Truncate(time.Millisecond)
	events := make([]*telltale.Event, len(came))
	var found faults
	for i := range came {
		a := &completed[i]
		e, wrong := a.Event(project, source, receivedAt)
		if len(wrong) > 0 {
			a = &came[i]
			e, wrong = a.Event(project, source, receivedAt)
		}
		if len(wrong) > 0 {
			found.add(telltale.Faulty("", wrong), 0)
			continue
		}
		if a.CallerID != "" {
			e.ContentHash = contentHash(&came[i])
		}
		events[i] = e
	}
	if err := found.err(len(came)); err != nil {
		return nil, err
	}
	return events, nil
}

// locate mends the locations of what the store finds, which counts events: a
// request of one event has no index.
func locate(err error, activities []telltale.Activity) {
	var e *telltale.Error
	if len(activities) != 1 || activities[0].Location() == "" || !errors.As(err, &e) {
		return
	}
	for i := range e.Faults {
		if rest, ok := strings.CutPrefix(e.Faults[i].Location, "body[0]"); ok {
			e.Faults[i].Location = activities[0].Location() + rest
		}
	}
}

// refusal is the code under which a failure is counted.
func refusal(err error) telltale.Code {
	if errors.Is(err, context.Canceled) {
		return "cancelled" // the caller went away
	}
	return telltale.CodeOf(err)
}
