package main

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// What was lost must not go by as a good figure.
func TestCheckFindsWhatIsMissing(t *testing.T) {
	whole := func() *driven {
		return &driven{
			driveResult: driveResult{Accepted: 2, Fingerprint: 30, Sample: []string{"evt_1"}},
			tallies:     map[string]tally{"/receiver/0": {Hits: 3, Distinct: 2, Fingerprint: 30, Verified: 1}},
		}
	}
	const good = `{"id":"dlv_1","event_id":"evt_1","state":"succeeded","attempt_count":1,"attempts":[{"number":1,"status":200}]}`
	for _, test := range []struct {
		name   string
		change func(*driven)
		log    string // what the server has of the delivery
		want   string // empty: all is well
	}{
		{name: "all is there"},
		{name: "nothing was accepted", change: func(d *driven) { d.Accepted = 0 }, want: "nothing was accepted"},
		{name: "an event did not arrive", change: func(d *driven) { d.Accepted = 3 }, want: "something was lost"},
		{name: "another event arrived in its place", change: func(d *driven) { d.Fingerprint = 31 }, want: "something was lost"},
		{name: "a webhook got nothing", change: func(d *driven) { d.tallies = nil }, want: "has 0 paths"},
		{name: "a signature is wrong", change: func(d *driven) {
			d.tallies["/receiver/0"] = tally{Distinct: 2, Fingerprint: 30, Refused: 1}
		}, want: "were wrong"},
		{name: "a request went astray", change: func(d *driven) { d.strays = 1 }, want: "no webhook"},
		{name: "the log lacks the attempt", log: strings.Replace(good, `{"number":1,"status":200}`, "", 1), want: "expected a success"},
		{name: "the log has another status", log: strings.Replace(good, "200", "500", 1), want: "expected a success"},
		{name: "the log has another event's delivery", log: strings.Replace(good, "evt_1", "evt_2", 1), want: "expected a success"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			log := good
			if test.log != "" {
				log = test.log
			}
			mux := http.NewServeMux()
			mux.HandleFunc("GET /v1/deliveries", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `{"data":[]}`) })
			mux.HandleFunc("GET /v1/events/evt_1/deliveries", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `{"data":[{"id":"dlv_1"}]}`) })
			mux.HandleFunc("GET /v1/deliveries/dlv_1", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, log) })
			api := httptest.NewServer(mux)
			defer api.Close()
			s := &server{address: api.Listener.Addr().String(), http: api.Client()}
			d := whole()
			if test.change != nil {
				test.change(d)
			}
			err := d.check(t.Context(), &load{Webhooks: 1}, &cluster{server: s})
			switch {
			case test.want == "" && err != nil:
				t.Error(err)
			case test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)):
				t.Errorf("%v; want an error with %q", err, test.want)
			}
		})
	}
}

// Deliveries that the log still owes are waited for, and counted.
func TestUnsettledCountsEveryOtherState(t *testing.T) {
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Get("state") == "succeeded" || r.URL.Query().Get("project") != "default" {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		fmt.Fprint(w, `{"data":[{"id":"dlv_1"}]}`)
	}))
	defer api.Close()
	s := &server{address: api.Listener.Addr().String(), http: api.Client()}
	if n, err := s.unsettled(t.Context()); n != 5 || err != nil {
		t.Errorf("%d, %v; want 5: one in each state but succeeded", n, err)
	}
}
