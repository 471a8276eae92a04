package main

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"telltale.example/telltale/signature"
)

// standIn plays telltale serve as far as the bench asks, in memory: enough to
// try the whole bench without the server, and to lose an event on purpose.
type standIn struct {
	client  *http.Client
	lose    int64 // the number of the event that is never delivered; 0: none
	events  atomic.Int64
	queue   chan owed
	done    atomic.Int64
	mu      sync.Mutex
	targets []target
}

type target struct {
	url    string
	signer *signature.Signer
}

type owed struct {
	id   string
	body []byte
}

const standInToken = "tt_stand-in"

// serveStandIn is the process. Its last argument may be lose=N.
func serveStandIn(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("serve", flag.ContinueOnError)
	listen, ops, data := flags.String("listen", "", ""), flags.String("ops-listen", "", ""), flags.String("data", "", "")
	flags.Bool("allow-private", false, "")
	if err := flags.Parse(args); err != nil {
		return err
	}
	s := &standIn{queue: make(chan owed, 1<<20), client: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64}}}
	if text, ok := strings.CutPrefix(flags.Arg(0), "lose="); ok {
		var err error
		if s.lose, err = strconv.ParseInt(text, 10, 64); err != nil {
			return err
		}
	}
	if err := os.MkdirAll(*data, 0o700); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(*data, "owner.token"), []byte(standInToken+"\n"), 0o600); err != nil {
		return err
	}
	for range 64 {
		go s.deliver(ctx)
	}
	errs := make(chan error, 2)
	for address, handler := range map[string]http.Handler{
		*listen: s.api(),
		*ops:    http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}),
	} {
		l, err := net.Listen("tcp", address)
		if err != nil {
			return err
		}
		go func() { errs <- http.Serve(l, handler) }()
	}
	select {
	case err := <-errs:
		return err
	case <-ctx.Done():
		return nil
	}
}

func (s *standIn) api() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /v1/webhooks", func(w http.ResponseWriter, r *http.Request) {
		var in struct{ URL string }
		json.NewDecoder(r.Body).Decode(&in)
		secret := signature.NewSecret()
		s.mu.Lock()
		s.targets = append(s.targets, target{in.URL, signature.NewSigner(secret)})
		s.mu.Unlock()
		json.NewEncoder(w).Encode(map[string]string{"secret": secret.Reveal()})
	})
	mux.HandleFunc("POST /v1/events", func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil || r.Header.Get("Authorization") != "Bearer "+standInToken {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		n := s.events.Add(1)
		id := fmt.Sprintf("evt_%026d", n)
		if n == s.lose {
			s.done.Add(1) // as if it had been delivered
		} else {
			s.queue <- owed{id, body}
		}
		w.WriteHeader(http.StatusAccepted)
		fmt.Fprintf(w, `{"accepted":1,"duplicates":0,"events":[{"id":%q,"duplicate":false}]}`, id)
	})
	mux.HandleFunc("GET /v1/deliveries", func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Get("state") == "waiting" && s.done.Load() < s.events.Load() {
			fmt.Fprint(w, `{"data":[{"id":"dlv_1"}]}`)
			return
		}
		fmt.Fprint(w, `{"data":[]}`)
	})
	mux.HandleFunc("GET /v1/events/{id}/deliveries", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, `{"data":[{"id":"dlv_%s"}]}`, r.PathValue("id"))
	})
	mux.HandleFunc("GET /v1/deliveries/{id}", func(w http.ResponseWriter, r *http.Request) {
		event := strings.TrimPrefix(r.PathValue("id"), "dlv_")
		fmt.Fprintf(w, `{"event_id":%q,"state":"succeeded","attempt_count":1,"attempts":[{"number":1,"status":200}]}`, event)
	})
	return mux
}

func (s *standIn) deliver(ctx context.Context) {
	for {
		var o owed
		select {
		case o = <-s.queue:
		case <-ctx.Done():
			return
		}
		s.mu.Lock()
		targets := s.targets
		s.mu.Unlock()
		for _, t := range targets {
			r, _ := http.NewRequestWithContext(ctx, http.MethodPost, t.url, bytes.NewReader(o.body))
			now := time.Now()
			r.Header.Set(signature.HeaderID, o.id)
			r.Header.Set(signature.HeaderTimestamp, strconv.FormatInt(now.Unix(), 10))
			r.Header.Set(signature.HeaderSignature, t.signer.Sign(o.id, now, o.body))
			if answer, err := s.client.Do(r); err == nil {
				answer.Body.Close()
			}
		}
		s.done.Add(1)
	}
}

func standInOptions(t *testing.T, args ...string) options {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return options{
		Server: self, ServerArgs: args, Dir: ".", Rounds: 2, stall: 500 * time.Millisecond,
		Length: 300 * time.Millisecond, Warm: 100 * time.Millisecond, Yardstick: 200 * time.Millisecond,
	}
}

func TestMeasureFromEndToEnd(t *testing.T) {
	marks, loads, err := choose([]string{"m1", "m4", "m7"})
	if err != nil {
		t.Fatal(err)
	}
	p, err := standInOptions(t).measure(t.Context(), marks, loads)
	if err != nil {
		t.Fatal(err)
	}
	if len(p.Runs) != 4 || len(p.Results) != 4 {
		t.Fatalf("%d runs, %d marks; want 2 runs of 2 loads, 4 marks", len(p.Runs), len(p.Results))
	}
	for _, r := range p.Runs {
		if r.Accepted == 0 || r.Delivered != r.Accepted || r.Extra != 0 || r.Verified == 0 || r.LogChecked == 0 || r.Memory.Peak == 0 || r.Seconds < 0.2 {
			t.Errorf("%+v: something was not measured", r)
		}
	}
	saturated, paced := p.Runs[0], p.Runs[2]
	if saturated.ratio() <= 0 || p.Runs[1].Before != saturated.After {
		t.Errorf("%+v, %+v: want the yardstick before and after, once between two runs", saturated, p.Runs[1])
	}
	if paced.Accepted != 15 || paced.Latency.P50 <= 0 || paced.Bare.P50 <= 0 {
		t.Errorf("%+v: want 15 events and their latency", paced)
	}
	var text strings.Builder
	p.write(&text)
	for _, want := range []string{"| M1 |", "| M7 |", "Load `one`", "Load `paced`", "stand-in"} {
		if !strings.Contains(text.String(), want) {
			t.Errorf("the report has no %q:\n%s", want, &text)
		}
	}
	if left, _ := filepath.Glob("telltale-bench-*"); left != nil {
		t.Errorf("left behind: %v", left)
	}
}

// The whole bench fails when the server loses one event and says that it did not.
func TestMeasureFailsWhenAnEventIsLost(t *testing.T) {
	marks, loads, err := choose([]string{"m4"})
	if err != nil {
		t.Fatal(err)
	}
	_, err = standInOptions(t, "lose=12").measure(t.Context(), marks, loads)
	if err == nil || !strings.Contains(err.Error(), "deliveries arrived, and none for") {
		t.Errorf("%v; want the deliveries that are missing", err)
	}
}
