package api

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"telltale.example/telltale"
	"telltale.example/telltale/internal/httpserver"
)

// A POST may carry an Idempotency-Key, under which its answer is kept, so that
// repeating it does nothing twice (draft-ietf-httpapi-idempotency-key-header-07).
// Only answers of success are kept: whatever failed did nothing, and may be tried
// again. Events are named by their request instead; see [ingest.Request].

const (
	idempotencyKey      = "Idempotency-Key"
	idempotencyReplayed = "Idempotency-Replayed"
	maxIdempotencyKey   = 255
	// maxKept bounds an answer that is kept: a test of the largest payload.
	maxKept = 1 << 20
	// maxUnderWay bounds the request: after [telltale.IdempotencyInFlight] its name
	// is free, and a repetition would be carried out beside it.
	maxUnderWay = telltale.IdempotencyInFlight - 30*time.Second
)

// secretive is an answer with something that is not to be kept.
type secretive interface{ WithoutSecrets() any }

// nameOf gives the name that the caller gave to the request, or "". It is a
// string of structured fields in the draft; most callers leave out its quotes.
func nameOf(r *http.Request) (string, error) {
	values := r.Header.Values(idempotencyKey)
	if len(values) == 0 {
		return "", nil
	}
	name := values[0]
	if len(name) >= 2 && name[0] == '"' && name[len(name)-1] == '"' {
		name = name[1 : len(name)-1]
	}
	if len(values) > 1 || name == "" || len(name) > maxIdempotencyKey || strings.ContainsFunc(name, func(r rune) bool { return r < ' ' || r > '~' }) {
		return "", telltale.Faulty("Invalid header.", []telltale.Fault{{
			Location: "header." + idempotencyKey, Message: "This is no name of a request.", Expected: fmt.Sprintf("1 to %d printable characters, once", maxIdempotencyKey), Value: telltale.CutValue(name),
		}})
	}
	return name, nil
}

// hashOf is of all that the request asks for.
func hashOf(r *http.Request, body []byte) (sum [sha256.Size]byte) {
	h := sha256.New()
	for _, part := range [][]byte{[]byte(r.Method), []byte(r.URL.EscapedPath()), []byte(r.URL.RawQuery), body} {
		h.Write(binary.BigEndian.AppendUint64(nil, uint64(len(part))))
		h.Write(part)
	}
	h.Sum(sum[:0])
	return sum
}

// once has the call handled, unless it was before: then it is answered as it was.
func (a *api) once(c *call, w http.ResponseWriter, next func(huma.Context)) error {
	name, err := nameOf(c.request)
	if err != nil {
		return err
	}
	if name == "" || c.request.Method != http.MethodPost {
		next(c)
		if err := c.outcome(); err != nil {
			return err
		}
		return c.send(w)
	}
	ctx := context.WithoutCancel(c.request.Context()) // what was begun is ended, whether or not the caller waits
	r := telltale.IdempotentRequest{ProjectID: c.identity.Project.ID, KeyID: c.identity.Key.ID, Name: name, Hash: hashOf(c.request, c.body)}
	before, err := a.config.Store.BeginIdempotent(c.request.Context(), r)
	switch {
	case err != nil:
		return err
	case before != nil:
		return c.repeat(w, before)
	}
	bounded, cancel := context.WithTimeout(c.request.Context(), maxUnderWay)
	defer cancel()
	c.request = c.request.WithContext(bounded)
	var kept *telltale.IdempotentAnswer // nil gives the name free again, after a panic too
	defer func() {
		if err := a.config.Store.EndIdempotent(ctx, r, kept); err != nil {
			a.config.Log.WarnContext(ctx, "an answer was not kept: its request, repeated, is carried out again", "request_id", httpserver.RequestID(ctx), "error", err)
		}
	}()
	next(c)
	if err := c.outcome(); err != nil {
		return err
	}
	kept, err = c.keep()
	if err != nil {
		return err
	}
	return c.send(w)
}

// keep gives the answer as it is kept.
func (c *call) keep() (*telltale.IdempotentAnswer, error) {
	body := c.answer.Bytes()
	if out, ok := c.out.(secretive); ok {
		var b bytes.Buffer
		if err := huma.DefaultJSONFormat.Marshal(&b, out.WithoutSecrets()); err != nil {
			return nil, err
		}
		body = b.Bytes()
	}
	if len(body) > maxKept {
		return nil, nil //nolint:nilnil // it is not kept
	}
	answer := &telltale.IdempotentAnswer{Status: c.status, Body: body}
	for _, name := range []string{"Content-Type", "ETag", "Location"} {
		if value := c.header.Get(name); value != "" {
			answer.Headers = append(answer.Headers, telltale.Header{Name: name, Value: value})
		}
	}
	return answer, nil
}

// repeat answers as before.
func (c *call) repeat(w http.ResponseWriter, before *telltale.IdempotentAnswer) error {
	for _, h := range before.Headers {
		c.header.Set(h.Name, h.Value)
	}
	c.header.Set(idempotencyReplayed, strconv.FormatBool(true))
	c.status = before.Status
	c.answer.Write(before.Body)
	return c.send(w)
}

// describeRepeats documents the header of a POST.
func describeRepeats(op *huma.Operation) {
	longest := maxIdempotencyKey
	op.Parameters = append(op.Parameters, &huma.Param{
		Name: idempotencyKey, In: "header",
		Description: "A name for this request that was not used before, such as a UUID. Sent again with it, the request does nothing twice and is answered as before, with `" + idempotencyReplayed + ": true`, for 24 hours.",
		Schema:      &huma.Schema{Type: huma.TypeString, MaxLength: &longest, Examples: []any{"8e03978e-40d5-43e8-bc93-6894a57f9324"}},
	})
}
