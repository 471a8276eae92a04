package telltale

import "testing"

func TestAWebhookWants(t *testing.T) {
	t.Parallel()
	all := Webhook{Enabled: true, Events: AllEventTypes}
	with := func(change func(*Webhook)) Webhook {
		w := all
		change(&w)
		return w
	}
	skipping := with(func(w *Webhook) { w.SkipMachines = true })
	off := with(func(w *Webhook) { w.SkipMachines, w.Enabled = true, false })
	deleted := with(func(w *Webhook) { w.Deleted = true })
	clicks := with(func(w *Webhook) { w.Events = NewEventTypeSet(Clicked) })
	for _, test := range []struct {
		name          string
		webhook       Webhook
		of            EventType
		machine       bool
		wants, covers bool
	}{
		{"an event of a type that it names", clicks, Clicked, false, true, true},
		{"not one of another type", clicks, Opened, false, false, false},
		{"what a machine opened, if nothing is said about machines", all, Opened, true, true, true},
		{"what a machine clicked, likewise", clicks, Clicked, true, true, true},
		{"nothing that a machine opened, if it skips machines", skipping, Opened, true, false, false},
		{"nothing that a machine clicked, likewise", skipping, Clicked, true, false, false},
		{"what a person opened all the same", skipping, Opened, false, true, true},
		{"what a person clicked all the same", skipping, Clicked, false, true, true},
		{"what machines make of any other type, though it skips machines", skipping, Unsubscribed, true, true, true},
		{"nothing while it is off, whatever its settings", off, Opened, false, false, true},
		{"nothing that a machine opened, off or not", off, Opened, true, false, false},
		{"nothing once it is deleted", deleted, Opened, false, false, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			if wants := test.webhook.Wants(test.of, test.machine); wants != test.wants {
				t.Errorf("it wants it: %v, should be %v", wants, test.wants)
			}
			if covers := test.webhook.Covers(test.of, test.machine); covers != test.covers {
				t.Errorf("it covers it: %v, should be %v", covers, test.covers)
			}
		})
	}
}
