package telltale

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestEventTypes(t *testing.T) {
	t.Parallel()
	// The menu of the original, in its order and wording.
	menu := []struct {
		Type  EventType
		Label string
	}{
		{"sent", "Sent"}, {"delivered", "Delivered"}, {"opened", "Opened"}, {"clicked", "Clicked"},
		{"failed", "Failed"}, {"bounced", "Bounced (hard and soft)"}, {"converted", "Converted"},
		{"unsubscribed", "Unsubscribed"}, {"resubscribed", "Resubscribed"}, {"complained", "Complained"},
		{"user_created", "User created"}, {"user_updated", "User updated"},
	}
	types := EventTypes()
	if len(types) != len(menu) {
		t.Fatalf("there are %d event types, want %d", len(types), len(menu))
	}
	for i, want := range menu {
		got := types[i]
		if got != want.Type || got.Label() != want.Label {
			t.Errorf("type %d is %q, %q; want %q, %q", i, got, got.Label(), want.Type, want.Label)
		}
		if got.place() != i {
			t.Errorf("%s has place %d, want %d", got, got.place(), i)
		}
		if d := got.Description(); !strings.HasSuffix(d, ".") || strings.Count(d, ". ") != 0 {
			t.Errorf("the description of %s is no sentence: %q", got, d)
		}
		if parsed, err := ParseEventType(string(want.Type)); err != nil || parsed != want.Type {
			t.Errorf("ParseEventType(%q) = %q, %v", want.Type, parsed, err)
		}
	}
}

func TestOperationalEventTypes(t *testing.T) {
	t.Parallel()
	for _, of := range OperationalEventTypes() {
		if of.Valid() || !of.Operational() || AllEventTypes.Has(of) {
			t.Errorf("%s passes for one of the twelve", of)
		}
		if d := of.Description(); of.Label() == string(of) || !strings.HasSuffix(d, ".") {
			t.Errorf("%s has the label %q and the description %q", of, of.Label(), d)
		}
		if parsed, err := ParseEventType(string(of)); err != nil || parsed != of {
			t.Errorf("ParseEventType(%q) = %q, %v", of, parsed, err)
		}
		if _, err := ParseActivity([]byte(`{"type":"`+string(of)+`","user":{"id":1}}`), "body"); err == nil || !strings.Contains(err.Error(), "body.type: This is an operational event: Telltale makes it itself, and it cannot be sent in.") {
			t.Errorf("%s is taken from outside: %v", of, err)
		}
	}
	if got, want := len(EveryEventType()), 16; got != want {
		t.Errorf("there are %d types in all, want %d", got, want)
	}
}

func TestWhatIsNoEventType(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"", "*", "Sent", "SENT", "sent ", "bounce", "webhook.failed"} {
		if _, err := ParseEventType(name); CodeOf(err) != Invalid || !strings.Contains(err.Error(), "user_updated") {
			t.Errorf("ParseEventType(%q) gives %v, want an Invalid error that lists the types", name, err)
		}
		if none := EventType(name); none.Valid() || none.Label() != name || none.Description() != "" {
			t.Errorf("%q passes for an event type", name)
		}
	}
}

func TestEventTypeSet(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name   string
		list   []string
		types  []EventType
		names  []string
		faults []string
	}{
		{name: "a star means the twelve", list: []string{"*"}, types: EventTypes(), names: []string{"*"}},
		{name: "the twelve by name are a star", list: names(EventTypes()), types: EventTypes(), names: []string{"*"}},
		{name: "a star with others is a star", list: []string{"sent", "*"}, types: EventTypes(), names: []string{"*"}},
		{name: "names come back in the order of the menu", list: []string{"user_updated", "bounced", "sent"},
			types: []EventType{Sent, Bounced, UserUpdated}, names: []string{"sent", "bounced", "user_updated"}},
		{name: "a name twice counts once", list: []string{"sent", "sent"}, types: []EventType{Sent}, names: []string{"sent"}},
		{name: "no name is the empty set", types: []EventType{}, names: []string{}},
		{name: "each unknown name is a fault in its place", list: []string{"Sent", "sent", "bounce"},
			types: []EventType{Sent}, names: []string{"sent"}, faults: []string{"body.events[0]", "body.events[2]"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s, faults := ParseEventTypeSet(test.list, "body.events")
			var at []string
			for _, f := range faults {
				at = append(at, f.Location)
				if f.Message == "" || !strings.Contains(f.Expected, "complained") || f.Value == "" {
					t.Errorf("the fault says too little: %+v", f)
				}
			}
			if d := cmp.Diff(test.faults, at); d != "" {
				t.Error("faults (-want +got)\n" + d)
			}
			if d := cmp.Diff(test.types, s.Types()); d != "" {
				t.Error("types (-want +got)\n" + d)
			}
			if d := cmp.Diff(test.names, s.Names()); d != "" {
				t.Error("names (-want +got)\n" + d)
			}
			if s.Empty() != (len(test.types) == 0) {
				t.Errorf("Empty() = %v for %v", s.Empty(), s)
			}
			for _, et := range EventTypes() {
				if want := strings.Contains(","+strings.Join(names(test.types), ",")+",", ","+string(et)+","); s.Has(et) != want {
					t.Errorf("Has(%s) = %v, want %v", et, s.Has(et), want)
				}
			}
			if s.Has("nothing") {
				t.Error("the set has what is no type")
			}
		})
	}
	if got := NewEventTypeSet(Sent, "nothing", Opened).String(); got != "sent,opened" {
		t.Errorf("a set of sent, opened and no type reads %q", got)
	}
}
