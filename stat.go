package telltale

import (
	"math"
	"time"
)

// Stat counts what happened in one step of time. Tests are left out.
type Stat struct {
	Start     time.Time
	WebhookID WebhookID // empty unless asked for by webhook
	Type      EventType // empty unless asked for by type

	Events    int // accepted, operational ones left out; 0 where webhooks are told apart or one is asked for
	Succeeded int // deliveries that ended so
	Failed    int
	Retried   int          // attempts that failed and were not the last
	Answers   [Answers]int // attempts by what came back
	Took      Histogram    // from acceptance, or from when a replay made the delivery, to success
}

// Answer is a class of what came back from a receiver.
type Answer int

const (
	Answer2xx Answer = iota
	Answer3xx
	Answer4xx
	Answer5xx
	AnswerNone // no final status line
	Answers
)

// AnswerOf gives the class of a status; 0 is none.
func AnswerOf(status int) Answer {
	if class := status / 100; class >= 2 && class <= 5 {
		return Answer(class - 2)
	}
	return AnswerNone
}

// String is how filters write the class: 2xx, 3xx, 4xx, 5xx or none.
func (a Answer) String() string {
	if a >= 0 && a < AnswerNone {
		return [...]string{"2xx", "3xx", "4xx", "5xx"}[a]
	}
	return "none"
}

// Add adds the counts of o to s.
func (s *Stat) Add(o *Stat) {
	s.Events += o.Events
	s.Succeeded += o.Succeeded
	s.Failed += o.Failed
	s.Retried += o.Retried
	for i := range s.Answers {
		s.Answers[i] += o.Answers[i]
	}
	for i := range s.Took {
		s.Took[i] += o.Took[i]
	}
}

// StatQuery asks for counts.
type StatQuery struct {
	WebhookID    WebhookID // empty: the whole project
	Since, Until time.Time
	Step         time.Duration // [StatStep] up to a day, [StatCoarseStep] beyond, or whole multiples of these; 0: one step for it all
	ByWebhook    bool
	ByType       bool
}

// Validate refuses steps that cannot be told from what is kept.
func (q StatQuery) Validate() error {
	if q.Step < 0 || q.Step%StatStep != 0 {
		return Errorf(Invalid, "Counts are kept in steps of %v; they cannot be given in steps of %v.", StatStep, q.Step)
	}
	return nil
}

// Counts are kept in steps of StatStep for StatFineAge, and of StatCoarseStep
// as long as events are.
const (
	StatStep       = 5 * time.Minute
	StatFineAge    = 25 * time.Hour
	StatCoarseStep = time.Hour
)

// Histogram counts durations in buckets that grow by half: bucket i holds what
// took less than [HistogramBound](i), and no less than the bound before.
type Histogram [HistogramBuckets]int

// HistogramBuckets reach from under 1 ms to beyond three days.
const HistogramBuckets = 50

// HistogramBound is the upper end of a bucket.
func HistogramBound(bucket int) time.Duration {
	return time.Duration(float64(time.Millisecond) * math.Pow(1.5, float64(bucket)))
}

// Observe counts a duration.
func (h *Histogram) Observe(d time.Duration) { h[HistogramBucket(d)]++ }

// HistogramBucket is the bucket that a duration falls into.
func HistogramBucket(d time.Duration) int {
	if d < time.Millisecond {
		return 0
	}
	i := int(math.Log(float64(d)/float64(time.Millisecond))/math.Log(1.5)) + 1
	return min(i, HistogramBuckets-1)
}

// Quantile estimates the q-quantile, q in [0, 1], within its bucket by
// straight line; ok is false if there is nothing.
func (h *Histogram) Quantile(q float64) (d time.Duration, ok bool) {
	total := 0
	for _, n := range h {
		total += n
	}
	if total == 0 {
		return 0, false
	}
	rank := q * float64(total)
	below := 0.0
	for i, n := range h {
		if n == 0 {
			continue
		}
		if below+float64(n) >= rank {
			low := time.Duration(0)
			if i > 0 {
				low = HistogramBound(i - 1)
			}
			return low + time.Duration((rank-below)/float64(n)*float64(HistogramBound(i)-low)), true
		}
		below += float64(n)
	}
	return HistogramBound(HistogramBuckets - 1), true
}
