package feed

import (
	"errors"
	"strings"

	"telltale.example/telltale"
)

// Batch is what a request says, part by part: providers send one event in a
// request, or many.
type Batch struct {
	Parts []Part
	// Alone makes a request's body of a part, so that it can be taken again
	// without the others; nil if each part is one as it is.
	Alone func(raw string) []byte
	// ContentType is that of what Alone makes; empty for that of the request.
	ContentType string
	// Nonce is what the signature says may be used once; its name is empty if it
	// says no such thing.
	Nonce telltale.Nonce
	// Confirm is the address by which the subscription is to be confirmed, which
	// was checked; empty if there is nothing to confirm.
	Confirm string
}

// Part is what a request says of one thing.
type Part struct {
	Raw    string  // its text in the request
	Events []Event // none if it means nothing to us
	Err    error   // why it was not understood, as a sentence
}

// parse adds the parts that read makes of the elements, which are JSON objects.
func (b *Batch) parse(elements []string, read func(object) ([]Event, error)) {
	b.Parts = make([]Part, len(elements))
	for i, raw := range elements {
		p := &b.Parts[i]
		p.Raw = raw
		o, err := parseObject(raw)
		if err != nil {
			p.Err = err
			continue
		}
		p.Events, p.Err = read(o)
	}
}

// one makes the batch of a request that is one JSON object.
func one(body []byte, read func(object) ([]Event, error)) (*Batch, error) {
	o, err := parseObject(string(body))
	if err != nil {
		return nil, err
	}
	events, err := read(o)
	return &Batch{Parts: []Part{{Raw: string(body), Events: events, Err: err}}}, nil
}

// oneOrMany makes the batch of a request that is a JSON object, or an array of them.
func oneOrMany(body []byte, read func(object) ([]Event, error)) (*Batch, error) {
	if !strings.HasPrefix(strings.TrimLeft(string(body[:min(len(body), 64)]), " \t\r\n"), "[") {
		return one(body, read)
	}
	return many(body, read)
}

// many makes the batch of a request that is a JSON array of objects.
func many(body []byte, read func(object) ([]Event, error)) (*Batch, error) {
	elements, err := splitArray(body)
	if err != nil {
		return nil, err
	}
	b := &Batch{Alone: func(raw string) []byte { return []byte("[" + raw + "]") }}
	b.parse(elements, read)
	return b, nil
}

// notUnderstood makes the error for what a provider says and we do not know.
func notUnderstood(format string, args ...any) error {
	return telltale.Errorf(telltale.Invalid, format, args...)
}

// unknownEvent is notUnderstood for an event whose name is not in the mapping.
func unknownEvent(name string) error {
	if name == "" {
		return notUnderstood("The event has no name.")
	}
	return notUnderstood("There is no event %q in the provider's documents as we know them.", telltale.CutValue(name))
}

func faultsOf(err error) []telltale.Fault {
	var e *telltale.Error
	if errors.As(err, &e) {
		return e.Faults
	}
	return nil
}
