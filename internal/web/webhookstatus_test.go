package web

import (
	"testing"
	"time"

	"telltale.example/telltale"
)

func TestHowAWebhookFaresInWords(t *testing.T) {
	t.Parallel()
	at := func(clock string) time.Time {
		parsed, err := time.Parse("2006-01-02 15:04", clock)
		if err != nil {
			t.Fatal(err)
		}
		return parsed
	}
	day := telltale.Stat{Succeeded: 4212, Failed: 3}
	day.Took[telltale.HistogramBucket(112*time.Millisecond)] = 4212
	median, _ := day.Took.Quantile(0.5)
	for _, tt := range []struct {
		name     string
		change   func(*telltale.Webhook)
		day      telltale.Stat
		word     string
		status   string
		sentence string
		warning  string
	}{
		{"it was never used", func(*telltale.Webhook) {}, telltale.Stat{}, "Never used", "never-used", "Never used. Send a test to see that it works.", ""},
		{
			"it is healthy", func(w *telltale.Webhook) { w.Health = telltale.HealthHealthy }, day, "Healthy", "healthy",
			"Healthy. 4\u202f212 of 4\u202f215 delivered in 24 h, median " + took(median) + ".", "",
		},
		{"it is healthy and idle", func(w *telltale.Webhook) { w.Health = telltale.HealthHealthy }, telltale.Stat{}, "Healthy", "healthy", "Healthy. Nothing was delivered in 24 h.", ""},
		{
			"it fails", func(w *telltale.Webhook) {
				w.Health, w.Standing = telltale.HealthFailing, telltale.Standing{FailingSince: at("2026-11-20 09:41"), Failures: 37}
			}, telltale.Stat{}, "Failing since", "failing", "Failing since 09:41 UTC: 37 attempts without a success.", "",
		},
		{
			"it fails since yesterday", func(w *telltale.Webhook) {
				w.Health, w.Standing = telltale.HealthFailing, telltale.Standing{FailingSince: at("2026-11-19 09:41"), Failures: 1, Warned: telltale.WarnedOnce}
			}, telltale.Stat{Failed: 2}, "Failing since", "failing", "Failing since Nov 19, 09:41 UTC: 1 attempt without a success. 0 of 2 delivered in 24 h.",
			"No attempt has succeeded for more than 24 hours.",
		},
		{
			"it fails and is spared", func(w *telltale.Webhook) {
				w.Health = telltale.HealthFailing
				w.Standing = telltale.Standing{Warned: telltale.WarnedLast, Breaker: telltale.Breaker{State: telltale.BreakerOpen, Until: chartNow.Add(4 * time.Minute)}}
			}, telltale.Stat{}, "Failing", "failing", "Failing.",
			"No attempt has succeeded for more than 4 days. It is turned off after 5 days. Deliveries are paused to spare the receiver; the next one is tried in 4 minutes.",
		},
		{
			"it recovers", func(w *telltale.Webhook) {
				w.Health = telltale.HealthHealthy
				w.Standing.Breaker.State = telltale.BreakerClosing
			}, telltale.Stat{}, "Healthy", "healthy", "Healthy. Nothing was delivered in 24 h.", "The receiver has answered again. Deliveries speed up step by step.",
		},
		{
			"someone turned it off", func(w *telltale.Webhook) {
				w.Enabled, w.DisabledReason, w.Health, w.Standing.Warned = false, telltale.DisabledManual, telltale.HealthFailing, telltale.WarnedOnce
			}, telltale.Stat{}, "Off", "off", "Off. Events are not queued for it.", "",
		},
		{
			"the receiver is gone", func(w *telltale.Webhook) {
				w.Enabled, w.DisabledReason, w.DisabledAt = false, telltale.DisabledGone, at("2026-11-20 09:41")
			}, telltale.Stat{}, "Turned off automatically", "turned-off",
			"Turned off automatically at 09:41 UTC: the receiver answered 410 Gone, which asks for no more events.", "",
		},
		{
			"it failed for too long", func(w *telltale.Webhook) { w.Enabled, w.DisabledReason = false, telltale.DisabledFailing },
			telltale.Stat{}, "Turned off automatically", "turned-off", "Turned off automatically: no attempt has succeeded for 5 days.", "",
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := telltale.NewWebhook("prj_1", "https://hooks.example.com/", telltale.AllEventTypes)
			tt.change(&w)
			if got := statusOf(&w); got.Word != tt.word {
				t.Errorf("word %q; want %q", got.Word, tt.word)
			}
			if got := statusName(&w); got != tt.status {
				t.Errorf("status %q; want %q", got, tt.status)
			}
			if got := healthSentence(&w, tt.day, chartNow); got != tt.sentence {
				t.Errorf("sentence %q; want %q", got, tt.sentence)
			}
			if got := warningOf(&w, chartNow); got != tt.warning {
				t.Errorf("warning %q; want %q", got, tt.warning)
			}
		})
	}
}

func TestChips(t *testing.T) {
	t.Parallel()
	types := telltale.EventTypes()
	for n, shown := range map[int]int{1: 1, 3: 3, 4: 4, 5: 3, 11: 3} {
		c := chipsOf(telltale.NewEventTypeSet(types[:n]...))
		if len(c.Shown) != shown || c.More != n-shown {
			t.Errorf("of %d: %v and %d more", n, c.Shown, c.More)
		}
	}
	if c := chipsOf(telltale.AllEventTypes); len(c.Shown) != 1 || c.Shown[0] != "All events" || c.More != 0 {
		t.Errorf("of all: %+v", c)
	}
	if c := chipsOf(telltale.AllEventTypes | telltale.NewEventTypeSet(telltale.WebhookFailing)); len(c.Shown) != 2 || c.Shown[1] != "Webhook failing" {
		t.Errorf("of all and an operational one: %+v", c)
	}
	if c := chipsOf(telltale.NewEventTypeSet(telltale.Bounced)); c.Shown[0] != "Bounced" {
		t.Errorf("the chip reads %q", c.Shown[0])
	}
}
