//go:build unix

package main

import (
	"os"
	"os/signal"
	"syscall"
)

// operatorSignals gives what an operator asks of a running server: SIGHUP to
// read the settings again, SIGUSR1 to dump all goroutines.
func operatorSignals() (reload, dump chan os.Signal) {
	reload, dump = make(chan os.Signal, 1), make(chan os.Signal, 1)
	signal.Notify(reload, syscall.SIGHUP)
	signal.Notify(dump, syscall.SIGUSR1)
	return reload, dump
}
