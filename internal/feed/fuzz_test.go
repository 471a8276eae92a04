package feed

import (
	"net/http"
	"slices"
	"testing"

	"telltale.example/telltale"
)

func FuzzSES(f *testing.F)        { fuzz(f, ses) }
func FuzzSendGrid(f *testing.F)   { fuzz(f, sendgrid) }
func FuzzMailgun(f *testing.F)    { fuzz(f, mailgun) }
func FuzzPostmark(f *testing.F)   { fuzz(f, postmark) }
func FuzzSparkPost(f *testing.F)  { fuzz(f, sparkpost) }
func FuzzMailjet(f *testing.F)    { fuzz(f, mailjet) }
func FuzzBrevo(f *testing.F)      { fuzz(f, brevo) }
func FuzzResend(f *testing.F)     { fuzz(f, resend) }
func FuzzMandrill(f *testing.F)   { fuzz(f, mandrill) }
func FuzzPostal(f *testing.F)     { fuzz(f, postal) }
func FuzzMailtrap(f *testing.F)   { fuzz(f, mailtrap) }
func FuzzMailerSend(f *testing.F) { fuzz(f, mailersend) }

// fuzz verifies and parses whatever comes: it ends, in an error or in events whose
// keys are their own, and a part that is taken alone is a request.
func fuzz(f *testing.F, p *Provider) {
	for _, r := range p.Samples(sampleTime) {
		f.Add(r.ContentType(), r.Body)
	}
	f.Fuzz(func(t *testing.T, contentType string, body []byte) {
		s := telltale.NewSource("prj_x", p.Name, "Test")
		r := &Request{Method: http.MethodPost, Header: http.Header{"Content-Type": {contentType}}, Body: body}
		_ = verify(p, &s, r, sampleTime)
		b, err := p.Parse(r, &s)
		if err != nil {
			return
		}
		for _, part := range b.Parts {
			keys := []string{}
			for i := range part.Events {
				e := &part.Events[i]
				if !e.Type.Valid() {
					t.Fatalf("an event has the type %q", e.Type)
				}
				a := e.activity(p, part.Raw, i)
				if slices.Contains(keys, a.CallerID) {
					t.Fatalf("two events have the key %q", a.CallerID)
				}
				keys = append(keys, a.CallerID)
			}
			if b.Alone != nil {
				if _, err := p.Parse(&Request{Method: http.MethodPost, Header: r.Header, Body: b.Alone(part.Raw)}, &s); err != nil {
					t.Fatalf("a part cannot be taken alone: %v", err)
				}
			}
		}
	})
}
