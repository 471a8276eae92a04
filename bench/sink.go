package main

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"telltale.example/telltale/signature"
)

// pathConfig says what the sink does with the requests to one path.
type pathConfig struct {
	Secret      string `json:"secret,omitempty"`       // whsec_…, that signs the requests
	VerifyEvery int64  `json:"verify_every,omitempty"` // verify the signature of every n-th request; 0: of none
	Latency     bool   `json:"latency,omitempty"`      // keep how long each event took to arrive
	Hang        bool   `json:"hang,omitempty"`         // take requests and never answer
}

// tally is what arrived at one path.
type tally struct {
	Hits        int64     `json:"hits"`
	Distinct    int64     `json:"distinct"`            // webhook-ids
	Fingerprint uint64    `json:"fingerprint"`         // the sum of hashID over the distinct ones
	Bytes       int64     `json:"bytes"`               // of bodies
	Verified    int64     `json:"verified"`            // signatures that were verified and right
	Refused     int64     `json:"refused"`             // signatures that were wrong
	FirstNS     int64     `json:"first_ns"`            // Unix time of the first request
	LastNS      int64     `json:"last_ns"`             // and of the last
	Latencies   []float64 `json:"latencies,omitempty"` // from the post of each event to its arrival, in milliseconds
}

// sink is the receiver: it answers 200 at once and counts. It speaks only as
// much HTTP/1.1 as that takes, since it shares the machine with what is measured.
type sink struct {
	paths  atomic.Pointer[map[string]*sinkPath]
	strays atomic.Int64 // requests to paths that nobody asked for
	conns  atomic.Int64 // connections so far
}

// sinkPath counts the requests to one path. Connections count in shards, so
// that they seldom wait for one another.
type sinkPath struct {
	pathConfig
	verifier *signature.Verifier
	hits     atomic.Int64
	verified atomic.Int64
	refused  atomic.Int64
	lastNS   atomic.Int64
	shards   [16]sinkShard
}

type sinkShard struct {
	mu        sync.Mutex
	ids       []uint64
	bytes     int64
	firstNS   int64
	latencies []float64
}

func newSink() *sink {
	s := &sink{}
	s.paths.Store(&map[string]*sinkPath{})
	return s
}

// expect replaces all paths and forgets what was counted.
func (s *sink) expect(config map[string]pathConfig) error {
	paths := make(map[string]*sinkPath, len(config))
	for name, c := range config {
		p := &sinkPath{pathConfig: c}
		if c.Secret != "" {
			secret, err := signature.ParseSecret(c.Secret)
			if err != nil {
				return err
			}
			p.verifier = signature.NewVerifier(secret)
		}
		paths[name] = p
	}
	s.paths.Store(&paths)
	s.strays.Store(0)
	return nil
}

// serve answers the connections that l accepts until ctx ends.
func (s *sink) serve(ctx context.Context, l net.Listener) error {
	stop := context.AfterFunc(ctx, func() { l.Close() }) //nolint:errcheck // to wake Accept
	defer stop()
	for {
		conn, err := l.Accept()
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return err
		}
		go s.converse(ctx, conn, s.conns.Add(1))
	}
}

// converse answers the requests of one connection until either side ends it.
func (s *sink) converse(ctx context.Context, conn net.Conn, number int64) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	context.AfterFunc(ctx, func() { conn.Close() })
	var m message
	r := bufio.NewReaderSize(conn, bufferSize)
	for m.read(r) == nil {
		p := (*s.paths.Load())[string(m.path())]
		answer := "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
		if p == nil {
			s.strays.Add(1)
			answer = "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"
		} else {
			p.note(&m, time.Now(), number)
			if p.Hang {
				io.Copy(io.Discard, r) //nolint:errcheck // it ends when the caller gives up
				return
			}
		}
		if _, err := io.WriteString(conn, answer); err != nil || m.close {
			return
		}
	}
}

// note counts a request.
func (p *sinkPath) note(m *message, now time.Time, conn int64) {
	shard := &p.shards[conn%int64(len(p.shards))]
	shard.mu.Lock()
	shard.ids = append(shard.ids, hashID(m.id))
	shard.bytes += int64(len(m.body))
	if shard.firstNS == 0 {
		shard.firstNS = now.UnixNano()
	}
	if p.Latency {
		if sent, ok := sentAt(m.body); ok {
			shard.latencies = append(shard.latencies, milliseconds(now.Sub(sent)))
		}
	}
	shard.mu.Unlock()
	p.lastNS.Store(now.UnixNano())
	n := p.hits.Add(1)
	if p.verifier == nil || p.VerifyEvery == 0 || n%p.VerifyEvery != 0 {
		return
	}
	header := http.Header{}
	header.Set(signature.HeaderID, string(m.id))
	header.Set(signature.HeaderTimestamp, string(m.timestamp))
	header.Set(signature.HeaderSignature, string(m.signature))
	if p.verifier.Verify(header, m.body, now) == nil {
		p.verified.Add(1)
	} else {
		p.refused.Add(1)
	}
}

// tally sums up what arrived. It is slow, and for after a run.
func (p *sinkPath) tally() tally {
	t := tally{Hits: p.hits.Load(), Verified: p.verified.Load(), Refused: p.refused.Load(), LastNS: p.lastNS.Load()}
	var ids []uint64
	for i := range p.shards {
		shard := &p.shards[i]
		shard.mu.Lock()
		ids = append(ids, shard.ids...)
		t.Bytes += shard.bytes
		if shard.firstNS != 0 && (t.FirstNS == 0 || shard.firstNS < t.FirstNS) {
			t.FirstNS = shard.firstNS
		}
		t.Latencies = append(t.Latencies, shard.latencies...)
		shard.mu.Unlock()
	}
	slices.Sort(ids)
	for _, id := range slices.Compact(ids) {
		t.Distinct++
		t.Fingerprint += id
	}
	return t
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
