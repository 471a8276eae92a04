package web

import (
	"net/netip"
	"net/url"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"telltale.example/telltale"
	"telltale.example/telltale/internal/egress"
)

// full is a webhook with everything set.
func full() telltale.Webhook {
	w := telltale.NewWebhook("prj_1", "https://hooks.example.com/in", telltale.NewEventTypeSet(telltale.Sent, telltale.Bounced))
	w.Description = "Into the CRM"
	w.Timeout = 2500 * time.Millisecond
	w.RetrySchedule = telltale.Schedule{5 * time.Second, time.Hour}
	w.RateLimit, w.Concurrency = 2.5, 7
	w.Headers = []telltale.CustomHeader{{Name: "X-Team", Value: "crm"}, {Name: "X-Token", Value: "t0ken", Secret: true}}
	w.BasicAuth = &telltale.BasicAuth{Username: "me", Password: "p4ss"}
	w.Extensions, w.LegacySignature = true, true
	return w
}

func TestAFormThatIsSentBackChangesNothing(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		is   telltale.Webhook
	}{
		{"a webhook with everything set", full()},
		{"a webhook with nothing set", telltale.NewWebhook("prj_1", "https://hooks.example.com/", telltale.AllEventTypes)},
		{"one without retries", func() telltale.Webhook { w := full(); w.RetrySchedule = telltale.Schedule{}; return w }()},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			f := &form{Values: webhookValues(&tt.is)}
			for name, values := range f.Values {
				for _, secret := range []string{"t0ken", "p4ss", tt.is.Secrets[0].Value} {
					if cmp.Equal(values, []string{secret}) {
						t.Errorf("%s shows a secret", name)
					}
				}
			}
			got := tt.is
			readWebhook(f, &got)
			if !f.OK() {
				t.Errorf("faults %v", f.Faults)
			}
			if diff := cmp.Diff(tt.is, got, cmpopts.EquateEmpty()); diff != "" {
				t.Error(diff)
			}
			if (got.RetrySchedule == nil) != (tt.is.RetrySchedule == nil) {
				t.Errorf("the schedule is %v", got.RetrySchedule)
			}
		})
	}
}

func TestWhatIsWrongIsToldAtItsField(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name  string
		set   url.Values // beside a form that is right
		field string
		want  string
	}{
		{"no URL", url.Values{"url": {" "}}, "url", "Enter the URL that should receive the events."},
		{"no scheme", url.Values{"url": {"hooks.example.com/in"}}, "url", "Start the URL with https:// or http://."},
		{"a private address", url.Values{"url": {"https://10.2.0.8/in"}}, "url", "10.2.0.8 is a private address. Your administrator must allow it (TELLTALE_ALLOW_CIDRS)."},
		{"credentials in the URL", url.Values{"url": {"https://me:p4ss@hooks.example.com/in"}}, "url", "Put credentials under Authentication, not in the URL."},
		{"no event", url.Values{"event": nil}, "event", "Choose at least one event."},
		{"an event that there is not", url.Values{"event": {"sent", "lost"}}, "event", "There is no such event."},
		{"a long timeout", url.Values{"timeout": {"31"}}, "timeout", "The timeout is out of range. Use 1 to 30 seconds."},
		{"a timeout in letters", url.Values{"timeout": {"five"}}, "timeout", "Write the seconds as a number, such as 5."},
		{"a rate of nothing", url.Values{"rate": {"0"}}, "rate", "Leave the rate limit empty for no limit."},
		{"a rate below nothing", url.Values{"rate": {"-1"}}, "rate", "Write the requests a second as a number, such as 5."},
		{"a rate beyond the limit", url.Values{"rate": {"10001"}}, "rate", "The rate limit is out of range. Use 0.01 to 10\u202f000 requests a second, or leave it empty for no limit."},
		{"no parallel requests", url.Values{"parallel": {"0"}}, "parallel", "The number of parallel requests is out of range. Use 1 to 100."},
		{"a half of one", url.Values{"parallel": {"0.5"}}, "parallel", "Write the parallel requests as a whole number, such as 4."},
		{"waits that are none", url.Values{"retry": {"own"}, "waits": {"5s soon"}}, "waits", `"soon" is no wait. Write waits as 30s, 5m, 2h or 3d.`},
		{"no waits", url.Values{"retry": {"own"}, "waits": {""}}, "waits", "Write at least one wait, such as 30s 5m 2h, or turn retries off."},
		{"waits of months", url.Values{"retry": {"own"}, "waits": {"20d 20d"}}, "waits", "The waits add up to more than 30 days. Use at most 20 waits of at least a second, at most 30 days in all."},
		{"a header of ours", url.Values{"header-0-name": {"webhook-id"}, "header-0-value": {"1"}}, "header-0-name", "Telltale or HTTP sets this header itself: another name."},
		{"a header twice", url.Values{"header-3-name": {"x-team"}, "header-3-value": {"1"}}, "header-3-name", "The header is there twice: each name once."},
		{"a value without a name", url.Values{"header-4-value": {"1"}}, "header-4-name", "Name the header."},
		{"a secret that shall be shown", url.Values{"header-1-secret": nil}, "header-1-value", "A secret value is not shown again. Enter it to make the header one that is shown."},
		{"a secret without a value", url.Values{"header-2-name": {"X-New"}, "header-2-secret": {"on"}}, "header-2-value", "Enter the value."},
		{"a user with a colon", url.Values{"auth-user": {"a:b"}}, "auth-user", "The user name is empty, too long, or has a colon or control characters."},
		{"two ways to authenticate", url.Values{"header-2-name": {"Authorization"}, "header-2-value": {"Bearer 1"}}, "header-2-name", "Basic authentication sets this header already: one of the two."},
		{"a description of ten lines", url.Values{"description": {"a\x07b"}}, "description", "The description is too long or has control characters. Use at most 500 characters."},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := full()
			f := &form{Values: webhookValues(&w)}
			for name, values := range tt.set {
				f.Values[name] = values
			}
			readWebhook(f, &w)
			var guard egress.Guard
			if err := blameWebhook(f, &w, w.Check(nil, guard.CheckURL)); err != nil {
				t.Fatal(err)
			}
			if len(f.Faults) != 1 || f.Fault(tt.field) != tt.want {
				t.Errorf("faults %q; want %s: %s", f.Faults, tt.field, tt.want)
			}
		})
	}
}

func TestAnOtherErrorIsNoFault(t *testing.T) {
	t.Parallel()
	w, f := full(), &form{}
	broken := telltale.Errorf(telltale.Unavailable, "later")
	if err := blameWebhook(f, &w, broken); err == nil || !f.OK() {
		t.Errorf("gave %v, faults %v", err, f.Faults)
	}
	if err := blameWebhook(f, &w, nil); err != nil || !f.OK() {
		t.Errorf("of no error gave %v, faults %v", err, f.Faults)
	}
}

func TestSecretsAreKeptAndReplaced(t *testing.T) {
	t.Parallel()
	w := full()
	f := &form{Values: webhookValues(&w)}
	f.Values.Set("header-1-value", "n3w")
	f.Values.Set("auth-password", "n3w too")
	f.Values.Del("header-0-name")
	f.Values.Del("header-0-value")
	readWebhook(f, &w)
	if diff := cmp.Diff([]telltale.CustomHeader{{Name: "X-Token", Value: "n3w", Secret: true}}, w.Headers); diff != "" || !f.OK() {
		t.Error(diff, f.Faults)
	}
	if w.BasicAuth.Password != "n3w too" {
		t.Errorf("the password is %q", w.BasicAuth.Password)
	}
	f.Values.Set("auth", "none")
	readWebhook(f, &w)
	if w.BasicAuth != nil {
		t.Errorf("authentication is %v", w.BasicAuth)
	}
}

func TestDuplicatesAreNamed(t *testing.T) {
	t.Parallel()
	set := telltale.NewEventTypeSet
	there := telltale.NewWebhook("prj_1", "https://hooks.example.com:8443/in", set(telltale.Bounced, telltale.Sent, telltale.Opened))
	elsewhere := telltale.NewWebhook("prj_1", "https://hooks.example.com:8443/out", telltale.AllEventTypes)
	for _, tt := range []struct {
		name string
		w    telltale.Webhook
		want string
	}{
		{"one event", telltale.NewWebhook("prj_1", there.URL, set(telltale.Bounced, telltale.Clicked)), "hooks.example.com already receives Bounced. Save anyway?"},
		{"three", telltale.NewWebhook("prj_1", there.URL, telltale.AllEventTypes), "hooks.example.com already receives Sent, Opened and Bounced. Save anyway?"},
		{"others", telltale.NewWebhook("prj_1", there.URL, set(telltale.Clicked)), ""},
		{"another path", telltale.NewWebhook("prj_1", "https://hooks.example.com:8443/", set(telltale.Sent)), ""},
		{"all of them", telltale.NewWebhook("prj_1", elsewhere.URL, telltale.AllEventTypes), "hooks.example.com already receives all events. Save anyway?"},
		{"itself", there, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if got := duplicateOf(&tt.w, []*telltale.Webhook{&there, &elsewhere}); got != tt.want {
				t.Errorf("%q; want %q", got, tt.want)
			}
		})
	}
}

func TestPresetsAndWarningsOfURLs(t *testing.T) {
	t.Parallel()
	const unencrypted = "Sends personal data unencrypted. Use https if you can."
	for _, tt := range []struct {
		url      string
		rate     string
		warnings []string
	}{
		{"https://hooks.zapier.com/hooks/catch/123/abc/", "25", nil},
		{"https://hooks.zapier.com/hooks/catch/abc/", "3", nil},
		{"https://hook.eu1.make.com/abc", "10", nil},
		{"https://me.app.n8n.cloud/webhook/abc", "10", nil},
		{"https://n8n.example.com/webhook-test/abc", "", []string{"This n8n URL only works while you press Listen. Use the production URL, with /webhook/ in it."}},
		{"https://hooks.example.com/", "", nil},
		{"http://hooks.example.com/", "", []string{unencrypted}},
		{"http://10.2.0.8/", "", []string{unencrypted}},
		{"http://localhost:3000/hook", "", nil},
		{"http://127.0.0.1/hook", "", nil},
		{"http://[::1]/hook", "", nil},
		{"https://hooks.zapier.com.example.com/", "", nil},
		{"::", "", nil},
	} {
		rate := ""
		if p := presetFor(tt.url); p != nil {
			rate = p.Rate
		}
		if got := urlWarnings(tt.url); rate != tt.rate || !cmp.Equal(got, tt.warnings) {
			t.Errorf("%s: rate %q, warnings %q", tt.url, rate, got)
		}
	}
}

// The guard is told of addresses that an administrator allows.
func TestAnAllowedAddressIsNoFault(t *testing.T) {
	t.Parallel()
	guard, err := egress.New(egress.Config{AllowCIDRs: []netip.Prefix{netip.MustParsePrefix("10.2.0.0/16")}})
	if err != nil {
		t.Fatal(err)
	}
	w := full()
	w.URL = "http://10.2.0.8/in"
	if err := w.Check(nil, guard.CheckURL); err != nil {
		t.Error(err)
	}
}
