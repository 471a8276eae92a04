package main

import (
	"crypto/sha256"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"sync"
	"time"

	"telltale.example/telltale/signature"
)

// sink is the customers' server: each webhook has its own path.
type sink struct {
	*httptest.Server
	mu    sync.Mutex
	hooks map[string]*hook // by path
	hits  []hit
}

// hit is a request that arrived.
type hit struct {
	Hook     string // id of the webhook
	Key      string // of the event, as its caller named it
	ID       string // webhook-id
	At       time.Time
	Status   int
	Attempt  int // that it says it is
	Body     digest
	Verified bool
	Test     bool // it is one
	Path     string

	Newest, Oldest int // of the webhook's secrets, in the order in which it got them, that signed it
}

// puzzle is a request that no known secret signed. It may be signed with one whose
// rotation has not answered yet.
type puzzle struct {
	hit    int // its place among all
	header http.Header
	body   []byte
}

// hook is a webhook as the test knows it.
type hook struct {
	ID, path string
	project  string // slug; "" for the first
	verifier *signature.Verifier
	pause    time.Duration                                 // before the answer
	answer   func(key string, attempt string) (status int) // nil: 200

	rotated []*signature.Verifier // of later secrets
	puzzles []puzzle

	open, most int // requests under way, and the most there were at once
}

func newSink(r *Run) *sink {
	s := &sink{hooks: map[string]*hook{}}
	s.Server = httptest.NewServer(s)
	r.Cleanup(s.Close)
	return s
}

// Handler notes the request before it answers: what was not answered was received
// all the same.
func (s *sink) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	at := time.Now()
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return // cut off in the middle: it was not received
	}
	var event struct {
		User struct {
			ID string `json:"id"`
		} `json:"user"`
	}
	_ = json.Unmarshal(body, &event) // what cannot be read has no key
	s.mu.Lock()
	h := s.hooks[r.URL.Path]
	if h == nil {
		s.mu.Unlock()
		http.NotFound(w, r)
		return
	}
	status := http.StatusOK
	if h.answer != nil {
		status = h.answer(event.User.ID, r.Header.Get("telltale-attempt"))
	}
	number, _ := strconv.Atoi(r.Header.Get("telltale-attempt")) // what is none is no attempt's
	s.hits = append(s.hits, hit{Hook: h.ID, Key: event.User.ID, ID: r.Header.Get("webhook-id"), At: at, Status: status, Attempt: number, Body: sha256.Sum256(body), Test: r.Header.Get("telltale-test") != "", Path: r.URL.Path})
	if !h.signed(&s.hits[len(s.hits)-1], r.Header, body) {
		h.puzzles = append(h.puzzles, puzzle{len(s.hits) - 1, r.Header, body})
	}
	h.open++
	h.most = max(h.most, h.open)
	pause := h.pause
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		h.open--
		s.mu.Unlock()
	}()
	if pause > 0 {
		select {
		case <-time.After(pause):
		case <-r.Context().Done():
		}
	}
	w.WriteHeader(status)
}

// signed notes which of the webhook's secrets signed a request. Of former ones it
// looks at the latest few.
func (h *hook) signed(hit *hit, header http.Header, body []byte) bool {
	const former = 4
	for g := len(h.rotated); g >= max(0, len(h.rotated)-former); g-- {
		v := h.verifier
		if g > 0 {
			v = h.rotated[g-1]
		}
		if v.Verify(header, body, hit.At) != nil {
			continue
		}
		if !hit.Verified {
			hit.Verified, hit.Newest = true, g
		}
		hit.Oldest = g
	}
	return hit.Verified
}

// expect has a webhook be reached at one more path.
func (s *sink) expect(h *hook, path string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hooks[path] = h
}

// learn adds a secret of a webhook.
func (s *sink) learn(h *hook, secret signature.Secret) {
	v := signature.NewVerifier(secret)
	v.Tolerance = h.verifier.Tolerance
	s.mu.Lock()
	defer s.mu.Unlock()
	h.rotated = append(h.rotated, v)
	h.puzzles = slices.DeleteFunc(h.puzzles, func(p puzzle) bool { return h.signed(&s.hits[p.hit], p.header, p.body) })
}

func (s *sink) arrived() []hit {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]hit(nil), s.hits...)
}

func (s *sink) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.hits)
}

// newHook makes a webhook through a node.
func (w *world) newHook(name string, h *hook, settings map[string]any) *hook {
	h.path = "/" + name
	in := map[string]any{"url": w.sink.URL + h.path, "events": []string{"*"}, "concurrency": 24}
	for key, value := range settings {
		in[key] = value
	}
	status, text := w.call(http.MethodPost, w.nodes[0].api+"/v1/webhooks?project="+slug(h.project), in)
	var made struct{ ID, Secret string }
	if err := json.Unmarshal(text, &made); err != nil || status != http.StatusCreated {
		w.Fatalf("making a webhook: %d %s", status, text)
	}
	secret, err := signature.ParseSecret(made.Secret)
	w.Must(err)
	h.ID, h.verifier = made.ID, signature.NewVerifier(secret)
	h.verifier.Tolerance = time.Hour // what was sent before a process was stopped arrives much later
	w.sink.mu.Lock()
	defer w.sink.mu.Unlock()
	w.sink.hooks[h.path] = h
	w.hooks = append(w.hooks, h)
	return h
}
