// Package schema publishes the contract of payloads for receivers: one JSON
// Schema (2020-12) and one golden sample per event type.
//
// A schema lists the documented keys in the order in which they are sent, which
// of them are always there, and what values they can have. Keys beyond them
// may follow, since Telltale passes on whatever a sender adds. A sample is the
// exact bytes that a test of a webhook sends: compact, in the documented order.
// Operational events, such as "webhook.failing", have both as well.
//
// Event types are plain strings here, so that the package stands alone.
package schema

import (
	"bytes"
	"embed"
	"strings"
)

//go:embed *.json
var files embed.FS

// Sample gives the golden sample of an event type such as "sent", or nil if
// there is no such type. The caller owns the bytes.
func Sample(name string) []byte { return read(name, ".json") }

// Schema gives the JSON Schema of an event type such as "sent", or nil if there
// is no such type. The caller owns the bytes.
func Schema(name string) []byte { return read(name, ".schema.json") }

func read(name, extension string) []byte {
	if strings.HasSuffix(name, ".schema") {
		return nil // a sample's name is no schema's
	}
	b, err := files.ReadFile(name + extension)
	if err != nil {
		return nil
	}
	return bytes.TrimSuffix(b, []byte("\n"))
}
