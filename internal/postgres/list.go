package postgres

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"unicode/utf8"

	"telltale.example/telltale"
)

func pageLimit(page telltale.Page) int { return min(max(page.Limit, 1), telltale.MaxPage) }

// nearest reports whether a page is read upwards: of what is newer than a row,
// what is nearest to it.
func nearest(page telltale.Page) bool { return page.Before != "" && page.After == "" }

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

// conditions gathers what a query asks for, and its parameters.
type conditions struct {
	sql  []string
	args []any
}

// where adds a condition, in which each ? stands for a parameter. What stands in
// a text that cannot be stored cannot be found, either.
func (c *conditions) where(sql string, args ...any) { c.sql = append(c.sql, c.bind(sql, args...)) }

// bind numbers the parameters of a condition, likewise, and does not add it.
func (c *conditions) bind(sql string, args ...any) string {
	var b strings.Builder
	for _, r := range sql {
		if r != '?' {
			b.WriteRune(r)
			continue
		}
		arg := args[0]
		if text, ok := arg.(string); ok {
			arg = clean(text)
		}
		c.args, args = append(c.args, arg), args[1:]
		fmt.Fprintf(&b, "$%d", len(c.args))
	}
	return b.String()
}

// String is the WHERE clause.
func (c *conditions) String() string {
	if len(c.sql) == 0 {
		return ""
	}
	return " WHERE " + strings.Join(c.sql, " AND ")
}

// byID adds the bounds of a page over a column of ids that rise, and gives the
// order that reads it.
func (c *conditions) byID(column string, page telltale.Page) (order string) {
	if page.After != "" {
		c.where(column+" < ?", page.After)
	}
	if page.Before != "" {
		c.where(column+" > ?", page.Before)
	}
	way := "DESC"
	if nearest(page) {
		way = "ASC"
	}
	return fmt.Sprintf(" ORDER BY %s %s LIMIT %d", column, way, pageLimit(page))
}

// clean makes a text that the database can store of whatever came from outside:
// it has no NUL, and is valid UTF-8.
func clean(s string) string {
	if strings.IndexByte(s, 0) < 0 && utf8.ValidString(s) {
		return s
	}
	return strings.ToValidUTF8(strings.ReplaceAll(s, "\x00", "\uFFFD"), "\uFFFD")
}

// textOrNull stores an empty text as nothing.
func textOrNull(s string) *string {
	if s == "" {
		return nil
	}
	return new(clean(s))
}
