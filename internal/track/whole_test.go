package track_test

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"telltale.example/telltale"
	"telltale.example/telltale/internal/app"
	"telltale.example/telltale/internal/auth"
	"telltale.example/telltale/internal/config"
	"telltale.example/telltale/internal/sqlite"
)

var update = flag.Bool("update", false, "write the golden files anew")

// request is what a client sends. KEY stands for a key of scope track.
type request struct{ method, target, contentType, body string }

const (
	asJSON = "application/json"
	asForm = "application/x-www-form-urlencoded"
)

// Whole requests, through a whole node: what is answered, what webhooks get, and
// what is kept of the users. The golden files show all of it.
func TestWholeRequests(t *testing.T) {
	t.Parallel()
	for name, requests := range map[string][]request{
		"json": {
			{"POST", "/api/v2/users/track?auth_token=KEY", asJSON, `{"id":123,"email":"steve@getvero.com","data":{"first_name":"Steve","seats":1.50,"account":9007199254740993},"channels":[{"type":"push","address":"token-1","platform":"ios"}]}`},
			{"PUT", "/api/v2/users/edit?auth_token=KEY", asJSON, `{"id":"123","changes":{"seats":2,"first_name":"Steve","_tags":{"add":["vip"]}}}`},
			{"PUT", "/api/v2/users/tags/edit?auth_token=KEY", asJSON, `{"id":123,"add":["trial"],"remove":["vip"]}`},
			{"POST", "/api/v2/users/unsubscribe?auth_token=KEY", asJSON, `{"id":123}`},
			{"POST", "/api/v2/users/unsubscribe?auth_token=KEY", asJSON, `{"id":123}`},
			{"POST", "/api/v2/users/resubscribe?auth_token=KEY", asJSON, `{"id":123}`},
			{"PUT", "/api/v2/users/reidentify?auth_token=KEY", asJSON, `{"id":123,"new_id":"steve"}`},
			{"POST", "/api/v2/users/edit?auth_token=KEY", asJSON, `{"id":"steve","changes":{"seats":3}}`},
		},
		"form": {
			{"POST", "/api/v2/users/track", asForm, "auth_token=KEY&id=123&email=steve%40getvero.com&data[first_name]=Steve&data[address][city]=Oslo&data[likes][]=tea&data[likes][]=rye&channels[0][type]=push&channels[0][address]=token-1&phone_number=%2B61400"},
			{"PUT", "/api/v2/users/edit", asForm, "auth_token=KEY&id=123&changes[first_name]=Stephen&changes[_tags][add][]=vip"},
			{"PUT", "/api/v2/users/tags/edit", asForm, "auth_token=KEY&id=123&add[]=trial&remove[]=vip"},
			{"POST", "/api/v2/events/track", asForm, "auth_token=KEY&identity[id]=124&identity[email]=ann%40example.com&event_name=Item+bought&data[sku]=A1"},
		},
		"query": {
			{"POST", "/api/v2/users/track?tracking_api_key=KEY&id=123&email=steve%40getvero.com&data[first_name]=Steve", "", ""},
			{"POST", "/api/v2/events/track?tracking_api_key=KEY&identity[id]=124&event_name=Item+bought", "", ""},
			{"DELETE", "/api/v2/users/delete?tracking_api_key=KEY&id=124", "", ""},
			{"POST", "/api/v2/users/unsubscribe?tracking_api_key=KEY&email=steve%40getvero.com", "", ""},
		},
		"suffix": {
			{"POST", "/api/v2/users/track.json?auth_token=KEY", asJSON, `{"id":123,"data":{"first_name":"Steve"}}`},
			{"POST", "/api/v2/users/tags/edit.json?auth_token=KEY", asJSON, `{"id":123,"add":["unsubscribed"]}`},
			{"POST", "/api/v2/events/track.json?auth_token=KEY", asJSON, `{"identity":{"email":"ann@example.com"},"event_name":"Item bought"}`},
			{"GET", "/api/v2/heartbeat.json", "", ""},
		},
		"identities": {
			{"POST", "/api/v2/events/track?auth_token=KEY", asJSON, `{"identity":[{"id":1,"email":"one@example.com"},{"email":"two@example.com"},{"id":"three"}],"event_name":"Webinar attended","data":{"title":"é"}}`},
			{"POST", "/api/v2/events/track?auth_token=KEY", asJSON, `{"identity":[{"id":"1"},{"id":"four"},{"id":true}],"event_name":"webinar_attended","data":{"title":"\u00e9"}}`},
		},
		"json-in-form": {
			{"POST", "/api/v2/users/track", asForm, `auth_token=KEY&id=123&data={"first_name":"Steve","seats":1.50}&channels=[[{"type":"push","address":"token-1"}]]`},
			{"POST", "/api/v2/users/tags/edit", asForm, `auth_token=KEY&id=123&add=["vip","trial"]`},
			{"POST", "/api/v2/events/track", asForm, `auth_token=KEY&identity={"id":124,"email":"ann@example.com"}&event_name=Item+bought&data={"sku":1.0}&extras={"created_at":"2023-05-30T04:46:31%2B0000"}`},
			{"POST", "/api/v2/events/track", asForm, `auth_token=KEY&identity={"id":"124"}&event_name=item_bought&data={"sku":1}`},
		},
		"unknown-user-opts-out": {
			{"POST", "/api/v2/users/unsubscribe?auth_token=KEY", asJSON, `{"email":"eve@example.com"}`},
			{"POST", "/api/v2/users/track?auth_token=KEY", asJSON, `{"email":"eve@example.com","data":{"plan":"pro"}}`},
		},
		"converted": {
			{"POST", "/v1/events", asJSON, `[
				{"type":"sent","sent_at":1685400000,"user":{"id":123,"email":"steve@getvero.com"},"campaign":{"id":9,"name":"Spring"},"message_id":"m-1","telltale":{"conversion_event":"Item bought"}},
				{"type":"sent","sent_at":1685410000,"user":{"id":123,"email":"steve@getvero.com"},"campaign":{"id":10,"name":"Summer"},"message_id":"m-2","telltale":{"conversion_event":"Item bought"}}]`},
			{"POST", "/api/v2/events/track?auth_token=KEY", asJSON, `{"identity":{"id":123},"event_name":"item_bought","extras":{"created_at":"2023-05-30T04:46:31Z","vero_conv":"m-1"}}`},
			{"POST", "/api/v2/events/track?auth_token=KEY", asJSON, `{"identity":{"id":123},"event_name":"item_bought","extras":{"created_at":"2023-05-30T04:46:31Z","vero_conv":"m-1"}}`},
		},
		"refused": {
			{"POST", "/api/v2/users/track?auth_token=KEY", asJSON, `{"data":{"plan":"pro"}}`},
			{"PUT", "/api/v2/users/tags/edit?auth_token=KEY", asJSON, `{"id":1}`},
			{"POST", "/api/v2/events/track?auth_token=KEY", asJSON, `{"identity":[{"id":1},{"id":false}],"event_name":"e"}`},
			{"POST", "/api/v2/users/track", asJSON, `{"id":1}`},
			{"POST", "/api/v2/users/nothing?auth_token=KEY", asJSON, `{"id":1}`},
			{"GET", "/api/v2/users/track?auth_token=KEY&id=1", "", ""},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := newNode(t).tell(requests)
			file := filepath.Join("testdata", "whole", name+".txt")
			if *update {
				if err := os.WriteFile(file, []byte(got), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), got); diff != "" {
				t.Errorf("%s, -want +got:\n%s", file, diff)
			}
		})
	}
}

// An event comes again within the window and counts once, whatever is new about
// the time at which it happened; without a window, each counts.
func TestRepetitionsThroughAWholeNode(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		window time.Duration
		want   int
	}{{"within five minutes", telltale.RepeatWindow, 3}, {"without a window", 0, 6}} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			n := newNode(t, func(c *config.Config) { c.RepeatWindow = tt.window })
			for _, body := range []string{
				`{"identity":{"id":7},"event_name":"Item bought","data":{"sku":1,"n":2},"extras":{"created_at":"2023-05-30T04:46:31Z"}}`,
				`{"identity":{"id":"7"},"event_name":"item_bought","data":{"n":2.0,"sku":1},"extras":{"created_at":"2023-05-30T04:46:32Z"}}`,
				`{"identity":{"id":7},"event_name":"Item bought","check_id":"a"}`,
				`{"identity":{"id":7},"event_name":"Item bought","check_id":"a"}`,
				`{"identity":{"id":7},"event_name":"Item bought","check_id":"b"}`,
				`{"identity":{"id":7},"event_name":"Item bought","extras":{"check_id":"b"}}`,
			} {
				if status, answer := n.ask(request{"POST", "/api/v2/events/track?auth_token=KEY", asJSON, body}); status != 200 {
					t.Errorf("%s: %d %s", body, status, answer)
				}
			}
			n.stopped()
			p := n.profile(telltale.UserRef{ID: "7"})
			events, err := n.store.TrackedEvents(t.Context(), n.project, p.ID, telltale.Page{Limit: 100})
			if err != nil || len(events) != tt.want {
				t.Errorf("%d events are known, %v; want %d", len(events), err, tt.want)
			}
		})
	}
}

// node is a whole server with a webhook for the twelve event types, and the
// receiver behind it.
type node struct {
	testing.TB
	config config.Config
	app    *app.App
	key    string // of scope track

	mu  sync.Mutex
	got []string // bodies

	store   *sqlite.Store // once it is stopped
	project telltale.ProjectID
}

func newNode(t *testing.T, change ...func(*config.Config)) *node {
	t.Helper()
	n := newBareNode(t, change...)
	receiver := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		n.mu.Lock()
		defer n.mu.Unlock()
		n.got = append(n.got, string(body))
	}))
	t.Cleanup(receiver.Close)
	n.api("POST", "/v1/webhooks", `{"url":"`+receiver.URL+`","events":["*"]}`, nil)
	return n
}

// newBareNode starts one without a webhook.
func newBareNode(t testing.TB, change ...func(*config.Config)) *node {
	t.Helper()
	n := &node{TB: t, config: config.Defaults()}
	n.config.Listen, n.config.OpsListen, n.config.Data, n.config.AllowPrivate = "127.0.0.1:0", "127.0.0.1:0", filepath.Join(t.TempDir(), "data"), true
	for _, c := range change {
		c(&n.config)
	}
	var err error
	n.app, err = app.Start(t.Context(), n.config, "test", slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(n.stopped)
	var made struct{ Key string }
	n.api("POST", "/v1/keys", `{"name":"website","scope":"track"}`, &made)
	n.key = made.Key
	return n
}

// send makes a request, and gives status and body of the answer.
func (n *node) send(method, target, contentType, body, token string) (int, string) {
	n.Helper()
	r, err := http.NewRequestWithContext(n.Context(), method, n.app.URL()+target, strings.NewReader(body))
	if err != nil {
		n.Fatal(err)
	}
	if contentType != "" {
		r.Header.Set("Content-Type", contentType)
	}
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	response, err := new(http.Client).Do(r)
	if err != nil {
		n.Fatal(err)
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	if err != nil {
		n.Fatal(err)
	}
	return response.StatusCode, string(answer)
}

func (n *node) api(method, target, body string, into any) {
	n.Helper()
	status, answer := n.send(method, target, asJSON, body, n.app.OwnerToken())
	if status >= 300 {
		n.Fatalf("%s %s: %d %s", method, target, status, answer)
	}
	if into != nil {
		if err := json.Unmarshal([]byte(answer), into); err != nil {
			n.Fatal(err)
		}
	}
}

func (n *node) ask(r request) (int, string) {
	n.Helper()
	token := ""
	if strings.HasPrefix(r.target, "/v1/") {
		token = n.app.OwnerToken()
	}
	return n.send(r.method, strings.ReplaceAll(r.target, "KEY", n.key), r.contentType, strings.ReplaceAll(r.body, "KEY", n.key), token)
}

// stopped ends the server, and opens its store.
func (n *node) stopped() {
	n.Helper()
	if n.app == nil {
		return
	}
	ctx := context.WithoutCancel(n.Context())
	err := n.app.Stop(ctx)
	n.app = nil
	if err != nil {
		n.Error(err)
		return
	}
	ring, err := auth.LoadOrCreateKeyFile(filepath.Join(n.config.Data, app.SecretKeyFile))
	if err != nil {
		n.Fatal(err)
	}
	n.store, err = sqlite.Open(ctx, filepath.Join(n.config.Data, app.DatabaseFile), sqlite.Options{Node: telltale.NewNodeID(), Sealer: ring})
	if err != nil {
		n.Fatal(err)
	}
	n.Cleanup(func() { n.store.Close() })
	project, err := n.store.ProjectBySlug(ctx, telltale.DefaultProjectSlug)
	if err != nil {
		n.Fatal(err)
	}
	n.project = project.ID
}

func (n *node) profile(user telltale.UserRef) *telltale.Profile {
	n.Helper()
	p, err := n.store.FindProfile(n.Context(), n.project, user)
	if err != nil {
		n.Fatal(err)
	}
	return p
}

// What differs from run to run.
var (
	now = regexp.MustCompile(`("unsubscribed_at":)\d+`)
	ids = regexp.MustCompile(`(evt_)[0-9A-Z]{26}`)
)

// tell makes the requests and writes down what came of them.
func (n *node) tell(requests []request) string {
	n.Helper()
	var b strings.Builder
	for _, r := range requests {
		fmt.Fprintf(&b, "%s %s\n", r.method, r.target)
		if r.contentType != "" {
			fmt.Fprintf(&b, "Content-Type: %s\n", r.contentType)
		}
		if r.body != "" {
			fmt.Fprintf(&b, "\n%s\n", r.body)
		}
		status, answer := n.ask(r)
		fmt.Fprintf(&b, "\n%d %s\n\n", status, ids.ReplaceAllString(answer, "$1"))
	}
	var events struct {
		Data []struct{ Type, Source string }
	}
	n.api("GET", "/v1/events?limit=200", "", &events)
	fmt.Fprintf(&b, "-- %d webhooks --\n", len(events.Data))
	for _, e := range events.Data {
		if e.Source != "track" && e.Type != "sent" {
			n.Errorf("%s came from %q", e.Type, e.Source)
		}
	}
	for _, body := range n.received(len(events.Data)) {
		fmt.Fprintln(&b, now.ReplaceAllString(body, "${1}0"))
	}
	n.stopped()
	profiles, err := n.store.Profiles(n.Context(), n.project, telltale.ProfileFilter{}, telltale.Page{Limit: 100})
	if err != nil {
		n.Fatal(err)
	}
	fmt.Fprintf(&b, "-- %d users --\n", len(profiles))
	slices.Reverse(profiles)
	for _, p := range profiles {
		fmt.Fprintf(&b, "%s email %q properties %s tags %q channels %v", p.GivenID, p.Email, p.Properties.AppendJSON(nil), p.Tags, p.Channels)
		if len(p.FormerIDs) > 0 {
			fmt.Fprintf(&b, " was %q", p.FormerIDs)
		}
		if !p.Subscribed() {
			b.WriteString(" opted out")
		}
		tracked, err := n.store.TrackedEvents(n.Context(), n.project, p.ID, telltale.Page{Limit: 100})
		if err != nil {
			n.Fatal(err)
		}
		for _, e := range tracked {
			fmt.Fprintf(&b, " did %q %s", e.Name, e.Data.AppendJSON(nil))
			if e.OccurredAt.Before(e.ReceivedAt) && e.ReceivedAt.Sub(e.OccurredAt) > time.Hour {
				fmt.Fprintf(&b, " at %s", e.OccurredAt.Format(time.RFC3339))
			}
		}
		b.WriteString("\n")
	}
	return b.String()
}

// received waits for so many requests, and gives their bodies in the order of
// the alphabet: none is promised.
func (n *node) received(want int) []string {
	n.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(20 * time.Second); ; <-tick.C {
		n.mu.Lock()
		got := slices.Clone(n.got)
		n.mu.Unlock()
		if len(got) >= want {
			slices.Sort(got)
			return got
		}
		if time.Now().After(end) {
			n.Fatalf("the receiver got %d requests of %d:\n%s", len(got), want, strings.Join(got, "\n"))
		}
	}
}
