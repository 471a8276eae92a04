package telltale

import (
	"strconv"
	"time"
)

// AuditEntry is one thing that someone did. Entries are only ever added; the
// store writes those of changes in the transaction of the change.
type AuditEntry struct {
	ID        AuditID
	ProjectID ProjectID // empty for what concerns the whole server
	At        time.Time
	Actor     Actor
	Action    AuditAction
	Target    string // id of what was changed or looked at
	Name      string // what people call it: a URL, an email, a name
	Changes   []AuditChange
}

// AuditChange is one setting that changed. Secret values read [Redacted].
type AuditChange struct{ Field, Before, After string }

// AuditAction is noun and verb of what was done.
type AuditAction string

// Everything that is audited.
const (
	AuditLogin             AuditAction = "operator.login"
	AuditLoginFailed       AuditAction = "operator.login_failed"
	AuditLogout            AuditAction = "operator.logout"
	AuditOperatorCreated   AuditAction = "operator.create"
	AuditOperatorChanged   AuditAction = "operator.update"
	AuditOperatorInvited   AuditAction = "operator.invite"
	AuditPasswordChanged   AuditAction = "operator.password"
	AuditResetLinkMade     AuditAction = "operator.reset_link"
	AuditSessionsEnded     AuditAction = "operator.end_sessions"
	AuditKeyCreated        AuditAction = "key.create"
	AuditKeyRevoked        AuditAction = "key.revoke"
	AuditSecretShown       AuditAction = "webhook.show_secret"   //nolint:gosec // a name, no secret
	AuditSecretRotated     AuditAction = "webhook.rotate_secret" //nolint:gosec // likewise
	AuditWebhookCreated    AuditAction = "webhook.create"
	AuditWebhookChanged    AuditAction = "webhook.update"
	AuditWebhookEnabled    AuditAction = "webhook.enable"
	AuditWebhookDisabled   AuditAction = "webhook.disable"
	AuditWebhookDeleted    AuditAction = "webhook.delete"
	AuditWebhookRestored   AuditAction = "webhook.restore"
	AuditProjectCreated    AuditAction = "project.create"
	AuditProjectChanged    AuditAction = "project.update"
	AuditDeliveryRetried   AuditAction = "delivery.retry"
	AuditDeliveryCancelled AuditAction = "delivery.cancel"
	AuditReplayStarted     AuditAction = "replay.start"
	AuditReplayPaused      AuditAction = "replay.pause"
	AuditReplayResumed     AuditAction = "replay.resume"
	AuditReplayCancelled   AuditAction = "replay.cancel"
	AuditUserErased        AuditAction = "user.erase"
	AuditImportStarted     AuditAction = "import.start"
	AuditImportPaused      AuditAction = "import.pause"
	AuditImportResumed     AuditAction = "import.resume"
	AuditImportCancelled   AuditAction = "import.cancel"
	AuditSourceCreated     AuditAction = "source.create"
	AuditSourceChanged     AuditAction = "source.update"
	AuditSourceDeleted     AuditAction = "source.delete"
	AuditSourceSecretShown AuditAction = "source.show_secret"
	AuditRequestsDropped   AuditAction = "source.drop_requests"
	AuditGoalSet           AuditAction = "goal.set"
	AuditGoalRemoved       AuditAction = "goal.remove"
	AuditWindowsChanged    AuditAction = "goal.windows"
	AuditRestored          AuditAction = "server.restore"
	AuditResumed           AuditAction = "server.resume"
	AuditKeyRotationBegun  AuditAction = "secret_key.rotate"
	AuditSecretKeyRetired  AuditAction = "secret_key.retire" //nolint:gosec // the name of an action
)

// auditActions says what people read for each, in the order in which lists offer them.
var auditActions = []struct {
	action AuditAction
	label  string
}{
	{AuditWebhookCreated, "Webhook added"},
	{AuditWebhookChanged, "Webhook changed"},
	{AuditWebhookEnabled, "Webhook turned on"},
	{AuditWebhookDisabled, "Webhook turned off"},
	{AuditWebhookDeleted, "Webhook deleted"},
	{AuditWebhookRestored, "Webhook restored"},
	{AuditSecretShown, "Secret shown"},
	{AuditSecretRotated, "Secret rotated"},
	{AuditDeliveryRetried, "Delivery retried"},
	{AuditDeliveryCancelled, "Delivery stopped"},
	{AuditReplayStarted, "Replay started"},
	{AuditReplayPaused, "Replay paused"},
	{AuditReplayResumed, "Replay resumed"},
	{AuditReplayCancelled, "Replay cancelled"},
	{AuditImportStarted, "Import started"},
	{AuditImportPaused, "Import paused"},
	{AuditImportResumed, "Import resumed"},
	{AuditImportCancelled, "Import cancelled"},
	{AuditSourceCreated, "Source added"},
	{AuditSourceChanged, "Source changed"},
	{AuditSourceDeleted, "Source deleted"},
	{AuditSourceSecretShown, "Source's URL shown"},
	{AuditRequestsDropped, "Source's requests deleted"},
	{AuditGoalSet, "Goal set"},
	{AuditGoalRemoved, "Goal removed"},
	{AuditWindowsChanged, "Conversion windows changed"},
	{AuditUserErased, "User erased"},
	{AuditKeyCreated, "Key made"},
	{AuditKeyRevoked, "Key revoked"},
	{AuditProjectCreated, "Project added"},
	{AuditProjectChanged, "Project changed"},
	{AuditLogin, "Logged in"},
	{AuditLoginFailed, "Login failed"},
	{AuditLogout, "Logged out"},
	{AuditOperatorInvited, "Operator invited"},
	{AuditOperatorCreated, "Operator added"},
	{AuditOperatorChanged, "Operator changed"},
	{AuditPasswordChanged, "Password changed"},
	{AuditResetLinkMade, "Password link made"},
	{AuditSessionsEnded, "Sessions ended"},
	{AuditRestored, "Backup restored"},
	{AuditResumed, "Sending resumed"},
	{AuditKeyRotationBegun, "Secret key changed"},
	{AuditSecretKeyRetired, "Secret key retired"},
}

// AuditActions lists everything that is audited.
func AuditActions() []AuditAction {
	list := make([]AuditAction, len(auditActions))
	for i, a := range auditActions {
		list[i] = a.action
	}
	return list
}

// Label is what people read for the action, such as "Webhook turned off"; for
// what is no action it is the action itself.
func (a AuditAction) Label() string {
	for _, known := range auditActions {
		if known.action == a {
			return known.label
		}
	}
	return string(a)
}

// DroppedEntry tells that somebody removes requests that a source did not
// understand: nobody can look at them any more. It is noted before they go.
func DroppedEntry(s *Source, ids []RequestID) AuditEntry {
	return AuditEntry{
		ProjectID: s.ProjectID, Action: AuditRequestsDropped, Target: string(s.ID), Name: s.Name,
		Changes: []AuditChange{{Field: "unrecognised_requests", Before: strconv.Itoa(len(ids)), After: "0"}},
	}
}

// AuditMemory is how long entries are kept, whatever the retention of events:
// long enough for a yearly review.
const AuditMemory = 400 * 24 * time.Hour

// AuditFilter narrows a list of entries. Zero fields do not narrow.
type AuditFilter struct {
	Action AuditAction
	Actor  string // id or name of the actor
	Target string
	Since  time.Time
	Until  time.Time
}
