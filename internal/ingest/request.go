package ingest

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"

	"telltale.example/telltale"
)

// Request names a request, so that repeating it accepts nothing twice: its
// events get ids that come of the name, with the hash of the whole request for
// their content. So nothing beside the events is stored, in the one transaction
// that stores them, and a crash comes before all of it or after. The zero value
// names nothing.
type Request struct {
	Caller telltale.KeyID // another key's request of that name is another request
	Name   string
	Hash   [sha256.Size]byte // of all that the request says
}

// name gives ids to the events whose activities have none of their own.
func (r Request) name(activities []telltale.Activity, events []*telltale.Event) {
	if r.Name == "" {
		return
	}
	sum := sha256.Sum256(fmt.Appendf(nil, "%q %q", r.Caller, r.Name))
	n := 0
	for i, e := range events {
		if activities[i].CallerID == "" {
			e.CallerID, e.ContentHash = fmt.Sprintf("idempotency-key:%x#%d", sum[:12], n), r.Hash
			n++
		}
	}
}

// first is the index of the first event that was named; -1 if there is none. An
// earlier request of the name had it too.
func (r Request) first(activities []telltale.Activity) int {
	if r.Name == "" {
		return -1
	}
	return slices.IndexFunc(activities, func(a telltale.Activity) bool { return a.CallerID == "" })
}

func (r Request) repeated(activities []telltale.Activity, accepted telltale.Accepted) bool {
	i := r.first(activities)
	return i >= 0 && i < len(accepted.Events) && accepted.Events[i].Duplicate
}

// clash is what the caller is told if another request had the name; nil if err
// is about something else.
func (r Request) clash(activities []telltale.Activity, err error) error {
	i := r.first(activities)
	var e *telltale.Error
	if i < 0 || !errors.As(err, &e) || e.Code != telltale.Conflict {
		return nil
	}
	at := fmt.Sprintf("body[%d].telltale.id", i)
	if !slices.ContainsFunc(e.Faults, func(f telltale.Fault) bool { return f.Location == at }) {
		return nil
	}
	return telltale.Faulty("Invalid request.", []telltale.Fault{{
		Location: "header.Idempotency-Key", Message: "The key was used for other events before.",
		Expected: "a new key for each request", Value: telltale.CutValue(r.Name),
	}})
}
