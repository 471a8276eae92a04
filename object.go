package telltale

import (
	"errors"
	"iter"
	"slices"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

// Object is the members of a JSON object in the order in which they came. Names
// and values are kept as they were written, whitespace between tokens apart, so
// that digits and escapes survive.
//
// The zero Object is empty and ready to use. A copy shares its members with the
// original: [Object.Clone] it before changing one of the two.
type Object struct{ members []member }

type member struct {
	name  string // a JSON string, with its quotes
	value string // one JSON value without whitespace between its tokens
}

// ParseObject reads a JSON object within the bounds of an event. What is wrong
// with it is one [Malformed] or [Invalid] error.
func ParseObject(raw []byte) (Object, error) {
	return parse(raw, "object", (*parser).lone)
}

// StoredObject reads what [Object.AppendJSON] wrote, without checking again what
// [ParseObject] checked. It keeps the text. An error says that it was written by
// nothing of the kind.
func StoredObject(text string) (Object, error) {
	var o Object
	if len(text) < 2 || text[0] != '{' || text[len(text)-1] != '}' {
		return o, errStored
	}
	for rest := text[1 : len(text)-1]; rest != ""; {
		name := stringEnd(rest)
		if name >= len(rest) || rest[name] != ':' {
			return Object{}, errStored
		}
		value := name + 1 + valueEnd(rest[name+1:])
		if value == name+1 || value == len(rest)-1 { // nothing behind the colon, or behind the comma
			return Object{}, errStored
		}
		o.members = append(o.members, member{rest[:name], rest[name+1 : value]})
		rest = rest[min(value+1, len(rest)):]
	}
	return o, nil
}

var errStored = errors.New("this is no stored object")

// stringEnd is where the JSON string ends that s begins with; more than all of it
// if there is none.
func stringEnd(s string) int {
	if s == "" || s[0] != '"' {
		return len(s) + 1
	}
	for i := 1; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
		case '"':
			return i + 1
		}
	}
	return len(s) + 1
}

// valueEnd is where the comma stands behind the JSON value that s begins with, or
// the end.
func valueEnd(s string) int {
	depth := 0
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '"':
			i += min(stringEnd(s[i:]), len(s)-i) - 1
		case '{', '[':
			depth++
		case '}', ']':
			depth--
		case ',':
			if depth == 0 {
				return i
			}
		}
	}
	return len(s)
}

// Len is the number of members.
func (o Object) Len() int { return len(o.members) }

// Size is the number of bytes that [Object.AppendJSON] appends.
func (o Object) Size() int {
	n := 2
	for i, m := range o.members {
		if i > 0 {
			n++
		}
		n += len(m.name) + 1 + len(m.value)
	}
	return n
}

// Has reports whether there is a member of that name.
func (o Object) Has(name string) bool { return o.find(name) >= 0 }

// Get gives the value of that name as it was written, or "" if there is none.
func (o Object) Get(name string) string {
	if i := o.find(name); i >= 0 {
		return o.members[i].value
	}
	return ""
}

// Text gives the string or the digits of the number of that name, and "" for
// every other kind of value or if there is none.
func (o Object) Text(name string) string { return text(o.Get(name)) }

// All yields names, unescaped, and values as they were written.
func (o Object) All() iter.Seq2[string, string] {
	return func(yield func(string, string) bool) {
		for _, m := range o.members {
			if !yield(unquote(m.name), m.value) {
				return
			}
		}
	}
}

// Set gives the name a value, in its old place or else at the end. The value is
// one JSON value within the bounds of an event; anything else is an error and
// changes nothing.
func (o *Object) Set(name string, value []byte) error {
	v, err := parse(value, name, (*parser).loneValue)
	if err != nil {
		return err
	}
	o.set(name, v)
	return nil
}

// SetString gives the name a string value. What is not UTF-8 in it is replaced.
func (o *Object) SetString(name, value string) { o.set(name, quote(value)) }

// Grow makes room for n more members.
func (o *Object) Grow(n int) { o.members = slices.Grow(o.members, n) }

// SetInt gives the name an integer value.
func (o *Object) SetInt(name string, value int64) { o.set(name, strconv.FormatInt(value, 10)) }

func (o *Object) set(name, value string) {
	if i := o.find(name); i >= 0 {
		o.members[i].value = value
		return
	}
	o.members = append(o.members, member{name: quote(name), value: value})
}

// put gives the name of m its value, likewise.
func (o *Object) put(m member) {
	if i := o.find(unquote(m.name)); i >= 0 {
		o.members[i].value = m.value
		return
	}
	o.members = append(o.members, m)
}

// Delete removes the member of that name, if there is one.
func (o *Object) Delete(name string) {
	if i := o.find(name); i >= 0 {
		o.members = slices.Delete(o.members, i, i+1)
	}
}

// Complete adds the members of from whose names o lacks, in from's order.
func (o *Object) Complete(from Object) {
	if len(o.members) == 0 {
		o.members = slices.Clone(from.members)
		return
	}
	for _, m := range from.members {
		if !o.Has(unquote(m.name)) {
			o.members = append(o.members, m)
		}
	}
}

// Clone gives a copy that shares nothing with o that can change.
func (o Object) Clone() Object { return Object{members: slices.Clone(o.members)} }

// AppendJSON appends the object as compact JSON.
func (o Object) AppendJSON(dst []byte) []byte {
	dst = append(dst, '{')
	for i, m := range o.members {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = m.appendJSON(dst)
	}
	return append(dst, '}')
}

func (m member) appendJSON(dst []byte) []byte {
	dst = append(dst, m.name...)
	dst = append(dst, ':')
	return append(dst, m.value...)
}

func (o Object) find(name string) int {
	for i := range o.members {
		if o.members[i].named(name) {
			return i
		}
	}
	return -1
}

// named reports whether the member has that name. An escape is longer than what
// it stands for, so most lengths settle it.
func (m *member) named(name string) bool {
	written := m.name[1 : len(m.name)-1]
	switch {
	case len(written) < len(name):
		return false
	case len(written) == len(name):
		return written == name && strings.IndexByte(name, '\\') < 0
	}
	return strings.IndexByte(written, '\\') >= 0 && unquote(m.name) == name
}

// quote writes s as a JSON string with no more escapes than JSON demands.
func quote(s string) string {
	if isPlain(s) {
		return `"` + s + `"`
	}
	b, _ := jsontext.AppendQuote(nil, s) // the error is that invalid UTF-8 was replaced
	return string(b)
}

// isPlain reports whether s is printable ASCII without what JSON escapes.
func isPlain(s string) bool {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c > '~' || c == '"' || c == '\\' {
			return false
		}
	}
	return true
}

// unquote reads a valid JSON string. Without escapes it makes nothing new.
func unquote(s string) string {
	if strings.IndexByte(s, '\\') < 0 {
		return s[1 : len(s)-1]
	}
	b, _ := jsontext.AppendUnquote(nil, s) // cannot fail: s is valid
	return string(b)
}

// text is the string or the digits of the number that value holds, else "".
func text(value string) string {
	switch kindOf(value) {
	case '"':
		return unquote(value)
	case '0':
		return value
	}
	return ""
}

// kindOf is the kind of a valid JSON value, which its first byte shows; 0 for
// no value at all.
func kindOf(value string) jsontext.Kind {
	switch {
	case value == "":
		return 0
	case value[0] == '-' || '0' <= value[0] && value[0] <= '9':
		return '0'
	}
	return jsontext.Kind(value[0])
}

// isEmpty reports whether value says nothing: in a documented key it is then
// left out.
func isEmpty(value string) bool { return value == "null" || value == `""` }
