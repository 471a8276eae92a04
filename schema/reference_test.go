package schema_test

import (
	"bytes"
	"flag"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/go-json-experiment/json/jsontext"

	"telltale.example/telltale/schema"
)

var update = flag.Bool("update", false, "write the reference page anew")

const referencePage = "../docs/payloads.md"

// TestReferencePage holds docs/payloads.md to the schemas and samples that it
// is generated from; with -update it writes the page.
func TestReferencePage(t *testing.T) {
	page := reference(t)
	if *update {
		if err := os.WriteFile(referencePage, page, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	written, err := os.ReadFile(referencePage)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(written, page) {
		t.Errorf("%s is not what schema/ says; write it anew with: go test ./schema -update", referencePage)
	}
}

const introduction = `# Payloads

<!-- Generated from schema/ by: go test ./schema -update -->

Each event is sent as one JSON object in a ` + "`POST`" + ` request of its own. The bytes are the same on every attempt.

- Keys come in the order of the tables below, without whitespace between them. A key whose value is unknown is left out; it is never empty and never null.
- Keys that a sender added beyond these follow them as they were written, at the top level and in ` + "`user`, `campaign`, `event` and `changes`" + `; those in the ` + "`user` of `user_created`" + ` stand before its ` + "`id` and `email`" + `. So be prepared for more keys than are listed.
- Times are whole Unix seconds.
- Numbers and strings arrive digit for digit and character for character as the sender wrote them. Ids may have more digits than a floating-point number can hold.
- ` + "`user`" + ` always has an ` + "`id`, an `email`" + ` or both.

The same contract for machines is the JSON Schema (draft 2020-12) of each type, in the folder ` + "`schema/`" + `.

## Extensions

A webhook with extensions switched on gets one more key, ` + "`telltale`" + `, at the end of each payload. It is an object with what the contract has no place for:

| key | value | meaning |
|---|---|---|
| ` + "`id`" + ` | string | The event's id, as in the header ` + "`webhook-id`" + `. |
| ` + "`source`" + ` | string | Where the event came in. |
| ` + "`occurred_at`" + ` | time | When it happened, for types without a time of their own, too. |
| ` + "`url`" + ` | string | The link that was clicked, if known. |
| ` + "`ip`" + ` | string | The recipient's IP address, if known. |
| ` + "`machine`" + ` | boolean | Whether a machine opened or clicked, if known. |
`

func reference(t *testing.T) []byte {
	var b bytes.Buffer
	b.WriteString(introduction)
	for _, name := range eventTypes {
		writeType(t, &b, name)
	}
	b.WriteString(operational)
	for _, name := range operationalTypes {
		writeType(t, &b, name)
	}
	return b.Bytes()
}

// operational introduces events of another kind, which the original does not have.
const operational = `
## Operational events

Telltale tells of its own work, too: a webhook gets these types if it names them, beside or without ` + "`*`" + `, which stands for the twelve above. They are about the other webhooks of the project, never about the one that gets them, and never about deliveries of operational events. They are made only while a webhook wants them, and by Telltale alone: they cannot be sent in.
`

func writeType(t *testing.T, b *bytes.Buffer, name string) {
	s := members(t, schema.Schema(name))
	fmt.Fprintf(b, "\n## %s\n\n", name)
	fmt.Fprintf(b, "*%s.* %s\n\n", s.text(t, "title"), s.text(t, "description"))
	b.WriteString("| key | value | always | meaning |\n|---|---|---|---|\n")
	writeKeys(t, b, s, "")
	b.WriteString("\nSample, here with whitespace:\n\n```json\n")
	sample := jsontext.Value(schema.Sample(name))
	if err := sample.Indent(jsontext.WithIndent("  ")); err != nil {
		t.Fatal(err)
	}
	b.Write(sample)
	b.WriteString("\n```\n")
}

// writeKeys writes a row for each property of an object's schema, and for those
// of the objects in it.
func writeKeys(t *testing.T, b *bytes.Buffer, s object, path string) {
	properties := members(t, s.get("properties"))
	required := list(t, s.get("required"))
	for _, p := range properties {
		of := members(t, p.value)
		always := ""
		if slices.Contains(required, p.name) {
			always = "yes"
		}
		fmt.Fprintf(b, "| `%s%s` | %s | %s | %s |\n", path, p.name, kind(t, of), always, of.text(t, "description"))
		if of.get("properties") != nil {
			writeKeys(t, b, of, path+p.name+".")
		}
	}
}

// kind says in words what values a schema allows.
func kind(t *testing.T, s object) string {
	code := func(value []byte) string { return "`" + string(value) + "`" }
	switch {
	case s.get("const") != nil:
		return code(s.get("const"))
	case s.get("enum") != nil:
		var choices []string
		for _, choice := range list(t, s.get("enum")) {
			choices = append(choices, "`\""+choice+"\"`")
		}
		return strings.Join(choices, ", ")
	case s.get("maximum") != nil:
		return "time"
	}
	kinds := list(t, s.get("type"))
	if s.get("items") != nil {
		return "array of " + kind(t, members(t, s.get("items"))) + "s"
	}
	text := strings.Join(kinds, " or ")
	if max := s.get("maxLength"); max != nil {
		text += fmt.Sprintf(", at most %s characters", max)
	}
	return text
}

// object is the members of a JSON object in their order, which the reference
// page follows.
type object []member

type member struct {
	name  string
	value []byte
}

func (o object) get(name string) []byte {
	for _, m := range o {
		if m.name == name {
			return m.value
		}
	}
	return nil
}

func (o object) text(t *testing.T, name string) string {
	t.Helper()
	s, err := jsontext.AppendUnquote(nil, o.get(name))
	if err != nil || len(s) == 0 {
		t.Fatalf("the schema has no %s: %v", name, err)
	}
	return strings.ReplaceAll(string(s), "|", `\|`)
}

func members(t *testing.T, text []byte) object {
	t.Helper()
	d := jsontext.NewDecoder(bytes.NewReader(text))
	if _, err := d.ReadToken(); err != nil {
		t.Fatal(err)
	}
	var o object
	for d.PeekKind() == '"' {
		name, err := d.ReadToken()
		if err != nil {
			t.Fatal(err)
		}
		m := member{name: name.String()}
		value, err := d.ReadValue()
		if err != nil {
			t.Fatal(err)
		}
		m.value = bytes.Clone(value)
		o = append(o, m)
	}
	return o
}

// list reads an array of strings, or a string alone.
func list(t *testing.T, text []byte) []string {
	t.Helper()
	var texts []string
	d := jsontext.NewDecoder(bytes.NewReader(text))
	for {
		token, err := d.ReadToken()
		if err == io.EOF {
			return texts
		}
		if err != nil {
			t.Fatal(err)
		}
		if token.Kind() == '"' {
			texts = append(texts, token.String())
		}
	}
}
