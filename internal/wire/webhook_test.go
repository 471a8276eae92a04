package wire

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"telltale.example/telltale"
)

func TestAPatchIsMerged(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name, patch string
		want        func(*telltale.Webhook) // what becomes of the full webhook
	}{
		{"nothing changes nothing", `{}`, func(*telltale.Webhook) {}},
		{"the URL", `{"url":"https://b.example.com/"}`, func(w *telltale.Webhook) { w.URL = "https://b.example.com/" }},
		{"no URL is left to the rules", `{"url":null}`, func(w *telltale.Webhook) { w.URL = "" }},
		{"events are replaced", `{"events":["opened"]}`, func(w *telltale.Webhook) { w.Events = telltale.NewEventTypeSet(telltale.Opened) }},
		{"all events", `{"events":["*"]}`, func(w *telltale.Webhook) { w.Events = telltale.AllEventTypes }},
		{"no events are left to the rules", `{"events":null}`, func(w *telltale.Webhook) { w.Events = 0 }},
		{"null goes back to the default, everywhere", `{"description":null,"timeout":null,"retry_schedule":null,"rate_limit":null,"concurrency":null,"headers":null,"basic_auth":null,"skip_machines":null,"extensions":null,"legacy_signature":null,"format":null}`, func(w *telltale.Webhook) {
			w.Description, w.Timeout, w.RetrySchedule, w.RateLimit, w.Concurrency = "", telltale.DefaultTimeout, nil, 0, telltale.DefaultConcurrency
			w.Headers, w.BasicAuth, w.SkipMachines, w.Extensions, w.LegacySignature, w.Format = nil, nil, false, false, false, telltale.FormatVero2
		}},
		{"values", `{"description":"d","timeout":"1m","rate_limit":7,"concurrency":9,"skip_machines":false,"extensions":false,"legacy_signature":false,"format":"x"}`, func(w *telltale.Webhook) {
			w.Description, w.Timeout, w.RateLimit, w.Concurrency, w.SkipMachines, w.Extensions, w.LegacySignature, w.Format = "d", time.Minute, 7, 9, false, false, false, "x"
		}},
		{"no retries", `{"retry_schedule":[]}`, func(w *telltale.Webhook) { w.RetrySchedule = telltale.Schedule{} }},
		{"a schedule of one's own", `{"retry_schedule":["1s","1h30m"]}`, func(w *telltale.Webhook) { w.RetrySchedule = telltale.Schedule{time.Second, 90 * time.Minute} }},
		{"the default's own waits are the default", `{"retry_schedule":["5s","30s","2m","10m","30m","2h","5h","10h","14h","20h","24h"]}`, func(w *telltale.Webhook) { w.RetrySchedule = nil }},

		{"a header is added, others stay", `{"headers":{"X-New":"n"}}`, func(w *telltale.Webhook) {
			w.Headers = append(w.Headers, telltale.CustomHeader{Name: "X-New", Value: "n"})
		}},
		{"a header is changed in its place", `{"headers":{"x-team":"sales"}}`, func(w *telltale.Webhook) {
			w.Headers[0] = telltale.CustomHeader{Name: "x-team", Value: "sales"}
		}},
		{"a header is removed", `{"headers":{"X-Team":null}}`, func(w *telltale.Webhook) { w.Headers = w.Headers[1:] }},
		{"a header that is not there is removed", `{"headers":{"X-Other":null}}`, func(*telltale.Webhook) {}},
		{"a secret header stays secret", `{"headers":{"X-Api-Key":"new"}}`, func(w *telltale.Webhook) { w.Headers[1].Value = "new" }},
		{"what was read keeps the secret", `{"headers":{"X-Api-Key":{"value":"[redacted]","secret":true}}}`, func(*telltale.Webhook) {}},
		{"so does the short form", `{"headers":{"X-Api-Key":"[redacted]"}}`, func(*telltale.Webhook) {}},
		{"a header becomes secret", `{"headers":{"X-Team":{"secret":true}}}`, func(w *telltale.Webhook) { w.Headers[0].Secret = true }},
		{"a secret header becomes one that is shown, with a new value", `{"headers":{"X-Api-Key":{"value":"open","secret":false}}}`, func(w *telltale.Webhook) {
			w.Headers[1] = telltale.CustomHeader{Name: "X-Api-Key", Value: "open"}
		}},

		{"the password changes, the user stays", `{"basic_auth":{"password":"new"}}`, func(w *telltale.Webhook) { w.BasicAuth = &telltale.BasicAuth{Username: "telltale", Password: "new"} }},
		{"the user changes, the password stays", `{"basic_auth":{"username":"u"}}`, func(w *telltale.Webhook) { w.BasicAuth = &telltale.BasicAuth{Username: "u", Password: "s3cr3t"} }},
		{"what was read keeps the password", `{"basic_auth":{"username":"u","password":"[redacted]"}}`, func(w *telltale.Webhook) { w.BasicAuth = &telltale.BasicAuth{Username: "u", Password: "s3cr3t"} }},
		{"no password", `{"basic_auth":{"password":null}}`, func(w *telltale.Webhook) { w.BasicAuth = &telltale.BasicAuth{Username: "telltale"} }},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			var patch WebhookPatch
			if err := json.Unmarshal([]byte(row.patch), &patch); err != nil {
				t.Fatal(err)
			}
			shared := fullWebhook()
			got := *shared
			if faults := patch.Apply(&got); len(faults) > 0 {
				t.Fatalf("faults: %v", faults)
			}
			want := fullWebhook()
			row.want(want)
			if diff := cmp.Diff(want, &got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(fullWebhook(), shared); diff != "" {
				t.Errorf("the shared snapshot changed (-want +got):\n%s", diff)
			}
			again, err := json.Marshal(patch)
			if err != nil {
				t.Fatal(err)
			}
			var reread WebhookPatch
			if err := json.Unmarshal(again, &reread); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(patch, reread); diff != "" {
				t.Errorf("written as %s and read again (-want +got):\n%s", again, diff)
			}
		})
	}
}

func TestAPatchThatCannotBeMeantIsAFault(t *testing.T) {
	t.Parallel()
	for _, row := range []struct{ name, patch, location string }{
		{"an event type that is none", `{"events":["sent","snet"]}`, "body.events[1]"},
		{"a secret is unveiled without a new value", `{"headers":{"X-Api-Key":{"secret":false}}}`, "body.headers.X-Api-Key"},
		{"with the stand-in as its value", `{"headers":{"X-Api-Key":{"value":"[redacted]","secret":false}}}`, "body.headers.X-Api-Key"},
		{"a new header without a value", `{"headers":{"X-New":{"secret":true}}}`, "body.headers.X-New"},
		{"a new secret header with the stand-in as its value", `{"headers":{"X-New":{"value":"[redacted]","secret":true}}}`, "body.headers.X-New"},
		{"a header twice", `{"headers":{"X-New":"a","x-new":"b"}}`, "body.headers.x-new"},
		{"a password to keep that is not there", `{"basic_auth":{"username":"u","password":"[redacted]"}}`, "body.basic_auth.password"},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			var patch WebhookPatch
			if err := json.Unmarshal([]byte(row.patch), &patch); err != nil {
				t.Fatal(err)
			}
			w := *fullWebhook()
			w.BasicAuth = nil
			faults := patch.Apply(&w)
			if len(faults) != 1 || faults[0].Location != row.location {
				t.Errorf("faults: %+v; want one at %s", faults, row.location)
			}
			for _, f := range faults {
				if strings.Contains(f.Message+f.Expected+f.Value, "s3cr3t") {
					t.Errorf("a secret is shown: %+v", f)
				}
			}
		})
	}
}

func TestAWebhookIsMadeWithDefaults(t *testing.T) {
	t.Parallel()
	var create WebhookCreate
	if err := json.Unmarshal([]byte(`{"url":"https://a.example.com/","events":["*"],"timeout":null,"headers":{"X-A":{"value":"v","secret":true},"X-B":null}}`), &create); err != nil {
		t.Fatal(err)
	}
	got, faults := create.New("prj_a")
	if len(faults) > 0 {
		t.Fatalf("faults: %v", faults)
	}
	want := telltale.NewWebhook("prj_a", "https://a.example.com/", telltale.AllEventTypes)
	want.ID, want.Secrets, want.CreatedAt, want.UpdatedAt = got.ID, got.Secrets, got.CreatedAt, got.UpdatedAt
	want.Headers = []telltale.CustomHeader{{Name: "X-A", Value: "v", Secret: true}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if err := got.Validate(); err != nil {
		t.Error(err)
	}
}

func TestAProjectIsMadeAndChanged(t *testing.T) {
	t.Parallel()
	p := ProjectCreate{Slug: "news"}.New()
	if p.Slug != "news" || p.Name != "news" || p.IngestRate != 0 || p.Validate() != nil {
		t.Errorf("made %+v", p)
	}
	ProjectPatch{Name: To("Newsletter"), IngestRate: To(2.5)}.Apply(&p)
	if p.Name != "Newsletter" || p.IngestRate != 2.5 {
		t.Errorf("changed to %+v", p)
	}
	ProjectPatch{Name: Reset[string](), IngestRate: Reset[float64]()}.Apply(&p)
	if p.Name != "news" || p.IngestRate != 0 {
		t.Errorf("back to %+v", p)
	}
}

func TestDuration(t *testing.T) {
	t.Parallel()
	for d, want := range map[time.Duration]string{
		0: "0s", 5 * time.Second: "5s", 2 * time.Minute: "2m", 24 * time.Hour: "24h", 90 * time.Minute: "1h30m",
		time.Hour + time.Second: "1h0m1s", 1500 * time.Millisecond: "1.5s", 10 * time.Minute: "10m", 10 * time.Hour: "10h", -2 * time.Minute: "-2m",
	} {
		got := Duration(d).String()
		var back Duration
		if err := back.UnmarshalText([]byte(got)); got != want || err != nil || time.Duration(back) != d {
			t.Errorf("%d is written %q, want %q, and read %d, %v", d, got, want, back, err)
		}
	}
}

func FuzzPatch(f *testing.F) {
	for _, seed := range []string{
		`{}`, `{"headers":{"X-Api-Key":{"value":"[redacted]","secret":true},"X":null,"Y":"z"}}`, `{"retry_schedule":["5s"],"timeout":"1m"}`,
		`{"basic_auth":{"username":"u","password":null},"events":["*"]}`, `{"headers":[]}`, `{"headers":{"":{}}}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var patch WebhookPatch
		if json.Unmarshal(data, &patch) != nil {
			return
		}
		w := *fullWebhook()
		patch.Apply(&w)
		shown, err := json.Marshal(FromWebhook(&w))
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(shown), "s3cr3t") && !strings.Contains(string(data), "s3cr3t") && w.URL == fullWebhook().URL {
			t.Errorf("%s unveils a secret: %s", data, shown)
		}
		written, err := json.Marshal(patch)
		if err != nil {
			t.Fatal(err)
		}
		var reread WebhookPatch
		if err := json.Unmarshal(written, &reread); err != nil {
			t.Errorf("%s was written as %s, which cannot be read: %v", data, written, err)
		}
	})
}
