package storetest

import (
	"bytes"
	"errors"
)

// Sealer seals so that a test can tell: what is sealed cannot be read, and
// opens only in its row.
type Sealer struct{}

// Seal turns around some bits of each byte, the row's first.
func (Sealer) Seal(plain []byte, row string) ([]byte, error) {
	sealed := append([]byte(row+"\n"), plain...)
	for i := range sealed {
		sealed[i] ^= 0xa5
	}
	return sealed, nil
}

// Open gives back what Seal sealed for the row.
func (Sealer) Open(sealed []byte, row string) ([]byte, error) {
	plain := bytes.Clone(sealed)
	for i := range plain {
		plain[i] ^= 0xa5
	}
	plain, ok := bytes.CutPrefix(plain, []byte(row+"\n"))
	if !ok {
		return nil, errors.New("this was sealed for another row")
	}
	return plain, nil
}
