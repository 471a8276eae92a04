package postgres

import (
	"context"
	"crypto/sha256"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"telltale.example/telltale"
)

// race has n contenders do something at the same moment, on one node and the
// other in turn, and gives what became of each.
func (p *pair) race(n int, do func(s *Store, i int) error) []error {
	p.Helper()
	errs, start := make([]error, n), make(chan struct{})
	var all sync.WaitGroup
	for i := range n {
		s := p.a
		if i%2 == 1 {
			s = p.b
		}
		all.Go(func() {
			<-start
			errs[i] = do(s, i)
		})
	}
	close(start)
	all.Wait()
	return errs
}

// winner fails the test unless one alone came through, and the others got one of
// these codes.
func (p *pair) winner(errs []error, losers ...telltale.Code) int {
	p.Helper()
	winner := -1
	for i, err := range errs {
		switch {
		case err != nil && !slices.Contains(losers, telltale.CodeOf(err)):
			p.Fatalf("contender %d: %v", i, err)
		case err == nil && winner >= 0:
			p.Fatalf("contenders %d and %d both came through", winner, i)
		case err == nil:
			winner = i
		}
	}
	if winner < 0 {
		p.Fatalf("nobody came through: %v", errs)
	}
	return winner
}

// count counts rows past the store.
func (p *pair) count(sql string, args ...any) (n int) {
	p.Helper()
	p.must(p.a.readers.QueryRow(p.Context(), sql, args...).Scan(&n))
	return n
}

func newHash(parts ...any) [32]byte { return sha256.Sum256(fmt.Append(nil, parts...)) }

// newLink stores a link that lasts an hour.
func (p *pair) newLink(purpose telltale.LinkPurpose, of telltale.Operator) telltale.Link {
	p.Helper()
	l := telltale.Link{Hash: newHash(telltale.NewRequestID()), Purpose: purpose, CreatedAt: p.clock.Now(), ExpiresAt: p.clock.Now().Add(time.Hour)}
	switch purpose {
	case telltale.LinkInvite:
		l.Email, l.Role = of.Email, of.Role
	case telltale.LinkReset:
		l.OperatorID = of.ID
	}
	p.must(p.a.CreateLink(p.Context(), l))
	return l
}

func (p *pair) newOperator(email string, role telltale.Role) telltale.Operator {
	p.Helper()
	o := telltale.NewOperator(email, role, "hash")
	p.must(p.a.CreateOperator(p.Context(), o, p.newLink(telltale.LinkInvite, o).Hash))
	return o
}

const rounds = 5

func TestOneOfTwoNodesTakesAnIdempotencyName(t *testing.T) {
	p := newPair(t)
	for i := range rounds {
		request := telltale.IdempotentRequest{ProjectID: p.project.ID, KeyID: "key_1", Name: fmt.Sprint(i), Hash: newHash("content")}
		begin := func(s *Store, _ int) error {
			answer, err := s.BeginIdempotent(t.Context(), request)
			if answer != nil {
				t.Errorf("nobody answered, and the answer is %+v", answer)
			}
			return err
		}
		p.winner(p.race(8, begin), telltale.Conflict)
		p.must(p.b.EndIdempotent(t.Context(), request, nil))
		p.winner(p.race(8, begin), telltale.Conflict)
		p.advance(telltale.IdempotencyInFlight + time.Second)
		p.winner(p.race(8, begin), telltale.Conflict)

		request.Name += " again"
		var answers [8]*telltale.IdempotentAnswer
		errs := p.race(8, func(s *Store, i int) (err error) {
			r := request
			r.Hash = newHash(i)
			if answers[i], err = s.BeginIdempotent(t.Context(), r); err == nil {
				err = s.EndIdempotent(t.Context(), r, &telltale.IdempotentAnswer{Status: 200 + i})
			}
			return err
		})
		winner := p.winner(errs, telltale.Invalid)
		request.Hash = newHash(winner)
		answer, err := p.b.BeginIdempotent(t.Context(), request)
		p.must(err)
		if answer == nil || answer.Status != 200+winner {
			t.Fatalf("%d took the name, and the answer is %+v", winner, answer)
		}
	}
}

func TestOneOfTwoNodesUsesALink(t *testing.T) {
	p := newPair(t)
	for range rounds {
		link := p.newLink(telltale.LinkSetup, telltale.Operator{})
		contenders := make([]telltale.Operator, 8)
		for i := range contenders {
			contenders[i] = telltale.NewOperator(fmt.Sprintf("%d@example.com", i), telltale.RoleOwner, "hash")
		}
		winner := p.winner(p.race(8, func(s *Store, i int) error { return s.CreateOperator(t.Context(), contenders[i], link.Hash) }), telltale.NotFound)
		operators, err := p.b.Operators(t.Context())
		p.must(err)
		if len(operators) != 1 || operators[0].ID != contenders[winner].ID {
			t.Fatalf("%s came in, and there are %+v", contenders[winner].Email, operators)
		}

		reset := p.newLink(telltale.LinkReset, operators[0])
		winner = p.winner(p.race(8, func(s *Store, i int) error {
			return s.SetPassword(t.Context(), operators[0].ID, fmt.Sprint(i), reset.Hash, [32]byte{})
		}), telltale.NotFound)
		o, err := p.b.Operator(t.Context(), operators[0].ID)
		p.must(err)
		if o.PasswordHash != fmt.Sprint(winner) {
			t.Fatalf("%d reset the password, and it is %s's", winner, o.PasswordHash)
		}
		_, err = p.a.writers.Exec(t.Context(), `TRUNCATE operator, session, link`)
		p.must(err)
	}
}

func TestTwoNodesSetUpTheServerOnce(t *testing.T) {
	p := newPair(t)
	links := []telltale.Link{p.newLink(telltale.LinkSetup, telltale.Operator{}), p.newLink(telltale.LinkSetup, telltale.Operator{})}
	p.winner(p.race(2, func(s *Store, i int) error {
		return s.CreateOperator(t.Context(), telltale.NewOperator(fmt.Sprintf("%d@example.com", i), telltale.RoleOwner, "hash"), links[i].Hash)
	}), telltale.Conflict)
	if n := p.count(`SELECT count(*) FROM operator`); n != 1 {
		t.Fatalf("there are %d operators", n)
	}
}

func TestTheLastOwnerStaysWhicheverNodeIsAsked(t *testing.T) {
	p := newPair(t)
	owners := make([]telltale.Operator, 4)
	for i := range owners {
		owners[i] = p.newOperator(fmt.Sprintf("%d@example.com", i), telltale.RoleOwner)
	}
	for range 3 * rounds {
		errs := p.race(len(owners), func(s *Store, i int) error {
			o := owners[i]
			if i < 2 {
				o.Role = telltale.RoleAdmin
			} else {
				o.DisabledAt = p.clock.Now()
			}
			return s.UpdateOperator(t.Context(), o)
		})
		refused := 0
		for _, err := range errs {
			if telltale.CodeOf(err) == telltale.Conflict {
				refused++
			} else if err != nil {
				t.Fatal(err)
			}
		}
		if left := p.count(`SELECT count(*) FROM operator WHERE role = 'owner' AND disabled_at IS NULL`); left != 1 || refused != 1 {
			t.Fatalf("%d were refused, and %d owners are left", refused, left)
		}
		for _, o := range owners {
			p.must(p.a.UpdateOperator(t.Context(), o))
		}
	}
}

func TestNobodyStaysSignedInWithAPasswordThatIsChangedOnAnotherNode(t *testing.T) {
	p := newPair(t)
	p.newOperator("owner@example.com", telltale.RoleOwner)
	o := p.newOperator("jo@example.com", telltale.RoleMember)
	for i := range 3 * rounds {
		before, after := fmt.Sprint("hash ", i), fmt.Sprint("hash ", i+1)
		p.must(p.a.SetPassword(t.Context(), o.ID, before, [32]byte{}, [32]byte{}))
		errs := p.race(6, func(s *Store, j int) error {
			if j == 2 {
				return s.SetPassword(t.Context(), o.ID, after, [32]byte{}, [32]byte{})
			}
			return s.SaveSession(t.Context(), telltale.Session{Hash: newHash(i, j), OperatorID: o.ID, ExpiresAt: p.clock.Now().Add(time.Hour)}, before)
		})
		for j, err := range errs {
			if err != nil && (j == 2 || telltale.CodeOf(err) != telltale.NotFound) {
				t.Fatal(err)
			}
		}
		if n := p.count(`SELECT count(*) FROM session`); n != 0 {
			t.Fatalf("%d are signed in by the password of before", n)
		}
	}
}

func TestTwoNodesKeepToTheBoundsOfAProject(t *testing.T) {
	p := newPair(t)
	newBin := func(s *Store) error {
		b := telltale.NewBin(p.project.ID)
		b.ExpiresAt = p.clock.Now().Add(time.Hour)
		return s.CreateBin(t.Context(), b)
	}
	newSource := func(s *Store) error {
		_, err := s.CreateSource(t.Context(), telltale.NewSource(p.project.ID, "sendgrid", "Newsletters"))
		return err
	}
	for _, row := range []struct {
		table string
		most  int
		make  func(s *Store) error
	}{{"bin", telltale.MaxBins, newBin}, {"source", telltale.MaxSources, newSource}} {
		for range row.most - 1 {
			p.must(row.make(p.a))
		}
		for range rounds {
			p.winner(p.race(8, func(s *Store, _ int) error { return row.make(s) }), telltale.Conflict)
			if n := p.count(`SELECT count(*) FROM ` + row.table); n != row.most {
				t.Errorf("there are %d rows in %s, not %d", n, row.table, row.most)
			}
			_, err := p.a.writers.Exec(t.Context(), fmt.Sprintf(`DELETE FROM %[1]s WHERE id = (SELECT id FROM %[1]s LIMIT 1)`, row.table))
			p.must(err)
		}
	}
}

func TestABinThatIsDeletedWhileItCatchesLeavesNothing(t *testing.T) {
	p := newPair(t)
	for range rounds {
		b := telltale.NewBin(p.project.ID)
		b.ExpiresAt = p.clock.Now().Add(time.Hour)
		p.must(p.a.CreateBin(t.Context(), b))
		errs := p.race(12, func(s *Store, i int) error {
			if i == 3 {
				return s.DeleteBin(t.Context(), p.project.ID, b.ID)
			}
			return s.CatchRequest(t.Context(), telltale.CaughtRequest{ID: telltale.NewRequestID(), BinID: b.ID, Method: "POST"})
		})
		for i, err := range errs {
			if err != nil && (i == 3 || telltale.CodeOf(err) != telltale.NotFound) {
				t.Fatal(err)
			}
		}
		if n := p.count(`SELECT count(*) FROM caught_request`); n != 0 {
			t.Fatalf("%d requests are left of a bin that is gone", n)
		}
	}
}

func TestOfTwoNodesThatChangeASourceOneIsRefused(t *testing.T) {
	p := newPair(t)
	source, err := p.a.CreateSource(t.Context(), telltale.NewSource(p.project.ID, "sendgrid", "Newsletters"))
	p.must(err)
	for range rounds {
		var changed [4]*telltale.Source
		winner := p.winner(p.race(4, func(s *Store, i int) (err error) {
			wanted := *source
			wanted.Name = fmt.Sprint("Name ", i)
			changed[i], err = s.UpdateSource(t.Context(), wanted)
			return err
		}), telltale.PreconditionFailed)
		source = changed[winner]
	}
	found, err := p.b.Source(t.Context(), p.project.ID, source.ID)
	p.must(err)
	if found.Name != source.Name || found.Version != source.Version {
		t.Fatalf("%q was stored last, and %q is read", source.Name, found.Name)
	}
}

func TestTalliesOfTwoNodesAddUpAndABodyIsKeptOnce(t *testing.T) {
	p := newPair(t)
	tallies := map[telltale.SourceID]telltale.SourceTally{}
	var ids []telltale.SourceID
	for range 5 {
		s, err := p.a.CreateSource(t.Context(), telltale.NewSource(p.project.ID, "sendgrid", "Newsletters"))
		p.must(err)
		ids = append(ids, s.ID)
		tallies[s.ID] = telltale.SourceTally{Requests: 1, Events: 10}
	}
	bodies := func(i int) []telltale.UnrecognisedRequest {
		requests := make([]telltale.UnrecognisedRequest, 10)
		for n := range requests {
			requests[n] = telltale.UnrecognisedRequest{ID: telltale.NewRequestID(), SourceID: ids[0], ProjectID: p.project.ID, ReceivedAt: p.clock.Now(), Body: fmt.Append(nil, n)}
		}
		if i%4 > 1 {
			slices.Reverse(requests)
		}
		return requests
	}
	for range rounds {
		for _, err := range p.race(8, func(s *Store, i int) error {
			if err := s.NoteSources(t.Context(), tallies); err != nil {
				return err
			}
			return s.KeepUnrecognised(t.Context(), bodies(i))
		}) {
			p.must(err)
		}
	}
	for _, id := range ids {
		s, err := p.b.Source(t.Context(), p.project.ID, id)
		p.must(err)
		if s.Tally.Requests != 8*rounds || s.Tally.Events != 80*rounds {
			t.Fatalf("the tally is %+v", s.Tally)
		}
	}
	if n, err := p.b.CountUnrecognised(t.Context(), p.project.ID, ids[0]); err != nil || n != 10 {
		t.Fatalf("%d bodies are kept: %v", n, err)
	}
}

func TestASourceThatIsDeletedWhileItKeepsLeavesNothing(t *testing.T) {
	p := newPair(t)
	for range rounds {
		source, err := p.a.CreateSource(t.Context(), telltale.NewSource(p.project.ID, "sendgrid", "Newsletters"))
		p.must(err)
		errs := p.race(12, func(s *Store, i int) error {
			if i == 3 {
				_, err := s.DeleteSource(t.Context(), p.project.ID, source.ID, 0)
				return err
			}
			return s.KeepUnrecognised(t.Context(), []telltale.UnrecognisedRequest{{ID: telltale.NewRequestID(), SourceID: source.ID, ProjectID: p.project.ID, Body: fmt.Append(nil, i)}})
		})
		for i, err := range errs {
			if err != nil && (i == 3 || telltale.CodeOf(err) != telltale.NotFound) {
				t.Fatal(err)
			}
		}
		if n := p.count(`SELECT count(*) FROM unrecognised_request`); n != 0 {
			t.Fatalf("%d requests are left of a source that is gone", n)
		}
	}
}

// A node that is alive is listed however many were started since.
func TestNodesThatAreAliveAreListedFirstOfAll(t *testing.T) {
	p := newPair(t, func(o *Options) { o.Role, o.Version = "worker", "1.2.3" })
	_, err := p.a.writers.Exec(context.Background(), `INSERT INTO node (id, role, version, host, started_at, lease_until, gone_at, config)
		SELECT 'nod_' || n, 'all', '', '', telltale_now(), 0, telltale_now(), 0 FROM generate_series(1, 60) n`)
	p.must(err)
	nodes, err := p.b.Nodes(t.Context())
	p.must(err)
	if len(nodes) != maxNodes {
		t.Fatalf("%d nodes are listed", len(nodes))
	}
	first, second := nodes[maxNodes-1], nodes[maxNodes-2]
	if !first.Alive || first.Role != telltale.NodeAll || !second.Alive || second.Role != telltale.NodeWorker || second.Version != "1.2.3" || second.Host == "" {
		t.Fatalf("the oldest that are listed are %+v and %+v", second, first)
	}
	p.advance(telltale.Lease + time.Second)
	nodes, err = p.b.Nodes(t.Context())
	p.must(err)
	for _, n := range nodes {
		if n.Alive {
			t.Fatalf("%+v is alive, with a lease that has ended", n)
		}
	}
}
