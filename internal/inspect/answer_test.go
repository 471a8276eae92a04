package inspect

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"telltale.example/telltale"
	"telltale.example/telltale/internal/httpserver"
)

func answering(a telltale.BinAnswer) (*memory, string) {
	bin := telltale.NewBin("prj_a")
	bin.Answer = a
	return newMemory(bin), "/in/" + string(bin.ID)
}

func TestABinAnswersAsItIsTold(t *testing.T) {
	t.Parallel()
	const text, object = "text/plain; charset=utf-8", "application/json"
	for _, row := range []struct {
		name       string
		answer     telltale.BinAnswer
		status     int
		kind, body string
		retryAfter string
	}{
		{"nothing said", telltale.BinAnswer{}, 200, object, "{\"ok\":true}\n", ""},
		{"another success", telltale.BinAnswer{Status: 202}, 202, object, "{\"ok\":true}\n", ""},
		{"a failure", telltale.BinAnswer{Status: 500}, 500, object, "{\"ok\":false}\n", ""},
		{"gone for good", telltale.BinAnswer{Status: 410}, 410, object, "{\"ok\":false}\n", ""},
		{"too many requests, and when to come back", telltale.BinAnswer{Status: 429, RetryAfter: "120"}, 429, object, "{\"ok\":false}\n", "120"},
		{"text of one's own", telltale.BinAnswer{Status: 400, Body: "<script>no</script>"}, 400, text, "<script>no</script>", ""},
		{"JSON of one's own", telltale.BinAnswer{Body: `{"a":1}`}, 200, object, `{"a":1}`, ""},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			m, path := answering(row.answer)
			w := serve(m, httptest.NewRequest("POST", path, nil))
			if w.Code != row.status || w.Header().Get("Content-Type") != row.kind || w.Body.String() != row.body || w.Header().Get("Retry-After") != row.retryAfter {
				t.Errorf("answered %d %v %q", w.Code, w.Header(), w.Body)
			}
			if len(m.caught) != 1 {
				t.Errorf("caught %d requests", len(m.caught))
			}
		})
	}
}

func TestAnAnswerCanBeThatTheConnectionIsCut(t *testing.T) {
	t.Parallel()
	m, path := answering(telltale.BinAnswer{Status: 200, Reset: true})
	server := httptest.NewServer(httpserver.Wrap(New(m), httpserver.Config{}))
	defer server.Close()
	response, err := server.Client().Post(server.URL+path, "text/plain", nil)
	if err == nil {
		response.Body.Close()
		t.Errorf("answered %s", response.Status)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if !errors.Is(err, io.EOF) || len(m.caught) != 1 {
		t.Errorf("%v, caught %d", err, len(m.caught))
	}
}

func TestAnAnswerCanBeLate(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name        string
		delay, want time.Duration
		gone        time.Duration // when the sender goes
	}{
		{"as late as it is told", 10 * time.Second, 10 * time.Second, time.Hour},
		{"but no later than the bound", time.Hour, telltale.MaxBinDelay, time.Hour},
		{"or than the sender waits", 10 * time.Second, 3 * time.Second, 3 * time.Second},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				m, path := answering(telltale.BinAnswer{Status: 204, Delay: row.delay})
				ctx, cancel := context.WithTimeout(t.Context(), row.gone)
				defer cancel()
				started := time.Now()
				go func() {
					synctest.Wait()
					if m.mu.Lock(); len(m.caught) != 1 {
						t.Error("the request is not caught before it is answered")
					}
					m.mu.Unlock()
				}()
				w := serve(m, httptest.NewRequestWithContext(ctx, "POST", path, nil))
				if took := time.Since(started); w.Code != 204 || took != row.want {
					t.Errorf("answered %d after %v", w.Code, took)
				}
			})
		})
	}
}

func TestLateAnswersAreBoundedAndHoldUpNobody(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m, late := answering(telltale.BinAnswer{Delay: 20 * time.Second})
		prompt := telltale.NewBin("prj_a")
		m.bins[prompt.ID] = prompt
		h := New(m)
		send := func(path string) int {
			w := httptest.NewRecorder()
			h.ServeHTTP(w, httptest.NewRequest("POST", path, nil))
			return w.Code
		}
		var sending sync.WaitGroup
		for range delays {
			synctest.Wait() // the store is asked by a few at a time
			sending.Go(func() {
				if code := send(late); code != http.StatusOK {
					t.Errorf("a late answer is %d", code)
				}
			})
		}
		synctest.Wait()
		if code := send(late); code != http.StatusServiceUnavailable {
			t.Errorf("one too many was answered %d", code)
		}
		if code := send("/in/" + string(prompt.ID)); code != http.StatusOK {
			t.Errorf("a bin that answers at once answered %d", code)
		}
		sending.Wait()
	})
}

func TestALateAnswerDoesNotHoldUpAStop(t *testing.T) {
	t.Parallel()
	m, path := answering(telltale.BinAnswer{Status: 503, Delay: telltale.MaxBinDelay})
	server := httpserver.New(httpserver.Wrap(New(m), httpserver.Config{}), slog.New(slog.DiscardHandler))
	listener := httptest.NewUnstartedServer(nil).Listener
	served := make(chan error)
	go func() { served <- server.Serve(listener) }()
	m.kept = make(chan struct{}, 1)
	status := make(chan int)
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	go func() {
		response, err := client.Post("http://"+listener.Addr().String()+path, "text/plain", nil)
		if err != nil {
			t.Error(err)
			status <- 0
			return
		}
		response.Body.Close()
		status <- response.StatusCode
	}()
	<-m.kept
	started := time.Now()
	go server.Shutdown(context.Background())
	if code := <-status; code != 503 || time.Since(started) > telltale.MaxBinDelay/2 {
		t.Errorf("answered %d after %v", code, time.Since(started))
	}
	if err := <-served; err != nil {
		t.Error(err)
	}
}
