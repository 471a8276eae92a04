package feed

import (
	"bytes"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"telltale.example/telltale"
	"telltale.example/telltale/internal/docs"
)

// documents is where each provider has a page.
const documents = "../../docs/feeds"

// TestEveryProviderHasItsDocument holds the documents to what is known of the
// providers; with -update it writes them.
func TestEveryProviderHasItsDocument(t *testing.T) {
	eachProvider(t, func(t *testing.T, p *Provider) {
		golden(t, filepath.Join(documents, p.Name+".md"), document(p))
		if *update {
			return // the program still has the documents of before
		}
		if page, ok := docs.Find(docs.Root + "/feeds/" + p.Name); !ok || page.Title != p.Title {
			t.Errorf("the page is called %q", page.Title)
		}
	})
	overview, err := os.ReadFile(documents + ".md")
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range Providers() {
		if link := fmt.Sprintf("[%s](feeds/%s.md)", p.Title, p.Name); !bytes.Contains(overview, []byte(link)) {
			t.Errorf("%s.md has no link %s", documents, link)
		}
	}
	for _, name := range Vocabulary() {
		if !bytes.Contains(overview, []byte("\n| `"+name+"` |")) {
			t.Errorf("%s.md does not explain %s", documents, name)
		}
	}
	files, err := os.ReadDir(documents)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if ProviderNamed(strings.TrimSuffix(f.Name(), ".md")) == nil {
			t.Errorf("%s is about no provider", f.Name())
		}
	}
}

// document is a provider's page.
func document(p *Provider) []byte {
	var b bytes.Buffer
	say := func(format string, args ...any) { fmt.Fprintf(&b, format, args...) }
	say("# %s\n\n<!-- Generated from internal/feed by: go test ./internal/feed -update -->\n\n", p.Title)
	say("How %s tells Telltale what became of your messages. What all sources have in common is told in [Sources](../feeds.md).\n", p.Title)

	say("\n## Setting it up\n\nAdd a source with **Settings → Project → Sources → Add source**, `telltale sources add %s`, or `POST /v1/sources`. That gives a URL to paste:\n\n```text\n", p.Name)
	s := telltale.Source{Token: "token", Credentials: map[string]string{credentialUsername: "telltale", credentialPassword: "password"}}
	say("%s\n```\n\n", p.Address("https://telltale.example.com", &s))
	for i, step := range p.Steps {
		say("%d. %s\n", i+1, prose(step))
	}
	if p.Signer != nil {
		say("\nTo try it, press **Send a test through this source** on the source's page, or run `telltale sources test`.")
		if p.TestHint != "" {
			say(" %s", prose(p.TestHint))
		}
	} else {
		say("\nOnly %s can sign a request. %s", p.Title, prose(p.TestHint))
	}

	say("\n\n## Credentials\n\n| | in the API | comes from | |\n|---|---|---|---|\n")
	for _, c := range p.Credentials {
		from := p.Title
		if c.Made {
			from = "Telltale, with the source"
		}
		if c.Optional {
			from += "; may be left out"
		}
		say("| %s | `%s` | %s | %s |\n", prose(c.Label), c.Name, from, prose(c.Hint))
	}
	if options := p.AllOptions(); len(options) > 0 {
		say("\n## Options\n\n| | in the API | |\n|---|---|---|\n")
		for _, o := range options {
			say("| %s | `%s` | %s |\n", prose(o.Label), o.Name, prose(o.Hint))
		}
	}

	say("\n## What events become\n\n| in %s | here | |\n|---|---|---|\n", p.Title)
	for _, m := range p.Mapping {
		becomes := "nothing"
		if m.Type != "" {
			becomes = fmt.Sprintf("[%s](../payloads.md#%s)", m.Type, m.Type)
		}
		say("| %s | %s | %s |\n", code(m.Event), becomes, prose(m.Detail))
	}
	if p.NoSent {
		say("\n%s does not say when it took a message. Post `sent` [yourself](../api.md), or switch the option on.\n", p.Title)
	}

	say("\n## Saying whom a message is for\n\nUser and campaign go with the message as metadata, under [names](../feeds.md#saying-whom-a-message-is-for) that are the same for all providers. %s\n\n```%s\n%s\n```\n", prose(p.Metadata), language(p.MetadataExample), p.MetadataExample)

	say("\n## When a request is not taken\n\n%s While Telltale cannot take a request, and while the source is switched off, it answers %d %s.\n", prose(p.Retries), p.Overloaded, http.StatusText(p.Overloaded))
	return b.Bytes()
}

// prose writes text so that Markdown shows it as it is.
func prose(text string) string {
	return strings.NewReplacer(`\`, `\\`, "<", `\<`, "*", `\*`, "`", "\\`", "[", `\[`, "|", `\|`).Replace(text)
}

// code writes what stands in the cell of a table as the provider writes it.
func code(text string) string { return "`" + strings.ReplaceAll(text, "|", `\|`) + "`" }

// language is that of an example.
func language(example string) string {
	switch {
	case strings.HasPrefix(example, "curl "):
		return "sh"
	case strings.HasPrefix(example, "{"), strings.HasPrefix(example, `"`):
		return "json"
	}
	return "text"
}
