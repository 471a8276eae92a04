package main

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
)

// TestAnAnswerThatDoesNotComeIsNotTheEndOfTheInput: a connection that is cut
// gives io.EOF, too.
func TestAnAnswerThatDoesNotComeIsNotTheEndOfTheInput(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name            string
		events, answers int
		status          int
		want            string
	}{
		{"at the first request", 1, 0, exitTemporary, "whether the events 1 to 1 were accepted is not known"},
		{"at the second request", 1500, 1, exitPartly, "whether the events 1001 to 1500 were accepted is not known; those with a telltale.id can be sent again\ntelltale: 1000 events accepted before that; go on with event 1001\n"},
		{"at the second of three", 2500, 1, exitPartly, "whether the events 1001 to 2000 were accepted is not known"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var asked atomic.Int32
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				if int(asked.Add(1)) > tt.answers {
					panic(http.ErrAbortHandler)
				}
				w.WriteHeader(http.StatusAccepted)
				fmt.Fprint(w, `{"accepted":1000,"duplicates":0,"events":[]}`)
			}))
			defer server.Close()
			input := strings.Repeat(`{"type":"resubscribed","user":{"id":1}}`+"\n", tt.events)
			got := tryWith(t, nil, input, "events", "send", "-", "--server", server.URL, "--token", "tt_x")
			if got.status != tt.status || !strings.Contains(got.err, tt.want) || got.out != "" {
				t.Errorf("status %d, %s%s", got.status, got.out, got.err)
			}
			if n := int(asked.Load()); n != tt.answers+1 {
				t.Errorf("%d requests, want %d", n, tt.answers+1)
			}
		})
	}
}

func TestFaultsAreFoundInTheWholeInput(t *testing.T) {
	t.Parallel()
	good := strings.Repeat(`{"type":"resubscribed","user":{"id":1}}`+"\n", 1000)
	got := tryWith(t, nil, good+`{"type":"resubscribed"}`, "events", "send", "-", "--dry-run", "--token", "tt_x")
	if got.status != exitUsage || !strings.Contains(got.err, "event 1001, user: ") {
		t.Errorf("status %d, %s", got.status, got.err)
	}
}
