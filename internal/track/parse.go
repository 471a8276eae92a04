package track

import (
	"fmt"
	"strings"
	"time"

	"telltale.example/telltale"
)

// MaxIdentities is how many users one event may be tracked for.
const MaxIdentities = 100

// maxAddress bounds a channel's address, in characters: a push subscription of a
// browser is a URL with keys.
const maxAddress = 4096

// identify is for calls that set properties, in the object of that name.
func identify(data string, required bool) func(fields) []telltale.UserChange {
	return func(f fields) []telltale.UserChange {
		c := telltale.UserChange{Kind: telltale.ChangeIdentify, User: f.user(), Channels: f.channels()}
		properties, ok := f.object(data)
		if required && !ok && len(*f.wrong) == 0 {
			f.wrong.add(data, "The "+data+" are missing.", "an object with what is to be set")
		}
		c.Data, c.Add, c.Remove = properties.properties()
		if phone := f.value("phone_number"); f.text("phone_number", telltale.MaxIDChars) != "" {
			_ = c.Data.Set("phone_number", []byte(phone)) // it was parsed before
		}
		return []telltale.UserChange{c}
	}
}

// properties takes the tags out of properties, and looks at what becomes more
// than a property.
func (f fields) properties() (data telltale.Object, add, remove []string) {
	data = f.Clone()
	for name, value := range f.All() {
		switch {
		case strings.EqualFold(name, "_tags"):
			data.Delete(name)
			if value == "null" {
				continue
			}
			if tags, ok := f.asObject(f.where(name), value); ok {
				add, _ = tags.tags("add")
				remove, _ = tags.tags("remove")
			}
		case strings.EqualFold(name, "email"):
			f.email(name)
		}
	}
	return data, add, remove
}

func (f fields) tags(name string) ([]string, bool) {
	return f.texts(name, telltale.MaxTags, telltale.MaxIDChars)
}

// channels reads one channel, an array of them, or an array of arrays.
func (f fields) channels() []telltale.Channel {
	at := f.where("channels")
	elements, _ := f.list("channels", telltale.MaxChannels)
	var channels []telltale.Channel
	for i, e := range elements {
		location := at
		if len(elements) > 1 {
			location = fmt.Sprintf("%s[%d]", at, i)
		}
		inner, _ := f.asList(location, e, telltale.MaxChannels)
		for _, e := range inner {
			if e == "null" {
				continue
			}
			o, ok := f.asObject(location, e)
			if !ok {
				continue
			}
			channels = append(channels, o.channel())
		}
	}
	return channels
}

func (f fields) channel() telltale.Channel {
	before := len(*f.wrong)
	c := telltale.Channel{
		Type: f.text("type", telltale.MaxIDChars), Address: f.text("address", maxAddress),
		Platform: f.text("platform", telltale.MaxIDChars), Device: f.text("device", telltale.MaxIDChars),
	}
	if (c.Type == "" || c.Address == "") && len(*f.wrong) == before {
		f.wrong.add(f.at, "The channel lacks its type or its address.", "type and address")
	}
	return c
}

func reidentify(f fields) []telltale.UserChange {
	c := telltale.UserChange{Kind: telltale.ChangeReidentify, User: f.user(), NewID: f.id("new_id")}
	if c.NewID == "" && len(*f.wrong) == 0 {
		f.wrong.add("new_id", "The new id is missing.", "a number or a string")
	}
	return []telltale.UserChange{c}
}

// toUser is for calls that need no more than the user.
func toUser(kind telltale.ChangeKind) func(fields) []telltale.UserChange {
	return func(f fields) []telltale.UserChange {
		return []telltale.UserChange{{Kind: kind, User: f.user()}}
	}
}

func editTags(f fields) []telltale.UserChange {
	c := telltale.UserChange{Kind: telltale.ChangeTags, User: f.user()}
	var added, removed bool
	c.Add, added = f.tags("add")
	c.Remove, removed = f.tags("remove")
	if !added && !removed && len(*f.wrong) == 0 {
		f.wrong.add("add", "There is neither add nor remove.", "a list of tags in one of them, or in both")
	}
	return []telltale.UserChange{c}
}

// track reads an event, and for which users it is.
func track(f fields) []telltale.UserChange {
	users := f.identities()
	event := telltale.TrackedEvent{Name: f.text("event_name", telltale.MaxIDChars)}
	if strings.TrimSpace(event.Name) == "" && len(*f.wrong) == 0 {
		f.wrong.add("event_name", "The name of the event is missing.", fmt.Sprintf("1 to %d characters", telltale.MaxIDChars))
	}
	data, _ := f.object("data")
	event.Data = data.Object
	extras, _ := f.object("extras")
	extra := func(name string, most int) string {
		if s := extras.text(name, most); s != "" {
			return s
		}
		return f.text(name, most)
	}
	event.Message = extra("vero_conv", telltale.MaxMessageID)
	event.CheckID = extra("check_id", telltale.MaxIDChars)
	event.OccurredAt = parseTime(extra("created_at", telltale.MaxIDChars))

	changes := make([]telltale.UserChange, len(users))
	for i, user := range users {
		e := event // the store fills in each
		changes[i] = telltale.UserChange{Kind: telltale.ChangeTrack, User: user, Event: &e}
	}
	return changes
}

// identities reads the users of an event: one, an array of them, or id and email
// of the request itself.
func (f fields) identities() []telltale.UserRef {
	if f.value("identity") == "" {
		return []telltale.UserRef{f.user()}
	}
	before := len(*f.wrong)
	elements, _ := f.list("identity", MaxIdentities)
	if len(elements) == 0 && len(*f.wrong) == before {
		f.wrong.add("identity", "The event is of nobody.", "an object with id or email, or an array of them")
	}
	users := make([]telltale.UserRef, 0, len(elements))
	for i, e := range elements {
		location := "identity"
		if len(elements) > 1 {
			location = fmt.Sprintf("identity[%d]", i)
		}
		if e == "null" {
			f.wrongKind(location, e, "an object with id or email")
			continue
		}
		if o, ok := f.asObject(location, e); ok {
			users = append(users, o.user())
		}
	}
	return users
}

// timeLayouts are the ways of ISO 8601 in which clients write times. Without an
// offset it is UTC.
var timeLayouts = []string{
	time.RFC3339Nano, "2006-01-02T15:04:05.999999999Z0700", "2006-01-02T15:04:05.999999999Z07", "2006-01-02T15:04:05.999999999",
	"2006-01-02T15:04Z07:00", "2006-01-02T15:04", "20060102T150405Z0700", "20060102T150405", time.DateOnly,
}

// parseTime reads a time. What is none is no error: the event then happened when
// it was received. Spaces may stand between date, time and offset, and in the
// place of a plus that a form has lost.
func parseTime(s string) time.Time {
	s = strings.TrimSuffix(s, " UTC")
	if !strings.Contains(s, "T") {
		s = strings.Replace(s, " ", "T", 1)
	}
	if clock, offset, ok := strings.Cut(s, " "); ok {
		if offset != "" && '0' <= offset[0] && offset[0] <= '9' {
			offset = "+" + offset
		}
		s = clock + offset
	}
	for _, layout := range timeLayouts {
		if t, err := time.Parse(layout, s); err == nil && t.Year() >= 1970 {
			return t.UTC()
		}
	}
	return time.Time{}
}
