package api

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/danielgtaylor/huma/v2"
	gocmp "github.com/google/go-cmp/cmp"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"telltale.example/telltale"
	"telltale.example/telltale/internal/httpserver"
	"telltale.example/telltale/internal/wire"
	"telltale.example/telltale/schema"
)

const documentURL = "https://telltale.test/openapi.json"

// openDocument gives the document as JSON, and a compiler that knows it.
func openDocument(t *testing.T) (map[string]any, *jsonschema.Compiler) {
	t.Helper()
	text, err := Document("1.2.3", "https://telltale.test/")
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	if err := c.AddResource(documentURL, parsed); err != nil {
		t.Fatal(err)
	}
	return parsed.(map[string]any), c
}

// visit walks JSON and tells the pointer of every object.
func visit(v any, pointer string, see func(pointer string, object map[string]any)) {
	switch v := v.(type) {
	case map[string]any:
		see(pointer, v)
		for name, member := range v {
			visit(member, pointer+"/"+strings.NewReplacer("~", "~0", "/", "~1").Replace(name), see)
		}
	case []any:
		for i, element := range v {
			visit(element, fmt.Sprintf("%s/%d", pointer, i), see)
		}
	}
}

// at follows a JSON pointer.
func at(document any, pointer string) (any, bool) {
	for _, token := range strings.Split(pointer, "/")[1:] {
		object, ok := document.(map[string]any)
		if !ok {
			return nil, false
		}
		document, ok = object[strings.NewReplacer("~1", "/", "~0", "~").Replace(token)]
		if !ok {
			return nil, false
		}
	}
	return document, true
}

func TestTheDocumentHolds(t *testing.T) {
	t.Parallel()
	document, compiler := openDocument(t)
	if got := fmt.Sprint(document["openapi"], document["info"].(map[string]any)["version"], document["servers"]); got != "3.1.01.2.3[map[url:https://telltale.test]]" {
		t.Errorf("it begins with %s", got)
	}
	refs, schemas := 0, 0
	visit(document, "", func(pointer string, object map[string]any) {
		if ref, ok := object["$ref"].(string); ok {
			refs++
			if _, ok := at(document, strings.TrimPrefix(ref, "#")); !ok || !strings.HasPrefix(ref, "#/") {
				t.Errorf("%s: %s leads nowhere", pointer, ref)
			}
		}
		for name, member := range object {
			_, isObject := member.(map[string]any)
			if name == "schema" && isObject && !strings.Contains(pointer, "/example") {
				schemas++
				compile(t, compiler, pointer+"/schema")
			}
		}
	})
	for name := range document["components"].(map[string]any)["schemas"].(map[string]any) {
		schemas++
		compile(t, compiler, "/components/schemas/"+name)
		if !regexp.MustCompile(`^[a-zA-Z0-9._-]+$`).MatchString(name) {
			t.Errorf("%q is no name of a component", name)
		}
	}
	if refs < 200 || schemas < 100 {
		t.Errorf("only %d references and %d schemas were seen", refs, schemas)
	}
}

func compile(t *testing.T, c *jsonschema.Compiler, pointer string) *jsonschema.Schema {
	t.Helper()
	s, err := c.Compile(documentURL + "#" + (&url.URL{Path: pointer}).EscapedPath())
	if err != nil {
		t.Fatalf("%s: %v", pointer, err)
	}
	return s
}

func TestTheDocumentHasEveryRouteAndNoOther(t *testing.T) {
	t.Parallel()
	document, _ := openDocument(t)
	tags := map[any]bool{}
	for _, tag := range document["tags"].([]any) {
		tags[tag.(map[string]any)["name"]] = true
	}
	documented := map[string]map[string]any{}
	for path, item := range document["paths"].(map[string]any) {
		for method, op := range item.(map[string]any) {
			documented[strings.ToUpper(method)+" "+path] = op.(map[string]any)
		}
	}
	ids := map[string]bool{}
	for _, r := range build(Config{}).routes() {
		name := r.method + " " + r.path
		op, ok := documented[name]
		if !ok {
			t.Errorf("%s is not in the document", name)
			continue
		}
		delete(documented, name)
		if ids[r.id] || op["operationId"] != r.id || !regexp.MustCompile(`^[a-z]+(-[a-z]+)+$`).MatchString(r.id) {
			t.Errorf("%s: the operation's id is %v", name, op["operationId"])
		}
		ids[r.id] = true
		if op["summary"] == "" || !tags[op["tags"].([]any)[0]] {
			t.Errorf("%s: summary %v, tags %v", name, op["summary"], op["tags"])
		}
		responses := op["responses"].(map[string]any)
		var wanted []string
		if r.scope == public {
			if op["security"] != nil {
				t.Errorf("%s: it is public, and wants %v", name, op["security"])
			}
		} else {
			wanted = []string{"400", "401", "403", "404", "422", "500", "503"}
			if fmt.Sprint(op["security"]) != "[map[key:[]]]" || !strings.Contains(op["description"].(string), "scope") {
				t.Errorf("%s: security %v, described as %v", name, op["security"], op["description"])
			}
			if !slices.ContainsFunc(op["parameters"].([]any), func(p any) bool { return p.(map[string]any)["name"] == "project" }) {
				t.Errorf("%s: there is no parameter project", name)
			}
		}
		if op["requestBody"] != nil {
			wanted = append(wanted, "408", "413", "415")
		} else if responses["408"] != nil || responses["413"] != nil || responses["415"] != nil {
			t.Errorf("%s: it reads no body, and finds fault with it", name)
		}
		for _, status := range wanted {
			if responses[status] == nil {
				t.Errorf("%s: there is no response %s", name, status)
			}
		}
		successes := 0
		for status, response := range responses {
			if status[0] == '2' {
				successes++
			} else if status != "304" && response.(map[string]any)["$ref"] == nil {
				t.Errorf("%s: the response %s is no problem", name, status)
			}
		}
		if successes != 1 {
			t.Errorf("%s: %d successes", name, successes)
		}
		var path []string
		for _, p := range asList(op["parameters"]) {
			if p := p.(map[string]any); p["in"] == "path" {
				path = append(path, "{"+p["name"].(string)+"}")
				if p["required"] != true {
					t.Errorf("%s: %v is not required", name, p["name"])
				}
			}
		}
		if got := regexp.MustCompile(`\{[^}]+\}`).FindAllString(r.path, -1); !slices.Equal(got, path) {
			t.Errorf("%s: parameters %v", name, path)
		}
	}
	for name := range documented {
		t.Errorf("%s is in the document and no route", name)
	}
}

// The scopes stand in a file too, so that no change of one goes unseen.
func TestTheScopesOfTheRoutes(t *testing.T) {
	t.Parallel()
	var got strings.Builder
	for _, r := range build(Config{}).routes() {
		fmt.Fprintf(&got, "%-6s %-40s %s\n", r.method, r.path, cmp.Or(string(r.scope), "public"))
	}
	path := filepath.Join("testdata", "routes.txt")
	if *update {
		if err := os.WriteFile(path, []byte(got.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := gocmp.Diff(string(want), got.String()); diff != "" {
		t.Errorf("%s (-want +got):\n%s", path, diff)
	}
}

func asList(v any) []any {
	list, _ := v.([]any)
	return list
}

func TestTheDocumentSaysWhatReceiversGet(t *testing.T) {
	t.Parallel()
	document, compiler := openDocument(t)
	webhooks := document["webhooks"].(map[string]any)
	if len(webhooks) != len(telltale.EveryEventType()) {
		t.Errorf("%d webhooks", len(webhooks))
	}
	for _, eventType := range telltale.EveryEventType() {
		op := webhooks[string(eventType)].(map[string]any)["post"].(map[string]any)
		var headers []string
		for _, p := range op["parameters"].([]any) {
			headers = append(headers, p.(map[string]any)["name"].(string))
		}
		for _, want := range []string{"User-Agent", "webhook-id", "webhook-timestamp", "webhook-signature", "telltale-event", "telltale-delivery", "telltale-attempt", "telltale-test", "telltale-source", "telltale-occurred-at", "telltale-url", "telltale-ip", "telltale-machine"} {
			if !slices.Contains(headers, want) {
				t.Errorf("%s: the header %s is missing", eventType, want)
			}
		}
		sample, err := jsonschema.UnmarshalJSON(bytes.NewReader(schema.Sample(string(eventType))))
		if err != nil {
			t.Fatal(err)
		}
		payload := compile(t, compiler, "/webhooks/"+string(eventType)+"/post/requestBody/content/application~1json/schema")
		if err := payload.Validate(sample); err != nil {
			t.Errorf("%s: the sample does not follow its schema: %v", eventType, err)
		}
		if payload.Validate(map[string]any{"type": "another"}) == nil {
			t.Errorf("%s: the schema takes what is another type's", eventType)
		}
	}
}

// A caller may have to wait until a server that died has lost its lease.
func TestNoRequestEndsBeforeALease(t *testing.T) {
	t.Parallel()
	for path, item := range build(Config{}).huma.OpenAPI().Paths {
		for _, op := range []*huma.Operation{item.Post, item.Put, item.Patch, item.Delete} {
			if op != nil && op.RequestBody != nil && op.BodyReadTimeout < telltale.Lease+5*time.Second {
				t.Errorf("%s %s ends after %s", op.Method, path, op.BodyReadTimeout)
			}
		}
	}
}

// The golden files of package wire follow the schemas that the document has for them.
func TestTheDocumentDescribesTheFormsThatAreSent(t *testing.T) {
	t.Parallel()
	_, compiler := openDocument(t)
	seen := 0
	for prefix, name := range map[string]string{
		"project": "Project", "node": "Node", "key": "Key", "webhook": "Webhook", "secrets": "Secrets", "event": "Event", "events-accepted": "EventsAccepted", "event-type": "EventType",
		"delivery": "Delivery", "attempt": "Attempt", "webhook-tested": "WebhookTested", "bin": "Bin", "replay": "Replay", "replay-planned": "ReplayPlanned", "stats": "Stats", "audit-entry": "AuditEntry", "caught-request": "CaughtRequest", "user": "User", "source": "Source", "source-tested": "SourceTested", "unrecognised": "UnrecognisedRequest", "provider": "Provider", "page": "PageProject", "problem": "Problem",
	} {
		s := compile(t, compiler, "/components/schemas/"+name)
		files, err := filepath.Glob(filepath.Join("..", "wire", "testdata", prefix+"*.json"))
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			rest := strings.TrimSuffix(strings.TrimPrefix(filepath.Base(file), prefix), ".json")
			if rest != "" && !slices.Contains([]string{"-plain", "-with-secret", "-never-used", "-one", "-binary", "-unanswered", "-empty", "-after-rotation", "-operational", "-of-deliveries", "-of-the-system"}, rest) {
				continue // of another form, whose name is longer
			}
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			form, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
			if err != nil {
				t.Fatal(err)
			}
			seen++
			if err := s.Validate(form); err != nil {
				t.Errorf("%s is no %s: %v", file, name, err)
			}
		}
	}
	if seen < 20 {
		t.Errorf("only %d forms were seen", seen)
	}
}

func TestAProblemIsWhatTheServerWrites(t *testing.T) {
	t.Parallel()
	w := httptest.NewRecorder()
	httpserver.WriteProblem(w, httptest.NewRequest("GET", "/v1/x", nil), telltale.Faulty("Invalid.", []telltale.Fault{{Location: "l", Message: "m", Expected: "e", Value: "v"}}))
	d := json.NewDecoder(w.Body)
	d.DisallowUnknownFields()
	var got wire.Problem
	if err := d.Decode(&got); err != nil {
		t.Fatal(err)
	}
	want := wire.Problem{Type: "/docs/errors#invalid", Title: "The request is invalid", Status: 422, Detail: "Invalid.", Instance: "/v1/x", Errors: []wire.Fault{{Location: "l", Message: "m", Expected: "e", Value: "v"}}}
	if diff := gocmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestDocumentsNeedNoKey(t *testing.T) {
	t.Parallel()
	h := httpserver.Wrap(New(Config{Version: "1.2.3", PublicURL: "https://telltale.test"}), httpserver.Config{})
	get := func(method, path string) *httptest.ResponseRecorder {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest(method, path, nil))
		return w
	}
	want, err := Document("1.2.3", "https://telltale.test")
	if err != nil {
		t.Fatal(err)
	}
	if w := get("GET", "/openapi.json"); w.Code != 200 || w.Header().Get("Content-Type") != typeOpenAPIJSON || !bytes.Equal(w.Body.Bytes(), want) {
		t.Errorf("/openapi.json: %d %s, %d bytes", w.Code, w.Header().Get("Content-Type"), w.Body.Len())
	}
	if w := get("GET", "/openapi.yaml"); w.Code != 200 || w.Header().Get("Content-Type") != typeOpenAPIYAML || !strings.Contains(w.Body.String(), "\nopenapi: 3.1.0\n") {
		t.Errorf("/openapi.yaml: %d %s %.80s", w.Code, w.Header().Get("Content-Type"), w.Body)
	}
	for _, eventType := range telltale.EveryEventType() {
		w := get("GET", "/schemas/"+string(eventType)+".json")
		if w.Code != 200 || w.Header().Get("Content-Type") != typeSchema || !bytes.Equal(w.Body.Bytes(), schema.Schema(string(eventType))) {
			t.Errorf("the schema of %s: %d %s", eventType, w.Code, w.Header().Get("Content-Type"))
		}
	}
	for path, code := range map[string]int{"/schemas/lost.json": 404, "/schemas/sent": 404, "/openapi": 404, "/docs": 404, "/v2/webhooks": 404} {
		if w := get("GET", path); w.Code != code || w.Header().Get("Content-Type") != httpserver.ContentTypeProblem {
			t.Errorf("%s: %d %s", path, w.Code, w.Header().Get("Content-Type"))
		}
	}
	if w := get("DELETE", "/openapi.json"); w.Code != http.StatusMethodNotAllowed {
		t.Errorf("DELETE /openapi.json: %d", w.Code)
	}
}
