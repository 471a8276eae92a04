package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// acceptor stands for the server: it answers as POST /v1/events does.
type acceptor struct {
	*httptest.Server
	events      atomic.Int64
	fingerprint atomic.Uint64
}

func newAcceptor(t *testing.T, refuse func(request int64) int) *acceptor {
	t.Helper()
	a := &acceptor{}
	var requests atomic.Int64
	a.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil || r.URL.Path != "/v1/events" || r.Header.Get("Authorization") != "Bearer tt_x" {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		if status := refuse(requests.Add(1)); status != 0 {
			w.WriteHeader(status)
			return
		}
		events := []json.RawMessage{body}
		if body[0] == '[' {
			if err := json.Unmarshal(body, &events); err != nil {
				w.WriteHeader(http.StatusBadRequest)
				return
			}
		}
		var ids []string
		for range events {
			id := fmt.Sprintf("evt_%026d", a.events.Add(1))
			a.fingerprint.Add(hashID([]byte(id)))
			ids = append(ids, fmt.Sprintf(`{"id":%q,"duplicate":false}`, id))
		}
		w.WriteHeader(http.StatusAccepted)
		fmt.Fprintf(w, `{"accepted":%d,"duplicates":0,"events":[%s]}`, len(ids), strings.Join(ids, ","))
	}))
	t.Cleanup(a.Close)
	return a
}

func (a *acceptor) drive(t *testing.T, c driveConfig) (result driveResult, err error) {
	t.Helper()
	c.Addresses, c.Path, c.Token = []string{a.Listener.Addr().String()}, ingestPath, "tt_x"
	_, err = runChild(t.Context(), "drive", c, &result)
	return result, err
}

func never(int64) int { return 0 }

func TestDriveCountsWhatWasAccepted(t *testing.T) {
	for _, test := range []struct {
		name   string
		config driveConfig
	}{
		{"one event a request", driveConfig{Batch: 1, Connections: 3, Length: 100 * time.Millisecond}},
		{"a hundred events a request", driveConfig{Batch: 100, Connections: 2, Length: 100 * time.Millisecond}},
		{"at a rate", driveConfig{Batch: 1, Connections: 4, Rate: 100, Length: 200 * time.Millisecond}},
	} {
		t.Run(test.name, func(t *testing.T) {
			a := newAcceptor(t, never)
			got, err := a.drive(t, test.config)
			if err != nil {
				t.Fatal(err)
			}
			if got.Accepted == 0 || got.Accepted != a.events.Load() || got.Fingerprint != a.fingerprint.Load() {
				t.Errorf("%d events were counted; %d were accepted", got.Accepted, a.events.Load())
			}
			if test.config.Rate > 0 && got.Accepted != 20 {
				t.Errorf("%d events at 100/s in 200 ms; want 20", got.Accepted)
			}
			if len(got.Sample) == 0 || got.EndNS <= got.StartNS || got.Refused != nil {
				t.Errorf("%+v; want a sample, a time, and nothing refused", got)
			}
		})
	}
}

func TestDriveComesBackWhenItIsRefused(t *testing.T) {
	a := newAcceptor(t, func(request int64) int {
		if request%2 == 1 {
			return http.StatusServiceUnavailable
		}
		return 0
	})
	got, err := a.drive(t, driveConfig{Batch: 1, Connections: 1, Length: 200 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	if got.Accepted == 0 || got.Accepted != a.events.Load() || got.Refused[http.StatusServiceUnavailable] < got.Accepted {
		t.Errorf("%+v; want as many refusals as events", got)
	}
}

func TestDriveEndsAtAnyOtherAnswer(t *testing.T) {
	a := newAcceptor(t, func(request int64) int {
		if request == 3 {
			return http.StatusUnprocessableEntity
		}
		return 0
	})
	if got, err := a.drive(t, driveConfig{Batch: 1, Connections: 2, Length: 10 * time.Second}); err == nil {
		t.Errorf("%+v; want an error", got)
	}
}

func TestDriveNoticesWhatWasNotAccepted(t *testing.T) {
	var part driveResult
	if n := part.accept([]byte(`{"accepted":1,"duplicates":0,"events":[{"id":"evt_1","duplicate":false},{"id":"evt_2`)); n != 1 {
		t.Errorf("%d events in an answer that was cut off; want 1", n)
	}
}

func TestYardstickBesideTheSink(t *testing.T) {
	b := &bench{options: options{Yardstick: 200 * time.Millisecond}, sink: startTestSink(t)}
	loop, err := b.saturateYardstick(t.Context())
	if err != nil || loop.PerSecond < 100 || loop.CPU <= 0 {
		t.Errorf("%+v, %v; want more than 100 requests a second, and what they cost", loop, err)
	}
	bare, err := b.paceYardstick(t.Context(), 50)
	if err != nil || bare.P50 <= 0 || bare.P99 < bare.P50 || bare.Max < bare.P99 {
		t.Errorf("%+v, %v; want rising percentiles", bare, err)
	}
}
