package telltale

import (
	"testing"
	"time"
)

func TestAProfileIsSuppressed(t *testing.T) {
	t.Parallel()
	noon := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	before, after := noon.Add(-time.Hour), noon.Add(time.Hour)
	const own = "ann@example.com"
	for _, test := range []struct {
		name   string
		has    Suppression // since noon
		reason Suppression
		email  string
		at     time.Time
		want   Suppression
		since  time.Time
	}{
		{"by a bounce", "", SuppressedBounced, own, after, SuppressedBounced, after},
		{"by a complaint", "", SuppressedComplained, own, after, SuppressedComplained, after},
		{"by a bounce of nobody knows which address", "", SuppressedBounced, "", after, SuppressedBounced, after},
		{"by a bounce of the address in another case", "", SuppressedBounced, "Ann@EXAMPLE.com", after, SuppressedBounced, after},
		{"but not by one of another address", "", SuppressedBounced, "ann@example.org", after, "", time.Time{}},
		{"by a complaint from another address, which is the user's", "", SuppressedComplained, "ann@example.org", after, SuppressedComplained, after},
		{"by nothing at all", "", "", own, after, "", time.Time{}},
		{"since the first bounce", SuppressedBounced, SuppressedBounced, own, after, SuppressedBounced, noon},
		{"since the first bounce, even if that is told last", SuppressedBounced, SuppressedBounced, own, before, SuppressedBounced, before},
		{"since the first complaint", SuppressedComplained, SuppressedComplained, own, after, SuppressedComplained, noon},
		{"by a complaint rather than a bounce before", SuppressedBounced, SuppressedComplained, own, after, SuppressedComplained, after},
		{"by a complaint rather than a bounce after", SuppressedBounced, SuppressedComplained, own, before, SuppressedComplained, before},
		{"still by a complaint after a bounce", SuppressedComplained, SuppressedBounced, own, after, SuppressedComplained, noon},
		{"still by a complaint if a bounce was before", SuppressedComplained, SuppressedBounced, own, before, SuppressedComplained, noon},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			p := Profile{UserID: "7", Email: own, Suppression: test.has}
			if test.has != "" {
				p.SuppressedAt = noon
			}
			changes := p.Suppression != test.want || !p.SuppressedAt.Equal(test.since)
			if changed := p.suppress(test.reason, test.email, test.at); changed != changes {
				t.Errorf("it tells that something changed: %v", changed)
			}
			if p.Suppression != test.want || !p.SuppressedAt.Equal(test.since) {
				t.Errorf("it is %q since %v, should be %q since %v", p.Suppression, p.SuppressedAt, test.want, test.since)
			}
		})
	}
}

func TestAnEventSaysWhetherItsUserShouldBeSentTo(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, event string
		want        Suppression
	}{
		{"not after a hard bounce", `{"type":"bounced","user":{"id":7},"bounce_type":"hard"}`, SuppressedBounced},
		{"still after a soft one", `{"type":"bounced","user":{"id":7},"bounce_type":"soft"}`, ""},
		{"still after one of which nothing is known", `{"type":"bounced","user":{"id":7}}`, ""},
		{"not after a complaint", `{"type":"complained","user":{"id":7}}`, SuppressedComplained},
		{"still if something else calls itself hard", `{"type":"opened","user":{"id":7},"bounce_type":"hard"}`, ""},
		{"as far as this goes, also after an opt-out", `{"type":"unsubscribed","user":{"id":7}}`, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			a, err := ParseActivity([]byte(test.event), "body")
			if err != nil {
				t.Fatal(err)
			}
			e, faults := a.Event("prj_1", "api", time.Now())
			if len(faults) > 0 {
				t.Fatal(faults)
			}
			if got := e.Suppression(); got != test.want {
				t.Errorf("it is %q, should be %q", got, test.want)
			}
		})
	}
}

func TestAMergedProfileKeepsTheStrongerSuppression(t *testing.T) {
	t.Parallel()
	noon := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	type state struct {
		email  string
		reason Suppression
		at     time.Time
	}
	for _, test := range []struct {
		name               string
		found, other, want state
	}{
		{"neither", state{"a@example.com", "", time.Time{}}, state{"a@example.com", "", time.Time{}}, state{"a@example.com", "", time.Time{}}},
		{"the one that goes", state{"a@example.com", SuppressedBounced, noon}, state{"a@example.com", "", time.Time{}}, state{"a@example.com", SuppressedBounced, noon}},
		{"the one that stays", state{"a@example.com", "", time.Time{}}, state{"a@example.com", SuppressedBounced, noon}, state{"a@example.com", SuppressedBounced, noon}},
		{"a complaint before a bounce", state{"a@example.com", SuppressedComplained, noon}, state{"a@example.com", SuppressedBounced, noon.Add(-1)}, state{"a@example.com", SuppressedComplained, noon}},
		{"a complaint after a bounce", state{"a@example.com", SuppressedBounced, noon.Add(-1)}, state{"a@example.com", SuppressedComplained, noon}, state{"a@example.com", SuppressedComplained, noon}},
		{"of two bounces the first", state{"a@example.com", SuppressedBounced, noon.Add(-1)}, state{"a@example.com", SuppressedBounced, noon}, state{"a@example.com", SuppressedBounced, noon.Add(-1)}},
		{"a bounce of the address that is taken over", state{"a@example.com", SuppressedBounced, noon}, state{}, state{"a@example.com", SuppressedBounced, noon}},
		{"no bounce of an address that is not", state{"a@example.com", SuppressedBounced, noon}, state{"b@example.com", "", time.Time{}}, state{"b@example.com", "", time.Time{}}},
		{"a complaint, from whichever address", state{"a@example.com", SuppressedComplained, noon}, state{"b@example.com", "", time.Time{}}, state{"b@example.com", SuppressedComplained, noon}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			profile := func(id string, s state) *Profile {
				return &Profile{ID: NewProfileID(), UserID: id, GivenID: quote(id), Email: s.email, Suppression: s.reason, SuppressedAt: s.at}
			}
			c := UserChange{Kind: ChangeReidentify, User: NamedUser("a", ""), NewID: `"b"`}
			e, err := c.On("prj_1", profile("a", test.found), profile("b", test.other), noon.Add(time.Hour))
			if err != nil {
				t.Fatal(err)
			}
			if got := (state{e.Profile.Email, e.Profile.Suppression, e.Profile.SuppressedAt}); got != test.want {
				t.Errorf("it is %+v, should be %+v", got, test.want)
			}
		})
	}
}
