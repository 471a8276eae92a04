package send

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"io"
	"math/big"
	"net"
	"strings"
	"testing"
	"time"

	"telltale.example/telltale"
)

// authority issues certificates for tests.
type authority struct {
	cert  *x509.Certificate
	key   *ecdsa.PrivateKey
	roots *x509.CertPool
}

func newAuthority(t testing.TB) *authority {
	t.Helper()
	a := &authority{roots: x509.NewCertPool()}
	template := &x509.Certificate{
		Subject: pkix.Name{CommonName: "Test authority"}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	a.cert, a.key = a.issue(t, template)
	a.roots.AddCert(a.cert)
	return a
}

// issue signs a certificate; before the authority has one, by itself.
func (a *authority) issue(t testing.TB, template *x509.Certificate) (*x509.Certificate, *ecdsa.PrivateKey) {
	t.Helper()
	template.SerialNumber = big.NewInt(time.Now().UnixNano())
	if template.NotAfter.IsZero() {
		template.NotBefore, template.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	parent, signer := a.cert, a.key
	if parent == nil {
		parent, signer = template, key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, signer)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert, key
}

// server gives the TLS configuration of a receiver with such a certificate.
func (a *authority) server(t testing.TB, template *x509.Certificate) *tls.Config {
	t.Helper()
	cert, key := a.issue(t, template)
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{cert.Raw}, PrivateKey: key}}}
}

func loopback() *x509.Certificate {
	return &x509.Certificate{IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}}
}

// listenTLS starts a receiver of connections after the handshake.
func listenTLS(t testing.TB, config *tls.Config, behave func(net.Conn)) (url string) {
	plain := listenBadly(t, func(c net.Conn) {
		secure := tls.Server(c, config)
		if secure.Handshake() == nil {
			behave(secure)
			secure.CloseWrite()
		}
	})
	return strings.Replace(plain, "http:", "https:", 1)
}

func TestTrust(t *testing.T) {
	t.Parallel()
	ca := newAuthority(t)
	between := func(from, to time.Duration) *x509.Certificate {
		c := loopback()
		c.NotBefore, c.NotAfter = time.Now().Add(from), time.Now().Add(to)
		return c
	}
	ago := func(d time.Duration) string { return time.Now().Add(-d).UTC().Format(time.DateOnly) }
	const day = 24 * time.Hour
	otherName := &x509.Certificate{DNSNames: []string{"a.example", "b.example", "c.example", "d.example"}}
	evilName := &x509.Certificate{DNSNames: []string{strings.Repeat("x", 150)}}
	clientOnly := loopback()
	clientOnly.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}

	old := ca.server(t, loopback())
	old.MinVersion, old.MaxVersion = tls.VersionTLS10, tls.VersionTLS11
	mutual := ca.server(t, loopback())
	mutual.ClientAuth = tls.RequireAnyClientCert
	secure := func(config *tls.Config) string {
		return listenTLS(t, config, say("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"))
	}
	plain := func(behave func(net.Conn)) string {
		return strings.Replace(listenBadly(t, behave), "http:", "https:", 1)
	}
	for _, tt := range []struct {
		name     string
		url      string
		code     telltale.FailureCode
		sentence string
	}{
		{"all is well", secure(ca.server(t, loopback())), "", "127.0.0.1 answered 200 OK in "},
		{"expired three days ago", secure(ca.server(t, between(-30*day, -3*day-time.Hour))), telltale.FailureTLSExpired, "The certificate expired on " + ago(3*day+time.Hour) + " (3 days ago)."},
		{"expired yesterday", secure(ca.server(t, between(-30*day, -day-time.Hour))), telltale.FailureTLSExpired, "The certificate expired on " + ago(day+time.Hour) + " (1 day ago)."},
		{"expired an hour ago", secure(ca.server(t, between(-30*day, -time.Hour))), telltale.FailureTLSExpired, "The certificate expired on " + ago(time.Hour) + "."},
		{"not valid yet", secure(ca.server(t, between(2*day, 30*day))), telltale.FailureTLSNotYetValid, "The certificate is not valid before " + ago(-2*day) + "."},
		{"for another name", secure(ca.server(t, otherName)), telltale.FailureTLSName, "The certificate is for a.example, b.example, c.example, others, not for 127.0.0.1."},
		{"for a name without end", secure(ca.server(t, evilName)), telltale.FailureTLSName, "The certificate is for " + strings.Repeat("x", 100) + "…, not for 127.0.0.1."},
		{"by an unknown authority", secure(newAuthority(t).server(t, loopback())), telltale.FailureTLSUntrusted, "The certificate is not trusted."},
		{"signed by itself", secure((&authority{}).server(t, &x509.Certificate{IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign, IPAddresses: loopback().IPAddresses})), telltale.FailureTLSUntrusted, "The certificate is not trusted: it is signed by itself."},
		{"not meant for servers", secure(ca.server(t, clientOnly)), telltale.FailureTLSUntrusted, "The certificate is not trusted."},
		{"TLS 1.1 at most", secure(old), telltale.FailureTLSHandshake, "TLS could not be negotiated: the receiver says protocol version not supported."},
		{"it wants our certificate, and says so after the handshake", secure(mutual), telltale.FailureTLSHandshake, "TLS could not be negotiated: the receiver says certificate required."},
		{"no TLS at all", plain(func(c net.Conn) { io.WriteString(c, "HTTP/1.1 400 Bad Request\r\n\r\n"); hang(c) }), telltale.FailureTLSHandshake, "TLS could not be negotiated: the port does not speak TLS."},
		{"it closes in the handshake", plain(func(c net.Conn) { io.ReadFull(c, make([]byte, 10)) }), telltale.FailureTLSHandshake, "TLS could not be negotiated: the connection was closed."},
		{"it resets in the handshake", plain(func(c net.Conn) { io.ReadFull(c, make([]byte, 10)); reset(c) }), telltale.FailureTLSHandshake, "TLS could not be negotiated: the connection was closed."},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			a := newSender(t, ca.roots).Send(t.Context(), newClaim(), newWebhook(tt.url))
			class := telltale.ErrorTLS
			if tt.code == "" {
				class = ""
			}
			if a.Error != class || a.Failure != tt.code || !strings.HasPrefix(a.Sentence(), tt.sentence) {
				t.Errorf("class %q, code %q: %s\nwant %q, %q: %s", a.Error, a.Failure, a.Sentence(), class, tt.code, tt.sentence)
			}
			if tt.code == "" && a.Timing.TLS <= 0 {
				t.Errorf("timing %+v lacks TLS", a.Timing)
			}
		})
	}
}

// net/http would let the handshake go on after the request was given up.
func TestAHandshakeEndsWithTheAttempt(t *testing.T) {
	t.Parallel()
	closed := make(chan struct{})
	url := strings.Replace(listenBadly(t, func(c net.Conn) { hang(c); close(closed) }), "http:", "https:", 1)
	w := newWebhook(url)
	w.Timeout = 200 * time.Millisecond
	a := newSender(t, nil).Send(t.Context(), newClaim(), w)
	if a.Error != telltale.ErrorTimeout || a.Failure != telltale.FailureResponseTimeout || a.RemoteAddr == "" {
		t.Errorf("attempt %+v; want a timeout", a)
	}
	select {
	case <-closed:
	case <-time.After(5 * time.Second):
		t.Error("the connection is still open")
	}
}
