package client

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
)

// FuzzAnswer looks for answers that are neither a value nor an error of ours.
func FuzzAnswer(f *testing.F) {
	f.Add(200, "application/json", `{"id":"whk_1","timeout":"5s","headers":{"a":{"value":"x","secret":true}}}`)
	f.Add(422, "application/problem+json", `{"title":"x","errors":[{"location":"body"}]}`)
	f.Add(200, "text/html", `<html>`)
	f.Add(307, "", "")
	f.Fuzz(func(t *testing.T, status int, contentType, body string) {
		if status < 200 || status > 599 {
			return
		}
		c := New(Options{Server: "http://server.example"})
		c.http.Transport = roundTripper(func(r *http.Request) (*http.Response, error) {
			return &http.Response{StatusCode: status, Header: http.Header{"Content-Type": {contentType}}, Body: io.NopCloser(strings.NewReader(body)), Request: r}, nil
		})
		_, err := c.Webhook(t.Context(), "x")
		var answer *Error
		if err != nil && !errors.As(err, &answer) && !errors.Is(err, ErrUnreachable) {
			t.Errorf("%d %q %q: %v", status, contentType, body, err)
		}
		if err == nil && status > 299 {
			t.Errorf("%d was taken for success", status)
		}
	})
}
