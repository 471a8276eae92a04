// Package api is the REST API and its description, OpenAPI 3.1.
//
// [api.routes] is all of it, read from top to bottom: method and path, the scope
// that a key needs, words for the document, and the handler. Handlers are thin:
// rules live in the domain, effects in the store, forms in package wire. After
// every change of a webhook the dispatcher is told before the caller is answered.
//
// # The way of a request
//
// huma describes the routes from the handlers' types, reads requests into those
// types and writes answers. What stands between it and the caller is ours
// ([call]), so that every error has one form and one place, httpserver:
//
//	let in      the key and its scope, before anything else is read
//	check       query and body against what the route documents: every fault is
//	            found, in the order of the input, with the right spelling of a name
//	read        into the handler's input, which cannot fail any more
//	handle      the answer, or an error
//	send        either of them whole
//
// Bodies are bounded, and read strictly: keys that are there twice, unknown keys
// and another case are refused. A fault never repeats a value that may be secret.
// POST /v1/events passes huma by: its input is kept digit for digit, by package
// ingest.
//
// # Projects
//
// Every question to the store names the project of the key. What belongs to
// another project is answered like what does not exist, whether asked for by id
// or by a cursor, which is signed for one list of one project.
package api
