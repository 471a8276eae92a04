package postgres

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"sync/atomic"
	"time"

	"telltale.example/telltale"
	"telltale.example/telltale/internal/stored"
)

// registry is the configuration, all projects with their goals and all webhooks,
// as it was in one version. It never changes, but for the standings that its
// webhooks are shown with: a change makes another registry, which shares with
// this one whatever did not change.
//
// Whoever begins a transaction compares the version, and reads what changed since
// (see [tx.begin]), so that a transaction never works by what was changed before
// it began.
type registry struct {
	version   int64
	projects  map[telltale.ProjectID]*project
	slugs     map[string]*project
	byNumber  map[int64]*project
	bySlug    []*project // sorted
	webhooks  map[telltale.WebhookID]*webhook
	hooks     map[int64]*webhook // by number, deleted ones too
	allByNumb []*webhook         // likewise, sorted by number
}

// project is one version of a row of the table project.
type project struct {
	number int64
	telltale.Project
	goals goals

	live  []*webhook   // not deleted, by id
	wants [][]*webhook // for each type of event, the enabled webhooks that want it, those that skip machines among them
}

// webhook is one version of a row of the table webhook.
type webhook struct {
	number    int64
	project   int64
	epoch     int64
	enabledAt int64 // ms; what was held is due since then
	deletedAt int64 // ms; 0 if it is not
	shown     atomic.Pointer[telltale.Webhook]
}

// now gives the webhook with the newest standing that the node knows of.
func (w *webhook) now() *telltale.Webhook { return w.shown.Load() }

func (r *registry) project(id telltale.ProjectID) *project { return r.projects[id] }

func (r *registry) webhook(id telltale.WebhookID) *webhook { return r.webhooks[id] }

// wanting gives the webhooks that want an event of the type with that code.
func (p *project) wanting(code int64) []*webhook { return p.wants[code] }

// configured gives the configuration as it is now, wherever it was changed. Whoever
// changes it waits until this node has said that it knows (see [Store.spread]), or
// has lost its lease: so what is in memory is true as long as the node has looked
// lately, and else it looks first. Only what an attempt changed by itself, such as a
// webhook disabled by a 410, is not waited for: others know it within a second.
func (s *Store) configured(ctx context.Context) (*registry, error) {
	if err := s.down(); err != nil {
		return nil, err
	}
	if s.looked.lately() {
		return s.known.Load(), nil
	}
	return s.look(ctx)
}

// looked is when the node looked for changes of the configuration last, by its own
// clock, which nobody compares with another's.
type looked struct{ at atomic.Pointer[time.Time] }

// trusted is for how long what was seen is taken for true. It is much less than a
// lease: a node that was asleep looks before it says anything.
const trusted = 5 * time.Second

func (l *looked) lately() bool {
	at := l.at.Load()
	return at != nil && time.Since(*at) < trusted
}

// look asks for the configuration's version, and reads what is new.
func (s *Store) look(ctx context.Context) (*registry, error) {
	began := time.Now()
	ctx, cancel := context.WithTimeout(ctx, readLimit)
	defer cancel()
	var version int64
	if err := s.readers.QueryRow(ctx, `SELECT config FROM meta`).Scan(&version); err != nil {
		return nil, s.explain("reading the configuration's version", err)
	}
	if s.known.Load().version < version {
		if err := s.refreshWith(ctx, s.readers); err != nil {
			return nil, s.explain("reading the configuration", err)
		}
	}
	s.looked.at.Store(&began)
	return s.known.Load(), nil
}

// refreshWith reads what changed since the version that the node knows.
func (s *Store) refreshWith(ctx context.Context, q querier) error {
	for {
		before := s.known.Load()
		after, err := s.loadRegistry(ctx, q, before)
		if err != nil {
			return fmt.Errorf("reading the configuration: %w", err)
		}
		if before == after || s.known.CompareAndSwap(before, after) {
			return nil
		}
		if now := s.known.Load(); now.version >= after.version {
			return nil
		}
	}
}

func (s *Store) loadRegistry(ctx context.Context, q querier, before *registry) (*registry, error) {
	r := &registry{
		projects: map[telltale.ProjectID]*project{}, slugs: map[string]*project{}, byNumber: map[int64]*project{},
		webhooks: map[telltale.WebhookID]*webhook{}, hooks: map[int64]*webhook{},
	}
	since := int64(-1)
	if before != nil {
		since = before.version
		r.hooks = maps.Clone(before.hooks)
	}
	if err := q.QueryRow(ctx, `SELECT config FROM meta`).Scan(&r.version); err != nil {
		return nil, err
	}
	if r.version == since {
		return before, nil
	}
	if err := s.loadProjects(ctx, q, r, before, since); err != nil {
		return nil, err
	}
	if err := s.loadWebhooks(ctx, q, r, since); err != nil {
		return nil, err
	}
	r.arrange()
	return r, nil
}

// arrange fills in what follows from the rows.
func (r *registry) arrange() {
	for _, p := range r.byNumber {
		r.projects[p.ID], r.slugs[p.Slug] = p, p
		p.live, p.wants = nil, make([][]*webhook, len(stored.EventTypes))
	}
	r.bySlug = slices.SortedFunc(maps.Values(r.byNumber), func(a, b *project) int { return cmp.Compare(a.Slug, b.Slug) })
	r.allByNumb = slices.SortedFunc(maps.Values(r.hooks), func(a, b *webhook) int { return cmp.Compare(a.number, b.number) })
	for _, w := range r.allByNumb {
		now, p := w.now(), r.byNumber[w.project]
		r.webhooks[now.ID] = w
		if p == nil || now.Deleted {
			continue
		}
		p.live = append(p.live, w)
		for code, t := range stored.EventTypes {
			if now.Wants(t, false) {
				p.wants[code] = append(p.wants[code], w)
			}
		}
	}
	for _, p := range r.byNumber {
		slices.SortFunc(p.live, func(a, b *webhook) int { return cmp.Compare(a.now().ID, b.now().ID) })
	}
}

// loadProjects reads the projects that changed, with all their goals. The others
// are copied, since their lists of webhooks may be others.
func (s *Store) loadProjects(ctx context.Context, q querier, r, before *registry, since int64) error {
	if before != nil {
		for number, p := range before.byNumber {
			r.byNumber[number] = &project{number: p.number, Project: p.Project, goals: p.goals}
		}
	}
	var p project
	var id string
	var createdAt, window, view int64
	var changed []int64
	err := each(ctx, q, `SELECT number, id, slug, name, ingest_rate, created_at, conversion_window, view_window FROM project WHERE changed > $1`, []any{since},
		[]any{&p.number, &id, &p.Slug, &p.Name, &p.IngestRate, &createdAt, &window, &view}, func() error {
			made := &project{number: p.number, Project: p.Project}
			made.ID, made.CreatedAt = telltale.ProjectID(id), stored.MilliTime(createdAt)
			made.goals = newGoals(telltale.Goals{Window: time.Duration(window), ViewWindow: time.Duration(view)})
			r.byNumber[made.number] = made
			changed = append(changed, made.number)
			return nil
		})
	if err != nil {
		return err
	}
	return loadGoals(ctx, q, r, changed)
}
