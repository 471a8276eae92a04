package web

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"telltale.example/telltale"
	"telltale.example/telltale/signature"
)

// binsView lists the project's bins.
type binsView struct {
	frame
	Bins []binRow
}

type binRow struct {
	telltale.Bin
	URL string
}

func (c *call) binURL(id telltale.BinID) string { return c.PublicURL + "/in/" + string(id) }

func binsPage(c *call) error {
	bins, err := c.Store.Bins(c.r.Context(), c.project.ID)
	if err != nil {
		return err
	}
	p := &binsView{frame: frame{Title: "Inspector", Section: "inspect"}}
	for _, b := range bins {
		p.Bins = append(p.Bins, binRow{b, c.binURL(b.ID)})
	}
	return c.page("bins", p)
}

func createBin(c *call) error {
	b := telltale.NewBin(c.project.ID)
	if err := c.Store.CreateBin(c.r.Context(), b); err != nil {
		return c.conflictNotice(c.path("/inspect"), err)
	}
	return c.done(c.path("/inspect/"+string(b.ID)), notice{Kind: "ok", Text: "The bin is ready.", Detail: "Whatever is sent to its address appears here, for 24 hours."})
}

// binView is what a bin caught, and what it answers.
type binView struct {
	frame
	Bin      telltale.Bin
	URL      string
	Caught   []telltale.CaughtRequest // without bodies
	Shown    *caughtView
	Gone     bool                // the request that was asked for is not kept any more
	Webhooks []*telltale.Webhook // that point here
	Form     *form
}

// caughtView is one request as people read it.
type caughtView struct{ telltale.CaughtRequest }

func (r caughtView) Pretty() string { return pretty(r.Body) }
func (r caughtView) Raw() string    { return printable(r.Body) }

// Same reports whether there is nothing to see in the exact bytes beyond what is shown.
func (r caughtView) Same() bool { return r.Pretty() == r.Raw() }

// header gives the first value of that name.
func header(r telltale.CaughtRequest, name string) string {
	for _, h := range r.Headers {
		if strings.EqualFold(h.Name, name) {
			return h.Value
		}
	}
	return ""
}

// Seal is the verdict on the signature, in a word.
func (r caughtView) Seal() badge { return sealBadge(r.Verdict) }

// Reason says more of the verdict: why, or how old the signature was.
func (r caughtView) Reason() string {
	switch r.Verdict {
	case telltale.VerdictUnsigned:
		return "The request has none of the headers of a signature."
	case telltale.VerdictValid:
		seconds, err := strconv.ParseInt(header(r.CaughtRequest, signature.HeaderTimestamp), 10, 64)
		if err != nil {
			return ""
		}
		if age := r.ReceivedAt.Unix() - seconds; age > 0 {
			return "Signed " + roughly(time.Duration(age)*time.Second) + " before it came."
		}
		return "Signed in the second in which it came."
	}
	return strings.ToUpper(r.Verdict[:1]) + r.Verdict[1:] + "."
}

func sealBadge(verdict string) badge {
	switch {
	case verdict == telltale.VerdictValid:
		return badge{"ok", "✓", "Signature valid"}
	case verdict == telltale.VerdictUnsigned:
		return badge{"quiet", "–", "Unsigned"}
	case strings.HasPrefix(verdict, "not checked"):
		return badge{"warn", "?", "Not checked"}
	}
	return badge{"bad", "✕", "Signature not valid"}
}

func (p *binView) Badge(r telltale.CaughtRequest) badge { return sealBadge(r.Verdict) }

// Name is what the list calls a request: the event type that it says it has, or its method.
func (p *binView) Name(r telltale.CaughtRequest) string {
	if event := header(r, "telltale-event"); event != "" {
		return shortLabel(telltale.EventType(event))
	}
	return r.Method
}

// Everything is the set of all event types.
func (p *binView) Everything() telltale.EventTypeSet { return telltale.AllEventTypes }

// Answers says in words what the bin answers.
func (p *binView) Answers() string {
	a := p.Bin.Answer
	text := strconv.Itoa(max(a.Status, http.StatusOK))
	if a.Reset {
		text = "Nothing: the connection is closed"
	} else if name := http.StatusText(max(a.Status, http.StatusOK)); name != "" {
		text += " " + name
	}
	if a.Delay > 0 {
		text += ", after " + telltale.FormatDuration(a.Delay)
	}
	if a.RetryAfter != "" && !a.Reset {
		text += ", Retry-After: " + a.RetryAfter
	}
	return text
}

// Resets reports whether the connection is, or was asked to be, closed.
func (p *binView) Resets() bool {
	if p.Form != nil {
		return p.Form.ticked("reset")
	}
	return p.Bin.Answer.Reset
}

func (p *binView) Answer(name string) string {
	if p.Form != nil {
		return p.Form.Value(name)
	}
	a := p.Bin.Answer
	switch name {
	case "status":
		if a.Status == 0 {
			return "200"
		}
		return strconv.Itoa(a.Status)
	case "delay":
		return strconv.FormatFloat(a.Delay.Seconds(), 'f', -1, 64)
	case "body":
		return a.Body
	case "retry_after":
		return a.RetryAfter
	}
	return ""
}

func binPage(c *call) error { return c.showBin(http.StatusOK, nil) }

func (c *call) bin() (telltale.Bin, error) {
	b, err := c.Store.Bin(c.r.Context(), telltale.BinID(c.r.PathValue("bin")))
	if err == nil && b.ProjectID != c.project.ID {
		err = telltale.Errorf(telltale.NotFound, "There is no such bin.")
	}
	return b, orNoPage(err, "There is no such bin, or it has expired: bins live for 24 hours.")
}

func (c *call) showBin(status int, f *form) error {
	b, err := c.bin()
	if err != nil {
		return err
	}
	p := &binView{
		frame: frame{Title: "Bin " + string(b.ID[:6]), Section: "inspect", Wide: true, Crumbs: []link{{"Inspector", c.path("/inspect")}, {string(b.ID), ""}}},
		Bin:   b, URL: c.binURL(b.ID), Form: f,
	}
	ctx := c.r.Context()
	if p.Caught, err = c.Store.CaughtHeads(ctx, b.ID, telltale.Page{Limit: telltale.MaxCaughtRequests}); err != nil {
		return err
	}
	chosen := telltale.RequestID(c.r.URL.Query().Get("request"))
	if chosen == "" && len(p.Caught) > 0 {
		chosen = p.Caught[0].ID
	}
	if chosen != "" {
		switch r, err := c.Store.CaughtRequest(ctx, b.ID, chosen); {
		case err == nil:
			p.Shown = &caughtView{r}
		case telltale.CodeOf(err) == telltale.NotFound:
			p.Gone = true
		default:
			return err
		}
	}
	if c.partial() && f == nil {
		return c.part("bin", "live", p) // the page asks for what is new
	}
	if p.Webhooks, err = c.pointingTo(p.URL); err != nil {
		return err
	}
	return c.answer(status, "bin", p)
}

// pointingTo gives the webhooks that send to the bin at the address.
func (c *call) pointingTo(address string) ([]*telltale.Webhook, error) {
	all, err := c.allWebhooks()
	return slices.DeleteFunc(all, func(w *telltale.Webhook) bool {
		return w.URL != address && !strings.HasPrefix(w.URL, address+"/")
	}), err
}

func answerBin(c *call) error {
	f, err := c.form()
	if err != nil {
		return err
	}
	b, err := c.bin()
	if err != nil {
		return err
	}
	answer := telltale.BinAnswer{Body: f.Values.Get("body"), RetryAfter: f.text("retry_after"), Reset: f.ticked("reset")}
	if answer.Status, err = strconv.Atoi(f.text("status")); err != nil {
		f.fault("status", "Use a status from 200 to 599.")
	}
	seconds, err := strconv.ParseFloat(f.text("delay"), 64)
	if err != nil && f.text("delay") != "" || seconds < 0 || seconds > telltale.MaxBinDelay.Seconds() {
		f.fault("delay", "Use seconds from 0 to 35.")
	} else {
		answer.Delay = time.Duration(seconds * float64(time.Second))
	}
	if f.OK() {
		if err := f.blame(answer.Validate(), nil); err != nil {
			return err
		}
	}
	if !f.OK() {
		return c.showBin(http.StatusUnprocessableEntity, f)
	}
	if _, err := c.Store.UpdateBin(c.r.Context(), c.project.ID, b.ID, answer); err != nil {
		return err
	}
	return c.done(c.path("/inspect/"+string(b.ID)), notice{Kind: "ok", Text: "The bin answers so from now on."})
}

// useBin makes a webhook of the bin, so that one sees what is sent before one has
// a receiver.
func useBin(c *call) error {
	b, err := c.bin()
	if err != nil {
		return err
	}
	here := c.path("/inspect/" + string(b.ID))
	switch pointing, err := c.pointingTo(c.binURL(b.ID)); {
	case err != nil:
		return err
	case len(pointing) > 0:
		return c.done(here, notice{Kind: "info", Text: "A webhook sends to this bin already."})
	}
	w := telltale.NewWebhook(c.project.ID, c.binURL(b.ID), telltale.AllEventTypes)
	w.Description = "Inspector"
	if err := w.Validate(); err != nil {
		return err
	}
	made, err := c.Store.CreateWebhook(c.r.Context(), w)
	if err != nil {
		return err
	}
	c.Dispatcher.Changed(made)
	return c.done(here, notice{Kind: "ok", Text: "A webhook sends all events to this bin now.", Actions: []action{
		{Text: "Send a test", URL: c.webhookPath(made.ID, "/test"), Post: true},
		{Text: "See the webhook", URL: c.webhookPath(made.ID, "")},
	}})
}

// binDeleteView asks before it is done.
type binDeleteView struct {
	frame
	ID       telltale.BinID
	URL      string
	Webhooks int // that would have nowhere to send to
}

func deleteBinPage(c *call) error {
	b, err := c.bin()
	if err != nil {
		return err
	}
	pointing, err := c.pointingTo(c.binURL(b.ID))
	if err != nil {
		return err
	}
	p := &binDeleteView{
		frame: frame{Title: "Delete this bin?", Section: "inspect", Crumbs: []link{{"Inspector", c.path("/inspect")}, {string(b.ID), c.path("/inspect/" + string(b.ID))}, {"Delete", ""}}},
		ID:    b.ID, URL: c.binURL(b.ID), Webhooks: len(pointing),
	}
	if c.partial() {
		return c.part("bin-delete", "dialog", p)
	}
	return c.page("bin-delete", p)
}

func deleteBin(c *call) error {
	b, err := c.bin()
	if err != nil {
		return err
	}
	if err := c.Store.DeleteBin(c.r.Context(), c.project.ID, b.ID); err != nil {
		return err
	}
	return c.done(c.path("/inspect"), notice{Kind: "ok", Text: "The bin is deleted."})
}
