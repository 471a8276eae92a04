package feed

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/pem"
	"sync"

	"telltale.example/telltale"
)

// certificates remembers the certificates that providers sign with, by their
// address. Whoever asks for one has checked the address; whether the certificate
// is valid at a time, they check each time. What could not be fetched or read is
// not remembered.
type certificates struct {
	fetch func(ctx context.Context, url string) ([]byte, error)

	mu       sync.Mutex
	known    map[string]*x509.Certificate
	order    []string                    // their addresses, the oldest first
	fetching map[string]*certificateCall // what is under way
}

// certificateCall is one fetch, for all who wait for it.
type certificateCall struct {
	done        chan struct{}
	certificate *x509.Certificate
	err         error
}

const (
	maxCertificates = 50 // that are remembered: a provider has a few at a time
	maxFetching     = 8  // fetches at a time, which a stranger's requests may cause
)

func newCertificates(fetch func(ctx context.Context, url string) ([]byte, error)) *certificates {
	return &certificates{fetch: fetch, known: map[string]*x509.Certificate{}, fetching: map[string]*certificateCall{}}
}

// get gives the certificate at the address. The error is Forbidden if what is
// there is none, and Unavailable if it could not be fetched.
func (c *certificates) get(ctx context.Context, url string) (*x509.Certificate, error) {
	c.mu.Lock()
	if known := c.known[url]; known != nil {
		c.mu.Unlock()
		return known, nil
	}
	call := c.fetching[url]
	if call == nil {
		if len(c.fetching) >= maxFetching {
			c.mu.Unlock()
			return nil, telltale.Errorf(telltale.Unavailable, "Too many certificates are being fetched already.")
		}
		call = &certificateCall{done: make(chan struct{})}
		c.fetching[url] = call
		// It goes on for the others if whoever asked first goes away.
		go c.take(context.WithoutCancel(ctx), url, call)
	}
	c.mu.Unlock()
	select {
	case <-call.done:
		return call.certificate, call.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (c *certificates) take(ctx context.Context, url string, call *certificateCall) {
	defer close(call.done)
	body, err := c.fetch(ctx, url)
	if err != nil {
		call.err = &telltale.Error{Code: telltale.Unavailable, Message: "The certificate of the signature could not be fetched.", Cause: err}
	} else {
		call.certificate, call.err = parseCertificate(body)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.fetching, url)
	if call.err != nil {
		return
	}
	if len(c.order) == maxCertificates {
		delete(c.known, c.order[0])
		c.order = c.order[1:]
	}
	c.known[url], c.order = call.certificate, append(c.order, url)
}

// parseCertificate reads a body that is one certificate in PEM (RFC 7468) and
// nothing else: a certificate that stands in something larger may be what a
// stranger had somebody else repeat.
func parseCertificate(body []byte) (*x509.Certificate, error) {
	body = bytes.TrimSpace(body)
	block, rest := pem.Decode(body)
	if block == nil || block.Type != "CERTIFICATE" || len(rest) > 0 || !bytes.HasPrefix(body, []byte("-----BEGIN CERTIFICATE-----")) {
		return nil, forbid("What stands at the address of the signature's certificate is no certificate in PEM.")
	}
	certificate, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return nil, forbid("The signature's certificate cannot be read.")
	}
	return certificate, nil
}
