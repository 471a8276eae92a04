package sqlite

import (
	"context"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/pressly/goose/v3"
	"zombiezen.com/go/sqlite"

	"telltale.example/telltale"
	"telltale.example/telltale/internal/stored"
	"telltale.example/telltale/internal/storetest"
)

// begun makes a database as the first schema had it, with something in it: two
// webhooks, one of them disabled, an event that waits for both, and a bin.
func begun(t *testing.T, path string, id telltale.WebhookID) {
	t.Helper()
	write(t, path, "")
	_, err := withMigrations(context.Background(), path, func(p *goose.Provider) (Migration, error) {
		_, err := p.UpTo(context.Background(), 1)
		return Migration{}, err
	})
	if err != nil {
		t.Fatal(err)
	}
	c, err := openConn(path, sqlite.OpenReadWrite)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	secrets, err := storetest.Sealer{}.Seal([]byte(`[{"Value":"whsec_a","ExpiresAt":"0001-01-01T00:00:00Z"}]`), stored.SealedPlace(id, "secrets"))
	if err != nil {
		t.Fatal(err)
	}
	insert := func(table, columns string, values ...any) {
		t.Helper()
		marks := "?"
		for range len(values) - 1 {
			marks += ", ?"
		}
		q := c.query(`INSERT INTO ` + table + ` (` + columns + `) VALUES (` + marks + `)`)
		for _, v := range values {
			switch v := v.(type) {
			case int:
				q.int(int64(v))
			case string:
				q.text(v)
			case []byte:
				q.blob(v)
			}
		}
		if err := q.run(); err != nil {
			t.Fatal(err)
		}
	}
	const at, event = 1_700_000_000_000, 1_700_000_000_000 << stored.NumberBits
	u, _ := stored.ParseULID(stored.EventPrefix, "evt_01JD0000000000000000000000")
	insert("project", "number, id, slug, name, ingest_rate, created_at", 1, "prj_01JD0000000000000000000000", "default", "Default", 0, at)
	const columns = `number, id, project, version, url, events, description, enabled, disabled_reason, health, timeout, rate_limit, concurrency,
		extensions, legacy_signature, format, secrets, epoch, enabled_at, created_at, updated_at`
	insert("webhook", columns, 1, string(id), 1, 3, "https://a.example/", 4095, "", 1, 0, 0, 5_000_000_000, 0, 4, 0, 0, "vero-2.0", secrets, 1, at, at, at)
	insert("webhook", columns, 2, "whk_01JD0000000000000000000002", 1, 3, "https://b.example/", 4095, "", 0, 1, 0, 5_000_000_000, 0, 4, 0, 0, "vero-2.0", []byte(nil), 1, at, at, at+7)
	insert("event", "number, id, project, type, test, source, lag, occurred, user_id, payload", event, u[:], 1, 0, 0, "api", 0, 0, "42", []byte("{}"))
	for i := range 2 {
		insert("delivery", "number, event, project, webhook, type, test, state, claim, node, attempts, step, tries, manual, epoch, at, last_attempt",
			event+1+i, event, 1, 1+i, 0, 0, stored.StateWaiting, 0, 1, 0, 0, 0, 0, 1, at, event+1+i)
	}
	insert("span", "owner, span, types", 1, int(spanOf(event)), 1)
	insert("bin", "id, project, created_at, expires_at", "bin", 1, at, at*2)
}

func TestADatabaseOfTheFirstSchemaGoesOn(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	path := filepath.Join(dataFolder(t), "telltale.db")
	id := telltale.NewWebhookID()
	begun(t, path, id)
	s := openStore(t, path)
	defer s.Close()

	project, err := s.ProjectBySlug(ctx, telltale.DefaultProjectSlug)
	if err != nil {
		t.Fatal(err)
	}
	hook, err := s.Webhook(ctx, project.ID, id)
	if err != nil || hook.Secrets[0].Value != "whsec_a" || !hook.DisabledAt.IsZero() {
		t.Errorf("the webhook: %+v, %v", hook, err)
	}
	disabled, err := s.Webhook(ctx, project.ID, "whk_01JD0000000000000000000002")
	if err != nil || !disabled.DisabledAt.Equal(time.UnixMilli(1_700_000_000_007)) {
		t.Errorf("the webhook that is disabled: %+v, %v", disabled, err)
	}
	held, err := s.Deliveries(ctx, project.ID, telltale.DeliveryFilter{State: telltale.StateHeld}, telltale.Page{Limit: 10})
	if err != nil || len(held) != 1 || held[0].WebhookID != disabled.ID {
		t.Errorf("what is held: %+v, %v", held, err)
	}
	lanes, err := s.ClaimDue(ctx, []telltale.LaneRoom{{WebhookID: id, Slots: 10}})
	if err != nil || len(lanes[0].Claims) != 1 || lanes[0].Claims[0].Event.UserID != "42" {
		t.Errorf("what is due: %+v, %v", lanes, err)
	}
	bin, err := s.Bin(ctx, "bin")
	if err != nil || bin.Answer != (telltale.BinAnswer{}) {
		t.Errorf("the bin: %+v, %v", bin, err)
	}
	link := telltale.Link{Hash: [32]byte{1}, Purpose: telltale.LinkSetup, ExpiresAt: time.Now().Add(time.Hour)}
	if err := s.CreateLink(ctx, link); err != nil {
		t.Fatal(err)
	}
	if err := s.CreateOperator(ctx, telltale.NewOperator("jo@example.com", telltale.RoleOwner, "hash"), link.Hash); err != nil {
		t.Errorf("the first operator: %v", err)
	}
}

func TestProfilesThatWereStoredWithIDsKeepThem(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	path := filepath.Join(dataFolder(t), "telltale.db")
	write(t, path, "")
	_, err := withMigrations(ctx, path, func(p *goose.Provider) (Migration, error) {
		_, err := p.UpTo(ctx, 8)
		return Migration{}, err
	})
	if err != nil {
		t.Fatal(err)
	}
	c, err := openConn(path, sqlite.OpenReadWrite)
	if err != nil {
		t.Fatal(err)
	}
	const at = 1_700_000_000_000
	err = c.query(`INSERT INTO project (number, id, slug, name, ingest_rate, created_at) VALUES (1, 'prj_01JD0000000000000000000000', 'default', 'Default', 0, 0)`).run()
	if err != nil {
		t.Fatal(err)
	}
	olds := []telltale.ProfileID{"prf_01HF7YAT00000000000000000A", "prf_01HF7YAT00000000000000000B"}
	for i, id := range olds {
		u, ok := stored.ParseULID(stored.ProfilePrefix, string(id))
		if !ok {
			t.Fatalf("%s is no id", id)
		}
		err := c.query(`INSERT INTO profile (number, id, project, user_id, updated_at) VALUES (?, ?, 1, ?, ?)`).
			int(int64(at+i*1000) << stored.NumberBits).blob(u[:]).text(string(id[len(id)-1:])).int(at).run()
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}

	s := openStore(t, path)
	defer s.Close()
	project, err := s.ProjectBySlug(ctx, telltale.DefaultProjectSlug)
	if err != nil {
		t.Fatal(err)
	}
	identify := telltale.UserChange{Kind: telltale.ChangeIdentify, User: telltale.NamedUser("C", "")}
	if _, err := s.ChangeUsers(ctx, telltale.UserChanges{ProjectID: project.ID, Changes: []telltale.UserChange{identify}}); err != nil {
		t.Fatal(err)
	}
	list := func(page telltale.Page) []string {
		t.Helper()
		profiles, err := s.Profiles(ctx, project.ID, telltale.ProfileFilter{}, page)
		if err != nil {
			t.Fatal(err)
		}
		users := []string{}
		for _, p := range profiles {
			users = append(users, p.UserID)
		}
		return users
	}
	for _, user := range []string{"A", "B", "C"} {
		found, err := s.FindProfile(ctx, project.ID, telltale.NamedUser(user, ""))
		if err != nil {
			t.Fatalf("%s: %v", user, err)
		}
		again, err := s.Profile(ctx, project.ID, found.ID)
		if err != nil || again.UserID != user {
			t.Errorf("under the id of %s, %s, is %+v, %v", user, found.ID, again, err)
		}
		if user != "C" && !slices.Contains(olds, found.ID) {
			t.Errorf("%s has the id %s now", user, found.ID)
		}
		want := map[string][]string{"A": {}, "B": {"A"}, "C": {"B", "A"}}[user]
		if got := list(telltale.Page{Limit: 10, After: string(found.ID)}); !slices.Equal(got, want) {
			t.Errorf("behind %s are listed %q, not %q", user, got, want)
		}
	}
	if got := list(telltale.Page{Limit: 10}); !slices.Equal(got, []string{"C", "B", "A"}) {
		t.Errorf("there are listed %q", got)
	}
	if got := list(telltale.Page{Limit: 10, Before: string(olds[0])}); !slices.Equal(got, []string{"C", "B"}) {
		t.Errorf("before A are listed %q", got)
	}
}
