package sqlite

import (
	"context"
	"fmt"
	"time"

	"telltale.example/telltale"
)

// Beat notes that the server is alive. The lock on the file keeps others out
// while it is, so a claim needs no lease.
func (s *Store) Beat(ctx context.Context) (beat telltale.Beat, err error) {
	err = s.write(ctx, "noting a beat", 50, func(tx *tx) error {
		beat = telltale.Beat{Workers: 1}
		var last int64
		if _, err := tx.query(`SELECT coalesce(max(beat_at), 0) FROM node`).one(func(q *query) { last = q.getInt() }); err != nil {
			return err
		}
		if gap := time.Duration(tx.milli-last) * time.Millisecond; last != 0 && gap > telltale.OutageGap {
			beat.Outage = gap
			tx.meta.outageEnd = tx.milli
			if err := tx.change(`UPDATE meta SET value = ? WHERE name = 'outage_end'`).int(tx.milli).run(); err != nil {
				return err
			}
		}
		return tx.change(`UPDATE node SET beat_at = ? WHERE number = ?`).int(tx.milli).int(s.node).run()
	})
	if err != nil {
		return telltale.Beat{}, err
	}
	return beat, nil
}

// addNode notes a start of the server.
func (tx *tx) addNode(id telltale.NodeID) (int64, error) {
	if err := tx.change(`INSERT INTO node (id, started_at) VALUES (?, ?)`).text(string(id)).int(tx.milli).run(); err != nil {
		return 0, fmt.Errorf("noting the node: %w", err)
	}
	return tx.conn.LastInsertRowID(), nil
}

// nodeNumber gives the number that stands in rows for a node's id.
func (tx *tx) nodeNumber(id telltale.NodeID) (int64, error) {
	if id == tx.store.options.Node {
		return tx.store.node, nil
	}
	var number int64
	found, err := tx.query(`SELECT number FROM node WHERE id = ? ORDER BY number DESC LIMIT 1`).text(string(id)).one(func(q *query) { number = q.getInt() })
	if err != nil || found {
		return number, err
	}
	return tx.addNode(id)
}

// goneNode is what is known of an earlier start of the server.
type goneNode struct {
	id     telltale.NodeID
	seenAt int64
}

func (tx *tx) goneNode(number int64) (node goneNode, err error) {
	_, err = tx.query(`SELECT id, coalesce(beat_at, started_at) FROM node WHERE number = ?`).int(number).one(func(q *query) {
		node = goneNode{telltale.NodeID(q.getText()), q.getInt()}
	})
	return node, err
}
