package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/testscript"

	"telltale.example/telltale"
	"telltale.example/telltale/internal/app"
	"telltale.example/telltale/internal/config"
	"telltale.example/telltale/internal/feed"
	"telltale.example/telltale/internal/wire"
)

func TestEachEventIsShownByItsProvidersName(t *testing.T) {
	t.Parallel()
	for _, from := range feed.Providers() {
		credentials, sign, err := from.Pair()
		if err != nil {
			t.Fatal(err)
		}
		at := time.Date(2026, 3, 14, 9, 26, 53, 0, time.UTC)
		for _, r := range from.Samples(at) {
			r.URL = "https://telltale.example.com/feeds/x"
			if err := sign(r, at); err != nil {
				t.Fatal(err)
			}
			events, err := eventsIn(from, r, credentials)
			if err != nil {
				t.Fatal(err)
			}
			for _, e := range events {
				if !slices.ContainsFunc(from.Mapping, func(m feed.Mapping) bool {
					return m.Type == e.kind && slices.Contains(namesOf(m), e.name)
				}) {
					t.Errorf("%s has no %s under the name %q in its mapping; it posted %s", from.Title, e.kind, e.name, e.raw)
				}
				if excerpt := e.excerpt(); !strings.Contains(excerpt, e.name) {
					t.Errorf("%s's %s is not in what is shown of it: %s", from.Title, e.name, excerpt)
				}
			}
		}
	}
}

func TestWhatAProviderToldBecameEventsInOrder(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		told, came []telltale.EventType
		want       string
	}{
		"all came":                {[]telltale.EventType{"sent", "opened"}, []telltale.EventType{"sent", "opened"}, "sent opened"},
		"one is missing":          {[]telltale.EventType{"sent", "opened", "clicked"}, []telltale.EventType{"sent", "clicked"}, "sent - clicked"},
		"the last is missing":     {[]telltale.EventType{"sent", "opened"}, []telltale.EventType{"sent"}, "sent -"},
		"none came":               {[]telltale.EventType{"sent", "opened"}, nil, "- -"},
		"one twice, and one came": {[]telltale.EventType{"opened", "opened"}, []telltale.EventType{"opened"}, "opened -"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var told []toldEvent
			for _, kind := range c.told {
				told = append(told, toldEvent{kind: kind})
			}
			var came []wire.Event
			for _, kind := range c.came {
				came = append(came, wire.Event{Type: string(kind)})
			}
			match(told, came)
			var became []string
			for _, e := range told {
				if e.became == nil {
					became = append(became, "-")
				} else {
					became = append(became, e.became.Type)
				}
			}
			if got := strings.Join(became, " "); got != c.want {
				t.Errorf("got %s, want %s", got, c.want)
			}
		})
	}
}

func TestOfWhatWasPostedTheTellingPartIsShown(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 200)
	for name, c := range map[string]struct{ name, raw, want string }{
		"all that is short":      {"open", "{ \"event\": \"open\",\n \"id\": 1 }", `{"event":"open","id":1}`},
		"the beginning":          {"open", `{"event":"open","x":"` + long + `"}`, `{"event":"open","x":"` + long[:98] + "…"},
		"from the name on":       {"open", `{"x":"` + long + `","event":"open","id":1}`, `…"event":"open","id":1}`},
		"a form from there on":   {"delivered", "x=" + long + "&event=delivered&id=1", "…event=delivered&id=1"},
		"a form as it is":        {"delivered", "event=delivered&id=1", "event=delivered&id=1"},
		"what has no such name":  {"open", `{"x":"` + long + `"}`, `{"x":"` + long[:113] + "…"},
		"the name in one member": {"open", `{"` + long + `":"open"}`, `…{"` + long[:117] + "…"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := toldEvent{name: c.name, raw: c.raw}
			if diff := cmp.Diff(c.want, e.excerpt()); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestAFeedThatIsRefusedIsShownAndCountsAsWrong(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	p := program{stdout: &out, stderr: &out}
	for _, e := range []toldEvent{
		{name: "open", raw: `{"event":"open"}`, kind: telltale.Opened, refusal: "401 Unauthorized: The signature does not match."},
		{name: "click", raw: `{"event":"click"}`, kind: telltale.Clicked},
	} {
		if ok, err := p.toldEvent(t.Context(), nil, &e); ok || err != nil {
			t.Errorf("%s: %t and %v, want false", e.name, ok, err)
		}
	}
	const want = `
open → opened                             refused: 401 Unauthorized: The signature does not match.
  {"event":"open"}

click → clicked                           nothing: it was not accepted
  {"event":"click"}
`
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Error(diff)
	}
}

func TestADemoThatGoesWrongEndsWithStatus7(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	p := program{stdout: &out, stderr: &out}
	cfg := config.Defaults()
	cfg.Listen, cfg.OpsListen = "127.0.0.1:0", "127.0.0.1:0"
	for wrong, want := range map[int]int{0: 0, 1: exitRefused} {
		err := p.runDemo(t.Context(), cfg, func(context.Context, *app.App) (int, int, error) { return wrong, 9, nil }, true)
		status := 0
		var f *failure
		if errors.As(err, &f) {
			status = f.status
		}
		if status != want || (err == nil) != (want == 0) {
			t.Errorf("%d went wrong: %v, want status %d", wrong, err, want)
		}
	}
}

// shownEvent is how the demo shows an event: its provider's name, ours, that its
// webhook succeeded, and below an excerpt of the one and the whole of the other.
var shownEvent = regexp.MustCompile(`^(\S.*? → \w+) +200 OK  [0-9.]+ ms  signature valid\n  .+\n  (\{.+\})$`)

// What differs between two runs.
var (
	shownTime    = regexp.MustCompile(`"(\w+_at)":[0-9]+`)
	shownMessage = regexp.MustCompile(`"message_id":"[^"]+"`)
)

func printBecame(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) != 0 {
		ts.Fatalf("usage: became")
	}
	blocks := strings.Split(strings.TrimSpace(ts.ReadFile("stdout")), "\n\n")
	if len(blocks) < 3 {
		ts.Fatalf("no demo printed this")
	}
	for _, block := range blocks[1 : len(blocks)-1] { // what is around them is told in sentences
		m := shownEvent.FindStringSubmatch(block)
		if m == nil {
			ts.Fatalf("this is no event that became a webhook:\n%s", block)
		}
		body := shownMessage.ReplaceAllString(shownTime.ReplaceAllString(m[2], `"$1":0`), `"message_id":"ID"`)
		fmt.Fprintf(ts.Stdout(), "%s\n  %s\n", m[1], body)
	}
}
