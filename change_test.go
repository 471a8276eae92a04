package telltale

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func object(t *testing.T, text string) Object {
	t.Helper()
	o, err := ParseObject([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return o
}

func TestWhatAChangeComesTo(t *testing.T) {
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	known := func(change ...func(*Profile)) *Profile {
		p := &Profile{
			ID: NewProfileID(), ProjectID: "prj_1", UserID: "7", GivenID: "7", Email: "ann@example.com",
			Properties: object(t, `{"plan":"free","seats":3}`), Tags: []string{"trial"}, CreatedAt: at.Add(-time.Hour), UpdatedAt: at.Add(-time.Hour),
		}
		for _, f := range change {
			f(p)
		}
		return p
	}
	out := func(p *Profile) { p.UnsubscribedAt = at.Add(-time.Minute) }
	bounced := func(p *Profile) { p.Suppression, p.SuppressedAt = SuppressedBounced, at.Add(-time.Minute) }
	complained := func(p *Profile) { p.Suppression, p.SuppressedAt = SuppressedComplained, at.Add(-time.Minute) }
	user := UserRef{ID: "7"}
	const moved = `{"action":"user_updated","type":"user_updated","user":{"id":7,"email":"ann@example.org"},"id":"7","email":"ann@example.org","changes":{"email":"ann@example.org"}}`
	for _, test := range []struct {
		name     string
		found    *Profile
		change   UserChange
		payloads []string
		stored   func(p *Profile) bool // nil: nothing is
	}{
		{
			"a user who is new is created, with properties before id and email", nil,
			UserChange{Kind: ChangeIdentify, User: UserRef{ID: "123", Email: "steve@getvero.com"}, Data: object(t, `{"firstname":"Steve","company":"Vero","gone":null}`)},
			[]string{`{"type":"user_created","user":{"firstname":"Steve","company":"Vero","id":123,"email":"steve@getvero.com"}}`},
			func(p *Profile) bool { return p.UserID == "123" && p.CreatedAt.Equal(at) && p.Properties.Len() == 2 },
		},
		{
			"an email alone doubles as the id", nil,
			UserChange{Kind: ChangeIdentify, User: UserRef{Email: "bob@example.com"}},
			[]string{`{"type":"user_created","user":{"id":"bob@example.com","email":"bob@example.com"}}`},
			func(p *Profile) bool { return p.UserID == "bob@example.com" },
		},
		{
			"only what really changes is told", known(),
			UserChange{Kind: ChangeIdentify, User: user, Data: object(t, `{"plan":"free","seats":3.0,"city":"Oslo"}`)},
			[]string{`{"action":"user_updated","type":"user_updated","user":{"id":7,"email":"ann@example.com"},"id":"7","email":"ann@example.com","changes":{"city":"Oslo"}}`},
			func(p *Profile) bool { return p.Properties.Len() == 3 && p.UpdatedAt.Equal(at) },
		},
		{"no change, no event, no write", known(), UserChange{Kind: ChangeIdentify, User: user, Data: object(t, `{"plan":"free"}`)}, nil, nil},
		{
			"the kind of the id last received is kept, which no event tells", known(),
			UserChange{Kind: ChangeIdentify, User: UserRef{ID: `"7"`}}, nil,
			func(p *Profile) bool { return p.GivenID == `"7"` && p.UserID == "7" },
		},
		{
			"a new address is told, whatever the case of its key", known(),
			UserChange{Kind: ChangeIdentify, User: user, Data: object(t, `{"Email":"ann@example.org","ID":9}`)},
			[]string{`{"action":"user_updated","type":"user_updated","user":{"id":7,"email":"ann@example.org"},"id":"7","email":"ann@example.org","changes":{"email":"ann@example.org"}}`},
			func(p *Profile) bool {
				return p.Email == "ann@example.org" && p.UserID == "7" && p.Properties.Len() == 2
			},
		},
		{
			"tags are told as added and removed, each only if it was", known(),
			UserChange{Kind: ChangeTags, User: user, Add: []string{"vip", "trial", "vip"}, Remove: []string{"absent"}},
			[]string{`{"action":"user_updated","type":"user_updated","user":{"id":7,"email":"ann@example.com"},"id":"7","email":"ann@example.com","changes":{"_tags":{"add":["vip"]}}}`},
			func(p *Profile) bool { return cmp.Equal(p.Tags, []string{"trial", "vip"}) },
		},
		{"a tag that is removed and added stays", known(), UserChange{Kind: ChangeTags, User: user, Add: []string{"trial"}, Remove: []string{"trial"}}, nil, nil},
		{
			"the tag unsubscribed opts out", known(),
			UserChange{Kind: ChangeTags, User: user, Add: []string{"unsubscribed"}, Remove: []string{"trial"}},
			[]string{
				`{"action":"user_updated","type":"user_updated","user":{"id":7,"email":"ann@example.com"},"id":"7","email":"ann@example.com","changes":{"_tags":{"add":["unsubscribed"],"remove":["trial"]}}}`,
				`{"unsubscribed_at":1772366400,"type":"unsubscribed","user":{"id":7,"email":"ann@example.com"}}`,
			},
			func(p *Profile) bool { return !p.Subscribed() },
		},
		{
			"an opt-out is told on the transition", known(), UserChange{Kind: ChangeUnsubscribe, User: user},
			[]string{`{"unsubscribed_at":1772366400,"type":"unsubscribed","user":{"id":7,"email":"ann@example.com"}}`},
			func(p *Profile) bool { return !p.Subscribed() },
		},
		{"and not again", known(out), UserChange{Kind: ChangeUnsubscribe, User: user}, nil, nil},
		{
			"an unknown user's opt-out is kept, and nobody is created", nil, UserChange{Kind: ChangeUnsubscribe, User: UserRef{Email: "eve@example.com"}},
			[]string{`{"unsubscribed_at":1772366400,"type":"unsubscribed","user":{"id":"eve@example.com","email":"eve@example.com"}}`},
			func(p *Profile) bool { return !p.Subscribed() && p.CreatedAt.IsZero() },
		},
		{
			"whoever is identified later stays out", known(out, func(p *Profile) { p.CreatedAt = time.Time{} }), UserChange{Kind: ChangeIdentify, User: user},
			[]string{`{"type":"user_created","user":{"plan":"free","seats":3,"id":7,"email":"ann@example.com"}}`},
			func(p *Profile) bool { return !p.Subscribed() && p.CreatedAt.Equal(at) },
		},
		{
			"opting in again is told", known(out), UserChange{Kind: ChangeResubscribe, User: user},
			[]string{`{"type":"resubscribed","user":{"id":7,"email":"ann@example.com"}}`},
			func(p *Profile) bool { return p.Subscribed() },
		},
		{"who is in cannot opt in", known(), UserChange{Kind: ChangeResubscribe, User: user}, nil, nil},
		{
			"an opt-in undoes no opt-out that came after it", known(out), UserChange{Kind: ChangeResubscribe, User: user, At: at.Add(-time.Hour)}, nil, nil,
		},
		{
			"an opt-in ends a suppression, which no event tells of who was in", known(bounced), UserChange{Kind: ChangeResubscribe, User: user}, nil,
			func(p *Profile) bool { return p.Suppression == "" && p.SuppressedAt.IsZero() && p.UpdatedAt.Equal(at) },
		},
		{
			"it ends one by a complaint, too", known(complained), UserChange{Kind: ChangeResubscribe, User: user, At: at.Add(-time.Minute)}, nil,
			func(p *Profile) bool { return p.Suppression == "" },
		},
		{"it ends none that came after it", known(bounced), UserChange{Kind: ChangeResubscribe, User: user, At: at.Add(-time.Hour)}, nil, nil},
		{
			"it ends what was before it, and not what came after it", known(bounced, func(p *Profile) { p.UnsubscribedAt = at.Add(-time.Second) }),
			UserChange{Kind: ChangeResubscribe, User: user, At: at.Add(-30 * time.Second)}, nil,
			func(p *Profile) bool { return p.Suppression == "" && !p.Subscribed() },
		},
		{
			"an opt-out leaves a suppression as it is", known(bounced), UserChange{Kind: ChangeUnsubscribe, User: user},
			[]string{`{"unsubscribed_at":1772366400,"type":"unsubscribed","user":{"id":7,"email":"ann@example.com"}}`},
			func(p *Profile) bool { return p.Suppression == SuppressedBounced },
		},
		{
			"a bounce suppresses, which no event tells", known(), UserChange{Kind: ChangeSuppress, Reason: SuppressedBounced, At: at.Add(-time.Hour)}, nil,
			func(p *Profile) bool {
				return p.Suppression == SuppressedBounced && p.SuppressedAt.Equal(at.Add(-time.Hour)) && p.UpdatedAt.Equal(at) && p.Subscribed()
			},
		},
		{
			"one that is said to be to come suppresses from now on", known(), UserChange{Kind: ChangeSuppress, Reason: SuppressedBounced, At: at.Add(time.Hour)}, nil,
			func(p *Profile) bool { return p.SuppressedAt.Equal(at) },
		},
		{"a second bounce changes nothing", known(bounced), UserChange{Kind: ChangeSuppress, Reason: SuppressedBounced}, nil, nil},
		{"of an unknown user no suppression is kept", nil, UserChange{Kind: ChangeSuppress, User: UserRef{Email: "eve@example.com"}, Reason: SuppressedComplained}, nil, nil},
		{
			"another address has not bounced", known(bounced), UserChange{Kind: ChangeIdentify, User: user, Data: object(t, `{"email":"ann@example.org"}`)}, []string{moved},
			func(p *Profile) bool { return p.Suppression == "" && p.SuppressedAt.IsZero() },
		},
		{
			"another address is nearer to nobody who complained", known(complained), UserChange{Kind: ChangeIdentify, User: UserRef{ID: "7", Email: "ann@example.org"}}, []string{moved},
			func(p *Profile) bool { return p.Suppression == SuppressedComplained && !p.SuppressedAt.IsZero() },
		},
		{
			"the first address that is known may be the one that bounced", known(bounced, func(p *Profile) { p.Email = "" }),
			UserChange{Kind: ChangeIdentify, User: UserRef{ID: "7", Email: "ann@example.org"}}, []string{moved},
			func(p *Profile) bool { return p.Suppression == SuppressedBounced },
		},
		{
			"another case is the same address", known(bounced, func(p *Profile) { p.Email = "Ann@Example.org" }),
			UserChange{Kind: ChangeIdentify, User: UserRef{ID: "7", Email: "ann@example.org"}}, []string{moved},
			func(p *Profile) bool { return p.Suppression == SuppressedBounced },
		},
		{"who is unknown cannot opt in", nil, UserChange{Kind: ChangeResubscribe, User: user}, nil, nil},
		{
			"what an unknown user does creates them", nil, UserChange{Kind: ChangeTrack, User: UserRef{ID: `"x"`}, Event: &TrackedEvent{Name: "bought"}},
			[]string{`{"type":"user_created","user":{"id":"x"}}`},
			func(p *Profile) bool { return p.UserID == "x" },
		},
		{
			"a channel with another device takes the place of the one with its address",
			known(func(p *Profile) { p.Channels = []Channel{{Type: "push", Address: "t1", Platform: "ios"}} }),
			UserChange{Kind: ChangeIdentify, User: user, Channels: []Channel{{Type: "push", Address: "t1", Platform: "ios", Device: "phone"}}},
			[]string{`{"action":"user_updated","type":"user_updated","user":{"id":7,"email":"ann@example.com"},"id":"7","email":"ann@example.com","changes":{"channels":[{"type":"push","address":"t1","platform":"ios","device":"phone"}]}}`},
			func(p *Profile) bool { return len(p.Channels) == 1 },
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			var before *Profile
			if test.found != nil {
				before = test.found.Clone()
			}
			effect, err := test.change.On("prj_1", test.found, nil, at)
			if err != nil {
				t.Fatal(err)
			}
			var payloads []string
			for _, a := range effect.Activities {
				r, faults := a.Render(at)
				if len(faults) > 0 {
					t.Fatal(faults)
				}
				payloads = append(payloads, string(r.Payload))
			}
			if diff := cmp.Diff(test.payloads, payloads); diff != "" {
				t.Errorf("events (-want +got):\n%s", diff)
			}
			if (effect.Profile == nil) != (test.stored == nil) || test.stored != nil && !test.stored(effect.Profile) {
				t.Errorf("stored: %+v", effect.Profile)
			}
			if test.found != nil && !cmp.Equal(before, test.found, cmp.AllowUnexported(Object{}, member{})) {
				t.Errorf("the profile that was found is changed: %+v", test.found)
			}
		})
	}
}

func TestReidentifying(t *testing.T) {
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	old := &Profile{ID: "prf_old", UserID: "a", GivenID: `"a"`, Email: "a@example.com", Properties: object(t, `{"x":1,"y":2}`), Tags: []string{"t"}, UnsubscribedAt: at.Add(-time.Hour), CreatedAt: at.Add(-2 * time.Hour)}
	c := UserChange{Kind: ChangeReidentify, User: UserRef{ID: `"a"`}, NewID: "5"}

	e, err := c.On("prj_1", old, nil, at)
	if err != nil || e.Remove || e.Profile.UserID != "5" || e.Profile.ID != "prf_old" || !cmp.Equal(e.Profile.FormerIDs, []string{"a"}) || len(e.Activities) > 0 {
		t.Errorf("to an id that is free: %+v, %v", e, err)
	}

	other := &Profile{ID: "prf_new", UserID: "5", GivenID: `"5"`, Properties: object(t, `{"x":9}`), CreatedAt: at.Add(-time.Hour)}
	e, err = c.On("prj_1", old, other, at)
	if err != nil || !e.Remove || e.Profile.ID != "prf_new" {
		t.Fatalf("into another profile: %+v, %v", e, err)
	}
	p := e.Profile
	if got := string(p.Properties.AppendJSON(nil)); got != `{"x":9,"y":2}` || p.Email != "a@example.com" || p.GivenID != "5" || p.Subscribed() || !p.CreatedAt.Equal(old.CreatedAt) || !cmp.Equal(p.Tags, []string{"t"}) {
		t.Errorf("merged: %+v with %s", p, got)
	}
	if e, err = c.On("prj_1", nil, other, at); err != nil || e.Profile != nil || e.Remove {
		t.Errorf("of a user who is unknown: %+v, %v", e, err)
	}
}

func TestAChangeThatBreaksABoundIsRefused(t *testing.T) {
	tags := make([]string, MaxTags+1)
	for i := range tags {
		tags[i] = strings.Repeat("x", i+1)
	}
	c := UserChange{Kind: ChangeTags, User: UserRef{ID: "1"}, Add: tags}
	if _, err := c.On("prj_1", nil, nil, time.Now()); CodeOf(err) != Invalid || !strings.Contains(err.Error(), "201 tags") {
		t.Errorf("the error is %v", err)
	}
}

func TestRepetitionsOfTrackedEvents(t *testing.T) {
	base := TrackedEvent{Name: "Item Bought", Data: object(t, `{"sku":1.0,"tags":["a","b"],"o":{"p":1,"q":"é"}}`)}
	for _, test := range []struct {
		name  string
		event TrackedEvent
		user  string
		same  bool
	}{
		{"the order of keys, the way that a number is written, and the name's case say nothing", TrackedEvent{Name: "item_bought", Data: object(t, `{"o":{"q":"é","p":1e0},"sku":1,"tags":["a","b"]}`)}, "7", true},
		{"when it happened says nothing", TrackedEvent{Name: "Item Bought", Data: base.Data, OccurredAt: time.Unix(1, 0)}, "7", true},
		{"nor does the check id, beside data", TrackedEvent{Name: "Item Bought", Data: base.Data, CheckID: "c"}, "7", true},
		{"the order of an array does", TrackedEvent{Name: "Item Bought", Data: object(t, `{"sku":1,"tags":["b","a"],"o":{"p":1,"q":"é"}}`)}, "7", false},
		{"another user", base, "8", false},
		{"no data", TrackedEvent{Name: "Item Bought"}, "7", false},
	} {
		if got := base.RepeatKey("prj_1", "7") == test.event.RepeatKey("prj_1", test.user); got != test.same {
			t.Errorf("%s: the same is %v; want %v", test.name, got, test.same)
		}
	}
	a, b := TrackedEvent{Name: "x", CheckID: "1"}, TrackedEvent{Name: "x", CheckID: "2"}
	if a.RepeatKey("p", "u") == b.RepeatKey("p", "u") {
		t.Error("events without data and with other check ids are the same")
	}
}
