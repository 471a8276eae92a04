package api

import (
	"context"
	"net/http"
	"net/url"

	"github.com/danielgtaylor/huma/v2"

	"telltale.example/telltale"
	"telltale.example/telltale/internal/auth"
	"telltale.example/telltale/internal/httpserver"
	"telltale.example/telltale/internal/wire"
)

// route is a row of the table: what is asked for, what a key must allow, and who
// answers.
type route struct {
	method  string
	path    string
	scope   telltale.Scope // empty: everyone may
	id      string         // of the operation, in the document
	tag     string
	summary string
	details string
	serve   func(*api, huma.Operation)
}

// public marks the routes that need no key.
const public telltale.Scope = ""

const (
	ingestKey = telltale.ScopeIngest
	readKey   = telltale.ScopeRead
	manageKey = telltale.ScopeManage
	ownerKey  = telltale.ScopeOwner
)

// routes is the whole API, read from top to bottom.
func (a *api) routes() []route {
	return []route{
		{"POST", "/v1/events", ingestKey, "post-events", tagEvents, "Send events", postEventsDetails, raw(describePostEvents)},
		{"GET", "/v1/events", readKey, "list-events", tagEvents, "List events", "", lists(a.listEvents)},
		{"GET", "/v1/events/{id}", readKey, "get-event", tagEvents, "Get an event", "", gives(a.getEvent)},
		{"GET", "/v1/events/{id}/deliveries", readKey, "list-event-deliveries", tagEvents, "List an event's deliveries", "", lists(a.listEventDeliveries)},
		{"GET", "/v1/messages/{message_id}/events", readKey, "list-message-events", tagEvents, "List what happened to a message", "The same as `GET /v1/events?message_id=`.", lists(a.listMessageEvents)},

		{"GET", "/v1/live", readKey, "stream-events", tagEvents, "Follow events as they come", liveDetails, raw(describeLive)},

		{"GET", "/v1/webhooks", readKey, "list-webhooks", tagWebhooks, "List webhooks", "", lists(a.listWebhooks)},
		{"POST", "/v1/webhooks", manageKey, "create-webhook", tagWebhooks, "Add a webhook", "The answer shows the secret that signs its requests.", makes(a.createWebhook, func(w wire.Webhook) string { return w.ID })},
		{"GET", "/v1/webhooks/{id}", readKey, "get-webhook", tagWebhooks, "Get a webhook", "", gives(a.getWebhook)},
		{"PATCH", "/v1/webhooks/{id}", manageKey, "patch-webhook", tagWebhooks, "Change a webhook", patchDetails, gives(a.patchWebhook)},
		{"DELETE", "/v1/webhooks/{id}", manageKey, "delete-webhook", tagWebhooks, "Delete a webhook", "Its unfinished deliveries are cancelled; its log stays.", does(a.deleteWebhook)},
		{"POST", "/v1/webhooks/{id}/test", manageKey, "test-webhook", tagWebhooks, "Test a webhook", "Sends one documented sample, once, to a disabled webhook too, and answers when the attempt has ended. A webhook that was disabled automatically and passes is enabled again.", gives(a.testWebhook)},
		{"POST", "/v1/webhooks/{id}/enable", manageKey, "enable-webhook", tagWebhooks, "Enable a webhook", "Held deliveries go out at the webhook's rate limit, or at 10 a second. `missed` counts the events that came in while it was disabled: a replay sends them.", gives(a.enableWebhook)},
		{"POST", "/v1/webhooks/{id}/disable", manageKey, "disable-webhook", tagWebhooks, "Disable a webhook", "Waiting deliveries are held. When this answers, no new attempt starts.", gives(a.disableWebhook)},
		{"POST", "/v1/webhooks/{id}/restore", manageKey, "restore-webhook", tagWebhooks, "Take back a deletion", "Within a minute of it: the webhook is as it was, with its secrets and what waited for it.", gives(a.restoreWebhook)},
		{"GET", "/v1/webhooks/{id}/stats", readKey, "get-webhook-stats", tagWebhooks, "Count what happened at a webhook", "", gives(a.webhookStats)},
		{"GET", "/v1/webhooks/{id}/secret", manageKey, "get-webhook-secret", tagWebhooks, "Show a webhook's secret", "", gives(a.getSecret)},
		{"POST", "/v1/webhooks/{id}/secret/rotate", manageKey, "rotate-webhook-secret", tagWebhooks, "Rotate a webhook's secret", "Both secrets sign until the overlap ends. The answer shows the new one.", gives(a.rotateSecret)},

		{"GET", "/v1/deliveries", readKey, "list-deliveries", tagDeliveries, "List deliveries", "", lists(a.listDeliveries)},
		{"GET", "/v1/deliveries/{id}", readKey, "get-delivery", tagDeliveries, "Get a delivery with its attempts", "", gives(a.getDelivery)},
		{"POST", "/v1/deliveries/{id}/retry", manageKey, "retry-delivery", tagDeliveries, "Retry a delivery now", "Makes one attempt now, beside the retry schedule. The delivery must be waiting or failed.", accepts(a.retryDelivery)},
		{"POST", "/v1/deliveries/{id}/cancel", manageKey, "cancel-delivery", tagDeliveries, "Stop retrying a delivery", "Nothing more is attempted. The delivery must be waiting or held.", gives(a.cancelDelivery)},

		{"POST", "/v1/replays/plan", manageKey, "plan-replay", tagReplays, "Count what a replay would send", "Nothing is changed.", gives(a.planReplay)},
		{"POST", "/v1/replays", manageKey, "create-replay", tagReplays, "Start a replay", replayDetails, makes(a.createReplay, func(r wire.Replay) string { return r.ID })},
		{"GET", "/v1/replays", readKey, "list-replays", tagReplays, "List replays", "", lists(a.listReplays)},
		{"GET", "/v1/replays/{id}", readKey, "get-replay", tagReplays, "Get a replay", "", gives(a.getReplay)},
		{"POST", "/v1/replays/{id}/pause", manageKey, "pause-replay", tagReplays, "Pause a replay", "What it has made is still delivered.", gives(a.switchReplay(telltale.ReplayPaused))},
		{"POST", "/v1/replays/{id}/resume", manageKey, "resume-replay", tagReplays, "Let a paused replay go on", "", gives(a.switchReplay(telltale.ReplayRunning))},
		{"POST", "/v1/replays/{id}/cancel", manageKey, "cancel-replay", tagReplays, "End a replay", "What it has made is still delivered.", gives(a.switchReplay(telltale.ReplayCancelled))},

		{"POST", "/v1/imports/profiles", manageKey, "import-profiles", tagImports, "Import profiles", importsDetails + importDetails[telltale.ImportProfiles], raw(describeImport(telltale.ImportProfiles))},
		{"POST", "/v1/imports/events", manageKey, "import-events", tagImports, "Import events", importsDetails + importDetails[telltale.ImportEvents], raw(describeImport(telltale.ImportEvents))},
		{"POST", "/v1/imports/unsubscribes", manageKey, "import-unsubscribes", tagImports, "Import unsubscribes", importsDetails + importDetails[telltale.ImportUnsubscribes], raw(describeImport(telltale.ImportUnsubscribes))},
		{"GET", "/v1/imports", readKey, "list-imports", tagImports, "List imports", "", lists(a.listImports)},
		{"GET", "/v1/imports/{id}", readKey, "get-import", tagImports, "Get an import", "", gives(a.getImport)},
		{"GET", "/v1/imports/{id}/refused", readKey, "list-refused-rows", tagImports, "List the rows that did not go in", "In the order of the file. The first 100,000 are kept.", gives(a.listRefused)},
		{"GET", "/v1/imports/{id}/refused.csv", readKey, "get-refused-rows", tagImports, "Get the rows that did not go in as CSV", "With the columns `line`, `reason` and `row`.", raw(describeRefusedFile)},
		{"POST", "/v1/imports/{id}/pause", manageKey, "pause-import", tagImports, "Pause an import", "What went in stays.", gives(a.switchImport(telltale.ImportPaused))},
		{"POST", "/v1/imports/{id}/resume", manageKey, "resume-import", tagImports, "Let a paused import go on", "", gives(a.switchImport(telltale.ImportRunning))},
		{"POST", "/v1/imports/{id}/cancel", manageKey, "cancel-import", tagImports, "End an import", "What went in stays. The file is removed.", gives(a.switchImport(telltale.ImportCancelled))},

		{"GET", "/v1/providers", readKey, "list-providers", tagSources, "List mail providers", "What a source of each needs, what to do in its console, and what becomes of its events.", gives(a.listProviders)},
		{"GET", "/v1/sources", readKey, "list-sources", tagSources, "List sources", "", lists(a.listSources)},
		{"POST", "/v1/sources", manageKey, "create-source", tagSources, "Add a source", sourceDetails, makes(a.createSource, func(s wire.Source) string { return s.ID })},
		{"GET", "/v1/sources/{id}", readKey, "get-source", tagSources, "Get a source", "", gives(a.getSource)},
		{"PATCH", "/v1/sources/{id}", manageKey, "patch-source", tagSources, "Change a source", patchDetails, gives(a.patchSource)},
		{"DELETE", "/v1/sources/{id}", manageKey, "delete-source", tagSources, "Delete a source", "For good, with the requests that it could not understand. Its events stay.", does(a.deleteSource)},
		{"POST", "/v1/sources/{id}/test", manageKey, "test-source", tagSources, "Test a source", "Posts a sample of the provider's, signed with the source's own credentials, to the source's address. What it says becomes events, and webhooks get them. 409 for a provider that signs with a key which only it has, and while credentials are missing.", gives(a.testSource)},
		{"GET", "/v1/sources/{id}/unrecognised", readKey, "list-unrecognised", tagSources, "List what a source could not understand", "Requests, and parts of requests, that were the provider's. They were answered with success, and are kept for 30 days, the newest 10,000.", lists(a.listUnrecognised)},
		{"POST", "/v1/sources/{id}/unrecognised/replay", manageKey, "replay-unrecognised", tagSources, "Replay what was not understood", "After an upgrade, or a change of settings. What is understood now becomes events and is kept no longer.", gives(a.replayUnrecognised)},
		{"GET", "/v1/sources/{id}/unrecognised/{request}", readKey, "get-unrecognised", tagSources, "Get a request that was not understood", "With its body.", gives(a.getUnrecognised)},
		{"DELETE", "/v1/sources/{id}/unrecognised/{request}", manageKey, "drop-unrecognised", tagSources, "Remove a request that was not understood", "", does(a.dropUnrecognised)},

		{"GET", "/v1/users", readKey, "list-users", tagUsers, "List users", "", lists(a.listUsers)},
		{"GET", "/v1/users/{id}", readKey, "get-user", tagUsers, "Get a user", "", gives(a.getUser)},
		{"GET", "/v1/users/{id}/events", readKey, "list-user-events", tagUsers, "List a user's events", "Of everything that the user is known under: the id, former ids, and the email address.", lists(a.listUserEvents)},
		{"GET", "/v1/users/{id}/tracked-events", readKey, "list-tracked-events", tagUsers, "List what a user did", "", lists(a.listTrackedEvents)},
		{"GET", "/v1/erasures", manageKey, "list-erasures", tagUsers, "List erasures", "", lists(a.listErasures)},
		{"POST", "/v1/erasures", manageKey, "create-erasure", tagUsers, "Forget a person", erasureDetails, makes(a.createErasure, func(e wire.Erasure) string { return e.ID })},
		{"GET", "/v1/erasures/{id}", manageKey, "get-erasure", tagUsers, "Get an erasure", "", gives(a.getErasure)},

		{"GET", "/v1/goals", readKey, "get-goals", tagGoals, "Get the project's goals", "", gives(a.getGoals)},
		{"PATCH", "/v1/goals", manageKey, "patch-goals", tagGoals, "Change the conversion windows", patchDetails, gives(a.patchGoals)},
		{"PUT", "/v1/goals/{campaign}", manageKey, "put-goal", tagGoals, "Set a campaign's goal", "A goal that came with a message goes before it.", gives(a.putGoal)},
		{"DELETE", "/v1/goals/{campaign}", manageKey, "delete-goal", tagGoals, "Remove a campaign's goal", "", does(a.deleteGoal)},
		{"POST", "/v1/goals/{campaign}/try", readKey, "try-goal", tagGoals, "See what a goal would have brought", "Counts over the stored events, and changes nothing.", gives(a.tryGoal)},

		{"GET", "/v1/event-types", readKey, "list-event-types", tagEventTypes, "List the event types", "", gives(a.listEventTypes)},
		{"GET", "/v1/event-types/{type}", readKey, "get-event-type", tagEventTypes, "Get an event type", "", gives(a.getEventType)},
		{"GET", "/v1/event-types/{type}/sample", readKey, "get-event-type-sample", tagEventTypes, "Get the sample payload of an event type", "The bytes that a test sends.", sends(a.getSample, "application/json")},
		{"GET", "/v1/event-types/{type}/schema", readKey, "get-event-type-schema", tagEventTypes, "Get the JSON Schema of an event type's payload", "", sends(a.getSchema, typeSchema)},

		{"GET", "/v1/projects", readKey, "list-projects", tagProjects, "List projects", "An owner key sees all, every other key its own.", lists(a.listProjects)},
		{"POST", "/v1/projects", ownerKey, "create-project", tagProjects, "Add a project", "", makes(a.createProject, func(p wire.Project) string { return p.Slug })},
		{"GET", "/v1/projects/{slug}", readKey, "get-project", tagProjects, "Get a project", "", gives(a.getProject)},
		{"PATCH", "/v1/projects/{slug}", ownerKey, "patch-project", tagProjects, "Change a project", patchDetails, gives(a.patchProject)},

		{"GET", "/v1/keys", manageKey, "list-keys", tagKeys, "List API keys", "", lists(a.listKeys)},
		{"POST", "/v1/keys", manageKey, "create-key", tagKeys, "Make an API key", "The answer shows its token, once.", makes(a.createKey, func(k wire.Key) string { return k.ID })},
		{"DELETE", "/v1/keys/{id}", manageKey, "revoke-key", tagKeys, "Revoke an API key", "For good: when this answers, no node takes it any more.", does(a.revokeKey)},

		{"GET", "/v1/nodes", ownerKey, "list-nodes", tagNodes, "List nodes", "The newest starts of the server, newest first, and every one that is alive.", lists(a.listNodes)},
		{"POST", "/v1/resume", ownerKey, "resume-sending", tagNodes, "Have a paused node send", "A node that was started with --paused accepts and sends nothing. This has the node that answers go on, and no other.", gives(a.resume)},

		{"GET", "/v1/audit-log", manageKey, "list-audit-log", tagAudit, "List who did what", "Entries are kept for 400 days.", lists(a.listAudit)},

		{"GET", "/v1/inspect", readKey, "list-bins", tagInspector, "List bins", "", lists(a.listBins)},
		{"POST", "/v1/inspect", manageKey, "create-bin", tagInspector, "Make a bin", "It catches what is sent to its address, and lives for 24 hours.", makes(a.createBin, func(b wire.Bin) string { return b.ID })},
		{"GET", "/v1/inspect/{bin}", readKey, "get-bin", tagInspector, "Get a bin", "", gives(a.getBin)},
		{"PUT", "/v1/inspect/{bin}", manageKey, "answer-bin", tagInspector, "Say what a bin answers", "To see what a webhook does when its receiver fails. What is left out is as for a new bin, which answers 200 at once. Whatever it answers, it catches the request.", gives(a.answerBin)},
		{"DELETE", "/v1/inspect/{bin}", manageKey, "delete-bin", tagInspector, "Delete a bin", "With all that it caught.", does(a.deleteBin)},
		{"GET", "/v1/inspect/{bin}/requests", readKey, "list-caught-requests", tagInspector, "List what a bin caught", "The newest 200 are kept.", lists(a.listCaughtRequests)},

		{"GET", "/schemas/{event}.json", public, "get-schema", tagDocuments, "Get the JSON Schema of an event type's payload", "", raw(describeSchemas)},
		{"GET", "/openapi.json", public, "get-openapi-json", tagDocuments, "Get this document in JSON", "", raw(describeOpenAPIJSON)},
		{"GET", "/openapi.yaml", public, "get-openapi-yaml", tagDocuments, "Get this document in YAML", "", raw(describeOpenAPIYAML)},
	}
}

const (
	replayDetails = "A replay is a durable job: it makes new deliveries of stored events, in order and at its rate, with the same webhook-id as the first time, and survives restarts. " +
		"Receivers that know repetitions by it skip what they had already."

	sourceDetails = "The answer has the URL to paste in the provider's console. Credentials that the provider gives may follow later, with PATCH: until then its requests cannot be verified, and are answered such that it repeats them."

	erasureDetails = "The profile goes at once; then, in the background, everything that stands under the user's ids and address: events with their payloads, deliveries and attempts, what the user did, and what of deliveries was not finished. " +
		"The audit log keeps that it was done. It cannot be taken back."

	patchDetails = "JSON Merge Patch (RFC 7396): what is left out stays, null goes back to the default, objects are merged."

	postEventsDetails = "One event, an array of at most 1,000, or NDJSON with an event per line, 5 MiB in all; each in the shape of its payload. " +
		"What comes in is what goes out, digit for digit. The key `telltale` carries what is not payload. " +
		"The answer comes when the events and their deliveries are on stable storage; a request is accepted whole or not at all. " +
		"An event with a `telltale.id` that was seen within 30 days is a duplicate and changes nothing, or a conflict if its content differs."
)

// ProjectQuery is what every route with a key takes.
type ProjectQuery struct {
	Project string `query:"project" maxLength:"40" doc:"The slug of the project that an owner key works on; the project default, if left out. A project's key needs none." example:"default"`
}

// handler answers one route. What it returns is the answer, or becomes a problem.
type handler[I, O any] func(context.Context, auth.Identity, *I) (O, error)

type body[O any] struct{ Body O }

// Tagged is the head of an answer with what has a version.
type Tagged struct {
	ETag string `header:"ETag" doc:"The version, for If-Match and If-None-Match." example:"\"7\""`
}

// tagOf gives the ETag of what has a version.
func tagOf(out any) (Tagged, bool) {
	v, ok := out.(versioned)
	if !ok {
		return Tagged{}, false
	}
	return Tagged{v.ETag()}, true
}

type taggedBody[O any] struct {
	Tagged
	Body O
}

// gives is for handlers that answer 200 with a body.
func gives[I, O any](h handler[I, O]) func(*api, huma.Operation) {
	return func(a *api, op huma.Operation) {
		if _, ok := tagOf(*new(O)); ok {
			register(a, op, h, func(_ *call, out O) *taggedBody[O] {
				tag, _ := tagOf(out)
				return &taggedBody[O]{tag, out}
			})
			return
		}
		register(a, op, h, func(_ *call, out O) *body[O] { return &body[O]{out} })
	}
}

// accepts is for handlers after whose answer there is more to come.
func accepts[I, O any](h handler[I, O]) func(*api, huma.Operation) {
	return func(a *api, op huma.Operation) {
		op.DefaultStatus = http.StatusAccepted
		gives(h)(a, op)
	}
}

type created[O any] struct {
	Location string `header:"Location" doc:"Where what was made is found."`
	Body     O
}

type taggedCreated[O any] struct {
	Location string `header:"Location" doc:"Where what was made is found."`
	Tagged
	Body O
}

// makes is for handlers that make something, which is found below the route's
// path under the name that nameOf gives. The query, which can only name the
// project, stays.
func makes[I, O any](h handler[I, O], nameOf func(O) string) func(*api, huma.Operation) {
	return func(a *api, op huma.Operation) {
		op.DefaultStatus = http.StatusCreated
		location := func(c *call, out O) string {
			u := url.URL{Path: c.request.URL.Path + "/" + nameOf(out), RawQuery: c.request.URL.RawQuery}
			return u.String()
		}
		if _, ok := tagOf(*new(O)); ok {
			register(a, op, h, func(c *call, out O) *taggedCreated[O] {
				tag, _ := tagOf(out)
				return &taggedCreated[O]{location(c, out), tag, out}
			})
			return
		}
		register(a, op, h, func(c *call, out O) *created[O] { return &created[O]{location(c, out), out} })
	}
}

type listed[T any] struct {
	Link []string `header:"Link" doc:"The addresses of the next and the previous page (RFC 8288)."`
	ETag string   `header:"ETag" doc:"Of this page, for If-None-Match."` // from its bytes, when they are known
	Body wire.Page[T]
}

// lists is for handlers that answer with a page of a list.
func lists[I, T any](h handler[I, wire.Page[T]]) func(*api, huma.Operation) {
	return func(a *api, op huma.Operation) {
		register(a, op, h, func(c *call, page wire.Page[T]) *listed[T] {
			c.listed = true
			out := &listed[T]{Body: page}
			if page.Next != nil {
				out.Link = append(out.Link, c.link("next", "after", *page.Next))
			}
			if page.Prev != nil {
				out.Link = append(out.Link, c.link("prev", "before", *page.Prev))
			}
			return out
		})
	}
}

// link writes the address of another page of the list that was asked for.
func (c *call) link(rel, parameter, cursor string) string {
	query := c.request.URL.Query()
	query.Del("after")
	query.Del("before")
	query.Set(parameter, cursor)
	return "<" + c.request.URL.EscapedPath() + "?" + query.Encode() + `>; rel="` + rel + `"`
}

// does is for handlers that answer 204, with nothing to say.
func does[I any](h func(context.Context, auth.Identity, *I) error) func(*api, huma.Operation) {
	return func(a *api, op huma.Operation) {
		register(a, op, func(ctx context.Context, who auth.Identity, in *I) (struct{}, error) {
			return struct{}{}, h(ctx, who, in)
		}, func(*call, struct{}) *struct{} { return nil })
	}
}

type text struct {
	ContentType string `header:"Content-Type" hidden:"true"`
	Body        []byte
}

// sends is for handlers that answer with a document, as it is.
func sends[I any](h handler[I, document], contentType string) func(*api, huma.Operation) {
	return func(a *api, op huma.Operation) {
		op.Responses["200"] = &huma.Response{Description: "The document.", Content: map[string]*huma.MediaType{contentType: {Schema: &huma.Schema{Type: huma.TypeObject}}}}
		register(a, op, h, func(_ *call, d document) *text { return &text{d.contentType, d.text} })
	}
}

// register hands the route to huma, which reads what the operation documents
// into I and writes what h answers.
func register[I, O, W any](a *api, op huma.Operation, h handler[I, O], form func(*call, O) *W) {
	huma.Register(a.huma, op, func(ctx context.Context, in *I) (*W, error) {
		c := callOf(ctx)
		out, err := h(ctx, c.identity, in)
		if err != nil {
			c.err = err
			return nil, nil // the call has the error, and huma nothing to write
		}
		c.out = out
		return form(c, out), nil
	})
}

// raw is for handlers that huma does not serve, and only describes.
func raw(describe func(*api, *huma.Operation) map[string]httpserver.HandlerFunc) func(*api, huma.Operation) {
	return func(a *api, op huma.Operation) {
		for pattern, h := range describe(a, &op) {
			a.mux.Handle(op.Method+" "+pattern, httpserver.Handle(h))
		}
		a.huma.OpenAPI().AddOperation(&op)
	}
}
