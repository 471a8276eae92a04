package main

import (
	"bufio"
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"
	"unsafe"
)

// terminal makes a pseudo-terminal: what a person sees and types at, and what
// the program has as its streams.
func terminal(t *testing.T) (person, program *os.File) {
	t.Helper()
	person, err := os.OpenFile("/dev/ptmx", os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { person.Close() })
	var unlock, number int32
	for _, call := range []struct {
		request uintptr
		value   *int32
	}{{syscall.TIOCSPTLCK, &unlock}, {syscall.TIOCGPTN, &number}} {
		if _, _, errno := syscall.Syscall(syscall.SYS_IOCTL, person.Fd(), call.request, uintptr(unsafe.Pointer(call.value))); errno != 0 {
			t.Fatal(errno)
		}
	}
	program, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { program.Close() })
	return person, program
}

func TestAPersonIsAsked(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		answer string
		status int
		said   string
	}{
		{"y", exitOK, ""},
		{"Yes", exitOK, ""},
		{"n", exitConflict, "nothing was done"},
		{"", exitConflict, "nothing was done"},
		{"perhaps", exitConflict, "nothing was done"},
	} {
		t.Run("the answer is "+tt.answer, func(t *testing.T) {
			t.Parallel()
			person, stream := terminal(t)
			p := program{stdin: stream, stdout: stream, stderr: stream}
			fmt.Fprintln(person, tt.answer)
			err := p.confirm("Delete it?")
			if err == nil && tt.status != exitOK || err != nil && (statusOf(err) != tt.status || err.Error() != tt.said) {
				t.Errorf("got %v, want %q", err, tt.said)
			}
			fmt.Fprintln(stream)
			question := ""
			for in := bufio.NewScanner(person); !strings.Contains(question, "?") && in.Scan(); {
				question = in.Text()
			}
			if !strings.Contains(question, "Delete it? [y/N]") {
				t.Errorf("asked %q", question)
			}
		})
	}
}

func TestColourIsForTerminals(t *testing.T) {
	t.Parallel()
	_, stream := terminal(t)
	for _, tt := range []struct {
		name string
		p    program
		want bool
	}{
		{"a terminal", program{stdout: stream, environ: []string{"TERM=xterm"}}, true},
		{"one whose reader set NO_COLOR", program{stdout: stream, environ: []string{"NO_COLOR=1"}}, false},
		{"one whose reader set NO_COLOR to nothing", program{stdout: stream, environ: []string{"NO_COLOR="}}, true},
		{"one with --no-color", program{stdout: stream, noColor: true}, false},
		{"one that is dumb", program{stdout: stream, environ: []string{"TERM=dumb"}}, false},
	} {
		if got := tt.p.colour(); got != tt.want {
			t.Errorf("%s: %v, want %v", tt.name, got, tt.want)
		}
	}
}
