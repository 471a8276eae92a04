package sqlite

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"math/rand/v2"
	"slices"
	"testing"
	"testing/quick"
	"time"

	"github.com/google/go-cmp/cmp"

	"telltale.example/telltale"
)

// What is in databases stays readable: numbers keep their meaning, and the
// forms of blobs and hashes stay as they are.
func TestStoredFormsDoNotChange(t *testing.T) {
	t.Parallel()
	types := []telltale.EventType{"sent", "delivered", "opened", "clicked", "failed", "bounced", "converted", "unsubscribed", "resubscribed", "complained", "user_created", "user_updated"}
	if !slices.Equal(eventTypes[:12], types) {
		t.Errorf("event types: %q", eventTypes)
	}
	if want := []telltale.Trigger{"automatic", "manual", "test", "replay"}; !slices.Equal(triggers[:4], want) {
		t.Errorf("triggers: %q", triggers)
	}
	if want := []telltale.Health{"never_used", "healthy", "failing"}; !slices.Equal(healths[:3], want) {
		t.Errorf("health: %q", healths)
	}
	if want := []telltale.DisabledReason{"", "manual", "gone", "blocked", "failing"}; !slices.Equal(disabledReasons[:5], want) {
		t.Errorf("reasons: %q", disabledReasons)
	}
	if want := []telltale.ReplayState{"", "", "running", "paused", "finished", "cancelled"}; !slices.Equal(replayStates[:6], want) || replayRunning != 2 || replayFinished != 4 {
		t.Errorf("states of replays: %q", replayStates)
	}
	if want := []telltale.Which{"failed", "held", "unsent", "undelivered", "all"}; !slices.Equal(whichWords[:5], want) {
		t.Errorf("which events are replayed: %q", whichWords)
	}
	if want := []telltale.ImportState{"", "", "running", "paused", "finished", "failed", "cancelled"}; !slices.Equal(importStates[:7], want) || importRunning != 2 || importFinished != 4 || importFailed != 5 {
		t.Errorf("states of imports: %q", importStates)
	}
	if want := []telltale.ImportKind{"profiles", "events", "unsubscribes"}; !slices.Equal(importKinds[:3], want) {
		t.Errorf("what is imported: %q", importKinds)
	}
	for value, want := range map[string]uint16{"": 0, "42": 0x5fad, "jo@example.com": 0x5494} {
		if got := shortHash("prj_x", value); got != want {
			t.Errorf("the short hash of %q is %#x", value, got)
		}
	}
	ids := numberIDs{salt: [16]byte{1, 2, 3}}
	if got := ids.delivery(1767225600123<<numberBits | 5); got != "dlv_01KDVDNA3V02YX1WKZ77MCF6KS" {
		t.Errorf("the id of a delivery is %s", got)
	}
	sum := sha256.Sum256([]byte(joinNames(headerNames[:52])))
	if got := hex.EncodeToString(sum[:8]); got != "948993ae9bdccf4e" {
		t.Errorf("the first 52 names of headers have the hash %s", got)
	}
	if got := hex.EncodeToString(encodeExchange(exampleAttempt())); got != "01d00f000006809c9c39010d3139322e302e322e313a34343304504f53541268747470733a2f2f612e6578616d706c652f0201106170706c69636174696f6e2f6a736f6e000178000107036e6f77" {
		t.Errorf("an exchange is stored as %s", got)
	}
}

func joinNames(names []string) string {
	var b bytes.Buffer
	for _, name := range names {
		b.WriteString(name + "\n")
	}
	return b.String()
}

func exampleAttempt() *telltale.Attempt {
	return &telltale.Attempt{
		Timing: telltale.Timing{DNS: time.Millisecond, FirstByte: 3 * time.Microsecond}, RetryAfter: time.Minute, RemoteAddr: "192.0.2.1:443",
		Request:  telltale.SentRequest{Method: "POST", URL: "https://a.example/", Headers: []telltale.Header{{Name: "Content-Type", Value: "application/json"}, {Name: "x", Value: ""}}},
		Response: telltale.GotResponse{Headers: []telltale.Header{{Name: "Date", Value: "now"}}, Truncated: true},
	}
}

func FuzzDecodeExchange(f *testing.F) {
	f.Add([]byte{})
	f.Add([]byte{2})
	f.Add(encodeExchange(exampleAttempt()))
	f.Add([]byte("\x010\xdd\xdd\xdd\xdd\xdd\xdd\xdd00000\x00\x00\x010\x00\x010\x03000")) // more microseconds than a duration holds
	f.Fuzz(func(t *testing.T, b []byte) {
		var a telltale.Attempt
		if decodeExchange(b, &a) != nil || len(b) == 0 {
			return
		}
		var again telltale.Attempt
		if err := decodeExchange(encodeExchange(&a), &again); err != nil {
			t.Fatalf("what was decoded cannot be encoded: %v", err)
		}
		if diff := cmp.Diff(a, again); diff != "" {
			t.Fatalf("decoded, encoded and decoded it differs:\n%s", diff)
		}
	})
}

func FuzzDeliveryID(f *testing.F) {
	ids := numberIDs{salt: [16]byte{7}}
	f.Add("")
	f.Add(string(ids.delivery(1767225600123 << numberBits)))
	f.Add(string(telltale.NewDeliveryID()))
	f.Fuzz(func(t *testing.T, id string) {
		if number, ok := ids.ofDelivery(telltale.DeliveryID(id)); ok && string(ids.delivery(number)) != id {
			t.Errorf("%q is the number %d, which has the id %s", id, number, ids.delivery(number))
		}
	})
}

func TestIDsOfDeliveries(t *testing.T) {
	t.Parallel()
	ours, others := numberIDs{salt: [16]byte{1}}, numberIDs{salt: [16]byte{2}}
	check := func(a, b uint64) bool {
		x, y := int64(a>>11), int64(b>>11) // 53 bits
		id := ours.delivery(x)
		number, ok := ours.ofDelivery(id)
		_, theirs := others.ofDelivery(id)
		return ok && number == x && !theirs && telltale.ValidID("dlv_", string(id)) && (x < y) == (id < ours.delivery(y))
	}
	if err := quick.Check(check, nil); err != nil {
		t.Error(err)
	}
	near := func(a uint64) bool { x := int64(a >> 12); return ours.delivery(x) < ours.delivery(x+1) }
	if err := quick.Check(near, nil); err != nil {
		t.Error(err)
	}
}

func TestNumbersRise(t *testing.T) {
	t.Parallel()
	noon := time.UnixMilli(1767225600000)
	for _, test := range []struct {
		name string
		last int64
		now  time.Time
		want int64
	}{
		{"the first of a millisecond is its first number", 0, noon, 1767225600000 << numberBits},
		{"the second follows", 1767225600000 << numberBits, noon, 1767225600000<<numberBits + 1},
		{"a clock that went back is not followed", 1767225600000<<numberBits + 9, noon.Add(-time.Hour), 1767225600000<<numberBits + 10},
		{"a later millisecond begins anew", 1767225600000<<numberBits + 9, noon.Add(time.Millisecond), 1767225600001 << numberBits},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := nextNumber(test.last, test.now); got != test.want {
				t.Errorf("nextNumber(%d, %v) = %d, not %d", test.last, test.now, got, test.want)
			}
		})
	}
	if firstNumber(time.Date(2109, 1, 1, 0, 0, 0, 0, time.UTC)) >= 1<<53 {
		t.Error("the numbers of 2109 are not exact in JSON")
	}
}

func TestADigestFindsWhatWasAdded(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(1, 2))
	var digested tail
	var numbers []int64
	var prints []fingerprint
	number := int64(1767225600000 << numberBits)
	for range 2000 {
		number += 1 + random.Int64N(1_000_000)
		f := fingerprint{uint16(random.IntN(50)), uint16(random.IntN(50)), uint16(random.IntN(50))}
		numbers, prints = append(numbers, number), append(prints, f)
		digested = digested.add(number, f)
	}
	for hash := range uint16(60) {
		var want []int64
		for i, f := range prints {
			if slices.Contains(f[:], hash) {
				want = append(want, numbers[i])
			}
		}
		if got := digested.hits(hash); !slices.Equal(got, want) {
			t.Fatalf("the hash %d is found in %v, not in %v", hash, got, want)
		}
	}
	if digested.first != numbers[0] || digested.last != number {
		t.Errorf("the digest is of %d to %d", digested.first, digested.last)
	}
}
