// Package ingest takes activities in: the first of the four verbs, accept.
//
// [Decode] makes activities of what the ingest API was sent, and finds all that
// is wrong with it, not only the first thing. [Ingest.Accept] takes activities
// of any source: it holds the project to its rate, fills in what they lack and
// their messages or users have (complete.go), renders each payload once, stores the events with their deliveries in one transaction and hands the
// deliveries that were born claimed to the dispatcher. When it returns without
// error, everything is on stable storage; when it returns an error, nothing is,
// or (the outcome of a commit was lost) nobody knows, and a repetition with the
// same caller's ids does no harm. A request is accepted whole or not at all.
package ingest
