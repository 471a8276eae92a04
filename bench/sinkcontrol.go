package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"
)

// sinkReady is what the sink's process says when it can be used.
type sinkReady struct {
	Address string `json:"address"` // where deliveries go
	Control string `json:"control"` // where its counters are
}

// sinkCounts is what the sink counts as it goes, cheap enough to ask for often.
type sinkCounts struct {
	Hits   int64 `json:"hits"`    // at all paths
	LastNS int64 `json:"last_ns"` // Unix time of the last one
	Strays int64 `json:"strays"`
}

// runSink is the sink's process. It ends with ctx.
func runSink(ctx context.Context, _ struct{}, say func(any) error) error {
	s := newSink()
	var listen net.ListenConfig
	receive, err := listen.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	control, err := listen.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	server := &http.Server{Handler: s.control(), ReadHeaderTimeout: 10 * time.Second}
	stop := context.AfterFunc(ctx, func() { server.Close() }) //nolint:errcheck // to wake Serve
	defer stop()
	go server.Serve(control) //nolint:errcheck // it ends with the process, and whoever asks notices before that
	if err := say(sinkReady{Address: receive.Addr().String(), Control: control.Addr().String()}); err != nil {
		return err
	}
	return s.serve(ctx, receive)
}

// control serves the counters.
func (s *sink) control() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("PUT /paths", func(w http.ResponseWriter, r *http.Request) {
		var config map[string]pathConfig
		err := json.NewDecoder(r.Body).Decode(&config)
		if err == nil {
			err = s.expect(config)
		}
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
		}
	})
	mux.HandleFunc("GET /counts", func(w http.ResponseWriter, _ *http.Request) {
		c := sinkCounts{Strays: s.strays.Load()}
		for _, p := range *s.paths.Load() {
			c.Hits += p.hits.Load()
			c.LastNS = max(c.LastNS, p.lastNS.Load())
		}
		writeJSON(w, c)
	})
	mux.HandleFunc("GET /tallies", func(w http.ResponseWriter, _ *http.Request) {
		tallies := map[string]tally{}
		for name, p := range *s.paths.Load() {
			tallies[name] = p.tally()
		}
		writeJSON(w, tallies)
	})
	return mux
}

func writeJSON(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(v) //nolint:errcheck,errchkjson // the caller went away
}

// sinkClient asks a sink's process.
type sinkClient struct {
	sinkReady
	process *child
	http    *http.Client
}

func startSink(ctx context.Context) (*sinkClient, error) {
	process, err := startChild(ctx, "sink", struct{}{})
	if err != nil {
		return nil, err
	}
	s := &sinkClient{process: process, http: &http.Client{Timeout: time.Minute}}
	if err := process.hear(&s.sinkReady); err != nil {
		process.stop() //nolint:errcheck // the first error says more
		return nil, err
	}
	return s, nil
}

// url is where the requests to a path go.
func (s *sinkClient) url(path string) string { return "http://" + s.Address + path }

// expect replaces all paths and forgets what was counted.
func (s *sinkClient) expect(ctx context.Context, paths map[string]pathConfig) error {
	return s.ask(ctx, http.MethodPut, "/paths", paths, nil)
}

func (s *sinkClient) counts(ctx context.Context) (c sinkCounts, err error) {
	return c, s.ask(ctx, http.MethodGet, "/counts", nil, &c)
}

func (s *sinkClient) tallies(ctx context.Context) (t map[string]tally, err error) {
	return t, s.ask(ctx, http.MethodGet, "/tallies", nil, &t)
}

func (s *sinkClient) ask(ctx context.Context, method, path string, in, out any) error {
	return exchange(ctx, s.http, method, "http://"+s.Control+path, nil, in, out)
}

// maxAnswer bounds the answer of a sink or a server, in bytes.
const maxAnswer = 64 << 20

// exchange sends in as JSON, if there is any, and reads the answer into out.
func exchange(ctx context.Context, client *http.Client, method, url string, header http.Header, in, out any) error {
	var body bytes.Buffer
	if in != nil {
		if err := json.NewEncoder(&body).Encode(in); err != nil {
			return err
		}
	}
	r, err := http.NewRequestWithContext(ctx, method, url, &body)
	if err != nil {
		return err
	}
	for name, values := range header {
		r.Header[name] = values
	}
	r.Header.Set("Content-Type", "application/json")
	answer, err := client.Do(r)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(io.LimitReader(answer.Body, maxAnswer))
	if err != nil {
		return fmt.Errorf("%s %s: %w", method, url, err)
	}
	if answer.StatusCode/100 != 2 {
		return fmt.Errorf("%s %s: %s: %.500s", method, url, answer.Status, text)
	}
	if out == nil {
		return nil
	}
	if err := json.Unmarshal(text, out); err != nil {
		return fmt.Errorf("%s %s: %w", method, url, err)
	}
	return nil
}
