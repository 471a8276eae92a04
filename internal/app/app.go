// Package app builds every part of a node, starts them, and stops them in
// reverse order. Nothing else knows all rooms.
package app

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"telltale.example/telltale"
	"telltale.example/telltale/internal/api"
	"telltale.example/telltale/internal/auth"
	"telltale.example/telltale/internal/config"
	"telltale.example/telltale/internal/dispatch"
	"telltale.example/telltale/internal/egress"
	"telltale.example/telltale/internal/feed"
	"telltale.example/telltale/internal/httpserver"
	"telltale.example/telltale/internal/imports"
	"telltale.example/telltale/internal/ingest"
	"telltale.example/telltale/internal/inspect"
	"telltale.example/telltale/internal/live"
	"telltale.example/telltale/internal/replay"
	"telltale.example/telltale/internal/send"
	"telltale.example/telltale/internal/track"
	"telltale.example/telltale/internal/web"
)

// StopTimeout is how long a stop waits for requests and attempts in flight.
const StopTimeout = 30 * time.Second

// App is a running node.
type App struct {
	log        *slog.Logger
	url        string
	opsURL     string
	ownerToken string
	setupURL   string
	fresh      bool

	teardown []func(context.Context) error // in the order of building; unwound in reverse
	failed   chan error                    // holds the first failure that the node cannot live with
}

// Start builds and starts a node. When it returns without error, the node
// accepts requests, and [App.Stop] must be called in the end. ctx bounds the
// start only.
func Start(ctx context.Context, cfg config.Config, version string, log *slog.Logger) (*App, error) {
	a := &App{log: log, failed: make(chan error, 1)}
	if err := a.build(ctx, cfg, version); err != nil {
		return nil, errors.Join(err, a.unwind(ctx))
	}
	return a, nil
}

// build is long because it is the list of parts, each made from those above it.
func (a *App) build(ctx context.Context, cfg config.Config, version string) error {
	registry := prometheus.NewRegistry()
	registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))

	// Listeners come first: a port in use is the commonest reason not to
	// start, and nothing has been touched yet.
	serves, sends := cfg.NodeRole != telltale.NodeWorker, cfg.NodeRole != telltale.NodeAPI
	var apiListener net.Listener
	var err error
	a.url = cfg.PublicURL
	if serves {
		if apiListener, err = a.listen(ctx, cfg.Listen); err != nil {
			return err
		}
		if a.url == "" {
			a.url = "http://" + reachable(apiListener.Addr())
		}
	}
	opsListener, err := a.listen(ctx, cfg.OpsListen)
	if err != nil {
		return err
	}
	a.opsURL = "http://" + reachable(opsListener.Addr())

	node := telltale.NewNodeID()
	var others neighbours
	store, ring, fresh, err := openStore(ctx, cfg, opening{
		node: node, role: startRole(cfg), version: version, log: a.log, fatal: a.fail, changed: others.changed, configured: others.configured, work: others.work, nodes: others.nodes,
	})
	if err != nil {
		return err
	}
	a.onStop(func(context.Context) error { return store.Close() })
	a.fresh = fresh
	if serves && ownsToken(cfg) {
		if a.ownerToken, err = ensureOwnerToken(ctx, store, filepath.Join(cfg.Data, OwnerTokenFile)); err != nil {
			return err
		}
	}

	guard, err := newGuard(cfg, a.url)
	if err != nil {
		return err
	}
	sender := send.New(send.Config{Guard: guard, Node: node, Version: version, Log: a.log})
	a.onStop(func(context.Context) error { sender.Close(); return nil })
	dispatcher := dispatch.New(dispatch.Config{
		Store: store, Sender: sender, Node: node, TestsOnly: !sends, Paused: cfg.Paused, Workers: cfg.Workers, PollInterval: lookInterval(cfg), Gather: gatherFor(cfg), Hint: hintOf(store), Log: a.log, Registerer: registry,
	})
	others.dispatcher.Store(dispatcher)
	resume := resumption(store, dispatcher, cfg.NodeRole, a.log)
	leads := leadsOf(cfg, dispatcher)
	replays := replay.New(replay.Config{Store: store, Due: dispatcher.Due, Leads: leads, LookInterval: lookInterval(cfg), Log: a.log})
	imported := imports.New(imports.Config{Store: store, Files: importFiles(cfg, store), Leads: leads, LookInterval: lookInterval(cfg), Log: a.log, Change: func(ctx context.Context, c telltale.UserChanges) (telltale.UserChanged, error) {
		c.Room = dispatcher
		changed, err := store.ChangeUsers(ctx, c)
		if err == nil {
			dispatcher.Offer(changed.Accepted)
		}
		return changed, err
	}})
	a.run("dispatch", dispatcher.Run)
	a.onStop(dispatcher.Stop)
	retention := telltale.DefaultRetention()
	retention.Events = time.Duration(cfg.Retention) * 24 * time.Hour
	if sends {
		a.runUntilStop("replay", replays.Run)
		a.runUntilStop("imports", imported.Run)
		a.runUntilStop("retention", func(ctx context.Context) error { return purge(ctx, store, leads, retention, a.log) })
		a.runUntilStop("erasure", func(ctx context.Context) error { return erase(ctx, store, leads, a.log) })
	}
	checks := map[string]func(context.Context) error{
		"store":    store.Ready,
		"dispatch": func(context.Context) error { return dispatcher.Ready() },
	}
	if !serves {
		a.serve(opsListener, opsHandler(registry, checks, dispatcher.Paused))
		return nil
	}

	keys := auth.NewKeys(store, a.log)
	a.onStop(keys.Close)
	others.keys.Store(keys)
	log := live.New(store)
	operators := auth.NewOperators(store, strings.HasPrefix(a.url, "https://"))
	if a.setupURL, err = setupLink(ctx, store, operators, a.url); err != nil {
		return err
	}
	in := ingest.New(store, dispatcher, registry)
	in.RepeatWindow = cfg.RepeatWindow
	feeds := feed.New(feed.Config{
		Store: store, Ingest: in, PublicURL: a.url, Fetch: fetcher(guard), Log: a.log,
		Post: toSelf(reachable(apiListener.Addr())), //nolint:bodyclose // whoever posts closes it
	})
	a.onStop(feeds.Close)
	rest := api.New(api.Config{
		Store: store, Keys: keys, Ingest: in, Dispatcher: dispatcher, Replays: replays, Imports: imported, Sources: feeds,
		Guard: guard, Version: version, PublicURL: a.url, CursorKey: ring.Derive("cursor"), Live: log, Compose: sender,
		LiveSecret: func(id telltale.ProjectID) string {
			return "whsec_" + base64.StdEncoding.EncodeToString(ring.Derive("listen/"+string(id)))
		},
		RequireIfMatch: cfg.RequireIfMatch, Resume: resume, Log: a.log,
	})
	handler := http.NewServeMux()
	handler.Handle("/in/", inspect.New(store))
	handler.Handle(track.Prefix, track.New(keys, in))
	handler.Handle(feed.Prefix, feeds)
	for _, path := range []string{"/v1/", "/schemas/", "/openapi.json", "/openapi.yaml"} {
		handler.Handle(path, rest)
	}
	handler.Handle("/", web.New(web.Config{
		Store: store, Operators: operators, Keys: keys, Dispatcher: dispatcher, Replays: replays, Imports: imported, Feeds: feeds, Guard: guard, Live: log, Ingest: in,
		Version: version, Workers: cfg.Workers, PublicURL: a.url, SigningKey: ring.Derive("pages"), Retention: retention.Events, Log: a.log, Paused: dispatcher.Paused, Resume: resume,
		OpenAPI: func() ([]byte, error) { return OpenAPI(version, a.url) },
	}))
	a.serve(apiListener, httpserver.Wrap(handler, httpserver.Config{
		Log: a.log, Registerer: registry, Forms: map[string]httpserver.Form{track.Prefix: track.Form}, TrustedProxies: cfg.TrustedProxies,
	}))
	// Streams have no end of their own, and a server that stops waits for its requests.
	a.onStop(func(context.Context) error { log.Stop(); return nil })
	a.serve(opsListener, opsHandler(registry, checks, dispatcher.Paused))
	return nil
}

// URL is where the API is reached, without a path; of a node that has none, where
// others are said to have it, or "".
func (a *App) URL() string { return a.url }

// OpsURL is where health and metrics are reached, without a path.
func (a *App) OpsURL() string { return a.opsURL }

// OwnerToken is the token in the data folder, which works on every project; "" of
// a node that keeps none.
func (a *App) OwnerToken() string { return a.ownerToken }

// SetupURL is the one-time link under which the first operator is made; empty
// if there is one.
func (a *App) SetupURL() string { return a.setupURL }

// Fresh reports whether the store was made by this start.
func (a *App) Fresh() bool { return a.fresh }

// Failed gives the failure that the node cannot live with, such as a disk that
// no longer syncs. Whoever started the node ends the process then, at once:
// what was acknowledged is on the disk, and recovery decides about the rest.
func (a *App) Failed() <-chan error { return a.failed }

// Stop ends the node: no new requests and claims, what is in flight is
// finished, for at most [StopTimeout] or until ctx ends.
func (a *App) Stop(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, StopTimeout)
	defer cancel()
	return a.unwind(ctx)
}

func (a *App) onStop(f func(context.Context) error) { a.teardown = append(a.teardown, f) }

func (a *App) unwind(ctx context.Context) error {
	var errs []error
	for i := len(a.teardown) - 1; i >= 0; i-- {
		errs = append(errs, a.teardown[i](ctx))
	}
	a.teardown = nil
	return errors.Join(errs...)
}

// fail notes the first failure; later ones are its consequences.
func (a *App) fail(err error) {
	select {
	case a.failed <- err:
	default:
	}
}

// run starts a part that ends by a stop of its own.
func (a *App) run(name string, f func(context.Context) error) {
	go func() {
		if err := f(context.Background()); err != nil {
			a.fail(fmt.Errorf("%s: %w", name, err))
		}
	}()
}

// runUntilStop starts a part that ends when its context does.
func (a *App) runUntilStop(name string, f func(context.Context) error) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	a.run(name, func(context.Context) error { defer close(done); return f(ctx) })
	a.onStop(func(context.Context) error { cancel(); <-done; return nil })
}

func (a *App) listen(ctx context.Context, address string) (net.Listener, error) {
	var c net.ListenConfig
	l, err := c.Listen(ctx, "tcp", address)
	if err != nil {
		return nil, fmt.Errorf("cannot listen on %s: %w", address, err)
	}
	a.onStop(func(context.Context) error { _ = l.Close(); return nil }) // the server has closed it already, if it was reached
	return l, nil
}

func (a *App) serve(l net.Listener, h http.Handler) {
	server := httpserver.New(h, a.log)
	a.run("http", func(context.Context) error { return server.Serve(l) })
	a.onStop(server.Shutdown)
}

// reachable is an address that a client on this machine can use: one that is
// listened on everywhere is reached through loopback.
func reachable(addr net.Addr) string {
	tcp, ok := addr.(*net.TCPAddr)
	if !ok || !tcp.IP.IsUnspecified() {
		return addr.String()
	}
	return net.JoinHostPort("127.0.0.1", fmt.Sprint(tcp.Port))
}

// newGuard makes the guard of the configuration; exempt is the server's own URL.
func newGuard(cfg config.Config, exempt string) (*egress.Guard, error) {
	ports := make([]int, len(cfg.EgressPorts))
	for i, port := range cfg.EgressPorts {
		ports[i] = int(port)
	}
	return egress.New(egress.Config{
		AllowPrivate: cfg.AllowPrivate, AllowHTTP: cfg.AllowHTTP, Ports: ports,
		AllowCIDRs: cfg.AllowCIDRs, DenyCIDRs: cfg.DenyCIDRs, Exempt: exempt,
	})
}
