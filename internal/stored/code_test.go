package stored

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"testing"

	"telltale.example/telltale"
)

// What is in databases stays readable: numbers keep their meaning, and the
// forms of blobs and hashes stay as they are.
func TestStoredFormsDoNotChange(t *testing.T) {
	t.Parallel()
	types := []telltale.EventType{"sent", "delivered", "opened", "clicked", "failed", "bounced", "converted", "unsubscribed", "resubscribed", "complained", "user_created", "user_updated"}
	if !slices.Equal(EventTypes[:12], types) {
		t.Errorf("event types: %q", EventTypes)
	}
	if want := []telltale.Trigger{"automatic", "manual", "test", "replay"}; !slices.Equal(Triggers[:4], want) {
		t.Errorf("triggers: %q", Triggers)
	}
	if want := []telltale.Health{"never_used", "healthy", "failing"}; !slices.Equal(Healths[:3], want) {
		t.Errorf("health: %q", Healths)
	}
	if want := []telltale.DisabledReason{"", "manual", "gone", "blocked", "failing"}; !slices.Equal(DisabledReasons[:5], want) {
		t.Errorf("reasons: %q", DisabledReasons)
	}
	if want := []telltale.ReplayState{"", "", "running", "paused", "finished", "cancelled"}; !slices.Equal(ReplayStates[:6], want) || ReplayRunning != 2 || ReplayFinished != 4 {
		t.Errorf("states of replays: %q", ReplayStates)
	}
	if want := []telltale.Which{"failed", "held", "unsent", "undelivered", "all"}; !slices.Equal(WhichWords[:5], want) {
		t.Errorf("which events are replayed: %q", WhichWords)
	}
	if want := []telltale.ImportState{"", "", "running", "paused", "finished", "failed", "cancelled"}; !slices.Equal(ImportStates[:7], want) || ImportRunning != 2 || ImportFinished != 4 || ImportFailed != 5 {
		t.Errorf("states of imports: %q", ImportStates)
	}
	if want := []telltale.ImportKind{"profiles", "events", "unsubscribes"}; !slices.Equal(ImportKinds[:3], want) {
		t.Errorf("what is imported: %q", ImportKinds)
	}
	ids := IDs{Salt: [16]byte{1, 2, 3}}
	if got := ids.Delivery(1767225600123<<NumberBits | 5); got != "dlv_01KDVDNA3V02YX1WKZ77MCF6KS" {
		t.Errorf("the id of a delivery is %s", got)
	}
	sum := sha256.Sum256([]byte(joinNames(headerNames[:52])))
	if got := hex.EncodeToString(sum[:8]); got != "948993ae9bdccf4e" {
		t.Errorf("the first 52 names of headers have the hash %s", got)
	}
	if got := hex.EncodeToString(EncodeExchange(exampleAttempt())); got != "01d00f000006809c9c39010d3139322e302e322e313a34343304504f53541268747470733a2f2f612e6578616d706c652f0201106170706c69636174696f6e2f6a736f6e000178000107036e6f77" {
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
