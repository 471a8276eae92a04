package api

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/danielgtaylor/huma/v2"
	"github.com/go-json-experiment/json/jsontext"

	"telltale.example/telltale"
)

const (
	// maxBody bounds the bodies of all routes but that of events: a webhook
	// with all its headers at their longest, twice.
	maxBody = 256 << 10
	// maxFaults bounds how many faults are reported.
	maxFaults = 100
)

// checkQuery holds the query against the parameters that the operation
// documents. Unknown and repeated ones are faults; an empty value is none.
func checkQuery(op *huma.Operation, r *http.Request) error {
	if r.URL.RawQuery == "" {
		return nil
	}
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return &telltale.Error{Code: telltale.Malformed, Message: "The query cannot be read.", Cause: err}
	}
	names := make([]string, 0, len(query))
	for name := range query {
		names = append(names, name)
	}
	slices.Sort(names)
	var faults []telltale.Fault
	for _, name := range names[:min(len(names), maxFaults)] {
		at := below("query", name)
		param := queryParam(op, name)
		switch {
		case param == nil:
			faults = append(faults, unknown("parameter", at, name, queryNames(op)))
		case len(query[name]) > 1:
			faults = append(faults, telltale.Fault{Location: at, Message: "The parameter is there more than once.", Expected: "one value"})
		default:
			if fault := checkText(param.Schema, at, query[name][0]); fault != nil {
				faults = append(faults, *fault)
			}
		}
	}
	return telltale.Faulty("Invalid query.", faults)
}

func queryParam(op *huma.Operation, name string) *huma.Param {
	for _, p := range op.Parameters {
		if p.In == "query" && p.Name == name {
			return p
		}
	}
	return nil
}

func queryNames(op *huma.Operation) []string {
	var names []string
	for _, p := range op.Parameters {
		if p.In == "query" {
			names = append(names, p.Name)
		}
	}
	return names
}

// checkText holds the value of a parameter against its schema.
func checkText(s *huma.Schema, at, value string) *telltale.Fault {
	fault := func(message, expected string) *telltale.Fault {
		return &telltale.Fault{Location: at, Message: message, Expected: expected, Value: telltale.CutValue(value)}
	}
	switch {
	case value == "":
		return nil
	case !utf8.ValidString(value):
		return &telltale.Fault{Location: at, Message: "The value is not UTF-8.", Expected: "UTF-8"}
	case s.Type == huma.TypeInteger:
		n, err := strconv.ParseInt(value, 10, 64)
		if err != nil || outOfRange(s, float64(n)) {
			return fault("The value is not in range.", "an integer"+rangeOf(s))
		}
	case s.Format == "date-time":
		if _, err := time.Parse(time.RFC3339Nano, value); err != nil {
			return fault("This is no time.", "RFC 3339, such as 2026-11-20T09:30:00Z")
		}
	case len(s.Enum) > 0 && !slices.Contains(s.Enum, any(value)):
		return fault("There is no such value.", oneOf(s))
	case s.MaxLength != nil && utf8.RuneCountInString(value) > *s.MaxLength:
		return fault("The value is too long.", fmt.Sprintf("at most %d characters", *s.MaxLength))
	}
	return nil
}

func outOfRange(s *huma.Schema, n float64) bool {
	return s.Minimum != nil && n < *s.Minimum || s.Maximum != nil && n > *s.Maximum
}

func rangeOf(s *huma.Schema) string {
	switch {
	case s.Minimum != nil && s.Maximum != nil:
		return fmt.Sprintf(" from %v to %v", *s.Minimum, *s.Maximum)
	case s.Minimum != nil:
		return fmt.Sprintf(" of at least %v", *s.Minimum)
	}
	return ""
}

func oneOf(s *huma.Schema) string {
	values := make([]string, len(s.Enum))
	for i, v := range s.Enum {
		values[i] = fmt.Sprint(v)
	}
	return "one of " + strings.Join(values, ", ")
}

// checkContentType lets JSON pass. A body that is declared as a form and looks
// like JSON is taken for it: that is what curl -d says of everything.
func checkContentType(contentType string, body []byte) error {
	switch contentType {
	case "", "application/json":
		return nil
	}
	media, params, err := mime.ParseMediaType(contentType)
	charset, hasCharset := params["charset"]
	switch {
	case err != nil, hasCharset && !strings.EqualFold(charset, "utf-8"):
	case media == "application/json", media == "application/merge-patch+json":
		return nil
	case media == "application/x-www-form-urlencoded" && bytes.HasPrefix(bytes.TrimLeft(body, " \t\r\n"), []byte("{")):
		return nil
	}
	return telltale.Errorf(telltale.UnsupportedMedia, "The Content-Type %q is not JSON. Send application/json in UTF-8.", telltale.CutValue(contentType))
}

// checkBody holds a body against the schema that the operation documents, so
// that it can be read into its struct. Its error has every fault, in the order
// of the input: Malformed if the body is not one JSON value with distinct keys
// in UTF-8, else Invalid.
func checkBody(registry huma.Registry, s *huma.Schema, body []byte) error {
	c := checker{registry: registry, dec: jsontext.NewDecoder(bytes.NewReader(body))}
	err := c.value(s, "body")
	if err == nil {
		if _, err = c.dec.ReadToken(); err == nil {
			err = errTrailing
		} else if errors.Is(err, io.EOF) {
			return telltale.Faulty("Invalid body.", c.faults)
		}
	}
	return &telltale.Error{Code: telltale.Malformed, Message: "The body is not JSON.", Faults: []telltale.Fault{syntaxFault(err, body)}}
}

var errTrailing = errors.New("more data after the end")

func syntaxFault(err error, body []byte) telltale.Fault {
	f := telltale.Fault{Location: "body", Expected: "one JSON object in UTF-8"}
	var syntax *jsontext.SyntacticError
	switch {
	case bytes.HasPrefix(body, []byte("\ufeff")):
		f.Message = "The body begins with a byte order mark."
	case errors.Is(err, io.EOF):
		f.Message = "The body is empty."
	case errors.Is(err, errTrailing):
		f.Message = "There is more data after the end."
	case !errors.As(err, &syntax):
		f.Message = "The body cannot be read."
	case errors.Is(err, jsontext.ErrDuplicateName):
		f.Location, f.Message, f.Expected = pointed(syntax.JSONPointer), "The key is there twice.", "each key once"
	case errors.Is(err, io.ErrUnexpectedEOF):
		f.Message = "The body ends too early."
	default:
		text := syntax.Err.Error()
		f.Message = fmt.Sprintf("%s%s, at byte %d.", strings.ToUpper(text[:1]), text[1:], syntax.ByteOffset)
	}
	return f
}

// pointed writes a JSON pointer as a location.
func pointed(p jsontext.Pointer) string {
	at := "body"
	for token := range p.Tokens() {
		at = below(at, token)
	}
	return at
}

// below is the location of a member: at.name, or at["name"] where the name is
// no plain word.
func below(at, name string) string {
	plain := func(r rune) bool {
		return 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || r == '_' || r == '-'
	}
	if name == "" || len(name) > telltale.MaxFaultValue || strings.ContainsFunc(name, func(r rune) bool { return !plain(r) }) {
		return at + "[" + strconv.Quote(telltale.CutValue(name)) + "]"
	}
	return at + "." + name
}

// unknown is the fault of a name that is none, with the right spelling if one
// is near. What was sent under it is not repeated: it may be a secret.
func unknown(kind, at, name string, names []string) telltale.Fault {
	f := telltale.Fault{Location: at, Message: "There is no such " + kind + ".", Expected: "one of " + strings.Join(names, ", ")}
	switch near := nearest(name, names); {
	case near != "":
		f.Message = fmt.Sprintf("There is no such %s. Did you mean %s?", kind, near)
		f.Expected = near
	case len(names) == 0:
		f.Expected = "no " + kind
	}
	return f
}

// checker reads a body along its schema.
type checker struct {
	registry huma.Registry
	dec      *jsontext.Decoder
	faults   []telltale.Fault
}

func (c *checker) fault(at, message, expected, value string) {
	if len(c.faults) < maxFaults {
		c.faults = append(c.faults, telltale.Fault{Location: at, Message: message, Expected: expected, Value: value})
	}
}

// value reads one value. Its error is about syntax, or the end of the body.
func (c *checker) value(s *huma.Schema, at string) error {
	kind := c.dec.PeekKind()
	if kind == 0 { // an error, which reading gives
		_, err := c.dec.ReadToken()
		return err
	}
	fits := c.choose(s, kind)
	switch {
	case fits == nil:
		raw, err := c.dec.ReadValue()
		if err == nil {
			c.fault(at, "The value is "+kindNames[kind]+".", expected(c.resolve(s)), shown(s, raw))
		}
		return err
	case kind == '{' && fits.Type == huma.TypeObject:
		return c.object(fits, at)
	case kind == '[' && fits.Type == huma.TypeArray:
		return c.array(fits, at)
	}
	raw, err := c.dec.ReadValue()
	if err == nil && kind != 'n' {
		c.scalar(fits, at, raw)
	}
	return err
}

// choose gives the schema, of those that s stands for, that a value of the kind
// fits; nil if none does.
func (c *checker) choose(s *huma.Schema, kind jsontext.Kind) *huma.Schema {
	s = c.resolve(s)
	for _, alternative := range s.AnyOf {
		if fits := c.choose(alternative, kind); fits != nil {
			return fits
		}
	}
	var fits bool
	switch s.Type {
	case "":
		fits = len(s.AnyOf) == 0
	case huma.TypeString:
		fits = kind == '"'
	case huma.TypeInteger, huma.TypeNumber:
		fits = kind == '0'
	case huma.TypeBoolean:
		fits = kind == 't' || kind == 'f'
	case huma.TypeArray:
		fits = kind == '['
	case huma.TypeObject:
		fits = kind == '{'
	case typeNull:
		fits = kind == 'n'
	}
	if fits || s.Nullable && kind == 'n' {
		return s
	}
	return nil
}

func (c *checker) resolve(s *huma.Schema) *huma.Schema {
	for s.Ref != "" {
		s = c.registry.SchemaFromRef(s.Ref)
	}
	return s
}

func (c *checker) object(s *huma.Schema, at string) error {
	if _, err := c.dec.ReadToken(); err != nil {
		return err
	}
	seen := map[string]bool{}
	for c.dec.PeekKind() == '"' {
		token, err := c.dec.ReadToken()
		if err != nil {
			return err
		}
		name := token.String()
		seen[name] = true
		member, known := s.Properties[name]
		if !known {
			member, known = s.AdditionalProperties.(*huma.Schema)
		}
		if known {
			err = c.value(member, below(at, name))
		} else if err = c.dec.SkipValue(); err == nil && len(c.faults) < maxFaults {
			c.faults = append(c.faults, unknown("field", below(at, name), name, propertyNames(s)))
		}
		if err != nil {
			return err
		}
	}
	if _, err := c.dec.ReadToken(); err != nil {
		return err
	}
	for _, name := range s.Required {
		if !seen[name] {
			c.fault(below(at, name), "The field is missing.", expected(c.resolve(s.Properties[name])), "")
		}
	}
	return nil
}

func propertyNames(s *huma.Schema) []string {
	names := make([]string, 0, len(s.Properties))
	for name := range s.Properties {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

func (c *checker) array(s *huma.Schema, at string) error {
	if _, err := c.dec.ReadToken(); err != nil {
		return err
	}
	for i := 0; c.dec.PeekKind() != ']'; i++ {
		if err := c.value(s.Items, fmt.Sprintf("%s[%d]", at, i)); err != nil {
			return err
		}
	}
	_, err := c.dec.ReadToken()
	return err
}

// scalar holds a value of the right kind against the rest of its schema.
func (c *checker) scalar(s *huma.Schema, at string, raw jsontext.Value) {
	text := string(raw)
	if raw.Kind() == '"' {
		b, _ := jsontext.AppendUnquote(nil, raw) // cannot fail: it was just read
		text = string(b)
	}
	switch {
	case s.Type == huma.TypeInteger:
		if _, err := strconv.ParseInt(text, 10, 32); err != nil {
			c.fault(at, "This is no integer, or is too large.", "an integer", shown(s, raw))
		}
	case s.Type == huma.TypeNumber:
		if _, err := strconv.ParseFloat(text, 64); err != nil {
			c.fault(at, "The number is too large.", "a number", shown(s, raw))
		}
	case s.Format == formatGoDuration:
		if _, err := time.ParseDuration(text); err != nil {
			c.fault(at, "This is no duration.", expected(s), shown(s, raw))
		}
	case s.Format == "date-time":
		if _, err := time.Parse(time.RFC3339Nano, text); err != nil {
			c.fault(at, "This is no time.", "RFC 3339, such as 2026-11-20T09:30:00Z", shown(s, raw))
		}
	case len(s.Enum) > 0 && !slices.Contains(s.Enum, any(text)):
		c.fault(at, "There is no such value.", oneOf(s), shown(s, raw))
	}
}

// shown is a scalar as a fault repeats it, and nothing of what may be a secret.
func shown(s *huma.Schema, raw jsontext.Value) string {
	if s.Format == formatPassword || raw.Kind() == '{' || raw.Kind() == '[' {
		return ""
	}
	text := string(raw)
	if raw.Kind() == '"' {
		b, _ := jsontext.AppendUnquote(nil, raw) // cannot fail: it was just read
		text = string(b)
	}
	return telltale.CutValue(text)
}

var kindNames = map[jsontext.Kind]string{
	'n': "null", 't': "a boolean", 'f': "a boolean", '"': "a string", '0': "a number", '{': "an object", '[': "an array",
}

// expected says in a few words what a schema takes.
func expected(s *huma.Schema) string {
	switch {
	case s.Format == formatGoDuration:
		return `a duration, such as "5s" or "1h30m"`
	case len(s.Enum) > 0:
		return oneOf(s)
	case s.Title != "":
		return s.Title
	}
	switch s.Type {
	case huma.TypeArray:
		return "an array"
	case huma.TypeObject:
		return "an object"
	case huma.TypeInteger:
		return "an integer"
	}
	return "a " + s.Type
}
