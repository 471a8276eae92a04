package ingest

import (
	"context"
	"fmt"
	"slices"

	"telltale.example/telltale"
)

// complete gives the activities with what they lack filled in: from what was
// said of their message earlier in the request, else from the message as it is
// stored, then from the user's profile; where nobody knows the id, the email
// doubles as one. Those of which nothing is lacking cost no read, and the others
// one for all messages and one for all users. What came in is not changed: its
// hash tells a repetition.
func (in *Ingest) complete(ctx context.Context, project telltale.ProjectID, activities []telltale.Activity) ([]telltale.Activity, error) {
	c := completion{activities: activities}
	if ids := c.unknownMessages(); len(ids) > 0 {
		stored, err := in.store.Messages(ctx, project, ids)
		if err != nil {
			return nil, fmt.Errorf("ingest: looking for %d messages of project %s: %w", len(ids), project, err)
		}
		c.fromMessages(ids, stored)
	} else if c.lacking {
		c.fromMessages(nil, nil)
	}
	if users := c.halfUsers(); len(users) > 0 {
		profiles, err := in.store.ProfilesByRef(ctx, project, users)
		if err != nil {
			return nil, fmt.Errorf("ingest: looking for %d users of project %s: %w", len(users), project, err)
		}
		c.fromProfiles(profiles)
	}
	return c.activities, nil
}

// completion is the activities of a request on their way.
type completion struct {
	activities []telltale.Activity
	copied     bool  // and so may be changed
	lacking    bool  // some may be completed
	half       []int // those whose users want a profile
}

// change gives an activity that may be changed.
func (c *completion) change(i int) *telltale.Activity {
	if !c.copied {
		c.activities, c.copied = slices.Clone(c.activities), true
	}
	c.activities[i] = c.activities[i].Clone()
	return &c.activities[i]
}

// messageIDs are the ids that an activity names its message by.
func messageIDs(a *telltale.Activity) (ids []string) {
	if !a.Type.OfMessage() {
		return nil
	}
	id, provider := a.MessageID(), telltale.CanonicalMessageID(a.ProviderMessageID)
	if id != "" {
		ids = append(ids, id)
	}
	if provider != "" && provider != id {
		ids = append(ids, provider)
	}
	return ids
}

// unknownMessages gives the ids of messages that have to be looked for: those of
// activities that lack something which no activity before them says.
func (c *completion) unknownMessages() (ids []string) {
	var whole, wanted map[string]bool
	for i := range c.activities {
		a := &c.activities[i]
		if a.Whole() {
			if len(c.activities) > 1 {
				for _, id := range messageIDs(a) {
					if whole == nil {
						whole = map[string]bool{}
					}
					whole[id] = true
				}
			}
			continue
		}
		c.lacking = true
		names := messageIDs(a)
		if slices.ContainsFunc(names, func(id string) bool { return whole[id] }) {
			continue
		}
		for _, id := range names {
			if wanted == nil {
				wanted = map[string]bool{}
			}
			if !wanted[id] {
				ids, wanted[id] = append(ids, id), true
			}
		}
	}
	return ids
}

// fromMessages completes activities from what came before them in the request,
// and then from what is stored of their messages.
func (c *completion) fromMessages(ids []string, messages []*telltale.Message) {
	stored := make(map[string]*telltale.Message, len(ids))
	for i, id := range ids {
		stored[id] = messages[i]
	}
	said := map[string]*telltale.Message{}
	for i := range c.activities {
		names := messageIDs(&c.activities[i])
		for _, known := range []map[string]*telltale.Message{said, stored} {
			for _, id := range names {
				if m := known[id]; m != nil && !c.activities[i].Whole() {
					c.change(i).CompleteFrom(m)
				}
			}
		}
		if len(c.activities) == 1 {
			break
		}
		a := &c.activities[i]
		for _, id := range append(names, messageIDs(a)...) {
			if said[id] == nil || a.Type == telltale.Sent {
				said[id] = a.Message()
			}
		}
	}
}

// halfUsers gives the users of whom the id or the email is lacking.
func (c *completion) halfUsers() (users []telltale.UserRef) {
	if !c.lacking {
		return nil
	}
	for i := range c.activities {
		a := &c.activities[i]
		if id, email := a.UserID(), a.Email(); !a.Whole() && (id == "") != (email == "") {
			ref := telltale.UserRef{Email: email}
			if id != "" {
				ref.ID = a.User.Get("id")
			}
			users, c.half = append(users, ref), append(c.half, i)
		}
	}
	return users
}

func (c *completion) fromProfiles(profiles []*telltale.Profile) {
	for n, i := range c.half {
		a := c.change(i)
		if p := profiles[n]; p != nil {
			a.User.Complete(p.User())
		}
		if a.UserID() == "" {
			a.User.SetString("id", a.Email())
		}
	}
}
