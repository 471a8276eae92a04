package storetest

import (
	"bytes"
	"errors"
)

// Sealer seals so that a test can tell: what is sealed cannot be read, and
// opens only in its row. It is the names of its keys; without any there is one,
// called old.
type Sealer []string

const sealedBits = 0xa5

// Seal turns around some bits of each byte, those of the key's name and the row's first.
func (s Sealer) Seal(plain []byte, row string) ([]byte, error) {
	return turned([]byte(s.Keys()[0] + "\n" + row + "\n" + string(plain))), nil
}

// Open gives back what Seal sealed for the row with one of the keys.
func (s Sealer) Open(sealed []byte, row string) ([]byte, error) {
	plain := turned(bytes.Clone(sealed))
	for _, key := range s.Keys() {
		if plain, ok := bytes.CutPrefix(plain, []byte(key+"\n"+row+"\n")); ok {
			return plain, nil
		}
	}
	return nil, errors.New("this was sealed for another row, or with another key")
}

// Keys gives the names.
func (s Sealer) Keys() []string {
	if len(s) == 0 {
		return []string{"old"}
	}
	return s
}

// KeyOf gives the name of the key that sealed it.
func (s Sealer) KeyOf(sealed []byte) string {
	name, _, _ := bytes.Cut(turned(bytes.Clone(sealed)), []byte("\n"))
	return string(name)
}

func turned(bits []byte) []byte {
	for i := range bits {
		bits[i] ^= sealedBits
	}
	return bits
}
