// Package cluster shows, with real processes, what several nodes over one
// PostgreSQL database do when something breaks: a node is killed or sleeps, the
// database restarts, connections are cut, versions differ. It consists of tests
// alone.
//
// A scenario starts the built program some times, a receiver that verifies every
// request, and callers that post events and keep a ledger of what was acknowledged.
// In the end [check] holds the ledger, what arrived, and what the database says
// against each other. Nothing sleeps for a fixed time, but a lease takes its 50
// seconds: the scenarios run side by side, and are mostly waiting.
package cluster
