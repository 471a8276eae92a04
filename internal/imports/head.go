package imports

import (
	"bytes"
	"io"
	"slices"
	"strings"
	"unicode/utf8"

	"telltale.example/telltale"
)

// head is what the first row of a file says: the columns, and what each is for.
type head struct {
	kind      telltale.ImportKind
	delimiter byte
	columns   []column
	place     int64 // behind the head
	line      int   // likewise
}

type column struct {
	name string
	is   meaning
}

// meaning is what a column is for.
type meaning int

const (
	isProperty meaning = iota // a property of the user, or a member of the event's data
	isID
	isEmail
	isTags
	isEventName
	isDate
)

// meanings are the columns that are more than properties, by the kinds of files
// that have them.
var meanings = []struct {
	name  string
	is    meaning
	kinds []telltale.ImportKind
}{
	{"id", isID, []telltale.ImportKind{telltale.ImportProfiles, telltale.ImportEvents, telltale.ImportUnsubscribes}},
	{"email", isEmail, []telltale.ImportKind{telltale.ImportProfiles, telltale.ImportEvents, telltale.ImportUnsubscribes}},
	{"tags", isTags, []telltale.ImportKind{telltale.ImportProfiles}},
	{"event_name", isEventName, []telltale.ImportKind{telltale.ImportEvents}},
	{"date", isDate, []telltale.ImportKind{telltale.ImportEvents, telltale.ImportUnsubscribes}},
}

// mark is what some programs begin a file of UTF-8 with.
var mark = []byte("\xEF\xBB\xBF")

// readHead reads the head of a file, of which start is the beginning: at least
// [telltale.MaxImportRow] bytes, if it has so many. Invalid for a file that is of
// another kind or encoding, with the reason in one sentence.
func readHead(kind telltale.ImportKind, start []byte) (*head, error) {
	refuse := func(format string, args ...any) (*head, error) {
		return nil, telltale.Errorf(telltale.Invalid, format, args...)
	}
	text, marked := bytes.CutPrefix(start, mark)
	switch {
	case bytes.HasPrefix(text, []byte("\xFF\xFE")), bytes.HasPrefix(text, []byte("\xFE\xFF")), len(text) > 1 && (text[0] == 0) != (text[1] == 0):
		return refuse("The file is UTF-16. Save it as UTF-8.")
	case bytes.HasPrefix(text, []byte("PK\x03\x04")):
		return refuse("The file is a spreadsheet or an archive. Save it as CSV, in UTF-8.")
	}
	h := &head{kind: kind, delimiter: delimiterOf(text)}
	r := newRows(bytes.NewReader(text), h.delimiter, 0, 1)
	first, err := r.next()
	switch {
	case err == io.EOF: //nolint:errorlint // rows give it as it is
		return refuse("The file is empty. Its first row names the columns.")
	case err != nil:
		return nil, err
	case first.wrong != "":
		return refuse("The first row names the columns, and cannot be read. %s", first.wrong)
	case bytes.IndexByte(first.raw, 0) >= 0:
		return refuse("The file is no text: its first row has zero bytes. Save it as CSV, in UTF-8.")
	case !utf8.Valid(first.raw):
		return refuse("The first row is not UTF-8. Save the file as UTF-8.")
	case bytes.IndexByte(first.raw, '\r') >= 0:
		return refuse("The lines of the file end with carriage returns alone. Save it with line feeds.")
	case len(first.fields) > telltale.MaxImportColumns:
		return refuse("The file has %d columns; the most is %d.", len(first.fields), telltale.MaxImportColumns)
	}
	for i, field := range first.fields {
		name := strings.TrimSpace(string(field))
		switch {
		case name == "":
			return refuse("Column %d has no name. The first row names the columns.", i+1)
		case len(name) > telltale.MaxKeyBytes:
			return refuse("The name of column %d is longer than %d bytes.", i+1, telltale.MaxKeyBytes)
		}
		h.columns = append(h.columns, column{name, h.meaningOf(name)})
	}
	h.place, h.line = r.place, r.line
	if marked {
		h.place += int64(len(mark))
	}
	if err := h.check(); err != nil {
		return nil, err
	}
	return h, nil
}

// delimiterOf is the first of comma, semicolon and tab in the first line.
func delimiterOf(text []byte) byte {
	quoted := false
	for _, c := range text {
		switch {
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == ',', c == ';', c == '\t':
			return c
		case c == '\n':
			return ','
		}
	}
	return ','
}

// meaningOf knows columns by their names, whatever their case.
func (h *head) meaningOf(name string) meaning {
	for _, m := range meanings {
		if strings.EqualFold(m.name, name) && slices.Contains(m.kinds, h.kind) {
			return m.is
		}
	}
	return isProperty
}

// has reports whether the file has a column of that name.
func (h *head) has(name string) bool {
	return slices.ContainsFunc(h.columns, func(c column) bool { return strings.EqualFold(c.name, name) })
}

// check refuses what is no file of its kind, saying which it looks like.
func (h *head) check() error {
	refuse := func(format string, args ...any) error { return telltale.Errorf(telltale.Invalid, format, args...) }
	properties := 0
	for i, c := range h.columns {
		if c.is == isProperty {
			properties++
		}
		for _, before := range h.columns[:i] {
			if before.name == c.name || before.is == c.is && c.is != isProperty {
				return refuse("The column %s is there twice.", telltale.CutValue(c.name))
			}
		}
	}
	if properties > telltale.MaxExtraKeys {
		return refuse("The file has %d columns of properties; the most is %d.", properties, telltale.MaxExtraKeys)
	}
	events := h.has("event_name") && h.has("date")
	switch {
	case h.kind != telltale.ImportEvents && events:
		return refuse("This looks like a file of events: it has the columns event_name and date. Import it as events.")
	case !h.has("id") && !h.has("email"):
		return refuse("The file has no column id and none that is called email; one of them says whom a row is about. Its columns are %s.", h.names(h.columns))
	case h.kind == telltale.ImportEvents && !h.has("event_name") && !h.has("date"):
		return refuse("This looks like a file of profiles: it has no columns event_name and date. Import it as profiles.")
	case h.kind == telltale.ImportEvents && !events:
		return refuse("A file of events has the columns event_name and date; this one has %s.", h.names(h.columns))
	case h.kind == telltale.ImportUnsubscribes && properties > 0:
		// Whoever took a list of users for one of those who left would lose them all.
		others := slices.DeleteFunc(slices.Clone(h.columns), func(c column) bool { return c.is != isProperty })
		return refuse("A file of unsubscribes has the columns id, email and date, and no others; this one has %s. Remove them, or import it as profiles.", h.names(others))
	}
	return nil
}

// names lists the names of columns, the first of them if they are many.
func (h *head) names(columns []column) string {
	const most = 5
	var names []string
	for _, c := range columns[:min(len(columns), most)] {
		names = append(names, telltale.CutValue(c.name))
	}
	if len(columns) > most {
		names = append(names, "…")
	}
	return strings.Join(names, ", ")
}
