package main

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
)

func TestMessageRead(t *testing.T) {
	for _, test := range []struct {
		name, text                    string
		first, id, timestamp, sig, is string
		close                         bool
	}{
		{
			name:  "a request with its signature",
			text:  "POST /a HTTP/1.1\r\nHost: x\r\nWebhook-Id: evt_1\r\nwebhook-timestamp: 12\r\nWEBHOOK-SIGNATURE: v1,x\r\nContent-Length: 2\r\n\r\n{}",
			first: "POST /a HTTP/1.1", id: "evt_1", timestamp: "12", sig: "v1,x", is: "{}",
		},
		{
			name:  "an answer in chunks",
			text:  "HTTP/1.1 202 Accepted\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\nTrailer: x\r\n\r\n",
			first: "HTTP/1.1 202 Accepted", is: "abcde",
		},
		{
			name:  "an answer that ends the connection",
			text:  "HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 0\r\n\r\n",
			first: "HTTP/1.1 400 Bad Request", close: true,
		},
		{
			name:  "no body at all",
			text:  "GET / HTTP/1.1\r\nHost: x\r\n\r\n",
			first: "GET / HTTP/1.1",
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			// Twice, since nothing of the message before may stay.
			r := bufio.NewReader(strings.NewReader("POST /b HTTP/1.1\r\nWebhook-Id: old\r\nConnection: close\r\nContent-Length: 3\r\n\r\nold" + test.text))
			var m message
			for range 2 {
				if err := m.read(r); err != nil {
					t.Fatal(err)
				}
			}
			got := []string{string(m.first), string(m.id), string(m.timestamp), string(m.signature), string(m.body)}
			for i, want := range []string{test.first, test.id, test.timestamp, test.sig, test.is} {
				if got[i] != want {
					t.Errorf("%q; want %q", got[i], want)
				}
			}
			if m.close != test.close {
				t.Errorf("close %v; want %v", m.close, test.close)
			}
			if err := m.read(r); !errors.Is(err, io.EOF) {
				t.Errorf("behind the last message: %v; want EOF", err)
			}
		})
	}
}

func TestMessageReadRefuses(t *testing.T) {
	for _, test := range []struct{ name, text string }{
		{"a connection that ends in the first line", "POST /"},
		{"a connection that ends in the head", "POST / HTTP/1.1\r\nHost: x\r\n"},
		{"a connection that ends in the body", "POST / HTTP/1.1\r\nContent-Length: 5\r\n\r\nabc"},
		{"a connection that ends in a chunk", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabc"},
		{"a line without a colon", "POST / HTTP/1.1\r\nHost\r\n\r\n"},
		{"a length that is none", "POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n"},
		{"a body beyond the bound", "POST / HTTP/1.1\r\nContent-Length: 99999999999\r\n\r\n"},
		{"a line beyond the bound", "POST / HTTP/1.1\r\nX: " + strings.Repeat("x", bufferSize) + "\r\n\r\n"},
	} {
		t.Run(test.name, func(t *testing.T) {
			var m message
			err := m.read(bufio.NewReaderSize(strings.NewReader(test.text), bufferSize))
			if err == nil || errors.Is(err, io.EOF) {
				t.Errorf("%v; want an error that is not the end", err)
			}
		})
	}
}

func TestMessageStatusAndPath(t *testing.T) {
	m := message{first: []byte("HTTP/1.1 503 Service Unavailable")}
	if status, err := m.status(); status != 503 || err != nil {
		t.Errorf("%d, %v; want 503", status, err)
	}
	m = message{first: []byte("POST /a/b?c=d HTTP/1.1")}
	if got := string(m.path()); got != "/a/b?c=d" {
		t.Errorf("%q; want /a/b?c=d", got)
	}
	if _, err := m.status(); err == nil {
		t.Error("a request has a status")
	}
}

func FuzzMessage(f *testing.F) {
	f.Add([]byte("POST /a HTTP/1.1\r\nWebhook-Id: evt_1\r\nContent-Length: 2\r\n\r\n{}"))
	f.Add([]byte("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		var m message
		r := bufio.NewReaderSize(bytes.NewReader(text), bufferSize)
		for m.read(r) == nil {
			if len(m.body) > len(text) {
				t.Fatalf("a body of %d bytes in %d", len(m.body), len(text))
			}
			m.path() // must not panic, nor must status
			m.status()
		}
	})
}
