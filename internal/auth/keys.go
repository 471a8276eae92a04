package auth

import (
	"context"
	"crypto/subtle"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"sync/atomic"
	"time"

	"telltale.example/telltale"
)

// Store is what we ask of storage: parts of [telltale.KeyStore] and
// [telltale.ProjectStore].
type Store interface {
	KeyByHash(ctx context.Context, hash [32]byte) (telltale.Key, error)
	TouchKeys(ctx context.Context, ids []telltale.KeyID) error
	Project(ctx context.Context, id telltale.ProjectID) (telltale.Project, error)
	ProjectBySlug(ctx context.Context, slug string) (telltale.Project, error)
}

// Identity is who makes a request, and on which project. The project is zero
// only where an owner key does what concerns no project.
type Identity struct {
	Key     telltale.Key
	Project telltale.Project
}

// Actor is the key as the audit log has it.
func (id Identity) Actor(r *http.Request) telltale.Actor {
	return telltale.Actor{Kind: telltale.ActorKey, ID: string(id.Key.ID), Name: id.Key.Name, RemoteAddr: address(r)}
}

// Keys authenticates requests by their API key. Make one with [NewKeys].
type Keys struct {
	store  Store
	keys   *cache[[32]byte, *knownKey]
	byID   *cache[telltale.ProjectID, telltale.Project]
	bySlug *cache[string, telltale.Project]
	uses   *uses
}

const (
	// memory is how long a key or project is believed without asking the store. It
	// is much less than a node's lease: one that was asleep when a key was revoked
	// does not know it any more.
	memory = 5 * time.Second
	// memorySize bounds what is remembered of each kind, twice.
	memorySize = 10_000
	// maxSlug is the length of the longest slug; a longer one names no project.
	maxSlug = 40
)

// knownKey is a key as the store gave it, and when we last noted its use.
type knownKey struct {
	telltale.Key
	usedMinute atomic.Int64 // Unix minutes
}

// NewKeys begins to note the keys' uses in the background, until
// [Keys.Close]. log takes what goes wrong there.
func NewKeys(store Store, log *slog.Logger) *Keys {
	return &Keys{
		store:  store,
		keys:   newCache[[32]byte, *knownKey](memory, memorySize),
		byID:   newCache[telltale.ProjectID, telltale.Project](memory, memorySize),
		bySlug: newCache[string, telltale.Project](memory, memorySize),
		uses:   startUses(store, log),
	}
}

// Authenticate finds out who makes the request and whether they may do what
// needs the scope. It gives
//   - Unauthenticated without a key that works,
//   - Forbidden if the key's scope does not reach,
//   - NotFound for a project that does not exist or is not the key's: the two
//     look alike,
//   - Malformed for a query that cannot be read or names two projects,
//   - Unavailable, and whatever else the store gives, if it cannot be asked.
//
// A project's key works on its project, and may name it with ?project=slug. An
// owner key works on the project that ?project= names. Without it that is the
// project "default", so that the first request of a new installation needs no
// more than the key; but where need is [telltale.ScopeOwner] it is none.
func (k *Keys) Authenticate(r *http.Request, need telltale.Scope) (Identity, error) {
	token, err := bearer(r)
	if err != nil {
		return Identity{}, err
	}
	key, err := k.allowed(r.Context(), token, need)
	if err != nil {
		return Identity{}, err
	}
	slug, named, err := projectNamed(r)
	if err != nil {
		return Identity{}, err
	}
	id := Identity{Key: key.Key}
	switch {
	case key.Scope == telltale.ScopeOwner && need == telltale.ScopeOwner && !named:
	case key.Scope == telltale.ScopeOwner:
		id.Project, err = k.projectBySlug(r.Context(), slug)
	default:
		id.Project, err = k.project(r.Context(), key.ProjectID)
		if err == nil && named && slug != id.Project.Slug {
			err = noProject(slug)
		}
	}
	if err != nil {
		return Identity{}, err
	}
	k.used(key)
	return id, nil
}

// AuthenticateToken finds out whose key the token is, which came in where its
// protocol has it, and whether they may do what needs the scope. The project is
// the key's own, so that owner keys are Forbidden. Errors are as those of
// [Keys.Authenticate].
func (k *Keys) AuthenticateToken(ctx context.Context, token string, need telltale.Scope) (Identity, error) {
	if !wellFormed(token) {
		return Identity{}, errNoToken
	}
	key, err := k.allowed(ctx, token, need)
	if err != nil {
		return Identity{}, err
	}
	if key.Scope == telltale.ScopeOwner {
		return Identity{}, telltale.Errorf(telltale.Forbidden, "An owner key belongs to no project. Make a key of the project.")
	}
	project, err := k.project(ctx, key.ProjectID)
	if err != nil {
		return Identity{}, err
	}
	k.used(key)
	return Identity{Key: key.Key, Project: project}, nil
}

// allowed finds the key of a token, if it may do what needs the scope.
func (k *Keys) allowed(ctx context.Context, token string, need telltale.Scope) (*knownKey, error) {
	key, err := k.key(ctx, telltale.HashToken(token))
	if err != nil {
		return nil, err
	}
	if !key.Scope.Allows(need) {
		return nil, telltale.Errorf(telltale.Forbidden, "The key has the scope %s. This needs %s.", key.Scope, reaching(need))
	}
	return key, nil
}

// reaching names the scopes that would do, for a person to choose from.
func reaching(need telltale.Scope) string {
	var text string
	for _, s := range telltale.Scopes() {
		if s.Allows(need) {
			if text != "" {
				text += " or "
			}
			text += string(s)
		}
	}
	return text
}

// key finds the key of a token's hash. The hash is of 256 random bits, so what
// the time of a look-up tells about it is of no use to anyone.
func (k *Keys) key(ctx context.Context, hash [32]byte) (*knownKey, error) {
	known, ok, generation := k.keys.get(hash)
	if ok {
		return known, nil
	}
	key, err := k.store.KeyByHash(ctx, hash)
	switch {
	case telltale.CodeOf(err) == telltale.NotFound:
		return nil, telltale.Errorf(telltale.Unauthenticated, "There is no such key.")
	case err != nil:
		return nil, fmt.Errorf("auth: finding a key: %w", err)
	case subtle.ConstantTimeCompare(key.Hash[:], hash[:]) != 1:
		// A store that gives the wrong row must not let anyone in.
		return nil, fmt.Errorf("auth: the store gave the key %s for the hash of another", key.ID)
	case !key.RevokedAt.IsZero():
		return nil, telltale.Errorf(telltale.Unauthenticated, "The key %s was revoked.", key.ID)
	}
	known = &knownKey{Key: key}
	known.usedMinute.Store(minute(key.LastUsedAt))
	k.keys.put(hash, known, generation)
	return known, nil
}

// projectNamed is the slug that the query names, or the default project's.
func projectNamed(r *http.Request) (slug string, named bool, err error) {
	if r.URL.RawQuery == "" {
		return telltale.DefaultProjectSlug, false, nil
	}
	// Not r.URL.Query, which leaves out what it cannot read: a request must
	// not end up in the default project because of a slip in its query.
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return "", false, &telltale.Error{Code: telltale.Malformed, Message: "The query cannot be read.", Cause: err}
	}
	switch slugs := query["project"]; len(slugs) {
	case 0:
		return telltale.DefaultProjectSlug, false, nil
	case 1:
		return slugs[0], true, nil
	}
	return "", false, &telltale.Error{Code: telltale.Malformed, Message: "The query names more than one project.", Faults: []telltale.Fault{
		{Location: "query.project", Message: "The parameter is there more than once.", Expected: "one slug"},
	}}
}

func (k *Keys) projectBySlug(ctx context.Context, slug string) (telltale.Project, error) {
	if slug == "" || len(slug) > maxSlug {
		return telltale.Project{}, noProject(slug)
	}
	project, ok, generation := k.bySlug.get(slug)
	if ok {
		return project, nil
	}
	project, err := k.store.ProjectBySlug(ctx, slug)
	switch {
	case telltale.CodeOf(err) == telltale.NotFound:
		return telltale.Project{}, noProject(slug)
	case err != nil:
		return telltale.Project{}, fmt.Errorf("auth: finding the project %q: %w", slug, err)
	}
	k.bySlug.put(slug, project, generation)
	return project, nil
}

// project finds the project that a key belongs to.
func (k *Keys) project(ctx context.Context, id telltale.ProjectID) (telltale.Project, error) {
	project, ok, generation := k.byID.get(id)
	if ok {
		return project, nil
	}
	project, err := k.store.Project(ctx, id)
	if err != nil {
		return telltale.Project{}, fmt.Errorf("auth: finding the project %s of a key: %w", id, err)
	}
	k.byID.put(id, project, generation)
	return project, nil
}

func noProject(slug string) error {
	return telltale.Errorf(telltale.NotFound, "There is no project %q.", telltale.CutValue(slug))
}

// used notes that the key was used, once in every minute of the clock.
func (k *Keys) used(key *knownKey) {
	now, last := minute(time.Now()), key.usedMinute.Load()
	if now > last && key.usedMinute.CompareAndSwap(last, now) {
		k.uses.note(key.ID)
	}
}

func minute(t time.Time) int64 { return t.Unix() / 60 }

// Forget makes a revocation effective: when it returns, the key with that hash
// is looked up again.
func (k *Keys) Forget(hash [32]byte) { k.keys.forget(hash) }

// ForgetProjects makes a change of a project effective at once.
func (k *Keys) ForgetProjects() {
	k.byID.clear()
	k.bySlug.clear()
}

// ForgetAll has everything looked up again, since another node changed it.
func (k *Keys) ForgetAll() {
	k.keys.clear()
	k.ForgetProjects()
}

// Close writes the uses that are not yet written and ends the background.
func (k *Keys) Close(ctx context.Context) error { return k.uses.stop(ctx) }
