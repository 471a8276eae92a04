package api

import (
	"context"

	"telltale.example/telltale"
	"telltale.example/telltale/internal/auth"
	"telltale.example/telltale/internal/wire"
)

func (a *api) listAudit(ctx context.Context, who auth.Identity, in *struct {
	Action string `query:"action" maxLength:"64" doc:"Only this action." example:"webhook.update"`
	Actor  string `query:"actor" maxLength:"254" doc:"Only what this operator or key did: an id, or a name." example:"CI"`
	Target string `query:"target" maxLength:"64" doc:"Only what was done to this: an id." example:"whk_01JD0000000000000000000000"`
	Scope  string `query:"scope" enum:"owner" doc:"owner: what concerns the whole server, such as who signed in, instead of the project. Only for owner keys."`
	ReceivedQuery
	ProjectQuery
	PageQuery
}) (wire.Page[wire.AuditEntry], error) {
	project := who.Project.ID
	if in.Scope == string(telltale.ScopeOwner) {
		if who.Key.Scope != telltale.ScopeOwner {
			return wire.Page[wire.AuditEntry]{}, telltale.Errorf(telltale.Forbidden, "Only an owner key sees what concerns the whole server.")
		}
		project = ""
	}
	f := telltale.AuditFilter{Action: telltale.AuditAction(in.Action), Actor: in.Actor, Target: in.Target, Since: in.Since, Until: in.Until}
	return paged(ctx, a, list{"audit", project}, in.PageQuery,
		func(e telltale.AuditEntry) string { return string(e.ID) }, wire.FromAuditEntry,
		func(ctx context.Context, page telltale.Page) ([]telltale.AuditEntry, error) {
			return a.config.Store.AuditEntries(ctx, project, f, page)
		})
}
