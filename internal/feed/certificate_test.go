package feed

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"telltale.example/telltale"
)

// authority signs certificates in tests.
type authority struct {
	key         *ecdsa.PrivateKey
	certificate *x509.Certificate
}

func newAuthority(t testing.TB) *authority {
	t.Helper()
	a := &authority{key: ecKey(t)}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Test CA"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: sampleTime.AddDate(-1, 0, 0), NotAfter: sampleTime.AddDate(1, 0, 0),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, a.key.Public(), a.key)
	if err != nil {
		t.Fatal(err)
	}
	if a.certificate, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	return a
}

// issue gives a certificate for the key in PEM, valid at the time of samples.
func (a *authority) issue(t testing.TB, public crypto.PublicKey) []byte {
	t.Helper()
	return a.issueFor(t, public, sampleTime.AddDate(0, -1, 0), sampleTime.AddDate(0, 1, 0))
}

func (a *authority) issueFor(t testing.TB, public crypto.PublicKey, from, until time.Time) []byte {
	t.Helper()
	template := &x509.Certificate{SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "sns.amazonaws.com"}, NotBefore: from, NotAfter: until}
	der, err := x509.CreateCertificate(rand.Reader, template, a.certificate, public, a.key)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

// rsaKeys are two keys, which take a while to be made.
var rsaKeys = sync.OnceValue(func() (keys [2]*rsa.PrivateKey) {
	for i := range keys {
		var err error
		if keys[i], err = rsa.GenerateKey(rand.Reader, 2048); err != nil {
			panic(err)
		}
	}
	return keys
})

func ecKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func TestCertificatesAreFetchedOnce(t *testing.T) {
	document := newAuthority(t).issue(t, ecKey(t).Public())
	var mu sync.Mutex
	fetched := map[string]int{}
	var broken error
	c := newCertificates(func(_ context.Context, url string) ([]byte, error) {
		mu.Lock()
		defer mu.Unlock()
		fetched[url]++
		return document, broken
	})
	first, err := c.get(t.Context(), "https://a.example/1.pem")
	if err != nil || first.Subject.CommonName != "sns.amazonaws.com" {
		t.Fatalf("it got %v, %v", first, err)
	}
	if again, err := c.get(t.Context(), "https://a.example/1.pem"); err != nil || again != first || fetched["https://a.example/1.pem"] != 1 {
		t.Errorf("it got %v, %v after %d fetches", again, err, fetched["https://a.example/1.pem"])
	}

	broken = errors.New("no route")
	for range 2 {
		if _, err := c.get(t.Context(), "https://a.example/2.pem"); telltale.CodeOf(err) != telltale.Unavailable || !errors.Is(err, broken) {
			t.Errorf("what cannot be fetched gives %v", err)
		}
	}
	if n := fetched["https://a.example/2.pem"]; n != 2 {
		t.Errorf("after a failure it was fetched %d times", n)
	}
	broken = nil

	for i := range maxCertificates {
		if _, err := c.get(t.Context(), fmt.Sprintf("https://b.example/%d.pem", i)); err != nil {
			t.Fatal(err)
		}
	}
	if len(c.known) != maxCertificates || len(c.order) != maxCertificates {
		t.Errorf("%d certificates are remembered", len(c.known))
	}
	if _, err := c.get(t.Context(), "https://a.example/1.pem"); err != nil || fetched["https://a.example/1.pem"] != 2 {
		t.Errorf("the oldest was fetched %d times, %v", fetched["https://a.example/1.pem"], err)
	}
}

func TestCertificatesAreFetchedOnceForAllWhoWait(t *testing.T) {
	document := newAuthority(t).issue(t, ecKey(t).Public())
	synctest.Test(t, func(t *testing.T) {
		release, fetches := make(chan struct{}), 0
		c := newCertificates(func(context.Context, string) ([]byte, error) {
			fetches++
			<-release
			return document, nil
		})
		gone, leave := context.WithCancel(t.Context())
		var group sync.WaitGroup
		var left error
		group.Go(func() { _, left = c.get(gone, "https://a.example/1.pem") })
		synctest.Wait()
		for range 5 {
			group.Go(func() {
				if _, err := c.get(t.Context(), "https://a.example/1.pem"); err != nil {
					t.Error(err)
				}
			})
		}
		synctest.Wait()
		leave()
		synctest.Wait()
		if !errors.Is(left, context.Canceled) {
			t.Errorf("whoever went away got %v", left)
		}
		close(release)
		group.Wait()
		if fetches != 1 {
			t.Errorf("it was fetched %d times", fetches)
		}
	})
}

func TestStrangersCauseFewFetches(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		stop := make(chan struct{})
		c := newCertificates(func(context.Context, string) ([]byte, error) {
			<-stop
			return nil, errors.New("stopped")
		})
		var group sync.WaitGroup
		for i := range maxFetching {
			group.Go(func() { _, _ = c.get(t.Context(), fmt.Sprintf("https://a.example/%d.pem", i)) })
		}
		synctest.Wait()
		if _, err := c.get(t.Context(), "https://a.example/more.pem"); telltale.CodeOf(err) != telltale.Unavailable {
			t.Errorf("one too many got %v", err)
		}
		close(stop)
		group.Wait()
		if len(c.fetching) != 0 {
			t.Errorf("%d fetches are under way for ever", len(c.fetching))
		}
	})
}

func TestWhatIsNoCertificateIsRefused(t *testing.T) {
	good := newAuthority(t).issue(t, ecKey(t).Public())
	if _, err := parseCertificate(append([]byte("\n"), good...)); err != nil {
		t.Errorf("a certificate was refused: %v", err)
	}
	for name, body := range map[string][]byte{
		"nothing":                            nil,
		"a page":                             []byte("<html></html>"),
		"a certificate in a page":            append(append([]byte("<Message>\n"), good...), "</Message>"...),
		"a certificate with something below": append(append([]byte(nil), good...), "more"...),
		"two certificates":                   append(append([]byte(nil), good...), good...),
		"a key":                              pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: []byte("x")}),
		"no ASN.1":                           pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: []byte("x")}),
	} {
		if _, err := parseCertificate(body); telltale.CodeOf(err) != telltale.Forbidden {
			t.Errorf("%s gives %v", name, err)
		}
	}
}

// moment is a time in tests, from what RFC 3339 says.
func moment(t testing.TB, s string) time.Time {
	t.Helper()
	at, err := time.Parse(time.RFC3339, s)
	if err != nil {
		t.Fatal(err)
	}
	return at
}
