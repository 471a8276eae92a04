package storetest

import (
	"bytes"
	"fmt"
	"strings"
	"time"

	"telltale.example/telltale"
)

// newSource makes a source of the default project.
func (w *world) newSource(change ...func(*telltale.Source)) *telltale.Source {
	w.Helper()
	s := telltale.NewSource(w.project.ID, "sendgrid", "Newsletters")
	s.CreatedAt, s.UpdatedAt = milli(w.Now()), milli(w.Now())
	for _, c := range change {
		c(&s)
	}
	made, err := w.CreateSource(w.ctx, s)
	w.must(err)
	return made
}

// everyOption gives a source something in each of its fields.
func everyOption(s *telltale.Source) {
	s.Provider, s.Name = "mailgun", "All of it — “ünïcode” & <tags>"
	s.Credentials = map[string]string{"signing_key": "hush\n\"hush\"", "username": "jo"}
	s.Options = []string{"count_machine_opens", "sent_on_delivery"}
	s.Enabled = false
}

func (w *world) source(id telltale.SourceID) *telltale.Source {
	w.Helper()
	s, err := w.Source(w.ctx, w.project.ID, id)
	w.must(err)
	return s
}

func (w *world) note(id telltale.SourceID, t telltale.SourceTally) {
	w.Helper()
	w.must(w.NoteSources(w.ctx, map[telltale.SourceID]telltale.SourceTally{id: t}))
}

// newUnrecognised makes a request of the source, which is not kept yet.
func (w *world) newUnrecognised(s *telltale.Source, body string) telltale.UnrecognisedRequest {
	return telltale.UnrecognisedRequest{
		ID: telltale.NewRequestID(), SourceID: s.ID, ProjectID: s.ProjectID, ReceivedAt: milli(w.Now()),
		Reason: "The event's type “novel” is not known.", ContentType: "application/json", Body: []byte(body), Size: len(body),
	}
}

// keep keeps requests with these bodies, one after another.
func (w *world) keep(s *telltale.Source, bodies ...string) []telltale.UnrecognisedRequest {
	w.Helper()
	requests := make([]telltale.UnrecognisedRequest, len(bodies))
	for i, body := range bodies {
		requests[i] = w.newUnrecognised(s, body)
		w.must(w.KeepUnrecognised(w.ctx, requests[i:i+1]))
	}
	return requests
}

func (w *world) unrecognised(s *telltale.Source) []telltale.UnrecognisedRequest {
	w.Helper()
	requests, err := w.UnrecognisedRequests(w.ctx, s.ProjectID, s.ID, telltale.Page{Limit: telltale.MaxPage})
	w.must(err)
	return requests
}

func (w *world) keeps(s *telltale.Source, want int) {
	w.Helper()
	n, err := w.CountUnrecognised(w.ctx, s.ProjectID, s.ID)
	w.must(err)
	w.equal("how many it keeps", n, want)
}

// nowhere are where a source is not found: in another project, and what does
// not exist or is deleted.
func (w *world) nowhere(s *telltale.Source) []telltale.Source {
	w.Helper()
	deleted := w.newSource()
	_, err := w.DeleteSource(w.ctx, w.project.ID, deleted.ID, 0)
	w.must(err)
	other := w.newProject("other")
	var all []telltale.Source
	for _, at := range []struct {
		project telltale.ProjectID
		id      telltale.SourceID
	}{{other.ID, s.ID}, {w.project.ID, telltale.NewSourceID()}, {w.project.ID, deleted.ID}, {w.project.ID, "nonsense"}, {"", s.ID}} {
		moved := *s
		moved.ProjectID, moved.ID = at.project, at.id
		all = append(all, moved)
	}
	return all
}

var sourceTests = []test{
	{"a source is read back as it was made, also after a restart", func(w *world) {
		for _, s := range []*telltale.Source{w.newSource(), w.newSource(everyOption)} {
			for range 2 {
				w.equal("the source", w.source(s.ID), s)
				found, err := w.SourceByToken(w.ctx, s.Token)
				w.must(err)
				w.equal("the source by its token", found, s)
				w.restart()
			}
		}
	}},
	{"what is made is what was asked for, and nothing has come to it", func(w *world) {
		var asked telltale.Source
		made := w.newSource(everyOption, func(s *telltale.Source) {
			asked = *s
			s.Tally = telltale.SourceTally{Requests: 1, LastEventAt: milli(w.Now())}
		})
		w.equal("the source", *made, asked)
		bare := w.newSource(func(s *telltale.Source) { s.Credentials, s.Options = nil, []string{} })
		w.equal("the source without credentials", w.source(bare.ID), bare)
	}},
	{"a snapshot does not change with what it was made from", func(w *world) {
		var asked telltale.Source
		made := w.newSource(everyOption, func(s *telltale.Source) { asked = *s })
		asked.Credentials["signing_key"], asked.Options[0] = "changed", "changed"
		w.equal("the credential", made.Credentials["signing_key"], "hush\n\"hush\"")
		w.equal("the option", made.Options[0], "count_machine_opens")
	}},
	{"options are in alphabetical order", func(w *world) {
		made := w.newSource(func(s *telltale.Source) { s.Options = []string{"b", "c", "a"} })
		w.equal("the options", made.Options, []string{"a", "b", "c"})
		w.equal("the source", w.source(made.ID), made)
	}},
	{"a source of another project is not found, like one that does not exist or is deleted", func(w *world) {
		s := w.newSource(everyOption)
		for _, at := range w.nowhere(s) {
			_, err := w.Source(w.ctx, at.ProjectID, at.ID)
			w.code(telltale.NotFound, err)
			_, err = w.UpdateSource(w.ctx, at)
			w.code(telltale.NotFound, err)
			_, err = w.DeleteSource(w.ctx, at.ProjectID, at.ID, 0)
			w.code(telltale.NotFound, err)
		}
		w.equal("the source that nobody could reach", w.source(s.ID), s)
	}},
	{"a source's token finds it until it is deleted", func(w *world) {
		s, other := w.newSource(), w.newSource(func(s *telltale.Source) { s.ProjectID = w.newProject("other").ID })
		for _, want := range []*telltale.Source{s, other} {
			got, err := w.SourceByToken(w.ctx, want.Token)
			w.must(err)
			w.equal("the source", got, want)
		}
		for _, token := range []telltale.SourceToken{"", "nonsense", telltale.SourceToken(s.ID), telltale.SourceToken(strings.ToUpper(string(s.Token)))} {
			_, err := w.SourceByToken(w.ctx, token)
			w.code(telltale.NotFound, err)
		}
		_, err := w.DeleteSource(w.ctx, w.project.ID, s.ID, 0)
		w.must(err)
		_, err = w.SourceByToken(w.ctx, s.Token)
		w.code(telltale.NotFound, err)
	}},
	{"sources are listed newest first, without other projects'", func(w *world) {
		other := w.newProject("other")
		w.newSource(func(s *telltale.Source) { s.ProjectID = other.ID })
		a, b, c := w.newSource(everyOption), w.newSource(), w.newSource()
		_, err := w.DeleteSource(w.ctx, w.project.ID, b.ID, 0)
		w.must(err)
		for range 2 {
			sources, err := w.Sources(w.ctx, w.project.ID, telltale.Page{Limit: 10})
			w.must(err)
			w.equal("the sources", sources, []*telltale.Source{c, a})
			w.restart()
		}
		sources, err := w.Sources(w.ctx, telltale.NewProjectID(), telltale.Page{Limit: 10})
		w.must(err)
		w.equal("the sources of no project", len(sources), 0)
	}},
	{"sources are paged", func(w *world) {
		for range 7 {
			w.newSource()
		}
		pages(w, func(p telltale.Page) ([]*telltale.Source, error) { return w.Sources(w.ctx, w.project.ID, p) },
			func(s *telltale.Source) string { return string(s.ID) })
	}},
	{"a project has a bounded number of sources", func(w *world) {
		first := w.newSource()
		for range telltale.MaxSources - 1 {
			w.newSource()
		}
		_, err := w.CreateSource(w.ctx, telltale.NewSource(w.project.ID, "ses", "One more"))
		w.code(telltale.Conflict, err)
		w.newSource(func(s *telltale.Source) { s.ProjectID = w.newProject("other").ID })
		_, err = w.DeleteSource(w.ctx, w.project.ID, first.ID, 0)
		w.must(err)
		w.newSource()
	}},
	{"a source is made once, and for a project that there is", func(w *world) {
		s := w.newSource()
		again := *s
		again.Token = telltale.NewSource(w.project.ID, "", "").Token
		_, err := w.CreateSource(w.ctx, again)
		w.code(telltale.Conflict, err)
		again = telltale.NewSource(w.project.ID, "ses", "The same address")
		again.Token = s.Token
		_, err = w.CreateSource(w.ctx, again)
		w.code(telltale.Conflict, err)
		if strings.Contains(err.Error(), string(s.Token)) {
			w.Fatalf("the error tells the token: %v", err)
		}
		_, err = w.CreateSource(w.ctx, telltale.NewSource(telltale.NewProjectID(), "ses", "Nobody's"))
		w.code(telltale.NotFound, err)
	}},
	{"an update replaces the settings and nothing else", func(w *world) {
		s := w.newSource()
		w.note(s.ID, telltale.SourceTally{Requests: 3})
		w.Advance(time.Minute)
		wanted := *s
		everyOption(&wanted)
		wanted.Provider, wanted.Token, wanted.CreatedAt, wanted.Tally = "ses", "another", s.CreatedAt.Add(time.Hour), telltale.SourceTally{Requests: 7}
		updated, err := w.UpdateSource(w.ctx, wanted)
		w.must(err)
		wanted.Version, wanted.UpdatedAt = s.Version+1, milli(w.Now())
		wanted.Provider, wanted.Token, wanted.CreatedAt, wanted.Tally = s.Provider, s.Token, s.CreatedAt, telltale.SourceTally{Requests: 3}
		w.equal("what is answered", *updated, wanted)
		w.restart()
		w.equal("the source", *w.source(s.ID), wanted)

		bare := *updated
		bare.Credentials, bare.Options, bare.Enabled = nil, nil, true
		updated, err = w.UpdateSource(w.ctx, bare)
		w.must(err)
		w.equal("what it is verified with", len(updated.Credentials)+len(updated.Options), 0)
		w.equal("the bare source", w.source(s.ID), updated)
	}},
	{"of two updates of one version the second is refused", func(w *world) {
		s := w.newSource()
		first, second := *s, *s
		first.Name, second.Name = "First", "Second"
		_, err := w.UpdateSource(w.ctx, first)
		w.must(err)
		_, err = w.UpdateSource(w.ctx, second)
		w.code(telltale.PreconditionFailed, err)
		w.equal("the name", w.source(s.ID).Name, "First")
		_, err = w.DeleteSource(w.ctx, w.project.ID, s.ID, s.Version)
		w.code(telltale.PreconditionFailed, err)
		deleted, err := w.DeleteSource(w.ctx, w.project.ID, s.ID, s.Version+1)
		w.must(err)
		w.equal("the deleted source", deleted.Name, "First")
	}},
	{"who changed a source is in the audit log, without credentials", func(w *world) {
		s := telltale.NewSource(w.project.ID, "sendgrid", "Newsletters")
		s.Credentials = map[string]string{"public_key": "hush"}
		of := func(action telltale.AuditAction, name string, changes ...telltale.AuditChange) telltale.AuditEntry {
			return telltale.AuditEntry{ProjectID: w.project.ID, Action: action, Target: string(s.ID), Name: name, Changes: changes}
		}
		w.noted("making", func() {
			_, err := w.CreateSource(w.ctx, s)
			w.must(err)
		}, of(telltale.AuditSourceCreated, "Newsletters", change("provider", "", "sendgrid"), change("name", "", "Newsletters"), change("enabled", "", "true"),
			change("credentials.public_key", "", telltale.Redacted)))
		w.noted("changing", func() {
			s.Name, s.Enabled, s.Credentials = "Mails", false, map[string]string{"public_key": "more hush", "username": "jo"}
			_, err := w.UpdateSource(w.ctx, s)
			w.must(err)
		}, of(telltale.AuditSourceChanged, "Mails", change("name", "Newsletters", "Mails"), change("enabled", "true", ""),
			change("credentials.public_key", telltale.Redacted, telltale.Redacted), change("credentials.username", "", telltale.Redacted)))
		w.noted("what is refused", func() {
			_, err := w.UpdateSource(w.ctx, s)
			w.code(telltale.PreconditionFailed, err)
		})
		w.noted("what comes to it", func() {
			w.note(s.ID, telltale.SourceTally{Requests: 1})
			w.keep(&s, "a")
		})
		w.noted("deleting", func() {
			_, err := w.DeleteSource(w.ctx, w.project.ID, s.ID, 0)
			w.must(err)
		}, of(telltale.AuditSourceDeleted, "Mails"))
	}},

	{"tallies add up", func(w *world) {
		a, b := w.newSource(), w.newSource()
		var of [2]telltale.SourceTally
		for i := range 3 {
			w.Advance(time.Minute)
			ones := telltale.SourceTally{
				Requests: 1, Events: 20, Duplicates: 300, Ignored: 4000, Unrecognised: 50_000, Refused: 600_000,
				LastRequestAt: milli(w.Now()), LastEventAt: milli(w.Now()), LastFailure: fmt.Sprint("It failed for the ", i, ". time."), LastFailureAt: milli(w.Now()),
			}
			w.must(w.NoteSources(w.ctx, map[telltale.SourceID]telltale.SourceTally{a.ID: ones, b.ID: {Requests: 1 << 40}}))
			of[0].Add(ones)
			of[1].Add(telltale.SourceTally{Requests: 1 << 40})
		}
		for range 2 {
			w.equal("the tally of the first", w.source(a.ID).Tally, of[0])
			w.equal("the tally of the second", w.source(b.ID).Tally, of[1])
			w.restart()
		}
		w.equal("the version", w.source(a.ID).Version, a.Version)
		w.equal("when it was changed", w.source(a.ID).UpdatedAt, a.UpdatedAt)
	}},
	{"of times and failures the later ones stay", func(w *world) {
		s := w.newSource()
		at := milli(w.Now())
		var want telltale.SourceTally
		for _, more := range []telltale.SourceTally{
			{LastRequestAt: at, LastEventAt: at, LastFailureAt: at, LastFailure: "The signature is wrong."},
			{},
			{LastRequestAt: at.Add(-time.Second), LastEventAt: at.Add(time.Second), LastFailureAt: at.Add(-time.Second), LastFailure: "It is older."},
			{LastFailureAt: at, LastFailure: "It is as old."},
			{LastFailureAt: at.Add(time.Second), LastFailure: "It is newer."},
			{LastRequestAt: at.Add(time.Minute)},
		} {
			w.note(s.ID, more)
			want.Add(more)
			w.equal("the tally", w.source(s.ID).Tally, want)
		}
	}},
	{"a failure that says too much is cut", func(w *world) {
		s := w.newSource()
		w.note(s.ID, telltale.SourceTally{LastFailureAt: milli(w.Now()), LastFailure: strings.Repeat("ü", telltale.MaxSourceFailure)})
		failure := w.source(s.ID).Tally.LastFailure
		if len(failure) > telltale.MaxSourceFailure || !strings.HasPrefix(failure, strings.Repeat("ü", telltale.MaxSourceFailure/2-2)) {
			w.Fatalf("the failure has %d bytes: %s", len(failure), failure)
		}
	}},
	{"what comes to a source that is gone is passed over", func(w *world) {
		s, gone := w.newSource(), w.newSource()
		_, err := w.DeleteSource(w.ctx, w.project.ID, gone.ID, 0)
		w.must(err)
		w.must(w.NoteSources(w.ctx, map[telltale.SourceID]telltale.SourceTally{gone.ID: {Requests: 1}, s.ID: {Requests: 2}, "nonsense": {Requests: 3}}))
		w.must(w.NoteSources(w.ctx, nil))
		w.equal("the tally of the one that is there", w.source(s.ID).Tally, telltale.SourceTally{Requests: 2})
		w.equal("the tally of a new one", w.source(w.newSource().ID).Tally, telltale.SourceTally{})
	}},

	{"an unrecognised request is read back as it came", func(w *world) {
		s := w.newSource()
		odd := w.newUnrecognised(s, "\x00\xff")
		odd.ContentType = "application/x-www-form-urlencoded; charset=utf-8"
		empty := w.newUnrecognised(s, "")
		empty.Body = nil
		large := w.newUnrecognised(s, "")
		large.Body, large.Size = bytes.Repeat([]byte("x"), telltale.MaxFeedBody), telltale.MaxFeedBody
		w.must(w.KeepUnrecognised(w.ctx, []telltale.UnrecognisedRequest{odd, empty}))
		w.must(w.KeepUnrecognised(w.ctx, []telltale.UnrecognisedRequest{large}))
		for range 2 {
			for _, want := range []telltale.UnrecognisedRequest{odd, empty, large} {
				got, err := w.UnrecognisedRequest(w.ctx, w.project.ID, s.ID, want.ID)
				w.must(err)
				w.equal("the request", got, want)
			}
			odd, empty, large := odd, empty, large
			odd.Body, empty.Body, large.Body = nil, nil, nil
			w.equal("the list", w.unrecognised(s), []telltale.UnrecognisedRequest{large, empty, odd})
			w.restart()
		}
	}},
	{"a request that is too large, or of several sources, is not kept", func(w *world) {
		s, other := w.newSource(), w.newSource()
		large := w.newUnrecognised(s, "")
		large.Body = make([]byte, telltale.MaxFeedBody+1)
		w.code(telltale.TooLarge, w.KeepUnrecognised(w.ctx, []telltale.UnrecognisedRequest{w.newUnrecognised(s, "a"), large}))
		w.code(telltale.Invalid, w.KeepUnrecognised(w.ctx, []telltale.UnrecognisedRequest{w.newUnrecognised(s, "a"), w.newUnrecognised(other, "b")}))
		w.must(w.KeepUnrecognised(w.ctx, nil))
		w.keeps(s, 0)
	}},
	{"a source keeps a body once", func(w *world) {
		s, other := w.newSource(), w.newSource()
		first := w.keep(s, "a", "b", "a")
		w.keep(other, "a")
		again := w.newUnrecognised(s, "c")
		w.must(w.KeepUnrecognised(w.ctx, []telltale.UnrecognisedRequest{again, w.newUnrecognised(s, "b"), w.newUnrecognised(s, "c")}))
		w.equal("what it keeps", ids(w.unrecognised(s), func(r telltale.UnrecognisedRequest) telltale.RequestID { return r.ID }), []telltale.RequestID{again.ID, first[1].ID, first[0].ID})
		w.keeps(s, 3)
		w.keeps(other, 1)
		w.must(w.DropUnrecognised(w.ctx, w.project.ID, s.ID, []telltale.RequestID{first[0].ID}))
		w.keep(s, "a")
		w.keeps(s, 3)
	}},
	{"a source keeps the newest", func(w *world) {
		s, other := w.newSource(), w.newSource()
		w.keep(other, "a")
		many := make([]telltale.UnrecognisedRequest, telltale.MaxUnrecognised-1)
		for i := range many {
			many[i] = w.newUnrecognised(s, fmt.Sprint(i))
		}
		w.must(w.KeepUnrecognised(w.ctx, many))
		w.keeps(s, telltale.MaxUnrecognised-1)
		w.Advance(time.Second) // ids of one millisecond rise only if nobody else makes some
		w.keep(s, "x", "y", "z")
		w.keeps(s, telltale.MaxUnrecognised)
		for i, there := range []bool{false, false, true} {
			_, err := w.UnrecognisedRequest(w.ctx, w.project.ID, s.ID, many[i].ID)
			if there {
				w.must(err)
			} else {
				w.code(telltale.NotFound, err)
			}
		}
		w.must(w.DropUnrecognised(w.ctx, w.project.ID, s.ID, []telltale.RequestID{many[5].ID, many[6].ID}))
		w.keep(s, "p")
		w.keeps(s, telltale.MaxUnrecognised-1)
		w.keep(s, "q", "q", "r")
		w.keeps(s, telltale.MaxUnrecognised)
		_, err := w.UnrecognisedRequest(w.ctx, w.project.ID, s.ID, many[2].ID)
		w.code(telltale.NotFound, err)
		w.restart()
		w.keep(s, "s")
		w.keeps(s, telltale.MaxUnrecognised)
		w.keeps(other, 1)
	}},
	{"unrecognised requests are paged", func(w *world) {
		s := w.newSource()
		w.keep(w.newSource(), "x")
		w.keep(s, "a", "b", "c", "d", "e", "f", "g")
		pages(w, func(p telltale.Page) ([]telltale.UnrecognisedRequest, error) {
			return w.UnrecognisedRequests(w.ctx, w.project.ID, s.ID, p)
		}, func(r telltale.UnrecognisedRequest) string { return string(r.ID) })
	}},
	{"what one source keeps is not another's, nor another project's", func(w *world) {
		s, other := w.newSource(), w.newSource()
		kept := w.keep(s, "a")[0]
		for _, at := range w.nowhere(s) {
			_, err := w.UnrecognisedRequests(w.ctx, at.ProjectID, at.ID, telltale.Page{Limit: 10})
			w.code(telltale.NotFound, err)
			_, err = w.UnrecognisedRequest(w.ctx, at.ProjectID, at.ID, kept.ID)
			w.code(telltale.NotFound, err)
			_, err = w.CountUnrecognised(w.ctx, at.ProjectID, at.ID)
			w.code(telltale.NotFound, err)
			w.code(telltale.NotFound, w.DropUnrecognised(w.ctx, at.ProjectID, at.ID, []telltale.RequestID{kept.ID}))
			w.code(telltale.NotFound, w.KeepUnrecognised(w.ctx, []telltale.UnrecognisedRequest{w.newUnrecognised(&at, "b")}))
		}
		_, err := w.UnrecognisedRequest(w.ctx, w.project.ID, other.ID, kept.ID)
		w.code(telltale.NotFound, err)
		_, err = w.UnrecognisedRequest(w.ctx, w.project.ID, s.ID, "nonsense")
		w.code(telltale.NotFound, err)
		w.must(w.DropUnrecognised(w.ctx, w.project.ID, other.ID, []telltale.RequestID{kept.ID}))
		w.keeps(s, 1)
	}},
	{"requests that are dropped are gone, and what is not there is no error", func(w *world) {
		s := w.newSource()
		kept := w.keep(s, "a", "b", "c")
		for range 2 {
			w.must(w.DropUnrecognised(w.ctx, w.project.ID, s.ID, []telltale.RequestID{kept[0].ID, "nonsense", kept[2].ID}))
		}
		w.must(w.DropUnrecognised(w.ctx, w.project.ID, s.ID, nil))
		w.keeps(s, 1)
		_, err := w.UnrecognisedRequest(w.ctx, w.project.ID, s.ID, kept[1].ID)
		w.must(err)
	}},
	{"unrecognised requests go when they are old", func(w *world) {
		s := w.newSource()
		w.keep(s, "a")
		w.Advance(telltale.MaxUnrecognisedAge - time.Hour)
		w.keep(s, "b")
		w.purge(telltale.Retention{})
		w.keeps(s, 2)
		w.Advance(2 * time.Hour)
		w.purge(telltale.Retention{})
		w.keeps(s, 1)
		w.Advance(telltale.MaxUnrecognisedAge)
		w.purge(telltale.Retention{})
		w.keeps(s, 0)
	}},
	{"a source goes with what it kept, and its events stay", func(w *world) {
		s, other := w.newSource(), w.newSource()
		w.keep(other, "a")
		w.accept(w.newEvent(func(e *telltale.Event) { e.Source = "sendgrid" }))
		large := strings.Repeat("x", telltale.MaxFeedBody-1)
		w.keep(s, "a", large+"a", large+"b", large+"c", large+"d", "b")
		_, err := w.DeleteSource(w.ctx, w.project.ID, s.ID, 0)
		w.must(err)
		// It comes back only where an id is chosen, and has nothing of what was.
		w.purge(telltale.Retention{})
		again := w.newSource(func(made *telltale.Source) { made.ID = s.ID })
		w.keeps(again, 0)
		w.keeps(other, 1)
		w.equal("the events", len(w.events(telltale.EventFilter{})), 1)
	}},
}
