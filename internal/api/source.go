package api

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"telltale.example/telltale"
	"telltale.example/telltale/internal/auth"
	"telltale.example/telltale/internal/feed"
	"telltale.example/telltale/internal/wire"
)

// Sources is what the API asks of the one that takes providers' requests.
type Sources interface {
	// Test posts a sample of the provider's to the source, signed with the source's
	// own credentials. Conflict if that cannot be.
	Test(ctx context.Context, project telltale.Project, s *telltale.Source) (feed.TestResult, error)
	// Replay takes unrecognised requests of the source again: those of the ids, or
	// all if there are none. NotFound for an id.
	Replay(ctx context.Context, project telltale.Project, s *telltale.Source, only []telltale.RequestID) (feed.ReplayResult, error)
}

type SourcePath struct {
	ID string `path:"id" doc:"The source's id." example:"src_01JD0000000000000000000000"`
	ProjectQuery
}

type UnrecognisedPath struct {
	ID      string `path:"id" doc:"The source's id." example:"src_01JD0000000000000000000000"`
	Request string `path:"request" doc:"The request's id." example:"req_01JD0000000000000000000000"`
	ProjectQuery
}

func (a *api) listProviders(context.Context, auth.Identity, *struct{ ProjectQuery }) (wire.Page[wire.Provider], error) {
	page := wire.Page[wire.Provider]{Data: []wire.Provider{}}
	for _, p := range feed.Providers() {
		page.Data = append(page.Data, formOfProvider(p))
	}
	return page, nil
}

func formOfProvider(p *feed.Provider) wire.Provider {
	out := wire.Provider{
		Name: p.Name, Title: p.Title, Credentials: []wire.ProviderCredential{}, Options: []wire.ProviderOption{}, Steps: append([]string{}, p.Steps...),
		Mapping: []wire.ProviderMapping{}, Metadata: p.Metadata, MetadataExample: p.MetadataExample, Retries: p.Retries,
		NoSent: p.NoSent, CanTest: p.Signer != nil, TestHint: p.TestHint,
	}
	for _, c := range p.Credentials {
		out.Credentials = append(out.Credentials, wire.ProviderCredential{Name: c.Name, Label: c.Label, Hint: c.Hint, Made: c.Made, Optional: c.Optional, Long: c.Long, Open: c.Open})
	}
	for _, o := range p.AllOptions() {
		out.Options = append(out.Options, wire.ProviderOption(o))
	}
	for _, m := range p.Mapping {
		out.Mapping = append(out.Mapping, wire.ProviderMapping{Event: m.Event, Type: string(m.Type), Detail: m.Detail})
	}
	return out
}

func (a *api) listSources(ctx context.Context, who auth.Identity, in *struct {
	ProjectQuery
	PageQuery
}) (wire.Page[wire.Source], error) {
	return paged(ctx, a, list{"sources", who.Project.ID}, in.PageQuery,
		func(s *telltale.Source) string { return string(s.ID) },
		func(s *telltale.Source) wire.Source { return a.formOfSource(who, s) },
		func(ctx context.Context, page telltale.Page) ([]*telltale.Source, error) {
			return a.config.Store.Sources(ctx, who.Project.ID, page)
		})
}

// formOfSource is the form that the caller may see: the URL is enough to post
// events, or even holds a password.
func (a *api) formOfSource(who auth.Identity, s *telltale.Source) wire.Source {
	out := wire.FromSource(s)
	p := feed.ProviderNamed(s.Provider)
	if p == nil { // a later version made it
		return out
	}
	if who.Key.Scope.Allows(telltale.ScopeManage) {
		out.URL = p.Address(a.config.PublicURL, s)
	}
	for _, c := range p.Credentials {
		value := s.Credentials[c.Name]
		shown := wire.SourceCredential{Set: value != ""}
		if c.Open {
			shown.Value = value
		}
		out.Credentials[c.Name] = shown
	}
	for _, c := range p.Missing(s) {
		out.Missing = append(out.Missing, c.Name)
	}
	return out
}

func (a *api) createSource(ctx context.Context, who auth.Identity, in *struct {
	ProjectQuery
	Body wire.SourceCreate
}) (wire.Source, error) {
	made := in.Body.New(who.Project.ID, titleOf(in.Body.Provider))
	if err := checkSource(&made); err != nil {
		return wire.Source{}, err
	}
	s, err := a.config.Store.CreateSource(ctx, made)
	if err != nil {
		return wire.Source{}, err
	}
	return a.formOfSource(who, s), nil
}

// titleOf is what people call the provider; its name, if there is none.
func titleOf(provider string) string {
	if p := feed.ProviderNamed(provider); p != nil {
		return p.Title
	}
	return provider
}

// checkSource makes what Telltale makes of a source, holds the whole against the
// rules, and puts it in order.
func checkSource(s *telltale.Source) error {
	if p := feed.ProviderNamed(s.Provider); p != nil {
		p.Complete(s)
	}
	if err := feed.Validate(s); err != nil {
		return err
	}
	slices.Sort(s.Options)
	s.Options = slices.Compact(s.Options)
	return nil
}

func (a *api) getSource(ctx context.Context, who auth.Identity, in *struct {
	SourcePath
	IfNoneMatch
}) (wire.Source, error) {
	s, err := a.source(ctx, who, in.ID)
	if err != nil {
		return wire.Source{}, err
	}
	return a.formOfSource(who, s), nil
}

func (a *api) source(ctx context.Context, who auth.Identity, id string) (*telltale.Source, error) {
	known, err := sourceID(id)
	if err != nil {
		return nil, err
	}
	s, err := a.config.Store.Source(ctx, who.Project.ID, known)
	return s, found(err, "source", id)
}

func (a *api) patchSource(ctx context.Context, who auth.Identity, in *struct {
	SourcePath
	IfMatch
	Body wire.SourcePatch
}) (wire.Source, error) {
	s, err := a.onSource(ctx, who, in.ID, func(old *telltale.Source, _ condition) (*telltale.Source, error) {
		changed := *old // a snapshot is shared: change a copy
		in.Body.Apply(&changed, titleOf(old.Provider))
		if err := checkSource(&changed); err != nil {
			return nil, err
		}
		return a.config.Store.UpdateSource(ctx, changed)
	})
	if err != nil {
		return wire.Source{}, err
	}
	return a.formOfSource(who, s), nil
}

func (a *api) deleteSource(ctx context.Context, who auth.Identity, in *struct {
	SourcePath
	IfMatch
}) error {
	_, err := a.onSource(ctx, who, in.ID, func(old *telltale.Source, seen condition) (*telltale.Source, error) {
		return a.config.Store.DeleteSource(ctx, who.Project.ID, old.ID, seen.version(old.Version))
	})
	return err
}

// onSource changes the source as it is now, on the condition that the request
// demands.
func (a *api) onSource(ctx context.Context, who auth.Identity, id string, change func(old *telltale.Source, seen condition) (*telltale.Source, error)) (*telltale.Source, error) {
	seen, err := a.condition(callOf(ctx))
	if err != nil {
		return nil, err
	}
	return onTop("source", id, seen,
		func() (*telltale.Source, error) { return a.source(ctx, who, id) },
		func(s *telltale.Source) versioned { return wire.FromSource(s) },
		func(old *telltale.Source) (*telltale.Source, error) { return change(old, seen) })
}

// testSource posts a sample as the provider would, and says how that went.
func (a *api) testSource(ctx context.Context, who auth.Identity, in *SourcePath) (wire.SourceTested, error) {
	s, err := a.source(ctx, who, in.ID)
	if err != nil {
		return wire.SourceTested{}, err
	}
	r, err := a.config.Sources.Test(ctx, who.Project, s)
	if err != nil {
		return wire.SourceTested{}, err
	}
	out := wire.SourceTested{
		Success: r.Message == "", Status: r.Status,
		Requests: r.Requests, Accepted: r.Accepted, Duplicates: r.Duplicates, Unrecognised: r.Unrecognised,
	}
	out.Message = "Test failed. " + r.Message
	if out.Success {
		out.Message = "Test succeeded. " + accepted(r.Accepted)
	}
	return out, nil
}

func accepted(events int) string {
	if events == 1 {
		return "1 event was accepted."
	}
	return fmt.Sprintf("%d events were accepted.", events)
}

func (a *api) listUnrecognised(ctx context.Context, who auth.Identity, in *struct {
	SourcePath
	PageQuery
}) (wire.Page[wire.UnrecognisedRequest], error) {
	id, err := sourceID(in.ID)
	if err != nil {
		return wire.Page[wire.UnrecognisedRequest]{}, err
	}
	page, err := paged(ctx, a, list{"unrecognised/" + string(id), who.Project.ID}, in.PageQuery,
		func(r telltale.UnrecognisedRequest) string { return string(r.ID) }, wire.FromUnrecognised,
		func(ctx context.Context, page telltale.Page) ([]telltale.UnrecognisedRequest, error) {
			return a.config.Store.UnrecognisedRequests(ctx, who.Project.ID, id, page)
		})
	return page, found(err, "source", in.ID)
}

func (a *api) getUnrecognised(ctx context.Context, who auth.Identity, in *UnrecognisedPath) (wire.UnrecognisedRequest, error) {
	r, err := a.unrecognised(ctx, who, in)
	return wire.FromUnrecognised(r), err
}

func (a *api) unrecognised(ctx context.Context, who auth.Identity, in *UnrecognisedPath) (telltale.UnrecognisedRequest, error) {
	s, err := a.source(ctx, who, in.ID)
	if err != nil {
		return telltale.UnrecognisedRequest{}, err
	}
	id, err := requestID(in.Request)
	if err != nil {
		return telltale.UnrecognisedRequest{}, err
	}
	r, err := a.config.Store.UnrecognisedRequest(ctx, who.Project.ID, s.ID, id)
	return r, found(err, "request", in.Request)
}

func (a *api) dropUnrecognised(ctx context.Context, who auth.Identity, in *UnrecognisedPath) error {
	r, err := a.unrecognised(ctx, who, in)
	if err != nil {
		return err
	}
	source, err := a.config.Store.Source(ctx, who.Project.ID, r.SourceID)
	if err != nil {
		return err
	}
	ids := []telltale.RequestID{r.ID}
	if err := a.config.Store.Audit(ctx, telltale.DroppedEntry(source, ids)); err != nil {
		return err
	}
	return a.config.Store.DropUnrecognised(ctx, who.Project.ID, r.SourceID, ids)
}

// maxReplayedIDs bounds the requests that are taken again by their ids.
const maxReplayedIDs = 1000

func (a *api) replayUnrecognised(ctx context.Context, who auth.Identity, in *struct {
	SourcePath
	Body *wire.UnrecognisedReplay
}) (wire.UnrecognisedReplayed, error) {
	s, err := a.source(ctx, who, in.ID)
	if err != nil {
		return wire.UnrecognisedReplayed{}, err
	}
	var only []telltale.RequestID
	if in.Body != nil {
		if only, err = requestIDs(in.Body.IDs); err != nil {
			return wire.UnrecognisedReplayed{}, err
		}
	}
	r, err := a.config.Sources.Replay(ctx, who.Project, s, only)
	if telltale.CodeOf(err) == telltale.NotFound {
		err = telltale.Errorf(telltale.NotFound, "The source does not keep every request of body.ids: one was taken again or removed meanwhile. Those before it were taken again.")
	}
	return wire.UnrecognisedReplayed{Understood: r.Understood, Accepted: r.Accepted, Duplicates: r.Duplicates, Left: r.Left}, err
}

// requestIDs reads a list of ids: each once, the oldest first; nil stands for all.
func requestIDs(ids []string) ([]telltale.RequestID, error) {
	if ids == nil {
		return nil, nil
	}
	if len(ids) == 0 || len(ids) > maxReplayedIDs {
		return nil, telltale.Faulty("Invalid replay.", []telltale.Fault{{
			Location: "body.ids", Message: fmt.Sprintf("There are %d ids.", len(ids)), Expected: fmt.Sprintf("1 to %d, or none of the field ids for all", maxReplayedIDs),
		}})
	}
	out := make([]telltale.RequestID, len(ids))
	var faults []telltale.Fault
	for i, id := range ids {
		if out[i] = telltale.RequestID(id); !telltale.ValidID("req_", id) && len(faults) < maxFaults {
			faults = append(faults, telltale.Fault{Location: fmt.Sprintf("body.ids[%d]", i), Message: "This is no id of a request.", Expected: "req_ and 26 characters", Value: telltale.CutValue(id)})
		}
	}
	slices.SortFunc(out, func(a, b telltale.RequestID) int { return strings.Compare(string(a), string(b)) })
	return slices.Compact(out), telltale.Faulty("Invalid replay.", faults)
}
