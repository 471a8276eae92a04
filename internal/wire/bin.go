package wire

import (
	"cmp"
	"time"

	"telltale.example/telltale"
)

// Bin is a bin of the inspector as it is read.
type Bin struct {
	ID        string    `json:"id" example:"kq3jv5m2x7a4d6cbnw2ytrhe"`
	URL       string    `json:"url" format:"uri" doc:"Whatever is sent here, or below it, is caught." example:"https://telltale.example.com/in/kq3jv5m2x7a4d6cbnw2ytrhe"`
	CreatedAt Time      `json:"created_at" format:"date-time" example:"2026-11-20T09:30:00.000Z"`
	ExpiresAt Time      `json:"expires_at" format:"date-time" example:"2026-11-21T09:30:00.000Z"`
	Answer    BinAnswer `json:"answer" doc:"What it answers."`
}

// BinAnswer is what a bin answers.
type BinAnswer struct {
	Status     int      `json:"status,omitempty" doc:"200 to 599; 200 if left out." example:"503"`
	Delay      Duration `json:"delay,omitzero" doc:"Before the answer, at most 35s." example:"2s"`
	Body       string   `json:"body,omitempty" doc:"At most 4 KiB of text." example:"try later"`
	RetryAfter string   `json:"retry_after,omitempty" doc:"The header Retry-After, as it is." example:"60"`
	Reset      bool     `json:"reset,omitempty" doc:"The connection is closed without an answer."`
}

// Read gives what is asked for, which is still to be validated.
func (a BinAnswer) Read() telltale.BinAnswer {
	return telltale.BinAnswer{Status: a.Status, Delay: time.Duration(a.Delay), Body: a.Body, RetryAfter: a.RetryAfter, Reset: a.Reset}
}

// FromBin gives the JSON form. publicURL is the server's own address, without a
// slash at its end.
func FromBin(b telltale.Bin, publicURL string) Bin {
	return Bin{ID: string(b.ID), URL: publicURL + "/in/" + string(b.ID), CreatedAt: Time{b.CreatedAt}, ExpiresAt: Time{b.ExpiresAt}, Answer: BinAnswer{
		Status: cmp.Or(b.Answer.Status, 200), Delay: Duration(b.Answer.Delay), Body: b.Answer.Body, RetryAfter: b.Answer.RetryAfter, Reset: b.Answer.Reset,
	}}
}

// CaughtRequest is a request that a bin caught.
type CaughtRequest struct {
	ID         string  `json:"id" example:"req_01JD0000000000000000000000"`
	ReceivedAt Time    `json:"received_at" format:"date-time" example:"2026-11-20T09:30:00.140Z"`
	RemoteAddr string  `json:"remote_addr" example:"127.0.0.1:54321"`
	Method     string  `json:"method" example:"POST"`
	Path       string  `json:"path" doc:"With the query." example:"/in/kq3jv5m2x7a4d6cbnw2ytrhe"`
	Headers    Headers `json:"headers" doc:"With credentials redacted."`
	Body       string  `json:"body,omitempty"`
	BodyBase64 []byte  `json:"body_base64,omitempty" doc:"The body, if it is not text."`
	Truncated  bool    `json:"truncated" doc:"The body was longer than 256 KiB."`
	Verdict    string  `json:"verdict" doc:"On the signature: valid, unsigned, or why it is not valid." example:"valid"`
}

// FromCaughtRequest gives the JSON form.
func FromCaughtRequest(r telltale.CaughtRequest) CaughtRequest {
	w := CaughtRequest{
		ID: string(r.ID), ReceivedAt: Time{r.ReceivedAt}, RemoteAddr: r.RemoteAddr, Method: r.Method, Path: r.Path,
		Headers: Headers(r.Headers), Truncated: r.Truncated, Verdict: r.Verdict,
	}
	w.Body, w.BodyBase64 = text(r.Body)
	return w
}
