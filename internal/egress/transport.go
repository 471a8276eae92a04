package egress

import "net/http"

// RoundTripper gives a client's transport that can reach nothing but what the
// guard allows: base, copied, without a proxy, dialling through the guard, every
// request's URL admitted first, those of redirects included. Base is not changed.
func (g *Guard) RoundTripper(base *http.Transport) http.RoundTripper {
	t := base.Clone()
	t.Proxy = nil
	t.DialContext = g.DialContext
	t.DialTLSContext = nil
	t.Dial = nil    //nolint:staticcheck // it would be used in place of the guard
	t.DialTLS = nil //nolint:staticcheck // likewise
	return &transport{guard: g, base: t}
}

type transport struct {
	guard *Guard
	base  *http.Transport
}

func (t *transport) RoundTrip(r *http.Request) (*http.Response, error) {
	ctx, err := t.guard.Admit(r.Context(), r.URL.String())
	if err != nil {
		if r.Body != nil {
			r.Body.Close()
		}
		return nil, err
	}
	return t.base.RoundTrip(r.WithContext(ctx))
}

// CloseIdleConnections is found by [http.Client.CloseIdleConnections].
func (t *transport) CloseIdleConnections() { t.base.CloseIdleConnections() }
