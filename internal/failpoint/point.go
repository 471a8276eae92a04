// Package failpoint names the places at which a crash is worst, and lets a program
// that is built for it die there: how crashlab shows what comes of a kill -9 at each.
//
// A program that is built as usual has none of this: [Here] is empty, and neither
// the names nor the variable are in the binary, which crashlab makes sure of. With the
// build tag failpoint, FAILPOINT=name kills the process with SIGKILL when it
// comes to that point, name:3 when it comes there for the third time, and
// name:3:20ms so long after that, in the midst of whatever it does then.
package failpoint

// Point is a place at which the program can be made to die.
type Point struct {
	Name  string
	Where string // in a sentence
}

// Points are all there are, in the way of an event, then what else writes. Each
// stands in the code of one engine or of both, as Here("its name").
var Points = []Point{
	{"accept-begin", "Events are read and rendered, and no transaction has begun."},
	{"accept-event-added", "The event is in the transaction, and its deliveries are not yet."},
	{"accept-uncommitted", "All of it is in the transaction, which is not committed."},
	{"accept-committed", "The events are committed, and nobody was told."},
	{"accept-answered", "The answer is written."},
	{"claim-uncommitted", "Deliveries are claimed in a transaction that is not committed."},
	{"claim-committed", "Deliveries are claimed, and the dispatcher does not know it."},
	{"send-begin", "An attempt begins, and nothing is dialled."},
	{"send-written", "The request is written, and nothing is read."},
	{"send-answered", "The receiver's answer is read, and the result is nowhere but here."},
	{"record-begin", "Results are gathered, and no transaction has begun."},
	{"record-attempt-added", "The attempt is in the transaction, and its delivery is as before."},
	{"record-uncommitted", "Attempts and deliveries are changed in a transaction that is not committed."},
	{"record-committed", "Results are committed, and the dispatcher does not know it."},
	{"take-over-uncommitted", "What an earlier start left is taken over in a transaction that is not committed."},
	{"disable-uncommitted", "A webhook is disabled in a transaction that is not committed."},
	{"disable-committed", "A webhook is disabled, and nobody was told."},
	{"purge-event-halved", "Of an old event the deliveries are removed, and it itself is not, in a transaction."},
	{"purge-committed", "A step of the retention is committed, and there is more to remove."},
	{"migrate-begin", "The schema is to be changed."},
	{"migrate-applied", "One change of the schema is applied, and the next is not."},
	{"checkpoint-begin", "The write-ahead log is to be copied into the database file."},
	{"checkpoint-copied", "The log was copied beside the writer, which is to copy the rest."},
}
