package telltale

import (
	"net/http"
	"time"
)

// State is where a delivery stands.
//
//	             ┌────────────── retry schedule ──────────────┐
//	             ▼                                            │
//	accepted ─► waiting ─► sending ─► succeeded               │
//	             ▲  │         ├─────► failed ─ retry ─► waiting
//	      enable │  │ disable └───────────────────────────────┘
//	             └ held
//	waiting, held ─ the webhook is deleted, or an operator cancels ─► cancelled
type State string

const (
	// StateWaiting: owed, due now or later. Reached on acceptance, after an
	// attempt that failed while the retry schedule has more, by Retry and when
	// the webhook is enabled again. Left by a claim.
	StateWaiting State = "waiting"
	// StateSending: claimed by a node, which attempts it now or within its
	// lane's turn. Left when the attempt is recorded or the claim is lost.
	StateSending State = "sending"
	// StateSucceeded: the receiver answered 2xx. Final.
	StateSucceeded State = "succeeded"
	// StateFailed: the schedule is used up, or the receiver said 410. Final
	// until someone retries or replays it.
	StateFailed State = "failed"
	// StateHeld: the webhook is disabled. Left when it is enabled or deleted.
	StateHeld State = "held"
	// StateCancelled: the webhook was deleted first, or an operator stopped the
	// retries. Final.
	StateCancelled State = "cancelled"
)

// States lists all states in the order of a delivery's life.
func States() []State {
	return []State{StateWaiting, StateSending, StateSucceeded, StateFailed, StateHeld, StateCancelled}
}

// Delivery is one event owed to one webhook.
type Delivery struct {
	ID           DeliveryID
	ProjectID    ProjectID
	EventID      EventID
	EventType    EventType
	WebhookID    WebhookID
	State        State
	AttemptCount int       // interrupted ones too
	DueAt        time.Time // of the next attempt; zero unless waiting
	CreatedAt    time.Time
	CompletedAt  time.Time // zero until succeeded, failed or cancelled
	Test         bool
	ReplayID     ReplayID // empty unless a replay made it

	// Of the last attempt: zero before the first and after a success.
	LastError  ErrorClass
	LastStatus int

	// For lists: who the event is about (the email, else the user's id), and
	// what came of the last attempt. Last is nil before the first.
	Recipient string
	Last      *LastAttempt

	Attempts []Attempt // of one delivery read by id, oldest first; lists leave it nil
}

// LastAttempt sums up the attempt that ended last, a success too.
type LastAttempt struct {
	StartedAt time.Time
	Duration  time.Duration
	Status    int
	Error     ErrorClass
	Failure   FailureCode
}

// Claim is a delivery that this node, and no other, may attempt until its
// lease ends. It carries all that the attempt needs: nothing is read again.
type Claim struct {
	ClaimRef
	ProjectID ProjectID
	Event     *Event   // shared by the event's deliveries; not to be changed
	Webhook   *Webhook // as the store knew it when it claimed; not to be changed
	Trigger   Trigger
	Test      bool
	ReplayID  ReplayID

	// Once means that no other attempt follows this one: it is a test, or the
	// retry of a delivery that had failed already.
	Once bool

	Attempt int           // the number of the coming attempt: 1, 2, …
	Step    int           // attempts of the retry schedule made so far; manual and interrupted ones do not count
	Tries   int           // attempts made since our last outage
	Age     time.Duration // since the first attempt began; 0 before it
}

// ClaimRef names a claim. Number rises with every claim of the delivery, and
// what is recorded under a number that is no longer the delivery's is not
// applied: a node that slept past its lease changes nothing.
type ClaimRef struct {
	DeliveryID DeliveryID
	Number     int64
}

// Outcome is what becomes of a delivery after an attempt.
type Outcome struct {
	State State         // waiting, succeeded or failed
	Wait  time.Duration // waiting: from the end of the attempt to the next one
	Step  int           // of the schedule, this attempt included if it counts

	// Disable, if not empty, disables the webhook with this reason, in the
	// same transaction, unless someone changed the webhook meanwhile.
	Disable DisabledReason
}

// MinThrottledWait is the least wait after a 429.
const MinThrottledWait = time.Minute

// After decides what becomes of the claimed delivery once attempt a ended. It
// only decides: the caller records. jitter in [0, 1) spreads the wait evenly
// over ±20 % of the schedule's.
func (c *Claim) After(a *Attempt, schedule Schedule, jitter float64) Outcome {
	step := c.Step
	if c.Trigger != TriggerManual && a.Error != ErrorInterrupted {
		step++
	}
	switch {
	case a.Success():
		return Outcome{State: StateSucceeded, Step: step}
	case a.Error == ErrorInterrupted && !c.Test:
		return Outcome{State: StateWaiting, Step: step}
	case a.Status == http.StatusGone && !c.Test:
		return Outcome{State: StateFailed, Step: step, Disable: DisabledGone}
	case c.Once:
		return Outcome{State: StateFailed, Step: step}
	}

	wait, more := schedule.next(step, c.Age+a.Duration, c.Tries+1)
	if !more {
		return Outcome{State: StateFailed, Step: step}
	}
	wait = time.Duration(float64(wait) * (0.8 + 0.4*jitter))
	switch {
	case a.Status == http.StatusTooManyRequests:
		wait = max(wait, a.RetryAfter, MinThrottledWait)
	case a.HonoursRetryAfter():
		wait = max(wait, a.RetryAfter)
	}
	return Outcome{State: StateWaiting, Wait: wait, Step: step}
}

// HonoursRetryAfter reports whether the answer is one whose Retry-After counts:
// the receiver said that it cannot, for now.
func (a *Attempt) HonoursRetryAfter() bool {
	switch a.Status {
	case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return true
	}
	return a.Error == ErrorTimeout
}
