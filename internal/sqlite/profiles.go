package sqlite

import (
	"context"
	"slices"

	"telltale.example/telltale"
	"telltale.example/telltale/internal/stored"
)

// matchRows is how many ids, and how many emails, a search looks at that begin
// with what it searches for, some 200 ms of reading. Of more than that it finds
// only those first by the alphabet.
const matchRows = 500_000

func (s *Store) Profiles(ctx context.Context, project telltale.ProjectID, f telltale.ProfileFilter, page telltale.Page) ([]*telltale.Profile, error) {
	search, err := s.searchProfiles(project, f, page)
	if err != nil || search == nil {
		return nil, err
	}
	if err := s.read(ctx, "listing users", search.run); err != nil {
		return nil, err
	}
	return newestFirst(search.found, page), nil
}

// CountProfiles gives up as [Store.CountDeliveries] does.
func (s *Store) CountProfiles(ctx context.Context, project telltale.ProjectID, f telltale.ProfileFilter, limit int) (n int, more bool, err error) {
	search, err := s.searchProfiles(project, f, telltale.Page{})
	if err != nil || search == nil {
		return 0, false, err
	}
	search.count = newCount(limit)
	if err := s.read(ctx, "counting users", search.run); err != nil {
		return 0, false, err
	}
	n, more = search.count.result()
	return n, more, nil
}

// profileSearch is one list of profiles, or a count of what it would be.
type profileSearch struct {
	store   *Store
	project *project
	id      telltale.ProjectID
	filter  telltale.ProfileFilter
	page    telltale.Page
	count   *count // nil: the rows are listed

	found []*telltale.Profile
}

// searchProfiles gives nil if nothing can be found.
func (s *Store) searchProfiles(project telltale.ProjectID, f telltale.ProfileFilter, page telltale.Page) (*profileSearch, error) {
	if err := s.down(); err != nil {
		return nil, err
	}
	p := s.known.project(project)
	if p == nil {
		return nil, nil
	}
	return &profileSearch{store: s, project: p, id: project, filter: f, page: page}, nil
}

func (s *profileSearch) run(c *conn) error {
	within, err := s.store.profilePage(c, s.page)
	if err != nil || within.empty() {
		return err
	}
	if s.filter.Match != "" {
		return s.ofMatches(c, within)
	}
	from, key := "span s CROSS JOIN profile p NOT INDEXED", "p.number" // but by its number
	unsubscribed := false                                              // have an index of their own
	switch {
	case s.filter.Tag != "":
		from, key = "profile_tag t CROSS JOIN profile p ON p.number = t.profile", "t.profile"
	case s.filter.Unsubscribed != nil && *s.filter.Unsubscribed:
		from, unsubscribed = "profile p INDEXED BY profile_unsubscribed", true
	}
	narrow := func(within numbers) list {
		l := list{page: s.page, key: key}
		switch {
		case s.filter.Tag != "":
			l.where("t.project = ?", s.project.number)
			l.where("t.tag = ?", s.filter.Tag)
		case unsubscribed:
			l.where("p.project = ?", s.project.number)
			l.where("p.unsubscribed_at IS NOT NULL")
		default:
			l.inSpans(s.project.users(), key, within, -1)
			l.filter("p.project = ?", s.project.number)
		}
		l.where(key+" > ?", within.above)
		l.where(key+" < ?", within.below)
		if !unsubscribed {
			s.narrowSubscription(&l)
		}
		return l
	}
	if s.count != nil {
		return s.count.rows(c, within, from, narrow)
	}
	l := narrow(within)
	return s.read(c, &l, from)
}

func (s *profileSearch) narrowSubscription(l *list) {
	switch out := s.filter.Unsubscribed; {
	case out == nil:
	case *out:
		l.filter("p.unsubscribed_at IS NOT NULL")
	default:
		l.filter("p.unsubscribed_at IS NULL")
	}
}

func (s *profileSearch) read(c *conn, l *list, from string) error {
	return l.each(c, `SELECT `+profileColumns+` FROM `+from, func(q *query) error {
		row, err := s.store.scanProfile(q, s.id)
		s.found = append(s.found, row.profile())
		return err
	})
}

// ofMatches gathers whose id or email begins with the text, from two indexes
// that are in the order of the alphabet, and looks at them in the order of the list.
func (s *profileSearch) ofMatches(c *conn, within numbers) error {
	var matches []int64
	for _, from := range []string{
		`SELECT number FROM profile INDEXED BY profile_user WHERE project = ? AND user_id >= ? AND user_id < ? LIMIT ?`,
		`SELECT number FROM profile INDEXED BY profile_email WHERE email IS NOT NULL AND project = ? AND email >= ? AND email < ? LIMIT ?`,
	} {
		looked := 0
		// No text has the byte 0xff: it comes after all that begin so.
		err := c.query(from).int(s.project.number).text(s.filter.Match).text(s.filter.Match + "\xff").int(matchRows).each(func(q *query) error {
			looked++
			if number := q.getInt(); number > within.above && number < within.below {
				matches = append(matches, number)
			}
			return nil
		})
		if err != nil {
			return err
		}
		if looked == matchRows && s.count != nil {
			s.count.gaveUp = true
		}
	}
	slices.Sort(matches)
	matches = slices.Compact(matches)
	if !nearest(s.page) {
		slices.Reverse(matches)
	}
	if s.count != nil && s.filter.Unsubscribed == nil && s.filter.Tag == "" {
		s.count.n = len(matches)
		return nil
	}
	for _, number := range matches {
		if s.full() {
			return nil
		}
		if err := s.ofMatch(c, number); err != nil {
			return err
		}
	}
	return nil
}

// full reports whether nothing more is wanted.
func (s *profileSearch) full() bool {
	if s.count != nil {
		return !s.count.more()
	}
	return len(s.found) >= pageLimit(s.page)
}

func (s *profileSearch) ofMatch(c *conn, number int64) error {
	narrow := func(numbers) list {
		l := list{page: telltale.Page{Limit: 1}, key: "p.number"}
		l.where("p.number = ?", number)
		s.narrowSubscription(&l)
		if s.filter.Tag != "" {
			l.filter("EXISTS (SELECT 1 FROM profile_tag t WHERE t.project = p.project AND t.tag = ? AND t.profile = p.number)", s.filter.Tag)
		}
		return l
	}
	if s.count != nil {
		return s.count.rows(c, allNumbers(), "profile p", narrow)
	}
	l := narrow(allNumbers())
	return s.read(c, &l, "profile p")
}

// profilePage gives the numbers of a page of profiles. A profile that a page was
// counted from may be gone: its id still tells its number, or when it was made.
func (s *Store) profilePage(c *conn, page telltale.Page) (numbers, error) {
	within := allNumbers()
	for _, end := range []struct {
		id    string
		bound *int64
	}{{page.After, &within.below}, {page.Before, &within.above}} {
		if end.id == "" {
			continue
		}
		u, ok := stored.ParseULID(stored.ProfilePrefix, end.id)
		if !ok {
			return within, telltale.Errorf(telltale.Invalid, "%q is not a user's id.", telltale.CutValue(end.id))
		}
		if *end.bound, ok = s.ids.Number(u); ok {
			continue
		}
		*end.bound = int64(u.Time()) << stored.NumberBits
		if _, err := c.query(`SELECT number FROM profile WHERE id = ? AND id <> x''`).blob(u[:]).one(func(q *query) { *end.bound = q.getInt() }); err != nil {
			return within, err
		}
	}
	return within, nil
}
