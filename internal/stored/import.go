package stored

import (
	"errors"
	"strings"

	"telltale.example/telltale"
)

// Refusal says in one sentence why a change of a row was not applied.
func Refusal(err error) string {
	var e *telltale.Error
	if !errors.As(err, &e) {
		return err.Error()
	}
	if len(e.Faults) == 0 {
		return e.Message
	}
	text := e.Faults[0].Message
	if expected := e.Faults[0].Expected; expected != "" {
		text = strings.TrimSuffix(text, ".") + "; expected " + expected + "."
	}
	return text
}
