package feed

import (
	"bytes"
	"context"
	"crypto/x509"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"telltale.example/telltale"
)

var update = flag.Bool("update", false, "write the golden files anew")

var sampleTime = time.Date(2026, 3, 14, 9, 26, 53, 0, time.UTC)

// signed gives a source of the provider and its samples, signed for it.
func signed(t testing.TB, p *Provider) (*telltale.Source, []*Request) {
	t.Helper()
	credentials, sign, err := p.Pair()
	if err != nil {
		t.Fatal(err)
	}
	s := telltale.NewSource("prj_x", p.Name, "Test")
	s.Credentials = credentials
	requests := p.Samples(sampleTime)
	for _, r := range requests {
		r.URL = p.Address("https://telltale.example.com", &s)
		if err := sign(r, sampleTime); err != nil {
			t.Fatal(err)
		}
	}
	return &s, requests
}

func verify(p *Provider, s *telltale.Source, r *Request, at time.Time) error {
	return p.Verify(context.Background(), &Call{
		Request: r, Source: s, Now: at,
		Certificate: func(context.Context, string) (*x509.Certificate, error) {
			return nil, errors.New("nothing is fetched here")
		},
	})
}

func eachProvider(t *testing.T, f func(t *testing.T, p *Provider)) {
	t.Helper()
	for _, p := range Providers() {
		t.Run(p.Name, func(t *testing.T) { f(t, p) })
	}
}

func TestEveryProviderIsDescribed(t *testing.T) {
	if len(Providers()) == 0 {
		t.Fatal("there are no providers")
	}
	eachProvider(t, func(t *testing.T, p *Provider) {
		if p.Title == "" || len(p.Credentials) == 0 || len(p.Steps) == 0 || p.Retries == "" || p.Overloaded == 0 || p.Metadata == "" || p.MetadataExample == "" {
			t.Error("something is not said of the provider")
		}
		reports := map[telltale.EventType]bool{}
		for _, m := range p.Mapping {
			if m.Type != "" && !m.Type.Valid() {
				t.Errorf("%s becomes %q, which is no type", m.Event, m.Type)
			}
			reports[m.Type] = true
		}
		if reports[telltale.Sent] == p.NoSent {
			t.Errorf("NoSent is %t, and the mapping says otherwise", p.NoSent)
		}
		if p.Signer == nil && p.TestHint == "" {
			t.Error("neither can a test be signed, nor is said how the provider sends one")
		}
	})
}

// What a provider's samples become. They hold every event that becomes one of
// ours, so the golden files show the whole mapping.
func TestSamplesBecomeEvents(t *testing.T) {
	eachProvider(t, func(t *testing.T, p *Provider) {
		s, requests := signed(t, p)
		if err := Validate(s); err != nil {
			t.Fatal(err)
		}
		missing := map[telltale.EventType]bool{}
		for _, m := range p.Mapping {
			if m.Type != "" {
				missing[m.Type] = true
			}
		}
		var said bytes.Buffer
		keys := map[string]bool{}
		for _, r := range requests {
			if err := verify(p, s, r, sampleTime); err != nil {
				t.Fatalf("a signed sample was refused: %v\n%s", err, r.Body)
			}
			b, err := p.Parse(r, s)
			if err != nil {
				t.Fatalf("a sample was not understood: %v\n%s", err, r.Body)
			}
			for _, part := range b.Parts {
				if part.Err != nil {
					t.Errorf("a sample was not understood: %v\n%s", part.Err, part.Raw)
				}
				for i := range part.Events {
					a := part.Events[i].activity(p, part.Raw, i)
					if keys[a.CallerID] {
						t.Errorf("the key %q is there twice", a.CallerID)
					}
					keys[a.CallerID] = true
					write(t, &said, a)
					delete(missing, a.Type)
				}
			}
		}
		for m := range missing {
			t.Errorf("no sample becomes %s", m)
		}
		golden(t, filepath.Join("testdata", "samples", p.Name+".txt"), said.Bytes())
	})
}

// write writes an activity as its webhook's body, with what goes beside it.
func write(t *testing.T, to *bytes.Buffer, a telltale.Activity) {
	t.Helper()
	if a.UserID() == "" {
		a.User.SetString("id", a.Email()) // as completion does
	}
	e, faults := a.Event("prj_x", "feed", sampleTime)
	if len(faults) > 0 {
		t.Errorf("an event breaks the contract of its type: %v", faults)
		return
	}
	fmt.Fprintf(to, "%s\n", e.Payload)
	beside := []string{"occurred_at=" + e.OccurredAt.Format(time.RFC3339Nano)}
	for _, kv := range [][2]string{{"provider_message_id", e.ProviderMessageID}, {"url", e.URL}, {"ip", e.IP}, {"conversion_event", e.ConversionEvent}} {
		if kv[1] != "" {
			beside = append(beside, kv[0]+"="+kv[1])
		}
	}
	if e.Machine != nil {
		beside = append(beside, fmt.Sprintf("machine=%t", *e.Machine))
	}
	fmt.Fprintf(to, "  %s\n", strings.Join(beside, " "))
}

func golden(t *testing.T, file string, got []byte) {
	t.Helper()
	if *update {
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("%s (run with -update if this is meant):\n%s", file, diff)
	}
}

func TestWhoeverHasNoCredentialsIsRefused(t *testing.T) {
	eachProvider(t, func(t *testing.T, p *Provider) {
		s, requests := signed(t, p)
		other, _ := signed(t, p)
		for name, change := range map[string]func(r *Request, s *telltale.Source){
			"nothing is signed":             func(r *Request, _ *telltale.Source) { r.Header = http.Header{"Content-Type": {r.ContentType()}} },
			"the source has other ones":     func(_ *Request, s *telltale.Source) { s.Credentials = other.Credentials },
			"the source has none":           func(_ *Request, s *telltale.Source) { s.Credentials = map[string]string{} },
			"the source has unreadable one": func(_ *Request, s *telltale.Source) { s.Credentials = unreadable(s.Credentials) },
		} {
			r, source := *requests[0], *s
			r.Header = r.Header.Clone()
			change(&r, &source)
			if name == "nothing is signed" && signsBody(p, &r) {
				continue // the signature stands in the body, which is tested with it
			}
			err := verify(p, &source, &r, sampleTime)
			if code := telltale.CodeOf(err); code != telltale.Unauthenticated && code != telltale.Forbidden {
				t.Errorf("%s: the request got %v", name, err)
			}
		}
	})
}

func unreadable(credentials map[string]string) map[string]string {
	wrong := map[string]string{}
	for name := range credentials {
		wrong[name] = "not the right one at all"
	}
	return wrong
}

// signsBody reports whether the provider's signature is in the body.
func signsBody(p *Provider, r *Request) bool {
	return bytes.Contains(r.Body, []byte(`"signature"`)) || bytes.Contains(r.Body, []byte("signature="))
}

func TestDiagnosticsAreTakenApart(t *testing.T) {
	for _, c := range []struct {
		text   string
		code   int
		reason string
	}{
		{"550 5.1.1 The email account does not exist.", 550, "5.1.1 The email account does not exist."},
		{"smtp; 550 5.1.1 user unknown", 550, "5.1.1 user unknown"},
		{"smtp;550 user unknown", 550, "user unknown"},
		{"550-5.1.1 user unknown", 550, "5.1.1 user unknown"},
		{"5.1.1", 0, "5.1.1"},
		{"Bounced Address", 0, "Bounced Address"},
		{"host mx.example.com said: 452 4.2.2 mailbox full", 452, "4.2.2 mailbox full"},
		{"550", 550, "550"},
		{"", 0, ""},
		{"took 250000 bytes", 0, "took 250000 bytes"},
	} {
		if code, reason := diagnostic(c.text); code != c.code || reason != c.reason {
			t.Errorf("%q is %d and %q, want %d and %q", c.text, code, reason, c.code, c.reason)
		}
	}
}

func TestTimesAreReadInEveryUnit(t *testing.T) {
	for digits, want := range map[string]string{
		"1435016238":           "2015-06-22T23:37:18Z",
		"1435016238.5":         "2015-06-22T23:37:18.5Z",
		"1435016238123":        "2015-06-22T23:37:18.123Z",
		"1435016238.123456":    "2015-06-22T23:37:18.123456Z",
		"1.435016238e9":        "2015-06-22T23:37:18Z",
		"-1":                   "0001-01-01T00:00:00Z",
		"soon":                 "0001-01-01T00:00:00Z",
		"":                     "0001-01-01T00:00:00Z",
		"99999999999999999999": "0001-01-01T00:00:00Z",
	} {
		if got := unixTime(digits).Format(time.RFC3339Nano); got != want {
			t.Errorf("%q is %s, want %s", digits, got, want)
		}
	}
}
