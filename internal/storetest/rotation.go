package storetest

import (
	"strings"

	"telltale.example/telltale"
)

// with ends the node, as a crash would, and opens another with these keys.
func (w *world) with(keys ...string) {
	w.Helper()
	s, err := w.ReopenWith(w.T, w.Store, Sealer(keys))
	w.must(err)
	w.Store = s
}

// refused does so, and is refused with a sentence that has all the parts.
func (w *world) refused(keys Sealer, parts ...string) {
	w.Helper()
	s, err := w.ReopenWith(w.T, w.Store, keys)
	if err == nil {
		w.Store = s
		w.Fatalf("a node with the keys %q is let in", keys)
	}
	for _, part := range parts {
		if !strings.Contains(err.Error(), part) {
			w.Errorf("a node with the keys %q is refused with %q, without %q", keys, err, part)
		}
	}
}

// reseal seals a chunk anew.
func (w *world) reseal() telltale.Resealed {
	w.Helper()
	done, err := w.Reseal(w.ctx)
	w.must(err)
	return done
}

// resealAll seals all anew, and tells how many secrets that were.
func (w *world) resealAll() (n int) {
	w.Helper()
	for {
		done := w.reseal()
		n += done.Sealed
		if done.Left == 0 {
			return n
		}
	}
}

// secretWebhooks makes webhooks with three secrets each.
func (w *world) secretWebhooks(n int) (hooks []*telltale.Webhook) {
	w.Helper()
	for range n {
		hooks = append(hooks, w.newWebhook(everySetting))
	}
	return hooks
}

func (w *world) still(hooks []*telltale.Webhook, sources ...*telltale.Source) {
	w.Helper()
	for _, hook := range hooks {
		got, err := w.Webhook(w.ctx, hook.ProjectID, hook.ID)
		w.must(err)
		w.equal("the webhook", got, hook)
	}
	for _, source := range sources {
		w.equal("the source", w.source(source.ID), source)
	}
}

// rotated is what the audit log says of changes of the secret key, newest first.
func (w *world) rotated() (list []string) {
	w.Helper()
	for _, e := range w.audited("", telltale.AuditFilter{}) {
		if strings.HasPrefix(string(e.Action), "secret_key.") {
			list = append(list, string(e.Action)+" "+e.Changes[0].Before+" > "+e.Changes[0].After)
		}
	}
	return list
}

var rotationTests = []test{
	{"everything that is sealed is sealed anew, and opens with the new key alone", func(w *world) {
		hooks, source := w.secretWebhooks(2), w.newSource(everyOption)
		hooks = append(hooks, w.newWebhook())
		deleted := w.newWebhook(everySetting)
		w.with("new", "old")
		w.delete(deleted.ID) // and may be restored
		w.equal("secrets", w.resealAll(), 2*3+1+3+1)
		w.equal("more", w.reseal(), telltale.Resealed{Retired: []string{"old"}})
		w.with("new")
		w.still(hooks, source)
		restored := w.restore(deleted.ID)
		w.equal("what was deleted", []any{restored.Secrets, restored.Headers, restored.BasicAuth}, []any{deleted.Secrets, deleted.Headers, deleted.BasicAuth})
		w.equal("what is noted", w.rotated(), []string{"secret_key.retire old > new", "secret_key.rotate old > new"})
	}},
	{"sealing anew goes on behind whatever ended it, and a third time changes nothing", func(w *world) {
		hooks := w.secretWebhooks(85) // 255 secrets
		w.with("new", "old")
		w.Advance(1)
		first := w.reseal()
		w.equal("the first chunk", first, telltale.Resealed{Sealed: 100, Left: 155})
		w.with("new", "old")
		w.still(hooks)
		w.equal("the second chunk", w.reseal(), telltale.Resealed{Sealed: 100, Left: 55})
		w.refused(Sealer{"new"}, "put back", "the key old, which sealed 55 of them", "telltale rotate-keys")
		w.with("new", "old")
		w.equal("the third chunk", w.reseal(), telltale.Resealed{Sealed: 55, Retired: []string{"old"}})
		noted := w.rotated()
		w.equal("what is noted", noted, []string{"secret_key.retire old > new", "secret_key.rotate old > new"})
		w.with("new", "old")
		w.equal("one more", w.reseal(), telltale.Resealed{Retired: []string{"old"}})
		w.equal("what is noted", w.rotated(), noted)
		w.with("new")
		w.still(hooks)
	}},
	{"a key that is needed may not be missing", func(w *world) {
		source := w.newSource(everyOption)
		w.refused(Sealer{"other"}, "put back", "the key old, which sealed 1 of them")
		w.with("other", "old")
		w.newWebhook()
		w.refused(Sealer{"other"}, "the key old")
		w.refused(Sealer{"old"}, "the key other")
		w.with("old", "other")
		w.still(nil, source)
	}},
	{"a key that was retired seals nothing again", func(w *world) {
		hooks := w.secretWebhooks(40)
		w.with("new", "old")
		w.equal("left", w.reseal().Left, 20)
		for range 2 {
			w.refused(Sealer{"old", "new"}, "the secret key old is not in use any more", "put the key new above it")
			w.with("new", "old")
			w.resealAll()
		}
		w.with("newest", "new", "old")
		w.equal("secrets", w.resealAll(), 120)
		w.equal("retired", w.reseal().Retired, []string{"old", "new"})
		w.with("newest")
		w.still(hooks)
	}},
	{"the key of a store without secrets is changed, too", func(w *world) {
		w.equal("with the first key", w.reseal(), telltale.Resealed{})
		w.equal("what is noted", len(w.rotated()), 0)
		w.refused(Sealer{"new"}, "secret key")
		w.with("new", "old")
		w.equal("with another", w.reseal(), telltale.Resealed{Retired: []string{"old"}})
		w.equal("what is noted", w.rotated(), []string{"secret_key.retire old > new", "secret_key.rotate old > new"})
		w.with("new")
	}},
}
