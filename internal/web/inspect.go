package web

import (
	"net/http"
	"strconv"
	"strings"
	"time"

	"telltale.example/telltale"
)

// binsView lists the project's bins.
type binsView struct {
	frame
	Bins []binRow
}

type binRow struct {
	telltale.Bin
	URL    string
	Caught int // at most [telltale.MaxCaughtRequests]
}

func (c *call) binURL(id telltale.BinID) string { return c.PublicURL + "/in/" + string(id) }

func binsPage(c *call) error {
	bins, err := c.Store.Bins(c.r.Context(), c.project.ID)
	if err != nil {
		return err
	}
	p := &binsView{frame: frame{Title: "Inspector", Section: "inspect"}}
	for _, b := range bins {
		caught, err := c.Store.CaughtRequests(c.r.Context(), b.ID, telltale.Page{Limit: telltale.MaxCaughtRequests})
		if err != nil {
			return err
		}
		p.Bins = append(p.Bins, binRow{b, c.binURL(b.ID), len(caught)})
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
	Caught   []telltale.CaughtRequest
	Shown    *caughtView
	Webhooks []*telltale.Webhook // that point here
	Form     *form
}

// caughtView is one request as people read it.
type caughtView struct{ telltale.CaughtRequest }

func (r caughtView) Pretty() string { return pretty(r.Body) }
func (r caughtView) Raw() string    { return printable(r.Body) }

// Seal is the verdict on the signature.
func (r caughtView) Seal() badge { return sealBadge(r.Verdict) }

func sealBadge(verdict string) badge {
	switch verdict {
	case telltale.VerdictValid:
		return badge{"ok", "✓", "Signature valid"}
	case telltale.VerdictUnsigned:
		return badge{"quiet", "–", "Unsigned"}
	}
	return badge{"bad", "✕", "Signature " + verdict}
}

func (p *binView) Badge(r telltale.CaughtRequest) badge {
	b := sealBadge(r.Verdict)
	if b.Kind == "bad" {
		b.Word = "Not valid"
	}
	return b
}

// Type is the event type that a request says it has.
func (p *binView) Type(r telltale.CaughtRequest) string {
	for _, h := range r.Headers {
		if strings.EqualFold(h.Name, "telltale-event") {
			return shortLabel(telltale.EventType(h.Value))
		}
	}
	return r.Method
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
		frame: frame{Title: "Bin", Section: "inspect", Crumbs: []link{{"Inspector", c.path("/inspect")}, {string(b.ID), ""}}, Poll: true},
		Bin:   b, URL: c.binURL(b.ID), Form: f,
	}
	if p.Caught, err = c.Store.CaughtRequests(c.r.Context(), b.ID, telltale.Page{Limit: telltale.MaxCaughtRequests}); err != nil {
		return err
	}
	all, err := c.allWebhooks()
	if err != nil {
		return err
	}
	for _, w := range all {
		if w.URL == p.URL || strings.HasPrefix(w.URL, p.URL+"/") {
			p.Webhooks = append(p.Webhooks, w)
		}
	}
	chosen := c.r.URL.Query().Get("request")
	for _, r := range p.Caught {
		if p.Shown == nil && (chosen == "" || string(r.ID) == chosen) {
			p.Shown = &caughtView{r}
		}
	}
	return c.answer(status, "bin", p)
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
	return c.done(c.path("/inspect/"+string(b.ID)), notice{Kind: "ok", Text: "A webhook sends all events to this bin now.", Actions: []action{
		{Text: "Send a test", URL: c.path("/settings/project/reporting-webhooks/" + string(made.ID) + "/test"), Post: true},
		{Text: "See the webhook", URL: c.path("/settings/project/reporting-webhooks/" + string(made.ID))},
	}})
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
