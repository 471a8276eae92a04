package stored

import (
	"encoding/binary"
	"errors"

	"telltale.example/telltale"
)

func EncodeWindow(b *telltale.Breaker) []byte {
	if b.WindowStart.IsZero() {
		return nil
	}
	encoded := make([]byte, 0, 2*len(b.Window))
	for _, m := range b.Window {
		encoded = binary.AppendUvarint(binary.AppendUvarint(encoded, uint64(m.Attempts)), uint64(m.Failures))
	}
	return encoded
}

func DecodeWindow(encoded []byte, b *telltale.Breaker) error {
	if encoded == nil {
		return nil
	}
	for i := range b.Window {
		for _, count := range [...]*int{&b.Window[i].Attempts, &b.Window[i].Failures} {
			v, n := binary.Uvarint(encoded)
			if n <= 0 {
				return errors.New("its window cannot be read")
			}
			*count, encoded = int(v), encoded[n:]
		}
	}
	return nil
}
