package api

import (
	"reflect"

	"github.com/danielgtaylor/huma/v2"

	"telltale.example/telltale/internal/wire"
)

const (
	schemaPrefix = "#/components/schemas/"
	typeNull     = "null"
	// formatGoDuration marks waits; JSON Schema's "duration" is another notation.
	formatGoDuration = "go-duration"
	formatPassword   = "password"
)

// newRegistry makes a registry that knows the forms in which JSON and the structs
// of package wire differ.
func newRegistry() huma.Registry {
	r := huma.NewMapRegistry(schemaPrefix, huma.DefaultSchemaNamer)
	alias[wire.Change[string], *string](r)
	alias[wire.Change[bool], *bool](r)
	alias[wire.Change[int], *int](r)
	alias[wire.Change[float64], *float64](r)
	alias[wire.Change[[]string], []string](r)
	alias[wire.Change[[]wire.Duration], []wire.Duration](r)
	alias[wire.Change[wire.Duration], nullableDuration](r)
	alias[wire.Change[wire.BasicAuthPatch], nullableBasicAuth](r)
	alias[wire.Change[wire.HeaderChanges], headerChanges](r)
	alias[wire.Change[map[string]*string], credentialChanges](r)
	alias[wire.Duration, duration](r)
	alias[wire.CustomHeaders, customHeaders](r)
	alias[wire.Headers, headers](r)
	return r
}

func alias[From, To any](r huma.Registry) {
	r.RegisterTypeAlias(reflect.TypeFor[From](), reflect.TypeFor[To]())
}

type (
	duration          struct{}
	nullableDuration  struct{}
	nullableBasicAuth struct{}
	headerChanges     struct{}
	credentialChanges struct{}
	customHeaders     struct{}
	headers           struct{}
)

func (duration) Schema(huma.Registry) *huma.Schema {
	return &huma.Schema{Type: huma.TypeString, Format: formatGoDuration, Description: `A Go duration, such as "5s" or "1h30m".`}
}

func (nullableDuration) Schema(r huma.Registry) *huma.Schema {
	s := duration{}.Schema(r)
	s.Nullable = true
	return s
}

func (nullableBasicAuth) Schema(r huma.Registry) *huma.Schema {
	return &huma.Schema{Title: "an object or null", AnyOf: []*huma.Schema{
		r.Schema(reflect.TypeFor[wire.BasicAuthPatch](), true, ""), {Type: typeNull},
	}}
}

func (headerChanges) Schema(huma.Registry) *huma.Schema {
	value := &huma.Schema{Type: huma.TypeString, Nullable: true, Format: formatPassword}
	return &huma.Schema{
		Type: huma.TypeObject, Nullable: true,
		AdditionalProperties: &huma.Schema{
			Title: "a string, null, or an object of value and secret", Format: formatPassword,
			AnyOf: []*huma.Schema{
				{Type: huma.TypeString, Format: formatPassword},
				{Type: huma.TypeObject, AdditionalProperties: false, Properties: map[string]*huma.Schema{
					"value": value, "secret": {Type: huma.TypeBoolean, Nullable: true},
				}},
				{Type: typeNull},
			},
		},
		Examples: []any{map[string]any{"X-Team": "crm", "X-Api-Key": map[string]any{"value": "k-123", "secret": true}}},
	}
}

func (credentialChanges) Schema(huma.Registry) *huma.Schema {
	return &huma.Schema{
		Type: huma.TypeObject, Nullable: true,
		AdditionalProperties: &huma.Schema{Title: "a string, or null", Type: huma.TypeString, Nullable: true, Format: formatPassword},
		Examples:             []any{map[string]any{"verification_key": "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE…"}},
	}
}

func (customHeaders) Schema(huma.Registry) *huma.Schema {
	return &huma.Schema{
		Type: huma.TypeObject,
		AdditionalProperties: &huma.Schema{AnyOf: []*huma.Schema{
			{Type: huma.TypeString},
			{Type: huma.TypeObject, AdditionalProperties: false, Required: []string{"value", "secret"}, Properties: map[string]*huma.Schema{
				"value": {Type: huma.TypeString}, "secret": {Type: huma.TypeBoolean},
			}},
		}},
		Examples: []any{map[string]any{"X-Team": "crm", "X-Api-Key": map[string]any{"value": "[redacted]", "secret": true}}},
	}
}

func (headers) Schema(huma.Registry) *huma.Schema {
	return &huma.Schema{
		Type: huma.TypeObject,
		AdditionalProperties: &huma.Schema{AnyOf: []*huma.Schema{
			{Type: huma.TypeString},
			{Type: huma.TypeArray, Items: &huma.Schema{Type: huma.TypeString}, Description: "A header that is there several times."},
		}},
		Examples: []any{map[string]any{"Content-Type": "application/json"}},
	}
}
