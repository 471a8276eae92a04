package web

import (
	"bytes"
	"net/url"
	"os/exec"
	"strings"
	"testing"
	"time"

	"telltale.example/telltale"
)

func TestTheSearchBoxTellsWhatItHolds(t *testing.T) {
	t.Parallel()
	for _, row := range []struct{ typed, value, kind string }{
		{"", "", ""},
		{"dlv_01JD0000000000000000000000", "dlv_01JD0000000000000000000000", "delivery id"},
		{"evt_01JD0000000000000000000000", "evt_01JD0000000000000000000000", "event id"},
		{"evt_short", "evt_short", "user id or message id"},
		{"<20261127.1@mail.example>", "20261127.1@mail.example", "message id"},
		{"steve@example.com", "steve@example.com", "email or message id"},
		{"123", "123", "user id or message id"},
	} {
		if value, kind := found(row.typed); value != row.value || kind != row.kind {
			t.Errorf("%q is taken for %s %q; want %s %q", row.typed, kind, value, row.kind, row.value)
		}
	}
}

func TestAFilterIsReadAsItsBadgesSay(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name, query string
		want        func(telltale.DeliveryFilter) bool
	}{
		{"waiting is what was never attempted", "state=waiting", func(f telltale.DeliveryFilter) bool {
			return f.State == telltale.StateWaiting && f.Attempted != nil && !*f.Attempted
		}},
		{"retrying is what waits and was attempted", "state=retrying", func(f telltale.DeliveryFilter) bool {
			return f.State == telltale.StateWaiting && f.Attempted != nil && *f.Attempted
		}},
		{"both may be asked for", "state=pending", func(f telltale.DeliveryFilter) bool { return f.State == telltale.StateWaiting && f.Attempted == nil }},
		{"an unknown state finds nothing", "state=lost", func(f telltale.DeliveryFilter) bool { return f.State == "lost" }},
		{"an answer of none is no answer", "answer=none", func(f telltale.DeliveryFilter) bool { return f.Answer != nil && *f.Answer == telltale.AnswerNone }},
		{"a range reaches back from now", "range=1h", func(f telltale.DeliveryFilter) bool {
			return time.Since(f.Since) >= time.Hour && time.Since(f.Since) < time.Hour+time.Minute && f.Until.IsZero()
		}},
		{"a time of one's own is UTC", "range=custom&since=2026-11-27T10:00&until=2026-11-27T10:00:30", func(f telltale.DeliveryFilter) bool {
			return f.Since.Equal(time.Date(2026, 11, 27, 10, 0, 0, 0, time.UTC)) && f.Until.Equal(f.Since.Add(30*time.Second))
		}},
		{"a time that cannot be read does not narrow", "range=custom&since=yesterday", func(f telltale.DeliveryFilter) bool { return f.Since.IsZero() }},
	} {
		q, err := url.ParseQuery(row.query)
		if err != nil {
			t.Fatal(err)
		}
		f := parseDeliveryFilter(q)
		if !row.want(f.DeliveryFilter) {
			t.Errorf("%s: %s is read as %+v", row.name, row.query, f.DeliveryFilter)
		}
		if again := f.Query(); again.Encode() != q.Encode() {
			t.Errorf("%s: %s is written back as %s", row.name, row.query, again.Encode())
		}
	}
}

func TestJSONIsSetApartAndNothingElseIsDoneToIt(t *testing.T) {
	t.Parallel()
	for _, row := range []struct{ name, body, want string }{
		{"order and digits stay", `{"b":1,"a":12345678901234567890.10,"e":1E+2}`, "{\n  \"b\": 1,\n  \"a\": 12345678901234567890.10,\n  \"e\": 1E+2\n}"},
		{"escapes stay as they were written", `{"a":"\u003cb\u003e<i>"}`, "{\n  \"a\": \"\\u003cb\\u003e<i>\"\n}"},
		{"four bytes stay", `["𝄞"]`, "[\n  \"𝄞\"\n]"},
		{"what turns the direction of text is written as an escape", "[\"a\u202eb\u2066c\"]", "[\n  \"a\\u202eb\\u2066c\"\n]"},
		{"what is no JSON stays text", "ok\r\nthen", "ok\nthen"},
		{"the colours of a terminal are shown, not sent", "\x1b[31mred", "␛[31mred"},
		{"what is no UTF-8 is replaced", "a\xffb", "a\uFFFDb"},
		{"text has no turns", "a\u202eb", "a\uFFFDb"},
	} {
		if got := pretty([]byte(row.body)); got != row.want {
			t.Errorf("%s: %q becomes %q; want %q", row.name, row.body, got, row.want)
		}
	}
}

// A shell reads the command back as it was meant.
func TestACurlCommandIsQuoted(t *testing.T) {
	t.Parallel()
	body := "{\"a\":\"it's $HOME `id` \\\\ \n\"}"
	command := curl(telltale.SentRequest{Method: "POST", URL: "https://example.com/a?b=c&d='e'", Headers: []telltale.Header{
		{Name: "Content-Length", Value: "7"}, {Name: "X-A", Value: "it's $HOME"},
	}}, []byte(body))
	if strings.Contains(command, "Content-Length") {
		t.Errorf("curl counts by itself: %s", command)
	}
	shell, err := exec.LookPath("sh")
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	run := exec.CommandContext(t.Context(), shell, "-c", "curl() { for a; do printf '%s\\0' \"$a\"; done; }; "+command)
	run.Stdout = &out
	if err := run.Run(); err != nil {
		t.Fatal(err)
	}
	want := []string{"-i", "-X", "POST", "https://example.com/a?b=c&d='e'", "-H", "X-A: it's $HOME", "--data-binary", body, ""}
	if got := strings.Split(out.String(), "\x00"); strings.Join(got, "|") != strings.Join(want, "|") {
		t.Errorf("the shell reads %q; want %q", got, want)
	}
}

func TestTheBarShowsWhereTheTimeWent(t *testing.T) {
	t.Parallel()
	a := attemptView{Attempt: telltale.Attempt{Duration: 100 * time.Millisecond, Timing: telltale.Timing{DNS: time.Microsecond * 40, TLS: 30 * time.Millisecond, FirstByte: 60 * time.Millisecond}}}
	parts := a.Took()
	var said []string
	end := 0.0
	for _, p := range parts {
		said = append(said, p.Name+" "+p.Text())
		if p.X < end-0.02 || p.Width < leastPart {
			t.Errorf("%s is from %v, %v wide; the part before ends at %v", p.Name, p.X, p.Width, end)
		}
		end = p.X + p.Width
	}
	if got, want := strings.Join(said, ", "), "DNS 0.1 ms, TLS 30 ms, First byte 60 ms, Rest 10 ms"; got != want {
		t.Errorf("the parts are %s; want %s", got, want)
	}
	if end > barWidth+0.02 {
		t.Errorf("the bar is %v wide", end)
	}
}

func TestATimelineCountsWhatHappenedAgain(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 11, 27, 10, 0, 0, 0, time.UTC)
	machine := true
	event := func(kind telltale.EventType, after time.Duration, url string, m *bool) *telltale.Event {
		return &telltale.Event{ID: telltale.NewEventID(), Type: kind, OccurredAt: at.Add(after), ReceivedAt: at.Add(after), URL: url, Machine: m, Email: "a@example.com", Payload: []byte("{}")}
	}
	steps := timeline([]*telltale.Event{
		event(telltale.Clicked, 90*time.Second, "https://example.com/b", nil),
		event(telltale.Clicked, 80*time.Second, "https://example.com/a", nil),
		event(telltale.Opened, 70*time.Second, "", nil),
		event(telltale.Opened, 40*time.Second, "", &machine),
		event(telltale.Opened, 30*time.Second, "", &machine),
		event(telltale.Delivered, 0, "", nil), // in the same second as
		event(telltale.Sent, 0, "", nil),
	})
	var said []string
	for _, s := range steps {
		said = append(said, strings.TrimSpace(strings.Join([]string{string(s.Type), s.Often(), s.Event.URL, s.GapText()}, " ")))
	}
	want := []string{"sent", "delivered", "opened ×3 (2 by a machine)  30 s later", "clicked  https://example.com/a 10 s later", "clicked  https://example.com/b 10 s later"}
	if strings.Join(said, "\n") != strings.Join(want, "\n") {
		t.Errorf("the timeline reads\n%s\nwant\n%s", strings.Join(said, "\n"), strings.Join(want, "\n"))
	}
}

func TestATopicCountsWhatIsItsOwn(t *testing.T) {
	t.Parallel()
	page := telltale.LogPage{
		Events:     []*telltale.Event{{ID: "evt_1", MessageID: "a,b"}, {ID: "evt_2"}},
		Deliveries: []telltale.Delivery{{ID: "dlv_1", EventID: "evt_1"}, {ID: "dlv_2", EventID: "evt_2", ReplayID: "rpl_1"}, {ID: "dlv_3", EventID: "evt_2"}},
	}
	for list, want := range map[string]int{
		"events": 2, "deliveries": 3, "events,deliveries": 3, "dlv_2": 1, "dlv_9": 0, "evt_2": 3, "rpl_1": 1, "message:a,b": 1, "message:a": 0, "": 0, "nonsense": 0,
	} {
		if got := newsOf(topicsOf(list), page); got != want {
			t.Errorf("%q counts %d; want %d", list, got, want)
		}
	}
	page.More = true
	if got := newsOf(topicsOf("dlv_9"), page); got != 1 {
		t.Errorf("what may be in the part that was passed over counts %d", got)
	}
}

func TestAPlanIsSaidInASentence(t *testing.T) {
	t.Parallel()
	hooks := map[telltale.WebhookID]*telltale.Webhook{"whk_1": {URL: "https://hooks.example.com/in"}}
	for _, row := range []struct {
		plan telltale.ReplayPlan
		rate float64
		want string
	}{
		{telltale.ReplayPlan{Complete: true}, 10, "There is nothing to send."},
		{telltale.ReplayPlan{}, 10, "Nothing to send was found in the time that a count may take; there may be more."},
		{telltale.ReplayPlan{Count: 1, Complete: true}, 10, "1 delivery, about 1 second at 10 a second."},
		{telltale.ReplayPlan{Count: 4215, Complete: true, OlderThan: 3}, 10, "4\u202f215 deliveries, about 7 minutes at 10 a second. 3 are older than 7 days."},
		{telltale.ReplayPlan{Count: 200, OlderThan: 1}, 0.5, "More than 200 deliveries, about 7 minutes at 0.5 a second. 1 is older than 7 days."},
	} {
		p := &newReplayView{Draft: replayDraft{rate: row.rate}, webhooks: hooks}
		if got := p.planView(row.plan).Sentence; got != row.want {
			t.Errorf("%+v reads %q; want %q", row.plan, got, row.want)
		}
	}
	plan := telltale.ReplayPlan{Count: 3, Complete: true, ByType: map[telltale.EventType]int{telltale.Bounced: 2, telltale.Sent: 1}, ByWebhook: map[telltale.WebhookID]int{"whk_1": 2, "whk_2": 1}}
	p := &newReplayView{Draft: replayDraft{rate: 10}, webhooks: hooks}
	if got := strings.Join(p.planView(plan).Details, "; "); got != "Sent 1, Bounced 2; To a deleted webhook 1, hooks.example.com/in 2" {
		t.Errorf("the details are %s", got)
	}
}
