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
	Action, Actor, Target, Range string
	Since, Until                 string
	Server                       bool // what concerns the whole server, instead of the project
	Entries                      []telltale.AuditEntry
	Pager                        pager
}

func (p *auditView) Ranges() []option { return deliveryFilter{Range: p.Range}.Ranges() }

// Exact reports whether the fields for an exact time are shown.
func (p *auditView) Exact() bool { return p.Range == "custom" || p.Since+p.Until != "" }

func (p *auditView) Actions() []option {
	list := []option{{"", "Anything", p.Action == ""}}
	for _, a := range telltale.AuditActions() {
		list = append(list, option{string(a), a.Label(), string(a) == p.Action})
	}
	return list
}

func (p *auditView) query() url.Values {
	q := url.Values{}
	for name, value := range map[string]string{"action": p.Action, "actor": p.Actor, "target": p.Target, "range": p.Range, "since": p.Since, "until": p.Until} {
		if value != "" {
			q.Set(name, value)
		}
	}
	if p.Server {
		q.Set("of", "server")
	}
	return q
}

func (p *auditView) Narrow() bool {
	return p.Action+p.Actor+p.Target+p.Range+p.Since+p.Until != ""
}

// Base is the list without filters.
func (p *auditView) Base() string {
	if p.Server {
		return p.Path("/settings/project/audit-log?of=server")
	}
	return p.Path("/settings/project/audit-log")
}

// With is the list of what was done to one thing.
func (p *auditView) With(target string) string {
	q := url.Values{"target": {target}}
	if p.Server {
		q.Set("of", "server")
	}
	return p.Path("/settings/project/audit-log?" + q.Encode())
}

// ExportURL is the same list as a file.
func (p *auditView) ExportURL(kind string) string {
	return p.Path("/settings/project/audit-log/export."+kind) + "?" + p.query().Encode()
}

// auditFilter reads the address. The whole server's list is for those who may
// change operators.
func (c *call) auditFilter() (*auditView, telltale.ProjectID, telltale.AuditFilter) {
	q := c.r.URL.Query()
	p := &auditView{
		Action: q.Get("action"), Actor: strings.TrimSpace(q.Get("actor")), Target: q.Get("target"),
		Range: q.Get("range"), Since: q.Get("since"), Until: q.Get("until"),
		Server: q.Get("of") == "server" && c.who.Role.May(telltale.MayPeople),
	}
	project := c.project.ID
	if p.Server {
		project = ""
	}
	f := telltale.AuditFilter{Action: telltale.AuditAction(p.Action), Actor: p.Actor, Target: p.Target}
	f.Since, f.Until = between(p.Range, p.Since, p.Until)
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

// auditColumns heads an export.
var auditColumns = []string{"at", "action", "actor_kind", "actor", "actor_id", "address", "target", "name", "changes", "request_id"}

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
		_ = cells.Write(auditColumns) // the first row reaches the browser with the next flush
	}
	for n := 0; len(entries) > 0 && n < maxExport; n += len(entries) {
		for _, e := range entries {
			if csvFile {
				changes, _ := json.Marshal(e.Changes) // strings always encode
				row := []string{e.At.Format(time.RFC3339Nano), string(e.Action), string(e.Actor.Kind), e.Actor.Name, e.Actor.ID, e.Actor.RemoteAddr, e.Target, e.Name, string(changes), string(e.Actor.RequestID)}
				for i := range row {
					row[i] = telltale.SpreadsheetCell(row[i])
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
