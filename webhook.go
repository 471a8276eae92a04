package telltale

import (
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"math"
	"net/textproto"
	"strings"
	"time"
)

// Webhook is a registered subscription: a URL, the event types it wants, and
// how deliveries to it are made. Values that are read from a store are
// snapshots, shared and not to be changed; a change makes a new one with a
// higher Version.
type Webhook struct {
	ID        WebhookID
	ProjectID ProjectID
	Version   int64 // rises with every change that a delivery could notice

	URL         string
	Events      EventTypeSet
	Description string

	Enabled        bool
	DisabledReason DisabledReason // empty while enabled
	DisabledAt     time.Time      // when it was disabled last; zero if it never was. Enabling keeps it
	Deleted        bool           // gone for everyone but its log; its unfinished deliveries are cancelled
	Health         Health         // kept by the store, from attempts that are not tests
	Standing       Standing       // what Health comes from; kept likewise, without a new Version

	Timeout       time.Duration // deadline over a whole attempt
	RetrySchedule Schedule      // nil is the default, empty is no retries
	RateLimit     float64       // attempts a second over the whole cluster; 0 means no limit
	Concurrency   int           // attempts at once over the whole cluster

	Headers         []CustomHeader
	BasicAuth       *BasicAuth
	SkipMachines    bool   // opens and clicks that a machine made are not owed to it
	Extensions      bool   // the body gains what Telltale knows, under the key "telltale"
	LegacySignature bool   // adds X-Signature: sha256=…
	Format          string // which contract the payload follows: [FormatVero2]

	// Secrets sign every request. The first is current and does not expire;
	// others are what rotations left, and sign beside it until they expire.
	Secrets []Secret

	CreatedAt, UpdatedAt time.Time
}

// DisabledReason says why a webhook is disabled.
type DisabledReason string

const (
	DisabledManual  DisabledReason = "manual"  // by an operator
	DisabledGone    DisabledReason = "gone"    // the receiver answered 410
	DisabledBlocked DisabledReason = "blocked" // its address may not be dialled, three times in a row
	DisabledFailing DisabledReason = "failing" // no success for too long
)

// Health sums up how a webhook's last attempt went.
type Health string

const (
	HealthNeverUsed Health = "never_used" // no attempt yet
	HealthHealthy   Health = "healthy"    // the last attempt succeeded
	HealthFailing   Health = "failing"    // the last attempt failed
)

// CustomHeader is a header that the webhook adds to every request. A secret
// value is sealed at rest and never logged or shown.
type CustomHeader struct {
	Name, Value string
	Secret      bool
}

// BasicAuth is the user and password that the webhook sends with every request.
type BasicAuth struct{ Username, Password string }

// Secret signs requests to one webhook.
type Secret struct {
	Value     string    // whsec_ and base64
	ExpiresAt time.Time // zero for the current one
}

// FormatVero2 is the payload contract of Vero 2.0's reporting webhooks.
const FormatVero2 = "vero-2.0"

// What a webhook is, where its maker says nothing, and how far each setting reaches.
const (
	DefaultTimeout     = 5 * time.Second // Vero's documented deadline
	MinTimeout         = time.Second
	MaxTimeout         = 30 * time.Second
	DefaultConcurrency = 4
	MaxConcurrency     = 100
	MaxRateLimit       = 10_000
	MaxURLLength       = 2048
	MaxCustomHeaders   = 20
	MaxHeaderValue     = 4096
	MaxDescription     = 500
	MaxSecretOverlap   = 7 * 24 * time.Hour
	DefaultOverlap     = 24 * time.Hour
	// MaxSecrets bounds how many secrets sign at once: the current one and
	// those of rotations in quick succession.
	MaxSecrets = 3
	// ReleaseRate is how many held deliveries a second go out after a webhook
	// without a rate limit is enabled.
	ReleaseRate = 10
)

// NewWebhook makes an enabled webhook of the project with an id, a fresh
// secret and defaults in everything else.
func NewWebhook(project ProjectID, url string, events EventTypeSet) Webhook {
	t := now()
	return Webhook{
		ID: NewWebhookID(), ProjectID: project, Version: 1,
		URL: url, Events: events,
		Enabled: true, Health: HealthNeverUsed,
		Timeout: DefaultTimeout, Concurrency: DefaultConcurrency, Format: FormatVero2,
		Secrets:   []Secret{{Value: NewSecret()}},
		CreatedAt: t, UpdatedAt: t,
	}
}

// NewSecret makes a signing secret of 32 random bytes.
func NewSecret() string {
	var b [32]byte
	rand.Read(b[:])
	return "whsec_" + base64.StdEncoding.EncodeToString(b[:])
}

// Wants reports whether an event of type t, accepted now, is owed to the
// webhook. Of opens and clicks, machine tells those that a machine made.
func (w *Webhook) Wants(t EventType, machine bool) bool {
	return w.Enabled && !w.Deleted && w.Covers(t, machine)
}

// Covers is Wants by the settings alone, whether the webhook is enabled or not.
func (w *Webhook) Covers(t EventType, machine bool) bool {
	return w.Events.Has(t) && !(w.SkipMachines && machine && (t == Opened || t == Clicked))
}

// SigningSecrets gives the secrets that sign at time t, the current one first.
func (w *Webhook) SigningSecrets(t time.Time) []string {
	values := make([]string, 0, len(w.Secrets))
	for _, s := range w.Secrets {
		if s.ExpiresAt.IsZero() || t.Before(s.ExpiresAt) {
			values = append(values, s.Value)
		}
	}
	return values
}

// RotateSecret gives the webhook a fresh current secret. The one before signs
// beside it for the overlap, which is 0 to [MaxSecretOverlap].
func (w *Webhook) RotateSecret(overlap time.Duration) {
	t := now()
	kept := []Secret{{Value: NewSecret()}}
	for _, s := range w.Secrets {
		if end := t.Add(overlap); s.ExpiresAt.IsZero() || s.ExpiresAt.After(end) {
			s.ExpiresAt = end
		}
		if s.ExpiresAt.After(t) && len(kept) < MaxSecrets {
			kept = append(kept, s)
		}
	}
	w.Secrets = kept
}

// Validate reports every rule that the webhook breaks as one [Invalid] error.
// Whether its URL may be dialled is the egress guard's to say, not ours.
func (w *Webhook) Validate() error {
	var faults []Fault
	fault := func(location, message, expected, value string) {
		faults = append(faults, Fault{Location: "body." + location, Message: message, Expected: expected, Value: CutValue(value)})
	}
	if w.URL == "" || len(w.URL) > MaxURLLength {
		fault("url", "The URL is missing or too long.", fmt.Sprintf("1 to %d characters", MaxURLLength), "")
	}
	if w.Events.Empty() {
		fault("events", "Choose at least one event.", `type names, or ["*"]`, "")
	}
	if len(w.Description) > MaxDescription || hasControl(w.Description) {
		fault("description", "The description is too long or has control characters.", fmt.Sprintf("at most %d bytes of text", MaxDescription), w.Description)
	}
	if w.Timeout < MinTimeout || w.Timeout > MaxTimeout {
		fault("timeout", "The timeout is out of range.", "1s to 30s", w.Timeout.String())
	}
	if math.IsNaN(w.RateLimit) || w.RateLimit < 0 || w.RateLimit > MaxRateLimit || (w.RateLimit > 0 && w.RateLimit < 0.01) {
		fault("rate_limit", "The rate limit is out of range.", fmt.Sprintf("0 (no limit), or 0.01 to %d requests per second", MaxRateLimit), fmt.Sprint(w.RateLimit))
	}
	if w.Concurrency < 1 || w.Concurrency > MaxConcurrency {
		fault("concurrency", "The number of parallel requests is out of range.", fmt.Sprintf("1 to %d", MaxConcurrency), fmt.Sprint(w.Concurrency))
	}
	if w.Format != FormatVero2 {
		fault("format", "There is no such payload format.", FormatVero2, w.Format)
	}
	faults = append(faults, w.RetrySchedule.faults()...)
	faults = append(faults, headerFaults(w.Headers, w.BasicAuth != nil)...)
	if a := w.BasicAuth; a != nil {
		if a.Username == "" || strings.Contains(a.Username, ":") || len(a.Username) > 255 || hasControl(a.Username) {
			fault("basic_auth.username", "The user name is empty, too long, or has a colon or control characters.", "1 to 255 bytes without a colon", "")
		}
		if len(a.Password) > 1024 || hasControl(a.Password) {
			fault("basic_auth.password", "The password is too long or has control characters.", "at most 1024 bytes", "")
		}
	}
	return Faulty("Invalid webhook.", faults)
}

// Check reports, as one [Invalid] error, the faults that were found in the form
// in which the webhook was asked for, the rules that it breaks, and what checkURL,
// the egress guard's, says of its URL.
func (w *Webhook) Check(faults []Fault, checkURL func(string) error) error {
	var broken *Error
	if err := w.Validate(); errors.As(err, &broken) {
		for _, f := range broken.Faults {
			if f.Location != "body.events" || !about(faults, "body.events") {
				faults = append(faults, f)
			}
		}
	} else if err != nil {
		return err
	}
	if !about(faults, "body.url") {
		if err := checkURL(w.URL); err != nil {
			f := Fault{Location: "body.url", Message: err.Error(), Value: CutValue(w.URL)}
			if strings.Contains(w.URL, "@") {
				f.Value = "" // it may hold a password
			}
			faults = append([]Fault{f}, faults...)
		}
	}
	return Faulty("Invalid webhook.", faults)
}

// about reports whether there is a fault at the location or below it.
func about(faults []Fault, location string) bool {
	for _, f := range faults {
		if strings.HasPrefix(f.Location, location) {
			return true
		}
	}
	return false
}

func (s Schedule) faults() []Fault {
	var faults []Fault
	if len(s) > MaxWaits {
		faults = append(faults, Fault{Location: "body.retry_schedule", Message: fmt.Sprintf("The schedule has %d waits.", len(s)), Expected: fmt.Sprintf("at most %d", MaxWaits)})
	}
	var span time.Duration
	for i, wait := range s {
		if wait < time.Second || wait > MaxScheduleSpan {
			faults = append(faults, Fault{Location: fmt.Sprintf("body.retry_schedule[%d]", i), Message: "The wait is out of range.", Expected: "1s to 720h", Value: wait.String()})
			return faults
		}
		span += wait
	}
	if span > MaxScheduleSpan {
		faults = append(faults, Fault{Location: "body.retry_schedule", Message: "The waits add up to more than 30 days.", Expected: "at most 720h in all", Value: span.String()})
	}
	return faults
}

// reservedHeaders are set by the sender or by HTTP itself. An idempotency key
// is among them because Go's transport silently posts again when it sees one.
var reservedHeaders = map[string]bool{
	"host": true, "content-length": true, "content-type": true, "content-encoding": true, "transfer-encoding": true,
	"connection": true, "keep-alive": true, "proxy-connection": true, "proxy-authorization": true, "te": true, "trailer": true, "upgrade": true, "expect": true,
	"user-agent": true, "accept-encoding": true, "x-signature": true, "idempotency-key": true, "x-idempotency-key": true,
}

func headerFaults(headers []CustomHeader, basicAuth bool) []Fault {
	var faults []Fault
	if len(headers) > MaxCustomHeaders {
		faults = append(faults, Fault{Location: "body.headers", Message: fmt.Sprintf("There are %d headers.", len(headers)), Expected: fmt.Sprintf("at most %d", MaxCustomHeaders)})
	}
	seen := map[string]bool{}
	for _, h := range headers {
		at := "body.headers." + CutValue(h.Name)
		name := strings.ToLower(h.Name)
		switch {
		case !validHeaderName(h.Name):
			faults = append(faults, Fault{Location: at, Message: "This is no header name.", Expected: "1 to 100 letters, digits and hyphens"})
		case reservedHeaders[name] || strings.HasPrefix(name, "webhook-") || strings.HasPrefix(name, "telltale-"):
			faults = append(faults, Fault{Location: at, Message: "Telltale or HTTP sets this header itself.", Expected: "another name"})
		case name == "authorization" && basicAuth:
			faults = append(faults, Fault{Location: at, Message: "Basic authentication sets this header already.", Expected: "one of the two"})
		case seen[name]:
			faults = append(faults, Fault{Location: at, Message: "The header is there twice.", Expected: "each name once"})
		}
		if len(h.Value) > MaxHeaderValue || strings.TrimSpace(h.Value) != h.Value || !printableASCII(h.Value) {
			faults = append(faults, Fault{Location: at, Message: "The value is too long, padded, or not printable ASCII.", Expected: fmt.Sprintf("at most %d printable characters", MaxHeaderValue)})
		}
		seen[name] = true
	}
	return faults
}

func validHeaderName(s string) bool {
	if s == "" || len(s) > 100 {
		return false
	}
	for _, c := range []byte(s) {
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '-' && c != '_' {
			return false
		}
	}
	return textproto.TrimString(s) == s
}

func printableASCII(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r > '~' })
}

// WebhookChanges lists the settings in which two versions of a webhook differ,
// for the audit log; before is nil for one that is new. Secret values are
// redacted, and the signing secrets left out.
func WebhookChanges(before, after *Webhook) []AuditChange {
	if before == nil {
		before = &Webhook{}
	}
	var changes []AuditChange
	note := func(field, was, is string) {
		if was != is {
			changes = append(changes, AuditChange{Field: field, Before: was, After: is})
		}
	}
	note("url", before.URL, after.URL)
	note("events", before.Events.String(), after.Events.String())
	note("description", before.Description, after.Description)
	note("timeout", settingOf(before.Timeout), settingOf(after.Timeout))
	note("retry_schedule", before.RetrySchedule.String(), after.RetrySchedule.String())
	note("rate_limit", settingOf(before.RateLimit), settingOf(after.RateLimit))
	note("concurrency", settingOf(before.Concurrency), settingOf(after.Concurrency))
	note("skip_machines", settingOf(before.SkipMachines), settingOf(after.SkipMachines))
	note("extensions", settingOf(before.Extensions), settingOf(after.Extensions))
	note("legacy_signature", settingOf(before.LegacySignature), settingOf(after.LegacySignature))
	note("format", before.Format, after.Format)
	changes = append(changes, headerChanges(before.Headers, after.Headers)...)
	switch was, is := before.BasicAuth, after.BasicAuth; {
	case was == nil && is == nil:
	case was == nil:
		note("basic_auth", "", is.Username+":"+Redacted)
	case is == nil:
		note("basic_auth", was.Username+":"+Redacted, "")
	case *was != *is:
		changes = append(changes, AuditChange{Field: "basic_auth", Before: was.Username + ":" + Redacted, After: is.Username + ":" + Redacted})
	}
	return changes
}

// settingOf writes a setting; what is at its zero is left out.
func settingOf[T comparable](v T) string {
	var zero T
	if v == zero {
		return ""
	}
	return fmt.Sprint(v)
}

func headerChanges(before, after []CustomHeader) []AuditChange {
	var changes []AuditChange
	value := func(h CustomHeader) string {
		if h.Secret {
			return Redacted
		}
		return h.Value
	}
	find := func(in []CustomHeader, name string) (CustomHeader, bool) {
		for _, h := range in {
			if strings.EqualFold(h.Name, name) {
				return h, true
			}
		}
		return CustomHeader{}, false
	}
	for _, was := range before {
		if is, ok := find(after, was.Name); !ok {
			changes = append(changes, AuditChange{Field: "headers." + was.Name, Before: value(was)})
		} else if is != was {
			changes = append(changes, AuditChange{Field: "headers." + was.Name, Before: value(was), After: value(is)})
		}
	}
	for _, is := range after {
		if _, ok := find(before, is.Name); !ok {
			changes = append(changes, AuditChange{Field: "headers." + is.Name, After: value(is)})
		}
	}
	return changes
}
