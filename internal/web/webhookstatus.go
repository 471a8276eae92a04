package web

import (
	"fmt"
	"strings"
	"time"

	"telltale.example/telltale"
)

// webhookStatus is how a webhook fares, in a word or two.
type webhookStatus struct {
	badge
	Since time.Time // behind the word, if it is not zero
}

// statusOf gives the status of a webhook: Healthy, Failing since, Turned off
// automatically, Off or Never used.
func statusOf(w *telltale.Webhook) webhookStatus {
	switch {
	case !w.Enabled && w.DisabledReason == telltale.DisabledManual:
		return webhookStatus{badge: badge{"quiet", "–", "Off"}}
	case !w.Enabled:
		return webhookStatus{badge: badge{"bad", "‖", "Turned off automatically"}}
	case w.Health == telltale.HealthFailing && w.Standing.FailingSince.IsZero():
		return webhookStatus{badge: badge{"bad", "✕", "Failing"}}
	case w.Health == telltale.HealthFailing:
		return webhookStatus{badge{"bad", "✕", "Failing since"}, w.Standing.FailingSince}
	case w.Health == telltale.HealthHealthy:
		return webhookStatus{badge: badge{"ok", "●", "Healthy"}}
	}
	return webhookStatus{badge: badge{"quiet", "○", "Never used"}}
}

// The statuses that the list can be narrowed to, as its address has them.
const (
	statusHealthy   = "healthy"
	statusFailing   = "failing"
	statusTurnedOff = "turned-off"
	statusOff       = "off"
	statusUnused    = "never-used"
)

func statusName(w *telltale.Webhook) string {
	switch {
	case !w.Enabled && w.DisabledReason == telltale.DisabledManual:
		return statusOff
	case !w.Enabled:
		return statusTurnedOff
	case w.Health == telltale.HealthFailing:
		return statusFailing
	case w.Health == telltale.HealthHealthy:
		return statusHealthy
	}
	return statusUnused
}

// clock writes a time as sentences do: 09:41 today, Nov 18, 09:41 before. In UTC.
func clock(t, now time.Time) string {
	t, now = t.UTC(), now.UTC()
	if t.Truncate(24 * time.Hour).Equal(now.Truncate(24 * time.Hour)) {
		return t.Format("15:04")
	}
	if t.Year() == now.Year() {
		return t.Format("Jan 2, 15:04")
	}
	return t.Format("Jan 2 2006, 15:04")
}

// healthSentence says how a webhook fares; day is what was counted in the last 24 hours.
func healthSentence(w *telltale.Webhook, day telltale.Stat, now time.Time) string {
	var s strings.Builder
	switch {
	case !w.Enabled && w.DisabledReason == telltale.DisabledManual:
		s.WriteString("Off. Events are not queued for it.")
	case !w.Enabled:
		s.WriteString("Turned off automatically")
		if !w.DisabledAt.IsZero() {
			fmt.Fprintf(&s, " at %s UTC", clock(w.DisabledAt, now))
		}
		s.WriteString(": " + disabledBecause(w.DisabledReason))
	case w.Health == telltale.HealthNeverUsed:
		return "Never used. Send a test to see that it works."
	case w.Health == telltale.HealthFailing:
		s.WriteString("Failing")
		if !w.Standing.FailingSince.IsZero() {
			fmt.Fprintf(&s, " since %s UTC", clock(w.Standing.FailingSince, now))
		}
		if n := w.Standing.Failures; n > 0 {
			fmt.Fprintf(&s, ": %s without a success", counted(n, "attempt", "attempts"))
		}
		s.WriteString(".")
	default:
		s.WriteString("Healthy.")
	}
	ended := day.Succeeded + day.Failed
	if ended == 0 {
		if w.Enabled && w.Health == telltale.HealthHealthy {
			s.WriteString(" Nothing was delivered in 24 h.")
		}
		return s.String()
	}
	fmt.Fprintf(&s, " %s of %s delivered in 24 h", count(day.Succeeded), count(ended))
	if median, ok := day.Took.Quantile(0.5); ok {
		fmt.Fprintf(&s, ", median %s", took(median))
	}
	s.WriteString(".")
	return s.String()
}

// disabledBecause ends the sentence that says that a webhook was turned off by itself.
func disabledBecause(reason telltale.DisabledReason) string {
	switch reason {
	case telltale.DisabledGone:
		return "the receiver answered 410 Gone, which asks for no more events."
	case telltale.DisabledBlocked:
		return "its address may not be called. Check the URL, or ask your administrator."
	case telltale.DisabledFailing:
		return "no attempt has succeeded for 5 days."
	}
	return "it was switched off."
}

// warningOf is what stands above the page of a webhook that fails for long or is
// spared; it is empty otherwise.
func warningOf(w *telltale.Webhook, now time.Time) string {
	if !w.Enabled {
		return ""
	}
	var s []string
	switch w.Standing.Warned {
	case telltale.WarnedOnce:
		s = append(s, "No attempt has succeeded for more than 24 hours.")
	case telltale.WarnedLast:
		s = append(s, "No attempt has succeeded for more than 4 days. It is turned off after 5 days.")
	}
	switch w.Standing.Breaker.State {
	case telltale.BreakerOpen:
		wait := ""
		if until := w.Standing.Breaker.Until; until.After(now) {
			wait = " in " + inWords(until.Sub(now))
		}
		s = append(s, "Deliveries are paused to spare the receiver; the next one is tried"+wait+".")
	case telltale.BreakerClosing:
		s = append(s, "The receiver has answered again. Deliveries speed up step by step.")
	}
	return strings.Join(s, " ")
}

// chips are the event types of a webhook, as many as fit, and how many more there are.
type chips struct {
	Shown []string
	More  int
	All   string // for those who ask for the rest
}

const maxChips = 3

func chipsOf(events telltale.EventTypeSet) chips {
	names := eventNames(events, shortLabel)
	c := chips{Shown: names, All: strings.Join(names, ", ")}
	if len(names) > maxChips+1 { // "+1" would take the room of the one it hides
		c.Shown, c.More = names[:maxChips], len(names)-maxChips
	}
	return c
}
