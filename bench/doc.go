// Bench measures Telltale's marks: how many deliveries a second it sustains, how
// soon an event arrives, what that costs in CPU and memory. README.md says how
// to run it and what the figures mean.
//
// Machines differ and drift, so a rate says little by itself. Every run is
// measured between two runs of the yardstick: a bare loop that posts the same
// request to the same receiver, with nothing accepted and nothing stored. The
// mark is the ratio of the two.
//
// Everything runs in a process of its own, as it would in life, so that each
// one's CPU and memory can be told apart:
//
//	drive ── POST /v1/events ──► telltale serve ── deliveries ──► sink
//	yardstick ──────────────────── the same requests ───────────► sink
//
// The drive, the yardstick and the sink are this program again ([roles]); the
// server is the real binary with its real settings. A run whose events did not
// all arrive, or that are not all in the log, is an error and gives no figure.
package main
