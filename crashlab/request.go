package main

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"strings"
	"time"
)

// request is one that a trial makes by hand, with whatever it says who it is.
type request struct {
	method, url string
	token       string // of the API; none if empty
	session     string // the cookie of the pages; none if empty
	kind        string // Content-Type
	body        string
	header      http.Header
}

// reply is what came of it.
type reply struct {
	status int
	header http.Header
	body   string
}

// byHand follows no redirect: where one leads is part of the answer.
var byHand = &http.Client{
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	Transport:     &http.Transport{MaxIdleConnsPerHost: 16, DisableCompression: true},
}

// send makes the request, and reads the whole answer.
func (q request) send() (reply, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	response, err := q.open(ctx)
	if err != nil {
		return reply{}, err
	}
	defer response.Body.Close()
	var body bytes.Buffer
	_, err = body.ReadFrom(response.Body)
	return reply{response.StatusCode, response.Header, body.String()}, err
}

// open makes the request, and leaves the answer's body to be read.
func (q request) open(ctx context.Context) (*http.Response, error) {
	var body io.Reader = http.NoBody
	if q.body != "" {
		body = strings.NewReader(q.body)
	}
	r, err := http.NewRequestWithContext(ctx, q.method, q.url, body)
	if err != nil {
		return nil, err
	}
	for name, values := range q.header {
		r.Header[name] = values
	}
	if q.token != "" {
		r.Header.Set("Authorization", "Bearer "+q.token)
	}
	if q.session != "" {
		r.AddCookie(&http.Cookie{Name: "telltale", Value: q.session}) //nolint:gosec // what a browser sends has no attributes
	}
	if q.kind != "" {
		r.Header.Set("Content-Type", q.kind)
	}
	return byHand.Do(r)
}

// get is the answer of a request that has to be answered.
func (r *Run) get(q request) reply {
	answer, err := q.send()
	if err != nil {
		r.Fatalf("%s %s: %v", q.method, q.url, err)
	}
	return answer
}

// cookie is the session that an answer sets.
func (a reply) cookie() string {
	for _, line := range a.header.Values("Set-Cookie") {
		if c, err := http.ParseSetCookie(line); err == nil && c.Name == "telltale" {
			return c.Value
		}
	}
	return ""
}

// since is how long ago something began, in milliseconds.
func since(began time.Time) float64 { return float64(time.Since(began).Microseconds()) / 1000 }
