//go:build failpoint

package failpoint

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
)

// variable is what says where to die.
const variable = "FAILPOINT" // no setting of the product, whose names begin with its own

var (
	armed = parse(os.Getenv(variable))
	times atomic.Int64 // that it came to the point
)

// arming is what the variable says.
type arming struct {
	name  string
	nth   int64
	after time.Duration
}

func parse(text string) (a arming) {
	if text == "" {
		return a
	}
	parts := strings.Split(text, ":")
	a = arming{name: parts[0], nth: 1}
	var errs [2]error
	if len(parts) > 1 {
		a.nth, errs[0] = strconv.ParseInt(parts[1], 10, 64)
	}
	if len(parts) > 2 {
		a.after, errs[1] = time.ParseDuration(parts[2])
	}
	known := slices.ContainsFunc(Points, func(p Point) bool { return p.Name == a.name })
	if errs != [2]error{} || len(parts) > 3 || !known || a.nth < 1 {
		panic(fmt.Sprintf("%s=%q: want the name of a point, then how many times to come there, then how long to go on, as in %s:3:20ms", variable, text, Points[0].Name))
	}
	return a
}

// Here dies if it is told to.
func Here(name string) {
	if name != armed.name || times.Add(1) != armed.nth {
		return
	}
	fmt.Fprintf(os.Stderr, "failpoint: %s, time %d\n", name, armed.nth)
	if armed.after > 0 {
		time.AfterFunc(armed.after, die)
		return
	}
	die()
}

func die() {
	_ = syscall.Kill(syscall.Getpid(), syscall.SIGKILL)
	select {} // whatever is left of this goroutine's turn, it does nothing with it
}
