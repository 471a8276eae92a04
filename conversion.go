package telltale

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Goal is the event that a campaign is to bring about. A message may carry a
// goal of its own ([Message.Goal]), which goes before its campaign's.
type Goal struct {
	CampaignID string // as text, 1 to [MaxIDChars] characters
	EventName  string // as given, likewise; compared by [EventName]
	UpdatedAt  time.Time
}

// Goals is a project's goals, and within which time of a message its goal counts.
type Goals struct {
	ByCampaign []Goal // by campaign id
	// ViewWindow bounds conversions of messages that were opened only, Window all
	// others. Both count from when the message was sent, [MinConversionWindow] to [MaxConversionWindow].
	Window     time.Duration
	ViewWindow time.Duration
}

// Bounds of goals.
const (
	MinConversionWindow     = time.Minute
	DefaultConversionWindow = 30 * 24 * time.Hour
	MaxConversionWindow     = 365 * 24 * time.Hour
	MaxGoals                = 10_000 // in a project
)

// NewGoals are those of a project that has set none.
func NewGoals() Goals {
	return Goals{Window: DefaultConversionWindow, ViewWindow: DefaultConversionWindow}
}

// Validate reports every rule that the goal breaks as one [Invalid] error. No
// event name is no fault: it stands for no goal.
func (g Goal) Validate() error {
	var faults []Fault
	if message := checkIndexed(g.CampaignID, MaxIDChars); message != "" || g.CampaignID == "" {
		faults = append(faults, Fault{
			Location: "body.campaign_id", Message: cmp.Or(message, "The campaign is missing."),
			Expected: fmt.Sprintf("an id of at most %d characters", MaxIDChars), Value: CutValue(g.CampaignID),
		})
	}
	message := checkIndexed(g.EventName, MaxIDChars)
	if g.EventName != "" && strings.TrimSpace(g.EventName) == "" {
		message = "The name is blank."
	}
	if message != "" {
		faults = append(faults, Fault{
			Location: "body.event_name", Message: message,
			Expected: fmt.Sprintf("a name of at most %d characters", MaxIDChars), Value: CutValue(g.EventName),
		})
	}
	return Faulty("Invalid goal.", faults)
}

// ValidateWindows reports what is wrong with conversion windows as one [Invalid] error.
func ValidateWindows(window, viewWindow time.Duration) error {
	var faults []Fault
	for _, w := range [...]struct {
		key   string
		value time.Duration
	}{{"window", window}, {"view_window", viewWindow}} {
		if w.value < MinConversionWindow || w.value > MaxConversionWindow {
			faults = append(faults, Fault{
				Location: "body." + w.key, Message: "The window is out of range.", Expected: "1 minute to 365 days", Value: w.value.String(),
			})
		}
	}
	return Faulty("Invalid windows.", faults)
}

// With gives the goals with one more, or another one of its campaign; or, if it
// has no event name, without the campaign's. g is not changed.
func (g *Goals) With(goal Goal) Goals {
	i, found := g.place(goal.CampaignID)
	next := *g
	switch {
	case goal.EventName == "" && !found:
	case goal.EventName == "":
		next.ByCampaign = slices.Delete(slices.Clone(g.ByCampaign), i, i+1)
	case found:
		next.ByCampaign = slices.Clone(g.ByCampaign)
		next.ByCampaign[i] = goal
	default:
		next.ByCampaign = slices.Insert(slices.Clone(g.ByCampaign), i, goal)
	}
	return next
}

// ByID gives the goal that is set for a campaign, if there is one.
func (g *Goals) ByID(campaignID string) (Goal, bool) {
	i, found := g.place(campaignID)
	if !found {
		return Goal{}, false
	}
	return g.ByCampaign[i], true
}

func (g *Goals) place(campaignID string) (int, bool) {
	return slices.BinarySearchFunc(g.ByCampaign, campaignID, func(goal Goal, id string) int { return strings.Compare(goal.CampaignID, id) })
}

// Of gives the goal of a message as [EventName] writes it; empty if it has none.
func (g *Goals) Of(m *Message) string {
	if m.Goal != "" {
		return EventName(m.Goal)
	}
	goal, _ := g.ByID(m.CampaignID())
	return EventName(goal.EventName)
}

// Longest is the longer of the two windows: no older message is a candidate.
func (g *Goals) Longest() time.Duration { return max(g.Window, g.ViewWindow) }

// Credit says why a message is credited with a conversion.
type Credit string

const (
	CreditDirect   Credit = "direct"       // the event named the message, or the user had clicked in it
	CreditViewed   Credit = "view_through" // the user had opened it
	CreditIndirect Credit = "indirect"     // the user had got it
)

// Convert gives the message that is credited with the event, which happened at
// that time, or nil if none is. The messages are the user's, in any order. Those
// count whose goal is the event, which were sent before it and within the
// window, and have not converted yet. Of these it is the one that the event
// names; else the one clicked last; else the one opened last; else the one
// received last.
func (g *Goals) Convert(e *TrackedEvent, at time.Time, messages []*Message) (*Message, Credit) {
	goal := EventName(e.Name)
	var named, clicked, opened, received *Message
	for _, m := range messages {
		age := at.Sub(m.SentAt)
		if m.SentAt.IsZero() || age < 0 || !m.ConvertedAt.IsZero() || g.Of(m) != goal {
			continue
		}
		if age <= g.Window {
			if e.Message != "" && m.named(e.Message) {
				named = m
			}
			clicked = latest(clicked, m, at, func(m *Message) time.Time { return m.ClickedAt })
			received = latest(received, m, at, (*Message).ReceivedAt)
		}
		if age <= g.ViewWindow {
			opened = latest(opened, m, at, func(m *Message) time.Time { return m.OpenedAt })
		}
	}
	switch {
	case named != nil:
		return named, CreditDirect
	case clicked != nil:
		return clicked, CreditDirect
	case opened != nil:
		return opened, CreditViewed
	case received != nil:
		return received, CreditIndirect
	}
	return nil, ""
}

// named reports whether the id, not empty, is one of the message's two.
func (m *Message) named(id string) bool {
	id = CanonicalMessageID(id)
	return id == m.MessageID || id == CanonicalMessageID(m.ProviderMessageID)
}

// latest is the message to which something happened later, but not after at.
func latest(known, m *Message, at time.Time, when func(*Message) time.Time) *Message {
	t := when(m)
	if t.IsZero() || t.After(at) || known != nil && !when(known).Before(t) {
		return known
	}
	return m
}

// Conversion makes the activity of a message that converted at that time.
func (m *Message) Conversion(p *Profile, at time.Time) Activity {
	a := Activity{Type: Converted, User: m.User.Clone(), Campaign: m.Campaign.Clone(), OccurredAt: at, ProviderMessageID: m.ProviderMessageID}
	if p != nil {
		user := p.User()
		user.Complete(m.User)
		a.User = user
	}
	if m.MessageID != "" {
		a.Top.SetString("message_id", m.MessageID)
	}
	return a
}
