package track

import (
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"

	"telltale.example/telltale"
)

// maxPairs bounds the names and values of a form or a query.
const maxPairs = 1000

// parseForm makes an object of a form or a query: where is what it is called in
// faults. Brackets in names nest: data[plan]=pro is an object, channels[0][type]=push
// and channels[][type]=push are arrays of objects, add[]=a and a name that is
// there several times are lists. Every value is a string.
//
// The object goes through [telltale.ParseObject], so its bounds are those of JSON.
func parseForm(form, where string) (telltale.Object, error) {
	root, pairs := &tree{}, 0
	for pair := range strings.SplitSeq(form, "&") {
		if pair == "" {
			continue
		}
		if pairs++; pairs > maxPairs {
			return telltale.Object{}, &telltale.Error{Code: telltale.TooLarge, Message: fmt.Sprintf("The %s has more than %d values.", where, maxPairs)}
		}
		name, value, err := unescape(pair)
		if err != nil { // it is not repeated: it may be a key
			return telltale.Object{}, malformed(where, fmt.Sprintf("Value %d cannot be read", pairs), "UTF-8, with % only before two hexadecimal digits")
		}
		if name == "" {
			continue
		}
		if message := root.put(path(name), value); message != "" {
			return telltale.Object{}, malformed(telltale.CutValue(name), message, "one kind of value for each name")
		}
	}
	o, err := telltale.ParseObject(root.appendObject(nil))
	return o, relocate(err, where)
}

func malformed(location, message, expected string) error {
	return &telltale.Error{Code: telltale.Malformed, Message: "The request cannot be parsed.", Faults: []telltale.Fault{
		{Location: location, Message: message + ".", Expected: expected},
	}}
}

func unescape(pair string) (name, value string, err error) {
	name, value, _ = strings.Cut(pair, "=")
	if name, err = url.QueryUnescape(name); err != nil {
		return "", "", err
	}
	if value, err = url.QueryUnescape(value); err != nil {
		return "", "", err
	}
	if !utf8.ValidString(name) || !utf8.ValidString(value) {
		return "", "", strconv.ErrSyntax
	}
	return name, value, nil
}

// path cuts a name at its brackets: a[b][] is a, b and the next of a list. A name
// whose brackets do not match is one name.
func path(name string) []string {
	first, rest, ok := strings.Cut(name, "[")
	if !ok || first == "" {
		return []string{name}
	}
	parts := []string{first}
	for {
		part, after, ok := strings.Cut(rest, "]")
		if !ok || strings.Contains(part, "[") {
			return []string{name}
		}
		parts = append(parts, part)
		if after == "" {
			return parts
		}
		if rest, ok = strings.CutPrefix(after, "["); !ok {
			return []string{name}
		}
	}
}

// tree is a value of a form as it comes together: texts, or children by name, of
// which "" stands for the next of a list.
type tree struct {
	texts    []string
	names    []string
	children []*tree
}

// put takes in a value, or says why it cannot be there.
func (t *tree) put(path []string, value string) (fault string) {
	if len(path) > telltale.MaxDepth {
		return "The name has too many brackets"
	}
	for ; len(path) > 0; path = path[1:] {
		if t.texts != nil {
			return "The name stands for a value and for a list or an object"
		}
		t = t.child(path)
	}
	if t.names != nil {
		return "The name stands for a value and for a list or an object"
	}
	t.texts = append(t.texts, value)
	return ""
}

// child gives the child that the path leads through. The next of a list is a new
// one, but that an object is filled until a name comes again.
func (t *tree) child(path []string) *tree {
	i := -1
	if path[0] != "" {
		i = slices.Index(t.names, path[0])
	} else if last := len(t.names) - 1; len(path) > 1 && last >= 0 && t.names[last] == "" && t.children[last].lacks(path[1:]) {
		i = last
	}
	if i < 0 {
		i = len(t.names)
		t.names, t.children = append(t.names, path[0]), append(t.children, &tree{})
	}
	return t.children[i]
}

// lacks reports whether the path leads to a value that is not there yet.
func (t *tree) lacks(path []string) bool {
	if t.texts != nil || len(path) == 0 {
		return false
	}
	i := slices.Index(t.names, path[0])
	return i < 0 || path[0] == "" || t.children[i].lacks(path[1:])
}

func (t *tree) appendJSON(dst []byte) []byte {
	switch {
	case len(t.texts) == 1:
		return appendQuoted(dst, t.texts[0])
	case t.texts != nil:
		return telltale.AppendTexts(dst, t.texts)
	}
	order := t.list()
	if order == nil {
		return t.appendObject(dst)
	}
	dst = append(dst, '[')
	for n, i := range order {
		if n > 0 {
			dst = append(dst, ',')
		}
		dst = t.children[i].appendJSON(dst)
	}
	return append(dst, ']')
}

func (t *tree) appendObject(dst []byte) []byte {
	dst = append(dst, '{')
	for i, name := range t.names {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(appendQuoted(dst, name), ':')
		dst = t.children[i].appendJSON(dst)
	}
	return append(dst, '}')
}

// list gives the children in the order of a list, nil if their names are not
// those of one: all "", or the numbers from 0 on.
func (t *tree) list() []int {
	order := make([]int, len(t.names))
	seen := make([]bool, len(t.names))
	for i, name := range t.names {
		n := i
		if name != "" {
			var err error
			if n, err = strconv.Atoi(name); err != nil || n < 0 || n >= len(t.names) || strconv.Itoa(n) != name {
				return nil
			}
		}
		if seen[n] {
			return nil
		}
		seen[n], order[n] = true, i
	}
	return order
}

func appendQuoted(dst []byte, s string) []byte {
	dst, _ = jsontext.AppendQuote(dst, s) // the error is that invalid UTF-8 was replaced, and it is valid
	return dst
}
