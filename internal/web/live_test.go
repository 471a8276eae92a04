package web_test

import (
	"bufio"
	"context"
	"net/http"
	"strings"
	"testing"
	"time"
)

// message is one server-sent event.
type message struct{ ID, Event, Data, Retry string }

// stream is an open stream of events.
type stream struct {
	t        *testing.T
	response *http.Response
	messages chan message
}

// stream opens one. What it says until it ends is in messages.
func (b *browser) stream(path, lastID string) *stream {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.t.Context(), 30*time.Second)
	b.t.Cleanup(cancel)
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, b.url+path, nil)
	if err != nil {
		b.t.Fatal(err)
	}
	if lastID != "" {
		r.Header.Set("Last-Event-ID", lastID)
	}
	response, err := b.client.Do(r)
	if err != nil {
		b.t.Fatal(err)
	}
	s := &stream{b.t, response, make(chan message, 100)}
	go func() {
		defer close(s.messages)
		defer response.Body.Close()
		var m message
		for lines := bufio.NewScanner(response.Body); lines.Scan(); {
			name, value, _ := strings.Cut(lines.Text(), ": ")
			switch name {
			case "id":
				m.ID = value
			case "event":
				m.Event = value
			case "data":
				m.Data = value
			case "retry":
				m.Retry = value
			case "":
				if m.Event != "" {
					s.messages <- m
				}
				m = message{}
			}
		}
	}()
	return s
}

// next gives the next message, or one without anything if the stream has ended.
func (s *stream) next() message {
	s.t.Helper()
	select {
	case m := <-s.messages:
		return m
	case <-time.After(20 * time.Second):
		s.t.Fatal("the stream says nothing")
		return message{}
	}
}

func (w *world) sendEvent() {
	w.t.Helper()
	w.api(http.MethodPost, "/v1/events?project=default", `{"type":"sent","user":{"id":1,"email":"a@example.com"}}`, nil)
}

const liveEvents = "/p/default/live?topics=events"

func TestAStreamIsForThoseWhoAreSignedIn(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.newBrowser().get(liveEvents).want(http.StatusUnauthorized)
	s := w.stream(liveEvents, "")
	for name, want := range map[string]string{"Content-Type": "text/event-stream", "Cache-Control": "no-store", "X-Accel-Buffering": "no"} {
		if got := s.response.Header.Get(name); got != want {
			t.Errorf("%s is %q; want %q", name, got, want)
		}
	}
}

func TestAStreamGoesOnWhereItStopped(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	first := w.stream(liveEvents, "")
	w.sendEvent()
	news := first.next()
	if news.Event != "news" || news.Data != "1" {
		t.Fatalf("the first event is told as %+v", news)
	}
	w.sendEvent()
	w.sendEvent()
	again := w.stream(liveEvents, news.ID).next()
	if again.Event != "news" || again.Data != "2" {
		t.Errorf("two events while nobody listened are told as %+v", again)
	}
	if nothing := w.stream(liveEvents, again.ID); nothing != nil {
		w.sendEvent()
		if m := nothing.next(); m.Data != "1" {
			t.Errorf("one event is told as %+v: what was told before is told again", m)
		}
	}
}

func TestAPageIsToldOfItsTopicOnly(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	other := w.stream("/p/default/live?topics=dlv_01JD0000000000000000000000", "")
	events := w.stream(liveEvents, "")
	w.sendEvent()
	events.next()
	select {
	case m := <-other.messages:
		t.Errorf("a page of another delivery is told %+v", m)
	case <-time.After(2 * livePaceForTests):
	}
}

// livePaceForTests is how long nothing is waited for.
const livePaceForTests = 100 * time.Millisecond

func TestTheFifthStreamOfASessionPolls(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for range 4 {
		w.stream(liveEvents, "")
	}
	fifth := w.stream(liveEvents, "")
	polled := fifth.next()
	if polled.Event != "poll" || polled.Retry == "" || polled.ID == "" {
		t.Fatalf("the fifth is told %+v", polled)
	}
	if end := fifth.next(); end != (message{}) {
		t.Fatalf("the fifth goes on with %+v", end)
	}
	w.sendEvent()
	if m := w.stream(liveEvents, polled.ID).next(); m.Event != "news" || m.Data != "1" || m.Retry == "" {
		t.Errorf("when it comes back it is told %+v", m)
	}
	if m := w.operator("viewer").stream(liveEvents, polled.ID).next(); m.Event != "news" || m.Retry != "" {
		t.Errorf("another session is told %+v", m)
	}
}

func TestStreamsDoNotHoldUpAStop(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s := w.stream(liveEvents, "")
	began := time.Now()
	if err := w.app.Stop(context.WithoutCancel(t.Context())); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("the stop took %v", took)
	}
	if end := s.next(); end != (message{}) {
		t.Errorf("the stream goes on with %+v", end)
	}
}
