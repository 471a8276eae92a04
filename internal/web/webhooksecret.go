package web

import (
	"fmt"
	"net/http"
	"strings"
	"time"

	"telltale.example/telltale"
	"telltale.example/telltale/signature"
)

// onceSecret is a secret that was just made, shown this time only.
type onceSecret struct {
	Host, Secret string
	Signing      string // address of the page where it can be seen later
}

// onceSecret gives the secret of the webhook that a notice names; nil if it names none.
func (c *call) onceSecret(id string) (*onceSecret, error) {
	if id == "" {
		return nil, nil
	}
	w, err := c.Store.Webhook(c.r.Context(), c.project.ID, telltale.WebhookID(id))
	switch {
	case telltale.CodeOf(err) == telltale.NotFound:
		return nil, nil // deleted meanwhile
	case err != nil:
		return nil, err
	}
	return &onceSecret{hostOf(w.URL), w.Secrets[0].Value, c.webhookPath(w.ID, "/signing")}, nil
}

// resultOnce is [call.result] with the secret that the notice names.
func (c *call) resultOnce(to string, n notice, triggers ...string) error {
	if !c.partial() {
		return c.done(to, n)
	}
	once, err := c.onceSecret(n.Once)
	if err != nil {
		return err
	}
	h := c.w.Header()
	h.Set("HX-Retarget", "#result")
	h.Set("HX-Reswap", "innerHTML")
	h.Set("HX-Trigger", strings.Join(triggers, ", "))
	return c.part("webhooks", "saved", &webhooksView{frame: frame{Notice: &n}, Once: once})
}

// signingView is the tab about what signs a webhook's requests.
type signingView struct {
	webhookFrame
	Form     *form
	Secret   string        // once it is revealed
	Previous []oldSecret   // those that rotations left
	Verdict  *verification // of the request that was pasted
}

type oldSecret struct {
	Secret    string // once it is revealed
	ExpiresAt time.Time
}

type verification struct {
	Valid     bool
	Sentences []string
}

func signingPage(c *call) error { return c.showSigning(http.StatusOK, &signingView{}) }

func (c *call) showSigning(status int, p *signingView) error {
	var err error
	if p.webhookFrame, err = c.webhookFrame("Signing"); err != nil {
		return err
	}
	p.Notice = c.takeNotice()
	revealed := p.Notice != nil && p.Notice.Reveal == string(p.Webhook.ID) && c.who.Role.May(telltale.MaySecrets)
	if revealed {
		p.Secret = p.Webhook.Secrets[0].Value
	}
	for _, s := range p.Webhook.Secrets[1:] {
		if time.Now().Before(s.ExpiresAt) {
			old := oldSecret{ExpiresAt: s.ExpiresAt}
			if revealed {
				old.Secret = s.Value
			}
			p.Previous = append(p.Previous, old)
		}
	}
	if p.Notice != nil && p.Once == nil {
		if p.Once, err = c.onceSecret(p.Notice.Once); err != nil {
			return err
		}
	}
	return c.answer(status, "webhook-signing", p)
}

// revealSecret shows the secret to who types the password again.
func revealSecret(c *call) error {
	f, err := c.form()
	if err != nil {
		return err
	}
	w, err := c.webhook()
	if err != nil {
		return err
	}
	if ok, err := c.confirmed(f); err != nil {
		return err
	} else if !ok {
		return c.showSigning(http.StatusUnprocessableEntity, &signingView{Form: f})
	}
	if err := c.Store.Audit(c.r.Context(), telltale.AuditEntry{
		ProjectID: c.project.ID, Action: telltale.AuditSecretShown, Target: string(w.ID), Name: w.URL,
	}); err != nil {
		return err
	}
	return c.done(c.webhookPath(w.ID, "/signing"), notice{Kind: "ok", Text: "The secret is shown this time only.", Reveal: string(w.ID)})
}

// confirmed reports whether the form's password is the operator's own. If it is
// not, the form says why.
func (c *call) confirmed(f *form) (bool, error) {
	err := c.Operators.Confirm(c.who, f.Values.Get("password"))
	switch telltale.CodeOf(err) {
	case telltale.Invalid, telltale.Unauthenticated, telltale.RateLimited:
		f.fault("password", messageOf(err))
		return false, nil
	}
	return err == nil, err
}

// rotateView asks how long the secret before signs too.
type rotateView struct {
	frame
	*telltale.Webhook
	Form *form
}

// overlaps are the times that the form offers.
var overlaps = []struct {
	value, text string
	overlap     time.Duration
}{
	{"1h", "1 hour", time.Hour},
	{"24h", "24 hours", telltale.DefaultOverlap},
	{"168h", "7 days", telltale.MaxSecretOverlap},
	{"0s", "Not at all: receivers that still have it refuse what comes", 0},
}

// Overlaps are the choices, with one chosen.
func (p *rotateView) Overlaps() []option {
	var list []option
	for _, o := range overlaps {
		list = append(list, option{o.value, o.text, o.overlap == telltale.DefaultOverlap})
	}
	return list
}

func rotateSecretPage(c *call) error {
	w, err := c.webhook()
	if err != nil {
		return err
	}
	p := &rotateView{frame: frame{Title: "Rotate secret", Section: "webhooks", Crumbs: settingsCrumbs(c)}, Webhook: w}
	if c.partial() {
		return c.part("webhook-rotate", "dialog", p)
	}
	return c.page("webhook-rotate", p)
}

// maxMerges is how often a rotation is made anew when others change the same
// webhook at the same time.
const maxMerges = 5

func rotateSecret(c *call) error {
	f, err := c.form()
	if err != nil {
		return err
	}
	overlap, known := time.Duration(0), false
	for _, o := range overlaps {
		if o.value == f.text("overlap") {
			overlap, known = o.overlap, true
		}
	}
	if !known {
		return telltale.Errorf(telltale.Invalid, "Choose how long the secret before signs too.")
	}
	for range maxMerges {
		old, err := c.webhook()
		if err != nil {
			return err
		}
		changed := *old // a snapshot is shared: change a copy
		changed.RotateSecret(overlap)
		w, err := c.Store.UpdateWebhook(c.r.Context(), changed)
		if telltale.CodeOf(err) == telltale.PreconditionFailed {
			continue
		}
		if err != nil {
			return err
		}
		c.Dispatcher.Changed(w)
		n := notice{Kind: "ok", Text: "Secret rotated.", Detail: "The one before signs no more.", Once: string(w.ID)}
		if overlap > 0 {
			n.Detail = fmt.Sprintf("The one before signs too until %s UTC.", clock(time.Now().Add(overlap), time.Now()))
		}
		return c.resultOnce(c.back(w), n, changedWebhooks, closesDialog)
	}
	return telltale.Errorf(telltale.Conflict, "Others are changing this webhook. Try again.")
}

// verifyRequest explains the signature of a request that someone pasted.
func verifyRequest(c *call) error {
	f, err := c.form()
	if err != nil {
		return err
	}
	w, err := c.webhook()
	if err != nil {
		return err
	}
	v, err := verify(w, f.Values.Get("headers"), f.Values.Get("body"), time.Now())
	if err != nil {
		return err
	}
	return c.showSigning(http.StatusOK, &signingView{Form: f, Verdict: v})
}

// verify holds headers and body, as they were pasted into a form, against the
// webhook's secrets. Browsers send line breaks of forms as CR LF: bodies mostly
// have LF.
func verify(w *telltale.Webhook, headers, body string, now time.Time) (*verification, error) {
	var secrets []signature.Secret
	for _, s := range w.Secrets {
		secret, err := signature.ParseSecret(s.Value)
		if err != nil {
			return nil, fmt.Errorf("web: reading the secret of %s: %w", w.ID, err)
		}
		secrets = append(secrets, secret)
	}
	e := signature.Explain(readHeader(headers), []byte(strings.ReplaceAll(body, "\r\n", "\n")), now, secrets[0], secrets[1:]...)
	return &verification{Valid: e.Valid(), Sentences: e.Sentences}, nil
}

// readHeader reads lines of name and value, as curl, browsers and logs print them.
func readHeader(text string) http.Header {
	header := http.Header{}
	for line := range strings.Lines(text) {
		line = strings.TrimLeft(strings.TrimSpace(line), "><* ") // as curl marks them
		name, value, ok := strings.Cut(line, ":")
		if !ok {
			continue // a request line, or nothing
		}
		header.Add(strings.Trim(name, `"' `), strings.Trim(strings.TrimRight(value, ", "), `"' `))
	}
	return header
}
