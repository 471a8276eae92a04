package main

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// hostileTrial puts receivers that do what receivers must not do beside others that
// are well.
var hostileTrial = &Trial{
	ID: "T7", Name: "hostile receivers beside healthy ones", Proves: "P3, P5",
	Goal:   "each attempt ends in time with the right error class, and takes bounded bytes and memory; healthy p99 ≤ 2× what it is without them (or 50 ms); goroutines, descriptors and memory back after",
	Rounds: 20, Short: 1,
	Run: func(r *Run) { r.hostile(true) },
	// A node with two slots for all its attempts, which receivers that hang hold.
	Control: func(r *Run) { r.hostile(false, "--workers", "2") },
}

const (
	healthyReceivers = 10
	hostilePace      = 4 // events a second, each to all receivers
	hostileSpell     = 5 * time.Second
	hostileDeadline  = 5 * time.Second

	deadlineSlack = time.Second // on a machine that does much else
	mostTaken     = 1 << 20     // bytes of a connection for each attempt
	mostBuffered  = 16 << 20    // bytes of one that the kernel keeps
	mostMemory    = 192 << 20   // more than before, at the worst moment
	unnoticed     = 50 * time.Millisecond
)

// hostile runs rounds of two spells: the healthy receivers alone, and with the
// hostile ones. Those are new webhooks in every round, or breakers would spare the
// node most of what they do.
func (r *Run) hostile(judged bool, args ...string) {
	w := r.newWorld(nil)
	ca := r.newAuthority()
	n := w.add(release, "all", args...)
	n.env = append(n.env, ca.trusted())
	n.start()
	var healthy []*hook
	for i := range healthyReceivers {
		healthy = append(healthy, w.newHook(fmt.Sprint("healthy-", i), &hook{}, quick))
	}
	receivers := hostileReceivers(ca)
	calm := &pace{world: w, node: n, prefix: "calm"}
	stormy := &pace{world: w, node: n, prefix: "stormy"}
	calm.keep(hostilePace, hostileSpell/5) // so that it is warm
	before := n.settled()
	most := n.watch()
	r.EachRound(func(round int) {
		calm.keep(hostilePace, hostileSpell)
		hooks := make([]*hook, len(receivers))
		for i, h := range receivers {
			hooks[i] = w.newHook(fmt.Sprintf("hostile-%d-%d", round, i), &hook{}, map[string]any{
				"url": h.url, "timeout": hostileDeadline.String(), "retry_schedule": []string{"1s", "1s", "2s", "5s"},
			})
		}
		stormy.keep(hostilePace, hostileSpell)
		r.Sleep(hostileDeadline)
		for _, h := range hooks {
			if status, text := w.call(http.MethodDelete, n.api+"/v1/webhooks/"+h.ID, nil); status/100 != 2 {
				r.Fatalf("deleting a webhook: %d %s", status, text)
			}
		}
		r.Wait("the attempts to be recorded", func() bool { return w.number(`SELECT count(*) FROM delivery WHERE state = 3`) == 0 })
		for i, h := range receivers {
			if !judged {
				break // of what did not come up nothing can be said
			}
			r.Add("hostile attempts", "", float64(h.judge(w, hooks[i])))
		}
	})
	peak := most()
	after := n.settled()

	quiet, lost := w.firsts(calm.taken(), healthy...)
	loud, more := w.firsts(stormy.taken(), healthy...)
	if lost+more > 0 {
		r.Errorf("%d deliveries did not come to receivers that are well", lost+more)
	}
	base, p99 := percentile(99, quiet), percentile(99, loud)
	r.Add("hostile receivers", "", float64(len(receivers)))
	r.Worst("healthy p99 without them", "ms", ms(base))
	r.Worst("healthy p99", "ms", ms(p99))
	r.Worst("healthy median without them", "ms", ms(percentile(50, quiet)))
	r.Worst("healthy median", "ms", ms(percentile(50, loud)))
	r.Worst("memory", "MiB", before.memory/(1<<20))
	r.Worst("memory at most", "MiB", peak/(1<<20))
	r.Worst("memory after", "MiB", after.memory/(1<<20))
	if p99 > max(2*base, unnoticed) {
		r.Errorf("healthy receivers wait %v (p99), and %v without the hostile ones", p99, base)
	}
	if peak > before.memory+mostMemory {
		r.Errorf("memory grew from %.0f to %.0f MiB", before.memory/(1<<20), peak/(1<<20))
	}
	if after.memory > before.memory+mostMemory/2 {
		r.Errorf("memory was %.0f MiB before, and is %.0f after", before.memory/(1<<20), after.memory/(1<<20))
	}
	if after.goroutines > before.goroutines+idleWorkers {
		r.Errorf("%.0f goroutines were there before, and %.0f are after", before.goroutines, after.goroutines)
	}
	if after.descriptors > before.descriptors+5 {
		r.Errorf("%.0f descriptors were open before, and %.0f are after", before.descriptors, after.descriptors)
	}
	for _, h := range receivers {
		if open := h.open.Load(); open > 0 {
			r.Errorf("%s: %d connections are still open", h.name, open)
		}
	}
}

// idle is longer than a node keeps connections that it does not use.
const idle = 6 * time.Second

// idleWorkers is how many goroutines more may wait for work after much of it.
const idleWorkers = 64 + 10

// settled is what a node holds once nobody has a connection to it that is not used.
func (n *node) settled() size {
	n.Sleep(idle)
	posters.CloseIdleConnections()
	client.CloseIdleConnections()
	n.Sleep(idle / 6)
	return n.size()
}

// size is what a node holds.
type size struct{ memory, goroutines, descriptors float64 }

func (n *node) size() size {
	return size{n.metric("process_resident_memory_bytes"), n.metric("go_goroutines"), n.metric("process_open_fds")}
}

// watch follows the memory of a node's process until it is asked for the most there
// was.
func (n *node) watch() (most func() float64) {
	pid, result := n.process.Pid, make(chan float64, 1)
	ctx, stop := context.WithCancel(context.Background())
	n.Cleanup(stop)
	go func() {
		tick := time.NewTicker(200 * time.Millisecond)
		defer tick.Stop()
		peak := 0.0
		for ctx.Err() == nil {
			peak = max(peak, resident(pid))
			select {
			case <-tick.C:
			case <-ctx.Done():
			}
		}
		result <- peak
	}()
	return func() float64 { stop(); return <-result }
}

// hostileReceiver is one of them.
type hostileReceiver struct {
	name    string
	tls     *tls.Config // nil: it speaks plainly
	behave  func(net.Conn)
	classes []string // of its attempts, the first of which has to come up; "" is success
	races   bool     // which of them comes up depends on who is faster

	url   string
	open  atomic.Int64
	taken atomic.Int64 // bytes, the most that a connection took
}

// judge holds what the log says of the attempts against what was to be expected.
func (h *hostileReceiver) judge(w *world, made *hook) (attempts int) {
	seen := map[string]int{}
	var longest time.Duration
	for _, f := range w.rows(`SELECT coalesce(a.error, ''), a.duration, length(coalesce(a.body, '')) FROM attempt a JOIN delivery d ON d.number = a.delivery JOIN webhook w ON w.number = d.webhook WHERE w.id = '` + made.ID + `'`) {
		attempts++
		seen[f[0]]++
		var micros, kept int64
		if _, err := fmt.Sscan(f[1]+" "+f[2], &micros, &kept); err != nil {
			w.Fatalf("%q: %v", f, err)
		}
		longest = max(longest, time.Duration(micros)*time.Microsecond)
		if kept > 16<<10 {
			w.Errorf("%s: %d bytes of a body are kept", h.name, kept)
		}
	}
	for class, n := range seen {
		if !slices.Contains(h.classes, class) {
			w.Errorf("%s: %d of %d attempts ended as %q; want %q", h.name, n, attempts, class, h.classes)
		}
	}
	if seen[h.classes[0]] == 0 && !h.races {
		w.Errorf("%s: none of %d attempts ended as %q", h.name, attempts, h.classes[0])
	}
	if longest > hostileDeadline+deadlineSlack {
		w.Errorf("%s: an attempt took %v; the deadline is %v", h.name, longest, hostileDeadline)
	}
	if taken := h.taken.Swap(0); taken > mostBuffered+int64(attempts)*mostTaken {
		w.Errorf("%s: %d MiB were taken of one connection in %d attempts", h.name, taken>>20, attempts)
	}
	w.Worst("attempt at most", "ms", ms(longest))
	return attempts
}

// listen starts the receiver. A connection ends with what it does there, or with
// the run.
func (h *hostileReceiver) listen(r *Run) {
	l, err := new(net.ListenConfig).Listen(r.ctx, "tcp4", "127.0.0.1:0")
	r.Must(err)
	var mu sync.Mutex
	open := map[net.Conn]bool{}
	var all sync.WaitGroup
	all.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			_ = c.(*net.TCPConn).SetWriteBuffer(64 << 10) // or what is measured is how fast the kernel copies
			mu.Lock()
			open[c] = true
			mu.Unlock()
			h.open.Add(1)
			all.Go(func() {
				h.serve(c)
				_ = c.Close()
				mu.Lock()
				delete(open, c)
				mu.Unlock()
				h.open.Add(-1)
			})
		}
	})
	r.Cleanup(func() {
		_ = l.Close()
		mu.Lock()
		for c := range open {
			_ = c.Close()
		}
		mu.Unlock()
		all.Wait()
	})
	h.url = "http://" + l.Addr().String() + "/hook"
	if h.tls != nil {
		h.url = strings.Replace(h.url, "http:", "https:", 1)
	}
}

func (h *hostileReceiver) serve(c net.Conn) {
	counted := &counted{Conn: c}
	defer func() {
		for old := h.taken.Load(); old < counted.sent.Load() && !h.taken.CompareAndSwap(old, counted.sent.Load()); old = h.taken.Load() {
		}
	}()
	if h.tls == nil || h.tls.GetCertificate == nil && len(h.tls.Certificates) == 0 { // it only pretends to speak TLS
		h.behave(counted)
		return
	}
	secure := tls.Server(counted, h.tls)
	if secure.Handshake() == nil { //nolint:noctx // it ends with the connection
		h.behave(secure)
		_ = secure.CloseWrite()
	}
}

// counted counts what is written.
type counted struct {
	net.Conn
	sent atomic.Int64
}

func (c *counted) Write(b []byte) (int, error) {
	n, err := c.Conn.Write(b)
	c.sent.Add(int64(n))
	return n, err
}

// hostileReceivers are all of them, listening.
func hostileReceivers(ca *authority) []*hostileReceiver {
	const (
		success  = ""
		timeout  = "timeout"
		reset    = "reset"
		protocol = "protocol_error"
		tooLarge = "too_large"
		status   = "http_status"
		badTLS   = "tls_error"
		connect  = "connect_error"
		ok       = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
		stale    = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nstale"
		head     = "HTTP/1.1 200 OK\r\n"
		hour     = time.Hour
	)
	good := func() *tls.Config { return ca.server(loopback(-hour, hour)) }
	none := &tls.Config{MinVersion: tls.VersionTLS12}
	h2 := func() *tls.Config { c := good(); c.NextProtos = []string{"h2"}; return c }
	old := good()
	old.MinVersion, old.MaxVersion = tls.VersionTLS10, tls.VersionTLS11
	mutual := good()
	mutual.ClientAuth = tls.RequireAnyClientCert
	clientOnly := loopback(-hour, hour)
	clientOnly.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	named := &x509.Certificate{DNSNames: []string{"a.example"}}
	stranger, self := ca.newAuthority(), &authority{Run: ca.Run}
	bomb := gzipBomb()
	odd := []string{"-1", "99999999999999999999", "soon", "Tue, 99 Foo 2099 25:61:61 GMT", "1e9", "0x10", "NaN", "\x7f", strings.Repeat("9", 1000), "Fri, 31 Dec 9999 23:59:59 GMT"}
	var turn atomic.Int64

	all := []*hostileReceiver{
		// It hangs, at each stage.
		{name: "hangs before it reads", behave: hang, classes: []string{timeout}},
		{name: "hangs after the request", behave: say(""), classes: []string{timeout}},
		{name: "hangs within the status line", behave: say("HTTP/1.1 2"), classes: []string{timeout}},
		{name: "hangs within the headers", behave: say(head + "A: b\r\n"), classes: []string{timeout}},
		{name: "hangs within the body", behave: say(head + "Content-Length: 5\r\n\r\nab"), classes: []string{success}},
		{name: "hangs within a failure", behave: say("HTTP/1.1 500 No\r\nContent-Length: 5\r\n\r\nab"), classes: []string{status}},
		{name: "hangs in the handshake", tls: none, behave: hang, classes: []string{timeout}},
		{name: "hangs after the handshake", tls: good(), behave: hang, classes: []string{timeout}},
		{name: "hangs before the settings of HTTP/2", tls: h2(), behave: hang, classes: []string{timeout, reset}},
		{name: "hangs in a stream of HTTP/2", tls: h2(), behave: http2(func(http2Conn, uint32) {}), classes: []string{timeout, reset}},

		// It says too little at a time, or too much.
		{name: "one byte a second, headers", behave: answering(func(c net.Conn) { write(c, head); trickle(c, "A: b\r\n") }), classes: []string{timeout}},
		{name: "one byte a second, a body", behave: answering(func(c net.Conn) { write(c, head+"\r\n"); trickle(c, "x") }), classes: []string{success}},
		{name: "a body without end", behave: answering(func(c net.Conn) { write(c, head+"\r\n"); flood(c, "x") }), classes: []string{success}},
		{name: "chunks without end", behave: answering(func(c net.Conn) {
			write(c, "HTTP/1.1 503 Busy\r\nTransfer-Encoding: chunked\r\n\r\n")
			flood(c, "1\r\nx\r\n")
		}), classes: []string{status}},
		{name: "a chunk extension without end", behave: answering(func(c net.Conn) { write(c, head+"Transfer-Encoding: chunked\r\n\r\n1;"); flood(c, "x") }), classes: []string{success}},
		{name: "trailers without end", behave: answering(func(c net.Conn) { write(c, head+"Transfer-Encoding: chunked\r\n\r\n0\r\n"); flood(c, "A: b\r\n") }), classes: []string{success}},
		{name: "a gzip bomb", behave: answering(func(c net.Conn) {
			write(c, fmt.Sprintf(head+"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n%s", len(bomb), bomb))
		}), classes: []string{success}},
		{name: "headers of 100 MB", behave: answering(func(c net.Conn) { write(c, head); flood(c, "X: "+strings.Repeat("x", 1000)+"\r\n") }), classes: []string{tooLarge}},
		{name: "one header of 100 MB", behave: answering(func(c net.Conn) { write(c, head+"X: "); flood(c, "x") }), classes: []string{tooLarge}},
		{name: "a status line without end", behave: answering(func(c net.Conn) { write(c, "HTTP/1.1 200 "); flood(c, "x") }), classes: []string{tooLarge}},
		{name: "100 Continue without end", behave: answering(func(c net.Conn) { flood(c, "HTTP/1.1 100 Continue\r\n\r\n") }), classes: []string{tooLarge, protocol}},
		{name: "early hints without end", behave: answering(func(c net.Conn) { flood(c, "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n") }), classes: []string{tooLarge}},

		// It goes away, at each stage.
		{name: "resets at once", behave: cut, classes: []string{reset}},
		{name: "resets after the request", behave: answering(cut), classes: []string{reset}},
		{name: "resets within the headers", behave: answering(func(c net.Conn) { write(c, head+"A:"); cut(c) }), classes: []string{reset}},
		{name: "resets within the body", behave: answering(func(c net.Conn) { write(c, head+"Content-Length: 1000\r\n\r\nab"); pause(); cut(c) }), classes: []string{success}},
		{name: "closes without a word", behave: answering(func(net.Conn) {}), classes: []string{reset}},
		{name: "resets what it had kept alive", behave: func(c net.Conn) { reader := bufio.NewReader(c); next(reader); write(c, ok); next(reader); cut(c) }, classes: []string{success, reset}},
		{name: "answers every other request", behave: answering(func(c net.Conn) {
			if turn.Add(1)%2 == 0 {
				write(c, "HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n")
				return
			}
			write(c, "HTTP/1.1 503 Busy\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
		}), classes: []string{status, success}},

		// It cannot be trusted, in every way.
		{name: "a certificate that has expired", tls: ca.server(loopback(-2*hour, -hour)), behave: say(ok), classes: []string{badTLS}},
		{name: "a certificate of tomorrow", tls: ca.server(loopback(hour, 2*hour)), behave: say(ok), classes: []string{badTLS}},
		{name: "a certificate for another name", tls: ca.server(named), behave: say(ok), classes: []string{badTLS}},
		{name: "a certificate of a stranger's", tls: stranger.server(loopback(-hour, hour)), behave: say(ok), classes: []string{badTLS}},
		{name: "a certificate of its own", tls: self.server(&x509.Certificate{IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}}), behave: say(ok), classes: []string{badTLS}},
		{name: "a certificate of a client", tls: ca.server(clientOnly), behave: say(ok), classes: []string{badTLS}},
		{name: "TLS 1.1", tls: old, behave: say(ok), classes: []string{badTLS}},
		{name: "no TLS", tls: none, behave: func(c net.Conn) { write(c, "HTTP/1.1 400 Bad Request\r\n\r\n"); hang(c) }, classes: []string{badTLS}},
		{name: "wants our certificate", tls: mutual, behave: say(ok), classes: []string{badTLS, reset}},
		{name: "resets in the handshake", tls: none, behave: func(c net.Conn) { readSome(c); cut(c) }, classes: []string{badTLS}},

		// It speaks no HTTP, or a dialect.
		{name: "another protocol", behave: say("SSH-2.0-OpenSSH_9.2\r\n"), classes: []string{protocol}},
		{name: "HTTP/0.9", behave: answering(func(c net.Conn) { write(c, "ok\n") }), classes: []string{protocol, reset}},
		{name: "a status of letters", behave: say("HTTP/1.1 abc OK\r\n\r\n"), classes: []string{protocol}},
		{name: "a status below 100", behave: say("HTTP/1.1 042 Odd\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"), classes: []string{protocol}},
		{name: "a status above 599", behave: say("HTTP/1.1 777 Odd\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"), classes: []string{protocol}},
		{name: "another protocol from now on", behave: say("HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n"), classes: []string{protocol}},
		{name: "NUL in a header", behave: say(head + "A: b\x00c\r\nContent-Length: 0\r\n\r\n"), classes: []string{protocol}},
		{name: "rubbish in a header", behave: say(head + "A: \xff\xfe\x1b[31m\r\nContent-Length: 0\r\n\r\n"), classes: []string{protocol, success}},
		{name: "a header without a colon", behave: say(head + "nonsense\r\n\r\n"), classes: []string{protocol}},
		{name: "two lengths", behave: say(head + "Content-Length: 2\r\nContent-Length: 3\r\n\r\nabc"), classes: []string{protocol}},
		{name: "a negative length", behave: say(head + "Content-Length: -2\r\n\r\nabc"), classes: []string{protocol}},
		{name: "a length too great", behave: answering(func(c net.Conn) { write(c, head+"Content-Length: 100\r\n\r\nab") }), classes: []string{success}},
		{name: "a length too small", behave: say(head + "Content-Length: 1\r\n\r\nabcdef"), classes: []string{success, timeout, protocol}},
		{name: "chunks of rubbish", behave: say(head + "Transfer-Encoding: chunked\r\n\r\nzz\r\n"), classes: []string{success}},
		{name: "two answers", behave: say(ok + ok), classes: []string{success, timeout, protocol}},
		{name: "an answer before the request", behave: func(c net.Conn) { write(c, stale); hang(c) }, classes: []string{success, protocol, reset, timeout}},
		{name: "bytes that nobody asked for", behave: func(c net.Conn) {
			reader := bufio.NewReader(c)
			for next(reader) {
				write(c, ok)
				pause()
				write(c, stale)
			}
		}, classes: []string{success, protocol, reset, timeout}},
		{name: "a redirect to itself", behave: say("HTTP/1.1 307 Again\r\nLocation: /hook\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"), classes: []string{status}},
		{name: "nonsense for Retry-After", behave: answering(func(c net.Conn) {
			write(c, "HTTP/1.1 503 Busy\r\nConnection: close\r\nRetry-After: "+odd[int(turn.Add(1))%len(odd)]+"\r\nContent-Length: 0\r\n\r\n")
		}), classes: []string{status, protocol}},

		// It speaks HTTP/2, badly.
		{name: "GOAWAY instead of an answer", tls: h2(), behave: http2(func(c http2Conn, _ uint32) { c.frame(frameGoAway, 0, 0, word(0)+word(0)) }), classes: []string{reset}},
		{name: "GOAWAY after the answer", tls: h2(), behave: http2(func(c http2Conn, stream uint32) {
			c.frame(frameHeaders, endOfStream, stream, okInHPACK)
			c.frame(frameGoAway, 0, 0, word(stream)+word(0))
		}), classes: []string{success, reset}},
		{name: "every stream is reset", tls: h2(), behave: http2(func(c http2Conn, stream uint32) { c.frame(frameReset, 0, stream, word(2)) }), classes: []string{reset}},
		{name: "every stream is refused", tls: h2(), behave: http2(func(c http2Conn, stream uint32) { c.frame(frameReset, 0, stream, word(7)) }), classes: []string{reset}},
		{name: "settings without end", races: true, tls: h2(), behave: http2(func(c http2Conn, _ uint32) { c.flood(frame(frameSettings, 0, 0, "\x00\x03\x00\x00\x00\x64")) }), classes: []string{timeout, tooLarge, reset, protocol}},
		{name: "pings without end", races: true, tls: h2(), behave: http2(func(c http2Conn, _ uint32) { c.flood(frame(framePing, 0, 0, "12345678")) }), classes: []string{timeout, tooLarge, reset, protocol}},
		{name: "headers of HTTP/2 without end", races: true, tls: h2(), behave: http2(func(c http2Conn, stream uint32) {
			c.frame(frameHeaders, 0, stream, okInHPACK)
			c.flood(frame(frameContinuation, 0, stream, "\x00\x01x\x7f\x81\x07"+strings.Repeat("x", 1032)))
		}), classes: []string{protocol, tooLarge, reset}},
		{name: "data of HTTP/2 without end", races: true, tls: h2(), behave: http2(func(c http2Conn, stream uint32) {
			c.frame(frameHeaders, endOfHeaders, stream, okInHPACK)
			c.flood(frame(frameData, 0, stream, strings.Repeat("x", 16<<10)))
		}), classes: []string{success, tooLarge, timeout, reset, protocol}},
		{name: "a push that nobody wants", tls: h2(), behave: http2(func(c http2Conn, stream uint32) { c.frame(framePush, endOfHeaders, stream, word(2)+okInHPACK) }), classes: []string{protocol, reset}},
		{name: "no frames where HTTP/2 was agreed", tls: h2(), behave: say(ok), classes: []string{protocol, reset}},
	}
	for _, h := range all {
		h.listen(ca.Run)
	}
	deaf := &hostileReceiver{name: "takes no connection", classes: []string{connect}, url: "http://" + fullBacklog(ca.Run) + "/hook"}
	gone := &hostileReceiver{name: "nobody is there", classes: []string{connect}, url: "http://" + unused(ca.Run) + "/hook"}
	return append(all, deaf, gone)
}

// write writes to somebody who may be gone.
func write(c net.Conn, text string) { _, _ = io.WriteString(c, text) }

// hang waits until the other side goes away.
func hang(c net.Conn) { _, _ = io.Copy(io.Discard, c) }

// pause is for the other side to take what was written.
func pause() { <-time.After(100 * time.Millisecond) }

// next reads a request to its end.
func next(reader *bufio.Reader) bool {
	r, err := http.ReadRequest(reader)
	if err != nil {
		return false
	}
	_, err = io.Copy(io.Discard, r.Body)
	return err == nil
}

// answering does something once there is a request, and closes.
func answering(do func(net.Conn)) func(net.Conn) {
	return func(c net.Conn) {
		if next(bufio.NewReader(c)) {
			do(c)
		}
	}
}

// say answers a request with the text, and hangs.
func say(text string) func(net.Conn) {
	return answering(func(c net.Conn) { write(c, text); hang(c) })
}

func readSome(c net.Conn) { _, _ = io.ReadFull(c, make([]byte, 10)) }

// cut closes so that the other side gets RST instead of FIN.
func cut(c net.Conn) {
	if own, ok := c.(*counted); ok {
		c = own.Conn
	}
	if t, ok := c.(*net.TCPConn); ok {
		_ = t.SetLinger(0)
	}
	_ = c.Close()
}

// trickle writes a byte a second, for ever.
func trickle(c net.Conn, text string) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for i := 0; ; i = (i + 1) % len(text) {
		if _, err := c.Write([]byte{text[i]}); err != nil {
			return
		}
		<-tick.C
	}
}

// flood writes a text again and again, up to 100 MB of it.
func flood(c net.Conn, text string) {
	block := bytes.Repeat([]byte(text), 1+(64<<10)/len(text))
	for sent := 0; sent < 100_000_000; {
		n, err := c.Write(block)
		if err != nil {
			return
		}
		sent += n
	}
}

// gzipBomb is little that becomes 1 GiB.
func gzipBomb() string {
	var b bytes.Buffer
	z, _ := gzip.NewWriterLevel(&b, gzip.BestSpeed) // the level exists
	zeros := make([]byte, 1<<20)
	for range 1 << 10 {
		_, _ = z.Write(zeros) // into memory
	}
	_ = z.Close()
	return b.String()
}

// unused is an address at which nobody listens.
func unused(r *Run) string {
	l, err := new(net.ListenConfig).Listen(r.ctx, "tcp4", "127.0.0.1:0")
	r.Must(err)
	r.Must(l.Close())
	return l.Addr().String()
}

// fullBacklog is an address at which connections are neither taken nor refused: the
// queue of those that wait is full.
func fullBacklog(r *Run) string {
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	r.Must(err)
	r.Cleanup(func() { _ = syscall.Close(fd) })
	r.Must(syscall.Bind(fd, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}))
	r.Must(syscall.Listen(fd, 0))
	bound, err := syscall.Getsockname(fd)
	r.Must(err)
	address := fmt.Sprintf("127.0.0.1:%d", bound.(*syscall.SockaddrInet4).Port)
	for range 10 {
		c, err := (&net.Dialer{Timeout: 300 * time.Millisecond}).DialContext(r.ctx, "tcp4", address)
		if err != nil {
			return address
		}
		r.Cleanup(func() { _ = c.Close() })
	}
	r.Fatalf("%s takes every connection", address)
	return ""
}

// Frames of HTTP/2 (RFC 9113, section 6), as far as these receivers speak it.
const (
	frameData         = 0
	frameHeaders      = 1
	frameReset        = 3
	frameSettings     = 4
	framePush         = 5
	framePing         = 6
	frameGoAway       = 7
	frameContinuation = 9

	endOfHeaders = 0x4
	endOfStream  = 0x1 | endOfHeaders
	okInHPACK    = "\x88" // :status 200, RFC 7541, appendix A
	preface      = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
)

type http2Conn struct{ net.Conn }

func frame(kind, flags byte, stream uint32, payload string) []byte {
	head := make([]byte, 9, 9+len(payload))
	binary.BigEndian.PutUint32(head, uint32(len(payload))<<8|uint32(kind))
	head[4] = flags
	binary.BigEndian.PutUint32(head[5:], stream)
	return append(head, payload...)
}

func (c http2Conn) frame(kind, flags byte, stream uint32, payload string) {
	write(c, string(frame(kind, flags, stream, payload)))
}

// flood sends a frame again and again, and reads what the other side says to it, or
// that would come to a standstill by itself.
func (c http2Conn) flood(frame []byte) {
	go hang(c)
	flood(c, string(frame))
}

func (c http2Conn) next() (kind byte, stream uint32, err error) {
	head := make([]byte, 9)
	if _, err := io.ReadFull(c, head); err != nil {
		return 0, 0, err
	}
	_, err = io.CopyN(io.Discard, c, int64(binary.BigEndian.Uint32(head)>>8))
	return head[3], binary.BigEndian.Uint32(head[5:]), err
}

func word(n uint32) string { return string(binary.BigEndian.AppendUint32(nil, n)) }

// http2 answers the headers of each request.
func http2(answer func(http2Conn, uint32)) func(net.Conn) {
	return func(plain net.Conn) {
		c := http2Conn{plain}
		if _, err := io.ReadFull(c, make([]byte, len(preface))); err != nil {
			return
		}
		c.frame(frameSettings, 0, 0, "")
		for {
			kind, stream, err := c.next()
			switch {
			case err != nil:
				return
			case kind == frameHeaders:
				answer(c, stream)
			}
		}
	}
}
