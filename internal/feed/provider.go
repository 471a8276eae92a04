package feed

import (
	"context"
	"crypto/x509"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"telltale.example/telltale"
)

// Provider is a mail provider: how its requests are verified, what they mean, and
// what there is to do in its console. A provider is one file and does not change
// while the program runs.
type Provider struct {
	Name  string // as in addresses, settings and the events' source: "sendgrid"
	Title string // as the provider writes it: "SendGrid"

	// Credentials are what requests are verified with, in the order of a form.
	Credentials []Credential
	Options     []Option
	// Steps are what to do in the provider's console, in its own words, one
	// sentence or two each. What to paste, the reader has beside them.
	Steps []string
	// Mapping is what each of the provider's events becomes, in its documents'
	// order.
	Mapping []Mapping
	// Metadata says how the sender attaches the [Vocabulary] to a message, in the
	// provider's words, as a sentence or two. MetadataExample shows it as the
	// sender writes it: lines of JSON or of a header.
	Metadata, MetadataExample string
	// Retries says how long the provider repeats what is not answered with
	// success, as a sentence.
	Retries string

	// NoSent says that the provider has no event of its own for a message that
	// was handed to it. Its sources have [EmitSent] among their options.
	NoSent bool
	// Overloaded is the status that makes the provider come back: 503, or what it
	// needs instead.
	Overloaded int

	// Verify reports why a request is not the provider's: [refuse] with a sentence
	// that says how that is mended. It looks at the raw bytes, compares secrets in
	// constant time, and trusts nothing in them before.
	Verify func(ctx context.Context, c *Call) error
	// Parse says what a verified request means. An error, as a sentence, says that
	// none of it was understood. It never panics and makes nothing out of thin air:
	// whatever bytes come, it ends soon.
	Parse func(r *Request, s *telltale.Source) (*Batch, error)

	// Signer gives what signs requests as the provider does, if the credentials
	// of a source are enough for that; nil where only the provider can, with a
	// private key of its own.
	Signer func(credentials map[string]string) Signer
	// Pair makes credentials and what signs for them, for tests and for trying out.
	Pair func() (credentials map[string]string, sign Signer, err error)
	// Samples are requests, not signed, as the provider would make them for one
	// message at that time: at least one for each event that becomes one of ours.
	// Ids in them are new for each time.
	Samples func(at time.Time) []*Request
	// TestHint says what to press in the provider's console to have it send a
	// test, where there is something.
	TestHint string
}

// Credential is one thing that requests are verified with.
type Credential struct {
	Name  string // as in the API: "verification_key"
	Label string // in the provider's words: "Verification key"
	Hint  string // where it stands in the provider's console
	// Made says that Telltale makes it, with the source: it is given to the
	// provider, not by it.
	Made     bool
	Optional bool // requests are verified without it, too
	Long     bool // several lines, such as a key in PEM
	Open     bool // no secret: it may be shown
	// Check gives what is wrong with a value, as a sentence, or "".
	Check func(value string) string
}

// Option is a choice that a source has.
type Option struct{ Name, Label, Hint string }

// EmitSent is the option of sources whose provider reports no sent: the first
// delivered or bounced of a message makes a sent before it.
const EmitSent = "emit_sent"

var emitSent = Option{
	Name: EmitSent, Label: "Report sent as well",
	Hint: "The provider does not say when it took a message. With this, the first delivered or bounced of a message is reported as sent, too. Leave it off if you post sent yourself.",
}

// Mapping says what an event of a provider becomes.
type Mapping struct {
	Event  string             // in the provider's words, such as "bounce, type blocked"
	Type   telltale.EventType // empty if it means nothing to us
	Detail string             // what else there is to say: "soft"
}

// Request is a request as it came, or as it was kept.
type Request struct {
	Method string // POST, or HEAD
	URL    string // the whole public address that it was posted to, with the query
	Header http.Header
	Body   []byte
}

// ContentType is the header of that name.
func (r *Request) ContentType() string { return r.Header.Get("Content-Type") }

// Call is a request that is to be verified.
type Call struct {
	*Request
	Source *telltale.Source
	Now    time.Time
	// Certificate gives the certificate at an address of the provider's, by https
	// and within a few seconds. Whoever calls it has checked the host. What cannot
	// be fetched is an error of the code Unavailable, and what is no certificate
	// one of Forbidden.
	Certificate func(ctx context.Context, url string) (*x509.Certificate, error)
}

// Signer signs a request as the provider does that time.
type Signer func(r *Request, at time.Time) error

// refuse makes the error for a request that is not the provider's as far as can
// be told: a sentence, and what would mend it. It is answered 401.
func refuse(format string, args ...any) error {
	return telltale.Errorf(telltale.Unauthenticated, format, args...)
}

// forbid is refuse for a provider to which 401 means something else: 403.
func forbid(format string, args ...any) error {
	return telltale.Errorf(telltale.Forbidden, format, args...)
}

// providers are all there are, in the order of lists.
var providers = []*Provider{
	ses,
	sendgrid,
	mailgun,
	postmark,
	sparkpost,
	mailjet,
	brevo,
	resend,
	mandrill,
	postal,
	mailtrap,
	mailersend,
}

// Providers lists all providers, in the order of lists.
func Providers() []*Provider { return slices.Clone(providers) }

// ProviderNamed gives the provider of that name; nil if there is none.
func ProviderNamed(name string) *Provider {
	if i := slices.IndexFunc(providers, func(p *Provider) bool { return p.Name == name }); i >= 0 {
		return providers[i]
	}
	return nil
}

// Names lists the names of all providers.
func Names() []string {
	names := make([]string, len(providers))
	for i, p := range providers {
		names[i] = p.Name
	}
	return names
}

// Prefix is what the addresses of sources begin with.
const Prefix = "/feeds/"

// Address is where the provider posts to: what is pasted in its console. base is
// the server's public URL. For a provider that signs nothing it holds the
// credentials, and is a secret.
func (p *Provider) Address(base string, s *telltale.Source) string {
	base = strings.TrimSuffix(base, "/")
	if name, password := s.Credentials[credentialUsername], s.Credentials[credentialPassword]; password != "" && p.hasCredential(credentialPassword) {
		if scheme, rest, ok := strings.Cut(base, "://"); ok {
			base = scheme + "://" + url.UserPassword(name, password).String() + "@" + rest
		}
	}
	return base + Prefix + string(s.Token)
}

func (p *Provider) hasCredential(name string) bool {
	return slices.ContainsFunc(p.Credentials, func(c Credential) bool { return c.Name == name })
}

// AllOptions are the provider's options, with those that every provider of its
// kind has.
func (p *Provider) AllOptions() []Option {
	if p.NoSent {
		return append([]Option{emitSent}, p.Options...)
	}
	return p.Options
}

// Complete fills in the credentials of a new source that Telltale makes.
func (p *Provider) Complete(s *telltale.Source) {
	if s.Credentials == nil {
		s.Credentials = map[string]string{}
	}
	for _, c := range p.Credentials {
		if c.Made && s.Credentials[c.Name] == "" {
			s.Credentials[c.Name] = newCredential(c.Name)
		}
	}
}

// Missing lists the credentials without which no request can be verified.
func (p *Provider) Missing(s *telltale.Source) (missing []Credential) {
	for _, c := range p.Credentials {
		if !c.Optional && s.Credentials[c.Name] == "" {
			missing = append(missing, c)
		}
	}
	return missing
}

// Validate reports every rule that a source breaks as one [telltale.Invalid]
// error: those of [telltale.Source.Validate], and those of its provider. A
// credential that the provider gives may be missing as yet.
func Validate(s *telltale.Source) error {
	var faults []telltale.Fault
	if err := s.Validate(); err != nil {
		faults = append(faults, faultsOf(err)...)
	}
	p := ProviderNamed(s.Provider)
	if p == nil {
		faults = append([]telltale.Fault{{
			Location: "body.provider", Message: "There is no such provider.",
			Expected: "one of " + strings.Join(Names(), ", "), Value: telltale.CutValue(s.Provider),
		}}, faults...)
		return telltale.Faulty("Invalid source.", faults)
	}
	if len(s.Credentials) <= telltale.MaxCredentials { // too many are a fault already
		faults = append(faults, p.credentialFaults(s)...)
	}
	options := p.AllOptions()
	for i, name := range s.Options[:min(len(s.Options), telltale.MaxSourceOptions)] {
		if !slices.ContainsFunc(options, func(o Option) bool { return o.Name == name }) {
			faults = append(faults, telltale.Fault{
				Location: fmt.Sprintf("body.options[%d]", i), Message: p.Title + " has no such option.",
				Expected: expectedNames(options, func(o Option) string { return o.Name }), Value: telltale.CutValue(name),
			})
		}
	}
	return telltale.Faulty("Invalid source.", faults)
}

func (p *Provider) credentialFaults(s *telltale.Source) (faults []telltale.Fault) {
	for name, value := range s.Credentials {
		i := slices.IndexFunc(p.Credentials, func(c Credential) bool { return c.Name == name })
		at := "body.credentials." + telltale.CutValue(name)
		switch {
		case i < 0:
			faults = append(faults, telltale.Fault{
				Location: at, Message: p.Title + " has no such credential.",
				Expected: expectedNames(p.Credentials, func(c Credential) string { return c.Name }),
			})
		case value != "" && p.Credentials[i].Check != nil:
			if message := p.Credentials[i].Check(value); message != "" {
				faults = append(faults, telltale.Fault{Location: at, Message: message, Expected: p.Credentials[i].Hint})
			}
		}
	}
	slices.SortFunc(faults, func(a, b telltale.Fault) int { return strings.Compare(a.Location, b.Location) })
	return faults
}

func expectedNames[T any](of []T, name func(T) string) string {
	if len(of) == 0 {
		return "none"
	}
	names := make([]string, len(of))
	for i, v := range of {
		names[i] = name(v)
	}
	return strings.Join(names, ", ")
}
