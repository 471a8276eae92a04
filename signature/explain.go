package signature

import (
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"
)

// Explanation is as much as can be told about a request's signature.
type Explanation struct {
	// Err is what a [Verifier] with the first secret says: nil if the request
	// is valid. The rest says what else was found.
	Err error

	// Secret is the index, among the secrets given, of the one that made a
	// signature of the request, and -1 if none did.
	Secret int

	// Body is what happened to the body since it was signed; empty if these
	// are the very bytes, or if no secret matches.
	Body BodyChange

	// Skew is how far the timestamp lies behind now, negative if ahead; zero
	// if there is no timestamp to read.
	Skew time.Duration

	// Sentences say it all to a person, the most telling first.
	Sentences []string
}

// Valid reports whether a receiver with the first secret accepts the request.
func (e Explanation) Valid() bool { return e.Err == nil }

// String gives the sentences as one paragraph.
func (e Explanation) String() string { return strings.Join(e.Sentences, " ") }

// Explain finds out why a request does not verify. The first secret is the
// current one; others are those that it replaced. Where no signature matches,
// it undoes what commonly happens to a body on its way (see [BodyChange]) and
// tries again, and it looks whether the secret's text was taken for the key.
//
// It does some dozens of times the work of [Verifier.Verify] and answers
// questions that an attacker would ask: it is for people at a keyboard, not for
// requests as they come in.
func Explain(header http.Header, body []byte, now time.Time, current Secret, previous ...Secret) Explanation {
	e := Explanation{Secret: -1, Err: NewVerifier(current).Verify(header, body, now)}
	r, err := readHeaders(header)
	unmarked := errors.Is(err, ErrNoSignature) && r.addVersion()
	if err != nil && !unmarked {
		e.say("%s", faultSentence(err))
		return e
	}
	e.Skew = now.Sub(r.time)

	secrets := append([]Secret{current}, previous...)
	found := e.findSecret(&r, body, secrets)
	switch {
	case e.Err == nil:
		e.say("The signature is valid: the current secret, these very bytes, %s.", ago(e.Skew))
		return e
	case unmarked && found:
		e.say("The signature is right but for the missing %q before it in %s.", version+",", HeaderSignature)
	case unmarked:
		e.say("%s has no v1 signature; expected v1, and base64.", HeaderSignature)
	}
	switch {
	case found && e.Secret > 0:
		e.say("An old secret signed the request, one that the current secret has replaced.")
	case found && e.Body != "":
		e.say("The current secret signed the request.")
	case found && !unmarked:
		e.say("The signature is right: the current secret, these very bytes.")
	case !found:
		e.sayMismatch(&r, header, body, secrets)
	}
	if e.Body != "" {
		e.say("The body was changed after it was signed: %s. Verify the raw bytes, before anything parses them.", e.Body)
	}
	if err := r.checkTime(now, DefaultTolerance); err != nil {
		e.say("The timestamp is %s; at most %s either way is accepted. Either the request is that old, or one of the two clocks is wrong.", ago(e.Skew), DefaultTolerance)
	}
	return e
}

func (e *Explanation) say(format string, args ...any) {
	e.Sentences = append(e.Sentences, fmt.Sprintf(format, args...))
}

// findSecret looks for the secret and the body that make a signature of the
// request: the body as it is with any secret comes before a changed one.
func (e *Explanation) findSecret(r *signed, body []byte, secrets []Secret) bool {
	keys := macs(secrets[0], secrets[1:])
	for changed, original := range originals(body) {
		for i := range keys {
			if r.signedBy(keys[i:i+1], original) {
				e.Secret, e.Body = i, changed
				return true
			}
		}
	}
	return false
}

// sayMismatch is for a request that none of the secrets signed.
func (e *Explanation) sayMismatch(r *signed, header http.Header, body []byte, secrets []Secret) {
	for i, s := range secrets {
		text := s.Reveal()
		if r.signedBy([]mac{newMAC(text), newMAC(strings.TrimPrefix(text, secretPrefix))}, body) {
			e.say("The sender took the text of the %s for the key. The key is the bytes that the base64 after whsec_ stands for.", nameOf(i))
			return
		}
		if VerifyLegacy(header, body, text) == nil {
			e.say("%s does not match, but %s does, with the %s: body and secret are right, so %s or %s is not what was sent.", HeaderSignature, HeaderLegacy, nameOf(i), HeaderID, HeaderTimestamp)
			return
		}
	}
	if len(body) == 0 {
		e.say("No signature matches, and the body is empty: perhaps something read it before.")
		return
	}
	e.say("No signature matches: either another secret signed the request, or the body, %s or %s is not what was sent.", HeaderID, HeaderTimestamp)
}

func nameOf(secret int) string {
	if secret == 0 {
		return "current secret"
	}
	return "old secret"
}

// addVersion takes bare base64 in webhook-signature for v1 signatures, and
// reports whether there was any.
func (r *signed) addVersion() bool {
	entries := strings.Fields(r.signatures)
	found := false
	for i, entry := range entries {
		if mac, err := base64.StdEncoding.DecodeString(entry); err == nil && len(mac) == 32 {
			entries[i], found = version+","+entry, true
		}
	}
	r.signatures = strings.Join(entries, " ")
	return found
}

func faultSentence(err error) string {
	var e *Error
	if !errors.As(err, &e) {
		return err.Error()
	}
	if errors.Is(e.Reason, ErrMissingHeader) {
		return fmt.Sprintf("The header %s is missing.", e.Header)
	}
	return fmt.Sprintf("The header %s cannot be used: %s.", e.Header, e.Detail)
}

// ago says where a timestamp lies, seen from now.
func ago(skew time.Duration) string {
	if skew < 0 {
		return (-skew).Round(time.Second).String() + " in the future"
	}
	return skew.Round(time.Second).String() + " old"
}
