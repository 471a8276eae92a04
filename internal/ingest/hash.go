package ingest

import (
	"crypto/sha256"
	"encoding/binary"
	"hash"
	"sync"

	"telltale.example/telltale"
)

// contentHash is the hash of what an activity says, taken before anything is
// filled in. The same event is the same content however it is indented and in
// whatever order its objects stand beside each other; another digit, escape or
// order of keys within an object is another content. The hash is compared with
// ones that earlier versions made, so how it is made never changes.
func contentHash(a *telltale.Activity) (sum [sha256.Size]byte) {
	w := hashWriters.Get().(*hashWriter)
	defer hashWriters.Put(w)
	w.hash.Reset()

	w.text(string(a.Type))
	for _, o := range [...]*telltale.Object{&a.Top, &a.User, &a.Campaign, &a.Trigger, &a.Changes} {
		w.buffer = o.AppendJSON(w.buffer[:0])
		w.part()
	}
	occurredAt := ""
	if !a.OccurredAt.IsZero() {
		occurredAt = a.OccurredAt.UTC().Format("2006-01-02T15:04:05.999999999Z")
	}
	machine := ""
	if a.Machine != nil {
		machine = "no"
		if *a.Machine {
			machine = "yes"
		}
	}
	for _, s := range [...]string{occurredAt, a.ProviderMessageID, a.ConversionEvent, a.URL, a.IP, machine} {
		w.text(s)
	}
	w.hash.Sum(sum[:0])
	return sum
}

// hashWriter hashes parts that cannot run into each other: each goes in behind
// its length.
type hashWriter struct {
	hash   hash.Hash
	buffer []byte
	length [8]byte
}

var hashWriters = sync.Pool{New: func() any { return &hashWriter{hash: sha256.New()} }}

func (w *hashWriter) text(s string) {
	w.buffer = append(w.buffer[:0], s...)
	w.part()
}

func (w *hashWriter) part() {
	binary.BigEndian.PutUint64(w.length[:], uint64(len(w.buffer)))
	w.hash.Write(w.length[:])
	w.hash.Write(w.buffer)
}
