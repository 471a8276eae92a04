package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitex"

	"telltale.example/telltale"
	"telltale.example/telltale/internal/web"
)

// tenantTrial asks for every route with every kind of caller: of the project, of
// another one, with too little, and with nothing.
var tenantTrial = &Trial{
	ID: "T16", Name: "every route × every caller: own, another project's, too narrow, revoked, expired, nobody", Proves: "P6",
	Goal: "100 % of the routes, crossings 0; a foreign id is answered as an unknown one is; revoked means refused, on every node", Rounds: 4, // every change has the matrix of internal/api
	Run: func(r *Run) {
		server := r.newServer()
		r.EachRound(func(int) {
			r.tenants(r.newWorld(nil).starts(1), true)
			r.tenants(r.newWorld(server).starts(2), false)
		})
	},
	Control: func(r *Run) {
		w := r.newWorld(nil)
		w.add(crossing, "all").start()
		r.newTenants(w).api()
	},
}

// marked is in everything that belongs to the project acme, and secretive in what
// not all of its own may read.
const (
	marked    = "acme-confidential"
	secretive = "acme-for-few"
)

// tenants is a world with two projects, of which acme has one of everything.
type tenants struct {
	*world
	doors    int // that requests went through
	keys     map[string]string
	sessions map[string]string // by role
	own      belongings
	receiver *httptest.Server // takes whatever acme's webhooks send
	requests int
}

// belongings are what acme has, by the place in a route's path.
type belongings struct {
	ids map[string]string // of the API, by path's first segment; and "request", "bin", "feed"
}

// tenants asks for everything. Where a node may be stopped, sessions grow old too.
func (r *Run) tenants(w *world, expire bool) {
	t := r.newTenants(w)
	t.signIn()
	t.api()
	t.track()
	t.inbound()
	t.pages()
	t.ops()
	t.streams()
	t.revocations()
	if expire {
		t.expiry()
	}
	r.Add("requests", "", float64(t.requests))
	for _, n := range w.nodes {
		if text := n.complaints(); strings.Contains(text, "panic") {
			r.Errorf("node %s panicked:\n%s", n.name, text)
		}
	}
}

// newTenants makes the projects, their keys, and what acme has.
func (r *Run) newTenants(w *world) *tenants {
	t := &tenants{world: w, keys: map[string]string{"owner": w.token, "nobody": "", "never made": "tt_" + strings.Repeat("A", 43), "no token at all": "hello"}, sessions: map[string]string{}}
	t.receiver = httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	r.Cleanup(t.receiver.Close)
	for _, slug := range []string{"acme", "kiwi"} { // of one length, so that answers are
		t.owner(http.MethodPost, "/v1/projects", fmt.Sprintf(`{"slug":%q,"name":"%s"}`, slug, slug), nil)
		for _, scope := range []string{"track", "ingest", "read", "manage"} {
			_, t.keys[slug+" "+scope] = t.newKey(slug, scope)
		}
	}
	id, token := t.newKey("acme", "manage")
	t.keys["revoked"] = token
	t.expect("warming a key", request{method: http.MethodGet, url: t.door() + "/v1/webhooks", token: token}, http.StatusOK)
	t.owner(http.MethodDelete, "/v1/keys/"+id+"?project=acme", "", nil)

	t.own = t.belong()
	return t
}

// door is a node's URL: each request goes to the next one.
func (t *tenants) door() string {
	t.doors++
	return t.nodes[t.doors%len(t.nodes)].api
}

// expect makes a request that has to be answered with one of the statuses.
func (t *tenants) expect(who string, q request, statuses ...int) reply {
	t.requests++
	answer := t.get(q)
	if !slices.Contains(statuses, answer.status) {
		t.Errorf("%s: %s %s is answered with %d, not %v: %.300s", who, q.method, q.url, answer.status, statuses, answer.body)
	}
	return answer
}

// refused is expect for a stream, which would not end if it were not refused.
func (t *tenants) refused(who string, q request, status int) (a reply) {
	t.requests++
	ctx, cancel := context.WithTimeout(t.ctx, 5*time.Second)
	defer cancel()
	response, err := q.open(ctx)
	t.Must(err)
	defer response.Body.Close()
	if response.StatusCode != status {
		t.Errorf("CROSSING: %s: %s %s is answered with %d, not %d", who, q.method, q.url, response.StatusCode, status)
		t.Add("crossings", "", 1)
		return reply{}
	}
	var body strings.Builder
	_, err = io.Copy(&body, response.Body)
	t.Must(err)
	return reply{response.StatusCode, response.Header, body.String()}
}

// owner does something as the owner of all, and reads what came of it.
func (t *tenants) owner(method, path, body string, into any) {
	answer := t.get(request{method: method, url: t.door() + path, token: t.token, kind: "application/json", body: body})
	if answer.status >= 300 {
		t.Fatalf("%s %s: %d %s", method, path, answer.status, answer.body)
	}
	if into != nil {
		t.Must(json.Unmarshal([]byte(answer.body), into))
	}
}

func (t *tenants) newKey(slug, scope string) (id, token string) {
	var made struct{ ID, Key string }
	t.owner(http.MethodPost, "/v1/keys?project="+slug, fmt.Sprintf(`{"name":"%s %s","scope":%q}`, slug, scope, scope), &made)
	return made.ID, made.Key
}

// belong makes one of everything, and waits until nothing moves any more.
func (t *tenants) belong() belongings {
	b := belongings{ids: map[string]string{}}
	const of = "?project=acme"
	make := func(noun, path, body string) (made struct{ ID, URL string }) {
		t.owner(http.MethodPost, path+of, body, &made)
		b.ids[noun] = made.ID
		return made
	}
	make("webhooks", "/v1/webhooks", fmt.Sprintf(`{"url":%q,"events":["*"],"description":%q}`, t.receiver.URL+"/"+marked, marked))
	t.owner(http.MethodPost, "/v1/webhooks/"+b.ids["webhooks"]+"/disable"+of, "", nil)
	unique := fmt.Sprintf("%s-%d", marked, t.requests)
	t.owner(http.MethodPost, "/v1/events"+of, fmt.Sprintf(`{"type":"bounced","user":{"id":%q,"email":"%s@example.com"},"message_id":%q,"note":%q}`, unique, marked, marked, secretive), nil)
	var events, deliveries, users struct {
		Data []struct{ ID string } `json:"data"`
	}
	t.owner(http.MethodGet, "/v1/events"+of, "", &events)
	b.ids["events"] = events.Data[0].ID
	make("keys", "/v1/keys", fmt.Sprintf(`{"name":%q,"scope":"read"}`, marked))
	bin := make("bin", "/v1/inspect", "")
	t.get(request{method: http.MethodPost, url: bin.URL, body: marked})
	source := make("sources", "/v1/sources", fmt.Sprintf(`{"provider":"brevo","name":%q}`, marked))
	b.ids["feed"] = source.URL
	t.expect("a provider", request{method: http.MethodPost, url: source.URL, kind: "application/json", body: `{"` + marked + `":"` + secretive + `"}`}, http.StatusOK)
	t.owner(http.MethodGet, "/v1/sources/"+source.ID+"/unrecognised"+of, "", &events)
	b.ids["request"] = events.Data[0].ID
	make("replays", "/v1/replays", `{"which":"failed","since":"2026-01-01T00:00:00Z","until":"2026-01-02T00:00:00Z"}`)
	make("erasures", "/v1/erasures", fmt.Sprintf(`{"user_id":"%s-gone"}`, marked))
	answer := t.expect("an import", request{method: http.MethodPost, url: t.door() + "/v1/imports/profiles" + of, token: t.token, kind: "text/csv", body: "id,email\n" + marked + ",\"" + marked + "@example.com\"\nrefused-" + marked + "\n"}, http.StatusCreated, http.StatusAccepted)
	var imported struct{ ID string }
	t.Must(json.Unmarshal([]byte(answer.body), &imported))
	b.ids["imports"] = imported.ID
	t.Wait("the import to finish", func() bool {
		var state struct{ State string }
		t.owner(http.MethodGet, "/v1/imports/"+imported.ID+of, "", &state)
		return state.State == "finished"
	})
	t.owner(http.MethodGet, "/v1/users"+of, "", &users)
	t.Wait("a user", func() bool {
		t.owner(http.MethodGet, "/v1/users"+of, "", &users)
		return len(users.Data) > 0
	})
	b.ids["users"] = users.Data[0].ID
	t.owner(http.MethodGet, "/v1/deliveries"+of+"&webhook="+b.ids["webhooks"], "", &deliveries)
	if len(deliveries.Data) == 0 { // the webhook is off: a test is a delivery too
		t.owner(http.MethodPost, "/v1/webhooks/"+b.ids["webhooks"]+"/test"+of, "", nil)
		t.owner(http.MethodGet, "/v1/deliveries"+of+"&webhook="+b.ids["webhooks"], "", &deliveries)
	}
	b.ids["deliveries"] = deliveries.Data[0].ID
	t.rest(b)
	return b
}

// rest waits until nothing that acme has moves any more by itself.
func (t *tenants) rest(b belongings) {
	before, after := "", t.state(b)
	for deadline := time.Now().Add(patience); before != after; {
		if time.Now().After(deadline) {
			t.Fatalf("acme does not come to rest: %s", differs(before, after))
		}
		t.Sleep(50 * time.Millisecond)
		before, after = after, t.state(b)
	}
}

// differs gives the first line in which two states differ.
func differs(before, after string) string {
	a, b := strings.Split(before, "\n"), strings.Split(after, "\n")
	for i := range min(len(a), len(b)) {
		if a[i] != b[i] {
			at := 0
			for at < min(len(a[i]), len(b[i])) && a[i][at] == b[i][at] {
				at++
			}
			at = max(0, at-200)
			return fmt.Sprintf("\n%.500s\n%.500s", a[i][at:], b[i][at:])
		}
	}
	return ""
}

// volatile is what changes by itself.
var volatile = regexp.MustCompile(`,?"(last_used_at|last_failure|updated_at|health)":"[^"]*"|,?"version":\d+|,?"known":\[[^]]*\]|,?"complete":(true|false)|,?"completed_at":"[^"]*"|,?"tally":\{([^{}]|\{[^{}]*\})*\}|127\.0\.0\.1:\d+`)

// state is all that acme has, as its owner sees it.
func (t *tenants) state(b belongings) string {
	var all strings.Builder
	for _, path := range []string{
		"/v1/webhooks", "/v1/webhooks/" + b.ids["webhooks"] + "/secret", "/v1/events", "/v1/deliveries", "/v1/keys", "/v1/inspect", "/v1/inspect/" + b.ids["bin"] + "/requests",
		"/v1/projects/acme", "/v1/sources", "/v1/sources/" + b.ids["sources"] + "/unrecognised", "/v1/replays", "/v1/imports", "/v1/users", "/v1/erasures", "/v1/goals",
	} {
		answer := t.get(request{method: http.MethodGet, url: t.door() + path + "?project=acme", token: t.token})
		fmt.Fprintf(&all, "%s %d %s\n", path, answer.status, volatile.ReplaceAllString(answer.body, ""))
	}
	return all.String()
}

// unchanged holds what acme has against what it had.
func (t *tenants) unchanged(what, before string) {
	if after := t.state(t.own); after != before {
		t.Errorf("%s changed what is acme's: %s", what, differs(before, after))
	}
}

// apiRoute is a row of the table of routes.
type apiRoute struct{ method, path, scope string }

// routes reads the table that the API's tests keep, and holds it against the
// document that the program itself writes.
func (t *tenants) routes() (routes []apiRoute) {
	text, err := os.ReadFile(filepath.Join(t.lab.source, "internal", "api", "testdata", "routes.txt"))
	t.Must(err)
	listed := map[string]bool{}
	for line := range strings.Lines(string(text)) {
		f := strings.Fields(line)
		routes = append(routes, apiRoute{f[0], f[1], f[2]})
		listed[f[0]+" "+f[1]] = true
	}
	program, err := t.lab.build(t.ctx, t.nodes[0].program)
	t.Must(err)
	out, err := exec.CommandContext(t.ctx, program, "openapi").Output() //nolint:gosec // the program under test
	t.Must(err)
	var document struct {
		Paths map[string]map[string]json.RawMessage `json:"paths"`
	}
	t.Must(json.Unmarshal(out, &document))
	described := 0
	for path, methods := range document.Paths {
		for method := range methods {
			described++
			if name := strings.ToUpper(method) + " " + path; !listed[name] {
				t.Errorf("%s is described, and not in the table of routes", name)
			}
		}
	}
	if described != len(routes) {
		t.Errorf("%d routes are described, and %d are in the table", described, len(routes))
	}
	return routes
}

// bodies are what routes take.
var bodies = map[string]string{
	"POST /v1/events":               `{"type":"sent","user":{"id":1}}`,
	"POST /v1/webhooks":             `{"url":"RECEIVER","events":["resubscribed"]}`,
	"PATCH /v1/webhooks/{id}":       `{"description":"changed"}`,
	"POST /v1/replays/plan":         `{"which":"all"}`,
	"POST /v1/replays":              `{"which":"failed","since":"2026-01-01T00:00:00Z","until":"2026-01-02T00:00:00Z"}`,
	"POST /v1/sources":              `{"provider":"mailgun"}`,
	"PATCH /v1/sources/{id}":        `{"name":"changed"}`,
	"POST /v1/erasures":             `{"user_id":"nobody"}`,
	"PATCH /v1/goals":               `{"window":"24h"}`,
	"PUT /v1/goals/{campaign}":      `{"event_name":"bought"}`,
	"POST /v1/goals/{campaign}/try": `{"event_name":"bought"}`,
	"PATCH /v1/projects/{slug}":     `{"name":"acme"}`,
	"POST /v1/keys":                 `{"name":"n","scope":"ingest"}`,
	"PUT /v1/inspect/{bin}":         `{"status":200}`,
}

// refusals are routes that answer their own project with something else than
// success, since there is nothing to be done: 409 is not the present state, 404
// not deleted.
var refusals = map[string][]int{
	"POST /v1/webhooks/{id}/restore":  {http.StatusNotFound},
	"POST /v1/deliveries/{id}/retry":  {http.StatusAccepted, http.StatusConflict},
	"POST /v1/deliveries/{id}/cancel": {http.StatusOK, http.StatusConflict},
	"POST /v1/replays/{id}/pause":     {http.StatusOK, http.StatusConflict},
	"POST /v1/replays/{id}/resume":    {http.StatusOK, http.StatusConflict},
	"POST /v1/replays/{id}/cancel":    {http.StatusOK, http.StatusConflict},
	"POST /v1/imports/{id}/pause":     {http.StatusOK, http.StatusConflict},
	"POST /v1/imports/{id}/resume":    {http.StatusOK, http.StatusConflict},
	"POST /v1/imports/{id}/cancel":    {http.StatusOK, http.StatusConflict},
}

// place fills in a path's places: acme's, or what nobody has and looks the same.
func (r apiRoute) place(b belongings) (path, id, unknown string) {
	segment := strings.Split(r.path, "/")
	switch {
	case strings.Contains(r.path, "{request}"):
		id, unknown = b.ids["request"], "req_01JD0000000000000000000000"
	case strings.Contains(r.path, "{bin}"):
		id = b.ids["bin"]
		unknown = strings.Repeat("a", len(id))
	case strings.Contains(r.path, "{id}"):
		id = b.ids[segment[2]]
		unknown = id[:4] + "01JD0000000000000000000000"
	case strings.Contains(r.path, "{slug}"):
		id, unknown = "acme", "lost"
	}
	path = r.path
	if strings.Contains(path, "{request}") {
		path = strings.ReplaceAll(path, "{id}", b.ids["sources"])
	}
	for _, name := range []string{"{request}", "{bin}", "{id}", "{slug}"} {
		path = strings.ReplaceAll(path, name, id)
	}
	return strings.NewReplacer("{message_id}", marked, "{type}", "bounced", "{event}", "bounced", "{campaign}", "987").Replace(path), id, unknown
}

var hostPort = regexp.MustCompile(`127\.0\.0\.1:\d+`)

// same is an answer without what each answer has of its own, and without the id.
func (a reply) same(id string) string {
	h := a.header.Clone()
	request := h.Get("Request-Id")
	for _, name := range []string{"Date", "Request-Id", "Set-Cookie"} {
		h.Del(name)
	}
	text := hostPort.ReplaceAllString(fmt.Sprint(a.status, h, a.body), "")
	for _, own := range []string{request, url.QueryEscape(id), id} {
		if own != "" {
			text = strings.ReplaceAll(text, own, "…")
		}
	}
	return text
}

// leaks reports what an answer to somebody else has of acme's. What they asked for
// they know already.
func (t *tenants) leaks(who string, q request, a reply) {
	asked, _ := url.PathUnescape(q.url + q.body)
	body := a.body
	for _, text := range append([]string{marked, secretive}, slices.Collect(values(t.own.ids))...) {
		if text != "" && !strings.Contains(asked, text) && strings.Contains(body, text) {
			t.Errorf("CROSSING: %s: %s %s gives away %q: %.400s", who, q.method, q.url, text, body)
			t.Add("crossings", "", 1)
			return
		}
	}
}

func values(m map[string]string) func(func(string) bool) {
	return func(yield func(string) bool) {
		for _, v := range m {
			if !yield(v) {
				return
			}
		}
	}
}

// api asks for every route of the API.
func (t *tenants) api() {
	routes := t.routes()
	allows := func(scope, need string) bool { return telltale.Scope(scope).Allows(telltale.Scope(need)) }
	for _, r := range routes {
		name := r.method + " " + r.path
		path, id, unknown := r.place(t.own)
		ask := func(key, query, path string) request {
			q := request{method: r.method, url: t.door() + path + query, token: t.keys[key], kind: "application/json", body: strings.ReplaceAll(bodies[name], "RECEIVER", t.receiver.URL)}
			if strings.HasPrefix(r.path, "/v1/imports/") && strings.Count(r.path, "/") == 3 && r.method == http.MethodPost {
				q.kind, q.body = "text/csv", "id,email\nx,x@example.com\n"
				if r.path == "/v1/imports/events" {
					q.body = "id,event_name,date\nx,bought,2026-01-01\n"
				}
			}
			if q.body == "" {
				q.kind = ""
			}
			return q
		}
		if r.path == "/v1/live" {
			for _, key := range []string{"nobody", "never made", "no token at all", "revoked"} {
				t.refused(key, ask(key, "", path), http.StatusUnauthorized)
			}
			for _, key := range []string{"acme track", "acme ingest", "kiwi ingest"} {
				t.refused(key, ask(key, "", path), http.StatusForbidden)
			}
			for _, query := range []string{"?project=acme", "?webhook=" + t.own.ids["webhooks"]} {
				q := ask("kiwi read", query, path)
				t.leaks("kiwi read", q, t.refused("kiwi read", q, http.StatusNotFound))
			}
			continue // that it carries what it should: see [tenants.streams]
		}
		before := t.state(t.own)
		if r.scope == "public" {
			for _, key := range []string{"nobody", "revoked", "kiwi read"} {
				q := ask(key, "", path)
				t.leaks(key, q, t.expect(key, q, http.StatusOK))
			}
			continue
		}
		for _, key := range []string{"nobody", "never made", "no token at all", "revoked"} {
			q := ask(key, "", path)
			t.leaks(key, q, t.expect(key, q, http.StatusUnauthorized))
		}
		for _, scope := range []string{"track", "ingest", "read", "manage"} {
			if !allows(scope, r.scope) {
				q := ask("acme "+scope, "", path)
				t.leaks("acme "+scope, q, t.expect("acme "+scope, q, http.StatusForbidden))
				t.expect("kiwi "+scope, ask("kiwi "+scope, "", path), http.StatusForbidden)
				continue
			}
			// Another project's key that names this one, and one that does not exist.
			q := ask("kiwi "+scope, "?project=acme", path)
			named := t.expect("kiwi "+scope+" that names acme", q, http.StatusNotFound)
			t.leaks("kiwi "+scope, q, named)
			lost := t.expect("kiwi "+scope+" that names nothing", ask("kiwi "+scope, "?project=lost", path), http.StatusNotFound)
			if a, b := named.same(`\"acme\"`), lost.same(`\"lost\"`); a != b {
				t.Errorf("%s: a project of others is answered with\n%s\nand none with\n%s", name, a, b)
			}
			q = ask("kiwi "+scope, "", path)
			if id == "" {
				t.leaks("kiwi "+scope, q, t.expect("kiwi "+scope, q, append([]int{http.StatusNotFound}, succeeds...)...))
				continue
			}
			foreign := t.expect("kiwi "+scope, q, http.StatusNotFound)
			t.leaks("kiwi "+scope, q, foreign)
			none := t.expect("kiwi "+scope, ask("kiwi "+scope, "", strings.Replace(path, id, unknown, 1)), http.StatusNotFound)
			if a, b := foreign.same(id), none.same(unknown); a != b {
				t.Errorf("%s: what is others' is answered with\n%s\nand what is not there with\n%s", name, a, b)
			}
		}
		t.expect("an owner of no project that exists", ask("owner", "?project=lost", path), http.StatusNotFound)
		if strings.HasPrefix(r.path, "/v1/deliveries") || strings.HasPrefix(r.path, "/v1/events") { // filters
			for _, query := range []string{"?webhook=" + t.own.ids["webhooks"], "?event_id=" + t.own.ids["events"], "?q=" + marked} {
				if r.method == http.MethodGet && id == "" {
					q := ask("kiwi read", query, path)
					t.leaks("kiwi read", q, t.get(q))
				}
			}
		}
		if name == "POST /v1/replays/plan" || name == "POST /v1/replays" {
			for _, body := range []string{`{"which":"all","webhook":%q}`, `{"which":"all","to":%q}`} {
				q := ask("kiwi manage", "", path)
				q.body = fmt.Sprintf(body, t.own.ids["webhooks"])
				t.leaks("kiwi manage", q, t.expect("kiwi manage", q, http.StatusNotFound, http.StatusUnprocessableEntity))
			}
		}
		t.unchanged(name, before)
		// Its own.
		key, query := "acme manage", ""
		if r.scope == "owner" {
			key, query = "owner", "?project=acme"
		}
		good := succeeds
		if refusals[name] != nil {
			good = refusals[name]
		}
		q := ask(key, query, path)
		if name == "POST /v1/projects" {
			q.body = fmt.Sprintf(`{"slug":"p-%d"}`, t.requests)
		}
		t.expect(key, q, good...)
		for _, scope := range []string{"track", "ingest", "read"} {
			if allows(scope, r.scope) && r.method == http.MethodGet {
				t.expect("acme "+scope, ask("acme "+scope, "", path), good...)
			}
		}
		switch {
		case r.method == http.MethodGet:
		case id != "":
			t.own = t.belong()
		default:
			t.rest(t.own)
		}
	}
	t.Worst("routes of the API", "", float64(len(routes)))
}

var succeeds = []int{http.StatusOK, http.StatusCreated, http.StatusAccepted, http.StatusNoContent}

// track asks for every call of the Track API.
func (t *tenants) track() {
	before := t.state(t.own)
	const who = `"id":"kiwi-own","email":"own@example.com"`
	for path, body := range map[string]string{
		"users/track": `{` + who + `,"data":{"a":1}}`, "users/edit": `{` + who + `,"changes":{"a":2}}`, "users/reidentify": `{"id":"kiwi-own","new_id":"kiwi-new"}`,
		"users/unsubscribe": `{` + who + `}`, "users/resubscribe": `{` + who + `}`, "users/delete": `{` + who + `}`,
		"users/tags/edit": `{` + who + `,"add":["x"]}`, "events/track": `{"identity":{` + who + `},"event_name":"e"}`,
	} {
		for key, token := range t.keys {
			project, scope, _ := strings.Cut(key, " ")
			want := http.StatusUnauthorized
			if project == "kiwi" && telltale.Scope(scope).Allows(telltale.ScopeTrack) {
				want = http.StatusOK
			}
			if project == "acme" && want != http.StatusOK && telltale.Scope(scope).Allows(telltale.ScopeTrack) {
				continue // it may, and would change what it has
			}
			q := request{method: http.MethodPost, url: t.door() + "/api/v2/" + path + "?auth_token=" + url.QueryEscape(token), kind: "application/json", body: body}
			t.leaks(key, q, t.expect(key, q, want))
		}
	}
	// The same user, known to both projects, is two.
	t.expect("kiwi track", request{method: http.MethodPost, url: t.door() + "/api/v2/users/delete?auth_token=" + t.keys["kiwi track"], kind: "application/json", body: `{"id":"` + marked + `"}`}, http.StatusOK)
	t.unchanged("the Track API", before)
}

// inbound posts to sources and bins, which ask for no key: what they take is their
// own project's.
func (t *tenants) inbound() {
	before := t.state(t.own)
	at, err := url.Parse(t.own.ids["feed"])
	t.Must(err)
	password := at.User
	at.User, at.Host = nil, strings.TrimPrefix(t.nodes[0].api, "http://")
	event := `{"event":"delivered","email":"x@example.com","id":1,"date":"2026-01-01 00:00:00","message-id":"<1@x>","ts_event":1767225600}`
	post := func(who string, user *url.Userinfo, statuses ...int) {
		at.User = user
		q := request{method: http.MethodPost, url: at.String(), kind: "application/json", body: event}
		t.leaks(who, q, t.expect(who, q, statuses...))
	}
	var kiwi struct{ ID, URL string }
	t.owner(http.MethodPost, "/v1/sources?project=kiwi", `{"provider":"brevo"}`, &kiwi)
	its, err := url.Parse(kiwi.URL)
	t.Must(err)
	post("nobody", nil, http.StatusUnauthorized, http.StatusForbidden)
	post("kiwi's provider at acme's source", its.User, http.StatusUnauthorized, http.StatusForbidden)
	at.Path = "/feeds/" + strings.Repeat("a", 32)
	post("acme's provider at no source", password, http.StatusNotFound)
	for _, path := range []string{"/in/" + strings.Repeat("a", len(t.own.ids["bin"])), "/in/", "/in/x/../" + t.own.ids["bin"] + "x"} {
		q := request{method: http.MethodPost, url: t.door() + path, body: "x"}
		t.leaks("nobody", q, t.expect("nobody", q, http.StatusNotFound, http.StatusTemporaryRedirect, http.StatusMovedPermanently))
	}
	t.unchanged("what came to sources and bins", before)
	q := request{method: http.MethodGet, url: t.door() + "/in/" + t.own.ids["bin"]}
	t.leaks("nobody", q, t.get(q))
}

// signIn makes an operator of each role.
func (t *tenants) signIn() {
	out, err := os.ReadFile(t.nodes[0].out.Name())
	t.Must(err)
	link := regexp.MustCompile(`/setup\?token=([^ ]+)`).FindSubmatch(out)
	if link == nil {
		t.Fatalf("there is no link to set up with: %s", out)
	}
	t.sessions["owner"] = t.form("", "/setup", url.Values{"token": {string(link[1])}, "email": {"owner@example.com"}, "password": {passphrase}, "project": {"Default"}}).cookie()
	for _, role := range []string{"admin", "member", "viewer", "disabled"} {
		as := role
		if role == "disabled" {
			as = "admin"
		}
		invited := t.form("owner", "/admin/operators/invite", url.Values{"email": {role + "@example.com"}, "role": {as}})
		if invited.status != http.StatusSeeOther {
			t.Fatalf("inviting: %d %s", invited.status, invited.body)
		}
		shown := t.get(request{method: http.MethodGet, url: t.nodes[0].api + invited.header.Get("Location"), session: t.sessions["owner"], header: http.Header{"Cookie": invited.header.Values("Set-Cookie")}})
		token := regexp.MustCompile(`/link\?token=([A-Za-z0-9_-]+)`).FindStringSubmatch(shown.body)
		if token == nil {
			t.Fatalf("there is no link for the %s: %s", role, shown.body)
		}
		t.sessions[role] = t.form("", "/link", url.Values{"token": {token[1]}, "password": {passphrase}}).cookie()
	}
	for who, session := range t.sessions {
		t.expect(who, request{method: http.MethodGet, url: t.door() + "/account", session: session}, http.StatusOK)
	}
	operators := t.get(request{method: http.MethodGet, url: t.nodes[0].api + "/admin/operators", session: t.sessions["owner"]})
	for _, path := range regexp.MustCompile(`/admin/operators/opr_[0-9A-Z]+/disable`).FindAllString(operators.body, -1) {
		above := operators.body[:strings.Index(operators.body, path)]
		if emails := regexp.MustCompile(`[a-z]+@example\.com`).FindAllString(above, -1); emails[len(emails)-1] == "disabled@example.com" {
			t.form("owner", path, url.Values{})
		}
	}
	t.expect("a disabled operator", request{method: http.MethodGet, url: t.door() + "/account", session: t.sessions["disabled"]}, http.StatusSeeOther)
	t.sessions["signed out"] = t.logIn("viewer")
	t.form("signed out", "/logout", url.Values{})
	t.sessions["nobody"], t.sessions["made up"] = "", strings.Repeat("A", 43)
}

const passphrase = "correct horse battery staple"

func (t *tenants) logIn(role string) string {
	answer := t.form("", "/login", url.Values{"email": {role + "@example.com"}, "password": {passphrase}})
	if answer.cookie() == "" {
		t.Fatalf("the %s cannot log in: %d %s", role, answer.status, answer.body)
	}
	return answer.cookie()
}

// form sends a form of the pages.
func (t *tenants) form(who, path string, form url.Values) reply {
	t.requests++
	return t.get(request{method: http.MethodPost, url: t.nodes[0].api + path, session: t.sessions[who], kind: "application/x-www-form-urlencoded", body: form.Encode()})
}

// forms are what actions have to be told before they look for what they are about.
var forms = map[string]string{
	"/p/{project}/replays/{replay}":                                     "to=cancelled",
	"/p/{project}/users/imports/jobs/{import}":                          "to=cancelled",
	"/p/{project}/settings/project/reporting-webhooks/{webhook}/rotate": "overlap=0s",
}

// pages asks for every page and action.
func (t *tenants) pages() {
	nouns := map[string]string{
		"event": "events", "user": "users", "delivery": "deliveries", "replay": "replays", "import": "imports", "webhook": "webhooks", "source": "sources", "request": "request", "bin": "bin", "key": "keys",
	}
	places := regexp.MustCompile(`\{([a-z]+)(\.\.\.|\$)?\}`)
	fill := func(path, project string, ids func(string) string) string {
		return places.ReplaceAllStringFunc(strings.TrimSuffix(path, "{$}"), func(place string) string {
			switch name := strings.Trim(place, "{}."); name {
			case "project":
				return project
			case "message":
				return marked
			case "type":
				return "bounced"
			case "document":
				return "quickstart"
			case "operator":
				return "opr_01JD0000000000000000000000"
			default:
				return ids(nouns[name])
			}
		})
	}
	acmes := func(noun string) string { return t.own.ids[noun] }
	unknown := func(noun string) string {
		id := t.own.ids[noun]
		if strings.Contains(id[:min(4, len(id))], "_") {
			return id[:4] + "01JD0000000000000000000000"
		}
		return strings.Repeat("a", len(id))
	}
	routes := web.Routes()
	for _, r := range routes {
		name := r.Method + " " + r.Path
		ask := func(who, path string) request {
			q := request{method: r.Method, url: t.door() + path, session: t.sessions[who]}
			if r.Method == http.MethodPost {
				q.kind, q.body = "application/x-www-form-urlencoded", forms[r.Path]
			}
			return q
		}
		own := fill(r.Path, "acme", acmes)
		live := strings.HasSuffix(r.Path, "/live")
		before := t.state(t.own)
		for _, who := range []string{"nobody", "made up", "signed out", "disabled"} {
			q := ask(who, own)
			switch {
			case live:
				t.expect(who, q, http.StatusUnauthorized)
			case r.May != web.Public:
				answer := t.expect(who, q, http.StatusSeeOther)
				if !strings.HasPrefix(answer.header.Get("Location"), "/login") {
					t.Errorf("%s: %s leads to %s", who, name, answer.header.Get("Location"))
				}
				t.leaks(who, q, answer)
			}
		}
		if r.May != web.Public { // a key is nobody here
			q := ask("nobody", own)
			q.token = t.keys["acme manage"]
			t.expect("a key", q, http.StatusSeeOther)
		}
		for _, role := range []string{"viewer", "member"} {
			if q := ask(role, own); r.May != web.Public && !telltale.Role(role).May(r.May) {
				answer := t.expect(role, q, http.StatusForbidden)
				if strings.Contains(answer.body, marked) {
					t.Errorf("%s: %s is refused, and shows what is acme's", role, name)
				}
			}
		}
		if strings.Contains(r.Path, "{project}") && !live {
			t.expect("the owner, of no project", ask("owner", fill(r.Path, "lost", acmes)), http.StatusNotFound)
		}
		foreign, none := fill(r.Path, "kiwi", acmes), fill(r.Path, "kiwi", unknown)
		if foreign != none {
			q := ask("owner", foreign)
			a, b := t.expect("the owner at kiwi", q, http.StatusNotFound), t.get(ask("owner", none))
			t.leaks("the owner at kiwi", q, a)
			x, y := a.same(""), b.same("")
			for noun := range t.own.ids {
				x, y = strings.ReplaceAll(x, acmes(noun), "…"), strings.ReplaceAll(y, unknown(noun), "…")
			}
			if x != y {
				t.Errorf("%s: what is others' is answered with\n%s\nand what is not there with\n%s", name, x, y)
			}
		} else if strings.Contains(r.Path, "{project}") && r.Method == http.MethodGet && !live {
			q := ask("viewer", foreign)
			t.leaks("a viewer at kiwi", q, t.expect("a viewer at kiwi", q, http.StatusOK, http.StatusNotFound, http.StatusForbidden, http.StatusSeeOther, http.StatusUnprocessableEntity))
		}
		t.unchanged(name, before)
		if live {
			continue
		}
		// Its own: pages are there, and actions say something that is no fault of ours.
		if r.Method == http.MethodGet {
			if r.May != web.Public {
				t.expect("the owner", ask("owner", own), http.StatusOK, http.StatusSeeOther, http.StatusNotFound)
			}
			if telltale.RoleViewer.May(r.May) {
				answer := t.get(ask("viewer", own))
				if strings.Contains(answer.body, secretive) {
					t.Errorf("%s shows a viewer what is in bodies", name)
				}
			}
			continue
		}
		t.sessions["acting"] = t.sessions["owner"]
		if strings.HasSuffix(r.Path, "logout") || strings.HasPrefix(r.Path, "/account/sessions") || strings.HasPrefix(r.Path, "/account/password") {
			t.sessions["acting"] = t.logIn("admin")
		}
		if r.May != web.Public {
			if answer := t.get(ask("acting", own)); answer.status >= 500 {
				t.Errorf("%s is answered with %d: %s", name, answer.status, answer.body)
			}
		}
		if strings.Contains(r.Path, "{project}/") && t.state(t.own) != before {
			t.own = t.belong()
		}
	}
	t.Worst("pages and actions", "", float64(len(routes)))
}

// ops asks the listener of those who run the node, who need no key.
func (t *tenants) ops() {
	for _, n := range t.nodes {
		for _, path := range []string{"/healthz", "/readyz", "/metrics"} {
			q := request{method: http.MethodGet, url: n.ops + path}
			t.leaks("nobody", q, t.expect("nobody", q, http.StatusOK))
			q = request{method: http.MethodPost, url: n.ops + path}
			t.expect("nobody", q, http.StatusMethodNotAllowed)
			q = request{method: http.MethodGet, url: n.api + path}
			t.leaks("nobody", q, t.expect("nobody, of the API", q, http.StatusNotFound))
		}
		for _, path := range []string{"/v1/webhooks", "/v1/keys", "/p/acme/", "/login", "/debug/pprof/", "/api/v2/heartbeat", "/openapi.json"} {
			t.expect("the owner, of the other listener", request{method: http.MethodGet, url: n.ops + path, token: t.token, session: t.sessions["owner"]}, http.StatusNotFound)
		}
	}
}

// streams listens as acme and as another: each hears its own. In the end acme's key
// is revoked, at another node if there is one.
func (t *tenants) streams() {
	ctx, cancel := context.WithTimeout(t.ctx, 2*patience)
	defer cancel()
	last := t.nodes[len(t.nodes)-1]
	id, token := t.newKey("acme", "read")
	listen := func(token string) (lines chan string) {
		response, err := request{method: http.MethodGet, url: last.api + "/v1/live", token: token}.open(ctx)
		t.Must(err)
		if response.StatusCode != http.StatusOK {
			t.Fatalf("a stream is answered with %d", response.StatusCode)
		}
		lines = make(chan string, 1000)
		go func() {
			defer close(lines)
			defer response.Body.Close()
			for s := bufio.NewScanner(response.Body); s.Scan(); {
				lines <- s.Text()
			}
		}()
		return lines
	}
	until := func(lines chan string, text string) bool {
		for line := range lines {
			if strings.Contains(line, text) {
				return true
			}
			if strings.Contains(line, marked) && text != marked {
				t.Errorf("CROSSING: a stream has %s", line)
				t.Add("crossings", "", 1)
			}
		}
		return false
	}
	acme, kiwi := listen(token), listen(t.keys["kiwi read"])
	post := func(slug, user string) {
		t.owner(http.MethodPost, "/v1/events?project="+slug, fmt.Sprintf(`{"type":"sent","user":{"id":%q}}`, user), nil)
	}
	post("acme", marked)
	if !until(acme, marked) {
		t.Errorf("acme's stream does not have acme's event")
	}
	post("kiwi", "kiwi-last")
	if !until(kiwi, "kiwi-last") {
		t.Errorf("kiwi's stream does not have kiwi's event")
	}
	t.get(request{method: http.MethodDelete, url: t.nodes[0].api + "/v1/keys/" + id + "?project=acme", token: t.token})
	post("acme", "after-it")
	if until(acme, "after-it") {
		t.Errorf("a stream goes on after its key was revoked")
	}
}

// revocations revokes keys at one node, and asks the last one from then on: with a
// key that it knew a moment ago.
func (t *tenants) revocations() {
	last := t.nodes[len(t.nodes)-1]
	for range 20 {
		id, token := t.newKey("acme", "read")
		q := request{method: http.MethodGet, url: last.api + "/v1/webhooks", token: token}
		t.expect("a key", q, http.StatusOK)
		began := time.Now()
		t.get(request{method: http.MethodDelete, url: t.nodes[0].api + "/v1/keys/" + id + "?project=acme", token: t.token})
		t.Worst("revoking a key took", "ms", since(began))
		if answer := t.expect("a revoked key", q, http.StatusUnauthorized); answer.status == http.StatusOK {
			t.Add("taken after it was revoked", "", 1)
		}
	}
	for range 3 {
		t.sessions["ending"] = t.logIn("admin")
		q := request{method: http.MethodGet, url: last.api + "/account", session: t.sessions["ending"]}
		t.expect("a session", q, http.StatusOK)
		t.form("ending", "/logout", url.Values{})
		t.expect("an ended session", q, http.StatusSeeOther)
	}
	t.Add("taken after it was revoked", "", 0)
	t.Add("crossings", "", 0)
}

// expiry lets a session grow old, in the database of a node that is down meanwhile.
func (t *tenants) expiry() {
	n := t.nodes[0]
	for what, change := range map[string]string{
		"not used for a year": `UPDATE session SET seen_at = seen_at - 31536000000`,
		"past its end":        `UPDATE session SET expires_at = 1000`,
	} {
		session := t.logIn("admin")
		t.expect("the admin", request{method: http.MethodGet, url: n.api + "/account", session: session}, http.StatusOK)
		n.stop()
		conn, err := sqlite.OpenConn(t.database, sqlite.OpenReadWrite)
		t.Must(err)
		err = sqlitex.ExecuteTransient(conn, change, nil)
		t.Must(conn.Close())
		t.Must(err)
		n.start()
		t.expect("a session "+what, request{method: http.MethodGet, url: n.api + "/account", session: session}, http.StatusSeeOther)
		t.expect("a session "+what, request{method: http.MethodGet, url: n.api + "/p/acme/live", session: session}, http.StatusUnauthorized)
	}
}
