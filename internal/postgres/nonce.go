package postgres

import (
	"bytes"
	"cmp"
	"slices"

	"github.com/jackc/pgx/v5"

	"telltale.example/telltale"
)

// memory is a table of keys that are remembered with a hash of what they were
// for: of callers' ids, or of nonces.
type memory struct {
	keys, contents [][]byte
	events         [][]byte // of callers' ids
}

// keep remembers the keys, of which none is there twice, unless they are known,
// and reads what they are known for. It locks them in order, so that two
// transactions never wait for each other.
func (m *memory) keep(b *pgx.Batch, table string, read func(key, content, event []byte)) {
	if len(m.keys) == 0 {
		return
	}
	order := make([]int, len(m.keys))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(i, j int) int { return cmp.Or(bytes.Compare(m.keys[i], m.keys[j]), cmp.Compare(i, j)) })
	sorted := func(values [][]byte) [][]byte {
		list := make([][]byte, len(values))
		for i, at := range order {
			list[i] = values[at]
		}
		return list
	}
	memory := telltale.CallerIDMemory.Milliseconds()
	var rows *pgx.QueuedQuery
	if table == "caller" {
		rows = b.Queue(`INSERT INTO caller AS c (key, content, event, at) SELECT u.key, u.content, u.event, t.now FROM unnest($1::bytea[], $2::bytea[], $3::bytea[]) AS u(key, content, event), (SELECT telltale_now() AS now) t
			ON CONFLICT (key) DO UPDATE SET content = CASE WHEN c.at < excluded.at - $4::bigint THEN excluded.content ELSE c.content END,
				event = CASE WHEN c.at < excluded.at - $4::bigint THEN excluded.event ELSE c.event END, at = CASE WHEN c.at < excluded.at - $4::bigint THEN excluded.at ELSE c.at END
			RETURNING c.key, c.content, c.event`, sorted(m.keys), sorted(m.contents), sorted(m.events), memory)
	} else {
		rows = b.Queue(`INSERT INTO nonce AS c (key, content, at) SELECT u.key, u.content, t.now FROM unnest($1::bytea[], $2::bytea[]) AS u(key, content), (SELECT telltale_now() AS now) t
			ON CONFLICT (key) DO UPDATE SET content = CASE WHEN c.at < excluded.at - $3::bigint THEN excluded.content ELSE c.content END, at = CASE WHEN c.at < excluded.at - $3::bigint THEN excluded.at ELSE c.at END
			RETURNING c.key, c.content, NULL::bytea`, sorted(m.keys), sorted(m.contents), memory)
	}
	rows.Query(func(rows pgx.Rows) error {
		var key, content, event []byte
		_, err := pgx.ForEachRow(rows, []any{&key, &content, &event}, func() error {
			read(key, content, event)
			return nil
		})
		return err
	})
}
