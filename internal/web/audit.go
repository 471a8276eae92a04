package web

import (
	"encoding/csv"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"time"

	"telltale.example/telltale"
)

// auditView is who did what.
type auditView struct {
	frame
	Action, Actor, Range string
	Server               bool // what concerns the whole server, instead of the project
	Entries              []telltale.AuditEntry
	Pager                pager
}

func (p *auditView) Ranges() []option {
	return options(p.Range, "", "All time", "24h", "24 hours", "7d", "7 days", "30d", "30 days")
}

func (p *auditView) Actions() []option {
	list := []option{{"", "Anything", p.Action == ""}}
	for _, a := range auditActions {
		list = append(list, option{string(a), string(a), string(a) == p.Action})
	}
	return list
}

var auditActions = []telltale.AuditAction{
	telltale.AuditWebhookCreated, telltale.AuditWebhookChanged, telltale.AuditWebhookEnabled, telltale.AuditWebhookDisabled, telltale.AuditWebhookDeleted, telltale.AuditWebhookRestored,
	telltale.AuditSecretShown, telltale.AuditSecretRotated, telltale.AuditKeyCreated, telltale.AuditKeyRevoked, telltale.AuditProjectCreated, telltale.AuditProjectChanged,
	telltale.AuditDeliveryRetried, telltale.AuditDeliveryCancelled, telltale.AuditReplayStarted, telltale.AuditReplayPaused, telltale.AuditReplayResumed, telltale.AuditReplayCancelled,
	telltale.AuditLogin, telltale.AuditLoginFailed, telltale.AuditLogout, telltale.AuditOperatorCreated, telltale.AuditOperatorChanged, telltale.AuditOperatorInvited, telltale.AuditPasswordChanged, telltale.AuditResetLinkMade, telltale.AuditSessionsEnded,
}

func (p *auditView) query() url.Values {
	q := url.Values{}
	for name, value := range map[string]string{"action": p.Action, "actor": p.Actor, "range": p.Range} {
		if value != "" {
			q.Set(name, value)
		}
	}
	if p.Server {
		q.Set("of", "server")
	}
	return q
}

func (p *auditView) Narrow() bool { return p.Action+p.Actor+p.Range != "" }

// ExportURL is the same list as a file.
func (p *auditView) ExportURL(kind string) string {
	return p.Path("/settings/project/audit-log/export."+kind) + "?" + p.query().Encode()
}

func (c *call) auditFilter() (*auditView, telltale.ProjectID, telltale.AuditFilter) {
	q := c.r.URL.Query()
	p := &auditView{Action: q.Get("action"), Actor: strings.TrimSpace(q.Get("actor")), Range: q.Get("range"), Server: q.Get("of") == "server" && c.who.Role.May(telltale.MayPeople)}
	project := c.project.ID
	if p.Server {
		project = ""
	}
	f := telltale.AuditFilter{Action: telltale.AuditAction(p.Action), Actor: p.Actor}
	f.Since, _ = between(p.Range, "", "")
	return p, project, f
}

func auditPage(c *call) error {
	p, project, f := c.auditFilter()
	p.frame = frame{Title: "Audit log", Section: "audit", Crumbs: c.settingsCrumbs("Audit log"), Wide: true}
	_, pager, err := c.listed(p.query(), func(page telltale.Page) (int, func(int) string, func(int, int), error) {
		var err error
		p.Entries, err = c.Store.AuditEntries(c.r.Context(), project, f, page)
		return len(p.Entries), func(i int) string { return string(p.Entries[i].ID) }, func(from, to int) { p.Entries = p.Entries[from:to] }, err
	})
	p.Pager = pager
	if err != nil {
		return err
	}
	return c.page("audit", p)
}

// exportAudit writes the entries as a file, at most [maxExport].
func exportAudit(c *call) error {
	csvFile := strings.HasSuffix(c.r.URL.Path, ".csv")
	_, project, f := c.auditFilter()
	page := telltale.Page{Limit: telltale.MaxPage - 1}
	entries, err := c.Store.AuditEntries(c.r.Context(), project, f, page)
	if err != nil {
		return err
	}
	h := c.w.Header()
	kind, mediaType := "ndjson", "application/x-ndjson"
	if csvFile {
		kind, mediaType = "csv", "text/csv; charset=utf-8"
	}
	h.Set("Content-Type", mediaType)
	h.Set("Content-Disposition", `attachment; filename="audit-log.`+kind+`"`)
	lines, cells := json.NewEncoder(c.w), csv.NewWriter(c.w)
	lines.SetEscapeHTML(false)
	if csvFile {
		_ = cells.Write([]string{"at", "action", "actor_kind", "actor", "actor_id", "address", "target", "name", "changes", "request_id"})
	}
	for n := 0; len(entries) > 0 && n < maxExport; n += len(entries) {
		for _, e := range entries {
			if csvFile {
				changes, _ := json.Marshal(e.Changes) // strings always encode
				row := []string{e.At.Format(time.RFC3339Nano), string(e.Action), string(e.Actor.Kind), e.Actor.Name, e.Actor.ID, e.Actor.RemoteAddr, e.Target, e.Name, string(changes), string(e.Actor.RequestID)}
				for i := range row {
					row[i] = harmless(row[i])
				}
				err = cells.Write(row)
			} else {
				err = lines.Encode(map[string]any{
					"id": e.ID, "at": e.At, "action": e.Action, "actor": map[string]any{"kind": e.Actor.Kind, "id": e.Actor.ID, "name": e.Actor.Name, "address": e.Actor.RemoteAddr},
					"target": e.Target, "name": e.Name, "changes": e.Changes, "request_id": e.Actor.RequestID,
				})
			}
			if err != nil {
				return nil //nolint:nilerr // the browser has gone
			}
		}
		cells.Flush()
		if len(entries) < page.Limit {
			return nil
		}
		page.After = string(entries[len(entries)-1].ID)
		if entries, err = c.Store.AuditEntries(c.r.Context(), project, f, page); err != nil {
			panic(http.ErrAbortHandler) // the file must not look whole
		}
	}
	return nil
}
