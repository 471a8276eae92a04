package sqlite

import (
	"cmp"
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"telltale.example/telltale"
)

// attribution is the rule of attribution as people are told it, said once more
// without any of what the store does: every fact is kept, and every question is
// asked of all of them.
type attribution struct {
	facts         []fact
	credited      map[string]bool
	window, views time.Duration
}

type fact struct {
	kind    telltale.EventType
	message int
	at      time.Time
	machine bool
}

// Messages 0 to 3 are user 0's, 4 to 7 user 1's. Even ones are of the campaign
// whose goal is bought, odd ones have the goal called of their own.
const modelMessages = 8

func userOf(message int) int { return message / 4 }

func goalOf(message int) string { return []string{"bought", "called"}[message%2] }

func messageName(message int) string { return fmt.Sprint("m-", message) }

// times gives when something happened to a message up to a time, in order.
func (a *attribution) times(kind telltale.EventType, message int, upTo time.Time) (times []time.Time) {
	for _, f := range a.facts {
		if f.kind == kind && f.message == message && !f.at.After(upTo) && !f.machine {
			times = append(times, f.at)
		}
	}
	slices.SortFunc(times, time.Time.Compare)
	return times
}

func (a *attribution) credit(user int, event string, at time.Time, naming int) string {
	forever := at.Add(1e6 * time.Hour)
	type candidate struct {
		message int
		at      time.Time
	}
	best := map[telltale.Credit][]candidate{} // with clicks as direct
	for m := range modelMessages {
		sent := a.times(telltale.Sent, m, forever)
		if userOf(m) != user || goalOf(m) != event || len(sent) == 0 || sent[0].After(at) || a.credited[messageName(m)] || len(a.times(telltale.Converted, m, forever)) > 0 {
			continue
		}
		age := at.Sub(sent[0])
		if age <= a.window {
			if m == naming {
				a.credited[messageName(m)] = true
				return messageName(m) + " direct"
			}
			if clicks := a.times(telltale.Clicked, m, at); len(clicks) > 0 {
				best[telltale.CreditDirect] = append(best[telltale.CreditDirect], candidate{m, clicks[len(clicks)-1]})
			}
			received := append(a.times(telltale.Delivered, m, at), sent[0])[0]
			best[telltale.CreditIndirect] = append(best[telltale.CreditIndirect], candidate{m, received})
		}
		if opens := a.times(telltale.Opened, m, at); age <= a.views && len(opens) > 0 {
			best[telltale.CreditViewed] = append(best[telltale.CreditViewed], candidate{m, opens[len(opens)-1]})
		}
	}
	for _, why := range []telltale.Credit{telltale.CreditDirect, telltale.CreditViewed, telltale.CreditIndirect} {
		if list := best[why]; len(list) > 0 {
			m := messageName(slices.MaxFunc(list, func(a, b candidate) int { return a.at.Compare(b.at) }).message)
			a.credited[m] = true
			return m + " " + string(why)
		}
	}
	return ""
}

// Whatever happens in whatever order, tells of itself late, twice or by a
// machine, the store credits what the rule says.
func TestTheStoreAttributesAsTheRuleSays(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	projects := 0
	rapid.Check(t, func(t *rapid.T) {
		projects++
		p := telltale.NewProject(fmt.Sprint("p-", projects), "Model")
		must := func(err error) {
			t.Helper()
			if err != nil {
				t.Fatal(err)
			}
		}
		ctx := t.Context()
		must(s.CreateProject(ctx, p))
		must(s.SetGoal(ctx, p.ID, telltale.Goal{CampaignID: "7", EventName: "Bought"}))
		rule := attribution{credited: map[string]bool{}}
		hours := func(label string) time.Duration {
			return time.Duration(rapid.IntRange(1, 30).Draw(t, label)) * time.Hour
		}
		rule.window, rule.views = hours("window"), hours("views")
		must(s.SetConversionWindows(ctx, p.ID, rule.window, rule.views))

		now := time.Now().UTC().Truncate(time.Second)
		step := time.Duration(0) // keeps times apart
		at := func() time.Time {
			step += time.Second
			return now.Add(-hours("ago") - step)
		}
		tell := func(t *rapid.T) {
			f := fact{
				kind:    rapid.SampledFrom([]telltale.EventType{"sent", "sent", "sent", "delivered", "opened", "opened", "clicked", "converted"}).Draw(t, "kind"),
				message: rapid.IntRange(0, modelMessages-1).Draw(t, "message"), at: at(),
			}
			f.machine = f.kind != telltale.Sent && f.kind != telltale.Delivered && f.kind != telltale.Converted && rapid.Bool().Draw(t, "machine")
			twice := rapid.IntRange(0, 3).Draw(t, "twice") == 0
			for range map[bool]int{false: 1, true: 2}[twice] {
				rule.facts = append(rule.facts, f)
				e := &telltale.Event{
					ID: telltale.NewEventID(), ProjectID: p.ID, Type: f.kind, Source: "api", OccurredAt: f.at, ReceivedAt: now, UserID: fmt.Sprint(userOf(f.message)), MessageID: messageName(f.message),
					Payload: fmt.Appendf(nil, `{"type":%q,"user":{"id":%d},"campaign":{"id":%d},"message_id":%q}`, f.kind, userOf(f.message), 7+f.message%2, messageName(f.message)),
				}
				e.CampaignID = fmt.Sprint(7 + f.message%2)
				if f.message%2 == 1 {
					e.ConversionEvent = "Called"
				}
				if f.machine {
					e.Machine = &f.machine
				}
				_, err := s.AcceptEvents(ctx, telltale.Acceptance{ProjectID: p.ID, Events: []*telltale.Event{e}})
				must(err)
			}
		}
		track := func(t *rapid.T) {
			var changes []telltale.UserChange
			var want []string
			for range rapid.IntRange(1, 3).Draw(t, "events") {
				user, name := rapid.IntRange(0, 1).Draw(t, "user"), rapid.SampledFrom([]string{"bought", "called", "neither"}).Draw(t, "name")
				e := &telltale.TrackedEvent{Name: name, OccurredAt: at()}
				naming := rapid.IntRange(-modelMessages, modelMessages-1).Draw(t, "naming")
				if naming >= 0 {
					e.Message = messageName(naming)
				}
				changes = append(changes, telltale.UserChange{Kind: telltale.ChangeTrack, User: telltale.UserRef{ID: fmt.Sprint(user)}, Event: e})
				if credited := rule.credit(user, name, e.OccurredAt, naming); credited != "" {
					want = append(want, credited)
				}
			}
			changed, err := s.ChangeUsers(ctx, telltale.UserChanges{ProjectID: p.ID, Source: "track", Changes: changes})
			must(err)
			var got []string
			for _, accepted := range changed.Accepted.Events {
				e, err := s.Event(ctx, p.ID, accepted.ID)
				must(err)
				if e.Type == telltale.Converted {
					got = append(got, fmt.Sprintf("%s %s", e.MessageID, e.Credit))
				}
			}
			if !slices.Equal(got, want) {
				t.Fatalf("credited are %q, and the rule says %q, after %+v", got, want, sortedFacts(rule.facts))
			}
		}
		t.Repeat(map[string]func(*rapid.T){"tell": tell, "tell more": tell, "tell most": tell, "track": track})
	})
}

func sortedFacts(facts []fact) []fact {
	return slices.SortedFunc(slices.Values(facts), func(a, b fact) int { return cmp.Or(cmp.Compare(a.message, b.message), a.at.Compare(b.at)) })
}

func TestGoalsAreBounded(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	project := s.known.projectBySlug(telltale.DefaultProjectSlug)
	id := project.now.Load().ID
	err := s.write(t.Context(), "setting goals", 0, func(tx *tx) error {
		state := *tx.projectState(project)
		many := telltale.NewGoals()
		for i := range telltale.MaxGoals {
			many.ByCampaign = append(many.ByCampaign, telltale.Goal{CampaignID: fmt.Sprintf("%05d", i), EventName: "bought"})
		}
		state.goals = newGoals(many)
		tx.setProject(project, &state)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		campaign, event string
		want            telltale.Code
	}{{"one more", "bought", telltale.Conflict}, {"00000", "called", ""}, {"00000", "", ""}, {"one more", "bought", ""}, {"two more", "bought", telltale.Conflict}} {
		if err := s.SetGoal(t.Context(), id, telltale.Goal{CampaignID: c.campaign, EventName: c.event}); telltale.CodeOf(err) != c.want {
			t.Errorf("%s of %s: %v", c.event, c.campaign, err)
		}
	}
}

func TestGoalsOfMessagesBeyondTheBoundStillCount(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	project := s.known.projectBySlug(telltale.DefaultProjectSlug)
	id := project.now.Load().ID
	now := time.Now().UTC().Truncate(time.Second)
	events := make([]*telltale.Event, maxOwnGoals+1)
	for i := range events {
		events[i] = &telltale.Event{
			ID: telltale.NewEventID(), ProjectID: id, Type: telltale.Sent, OccurredAt: now.Add(-time.Hour), ReceivedAt: now, UserID: "5", MessageID: messageName(i),
			Payload: []byte(`{"type":"sent","user":{"id":5}}`), ConversionEvent: fmt.Sprint("goal ", i),
		}
	}
	if _, err := s.AcceptEvents(t.Context(), telltale.Acceptance{ProjectID: id, Events: events}); err != nil {
		t.Fatal(err)
	}
	change := telltale.UserChange{Kind: telltale.ChangeTrack, User: telltale.UserRef{ID: "5"}, Event: &telltale.TrackedEvent{Name: fmt.Sprint("Goal_", maxOwnGoals)}}
	changed, err := s.ChangeUsers(t.Context(), telltale.UserChanges{ProjectID: id, Changes: []telltale.UserChange{change}})
	if err != nil || changed.Results[0].Events != 2 { // user_created and converted
		t.Errorf("got %+v, %v", changed, err)
	}
}
