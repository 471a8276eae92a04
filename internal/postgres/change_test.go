package postgres

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"telltale.example/telltale"
)

// changeOn has a store apply changes, of which none is refused.
func (p *pair) changeOn(s *Store, changes ...telltale.UserChange) (telltale.UserChanged, error) {
	changed, err := s.ChangeUsers(p.Context(), telltale.UserChanges{ProjectID: p.project.ID, Source: "track", Changes: changes, RepeatWindow: time.Minute})
	if err != nil {
		return changed, err
	}
	for i, r := range changed.Results {
		if r.Err != nil {
			return changed, fmt.Errorf("change %d was refused: %w", i, r.Err)
		}
	}
	return changed, nil
}

func (p *pair) allCameThrough(errs []error) {
	p.Helper()
	for i, err := range errs {
		if err != nil {
			p.Fatalf("contender %d: %v", i, err)
		}
	}
}

func (p *pair) object(json string) telltale.Object {
	p.Helper()
	o, err := telltale.ParseObject([]byte(json))
	p.must(err)
	return o
}

// kinds counts the events of each type and user.
func (p *pair) kinds() map[string]int {
	p.Helper()
	kinds := map[string]int{}
	for page := (telltale.Page{Limit: telltale.MaxPage}); ; {
		events, err := p.a.Events(p.Context(), p.project.ID, telltale.EventFilter{}, page)
		p.must(err)
		if len(events) == 0 {
			return kinds
		}
		for _, e := range events {
			kinds[string(e.Type)+" "+e.UserID]++
		}
		page.After = string(events[len(events)-1].ID)
	}
}

func identifies(id string, properties telltale.Object) telltale.UserChange {
	return telltale.UserChange{Kind: telltale.ChangeIdentify, User: telltale.NamedUser(id, ""), Data: properties}
}

func becomes(id, other string) telltale.UserChange {
	return telltale.UserChange{Kind: telltale.ChangeReidentify, User: telltale.NamedUser(id, ""), NewID: `"` + other + `"`}
}

func does(id, what string) telltale.UserChange {
	return telltale.UserChange{Kind: telltale.ChangeTrack, User: telltale.NamedUser(id, ""), Event: &telltale.TrackedEvent{Name: what}}
}

func TestOfWhatTwoNodesChangeOfOneUserNothingIsLost(t *testing.T) {
	p := newPair(t)
	const contenders, calls = 8, 25
	p.allCameThrough(p.race(contenders, func(s *Store, i int) error {
		for n := range calls {
			guest := fmt.Sprintf("guest-%d", n%3) // whom others make and merge at the same time
			var properties telltale.Object
			properties.SetInt(fmt.Sprintf("caller_%d", i), int64(n))
			_, err := p.changeOn(s, identifies("7", properties), telltale.UserChange{Kind: telltale.ChangeTags, User: telltale.NamedUser("7", ""), Add: []string{fmt.Sprintf("tag-%d-%d", i, n)}},
				does(guest, fmt.Sprintf("looked %d %d", i, n)))
			if err != nil {
				return err
			}
			if _, err := p.changeOn(s, becomes(guest, "7")); err != nil {
				return err
			}
		}
		return nil
	}))
	seven, err := p.b.FindProfile(t.Context(), p.project.ID, telltale.NamedUser("7", ""))
	p.must(err)
	if seven.Properties.Len() != contenders || len(seven.Tags) != contenders*calls {
		t.Errorf("the user has %d properties and %d tags", seven.Properties.Len(), len(seven.Tags))
	}
	for name, value := range seven.Properties.All() {
		if value != fmt.Sprint(calls-1) {
			t.Errorf("%s is %s", name, value)
		}
	}
	if n := p.count(`SELECT count(*) FROM tracked_event WHERE profile = (SELECT number FROM profile WHERE user_id = '7')`); n != contenders*calls {
		t.Errorf("the user did %d things", n)
	}
	if n := p.count(`SELECT count(*) FROM profile`); n != 1 {
		t.Errorf("%d profiles are left", n)
	}
	kinds := p.kinds()
	if kinds["user_created 7"] != 1 || kinds["user_updated 7"] != 2*contenders*calls-1 {
		t.Errorf("told of the user: %v", kinds)
	}
	if n := p.count(`SELECT count(*) FROM delivery`); n != p.count(`SELECT count(*) FROM event`) {
		t.Errorf("%d deliveries were made", n)
	}
}

func TestTwoNodesMakeAUserOnce(t *testing.T) {
	p := newPair(t)
	for round := range 10 {
		id := fmt.Sprintf("user-%d", round)
		created := make([]int, 8)
		p.allCameThrough(p.race(len(created), func(s *Store, i int) error {
			changed, err := p.changeOn(s, identifies("other-"+fmt.Sprint(i%2), telltale.Object{}), identifies(id, telltale.Object{}), does(id, "came"))
			for _, r := range changed.Results[1:] {
				if r.Created {
					created[i]++
				}
			}
			return err
		}))
		if sum := slices.Sorted(slices.Values(created)); sum[len(sum)-1] != 1 || sum[len(sum)-2] != 0 {
			t.Fatalf("the user was made by %v", created)
		}
		if n := p.count(`SELECT count(*) FROM tracked_event t JOIN profile p ON p.number = t.profile WHERE p.user_id = $1`, id); n != 1 {
			t.Fatalf("the user did the same %d times", n)
		}
	}
	for kind, n := range p.kinds() {
		if strings.HasPrefix(kind, "user_created ") && n != 1 {
			t.Errorf("%s: %d times", kind, n)
		}
	}
}

// Those who merge users, in whichever direction, and those who accept events that
// suppress them, in whichever order, do not keep each other from it.
func TestTwoNodesThatChangeTheSameUsersDoNotBlockEachOther(t *testing.T) {
	p := newPair(t)
	users := []string{"a", "b", "c", "d", "e"}
	var all []telltale.UserChange
	for _, id := range users {
		all = append(all, identifies(id, p.object(`{"plan":"free"}`)))
	}
	_, err := p.changeOn(p.a, all...)
	p.must(err)
	began := time.Now()
	p.allCameThrough(p.race(8, func(s *Store, i int) error {
		for n := range 25 {
			some := slices.Clone(users)
			if i%4 >= 2 {
				slices.Reverse(some)
			}
			if i%4 == 0 || i%4 == 3 {
				events := p.events(len(some))
				for j, e := range events {
					e.Type, e.UserID, e.Email = telltale.Complained, some[j], ""
					e.CallerID = ""
				}
				if _, err := s.AcceptEvents(p.Context(), telltale.Acceptance{ProjectID: p.project.ID, Events: events}); err != nil {
					return err
				}
				continue
			}
			from, to := some[n%5], some[(n+1)%5]
			if _, err := p.changeOn(s, becomes(from, to), identifies(from, telltale.Object{}), identifies(to, telltale.Object{})); err != nil {
				return err
			}
		}
		return nil
	}))
	if took := time.Since(began); took > 30*time.Second {
		t.Errorf("it took %v", took)
	}
	if n := p.count(`SELECT count(*) FROM profile`); n != len(users) {
		t.Errorf("%d profiles are left", n)
	}
	if n := p.count(`SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()`); n != 0 {
		t.Errorf("the server ended %d deadlocks", n)
	}
}

// Of two users with one email either may convert a message to it.
func TestTwoNodesConvertAMessageOnce(t *testing.T) {
	p := newPair(t)
	p.must(p.a.SetGoal(t.Context(), p.project.ID, telltale.Goal{CampaignID: "9", EventName: "bought"}))
	const users = 6
	var all []telltale.UserChange
	for i := range users {
		all = append(all, telltale.UserChange{Kind: telltale.ChangeIdentify, User: telltale.NamedUser(fmt.Sprint("user-", i), "ann@example.com")})
	}
	_, err := p.changeOn(p.a, all...)
	p.must(err)
	for round := range 5 {
		activity, err := telltale.ParseActivity(fmt.Appendf(nil, `{"type":"sent","sent_at":%d,"user":{"email":"ann@example.com"},"campaign":{"id":9,"name":"Spring"},"message_id":"m-%d"}`,
			p.clock.Now().Unix()-60, round), "body")
		p.must(err)
		sent, faults := activity.Event(p.project.ID, "api", p.clock.Now())
		if len(faults) > 0 {
			t.Fatal(faults)
		}
		_, err = p.a.AcceptEvents(t.Context(), telltale.Acceptance{ProjectID: p.project.ID, Events: []*telltale.Event{sent}})
		p.must(err)
		p.allCameThrough(p.race(users, func(s *Store, i int) error {
			_, err := p.changeOn(s, does(fmt.Sprint("user-", i), "bought"))
			return err
		}))
		p.advance(2 * time.Minute)
	}
	converted, err := p.a.Events(t.Context(), p.project.ID, telltale.EventFilter{Type: telltale.Converted}, telltale.Page{Limit: 100})
	p.must(err)
	messages := map[string]int{}
	for _, e := range converted {
		messages[e.MessageID]++
	}
	if len(converted) != 5 || len(messages) != 5 {
		t.Errorf("converted are %v", messages)
	}
}
