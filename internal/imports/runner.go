package imports

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"sync"
	"time"
	"unicode/utf8"

	"telltale.example/telltale"
)

// Store is what a runner asks of storage.
type Store interface {
	CreateImport(ctx context.Context, i telltale.Import) (telltale.Import, error)
	FailImport(ctx context.Context, id telltale.ImportID, failure string) error
	OpenImports(ctx context.Context) ([]telltale.Import, error)
	PrepareChanges(ctx context.Context, c *telltale.UserChanges) error
}

// Config is what a runner needs. Store, Files and Change are required.
type Config struct {
	Store Store
	Files telltale.ImportFiles
	// Change has changes applied, as [telltale.UserStore.ChangeUsers] does, and
	// hands over the events that come of them.
	Change func(ctx context.Context, c telltale.UserChanges) (telltale.UserChanged, error)
	// Leads reports whether this node is the one that runs imports now, where several
	// share the store. It is asked before every portion; nil for a node alone.
	Leads func() bool
	// LookInterval is how often the store is asked for imports that nobody told
	// of; 0 for [DefaultLookInterval].
	LookInterval time.Duration
	Log          *slog.Logger // nil for nowhere
}

// DefaultLookInterval is what a LookInterval of zero means.
const DefaultLookInterval = 15 * time.Second

// Source is that of the events that come of imports.
const Source = "import"

const (
	// A portion is what goes into one transaction: at most so many rows, and fewer
	// where they take longer than a turn, since everybody else waits for it.
	portionRows  = 500
	fewestRows   = 50
	portionBytes = 512 << 10
	longestTurn  = 25 * time.Millisecond
	// together is how many projects import at a time; the others wait.
	together = 8
	// After an error of the store or of the files: at first, doubling, and at most.
	firstRetry, lastRetry = time.Second, 30 * time.Second
)

// Runner runs the imports of a node. Make one with [New].
type Runner struct {
	Config
	wake chan struct{} // holds a token while the store is to be asked

	mu     sync.Mutex
	saving map[telltale.ImportID]struct{}

	// Of the goroutine that runs.
	files map[telltale.ImportID]*opened
}

// New makes a runner. Nothing runs before [Runner.Run].
func New(c Config) *Runner {
	if c.Leads == nil {
		c.Leads = func() bool { return true }
	}
	if c.LookInterval <= 0 {
		c.LookInterval = DefaultLookInterval
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	return &Runner{Config: c, wake: make(chan struct{}, 1), saving: map[telltale.ImportID]struct{}{}, files: map[telltale.ImportID]*opened{}}
}

// Wake says that an import was resumed, paused or cancelled.
func (r *Runner) Wake() {
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// Start stores the file and then the import, of which it reads kind, name,
// project and whether events convert. The file is read to its end, or to its head
// if it is not one of its kind: Invalid. TooLarge for one that has more than
// [telltale.MaxImportBytes]; Conflict if the project has
// [telltale.MaxRunningImports]; Unavailable if it cannot be stored now; else an
// error of file. In each case there is no import.
func (r *Runner) Start(ctx context.Context, i telltale.Import, file io.Reader) (telltale.Import, error) {
	i.ID = telltale.NewImportID()
	if !i.Kind.Valid() {
		return i, telltale.Errorf(telltale.Invalid, "%q is nothing that is imported: profiles, events and unsubscribes are.", telltale.CutValue(string(i.Kind)))
	}
	if n := utf8.RuneCountInString(i.Name); n > telltale.MaxImportName {
		return i, telltale.Errorf(telltale.Invalid, "The name has %d characters; the most is %d.", n, telltale.MaxImportName)
	}
	if err := r.checkRoom(ctx, i.ProjectID); err != nil {
		return i, err
	}
	r.note(i.ID, true)
	defer r.note(i.ID, false)
	var err error
	if i.Bytes, err = r.save(ctx, i, file); err != nil {
		return i, err
	}
	made, err := r.Store.CreateImport(ctx, i)
	if err != nil { // what is left of it is swept
		return i, err
	}
	r.Wake()
	return made, nil
}

// checkRoom spares an upload that the store would not take.
func (r *Runner) checkRoom(ctx context.Context, project telltale.ProjectID) error {
	open, err := r.Store.OpenImports(ctx)
	if err != nil {
		return err
	}
	n := 0
	for _, i := range open {
		if i.ProjectID == project {
			n++
		}
	}
	if n >= telltale.MaxRunningImports {
		return telltale.Errorf(telltale.Conflict, "The project has %d imports that are running or paused already: wait, or cancel one.", n)
	}
	return nil
}

// note says whether the file of an import is being saved.
func (r *Runner) note(id telltale.ImportID, saving bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if saving {
		r.saving[id] = struct{}{}
	} else {
		delete(r.saving, id)
	}
}

// Run works until ctx ends, and returns nil.
func (r *Runner) Run(ctx context.Context) error {
	defer r.closeAll()
	retry := firstRetry
	for {
		wait := r.LookInterval
		turn, err := r.look(ctx)
		if err == nil && len(turn) > 0 {
			err = r.round(ctx, turn)
			wait = 0
		}
		if err == nil {
			retry = firstRetry
		} else if ctx.Err() == nil {
			// What the store has is what counts: it is asked where imports stand.
			r.closeAll()
			r.Log.Warn("imports cannot go on; it is tried again", "error", err, "in", retry)
			wait, retry = max(retry, retryAfter(err)), min(2*retry, lastRetry)
		}
		if ctx.Err() != nil {
			return nil
		}
		if wait == 0 {
			continue
		}
		select {
		case <-ctx.Done():
			return nil
		case <-r.wake:
			if err != nil && !sleep(ctx, firstRetry) {
				return nil
			}
		case <-time.After(wait):
		}
	}
}

// look gives the imports whose turn it is, the oldest of each project that has
// any, and clears away what belongs to none that is open.
func (r *Runner) look(ctx context.Context) ([]telltale.Import, error) {
	if !r.Leads() {
		r.closeAll()
		return nil, nil
	}
	stored, err := r.stored(ctx)
	if err != nil {
		return nil, err
	}
	open, err := r.Store.OpenImports(ctx)
	if err != nil {
		return nil, err
	}
	var turn []telltale.Import
	running := map[telltale.ImportID]bool{}
	taken := map[telltale.ProjectID]bool{}
	for _, i := range open {
		if i.State == telltale.ImportRunning && !taken[i.ProjectID] && len(turn) < together {
			turn, taken[i.ProjectID], running[i.ID] = append(turn, i), true, true
		}
	}
	for id := range r.files {
		if !running[id] {
			r.close(id)
		}
	}
	r.sweep(ctx, stored, open)
	return turn, nil
}

// round has the imports go on in turn, a portion each time, until one of them does
// not run any more, somebody wakes the runner, or the store is to be asked again.
func (r *Runner) round(ctx context.Context, turn []telltale.Import) error {
	for until := time.Now().Add(r.LookInterval); time.Now().Before(until); {
		for n := range turn {
			if !r.Leads() {
				return nil
			}
			runs, err := r.advance(ctx, &turn[n])
			if err != nil || !runs || ctx.Err() != nil {
				return err
			}
		}
		select {
		case <-r.wake:
			return nil
		default:
		}
	}
	return nil
}

// advance has the next portion of an import applied, and reports whether it goes on.
func (r *Runner) advance(ctx context.Context, i *telltale.Import) (runs bool, err error) {
	o := r.files[i.ID]
	if o == nil {
		if o, err = r.open(ctx, *i); err != nil {
			if gone := (*errFile)(nil); errors.As(err, &gone) {
				r.Log.Warn("an import failed", "import", i.ID, "reason", gone.reason)
				return false, r.Store.FailImport(ctx, i.ID, gone.reason)
			}
			return false, err
		}
		r.files[i.ID] = o
	}
	changes, err := r.next(ctx, o, *i)
	if err != nil {
		return false, err
	}
	if p := changes.Import; !p.Finished { // this one is written while the next is prepared
		r.readAhead(ctx, o, i.After(p))
	}
	began := time.Now()
	_, err = r.Change(ctx, changes)
	o.fit(changes.Import.Rows, time.Since(began))
	switch telltale.CodeOf(err) {
	case "":
	case telltale.Conflict, telltale.NotFound: // it was paused, cancelled or purged, or another node goes on with it: the store says where it stands
		r.close(i.ID)
		return false, nil
	default:
		return false, err
	}
	*i = i.After(changes.Import)
	if changes.Import.Finished {
		r.Log.Info("an import has finished", "import", i.ID, "kind", i.Kind, "rows", i.Rows)
	}
	return !changes.Import.Finished, nil
}

// ahead is a portion that is made while the one before it is written.
type ahead struct {
	changes telltale.UserChanges
	err     error
}

// next gives the portion that comes after where the import stands.
func (r *Runner) next(ctx context.Context, o *opened, i telltale.Import) (telltale.UserChanges, error) {
	if o.ahead == nil {
		r.readAhead(ctx, o, i)
	}
	a := <-o.ahead
	o.ahead = nil
	return a.changes, a.err
}

// readAhead begins to make the portion that comes after where the import will stand.
func (r *Runner) readAhead(ctx context.Context, o *opened, i telltale.Import) {
	made, most := make(chan ahead, 1), o.most
	o.ahead = made
	go func() {
		var a ahead
		if a.changes, a.err = o.portion(i, most); a.err == nil {
			a.err = r.Store.PrepareChanges(ctx, &a.changes)
		}
		made <- a
	}()
}

// fit has the coming portions take no longer than a turn, if their rows take as
// long as those of the last one.
func (o *opened) fit(rows int, took time.Duration) {
	if rows > 0 && took > 0 {
		o.most = min(max(int(time.Duration(rows)*longestTurn/took), fewestRows), portionRows)
	}
}

// portion reads the next rows, at most that many, and makes them into changes.
func (o *opened) portion(i telltale.Import, most int) (telltale.UserChanges, error) {
	p := &telltale.ImportProgress{ID: i.ID, From: i.Place, To: o.rows.place, Line: o.rows.last}
	c := telltale.UserChanges{ProjectID: i.ProjectID, Source: Source, NoConversions: !i.Conversions, Import: p}
	now := time.Now()
	c.Changes, p.Of = make([]telltale.UserChange, 0, most), make([]telltale.RefusedRow, 0, most)
	for begin := p.To; p.Rows < most && p.To-begin < portionBytes; {
		row, err := o.rows.next()
		if err == io.EOF { //nolint:errorlint // rows give it as it is
			p.Finished = true
			p.To, p.Line = o.rows.place, o.rows.last
			break
		}
		if err != nil {
			return c, err
		}
		p.Rows++
		p.To, p.Line = o.rows.place, o.rows.last
		kept := telltale.RefusedRow{Line: row.line, Row: bytes.Clone(row.raw[:min(len(row.raw), telltale.MaxRefusedRow)])}
		change, wrong := o.head.change(row, now)
		if wrong != "" {
			kept.Reason = wrong
			p.Refused = append(p.Refused, kept)
			continue
		}
		c.Changes, p.Of = append(c.Changes, change), append(p.Of, kept)
	}
	return c, nil
}

func (r *Runner) closeAll() {
	for id := range r.files {
		r.close(id)
	}
}

// close closes the file of an import, and drops what was made ahead.
func (r *Runner) close(id telltale.ImportID) {
	o := r.files[id]
	if o.ahead != nil {
		<-o.ahead // it reads the file
	}
	_ = o.file.Close() // it was only read
	delete(r.files, id)
}

func retryAfter(err error) time.Duration {
	var e *telltale.Error
	if errors.As(err, &e) {
		return e.RetryAfter
	}
	return 0
}

// sleep reports whether it was not cut short.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}
