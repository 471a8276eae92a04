package wire

import "telltale.example/telltale"

// Bin is a bin of the inspector as it is read.
type Bin struct {
	ID        string `json:"id" example:"kq3jv5m2x7a4d6cbnw2ytrhe"`
	URL       string `json:"url" format:"uri" doc:"Whatever is sent here, or below it, is caught." example:"https://telltale.example.com/in/kq3jv5m2x7a4d6cbnw2ytrhe"`
	CreatedAt Time   `json:"created_at" format:"date-time" example:"2026-11-20T09:30:00.000Z"`
	ExpiresAt Time   `json:"expires_at" format:"date-time" example:"2026-11-21T09:30:00.000Z"`
}

// FromBin gives the JSON form. publicURL is the server's own address, without a
// slash at its end.
func FromBin(b telltale.Bin, publicURL string) Bin {
	return Bin{ID: string(b.ID), URL: publicURL + "/in/" + string(b.ID), CreatedAt: Time{b.CreatedAt}, ExpiresAt: Time{b.ExpiresAt}}
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
