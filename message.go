package telltale

import (
	"slices"
	"time"
)

// Message is an email, SMS or push that a campaign sent to a user, as it is
// known from the events that name it ([MessageOf]). It is remembered as long as
// one of these is kept.
type Message struct {
	ProjectID ProjectID
	// MessageID is in the form of [CanonicalMessageID]; ProviderMessageID is the
	// provider's own. At least one is known.
	MessageID         string
	ProviderMessageID string

	// User and Campaign are those of the event sent, and until that comes of the
	// first that named it. What these lack the others say.
	User     Object
	Campaign Object
	UserID   string // canonical; may be empty
	// Goal is the event that its campaign is to bring about, given with the
	// message; empty if it was not given.
	Goal string

	// When it happened, zero if it did not: the first time that it did, where a
	// line says nothing else.
	SentAt         time.Time
	DeliveredAt    time.Time
	OpenedAt       time.Time // the latest, by a person as far as is known
	ClickedAt      time.Time // likewise
	FailedAt       time.Time // the latest, failed or bounced
	UnsubscribedAt time.Time
	ComplainedAt   time.Time
	ConvertedAt    time.Time
}

// MessageOf puts together what events say of the message that they name, in the
// order in which they were accepted; nil if there are none.
func MessageOf(events []*Event) *Message {
	if len(events) == 0 {
		return nil
	}
	m := &Message{ProjectID: events[0].ProjectID}
	best := max(slices.IndexFunc(events, func(e *Event) bool { return e.Type == Sent }), 0)
	m.learn(events[best])
	for i, e := range events {
		if i != best {
			m.learn(e)
		}
		m.happened(e)
	}
	return m
}

// OtherMessageID is the other id of the message that events call id, which is
// canonical: sent knows best. It is empty if none of them says.
func OtherMessageID(id string, events []*Event) (other string) {
	for _, e := range events {
		own, provider := e.MessageID, CanonicalMessageID(e.ProviderMessageID)
		if own == "" || provider == "" || own == provider {
			continue
		}
		if e.Type == Sent || other == "" {
			other = own
			if own == id {
				other = provider
			}
		}
		if e.Type == Sent {
			break
		}
	}
	return other
}

// learn takes from an event what is not known of the message yet.
func (m *Message) learn(e *Event) {
	if m.MessageID == "" {
		m.MessageID = e.MessageID
	}
	if m.ProviderMessageID == "" {
		m.ProviderMessageID = e.ProviderMessageID
	}
	if m.Goal == "" {
		m.Goal = e.ConversionEvent
	}
	if m.UserID != "" && m.User.Text("email") != "" && m.CampaignID() != "" && m.Campaign.Len() > 1 {
		return // nothing that is asked for is missing: most payloads need not be read
	}
	sameUser := m.UserID == "" || e.UserID == "" || e.UserID == m.UserID
	if m.UserID == "" {
		m.UserID = e.UserID
	}
	a, err := ParseActivity(e.Payload, "payload")
	if err != nil {
		return // it was made by another contract, and says nothing to us
	}
	if sameUser {
		m.User.Complete(a.User)
	}
	m.Campaign.Complete(a.campaignOfMessage())
}

// campaignOfMessage is the campaign under the names that all types but
// unsubscribed have for it.
func (a *Activity) campaignOfMessage() Object {
	if a.Type != Unsubscribed {
		return a.Campaign
	}
	var campaign Object
	for _, same := range optOutNames {
		if value := a.Campaign.Get(same.optOut); value != "" {
			campaign.set(same.campaign, value)
		}
	}
	return campaign
}

// happened notes when what the event tells happened to the message.
func (m *Message) happened(e *Event) {
	first := func(at *time.Time) {
		if at.IsZero() || e.OccurredAt.Before(*at) {
			*at = e.OccurredAt
		}
	}
	latest := func(at *time.Time) {
		if e.OccurredAt.After(*at) {
			*at = e.OccurredAt
		}
	}
	byMachine := e.Machine != nil && *e.Machine
	switch e.Type {
	case Sent:
		first(&m.SentAt)
	case Delivered:
		first(&m.DeliveredAt)
	case Opened:
		if !byMachine {
			latest(&m.OpenedAt)
		}
	case Clicked:
		if !byMachine {
			latest(&m.ClickedAt)
		}
	case Failed, Bounced:
		latest(&m.FailedAt)
	case Unsubscribed:
		first(&m.UnsubscribedAt)
	case Complained:
		first(&m.ComplainedAt)
	case Converted:
		first(&m.ConvertedAt)
	}
}

// ReceivedAt is when the message came to its user, as well as is known.
func (m *Message) ReceivedAt() time.Time {
	if m.DeliveredAt.IsZero() {
		return m.SentAt
	}
	return m.DeliveredAt
}

// CampaignID is the id of its campaign as text; empty if unknown.
func (m *Message) CampaignID() string { return m.Campaign.Text("id") }

// OfMessage reports whether events of the type happen to messages.
func (t EventType) OfMessage() bool {
	switch t {
	case Sent, Delivered, Opened, Clicked, Failed, Bounced, Converted, Unsubscribed, Complained:
		return true
	}
	return false
}

// Whole reports whether the activity says of its message all that others are
// asked for: who got it and which campaign it belongs to. A whole one is taken as
// it is; what another one lacks is filled in from the message, and then from the
// user's profile.
func (a *Activity) Whole() bool {
	return !a.Type.OfMessage() ||
		a.UserID() != "" && a.Email() != "" && (a.Type == Unsubscribed || a.CampaignID() != "" && a.Campaign.Len() > 1)
}

// Message is what the activity says of its message, without what happened to it.
func (a *Activity) Message() *Message {
	return &Message{
		MessageID: a.MessageID(), ProviderMessageID: a.ProviderMessageID,
		User: a.User, Campaign: a.campaignOfMessage(), UserID: a.UserID(), Goal: a.ConversionEvent,
	}
}

// CompleteFrom fills in what the activity lacks and its message has, member by
// member. What is there already stays. Who it says is another user than the
// message's is not mixed with that one.
func (a *Activity) CompleteFrom(m *Message) {
	if id := a.UserID(); id == "" || m.UserID == "" || id == m.UserID {
		a.User.Complete(m.User)
	}
	if a.Type == Unsubscribed {
		a.completeOptOut(m)
		return
	}
	if a.Type != Failed && m.MessageID != "" && !a.Top.Has("message_id") {
		a.Top.SetString("message_id", m.MessageID)
	}
	a.Campaign.Complete(m.Campaign)
	if a.ConversionEvent == "" {
		a.ConversionEvent = m.Goal
	}
}

// optOutNames are the names that unsubscribed has for what a campaign says.
var optOutNames = [...]struct{ optOut, campaign string }{
	{"campaign_title", "name"}, {"series_title", "series_title"}, {"channel", "channel"},
	{"email_subject", "subject"}, {"variation_name", "variation"}, {"template", "template"},
}

// completeOptOut fills in the campaign of unsubscribed, which has names of its own.
func (a *Activity) completeOptOut(m *Message) {
	for _, same := range optOutNames {
		if value := m.Campaign.Get(same.campaign); value != "" && !a.Campaign.Has(same.optOut) {
			a.Campaign.set(same.optOut, value)
		}
	}
	if m.MessageID != "" && !a.Campaign.Has("message_id") {
		a.Campaign.SetString("message_id", m.MessageID)
	}
}
