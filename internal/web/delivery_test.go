package web_test

import (
	"context"
	"fmt"
	"html"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"telltale.example/telltale"
	"telltale.example/telltale/internal/sqlite"
)

const log = "/p/default/deliveries"

// hook adds a webhook by the API, and gives its id.
func (w *world) hook(url, more string) string {
	w.t.Helper()
	var made struct{ ID string }
	w.api(http.MethodPost, "/v1/webhooks?project=default", fmt.Sprintf(`{"url":%q,"events":["*"]%s}`, url, more), &made)
	return made.ID
}

// accept accepts events, and gives their ids.
func (w *world) accept(events ...string) []string {
	w.t.Helper()
	var accepted struct{ Events []struct{ ID string } }
	w.api(http.MethodPost, "/v1/events?project=default", "["+strings.Join(events, ",")+"]", &accepted)
	ids := make([]string, len(accepted.Events))
	for i, e := range accepted.Events {
		ids[i] = e.ID
	}
	return ids
}

type foundDelivery struct {
	ID      string
	State   string
	EventID string `json:"event_id"`
}

// deliveries lists by the API, and waits until there are so many in the state.
func (w *world) deliveries(state string, n int) []foundDelivery {
	w.t.Helper()
	var list struct{ Data []foundDelivery }
	w.until(fmt.Sprintf("%d deliveries are %s", n, state), func() bool {
		w.api(http.MethodGet, "/v1/deliveries?project=default&limit=500&state="+state, "", &list)
		return len(list.Data) == n
	})
	return list.Data
}

var rowID = regexp.MustCompile(`<tr id="(dlv_[0-9A-Z]+)"`)

// rows are the deliveries that a page lists.
func (p page) rows() []string {
	var ids []string
	for _, m := range rowID.FindAllStringSubmatch(p.body, -1) {
		ids = append(ids, m[1])
	}
	return ids
}

func sentTo(id int) string {
	return fmt.Sprintf(`{"type":"sent","user":{"id":%d,"email":"user%d@example.com"},"message_id":"<m%d@mail.example>"}`, id, id, id)
}

func TestTheDeliveryLogIsFilteredAndLedThrough(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.get(log).want(http.StatusOK).says("No deliveries yet", "They appear here as soon as an event matches a webhook.")

	hook := w.hook(receiver(t, func(http.ResponseWriter, *http.Request) {}), "")
	var events []string
	for i := range 60 {
		events = append(events, sentTo(i))
	}
	ids := w.accept(events...)
	done := w.deliveries("succeeded", 60)

	first := w.get(log).want(http.StatusOK).says("60 deliveries", "Older →").lacks("← Newer")
	if n := len(first.rows()); n != 50 {
		t.Fatalf("the first page has %d rows", n)
	}
	older := regexp.MustCompile(`href="([^"]*after=[^"]*)"`).FindStringSubmatch(first.body)
	second := w.get(strings.ReplaceAll(older[1], "&amp;", "&")).want(http.StatusOK).says("60 deliveries", "← Newer").lacks("Older →")
	if n := len(second.rows()); n != 10 {
		t.Errorf("the second page has %d rows", n)
	}
	if first.rows()[0] != done[0].ID {
		t.Errorf("the newest is %s; want %s", first.rows()[0], done[0].ID)
	}
	for query, want := range map[string]int{
		"state=succeeded": 50, "state=failed": 0, "state=retrying": 0, "state=nonsense": 0, "event=sent": 50, "event=opened": 0, "webhook=" + hook: 50,
		"webhook=whk_01JD0000000000000000000000": 0, "answer=2xx": 50, "answer=none": 0, "range=1h": 50, "range=custom&until=2020-01-01T00:00": 0,
		"q=user7@example.com": 1, "q=" + url.QueryEscape("<m7@mail.example>"): 1, "q=m7@mail.example": 1, "q=7": 1, "q=" + ids[7]: 1, "q=nobody": 0, "q=dlv_01JD0000000000000000000000": 0,
		"after=nonsense": 50,
	} {
		p := w.get(log + "?" + query).want(http.StatusOK)
		if n := len(p.rows()); n != want {
			t.Errorf("%s lists %d rows; want %d", query, n, want)
		}
		if want == 0 {
			p.says("No deliveries match these filters.", "Clear filters")
		}
	}
	w.get(log+"?q=user7@example.com").says("email or message id: user7@example.com", "1 delivery")
	if p := w.get(log + "?q=" + done[3].ID).want(http.StatusSeeOther); !strings.HasSuffix(p.Header.Get("Location"), log+"/"+done[3].ID) {
		t.Errorf("a delivery's id leads to %s", p.Header.Get("Location"))
	}
}

// impatient looks at as few rows as it can.
type impatient struct{ *sqlite.Store }

func (s impatient) SearchDeliveries(ctx context.Context, project telltale.ProjectID, f telltale.DeliveryFilter, page telltale.Page, _ time.Duration) (telltale.DeliverySearch, error) {
	return s.Store.SearchDeliveries(ctx, project, f, page, 0)
}

// A page that ran out of time says so, and leads on without a gap, both ways.
func TestASearchThatTakesLongIsGoneOnWith(t *testing.T) {
	t.Parallel()
	w := newBenchWorld(t, t.TempDir(), 1000, func(s *sqlite.Store) telltale.Store { return impatient{s} })
	read := func(path string) page {
		answer := httptest.NewRecorder()
		w.pages.ServeHTTP(answer, w.request(path))
		return page{Response: answer.Result(), t: t, body: answer.Body.String()}.want(http.StatusOK)
	}
	start := log + "?webhook=" + string(w.hooks[3].ID)
	link := func(p page, name string) string {
		found := regexp.MustCompile(`href="([^"]*` + name + `=[^"]*)"`).FindStringSubmatch(p.body)
		if found == nil {
			return ""
		}
		return html.UnescapeString(found[1])
	}

	first := read(start).says("searched back to", "so far.").lacks("← Newer")
	down := first.rows()
	for next := link(first, "after"); next != ""; {
		p := read(next)
		down = append(down, p.rows()...)
		next = link(p, "after")
	}
	all, err := w.store.Deliveries(t.Context(), w.project.ID, telltale.DeliveryFilter{WebhookID: w.hooks[3].ID}, telltale.Page{Limit: telltale.MaxPage})
	if err != nil {
		t.Fatal(err)
	}
	var want []string
	for _, d := range all {
		want = append(want, string(d.ID))
	}
	if len(want) != 100 || !slices.Equal(down, want) {
		t.Errorf("older and older there are %d: %q; want %d: %q", len(down), down, len(want), want)
	}

	oldest := want[len(want)-1]
	up := []string{oldest}
	for next := start + "&before=" + oldest; next != ""; {
		p := read(next)
		up = append(p.rows(), up...)
		next = link(p, "before")
	}
	if !slices.Equal(up, want) {
		t.Errorf("newer and newer there are %d: %q; want %d", len(up), up, len(want))
	}

	// The first recipient is behind a digest of eight hundred others.
	read(log + "?q=user.0@mail.example").says("1 delivery")
}

func TestADeliverySaysWhatHappened(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.hook(receiver(t, func(rw http.ResponseWriter, _ *http.Request) {
		rw.WriteHeader(http.StatusInternalServerError)
		_, _ = rw.Write([]byte("<script>alert(1)</script>\x1b[31m"))
	}), `,"retry_schedule":[]`)
	w.accept(`{"type":"sent","user":{"id":12345678901234567890,"email":"a@example.com"},"campaign":{"name":"<b>it's</b>"}}`)
	d := w.deliveries("failed", 1)[0]
	p := w.get(log+"/"+d.ID).want(http.StatusOK).says(
		"Failed after 1 attempt.", "localhost answered 500 Internal Server Error", "It should answer with any 2xx status.", "Attempt 1", "Automatic",
		"webhook-signature: v1,", `"id": 12345678901234567890`, "<script>alert(1)</script>␛[31m", "Copy as curl", "Retry now", "Replay",
	)
	p.lacks("<script>alert", "<b>it", "\x1b", "Stop retrying")
	if !strings.Contains(p.text(), `-H 'webhook-id: `+d.EventID+`'`) {
		t.Errorf("there is no curl command in %s", p.text())
	}

	viewer := w.operator("viewer")
	viewer.get(log+"/"+d.ID).want(http.StatusOK).says("You have viewer access, which does not show requests and responses.").
		lacks("webhook-signature", "1234567890123", "Copy as curl", "Retry now", "alert(1)")
	viewer.get(log).want(http.StatusOK).lacks("Replay selected", `name="id"`, "Replay all")
	for _, action := range []string{"/retry", "/stop", "/replay"} {
		viewer.post(log+"/"+d.ID+action, nil).want(http.StatusForbidden)
	}
	w.get(log + "/dlv_01JD0000000000000000000000").want(http.StatusNotFound).says("There is no such delivery. If it is older than 30 days, it was removed by the retention rule.")
	w.get(log + "/nonsense").want(http.StatusNotFound)
}

func TestADeliveryIsRetriedAndStopped(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var healthy atomic.Bool
	w.hook(receiver(t, func(rw http.ResponseWriter, _ *http.Request) {
		if !healthy.Load() {
			rw.WriteHeader(http.StatusBadGateway)
		}
	}), `,"retry_schedule":["1h"]`)
	w.accept(sentTo(1), sentTo(2), sentTo(3))
	w.until("all three wait for a retry", func() bool { return len(w.get(log+"?state=retrying").rows()) == 3 })
	ids := w.get(log + "?state=retrying").rows()

	w.follow(w.post(log+"/"+ids[0]+"/stop", nil)).says("Retries stopped.", "Cancelled: nothing more is attempted.").lacks(">Stop retrying<")
	w.follow(w.post(log+"/"+ids[0]+"/stop", nil)).says("A delivery is cancelled while it is waiting or held")
	healthy.Store(true)
	w.follow(w.post(log+"/"+ids[1]+"/retry", nil)).says("One attempt is made now.")
	w.until("the retry succeeded", func() bool {
		return strings.Contains(w.get(log+"/"+ids[1]).text(), "Succeeded after 2 attempts.")
	})
	w.get(log+"/"+ids[1]).says("Retried by hand", "The body is the one of attempt 2 , byte by byte.")

	stopped := w.follow(w.post(log+"/stop", url.Values{"id": ids, "filter": {"state=cancelled"}}))
	stopped.says("Retries of 1 delivery stopped.", "2 others had ended already.", "2 deliveries")
	w.post(log+"/stop", url.Values{"id": {"nonsense"}}).want(http.StatusBadRequest)
}

func TestTheLogIsExported(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.hook(receiver(t, func(http.ResponseWriter, *http.Request) {}), "")
	w.accept(`{"type":"sent","user":{"id":1,"email":"=1+1@example.com"}}`, sentTo(2), `{"type":"opened","user":{"id":3,"email":"c@example.com"}}`)
	done := w.deliveries("succeeded", 3)

	csv := w.get(log + "/export.csv?event=sent").want(http.StatusOK)
	if got := csv.Header.Get("Content-Type"); got != "text/csv; charset=utf-8" {
		t.Errorf("it is %s", got)
	}
	lines := strings.Split(strings.TrimSpace(csv.body), "\n")
	if len(lines) != 3 || !strings.HasPrefix(lines[0], "id,state,event_type,") || !strings.Contains(csv.body, ",'=1+1@example.com,") {
		t.Errorf("the export is\n%s", csv.body)
	}
	if one := w.get(log + "/export.ndjson?q=" + done[1].ID); strings.Count(one.body, "\n") != 1 || !strings.Contains(one.body, done[1].ID) {
		t.Errorf("the export of one is\n%s", one.body)
	}
	ndjson := w.get(log + "/export.ndjson?id=" + done[0].ID + "&id=" + done[2].ID).want(http.StatusOK)
	if lines := strings.Split(strings.TrimSpace(ndjson.body), "\n"); len(lines) != 2 || !strings.HasPrefix(lines[0], `{"id":"`+done[0].ID+`"`) {
		t.Errorf("the export of two is\n%s", ndjson.body)
	}
}
