package ingest

import (
	"math"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"telltale.example/telltale"
)

// rates holds each project to its ingest rate. There are as many limiters as
// projects with a rate, which an owner made one by one.
type rates struct {
	mu       sync.Mutex
	limiters map[telltale.ProjectID]*rate.Limiter
}

func newRates() *rates { return &rates{limiters: map[telltale.ProjectID]*rate.Limiter{}} }

// take takes n events out of the project's rate, or says when to come back. A
// request of more events than the burst goes through when nothing of the burst
// is used, and is paid for after: the project then waits until its average is
// its rate again.
func (r *rates) take(p telltale.Project, n int) error {
	if p.IngestRate <= 0 {
		return nil
	}
	l := r.limiter(p)
	now := time.Now()
	burst := l.Burst()
	first := l.ReserveN(now, min(n, burst))
	if wait := first.DelayFrom(now); wait > 0 {
		first.CancelAt(now)
		return &telltale.Error{
			Code: telltale.RateLimited, RetryAfter: wait,
			Message: "The project's ingest rate is used up. Send the events again after the time in Retry-After.",
		}
	}
	for n -= burst; n > 0; n -= burst {
		l.ReserveN(now, min(n, burst))
	}
	return nil
}

// limiter is the project's, set to what its rate is now.
func (r *rates) limiter(p telltale.Project) *rate.Limiter {
	limit, burst := rate.Limit(p.IngestRate), max(1, int(math.Ceil(p.IngestRate)))
	r.mu.Lock()
	defer r.mu.Unlock()
	l, ok := r.limiters[p.ID]
	switch {
	case !ok:
		l = rate.NewLimiter(limit, burst)
		r.limiters[p.ID] = l
	case l.Limit() != limit:
		l.SetLimit(limit)
		l.SetBurst(burst)
	}
	return l
}
