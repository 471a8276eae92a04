// Package postgres keeps Telltale's store in a PostgreSQL database, for any
// number of nodes at once. Nodes know each other by the database alone: they
// have no clock, disk or broker in common. docs/decisions/0011 says why.
//
// # Transactions
//
// Whatever changes the store is one transaction ([Store.write], [Store.configure],
// [Store.transact]), and costs two round trips where that matters. It begins with
// one batch: BEGIN, the time, the version of the configuration, the numbers that it
// will need, and the rows that it locks. What it adds to the large tables it gathers
// in memory, and ends with another batch: an array for each column, and the COMMIT.
// See tx.go and rows.go.
//
// Isolation is read committed, and no decision rests on what was merely read: rows
// are locked before they are judged, several of them in a fixed order; what may be
// there once is inserted under a unique index, and what may be taken once is deleted
// by whoever takes it. What asks about rows that are not there yet, such as how many
// bins a project has, takes the lock of what has them. The server ends a deadlock
// all the same now and then, and the transaction is run again; so do may be called
// twice, and changes nothing outside but its results.
//
// Events are accepted in groups. One transaction is under way, and what callers
// bring meanwhile makes the next: see accepts.go.
//
// If the connection is lost during a COMMIT, nobody knows whether it took place. The
// caller is told that the store is unavailable. Claims that it may have made are
// noted before, and given back when the database can be reached (claim.go).
//
// # The clock
//
// There is one, the database's: telltale_now() in SQL, tx.milli within a
// transaction. Times of other clocks are stored where they are somebody's word,
// such as when an event occurred, and decide nothing here. A node compares its own
// clock only with itself.
//
// # The line of numbers
//
// Events, deliveries, attempts and profiles have numbers of one line, as they have
// on SQLite: the milliseconds since 1970, and a count in the lowest bits (see
// internal/stored). So a stretch of time is a range of numbers, which every list
// goes by, and the ids of deliveries follow from their numbers.
//
// A transaction takes its numbers in a row, from a sequence that is moved up to the
// clock first. Reading a sequence and setting it is not one step, so the function
// take_numbers does both under an advisory lock. It is let go at once, not at the
// COMMIT as a row's lock would be: otherwise no two transactions could wait for the
// disk at the same time. A session that is cut off in between is closed, which
// lets go of the lock.
//
// So numbers are not committed in their order, and some never are. Whoever follows
// the line has to stop before what a transaction that is still under way may have
// taken: see log.go.
//
// # The configuration
//
// Projects, goals and webhooks are in every node's memory, as one immutable
// registry with a version (registry.go). A change locks the version, which is a row
// of the table meta, so that there is one at a time; the rows that it writes bear
// the new version, and others read what bears a newer one than they know.
//
// Every transaction compares the version as it begins, and reads what is new before
// it does anything else. So none works by what was changed before it began, and
// accepting an event reads no webhook. Reads trust what is in memory for as long as
// the node has looked lately.
//
// Nodes look every second, and sooner if they hear a note (LISTEN and NOTIFY). Notes
// are hints: none has to arrive. When a node knows a version it says so in its own
// row, and whoever made the version waits for all that are alive. So when a call
// that disables a webhook returns, no node begins another attempt; one that does not
// answer has lost its lease by then.
//
// How webhooks stand is no configuration. It is a row for each in the table
// standing, which is locked when an attempt changes more than passes with every
// success (standing.go).
//
// # Nodes and claims
//
// A start of a node is a row of the table node. Its lease is in the row and renewed
// by each beat, and with it all that the node has claimed: a claim is a delivery in
// the state sending that bears the node's number. Claiming passes by what others are
// claiming (SKIP LOCKED).
//
// Whoever finds that a lease has ended marks the row, once, and then takes over what
// is claimed under its number, little by little. The mark cannot be taken back: a
// node that wakes up later finds it, and joins anew under another number. Its
// results still come to nothing where they must, since each names its claim, by
// a count that every claim of the delivery raises, and is applied only if that is
// the delivery's last. See node.go and claim.go.
//
// # Rows
//
// What is waiting or being sent is in the table delivery, which stays small however
// much was ever sent, and is the one table of which rows change again and again.
// What is finished moves to delivery_done; a retry moves it back. The view
// delivery_all has both. Whether a waiting delivery is held or cancelled is not in
// its row: it follows from its webhook, and from the webhook's epoch in which it
// began to wait. Enabling begins a new epoch, and what is older is what was held.
//
// Events, finished deliveries and attempts have a partition for each day in which
// their numbers were taken (partition.go). They are made a day ahead, by whoever
// finds them missing, and dropped as a whole when they are old.
//
// Each transaction adds rows of its own to stat_delta for what it counted, so none
// waits for another's. They are added up in the table stat every now and then, and
// whoever reads counts adds up what is in both (stat.go).
//
// # Connections
//
// A node has a pool of connections for transactions and one for reads, of
// [DefaultConnections] each; reads cannot keep transactions from beginning, nor the
// other way round. One more connection listens for notes, one is open while the
// schema is brought up to date at the start, and one while the node purges. The
// server ends statements and transactions that take too long ([readLimit],
// [writeLimit], [lockLimit]).
//
// Locks and notes belong to sessions, so there must be no pooler between that shares
// these out by the transaction.
package postgres
