package main

import (
	"bytes"
	"context"
	"net/http"
	"strconv"
	"testing"
	"time"

	"telltale.example/telltale/signature"
)

// A sink in a process of its own, with real requests of net/http's client.
func TestSinkCountsRight(t *testing.T) {
	ctx := t.Context()
	sink := startTestSink(t)
	good, other := signature.NewSecret(), signature.NewSecret()
	if err := sink.expect(ctx, map[string]pathConfig{
		"/good": {Secret: good.Reveal(), VerifyEvery: 1, Latency: true},
		"/bad":  {Secret: other.Reveal(), VerifyEvery: 2},
	}); err != nil {
		t.Fatal(err)
	}
	signer := signature.NewSigner(good)
	sent := time.Now().Add(-time.Second)
	body := appendEvent(nil, 1, sent)
	client := &http.Client{}
	post := func(path, id string) int {
		t.Helper()
		r, err := http.NewRequestWithContext(ctx, http.MethodPost, sink.url(path), bytes.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		now := time.Now()
		r.Header.Set(signature.HeaderID, id)
		r.Header.Set(signature.HeaderTimestamp, strconv.FormatInt(now.Unix(), 10))
		r.Header.Set(signature.HeaderSignature, signer.Sign(id, now, body))
		answer, err := client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		answer.Body.Close()
		return answer.StatusCode
	}
	for _, p := range []struct{ path, id string }{{"/good", "evt_1"}, {"/good", "evt_2"}, {"/good", "evt_1"}, {"/bad", "evt_3"}, {"/bad", "evt_4"}} {
		if status := post(p.path, p.id); status != http.StatusOK {
			t.Errorf("%s answered %d; want 200", p.path, status)
		}
	}
	if status := post("/nobody", "evt_5"); status != http.StatusNotFound {
		t.Errorf("a path that nobody asked for answered %d; want 404", status)
	}

	counts, err := sink.counts(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if counts.Hits != 5 || counts.Strays != 1 || time.Since(time.Unix(0, counts.LastNS)) > time.Minute {
		t.Errorf("%+v; want 5 hits, the last just now, and 1 stray", counts)
	}
	tallies, err := sink.tallies(ctx)
	if err != nil {
		t.Fatal(err)
	}
	got := tallies["/good"]
	if got.Hits != 3 || got.Distinct != 2 || got.Verified != 3 || got.Refused != 0 || got.Bytes != 3*int64(len(body)) {
		t.Errorf("/good: %+v; want 3 hits of 2 events, 3 verified", got)
	}
	if want := hashID([]byte("evt_1")) + hashID([]byte("evt_2")); got.Fingerprint != want {
		t.Errorf("the fingerprint is %d; want %d", got.Fingerprint, want)
	}
	if len(got.Latencies) != 3 || got.Latencies[0] < 1000 || got.Latencies[0] > 60_000 {
		t.Errorf("latencies %v; want 3 of a little more than a second", got.Latencies)
	}
	if bad := tallies["/bad"]; bad.Hits != 2 || bad.Verified != 0 || bad.Refused != 1 || bad.Latencies != nil {
		t.Errorf("/bad: %+v; want 2 hits, one of them found to have a wrong signature", bad)
	}

	if err := sink.expect(ctx, map[string]pathConfig{"/good": {}}); err != nil {
		t.Fatal(err)
	}
	if counts, err = sink.counts(ctx); err != nil || counts != (sinkCounts{}) {
		t.Errorf("after a fresh start: %+v, %v; want nothing", counts, err)
	}
}

func TestSinkHangs(t *testing.T) {
	sink := startTestSink(t)
	if err := sink.expect(t.Context(), map[string]pathConfig{"/hang": {Hang: true}}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := exchange(ctx, &http.Client{}, http.MethodPost, sink.url("/hang"), nil, nil, nil); err == nil || ctx.Err() == nil {
		t.Errorf("it answered (%v); want no answer", err)
	}
	counts, err := sink.counts(t.Context())
	if err != nil || counts.Hits != 1 {
		t.Errorf("%+v, %v; want 1 hit", counts, err)
	}
}

func startTestSink(t *testing.T) *sinkClient {
	t.Helper()
	sink, err := startSink(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := sink.process.stop(); err != nil {
			t.Error(err)
		}
	})
	return sink
}
