package imports

import (
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"

	"telltale.example/telltale"
)

// readAll writes each row as its line and its fields, or what is wrong with it.
func readAll(t testing.TB, file io.Reader) []string {
	t.Helper()
	r := newRows(file, ',', 0, 1)
	var all []string
	for {
		row, err := r.next()
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		text := fmt.Sprintf("%d", row.line)
		for _, field := range row.fields {
			text += fmt.Sprintf(" %q", field)
		}
		switch row.wrong {
		case "":
		case unclosedQuote:
			text = fmt.Sprintf("%d unclosed %q", row.line, row.raw)
		case strayQuote:
			text = fmt.Sprintf("%d stray %q", row.line, row.raw)
		case longRow:
			text = fmt.Sprintf("%d long %d", row.line, len(row.raw))
		default:
			t.Fatalf("the row on line %d is wrong in a way of its own: %s", row.line, row.wrong)
		}
		all = append(all, text)
	}
}

func TestRows(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", telltale.MaxImportRow)
	for _, test := range []struct {
		name, file string
		want       []string
	}{
		{"nothing is no row", "", nil},
		{"lines are rows", "a,b\nc,d\n", []string{`1 "a" "b"`, `2 "c" "d"`}},
		{"the last line needs no end", "a,b\nc,d", []string{`1 "a" "b"`, `2 "c" "d"`}},
		{"lines may end as those of Windows do", "a,b\r\nc,d\r\n", []string{`1 "a" "b"`, `2 "c" "d"`}},
		{"a carriage return at the end of the file ends a line", "a,\"b\"\r", []string{`1 "a" "b"`}},
		{"empty lines are no rows, and count", "\n\na\n\r\nb\n\n", []string{`3 "a"`, `5 "b"`}},
		{"an empty field in quotes is a row", "\"\"\n", []string{`1 ""`}},
		{"fields may be empty", ",a,\n,,\n", []string{`1 "" "a" ""`, `2 "" "" ""`}},
		{"quotes hold commas, quotes and lines", "\"a,\"\"b\"\"\nc\",d\ne,f\n", []string{`1 "a,\"b\"\nc" "d"`, `3 "e" "f"`}},
		{"white space belongs to the field", " a , b\n", []string{`1 " a " " b"`}},
		{"a quote within a field spoils its row", "a\"b,c\nd,e\n", []string{`1 stray "a\"b,c"`, `2 "d" "e"`}},
		{"text behind a quote spoils its row", "\"a\"b,c\nd,e\n", []string{`1 stray "\"a\"b,c"`, `2 "d" "e"`}},
		{"a quote that is never closed spoils its line", "a,\"b\nc,d\ne,f", []string{`1 unclosed "a,\"b"`, `2 "c" "d"`, `3 "e" "f"`}},
		{"a quote that another row closes spoils the line it opens on", "1,\"a\n2,\"b\"\n3,c\n", []string{`1 stray "1,\"a"`, `2 "2" "b"`, `3 "3" "c"`}},
		{"a row that is too long spoils its line", "a\n" + long + "\nb\n", []string{`1 "a"`, fmt.Sprintf(`2 long %d`, telltale.MaxRefusedRow), `3 "b"`}},
		{"so does one without an end", "a\n" + long + long, []string{`1 "a"`, fmt.Sprintf(`2 long %d`, telltale.MaxRefusedRow)}},
		{"so does one that a quote makes too long", "a\n\"b\n" + strings.Repeat("c,d\n", telltale.MaxImportRow/4) + "e", slices.Concat(
			[]string{`1 "a"`, `2 unclosed "\"b"`}, numbered(3, telltale.MaxImportRow/4, `"c" "d"`), []string{fmt.Sprintf(`%d "e"`, 3+telltale.MaxImportRow/4)})},
		{"the longest row goes in", long[1:] + "\nb\n", []string{fmt.Sprintf("1 %q", long[1:]), `2 "b"`}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(test.want, readAll(t, strings.NewReader(test.file))); diff != "" {
				t.Errorf("the rows differ (-want +got):\n%s", diff)
			}
			if len(test.file) > 1000 {
				return
			}
			if diff := cmp.Diff(test.want, readAll(t, iotest.OneByteReader(strings.NewReader(test.file)))); diff != "" {
				t.Errorf("read byte by byte, the rows differ (-want +got):\n%s", diff)
			}
		})
	}
}

func numbered(from, n int, text string) []string {
	var list []string
	for i := range n {
		list = append(list, fmt.Sprintf("%d %s", from+i, text))
	}
	return list
}

func TestAnErrorOfReadingIsNoEndOfTheFile(t *testing.T) {
	t.Parallel()
	r := newRows(io.MultiReader(strings.NewReader("a\nb"), iotest.ErrReader(io.ErrUnexpectedEOF)), ',', 0, 1)
	if row, err := r.next(); err != nil || string(row.raw) != "a" {
		t.Fatalf("the first row is %q, %v", row.raw, err)
	}
	if row, err := r.next(); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Fatalf("the second is %q, %v", row.raw, err)
	}
}

// What is read agrees with the standard library where that reads everything, and
// wherever reading stops it goes on the same way from there.
func FuzzRows(f *testing.F) {
	for _, seed := range []string{"a,b\n\"c\nd\",e\r\n", "\"\"\"\",\n,\"\"", "x\"y,\"z\n\"1\"", "\xff\xfe,\"\n\"\"\n\"\n", "\r\n\r\r\n\"a\"\r", "\"a\n\"b\"\n\"c"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, file []byte) {
		r := newRows(bytes.NewReader(file), ',', 0, 1)
		var all [][]string
		clean := true
		line, place := 1, int64(0)
		for {
			row, err := r.next()
			if err != nil {
				break
			}
			clean = clean && row.wrong == ""
			if row.line < line || r.place <= place || r.place > int64(len(file)) || r.line < row.line || r.last < row.line {
				t.Fatalf("the row on line %d ends at byte %d, before line %d; the one before ended at %d", row.line, r.place, r.line, place)
			}
			again, err := newRows(bytes.NewReader(file[place:]), ',', place, line).next()
			if err != nil || again.line != row.line || again.wrong != row.wrong || !bytes.Equal(again.raw, row.raw) || len(again.fields) != len(row.fields) {
				t.Fatalf("from byte %d on the row is %+v and not %+v", place, again, row)
			}
			line, place = r.line, r.place
			var fields []string
			for _, field := range row.fields {
				fields = append(fields, strings.ReplaceAll(string(field), "\r\n", "\n"))
			}
			all = append(all, fields)
		}
		if place > int64(len(file)) || r.place != int64(len(file)) {
			t.Fatalf("reading ends at byte %d of %d", r.place, len(file))
		}
		if bytes.Contains(file, []byte("\r\r\n")) || bytes.HasSuffix(file, []byte("\r\r")) {
			return // of which the library takes more than one away
		}
		theirs := csv.NewReader(bytes.NewReader(file))
		theirs.FieldsPerRecord = -1
		want, err := theirs.ReadAll()
		if clean != (err == nil) {
			t.Fatalf("every row can be read: %v; the library says %v", clean, err)
		}
		if diff := cmp.Diff(want, all); clean && diff != "" {
			t.Fatalf("the rows differ (-library +ours):\n%s", diff)
		}
	})
}

func BenchmarkRows(b *testing.B) {
	file := bytes.Repeat([]byte("1234567,jo@example.com,Jo,\"Example, Inc.\",2026-11-20T09:30:00Z,gold\n"), 10_000)
	b.SetBytes(int64(len(file)))
	b.ReportAllocs()
	for b.Loop() {
		r := newRows(bytes.NewReader(file), ',', 0, 1)
		for {
			if _, err := r.next(); err != nil {
				break
			}
		}
	}
}
