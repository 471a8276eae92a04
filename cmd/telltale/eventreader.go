package main

import (
	"errors"
	"fmt"
	"io"

	"github.com/go-json-experiment/json/jsontext"

	"telltale.example/telltale"
)

// Bounds of one POST /v1/events.
const (
	maxRequestEvents = 1000
	maxRequestBytes  = 5 << 20
)

// eventReader cuts a stream into events: one JSON object, an array of them, or
// any number one after another (NDJSON). It keeps each one byte for byte, and
// whether it is an event at all is the server's to say.
type eventReader struct {
	in    bounded
	dec   *jsontext.Decoder
	array bool
	count int
}

func newEventReader(r io.Reader) *eventReader {
	e := &eventReader{in: bounded{r: r}}
	// Keys that are there twice and broken UTF-8 go to the server, whose
	// answer names the event and the key.
	e.dec = jsontext.NewDecoder(&e.in, jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
	return e
}

// next gives the next event, and [io.EOF] after the last.
func (e *eventReader) next() (jsontext.Value, error) {
	e.in.left = maxLookAhead
	if e.count == 0 && !e.array && e.dec.PeekKind() == '[' {
		e.array = true
		if _, err := e.dec.ReadToken(); err != nil {
			return nil, e.fault(err)
		}
	}
	if e.array && e.dec.PeekKind() == ']' {
		if _, err := e.dec.ReadToken(); err != nil {
			return nil, e.fault(err)
		}
		if _, err := e.dec.ReadToken(); !errors.Is(err, io.EOF) {
			return nil, usage("there is more data after the array of events; expected one array, or events without brackets and commas")
		}
		return nil, io.EOF
	}
	v, err := e.dec.ReadValue()
	if errors.Is(err, io.EOF) && !e.array {
		return nil, io.EOF
	}
	if err != nil {
		return nil, e.fault(err)
	}
	e.count++
	if len(v) > telltale.MaxEventBytes {
		return nil, usage("event %d has %d bytes; expected at most %d", e.count, len(v), telltale.MaxEventBytes)
	}
	return v.Clone(), nil
}

func (e *eventReader) fault(err error) error {
	var syntax *jsontext.SyntacticError
	switch {
	case errors.Is(err, errTooLong):
		return usage("event %d has more than %d bytes; expected at most %d", e.count+1, maxLookAhead, telltale.MaxEventBytes)
	case errors.As(err, &syntax):
		return usage("event %d cannot be read: %v at byte %d of the input; expected JSON", e.count+1, syntax.Err, syntax.ByteOffset)
	}
	return fmt.Errorf("reading event %d: %w", e.count+1, err)
}

// maxLookAhead bounds what is read for one event, in bytes: room for the
// largest one, the space around it, and what the decoder reads ahead.
const maxLookAhead = 1 << 20

// bounded reads from r until its allowance is used up.
type bounded struct {
	r    io.Reader
	left int
}

var errTooLong = errors.New("the event is too long")

func (b *bounded) Read(p []byte) (int, error) {
	if b.left <= 0 {
		return 0, errTooLong
	}
	n, err := b.r.Read(p[:min(len(p), b.left)])
	b.left -= n
	return n, err
}
