package stored

import (
	"cmp"
	"math"
	"slices"
	"time"

	"telltale.example/telltale"
)

// StatKey names a row of fine steps.
type StatKey struct {
	Start   int64 // in steps since 1970
	Project int64
	Webhook int64 // 0: events
	Code    int64 // of their type
}

// FineInCoarse is how many fine steps a coarse one holds.
const FineInCoarse = int64(telltale.StatCoarseStep / telltale.StatStep)

// fineStep gives the step that a number of the line stands in.
func fineStep(number int64) int64 {
	return NumberMilli(number) / telltale.StatStep.Milliseconds()
}

// Happened gathers what is to be counted, so that a transaction that fails
// counts nothing, and one that commits adds to each row once.
type Happened []happening

type happening struct {
	StatKey
	fate   fate
	answer telltale.Answer
	took   time.Duration // of a success
}

// fate is what an attempt made of its delivery.
type fate int

const (
	fateEvent fate = iota // no attempt at all
	fateSucceeded
	fateFailed
	fateRetried
	fateCancelled // the webhook is deleted: neither failed nor retried
)

// Event counts an event that is no test. Those that Telltale makes about
// itself nobody sent, so they are not counted as accepted.
func (h *Happened) Event(number, project, code int64) {
	if EventTypes[code].Operational() {
		return
	}
	*h = append(*h, happening{StatKey: StatKey{fineStep(number), project, 0, code}})
}

// A CountedAttempt is what is in the log of an attempt that counts.
type CountedAttempt struct {
	Number, Delivery       int64
	Project, Webhook, Code int64
	StartedAt              int64 // ms
	Duration               int64 // µs
	Status                 int64
	State                  int64 // the delivery's, as it is shown, if the attempt is its last
}

// Attempt counts an attempt and what it made of the delivery.
func (h *Happened) Attempt(a CountedAttempt) {
	made := happening{StatKey: StatKey{fineStep(a.Number), a.Project, a.Webhook, a.Code}, answer: telltale.AnswerOf(int(a.Status)), fate: fateRetried}
	switch {
	case made.answer == telltale.Answer2xx:
		made.fate = fateSucceeded
		made.took = max(0, time.Duration(a.StartedAt-NumberMilli(a.Delivery))*time.Millisecond+time.Duration(a.Duration)*time.Microsecond)
	case a.State == StateFailed:
		made.fate = fateFailed
	case a.State == StateCancelled:
		made.fate = fateCancelled
	}
	*h = append(*h, made)
}

func (h *happening) addTo(s *telltale.Stat) {
	if h.fate == fateEvent {
		s.Events++
		return
	}
	s.Answers[h.answer]++
	switch h.fate {
	case fateSucceeded:
		s.Succeeded++
		s.Took.Observe(h.took)
	case fateFailed:
		s.Failed++
	case fateRetried:
		s.Retried++
	}
}

// AddTo adds what happened to the rows that it belongs to.
func (h Happened) AddTo(rows map[StatKey]*telltale.Stat) {
	for i := range h {
		stat := rows[h[i].StatKey]
		if stat == nil {
			stat = &telltale.Stat{}
			rows[h[i].StatKey] = stat
		}
		h[i].addTo(stat)
	}
}

// StatSearch adds up rows of one project into the steps that are asked for.
type StatSearch struct {
	Coarse  bool  // whether coarse rows are read, or fine ones
	First   int64 // of the steps that are read; all that reach into the time
	End     int64 // before this one
	Webhook int64 // 0 for all

	// WebhookID names a webhook; "" if it is so new that its counts are left
	// for the next reader.
	WebhookID func(number int64) telltale.WebhookID

	query telltale.StatQuery
	size  int64                      // of the steps that are read, in ms
	found map[StatKey]*telltale.Stat // by the start of the step, in ms
}

// StatAgeMatters reports whether it takes the time to say which rows are read.
func StatAgeMatters(q telltale.StatQuery) bool { return q.Step == 0 && !q.Since.IsZero() }

// NewStatSearch has fine rows read if they are asked for, or if the time that
// is asked about is short enough for them to be there still.
func NewStatSearch(q telltale.StatQuery, now time.Time) *StatSearch {
	s := &StatSearch{query: q, found: map[StatKey]*telltale.Stat{}, End: math.MaxInt64}
	if StatAgeMatters(q) {
		s.Coarse = now.Sub(q.Since) > telltale.StatFineAge
	} else {
		s.Coarse = q.Step%telltale.StatCoarseStep == 0
	}
	s.size = telltale.StatStep.Milliseconds()
	if s.Coarse {
		s.size = telltale.StatCoarseStep.Milliseconds()
	}
	if !q.Since.IsZero() {
		s.First = q.Since.UnixMilli() / s.size
	}
	if !q.Until.IsZero() {
		s.End = (CeilMilli(q.Until) + s.size - 1) / s.size
	}
	return s
}

// Add adds counts of a step of the size that is read.
func (s *StatSearch) Add(key StatKey, stat *telltale.Stat) {
	switch {
	case key.Start < s.First, key.Start >= s.End:
		return
	case s.Webhook != 0 && key.Webhook != s.Webhook:
		return
	case s.query.ByWebhook && key.Webhook == 0:
		return
	}
	group := StatKey{Start: key.Start * s.size}
	if step := s.query.Step.Milliseconds(); step > 0 {
		group.Start -= group.Start % step
	} else {
		group.Start = TimeMilli(s.query.Since)
	}
	if s.query.ByWebhook || s.Webhook != 0 {
		group.Webhook = key.Webhook
	}
	group.Code = -1
	if s.query.ByType {
		group.Code = key.Code
	}
	sum := s.found[group]
	if sum == nil {
		sum = &telltale.Stat{Start: MilliTime(group.Start), Type: Word(EventTypes, group.Code)}
		if s.query.ByWebhook {
			if sum.WebhookID = s.WebhookID(group.Webhook); sum.WebhookID == "" {
				return
			}
		}
		s.found[group] = sum
	}
	sum.Add(stat)
}

// Result gives the sums, sorted by time, webhook and type.
func (s *StatSearch) Result() []telltale.Stat {
	var all []telltale.Stat
	for _, stat := range s.found {
		all = append(all, *stat)
	}
	slices.SortFunc(all, func(a, b telltale.Stat) int {
		return cmp.Or(a.Start.Compare(b.Start), cmp.Compare(a.WebhookID, b.WebhookID), cmp.Compare(a.Type, b.Type))
	})
	return all
}
