package imports

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"telltale.example/telltale"
)

// change makes a row into what it says of its user, or gives the reason why it
// cannot: one sentence that names the column, and what would be right.
func (h *head) change(r row, now time.Time) (c telltale.UserChange, wrong string) {
	if r.wrong != "" {
		return c, r.wrong
	}
	if len(r.fields) != len(h.columns) {
		return c, fmt.Sprintf("The row has %s and the head %d.", fields(len(r.fields)), len(h.columns))
	}
	var id, email, name string
	var at time.Time
	var data telltale.Object
	data.Grow(len(h.columns))
	for i, column := range h.columns {
		field := r.fields[i]
		switch {
		case !utf8.Valid(field):
			return c, fmt.Sprintf("The column %s is not UTF-8.", column.name)
		case bytes.IndexByte(field, 0) >= 0:
			return c, fmt.Sprintf("The column %s has a zero byte.", column.name)
		case column.is == isProperty:
			if len(field) > 0 { // what is empty says nothing
				data.SetString(column.name, string(field))
			}
			continue
		}
		text := strings.TrimSpace(string(field))
		if column.is != isTags && utf8.RuneCountInString(text) > telltale.MaxIDChars {
			return c, fmt.Sprintf("The column %s has more than %d characters.", column.name, telltale.MaxIDChars)
		}
		switch column.is {
		case isID:
			id = text
		case isEmail:
			email = text
		case isEventName:
			name = text
		case isTags:
			if c.Add, wrong = tags(text); wrong != "" {
				return c, wrong
			}
		case isDate:
			if at, wrong = date(column.name, text, now); wrong != "" {
				return c, wrong
			}
		case isProperty: // above
		}
	}
	if id == "" && email == "" {
		return c, "The row has no id and no email: one of them says whom it is about."
	}
	c.User, c.At = telltale.NamedUser(id, email), at
	switch h.kind {
	case telltale.ImportProfiles:
		c.Kind, c.Data = telltale.ChangeIdentify, data
	case telltale.ImportUnsubscribes:
		c.Kind = telltale.ChangeUnsubscribe
	case telltale.ImportEvents:
		switch {
		case name == "":
			return c, "The column event_name is empty: it says what the user did."
		case at.IsZero():
			return c, "The column date is empty: it says when the user did it."
		}
		c.Kind, c.Event = telltale.ChangeTrack, &telltale.TrackedEvent{Name: name, Data: data, OccurredAt: at}
	}
	return c, ""
}

func fields(n int) string {
	if n == 1 {
		return "1 field"
	}
	return fmt.Sprintf("%d fields", n)
}

// tags reads a list with commas between.
func tags(text string) (list []string, wrong string) {
	for tag := range strings.SplitSeq(text, ",") {
		switch tag = strings.TrimSpace(tag); {
		case tag == "", slices.Contains(list, tag):
		case utf8.RuneCountInString(tag) > telltale.MaxIDChars:
			return nil, fmt.Sprintf("A tag has more than %d characters.", telltale.MaxIDChars)
		case len(list) == telltale.MaxTags:
			return nil, fmt.Sprintf("The row has more than %d tags.", telltale.MaxTags)
		default:
			list = append(list, tag)
		}
	}
	return list, ""
}
