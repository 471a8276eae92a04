package web

import (
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"telltale.example/telltale"
	"telltale.example/telltale/internal/feed"
)

// sourceView is one source: what is to be done for it, how it fares, and what is set.
type sourceView struct {
	frame
	Source   sourceRow
	Form     *form // of the settings
	Asked    *form // of the password for the URL
	URL      string
	Secret   bool // the URL holds a password
	Local    bool // the URL leads to the reader's own machine
	Kept     int  // requests that were not understood
	Conflict *conflict
}

// At is the address of something about the source.
func (p *sourceView) At(rest string) string { return p.call.sourcePath(p.Source.ID, rest) }

// Testable reports whether a sample can be signed as the provider does.
func (p *sourceView) Testable() bool { return p.Source.Provider.Signer != nil }

// tallyTile is one count of what came.
type tallyTile struct{ Name, Value, Title string }

// Tiles are the counts.
func (p *sourceView) Tiles() []tallyTile {
	t := p.Source.Tally
	return []tallyTile{
		{"Requests", count(int(t.Requests)), "Verified, and answered with success"},
		{"Events accepted", count(int(t.Events)), ""},
		{"Had before", count(int(t.Duplicates)), "Events that were accepted already: providers repeat"},
		{"Ignored", count(int(t.Ignored)), "Events that mean nothing here, such as deferrals"},
		{"Not understood", count(int(t.Unrecognised)), "Kept, to be replayed"},
		{"Refused", count(int(t.Refused)), "Requests that could not be verified"},
	}
}

// sourceField is a credential in the form of a source. Of one that is secret
// there is no value.
type sourceField struct {
	feed.Credential
	Field   string // its name in the form
	Value   string
	Set     bool
	Fault   string
	Renew   bool // it can be made anew, by those who may see it
	Renewed bool // that was ticked
	Removed bool // that it shall go was ticked
}

// Removable reports whether the form offers to remove a secret.
func (f sourceField) Removable() bool { return f.Optional && f.Set && !f.Open && !f.Made }

// Say is the hint below the field.
func (f sourceField) Say() string {
	if f.Set && !f.Open {
		return strings.TrimSpace("It is set, and not shown. Leave this empty to keep it. " + f.Hint)
	}
	return f.Hint
}

// InputType is what kind of field it has.
func (f sourceField) InputType() string {
	if f.Open {
		return "text"
	}
	return "password"
}

// Autocomplete keeps browsers from filling in the person's own password.
func (f sourceField) Autocomplete() string {
	if f.Open {
		return "off"
	}
	return "new-password"
}

// Rows is how many lines the field has; 0 for one that is no text area.
func (f sourceField) Rows() int {
	if f.Long {
		return 5
	}
	return 0
}

// The names of the form's fields.
func credentialField(name string) string { return "credential-" + name }
func renewField(name string) string      { return "renew-" + name }
func removeField(name string) string     { return "remove-" + name }

const optionField = "option" // several

// Fields are the credentials as the form has them.
func (p *sourceView) Fields() []sourceField {
	var list []sourceField
	for _, c := range p.Source.Provider.Credentials {
		stored := p.Source.Credentials[c.Name]
		f := sourceField{Credential: c, Field: credentialField(c.Name), Set: stored != "", Renew: c.Made && !c.Open && p.MaySecrets()}
		switch {
		case !c.Open: // it is not shown, neither what is stored nor what was sent
		case p.Form != nil:
			f.Value = p.Form.Value(f.Field)
		default:
			f.Value = stored
		}
		if p.Form != nil {
			f.Fault, f.Renewed, f.Removed = p.Form.Fault(f.Field), p.Form.ticked(renewField(c.Name)), p.Form.ticked(removeField(c.Name))
		}
		list = append(list, f)
	}
	return list
}

// sourceOption is a choice in the form of a source.
type sourceOption struct {
	feed.Option
	On bool
}

// Options are the choices that the source has.
func (p *sourceView) Options() []sourceOption {
	var list []sourceOption
	for _, o := range p.Source.Provider.AllOptions() {
		on := p.Source.Has(o.Name)
		if p.Form != nil {
			on = slices.Contains(p.Form.Values[optionField], o.Name)
		}
		list = append(list, sourceOption{o, on})
	}
	return list
}

// Name is what was typed, or what is.
func (p *sourceView) Name() string {
	if p.Form != nil {
		return p.Form.Value("name")
	}
	return p.Source.Name
}

// Seen is the version that the form was filled in from.
func (p *sourceView) Seen() string {
	if p.Form != nil {
		return p.Form.Value(fieldVersion)
	}
	return strconv.FormatInt(p.Source.Version, 10)
}

func sourcePage(c *call) error { return c.showSource(http.StatusOK, &sourceView{}) }

// showSource completes the page. What is shown of the URL depends on who looks,
// and on whether they have just made it or asked for it.
func (c *call) showSource(status int, p *sourceView) error {
	s, err := c.source()
	if err != nil {
		return err
	}
	p.Source = rowOfSource(s)
	p.frame = frame{Title: s.Name, Section: "sources", Crumbs: c.sourceCrumbs(s.Name)}
	p.call = c
	if p.Source.Fares().Kind == "bad" {
		p.State = "(failing)"
	}
	if p.Kept, err = c.Store.CountUnrecognised(c.r.Context(), c.project.ID, s.ID); err != nil {
		return orNoPage(err, "There is no such source. It may have been deleted.")
	}
	if c.partial() && c.r.Method == http.MethodGet {
		return c.part("source", "live", p) // the page asks how it fares now
	}
	address := p.Source.Provider.Address(c.PublicURL, s)
	p.Secret = address != p.Source.Provider.Address(c.PublicURL, &telltale.Source{Token: s.Token})
	p.Local = isLoopback(c.host)
	p.Notice = c.takeNotice()
	made := p.Notice != nil && p.Notice.Once == string(s.ID)
	asked := p.Notice != nil && p.Notice.Reveal == string(s.ID) && p.MaySecrets()
	if p.MayChange() && (!p.Secret || made || asked) {
		p.URL = address
	}
	return c.answer(status, "source", p)
}

// revealSource shows the URL with its password to who types their own again.
func revealSource(c *call) error {
	f, err := c.form()
	if err != nil {
		return err
	}
	s, err := c.source()
	if err != nil {
		return err
	}
	if ok, err := c.confirmed(f); err != nil {
		return err
	} else if !ok {
		return c.showSource(http.StatusUnprocessableEntity, &sourceView{Asked: f})
	}
	if err := c.Store.Audit(c.r.Context(), telltale.AuditEntry{
		ProjectID: c.project.ID, Action: telltale.AuditSourceSecretShown, Target: string(s.ID), Name: s.Name,
	}); err != nil {
		return err
	}
	return c.done(c.sourcePath(s.ID, ""), notice{Kind: "ok", Text: "The URL is shown this time only.", Reveal: string(s.ID)})
}

// saveSource takes the form of the settings.
func saveSource(c *call) error {
	f, err := c.form()
	if err != nil {
		return err
	}
	s, err := c.source()
	if err != nil {
		return err
	}
	changed := *s // a snapshot is shared: change a copy
	if changed.Version, err = seenVersion(f); err != nil {
		return err
	}
	provider := rowOfSource(s).Provider
	renewed := c.readSource(f, provider, &changed)
	places := map[string]string{"options": optionField}
	for _, cr := range provider.Credentials {
		places["credentials."+cr.Name] = credentialField(cr.Name)
	}
	if err := f.blame(feed.Validate(&changed), places); err != nil {
		return err
	}
	if !f.OK() {
		return c.showSource(http.StatusUnprocessableEntity, &sourceView{Form: f})
	}
	saved, err := c.Store.UpdateSource(c.r.Context(), changed)
	if telltale.CodeOf(err) == telltale.PreconditionFailed {
		now, err := c.source()
		if err != nil {
			return err
		}
		return c.showSource(http.StatusPreconditionFailed, &sourceView{Form: f, Conflict: &conflict{now.UpdatedAt, now.Version}})
	}
	if err != nil {
		return orNoPage(err, "There is no such source. It may have been deleted.")
	}
	n := notice{Kind: "ok", Text: "Source saved."}
	if renewed {
		n.Detail, n.Once = "Its URL is a new one: paste it at the provider again.", string(saved.ID)
	}
	return c.done(c.sourcePath(saved.ID, ""), n)
}

// readSource sets s, a copy that nobody shares, to what the form says. It reports
// whether the URL becomes another one.
func (c *call) readSource(f *form, provider *feed.Provider, s *telltale.Source) (renewed bool) {
	s.Name = f.text("name")
	s.Credentials = maps.Clone(s.Credentials)
	for _, cr := range provider.Credentials {
		text := strings.ReplaceAll(f.text(credentialField(cr.Name)), "\r\n", "\n")
		switch {
		case cr.Made && !cr.Open:
			if f.ticked(renewField(cr.Name)) && c.who.Role.May(telltale.MaySecrets) {
				delete(s.Credentials, cr.Name)
				renewed = true
			}
		case text != "":
			s.Credentials[cr.Name] = text
		case cr.Made: // it stays: Telltale made it
		case cr.Open || cr.Optional && f.ticked(removeField(cr.Name)):
			delete(s.Credentials, cr.Name)
		}
	}
	if renewed {
		provider.Complete(s)
	}
	s.Options = slices.Sorted(slices.Values(f.Values[optionField]))
	return renewed
}
