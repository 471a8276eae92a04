package feed

import (
	"encoding/base64"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"telltale.example/telltale"
)

func TestAnUnsignedRequestIsVerifiedByItsPassword(t *testing.T) {
	const password = "rk5z7yfolvyf6knr"
	basic := func(text string) string { return "Basic " + base64.StdEncoding.EncodeToString([]byte(text)) }
	for _, c := range []struct{ name, authorization, said string }{
		{"user name and password", basic("telltale:" + password), ""},
		{"the scheme in lower case", strings.Replace(basic("telltale:"+password), "Basic", "basic", 1), ""},
		{"the password as a bearer token", "Bearer " + password, ""},
		{"the bearer's scheme in lower case", "bearer " + password, ""},
		{"another password", basic("telltale:another-password"), "paste its URL anew"},
		{"another user name", basic("somebody:" + password), "paste its URL anew"},
		{"a password that begins like it", basic("telltale:" + password[:8]), "paste its URL anew"},
		{"a password that goes on", basic("telltale:" + password + "x"), "paste its URL anew"},
		{"no password", basic("telltale:"), "paste its URL anew"},
		{"nothing", "", "whole URL, with user name and password"},
		{"basic that is not base64", "Basic %%%", "not the source's"},
		{"basic without a colon", basic("telltale"), "not the source's"},
		{"another bearer token", "Bearer another-password", "not the source's"},
		{"an empty bearer token", "Bearer ", "not the source's"},
		{"another scheme", "Digest " + password, "not the source's"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := telltale.NewSource("prj_x", "postmark", "Test")
			s.Credentials = map[string]string{credentialUsername: "telltale", credentialPassword: password}
			r := &Request{Header: http.Header{}}
			if c.authorization != "" {
				r.Header.Set("Authorization", c.authorization)
			}
			err := verifyBasic(r, &s)
			switch {
			case c.said == "" && err != nil:
				t.Errorf("it was refused: %v", err)
			case c.said != "":
				refuses(t, err, telltale.Unauthenticated, c.said)
			}
		})
	}
}

func TestASourceWithoutPasswordTakesNothing(t *testing.T) {
	s := telltale.NewSource("prj_x", "postmark", "Test")
	for _, authorization := range []string{"", "Bearer ", "Basic Og=="} { // the last is an empty name and password
		refuses(t, verifyBasic(&Request{Header: http.Header{"Authorization": {authorization}}}, &s), telltale.Unauthenticated, "no password yet")
	}
}

func TestTheAddressOfAnUnsignedSourceHoldsItsCredentials(t *testing.T) {
	for _, p := range Providers() {
		if !p.hasCredential(credentialPassword) {
			continue
		}
		s := telltale.NewSource("prj_x", p.Name, "Test")
		p.Complete(&s)
		if err := Validate(&s); err != nil {
			t.Fatal(err)
		}
		u, err := url.Parse(p.Address("https://telltale.example.com/", &s))
		if err != nil {
			t.Fatal(err)
		}
		r := &http.Request{Header: http.Header{}}
		password, _ := u.User.Password()
		r.SetBasicAuth(u.User.Username(), password)
		if err := verifyBasic(&Request{Header: r.Header}, &s); err != nil {
			t.Errorf("%s: who follows the address is refused: %v", p.Name, err)
		}
		if u.Host != "telltale.example.com" || u.Path != Prefix+string(s.Token) {
			t.Errorf("%s: the address is %s", p.Name, u)
		}
	}
}

// The keys of events are remembered, so they stay what they are.
func TestKeysOfEventsWithoutIDTellThemApart(t *testing.T) {
	const first = "a6c523a812c9ad787ea945203aa3a3fe" // the head of SHA-256 over "1:1,1:a,1:b,"
	if got := idKey("1", "a", "b"); got != first {
		t.Errorf("the key is %s, want %s", got, first)
	}
	for _, other := range [][]string{{"1", "a", "c"}, {"1", "b", "a"}, {"1", "ab", ""}, {"1", "", "ab"}, {"1", "ab"}, {"1a", "b"}, {"1", "1:a,", "b"}} {
		if idKey(other[0], other[1:]...) == first {
			t.Errorf("%q has the same key", other)
		}
	}
	if got := idKey("", "a", "b"); got != "" {
		t.Errorf("without id the key is %s", got)
	}
}
