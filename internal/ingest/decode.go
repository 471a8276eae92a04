package ingest

import (
	"bytes"
	"errors"
	"fmt"
	"mime"
	"strconv"
	"strings"

	"telltale.example/telltale"
)

// Bounds of a request, in every form. Those of one event stand with
// [telltale.ParseActivity].
const (
	MaxBody   = 5 << 20 // bytes
	MaxEvents = 1000
	// MaxFaults is how many faults are listed; how many more there are is said.
	MaxFaults = 100
)

// Decode reads a request of the ingest API: one event, an array of events, or
// NDJSON with an event per line. Blank lines between the events of NDJSON do
// not count.
//
// The media types are application/json, for one event and for an array, and
// application/x-ndjson or application/ndjson. A body without a media type is
// taken for JSON, and so is one that looks like it and is declared as a form,
// which is what curl -d says of everything. The only charset is UTF-8.
//
// The error is of code UnsupportedMedia for any other media type, TooLarge past
// the bounds, Malformed if any event cannot be parsed, else Invalid. It has the
// faults of all events, at most [MaxFaults], with locations as body.user.id for
// one event and body[3].user.id for the fourth of several; for NDJSON the
// message says the line too.
func Decode(contentType string, body []byte) ([]telltale.Activity, error) {
	ndjson, err := isNDJSON(contentType, body)
	switch {
	case err != nil:
		return nil, err
	case len(body) > MaxBody:
		return nil, telltale.Errorf(telltale.TooLarge, "The body is larger than %d MiB. Send the events in several requests.", MaxBody>>20)
	}
	start := bytes.TrimLeft(body, space)
	switch {
	case len(start) == 0:
		return nil, empty(telltale.Malformed, "The body is empty.")
	case ndjson:
		return decodeLines(body)
	case start[0] == '[':
		return decodeArray(body)
	}
	return decodeOne(body)
}

const space = " \t\r\n"

func isNDJSON(contentType string, body []byte) (bool, error) {
	if contentType == "" || contentType == "application/json" {
		return false, nil
	}
	media, params, err := mime.ParseMediaType(contentType)
	if err != nil {
		return false, unsupported(contentType, "cannot be read")
	}
	ndjson := false
	switch media {
	case "application/json":
	case "application/x-ndjson", "application/ndjson":
		ndjson = true
	case "application/x-www-form-urlencoded":
		if start := bytes.TrimLeft(body, space); len(start) == 0 || start[0] != '{' && start[0] != '[' {
			return false, unsupported(contentType, "is not one of events")
		}
	default:
		return false, unsupported(contentType, "is not one of events")
	}
	if charset, ok := params["charset"]; ok && !strings.EqualFold(charset, "utf-8") {
		return false, unsupported(contentType, "has another charset than UTF-8")
	}
	return ndjson, nil
}

func unsupported(contentType, why string) error {
	return telltale.Errorf(telltale.UnsupportedMedia,
		"The Content-Type %q %s. Send application/json, or application/x-ndjson for one event per line, in UTF-8.", telltale.CutValue(contentType), why)
}

func empty(code telltale.Code, message string) error {
	return &telltale.Error{Code: code, Message: message, Faults: []telltale.Fault{
		{Location: "body", Message: message, Expected: "an event, an array of events, or NDJSON"},
	}}
}

func decodeOne(body []byte) ([]telltale.Activity, error) {
	a, err := telltale.ParseActivity(body, "body")
	if err == nil {
		return []telltale.Activity{a}, nil
	}
	var found faults
	found.add(err, 0)
	e := found.err(1)
	if e.Code == telltale.Malformed && looksLikeLines(body) {
		e.Message += " If the body is one event per line, send it with the Content-Type application/x-ndjson."
	}
	return nil, e
}

// looksLikeLines finds those who sent NDJSON as JSON.
func looksLikeLines(body []byte) bool {
	line, rest, _ := bytes.Cut(bytes.TrimLeft(body, space), []byte("\n"))
	return bytes.HasSuffix(bytes.TrimRight(line, space), []byte("}")) && bytes.HasPrefix(bytes.TrimLeft(rest, space), []byte("{"))
}

func decodeArray(body []byte) ([]telltale.Activity, error) {
	elements, err := telltale.SplitArray(body, MaxEvents)
	if err != nil {
		return nil, err
	}
	if len(elements) == 0 {
		return nil, empty(telltale.Invalid, "The array is empty.")
	}
	all := make([]telltale.Activity, len(elements))
	var found faults
	for i, element := range elements {
		a, err := telltale.ParseActivity(element, at(i))
		all[i] = a
		found.add(err, 0)
	}
	if err := found.err(len(elements)); err != nil {
		return nil, err
	}
	return all, nil
}

func decodeLines(body []byte) ([]telltale.Activity, error) {
	all := make([]telltale.Activity, 0, min(bytes.Count(body, []byte("\n"))+1, MaxEvents))
	var found faults
	number, count := 0, 0
	for line := range bytes.Lines(body) {
		number++
		if line = bytes.Trim(line, space); len(line) == 0 {
			continue
		}
		if count == MaxEvents {
			return nil, &telltale.Error{Code: telltale.TooLarge, Message: "The body has too many events.", Faults: []telltale.Fault{
				{Location: "body", Message: "The body has too many lines.", Expected: fmt.Sprintf("at most %d events", MaxEvents)},
			}}
		}
		a, err := telltale.ParseActivity(line, at(count))
		count++
		if found.add(err, number); found.total == 0 {
			all = append(all, a)
		}
	}
	if err := found.err(count); err != nil {
		return nil, err
	}
	return all, nil
}

// at is the location of the event with that index.
func at(i int) string { return "body[" + strconv.Itoa(i) + "]" }

// faults gathers what is wrong with the events of one request.
type faults struct {
	code   telltale.Code
	listed []telltale.Fault
	total  int
	events int
}

// add takes the error of one event, which may be nil. line is where the event
// stood in NDJSON, 0 in other forms.
func (f *faults) add(err error, line int) {
	if err == nil {
		return
	}
	var e *telltale.Error
	if !errors.As(err, &e) {
		e = &telltale.Error{Code: telltale.Internal, Cause: err}
	}
	f.events++
	f.total += len(e.Faults)
	f.code = graver(f.code, e.Code)
	for _, fault := range e.Faults {
		if len(f.listed) == MaxFaults {
			return
		}
		if line > 0 {
			fault.Message = fmt.Sprintf("Line %d: %s", line, fault.Message)
		}
		f.listed = append(f.listed, fault)
	}
}

// graver is the code that a request gets whose events got the two: a caller who
// mends the one must not be surprised by the other.
func graver(a, b telltale.Code) telltale.Code {
	for _, code := range []telltale.Code{telltale.Internal, telltale.TooLarge, telltale.Malformed} {
		if a == code || b == code {
			return code
		}
	}
	return telltale.Invalid
}

// err is one error of everything that was found, nil if that is nothing.
func (f *faults) err(of int) *telltale.Error {
	if f.events == 0 {
		return nil
	}
	wrong := "is not valid"
	switch f.code {
	case telltale.Malformed:
		wrong = "cannot be parsed"
	case telltale.TooLarge:
		wrong = "is too large"
	}
	var message string
	switch {
	case of == 1:
		message = fmt.Sprintf("The event %s.", wrong)
	case f.events == 1:
		message = fmt.Sprintf("1 of %d events %s, and none was accepted.", of, wrong)
	default:
		message = fmt.Sprintf("%d of %d events are wrong, and none was accepted.", f.events, of)
	}
	if more := f.total - len(f.listed); more > 0 {
		message += fmt.Sprintf(" The first %d faults are listed; there are %d more.", len(f.listed), more)
	}
	return &telltale.Error{Code: f.code, Message: message, Faults: f.listed}
}
