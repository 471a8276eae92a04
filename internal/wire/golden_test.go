package wire

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"telltale.example/telltale"
)

var update = flag.Bool("update", false, "write the golden files anew")

var at = time.Date(2026, 11, 20, 9, 30, 0, 123_000_000, time.FixedZone("CET", 3600))

const ulid = "01JD0000000000000000000000"

func fullWebhook() *telltale.Webhook {
	return &telltale.Webhook{
		ID: "whk_" + ulid, ProjectID: "prj_" + ulid, Version: 7,
		URL: "https://hooks.example.com/telltale?a=1&b=<2>", Events: telltale.NewEventTypeSet(telltale.Bounced, telltale.Sent), Description: "Into the CRM",
		DisabledReason: telltale.DisabledGone, DisabledAt: at.Add(time.Hour), Health: telltale.HealthFailing,
		Standing: telltale.Standing{
			LastSuccessAt: at, FailingSince: at.Add(time.Minute), Failures: 12,
			Breaker: telltale.Breaker{State: telltale.BreakerOpen, Until: at.Add(2 * time.Minute), Wait: time.Minute},
		},
		Timeout: 5 * time.Second, RetrySchedule: telltale.Schedule{5 * time.Second, 90 * time.Minute}, RateLimit: 2.5, Concurrency: 4,
		Headers:      []telltale.CustomHeader{{Name: "X-Team", Value: "crm"}, {Name: "X-Api-Key", Value: "s3cr3t", Secret: true}, {Name: "A", Value: "last"}},
		BasicAuth:    &telltale.BasicAuth{Username: "telltale", Password: "s3cr3t"},
		SkipMachines: true, Extensions: true, LegacySignature: true, Format: telltale.FormatVero2,
		Secrets:   []telltale.Secret{{Value: "whsec_s3cr3t"}, {Value: "whsec_s3cr3t2", ExpiresAt: at}},
		CreatedAt: at, UpdatedAt: at.Add(time.Hour),
	}
}

func fullAttempt() *telltale.Attempt {
	return &telltale.Attempt{
		Number: 2, Trigger: telltale.TriggerAutomatic, StartedAt: at, Duration: 12345678 * time.Nanosecond,
		Timing: telltale.Timing{DNS: time.Millisecond, Connect: 2 * time.Millisecond, TLS: 3 * time.Millisecond, FirstByte: 4500 * time.Microsecond},
		Node:   "nod_" + ulid, Status: 503, Error: telltale.ErrorHTTPStatus, Failure: telltale.FailureHTTP5xx, RetryAfter: 2 * time.Minute,
		RemoteAddr: "203.0.113.7:443",
		Request:    telltale.SentRequest{Method: "POST", URL: "https://hooks.example.com/", Headers: []telltale.Header{{Name: "webhook-id", Value: "evt_1"}, {Name: "X-Api-Key", Value: telltale.Redacted}}},
		Response: telltale.GotResponse{
			Headers: []telltale.Header{{Name: "Set-Cookie", Value: "a=1"}, {Name: "Server", Value: `"quoted" <b>`}, {Name: "Set-Cookie", Value: "b=2"}},
			Body:    []byte("busy"), Truncated: true,
		},
	}
}

func TestForms(t *testing.T) {
	t.Parallel()
	machine := true
	next := "cursor"
	plain := telltale.NewWebhook("prj_"+ulid, "https://hooks.example.com/", telltale.AllEventTypes)
	plain.ID, plain.CreatedAt, plain.UpdatedAt = "whk_"+ulid, at, at
	binary := fullAttempt()
	binary.Response.Body, binary.Response.Headers = []byte{0xff, 0x00}, nil
	unanswered := &telltale.Attempt{Number: 1, Trigger: telltale.TriggerTest, StartedAt: at, Error: telltale.ErrorTimeout, Detail: "5 s", Node: "nod_" + ulid}
	shown := FromWebhook(&plain)
	shown.Secret = "whsec_shown"
	delivery := FromDelivery(telltale.Delivery{
		ID: "dlv_" + ulid, EventID: "evt_" + ulid, EventType: telltale.Sent, WebhookID: "whk_" + ulid, State: telltale.StateWaiting,
		AttemptCount: 3, DueAt: at, CreatedAt: at, Test: true, ReplayID: "rpl_" + ulid, LastError: telltale.ErrorHTTPStatus, LastStatus: 503,
	})
	one := FromDelivery(telltale.Delivery{ID: "dlv_" + ulid, State: telltale.StateSucceeded, CreatedAt: at, CompletedAt: at})
	one.Attempts = []Attempt{}
	stat := telltale.Stat{Start: at, Events: 9, Succeeded: 3, Failed: 1, Retried: 2, Answers: [telltale.Answers]int{3, 0, 1, 1, 1}}
	stat.Took.Observe(12 * time.Millisecond)
	properties, err := telltale.ParseObject([]byte(`{"plan":"gold","n":1.50}`))
	if err != nil {
		t.Fatal(err)
	}
	for name, form := range map[string]any{
		"project":                FromProject(telltale.Project{ID: "prj_" + ulid, Slug: "default", Name: "Default <project>", IngestRate: 0.5, CreatedAt: at}),
		"node":                   FromNode(telltale.Node{ID: "nod_" + ulid, Role: telltale.NodeWorker, Version: "0.1.0", Host: "worker-1", StartedAt: at, BeatAt: at.Add(time.Minute), Alive: true}),
		"node-plain":             FromNode(telltale.Node{ID: "nod_" + ulid, Role: telltale.NodeAll, StartedAt: at}),
		"key":                    FromKey(telltale.Key{ID: "key_" + ulid, Name: "CI", Scope: telltale.ScopeIngest, Hash: [32]byte{1}, CreatedAt: at, LastUsedAt: at, RevokedAt: at}),
		"key-never-used":         FromKey(telltale.Key{ID: "key_" + ulid, Name: "CI", Scope: telltale.ScopeOwner, CreatedAt: at}),
		"webhook":                FromWebhook(fullWebhook()),
		"webhook-plain":          FromWebhook(&plain),
		"webhook-with-secret":    shown,
		"secrets":                SecretsOf(fullWebhook(), at.Add(-time.Second)),
		"secrets-after-rotation": SecretsOf(fullWebhook(), at),
		"event": FromEvent(&telltale.Event{
			ID: "evt_" + ulid, ProjectID: "prj_" + ulid, Type: telltale.Clicked, Source: "api", OccurredAt: at.Add(-time.Second), ReceivedAt: at, Sequence: 4215,
			Payload: []byte(`{"id":9007199254740993,"n":1.50,"s":"<é>"}`), UserID: "123", Email: "steve@example.com", MessageID: "m@example.com", CampaignID: "987",
			URL: "https://example.com/?a&b", IP: "192.0.2.7", Machine: &machine, ProviderMessageID: "p-1", ConversionEvent: "bought", CallerID: "order-1", Test: true,
		}),
		"event-plain":            FromEvent(&telltale.Event{ID: "evt_" + ulid, Type: telltale.Resubscribed, Source: "api", OccurredAt: at, ReceivedAt: at, Sequence: 1, Payload: []byte(`{}`)}),
		"events-accepted":        EventsAccepted{Accepted: 1, Duplicates: 1, Events: []EventAccepted{{ID: "evt_" + ulid}, {ID: "evt_" + ulid, Duplicate: true}}},
		"event-type":             FromEventType(telltale.Bounced),
		"event-type-operational": FromEventType(telltale.WebhookFailing),
		"delivery":               delivery,
		"replay": FromReplay(telltale.Replay{
			ID: "rpl_" + ulid, ProjectID: "prj_" + ulid, To: "whk_" + ulid, Rate: 2.5, State: telltale.ReplayFinished, Planned: 12, Made: 11, Succeeded: 9, Failed: 2, CreatedBy: "CI", CreatedAt: at, CompletedAt: at.Add(time.Minute),
			Selection: telltale.Selection{WebhookID: "whk_" + ulid, Which: telltale.WhichFailed, Types: telltale.NewEventTypeSet(telltale.Bounced), Since: at.Add(-time.Hour), Until: at},
		}),
		"replay-of-deliveries": FromReplay(telltale.Replay{ID: "rpl_" + ulid, State: telltale.ReplayRunning, Rate: 10, CreatedAt: at, Selection: telltale.Selection{Deliveries: []telltale.DeliveryID{"dlv_" + ulid}}}),
		"replay-planned": FromReplayPlan(telltale.ReplayPlan{
			Count: 25, Complete: true, ByType: map[telltale.EventType]int{telltale.Bounced: 20, telltale.Sent: 5}, ByWebhook: map[telltale.WebhookID]int{"whk_" + ulid: 25}, Oldest: at, OlderThan: 3,
		}, 10),
		"stats": Stats{Range: "24h", Total: FromStat(stat), Steps: []Stat{FromStat(telltale.Stat{Start: at, Retried: 1})}},
		"audit-entry": FromAuditEntry(telltale.AuditEntry{
			ID: "aud_" + ulid, ProjectID: "prj_" + ulid, At: at, Action: telltale.AuditWebhookChanged, Target: "whk_" + ulid, Name: "https://hooks.example.com/?a&b",
			Actor:   telltale.Actor{Kind: telltale.ActorOperator, ID: "opr_" + ulid, Name: "jo@example.com", RemoteAddr: "192.0.2.1", RequestID: "req_" + ulid},
			Changes: []telltale.AuditChange{{Field: "timeout", Before: "5s", After: "10s"}, {Field: "secret", Before: telltale.Redacted, After: telltale.Redacted}},
		}),
		"audit-entry-of-the-system": FromAuditEntry(telltale.AuditEntry{ID: "aud_" + ulid, At: at, Action: telltale.AuditLoginFailed, Actor: telltale.Actor{Kind: telltale.ActorSystem, Name: "telltale"}}),
		"delivery-one":              one,
		"attempt":                   FromAttempt(fullAttempt(), []byte(`{"type":"sent"}`)),
		"attempt-binary":            FromAttempt(binary, []byte(`{}`)),
		"attempt-unanswered":        FromAttempt(unanswered, []byte(`{}`)),
		"webhook-tested":            WebhookTested{Success: true, Message: "Test succeeded.", DeliveryID: "dlv_" + ulid, Attempt: FromAttempt(fullAttempt(), nil)},
		"bin":                       FromBin(telltale.Bin{ID: "kq3jv5m2x7a4d6cbnw2ytrhe", ProjectID: "prj_" + ulid, CreatedAt: at, ExpiresAt: at.Add(telltale.BinLifetime)}, "https://telltale.example"),
		"caught-request": FromCaughtRequest(telltale.CaughtRequest{
			ID: "req_" + ulid, BinID: "kq3jv5m2x7a4d6cbnw2ytrhe", ReceivedAt: at, RemoteAddr: "127.0.0.1:1", Method: "POST", Path: "/in/x?a=1",
			Headers: []telltale.Header{{Name: "Host", Value: "x"}}, Body: []byte("hi"), Truncated: true, Verdict: telltale.VerdictValid,
		}),
		"import": FromImport(telltale.Import{
			ID: "imp_" + ulid, ProjectID: "prj_" + ulid, Kind: telltale.ImportEvents, Name: "what was bought.csv", Conversions: true, State: telltale.ImportFailed,
			Bytes: 48_000_000, Place: 12_000_000, Rows: 250_000, Line: 250_001, Applied: 249_998, Refused: 2, Failure: "The file is gone.", CreatedBy: "CI", CreatedAt: at, CompletedAt: at,
		}),
		"refused-rows": FromRefusedRows([]telltale.RefusedRow{{Line: 4711, Reason: "The row has 3 fields and the head 4.", Row: []byte("7,\xff,<gold>")}}, true),
		"source": FromSource(&telltale.Source{
			ID: "src_" + ulid, ProjectID: "prj_" + ulid, Version: 3, Token: "s3cr3t", Provider: "sendgrid", Name: "SendGrid", Enabled: true,
			Credentials: map[string]string{"verification_key": "s3cr3t"}, Options: []string{"emit_sent"}, CreatedAt: at, UpdatedAt: at,
			Tally: telltale.SourceTally{Requests: 1200, Events: 4215, Duplicates: 12, Ignored: 87, Unrecognised: 3, Refused: 2, LastRequestAt: at, LastEventAt: at, LastFailure: "The signature does not match.", LastFailureAt: at.Add(time.Second)},
		}),
		"source-never-used":   FromSource(&telltale.Source{ID: "src_" + ulid, Version: 1, Provider: "postmark", Name: "Postmark", CreatedAt: at, UpdatedAt: at}),
		"source-tested":       SourceTested{Success: true, Message: "Test succeeded. 1 event was accepted.", Status: 200, Requests: 1, Accepted: 1},
		"unrecognised":        FromUnrecognised(telltale.UnrecognisedRequest{ID: "req_" + ulid, SourceID: "src_" + ulid, ReceivedAt: at, Reason: "The event has no name.", ContentType: "application/json", Body: []byte(`{"a":"<é>"}`), Size: 12}),
		"unrecognised-binary": FromUnrecognised(telltale.UnrecognisedRequest{ID: "req_" + ulid, ReceivedAt: at, Reason: "This is no JSON.", Body: []byte{0xff, 0x00}, Size: 2}),
		"provider": Provider{
			Name: "sendgrid", Title: "SendGrid", Credentials: []ProviderCredential{{Name: "verification_key", Label: "Verification key", Hint: "It begins with MFkw.", Open: true}},
			Options: []ProviderOption{{Name: "emit_sent", Label: "Report sent as well", Hint: "h"}}, Steps: []string{"Paste the URL."},
			Mapping: []ProviderMapping{{Event: "bounce", Type: "bounced", Detail: "hard"}, {Event: "deferred"}}, Metadata: "m", MetadataExample: "{}", Retries: "r", TestHint: "t",
		},
		"user": FromUser(&telltale.Profile{
			ID: "prf_" + ulid, UserID: "123", GivenID: "123", FormerIDs: []string{"s3"}, Email: "steve@example.com", Properties: properties, Tags: []string{"vip"},
			Channels: []telltale.Channel{{Type: "push", Address: "d1f7e8", Platform: "ios"}}, UnsubscribedAt: at, Suppression: telltale.SuppressedBounced, SuppressedAt: at, CreatedAt: at, UpdatedAt: at,
		}),
		"user-plain": FromUser(&telltale.Profile{ID: "prf_" + ulid, UserID: "steve@example.com", GivenID: `"steve@example.com"`, CreatedAt: at, UpdatedAt: at}),
		"page":       Page[Project]{Data: []Project{}, Next: &next},
		"page-empty": Page[Project]{Data: []Project{}},
		"problem":    Problem{Type: "/docs/errors#invalid", Title: "The request is invalid", Status: 422, Detail: "Invalid webhook.", Instance: "/v1/webhooks", RequestID: "req_" + ulid, Errors: []Fault{{Location: "body.url", Message: "m", Expected: "e", Value: "v"}}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := encode(t, form)
			golden(t, name, got)
			if name != "webhook-with-secret" && !strings.HasPrefix(name, "secrets") && bytes.Contains(got, []byte("s3cr3t")) {
				t.Errorf("a secret is shown: %s", got)
			}
			back := reflect.New(reflect.TypeOf(form))
			if err := json.Unmarshal(got, back.Interface()); err != nil {
				t.Fatalf("reading it back: %v", err)
			}
			if diff := cmp.Diff(string(got), string(encode(t, back.Interface()))); diff != "" {
				t.Errorf("read and written again (-want +got):\n%s", diff)
			}
		})
	}
}

func encode(t *testing.T, v any) []byte {
	t.Helper()
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(v); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name+".json")
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("%s (-want +got):\n%s", path, diff)
	}
}
