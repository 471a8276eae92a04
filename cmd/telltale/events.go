package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"regexp"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"telltale.example/telltale"
	"telltale.example/telltale/internal/client"
	"telltale.example/telltale/internal/wire"
)

func (p *program) events() *cobra.Command {
	return group("events", "event", "events: what happened to messages and users",
		`  telltale events send events.ndjson
  telltale events list --event bounced --since 1h
  telltale events get evt_01JD0000000000000000000000`,
		p.eventsList(), p.eventsGet(), p.eventsSend())
}

func (p *program) eventsList() *cobra.Command {
	var s span
	var eventType, match string
	cmd := &cobra.Command{
		Use:   "list",
		Short: "list events, newest first",
		Example: `  telltale events list
  telltale events list --event bounced --since 1h
  telltale events list --match steve@example.com --json | jq .payload`,
		Args: args(),
	}
	cmd.Flags().SortFlags = false
	cmd.Flags().StringVar(&eventType, "event", "", "of this `type` only")
	cmd.Flags().StringVar(&match, "match", "", "with this `text` as user id, email or message id only")
	s.flags(cmd)
	return listing[wire.Event]{
		query: func([]string) (url.Values, error) {
			if eventType != "" {
				if err := checkEventType(eventType); err != nil {
					return nil, err
				}
			}
			q := url.Values{}
			set(q, "type", eventType)
			set(q, "q", match)
			return q, s.query(q)
		},
		head: []string{"ID", "EVENT", "USER", "EMAIL", "OCCURRED", "RECEIVED", "SOURCE"},
		row: func(w wire.Event) []any {
			return []any{w.ID, w.Type, orDash(w.UserID), orDash(w.Email), stamp(w.OccurredAt.Time), stamp(w.ReceivedAt.Time), w.Source}
		},
		read: func(q asked, each func(wire.Event) error) (string, error) {
			return q.Events(q.ctx, q.query, q.page, each)
		},
	}.verb(p, cmd)
}

func (p *program) eventsGet() *cobra.Command {
	return p.speaks(&cobra.Command{
		Use:   "get EVENT",
		Short: "show an event and its payload",
		Example: `  telltale events get evt_01JD0000000000000000000000
  telltale events get evt_01JD0000000000000000000000 --json | jq .payload
  telltale deliveries list --event-id evt_01JD0000000000000000000000`,
		Args: args("EVENT"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := checkEvent(args[0]); err != nil {
				return err
			}
			api, err := p.client()
			if err != nil {
				return err
			}
			w, err := api.Event(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			if p.json {
				return p.writeJSON(w)
			}
			p.printFields(
				field{"id", w.ID}, field{"type", w.Type}, field{"source", w.Source}, field{"sequence", strconv.FormatInt(w.Sequence, 10)},
				field{"occurred", stamp(w.OccurredAt.Time)}, field{"received", stamp(w.ReceivedAt.Time)},
				field{"user", w.UserID}, field{"email", w.Email}, field{"message", w.MessageID}, field{"campaign", w.CampaignID},
			)
			p.say("")
			p.say("%s", w.Payload)
			return nil
		},
	})
}

func (p *program) eventsSend() *cobra.Command {
	return p.mutates(&cobra.Command{
		Use:   "send FILE|-",
		Short: "send events from a file or the standard input",
		Example: `  telltale events send events.ndjson
  echo '{"type":"bounced","user":{"id":123,"email":"steve@example.com"}}' | telltale events send -
  tail -f bounces.ndjson | telltale events send -`,
		Long: `Takes one JSON object, an array of them, or one after another (NDJSON), of any
length, and sends them as they come, at most 1,000 or 5 MiB in a request. A request
is accepted whole or not at all. An event that carries "telltale":{"id":"…"}, an id
of your own, is not stored twice: then the same file can be sent again.

If some requests were accepted and then one was not, the exit status is 8 and the
message says with which event to go on.`,
		Args: args("FILE|-"),
		RunE: func(cmd *cobra.Command, args []string) error {
			in := p.stdin
			if args[0] != "-" {
				f, err := os.Open(args[0])
				if err != nil {
					return usage("%v", err)
				}
				defer func() { _ = f.Close() }() // it was only read
				in = f
			}
			api, err := p.client()
			if err != nil {
				return err
			}
			s := sender{p: p, cmd: cmd, api: api}
			return s.sendAll(in)
		},
	})
}

// linger is how long an event waits for others to share a request with, so that
// those of a slow pipe do not wait for a thousand of them.
const linger = time.Second

// sender sends a stream of events in requests.
type sender struct {
	p   *program
	cmd *cobra.Command
	api *client.Client

	pending    [][]byte
	bytes      int
	before     int // events of the input before those that are pending
	sent       int // events that the server accepted
	duplicates int
}

func (s *sender) sendAll(in io.Reader) error {
	type read struct {
		event []byte
		err   error
	}
	events := make(chan read)
	done := make(chan struct{})
	defer close(done)
	go func() {
		r := newEventReader(in)
		for {
			v, err := r.next()
			select {
			case events <- read{v, err}:
			case <-done:
				return
			}
			if err != nil {
				return
			}
		}
	}()
	late := time.NewTimer(linger) // runs while there are pending events
	late.Stop()
	defer late.Stop()
	for {
		select {
		case <-s.cmd.Context().Done():
			return s.partly(s.cmd.Context().Err())
		case <-late.C:
			if err := s.flush(); err != nil {
				return s.partly(err)
			}
		case r := <-events:
			if r.err == io.EOF { //nolint:errorlint // the reader's own end, and not one of a connection that another error wraps
				return s.finish()
			}
			if r.err == nil {
				r.err = s.add(r.event)
			}
			if r.err != nil {
				return s.partly(r.err)
			}
			if len(s.pending) == 1 {
				late.Reset(linger)
			}
		}
	}
}

// add puts an event into the next request, after sending the one that has no
// room for it.
func (s *sender) add(event []byte) error {
	if len(s.pending) == maxRequestEvents || s.bytes+len(event)+len(",[]") > maxRequestBytes {
		if err := s.flush(); err != nil {
			return err
		}
	}
	s.pending = append(s.pending, event)
	s.bytes += len(event) + len(",")
	return nil
}

func (s *sender) flush() error {
	if len(s.pending) == 0 {
		return nil
	}
	if s.p.dryRun {
		if err := checkEvents(s.pending); err != nil {
			return s.locate(err)
		}
	}
	n := len(s.pending)
	accepted, err := s.api.SendEvents(s.cmd.Context(), s.pending)
	switch {
	case errors.Is(err, client.ErrDryRun):
	case errors.Is(err, client.ErrUnreachable):
		return fmt.Errorf("%w\nwhether the events %d to %d were accepted is not known; those with a telltale.id can be sent again", err, s.before+1, s.before+n)
	case err != nil:
		return s.locate(err)
	default:
		s.sent += n
		s.duplicates += accepted.Duplicates
	}
	s.before += n
	s.pending, s.bytes = nil, 0
	if s.p.json {
		for _, e := range accepted.Events {
			if err := s.p.writeJSON(e); err != nil {
				return err
			}
		}
	}
	return nil
}

// checkEvents finds what the server would find wrong with events.
func checkEvents(events [][]byte) error {
	var faults []telltale.Fault
	for i, raw := range events {
		a, err := telltale.ParseActivity(raw, fmt.Sprintf("body[%d]", i))
		var wrong *telltale.Error
		if errors.As(err, &wrong) {
			faults = append(faults, wrong.Faults...)
			continue
		}
		if err != nil {
			return err
		}
		_, found := a.Render(time.Now())
		faults = append(faults, found...)
	}
	return valid(telltale.Faulty("Invalid events.", faults))
}

var inBody = regexp.MustCompile(`^body\[(\d+)\]\.?`)

// locate makes the server's places in one request places in the whole input.
func (s *sender) locate(err error) error {
	var answer *client.Error
	if !errors.As(err, &answer) {
		return err
	}
	for i := range answer.Faults {
		f := &answer.Faults[i]
		m := inBody.FindStringSubmatch(f.Location)
		if m == nil {
			continue
		}
		n, err := strconv.Atoi(m[1])
		if err != nil {
			continue
		}
		at := f.Location[len(m[0]):]
		f.Location = fmt.Sprintf("event %d", s.before+n+1)
		if at != "" {
			f.Location += ", " + at
		}
	}
	return err
}

func (s *sender) finish() error {
	if err := s.flush(); err != nil {
		return s.partly(err)
	}
	if s.p.dryRun || s.p.json {
		return nil
	}
	s.p.say("%s accepted, %d of them known already.", plenty(s.sent, "event"), s.duplicates)
	return nil
}

// partly says how far the sending came before the error.
func (s *sender) partly(err error) error {
	switch {
	case s.sent == 0:
		return err
	case errors.Is(err, context.Canceled):
		s.p.hint("%s accepted; go on with event %d", plenty(s.sent, "event"), s.before+1)
		return err
	}
	return &failure{exitPartly, fmt.Errorf("%w\n%s accepted before that; go on with event %d", err, plenty(s.sent, "event"), s.before+1)}
}

// plenty writes a number of things.
func plenty(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %s", n, plural(noun))
}
