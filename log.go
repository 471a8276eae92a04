package telltale

// Cursor is a place in the log, the line on which events and attempts stand in
// the order in which they were committed. What is behind a cursor never changes,
// so who remembers one can go on from it, on any node and after a restart.
type Cursor int64

// LogPage is what stands in the log behind a cursor.
type LogPage struct {
	Events []*Event // accepted since, oldest first; tests too
	// Deliveries that were made or had an attempt since, each once, as they
	// are now, in the order in which that happened last.
	Deliveries []Delivery
	Next       Cursor
	More       bool // there is more behind Next already
}
