package storetest

import (
	"crypto/sha256"
	"errors"
	"strings"
	"time"

	"telltale.example/telltale"
)

// named is a request of the default project with a name and some content.
func (w *world) named(name, content string) telltale.IdempotentRequest {
	return telltale.IdempotentRequest{ProjectID: w.project.ID, KeyID: "key_1", Name: name, Hash: sha256.Sum256([]byte(content))}
}

// begin takes a name for the first time.
func (w *world) begin(r telltale.IdempotentRequest) {
	w.Helper()
	answer, err := w.BeginIdempotent(w.ctx, r)
	w.must(err)
	if answer != nil {
		w.Fatalf("a request that is new was answered already: %+v", answer)
	}
}

var created = telltale.IdempotentAnswer{
	Status: 201, Headers: []telltale.Header{{Name: "Content-Type", Value: "application/json"}, {Name: "Location", Value: "/v1/webhooks/whk_1"}}, Body: []byte("{\"a\":\"é\x00\"}"),
}

var idempotencyTests = []test{
	{"a request that is repeated gets the answer of the first", func(w *world) {
		r := w.named("a", "content")
		w.begin(r)
		w.must(w.EndIdempotent(w.ctx, r, &created))
		for range 2 {
			answer, err := w.BeginIdempotent(w.ctx, r)
			w.must(err)
			w.equal("the answer", answer, &created)
			w.restart()
		}
	}},
	{"an answer without a body is one", func(w *world) {
		r := w.named("a", "content")
		w.begin(r)
		w.must(w.EndIdempotent(w.ctx, r, &telltale.IdempotentAnswer{Status: 204}))
		answer, err := w.BeginIdempotent(w.ctx, r)
		w.must(err)
		w.equal("the answer", answer, &telltale.IdempotentAnswer{Status: 204})
	}},
	{"while the first is under way, another is a conflict", func(w *world) {
		r := w.named("a", "content")
		w.begin(r)
		_, err := w.BeginIdempotent(w.ctx, r)
		w.code(telltale.Conflict, err)
		w.Advance(telltale.IdempotencyInFlight - time.Second)
		w.restart()
		_, err = w.BeginIdempotent(w.ctx, r)
		w.code(telltale.Conflict, err)
	}},
	{"a request that never ended is given up, and its name free", func(w *world) {
		r := w.named("a", "content")
		w.begin(r)
		w.Advance(telltale.IdempotencyInFlight + time.Second)
		w.begin(r)
		w.Advance(telltale.IdempotencyInFlight + time.Second)
		w.begin(w.named("a", "other content"))
	}},
	{"a request that failed gives its name back", func(w *world) {
		r := w.named("a", "content")
		w.begin(r)
		w.must(w.EndIdempotent(w.ctx, r, nil))
		w.begin(w.named("a", "other content"))
		w.must(w.EndIdempotent(w.ctx, r, nil)) // it is not its own any more
		_, err := w.BeginIdempotent(w.ctx, w.named("a", "other content"))
		w.code(telltale.Conflict, err)
	}},
	{"another request of that name is refused, and told so", func(w *world) {
		r, other := w.named(strings.Repeat("a", 255), "content"), w.named(strings.Repeat("a", 255), "other content")
		w.begin(r)
		for range 2 {
			_, err := w.BeginIdempotent(w.ctx, other)
			w.code(telltale.Invalid, err)
			var e *telltale.Error
			if errors.As(err, &e); len(e.Faults) != 1 || len(e.Faults[0].Value) > 2*telltale.MaxFaultValue {
				w.Fatalf("the faults are %+v", e.Faults)
			}
			w.must(w.EndIdempotent(w.ctx, other, &telltale.IdempotentAnswer{Status: 500}))
			w.must(w.EndIdempotent(w.ctx, r, &created))
		}
		answer, err := w.BeginIdempotent(w.ctx, r)
		w.must(err)
		w.equal("the answer", answer, &created)
	}},
	{"names are told apart by project and key", func(w *world) {
		r := w.named("a", "content")
		w.begin(r)
		for _, change := range []func(*telltale.IdempotentRequest){
			func(r *telltale.IdempotentRequest) { r.ProjectID = w.newProject("other").ID },
			func(r *telltale.IdempotentRequest) { r.ProjectID = "" },
			func(r *telltale.IdempotentRequest) { r.KeyID = "key_2" },
			func(r *telltale.IdempotentRequest) { r.KeyID, r.Name = "", "key_1a" },
			func(r *telltale.IdempotentRequest) { r.Name = "A" },
		} {
			other := r
			change(&other)
			w.begin(other)
		}
	}},
	{"of many at once, one begins", func(w *world) {
		r := w.named("a", "content")
		errs := make(chan error)
		for range 8 {
			go func() {
				_, err := w.BeginIdempotent(w.ctx, r)
				errs <- err
			}()
		}
		began := 0
		for range 8 {
			if err := <-errs; err == nil {
				began++
			} else {
				w.code(telltale.Conflict, err)
			}
		}
		w.equal("how many began", began, 1)
	}},
	{"an answer is remembered for a day, purged or not", func(w *world) {
		for _, purge := range []bool{false, true} {
			r := w.named("a", "content")
			w.begin(r)
			w.must(w.EndIdempotent(w.ctx, r, &created))
			w.Advance(telltale.IdempotencyMemory - time.Second)
			if purge {
				w.purge(month)
			}
			answer, err := w.BeginIdempotent(w.ctx, r)
			w.must(err)
			w.equal("the answer", answer, &created)
			w.Advance(2 * time.Second)
			if purge {
				w.purge(month)
			}
			w.begin(w.named("a", "other content"))
			w.Advance(telltale.IdempotencyMemory)
		}
	}},
}
