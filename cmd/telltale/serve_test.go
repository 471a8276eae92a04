package main

import (
	"bytes"
	stdlog "log"
	"log/slog"
	"strings"
	"testing"
)

func TestWhatLibrariesSayIsInOurLog(t *testing.T) {
	out, flags := stdlog.Writer(), stdlog.Flags()
	t.Cleanup(func() { stdlog.SetOutput(out); stdlog.SetFlags(flags) })
	var b bytes.Buffer
	level := new(slog.LevelVar)
	adopt(newLog(&b, "text", level))
	stdlog.Print("Unsolicited response received")
	if b.Len() > 0 {
		t.Errorf("the log has %q, which nobody asked for", b.String())
	}
	level.Set(slog.LevelDebug)
	stdlog.Print("Unsolicited response received")
	if !strings.HasSuffix(b.String(), "level=DEBUG msg=\"Unsolicited response received\"\n") {
		t.Errorf("the log has %q", b.String())
	}
}
