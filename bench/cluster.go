package main

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"telltale.example/telltale/internal/pgtest"
)

// cluster is the server under test: one node with SQLite inside, or several over
// one PostgreSQL server, which belongs to what is measured.
type cluster struct {
	*server  // the first node, which is asked about the log
	others   []*server
	database *pgtest.Server // nil with SQLite
	name     string         // of the database
}

const databaseName = "telltale"

// startCluster starts a server with that many nodes over PostgreSQL, or, with none,
// one with SQLite.
func (b *bench) startCluster(ctx context.Context, folder string, nodes int) (c *cluster, err error) {
	if nodes == 0 {
		s, err := startServer(ctx, b.binary, folder, b.ServerArgs, nil)
		return &cluster{server: s}, err
	}
	c = &cluster{name: databaseName}
	defer func() {
		if err != nil {
			err = errors.Join(err, c.stop())
		}
	}()
	// What one would set on a server for this alone; it syncs as it does by default.
	if c.database, err = pgtest.NewIn(b.Dir, "shared_buffers=1GB", "max_wal_size=8GB", "checkpoint_timeout=15min", "wal_compression=on"); err != nil {
		return c, err
	}
	url, err := c.database.Create(databaseName, "")
	if err != nil {
		return c, err
	}
	var key [32]byte
	rand.Read(key[:])
	environment := []string{"TELLTALE_DATABASE_URL=" + url, "TELLTALE_SECRET_KEY=" + base64.StdEncoding.EncodeToString(key[:])}
	if nodes > 1 { // as containers would be bounded that share a machine
		environment = append(environment, "GOMAXPROCS=1")
	}
	for i := range nodes {
		own := filepath.Join(folder, strconv.Itoa(i))
		if err := os.Mkdir(own, 0o700); err != nil {
			return c, err
		}
		s, err := startServer(ctx, b.binary, own, b.ServerArgs, environment)
		if err != nil {
			return c, fmt.Errorf("node %d: %w", i, err)
		}
		if c.server == nil {
			c.server = s
		} else {
			c.others = append(c.others, s)
		}
	}
	return c, nil
}

func (c *cluster) nodes() []*server {
	if c.server == nil {
		return nil
	}
	return append([]*server{c.server}, c.others...)
}

func (c *cluster) addresses() (list []string) {
	for _, s := range c.nodes() {
		list = append(list, s.address)
	}
	return list
}

// stop ends all nodes in order, and the database. It may be called again.
func (c *cluster) stop() error {
	var errs []error
	for _, s := range c.nodes() {
		errs = append(errs, s.stop())
	}
	if c.database != nil {
		errs = append(errs, c.database.Remove())
		c.database = nil
	}
	return errors.Join(errs...)
}

// lastWords is the end of every node's log, as an error.
func (c *cluster) lastWords() error {
	var errs []error
	for _, s := range c.nodes() {
		errs = append(errs, s.lastWords())
	}
	return errors.Join(errs...)
}

// cpu is the CPU time that the nodes, and the database, have taken.
func (c *cluster) cpu() (sum time.Duration, err error) {
	for _, s := range c.nodes() {
		own, err := processCPU(s.pid())
		if err != nil {
			return 0, err
		}
		sum += own
	}
	if c.database == nil {
		return sum, nil
	}
	own, err := familyCPU(c.database.PID())
	return sum + own, err
}

// memory is what the nodes have together, without the database.
func (c *cluster) memory() (sum memory, err error) {
	for _, s := range c.nodes() {
		m, err := processMemory(s.pid())
		if err != nil {
			return sum, err
		}
		sum.Peak, sum.Resident, sum.Share = sum.Peak+m.Peak, sum.Resident+m.Resident, sum.Share+m.Share
	}
	return sum, nil
}

// size is how many bytes the log takes, in the data folder or in the database.
func (c *cluster) size() (int64, error) {
	if c.database == nil {
		return c.disk()
	}
	out, err := c.database.Exec(c.name, `SELECT pg_database_size(current_database())`)
	if err != nil {
		return 0, err
	}
	return strconv.ParseInt(strings.TrimSpace(out), 10, 64)
}

// written is what a database tells of itself.
type written struct{ rows, log, live, dead float64 }

// written asks the database what was written so far, once its sessions have told.
func (c *cluster) written() (w written, err error) {
	if c.database == nil {
		return w, nil
	}
	wait(context.Background(), 1100*time.Millisecond) // sessions tell once a second
	out, err := c.database.Exec(c.name, `SELECT sum(n_tup_ins + n_tup_upd + n_tup_del), pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0'), sum(n_live_tup), sum(n_dead_tup) FROM pg_stat_user_tables`)
	if err != nil {
		return w, err
	}
	_, err = fmt.Sscan(strings.ReplaceAll(out, "|", " "), &w.rows, &w.log, &w.live, &w.dead)
	return w, err
}

// familyCPU is the CPU time of a process and its children, running or ended.
func familyCPU(pid int) (sum time.Duration, err error) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, err
	}
	if sum, err = parseProcessCPU(stat); err != nil {
		return 0, err
	}
	ended, err := parseChildrenCPU(stat)
	if err != nil {
		return 0, err
	}
	sum += ended
	list, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid))
	if err != nil {
		return 0, err
	}
	for _, field := range strings.Fields(string(list)) {
		child, err := strconv.Atoi(field)
		if err != nil {
			return 0, err
		}
		own, err := processCPU(child)
		if err == nil { // it may have ended this moment, and counts among the ended then
			sum += own
		}
	}
	return sum, nil
}
