package main

import (
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/schollz/progressbar/v3"
	"github.com/spf13/cobra"

	"telltale.example/telltale"
	"telltale.example/telltale/internal/client"
	"telltale.example/telltale/internal/wire"
)

func (p *program) importFile() *cobra.Command {
	return group("import", "", "read a CSV file of users, of what they did, or of who opted out",
		`  telltale import profiles users.csv
  telltale import events bought.csv --conversions
  telltale import unsubscribes left.csv`,
		p.importKind(telltale.ImportProfiles, "users, with their properties and tags", `The columns id or email, or both, say who. The column tags is a list with commas
between; the tag unsubscribed opts out. Every other column is a property, as text;
what is empty stays as it is.`),
		p.importKind(telltale.ImportEvents, "what users did", `The columns id or email, or both, say who; event_name says what the user did, and
date when: RFC 3339, 2006-01-02 15:04:05 in UTC, or Unix seconds. Every other
column is data of the event.`),
		p.importKind(telltale.ImportUnsubscribes, "who opted out", `The columns id or email, or both, say who; date, which may be left out, says since
when. A file with other columns is refused.`))
}

func (p *program) importKind(kind telltale.ImportKind, short, columns string) *cobra.Command {
	var conversions, follow bool
	name := string(kind)
	cmd := &cobra.Command{
		Use:   name + " FILE",
		Short: short,
		Example: fmt.Sprintf(`  telltale import %[1]s %[1]s.csv
  telltale import %[1]s %[1]s.csv --follow=false
  gzip -dc %[1]s.csv.gz | telltale import %[1]s -`, name),
		Long: columns + `

The file is CSV in UTF-8, and its first row names the columns; - reads standard
input. It is sent to the server, which stores it, and then reads it as a job that
goes on when this command has ended, and when the server was restarted.

A row that is wrong does not go in, and stops no other: telltale imports refused
lists such rows with line and reason. The exit status is 8 if there are any.
Ctrl-C during the upload stops it; afterwards it ends the waiting and not the import.`,
		Args: args("FILE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			file, size, err := p.openUpload(args[0])
			if err != nil {
				return err
			}
			defer func() { _ = file.Close() }() // it was only read
			api, err := p.client()
			if err != nil {
				return err
			}
			called := ""
			if args[0] != "-" {
				called = filepath.Base(args[0])
			}
			i, err := p.upload(cmd.Context(), api, name, called, conversions, file, size)
			if err != nil || !follow {
				return errors.Join(err, p.showUnless(err, i))
			}
			p.hint("Ctrl-C stops the waiting; telltale imports cancel %s stops the import.", i.ID)
			if i, err = p.awaitImport(cmd.Context(), api, i); err != nil {
				return err
			}
			if err := p.showImport(i); err != nil {
				return err
			}
			return importOutcome(i)
		},
	}
	flags := cmd.Flags()
	flags.SortFlags = false
	if kind == telltale.ImportEvents {
		flags.BoolVar(&conversions, "conversions", false, "let the events convert messages, as those of the Track API do")
	}
	flags.BoolVar(&follow, "follow", true, "wait until the whole file was read, and show how far it is")
	return p.mutates(cmd)
}

// openUpload opens the file, and tells its size; -1 for standard input.
func (p *program) openUpload(path string) (io.ReadCloser, int64, error) {
	if path == "-" {
		return io.NopCloser(p.stdin), -1, nil
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, 0, usage("import: %v", err)
	}
	info, err := file.Stat()
	switch {
	case err != nil:
		err = fmt.Errorf("import: %w", err)
	case info.IsDir():
		err = usage("import: %s is a folder", path)
	case info.Size() > telltale.MaxImportBytes:
		err = usage("import: %s is larger than %d GiB, the most that an import takes; split it", path, telltale.MaxImportBytes>>30)
	case !info.Mode().IsRegular():
		return file, -1, nil
	default:
		return file, info.Size(), nil
	}
	return nil, 0, errors.Join(err, file.Close())
}

func (p *program) upload(ctx context.Context, api *client.Client, kind, name string, conversions bool, file io.Reader, size int64) (wire.Import, error) {
	if bar := p.bar("sending", size); bar != nil {
		defer func() { _ = bar.Finish() }()
		file = io.TeeReader(file, bar)
	}
	return api.StartImport(ctx, kind, name, conversions, file, size)
}

// bar is a bar of bytes on a terminal; nil where nobody looks.
func (p *program) bar(doing string, bytes int64) *progressbar.ProgressBar {
	if !isTerminal(p.stderr) || p.quiet || p.env("TERM") == "dumb" {
		return nil
	}
	return progressbar.NewOptions64(bytes, progressbar.OptionSetWriter(p.stderr), progressbar.OptionSetDescription(doing), progressbar.OptionShowBytes(true),
		progressbar.OptionSetWidth(30), progressbar.OptionThrottle(100*time.Millisecond), progressbar.OptionClearOnFinish(), progressbar.OptionEnableColorCodes(false))
}

// importPace is how often an import that is waited for is looked at.
const importPace = 250 * time.Millisecond

// awaitImport waits until an import has ended.
func (p *program) awaitImport(ctx context.Context, api *client.Client, i wire.Import) (wire.Import, error) {
	bar := p.bar("importing", max(i.Bytes, 1))
	if bar != nil {
		defer func() { _ = bar.Finish() }()
	}
	tick := time.NewTicker(importPace)
	defer tick.Stop()
	for {
		fresh, err := api.Import(ctx, i.ID)
		switch {
		case errors.Is(err, client.ErrUnreachable) && ctx.Err() == nil: // it may be restarting, and the import goes on
		case err != nil:
			return i, err
		default:
			i = fresh
		}
		if bar != nil {
			_ = bar.Set64(i.Read) // where it is shown is the reader's own terminal
		}
		if telltale.ImportState(i.State).Ended() {
			return i, nil
		}
		select {
		case <-ctx.Done():
			return i, ctx.Err()
		case <-tick.C:
		}
	}
}

// importOutcome is what whoever waited is told beside the numbers.
func importOutcome(i wire.Import) error {
	switch {
	case i.State == string(telltale.ImportFailed):
		return fail(exitUnexpected, "the import failed: %s", i.Failure)
	case i.State == string(telltale.ImportCancelled):
		return fail(exitPartly, "the import was cancelled")
	case i.Refused > 0:
		return fail(exitPartly, "%s of %s did not go in: telltale imports refused %s", grouped(i.Refused), counted(i.Rows, "row", "rows"), i.ID)
	}
	return nil
}

func (p *program) showUnless(err error, i wire.Import) error {
	if err != nil {
		return nil
	}
	return p.showImport(i)
}

func (p *program) showImport(i wire.Import) error {
	if p.json {
		return p.writeJSON(i)
	}
	conversions := ""
	if i.Conversions {
		conversions = "yes"
	}
	p.printFields(
		field{"id", i.ID}, field{"kind", i.Kind}, field{"name", i.Name}, field{"state", i.State}, field{"failure", i.Failure}, field{"conversions", conversions},
		field{"read", readText(i)}, field{"rows", grouped(i.Rows)}, field{"went in", grouped(i.Applied)}, field{"refused", grouped(i.Refused)},
		field{"by", i.CreatedBy}, field{"created", stamp(i.CreatedAt.Time)}, field{"completed", stamp(i.CompletedAt.Time)},
	)
	return nil
}

// readText says how much of the file was read.
func readText(i wire.Import) string {
	if i.Bytes == 0 {
		return "100%"
	}
	return fmt.Sprintf("%d%%", 100*i.Read/i.Bytes)
}

func checkImport(id string) error { return checkID("import", "imp_", id) }

func (p *program) imports() *cobra.Command {
	return group("imports", "", "the imports: how far they are, what was refused; pause, resume, cancel",
		`  telltale imports list
  telltale imports get imp_01JD0000000000000000000000
  telltale imports refused imp_01JD0000000000000000000000 > refused.csv`,
		p.importsList(), p.importsGet(), p.importsRefused(),
		p.importsSwitch("pause", "let an import read no more for now"),
		p.importsSwitch("resume", "let a paused import go on"),
		p.importsSwitch("cancel", "end an import; what went in stays"))
}

func (p *program) importsList() *cobra.Command {
	return listing[wire.Import]{
		head: []string{"ID", "STATE", "KIND", "NAME", "READ", "ROWS", "WENT IN", "REFUSED", "BY", "CREATED"},
		row: func(i wire.Import) []any {
			return []any{i.ID, i.State, i.Kind, orDash(i.Name), readText(i), grouped(i.Rows), grouped(i.Applied), grouped(i.Refused), i.CreatedBy, stamp(i.CreatedAt.Time)}
		},
		read: func(q asked, each func(wire.Import) error) (string, error) { return q.Imports(q.ctx, q.page, each) },
	}.verb(p, &cobra.Command{
		Use:   "list",
		Short: "list imports, newest first",
		Example: `  telltale imports list
  telltale imports list --limit 0
  telltale imports list --json | jq -r 'select(.state=="running").id'`,
		Args: args(),
	})
}

func (p *program) importsGet() *cobra.Command {
	return p.speaks(&cobra.Command{
		Use:   "get IMPORT",
		Short: "show an import and how far it is",
		Example: `  telltale imports get imp_01JD0000000000000000000000
  telltale imports get imp_01JD0000000000000000000000 --json | jq .applied
  telltale imports refused imp_01JD0000000000000000000000`,
		Args: args("IMPORT"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := checkImport(args[0]); err != nil {
				return err
			}
			api, err := p.client()
			if err != nil {
				return err
			}
			i, err := api.Import(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			return p.showImport(i)
		},
	})
}

func (p *program) importsRefused() *cobra.Command {
	return p.speaks(&cobra.Command{
		Use:   "refused IMPORT",
		Short: "print the rows of an import that did not go in, as CSV",
		Example: `  telltale imports refused imp_01JD0000000000000000000000
  telltale imports refused imp_01JD0000000000000000000000 > refused.csv
  telltale imports refused imp_01JD0000000000000000000000 --json | jq -r .reason | sort | uniq -c`,
		Long: `The columns are the line of the file on which the row begins, the reason, and the
row as it stands in the file. With --json, each row is a JSON object on a line.`,
		Args: args("IMPORT"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := checkImport(args[0]); err != nil {
				return err
			}
			api, err := p.client()
			if err != nil {
				return err
			}
			if p.json {
				return api.RefusedRows(cmd.Context(), args[0], func(r wire.RefusedRow) error { return p.writeJSON(r) })
			}
			out := csv.NewWriter(p.stdout)
			if err := out.Write([]string{"line", "reason", "row"}); err != nil {
				return err
			}
			err = api.RefusedRows(cmd.Context(), args[0], func(r wire.RefusedRow) error {
				if isTerminal(p.stdout) {
					r.Reason, r.Row = printable(r.Reason), printable(r.Row)
				}
				return out.Write([]string{strconv.Itoa(r.Line), telltale.SpreadsheetCell(r.Reason), telltale.SpreadsheetCell(r.Row)})
			})
			out.Flush()
			return errors.Join(err, out.Error())
		},
	})
}

func (p *program) importsSwitch(verb, short string) *cobra.Command {
	return p.mutates(&cobra.Command{
		Use:   verb + " IMPORT",
		Short: short,
		Example: "  telltale imports " + verb + " imp_01JD0000000000000000000000\n" +
			"  telltale imports " + verb + " imp_01JD0000000000000000000000 --json\n" +
			"  telltale imports " + verb + " imp_01JD0000000000000000000000 --dry-run",
		Args: args("IMPORT"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := checkImport(args[0]); err != nil {
				return err
			}
			api, err := p.client()
			if err != nil {
				return err
			}
			i, err := api.SwitchImport(cmd.Context(), args[0], verb)
			if err != nil {
				return err
			}
			return p.showImport(i)
		},
	})
}
