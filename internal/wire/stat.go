package wire

import "telltale.example/telltale"

// Stats are what happened at a webhook over a time.
type Stats struct {
	Range string `json:"range" enum:"1h,24h,7d,30d" example:"24h"`
	Total Stat   `json:"total" doc:"Over the whole time."`
	Steps []Stat `json:"steps" nullable:"false" doc:"Step by step, oldest first; steps in which nothing happened are left out."`
}

// Stat counts what happened in a step of time. Tests are left out.
type Stat struct {
	Start     Time     `json:"start" format:"date-time" example:"2026-11-20T09:00:00.000Z"`
	Succeeded int      `json:"succeeded" doc:"Deliveries that ended so." example:"1200"`
	Failed    int      `json:"failed" doc:"Deliveries that ended so." example:"3"`
	Retried   int      `json:"retried" doc:"Attempts that failed and were not the last." example:"17"`
	Answers   Answers  `json:"answers" doc:"Attempts, by what came back."`
	Median    *float64 `json:"p50_ms,omitempty" doc:"Half of the deliveries were through in this time from when they were accepted, about." example:"12.5"`
	P95       *float64 `json:"p95_ms,omitempty" doc:"Nineteen of twenty." example:"80"`
}

// Answers counts attempts by what came back.
type Answers struct {
	OK       int `json:"2xx" example:"1200"`
	Redirect int `json:"3xx" example:"0"`
	Client   int `json:"4xx" example:"2"`
	Server   int `json:"5xx" example:"18"`
	None     int `json:"none" doc:"No answer at all." example:"0"`
}

// FromStat gives the JSON form.
func FromStat(s telltale.Stat) Stat {
	out := Stat{
		Start: Time{s.Start}, Succeeded: s.Succeeded, Failed: s.Failed, Retried: s.Retried,
		Answers: Answers{
			OK: s.Answers[telltale.Answer2xx], Redirect: s.Answers[telltale.Answer3xx], Client: s.Answers[telltale.Answer4xx],
			Server: s.Answers[telltale.Answer5xx], None: s.Answers[telltale.AnswerNone],
		},
	}
	if d, ok := s.Took.Quantile(0.5); ok {
		out.Median = new(milliseconds(d))
	}
	if d, ok := s.Took.Quantile(0.95); ok {
		out.P95 = new(milliseconds(d))
	}
	return out
}
