package telltale_test

import (
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "telltale.example/telltale"

// floors says which rooms each room may import. The root is ".". A room that
// is not in the table may not exist; imports run one way, down the table's order.
var floors = []struct {
	room string
	may  []string
}{
	// Floor 0: they know nothing of the others.
	{"schema", nil},
	{"signature", nil},
	{"docs", nil},
	{"docs/receivers", nil}, // what the documents show, as a program
	{"internal/egress", nil},
	{"internal/failpoint", nil},
	{".", []string{"schema"}},
	// Floor 1: one job each, over the domain.
	{"internal/wire", []string{"."}},
	{"internal/httpserver", []string{".", "internal/failpoint"}},
	{"internal/auth", []string{"."}},
	{"internal/stored", []string{"."}},
	{"internal/sqlite", []string{".", "internal/stored", "internal/failpoint"}},
	{"internal/postgres", []string{".", "internal/stored", "internal/failpoint"}},
	{"internal/pgtest", nil},
	{"internal/storetest", []string{"."}},
	{"internal/enginetest", nil}, // tests alone
	{"internal/dispatch", []string{".", "internal/failpoint"}},
	{"internal/replay", []string{"."}},
	{"internal/imports", []string{"."}},
	{"internal/send", []string{".", "signature", "internal/egress", "internal/failpoint"}},
	{"internal/config", []string{"."}},
	{"internal/live", []string{"."}},
	{"internal/docs", []string{"docs"}},
	{"internal/client", []string{".", "internal/wire"}},
	// Floor 2: where activity, people and programs come in.
	{"internal/ingest", []string{".", "internal/failpoint"}},
	{"internal/track", []string{".", "internal/auth", "internal/httpserver"}},
	{"internal/inspect", []string{".", "signature", "internal/httpserver"}},
	{"internal/feed", []string{".", "signature", "internal/ingest", "internal/httpserver"}},
	{"internal/api", []string{".", "schema", "internal/wire", "internal/ingest", "internal/feed", "internal/auth", "internal/egress", "internal/httpserver", "internal/live"}},
	{"internal/web", []string{".", "schema", "signature", "internal/ingest", "internal/feed", "internal/auth", "internal/egress", "internal/httpserver", "internal/live", "internal/docs"}},
	// Floor 3: everything is built, started and stopped here.
	{"internal/app", []string{
		".", "schema", "signature", "internal/egress", "internal/wire", "internal/httpserver", "internal/auth", "internal/sqlite", "internal/postgres",
		"internal/dispatch", "internal/replay", "internal/imports", "internal/send", "internal/config", "internal/ingest", "internal/track", "internal/feed", "internal/inspect", "internal/live", "internal/api", "internal/web",
	}},
	// Floor 4: flags in, exit codes out.
	{"cmd/telltale", []string{".", "schema", "signature", "internal/app", "internal/feed", "internal/config", "internal/client", "internal/wire"}},
}

// fences keep what is third-party, or dangerous, where it belongs: a package
// whose path begins with the prefix may be imported only by the rooms named.
var fences = []struct {
	prefix string
	only   []string
	why    string
}{
	{"modernc.org/sqlite", []string{"internal/sqlite"}, "the SQLite driver is the engine's own affair"},
	{"zombiezen.com/go/sqlite", []string{"internal/sqlite"}, "the SQLite driver is the engine's own affair"},
	{"github.com/jackc/pgx", []string{"internal/postgres"}, "the PostgreSQL driver is the engine's own affair"},
	{"database/sql", []string{"internal/sqlite", "internal/postgres"}, "everyone else asks the Store"},
	{"github.com/pressly/goose", []string{"internal/sqlite", "internal/postgres"}, "migrations belong to the engine"},
	{"github.com/danielgtaylor/huma", []string{"internal/api"}, "one face speaks OpenAPI"},
	{"github.com/yuin/goldmark", []string{"internal/docs"}, "one room reads Markdown"},
	{"github.com/spf13/cobra", []string{"cmd/telltale"}, "only the command line has flags"},
}

// bannedCalls are ways to dial that pass by the egress guard.
var bannedCalls = []string{"http.DefaultClient", "http.DefaultTransport", "http.Get", "http.Post", "http.PostForm", "http.Head", "net.Dial", "net.DialTimeout", "net.DialTCP", "tls.Dial"}

// It parses the files itself: a test that runs `go list` is answered from the
// test cache, and misses a bad import.
func TestEveryRoomImportsOnlyWhatItsFloorAllows(t *testing.T) {
	allowed := map[string][]string{}
	for _, f := range floors {
		allowed[f.room] = f.may
	}
	seen := map[string]bool{}
	walkSources(t, func(room, file string, imports []string, source string) {
		may, known := allowed[room]
		if !known {
			t.Errorf("%s: the room %q is not in the table of floors", file, room)
			return
		}
		seen[room] = true
		for _, path := range imports {
			if inner, ours := ownRoom(path); ours {
				if inner != room && !slices.Contains(may, inner) {
					t.Errorf("%s: %q may not import %q", file, room, inner)
				}
				continue
			}
			for _, f := range fences {
				if (path == f.prefix || strings.HasPrefix(path, f.prefix+"/")) && !slices.Contains(f.only, room) {
					t.Errorf("%s: only %v may import %q: %s", file, f.only, path, f.why)
				}
			}
		}
		if room == "internal/egress" || room == "internal/send" {
			return
		}
		for _, call := range bannedCalls {
			if strings.Contains(source, call+"(") || strings.Contains(source, call+".") {
				t.Errorf("%s: %s passes by the egress guard", file, call)
			}
		}
	})
	for _, f := range floors {
		if !seen[f.room] {
			t.Errorf("the table of floors names %q, which has no files", f.room)
		}
	}
}

func ownRoom(path string) (string, bool) {
	if path == module {
		return ".", true
	}
	return strings.CutPrefix(path, module+"/")
}

// walkSources visits the module's Go files. Tests may import what they need,
// but for the conformance suite, which is a room of its own.
func walkSources(t *testing.T, visit func(room, file string, imports []string, source string)) {
	t.Helper()
	err := filepath.WalkDir(".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() {
			nested, _ := filepath.Glob(filepath.Join(path, "go.mod"))
			if path != "." && (strings.HasPrefix(entry.Name(), ".") || entry.Name() == "testdata" || len(nested) > 0) {
				return fs.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return nil
		}
		set := token.NewFileSet()
		parsed, err := parser.ParseFile(set, path, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		var imports []string
		for _, spec := range parsed.Imports {
			name, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				return err
			}
			imports = append(imports, name)
		}
		source, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		visit(filepath.ToSlash(filepath.Dir(path)), path, imports, string(source))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
