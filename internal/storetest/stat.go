package storetest

import (
	"cmp"
	"slices"
	"time"

	"telltale.example/telltale"
)

func (w *world) stats(q telltale.StatQuery) []telltale.Stat {
	w.Helper()
	stats, err := w.Stats(w.ctx, w.project.ID, q)
	w.must(err)
	return stats
}

// total gives all counts of a time as one.
func (w *world) total(q telltale.StatQuery) telltale.Stat {
	w.Helper()
	stats := w.stats(q)
	if len(stats) > 1 {
		w.Fatalf("one step for it all is %d", len(stats))
	}
	if len(stats) == 0 {
		return telltale.Stat{}
	}
	stats[0].Start = time.Time{}
	return stats[0]
}

// answers counts as many of each class as are said.
func answers(counts map[telltale.Answer]int) (a [telltale.Answers]int) {
	for answer, n := range counts {
		a[answer] = n
	}
	return a
}

var statTests = []test{
	{"nothing is counted where nothing happened", func(w *world) {
		hook := w.newWebhook()
		for _, q := range []telltale.StatQuery{{}, {Step: telltale.StatStep}, {Step: 24 * time.Hour}, {WebhookID: hook.ID}, {ByWebhook: true, ByType: true}} {
			w.equal("the counts", len(w.stats(q)), 0)
		}
	}},
	{"events, attempts and ends are counted, at once and after a restart", func(w *world) {
		since := w.Now()
		hook := w.newWebhook()
		w.accept(w.newEvent(), w.newEvent())
		for _, c := range w.claim(hook.ID, 2) {
			w.fail(c)
		}
		failed := w.deliverOne()
		w.giveUp(failed)
		w.record(w.result(w.deliverOne(), 302))
		w.interruptedAttempt(w.deliverOne())
		w.Advance(90 * time.Second)
		for _, c := range w.claim(hook.ID, 2) {
			w.finish(c)
		}
		want := telltale.Stat{
			Events: 5, Succeeded: 2, Failed: 1, Retried: 4,
			Answers: answers(map[telltale.Answer]int{telltale.Answer2xx: 2, telltale.Answer3xx: 1, telltale.Answer5xx: 3, telltale.AnswerNone: 1}),
		}
		for range 3 {
			got := w.total(telltale.StatQuery{Since: since})
			took, ok := got.Took.Quantile(0.5)
			if !ok || took < time.Minute || took > 3*time.Minute {
				w.Fatalf("they took %v", took)
			}
			got.Took = telltale.Histogram{}
			w.equal("the counts", got, want)
			w.Advance(10 * time.Second)
			w.restart()
		}
	}},
	{"tests are not counted", func(w *world) {
		hook := w.newWebhook()
		claim, err := w.AcceptTest(w.ctx, *w.newEvent(), hook.ID)
		w.must(err)
		w.finish(claim)
		for range 2 {
			w.equal("the counts", len(w.stats(telltale.StatQuery{})), 0)
			w.restart()
		}
	}},
	{"a repetition is not counted", func(w *world) {
		w.accept(w.newEvent(called("a", "content")), w.newEvent(called("a", "content")))
		w.accept(w.newEvent(called("a", "content")))
		w.equal("the events", w.total(telltale.StatQuery{}).Events, 1)
	}},
	{"what is not applied is not counted", func(w *world) {
		w.newWebhook()
		claim := w.deliverOne()
		w.finish(claim)
		_, err := w.RecordAttempts(w.ctx, []telltale.Result{w.result(claim, 200)})
		w.must(err)
		w.equal("the successes", w.total(telltale.StatQuery{}).Succeeded, 1)
	}},
	{"counts stay what they are when a delivery moves on", func(w *world) {
		hook := w.newWebhook()
		failed, waiting := w.deliverOne(), w.deliverOne()
		w.giveUp(failed)
		w.fail(waiting)
		_, err := w.RetryDelivery(w.ctx, w.project.ID, failed.DeliveryID)
		w.must(err)
		_, err = w.CancelDelivery(w.ctx, w.project.ID, waiting.DeliveryID)
		w.must(err)
		want := telltale.Stat{Events: 2, Failed: 1, Retried: 1, Answers: answers(map[telltale.Answer]int{telltale.Answer5xx: 2})}
		w.equal("the counts", w.total(telltale.StatQuery{}), want)
		w.delete(hook.ID)
		w.restart()
		w.equal("the counts then", w.total(telltale.StatQuery{}), want)
	}},
	{"what fails for a deleted webhook neither failed nor is tried again", func(w *world) {
		hook := w.newWebhook()
		claim := w.deliverOne()
		w.delete(hook.ID)
		w.fail(claim)
		want := telltale.Stat{Events: 1, Answers: answers(map[telltale.Answer]int{telltale.Answer5xx: 1})}
		w.equal("the counts", w.total(telltale.StatQuery{}), want)
	}},
	{"counts are told apart by webhook, type and time", func(w *world) {
		w.Advance(w.Now().Truncate(24 * time.Hour).Add(24 * time.Hour).Sub(w.Now())) // all within one day
		hour := w.Now().UTC().Truncate(telltale.StatCoarseStep)
		all, opens := w.newWebhook(), w.newWebhook(wanting(telltale.Opened))
		w.finishAll(w.deliver(), w.deliver(ofType(telltale.Opened)))
		w.Advance(telltale.StatStep)
		w.finishAll(w.deliver(ofType(telltale.Opened)))
		w.Advance(telltale.StatCoarseStep)
		w.finishAll(w.deliver())

		type row struct {
			after time.Duration
			hook  telltale.WebhookID
			kind  telltale.EventType
			stat  [2]int // events, successes
		}
		const later = telltale.StatCoarseStep + telltale.StatStep
		first, second := all.ID, opens.ID
		for range 2 {
			for name, is := range map[string]struct {
				query telltale.StatQuery
				want  []row
			}{
				"in all":            {telltale.StatQuery{Since: hour}, []row{{0, "", "", [2]int{4, 6}}}},
				"for all time":      {telltale.StatQuery{}, []row{{0, "", "", [2]int{4, 6}}}},
				"by type":           {telltale.StatQuery{Since: hour, ByType: true}, []row{{0, "", telltale.Delivered, [2]int{2, 2}}, {0, "", telltale.Opened, [2]int{2, 4}}}},
				"by webhook":        {telltale.StatQuery{Since: hour, ByWebhook: true}, []row{{0, first, "", [2]int{0, 4}}, {0, second, "", [2]int{0, 2}}}},
				"of a webhook":      {telltale.StatQuery{Since: hour, WebhookID: second}, []row{{0, "", "", [2]int{0, 2}}}},
				"of nobody":         {telltale.StatQuery{Since: hour, WebhookID: telltale.NewWebhookID()}, nil},
				"in fine steps":     {telltale.StatQuery{Since: hour, Step: telltale.StatStep}, []row{{0, "", "", [2]int{2, 3}}, {telltale.StatStep, "", "", [2]int{1, 2}}, {later, "", "", [2]int{1, 1}}}},
				"in larger steps":   {telltale.StatQuery{Since: hour, Step: 2 * telltale.StatStep}, []row{{0, "", "", [2]int{3, 5}}, {telltale.StatCoarseStep, "", "", [2]int{1, 1}}}},
				"in coarse steps":   {telltale.StatQuery{Since: hour, Step: telltale.StatCoarseStep}, []row{{0, "", "", [2]int{3, 5}}, {telltale.StatCoarseStep, "", "", [2]int{1, 1}}}},
				"since":             {telltale.StatQuery{Since: hour.Add(telltale.StatStep), Step: telltale.StatStep}, []row{{telltale.StatStep, "", "", [2]int{1, 2}}, {later, "", "", [2]int{1, 1}}}},
				"until":             {telltale.StatQuery{Until: hour.Add(telltale.StatStep), Since: hour, Step: telltale.StatStep}, []row{{0, "", "", [2]int{2, 3}}}},
				"since within one":  {telltale.StatQuery{Since: hour.Add(time.Minute), Until: hour.Add(2 * time.Minute), Step: telltale.StatStep}, []row{{0, "", "", [2]int{2, 3}}}},
				"by all at once":    {telltale.StatQuery{Since: hour, Step: telltale.StatCoarseStep, ByWebhook: true, ByType: true}, []row{{0, first, telltale.Delivered, [2]int{0, 1}}, {0, first, telltale.Opened, [2]int{0, 2}}, {0, second, telltale.Opened, [2]int{0, 2}}, {telltale.StatCoarseStep, first, telltale.Delivered, [2]int{0, 1}}}},
				"in steps of a day": {telltale.StatQuery{Step: 24 * time.Hour}, []row{{hour.Truncate(24 * time.Hour).Sub(hour), "", "", [2]int{4, 6}}}},
			} {
				var got []row
				for _, s := range w.stats(is.query) {
					after := s.Start.Sub(hour)
					if is.query.Step == 0 {
						w.equal("the start of "+name, s.Start, is.query.Since)
						after = 0
					}
					got = append(got, row{after, s.WebhookID, s.Type, [2]int{s.Events, s.Succeeded}})
				}
				// Two webhooks of one moment have ids in any order.
				slices.SortFunc(is.want, func(a, b row) int {
					return cmp.Or(cmp.Compare(a.after, b.after), cmp.Compare(a.hook, b.hook), cmp.Compare(a.kind, b.kind))
				})
				if len(got) != len(is.want) {
					w.Fatalf("%s: the counts are %v, not %v", name, got, is.want)
				}
				for i := range got {
					if got[i] != is.want[i] {
						w.Fatalf("%s: the counts are %v, not %v", name, got, is.want)
					}
				}
			}
			w.restart()
		}
	}},
	{"steps that are not kept are refused", func(w *world) {
		for _, step := range []time.Duration{time.Minute, -time.Hour, telltale.StatStep + 1} {
			_, err := w.Stats(w.ctx, w.project.ID, telltale.StatQuery{Step: step})
			w.code(telltale.Invalid, err)
		}
	}},
	{"a project does not see another's counts", func(w *world) {
		other := w.newProject("other")
		hook := w.newWebhook()
		w.finish(w.deliverOne())
		for _, q := range []telltale.StatQuery{{}, {WebhookID: hook.ID}, {ByWebhook: true}} {
			stats, err := w.Stats(w.ctx, other.ID, q)
			w.must(err)
			w.equal("the counts", len(stats), 0)
		}
	}},
	{"fine counts go after a day, coarse ones with the events", func(w *world) {
		hook := w.newWebhook()
		w.finish(w.deliverOne())
		w.Advance(telltale.StatFineAge + time.Hour)
		w.finish(w.deliverOne())
		w.purge(month)
		w.equal("the fine steps", len(w.stats(telltale.StatQuery{Step: telltale.StatStep})), 1)
		w.equal("the successes", w.total(telltale.StatQuery{WebhookID: hook.ID}).Succeeded, 2)
		w.Advance(30*24*time.Hour - telltale.StatFineAge)
		w.purge(month)
		w.equal("the successes after a month", w.total(telltale.StatQuery{WebhookID: hook.ID}).Succeeded, 1)
	}},
	{"what is purged at once was counted", func(w *world) {
		w.newWebhook()
		w.finish(w.deliverOne())
		w.Advance(time.Millisecond)
		_, _, err := w.Purge(w.ctx, telltale.Retention{Events: time.Nanosecond})
		w.must(err)
		w.restart()
		w.equal("the successes", w.total(telltale.StatQuery{Since: w.Now().Add(-time.Hour)}).Succeeded, 1)
	}},
	{"many rows are counted", func(w *world) {
		for range 60 {
			w.newWebhook()
		}
		types := telltale.EventTypes()
		batch := make([]*telltale.Event, 5*len(types))
		for i := range batch {
			batch[i] = w.newEvent(ofType(types[i%len(types)]))
		}
		var results []telltale.Result
		for _, c := range w.acceptWith(newRoom(1000), batch...).Claims {
			results = append(results, w.result(c, 200))
		}
		w.record(results...)
		for range 2 {
			w.equal("the successes", w.total(telltale.StatQuery{}).Succeeded, 60*len(batch))
			w.equal("the rows", len(w.stats(telltale.StatQuery{ByWebhook: true, ByType: true})), 60*len(types))
			w.restart()
		}
	}},
}

func (w *world) finishAll(claims ...[]telltale.Claim) {
	w.Helper()
	for _, some := range claims {
		for _, c := range some {
			w.finish(c)
		}
	}
}

// interruptedAttempt records that our node ended during the attempt.
func (w *world) interruptedAttempt(c telltale.Claim) { w.Helper(); w.record(w.interrupted(c)) }
