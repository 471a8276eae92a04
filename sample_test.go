package telltale

import (
	"bytes"
	"testing"

	"telltale.example/telltale/schema"
)

func TestSampleEventsAreTheDocumentedSamples(t *testing.T) {
	t.Parallel()
	for _, of := range EventTypes() {
		e, err := SampleEvent("prj_1", of)
		if err != nil {
			t.Errorf("%s: %v", of, err)
			continue
		}
		if !bytes.Equal(e.Payload, bytes.TrimSpace(schema.Sample(string(of)))) {
			t.Errorf("%s: the payload is %s", of, e.Payload)
		}
		if !e.Test || e.Type != of || e.ProjectID != "prj_1" || e.Email != "steve@getvero.com" || e.UserID != "123" {
			t.Errorf("%s: %+v", of, e)
		}
	}
	if _, err := SampleEvent("prj_1", "lost"); CodeOf(err) != Invalid {
		t.Errorf("no type gives %v", err)
	}
}

func TestOperationalEventsHaveSamplesToo(t *testing.T) {
	t.Parallel()
	for _, of := range OperationalEventTypes() {
		e, err := SampleEvent("prj_1", of)
		if err != nil || !e.Test || e.Type != of || e.OccurredAt.Unix() != 1795176000 || !bytes.Equal(e.Payload, schema.Sample(string(of))) {
			t.Errorf("%s: %+v, %s (%v)", of, e, e.Payload, err)
		}
	}
}
