package feed

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base32"
	"net/http"
	"strings"
	"time"

	"telltale.example/telltale"
)

// Credentials of providers that sign nothing: basic authentication (RFC 7617),
// which stands in the address, or the password as a bearer token (RFC 6750), for
// a console that takes headers.
const (
	credentialUsername = "username"
	credentialPassword = "password"
)

var basicCredentials = []Credential{
	{Name: credentialUsername, Label: "User name", Hint: "It is part of the URL to paste.", Made: true, Open: true, Check: checkUsername},
	{Name: credentialPassword, Label: "Password", Hint: "It is part of the URL to paste. Where the console takes headers, Authorization: Bearer and the password does as well.", Made: true, Check: checkPassword},
}

func checkUsername(value string) string {
	if strings.ContainsAny(value, ": \t\r\n/@") || len(value) > 100 {
		return "The user name is too long, or has a colon, a slash, an at sign or space."
	}
	return ""
}

func checkPassword(value string) string {
	if len(value) < 16 || len(value) > 200 || strings.ContainsAny(value, " \t\r\n") {
		return "The password has fewer than 16 characters, more than 200, or space."
	}
	return ""
}

// newCredential makes the value of a credential that Telltale makes.
func newCredential(name string) string {
	if name == credentialUsername {
		return "telltale"
	}
	var b [20]byte
	rand.Read(b[:])
	return strings.ToLower(base32.StdEncoding.EncodeToString(b[:]))
}

// verifyBasic verifies a request by user name and password, or by the password
// as a bearer token.
func verifyBasic(r *Request, s *telltale.Source) error {
	name, password := s.Credentials[credentialUsername], s.Credentials[credentialPassword]
	if password == "" {
		return refuse("The source has no password yet: set one in its settings.")
	}
	header := http.Request{Header: r.Header}
	if n, p, ok := header.BasicAuth(); ok {
		if same(n, name) && same(p, password) {
			return nil
		}
		return refuse("The user name or the password is not the source's: paste its URL anew.")
	}
	switch scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " "); {
	case scheme == "":
		return refuse("The request has no credentials: paste the source's whole URL, with user name and password in it.")
	case strings.EqualFold(scheme, "Bearer") && same(strings.TrimSpace(token), password):
		return nil
	}
	return refuse("The Authorization header is not the source's.")
}

func signBasic(credentials map[string]string) Signer {
	return func(r *Request, _ time.Time) error {
		h := http.Request{Header: r.Header}
		h.SetBasicAuth(credentials[credentialUsername], credentials[credentialPassword])
		return nil
	}
}

func pairBasic() (map[string]string, Signer, error) {
	credentials := map[string]string{credentialUsername: newCredential(credentialUsername), credentialPassword: newCredential(credentialPassword)}
	return credentials, signBasic(credentials), nil
}

// same compares secrets in a time that tells nothing about them.
func same(a, b string) bool {
	x, y := sha256.Sum256([]byte(a)), sha256.Sum256([]byte(b))
	return subtle.ConstantTimeCompare(x[:], y[:]) == 1
}
