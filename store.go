package telltale

import (
	"context"
	"crypto/sha256"
	"io"
	"time"
)

// Store is what we ask of storage, in whole operations: each is one
// transaction, and what it returns without error is on stable storage. It is
// composed of one interface per noun, so that a consumer takes the part that it
// needs.
//
// Every method gives an [Error] of code [Unavailable] when the store cannot
// take the operation now (busy, disk full, connection lost, commit of unknown
// outcome): nothing, or nothing known, was changed and the caller may come
// back. Errors that each method promises beyond that stand in its comment.
// Times that decide something are the store's own, so methods take durations.
type Store interface {
	ProjectStore
	KeyStore
	WebhookStore
	EventStore
	MessageStore
	ProfileFinder
	GoalStore
	DeliveryStore
	DeliveryLogStore
	StatStore
	ReplayStore
	ImportStore
	UserStore
	SourceStore
	ErasureStore
	UndeleteStore
	OperatorStore
	AuditStore
	IdempotencyStore
	BinStore
	NodeStore
	SystemStore
	SecretStore

	// Purge removes a bounded chunk of what is older than the retention says
	// and reports how many events went and whether there is more. An engine may
	// keep the events of a day (UTC) until the last of them is that old. It never
	// removes an event with a delivery that is waiting, sending or held; with
	// an event go its deliveries and their attempts. What has expired goes too:
	// bins, links, sessions, the memory of requests and of callers' ids, the
	// secrets of what was deleted, unrecognised requests after [MaxUnrecognisedAge],
	// and audit entries after [AuditMemory].
	Purge(ctx context.Context, retention Retention) (removed int, more bool, err error)

	// Ready reports why the store cannot be used now, or nil.
	Ready(ctx context.Context) error

	Close() error
}

// Retention says how long what is finished is kept. A zero duration keeps it for good.
type Retention struct {
	Events    time.Duration // from receipt; with deliveries and attempts
	CallerIDs time.Duration // how long a caller's id is remembered, and a nonce
}

// DefaultRetention keeps events, and the memory of callers' ids, for 30 days.
func DefaultRetention() Retention {
	return Retention{Events: 30 * 24 * time.Hour, CallerIDs: CallerIDMemory}
}

// CallerIDMemory is how long a repeated caller's id is known as such.
const CallerIDMemory = 30 * 24 * time.Hour

// Sealer seals secrets before they are stored. row names the place that the
// secret belongs to, such as "webhook/whk_…/secrets"; what was sealed for one row does not
// open for another.
//
// There may be several keys, of which the first seals and all open.
type Sealer interface {
	Seal(plain []byte, row string) ([]byte, error)
	Open(sealed []byte, row string) ([]byte, error)
	// Keys names the keys, in order. A name tells nothing of its key.
	Keys() []string
	// KeyOf names the key that sealed it, whether it is there or not.
	KeyOf(sealed []byte) string
}

// Page asks for a part of a list, newest first.
type Page struct {
	Limit  int    // 1 to [MaxPage]
	After  string // id of a row: only what is older than it
	Before string // id of a row: only what is newer than it, and of that what is nearest to it
}

// MaxPage bounds the rows of a page. Faces ask for one more to know whether
// there is another page.
const MaxPage = 501

// ProjectStore keeps projects. A new store holds one with [DefaultProjectSlug].
type ProjectStore interface {
	// CreateProject gives Conflict if the slug is taken.
	CreateProject(ctx context.Context, p Project) error
	// UpdateProject changes name and ingest rate. NotFound.
	UpdateProject(ctx context.Context, p Project) error
	// ProjectBySlug gives NotFound.
	ProjectBySlug(ctx context.Context, slug string) (Project, error)
	// Project gives NotFound.
	Project(ctx context.Context, id ProjectID) (Project, error)
	// Projects lists all, by slug.
	Projects(ctx context.Context) ([]Project, error)
}

// KeyStore keeps API keys.
type KeyStore interface {
	CreateKey(ctx context.Context, k Key) error
	// KeyByHash finds a key, revoked ones too. NotFound.
	KeyByHash(ctx context.Context, hash [32]byte) (Key, error)
	// Keys lists a project's keys, newest first; with an empty project, owner keys.
	Keys(ctx context.Context, project ProjectID, page Page) ([]Key, error)
	// RevokeKey ends a key of the project (or, with an empty project, an owner
	// key) for good; a second time changes nothing. NotFound.
	RevokeKey(ctx context.Context, project ProjectID, id KeyID) (Key, error)
	// TouchKeys notes that the keys were used just now.
	TouchKeys(ctx context.Context, ids []KeyID) error
}

// WebhookStore keeps webhooks. Where a project is asked for, a webhook of
// another one is NotFound, exactly like one that does not exist. What is
// returned carries its secrets in the clear.
type WebhookStore interface {
	CreateWebhook(ctx context.Context, w Webhook) (*Webhook, error)
	// Webhook gives NotFound, for deleted ones too.
	Webhook(ctx context.Context, project ProjectID, id WebhookID) (*Webhook, error)
	// Webhooks lists a project's webhooks that are not deleted, newest first.
	Webhooks(ctx context.Context, project ProjectID, page Page) ([]*Webhook, error)
	// UpdateWebhook replaces the settings (not Enabled, DisabledReason,
	// Deleted, Health or Standing) if w.Version is still the stored version, and
	// gives PreconditionFailed otherwise. Another URL resets the standing: what the
	// attempts before add up to was another receiver's. NotFound.
	UpdateWebhook(ctx context.Context, w Webhook) (*Webhook, error)
	// DisableWebhook holds all its waiting deliveries. Disabling a disabled
	// webhook changes nothing. NotFound.
	DisableWebhook(ctx context.Context, project ProjectID, id WebhookID, reason DisabledReason) (*Webhook, error)
	// EnableWebhook makes the held deliveries due, to be claimed at the pace
	// that the dispatcher asks for ([LaneRoom.Held]); they keep their number
	// of attempts. The standing is reset. NotFound.
	EnableWebhook(ctx context.Context, project ProjectID, id WebhookID) (*Webhook, error)
	// DeleteWebhook cancels all its deliveries that are not finished; one in
	// the midst of an attempt keeps the attempt's success, and is cancelled
	// otherwise. The log stays. PreconditionFailed if the version is not the
	// stored one; 0 stands for whichever that is. NotFound.
	DeleteWebhook(ctx context.Context, project ProjectID, id WebhookID, version int64) (*Webhook, error)
}

// UndeleteStore takes back what was deleted by mistake.
type UndeleteStore interface {
	// RestoreWebhook brings a deleted webhook back as it was, with its secrets
	// and what waited for it, within [UndoWindow] of the deletion. NotFound
	// after it, and for a webhook that is not deleted.
	RestoreWebhook(ctx context.Context, project ProjectID, id WebhookID) (*Webhook, error)
}

// UndoWindow is how long a deletion can be taken back.
const UndoWindow = time.Minute

// EventStore accepts events and finds them again.
type EventStore interface {
	// AcceptEvents stores, in one transaction, each event that is not a
	// repetition and one delivery per enabled webhook of the project that
	// wants it ([Webhook.Wants]). Deliveries for which there is Room are born claimed. An event
	// unsubscribed or resubscribed changes the user's profile, too, if there is
	// one, and so does one with an [Event.Suppression].
	//
	// An event whose CallerID was seen within [CallerIDMemory], in this call
	// too, is a duplicate if its ContentHash is the same, and is answered with
	// the first one's id. With another content the whole call gives Conflict,
	// with a fault "body[i].telltale.id" per clash, and stores nothing. So it is
	// with [Acceptance.Nonces].
	AcceptEvents(ctx context.Context, a Acceptance) (Accepted, error)

	// AcceptTest stores an event marked as test with one delivery to one
	// webhook, enabled or not, born claimed whatever room there is. NotFound.
	AcceptTest(ctx context.Context, event Event, webhook WebhookID) (Claim, error)

	// Event gives NotFound.
	Event(ctx context.Context, project ProjectID, id EventID) (*Event, error)
	// Events lists newest first.
	Events(ctx context.Context, project ProjectID, f EventFilter, page Page) ([]*Event, error)
}

// Acceptance is what AcceptEvents is asked to store.
type Acceptance struct {
	ProjectID ProjectID
	// Events have id and all else but Sequence, which the store sets in place.
	// It keeps a pointer to them in claims: they are not to be changed after.
	Events []*Event
	Room   Room // nil: every delivery waits
	// Nonces are remembered with the events, as long as callers' ids: one that is
	// known with another hash gives Conflict, with a fault "nonces[i]", and
	// nothing is stored.
	Nonces []Nonce
}

// Nonce is what a sender may use once, such as the token in a signature that
// does not cover what was sent.
type Nonce struct {
	Name string            // at most [MaxIDChars] characters
	Hash [sha256.Size]byte // of what it was used for
}

// Room says how many deliveries the local dispatcher takes over at once. Its
// methods are called from within AcceptEvents by any goroutine; they are quick
// and do not block.
type Room interface {
	// Reserve takes room for one delivery to the webhook, if there is.
	Reserve(w *Webhook) bool
	// Release gives back room whose delivery was not stored after all.
	Release(w *Webhook)
}

// Accepted is what AcceptEvents did.
type Accepted struct {
	Events  []AcceptedEvent // one per event asked for, in the same order
	Claims  []Claim         // born claimed, for the room that was reserved
	Waiting []*Webhook      // webhooks for which deliveries were stored that wait for room
}

// AcceptedEvent answers one event.
type AcceptedEvent struct {
	ID        EventID
	Duplicate bool
}

// EventFilter narrows a list of events. Zero fields do not narrow.
type EventFilter struct {
	Type  EventType
	Match string // equals the user id, the email or the message id
	// Received at or after Since and before Until.
	Since, Until time.Time
}

// DeliveryStore hands out deliveries and records what came of them.
type DeliveryStore interface {
	// DueWebhooks lists, for every webhook that is enabled, when its next
	// waiting delivery is due, and whether it has held ones to release. It is
	// how a dispatcher finds work that it was not told of.
	DueWebhooks(ctx context.Context) ([]LaneDue, error)

	// ClaimDue claims due deliveries for the lanes that have free slots: first
	// attempts before retries, then by due time. Lanes of disabled or deleted
	// webhooks get none.
	ClaimDue(ctx context.Context, lanes []LaneRoom) ([]LaneClaims, error)

	// RecordAttempts stores each attempt with what becomes of its delivery, in
	// one transaction. A result whose claim is no longer the delivery's is not
	// applied. A delivery that would wait for a webhook that is disabled is
	// held; for one that is deleted, cancelled.
	//
	// In the same transaction each webhook's [Standing] goes on ([Standing.After]),
	// with what follows: it may be disabled, and operational events go to the other
	// webhooks of the project that want them. A test that passes closes the breaker,
	// and enables the webhook if it was disabled automatically and nobody changed it
	// since the test began.
	RecordAttempts(ctx context.Context, results []Result) (Recorded, error)

	// ReleaseClaims gives back claims of which no attempt was begun: the
	// deliveries wait (or are held, or cancelled) as if they had not been claimed.
	ReleaseClaims(ctx context.Context, claims []ClaimRef) error

	// TakeOver makes due every delivery whose claim belongs to a node that is
	// gone, and logs an interrupted attempt for each. On one SQLite file every
	// node but the present one is gone; on PostgreSQL those whose lease ended.
	TakeOver(ctx context.Context) (int, error)

	// RetryDelivery makes a waiting or failed delivery due now, for one manual
	// attempt that counts against no schedule. An open breaker lets a probe go
	// ([Standing.Asked]). Conflict in any other state, and while the webhook is
	// disabled or deleted. NotFound.
	RetryDelivery(ctx context.Context, project ProjectID, id DeliveryID) (Delivery, error)

	// Delivery gives one with its attempts. NotFound.
	Delivery(ctx context.Context, project ProjectID, id DeliveryID) (Delivery, error)
	// Deliveries lists newest first.
	Deliveries(ctx context.Context, project ProjectID, f DeliveryFilter, page Page) ([]Delivery, error)
}

// LaneDue says when a webhook has work.
type LaneDue struct {
	Webhook *Webhook
	In      time.Duration // until the first waiting delivery is due; 0 if it is; [Never] if none waits
	Held    bool          // held deliveries of an enabled webhook, to be released at a pace
}

// Never is a wait without an end.
const Never = time.Duration(1<<63 - 1)

// LaneRoom asks for claims for one webhook.
type LaneRoom struct {
	WebhookID WebhookID
	Slots     int // deliveries wanted in all
	Held      int // of these, how many may be held ones that were released
}

// LaneClaims answers a LaneRoom.
type LaneClaims struct {
	LaneDue // what is left after these claims
	Claims  []Claim
}

// Result is one ended attempt and what becomes of its delivery.
type Result struct {
	ClaimRef
	Attempt        *Attempt
	Outcome        Outcome
	WebhookVersion int64 // of the webhook that the attempt was made with; [Outcome.Disable], and a test that passed, apply to no other
}

// Recorded is what RecordAttempts did.
type Recorded struct {
	Applied []bool     // one per result
	Changed []*Webhook // webhooks whose breaker, health or enabling changed, as they are now
	Waiting []*Webhook // webhooks for which operational events wait
	News    []News     // what happened to webhooks, whether any wants to hear it or not
}

// News is what happened to a webhook.
type News struct {
	Type    EventType // [WebhookFailing], [WebhookDisabled] or [WebhookRecovered]
	Webhook *Webhook  // as it is now
}

// DeliveryFilter narrows a list of deliveries. Zero fields do not narrow.
type DeliveryFilter struct {
	WebhookID WebhookID
	EventID   EventID
	ReplayID  ReplayID
	State     State
	Attempted *bool // whether there was an attempt already: what waits is a retry then
	Type      EventType
	Match     string  // equals the event's user id, email or message id
	Answer    *Answer // what the last attempt got; nothing matches before the first
	// Created at or after Since and before Until.
	Since, Until time.Time
}

// DeliverySearch is a page of a list of deliveries, or as much of it as was
// found in time.
type DeliverySearch struct {
	Found []Delivery // newest first
	// Reached is where to go on, as [Page.After], or as [Page.Before] if the page
	// has that; "" if the page is whole. ReachedAt is when that was.
	Reached   DeliveryID
	ReachedAt time.Time
}

// BinStore keeps the inspector's bins.
type BinStore interface {
	// CreateBin gives Conflict if the project has [MaxBins] already.
	CreateBin(ctx context.Context, b Bin) error
	// Bin finds a bin by its id alone, since senders know no project.
	// NotFound, for expired ones too.
	Bin(ctx context.Context, id BinID) (Bin, error)
	// Bins lists a project's bins that have not expired, newest first, with how
	// many requests each holds.
	Bins(ctx context.Context, project ProjectID) ([]Bin, error)
	// UpdateBin changes what the bin answers. NotFound.
	UpdateBin(ctx context.Context, project ProjectID, id BinID, answer BinAnswer) (Bin, error)
	// DeleteBin removes a bin and what it caught. NotFound.
	DeleteBin(ctx context.Context, project ProjectID, id BinID) error
	// CatchRequest keeps a request, and the newest [MaxCaughtRequests] of its bin.
	CatchRequest(ctx context.Context, r CaughtRequest) error
	// CaughtRequests lists what a bin caught, newest first.
	CaughtRequests(ctx context.Context, id BinID, page Page) ([]CaughtRequest, error)
	// CaughtHeads lists the same without the bodies.
	CaughtHeads(ctx context.Context, id BinID, page Page) ([]CaughtRequest, error)
	// CaughtRequest gives one. NotFound, for one that another bin caught too.
	CaughtRequest(ctx context.Context, id BinID, request RequestID) (CaughtRequest, error)
}

// NodeStore knows which nodes are alive.
type NodeStore interface {
	// Beat says that this node is alive and renews the leases of its claims.
	// A node that could not beat for [LeaseGrace] starts no attempt.
	Beat(ctx context.Context) (Beat, error)
}

// Leases, as nodes hold and renew them.
const (
	Lease        = 50 * time.Second
	BeatInterval = 10 * time.Second
	LeaseGrace   = 15 * time.Second
)

// Beat is what a node learns when it says that it is alive.
type Beat struct {
	// Outage is how long no node was alive before this one, if that is more
	// than [OutageGap] and this is the first beat after it; else 0. The store
	// notes it: [Claim.Tries] counts from its end.
	Outage time.Duration
	// Workers is how many nodes that make attempts are alive, and Place where this
	// one stands among them, from 0 on. On one SQLite file it is alone. Each makes
	// its share of what a webhook allows at once ([Webhook.Share]), and the first one does
	// what one node does for all: replays, imports, erasures and the retention.
	Workers, Place int
}

// DeliveryLogStore is the part of the log that people use.
type DeliveryLogStore interface {
	// CancelDelivery ends a delivery that is waiting or held: nothing more is
	// attempted. Conflict in any other state. NotFound.
	CancelDelivery(ctx context.Context, project ProjectID, id DeliveryID) (Delivery, error)
	// SearchDeliveries lists as Deliveries does, for someone who waits: a filter
	// may pass over millions of rows, so it stops soon after its patience is at
	// an end and tells how far it came. It comes a step further each time,
	// with a patience of 0 too.
	SearchDeliveries(ctx context.Context, project ProjectID, f DeliveryFilter, page Page, patience time.Duration) (DeliverySearch, error)
	// CountDeliveries counts what Deliveries would list, up to limit. It is for
	// people, and gives up sooner, with more, if that took too long: n is then
	// what it found so far.
	CountDeliveries(ctx context.Context, project ProjectID, f DeliveryFilter, limit int) (n int, more bool, err error)
	// CountEvents counts what Events would list, likewise.
	CountEvents(ctx context.Context, project ProjectID, f EventFilter, limit int) (n int, more bool, err error)
	// LogEnd is the place behind everything that is committed.
	LogEnd(ctx context.Context) (Cursor, error)
	// LogSince lists what stands behind the cursor, at most limit rows of
	// each kind.
	LogSince(ctx context.Context, project ProjectID, after Cursor, limit int) (LogPage, error)
}

// StatStore keeps counts of what happened.
type StatStore interface {
	// Stats gives the steps in which anything was counted, by time, then
	// webhook, then type. It may run behind the log by a moment. A step that
	// reaches into the time is counted whole; without a step, Start is Since.
	// What happened is counted when it was stored. Invalid if Step is no
	// multiple of [StatStep].
	Stats(ctx context.Context, project ProjectID, q StatQuery) ([]Stat, error)
}

// ReplayStore keeps replays and makes their deliveries.
type ReplayStore interface {
	// PlanReplay counts what a replay would send, and changes nothing. NotFound
	// for a webhook or delivery that the project does not have.
	PlanReplay(ctx context.Context, project ProjectID, s Selection, to WebhookID) (ReplayPlan, error)
	// CreateReplay stores a running replay; what it counts begins at zero.
	// Conflict if the project has [MaxRunningReplays]; NotFound as PlanReplay.
	// Both give Invalid for a selection that makes no sense.
	CreateReplay(ctx context.Context, r Replay) (Replay, error)
	// Replay gives NotFound.
	Replay(ctx context.Context, project ProjectID, id ReplayID) (Replay, error)
	// Replays lists newest first.
	Replays(ctx context.Context, project ProjectID, page Page) ([]Replay, error)
	// SwitchReplay pauses, resumes (running) or cancels. To the state that it
	// has already it changes nothing; Conflict for one that has ended. NotFound.
	SwitchReplay(ctx context.Context, project ProjectID, id ReplayID, to ReplayState) (Replay, error)
	// RunningReplays lists those of every project that are running.
	RunningReplays(ctx context.Context) ([]Replay, error)
	// AdvanceReplay makes the next deliveries of a running replay, at most n,
	// as waiting and due, in one transaction with its place, and finishes it
	// when there are no more. It looks at a bounded number of events, so it
	// may make fewer. Deliveries whose webhook is disabled are made held; to a
	// deleted one none are made. Of a replay that is not running it makes none.
	// It gives the webhooks that have work now. NotFound.
	AdvanceReplay(ctx context.Context, id ReplayID, n int) (Replay, []*Webhook, error)
}

// OperatorStore keeps who may sign in.
type OperatorStore interface {
	// CreateOperator stores the operator and uses up the link that let them
	// in, in one transaction. NotFound if the link does not exist, has expired,
	// was used, or lets in somebody else (an invitation has an email and a
	// role; setup makes an owner); Conflict if the email is taken, or if the
	// link is for setup and there is an operator already.
	CreateOperator(ctx context.Context, o Operator, link [32]byte) error
	// Operator gives NotFound.
	Operator(ctx context.Context, id OperatorID) (Operator, error)
	// OperatorByEmail gives NotFound.
	OperatorByEmail(ctx context.Context, email string) (Operator, error)
	// Operators lists all, by email.
	Operators(ctx context.Context) ([]Operator, error)
	// UpdateOperator changes role, theme, shortcuts and whether they are
	// disabled, since when is the store's to say. Conflict if no owner who may
	// sign in would be left. NotFound. Disabling ends their sessions, and
	// their links to reset the password.
	UpdateOperator(ctx context.Context, o Operator) error
	// SetPassword changes the password's hash, uses up the link if it is not
	// zero, ends all sessions but keep, and all links to reset the password.
	// NotFound, for a link that is not for this too.
	SetPassword(ctx context.Context, id OperatorID, hash string, link, keep [32]byte) error
	// NoteLogin notes, in the audit log too, that the operator signed in just
	// now. NotFound.
	NoteLogin(ctx context.Context, id OperatorID) error

	// CreateLink gives NotFound for a reset of an operator who does not exist.
	CreateLink(ctx context.Context, l Link) error
	// Link looks at a link without using it up. NotFound if it does not
	// exist, has expired or was used.
	Link(ctx context.Context, hash [32]byte) (Link, error)

	// SaveSession stores or replaces a session that was opened with the password
	// of that hash. NotFound if its operator does not exist, is disabled, or has
	// another password by now.
	SaveSession(ctx context.Context, s Session, passwordHash string) error
	// TouchSession notes that a session is used just now, and from where.
	// NotFound if it was ended meanwhile: saving would bring it back.
	TouchSession(ctx context.Context, hash [32]byte, remoteAddr string) error
	// Session gives NotFound, for one that has expired too.
	Session(ctx context.Context, hash [32]byte) (Session, error)
	// Sessions lists an operator's, last seen first.
	Sessions(ctx context.Context, id OperatorID) ([]Session, error)
	// EndSession removes a session; one that is not there is no error. It is
	// also how a session is renewed, so a logout is the face's to [AuditStore.Audit].
	EndSession(ctx context.Context, hash [32]byte) error
	// EndSessions removes all of an operator's but keep. NotFound.
	EndSessions(ctx context.Context, id OperatorID, keep [32]byte) error
}

// AuditStore keeps who did what. The store itself writes an entry for every
// change of a webhook, source, key, project, operator, delivery or replay that someone
// asks for, in the transaction of the change, with [ActorOf] of the context.
// Who signs in, or comes by a link, is nobody yet: an actor without an id gets
// the operator's.
type AuditStore interface {
	// Audit adds an entry for what changes nothing in the store, such as a
	// secret that was shown or a login that failed. ID, At and Actor are
	// filled in if they are empty.
	Audit(ctx context.Context, e AuditEntry) error
	// AuditEntries lists a project's entries, or, with an empty project, those
	// of the whole server; newest first.
	AuditEntries(ctx context.Context, project ProjectID, f AuditFilter, page Page) ([]AuditEntry, error)
}

// IdempotencyStore remembers requests that their callers named.
type IdempotencyStore interface {
	// BeginIdempotent takes the name for this request: nil, and whoever gets
	// that must end it. If it was answered already, it gives the answer.
	// Invalid if the name was used for another request; Conflict while the
	// first is under way.
	BeginIdempotent(ctx context.Context, r IdempotentRequest) (*IdempotentAnswer, error)
	// EndIdempotent keeps the answer for [IdempotencyMemory]; nil gives the
	// name free again.
	EndIdempotent(ctx context.Context, r IdempotentRequest, a *IdempotentAnswer) error
}

// SecretStore lets the key that seals what is secret be changed. A store is not
// opened with a [Sealer] that lacks the key of anything that is sealed in it, or
// whose first key was retired.
type SecretStore interface {
	// Reseal seals anew, with the key that seals now, a bounded number of the
	// secrets that another key sealed, and tells how many are left. It is called
	// until none is, and goes on where a call before it ended, in whichever
	// process; with nothing to do it changes nothing. The call that finds the first
	// notes it in the audit log, and so does the one that leaves none, which retires
	// the other keys. Conflict, while a node that is alive seals with another key.
	Reseal(ctx context.Context) (Resealed, error)
}

// Resealed is what a call of Reseal did.
type Resealed struct {
	Sealed  int      // secrets that were sealed anew
	Left    int      // secrets that another key sealed still
	Retired []string // names of all keys that seal nothing any more, and never will
}

// SystemStore describes itself to those who run it.
type SystemStore interface {
	// Nodes lists the starts of the server, newest first, at most 50.
	Nodes(ctx context.Context) ([]Node, error)
	Info(ctx context.Context) (StoreInfo, error)
}

// UserStore keeps profiles, and what users did.
type UserStore interface {
	// ChangeUsers applies the changes to their users' profiles, in order, and
	// stores the events that come of them with their deliveries, as
	// [EventStore.AcceptEvents] does; all in one transaction. So concurrent
	// changes of one profile come one after another, and none is lost.
	//
	// Whose profile it is, the id decides, in canonical form. Where there is only
	// an email it is that of the user whose id it is, else that of the user who
	// has it, the one changed last if several have.
	//
	// A tracked event that repeats one ([TrackedEvent.RepeatKey]) of the last
	// RepeatWindow, in this call too, changes nothing. Any other is stored, and
	// may convert a message of the user ([Goals.Convert]).
	//
	// A change that breaks a bound is not applied, and the others are:
	// [UserChanged.Results] tells. With Import set, its progress is stored in the
	// same transaction: Conflict if it does not stand where the progress begins,
	// or is not running, and nothing is applied.
	ChangeUsers(ctx context.Context, c UserChanges) (UserChanged, error)
	// PrepareChanges works out ahead what ChangeUsers would come to, and sets
	// c.Prepared, so that others wait less for its transaction. It changes nothing.
	// ChangeUsers comes to the same as without it, but that it may be told as
	// happened when it was prepared: of whom something was stored since, it decides
	// anew. NotFound for a project.
	PrepareChanges(ctx context.Context, c *UserChanges) error

	// Profile gives NotFound.
	Profile(ctx context.Context, project ProjectID, id ProfileID) (*Profile, error)
	// FindProfile finds whom the reference is about, as ChangeUsers does. NotFound.
	FindProfile(ctx context.Context, project ProjectID, user UserRef) (*Profile, error)
	// Profiles lists newest first.
	Profiles(ctx context.Context, project ProjectID, f ProfileFilter, page Page) ([]*Profile, error)
	// CountProfiles counts as [DeliveryLogStore.CountDeliveries] does.
	CountProfiles(ctx context.Context, project ProjectID, f ProfileFilter, limit int) (n int, more bool, err error)
	// TrackedEvents lists what the user did, newest first; page counts by Sequence, as text.
	TrackedEvents(ctx context.Context, project ProjectID, id ProfileID, page Page) ([]*TrackedEvent, error)
}

// UserChanges is what ChangeUsers is asked to do.
type UserChanges struct {
	ProjectID ProjectID
	Source    string // of the events that come of it
	Changes   []UserChange
	// RepeatWindow is for how long a tracked event is known; 0 stores every one.
	RepeatWindow time.Duration
	// NoConversions leaves messages alone, whatever the users did.
	NoConversions bool
	Room          Room // as in [Acceptance]
	Import        *ImportProgress
	Prepared      any // by PrepareChanges of the same store, for the same changes; nil if they were not
}

// UserChanged is what ChangeUsers did.
type UserChanged struct {
	Accepted // the events that came of it, in order
	Results  []UserResult
}

// UserResult answers one change.
type UserResult struct {
	Err      error // Invalid: why it was not applied
	Repeated bool  // a tracked event that was known
	Created  bool  // the profile was made
	Events   int   // that came of it
}

// MessageStore knows the messages that events name. Tests name none.
type MessageStore interface {
	// Messages finds messages of the project by their message ids or their
	// provider's ids ([MessageOf]). The answer has an entry per id, nil for one
	// that is unknown. An id that more than a hundred events bear may be known
	// from the first and the last of them only.
	Messages(ctx context.Context, project ProjectID, ids []string) ([]*Message, error)
}

// ProfileFinder finds users of many events at once.
type ProfileFinder interface {
	// ProfilesByRef is FindProfile for many, with nil for whom nobody knows.
	ProfilesByRef(ctx context.Context, project ProjectID, users []UserRef) ([]*Profile, error)
}

// GoalStore keeps what campaigns are to bring about.
type GoalStore interface {
	// Goals gives a project's goals, by campaign id. NotFound.
	Goals(ctx context.Context, project ProjectID) (Goals, error)
	// SetGoal sets the goal of a campaign; an empty event name removes it.
	// When, the store says. Invalid as [Goal.Validate]; Conflict if the project
	// has [MaxGoals]; NotFound for a project.
	SetGoal(ctx context.Context, project ProjectID, g Goal) error
	// SetConversionWindows gives Invalid as [ValidateWindows]. NotFound.
	SetConversionWindows(ctx context.Context, project ProjectID, window, viewWindow time.Duration) error
	// TryGoal counts which of the tracked events since then would have been
	// credited to messages of the campaign if this were its goal. It changes
	// nothing, and gives up, with more, if that takes too long.
	TryGoal(ctx context.Context, project ProjectID, g Goal, since time.Time) (GoalTrial, error)
}

// GoalTrial is what a goal would have brought.
type GoalTrial struct {
	Events   int // tracked events of the name
	Credited map[Credit]int
	More     bool // the trial was given up; there are more
}

// ImportStore keeps imports. Their progress is [UserStore.ChangeUsers]'s to note.
type ImportStore interface {
	// CreateImport stores a running import that stands at the beginning. Conflict
	// if the project has [MaxRunningImports]; Invalid for a kind that there is
	// not; NotFound for a project.
	CreateImport(ctx context.Context, i Import) (Import, error)
	// Import gives NotFound.
	Import(ctx context.Context, project ProjectID, id ImportID) (Import, error)
	// Imports lists newest first.
	Imports(ctx context.Context, project ProjectID, page Page) ([]Import, error)
	// SwitchImport pauses, resumes (running) or cancels. To the state that it has
	// already it changes nothing; Conflict for one that has ended. NotFound.
	SwitchImport(ctx context.Context, project ProjectID, id ImportID, to ImportState) (Import, error)
	// FailImport ends a running import with a sentence that says why. Of one that
	// is not running it changes nothing. NotFound.
	FailImport(ctx context.Context, id ImportID, failure string) error
	// OpenImports lists those of every project that are running or paused, by
	// project and from the oldest on.
	OpenImports(ctx context.Context) ([]Import, error)
	// RefusedRows lists the refused rows behind a line, in order, at most
	// [MaxPage]. NotFound for the import.
	RefusedRows(ctx context.Context, project ProjectID, id ImportID, afterLine int) ([]RefusedRow, error)
}

// ImportFiles keeps the files of imports, each from before there is the import
// until that has ended. A store that several nodes share does, since one of them
// takes a file and another reads it; a node that is alone has a folder.
type ImportFiles interface {
	// SaveFile stores a file and gives its size. When it returns without error,
	// the file is on stable storage. An error of file is given as it is;
	// Unavailable if the file cannot be stored now.
	SaveFile(ctx context.Context, id ImportID, file io.Reader) (size int64, err error)
	// OpenFile gives NotFound.
	OpenFile(ctx context.Context, id ImportID) (ImportFile, error)
	// StoredFiles lists the files, and what is left of any, of which it is known
	// that no other node is about to store them or to create their import.
	StoredFiles(ctx context.Context) ([]ImportID, error)
	// RemoveFile removes the file, or as much of it as may go at once: of what is
	// left StoredFiles tells. A file that is not there may be removed, too.
	RemoveFile(ctx context.Context, id ImportID) error
}

// ImportFile is the file of an import, open to be read.
type ImportFile interface {
	io.ReadSeekCloser
	Size() int64
}

// ErasureStore forgets people.
type ErasureStore interface {
	// Erase begins to forget the user: the profile goes at once. What their data
	// stands under is the profile's [Profile.Known], or what the reference says
	// if there is no profile. NotFound for a project; Invalid for a reference to nobody.
	Erase(ctx context.Context, project ProjectID, user UserRef) (Erasure, error)
	// AdvanceErasure removes a bounded chunk of what was stored before the
	// erasure began, and completes it when nothing of that is left. Deliveries
	// that wait go at once; an event with one that is under way is left until
	// that has ended. NotFound.
	AdvanceErasure(ctx context.Context, id ErasureID) (Erasure, error)
	// Erasure gives NotFound.
	Erasure(ctx context.Context, project ProjectID, id ErasureID) (Erasure, error)
	// Erasures lists newest first.
	Erasures(ctx context.Context, project ProjectID, page Page) ([]Erasure, error)
	// OpenErasures lists those of every project that are not complete.
	OpenErasures(ctx context.Context) ([]Erasure, error)
}

// SourceStore keeps the feeds of mail providers. Where a project is asked for, a
// source of another one is NotFound, like one that does not exist or is deleted.
// What is returned carries its credentials in the clear.
type SourceStore interface {
	// CreateSource gives Conflict if the project has [MaxSources]; NotFound for a project.
	CreateSource(ctx context.Context, s Source) (*Source, error)
	// Source gives NotFound.
	Source(ctx context.Context, project ProjectID, id SourceID) (*Source, error)
	// SourceByToken finds a source by its address, since providers know no
	// project. NotFound.
	SourceByToken(ctx context.Context, token SourceToken) (*Source, error)
	// Sources lists newest first.
	Sources(ctx context.Context, project ProjectID, page Page) ([]*Source, error)
	// UpdateSource replaces name, credentials, options and whether it is enabled,
	// if s.Version is still the stored version, and gives PreconditionFailed
	// otherwise. NotFound.
	UpdateSource(ctx context.Context, s Source) (*Source, error)
	// DeleteSource removes a source for good with what it kept; its events stay.
	// PreconditionFailed if the version is not the stored one; 0 stands for
	// whichever that is. NotFound.
	DeleteSource(ctx context.Context, project ProjectID, id SourceID, version int64) (*Source, error)
	// NoteSources adds to the tallies of sources ([SourceTally.Add]). One that is
	// gone is passed over.
	NoteSources(ctx context.Context, tallies map[SourceID]SourceTally) error

	// KeepUnrecognised keeps requests of one source, of which there are the
	// newest [MaxUnrecognised] at most. One whose body the source keeps already is
	// not kept again. NotFound.
	KeepUnrecognised(ctx context.Context, requests []UnrecognisedRequest) error
	// UnrecognisedRequests lists newest first, without the bodies. NotFound for
	// the source.
	UnrecognisedRequests(ctx context.Context, project ProjectID, source SourceID, page Page) ([]UnrecognisedRequest, error)
	// UnrecognisedRequest gives one with its body. NotFound.
	UnrecognisedRequest(ctx context.Context, project ProjectID, source SourceID, id RequestID) (UnrecognisedRequest, error)
	// CountUnrecognised counts what a source keeps. NotFound for the source.
	CountUnrecognised(ctx context.Context, project ProjectID, source SourceID) (int, error)
	// DropUnrecognised removes those of the ids; what is not there is no error.
	DropUnrecognised(ctx context.Context, project ProjectID, source SourceID, ids []RequestID) error
}
