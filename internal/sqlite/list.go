package sqlite

import (
	"math"
	"slices"
	"strings"

	"telltale.example/telltale"
)

// list puts together the query of a page of rows, newest first. Its texts are
// a closed set, since only their conditions vary, so each is prepared once.
type list struct {
	page       telltale.Page
	key        string   // column, or columns with a comma between, that rise with time
	conditions []string // by these an index finds rows,
	args       []any    // int64 or string
	filters    []string // and in each row that it finds these are looked at
	filterArgs []any

	// For what is no page:
	oldestFirst bool
	most        int // rows
}

func (l *list) where(condition string, args ...any) {
	l.conditions = append(l.conditions, condition)
	l.args = append(l.args, args...)
}

func (l *list) filter(condition string, args ...any) {
	l.filters = append(l.filters, condition)
	l.filterArgs = append(l.filterArgs, args...)
}

// nearest reports whether the page is what is just newer than a row. It is
// read upwards then, and turned around by [newestFirst].
func nearest(page telltale.Page) bool { return page.Before != "" }

func pageLimit(page telltale.Page) int { return min(max(page.Limit, 1), telltale.MaxPage) }

func (l *list) limit() int {
	if l.most > 0 {
		return l.most
	}
	return pageLimit(l.page)
}

// pageByText narrows the list to the page where the key is the id.
func (l *list) pageByText() {
	if l.page.After != "" {
		l.where(l.key+" < ?", l.page.After)
	}
	if l.page.Before != "" {
		l.where(l.key+" > ?", l.page.Before)
	}
}

// each runs the query that begins with the given text and scans its rows.
func (l *list) each(c *conn, text string, scan func(*query) error) error {
	var sql strings.Builder
	sql.WriteString(text)
	l.write(&sql, slices.Concat(l.conditions, l.filters))
	return l.bind(c.query(sql.String()), l.args, l.filterArgs, []any{int64(l.limit())}).each(scan)
}

// count looks at the newest rows from the table that the conditions find, at
// most that many, and counts those that pass the filters. last is the number
// of the last row that it looked at. A page that is read upwards is counted so.
func (l *list) count(c *conn, from string, most int) (looked, passed int, last int64, err error) {
	number := l.key[strings.LastIndexByte(l.key, ',')+1:]
	end := "min"
	if nearest(l.page) {
		end = "max"
	}
	var sql strings.Builder
	sql.WriteString("SELECT count(*), coalesce(sum(passes), 0), coalesce(" + end + "(number), 0) FROM (SELECT " + number + " AS number, ")
	if len(l.filters) == 0 {
		sql.WriteString("1")
	}
	for i, filter := range l.filters {
		if i > 0 {
			sql.WriteString(" AND ")
		}
		sql.WriteString("(" + filter + ")")
	}
	sql.WriteString(" AS passes FROM " + from)
	l.write(&sql, l.conditions)
	sql.WriteString(")")
	_, err = l.bind(c.query(sql.String()), l.filterArgs, l.args, []any{int64(most)}).one(func(q *query) {
		looked, passed, last = int(q.getInt()), int(q.getInt()), q.getInt()
	})
	return looked, passed, last, err
}

// write adds the conditions and the order to the text, and a limit to be bound.
func (l *list) write(sql *strings.Builder, conditions []string) {
	for i, condition := range conditions {
		if i == 0 {
			sql.WriteString(" WHERE ")
		} else {
			sql.WriteString(" AND ")
		}
		sql.WriteString(condition)
	}
	sql.WriteString(" ORDER BY ")
	for i, column := range strings.Split(l.key, ",") {
		if i > 0 {
			sql.WriteString(", ")
		}
		sql.WriteString(column)
		if !nearest(l.page) && !l.oldestFirst {
			sql.WriteString(" DESC")
		}
	}
	sql.WriteString(" LIMIT ?")
}

func (l *list) bind(q *query, args ...[]any) *query {
	for _, arg := range slices.Concat(args...) {
		switch arg := arg.(type) {
		case int64:
			q.int(arg)
		case string:
			q.text(arg)
		} // what is neither stays unbound, and the query fails
	}
	return q
}

// newestFirst turns around what was read upwards.
func newestFirst[T any](rows []T, page telltale.Page) []T {
	if nearest(page) {
		slices.Reverse(rows)
	}
	return rows
}

// numbers is a range of numbers, without its ends.
type numbers struct{ above, below int64 }

func allNumbers() numbers { return numbers{above: 0, below: math.MaxInt64} }

func (n *numbers) cut(other numbers) {
	n.above, n.below = max(n.above, other.above), min(n.below, other.below)
}

func (n numbers) empty() bool { return n.below-1 <= n.above }

// splitAt divides the numbers behind the one that is read last.
func (n numbers) splitAt(last int64, upwards bool) (part, rest numbers) {
	if upwards {
		return numbers{n.above, last + 1}, numbers{last, n.below}
	}
	return numbers{last - 1, n.below}, numbers{n.above, last}
}

// cutList cuts a list that is in memory, sorted by id, to a page of it, newest first.
func cutList[T any](rows []T, id func(T) string, page telltale.Page) []T {
	var cut []T
	for _, row := range slices.Backward(rows) {
		if (page.After == "" || id(row) < page.After) && (page.Before == "" || id(row) > page.Before) {
			cut = append(cut, row)
		}
	}
	limit := min(pageLimit(page), len(cut))
	if nearest(page) {
		return cut[len(cut)-limit:]
	}
	return cut[:limit]
}
