package web

import (
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"time"

	"telltale.example/telltale"
)

// The form of a webhook, by the names of its fields. Headers have a row each:
// header-0-name, header-0-value, header-0-secret.
const (
	fieldURL         = "url"
	fieldEvent       = "event" // several; "*" for all
	fieldDescription = "description"
	fieldTimeout     = "timeout"  // seconds
	fieldRetry       = "retry"    // default, own or none
	fieldWaits       = "waits"    // of one's own
	fieldRate        = "rate"     // a second; empty for no limit
	fieldParallel    = "parallel" // requests
	fieldAuth        = "auth"     // none or basic
	fieldUser        = "auth-user"
	fieldPassword    = "auth-password" // empty keeps the one that is there
	fieldSkip        = "skip-machines"
	fieldExtensions  = "extensions"
	fieldLegacy      = "legacy"
	fieldVersion     = "version" // of the webhook that the form was filled in from
)

const (
	retryDefault = "default"
	retryOwn     = "own"
	retryNone    = "none"
	authNone     = "none"
	authBasic    = "basic"
)

// fieldOrder is the order of the fields on the page, for the summary of what is wrong.
var fieldOrder = []string{
	fieldURL, fieldEvent, fieldDescription, fieldTimeout, fieldRetry, fieldWaits, fieldRate, fieldParallel, "header", fieldAuth, fieldUser, fieldPassword,
}

// webhookValues fills in the form from a webhook. Secret values stay out of it.
func webhookValues(w *telltale.Webhook) url.Values {
	v := url.Values{
		fieldURL: {w.URL}, fieldEvent: w.Events.Names(), fieldDescription: {w.Description},
		fieldTimeout:  {strconv.FormatFloat(w.Timeout.Seconds(), 'f', -1, 64)},
		fieldRetry:    {retryDefault},
		fieldParallel: {strconv.Itoa(w.Concurrency)},
		fieldAuth:     {authNone},
		fieldVersion:  {strconv.FormatInt(w.Version, 10)},
	}
	switch {
	case w.RetrySchedule == nil:
	case len(w.RetrySchedule) == 0:
		v.Set(fieldRetry, retryNone)
	default:
		v.Set(fieldRetry, retryOwn)
		v.Set(fieldWaits, waitsText(w.RetrySchedule))
	}
	if w.RateLimit > 0 {
		v.Set(fieldRate, strconv.FormatFloat(w.RateLimit, 'f', -1, 64))
	}
	for i, h := range w.Headers {
		v.Set(headerField(i, "name"), h.Name)
		if h.Secret {
			v.Set(headerField(i, "secret"), "on")
		} else {
			v.Set(headerField(i, "value"), h.Value)
		}
	}
	if w.BasicAuth != nil {
		v.Set(fieldAuth, authBasic)
		v.Set(fieldUser, w.BasicAuth.Username)
	}
	for field, on := range map[string]bool{fieldSkip: w.SkipMachines, fieldExtensions: w.Extensions, fieldLegacy: w.LegacySignature} {
		if on {
			v.Set(field, "on")
		}
	}
	return v
}

func headerField(row int, part string) string { return fmt.Sprintf("header-%d-%s", row, part) }

// maxHeaderRows bounds the rows that are looked at: more than a webhook may
// have, so that too many are told.
const maxHeaderRows = telltale.MaxCustomHeaders + 5

// readWebhook sets w, a copy that nobody shares, to what the form says, and
// notes in the form what cannot be read. Whether what it says is allowed is asked later.
func readWebhook(f *form, w *telltale.Webhook) {
	w.URL = f.text(fieldURL)
	events, unknown := telltale.ParseEventTypeSet(f.Values[fieldEvent], "body.events")
	w.Events = events
	if len(unknown) > 0 {
		f.fault(fieldEvent, "There is no such event.")
	}
	w.Description = f.text(fieldDescription)
	w.Timeout = telltale.DefaultTimeout
	if n, ok := f.number(fieldTimeout, "seconds"); ok {
		w.Timeout = time.Duration(n * float64(time.Second))
	}
	w.RateLimit = 0
	if n, ok := f.number(fieldRate, "requests a second"); ok {
		if w.RateLimit = n; n == 0 {
			f.fault(fieldRate, "Leave the rate limit empty for no limit.")
		}
	}
	w.Concurrency = telltale.DefaultConcurrency
	if text := f.text(fieldParallel); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil {
			f.fault(fieldParallel, "Write the parallel requests as a whole number, such as 4.")
		} else {
			w.Concurrency = n
		}
	}
	readRetries(f, w)
	readHeaders(f, w)
	readAuth(f, w)
	w.SkipMachines, w.Extensions, w.LegacySignature = f.ticked(fieldSkip), f.ticked(fieldExtensions), f.ticked(fieldLegacy)
}

// number reads a field as a number that is not below zero; ok is false if it is
// empty, or wrong.
func (f *form) number(field, unit string) (n float64, ok bool) {
	text := f.text(field)
	if text == "" {
		return 0, false
	}
	n, err := strconv.ParseFloat(strings.Replace(text, ",", ".", 1), 64)
	if err != nil || n < 0 || n > 1e6 || n != n {
		f.fault(field, "Write the "+unit+" as a number, such as 5.")
		return 0, false
	}
	return n, true
}

func readRetries(f *form, w *telltale.Webhook) {
	switch f.text(fieldRetry) {
	case retryNone:
		w.RetrySchedule = telltale.Schedule{}
	case retryOwn:
		waits, wrong := parseWaits(f.Values.Get(fieldWaits))
		switch {
		case len(wrong) > 0:
			f.fault(fieldWaits, fmt.Sprintf("%q is no wait. Write waits as 30s, 5m, 2h or 3d.", wrong[0]))
		case len(waits) == 0:
			f.fault(fieldWaits, "Write at least one wait, such as 30s 5m 2h, or turn retries off.")
		default:
			w.RetrySchedule = waits
		}
	default:
		w.RetrySchedule = nil
	}
}

func readHeaders(f *form, w *telltale.Webhook) {
	before := map[string]telltale.CustomHeader{}
	for _, h := range w.Headers {
		before[strings.ToLower(h.Name)] = h
	}
	w.Headers = nil
	for row := range maxHeaderRows {
		h := telltale.CustomHeader{
			Name: f.text(headerField(row, "name")), Value: f.text(headerField(row, "value")), Secret: f.ticked(headerField(row, "secret")),
		}
		was, known := before[strings.ToLower(h.Name)]
		switch {
		case h.Name == "" && h.Value == "":
			continue // a row that was left empty or emptied
		case h.Name == "":
			f.fault(headerField(row, "name"), "Name the header.")
			continue
		case h.Value == "" && known && was.Secret && h.Secret:
			h.Value = was.Value
		case h.Value == "" && known && was.Secret:
			f.fault(headerField(row, "value"), "A secret value is not shown again. Enter it to make the header one that is shown.")
			continue
		case h.Value == "" && h.Secret:
			f.fault(headerField(row, "value"), "Enter the value.")
			continue
		}
		w.Headers = append(w.Headers, h)
	}
}

func readAuth(f *form, w *telltale.Webhook) {
	if f.text(fieldAuth) != authBasic {
		w.BasicAuth = nil
		return
	}
	is := telltale.BasicAuth{Username: f.Values.Get(fieldUser), Password: f.Values.Get(fieldPassword)}
	if w.BasicAuth != nil && is.Password == "" {
		is.Password = w.BasicAuth.Password
	}
	w.BasicAuth = &is
}

// webhookFields gives the field for what the rules of webhooks call its place,
// and what would be right in the words of the form.
var webhookFields = map[string]struct{ field, right string }{
	"url":                 {fieldURL, ""},
	"events":              {fieldEvent, ""},
	"description":         {fieldDescription, "Use at most 500 characters."},
	"timeout":             {fieldTimeout, "Use 1 to 30 seconds."},
	"retry_schedule":      {fieldWaits, "Use at most 20 waits of at least a second, at most 30 days in all."},
	"rate_limit":          {fieldRate, "Use 0.01 to 10\u202f000 requests a second, or leave it empty for no limit."},
	"concurrency":         {fieldParallel, "Use 1 to 100."},
	"headers":             {"header", ""},
	"basic_auth.username": {fieldUser, ""},
	"basic_auth.password": {fieldPassword, ""},
}

// blameWebhook notes in the form what [telltale.Webhook.Check] found, one fault
// a field. Other errors it gives back.
func blameWebhook(f *form, w *telltale.Webhook, err error) error {
	var e *telltale.Error
	if !errors.As(err, &e) || e.Code != telltale.Invalid {
		return err
	}
	for _, fault := range e.Faults {
		place := strings.TrimPrefix(fault.Location, "body.")
		name, header := strings.CutPrefix(place, "headers.")
		place, _, _ = strings.Cut(place, "[")
		known := webhookFields[place]
		field, message := known.field, fault.Message
		switch {
		case header:
			field = rowOf(f, name)
			message = strings.TrimSuffix(message, ".") + ": " + fault.Expected + "."
		case known.right != "":
			message += " " + known.right
		case field == "":
			field = place
		}
		if field == fieldURL && w.URL == "" {
			message = "Enter the URL that should receive the events."
		}
		if f.Fault(field) == "" {
			f.fault(field, message)
		}
	}
	return nil
}

// rowOf finds the last row with a header of that name, as faults cut it.
func rowOf(f *form, name string) string {
	for row := maxHeaderRows - 1; row >= 0; row-- {
		if is := f.text(headerField(row, "name")); is != "" && telltale.CutValue(is) == name {
			return headerField(row, "name")
		}
	}
	return headerField(0, "name")
}

// duplicateOf says which webhook of the same URL receives some of the same
// events already; it is empty if none does.
func duplicateOf(w *telltale.Webhook, others []*telltale.Webhook) string {
	var same telltale.EventTypeSet
	for _, o := range others {
		if o.ID != w.ID && o.URL == w.URL {
			same |= o.Events & w.Events
		}
	}
	if same.Empty() {
		return ""
	}
	return hostnameOf(w.URL) + " already receives " + eventList(same) + ". Save anyway?"
}

// eventList names event types in a sentence.
func eventList(s telltale.EventTypeSet) string {
	names := eventNames(s, shortLabel)
	if names[0] == allEvents {
		names[0] = "all events"
	}
	if last := len(names) - 1; last > 0 {
		return strings.Join(names[:last], ", ") + " and " + names[last]
	}
	return names[0]
}

// allEvents stands for the twelve; operational ones have to be named.
const allEvents = "All events"

// eventNames names the types of a set that is not empty.
func eventNames(s telltale.EventTypeSet, name func(telltale.EventType) string) []string {
	var names []string
	if s&telltale.AllEventTypes == telltale.AllEventTypes {
		names = append(names, allEvents)
		s &^= telltale.AllEventTypes
	}
	for _, t := range s.Types() {
		names = append(names, name(t))
	}
	return names
}

// shortLabel is the label without what stands in brackets behind it.
func shortLabel(t telltale.EventType) string {
	label, _, _ := strings.Cut(t.Label(), " (")
	return label
}

// hostnameOf is the host of a URL without its port, as sentences name it.
func hostnameOf(address string) string {
	if u, err := url.Parse(address); err == nil && u.Hostname() != "" {
		return u.Hostname()
	}
	return address
}

// preset is what we know to suit a well-known receiver.
type preset struct {
	Sentence string
	Rate     string // for the field
}

// presetFor gives the preset for a URL, nil if there is none.
func presetFor(address string) *preset {
	u, err := url.Parse(address)
	if err != nil {
		return nil
	}
	host := strings.ToLower(u.Hostname())
	switch {
	case host == "hooks.zapier.com":
		// /hooks/catch/{user}/{hook}/; the older form has no user, and a lower limit.
		if parts := strings.Split(strings.Trim(u.Path, "/"), "/"); len(parts) == 3 && parts[0] == "hooks" && parts[1] == "catch" {
			return &preset{"This looks like an older Zapier hook. Use 3 requests/s?", "3"}
		}
		return &preset{"This looks like a Zapier hook. Use 25 requests/s?", "25"}
	case strings.HasPrefix(host, "hook.") && (strings.HasSuffix(host, ".make.com") || strings.HasSuffix(host, ".integromat.com")):
		return &preset{"This looks like a Make hook. Use 10 requests/s?", "10"}
	case strings.HasSuffix(host, ".n8n.cloud"):
		return &preset{"This looks like an n8n webhook. Use 10 requests/s?", "10"}
	}
	return nil
}

// urlWarnings says what is allowed about a URL and still worth a word.
func urlWarnings(address string) []string {
	u, err := url.Parse(address)
	if err != nil {
		return nil
	}
	var said []string
	if strings.EqualFold(u.Scheme, "http") && !isLoopback(u.Hostname()) {
		said = append(said, "Sends personal data unencrypted. Use https if you can.")
	}
	if strings.Contains(u.Path, "/webhook-test/") {
		said = append(said, "This n8n URL only works while you press Listen. Use the production URL, with /webhook/ in it.")
	}
	return said
}

func isLoopback(host string) bool {
	if host == "localhost" || strings.HasSuffix(host, ".localhost") {
		return true
	}
	addr, err := netip.ParseAddr(host)
	return err == nil && addr.IsLoopback()
}

// receiverNote is what people should know about a well-known receiver when they
// look at how its webhook fares.
func receiverNote(address string) string {
	if strings.EqualFold(hostnameOf(address), "hooks.zapier.com") {
		return "Zapier answers 200 even when a Zap is off. Check the Zap's history to confirm runs."
	}
	return ""
}
