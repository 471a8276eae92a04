package telltale

import (
	"crypto/sha256"
	"strconv"
	"strings"
	"time"
)

// Operator is a person who signs in to the pages.
type Operator struct {
	ID           OperatorID
	Email        string // lower case; unique
	Role         Role
	PasswordHash string // argon2id in PHC form
	Theme        Theme
	NoShortcuts  bool // single-key shortcuts are off (WCAG 2.1.4)
	CreatedAt    time.Time
	LastLoginAt  time.Time // zero if never
	DisabledAt   time.Time // zero while they may sign in
}

// Role says what an operator may do, on every project.
type Role string

const (
	RoleOwner  Role = "owner"  // everything, other owners too
	RoleAdmin  Role = "admin"  // everything but owners
	RoleMember Role = "member" // everything but operators, keys and secrets
	RoleViewer Role = "viewer" // read, without bodies
)

// Roles lists the roles, widest first.
func Roles() []Role { return []Role{RoleOwner, RoleAdmin, RoleMember, RoleViewer} }

// Permission is what a page or an action needs.
type Permission int

const (
	MayRead    Permission = iota // lists and details
	MayBodies                    // payloads, requests and responses
	MayChange                    // webhooks, deliveries, replays, bins
	MaySecrets                   // signing secrets and API keys
	MayPeople                    // operators, projects
)

// May reports whether the role has the permission.
func (r Role) May(p Permission) bool {
	switch r {
	case RoleOwner, RoleAdmin:
		return true
	case RoleMember:
		return p <= MayChange
	case RoleViewer:
		return p == MayRead
	}
	return false
}

// Theme is how the pages look.
type Theme string

const (
	ThemeSystem Theme = "" // as the operator's system is set
	ThemeLight  Theme = "light"
	ThemeDark   Theme = "dark"
)

// Bounds of passwords, in characters and bytes.
const (
	MinPassword = 12
	MaxPassword = 256
)

// NewOperator makes an operator with an id and the present time.
func NewOperator(email string, role Role, passwordHash string) Operator {
	return Operator{ID: NewOperatorID(), Email: CleanEmail(email), Role: role, PasswordHash: passwordHash, CreatedAt: now()}
}

// CleanEmail is the form in which operators' addresses are kept and compared.
func CleanEmail(email string) string { return strings.ToLower(strings.TrimSpace(email)) }

// Validate reports every rule that the operator breaks as one [Invalid] error.
func (o Operator) Validate() error {
	var faults []Fault
	if at := strings.IndexByte(o.Email, '@'); at < 1 || at == len(o.Email)-1 || len(o.Email) > 254 || strings.ContainsAny(o.Email, " <>,;\"") || hasControl(o.Email) {
		faults = append(faults, Fault{Location: "body.email", Message: "This is not an email address.", Expected: "name@example.com", Value: CutValue(o.Email)})
	}
	switch o.Role {
	case RoleOwner, RoleAdmin, RoleMember, RoleViewer:
	default:
		faults = append(faults, Fault{Location: "body.role", Message: "There is no such role.", Expected: "owner, admin, member or viewer", Value: CutValue(string(o.Role))})
	}
	switch o.Theme {
	case ThemeSystem, ThemeLight, ThemeDark:
	default:
		faults = append(faults, Fault{Location: "body.theme", Message: "There is no such theme.", Expected: "light, dark or nothing for the system's", Value: CutValue(string(o.Theme))})
	}
	return Faulty("Invalid operator.", faults)
}

// Owns reports whether the operator is an owner who may sign in.
func (o Operator) Owns() bool { return o.Role == RoleOwner && o.DisabledAt.IsZero() }

// Changed gives the operator with what somebody changed of it: the role, how the
// pages look, and from now on whether they may sign in.
func (o Operator) Changed(wanted Operator, at time.Time) Operator {
	o.Role, o.Theme, o.NoShortcuts = wanted.Role, wanted.Theme, wanted.NoShortcuts
	switch {
	case wanted.DisabledAt.IsZero():
		o.DisabledAt = time.Time{}
	case o.DisabledAt.IsZero():
		o.DisabledAt = at
	}
	return o
}

// OperatorChanges lists in what two versions of an operator differ, for the
// audit log. How the pages look is their own affair.
func OperatorChanges(before, after Operator) []AuditChange {
	var changes []AuditChange
	if before.Role != after.Role {
		changes = append(changes, AuditChange{Field: "role", Before: string(before.Role), After: string(after.Role)})
	}
	if may := after.DisabledAt.IsZero(); before.DisabledAt.IsZero() != may {
		changes = append(changes, AuditChange{Field: "may_sign_in", Before: strconv.FormatBool(!may), After: strconv.FormatBool(may)})
	}
	return changes
}

// Session is one browser in which an operator is signed in. Only the hash of
// its token is kept.
type Session struct {
	Hash       [sha256.Size]byte
	OperatorID OperatorID // empty before the sign-in
	UserAgent  string
	RemoteAddr string
	CreatedAt  time.Time
	SeenAt     time.Time // to the minute
	ExpiresAt  time.Time
}

// Link is a one-time link that lets someone set a password: the first operator,
// one who was invited, or one who forgot. Only the hash of its token is kept.
type Link struct {
	Hash       [sha256.Size]byte
	Purpose    LinkPurpose
	OperatorID OperatorID // of a reset
	Email      string     // of an invitation
	Role       Role       // of an invitation
	CreatedAt  time.Time
	ExpiresAt  time.Time
}

// LetsIn reports whether the link makes just this operator.
func (l Link) LetsIn(o Operator) bool {
	switch l.Purpose {
	case LinkSetup:
		return o.Role == RoleOwner
	case LinkInvite:
		return o.Email == l.Email && o.Role == l.Role
	}
	return false
}

// LinkPurpose says what a link is for.
type LinkPurpose string

const (
	LinkSetup  LinkPurpose = "setup"  // makes the first operator, an owner
	LinkInvite LinkPurpose = "invite" // makes an operator
	LinkReset  LinkPurpose = "reset"  // sets an operator's password anew
)

// How long links and sessions last.
const (
	SetupLinkLife   = 15 * time.Minute
	InviteLinkLife  = 72 * time.Hour
	ResetLinkLife   = 24 * time.Hour
	SessionLife     = 14 * 24 * time.Hour
	SessionIdleLife = 3 * 24 * time.Hour
)
