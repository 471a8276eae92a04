package postgres

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"telltale.example/telltale"
)

// The files of imports lie in chunks, a row each, since any node may take a file
// and any may read it. All chunks of a file are full but the last.
const (
	chunkBytes = 1 << 20
	// removeChunks is how many chunks go in one transaction, and removeAtOnce how
	// many with one call: whoever removes files has more to do.
	removeChunks = 16
	removeAtOnce = 64
	// uploadPause is longer than an upload lies still: a file without an import to
	// which nothing was added for so long will not have one.
	uploadPause = time.Hour
)

var _ telltale.ImportFiles = (*Store)(nil)

// SaveFile stores each chunk as it comes, in a transaction of its own.
func (s *Store) SaveFile(ctx context.Context, id telltale.ImportID, file io.Reader) (size int64, err error) {
	defer func() {
		if err == nil {
			return
		}
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), writeLimit)
		defer cancel()
		_ = s.RemoveFile(ctx, id) // or it is swept
	}()
	chunk := make([]byte, chunkBytes)
	for n := 0; ; n++ {
		filled, err := fill(file, chunk)
		if err != nil && !errors.Is(err, errEnd) {
			return 0, err
		}
		if over := err != nil; over && filled == 0 && n > 0 {
			return size, nil
		}
		stored := s.write(ctx, "storing the file of an import", func(tx *tx) error {
			_, err := tx.exec(`INSERT INTO import_chunk (import, n, at, bytes) VALUES ($1, $2, $3, $4)`, string(id), n, tx.milli, chunk[:filled])
			return err
		})
		if stored != nil {
			return 0, stored
		}
		if size += int64(filled); err != nil {
			return size, nil
		}
	}
}

// errEnd says that a file ends.
var errEnd = errors.New("the file ends")

// fill reads until the chunk is full, or the file ends. [io.ReadFull] would not
// tell the end from an upload that broke off.
func fill(file io.Reader, chunk []byte) (filled int, err error) {
	for filled < len(chunk) {
		n, err := file.Read(chunk[filled:])
		filled += n
		if err == io.EOF {
			return filled, errEnd
		}
		if err != nil {
			return filled, err
		}
	}
	return filled, nil
}

func (s *Store) OpenFile(ctx context.Context, id telltale.ImportID) (telltale.ImportFile, error) {
	f := &importFile{store: s, id: id, chunk: -1}
	err := s.read(ctx, "opening the file of an import", func(ctx context.Context, q querier) error {
		var chunks int64
		err := q.QueryRow(ctx, `SELECT count(*), coalesce(sum(octet_length(bytes)), 0) FROM import_chunk WHERE import = $1`, clean(string(id))).Scan(&chunks, &f.size)
		if err == nil && chunks == 0 {
			return notFound("file")
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return f, nil
}

// importFile reads a file, and has one of its chunks in memory.
type importFile struct {
	store *Store
	id    telltale.ImportID
	size  int64
	at    int64
	chunk int64 // whose bytes these are; -1 for none
	bytes []byte
}

func (f *importFile) Size() int64 { return f.size }

func (f *importFile) Read(p []byte) (int, error) {
	if f.at >= f.size {
		return 0, io.EOF
	}
	if chunk := f.at / chunkBytes; chunk != f.chunk {
		if err := f.fetch(chunk); err != nil {
			return 0, err
		}
	}
	n := copy(p, f.bytes[f.at%chunkBytes:])
	f.at += int64(n)
	return n, nil
}

// fetch has a bound in time of its own: see [readLimit].
func (f *importFile) fetch(chunk int64) error {
	return f.store.read(context.Background(), "reading the file of an import", func(ctx context.Context, q querier) error {
		var bytes []byte
		err := q.QueryRow(ctx, `SELECT bytes FROM import_chunk WHERE import = $1 AND n = $2`, string(f.id), chunk).Scan(&bytes)
		switch {
		case noRows(err):
			return notFound("file")
		case err != nil:
			return err
		case int64(len(bytes)) != min(chunkBytes, f.size-chunk*chunkBytes):
			return fmt.Errorf("chunk %d of the file of %s has %d bytes", chunk, f.id, len(bytes))
		}
		f.chunk, f.bytes = chunk, bytes
		return nil
	})
}

func (f *importFile) Seek(offset int64, whence int) (int64, error) {
	switch whence {
	case io.SeekCurrent:
		offset += f.at
	case io.SeekEnd:
		offset += f.size
	}
	if offset < 0 {
		return f.at, fmt.Errorf("postgres: there is no byte %d in a file", offset)
	}
	f.at = offset
	return offset, nil
}

func (f *importFile) Close() error {
	f.chunk, f.bytes = -1, nil
	return nil
}

// StoredFiles goes from one file to the next, past their chunks.
func (s *Store) StoredFiles(ctx context.Context) (ids []telltale.ImportID, err error) {
	err = s.read(ctx, "looking for files of imports", func(ctx context.Context, q querier) error {
		var id telltale.ImportID
		return each(ctx, q, `WITH RECURSIVE file AS (
				(SELECT import AS id FROM import_chunk ORDER BY import LIMIT 1)
				UNION ALL SELECT (SELECT c.import FROM import_chunk c WHERE c.import > f.id ORDER BY c.import LIMIT 1) FROM file f WHERE f.id IS NOT NULL)
			SELECT f.id FROM file f WHERE f.id IS NOT NULL AND (EXISTS (SELECT 1 FROM import i WHERE i.id = f.id)
				OR (SELECT c.at FROM import_chunk c WHERE c.import = f.id ORDER BY c.n DESC LIMIT 1) < telltale_now() - $1)`,
			[]any{uploadPause.Milliseconds()}, []any{&id}, func() error {
				ids = append(ids, id)
				return nil
			})
	})
	return ids, err
}

func (s *Store) RemoveFile(ctx context.Context, id telltale.ImportID) error {
	for removed := int64(0); removed < removeAtOnce; {
		n := int64(0)
		err := s.write(ctx, "removing the file of an import", func(tx *tx) (err error) {
			n, err = tx.exec(`DELETE FROM import_chunk WHERE import = $1 AND n IN (SELECT n FROM import_chunk WHERE import = $1 ORDER BY n LIMIT $2)`, clean(string(id)), removeChunks)
			return err
		})
		if err != nil || n < removeChunks {
			return err
		}
		removed += n
	}
	return nil
}
