// Package feed turns what mail providers post about messages into our events.
//
// Each [Provider] is one file: how its requests are verified, what they say, and
// how its console is set up. These are pure functions over the raw bytes of a
// request; they know no store and no clock. The way of a request is
//
//	find        the source, by the token at the end of its address
//	verify      the raw bytes, with the source's credentials (Provider.Verify)
//	parse       the provider's dialect into a [Batch] of [Event]s (Provider.Parse)
//	activity    each into an activity, with what the sender's metadata says of
//	            user and campaign (event.go, metadata.go)
//	accept      all of it through package ingest, which completes and stores it
//	answer      what makes the provider go on, or come back
//
// A request that cannot be verified is refused and leaves nothing but a count.
// One that is authentic, and what of it is not understood, is kept as
// unrecognised, answered with success, and can be taken again by a later version:
// a provider never has to repeat what we do not know.
package feed
