package sqlite

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"math"
	"slices"
	"sync"

	"telltale.example/telltale"
)

// Events are found by user, address and message without an index on them: its
// keys would be random, and each event would touch three pages that nobody
// else touches. Instead each event adds ten bytes to a digest: its number,
// and 16 bits of a hash of each. Some hundred events make a row. A search
// reads the digests from the newest on, which is 100 MB for ten million
// events, and looks at the events that may match.
//
// A delivery that a replay makes stands far from its event, and has an entry
// of its own, so that lists of deliveries find it in its place.
//
// What is not a row yet is kept in memory, and made again when the store is
// opened.
const (
	// digestEvents make a row that fills a page.
	digestEvents = 800
	// An entry is the number less the digest's first, and three hashes.
	entrySize = 4 + 3*2
	// digestReach is how far numbers in one digest may lie apart.
	digestReach = math.MaxUint32
)

// A fingerprint is what a digest knows of an event: short hashes of its user,
// address and message, 0 for what it has not.
type fingerprint [3]uint16

func eventFingerprint(project telltale.ProjectID, e *telltale.Event) fingerprint {
	return fingerprint{shortHash(project, e.UserID), shortHash(project, e.Email), shortHash(project, e.MessageID)}
}

// shortHash is FNV-1a, folded. It is stored, so it stays as it is.
func shortHash(project telltale.ProjectID, value string) uint16 {
	if value == "" {
		return 0
	}
	h := uint64(14695981039346656037)
	for _, s := range [2]string{string(project), value} {
		for i := range len(s) {
			h = (h ^ uint64(s[i])) * 1099511628211
		}
	}
	h ^= h >> 32
	return max(uint16(h^h>>16), 1)
}

// tail is a digest that is not full. Its bytes are only ever appended to, so
// that readers may keep what they got.
type tail struct {
	first, last int64
	entries     []byte
}

func (t tail) add(number int64, f fingerprint) tail {
	if len(t.entries) == 0 {
		t.first = number
	}
	t.last = number
	t.entries = binary.LittleEndian.AppendUint32(t.entries, uint32(number-t.first))
	for _, hash := range f {
		t.entries = binary.LittleEndian.AppendUint16(t.entries, hash)
	}
	return t
}

// hits gives the numbers of the events that may match, oldest first.
func (t tail) hits(hash uint16) []int64 {
	var hits []int64
	low, high := byte(hash), byte(hash>>8)
	for e := t.entries; len(e) >= entrySize; e = e[entrySize:] {
		_ = e[entrySize-1]
		if e[4] == low && e[5] == high || e[6] == low && e[7] == high || e[8] == low && e[9] == high {
			hits = append(hits, t.first+int64(binary.LittleEndian.Uint32(e)))
		}
	}
	return hits
}

// digest is the committed tail, which the writer appends to and readers read.
type digest struct {
	mu   sync.Mutex
	tail tail
}

func (d *digest) current() tail {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.tail
}

func (d *digest) publish(t tail) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.tail = t
}

// digestEvent adds an event to the digest, and stores the digest if it is full.
func (tx *tx) digestEvent(number int64, f fingerprint) error {
	t := tx.tail
	if len(t.entries) >= digestEvents*entrySize || len(t.entries) > 0 && number-t.first > digestReach {
		err := tx.change(`INSERT INTO digest (first, last, entries) VALUES (?, ?, ?)`).int(t.first).int(t.last).blob(t.entries).run()
		if err != nil {
			return fmt.Errorf("storing a digest: %w", err)
		}
		t = tail{}
	}
	tx.tail = t.add(number, f)
	return nil
}

// loadDigest makes the tail again from what came after the last full digest.
func loadDigest(c *conn) (*digest, error) {
	var last int64
	if _, err := c.query(`SELECT last FROM digest ORDER BY first DESC LIMIT 1`).one(func(q *query) { last = q.getInt() }); err != nil {
		return nil, err
	}
	type entry struct {
		number int64
		print  fingerprint
	}
	var entries []entry
	for _, of := range []string{
		`SELECT e.number, p.id, e.user_id, e.email, e.message_id FROM event e JOIN project p ON p.number = e.project WHERE e.number > ?`,
		`SELECT d.number, p.id, e.user_id, e.email, e.message_id FROM delivery d CROSS JOIN event e ON e.number = d.event JOIN project p ON p.number = d.project
			WHERE d.number > ? AND d.replay IS NOT NULL`,
	} {
		err := c.query(of).int(last).each(func(q *query) error {
			number, project := q.getInt(), telltale.ProjectID(q.getText())
			print := eventFingerprint(project, &telltale.Event{UserID: q.getText(), Email: q.getText(), MessageID: q.getText()})
			entries = append(entries, entry{number, print})
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	slices.SortFunc(entries, func(a, b entry) int { return cmp.Compare(a.number, b.number) })
	d := &digest{}
	for _, e := range entries {
		d.tail = d.tail.add(e.number, e.print)
	}
	return d, nil
}

// search gives, in the order of the page, the numbers of events that may have
// the value as user, address or message, until take wants no more. Between two
// digests it asks whether to go on: all up to last were given then. t is the
// tail as it was before the read transaction began: what it misses is newer,
// and what it has twice is skipped.
func (t tail) search(c *conn, project telltale.ProjectID, value string, within numbers, upwards bool, goOn func(last int64) bool, take func(number int64) (more bool, err error)) error {
	hash := shortHash(project, value)
	var stored int64 // in full digests
	if _, err := c.query(`SELECT last FROM digest ORDER BY first DESC LIMIT 1`).one(func(q *query) { stored = q.getInt() }); err != nil {
		return err
	}
	offer := func(hits []int64) (bool, error) {
		if !upwards {
			slices.Reverse(hits)
		}
		for _, number := range hits {
			if number <= within.above || number >= within.below {
				continue
			}
			if more, err := take(number); err != nil || !more {
				return false, err
			}
		}
		return true, nil
	}
	fromTail := func() (bool, error) {
		hits := slices.DeleteFunc(t.hits(hash), func(number int64) bool { return number <= stored })
		return offer(hits)
	}

	order := "DESC"
	if upwards {
		order = "ASC"
	} else if more, err := fromTail(); err != nil || !more {
		return err
	}
	q := c.query(`SELECT first, entries FROM digest WHERE first >= coalesce((SELECT max(first) FROM digest WHERE first <= ?), 0) AND first < ?
		ORDER BY first ` + order).int(within.above).int(within.below)
	var last int64
	for begun := false; ; begun = true {
		row, err := q.next()
		if err != nil {
			return err
		}
		if !row {
			break
		}
		full := tail{first: q.getInt(), entries: q.getBlob()}
		if upwards {
			last = full.first - 1 // deliveries stand behind the last event of the one before
		}
		if begun && !goOn(last) {
			q.done()
			return nil
		}
		if more, err := offer(full.hits(hash)); err != nil || !more {
			q.done()
			return err
		}
		last = full.first
	}
	if upwards {
		_, err := fromTail()
		return err
	}
	return nil
}
