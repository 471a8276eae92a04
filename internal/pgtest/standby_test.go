package pgtest

import (
	"testing"
	"time"
)

func TestAStandbyHasWhatItsPrimaryAcknowledged(t *testing.T) {
	primary := Start(t)
	standby, err := primary.Standby(0, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := standby.Remove(); err != nil {
			t.Error(err)
		}
	})
	if err := primary.Synchronous(true); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(time.Minute); ; <-time.After(20 * time.Millisecond) {
		state, err := primary.Exec("postgres", "SELECT sync_state FROM pg_stat_replication")
		if err != nil {
			t.Fatal(err)
		}
		if state == "sync" {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("the standby is %q", state)
		}
	}
	if _, err := primary.Exec("postgres", "CREATE TABLE t (n integer); INSERT INTO t VALUES (7)"); err != nil {
		t.Fatal(err)
	}
	if err := primary.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := standby.Promote(); err != nil {
		t.Fatal(err)
	}
	// It takes writes, without a standby of its own.
	if got, err := standby.Exec("postgres", "INSERT INTO t VALUES (8); SELECT sum(n) FROM t"); err != nil || got != "15" {
		t.Errorf("after the failover there is %q, %v", got, err)
	}
}
