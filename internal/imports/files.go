package imports

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"telltale.example/telltale"
)

// Files lie in the folder under the id of their import, and end in finished;
// while one arrives it ends in arriving.
const (
	finished = ".csv"
	arriving = ".part"
)

func (r *Runner) path(id telltale.ImportID) string {
	return filepath.Join(r.Folder, string(id)+finished)
}

// save stores the file of an import, whose head is looked at first. When it
// returns without error, the file is on the disk and so is its name; until then,
// nothing is there to be found after a crash but what [Runner.sweep] removes.
func (r *Runner) save(i telltale.Import, file io.Reader) (size int64, err error) {
	in := bufio.NewReaderSize(file, telltale.MaxImportRow+len(mark)+1)
	start, err := in.Peek(in.Size())
	if err != nil && !errors.Is(err, io.EOF) {
		return 0, err
	}
	if _, err := readHead(i.Kind, start); err != nil {
		return 0, err
	}
	if err := os.MkdirAll(r.Folder, 0o700); err != nil {
		return 0, unstored(err)
	}
	part := strings.TrimSuffix(r.path(i.ID), finished) + arriving
	out, err := os.OpenFile(part, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return 0, unstored(err)
	}
	defer func() {
		if err != nil {
			_ = os.Remove(part) // or it is swept
		}
	}()
	size, err = io.Copy(writer{out}, io.LimitReader(in, telltale.MaxImportBytes+1))
	if err == nil && size > telltale.MaxImportBytes {
		err = telltale.Errorf(telltale.TooLarge, "The file is larger than %d GiB, the most that an import takes. Split it.", telltale.MaxImportBytes>>30)
	}
	if err == nil {
		err = unstored(out.Sync())
	}
	if closed := unstored(out.Close()); err == nil {
		err = closed
	}
	if err != nil {
		return 0, err
	}
	if err := os.Rename(part, r.path(i.ID)); err != nil {
		return 0, unstored(err)
	}
	if err := syncFolder(r.Folder); err != nil {
		_ = os.Remove(r.path(i.ID))
		return 0, unstored(err)
	}
	return size, nil
}

// writer tells errors of writing, which are ours, from those of reading, which are not.
type writer struct{ file *os.File }

func (w writer) Write(p []byte) (int, error) {
	n, err := w.file.Write(p)
	return n, unstored(err)
}

// unstored says that the file could not be stored; nil for nil.
func unstored(err error) error {
	if err == nil {
		return nil
	}
	return &telltale.Error{Code: telltale.Unavailable, Message: "The file cannot be stored now: the disk of the server is full or fails.", RetryAfter: lastRetry, Cause: err}
}

func syncFolder(path string) error {
	folder, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(folder.Sync(), folder.Close())
}

// stored lists the files in the folder that no upload works on.
func (r *Runner) stored() ([]string, error) {
	r.mu.Lock() // a file that is being saved has its import in a moment
	defer r.mu.Unlock()
	entries, err := os.ReadDir(r.Folder)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("imports: looking for files: %w", err)
	}
	var names []string
	for _, e := range entries {
		id := strings.TrimSuffix(strings.TrimSuffix(e.Name(), finished), arriving)
		if _, saving := r.saving[telltale.ImportID(id)]; !saving && telltale.ValidID("imp_", id) {
			names = append(names, e.Name())
		}
	}
	return names, nil
}

// sweep removes files that were stored and whose imports are not among those that
// are open: they have ended, or their upload never did. stored was asked for
// before open, so that no import came in between.
func (r *Runner) sweep(stored []string, open []telltale.Import) {
	needed := map[string]bool{}
	for _, i := range open {
		needed[string(i.ID)+finished] = true
	}
	for _, name := range stored {
		if needed[name] {
			continue
		}
		if err := os.Remove(filepath.Join(r.Folder, name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			r.Log.Warn("the file of an import that has ended was not removed; it is tried again", "file", name, "error", err)
		}
	}
}

// opened is the file of an import, open at the place where the import stands.
type opened struct {
	file *os.File
	head *head
	rows *rows
	// ahead is the portion that is being made; until it is there, file and rows
	// belong to who makes it. nil if none is.
	ahead chan ahead
	most  int // rows of the coming portions
}

// errFile is what is wrong with a file that was sound when it was stored.
type errFile struct{ reason string }

func (e *errFile) Error() string { return e.reason }

func (r *Runner) open(i telltale.Import) (o *opened, err error) {
	file, err := os.Open(r.path(i.ID))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, &errFile{"The file is no longer in the data folder."}
	}
	if err != nil {
		return nil, fmt.Errorf("imports: %w", err)
	}
	defer func() {
		if err != nil {
			_ = file.Close()
		}
	}()
	info, err := file.Stat()
	if err != nil {
		return nil, fmt.Errorf("imports: %w", err)
	}
	if info.Size() != i.Bytes {
		return nil, &errFile{fmt.Sprintf("The file in the data folder has %d bytes and not %d: it was changed.", info.Size(), i.Bytes)}
	}
	start := make([]byte, min(i.Bytes, telltale.MaxImportRow+int64(len(mark))))
	if _, err := io.ReadFull(file, start); err != nil {
		return nil, fmt.Errorf("imports: reading the head: %w", err)
	}
	h, err := readHead(i.Kind, start)
	if err != nil {
		return nil, &errFile{"The file in the data folder was changed. " + err.Error()}
	}
	place, line := i.Place, i.Line+1
	if place == 0 {
		place, line = h.place, h.line
	}
	if _, err := file.Seek(place, io.SeekStart); err != nil {
		return nil, fmt.Errorf("imports: %w", err)
	}
	return &opened{file: file, head: h, rows: newRows(file, h.delimiter, place, line), most: portionRows}, nil
}
