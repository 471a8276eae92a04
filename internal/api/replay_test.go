package api

import (
	"testing"

	"telltale.example/telltale/internal/wire"
)

func TestReplays(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.post("acme ingest", `[{"type":"sent","user":{"id":1}},{"type":"bounced","user":{"id":2}},{"type":"sent","user":{"id":3}}]`)
	id := w.webhook("acme manage", `{"url":"`+w.receiver.URL+`","events":["sent"],"rate_limit":4}`)
	plan := read[wire.ReplayPlanned](w.do("acme manage", "POST", "/v1/replays/plan", `{"webhook":"`+id+`","which":"unsent"}`).want(200))
	if plan.Count != 2 || plan.ByType["sent"] != 2 || plan.ByWebhook[id] != 2 || !plan.Complete || plan.Rate != 2 || plan.Takes.String() != "1s" {
		t.Errorf("the plan is %+v", plan)
	}
	made := w.do("acme manage", "POST", "/v1/replays", `{"webhook":"`+id+`","which":"unsent"}`).want(201)
	r := read[wire.Replay](made)
	path := "/v1/replays/" + r.ID
	if made.Header().Get("Location") != path || r.State != "running" || r.Planned != 2 || r.Rate != 2 || r.CreatedBy != "test manage" {
		t.Errorf("started: %+v at %s", r, made.Header().Get("Location"))
	}
	for _, step := range []struct{ verb, state string }{{"pause", "paused"}, {"pause", "paused"}, {"resume", "running"}, {"cancel", "cancelled"}} {
		if got := read[wire.Replay](w.do("acme manage", "POST", path+"/"+step.verb, "").want(200)); got.State != step.state {
			t.Errorf("after %s it is %s", step.verb, got.State)
		}
	}
	w.do("acme manage", "POST", path+"/resume", "").want(409)
	w.do("acme read", "GET", path, "").want(200)
	if got := w.ids("acme read", "/v1/replays"); got != r.ID {
		t.Errorf("listed: %s", got)
	}
	w.do("acme read", "GET", "/v1/deliveries?replay_id="+r.ID, "").want(200)
	w.do("acme read", "GET", "/v1/deliveries?replay_id=x&answer=9xx", "").want(422)
	for name, body := range map[string]string{
		"nothing said":            `{}`,
		"no such state":           `{"which":"lost"}`,
		"no such webhook":         `{"which":"all","to":"whk_01JD0000000000000000000000"}`,
		"no time":                 `{"which":"all","since":"yesterday"}`,
		"an end before the begin": `{"which":"all","since":"2026-01-02T00:00:00Z","until":"2026-01-01T00:00:00Z"}`,
		"both ways at once":       `{"which":"all","deliveries":["dlv_01JD0000000000000000000000"]}`,
		"no delivery":             `{"deliveries":["x"]}`,
		"no event type":           `{"which":"all","events":["lost"]}`,
	} {
		for _, at := range []string{"/v1/replays/plan", "/v1/replays"} {
			if got := w.do("acme manage", "POST", at, body); got.Code != 422 {
				t.Errorf("%s: %s: %d %s", name, at, got.Code, got.Body)
			}
		}
	}
	w.do("acme manage", "POST", "/v1/replays", `{"which":"all","rate":0}`).want(422)
}

// Whoever enables a webhook hears what it missed.
func TestEnablingTellsWhatWasMissed(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	id := w.webhook("acme manage", `{"url":"`+w.receiver.URL+`","events":["sent"]}`)
	w.do("acme manage", "POST", "/v1/webhooks/"+id+"/disable", "").want(200)
	w.post("acme ingest", `[{"type":"sent","user":{"id":1}},{"type":"bounced","user":{"id":2}}]`)
	got := read[wire.Webhook](w.do("acme manage", "POST", "/v1/webhooks/"+id+"/enable", "").want(200))
	if got.Missed == nil || *got.Missed != 1 {
		t.Errorf("missed: %v", got.Missed)
	}
}

func TestADeletionIsTakenBack(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	id := w.webhook("acme manage", `{"url":"`+w.receiver.URL+`","events":["sent"]}`)
	w.do("acme manage", "DELETE", "/v1/webhooks/"+id, "").want(204)
	w.do("other manage", "POST", "/v1/webhooks/"+id+"/restore", "").want(404)
	w.do("acme manage", "POST", "/v1/webhooks/"+id+"/restore", "").want(200)
	w.do("acme read", "GET", "/v1/webhooks/"+id, "").want(200)
	w.do("acme read", "GET", "/v1/webhooks/"+id+"/stats?range=1h", "").want(200)
	w.do("acme read", "GET", "/v1/webhooks/"+id+"/stats?range=2h", "").want(422)
	page := read[wire.Page[wire.AuditEntry]](w.do("acme manage", "GET", "/v1/audit-log?target="+id, "").want(200))
	if len(page.Data) != 3 || page.Data[0].Action != "webhook.restore" || page.Data[0].Actor.Kind != "key" {
		t.Errorf("audited: %+v", page.Data)
	}
	w.do("acme manage", "GET", "/v1/audit-log?scope=owner", "").want(403)
	w.do("owner", "GET", "/v1/audit-log?scope=owner", "").want(200)
}

func TestABinAnswersAsItIsTold(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	bin := read[wire.Bin](w.do("acme manage", "POST", "/v1/inspect", "").want(201))
	path := "/v1/inspect/" + bin.ID
	got := read[wire.Bin](w.do("acme manage", "PUT", path, `{"status":503,"delay":"2s","body":"later","retry_after":"60"}`).want(200))
	if want := (wire.BinAnswer{Status: 503, Delay: 2e9, Body: "later", RetryAfter: "60"}); got.Answer != want {
		t.Errorf("it answers %+v", got.Answer)
	}
	if got := read[wire.Bin](w.do("acme manage", "PUT", path, `{"reset":true}`).want(200)); got.Answer != (wire.BinAnswer{Status: 200, Reset: true}) {
		t.Errorf("it answers %+v", got.Answer)
	}
	w.do("acme manage", "PUT", path, `{"status":42,"delay":"1h"}`).want(422).golden("bin-answer-wrong")
	w.do("acme manage", "PUT", path, `{"delay":"soon"}`).want(422)
}
