package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"time"
)

// roles are what a process of this program can be besides the one that
// measures. Each reads its config as JSON from its input, says what it has to
// say as JSON on its output, and ends when its input does: a child never
// outlives the process that started it.
var roles = map[string]func(context.Context) error{
	"sink":      role(runSink),
	"drive":     role(runDrive),
	"yardstick": role(runYardstick),
}

func role[Config any](run func(context.Context, Config, func(any) error) error) func(context.Context) error {
	return func(ctx context.Context) error {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		var config Config
		in := json.NewDecoder(os.Stdin)
		if err := in.Decode(&config); err != nil {
			return fmt.Errorf("reading the config: %w", err)
		}
		go func() {
			defer cancel()
			io.Copy(io.Discard, os.Stdin) //nolint:errcheck // any end is the end
		}()
		return run(ctx, config, json.NewEncoder(os.Stdout).Encode)
	}
}

// child is another process of this program.
type child struct {
	role string
	cmd  *exec.Cmd
	in   io.WriteCloser
	out  *json.Decoder
}

// childGrace is how long a child that was told to end may take.
const childGrace = 5 * time.Second

func startChild(ctx context.Context, role string, config any) (*child, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, self, role) //nolint:gosec // this very program
	cmd.Stderr = os.Stderr
	cmd.WaitDelay = childGrace
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	cmd.Cancel = in.Close
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting the %s: %w", role, err)
	}
	c := &child{role: role, cmd: cmd, in: in, out: json.NewDecoder(out)}
	if err := json.NewEncoder(in).Encode(config); err != nil {
		return nil, errors.Join(fmt.Errorf("starting the %s: %w", role, err), c.stop())
	}
	return c, nil
}

// hear waits for what the child says next.
func (c *child) hear(v any) error {
	if err := c.out.Decode(v); err != nil {
		return fmt.Errorf("the %s said nothing: %w", c.role, err)
	}
	return nil
}

// stop tells the child to end, and waits until it did.
func (c *child) stop() error {
	c.in.Close()
	if err := c.cmd.Wait(); err != nil {
		return fmt.Errorf("the %s: %w", c.role, err)
	}
	return nil
}

func (c *child) pid() int { return c.cmd.Process.Pid }

// cpu is the CPU time that the child took in all, once it ended.
func (c *child) cpu() time.Duration {
	return c.cmd.ProcessState.UserTime() + c.cmd.ProcessState.SystemTime()
}

// runChild runs a child that says one thing and ends.
func runChild(ctx context.Context, role string, config, result any) (cpu time.Duration, err error) {
	c, err := startChild(ctx, role, config)
	if err != nil {
		return 0, err
	}
	err = c.hear(result)
	if err := errors.Join(err, c.stop()); err != nil {
		return 0, err
	}
	return c.cpu(), nil
}
