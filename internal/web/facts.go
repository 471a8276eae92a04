package web

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"sync"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"telltale.example/telltale"
	"telltale.example/telltale/schema"
)

// facts is what lists show of a payload.
type facts struct {
	Campaign, Subject, Channel string
}

// factsOf reads them. A payload was checked when it was accepted, and what is not
// there is not shown.
func factsOf(payload []byte) facts {
	var p struct {
		Campaign struct {
			Name    string `json:"name"`
			Title   string `json:"campaign_title"`
			Subject string `json:"subject"`
			Email   string `json:"email_subject"`
			Channel string `json:"channel"`
		} `json:"campaign"`
	}
	_ = json.Unmarshal(payload, &p)
	first := func(a, b string) string {
		if a != "" {
			return a
		}
		return b
	}
	return facts{Campaign: first(p.Campaign.Name, p.Campaign.Title), Subject: first(p.Campaign.Subject, p.Campaign.Email), Channel: p.Campaign.Channel}
}

// schemas compiles the schema of each type once.
type schemas struct {
	mu       sync.Mutex
	compiled map[telltale.EventType]*jsonschema.Schema
}

// faults says what the schema of the event's type has against its payload;
// nothing if it is valid.
func (s *schemas) faults(e *telltale.Event) []string {
	compiled, err := s.of(e.Type)
	if err != nil {
		return []string{err.Error()}
	}
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(e.Payload))
	if err != nil {
		return []string{"It is no JSON."}
	}
	err = compiled.Validate(value)
	var invalid *jsonschema.ValidationError
	if !errors.As(err, &invalid) {
		return nil
	}
	var faults []string
	for _, unit := range invalid.BasicOutput().Errors {
		if unit.Error != nil {
			faults = append(faults, fmt.Sprintf("%s: %s", unit.InstanceLocation, unit.Error))
		}
	}
	return faults
}

func (s *schemas) of(t telltale.EventType) (*jsonschema.Schema, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if known := s.compiled[t]; known != nil {
		return known, nil
	}
	text := schema.Schema(string(t))
	if text == nil {
		return nil, fmt.Errorf("there is no schema of %s", t)
	}
	document, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		return nil, err
	}
	compiler := jsonschema.NewCompiler()
	name := string(t) + ".json"
	if err := compiler.AddResource(name, document); err != nil {
		return nil, err
	}
	compiled, err := compiler.Compile(name)
	if err != nil {
		return nil, err
	}
	if s.compiled == nil {
		s.compiled = map[telltale.EventType]*jsonschema.Schema{}
	}
	s.compiled[t] = compiled
	return compiled, nil
}
