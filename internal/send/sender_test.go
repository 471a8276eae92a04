package send

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"telltale.example/telltale"
	"telltale.example/telltale/internal/egress"
	"telltale.example/telltale/signature"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A secret that signs in these tests, and one that a rotation left behind.
const (
	currentSecret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
	formerSecret  = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"
)

const testNode = telltale.NodeID("nod_01JD0000000000000000000000")

// newSender makes a sender that may dial loopback.
func newSender(t testing.TB, roots *x509.CertPool) *Sender {
	t.Helper()
	guard, err := egress.New(egress.Config{AllowPrivate: true})
	if err != nil {
		t.Fatal(err)
	}
	s := New(Config{Guard: guard, Node: testNode, Version: "1.2.3", RootCAs: roots})
	t.Cleanup(s.Close)
	return s
}

func newWebhook(url string) *telltale.Webhook {
	w := telltale.NewWebhook("prj_1", url, telltale.AllEventTypes)
	w.Secrets = []telltale.Secret{{Value: currentSecret}}
	w.Timeout = 10 * time.Second
	return &w
}

func newClaim() *telltale.Claim {
	return &telltale.Claim{
		ClaimRef: telltale.ClaimRef{DeliveryID: "dlv_1", Number: 1},
		Event: &telltale.Event{
			ID: "evt_1", Type: telltale.Sent, Source: "api", OccurredAt: time.Unix(1435016238, 0),
			Payload: []byte(`{"sent_at":1435016238,"type":"sent"}`),
		},
		Trigger: telltale.TriggerAutomatic, Attempt: 1,
	}
}

// request is what a receiver saw.
type request struct {
	*http.Request
	body string
}

// listenWell starts a receiver that keeps what it gets and answers with answer.
func listenWell(t testing.TB, answer http.HandlerFunc) (url string, requests func() []request) {
	t.Helper()
	var mu sync.Mutex
	var got []request
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Errorf("receiver: %v", err)
		}
		mu.Lock()
		got = append(got, request{r, string(body)})
		mu.Unlock()
		answer(w, r)
	}))
	t.Cleanup(server.Close)
	return server.URL, func() []request {
		mu.Lock()
		defer mu.Unlock()
		return slices.Clone(got)
	}
}

func accept(http.ResponseWriter, *http.Request) {}

func TestARequestIsWhatTheContractSays(t *testing.T) {
	t.Parallel()
	url, requests := listenWell(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header()["X-Two"] = []string{"b", "a"}
		w.WriteHeader(http.StatusAccepted)
		io.WriteString(w, "thanks")
	})
	s := newSender(t, nil)
	w := newWebhook(url + "/hook?a=b")
	w.Headers = []telltale.CustomHeader{{Name: "X-API-Key", Value: "k3y", Secret: true}, {Name: "X-Team", Value: "growth"}}
	w.BasicAuth = &telltale.BasicAuth{Username: "me", Password: "pass"}
	w.LegacySignature = true
	w.Secrets = append(w.Secrets, telltale.Secret{Value: formerSecret, ExpiresAt: time.Now().Add(time.Hour)})
	c := newClaim()
	yes := true
	c.Event.URL, c.Event.IP, c.Event.Machine = "https://example.com/ä?q=1 2", "192.0.2.1", &yes
	c.Attempt, c.Test = 3, true

	a := s.Send(t.Context(), c, w)
	if !a.Success() || a.Status != http.StatusAccepted || a.Error != "" || a.Failure != "" {
		t.Fatalf("attempt %+v; want success", a)
	}
	got := requests()
	if len(got) != 1 {
		t.Fatalf("%d requests; want 1", len(got))
	}
	r := got[0]
	if r.Method != http.MethodPost || r.RequestURI != "/hook?a=b" || r.body != string(c.Event.Payload) || r.ContentLength != int64(len(r.body)) {
		t.Errorf("request %s %s of %d bytes, %s", r.Method, r.RequestURI, r.ContentLength, r.body)
	}

	want := map[string]string{
		"Content-Type": "application/json", "User-Agent": "Telltale/1.2.3", "Authorization": "Basic bWU6cGFzcw==",
		"X-Api-Key": "k3y", "X-Team": "growth",
		"Webhook-Id": "evt_1", "Telltale-Event": "sent", "Telltale-Delivery": "dlv_1", "Telltale-Attempt": "3", "Telltale-Test": "1",
		"Telltale-Source": "api", "Telltale-Occurred-At": "1435016238", "Telltale-Url": "https://example.com/%C3%A4?q=1%202", "Telltale-Ip": "192.0.2.1", "Telltale-Machine": "true",
		"Content-Length": "36",
	}
	for name, value := range want {
		if r.Header.Get(name) != value {
			t.Errorf("header %s is %q; want %q", name, r.Header.Get(name), value)
		}
	}
	delete(r.Header, "Webhook-Timestamp")
	for name, values := range r.Header {
		if _, known := want[name]; len(values) != 1 || !known && name != "Webhook-Signature" && name != "X-Signature" {
			t.Errorf("header %s is %q; it is not in the contract", name, values)
		}
	}
	for _, h := range []string{"Accept-Encoding", "Idempotency-Key", "Cookie"} {
		if r.Header.Get(h) != "" {
			t.Errorf("header %s is sent", h)
		}
	}

	// What is recorded is what was sent, without what is secret.
	recorded := map[string]string{}
	for _, h := range a.Request.Headers {
		recorded[http.CanonicalHeaderKey(h.Name)] = h.Value
	}
	if recorded["Authorization"] != telltale.Redacted || recorded["X-Api-Key"] != telltale.Redacted || recorded["X-Team"] != "growth" {
		t.Errorf("recorded headers %v", a.Request.Headers)
	}
	r.Header.Set("Webhook-Timestamp", recorded["Webhook-Timestamp"])
	for _, secret := range []string{currentSecret, formerSecret} {
		parsed, err := signature.ParseSecret(secret)
		if err != nil {
			t.Fatal(err)
		}
		if err := signature.NewVerifier(parsed).Verify(r.Header, []byte(r.body), time.Now()); err != nil {
			t.Errorf("the signature does not verify with %s…: %v", secret[:10], err)
		}
	}
	if err := signature.VerifyLegacy(r.Header, []byte(r.body), currentSecret); err != nil {
		t.Errorf("the legacy signature does not verify: %v", err)
	}

	if a.Number != 3 || a.Trigger != telltale.TriggerAutomatic || a.Node != testNode || a.Duration <= 0 || a.RemoteAddr == "" || a.Timing.Connect <= 0 || a.Timing.FirstByte <= 0 {
		t.Errorf("attempt %+v lacks what is known", a)
	}
	if a.Request.Method != http.MethodPost || a.Request.URL != w.URL || string(a.Response.Body) != "thanks" || a.Response.Truncated {
		t.Errorf("recorded %+v, %+v", a.Request, a.Response)
	}
	var two []string
	for _, h := range a.Response.Headers {
		if h.Name == "X-Two" {
			two = append(two, h.Value)
		}
	}
	if !slices.Equal(two, []string{"b", "a"}) || !slices.IsSortedFunc(a.Response.Headers, func(a, b telltale.Header) int { return strings.Compare(a.Name, b.Name) }) {
		t.Errorf("response headers %v", a.Response.Headers)
	}
}

func TestOnlyWhatIsKnownBecomesAHeader(t *testing.T) {
	t.Parallel()
	url, requests := listenWell(t, accept)
	c := newClaim()
	c.Event.OccurredAt = time.Time{}
	c.Event.Source = "a\r\nx-evil: 1"
	c.Event.URL = "https://example.com/" + strings.Repeat("x", maxURLHeader)
	c.Event.IP = "no address"
	if a := newSender(t, nil).Send(t.Context(), c, newWebhook(url)); !a.Success() {
		t.Fatalf("attempt %+v", a)
	}
	h := requests()[0].Header
	for _, name := range []string{"Telltale-Test", "Telltale-Occurred-At", "Telltale-Url", "Telltale-Ip", "Telltale-Machine", "X-Signature", "X-Evil", "Authorization"} {
		if _, there := h[name]; there {
			t.Errorf("header %s is %q; want none", name, h.Get(name))
		}
	}
	if h.Get("Telltale-Source") != "a??x-evil: 1" {
		t.Errorf("source %q", h.Get("Telltale-Source"))
	}
}

func TestExtensionsJoinTheSignedBody(t *testing.T) {
	t.Parallel()
	url, requests := listenWell(t, accept)
	w := newWebhook(url)
	w.Extensions = true
	c := newClaim()
	if a := newSender(t, nil).Send(t.Context(), c, w); !a.Success() {
		t.Fatalf("attempt %+v", a)
	}
	r := requests()[0]
	var got map[string]any
	if err := json.Unmarshal([]byte(r.body), &got); err != nil {
		t.Fatal(err)
	}
	want := map[string]any{"id": "evt_1", "source": "api", "occurred_at": 1435016238.0}
	if diff := cmp.Diff(want, got["telltale"]); diff != "" {
		t.Errorf("extensions (-want +got):\n%s", diff)
	}
	secret, err := signature.ParseSecret(currentSecret)
	if err != nil {
		t.Fatal(err)
	}
	if err := signature.NewVerifier(secret).Verify(r.Header, []byte(r.body), time.Now()); err != nil {
		t.Error(err)
	}
}

// A secret that a rotation left signs no longer than it may, though the webhook
// is kept prepared.
func TestAnExpiredSecretCeasesToSign(t *testing.T) {
	t.Parallel()
	cache := newCache("")
	w := newWebhook("https://example.com/")
	now := time.Now()
	w.Secrets = append(w.Secrets, telltale.Secret{Value: formerSecret, ExpiresAt: now.Add(time.Hour)})
	signatures := func(at time.Time) int {
		p, err := cache.get(w, at)
		if err != nil {
			t.Fatal(err)
		}
		return len(strings.Fields(p.signer.Sign("evt_1", at, nil)))
	}
	for _, tt := range []struct {
		after time.Duration
		want  int
	}{{0, 2}, {time.Hour - 1, 2}, {time.Hour, 1}, {2 * time.Hour, 1}} {
		if got := signatures(now.Add(tt.after)); got != tt.want {
			t.Errorf("after %v: %d signatures; want %d", tt.after, got, tt.want)
		}
	}
}

func TestANewerWebhookIsPreparedAnew(t *testing.T) {
	t.Parallel()
	url, requests := listenWell(t, accept)
	s := newSender(t, nil)
	w := newWebhook(url + "/old")
	s.Send(t.Context(), newClaim(), w)
	newer := *w
	newer.Version++
	newer.URL = url + "/new"
	s.Send(t.Context(), newClaim(), &newer)
	if got := requests(); len(got) != 2 || got[1].URL.Path != "/new" {
		t.Errorf("%d requests, the last to %v", len(got), got[len(got)-1].URL)
	}
}

func TestPreparedWebhooksAreBounded(t *testing.T) {
	t.Parallel()
	cache := newCache("")
	for range maxPrepared + 100 {
		if _, err := cache.get(newWebhook("https://example.com/"), time.Now()); err != nil {
			t.Fatal(err)
		}
	}
	if len(cache.webhooks) != maxPrepared {
		t.Errorf("%d webhooks are kept; want %d", len(cache.webhooks), maxPrepared)
	}
}

func TestNothingIsSentUnsigned(t *testing.T) {
	t.Parallel()
	for name, secrets := range map[string][]telltale.Secret{
		"no secret":          nil,
		"only expired ones":  {{Value: currentSecret, ExpiresAt: time.Unix(1, 0)}},
		"one that is broken": {{Value: "whsec_no"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			url, requests := listenWell(t, accept)
			w := newWebhook(url)
			w.Secrets = secrets
			a := newSender(t, nil).Send(t.Context(), newClaim(), w)
			if a.Error != telltale.ErrorInternal || a.Failure != telltale.FailureInternal || len(requests()) != 0 {
				t.Errorf("attempt %+v, %d requests; want an internal error and none", a, len(requests()))
			}
		})
	}
}

// A header that passed by validation ends the attempt, and never the header.
func TestABrokenHeaderIsNotSent(t *testing.T) {
	t.Parallel()
	url, requests := listenWell(t, accept)
	w := newWebhook(url)
	w.Headers = []telltale.CustomHeader{{Name: "X-A", Value: "a\r\nX-B: b"}}
	if a := newSender(t, nil).Send(t.Context(), newClaim(), w); a.Error != telltale.ErrorInternal || len(requests()) != 0 {
		t.Errorf("attempt %+v, %d requests; want an internal error and none", a, len(requests()))
	}
}

func TestTheEndOfTheContextInterrupts(t *testing.T) {
	t.Parallel()
	arrived := make(chan struct{})
	url := listenBadly(t, func(c net.Conn) {
		readRequest(c)
		close(arrived)
		hang(c)
	})
	ctx, cancel := context.WithCancel(t.Context())
	go func() { <-arrived; cancel() }()
	a := newSender(t, nil).Send(ctx, newClaim(), newWebhook(url))
	if a.Error != telltale.ErrorInterrupted || a.Failure != telltale.FailureInterrupted || a.Status != 0 {
		t.Errorf("attempt %+v; want interrupted", a)
	}
}

func TestBlockedHostsAreNotNamedNorDialled(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct{ url, sentence string }{
		"a private address":             {"https://10.2.0.8/", "10.2.0.8 is a private or reserved address."},
		"a name that leads to one":      {"https://inside.example.com/", "The host inside.example.com is not allowed."},
		"a rule that holds again: http": {"http://hooks.example.com/", "Start the URL with https://, or have your administrator allow http (TELLTALE_ALLOW_HTTP)."},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			guard, err := egress.New(egress.Config{Resolver: oneAddress("10.2.0.8")})
			if err != nil {
				t.Fatal(err)
			}
			s := New(Config{Guard: guard})
			t.Cleanup(s.Close)
			a := s.Send(t.Context(), newClaim(), newWebhook(tt.url))
			if a.Error != telltale.ErrorBlockedAddress || a.Failure != telltale.FailureAddressBlocked || a.RemoteAddr != "" || a.Status != 0 {
				t.Errorf("attempt %+v; want it blocked", a)
			}
			if got := a.Sentence(); got != tt.sentence {
				t.Errorf("sentence %q; want %q", got, tt.sentence)
			}
		})
	}
}
