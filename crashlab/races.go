package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"telltale.example/telltale/signature"
)

// racesTrial changes webhooks on one node while all three send to them.
var racesTrial = &Trial{
	ID: "T15", Name: "webhooks disabled, deleted, and given other URLs and secrets under load, on any of three nodes", Proves: "P2, P6",
	Goal: "10,000 changes; attempts begun to the old state after a change returned 0, unsigned requests 0", Rounds: 10_000, Short: 150,
	Run: func(r *Run) {
		server := r.newServer()
		r.Parallel(map[string]func(*Run){
			"disabled": func(r *Run) { disabledElsewhere(r.newWorld(server)) },
			"changed": func(r *Run) {
				for left := r.Rounds; left > 0 && !r.Failed(); left -= worldChanges {
					changes(r.newWorld(server), min(left, worldChanges))
				}
			},
		})
	},
	Control: func(r *Run) { // a change that no node hears of
		w := r.newWorld(r.newServer()).starts(3)
		c := newRace(w, "webhook0")
		l := w.begin()
		c.sink.expect(c.h, c.pathAt(1))
		w.ask(fmt.Sprintf(`UPDATE webhook SET url = '%s' WHERE id = '%s'`, w.sink.URL+c.pathAt(1), c.h.ID))
		c.urls = append(c.urls, time.Now())
		w.more(100)
		l.end()
		c.judge(w.gather())
	},
}

// disabledElsewhere disables a webhook on one node, and sees that no other sends.
func disabledElsewhere(w *world) {
	w.starts(3)
	h := w.newHook("slow", &hook{pause: 20 * time.Millisecond}, quick)
	l := w.begin()
	var off []span
	for round := range 12 {
		w.more(40)
		status, text := w.call(http.MethodPost, w.nodes[round%3].api+"/v1/webhooks/"+h.ID+"/disable", nil)
		returned := time.Now()
		if status != http.StatusOK {
			w.Fatalf("disabling: %d %s", status, text)
		}
		accepted := w.ledger.count()
		w.Wait("more to be accepted", func() bool { return w.ledger.count() > accepted+20 })
		off = append(off, span{h.ID, returned, time.Now()})
		if status, text := w.call(http.MethodPost, w.nodes[(round+1)%3].api+"/v1/webhooks/"+h.ID+"/enable", nil); status != http.StatusOK {
			w.Fatalf("enabling: %d %s", status, text)
		}
	}
	l.end()
	w.holds(off, 1)
	late := slices.DeleteFunc(w.sink.arrived(), func(hit hit) bool {
		return !slices.ContainsFunc(off, func(s span) bool {
			// What was begun before may still be on its way.
			return hit.At.After(s.From.Add(time.Second)) && hit.At.Before(s.To)
		})
	})
	if len(late) > 0 {
		w.Errorf("%d arrived while it was disabled", len(late))
	}
}

// holds checks the evidence. What was accepted while a webhook was off is owed to
// nobody: see the documents. Of webhooks that were made under load, the sink did not
// know the first requests; it knew that many from the beginning.
func (w *world) holds(off []span, known int) *evidence {
	w.Wait("nothing to be under way", func() bool { return w.number(`SELECT count(*) FROM delivery WHERE state = 3`) == 0 })
	e := w.gather()
	e.Off, e.Acked, e.Hooks = off, nil, e.Hooks[:known]
	violations := check(e)
	for _, v := range violations[:min(len(violations), 20)] {
		w.Errorf("%s", v)
	}
	if !w.Failed() {
		control(w.Run, e)
	}
	return e
}

const (
	worldChanges = 1000 // in one world
	racers       = 6    // webhooks that are changed side by side
)

// changes changes webhooks at random, each by itself, as often as that in all.
func changes(w *world, n int) {
	w.starts(3)
	races := make([]*race, racers)
	for i := range races {
		races[i] = newRace(w, fmt.Sprintf("webhook%d", i))
	}
	loads := []*load{w.begin(), w.load()}
	var mu sync.Mutex
	all := slices.Clone(races)
	parts := map[string]func(*Run){}
	for i := range races {
		c := races[i]
		parts["webhook "+strconv.Itoa(i)] = func(r *Run) {
			for round := range (n + racers - 1 - i) / racers {
				r.Sleep(r.Between(0, 100*time.Millisecond))
				if next := c.change(r, round); next != nil {
					c = next
					mu.Lock()
					all = append(all, c)
					mu.Unlock()
				}
				r.Add("changes", "", 1)
			}
		}
	}
	w.Parallel(parts)
	for _, l := range loads {
		l.end()
	}
	var off []span
	for _, c := range all {
		if c.deleted {
			off = append(off, span{c.h.ID, c.deletedAt, time.Now()})
		}
		off = append(off, c.off...)
	}
	e := w.holds(off, racers)
	for _, c := range all {
		c.judge(e)
	}
	w.Add("attempts", "", float64(len(e.Attempts)))
}

// race is a webhook that is changed while it is sent to.
type race struct {
	*world
	name string
	h    *hook

	off           []span
	deleted       bool
	deletedAt     time.Time
	urls, secrets []time.Time // when the change to each generation returned; the first is there from the beginning
	alone         []bool      // of a secret: whether those before it sign no more
}

func newRace(w *world, name string) *race {
	h := &hook{pause: 20 * time.Millisecond}
	c := &race{world: w, name: name, h: w.newHook(name, h, quick), urls: make([]time.Time, 1), secrets: make([]time.Time, 1), alone: make([]bool, 1)}
	return c
}

// pathAt is the path of a generation of the URL.
func (c *race) pathAt(generation int) string {
	if generation == 0 {
		return "/" + c.name
	}
	return fmt.Sprintf("/%s/%d", c.name, generation)
}

// ask asks any node for a change, and gives when it returned.
func (c *race) ask(r *Run, method, what string, body any) (text []byte, returned time.Time) {
	n := c.nodes[r.Int64N(int64(len(c.nodes)))]
	began := time.Now()
	status, text := c.call(method, n.api+"/v1/webhooks/"+c.h.ID+what, body)
	returned = time.Now()
	if status/100 != 2 {
		r.Fatalf("%s %s: %d %s", method, what, status, text)
	}
	c.Worst("a change took", "s", returned.Sub(began).Seconds())
	return text, returned
}

// change makes one change, and gives the webhook that is there instead, if this one
// is gone for good.
func (c *race) change(r *Run, round int) *race {
	switch r.Int64N(4) {
	case 0:
		c.away(r, http.MethodPost, "/disable", "/enable")
	case 1:
		if r.Int64N(5) > 0 {
			c.away(r, http.MethodDelete, "", "/restore")
			return nil
		}
		_, c.deletedAt = c.ask(r, http.MethodDelete, "", nil)
		c.deleted = true
		return newRace(c.world, fmt.Sprintf("%s-%d", c.name, round))
	case 2:
		path := c.pathAt(len(c.urls))
		c.sink.expect(c.h, path)
		_, returned := c.ask(r, http.MethodPatch, "", map[string]any{"url": c.sink.URL + path})
		c.urls = append(c.urls, returned)
	case 3:
		overlap := []string{"0s", "1h"}[r.Int64N(2)]
		text, returned := c.ask(r, http.MethodPost, "/secret/rotate", map[string]any{"overlap": overlap})
		var made struct{ Secret string }
		r.Must(json.Unmarshal(text, &made))
		secret, err := signature.ParseSecret(made.Secret)
		r.Must(err)
		c.sink.learn(c.h, secret)
		c.secrets, c.alone = append(c.secrets, returned), append(c.alone, overlap == "0s")
	}
	return nil
}

// away makes the webhook go and come again.
func (c *race) away(r *Run, method, goes, comes string) {
	_, gone := c.ask(r, method, goes, nil)
	r.Sleep(r.Between(0, 300*time.Millisecond))
	c.off = append(c.off, span{c.h.ID, gone, time.Now()})
	c.ask(r, http.MethodPost, comes, nil)
}

// judge holds what arrived against what the webhook was when each attempt began.
func (c *race) judge(e *evidence) {
	type which struct {
		key     string
		attempt int
	}
	keys := map[int64]string{}
	for _, r := range e.Rows {
		if r.Hook == c.h.ID {
			keys[r.Number] = r.Key
		}
	}
	began := map[which]time.Time{}
	for _, a := range e.Attempts {
		if key, mine := keys[a.Delivery]; mine {
			began[which{key, a.Number}] = a.StartedAt
		}
	}
	// present is the generation that was there for sure at a time.
	present := func(generations []time.Time, at time.Time) (g int) {
		for g+1 < len(generations) && generations[g+1].Before(at) {
			g++
		}
		return g
	}
	judged := 0
	for _, h := range e.Hits {
		at, known := began[which{h.Key, h.Attempt}]
		if h.Hook != c.h.ID || !known {
			continue
		}
		judged++
		if url := present(c.urls, at); h.generation() < url {
			c.Errorf("an attempt that began %v after another URL was set went to the old one", at.Sub(c.urls[h.generation()+1]))
		}
		secret := present(c.secrets, at)
		if h.Newest < secret {
			c.Errorf("an attempt that began %v after the secret was rotated was not signed with the new one", at.Sub(c.secrets[secret]))
		}
		for g := secret; g > 0; g-- {
			if c.alone[g] && h.Oldest < g {
				c.Errorf("an attempt that began %v after the secret was replaced was signed with the old one", at.Sub(c.secrets[g]))
				break
			}
		}
	}
	c.Add("requests judged", "", float64(judged))
}

// generation of the URL that a request went to.
func (h *hit) generation() int {
	parts := strings.Split(h.Path, "/")
	n, _ := strconv.Atoi(parts[len(parts)-1]) // the first has none
	return n
}
