package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"telltale.example/telltale/internal/wire"
)

// serve answers with h and gives a client of it.
func serve(t *testing.T, o Options, h http.HandlerFunc) *Client {
	t.Helper()
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	o.Server = server.URL
	c := New(o)
	t.Cleanup(c.http.CloseIdleConnections)
	return c
}

func TestACallCarriesKeyProjectAndBody(t *testing.T) {
	t.Parallel()
	c := serve(t, Options{Token: "tt_key", Project: "news", UserAgent: "telltale/1 (test)"}, func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		got := []string{r.Method, r.RequestURI, r.Header.Get("Authorization"), r.Header.Get("Content-Type"), r.Header.Get("User-Agent"), string(body)}
		want := []string{"POST", "/v1/webhooks?project=news", "Bearer tt_key", "application/json", "telltale/1 (test)", `{"url":"https://a.example/?x=1&y=<2>","events":["*"]}`}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
		w.WriteHeader(http.StatusCreated)
		fmt.Fprint(w, `{"id":"whk_1","secret":"whsec_x","a_later_field":1}`)
	})
	w, err := c.CreateWebhook(t.Context(), wire.WebhookCreate{URL: "https://a.example/?x=1&y=<2>", Events: []string{"*"}})
	if err != nil || w.ID != "whk_1" || w.Secret != "whsec_x" {
		t.Errorf("%+v, %v", w, err)
	}
}

func TestEventsGoByteForByte(t *testing.T) {
	t.Parallel()
	c := serve(t, Options{}, func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		if want := `[{"a": 1.50},{"b":"\u00e9"}]`; string(body) != want {
			t.Errorf("got %s, want %s", body, want)
		}
		fmt.Fprint(w, `{"accepted":2,"events":[{"id":"evt_1"},{"id":"evt_2","duplicate":true}]}`)
	})
	got, err := c.SendEvents(t.Context(), [][]byte{[]byte(`{"a": 1.50}`), []byte(`{"b":"\u00e9"}`)})
	if err != nil || len(got.Events) != 2 || !got.Events[1].Duplicate {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestIDsStayWithinThePath(t *testing.T) {
	t.Parallel()
	c := serve(t, Options{}, func(w http.ResponseWriter, r *http.Request) {
		if want := "/v1/webhooks/a%2Fb%3Fc"; r.RequestURI != want {
			t.Errorf("got %s, want %s", r.RequestURI, want)
		}
		fmt.Fprint(w, `{}`)
	})
	if _, err := c.Webhook(t.Context(), "a/b?c"); err != nil {
		t.Error(err)
	}
}

func TestAnswersThatAreErrors(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name    string
		status  int
		headers map[string]string
		body    string
		want    Error
		text    string
	}{
		{"problem details", 422, map[string]string{"Content-Type": "application/problem+json"},
			`{"type":"/docs/errors#invalid","title":"The request is invalid","status":422,"detail":"Invalid webhook.","request_id":"req_1","errors":[{"location":"body.url","message":"No.","expected":"https","value":"ftp"}]}`,
			Error{Status: 422, Type: "/docs/errors#invalid", Title: "The request is invalid", Detail: "Invalid webhook.", RequestID: "req_1",
				Faults: []wire.Fault{{Location: "body.url", Message: "No.", Expected: "https", Value: "ftp"}}},
			"Invalid webhook."},
		{"a time to come back", 503, map[string]string{"Content-Type": "application/problem+json; charset=utf-8", "Retry-After": "7"},
			`{"title":"Temporarily unavailable"}`, Error{Status: 503, Title: "Temporarily unavailable", RetryAfter: 7 * time.Second}, "the server answered 503 Temporarily unavailable"},
		{"what a proxy writes", 502, map[string]string{"Content-Type": "text/html"}, "<h1>Bad</h1>", Error{Status: 502, Title: "Bad Gateway"}, "the server answered 502 Bad Gateway"},
		{"JSON that is none", 500, map[string]string{"Content-Type": "application/json"}, "{", Error{Status: 500, Title: "Internal Server Error"}, "the server answered 500 Internal Server Error"},
		{"a problem that is too large", 500, map[string]string{"Content-Type": "application/problem+json"}, strings.Repeat(" ", maxProblem) + "{}", Error{Status: 500, Title: "Internal Server Error"}, "the server answered 500 Internal Server Error"},
		{"a Retry-After of rubbish", 429, map[string]string{"Retry-After": "-1"}, "", Error{Status: 429, Title: "Too Many Requests"}, "the server answered 429 Too Many Requests"},
		{"a Retry-After of a year", 429, map[string]string{"Retry-After": "31536000"}, "", Error{Status: 429, Title: "Too Many Requests", RetryAfter: 24 * time.Hour}, "the server answered 429 Too Many Requests"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c := serve(t, Options{}, func(w http.ResponseWriter, _ *http.Request) {
				for name, value := range tt.headers {
					w.Header().Set(name, value)
				}
				w.WriteHeader(tt.status)
				fmt.Fprint(w, tt.body)
			})
			_, err := c.Webhook(t.Context(), "x")
			var got *Error
			if !errors.As(err, &got) {
				t.Fatalf("got %v", err)
			}
			if diff := cmp.Diff(&tt.want, got); diff != "" {
				t.Error(diff)
			}
			if got.Error() != tt.text {
				t.Errorf("it reads %q, want %q", got, tt.text)
			}
		})
	}
}

func TestTheKeyDoesNotFollowARedirect(t *testing.T) {
	t.Parallel()
	elsewhere := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		t.Errorf("%s %s came, with the key %q", r.Method, r.URL, r.Header.Get("Authorization"))
	}))
	defer elsewhere.Close()
	for _, status := range []int{301, 302, 303, 307, 308} {
		c := serve(t, Options{Token: "tt_key"}, func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, elsewhere.URL, status)
		})
		_, err := c.Webhook(t.Context(), "x")
		if !errors.Is(err, ErrUnreachable) || !strings.Contains(err.Error(), elsewhere.URL) {
			t.Errorf("%d: %v", status, err)
		}
	}
}

func TestWhatIsNoServerIsOutOfReach(t *testing.T) {
	t.Parallel()
	gone := httptest.NewServer(http.NotFoundHandler())
	gone.Close()
	if _, err := New(Options{Server: gone.URL}).Webhook(t.Context(), "x"); !errors.Is(err, ErrUnreachable) || !strings.Contains(err.Error(), "connection refused") {
		t.Errorf("a closed port: %v", err)
	}
	for name, answer := range map[string]http.HandlerFunc{
		"another server": func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "<html>") },
		"half an answer": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "100")
			fmt.Fprint(w, "{")
		},
		"an aborted response": func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
	} {
		if _, err := serve(t, Options{}, answer).Webhook(t.Context(), "x"); !errors.Is(err, ErrUnreachable) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestASlowServerIsNotWaitedFor(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := New(Options{Server: "http://server.example", Timeout: 3 * time.Second})
		c.http.Transport = roundTripper(func(r *http.Request) (*http.Response, error) {
			<-r.Context().Done()
			return nil, r.Context().Err()
		})
		began := time.Now()
		_, err := c.Webhook(t.Context(), "x")
		if want := "the server cannot be reached: http://server.example did not answer within 3s"; !errors.Is(err, ErrUnreachable) || err.Error() != want {
			t.Errorf("got %v, want %s", err, want)
		}
		if took := time.Since(began); took != 3*time.Second {
			t.Errorf("it took %s", took)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		c := New(Options{Server: "http://server.example"})
		c.http.Transport = roundTripper(func(r *http.Request) (*http.Response, error) {
			cancel()
			<-r.Context().Done()
			return nil, r.Context().Err()
		})
		if _, err := c.Webhook(ctx, "x"); !errors.Is(err, context.Canceled) || errors.Is(err, ErrUnreachable) {
			t.Errorf("interrupted: %v", err)
		}
	})
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func TestReadingIsBounded(t *testing.T) {
	t.Parallel()
	if _, err := readBounded(strings.NewReader("12345"), 4); err == nil {
		t.Error("five bytes where four are allowed")
	}
	if b, err := readBounded(strings.NewReader("1234"), 4); err != nil || string(b) != "1234" {
		t.Errorf("%q, %v", b, err)
	}
}

func TestListsAreReadPageByPage(t *testing.T) {
	t.Parallel()
	const rows = 1203
	var asked []string
	c := serve(t, Options{}, func(w http.ResponseWriter, r *http.Request) {
		asked = append(asked, r.URL.RawQuery)
		var from, size int
		fmt.Sscan(r.URL.Query().Get("after"), &from)
		fmt.Sscan(r.URL.Query().Get("limit"), &size)
		var ids []string
		for i := from; i < min(from+size, rows); i++ {
			ids = append(ids, fmt.Sprintf(`{"id":"%d"}`, i))
		}
		next := "null"
		if from+size < rows {
			next = fmt.Sprintf(`"%d"`, from+size)
		}
		fmt.Fprintf(w, `{"data":[%s],"next":%s,"prev":null}`, strings.Join(ids, ","), next)
	})
	for _, tt := range []struct {
		name string
		page Page
		rows int
		next string
		want []string
	}{
		{"all of it", Page{}, rows, "", []string{"limit=500&state=failed", "after=500&limit=500&state=failed", "after=1000&limit=500&state=failed"}},
		{"a few", Page{Limit: 3}, 3, "3", []string{"limit=3&state=failed"}},
		{"more than a page", Page{Limit: 700}, 700, "700", []string{"limit=500&state=failed", "after=500&limit=200&state=failed"}},
		{"from a cursor to the end", Page{Limit: 700, After: "1000"}, 203, "", []string{"after=1000&limit=500&state=failed"}},
	} {
		asked = nil
		seen := 0
		next, err := c.Deliveries(t.Context(), url.Values{"state": {"failed"}}, tt.page, func(d wire.Delivery) error {
			seen++
			return nil
		})
		if err != nil || seen != tt.rows || next != tt.next {
			t.Errorf("%s: %d rows, next %q, %v; want %d, %q", tt.name, seen, next, err, tt.rows, tt.next)
		}
		if diff := cmp.Diff(tt.want, asked); diff != "" {
			t.Errorf("%s: %s", tt.name, diff)
		}
	}
	broken := errors.New("broken")
	if _, err := c.Deliveries(t.Context(), nil, Page{}, func(wire.Delivery) error { return broken }); !errors.Is(err, broken) {
		t.Errorf("the reader's error does not come back: %v", err)
	}
}

func TestADryRunSendsNothingThatChangesSomething(t *testing.T) {
	t.Parallel()
	var shown []string
	c := serve(t, Options{Project: "p", DryRun: func(method, path string, body []byte) {
		shown = append(shown, method+" "+path+" "+string(body))
	}}, func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet {
			t.Errorf("%s %s was sent", r.Method, r.URL)
		}
		fmt.Fprint(w, `{"id":"whk_1"}`)
	})
	_, created := c.CreateBin(t.Context())
	_, rotated := c.RotateSecret(t.Context(), "whk_1", wire.SecretRotation{Overlap: wire.To(wire.Duration(0))})
	deleted := c.DeleteWebhook(t.Context(), "whk_1")
	for _, err := range []error{created, rotated, deleted} {
		if !errors.Is(err, ErrDryRun) {
			t.Errorf("got %v", err)
		}
	}
	if w, err := c.Webhook(t.Context(), "whk_1"); err != nil || w.ID != "whk_1" {
		t.Errorf("reading: %+v, %v", w, err)
	}
	want := []string{"POST /v1/inspect?project=p ", `POST /v1/webhooks/whk_1/secret/rotate?project=p {"overlap":"0s"}`, "DELETE /v1/webhooks/whk_1?project=p "}
	if diff := cmp.Diff(want, shown); diff != "" {
		t.Error(diff)
	}
}

func TestTraceNeverShowsTheKey(t *testing.T) {
	t.Parallel()
	var traced []string
	c := serve(t, Options{Token: "tt_key", Trace: func(method, url, outcome string, _ time.Duration) {
		traced = append(traced, method+" "+url+" "+outcome)
	}}, func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `{}`) })
	if _, err := c.Project(t.Context(), "default"); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"GET " + c.options.Server + "/v1/projects/default 200 OK"}, traced); diff != "" {
		t.Error(diff)
	}
}
