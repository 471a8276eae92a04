package app

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"telltale.example/telltale/internal/egress"
)

const (
	fetchTimeout = 5 * time.Second
	fetchBytes   = 64 << 10
)

// fetcher gives what gets small documents by https, through the guard: a
// provider's certificate, and the address that confirms a subscription. What
// leads elsewhere is not followed.
func fetcher(guard *egress.Guard) func(ctx context.Context, url string) ([]byte, error) {
	client := &http.Client{
		Transport:     guard.RoundTripper(&http.Transport{MaxIdleConns: 4, IdleConnTimeout: time.Minute, TLSHandshakeTimeout: fetchTimeout}),
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Timeout:       fetchTimeout,
	}
	return func(ctx context.Context, url string) ([]byte, error) {
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			return nil, fmt.Errorf("app: fetching for a feed: %w", err)
		}
		response, err := client.Do(r)
		if err != nil {
			return nil, fmt.Errorf("app: fetching for a feed: %w", err)
		}
		defer response.Body.Close()
		body, err := io.ReadAll(io.LimitReader(response.Body, fetchBytes+1))
		switch {
		case err != nil:
			return nil, fmt.Errorf("app: fetching for a feed: %w", err)
		case response.StatusCode != http.StatusOK:
			return nil, fmt.Errorf("app: fetching for a feed: %s was answered", response.Status)
		case len(body) > fetchBytes:
			return nil, fmt.Errorf("app: fetching for a feed: there are more than %d bytes", fetchBytes)
		}
		return body, nil
	}
}

// toSelf gives what sends a request to the server at the address, whichever host
// it is for: the public one may lead through a proxy that is not there yet.
func toSelf(address string) func(*http.Request) (*http.Response, error) {
	client := &http.Client{
		Transport: &http.Transport{
			DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
				return new(net.Dialer).DialContext(ctx, network, address)
			},
			DisableKeepAlives: true,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return func(r *http.Request) (*http.Response, error) {
		r.Host, r.URL.Scheme = r.URL.Host, "http"
		response, err := client.Do(r) //nolint:gosec // it goes to the one address
		if err != nil {
			return nil, fmt.Errorf("app: a request to the server itself: %w", err)
		}
		return response, nil
	}
}
