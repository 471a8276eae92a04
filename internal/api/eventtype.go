package api

import (
	"context"
	"net/http"
	"strconv"

	"telltale.example/telltale"
	"telltale.example/telltale/internal/auth"
	"telltale.example/telltale/internal/wire"
	"telltale.example/telltale/schema"
)

type EventTypePath struct {
	Type string `path:"type" doc:"The event type." example:"bounced"`
	ProjectQuery
}

func (a *api) listEventTypes(context.Context, auth.Identity, *struct{ ProjectQuery }) (wire.Page[wire.EventType], error) {
	page := wire.Page[wire.EventType]{}
	for _, t := range telltale.EveryEventType() {
		page.Data = append(page.Data, wire.FromEventType(t))
	}
	return page, nil
}

func (a *api) getEventType(_ context.Context, _ auth.Identity, in *EventTypePath) (wire.EventType, error) {
	t, err := eventType(in.Type)
	return wire.FromEventType(t), err
}

func eventType(name string) (telltale.EventType, error) {
	t, err := telltale.ParseEventType(name)
	if err != nil {
		return "", notFound("event type", name)
	}
	return t, nil
}

func (a *api) getSample(_ context.Context, _ auth.Identity, in *EventTypePath) (document, error) {
	t, err := eventType(in.Type)
	return document{"application/json", schema.Sample(string(t))}, err
}

func (a *api) getSchema(_ context.Context, _ auth.Identity, in *EventTypePath) (document, error) {
	t, err := eventType(in.Type)
	return document{typeSchema, schema.Schema(string(t))}, err
}

// Media types of documents (JSON Schema 2020-12, section 14; OpenAPI's of the
// registration that is under way).
const (
	typeSchema      = "application/schema+json"
	typeOpenAPIJSON = "application/openapi+json"
	typeOpenAPIYAML = "application/openapi+yaml"
)

// document is an answer that is sent as it is.
type document struct {
	contentType string
	text        []byte
}

// serve answers with a document that everyone may read.
func (d document) serve(w http.ResponseWriter, _ *http.Request) error {
	h := w.Header()
	h.Set("Content-Type", d.contentType)
	h.Set("Content-Length", strconv.Itoa(len(d.text)))
	h.Set("Cache-Control", "public, max-age=300")
	_, _ = w.Write(d.text) // the caller may be gone; net/http knows
	return nil
}
