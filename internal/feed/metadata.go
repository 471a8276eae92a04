package feed

import (
	"strconv"
	"strings"

	"telltale.example/telltale"
)

// Vocabulary is the names under which senders attach to a message what its
// provider does not know: custom arguments, variables, metadata, or tags of the
// form name:value. It is one for all providers.
func Vocabulary() []string {
	return []string{
		"user_id", "user_email", "campaign_id", "campaign_name", "campaign_type", "group", "channel", "subject", "trigger_event",
		"permalink", "variation", "locale", "template", "series_title", "conversion_event",
	}
}

// campaignKeys are the names that a payload's campaign has for it.
var campaignKeys = [...]struct{ meta, campaign string }{
	{"campaign_type", "type"}, {"campaign_name", "name"}, {"group", "group"}, {"channel", "channel"}, {"subject", "subject"},
	{"trigger_event", "trigger-event"}, {"permalink", "permalink"}, {"variation", "variation"}, {"locale", "locale"},
}

// optOutKeys are names that only the campaign of unsubscribed has.
var optOutKeys = [...]string{"template", "series_title"}

// metadata is what the sender said of a message, by name.
type metadata map[string]string

// metadata gathers what the event's metadata and tags say in the vocabulary.
func (e *Event) metadata() metadata {
	m := make(metadata, 8)
	for _, name := range vocabulary {
		if value := e.Meta.Text(name); value != "" {
			m[name] = value
		}
	}
	var plain string // the first tag that is not of the vocabulary
	for _, tag := range e.Tags {
		name, value, ok := strings.Cut(tag, ":")
		if !ok {
			name, value, ok = strings.Cut(tag, "=")
		}
		if ok && known[name] {
			if m[name] == "" {
				m[name] = value
			}
		} else if plain == "" {
			plain = tag
		}
	}
	if m["campaign_name"] == "" && plain != "" {
		m["campaign_name"] = plain
	}
	if m["subject"] == "" && e.Subject != "" {
		m["subject"] = e.Subject
	}
	return m
}

var (
	vocabulary = Vocabulary()
	known      = func() map[string]bool {
		known := map[string]bool{}
		for _, name := range vocabulary {
			known[name] = true
		}
		return known
	}()
)

// describe says in the activity whom the message went to and what it was.
func (m metadata) describe(a *telltale.Activity, e *Event) {
	message := telltale.Message{MessageID: telltale.CanonicalMessageID(e.MessageID), Goal: m["conversion_event"]}
	setText(&message.User, "id", m["user_id"])
	email := m["user_email"]
	if email == "" {
		email = e.Recipient
	}
	setText(&message.User, "email", email)
	if a.Type == telltale.Resubscribed {
		a.User = message.User
		return
	}

	c := &message.Campaign
	if id := m["campaign_id"]; id != "" {
		if isInteger(id) {
			_ = c.Set("id", []byte(id)) // it is a number
		} else {
			c.SetString("id", id)
		}
	}
	for _, key := range campaignKeys {
		value := m[key.meta]
		if key.meta == "channel" && value != "sms" && value != "push" {
			value = "email"
		}
		setText(c, key.campaign, value)
	}
	setText(c, "sent_to", e.Recipient)
	if a.Type == telltale.Unsubscribed {
		for _, name := range optOutKeys {
			setText(c, name, m[name])
		}
		if message.MessageID == "" && m["campaign_id"] == "" && m["campaign_name"] == "" {
			*c = telltale.Object{} // it is tied to no message
		}
	}
	a.CompleteFrom(&message)
}

// isInteger reports whether s is an integer of at most 18 digits in its usual form.
func isInteger(s string) bool {
	n, err := strconv.ParseInt(s, 10, 64)
	return err == nil && n >= 0 && len(s) <= 18 && strconv.FormatInt(n, 10) == s
}
