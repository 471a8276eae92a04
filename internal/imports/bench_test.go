package imports_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"telltale.example/telltale"
	"telltale.example/telltale/internal/imports"
	"telltale.example/telltale/internal/sqlite"
)

// BenchmarkImport imports profiles that nobody knew, and stores as many events in
// groups of the size of a portion beside it: the ratio of their rates is a mark.
func BenchmarkImport(b *testing.B) {
	const rows = 20_000
	store, project := openStore(b)
	runner := imports.New(imports.Config{Store: store, Change: store.ChangeUsers, Folder: b.TempDir()})
	ctx, cancel := context.WithCancel(b.Context())
	done := make(chan error, 1)
	go func() { done <- runner.Run(ctx) }()
	var importing, inserting time.Duration
	n := 0
	for b.Loop() {
		began := time.Now()
		insert(b, store, project, rows)
		inserting += time.Since(began)

		file := bytes.NewBufferString("id,email,first name,plan,city,since\n")
		for i := range rows {
			fmt.Fprintf(file, "u%[1]d,user%[1]d@example.com,Jo,gold,\"Springfield, IL\",2026-01-02\n", n*rows+i)
		}
		n++
		began = time.Now()
		i, err := runner.Start(ctx, telltale.Import{ProjectID: project, Kind: telltale.ImportProfiles}, file)
		if err != nil {
			b.Fatal(err)
		}
		for tick := time.NewTicker(time.Millisecond); !i.State.Ended(); <-tick.C {
			if i, err = store.Import(ctx, project, i.ID); err != nil {
				b.Fatal(err)
			}
		}
		importing += time.Since(began)
		if i.Applied != rows {
			b.Fatalf("%d rows went in: %+v", i.Applied, i)
		}
	}
	cancel()
	if err := <-done; err != nil {
		b.Error(err)
	}
	b.ReportMetric(float64(n*rows)/importing.Seconds(), "profiles/s")
	b.ReportMetric(float64(n*rows)/inserting.Seconds(), "inserts/s")
	b.ReportMetric(inserting.Seconds()/importing.Seconds(), "ratio")
}

// insert stores events in groups.
func insert(b *testing.B, store *sqlite.Store, project telltale.ProjectID, n int) {
	b.Helper()
	const group = 500
	for i := 0; i < n; i += group {
		events := make([]*telltale.Event, group)
		for k := range events {
			events[k] = &telltale.Event{
				ID: telltale.NewEventID(), ProjectID: project, Type: telltale.UserCreated, Source: "import", OccurredAt: time.Now(), ReceivedAt: time.Now(),
				UserID: fmt.Sprintf("u%d", i+k), Email: fmt.Sprintf("user%d@example.com", i+k),
				Payload: []byte(`{"type":"user_created","user":{"first name":"Jo","plan":"gold","city":"Springfield, IL","since":"2026-01-02","id":"u1234567","email":"user1234567@example.com"}}`),
			}
		}
		if _, err := store.AcceptEvents(b.Context(), telltale.Acceptance{ProjectID: project, Events: events}); err != nil {
			b.Fatal(err)
		}
	}
}

func openStore(b *testing.B) (*sqlite.Store, telltale.ProjectID) {
	b.Helper()
	folder := b.TempDir()
	if err := os.Chmod(folder, 0o700); err != nil {
		b.Fatal(err)
	}
	store, err := sqlite.Open(b.Context(), filepath.Join(folder, "telltale.db"), sqlite.Options{Node: telltale.NewNodeID(), Sealer: plain{}, Logger: slog.New(slog.DiscardHandler), Fatal: func(err error) { b.Error(err) }})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := store.Close(); err != nil {
			b.Error(err)
		}
	})
	p, err := store.ProjectBySlug(b.Context(), telltale.DefaultProjectSlug)
	if err != nil {
		b.Fatal(err)
	}
	return store, p.ID
}

// plain seals nothing: there are no secrets here.
type plain struct{}

func (plain) Seal(secret []byte, _ string) ([]byte, error) { return secret, nil }
func (plain) Open(sealed []byte, _ string) ([]byte, error) { return sealed, nil }
