package telltale

import "time"

// Message is an email, SMS or push that a campaign sent to a user, as it is
// known from the events that named it. It is remembered as long as the first of
// these is kept.
type Message struct {
	ProjectID ProjectID
	// MessageID is in the form of [CanonicalMessageID]; ProviderMessageID is the
	// provider's own. At least one is known.
	MessageID         string
	ProviderMessageID string

	// User and Campaign are those of its payload: of the event sent, or of the
	// first event that named it until that comes.
	User     Object
	Campaign Object
	UserID   string // canonical; may be empty
	// Goal is the event that its campaign is to bring about, given with the
	// message; empty if it was not given.
	Goal string

	SentAt         time.Time // the event's own time; zero if no event sent came in, as for all below
	DeliveredAt    time.Time
	OpenedAt       time.Time // the latest, by a person as far as is known
	ClickedAt      time.Time // likewise
	FailedAt       time.Time // failed or bounced
	UnsubscribedAt time.Time
	ComplainedAt   time.Time
	ConvertedAt    time.Time
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

// CompleteFrom fills in what the activity lacks and its message has, member by
// member. What is there already stays.
func (a *Activity) CompleteFrom(m *Message) {
	a.User.Complete(m.User)
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

// completeOptOut fills in the campaign of unsubscribed, which has names of its own.
func (a *Activity) completeOptOut(m *Message) {
	for _, same := range [...]struct{ to, from string }{
		{"campaign_title", "name"}, {"series_title", "series_title"}, {"channel", "channel"},
		{"email_subject", "subject"}, {"variation_name", "variation"}, {"template", "template"},
	} {
		if value := m.Campaign.Get(same.from); value != "" && !a.Campaign.Has(same.to) {
			a.Campaign.set(same.to, value)
		}
	}
	if m.MessageID != "" && !a.Campaign.Has("message_id") {
		a.Campaign.SetString("message_id", m.MessageID)
	}
}
