package web

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"time"

	"telltale.example/telltale"
)

// editView is the form in which a webhook is made or changed: a dialog over the
// list, and a page of its own where there is no JavaScript.
type editView struct {
	frame
	Form     *form
	Webhook  *telltale.Webhook // that is changed; nil for a new one
	Dialog   bool
	Open     bool   // more options are shown
	Focus    string // the field that the person works on
	Headers  []headerRow
	Advice   advice
	Repeats  string // who receives the same already, and whether to save anyway
	Left     bool   // secrets of the webhook that was duplicated were left behind
	Conflict *conflict
}

type headerRow struct {
	Row                   int
	Name, Value           string
	Secret, Kept          bool // Kept: there is a secret value, which an empty field keeps
	NameFault, ValueFault string
}

// Field gives the name of the row's field.
func (h headerRow) Field(part string) string { return headerField(h.Row, part) }

// advice is what there is to say about a URL that may be saved.
type advice struct {
	Preset   *preset
	Warnings []string
}

func adviceOn(address string) advice { return advice{presetFor(address), urlWarnings(address)} }

// conflict says that someone else has changed the webhook since the form was filled in.
type conflict struct {
	At      time.Time
	Version int64 // that is overwritten, if one wants to
}

// eventChoice is a tick box of the form.
type eventChoice struct {
	Type   telltale.EventType
	Chosen bool
}

// Events are the types in the order of the original's form.
func (p *editView) Events() []eventChoice {
	return p.choices(telltale.EventTypes())
}

// Operational are the types that are about Telltale's own work.
func (p *editView) Operational() []eventChoice { return p.choices(telltale.OperationalEventTypes()) }

func (p *editView) choices(types []telltale.EventType) []eventChoice {
	list := make([]eventChoice, len(types))
	for i, t := range types {
		list[i] = eventChoice{t, slices.Contains(p.Form.Values[fieldEvent], string(t))}
	}
	return list
}

// All reports whether "All events" is ticked.
func (p *editView) All() bool { return slices.Contains(p.Form.Values[fieldEvent], "*") }

// Is reports whether a field has the value: for radio buttons and tick boxes.
func (p *editView) Is(field, value string) bool { return p.Form.Value(field) == value }

// DefaultSchedule says what retries come to where nobody says otherwise.
func (p *editView) DefaultSchedule() string { return scheduleText(nil) }

// Action is where the form goes.
func (p *editView) Action() string {
	if p.Webhook == nil {
		return p.call.path(webhooksPath + "/new")
	}
	return p.call.webhookPath(p.Webhook.ID, "/edit")
}

// PasswordHint stands in the empty field of the password.
func (p *editView) PasswordHint() string {
	if p.Webhook != nil && p.Webhook.BasicAuth != nil && p.Webhook.BasicAuth.Password != "" {
		return "Unchanged"
	}
	return ""
}

// newWebhookPage shows the empty form, or one filled in from another webhook.
func newWebhookPage(c *call) error {
	w, left := telltale.NewWebhook(c.project.ID, "", 0), false
	if from := c.r.URL.Query().Get("from"); from != "" {
		other, err := c.Store.Webhook(c.r.Context(), c.project.ID, telltale.WebhookID(from))
		if err != nil {
			return orNoPage(err, "There is no such webhook to duplicate. It may have been deleted.")
		}
		w = duplicate(other)
		left = len(w.Headers) < len(other.Headers) || other.BasicAuth != nil
	}
	return c.showEdit(http.StatusOK, &editView{Form: &form{Values: webhookValues(&w)}, Left: left})
}

// duplicate gives a new webhook with another's settings, but for what is secret.
func duplicate(of *telltale.Webhook) telltale.Webhook {
	w := *of
	w.Headers = slices.DeleteFunc(slices.Clone(of.Headers), func(h telltale.CustomHeader) bool { return h.Secret })
	w.BasicAuth = nil
	return w
}

func editWebhookPage(c *call) error {
	w, err := c.webhook()
	if err != nil {
		return err
	}
	return c.showEdit(http.StatusOK, &editView{Form: &form{Values: webhookValues(w)}, Webhook: w})
}

// showEdit completes the form and shows it.
func (c *call) showEdit(status int, p *editView) error {
	p.Dialog = c.partial()
	p.frame = frame{Title: "Add webhook", Section: "webhooks", Crumbs: settingsCrumbs(c)}
	if p.Webhook != nil {
		p.Title = "Edit webhook"
	}
	p.Advice = adviceOn(p.Form.text(fieldURL))
	p.headerRows()
	slices.SortStableFunc(p.Form.Faults, func(a, b fieldFault) int { return fieldPlace(a.Field) - fieldPlace(b.Field) })
	p.Open = p.Open || c.r.Method == http.MethodPost && p.customised()
	for _, f := range p.Form.Faults {
		p.Open = p.Open || f.Field != fieldURL && f.Field != fieldEvent
	}
	switch {
	case p.Dialog && c.r.Method == http.MethodGet:
		return c.render(status, "webhook-edit", "dialog", p)
	case p.Dialog:
		return c.render(status, "webhook-edit", "form", p)
	}
	return c.answer(status, "webhook-edit", p)
}

// customised reports whether the form has any of the further options.
func (p *editView) customised() bool {
	def := telltale.NewWebhook("", "", 0)
	usual := webhookValues(&def)
	for _, field := range []string{fieldDescription, fieldTimeout, fieldRetry, fieldWaits, fieldRate, fieldParallel, fieldAuth, fieldUser, fieldSkip, fieldExtensions, fieldLegacy} {
		if p.Form.text(field) != usual.Get(field) {
			return true
		}
	}
	events, _ := telltale.ParseEventTypeSet(p.Form.Values[fieldEvent], "")
	return p.Form.text(headerField(0, "name")) != "" || events&^telltale.AllEventTypes != 0
}

// headerRows lays out the headers, with empty rows behind them.
func (p *editView) headerRows() {
	last := -1
	for row := range maxHeaderRows {
		if p.Form.text(headerField(row, "name")) != "" || p.Form.text(headerField(row, "value")) != "" {
			last = row
		}
	}
	for row := range min(max(last+2, p.rows()), maxHeaderRows) { // an empty one behind the last
		h := headerRow{
			Row: row, Name: p.Form.text(headerField(row, "name")), Value: p.Form.text(headerField(row, "value")), Secret: p.Form.ticked(headerField(row, "secret")),
			NameFault: p.Form.Fault(headerField(row, "name")), ValueFault: p.Form.Fault(headerField(row, "value")),
		}
		if p.Webhook != nil {
			for _, was := range p.Webhook.Headers {
				h.Kept = h.Kept || was.Secret && was.Name == h.Name
			}
		}
		p.Headers = append(p.Headers, h)
	}
}

// saveNewWebhook and saveWebhook take the form.
func saveNewWebhook(c *call) error { return c.save(nil) }

func saveWebhook(c *call) error {
	w, err := c.webhook()
	if err != nil {
		return err
	}
	return c.save(w)
}

func (c *call) save(old *telltale.Webhook) error {
	f, err := c.form()
	if err != nil {
		return err
	}
	p := &editView{Form: f, Webhook: old}
	if step := f.Values.Get("step"); step != "" {
		p.step(step)
		return c.showEdit(http.StatusOK, p)
	}
	w := telltale.NewWebhook(c.project.ID, "", 0)
	if old != nil {
		w = *old // a snapshot is shared: change a copy
		if w.Version, err = seenVersion(f); err != nil {
			return err
		}
	}
	readWebhook(f, &w)
	if err := blameWebhook(f, &w, w.Check(nil, c.Guard.CheckURL)); err != nil {
		return err
	}
	if !f.OK() {
		return c.showEdit(http.StatusUnprocessableEntity, p)
	}
	if p.Repeats, err = c.repeats(&w, old); err != nil {
		return err
	}
	if p.Repeats != "" && !f.ticked("anyway") {
		return c.showEdit(http.StatusUnprocessableEntity, p)
	}
	return c.store(p, &w)
}

// seenVersion is the version of what the form changes: the one that
// it was filled in from, or the newer one that it shall overwrite.
func seenVersion(f *form) (int64, error) {
	text := f.text("overwrite")
	if text == "" {
		text = f.text(fieldVersion)
	}
	seen, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return 0, telltale.Errorf(telltale.Malformed, "This form does not say which version it changes. Open it again.")
	}
	return seen, nil
}

// step is a button of the form that changes the form and saves nothing.
func (p *editView) step(name string) {
	v := p.Form.Values
	switch name {
	case "preset":
		if preset := presetFor(p.Form.text(fieldURL)); preset != nil {
			v.Set(fieldRate, preset.Rate)
			p.Open, p.Focus = true, fieldRate
		}
	case "all":
		chosen, _ := telltale.ParseEventTypeSet(v[fieldEvent], "")
		v[fieldEvent] = (chosen | telltale.AllEventTypes).Names()
		p.Focus = fieldEvent
	case "none":
		v.Del(fieldEvent)
		p.Focus = fieldEvent
	case "header":
		p.Open, p.Focus = true, headerField(min(p.rows(), maxHeaderRows-1), "name")
		v.Set("rows", strconv.Itoa(p.rows()+1))
	}
}

// rows is how many rows of headers the form had.
func (p *editView) rows() int {
	n, _ := strconv.Atoi(p.Form.Value("rows"))
	return min(max(n, 0), maxHeaderRows)
}

// repeats asks whether another webhook receives the same already, unless this
// one did so before.
func (c *call) repeats(w, old *telltale.Webhook) (string, error) {
	if old != nil && old.URL == w.URL && w.Events&^old.Events == 0 {
		return "", nil
	}
	all, err := c.allWebhooks()
	if err != nil {
		return "", err
	}
	return duplicateOf(w, all), nil
}

// store saves what is right, tells the dispatcher, and the person.
func (c *call) store(p *editView, w *telltale.Webhook) error {
	ctx := c.r.Context()
	if p.Webhook == nil {
		made, err := c.Store.CreateWebhook(ctx, *w)
		if err != nil {
			return err
		}
		c.Dispatcher.Changed(made)
		return c.saved(made, string(made.ID))
	}
	changed, err := c.Store.UpdateWebhook(ctx, *w)
	if telltale.CodeOf(err) == telltale.PreconditionFailed {
		now, err := c.webhook()
		if err != nil {
			return err
		}
		p.Webhook, p.Conflict = now, &conflict{now.UpdatedAt, now.Version}
		return c.showEdit(http.StatusPreconditionFailed, p)
	}
	if err != nil {
		return orNoPage(err, "There is no such webhook. It may have been deleted.")
	}
	c.Dispatcher.Changed(changed)
	return c.saved(changed, "")
}

// saved ends the form: once names the webhook whose secret is shown with the
// notice, if it is new.
func (c *call) saved(w *telltale.Webhook, once string) error {
	n := notice{Kind: "ok", Text: "Webhook saved.", Once: once, Actions: []action{{Text: "Send a test", URL: c.webhookPath(w.ID, "/test"), Post: true}}}
	for _, warning := range urlWarnings(w.URL) {
		n.Detail += warning + " "
	}
	return c.resultOnce(c.back(w), n, changedWebhooks, closesDialog)
}

// adviceOnURL answers while someone types a URL.
func adviceOnURL(c *call) error {
	p := &editView{Form: &form{Values: c.r.URL.Query()}}
	p.Advice = adviceOn(p.Form.text(fieldURL))
	return c.part("webhook-edit", "advice", p)
}

// fieldPlace is where the field stands on the page.
func fieldPlace(field string) int {
	var row int
	var part string
	if n, _ := fmt.Sscanf(field, "header-%d-%s", &row, &part); n == 2 {
		return slices.Index(fieldOrder, "header")*100 + row
	}
	return slices.Index(fieldOrder, field) * 100
}
