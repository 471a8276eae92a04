package telltale

import "time"

// NodeRole is what a node does.
type NodeRole string

// The roles of nodes. What shares a database may be told apart by them; one node
// alone does everything.
const (
	NodeAll     NodeRole = "all"     // accepts, and sends
	NodeAPI     NodeRole = "api"     // accepts, shows and changes; sends tests, and nothing else
	NodeWorker  NodeRole = "worker"  // sends, and runs the jobs; it has no pages and no API
	NodeCommand NodeRole = "command" // a command that opened the database for a moment
	NodePaused  NodeRole = "paused"  // one that was started paused: until it is told to go on, it sends tests, and nothing else
)

// Node is one start of the server, as the store knows it.
type Node struct {
	ID        NodeID
	Role      NodeRole
	Version   string // of the program; "" where it is not noted
	Host      string // likewise
	StartedAt time.Time
	BeatAt    time.Time // zero before the first beat
	Alive     bool      // by the store's own measure
}

// StoreInfo describes the store to those who run it.
type StoreInfo struct {
	Engine    string // "SQLite 3.53.1"
	Location  string // of the database, without passwords
	Schema    int64  // version
	Size      int64  // bytes of the database
	LogSize   int64  // bytes of the write-ahead log, if it has one
	Waiting   int    // deliveries; one more than [MaxCount] stands for more, as below
	Sending   int
	Held      int
	Failed    int
	OldestDue time.Duration // how long the delivery that is due the longest is; 0 if none is due
}

// MaxCount is how far rows are counted for people: past it there are "10,000+".
const MaxCount = 10_000
