package ingest

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"

	"telltale.example/telltale"
)

func changesOf(ids ...string) []telltale.UserChange {
	changes := make([]telltale.UserChange, len(ids))
	for i, id := range ids {
		changes[i] = telltale.UserChange{Kind: telltale.ChangeUnsubscribe, User: telltale.UserRef{ID: id}}
	}
	return changes
}

func TestChangesGoToTheStoreAndWhatComesOfThemToTheDispatcher(t *testing.T) {
	t.Parallel()
	store, dispatcher, registry := &memoryStore{}, &offers{room: 1}, prometheus.NewRegistry()
	in := New(store, dispatcher, registry)
	project := telltale.NewProject("shop", "Shop")
	changed, err := in.Change(t.Context(), project, "track", changesOf("1", "2", "", "3"))
	if err != nil {
		t.Fatal(err)
	}
	if got := store.changes[0]; got.ProjectID != project.ID || got.Source != "track" || len(got.Changes) != 4 || got.RepeatWindow != 5*time.Minute || got.Import != nil || got.NoConversions {
		t.Errorf("the store was asked for %+v", got)
	}
	if diff := cmp.Diff([]telltale.Accepted{changed.Accepted}, dispatcher.offered); diff != "" || len(changed.Claims) != 1 {
		t.Errorf("the dispatcher was offered something else, -want +got:\n%s", diff)
	}
	got := map[string]float64{}
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range families {
		for _, m := range family.GetMetric() {
			for _, l := range m.GetLabel() {
				got[family.GetName()+" "+l.GetValue()] = m.GetCounter().GetValue()
			}
		}
	}
	want := map[string]float64{}
	for _, result := range []string{"created", "repeated", "refused", "changed"} {
		want["telltale_ingest_user_changes_total "+result] = 1
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestARepeatWindowOfOnesOwn(t *testing.T) {
	t.Parallel()
	store := &memoryStore{}
	in := New(store, &offers{}, nil)
	in.RepeatWindow = 0
	if _, err := in.Change(t.Context(), telltale.Project{ID: "prj_1"}, "track", changesOf("1")); err != nil || store.changes[0].RepeatWindow != 0 {
		t.Errorf("the window is %s, %v", store.changes[0].RepeatWindow, err)
	}
}

func TestChangesThatAreNotStoredAreNotOffered(t *testing.T) {
	t.Parallel()
	full := telltale.Errorf(telltale.Unavailable, "The disk is full.")
	store, dispatcher := &memoryStore{err: full}, &offers{}
	_, err := New(store, dispatcher, nil).Change(t.Context(), telltale.Project{ID: "prj_1"}, "track", changesOf("1"))
	if !errors.Is(err, full) || !strings.Contains(err.Error(), "changing 1 users of project prj_1") || len(dispatcher.offered) > 0 {
		t.Errorf("%v; offered %v", err, dispatcher.offered)
	}
	changed, err := New(store, dispatcher, nil).Change(t.Context(), telltale.Project{}, "track", nil)
	if err != nil || changed.Results != nil {
		t.Errorf("no changes: %v, %v", changed, err)
	}
}

func TestChangesCountToTheRateOfTheProject(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := &memoryStore{}
		in := New(store, &offers{}, nil)
		project := telltale.Project{ID: "prj_1", IngestRate: 2}
		if _, err := in.Change(t.Context(), project, "track", changesOf("1", "2")); err != nil {
			t.Fatal(err)
		}
		_, err := in.Change(t.Context(), project, "track", changesOf("3"))
		var e *telltale.Error
		if !errors.As(err, &e) || e.Code != telltale.RateLimited || e.RetryAfter != 500*time.Millisecond || len(store.changes) != 1 {
			t.Errorf("got %v after %d changes", err, len(store.changes))
		}
		<-time.After(500 * time.Millisecond)
		if _, err := in.Change(t.Context(), project, "track", changesOf("3")); err != nil {
			t.Error(err)
		}
	})
}
