package api

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"reflect"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"telltale.example/telltale"
	"telltale.example/telltale/internal/httpserver"
	"telltale.example/telltale/internal/ingest"
	"telltale.example/telltale/internal/wire"
	"telltale.example/telltale/schema"
)

// The document's chapters.
const (
	tagEvents     = "Events"
	tagWebhooks   = "Webhooks"
	tagDeliveries = "Deliveries"
	tagReplays    = "Replays"
	tagImports    = "Imports"
	tagSources    = "Sources"
	tagUsers      = "Users"
	tagGoals      = "Conversions"
	tagAudit      = "Audit log"
	tagEventTypes = "Event types"
	tagProjects   = "Projects"
	tagKeys       = "Keys"
	tagNodes      = "Nodes"
	tagInspector  = "Inspector"
	tagDocuments  = "Documents"
	tagReceived   = "What receivers get"
)

const bearer = "key"

// bodyTime is how long a body may take to arrive. The deadline stands while the
// request is worked on, and ends it, so it is longer than anything takes: a change
// of a webhook may wait for the lease of a server that died.
const bodyTime = time.Minute

// description is the document before its operations.
func (a *api) description() *huma.OpenAPI {
	return &huma.OpenAPI{
		OpenAPI: "3.1.0",
		Info: &huma.Info{
			Title:   "Telltale",
			Version: a.config.Version,
			Description: "Telltale is a self-hosted reporting-webhooks server for messaging. It takes in what happens to messages and users, and posts it, signed, to webhooks.\n\n" +
				"Every route but the documents needs a key: `Authorization: Bearer tt_…`. A project's key works on its project; an owner key on the one that `?project=` names. " +
				"What belongs to another project is answered like what does not exist.\n\n" +
				"Times are RFC 3339 in UTC, waits Go durations such as `5s`. What has no value is left out. Lists are newest first; follow `next`, or the header Link. " +
				"Unknown fields and unknown query parameters are refused, by name. Every error is problem+json (RFC 9457).",
			License: &huma.License{Name: "MIT", Identifier: "MIT"},
		},
		Servers: []*huma.Server{{URL: cmp.Or(strings.TrimSuffix(a.config.PublicURL, "/"), "/")}},
		Tags: []*huma.Tag{
			{Name: tagEvents, Description: "What happened to messages and users: the way in, and the log."},
			{Name: tagWebhooks, Description: "Subscriptions: where events are posted to, and how."},
			{Name: tagDeliveries, Description: "Events owed to webhooks, and every attempt to deliver them."},
			{Name: tagReplays, Description: "Sending stored events again, or for the first time to a webhook that did not get them."},
			{Name: tagImports, Description: "Files of users, of what they did, and of who opted out."},
			{Name: tagSources, Description: "Feeds of mail providers: addresses to which they post what happened to messages, and what verifies their requests."},
			{Name: tagUsers, Description: "The people whom messages went to: their profiles, what happened to them and what they did. The Track API and imports write them."},
			{Name: tagGoals, Description: "What campaigns are to bring about, and which messages are credited with it."},
			{Name: tagAudit, Description: "Who changed what, from what to what, and when."},
			{Name: tagEventTypes, Description: "The twelve things that are reported."},
			{Name: tagProjects, Description: "Owners of webhooks, keys and events. Nothing is shared between them."},
			{Name: tagKeys, Description: "What lets programs in."},
			{Name: tagNodes, Description: "The servers that share the database."},
			{Name: tagInspector, Description: "Addresses that catch whatever is sent to them, to see what a webhook sends."},
			{Name: tagDocuments, Description: "Descriptions of the API and of payloads. They need no key."},
			{Name: tagReceived, Description: "The requests that webhooks make."},
		},
		Components: &huma.Components{
			Schemas:         a.registry,
			Responses:       a.problems(),
			SecuritySchemes: map[string]*huma.SecurityScheme{bearer: {Type: "http", Scheme: "bearer", BearerFormat: "tt_…", Description: "An API key."}},
		},
	}
}

// complete adds what stands beside the operations.
func (a *api) complete() {
	// huma registers its own form of an error, which nobody gets to see.
	delete(a.registry.Map(), "ErrorModel")
	delete(a.registry.Map(), "ErrorDetail")
	a.settle()
	a.huma.OpenAPI().Webhooks = a.webhooks()
}

// bodyProblems are those of routes that read a body.
var bodyProblems = []telltale.Code{telltale.TooLarge, telltale.UnsupportedMedia, requestTimeout}

// settle sets right what could not be known before all routes were there. Answers
// may gain members, since later versions add some; what comes in stays closed. And
// a route that reads no body has no problem with it.
func (a *api) settle() {
	closed := map[string]bool{}
	var taken func(*huma.Schema)
	taken = func(s *huma.Schema) {
		if name, ok := strings.CutPrefix(s.Ref, schemaPrefix); ok && !closed[name] {
			closed[name] = true
			taken(a.registry.SchemaFromRef(s.Ref))
		}
		for _, member := range s.Properties {
			taken(member)
		}
		for _, alternative := range s.AnyOf {
			taken(alternative)
		}
	}
	for _, item := range a.huma.OpenAPI().Paths {
		for _, op := range []*huma.Operation{item.Post, item.Patch, item.Put} {
			switch {
			case op == nil:
			case op.RequestBody != nil:
				if body := op.RequestBody.Content["application/json"]; body != nil {
					taken(body.Schema)
				}
			default: // nothing is read, so nothing can be wrong with it
				for _, code := range bodyProblems {
					delete(op.Responses, strconv.Itoa(problemOf(code, "").status))
				}
			}
		}
	}
	for _, item := range a.huma.OpenAPI().Paths {
		for _, op := range []*huma.Operation{item.Get, item.Patch, item.Delete} {
			if op != nil {
				describeConditions(op)
			}
		}
	}
	for name, s := range a.registry.Map() {
		if !closed[name] {
			s.AdditionalProperties = nil
		}
	}
}

// describeConditions adds the answers that come of a condition.
func describeConditions(op *huma.Operation) {
	add := func(code telltale.Code) {
		op.Responses[strconv.Itoa(problemOf(code, "").status)] = &huma.Response{Ref: "#/components/responses/" + string(code)}
	}
	for _, p := range op.Parameters {
		switch p.Name {
		case "If-None-Match":
			op.Responses["304"] = &huma.Response{Description: "It is what If-None-Match names. There is no body."}
		case "If-Match":
			add(telltale.PreconditionFailed)
			add(telltale.PreconditionRequired)
		}
	}
}

func (a *api) openAPI() ([]byte, error) {
	text, err := json.Marshal(a.huma.OpenAPI())
	if err != nil {
		return nil, fmt.Errorf("api: writing the OpenAPI document: %w", err)
	}
	return text, nil
}

// operation describes a route, as far as the table says it: the key it needs
// and the problems it can answer with. Parameters and bodies come from the
// handler's types.
func (a *api) operation(r route) huma.Operation {
	op := huma.Operation{
		Method: r.method, Path: r.path, OperationID: r.id,
		Tags: []string{r.tag}, Summary: r.summary, Description: r.details,
		BodyReadTimeout:    bodyTime,
		Responses:          map[string]*huma.Response{},
		SkipValidateParams: true, SkipValidateBody: true, // call.check does both, in our words
	}
	codes := []telltale.Code{telltale.Internal, telltale.Unavailable}
	if r.scope != public {
		codes = append(codes, telltale.Malformed, telltale.Unauthenticated, telltale.Forbidden, telltale.NotFound, telltale.Invalid)
		op.Security = []map[string][]string{{bearer: {}}}
		op.Description = strings.TrimSpace(op.Description + "\n\nNeeds a key of the scope " + scopesThatReach(r.scope) + ".")
		op.Middlewares = huma.Middlewares{a.answer(r.scope)}
	} else if strings.Contains(r.path, "{") {
		codes = append(codes, telltale.NotFound)
	}
	if r.method == http.MethodPost || r.method == http.MethodPatch || r.method == http.MethodPut {
		codes = append(append(codes, telltale.Conflict), bodyProblems...)
	}
	if r.method == http.MethodPost {
		describeRepeats(&op)
	}
	if r.scope == ingestKey {
		codes = append(codes, telltale.RateLimited)
	}
	for _, code := range codes {
		op.Responses[strconv.Itoa(problemOf(code, "").status)] = &huma.Response{Ref: "#/components/responses/" + string(code)}
	}
	return op
}

func scopesThatReach(need telltale.Scope) string {
	var scopes []string
	for _, s := range telltale.Scopes() {
		if s.Allows(need) {
			scopes = append(scopes, "`"+string(s)+"`")
		}
	}
	return strings.Join(scopes, " or ")
}

// requestTimeout is the one problem of HTTP's own that routes answer with.
const requestTimeout telltale.Code = "request_timeout"

// problems describes every problem that a route can answer with.
func (a *api) problems() map[string]*huma.Response {
	s := a.registry.Schema(reflect.TypeFor[wire.Problem](), true, "")
	retryAfter := map[string]*huma.Header{"Retry-After": {
		Description: "When to come back, in seconds.", Schema: &huma.Schema{Type: huma.TypeInteger, Examples: []any{1}},
	}}
	responses := map[string]*huma.Response{}
	for _, p := range []struct {
		code        telltale.Code
		description string
	}{
		{telltale.Malformed, "The body or the query cannot be parsed."},
		{telltale.Unauthenticated, "There is no key that works."},
		{telltale.Forbidden, "The key's scope does not reach this far."},
		{telltale.NotFound, "It does not exist, or belongs to another project."},
		{requestTimeout, "The body was too slow to arrive."},
		{telltale.Conflict, "The present state does not allow it."},
		{telltale.PreconditionFailed, "It is no longer what If-Match names; nothing was changed."},
		{telltale.TooLarge, "There are more bytes or items than the limit."},
		{telltale.UnsupportedMedia, "The body is of another media type, or compressed."},
		{telltale.Invalid, "It can be parsed and is wrong: errors lists every fault."},
		{telltale.PreconditionRequired, "The server was told to ask for If-Match, and there is none."},
		{telltale.RateLimited, "The project's ingest rate is used up."},
		{telltale.Internal, "Our fault. The server's log says more."},
		{telltale.Unavailable, "It could not be done now; nothing was changed."},
	} {
		example := json.RawMessage(problemOf(p.code, p.description).body)
		response := &huma.Response{
			Description: p.description,
			Content:     map[string]*huma.MediaType{httpserver.ContentTypeProblem: {Schema: s, Example: example}},
		}
		switch p.code {
		case telltale.RateLimited, telltale.Unavailable:
			response.Headers = retryAfter
		}
		responses[string(p.code)] = response
	}
	return responses
}

// problemOf gives the answer to a problem, from the one place that knows it.
func problemOf(code telltale.Code, message string) *recorded {
	answer := &recorded{header: http.Header{}}
	httpserver.WriteProblem(answer, &http.Request{URL: &url.URL{Path: "/v1/webhooks"}}, telltale.Errorf(code, "%s", message))
	return answer
}

// recorded is an answer that nobody gets.
type recorded struct {
	header http.Header
	status int
	body   []byte
}

func (r *recorded) Header() http.Header    { return r.header }
func (r *recorded) WriteHeader(status int) { r.status = status }

func (r *recorded) Write(b []byte) (int, error) {
	r.body = append(r.body, b...)
	return len(b), nil
}

// describePostEvents describes what no struct says: events in three forms.
func describePostEvents(a *api, op *huma.Operation) map[string]httpserver.HandlerFunc {
	a.postEventsOperation = op
	a.registry.Map()["EventInput"] = eventInSchema()
	one := &huma.Schema{Ref: schemaPrefix + "EventInput"}
	several, most := 1, ingest.MaxEvents
	op.Parameters = append(op.Parameters, &huma.Param{
		Name: "project", In: "query", Description: "The slug of the project that an owner key works on; the project default, if left out. A project's key needs none.",
		Schema: &huma.Schema{Type: huma.TypeString, Examples: []any{"default"}},
	})
	sample := json.RawMessage(schema.Sample(string(telltale.Bounced)))
	op.RequestBody = &huma.RequestBody{Required: true, Content: map[string]*huma.MediaType{
		"application/json": {
			Schema: &huma.Schema{OneOf: []*huma.Schema{one, {Type: huma.TypeArray, Items: one, MinItems: &several, MaxItems: &most}}},
			Examples: map[string]*huma.Example{
				"one":     {Summary: "One event", Value: sample},
				"several": {Summary: "An array of events", Value: []any{sample, json.RawMessage(`{"type":"delivered","user":{"id":123},"telltale":{"id":"order-4711-delivered"}}`)}},
			},
		},
		"application/x-ndjson": {Schema: &huma.Schema{Type: huma.TypeString, Description: "One event per line."}},
	}}
	op.Responses["202"] = &huma.Response{
		Description: "Accepted, and on stable storage.",
		Content:     map[string]*huma.MediaType{"application/json": {Schema: a.registry.Schema(reflect.TypeFor[wire.EventsAccepted](), true, "")}},
	}
	return map[string]httpserver.HandlerFunc{op.Path: a.postEvents}
}

func eventInSchema() *huma.Schema {
	text := func(description string) *huma.Schema {
		return &huma.Schema{Type: huma.TypeString, Description: description}
	}
	types := make([]any, 0, 12)
	for _, t := range telltale.EventTypes() {
		types = append(types, string(t))
	}
	return &huma.Schema{
		Type:        huma.TypeObject,
		Description: "An event in the shape of its payload: see the schemas of the payloads. Times that its type documents and that are missing become the time of receipt. Keys beyond the documented ones pass through.",
		Required:    []string{"type", "user"},
		Properties: map[string]*huma.Schema{
			"type": {Type: huma.TypeString, Enum: types},
			"user": {
				Type: huma.TypeObject, Description: "The recipient: an id or an email address, or both.",
				AnyOf:      []*huma.Schema{{Required: []string{"id"}}, {Required: []string{"email"}}},
				Properties: map[string]*huma.Schema{"id": {Description: "A number or a string."}, "email": {Type: huma.TypeString}},
			},
			"telltale": {
				Type: huma.TypeObject, AdditionalProperties: false,
				Description: "What is not payload. It is never sent on.",
				Properties: map[string]*huma.Schema{
					"id":                  text("The caller's own id of the event, by which a repetition is known for 30 days."),
					"occurred_at":         {Type: huma.TypeInteger, Description: "When it happened, in whole Unix seconds."},
					"provider_message_id": text("The mail provider's own id of the message."),
					"conversion_event":    text("The goal of the campaign."),
					"url":                 text("The link that was clicked."),
					"ip":                  text("The recipient's address."),
					"machine":             {Type: huma.TypeBoolean, Description: "Whether a machine opened or clicked."},
				},
			},
		},
		AdditionalProperties: true,
	}
}

// describeSchemas serves one path per event type, and describes them as one.
func describeSchemas(a *api, op *huma.Operation) map[string]httpserver.HandlerFunc {
	handlers := map[string]httpserver.HandlerFunc{}
	var types []any
	for _, t := range telltale.EveryEventType() {
		types = append(types, string(t))
		handlers[strings.Replace(op.Path, "{event}", string(t), 1)] = document{typeSchema, schema.Schema(string(t))}.serve
	}
	op.Parameters = []*huma.Param{{Name: "event", In: "path", Required: true, Description: "The event type.", Schema: &huma.Schema{Type: huma.TypeString, Enum: types}}}
	op.Responses["200"] = &huma.Response{Description: "A JSON Schema (2020-12).", Content: map[string]*huma.MediaType{typeSchema: {Schema: &huma.Schema{Type: huma.TypeObject}}}}
	return handlers
}

func describeOpenAPIJSON(a *api, op *huma.Operation) map[string]httpserver.HandlerFunc {
	return describeDocument(op, typeOpenAPIJSON, a.openAPI)
}

func describeOpenAPIYAML(a *api, op *huma.Operation) map[string]httpserver.HandlerFunc {
	return describeDocument(op, typeOpenAPIYAML, func() ([]byte, error) { return a.huma.OpenAPI().YAML() })
}

// describeDocument serves this document, which is complete when the first
// request for it comes.
func describeDocument(op *huma.Operation, contentType string, write func() ([]byte, error)) map[string]httpserver.HandlerFunc {
	op.Responses["200"] = &huma.Response{Description: "An OpenAPI 3.1 document.", Content: map[string]*huma.MediaType{contentType: {Schema: &huma.Schema{Type: huma.TypeObject}}}}
	written := sync.OnceValues(write)
	return map[string]httpserver.HandlerFunc{op.Path: func(w http.ResponseWriter, r *http.Request) error {
		text, err := written()
		if err != nil {
			return err
		}
		return document{contentType, text}.serve(w, r)
	}}
}

// webhooks describes the requests that receivers get: the same for all
// types, but for the payload.
func (a *api) webhooks() map[string]*huma.PathItem {
	items := map[string]*huma.PathItem{}
	for _, t := range telltale.EveryEventType() {
		name := "Payload_" + string(t)
		a.registry.Map()[name] = payloadSchema(t)
		items[string(t)] = &huma.PathItem{Post: &huma.Operation{
			OperationID: "receive-" + strings.NewReplacer("_", "-", ".", "-").Replace(string(t)),
			Tags:        []string{tagReceived}, Summary: t.Label(), Description: t.Description(),
			Security:   []map[string][]string{}, // the signature tells who sends
			Parameters: sentHeaders(t),
			RequestBody: &huma.RequestBody{Required: true, Content: map[string]*huma.MediaType{"application/json": {
				Schema: &huma.Schema{Ref: schemaPrefix + name}, Example: json.RawMessage(schema.Sample(string(t))),
			}}},
			Responses: map[string]*huma.Response{
				"2XX":     {Description: "Taken. The body is not read for anything."},
				"410":     {Description: "No more events are wanted: the webhook is disabled."},
				"429":     {Description: "Too many requests. The next attempt waits for a minute at least, or as long as Retry-After says."},
				"default": {Description: "Not taken: the delivery is attempted again, on the webhook's retry schedule. Redirects are not followed."},
			},
		}}
	}
	return items
}

// payloadSchema is the schema of package schema, as a part of this document.
func payloadSchema(t telltale.EventType) *huma.Schema {
	var members map[string]any
	if err := json.Unmarshal(schema.Schema(string(t)), &members); err != nil {
		panic("api: the embedded schema of " + string(t) + " is no JSON: " + err.Error()) // a test of package schema sees it first
	}
	delete(members, "$schema") // OpenAPI 3.1's dialect is the same
	delete(members, "$id")
	return &huma.Schema{Extensions: members}
}

// sentHeaders describes the head of a request, as far as it is ours.
func sentHeaders(t telltale.EventType) []*huma.Param {
	header := func(name string, required bool, example any, description string) *huma.Param {
		s := &huma.Schema{Type: huma.TypeString, Examples: []any{example}}
		if _, ok := example.(int); ok {
			s.Type = huma.TypeInteger
		}
		return &huma.Param{Name: name, In: "header", Required: required, Description: description, Schema: s}
	}
	return []*huma.Param{
		header("User-Agent", true, "Telltale/0.1.0", "Telltale and its version."),
		header("webhook-id", true, "evt_01JD0000000000000000000000", "The event's id: the same on every attempt and replay, to know repetitions by."),
		header("webhook-timestamp", true, 1763631000, "Of this attempt, in Unix seconds."),
		header("webhook-signature", true, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=", "Standard Webhooks: v1 and the base64 of HMAC-SHA256 over id, timestamp and body, joined by full stops. Two, with a space between, while a secret is rotated."),
		header("telltale-event", true, string(t), "The event type."),
		header("telltale-delivery", true, "dlv_01JD0000000000000000000000", "The delivery's id."),
		header("telltale-attempt", true, 1, "1, 2, …"),
		header("telltale-source", true, "api", "Where the event came in."),
		header("telltale-occurred-at", true, 1763630998, "When it happened, in Unix seconds."),
		header("telltale-test", false, "1", "On a test only."),
		header("telltale-url", false, "https://example.com/pricing", "The link that was clicked, if known."),
		header("telltale-ip", false, "192.0.2.7", "The recipient's address, if known."),
		header("telltale-machine", false, "false", "Whether a machine opened or clicked, if known."),
		header("X-Signature", false, "sha256=2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae", "The hexadecimal HMAC-SHA256 of the body alone; for webhooks with the legacy signature."),
	}
}
