package telltale

import (
	"fmt"
	"slices"
	"time"
)

// ChangeKind is what a change does to a user.
type ChangeKind string

const (
	ChangeIdentify    ChangeKind = "identify"    // set properties, email and channels; makes the profile if there is none
	ChangeTags        ChangeKind = "tags"        // add and remove tags; likewise
	ChangeUnsubscribe ChangeKind = "unsubscribe" // opt out; keeps the opt-out of an unknown user
	ChangeResubscribe ChangeKind = "resubscribe" // opt in again; what suppressed the user counts no more
	ChangeSuppress    ChangeKind = "suppress"    // note why not to send to the user's email; of an unknown user nothing is kept
	ChangeReidentify  ChangeKind = "reidentify"  // give another id, or merge into the profile that has it
	ChangeDelete      ChangeKind = "delete"      // remove the profile
	ChangeTrack       ChangeKind = "track"       // the user did something; makes the profile if there is none
)

// UserChange is one thing that a source says of one user. Whoever makes one has
// checked it against the bounds of events.
type UserChange struct {
	Kind ChangeKind
	User UserRef

	NewID    string        // of ChangeReidentify: as JSON, a number or a string
	Data     Object        // of ChangeIdentify: properties to set; what is null or absent stays as it is
	Channels []Channel     // of ChangeIdentify: each is added, or takes the place of the one with its type and address
	Add      []string      // of ChangeTags, and of ChangeIdentify
	Remove   []string      // likewise
	Event    *TrackedEvent // of ChangeTrack
	Reason   Suppression   // of ChangeSuppress; User.Email is the address that it was about

	// At is when it happened, for what happened before now; zero is now.
	// ChangeResubscribe undoes nothing that came after it.
	At time.Time
}

// unsubscribedTag opts out whoever gets it.
const unsubscribedTag = "unsubscribed"

// Effect is what a change comes to.
type Effect struct {
	Profile *Profile // as it is to be stored; nil if it is not changed
	Remove  bool     // the profile that was found is to be removed, or has gone into Profile
	// Activities are what is to be reported, in order.
	Activities []Activity
}

// On gives what the change does to the profile that its user has, at that time;
// nil if there is none. Of ChangeReidentify, other is the profile that has the
// new id, or nil. Neither is changed. What breaks a bound is an [Invalid] error.
func (c *UserChange) On(project ProjectID, found, other *Profile, at time.Time) (Effect, error) {
	now := at.UTC().Truncate(time.Millisecond)
	at = now
	if !c.At.IsZero() && c.At.Before(now) {
		at = c.At.UTC().Truncate(time.Millisecond)
	}
	switch c.Kind {
	case ChangeReidentify:
		return c.reidentify(found, other, now)
	case ChangeDelete:
		return Effect{Remove: found != nil}, nil
	case ChangeResubscribe, ChangeSuppress:
		if found == nil {
			return Effect{}, nil
		}
	}
	e := edit{at: at, now: now}
	if found != nil {
		e.profile = found.Clone()
	} else {
		e.profile = &Profile{ProjectID: project, UserID: c.User.UserID(), GivenID: c.User.givenID(), Email: c.User.Email}
	}
	e.apply(c)
	if err := e.profile.boundProperties(); err != nil {
		return Effect{}, err
	}
	if n := len(e.profile.Tags); n > MaxTags {
		return Effect{}, tooMany("tags", n, MaxTags)
	}
	if n := len(e.profile.Channels); n > MaxChannels {
		return Effect{}, tooMany("channels", n, MaxChannels)
	}
	return e.effect(), nil
}

func (p *Profile) boundProperties() error {
	if n := p.Properties.Len(); n > MaxExtraKeys {
		return tooMany("properties", n, MaxExtraKeys)
	}
	if n := p.Properties.Size(); n > MaxProfileBytes {
		return Faulty("The user would have too much.", []Fault{{
			Location: "properties", Message: fmt.Sprintf("The user's properties would have %d bytes.", n), Expected: fmt.Sprintf("at most %d", MaxProfileBytes),
		}})
	}
	return nil
}

func tooMany(what string, n, most int) error {
	return Faulty("The user would have too much.", []Fault{{
		Location: what, Message: fmt.Sprintf("The user would have %d %s.", n, what), Expected: fmt.Sprintf("at most %d", most),
	}})
}

// edit is a change of one profile under way.
type edit struct {
	profile *Profile
	at      time.Time // when it happened
	now     time.Time

	touched     bool   // something changed that no event tells: the kind of the id, the suppression
	changes     Object // new values, as user_updated tells them; none if the user is new
	added       []string
	removed     []string
	identified  bool
	opted, back bool // out, in again
}

func (e *edit) apply(c *UserChange) {
	if c.User.ID != "" && e.profile.GivenID != c.User.ID && c.User.UserID() == e.profile.UserID {
		e.profile.GivenID, e.touched = c.User.ID, true
	}
	switch c.Kind {
	case ChangeUnsubscribe:
		e.optOut()
		return
	case ChangeResubscribe:
		e.optIn(c.At)
		return
	case ChangeSuppress:
		e.touched = e.profile.suppress(c.Reason, c.User.Email, e.at) || e.touched
		return
	}
	e.identified = e.profile.CreatedAt.IsZero()
	if e.identified {
		e.profile.CreatedAt = e.at
	}
	e.setEmail(c.User.Email)
	if e.profile.Properties.Len() == 0 {
		e.profile.Properties.Grow(c.Data.Len())
	}
	for _, m := range c.Data.members {
		e.set(m)
	}
	e.setChannels(c.Channels)
	e.tag(c.Add, c.Remove)
}

func (e *edit) setEmail(email string) {
	if email != "" && email != e.profile.Email {
		if e.profile.Suppression == SuppressedBounced && e.profile.Email != "" && !sameAddress(email, e.profile.Email) {
			e.profile.Suppression, e.profile.SuppressedAt = "", time.Time{} // it was another mailbox
		}
		e.profile.Email = email
		if !e.identified {
			e.changes.SetString("email", email)
		}
	}
}

// set gives a property a value. The email is a property to callers, and a field to us.
func (e *edit) set(m member) {
	name := unquote(m.name)
	switch {
	case isEmpty(m.value) && m.value != `""`, sameName(name, "id"):
	case sameName(name, "email"):
		e.setEmail(text(m.value))
	default:
		if before := e.profile.Properties.Get(name); before != "" && sameValue(before, m.value) {
			return
		}
		e.profile.Properties.put(m)
		if !e.identified {
			e.changes.put(m)
		}
	}
}

func (e *edit) setChannels(channels []Channel) {
	changed := false
	for _, c := range channels {
		i := slices.IndexFunc(e.profile.Channels, func(known Channel) bool { return known.Type == c.Type && known.Address == c.Address })
		switch {
		case i < 0:
			e.profile.Channels, changed = append(e.profile.Channels, c), true
		case e.profile.Channels[i] != c:
			e.profile.Channels[i], changed = c, true
		}
	}
	if changed {
		e.changes.set("channels", string(appendChannels(nil, e.profile.Channels)))
	}
}

func (e *edit) tag(add, remove []string) {
	for _, tag := range remove {
		if i := slices.Index(e.profile.Tags, tag); i >= 0 {
			e.profile.Tags = slices.Delete(e.profile.Tags, i, i+1)
			e.removed = append(e.removed, tag)
		}
	}
	for _, tag := range add {
		if slices.Contains(e.profile.Tags, tag) {
			continue
		}
		e.profile.Tags = append(e.profile.Tags, tag)
		if i := slices.Index(e.removed, tag); i >= 0 { // it was there before
			e.removed = slices.Delete(e.removed, i, i+1)
			continue
		}
		e.added = append(e.added, tag)
	}
	if slices.Contains(e.added, unsubscribedTag) {
		e.optOut()
	}
	if len(e.added)+len(e.removed) > 0 {
		e.changes.set("_tags", string(appendTags(nil, e.added, e.removed)))
	}
}

func (e *edit) optOut() {
	if e.profile.Subscribed() {
		e.profile.UnsubscribedAt, e.opted = e.at, true
	}
}

// optIn takes back what was before that time; zero is now.
func (e *edit) optIn(at time.Time) {
	before := func(since time.Time) bool { return !since.IsZero() && (at.IsZero() || !at.Before(since)) }
	if before(e.profile.UnsubscribedAt) {
		e.profile.UnsubscribedAt, e.back = time.Time{}, true
	}
	if before(e.profile.SuppressedAt) {
		e.profile.Suppression, e.profile.SuppressedAt, e.touched = "", time.Time{}, true
	}
}

// effect says what has come of the change.
func (e *edit) effect() Effect {
	var activities []Activity
	user := e.profile.User()
	switch {
	case e.identified:
		var created Object
		created.Grow(e.profile.Properties.Len() + user.Len())
		created.members = append(created.members, e.profile.Properties.members...)
		for _, m := range user.members {
			created.put(m)
		}
		activities = append(activities, Activity{Type: UserCreated, User: created, OccurredAt: e.at})
	case e.changes.Len() > 0:
		activities = append(activities, Activity{Type: UserUpdated, User: user, Changes: e.changes, OccurredAt: e.at})
	}
	if e.opted {
		activities = append(activities, Activity{Type: Unsubscribed, User: user, OccurredAt: e.at})
	}
	if e.back {
		activities = append(activities, Activity{Type: Resubscribed, User: user, OccurredAt: e.at})
	}
	if len(activities) == 0 && !e.touched {
		return Effect{}
	}
	e.profile.UpdatedAt = e.now
	return Effect{Profile: e.profile, Activities: activities}
}

// reidentify gives the profile the new id. If another has it, the two become
// one: of a property that both have, the other's value stays.
func (c *UserChange) reidentify(found, other *Profile, now time.Time) (Effect, error) {
	ref := UserRef{ID: c.NewID}
	if found == nil || found.UserID == ref.UserID() {
		return Effect{}, nil
	}
	if other == nil {
		p := found.Clone()
		p.FormerIDs = formerIDs(found.UserID, found.FormerIDs)
		p.UserID, p.GivenID, p.UpdatedAt = ref.UserID(), ref.givenID(), now
		return Effect{Profile: p}, nil
	}
	p := other.Clone()
	p.GivenID, p.UpdatedAt = ref.givenID(), now
	p.FormerIDs = formerIDs(found.UserID, found.FormerIDs, other.FormerIDs...)
	if p.Email == "" {
		p.Email = found.Email
	}
	p.Properties.Complete(found.Properties)
	if err := p.boundProperties(); err != nil {
		return Effect{}, err
	}
	e := edit{profile: p, at: now, now: now}
	e.tag(found.Tags, nil)
	e.setChannels(found.Channels)
	p.Tags, p.Channels = p.Tags[:min(len(p.Tags), MaxTags)], p.Channels[:min(len(p.Channels), MaxChannels)]
	if p.UnsubscribedAt.IsZero() || !found.UnsubscribedAt.IsZero() && found.UnsubscribedAt.Before(p.UnsubscribedAt) {
		p.UnsubscribedAt = found.UnsubscribedAt // who opted out under either id stays out
	}
	p.suppress(found.Suppression, found.Email, found.SuppressedAt)
	if p.CreatedAt.IsZero() || !found.CreatedAt.IsZero() && found.CreatedAt.Before(p.CreatedAt) {
		p.CreatedAt = found.CreatedAt
	}
	return Effect{Profile: p, Remove: true}, nil
}

func formerIDs(latest string, its []string, others ...string) []string {
	var ids []string
	for _, id := range slices.Concat([]string{latest}, its, others) {
		if !slices.Contains(ids, id) && len(ids) < MaxFormerIDs {
			ids = append(ids, id)
		}
	}
	return ids
}

// appendTags writes the value of _tags. An empty list is left out.
func appendTags(dst []byte, added, removed []string) []byte {
	dst = append(dst, '{')
	for _, list := range [...]struct {
		name string
		tags []string
	}{{"add", added}, {"remove", removed}} {
		if len(list.tags) > 0 {
			dst = appendMember(dst, quote(list.name), string(AppendTexts(nil, list.tags)))
		}
	}
	return closeObject(dst)
}

// AppendTexts writes a JSON array of strings.
func AppendTexts(dst []byte, texts []string) []byte {
	dst = append(dst, '[')
	for i, t := range texts {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(dst, quote(t)...)
	}
	return append(dst, ']')
}

// appendChannels writes a JSON array of channels.
func appendChannels(dst []byte, channels []Channel) []byte {
	dst = append(dst, '[')
	for i, c := range channels {
		if i > 0 {
			dst = append(dst, ',')
		}
		var o Object
		for _, m := range [...]struct{ name, value string }{{"type", c.Type}, {"address", c.Address}, {"platform", c.Platform}, {"device", c.Device}} {
			if m.value != "" {
				o.SetString(m.name, m.value)
			}
		}
		dst = o.AppendJSON(dst)
	}
	return append(dst, ']')
}
