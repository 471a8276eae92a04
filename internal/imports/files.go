package imports

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"telltale.example/telltale"
)

// save stores the file of an import, whose head is looked at first.
func (r *Runner) save(ctx context.Context, i telltale.Import, file io.Reader) (size int64, err error) {
	in := bufio.NewReaderSize(file, telltale.MaxImportRow+len(mark)+1)
	start, err := in.Peek(in.Size())
	if err != nil && !errors.Is(err, io.EOF) {
		return 0, err
	}
	if _, err := readHead(i.Kind, start); err != nil {
		return 0, err
	}
	return r.Files.SaveFile(ctx, i.ID, &bounded{file: in, left: telltale.MaxImportBytes})
}

// bounded is a file that must not be larger than an import takes.
type bounded struct {
	file io.Reader
	left int64
}

func (b *bounded) Read(p []byte) (int, error) {
	n, err := b.file.Read(p)
	if b.left -= int64(n); b.left < 0 {
		return 0, telltale.Errorf(telltale.TooLarge, "The file is larger than %d GiB, the most that an import takes. Split it.", telltale.MaxImportBytes>>30)
	}
	return n, err
}

// Folder keeps the files of a node that is alone: see [telltale.ImportFiles]. It
// is made when it is needed.
type Folder string

var _ telltale.ImportFiles = Folder("")

// Files lie in the folder under the id of their import, and end in finished;
// while one arrives it ends in arriving.
const (
	finished = ".csv"
	arriving = ".part"
)

func (f Folder) path(id telltale.ImportID) string {
	return filepath.Join(string(f), string(id)+finished)
}

// SaveFile returns without error when the file is on the disk and so is its name;
// until then, nothing is there to be found after a crash but what is swept.
func (f Folder) SaveFile(_ context.Context, id telltale.ImportID, file io.Reader) (size int64, err error) {
	if err := os.MkdirAll(string(f), 0o700); err != nil {
		return 0, unstored(err)
	}
	part := strings.TrimSuffix(f.path(id), finished) + arriving
	out, err := os.OpenFile(part, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return 0, unstored(err)
	}
	defer func() {
		if err != nil {
			_ = os.Remove(part) // or it is swept
		}
	}()
	size, err = io.Copy(writer{out}, file)
	if err == nil {
		err = unstored(out.Sync())
	}
	if closed := unstored(out.Close()); err == nil {
		err = closed
	}
	if err != nil {
		return 0, err
	}
	if err := os.Rename(part, f.path(id)); err != nil {
		return 0, unstored(err)
	}
	if err := syncFolder(string(f)); err != nil {
		_ = os.Remove(f.path(id))
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

// onDisk is a file of a folder.
type onDisk struct {
	*os.File
	size int64
}

func (f onDisk) Size() int64 { return f.size }

func (f Folder) OpenFile(_ context.Context, id telltale.ImportID) (telltale.ImportFile, error) {
	file, err := os.Open(f.path(id))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, telltale.Errorf(telltale.NotFound, "There is no such file.")
	}
	if err != nil {
		return nil, fmt.Errorf("imports: %w", err)
	}
	info, err := file.Stat()
	if err != nil {
		return nil, errors.Join(fmt.Errorf("imports: %w", err), file.Close())
	}
	return onDisk{file, info.Size()}, nil
}

func (f Folder) StoredFiles(context.Context) (ids []telltale.ImportID, err error) {
	entries, err := os.ReadDir(string(f))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("imports: looking for files: %w", err)
	}
	for _, e := range entries {
		id := strings.TrimSuffix(strings.TrimSuffix(e.Name(), finished), arriving)
		if telltale.ValidID("imp_", id) {
			ids = append(ids, telltale.ImportID(id))
		}
	}
	return slices.Compact(ids), nil
}

func (f Folder) RemoveFile(_ context.Context, id telltale.ImportID) error {
	path := f.path(id)
	for _, name := range []string{path, strings.TrimSuffix(path, finished) + arriving} {
		if err := os.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("imports: %w", err)
		}
	}
	return nil
}

// stored lists the files that no upload works on.
func (r *Runner) stored(ctx context.Context) ([]telltale.ImportID, error) {
	all, err := r.Files.StoredFiles(ctx)
	if err != nil {
		return nil, err
	}
	r.mu.Lock() // a file that is being saved has its import in a moment
	defer r.mu.Unlock()
	return slices.DeleteFunc(all, func(id telltale.ImportID) bool {
		_, saving := r.saving[id]
		return saving
	}), nil
}

// sweep removes files that were stored and whose imports are not among those that
// are open: they have ended, or their upload never did. stored was asked for
// before open, so that no import came in between.
func (r *Runner) sweep(ctx context.Context, stored []telltale.ImportID, open []telltale.Import) {
	for _, id := range stored {
		if slices.ContainsFunc(open, func(i telltale.Import) bool { return i.ID == id }) {
			continue
		}
		if err := r.Files.RemoveFile(ctx, id); err != nil && ctx.Err() == nil {
			r.Log.Warn("the file of an import that has ended was not removed; it is tried again", "import", id, "error", err)
		}
	}
}

// opened is the file of an import, open at the place where the import stands.
type opened struct {
	file telltale.ImportFile
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

func (r *Runner) open(ctx context.Context, i telltale.Import) (o *opened, err error) {
	file, err := r.Files.OpenFile(ctx, i.ID)
	if telltale.CodeOf(err) == telltale.NotFound {
		return nil, &errFile{"The file is no longer there."}
	}
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			_ = file.Close()
		}
	}()
	if file.Size() != i.Bytes {
		return nil, &errFile{fmt.Sprintf("The stored file has %d bytes and not %d: it was changed.", file.Size(), i.Bytes)}
	}
	start := make([]byte, min(i.Bytes, telltale.MaxImportRow+int64(len(mark))))
	if _, err := io.ReadFull(file, start); err != nil {
		return nil, fmt.Errorf("imports: reading the head: %w", err)
	}
	h, err := readHead(i.Kind, start)
	if err != nil {
		return nil, &errFile{"The stored file was changed. " + err.Error()}
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
