package feed_test

import (
	"log/slog"
	"net/http"

	"telltale.example/telltale"
	"telltale.example/telltale/internal/api"
	"telltale.example/telltale/internal/auth"
	"telltale.example/telltale/internal/feed"
	"telltale.example/telltale/internal/ingest"
)

func init() {
	feed.NewEventsAPI = func(store telltale.Store, keys *auth.Keys, in *ingest.Ingest) http.Handler {
		return api.New(api.Config{Store: store, Keys: keys, Ingest: in, PublicURL: "http://localhost", CursorKey: make([]byte, 32), Log: slog.New(slog.DiscardHandler)})
	}
}
