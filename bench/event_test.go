package main

import (
	"encoding/json"
	"testing"
	"time"
)

func TestAppendEventIsOfOneSize(t *testing.T) {
	now := time.Now()
	size := len(appendEvent(nil, 0, now))
	if size < 680 || size > 720 {
		t.Errorf("%d bytes; want about 700", size)
	}
	for _, number := range []int64{1, 1_000_000, 899_999_999, 12_345_678_901} {
		body := appendEvent(nil, number, now)
		if len(body) != size || !json.Valid(body) {
			t.Errorf("event %d has %d bytes; want %d of JSON: %s", number, len(body), size, body)
		}
		if sent, ok := sentAt(body); !ok || !sent.Equal(now) {
			t.Errorf("event %d was sent at %v, %v; want %v", number, sent, ok, now)
		}
	}
	if sent, ok := sentAt([]byte(`{"type":"opened"}`)); ok {
		t.Errorf("an event without a time was sent at %v", sent)
	}
}

func TestAppendBatch(t *testing.T) {
	var events []struct {
		Type string
		User struct{ ID int64 }
	}
	if err := json.Unmarshal(appendBatch(nil, 7, 3, time.Now()), &events); err != nil {
		t.Fatal(err)
	}
	for i, e := range events {
		if want := int64(100_000_007 + i); e.Type != eventType || e.User.ID != want {
			t.Errorf("event %d is %+v; want user %d", i, e, want)
		}
	}
	if len(events) != 3 {
		t.Errorf("%d events; want 3", len(events))
	}
	if one := appendBatch(nil, 7, 1, time.Now()); one[0] != '{' {
		t.Errorf("one event is %s; want an object", one)
	}
}
