package ingest

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"telltale.example/telltale"
	"telltale.example/telltale/internal/failpoint"
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
	events, wrong := newEvents(p.ID, source, activities, completed)
	if wrong != nil {
		return telltale.Accepted{}, together(wrong)
	}
	for i, e := range events {
		if e.CallerID != "" {
			e.ContentHash = contentHash(&activities[i])
		}
	}
	r.name(activities, events)
	failpoint.Here("accept-begin")
	accepted, err := in.store.AcceptEvents(ctx, telltale.Acceptance{ProjectID: p.ID, Events: events, Room: in.dispatcher})
	if err != nil {
		if clash := r.clash(activities, err); clash != nil {
			return telltale.Accepted{}, clash
		}
		locate(err, activities)
		return telltale.Accepted{}, fmt.Errorf("ingest: storing %d events of project %s: %w", len(events), p.ID, err)
	}
	failpoint.Here("accept-committed")
	in.dispatcher.Offer(accepted)
	return accepted, nil
}

// newEvents makes the activities of one request into events. Of those that break
// the contract of their type it gives the faults instead; wrong is nil if there
// are none. came is what they were before they were completed: what would make one
// past the bounds is left out again.
func newEvents(project telltale.ProjectID, source string, came, completed []telltale.Activity) (events []*telltale.Event, wrong []error) {
	// To the millisecond, as times are stored.
	receivedAt := time.Now().UTC().Truncate(time.Millisecond)
	events = make([]*telltale.Event, len(came))
	for i := range came {
		e, faults := completed[i].Event(project, source, receivedAt)
		if len(faults) > 0 {
			e, faults = came[i].Event(project, source, receivedAt)
		}
		if len(faults) > 0 {
			if wrong == nil {
				wrong = make([]error, len(came))
			}
			wrong[i] = telltale.Faulty("The event is not valid.", faults)
			continue
		}
		events[i] = e
	}
	return events, wrong
}

// together is one error of everything that is wrong with the activities of a request.
func together(wrong []error) error {
	var found faults
	for _, err := range wrong {
		found.add(err, 0)
	}
	return found.err(len(wrong))
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
