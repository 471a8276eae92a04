package web

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"net/url"
	"slices"
	"strings"
	"time"

	"telltale.example/telltale"
)

// rowsPerPage is how many rows a list has.
const rowsPerPage = 50

// patience is how long a page looks for rows that a filter leaves. Then it
// shows what it found, and the way to look on.
const patience = 20 * time.Millisecond

// deliveriesView is the delivery log.
type deliveriesView struct {
	frame
	Filter   deliveryFilter
	Rows     []deliveryRow
	Webhooks map[telltale.WebhookID]*telltale.Webhook
	Count    string
	Searched time.Time // how far, if there may be more; else zero
	Newer    bool      // it went towards the newest
	Pager    pager
}

// deliveryFilter is what the address of the page says.
type deliveryFilter struct {
	State, Event, Webhook, Answer, Range, Since, Until, Q, Replay string

	Found    string // what the search box was taken for
	delivery telltale.DeliveryID
	telltale.DeliveryFilter
}

// noState is a state in which no delivery is.
const noState telltale.State = "none"

// deliveryRow is a delivery as lists show it.
type deliveryRow struct {
	telltale.Delivery
	Webhook *telltale.Webhook // nil if it was deleted
}

func (d deliveryRow) Badge() badge { return stateBadge(d.Delivery) }

// Host is what people know the webhook by.
func (d deliveryRow) Host() string {
	if d.Webhook == nil {
		return "deleted webhook"
	}
	return whereTo(d.Webhook.URL)
}

// Response sums up what came of the last attempt.
func (d deliveryRow) Response() string {
	switch a := d.Last; {
	case a == nil:
		return ""
	case a.Status != 0:
		return fmt.Sprintf("%d · %s", a.Status, telltale.FormatDuration(a.Duration))
	default:
		return errorWord(a.Error) + " · " + telltale.FormatDuration(a.Duration)
	}
}

// errorWord names an error class in a cell.
func errorWord(e telltale.ErrorClass) string {
	switch e {
	case telltale.ErrorTimeout:
		return "Timeout"
	case telltale.ErrorDNS:
		return "Name not found"
	case telltale.ErrorConnect:
		return "No connection"
	case telltale.ErrorTLS:
		return "TLS failed"
	case telltale.ErrorReset:
		return "Connection closed"
	case telltale.ErrorProtocol:
		return "Not HTTP"
	case telltale.ErrorBlockedAddress:
		return "Address not allowed"
	case telltale.ErrorTooLarge:
		return "Answer too large"
	case telltale.ErrorInterrupted:
		return "Interrupted"
	}
	return "Failed"
}

// Attempts says how far the retry schedule is: "3 of 12".
func (d deliveryRow) Attempts() string {
	text := count(d.AttemptCount)
	if d.State == telltale.StateWaiting && d.AttemptCount > 0 && d.Webhook != nil {
		if of := scheduled(d.Webhook.RetrySchedule); of >= d.AttemptCount {
			text += " of " + count(of)
		}
	}
	return text
}

// Next is when it is retried; zero if it is not, or at once.
func (d deliveryRow) Next() time.Time {
	if d.State == telltale.StateWaiting && d.AttemptCount > 0 && time.Until(d.DueAt) > 0 {
		return d.DueAt
	}
	return time.Time{}
}

// scheduled is how many attempts a schedule makes.
func scheduled(s telltale.Schedule) int {
	if s == nil {
		s = telltale.DefaultSchedule()
	}
	return len(s) + 1
}

// What the filter's menus offer.

// states are what the filter calls the states: as the badges do, which tell a
// first attempt from a retry.
var states = []struct {
	name, text string
	state      telltale.State
	attempted  *bool
}{
	{"waiting", "Waiting", telltale.StateWaiting, new(false)},
	{"retrying", "Retrying", telltale.StateWaiting, new(true)},
	{"pending", "Waiting or retrying", telltale.StateWaiting, nil},
	{"sending", "Sending", telltale.StateSending, nil},
	{"succeeded", "Succeeded", telltale.StateSucceeded, nil},
	{"failed", "Failed", telltale.StateFailed, nil},
	{"held", "Held", telltale.StateHeld, nil},
	{"cancelled", "Cancelled", telltale.StateCancelled, nil},
}

func (f deliveryFilter) States() []option {
	pairs := []string{"", "Any"}
	for _, s := range states {
		pairs = append(pairs, s.name, s.text)
	}
	return options(f.State, pairs...)
}

func (f deliveryFilter) Events() []option { return eventOptions(f.Event) }

func eventOptions(chosen string) []option {
	pairs := []string{"", "Any"}
	for _, t := range telltale.EveryEventType() {
		pairs = append(pairs, string(t), shortLabel(t))
	}
	return options(chosen, pairs...)
}

func (f deliveryFilter) Answers() []option {
	return options(f.Answer, "", "Any", "2xx", "2xx", "3xx", "3xx", "4xx", "4xx", "5xx", "5xx", "none", "None")
}

func (f deliveryFilter) Ranges() []option {
	return options(f.Range, "", "All", "1h", "1 hour", "24h", "24 hours", "7d", "7 days", "30d", "30 days", "custom", "From … to …")
}

// Exact reports whether the fields for an exact time are shown.
func (f deliveryFilter) Exact() bool { return f.Range == "custom" || f.Since != "" || f.Until != "" }

// Chips name what narrows the list and is not in a menu.
func (f deliveryFilter) Chips() []string {
	var chips []string
	if f.Found != "" {
		chips = append(chips, f.Found+": "+f.Q)
	}
	if f.Replay != "" {
		chips = append(chips, "replay: "+f.Replay)
	}
	return chips
}

// Query is the filter as it stands in the address.
func (f deliveryFilter) Query() url.Values {
	q := url.Values{}
	for name, value := range map[string]string{
		"state": f.State, "event": f.Event, "webhook": f.Webhook, "answer": f.Answer, "range": f.Range, "since": f.Since, "until": f.Until, "q": f.Q, "replay": f.Replay,
	} {
		if value != "" {
			q.Set(name, value)
		}
	}
	return q
}

// Narrow reports whether there is anything to clear.
func (f deliveryFilter) Narrow() bool { return len(f.Query()) > 0 }

// ranges are the spans of time that lists offer.
var ranges = map[string]time.Duration{"1h": time.Hour, "24h": 24 * time.Hour, "7d": 7 * 24 * time.Hour, "30d": 30 * 24 * time.Hour}

// localTime is how a browser writes a date and time field.
const localTime = "2006-01-02T15:04"

// between reads a span of time out of a filter. What cannot be read does not narrow.
func between(name, since, until string) (from, to time.Time) {
	if span, ok := ranges[name]; ok {
		return time.Now().Add(-span), time.Time{}
	}
	if name == "custom" || name == "" {
		from, to = readLocal(since), readLocal(until)
	}
	return from, to
}

// readLocal reads what a date and time field has, or a time of the API; zero if
// it is neither.
func readLocal(text string) time.Time {
	for _, layout := range []string{localTime, "2006-01-02T15:04:05", time.RFC3339Nano} {
		if t, err := time.Parse(layout, text); err == nil {
			return t.UTC()
		}
	}
	return time.Time{}
}

// parseDeliveryFilter reads the address. Unknown values narrow to nothing that
// exists; they are shown as they are, to be cleared.
func parseDeliveryFilter(q url.Values) deliveryFilter {
	f := deliveryFilter{
		State: q.Get("state"), Event: q.Get("event"), Webhook: q.Get("webhook"), Answer: q.Get("answer"),
		Range: q.Get("range"), Since: q.Get("since"), Until: q.Get("until"), Q: strings.TrimSpace(q.Get("q")), Replay: q.Get("replay"),
	}
	f.DeliveryFilter = telltale.DeliveryFilter{
		State: telltale.State(f.State), Type: telltale.EventType(f.Event), WebhookID: telltale.WebhookID(f.Webhook), ReplayID: telltale.ReplayID(f.Replay),
	}
	for _, s := range states {
		if s.name == f.State {
			f.DeliveryFilter.State, f.Attempted = s.state, s.attempted
		}
	}
	for a := telltale.Answer2xx; a < telltale.Answers; a++ {
		if a.String() == f.Answer {
			f.DeliveryFilter.Answer = &a
		}
	}
	f.DeliveryFilter.Since, f.DeliveryFilter.Until = between(f.Range, f.Since, f.Until)
	switch id, kind := found(f.Q); kind {
	case "delivery id":
		f.Found, f.delivery = kind, telltale.DeliveryID(id)
		f.DeliveryFilter.State = noState // the list has nothing: it is found by itself
	case "event id":
		f.Found, f.EventID = kind, telltale.EventID(id)
	default:
		f.Found, f.Match = kind, id
	}
	return f
}

// found tells what the one search box holds, and what is looked for by it.
func found(q string) (value, kind string) {
	switch {
	case q == "":
		return "", ""
	case telltale.ValidID("dlv_", q):
		return q, "delivery id"
	case telltale.ValidID("evt_", q):
		return q, "event id"
	case strings.HasPrefix(q, "<") && strings.HasSuffix(q, ">"):
		return telltale.CanonicalMessageID(q), "message id"
	case strings.Contains(q, "@"):
		return telltale.CanonicalMessageID(q), "email or message id"
	}
	return telltale.CanonicalMessageID(q), "user id or message id"
}

func deliveriesPage(c *call) error {
	f := parseDeliveryFilter(c.r.URL.Query())
	if f.delivery != "" {
		if _, err := c.Store.Delivery(c.r.Context(), c.project.ID, f.delivery); err == nil {
			return c.redirect(c.path("/deliveries/" + string(f.delivery)))
		}
	}
	p := &deliveriesView{frame: frame{Title: "Deliveries", Section: "deliveries", Wide: true}, Filter: f}
	if c.atTop() {
		p.Live = "deliveries"
	}
	if err := c.listDeliveries(p); err != nil {
		return err
	}
	if failing, err := c.countFailing(); err == nil && failing > 0 {
		p.State = "(" + count(failing) + " failing)"
	}
	return c.page("deliveries", p)
}

// atTop reports whether a list is asked for from its newest row on, which is
// where new ones appear.
func (c *call) atTop() bool {
	q := c.r.URL.Query()
	return q.Get("after") == "" && q.Get("before") == ""
}

func (c *call) listDeliveries(p *deliveriesView) (err error) {
	ctx := c.r.Context()
	if p.from, err = c.Live.End(ctx); err != nil {
		return err
	}
	if p.Webhooks, err = c.webhooksByID(); err != nil {
		return err
	}
	var found telltale.DeliverySearch
	rows, pager, err := c.listed(p.Filter.Query(), func(page telltale.Page) (int, func(int) string, func(int, int), error) {
		found, err = c.Store.SearchDeliveries(ctx, c.project.ID, p.Filter.DeliveryFilter, page, patience)
		p.Rows, p.Newer = c.deliveryRows(found.Found, p.Webhooks), page.Before != ""
		return len(p.Rows), func(i int) string { return string(p.Rows[i].ID) }, func(from, to int) { p.Rows = p.Rows[from:to] }, err
	})
	if err != nil {
		return err
	}
	p.Pager = pager
	n, more := rows, false
	switch {
	case found.Reached != "":
		more, p.Searched = true, found.ReachedAt
		if p.Newer {
			p.Pager.Newer = c.pageURL(p.Filter.Query(), "before", string(found.Reached))
		} else {
			p.Pager.Older = c.pageURL(p.Filter.Query(), "after", string(found.Reached))
		}
	case rows >= rowsPerPage || !c.atTop():
		if n, more, err = c.Store.CountDeliveries(ctx, c.project.ID, p.Filter.DeliveryFilter, telltale.MaxCount); err != nil {
			return err
		}
	}
	p.Count = countedSoFar(max(n, rows), more, "delivery", "deliveries")
	return nil
}

// listed reads one page of a list, and says how its neighbours are reached. read
// reads a page into the view; it gives the number of rows, their ids, and a way to
// cut them.
func (c *call) listed(query url.Values, read func(telltale.Page) (int, func(int) string, func(from, to int), error)) (rows int, p pager, err error) {
	q := c.r.URL.Query()
	page := telltale.Page{Limit: rowsPerPage + 1, After: q.Get("after"), Before: q.Get("before")}
	if page.Before != "" {
		page.After = ""
	}
	n, id, cut, err := read(page)
	if telltale.CodeOf(err) == telltale.Invalid { // a cursor that someone made up
		page.After, page.Before = "", ""
		n, id, cut, err = read(page)
	}
	if err != nil {
		return 0, p, err
	}
	more := n > rowsPerPage
	from, to := 0, min(n, rowsPerPage)
	if more && page.Before != "" { // the nearest to the cursor are the oldest
		from, to = n-rowsPerPage, n
	}
	older, newer := more, page.After != ""
	if page.Before != "" {
		older, newer = true, more
	}
	if older && to > from {
		p.Older = c.pageURL(query, "after", id(to-1))
	}
	if newer && to > from {
		p.Newer = c.pageURL(query, "before", id(from))
	}
	cut(from, to)
	return to - from, p, nil
}

// pageURL is the list from a row on.
func (c *call) pageURL(query url.Values, name, id string) string {
	next := maps.Clone(query)
	next.Set(name, id)
	return c.r.URL.Path + "?" + next.Encode()
}

func (c *call) webhooksByID() (map[telltale.WebhookID]*telltale.Webhook, error) {
	all, err := c.allWebhooks()
	byID := make(map[telltale.WebhookID]*telltale.Webhook, len(all))
	for _, w := range all {
		byID[w.ID] = w
	}
	return byID, err
}

func (c *call) deliveryRows(deliveries []telltale.Delivery, webhooks map[telltale.WebhookID]*telltale.Webhook) []deliveryRow {
	rows := make([]deliveryRow, len(deliveries))
	for i, d := range deliveries {
		rows[i] = deliveryRow{d, webhooks[d.WebhookID]}
	}
	return rows
}

// WebhookOptions are the filter's webhooks, by host.
func (p *deliveriesView) WebhookOptions() []option {
	return webhookOptions("Any", p.Filter.Webhook, p.Webhooks)
}

// webhookOptions lists webhooks by URL, behind what none of them is called.
func webhookOptions(none, chosen string, webhooks map[telltale.WebhookID]*telltale.Webhook) []option {
	list := []option{{"", none, chosen == ""}}
	for id, w := range webhooks {
		list = append(list, option{string(id), whereTo(w.URL), string(id) == chosen})
	}
	slices.SortFunc(list[1:], func(a, b option) int { return strings.Compare(a.Text, b.Text) })
	if _, known := webhooks[telltale.WebhookID(chosen)]; !known && chosen != "" {
		list = append(list, option{chosen, "A deleted webhook", true})
	}
	return list
}

// ExportURL is the same list as a file.
func (p *deliveriesView) ExportURL(kind string) string {
	return p.Path("/deliveries/export."+kind) + "?" + p.Filter.Query().Encode()
}

// ReplayURL hands the filter to a replay.
func (p *deliveriesView) ReplayURL() string {
	return p.Path("/replays/new") + "?" + p.Filter.Query().Encode()
}

// deliveryView is one delivery with every attempt.
type deliveryView struct {
	frame
	Delivery deliveryRow
	Event    *telltale.Event
	Attempts []attemptView // newest first
	bodies   bool          // and what else went out and came back is shown
}

// attemptView is an attempt as people read it.
type attemptView struct {
	telltale.Attempt
	Open       bool
	Body       []byte // what was sent
	SameAs     int    // the number of the attempt that shows the same body; 0: it is shown here
	ShowBodies bool
}

func (a attemptView) Badge() badge {
	if a.Success() {
		return badge{"ok", "●", "Succeeded"}
	}
	return badge{"bad", "✕", "Failed"}
}

func (a attemptView) TriggerWord() string {
	return map[telltale.Trigger]string{
		telltale.TriggerAutomatic: "Automatic", telltale.TriggerManual: "Retried by hand", telltale.TriggerTest: "Test", telltale.TriggerReplay: "Replay",
	}[a.Trigger]
}

// Pretty is a body with its lines set apart if it is JSON: digits and order stay.
func (a attemptView) Pretty() string   { return pretty(a.Body) }
func (a attemptView) Raw() string      { return string(a.Body) }
func (a attemptView) RawName() string  { return "Exact bytes, " + byteCount(int64(len(a.Body))) }
func (a attemptView) Answer() string   { return pretty(a.Response.Body) }
func (a attemptView) StatusOf() string { return statusLine(a.Status) }

// Curl is the request as a command.
func (a attemptView) Curl() string { return curl(a.Request, a.Body) }

// Sizes of the bar that shows where the time went.
const (
	barWidth  = 400.0
	leastPart = 2.0 // of a part that took any time
)

// Took are the parts of the attempt's time.
func (a attemptView) Took() []timePart {
	rest := a.Duration - a.Timing.DNS - a.Timing.Connect - a.Timing.TLS - a.Timing.FirstByte
	parts := []timePart{
		{"DNS", a.Timing.DNS, classQuiet, 0, 0}, {"Connect", a.Timing.Connect, classWarn, 0, 0}, {"TLS", a.Timing.TLS, classBad, 0, 0},
		{"First byte", a.Timing.FirstByte, classAccent, 0, 0}, {"Rest", max(rest, 0), classOK, 0, 0},
	}
	parts = slices.DeleteFunc(parts, func(p timePart) bool { return p.Took < time.Microsecond })
	x := 0.0
	for i := range parts {
		parts[i].X = hundredths(x)
		parts[i].Width = hundredths(max(leastPart, (barWidth-leastPart*float64(len(parts)))*float64(parts[i].Took)/float64(max(a.Duration, 1))))
		x += parts[i].Width
	}
	return parts
}

// Text writes the time of a part, short as it may be.
func (p timePart) Text() string {
	if p.Took < 10*time.Millisecond {
		return coordinate(math.Max(0.1, math.Round(p.Took.Seconds()*1e4)/10)) + " ms"
	}
	return telltale.FormatDuration(p.Took)
}

// timePart is a piece of the bar that shows where the time went.
type timePart struct {
	Name     string
	Took     time.Duration
	Class    string
	X, Width float64
}

// maxPretty bounds what is set apart for people, in bytes.
const maxPretty = 512 << 10

func pretty(body []byte) string {
	var b bytes.Buffer
	if len(body) > maxPretty || json.Indent(&b, body, "", "  ") != nil {
		return printable(body)
	}
	return escapeBidi(b.String())
}

// escapeBidi writes the characters that turn the direction of text, in JSON, as
// the escapes that stand for them: what is shown is what is there, in its order.
func escapeBidi(text string) string {
	if !strings.ContainsFunc(text, turnsText) {
		return text
	}
	var b strings.Builder
	for _, r := range text {
		if turnsText(r) {
			fmt.Fprintf(&b, `\u%04x`, r)
		} else {
			b.WriteRune(r)
		}
	}
	return b.String()
}

// turnsText reports whether r is one of Unicode's Bidi_Control characters.
func turnsText(r rune) bool {
	return r == '\u061c' || r == '\u200e' || r == '\u200f' || r >= '\u202a' && r <= '\u202e' || r >= '\u2066' && r <= '\u2069'
}

// printable shows what is no text as what it is, and control characters, such as
// begin the colours of a terminal, by their pictures: whoever copies them into one
// is not surprised.
func printable(body []byte) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\t':
			return r
		case r < ' ':
			return '\u2400' + r
		case r == 0x7f:
			return '\u2421'
		case turnsText(r):
			return '\uFFFD'
		}
		return r
	}, strings.ToValidUTF8(strings.ReplaceAll(string(body), "\r\n", "\n"), "\uFFFD"))
}

func statusLine(status int) string {
	if status == 0 {
		return "no answer"
	}
	return strings.TrimSpace(fmt.Sprintf("%d %s", status, statusText(status)))
}

// curl writes a request as a command for a shell. Redacted values stay so.
func curl(r telltale.SentRequest, body []byte) string {
	quote := func(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }
	var b strings.Builder
	fmt.Fprintf(&b, "curl -i -X %s %s", r.Method, quote(r.URL))
	for _, h := range r.Headers {
		if strings.EqualFold(h.Name, "Content-Length") || strings.EqualFold(h.Name, "Host") {
			continue
		}
		fmt.Fprintf(&b, " \\\n  -H %s", quote(h.Name+": "+h.Value))
	}
	fmt.Fprintf(&b, " \\\n  --data-binary %s", quote(string(body)))
	return b.String()
}

func deliveryPage(c *call) error {
	ctx := c.r.Context()
	from, err := c.Live.End(ctx)
	if err != nil {
		return err
	}
	id := telltale.DeliveryID(c.r.PathValue("delivery"))
	d, err := c.Store.Delivery(ctx, c.project.ID, id)
	if err != nil {
		return orNoPage(err, "There is no such delivery."+c.retentionHint())
	}
	e, err := c.Store.Event(ctx, c.project.ID, d.EventID)
	if err != nil {
		return orNoPage(err, "There is no such delivery."+c.retentionHint())
	}
	w, err := c.Store.Webhook(ctx, c.project.ID, d.WebhookID)
	if err != nil && telltale.CodeOf(err) != telltale.NotFound {
		return err
	}
	p := &deliveryView{Delivery: deliveryRow{d, w}, Event: e, bodies: c.who.Role.May(telltale.MayBodies)}
	p.frame = frame{
		Title: d.EventType.Label() + " to " + p.Delivery.Host(), Section: "deliveries",
		Crumbs: []link{{"Deliveries", c.path("/deliveries")}, {string(d.ID), ""}},
	}
	p.from = from
	if d.CompletedAt.IsZero() {
		p.Live = string(d.ID)
	}
	for i, a := range slices.Backward(d.Attempts) {
		view := attemptView{Attempt: a, Open: i == len(d.Attempts)-1, ShowBodies: p.bodies}
		if view.ShowBodies {
			view.Body = e.SentBody(a.Request.Headers, w != nil && w.Extensions)
			if len(p.Attempts) > 0 && bytes.Equal(view.Body, p.Attempts[0].Body) {
				view.SameAs = p.Attempts[0].Number
			}
		}
		p.Attempts = append(p.Attempts, view)
	}
	if c.partial() && c.r.URL.Query().Has("drawer") {
		return c.part("delivery", "drawer", p) // beside the list
	}
	return c.page("delivery", p)
}

// At is the page's path.
func (p *deliveryView) At() string { return p.Path("/deliveries/" + string(p.Delivery.ID)) }

// Tab is what the browser's tab says while the delivery is open beside the list.
func (p *deliveryView) Tab() string {
	return p.Title + " · " + p.Project().Name + " · Telltale"
}

// Link is the page's address for others.
func (p *deliveryView) Link() string {
	return p.call.PublicURL + p.At()
}

// retentionHint says why something that was there may not be.
func (c *call) retentionHint() string {
	if c.Retention == 0 {
		return ""
	}
	return fmt.Sprintf(" If it is older than %d days, it was removed by the retention rule.", int(c.Retention/(24*time.Hour)))
}

// Sentence says in words where the delivery stands.
func (p *deliveryView) Sentence() string {
	d := p.Delivery
	attempts := counted(d.AttemptCount, "attempt", "attempts")
	switch d.State {
	case telltale.StateSucceeded:
		return "Succeeded after " + attempts + "."
	case telltale.StateFailed:
		return "Failed after " + attempts + "."
	case telltale.StateHeld:
		return "Held: the webhook is off. It goes out when the webhook is turned on."
	case telltale.StateCancelled:
		return "Cancelled: nothing more is attempted."
	case telltale.StateSending:
		return "An attempt is under way."
	}
	if d.AttemptCount > 0 {
		return attempts + " so far."
	}
	return "Waiting for its first attempt."
}

// Cause says what went wrong last, and Fix what to do about it, unless it succeeded.
func (p *deliveryView) Cause() string {
	if len(p.Attempts) == 0 {
		return ""
	}
	if a := p.Attempts[0]; !a.Success() {
		return a.Sentence()
	}
	return ""
}

func (p *deliveryView) Fix() string {
	if len(p.Attempts) == 0 {
		return ""
	}
	return p.Attempts[0].Fix()
}

// MayRetry, MayStop and MayReplay are the actions that the state allows.
func (p *deliveryView) MayRetry() bool {
	return p.MayChange() && p.Delivery.Webhook != nil && p.Delivery.Webhook.Enabled && (p.Delivery.State == telltale.StateWaiting || p.Delivery.State == telltale.StateFailed) && !p.Delivery.Test
}

func (p *deliveryView) MayStop() bool {
	return p.MayChange() && (p.Delivery.State == telltale.StateWaiting || p.Delivery.State == telltale.StateHeld) && !p.Delivery.Test
}

func (p *deliveryView) MayReplay() bool {
	return p.MayChange() && p.Delivery.Webhook != nil && !p.Delivery.Test && !p.Delivery.CompletedAt.IsZero()
}

func retryDelivery(c *call) error {
	id := telltale.DeliveryID(c.r.PathValue("delivery"))
	to := c.path("/deliveries/" + string(id))
	d, err := c.Store.RetryDelivery(c.r.Context(), c.project.ID, id)
	switch {
	case telltale.CodeOf(err) == telltale.Conflict:
		return c.done(to, notice{Kind: "bad", Text: messageOf(err)})
	case err != nil:
		return orNoPage(err, "There is no such delivery.")
	}
	c.due(d.WebhookID)
	return c.done(to, notice{Kind: "ok", Text: "One attempt is made now."})
}

// due tells the dispatcher; one that is not told finds the delivery by itself.
func (c *call) due(id telltale.WebhookID) {
	if w, err := c.Store.Webhook(c.r.Context(), c.project.ID, id); err == nil {
		c.Dispatcher.Due(w)
	}
}

func stopDelivery(c *call) error {
	id := telltale.DeliveryID(c.r.PathValue("delivery"))
	to := c.path("/deliveries/" + string(id))
	_, err := c.Store.CancelDelivery(c.r.Context(), c.project.ID, id)
	switch {
	case telltale.CodeOf(err) == telltale.Conflict:
		return c.done(to, notice{Kind: "bad", Text: messageOf(err)})
	case err != nil:
		return orNoPage(err, "There is no such delivery.")
	}
	return c.done(to, notice{Kind: "ok", Text: "Retries stopped.", Detail: "The delivery is cancelled; it can be replayed."})
}

// chosen gives the deliveries that were ticked, each once.
func chosen(values []string) ([]telltale.DeliveryID, error) {
	var ids []telltale.DeliveryID
	for _, id := range values {
		if slices.Contains(ids, telltale.DeliveryID(id)) {
			continue
		}
		if !telltale.ValidID("dlv_", id) {
			return nil, telltale.Errorf(telltale.Malformed, "%q is no delivery's id.", telltale.CutValue(id))
		}
		ids = append(ids, telltale.DeliveryID(id))
	}
	if len(ids) > telltale.MaxReplayDeliveries {
		return nil, telltale.Errorf(telltale.TooLarge, "Choose at most %d deliveries at once.", telltale.MaxReplayDeliveries)
	}
	return ids, nil
}

func stopDeliveries(c *call) error {
	f, err := c.form()
	if err != nil {
		return err
	}
	ids, err := chosen(f.Values["id"])
	if err != nil {
		return err
	}
	stopped := 0
	for _, id := range ids {
		switch _, err := c.Store.CancelDelivery(c.r.Context(), c.project.ID, id); telltale.CodeOf(err) {
		case "":
			stopped++
		case telltale.Conflict, telltale.NotFound: // it has ended meanwhile
		default:
			return err
		}
	}
	n := notice{Kind: "ok", Text: "Retries of " + counted(stopped, "delivery", "deliveries") + " stopped."}
	if left := len(ids) - stopped; left > 0 {
		n.Detail = counted(left, "other had", "others had") + " ended already."
	}
	return c.done(c.backToList(f), n)
}

// backToList is the list with the filter that the form was sent from.
func (c *call) backToList(f *form) string {
	if query, err := url.ParseQuery(f.Values.Get("filter")); err == nil && len(query) > 0 {
		return c.path("/deliveries") + "?" + query.Encode()
	}
	return c.path("/deliveries")
}
