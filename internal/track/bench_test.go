//go:build unix

package track_test

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"telltale.example/telltale/schema"
)

// BenchmarkChangesBesideEvents measures calls that each change a profile and are
// stored as user_updated, beside events that are posted to /v1/events, both by
// HTTP to the same node, in turn: a second of the one and a second of the other
// make an iteration. ratio is the median over the iterations of changes a second
// ÷ events a second, with the least and the most beside it; -benchtime 5x makes
// five. ratio-cpu is what it would be if the processors' time set the pace: it
// moves less when others use the machine.
func BenchmarkChangesBesideEvents(b *testing.B) {
	const users, connections, length = 10_000, 64, time.Second
	n := newBareNode(b)
	events, changes := newLoad(b, n, connections), newLoad(b, n, connections)
	sample := bytes.TrimSpace(schema.Sample("delivered"))
	events.target, events.body = "/v1/events", func(int64) []byte { return sample }
	changes.target = "/api/v2/users/track?auth_token=" + n.key
	changes.body = func(i int64) []byte {
		return fmt.Appendf(nil, `{"id":%d,"email":"user%d@example.com","data":{"plan":"pro","first_name":"Steve","company":"Vero","logins":%d}}`, i%users, i%users, i)
	}
	changes.requests(users) // the users are there before anything counts
	events.during(length / 2)

	var ratios []float64
	var posted, changed float64
	var eventCPU, changeCPU float64 // seconds for each
	for b.Loop() {
		e, eCPU := events.during(length)
		c, cCPU := changes.during(length)
		ratios = append(ratios, c/e)
		posted, changed = posted+e, changed+c
		eventCPU, changeCPU = eventCPU+eCPU, changeCPU+cCPU
	}
	slices.Sort(ratios)
	b.ReportMetric(ratios[len(ratios)/2], "ratio")
	b.ReportMetric(ratios[0], "ratio-least")
	b.ReportMetric(ratios[len(ratios)-1], "ratio-most")
	b.ReportMetric(eventCPU/changeCPU, "ratio-cpu")
	b.ReportMetric(posted/float64(len(ratios)), "events/s")
	b.ReportMetric(changed/float64(len(ratios)), "changes/s")
	b.ReportMetric(0, "ns/op") // it says nothing
}

// load is a number of connections that make the same kind of request, with as
// little work of their own as can be: they share the processors with the server.
type load struct {
	*testing.B
	conns  []net.Conn
	token  string
	target string
	body   func(int64) []byte
	next   atomic.Int64
}

func newLoad(b *testing.B, n *node, connections int) *load {
	b.Helper()
	l := &load{B: b, token: n.app.OwnerToken()}
	address, err := url.Parse(n.app.URL())
	if err != nil {
		b.Fatal(err)
	}
	for range connections {
		conn, err := new(net.Dialer).DialContext(b.Context(), "tcp", address.Host)
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { conn.Close() })
		l.conns = append(l.conns, conn)
	}
	return l
}

// during makes requests for that long, and gives how many a second were done, and
// how many seconds of the processors each took, on both sides.
func (l *load) during(length time.Duration) (rate, cpu float64) {
	started, used := time.Now(), l.cpu()
	n := l.each(func() bool { return time.Since(started) < length })
	return float64(n) / time.Since(started).Seconds(), (l.cpu() - used) / float64(n)
}

func (l *load) cpu() float64 {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		l.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano()).Seconds()
}

// requests makes that many, or a few more.
func (l *load) requests(n int64) {
	end := l.next.Load() + n
	l.each(func() bool { return l.next.Load() < end })
}

func (l *load) each(more func() bool) int64 {
	var done atomic.Int64
	var workers sync.WaitGroup
	for _, conn := range l.conns {
		workers.Go(func() {
			r := bufio.NewReader(conn)
			for more() {
				if err := l.request(conn, r); err != nil {
					l.Error(err)
					return
				}
				done.Add(1)
			}
		})
	}
	workers.Wait()
	if l.Failed() {
		l.FailNow()
	}
	return done.Load()
}

func (l *load) request(conn net.Conn, r *bufio.Reader) error {
	body := l.body(l.next.Add(1))
	request := fmt.Appendf(nil, "POST %s HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n", l.target, l.token, len(body))
	if _, err := conn.Write(append(request, body...)); err != nil {
		return err
	}
	status, length := "", 0
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			return err
		}
		line = strings.TrimSpace(line)
		switch name, value, _ := strings.Cut(line, ": "); {
		case status == "":
			status = line
		case line == "":
			answer := make([]byte, length)
			if _, err := io.ReadFull(r, answer); err != nil {
				return err
			}
			if !strings.HasPrefix(status, "HTTP/1.1 20") {
				return fmt.Errorf("%s: %s %s", l.target, status, answer)
			}
			return nil
		case name == "Content-Length":
			if length, err = strconv.Atoi(value); err != nil {
				return err
			}
		}
	}
}
