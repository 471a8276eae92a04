//go:build race

package main

// raceDetector says that the tests run with the race detector; then the binary
// under test has it too.
const raceDetector = true
