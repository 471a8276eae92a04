package telltale

import (
	"fmt"
	"strings"
)

// EventType is one of the twelve things that Telltale reports, or an operational
// one. Its text is the key "type" of the payload.
type EventType string

const (
	Sent         EventType = "sent"         // handed to the mail provider
	Delivered    EventType = "delivered"    // the recipient's mail server took the message
	Opened       EventType = "opened"       // the recipient opened it
	Clicked      EventType = "clicked"      // the recipient clicked a link in it
	Failed       EventType = "failed"       // it could not be sent
	Bounced      EventType = "bounced"      // the recipient's mail server refused it for good
	Converted    EventType = "converted"    // the campaign's goal event happened
	Unsubscribed EventType = "unsubscribed" // the user opted out
	Resubscribed EventType = "resubscribed" // the user opted in again
	Complained   EventType = "complained"   // the recipient marked it as spam
	UserCreated  EventType = "user_created" // a profile was created
	UserUpdated  EventType = "user_updated" // a profile was changed
)

// Operational events are about Telltale's own work. A webhook gets those that it
// names; "*" does not name them.
const (
	WebhookFailing   EventType = "webhook.failing"   // a webhook has failed for a day, and again after four
	WebhookDisabled  EventType = "webhook.disabled"  // a webhook was disabled automatically
	WebhookRecovered EventType = "webhook.recovered" // a webhook that was warned of succeeded again
	DeliveryFailed   EventType = "delivery.failed"   // a delivery was given up
)

// eventTypes is in the order of the menu in the settings page. A type's place
// is its bit in an [EventTypeSet], so places never change.
var eventTypes = [...]struct {
	Type               EventType
	label, description string
}{
	{Sent, "Sent", "A message has been handed to the mail provider."},
	{Delivered, "Delivered", "The recipient's mail server has taken the message."},
	{Opened, "Opened", "The recipient has opened the message."},
	{Clicked, "Clicked", "The recipient has clicked a link in the message."},
	{Failed, "Failed", "A message could not be sent, because it was rejected, could not be rendered or the address is suppressed."},
	{Bounced, "Bounced (hard and soft)", "The recipient's mail server has refused the message for good."},
	{Converted, "Converted", "The goal event of the message's campaign has happened."},
	{Unsubscribed, "Unsubscribed", "A user has opted out of messages."},
	{Resubscribed, "Resubscribed", "A user has opted in to messages again."},
	{Complained, "Complained", "The recipient has marked the message as spam."},
	{UserCreated, "User created", "A user's profile has been created through the API or an import."},
	{UserUpdated, "User updated", "A user's profile has been changed through the API or an import."},
	{WebhookFailing, "Webhook failing", "A webhook of the project has failed for 24 hours, and again after 96."},
	{WebhookDisabled, "Webhook disabled", "A webhook of the project was turned off automatically."},
	{WebhookRecovered, "Webhook recovered", "A webhook that was warned of has succeeded again."},
	{DeliveryFailed, "Delivery failed", "A delivery has failed for good: its retry schedule is used up, or the receiver answered 410."},
}

// The first of eventTypes are those that are reported; the others are operational.
const reportedTypes = 12

const eventTypeCount = len(eventTypes)

// place is t's place in eventTypes, or -1. It is on the way of every event,
// hence a switch, which the compiler turns into a few comparisons.
func (t EventType) place() int {
	switch t {
	case Sent:
		return 0
	case Delivered:
		return 1
	case Opened:
		return 2
	case Clicked:
		return 3
	case Failed:
		return 4
	case Bounced:
		return 5
	case Converted:
		return 6
	case Unsubscribed:
		return 7
	case Resubscribed:
		return 8
	case Complained:
		return 9
	case UserCreated:
		return 10
	case UserUpdated:
		return 11
	case WebhookFailing:
		return 12
	case WebhookDisabled:
		return 13
	case WebhookRecovered:
		return 14
	case DeliveryFailed:
		return 15
	}
	return -1
}

// EventTypes gives the twelve types in the order of the settings page's menu.
func EventTypes() []EventType { return AllEventTypes.Types() }

// OperationalEventTypes gives the types of events about Telltale's own work.
func OperationalEventTypes() []EventType { return operationalTypes.Types() }

// EveryEventType gives the twelve types and then the operational ones.
func EveryEventType() []EventType { return everyType.Types() }

// Valid reports whether t is one of the twelve, which sources may report.
func (t EventType) Valid() bool { i := t.place(); return i >= 0 && i < reportedTypes }

// Operational reports whether t is about Telltale's own work.
func (t EventType) Operational() bool { return t.place() >= reportedTypes }

// Label is what people read for t, such as "Bounced (hard and soft)"; for what
// is no type it is t itself.
func (t EventType) Label() string {
	if i := t.place(); i >= 0 {
		return eventTypes[i].label
	}
	return string(t)
}

// Description says in one sentence when t happens; empty for what is no type.
func (t EventType) Description() string {
	if i := t.place(); i >= 0 {
		return eventTypes[i].description
	}
	return ""
}

// ParseEventType gives the type of that exact name, which is one of the twelve
// or operational, or an [Invalid] error that names them.
func ParseEventType(name string) (EventType, error) {
	if t := EventType(name); t.place() >= 0 {
		return t, nil
	}
	return "", Errorf(Invalid, "There is no event type %q; there are %s, %s.", CutValue(name), typeList, operationalList)
}

// notSentIn says why an activity cannot have t, which is none of the twelve.
func (t EventType) notSentIn() string {
	if t.Operational() {
		return "This is an operational event: Telltale makes it itself, and it cannot be sent in."
	}
	return "There is no such event type."
}

// typeList names the twelve for what a fault expects.
var typeList = strings.Join(names(EventTypes()), ", ")

var operationalList = strings.Join(names(OperationalEventTypes()), ", ")

func names(types []EventType) []string {
	s := make([]string, len(types))
	for i, t := range types {
		s[i] = string(t)
	}
	return s
}

// EventTypeSet is a set of event types: what a webhook wants. It is a bitmask,
// one bit per type by its place in [EventTypes], so that it is matched in a
// few instructions and can be stored as a number. The zero set is empty.
type EventTypeSet uint16

// AllEventTypes holds the twelve, and is written ["*"].
const AllEventTypes EventTypeSet = 1<<reportedTypes - 1

const (
	everyType        EventTypeSet = 1<<eventTypeCount - 1
	operationalTypes              = everyType &^ AllEventTypes
)

// NewEventTypeSet makes the set of the given types; what is no type is left out.
func NewEventTypeSet(types ...EventType) EventTypeSet {
	var s EventTypeSet
	for _, t := range types {
		if i := t.place(); i >= 0 {
			s |= 1 << i
		}
	}
	return s
}

// ParseEventTypeSet makes a set of type names, or of "*" for the twelve. A
// name that is no type gives a fault at its place below location, as in
// body.events[2].
func ParseEventTypeSet(list []string, location string) (EventTypeSet, []Fault) {
	var s EventTypeSet
	var faults []Fault
	for i, name := range list {
		t := EventType(name)
		switch {
		case name == "*":
			s |= AllEventTypes
		case t.place() >= 0:
			s |= NewEventTypeSet(t)
		case len(faults) < maxFaults:
			faults = append(faults, Fault{
				Location: fmt.Sprintf("%s[%d]", location, i), Message: "There is no such event type.",
				Expected: `"*", or one of ` + typeList + ", " + operationalList, Value: CutValue(name),
			})
		}
	}
	return s, faults
}

// Has reports whether t is in the set.
func (s EventTypeSet) Has(t EventType) bool {
	i := t.place()
	return i >= 0 && s&(1<<i) != 0
}

// Known is the set without what is no type.
func (s EventTypeSet) Known() EventTypeSet { return s & everyType }

// Empty reports whether there is no type in the set.
func (s EventTypeSet) Empty() bool { return s&everyType == 0 }

// Types lists the set in the order of [EventTypes].
func (s EventTypeSet) Types() []EventType {
	types := make([]EventType, 0, eventTypeCount)
	for i := range eventTypes {
		if s&(1<<i) != 0 {
			types = append(types, eventTypes[i].Type)
		}
	}
	return types
}

// Names is the set as the API writes it: the names in the order of
// [EventTypes], or "*" for the twelve, and then the operational ones.
func (s EventTypeSet) Names() []string {
	if s&AllEventTypes == AllEventTypes {
		return append([]string{"*"}, names((s & operationalTypes).Types())...)
	}
	return names(s.Types())
}

// String is for logs and test failures.
func (s EventTypeSet) String() string { return strings.Join(s.Names(), ",") }
