package api

import (
	"context"
	"log/slog"
	"net/http"
	"sync"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"telltale.example/telltale"
	"telltale.example/telltale/internal/auth"
	"telltale.example/telltale/internal/egress"
	"telltale.example/telltale/internal/ingest"
	"telltale.example/telltale/internal/live"
)

// Dispatcher is what the API asks of the one that sends.
type Dispatcher interface {
	// Changed takes over a webhook as it is now: when it returns, no attempt
	// starts to what it was before.
	Changed(*telltale.Webhook)
	// Due says that a delivery of the webhook became due.
	Due(*telltale.Webhook)
	// Test makes the claimed attempt at once, records it and gives it.
	Test(ctx context.Context, claim telltale.Claim) (telltale.Attempt, error)
}

// Replays is what the API asks of the one that runs replays.
type Replays interface {
	// Wake says that a replay was started or resumed.
	Wake()
}

// Config is what the API works with.
type Config struct {
	Store      telltale.Store
	Keys       *auth.Keys
	Ingest     *ingest.Ingest
	Dispatcher Dispatcher
	Replays    Replays
	Imports    Imports
	Sources    Sources
	Guard      *egress.Guard
	Live       *live.Log
	Compose    Composer
	// LiveSecret signs what the streams of a project carry.
	LiveSecret func(telltale.ProjectID) string
	Version    string
	PublicURL  string // where the server is reached, for addresses in answers
	CursorKey  []byte // signs cursors
	// RequireIfMatch refuses changes of what has a version without an If-Match.
	RequireIfMatch bool
	// Resume has a paused node send, and reports whether it was paused.
	Resume func(context.Context) (was bool, err error)
	Log    *slog.Logger
}

// New makes the handler of the API and its documents. [httpserver.Wrap] belongs
// around it.
func New(c Config) http.Handler { return build(c).mux }

// Document gives the OpenAPI document in JSON, as /openapi.json has it.
func Document(version, publicURL string) ([]byte, error) {
	return build(Config{Version: version, PublicURL: publicURL}).openAPI()
}

// api is the API: its parts, the routes, and the document that describes them.
type api struct {
	config   Config
	mux      *http.ServeMux
	huma     huma.API
	registry huma.Registry

	postEventsOperation *huma.Operation
	patchingProject     sync.Mutex
}

func build(c Config) *api {
	a := &api{config: c, mux: http.NewServeMux(), registry: newRegistry()}
	a.huma = humago.New(a.mux, huma.Config{
		// Its pages and schemas are off: they load scripts from elsewhere, and
		// would show structs as payloads.
		OpenAPI:       a.description(),
		Formats:       map[string]huma.Format{"application/json": huma.DefaultJSONFormat},
		DefaultFormat: "application/json",
	})
	for _, r := range a.routes() {
		r.serve(a, a.operation(r))
	}
	a.complete()
	return a
}
