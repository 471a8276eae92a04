package main

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"sync"

	"telltale.example/telltale/internal/pgtest"
)

// proxy stands between a node and its database, or between two databases, and does
// what networks do when they break.
type proxy struct {
	listener net.Listener

	mu      sync.Mutex
	to      int // port that it leads to; 0 for none
	lines   map[*line]bool
	open    chan struct{} // closed while bytes pass
	commits int           // that are still to lose their answer
	lost    int           // that did
	ended   bool
}

// line is a connection through a proxy.
type line struct {
	near, far net.Conn
	dead      bool // what is written to it arrives nowhere
}

// newProxy makes one that leads to a port.
func (r *Run) newProxy(to int) *proxy {
	listener, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // it is closed with the run
	r.Must(err)
	p := &proxy{listener: listener, to: to, lines: map[*line]bool{}, open: make(chan struct{})}
	close(p.open)
	go p.accept()
	r.Cleanup(p.close)
	return p
}

func (p *proxy) port() int { return p.listener.Addr().(*net.TCPAddr).Port }

// url names a database of a server behind the proxy.
func (p *proxy) url(database string) string {
	return fmt.Sprintf("postgres://%s@127.0.0.1:%d/%s?sslmode=disable", pgtest.Role, p.port(), database)
}

func (p *proxy) accept() {
	for {
		near, err := p.listener.Accept()
		if err != nil {
			if errors.Is(err, net.ErrClosed) {
				return
			}
			continue
		}
		go p.carry(near)
	}
}

func (p *proxy) carry(near net.Conn) {
	<-p.gate()
	p.mu.Lock()
	to := p.to
	p.mu.Unlock()
	far, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", to)) //nolint:noctx // on loopback it is there or not
	if err != nil {
		_ = near.Close()
		return
	}
	l := &line{near: near, far: far}
	p.mu.Lock()
	ended := p.ended
	p.lines[l] = true
	p.mu.Unlock()
	if ended {
		p.drop(l)
		return
	}
	go p.pump(l, near, far, false)
	go p.pump(l, far, near, true)
}

func (p *proxy) gate() chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.open
}

// committed is how a server answers a COMMIT.
var committed = []byte("C\x00\x00\x00\x0bCOMMIT\x00")

func (p *proxy) pump(l *line, from, to net.Conn, answers bool) {
	buffer := make([]byte, 64<<10)
	for {
		n, err := from.Read(buffer)
		<-p.gate()
		switch {
		case p.swallows(l):
			if err == nil {
				continue
			}
			return // the other end does not hear of the end either
		case err != nil, answers && bytes.Contains(buffer[:n], committed) && p.losesCommit():
			p.drop(l)
			return
		}
		if _, err := to.Write(buffer[:n]); err != nil {
			p.drop(l)
			return
		}
	}
}

func (p *proxy) swallows(l *line) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return l.dead
}

func (p *proxy) losesCommit() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.commits == 0 {
		return false
	}
	p.commits--
	p.lost++
	return true
}

func (p *proxy) drop(l *line) {
	p.mu.Lock()
	delete(p.lines, l)
	p.mu.Unlock()
	_ = l.near.Close()
	_ = l.far.Close()
}

// cut ends all connections.
func (p *proxy) cut() {
	p.mu.Lock()
	lines := make([]*line, 0, len(p.lines))
	for l := range p.lines {
		lines = append(lines, l)
	}
	p.mu.Unlock()
	for _, l := range lines {
		p.drop(l)
	}
}

// stall lets no byte through until it is eased.
func (p *proxy) stall() {
	p.mu.Lock()
	defer p.mu.Unlock()
	select {
	case <-p.open:
		p.open = make(chan struct{})
	default: // it does already
	}
}

func (p *proxy) ease() {
	p.mu.Lock()
	defer p.mu.Unlock()
	select {
	case <-p.open:
	default:
		close(p.open)
	}
}

// deaden has connections carry nothing any more, without either end hearing of it.
func (p *proxy) deaden() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for l := range p.lines {
		l.dead = true
	}
}

// loseCommits cuts so many connections between a COMMIT and its answer.
func (p *proxy) loseCommits(n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.commits += n
}

// spareCommits lets all COMMITs have their answers.
func (p *proxy) spareCommits() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.commits = 0
}

// lostCommits counts what was cut so.
func (p *proxy) lostCommits() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.lost
}

// turn leads new connections to another port, and ends those that there are.
func (p *proxy) turn(to int) {
	p.mu.Lock()
	p.to = to
	p.mu.Unlock()
	p.cut()
}

func (p *proxy) close() {
	_ = p.listener.Close()
	p.mu.Lock()
	p.ended = true
	p.mu.Unlock()
	p.ease()
	p.cut()
}
