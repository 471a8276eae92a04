package telltale

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestObjectKeepsWhatWasWritten(t *testing.T) {
	t.Parallel()
	o, err := ParseObject([]byte(" { \"a\\u0062\" : 1.50e+07 , \"list\": [ 1 , { \"x\" : \"a b\" } ] , \"s\":\"\\/<&>\" } "))
	if err != nil {
		t.Fatal(err)
	}
	if got, want := string(o.AppendJSON(nil)), `{"a\u0062":1.50e+07,"list":[1,{"x":"a b"}],"s":"\/<&>"}`; got != want {
		t.Errorf("the object is\n%s, want\n%s", got, want)
	}
	if got := o.Get("ab"); got != "1.50e+07" {
		t.Errorf("the key written with an escape has the value %q", got)
	}
	if got := o.Text("s"); got != "/<&>" {
		t.Errorf("the string reads %q", got)
	}
	if got := o.Text("ab"); got != "1.50e+07" {
		t.Errorf("the number reads %q", got)
	}
	if got := o.Text("list"); got != "" {
		t.Errorf("an array reads %q as a text", got)
	}
	var seen []string
	for name, value := range o.All() {
		seen = append(seen, name+"="+value)
	}
	if d := cmp.Diff([]string{"ab=1.50e+07", `list=[1,{"x":"a b"}]`, `s="\/<&>"`}, seen); d != "" {
		t.Error("(-want +got)\n" + d)
	}
}

func TestMembersAreFoundByWhatTheirNamesMean(t *testing.T) {
	t.Parallel()
	o, err := ParseObject([]byte(`{"\u0061b":1,"a\\b":2,"\n":3,"longer":4,"a\/":5,"":6,"é":7}`))
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"ab": "1", `\u0061b`: "", `a\b`: "2", `a\\b`: "", "\n": "3", `\n`: "", "longer": "4", "long": "", "a/": "5", `a\/`: "", "": "6", "é": "7", `\u00e9`: "",
	} {
		if got := o.Get(name); got != want {
			t.Errorf("%q is %q, want %q", name, got, want)
		}
	}
}

func TestObjectIsBuiltInCode(t *testing.T) {
	t.Parallel()
	var o Object
	o.SetInt("id", -9007199254740993)
	o.SetString("name", "a \"quoted\" <name>\n\xff")
	if err := o.Set("tags", []byte(` [ "a", 1 ] `)); err != nil {
		t.Fatal(err)
	}
	o.SetString("gone", "x")
	o.Delete("gone")
	o.Delete("never there")
	o.SetInt("id", 7) // keeps its place
	if got, want := string(o.AppendJSON(nil)), `{"id":7,"name":"a \"quoted\" <name>\n`+"\ufffd"+`","tags":["a",1]}`; got != want {
		t.Errorf("the object is\n%s, want\n%s", got, want)
	}
	if o.Len() != 3 || !o.Has("id") || o.Has("gone") || o.Get("gone") != "" {
		t.Errorf("Len %d, Has(id) %v, Has(gone) %v", o.Len(), o.Has("id"), o.Has("gone"))
	}
}

func TestObjectSetRefuses(t *testing.T) {
	t.Parallel()
	for name, value := range map[string]string{
		"nothing":         ``,
		"two values":      `1 2`,
		"half a value":    `{"a":`,
		"no JSON":         `hello`,
		"a repeated key":  `{"a":1,"a":2}`,
		"a long number":   strings.Repeat("9", MaxNumberChars+1),
		"too deep a nest": strings.Repeat("[", MaxDepth+1) + strings.Repeat("]", MaxDepth+1),
		"too many bytes":  `"` + strings.Repeat("x", MaxEventBytes) + `"`,
	} {
		var o Object
		o.SetInt("k", 1)
		if err := o.Set("k", []byte(value)); err == nil || o.Get("k") != "1" {
			t.Errorf("%s: error %v, value now %q", name, err, o.Get("k"))
		}
	}
	for _, raw := range []string{``, `[]`, `null`, `{} {}`} {
		if _, err := ParseObject([]byte(raw)); err == nil {
			t.Errorf("%q passes for an object", raw)
		}
	}
}

func TestObjectIsCompletedByAnother(t *testing.T) {
	t.Parallel()
	o, _ := ParseObject([]byte(`{"name":"mine","\u0069d":1}`))
	stored, _ := ParseObject([]byte(`{"id":2,"subject":"stored","name":"theirs","locale":"en"}`))
	before := o.Clone()
	o.Complete(stored)
	if got, want := string(o.AppendJSON(nil)), `{"name":"mine","\u0069d":1,"subject":"stored","locale":"en"}`; got != want {
		t.Errorf("the object is\n%s, want\n%s", got, want)
	}
	if before.Len() != 2 {
		t.Error("the clone changed with the original")
	}
	copied := o.Clone()
	copied.SetString("name", "changed")
	if o.Text("name") != "mine" {
		t.Error("the original changed with the clone")
	}
}

func TestAStoredObjectIsReadAsItWasWritten(t *testing.T) {
	for _, text := range []string{
		`{}`, `{"a":1}`, `{"a":"","b":null,"c":[],"d":{}}`, `{"a, b":"}\"],","c":[{"d":[1,2]},"]"],"e":{"f":"\\","g":-1.50e+3}}`, `{"é\u00e9":"\\\""}`,
	} {
		parsed := object(t, text)
		stored, err := StoredObject(string(parsed.AppendJSON(nil)))
		if err != nil {
			t.Errorf("%s: %v", text, err)
		}
		if diff := cmp.Diff(parsed.members, stored.members, cmp.AllowUnexported(member{})); diff != "" {
			t.Errorf("%s is read otherwise (-parsed +stored):\n%s", text, diff)
		}
	}
}

func FuzzStoredObject(f *testing.F) {
	for _, text := range []string{`{"a":"}\"],","c":[{"d":[1,2]}]}`, `{"a":1,}`, `{"a"}`, `{"a":}`, `{,}`, `{"`, `{"a":"\`, ``} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		stored, err := StoredObject(text)
		parsed, invalid := ParseObject([]byte(text))
		if invalid != nil {
			return // whatever it is, it must not panic
		}
		compact := string(parsed.AppendJSON(nil))
		if compact != text {
			stored, err = StoredObject(compact)
		}
		if err != nil || string(stored.AppendJSON(nil)) != compact {
			t.Errorf("%q is read as %q, %v", compact, stored.AppendJSON(nil), err)
		}
	})
}
