package sqlite

import (
	"testing"
	"testing/synctest"
	"time"

	"telltale.example/telltale"
)

func TestTheSecretsOfADeletedWebhookAreForgottenOnceItCannotBeRestored(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newStore(t)
		ctx := t.Context()
		project, err := s.ProjectBySlug(ctx, telltale.DefaultProjectSlug)
		if err != nil {
			t.Fatal(err)
		}
		hook := telltale.NewWebhook(project.ID, "https://receiver.example/in", telltale.AllEventTypes)
		hook.Headers = []telltale.CustomHeader{{Name: "X-Token", Value: "hush", Secret: true}}
		hook.BasicAuth = &telltale.BasicAuth{Username: "jo", Password: "hush"}
		if _, err := s.CreateWebhook(ctx, hook); err != nil {
			t.Fatal(err)
		}
		deleted, err := s.DeleteWebhook(ctx, project.ID, hook.ID, 0)
		if err != nil {
			t.Fatal(err)
		}
		if deleted.Secrets != nil || deleted.Headers != nil || deleted.BasicAuth != nil {
			t.Errorf("memory keeps the secrets: %+v", deleted)
		}
		kept := func(want int64) {
			t.Helper()
			if _, _, err := s.Purge(ctx, telltale.DefaultRetention()); err != nil {
				t.Fatal(err)
			}
			var n int64
			err := s.read(ctx, "counting secrets", func(c *conn) error {
				_, err := c.query(`SELECT (secrets IS NOT NULL) + (headers IS NOT NULL) + (basic_auth IS NOT NULL) FROM webhook`).one(func(q *query) { n = q.getInt() })
				return err
			})
			if err != nil || n != want {
				t.Errorf("%d sealed values are kept, %v; want %d", n, err, want)
			}
		}
		kept(3)
		<-time.After(telltale.UndoWindow + time.Second)
		kept(0)
	})
}
