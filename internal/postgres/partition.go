package postgres

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"telltale.example/telltale/internal/stored"
)

// Events, finished deliveries and attempts lie in a partition for each day (UTC)
// in which their numbers were taken. A day's partitions are made a day ahead, by
// whichever node finds them missing.
var partitioned = []string{"event", "delivery_done", "attempt"}

const dayMilli = int64(24 * time.Hour / time.Millisecond)

// dayOf gives the day, counted since 1970, of a time in ms.
func dayOf(milli int64) int64 { return milli / dayMilli }

// dayNumber is the first number of a day.
func dayNumber(day int64) int64 { return day * dayMilli << stored.NumberBits }

// partitionName is what a day's partition of a table is called, such as
// event_20261127.
func partitionName(table string, day int64) string {
	return table + "_" + time.UnixMilli(day*dayMilli).UTC().Format("20060102")
}

// partitionOf gives the table and the day of a partition of that name.
func partitionOf(name string) (table string, day int64, ok bool) {
	cut := strings.LastIndexByte(name, '_')
	if cut < 0 || !slices.Contains(partitioned, name[:cut]) {
		return "", 0, false
	}
	at, err := time.Parse("20060102", name[cut+1:])
	return name[:cut], dayOf(at.UnixMilli()), err == nil
}

// partitions remembers for which days there are some.
type partitions struct {
	mu   sync.RWMutex
	days map[int64]bool
}

// has reports whether rows of the day, and of the one after it, can be stored.
func (p *partitions) has(day int64) bool {
	p.mu.RLock()
	defer p.mu.RUnlock()
	return p.days[day] && p.days[day+1]
}

// forget has the days looked for again, as after a purge.
func (p *partitions) forget() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.days = nil
}

// partitionLock keeps two nodes from making the same partition.
const partitionLock = 7823641002

// ensure makes the partitions of the day and of the one after it.
func (p *partitions) ensure(ctx context.Context, pool *pgxpool.Pool, day int64) error {
	c, err := pool.Acquire(ctx)
	if err != nil {
		return err
	}
	defer c.Release()
	for _, d := range [...]int64{day, day + 1} {
		if err := makePartitions(ctx, c.Conn(), d); err != nil {
			return err
		}
		p.mu.Lock()
		if p.days == nil {
			p.days = map[int64]bool{}
		}
		p.days[d] = true
		p.mu.Unlock()
	}
	return nil
}

// makePartitions makes the partitions of a day that are missing. A new one is
// attached, not created in place, since that would wait for all transactions on
// the table.
func makePartitions(ctx context.Context, c *pgx.Conn, day int64) error {
	for _, table := range partitioned {
		name, unique := partitionName(table, day), ""
		if table == "event" { // no index over all partitions can be unique without their key
			unique = fmt.Sprintf("CREATE UNIQUE INDEX ON %s (id);", name)
		}
		_, err := c.Exec(ctx, fmt.Sprintf(`DO $$
			BEGIN
				PERFORM pg_advisory_xact_lock(%d);
				IF to_regclass('%s') IS NULL THEN
					CREATE TABLE %s (LIKE %s INCLUDING DEFAULTS INCLUDING CONSTRAINTS INCLUDING INDEXES);
					%s
					ALTER TABLE %s ATTACH PARTITION %s FOR VALUES FROM (%d) TO (%d);
				END IF;
			END $$`, partitionLock, name, name, table, unique, table, name, dayNumber(day), dayNumber(day+1)))
		if err != nil {
			return fmt.Errorf("the partition %s: %w", name, err)
		}
	}
	return nil
}
