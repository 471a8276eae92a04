package main

import (
	"fmt"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"telltale.example/telltale"
)

// assign does what --set user.id=5 says to an event: it gives the key at the
// path a value, in its old place or at the end, and makes objects on the way
// that are not there yet. A value that is JSON is taken as such, anything else
// as a string.
func assign(event []byte, assignment string) ([]byte, error) {
	path, text, ok := strings.Cut(assignment, "=")
	if !ok || path == "" {
		return nil, usage("flag --set: %q; expected key=value, such as user.email=a@b.c", telltale.CutValue(assignment))
	}
	value := jsontext.Value(text)
	if !value.IsValid() {
		quoted, err := jsontext.AppendQuote(nil, text)
		if err != nil {
			return nil, usage("flag --set: %q; expected text in UTF-8", telltale.CutValue(assignment))
		}
		value = quoted
	}
	changed, err := assignAt(event, strings.Split(path, "."), value)
	if err != nil {
		return nil, usage("flag --set: %q: %v", telltale.CutValue(assignment), err)
	}
	return changed, nil
}

func assignAt(object []byte, path []string, value jsontext.Value) ([]byte, error) {
	o, err := telltale.ParseObject(object)
	if err != nil {
		return nil, fmt.Errorf("what %s would go into is no object", path[0])
	}
	if len(path) > 1 {
		inner := []byte(o.Get(path[0]))
		if len(inner) == 0 {
			inner = []byte("{}")
		}
		if value, err = assignAt(inner, path[1:], value); err != nil {
			return nil, err
		}
	}
	if err := o.Set(path[0], value); err != nil {
		return nil, err
	}
	return o.AppendJSON(nil), nil
}
