package wire

// Problem is the body of every error response: RFC 9457, section 3, with
// request_id and errors of our own.
type Problem struct {
	Type      string  `json:"type" format:"uri-reference" doc:"What kind of problem it is, as an address of its documentation." example:"/docs/errors#invalid"`
	Title     string  `json:"title" doc:"The kind of problem in words; the same for every problem of a type." example:"The request is invalid"`
	Status    int     `json:"status" doc:"The HTTP status." example:"422"`
	Detail    string  `json:"detail,omitempty" doc:"What happened this time, and what would be right." example:"Invalid webhook."`
	Instance  string  `json:"instance,omitempty" format:"uri-reference" doc:"The path that was asked for." example:"/v1/webhooks"`
	RequestID string  `json:"request_id,omitempty" doc:"Names the request in the server's log." example:"req_01JD0000000000000000000000"`
	Errors    []Fault `json:"errors,omitempty" nullable:"false" doc:"Every fault found, in the order of the input."`
}

// Fault is one thing that is wrong with an input.
type Fault struct {
	Location string `json:"location" doc:"Where: a path from body, query or path." example:"body.url"`
	Message  string `json:"message" doc:"What is wrong." example:"Start the URL with https:// or http://."`
	Expected string `json:"expected,omitempty" doc:"What would be right."`
	Value    string `json:"value,omitempty" doc:"The offending value, cut at 64 bytes; never a secret." example:"exmaple"`
}
