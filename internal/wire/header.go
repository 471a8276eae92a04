package wire

import (
	"bytes"
	"encoding/json"
	"fmt"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"

	"telltale.example/telltale"
)

// Headers is the head of a request or a response, in order: a JSON object whose
// values are strings, or arrays of strings for headers that are there several
// times.
type Headers []telltale.Header

// Get gives the first value of that very name.
func (h Headers) Get(name string) string {
	for _, line := range h {
		if line.Name == name {
			return line.Value
		}
	}
	return ""
}

// MarshalJSON writes each name at its first place.
func (h Headers) MarshalJSON() ([]byte, error) {
	b := []byte{'{'}
	for i, line := range h {
		values := h.all(line.Name)
		if values[0] != i {
			continue
		}
		b = appendName(b, line.Name)
		if len(values) == 1 {
			b = appendString(b, line.Value)
			continue
		}
		for j, at := range values {
			b = append(b, "[,"[min(j, 1)])
			b = appendString(b, h[at].Value)
		}
		b = append(b, ']')
	}
	return append(b, '}'), nil
}

// all gives the indices of the lines with that name.
func (h Headers) all(name string) []int {
	var at []int
	for i, line := range h {
		if line.Name == name {
			at = append(at, i)
		}
	}
	return at
}

// UnmarshalJSON reads what [Headers.MarshalJSON] writes.
func (h *Headers) UnmarshalJSON(data []byte) error {
	*h = Headers{}
	return eachMember(data, func(name string, value []byte) error {
		var one string
		if json.Unmarshal(value, &one) == nil {
			*h = append(*h, telltale.Header{Name: name, Value: one})
			return nil
		}
		var many []string
		if err := json.Unmarshal(value, &many); err != nil {
			return fmt.Errorf("wire: reading the header %s: %w", name, err)
		}
		for _, v := range many {
			*h = append(*h, telltale.Header{Name: name, Value: v})
		}
		return nil
	})
}

// CustomHeaders are the headers that a webhook adds, as they are read: a JSON
// object whose values are strings, or {"value":"[redacted]","secret":true}.
type CustomHeaders []telltale.CustomHeader

// secretHeader is the long form of a custom header's value.
type secretHeader struct {
	Value  string `json:"value"`
	Secret bool   `json:"secret,omitempty"`
}

// MarshalJSON writes secret values as "[redacted]".
func (h CustomHeaders) MarshalJSON() ([]byte, error) {
	b := []byte{'{'}
	for _, header := range h {
		b = appendName(b, header.Name)
		if header.Secret {
			b = append(b, `{"value":"`+telltale.Redacted+`","secret":true}`...)
		} else {
			b = appendString(b, header.Value)
		}
	}
	return append(b, '}'), nil
}

// UnmarshalJSON reads what [CustomHeaders.MarshalJSON] writes.
func (h *CustomHeaders) UnmarshalJSON(data []byte) error {
	*h = CustomHeaders{}
	return eachMember(data, func(name string, value []byte) error {
		var long secretHeader
		if json.Unmarshal(value, &long.Value) != nil {
			if err := json.Unmarshal(value, &long); err != nil {
				return fmt.Errorf("wire: reading the custom header %s: %w", name, err)
			}
		}
		*h = append(*h, telltale.CustomHeader{Name: name, Value: long.Value, Secret: long.Secret})
		return nil
	})
}

// HeaderChanges changes the headers that a webhook adds, each by its name: a
// JSON object whose values are strings, {"value":…,"secret":…}, or null, which
// removes the header. A string is short for {"value":…}: it leaves the mark
// "secret" as it is, so that no secret is unveiled by accident.
type HeaderChanges []HeaderChange

// HeaderChange changes one header.
type HeaderChange struct {
	Name   string
	Remove bool
	Value  Change[string]
	Secret Change[bool]
}

// headerValue is a HeaderChange's long form.
type headerValue struct {
	Value  Change[string] `json:"value,omitzero"`
	Secret Change[bool]   `json:"secret,omitzero"`
}

// MarshalJSON writes the short form where it says it all.
func (h HeaderChanges) MarshalJSON() ([]byte, error) {
	b := []byte{'{'}
	for _, c := range h {
		b = appendName(b, c.Name)
		switch {
		case c.Remove:
			b = append(b, "null"...)
		case c.Value.Set && !c.Value.Null && !c.Secret.Set:
			b = appendString(b, c.Value.Value)
		default:
			long, err := json.Marshal(headerValue{c.Value, c.Secret})
			if err != nil {
				return nil, fmt.Errorf("wire: writing the custom header %s: %w", c.Name, err)
			}
			b = append(b, long...)
		}
	}
	return append(b, '}'), nil
}

// UnmarshalJSON reads the three forms.
func (h *HeaderChanges) UnmarshalJSON(data []byte) error {
	*h = HeaderChanges{}
	return eachMember(data, func(name string, value []byte) error {
		c := HeaderChange{Name: name}
		switch jsontext.Value(value).Kind() {
		case 'n':
			c.Remove = true
		case '"':
			c.Value.Set = true
			if err := json.Unmarshal(value, &c.Value.Value); err != nil {
				return fmt.Errorf("wire: reading the custom header %s: %w", name, err)
			}
		default:
			var long headerValue
			if err := json.Unmarshal(value, &long); err != nil {
				return fmt.Errorf("wire: reading the custom header %s: %w", name, err)
			}
			c.Value, c.Secret = long.Value, long.Secret
		}
		*h = append(*h, c)
		return nil
	})
}

// eachMember visits the members of a JSON object in their order.
func eachMember(data []byte, visit func(name string, value []byte) error) error {
	d := jsontext.NewDecoder(bytes.NewReader(data))
	if start, err := d.ReadToken(); err != nil || start.Kind() != '{' {
		return fmt.Errorf("wire: expected a JSON object of headers, not %.20q", data)
	}
	for d.PeekKind() == '"' {
		name, err := d.ReadToken()
		if err != nil {
			return fmt.Errorf("wire: reading the name of a header: %w", err)
		}
		key := name.String() // before the next read takes its place
		value, err := d.ReadValue()
		if err != nil {
			return fmt.Errorf("wire: reading the header %s: %w", key, err)
		}
		if err := visit(key, value); err != nil {
			return err
		}
	}
	if _, err := d.ReadToken(); err != nil {
		return fmt.Errorf("wire: reading headers: %w", err)
	}
	return nil
}

// appendName begins a member of an object.
func appendName(b []byte, name string) []byte {
	if len(b) > 1 {
		b = append(b, ',')
	}
	return append(appendString(b, name), ':')
}

// appendString writes a JSON string; what is not UTF-8 in it is replaced.
func appendString(b []byte, s string) []byte {
	b, _ = jsontext.AppendQuote(b, s) // the error is that something was replaced
	return b
}

// text gives bytes as a string if they are text, and else as bytes, which JSON
// writes in base64.
func text(b []byte) (string, []byte) {
	if utf8.Valid(b) {
		return string(b), nil
	}
	return "", b
}
