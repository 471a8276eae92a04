package feed

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"telltale.example/telltale"
)

// tell says in a line what an event has: words for what is there, none for what
// is not.
func tell(e Event) string {
	var b strings.Builder
	b.WriteString(string(e.Type))
	say := func(name, value string) {
		if value != "" {
			fmt.Fprintf(&b, " %s=%s", name, value)
		}
	}
	say("bounce", string(e.Bounce))
	if e.Code != 0 {
		say("code", fmt.Sprint(e.Code))
	}
	if e.Reason != "" {
		say("reason", fmt.Sprintf("%q", e.Reason))
	}
	say("to", e.Recipient)
	say("key", e.Key)
	if !e.OccurredAt.IsZero() {
		say("at", e.OccurredAt.Format(time.RFC3339Nano))
	}
	say("provider", e.ProviderMessageID)
	say("message", e.MessageID)
	say("agent", e.UserAgent)
	say("url", e.URL)
	say("ip", e.IP)
	if e.Machine != nil {
		say("machine", fmt.Sprint(*e.Machine))
	}
	say("tags", strings.Join(e.Tags, ","))
	say("subject", e.Subject)
	if e.Meta.Len() > 0 {
		say("meta", string(e.Meta.AppendJSON(nil)))
	}
	return b.String()
}

// tellAll says what the parts of a batch have, a line for each event and each
// error.
func tellAll(b *Batch) (lines []string) {
	for _, p := range b.Parts {
		for _, e := range p.Events {
			lines = append(lines, tell(e))
		}
		if p.Err != nil {
			lines = append(lines, "error: "+p.Err.Error())
		}
	}
	return lines
}

// means checks what a request means to the provider.
func means(t *testing.T, p *Provider, r *Request, want ...string) {
	t.Helper()
	s := telltale.NewSource("prj_x", p.Name, "Test")
	b, err := p.Parse(r, &s)
	if err != nil {
		t.Errorf("the request was not understood: %v", err)
		return
	}
	if diff := cmp.Diff(want, tellAll(b)); diff != "" {
		t.Error(diff)
	}
}

// sourceOf gives a source of the provider with the credentials.
func sourceOf(p *Provider, credentials map[string]string) *telltale.Source {
	s := telltale.NewSource("prj_x", p.Name, "Test")
	s.Credentials = credentials
	return &s
}

// refuses checks that a verification failed with that code, and that it said so.
func refuses(t *testing.T, err error, code telltale.Code, said string) {
	t.Helper()
	if telltale.CodeOf(err) != code || err == nil || !strings.Contains(err.Error(), said) {
		t.Errorf("it got %v, want %s with %q", err, code, said)
	}
}
