package feed

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1" //nolint:gosec // what Postal signed with before version 3
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net/http"
	"slices"
	"strings"
	"time"

	"telltale.example/telltale"
)

// postal is the webhooks of Postal, which people host themselves.
// https://docs.postalserver.io/developer/webhooks
var postal = &Provider{
	Name: "postal", Title: "Postal",
	Credentials: []Credential{{
		Name: postalKey, Label: "Public key", Open: true, Long: true,
		Hint:  "What https://your.postal.server/.well-known/jwks.json shows, or what postal default-dkim-record prints, or the key in PEM: openssl rsa -in signing.key -pubout.",
		Check: checkPostalKey,
	}},
	Steps: []string{
		"In Postal, open the mail server and choose Webhooks → Add webhook.",
		"Paste the URL, and choose all events.",
		"Open https://your.postal.server/.well-known/jwks.json, and paste here all of what it shows.",
		"If this server is in a private network, add it to postal.allowed_request_destinations in Postal's configuration.",
		"Switch on click and open tracking for your domain if you want opened and clicked.",
	},
	Mapping: []Mapping{
		{"MessageSent", telltale.Delivered, "the receiving server took it"},
		{"MessageDelayed", "", "Postal tries again"},
		{"MessageDeliveryFailed, output 5xx", telltale.Bounced, "hard"},
		{"MessageDeliveryFailed, any other output", telltale.Failed, ""},
		{"MessageHeld", "", "it waits for somebody"},
		{"MessageBounced", telltale.Bounced, "hard"},
		{"MessageLinkClicked", telltale.Clicked, ""},
		{"MessageLoaded", telltale.Opened, ""},
		{"DomainDNSError", "", "it is about a domain"},
		{"SendLimitApproaching, SendLimitExceeded", "", "it is about the mail server"},
		{"any event, direction incoming", "", "it is about mail that came in"},
	},
	Metadata:        "Postal keeps one tag of a message: tag in its API, or the header X-Postal-Tag. It names the campaign, or is one of the form name:value. What else there is to say, post as sent with the Message-Id, or with the token in the answer of Postal's API as provider_message_id: later events are completed with it.",
	MetadataExample: `X-Postal-Tag: campaign_id:987`,
	Retries:         "Postal repeats a request that is not answered with success 5 times, after 2, 3, 6, 10 and 15 minutes, and then drops it.",
	NoSent:          true,
	Overloaded:      http.StatusServiceUnavailable,
	Verify:          verifyPostal,
	Parse: func(r *Request, _ *telltale.Source) (*Batch, error) {
		return one(r.Body, parsePostal)
	},
	Pair:     pairPostal,
	Samples:  samplePostal,
	TestHint: "Postal sends no tests: send a message through the mail server, and look at Webhooks → History there.",
}

const (
	postalKey          = "public_key"
	postalSignature256 = "X-Postal-Signature-256"
	postalSignature    = "X-Postal-Signature"

	// postalSpan is how old a request may be: Postal repeats for little more than
	// half an hour, but a server that was off for days has much to tell. What it
	// told already is remembered for longer.
	postalSpan = 7 * 24 * time.Hour

	maxPostalKeys    = 10
	maxPostalKeyBits = 8192
)

// verifyPostal checks the signature: base64 RSA PKCS #1 v1.5 over the raw body,
// with SHA-256, or with SHA-1 from a version that knows no better.
func verifyPostal(_ context.Context, c *Call) error {
	if c.Source.Credentials[postalKey] == "" {
		return refuse("The source has no public key yet: paste what /.well-known/jwks.json of your Postal server shows.")
	}
	keys, err := postalKeys(c.Source.Credentials[postalKey])
	if err != nil {
		return refuse("The source's public key cannot be read: paste again what /.well-known/jwks.json of your Postal server shows.")
	}
	text, hash, sum := c.Header.Get(postalSignature256), crypto.SHA256, []byte(nil)
	if text != "" {
		digest := sha256.Sum256(c.Body)
		sum = digest[:]
	} else {
		text, hash = c.Header.Get(postalSignature), crypto.SHA1
		digest := sha1.Sum(c.Body) //nolint:gosec // as above
		sum = digest[:]
	}
	if text == "" {
		return refuse("The request is not signed by Postal: it has no header %s.", postalSignature256)
	}
	signature, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		return refuse("The signature is not base64.")
	}
	if !slices.ContainsFunc(keys, func(key *rsa.PublicKey) bool { return rsa.VerifyPKCS1v15(key, hash, sum, signature) == nil }) {
		return refuse("The signature does not match: is the public key of the same Postal server, as it is now?")
	}
	// The time is signed with the rest. What has none, parsing will say.
	if o, err := parseObject(string(c.Body)); err == nil {
		if at := o.unix("timestamp"); !at.IsZero() {
			return within(c.Now, at, postalSpan)
		}
	}
	return nil
}

// postalKeys reads public keys in any of the forms that Postal has for them: a
// set of JSON Web Keys (RFC 7517), a DKIM record (RFC 6376, section 3.6.1) or what
// its tag p holds, and PEM.
func postalKeys(text string) (keys []*rsa.PublicKey, err error) {
	text = strings.TrimSpace(text)
	switch {
	case strings.HasPrefix(text, "{"):
		keys, err = keysOfJWKS(text)
	case strings.HasPrefix(text, "-----BEGIN"):
		keys, err = keysOfPEM(text)
	default:
		keys, err = keysOfDKIM(text)
	}
	if err != nil {
		return nil, fmt.Errorf("feed: public key: %w", err)
	}
	for _, key := range keys {
		if bits := key.N.BitLen(); bits < 1024 || bits > maxPostalKeyBits {
			return nil, fmt.Errorf("feed: public key: it has %d bits", bits)
		}
	}
	return keys, nil
}

func keysOfJWKS(text string) (keys []*rsa.PublicKey, err error) {
	o, err := parseObject(text)
	if err != nil {
		return nil, err
	}
	members := o.objects("keys")
	if !o.Has("keys") {
		members = []object{o} // one key by itself
	}
	for _, member := range members {
		if member.Text("kty") != "RSA" {
			continue
		}
		n, err := base64.RawURLEncoding.DecodeString(strings.TrimRight(member.Text("n"), "="))
		if err != nil {
			return nil, err
		}
		e, err := base64.RawURLEncoding.DecodeString(strings.TrimRight(member.Text("e"), "="))
		if err != nil {
			return nil, err
		}
		exponent := new(big.Int).SetBytes(e)
		if len(n) > maxPostalKeyBits/8 || len(e) > 4 || exponent.Int64() < 3 || exponent.Int64()%2 == 0 {
			return nil, errors.New("it is no key of RSA")
		}
		keys = append(keys, &rsa.PublicKey{N: new(big.Int).SetBytes(n), E: int(exponent.Int64())})
	}
	if len(keys) == 0 || len(keys) > maxPostalKeys {
		return nil, fmt.Errorf("the set has %d keys of RSA", len(keys))
	}
	return keys, nil
}

func keysOfPEM(text string) ([]*rsa.PublicKey, error) {
	block, _ := pem.Decode([]byte(text))
	switch {
	case block == nil:
		return nil, errors.New("it is no PEM")
	case block.Type == "RSA PUBLIC KEY":
		key, err := x509.ParsePKCS1PublicKey(block.Bytes)
		return []*rsa.PublicKey{key}, err
	case block.Type != "PUBLIC KEY":
		return nil, fmt.Errorf("it is a %q", block.Type)
	}
	return keysOfDER(block.Bytes)
}

func keysOfDKIM(text string) ([]*rsa.PublicKey, error) {
	if strings.Contains(text, ";") || strings.HasPrefix(text, "p=") {
		_, text, _ = strings.Cut(";"+strings.Join(strings.Fields(text), ""), ";p=")
		text, _, _ = strings.Cut(text, ";")
	}
	text = strings.Map(func(r rune) rune { // long records stand in several strings
		if strings.ContainsRune("\" \t\r\n", r) {
			return -1
		}
		return r
	}, text)
	der, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		return nil, err
	}
	return keysOfDER(der)
}

func keysOfDER(der []byte) ([]*rsa.PublicKey, error) {
	key, err := x509.ParsePKIXPublicKey(der)
	if err != nil {
		return nil, err
	}
	public, ok := key.(*rsa.PublicKey)
	if !ok {
		return nil, fmt.Errorf("%T is no key of RSA", key)
	}
	return []*rsa.PublicKey{public}, nil
}

func checkPostalKey(value string) string {
	if strings.Contains(value, "PRIVATE KEY") {
		return "This is a private key, which nobody but Postal should have: paste the public one, and make a new pair."
	}
	if _, err := postalKeys(value); err != nil {
		return "This is no public key of RSA, of 1024 to 8192 bits, in a form that Postal has for it."
	}
	return ""
}

func parsePostal(o object) ([]Event, error) {
	payload := o.child("payload")
	message := payload.child("message")
	name := o.Text("event")
	if name == "MessageBounced" {
		message = payload.child("original_message")
	}
	e := Event{
		Key: o.Text("uuid"), OccurredAt: o.unix("timestamp"), Recipient: message.Text("to"),
		// Each mail server counts its messages from one: what tells them apart
		// everywhere is the token, which is in the API's answer as well.
		ProviderMessageID: message.Text("token"), MessageID: message.Text("message_id"), Subject: message.Text("subject"),
		IP: payload.Text("ip_address"),
	}
	if tag := message.Text("tag"); tag != "" {
		e.Tags = []string{tag}
	}
	// The request's time is when it was made; what is older has its own.
	at := func(said object) {
		if t := said.unix("timestamp"); !t.IsZero() {
			e.OccurredAt = t
		}
	}
	switch name {
	case "MessageSent":
		e.Type = telltale.Delivered
		at(payload)
	case "MessageDeliveryFailed":
		e.Type = telltale.Failed
		at(payload)
		e.Code, e.Reason = diagnostic(payload.Text("output"))
		if e.Code >= 500 {
			e.Type, e.Bounce = telltale.Bounced, Hard
		}
		e.Reason = firstOf(e.Reason, payload.Text("details"))
	case "MessageBounced":
		e.Type, e.Bounce = telltale.Bounced, Hard
		at(payload.child("bounce"))
		e.Reason = payload.child("bounce").Text("subject")
	case "MessageLinkClicked":
		e.Type, e.UserAgent, e.URL = telltale.Clicked, payload.Text("user_agent"), payload.Text("url")
	case "MessageLoaded":
		e.Type, e.UserAgent = telltale.Opened, payload.Text("user_agent")
	case "MessageDelayed", "MessageHeld", "DomainDNSError", "SendLimitApproaching", "SendLimitExceeded":
		return nil, nil
	default:
		return nil, unknownEvent(name)
	}
	if message.Text("direction") == "incoming" {
		return nil, nil
	}
	return []Event{e}, nil
}

func pairPostal() (map[string]string, Signer, error) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return nil, nil, fmt.Errorf("feed: making a key: %w", err)
	}
	public, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		return nil, nil, fmt.Errorf("feed: making a key: %w", err)
	}
	credentials := map[string]string{postalKey: string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: public}))}
	return credentials, func(r *Request, _ time.Time) error {
		sum := sha256.Sum256(r.Body)
		signature, err := rsa.SignPKCS1v15(rand.Reader, key, crypto.SHA256, sum[:])
		if err != nil {
			return fmt.Errorf("feed: signing: %w", err)
		}
		r.Header.Set(postalSignature256, base64.StdEncoding.EncodeToString(signature))
		return nil
	}, nil
}

func samplePostal(at time.Time) []*Request {
	n := 0
	message := func() string {
		return fmt.Sprintf(`{"id":12345,"token":"sample%d","direction":"outgoing","message_id":"%d.telltale@sample.example.com","to":"steve@example.com","from":"news@example.com","subject":"Welcome aboard","timestamp":%d.12994,"spam_status":"NotSpam","tag":"Welcome"}`,
			at.UnixNano(), at.UnixNano(), at.Unix())
	}
	one := func(event, payload string) *Request {
		n++
		return jsonRequest(fmt.Appendf(nil, `{"event":"%s","timestamp":%d.5,"payload":{%s},"uuid":"sample-%d-%d"}`, event, at.Unix()+int64(n-1), payload, at.UnixNano(), n))
	}
	status := func(event, status, details, output string) *Request {
		return one(event, fmt.Sprintf(`"status":"%s","details":"%s","output":"%s","time":0.22,"sent_with_ssl":true,"timestamp":%d.25,"message":%s`, status, details, output, at.Unix()+int64(n), message()))
	}
	const agent = `"ip_address":"203.0.113.7","user_agent":"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7)","message":`
	return []*Request{
		status("MessageSent", "Sent", "Message sent by SMTP to mx.example.com (203.0.113.25)", `250 2.0.0 OK`),
		one("MessageLoaded", agent+message()),
		one("MessageLinkClicked", `"url":"https://www.example.com/welcome","token":"VJzsFA0S",`+agent+message()),
		status("MessageDeliveryFailed", "HardFail", "Permanent SMTP delivery error when sending to mx.example.com", `550 5.1.1 The email account that you tried to reach does not exist.`),
		status("MessageDeliveryFailed", "HardFail", "Message is likely spam. Threshold is 5.0 and the message scored 7.2.", ""),
		one("MessageBounced", `"original_message":`+message()+fmt.Sprintf(`,"bounce":{"id":12347,"token":"sample124","direction":"incoming","message_id":"%d.bounce@mx.example.com","to":"abcde@psrp.example.com","from":"postmaster@mx.example.com","subject":"Delivery Error","timestamp":%d.5,"spam_status":"NotSpam","tag":null}`, at.UnixNano(), at.Unix()+int64(n))),
	}
}
