package wire

import "telltale.example/telltale"

// Delivery is a delivery as it is read.
type Delivery struct {
	ID           string `json:"id" example:"dlv_01JD0000000000000000000000"`
	EventID      string `json:"event_id" example:"evt_01JD0000000000000000000000"`
	EventType    string `json:"event_type" example:"bounced"`
	WebhookID    string `json:"webhook_id" example:"whk_01JD0000000000000000000000"`
	State        string `json:"state" enum:"waiting,sending,succeeded,failed,held,cancelled" doc:"waiting: owed, due now or later. sending: attempted now. succeeded: the receiver answered 2xx. failed: the retry schedule is used up, or the receiver answered 410. held: the webhook is disabled. cancelled: the webhook was deleted." example:"waiting"`
	AttemptCount int    `json:"attempt_count" example:"3"`
	DueAt        Time   `json:"due_at,omitzero" format:"date-time" doc:"Of the next attempt; only while waiting." example:"2026-11-20T09:42:00.000Z"`
	CreatedAt    Time   `json:"created_at" format:"date-time" example:"2026-11-20T09:30:00.123Z"`
	CompletedAt  Time   `json:"completed_at,omitzero" format:"date-time" doc:"When it succeeded, failed or was cancelled." example:"2026-11-20T09:30:00.456Z"`
	Test         bool   `json:"test"`
	ReplayID     string `json:"replay_id,omitempty" doc:"The replay that made it."`
	LastError    string `json:"last_error,omitempty" doc:"The error class of the last attempt, if that failed." example:"http_status"`
	LastStatus   int    `json:"last_status,omitempty" doc:"The HTTP status of the last attempt, if that failed." example:"503"`

	Attempts []Attempt `json:"attempts,omitzero" nullable:"false" doc:"Oldest first. Only in the answer for one delivery."`
}

// FromDelivery gives the JSON form of a row of a list, without attempts.
func FromDelivery(d telltale.Delivery) Delivery {
	return Delivery{
		ID: string(d.ID), EventID: string(d.EventID), EventType: string(d.EventType), WebhookID: string(d.WebhookID),
		State: string(d.State), AttemptCount: d.AttemptCount, DueAt: Time{d.DueAt},
		CreatedAt: Time{d.CreatedAt}, CompletedAt: Time{d.CompletedAt}, Test: d.Test, ReplayID: string(d.ReplayID),
		LastError: string(d.LastError), LastStatus: d.LastStatus,
	}
}

// Attempt is one HTTP request and what came of it.
type Attempt struct {
	Number      int       `json:"number" doc:"1, 2, …" example:"1"`
	Trigger     string    `json:"trigger" enum:"automatic,manual,test,replay" example:"automatic"`
	StartedAt   Time      `json:"started_at" format:"date-time" example:"2026-11-20T09:30:00.130Z"`
	DurationMS  float64   `json:"duration_ms" doc:"From its start to the end of the answer, in milliseconds." example:"12.345"`
	Status      int       `json:"status,omitempty" doc:"Of the answer; left out if there was none." example:"200"`
	Error       string    `json:"error,omitempty" doc:"Why it failed, in one of a few classes." example:"http_status"`
	FailureCode string    `json:"failure_code,omitempty" doc:"Why it failed, in terms of what a person can mend." example:"http_5xx"`
	Detail      string    `json:"detail,omitempty" doc:"What differs from case to case about this failure."`
	Message     string    `json:"message" doc:"What came of it, in words." example:"hooks.example.com answered 200 OK in 12 ms."`
	Fix         string    `json:"fix,omitempty" doc:"What to do about a failure." example:"It should answer with any 2xx status."`
	RetryAfter  Duration  `json:"retry_after,omitzero" doc:"How long the receiver asked us to wait." example:"1m"`
	RemoteAddr  string    `json:"remote_addr,omitempty" doc:"The address that was dialled." example:"203.0.113.7:443"`
	Node        string    `json:"node" example:"nod_01JD0000000000000000000000"`
	Timing      Timing    `json:"timing"`
	Request     Request   `json:"request"`
	Response    *Response `json:"response,omitempty" doc:"Left out if there was no answer."`
}

// Timing splits the duration of an attempt.
type Timing struct {
	DNS       float64 `json:"dns_ms" doc:"Looking the name up; 0 on a connection that was open already." example:"1.2"`
	Connect   float64 `json:"connect_ms" example:"2.1"`
	TLS       float64 `json:"tls_ms" example:"5.4"`
	FirstByte float64 `json:"first_byte_ms" doc:"From the written request to the first byte of the answer." example:"3.3"`
}

// Request is what was sent.
type Request struct {
	Method  string  `json:"method" example:"POST"`
	URL     string  `json:"url" example:"https://hooks.example.com/telltale"`
	Headers Headers `json:"headers" doc:"As sent, with secret values redacted."`
	Body    string  `json:"body" doc:"The very bytes that were sent."`
}

// Response is what came back.
type Response struct {
	Status     int     `json:"status" example:"200"`
	Headers    Headers `json:"headers"`
	Body       string  `json:"body,omitempty" doc:"At most 16 KiB."`
	BodyBase64 []byte  `json:"body_base64,omitempty" doc:"The body, if it is not text."`
	Truncated  bool    `json:"truncated" doc:"The receiver sent more than is kept."`
}

// FromAttempt gives the JSON form. body is what the request carried: the log
// keeps the head of each request, and the body with the event.
func FromAttempt(a *telltale.Attempt, body []byte) Attempt {
	w := Attempt{
		Number: a.Number, Trigger: string(a.Trigger), StartedAt: Time{a.StartedAt}, DurationMS: milliseconds(a.Duration),
		Status: a.Status, Error: string(a.Error), FailureCode: string(a.Failure), Detail: a.Detail,
		Message: a.Sentence(), Fix: a.Fix(),
		RetryAfter: Duration(a.RetryAfter), RemoteAddr: a.RemoteAddr, Node: string(a.Node),
		Timing: Timing{
			DNS: milliseconds(a.Timing.DNS), Connect: milliseconds(a.Timing.Connect),
			TLS: milliseconds(a.Timing.TLS), FirstByte: milliseconds(a.Timing.FirstByte),
		},
		Request: Request{Method: a.Request.Method, URL: a.Request.URL, Headers: Headers(a.Request.Headers), Body: string(body)},
	}
	if a.Status != 0 {
		w.Response = &Response{Status: a.Status, Headers: Headers(a.Response.Headers), Truncated: a.Response.Truncated}
		w.Response.Body, w.Response.BodyBase64 = text(a.Response.Body)
	}
	return w
}
