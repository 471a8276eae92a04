package api

import (
	"context"
	"time"

	"telltale.example/telltale"
	"telltale.example/telltale/internal/auth"
	"telltale.example/telltale/internal/wire"
)

// statRanges are how far back stats reach, and in what steps.
var statRanges = map[string]struct{ reach, step time.Duration }{
	"1h":  {time.Hour, telltale.StatStep},
	"24h": {24 * time.Hour, telltale.StatCoarseStep},
	"7d":  {7 * 24 * time.Hour, 6 * telltale.StatCoarseStep},
	"30d": {30 * 24 * time.Hour, 24 * telltale.StatCoarseStep},
}

func (a *api) webhookStats(ctx context.Context, who auth.Identity, in *struct {
	WebhookPath
	Range string `query:"range" enum:"1h,24h,7d,30d" default:"24h" doc:"How far back: in steps of 5 minutes, an hour, six hours, or a day."`
}) (wire.Stats, error) {
	w, err := a.webhook(ctx, who, in.ID)
	if err != nil {
		return wire.Stats{}, err
	}
	reach := statRanges[in.Range]
	until := time.Now()
	stats, err := a.config.Store.Stats(ctx, who.Project.ID, telltale.StatQuery{WebhookID: w.ID, Since: until.Add(-reach.reach), Until: until, Step: reach.step})
	if err != nil {
		return wire.Stats{}, err
	}
	total := telltale.Stat{Start: until.Add(-reach.reach)}
	out := wire.Stats{Range: in.Range, Steps: make([]wire.Stat, len(stats))}
	for i := range stats {
		total.Add(&stats[i])
		out.Steps[i] = wire.FromStat(stats[i])
	}
	out.Total = wire.FromStat(total)
	return out, nil
}
