package web

import (
	"context"
	"log/slog"
	"net/http"
	"net/url"
	"sync"
	"time"

	"telltale.example/telltale"
	"telltale.example/telltale/internal/auth"
	"telltale.example/telltale/internal/docs"
	"telltale.example/telltale/internal/egress"
	"telltale.example/telltale/internal/ingest"
	"telltale.example/telltale/internal/live"
)

// Dispatcher is what the pages ask of the one that sends.
type Dispatcher interface {
	// Changed takes over a webhook as it is now: when it returns, no attempt
	// starts to what it was before.
	Changed(*telltale.Webhook)
	// Due says that a delivery of the webhook became due.
	Due(*telltale.Webhook)
	// Test makes the claimed attempt at once, records it and gives it.
	Test(ctx context.Context, claim telltale.Claim) (telltale.Attempt, error)
}

// Replays is what the pages ask of the one that runs replays.
type Replays interface {
	// Wake says that a replay was started or resumed.
	Wake()
}

// Config is what the pages work with.
type Config struct {
	Store      telltale.Store
	Operators  *auth.Operators
	Keys       *auth.Keys
	Dispatcher Dispatcher
	Replays    Replays
	Imports    Imports
	Feeds      Feeds
	Guard      *egress.Guard
	Live       *live.Log
	Ingest     *ingest.Ingest
	Version    string
	Workers    int    // requests to receivers at a time
	PublicURL  string // where the server is reached
	SigningKey []byte // signs cursors and notices
	Retention  time.Duration
	OpenAPI    func() ([]byte, error) // the API's own description
	Log        *slog.Logger
	Paused     func() bool                                 // whether this node was started paused, and is still; nil: never
	Resume     func(context.Context) (was bool, err error) // has it go on
}

// web is the pages.
type web struct {
	Config
	host    string // of the public URL
	started time.Time
	assets  *assets
	pages   map[string]page
	mux     *http.ServeMux
	forms   http.CrossOriginProtection
	schemas schemas
	streams streams

	reference func() (docs.Page, error)
}

// New makes the handler of the pages. [httpserver.Wrap] belongs around it. It
// answers every path: one that there is no page for with a page that says so.
func New(c Config) http.Handler {
	s := &web{Config: c, started: time.Now(), assets: loadAssets(), mux: http.NewServeMux()}
	if u, err := url.Parse(c.PublicURL); err == nil {
		s.host = u.Hostname()
	}
	s.pages = loadPages(s.functions())
	s.reference = sync.OnceValues(func() (docs.Page, error) {
		document, err := c.OpenAPI()
		if err != nil {
			return docs.Page{}, err
		}
		return docs.Reference(document)
	})
	s.mux.Handle("GET /static/{hash}/{name}", s.assets)
	for _, r := range routes() {
		s.mux.Handle(r.method+" "+r.path, s.handle(r))
	}
	s.mux.Handle("/", s.handle(route{may: public, serve: func(*call) error { return telltale.Errorf(telltale.NotFound, "There is no page at this address.") }}))
	return s.mux
}

// route is a row of the table.
type route struct {
	method, path string
	may          telltale.Permission
	serve        func(*call) error
}

// Public marks what one need not be signed in for.
const Public telltale.Permission = -1

const public = Public

const (
	read    = telltale.MayRead
	bodies  = telltale.MayBodies
	change  = telltale.MayChange
	secrets = telltale.MaySecrets
	people  = telltale.MayPeople
)
