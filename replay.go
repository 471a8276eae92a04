package telltale

import "time"

// Replay is a durable job that sends stored events again, or for the first
// time to a webhook that did not get them. It makes deliveries that carry its
// id, in the order of the events, at most Rate a second; each has the same
// webhook-id as the first time. A replay survives restarts: what it made and
// where it stands are written in one transaction.
type Replay struct {
	ID        ReplayID
	ProjectID ProjectID
	Selection Selection
	To        WebhookID // where the events go; empty: to the webhook that each was owed to
	Rate      float64   // deliveries made a second, 0.1 to [MaxRateLimit]

	State     ReplayState
	Planned   int // how many its creator counted it to be; the count may be off, since deliveries move on
	Made      int // deliveries made so far
	Succeeded int // of these
	Failed    int // of these, failed or cancelled; the rest is under way
	// Ahead is how many wait for their first attempt at a webhook that is
	// enabled, counted up to [Replay.MaxAhead]: for whoever runs the replay.
	Ahead int

	CreatedBy   string // name of the actor
	CreatedAt   time.Time
	CompletedAt time.Time // zero until finished or cancelled
}

// MaxAhead bounds the deliveries that a replay has waiting for their first
// attempt, so that to pause it or to cancel it has an effect soon.
func (r *Replay) MaxAhead() int { return min(max(10, int(10*r.Rate)), maxAhead) }

const maxAhead = 1000

// Validate refuses a rate out of bounds. What is selected is looked at with it.
func (r *Replay) Validate() error {
	if !(r.Rate >= MinReplayRate && r.Rate <= MaxRateLimit) { // a NaN is neither
		return Errorf(Invalid, "A replay makes %v to %d deliveries a second, not %v.", MinReplayRate, MaxRateLimit, r.Rate)
	}
	return nil
}

// ReplayState is where a replay stands.
type ReplayState string

const (
	ReplayRunning   ReplayState = "running"   // makes deliveries
	ReplayPaused    ReplayState = "paused"    // by an operator; left by Resume or Cancel
	ReplayFinished  ReplayState = "finished"  // it has made them all. Final
	ReplayCancelled ReplayState = "cancelled" // by an operator; what was made stays. Final
)

// Selection says what a replay sends: either Deliveries, or all events within
// a time that match.
type Selection struct {
	// Deliveries, if there are any, are what is sent, at most
	// [MaxReplayDeliveries]; all other fields are empty then.
	Deliveries []DeliveryID

	// WebhookID is whose deliveries Which asks about, a deleted webhook's too.
	// Empty stands for the webhook that the replay goes to, or else for each
	// of the project's.
	WebhookID WebhookID
	Which     Which
	// Types of events; empty stands for all that the webhook that it goes to
	// wants, but for operational events that it was never owed: one may be
	// about itself. A webhook that is not named gets nothing that it does not want.
	// What a machine made is of a type like any other here: a webhook that skips
	// machines gets it if it is named together with the type, or if the delivery is.
	Types EventTypeSet
	// Since and Until bound the receipt of events. An empty Until is set to
	// the start of the replay, and what is accepted after that is never sent,
	// so that it ends. Tests are left out.
	Since, Until time.Time
}

// Validate refuses a selection that says two things, or nothing that there is.
func (s Selection) Validate() error {
	switch {
	case len(s.Deliveries) > MaxReplayDeliveries:
		return Errorf(Invalid, "A replay takes at most %d deliveries by their ids; these are %d.", MaxReplayDeliveries, len(s.Deliveries))
	case len(s.Deliveries) > 0 && (s.WebhookID != "" || s.Which != "" || s.Types != 0 || !s.Since.IsZero() || !s.Until.IsZero()):
		return Errorf(Invalid, "A replay takes either deliveries by their ids, or all events of a time that match.")
	case len(s.Deliveries) > 0:
		return nil
	case !s.Which.Valid():
		return Errorf(Invalid, "%q does not say which events a replay sends.", CutValue(string(s.Which)))
	case s.Types != 0 && s.Types.Known() == 0:
		return Errorf(Invalid, "There are no such event types.")
	}
	return nil
}

// Missed selects what a webhook that was enabled just now did not get while it
// was disabled; ok is false if it never was.
func (w *Webhook) Missed() (s Selection, ok bool) {
	return Selection{WebhookID: w.ID, Which: WhichUnsent, Since: w.DisabledAt, Until: now()}, w.Enabled && !w.DisabledAt.IsZero()
}

// ReplayRate is how many deliveries a second a replay to the webhook makes if
// nobody says otherwise: it leaves half of what the webhook takes to what happens now.
func (w *Webhook) ReplayRate() float64 {
	if w.RateLimit == 0 {
		return DefaultReplayRate
	}
	return max(w.RateLimit/2, MinReplayRate)
}

// Which says which events of the time are sent, by what became of them at the
// webhook.
type Which string

const (
	WhichFailed      Which = "failed"      // their last delivery failed
	WhichHeld        Which = "held"        // their delivery is held, or was cancelled
	WhichUnsent      Which = "unsent"      // there is no delivery: the webhook was off, newer than the event, or did not want it
	WhichUndelivered Which = "undelivered" // failed, held or unsent: whatever it has not got and will not get by itself
	WhichAll         Which = "all"         // whatever became of them
)

// Valid reports whether w is one of the five.
func (w Which) Valid() bool {
	switch w {
	case WhichFailed, WhichHeld, WhichUnsent, WhichUndelivered, WhichAll:
		return true
	}
	return false
}

// Picks reports whether an event is sent whose last delivery to the webhook is
// in the state; empty if there is none.
func (w Which) Picks(last State) bool {
	switch last {
	case StateFailed:
		return w == WhichFailed || w == WhichUndelivered || w == WhichAll
	case StateHeld, StateCancelled:
		return w == WhichHeld || w == WhichUndelivered || w == WhichAll
	case "":
		return w == WhichUnsent || w == WhichUndelivered || w == WhichAll
	}
	return w == WhichAll
}

// Bounds of replays.
const (
	MaxReplayDeliveries = 1000
	MaxRunningReplays   = 20 // in a project, paused ones too
	DefaultReplayRate   = 10 // for webhooks without a rate limit; others get half of it
	MinReplayRate       = 0.1
)

// ReplayPlan is what a replay would do.
type ReplayPlan struct {
	Count     int  // deliveries
	Complete  bool // false: the count was given up after some time, there are more
	ByType    map[EventType]int
	ByWebhook map[WebhookID]int
	Oldest    time.Time // receipt of the oldest event; zero if there is none
	OlderThan int       // how many are of events older than [ReplayOldAge]
}

// NewReplayPlan is of nothing yet.
func NewReplayPlan() ReplayPlan {
	return ReplayPlan{ByType: map[EventType]int{}, ByWebhook: map[WebhookID]int{}}
}

// Add counts a delivery to the webhook, of an event of the type that was received
// then, when the time is now.
func (p *ReplayPlan) Add(t EventType, to WebhookID, received, now time.Time) {
	p.Count++
	p.ByType[t]++
	p.ByWebhook[to]++
	if p.Oldest.IsZero() || received.Before(p.Oldest) {
		p.Oldest = received
	}
	if now.Sub(received) > ReplayOldAge {
		p.OlderThan++
	}
}

// ReplayOldAge is the age from which a plan warns.
const ReplayOldAge = 7 * 24 * time.Hour
