package postgres

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"telltale.example/telltale"
	"telltale.example/telltale/internal/stored"
)

const profileColumns = `p.number, p.project, p.user_id, coalesce(p.given_id, ''), coalesce(p.email, ''), coalesce(p.unsubscribed_at, 0), coalesce(p.suppression, 0), coalesce(p.suppressed_at, 0),
	coalesce(p.created_at, 0), p.updated_at, p.former_ids, p.tags, p.channels, p.properties`

// scannedProfile is a row with those columns.
type scannedProfile struct {
	number, project                                                 int64
	userID, givenID, email                                          string
	unsubscribedAt, suppression, suppressedAt, createdAt, updatedAt int64
	formerIDs, tags, channels, properties                           []byte
}

func (r *scannedProfile) into() []any {
	return []any{&r.number, &r.project, &r.userID, &r.givenID, &r.email, &r.unsubscribedAt, &r.suppression, &r.suppressedAt, &r.createdAt, &r.updatedAt,
		&r.formerIDs, &r.tags, &r.channels, &r.properties}
}

// profile makes a profile of the row. Its id follows from its number.
func (r *scannedProfile) profile(s *Store, project telltale.ProjectID) (*telltale.Profile, error) {
	p := &telltale.Profile{
		ID: s.ids.Profile(r.number), ProjectID: project, UserID: r.userID, Email: r.email,
		UnsubscribedAt: stored.MilliTime(r.unsubscribedAt), Suppression: stored.Word(stored.Suppressions, r.suppression), SuppressedAt: stored.MilliTime(r.suppressedAt),
		CreatedAt: stored.MilliTime(r.createdAt), UpdatedAt: stored.MilliTime(r.updatedAt),
	}
	row := stored.ProfileRow{GivenID: r.givenID, FormerIDs: string(r.formerIDs), Tags: string(r.tags), Channels: string(r.channels), Properties: string(r.properties)}
	if err := row.Decode(p); err != nil {
		return nil, fmt.Errorf("profile %d: %w", r.number, err)
	}
	return p, nil
}

func (s *Store) FindProfile(ctx context.Context, project telltale.ProjectID, user telltale.UserRef) (*telltale.Profile, error) {
	found, err := s.ProfilesByRef(ctx, project, []telltale.UserRef{user})
	if err != nil {
		return nil, err
	}
	if found[0] == nil {
		return nil, notFound("user")
	}
	return found[0], nil
}

func (s *Store) ProfilesByRef(ctx context.Context, project telltale.ProjectID, refs []telltale.UserRef) ([]*telltale.Profile, error) {
	profiles := make([]*telltale.Profile, len(refs))
	known, err := s.configured(ctx)
	if err != nil {
		return nil, err
	}
	p := known.project(project)
	if p == nil || len(refs) == 0 {
		return profiles, nil
	}
	var of wanted
	for _, r := range refs {
		of.add(p.number, refID(r), r.Email)
	}
	var found users
	err = s.read(ctx, "finding users", func(ctx context.Context, q querier) error { return found.read(ctx, s, q, known, &of) })
	if err != nil {
		return nil, err
	}
	for i, r := range refs {
		profiles[i] = found.find(p.number, refID(r), r.Email).profile()
	}
	return profiles, nil
}

func (s *Store) Profile(ctx context.Context, project telltale.ProjectID, id telltale.ProfileID) (*telltale.Profile, error) {
	number, ok := s.profileNumber(id)
	known, err := s.configured(ctx)
	if err != nil {
		return nil, err
	}
	p := known.project(project)
	if p == nil || !ok {
		return nil, notFound("user")
	}
	var profile *telltale.Profile
	err = s.read(ctx, "finding a user", func(ctx context.Context, q querier) error {
		var row scannedProfile
		err := q.QueryRow(ctx, `SELECT `+profileColumns+` FROM profile p WHERE p.number = $1 AND p.project = $2`, number, p.number).Scan(row.into()...)
		if noRows(err) {
			return notFound("user")
		}
		if err == nil {
			profile, err = row.profile(s, project)
		}
		return err
	})
	return profile, err
}

// profileNumber gives the number of an id that this store gave out.
func (s *Store) profileNumber(id telltale.ProfileID) (int64, bool) {
	u, ok := stored.ParseULID(stored.ProfilePrefix, string(id))
	if !ok {
		return 0, false
	}
	return s.ids.Number(u)
}

// profileRows are columns of the table profile, in the order of profileNames.
const (
	profileNames = `number, project, user_id, given_id, email, unsubscribed_at, suppression, suppressed_at, created_at, updated_at, former_ids, tags, channels, properties`
	profileRows  = `unnest($1::bigint[], $2::integer[], $3::text[], $4::text[], $5::text[], $6::bigint[], $7::smallint[], $8::bigint[], $9::bigint[], $10::bigint[],
		$11::bytea[], $12::bytea[], $13::bytea[], $14::bytea[])`
)

func profileValues(of []*user) ([]any, error) {
	n := len(of)
	number, project, userID, updatedAt := make([]int64, n), make([]int64, n), make([]string, n), make([]int64, n)
	givenID, email := make([]*string, n), make([]*string, n)
	unsubscribedAt, suppression, suppressedAt, createdAt := make([]*int64, n), make([]*int64, n), make([]*int64, n), make([]*int64, n)
	formerIDs, tags, channels, properties := make([][]byte, n), make([][]byte, n), make([][]byte, n), make([][]byte, n)
	for i, u := range of {
		p := u.now
		reason, err := stored.Code(stored.Suppressions, p.Suppression)
		if err != nil {
			return nil, fmt.Errorf("the profile of user %q: %w", telltale.CutValue(p.UserID), err)
		}
		row := stored.EncodeProfile(p)
		number[i], project[i], userID[i], updatedAt[i] = u.number, u.project, clean(p.UserID), stored.TimeMilli(p.UpdatedAt)
		givenID[i], email[i] = textOrNull(row.GivenID), textOrNull(p.Email)
		unsubscribedAt[i], suppression[i], suppressedAt[i], createdAt[i] = milliOrNull(p.UnsubscribedAt), orNull(reason), milliOrNull(p.SuppressedAt), milliOrNull(p.CreatedAt)
		formerIDs[i], tags[i], channels[i], properties[i] = bytesOrNull(row.FormerIDs), bytesOrNull(row.Tags), bytesOrNull(row.Channels), bytesOrNull(row.Properties)
	}
	return []any{number, project, userID, givenID, email, unsubscribedAt, suppression, suppressedAt, createdAt, updatedAt, formerIDs, tags, channels, properties}, nil
}

// bytesOrNull stores an empty text as nothing.
func bytesOrNull(text string) []byte {
	if text == "" {
		return nil
	}
	return []byte(text)
}

// insertProfiles stores users under ids that nobody has, in an order in which two
// transactions that take the same never wait for each other.
func (tx *tx) insertProfiles(of []*user) error {
	if len(of) == 0 {
		return nil
	}
	slices.SortFunc(of, func(a, b *user) int {
		return cmp.Or(cmp.Compare(a.project, b.project), cmp.Compare(a.now.UserID, b.now.UserID))
	})
	values, err := profileValues(of)
	if err != nil {
		return err
	}
	tx.later(`INSERT INTO profile (`+profileNames+`) SELECT * FROM `+profileRows, values...)
	return nil
}

// updateProfiles stores users whose ids stay.
func (tx *tx) updateProfiles(of []*user) error {
	if len(of) == 0 {
		return nil
	}
	values, err := profileValues(of)
	if err != nil {
		return err
	}
	tx.later(`UPDATE profile p SET given_id = u.given_id, email = u.email, unsubscribed_at = u.unsubscribed_at, suppression = u.suppression, suppressed_at = u.suppressed_at,
		created_at = u.created_at, updated_at = u.updated_at, former_ids = u.former_ids, tags = u.tags, channels = u.channels, properties = u.properties
		FROM `+profileRows+` AS u(`+profileNames+`) WHERE p.number = u.number`, values...)
	return nil
}

// tagRows are rows of the table profile_tag.
type tagRows struct {
	projects, profiles []int64
	tags               []string
}

// storeTags keeps the index of tags.
func (tx *tx) storeTags(of []*user) {
	var lost, got tagRows
	for _, u := range of {
		var before, after []string
		if u.stored != nil {
			before = u.stored.Tags
		}
		if u.now != nil {
			after = u.now.Tags
		}
		lost.add(u, before, after)
		got.add(u, after, before)
	}
	if len(lost.tags) > 0 {
		tx.later(`DELETE FROM profile_tag t USING unnest($1::integer[], $2::text[], $3::bigint[]) AS u(project, tag, profile) WHERE t.project = u.project AND t.tag = u.tag AND t.profile = u.profile`,
			lost.projects, lost.tags, lost.profiles)
	}
	if len(got.tags) > 0 {
		tx.later(`INSERT INTO profile_tag (project, tag, profile) SELECT * FROM unnest($1::integer[], $2::text[], $3::bigint[]) ON CONFLICT DO NOTHING`, got.projects, got.tags, got.profiles)
	}
}

// add adds the user's tags that are not among the others.
func (r *tagRows) add(u *user, tags, others []string) {
	for _, tag := range tags {
		if !slices.Contains(others, tag) {
			r.projects, r.tags, r.profiles = append(r.projects, u.project), append(r.tags, clean(tag)), append(r.profiles, u.number)
		}
	}
}
