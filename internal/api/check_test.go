package api

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http/httptest"
	"net/url"
	"reflect"
	"strings"
	"testing"

	"github.com/danielgtaylor/huma/v2"
	"github.com/google/go-cmp/cmp"

	"telltale.example/telltale"
	"telltale.example/telltale/internal/wire"
)

// operation finds an operation of the document by its id.
func operation(t testing.TB, a *api, id string) *huma.Operation {
	t.Helper()
	for _, item := range a.huma.OpenAPI().Paths {
		for _, op := range []*huma.Operation{item.Get, item.Post, item.Patch, item.Delete} {
			if op != nil && op.OperationID == id {
				return op
			}
		}
	}
	t.Fatalf("there is no operation %q", id)
	return nil
}

func faultsOf(err error) []telltale.Fault {
	var e *telltale.Error
	if errors.As(err, &e) {
		return e.Faults
	}
	return nil
}

func TestBodiesAreHeldAgainstTheirSchema(t *testing.T) {
	t.Parallel()
	a := build(Config{})
	const fields = "basic_auth, concurrency, description, events, extensions, format, headers, legacy_signature, rate_limit, retry_schedule, skip_machines, timeout, url"
	deep := strings.Repeat(`{"a":`, 20000) + "1" + strings.Repeat("}", 20000)
	for _, row := range []struct {
		name, operation, body string
		code                  telltale.Code
		faults                []telltale.Fault
	}{
		{"all that a webhook takes", "create-webhook", `{"url":"https://a.example/","events":["sent"],"description":null,"timeout":"5s","retry_schedule":["1s"],"rate_limit":1.5,"concurrency":3,"headers":{"A":"b","C":{"value":"d","secret":true},"E":null},"basic_auth":{"username":"u","password":"p"},"extensions":true,"legacy_signature":false,"format":"vero-2.0"}`, "", nil},
		{"nulls in a patch", "patch-webhook", `{"timeout":null,"retry_schedule":null,"headers":null,"basic_auth":null,"rate_limit":null}`, "", nil},
		{"an empty patch", "patch-webhook", ` { } `, "", nil},

		{"an unknown field, misspelt", "patch-webhook", `{"urll":"s3cr3t"}`, telltale.Invalid, []telltale.Fault{
			{Location: "body.urll", Message: "There is no such field. Did you mean url?", Expected: "url"},
		}},
		{"a field in another case", "patch-webhook", `{"URL":"s3cr3t"}`, telltale.Invalid, []telltale.Fault{
			{Location: "body.URL", Message: "There is no such field. Did you mean url?", Expected: "url"},
		}},
		{"an unknown field, unlike any", "patch-webhook", `{"color":1}`, telltale.Invalid, []telltale.Fault{
			{Location: "body.color", Message: "There is no such field.", Expected: "one of " + fields},
		}},
		{"a field that is only read", "patch-webhook", `{"enabled":false}`, telltale.Invalid, []telltale.Fault{
			{Location: "body.enabled", Message: "There is no such field.", Expected: "one of " + fields},
		}},
		{"a field with a strange name", "patch-webhook", `{"a b\u0000":1}`, telltale.Invalid, []telltale.Fault{
			{Location: `body["a b\x00"]`, Message: "There is no such field.", Expected: "one of " + fields},
		}},
		{"what is missing", "create-webhook", `{}`, telltale.Invalid, []telltale.Fault{
			{Location: "body.url", Message: "The field is missing.", Expected: "a string"},
			{Location: "body.events", Message: "The field is missing.", Expected: "an array"},
		}},
		{"every fault, in the order of the input", "create-webhook", `{"timeout":5,"url":1,"events":["sent",2,null],"concurrency":1.5,"retry_schedule":["soon"],"rate_limit":1e999}`, telltale.Invalid, []telltale.Fault{
			{Location: "body.timeout", Message: "The value is a number.", Expected: `a duration, such as "5s" or "1h30m"`, Value: "5"},
			{Location: "body.url", Message: "The value is a number.", Expected: "a string", Value: "1"},
			{Location: "body.events[1]", Message: "The value is a number.", Expected: "a string", Value: "2"},
			{Location: "body.events[2]", Message: "The value is null.", Expected: "a string", Value: "null"},
			{Location: "body.concurrency", Message: "This is no integer, or is too large.", Expected: "an integer", Value: "1.5"},
			{Location: "body.retry_schedule[0]", Message: "This is no duration.", Expected: `a duration, such as "5s" or "1h30m"`, Value: "soon"},
			{Location: "body.rate_limit", Message: "The number is too large.", Expected: "a number", Value: "1e999"},
		}},
		{"secrets are not repeated", "patch-webhook", `{"headers":{"A":4711,"B":["s3cr3t"],"C":{"value":4711,"scret":"s3cr3t"}},"basic_auth":{"password":4711}}`, telltale.Invalid, []telltale.Fault{
			{Location: "body.headers.A", Message: "The value is a number.", Expected: "a string, null, or an object of value and secret"},
			{Location: "body.headers.B", Message: "The value is an array.", Expected: "a string, null, or an object of value and secret"},
			{Location: "body.headers.C.value", Message: "The value is a number.", Expected: "a string"},
			{Location: "body.headers.C.scret", Message: "There is no such field. Did you mean secret?", Expected: "secret"},
			{Location: "body.basic_auth.password", Message: "The value is a number.", Expected: "a string"},
		}},
		{"a scope that is none", "create-key", `{"name":"n","scope":"admin"}`, telltale.Invalid, []telltale.Fault{
			{Location: "body.scope", Message: "There is no such value.", Expected: "one of ingest, read, manage, track, owner", Value: "admin"},
		}},
		{"an array in place of an object", "patch-webhook", `[]`, telltale.Invalid, []telltale.Fault{
			{Location: "body", Message: "The value is an array.", Expected: "an object"},
		}},
		{"null in place of an object", "test-webhook", `null`, telltale.Invalid, []telltale.Fault{
			{Location: "body", Message: "The value is null.", Expected: "an object", Value: "null"},
		}},
		{"a long value is cut", "patch-webhook", `{"timeout":"` + strings.Repeat("ä", 40) + `"}`, telltale.Invalid, []telltale.Fault{
			{Location: "body.timeout", Message: "This is no duration.", Expected: `a duration, such as "5s" or "1h30m"`, Value: strings.Repeat("ä", 32) + "…"},
		}},

		{"no body", "patch-webhook", ``, telltale.Malformed, []telltale.Fault{{Location: "body", Message: "The body is empty.", Expected: "one JSON object in UTF-8"}}},
		{"white space", "patch-webhook", " \n", telltale.Malformed, []telltale.Fault{{Location: "body", Message: "The body is empty.", Expected: "one JSON object in UTF-8"}}},
		{"half a body", "patch-webhook", `{"url":"x"`, telltale.Malformed, []telltale.Fault{{Location: "body", Message: "The body ends too early.", Expected: "one JSON object in UTF-8"}}},
		{"two documents", "patch-webhook", `{}{}`, telltale.Malformed, []telltale.Fault{{Location: "body", Message: "There is more data after the end.", Expected: "one JSON object in UTF-8"}}},
		{"a key twice", "patch-webhook", `{"headers":{"A":"1","A":"2"}}`, telltale.Malformed, []telltale.Fault{{Location: "body.headers.A", Message: "The key is there twice.", Expected: "each key once"}}},
		{"a byte order mark", "patch-webhook", "\ufeff{}", telltale.Malformed, []telltale.Fault{{Location: "body", Message: "The body begins with a byte order mark.", Expected: "one JSON object in UTF-8"}}},
		{"invalid UTF-8", "patch-webhook", "{\"url\":\"\xff\"}", telltale.Malformed, []telltale.Fault{{Location: "body", Message: "Invalid UTF-8, at byte 8.", Expected: "one JSON object in UTF-8"}}},
		{"a lone surrogate", "patch-webhook", `{"url":"\ud800"}`, telltale.Malformed, nil},
		{"NaN", "patch-webhook", `{"rate_limit":NaN}`, telltale.Malformed, nil},
		{"deeper than anything", "patch-webhook", `{"x":` + deep + `}`, telltale.Malformed, nil},
		{"a form", "patch-webhook", `url=https://a.example/`, telltale.Malformed, nil},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			s := operation(t, a, row.operation).RequestBody.Content["application/json"].Schema
			err := checkBody(a.registry, s, []byte(row.body))
			if got := telltale.CodeOf(err); got != row.code {
				t.Fatalf("got %q (%v), want %q", got, err, row.code)
			}
			if diff := cmp.Diff(row.faults, faultsOf(err)); diff != "" && row.faults != nil {
				t.Errorf("faults (-want +got):\n%s", diff)
			}
			if strings.Contains(fmt.Sprintf("%+v", faultsOf(err)), "s3cr3t") || strings.Contains(fmt.Sprintf("%+v", faultsOf(err)), "4711") {
				t.Errorf("a secret is repeated: %+v", faultsOf(err))
			}
		})
	}
}

func TestFaultsAreBounded(t *testing.T) {
	t.Parallel()
	a := build(Config{})
	var body strings.Builder
	for i := range 1000 {
		fmt.Fprintf(&body, `,"x%d":1`, i)
	}
	s := operation(t, a, "patch-webhook").RequestBody.Content["application/json"].Schema
	err := checkBody(a.registry, s, []byte("{"+body.String()[1:]+"}"))
	if n := len(faultsOf(err)); n != maxFaults {
		t.Errorf("%d faults", n)
	}
}

func TestQueriesAreHeldAgainstTheirParameters(t *testing.T) {
	t.Parallel()
	a := build(Config{})
	for _, row := range []struct {
		name, operation, query string
		code                   telltale.Code
		faults                 []telltale.Fault
	}{
		{"all that there is", "list-deliveries", "webhook=whk_1&state=failed&event=sent&event_id=evt_1&q=x&since=2026-11-20T09:30:00Z&until=2026-11-20T09:30:00.5%2B01:00&limit=500&after=x&before=y&project=p", "", nil},
		{"nothing", "list-deliveries", "", "", nil},
		{"empty values do not narrow", "list-deliveries", "state=&limit=&since=&q=", "", nil},
		{"an unknown parameter, misspelt", "list-deliveries", "webhok=s3cr3t", telltale.Invalid, []telltale.Fault{
			{Location: "query.webhok", Message: "There is no such parameter. Did you mean webhook?", Expected: "webhook"},
		}},
		{"an unknown parameter, unlike any", "list-event-types", "colour=1", telltale.Invalid, []telltale.Fault{
			{Location: "query.colour", Message: "There is no such parameter.", Expected: "one of project"},
		}},
		{"in alphabetical order", "list-deliveries", "state=lost&limit=0&since=yesterday&event=x&q=" + strings.Repeat("q", 999), telltale.Invalid, []telltale.Fault{
			{Location: "query.event", Message: "There is no such value.", Expected: "one of sent, delivered, opened, clicked, failed, bounced, converted, unsubscribed, resubscribed, complained, user_created, user_updated, webhook.failing, webhook.disabled, webhook.recovered, delivery.failed", Value: "x"},
			{Location: "query.limit", Message: "The value is not in range.", Expected: "an integer from 1 to 500", Value: "0"},
			{Location: "query.q", Message: "The value is too long.", Expected: "at most 998 characters", Value: strings.Repeat("q", 64) + "…"},
			{Location: "query.since", Message: "This is no time.", Expected: "RFC 3339, such as 2026-11-20T09:30:00Z", Value: "yesterday"},
			{Location: "query.state", Message: "There is no such value.", Expected: "one of waiting, sending, succeeded, failed, held, cancelled", Value: "lost"},
		}},
		{"more than the limit", "list-webhooks", "limit=501", telltale.Invalid, []telltale.Fault{
			{Location: "query.limit", Message: "The value is not in range.", Expected: "an integer from 1 to 500", Value: "501"},
		}},
		{"a number that is too large for any", "list-webhooks", "limit=99999999999999999999", telltale.Invalid, []telltale.Fault{
			{Location: "query.limit", Message: "The value is not in range.", Expected: "an integer from 1 to 500", Value: "99999999999999999999"},
		}},
		{"twice", "list-webhooks", "limit=1&limit=2", telltale.Invalid, []telltale.Fault{
			{Location: "query.limit", Message: "The parameter is there more than once.", Expected: "one value"},
		}},
		{"not UTF-8", "list-events", "q=%ff", telltale.Invalid, []telltale.Fault{{Location: "query.q", Message: "The value is not UTF-8.", Expected: "UTF-8"}}},
		{"cannot be read", "list-webhooks", "limit=%zz", telltale.Malformed, nil},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			r := httptest.NewRequest("GET", "/x", nil)
			r.URL.RawQuery = row.query
			err := checkQuery(operation(t, a, row.operation), r)
			if got := telltale.CodeOf(err); got != row.code {
				t.Fatalf("got %q (%v), want %q", got, err, row.code)
			}
			if diff := cmp.Diff(row.faults, faultsOf(err)); diff != "" && row.faults != nil {
				t.Errorf("faults (-want +got):\n%s", diff)
			}
		})
	}
}

func TestContentTypes(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		contentType, body string
		ok                bool
	}{
		{"application/json", "{}", true},
		{"application/json; charset=utf-8", "{}", true},
		{"Application/JSON; charset=UTF-8", "{}", true},
		{"application/merge-patch+json", "{}", true},
		{"", "{}", true},
		{"application/x-www-form-urlencoded", ` {"url":"x"}`, true},
		{"application/x-www-form-urlencoded", "url=x", false},
		{"application/json; charset=latin1", "{}", false},
		{"text/plain", "{}", false},
		{"application/xml", "<a/>", false},
		{"application/x-ndjson", "{}", false},
		{"application/json; charset", "{}", false},
		{"nonsense;;;", "{}", false},
	} {
		err := checkContentType(row.contentType, []byte(row.body))
		if (err == nil) != row.ok || err != nil && telltale.CodeOf(err) != telltale.UnsupportedMedia {
			t.Errorf("%q with %q: %v", row.contentType, row.body, err)
		}
	}
}

func TestNearest(t *testing.T) {
	t.Parallel()
	names := []string{"url", "events", "description", "timeout", "rate_limit", "basic_auth", "retry_schedule"}
	for name, want := range map[string]string{
		"urll": "url", "event": "events", "evnets": "events", "desciption": "description", "rate-limit": "rate_limit", "basicauth": "basic_auth",
		"timout": "timeout", "retry_schedules": "retry_schedule", "colour": "", "x": "", "": "", "id": "",
	} {
		if got := nearest(name, names); got != want {
			t.Errorf("%q is near %q, want %q", name, got, want)
		}
	}
}

// What the check lets through can be read: huma has no fault left to find.
func FuzzWhatIsCheckedCanBeRead(f *testing.F) {
	a := build(Config{})
	types := map[string]reflect.Type{
		"create-webhook": reflect.TypeFor[wire.WebhookCreate](), "patch-webhook": reflect.TypeFor[wire.WebhookPatch](),
		"test-webhook": reflect.TypeFor[wire.WebhookTest](), "rotate-webhook-secret": reflect.TypeFor[wire.SecretRotation](),
		"create-project": reflect.TypeFor[wire.ProjectCreate](), "patch-project": reflect.TypeFor[wire.ProjectPatch](), "create-key": reflect.TypeFor[wire.KeyCreate](),
	}
	for _, seed := range []string{
		`{"url":"x","events":["sent"],"timeout":"5s","headers":{"A":{"value":null,"secret":null}},"retry_schedule":["1s"]}`,
		`{"concurrency":4,"rate_limit":1e3,"basic_auth":{"username":"u"}}`, `{"event":"sent"}`, `{"overlap":null}`, `{"slug":"x","ingest_rate":0.1}`, `{"name":"n","scope":"read"}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		for id, form := range types {
			if checkBody(a.registry, operation(t, a, id).RequestBody.Content["application/json"].Schema, body) != nil {
				continue
			}
			if err := json.Unmarshal(body, reflect.New(form).Interface()); err != nil {
				t.Errorf("%s: %q passes the check and cannot be read: %v", id, body, err)
			}
		}
	})
}

func FuzzQuery(f *testing.F) {
	a := build(Config{})
	op := operation(f, a, "list-deliveries")
	f.Add("limit=5&since=2026-11-20T09:30:00Z&state=failed")
	f.Add("limit=-1&a=b&q=%ff")
	f.Fuzz(func(t *testing.T, query string) {
		r := httptest.NewRequest("GET", "/x", nil)
		r.URL = &url.URL{Path: "/x", RawQuery: query}
		if err := checkQuery(op, r); err != nil && telltale.CodeOf(err) != telltale.Invalid && telltale.CodeOf(err) != telltale.Malformed {
			t.Errorf("%q: %v", query, err)
		}
	})
}
