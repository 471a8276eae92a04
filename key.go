package telltale

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"strings"
	"time"
)

// Scope says what a key may do.
type Scope string

const (
	ScopeIngest Scope = "ingest" // post events, and call the Track API
	ScopeRead   Scope = "read"   // read everything of the project but secrets
	ScopeManage Scope = "manage" // read, ingest, and change the project's webhooks and keys
	ScopeTrack  Scope = "track"  // call the Track API, and nothing else: it may be seen in a browser
	ScopeOwner  Scope = "owner"  // manage, on every project, and make projects
)

// Scopes lists all scopes, narrowest first.
func Scopes() []Scope { return []Scope{ScopeTrack, ScopeIngest, ScopeRead, ScopeManage, ScopeOwner} }

// Allows reports whether a key of scope s may do what needs the scope need. The
// Track API is of one project, which owner keys are not.
func (s Scope) Allows(need Scope) bool {
	switch s {
	case ScopeOwner:
		return need != ScopeTrack
	case ScopeManage:
		return need == ScopeManage || need == ScopeRead || need == ScopeIngest || need == ScopeTrack
	case ScopeIngest:
		return need == ScopeIngest || need == ScopeTrack
	case ScopeRead, ScopeTrack:
		return s == need
	}
	return false
}

// Key lets a program in. The token itself is shown once, when the key is made;
// only its hash is kept.
type Key struct {
	ID         KeyID
	ProjectID  ProjectID // empty for [ScopeOwner]
	Name       string
	Scope      Scope
	Hash       [sha256.Size]byte // of the token, which has 256 random bits and so needs no salt
	CreatedAt  time.Time
	LastUsedAt time.Time // to the minute; zero if never used
	RevokedAt  time.Time // zero while the key works
}

// tokenPrefix begins every token, so that people and scanners know one when they see it.
const tokenPrefix = "tt_"

// NewKey makes a key and the token that opens it.
func NewKey(project ProjectID, name string, scope Scope) (Key, string) {
	var secret [32]byte
	rand.Read(secret[:])
	token := tokenPrefix + base64.RawURLEncoding.EncodeToString(secret[:])
	return Key{ID: NewKeyID(), ProjectID: project, Name: name, Scope: scope, Hash: HashToken(token), CreatedAt: now()}, token
}

// HashToken gives the hash under which a token's key is found.
func HashToken(token string) [sha256.Size]byte { return sha256.Sum256([]byte(token)) }

// Validate reports every rule that the key breaks as one [Invalid] error.
func (k Key) Validate() error {
	var faults []Fault
	if n := len(k.Name); n == 0 || n > 100 || strings.TrimSpace(k.Name) == "" || hasControl(k.Name) {
		faults = append(faults, Fault{
			Location: "body.name", Message: "The name is empty, too long or has control characters.",
			Expected: "1 to 100 bytes of text", Value: CutValue(k.Name),
		})
	}
	switch k.Scope {
	case ScopeTrack, ScopeIngest, ScopeRead, ScopeManage:
		if k.ProjectID == "" {
			faults = append(faults, Fault{Location: "body.project", Message: "A key of this scope belongs to a project.", Expected: "a project's slug"})
		}
	case ScopeOwner:
		if k.ProjectID != "" {
			faults = append(faults, Fault{Location: "body.project", Message: "An owner key works on every project and belongs to none.", Expected: "no project"})
		}
	default:
		faults = append(faults, Fault{
			Location: "body.scope", Message: "There is no such scope.",
			Expected: "ingest, read, manage, track or owner", Value: CutValue(string(k.Scope)),
		})
	}
	return Faulty("Invalid key.", faults)
}
