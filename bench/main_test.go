package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"reflect"
	"syscall"
	"testing"
	"time"
)

// TestMain lets the test binary play the roles, since children are this program
// again, and the server.
func TestMain(m *testing.M) {
	if len(os.Args) > 2 && os.Args[1] == "serve" {
		ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
		defer stop()
		if err := serveStandIn(ctx, os.Args[2:]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	if len(os.Args) == 2 {
		if os.Args[1] == "--version" {
			fmt.Println("telltale stand-in")
			os.Exit(0)
		}
		if run, ok := roles[os.Args[1]]; ok {
			if err := run(context.Background()); err != nil {
				fmt.Fprintln(os.Stderr, err)
				os.Exit(1)
			}
			os.Exit(0)
		}
	}
	os.Exit(m.Run())
}

func TestParseArgsTakesFlagsAnywhere(t *testing.T) {
	o, marks, err := parseArgs([]string{"--rounds", "5", "m1", "--server", "x", "m2", "--server-args", "--log-level warn"})
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{"m1", "m2"}; !reflect.DeepEqual(marks, want) {
		t.Errorf("marks %v; want %v", marks, want)
	}
	if want := []string{"--log-level", "warn"}; o.Rounds != 5 || o.Server != "x" || o.Length != 10*time.Second || !reflect.DeepEqual(o.ServerArgs, want) {
		t.Errorf("options %+v", o)
	}
	if _, _, err := parseArgs([]string{"m1", "--rounds", "0"}); err == nil {
		t.Error("no rounds at all passed")
	}
}

func TestChooseGivesEachLoadOnce(t *testing.T) {
	marks, loads, err := choose([]string{"m7", "M1", "m6"})
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, m := range marks {
		names = append(names, m.name)
	}
	if want := []string{"M1", "M6", "M6", "M7"}; !reflect.DeepEqual(names, want) {
		t.Errorf("marks %v; want %v", names, want)
	}
	if want := []*load{oneByOne, fannedOut}; !reflect.DeepEqual(loads, want) {
		t.Errorf("loads %v; want one, fanout", loads)
	}
	if _, _, err := choose([]string{"m99"}); err == nil {
		t.Error("m99 is a mark")
	}
}

func TestJudgeHoldsTheMedianAgainstTheGoal(t *testing.T) {
	runs := []*run{
		{Load: "one", Before: bareLoop{PerSecond: 10_000}, After: bareLoop{PerSecond: 20_000}, DeliveredPerSecond: 3_000, CPU: cpuCost{Server: 0.2}}, // 0.2
		{Load: "batch", Before: bareLoop{PerSecond: 10_000}, After: bareLoop{PerSecond: 10_000}, DeliveredPerSecond: 9_000},
		{Load: "one", Before: bareLoop{PerSecond: 10_000}, After: bareLoop{PerSecond: 10_000}, DeliveredPerSecond: 1_000, CPU: cpuCost{Server: 0.5}}, // 0.1
		{Load: "one", Before: bareLoop{PerSecond: 10_000}, After: bareLoop{PerSecond: 10_000}, DeliveredPerSecond: 1_600, CPU: cpuCost{Server: 0.4}}, // 0.16
	}
	for _, test := range []struct {
		name   string
		mark   mark
		median float64
		holds  bool
	}{
		{"a ratio above its goal holds", mark{foundation: 0.15, load: oneByOne, value: (*run).ratio}, 0.16, true},
		{"a ratio below its goal does not", mark{foundation: 0.17, load: oneByOne, value: (*run).ratio}, 0.16, false},
		{"a cost above its goal does not hold", mark{foundation: 0.3, atMost: true, load: oneByOne, value: func(r *run) float64 { return r.CPU.Server }}, 0.4, false},
		{"a mark that was not measured does not hold", mark{foundation: 25, atMost: true, load: paced, value: (*run).ratio}, 0, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := test.mark.judge(runs)
			if got.Median != test.median || got.Holds != test.holds {
				t.Errorf("median %v, holds %v; want %v, %v", got.Median, got.Holds, test.median, test.holds)
			}
		})
	}
}
