package web

import (
	"testing"
	"time"

	"telltale.example/telltale"
	"telltale.example/telltale/internal/feed"
)

func TestHowASourceFaresInWords(t *testing.T) {
	t.Parallel()
	now := time.Now()
	before := now.Add(-time.Minute)
	for _, tt := range []struct {
		name   string
		change func(*telltale.Source)
		want   badge
	}{
		{"one that is new waits", func(*telltale.Source) {}, badge{"quiet", "○", "Waiting for the first event…"}},
		{"so does one that got a request without an event", func(s *telltale.Source) { s.Tally = telltale.SourceTally{Requests: 1, LastRequestAt: now} }, badge{"quiet", "○", "Waiting for the first event…"}},
		{"one with events receives", func(s *telltale.Source) {
			s.Tally = telltale.SourceTally{Events: 1, LastRequestAt: now, LastEventAt: now}
		}, badge{"ok", "●", "Receiving"}},
		{"also after a failure that is over", func(s *telltale.Source) {
			s.Tally = telltale.SourceTally{Events: 1, LastRequestAt: now, LastFailureAt: before, LastFailure: "No."}
		}, badge{"ok", "●", "Receiving"}},
		{"one whose last request was refused fails", func(s *telltale.Source) {
			s.Tally = telltale.SourceTally{Events: 1, LastRequestAt: before, LastFailureAt: now, LastFailure: "No."}
		}, badge{"bad", "✕", "Failing"}},
		{"one that is off is off, whatever came", func(s *telltale.Source) {
			s.Enabled, s.Tally = false, telltale.SourceTally{Events: 1, LastRequestAt: before, LastFailureAt: now, LastFailure: "No."}
		}, badge{"quiet", "–", "Off"}},
	} {
		s := telltale.NewSource("", "sendgrid", "S")
		tt.change(&s)
		if got := rowOfSource(&s).Fares(); got != tt.want {
			t.Errorf("%s: %v; want %v", tt.name, got, tt.want)
		}
	}
}

func TestASourcesCountsInWords(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		tally      telltale.SourceTally
		want, last string
	}{
		{telltale.SourceTally{}, "0 requests, 0 events", "0 events, the last"},
		{telltale.SourceTally{Requests: 1, Events: 1}, "1 request, 1 event", "1 event"},
		{telltale.SourceTally{Requests: 4212, Events: 23, Duplicates: 1, Ignored: 2, Unrecognised: 3, Refused: 4}, "4\u202f212 requests, 23 events, 1 had before, 2 ignored, 3 not understood, 4 refused", "23 events, the last"},
	} {
		r := rowOfSource(&telltale.Source{Provider: "sendgrid", Tally: tt.tally})
		if got := r.Counters(); got != tt.want {
			t.Errorf("%+v reads %q; want %q", tt.tally, got, tt.want)
		}
		if got := r.Last(); got != tt.last {
			t.Errorf("%+v reads %q; want %q", tt.tally, got, tt.last)
		}
	}
}

func TestWhatASourceLacksInWords(t *testing.T) {
	t.Parallel()
	p := &feed.Provider{Credentials: []feed.Credential{{Name: "key", Label: "Signing key"}, {Name: "arn", Label: "ARN of the topic"}, {Name: "old", Label: "Former key", Optional: true}}}
	for _, tt := range []struct {
		has  map[string]string
		want string
	}{
		{nil, "signing key and the ARN of the topic"},
		{map[string]string{"arn": "x"}, "signing key"},
		{map[string]string{"arn": "x", "key": "y"}, ""},
	} {
		if got := (sourceRow{&telltale.Source{Credentials: tt.has}, p}).Lacks(); got != tt.want {
			t.Errorf("with %v it lacks %q; want %q", tt.has, got, tt.want)
		}
	}
}

// A source that a later version made is shown, though nothing can be done with it.
func TestASourceOfAnUnknownProviderIsShown(t *testing.T) {
	t.Parallel()
	s := telltale.NewSource("", "pigeon", "Post")
	r := rowOfSource(&s)
	if r.Known() || r.Provider.Title != "pigeon" || r.Lacks() != "" || r.Fares().Kind != "quiet" {
		t.Errorf("it is %+v, and lacks %q", r.Provider, r.Lacks())
	}
	if s.Provider = "sendgrid"; !rowOfSource(&s).Known() {
		t.Error("SendGrid is not known")
	}
}

func TestWhatCameOfATestAndOfTakingAgainInWords(t *testing.T) {
	t.Parallel()
	c := &call{project: telltale.Project{Slug: "default"}}
	for _, tt := range []struct {
		name               string
		got                notice
		kind, text, detail string
	}{
		{"a test of nine events", c.testedNotice(feed.TestResult{Status: 200, Requests: 1, Accepted: 9}), "ok", "Test succeeded.", "The source answered 200: 9 events were accepted."},
		{"a test that came before", c.testedNotice(feed.TestResult{Status: 200, Requests: 1, Duplicates: 1}), "ok", "Test succeeded.", "The source answered 200: 0 events were accepted, 1 had come before."},
		{"a test that was half understood", c.testedNotice(feed.TestResult{Status: 200, Requests: 1, Accepted: 1, Unrecognised: 2}), "warn", "Test succeeded.", "The source answered 200: 1 event was accepted. 2 were not understood."},
		{"a test that was refused", c.testedNotice(feed.TestResult{Status: 401, Requests: 1, Message: "The signature does not match."}), "bad", "Test failed.", "The source answered 401. The signature does not match."},
		{"all was understood", replayedNotice(feed.ReplayResult{Understood: 2, Accepted: 3, Duplicates: 1}), "ok", "2 requests were understood.", "3 events were accepted, 1 had come before."},
		{"half was", replayedNotice(feed.ReplayResult{Understood: 1, Accepted: 1, Left: 1}), "warn", "1 request was understood.", "1 event was accepted. 1 request is still not understood."},
		{"nothing was", replayedNotice(feed.ReplayResult{Left: 2}), "warn", "Nothing more was understood.", "2 requests are still not understood. A later version may."},
		{"there was nothing", replayedNotice(feed.ReplayResult{}), "info", "There was nothing to replay.", ""},
	} {
		if tt.got.Kind != tt.kind || tt.got.Text != tt.text || tt.got.Detail != tt.detail {
			t.Errorf("%s: %s %q %q; want %s %q %q", tt.name, tt.got.Kind, tt.got.Text, tt.got.Detail, tt.kind, tt.text, tt.detail)
		}
	}
}
