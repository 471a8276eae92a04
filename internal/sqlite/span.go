package sqlite

import "fmt"

// A span is 2^20 numbers, which is half a second. The table span says which
// spans hold events or deliveries of an owner, a project or a webhook, and of
// which types; and which hold profiles of a project. So a list finds an owner's rows among everyone's: it reads the
// owner's spans from the newest on, and in each the rows that are the owner's.
//
// An index over all rows would be simpler to read, and a page more to write
// per webhook in every transaction; this is a row per owner and half a second.
const spanBits = 20

func spanOf(number int64) int64 { return number >> spanBits }

type owner int64

func (p *project) owner() owner { return owner(p.number * 2) }
func (w *webhook) owner() owner { return owner(w.number*2 + 1) }

// users owns the profiles of a project. Its spans stay when events are purged,
// and have one type, 0.
func (p *project) users() owner { return owner(-p.number) }

// spans remembers what was written last for each owner. Only the writer has it.
type spans map[owner]spanMark

type spanMark struct{ span, types int64 }

// note sees to it that the span of the number is written down for the owner.
func (tx *tx) note(o owner, number, typeCode int64) error {
	span, bit := spanOf(number), int64(1)<<typeCode
	mark := tx.spans[o]
	if mark.span != span {
		mark = spanMark{span: span}
	}
	if mark.types&bit != 0 {
		return nil
	}
	mark.types |= bit
	err := tx.change(`INSERT INTO span (owner, span, types) VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET types = types | excluded.types`).
		int(int64(o)).int(span).int(bit).run()
	if err != nil {
		return fmt.Errorf("span %d of %d: %w", span, o, err)
	}
	tx.spans[o] = mark
	return nil
}

// splitSpans divides the numbers behind so many of the owner's spans.
func splitSpans(c *conn, o owner, within numbers, upwards bool, most int) (part, rest numbers, err error) {
	end, order := "min", "DESC"
	if upwards {
		end, order = "max", "ASC"
	}
	var looked int
	var last int64
	_, err = c.query(`SELECT count(*), coalesce(` + end + `(span), 0) FROM (SELECT span FROM span WHERE owner = ? AND span >= ? AND span <= ? ORDER BY span ` + order + ` LIMIT ?)`).
		int(int64(o)).int(spanOf(within.above)).int(spanOf(within.below)).int(int64(most)).one(func(q *query) { looked, last = int(q.getInt()), q.getInt() })
	if err != nil || looked < most {
		return within, numbers{}, err
	}
	number := last << spanBits
	if upwards {
		number = (last+1)<<spanBits - 1
	}
	part, rest = within.splitAt(number, upwards)
	return part, rest, nil
}

// inSpans narrows a list to the owner's spans, for the alias s of the table
// span and the column of the number that follows it.
func (l *list) inSpans(o owner, column string, within numbers, typeCode int64) {
	l.key = "s.span," + column
	l.where("s.owner = ?", int64(o))
	l.where("s.span >= ?", spanOf(within.above))
	l.where("s.span <= ?", spanOf(within.below))
	if typeCode >= 0 {
		l.where("s.types & ? <> 0", int64(1)<<typeCode)
	}
	l.where(column + " >= (s.span << 20)")
	l.where(column + " < ((s.span + 1) << 20)")
}
