package imports

import (
	"bytes"
	"fmt"
	"io"

	"telltale.example/telltale"
)

// window is how much is read at a time beyond the longest row, in bytes.
const window = 64 << 10

// rows reads a CSV file (RFC 4180) row by row, in constant memory, and knows of
// each where it stands. The standard library's reader would read on from an open
// quote to the end of the file.
type rows struct {
	file      io.Reader
	delimiter byte

	buffer     []byte
	start, end int   // of what was read into the buffer and not taken from it
	place      int64 // in the file, of start
	line       int   // of start, from 1
	last       int   // of the last byte that was taken
	over       bool  // the file has no more than what is in the buffer

	fields [][]byte
}

// row is one row of a file. It is valid until the next one is read.
type row struct {
	fields [][]byte // without quotes
	raw    []byte   // as it stands in the file, without its line end; cut if it is too long
	line   int      // on which it begins, from 1
	wrong  string   // why it cannot be read; then there are no fields
}

// newRows reads from a place of the file on, at which a line begins.
func newRows(file io.Reader, delimiter byte, place int64, line int) *rows {
	return &rows{file: file, delimiter: delimiter, buffer: make([]byte, telltale.MaxImportRow+window), place: place, line: line, last: line - 1}
}

// next gives the next row that is not empty, or io.EOF. A row that cannot be
// read is its first line: what stands on the next one may be a good row.
func (r *rows) next() (row, error) {
	for {
		size, wrong, whole := r.split()
		switch {
		case whole && wrong == "":
			raw := bytes.TrimSuffix(bytes.TrimSuffix(r.buffer[r.start:r.start+size], []byte("\n")), []byte("\r"))
			line := r.line
			r.take(size)
			if len(raw) == 0 && size > 0 {
				continue // an empty line
			}
			return row{fields: r.fields, raw: raw, line: line}, nil
		case whole:
			return r.giveUp(wrong)
		case r.over && r.start == r.end:
			return row{}, io.EOF
		case r.end-r.start >= telltale.MaxImportRow:
			return r.giveUp(wrong)
		}
		if err := r.fill(); err != nil {
			return row{}, err
		}
	}
}

func (r *rows) take(size int) {
	taken := r.buffer[r.start : r.start+size]
	r.line += bytes.Count(taken, []byte("\n"))
	if r.last = r.line; bytes.HasSuffix(taken, []byte("\n")) {
		r.last--
	}
	r.start += size
	r.place += int64(size)
}

// fill reads more of the file behind what the buffer has.
func (r *rows) fill() error {
	r.end = copy(r.buffer, r.buffer[r.start:r.end])
	r.start = 0
	for r.end < len(r.buffer) && !r.over {
		n, err := r.file.Read(r.buffer[r.end:])
		r.end += n
		switch {
		case err == io.EOF:
			r.over = true
		case err != nil:
			return fmt.Errorf("imports: reading at byte %d: %w", r.place+int64(r.end), err)
		case n > 0:
			return nil
		}
	}
	return nil
}

// giveUp takes the first line of what cannot be read.
func (r *rows) giveUp(wrong string) (row, error) {
	bad := row{line: r.line, wrong: wrong}
	for {
		rest := r.buffer[r.start:r.end]
		size := bytes.IndexByte(rest, '\n') + 1
		ends := size > 0 || r.over
		if size == 0 {
			size = len(rest)
		}
		if room := telltale.MaxRefusedRow - len(bad.raw); room > 0 {
			bad.raw = append(bad.raw, rest[:min(size, room)]...)
		}
		r.take(size)
		if ends {
			bad.raw = bytes.TrimRight(bad.raw, "\r\n")
			return bad, nil
		}
		if err := r.fill(); err != nil {
			return row{}, err
		}
	}
}

// What is wrong with a row that cannot be read.
var (
	unclosedQuote = "A quote opens in this row and is not closed. Text with a quote in it is put in quotes, and each quote in it is doubled."
	strayQuote    = "There is a quote within a field. Text with a quote in it is put in quotes, and each quote in it is doubled."
	longRow       = fmt.Sprintf("The row is longer than %d KiB, the most that a row may have.", telltale.MaxImportRow>>10)
)

// split divides what the buffer begins with into the fields of a row, and gives
// its size with the line end. whole is false if the row goes on behind the
// buffer; then wrong is what it would be if the row were too long.
func (r *rows) split() (size int, wrong string, whole bool) {
	b := r.buffer[r.start:r.end]
	r.fields = r.fields[:0]
	for i := 0; ; {
		var field []byte
		if i < len(b) && b[i] == '"' {
			end, doubled := closing(b, i+1)
			if end < 0 {
				return 0, unclosedQuote, r.over
			}
			if field = b[i+1 : end]; doubled {
				field = bytes.ReplaceAll(field, []byte(`""`), []byte(`"`))
			}
			i = end + 1
		} else {
			end := i
			for end < len(b) && b[end] != r.delimiter && b[end] != '\n' {
				if b[end] == '"' {
					return 0, strayQuote, true
				}
				end++
			}
			if field, i = b[i:end], end; end == len(b) || b[end] == '\n' {
				field = bytes.TrimSuffix(field, []byte("\r"))
			}
		}
		r.fields = append(r.fields, field)
		rest := b[i:]
		switch {
		case len(rest) > 0 && rest[0] == r.delimiter:
			i++
		case len(rest) > 0 && rest[0] == '\n':
			return i + 1, r.tooLong(i + 1), true
		case bytes.HasPrefix(rest, []byte("\r\n")):
			return i + 2, r.tooLong(i + 2), true
		case len(rest) > 0 && string(rest) != "\r":
			return 0, strayQuote, true
		case r.over && len(b) > 0:
			return len(b), r.tooLong(len(b)), true
		default:
			return 0, longRow, false
		}
	}
}

func (r *rows) tooLong(size int) string {
	if size > telltale.MaxImportRow {
		return longRow
	}
	return ""
}

// closing finds the quote that closes a field, and whether the field has doubled
// quotes; -1 if there is none, or if what follows it is not known yet.
func closing(b []byte, i int) (end int, doubled bool) {
	for {
		k := bytes.IndexByte(b[i:], '"')
		if k < 0 {
			return -1, doubled
		}
		if i += k; i+1 < len(b) && b[i+1] == '"' {
			i, doubled = i+2, true
			continue
		}
		return i, doubled
	}
}
