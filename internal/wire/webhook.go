package wire

import (
	"slices"
	"strings"
	"time"

	"telltale.example/telltale"
)

// Webhook is a webhook as it is read.
type Webhook struct {
	ID              string        `json:"id" example:"whk_01JD0000000000000000000000"`
	Version         int64         `json:"version" doc:"Rises with every change of the settings, the secrets, and whether it is enabled; also the ETag, in quotes. How attempts go does not change it." example:"7"`
	URL             string        `json:"url" example:"https://hooks.example.com/telltale"`
	Events          []string      `json:"events" nullable:"false" doc:"Type names, or * alone for the twelve." example:"sent,bounced"`
	Description     string        `json:"description" example:"Into the CRM"`
	Enabled         bool          `json:"enabled" example:"true"`
	DisabledReason  string        `json:"disabled_reason,omitempty" enum:"manual,gone,blocked,failing" doc:"manual: by someone. gone: the receiver answered 410. blocked: its address may not be dialled. failing: no success for too long. Left out while enabled."`
	DisabledAt      Time          `json:"disabled_at,omitzero" format:"date-time" doc:"When it was disabled last." example:"2026-11-20T09:30:00.000Z"`
	Health          string        `json:"health" enum:"never_used,healthy,failing" doc:"How the last attempt went." example:"healthy"`
	LastSuccessAt   Time          `json:"last_success_at,omitzero" format:"date-time" doc:"When an attempt succeeded last, to the minute." example:"2026-11-20T09:30:00.000Z"`
	FailingSince    Time          `json:"failing_since,omitzero" format:"date-time" doc:"When the first attempt after the last success failed." example:"2026-11-20T09:30:00.000Z"`
	Failures        int           `json:"failures" doc:"Attempts that have failed since then. Answers of 429 do not count." example:"0"`
	Breaker         Breaker       `json:"breaker" doc:"What spares a receiver that fails."`
	Timeout         Duration      `json:"timeout" doc:"The deadline over a whole attempt." example:"5s"`
	RetrySchedule   []Duration    `json:"retry_schedule" nullable:"false" doc:"The waits between attempts; empty means no retries. The default has eleven, and its last one repeats until three days have passed." example:"[\"5s\",\"30s\",\"2m\"]"`
	RateLimit       float64       `json:"rate_limit" doc:"Attempts a second; 0 means no limit." example:"0"`
	Concurrency     int           `json:"concurrency" doc:"Attempts at once." example:"4"`
	Headers         CustomHeaders `json:"headers" doc:"Headers added to every request. The value of a secret one is not shown."`
	BasicAuth       *BasicAuth    `json:"basic_auth,omitempty" doc:"Left out if there is none."`
	SkipMachines    bool          `json:"skip_machines" doc:"Opens and clicks that are known to be a machine's are not sent."`
	Extensions      bool          `json:"extensions" doc:"The body gains what Telltale knows, under the key telltale."`
	LegacySignature bool          `json:"legacy_signature" doc:"Requests carry X-Signature: sha256=… too."`
	Format          string        `json:"format" enum:"vero-2.0" doc:"The contract that payloads follow." example:"vero-2.0"`
	CreatedAt       Time          `json:"created_at" format:"date-time" example:"2026-11-20T09:30:00.000Z"`
	UpdatedAt       Time          `json:"updated_at" format:"date-time" example:"2026-11-20T09:30:00.000Z"`
	Missed          *int          `json:"missed,omitempty" doc:"How many events that it wants came in while it was disabled. Only in the answer to enabling it." example:"12"`
	Secret          string        `json:"secret,omitempty" doc:"What signs requests. Only in the answers that make it: to creating the webhook and to rotating its secret." example:"whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="`
	Note            string        `json:"note,omitempty" doc:"Where the secret is, in the answer to a request that was repeated: answers are kept without secrets."`
}

// Breaker is where a webhook's breaker stands.
type Breaker struct {
	State string `json:"state" enum:"closed,open,closing" doc:"closed: deliveries go as they like. open: nothing is attempted, but for a single probe after a while. closing: the probe succeeded, and deliveries speed up step by step." example:"closed"`
	Until Time   `json:"until,omitzero" format:"date-time" doc:"While it is open: when the probe may go." example:"2026-11-20T09:31:00.000Z"`
}

// BasicAuth is the user of basic authentication as it is read.
type BasicAuth struct {
	Username string `json:"username" example:"telltale"`
	Password string `json:"password,omitempty" doc:"[redacted], if there is one." example:"[redacted]"`
}

// FromWebhook gives the JSON form, without any secret.
func FromWebhook(w *telltale.Webhook) Webhook {
	out := Webhook{
		ID: string(w.ID), Version: w.Version, URL: w.URL, Events: w.Events.Names(), Description: w.Description,
		Enabled: w.Enabled, DisabledReason: string(w.DisabledReason), DisabledAt: Time{w.DisabledAt},
		Health: string(w.Health), LastSuccessAt: Time{w.Standing.LastSuccessAt}, FailingSince: Time{w.Standing.FailingSince},
		Failures: w.Standing.Failures, Breaker: Breaker{State: w.Standing.Breaker.State.Name()},
		Timeout: Duration(w.Timeout), RetrySchedule: durations(w.RetrySchedule),
		RateLimit: w.RateLimit, Concurrency: w.Concurrency, Headers: redacted(w.Headers),
		SkipMachines: w.SkipMachines, Extensions: w.Extensions, LegacySignature: w.LegacySignature, Format: w.Format,
		CreatedAt: Time{w.CreatedAt}, UpdatedAt: Time{w.UpdatedAt},
	}
	if b := w.Standing.Breaker; b.State == telltale.BreakerOpen {
		out.Breaker.Until = Time{b.Until}
	}
	if a := w.BasicAuth; a != nil {
		out.BasicAuth = &BasicAuth{Username: a.Username}
		if a.Password != "" {
			out.BasicAuth.Password = telltale.Redacted
		}
	}
	return out
}

// ETag is the version as HTTP has it.
func (w Webhook) ETag() string { return etag(w.Version) }

// WithoutSecrets is the form in which an answer is kept for when its request is
// repeated.
func (w Webhook) WithoutSecrets() any {
	if w.Secret != "" {
		w.Secret, w.Note = "", "The secret was in the first answer to this request. GET /v1/webhooks/"+w.ID+"/secret shows it."
	}
	return w
}

func redacted(headers []telltale.CustomHeader) CustomHeaders {
	shown := make(CustomHeaders, len(headers))
	for i, h := range headers {
		if h.Secret {
			h.Value = telltale.Redacted
		}
		shown[i] = h
	}
	return shown
}

func durations(s telltale.Schedule) []Duration {
	if s == nil {
		s = telltale.DefaultSchedule()
	}
	waits := make([]Duration, len(s))
	for i, wait := range s {
		waits[i] = Duration(wait)
	}
	return waits
}

// schedule takes the default's very waits for the default, so that what was
// read can be sent back.
func schedule(waits []Duration) telltale.Schedule {
	s := make(telltale.Schedule, len(waits))
	for i, wait := range waits {
		s[i] = time.Duration(wait)
	}
	if slices.Equal(s, telltale.DefaultSchedule()) {
		return nil
	}
	return s
}

// WebhookCreate makes a webhook.
type WebhookCreate struct {
	URL    string   `json:"url" doc:"Where events are posted to." example:"https://hooks.example.com/telltale"`
	Events []string `json:"events" nullable:"false" doc:"Type names, or * for the twelve." example:"sent,bounced"`
	WebhookSettings
}

// New makes the webhook in the project, which is still to be validated, and
// gives what is wrong with the form.
func (c *WebhookCreate) New(project telltale.ProjectID) (telltale.Webhook, []telltale.Fault) {
	events, faults := telltale.ParseEventTypeSet(c.Events, "body.events")
	w := telltale.NewWebhook(project, c.URL, events)
	return w, append(faults, c.apply(&w)...)
}

// WebhookPatch changes a webhook: JSON Merge Patch.
type WebhookPatch struct {
	URL    Change[string]   `json:"url,omitzero" doc:"Where events are posted to. It cannot be null." example:"https://hooks.example.com/telltale"`
	Events Change[[]string] `json:"events,omitzero" doc:"Type names, or * for the twelve. It cannot be null." example:"sent,bounced"`
	WebhookSettings
}

// Apply changes w, which is still to be validated, and gives what is wrong with
// the form. It shares nothing with what w shared before.
func (p *WebhookPatch) Apply(w *telltale.Webhook) []telltale.Fault {
	w.URL = p.URL.Or(w.URL, "")
	var faults []telltale.Fault
	switch {
	case p.Events.Null:
		w.Events = 0
	case p.Events.Set:
		w.Events, faults = telltale.ParseEventTypeSet(p.Events.Value, "body.events")
	}
	return append(faults, p.apply(w)...)
}

// WebhookSettings are what may be set about a webhook, beside where it sends what.
type WebhookSettings struct {
	Description     Change[string]         `json:"description,omitzero" doc:"At most 500 bytes, for people." example:"Into the CRM"`
	Timeout         Change[Duration]       `json:"timeout,omitzero" doc:"The deadline over a whole attempt, 1s to 30s; the default is 5s." example:"5s"`
	RetrySchedule   Change[[]Duration]     `json:"retry_schedule,omitzero" doc:"The waits between attempts: at most 20, 720h in all. [] means no retries, null the default schedule: twelve attempts over about three days." example:"[\"5s\",\"1m\",\"1h\"]"`
	RateLimit       Change[float64]        `json:"rate_limit,omitzero" doc:"Attempts a second: 0.01 to 10000, or 0, the default, for no limit." example:"25"`
	Concurrency     Change[int]            `json:"concurrency,omitzero" doc:"Attempts at once: 1 to 100; the default is 4." example:"4"`
	Headers         Change[HeaderChanges]  `json:"headers,omitzero" doc:"Headers to add to every request, at most 20. Each value is a string, {\"value\":…,\"secret\":true} for one that is not to be shown again, or null to remove the header; others stay. null removes them all."`
	BasicAuth       Change[BasicAuthPatch] `json:"basic_auth,omitzero" doc:"User and password to send with every request; null for none."`
	SkipMachines    Change[bool]           `json:"skip_machines,omitzero" doc:"Opens and clicks that are known to be a machine's, such as a mail client that fetches ahead, are not sent; the default is false."`
	Extensions      Change[bool]           `json:"extensions,omitzero" doc:"The body gains what Telltale knows, under the key telltale; the default is false."`
	LegacySignature Change[bool]           `json:"legacy_signature,omitzero" doc:"Requests carry X-Signature: sha256=… too; the default is false."`
	Format          Change[string]         `json:"format,omitzero" doc:"The contract that payloads follow: vero-2.0." example:"vero-2.0"`
}

// BasicAuthPatch changes the user or the password of basic authentication.
type BasicAuthPatch struct {
	Username Change[string] `json:"username,omitzero" doc:"1 to 255 bytes without a colon." example:"telltale"`
	Password Change[string] `json:"password,omitzero" format:"password" doc:"At most 1024 bytes; [redacted] keeps the one that is there." example:"correct horse battery staple"`
}

func (s *WebhookSettings) apply(w *telltale.Webhook) []telltale.Fault {
	w.Description = s.Description.Or(w.Description, "")
	w.Timeout = time.Duration(s.Timeout.Or(Duration(w.Timeout), Duration(telltale.DefaultTimeout)))
	switch {
	case s.RetrySchedule.Null:
		w.RetrySchedule = nil
	case s.RetrySchedule.Set:
		w.RetrySchedule = schedule(s.RetrySchedule.Value)
	}
	w.RateLimit = s.RateLimit.Or(w.RateLimit, 0)
	w.Concurrency = s.Concurrency.Or(w.Concurrency, telltale.DefaultConcurrency)
	w.SkipMachines = s.SkipMachines.Or(w.SkipMachines, false)
	w.Extensions = s.Extensions.Or(w.Extensions, false)
	w.LegacySignature = s.LegacySignature.Or(w.LegacySignature, false)
	w.Format = s.Format.Or(w.Format, telltale.FormatVero2)

	var faults []telltale.Fault
	switch {
	case s.Headers.Null:
		w.Headers = nil
	case s.Headers.Set:
		w.Headers, faults = s.Headers.Value.merge(w.Headers)
	}
	switch {
	case s.BasicAuth.Null:
		w.BasicAuth = nil
	case s.BasicAuth.Set:
		var fault *telltale.Fault
		if w.BasicAuth, fault = s.BasicAuth.Value.merge(w.BasicAuth); fault != nil {
			faults = append(faults, *fault)
		}
	}
	return faults
}

// merge gives the headers with the changes made, each in its old place or at the end.
func (h HeaderChanges) merge(old []telltale.CustomHeader) ([]telltale.CustomHeader, []telltale.Fault) {
	headers := slices.Clone(old)
	var faults []telltale.Fault
	for i, c := range h {
		fault := func(message, expected string) {
			faults = append(faults, telltale.Fault{Location: "body.headers." + telltale.CutValue(c.Name), Message: message, Expected: expected})
		}
		if slices.ContainsFunc(h[:i], func(before HeaderChange) bool { return strings.EqualFold(before.Name, c.Name) }) {
			fault("The header is there twice.", "each name once, in whatever case")
			continue
		}
		at := slices.IndexFunc(headers, func(h telltale.CustomHeader) bool { return strings.EqualFold(h.Name, c.Name) })
		if c.Remove {
			if at >= 0 {
				headers = slices.Delete(headers, at, at+1)
			}
			continue
		}
		var was telltale.CustomHeader
		if at >= 0 {
			was = headers[at]
		}
		is := telltale.CustomHeader{Name: c.Name, Value: c.Value.Or(was.Value, ""), Secret: c.Secret.Or(was.Secret, false)}
		kept := !c.Value.Set || c.Value.Value == telltale.Redacted && (was.Secret || is.Secret)
		switch {
		case kept && at < 0:
			fault("There is no value to keep.", "a value")
			continue
		case kept && was.Secret && !is.Secret:
			fault("A secret value is not shown again.", "a new value, to make the header one that is shown")
			continue
		case kept:
			is.Value = was.Value
		}
		if at >= 0 {
			headers[at] = is
		} else {
			headers = append(headers, is)
		}
	}
	return headers, faults
}

func (p BasicAuthPatch) merge(old *telltale.BasicAuth) (*telltale.BasicAuth, *telltale.Fault) {
	var is telltale.BasicAuth
	if old != nil {
		is = *old
	}
	is.Username = p.Username.Or(is.Username, "")
	if p.Password.Value == telltale.Redacted {
		if old == nil || old.Password == "" {
			return old, &telltale.Fault{Location: "body.basic_auth.password", Message: "There is no password to keep.", Expected: "a password"}
		}
		return &is, nil
	}
	is.Password = p.Password.Or(is.Password, "")
	return &is, nil
}

// WebhookTest asks for a test.
type WebhookTest struct {
	Event string `json:"event,omitempty" enum:"sent,delivered,opened,clicked,failed,bounced,converted,unsubscribed,resubscribed,complained,user_created,user_updated,webhook.failing,webhook.disabled,webhook.recovered,delivery.failed" doc:"The type of the sample to send; the first type that the webhook wants, if left out." example:"sent"`
}

// WebhookTested is how a test went.
type WebhookTested struct {
	Success    bool    `json:"success" example:"true"`
	Message    string  `json:"message" doc:"How it went, and what to do about it, in words." example:"Test succeeded. hooks.example.com answered 200 OK in 12 ms."`
	DeliveryID string  `json:"delivery_id" example:"dlv_01JD0000000000000000000000"`
	Attempt    Attempt `json:"attempt"`
}

// SecretRotation asks for a fresh secret.
type SecretRotation struct {
	Overlap Change[Duration] `json:"overlap,omitzero" doc:"How long the secret before signs beside the new one: 0s to 168h; the default is 24h." example:"24h"`
}

// Secrets are what signs a webhook's requests.
type Secrets struct {
	Secret   string      `json:"secret" example:"whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="`
	Previous []OldSecret `json:"previous" nullable:"false" doc:"What rotations left, and signs beside it until it expires."`
}

// OldSecret is a secret that a rotation left.
type OldSecret struct {
	Secret    string `json:"secret" example:"whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="`
	ExpiresAt Time   `json:"expires_at" format:"date-time" example:"2026-11-21T09:30:00.000Z"`
}

// SecretsOf shows the webhook's secrets that sign at time t. The current one
// comes first in a webhook.
func SecretsOf(w *telltale.Webhook, t time.Time) Secrets {
	s := Secrets{Previous: []OldSecret{}}
	for _, secret := range w.Secrets {
		switch {
		case secret.ExpiresAt.IsZero():
			s.Secret = secret.Value
		case t.Before(secret.ExpiresAt):
			s.Previous = append(s.Previous, OldSecret{Secret: secret.Value, ExpiresAt: Time{secret.ExpiresAt}})
		}
	}
	return s
}
