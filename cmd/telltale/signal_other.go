//go:build !unix

package main

import "os"

// operatorSignals gives nothing: there are no such signals here.
func operatorSignals() (reload, dump chan os.Signal) { return nil, nil }
