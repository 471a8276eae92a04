package stored

import (
	"encoding/binary"
	"errors"

	"telltale.example/telltale"
)

// Counts are stored as varints: the numbers, then bucket and number for each
// bucket that holds something.

func EncodeCounts(s *telltale.Stat) []byte {
	b := make([]byte, 0, 64)
	for _, n := range [...]int{s.Events, s.Succeeded, s.Failed, s.Retried} {
		b = binary.AppendUvarint(b, uint64(n))
	}
	for _, n := range s.Answers {
		b = binary.AppendUvarint(b, uint64(n))
	}
	for bucket, n := range s.Took {
		if n != 0 {
			b = binary.AppendUvarint(binary.AppendUvarint(b, uint64(bucket)), uint64(n))
		}
	}
	return b
}

var errCounts = errors.New("counts cannot be read")

func DecodeCounts(b []byte, s *telltale.Stat) error {
	next := func() int {
		v, n := binary.Uvarint(b)
		if n <= 0 {
			b = nil
			return 0
		}
		b = b[n:]
		return int(v)
	}
	for _, n := range [...]*int{&s.Events, &s.Succeeded, &s.Failed, &s.Retried} {
		*n = next()
	}
	for i := range s.Answers {
		if len(b) == 0 {
			return errCounts
		}
		s.Answers[i] = next()
	}
	for len(b) > 0 {
		bucket := next()
		if bucket >= len(s.Took) || len(b) == 0 {
			return errCounts
		}
		s.Took[bucket] = next()
	}
	return nil
}
