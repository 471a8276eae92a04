package api

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"telltale.example/telltale"
)

// marker is in everything that belongs to the project acme.
const marker = "acme-confidential"

// belongings are fresh objects of the project acme, for one request.
type belongings struct {
	webhook, event, delivery, key, bin, replay, imported, user, erasure, source, request string
}

func (w *world) belongings() belongings {
	w.t.Helper()
	ctx := w.t.Context()
	var b belongings
	b.webhook = w.webhook("acme manage", fmt.Sprintf(`{"url":"%s/%s","events":["*"],"description":%q}`, w.receiver.URL, marker, marker))
	b.event = w.post("acme ingest", fmt.Sprintf(`{"type":"bounced","user":{"email":"%s@example.com"},"message_id":"%s","telltale":{"provider_message_id":"%s"}}`, marker, marker, marker))[0]
	deliveries, err := w.store.Deliveries(ctx, w.acme.ID, telltale.DeliveryFilter{EventID: telltale.EventID(b.event), WebhookID: telltale.WebhookID(b.webhook)}, telltale.Page{Limit: 2})
	if err != nil || len(deliveries) != 1 {
		w.t.Fatalf("%d deliveries, %v", len(deliveries), err)
	}
	b.delivery = string(deliveries[0].ID)
	replay, err := w.store.CreateReplay(ctx, telltale.Replay{ID: telltale.NewReplayID(), ProjectID: w.acme.ID, Rate: 1, Selection: telltale.Selection{Which: telltale.WhichFailed}, CreatedBy: marker})
	if err != nil {
		w.t.Fatal(err)
	}
	b.replay = string(replay.ID)
	imported, err := w.store.CreateImport(ctx, telltale.Import{ProjectID: w.acme.ID, Kind: telltale.ImportProfiles, Name: marker, CreatedBy: marker})
	if err != nil {
		w.t.Fatal(err)
	}
	b.imported = string(imported.ID)
	ref := telltale.NamedUser(marker, marker+"@example.com")
	if _, err := w.store.ChangeUsers(ctx, telltale.UserChanges{ProjectID: w.acme.ID, Source: "track", Changes: []telltale.UserChange{{Kind: telltale.ChangeIdentify, User: ref}}}); err != nil {
		w.t.Fatal(err)
	}
	user, err := w.store.FindProfile(ctx, w.acme.ID, ref)
	if err != nil {
		w.t.Fatal(err)
	}
	b.user = string(user.ID)
	erasure, err := w.store.Erase(ctx, w.acme.ID, telltale.NamedUser(marker+"-gone", ""))
	if err != nil {
		w.t.Fatal(err)
	}
	b.erasure = string(erasure.ID)
	source := telltale.NewSource(w.acme.ID, "mailgun", marker)
	source.Credentials["signing_key"] = marker
	if _, err := w.store.CreateSource(ctx, source); err != nil {
		w.t.Fatal(err)
	}
	b.source = string(source.ID)
	kept := telltale.UnrecognisedRequest{ID: telltale.NewRequestID(), SourceID: source.ID, ProjectID: w.acme.ID, ReceivedAt: source.CreatedAt, Reason: marker, ContentType: "application/json", Body: []byte(marker)}
	if err := w.store.KeepUnrecognised(ctx, []telltale.UnrecognisedRequest{kept}); err != nil {
		w.t.Fatal(err)
	}
	b.request = string(kept.ID)
	key, _ := telltale.NewKey(w.acme.ID, marker, telltale.ScopeRead)
	if err := w.store.CreateKey(ctx, key); err != nil {
		w.t.Fatal(err)
	}
	b.key = string(key.ID)
	bin := telltale.NewBin(w.acme.ID)
	if err := w.store.CreateBin(ctx, bin); err != nil {
		w.t.Fatal(err)
	}
	b.bin = string(bin.ID)
	if err := w.store.CatchRequest(ctx, telltale.CaughtRequest{ID: telltale.NewRequestID(), BinID: bin.ID, ReceivedAt: bin.CreatedAt, Method: "POST", Path: "/" + marker, Body: []byte(marker), Verdict: "unsigned"}); err != nil {
		w.t.Fatal(err)
	}
	return b
}

// forget removes what would fill up the project.
func (w *world) forget(b belongings) {
	w.t.Helper()
	ctx := w.t.Context()
	_, err := w.store.DeleteWebhook(ctx, w.acme.ID, telltale.WebhookID(b.webhook), 0)
	if err != nil && telltale.CodeOf(err) != telltale.NotFound {
		w.t.Fatal(err)
	}
	if _, err := w.store.SwitchReplay(ctx, w.acme.ID, telltale.ReplayID(b.replay), telltale.ReplayCancelled); err != nil {
		w.t.Fatal(err)
	}
	if _, err := w.store.SwitchImport(ctx, w.acme.ID, telltale.ImportID(b.imported), telltale.ImportCancelled); err != nil {
		w.t.Fatal(err)
	}
	if _, err := w.store.DeleteSource(ctx, w.acme.ID, telltale.SourceID(b.source), 0); err != nil && telltale.CodeOf(err) != telltale.NotFound {
		w.t.Fatal(err)
	}
	if err := w.store.DeleteBin(ctx, w.acme.ID, telltale.BinID(b.bin)); err != nil && telltale.CodeOf(err) != telltale.NotFound {
		w.t.Fatal(err)
	}
}

// state is all that the belongings are, as the store knows them. It does not
// change by what others are answered.
func (w *world) state(b belongings) string {
	w.t.Helper()
	ctx := w.t.Context()
	hook, hookErr := w.store.Webhook(ctx, w.acme.ID, telltale.WebhookID(b.webhook))
	delivery, deliveryErr := w.store.Delivery(ctx, w.acme.ID, telltale.DeliveryID(b.delivery))
	keys, keysErr := w.store.Keys(ctx, w.acme.ID, telltale.Page{Limit: 1})
	bin, binErr := w.store.Bin(ctx, telltale.BinID(b.bin))
	project, projectErr := w.store.Project(ctx, w.acme.ID)
	source, sourceErr := w.store.Source(ctx, w.acme.ID, telltale.SourceID(b.source))
	request, requestErr := w.store.UnrecognisedRequest(ctx, w.acme.ID, telltale.SourceID(b.source), telltale.RequestID(b.request))
	return fmt.Sprintf("%+v %v\n%+v %v\n%+v %v\n%+v %v\n%+v %v\n%+v %v\n%+v %v", hook, hookErr, delivery, deliveryErr, keys[0], keysErr, bin, binErr, project, projectErr, source, sourceErr, request, requestErr)
}

// target is what a route is asked for in the matrix.
type target struct {
	path, body string
	status     int  // for a key of the project with the scope
	elsewhere  int  // for a key of another project: 404, or what it gets of its own
	unchanged  bool // a success changes nothing of the belongings
}

// targetOf fills in the route's path with acme's belongings. A route that is
// not listed here fails the test.
func targetOf(t *testing.T, r route, b belongings, receiver string) target {
	t.Helper()
	path := strings.NewReplacer("{slug}", "acme", "{bin}", b.bin, "{type}", "bounced", "{event}", "bounced", "{message_id}", marker, "{campaign}", "987").Replace(r.path)
	switch {
	case strings.HasPrefix(path, "/v1/webhooks"):
		path = strings.ReplaceAll(path, "{id}", b.webhook)
	case strings.HasPrefix(path, "/v1/events"):
		path = strings.ReplaceAll(path, "{id}", b.event)
	case strings.HasPrefix(path, "/v1/deliveries"):
		path = strings.ReplaceAll(path, "{id}", b.delivery)
	case strings.HasPrefix(path, "/v1/replays"):
		path = strings.ReplaceAll(path, "{id}", b.replay)
	case strings.HasPrefix(path, "/v1/imports"):
		path = strings.ReplaceAll(path, "{id}", b.imported)
	case strings.HasPrefix(path, "/v1/sources"):
		path = strings.NewReplacer("{id}", b.source, "{request}", b.request).Replace(path)
	case strings.HasPrefix(path, "/v1/users"):
		path = strings.ReplaceAll(path, "{id}", b.user)
	case strings.HasPrefix(path, "/v1/erasures"):
		path = strings.ReplaceAll(path, "{id}", b.erasure)
	case strings.HasPrefix(path, "/v1/keys"):
		path = strings.ReplaceAll(path, "{id}", b.key)
	}
	switch r.id {
	case "get-schema", "get-openapi-json", "get-openapi-yaml":
		return target{path, "", 200, 200, true}
	case "post-events":
		return target{path, `{"type":"sent","user":{"id":1}}`, 202, 202, true}
	case "list-events", "list-webhooks", "list-deliveries", "list-keys", "list-bins", "list-projects", "list-nodes", "resume-sending", "list-message-events",
		"list-event-types", "get-event-type", "get-event-type-sample", "get-event-type-schema":
		return target{path, "", 200, 200, true}
	case "stream-events": // of a log that has stopped, so that it ends
		return target{path, "", 200, 200, true}
	case "get-event", "list-event-deliveries", "get-webhook", "get-webhook-secret", "get-delivery", "get-project", "get-bin", "list-caught-requests":
		return target{path, "", 200, 404, true}
	case "create-webhook":
		return target{path, fmt.Sprintf(`{"url":%q,"events":["sent"]}`, receiver), 201, 201, true}
	case "create-key":
		return target{path, `{"name":"n","scope":"ingest"}`, 201, 201, true}
	case "create-bin":
		return target{path, "", 201, 201, true}
	case "create-project":
		return target{path, fmt.Sprintf(`{"slug":"p-%s"}`, strings.ToLower(string(telltale.NewKeyID())[20:])), 201, 201, true}
	case "patch-webhook":
		return target{path, `{"description":"changed"}`, 200, 404, false}
	case "patch-project":
		return target{path, `{"name":"changed"}`, 200, 200, false}
	case "delete-webhook", "revoke-key", "delete-bin":
		return target{path, "", 204, 404, false}
	case "enable-webhook", "disable-webhook", "rotate-webhook-secret", "test-webhook":
		return target{path, "", 200, 404, false}
	case "list-replays", "list-audit-log", "list-users", "list-erasures", "get-goals":
		return target{path, "", 200, 200, true}
	case "get-user", "list-user-events", "list-tracked-events", "get-erasure":
		return target{path, "", 200, 404, true}
	case "create-erasure":
		return target{path, `{"user_id":"nobody"}`, 201, 201, true}
	case "patch-goals":
		return target{path, `{"window":"24h"}`, 200, 200, true}
	case "put-goal", "try-goal":
		return target{path, `{"event_name":"bought"}`, 200, 200, true}
	case "delete-goal":
		return target{path, "", 204, 204, true}
	case "get-webhook-stats", "get-replay":
		return target{path, "", 200, 404, true}
	case "import-profiles", "import-events", "import-unsubscribes":
		return target{path, "{}", 415, 415, true} // what the matrix sends is JSON
	case "list-imports":
		return target{path, "", 200, 200, true}
	case "get-import", "list-refused-rows", "get-refused-rows", "pause-import", "resume-import", "cancel-import":
		return target{path, "", 200, 404, true}
	case "list-providers", "list-sources":
		return target{path, "", 200, 200, true}
	case "create-source":
		return target{path, `{"provider":"mailgun"}`, 201, 201, true}
	case "get-source", "list-unrecognised", "get-unrecognised", "replay-unrecognised": // which is not understood now, either
		return target{path, "", 200, 404, true}
	case "patch-source":
		return target{path, `{"name":"changed"}`, 200, 404, false}
	case "delete-source", "drop-unrecognised":
		return target{path, "", 204, 404, false}
	case "test-source": // what came is counted, a moment later
		return target{path, "", 200, 404, false}
	case "restore-webhook": // it is not deleted
		return target{path, "", 404, 404, true}
	case "cancel-delivery":
		return target{path, "", 200, 404, false}
	case "answer-bin":
		return target{path, `{"status":503}`, 200, 404, false}
	case "plan-replay":
		return target{path, `{"which":"all"}`, 200, 200, true}
	case "create-replay":
		return target{path, `{"which":"failed","since":"2026-01-01T00:00:00Z","until":"2026-01-02T00:00:00Z"}`, 201, 201, true}
	case "pause-replay", "resume-replay":
		return target{path, "", 200, 404, true}
	case "cancel-replay":
		return target{path, "", 200, 404, true}
	case "retry-delivery":
		return target{path, "", 202, 404, false}
	}
	t.Fatalf("%s %s is not in the matrix", r.method, r.path)
	return target{}
}

// Every route, asked with every kind of key: the answer's status is the one that
// the table of routes says, and nothing crosses from one project to another.
func TestNothingCrossesProjects(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	revoked, token := telltale.NewKey(w.acme.ID, "revoked", telltale.ScopeManage)
	if err := w.store.CreateKey(t.Context(), revoked); err != nil {
		t.Fatal(err)
	}
	if _, err := w.store.RevokeKey(t.Context(), w.acme.ID, revoked.ID); err != nil {
		t.Fatal(err)
	}
	w.tokens["revoked"] = token
	_, w.tokens["never made"] = telltale.NewKey(w.acme.ID, "x", telltale.ScopeManage)

	type caller struct {
		name, token, query string
		scope              telltale.Scope // empty: nobody
		own                bool           // it works on acme
		noProject          bool           // it names a project that is not its own, or none
	}
	callers := []caller{
		{name: "no key", token: ""},
		{name: "a revoked key", token: "revoked"},
		{name: "a key that was never made", token: "never made"},
		{name: "no token at all", token: "hello"},
		{name: "an owner on acme", token: "owner", query: "?project=acme", scope: telltale.ScopeOwner, own: true},
		{name: "an owner on another project", token: "owner", query: "?project=other", scope: telltale.ScopeOwner},
		{name: "an owner without a project", token: "owner", scope: telltale.ScopeOwner},
		{name: "an owner on no project that exists", token: "owner", query: "?project=lost", scope: telltale.ScopeOwner, noProject: true},
	}
	for _, scope := range []telltale.Scope{telltale.ScopeTrack, telltale.ScopeIngest, telltale.ScopeRead, telltale.ScopeManage} {
		callers = append(callers,
			caller{name: "acme's " + string(scope), token: "acme " + string(scope), scope: scope, own: true},
			caller{name: "acme's " + string(scope) + ", by name", token: "acme " + string(scope), query: "?project=acme", scope: scope, own: true},
			caller{name: "another project's " + string(scope), token: "other " + string(scope), scope: scope},
			caller{name: "another project's " + string(scope) + " that names acme", token: "other " + string(scope), query: "?project=acme", scope: scope, noProject: true},
		)
	}
	routes := build(Config{}).routes()
	requests := 0
	for _, r := range routes {
		b := w.belongings()
		for _, c := range callers {
			goal := targetOf(t, r, b, w.receiver.URL)
			want := goal.status
			switch {
			case r.scope == public:
			case c.scope == "":
				want = http.StatusUnauthorized
			case !c.scope.Allows(r.scope):
				want = http.StatusForbidden
			case c.noProject:
				want = http.StatusNotFound
			case !c.own && c.scope == telltale.ScopeOwner && strings.Contains(r.path, "{slug}"):
				// An owner reaches every project by its slug.
			case !c.own:
				want = goal.elsewhere
			}
			query := c.query
			if r.scope == public {
				query = ""
			}
			before := w.state(b)
			got := w.do(c.token, r.method, goal.path+query, goal.body)
			requests++
			name := fmt.Sprintf("%s: %s %s", c.name, r.method, r.path)
			if got.Code != want {
				t.Errorf("%s: answered %d %s, want %d", name, got.Code, got.Body, want)
			}
			reaches := c.own || c.scope == telltale.ScopeOwner && slices.Contains([]string{"list-projects", "get-project", "patch-project"}, r.id)
			if strings.Contains(strings.ReplaceAll(got.Body.String(), goal.path, ""), marker) && !reaches {
				t.Errorf("%s: it gives away what is acme's: %s", name, got.Body)
			}
			for _, id := range []string{b.webhook, b.event, b.delivery, b.key, b.bin, b.replay, b.imported, b.source, b.request} {
				if got.Code < 300 && !reaches && strings.Contains(got.Body.String(), id) {
					t.Errorf("%s: it gives away %s: %s", name, id, got.Body)
				}
			}
			if got.Code >= 300 || goal.unchanged || !reaches {
				if diff := cmp.Diff(before, w.state(b)); diff != "" && r.id != "create-key" {
					t.Errorf("%s: it changed what is acme's (-before +after):\n%s", name, diff)
				}
			} else {
				w.forget(b)
				b = w.belongings()
			}
		}
		w.forget(b)
	}
	if requests != len(routes)*len(callers) {
		t.Errorf("%d requests", requests)
	}
}

// What is another project's is answered like what does not exist, word by word.
func TestForeignAndUnknownAreOne(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b := w.belongings()
	pairs := map[string][2]string{
		"whk_": {b.webhook, string(telltale.NewWebhookID())},
		"evt_": {b.event, string(telltale.NewEventID())},
		"dlv_": {b.delivery, string(telltale.NewDeliveryID())},
		"rpl_": {b.replay, string(telltale.NewReplayID())},
		"imp_": {b.imported, string(telltale.NewImportID())},
		"src_": {b.source, string(telltale.NewSourceID())},
		"key_": {b.key, string(telltale.NewKeyID())},
		"bin":  {b.bin, string(telltale.NewBin("prj_x").ID)},
		"slug": {"acme", "lost"},
	}
	malformed := []string{"x", "%00", "%0d%0aX-Evil:%201", "..%2f..", "whk_01jd0000000000000000000000", strings.Repeat("a", 5000), "%ff", "*"}
	for _, r := range build(Config{}).routes() {
		target := targetOf(t, r, b, w.receiver.URL)
		if target.elsewhere != http.StatusNotFound {
			continue
		}
		for _, pair := range pairs {
			if !strings.Contains(target.path, pair[0]) {
				continue
			}
			ask := func(id string) (int, string) {
				path := strings.Replace(target.path, pair[0], id, 1)
				got := w.do("other manage", r.method, path, target.body)
				p := read[struct{ Type, Title, Detail string }](got)
				return got.Code, strings.ReplaceAll(fmt.Sprint(p), id, "<id>")
			}
			foreignCode, foreign := ask(pair[0])
			unknownCode, unknown := ask(pair[1])
			if foreignCode != 404 || unknownCode != 404 || foreign != unknown {
				t.Errorf("%s %s: a foreign one is answered %d %s, an unknown one %d %s", r.method, r.path, foreignCode, foreign, unknownCode, unknown)
			}
			for _, id := range malformed {
				if code, told := ask(id); code != 404 || strings.Contains(told, "\x00") {
					t.Errorf("%s %s: %q is answered %d %s", r.method, r.path, id, code, told)
				}
			}
		}
	}
}
