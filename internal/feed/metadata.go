package feed

import (
	"slices"
	"strconv"
	"strings"

	"telltale.example/telltale"
)

// word is a name under which senders attach to a message what its provider does
// not know.
type word int

const (
	userID word = iota
	userEmail
	campaignID
	campaignName
	campaignType
	group
	channel
	subject
	triggerEvent
	permalink
	variation
	locale
	template
	seriesTitle
	conversionEvent
	wordCount
)

var vocabulary = [wordCount]string{
	userID: "user_id", userEmail: "user_email",
	campaignID: "campaign_id", campaignName: "campaign_name", campaignType: "campaign_type", group: "group", channel: "channel",
	subject: "subject", triggerEvent: "trigger_event", permalink: "permalink", variation: "variation", locale: "locale",
	template: "template", seriesTitle: "series_title", conversionEvent: "conversion_event",
}

// Vocabulary is the names under which senders attach to a message what its
// provider does not know: custom arguments, variables, metadata, or tags of the
// form name:value. It is one for all providers.
func Vocabulary() []string { return slices.Clone(vocabulary[:]) }

func wordNamed(name string) (word, bool) {
	i := slices.Index(vocabulary[:], name)
	return word(i), i >= 0
}

// campaignKeys are the names that a payload's campaign has for it.
var campaignKeys = [...]struct {
	word word
	key  string
}{
	{campaignType, "type"}, {campaignName, "name"}, {group, "group"}, {channel, "channel"}, {subject, "subject"},
	{triggerEvent, "trigger-event"}, {permalink, "permalink"}, {variation, "variation"}, {locale, "locale"},
}

// optOutWords are those that only the campaign of unsubscribed has.
var optOutWords = [...]word{template, seriesTitle}

// metadata is what the sender said of a message.
type metadata [wordCount]string

// metadata gathers what the event's metadata and tags say in the vocabulary.
func (e *Event) metadata() (m metadata) {
	for w, name := range vocabulary {
		m[w] = e.Meta.Text(name)
	}
	var plain string // the first tag that is not of the vocabulary
	for _, tag := range e.Tags {
		if w, value, ok := cutTag(tag); ok {
			if m[w] == "" {
				m[w] = value
			}
		} else if plain == "" {
			plain = tag
		}
	}
	if m[campaignName] == "" {
		m[campaignName] = plain
	}
	if m[subject] == "" {
		m[subject] = e.Subject
	}
	return m
}

// cutTag reads a tag of the form name:value or name=value, whose name is of the
// vocabulary.
func cutTag(tag string) (w word, value string, ok bool) {
	i := strings.IndexAny(tag, ":=")
	if i < 0 {
		return 0, "", false
	}
	w, ok = wordNamed(tag[:i])
	return w, tag[i+1:], ok
}

// describe says in the activity whom the message went to and what it was.
func (m metadata) describe(a *telltale.Activity, e *Event) {
	message := telltale.Message{MessageID: telltale.CanonicalMessageID(e.MessageID), Goal: m[conversionEvent]}
	setText(&message.User, "id", m[userID])
	email := m[userEmail]
	if email == "" {
		email = e.Recipient
	}
	setText(&message.User, "email", email)
	if a.Type == telltale.Resubscribed {
		a.User = message.User
		return
	}

	c := &message.Campaign
	if id := m[campaignID]; id != "" {
		if isInteger(id) {
			_ = c.Set("id", []byte(id)) // it is a number
		} else {
			c.SetString("id", id)
		}
	}
	if m[channel] != "sms" && m[channel] != "push" {
		m[channel] = "email"
	}
	for _, said := range campaignKeys {
		setText(c, said.key, m[said.word])
	}
	setText(c, "sent_to", e.Recipient)
	if a.Type == telltale.Unsubscribed {
		for _, w := range optOutWords {
			setText(c, vocabulary[w], m[w])
		}
		if message.MessageID == "" && m[campaignID] == "" && m[campaignName] == "" {
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
