package telltale

import (
	"math"
	"strings"
	"time"
)

// Project owns webhooks, keys and events; nothing is shared between projects.
type Project struct {
	ID   ProjectID
	Slug string // in paths and on the command line; see [Project.Validate]
	Name string

	// IngestRate is how many events a second the ingest API accepts for the
	// project, with bursts of as many; 0 means no limit.
	IngestRate float64

	CreatedAt time.Time
}

// DefaultProjectSlug names the project that every new store holds.
const DefaultProjectSlug = "default"

// NewProject makes a project with an id and the present time.
func NewProject(slug, name string) Project {
	return Project{ID: NewProjectID(), Slug: slug, Name: name, CreatedAt: now()}
}

// Validate reports every rule that the project breaks as one [Invalid] error.
func (p Project) Validate() error {
	var faults []Fault
	if !validSlug(p.Slug) {
		faults = append(faults, Fault{
			Location: "body.slug", Message: "The slug cannot be used in a path.",
			Expected: "1 to 40 of a-z, 0-9 and -, beginning and ending with a letter or digit", Value: CutValue(p.Slug),
		})
	}
	if n := len(p.Name); n == 0 || n > 100 || strings.TrimSpace(p.Name) == "" || hasControl(p.Name) {
		faults = append(faults, Fault{
			Location: "body.name", Message: "The name is empty, too long or has control characters.",
			Expected: "1 to 100 bytes of text", Value: CutValue(p.Name),
		})
	}
	if math.IsNaN(p.IngestRate) || p.IngestRate < 0 || p.IngestRate > 1e6 {
		faults = append(faults, Fault{
			Location: "body.ingest_rate", Message: "The rate is out of range.",
			Expected: "0 (no limit) to 1000000 events per second",
		})
	}
	return Faulty("Invalid project.", faults)
}

func validSlug(s string) bool {
	if s == "" || len(s) > 40 || s[0] == '-' || s[len(s)-1] == '-' {
		return false
	}
	for _, c := range []byte(s) {
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' {
			return false
		}
	}
	return true
}

func hasControl(s string) bool {
	return strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f })
}

// now is the present to the millisecond, the precision at which times are
// stored and shown, so that what was just made equals what is read back.
func now() time.Time { return time.Now().UTC().Truncate(time.Millisecond) }
