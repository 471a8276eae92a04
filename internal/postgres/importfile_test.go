package postgres

import (
	"bytes"
	"slices"
	"strings"
	"testing"
	"time"

	"telltale.example/telltale"
	"telltale.example/telltale/internal/storetest"
)

func TestADatabaseKeepsFiles(t *testing.T) {
	t.Parallel()
	storetest.RunImportFiles(t, func(t *testing.T) telltale.ImportFiles {
		url, _ := newDatabase(t)
		s := openStore(t, url)
		t.Cleanup(func() {
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		})
		return s
	})
}

func TestAFileIsRemovedWhenItsImportHasEndedOrWillNeverBe(t *testing.T) {
	t.Parallel()
	url, name := newDatabase(t)
	clock := newClock(t, name)
	s := openStore(t, url)
	defer s.Close()
	p, err := s.ProjectBySlug(t.Context(), telltale.DefaultProjectSlug)
	if err != nil {
		t.Fatal(err)
	}
	lists := func(what string, want ...telltale.ImportID) {
		t.Helper()
		got, err := s.StoredFiles(t.Context())
		slices.Sort(want)
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("%s, %q are listed, not %q: %v", what, got, want, err)
		}
	}
	known, uploading := telltale.NewImportID(), telltale.NewImportID()
	for _, id := range []telltale.ImportID{known, uploading} {
		if _, err := s.SaveFile(t.Context(), id, strings.NewReader("id\n1\n")); err != nil {
			t.Fatal(err)
		}
	}
	lists("while nothing is known of them")
	if _, err := s.CreateImport(t.Context(), telltale.Import{ID: known, ProjectID: p.ID, Kind: telltale.ImportProfiles, Bytes: 5}); err != nil {
		t.Fatal(err)
	}
	lists("with an import", known)
	if err := clock.Advance(uploadPause + time.Second); err != nil {
		t.Fatal(err)
	}
	lists("long after that", known, uploading)
	if err := s.RemoveFile(t.Context(), uploading); err != nil {
		t.Fatal(err)
	}
	lists("when one was removed", known)
}

// A file of gigabytes goes in steps, so that nobody waits for it.
func TestALargeFileIsRemovedInSteps(t *testing.T) {
	t.Parallel()
	url, _ := newDatabase(t)
	s := openStore(t, url)
	defer s.Close()
	p, err := s.ProjectBySlug(t.Context(), telltale.DefaultProjectSlug)
	if err != nil {
		t.Fatal(err)
	}
	const chunks = removeAtOnce + 3
	id := telltale.NewImportID()
	size, err := s.SaveFile(t.Context(), id, bytes.NewReader(make([]byte, chunks*chunkBytes)))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.CreateImport(t.Context(), telltale.Import{ID: id, ProjectID: p.ID, Kind: telltale.ImportProfiles, Bytes: size}); err != nil {
		t.Fatal(err)
	}
	steps := 0
	for ; steps < 10; steps++ {
		left, err := s.StoredFiles(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if len(left) == 0 {
			break
		}
		if err := s.RemoveFile(t.Context(), id); err != nil {
			t.Fatal(err)
		}
	}
	if steps != 2 {
		t.Errorf("it is gone after %d steps", steps)
	}
}
