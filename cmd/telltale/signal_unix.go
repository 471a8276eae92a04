//go:build unix

package main

import (
	"os"
	"os/signal"
	"syscall"
)

// operatorSignals gives what an operator asks for with SIGHUP and SIGUSR1.
func operatorSignals() (asked <-chan operatorSignal, forget func()) {
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, syscall.SIGHUP, syscall.SIGUSR1)
	c := make(chan operatorSignal)
	done := make(chan struct{})
	go func() {
		for {
			select {
			case <-done:
				return
			case s := <-signals:
				want := reloadSettings
				if s == syscall.SIGUSR1 {
					want = dumpGoroutines
				}
				select {
				case c <- want:
				case <-done:
					return
				}
			}
		}
	}()
	return c, func() { signal.Stop(signals); close(done) }
}
