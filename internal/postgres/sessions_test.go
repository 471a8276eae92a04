package postgres

import (
	"crypto/sha256"
	"testing"
	"time"

	"telltale.example/telltale"
)

// Nodes remember nothing of sessions: one that has ended at one has ended at all.
func TestSessionsEndOnEveryNodeAtOnce(t *testing.T) {
	t.Parallel()
	url, _ := newDatabase(t)
	one, two := openStore(t, url), openStore(t, url, func(o *Options) { o.Node = telltale.NewNodeID() })
	defer one.Close()
	defer two.Close()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	link := telltale.Link{Purpose: telltale.LinkSetup, Hash: sha256.Sum256([]byte("link")), CreatedAt: time.Now(), ExpiresAt: time.Now().Add(time.Hour)}
	must(one.CreateLink(t.Context(), link))
	owner := telltale.NewOperator("owner@example.com", telltale.RoleOwner, "hash")
	must(one.CreateOperator(t.Context(), owner, link.Hash))
	invite := telltale.Link{Purpose: telltale.LinkInvite, Hash: sha256.Sum256([]byte("invite")), Email: "jo@example.com", Role: telltale.RoleMember, CreatedAt: time.Now(), ExpiresAt: time.Now().Add(time.Hour)}
	must(one.CreateLink(t.Context(), invite))
	jo := telltale.NewOperator("jo@example.com", telltale.RoleMember, "hash")
	must(one.CreateOperator(t.Context(), jo, invite.Hash))
	for _, end := range []struct {
		name string
		do   func() error
	}{
		{"another password", func() error { return one.SetPassword(t.Context(), jo.ID, "hash", [32]byte{}, [32]byte{}) }},
		{"all sessions ended", func() error { return one.EndSessions(t.Context(), jo.ID, [32]byte{}) }},
		{"disabled", func() error {
			disabled := jo
			disabled.DisabledAt = time.Now()
			return one.UpdateOperator(t.Context(), disabled)
		}},
	} {
		session := telltale.Session{Hash: sha256.Sum256([]byte(end.name)), OperatorID: jo.ID, CreatedAt: time.Now(), SeenAt: time.Now(), ExpiresAt: time.Now().Add(time.Hour)}
		must(one.SaveSession(t.Context(), session, "hash"))
		if _, err := two.Session(t.Context(), session.Hash); err != nil {
			t.Fatalf("%s: the other node does not know the session: %v", end.name, err)
		}
		must(end.do())
		if _, err := two.Session(t.Context(), session.Hash); telltale.CodeOf(err) != telltale.NotFound {
			t.Errorf("%s: the other node still has the session: %v", end.name, err)
		}
	}
}
