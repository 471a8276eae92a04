package docs

import (
	"bytes"
	"cmp"
	_ "embed"
	"encoding/json"
	"fmt"
	"html/template"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// Reference makes the page of the API reference of an OpenAPI 3.1 document.
func Reference(openAPI []byte) (Page, error) {
	var d openAPIDocument
	if err := json.Unmarshal(openAPI, &d); err != nil {
		return Page{}, fmt.Errorf("docs: reading the OpenAPI document: %w", err)
	}
	r := reference{document: &d, Description: d.Info.Description, used: map[string]bool{}}
	for _, tag := range d.Tags {
		chapter := chapter{Title: tag.Name, Anchor: anchor(tag.Name), Description: tag.Description}
		for path, item := range d.Paths {
			for method, op := range item {
				if slices.Contains(op.Tags, tag.Name) {
					chapter.Operations = append(chapter.Operations, r.operation(method, path, op))
				}
			}
		}
		slices.SortFunc(chapter.Operations, func(a, b operation) int {
			return cmp.Or(cmp.Compare(a.Path, b.Path), cmp.Compare(slices.Index(methods, a.Method), slices.Index(methods, b.Method)))
		})
		if len(chapter.Operations) > 0 {
			r.Chapters = append(r.Chapters, chapter)
		}
	}
	r.gather()
	p := Page{Path: ReferencePath, Group: "API", Title: "API reference"}
	for _, c := range r.Chapters {
		p.Contents = append(p.Contents, Heading{c.Anchor, c.Title})
	}
	p.Contents = append(p.Contents, Heading{"objects", "Objects"})
	var html bytes.Buffer
	if err := referenceTemplate.Execute(&html, &r); err != nil {
		return Page{}, fmt.Errorf("docs: writing the API reference: %w", err)
	}
	p.HTML = template.HTML(html.String()) //nolint:gosec // html/template has just escaped it
	return p, nil
}

// methods is the order of operations on one path.
var methods = []string{"GET", "POST", "PATCH", "PUT", "DELETE"}

//go:embed reference.html
var referenceHTML string

var referenceTemplate = template.Must(template.New("reference").Funcs(template.FuncMap{"prose": prose}).Parse(referenceHTML))

// prose makes HTML of a description, which is Markdown.
func prose(text string) (template.HTML, error) {
	var html bytes.Buffer
	err := markdown.Convert([]byte(text), &html)
	return template.HTML(html.String()), err //nolint:gosec // raw HTML is left out
}

// What of an OpenAPI document the reference shows.
type openAPIDocument struct {
	Info struct{ Description string }
	Tags []struct{ Name, Description string }

	Paths      map[string]map[string]openAPIOperation
	Components struct {
		Schemas   map[string]*openAPISchema
		Responses map[string]openAPIResponse
	}
}

type openAPIOperation struct {
	OperationID, Summary, Description string

	Tags       []string
	Parameters []struct {
		Name, In, Description string
		Required              bool
		Schema                *openAPISchema
	}
	RequestBody *struct{ Content map[string]openAPIMedia }
	Responses   map[string]openAPIResponse
	Security    []map[string][]string
}

type openAPIResponse struct {
	Ref         string `json:"$ref"`
	Description string
	Content     map[string]openAPIMedia
}

type openAPIMedia struct {
	Schema   *openAPISchema
	Example  json.RawMessage
	Examples map[string]struct {
		Summary string
		Value   json.RawMessage
	}
}

type openAPISchema struct {
	Ref         string `json:"$ref"`
	Type        any    // a name, or several
	Format      string
	Description string
	Const       any
	Enum        []any
	Examples    []json.RawMessage
	Items       *openAPISchema
	Properties  map[string]*openAPISchema
	Required    []string
	AnyOf       []*openAPISchema
	OneOf       []*openAPISchema
	Minimum     *json.Number
	Maximum     *json.Number
	MaxLength   *json.Number

	AdditionalProperties json.RawMessage
}

// reference is what the template writes.
type reference struct {
	document    *openAPIDocument
	used        map[string]bool // names of objects that something refers to
	Description string
	Chapters    []chapter
	Objects     []object
}

type chapter struct {
	Title, Anchor, Description string
	Operations                 []operation
}

type operation struct {
	ID, Method, Path, Summary, Description string

	Parameters []member
	Body       []kind // one per media type
	BodyTypes  []string
	Examples   []example
	Answers    []answer // but for problems
	Problems   []answer
}

// member is a parameter, or a key of an object.
type member struct {
	Name, In    string
	Required    bool
	Kind        kind
	Description string
}

type answer struct {
	Status, Description string
	Kind                kind
	Problem             string // the anchor on the page of errors
	Example             string
}

type example struct{ ID, Title, Text string }

type object struct {
	Name        string
	Description string
	Members     []member
	Example     string
}

// kind says what values there can be: words, and the object that they lead to.
type kind struct {
	Before, Object, After string
}

func (r *reference) operation(method, path string, o openAPIOperation) operation {
	op := operation{ID: o.OperationID, Method: strings.ToUpper(method), Path: path, Summary: o.Summary, Description: o.Description}
	for _, p := range o.Parameters {
		op.Parameters = append(op.Parameters, member{p.Name, p.In, p.Required, r.kind(p.Schema), cmp.Or(p.Description, p.Schema.Description)})
	}
	body := ""
	if o.RequestBody != nil {
		for _, mediaType := range sortedKeys(o.RequestBody.Content) {
			m := o.RequestBody.Content[mediaType]
			op.BodyTypes, op.Body = append(op.BodyTypes, mediaType), append(op.Body, r.kind(m.Schema))
			for _, name := range sortedKeys(m.Examples) {
				if body == "" {
					body = compact(m.Examples[name].Value)
				}
				op.Examples = append(op.Examples, example{o.OperationID + "-" + strconv.Itoa(len(op.Examples)+1), m.Examples[name].Summary, pretty(m.Examples[name].Value)})
			}
			if body == "" {
				body = compact(r.sample(m.Schema, true, 0))
			}
		}
	}
	op.Examples = append([]example{{o.OperationID + "-shell", "Shell", curl(op.Method, path, body, len(o.Security) > 0)}}, op.Examples...)
	for _, status := range sortedKeys(o.Responses) {
		if a := r.answer(status, o.Responses[status]); a.Problem != "" {
			op.Problems = append(op.Problems, a)
		} else {
			op.Answers = append(op.Answers, a)
		}
	}
	return op
}

func (r *reference) answer(status string, response openAPIResponse) answer {
	if name, ok := strings.CutPrefix(response.Ref, "#/components/responses/"); ok {
		return answer{Status: status, Problem: name, Description: r.document.Components.Responses[name].Description}
	}
	a := answer{Status: status, Description: response.Description}
	for _, mediaType := range sortedKeys(response.Content) {
		m := response.Content[mediaType]
		a.Kind = r.kind(m.Schema)
		if sample := m.Example; sample != nil {
			a.Example = pretty(sample)
		} else if sample = r.sample(m.Schema, false, 0); mediaType == "application/json" && string(sample) != "{}" {
			a.Example = pretty(sample)
		}
		if mediaType != "application/json" {
			a.Kind = kind{Before: mediaType}
		}
	}
	return a
}

// Plain reports whether there are words in the description, beyond those that
// HTTP has for the status.
func (a answer) Plain() bool {
	code, err := strconv.Atoi(a.Status)
	return err != nil || a.Description != http.StatusText(code)
}

// curl is the operation as a command.
func curl(method, path, body string, key bool) string {
	var b strings.Builder
	b.WriteString("curl ")
	if method != "GET" && (method != "POST" || body == "") {
		b.WriteString("-X " + method + " ")
	}
	b.WriteString("$SERVER" + path)
	if key {
		b.WriteString(" \\\n  -H \"Authorization: Bearer $KEY\"")
	}
	if body != "" {
		b.WriteString(" \\\n  -H 'Content-Type: application/json' \\\n  -d '" + strings.ReplaceAll(body, "'", `'\''`) + "'")
	}
	return b.String()
}

// gather adds the objects that something refers to, and those that they refer to.
func (r *reference) gather() {
	done := map[string]bool{}
	for {
		var next string
		for _, name := range sortedKeys(r.used) {
			if !done[name] {
				next = name
				break
			}
		}
		if next == "" {
			break
		}
		done[next] = true
		s := r.document.Components.Schemas[next]
		o := object{Name: next, Description: s.Description, Example: pretty(r.sample(s, false, 0))}
		r.members(&o, s, "", 0)
		r.Objects = append(r.Objects, o)
	}
	slices.SortFunc(r.Objects, func(a, b object) int { return cmp.Compare(a.Name, b.Name) })
}

// members lists an object's keys, and those of the objects in it that have no
// name of their own.
func (r *reference) members(o *object, s *openAPISchema, path string, depth int) {
	if depth > 4 {
		return
	}
	for _, name := range sortedKeys(s.Properties) {
		of := s.Properties[name]
		o.Members = append(o.Members, member{Name: path + name, Required: slices.Contains(s.Required, name), Kind: r.kind(of), Description: of.Description})
		switch {
		case of.Properties != nil:
			r.members(o, of, path+name+".", depth+1)
		case of.Items != nil && of.Items.Properties != nil:
			r.members(o, of.Items, path+name+"[].", depth+1)
		}
	}
}

func (r *reference) kind(s *openAPISchema) kind {
	if s == nil {
		return kind{}
	}
	if name, ok := strings.CutPrefix(s.Ref, schemaPrefix); ok {
		if r.document.Components.Schemas[name] == nil {
			return kind{Before: name}
		}
		r.used[name] = true
		return kind{Object: name}
	}
	switch {
	case s.Const != nil:
		return kind{Before: literal(s.Const)}
	case len(s.Enum) > 0:
		choices := make([]string, len(s.Enum))
		for i, v := range s.Enum {
			choices[i] = literal(v)
		}
		return kind{Before: strings.Join(choices, ", ")}
	case s.Items != nil:
		of := r.kind(s.Items)
		of.Before = "array of " + of.Before
		return of
	case len(s.AnyOf)+len(s.OneOf) > 0:
		var words []string
		var k kind
		for _, alternative := range slices.Concat(s.AnyOf, s.OneOf) {
			one := r.kind(alternative)
			switch {
			case one.Object != "" && k.Object == "":
				k.Before, k.Object, words = joined(words, one.Before), one.Object, nil
			case one.Object != "":
				words = append(words, one.Before+one.Object)
			case one.Before != "":
				words = append(words, one.Before)
			}
		}
		if k.Object == "" {
			return kind{Before: cmp.Or(joined(words, ""), "any")}
		}
		if len(words) > 0 {
			k.After = " or " + strings.Join(words, " or ")
		}
		return k
	}
	text := typeText(s.Type)
	switch {
	case s.Format == "date-time":
		text = "time"
	case s.Format == "go-duration":
		text = "duration"
	case s.Maximum != nil && s.Minimum != nil:
		text += " from " + s.Minimum.String() + " to " + s.Maximum.String()
	case s.MaxLength != nil:
		text += ", at most " + s.MaxLength.String() + " characters"
	}
	return kind{Before: cmp.Or(text, "any")}
}

func joined(words []string, last string) string {
	if last != "" || len(words) == 0 {
		words = append(words, last)
	}
	return strings.Join(words, " or ")
}

func typeText(t any) string {
	switch t := t.(type) {
	case string:
		return t
	case []any:
		names := make([]string, len(t))
		for i, name := range t {
			names[i] = fmt.Sprint(name)
		}
		return strings.Join(names, " or ")
	}
	return ""
}

func literal(v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		return fmt.Sprint(v)
	}
	return string(text)
}

const schemaPrefix = "#/components/schemas/"

// sample makes a value of the examples in a schema. Of what comes in, only what
// is required, if anything is.
func (r *reference) sample(s *openAPISchema, in bool, depth int) json.RawMessage {
	if s == nil || depth > 6 {
		return json.RawMessage("{}")
	}
	if name, ok := strings.CutPrefix(s.Ref, schemaPrefix); ok {
		return r.sample(r.document.Components.Schemas[name], in, depth+1)
	}
	switch {
	case len(s.Examples) > 0:
		return s.Examples[0]
	case s.Const != nil:
		return json.RawMessage(literal(s.Const))
	case len(s.Enum) > 0:
		return json.RawMessage(literal(s.Enum[0]))
	case s.Items != nil:
		return json.RawMessage("[" + string(r.sample(s.Items, in, depth+1)) + "]")
	case s.Properties != nil:
		var keys []string
		for _, name := range sortedKeys(s.Properties) {
			if !in || len(s.Required) == 0 && len(s.Properties[name].Examples) > 0 || slices.Contains(s.Required, name) {
				keys = append(keys, name)
			}
		}
		for i, name := range keys {
			keys[i] = strconv.Quote(name) + ":" + string(r.sample(s.Properties[name], in, depth+1))
		}
		return json.RawMessage("{" + strings.Join(keys, ",") + "}")
	case len(s.AnyOf) > 0:
		return r.sample(s.AnyOf[0], in, depth+1)
	case len(s.OneOf) > 0:
		return r.sample(s.OneOf[0], in, depth+1)
	}
	switch typeText(s.Type) {
	case "boolean":
		return json.RawMessage("false")
	case "integer", "number":
		return json.RawMessage("0")
	case "string":
		return json.RawMessage(`""`)
	case "array":
		return json.RawMessage("[]")
	}
	return json.RawMessage("{}")
}

func pretty(text []byte) string {
	var b bytes.Buffer
	if json.Indent(&b, text, "", "  ") != nil {
		return string(text)
	}
	return b.String()
}

func compact(text []byte) string {
	var b bytes.Buffer
	if json.Compact(&b, text) != nil {
		return string(text)
	}
	return b.String()
}

func anchor(title string) string { return strings.ToLower(strings.ReplaceAll(title, " ", "-")) }

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
