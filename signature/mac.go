package signature

import (
	"crypto/sha256"
	"encoding"
	"fmt"
	"hash"
	"strconv"
	"sync"
)

// mac is HMAC-SHA256 with the key worked in beforehand: the states of SHA-256
// after the inner and the outer padded key (FIPS 198-1, section 6, allows to
// keep them). It never changes, so any number of goroutines may use it, and a
// sum costs two hash blocks less and allocates nothing.
type mac struct{ inner, outer []byte }

func newMAC(key string) mac {
	if len(key) > sha256.BlockSize {
		sum := sha256.Sum256([]byte(key))
		key = string(sum[:])
	}
	state := func(pad byte) []byte {
		var block [sha256.BlockSize]byte
		copy(block[:], key)
		for i := range block {
			block[i] ^= pad
		}
		d := sha256.New()
		d.Write(block[:])
		s, err := d.(encoding.BinaryMarshaler).MarshalBinary()
		if err != nil {
			panic(fmt.Sprintf("signature: keeping the state of SHA-256: %v", err)) // documented not to happen
		}
		return s
	}
	return mac{inner: state(0x36), outer: state(0x5c)}
}

// scratch is what one signing needs for its duration.
type scratch struct {
	digest interface {
		hash.Hash
		encoding.BinaryUnmarshaler
	}
	head []byte // "id.timestamp.", the part of the signed content before the body
	text []byte // a signature being written
	sum  [sha256.Size]byte
}

// scratches holds nothing but idle memory; a pool per signer would be emptied
// between two uses when there are thousands of them.
var scratches = sync.Pool{New: func() any {
	s := new(scratch)
	s.digest = sha256.New().(interface {
		hash.Hash
		encoding.BinaryUnmarshaler
	})
	return s
}}

func borrow() *scratch { return scratches.Get().(*scratch) }

func (s *scratch) giveBack() {
	s.head, s.text = s.head[:0], s.text[:0]
	scratches.Put(s)
}

// sign gives the HMAC of head and body. It is overwritten by the next call.
func (s *scratch) sign(m mac, body []byte) []byte {
	s.load(m.inner)
	s.digest.Write(s.head)
	s.digest.Write(body)
	sum := s.digest.Sum(s.sum[:0])
	s.load(m.outer)
	s.digest.Write(sum)
	return s.digest.Sum(s.sum[:0])
}

func (s *scratch) load(state []byte) {
	if err := s.digest.UnmarshalBinary(state); err != nil {
		panic(fmt.Sprintf("signature: taking up the state of SHA-256: %v", err)) // it was made by newMAC
	}
}

// setHead starts the signed content {id}.{timestamp}.{body}.
func (s *scratch) setHead(id, timestamp string) {
	s.head = append(s.head[:0], id...)
	s.head = append(s.head, '.')
	s.head = append(s.head, timestamp...)
	s.head = append(s.head, '.')
}

func (s *scratch) setHeadUnix(id string, timestamp int64) {
	s.head = append(s.head[:0], id...)
	s.head = append(s.head, '.')
	s.head = strconv.AppendInt(s.head, timestamp, 10)
	s.head = append(s.head, '.')
}
