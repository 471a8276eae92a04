package feed

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"telltale.example/telltale"
)

// object reads the members of a provider's JSON object. What is not there, or is
// of another kind than is asked for, is the zero value: a provider's oddity in a
// member that nobody needs costs no event.
type object struct{ telltale.Object }

func parseObject(raw string) (object, error) {
	o, err := telltale.ParseObject([]byte(raw))
	return object{o}, err
}

// splitArray gives the elements of a JSON array, at most [telltale.MaxFeedEvents].
func splitArray(body []byte) ([]string, error) {
	parts, err := telltale.SplitArray(body, telltale.MaxFeedEvents)
	if err != nil {
		return nil, err
	}
	elements := make([]string, len(parts))
	for i, p := range parts {
		elements[i] = string(p)
	}
	return elements, nil
}

// memberOf gives a member of a JSON object without reading more of it than what
// stands before: what is wrong behind it, parsing will say.
func memberOf(body []byte, name string) (json.RawMessage, error) {
	d := json.NewDecoder(bytes.NewReader(body))
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return nil, errors.New("feed: the body is no object")
	}
	for d.More() {
		key, err := d.Token()
		if err != nil {
			return nil, fmt.Errorf("feed: looking for %q: %w", name, err)
		}
		var value json.RawMessage
		if err := d.Decode(&value); err != nil {
			return nil, fmt.Errorf("feed: looking for %q: %w", name, err)
		}
		if key == name {
			return value, nil
		}
	}
	return nil, fmt.Errorf("feed: the body has no %q", name)
}

// child gives the object of that name; an empty one if there is none.
func (o object) child(path ...string) object {
	for _, name := range path {
		value := o.Get(name)
		if !strings.HasPrefix(value, "{") {
			return object{}
		}
		inner, err := telltale.StoredObject(value) // it was parsed with what it stands in
		if err != nil {
			return object{}
		}
		o = object{inner}
	}
	return o
}

// list gives the elements of the array of that name as JSON. What is no array,
// and not null, is a list of one.
func (o object) list(name string) []string {
	value := o.Get(name)
	switch {
	case value == "" || value == "null":
		return nil
	case value[0] != '[':
		return []string{value}
	}
	elements, err := splitArray([]byte(value))
	if err != nil {
		return nil
	}
	return elements
}

// objects gives the objects in the array of that name.
func (o object) objects(name string) (objects []object) {
	for _, element := range o.list(name) {
		if strings.HasPrefix(element, "{") {
			if inner, err := telltale.StoredObject(element); err == nil {
				objects = append(objects, object{inner})
			}
		}
	}
	return objects
}

// texts gives the strings, and digits of numbers, in the array of that name.
func (o object) texts(name string) (texts []string) {
	for _, element := range o.list(name) {
		if s := jsonText(element); s != "" {
			texts = append(texts, s)
		}
	}
	return texts
}

// jsonText is what a JSON string says, or the digits of a number.
func jsonText(value string) string {
	switch {
	case strings.HasPrefix(value, `"`):
		var s string
		if json.Unmarshal([]byte(value), &s) != nil {
			return ""
		}
		return s
	case value != "" && (value[0] == '-' || '0' <= value[0] && value[0] <= '9'):
		return value
	}
	return ""
}

// embedded gives the object of that name, which may be JSON in a string.
func (o object) embedded(name string) object {
	value := o.Get(name)
	if strings.HasPrefix(value, `"`) {
		value = o.Text(name)
	}
	if !strings.HasPrefix(value, "{") {
		return object{}
	}
	inner, _ := parseObject(value)
	return inner
}

// isTrue reports whether the member is true, in whichever way it is written.
func (o object) isTrue(name string) bool {
	switch o.Get(name) {
	case "true", "1", `"true"`, `"1"`, `"True"`:
		return true
	}
	return false
}

// flag gives a boolean that may not be there.
func (o object) flag(name string) *bool {
	if !o.Has(name) || o.Get(name) == "null" {
		return nil
	}
	b := o.isTrue(name)
	return &b
}

// code gives a number of three digits, such as an SMTP reply; 0 if it is not.
func (o object) code(name string) int {
	return threeDigits(o.Text(name))
}

func threeDigits(text string) int {
	if n, err := strconv.Atoi(text); err == nil && n >= 100 && n <= 999 {
		return n
	}
	return 0
}

// firstOf gives the first text that says something.
func firstOf(texts ...string) string {
	if i := slices.IndexFunc(texts, func(s string) bool { return strings.TrimSpace(s) != "" }); i >= 0 {
		return texts[i]
	}
	return ""
}

// unix gives the time that a number says, or a string of digits: seconds with a
// fraction, or milliseconds if it is that large. Zero if there is none.
func (o object) unix(name string) time.Time { return unixTime(o.Text(name)) }

// maxUnixSeconds tells seconds from milliseconds: as seconds it is the year
// 5138, as milliseconds 1973, before there was mail to report.
const maxUnixSeconds = 100_000_000_000

func unixTime(digits string) time.Time {
	if strings.ContainsAny(digits, "eE") {
		f, err := strconv.ParseFloat(digits, 64)
		if err != nil || f < 0 || f > maxUnixSeconds {
			return time.Time{}
		}
		return time.UnixMilli(int64(math.Round(f * 1000))).UTC()
	}
	whole, fraction, _ := strings.Cut(digits, ".")
	n, err := strconv.ParseInt(whole, 10, 64)
	if err != nil || n < 0 {
		return time.Time{}
	}
	if n > maxUnixSeconds {
		if n > maxUnixSeconds*1000 {
			return time.Time{}
		}
		return time.UnixMilli(n).UTC()
	}
	nanos, _ := strconv.ParseInt((fraction + "000000000")[:9], 10, 64) // what is no fraction is none
	return time.Unix(n, nanos).UTC()
}

// time gives the time that a string says as RFC 3339 does, with any number of
// digits of seconds; zero if there is none.
func (o object) time(name string) time.Time {
	t, err := time.Parse(time.RFC3339, o.Text(name))
	if err != nil {
		return time.Time{}
	}
	return t.UTC()
}
