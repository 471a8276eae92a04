package signature

import (
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"strings"
)

// How many random bytes stand behind a secret: those that are accepted, and
// those of a new one. The bounds are Standard Webhooks' (192 to 512 bits).
const (
	MinSecretBytes = 24
	MaxSecretBytes = 64
	NewSecretBytes = 32
)

const secretPrefix = "whsec_"

// Secret signs, and verifies what it signed. Printing one shows no more than
// its prefix, so that it does not end in a log; [Secret.Reveal] gives the text.
// The zero Secret signs nothing: [NewSigner] and [NewVerifier] panic on it.
type Secret struct {
	_   [0]func() // == would compare pointers
	key *string   // behind a pointer, so that printing a struct that holds a Secret does not show it
}

// NewSecret makes a secret of [NewSecretBytes] random bytes.
func NewSecret() Secret {
	var key [NewSecretBytes]byte
	rand.Read(key[:]) // never fails: it ends the process instead
	return secretOf(string(key[:]))
}

func secretOf(key string) Secret { return Secret{key: &key} }

// ParseSecret reads a secret as it is shown: whsec_ and the standard base64,
// padded, of 24 to 64 bytes. Its error is an [*Error] with the reason
// [ErrMalformedSecret]; it says what is wrong and repeats nothing of the text.
func ParseSecret(text string) (Secret, error) {
	malformed := func(format string, args ...any) (Secret, error) {
		return Secret{}, &Error{Reason: ErrMalformedSecret, Detail: fmt.Sprintf(format, args...)}
	}
	if text == "" {
		return malformed("it is empty")
	}
	if strings.ContainsAny(text, " \t\r\n") {
		return malformed("it contains white space, perhaps a line break at its end")
	}
	encoded, ok := strings.CutPrefix(text, secretPrefix)
	switch {
	case strings.HasPrefix(text, "whsk_"), strings.HasPrefix(text, "whpk_"):
		return malformed("it is a key for asymmetric signatures (v1a); expected a secret that starts with whsec_")
	case !ok:
		return malformed("it does not start with whsec_")
	}
	if len(encoded) > base64.StdEncoding.EncodedLen(MaxSecretBytes) {
		return malformed("it is longer than %d bytes in base64", MaxSecretBytes)
	}
	key, err := base64.StdEncoding.Strict().DecodeString(encoded)
	if err != nil {
		return malformed("what follows whsec_ is not base64 with the standard alphabet and padding")
	}
	if len(key) < MinSecretBytes || len(key) > MaxSecretBytes {
		return malformed("it has %d bytes; expected %d to %d", len(key), MinSecretBytes, MaxSecretBytes)
	}
	return secretOf(string(key)), nil
}

// Reveal gives the text that [ParseSecret] reads, and nothing for the zero Secret.
func (s Secret) Reveal() string {
	if s.key == nil {
		return ""
	}
	return secretPrefix + base64.StdEncoding.EncodeToString([]byte(*s.key))
}

// Format prints the secret's prefix and nothing else, whatever the verb.
func (s Secret) Format(f fmt.State, _ rune) {
	fmt.Fprint(f, secretPrefix+"…")
}

// mac prepares the secret, and refuses the zero one: an empty key would sign
// as if all were well.
func (s Secret) mac() mac {
	if s.key == nil {
		panic("signature: the zero Secret cannot be used; take one from NewSecret or ParseSecret")
	}
	return newMAC(*s.key)
}

func macs(first Secret, others []Secret) []mac {
	prepared := make([]mac, 0, 1+len(others))
	prepared = append(prepared, first.mac())
	for _, s := range others {
		prepared = append(prepared, s.mac())
	}
	return prepared
}
