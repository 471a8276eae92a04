package egress

import (
	"errors"
	"net/url"
	"os"
	"strconv"
	"strings"
	"testing"
)

// The corpus is also what a trial of the whole program goes through.
func TestCorpus(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("testdata/corpus.txt")
	if err != nil {
		t.Fatal(err)
	}
	canary := newCanary(t)
	port, err := strconv.Atoi(canary.port)
	if err != nil {
		t.Fatal(err)
	}
	strict := mustGuard(t, Config{AllowHTTP: true, Ports: []int{port}, Resolver: &answers{lists: [][]string{{"127.0.0.1"}}}})
	rows := map[string]int{}
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSuffix(line, "\n")
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		at, rest, _ := strings.Cut(line, "\t")
		rows[at]++
		switch at {
		case "save":
			rule, raw, _ := strings.Cut(rest, "\t")
			raw = strings.ReplaceAll(raw, "PORT", canary.port)
			if err := strict.CheckURL(raw); !errors.Is(err, Rule(rule)) {
				t.Errorf("%s: error %v; want the rule about %s", raw, err, rule)
			}
			if _, err := strict.Admit(t.Context(), raw); !errors.Is(err, ErrBlocked) {
				t.Errorf("%s is admitted: %v", raw, err)
			}
			if u, err := url.Parse(raw); err == nil { // what a client makes of it
				if conn, err := strict.DialContext(t.Context(), "tcp", u.Host); err == nil {
					t.Errorf("%s: %s is dialled", raw, conn.RemoteAddr())
					conn.Close()
				}
			}
		case "send":
			resolver := &answers{}
			for answer := range strings.SplitSeq(rest, ">") {
				resolver.lists = append(resolver.lists, strings.Fields(answer))
			}
			g := mustGuard(t, Config{AllowHTTP: true, AllowCIDRs: prefixes(t, "127.0.0.9/32"), Resolver: resolver})
			for n := range resolver.lists {
				conn, err := g.DialContext(t.Context(), "tcp", "hooks.example.com:"+canary.port)
				if err == nil {
					conn.Close()
				}
				if blocked := errors.Is(err, ErrBlocked); blocked != (n == len(resolver.lists)-1) {
					t.Errorf("lookup %d of %s: error %v", n+1, rest, err)
				}
			}
		default:
			t.Errorf("%q begins no row", at)
		}
	}
	if rows["save"] < 100 || rows["send"] < 20 {
		t.Errorf("there are %v rows", rows)
	}
	if n := canary.visits(t); n != 0 {
		t.Errorf("the canary had %d visits", n)
	}
}
