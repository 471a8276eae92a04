package feed

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"telltale.example/telltale"
	"telltale.example/telltale/internal/auth"
	"telltale.example/telltale/internal/httpserver"
	"telltale.example/telltale/internal/ingest"
)

// BenchmarkFeedsBesideEvents posts what a provider says to its source, and the
// events that it becomes, with ids, to /v1/events, both by HTTP to the same
// server, in turn. ratio is the median over the iterations of the time that the
// events took ÷ that of the feed, with the least and the most beside it.
//
// SendGrid comes in batches of 1,000. The others come in requests as they make
// them, 16 at a time, some 1,000 events in all; so do the events beside them.
func BenchmarkFeedsBesideEvents(b *testing.B) {
	for _, p := range Providers() {
		b.Run(p.Name, func(b *testing.B) {
			w := newWorld(b)
			s, sign := w.source(p)
			events, token := w.eventsAPI()
			var ratios []float64
			var total int
			var feedTook, eventsTook time.Duration
			post := func(to string, bodies []*Request) time.Duration {
				started := time.Now()
				w.postAll(to, token, bodies)
				return time.Since(started)
			}
			at := time.Now().Add(-time.Minute)
			for b.Loop() {
				at = at.Add(10 * time.Millisecond)
				requests := thousand(p, at)
				payloads, n := w.asEvents(p, s, requests)
				for _, r := range requests {
					r.URL = w.server.URL + Prefix + string(s.Token)
					if err := sign(r, time.Now()); err != nil {
						b.Fatal(err)
					}
				}
				f := post(w.server.URL+Prefix+string(s.Token), requests)
				e := post(events, payloads)
				ratios = append(ratios, e.Seconds()/f.Seconds())
				total, feedTook, eventsTook = total+n, feedTook+f, eventsTook+e
			}
			if tally := w.tally(s); int(tally.Events) != total || tally.Unrecognised > 0 || tally.LastFailure != "" {
				b.Fatalf("of %d events, these were taken: %+v", total, tally)
			}
			if n := len(w.events()); n == 0 {
				b.Fatal("nothing was stored")
			}
			slices.Sort(ratios)
			b.ReportMetric(ratios[len(ratios)/2], "ratio")
			b.ReportMetric(ratios[0], "ratio-least")
			b.ReportMetric(ratios[len(ratios)-1], "ratio-most")
			b.ReportMetric(float64(total)/feedTook.Seconds(), "feed-events/s")
			b.ReportMetric(float64(total)/eventsTook.Seconds(), "api-events/s")
			b.ReportMetric(0, "ns/op") // it says nothing
		})
	}
}

// thousand gives requests with some 1,000 events, no two of them the same.
func thousand(p *Provider, at time.Time) (requests []*Request) {
	const events = 1000
	if p == sendgrid {
		var all []string
		for i := 0; len(all) < events; i++ {
			elements, err := splitArray(another(p.Samples(at.Add(time.Duration(i)))[0], i).Body)
			if err != nil {
				panic(err)
			}
			all = append(all, elements...)
		}
		return []*Request{jsonRequest([]byte("[" + strings.Join(all[:events], ",") + "]"))}
	}
	for i, n := 0, 0; n < events; i++ {
		for _, r := range p.Samples(at.Add(time.Duration(i) * time.Microsecond)) {
			requests = append(requests, another(r, i))
			b, err := p.Parse(r, &telltale.Source{})
			if err != nil {
				panic(err)
			}
			for _, part := range b.Parts {
				n += len(part.Events)
			}
		}
	}
	return requests
}

// another makes the request about another user.
func another(r *Request, n int) *Request {
	r.Body = bytes.ReplaceAll(r.Body, []byte("steve@"), fmt.Appendf(nil, "user%d@", n))
	r.Body = bytes.ReplaceAll(r.Body, []byte(`"user_id":"123"`), fmt.Appendf(nil, `"user_id":"%d"`, 1000+n))
	return r
}

// asEvents gives what the requests become as requests of the ingest API, with ids
// that nobody used, and how many events there are.
func (w *world) asEvents(p *Provider, s *telltale.Source, requests []*Request) (payloads []*Request, n int) {
	w.Helper()
	for _, r := range requests {
		b, err := p.Parse(r, s)
		if err != nil {
			w.Fatal(err)
		}
		activities, _ := b.activities(s, p)
		events := make([]json.RawMessage, 0, len(activities))
		for i := range activities {
			a := &activities[i]
			nameMessage := a.MessageID() == "" && a.ProviderMessageID != ""
			if nameMessage {
				a.CompleteFrom(&telltale.Message{MessageID: a.ProviderMessageID})
			}
			e, faults := a.Event(s.ProjectID, p.Name, time.Now())
			if len(faults) > 0 {
				w.Fatal(faults)
			}
			reserved := fmt.Sprintf(`,"telltale":{"id":"api:%s","provider_message_id":%q}}`, a.CallerID, a.ProviderMessageID)
			events = append(events, append(bytes.TrimSuffix(e.Payload, []byte("}")), reserved...))
		}
		n += len(events)
		body, err := json.Marshal(events)
		if err != nil {
			w.Fatal(err)
		}
		payloads = append(payloads, jsonRequest(body))
	}
	return payloads, n
}

// NewEventsAPI makes the ingest API. Package api imports this one, so its tests
// cannot make it; package feed_test can.
var NewEventsAPI func(store telltale.Store, keys *auth.Keys, in *ingest.Ingest) http.Handler

// eventsAPI serves the ingest API over the same store.
func (w *world) eventsAPI() (url, token string) {
	w.Helper()
	key, token := telltale.NewKey(w.project.ID, "bench", telltale.ScopeIngest)
	if err := w.store.CreateKey(w.Context(), key); err != nil {
		w.Fatal(err)
	}
	keys := auth.NewKeys(w.store, slog.New(slog.DiscardHandler))
	w.Cleanup(func() { _ = keys.Close(w.Context()) })
	server := httptest.NewServer(httpserver.Wrap(NewEventsAPI(w.store, keys, w.in), httpserver.Config{}))
	w.Cleanup(server.Close)
	return server.URL + "/v1/events", token
}

// postAll posts the requests, 16 at a time.
func (w *world) postAll(url, token string, requests []*Request) {
	w.Helper()
	client := w.server.Client()
	next := make(chan *Request)
	var workers sync.WaitGroup
	for range min(16, len(requests)) {
		workers.Go(func() {
			for r := range next {
				request, err := http.NewRequestWithContext(w.Context(), http.MethodPost, url, bytes.NewReader(r.Body))
				if err != nil {
					w.Error(err)
					continue
				}
				request.Header = r.Header
				if strings.HasSuffix(url, "/v1/events") {
					request.Header.Set("Authorization", "Bearer "+token)
				}
				response, err := client.Do(request)
				if err != nil {
					w.Error(err)
					continue
				}
				body, _ := io.ReadAll(response.Body)
				response.Body.Close()
				if response.StatusCode >= 300 {
					w.Errorf("%s: %s %s", url, response.Status, body)
				}
			}
		})
	}
	for _, r := range requests {
		next <- r
	}
	close(next)
	workers.Wait()
	if w.Failed() {
		w.FailNow()
	}
}
