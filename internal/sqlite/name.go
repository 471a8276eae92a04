package sqlite

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math"
	"slices"
	"sort"
	"sync"

	"telltale.example/telltale"
	"telltale.example/telltale/internal/stored"
)

// A name is an id under which the events of a message, or the messages of a
// user, are found exactly and at once: whoever completes an activity or
// attributes a conversion has no time to read digests. It is 48 bits of a hash
// with the store's salt, so that nobody can choose ids that fall together; what
// is found is compared with the row of the event.
//
// An index with such keys would have each event write to a page of its own.
// Instead names are gathered in memory, as digests are, and written as a sorted
// run when there are enough of them: some twenty bytes an event, appended. Four
// runs of a size become one, little by little while new names come in, so a
// name is looked for in some ten runs however many events there are. Nothing is
// read when an event is accepted. docs/decisions/0009 has the figures.
//
// A run is cut into blocks by the first bits of its names, so that a name's
// block is known, and each block of four runs becomes four blocks of one.
type name uint64

const (
	nameBits = 48

	// runNames make a run of level 0, and so do runEvents with fewer names:
	// what is in no run is read again when the store is opened.
	runNames  = 8192
	runEvents = 4 * runNames

	runBlockBits = 4 // of a run of level 0: its blocks fill a page to four fifths
	mergeBits    = 2 // 1<<mergeBits runs become one
	maxRunLevel  = 10
	// Each time so many names came in, a step of a merge is made: so many blocks
	// of each source. Blocks beside each other share the pages that are written
	// when they go. A level needs a step for every 16,384 names, so this is enough
	// for eight at work.
	mergeEvery  = 2048
	mergeBlocks = 8

	// nameEntry is a name and a number, of 6 and 7 bytes.
	nameEntry = 13
	// mostNamed is how many events of a name are kept of a run, half of them
	// the oldest and half the newest: what thousands of events bear is the id
	// of no message, and would make a block without bounds.
	mostNamed = 128

	runShift = 24 // in the key of a block, the run stands above its blocks
)

// Kinds of names.
const (
	nameOfMessage = 'm' // its own id or its provider's: borne by every event that names it
	nameOfUser    = 'u' // borne by what was sent to the user and may convert
)

func (s *Store) name(kind byte, project int64, value string) name {
	var buffer [128]byte
	text := append(buffer[:0], s.ids.Salt[:]...)
	text = append(binary.AppendUvarint(text, uint64(project)), kind)
	sum := sha256.Sum256(append(text, value...))
	return name(binary.BigEndian.Uint64(sum[:]) >> (64 - nameBits))
}

// named says that an event bears a name.
type named struct {
	name   name
	number int64
}

func compareNamed(a, b named) int {
	if a.name != b.name {
		return cmp.Compare(a.name, b.name)
	}
	return cmp.Compare(a.number, b.number)
}

// mergeNamed makes one of two sorted lists.
func mergeNamed(a, b []named) []named {
	if len(a) == 0 {
		return b
	}
	merged := make([]named, 0, len(a)+len(b))
	for len(a) > 0 && len(b) > 0 {
		if compareNamed(a[0], b[0]) <= 0 {
			merged, a = append(merged, a[0]), a[1:]
		} else {
			merged, b = append(merged, b[0]), b[1:]
		}
	}
	return append(append(merged, a...), b...)
}

// appendNames appends the names that an event bears.
func (s *Store) appendNames(dst []named, project int64, e *telltale.Event) []named {
	if e.Test || !e.Type.OfMessage() {
		return dst
	}
	id, provider := e.MessageID, telltale.CanonicalMessageID(e.ProviderMessageID)
	if id == "" && provider == "" {
		return dst
	}
	if id != "" {
		dst = append(dst, named{s.name(nameOfMessage, project, id), e.Sequence})
	}
	if provider != "" && provider != id {
		dst = append(dst, named{s.name(nameOfMessage, project, provider), e.Sequence})
	}
	if user := messageUser(e); user != "" && e.Type == telltale.Sent && (e.CampaignID != "" || e.ConversionEvent != "") {
		dst = append(dst, named{s.name(nameOfUser, project, user), e.Sequence})
	}
	return dst
}

// messageUser is what an event's user is known by: where there is no id, the
// email doubles as one.
func messageUser(e *telltale.Event) string {
	if e.UserID == "" {
		return e.Email
	}
	return e.UserID
}

// fresh is the names that are in no run yet, by number. They are only ever
// appended to, so that readers may keep what they got.
type fresh struct {
	names  []named
	events int // that were looked at for them
}

// names is what is committed of fresh, which the writer appends to and readers read.
type names struct {
	mu    sync.Mutex
	fresh fresh
	upTo  int64 // number of the last event whose names are in a run, as it was when the store was opened
}

func (n *names) current() fresh {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.fresh
}

func (n *names) publish(f fresh) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.fresh = f
}

// load gathers again what came after the last run.
func (n *names) load(s *Store, c *conn) error {
	return c.query(`SELECT number, project, type, test, user_id, email, message_id, campaign_id, provider_message_id, conversion_event FROM event WHERE number > ? ORDER BY number`).
		int(n.upTo).each(func(q *query) error {
		e, project := &telltale.Event{Sequence: q.getInt()}, q.getInt()
		e.Type, e.Test = stored.Word(stored.EventTypes, q.getInt()), q.getBool()
		e.UserID, e.Email, e.MessageID, e.CampaignID, e.ProviderMessageID, e.ConversionEvent = q.getText(), q.getText(), q.getText(), q.getText(), q.getText(), q.getText()
		n.fresh.names = s.appendNames(n.fresh.names, project, e)
		n.fresh.events++
		return nil
	})
}

// nameEvent adds an event's names, and goes on with what that leads to.
func (tx *tx) nameEvent(p *project, e *telltale.Event) error {
	f := &tx.fresh
	before := len(f.names)
	f.names = tx.store.appendNames(f.names, p.number, e)
	f.events++
	if len(f.names) >= runNames || f.events >= runEvents {
		if err := tx.storeNames(e.Sequence); err != nil {
			return fmt.Errorf("storing a run of names: %w", err)
		}
	} else if before/mergeEvery == len(f.names)/mergeEvery {
		return nil
	}
	if err := tx.mergeNames(); err != nil {
		return fmt.Errorf("merging runs of names: %w", err)
	}
	return nil
}

// storeNames makes a run of what is fresh, up to that event.
func (tx *tx) storeNames(upTo int64) error {
	entries := slices.Clone(tx.fresh.names) // readers may have the others
	tx.fresh = fresh{}
	if err := tx.change(`UPDATE meta SET value = ? WHERE name = 'named'`).int(upTo).run(); err != nil {
		return err
	}
	if len(entries) == 0 {
		return nil
	}
	first, last := entries[0].number, entries[len(entries)-1].number
	err := tx.change(`INSERT INTO name_run (level, first, last, target) VALUES (0, ?, ?, 0)`).int(first).int(last).run()
	if err != nil {
		return err
	}
	run := tx.conn.LastInsertRowID()
	slices.SortFunc(entries, compareNamed)
	if err := tx.storeBlocks(run, 0, trimNamed(entries)); err != nil {
		return err
	}
	return tx.beginMerge(0)
}

// storeBlocks writes sorted entries into the blocks of a run.
func (tx *tx) storeBlocks(run, level int64, entries []named) error {
	for len(entries) > 0 {
		block := blockOf(entries[0].name, level)
		end := sort.Search(len(entries), func(i int) bool { return blockOf(entries[i].name, level) > block })
		tx.buffer = tx.buffer[:0]
		for _, e := range entries[:end] {
			tx.buffer = binary.BigEndian.AppendUint64(tx.buffer, uint64(e.name)<<(64-nameBits)|uint64(e.number)>>40)
			tx.buffer = append(tx.buffer, byte(e.number>>32), byte(e.number>>24), byte(e.number>>16), byte(e.number>>8), byte(e.number))
		}
		if err := tx.change(`INSERT INTO name_block (key, entries) VALUES (?, ?)`).int(run<<runShift | block).blob(tx.buffer).run(); err != nil {
			return err
		}
		entries = entries[end:]
	}
	return nil
}

// blockOf is the block that has the name in runs of the level.
func blockOf(n name, level int64) int64 { return int64(n >> (nameBits - runBits(level))) }

func runBits(level int64) int64 { return runBlockBits + mergeBits*level }

// namedBlock is the entries of a block as they are stored.
type namedBlock []byte

func (b namedBlock) len() int { return len(b) / nameEntry }

func (b namedBlock) at(i int) named {
	e := b[i*nameEntry:][:nameEntry]
	head, tail := binary.BigEndian.Uint64(e), binary.BigEndian.Uint64(e[nameEntry-8:])
	return named{name(head >> (64 - nameBits)), int64(tail & (1<<56 - 1))}
}

func (b namedBlock) of(n name) (numbers []int64) {
	for i := sort.Search(b.len(), func(i int) bool { return b.at(i).name >= n }); i < b.len() && b.at(i).name == n; i++ {
		numbers = append(numbers, b.at(i).number)
	}
	return numbers
}

// trimNamed takes out of sorted entries what is too much of one name.
func trimNamed(entries []named) []named {
	kept := entries[:0]
	for len(entries) > 0 {
		n := entries[0].name
		end := 1
		for end < len(entries) && entries[end].name == n {
			end++
		}
		kept = append(kept, mostOf(entries[:end])...)
		entries = entries[end:]
	}
	return kept
}

// mostOf gives the oldest and the newest of what is too much. It may write to its argument.
func mostOf[T any](all []T) []T {
	if len(all) <= mostNamed {
		return all
	}
	return append(all[:mostNamed/2], all[len(all)-mostNamed/2:]...)
}

// beginMerge begins to make one run of the oldest of the level, if there are
// enough and no others of it are being merged.
func (tx *tx) beginMerge(level int64) error {
	if level >= maxRunLevel {
		return nil
	}
	type source struct{ number, first, last int64 }
	var sources []source
	busy := false
	err := tx.query(`SELECT number, first, last, target FROM name_run WHERE level = ? AND place IS NULL`).int(level).each(func(q *query) error {
		sources = append(sources, source{q.getInt(), q.getInt(), q.getInt()})
		busy = busy || q.getInt() != 0
		return nil
	})
	if err != nil || busy || len(sources) < 1<<mergeBits {
		return err
	}
	slices.SortFunc(sources, func(a, b source) int { return cmp.Compare(a.first, b.first) })
	sources = sources[:1<<mergeBits]
	err = tx.change(`INSERT INTO name_run (level, first, last, target, place) VALUES (?, ?, ?, 0, 0)`).
		int(level + 1).int(sources[0].first).int(sources[len(sources)-1].last).run()
	if err != nil {
		return err
	}
	target := tx.conn.LastInsertRowID()
	for _, s := range sources {
		if err := tx.change(`UPDATE name_run SET target = ? WHERE number = ?`).int(target).int(s.number).run(); err != nil {
			return err
		}
	}
	return nil
}

// mergeNames moves the next blocks of runs that are being merged into another. So
// an entry is always in one of them, and whoever looks need not know of merges.
func (tx *tx) mergeNames() error {
	var target, place int64
	level := int64(math.MaxInt64)
	err := tx.query(`SELECT number, level, place FROM name_run WHERE place IS NOT NULL`).each(func(q *query) error {
		if number, l, p := q.getInt(), q.getInt(), q.getInt(); l < level {
			target, level, place = number, l, p
		}
		return nil
	})
	if err != nil || target == 0 {
		return err
	}
	var sources []int64
	err = tx.query(`SELECT number FROM name_run WHERE target = ?`).int(target).each(func(q *query) error {
		sources = append(sources, q.getInt())
		return nil
	})
	if err != nil {
		return err
	}
	var entries []named
	for _, source := range sources {
		key := source<<runShift | place
		var its []named
		err := tx.query(`SELECT entries FROM name_block WHERE key >= ? AND key < ? ORDER BY key`).int(key).int(key + mergeBlocks).each(func(q *query) error {
			tx.buffer = q.getBlobInto(tx.buffer)
			block := namedBlock(tx.buffer)
			for i := range block.len() {
				its = append(its, block.at(i))
			}
			return nil
		})
		if err != nil {
			return err
		}
		if err := tx.change(`DELETE FROM name_block WHERE key >= ? AND key < ?`).int(key).int(key + mergeBlocks).run(); err != nil {
			return err
		}
		entries = mergeNamed(entries, its)
	}
	if err := tx.storeBlocks(target, level, trimNamed(entries)); err != nil {
		return err
	}
	if place += mergeBlocks; place < 1<<runBits(level-1) {
		return tx.change(`UPDATE name_run SET place = ? WHERE number = ?`).int(place).int(target).run()
	}
	if err := tx.change(`UPDATE name_run SET place = NULL WHERE number = ?`).int(target).run(); err != nil {
		return err
	}
	if err := tx.change(`DELETE FROM name_run WHERE target = ?`).int(target).run(); err != nil {
		return err
	}
	if err := tx.beginMerge(level - 1); err != nil {
		return err
	}
	return tx.beginMerge(level)
}

// find gives the numbers of the events above that may bear each of the names,
// oldest first. f is what was fresh before the transaction of c began: what is
// newer is missed, and what has got into a run meanwhile is found once.
func (f fresh) find(c *conn, wanted []name, above int64) (map[name][]int64, error) {
	found := make(map[name][]int64, len(wanted))
	var maybe [1 << 10]uint64 // a bit for the last 16 of each name: most are passed over by it
	for _, n := range wanted {
		found[n] = nil
		maybe[n>>6&(1<<10-1)] |= 1 << (n & 63)
	}
	for _, e := range f.names {
		if maybe[e.name>>6&(1<<10-1)]>>(e.name&63)&1 == 0 || e.number <= above {
			continue
		}
		if numbers, ok := found[e.name]; ok {
			found[e.name] = append(numbers, e.number)
		}
	}
	sorted := make([]name, 0, len(found))
	for n := range found {
		sorted = append(sorted, n)
	}
	slices.Sort(sorted)
	type run struct{ number, level int64 }
	var runs []run
	err := c.query(`SELECT number, level FROM name_run WHERE last > ?`).int(above).each(func(q *query) error {
		runs = append(runs, run{q.getInt(), q.getInt()})
		return nil
	})
	if err != nil {
		return nil, err
	}
	var block namedBlock
	for _, r := range runs {
		at := int64(-1)
		for _, n := range sorted {
			if b := blockOf(n, r.level); b != at {
				at, block = b, block[:0]
				if _, err := c.query(`SELECT entries FROM name_block WHERE key = ?`).int(r.number<<runShift | b).one(func(q *query) { block = q.getBlobInto(block) }); err != nil {
					return nil, err
				}
			}
			for _, number := range block.of(n) {
				if number > above {
					found[n] = append(found[n], number)
				}
			}
		}
	}
	for n, numbers := range found {
		slices.Sort(numbers)
		found[n] = mostOf(slices.Compact(numbers))
	}
	return found, nil
}

// purgeNames removes runs that end before the oldest event. What erasures
// removed stays in them until then, as hashes that lead to nothing.
func (tx *tx) purgeNames(oldest int64) (more bool, err error) {
	var run int64
	found, err := tx.query(`SELECT number FROM name_run WHERE last < ? AND target = 0 AND place IS NULL LIMIT 1`).int(oldest).one(func(q *query) { run = q.getInt() })
	if err != nil || !found {
		return false, err
	}
	err = tx.change(`DELETE FROM name_block WHERE key IN (SELECT key FROM name_block WHERE key >= ? AND key < ? ORDER BY key LIMIT ?)`).
		int(run << runShift).int((run + 1) << runShift).int(purgeEvents).run()
	if err != nil || tx.conn.Changes() == purgeEvents {
		return true, err
	}
	return true, tx.change(`DELETE FROM name_run WHERE number = ?`).int(run).run()
}
