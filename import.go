package telltale

import "time"

// ImportKind says what the rows of a CSV file are.
type ImportKind string

const (
	ImportProfiles     ImportKind = "profiles"     // users with their properties
	ImportEvents       ImportKind = "events"       // what users did
	ImportUnsubscribes ImportKind = "unsubscribes" // users who opted out
)

// Valid reports whether k is one of the three.
func (k ImportKind) Valid() bool {
	return k == ImportProfiles || k == ImportEvents || k == ImportUnsubscribes
}

// Import is a durable job that reads a CSV file, row by row, as if each had come
// through the Track API. What it made and where it stands are written in one
// transaction, so that after a crash it goes on where it was.
type Import struct {
	ID        ImportID
	ProjectID ProjectID
	Kind      ImportKind
	Name      string // of the file, as the sender calls it
	// Conversions says whether events may convert messages.
	Conversions bool

	State ImportState
	Bytes int64 // of the file
	// Place is where it stands: all before this byte was read. Rows counts what
	// was read so far but the head, which is line 1.
	Place   int64
	Rows    int
	Line    int // the last line of the last row that was read, from 1
	Applied int // rows that went in
	Refused int // rows that did not; the first [MaxRefusedRows] are kept
	// Failure is why it failed as a sentence.
	Failure string

	CreatedBy   string // name of the actor
	CreatedAt   time.Time
	CompletedAt time.Time // zero until finished, failed or cancelled
}

// After is the import as it will stand after that progress.
func (i Import) After(p *ImportProgress) Import {
	i.Place, i.Line, i.Rows = p.To, p.Line, i.Rows+p.Rows
	return i
}

// ImportState is where an import stands.
type ImportState string

const (
	ImportRunning   ImportState = "running"
	ImportPaused    ImportState = "paused"    // by an operator
	ImportFinished  ImportState = "finished"  // the whole file was read. Final
	ImportFailed    ImportState = "failed"    // the file cannot be read on; what went in stays. Final
	ImportCancelled ImportState = "cancelled" // by an operator; what went in stays. Final
)

// Ended reports whether s is final.
func (s ImportState) Ended() bool { return s != ImportRunning && s != ImportPaused }

// RefusedRow is a row of an import that did not go in.
type RefusedRow struct {
	Line   int    // where it begins, from 1
	Reason string // one sentence: what is wrong, in which column, what would be right
	Row    []byte // as it stands in the file, cut at [MaxRefusedRow]
}

// Bounds of imports.
const (
	MaxImportBytes    = 8 << 30
	MaxImportRow      = MaxEventBytes // bytes of a row
	MaxImportColumns  = MaxExtraKeys + 10
	MaxImportName     = 255 // characters
	MaxRefusedRow     = 4 << 10
	MaxRefusedRows    = 100_000 // that are kept of one import; beyond them it only counts
	MaxRunningImports = 20      // in a project, paused ones too
)

// ImportProgress is how far an import has come with the changes that are
// applied in the same transaction.
type ImportProgress struct {
	ID       ImportID
	From, To int64 // bytes of the file: Place has to be From, and becomes To
	Rows     int   // read
	Line     int   // the last one
	// Of has the row of each change, in the order of the changes and without a
	// reason: one that is not applied is refused, for what its error says.
	Of       []RefusedRow
	Refused  []RefusedRow // rows of which no change was made
	Finished bool         // the file ends here
}
