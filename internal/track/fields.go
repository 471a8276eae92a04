package track

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"

	"telltale.example/telltale"
)

// fields reads what a call needs out of an object of its request, and notes what
// is wrong with it. What is null or "" is not there.
type fields struct {
	telltale.Object
	at    string // where the object stands; empty for the request itself
	wrong *faults
}

// faults is what is wrong with a request.
type faults []telltale.Fault

// maxFaults is how many faults are told.
const maxFaults = 20

func (f *faults) add(location, message, expected string) {
	if len(*f) < maxFaults {
		*f = append(*f, telltale.Fault{Location: location, Message: message, Expected: expected})
	}
}

func (f *faults) err() error { return telltale.Faulty("The request is not valid.", *f) }

func (f fields) where(name string) string {
	if f.at == "" {
		return name
	}
	return f.at + "." + name
}

func (f fields) wrongKind(location, value, expected string) {
	f.wrong.add(location, "The value is "+kindName(value)+".", expected)
}

// value gives the member of that name as JSON, or "" if it is not there.
func (f fields) value(name string) string {
	if v := f.Get(name); v != "null" && v != `""` {
		return v
	}
	return ""
}

// text gives a string, or the digits of a number, of at most so many characters.
func (f fields) text(name string, most int) string {
	return f.asText(f.where(name), f.value(name), most)
}

func (f fields) asText(location, value string, most int) string {
	switch kind(value) {
	case 0:
		return ""
	case '"', '0':
	default:
		f.wrongKind(location, value, fmt.Sprintf("a string or a number, of at most %d characters", most))
		return ""
	}
	s := text(value)
	switch {
	case utf8.RuneCountInString(s) > most:
		f.wrong.add(location, "The value is too long.", fmt.Sprintf("at most %d characters", most))
		return ""
	case strings.ContainsRune(s, 0):
		f.wrong.add(location, `The value has the character \u0000.`, "text")
		return ""
	}
	return s
}

// id gives a user's id as JSON.
func (f fields) id(name string) string {
	value := f.value(name)
	if f.asText(f.where(name), value, telltale.MaxIDChars) == "" {
		return ""
	}
	if kind(value) == '0' && len(telltale.UserRef{ID: value}.UserID()) > telltale.MaxIDChars { // 1e999 has a thousand digits
		f.wrong.add(f.where(name), "The number is too long.", fmt.Sprintf("at most %d digits", telltale.MaxIDChars))
		return ""
	}
	return value
}

func (f fields) email(name string) string {
	if value := f.value(name); kind(value) == '0' {
		f.wrongKind(f.where(name), value, "an email address")
		return ""
	}
	return f.text(name, telltale.MaxIDChars)
}

// user gives whom the object is about, by id, email or both.
func (f fields) user() telltale.UserRef {
	before := len(*f.wrong)
	ref := telltale.UserRef{ID: f.id("id"), Email: f.email("email")}
	if ref.UserID() == "" && len(*f.wrong) == before {
		f.wrong.add(f.where("id"), "There is neither an id nor an email.", "id or email")
	}
	return ref
}

// object gives an object, which may be JSON in a string. An empty array is an
// empty object, which PHP does not tell apart. ok is false if it is not there.
func (f fields) object(name string) (o fields, ok bool) {
	return f.asObject(f.where(name), f.value(name))
}

func (f fields) asObject(location, value string) (o fields, ok bool) {
	o = fields{at: location, wrong: f.wrong}
	value = f.unfold(location, value)
	if value == "[]" {
		return o, true
	}
	switch kind(value) {
	case 0:
		return o, false
	case '{':
	default:
		f.wrongKind(location, value, "an object")
		return o, false
	}
	var err error
	if o.Object, err = telltale.ParseObject([]byte(value)); err != nil {
		f.noteAll(relocate(err, location))
		return o, false
	}
	return o, true
}

// list gives the elements of an array, which may be JSON in a string, as JSON.
// What is no array is a list of one. ok is false if it is not there.
func (f fields) list(name string, most int) (elements []string, ok bool) {
	return f.asList(f.where(name), f.value(name), most)
}

func (f fields) asList(location, value string, most int) (elements []string, ok bool) {
	switch value = f.unfold(location, value); kind(value) {
	case 0:
		return nil, false
	case '[':
	default:
		return []string{value}, true
	}
	parts, err := telltale.SplitArray([]byte(value), most)
	if err != nil { // the array was parsed before: it can only have too many
		f.wrong.add(location, "The array has too many elements.", fmt.Sprintf("at most %d", most))
		return nil, false
	}
	for _, p := range parts {
		elements = append(elements, string(p))
	}
	return elements, true
}

// unfold gives the JSON that stands in a string, or the value itself.
func (f fields) unfold(location, value string) string {
	if kind(value) != '"' {
		return value
	}
	inner := strings.TrimSpace(text(value))
	if !strings.HasPrefix(inner, "{") && !strings.HasPrefix(inner, "[") {
		return value
	}
	var o telltale.Object
	if err := o.Set(location, []byte(inner)); err != nil {
		f.noteAll(err)
		return ""
	}
	return o.Get(location)
}

func (f fields) noteAll(err error) {
	var e *telltale.Error
	if !errors.As(err, &e) {
		f.wrong.add(f.at, err.Error(), "")
		return
	}
	for _, fault := range e.Faults {
		f.wrong.add(fault.Location, fault.Message, fault.Expected)
	}
}

// texts gives a list of texts, each of at most so many characters.
func (f fields) texts(name string, most, chars int) (texts []string, ok bool) {
	elements, ok := f.list(name, most)
	for i, e := range elements {
		location := f.where(name)
		if len(elements) > 1 {
			location = fmt.Sprintf("%s[%d]", location, i)
		}
		if e == "null" {
			continue
		}
		if s := f.asText(location, e, chars); s != "" && !slices.Contains(texts, s) {
			texts = append(texts, s)
		}
	}
	return texts, ok
}

// kind is the kind of a valid JSON value by its first byte, '0' for all numbers
// and 0 for no value.
func kind(value string) byte {
	switch {
	case value == "":
		return 0
	case value[0] == '-' || '0' <= value[0] && value[0] <= '9':
		return '0'
	}
	return value[0]
}

func kindName(value string) string {
	switch kind(value) {
	case 't', 'f':
		return "a boolean"
	case 'n':
		return "null"
	case '"':
		return "a string"
	case '0':
		return "a number"
	case '[':
		return "an array"
	}
	return "an object"
}

// text is what a string says, or the digits of a number.
func text(value string) string {
	if kind(value) != '"' {
		return value
	}
	b, _ := jsontext.AppendUnquote(nil, value) // cannot fail: it is valid
	return string(b)
}
