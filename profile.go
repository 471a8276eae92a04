package telltale

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"time"
)

// Profile is what is stored of a user of a project: of one who was identified,
// or of whom nothing is known but that they opted out.
type Profile struct {
	ID        ProfileID
	ProjectID ProjectID

	// UserID is the user's own id in canonical form, in which the number 123 and
	// the string "123" are one user. It is unique within the project. GivenID is
	// the same as JSON, of the kind in which it was received last.
	UserID  string
	GivenID string
	// FormerIDs are the ids, in canonical form, that the user had before, the
	// latest first, at most [MaxFormerIDs]: their events stand under these.
	FormerIDs []string
	Email     string // empty if unknown

	Properties Object   // in the order in which they came
	Tags       []string // each once, in the order in which they came
	Channels   []Channel

	// UnsubscribedAt is since when the user is opted out; zero while subscribed.
	UnsubscribedAt time.Time
	// Suppression says why messages to the user's email should not be sent, and
	// SuppressedAt since when. Telltale sends none itself: it is for those who do.
	Suppression  Suppression
	SuppressedAt time.Time // zero while there is no reason

	CreatedAt time.Time // when the user was identified; zero if only the opt-out is known
	UpdatedAt time.Time
}

// Suppression is a reason not to send messages to an email address; empty for none.
type Suppression string

const (
	SuppressedBounced    Suppression = "bounced"    // a message bounced hard
	SuppressedComplained Suppression = "complained" // the user marked a message as spam
)

// suppress notes that a message to the address, at that time, was reason not to
// send others, and reports whether that changes anything. A complaint outweighs
// a bounce: it is the user's word, and not their mailbox's. Of one reason the
// first time stays. That an address which is not theirs any more bounced says
// nothing about the one that is.
func (p *Profile) suppress(reason Suppression, email string, at time.Time) bool {
	switch {
	case reason == "":
		return false
	case reason == SuppressedBounced && email != "" && p.Email != "" && !sameAddress(email, p.Email):
		return false
	case reason == p.Suppression && !at.Before(p.SuppressedAt):
		return false
	case reason != p.Suppression && p.Suppression == SuppressedComplained:
		return false
	}
	p.Suppression, p.SuppressedAt = reason, at
	return true
}

// sameAddress reports whether two addresses differ by no more than case, which
// providers do not keep.
func sameAddress(a, b string) bool { return strings.EqualFold(a, b) }

// Bounds of a profile beyond those of an event.
const (
	MaxTags      = 200
	MaxChannels  = 20
	MaxFormerIDs = 20

	MaxProfileBytes = MaxEventBytes // its properties as JSON
)

// Channel is one way to reach a user other than email.
type Channel struct {
	Type     string // "push", "sms", …
	Address  string // a number or a device token; unique among the channels of a type
	Platform string // "ios", "android", …; empty if unknown
	Device   string // empty if unknown
}

// Subscribed reports whether the user may be sent messages.
func (p *Profile) Subscribed() bool { return p.UnsubscribedAt.IsZero() }

// Known lists everything that the user's events and messages may stand under:
// the id, the former ids, and the email.
func (p *Profile) Known() []string {
	known := append([]string{p.UserID}, p.FormerIDs...)
	if p.Email != "" && !slices.Contains(known, p.Email) {
		known = append(known, p.Email)
	}
	return known
}

// User gives the user as payloads name them: id and email.
func (p *Profile) User() Object {
	var o Object
	o.Grow(2)
	o.set("id", p.GivenID)
	if p.Email != "" {
		o.SetString("email", p.Email)
	}
	return o
}

// Clone gives a copy that shares nothing with p that can change.
func (p *Profile) Clone() *Profile {
	c := *p
	c.FormerIDs, c.Tags, c.Channels = slices.Clone(p.FormerIDs), slices.Clone(p.Tags), slices.Clone(p.Channels)
	c.Properties = p.Properties.Clone()
	return &c
}

// UserRef says whom something is about: an id, an email, or both. Of both, the
// id decides.
type UserRef struct {
	ID    string // as JSON, a number or a string; empty if not given
	Email string // empty if not given
}

// NamedUser refers to the user with that id, a string, and that email. Either may be empty.
func NamedUser(id, email string) UserRef {
	r := UserRef{Email: email}
	if id != "" {
		r.ID = quote(id)
	}
	return r
}

// UserID is the id in canonical form. Where there is only an email, it doubles as the id.
func (r UserRef) UserID() string {
	if r.ID == "" {
		return r.Email
	}
	if kindOf(r.ID) == '0' {
		return canonicalNumber(r.ID)
	}
	return text(r.ID)
}

// givenID is the id as JSON.
func (r UserRef) givenID() string {
	if r.ID == "" {
		return quote(r.Email)
	}
	return r.ID
}

// ProfileFilter narrows a list of profiles. Zero fields do not narrow.
type ProfileFilter struct {
	// Match is the beginning of an id or of an email, as it is written.
	Match        string
	Unsubscribed *bool
	Tag          string
}

// EventsOfUser lists the events of everything that the user is known under,
// newest first, as [EventStore.Events] does for one of these.
func EventsOfUser(ctx context.Context, store EventStore, p *Profile, page Page) ([]*Event, error) {
	var events []*Event
	for _, known := range p.Known() {
		some, err := store.Events(ctx, p.ProjectID, EventFilter{Match: known}, page)
		if err != nil {
			return nil, err
		}
		events = append(events, some...)
	}
	slices.SortFunc(events, func(a, b *Event) int { return cmp.Compare(b.Sequence, a.Sequence) })
	events = slices.CompactFunc(events, func(a, b *Event) bool { return a.Sequence == b.Sequence })
	switch {
	case len(events) <= page.Limit:
	case page.Before != "": // the nearest to it are the oldest
		events = events[len(events)-page.Limit:]
	default:
		events = events[:page.Limit]
	}
	return events, nil
}

// sameName reports whether two names differ by no more than case: such
// properties would pass for id and email at receivers that do not tell case apart.
func sameName(a, b string) bool { return strings.EqualFold(a, b) }
