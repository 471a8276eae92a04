package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"telltale.example/telltale/internal/pgtest"
	"zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitex"
)

// world is a database with its nodes, receivers and callers.
type world struct {
	*Run
	name     string
	server   *pgtest.Server // nil for SQLite
	database string         // its name there; the path of the file, of SQLite
	url      string
	token    string
	nodes    []*node
	sink     *sink
	hooks    []*hook
	ledger   *ledger
	loads    atomic.Int64 // that were begun

	projects  []string                    // slugs, "" for the first; callers post to all in turn
	callers   int                         // at once
	callPause time.Duration               // of each, between two events
	padding   int                         // bytes of their events beside what they say
	callLimit time.Duration               // how long they wait for an answer
	answered  func(*http.Response, error) // hears what callers get; may be nil
}

var worlds atomic.Int64

// newServer starts a PostgreSQL server of the run's own.
func (r *Run) newServer(settings ...string) *pgtest.Server {
	server, err := pgtest.New(append([]string{"max_connections=300"}, settings...)...)
	r.Must(err)
	r.Cleanup(func() {
		if err := server.Remove(); err != nil {
			r.Errorf("removing the database server: %v", err)
		}
	})
	return server
}

// newWorld makes a world without nodes: on a database of that server, or on SQLite
// without one.
func (r *Run) newWorld(server *pgtest.Server) *world {
	w := &world{Run: r, name: fmt.Sprintf("lab_%d", worlds.Add(1)), server: server, sink: newSink(r), ledger: newLedger(), projects: []string{""}, callers: 3, callPause: 100 * time.Millisecond, callLimit: 10 * time.Second}
	if server != nil {
		w.database = w.name
		var err error
		w.url, err = server.Create(w.database, "")
		r.Must(err)
	}
	r.Cleanup(func() {
		if r.Failed() && !r.control {
			for _, n := range w.nodes {
				r.Logf("node %s wrote:\n%s", n.name, n.complaints())
			}
		}
	})
	return w
}

// add adds a node, which is to be started: of a program, with a folder of its own.
func (w *world) add(program, role string, args ...string) *node {
	n := &node{world: w, name: string(rune('A' + len(w.nodes))), data: w.TempDir(), program: program, role: role, args: args}
	n.logs = n.data
	w.nodes = append(w.nodes, n)
	if w.server == nil {
		w.database = filepath.Join(n.data, "telltale.db")
	}
	w.Cleanup(n.kill)
	return n
}

// starts adds nodes that do all, and starts them.
func (w *world) starts(nodes int, args ...string) *world {
	for range nodes {
		w.add(release, "all", args...).start()
	}
	return w
}

// newProject makes a project through a node.
func (w *world) newProject(slug string) {
	status, text := w.call(http.MethodPost, w.nodes[0].api+"/v1/projects", map[string]any{"slug": slug, "name": slug})
	if status != http.StatusCreated {
		w.Fatalf("making a project: %d %s", status, text)
	}
	w.projects = append(w.projects, slug)
}

// slug is how a project is asked for.
func slug(project string) string {
	if project == "" {
		return "default"
	}
	return project
}

// projectOf gives the project of the event with that key, which ends with a number.
func (w *world) projectOf(key string) string {
	i, err := strconv.Atoi(key[strings.LastIndexByte(key, '-')+1:])
	if err != nil {
		return ""
	}
	return w.projects[i%len(w.projects)]
}

// ask asks the database, beside the nodes.
func (w *world) ask(sql string) string {
	rows, err := w.query(sql)
	if err != nil {
		w.Fatalf("%s: %v", sql, err)
	}
	lines := make([]string, len(rows))
	for i, row := range rows {
		lines[i] = strings.Join(row, "|")
	}
	return strings.Join(lines, "\n")
}

// query reads rows of texts. A NULL is an empty one.
func (w *world) query(sql string) (rows [][]string, err error) {
	if w.server != nil {
		out, err := w.server.Exec(w.database, sql)
		for line := range strings.Lines(out) {
			rows = append(rows, strings.Split(strings.TrimSuffix(line, "\n"), "|"))
		}
		return rows, err
	}
	conn, err := sqlite.OpenConn(w.database, sqlite.OpenReadOnly)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	conn.SetBusyTimeout(5 * time.Second)
	err = sqlitex.ExecuteTransient(conn, sql, &sqlitex.ExecOptions{ResultFunc: func(s *sqlite.Stmt) error {
		row := make([]string, s.ColumnCount())
		for i := range row {
			row[i] = s.ColumnText(i)
		}
		rows = append(rows, row)
		return nil
	}})
	return rows, err
}

func (w *world) number(sql string) int {
	out := w.ask(sql)
	n, err := strconv.Atoi(out)
	if err != nil {
		w.Fatalf("%s gives %q", sql, out)
	}
	return n
}

// call makes a request that is to be answered, whatever the answer is.
func (w *world) call(method, url string, body any) (status int, text []byte) {
	status, text, err := w.try(method, url, body)
	if err != nil {
		w.Fatalf("%s %s: %v", method, url, err)
	}
	return status, text
}

func (w *world) try(method, url string, body any) (status int, text []byte, err error) {
	var sent io.Reader = http.NoBody
	if body != nil {
		b, err := json.Marshal(body)
		if err != nil {
			return 0, nil, err
		}
		sent = bytes.NewReader(b)
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, method, url, sent)
	if err != nil {
		return 0, nil, err
	}
	r.Header.Set("Authorization", "Bearer "+w.token)
	r.Header.Set("Content-Type", "application/json")
	answer, err := client.Do(r)
	if err != nil {
		return 0, nil, err
	}
	defer answer.Body.Close()
	text, err = io.ReadAll(answer.Body)
	return answer.StatusCode, text, err
}
