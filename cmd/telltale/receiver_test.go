package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/rogpeppe/go-internal/testscript"

	"telltale.example/telltale/signature"
)

// receiver is a customer's server: a real one, on loopback, that answers as it
// is told and keeps what it got.
type receiver struct {
	address string
	server  *http.Server

	mu     sync.Mutex
	status int           // 0 hangs until the sender gives up
	wake   chan struct{} // closed when hanging requests are to end
	got    []gotRequest
}

type gotRequest struct {
	header http.Header
	body   []byte
	at     time.Time
}

func startReceiver(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) != 1 {
		ts.Fatalf("usage: receiver NAME")
	}
	r := &receiver{address: "127.0.0.1:0", status: http.StatusOK, wake: make(chan struct{})}
	ts.Check(r.up())
	storyOf(ts).receivers[args[0]] = r
	ts.Setenv(args[0], "http://"+r.address+"/hook")
}

func (r *receiver) up() error {
	l, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", r.address)
	if err != nil {
		return err
	}
	r.address = l.Addr().String()
	r.server = &http.Server{Handler: r, ReadHeaderTimeout: patience}
	go func(s *http.Server) { _ = s.Serve(l) }(r.server)
	return nil
}

// down refuses connections from now on, as a server that was stopped does.
func (r *receiver) down() error { return r.server.Close() }

func (r *receiver) end() {
	close(r.wake)
	_ = r.down()
}

func (r *receiver) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	body, err := io.ReadAll(req.Body)
	if err != nil {
		return // cut off in the middle: it was not received
	}
	r.mu.Lock()
	r.got = append(r.got, gotRequest{req.Header.Clone(), body, time.Now()})
	status := r.status
	r.mu.Unlock()
	if status == 0 {
		select {
		case <-req.Context().Done():
		case <-r.wake:
		}
		return
	}
	w.WriteHeader(status)
	fmt.Fprintf(w, "answered %d", status)
}

func (r *receiver) requests() []gotRequest {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]gotRequest(nil), r.got...)
}

func setAnswer(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) != 2 {
		ts.Fatalf("usage: answer NAME STATUS|hang")
	}
	status := 0
	if args[1] != "hang" {
		var err error
		status, err = strconv.Atoi(args[1])
		ts.Check(err)
	}
	r := storyOf(ts).receiver(ts, args)
	r.mu.Lock()
	r.status = status
	r.mu.Unlock()
}

func waitReceived(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) != 2 {
		ts.Fatalf("usage: received NAME N")
	}
	want, err := strconv.Atoi(args[1])
	ts.Check(err)
	r := storyOf(ts).receiver(ts, args)
	poll(ts, fmt.Sprintf("%s to get %d requests", args[0], want), func() (bool, string) {
		n := len(r.requests())
		return n >= want, fmt.Sprintf("%d requests", n)
	})
	if n := len(r.requests()); n > want {
		ts.Fatalf("%s got %d requests, want %d", args[0], n, want)
	}
}

var optedOutAt = regexp.MustCompile(`"unsubscribed_at":\d+`)

func printBodies(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) != 1 {
		ts.Fatalf("usage: bodies NAME")
	}
	var bodies []string
	for _, got := range storyOf(ts).receiver(ts, args).requests() {
		bodies = append(bodies, optedOutAt.ReplaceAllString(string(got.body), `"unsubscribed_at":0`))
	}
	slices.Sort(bodies)
	for _, body := range bodies {
		fmt.Fprintln(ts.Stdout(), body)
	}
}

func checkSigned(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) < 2 {
		ts.Fatalf("usage: signed NAME SECRET…")
	}
	var secrets []signature.Secret
	for _, text := range args[1:] {
		secret, err := signature.ParseSecret(text)
		ts.Check(err)
		secrets = append(secrets, secret)
	}
	verifier := signature.NewVerifier(secrets[0], secrets[1:]...)
	got := storyOf(ts).receiver(ts, args).requests()
	if len(got) == 0 {
		ts.Fatalf("%s got nothing", args[0])
	}
	for i, g := range got {
		if err := verifier.Verify(g.header, g.body, g.at); err != nil {
			ts.Fatalf("request %d: %v\n%v\n%s", i, err, g.header, g.body)
		}
	}
}

// checkDocumented compares what was received with the documented samples: the
// same keys in the same order, numbers digit for digit.
func checkDocumented(ts *testscript.TestScript, _ bool, args []string) {
	files, err := filepath.Glob(filepath.Join("testdata", "documented", "*.json"))
	ts.Check(err)
	if len(files) != 12 {
		ts.Fatalf("there are %d documented samples, want 12", len(files))
	}
	want := map[string]string{}
	for _, file := range files {
		text, err := os.ReadFile(file)
		ts.Check(err)
		v := jsontext.Value(bytes.TrimSpace(text))
		ts.Check(v.Compact(jsontext.PreserveRawStrings(true)))
		want[filepath.Base(file)] = string(v)
	}
	got := storyOf(ts).receiver(ts, args).requests()
	for _, g := range got {
		name := g.header.Get("Telltale-Event") + ".json"
		if string(g.body) != want[name] {
			ts.Fatalf("%s\n got %s\nwant %s", name, g.body, want[name])
		}
		if c := g.header.Get("Content-Type"); c != "application/json" {
			ts.Fatalf("%s came as %q", name, c)
		}
		delete(want, name)
	}
	for name := range want {
		ts.Fatalf("%s did not come", name)
	}
}
