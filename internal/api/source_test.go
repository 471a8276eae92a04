package api

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"telltale.example/telltale"
	"telltale.example/telltale/internal/feed"
	"telltale.example/telltale/internal/wire"
)

// source makes a source for the project acme.
func (w *world) source(body string) wire.Source {
	w.t.Helper()
	return read[wire.Source](w.do("acme manage", "POST", "/v1/sources", body).want(201))
}

const mailgunKey = "0123456789abcdef0123456789abcdef"

func TestProviders(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	page := read[wire.Page[wire.Provider]](w.do("acme read", "GET", "/v1/providers", "").want(200))
	var names []string
	for _, p := range page.Data {
		names = append(names, p.Name)
	}
	if !slices.Equal(names, feed.Names()) || page.Next != nil {
		t.Errorf("there are %v, and not %v", names, feed.Names())
	}
	named := func(name string) wire.Provider { return page.Data[slices.Index(names, name)] }
	sendgrid, postmark := named("sendgrid"), named("postmark")
	if c := sendgrid.Credentials; sendgrid.Title != "SendGrid" || sendgrid.CanTest || sendgrid.NoSent || sendgrid.TestHint == "" || len(sendgrid.Options) > 0 ||
		len(c) != 1 || c[0].Name != "verification_key" || !c[0].Open || c[0].Made || !strings.Contains(c[0].Hint, "Event Webhooks") {
		t.Errorf("SendGrid: %+v", sendgrid)
	}
	if m := sendgrid.Mapping; len(m) < 10 || m[0] != (wire.ProviderMapping{Event: "processed", Type: "sent"}) || sendgrid.Metadata == "" || sendgrid.Retries == "" || len(sendgrid.Steps) < 4 {
		t.Errorf("SendGrid: %+v", sendgrid)
	}
	if c := postmark.Credentials; !postmark.CanTest || !postmark.NoSent || len(postmark.Options) != 1 || postmark.Options[0].Name != feed.EmitSent || !c[0].Made || !c[1].Made || c[1].Open {
		t.Errorf("Postmark: %+v", postmark)
	}
}

func TestSources(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	made := w.do("acme manage", "POST", "/v1/sources", `{"provider":"sendgrid"}`).want(201).golden("source-created")
	s := read[wire.Source](made)
	path := "/v1/sources/" + s.ID
	if made.Header().Get("Location") != path || made.Header().Get("ETag") != `"1"` {
		t.Errorf("it is at %s with the ETag %s", made.Header().Get("Location"), made.Header().Get("ETag"))
	}
	w.do("acme read", "GET", path, "").want(200).golden("source-for-readers")
	w.do("acme read", "GET", "/v1/sources", "").want(200).golden("sources-for-readers")
	w.do("acme manage", "GET", "/v1/sources", "").want(200).golden("sources")

	key := sendGridKey(t)
	patched := read[wire.Source](w.do("acme manage", "PATCH", path, `{"name":"Newsletter","credentials":{"verification_key":"`+key+`\n"}}`).want(200))
	if c := patched.Credentials["verification_key"]; c.Value != key || len(patched.Missing) > 0 || patched.Name != "Newsletter" || patched.Version != 2 || patched.URL != s.URL {
		t.Errorf("changed: %+v", patched)
	}
	again := read[wire.Source](w.do("acme manage", "PATCH", path, `{"name":null,"credentials":{"verification_key":null},"enabled":false}`).want(200))
	if again.Name != "SendGrid" || again.Credentials["verification_key"].Set || again.Enabled {
		t.Errorf("changed back: %+v", again)
	}
	if now := read[wire.Source](w.do("owner", "GET", path+"?project=acme", "").want(200)); now.Version != 3 || now.URL != s.URL {
		t.Errorf("an owner sees %+v", now)
	}
	w.do("acme manage", "DELETE", path, "").want(204)
	w.do("acme manage", "DELETE", path, "").want(404)
	w.do("acme read", "GET", path, "").want(404).golden("source-not-found")
	w.do("acme manage", "PATCH", path, `{}`).want(404)
}

// sendGridKey is a public key of the form that SendGrid gives.
func sendGridKey(t *testing.T) string {
	t.Helper()
	credentials, _, err := feed.ProviderNamed("sendgrid").Pair()
	if err != nil {
		t.Fatal(err)
	}
	return credentials["verification_key"]
}

// Where the provider signs nothing, Telltale makes a password, which stands in the
// URL and nowhere else.
func TestCredentialsThatTelltaleMakes(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	made := w.do("acme manage", "POST", "/v1/sources", `{"provider":"postmark","options":["emit_sent","emit_sent"]}`).want(201)
	s := read[wire.Source](made)
	path := "/v1/sources/" + s.ID
	password := func(url string) string {
		_, rest, _ := strings.Cut(url, "://telltale:")
		word, _, ok := strings.Cut(rest, "@telltale.test/feeds/")
		if !ok || len(word) < 16 {
			t.Fatalf("there is no password in %q", url)
		}
		return word
	}
	first := password(s.URL)
	if c := s.Credentials; c["username"] != (wire.SourceCredential{Set: true, Value: "telltale"}) || c["password"] != (wire.SourceCredential{Set: true}) || len(s.Missing) > 0 || len(s.Options) != 1 {
		t.Errorf("made: %+v", s)
	}
	if n := strings.Count(made.Body.String(), first); n != 1 {
		t.Errorf("the password is there %d times: %s", n, made.Body)
	}
	if got := w.do("acme read", "GET", path, "").want(200); strings.Contains(got.Body.String(), first) || strings.Contains(got.Body.String(), "/feeds/") {
		t.Errorf("a key that reads sees %s", got.Body)
	}
	for _, patch := range []string{`{"credentials":{"password":null}}`, `{"credentials":null}`, `{"credentials":{"password":""}}`} {
		second := password(read[wire.Source](w.do("acme manage", "PATCH", path, patch).want(200)).URL)
		if second == first {
			t.Errorf("after %s the password is the same", patch)
		}
		first = second
	}
	own := read[wire.Source](w.do("acme manage", "PATCH", path, `{"credentials":{"password":"correct-horse-battery-staple"}}`).want(200))
	if password(own.URL) != "correct-horse-battery-staple" {
		t.Errorf("the URL is %s", own.URL)
	}
	entries := w.do("acme manage", "GET", "/v1/audit-log?target="+s.ID, "").want(200).Body.String()
	if !strings.Contains(entries, "credentials.password") || strings.Contains(entries, first) || strings.Contains(entries, "correct-horse") {
		t.Errorf("the audit log says %s", entries)
	}
}

func TestWhatIsWrongWithASource(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s := w.source(`{"provider":"mailgun","credentials":{"signing_key":"` + mailgunKey + `"}}`)
	const secret = "hunter2-hunter2"
	for _, row := range []struct {
		name, method, path, body string
		status                   int
		says                     string // in the answer
	}{
		{"no provider", "POST", "/v1/sources", `{"name":"x"}`, 422, `"location":"body.provider","message":"The field is missing."`},
		{"a provider that is none", "POST", "/v1/sources", `{"provider":"pigeon"}`, 422, `"location":"body.provider","message":"There is no such provider.","expected":"one of `},
		{"a field that is none", "POST", "/v1/sources", `{"provider":"mailgun","tokn":"` + secret + `"}`, 422, `"location":"body.tokn","message":"There is no such field."`},
		{"another provider", "PATCH", "", `{"provider":"sendgrid"}`, 422, `"location":"body.provider","message":"There is no such field."`},
		{"an empty name", "PATCH", "", `{"name":" "}`, 422, `"location":"body.name"`},
		{"a long name", "POST", "/v1/sources", `{"provider":"mailgun","name":"` + strings.Repeat("x", telltale.MaxSourceName+1) + `"}`, 422, `"location":"body.name"`},
		{"a name that is a number", "PATCH", "", `{"name":7}`, 422, `"location":"body.name","message":"The value is a number."`},
		{"a credential that the provider does not have", "PATCH", "", `{"credentials":{"password":"` + secret + `"}}`, 422, `"location":"body.credentials.password","message":"Mailgun has no such credential.","expected":"signing_key"`},
		{"a credential in the wrong form", "POST", "/v1/sources", `{"provider":"sendgrid","credentials":{"verification_key":"` + secret + `"}}`, 422, `"location":"body.credentials.verification_key","message":"This is no verification key of SendGrid's.","expected":"Settings`},
		{"a credential that is a number", "PATCH", "", `{"credentials":{"signing_key":77123456}}`, 422, `"location":"body.credentials.signing_key","message":"The value is a number.","expected":"a string, or null"`},
		{"a credential that is an object, as it is read", "PATCH", "", `{"credentials":{"signing_key":{"set":true,"value":"` + secret + `"}}}`, 422, `"message":"The value is an object.","expected":"a string, or null"`},
		{"credentials that are a list", "PATCH", "", `{"credentials":["` + secret + `"]}`, 422, `"location":"body.credentials","message":"The value is an array."`},
		{"a long credential", "PATCH", "", `{"credentials":{"signing_key":"` + strings.Repeat("x", telltale.MaxCredential+1) + `"}}`, 422, `"location":"body.credentials.signing_key","message":"The credential is too long or is not text."`},
		{"many credentials", "PATCH", "", `{"credentials":{` + numbered(telltale.MaxCredentials, `"c%d":"x"`) + `}}`, 422, `"location":"body.credentials","message":"There are too many credentials."`},
		{"an option that the provider does not have", "PATCH", "", `{"options":["emit_sent"]}`, 422, `"location":"body.options[0]","message":"Mailgun has no such option.","expected":"none","value":"emit_sent"`},
		{"the second option", "POST", "/v1/sources", `{"provider":"postmark","options":["emit_sent","emit"]}`, 422, `"location":"body.options[1]","message":"Postmark has no such option.","expected":"emit_sent","value":"emit"`},
		{"many options", "PATCH", "", `{"options":[` + numbered(telltale.MaxSourceOptions+1, `"o%d"`) + `]}`, 422, `"location":"body.options","message":"There are too many options."`},
		{"a key twice", "PATCH", "", `{"credentials":{"signing_key":"` + secret + `","signing_key":"b"}}`, 400, `"location":"body.credentials.signing_key","message":"The key is there twice."`},
		{"no JSON", "POST", "/v1/sources", `provider=mailgun`, 400, `"location":"body"`},
		{"a query that is none", "GET", "?projct=acme", "", 422, `"location":"query.projct"`},
		{"an id of another noun", "GET", "/v1/sources/whk_01JD0000000000000000000000", "", 404, "There is no source"},
		{"ids of none", "POST", "/unrecognised/replay", `{"ids":[]}`, 422, `"location":"body.ids","message":"There are 0 ids."`},
		{"many ids", "POST", "/unrecognised/replay", `{"ids":[` + numbered(maxReplayedIDs+1, `"r%d"`) + `]}`, 422, `"location":"body.ids","message":"There are 1001 ids."`},
		{"an id that cannot be one", "POST", "/unrecognised/replay", `{"ids":["` + string(telltale.NewRequestID()) + `","../x"]}`, 422, `"location":"body.ids[1]","message":"This is no id of a request."`},
		{"an id that is not kept", "POST", "/unrecognised/replay", `{"ids":["` + string(telltale.NewRequestID()) + `"]}`, 404, "The source does not keep every request of body.ids"},
		{"a request that is not kept", "GET", "/unrecognised/" + string(telltale.NewRequestID()), "", 404, "There is no request"},
		{"a request that cannot be", "DELETE", "/unrecognised/x", "", 404, "There is no request"},
	} {
		t.Run(row.name, func(t *testing.T) {
			path := row.path
			if !strings.HasPrefix(path, "/v1/") {
				path = "/v1/sources/" + s.ID + path
			}
			got := w.do("acme manage", row.method, path, row.body)
			if got.Code != row.status || !strings.Contains(got.Body.String(), row.says) {
				t.Errorf("answered %d %s", got.Code, got.Body)
			}
			if strings.Contains(got.Body.String(), secret) || strings.Contains(got.Body.String(), mailgunKey) || strings.Contains(got.Body.String(), "77123456") {
				t.Errorf("a secret is in %s", got.Body)
			}
			if got.Body.Len() > 16<<10 {
				t.Errorf("the answer has %d bytes", got.Body.Len())
			}
		})
	}
	if now := read[wire.Source](w.do("acme manage", "GET", "/v1/sources/"+s.ID, "").want(200)); now.Version != 1 {
		t.Errorf("what was refused changed it: %+v", now)
	}
}

// numbered writes n things with their numbers, and commas between.
func numbered(n int, format string) string {
	things := make([]string, n)
	for i := range things {
		things[i] = fmt.Sprintf(format, i)
	}
	return strings.Join(things, ",")
}

func TestASourceIsChangedOnlyAsItWasSeen(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	path := "/v1/sources/" + w.source(`{"provider":"mailgun"}`).ID
	w.ask("acme manage", "PATCH", path, `{"name":"a"}`, `If-Match: "1"`).want(200)
	w.ask("acme manage", "PATCH", path, `{"name":"b"}`, `If-Match: "1"`).want(412)
	w.ask("acme manage", "PATCH", path, `{"name":"b"}`, "If-Match: 2").want(422)
	w.ask("acme manage", "DELETE", path, "", `If-Match: "1"`).want(412)
	w.ask("acme read", "GET", path, "", `If-None-Match: "2"`).want(304)
	w.ask("acme read", "GET", path, "", `If-None-Match: "1"`).want(200)

	// A change that someone else makes meanwhile stays.
	meanwhile := func() {
		id := telltale.SourceID(strings.TrimPrefix(path, "/v1/sources/"))
		s, err := w.store.Source(t.Context(), w.acme.ID, id)
		if err != nil {
			t.Error(err)
			return
		}
		changed := *s
		changed.Enabled = !s.Enabled
		if _, err := w.store.Store.UpdateSource(t.Context(), changed); err != nil {
			t.Error(err)
		}
	}
	w.store.conflicts, w.store.meanwhile = 1, meanwhile
	merged := read[wire.Source](w.do("acme manage", "PATCH", path, `{"name":"mine"}`).want(200))
	if merged.Name != "mine" || merged.Enabled || merged.Version != 4 {
		t.Errorf("merged: %+v", merged)
	}
	w.store.conflicts = 1
	w.ask("acme manage", "PATCH", path, `{"name":"too late"}`, `If-Match: "4"`).want(412)
	w.store.conflicts, w.store.meanwhile = maxMerges, nil
	w.do("acme manage", "PATCH", path, `{"name":"never"}`).want(409)
	w.ask("acme manage", "DELETE", path, "", `If-Match: "5"`).want(204)
}

// The URL of a source is kept from those who come later, like every secret.
func TestASourceIsMadeOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	const body, name = `{"provider":"postmark"}`, "Idempotency-Key: 1"
	first := read[wire.Source](w.ask("acme manage", "POST", "/v1/sources", body, name).want(201))
	again := read[wire.Source](w.ask("acme manage", "POST", "/v1/sources", body, name).want(201))
	if first.URL == "" || again.URL != "" || again.ID != first.ID || !strings.Contains(again.Note, "GET /v1/sources/"+first.ID) {
		t.Errorf("first %+v, again %+v", first, again)
	}
	for range telltale.MaxSources - 1 {
		w.source(`{"provider":"mailgun"}`)
	}
	if got := w.do("acme manage", "POST", "/v1/sources", `{"provider":"mailgun"}`).want(409); !strings.Contains(got.Body.String(), "200 sources") {
		t.Errorf("one too many is answered %s", got.Body)
	}
}

func TestASourceIsTested(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, row := range []struct {
		name, body string
		status     int
		says       string
	}{
		{"one that is ready", `{"provider":"mailgun","credentials":{"signing_key":"` + mailgunKey + `"}}`, 200, `{"success":true,"message":"Test succeeded. 1 event was accepted.","status":200,"requests":1,"accepted":1,`},
		{"one whose password Telltale made", `{"provider":"postmark"}`, 200, `"success":true`},
		{"one that is switched off", `{"provider":"postmark","enabled":false}`, 200, `{"success":false,"message":"Test failed. The source is switched off.","status":503,`},
		{"one that lacks a credential", `{"provider":"mailgun"}`, 409, "The source has no HTTP webhook signing key yet."},
		{"one whose provider alone can sign", `{"provider":"sendgrid","credentials":{"verification_key":"` + sendGridKey(t) + `"}}`, 409, "press Test Your Integration"},
	} {
		t.Run(row.name, func(t *testing.T) {
			s := w.source(row.body)
			got := w.do("acme manage", "POST", "/v1/sources/"+s.ID+"/test", "")
			if got.Code != row.status || !strings.Contains(got.Body.String(), row.says) {
				t.Errorf("answered %d %s", got.Code, got.Body)
			}
		})
	}
	for _, source := range strings.Fields(w.ids("acme read", "/v1/events")) {
		if e := read[wire.Event](w.do("acme read", "GET", "/v1/events/"+source, "").want(200)); e.Source != "mailgun" && e.Source != "postmark" {
			t.Errorf("an event is from %q", e.Source)
		}
	}
}

func TestHowASourceStands(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 11, 20, 9, 30, 0, 0, time.UTC)
	for _, row := range []struct {
		name   string
		tally  telltale.SourceTally
		health string
	}{
		{"nothing came", telltale.SourceTally{}, "waiting"},
		{"a request was taken", telltale.SourceTally{Requests: 1, LastRequestAt: at}, "receiving"},
		{"the first one was refused", telltale.SourceTally{Refused: 1, LastFailure: "The signature does not match.", LastFailureAt: at}, "failing"},
		{"one was taken after one that was refused", telltale.SourceTally{Requests: 1, Refused: 1, LastFailure: "x", LastFailureAt: at, LastRequestAt: at.Add(time.Second)}, "receiving"},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			s := w.source(`{"provider":"mailgun"}`)
			if err := w.store.NoteSources(t.Context(), map[telltale.SourceID]telltale.SourceTally{telltale.SourceID(s.ID): row.tally}); err != nil {
				t.Fatal(err)
			}
			got := read[wire.Source](w.do("acme read", "GET", "/v1/sources/"+s.ID, "").want(200))
			if got.Health != row.health || got.Version != 1 || got.Tally.Refused != row.tally.Refused || (got.Tally.LastFailure == nil) != row.tally.LastFailureAt.IsZero() {
				t.Errorf("it stands %+v", got)
			}
		})
	}
}

func TestWhatIsNotUnderstoodIsKeptAndTakenAgain(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s := w.source(`{"provider":"postmark","credentials":{"username":"u","password":"correct-horse-battery-staple"}}`)
	post := func(body string) {
		t.Helper()
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, s.URL[strings.Index(s.URL, "/feeds/"):], strings.NewReader(body))
		r.Header.Set("Content-Type", "application/json")
		r.SetBasicAuth("u", "correct-horse-battery-staple")
		if got := w.deliver(r); got.Code != 200 {
			t.Fatalf("answered %d %s", got.Code, got.Body)
		}
	}
	path := "/v1/sources/" + s.ID + "/unrecognised"
	post(`{"RecordType":"Teleported","é":1}`)
	post("\xff\xfe")
	post(`{"RecordType":"Beamed"}`)
	listed := w.do("acme read", "GET", path, "").want(200)
	page := read[wire.Page[wire.UnrecognisedRequest]](listed)
	if len(page.Data) != 3 || page.Data[0].Reason == "" || page.Data[0].Size != len(`{"RecordType":"Beamed"}`) || page.Data[0].ContentType != "application/json" || page.Data[0].ReceivedAt.IsZero() || strings.Contains(listed.Body.String(), `"body`) {
		t.Fatalf("kept: %s", listed.Body)
	}
	one := read[wire.Page[wire.UnrecognisedRequest]](w.do("acme read", "GET", path+"?limit=1", "").want(200))
	if two := read[wire.Page[wire.UnrecognisedRequest]](w.do("acme read", "GET", path+"?after="+*one.Next, "").want(200)); len(two.Data) != 2 {
		t.Errorf("after the first there are %+v", two)
	}
	other := w.source(`{"provider":"postmark"}`)
	w.do("acme read", "GET", "/v1/sources/"+other.ID+"/unrecognised?after="+*one.Next, "").want(422)
	w.do("acme read", "GET", "/v1/sources/"+other.ID+"/unrecognised/"+page.Data[0].ID, "").want(404)

	if got := read[wire.UnrecognisedRequest](w.do("acme read", "GET", path+"/"+page.Data[2].ID, "").want(200)); got.Body != `{"RecordType":"Teleported","é":1}` || got.BodyBase64 != nil {
		t.Errorf("text is given as %+v", got)
	}
	if got := w.do("acme read", "GET", path+"/"+page.Data[1].ID, "").want(200); !strings.Contains(got.Body.String(), `"body_base64":"//4="`) {
		t.Errorf("what is no text is given as %s", got.Body)
	}
	w.do("acme manage", "DELETE", path+"/"+page.Data[1].ID, "").want(204)
	w.do("acme manage", "DELETE", path+"/"+page.Data[1].ID, "").want(404)

	// A version that understands it would find it so.
	understood := telltale.UnrecognisedRequest{ID: telltale.NewRequestID(), SourceID: telltale.SourceID(s.ID), ProjectID: w.acme.ID, ReceivedAt: time.Now(), Reason: "r", ContentType: "application/json",
		Body: feed.ProviderNamed("postmark").Samples(time.Now())[0].Body}
	if err := w.store.KeepUnrecognised(t.Context(), []telltale.UnrecognisedRequest{understood}); err != nil {
		t.Fatal(err)
	}
	replay := func(body string) wire.UnrecognisedReplayed {
		return read[wire.UnrecognisedReplayed](w.do("acme manage", "POST", path+"/replay", body).want(200))
	}
	if got := replay(`{"ids":["` + page.Data[0].ID + `","` + page.Data[0].ID + `"]}`); got != (wire.UnrecognisedReplayed{Left: 1}) {
		t.Errorf("by its id: %+v", got)
	}
	if got := replay(""); got != (wire.UnrecognisedReplayed{Understood: 1, Accepted: 1, Left: 2}) {
		t.Errorf("all: %+v", got)
	}
	if got := w.ids("acme read", path); got != page.Data[0].ID+" "+page.Data[2].ID {
		t.Errorf("left: %s", got)
	}
	if n := len(strings.Fields(w.ids("acme read", "/v1/events"))); n != 1 {
		t.Errorf("there are %d events", n)
	}
}
