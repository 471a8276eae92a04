package storetest

import (
	"fmt"
	"time"

	"telltale.example/telltale"
)

func (w *world) newBin(project telltale.ProjectID) telltale.Bin {
	w.Helper()
	b := telltale.NewBin(project)
	b.CreatedAt = milli(w.Now())
	b.ExpiresAt = b.CreatedAt.Add(telltale.BinLifetime)
	w.must(w.CreateBin(w.ctx, b))
	return b
}

func (w *world) caught(bin telltale.BinID, page telltale.Page) []telltale.CaughtRequest {
	w.Helper()
	caught, err := w.CaughtRequests(w.ctx, bin, page)
	w.must(err)
	return caught
}

func (w *world) newCaught(bin telltale.BinID) telltale.CaughtRequest {
	return telltale.CaughtRequest{
		ID: telltale.NewRequestID(), BinID: bin, ReceivedAt: milli(w.Now()), RemoteAddr: "192.0.2.7:1234", Method: "POST", Path: "/in/x?y=1",
		Headers: []telltale.Header{{Name: "Content-Type", Value: "application/json"}, {Name: "X-Odd", Value: "\xff"}},
		Body:    []byte("{\"a\":\x00}"), Verdict: telltale.VerdictUnsigned,
	}
}

var binTests = []test{
	{"a bin is found by its id alone", func(w *world) {
		b := w.newBin(w.project.ID)
		for range 2 {
			got, err := w.Bin(w.ctx, b.ID)
			w.must(err)
			w.equal("the bin", got, b)
			w.restart()
		}
		_, err := w.Bin(w.ctx, "nonsense")
		w.code(telltale.NotFound, err)
	}},
	{"a bin answers as it is told, from its making on or later", func(w *world) {
		failing := telltale.BinAnswer{Status: 503, Delay: 1500 * time.Millisecond, Body: "bùsy\x00", RetryAfter: "120", Reset: true}
		made := telltale.NewBin(w.project.ID)
		made.Answer = failing
		w.must(w.CreateBin(w.ctx, made))
		told := w.newBin(w.project.ID)
		changed, err := w.UpdateBin(w.ctx, w.project.ID, told.ID, failing)
		w.must(err)
		told.Answer = failing
		w.equal("the changed bin", changed, told)
		for range 2 {
			for _, b := range []telltale.Bin{made, told} {
				got, err := w.Bin(w.ctx, b.ID)
				w.must(err)
				w.equal("the answer", got.Answer, failing)
			}
			bins, err := w.Bins(w.ctx, w.project.ID)
			w.must(err)
			w.equal("the answers in the list", ids(bins, func(b telltale.Bin) telltale.BinAnswer { return b.Answer }), []telltale.BinAnswer{failing, failing})
			w.restart()
		}
		_, err = w.UpdateBin(w.ctx, w.project.ID, told.ID, telltale.BinAnswer{})
		w.must(err)
		got, err := w.Bin(w.ctx, told.ID)
		w.must(err)
		w.equal("the usual answer", got.Answer, telltale.BinAnswer{})
	}},
	{"only its own project tells a bin what to answer, until it expires", func(w *world) {
		other := w.newProject("other")
		b := w.newBin(w.project.ID)
		answer := telltale.BinAnswer{Status: 500}
		_, err := w.UpdateBin(w.ctx, other.ID, b.ID, answer)
		w.code(telltale.NotFound, err)
		_, err = w.UpdateBin(w.ctx, w.project.ID, "nonsense", answer)
		w.code(telltale.NotFound, err)
		got, err := w.Bin(w.ctx, b.ID)
		w.must(err)
		w.equal("the bin", got, b)
		w.Advance(telltale.BinLifetime + time.Minute)
		_, err = w.UpdateBin(w.ctx, w.project.ID, b.ID, answer)
		w.code(telltale.NotFound, err)
	}},
	{"a bin expires", func(w *world) {
		b := w.newBin(w.project.ID)
		w.must(w.CatchRequest(w.ctx, w.newCaught(b.ID)))
		w.Advance(telltale.BinLifetime - time.Minute)
		_, err := w.Bin(w.ctx, b.ID)
		w.must(err)
		w.Advance(2 * time.Minute)
		_, err = w.Bin(w.ctx, b.ID)
		w.code(telltale.NotFound, err)
		bins, err := w.Bins(w.ctx, w.project.ID)
		w.must(err)
		w.equal("the bins", len(bins), 0)
		if err := w.CatchRequest(w.ctx, w.newCaught(b.ID)); telltale.CodeOf(err) != telltale.NotFound {
			w.Fatalf("an expired bin caught a request: %v", err)
		}
	}},
	{"a project's bins are listed newest first", func(w *world) {
		other := w.newProject("other")
		w.newBin(other.ID)
		a := w.newBin(w.project.ID)
		w.Advance(time.Second)
		b := w.newBin(w.project.ID)
		bins, err := w.Bins(w.ctx, w.project.ID)
		w.must(err)
		w.equal("the bins", bins, []telltale.Bin{b, a})
	}},
	{"a project has a bounded number of bins", func(w *world) {
		first := w.newBin(w.project.ID)
		for range telltale.MaxBins - 1 {
			w.newBin(w.project.ID)
		}
		w.code(telltale.Conflict, w.CreateBin(w.ctx, telltale.NewBin(w.project.ID)))
		w.newBin(w.newProject("other").ID)
		w.must(w.DeleteBin(w.ctx, w.project.ID, first.ID))
		w.newBin(w.project.ID)
		w.Advance(telltale.BinLifetime + time.Minute)
		w.newBin(w.project.ID)
	}},
	{"a bin is deleted with what it caught, by its project only", func(w *world) {
		other := w.newProject("other")
		b := w.newBin(w.project.ID)
		w.must(w.CatchRequest(w.ctx, w.newCaught(b.ID)))
		w.code(telltale.NotFound, w.DeleteBin(w.ctx, other.ID, b.ID))
		w.code(telltale.NotFound, w.DeleteBin(w.ctx, w.project.ID, "nonsense"))
		w.must(w.DeleteBin(w.ctx, w.project.ID, b.ID))
		_, err := w.Bin(w.ctx, b.ID)
		w.code(telltale.NotFound, err)
		w.equal("what it caught", len(w.caught(b.ID, telltale.Page{Limit: 10})), 0)
		w.code(telltale.NotFound, w.DeleteBin(w.ctx, w.project.ID, b.ID))
	}},
	{"a bin in the list says how many requests it holds", func(w *world) {
		a := w.newBin(w.project.ID)
		w.Advance(time.Second)
		b := w.newBin(w.project.ID)
		for range 3 {
			w.must(w.CatchRequest(w.ctx, w.newCaught(a.ID)))
		}
		bins, err := w.Bins(w.ctx, w.project.ID)
		w.must(err)
		a.Caught = 3
		w.equal("the bins", bins, []telltale.Bin{b, a})
	}},
	{"what a bin caught is listed without bodies too, and found one by one", func(w *world) {
		b, other := w.newBin(w.project.ID), w.newBin(w.project.ID)
		first, second := w.newCaught(b.ID), w.newCaught(b.ID)
		w.must(w.CatchRequest(w.ctx, first))
		w.must(w.CatchRequest(w.ctx, second))
		heads, err := w.CaughtHeads(w.ctx, b.ID, telltale.Page{Limit: 1})
		w.must(err)
		bare := second
		bare.Body = nil
		w.equal("the newest head", heads, []telltale.CaughtRequest{bare})
		heads, err = w.CaughtHeads(w.ctx, b.ID, telltale.Page{Limit: 2, After: string(second.ID)})
		w.must(err)
		w.equal("the older ones", len(heads), 1)
		got, err := w.CaughtRequest(w.ctx, b.ID, first.ID)
		w.must(err)
		w.equal("the request", got, first)
		_, err = w.CaughtRequest(w.ctx, other.ID, first.ID)
		w.code(telltale.NotFound, err)
		_, err = w.CaughtRequest(w.ctx, b.ID, "nonsense")
		w.code(telltale.NotFound, err)
	}},
	{"a request is read back as it was caught, newest first", func(w *world) {
		b := w.newBin(w.project.ID)
		first, second := w.newCaught(b.ID), w.newCaught(b.ID)
		second.Body, second.Headers, second.Truncated, second.Verdict = make([]byte, telltale.MaxCaughtBody), nil, true, "the signature is not valid"
		w.must(w.CatchRequest(w.ctx, first))
		w.must(w.CatchRequest(w.ctx, second))
		for range 2 {
			w.equal("what it caught", w.caught(b.ID, telltale.Page{Limit: 10}), []telltale.CaughtRequest{second, first})
			w.restart()
		}
	}},
	{"a bin keeps the newest requests, and they are paged", func(w *world) {
		b, other := w.newBin(w.project.ID), w.newBin(w.project.ID)
		kept := w.newCaught(other.ID)
		w.must(w.CatchRequest(w.ctx, kept))
		var newest telltale.RequestID
		for i := range telltale.MaxCaughtRequests + 3 {
			w.Advance(time.Millisecond) // ids of one rise only if nobody else makes some
			r := w.newCaught(b.ID)
			r.Path = fmt.Sprint("/", i)
			w.must(w.CatchRequest(w.ctx, r))
			newest = r.ID
		}
		all := w.caught(b.ID, telltale.Page{Limit: telltale.MaxPage})
		w.equal("how many it keeps", len(all), telltale.MaxCaughtRequests)
		w.equal("the newest and the oldest", []string{string(all[0].ID), all[len(all)-1].Path}, []string{string(newest), "/3"})
		w.equal("the other bin's", w.caught(other.ID, telltale.Page{Limit: 10}), []telltale.CaughtRequest{kept})
		pages(w, func(p telltale.Page) ([]telltale.CaughtRequest, error) { return w.CaughtRequests(w.ctx, b.ID, p) },
			func(r telltale.CaughtRequest) string { return string(r.ID) })
	}},
	{"a bin that does not exist catches nothing", func(w *world) {
		w.code(telltale.NotFound, w.CatchRequest(w.ctx, w.newCaught("nonsense")))
		w.equal("what it caught", len(w.caught("nonsense", telltale.Page{Limit: 10})), 0)
	}},
}
