package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"
)

// authority issues certificates that a node trusts, or not.
type authority struct {
	*Run
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func (r *Run) newAuthority() *authority {
	a := &authority{Run: r}
	a.cert, a.key = a.issue(&x509.Certificate{Subject: pkix.Name{CommonName: "The lab's authority"}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign})
	return a
}

// trusted gives the environment of a node that trusts this authority alone.
func (a *authority) trusted() string {
	file := filepath.Join(a.TempDir(), "roots.pem")
	a.Must(os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.cert.Raw}), 0o600))
	return "SSL_CERT_FILE=" + file
}

// issue signs a certificate; before the authority has one, by itself.
func (a *authority) issue(template *x509.Certificate) (*x509.Certificate, *ecdsa.PrivateKey) {
	template.SerialNumber = big.NewInt(time.Now().UnixNano())
	if template.NotAfter.IsZero() {
		template.NotBefore, template.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(24*time.Hour)
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	a.Must(err)
	parent, signer := a.cert, a.key
	if parent == nil {
		parent, signer = template, key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, signer)
	a.Must(err)
	cert, err := x509.ParseCertificate(der)
	a.Must(err)
	return cert, key
}

// server is the configuration of a receiver with such a certificate.
func (a *authority) server(template *x509.Certificate) *tls.Config {
	cert, key := a.issue(template)
	return &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{{Certificate: [][]byte{cert.Raw}, PrivateKey: key}}}
}

// loopback is a certificate for the machine itself, good from and to then.
func loopback(from, to time.Duration) *x509.Certificate {
	return &x509.Certificate{IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, NotBefore: time.Now().Add(from), NotAfter: time.Now().Add(to)}
}
