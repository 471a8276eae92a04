package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"telltale.example/telltale/signature"
)

// options are what the command line says.
type options struct {
	Server     string        // the binary; empty: built from the module above
	ServerArgs []string      // further arguments of serve
	Dir        string        // where databases are made
	Rounds     int           // measured runs of each load
	Length     time.Duration // of a run's load
	Warm       time.Duration // of the load before it
	Yardstick  time.Duration // of each run of the bare loop
	Perf       string        // folder for profiles
	JSON       bool
	Chart      string // file for a picture of M10

	stall time.Duration // for which nothing may arrive while deliveries are owed
}

const usage = `Usage: go run . [flags] mark...

Measures marks of Telltale, each in several runs beside the yardstick; README.md
says what they mean. Marks: m1 m2 m3 m4 m6 m7 m10, or all.

  go run . all                                the page docs/benchmarks.md (ten minutes)
  go run . m1 --rounds 1 --length 3s          a quick look
  go run . m1 --server ../telltale --perf .   with a profile of the server

Flags:
`

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	err := start(ctx, os.Args[1:])
	if errors.Is(err, flag.ErrHelp) {
		os.Exit(2)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// start is what this process is for: one of the roles, or the bench itself.
func start(ctx context.Context, args []string) error {
	if len(args) == 1 {
		if run, ok := roles[args[0]]; ok {
			return run(ctx)
		}
	}
	o, names, err := parseArgs(args)
	if err != nil {
		return err
	}
	marks, loads, err := choose(names)
	if err != nil {
		return err
	}
	p, err := o.measure(ctx, marks, loads)
	if err != nil {
		return err
	}
	p.Command = "go run . " + strings.Join(args, " ")
	if o.Chart != "" {
		if err := p.draw(o.Chart); err != nil {
			return err
		}
	}
	if o.JSON {
		out := json.NewEncoder(os.Stdout)
		out.SetIndent("", "  ")
		return out.Encode(p)
	}
	p.write(os.Stdout)
	return nil
}

// parseArgs takes flags before, between and behind the marks.
func parseArgs(args []string) (o options, marks []string, err error) {
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.Usage = func() {
		fmt.Fprint(flags.Output(), usage)
		flags.PrintDefaults()
	}
	serverArgs := flags.String("server-args", "", "further `arguments` of telltale serve, separated by spaces")
	flags.StringVar(&o.Server, "server", "", "the telltale `binary`; by default it is built from ..")
	flags.StringVar(&o.Dir, "dir", os.TempDir(), "the `folder` for databases; it must be on a disk")
	flags.IntVar(&o.Rounds, "rounds", 3, "measured runs of each load")
	flags.DurationVar(&o.Length, "length", 10*time.Second, "how long a run posts events")
	flags.DurationVar(&o.Warm, "warm", time.Second, "how long it posts before anything counts")
	flags.DurationVar(&o.Yardstick, "yardstick", 4*time.Second, "how long each run of the yardstick takes")
	flags.StringVar(&o.Perf, "perf", "", "record with perf where the server spends its time, to files in this `folder`")
	flags.StringVar(&o.Chart, "chart", "", "draw m10, as SVG, to this `file`")
	flags.BoolVar(&o.JSON, "json", false, "print everything that was measured as JSON")
	for len(args) > 0 {
		if err := flags.Parse(args); err != nil {
			return o, nil, err
		}
		if args = flags.Args(); len(args) > 0 {
			marks, args = append(marks, args[0]), args[1:]
		}
	}
	o.stall = stallGrace
	o.ServerArgs = strings.Fields(*serverArgs)
	switch {
	case len(marks) == 0:
		flags.Usage()
		return o, nil, flag.ErrHelp
	case o.Rounds < 1 || o.Length <= 0 || o.Warm <= 0 || o.Yardstick <= 0:
		return o, nil, errors.New("--rounds, --length, --warm and --yardstick must be more than 0")
	}
	return o, marks, nil
}

// measure runs the loads that the marks need and judges the marks.
func (o options) measure(ctx context.Context, marks []mark, loads []*load) (p *report, err error) {
	// The server works in a folder of its own.
	if o.Dir, err = filepath.Abs(o.Dir); err != nil {
		return nil, err
	}
	b := &bench{options: o, binary: o.Server, say: func(format string, args ...any) {
		fmt.Fprintf(os.Stderr, format+"\n", args...)
	}}
	p = &report{Loads: loads}
	if p.Machine, err = describeMachine(o.Dir); err != nil {
		return nil, err
	}
	if b.binary == "" {
		folder, mkErr := os.MkdirTemp(o.Dir, "telltale-bench-build-*")
		if mkErr != nil {
			return nil, mkErr
		}
		defer func() { err = errors.Join(err, os.RemoveAll(folder)) }()
		b.binary = filepath.Join(folder, "telltale")
		if err := buildServer(ctx, b.binary); err != nil {
			return nil, err
		}
	}
	if b.binary, err = filepath.Abs(b.binary); err != nil {
		return nil, err
	}
	if p.Server, err = serverVersion(ctx, b.binary); err != nil {
		return nil, err
	}
	if b.sink, err = startSink(ctx); err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, b.sink.process.stop()) }()
	for _, group := range inTurn(marks, loads) {
		runs, err := b.rounds(ctx, group)
		if err != nil {
			return nil, err
		}
		p.Runs = append(p.Runs, runs...)
	}
	for _, m := range marks {
		p.Results = append(p.Results, m.judge(p.Runs))
	}
	return p, nil
}

func newSecret() string { return signature.NewSecret().Reveal() }
