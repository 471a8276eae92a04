package web

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"telltale.example/telltale"
	"telltale.example/telltale/internal/live"
)

// A page that is live is told that there is something new, not what: it asks for
// itself again, at most once a second, and htmx changes what differs. So rows are
// filtered, counted and ordered in one place, none is there twice, and a page
// never grows. Someone who reads further down, or has chosen rows, is told how
// many are new and decides.

const (
	// livePace is how often a page is told at most.
	livePace = time.Second
	// longStreams is how many streams one session holds open. A browser has six
	// connections to a host (over HTTP/1.1), for all its tabs together; those
	// that are not seen give theirs up, and beyond this many a page polls.
	longStreams = 4
	pollEvery   = 3 * time.Second
)

// topic is what of the log a page follows: events, deliveries, or what has to do
// with one event, delivery, message or replay, which it names by its id.
type topic string

const (
	topicEvents     topic = "events"
	topicDeliveries topic = "deliveries"
	messageTopic          = "message:" // and the message's id
)

// topicsOf reads them. Only the id of a message may hold a comma.
func topicsOf(list string) []topic {
	if strings.HasPrefix(list, messageTopic) {
		return []topic{topic(list)}
	}
	var topics []topic
	for name := range strings.SplitSeq(list, ",") {
		topics = append(topics, topic(name))
	}
	return topics
}

// count tells how much of what is new is of the topic.
func (t topic) count(p telltale.LogPage) int {
	switch t {
	case topicEvents:
		return len(p.Events)
	case topicDeliveries:
		return len(p.Deliveries)
	case "":
		return 0
	}
	n, id := 0, string(t)
	message, isMessage := strings.CutPrefix(id, messageTopic)
	for _, e := range p.Events {
		if string(e.ID) == id || isMessage && e.MessageID == message {
			n++
		}
	}
	for _, d := range p.Deliveries {
		if string(d.ID) == id || string(d.EventID) == id || string(d.ReplayID) == id {
			n++
		}
	}
	if p.More && n == 0 {
		return 1 // it may be in what was passed over
	}
	return n
}

// stream tells a page of news, with the log's cursor as the message's id: a
// browser that lost the connection says which one it had last.
func stream(c *call) error {
	if c.who.ID == "" {
		c.w.WriteHeader(http.StatusUnauthorized)
		return nil
	}
	after, err := c.streamFrom()
	if err != nil {
		return err
	}
	long, leave := c.streams.enter(c.who.Session.Hash)
	defer leave()
	out := &eventStream{ResponseController: http.NewResponseController(c.w), w: c.w}
	if err := out.begin(); err != nil {
		return nil //nolint:nilerr // the browser has gone
	}
	topics := topicsOf(c.r.URL.Query().Get("topics"))
	if !long {
		return c.poll(out, topics, after)
	}
	checked := time.Now()
	check := func() error { // whether someone is still signed in
		checked = time.Now()
		if _, err := c.Operators.Current(c.r); telltale.CodeOf(err) == telltale.Unauthenticated {
			return errors.Join(out.write("event: signed-out\ndata: \n\n"), errStreamEnds)
		}
		return nil
	}
	idle := func() error {
		if err := check(); err != nil {
			return err
		}
		return out.write(": alive\n\n")
	}
	_ = c.Live.Tell(c.r.Context(), c.project.ID, after, livePace, func(p telltale.LogPage) error {
		if time.Since(checked) >= live.Heartbeat {
			if err := check(); err != nil {
				return err
			}
		}
		if n := newsOf(topics, p); n > 0 {
			return out.write("id: %d\nevent: news\ndata: %d\n\n", p.Next, n)
		}
		return nil
	}, idle) // however it ends: the browser comes back, or has gone
	return nil
}

// poll tells once, and the browser comes back after a while.
func (c *call) poll(out *eventStream, topics []topic, after telltale.Cursor) error {
	p, err := c.Live.Look(c.r.Context(), c.project.ID, after)
	if err != nil {
		return nil //nolint:nilerr // it comes back just so
	}
	kind, n := "poll", newsOf(topics, p)
	if n > 0 {
		kind = "news"
	}
	_ = out.write("id: %d\nevent: %s\nretry: %d\ndata: %d\n\n", p.Next, kind, pollEvery.Milliseconds(), n)
	return nil
}

// newsOf is how much is new for a page that follows the topics.
func newsOf(topics []topic, p telltale.LogPage) int {
	most := 0
	for _, t := range topics {
		most = max(most, t.count(p))
	}
	return most
}

var errStreamEnds = errors.New("web: the stream ends")

// streamFrom is where the browser stopped, or where the page was made.
func (c *call) streamFrom() (telltale.Cursor, error) {
	for _, text := range []string{c.r.Header.Get("Last-Event-ID"), c.r.URL.Query().Get("from")} {
		if n, err := strconv.ParseInt(text, 10, 64); err == nil && n >= 0 {
			return telltale.Cursor(n), nil
		}
	}
	return c.Live.End(c.r.Context())
}

// eventStream writes server-sent events. Each write must be taken within
// [live.WriteTimeout], else the browser is cut off.
type eventStream struct {
	*http.ResponseController
	w http.ResponseWriter
}

func (s *eventStream) begin() error {
	h := s.w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("X-Accel-Buffering", "no") // proxies are to pass each on at once
	return errors.Join(s.SetReadDeadline(time.Time{}), s.write(": here\n\n"))
}

func (s *eventStream) write(format string, args ...any) error {
	if err := s.SetWriteDeadline(time.Now().Add(live.WriteTimeout)); err != nil {
		return err
	}
	if _, err := fmt.Fprintf(s.w, format, args...); err != nil {
		return err
	}
	return s.Flush()
}

// streams counts the streams that each session holds open.
type streams struct {
	mu   sync.Mutex
	open map[[sha256.Size]byte]int
}

// enter reports whether the session may hold one more open.
func (s *streams) enter(session [sha256.Size]byte) (long bool, leave func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.open[session] >= longStreams {
		return false, func() {}
	}
	if s.open == nil {
		s.open = map[[sha256.Size]byte]int{}
	}
	s.open[session]++
	return true, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.open[session]--; s.open[session] == 0 {
			delete(s.open, session)
		}
	}
}
