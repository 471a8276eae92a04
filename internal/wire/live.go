package wire

// LiveReady is the first message of a live stream.
type LiveReady struct {
	Secret string `json:"secret" doc:"What signs the requests of this project's streams, the same on every start."`
}

// LiveEvent is an event as a webhook would get it: the headers and the exact bytes
// of the body, signed with the stream's secret.
type LiveEvent struct {
	ID         string       `json:"id"`
	Type       string       `json:"type"`
	ReceivedAt Time         `json:"received_at"`
	Headers    []LiveHeader `json:"headers"`
	Body       string       `json:"body"`
}

// LiveHeader is one header, in the order in which it would be sent.
type LiveHeader struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}
