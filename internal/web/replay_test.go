package web_test

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
)

const replays = "/p/default/replays"

// downAndUp is a world in which n deliveries failed, and the receiver is up again.
func downAndUp(t *testing.T, n int) (w *world, hook string, got *atomic.Int64) {
	t.Helper()
	w, got = newWorld(t), &atomic.Int64{}
	var up atomic.Bool
	hook = w.hook(receiver(t, func(rw http.ResponseWriter, _ *http.Request) {
		if !up.Load() {
			rw.WriteHeader(http.StatusBadGateway)
			return
		}
		got.Add(1)
	}), `,"retry_schedule":[]`)
	var events []string
	for i := range n {
		events = append(events, sentTo(i))
	}
	w.accept(events...)
	w.deliveries("failed", n)
	up.Store(true)
	return w, hook, got
}

func TestWhatFailedIsReplayed(t *testing.T) {
	t.Parallel()
	w, hook, got := downAndUp(t, 7)
	w.get(replays).want(http.StatusOK).says("Nothing was replayed yet")

	// What the list says, the plan says: by the filter, and by what was chosen.
	listed := w.get(log + "?state=failed&webhook=" + hook).want(http.StatusOK).says("7 deliveries")
	form := w.get(replays+"/new?state=failed&webhook="+hook).want(http.StatusOK).says("New replay", "Count")
	if !strings.Contains(form.body, `value="failed" checked`) || !strings.Contains(form.body, `value="`+hook+`" selected`) {
		t.Errorf("the form does not say what the list did: %s", form.body)
	}
	filled := url.Values{"webhook": {hook}, "which": {"failed"}, "rate": {"1000"}}
	w.post(replays+"/new", filled).want(http.StatusOK).says("7 deliveries, about 1 second at 1000 a second.", "Sent 7", "Start replay")
	w.get(replays+"/new?answer=5xx").want(http.StatusOK).says("The events of 7 chosen deliveries.", "7 deliveries, about 1 second at 10 a second.")
	w.post(replays+"/new", url.Values{"id": listed.rows()[:2]}).want(http.StatusOK).says("The events of 2 chosen deliveries.", "2 deliveries, about 1 second")

	started := w.post(replays, filled)
	w.follow(started).says("Replay started.", "Failed at localhost")
	at := started.Header.Get("Location")
	w.until("the replay is over", func() bool {
		return strings.Contains(w.get(at).text(), "7 of 7 sent") && strings.Contains(w.get(at).text(), "Finished")
	})
	if n := got.Load(); n != 7 {
		t.Errorf("the receiver got %d", n)
	}
	w.get(replays).says("Finished", "Failed at localhost", "7 of 7", "by owner@example.com")
	w.get(log+"?replay="+at[strings.LastIndexByte(at, '/')+1:]).says("7 deliveries", "Replay")
	w.post(replays+"/new", filled).says("There is nothing to send.").lacks("Start replay")
}

func TestAReplayIsPausedResumedAndCancelled(t *testing.T) {
	t.Parallel()
	w, hook, got := downAndUp(t, 5)
	at := w.post(replays, url.Values{"webhook": {hook}, "which": {"all"}, "rate": {"0.1"}}).want(http.StatusSeeOther).Header.Get("Location")
	w.get(at).says("Running", "Pause", "Cancel", "at most 0.1 a second").lacks(">Resume<")
	w.follow(w.post(at, url.Values{"to": {"paused"}})).says("Replay paused.", "Paused", "Resume")
	w.follow(w.post(at, url.Values{"to": {"running"}})).says("Replay resumed.", "Running")
	w.follow(w.post(at, url.Values{"to": {"cancelled"}})).says("Replay cancelled.", "Cancelled").lacks(">Pause<", ">Resume<")
	w.follow(w.post(at, url.Values{"to": {"running"}})).says("The replay has ended: it is cancelled.")
	w.post(at, url.Values{"to": {"finished"}}).want(http.StatusBadRequest)
	if n := got.Load(); n > 1 {
		t.Errorf("the receiver got %d", n)
	}
	viewer := w.operator("viewer")
	viewer.get(at).want(http.StatusOK).lacks(">Resume<", ">Cancel<")
	viewer.get(replays + "/new").want(http.StatusForbidden)
	viewer.post(replays, url.Values{}).want(http.StatusForbidden)
	viewer.post(at, url.Values{"to": {"paused"}}).want(http.StatusForbidden)
	w.get(replays + "/rpl_01JD0000000000000000000000").want(http.StatusNotFound).says("There is no such replay.")
}

func TestOneDeliveryIsReplayed(t *testing.T) {
	t.Parallel()
	w, _, got := downAndUp(t, 1)
	id := w.get(log).rows()[0]
	w.follow(w.post(log+"/"+id+"/replay", nil)).says("Replay started.", "1 chosen delivery")
	w.until("it arrived", func() bool { return got.Load() == 1 })
	w.post(log+"/dlv_01JD0000000000000000000000/replay", nil).want(http.StatusNotFound)
}

func TestAReplayThatCannotBeSaysWhy(t *testing.T) {
	t.Parallel()
	w, hook, _ := downAndUp(t, 1)
	for _, row := range []struct {
		name string
		form url.Values
		want string
	}{
		{"no events are chosen", url.Values{"which": {"some"}}, "Choose which events are sent."},
		{"the speed is no number", url.Values{"rate": {"fast"}}, "The speed is 0.1 to"},
		{"the speed is too high", url.Values{"rate": {"1e9"}}, "The speed is 0.1 to"},
		{"the time ends before it begins", url.Values{"range": {"custom"}, "since": {"2026-11-27T10:00"}, "until": {"2026-11-27T09:00"}}, "The end is not after the beginning."},
		{"the time cannot be read", url.Values{"range": {"custom"}, "since": {"soon"}}, "This is no date and time."},
		{"the webhook is not there", url.Values{"to": {"whk_01JD0000000000000000000000"}}, "This webhook is not there any more."},
	} {
		row.form.Set("webhook", hook)
		for _, path := range []string{replays, replays + "/new"} {
			p := w.post(path, row.form).want(http.StatusUnprocessableEntity).says("1 thing needs your attention.", row.want)
			if !strings.Contains(p.body, `value="`+hook+`" selected`) {
				t.Errorf("%s: the form forgets the webhook", row.name)
			}
		}
	}
	w.post(replays+"/new", url.Values{"webhook": {"whk_01JD0000000000000000000000"}}).want(http.StatusNotFound).says("A webhook or delivery that was chosen is not there any more.")
	var ids []string
	for i := range 1001 {
		ids = append(ids, fmt.Sprintf("dlv_01JD%022d", i))
	}
	w.post(replays+"/new", url.Values{"id": ids}).want(http.StatusRequestEntityTooLarge)
}
