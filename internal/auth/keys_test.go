package auth

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"telltale.example/telltale"
)

// memoryStore is a [Store] in memory that counts what it is asked.
type memoryStore struct {
	mu       sync.Mutex
	keys     map[[32]byte]telltale.Key
	projects []telltale.Project
	reads    int
	touched  [][]telltale.KeyID
	err      error // of all reads
	touchErr error
	asked    func() // called in the midst of KeyByHash
}

func (m *memoryStore) KeyByHash(_ context.Context, hash [32]byte) (telltale.Key, error) {
	m.mu.Lock()
	m.reads++
	key, ok := m.keys[hash]
	err, asked := m.err, m.asked
	m.mu.Unlock()
	if asked != nil {
		asked()
	}
	if err == nil && !ok {
		err = telltale.Errorf(telltale.NotFound, "There is no such key.")
	}
	return key, err
}

func (m *memoryStore) TouchKeys(_ context.Context, ids []telltale.KeyID) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	slices.Sort(ids)
	m.touched = append(m.touched, ids)
	for hash, key := range m.keys {
		if slices.Contains(ids, key.ID) {
			key.LastUsedAt = time.Now()
			m.keys[hash] = key
		}
	}
	return m.touchErr
}

func (m *memoryStore) Project(_ context.Context, id telltale.ProjectID) (telltale.Project, error) {
	return m.project(func(p telltale.Project) bool { return p.ID == id })
}

func (m *memoryStore) ProjectBySlug(_ context.Context, slug string) (telltale.Project, error) {
	return m.project(func(p telltale.Project) bool { return p.Slug == slug })
}

func (m *memoryStore) project(is func(telltale.Project) bool) (telltale.Project, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.reads++
	if m.err != nil {
		return telltale.Project{}, m.err
	}
	if i := slices.IndexFunc(m.projects, is); i >= 0 {
		return m.projects[i], nil
	}
	return telltale.Project{}, telltale.Errorf(telltale.NotFound, "There is no such project.")
}

func (m *memoryStore) add(project telltale.ProjectID, scope telltale.Scope) (telltale.Key, string) {
	key, token := telltale.NewKey(project, string(scope), scope)
	m.keys[key.Hash] = key
	return key, token
}

func (m *memoryStore) revoke(hash [32]byte) {
	m.mu.Lock()
	defer m.mu.Unlock()
	key := m.keys[hash]
	key.RevokedAt = time.Now()
	m.keys[hash] = key
}

func (m *memoryStore) countReads(of func()) int {
	m.mu.Lock()
	before := m.reads
	m.mu.Unlock()
	of()
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.reads - before
}

// fails makes reads and writes give the errors.
func (m *memoryStore) fails(read, touch error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.err, m.touchErr = read, touch
}

func newStore() *memoryStore {
	return &memoryStore{
		keys: map[[32]byte]telltale.Key{},
		projects: []telltale.Project{
			telltale.NewProject(telltale.DefaultProjectSlug, "Default"),
			telltale.NewProject("other", "Other"),
		},
	}
}

func newKeys(t testing.TB, store Store) *Keys {
	k := NewKeys(store, slog.New(slog.DiscardHandler))
	t.Cleanup(func() {
		if err := k.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return k
}

func with(token, target string) *http.Request {
	r := httptest.NewRequest("GET", target, nil)
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	return r
}

func TestAuthenticate(t *testing.T) {
	t.Parallel()
	store := newStore()
	def, other := store.projects[0], store.projects[1]
	owner, ownerToken := store.add("", telltale.ScopeOwner)
	manage, manageToken := store.add(other.ID, telltale.ScopeManage)
	_, ingestToken := store.add(def.ID, telltale.ScopeIngest)
	_, trackToken := store.add(def.ID, telltale.ScopeTrack)
	revoked, revokedToken := store.add(def.ID, telltale.ScopeManage)
	store.revoke(revoked.Hash)
	_, unknownToken := telltale.NewKey("", "", telltale.ScopeOwner)
	keys := newKeys(t, store)

	tests := []struct {
		name    string
		header  []string // Authorization
		target  string
		need    telltale.Scope
		key     telltale.KeyID
		project telltale.ProjectID
		code    telltale.Code
		says    string
	}{
		{name: "a project's key works on its project", header: []string{"Bearer " + manageToken}, need: telltale.ScopeManage, key: manage.ID, project: other.ID},
		{name: "it may name its project", header: []string{"Bearer " + manageToken}, target: "/?project=other", need: telltale.ScopeRead, key: manage.ID, project: other.ID},
		{name: "another project is not found", header: []string{"Bearer " + manageToken}, target: "/?project=default", need: telltale.ScopeRead, code: telltale.NotFound, says: `There is no project "default".`},
		{name: "and one that does not exist looks alike", header: []string{"Bearer " + manageToken}, target: "/?project=nowhere", need: telltale.ScopeRead, code: telltale.NotFound, says: `There is no project "nowhere".`},
		{name: "the scheme may be written in any case", header: []string{"bearer " + manageToken}, need: telltale.ScopeIngest, key: manage.ID, project: other.ID},
		{name: "other parameters do not matter", header: []string{"Bearer " + manageToken}, target: "/?limit=5&after=x", need: telltale.ScopeIngest, key: manage.ID, project: other.ID},

		{name: "an owner key without a project works on the default one", header: []string{"Bearer " + ownerToken}, need: telltale.ScopeIngest, key: owner.ID, project: def.ID},
		{name: "an owner key works on the project that is named", header: []string{"Bearer " + ownerToken}, target: "/?project=other", need: telltale.ScopeManage, key: owner.ID, project: other.ID},
		{name: "where an owner is needed, no project is none", header: []string{"Bearer " + ownerToken}, need: telltale.ScopeOwner, key: owner.ID},
		{name: "where an owner is needed, a named project is that", header: []string{"Bearer " + ownerToken}, target: "/?project=other", need: telltale.ScopeOwner, key: owner.ID, project: other.ID},
		{name: "an owner does not find what does not exist", header: []string{"Bearer " + ownerToken}, target: "/?project=nowhere", need: telltale.ScopeRead, code: telltale.NotFound, says: `"nowhere"`},
		{name: "nor an empty name", header: []string{"Bearer " + ownerToken}, target: "/?project=", need: telltale.ScopeRead, code: telltale.NotFound, says: `There is no project "".`},
		{name: "nor a name too long", header: []string{"Bearer " + ownerToken}, target: "/?project=" + strings.Repeat("a", 500), need: telltale.ScopeRead, code: telltale.NotFound, says: "…"},
		{name: "two projects are no project", header: []string{"Bearer " + ownerToken}, target: "/?project=default&project=other", need: telltale.ScopeRead, code: telltale.Malformed, says: "more than one project"},
		{name: "a query that cannot be read does not mean the default project", header: []string{"Bearer " + ownerToken}, target: "/?project=%zz", need: telltale.ScopeRead, code: telltale.Malformed, says: "query"},
		{name: "an owner key is not for browsers", header: []string{"Bearer " + ownerToken}, need: telltale.ScopeTrack, code: telltale.Forbidden, says: "needs track"},

		{name: "a scope that does not reach is told which would", header: []string{"Bearer " + ingestToken}, need: telltale.ScopeRead, code: telltale.Forbidden, says: "The key has the scope ingest. This needs read or manage or owner."},
		{name: "a track key does nothing else", header: []string{"Bearer " + trackToken}, need: telltale.ScopeIngest, code: telltale.Forbidden, says: "scope track"},
		{name: "a project's key is no owner", header: []string{"Bearer " + manageToken}, need: telltale.ScopeOwner, code: telltale.Forbidden, says: "needs owner"},
		{name: "the scope comes before the project", header: []string{"Bearer " + ingestToken}, target: "/?project=nowhere", need: telltale.ScopeManage, code: telltale.Forbidden},

		{name: "no key", need: telltale.ScopeRead, code: telltale.Unauthenticated, says: "Send the header Authorization: Bearer tt_"},
		{name: "an unknown key", header: []string{"Bearer " + unknownToken}, need: telltale.ScopeRead, code: telltale.Unauthenticated, says: "no such key"},
		{name: "a revoked key", header: []string{"Bearer " + revokedToken}, need: telltale.ScopeRead, code: telltale.Unauthenticated, says: string(revoked.ID) + " was revoked"},
		{name: "another scheme", header: []string{"Basic dXNlcjpwYXNz"}, need: telltale.ScopeRead, code: telltale.Unauthenticated, says: "does not begin with Bearer"},
		{name: "a token without a scheme", header: []string{manageToken}, need: telltale.ScopeRead, code: telltale.Unauthenticated, says: "does not begin with Bearer"},
		{name: "a scheme without a token", header: []string{"Bearer"}, need: telltale.ScopeRead, code: telltale.Unauthenticated, says: "no key of Telltale's"},
		{name: "an empty header", header: []string{""}, need: telltale.ScopeRead, code: telltale.Unauthenticated, says: "does not begin with Bearer"},
		{name: "somebody else's token", header: []string{"Bearer sk_live_51H8"}, need: telltale.ScopeRead, code: telltale.Unauthenticated, says: "no key of Telltale's"},
		{name: "a token cut short", header: []string{"Bearer " + manageToken[:40]}, need: telltale.ScopeRead, code: telltale.Unauthenticated, says: "no key of Telltale's"},
		{name: "an endless token", header: []string{"Bearer tt_" + strings.Repeat("a", 30<<10)}, need: telltale.ScopeRead, code: telltale.Unauthenticated, says: "no key of Telltale's"},
		{name: "a token with other characters", header: []string{"Bearer tt_" + strings.Repeat("'", 43)}, need: telltale.ScopeRead, code: telltale.Unauthenticated, says: "no key of Telltale's"},
		{name: "two keys", header: []string{"Bearer " + manageToken, "Bearer " + ownerToken}, need: telltale.ScopeRead, code: telltale.Unauthenticated, says: "more than one"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			target := test.target
			if target == "" {
				target = "/v1/webhooks"
			}
			r := httptest.NewRequest("GET", target, nil)
			r.Header["Authorization"] = test.header
			for range 2 { // from the store, then from memory
				id, err := keys.Authenticate(r, test.need)
				if telltale.CodeOf(err) != test.code || err != nil && !strings.Contains(err.Error(), test.says) {
					t.Fatalf("got the error %v, want %s with %q", err, test.code, test.says)
				}
				if id.Key.ID != test.key || id.Project.ID != test.project {
					t.Errorf("got key %q and project %q, want %q and %q", id.Key.ID, id.Project.ID, test.key, test.project)
				}
				if err != nil && len(test.header) > 0 && len(test.header[0]) > 20 && strings.Contains(err.Error(), test.header[0][10:]) {
					t.Errorf("the error repeats the token: %v", err)
				}
			}
		})
	}
}

func TestAStoreThatCannotBeAskedLetsNobodyIn(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		err  error
		code telltale.Code
	}{
		{"busy", telltale.Errorf(telltale.Unavailable, "Busy."), telltale.Unavailable},
		{"broken", errors.New("disk I/O error"), telltale.Internal},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			store := newStore()
			_, token := store.add("", telltale.ScopeOwner)
			keys := newKeys(t, store)
			store.fails(test.err, nil)
			if _, err := keys.Authenticate(with(token, "/"), telltale.ScopeRead); telltale.CodeOf(err) != test.code || !errors.Is(err, test.err) {
				t.Errorf("got %v", err)
			}
			store.fails(nil, nil)
			if _, err := keys.Authenticate(with(token, "/"), telltale.ScopeOwner); err != nil { // the key is known now
				t.Fatal(err)
			}
			store.fails(test.err, nil)
			if _, err := keys.Authenticate(with(token, "/?project=other"), telltale.ScopeRead); telltale.CodeOf(err) != test.code {
				t.Errorf("with the project unknown: %v", err)
			}
		})
	}
}

// A store with a wrong index must not let anyone in.
func TestAKeyOfAnotherHashLetsNobodyIn(t *testing.T) {
	t.Parallel()
	store := newStore()
	key, _ := store.add("", telltale.ScopeOwner)
	_, token := telltale.NewKey("", "", telltale.ScopeOwner)
	store.keys[telltale.HashToken(token)] = key
	if id, err := newKeys(t, store).Authenticate(with(token, "/"), telltale.ScopeRead); telltale.CodeOf(err) != telltale.Internal || id.Key.ID != "" {
		t.Errorf("got %v, %v", id, err)
	}
}

func TestABusyKeyIsNotLookedUpForEveryRequest(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := newStore()
		_, token := store.add(store.projects[0].ID, telltale.ScopeIngest)
		keys := newKeys(t, store)
		reads := store.countReads(func() {
			for range 1000 {
				if _, err := keys.Authenticate(with(token, "/"), telltale.ScopeIngest); err != nil {
					t.Fatal(err)
				}
			}
		})
		if reads != 2 {
			t.Errorf("%d reads for 1000 requests, want one of the key and one of the project", reads)
		}
	})
}

func TestARevocationIsEffective(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name  string
		after func(*Keys, telltale.Key)
	}{
		{"at once on this node", func(k *Keys, key telltale.Key) { k.Forget(key.Hash) }},
		{"within seconds on the others", func(*Keys, telltale.Key) { <-time.After(memory) }},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				store := newStore()
				key, token := store.add("", telltale.ScopeOwner)
				keys := newKeys(t, store)
				if _, err := keys.Authenticate(with(token, "/"), telltale.ScopeRead); err != nil {
					t.Fatal(err)
				}
				store.revoke(key.Hash)
				test.after(keys, key)
				if _, err := keys.Authenticate(with(token, "/"), telltale.ScopeRead); telltale.CodeOf(err) != telltale.Unauthenticated {
					t.Errorf("the key still works: %v", err)
				}
			})
		})
	}
}

func TestARevocationWinsOverALookUpThatIsUnderWay(t *testing.T) {
	t.Parallel()
	store := newStore()
	key, token := store.add("", telltale.ScopeOwner)
	keys := newKeys(t, store)
	store.asked = func() { // the store has answered, and the answer is on its way
		store.asked = nil
		store.revoke(key.Hash)
		keys.Forget(key.Hash)
	}
	if _, err := keys.Authenticate(with(token, "/"), telltale.ScopeRead); err != nil {
		t.Fatalf("the request that came before the revocation: %v", err)
	}
	if _, err := keys.Authenticate(with(token, "/"), telltale.ScopeRead); telltale.CodeOf(err) != telltale.Unauthenticated {
		t.Errorf("the request after it: %v", err)
	}
}

func TestAuthenticateToken(t *testing.T) {
	t.Parallel()
	store := newStore()
	def, other := store.projects[0], store.projects[1]
	track, trackToken := store.add(other.ID, telltale.ScopeTrack)
	ingest, ingestToken := store.add(def.ID, telltale.ScopeIngest)
	manage, manageToken := store.add(def.ID, telltale.ScopeManage)
	_, readToken := store.add(def.ID, telltale.ScopeRead)
	_, ownerToken := store.add("", telltale.ScopeOwner)
	revoked, revokedToken := store.add(def.ID, telltale.ScopeTrack)
	store.revoke(revoked.Hash)
	keys := newKeys(t, store)
	for _, tt := range []struct {
		name    string
		token   string
		need    telltale.Scope
		key     telltale.KeyID
		project telltale.ProjectID
		code    telltale.Code
		says    string
	}{
		{name: "a track key works on its project", token: trackToken, need: telltale.ScopeTrack, key: track.ID, project: other.ID},
		{name: "an ingest key may track", token: ingestToken, need: telltale.ScopeTrack, key: ingest.ID, project: def.ID},
		{name: "a manage key may track", token: manageToken, need: telltale.ScopeTrack, key: manage.ID, project: def.ID},
		{name: "a read key may not", token: readToken, need: telltale.ScopeTrack, code: telltale.Forbidden, says: "The key has the scope read. This needs track or ingest or manage."},
		{name: "an owner key may not", token: ownerToken, need: telltale.ScopeTrack, code: telltale.Forbidden, says: "The key has the scope owner."},
		{name: "and belongs to no project where it may", token: ownerToken, need: telltale.ScopeIngest, code: telltale.Forbidden, says: "belongs to no project"},
		{name: "a revoked key", token: revokedToken, need: telltale.ScopeTrack, code: telltale.Unauthenticated, says: "was revoked"},
		{name: "what is no key of ours", token: "c2VjcmV0OmtleQ==", need: telltale.ScopeTrack, code: telltale.Unauthenticated, says: "no key of Telltale's"},
		{name: "nothing", need: telltale.ScopeTrack, code: telltale.Unauthenticated, says: "no key of Telltale's"},
	} {
		id, err := keys.AuthenticateToken(t.Context(), tt.token, tt.need)
		if telltale.CodeOf(err) != tt.code || tt.says != "" && !strings.Contains(err.Error(), tt.says) {
			t.Errorf("%s: %v", tt.name, err)
		}
		if id.Key.ID != tt.key || id.Project.ID != tt.project {
			t.Errorf("%s: the key %s of %s", tt.name, id.Key.ID, id.Project.ID)
		}
		if tt.token != "" && err != nil && strings.Contains(err.Error(), tt.token) {
			t.Errorf("%s: the token is repeated", tt.name)
		}
	}
}

func TestAChangedProjectIsSeen(t *testing.T) {
	t.Parallel()
	store := newStore()
	_, ownerToken := store.add("", telltale.ScopeOwner)
	_, ingestToken := store.add(store.projects[0].ID, telltale.ScopeIngest)
	keys := newKeys(t, store)
	for _, rate := range []float64{0, 7} {
		store.projects[0].IngestRate = rate
		keys.ForgetProjects()
		for _, token := range []string{ownerToken, ingestToken} {
			id, err := keys.Authenticate(with(token, "/"), telltale.ScopeIngest)
			if err != nil || id.Project.IngestRate != rate {
				t.Errorf("rate %v, %v, want %v", id.Project.IngestRate, err, rate)
			}
		}
	}
}

func TestUsesAreNotedOnceAMinuteAndTogether(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := newStore()
		a, tokenA := store.add("", telltale.ScopeOwner)
		b, tokenB := store.add(store.projects[0].ID, telltale.ScopeIngest)
		_, refused := store.add(store.projects[0].ID, telltale.ScopeTrack)
		keys := newKeys(t, store)
		both := []telltale.KeyID{a.ID, b.ID}

		// A request a second for a minute of the clock, in which keys are
		// looked up again and again.
		for range 60 {
			for _, token := range []string{tokenA, tokenB} {
				if _, err := keys.Authenticate(with(token, "/"), telltale.ScopeIngest); err != nil {
					t.Fatal(err)
				}
			}
			if _, err := keys.Authenticate(with(refused, "/"), telltale.ScopeIngest); err == nil {
				t.Fatal("a track key posted an event")
			}
			<-time.After(time.Second)
		}
		synctest.Wait()
		if diff := cmp.Diff([][]telltale.KeyID{both}, store.touched); diff != "" {
			t.Errorf("in the first minute, -want +got:\n%s", diff)
		}

		keys.Authenticate(with(tokenA, "/"), telltale.ScopeIngest)
		if err := keys.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([][]telltale.KeyID{both, {a.ID}}, store.touched); diff != "" {
			t.Errorf("after Close, -want +got:\n%s", diff)
		}
	})
}

func TestUsesThatCannotBeWrittenStopNobody(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := newStore()
		_, token := store.add("", telltale.ScopeOwner)
		var warnings strings.Builder
		keys := NewKeys(store, slog.New(slog.NewTextHandler(&warnings, nil)))
		if _, err := keys.Authenticate(with(token, "/"), telltale.ScopeRead); err != nil {
			t.Fatal(err)
		}
		store.fails(nil, errors.New("disk full"))
		<-time.After(usesInterval)
		synctest.Wait()
		if _, err := keys.Authenticate(with(token, "/"), telltale.ScopeOwner); err != nil {
			t.Errorf("the key no longer works: %v", err)
		}
		if err := keys.Close(t.Context()); err != nil {
			t.Errorf("nothing is left to write, but Close says %v", err)
		}
		if n := strings.Count(warnings.String(), "disk full"); n != 1 {
			t.Errorf("%d warnings: %s", n, warnings.String())
		}
	})
}

func TestCloseSaysWhatItCouldNotWrite(t *testing.T) {
	t.Parallel()
	store := newStore()
	_, token := store.add("", telltale.ScopeOwner)
	keys := NewKeys(store, slog.New(slog.DiscardHandler))
	if _, err := keys.Authenticate(with(token, "/"), telltale.ScopeRead); err != nil {
		t.Fatal(err)
	}
	full := errors.New("disk full")
	store.fails(nil, full)
	if err := keys.Close(t.Context()); !errors.Is(err, full) {
		t.Errorf("Close: %v", err)
	}
}

func FuzzBearer(f *testing.F) {
	_, token := telltale.NewKey("", "", telltale.ScopeOwner)
	f.Add("Bearer " + token)
	f.Add("bearer  " + token + " ")
	f.Add("Basic dXNlcjpwYXNz")
	f.Add("Bearer tt_")
	f.Fuzz(func(t *testing.T, header string) {
		r := &http.Request{Header: http.Header{"Authorization": {header}}}
		token, err := bearer(r)
		if err != nil {
			if telltale.CodeOf(err) != telltale.Unauthenticated {
				t.Errorf("%q: %v", header, err)
			}
			return
		}
		if len(token) != tokenLength || !strings.HasPrefix(token, "tt_") || !strings.Contains(header, token) {
			t.Errorf("%q gives the token %q", header, token)
		}
	})
}

func BenchmarkAuthenticate(b *testing.B) {
	store := newStore()
	_, token := store.add(store.projects[0].ID, telltale.ScopeIngest)
	keys := newKeys(b, store)
	r := with(token, "/v1/events")
	b.ReportAllocs()
	for b.Loop() {
		if _, err := keys.Authenticate(r, telltale.ScopeIngest); err != nil {
			b.Fatal(err)
		}
	}
}
