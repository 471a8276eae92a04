package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"sync"
	"time"
)

// pace is callers that post at a pace of their own, as a customer's traffic does:
// a server that answers late is not spared the next request.
type pace struct {
	*world
	node    *node
	project string // a slug; "" for the default project
	event   string // the type; "" for delivered
	prefix  string // of the keys
	each    int    // events in a request; 0 for one

	mu    sync.Mutex
	posts []post
}

// post is a request of such a caller.
type post struct {
	key            string // of its first event
	began, answers time.Time
	err            error
}

var posters = &http.Client{Timeout: patience, Transport: &http.Transport{MaxIdleConnsPerHost: 100}}

// keep makes that many requests a second for so long, and waits for all answers.
func (p *pace) keep(perSecond int, lasts time.Duration) {
	var open sync.WaitGroup
	tick := time.NewTicker(time.Second / time.Duration(perSecond))
	defer tick.Stop()
	p.mu.Lock()
	first := len(p.posts)
	p.mu.Unlock()
	for i := range int(lasts.Seconds() * float64(perSecond)) {
		open.Go(func() { p.one(fmt.Sprintf("%s-%d", p.prefix, first+i)) })
		select {
		case <-tick.C:
		case <-p.ctx.Done():
			p.Fatalf("interrupted")
		}
	}
	open.Wait()
}

func (p *pace) one(key string) {
	made := post{key: key, began: time.Now()}
	keys := []string{key}
	for i := 1; i < p.each; i++ {
		keys = append(keys, fmt.Sprintf("%s-%d", key, i))
	}
	made.err = p.batch(keys)
	made.answers = time.Now()
	p.mu.Lock()
	p.posts = append(p.posts, made)
	p.mu.Unlock()
}

// batch posts events in one request.
func (p *pace) batch(keys []string) error {
	event := p.event
	if event == "" {
		event = "delivered"
	}
	var body bytes.Buffer
	for i, key := range keys {
		fmt.Fprintf(&body, `%c{"type":%q,"user":{"id":%q},"telltale":{"id":%q}}`, "[,"[min(i, 1)], event, key, key)
	}
	body.WriteByte(']')
	url := p.node.api + "/v1/events?project=" + slug(p.project)
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, url, &body)
	if err != nil {
		return err
	}
	r.Header.Set("Authorization", "Bearer "+p.token)
	r.Header.Set("Content-Type", "application/json")
	answer, err := posters.Do(r)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err == nil && answer.StatusCode != http.StatusAccepted {
		err = fmt.Errorf("%d %.200s", answer.StatusCode, text)
	}
	return err
}

// taken gives what was posted and acknowledged. What was
// refused is a fault.
func (p *pace) taken() (posts []post) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, made := range p.posts {
		if made.err != nil {
			p.Errorf("%s was not accepted: %v", made.key, made.err)
			continue
		}
		posts = append(posts, made)
	}
	return posts
}

// accepts is how long the answers took.
func accepts(posts []post) (took []time.Duration) {
	for _, made := range posts {
		took = append(took, made.answers.Sub(made.began))
	}
	return took
}

// firsts is how long it took each event from its caller to each of the receivers. Of
// those that did not arrive, which are counted, it is how long it took so far.
func (w *world) firsts(posts []post, hooks ...*hook) (took []time.Duration, missing int) {
	arrived := map[string]time.Time{} // the first of each
	for _, h := range w.sink.arrived() {
		if at, ok := arrived[h.Hook+h.Key]; !ok || h.At.Before(at) {
			arrived[h.Hook+h.Key] = h.At
		}
	}
	for _, made := range posts {
		for _, h := range hooks {
			at, ok := arrived[h.ID+made.key]
			if !ok {
				at = time.Now()
				missing++
			}
			took = append(took, at.Sub(made.began))
		}
	}
	return took, missing
}

// percentile gives the time that so many of a hundred stay within.
func percentile(p float64, took []time.Duration) time.Duration {
	if len(took) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(took))
	return sorted[min(int(float64(len(sorted))*p/100), len(sorted)-1)]
}

// ms gives a time in thousandths of a second, as figures have it.
func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
