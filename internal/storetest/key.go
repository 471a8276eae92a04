package storetest

import (
	"time"

	"telltale.example/telltale"
)

func (w *world) newKey(project telltale.ProjectID, scope telltale.Scope) telltale.Key {
	w.Helper()
	k, _ := telltale.NewKey(project, "a key", scope)
	w.must(w.CreateKey(w.ctx, k))
	return k
}

var keyTests = []test{
	{"a key is found by its hash, also when it is revoked", func(w *world) {
		k := w.newKey(w.project.ID, telltale.ScopeManage)
		found, err := w.KeyByHash(w.ctx, k.Hash)
		w.must(err)
		w.equal("the key", found, k)
		revoked, err := w.RevokeKey(w.ctx, w.project.ID, k.ID)
		w.must(err)
		w.restart()
		found, err = w.KeyByHash(w.ctx, k.Hash)
		w.must(err)
		w.equal("the revoked key", found, revoked)
		if found.RevokedAt.IsZero() {
			w.Fatal("the key is not revoked")
		}
	}},
	{"a hash that no key has is not found", func(w *world) {
		_, err := w.KeyByHash(w.ctx, telltale.HashToken("tt_none"))
		w.code(telltale.NotFound, err)
	}},
	{"a project's keys and owner keys are listed apart, newest first", func(w *world) {
		other := w.newProject("other")
		owner := w.newKey("", telltale.ScopeOwner)
		w.newKey(other.ID, telltale.ScopeRead)
		first, second := w.newKey(w.project.ID, telltale.ScopeRead), w.newKey(w.project.ID, telltale.ScopeIngest)
		keys, err := w.Keys(w.ctx, w.project.ID, telltale.Page{Limit: 10})
		w.must(err)
		w.equal("the project's keys", keys, []telltale.Key{second, first})
		keys, err = w.Keys(w.ctx, "", telltale.Page{Limit: 10})
		w.must(err)
		w.equal("the owner keys", keys, []telltale.Key{owner})
	}},
	{"keys are paged", func(w *world) {
		for range 7 {
			w.newKey(w.project.ID, telltale.ScopeRead)
		}
		pages(w, func(p telltale.Page) ([]telltale.Key, error) { return w.Keys(w.ctx, w.project.ID, p) }, func(k telltale.Key) string { return string(k.ID) })
	}},
	{"revoking a second time changes nothing", func(w *world) {
		k := w.newKey(w.project.ID, telltale.ScopeRead)
		first, err := w.RevokeKey(w.ctx, w.project.ID, k.ID)
		w.must(err)
		w.Advance(time.Hour)
		second, err := w.RevokeKey(w.ctx, w.project.ID, k.ID)
		w.must(err)
		w.equal("the key", second, first)
	}},
	{"only its own project revokes a key", func(w *world) {
		other := w.newProject("other")
		k, owner := w.newKey(w.project.ID, telltale.ScopeRead), w.newKey("", telltale.ScopeOwner)
		_, err := w.RevokeKey(w.ctx, other.ID, k.ID)
		w.code(telltale.NotFound, err)
		_, err = w.RevokeKey(w.ctx, "", k.ID)
		w.code(telltale.NotFound, err)
		_, err = w.RevokeKey(w.ctx, w.project.ID, owner.ID)
		w.code(telltale.NotFound, err)
		_, err = w.RevokeKey(w.ctx, w.project.ID, telltale.NewKeyID())
		w.code(telltale.NotFound, err)
		revoked, err := w.RevokeKey(w.ctx, "", owner.ID)
		w.must(err)
		if revoked.RevokedAt.IsZero() {
			w.Fatal("the owner key is not revoked")
		}
	}},
	{"the use of a key is noted to the minute", func(w *world) {
		k, unused := w.newKey(w.project.ID, telltale.ScopeRead), w.newKey(w.project.ID, telltale.ScopeRead)
		w.Advance(90 * time.Second)
		w.must(w.TouchKeys(w.ctx, []telltale.KeyID{k.ID, telltale.NewKeyID()}))
		found, err := w.KeyByHash(w.ctx, k.Hash)
		w.must(err)
		if used := found.LastUsedAt; !used.Equal(used.Truncate(time.Minute)) || w.Now().Sub(used) > 2*time.Minute || used.After(w.Now()) {
			w.Fatalf("the key was used at %v, now it is %v", used, w.Now())
		}
		found, err = w.KeyByHash(w.ctx, unused.Hash)
		w.must(err)
		w.equal("the unused key", found, unused)
	}},
}
