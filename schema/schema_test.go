package schema_test

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/go-cmp/cmp"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"telltale.example/telltale/schema"
)

// eventTypes are in the order of the settings page's menu.
var eventTypes = []string{
	"sent", "delivered", "opened", "clicked", "failed", "bounced", "converted",
	"unsubscribed", "resubscribed", "complained", "user_created", "user_updated",
}

// operationalTypes are those of events about Telltale's own work.
var operationalTypes = []string{"webhook.failing", "webhook.disabled", "webhook.recovered", "delivery.failed"}

var everyType = slices.Concat(eventTypes, operationalTypes)

func TestEverySampleKeepsToItsSchemaAndToNoOther(t *testing.T) {
	t.Parallel()
	for _, of := range everyType {
		compiled := compile(t, of)
		for _, sample := range everyType {
			value, err := jsonschema.UnmarshalJSON(bytes.NewReader(schema.Sample(sample)))
			if err != nil {
				t.Fatal(err)
			}
			if err := compiled.Validate(value); (err == nil) != (of == sample) {
				t.Errorf("the sample of %s against the schema of %s: %v", sample, of, err)
			}
		}
	}
}

func compile(t *testing.T, name string) *jsonschema.Schema {
	t.Helper()
	document, err := jsonschema.UnmarshalJSON(bytes.NewReader(schema.Schema(name)))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler() // checks the schema itself against draft 2020-12
	if err := c.AddResource(name, document); err != nil {
		t.Fatal(err)
	}
	compiled, err := c.Compile(name)
	if err != nil {
		t.Fatal(err)
	}
	if compiled.DraftVersion != 2020 {
		t.Errorf("the schema of %s is of draft %d", name, compiled.DraftVersion)
	}
	return compiled
}

func TestSchemasRefuse(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ name, of, payload string }{
		{"a payload without its time", "sent", `{"type":"sent","user":{"id":1}}`},
		{"a payload without a user", "sent", `{"sent_at":1,"type":"sent"}`},
		{"a user without id and email", "converted", `{"type":"converted","user":{"name":"Steve"}}`},
		{"the type of another event", "converted", `{"type":"sent","user":{"id":1}}`},
		{"an empty string", "converted", `{"type":"converted","user":{"id":1},"message_id":""}`},
		{"null", "converted", `{"type":"converted","user":{"id":1},"message_id":null}`},
		{"a time after 9999", "sent", `{"sent_at":253402300800,"type":"sent","user":{"id":1}}`},
		{"a number for the second id", "user_updated", `{"action":"user_updated","type":"user_updated","user":{"id":1},"id":1}`},
		{"a medium bounce", "bounced", `{"bounced_at":1,"bounce_type":"medium","type":"bounced","user":{"id":1}}`},
		{"a webhook turned off for no reason", "webhook.disabled", `{"type":"webhook.disabled","occurred_at":1,"webhook":{"id":"w","url":"u"},"last_error":{"sentence":"s"}}`},
		{"a webhook that fails without a last error", "webhook.failing", `{"type":"webhook.failing","occurred_at":1,"webhook":{"id":"w","url":"u"},"failing_since":1,"failures":1}`},
		{"a failed delivery that is not named", "delivery.failed", `{"type":"delivery.failed","occurred_at":1,"webhook":{"id":"w","url":"u"},"last_error":{"sentence":"s"}}`},
		{"a tag that is no string", "user_updated", `{"action":"user_updated","type":"user_updated","user":{"id":1},"changes":{"_tags":{"add":[1]}}}`},
	} {
		value, err := jsonschema.UnmarshalJSON(strings.NewReader(test.payload))
		if err != nil {
			t.Fatal(err)
		}
		if err := compile(t, test.of).Validate(value); err == nil {
			t.Errorf("%s passes", test.name)
		}
	}
}

func TestSamplesAreCompact(t *testing.T) {
	t.Parallel()
	for _, name := range everyType {
		sample := schema.Sample(name)
		compact := jsontext.Value(bytes.Clone(sample))
		if err := compact.Compact(); err != nil || !bytes.Equal(compact, sample) {
			t.Errorf("the sample of %s is not compact: %q, %v", name, sample, err)
		}
		sample[0] = 'x'
		if bytes.Equal(schema.Sample(name), sample) {
			t.Errorf("the sample of %s can be changed by its callers", name)
		}
	}
}

func TestThereIsNothingElse(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"", "Sent", "bounce", "sent.schema", "sent.json", "webhook.failing.schema", "../schema/sent", "/etc/passwd", "schema.go"} {
		if schema.Sample(name) != nil || schema.Schema(name) != nil {
			t.Errorf("there is a sample or schema of %q", name)
		}
	}
	var want, got []string
	for _, name := range everyType {
		want = append(want, name+".json", name+".schema.json")
		if schema.Sample(name) == nil || schema.Schema(name) == nil {
			t.Errorf("there is no sample or schema of %q", name)
		}
	}
	files, err := fs.Glob(os.DirFS("."), "*.json")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		got = append(got, filepath.Base(file))
	}
	slices.Sort(want)
	slices.Sort(got)
	if d := cmp.Diff(want, got); d != "" {
		t.Error("files (-want +got)\n" + d)
	}
}
