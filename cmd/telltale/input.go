package main

import (
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"

	"telltale.example/telltale"
)

// maxContent bounds a file or text that is given to a flag, in bytes.
const maxContent = 16 << 20

// content is what a flag carries: the text itself, or after @ the file with it.
func (p *program) content(flag, text string) ([]byte, error) {
	path, ok := strings.CutPrefix(text, "@")
	if !ok {
		return []byte(text), nil
	}
	in := p.stdin
	if path != "-" {
		f, err := os.Open(path)
		if err != nil {
			return nil, usage("flag --%s: %v", flag, err)
		}
		defer func() { _ = f.Close() }() // it was only read
		in = f
	}
	b, err := io.ReadAll(io.LimitReader(in, maxContent+1))
	if err != nil {
		return nil, fmt.Errorf("flag --%s: reading %s: %w", flag, path, err)
	}
	if len(b) > maxContent {
		return nil, usage("flag --%s: %s has more than %d bytes", flag, path, maxContent)
	}
	return b, nil
}

// parseTime reads Unix seconds or RFC 3339.
func parseTime(flag, text string) (time.Time, error) {
	if seconds, err := strconv.ParseInt(text, 10, 64); err == nil && seconds >= 0 && seconds <= 253402300799 {
		return time.Unix(seconds, 0), nil
	}
	t, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return time.Time{}, usage("flag --%s: %q; expected Unix seconds, or a time such as 2026-03-01T12:00:00Z", flag, telltale.CutValue(text))
	}
	return t, nil
}
