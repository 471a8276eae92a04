package api

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"telltale.example/telltale"
	"telltale.example/telltale/internal/wire"
)

// upload posts a file.
func (w *world) upload(token, path, contentType, file string) answer {
	w.t.Helper()
	r := httptest.NewRequestWithContext(w.t.Context(), "POST", path, strings.NewReader(file))
	r.Header.Set("Content-Type", contentType)
	return w.send(token, r)
}

func TestImports(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	const file = "id,plan\n7,gold\n"
	made := w.upload("acme manage", "/v1/imports/profiles?name=users.csv", "text/csv; charset=utf-8", file).want(202)
	i := read[wire.Import](made)
	path := "/v1/imports/" + i.ID
	if made.Header().Get("Location") != path || i.State != "running" || i.Kind != "profiles" || i.Name != "users.csv" || i.Bytes != int64(len(file)) || i.CreatedBy != "test manage" || i.Conversions {
		t.Errorf("started: %+v at %s", i, made.Header().Get("Location"))
	}
	if got := read[wire.Import](w.do("acme read", "GET", path, "").want(200)); got != i {
		t.Errorf("read: %+v", got)
	}
	for _, step := range []struct{ verb, state string }{{"pause", "paused"}, {"pause", "paused"}, {"resume", "running"}, {"cancel", "cancelled"}} {
		if got := read[wire.Import](w.do("acme manage", "POST", path+"/"+step.verb, "").want(200)); got.State != step.state {
			t.Errorf("after %s it is %s", step.verb, got.State)
		}
	}
	w.do("acme manage", "POST", path+"/resume", "").want(409)
	converting := read[wire.Import](w.upload("owner", "/v1/imports/events?conversions=true&project=acme", "application/octet-stream", "id,event_name,date\n").want(202))
	if !converting.Conversions || converting.Kind != "events" {
		t.Errorf("started: %+v", converting)
	}
	if got := w.ids("acme read", "/v1/imports"); got != converting.ID+" "+i.ID {
		t.Errorf("listed: %s", got)
	}
	if got := read[wire.RefusedRows](w.do("acme read", "GET", path+"/refused", "").want(200)); len(got.Data) != 0 || got.Next != nil {
		t.Errorf("refused: %+v", got)
	}
	csv := w.do("acme read", "GET", path+"/refused.csv", "").want(200)
	if csv.Body.String() != "line,reason,row\n" || !strings.HasPrefix(csv.Header().Get("Content-Type"), "text/csv") {
		t.Errorf("as a file: %s %q", csv.Header(), csv.Body)
	}
}

func TestFilesThatAreNotImported(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, test := range []struct {
		name, path, contentType, file string
		status                        int
		says                          string
	}{
		{"of another kind", "/v1/imports/events", "text/csv", "id,plan\n7,gold\n", 422, "looks like a file of profiles"},
		{"without a head", "/v1/imports/profiles", "text/csv", "", 422, "empty"},
		{"of another type", "/v1/imports/profiles", "application/json", "{}", 415, "text/csv"},
		{"of no type", "/v1/imports/profiles", "", "id\n", 415, "text/csv"},
		{"with a long name", "/v1/imports/profiles?name=" + strings.Repeat("x", 256), "text/csv", "id\n", 422, "query.name"},
		{"of profiles, to convert", "/v1/imports/profiles?conversions=true", "text/csv", "id\n", 422, "query.conversions"},
		{"to convert, or what", "/v1/imports/events?conversions=perhaps", "text/csv", "id,event_name,date\n", 422, "query.conversions"},
		{"of nothing there is", "/v1/imports/people", "text/csv", "id\n", 405, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := w.upload("acme manage", test.path, test.contentType, test.file)
			if got.Code != test.status || !strings.Contains(got.Body.String(), test.says) {
				t.Errorf("answered %d %s", got.Code, got.Body)
			}
		})
	}
	r := httptest.NewRequestWithContext(t.Context(), "POST", "/v1/imports/profiles", strings.NewReader("id\n"))
	r.Header.Set("Content-Type", "text/csv")
	r.ContentLength = telltale.MaxImportBytes + 1
	if got := w.send("acme manage", r); got.Code != http.StatusRequestEntityTooLarge {
		t.Errorf("what says that it is larger than the most is answered %d %s", got.Code, got.Body)
	}
	list, err := w.store.OpenImports(t.Context())
	if err != nil || len(list) > 0 {
		t.Errorf("of what was refused there is %v, %v", list, err)
	}
}
