package stored

import "encoding/binary"

// Numbers are stored as 8 bytes each.

// EncodeNumbers gives nil for nil.
func EncodeNumbers(numbers []int64) []byte {
	var b []byte
	if numbers != nil {
		b = make([]byte, 0, 8*len(numbers))
	}
	for _, n := range numbers {
		b = binary.BigEndian.AppendUint64(b, uint64(n))
	}
	return b
}

// DecodeNumbers reads what EncodeNumbers made.
func DecodeNumbers(b []byte) []int64 {
	var numbers []int64
	for ; len(b) >= 8; b = b[8:] {
		numbers = append(numbers, int64(binary.BigEndian.Uint64(b)))
	}
	return numbers
}

// Ended is by how much the numbers of a replay change.
type Ended struct{ Succeeded, Failed int64 }

// Move counts a delivery of the replay that goes from one state to another.
func (e *Ended) Move(from, to int64) {
	e.add(from, -1)
	e.add(to, 1)
}

func (e *Ended) add(state, n int64) {
	switch state {
	case StateSucceeded:
		e.Succeeded += n
	case StateFailed, StateCancelled:
		e.Failed += n
	}
}
