package auth

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"iter"
	"strings"

	"telltale.example/telltale"
)

// KeyRing holds the secret keys of an installation. It implements
// [telltale.Sealer] and may be used by several goroutines.
//
// What it seals is laid out as
//
//	version (1 byte, 1) | key id (4 bytes) | nonce (12) | ciphertext | tag (16)
//
// with AES-256-GCM, a random nonce and the row's name as additional data. The
// key id tells which key of the ring opens it. Random nonces are safe for 2^32
// seals with one key (NIST SP 800-38D, section 8.3), more than there will be.
type KeyRing struct{ keys []ringKey }

var _ telltale.Sealer = (*KeyRing)(nil)

type ringKey struct {
	id     [keyIDSize]byte
	secret []byte
	aead   cipher.AEAD
}

const (
	sealVersion = 1
	keyIDSize   = 4
	keySize     = 32
	maxKeys     = 100
	sealHead    = 1 + keyIDSize
)

// ParseKeyRing reads a key ring as SECRET_KEY and the key file hold it: one
// key per line, or several with commas, of 32 bytes in base64; blank lines and
// those that begin with # do not count. The error names the line and what to mend, and never a key.
func ParseKeyRing(text string) (*KeyRing, error) {
	ring := &KeyRing{}
	seen := map[[keyIDSize]byte]int{}
	for number, word := range keyWords(text) {
		secret, err := base64.StdEncoding.Strict().DecodeString(word)
		switch {
		case err != nil:
			return nil, fmt.Errorf("line %d is not base64: write a key as `openssl rand -base64 32` prints it", number)
		case len(secret) != keySize:
			return nil, fmt.Errorf("line %d holds a key of %d bytes, not %d: write one as `openssl rand -base64 32` prints it", number, len(secret), keySize)
		case bytes.Count(secret, secret[:1]) == keySize:
			return nil, fmt.Errorf("line %d holds a key of one repeated byte, which is no secret: write one as `openssl rand -base64 32` prints it", number)
		case len(ring.keys) == maxKeys:
			return nil, fmt.Errorf("there are more than %d keys: remove old ones that seal nothing any more", maxKeys)
		}
		key, err := newRingKey(secret)
		if err != nil {
			return nil, err
		}
		if first, twice := seen[key.id]; twice {
			return nil, fmt.Errorf("line %d repeats the key of line %d: remove one of the two", number, first)
		}
		seen[key.id] = number
		ring.keys = append(ring.keys, key)
	}
	if len(ring.keys) == 0 {
		return nil, errors.New("there is no key: add a line as `openssl rand -base64 32` prints it")
	}
	return ring, nil
}

// keyWords gives what stands for keys, with the numbers of their lines.
func keyWords(text string) iter.Seq2[int, string] {
	return func(yield func(int, string) bool) {
		number := 0
		for line := range strings.Lines(text) {
			number++
			if line = strings.TrimSpace(line); line == "" || line[0] == '#' {
				continue
			}
			for word := range strings.SplitSeq(line, ",") {
				if !yield(number, strings.TrimSpace(word)) {
					return
				}
			}
		}
	}
}

// newKeyLine makes a fresh key as a line of the file.
func newKeyLine() string {
	var secret [keySize]byte
	rand.Read(secret[:])
	return base64.StdEncoding.EncodeToString(secret[:])
}

// newRingKey derives from secret what seals and what names it, so that no key
// has two uses.
func newRingKey(secret []byte) (ringKey, error) {
	key := ringKey{secret: secret}
	copy(key.id[:], derive(secret, "key id"))
	block, err := aes.NewCipher(derive(secret, "seal"))
	if err != nil {
		return ringKey{}, fmt.Errorf("auth: making a cipher: %w", err)
	}
	if key.aead, err = cipher.NewGCMWithRandomNonce(block); err != nil {
		return ringKey{}, fmt.Errorf("auth: making a cipher: %w", err)
	}
	return key, nil
}

// derive gives the 32-byte sub-key of secret for one purpose (RFC 5869).
func derive(secret []byte, purpose string) []byte {
	sub, err := hkdf.Key(sha256.New, secret, nil, "telltale/"+purpose, keySize)
	if err != nil {
		// It fails only for lengths that HKDF cannot give, or in a FIPS mode
		// for keys that are too short; ours are neither.
		panic("auth: deriving a key: " + err.Error())
	}
	return sub
}

// Derive gives a 32-byte key for one purpose, such as "cursor", from the key
// that seals: after a rotation it is another one.
func (r *KeyRing) Derive(purpose string) []byte { return derive(r.keys[0].secret, "derived/"+purpose) }

// Seal encrypts plain for one row with the first key.
func (r *KeyRing) Seal(plain []byte, row string) ([]byte, error) {
	if row == "" {
		return nil, errors.New("auth: sealing a secret: it needs the name of its row")
	}
	key := r.keys[0]
	sealed := make([]byte, 0, sealHead+key.aead.Overhead()+len(plain))
	sealed = append(sealed, sealVersion)
	sealed = append(sealed, key.id[:]...)
	return key.aead.Seal(sealed, nil, plain, []byte(row)), nil //nolint:gosec // no nonce is given: this AEAD draws a random one for each seal
}

// Open decrypts what [KeyRing.Seal] made for the same row, with whichever key
// of the ring sealed it.
func (r *KeyRing) Open(sealed []byte, row string) ([]byte, error) {
	if len(sealed) < sealHead || sealed[0] != sealVersion {
		return nil, fmt.Errorf("auth: opening the secret of %q: it is not sealed, or by a later version", row)
	}
	id := sealed[1:sealHead]
	for _, key := range r.keys {
		if !bytes.Equal(key.id[:], id) {
			continue
		}
		plain, err := key.aead.Open(nil, nil, sealed[sealHead:], []byte(row))
		if err != nil {
			return nil, fmt.Errorf("auth: opening the secret of %q: it was changed, or sealed for another row", row)
		}
		return plain, nil
	}
	return nil, fmt.Errorf("auth: opening the secret of %q: it was sealed with the key %s, which is not in the key ring (secret.key or TELLTALE_SECRET_KEY): put that key back, below the first", row, hex.EncodeToString(id))
}

// Keys names the keys of the ring, the one that seals first.
func (r *KeyRing) Keys() []string {
	names := make([]string, len(r.keys))
	for i, key := range r.keys {
		names[i] = hex.EncodeToString(key.id[:])
	}
	return names
}

// KeyOf names the key that sealed it, or says that it is not sealed.
func (r *KeyRing) KeyOf(sealed []byte) string {
	if len(sealed) < sealHead || sealed[0] != sealVersion {
		return "of another version"
	}
	return hex.EncodeToString(sealed[1:sealHead])
}
