package web

import (
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"telltale.example/telltale"
	"telltale.example/telltale/internal/httpserver"
	"telltale.example/telltale/internal/live"
)

const (
	importsPath = "/users/imports"
	importPath  = importsPath + "/jobs/" // of one; what may be done with a user has three parts, too
)

// Imports is what the pages ask of the one that runs imports.
type Imports interface {
	// Start stores the file and then the import, which begins.
	Start(ctx context.Context, i telltale.Import, file io.Reader) (telltale.Import, error)
	// Wake says that an import was resumed, paused or cancelled.
	Wake()
}

// importsView is the imports of the project, newest first.
type importsView struct {
	frame
	Rows  []importRow
	Pager pager
}

// importRow is an import as lists show it.
type importRow struct{ telltale.Import }

func (r importRow) Badge() badge {
	switch {
	case r.State == telltale.ImportRunning:
		return badge{"busy", "◔", "Running"}
	case r.State == telltale.ImportPaused:
		return badge{"warn", "‖", "Paused"}
	case r.State == telltale.ImportFailed:
		return badge{"bad", "✕", "Failed"}
	case r.State == telltale.ImportCancelled:
		return badge{"quiet", "–", "Cancelled"}
	case r.Refused > 0:
		return badge{"warn", "▲", "Finished"}
	}
	return badge{"ok", "●", "Finished"}
}

// importKinds says what files are of, as the form and lists do.
var importKinds = []struct {
	kind       telltale.ImportKind
	text, hint string
}{
	{telltale.ImportProfiles, "Profiles", "users: id or email, tags, and any properties"},
	{telltale.ImportEvents, "Events", "what users did: id or email, event_name, date, and any data"},
	{telltale.ImportUnsubscribes, "Unsubscribes", "users who opted out: id or email, and since when (date)"},
}

// What says what the file is of.
func (r importRow) What() string {
	for _, k := range importKinds {
		if k.kind == r.Kind {
			return k.text
		}
	}
	return string(r.Kind)
}

// Called is what links to it say.
func (r importRow) Called() string {
	if r.Name == "" {
		return "Import of " + strings.ToLower(r.What())
	}
	return r.Name
}

// Percent is how much of the file was read.
func (r importRow) Percent() int64 {
	if r.Bytes == 0 {
		return 100
	}
	return 100 * r.Place / r.Bytes
}

func importsPage(c *call) error {
	p := &importsView{frame: frame{Title: "Imports", Section: "users", Wide: true, Crumbs: []link{{"Users", c.path("/users")}, {"Imports", ""}}}}
	var err error
	_, p.Pager, err = c.listed(nil, func(page telltale.Page) (int, func(int) string, func(int, int), error) {
		imports, err := c.Store.Imports(c.r.Context(), c.project.ID, page)
		p.Rows = p.Rows[:0]
		for _, i := range imports {
			p.Rows = append(p.Rows, importRow{i})
		}
		return len(p.Rows), func(i int) string { return string(p.Rows[i].ID) }, func(from, to int) { p.Rows = p.Rows[from:to] }, err
	})
	if err != nil {
		return err
	}
	p.Poll = slices.ContainsFunc(p.Rows, func(r importRow) bool { return r.State == telltale.ImportRunning })
	return c.page("imports", p)
}

// newImportView is the form of an import.
type newImportView struct {
	frame
	Form        *form
	Kind        telltale.ImportKind
	Conversions bool
}

// kindOption is a kind as the form offers it.
type kindOption struct {
	Value, Text, Hint string
	Chosen            bool
}

func (p *newImportView) Kinds() []kindOption {
	var list []kindOption
	for _, k := range importKinds {
		list = append(list, kindOption{string(k.kind), k.text, k.hint, k.kind == p.Kind})
	}
	return list
}

func newImportPage(c *call) error {
	return c.showNewImport(http.StatusOK, &newImportView{Kind: telltale.ImportProfiles})
}

func (c *call) showNewImport(status int, p *newImportView) error {
	p.frame = frame{Title: "New import", Section: "users", Crumbs: []link{{"Users", c.path("/users")}, {"Imports", c.path(importsPath)}, {"New import", ""}}}
	return c.answer(status, "import-new", p)
}

// maxImportField bounds a field of the form beside the file, in bytes.
const maxImportField = 1 << 10

// beginImport reads the form as it arrives: the file is stored in passing, and
// what is said about it stands before it.
func beginImport(c *call) error {
	body, err := httpserver.StreamBody(c.w, c.r, telltale.MaxImportBytes+maxForm)
	if err != nil {
		return err
	}
	c.r.Body = io.NopCloser(body)
	parts, err := c.r.MultipartReader()
	if err != nil {
		return telltale.Errorf(telltale.Malformed, "This is no form.")
	}
	p := &newImportView{Form: &form{}, Kind: telltale.ImportProfiles}
	for range maxFields {
		part, err := parts.NextPart()
		switch {
		case errors.Is(err, io.EOF):
			p.Form.fault("file", "Choose a file.")
			return c.showNewImport(http.StatusUnprocessableEntity, p)
		case err != nil:
			return brokenForm(err)
		case part.FormName() == "file" && part.FileName() == "": // nothing was chosen
			continue
		case part.FormName() == "file":
			return c.startImport(p, part.FileName(), part)
		}
		value, err := io.ReadAll(io.LimitReader(part, maxImportField))
		if err != nil {
			return brokenForm(err)
		}
		switch part.FormName() {
		case "kind":
			p.Kind = telltale.ImportKind(value)
		case "conversions":
			p.Conversions = len(value) > 0
		}
	}
	return telltale.Errorf(telltale.TooLarge, "A form has at most %d fields.", maxFields)
}

// brokenForm is the error of a form that cannot be read to its end.
func brokenForm(err error) error {
	if telltale.CodeOf(err) != telltale.Internal {
		return err
	}
	return &telltale.Error{Code: telltale.Malformed, Message: "This form cannot be read.", Cause: err}
}

// startImport stores the file, and leads to the page of its import or, if it is
// none of its kind, back to the form.
func (c *call) startImport(p *newImportView, name string, file io.Reader) error {
	name = filepath.Base(strings.ReplaceAll(name, `\`, "/"))
	if r := []rune(name); len(r) > telltale.MaxImportName {
		name = string(r[len(r)-telltale.MaxImportName:]) // its end says more
	}
	i, err := c.Imports.Start(c.r.Context(), telltale.Import{ProjectID: c.project.ID, Kind: p.Kind, Name: name, Conversions: p.Conversions && p.Kind == telltale.ImportEvents}, file)
	switch telltale.CodeOf(err) {
	case "":
		return c.done(c.path(importPath+string(i.ID)), notice{Kind: "ok", Text: "Import started.", Detail: "It goes on when you leave this page."})
	case telltale.Invalid, telltale.TooLarge:
		p.Form.fault("file", messageOf(err))
		return c.showNewImport(http.StatusUnprocessableEntity, p)
	case telltale.Conflict:
		return c.done(c.path(importsPath), notice{Kind: "bad", Text: messageOf(err)})
	}
	return brokenForm(err)
}

// importView is one import on its way.
type importView struct {
	frame
	importRow
	RefusedRows []telltale.RefusedRow
}

// shownRefused is how many refused rows the page of an import lists.
const shownRefused = 20

// Kept is the most refused rows that are kept.
func (p *importView) Kept() int { return telltale.MaxRefusedRows }

func importPage(c *call) error {
	ctx := c.r.Context()
	id := telltale.ImportID(c.r.PathValue("import"))
	i, err := c.Store.Import(ctx, c.project.ID, id)
	if err != nil {
		return orNoPage(err, "There is no such import.")
	}
	p := &importView{importRow: importRow{i}}
	p.frame = frame{Title: "Import", Section: "users", Crumbs: []link{{"Users", c.path("/users")}, {"Imports", c.path(importsPath)}, {p.Called(), ""}}}
	p.Poll = i.State == telltale.ImportRunning
	if p.Poll {
		p.frame.State = fmt.Sprintf("(%d%%)", p.Percent())
	}
	if i.Refused > 0 && c.who.Role.May(telltale.MayBodies) {
		rows, err := c.Store.RefusedRows(ctx, c.project.ID, id, 0)
		if err != nil {
			return orNoPage(err, "There is no such import.")
		}
		p.RefusedRows = rows[:min(len(rows), shownRefused)]
	}
	return c.page("import", p)
}

// What may be done with it now.

func (p *importView) MayPause() bool {
	return p.MayChange() && p.importRow.State == telltale.ImportRunning
}
func (p *importView) MayResume() bool {
	return p.MayChange() && p.importRow.State == telltale.ImportPaused
}
func (p *importView) MayCancel() bool { return p.MayPause() || p.MayResume() }

// switchImport pauses, resumes or cancels.
func switchImport(c *call) error {
	f, err := c.form()
	if err != nil {
		return err
	}
	id := telltale.ImportID(c.r.PathValue("import"))
	to, said := telltale.ImportState(f.text("to")), map[telltale.ImportState]notice{
		telltale.ImportPaused:    {Kind: "ok", Text: "Import paused.", Detail: "What went in stays."},
		telltale.ImportRunning:   {Kind: "ok", Text: "Import resumed."},
		telltale.ImportCancelled: {Kind: "ok", Text: "Import cancelled.", Detail: "What went in stays."},
	}
	n, known := said[to]
	if !known {
		return telltale.Errorf(telltale.Malformed, "An import is paused, resumed or cancelled.")
	}
	_, err = c.Store.SwitchImport(c.r.Context(), c.project.ID, id, to)
	switch {
	case telltale.CodeOf(err) == telltale.Conflict:
		n = notice{Kind: "bad", Text: messageOf(err)}
	case err != nil:
		return orNoPage(err, "There is no such import.")
	}
	c.Imports.Wake()
	return c.done(c.path(importPath+string(id)), n)
}

// exportRefused streams the rows that did not go in.
func exportRefused(c *call) error {
	ctx, id := c.r.Context(), telltale.ImportID(c.r.PathValue("import"))
	rows, err := c.Store.RefusedRows(ctx, c.project.ID, id, 0)
	if err != nil {
		return orNoPage(err, "There is no such import.")
	}
	h := c.w.Header()
	h.Set("Content-Disposition", `attachment; filename="refused.csv"`)
	h.Set("Content-Type", "text/csv; charset=utf-8")
	out, w := http.NewResponseController(c.w), csv.NewWriter(c.w)
	if err := w.Write([]string{"line", "reason", "row"}); err != nil {
		return nil //nolint:nilerr // the browser has gone
	}
	for len(rows) > 0 {
		for _, row := range rows {
			if err := w.Write([]string{strconv.Itoa(row.Line), telltale.SpreadsheetCell(row.Reason), telltale.SpreadsheetCell(string(row.Row))}); err != nil {
				return nil //nolint:nilerr // the browser has gone
			}
		}
		if len(rows) < telltale.MaxPage || out.SetWriteDeadline(time.Now().Add(live.WriteTimeout)) != nil {
			break
		}
		if rows, err = c.Store.RefusedRows(ctx, c.project.ID, id, rows[len(rows)-1].Line); err != nil {
			panic(http.ErrAbortHandler) // the file must not look whole
		}
	}
	w.Flush()
	return nil
}
