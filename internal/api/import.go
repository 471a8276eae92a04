package api

import (
	"context"
	"encoding/csv"
	"encoding/json"
	"io"
	"mime"
	"net/http"
	"reflect"
	"strconv"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"telltale.example/telltale"
	"telltale.example/telltale/internal/auth"
	"telltale.example/telltale/internal/httpserver"
	"telltale.example/telltale/internal/wire"
)

// Imports is what the API asks of the one that runs imports.
type Imports interface {
	// Start stores the file and then the import, which begins.
	Start(ctx context.Context, i telltale.Import, file io.Reader) (telltale.Import, error)
	// Wake says that an import was resumed, paused or cancelled.
	Wake()
}

type ImportPath struct {
	ID string `path:"id" doc:"The import's id." example:"imp_01JD0000000000000000000000"`
	ProjectQuery
}

const textCSV = "text/csv"

// importDetails says what each kind of file has.
var importDetails = map[telltale.ImportKind]string{
	telltale.ImportProfiles:     "The columns `id` or `email`, or both, say who; `tags` is a list with commas between, in which `unsubscribed` opts out; every other column is a property, as text. What is empty stays as it is.",
	telltale.ImportEvents:       "The columns `id` or `email`, or both, say who; `event_name` what the user did and `date` when: RFC 3339, `2006-01-02 15:04:05` in UTC, or Unix seconds. Every other column is data of the event.",
	telltale.ImportUnsubscribes: "The columns `id` or `email`, or both, say who opted out, and `date`, which may be left out, since when. Other columns are refused.",
}

const importsDetails = "The body is a CSV file: UTF-8, with a head that names the columns, at most 8 GiB. A file of another kind is refused by its head, before anything is stored. " +
	"The answer comes when the file is on stable storage; then its rows go in one by one, as if each had come through the Track API. Rows that are wrong are refused, and stop no other. "

// describeImport makes the route that takes files of a kind.
func describeImport(kind telltale.ImportKind) func(*api, *huma.Operation) map[string]httpserver.HandlerFunc {
	return func(a *api, op *huma.Operation) map[string]httpserver.HandlerFunc {
		longest := telltale.MaxImportName
		op.Parameters = []*huma.Param{ // without a name of the request: a file is not read twice to compare it
			{Name: "name", In: "query", Description: "What the file is called, for those who look at the list.", Schema: &huma.Schema{Type: huma.TypeString, MaxLength: &longest}, Example: "users.csv"},
			{Name: "project", In: "query", Description: "The slug of the project that an owner key works on; the project default, if left out. A project's key needs none.", Schema: &huma.Schema{Type: huma.TypeString}, Example: "default"},
		}
		if kind == telltale.ImportEvents {
			op.Parameters = append(op.Parameters, &huma.Param{
				Name: "conversions", In: "query", Description: "Whether the events may convert messages, as those of the Track API do.", Schema: &huma.Schema{Type: huma.TypeString, Enum: []any{"true", "false"}}, Example: "true",
			})
		}
		text := &huma.MediaType{Schema: &huma.Schema{Type: huma.TypeString, Description: "A CSV file."}}
		op.RequestBody = &huma.RequestBody{Required: true, Content: map[string]*huma.MediaType{textCSV: text, "application/octet-stream": text}}
		op.Responses["202"] = &huma.Response{
			Description: "The file is on stable storage, and its import runs.",
			Headers:     map[string]*huma.Header{"Location": {Description: "Where the import is found.", Schema: &huma.Schema{Type: huma.TypeString}}},
			Content:     map[string]*huma.MediaType{"application/json": {Schema: a.registry.Schema(reflect.TypeFor[wire.Import](), true, "")}},
		}
		return map[string]httpserver.HandlerFunc{op.Path: func(w http.ResponseWriter, r *http.Request) error { return a.postImport(op, kind, w, r) }}
	}
}

// postImport takes a file. It is a plain handler, since the file never is in memory.
func (a *api) postImport(op *huma.Operation, kind telltale.ImportKind, w http.ResponseWriter, r *http.Request) error {
	who, r, err := a.letIn(r, telltale.ScopeManage)
	if err != nil {
		return err
	}
	if err := checkQuery(op, r); err != nil {
		return err
	}
	switch mediaType, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); {
	case err == nil && (mediaType == textCSV || mediaType == "application/octet-stream" || mediaType == "application/vnd.ms-excel"):
	default:
		return telltale.Errorf(telltale.UnsupportedMedia, "The body is the CSV file itself, of the type text/csv; this one is %q.", telltale.CutValue(r.Header.Get("Content-Type")))
	}
	file, err := httpserver.StreamBody(w, r, telltale.MaxImportBytes)
	if err != nil {
		return err
	}
	query := r.URL.Query()
	i := telltale.Import{ProjectID: who.Project.ID, Kind: kind, Name: query.Get("name"), Conversions: query.Get("conversions") == "true"}
	if i, err = a.config.Imports.Start(r.Context(), i, file); err != nil {
		return err
	}
	text, err := json.Marshal(wire.FromImport(i))
	if err != nil {
		return err
	}
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Content-Length", strconv.Itoa(len(text)))
	h.Set("Location", "/v1/imports/"+string(i.ID))
	h.Set("Cache-Control", "no-store")
	w.WriteHeader(http.StatusAccepted)
	_, _ = w.Write(text) // the caller may be gone; net/http knows
	return nil
}

func (a *api) listImports(ctx context.Context, who auth.Identity, in *struct {
	ProjectQuery
	PageQuery
}) (wire.Page[wire.Import], error) {
	return paged(ctx, a, list{"imports", who.Project.ID}, in.PageQuery,
		func(i telltale.Import) string { return string(i.ID) }, wire.FromImport,
		func(ctx context.Context, page telltale.Page) ([]telltale.Import, error) {
			return a.config.Store.Imports(ctx, who.Project.ID, page)
		})
}

func (a *api) getImport(ctx context.Context, who auth.Identity, in *ImportPath) (wire.Import, error) {
	id, err := importID(in.ID)
	if err != nil {
		return wire.Import{}, err
	}
	i, err := a.config.Store.Import(ctx, who.Project.ID, id)
	return wire.FromImport(i), found(err, "import", in.ID)
}

// switchImport makes the handler that brings an import to the state.
func (a *api) switchImport(to telltale.ImportState) handler[ImportPath, wire.Import] {
	return func(ctx context.Context, who auth.Identity, in *ImportPath) (wire.Import, error) {
		id, err := importID(in.ID)
		if err != nil {
			return wire.Import{}, err
		}
		i, err := a.config.Store.SwitchImport(ctx, who.Project.ID, id, to)
		if err != nil {
			return wire.Import{}, found(err, "import", in.ID)
		}
		a.config.Imports.Wake()
		return wire.FromImport(i), nil
	}
}

// listRefused gives a part of the refused rows. They are in the order of the
// file, so a cursor is a line.
func (a *api) listRefused(ctx context.Context, who auth.Identity, in *struct {
	ImportPath
	After int `query:"after" minimum:"0" doc:"Only rows behind this line." example:"4711"`
}) (wire.RefusedRows, error) {
	id, err := importID(in.ID)
	if err != nil {
		return wire.RefusedRows{}, err
	}
	rows, err := a.config.Store.RefusedRows(ctx, who.Project.ID, id, in.After)
	return wire.FromRefusedRows(rows, len(rows) == telltale.MaxPage), found(err, "import", in.ID)
}

func describeRefusedFile(a *api, op *huma.Operation) map[string]httpserver.HandlerFunc {
	op.Parameters = append(op.Parameters,
		&huma.Param{Name: "id", In: "path", Required: true, Description: "The import's id.", Schema: &huma.Schema{Type: huma.TypeString}, Example: "imp_01JD0000000000000000000000"},
		&huma.Param{Name: "project", In: "query", Description: "The slug of the project that an owner key works on.", Schema: &huma.Schema{Type: huma.TypeString}, Example: "default"},
	)
	op.Responses["200"] = &huma.Response{Description: "The file.", Content: map[string]*huma.MediaType{textCSV: {Schema: &huma.Schema{Type: huma.TypeString}}}}
	return map[string]httpserver.HandlerFunc{op.Path: func(w http.ResponseWriter, r *http.Request) error { return a.sendRefused(op, w, r) }}
}

// sendRefused streams the refused rows as a file, byte by byte as they were.
func (a *api) sendRefused(op *huma.Operation, w http.ResponseWriter, r *http.Request) error {
	who, r, err := a.letIn(r, telltale.ScopeRead)
	if err != nil {
		return err
	}
	if err := checkQuery(op, r); err != nil {
		return err
	}
	named := r.PathValue("id")
	id, err := importID(named)
	if err != nil {
		return err
	}
	rows, err := a.config.Store.RefusedRows(r.Context(), who.Project.ID, id, 0)
	if err != nil {
		return found(err, "import", named)
	}
	w.Header().Set("Content-Type", textCSV+"; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	out, file := http.NewResponseController(w), csv.NewWriter(w)
	if err := file.Write([]string{"line", "reason", "row"}); err != nil {
		return nil //nolint:nilerr // the caller has gone
	}
	for len(rows) > 0 {
		for _, row := range rows {
			if err := file.Write([]string{strconv.Itoa(row.Line), telltale.SpreadsheetCell(row.Reason), telltale.SpreadsheetCell(string(row.Row))}); err != nil {
				return nil //nolint:nilerr // likewise
			}
		}
		if len(rows) < telltale.MaxPage {
			break
		}
		_ = out.SetWriteDeadline(time.Now().Add(refusedTimeout)) // not every writer can
		if rows, err = a.config.Store.RefusedRows(r.Context(), who.Project.ID, id, rows[len(rows)-1].Line); err != nil {
			panic(http.ErrAbortHandler) // the file must not look whole
		}
	}
	file.Flush()
	return nil
}

// refusedTimeout is how long a caller may take for a part of the refused rows.
const refusedTimeout = time.Minute
