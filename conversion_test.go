package telltale

import (
	"testing"
	"time"
)

func TestWhichMessageIsCredited(t *testing.T) {
	at := time.Date(2026, 3, 31, 12, 0, 0, 0, time.UTC)
	days := func(n float64) time.Time { return at.Add(-time.Duration(n * 24 * float64(time.Hour))) }
	campaign := object(t, `{"id":987,"name":"Order"}`)
	sent := func(id string, ago float64, change ...func(*Message)) *Message {
		m := &Message{MessageID: id, Campaign: campaign, SentAt: days(ago)}
		for _, f := range change {
			f(m)
		}
		return m
	}
	clicked := func(ago float64) func(*Message) { return func(m *Message) { m.ClickedAt = days(ago) } }
	opened := func(ago float64) func(*Message) { return func(m *Message) { m.OpenedAt = days(ago) } }
	delivered := func(ago float64) func(*Message) { return func(m *Message) { m.DeliveredAt = days(ago) } }
	provided := func(id string) func(*Message) { return func(m *Message) { m.ProviderMessageID = id } }
	converted := func(m *Message) { m.ConvertedAt = days(0.1) }
	own := func(goal string) func(*Message) { return func(m *Message) { m.Goal = goal } }
	other := func(m *Message) { m.Campaign = object(t, `{"id":5}`) }
	goals := Goals{
		ByCampaign: []Goal{{CampaignID: "5", EventName: "signed up"}, {CampaignID: "987", EventName: "Purchased Item"}},
		Window:     30 * 24 * time.Hour, ViewWindow: 7 * 24 * time.Hour,
	}
	for _, test := range []struct {
		name     string
		message  string // that the event names
		messages []*Message
		want     string
		credit   Credit
	}{
		{"nothing was sent", "", nil, "", ""},
		{"the only one", "", []*Message{sent("a", 1)}, "a", CreditIndirect},
		{"the one that came last", "", []*Message{sent("a", 3, delivered(1)), sent("b", 2)}, "a", CreditIndirect},
		{"an opened one before one that came later", "", []*Message{sent("a", 2, opened(2)), sent("b", 1)}, "a", CreditViewed},
		{"the one opened last", "", []*Message{sent("a", 2, opened(1)), sent("b", 1.5, opened(1.2))}, "a", CreditViewed},
		{"a clicked one before an opened one", "", []*Message{sent("a", 3, clicked(2)), sent("b", 1, opened(0.5))}, "a", CreditDirect},
		{"the one that is named before a clicked one", "<a>", []*Message{sent("a", 3), sent("b", 1, clicked(0.5))}, "a", CreditDirect},
		{"by the provider's id, too, with its brackets or without", "<p>", []*Message{sent("a", 3, provided("<p>")), sent("b", 1, clicked(0.5))}, "a", CreditDirect},
		{"a name that nobody knows says nothing", "zzz", []*Message{sent("a", 3), sent("b", 1, clicked(0.5))}, "b", CreditDirect},
		{"who converted converts no more", "a", []*Message{sent("a", 1, converted)}, "", ""},
		{"what was sent after it has no part in it", "", []*Message{sent("a", -1)}, "", ""},
		{"nor what was opened after it", "", []*Message{sent("a", 1, opened(-1))}, "a", CreditIndirect},
		{"nor what is older than the window", "", []*Message{sent("a", 31, clicked(1))}, "", ""},
		{"the window of views is another", "", []*Message{sent("a", 8, opened(1))}, "a", CreditIndirect},
		{"another campaign's goal", "", []*Message{sent("a", 1, other)}, "", ""},
		{"a goal of the message's own goes before its campaign's", "", []*Message{sent("a", 1, own("other")), sent("b", 2, other, own("purchased_item"))}, "b", CreditIndirect},
		{"a message without sent is no candidate", "", []*Message{{MessageID: "a", Campaign: campaign, ClickedAt: days(1)}}, "", ""},
	} {
		m, credit := goals.Convert(&TrackedEvent{Name: "purchased item", Message: test.message}, at, test.messages)
		got := ""
		if m != nil {
			got = m.MessageID
		}
		if got != test.want || credit != test.credit {
			t.Errorf("%s: credited %q as %q; want %q as %q", test.name, got, credit, test.want, test.credit)
		}
	}
}
