package web

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"telltale.example/telltale"
	"telltale.example/telltale/internal/feed"
)

const sourcesPath = "/settings/project/sources"

// Feeds is what the pages ask of the one that takes what mail providers post.
type Feeds interface {
	// Test posts a sample to the source as its provider would. Conflict if that
	// cannot be.
	Test(ctx context.Context, project telltale.Project, s *telltale.Source) (feed.TestResult, error)
	// Replay takes unrecognised requests again: those of the ids, or all if there
	// are none.
	Replay(ctx context.Context, project telltale.Project, s *telltale.Source, only []telltale.RequestID) (feed.ReplayResult, error)
}

// sourceRow is a source as pages show it.
type sourceRow struct {
	*telltale.Source
	Provider *feed.Provider // never nil
}

func rowOfSource(s *telltale.Source) sourceRow {
	p := feed.ProviderNamed(s.Provider)
	if p == nil { // a later version made the source
		p = &feed.Provider{Name: s.Provider, Title: s.Provider}
	}
	return sourceRow{s, p}
}

// Known reports whether this version knows the provider.
func (r sourceRow) Known() bool { return r.Provider.Verify != nil }

// Fares is how the source fares, in a word or two.
func (r sourceRow) Fares() badge {
	switch {
	case !r.Enabled:
		return badge{"quiet", "–", "Off"}
	case r.Tally.Failing():
		return badge{"bad", "✕", "Failing"}
	case r.Tally.Events > 0:
		return badge{"ok", "●", "Receiving"}
	}
	return badge{"quiet", "○", "Waiting for the first event…"}
}

// Last begins what says when the last event came.
func (r sourceRow) Last() string {
	if r.Tally.Events == 1 {
		return "1 event"
	}
	return counted(int(r.Tally.Events), "event", "events") + ", the last"
}

// Lacks names the credentials without which every request is refused; empty if
// none is missing.
func (r sourceRow) Lacks() string {
	var labels []string
	for _, c := range r.Provider.Missing(r.Source) {
		labels = append(labels, lowerFirst(c.Label))
	}
	return strings.Join(labels, " and the ")
}

// lowerFirst writes a label as it stands within a sentence. Abbreviations stay.
func lowerFirst(label string) string {
	if len(label) > 1 && label[1] >= 'A' && label[1] <= 'Z' {
		return label
	}
	return strings.ToLower(label[:min(1, len(label))]) + label[min(1, len(label)):]
}

// Counters says what came, but for what did not.
func (r sourceRow) Counters() string {
	t := r.Tally
	said := []string{counted(int(t.Requests), "request", "requests"), counted(int(t.Events), "event", "events")}
	for _, more := range []struct {
		n    int64
		word string
	}{{t.Duplicates, "had before"}, {t.Ignored, "ignored"}, {t.Unrecognised, "not understood"}, {t.Refused, "refused"}} {
		if more.n > 0 {
			said = append(said, count(int(more.n))+" "+more.word)
		}
	}
	return strings.Join(said, ", ")
}

// sourcesView is the list of the project's sources.
type sourcesView struct {
	frame
	Rows  []sourceRow
	Pager pager
}

// Ways are those for events to come in, for a project that has no source yet.
func (p *sourcesView) Ways() []way { return ways(p.call) }

// way is one for events to come in, as a card to choose.
type way struct{ Title, Hint, URL string }

// ways are all there are: the providers, and what posts by itself.
func ways(c *call) []way {
	var list []way
	for _, p := range feed.Providers() {
		list = append(list, way{p.Title, needs(p), c.path(sourcesPath + "/new?provider=" + url.QueryEscape(p.Name))})
	}
	return append(list,
		way{"Your own code", "Post events to the ingest API.", "/docs/guide"},
		way{"Vero", "What called Vero's Track API calls Telltale's.", "/docs/track-api"},
	)
}

// needs says what there is to copy from the provider's console.
func needs(p *feed.Provider) string {
	var labels []string
	for _, c := range p.Credentials {
		if !c.Made && !c.Optional {
			labels = append(labels, lowerFirst(c.Label))
		}
	}
	if len(labels) == 0 {
		return "You give it a URL with a password."
	}
	return "You need its " + strings.Join(labels, " and its ") + "."
}

func sourcesPage(c *call) error {
	p := &sourcesView{frame: frame{Title: "Sources", Section: "sources", Crumbs: c.settingsCrumbs("Sources")}}
	var err error
	_, p.Pager, err = c.listed(nil, func(page telltale.Page) (int, func(int) string, func(int, int), error) {
		sources, err := c.Store.Sources(c.r.Context(), c.project.ID, page)
		p.Rows = p.Rows[:0]
		for _, s := range sources {
			p.Rows = append(p.Rows, rowOfSource(s))
		}
		return len(p.Rows), func(i int) string { return string(p.Rows[i].ID) }, func(from, to int) { p.Rows = p.Rows[from:to] }, err
	})
	if err != nil {
		return err
	}
	failing := 0
	for _, r := range p.Rows {
		if r.Enabled && r.Tally.Failing() {
			failing++
		}
	}
	if failing > 0 {
		p.State = fmt.Sprintf("(%d failing)", failing)
	}
	if c.partial() {
		return c.part("sources", "list", p)
	}
	return c.page("sources", p)
}

// newSourceView asks which provider, and then for a name.
type newSourceView struct {
	frame
	Form     *form
	Provider *feed.Provider // nil: it is to be chosen
}

// Ways are those for events to come in.
func (p *newSourceView) Ways() []way { return ways(p.call) }

// Name is what was typed, or what suits.
func (p *newSourceView) Name() string {
	if p.Form != nil {
		return p.Form.Value("name")
	}
	return p.Provider.Title
}

func newSourcePage(c *call) error {
	return c.showNewSource(http.StatusOK, &newSourceView{Provider: feed.ProviderNamed(c.r.URL.Query().Get("provider"))})
}

func (c *call) showNewSource(status int, p *newSourceView) error {
	p.frame = frame{Title: "Add source", Section: "sources", Crumbs: c.sourceCrumbs("Add source")}
	return c.answer(status, "source-new", p)
}

func createSource(c *call) error {
	f, err := c.form()
	if err != nil {
		return err
	}
	provider := feed.ProviderNamed(f.text("provider"))
	if provider == nil {
		f.fault("", "Choose a provider.")
		return c.showNewSource(http.StatusUnprocessableEntity, &newSourceView{Form: f})
	}
	s := telltale.NewSource(c.project.ID, provider.Name, f.text("name"))
	provider.Complete(&s)
	if err := f.blame(feed.Validate(&s), nil); err != nil {
		return err
	}
	if !f.OK() {
		return c.showNewSource(http.StatusUnprocessableEntity, &newSourceView{Form: f, Provider: provider})
	}
	made, err := c.Store.CreateSource(c.r.Context(), s)
	if err != nil {
		return c.conflictNotice(c.path(sourcesPath), err)
	}
	return c.done(c.sourcePath(made.ID, ""), notice{Kind: "ok", Text: "Source added.", Detail: "What is left to do stands below.", Once: string(made.ID)})
}

// sourceCrumbs lead to a page below the list.
func (c *call) sourceCrumbs(name string) []link {
	crumbs := c.settingsCrumbs("Sources")
	crumbs[2].URL = c.path(sourcesPath)
	return append(crumbs, link{Text: name})
}

// source finds the source of the path. One of another project is not there.
func (c *call) source() (*telltale.Source, error) {
	s, err := c.Store.Source(c.r.Context(), c.project.ID, telltale.SourceID(c.r.PathValue("source")))
	return s, orNoPage(err, "There is no such source. It may have been deleted.")
}

// sourcePath is the address of something about the source.
func (c *call) sourcePath(id telltale.SourceID, rest string) string {
	return c.path(sourcesPath + "/" + string(id) + rest)
}

// changedSources is the event on which the pages of sources load themselves anew.
const changedSources = "sources"

// switchSource turns a source on or off. The form says to what, so that two
// people who press the switch at once do not undo each other.
func switchSource(c *call) error {
	f, err := c.form()
	if err != nil {
		return err
	}
	on := f.text("to") != "off"
	for range maxMerges {
		old, err := c.source()
		if err != nil {
			return err
		}
		changed := *old // a snapshot is shared: change a copy
		changed.Enabled = on
		s, err := c.Store.UpdateSource(c.r.Context(), changed)
		if telltale.CodeOf(err) == telltale.PreconditionFailed {
			continue
		}
		if err != nil {
			return orNoPage(err, "There is no such source. It may have been deleted.")
		}
		n := notice{Kind: "ok", Text: "Source turned on."}
		if !on {
			n = notice{Kind: "ok", Text: "Source turned off.", Detail: strings.TrimSpace("Requests are told to come back later. " + rowOfSource(s).Provider.Retries)}
		}
		return c.result(c.sourcePath(s.ID, ""), n, changedSources)
	}
	return telltale.Errorf(telltale.Conflict, "Others are changing this source. Try again.")
}

// testSource posts a sample and says what came of it.
func testSource(c *call) error {
	s, err := c.source()
	if err != nil {
		return err
	}
	result, err := c.Feeds.Test(c.r.Context(), c.project, s)
	switch {
	case telltale.CodeOf(err) == telltale.Conflict:
		return c.result(c.sourcePath(s.ID, ""), notice{Kind: "bad", Text: "There is no test.", Detail: messageOf(err)}, changedSources)
	case err != nil:
		return err
	}
	return c.result(c.sourcePath(s.ID, ""), c.testedNotice(result), changedSources)
}

// testedNotice is what whoever pressed Test reads.
func (c *call) testedNotice(r feed.TestResult) notice {
	if r.Message != "" || r.Status != http.StatusOK {
		return notice{Kind: "bad", Text: "Test failed.", Detail: strings.TrimSpace(fmt.Sprintf("The source answered %d. ", r.Status) + r.Message)}
	}
	n := notice{Kind: "ok", Text: "Test succeeded.", Detail: "The source answered 200: " + tookWords(r.Accepted, r.Duplicates) + "."}
	if r.Unrecognised > 0 {
		n.Kind, n.Detail = "warn", n.Detail+" "+counted(r.Unrecognised, "was", "were")+" not understood."
	}
	if r.Accepted > 0 {
		n.Actions = []action{{Text: "View events", URL: c.path("/events")}}
	}
	return n
}

// tookWords says what became of events.
func tookWords(accepted, duplicates int) string {
	said := counted(accepted, "event was", "events were") + " accepted"
	if duplicates > 0 {
		said += ", " + count(duplicates) + " had come before"
	}
	return said
}

// sourceDeleteView asks whether a source shall go.
type sourceDeleteView struct {
	frame
	Source sourceRow
	Kept   int // requests that were not understood, and go with it
}

// At is the address of something about the source.
func (p *sourceDeleteView) At(rest string) string { return p.call.sourcePath(p.Source.ID, rest) }

func deleteSourcePage(c *call) error {
	s, err := c.source()
	if err != nil {
		return err
	}
	p := &sourceDeleteView{frame: frame{Title: "Delete this source?", Section: "sources", Crumbs: c.sourceCrumbs(s.Name)}, Source: rowOfSource(s)}
	if p.Kept, err = c.Store.CountUnrecognised(c.r.Context(), c.project.ID, s.ID); err != nil {
		return orNoPage(err, "There is no such source. It may have been deleted.")
	}
	if c.partial() {
		return c.part("source-delete", "dialog", p)
	}
	return c.page("source-delete", p)
}

func deleteSource(c *call) error {
	gone, err := c.Store.DeleteSource(c.r.Context(), c.project.ID, telltale.SourceID(c.r.PathValue("source")), 0)
	if err != nil {
		return orNoPage(err, "There is no such source. It may have been deleted.")
	}
	return c.done(c.path(sourcesPath), notice{Kind: "ok", Text: "The source " + gone.Name + " is deleted.", Detail: "Its events stay."})
}
