package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"telltale.example/telltale"
	"telltale.example/telltale/internal/client"
	"telltale.example/telltale/internal/wire"
	"telltale.example/telltale/signature"
)

// listenFlags are what the command listen is told.
type listenFlags struct {
	forward     string
	events      []string
	webhook     string
	since       time.Duration
	printSecret bool
	skipVerify  bool
}

func (p *program) listen() *cobra.Command {
	var f listenFlags
	cmd := p.speaks(&cobra.Command{
		Use:   "listen",
		Short: "follow events live, and forward them to a local address",
		Example: `  telltale listen
  telltale listen --forward-to localhost:3000/webhooks --events bounced,complained
  telltale listen --since 10m --json | jq .type`,
		Long: `Prints each event as it is accepted. With --forward-to it posts each to that
address, as a webhook would get it: the exact bytes and headers, signed by the
server with the secret of this stream, which is the same on every start. The
address needs no port that is open to the server: the connection goes out from
here. Nothing is recorded, and no delivery is made.

When the connection is lost it is made again, and goes on where it stopped.
Ctrl-C ends it with status 0.`,
		Args: args(),
		RunE: func(cmd *cobra.Command, _ []string) error { return p.follow(cmd.Context(), f) },
	})
	flags := cmd.Flags()
	flags.StringVar(&f.forward, "forward-to", "", "post every event to this `URL`; http://localhost is added to a port or path alone")
	flags.StringSliceVar(&f.events, "events", nil, "only these `types`")
	flags.StringVar(&f.webhook, "webhook", "", "only what the webhook with this `id` wants")
	flags.DurationVar(&f.since, "since", 0, "begin with the events of this `time`")
	flags.BoolVar(&f.printSecret, "print-secret", false, "print the whole signing secret")
	flags.BoolVar(&f.skipVerify, "skip-verify", false, "do not check here that what came is signed")
	return cmd
}

// forwardURL makes a URL of what people type: 3000, :3000/hooks, localhost:3000, a URL.
func forwardURL(text string) (string, error) {
	switch {
	case text == "":
		return "", nil
	case strings.HasPrefix(text, ":"), strings.Trim(text, "0123456789") == "":
		text = "http://localhost:" + strings.TrimPrefix(text, ":")
	case !strings.Contains(text, "://"):
		text = "http://" + text
	}
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return "", usage("--forward-to: %q is no URL; write it as localhost:3000/webhooks", telltale.CutValue(text))
	}
	return u.String(), nil
}

// reconnectPause is how long a lost stream waits before it is asked for again.
const reconnectPause = time.Second

// rememberedEvents is how many ids are known, so that an event which comes again
// after a reconnect is not forwarded twice.
const rememberedEvents = 2000

func (p *program) follow(ctx context.Context, f listenFlags) error {
	target, err := forwardURL(f.forward)
	if err != nil {
		return err
	}
	api, err := p.client()
	if err != nil {
		return err
	}
	query := url.Values{}
	if len(f.events) > 0 {
		if _, faults := telltale.ParseEventTypeSet(f.events, "--events"); len(faults) > 0 {
			return usage("--events: there is no event type %q; there are %s", faults[0].Value, strings.TrimPrefix(faults[0].Expected, `"*", or one of `))
		}
		query.Set("events", strings.Join(f.events, ","))
	}
	if f.webhook != "" {
		query.Set("webhook", f.webhook)
	}
	if f.since > 0 {
		query.Set("since", time.Now().Add(-f.since).UTC().Format(time.RFC3339))
	}
	l := &listener{program: p, target: target, flags: f, seen: map[string]bool{}, http: &http.Client{Timeout: telltale.MaxTimeout}}
	for last := ""; ; {
		last, err = api.Live(ctx, query, last, l.ready, func(e wire.LiveEvent) error { return l.event(ctx, e) })
		var refused *client.Error
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.As(err, &refused) && refused.Status < 500 && refused.Status != http.StatusTooManyRequests, errors.Is(err, errListener):
			return err
		}
		if l.secret == "" && err != nil {
			return err // it was never there
		}
		query.Del("since")
		if !l.lost {
			p.hint("The connection was lost; it is made again.")
			l.lost = true
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(reconnectPause):
		}
	}
}

// listener prints events and forwards them.
type listener struct {
	*program
	flags  listenFlags
	target string
	secret string
	lost   bool
	seen   map[string]bool
	order  []string
	http   *http.Client
}

// errListener is wrapped by what cannot be mended by connecting again.
var errListener = errors.New("listen")

func (l *listener) ready(r wire.LiveReady) error {
	if l.secret == r.Secret && l.lost {
		l.hint("The connection is there again.")
	}
	l.lost = false
	if l.secret == "" && !l.json {
		shown := r.Secret
		note := ""
		if !l.flags.printSecret {
			shown, note = r.Secret[:min(len(r.Secret), 11)]+"…", "   (same on every start; --print-secret shows it)"
		}
		l.say("Ready. Signing secret: %s%s", shown, note)
	}
	l.secret = r.Secret
	return nil
}

// listened is what came of an event, as --json prints it.
type listened struct {
	At         string            `json:"at"`
	ID         string            `json:"id"`
	Type       string            `json:"type"`
	Target     string            `json:"forwarded_to,omitempty"`
	Status     int               `json:"status,omitempty"`
	DurationMS float64           `json:"duration_ms,omitempty"`
	Error      string            `json:"error,omitempty"`
	Answer     string            `json:"answer,omitempty"`
	Headers    []wire.LiveHeader `json:"headers"`
	Body       json.RawMessage   `json:"body"` // payloads are JSON
}

func (l *listener) event(ctx context.Context, e wire.LiveEvent) error {
	if l.seen[e.ID] {
		return nil
	}
	l.seen[e.ID] = true
	if l.order = append(l.order, e.ID); len(l.order) > rememberedEvents {
		delete(l.seen, l.order[0])
		l.order = l.order[1:]
	}
	if !l.flags.skipVerify {
		if err := verifyLive(l.secret, e); err != nil {
			return fmt.Errorf("%w: the event %s is not signed with the stream's secret: %w; --skip-verify goes on", errListener, e.ID, err)
		}
	}
	out := listened{At: time.Now().UTC().Format(time.RFC3339), ID: e.ID, Type: e.Type, Headers: e.Headers, Body: json.RawMessage(e.Body)}
	if l.target != "" {
		l.forwardTo(ctx, &out, e)
	}
	if l.json {
		return l.writeJSON(out)
	}
	line := fmt.Sprintf("%s  %-13s %s", time.Now().Format("15:04:05"), e.Type, e.ID)
	switch {
	case l.target == "":
	case out.Error != "":
		line += fmt.Sprintf("  → %s  %s", strings.TrimPrefix(l.target, "http://"), out.Error)
	default:
		line += fmt.Sprintf("  → %s  %d  %.0f ms", strings.TrimPrefix(l.target, "http://"), out.Status, out.DurationMS)
		if out.Answer != "" {
			line += fmt.Sprintf("   body: %q", out.Answer)
		}
	}
	l.say("%s", line)
	return nil
}

func verifyLive(secret string, e wire.LiveEvent) error {
	parsed, err := signature.ParseSecret(secret)
	if err != nil {
		return err
	}
	head := http.Header{}
	for _, h := range e.Headers {
		head.Add(h.Name, h.Value)
	}
	return signature.NewVerifier(parsed).Verify(head, []byte(e.Body), time.Now())
}

// maxAnswer is how much of a receiver's answer is printed, in bytes.
const maxAnswer = 120

// forwardTo posts the event as it came. What the receiver makes of it is printed
// and changes nothing.
func (l *listener) forwardTo(ctx context.Context, out *listened, e wire.LiveEvent) {
	out.Target = l.target
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, l.target, bytes.NewReader([]byte(e.Body)))
	if err != nil {
		out.Error = err.Error()
		return
	}
	for _, h := range e.Headers {
		req.Header[h.Name] = []string{h.Value}
	}
	began := time.Now()
	resp, err := l.http.Do(req)
	out.DurationMS = float64(time.Since(began).Microseconds()) / 1000
	if err != nil {
		out.Error = "no answer: " + strings.TrimPrefix(errors.Unwrap(err).Error(), "dial tcp ")
		return
	}
	defer resp.Body.Close()
	out.Status = resp.StatusCode
	if answer, _ := io.ReadAll(io.LimitReader(resp.Body, maxAnswer)); out.Status >= 300 {
		out.Answer = string(bytes.TrimSpace(answer))
	}
}
