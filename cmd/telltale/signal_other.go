//go:build !unix

package main

// operatorSignals gives nothing: there are no such signals here.
func operatorSignals() (asked <-chan operatorSignal, forget func()) { return nil, func() {} }
