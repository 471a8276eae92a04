package sqlite

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"zombiezen.com/go/sqlite"

	"telltale.example/telltale"
	"telltale.example/telltale/internal/storetest"
)

// Some tests need a process of its own: it is this test binary again, told by
// the environment what to be.
const (
	childEnv = "TELLTALE_TEST_CHILD"
	pathEnv  = "TELLTALE_TEST_PATH"
)

var children = map[string]func(path string) error{
	"open":   childOpens,
	"accept": childAccepts,
	"replay": childReplays,
	"limit":  childIsLimited,
	"break":  childBreaks,
}

func TestMain(m *testing.M) {
	name := os.Getenv(childEnv)
	if name == "" {
		os.Exit(m.Run())
	}
	if err := children[name](os.Getenv(pathEnv)); err != nil {
		fmt.Println("error:", err)
		os.Exit(1)
	}
}

func startChild(t *testing.T, name, path string) (*exec.Cmd, *bufio.Scanner) {
	t.Helper()
	executable, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), executable)
	cmd.Env = append(os.Environ(), childEnv+"="+name, pathEnv+"="+path)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return cmd, bufio.NewScanner(out)
}

// childStore opens a store in a child. If it fails, the process ends with 3.
func childStore(path string) (*Store, error) {
	return Open(context.Background(), path, Options{Node: testNode, Sealer: storetest.Sealer{}, Fatal: func(err error) {
		fmt.Println("fatal:", err)
		os.Exit(3)
	}})
}

func childOpens(path string) error {
	s, err := childStore(path)
	if err != nil {
		return err
	}
	return s.Close()
}

func TestASecondProcessIsRefused(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	cmd, out := startChild(t, "open", s.path)
	out.Scan()
	if want := "another process uses this database"; !strings.Contains(out.Text(), want) {
		t.Errorf("the second process says %q, not %q", out.Text(), want)
	}
	if err := cmd.Wait(); err == nil {
		t.Error("the second process opened the store")
	}
}

func TestALockDiesWithItsProcess(t *testing.T) {
	t.Parallel()
	path := filepath.Join(dataFolder(t), "telltale.db")
	cmd, out := startChild(t, "accept", path)
	out.Scan()
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // it was killed
	if err := openStore(t, path).Close(); err != nil {
		t.Error(err)
	}
}

// childAccepts accepts events from several callers, without end, and says of
// each that it was acknowledged; it attempts some, and switches webhooks.
func childAccepts(path string) error {
	s, err := childStore(path)
	if err != nil {
		return err
	}
	ctx := context.Background()
	if _, err := s.TakeOver(ctx); err != nil {
		return err
	}
	project, err := s.ProjectBySlug(ctx, telltale.DefaultProjectSlug)
	if err != nil {
		return err
	}
	hooks, err := s.Webhooks(ctx, project.ID, telltale.Page{Limit: 10})
	for len(hooks) < 3 && err == nil {
		var hook *telltale.Webhook
		hook, err = s.CreateWebhook(ctx, telltale.NewWebhook(project.ID, "https://receiver.example/in", telltale.AllEventTypes))
		hooks = append(hooks, hook)
	}
	if err != nil {
		return err
	}
	go func() { // or else no child would live until counts are stored
		for range time.Tick(20 * time.Millisecond) {
			s.storeCounts()
		}
	}()
	failed := make(chan error)
	for caller := range 8 {
		go func() {
			for i := 0; ; i++ {
				if err := childLife(ctx, s, project.ID, hooks, caller+i); err != nil {
					failed <- err
					return
				}
			}
		}()
	}
	return <-failed
}

func childLife(ctx context.Context, s *Store, project telltale.ProjectID, hooks []*telltale.Webhook, i int) error {
	now := time.Now()
	events := make([]*telltale.Event, 1+i%3)
	for j := range events {
		events[j] = &telltale.Event{ID: telltale.NewEventID(), ProjectID: project, Type: telltale.Opened, ReceivedAt: now, OccurredAt: now, Payload: make([]byte, 500)}
	}
	accepted, err := s.AcceptEvents(ctx, telltale.Acceptance{ProjectID: project, Events: events, Room: storetest.AnyRoom{}})
	if err != nil {
		return err
	}
	for _, e := range accepted.Events {
		// One write, so that a kill does not cut a line.
		if _, err := os.Stdout.WriteString("event " + string(e.ID) + "\n"); err != nil {
			return err
		}
	}
	var results []telltale.Result
	for j, c := range accepted.Claims {
		a := &telltale.Attempt{Number: c.Attempt, Trigger: c.Trigger, StartedAt: now, Node: testNode, Status: []int{200, 500, 404}[(i+j)%3]}
		if !a.Success() {
			a.Error = telltale.ErrorHTTPStatus
		}
		results = append(results, telltale.Result{ClaimRef: c.ClaimRef, Attempt: a, Outcome: c.After(a, nil, 0)})
	}
	if _, err := s.RecordAttempts(ctx, results); err != nil {
		return err
	}
	for _, r := range results {
		if _, err := os.Stdout.WriteString("result " + string(r.DeliveryID) + " " + string(r.Outcome.State) + "\n"); err != nil {
			return err
		}
	}
	return nil
}

func TestNothingAcknowledgedIsLostWhenTheProcessIsKilled(t *testing.T) {
	t.Parallel()
	path := filepath.Join(dataFolder(t), "telltale.db")
	events, states := map[telltale.EventID]bool{}, map[telltale.DeliveryID]telltale.State{}
	rounds := 5
	if testing.Short() {
		rounds = 2
	}
	for round := range rounds {
		cmd, out := startChild(t, "accept", path)
		for lines := 100 + rand.IntN(1000); out.Scan(); lines-- {
			fields := strings.Fields(out.Text())
			switch {
			case fields[0] == "event":
				events[telltale.EventID(fields[1])] = true
			case fields[0] == "result":
				states[telltale.DeliveryID(fields[1])] = telltale.State(fields[2])
			default:
				t.Fatalf("the child says %q", out.Text())
			}
			if lines == 0 { // what it wrote until it died is read as well
				if err := cmd.Process.Kill(); err != nil {
					t.Fatal(err)
				}
			}
		}
		_ = cmd.Wait() // it was killed
		checkAfterCrash(t, round, path, events, states)
	}
}

func checkAfterCrash(t *testing.T, round int, path string, events map[telltale.EventID]bool, states map[telltale.DeliveryID]telltale.State) {
	t.Helper()
	s := openStore(t, path)
	defer s.Close()
	project, err := s.ProjectBySlug(t.Context(), telltale.DefaultProjectSlug)
	if err != nil {
		t.Fatal(err)
	}
	for id := range events {
		if _, err := s.Event(t.Context(), project.ID, id); err != nil {
			t.Fatalf("round %d: event %s was acknowledged: %v", round, id, err)
		}
	}
	for id, state := range states {
		d, err := s.Delivery(t.Context(), project.ID, id)
		if err != nil || d.State != state || len(d.Attempts) != 1 {
			t.Fatalf("round %d: delivery %s was recorded as %s: %+v, %v", round, id, state, d, err)
		}
	}
	c := s.writer.conn // nobody writes
	checkCounts(t, round, s, project.ID)
	for what, sql := range map[string]string{
		"events without their deliveries":   `SELECT count(*) FROM event e WHERE (SELECT count(*) FROM delivery d WHERE d.event = e.number) <> 3`,
		"deliveries without an event":       `SELECT count(*) FROM delivery d WHERE NOT EXISTS (SELECT 1 FROM event e WHERE e.number = d.event)`,
		"attempts without a delivery":       `SELECT count(*) FROM attempt a WHERE NOT EXISTS (SELECT 1 FROM delivery d WHERE d.number = a.delivery)`,
		"deliveries with too few attempts":  `SELECT count(*) FROM delivery d WHERE d.attempts <> (SELECT count(*) FROM attempt a WHERE a.delivery = d.number)`,
		"deliveries that no span tells of":  `SELECT count(*) FROM delivery d WHERE NOT EXISTS (SELECT 1 FROM span s WHERE s.owner = d.webhook * 2 + 1 AND s.span = d.number >> 20 AND s.types & (1 << d.type) <> 0)`,
		"events that no span tells of":      `SELECT count(*) FROM event e WHERE NOT EXISTS (SELECT 1 FROM span s WHERE s.owner = e.project * 2 AND s.span = e.number >> 20 AND s.types & (1 << e.type) <> 0)`,
		"lines of PRAGMA integrity_check":   `SELECT count(*) FROM pragma_integrity_check WHERE integrity_check <> 'ok'`,
		"digests that begin with no number": `SELECT count(*) FROM digest WHERE first > last`,
	} {
		n := int64(-1)
		if _, err := c.query(sql).one(func(q *query) { n = q.getInt() }); err != nil || n != 0 {
			t.Errorf("round %d: %d %s: %v", round, n, what, err)
		}
	}
}

// checkCounts compares the counts with the log.
func checkCounts(t *testing.T, round int, s *Store, project telltale.ProjectID) {
	t.Helper()
	stats, err := s.Stats(t.Context(), project, telltale.StatQuery{})
	if err != nil || len(stats) != 1 {
		t.Fatalf("round %d: the counts are %v, %v", round, stats, err)
	}
	var want telltale.Stat
	_, err = s.writer.conn.query(`SELECT (SELECT count(*) FROM event), (SELECT count(*) FROM delivery WHERE state = 4), (SELECT count(*) FROM delivery WHERE state = 5)`).
		one(func(q *query) {
			want.Events, want.Succeeded, want.Failed = int(q.getInt()), int(q.getInt()), int(q.getInt())
		})
	if err != nil {
		t.Fatal(err)
	}
	err = s.writer.conn.query(`SELECT status, count(*) FROM attempt GROUP BY status`).each(func(q *query) error {
		status, n := int(q.getInt()), int(q.getInt())
		want.Answers[telltale.AnswerOf(status)] += n
		if status != 200 {
			want.Retried += n
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	want.Retried -= want.Failed
	got := stats[0]
	took := 0
	for _, n := range got.Took {
		took += n
	}
	got.Start, got.Took = want.Start, want.Took
	if got != want || took != want.Succeeded {
		t.Errorf("round %d: the counts are %+v with %d durations, and the log has %+v", round, got, took, want)
	}
}

// childReplays runs whatever replays there are, and starts one if there is
// none; it says so after each step.
func childReplays(path string) error {
	s, err := childStore(path)
	if err != nil {
		return err
	}
	ctx := context.Background()
	project, err := s.ProjectBySlug(ctx, telltale.DefaultProjectSlug)
	if err != nil {
		return err
	}
	running, err := s.RunningReplays(ctx)
	if err == nil && len(running) == 0 {
		if err = childEvents(ctx, s, project.ID); err != nil {
			return err
		}
		var r telltale.Replay
		r, err = s.CreateReplay(ctx, telltale.Replay{ProjectID: project.ID, Selection: telltale.Selection{Which: telltale.WhichAll}, Rate: 1})
		running = append(running, r)
	}
	if err != nil {
		return err
	}
	for n := 1; ; n = n%7 + 1 {
		r, _, err := s.AdvanceReplay(ctx, running[0].ID, n)
		if err != nil {
			return err
		}
		if _, err := os.Stdout.WriteString(fmt.Sprintf("%s %d\n", r.State, r.Made)); err != nil || r.State == telltale.ReplayFinished {
			return err
		}
	}
}

const replayedEvents, replayedWebhooks = 300, 3

func childEvents(ctx context.Context, s *Store, project telltale.ProjectID) error {
	for range replayedWebhooks {
		if _, err := s.CreateWebhook(ctx, telltale.NewWebhook(project, "https://receiver.example/in", telltale.AllEventTypes)); err != nil {
			return err
		}
	}
	events := make([]*telltale.Event, replayedEvents)
	for i := range events {
		events[i] = &telltale.Event{ID: telltale.NewEventID(), ProjectID: project, Type: telltale.Opened, ReceivedAt: time.Now(), OccurredAt: time.Now(), UserID: "42"}
	}
	_, err := s.AcceptEvents(ctx, telltale.Acceptance{ProjectID: project, Events: events})
	return err
}

func TestAReplayThatIsKilledMakesEachDeliveryOnce(t *testing.T) {
	t.Parallel()
	path := filepath.Join(dataFolder(t), "telltale.db")
	finished := ""
	for kills := 0; finished == ""; kills++ {
		cmd, out := startChild(t, "replay", path)
		made := -1
		for steps := 30 + rand.IntN(60); out.Scan(); steps-- {
			state, count, _ := strings.Cut(out.Text(), " ")
			n, err := strconv.Atoi(count)
			if err != nil || n < made {
				t.Fatalf("after %d deliveries the child says %q", made, out.Text())
			}
			if made = n; state == string(telltale.ReplayFinished) {
				finished = count
			}
			if steps == 0 {
				if err := cmd.Process.Kill(); err != nil {
					t.Fatal(err)
				}
			}
		}
		_ = cmd.Wait() // it was killed, or has ended
		if kills > 100 {
			t.Fatal("the replay never ends")
		}
	}
	if want := strconv.Itoa(replayedEvents * replayedWebhooks); finished != want {
		t.Errorf("the replay made %s deliveries, not %s", finished, want)
	}
	s := openStore(t, path)
	defer s.Close()
	for what, sql := range map[string]string{
		"deliveries made twice":  `SELECT count(*) FROM (SELECT 1 FROM delivery WHERE replay IS NOT NULL GROUP BY event, webhook HAVING count(*) > 1)`,
		"deliveries missing":     `SELECT (SELECT count(*) FROM event) * (SELECT count(*) FROM webhook) - (SELECT count(*) FROM delivery WHERE replay IS NOT NULL)`,
		"deliveries not counted": `SELECT count(*) FROM replay WHERE made <> (SELECT count(*) FROM delivery WHERE replay = replay.number)`,
	} {
		n := int64(-1)
		if _, err := s.writer.conn.query(sql).one(func(q *query) { n = q.getInt() }); err != nil || n != 0 {
			t.Errorf("%d %s: %v", n, what, err)
		}
	}
	project, err := s.ProjectBySlug(t.Context(), telltale.DefaultProjectSlug)
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for page := (telltale.Page{Limit: telltale.MaxPage}); ; {
		some, err := s.Deliveries(t.Context(), project.ID, telltale.DeliveryFilter{Match: "42"}, page)
		if err != nil {
			t.Fatal(err)
		}
		if n += len(some); len(some) < page.Limit {
			break
		}
		page.After = string(some[len(some)-1].ID)
	}
	if n != 2*replayedEvents*replayedWebhooks {
		t.Errorf("%d deliveries of the user are found", n)
	}
}

// childIsLimited accepts events until the operating system refuses to let its
// files grow, looks around, and goes on when it may.
func childIsLimited(path string) error {
	s, err := childStore(path)
	if err != nil {
		return err
	}
	defer s.Close()
	ctx := context.Background()
	project, err := s.ProjectBySlug(ctx, telltale.DefaultProjectSlug)
	if err != nil {
		return err
	}
	var before syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &before); err != nil {
		return err
	}
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: 1 << 20, Max: before.Max}); err != nil {
		return err
	}
	accept := func() error {
		event := &telltale.Event{ID: telltale.NewEventID(), ProjectID: project.ID, Type: telltale.Opened, Payload: make([]byte, 10_000)}
		_, err := s.AcceptEvents(ctx, telltale.Acceptance{ProjectID: project.ID, Events: []*telltale.Event{event}})
		if err == nil {
			_, err = os.Stdout.WriteString("event " + string(event.ID) + "\n")
		}
		return err
	}
	for err == nil {
		err = accept()
	}
	if telltale.CodeOf(err) != telltale.Unavailable || telltale.CodeOf(s.Ready(ctx)) != telltale.Unavailable {
		return fmt.Errorf("it is ready: %v, and says: %w", s.Ready(ctx), err)
	}
	if _, err := s.Events(ctx, project.ID, telltale.EventFilter{}, telltale.Page{Limit: 10}); err != nil {
		return fmt.Errorf("reading: %w", err)
	}
	// So does what connections share, beside a log of more than 4,062 pages.
	if err := s.diagnose(sqlite.ResultIOErrSHMSize.ToError()); fatal(err) || !isFull(err) {
		return fmt.Errorf("what connections share may not grow, which is taken for a broken disk: %w", err)
	}
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &before); err != nil {
		return err
	}
	if err := s.diagnose(sqlite.ResultIOErrSHMSize.ToError()); !fatal(err) {
		return fmt.Errorf("there is room, and a broken disk is taken for a full one: %w", err)
	}
	return errors.Join(accept(), s.Ready(ctx))
}

func TestALimitOnFilesIsAFullDiskAndNoBrokenOne(t *testing.T) {
	t.Parallel()
	path := filepath.Join(dataFolder(t), "telltale.db")
	cmd, out := startChild(t, "limit", path)
	acknowledged := readAcknowledged(out)
	if err := cmd.Wait(); err != nil {
		t.Fatalf("%v: %s", err, out.Text())
	}
	checkAcknowledged(t, path, acknowledged)
}

// readAcknowledged reads the ids that a child printed.
func readAcknowledged(out *bufio.Scanner) []telltale.EventID {
	var acknowledged []telltale.EventID
	for out.Scan() {
		id, ok := strings.CutPrefix(out.Text(), "event ")
		if !ok {
			break
		}
		acknowledged = append(acknowledged, telltale.EventID(id))
	}
	return acknowledged
}

func checkAcknowledged(t *testing.T, path string, acknowledged []telltale.EventID) {
	t.Helper()
	if len(acknowledged) < 10 {
		t.Fatalf("only %d events were accepted", len(acknowledged))
	}
	s := openStore(t, path)
	defer s.Close()
	project, err := s.ProjectBySlug(t.Context(), telltale.DefaultProjectSlug)
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range acknowledged {
		if _, err := s.Event(t.Context(), project.ID, id); err != nil {
			t.Fatalf("event %s was acknowledged: %v", id, err)
		}
	}
}

// childBreaks accepts some events, and then has its write-ahead log replaced
// below SQLite's feet: the null device takes every write and fails each sync.
func childBreaks(path string) error {
	s, err := childStore(path)
	if err != nil {
		return err
	}
	ctx := context.Background()
	project, err := s.ProjectBySlug(ctx, telltale.DefaultProjectSlug)
	if err != nil {
		return err
	}
	for i := 0; ; i++ {
		event := &telltale.Event{ID: telltale.NewEventID(), ProjectID: project.ID, Type: telltale.Opened}
		_, err := s.AcceptEvents(ctx, telltale.Acceptance{ProjectID: project.ID, Events: []*telltale.Event{event}})
		if err == nil {
			_, err = os.Stdout.WriteString("event " + string(event.ID) + "\n")
		}
		switch {
		case err != nil && i <= 20:
			return err
		case err != nil:
			if telltale.CodeOf(err) != telltale.Unavailable || telltale.CodeOf(s.Ready(ctx)) != telltale.Unavailable {
				return fmt.Errorf("it is ready: %v, and says: %w", s.Ready(ctx), err)
			}
			<-time.After(time.Second) // by then it has ended
			return fmt.Errorf("it goes on after: %w", err)
		case i == 20:
			if err := replaceOpenFile(path + "-wal"); err != nil {
				return err
			}
		}
	}
}

// replaceOpenFile makes every descriptor of the file one of the null device.
func replaceOpenFile(path string) error {
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer null.Close()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return err
	}
	replaced := 0
	for _, entry := range entries {
		target, err := os.Readlink(filepath.Join("/proc/self/fd", entry.Name()))
		if err != nil || !strings.HasSuffix(target, path) {
			continue
		}
		fd, err := strconv.Atoi(entry.Name())
		if err != nil {
			return err
		}
		if err := syscall.Dup3(int(null.Fd()), fd, 0); err != nil {
			return err
		}
		replaced++
	}
	if replaced == 0 {
		return fmt.Errorf("%s is not open", path)
	}
	return nil
}

func TestAFailedSyncEndsTheProcess(t *testing.T) {
	t.Parallel()
	path := filepath.Join(dataFolder(t), "telltale.db")
	cmd, out := startChild(t, "break", path)
	acknowledged := readAcknowledged(out)
	_ = cmd.Wait() // its exit code tells
	if code := cmd.ProcessState.ExitCode(); code != 3 || !strings.HasPrefix(out.Text(), "fatal: ") {
		t.Fatalf("the process ended with %d and said %q", code, out.Text())
	}
	checkAcknowledged(t, path, acknowledged)
}
