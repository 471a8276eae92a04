package postgres

import (
	"context"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/jackc/pgx/v5"

	"telltale.example/telltale"
	"telltale.example/telltale/internal/stored"
)

// Profiles leaves to the server how users are found whose id or email begins
// with a text: if these are few, by what they begin with; if they are many, from
// the newest user on. So it plans the query anew each time, for this text.
func (s *Store) Profiles(ctx context.Context, project telltale.ProjectID, f telltale.ProfileFilter, page telltale.Page) ([]*telltale.Profile, error) {
	known, err := s.configured(ctx)
	if err != nil {
		return nil, err
	}
	p := known.project(project)
	within, err := s.profilePage(page)
	if p == nil || err != nil || within.empty() {
		return nil, err
	}
	from, key := `profile p`, `p.number`
	var c conditions
	if f.Tag == "" {
		c.where("p.project = ?", p.number)
	} else {
		from, key = `profile_tag t JOIN profile p ON p.number = t.profile`, `t.profile`
		c.where("t.project = ?", p.number)
		c.where("t.tag = ?", f.Tag)
	}
	c.where(key+" > ?", within.above)
	c.where(key+" < ?", within.below)
	if f.Match != "" {
		c.sql = append(c.sql, "("+c.beginning("p.user_id", f.Match)+" OR "+c.beginning("p.email", f.Match)+")")
	}
	c.subscription(f)
	sql := fmt.Sprintf(`SELECT %s FROM %s%s ORDER BY %s %s LIMIT %d`, profileColumns, from, c.String(), key, order(page), pageLimit(page))
	var found []*telltale.Profile
	err = s.read(ctx, "listing users", func(ctx context.Context, q querier) error {
		var row scannedProfile
		return each(ctx, q, sql, append([]any{pgx.QueryExecModeCacheDescribe}, c.args...), row.into(), func() error {
			profile, err := row.profile(s, project)
			found = append(found, profile)
			return err
		})
	})
	if err != nil {
		return nil, err
	}
	return newestFirst(found, page), nil
}

// countedProfiles is how many users a count looks at, at most, for those that
// fit the rest of the filter.
const countedProfiles = 20_000

// CountProfiles looks at a bounded number of users: of more than that it tells how
// many of these fit, and that there may be more.
func (s *Store) CountProfiles(ctx context.Context, project telltale.ProjectID, f telltale.ProfileFilter, limit int) (n int, more bool, err error) {
	known, err := s.configured(ctx)
	if err != nil {
		return 0, false, err
	}
	p := known.project(project)
	if p == nil {
		return 0, false, nil
	}
	sql, args, most := countProfiles(p, f, limit)
	looked := 0
	err = s.read(ctx, "counting users", func(ctx context.Context, q querier) error {
		return q.QueryRow(ctx, sql, append([]any{pgx.QueryExecModeCacheDescribe}, args...)...).Scan(&looked, &n)
	})
	if err != nil {
		return 0, false, err
	}
	return min(n, limit), n > limit || looked > most, nil
}

// countProfiles is the query of how many users it looked at, most and one, and
// how many of these fit.
func countProfiles(p *project, f telltale.ProfileFilter, limit int) (sql string, args []any, most int) {
	var c conditions
	whose := c.bind(" WHERE project = ?", p.number)
	ways := []string{"SELECT number FROM profile" + whose}
	switch out := f.Unsubscribed; {
	case f.Match != "":
		ways = []string{ways[0] + " AND " + c.beginning("user_id", f.Match), ways[0] + " AND " + c.beginning("email", f.Match)}
		if f.Tag != "" {
			c.where("EXISTS (SELECT 1 FROM profile_tag t WHERE t.project = p.project AND t.tag = ? AND t.profile = p.number)", f.Tag)
		}
		c.subscription(f)
	case f.Tag != "":
		ways[0] = "SELECT profile AS number FROM profile_tag" + whose + c.bind(" AND tag = ?", f.Tag)
		c.subscription(f)
	case out != nil && *out:
		ways[0] += " AND unsubscribed_at IS NOT NULL"
	default:
		c.subscription(f)
	}
	fit := "SELECT 1 FROM looked"
	if most = limit; len(c.sql) > 0 {
		most = countedProfiles
		fit += " JOIN profile p USING (number)" + c.String()
	}
	for i, way := range ways {
		ways[i] = fmt.Sprintf("(%s LIMIT %d)", way, most+1)
	}
	return fmt.Sprintf(`WITH looked AS MATERIALIZED (%s) SELECT (SELECT count(*) FROM looked), (SELECT count(*) FROM (%s LIMIT %d) f)`,
		strings.Join(ways, " UNION "), fit, limit+1), c.args, most
}

// subscription narrows users by whether they are subscribed.
func (c *conditions) subscription(f telltale.ProfileFilter) {
	switch out := f.Unsubscribed; {
	case out == nil:
	case *out:
		c.where("p.unsubscribed_at IS NOT NULL")
	default:
		c.where("p.unsubscribed_at IS NULL")
	}
}

// beginning is the condition that a column begins so.
func (c *conditions) beginning(column, text string) string {
	begins := c.bind(column+" >= ?", text)
	if behind := behindAll(clean(text)); behind != "" {
		begins += c.bind(" AND "+column+" < ?", behind)
	}
	return begins
}

// behindAll is the first text, by its bytes, behind all that begin so; empty if
// there is none.
func behindAll(beginning string) string {
	for beginning != "" {
		last, size := utf8.DecodeLastRuneInString(beginning)
		beginning = beginning[:len(beginning)-size]
		if last++; utf8.ValidRune(last) {
			return beginning + string(last)
		}
		if last <= utf8.MaxRune { // the surrogates are no text
			return beginning + "\uE000"
		}
	}
	return ""
}

// profilePage gives the numbers of a page of profiles. A profile that a page was
// counted from may be gone, or another store's: its id still tells when it was made.
func (s *Store) profilePage(page telltale.Page) (numbers, error) {
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
		if *end.bound, ok = s.ids.Number(u); !ok {
			*end.bound = int64(u.Time()) << stored.NumberBits
		}
	}
	return within, nil
}
