package httpserver

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"testing/iotest"

	"telltale.example/telltale"
)

func TestReadBody(t *testing.T) {
	t.Parallel()
	const limit = 100_000
	tests := []struct {
		name     string
		body     io.Reader
		declared int64 // -1 is chunked
		coding   []string
		want     int // bytes
		code     telltale.Code
		says     string
	}{
		{name: "a usual body is read whole", body: strings.NewReader(strings.Repeat("x", 700)), declared: 700, want: 700},
		{name: "a large body grows to its length", body: strings.NewReader(strings.Repeat("x", 70_000)), declared: 70_000, want: 70_000},
		{name: "chunks are put together", body: iotest.HalfReader(strings.NewReader(strings.Repeat("x", 70_000))), declared: -1, want: 70_000},
		{name: "one byte at a time is a body too", body: iotest.OneByteReader(strings.NewReader(strings.Repeat("x", 5000))), declared: -1, want: 5000},
		{name: "data that comes with the end counts", body: iotest.DataErrReader(strings.NewReader("abc")), declared: -1, want: 3},
		{name: "the limit itself is allowed", body: strings.NewReader(strings.Repeat("x", limit)), declared: limit, want: limit},
		{name: "the limit itself is allowed in chunks", body: strings.NewReader(strings.Repeat("x", limit)), declared: -1, want: limit},
		{name: "a byte more is too large", body: strings.NewReader(strings.Repeat("x", limit+1)), declared: -1, code: telltale.TooLarge, says: "100000 bytes"},
		{name: "a declared length past the limit is refused unread", body: iotest.ErrReader(errors.New("it was read")), declared: limit + 1, code: telltale.TooLarge},
		{name: "an empty body is empty", body: strings.NewReader(""), declared: -1},
		{name: "the identity coding is none", body: strings.NewReader("abc"), declared: 3, coding: []string{"Identity"}, want: 3},
		{name: "gzip is refused with what to do instead", body: strings.NewReader("abc"), declared: 3, coding: []string{"gzip"}, code: telltale.UnsupportedMedia, says: "uncompressed"},
		{name: "any of several codings is refused", body: strings.NewReader("abc"), declared: 3, coding: []string{"identity", "br"}, code: telltale.UnsupportedMedia, says: `"br"`},
		{name: "a body that breaks off is malformed", body: io.MultiReader(strings.NewReader("ab"), iotest.ErrReader(io.ErrUnexpectedEOF)), declared: 10, code: telltale.Malformed, says: "breaks off"},
		{name: "a body that is too slow is a timeout", body: iotest.ErrReader(os.ErrDeadlineExceeded), declared: 10, code: requestTimeout, says: "within 1m0s"},
		{name: "another reader's limit keeps its own error", body: iotest.ErrReader(&http.MaxBytesError{Limit: 5}), declared: 10, code: telltale.Internal, says: "too large"},
		{name: "overload is said as it is", body: iotest.ErrReader(errOverload), declared: 10, code: telltale.Unavailable},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			r := httptest.NewRequest("POST", "/", test.body)
			r.ContentLength = test.declared
			r.Header["Content-Encoding"] = test.coding
			body, err := ReadBody(r, limit)
			if code := telltale.CodeOf(err); code != test.code || err != nil && !strings.Contains(err.Error(), test.says) {
				t.Fatalf("got the error %v (%s), want the code %q and the words %q", err, code, test.code, test.says)
			}
			if err != nil {
				return
			}
			if len(body) != test.want || bytes.Count(body, []byte("x")) != len(body) && string(body) != "abc" {
				t.Errorf("got %d bytes, want %d", len(body), test.want)
			}
		})
	}
}

func TestADeclaredLengthReservesNothing(t *testing.T) {
	t.Parallel()
	r := httptest.NewRequest("POST", "/", strings.NewReader("abc"))
	r.ContentLength = 5 << 20
	body, err := ReadBody(r, 5<<20)
	if err != nil {
		t.Fatal(err)
	}
	if cap(body) > firstRead {
		t.Errorf("3 bytes took a buffer of %d", cap(body))
	}
}

func TestNoBodyIsEmpty(t *testing.T) {
	t.Parallel()
	r := httptest.NewRequest("POST", "/", nil)
	r.Body = nil
	if body, err := ReadBody(r, 10); err != nil || len(body) != 0 {
		t.Errorf("got %q, %v", body, err)
	}
}

// Bodies are held until their handlers return, so it is then that their memory
// is free again.
func TestBodiesInMemoryAreBounded(t *testing.T) {
	t.Parallel()
	read, finish := make(chan error), make(chan struct{})
	h := Wrap(Handle(func(w http.ResponseWriter, r *http.Request) error {
		_, err := ReadBody(r, 1<<20)
		if r.URL.Path == "/hold" {
			read <- err
			<-finish
		}
		return err
	}), Config{BodyMemory: 1000})
	post := func(path string, size int) *httptest.ResponseRecorder {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest("POST", path, strings.NewReader(strings.Repeat("x", size))))
		return w
	}

	held := make(chan *httptest.ResponseRecorder)
	go func() { held <- post("/hold", 1000) }()
	if err := <-read; err != nil {
		t.Fatalf("the first body: %v", err)
	}
	if w := post("/", 1); w.Code != http.StatusServiceUnavailable || w.Header().Get("Retry-After") != "1" {
		t.Errorf("with all memory taken: status %d, Retry-After %q, want 503 and 1", w.Code, w.Header().Get("Retry-After"))
	}
	if w := post("/", 0); w.Code != http.StatusOK {
		t.Errorf("a request without a body: status %d, want 200", w.Code)
	}
	close(finish)
	if w := <-held; w.Code != http.StatusOK {
		t.Errorf("the request that held the memory: status %d", w.Code)
	}
	if w := post("/", 1000); w.Code != http.StatusOK {
		t.Errorf("with all memory free again: status %d, want 200: %s", w.Code, w.Body)
	}
	if w := post("/", 1001); w.Code != http.StatusServiceUnavailable {
		t.Errorf("a body larger than all memory: status %d, want 503", w.Code)
	}
	if w := post("/", 1000); w.Code != http.StatusOK {
		t.Errorf("after a body that was refused midway: status %d, want 200", w.Code)
	}
}

func BenchmarkReadBody(b *testing.B) {
	payload := bytes.Repeat([]byte("x"), 700)
	r := httptest.NewRequest("POST", "/", nil)
	reader := bytes.NewReader(payload)
	r.Body, r.ContentLength = io.NopCloser(reader), int64(len(payload))
	b.ReportAllocs()
	for b.Loop() {
		reader.Reset(payload)
		if _, err := ReadBody(r, 5<<20); err != nil {
			b.Fatal(err)
		}
	}
}

func TestStreamBody(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name     string
		body     io.Reader
		declared int64
		coding   string
		want     int
		code     telltale.Code
	}{
		{"a body is passed on", strings.NewReader(strings.Repeat("x", 5000)), 5000, "", 5000, ""},
		{"as many bytes as may be", strings.NewReader(strings.Repeat("x", 10_000)), -1, "", 10_000, ""},
		{"one more", strings.NewReader(strings.Repeat("x", 10_001)), -1, "", 0, telltale.TooLarge},
		{"one more, as it says", strings.NewReader(""), 10_001, "", 0, telltale.TooLarge},
		{"compressed", strings.NewReader("x"), 1, "gzip", 0, telltale.UnsupportedMedia},
		{"broken off", iotest.ErrReader(io.ErrUnexpectedEOF), 100, "", 0, telltale.Malformed},
		{"too slow", iotest.ErrReader(os.ErrDeadlineExceeded), 100, "", 0, requestTimeout},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			r := httptest.NewRequest("POST", "/", test.body)
			r.ContentLength = test.declared
			if test.coding != "" {
				r.Header.Set("Content-Encoding", test.coding)
			}
			body, err := StreamBody(httptest.NewRecorder(), r, 10_000)
			n := int64(0)
			if err == nil {
				n, err = io.Copy(io.Discard, body)
			}
			if telltale.CodeOf(err) != test.code || err == nil && n != int64(test.want) {
				t.Errorf("%d bytes, %v", n, err)
			}
		})
	}
}

func TestWhatIsPassedOnIsNotHeld(t *testing.T) {
	t.Parallel()
	h := Wrap(Handle(func(w http.ResponseWriter, r *http.Request) error {
		body, err := StreamBody(w, r, 1<<20)
		if err != nil {
			return err
		}
		_, err = io.Copy(io.Discard, body)
		return err
	}), Config{BodyMemory: 1000})
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest("POST", "/", strings.NewReader(strings.Repeat("x", 100_000))))
	if w.Code != http.StatusOK {
		t.Errorf("answered %d %s", w.Code, w.Body)
	}
}
