package telltale

import (
	"slices"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

// appendCanonical appends a valid JSON value so that equal values are equal
// bytes: keys sorted, numbers as plain digits, strings with no more escapes than
// needed, no whitespace. Digits are kept, however many; what RFC 8785 makes of
// numbers is what a float64 holds.
func appendCanonical(dst []byte, value string) []byte {
	switch kindOf(value) {
	case '0':
		return append(dst, canonicalNumber(value)...)
	case '"':
		return append(dst, quote(unquote(value))...)
	case '{', '[':
		d := jsontext.NewDecoder(strings.NewReader(value))
		return appendCanonicalNext(dst, d)
	}
	return append(dst, value...)
}

// appendCanonicalNext reads the next value of d. It is valid, so that nothing fails.
func appendCanonicalNext(dst []byte, d *jsontext.Decoder) []byte {
	switch d.PeekKind() {
	case '{':
		return appendCanonicalObject(dst, d)
	case '[':
		_, _ = d.ReadToken()
		dst = append(dst, '[')
		for n := 0; d.PeekKind() != ']' && d.PeekKind() != jsontext.KindInvalid; n++ {
			if n > 0 {
				dst = append(dst, ',')
			}
			dst = appendCanonicalNext(dst, d)
		}
		_, _ = d.ReadToken()
		return append(dst, ']')
	}
	v, _ := d.ReadValue()
	return appendCanonical(dst, string(v))
}

func appendCanonicalObject(dst []byte, d *jsontext.Decoder) []byte {
	_, _ = d.ReadToken()
	var members []member
	for d.PeekKind() != '}' && d.PeekKind() != jsontext.KindInvalid {
		name, _ := d.ReadToken()
		members = append(members, member{quote(name.String()), string(appendCanonicalNext(nil, d))})
	}
	_, _ = d.ReadToken()
	slices.SortFunc(members, func(a, b member) int { return strings.Compare(a.name, b.name) })
	return Object{members}.AppendJSON(dst)
}

// sameValue reports whether two valid JSON values are equal: 1.0 is 1, and the
// order of keys says nothing.
func sameValue(a, b string) bool {
	return a == b || kindOf(a) == kindOf(b) && string(appendCanonical(nil, a)) == string(appendCanonical(nil, b))
}
