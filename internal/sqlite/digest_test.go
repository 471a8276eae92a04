package sqlite

import (
	"math/rand/v2"
	"slices"
	"testing"

	"telltale.example/telltale/internal/stored"
)

// What is in databases stays readable: the hashes stay as they are.
func TestShortHashesDoNotChange(t *testing.T) {
	t.Parallel()
	for value, want := range map[string]uint16{"": 0, "42": 0x5fad, "jo@example.com": 0x5494} {
		if got := shortHash("prj_x", value); got != want {
			t.Errorf("the short hash of %q is %#x", value, got)
		}
	}
}

func TestADigestFindsWhatWasAdded(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(1, 2))
	var digested tail
	var numbers []int64
	var prints []fingerprint
	number := int64(1767225600000 << stored.NumberBits)
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
