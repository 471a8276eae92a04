package web

import (
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"

	"telltale.example/telltale"
	"telltale.example/telltale/internal/auth"
	"telltale.example/telltale/internal/httpserver"
)

// call is one request on its way through a route: who makes it, on which
// project, and the means to answer.
type call struct {
	*web
	w       http.ResponseWriter
	r       *http.Request
	who     auth.SignedIn // zero if nobody is signed in
	project telltale.Project
}

// contentSecurity lets a page load what is ours and nothing else: no script or
// style inline, no frame, no form that goes elsewhere.
const contentSecurity = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

func secureHeaders(h http.Header) {
	h.Set("Content-Security-Policy", contentSecurity)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "same-origin")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cache-Control", "no-store")
	h.Add("Vary", "HX-Request-Type")
}

// handle stands before a route's handler, and makes a page of its error.
func (s *web) handle(route route) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		secureHeaders(w.Header())
		c := &call{web: s, w: w, r: r}
		if err := c.enter(route); err != nil {
			c.fail(err)
		}
	})
}

func (c *call) enter(route route) error {
	if err := c.checkHost(); err != nil {
		return err
	}
	if err := c.forms.Check(c.r); err != nil {
		return telltale.Errorf(telltale.Forbidden, "This form was sent from another site. Open the page here and send it again.")
	}
	c.r = c.r.WithContext(telltale.WithActor(c.r.Context(), telltale.Actor{
		Kind: telltale.ActorSystem, Name: "telltale", RemoteAddr: remoteAddress(c.r), RequestID: httpserver.RequestID(c.r.Context()),
	}))
	who, err := c.Operators.Current(c.r)
	switch signedOut := telltale.CodeOf(err) == telltale.Unauthenticated; {
	case err == nil:
		c.who = who
		c.r = c.r.WithContext(telltale.WithActor(c.r.Context(), auth.ActorFor(c.r, who.Operator)))
	case !signedOut:
		return err
	case route.may != public:
		return c.toLogin()
	}
	if slug := c.r.PathValue("project"); slug != "" && c.who.ID != "" {
		if c.project, err = c.Store.ProjectBySlug(c.r.Context(), slug); err != nil {
			return orNoPage(err, "There is no project at this address.")
		}
	}
	if route.may != public && !c.who.Role.May(route.may) {
		return telltale.Errorf(telltale.Forbidden, "You have %s access, which does not reach this far. An owner or admin can change your role.", c.who.Role)
	}
	return route.serve(c)
}

// checkHost refuses a name that is not ours: a page elsewhere could have its
// own name resolve to this server, and read the answers (DNS rebinding).
// Addresses cannot be rebound.
func (c *call) checkHost() error {
	host := c.r.Host
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	host = strings.TrimSuffix(strings.Trim(host, "[]"), ".")
	if _, err := netip.ParseAddr(host); err == nil || strings.EqualFold(host, "localhost") || strings.EqualFold(host, c.host) {
		return nil
	}
	return &misdirected{host: telltale.CutValue(host)}
}

// misdirected is the error of a request for another host (RFC 9110, section 15.5.20).
type misdirected struct{ host string }

func (m *misdirected) Error() string {
	return "The pages are not served under the name " + m.host + ". Start the server with --public-url if this is its name."
}

// toLogin sends someone who is signed out to the login page, and back to where
// they were afterwards. What a part of a page asked for is not where they were:
// that is the page around it.
func (c *call) toLogin() error {
	next := c.r.URL.RequestURI()
	if c.partial() || c.r.Method != http.MethodGet {
		next = ""
		if u, err := url.Parse(c.r.Header.Get("HX-Current-URL")); err == nil {
			next = u.RequestURI()
		}
	}
	to := "/login"
	if next = localPath(next); next != "" && next != "/" {
		to += "?next=" + url.QueryEscape(next)
	}
	return c.redirect(to)
}

// localPath gives the path back if it leads to this server, whatever a browser
// makes of it, else nothing.
func localPath(path string) string {
	if !strings.HasPrefix(path, "/") || strings.HasPrefix(path, "//") || strings.ContainsAny(path, "\\\r\n\t") || len(path) > 2000 {
		return ""
	}
	return path
}

// partial reports whether htmx asks for a part of a page.
func (c *call) partial() bool { return c.r.Header.Get("HX-Request-Type") == "partial" }

// path is the address of something in the project.
func (c *call) path(rest string) string { return "/p/" + c.project.Slug + rest }

func remoteAddress(r *http.Request) string {
	if host, _, err := net.SplitHostPort(r.RemoteAddr); err == nil {
		return host
	}
	return r.RemoteAddr
}

// orNoPage says of what was not found that there is no page.
func orNoPage(err error, message string) error {
	if telltale.CodeOf(err) == telltale.NotFound {
		return telltale.Errorf(telltale.NotFound, "%s", message)
	}
	return err
}
