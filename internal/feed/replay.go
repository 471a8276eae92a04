package feed

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"slices"
	"time"

	"telltale.example/telltale"
)

// ReplayResult is what became of unrecognised requests that were taken again.
type ReplayResult struct {
	Understood int // requests, which are kept no longer
	Left       int // requests that are not understood now, either
	Accepted   int // events
	Duplicates int
}

// Replay takes unrecognised requests of a source again, the oldest first: those of
// the ids, or all if there are none. What is understood by now becomes events and
// is kept no longer. After an error, those before it are done, and it may be
// called again.
func (h *Handler) Replay(ctx context.Context, project telltale.Project, s *telltale.Source, only []telltale.RequestID) (ReplayResult, error) {
	var result ReplayResult
	p := ProviderNamed(s.Provider)
	if p == nil {
		return result, telltale.Errorf(telltale.Conflict, "This version knows no provider %q.", s.Provider)
	}
	ids := only
	if len(ids) == 0 {
		var err error
		if ids, err = h.unrecognised(ctx, project, s); err != nil {
			return result, err
		}
	}
	for _, id := range ids {
		kept, err := h.Store.UnrecognisedRequest(ctx, project.ID, s.ID, id)
		if telltale.CodeOf(err) == telltale.NotFound && len(only) == 0 {
			continue // somebody else has done it
		}
		if err != nil {
			return result, err
		}
		if err := h.again(ctx, s, p, kept, &result); err != nil {
			return result, fmt.Errorf("feed: taking request %s again: %w", id, err)
		}
	}
	if result.Accepted+result.Duplicates > 0 {
		now := time.Now().UTC()
		h.tallies.note(s.ID, telltale.SourceTally{Events: int64(result.Accepted), Duplicates: int64(result.Duplicates), LastEventAt: now})
	}
	return result, nil
}

// unrecognised lists what the source keeps, the oldest first.
func (h *Handler) unrecognised(ctx context.Context, project telltale.Project, s *telltale.Source) (ids []telltale.RequestID, err error) {
	page := telltale.Page{Limit: telltale.MaxPage}
	for {
		some, err := h.Store.UnrecognisedRequests(ctx, project.ID, s.ID, page)
		if err != nil {
			return nil, err
		}
		for _, r := range some {
			ids = append(ids, r.ID)
		}
		if len(some) < page.Limit {
			slices.Reverse(ids)
			return ids, nil
		}
		page.After = string(some[len(some)-1].ID)
	}
}

// again takes one request again. It is dropped when all of it was understood, or
// when the parts that were not are kept by themselves.
func (h *Handler) again(ctx context.Context, s *telltale.Source, p *Provider, kept telltale.UnrecognisedRequest, result *ReplayResult) error {
	r := &Request{Method: http.MethodPost, Header: http.Header{"Content-Type": {kept.ContentType}}, Body: kept.Body}
	said, rest, err := h.accept(ctx, r, s, p, kept.ReceivedAt)
	if err != nil {
		return err
	}
	result.Accepted += said.Accepted
	result.Duplicates += said.Duplicates
	if slices.ContainsFunc(rest, func(r telltale.UnrecognisedRequest) bool { return bytes.Equal(r.Body, kept.Body) }) {
		result.Left++
		return nil
	}
	if len(rest) > 0 {
		if err := h.Store.KeepUnrecognised(ctx, rest); err != nil {
			return err
		}
		result.Left += len(rest)
	}
	result.Understood++
	return h.Store.DropUnrecognised(ctx, s.ProjectID, s.ID, []telltale.RequestID{kept.ID})
}
