package telltale

import "hash/fnv"

// Share is what one of the nodes that send may make of what a webhook allows.
type Share struct {
	Concurrency int     // attempts at once; 0: others send all
	Rate        float64 // attempts a second; 0 means no limit
	Release     float64 // held deliveries that come back a second
	// First is the node that goes before while the webhook's breaker is not closed:
	// no other attempts anything then, so that one probe is one. It has the largest
	// share, or one of them.
	First bool
}

// Share divides what the webhook allows at once and a second among the nodes that
// send, of which this one stands at the place, from 0 on. All shares together are
// exactly the whole. What cannot be divided goes to some of the nodes, which are
// others for every webhook: those of which each allows one attempt at once are
// spread over all nodes. Fewer than two nodes divide nothing.
//
// Nodes learn of each other by their heartbeats ([Beat]). So the limits hold over
// all of them while none comes or goes; when one does, some nodes may for a moment,
// and for [BeatInterval] at most, go by the shares of before.
func (w *Webhook) Share(workers, place int) Share {
	s := Share{Concurrency: w.Concurrency, Rate: w.RateLimit, Release: ReleaseRate, First: true}
	if w.RateLimit > 0 {
		s.Release = w.RateLimit
	}
	if workers < 2 {
		return s
	}
	hash := fnv.New32a()
	_, _ = hash.Write([]byte(w.ID)) // a hash takes everything
	turn := (place + int(hash.Sum32()%uint32(workers))) % workers
	s.First = turn == 0
	s.Concurrency = w.Concurrency / workers
	if turn < w.Concurrency%workers {
		s.Concurrency++
	}
	part := float64(s.Concurrency) / float64(w.Concurrency)
	s.Rate, s.Release = part*s.Rate, part*s.Release
	return s
}
