package postgres

import (
	"bytes"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"telltale.example/telltale/internal/stored"
)

// someRows are rows in memory, the first columns of which are their key. Behind
// the last one comes an error, if there is one.
type someRows struct {
	rows [][]any
	key  int // columns
	err  error
	at   int
}

func (r *someRows) Next() bool {
	if r.at++; r.at > len(r.rows) {
		r.at = len(r.rows) + 1
	}
	return r.at <= len(r.rows)
}
func (r *someRows) Values() []any        { return r.rows[r.at-1] }
func (r *someRows) Key(into []any) []any { return append(into[:0], r.Values()[:r.key]...) }
func (r *someRows) Err() error           { return r.err }

var testOrigin = Origin{Salt: []byte("sixteen bytes of"), Starts: 1, Last: 1000, Portion: 2}

func openLoader(t *testing.T, url string) *Loader {
	t.Helper()
	l, err := OpenLoader(t.Context(), url, testOrigin, []string{"goal", "event", "nonce"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l
}

var goalColumns = []string{"project", "campaign", "event", "updated_at"}

func someGoals(n int) (rows [][]any) {
	for i := range n {
		rows = append(rows, []any{int64(1), fmt.Sprintf("c%d\x00", i), "bought\xff", int64(i)})
	}
	return rows
}

func TestALoaderGoesOnBehindWhatItCommitted(t *testing.T) {
	url, name := newDatabase(t)
	goals := someGoals(9)
	broken := errors.New("the disk fails")
	here := int64(0)
	for _, until := range []int{5, 5, 6, 9} {
		l := openLoader(t, url)
		rows, key, err := l.Place(t.Context(), "goal")
		if err != nil {
			t.Fatal(err)
		}
		if rows != here || rows > 0 && !reflect.DeepEqual(key, goals[rows-1][:2]) {
			t.Fatalf("%d rows up to %v are here, not %d", rows, key, here)
		}
		source := &someRows{rows: goals[here:until], key: 2}
		if until < len(goals) {
			source.err = broken
		}
		var told []int64
		err = l.Copy(t.Context(), "goal", goalColumns, source, func(rows int64) { told = append(told, rows) })
		if !errors.Is(err, source.err) {
			t.Fatalf("copying gives %v", err)
		}
		if len(told) > 0 {
			here = told[len(told)-1]
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		if n, _ := server.Exec(name, `SELECT count(*) FROM goal`); n != fmt.Sprint(here) {
			t.Fatalf("there are %s rows, and %d were told", n, here)
		}
	}
	if text, _ := server.Exec(name, `SELECT string_agg(campaign || ' ' || event, ' ' ORDER BY campaign) FROM goal WHERE updated_at < 2`); text != "c0� bought� c1� bought�" {
		t.Errorf("the texts are %q", text)
	}
	l := openLoader(t, url)
	c, err := l.Compare(t.Context(), "goal", goalColumns, &someRows{rows: goals, key: 2}, func(int64) {})
	if err != nil || !c.Same() || c.Rows != 9 {
		t.Errorf("comparing gives %+v, %v", c, err)
	}
	goals[3][2] = "sought"
	c, err = l.Compare(t.Context(), "goal", goalColumns, &someRows{rows: goals, key: 2}, func(int64) {})
	if err != nil || c.Same() || !slices.Equal(c.Differing, []string{"event"}) {
		t.Errorf("comparing with another event gives %+v, %v", c, err)
	}
}

func TestALoaderMakesTheDaysThatItNeeds(t *testing.T) {
	url, name := newDatabase(t)
	l := openLoader(t, url)
	columns := []string{"number", "id", "project", "type", "test", "source", "received_at", "occurred_at", "machine", "payload"}
	var rows [][]any
	for i, day := range []int64{10_000, 10_000, 10_000, 10_001, 10_400} {
		number := dayNumber(day) + int64(i)
		rows = append(rows, []any{number, fmt.Appendf(nil, "id of the event%d", i), int64(1), int64(2), int64(0), "api", int64(1), int64(2), int64(1), make([]byte, portionBytes/2)})
	}
	var told []int64
	if err := l.Copy(t.Context(), "event", columns, &someRows{rows: rows, key: 1}, func(rows int64) { told = append(told, rows) }); err != nil {
		t.Fatal(err)
	}
	if want := []int64{2, 3, 4, 5}; !slices.Equal(told, want) {
		t.Errorf("portions end behind the rows %v, not %v", told, want)
	}
	days, err := server.Exec(name, `SELECT string_agg(inhrelid::regclass::text, ' ' ORDER BY inhrelid::regclass::text) FROM pg_inherits WHERE inhparent = 'attempt'::regclass`)
	if want := partitionName("attempt", 10_000) + " " + partitionName("attempt", 10_001) + " " + partitionName("attempt", 10_400); err != nil || days != want {
		t.Errorf("there are the partitions %s, not %s; %v", days, want, err)
	}
	if err := l.Settle(t.Context(), []string{"event", "goal"}); err != nil {
		t.Fatal(err)
	}
	if last, _ := server.Exec(name, `SELECT last_value FROM line`); last != "1000" {
		t.Errorf("the line is at %s", last)
	}
}

func TestALoaderWantsTheColumnsThatThereAre(t *testing.T) {
	url, _ := newDatabase(t)
	l := openLoader(t, url)
	for _, c := range []struct {
		table   string
		columns []string
		row     []any
		want    string
	}{
		{"goal", goalColumns[:3], nil, "nothing is given for the column updated_at"},
		{"goal", append(goalColumns[:4:4], "colour"), nil, "there is no column colour"},
		{"goal", goalColumns, []any{int64(1), "7", []byte("bought"), int64(0)}, "a []uint8 does not go into"},
		{"goal", goalColumns, []any{int64(1) << 40, "7", "bought", int64(0)}, "int4"},
		{"gaol", goalColumns, nil, `relation "gaol" does not exist`},
	} {
		var rows [][]any
		if c.row != nil {
			rows = append(rows, c.row)
		}
		err := l.Copy(t.Context(), c.table, c.columns, &someRows{rows: rows, key: 2}, func(int64) {})
		if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), c.table) {
			t.Errorf("copying %v into %s(%v) gives %v", c.row, c.table, c.columns, err)
		}
	}
}

func TestPlacesAreReadBack(t *testing.T) {
	for _, key := range [][]any{{int64(0)}, {int64(1) << 52, "", "bt\x00\xff"}, {[]byte{}, []byte("b\x00\xff"), int64(-1)}, {"tttt", []byte("tbtb")}} {
		place, err := formatPlace(key)
		if err != nil {
			t.Fatal(err)
		}
		got, err := parsePlace(place)
		if err != nil || !reflect.DeepEqual(got, key) {
			t.Errorf("%v is read back as %v from %s; %v", key, got, place, err)
		}
	}
}

func TestTheServerMeasuresAsWeDo(t *testing.T) {
	url, _ := newDatabase(t)
	c, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close(t.Context())
	for _, m := range []struct {
		of    columnType
		cast  string
		value any
	}{
		{columnBool, "boolean", true}, {columnBool, "boolean", false}, {columnInt2, "smallint", int64(-5)}, {columnInt4, "integer", int64(2_000_003)},
		{columnInt8, "bigint", stored.FirstNumber(stored.NumberTime(1 << 51))}, {columnInt8, "bigint", int64(-3_000_000)}, {columnFloat, "float8", 12.5}, {columnFloat, "float8", 0.1}, {columnFloat, "float8", 0.0},
		{columnText, "text", ""}, {columnText, "text", "a"}, {columnText, "text", "äöü and more"}, {columnBytes, "bytea", []byte{}}, {columnBytes, "bytea", []byte{1}}, {columnBytes, "bytea", []byte{1, 2}},
		{columnBytes, "bytea", bytes.Repeat([]byte{0, 255, 7}, 5000)},
	} {
		var theirs int64
		if err := c.QueryRow(t.Context(), `SELECT `+m.of.measure("v")+` FROM (SELECT $1::`+m.cast+` AS v) t`, m.value).Scan(&theirs); err != nil {
			t.Fatalf("%s %v: %v", m.cast, m.value, err)
		}
		if ours := measure(m.value); ours != theirs || ours == 0 {
			t.Errorf("the %s %v measures %d here and %d there", m.cast, m.value, ours, theirs)
		}
	}
}
