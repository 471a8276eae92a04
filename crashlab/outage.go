package main

import (
	"bytes"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/ncruces/go-sqlite3"
	"github.com/ncruces/go-sqlite3/vfs"
)

// outageTrial cuts the power at any write or sync that SQLite makes, in a migration
// and in a checkpoint too. It runs the product's schema, settings and statements, as
// its sources have them, on another build of SQLite, which lets Go be the files.
var outageTrial = &Trial{
	ID: "T2a", Name: "power cut at any write of SQLite: what was not synced is lost or torn", Proves: "P1, P5",
	Goal: "lost 0, corrupt 0", Rounds: 200, Short: 20,
	Run: func(r *Run) {
		b := r.newBook()
		r.EachRound(func(n int) { b.round(uint64(n), false) })
	},
	Control: func(r *Run) {
		b := r.newBook()
		for n := uint64(0); !r.Failed() && n < 50; n++ {
			b.round(n, true)
		}
	},
}

// lives is how often a database is opened in a round, and loses its power.
const lives = 4

// book is what is run on the database.
type book struct {
	*Run
	migrations []string
	settings   []string // of the connection that writes
	text       map[string]string
}

// phrases are how the statements begin that are run.
var phrases = []string{
	"INSERT INTO event (", "INSERT INTO delivery (", "INSERT OR REPLACE INTO caller (", "INSERT INTO span (", "INSERT INTO attempt (",
	"UPDATE delivery SET state = 3, claim = ?", "UPDATE delivery SET state = ?, claim = ?",
}

// newBook reads the sources.
func (r *Run) newBook() *book {
	b := &book{Run: r, text: map[string]string{}}
	folder := filepath.Join(r.lab.source, "internal", "sqlite")
	files, err := filepath.Glob(filepath.Join(folder, "migration", "*.sql"))
	r.Must(err)
	slices.Sort(files)
	for _, file := range files {
		text, err := os.ReadFile(file)
		r.Must(err)
		b.migrations = append(b.migrations, string(text))
	}
	files, err = filepath.Glob(filepath.Join(folder, "*.go"))
	r.Must(err)
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
		r.Must(err)
		ast.Inspect(parsed, func(node ast.Node) bool {
			if function, ok := node.(*ast.FuncDecl); ok && function.Name.Name == "prepareWriter" {
				ast.Inspect(function, func(node ast.Node) bool {
					if text := literal(node); strings.Contains(text, "=") && !strings.Contains(text, "%") {
						b.settings = append(b.settings, text)
					}
					return true
				})
			}
			for _, phrase := range phrases {
				if text := literal(node); strings.HasPrefix(text, phrase) {
					if b.text[phrase] != "" {
						r.Fatalf("the sources have %q twice", phrase)
					}
					b.text[phrase] = text
				}
			}
			return true
		})
	}
	for _, setting := range []string{"journal_mode=WAL", "synchronous=FULL", "wal_autocheckpoint=0"} {
		if !slices.Contains(b.settings, setting) {
			r.Fatalf("the product no longer sets %s, but %q", setting, b.settings)
		}
	}
	for _, phrase := range phrases {
		if b.text[phrase] == "" {
			r.Fatalf("the sources no longer have %q", phrase)
		}
	}
	return b
}

// literal is the text of a constant string, or "".
func literal(node ast.Node) string {
	l, ok := node.(*ast.BasicLit)
	if !ok || l.Kind != token.STRING {
		return ""
	}
	text, err := strconv.Unquote(l.Value)
	if err != nil {
		return ""
	}
	return text
}

// errOff is what an operation comes to in the power cut, whatever SQLite says.
var errOff = errors.New("the power is cut")

// diary is a database in use, and what its user knows.
type diary struct {
	*book
	volume  *volume
	rand    *rand.Rand
	lazy    bool // it does not sync commits: the control
	conn    *sqlite3.Conn
	copying *sqlite3.Conn // makes the checkpoints
	stmts   map[string]*sqlite3.Stmt
	last    int64 // number

	kept  map[int64]fact // rows that were committed, by number
	doubt map[int64]fact // rows of the transaction whose commit the power cut
}

// fact is a row of an event, a delivery or an attempt.
type fact struct {
	kind    string
	event   int64 // of a delivery
	payload []byte
	state   int64 // of a delivery
}

// round has a database live and lose its power, again and again.
func (b *book) round(n uint64, lazy bool) {
	d := &diary{book: b, rand: rand.New(rand.NewPCG(b.Seed, n)), lazy: lazy, kept: map[int64]fact{}, doubt: map[int64]fact{}}
	d.volume = newVolume(d.rand)
	name := fmt.Sprintf("crashlab-%d", worlds.Add(1))
	vfs.Register(name, d.volume)
	defer vfs.Unregister(name)
	folder := b.TempDir()
	for life := range lives {
		most := 1500
		if life == 0 {
			most = 400 // within the migrations, every other time
		}
		d.volume.arm(1+d.rand.IntN(most), filepath.Join(folder, strconv.Itoa(life)))
		err := d.live(name)
		d.close()
		if !errors.Is(err, errOff) {
			b.Fatalf("life %d: %v", life, err)
		}
		b.Add("sectors lost", "", float64(d.volume.settle()))
		b.Add("power cuts", "", 1)
		d.volume.arm(1<<30, filepath.Join(folder, "after"+strconv.Itoa(life)))
		err = d.inspect(name)
		d.close()
		if err != nil {
			b.Errorf("after power cut %d: %v", life+1, err)
		}
		if b.Failed() {
			return
		}
	}
	b.Add("rows committed", "", float64(len(d.kept)))
}

// open opens the database, as the product does.
func (d *diary) open(name string) (err error) {
	d.stmts = map[string]*sqlite3.Stmt{}
	if d.conn, err = sqlite3.Open("file:/telltale.db?vfs=" + name); err != nil {
		return err
	}
	if err := d.conn.Exec(`PRAGMA page_size=8192; PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL`); err != nil {
		return err
	}
	version, err := d.number(`PRAGMA user_version`)
	if err != nil {
		return err
	}
	for i := int(version); i < len(d.migrations); i++ {
		if err := d.conn.Exec(fmt.Sprintf("BEGIN IMMEDIATE; %s; PRAGMA user_version=%d; COMMIT", d.migrations[i], i+1)); err != nil {
			return fmt.Errorf("migration %d: %w", i+1, err)
		}
	}
	for _, setting := range d.settings {
		if d.lazy {
			setting = strings.Replace(setting, "synchronous=FULL", "synchronous=NORMAL", 1)
		}
		if err := d.conn.Exec("PRAGMA " + setting); err != nil {
			return err
		}
	}
	// The log is cut after each checkpoint, which the product does after a burst.
	if err := d.conn.Exec(`PRAGMA journal_size_limit=65536`); err != nil {
		return err
	}
	if d.copying, err = sqlite3.Open("file:/telltale.db?vfs=" + name); err != nil {
		return err
	}
	return d.copying.Exec(`PRAGMA synchronous=FULL; PRAGMA wal_autocheckpoint=0`)
}

// close leaves the connections, as the end of a process does.
func (d *diary) close() {
	for _, stmt := range d.stmts {
		_ = stmt.Close() // without power it fails
	}
	for _, c := range []*sqlite3.Conn{d.copying, d.conn} {
		if c != nil {
			_ = c.Close()
		}
	}
	d.conn, d.copying = nil, nil
}

// off gives errOff for whatever comes of the power cut.
func (d *diary) off(err error) error {
	d.volume.mu.Lock()
	defer d.volume.mu.Unlock()
	if err != nil && d.volume.left < 0 {
		return errOff
	}
	return err
}

// live uses the database until the power is cut.
func (d *diary) live(name string) error {
	if err := d.open(name); err != nil {
		return d.off(err)
	}
	for {
		rows := map[int64]fact{}
		err := d.conn.Exec("BEGIN IMMEDIATE")
		if err == nil {
			err = d.change(rows)
		}
		if err != nil {
			return d.off(err)
		}
		d.doubt = rows
		if err := d.conn.Exec("COMMIT"); err != nil {
			return d.off(err)
		}
		d.commit()
		if d.rand.IntN(20) == 0 {
			copier := d.copying
			if d.rand.IntN(2) == 0 {
				copier = d.conn
			}
			if _, _, err := copier.WALCheckpoint("", sqlite3.CHECKPOINT_PASSIVE); err != nil {
				return d.off(err)
			}
		}
	}
}

// commit knows what was in doubt.
func (d *diary) commit() {
	for number, row := range d.doubt {
		d.kept[number] = row
	}
	clear(d.doubt)
}

// change does what one transaction of the product does: it accepts events with
// their deliveries, claims deliveries, or records attempts.
func (d *diary) change(rows map[int64]fact) error {
	var open []int64
	for number, row := range d.kept {
		if row.kind == "delivery" && row.state != succeeded {
			open = append(open, number)
		}
	}
	slices.Sort(open)
	d.rand.Shuffle(len(open), func(i, j int) { open[i], open[j] = open[j], open[i] })
	if d.rand.IntN(2) == 0 || len(open) == 0 {
		for range 1 + d.rand.IntN(8) {
			if err := d.accept(rows); err != nil {
				return err
			}
		}
		return nil
	}
	for _, number := range open[:min(len(open), 1+d.rand.IntN(8))] {
		was := d.kept[number]
		var err error
		if was.state == waiting {
			was.state = sending
			err = d.run("UPDATE delivery SET state = 3, claim = ?", 1, 1, number)
		} else {
			was.state = succeeded
			err = d.record(rows, number)
		}
		if err != nil {
			return err
		}
		rows[number] = was
	}
	return nil
}

func (d *diary) next() int64 {
	d.last++
	return d.last
}

func (d *diary) accept(rows map[int64]fact) error {
	number, key := d.next(), make([]byte, 16)
	payload := make([]byte, 200+d.rand.IntN(3000))
	for _, b := range [][]byte{key, payload} {
		for i := range b {
			b[i] = byte(d.rand.Uint32())
		}
	}
	rows[number] = fact{kind: "event", payload: payload}
	err := d.run("INSERT INTO event (", number, key, 1, 3, 0, "api", 0, 0, "user", nil, nil, nil, nil, nil, nil, nil, nil, "caller", payload)
	if err == nil {
		err = d.run("INSERT OR REPLACE INTO caller (", number, key, key, key)
	}
	for webhook := range 2 {
		if err != nil {
			return err
		}
		delivery := d.next()
		rows[delivery] = fact{kind: "delivery", event: number, state: waiting}
		err = d.run("INSERT INTO delivery (", delivery, number, 1, webhook+1, 3, 0, waiting, 0, 1, 1, time.Now().UnixMilli(), nil)
		if err == nil {
			err = d.run("INSERT INTO span (", webhook+1, delivery>>8, 1<<3)
		}
	}
	return err
}

func (d *diary) record(rows map[int64]fact, delivery int64) error {
	number, milli, exchange := d.next(), time.Now().UnixMilli(), make([]byte, 300)
	rows[number] = fact{kind: "attempt", event: delivery}
	err := d.run("INSERT INTO attempt (", number, delivery, nil, 1, 0, 1, milli, 1000, 200, nil, nil, nil, exchange, nil)
	if err != nil {
		return err
	}
	return d.run("UPDATE delivery SET state = ?, claim = ?", succeeded, 1, 1, 1, 0, 1, 0, 1, milli, number, nil, nil, nil, delivery)
}

// run runs a statement of the product. As many arguments as it had when this was
// written are what it still takes, or this has to learn of the change.
func (d *diary) run(phrase string, args ...any) error {
	stmt := d.stmts[phrase]
	if stmt == nil {
		var err error
		if stmt, _, err = d.conn.Prepare(d.text[phrase]); err != nil {
			return err
		}
		d.stmts[phrase] = stmt
		if n := stmt.BindCount(); n != len(args) {
			d.Fatalf("%s takes %d arguments, and gets %d", phrase, n, len(args))
		}
	}
	for i, arg := range args {
		var err error
		switch a := arg.(type) {
		case nil:
			err = stmt.BindNull(i + 1)
		case int:
			err = stmt.BindInt(i+1, a)
		case int64:
			err = stmt.BindInt64(i+1, a)
		case string:
			err = stmt.BindText(i+1, a)
		case []byte:
			err = stmt.BindBlob(i+1, a)
		}
		if err != nil {
			return err
		}
	}
	return stmt.Exec()
}

// each reads rows.
func (d *diary) each(sql string, row func(*sqlite3.Stmt)) error {
	stmt, _, err := d.conn.Prepare(sql)
	if err != nil {
		return err
	}
	for stmt.Step() {
		row(stmt)
	}
	return stmt.Close()
}

func (d *diary) number(sql string) (n int64, err error) {
	err = d.each(sql, func(row *sqlite3.Stmt) { n = row.ColumnInt64(0) })
	return n, err
}

// inspect reads the whole database, and reports what should be there and is not,
// or the other way round. It then knows whether what was in doubt was committed:
// all of it, or nothing.
func (d *diary) inspect(name string) error {
	if err := d.open(name); err != nil {
		return err
	}
	var faults []error
	if err := d.each(`PRAGMA integrity_check`, func(row *sqlite3.Stmt) {
		if text := row.ColumnText(0); text != "ok" {
			faults = append(faults, errors.New("corrupt: "+text))
		}
	}); err != nil {
		return err
	}
	found := map[int64]fact{}
	read := func(sql string, scan func(*sqlite3.Stmt) fact) {
		if err := d.each(sql, func(row *sqlite3.Stmt) { found[row.ColumnInt64(0)] = scan(row) }); err != nil {
			faults = append(faults, err)
		}
	}
	read(`SELECT number, payload FROM event`, func(row *sqlite3.Stmt) fact {
		return fact{kind: "event", payload: row.ColumnBlob(1, nil)}
	})
	read(`SELECT number, event, state FROM delivery`, func(row *sqlite3.Stmt) fact {
		return fact{kind: "delivery", event: row.ColumnInt64(1), state: row.ColumnInt64(2)}
	})
	read(`SELECT number, delivery FROM attempt`, func(row *sqlite3.Stmt) fact {
		return fact{kind: "attempt", event: row.ColumnInt64(1)}
	})
	done := false
	for number, row := range d.doubt {
		done = done || same(found[number], row)
	}
	if done {
		d.commit()
	}
	clear(d.doubt)
	wrong := 0
	for number, row := range d.kept {
		if !same(found[number], row) {
			if wrong++; wrong <= 3 {
				faults = append(faults, fmt.Errorf("the %s %d was committed, and is lost or another", row.kind, number))
			}
		}
	}
	for number, row := range found {
		if _, known := d.kept[number]; !known {
			faults = append(faults, fmt.Errorf("the %s %d was not committed, and is there", row.kind, number))
		}
	}
	return errors.Join(faults...)
}

func same(a, b fact) bool {
	return a.kind == b.kind && a.event == b.event && a.state == b.state && bytes.Equal(a.payload, b.payload)
}
