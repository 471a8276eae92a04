package api

import (
	"context"
	"encoding/base64"
	"fmt"
	"testing"

	"telltale.example/telltale"
	"telltale.example/telltale/internal/wire"
)

func TestACursorIsOfOneListOfOneProject(t *testing.T) {
	t.Parallel()
	a := &api{config: Config{CursorKey: []byte("key")}}
	events := list{"events", "prj_a"}
	cursor := a.cursor(events, "evt_1")
	if row, ok := a.row(events, cursor); row != "evt_1" || !ok {
		t.Errorf("its own list reads %q, %v", row, ok)
	}
	for name, l := range map[string]list{"another list": {"deliveries", "prj_a"}, "another project": {"events", "prj_b"}} {
		if _, ok := a.row(l, cursor); ok {
			t.Errorf("%s takes it", name)
		}
	}
	other := &api{config: Config{CursorKey: []byte("another key")}}
	if _, ok := other.row(events, cursor); ok {
		t.Error("another installation takes it")
	}
}

func TestATamperedCursorIsNone(t *testing.T) {
	t.Parallel()
	a := &api{config: Config{CursorKey: []byte("key")}}
	l := list{"events", "prj_a"}
	cursor := a.cursor(l, "evt_01JD0000000000000000000000")
	for i := range cursor {
		for _, c := range []byte{'A', 'b', '_', '=', '\n', ' ', 0} {
			if cursor[i] == c {
				continue
			}
			tampered := cursor[:i] + string(c) + cursor[i+1:]
			if row, ok := a.row(l, tampered); ok {
				t.Errorf("%q with %q at %d is taken for %q", cursor, c, i, row)
			}
		}
	}
	for _, tampered := range []string{"", "x", cursor + "A", cursor[1:], cursor + cursor, cursor + "\n", base64.RawURLEncoding.EncodeToString(make([]byte, macSize))} {
		if row, ok := a.row(l, tampered); ok {
			t.Errorf("%q is taken for %q", tampered, row)
		}
	}
}

// A store of rows "1" to "9", the newest first.
func readNumbers(_ context.Context, p telltale.Page) ([]string, error) {
	all := []string{"9", "8", "7", "6", "5", "4", "3", "2", "1"}
	var rows []string
	for _, row := range all {
		if (p.After == "" || row < p.After) && (p.Before == "" || row > p.Before) {
			rows = append(rows, row)
		}
	}
	if p.Before != "" && len(rows) > p.Limit {
		return rows[len(rows)-p.Limit:], nil
	}
	return rows[:min(len(rows), p.Limit)], nil
}

func TestPagesLeadThroughTheWholeListAndBack(t *testing.T) {
	t.Parallel()
	a := &api{config: Config{CursorKey: []byte("key")}}
	read := func(q PageQuery) wire.Page[string] {
		t.Helper()
		page, err := paged(t.Context(), a, list{"numbers", "prj_a"}, q, func(s string) string { return s }, func(s string) string { return s }, readNumbers)
		if err != nil {
			t.Fatal(err)
		}
		return page
	}
	shape := func(p wire.Page[string]) string { return fmt.Sprint(p.Data, p.Next != nil, p.Prev != nil) }

	page := read(PageQuery{Limit: 4})
	var seen []string
	for _, want := range []string{"[9 8 7 6] true false", "[5 4 3 2] true true", "[1] false true"} {
		if got := shape(page); got != want {
			t.Fatalf("page %s, want %s", got, want)
		}
		seen = append(seen, page.Data...)
		if page.Next != nil {
			page = read(PageQuery{Limit: 4, After: *page.Next})
		}
	}
	for _, want := range []string{"[5 4 3 2] true true", "[9 8 7 6] true false"} {
		page = read(PageQuery{Limit: 4, Before: *page.Prev})
		if got := shape(page); got != want {
			t.Fatalf("back to page %s, want %s", got, want)
		}
	}
	if fmt.Sprint(seen) != "[9 8 7 6 5 4 3 2 1]" {
		t.Errorf("seen %v", seen)
	}
	if got := shape(read(PageQuery{Limit: 9})); got != "[9 8 7 6 5 4 3 2 1] false false" {
		t.Errorf("a page of all is %s", got)
	}
	if got := shape(read(PageQuery{Limit: 4, After: a.cursor(list{"numbers", "prj_a"}, "1")})); got != "[] false false" {
		t.Errorf("after the last is %s", got)
	}
	if got := shape(read(PageQuery{Limit: 4, Before: a.cursor(list{"numbers", "prj_a"}, "9")})); got != "[] false false" {
		t.Errorf("before the first is %s", got)
	}
}

func TestCursorsThatAreNoneAreNamed(t *testing.T) {
	t.Parallel()
	a := &api{config: Config{CursorKey: []byte("key")}}
	l := list{"numbers", "prj_a"}
	good := a.cursor(l, "5")
	for _, row := range []struct {
		name string
		q    PageQuery
		want string
	}{
		{"a cursor with a letter more", PageQuery{Limit: 1, After: good + "x"}, "query.after"},
		{"a cursor of another project", PageQuery{Limit: 1, Before: a.cursor(list{"numbers", "prj_b"}, "5")}, "query.before"},
		{"two cursors", PageQuery{Limit: 1, After: good, Before: good}, "query.before"},
	} {
		_, err := a.page(l, row.q)
		if faults := faultsOf(err); telltale.CodeOf(err) != telltale.Invalid || len(faults) != 1 || faults[0].Location != row.want {
			t.Errorf("%s: %v; want a fault at %s", row.name, err, row.want)
		}
	}
}

func FuzzCursor(f *testing.F) {
	a := &api{config: Config{CursorKey: []byte("key")}}
	l := list{"events", "prj_a"}
	f.Add(a.cursor(l, "evt_1"))
	f.Add("AAAA")
	f.Add("=\n")
	f.Fuzz(func(t *testing.T, cursor string) {
		if row, ok := a.row(l, cursor); ok && a.cursor(l, row) != cursor {
			t.Errorf("%q is taken for the cursor of %q", cursor, row)
		}
	})
}
