// Package httpserver is what every route has around it: the server with its
// bounds on time and bytes, and the way from an error to a response.
//
// A request comes in through [Server], which gives up on callers that are slow
// to say what they want, and through [Wrap], which names it (Request-Id), counts
// it, survives a panic in its handler and writes one log record when it ends.
// Handlers are [HandlerFunc]s: they return what went wrong, and [WriteProblem]
// alone decides what the caller is told. Codes become statuses in one table;
// internal errors go to the log with the request's id, and never to the caller.
//
// Overload is refused, not suffered: all bodies in memory together have a bound
// ([Config].BodyMemory), past which requests with a body are answered 503.
//
// What net/http refuses before there is a request, such as a head that is too
// large, two lengths that differ or an unknown transfer encoding, it answers
// itself, in plain text.
package httpserver
