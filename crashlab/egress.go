package main

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// egressTrial tries every door of the corpus at a node that guards what it dials.
var egressTrial = &Trial{
	ID: "T17", Name: "egress: addresses, names, parser tricks, DNS that moves, redirects", Proves: "P6",
	Goal: "refused when it is saved, or blocked_address when it is sent; the canary untouched", Rounds: 3, Short: 1,
	Run: func(r *Run) {
		r.EachRound(func(int) {
			c := r.newCanary()
			r.doors(c, true)
			r.names(c)
			if n := c.visits.Load(); n > 0 {
				r.Errorf("the canary had %d visits", n)
			}
		})
	},
	Control: func(r *Run) {
		c := r.newCanary()
		r.doors(c, false)
		if n := c.visits.Load(); n > 0 {
			r.Errorf("with --allow-private the canary had %d visits", n)
		}
	},
}

// asking is the release, but that it asks the lab for names.
const asking = "telltale-asking"

func init() {
	const guard = "internal/egress/guard.go"
	spoiled[asking] = []change{
		{guard, "r = &net.Resolver{}", `r = &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "udp", os.Getenv("LAB_RESOLVER"))
		}}`},
		{guard, "\t\"net/netip\"\n", "\t\"net/netip\"\n\t\"os\"\n"},
	}
}

// canary listens at every address of the machine that is not public, and counts who
// comes.
type canary struct {
	port   string
	visits atomic.Int64
}

func (r *Run) newCanary() *canary {
	c := &canary{}
	first := r.listen(c, "127.0.0.1:0")
	_, port, err := net.SplitHostPort(first)
	r.Must(err)
	c.port = port
	own, err := net.InterfaceAddrs()
	r.Must(err)
	for _, a := range own {
		p, err := netip.ParsePrefix(a.String())
		if err != nil || p.Addr() == netip.MustParseAddr("127.0.0.1") || !(p.Addr().IsLoopback() || p.Addr().IsPrivate()) {
			continue
		}
		r.listen(c, net.JoinHostPort(p.Addr().String(), port))
	}
	r.listen(c, "127.0.0.10:"+port)
	if l, err := new(net.ListenConfig).Listen(r.ctx, "tcp4", "127.0.0.1:443"); err == nil { // where certificates would be fetched
		r.attend(c, l)
	} else {
		r.Logf("nobody watches port 443: %v", err)
	}
	return c
}

func (r *Run) listen(c *canary, address string) (at string) {
	l, err := new(net.ListenConfig).Listen(r.ctx, "tcp", address)
	r.Must(err)
	r.attend(c, l)
	return l.Addr().String()
}

func (r *Run) attend(c *canary, l net.Listener) {
	var ended sync.WaitGroup
	ended.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			c.visits.Add(1)
			_ = conn.Close()
		}
	})
	r.Cleanup(func() { _ = l.Close(); ended.Wait() })
}

// corpus gives the rows of that kind.
func (r *Run) corpus(kind string, c *canary) (rows [][]string) {
	text, err := os.ReadFile(filepath.Join(r.lab.source, "internal", "egress", "testdata", "corpus.txt"))
	r.Must(err)
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(strings.TrimSuffix(line, "\n"), kind+"\t"); ok {
			rows = append(rows, strings.Split(strings.ReplaceAll(rest, "PORT", c.port), "\t"))
		}
	}
	if len(rows) == 0 {
		r.Fatalf("the corpus has nothing of the kind %q", kind)
	}
	return rows
}

// doors saves every URL that must not be saved: as a webhook, as the new URL of one
// that is well, and tests what was taken all the same.
func (r *Run) doors(c *canary, guarded bool) {
	w := r.newWorld(nil)
	n := w.add(release, "all", "--allow-http", "--egress-ports", c.port)
	n.guarded = guarded
	n.start()
	well := w.newHook("well", &hook{}, map[string]any{"url": "https://hooks.example.com/"})
	for _, row := range r.corpus("save", c) {
		url := row[1]
		status, text := w.call(http.MethodPost, n.api+"/v1/webhooks", map[string]any{"url": url, "events": []string{"*"}, "timeout": "1s"})
		if status != http.StatusUnprocessableEntity && guarded {
			r.Errorf("%q is saved: %d %.200s", url, status, text)
		}
		if status == http.StatusCreated {
			var made struct{ ID string }
			r.Must(json.Unmarshal(text, &made))
			w.call(http.MethodPost, n.api+"/v1/webhooks/"+made.ID+"/test", map[string]any{})
			w.call(http.MethodDelete, n.api+"/v1/webhooks/"+made.ID, nil)
			if !guarded {
				continue
			}
		}
		status, text = w.call(http.MethodPatch, n.api+"/v1/webhooks/"+well.ID, map[string]any{"url": url})
		if status != http.StatusUnprocessableEntity && guarded {
			r.Errorf("%q is the URL of a webhook now: %d %.200s", url, status, text)
		}
		r.Add("URLs", "", 1)
	}
}

// names has names lead where nothing may lead: 127.0.0.9 is allowed, and plays the
// public network.
func (r *Run) names(c *canary) {
	resolver := r.newNames()
	w := r.newWorld(nil)
	n := w.add(asking, "all", "--allow-cidr", "127.0.0.9/32")
	n.guarded = true
	n.env = append(n.env, "LAB_RESOLVER="+resolver.address)
	n.start()
	public := r.newPublic(c)
	closed := "http://%s:" + public.port + "/"

	test := func(id string) (class, text string) {
		_, answer := w.call(http.MethodPost, n.api+"/v1/webhooks/"+id+"/test", map[string]any{})
		var tested struct {
			Success bool
			Attempt struct{ Error string }
		}
		r.Must(json.Unmarshal(answer, &tested))
		if tested.Success {
			return "success", string(answer)
		}
		return tested.Attempt.Error, string(answer)
	}
	known := resolver.add("127.0.0.9")
	ok := w.newHook("public", &hook{}, map[string]any{"url": fmt.Sprintf(closed, known)})
	if class, text := test(ok.ID); class != "success" {
		r.Fatalf("what is allowed is not reached: %s", text)
	}
	// Redirects lead to the canary, which nobody follows.
	for _, status := range []int{301, 302, 303, 307, 308} {
		h := w.newHook(fmt.Sprint("redirect-", status), &hook{}, map[string]any{"url": fmt.Sprintf(closed+"%d", known, status)})
		if class, text := test(h.ID); class != "http_status" {
			r.Errorf("a redirect with %d: %s", status, text)
		}
		r.Add("redirects", "", 1)
	}
	var bad []*hook
	for _, row := range r.corpus("send", c) {
		lookups := strings.Split(row[0], ">")
		name := resolver.add(lookups...)
		h := w.newHook(name, &hook{}, map[string]any{"url": "http://" + name + ":" + public.port + "/", "timeout": "2s", "retry_schedule": []string{"1s"}})
		for i := range lookups {
			class, text := test(h.ID)
			if want := map[bool]string{true: "blocked_address", false: "success"}[i == len(lookups)-1]; class != want {
				r.Errorf("lookup %d of %q: %s; want %s", i+1, row[0], text, want)
			}
			for addr := range strings.FieldsSeq(lookups[i]) {
				if addr != "127.0.0.9" && class == "blocked_address" && strings.Contains(text, addr+`"`) {
					r.Errorf("the operator learns where %q leads: %s", row[0], text)
				}
			}
		}
		bad = append(bad, h)
		r.Add("names", "", 1)
	}
	// The same by deliveries, and their retries.
	posted := &pace{world: w, node: n, prefix: "named"}
	r.Must(posted.batch([]string{"named-0"}))
	counted := `SELECT count(*) FROM attempt a JOIN delivery d ON d.number = a.delivery JOIN webhook w ON w.number = d.webhook WHERE w.id = '%s' AND a.error %s`
	for _, h := range bad {
		r.Wait("attempts to be blocked", func() bool { return w.number(fmt.Sprintf(counted, h.ID, "= 'blocked_address'")) >= 2 })
		if n := w.number(fmt.Sprintf(counted, h.ID, "<> 'blocked_address'")); n > 0 {
			r.Errorf("%d attempts for %s ended otherwise", n, h.path)
		}
	}
	r.certificate(w, n, resolver)
}

// certificate has a provider's message name a certificate of the provider's own,
// whose name leads home.
func (r *Run) certificate(w *world, n *node, resolver *names) {
	const host, topic = "sns.eu-west-1.amazonaws.com", "arn:aws:sns:eu-west-1:123456789012:mail"
	resolver.set(host, "127.0.0.1")
	status, text := w.call(http.MethodPost, n.api+"/v1/sources", map[string]any{"provider": "ses", "credentials": map[string]string{"topic_arns": topic}})
	var made struct{ URL string }
	if err := json.Unmarshal(text, &made); err != nil || status != http.StatusCreated {
		r.Fatalf("making a source: %d %s", status, text)
	}
	asked := resolver.asked(host)
	status, text = w.call(http.MethodPost, made.URL, map[string]any{
		"Type": "Notification", "MessageId": "1", "TopicArn": topic, "Message": "{}", "Timestamp": time.Now().UTC().Format(time.RFC3339),
		"SignatureVersion": "2", "Signature": "AAAA", "SigningCertURL": "https://" + host + "/SimpleNotificationService.pem",
	})
	if status != http.StatusServiceUnavailable {
		r.Errorf("a message whose certificate is at home: %d %s", status, text)
	}
	if resolver.asked(host) == asked {
		r.Errorf("nobody looked for the certificate: %d %s", status, text)
	}
	r.Add("certificates", "", 1)
}

// public is a receiver at 127.0.0.9, which answers a status in its path with a
// redirect to the canary. It keeps no connection, so that every attempt looks up.
type public struct{ port string }

func (r *Run) newPublic(c *canary) *public {
	l, err := new(net.ListenConfig).Listen(r.ctx, "tcp4", "127.0.0.9:"+c.port)
	r.Must(err)
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		_, _ = io.Copy(io.Discard, q.Body)
		var status int
		if _, err := fmt.Sscanf(q.URL.Path, "/%d", &status); err == nil {
			w.Header().Set("Location", "http://127.0.0.1:"+c.port+"/")
			w.WriteHeader(status)
		}
	}))
	_ = s.Listener.Close()
	s.Listener = l
	s.Config.SetKeepAlivesEnabled(false)
	s.Start()
	r.Cleanup(s.Close)
	return &public{c.port}
}

// names is a server of the domain name system, whose answers change from lookup to
// lookup.
type names struct {
	address string

	mu      sync.Mutex
	answers map[string][][]netip.Addr
	lookups map[string]int // by type and name
}

func (r *Run) newNames() *names {
	s := &names{answers: map[string][][]netip.Addr{}, lookups: map[string]int{}}
	c, err := new(net.ListenConfig).ListenPacket(r.ctx, "udp4", "127.0.0.1:0")
	r.Must(err)
	s.address = c.LocalAddr().String()
	var ended sync.WaitGroup
	ended.Go(func() {
		b := make([]byte, 1500)
		for {
			n, from, err := c.ReadFrom(b)
			if err != nil {
				return
			}
			if answer := s.answer(b[:n]); answer != nil {
				_, _ = c.WriteTo(answer, from)
			}
		}
	})
	r.Cleanup(func() { _ = c.Close(); ended.Wait() })
	return s
}

// add makes a name that leads to those addresses, one lookup after another, and to
// the last ones from then on.
func (s *names) add(lookups ...string) (name string) {
	s.mu.Lock()
	name = fmt.Sprintf("door-%d.example.com", len(s.answers))
	s.mu.Unlock()
	s.set(name, lookups...)
	return name
}

func (s *names) set(name string, lookups ...string) {
	var lists [][]netip.Addr
	for _, l := range lookups {
		var list []netip.Addr
		for a := range strings.FieldsSeq(l) {
			list = append(list, netip.MustParseAddr(a))
		}
		lists = append(lists, list)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.answers[name] = lists
}

// asked is how often somebody asked for the IPv4 addresses of a name.
func (s *names) asked(name string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.lookups[fmt.Sprint(typeA, name)]
}

// Types of records (RFC 1035, RFC 3596).
const (
	typeA    = 1
	typeAAAA = 28
)

// answer answers a query (RFC 1035, section 4).
func (s *names) answer(q []byte) []byte {
	if len(q) < 12 {
		return nil
	}
	var labels []string
	at := 12
	for at < len(q) && q[at] > 0 {
		end := at + 1 + int(q[at])
		if end > len(q) {
			return nil
		}
		labels = append(labels, string(q[at+1:end]))
		at = end
	}
	at++ // the root
	if at+4 > len(q) {
		return nil
	}
	name, kind := strings.ToLower(strings.Join(labels, ".")), binary.BigEndian.Uint16(q[at:])
	s.mu.Lock()
	lists, known := s.answers[name]
	key := fmt.Sprint(kind, name)
	n := s.lookups[key]
	s.lookups[key]++
	s.mu.Unlock()
	out := append([]byte(nil), q[:at+4]...)
	copy(out[2:], []byte{0x84, 0, 0, 1, 0, 0, 0, 0, 0, 0}) // an answer, of one question, from who should know
	if !known {
		out[3] = 3 // there is no such name
		return out
	}
	for _, a := range lists[min(n, len(lists)-1)] {
		if a.Is4() && kind != typeA || a.Is6() && kind != typeAAAA {
			continue
		}
		raw := a.AsSlice()
		out = append(out, 0xc0, 12, 0, byte(kind), 0, 1, 0, 0, 0, 0, 0, byte(len(raw)))
		out = append(out, raw...)
		out[7]++
	}
	return out
}
