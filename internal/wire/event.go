package wire

import (
	"encoding/json"

	"telltale.example/telltale"
)

// Event is a stored event as it is read.
type Event struct {
	ID         string          `json:"id" doc:"Also the webhook-id of every request that carries the event." example:"evt_01JD0000000000000000000000"`
	Type       string          `json:"type" example:"bounced"`
	Source     string          `json:"source" doc:"Where it came in." example:"api"`
	OccurredAt Time            `json:"occurred_at" format:"date-time" doc:"When it happened, as the source says; else when it was received." example:"2026-11-20T09:29:58.000Z"`
	ReceivedAt Time            `json:"received_at" format:"date-time" example:"2026-11-20T09:30:00.123Z"`
	Sequence   int64           `json:"sequence" doc:"Rises within the project; gaps are possible." example:"4215"`
	UserID     string          `json:"user_id,omitempty" doc:"In canonical form: the number 123 and the string \"123\" are one user." example:"123"`
	Email      string          `json:"email,omitempty" example:"steve@example.com"`
	MessageID  string          `json:"message_id,omitempty" example:"20261120093000.1234@mail.example.com"`
	CampaignID string          `json:"campaign_id,omitempty" example:"987"`
	Payload    json.RawMessage `json:"payload" doc:"What receivers get, digit for digit."`
	Test       bool            `json:"test" doc:"A sample that Test sent to one webhook."`

	URL               string `json:"url,omitempty" doc:"The link that was clicked." example:"https://example.com/pricing"`
	IP                string `json:"ip,omitempty" doc:"Of the recipient." example:"192.0.2.7"`
	Machine           *bool  `json:"machine,omitempty" doc:"Whether a machine opened or clicked; left out if unknown."`
	ProviderMessageID string `json:"provider_message_id,omitempty" doc:"The mail provider's own id of the message."`
	ConversionEvent   string `json:"conversion_event,omitempty" doc:"The goal of the campaign."`
	Credit            string `json:"credit,omitempty" enum:"direct,view_through,indirect" doc:"Of converted, if it was found here: why the message is credited. The user had clicked in it or the event named it, had opened it, or had got it."`
	CallerID          string `json:"caller_id,omitempty" doc:"The caller's own id of the event: telltale.id as it came in." example:"order-4711-bounced"`
}

// FromEvent gives the JSON form. The payload is shared, not copied.
func FromEvent(e *telltale.Event) Event {
	return Event{
		ID: string(e.ID), Type: string(e.Type), Source: e.Source,
		OccurredAt: Time{e.OccurredAt}, ReceivedAt: Time{e.ReceivedAt}, Sequence: e.Sequence,
		UserID: e.UserID, Email: e.Email, MessageID: e.MessageID, CampaignID: e.CampaignID,
		Payload: json.RawMessage(e.Payload), Test: e.Test,
		URL: e.URL, IP: e.IP, Machine: e.Machine,
		ProviderMessageID: e.ProviderMessageID, ConversionEvent: e.ConversionEvent, Credit: string(e.Credit), CallerID: e.CallerID,
	}
}

// EventsAccepted answers POST /v1/events.
type EventsAccepted struct {
	Accepted   int             `json:"accepted" doc:"How many events were stored." example:"1"`
	Duplicates int             `json:"duplicates" doc:"How many were known already, by telltale.id, and not stored again." example:"0"`
	Events     []EventAccepted `json:"events" nullable:"false" doc:"One entry per event sent, in the same order."`
}

// EventAccepted is what became of one event.
type EventAccepted struct {
	ID        string `json:"id" doc:"Of the event, or of the one that it repeats." example:"evt_01JD0000000000000000000000"`
	Duplicate bool   `json:"duplicate"`
}

// EventType is one of the twelve, or operational.
type EventType struct {
	Type        string `json:"type" example:"bounced"`
	Label       string `json:"label" example:"Bounced (hard and soft)"`
	Description string `json:"description" example:"The recipient's mail server has refused the message for good."`
	Operational bool   `json:"operational" doc:"Whether it is about Telltale's own work: it cannot be sent in, and [\"*\"] leaves it out."`
}

// FromEventType gives the JSON form.
func FromEventType(t telltale.EventType) EventType {
	return EventType{Type: string(t), Label: t.Label(), Description: t.Description(), Operational: t.Operational()}
}
