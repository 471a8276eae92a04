// Package send makes one signed HTTP request for a delivery and says what came
// of it. It decides nothing and stores nothing: what becomes of the delivery is
// [telltale.Claim.After]'s to say.
//
// # One attempt
//
//	Admit        the egress guard reads the URL and refuses what may not be dialled
//	sign         webhook-id, webhook-timestamp and body, with every secret that signs now
//	connect      an open connection to the host, or a new one dialled by the guard
//	send, read   one POST; the status, at most 64 KiB of headers, 16 KiB of body
//	classify     the error class, the failure code and what its sentence needs
//
// For each attempt at most 1 MiB is read of its connection, whatever is done with it:
// an HTTP/2 receiver that goes on after its streams have ended loses the connection.
//
// One deadline, the webhook's timeout, stands over all of it. It bounds the dial
// and the TLS handshake too, which net/http would let go on without it. Success
// is a final status of 200 to 299, whatever the body does after it.
//
// # The request
//
// The body is the event's payload, the very bytes that were stored, and with
// extensions a last member "telltale" more. Beside the headers that payloads
// document, the request carries what the event's source knew: telltale-source
// and telltale-occurred-at (whole Unix seconds, as every time of the contract)
// always; telltale-url (what is not ASCII percent-encoded; left out above 4,096
// bytes, where servers begin to refuse requests), telltale-ip and
// telltale-machine ("true" or "false") if it knew them.
//
// # At most one request
//
// An attempt is at most one request that a receiver could have acted upon; that
// is what lets the log be read as the truth. net/http sends a POST again by
// itself only if it has GetBody or an idempotency key, and then also where it
// cannot know what the receiver did (a stream that the receiver reset with
// PROTOCOL_ERROR). So requests have neither, and Send repeats for itself, within
// the deadline, in just two cases:
//
//   - an open connection turned out to be closed, and of this request no byte
//     was written to it (counted on the socket itself);
//   - HTTP/2's receiver says that it did not process the request: REFUSED_STREAM,
//     or a GOAWAY with a lower stream number (RFC 9113, section 8.7).
//
// Everything else, such as a connection that closes while the request is on its
// way, ends the attempt as "reset", and the retry schedule goes on. Idle
// connections are given up after four seconds, before common servers do so
// (Node, Apache and uvicorn after five), which leaves little chance for that race.
package send
