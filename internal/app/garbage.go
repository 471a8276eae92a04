package app

import (
	"os"
	"runtime/debug"
)

// collectLess has the memory of a node collected half as often as Go does by
// itself, unless whoever runs it has said how often: a node without an engine
// inside has the room, and collecting took a sixth of its time.
func collectLess() {
	if os.Getenv("GOGC") == "" && os.Getenv("GOMEMLIMIT") == "" {
		debug.SetGCPercent(200)
	}
}
