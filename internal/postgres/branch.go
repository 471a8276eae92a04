package postgres

import (
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"telltale.example/telltale"
)

// branch is a way to rows of one table, in the order of their numbers: an index
// finds them so. A list that has several, with no row in common, takes the first
// of each; so the server reads no more of any than a page.
//
// It is written out, since a view over the tables would be read from all their
// partitions at once, where one after the other is read until the page is full.
type branch struct {
	table   string // with its alias, such as "event e"
	clauses []clause
}

// clause is a condition, in which each ? stands for a parameter.
type clause struct {
	sql  string
	args []any
}

func (b *branch) where(sql string, args ...any) {
	b.clauses = append(b.clauses, clause{sql, args})
}

// and gives the branch narrowed by further clauses, and leaves it as it is. What
// it says already it does not say twice: the server would take it for two things
// that seldom come together.
func (b branch) and(clauses ...clause) branch {
	b.clauses = slices.Clone(b.clauses)
	for _, c := range clauses {
		if !slices.ContainsFunc(b.clauses, func(said clause) bool { return said.sql == c.sql }) {
			b.clauses = append(b.clauses, c)
		}
	}
	return b
}

// within narrows the branch to numbers.
func (b *branch) within(n numbers) { b.clauses = slices.Concat(b.clauses, n.clauses(b.alias())) }

func (b *branch) alias() string { return b.table[strings.LastIndexByte(b.table, ' ')+1:] }

// clauses say that a row has one of the numbers.
func (n numbers) clauses(alias string) (list []clause) {
	if n.above > 0 {
		list = append(list, clause{alias + ".number > ?", []any{n.above}})
	}
	if n.below < allNumbers().below {
		list = append(list, clause{alias + ".number < ?", []any{n.below}})
	}
	return list
}

// order is how the rows of a page are read.
func order(page telltale.Page) string {
	if nearest(page) {
		return "ASC"
	}
	return "DESC"
}

func opposite(page telltale.Page) string {
	if nearest(page) {
		return "DESC"
	}
	return "ASC"
}

// planned has the server plan a query anew each time, for what is asked: which
// index is best for a webhook depends on how much that webhook has.
const planned = pgx.QueryExecModeCacheDescribe

// unite puts together the query of the first rows of all branches.
func unite(branches []branch, columns, order string, limit int) (sql string, args []any) {
	var c conditions
	parts := make([]string, len(branches))
	for i, b := range branches {
		c.sql = nil
		for _, clause := range b.clauses {
			c.where(clause.sql, clause.args...)
		}
		parts[i] = fmt.Sprintf("SELECT %s FROM %s%s ORDER BY %s.number %s LIMIT %d", columns, b.table, c.String(), b.alias(), order, limit)
	}
	args = append([]any{planned}, c.args...)
	if len(parts) == 1 {
		return parts[0], args
	}
	return fmt.Sprintf("(%s) ORDER BY number %s LIMIT %d", strings.Join(parts, ") UNION ALL ("), order, limit), args
}

// all puts together the query of all rows of the branch, in whichever order.
func (b branch) all(columns string) (sql string, args []any) {
	var c conditions
	for _, clause := range b.clauses {
		c.where(clause.sql, clause.args...)
	}
	return fmt.Sprintf("SELECT %s FROM %s%s", columns, b.table, c.String()), append([]any{planned}, c.args...)
}
