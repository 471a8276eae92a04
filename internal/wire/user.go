package wire

import (
	"encoding/json"

	"telltale.example/telltale"
)

// User is a user with their profile as it is read.
type User struct {
	ID             string          `json:"id" doc:"Of the profile." example:"prf_01JD0000000000000000000000"`
	UserID         json.RawMessage `json:"user_id" doc:"The user's own id: a number or a string, as it came last. The number 123 and the string \"123\" are one user."`
	FormerIDs      []string        `json:"former_ids,omitempty" nullable:"false" doc:"Ids that the user had before, the latest first."`
	Email          string          `json:"email,omitempty" example:"steve@example.com"`
	Properties     json.RawMessage `json:"properties" doc:"Everything that was set, digit for digit."`
	Tags           []string        `json:"tags" nullable:"false" example:"vip"`
	Channels       []Channel       `json:"channels" nullable:"false"`
	Subscribed     bool            `json:"subscribed" doc:"false: the user has opted out." example:"true"`
	UnsubscribedAt Time            `json:"unsubscribed_at,omitzero" format:"date-time" doc:"Since when the user is opted out." example:"2026-11-20T09:30:00.000Z"`
	Suppression    *Suppression    `json:"suppression,omitempty" doc:"Why messages to the user's email should not be sent; left out if there is no reason. Telltale sends none itself."`
	CreatedAt      Time            `json:"created_at,omitzero" format:"date-time" doc:"When the user was identified; left out if only the opt-out is known." example:"2026-11-20T09:30:00.000Z"`
	UpdatedAt      Time            `json:"updated_at" format:"date-time" example:"2026-11-20T09:30:00.000Z"`
}

// Suppression says why messages to a user's email should not be sent.
type Suppression struct {
	Reason string `json:"reason" enum:"bounced,complained" doc:"bounced: a message bounced hard. complained: the user marked one as spam." example:"bounced"`
	Since  Time   `json:"since" format:"date-time" example:"2026-11-20T09:30:00.000Z"`
}

// Channel is one way to reach a user other than email.
type Channel struct {
	Type     string `json:"type" example:"push"`
	Address  string `json:"address" doc:"A number or a device token." example:"d1f7e8"`
	Platform string `json:"platform,omitempty" example:"ios"`
	Device   string `json:"device,omitempty" example:"iPhone"`
}

// FromUser gives the JSON form.
func FromUser(p *telltale.Profile) User {
	u := User{
		ID: string(p.ID), UserID: json.RawMessage(p.GivenID), FormerIDs: p.FormerIDs, Email: p.Email,
		Properties: p.Properties.AppendJSON(nil), Tags: append([]string{}, p.Tags...), Channels: []Channel{},
		Subscribed: p.Subscribed(), UnsubscribedAt: Time{p.UnsubscribedAt}, CreatedAt: Time{p.CreatedAt}, UpdatedAt: Time{p.UpdatedAt},
	}
	if p.Suppression != "" {
		u.Suppression = &Suppression{Reason: string(p.Suppression), Since: Time{p.SuppressedAt}}
	}
	for _, c := range p.Channels {
		u.Channels = append(u.Channels, Channel(c))
	}
	return u
}

// TrackedEvent is something that a user did.
type TrackedEvent struct {
	Name       string          `json:"name" example:"purchased item"`
	Data       json.RawMessage `json:"data" doc:"As it was tracked, digit for digit."`
	OccurredAt Time            `json:"occurred_at" format:"date-time" example:"2026-11-20T09:29:58.000Z"`
	ReceivedAt Time            `json:"received_at" format:"date-time" example:"2026-11-20T09:30:00.123Z"`
	Sequence   int64           `json:"sequence" doc:"Rises within the project; gaps are possible." example:"4215"`
}

// FromTrackedEvent gives the JSON form.
func FromTrackedEvent(e *telltale.TrackedEvent) TrackedEvent {
	return TrackedEvent{Name: e.Name, Data: e.Data.AppendJSON(nil), OccurredAt: Time{e.OccurredAt}, ReceivedAt: Time{e.ReceivedAt}, Sequence: e.Sequence}
}
