package sqlite

import (
	"cmp"
	"slices"
	"sync"
	"sync/atomic"

	"telltale.example/telltale"
	"telltale.example/telltale/internal/stored"
)

// registry holds all projects and webhooks in memory, as they were committed
// last. Only the writer changes it; everyone reads it.
type registry struct {
	mu        sync.RWMutex
	projects  map[telltale.ProjectID]*project
	slugs     map[string]*project
	webhooks  map[telltale.WebhookID]*webhook // deleted ones too
	byNumber  map[int64]*webhook              // likewise
	made      []*webhook                      // likewise, by number
	bySlug    []*project                      // sorted
	byProject map[int64]*project              // by number
}

// project is a row of the table project.
type project struct {
	number int64
	now    atomic.Pointer[projectState]

	webhooks []*webhook // not deleted, by id; under registry.mu
	// wants has, for each type of event, the enabled webhooks that want it,
	// those that skip machines among them.
	// Only the writer looks at it, at each event.
	wants [][]*webhook
	// ownGoals are the goals that messages brought with them, by their compared
	// names, at most [maxOwnGoals]. Only the writer has them.
	ownGoals map[string]struct{}
}

// projectState is one version of a project; it never changes.
type projectState struct {
	telltale.Project
	goals *goals
}

// webhook is a row of the table webhook.
type webhook struct {
	number  int64
	id      telltale.WebhookID
	project *project
	now     atomic.Pointer[webhookState]

	standing standing // up to the last attempt that was committed; only the writer has it
}

// webhookState is one version of a webhook; it never changes.
type webhookState struct {
	*telltale.Webhook
	epoch     int64
	enabledAt int64 // ms; what was held is due since then
	deletedAt int64 // ms; 0 if it is not
}

func newRegistry() *registry {
	return &registry{
		projects: map[telltale.ProjectID]*project{}, slugs: map[string]*project{}, byProject: map[int64]*project{},
		webhooks: map[telltale.WebhookID]*webhook{}, byNumber: map[int64]*webhook{},
	}
}

func (r *registry) project(id telltale.ProjectID) *project {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.projects[id]
}

func (r *registry) projectBySlug(slug string) *project {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.slugs[slug]
}

func (r *registry) projectByNumber(number int64) *project {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.byProject[number]
}

func (r *registry) webhook(id telltale.WebhookID) *webhook {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.webhooks[id]
}

func (r *registry) webhookByNumber(number int64) *webhook {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.byNumber[number]
}

// allProjects gives all projects by slug.
func (r *registry) allProjects() []*project {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return slices.Clone(r.bySlug)
}

// liveWebhooks gives the project's webhooks that are not deleted, by id.
func (r *registry) liveWebhooks(p *project) []*webhook {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return slices.Clone(p.webhooks)
}

// allWebhooks gives every webhook by number. The list is only ever appended
// to, and not to be changed.
func (r *registry) allWebhooks() []*webhook {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.made
}

// apply shows everyone what the transaction changed.
func (r *registry) apply(tx *tx) {
	if len(tx.projects) == 0 && len(tx.changed) == 0 {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for p, state := range tx.projects {
		p.now.Store(state)
	}
	for _, p := range tx.founded {
		r.addProject(p)
	}
	for _, w := range tx.created {
		r.addWebhook(w)
	}
	for w, state := range tx.changed {
		r.show(w, state)
	}
}

func (r *registry) addProject(p *project) {
	state := p.now.Load()
	r.projects[state.ID], r.slugs[state.Slug], r.byProject[p.number] = p, p, p
	at, _ := slices.BinarySearchFunc(r.bySlug, state.Slug, func(p *project, slug string) int { return cmp.Compare(p.now.Load().Slug, slug) })
	r.bySlug = slices.Insert(r.bySlug, at, p)
	p.wants = make([][]*webhook, len(stored.EventTypes))
}

// addWebhook adds a webhook whose number is the highest.
func (r *registry) addWebhook(w *webhook) {
	r.webhooks[w.id], r.byNumber[w.number] = w, w
	r.made = append(r.made, w)
}

// show replaces what is known of a webhook.
func (r *registry) show(w *webhook, state *webhookState) {
	before := w.now.Swap(state)
	if before != nil && before.wantsLike(state) {
		return
	}
	p := w.project
	at, listed := slices.BinarySearchFunc(p.webhooks, w.id, func(w *webhook, id telltale.WebhookID) int { return cmp.Compare(w.id, id) })
	switch {
	case state.Deleted && listed:
		p.webhooks = slices.Delete(p.webhooks, at, at+1)
	case !state.Deleted && !listed:
		p.webhooks = slices.Insert(p.webhooks, at, w)
	}
	for i, t := range stored.EventTypes {
		had, has := before != nil && before.Wants(t, false), state.Wants(t, false)
		switch {
		case has && !had:
			p.wants[i] = append(p.wants[i], w)
		case had && !has:
			p.wants[i] = slices.DeleteFunc(p.wants[i], func(other *webhook) bool { return other == w })
		}
	}
}

// project gives the project as this transaction sees it, or nil.
func (tx *tx) project(id telltale.ProjectID) *project {
	if p := tx.store.known.project(id); p != nil {
		return p
	}
	for _, p := range tx.founded {
		if tx.projects[p].ID == id {
			return p
		}
	}
	return nil
}

// webhook gives the webhook as this transaction sees it, or nil.
func (tx *tx) webhook(id telltale.WebhookID) *webhook {
	if w := tx.store.known.webhook(id); w != nil {
		return w
	}
	for _, w := range tx.created {
		if w.id == id {
			return w
		}
	}
	return nil
}

// projectState gives the project's present version within this transaction.
func (tx *tx) projectState(p *project) *projectState {
	if state, ok := tx.projects[p]; ok {
		return state
	}
	return p.now.Load()
}

// webhookByNumber gives the webhook that a row names.
func (tx *tx) webhookByNumber(number int64) *webhook {
	if w := tx.store.known.webhookByNumber(number); w != nil {
		return w
	}
	for _, w := range tx.created {
		if w.number == number {
			return w
		}
	}
	return nil
}

// state gives the webhook's present version within this transaction.
func (tx *tx) state(w *webhook) *webhookState {
	if state, ok := tx.changed[w]; ok {
		return state
	}
	return w.now.Load()
}

// setState replaces the webhook's version, for all to see after the commit.
func (tx *tx) setState(w *webhook, state *webhookState) {
	if before := tx.state(w); before == nil || !before.wantsLike(state) {
		tx.rewired = true
	}
	if tx.changed == nil {
		tx.changed = map[*webhook]*webhookState{}
	}
	tx.changed[w] = state
}

// wantsLike reports whether two versions of a webhook want the same events.
func (s *webhookState) wantsLike(o *webhookState) bool {
	return s.Enabled == o.Enabled && s.Deleted == o.Deleted && s.Events == o.Events
}

// wanting gives the webhooks that want an event of the type with that code.
func (tx *tx) wanting(p *project, code int64) []*webhook {
	if !tx.rewired && len(tx.founded) == 0 {
		return p.wants[code]
	}
	var wanting []*webhook
	t := stored.EventTypes[code]
	if p.wants != nil {
		for _, w := range p.wants[code] {
			if tx.state(w).Wants(t, false) {
				wanting = append(wanting, w)
			}
		}
	}
	for w, state := range tx.changed {
		if before := w.now.Load(); w.project == p && state.Wants(t, false) && (before == nil || !before.Wants(t, false)) {
			wanting = append(wanting, w)
		}
	}
	return wanting
}
