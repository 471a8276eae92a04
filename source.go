package telltale

import (
	"crypto/rand"
	"encoding/base32"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// Source is a feed: the address to which a mail provider posts its events, and
// what its requests are verified with. Values that are read from a store are
// snapshots; a change makes a new one with a higher Version.
type Source struct {
	ID        SourceID
	ProjectID ProjectID
	Version   int64 // rises with every change of its settings

	// Token is the last part of its address, below /feeds/.
	Token    SourceToken
	Provider string // its name in package feed, such as "sendgrid". It does not change
	Name     string // what people call it

	// Credentials are what requests are verified with, by the name that the
	// provider's feed has for them. They are sealed at rest and never logged.
	Credentials map[string]string
	// Options are those of the provider's feed that are switched on, by name, in
	// alphabetical order.
	Options []string
	// Enabled is whether requests are taken. To one that is not, the provider is
	// told to come back later.
	Enabled bool

	CreatedAt, UpdatedAt time.Time

	// Tally counts what came. It is kept by the store, without a new Version.
	Tally SourceTally
}

// SourceToken is the last part of a source's address. It cannot be guessed,
// since providers that sign nothing are known by little else.
type SourceToken string

// SourceTally counts what came to a source, and what became of it. It may run
// behind by a moment, and a crash may lose the last moment of it.
type SourceTally struct {
	Requests     int64 // that were verified, and answered with success
	Events       int64 // that were accepted
	Duplicates   int64 // events that had been accepted before
	Ignored      int64 // events that mean nothing to us, such as deferrals
	Unrecognised int64 // events and requests that were not understood, and kept
	Refused      int64 // requests that could not be verified

	LastRequestAt time.Time // a verified one; zero for never
	LastEventAt   time.Time // zero for never
	// LastFailure says why a request was last not taken, as a sentence with its
	// mend, and LastFailureAt when. A request that is taken later leaves both.
	LastFailure   string
	LastFailureAt time.Time
}

// Add counts what more is. Of times and failures, the later ones stay.
func (t *SourceTally) Add(more SourceTally) {
	t.Requests += more.Requests
	t.Events += more.Events
	t.Duplicates += more.Duplicates
	t.Ignored += more.Ignored
	t.Unrecognised += more.Unrecognised
	t.Refused += more.Refused
	if more.LastRequestAt.After(t.LastRequestAt) {
		t.LastRequestAt = more.LastRequestAt
	}
	if more.LastEventAt.After(t.LastEventAt) {
		t.LastEventAt = more.LastEventAt
	}
	if more.LastFailureAt.After(t.LastFailureAt) {
		t.LastFailure, t.LastFailureAt = more.LastFailure, more.LastFailureAt
	}
}

// Failing reports whether the last request was not taken.
func (t SourceTally) Failing() bool { return t.LastFailureAt.After(t.LastRequestAt) }

// SourceHealth sums up what came to a source last.
type SourceHealth string

const (
	SourceWaiting   SourceHealth = "waiting"   // nothing came yet
	SourceReceiving SourceHealth = "receiving" // the last request was taken
	SourceFailing   SourceHealth = "failing"   // the last request was not taken
)

// Health sums up what came last.
func (t SourceTally) Health() SourceHealth {
	switch {
	case t.Failing():
		return SourceFailing
	case t.LastRequestAt.IsZero():
		return SourceWaiting
	}
	return SourceReceiving
}

// UnrecognisedRequest is a request of a provider, or the part of one, that was
// authentic and not understood. It is kept in a form that the provider's feed
// takes for a whole request, so that a later version may understand it.
type UnrecognisedRequest struct {
	ID         RequestID
	SourceID   SourceID
	ProjectID  ProjectID
	ReceivedAt time.Time
	Reason     string // why it was not understood, as a sentence
	// ContentType is the header of that name, which says how to read Body.
	ContentType string
	Body        []byte // at most [MaxFeedBody]; lists leave it out
	Size        int    // bytes of Body, as the store has it
}

// Bounds of sources.
const (
	MaxSources         = 200     // a project has at a time
	MaxSourceName      = 100     // bytes
	MaxCredential      = 8 << 10 // bytes of one credential, such as a public key
	MaxCredentials     = 10      // of a source
	MaxSourceOptions   = 20      // that are switched on
	MaxUnrecognised    = 10_000  // that a source keeps: the newest
	MaxFeedBody        = 5 << 20 // bytes of a request to a source
	MaxFeedEvents      = 10_000  // events of a request to a source
	MaxSourceFailure   = 500     // bytes of a sentence that says why; longer ones are cut
	MaxUnrecognisedAge = 30 * 24 * time.Hour
)

// NewSource makes an enabled source of the project without credentials.
func NewSource(project ProjectID, provider, name string) Source {
	var b [20]byte
	rand.Read(b[:])
	t := now()
	return Source{
		ID: NewSourceID(), ProjectID: project, Version: 1,
		Token:    SourceToken(strings.ToLower(base32.StdEncoding.EncodeToString(b[:]))),
		Provider: provider, Name: name, Credentials: map[string]string{}, Enabled: true,
		CreatedAt: t, UpdatedAt: t,
	}
}

// Has reports whether the option of that name is switched on.
func (s *Source) Has(option string) bool { return slices.Contains(s.Options, option) }

// Validate reports every rule that the source breaks as one [Invalid] error.
// Which credentials and options its provider has is package feed's to say.
func (s *Source) Validate() error {
	var faults []Fault
	if n := len(s.Name); n > MaxSourceName || strings.TrimSpace(s.Name) == "" || hasControl(s.Name) || !utf8.ValidString(s.Name) {
		faults = append(faults, Fault{
			Location: "body.name", Message: "The name is empty, too long or has control characters.",
			Expected: fmt.Sprintf("1 to %d bytes of text", MaxSourceName), Value: CutValue(s.Name),
		})
	}
	if len(s.Options) > MaxSourceOptions {
		faults = append(faults, Fault{Location: "body.options", Message: "There are too many options.", Expected: fmt.Sprintf("at most %d", MaxSourceOptions)})
	}
	if len(s.Credentials) > MaxCredentials {
		faults = append(faults, Fault{Location: "body.credentials", Message: "There are too many credentials.", Expected: fmt.Sprintf("at most %d", MaxCredentials)})
	}
	for name, value := range s.Credentials {
		if len(value) > MaxCredential || !utf8.ValidString(value) {
			faults = append(faults, Fault{Location: "body.credentials." + CutValue(name), Message: "The credential is too long or is not text.", Expected: fmt.Sprintf("at most %d bytes", MaxCredential)})
		}
	}
	return Faulty("Invalid source.", faults)
}

// SourceChanges lists the settings in which two versions of a source differ, for
// the audit log; before is nil for one that is new. Credentials are redacted.
func SourceChanges(before, after *Source) []AuditChange {
	if before == nil {
		before = &Source{}
	}
	var changes []AuditChange
	note := func(field, was, is string) {
		if was != is {
			changes = append(changes, AuditChange{Field: field, Before: was, After: is})
		}
	}
	note("provider", before.Provider, after.Provider)
	note("name", before.Name, after.Name)
	note("options", strings.Join(before.Options, ","), strings.Join(after.Options, ","))
	note("enabled", settingOf(before.Enabled), settingOf(after.Enabled))
	for _, name := range credentialNames(before, after) {
		was, is := before.Credentials[name], after.Credentials[name]
		if was != is {
			changes = append(changes, AuditChange{Field: "credentials." + name, Before: redactedIf(was != ""), After: redactedIf(is != "")})
		}
	}
	return changes
}

func redactedIf(there bool) string {
	if there {
		return Redacted
	}
	return ""
}

func credentialNames(sources ...*Source) (names []string) {
	for _, s := range sources {
		for name := range s.Credentials {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}
