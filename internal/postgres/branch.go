package postgres

import (
	"context"
	"fmt"
	"slices"
	"strings"

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

// with gives the branch with further clauses, and leaves it as it is.
func (b branch) with(clauses ...clause) branch {
	b.clauses = slices.Concat(b.clauses, clauses)
	return b
}

// within narrows the branch to numbers.
func (b *branch) within(n numbers) { b.clauses = append(b.clauses, n.clauses(b.alias())...) }

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

// unite puts together the query of the first rows of all branches. Without an
// order they are whichever rows.
func unite(branches []branch, columns, order string, limit int) (sql string, args []any) {
	var c conditions
	parts := make([]string, len(branches))
	for i, b := range branches {
		c.sql = nil
		for _, clause := range b.clauses {
			c.where(clause.sql, clause.args...)
		}
		by := ""
		if order != "" {
			by = fmt.Sprintf(" ORDER BY %s.number %s", b.alias(), order)
		}
		parts[i] = fmt.Sprintf("SELECT %s FROM %s%s%s LIMIT %d", columns, b.table, c.String(), by, limit)
	}
	if len(parts) == 1 {
		return parts[0], c.args
	}
	all := "(" + strings.Join(parts, ") UNION ALL (") + ")"
	if order != "" {
		all += " ORDER BY number " + order
	}
	return fmt.Sprintf("%s LIMIT %d", all, limit), c.args
}

// lastOf gives the number of the last one of so many rows, or 0 if there are
// fewer.
func lastOf(ctx context.Context, q querier, branches []branch, page telltale.Page, most int) (number int64, err error) {
	sql, args := unite(branches, branches[0].alias()+".number", order(page), most)
	err = q.QueryRow(ctx, fmt.Sprintf("SELECT number FROM (%s) r OFFSET %d", sql, most-1), args...).Scan(&number)
	return number, ignoreNoRows(err)
}
