package main

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"

	"telltale.example/telltale"
)

func readEvents(in io.Reader) (events []string, err error) {
	r := newEventReader(in)
	for {
		v, err := r.next()
		if err == io.EOF {
			return events, nil
		}
		if err != nil {
			return events, err
		}
		events = append(events, string(v))
	}
}

func TestEventReader(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, in string
		want     []string
	}{
		{"one object over several lines", "{\n  \"a\": 1\n}\n", []string{"{\n  \"a\": 1\n}"}},
		{"an array", `[{"a":1}, {"b":2}]`, []string{`{"a":1}`, `{"b":2}`}},
		{"lines, with empty ones between", "{\"a\":1}\n\n{\"b\":2}\r\n", []string{`{"a":1}`, `{"b":2}`}},
		{"an empty array", " [ ] ", nil},
		{"nothing", "", nil},
		{"digits, escapes and repeated keys as they are", `{"a":1.50e+3,"a":"\u00e9\/"}`, []string{`{"a":1.50e+3,"a":"\u00e9\/"}`}},
		{"bytes that are no UTF-8 go on to the server", "{\"a\":\"\xff\"}", []string{"{\"a\":\"\xff\"}"}},
		{"what is no object goes on to the server", `5`, []string{`5`}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			for _, in := range []io.Reader{strings.NewReader(tt.in), iotest.OneByteReader(strings.NewReader(tt.in))} {
				got, err := readEvents(in)
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(tt.want, got); diff != "" {
					t.Error(diff)
				}
			}
		})
	}
	large := `{"a":"` + strings.Repeat("x", telltale.MaxEventBytes) + `"}`
	endless := io.MultiReader(strings.NewReader(`{"a":1} {"a":"`), endlessReader{})
	for _, tt := range []struct {
		name, want string
		in         io.Reader
		before     int
	}{
		{"half an object", "event 2 cannot be read", strings.NewReader("{\"a\":1}\n{\"a\":"), 1},
		{"an array without its end", "event 2 cannot be read", strings.NewReader(`[{"a":1},`), 1},
		{"an array that just stops", "event 2 cannot be read", strings.NewReader(`[{"a":1}`), 1},
		{"more after the array", "more data after the array", strings.NewReader(`[{"a":1}] {"a":2}`), 1},
		{"a comma between lines", "event 2 cannot be read", strings.NewReader("{\"a\":1},\n{\"a\":2}"), 1},
		{"an event that is too large", "event 1 has 262152 bytes; expected at most 262144", strings.NewReader(large), 0},
		{"an event without end", "event 2 has more than 1048576 bytes", endless, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, err := readEvents(tt.in)
			if err == nil || !strings.Contains(err.Error(), tt.want) || statusOf(err) != exitUsage {
				t.Errorf("got %v, want a usage error with %q", err, tt.want)
			}
			if len(got) != tt.before {
				t.Errorf("%d events before the error, want %d", len(got), tt.before)
			}
		})
	}
	t.Run("a disk that fails is no fault of the input", func(t *testing.T) {
		t.Parallel()
		_, err := readEvents(iotest.ErrReader(errors.New("broken")))
		if err == nil || statusOf(err) != exitUnexpected {
			t.Errorf("got %v", err)
		}
	})
}

type endlessReader struct{}

func (endlessReader) Read(p []byte) (int, error) {
	return copy(p, bytes.Repeat([]byte{'x'}, len(p))), nil
}

// FuzzEventReader looks for input that makes the reader hang, or invent bytes.
func FuzzEventReader(f *testing.F) {
	f.Add([]byte(`[{"a":1},{"b":"\ud800"}]`))
	f.Add([]byte("{\"a\":1}\n{\"b\":2}\n"))
	f.Add([]byte("\xef\xbb\xbf{}"))
	f.Add([]byte("[[[["))
	f.Fuzz(func(t *testing.T, in []byte) {
		events, err := readEvents(bytes.NewReader(in))
		if err != nil {
			return
		}
		rest := in
		for _, event := range events {
			i := bytes.Index(rest, []byte(event))
			if i < 0 {
				t.Fatalf("%q is not in what is left of the input", event)
			}
			rest = rest[i+len(event):]
		}
	})
}
