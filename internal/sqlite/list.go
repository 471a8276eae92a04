package sqlite

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"telltale.example/telltale"
)

// list puts together the query of a page of rows, newest first. Its texts are
// a closed set, since only their conditions vary, so each is prepared once.
type list struct {
	page       telltale.Page
	key        string // column, or columns with a comma between, that rise with time
	conditions []string
	args       []any // int64 or string
}

func (l *list) where(condition string, args ...any) {
	l.conditions = append(l.conditions, condition)
	l.args = append(l.args, args...)
}

// nearest reports whether the page is what is just newer than a row. It is
// read upwards then, and turned around by [newestFirst].
func nearest(page telltale.Page) bool { return page.Before != "" }

func pageLimit(page telltale.Page) int { return min(max(page.Limit, 1), telltale.MaxPage) }

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
	for i, condition := range l.conditions {
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
		if !nearest(l.page) {
			sql.WriteString(" DESC")
		}
	}
	sql.WriteString(" LIMIT ?")

	q := c.query(sql.String())
	for _, arg := range l.args {
		switch arg := arg.(type) {
		case int64:
			q.int(arg)
		case string:
			q.text(arg)
		default:
			return fmt.Errorf("a list has an argument of type %T", arg)
		}
	}
	return q.int(int64(pageLimit(l.page))).each(scan)
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
