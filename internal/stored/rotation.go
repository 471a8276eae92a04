package stored

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"telltale.example/telltale"
)

// SealedColumn is a column that is sealed, of a table whose rows have a number
// and an id.
type SealedColumn struct{ Table, Column string }

// SealedColumns are all columns that are sealed, in both engines, but the one of
// the table meta that shows which key is in use.
var SealedColumns = []SealedColumn{{"webhook", "headers"}, {"webhook", "basic_auth"}, {"webhook", "secrets"}, {"source", "credentials"}}

// Place names the place of the column in the row with that id.
func (c SealedColumn) Place(id string) string {
	if c.Table == "source" {
		return credentialsPlace(telltale.SourceID(id))
	}
	return SealedPlace(telltale.WebhookID(id), c.Column)
}

// ResealChunk is how many secrets are sealed anew in one transaction: what waits
// for it does not notice.
const ResealChunk = 100

// Secret is one that is sealed, in its row.
type Secret struct {
	SealedColumn
	Number int64
	ID     string
	Sealed []byte
	Was    []byte // before it was sealed anew
}

// Reseal opens it and seals it anew.
func (s *Secret) Reseal(sealer telltale.Sealer) error {
	plain, err := sealer.Open(s.Sealed, s.Place(s.ID))
	if err != nil {
		return err
	}
	s.Was = s.Sealed
	s.Sealed, err = sealer.Seal(plain, s.Place(s.ID))
	return err
}

// CanaryPlace names the place of what a store seals for no other purpose than to
// find out whether a node has the key.
const CanaryPlace = "meta/sealed"

// Canary seals it.
func Canary(sealer telltale.Sealer) ([]byte, error) {
	return sealer.Seal([]byte("telltale"), CanaryPlace)
}

// Rotation is what a store remembers of changes of the secret key, as JSON.
type Rotation struct {
	Leaving []string `json:"leaving,omitempty"` // names of keys whose secrets are being sealed anew
	Retired []string `json:"retired,omitempty"` // names of keys that seal nothing any more
}

// ParseRotation reads what [Rotation.String] wrote; "" is that of a store whose
// key never changed.
func ParseRotation(text string) (r Rotation, err error) {
	if text == "" {
		return r, nil
	}
	if err := json.Unmarshal([]byte(text), &r); err != nil {
		return r, fmt.Errorf("what is noted of changes of the secret key: %w", err)
	}
	return r, nil
}

func (r Rotation) String() string {
	text, _ := json.Marshal(r) //nolint:errchkjson // it is two lists of names
	return string(text)
}

// Leave notes that what the key sealed is sealed anew.
func (r *Rotation) Leave(key string) {
	if !slices.Contains(r.Leaving, key) {
		r.Leaving = append(r.Leaving, key)
	}
}

// Retire notes that nothing is sealed with the keys any more.
func (r *Rotation) Retire() {
	for _, key := range r.Leaving {
		if !slices.Contains(r.Retired, key) {
			r.Retired = append(r.Retired, key)
		}
	}
	r.Leaving = nil
}

// CheckKeys refuses a sealer that lacks the key of anything that is sealed: what it
// is about could not be opened, and what it would seal, other nodes could not open.
// It refuses one that would seal with a key that others moved away from, too: it
// would bring that back. held counts secrets by the name of the key that sealed
// them; canary is nil in a store that has none yet.
func CheckKeys(sealer telltale.Sealer, r Rotation, held map[string]int, canary []byte) error {
	keys := sealer.Keys()
	var missing []string
	for key, n := range held {
		if !slices.Contains(keys, key) {
			missing = append(missing, fmt.Sprintf("%s, which sealed %d of them", key, n))
		}
	}
	if len(missing) > 0 {
		slices.Sort(missing)
		return fmt.Errorf("the secret key is not the one that this database was made with, or it lacks others that sealed secrets there: put back into secret.key or TELLTALE_SECRET_KEY, below the first, the key %s; and before it is removed again, run telltale rotate-keys",
			strings.Join(missing, ", and the key "))
	}
	if canary == nil {
		return nil
	}
	if _, err := sealer.Open(canary, CanaryPlace); err != nil {
		return fmt.Errorf("the secret key is not the one that this database was made with, or that its other nodes have: put that one back: %w", err)
	}
	if slices.Contains(r.Leaving, keys[0]) || slices.Contains(r.Retired, keys[0]) {
		return fmt.Errorf("the secret key %s is not in use any more, since telltale rotate-keys: put the key %s above it in the key ring (secret.key or TELLTALE_SECRET_KEY)", keys[0], sealer.KeyOf(canary))
	}
	return nil
}

// RotationEntry tells the audit log that keys are changed, or retired.
func RotationEntry(action telltale.AuditAction, leaving []string, current string) telltale.AuditEntry {
	return telltale.AuditEntry{Action: action, Target: current, Changes: []telltale.AuditChange{{Field: "secret_key", Before: strings.Join(leaving, ", "), After: current}}}
}

// Rotating is one transaction of a change of the secret key, in terms of an engine.
type Rotating struct {
	Sealer   telltale.Sealer
	Rotation Rotation
	Canary   []byte          // nil if there is none
	Left     map[string]bool // names of the keys, but the first, that seal anything
	Chunk    []Secret        // what is sealed anew now
	Done     telltale.Resealed

	Store func(Secret) error
	Note  func(Rotation, []byte) error
	Audit func(telltale.AuditEntry) error
}

// Rotate does what an engine's Reseal does, on what it has read.
func Rotate(t Rotating) (telltale.Resealed, error) {
	first, r := t.Sealer.Keys()[0], t.Rotation
	var leaving []string
	for key := range t.Left {
		leaving = append(leaving, key)
	}
	if t.Canary != nil {
		if key := t.Sealer.KeyOf(t.Canary); key != first && !slices.Contains(leaving, key) {
			leaving = append(leaving, key)
		}
	}
	slices.Sort(leaving)
	leaving = slices.DeleteFunc(leaving, func(key string) bool { return slices.Contains(r.Leaving, key) })
	if len(leaving) > 0 {
		canary, err := Canary(t.Sealer)
		if err != nil {
			return telltale.Resealed{}, err
		}
		for _, key := range leaving {
			r.Leave(key)
		}
		t.Canary = canary
		if err := t.Audit(RotationEntry(telltale.AuditKeyRotationBegun, leaving, first)); err != nil {
			return telltale.Resealed{}, err
		}
	}
	for _, secret := range t.Chunk {
		if err := secret.Reseal(t.Sealer); err != nil {
			return telltale.Resealed{}, err
		}
		if err := t.Store(secret); err != nil {
			return telltale.Resealed{}, fmt.Errorf("sealing %s anew: %w", secret.Place(secret.ID), err)
		}
		t.Done.Sealed++
	}
	retiring := t.Done.Left == 0 && len(r.Leaving) > 0
	if retiring {
		gone := r.Leaving
		r.Retire()
		if err := t.Audit(RotationEntry(telltale.AuditSecretKeyRetired, gone, first)); err != nil {
			return telltale.Resealed{}, err
		}
	}
	if len(leaving) > 0 || retiring {
		if err := t.Note(r, t.Canary); err != nil {
			return telltale.Resealed{}, err
		}
	}
	t.Done.Retired = slices.Clone(r.Retired)
	return t.Done, nil
}
