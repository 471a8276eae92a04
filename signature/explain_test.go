package signature

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// payload is compact, keeps characters unescaped and key order, as a payload of ours.
const payload = `{"sent_at":1435016238,"type":"sent","user":{"id":9007199254740993,"email":"zoë@example.com"},"campaign":{"name":"Order <confirmation> & more 🎉","permalink":"http://example.com/a","tags":["a","b"],"x":{}}}`

func TestExplain(t *testing.T) {
	t.Parallel()
	current, previous, stranger := NewSecret(), NewSecret(), NewSecret()
	at := time.Unix(1_700_000_000, 0)
	request := func(body string, secrets ...Secret) http.Header {
		return headerOf("evt_1", "1700000000", NewSigner(secrets[0], secrets[1:]...).Sign("evt_1", at, []byte(body)))
	}
	rewrite := func(escapeHTML bool, prefix, indent string) string { // what Go's encoder makes of it
		var b bytes.Buffer
		e := json.NewEncoder(&b)
		e.SetEscapeHTML(escapeHTML)
		e.SetIndent(prefix, indent)
		if err := e.Encode(json.RawMessage(payload)); err != nil {
			t.Fatal(err)
		}
		return b.String()
	}
	python := strings.NewReplacer(`":`, `": `, `,"`, `, "`, `ë`, `\u00eb`, `🎉`, `\ud83c\udf89`).Replace(payload)
	legacy := func(h http.Header, s Secret, body string) http.Header {
		h.Set(HeaderLegacy, NewLegacySigner(s.Reveal()).Sign([]byte(body)))
		return h
	}
	with := func(h http.Header, name, value string) http.Header {
		h.Set(name, value)
		return h
	}

	tests := []struct {
		name   string
		header http.Header
		body   string
		late   time.Duration
		err    error
		secret int
		change BodyChange
		says   []string
	}{
		{"all is well", request(payload, current), payload, 4 * time.Second, nil, 0, "", []string{"The signature is valid: the current secret, these very bytes, 4s old."}},
		{"the clock is seven minutes behind the request", request(payload, current), payload, -7 * time.Minute, ErrTooNew, 0, "",
			[]string{"The signature is right: the current secret, these very bytes.", "The timestamp is 7m0s in the future; at most 5m0s either way is accepted. Either the request is that old, or one of the two clocks is wrong."}},
		{"the request is an hour old", request(payload, current), payload, time.Hour, ErrTooOld, 0, "", []string{"The signature is right", "1h0m0s old"}},
		{"an old secret", request(payload, previous), payload, 0, ErrMismatch, 1, "", []string{"An old secret signed the request"}},
		{"both secrets: the current one counts", request(payload, previous, current), payload, 0, nil, 0, "", []string{"valid"}},
		{"a stranger's secret", request(payload, stranger), payload, 0, ErrMismatch, -1, "", []string{"No signature matches: either another secret signed the request, or the body"}},
		{"a stranger's secret, and late", request(payload, stranger), payload, time.Hour, ErrMismatch, -1, "", []string{"No signature matches", "1h0m0s old"}},
		{"another body", request(payload, current), strings.Replace(payload, "sent", "done", 1), 0, ErrMismatch, -1, "", []string{"No signature matches"}},
		{"a body that was read before", request(payload, current), "", 0, ErrMismatch, -1, "", []string{"the body is empty"}},

		{"a line break from an editor", request(payload, current), payload + "\n", 0, ErrMismatch, 0, BodyGrewWhiteSpace, []string{"The current secret signed the request.", "The body was changed after it was signed: white space or a line break was added around it."}},
		{"white space around", request(payload, current), " " + payload + "\r\n ", 0, ErrMismatch, 0, BodyGrewWhiteSpace, nil},
		{"a line break that was trimmed", request(payload+"\n", current), payload, 0, ErrMismatch, 0, BodyLostLineBreak, nil},
		{"a CR LF that was trimmed", request(payload+"\r\n", current), payload, 0, ErrMismatch, 0, BodyLostLineBreak, nil},
		{"a byte order mark", request(payload, current), "\ufeff" + payload, 0, ErrMismatch, 0, BodyGrewMark, nil},
		{"line breaks of another system", request("a\nb", current), "a\r\nb", 0, ErrMismatch, 0, BodyGrewCarriage, nil},
		{"line breaks back from another system", request("a\r\nb", current), "a\nb", 0, ErrMismatch, 0, BodyLostCarriage, nil},
		{"a gateway that hands bodies on in base64", request(payload, current), base64.StdEncoding.EncodeToString([]byte(payload)), 0, ErrMismatch, 0, BodyEncoded, nil},
		{"indented by two", request(payload, current), rewrite(false, "", "  "), 0, ErrMismatch, 0, BodyLaidOut, []string{"The current secret", "Verify the raw bytes, before anything parses them."}},
		{"indented by a tab, with an old secret, and late", request(payload, previous), rewrite(false, "", "\t"), time.Hour, ErrMismatch, 1, BodyLaidOut, []string{"An old secret", "The body was changed", "1h0m0s old"}},
		{"Go's encoder escapes < > &", request(payload, current), rewrite(true, "", ""), 0, ErrMismatch, 0, BodyEscaped, nil},
		{"Python's json.dumps", request(payload, current), python, 0, ErrMismatch, 0, BodyEscaped, nil},
		{"PHP escapes slashes", request(payload, current), strings.ReplaceAll(payload, "/", `\/`), 0, ErrMismatch, 0, BodyEscaped, nil},
		{"a sender with spaces, a receiver without", request(referenceBody, current), `{"test":2432232314}`, 0, ErrMismatch, 0, BodyLaidOut, nil},
		{"an indented sender, a compact receiver", request("{\n    \"a\": [\n        1\n    ]\n}", current), `{"a":[1]}`, 0, ErrMismatch, 0, BodyLaidOut, nil},
		{"keys in another order cannot be undone", request(`{"a":1,"b":2}`, current), `{"b":2,"a":1}`, 0, ErrMismatch, -1, "", []string{"No signature matches"}},
		{"a body too deep to lay out", request("x", current), strings.Repeat("[", 5000) + strings.Repeat("]", 5000), 0, ErrMismatch, -1, "", []string{"No signature matches"}},

		{"no id", with(request(payload, current), HeaderID, ""), payload, 0, ErrMissingHeader, -1, "", []string{"The header webhook-id is missing."}},
		{"a timestamp in words", with(request(payload, current), HeaderTimestamp, "now"), payload, 0, ErrMalformedTimestamp, -1, "", []string{"The header webhook-timestamp cannot be used: expected Unix seconds such as 1614265330."}},
		{"another version alone", with(request(payload, current), HeaderSignature, "v1a,AAAA"), payload, 0, ErrNoSignature, -1, "", []string{"The header webhook-signature cannot be used: expected v1, and base64."}},
		{"the version cut off", with(request(payload, current), HeaderSignature, strings.TrimPrefix(request(payload, current).Get(HeaderSignature), "v1,")), payload, 0, ErrNoSignature, 0, "", []string{`The signature is right but for the missing "v1," before it`}},
		{"the version cut off a stranger's", with(request(payload, current), HeaderSignature, strings.TrimPrefix(request(payload, stranger).Get(HeaderSignature), "v1,")), payload, 0, ErrNoSignature, -1, "", []string{"has no v1 signature", "No signature matches"}},
		{"a sender that takes the text for the key", headerOf("evt_1", "1700000000", NewSigner(secretOf(current.Reveal())).Sign("evt_1", at, []byte(payload))), payload, 0, ErrMismatch, -1, "", []string{"The sender took the text of the current secret for the key."}},
		{"another id, which the legacy signature tells from another body", legacy(with(request(payload, current), HeaderID, "evt_2"), current, payload), payload, 0, ErrMismatch, -1, "", []string{"webhook-signature does not match, but X-Signature does, with the current secret"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			e := Explain(tt.header, []byte(tt.body), at.Add(tt.late), current, previous)
			if !errors.Is(e.Err, tt.err) || e.Valid() != (tt.err == nil) {
				t.Errorf("error %v; want %v", e.Err, tt.err)
			}
			if e.Secret != tt.secret || e.Body != tt.change {
				t.Errorf("secret %d, body %q; want %d, %q", e.Secret, e.Body, tt.secret, tt.change)
			}
			if tt.secret >= 0 && e.Skew != tt.late {
				t.Errorf("skew %s; want %s", e.Skew, tt.late)
			}
			rest := e.String()
			for _, s := range tt.says { // in this order
				_, after, ok := strings.Cut(rest, s)
				if !ok {
					t.Errorf("it says %q; want %q in it, in order", e, s)
				}
				rest = after
			}
			for _, s := range []Secret{current, previous} {
				if strings.Contains(e.String(), strings.TrimPrefix(s.Reveal(), "whsec_")) {
					t.Error("the explanation shows a secret")
				}
			}
		})
	}
}

func TestUnescaped(t *testing.T) {
	t.Parallel()
	for name, row := range map[string][2]string{
		"needless escapes go":             {`"\u0061\/\u00e4\u2028"`, `"a/ä` + "\u2028" + `"`},
		"a pair of surrogates joins":      {`"\ud83c\udf89"`, `"🎉"`},
		"a lone surrogate stays":          {`"\ud83c x \udf89"`, `"\ud83c x \udf89"`},
		"two high surrogates stay":        {`"\ud83c\ud83c"`, `"\ud83c\ud83c"`},
		"a cut surrogate pair stays":      {`"\ud83c"`, `"\ud83c"`},
		"quote and backslash stay":        {`"\u0022\u005c\"\\"`, `"\u0022\u005c\"\\"`},
		"control characters stay":         {`"\u0000\n\u001f"`, `"\u0000\n\u001f"`},
		"an escaped backslash hides a u":  {`"\\u0061"`, `"\\u0061"`},
		"what is outside strings remains": {`{"a" : [1, true]}`, `{"a" : [1, true]}`},
	} {
		if got := string(unescaped([]byte(row[0]))); got != row[1] {
			t.Errorf("%s: %s becomes %s; want %s", name, row[0], got, row[1])
		}
	}
}

// Every form that is tried for JSON must mean the same JSON.
func FuzzOriginals(f *testing.F) {
	for _, s := range []string{payload, referenceBody, "", "\ufeff{}", `"\ud83c\udf89\/\\"`, `[[[1, 2],{"a":"b,:"}]]`, "eyJhIjoxfQ==", `"\"`, "[1,\r\n2]"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		count, size := 0, 0
		var want any
		decode(body, &want)
		for change, original := range originals(body) {
			count++
			size += len(original)
			if change != BodyLaidOut && change != BodyEscaped {
				continue
			}
			var got any
			if !decode(original, &got) {
				t.Fatalf("%s: %q is no JSON", change, original)
			}
			if mark := []byte("\ufeff"); !bytes.HasPrefix(body, mark) && !reflect.DeepEqual(got, want) {
				t.Fatalf("%s: %s", change, cmp.Diff(want, got))
			}
		}
		// compact, spaced and three indents, twice, and what is not JSON's
		if most := 20; count > most || size > most*(len(body)+1)*4*(maxLaidOutDepth+1) {
			t.Errorf("%d forms with %d bytes from a body of %d", count, size, len(body))
		}
	})
}

func decode(text []byte, into *any) bool {
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	return d.Decode(into) == nil
}
