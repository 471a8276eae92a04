package signature

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"
)

func headerOf(id, timestamp, signatures string) http.Header {
	h := http.Header{}
	h.Set(HeaderID, id)
	h.Set(HeaderTimestamp, timestamp)
	h.Set(HeaderSignature, signatures)
	return h
}

func TestVerify(t *testing.T) {
	t.Parallel()
	other := NewSecret()
	otherSignature := NewSigner(other).Sign(referenceID, referenceTime, []byte(referenceBody))
	bare := strings.TrimPrefix(referenceSignature, "v1,")

	set := func(name, value string) func(http.Header) {
		return func(h http.Header) { h.Set(name, value) }
	}
	type row struct {
		name   string
		change func(http.Header) // of the reference request; nil leaves it as it is
		body   string            // empty: the reference body
		now    time.Duration     // after the timestamp
		reason error             // nil: it is valid
		header string            // the one at fault
		detail string
	}
	tests := []row{
		{name: "the reference request"},
		{name: "five minutes late is in time", now: 5 * time.Minute},
		{name: "five minutes early is in time", now: -5 * time.Minute},
		{name: "a second more is too late", now: 5*time.Minute + time.Second, reason: ErrTooOld, header: HeaderTimestamp, detail: "5m1s old"},
		{name: "a second more is too early", now: -5*time.Minute - time.Second, reason: ErrTooNew, header: HeaderTimestamp, detail: "5m1s ahead"},
		{name: "a clock that is 300 years off", now: 250 * 365 * 24 * time.Hour, reason: ErrTooOld, header: HeaderTimestamp},
		{name: "another body", body: `{"test":2432232314}`, reason: ErrMismatch, header: HeaderSignature},
		{name: "another body, and late: time is not the matter", body: "x", now: time.Hour, reason: ErrMismatch, header: HeaderSignature},

		{name: "another id", change: set(HeaderID, "msg_other"), reason: ErrMismatch, header: HeaderSignature},
		{name: "no id", change: func(h http.Header) { h.Del(HeaderID) }, reason: ErrMissingHeader, header: HeaderID},
		{name: "an empty id", change: set(HeaderID, ""), reason: ErrMissingHeader, header: HeaderID},
		{name: "the id twice", change: func(h http.Header) { h.Add(HeaderID, referenceID) }, reason: ErrMalformedHeader, header: HeaderID, detail: "2 times"},
		{name: "an id with a full stop", change: set(HeaderID, "a.1614265330"), reason: ErrMalformedHeader, header: HeaderID, detail: "full stop"},
		{name: "an id with a space", change: set(HeaderID, "a b"), reason: ErrMalformedHeader, header: HeaderID, detail: "space"},
		{name: "an id beyond ASCII", change: set(HeaderID, "ä"), reason: ErrMalformedHeader, header: HeaderID},
		{name: "an id of 257 bytes", change: set(HeaderID, strings.Repeat("a", 257)), reason: ErrMalformedHeader, header: HeaderID, detail: "257"},
		{name: "an id of 256 bytes is read", change: set(HeaderID, strings.Repeat("a", 256)), reason: ErrMismatch, header: HeaderSignature},

		{name: "another timestamp", change: set(HeaderTimestamp, "1614265331"), reason: ErrMismatch, header: HeaderSignature},
		{name: "no timestamp", change: func(h http.Header) { h.Del(HeaderTimestamp) }, reason: ErrMissingHeader, header: HeaderTimestamp},
		{name: "a timestamp twice", change: func(h http.Header) { h.Add(HeaderTimestamp, "1") }, reason: ErrMalformedHeader, header: HeaderTimestamp},
		{name: "a date", change: set(HeaderTimestamp, "2021-02-25T15:02:10Z"), reason: ErrMalformedTimestamp, header: HeaderTimestamp, detail: "Unix seconds"},
		{name: "a fraction", change: set(HeaderTimestamp, "1614265330.0"), reason: ErrMalformedTimestamp, header: HeaderTimestamp},
		{name: "a plus sign, which is another text for the same time", change: set(HeaderTimestamp, "+1614265330"), reason: ErrMalformedTimestamp, header: HeaderTimestamp},
		{name: "a leading zero", change: set(HeaderTimestamp, "01614265330"), reason: ErrMalformedTimestamp, header: HeaderTimestamp},
		{name: "a time before 1970", change: set(HeaderTimestamp, "-1"), reason: ErrMalformedTimestamp, header: HeaderTimestamp},
		{name: "a space before it", change: set(HeaderTimestamp, " 1614265330"), reason: ErrMalformedTimestamp, header: HeaderTimestamp},
		{name: "an exponent", change: set(HeaderTimestamp, "1e9"), reason: ErrMalformedTimestamp, header: HeaderTimestamp},
		{name: "hexadecimal", change: set(HeaderTimestamp, "0x60"), reason: ErrMalformedTimestamp, header: HeaderTimestamp},
		{name: "digits of another script", change: set(HeaderTimestamp, "١٦١٤"), reason: ErrMalformedTimestamp, header: HeaderTimestamp},
		{name: "more digits than a time has", change: set(HeaderTimestamp, strings.Repeat("9", 16)), reason: ErrMalformedTimestamp, header: HeaderTimestamp},
		{name: "the most digits there may be", change: set(HeaderTimestamp, strings.Repeat("9", 15)), reason: ErrMismatch, header: HeaderSignature},

		{name: "no signature", change: func(h http.Header) { h.Del(HeaderSignature) }, reason: ErrMissingHeader, header: HeaderSignature},
		{name: "the signature header twice", change: func(h http.Header) { h.Add(HeaderSignature, referenceSignature) }, reason: ErrMalformedHeader, header: HeaderSignature},
		{name: "another's signature first", change: set(HeaderSignature, otherSignature+" "+referenceSignature)},
		{name: "another's signature after", change: set(HeaderSignature, referenceSignature+" "+otherSignature)},
		{name: "another's signature alone", change: set(HeaderSignature, otherSignature), reason: ErrMismatch, header: HeaderSignature},
		{name: "signatures of unknown versions beside it", change: set(HeaderSignature, "v1a,AAAA v2,x "+referenceSignature+" v99,")},
		{name: "spaces too many", change: set(HeaderSignature, "  "+referenceSignature+"  ")},
		{name: "unknown versions alone", change: set(HeaderSignature, "v1a,AAAA v2,x"), reason: ErrNoSignature, header: HeaderSignature},
		{name: "the right signature under another version", change: set(HeaderSignature, "v2,"+bare), reason: ErrNoSignature, header: HeaderSignature},
		{name: "the right signature under v1a", change: set(HeaderSignature, "v1a,"+bare), reason: ErrNoSignature, header: HeaderSignature},
		{name: "the right signature under V1", change: set(HeaderSignature, "V1,"+bare), reason: ErrNoSignature, header: HeaderSignature},
		{name: "no version", change: set(HeaderSignature, bare), reason: ErrNoSignature, header: HeaderSignature},
		{name: "spaces alone", change: set(HeaderSignature, "   "), reason: ErrNoSignature, header: HeaderSignature},
		{name: "a version and nothing", change: set(HeaderSignature, "v1,"), reason: ErrMismatch, header: HeaderSignature},
		{name: "a signature cut short", change: set(HeaderSignature, referenceSignature[:len(referenceSignature)-4]), reason: ErrMismatch, header: HeaderSignature},
		{name: "a signature without padding", change: set(HeaderSignature, strings.TrimRight(referenceSignature, "=")), reason: ErrMismatch, header: HeaderSignature},
		{name: "the same bytes in another base64", change: set(HeaderSignature, strings.Replace(referenceSignature, "OE=", "OF=", 1)), reason: ErrMismatch, header: HeaderSignature},
		{name: "more after a comma", change: set(HeaderSignature, referenceSignature+",x"), reason: ErrMismatch, header: HeaderSignature},
		{name: "a comma between signatures", change: set(HeaderSignature, referenceSignature+","+referenceSignature), reason: ErrMismatch, header: HeaderSignature},
		{name: "32 signatures, the last right", change: set(HeaderSignature, strings.Repeat("v1,x ", 31)+referenceSignature)},
		{name: "33 signatures", change: set(HeaderSignature, strings.Repeat("v1,x ", 32)+referenceSignature), reason: ErrMalformedHeader, header: HeaderSignature, detail: "33 signatures"},
		{name: "a header of 4,097 bytes", change: set(HeaderSignature, strings.Repeat("x", 4096-len(referenceSignature))+" "+referenceSignature), reason: ErrMalformedHeader, header: HeaderSignature, detail: "4097 bytes"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			header := headerOf(referenceID, "1614265330", referenceSignature)
			if tt.change != nil {
				tt.change(header)
			}
			body := tt.body
			if body == "" {
				body = referenceBody
			}
			err := NewVerifier(mustSecret(t, referenceSecret)).Verify(header, []byte(body), referenceTime.Add(tt.now))
			if tt.reason == nil {
				if err != nil {
					t.Fatalf("refused: %v", err)
				}
				return
			}
			var e *Error
			if !errors.As(err, &e) || !errors.Is(err, tt.reason) || e.Header != tt.header || !strings.Contains(err.Error(), tt.detail) {
				t.Fatalf("error %v; want %v in %s, saying %q", err, tt.reason, tt.header, tt.detail)
			}
			if time := errors.Is(err, ErrTooOld) || errors.Is(err, ErrTooNew); time != (e.Skew != 0) || time && e.Skew != tt.now {
				t.Errorf("skew %s; want %s for a reason about time, else none", e.Skew, tt.now)
			}
		})
	}
}

func TestVerifyWithSeveralSecrets(t *testing.T) {
	t.Parallel()
	a, b, c := NewSecret(), NewSecret(), NewSecret()
	sign := func(s ...Secret) string {
		return NewSigner(s[0], s[1:]...).Sign(referenceID, referenceTime, []byte(referenceBody))
	}
	tests := []struct {
		name       string
		signatures string
		verifier   *Verifier
		valid      bool
	}{
		{"the sender rotates, the receiver has the old one", sign(b, a), NewVerifier(a), true},
		{"the sender rotates, the receiver has the new one", sign(b, a), NewVerifier(b), true},
		{"the receiver has both, the sender the old one", sign(a), NewVerifier(b, a), true},
		{"the receiver has both, the sender the new one", sign(b), NewVerifier(b, a), true},
		{"neither has the other's", sign(a, b), NewVerifier(c), false},
		{"a verifier that was not made by NewVerifier accepts nothing", sign(a), &Verifier{}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			err := tt.verifier.Verify(headerOf(referenceID, "1614265330", tt.signatures), []byte(referenceBody), referenceTime)
			if tt.valid && err != nil || !tt.valid && !errors.Is(err, ErrMismatch) {
				t.Errorf("Verify gives %v; valid should be %v", err, tt.valid)
			}
		})
	}
}

func TestToleranceOfOnesOwn(t *testing.T) {
	t.Parallel()
	verifier := NewVerifier(mustSecret(t, referenceSecret))
	verifier.Tolerance = time.Second
	header := headerOf(referenceID, "1614265330", referenceSignature)
	if err := verifier.Verify(header, []byte(referenceBody), referenceTime.Add(time.Second)); err != nil {
		t.Errorf("within the tolerance: %v", err)
	}
	if err := verifier.Verify(header, []byte(referenceBody), referenceTime.Add(2*time.Second)); !errors.Is(err, ErrTooOld) {
		t.Errorf("beyond the tolerance: %v; want ErrTooOld", err)
	}
}
