package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"
)

const usage = `Usage: go run . [flags] trial...

Breaks Telltale on purpose and checks what it promises. Trials: t1 to t20, short
(what every change passes, ten minutes), all (hours).

  go run . t1 --rounds 5        a quick look
  go run . short                as CI does
  go run . all --json found.json --report ../RELIABILITY.md

Flags:
`

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	holds, err := start(ctx, os.Args[1:])
	if errors.Is(err, flag.ErrHelp) {
		os.Exit(2)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "crashlab:", err)
		os.Exit(1)
	}
	if !holds {
		os.Exit(1)
	}
}

// start does what the command line says, and reports whether everything held.
func start(ctx context.Context, args []string) (holds bool, err error) {
	f := flag.NewFlagSet("crashlab", flag.ContinueOnError)
	f.Usage = func() { fmt.Fprint(f.Output(), usage); f.PrintDefaults() }
	rounds := f.Int("rounds", 0, "rounds of each trial; by default its own number")
	seed := f.Uint64("seed", 0, "repeats a run as far as chance was its own; by default a new one")
	folder := f.String("dir", os.TempDir(), "`folder` for databases; it must be on a disk")
	keep := f.Bool("keep", false, "keep the folders of what ran")
	verbose := f.Bool("v", false, "tell of every round")
	asJSON := f.String("json", "", "write everything that was found to this `file`, beside what other trials of the same version left there")
	report := f.String("report", "", "write the page RELIABILITY.md to this `file`, of all that is known then")
	var names []string
	for rest := args; ; {
		if err := f.Parse(rest); err != nil {
			return false, err
		}
		if f.NArg() == 0 {
			break
		}
		names, rest = append(names, f.Arg(0)), f.Args()[1:]
	}
	chosen, short, err := choose(names)
	if err != nil {
		return false, err
	}
	l := &lab{seed: *seed, verbose: *verbose, out: os.Stderr, built: map[string]string{}}
	if l.seed == 0 {
		l.seed = uint64(time.Now().UnixNano())
	}
	if l.source, err = sources(); err != nil {
		return false, err
	}
	if l.folder, err = os.MkdirTemp(*folder, "crashlab-"); err != nil {
		return false, err
	}
	if !*keep {
		defer func() { err = errors.Join(err, os.RemoveAll(l.folder)) }()
	}
	done := findings{}
	if done.Machine, done.Version, err = describe(ctx, l.source); err != nil {
		return false, err
	}
	if *asJSON != "" {
		if err := done.remember(*asJSON); err != nil {
			return false, err
		}
	}
	holds = true
	for _, t := range chosen {
		n := t.Rounds
		if short && t.Short > 0 { // or it was named beside the short set
			n = t.Short
		}
		if *rounds > 0 {
			n = *rounds
		}
		l.say("%s %s, %d rounds", t.ID, t.Name, n)
		r := l.run(ctx, t, n)
		if ctx.Err() != nil {
			return false, ctx.Err()
		}
		l.say("%s %s", t.ID, r.verdict())
		holds = holds && r.Holds
		done.add(r)
		if *asJSON != "" {
			if err := done.write(*asJSON); err != nil {
				return false, err
			}
		}
	}
	fmt.Print(done.table())
	if *report != "" {
		if err := os.WriteFile(*report, []byte(done.page()), 0o644); err != nil { //nolint:gosec // for everybody to read
			return false, err
		}
	}
	return holds, nil
}

// choose finds the trials of that name.
func choose(names []string) (chosen []*Trial, short bool, err error) {
	for _, name := range names {
		switch name = strings.ToLower(name); name {
		case "all":
			chosen = append(chosen, trials...)
		case "short":
			short = true
			for _, t := range trials {
				switch {
				case t.Short == 0:
				case t.Root && os.Getuid() != 0:
					fmt.Fprintf(os.Stderr, "%s is left out: it needs root\n", t.ID)
				default:
					chosen = append(chosen, t)
				}
			}
		default:
			before := len(chosen)
			for _, t := range trials {
				// A test of the table may be several trials: t2 is T2a and T2b.
				if id := strings.ToLower(t.ID); id == name || strings.TrimRight(id, "abc") == name {
					chosen = append(chosen, t)
				}
			}
			if len(chosen) == before {
				return nil, false, fmt.Errorf("there is no trial %q: see --help", name)
			}
		}
	}
	if len(chosen) == 0 {
		return nil, false, errors.New("say which trial: see --help")
	}
	return chosen, short, nil
}
