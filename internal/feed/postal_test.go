package feed

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"telltale.example/telltale"
)

func TestPostalEvents(t *testing.T) {
	const (
		message  = `{"id":12345,"token":"abcdef123","direction":"outgoing","message_id":"5817a64332f44@app34.mail","to":"steve@example.com","from":"news@example.com","subject":"Hello","timestamp":1477945100.5,"spam_status":"NotSpam","tag":"welcome"}`
		incoming = `{"id":12346,"token":"abcdef124","direction":"incoming","message_id":"1@example.org","to":"help@example.com","from":"steve@example.com","subject":"Re: Hello","tag":null}`
		bounce   = `"bounce":{"id":12347,"direction":"incoming","to":"abcde@psrp.example.com","from":"postmaster@someserver.com","subject":"Delivery Error","timestamp":1477945179.25}`
		rest     = ` tags=welcome subject=Hello`
		agent    = `"ip_address":"185.22.208.2","user_agent":"Mozilla/5.0"`
	)
	said := func(at string) string {
		return " to=steve@example.com key=820b47a4 at=" + at + " provider=abcdef123 message=5817a64332f44@app34.mail"
	}
	own, request := said("2016-10-31T20:19:30.75Z"), said("2016-10-31T20:19:37.12994Z")
	status := func(status, details, output, message string) string {
		return `{"status":"` + status + `","details":"` + details + `","output":"` + output + `","time":0.22,"sent_with_ssl":true,"timestamp":1477945170.75,"message":` + message + `}`
	}
	for _, c := range []struct {
		name, event, payload string
		want                 []string
	}{
		{"MessageSent is delivered, at its own time", "MessageSent", status("Sent", "Message sent", "250 2.0.0 OK", message), []string{"delivered" + own + rest}},
		{"MessageDelayed means nothing", "MessageDelayed", status("SoftFail", "Temporary", "451 4.7.1 Try again later", message), nil},
		{
			"MessageDeliveryFailed for a reply 5xx is a hard bounce", "MessageDeliveryFailed", status("HardFail", "Permanent SMTP delivery error", "550 5.1.1 User unknown", message),
			[]string{`bounced bounce=hard code=550 reason="5.1.1 User unknown"` + own + rest},
		},
		{
			"for a reply 4xx it is failed: Postal gave up", "MessageDeliveryFailed", status("HardFail", "Maximum number of delivery attempts has been reached", "451 4.7.1 Try again later", message),
			[]string{`failed code=451 reason="4.7.1 Try again later"` + own + rest},
		},
		{
			"without a reply it is failed, in Postal's words", "MessageDeliveryFailed", status("HardFail", "Message is likely spam. Threshold is 5.0 and the message scored 7.2.", "", message),
			[]string{`failed reason="Message is likely spam. Threshold is 5.0 and the message scored 7.2."` + own + rest},
		},
		{"MessageHeld means nothing", "MessageHeld", status("Held", "Credential is configured to hold", "", message), nil},
		{
			"MessageBounced is a hard bounce of the original message", "MessageBounced", `{"original_message":` + message + `,` + bounce + `}`,
			[]string{`bounced bounce=hard reason="Delivery Error"` + said("2016-10-31T20:19:39.25Z") + rest},
		},
		{
			"MessageLinkClicked is clicked", "MessageLinkClicked", `{"url":"https://example.com/?a=b&c","token":"VJzsFA0S",` + agent + `,"message":` + message + `}`,
			[]string{"clicked" + request + " agent=Mozilla/5.0 url=https://example.com/?a=b&c ip=185.22.208.2" + rest},
		},
		{
			"MessageLoaded is opened", "MessageLoaded", `{` + agent + `,"message":` + message + `}`,
			[]string{"opened" + request + " agent=Mozilla/5.0 ip=185.22.208.2" + rest},
		},
		{"DomainDNSError means nothing", "DomainDNSError", `{"domain":"example.com","spf_status":"OK"}`, nil},
		{"SendLimitApproaching means nothing", "SendLimitApproaching", `{"volume":950,"limit":1000}`, nil},
		{"SendLimitExceeded means nothing", "SendLimitExceeded", `{"volume":1000,"limit":1000}`, nil},
		{"mail that came in and went on means nothing", "MessageSent", status("Sent", "Sent to endpoint", "", incoming), nil},
		{"mail that came in and failed means nothing", "MessageDeliveryFailed", status("HardFail", "Endpoint gone", "550 no", incoming), nil},
		{"a bounce of mail that came in means nothing", "MessageBounced", `{"original_message":` + incoming + `,` + bounce + `}`, nil},
		{
			"another event is not understood", "MessagePaused", `{"message":` + message + `}`,
			[]string{`error: There is no event "MessagePaused" in the provider's documents as we know them.`},
		},
		{"an event of no name is not understood", "", `{"message":` + message + `}`, []string{"error: The event has no name."}},
		{"an event without message is still one", "MessageLoaded", `{}`, []string{"opened key=820b47a4 at=2016-10-31T20:19:37.12994Z"}},
		{
			"a time may be a string, and tokens of digits keep them all", "MessageSent", `{"timestamp":"1477945170.75","message":{"id":9007199254740993,"token":12345678901234567890,"to":"steve@example.com"}}`,
			[]string{"delivered to=steve@example.com key=820b47a4 at=2016-10-31T20:19:30.75Z provider=12345678901234567890"},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			body := `{"event":"` + c.event + `","timestamp":1477945177.12994,"uuid":"820b47a4","payload":` + c.payload + `}`
			means(t, postal, jsonRequest([]byte(body)), c.want...)
		})
	}
	for _, body := range []string{"", "[]", "{", `{"event":"MessageSent"} {}`} {
		if _, err := postal.Parse(jsonRequest([]byte(body)), sourceOf(postal, nil)); err == nil {
			t.Errorf("%q was understood", body)
		}
	}
}

// Neither Postal nor its libraries publish a signature with its key. These were
// made with OpenSSL, as Postal makes them: openssl dgst -sha256 -sign.
const (
	postalVectorBody = `{"event":"MessageSent","timestamp":1477945177.12994,"payload":{"status":"Sent"},"uuid":"820b47a4-4dfd-42e4-ae6a-1e5bed5a33fd"}`
	postalVector256  = "FTvGkopv5Sed9Ik7w1RtlW7UfUi4tEuKq2FBP2pep7IoXqjfbEAl/6cgsrqfqFGOylhC4wNBQLECv7wWUCKrO6kC4U4+k8TnoiIH33zUOagzmPV7jsmHca9ckfFcoZjt3xHIgbsVWAwBshUtdIETUpQiYyNpm0Sm2LCCY0pvOmc="
	postalVector1    = "qUWaTC+z6j1ISYgJlQ4D9RE14qzIoXDuT8OCTeBesLOzsRXTv8LMa3fL5alIgrnEEADhEAniwotgwEyOfpGexZMJ6HBAiGWqGn7RlHqArTm1ibsBqYrP7BDf3IyKsTjmzC1Ff/gAhxUvlsS2GcfvsrhezOtPsaWDElpy8q5EbsU="
	postalDER        = "MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQCqmIhDmjn/j95mbIUrx5xk8SLDxXQqL+7+yrA0s6qqK/QwUnrNCO2JyUo3NHF5caknlxD+jNj1qnWXVDUkdB/m3GjsqSrpqbDIH2/Iuh2zKFThhCs2Tg4Ivo5VL7Ju9RTiUCdCDP+0enMfPbAZOOavK3yBzTEhFSvVntFoj9x23wIDAQAB"
	postalPEM        = `-----BEGIN PUBLIC KEY-----
MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQCqmIhDmjn/j95mbIUrx5xk8SLD
xXQqL+7+yrA0s6qqK/QwUnrNCO2JyUo3NHF5caknlxD+jNj1qnWXVDUkdB/m3Gjs
qSrpqbDIH2/Iuh2zKFThhCs2Tg4Ivo5VL7Ju9RTiUCdCDP+0enMfPbAZOOavK3yB
zTEhFSvVntFoj9x23wIDAQAB
-----END PUBLIC KEY-----
`
	postalPKCS1 = `-----BEGIN RSA PUBLIC KEY-----
MIGJAoGBAKqYiEOaOf+P3mZshSvHnGTxIsPFdCov7v7KsDSzqqor9DBSes0I7YnJ
Sjc0cXlxqSeXEP6M2PWqdZdUNSR0H+bcaOypKumpsMgfb8i6HbMoVOGEKzZODgi+
jlUvsm71FOJQJ0IM/7R6cx89sBk45q8rfIHNMSEVK9We0WiP3HbfAgMBAAE=
-----END RSA PUBLIC KEY-----
`
	postalModulus      = "qpiIQ5o5_4_eZmyFK8ecZPEiw8V0Ki_u_sqwNLOqqiv0MFJ6zQjticlKNzRxeXGpJ5cQ_ozY9ap1l1Q1JHQf5txo7Kkq6amwyB9vyLodsyhU4YQrNk4OCL6OVS-ybvUU4lAnQgz_tHpzHz2wGTjmryt8gc0xIRUr1Z7RaI_cdt8"
	postalOtherModulus = "sMnghTF_dddYPKcdZAwZIK1x1UUmlIWjJmT2fuRHMgmkTgj48e6qoC8say8bYT_m_m0Uft-R1x2VYQV8MPzQrIPByTRudtReXmuNioyEDU4G25Bn0zwNM8xcpH5-eCprGeXeSUIyqYGsEe347ibTkmw_hAmh6C9IDY0DGl7sDZ861mBFZ3A49nxu8Vhv-r8K-INLr2_nwzimBCaSNts07xZNU9CWtaz9mA8eNUKTMo2PJdFjRsoSO2u2PkzrY-REKHNFhzik5KDJBNHbLM4-PAOVk9VdDeq7d-hjYR4f_JVwJIKcvI8vMvE0vYnxjlD8KabTahiMeRq2iZAwLA5uxw"
	postalOtherPEM     = `-----BEGIN PUBLIC KEY-----
MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAsMnghTF/dddYPKcdZAwZ
IK1x1UUmlIWjJmT2fuRHMgmkTgj48e6qoC8say8bYT/m/m0Uft+R1x2VYQV8MPzQ
rIPByTRudtReXmuNioyEDU4G25Bn0zwNM8xcpH5+eCprGeXeSUIyqYGsEe347ibT
kmw/hAmh6C9IDY0DGl7sDZ861mBFZ3A49nxu8Vhv+r8K+INLr2/nwzimBCaSNts0
7xZNU9CWtaz9mA8eNUKTMo2PJdFjRsoSO2u2PkzrY+REKHNFhzik5KDJBNHbLM4+
PAOVk9VdDeq7d+hjYR4f/JVwJIKcvI8vMvE0vYnxjlD8KabTahiMeRq2iZAwLA5u
xwIDAQAB
-----END PUBLIC KEY-----
`
	postalEC = `-----BEGIN PUBLIC KEY-----
MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEt+EFVPfumGGdh08cGuwg5qRZU8mK
RlBIkaa6Vi/fM+LNE1BemAXsifSkzqmZAydQPnm3nhz+ea1Tpu1BQUV8uA==
-----END PUBLIC KEY-----
`
	postalJWK = `{"kty":"RSA","n":"` + postalModulus + `","e":"AQAB","kid":"3b1f","use":"sig","alg":"RS256"}`
)

var postalVectorTime = time.Unix(1477945177, 0)

func postalPost(body string, headers ...string) *Request {
	r := jsonRequest([]byte(body))
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	return r
}

func TestPostalSignatures(t *testing.T) {
	good := postalPost(postalVectorBody, postalSignature256, postalVector256, postalSignature, postalVector1)
	for _, c := range []struct {
		name, key string
		r         *Request
		at        time.Time
		said      string // "" for what is taken
	}{
		{"SHA-256 is taken", postalPEM, good, postalVectorTime, ""},
		{"SHA-1 is taken where there is nothing else", postalPEM, postalPost(postalVectorBody, postalSignature, postalVector1), postalVectorTime, ""},
		{"the key may be what the tag p of a DKIM record holds", postalDER, good, postalVectorTime, ""},
		{"or in the whole record", "v=DKIM1; t=s; h=sha256; p=" + postalDER + ";", good, postalVectorTime, ""},
		{"or in its parts", `"v=DKIM1; p=` + postalDER[:100] + "\"\n\t\"" + postalDER[100:] + `"`, good, postalVectorTime, ""},
		{"or the tag alone", "p=" + postalDER, good, postalVectorTime, ""},
		{"or PEM of PKCS #1", postalPKCS1, good, postalVectorTime, ""},
		{"or a set of JSON Web Keys", `{"keys":[` + postalJWK + `]}`, good, postalVectorTime, ""},
		{"or one of them by itself", postalJWK, good, postalVectorTime, ""},
		{"or one of several", `{"keys":[{"kty":"EC"},{"kty":"RSA","n":"` + postalOtherModulus + `","e":"AQAB"},` + postalJWK + `]}`, good, postalVectorTime, ""},
		{"none of several is refused", `{"keys":[{"kty":"RSA","n":"` + postalOtherModulus + `","e":"AQAB"}]}`, good, postalVectorTime, "does not match"},
		{"a repetition half an hour later is taken", postalPEM, good, postalVectorTime.Add(36 * time.Minute), ""},
		{"so is what waited for days", postalPEM, good, postalVectorTime.Add(6 * 24 * time.Hour), ""},

		{"a stale request is refused", postalPEM, good, postalVectorTime.Add(postalSpan + time.Hour), "older than"},
		{"one from the future is refused", postalPEM, good, postalVectorTime.Add(-time.Hour), "from the future"},
		{"another body is refused", postalPEM, postalPost(postalVectorBody+" ", postalSignature256, postalVector256), postalVectorTime, "does not match"},
		{"another key is refused", postalOtherPEM, good, postalVectorTime, "does not match"},
		{"a bad SHA-256 is refused, whatever SHA-1 says", postalPEM, postalPost(postalVectorBody, postalSignature256, "AAAA", postalSignature, postalVector1), postalVectorTime, "does not match"},
		{"SHA-1 for SHA-256 is refused", postalPEM, postalPost(postalVectorBody, postalSignature256, postalVector1), postalVectorTime, "does not match"},
		{"SHA-256 for SHA-1 is refused", postalPEM, postalPost(postalVectorBody, postalSignature, postalVector256), postalVectorTime, "does not match"},
		{"no base64 is refused", postalPEM, postalPost(postalVectorBody, postalSignature256, "%%"), postalVectorTime, "not base64"},
		{"no signature is refused", postalPEM, postalPost(postalVectorBody), postalVectorTime, "not signed by Postal"},
		{"no key is refused", "", good, postalVectorTime, "no public key yet"},
		{"a key that cannot be read is refused", "MIGf", good, postalVectorTime, "cannot be read"},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := verify(postal, sourceOf(postal, map[string]string{postalKey: c.key}), c.r, c.at)
			if c.said != "" {
				refuses(t, err, telltale.Unauthenticated, c.said)
			} else if err != nil {
				t.Error(err)
			}
		})
	}
}

// What is authentic and says nothing that can be read is for parsing to keep.
func TestPostalVerifiesWhatItCannotRead(t *testing.T) {
	s, requests := signed(t, postal)
	credentials, sign, err := pairPostal()
	if err != nil {
		t.Fatal(err)
	}
	s.Credentials = credentials
	for _, body := range []string{"not JSON", `{"event":"MessageSent"}`, `{"timestamp":"soon"}`} {
		r := *requests[0]
		r.Header, r.Body = http.Header{}, []byte(body)
		if err := sign(&r, sampleTime); err != nil {
			t.Fatal(err)
		}
		if err := verify(postal, s, &r, sampleTime); err != nil {
			t.Errorf("%s was refused: %v", body, err)
		}
	}
}

func TestPostalKeysAreChecked(t *testing.T) {
	jwk := func(n, e string) string { return `{"keys":[{"kty":"RSA","n":"` + n + `","e":"` + e + `"}]}` }
	for _, c := range []struct {
		name, key string
		good      bool
	}{
		{"PEM", postalPEM, true},
		{"PEM of PKCS #1", "\n" + postalPKCS1, true},
		{"DKIM", "v=DKIM1; t=s; h=sha256; p=" + postalDER + ";", true},
		{"base64", postalDER, true},
		{"a set", jwk(postalModulus, "AQAB"), true},
		{"a padded one", jwk(postalModulus+"=", "AQAB"), true},
		{"two keys in a set", `{"keys":[` + postalJWK + `,{"kty":"EC","crv":"P-256"},` + postalJWK + `]}`, true},

		{"nothing", " ", false},
		{"a key on a curve", postalEC, false},
		{"a private key", "-----BEGIN RSA PRIVATE KEY-----\nMIIC\n-----END RSA PRIVATE KEY-----", false},
		{"a certificate", "-----BEGIN CERTIFICATE-----\nMIIC\n-----END CERTIFICATE-----\n", false},
		{"PEM without end", "-----BEGIN PUBLIC KEY-----\nMIIC", false},
		{"PEM of nonsense", "-----BEGIN RSA PUBLIC KEY-----\nMIIC\n-----END RSA PUBLIC KEY-----\n", false},
		{"a record without key", "v=DKIM1; t=s;", false},
		{"a withdrawn one", "v=DKIM1; p=", false},
		{"a set without keys", `{"keys":[]}`, false},
		{"a set of other keys", `{"keys":[{"kty":"EC"}]}`, false},
		{"a set of many", `{"keys":[` + strings.Repeat(postalJWK+",", maxPostalKeys) + postalJWK + `]}`, false},
		{"a set that is cut", `{"keys":[`, false},
		{"a short key", jwk("AQAB", "AQAB"), false},
		{"a long one", jwk(strings.Repeat("_", 1400), "AQAB"), false},
		{"no modulus", jwk("", "AQAB"), false},
		{"a modulus of nonsense", jwk("%%", "AQAB"), false},
		{"an exponent of nonsense", jwk(postalModulus, "%"), false},
		{"an exponent of one", jwk(postalModulus, "AQ"), false},
		{"an even exponent", jwk(postalModulus, "AA"), false},
		{"an exponent past its bounds", jwk(postalModulus, "AQAAAAAAAAAB"), false},
	} {
		if said := checkPostalKey(c.key); (said == "") != c.good {
			t.Errorf("%s: %q", c.name, said)
		}
	}
	if said := checkPostalKey("-----BEGIN PRIVATE KEY-----\nMIIC"); !strings.Contains(said, "private key") {
		t.Errorf("of a private key it says %q", said)
	}
}

// A source that reports sent as well, since Postal does not.
func TestPostalReportsSent(t *testing.T) {
	w := newWorld(t)
	s, sign := w.source(postal, EmitSent)
	now := time.Now()
	for _, r := range postal.Samples(now)[:2] {
		if response, _ := w.post(s, r, sign); response.StatusCode != http.StatusOK {
			t.Fatalf("a sample got %d", response.StatusCode)
		}
	}
	types := map[telltale.EventType]int{}
	for _, e := range w.events() {
		types[e.Type]++
	}
	if len(types) != 3 || types[telltale.Sent] != 1 || types[telltale.Delivered] != 1 || types[telltale.Opened] != 1 {
		t.Errorf("there are %v", types)
	}
}
