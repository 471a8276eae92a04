// Telltale is one binary: the server, and the command line that talks to it.
//
// main translates the command line into calls: of the server's parts through
// internal/app (serve, demo, migrate, openapi), of a running server through
// internal/client (everything else but sign, verify, config, completion and
// version, which need neither). One noun, one file.
//
// Data goes to the standard output; hints, progress and logs go to the standard
// error. How a command ended is in its exit status, see exit.go.
package main

import (
	"context"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"
)

// version is set when a release is built.
var version = "dev"

func main() {
	p := program{stdin: os.Stdin, stdout: os.Stdout, stderr: os.Stderr, environ: os.Environ()}
	os.Exit(p.run(untilSignal(), os.Args[1:]))
}

// untilSignal gives a context that the first signal ends. By then signals have
// their default effect again, so that the second one ends the process at once.
func untilSignal() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go func() {
		<-signals
		signal.Stop(signals)
		cancel()
	}()
	return ctx
}

// program is one run of the binary.
type program struct {
	stdin          io.Reader
	stdout, stderr io.Writer
	environ        []string

	// What flags that every command has, or that many have, were set to.
	configFile string
	quiet      bool
	noColor    bool
	verbose    bool
	json       bool
	yes        bool
	dryRun     bool
	timeout    time.Duration
	settings   settingFlags
}

// run does what args say and gives the exit status.
func (p *program) run(ctx context.Context, args []string) int {
	root := p.root()
	root.SetArgs(args)
	root.SetIn(p.stdin)
	root.SetOut(p.stdout)
	root.SetErr(p.stderr)
	err := root.ExecuteContext(ctx)
	return p.report(ctx, err)
}
