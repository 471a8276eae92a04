package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// driveConfig says how events are posted.
type driveConfig struct {
	Addresses   []string      `json:"addresses"` // of the server's nodes, host:port, which the connections share
	Path        string        `json:"path"`
	Token       string        `json:"token"`
	Batch       int           `json:"batch"`       // events a request
	Connections int           `json:"connections"` // at most, each with one request at a time
	Rate        float64       `json:"rate"`        // requests a second, in an open loop; 0: as fast as they are answered
	Length      time.Duration `json:"length"`
	First       int64         `json:"first"` // number of the first event
}

// driveResult is what the server accepted.
type driveResult struct {
	Accepted    int64         `json:"accepted"`    // events that were answered with a 202
	Fingerprint uint64        `json:"fingerprint"` // the sum of hashID over their ids
	Sample      []string      `json:"sample"`      // a few of their ids, from the first to the last
	Refused     map[int]int64 `json:"refused"`     // requests answered 429 or 503, by status
	StartNS     int64         `json:"start_ns"`    // Unix time of the first post
	EndNS       int64         `json:"end_ns"`      // and of the last answer
	Late        float64       `json:"late_ms"`     // how late the latest post of an open loop began
}

// drive posts events and counts what was accepted.
type drive struct {
	driveConfig
	head  []byte // of every request, up to the value of content-length
	next  atomic.Int64
	dials atomic.Int64

	mu     sync.Mutex
	result driveResult
}

// runDrive is the process that loads the server.
func runDrive(ctx context.Context, c driveConfig, say func(any) error) error {
	d := &drive{driveConfig: c, head: fmt.Appendf(nil,
		"POST %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: telltale-bench\r\nAuthorization: Bearer %s\r\nContent-Type: application/json\r\nContent-Length: ",
		c.Path, c.Addresses[0], c.Token)}
	d.next.Store(c.First)
	d.result.StartNS = time.Now().UnixNano()
	run := d.saturate
	if c.Rate > 0 {
		run = d.pace
	}
	if err := run(ctx); err != nil {
		return err
	}
	d.result.EndNS = time.Now().UnixNano()
	return say(&d.result)
}

// saturate keeps every connection busy.
func (d *drive) saturate(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	end := time.Now().Add(d.Length)
	var workers sync.WaitGroup
	for range d.Connections {
		workers.Go(func() {
			conn, err := d.dial(ctx)
			for err == nil && ctx.Err() == nil && time.Now().Before(end) {
				err = d.post(conn, time.Now())
			}
			if err != nil {
				cancel(err)
				return
			}
			d.finish(conn)
		})
	}
	workers.Wait()
	return context.Cause(ctx)
}

// pace posts each request at its time, however long others take.
func (d *drive) pace(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	idle := make(chan *driveConn, d.Connections)
	for range d.Connections {
		conn, err := d.dial(ctx)
		if err != nil {
			return err
		}
		idle <- conn
	}
	var late time.Duration
	for due := range ticks(ctx, d.Rate, d.Length) {
		sent := time.Now() // before a connection is free: waiting for one counts
		late = max(late, sent.Sub(due))
		select {
		case conn := <-idle:
			go func() {
				if err := d.post(conn, sent); err != nil {
					cancel(err)
				}
				idle <- conn
			}()
		case <-ctx.Done():
		}
	}
	for range d.Connections {
		d.finish(<-idle)
	}
	d.result.Late = milliseconds(late)
	return context.Cause(ctx)
}

// finish closes a connection and adds up what its requests came to.
func (d *drive) finish(c *driveConn) {
	c.Close()
	part := &c.part
	d.mu.Lock()
	defer d.mu.Unlock()
	d.result.Accepted += part.Accepted
	d.result.Fingerprint += part.Fingerprint
	d.result.Sample = append(d.result.Sample, part.Sample...)
	for status, n := range part.Refused {
		if d.result.Refused == nil {
			d.result.Refused = map[int]int64{}
		}
		d.result.Refused[status] += n
	}
}

// driveConn is a connection to the server and what its requests came to.
type driveConn struct {
	net.Conn
	r      *bufio.Reader
	body   []byte
	out    []byte
	answer message
	part   driveResult
}

func (d *drive) dial(ctx context.Context) (*driveConn, error) {
	address := d.Addresses[int(d.dials.Add(1))%len(d.Addresses)]
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	context.AfterFunc(ctx, func() { conn.Close() })
	return &driveConn{Conn: conn, r: bufio.NewReaderSize(conn, bufferSize)}, nil
}

// backOff is how long a connection rests after a 429 or 503.
const backOff = 50 * time.Millisecond

// post posts one request of fresh events that say when they were sent. What the server will not take now is
// counted; every other answer than 202 is an error, and so is a connection that
// ends, since nobody knows then what was accepted.
func (d *drive) post(c *driveConn, sent time.Time) error {
	first := d.next.Add(int64(d.Batch)) - int64(d.Batch)
	c.body = appendBatch(c.body[:0], first, d.Batch, sent)
	c.out = append(c.out[:0], d.head...)
	c.out = strconv.AppendInt(c.out, int64(len(c.body)), 10)
	c.out = append(c.out, "\r\n\r\n"...)
	c.out = append(c.out, c.body...)
	if _, err := c.Write(c.out); err != nil {
		return err
	}
	if err := c.answer.read(c.r); err != nil {
		return unexpected(err)
	}
	status, err := c.answer.status()
	if err != nil {
		return err
	}
	switch status {
	case http.StatusAccepted:
		if n := c.part.accept(c.answer.body); n != d.Batch {
			return fmt.Errorf("%d events were posted and %d accepted: %.300s", d.Batch, n, c.answer.body)
		}
	case http.StatusTooManyRequests, http.StatusServiceUnavailable:
		if c.part.Refused == nil {
			c.part.Refused = map[int]int64{}
		}
		c.part.Refused[status]++
		<-time.After(backOff)
	default:
		return fmt.Errorf("POST %s: %d: %.300s", d.Path, status, c.answer.body)
	}
	if c.answer.close {
		return errors.New("the server ends the connection")
	}
	return nil
}

// sampleOneIn says how many ids there are for one that is looked up in the log
// afterwards, besides the first of every connection.
const sampleOneIn = 4096

// accept counts the events in the answer to a post and gives their number.
func (r *driveResult) accept(answer []byte) int {
	n := 0
	for {
		at := bytes.Index(answer, []byte(`"evt_`))
		if at < 0 {
			return n
		}
		answer = answer[at+1:]
		end := bytes.IndexByte(answer, '"')
		if end < 0 {
			return n
		}
		id := answer[:end]
		answer = answer[end:]
		h := hashID(id)
		if r.Accepted == 0 || h%sampleOneIn == 0 {
			r.Sample = append(r.Sample, string(id))
		}
		r.Accepted++
		r.Fingerprint += h
		n++
	}
}
