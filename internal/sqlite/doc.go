// Package sqlite keeps Telltale's store in one SQLite file, for one server
// process.
//
// # Writing
//
// One goroutine writes, on one connection. Whoever wants to write queues an
// operation and waits; whatever waits when a commit ends becomes the next
// transaction, with one fsync for all of it. An operation decides before it
// writes, so one that fails leaves its neighbours' work alone; if it fails
// after it wrote, the transaction is undone and its operations are run again
// one by one. See writer.go.
//
// Projects and webhooks are also kept in memory, as immutable snapshots that
// change when, and only when, a transaction committed. So accepting an event
// reads nothing but what the caller named it.
//
// # Reading
//
// A few connections read, each within one short transaction, for at most
// [readLimit]: a reader that stays holds back the checkpoint, and the
// write-ahead log would grow. Checkpoints run beside the writer: see
// checkpoint.go.
//
// # Rows
//
// Everything that comes in masses is appended. Events, deliveries and attempts
// stand on one line of rising numbers (number.go), so that the rows of a
// moment are on the same pages. What would be an index with a random key, or
// one with a page per webhook, is kept in coarser forms: spans (span.go) say
// where rows of a project or webhook are, digests (digest.go) in which events
// a user may be found. docs/decisions/0003 has the figures.
//
// What has to be found at once, the events of a message and the messages of a
// user, is found by names (name.go), which are gathered in memory, written as
// sorted runs and merged little by little. A message has no row of its own: it
// is what its events say (message.go). docs/decisions/0009 has the figures.
//
// An event's deliveries stand right behind it, but for those that a replay
// made: small partial indexes find these (delivery.replay is not NULL).
//
// What is counted for people is kept in rows of its own (stat.go), or counted
// up to a bound (count.go).
//
// # Users
//
// A profile is the one row that changes at random: each change writes a page that
// no other does, and so costs two to three plain events. What a change comes to is
// decided where the profile is what it will still be when it is stored: within the
// writer, or ahead of it by whoever has many changes, if nobody touched the user
// since (decision.go). The events that come of it are accepted in the same
// transaction (change.go). New profiles are inserted many in a statement, and their
// ids follow from their numbers: docs/decisions/0010 has the figures. When a profile goes, the many things that its user did follow in
// bounded parts (tracked.go, erasure.go).
//
// # States
//
// Whether a waiting delivery is held or cancelled is not written into its row:
// it follows from its webhook, which is disabled or deleted in one row. Every
// waiting delivery carries the epoch of its webhook in which it began to wait;
// enabling begins a new epoch, and what is older is what was held. So a deletion
// can be taken back: what was cancelled by it waits in its rows all the while.
//
// # When things break
//
// A full disk makes operations [telltale.Unavailable] until there is room.
// After any other error of the disk nothing is trusted any more: the store
// refuses everything and calls Options.Fatal, so that the process ends and
// recovery decides what is true.
package sqlite
