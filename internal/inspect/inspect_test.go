package inspect

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"

	"telltale.example/telltale"
)

func serve(m *memory, r *http.Request) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	New(m).ServeHTTP(w, r)
	return w
}

func TestABinCatchesWhateverIsSentToIt(t *testing.T) {
	t.Parallel()
	bin := telltale.NewBin("prj_a")
	m := newMemory(bin)
	r := httptest.NewRequest("PURGE", "http://bins.example/in/"+string(bin.ID)+"/orders?a=1&b=%2F", strings.NewReader("hello"))
	r.Header = http.Header{"Content-Type": {"text/plain"}, "X-Many": {"one", "two"}}
	r.RemoteAddr = "192.0.2.7:1234"

	w := serve(m, r)
	if w.Code != http.StatusOK || w.Body.String() != "{\"ok\":true}\n" || w.Header().Get("Content-Type") != "application/json" {
		t.Errorf("answered %d %s %q", w.Code, w.Header().Get("Content-Type"), w.Body)
	}
	got := m.caught[0]
	if !telltale.ValidID("req_", string(got.ID)) || got.ReceivedAt.IsZero() {
		t.Errorf("id %q, received at %v", got.ID, got.ReceivedAt)
	}
	want := telltale.CaughtRequest{
		ID: got.ID, ReceivedAt: got.ReceivedAt, BinID: bin.ID, RemoteAddr: "192.0.2.7:1234",
		Method: "PURGE", Path: "/in/" + string(bin.ID) + "/orders?a=1&b=%2F",
		Headers: []telltale.Header{
			{Name: "Host", Value: "bins.example"}, {Name: "Content-Type", Value: "text/plain"},
			{Name: "X-Many", Value: "one"}, {Name: "X-Many", Value: "two"},
		},
		Body: []byte("hello"), Verdict: "unsigned",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("caught (-want +got):\n%s", diff)
	}
}

func TestCredentialsAreNotKept(t *testing.T) {
	t.Parallel()
	bin := telltale.NewBin("prj_a")
	m := newMemory(bin)
	pointing := telltale.NewWebhook("prj_a", "https://telltale.example/in/"+string(bin.ID), telltale.AllEventTypes)
	pointing.Headers = []telltale.CustomHeader{{Name: "X-Number", Value: "4711", Secret: true}, {Name: "X-Team", Value: "crm"}}
	m.webhooks = []*telltale.Webhook{&pointing}

	r := httptest.NewRequest("POST", "/in/"+string(bin.ID), nil)
	secret := []string{"Authorization", "Proxy-Authorization", "Cookie", "X-Api-Key", "X-Auth", "X-Access-Token", "X-Client-Secret", "X-Number"}
	for _, name := range secret {
		r.Header.Set(name, "s3cr3t")
	}
	r.Header.Set("X-Team", "crm")
	serve(m, r)

	kept := map[string]string{}
	for _, h := range m.caught[0].Headers {
		kept[h.Name] = h.Value
	}
	for _, name := range secret {
		if kept[name] != telltale.Redacted {
			t.Errorf("%s is kept as %q", name, kept[name])
		}
	}
	if kept["X-Team"] != "crm" {
		t.Errorf("X-Team is kept as %q", kept["X-Team"])
	}
}

func TestWhatIsKeptIsBounded(t *testing.T) {
	t.Parallel()
	bin := telltale.NewBin("prj_a")
	for _, row := range []struct {
		name      string
		body      int
		truncated bool
	}{
		{"a body of the limit is whole", telltale.MaxCaughtBody, false},
		{"one byte more is cut off", telltale.MaxCaughtBody + 1, true},
		{"so is ten times as much", 10 * telltale.MaxCaughtBody, true},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			m := newMemory(bin)
			w := serve(m, httptest.NewRequest("POST", "/in/"+string(bin.ID), bytes.NewReader(make([]byte, row.body))))
			got := m.caught[0]
			if w.Code != 200 || got.Truncated != row.truncated || len(got.Body) != min(row.body, telltale.MaxCaughtBody) {
				t.Errorf("answered %d, kept %d bytes, truncated %v", w.Code, len(got.Body), got.Truncated)
			}
		})
	}
	t.Run("so are head and path", func(t *testing.T) {
		t.Parallel()
		m := newMemory(bin)
		r := httptest.NewRequest("POST", "/in/"+string(bin.ID)+"?"+strings.Repeat("a", 2*maxPath), nil)
		for i := range 2 * maxHeaders {
			r.Header.Set(fmt.Sprintf("X-%03d", i), strings.Repeat("v", 100))
		}
		serve(m, r)
		bytes := 0
		for _, h := range m.caught[0].Headers {
			bytes += len(h.Name) + len(h.Value)
		}
		if n := len(m.caught[0].Headers); n > maxHeaders || bytes > maxHeadBytes || len(m.caught[0].Path) != maxPath {
			t.Errorf("kept %d headers of %d bytes and a path of %d", n, bytes, len(m.caught[0].Path))
		}
	})
}

func TestWhatIsNoBinIsNotFound(t *testing.T) {
	t.Parallel()
	gone := string(telltale.NewBin("prj_a").ID)
	var first string
	for _, path := range []string{
		"/in/" + gone, "/in/" + gone + "/x", "/in/", "/in/x", "/in/" + strings.ToUpper(gone), "/in/" + gone[:23], "/in/" + gone + "a",
		"/in/%00", "/in/..%2f..%2fetc", "/in/" + gone[:22] + "%0d%0a",
	} {
		w := serve(newMemory(), httptest.NewRequest("POST", path, strings.NewReader("x")))
		var problem struct{ Status, Detail, Type any }
		if err := json.Unmarshal(w.Body.Bytes(), &problem); err != nil {
			t.Fatal(err)
		}
		told := fmt.Sprint(problem)
		if first == "" {
			first = told
		}
		if w.Code != http.StatusNotFound || told != first {
			t.Errorf("%s: answered %d %s, and another one %s", path, w.Code, told, first)
		}
	}
}

func TestWhatTheStoreCannotKeepIsAnswered503(t *testing.T) {
	t.Parallel()
	bin := telltale.NewBin("prj_a")
	m := newMemory(bin)
	m.err = telltale.Errorf(telltale.Unavailable, "The disk is full.")
	w := serve(m, httptest.NewRequest("POST", "/in/"+string(bin.ID), nil))
	if w.Code != http.StatusServiceUnavailable || w.Header().Get("Retry-After") == "" {
		t.Errorf("answered %d, Retry-After %q", w.Code, w.Header().Get("Retry-After"))
	}
}

// broken is a body whose sender goes away.
type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, errors.New("connection reset") }

func TestABodyThatBreaksOffIsNotCaught(t *testing.T) {
	t.Parallel()
	bin := telltale.NewBin("prj_a")
	m := newMemory(bin)
	w := serve(m, httptest.NewRequest("POST", "/in/"+string(bin.ID), io.MultiReader(strings.NewReader("half"), broken{})))
	if w.Code != http.StatusBadRequest || len(m.caught) != 0 {
		t.Errorf("answered %d and caught %d", w.Code, len(m.caught))
	}
}

func TestAFloodIsRefusedAndNotSuffered(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		bin := telltale.NewBin("prj_a")
		m := newMemory(bin)
		m.hold = make(chan struct{})
		h := New(m)
		send := func() int {
			w := httptest.NewRecorder()
			h.ServeHTTP(w, httptest.NewRequest("POST", "/in/"+string(bin.ID), nil))
			return w.Code
		}
		codes := make([]int, slots)
		var sending sync.WaitGroup
		for i := range codes {
			sending.Go(func() { codes[i] = send() })
		}
		synctest.Wait() // all of them ask the store, which does not answer
		if code := send(); code != http.StatusServiceUnavailable {
			t.Errorf("one too many was answered %d", code)
		}
		m.mu.Lock()
		close(m.hold)
		m.mu.Unlock()
		sending.Wait()
		for i, code := range codes {
			// They all go on at once, and the second half of the work has as
			// many slots as the first.
			if code != http.StatusOK {
				t.Errorf("request %d was answered %d", i, code)
			}
		}
		if code := send(); code != http.StatusOK {
			t.Errorf("after the flood, one was answered %d", code)
		}
	})
}

func TestTheWebhooksOfABinAreFoundOnEveryPage(t *testing.T) {
	t.Parallel()
	bin := telltale.NewBin("prj_a")
	m := newMemory(bin)
	for i := range telltale.MaxPage + 10 {
		w := telltale.NewWebhook("prj_a", fmt.Sprintf("https://%d.example.com/", i), telltale.AllEventTypes)
		m.webhooks = append(m.webhooks, &w)
	}
	foreign := telltale.NewWebhook("prj_b", "https://telltale.example/in/"+string(bin.ID), telltale.AllEventTypes)
	last := telltale.NewWebhook("prj_a", "https://telltale.example/in/"+string(bin.ID), telltale.AllEventTypes)
	m.webhooks = append(m.webhooks, &foreign, &last)
	got, err := (&inspector{store: m}).pointingTo(t.Context(), bin)
	if err != nil || len(got) != 1 || got[0].ID != last.ID || m.pages != 2 {
		t.Errorf("found %d webhooks on %d pages, %v", len(got), m.pages, err)
	}
}

func TestLeadsTo(t *testing.T) {
	t.Parallel()
	const bin = "kq3jv5m2x7a4d6cbnw2ytrhe"
	for _, row := range []struct {
		name, url string
		want      bool
	}{
		{"the bin's own address", "http://127.0.0.1:8484/in/" + bin, true},
		{"below it", "https://telltale.example/in/" + bin + "/orders", true},
		{"with a query", "https://telltale.example/in/" + bin + "?a=1", true},
		{"behind a proxy's path", "https://example.com/telltale/in/" + bin, true},
		{"another bin", "https://telltale.example/in/kq3jv5m2x7a4d6cbnw2ytrhf", false},
		{"a longer id", "https://telltale.example/in/" + bin + "x", false},
		{"the bin in the query alone", "https://example.com/?to=/in/" + bin, false},
		{"another path", "https://example.com/" + bin, false},
	} {
		if got := leadsTo(row.url, bin); got != row.want {
			t.Errorf("%s: %s: %v", row.name, row.url, got)
		}
	}
}

func FuzzCatch(f *testing.F) {
	bin := telltale.NewBin("prj_a")
	bin.ID = "kq3jv5m2x7a4d6cbnw2ytrhe"
	f.Add("/in/kq3jv5m2x7a4d6cbnw2ytrhe", "X-Team", "crm", []byte("{}"))
	f.Add("/in/kq3jv5m2x7a4d6cbnw2ytrhe/x?y=%zz", "webhook-id", "evt_1", []byte{0xff})
	f.Add("/in/..", "Webhook-Signature", "v1,AAAA", []byte(nil))
	hook := telltale.NewWebhook("prj_a", "https://telltale.example/in/kq3jv5m2x7a4d6cbnw2ytrhe", telltale.AllEventTypes)
	f.Fuzz(func(t *testing.T, path, name, value string, body []byte) {
		m := newMemory(bin)
		m.webhooks = []*telltale.Webhook{&hook}
		r := httptest.NewRequest("POST", "/in/x", bytes.NewReader(body))
		r.URL.Path = path
		r.Header.Set(name, value)
		w := serve(m, r)
		if caught := len(m.caught) == 1; caught != (w.Code == http.StatusOK) || w.Code >= 500 {
			t.Errorf("answered %d, caught %v", w.Code, caught)
		}
	})
}
