package feed

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"telltale.example/telltale"
	"telltale.example/telltale/internal/httpserver"
	"telltale.example/telltale/internal/ingest"
	"telltale.example/telltale/internal/sqlite"
)

// openly seals nothing.
type openly struct{}

func (openly) Seal(plain []byte, _ string) ([]byte, error)  { return plain, nil }
func (openly) Open(sealed []byte, _ string) ([]byte, error) { return sealed, nil }
func (openly) Keys() []string                               { return []string{""} }
func (openly) KeyOf([]byte) string                          { return "" }

type noDispatcher struct{}

func (noDispatcher) Reserve(*telltale.Webhook) bool { return false }
func (noDispatcher) Release(*telltale.Webhook)      {}
func (noDispatcher) Offer(telltale.Accepted)        {}

// world is a server that takes feeds, over a store of its own.
type world struct {
	testing.TB
	store   *frailStore
	project telltale.Project
	in      *ingest.Ingest
	handler *Handler
	server  *httptest.Server
	fetched []string
}

// frailStore is a store that can be down.
type frailStore struct {
	*sqlite.Store
	down error
}

func (s *frailStore) AcceptEvents(ctx context.Context, a telltale.Acceptance) (telltale.Accepted, error) {
	if s.down != nil {
		return telltale.Accepted{}, s.down
	}
	return s.Store.AcceptEvents(ctx, a)
}

func newWorld(t testing.TB) *world {
	t.Helper()
	folder := filepath.Join(t.TempDir(), "data")
	if err := os.Mkdir(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	store, err := sqlite.Open(t.Context(), filepath.Join(folder, "telltale.db"), sqlite.Options{Node: telltale.NewNodeID(), Sealer: openly{}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	})
	w := &world{TB: t, store: &frailStore{Store: store}}
	if w.project, err = store.ProjectBySlug(t.Context(), telltale.DefaultProjectSlug); err != nil {
		t.Fatal(err)
	}
	w.in = ingest.New(w.store, noDispatcher{}, nil)
	mux := http.NewServeMux()
	w.server = httptest.NewServer(httpserver.Wrap(mux, httpserver.Config{}))
	t.Cleanup(w.server.Close)
	w.handler = New(Config{
		Store: w.store, Ingest: w.in, PublicURL: w.server.URL, Post: w.server.Client().Do,
		Fetch: func(_ context.Context, url string) ([]byte, error) {
			w.fetched = append(w.fetched, url)
			return []byte("fetched"), nil
		},
	})
	mux.Handle(Prefix, w.handler)
	t.Cleanup(func() {
		if err := w.handler.Close(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
	})
	return w
}

// source makes a source of the provider, and what signs for it.
func (w *world) source(p *Provider, options ...string) (*telltale.Source, Signer) {
	w.Helper()
	credentials, sign, err := p.Pair()
	if err != nil {
		w.Fatal(err)
	}
	s := telltale.NewSource(w.project.ID, p.Name, p.Title)
	s.Credentials, s.Options = credentials, options
	made, err := w.store.CreateSource(w.Context(), s)
	if err != nil {
		w.Fatal(err)
	}
	return made, sign
}

// post posts a request to the source, and gives status and what it came to.
func (w *world) post(s *telltale.Source, r *Request, sign Signer) (*http.Response, answer) {
	w.Helper()
	r.URL = w.server.URL + Prefix + string(s.Token)
	if sign != nil {
		if err := sign(r, time.Now()); err != nil {
			w.Fatal(err)
		}
	}
	request, err := http.NewRequestWithContext(w.Context(), r.Method, r.URL, bytes.NewReader(r.Body))
	if err != nil {
		w.Fatal(err)
	}
	request.Header = r.Header
	response, err := w.server.Client().Do(request)
	if err != nil {
		w.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		w.Fatal(err)
	}
	var said answer
	if response.StatusCode == http.StatusOK && r.Method == http.MethodPost {
		if err := json.Unmarshal(body, &said); err != nil {
			w.Fatal(err)
		}
	}
	return response, said
}

// events gives what is stored, the oldest first.
func (w *world) events() []*telltale.Event {
	w.Helper()
	events, err := w.store.Events(w.Context(), w.project.ID, telltale.EventFilter{}, telltale.Page{Limit: telltale.MaxPage})
	if err != nil {
		w.Fatal(err)
	}
	slices.Reverse(events)
	return events
}

// tally gives what was counted for the source.
func (w *world) tally(s *telltale.Source) telltale.SourceTally {
	w.Helper()
	if err := w.handler.tallies.write(w.Context()); err != nil {
		w.Fatal(err)
	}
	now, err := w.store.Source(w.Context(), w.project.ID, s.ID)
	if err != nil {
		w.Fatal(err)
	}
	return now.Tally
}

func (w *world) kept(s *telltale.Source) []telltale.UnrecognisedRequest {
	w.Helper()
	kept, err := w.store.UnrecognisedRequests(w.Context(), w.project.ID, s.ID, telltale.Page{Limit: 100})
	if err != nil {
		w.Fatal(err)
	}
	for i := range kept {
		if kept[i], err = w.store.UnrecognisedRequest(w.Context(), w.project.ID, s.ID, kept[i].ID); err != nil {
			w.Fatal(err)
		}
	}
	return kept
}

// Every provider's samples, posted as the provider does: all of them become
// events, and repeated, by many at once, no more.
func TestWhatProvidersPostIsStoredOnce(t *testing.T) {
	eachProvider(t, func(t *testing.T, p *Provider) {
		w := newWorld(t)
		s, sign := w.source(p)
		samples := p.Samples(time.Now())
		for _, r := range samples {
			response, said := w.post(s, r, sign)
			if response.StatusCode != http.StatusOK || said.Accepted == 0 || said.Duplicates+said.Unrecognised > 0 {
				t.Fatalf("the first time, the answer was %s and %+v", response.Status, said)
			}
		}
		before := len(w.events())
		var repeats sync.WaitGroup
		for range 4 {
			for _, r := range samples {
				again := &Request{Method: r.Method, Header: r.Header.Clone(), Body: r.Body}
				repeats.Go(func() {
					response, said := w.post(s, again, nil)
					if response.StatusCode != http.StatusOK || said.Accepted > 0 || said.Duplicates == 0 {
						t.Errorf("repeated, the answer was %s and %+v", response.Status, said)
					}
				})
			}
		}
		repeats.Wait()
		if now := len(w.events()); now != before {
			t.Errorf("repetitions made %d events of %d", now, before)
		}
		tally := w.tally(s)
		if int(tally.Events) != before || int(tally.Requests) != 5*len(samples) || tally.LastEventAt.IsZero() || tally.Refused > 0 || tally.LastFailure != "" {
			t.Errorf("%d events were counted as %+v", before, tally)
		}
	})
}

func TestAFloodOfTheSameNewBatchIsStoredOnce(t *testing.T) {
	w := newWorld(t)
	s, sign := w.source(sendgrid)
	sample := sampleSendGrid(time.Now())[0]
	if err := sign(sample, time.Now()); err != nil {
		t.Fatal(err)
	}
	var flood sync.WaitGroup
	for range 16 {
		flood.Go(func() {
			w.post(s, &Request{Method: sample.Method, Header: sample.Header.Clone(), Body: sample.Body}, nil)
		})
	}
	flood.Wait()
	if n := len(w.events()); n != 9 {
		t.Errorf("16 times 9 events became %d", n)
	}
}

func TestWhatIsAnswered(t *testing.T) {
	for _, c := range []struct {
		name    string
		request func(w *world, s *telltale.Source, r *Request)
		status  int
		header  map[string]string
		failure string // what the source's page says
		refused int64
	}{
		{name: "a console that asks with HEAD is told that we are there", request: func(_ *world, _ *telltale.Source, r *Request) { r.Method, r.Body = http.MethodHead, nil }, status: 200},
		{name: "a browser is told what the address is for", request: func(_ *world, _ *telltale.Source, r *Request) { r.Method = http.MethodGet }, status: 405, header: map[string]string{"Allow": "HEAD, POST"}},
		{name: "an unknown address is not found", request: func(_ *world, s *telltale.Source, _ *Request) {
			s.Token = telltale.SourceToken(strings.Repeat("a", 32))
		}, status: 404},
		{name: "an address that can be none is not found", request: func(_ *world, s *telltale.Source, _ *Request) { s.Token = "../../etc/passwd" }, status: 404},
		{
			name: "another body than the signed one is refused", request: func(_ *world, _ *telltale.Source, r *Request) { r.Body = append(r.Body, ' ') },
			status: 401, header: map[string]string{"Www-Authenticate": `Basic realm="telltale", charset="UTF-8"`}, failure: "The signature does not match: is the verification key from the same webhook?", refused: 1,
		},
		{
			name: "a body past the bound is refused", request: func(_ *world, _ *telltale.Source, r *Request) {
				r.Body = bytes.Repeat([]byte(" "), telltale.MaxFeedBody+1)
			},
			status: 413, failure: "The body is larger than 5 MiB", refused: 0,
		},
		{
			name: "a store that is down makes the provider come back", request: func(w *world, _ *telltale.Source, _ *Request) {
				w.store.down = &telltale.Error{Code: telltale.Unavailable, Message: "The disk is full.", RetryAfter: 7 * time.Second}
			},
			status: 503, header: map[string]string{"Retry-After": "7"}, failure: "The disk is full.",
		},
		{
			name: "a fault of ours makes the provider come back", request: func(w *world, _ *telltale.Source, _ *Request) { w.store.down = errors.New("the secret of the store") },
			status: 500, failure: "The request could not be taken; the server's log says why.",
		},
		{
			name: "a source that is off makes the provider come back", request: func(w *world, s *telltale.Source, _ *Request) {
				s.Enabled = false
				if _, err := w.store.UpdateSource(w.Context(), *s); err != nil {
					w.Fatal(err)
				}
			},
			status: 503, header: map[string]string{"Retry-After": "300"},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t)
			s, sign := w.source(sendgrid)
			r := sampleSendGrid(time.Now())[0]
			if err := sign(r, time.Now()); err != nil {
				t.Fatal(err)
			}
			posted := *s
			c.request(w, &posted, r)
			response, _ := w.post(&posted, r, nil)
			if response.StatusCode != c.status {
				t.Errorf("the answer is %s, want %d", response.Status, c.status)
			}
			for name, want := range c.header {
				if got := response.Header.Get(name); got != want {
					t.Errorf("%s is %q, want %q", name, got, want)
				}
			}
			tally := w.tally(s)
			if !strings.HasPrefix(tally.LastFailure, c.failure) || (c.failure == "") != (tally.LastFailure == "") {
				t.Errorf("the source's page says %q, want %q", tally.LastFailure, c.failure)
			}
			if tally.Refused != c.refused || tally.Failing() != (c.failure != "") {
				t.Errorf("the tally is %+v", tally)
			}
			if n := len(w.events()) + len(w.kept(s)); n > 0 {
				t.Errorf("%d things were stored", n)
			}
		})
	}
}

func TestWhateverOverloadsAProviderIsToldInItsOwnWay(t *testing.T) {
	for _, c := range []struct {
		provider Provider
		err      error
		want     telltale.Code
	}{
		{Provider{Overloaded: 503}, telltale.Errorf(telltale.Unavailable, "Full."), telltale.Unavailable},
		{Provider{Overloaded: 503}, telltale.Errorf(telltale.RateLimited, "Too many."), telltale.Unavailable},
		{Provider{Overloaded: 429}, telltale.Errorf(telltale.Unavailable, "Full."), telltale.RateLimited},
		{Provider{Overloaded: 429}, fmt.Errorf("deep down: %w", telltale.Errorf(telltale.Unavailable, "Full.")), telltale.RateLimited},
		{Provider{Overloaded: 429}, telltale.Errorf(telltale.Unauthenticated, "Who?"), telltale.Unauthenticated},
		{Provider{Overloaded: 429}, errors.New("a fault of ours"), telltale.RateLimited},
		{Provider{Overloaded: 503}, errors.New("a fault of ours"), telltale.Internal},
	} {
		if got := telltale.CodeOf(c.provider.overload(c.err)); got != c.want {
			t.Errorf("%v for %d became %s, want %s", c.err, c.provider.Overloaded, got, c.want)
		}
	}
}

// sendGridEvents signs and posts events of SendGrid's.
func (w *world) sendGridEvents(s *telltale.Source, sign Signer, body string) answer {
	w.Helper()
	response, said := w.post(s, jsonRequest([]byte(body)), sign)
	if response.StatusCode != http.StatusOK {
		w.Fatalf("the answer is %s", response.Status)
	}
	return said
}

func TestWhatIsNotUnderstoodIsKeptAlone(t *testing.T) {
	const good = `{"event":"delivered","email":"ann@example.com","timestamp":1773480413,"sg_event_id":"one"}`
	for _, c := range []struct {
		name, body string
		want       answer
		kept       []string // bodies
		reason     string
	}{
		{
			name: "an unknown event in a batch", body: `[` + good + `, {"event":"teleported","email":"ann@example.com","sg_event_id":"two"} ]`,
			want: answer{Accepted: 1, Unrecognised: 1}, kept: []string{`[{"event":"teleported","email":"ann@example.com","sg_event_id":"two"}]`},
			reason: `There is no event "teleported" in the provider's documents as we know them.`,
		},
		{
			name: "an event without anybody", body: `[` + good + `,{"event":"delivered","sg_event_id":"two"}]`,
			want: answer{Accepted: 1, Unrecognised: 1}, kept: []string{`[{"event":"delivered","sg_event_id":"two"}]`}, reason: "The event is not valid.",
		},
		{
			name: "an event that is no object", body: `[` + good + `,17]`,
			want: answer{Accepted: 1, Unrecognised: 1}, kept: []string{`[17]`}, reason: "The input is not valid.",
		},
		{name: "an event that means nothing to us is none of it", body: `[` + good + `,{"event":"deferred","email":"ann@example.com"}]`, want: answer{Accepted: 1, Ignored: 1}},
		{name: "a body that is no JSON", body: `event=delivered`, want: answer{Unrecognised: 1}, kept: []string{`event=delivered`}, reason: "The body is no array."},
		{name: "an empty batch is nothing", body: `[]`},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t)
			s, sign := w.source(sendgrid)
			for range 2 { // the provider repeats it: nothing is kept twice
				said := w.sendGridEvents(s, sign, c.body)
				said.Accepted, said.Duplicates = said.Accepted+said.Duplicates, 0
				if said != c.want {
					t.Errorf("it came to %+v, want %+v", said, c.want)
				}
			}
			var bodies []string
			for _, kept := range w.kept(s) {
				bodies = append(bodies, string(kept.Body))
				if !strings.Contains(kept.Reason, c.reason) || kept.ContentType != "application/json" {
					t.Errorf("%q is kept because %q", kept.ContentType, kept.Reason)
				}
			}
			if diff := cmp.Diff(c.kept, bodies); diff != "" {
				t.Error(diff)
			}
			if n := len(w.events()); n != c.want.Accepted {
				t.Errorf("%d events are stored", n)
			}
		})
	}
}

// A version that understands more takes what was kept.
func TestWhatIsUnderstoodByNowIsTakenAgain(t *testing.T) {
	w := newWorld(t)
	s, _ := w.source(sendgrid)
	const (
		understood = `[{"event":"delivered","email":"ann@example.com","timestamp":1773480413,"sg_event_id":"one"}]`
		half       = `[{"event":"open","email":"ann@example.com","timestamp":1773480414,"sg_event_id":"two"},{"event":"teleported"}]`
		not        = `[{"event":"teleported","email":"ann@example.com"}]`
	)
	var all []telltale.UnrecognisedRequest
	for _, body := range []string{understood, half, not, "no JSON"} {
		all = append(all, telltale.UnrecognisedRequest{
			ID: telltale.NewRequestID(), SourceID: s.ID, ProjectID: w.project.ID, ReceivedAt: time.Now(), Reason: "An earlier version.", ContentType: "application/json", Body: []byte(body),
		})
	}
	if err := w.store.KeepUnrecognised(t.Context(), all); err != nil {
		t.Fatal(err)
	}
	result, err := w.handler.Replay(t.Context(), w.project, s, []telltale.RequestID{all[2].ID})
	if want := (ReplayResult{Left: 1}); err != nil || result != want {
		t.Errorf("of the one that is asked for: %+v, %v", result, err)
	}
	result, err = w.handler.Replay(t.Context(), w.project, s, nil)
	if want := (ReplayResult{Understood: 2, Left: 3, Accepted: 2}); err != nil || result != want {
		t.Errorf("of all: %+v, %v; want %+v", result, err, want)
	}
	left := map[string]bool{}
	for _, kept := range w.kept(s) {
		left[string(kept.Body)] = true
	}
	if want := map[string]bool{`[{"event":"teleported"}]`: true, not: true, "no JSON": true}; !maps.Equal(left, want) {
		t.Errorf("what is left: %v", left)
	}
	if tally := w.tally(s); tally.Events != 2 {
		t.Errorf("the tally is %+v", tally)
	}
	if n := len(w.events()); n != 2 {
		t.Errorf("%d events are stored", n)
	}
	if _, err := w.handler.Replay(t.Context(), w.project, s, []telltale.RequestID{all[0].ID}); telltale.CodeOf(err) != telltale.NotFound {
		t.Errorf("one that is gone gives %v", err)
	}
}

// What a provider does not say comes from the sender's metadata, else from the
// message, else from the profile, else the email doubles as id.
func TestWhatIsLackingIsFilledIn(t *testing.T) {
	const event = `{"event":"delivered","email":"ann@example.com","timestamp":1773480413,"sg_event_id":"e","sg_message_id":"m1.filter"`
	identify := func(w *world, ref telltale.UserRef) {
		w.Helper()
		_, err := w.in.Change(w.Context(), w.project, "api", []telltale.UserChange{{Kind: telltale.ChangeIdentify, User: ref}})
		if err != nil {
			w.Fatal(err)
		}
	}
	sent := func(w *world) {
		w.Helper()
		a, err := telltale.ParseActivity([]byte(`{"type":"sent","user":{"id":7,"email":"ann@work.example.com"},"campaign":{"id":5,"name":"Spring","trigger-event":"signed up"},"message_id":"rfc@example.com","telltale":{"provider_message_id":"m1"}}`), "body")
		if err != nil {
			w.Fatal(err)
		}
		if _, err := w.in.Accept(w.Context(), w.project, "api", []telltale.Activity{a}); err != nil {
			w.Fatal(err)
		}
	}
	for _, c := range []struct {
		name   string
		before func(w *world)
		body   string
		want   string
	}{
		{
			name: "the email doubles as id when nobody is known", body: event + `}`,
			want: `{"delivered_at":1773480413,"type":"delivered","user":{"email":"ann@example.com","id":"ann@example.com"},"campaign":{"channel":"email","sent_to":"ann@example.com"},"message_id":"m1"}`,
		},
		{
			name: "the profile with that email has the id", body: event + `}`, before: func(w *world) { identify(w, telltale.UserRef{ID: "42", Email: "ann@example.com"}) },
			want: `{"delivered_at":1773480413,"type":"delivered","user":{"id":42,"email":"ann@example.com"},"campaign":{"channel":"email","sent_to":"ann@example.com"},"message_id":"m1"}`,
		},
		{
			name: "the message goes before the profile", body: event + `}`, before: func(w *world) { identify(w, telltale.UserRef{ID: "42", Email: "ann@example.com"}); sent(w) },
			want: `{"delivered_at":1773480413,"type":"delivered","user":{"id":7,"email":"ann@example.com"},"campaign":{"id":5,"name":"Spring","trigger-event":"signed up","channel":"email","sent_to":"ann@example.com"},"message_id":"rfc@example.com"}`,
		},
		{
			name: "metadata goes before the message", body: event + `,"user_id":"9","campaign_name":"Autumn"}`, before: sent,
			want: `{"delivered_at":1773480413,"type":"delivered","user":{"id":"9","email":"ann@example.com"},"campaign":{"id":5,"name":"Autumn","trigger-event":"signed up","channel":"email","sent_to":"ann@example.com"},"message_id":"rfc@example.com"}`,
		},
		{
			name: "an id in metadata is a number where the profile has one", body: event + `,"user_id":"42","campaign_id":"6"}`, before: func(w *world) { identify(w, telltale.UserRef{ID: "42"}) },
			want: `{"delivered_at":1773480413,"type":"delivered","user":{"id":42,"email":"ann@example.com"},"campaign":{"id":6,"channel":"email","sent_to":"ann@example.com"},"message_id":"m1"}`,
		},
		{
			name: "an id in metadata stays a string where the profile has one", body: event + `,"user_id":"42"}`, before: func(w *world) { identify(w, telltale.UserRef{ID: `"42"`}) },
			want: `{"delivered_at":1773480413,"type":"delivered","user":{"id":"42","email":"ann@example.com"},"campaign":{"channel":"email","sent_to":"ann@example.com"},"message_id":"m1"}`,
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t)
			if c.before != nil {
				c.before(w)
			}
			s, sign := w.source(sendgrid)
			w.sendGridEvents(s, sign, "["+c.body+"]")
			events := w.events()
			var want, got any
			if err := errors.Join(json.Unmarshal([]byte(c.want), &want), json.Unmarshal(events[len(events)-1].Payload, &got)); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// Somebody who posts events of their own under a provider's ids stands in nobody's way.
func TestAnIDThatSomebodyElseUsedStopsNoBatch(t *testing.T) {
	w := newWorld(t)
	s, sign := w.source(sendgrid)
	a, err := telltale.ParseActivity([]byte(`{"type":"resubscribed","user":{"id":7},"telltale":{"id":"sendgrid:one"}}`), "body")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.in.Accept(t.Context(), w.project, "api", []telltale.Activity{a}); err != nil {
		t.Fatal(err)
	}
	said := w.sendGridEvents(s, sign, `[{"event":"open","email":"ann@example.com","timestamp":1773480413,"sg_event_id":"one"},{"event":"open","email":"ann@example.com","timestamp":1773480413,"sg_event_id":"two"}]`)
	if want := (answer{Accepted: 1, Unrecognised: 1}); said != want {
		t.Errorf("it came to %+v, want %+v", said, want)
	}
}

// A provider that says nothing of sending has its first delivered or bounced of a
// message reported as sent, too, if that is asked for.
func TestSentIsMadeUpForWhoeverWantsIt(t *testing.T) {
	p := &Provider{Name: "test", NoSent: true}
	event := func(t telltale.EventType) Part {
		return Part{Raw: string(t), Events: []Event{{Type: t, Recipient: "ann@example.com", ProviderMessageID: "m1", Key: string(t)}}}
	}
	b := &Batch{Parts: []Part{event(telltale.Delivered), event(telltale.Opened), event(telltale.Bounced)}}
	for _, c := range []struct {
		options []string
		want    []string
	}{
		{nil, []string{"delivered test:delivered 0", "opened test:opened 1", "bounced test:bounced 2"}},
		{[]string{EmitSent}, []string{
			"sent test:sent:m1:ann@example.com 0", "delivered test:delivered 0", "opened test:opened 1", "sent test:sent:m1:ann@example.com 2", "bounced test:bounced 2",
		}},
	} {
		activities, parts := b.activities(&telltale.Source{Options: c.options}, p)
		var got []string
		for i, a := range activities {
			got = append(got, fmt.Sprintf("%s %s %d", a.Type, a.CallerID, parts[i]))
		}
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Error(diff)
		}
	}
}

func TestSourcesAreTestedWithTheirOwnCredentials(t *testing.T) {
	eachProvider(t, func(t *testing.T, p *Provider) {
		w := newWorld(t)
		s, _ := w.source(p)
		result, err := w.handler.Test(t.Context(), w.project, s)
		if p.Signer == nil {
			if telltale.CodeOf(err) != telltale.Conflict || !strings.Contains(err.Error(), p.TestHint) {
				t.Errorf("who cannot sign is told %v", err)
			}
			return
		}
		if err != nil || result.Status != http.StatusOK || result.Accepted == 0 || result.Message != "" {
			t.Errorf("the test came to %+v, %v", result, err)
		}
		if n := len(w.events()); n != result.Accepted {
			t.Errorf("%d events are stored, and %d accepted", n, result.Accepted)
		}
		bare := *s
		bare.Credentials = nil
		if _, err := w.handler.Test(t.Context(), w.project, &bare); len(p.Missing(&bare)) > 0 && telltale.CodeOf(err) != telltale.Conflict {
			t.Errorf("without credentials it gave %v", err)
		}
		bare.Credentials = unreadable(s.Credentials)
		for name, value := range s.Credentials {
			if slices.ContainsFunc(p.Credentials, func(c Credential) bool { return c.Name == name && c.Open }) {
				bare.Credentials[name] = value
			}
		}
		if result, err := w.handler.Test(t.Context(), w.project, &bare); err == nil && (result.Status == http.StatusOK || result.Message == "") {
			t.Errorf("with other credentials it came to %+v", result)
		}
	})
}
