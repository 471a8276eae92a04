package main

import (
	"fmt"
	"math"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// The ways in which a disk is full, one trial each.
var (
	fullTrial  = newFullTrial("T4a", "a small file system", release, 2, (*world).tmpfs)
	limitTrial = newFullTrial("T4b", "a limit on the size of files", release, 0, (*world).fileLimit)
	pageTrial  = newFullTrial("T4c", "a limit on the pages of the database", limited, 0, (*world).pageLimit)
)

// newFullTrial takes the room from a program at work, and gives it back, again and
// again.
func newFullTrial(id, what, program string, short int, narrow func(*world, *node) room) *Trial {
	return &Trial{
		ID: id, Name: "the disk is full: " + what, Proves: "P1, P5",
		Goal: "503 with Retry-After, no 202 that is not stored, nothing sent that is not recorded, lists readable, goes on by itself", Rounds: 50, Short: short, Root: true,
		Run: func(r *Run) { r.fill(program, narrow) },
		Control: func(r *Run) {
			// What a full disk undid is answered as if it were there.
			r.fill(confident, narrow)
		},
	}
}

// room is the room that a node has.
type room struct{ take, give func() }

func (r *Run) fill(program string, narrow func(*world, *node) room) {
	w := r.newWorld(nil)
	n := w.add(program, "all")
	space := narrow(w, n)
	n.start()
	w.newHook("slow", slow(), quick)
	w.newHook("flapping", flapping(), quick)
	answers := &answers{run: r}
	w.answered = answers.note
	l := w.begin()
	r.EachRound(func(int) {
		before := answers.refusals()
		space.take()
		if r.control {
			r.Sleep(2 * time.Second) // nobody hears that it is full
		} else {
			r.Wait("the disk to be full", func() bool { return answers.refusals() > before })
		}
		until := time.Now().Add(r.Between(500*time.Millisecond, 2*time.Second))
		for ; time.Now().Before(until); r.Sleep(50 * time.Millisecond) {
			n.readable()
		}
		space.give()
		began := time.Now()
		at := w.ledger.count()
		r.Wait("events to be accepted again", func() bool { return w.ledger.count() > at+w.callers && n.ready() })
		r.Worst("goes on after", "s", time.Since(began).Seconds())
		if took := time.Since(began); took > 10*time.Second {
			r.Errorf("it took %v until events were accepted again", took)
		}
		w.sound()
	})
	r.Wait("a load worth the name", func() bool { return w.ledger.count() > 100 })
	l.end()
	w.drained()
	e := w.verify()
	if again := e.duplicates(); again > 0 {
		r.Errorf("%d deliveries came twice, although nothing crashed", again)
	}
	r.Add("acknowledged", "", float64(len(e.Acked)))
	r.Add("refused", "", float64(answers.refusals()))
}

// readable reads what must be readable whatever the disk does.
func (n *node) readable() {
	for _, list := range []string{"/v1/events", "/v1/deliveries", "/v1/webhooks"} {
		if status, text := n.call(http.MethodGet, n.api+list, nil); status != http.StatusOK {
			n.Errorf("%s gives %d %s while the disk is full", list, status, text)
		}
	}
}

// answers are what callers got.
type answers struct {
	run     *Run
	mu      sync.Mutex
	refused int
}

// note takes an answer: there are two that may be given.
func (a *answers) note(answer *http.Response, err error) {
	switch {
	case err != nil:
		a.run.Errorf("a caller got no answer: %v", err)
	case answer.StatusCode == http.StatusAccepted:
	case answer.StatusCode == http.StatusServiceUnavailable:
		if after, err := strconv.Atoi(answer.Header.Get("Retry-After")); err != nil || after < 1 {
			a.run.Errorf("a caller is told to come back after %q", answer.Header.Get("Retry-After"))
		}
		a.mu.Lock()
		defer a.mu.Unlock()
		a.refused++
	default:
		a.run.Errorf("a caller got %d", answer.StatusCode)
	}
}

func (a *answers) refusals() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.refused
}

// tmpfs puts the node on a file system that is cut down to what is in use, and a
// little more.
func (w *world) tmpfs(n *node) room {
	folder := filepath.Join(w.TempDir(), "small")
	w.Must(os.Mkdir(folder, 0o700))
	resize := func(bytes int64) error { return run("mount", "-o", fmt.Sprintf("remount,size=%d", bytes), folder) }
	const plenty = 1 << 30
	w.Must(run("mount", "-t", "tmpfs", "-o", fmt.Sprintf("size=%d,mode=0700", plenty), "crashlab", folder))
	w.Cleanup(func() {
		n.kill()
		w.Must(run("umount", folder))
	})
	n.data = filepath.Join(folder, "data")
	w.database = filepath.Join(n.data, "telltale.db")
	return room{
		take: func() {
			w.Wait("the room to be taken", func() bool {
				var now syscall.Statfs_t
				w.Must(syscall.Statfs(folder, &now))
				used := int64(now.Blocks-now.Bfree) * now.Bsize
				return resize(used+w.Int64N(64<<10)) == nil // it may have grown meanwhile
			})
		},
		give: func() { w.Must(resize(plenty)) },
	}
}

// fileLimit sets the process a limit that its files are beyond already.
func (w *world) fileLimit(n *node) room {
	set := func(bytes uint64) {
		w.Must(unix.Prlimit(n.process.Pid, unix.RLIMIT_FSIZE, &unix.Rlimit{Cur: bytes, Max: math.MaxUint64}, nil))
	}
	return room{
		take: func() { set(32<<10 + uint64(w.Int64N(96<<10))) },
		give: func() { set(math.MaxUint64) },
	}
}

// pageLimit has SQLite give no page that it does not have.
func (w *world) pageLimit(n *node) room {
	set := func(pages int) {
		w.Must(os.WriteFile(filepath.Join(n.data, "pages.new"), []byte(strconv.Itoa(pages)), 0o600))
		w.Must(os.Rename(filepath.Join(n.data, "pages.new"), filepath.Join(n.data, "pages")))
	}
	return room{take: func() { set(1) }, give: func() { set(math.MaxInt32) }}
}

// limited is the release, but that it holds the database to the number of pages
// that stands in a file.
const limited = "telltale-limited"

// confident is limited, but that it takes a full disk for one with room.
const confident = "telltale-confident"

func init() {
	limit := []change{
		{"internal/sqlite/writer.go", `if err := w.conn.query("BEGIN IMMEDIATE").run(); err != nil {`, `if pages, failed := os.ReadFile(filepath.Join(filepath.Dir(w.store.path), "pages")); failed == nil {
		if _, err := w.conn.pragma("max_page_count=" + string(pages)); err != nil {
			panic(err)
		}
	}
	if err := w.conn.query("BEGIN IMMEDIATE").run(); err != nil {`},
		{"internal/sqlite/writer.go", `	"hash/maphash"`, "\t\"hash/maphash\"\n\t\"os\"\n\t\"path/filepath\""},
	}
	trust := []change{
		{"internal/sqlite/writer.go", `case fatal(op.err), isFull(op.err):
`, `case isFull(op.err):
			op.err = nil
			w.answer(ops, nil)
		case fatal(op.err):
`},
		{"internal/sqlite/writer.go", `		w.rollback(tx)
		w.answer(ops, w.store.diagnose(err))
`, `		w.rollback(tx)
		if err = w.store.diagnose(err); isFull(err) {
			err = nil
		}
		w.answer(ops, err)
`},
	}
	spoiled[limited] = limit
	spoiled[confident] = append(limit, trust...)
}
