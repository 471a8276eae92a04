package storetest

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"telltale.example/telltale"
)

// change applies changes of the default project, without room.
func (w *world) change(changes ...telltale.UserChange) telltale.UserChanged {
	w.Helper()
	return w.changeWith(telltale.UserChanges{Changes: changes})
}

func (w *world) changeWith(c telltale.UserChanges) telltale.UserChanged {
	w.Helper()
	if c.ProjectID == "" {
		c.ProjectID = w.project.ID
	}
	if c.Source == "" {
		c.Source = "track"
	}
	changed, err := w.ChangeUsers(w.ctx, c)
	w.must(err)
	if len(changed.Results) != len(c.Changes) {
		w.Fatalf("%d changes were answered with %d", len(c.Changes), len(changed.Results))
	}
	return changed
}

// applied is change where nothing is refused.
func (w *world) applied(changes ...telltale.UserChange) telltale.UserChanged {
	w.Helper()
	changed := w.change(changes...)
	for i, r := range changed.Results {
		if r.Err != nil {
			w.Fatalf("change %d was refused: %v", i, r.Err)
		}
	}
	return changed
}

func (w *world) object(json string) telltale.Object {
	w.Helper()
	o, err := telltale.ParseObject([]byte(json))
	w.must(err)
	return o
}

// whose is a user by id, which is given as JSON.
func whose(id string) telltale.UserRef { return telltale.UserRef{ID: id} }

func byEmail(email string) telltale.UserRef { return telltale.UserRef{Email: email} }

func (w *world) identify(user telltale.UserRef, properties string) telltale.UserChange {
	w.Helper()
	return telltale.UserChange{Kind: telltale.ChangeIdentify, User: user, Data: w.object(properties)}
}

func does(kind telltale.ChangeKind, user telltale.UserRef) telltale.UserChange {
	return telltale.UserChange{Kind: kind, User: user}
}

func tagged(user telltale.UserRef, add ...string) telltale.UserChange {
	return telltale.UserChange{Kind: telltale.ChangeTags, User: user, Add: add}
}

func (w *world) tracked(user telltale.UserRef, name, data string) telltale.UserChange {
	w.Helper()
	return telltale.UserChange{Kind: telltale.ChangeTrack, User: user, Event: &telltale.TrackedEvent{Name: name, Data: w.object(data)}}
}

func reidentified(user telltale.UserRef, to string) telltale.UserChange {
	return telltale.UserChange{Kind: telltale.ChangeReidentify, User: user, NewID: to}
}

// whoIs finds a profile.
func (w *world) whoIs(user telltale.UserRef) *telltale.Profile {
	w.Helper()
	p, err := w.FindProfile(w.ctx, w.project.ID, user)
	w.must(err)
	return p
}

func (w *world) nobody(user telltale.UserRef) {
	w.Helper()
	_, err := w.FindProfile(w.ctx, w.project.ID, user)
	w.code(telltale.NotFound, err)
}

// suppressed fails the test unless the user is, for that reason and since then.
func (w *world) suppressed(user telltale.UserRef, reason telltale.Suppression, since time.Time) {
	w.Helper()
	p := w.whoIs(user)
	w.equal("why the user is suppressed", p.Suppression, reason)
	w.equal("since when", p.SuppressedAt, since)
}

func bouncedHard(e *telltale.Event) { e.Type, e.HardBounce = telltale.Bounced, true }

func happened(at time.Time) func(*telltale.Event) {
	return func(e *telltale.Event) { e.OccurredAt = at }
}

// shown is a profile as text: ids, email, properties, tags, channels.
func shown(p *telltale.Profile) string {
	s := fmt.Sprintf("%s %s", p.GivenID, p.Email)
	if len(p.FormerIDs) > 0 {
		s += " once " + strings.Join(p.FormerIDs, ",")
	}
	s += " " + string(p.Properties.AppendJSON(nil))
	if len(p.Tags) > 0 {
		s += " tags " + strings.Join(p.Tags, ",")
	}
	for _, c := range p.Channels {
		s += fmt.Sprintf(" %v", c)
	}
	if !p.Subscribed() {
		s += " unsubscribed"
	}
	return s
}

func (w *world) profiles(f telltale.ProfileFilter) []string {
	w.Helper()
	list, err := w.Profiles(w.ctx, w.project.ID, f, telltale.Page{Limit: telltale.MaxPage})
	w.must(err)
	n, more, err := w.CountProfiles(w.ctx, w.project.ID, f, telltale.MaxPage)
	w.must(err)
	if n != len(list) || more {
		w.Fatalf("%d users are listed, and counted %d, more: %v", len(list), n, more)
	}
	return ids(list, func(p *telltale.Profile) string { return p.UserID })
}

// did lists what a user did, newest first.
func (w *world) did(user telltale.UserRef) []string {
	w.Helper()
	list, err := w.TrackedEvents(w.ctx, w.project.ID, w.whoIs(user).ID, telltale.Page{Limit: telltale.MaxPage})
	w.must(err)
	return ids(list, func(e *telltale.TrackedEvent) string { return e.Name })
}

// types gives the types of all events, oldest first.
func (w *world) types() []telltale.EventType {
	w.Helper()
	events := w.events(telltale.EventFilter{})
	types := make([]telltale.EventType, len(events))
	for i, e := range events {
		types[len(types)-1-i] = e.Type
	}
	return types
}

func (w *world) payloads() []string {
	w.Helper()
	var payloads []string
	for _, e := range w.events(telltale.EventFilter{}) {
		payloads = append([]string{string(e.Payload)}, payloads...)
	}
	return payloads
}

var userTests = []test{
	{"a user who is identified has a profile, and the event that tells it", func(w *world) {
		hook := w.newWebhook(wanting(telltale.UserCreated))
		changed := w.applied(telltale.UserChange{
			Kind: telltale.ChangeIdentify, User: telltale.UserRef{ID: "7", Email: "ann@example.com"}, Data: w.object(`{"plan":"free","seats":3.0}`),
			Channels: []telltale.Channel{{Type: "push", Address: "token", Platform: "ios", Device: "phone"}, {Type: "sms", Address: "+4712345678"}}, Add: []string{"trial", "été"},
		})
		w.equal("the result", changed.Results, []telltale.UserResult{{Created: true, Events: 1}})
		w.equal("the waiting webhooks", ids(changed.Waiting, webhookID), []telltale.WebhookID{hook.ID})
		p := w.whoIs(whose("7"))
		w.equal("the profile", shown(p), `7 ann@example.com {"plan":"free","seats":3.0} tags trial,été {push token ios phone} {sms +4712345678  }`)
		w.equal("its times", []time.Time{p.CreatedAt, p.UpdatedAt, p.UnsubscribedAt}, []time.Time{milli(w.Now()), milli(w.Now()), {}})
		claim := w.claimOne(hook.ID)
		w.equal("the event", changed.Events, []telltale.AcceptedEvent{{ID: claim.Event.ID}})
		w.equal("its payload", string(claim.Event.Payload), `{"type":"user_created","user":{"plan":"free","seats":3.0,"id":7,"email":"ann@example.com"}}`)
		w.equal("its source and user", []string{claim.Event.Source, claim.Event.UserID, claim.Event.Email}, []string{"track", "7", "ann@example.com"})
		w.equal("the events of the user", len(w.events(telltale.EventFilter{Match: "7"})), 1)
	}},
	{"what changes is told, and what does not is not", func(w *world) {
		w.applied(w.identify(whose("7"), `{"plan":"free"}`))
		w.Advance(time.Minute)
		changed := w.applied(w.identify(whose("7"), `{"plan":"pro","seats":3}`), w.identify(whose("7"), `{"plan":"pro"}`))
		w.equal("the results", changed.Results, []telltale.UserResult{{Events: 1}, {}})
		w.equal("the payloads", w.payloads(), []string{
			`{"type":"user_created","user":{"plan":"free","id":7}}`,
			`{"action":"user_updated","type":"user_updated","user":{"id":7},"id":"7","changes":{"plan":"pro","seats":3}}`,
		})
		p := w.whoIs(whose("7"))
		w.equal("when it was made and changed", []time.Time{p.CreatedAt, p.UpdatedAt}, []time.Time{milli(w.Now().Add(-time.Minute)), milli(w.Now())})
	}},
	{"an id is one user as a number and as a string, and keeps its last kind", func(w *world) {
		w.applied(w.identify(whose("123"), `{}`), w.identify(whose(`"123"`), `{"a":1}`))
		w.equal("the users", w.profiles(telltale.ProfileFilter{}), []string{"123"})
		w.equal("the id", w.whoIs(whose("123.0")).GivenID, `"123"`)
		w.restart()
		w.applied(w.identify(whose("123"), `{}`))
		w.equal("the id then", w.whoIs(whose(`"123"`)).GivenID, "123")
	}},
	{"an email alone is the user whose id it is, else who has it, else a new one", func(w *world) {
		w.applied(w.identify(byEmail("new@example.com"), `{"a":1}`))
		w.equal("the new user", shown(w.whoIs(whose(`"new@example.com"`))), `"new@example.com" new@example.com {"a":1}`)

		w.applied(w.identify(telltale.UserRef{ID: "1", Email: "same@example.com"}, `{}`), w.identify(telltale.UserRef{ID: "2", Email: "same@example.com"}, `{}`))
		w.Advance(time.Second)
		w.applied(w.identify(whose("1"), `{"changed":"last"}`))
		w.Advance(time.Second)
		w.equal("who has it and was changed last", w.whoIs(byEmail("same@example.com")).UserID, "1")
		w.applied(w.identify(byEmail("same@example.com"), `{"b":2}`))
		w.equal("the user", shown(w.whoIs(whose("1"))), `1 same@example.com {"changed":"last","b":2}`)
		w.equal("the users", w.profiles(telltale.ProfileFilter{}), []string{"2", "1", "new@example.com"})

		w.applied(w.identify(whose(`"same@example.com"`), `{"c":3}`))
		w.equal("whose id it is", w.whoIs(byEmail("same@example.com")).UserID, "same@example.com")
		w.applied(w.identify(telltale.UserRef{ID: "1", Email: "other@example.com"}, `{}`))
		w.equal("who has the new email", w.whoIs(byEmail("other@example.com")).UserID, "1")
	}},
	{"of an id and an email the id decides", func(w *world) {
		w.applied(w.identify(telltale.UserRef{ID: "1", Email: "ann@example.com"}, `{}`))
		w.applied(w.identify(telltale.UserRef{ID: "2", Email: "ann@example.com"}, `{}`))
		w.equal("the users", w.profiles(telltale.ProfileFilter{}), []string{"2", "1"})
	}},
	{"projects do not know each other's users", func(w *world) {
		other := w.newProject("other")
		w.applied(w.identify(whose("7"), `{}`))
		p := w.whoIs(whose("7"))
		_, err := w.Profile(w.ctx, other.ID, p.ID)
		w.code(telltale.NotFound, err)
		_, err = w.FindProfile(w.ctx, other.ID, whose("7"))
		w.code(telltale.NotFound, err)
		changed := w.changeWith(telltale.UserChanges{ProjectID: other.ID, Changes: []telltale.UserChange{w.identify(whose("7"), `{"of":"other"}`)}})
		w.equal("the result", changed.Results, []telltale.UserResult{{Created: true, Events: 1}})
		w.equal("the user of the first", shown(w.whoIs(whose("7"))), `7  {}`)
		list, err := w.TrackedEvents(w.ctx, other.ID, p.ID, telltale.Page{Limit: 1})
		w.must(err)
		w.equal("what they did there", len(list), 0)
	}},
	{"a project, profile or user that does not exist is not found", func(w *world) {
		_, err := w.ChangeUsers(w.ctx, telltale.UserChanges{ProjectID: telltale.NewProjectID(), Changes: []telltale.UserChange{w.identify(whose("7"), `{}`)}})
		w.code(telltale.NotFound, err)
		for _, id := range []telltale.ProfileID{telltale.NewProfileID(), "", "prf_nonsense"} {
			_, err = w.Profile(w.ctx, w.project.ID, id)
			w.code(telltale.NotFound, err)
		}
		w.nobody(whose("7"))
		w.nobody(byEmail("nobody@example.com"))
	}},
	{"subscriptions change, and are told, on the transition only", func(w *world) {
		w.applied(w.identify(whose("7"), `{}`))
		w.Advance(time.Second)
		out := milli(w.Now())
		w.applied(does(telltale.ChangeUnsubscribe, whose("7")))
		w.Advance(time.Second)
		w.applied(does(telltale.ChangeUnsubscribe, whose("7")))
		w.equal("since when they are out", w.whoIs(whose("7")).UnsubscribedAt, out)
		w.applied(does(telltale.ChangeResubscribe, whose("7")), does(telltale.ChangeResubscribe, whose("7")))
		w.equal("whether they are in", w.whoIs(whose("7")).Subscribed(), true)
		w.equal("what was told", w.types(), []telltale.EventType{telltale.UserCreated, telltale.Unsubscribed, telltale.Resubscribed})
	}},
	{"the opt-out of an unknown user is kept, and respected when they are identified", func(w *world) {
		w.applied(does(telltale.ChangeUnsubscribe, byEmail("shy@example.com")))
		w.equal("whether they were identified", w.whoIs(byEmail("shy@example.com")).CreatedAt.IsZero(), true)
		w.restart()
		w.applied(w.identify(byEmail("shy@example.com"), `{"a":1}`))
		w.equal("the user", shown(w.whoIs(byEmail("shy@example.com"))), `"shy@example.com" shy@example.com {"a":1} unsubscribed`)
		w.applied(does(telltale.ChangeResubscribe, whose("9")))
		w.nobody(whose("9"))
		w.equal("what was told", w.types(), []telltale.EventType{telltale.Unsubscribed, telltale.UserCreated})
	}},
	{"tags are found, and no longer once they are removed", func(w *world) {
		w.applied(tagged(whose("1"), "vip", "trial"), tagged(whose("2"), "vip"), tagged(whose("3"), "trial"))
		w.equal("who has one", w.profiles(telltale.ProfileFilter{Tag: "vip"}), []string{"2", "1"})
		w.applied(telltale.UserChange{Kind: telltale.ChangeTags, User: whose("1"), Remove: []string{"vip"}})
		w.applied(does(telltale.ChangeUnsubscribe, whose("2")), tagged(whose("3"), "vip"))
		w.equal("who has it then", w.profiles(telltale.ProfileFilter{Tag: "vip"}), []string{"3", "2"})
		w.equal("who has it and is subscribed", w.profiles(telltale.ProfileFilter{Tag: "vip", Unsubscribed: new(bool)}), []string{"3"})
		w.equal("who has none such", w.profiles(telltale.ProfileFilter{Tag: "none"}), []string{})
		w.applied(does(telltale.ChangeDelete, whose("3")))
		w.equal("who has it after one was deleted", w.profiles(telltale.ProfileFilter{Tag: "vip"}), []string{"2"})
	}},
	{"users are found by how their id or email begins, and by their subscription", func(w *world) {
		for _, u := range []telltale.UserRef{
			{ID: `"ann"`, Email: "x@example.com"}, {ID: `"annie"`, Email: "annie@example.com"}, {ID: "4", Email: "ann@example.com"}, {ID: `"Ann"`}, {ID: `"an"`}, {ID: `"été"`},
		} {
			w.applied(w.identify(u, `{}`))
		}
		w.applied(does(telltale.ChangeUnsubscribe, whose("4")))
		out, in := true, false
		for _, of := range []struct {
			name string
			f    telltale.ProfileFilter
			want []string
		}{
			{"all", telltale.ProfileFilter{}, []string{"été", "an", "Ann", "4", "annie", "ann"}},
			{"ann", telltale.ProfileFilter{Match: "ann"}, []string{"4", "annie", "ann"}},
			{"a whole email", telltale.ProfileFilter{Match: "x@example.com"}, []string{"ann"}},
			{"another case", telltale.ProfileFilter{Match: "A"}, []string{"Ann"}},
			{"beyond ASCII", telltale.ProfileFilter{Match: "ét"}, []string{"été"}},
			{"wildcards", telltale.ProfileFilter{Match: "%"}, []string{}},
			{"ann, subscribed", telltale.ProfileFilter{Match: "ann", Unsubscribed: &in}, []string{"annie", "ann"}},
			{"unsubscribed", telltale.ProfileFilter{Unsubscribed: &out}, []string{"4"}},
			{"subscribed", telltale.ProfileFilter{Unsubscribed: &in}, []string{"été", "an", "Ann", "annie", "ann"}},
			{"ann with a tag", telltale.ProfileFilter{Match: "ann", Tag: "vip"}, []string{}},
		} {
			w.equal("the users for "+of.name, w.profiles(of.f), of.want)
		}
		list, err := w.Profiles(w.ctx, w.newProject("other").ID, telltale.ProfileFilter{Match: "ann"}, telltale.Page{Limit: 10})
		w.must(err)
		w.equal("another project's", len(list), 0)
	}},
	{"lists of users come in pages, and a count has a limit", func(w *world) {
		out := true
		for i := range 7 {
			w.applied(tagged(whose(fmt.Sprintf(`"u%d"`, i)), "all"), does(telltale.ChangeUnsubscribe, whose(fmt.Sprintf(`"u%d"`, i))))
		}
		for _, f := range []telltale.ProfileFilter{{}, {Match: "u"}, {Tag: "all"}, {Unsubscribed: &out}, {Match: "u", Tag: "all"}} {
			pages(w, func(page telltale.Page) ([]*telltale.Profile, error) { return w.Profiles(w.ctx, w.project.ID, f, page) },
				func(p *telltale.Profile) string { return string(p.ID) })
			n, more, err := w.CountProfiles(w.ctx, w.project.ID, f, 5)
			w.must(err)
			w.equal("the count up to five", []any{n, more}, []any{5, true})
		}
		_, err := w.Profiles(w.ctx, w.project.ID, telltale.ProfileFilter{}, telltale.Page{Limit: 1, After: "nonsense"})
		w.code(telltale.Invalid, err)
	}},
	{"a user gets another id, and is found by it alone", func(w *world) {
		w.applied(w.identify(telltale.UserRef{ID: `"old"`, Email: "ann@example.com"}, `{"a":1}`), w.tracked(whose(`"old"`), "signed up", `{}`))
		before := w.whoIs(whose(`"old"`))
		w.applied(reidentified(whose(`"old"`), "5"))
		w.nobody(whose(`"old"`))
		p := w.whoIs(whose(`"5"`))
		w.equal("the user", shown(p), `5 ann@example.com once old {"a":1}`)
		w.equal("the profile", p.ID, before.ID)
		w.equal("what they did", w.did(whose("5")), []string{"signed up"})
		w.applied(w.identify(whose(`"old"`), `{}`))
		w.equal("the users", w.profiles(telltale.ProfileFilter{}), []string{"old", "5"})
		w.equal("what was told", w.types(), []telltale.EventType{telltale.UserCreated, telltale.UserCreated})
	}},
	{"two users become one, who did what both did", func(w *world) {
		w.applied(
			w.identify(telltale.UserRef{ID: `"guest"`, Email: "ann@example.com"}, `{"plan":"free","from":"ad"}`), tagged(whose(`"guest"`), "new"), w.tracked(whose(`"guest"`), "looked", `{}`),
			w.identify(whose("5"), `{"plan":"pro"}`), tagged(whose("5"), "vip"), w.tracked(whose("5"), "bought", `{}`),
			w.tracked(whose(`"guest"`), "looked again", `{}`), does(telltale.ChangeUnsubscribe, whose(`"guest"`)))
		heir := w.whoIs(whose("5"))
		w.applied(reidentified(whose(`"guest"`), "5"))
		p := w.whoIs(whose("5"))
		w.equal("the user", shown(p), `5 ann@example.com once guest {"plan":"pro","from":"ad"} tags vip,new unsubscribed`)
		w.equal("the profile", p.ID, heir.ID)
		w.equal("what they did", w.did(whose("5")), []string{"looked again", "bought", "looked"})
		w.equal("the users", w.profiles(telltale.ProfileFilter{}), []string{"5"})
		w.equal("who has the guest's tag", w.profiles(telltale.ProfileFilter{Tag: "new"}), []string{"5"})
		w.equal("who has the guest's email", w.whoIs(byEmail("ann@example.com")).UserID, "5")
	}},
	{"the many things that a merged user did follow them, whatever becomes of the heir", func(w *world) {
		const many = 3500
		for _, id := range []string{"1", "2"} {
			changes := make([]telltale.UserChange, many)
			for i := range changes {
				changes[i] = w.tracked(whose(id), fmt.Sprintf("%s-%d", id, i), `{}`)
			}
			w.applied(changes...)
		}
		w.applied(w.identify(whose("3"), `{}`), reidentified(whose("1"), "2"), reidentified(whose("2"), "3"))
		count := func() int {
			n := 0
			for page := (telltale.Page{Limit: telltale.MaxPage}); ; {
				list, err := w.TrackedEvents(w.ctx, w.project.ID, w.whoIs(whose("3")).ID, page)
				w.must(err)
				if len(list) == 0 {
					return n
				}
				n += len(list)
				page.After = strconv.FormatInt(list[len(list)-1].Sequence, 10)
			}
		}
		w.restart()
		w.purge(month)
		w.equal("what the user did", count(), 2*many)
		w.applied(does(telltale.ChangeDelete, whose("3")), w.identify(whose("3"), `{}`))
		w.purge(month)
		w.equal("what a user did who is new", count(), 0)
	}},
	{"a user who is deleted is gone, and what they did", func(w *world) {
		w.applied(w.identify(whose("7"), `{"a":1}`), w.tracked(whose("7"), "bought", `{}`))
		gone := w.whoIs(whose("7"))
		changed := w.applied(does(telltale.ChangeDelete, whose("7")), does(telltale.ChangeDelete, whose("8")))
		w.equal("the results", changed.Results, []telltale.UserResult{{}, {}})
		w.nobody(whose("7"))
		w.applied(w.identify(whose("7"), `{}`))
		p := w.whoIs(whose("7"))
		w.equal("the new user", shown(p), `7  {}`)
		w.equal("what they did", w.did(whose("7")), []string{})
		if p.ID == gone.ID {
			w.Fatal("the new profile has the id of the old one")
		}
		w.equal("what was told", w.types(), []telltale.EventType{telltale.UserCreated, telltale.UserCreated})
	}},
	{"what users do is kept, with all that is known of it", func(w *world) {
		at := milli(w.Now())
		earlier := at.Add(-time.Hour)
		e := &telltale.TrackedEvent{Name: "Bought a hat", Data: w.object(`{"price":10.50,"of":["felt"]}`), OccurredAt: earlier, Message: "msg-1", CheckID: "c1"}
		changed := w.applied(
			telltale.UserChange{Kind: telltale.ChangeTrack, User: whose("7"), Event: e},
			telltale.UserChange{Kind: telltale.ChangeTrack, User: whose("7"), Event: &telltale.TrackedEvent{Name: "plain", OccurredAt: at.Add(time.Hour)}},
			telltale.UserChange{Kind: telltale.ChangeTrack, User: whose("7"), Event: &telltale.TrackedEvent{Name: "plain"}})
		w.equal("the results", changed.Results, []telltale.UserResult{{Created: true, Events: 1}, {}, {}})
		w.restart()
		list, err := w.TrackedEvents(w.ctx, w.project.ID, w.whoIs(whose("7")).ID, telltale.Page{Limit: 10})
		w.must(err)
		w.equal("how many", len(list), 3)
		got := list[2]
		w.equal("the first", []any{got.Name, string(got.Data.AppendJSON(nil)), got.OccurredAt, got.ReceivedAt, got.Message, got.CheckID},
			[]any{"Bought a hat", `{"price":10.50,"of":["felt"]}`, earlier, at, "msg-1", "c1"})
		for _, got := range list[:2] {
			w.equal("when the others happened", []time.Time{got.OccurredAt, got.ReceivedAt}, []time.Time{at, at})
		}
		if !(list[0].Sequence > list[1].Sequence && list[1].Sequence > list[2].Sequence) {
			w.Fatal("the sequence does not rise")
		}
		w.equal("what was told", w.types(), []telltale.EventType{telltale.UserCreated})
	}},
	{"lists of what a user did come in pages", func(w *world) {
		for i := range 7 {
			w.applied(w.tracked(whose("7"), fmt.Sprint("event ", i), `{}`), w.tracked(whose("8"), "other", `{}`))
		}
		id := w.whoIs(whose("7")).ID
		pages(w, func(page telltale.Page) ([]*telltale.TrackedEvent, error) {
			return w.TrackedEvents(w.ctx, w.project.ID, id, page)
		},
			func(e *telltale.TrackedEvent) string { return strconv.FormatInt(e.Sequence, 10) })
		_, err := w.TrackedEvents(w.ctx, w.project.ID, id, telltale.Page{Limit: 1, After: "nonsense"})
		w.code(telltale.Invalid, err)
	}},
	{"an event that is tracked again within the window changes nothing", func(w *world) {
		const window = 5 * time.Minute
		track := func(c telltale.UserChange) telltale.UserResult {
			w.Helper()
			return w.changeWith(telltale.UserChanges{RepeatWindow: window, Changes: []telltale.UserChange{c}}).Results[0]
		}
		w.equal("the first", track(w.tracked(whose("7"), "Bought it", `{"price":10}`)), telltale.UserResult{Created: true, Events: 1})
		w.Advance(window - time.Second)
		w.restart()
		w.equal("the same in other words", track(w.tracked(whose(`"7"`), "bought_it", `{"price":10.0}`)), telltale.UserResult{Repeated: true})
		w.equal("the id", w.whoIs(whose("7")).GivenID, "7")
		w.equal("other data", track(w.tracked(whose("7"), "Bought it", `{"price":11}`)), telltale.UserResult{})
		w.equal("another user", track(w.tracked(whose("8"), "Bought it", `{"price":10}`)), telltale.UserResult{Created: true, Events: 1})
		w.Advance(time.Second)
		w.equal("the same after the window", track(w.tracked(whose("7"), "Bought it", `{"price":10}`)), telltale.UserResult{Events: 0})
		changed := w.changeWith(telltale.UserChanges{RepeatWindow: window, Changes: []telltale.UserChange{
			w.tracked(whose("7"), "twice in a call", `{}`), w.tracked(whose("7"), "twice in a call", `{}`),
		}})
		w.equal("the second of a call", changed.Results[1], telltale.UserResult{Repeated: true})
		changed = w.changeWith(telltale.UserChanges{Changes: []telltale.UserChange{w.tracked(whose("7"), "twice in a call", `{}`), w.tracked(whose("7"), "twice in a call", `{}`)}})
		w.equal("without a window", changed.Results, []telltale.UserResult{{}, {}})
		w.equal("what they did", w.did(whose("7")), []string{"twice in a call", "twice in a call", "twice in a call", "Bought it", "Bought it", "Bought it"})
	}},
	{"a change that breaks a bound is refused, and its neighbours are not", func(w *world) {
		many := make([]string, telltale.MaxTags+1)
		for i := range many {
			many[i] = fmt.Sprint("tag-", i)
		}
		long := strings.Repeat("x", telltale.MaxIDChars+1)
		changed := w.change(
			w.identify(whose("1"), `{}`), tagged(whose("1"), many...), w.identify(telltale.UserRef{ID: "1", Email: long}, `{}`),
			w.identify(whose("2"), `{}`), w.tracked(telltale.UserRef{ID: "3", Email: long}, "did", `{}`))
		for i, r := range changed.Results {
			if refused := []bool{false, true, true, false, true}[i]; telltale.CodeOf(r.Err) == telltale.Invalid != refused {
				w.Fatalf("change %d is answered %+v", i, r)
			}
		}
		w.equal("the users", w.profiles(telltale.ProfileFilter{}), []string{"2", "1"})
		w.equal("the first", shown(w.whoIs(whose("1"))), `1  {}`)
		w.equal("what was told", w.types(), []telltale.EventType{telltale.UserCreated, telltale.UserCreated})

		half := strings.Repeat("x", telltale.MaxProfileBytes/2)
		changed = w.change(w.identify(whose("1"), `{"a":"`+half+`"}`), w.identify(whose("1"), `{"b":"`+half+`"}`), w.identify(whose("1"), `{"c":1}`))
		w.code(telltale.Invalid, changed.Results[1].Err)
		w.equal("the properties that fit", w.whoIs(whose("1")).Properties.Len(), 2)
	}},
	{"a refused event can be tracked again once it is right", func(w *world) {
		c := w.tracked(telltale.UserRef{ID: "7", Email: strings.Repeat("x", telltale.MaxIDChars+1)}, "did", `{}`)
		changes := telltale.UserChanges{RepeatWindow: time.Minute, Changes: []telltale.UserChange{c}}
		w.code(telltale.Invalid, w.changeWith(changes).Results[0].Err)
		changes.Changes[0].User.Email = ""
		w.equal("the result", w.changeWith(changes).Results[0], telltale.UserResult{Created: true, Events: 1})
	}},
	{"each change of a call sees what those before it did", func(w *world) {
		shared := func(id string) telltale.UserChange {
			return w.identify(telltale.UserRef{ID: id, Email: "same@example.com"}, `{}`)
		}
		for _, of := range []struct {
			name    string
			changes []telltale.UserChange
			want    []string
		}{
			{"who has the email changes it", []telltale.UserChange{w.identify(telltale.UserRef{ID: "2", Email: "other@example.com"}, `{}`), w.identify(byEmail("same@example.com"), `{"found":1}`)},
				[]string{`2 other@example.com {}`, `1 same@example.com {"found":1}`}},
			{"who has the email goes", []telltale.UserChange{does(telltale.ChangeDelete, whose("2")), w.identify(byEmail("same@example.com"), `{"found":1}`)},
				[]string{`1 same@example.com {"found":1}`}},
			{"both go", []telltale.UserChange{does(telltale.ChangeDelete, whose("2")), does(telltale.ChangeDelete, whose("1")), w.identify(byEmail("same@example.com"), `{"found":1}`)},
				[]string{`"same@example.com" same@example.com {"found":1}`}},
			{"both change it", []telltale.UserChange{
				w.identify(telltale.UserRef{ID: "2", Email: "b@example.com"}, `{}`), w.identify(byEmail("same@example.com"), `{"found":1}`),
				w.identify(telltale.UserRef{ID: "1", Email: "a@example.com"}, `{}`), w.identify(byEmail("b@example.com"), `{"found":2}`), w.identify(byEmail("a@example.com"), `{"found":3}`),
			}, []string{`2 b@example.com {"found":2}`, `1 a@example.com {"found":3}`}},
			{"they exchange their ids", []telltale.UserChange{
				w.identify(whose("1"), `{"first":true}`), reidentified(whose("1"), "3"), reidentified(whose("2"), "1"), reidentified(whose("3"), "2"), tagged(whose("2"), "first"),
			}, []string{`1 same@example.com once 2 {}`, `2 same@example.com once 3,1 {"first":true} tags first`}},
			{"a new user takes the id of one who got another", []telltale.UserChange{reidentified(whose("1"), "3"), w.identify(whose("1"), `{"new":true}`), reidentified(whose("2"), "1")},
				[]string{`1 same@example.com once 2 {"new":true}`, `3 same@example.com once 1 {}`}},
			{"one comes and goes", []telltale.UserChange{w.identify(whose("9"), `{"new":true}`), w.tracked(whose("9"), "came", `{}`), reidentified(whose("9"), "1"), does(telltale.ChangeDelete, whose("2"))},
				[]string{`1 same@example.com once 9 {"new":true}`}},
		} {
			w.project = w.newProject(strings.ReplaceAll(of.name, " ", "-"))
			w.applied(shared("1"), shared("2"))
			w.applied(of.changes...)
			list, err := w.Profiles(w.ctx, w.project.ID, telltale.ProfileFilter{}, telltale.Page{Limit: 10})
			w.must(err)
			got := ids(list, shown)
			for i := range got {
				got[i] = strings.TrimRight(got[i], " ")
			}
			w.equal("the users if "+of.name, got, of.want)
		}
		w.equal("what they did", w.did(whose("1")), []string{"came"})
	}},
	{"what comes of changes is born claimed, as far as there is room", func(w *world) {
		w.newWebhook(wanting(telltale.UserCreated))
		r := newRoom(2)
		changed := w.changeWith(telltale.UserChanges{Room: r, Changes: []telltale.UserChange{w.identify(whose("1"), `{}`), w.identify(whose("2"), `{}`), w.identify(whose("3"), `{}`)}})
		w.equal("claims, events, room", []int{len(changed.Claims), len(changed.Events), r.total()}, []int{2, 3, 2})
		w.equal("the claimed events", ids(changed.Claims, claimEventID), []telltale.EventID{changed.Events[0].ID, changed.Events[1].ID})
		for _, c := range changed.Claims {
			w.finish(c)
		}
	}},
	{"a crash leaves profiles and their events together", func(w *world) {
		w.newWebhook()
		for i := range 20 {
			w.applied(w.identify(whose("7"), fmt.Sprintf(`{"n":%d}`, i)), w.tracked(whose("7"), fmt.Sprint("did ", i), `{}`))
			if i%7 == 0 {
				w.restart()
			}
		}
		w.restart()
		w.equal("the property", w.whoIs(whose("7")).Properties.Get("n"), "19")
		w.equal("the events", len(w.events(telltale.EventFilter{})), 20)
		w.equal("the deliveries", len(w.deliveries(telltale.DeliveryFilter{})), 20)
		w.equal("what they did", len(w.did(whose("7"))), 20)
	}},
	{"of what many change of one user at once, nothing is lost and nothing told twice", func(w *world) {
		hook := w.newWebhook()
		const callers, calls = 20, 10
		var created, events atomic.Int64
		together(callers, func(i int) {
			for n := range calls {
				changed, err := w.ChangeUsers(w.ctx, telltale.UserChanges{ProjectID: w.project.ID, Source: "track", RepeatWindow: time.Minute, Changes: []telltale.UserChange{
					w.identify(whose("7"), fmt.Sprintf(`{"caller_%d":%d}`, i, n)),
					tagged(whose("7"), fmt.Sprintf("tag-%d-%d", i, n)),
					w.tracked(whose("7"), fmt.Sprintf("did %d", n), `{}`), // once for all callers
				}})
				if err != nil {
					w.Errorf("changing: %v", err)
					return
				}
				for _, r := range changed.Results {
					if r.Created {
						created.Add(1)
					}
					events.Add(int64(r.Events))
				}
			}
		})
		p := w.whoIs(whose("7"))
		w.equal("properties and tags", []int{p.Properties.Len(), len(p.Tags)}, []int{callers, callers * calls})
		for i := range callers {
			w.equal("the last value of each caller", p.Properties.Get(fmt.Sprintf("caller_%d", i)), fmt.Sprint(calls-1))
		}
		w.equal("made, told, stored", []int64{created.Load(), events.Load(), int64(len(w.events(telltale.EventFilter{})))}, []int64{1, 2 * callers * calls, 2 * callers * calls})
		w.equal("deliveries", len(w.claim(hook.ID, 1000)), 2*callers*calls)
		w.equal("what they did", len(w.did(whose("7"))), calls)

		// The events, one after the other, add up to the profile.
		values := map[string]string{}
		tags := 0
		for _, payload := range w.payloads() {
			o := w.object(payload)
			of := w.object(o.Get("user"))
			if o.Has("changes") {
				of = w.object(o.Get("changes"))
			}
			for name, value := range of.All() {
				switch name {
				case "_tags":
					tags += strings.Count(value, `"tag-`)
				case "id":
				default:
					values[name] = value
				}
			}
		}
		w.equal("the tags that were told", tags, callers*calls)
		for name, value := range p.Properties.All() {
			w.equal("what was told last of "+name, values[name], value)
		}
	}},
	{"an event that says that a user opted out, or in, changes their profile", func(w *world) {
		w.applied(w.identify(telltale.UserRef{ID: "7", Email: "ann@example.com"}, `{}`), w.identify(telltale.UserRef{ID: "8", Email: "bob@example.com"}, `{}`))
		w.Advance(time.Hour)
		at := milli(w.Now().Add(-time.Minute))
		out := w.newEvent(ofType(telltale.Unsubscribed), ofUser("7", "ann@example.com", ""), happened(at), called("out", "1"))
		w.accept(out, w.newEvent(ofType(telltale.Unsubscribed), ofUser("", "bob@example.com", ""), happened(at)), w.newEvent(ofType(telltale.Complained), ofUser("9", "", "")))
		for _, id := range []string{"7", "8"} {
			w.equal("since when they are out", w.whoIs(whose(id)).UnsubscribedAt, at)
		}
		w.nobody(whose("9"))
		w.accept(w.newEvent(ofType(telltale.Unsubscribed), ofUser("10", "carl@example.com", "")))
		w.nobody(whose("10"))

		w.accept(w.newEvent(ofType(telltale.Resubscribed), ofUser("7", "", ""), happened(at.Add(-time.Minute))))
		w.equal("whether they are in by what was before", w.whoIs(whose("7")).Subscribed(), false)
		w.accept(w.newEvent(ofType(telltale.Resubscribed), ofUser("7", "", ""), happened(at.Add(time.Second))))
		w.equal("whether they are in", w.whoIs(whose("7")).Subscribed(), true)
		w.equal("whether it was a repetition", w.accept(w.newEvent(ofType(telltale.Unsubscribed), ofUser("7", "", ""), called("out", "1"))).Events[0].Duplicate, true)
		w.equal("whether they are in after it", w.whoIs(whose("7")).Subscribed(), true)
		w.equal("who is out", w.profiles(telltale.ProfileFilter{Unsubscribed: new(true)}), []string{"8"})
	}},
	{"a hard bounce or a complaint suppresses the user who has a profile, and tells nobody", func(w *world) {
		ann, bob := telltale.UserRef{ID: "7", Email: "ann@example.com"}, telltale.UserRef{ID: "8", Email: "bob@example.com"}
		w.applied(w.identify(ann, `{"plan":"free"}`), tagged(ann, "vip"), w.identify(bob, `{}`))
		w.newWebhook()
		before := len(w.events(telltale.EventFilter{}))
		w.Advance(time.Hour)
		at := milli(w.Now().Add(-time.Minute))
		accepted := w.accept(
			w.newEvent(bouncedHard, ofUser("7", "ann@example.com", ""), happened(at)),
			w.newEvent(ofType(telltale.Bounced), ofUser("8", "bob@example.com", ""), happened(at)),
			w.newEvent(ofType(telltale.Complained), ofUser("9", "eve@example.com", ""), happened(at)),
		)
		w.equal("the events", len(w.events(telltale.EventFilter{})), before+len(accepted.Events))
		w.nobody(whose("9"))
		w.suppressed(ann, telltale.SuppressedBounced, at)
		w.suppressed(bob, "", time.Time{})
		p := w.whoIs(ann)
		w.equal("the user", shown(p), `7 ann@example.com {"plan":"free"} tags vip`)
		w.equal("when the user was changed", p.UpdatedAt, milli(w.Now()))
		w.restart()
		w.equal("the user after a restart", w.whoIs(ann), p)
		listed, err := w.Profiles(w.ctx, w.project.ID, telltale.ProfileFilter{Match: "7"}, telltale.Page{Limit: 1})
		w.must(err)
		w.equal("the user in the list", listed, []*telltale.Profile{p})

		w.accept(w.newEvent(ofType(telltale.Complained), ofUser("", "bob@example.com", ""), happened(at)))
		w.suppressed(bob, telltale.SuppressedComplained, at)
		w.equal("whether they are subscribed", w.whoIs(bob).Subscribed(), true)
	}},
	{"a complaint outweighs a bounce, of one reason the first time stays, and a repetition changes nothing", func(w *world) {
		ann := telltale.UserRef{ID: "7", Email: "ann@example.com"}
		w.applied(w.identify(ann, `{}`))
		w.Advance(time.Hour)
		at := milli(w.Now().Add(-time.Minute))
		of := ofUser("7", "ann@example.com", "")
		w.accept(w.newEvent(bouncedHard, of, happened(at), called("b", "1")), w.newEvent(bouncedHard, of, happened(at.Add(time.Second))))
		w.suppressed(ann, telltale.SuppressedBounced, at)
		w.accept(w.newEvent(ofType(telltale.Complained), of, happened(at.Add(-time.Second))))
		w.suppressed(ann, telltale.SuppressedComplained, at.Add(-time.Second))
		w.accept(w.newEvent(bouncedHard, of, happened(at.Add(-time.Minute))))
		w.suppressed(ann, telltale.SuppressedComplained, at.Add(-time.Second))

		w.applied(does(telltale.ChangeResubscribe, ann))
		w.suppressed(ann, "", time.Time{})
		w.equal("whether it was a repetition", w.accept(w.newEvent(bouncedHard, of, happened(at), called("b", "1"))).Events[0].Duplicate, true)
		w.suppressed(ann, "", time.Time{})
	}},
	{"who opts in again is suppressed no more, and another address has not bounced", func(w *world) {
		ann := telltale.UserRef{ID: "7", Email: "ann@example.com"}
		w.applied(w.identify(ann, `{}`))
		w.Advance(time.Hour)
		at := milli(w.Now().Add(-time.Minute))
		of := ofUser("7", "ann@example.com", "")
		w.accept(w.newEvent(ofType(telltale.Complained), of, happened(at)), w.newEvent(ofType(telltale.Unsubscribed), of, happened(at)))
		w.accept(w.newEvent(ofType(telltale.Resubscribed), of, happened(at.Add(-time.Second))))
		w.suppressed(ann, telltale.SuppressedComplained, at)
		w.accept(w.newEvent(ofType(telltale.Resubscribed), of, happened(at.Add(time.Second))))
		w.suppressed(ann, "", time.Time{})
		w.equal("whether they are subscribed", w.whoIs(ann).Subscribed(), true)

		w.accept(w.newEvent(bouncedHard, of, happened(at)))
		w.suppressed(ann, telltale.SuppressedBounced, at)
		w.applied(w.identify(telltale.UserRef{ID: "7", Email: "ann@example.org"}, `{}`))
		w.suppressed(ann, "", time.Time{})
		w.accept(w.newEvent(bouncedHard, of, happened(at)))
		w.suppressed(ann, "", time.Time{})
	}},
	{"what else becomes of a user leaves the suppression, and who takes the profile over takes it over", func(w *world) {
		ann := telltale.UserRef{ID: "7", Email: "ann@example.com"}
		w.applied(w.identify(ann, `{}`))
		at := milli(w.Now())
		w.accept(w.newEvent(bouncedHard, ofUser("7", "ann@example.com", "")))
		w.applied(w.identify(ann, `{"plan":"pro"}`), tagged(ann, "vip"), w.tracked(ann, "bought", `{}`), does(telltale.ChangeUnsubscribe, ann), reidentified(ann, "8"))
		w.suppressed(whose("8"), telltale.SuppressedBounced, at)
		w.applied(w.identify(whose("9"), `{}`), reidentified(whose("8"), "9"))
		w.suppressed(whose("9"), telltale.SuppressedBounced, at)
		w.applied(does(telltale.ChangeDelete, whose("9")), w.identify(telltale.UserRef{ID: "9", Email: "ann@example.com"}, `{}`))
		w.suppressed(whose("9"), "", time.Time{})
	}},
	{"projects do not suppress each other's users", func(w *world) {
		other := w.newProject("other")
		w.applied(w.identify(whose("7"), `{}`))
		e := w.newEvent(ofType(telltale.Complained), ofUser("7", "", ""), func(e *telltale.Event) { e.ProjectID = other.ID })
		_, err := w.AcceptEvents(w.ctx, telltale.Acceptance{ProjectID: other.ID, Events: []*telltale.Event{e}})
		w.must(err)
		w.suppressed(whose("7"), "", time.Time{})
	}},
	{"users stay when what they did is old, which goes", func(w *world) {
		w.applied(w.tracked(whose("7"), "long ago", `{}`))
		w.Advance(20 * 24 * time.Hour)
		w.applied(w.tracked(whose("7"), "lately", `{}`))
		w.Advance(11 * 24 * time.Hour)
		w.purge(telltale.Retention{})
		w.equal("what they did, if all is kept", w.did(whose("7")), []string{"lately", "long ago"})
		w.purge(month)
		w.equal("what they did", w.did(whose("7")), []string{"lately"})
		w.Advance(time.Duration(math.MaxInt32) * time.Second)
		w.purge(month)
		w.equal("what they did then", w.did(whose("7")), []string{})
		w.equal("the users", w.profiles(telltale.ProfileFilter{}), []string{"7"})
		w.restart()
		w.applied(w.tracked(whose("7"), "again", `{}`))
		w.equal("what they did in the end", w.did(whose("7")), []string{"again"})
	}},
}
