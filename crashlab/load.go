package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"maps"
	"net/http"
	"strings"
	"sync"
	"time"
)

// ledger is what callers know: what they posted, and what was acknowledged.
type ledger struct {
	mu     sync.Mutex
	posted map[string]bool
	acked  map[string]time.Time
	errors []string // what a caller saw who tries again once, at another node
}

func newLedger() *ledger {
	return &ledger{posted: map[string]bool{}, acked: map[string]time.Time{}}
}

func (l *ledger) count() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.acked)
}

func (l *ledger) copy() (posted map[string]bool, acked map[string]time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return maps.Clone(l.posted), maps.Clone(l.acked)
}

// load is callers at work.
type load struct {
	world  *world
	doors  []*node // that take requests
	stop   context.CancelFunc
	ended  sync.WaitGroup
	client *http.Client
}

// retryPause is the manners of a caller who got no answer.
const retryPause = 100 * time.Millisecond

// load has callers post events until it is ended: to one node after another, and
// each again and again until it is acknowledged.
func (w *world) load() *load {
	ctx, cancel := context.WithCancel(context.Background())
	l := &load{world: w, stop: cancel, client: &http.Client{Timeout: w.callLimit, Transport: &http.Transport{MaxIdleConnsPerHost: w.callers}}}
	for _, n := range w.nodes {
		if n.address != "" {
			l.doors = append(l.doors, n)
		}
	}
	run := w.loads.Add(1)
	for caller := range w.callers {
		l.ended.Go(func() {
			pause := time.NewTicker(w.callPause)
			defer pause.Stop()
			for i := 0; ctx.Err() == nil; i++ {
				l.post(fmt.Sprintf("%s-%d-%d-%d", w.name, run, caller, i), caller+i)
				select {
				case <-pause.C:
				case <-ctx.Done():
				}
			}
		})
	}
	w.Cleanup(l.end)
	return l
}

// end waits until what was posted is acknowledged.
func (l *load) end() {
	l.stop()
	l.ended.Wait()
	l.client.CloseIdleConnections()
}

// post posts an event until it is acknowledged.
func (l *load) post(key string, first int) {
	w := l.world
	w.ledger.mu.Lock()
	w.ledger.posted[key] = true
	w.ledger.mu.Unlock()
	deadline := time.Now().Add(3 * patience)
	for try := 0; ; try++ {
		n := l.doors[(first+try)%len(l.doors)]
		err := l.postOnce(n, key)
		if err == nil {
			w.ledger.mu.Lock()
			w.ledger.acked[key] = time.Now()
			w.ledger.mu.Unlock()
			return
		}
		if try == 1 {
			w.ledger.mu.Lock()
			w.ledger.errors = append(w.ledger.errors, fmt.Sprintf("%s at node %s: %v", key, n.name, err))
			w.ledger.mu.Unlock()
		}
		if w.Failed() {
			return // whoever asked knows enough
		}
		if time.Now().After(deadline) {
			w.Errorf("%s is not acknowledged: %v", key, err)
			return
		}
		if try >= len(l.doors) {
			<-time.After(retryPause)
		}
	}
}

func (l *load) postOnce(n *node, key string) error {
	body := fmt.Appendf(nil, `{"type":"delivered","user":{"id":%q},"telltale":{"id":%q}`, key, key)
	if n := l.world.padding; n > 0 {
		body = fmt.Appendf(body, `,"padding":%q`, strings.Repeat("x", n))
	}
	body = append(body, '}')
	r, err := http.NewRequestWithContext(context.Background(), http.MethodPost, "http://"+n.address+"/v1/events?project="+slug(l.world.projectOf(key)), bytes.NewReader(body))
	if err != nil {
		return err
	}
	r.Header.Set("Authorization", "Bearer "+l.world.token)
	r.Header.Set("Content-Type", "application/json")
	answer, err := l.client.Do(r)
	if l.world.answered != nil {
		l.world.answered(answer, err)
	}
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		return err
	}
	if answer.StatusCode != http.StatusAccepted {
		return fmt.Errorf("%d %s", answer.StatusCode, text)
	}
	return nil
}
