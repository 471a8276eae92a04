package wire

import (
	"time"

	"telltale.example/telltale"
)

// Replay is a replay as it is read.
type Replay struct {
	ID          string    `json:"id" example:"rpl_01JD0000000000000000000000"`
	State       string    `json:"state" enum:"running,paused,finished,cancelled" doc:"finished: all deliveries are made, though some may be under way." example:"running"`
	Selection   Selection `json:"selection" doc:"What it sends."`
	To          string    `json:"to,omitempty" doc:"The webhook that events go to; left out: the one that each was owed to." example:"whk_01JD0000000000000000000000"`
	Rate        float64   `json:"rate" doc:"Deliveries a second, at most." example:"10"`
	Planned     int       `json:"planned" doc:"How many deliveries it was counted to be." example:"4215"`
	Made        int       `json:"made" doc:"Deliveries made so far." example:"1200"`
	Succeeded   int       `json:"succeeded" example:"1180"`
	Failed      int       `json:"failed" doc:"Failed or cancelled." example:"3"`
	CreatedBy   string    `json:"created_by" example:"CI"`
	CreatedAt   Time      `json:"created_at" format:"date-time" example:"2026-11-20T09:30:00.000Z"`
	CompletedAt Time      `json:"completed_at,omitzero" format:"date-time" doc:"When it was finished or cancelled." example:"2026-11-20T09:37:00.000Z"`
}

// Selection says which events a replay sends.
type Selection struct {
	Deliveries []string `json:"deliveries,omitempty" nullable:"false" doc:"The events of these deliveries, at most 1,000; nothing else is said then."`
	Webhook    string   `json:"webhook,omitempty" doc:"Whose deliveries are meant; left out: those to every webhook." example:"whk_01JD0000000000000000000000"`
	Which      string   `json:"which,omitempty" enum:"failed,held,unsent,undelivered,all" doc:"By what became of the event at the webhook. failed: its last delivery failed. held: it is held, or was cancelled. unsent: there is none. undelivered: any of these. all: whatever became of it." example:"failed"`
	Events     []string `json:"events,omitempty" nullable:"false" doc:"Only events of these types." example:"bounced,complained"`
	Since      *Time    `json:"since,omitempty" format:"date-time" doc:"Only events received then or later." example:"2026-11-20T09:00:00.000Z"`
	Until      *Time    `json:"until,omitempty" format:"date-time" doc:"Only events received before; the start of the replay, if left out." example:"2026-11-20T10:00:00.000Z"`
}

// FromReplay gives the JSON form.
func FromReplay(r telltale.Replay) Replay {
	return Replay{
		ID: string(r.ID), State: string(r.State), Selection: fromSelection(r.Selection), To: string(r.To), Rate: r.Rate,
		Planned: r.Planned, Made: r.Made, Succeeded: r.Succeeded, Failed: r.Failed,
		CreatedBy: r.CreatedBy, CreatedAt: Time{r.CreatedAt}, CompletedAt: Time{r.CompletedAt},
	}
}

func fromSelection(s telltale.Selection) Selection {
	out := Selection{Webhook: string(s.WebhookID), Which: string(s.Which)}
	for _, id := range s.Deliveries {
		out.Deliveries = append(out.Deliveries, string(id))
	}
	if !s.Types.Empty() {
		out.Events = s.Types.Names()
	}
	if !s.Since.IsZero() {
		out.Since = &Time{s.Since}
	}
	if !s.Until.IsZero() {
		out.Until = &Time{s.Until}
	}
	return out
}

// ReplayPlan asks what a replay would send.
type ReplayPlan struct {
	Selection
	To string `json:"to,omitempty" doc:"The webhook that events go to; left out: the one that each was owed to." example:"whk_01JD0000000000000000000000"`
}

// ReplayCreate starts a replay.
type ReplayCreate struct {
	ReplayPlan
	Rate    Change[float64] `json:"rate,omitzero" doc:"Deliveries a second, 0.1 to 10000; half of the webhook's rate limit if left out, or 10." example:"10"`
	Planned int             `json:"planned,omitempty" doc:"The count of the plan, to show how far it is; counted if left out." example:"4215"`
}

// Read gives the selection, and what is wrong with the form.
func (s *Selection) Read() (telltale.Selection, []telltale.Fault) {
	out := telltale.Selection{WebhookID: telltale.WebhookID(s.Webhook), Which: telltale.Which(s.Which)}
	var faults []telltale.Fault
	for _, id := range s.Deliveries {
		if !telltale.ValidID("dlv_", id) {
			faults = append(faults, telltale.Fault{Location: "body.deliveries", Message: "This is no delivery's id.", Expected: "dlv_ and 26 characters", Value: telltale.CutValue(id)})
		}
		out.Deliveries = append(out.Deliveries, telltale.DeliveryID(id))
	}
	if len(s.Events) > 0 {
		types, wrong := telltale.ParseEventTypeSet(s.Events, "body.events")
		out.Types, faults = types, append(faults, wrong...)
	}
	if s.Since != nil {
		out.Since = s.Since.Time
	}
	if s.Until != nil {
		out.Until = s.Until.Time
	}
	switch chosen := len(s.Deliveries) > 0; {
	case len(s.Deliveries) > telltale.MaxReplayDeliveries:
		faults = append(faults, telltale.Fault{Location: "body.deliveries", Message: "There are too many.", Expected: "at most 1000"})
	case chosen && (s.Webhook != "" || s.Which != "" || len(s.Events) > 0 || s.Since != nil || s.Until != nil):
		faults = append(faults, telltale.Fault{Location: "body.deliveries", Message: "Deliveries are named, and so is what events match.", Expected: "one of the two"})
	case !chosen && s.Which == "":
		faults = append(faults, telltale.Fault{Location: "body.which", Message: "The field is missing.", Expected: "failed, held, unsent, undelivered or all"})
	case s.Since != nil && s.Until != nil && !s.Since.Before(s.Until.Time):
		faults = append(faults, telltale.Fault{Location: "body.until", Message: "The end is not after the beginning.", Expected: "a later time"})
	}
	return out, faults
}

// ReplayPlanned is what a replay would send.
type ReplayPlanned struct {
	Count     int            `json:"count" doc:"Deliveries." example:"4215"`
	Complete  bool           `json:"complete" doc:"false: counting was given up after some seconds; there are more."`
	ByType    map[string]int `json:"by_type" doc:"Deliveries by event type."`
	ByWebhook map[string]int `json:"by_webhook" doc:"Deliveries by the webhook that they go to."`
	Oldest    Time           `json:"oldest,omitzero" format:"date-time" doc:"When the oldest event was received." example:"2026-11-20T09:00:00.000Z"`
	OlderThan int            `json:"older_than_7d" doc:"How many are of events older than seven days." example:"0"`
	Rate      float64        `json:"rate" doc:"Deliveries a second, if the replay says nothing else." example:"10"`
	Takes     Duration       `json:"takes" doc:"How long that takes, about." example:"7m1s"`
}

// FromReplayPlan gives the JSON form.
func FromReplayPlan(p telltale.ReplayPlan, rate float64) ReplayPlanned {
	out := ReplayPlanned{
		Count: p.Count, Complete: p.Complete, ByType: map[string]int{}, ByWebhook: map[string]int{}, Oldest: Time{p.Oldest}, OlderThan: p.OlderThan,
		Rate: rate, Takes: Duration((time.Duration(float64(p.Count) / rate * float64(time.Second))).Round(time.Second)),
	}
	for t, n := range p.ByType {
		out.ByType[string(t)] = n
	}
	for id, n := range p.ByWebhook {
		out.ByWebhook[string(id)] = n
	}
	return out
}
