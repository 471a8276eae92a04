package ingest

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"telltale.example/telltale"
)

// Feed is what a mail provider said in one request.
type Feed struct {
	Source string
	// Activities have a caller's id each, which comes of the provider's: it alone
	// decides whether one is a repetition.
	Activities []telltale.Activity
	Nonces     []telltale.Nonce
}

// AcceptFeed is [Ingest.Accept] for a provider, which cannot be told to mend what
// it says: an activity that breaks the contract of its type is left out, with what
// is wrong in its place, and the others are accepted. wrong is nil if all were; the
// answer has one entry per activity, an empty one for what was left out.
//
// It gives Conflict if a nonce was used for something else, RateLimited and
// Unavailable as Accept does, and then nothing is stored.
func (in *Ingest) AcceptFeed(ctx context.Context, p telltale.Project, f Feed) (accepted telltale.Accepted, wrong []error, err error) {
	if len(f.Activities) == 0 && len(f.Nonces) == 0 {
		return telltale.Accepted{}, nil, nil
	}
	started := time.Now()
	accepted, wrong, err = in.acceptFeed(ctx, p, f)
	in.metrics.observe(accepted, err, time.Since(started))
	return accepted, wrong, err
}

func (in *Ingest) acceptFeed(ctx context.Context, p telltale.Project, f Feed) (telltale.Accepted, []error, error) {
	if err := in.rates.take(p, len(f.Activities)); err != nil {
		return telltale.Accepted{}, nil, err
	}
	activities := slices.Clone(f.Activities)
	if err := in.followKinds(ctx, p.ID, activities); err != nil {
		return telltale.Accepted{}, nil, err
	}
	completed, err := in.complete(ctx, p.ID, activities)
	if err != nil {
		return telltale.Accepted{}, nil, err
	}
	for i := range completed {
		nameMessage(&completed[i])
	}
	events, wrong := newEvents(p.ID, f.Source, activities, completed)
	for _, e := range events {
		if e != nil {
			e.ContentHash = sha256.Sum256([]byte(e.CallerID))
		}
	}
	accepted, err := in.storeFeed(ctx, p, f, events, &wrong)
	if err != nil {
		return telltale.Accepted{}, nil, fmt.Errorf("ingest: storing %d events of project %s from %s: %w", len(events), p.ID, f.Source, err)
	}
	in.dispatcher.Offer(accepted)
	return accepted, wrong, nil
}

// storeFeed stores the events that there are. One whose id somebody else has used
// for another event is left out, too: it would stand in the way of the others
// whenever they came.
func (in *Ingest) storeFeed(ctx context.Context, p telltale.Project, f Feed, events []*telltale.Event, wrong *[]error) (telltale.Accepted, error) {
	for {
		acceptance := telltale.Acceptance{ProjectID: p.ID, Room: in.dispatcher, Nonces: f.Nonces}
		places := make([]int, 0, len(events))
		for i, e := range events {
			if e != nil {
				acceptance.Events, places = append(acceptance.Events, e), append(places, i)
			}
		}
		if len(places) == 0 && len(f.Nonces) == 0 {
			return telltale.Accepted{Events: make([]telltale.AcceptedEvent, len(events))}, nil
		}
		accepted, err := in.store.AcceptEvents(ctx, acceptance)
		if err == nil {
			return spread(accepted, places, len(events)), nil
		}
		clashes := clashing(err, len(places))
		if len(clashes) == 0 {
			return telltale.Accepted{}, err
		}
		if *wrong == nil {
			*wrong = make([]error, len(events))
		}
		for _, n := range clashes {
			(*wrong)[places[n]] = telltale.Errorf(telltale.Conflict, "Another event was posted under the id %q.", events[places[n]].CallerID)
			events[places[n]] = nil
		}
	}
}

// spread gives the answers the places that their activities had.
func spread(accepted telltale.Accepted, places []int, n int) telltale.Accepted {
	if len(places) < n {
		answers := make([]telltale.AcceptedEvent, n)
		for i, place := range places {
			answers[place] = accepted.Events[i]
		}
		accepted.Events = answers
	}
	return accepted
}

// clashing gives the places of the events that another one's id stands in the way
// of; none if the error is about something else, too.
func clashing(err error, n int) (places []int) {
	var e *telltale.Error
	if !errors.As(err, &e) || e.Code != telltale.Conflict {
		return nil
	}
	for _, fault := range e.Faults {
		i, ok := cutIndex(fault.Location, "body[", "].telltale.id")
		if !ok || i >= n {
			return nil
		}
		places = append(places, i)
	}
	return places
}

func cutIndex(s, before, after string) (int, bool) {
	if len(s) < len(before)+len(after) || s[:len(before)] != before || s[len(s)-len(after):] != after {
		return 0, false
	}
	i, err := strconv.Atoi(s[len(before) : len(s)-len(after)])
	return i, err == nil && i >= 0
}

// followKinds makes the ids of users numbers where their profiles have numbers:
// most providers carry nothing but strings, and an id that looks like a number may
// be either.
func (in *Ingest) followKinds(ctx context.Context, project telltale.ProjectID, activities []telltale.Activity) error {
	var users []telltale.UserRef
	place := map[string]int{} // of a user in users, by id
	for i := range activities {
		id := activities[i].UserID()
		if _, known := place[id]; known || !looksLikeNumber(id) {
			continue
		}
		place[id] = len(users)
		users = append(users, telltale.NamedUser(id, ""))
	}
	if len(users) == 0 {
		return nil
	}
	profiles, err := in.store.ProfilesByRef(ctx, project, users)
	if err != nil {
		return fmt.Errorf("ingest: looking for %d users of project %s: %w", len(users), project, err)
	}
	for i := range activities {
		n, ok := place[activities[i].UserID()]
		if !ok || profiles[n] == nil || profiles[n].GivenID == activities[i].User.Get("id") {
			continue
		}
		activities[i] = activities[i].Clone()
		if err := activities[i].User.Set("id", []byte(profiles[n].GivenID)); err != nil {
			return fmt.Errorf("ingest: the id of profile %s: %w", profiles[n].ID, err)
		}
	}
	return nil
}

func looksLikeNumber(s string) bool {
	if s == "" {
		return false
	}
	for _, c := range []byte(s) {
		if (c < '0' || c > '9') && c != '-' && c != '.' {
			return false
		}
	}
	return true
}

// nameMessage gives a message of which only the provider's id is known that for
// its name.
func nameMessage(a *telltale.Activity) {
	if id := a.ProviderMessageID; id != "" && a.Type.OfMessage() && a.MessageID() == "" {
		*a = a.Clone()
		a.CompleteFrom(&telltale.Message{MessageID: id})
	}
}
