// Crashlab breaks Telltale on purpose, and checks that its promises hold: it starts
// the real program as processes, kills, freezes and starves them, puts hostile
// receivers and callers before them, and holds what callers and receivers know
// against what the database says. Its command prints the table of RELIABILITY.md.
//
// A test of the table is a [Trial]: how it runs, and a control, which does the same
// with one thing wrong and has to fail: a check that never found anything proves
// nothing.
//
// Where to look: trial.go is what a trial is and how one runs; world.go is a
// database with its nodes, receivers and callers; check.go is what has to hold
// after every round; the other files are one trial each.
package main
