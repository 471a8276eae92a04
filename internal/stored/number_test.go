package stored

import (
	"testing"
	"testing/quick"
	"time"

	"telltale.example/telltale"
)

func FuzzDeliveryID(f *testing.F) {
	ids := IDs{Salt: [16]byte{7}}
	f.Add("")
	f.Add(string(ids.Delivery(1767225600123 << NumberBits)))
	f.Add(string(telltale.NewDeliveryID()))
	f.Fuzz(func(t *testing.T, id string) {
		if number, ok := ids.OfDelivery(telltale.DeliveryID(id)); ok && string(ids.Delivery(number)) != id {
			t.Errorf("%q is the number %d, which has the id %s", id, number, ids.Delivery(number))
		}
	})
}

func TestIDsOfDeliveries(t *testing.T) {
	t.Parallel()
	ours, others := IDs{Salt: [16]byte{1}}, IDs{Salt: [16]byte{2}}
	check := func(a, b uint64) bool {
		x, y := int64(a>>11), int64(b>>11) // 53 bits
		id := ours.Delivery(x)
		number, ok := ours.OfDelivery(id)
		_, theirs := others.OfDelivery(id)
		return ok && number == x && !theirs && telltale.ValidID("dlv_", string(id)) && (x < y) == (id < ours.Delivery(y))
	}
	if err := quick.Check(check, nil); err != nil {
		t.Error(err)
	}
	near := func(a uint64) bool { x := int64(a >> 12); return ours.Delivery(x) < ours.Delivery(x+1) }
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
		{"the first of a millisecond is its first number", 0, noon, 1767225600000 << NumberBits},
		{"the second follows", 1767225600000 << NumberBits, noon, 1767225600000<<NumberBits + 1},
		{"a clock that went back is not followed", 1767225600000<<NumberBits + 9, noon.Add(-time.Hour), 1767225600000<<NumberBits + 10},
		{"a later millisecond begins anew", 1767225600000<<NumberBits + 9, noon.Add(time.Millisecond), 1767225600001 << NumberBits},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := NextNumber(test.last, test.now); got != test.want {
				t.Errorf("NextNumber(%d, %v) = %d, not %d", test.last, test.now, got, test.want)
			}
		})
	}
	if FirstNumber(time.Date(2109, 1, 1, 0, 0, 0, 0, time.UTC)) >= 1<<53 {
		t.Error("the numbers of 2109 are not exact in JSON")
	}
}
