// Package track is the Track API under /api/v2, as Vero's clients speak it: a
// client is moved by changing its host. It says what users did and what is to be
// known of them, and turns each request into [telltale.UserChange]s, which package
// ingest has applied in one transaction.
//
// [calls] is all of it: path, methods, and what the request asks for. The way of
// a request is
//
//	let in    the key, wherever it stands; in head or query it is looked at
//	          before the body is read
//	read      JSON, a form, and the query become one object (input.go, form.go)
//	parse     the object becomes changes, or one error that says everything that
//	          is wrong with it and where (parse.go)
//	change    all of it or nothing
//
// What clients send in various ways is taken in all of them; what cannot be meant
// is refused, with a sentence. Numbers keep their digits.
//
// Any page may call the API from a browser: it knows no cookies, and a key of
// scope track, which everyone sees in the page's source, reaches nothing else.
package track
