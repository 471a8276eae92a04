package sqlite

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	"telltale.example/telltale"
)

// nameWorld is a store in which events are named without being stored.
type nameWorld struct {
	*testing.T
	*Store
	project *project
	borne   map[name][]int64
}

func newNameWorld(t *testing.T) *nameWorld {
	s := newStore(t)
	return &nameWorld{T: t, Store: s, project: s.known.projectBySlug(telltale.DefaultProjectSlug), borne: map[name][]int64{}}
}

// add names n events of the messages, in transactions of a thousand.
func (w *nameWorld) add(n int, message func(i int) string) {
	w.Helper()
	for done := 0; done < n; done += 1000 {
		var names []named
		err := w.write(w.Context(), "naming", 0, func(tx *tx) error {
			for i := range min(n-done, 1000) {
				e := &telltale.Event{Type: telltale.Opened, MessageID: message(done + i), Sequence: tx.number()}
				names = w.appendNames(names, w.project.number, e)
				if err := tx.nameEvent(w.project, e); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			w.Fatal(err)
		}
		for _, n := range names {
			w.borne[n.name] = append(w.borne[n.name], n.number)
		}
	}
}

func (w *nameWorld) find(above int64, wanted ...name) (found map[name][]int64) {
	w.Helper()
	f := w.writer.names.current()
	err := w.read(w.Context(), "finding", func(c *conn) (err error) {
		found, err = f.find(c, wanted, above)
		return err
	})
	if err != nil {
		w.Fatal(err)
	}
	return found
}

func (w *nameWorld) count(sql string) (n int64) {
	w.Helper()
	err := w.read(w.Context(), "counting", func(c *conn) error {
		_, err := c.query(sql).one(func(q *query) { n = q.getInt() })
		return err
	})
	if err != nil {
		w.Fatal(err)
	}
	return n
}

func TestEveryNameIsFoundWhereverItsRunStands(t *testing.T) {
	t.Parallel()
	w := newNameWorld(t)
	message := func(int) string { return fmt.Sprint("m-", rand.IntN(100_000)) }
	for _, n := range []int{10, runNames - 1000, 1000, 3 * runNames, 12 * runNames, 7 * mergeEvery, 5 * runNames} {
		w.add(n, message)
		all := slices.Sorted(maps.Keys(w.borne))
		unknown := w.name(nameOfMessage, w.project.number, "unknown")
		for range 5 {
			wanted := []name{unknown, all[0], all[len(all)-1]}
			for range 100 {
				wanted = append(wanted, all[rand.IntN(len(all))])
			}
			found := w.find(0, wanted...)
			for _, n := range wanted {
				if !slices.Equal(found[n], w.borne[n]) {
					t.Fatalf("after %d names %x is borne by %v, found are %v", len(all), n, w.borne[n], found[n])
				}
			}
		}
		one := all[len(all)/2]
		last := w.borne[one][len(w.borne[one])/2]
		if got := w.find(last, one)[one]; !slices.Equal(got, w.borne[one][len(w.borne[one])/2+1:]) {
			t.Fatalf("above %d of %v are %v", last, w.borne[one], got)
		}
	}
	if runs := w.count(`SELECT count(*) FROM name_run`); runs > 12 {
		t.Errorf("there are %d runs", runs)
	}
	if levels := w.count(`SELECT max(level) FROM name_run WHERE place IS NULL`); levels != 2 {
		t.Errorf("the highest level is %d", levels)
	}
}

func TestANameThatEverythingBearsKeepsItsEnds(t *testing.T) {
	t.Parallel()
	w := newNameWorld(t)
	w.add(6*runNames, func(i int) string {
		if i%3 == 0 {
			return fmt.Sprint(i)
		}
		return "hot"
	})
	hot := w.name(nameOfMessage, w.project.number, "hot")
	found, borne := w.find(0, hot)[hot], w.borne[hot]
	if len(found) != mostNamed || found[0] != borne[0] || found[mostNamed-1] != borne[len(borne)-1] {
		t.Errorf("found are %d of %d, from %d to %d", len(found), len(borne), found[0], found[len(found)-1])
	}
	const mostBytes = 3 * pageSize
	if size := w.count(`SELECT max(length(entries)) FROM name_block`); size > mostBytes {
		t.Errorf("a block has %d bytes", size)
	}
}

func TestWhatIsUndoneIsNotNamed(t *testing.T) {
	t.Parallel()
	w := newNameWorld(t)
	w.add(runNames-10, func(i int) string { return fmt.Sprint(i) })
	failed := w.write(t.Context(), "failing", 0, func(tx *tx) error {
		for range 20 { // a run is made on the way
			if err := tx.nameEvent(w.project, &telltale.Event{Type: telltale.Opened, MessageID: "undone", Sequence: tx.number()}); err != nil {
				return err
			}
		}
		return telltale.Errorf(telltale.Conflict, "No.")
	})
	if telltale.CodeOf(failed) != telltale.Conflict {
		t.Fatal(failed)
	}
	w.add(30, func(i int) string { return fmt.Sprint("after-", i) })
	for i, want := range map[string]int{"undone": 0, "5": 1, "after-29": 1} {
		n := w.name(nameOfMessage, w.project.number, i)
		if found := w.find(0, n)[n]; len(found) != want {
			t.Errorf("%s is found in %v", i, found)
		}
	}
}

func TestPurgeRemovesRunsThatAreOld(t *testing.T) {
	t.Parallel()
	w := newNameWorld(t)
	w.add(9*runNames, func(i int) string { return fmt.Sprint(i) })
	for more, calls := true, 0; more; calls++ {
		err := w.write(t.Context(), "purging", 0, func(tx *tx) (err error) {
			more, err = tx.purgeNames(tx.last + 1)
			return err
		})
		if err != nil || calls > 1000 {
			t.Fatal(calls, err)
		}
	}
	// What is being merged stays until it is merged.
	if blocks := w.count(`SELECT count(*) FROM name_block b WHERE NOT EXISTS (SELECT 1 FROM name_run r WHERE r.number = b.key >> 24)`); blocks != 0 {
		t.Errorf("%d blocks belong to no run", blocks)
	}
	if runs := w.count(`SELECT count(*) FROM name_run WHERE target = 0 AND place IS NULL`); runs != 0 {
		t.Errorf("%d runs are left", runs)
	}
}
