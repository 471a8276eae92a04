package main

import (
	"fmt"
	"strings"
)

// page is RELIABILITY.md.
func (f *findings) page() string {
	var b strings.Builder
	fmt.Fprintf(&b, "# Reliability\n\n%s\n", f.table())
	return b.String()
}
