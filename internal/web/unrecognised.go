package web

import (
	"net/url"

	"telltale.example/telltale"
	"telltale.example/telltale/internal/feed"
)

// unrecognisedView lists the requests of a source that were not understood.
type unrecognisedView struct {
	frame
	Source sourceRow
	Rows   []telltale.UnrecognisedRequest // without bodies
	Count  int
	Pager  pager
}

// At is the address of something about the source.
func (p *unrecognisedView) At(rest string) string { return p.call.sourcePath(p.Source.ID, rest) }

// unrecognisedPath is the list, below a source.
const unrecognisedPath = "/unrecognised"

func unrecognisedPage(c *call) error {
	s, err := c.source()
	if err != nil {
		return err
	}
	p := &unrecognisedView{frame: frame{Title: "Not understood", Section: "sources", Wide: true, Crumbs: c.unrecognisedCrumbs(s, "")}, Source: rowOfSource(s)}
	_, p.Pager, err = c.listed(url.Values{}, func(page telltale.Page) (int, func(int) string, func(int, int), error) {
		var err error
		p.Rows, err = c.Store.UnrecognisedRequests(c.r.Context(), c.project.ID, s.ID, page)
		return len(p.Rows), func(i int) string { return string(p.Rows[i].ID) }, func(from, to int) { p.Rows = p.Rows[from:to] }, err
	})
	if err != nil {
		return orNoPage(err, "There is no such source. It may have been deleted.")
	}
	if p.Count, err = c.Store.CountUnrecognised(c.r.Context(), c.project.ID, s.ID); err != nil {
		return orNoPage(err, "There is no such source. It may have been deleted.")
	}
	return c.page("unrecognised", p)
}

// unrecognisedCrumbs lead to the list, or to a request below it.
func (c *call) unrecognisedCrumbs(s *telltale.Source, request telltale.RequestID) []link {
	crumbs := c.sourceCrumbs(s.Name)
	crumbs[3].URL = c.sourcePath(s.ID, "")
	if request == "" {
		return append(crumbs, link{"Not understood", ""})
	}
	return append(crumbs, link{"Not understood", c.sourcePath(s.ID, unrecognisedPath)}, link{string(request), ""})
}

// unrecognisedRequestView is one of them, with its body.
type unrecognisedRequestView struct {
	frame
	Source  sourceRow
	Request telltale.UnrecognisedRequest
	Cut     bool // the page shows its beginning only
}

// At is the address of something about the source.
func (p *unrecognisedRequestView) At(rest string) string { return p.call.sourcePath(p.Source.ID, rest) }

// Text is the body as people read it.
func (p *unrecognisedRequestView) Text() string {
	if p.Cut {
		return printable(p.Request.Body[:maxShownBody])
	}
	return pretty(p.Request.Body)
}

// Size is how long the body is.
func (p *unrecognisedRequestView) Size() string { return byteCount(int64(len(p.Request.Body))) }

// maxShownBody bounds what a page shows of a body, in bytes.
const maxShownBody = 256 << 10

func unrecognisedRequestPage(c *call) error {
	s, err := c.source()
	if err != nil {
		return err
	}
	r, err := c.Store.UnrecognisedRequest(c.r.Context(), c.project.ID, s.ID, telltale.RequestID(c.r.PathValue("request")))
	if err != nil {
		return orNoPage(err, "There is no such request: it was understood meanwhile, deleted, or kept for 30 days.")
	}
	return c.page("unrecognised-request", &unrecognisedRequestView{
		frame:  frame{Title: "A request that was not understood", Section: "sources", Crumbs: c.unrecognisedCrumbs(s, r.ID)},
		Source: rowOfSource(s), Request: r, Cut: len(r.Body) > maxShownBody,
	})
}

// chosenRequests are those that were ticked, or the one whose page it was.
func chosenRequests(f *form) []telltale.RequestID {
	var ids []telltale.RequestID
	for _, id := range f.Values["id"] {
		ids = append(ids, telltale.RequestID(id))
	}
	return ids
}

// nothingChosen is what whoever ticked nothing reads.
var nothingChosen = notice{Kind: "bad", Text: "Nothing was selected.", Detail: "Tick the requests first."}

// replayUnrecognised has requests taken once more: this version may understand them.
func replayUnrecognised(c *call) error {
	f, err := c.form()
	if err != nil {
		return err
	}
	s, err := c.source()
	if err != nil {
		return err
	}
	back, only := c.sourcePath(s.ID, unrecognisedPath), chosenRequests(f)
	if f.ticked("all") {
		only = nil
	} else if len(only) == 0 {
		return c.done(back, nothingChosen)
	}
	result, err := c.Feeds.Replay(c.r.Context(), c.project, s, only)
	if err != nil {
		return c.conflictNotice(back, orNoPage(err, "There is no such request: it was understood meanwhile, deleted, or kept for 30 days."))
	}
	return c.done(back, replayedNotice(result))
}

// replayedNotice says what came of requests that were replayed.
func replayedNotice(r feed.ReplayResult) notice {
	n := notice{Kind: "ok", Text: counted(r.Understood, "request was", "requests were") + " understood.", Detail: tookWords(r.Accepted, r.Duplicates) + "."}
	left := counted(r.Left, "request is", "requests are") + " still not understood."
	switch {
	case r.Understood == 0 && r.Left == 0:
		return notice{Kind: "info", Text: "There was nothing to replay."}
	case r.Understood == 0:
		return notice{Kind: "warn", Text: "Nothing more was understood.", Detail: left + " A later version may."}
	case r.Left > 0:
		n.Kind, n.Detail = "warn", n.Detail+" "+left
	}
	return n
}

// dropUnrecognised removes requests that nobody needs.
func dropUnrecognised(c *call) error {
	f, err := c.form()
	if err != nil {
		return err
	}
	s, err := c.source()
	if err != nil {
		return err
	}
	back, ids := c.sourcePath(s.ID, unrecognisedPath), chosenRequests(f)
	if len(ids) == 0 {
		return c.done(back, nothingChosen)
	}
	if err := c.Store.Audit(c.r.Context(), telltale.DroppedEntry(s, ids)); err != nil {
		return err
	}
	if err := c.Store.DropUnrecognised(c.r.Context(), c.project.ID, s.ID, ids); err != nil {
		return orNoPage(err, "There is no such source. It may have been deleted.")
	}
	return c.done(back, notice{Kind: "ok", Text: counted(len(ids), "request", "requests") + " deleted."})
}
