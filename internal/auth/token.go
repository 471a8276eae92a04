package auth

import (
	"net/http"
	"strings"

	"telltale.example/telltale"
)

const (
	tokenPrefix = "tt_"
	// tokenLength is that of the prefix and 256 bits in base64url.
	tokenLength = len(tokenPrefix) + 43
)

// bearer takes the token out of the Authorization header (RFC 6750, section
// 2.1). What cannot be a token is refused here, without a question to the store.
func bearer(r *http.Request) (string, error) {
	values := r.Header["Authorization"]
	switch len(values) {
	case 0:
		return "", telltale.Errorf(telltale.Unauthenticated, "There is no key. Send the header Authorization: Bearer %s….", tokenPrefix)
	case 1:
	default:
		return "", telltale.Errorf(telltale.Unauthenticated, "There is more than one Authorization header. Send one, with one key.")
	}
	scheme, token, _ := strings.Cut(values[0], " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return "", telltale.Errorf(telltale.Unauthenticated, "The Authorization header does not begin with Bearer. Send Authorization: Bearer %s….", tokenPrefix)
	}
	token = strings.TrimSpace(token)
	if !wellFormed(token) {
		return "", errNoToken
	}
	return token, nil
}

// errNoToken does not repeat the token: it may be a secret of somewhere else.
var errNoToken = telltale.Errorf(telltale.Unauthenticated, "This is no key of Telltale's. A key is %s and 43 letters, digits, - and _.", tokenPrefix)

func wellFormed(token string) bool {
	if len(token) != tokenLength || token[:len(tokenPrefix)] != tokenPrefix {
		return false
	}
	for _, c := range []byte(token[len(tokenPrefix):]) {
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '-' && c != '_' {
			return false
		}
	}
	return true
}
