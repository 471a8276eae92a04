package track

import (
	"context"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"telltale.example/telltale"
	"telltale.example/telltale/internal/auth"
	"telltale.example/telltale/internal/httpserver"
)

// Prefix is where the API begins.
const Prefix = "/api/v2/"

// Source is the source of events that come of what is said here.
const Source = "track"

// Ingest is what we ask of package ingest.
type Ingest interface {
	// Change applies the changes, all or none but those that break a bound.
	Change(ctx context.Context, p telltale.Project, source string, changes []telltale.UserChange) (telltale.UserChanged, error)
}

// call is one thing that clients ask for.
type call struct {
	path    string // below Prefix; .json may follow
	methods []string
	changes func(fields) []telltale.UserChange // what it comes to; nil asks for nothing
}

// calls is the whole API.
var calls = []call{
	{"users/track", []string{"POST"}, identify("data", false)},
	{"users/edit", []string{"PUT", "POST"}, identify("changes", true)},
	{"users/reidentify", []string{"PUT", "POST"}, reidentify},
	{"users/unsubscribe", []string{"POST", "PUT"}, toUser(telltale.ChangeUnsubscribe)},
	{"users/resubscribe", []string{"POST", "PUT"}, toUser(telltale.ChangeResubscribe)},
	{"users/delete", []string{"POST", "DELETE"}, toUser(telltale.ChangeDelete)},
	{"users/tags/edit", []string{"PUT", "POST"}, editTags},
	{"events/track", []string{"POST"}, track},
	{"heartbeat", []string{"GET", "HEAD"}, nil},
}

// New makes the handler of everything below [Prefix]. [httpserver.Wrap] belongs
// around it, with [Form] for its errors.
func New(keys *auth.Keys, in Ingest) http.Handler {
	t := &tracker{keys, in}
	mux := http.NewServeMux()
	for _, c := range calls {
		h := httpserver.Handle(func(w http.ResponseWriter, r *http.Request) error { return t.serve(c, w, r) })
		mux.Handle(Prefix+c.path, h)
		mux.Handle(Prefix+c.path+".json", h)
	}
	mux.Handle(Prefix, httpserver.Handle(nowhere))
	return mux
}

type tracker struct {
	keys   *auth.Keys
	ingest Ingest
}

func (t *tracker) serve(c call, w http.ResponseWriter, r *http.Request) error {
	allowOrigins(w.Header())
	switch {
	case r.Method == http.MethodOptions:
		return preflight(w, c.methods)
	case !slices.Contains(c.methods, r.Method):
		w.Header().Set("Allow", allowed(c.methods))
		return telltale.Errorf(telltale.MethodNotAllowed, "This path does not take %s. It takes %s.", telltale.CutValue(r.Method), strings.Join(c.methods, " and "))
	}
	query, err := parseForm(r.URL.RawQuery, "query")
	if err != nil {
		return err
	}
	if c.changes == nil {
		if err := t.heartbeat(r, query); err != nil {
			return err
		}
		return success(w)
	}
	who, said, err := t.read(r, query)
	if err != nil {
		return err
	}
	var wrong faults
	changes := c.changes(fields{Object: said, wrong: &wrong})
	if err := wrong.err(); err != nil {
		return err
	}
	changed, err := t.ingest.Change(r.Context(), who.Project, Source, changes)
	if err != nil {
		return err
	}
	for _, result := range changed.Results {
		if result.Err != nil { // of what breaks a bound, a request has no more than one: nothing else was done
			return result.Err
		}
	}
	return success(w)
}

// heartbeat says that we are there. A key that is given has to work, so that a
// client can try it.
func (t *tracker) heartbeat(r *http.Request, query telltale.Object) error {
	token := tokenOf(r, query)
	if token == "" {
		return nil
	}
	_, err := t.keys.AuthenticateToken(r.Context(), token, telltale.ScopeTrack)
	return err
}

// read finds out who makes the request, and all that it says. A key that does
// not work, outside of the body, saves reading that.
func (t *tracker) read(r *http.Request, query telltale.Object) (who auth.Identity, said telltale.Object, err error) {
	token := tokenOf(r, query)
	if token != "" {
		if who, err = t.keys.AuthenticateToken(r.Context(), token, telltale.ScopeTrack); err != nil {
			return who, said, err
		}
	}
	body, err := httpserver.ReadBody(r, MaxBody)
	if err != nil {
		return who, said, err
	}
	said, err = parseBody(r.Header.Get("Content-Type"), body)
	if err != nil {
		return who, said, err
	}
	if token == "" {
		if token = keyIn(said); token == "" {
			return who, said, telltale.Errorf(telltale.Unauthenticated, "There is no key. Give it as auth_token or tracking_api_key, in the query or in the body.")
		}
		if who, err = t.keys.AuthenticateToken(r.Context(), token, telltale.ScopeTrack); err != nil {
			return who, said, err
		}
	}
	return who, complete(said, query), nil
}

// tokenOf is the key in the query, else in the head. Other credentials in the
// head are somebody else's.
func tokenOf(r *http.Request, query telltale.Object) string {
	if token := keyIn(query); token != "" {
		return token
	}
	if scheme, token, ok := strings.Cut(r.Header.Get("Authorization"), " "); ok && strings.EqualFold(scheme, "Bearer") {
		return strings.TrimSpace(token)
	}
	return ""
}

func keyIn(o telltale.Object) string {
	for _, name := range []string{"auth_token", "tracking_api_key"} {
		if token := o.Text(name); token != "" {
			return token
		}
	}
	return ""
}

func nowhere(w http.ResponseWriter, r *http.Request) error {
	allowOrigins(w.Header())
	if r.Method == http.MethodOptions {
		return preflight(w, nil)
	}
	return telltale.Errorf(telltale.NotFound, "There is nothing at this path. The Track API is described at /docs/track-api.")
}

const successBody = `{"status":200,"message":"Success."}`

func success(w http.ResponseWriter) error {
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Content-Length", strconv.Itoa(len(successBody)))
	h.Set("Cache-Control", "no-store")
	_, _ = w.Write([]byte(successBody)) // the caller may be gone; net/http knows
	return nil
}
