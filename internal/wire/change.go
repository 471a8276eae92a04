package wire

import (
	"bytes"
	"encoding/json"
)

// Change is a member of a JSON Merge Patch (RFC 7396): absent, null, or a value.
// Its field has the tag omitzero, so that the zero Change is not written.
type Change[T any] struct {
	Set   bool // the member is there
	Null  bool // and is null: back to the default
	Value T
}

// To is a change to the value.
func To[T any](value T) Change[T] { return Change[T]{Set: true, Value: value} }

// Reset is a change back to the default.
func Reset[T any]() Change[T] { return Change[T]{Set: true, Null: true} }

// IsZero reports whether the member is absent.
func (c Change[T]) IsZero() bool { return !c.Set }

// Or is what is meant where the present value is old and the default is def.
func (c Change[T]) Or(old, def T) T {
	switch {
	case !c.Set:
		return old
	case c.Null:
		return def
	}
	return c.Value
}

// MarshalJSON writes null or the value.
func (c Change[T]) MarshalJSON() ([]byte, error) {
	if c.Null || !c.Set {
		return []byte("null"), nil
	}
	return json.Marshal(c.Value)
}

// UnmarshalJSON reads null or a value.
func (c *Change[T]) UnmarshalJSON(data []byte) error {
	*c = Change[T]{Set: true}
	if string(bytes.TrimSpace(data)) == "null" {
		c.Null = true
		return nil
	}
	return json.Unmarshal(data, &c.Value)
}
