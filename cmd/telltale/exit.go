package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"telltale.example/telltale/internal/client"
)

// Exit statuses, for scripts.
const (
	exitOK          = 0
	exitUnexpected  = 1   // a fault of ours or of the machine
	exitUsage       = 2   // the command line, the configuration or the input is wrong
	exitDenied      = 3   // no key, or one that may not do this
	exitNotFound    = 4   // there is no such thing
	exitConflict    = 5   // the present state does not allow it
	exitTemporary   = 6   // not now: the server is busy or out of reach; safe to try again
	exitRefused     = 7   // the receiver did not take it, or a signature is not valid
	exitPartly      = 8   // some of it was done
	exitInterrupted = 130 // Ctrl-C
)

const exitHelp = `Exit status: 0 done, 1 unexpected, 2 wrong usage or input, 3 no key or not
allowed, 4 not found, 5 conflict, 6 temporary (try again), 7 refused by the
receiver, 8 partly done, 130 interrupted.`

// failure is an error that knows its exit status.
type failure struct {
	status int
	err    error
}

func (f *failure) Error() string { return f.err.Error() }
func (f *failure) Unwrap() error { return f.err }

func fail(status int, format string, args ...any) error {
	return &failure{status, fmt.Errorf(format, args...)}
}

// usage is the error of whoever typed the command.
func usage(format string, args ...any) error { return fail(exitUsage, format, args...) }

// report tells a person what went wrong and gives the exit status for it.
func (p *program) report(ctx context.Context, err error) int {
	switch {
	case err == nil, errors.Is(err, client.ErrDryRun):
		return exitOK
	case ctx.Err() != nil && errors.Is(err, context.Canceled):
		return exitInterrupted
	}
	for line := range strings.Lines(errorText(err)) {
		fmt.Fprintf(p.stderr, "telltale: %s\n", printable(strings.TrimRight(line, "\n")))
	}
	return statusOf(err)
}

func statusOf(err error) int {
	var own *failure
	var answer *client.Error
	switch {
	case errors.As(err, &own):
		return own.status
	case errors.As(err, &answer):
		return answerStatus(answer.Status)
	case errors.Is(err, client.ErrUnreachable):
		return exitTemporary
	}
	return exitUnexpected
}

// answerStatus maps what the server answered to an exit status.
func answerStatus(status int) int {
	switch status {
	case http.StatusBadRequest, http.StatusMethodNotAllowed, http.StatusRequestEntityTooLarge,
		http.StatusUnsupportedMediaType, http.StatusUnprocessableEntity:
		return exitUsage
	case http.StatusUnauthorized, http.StatusForbidden:
		return exitDenied
	case http.StatusNotFound:
		return exitNotFound
	case http.StatusConflict, http.StatusPreconditionFailed, http.StatusPreconditionRequired:
		return exitConflict
	case http.StatusRequestTimeout, http.StatusTooManyRequests, http.StatusBadGateway,
		http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return exitTemporary
	}
	return exitUnexpected
}

// errorText gives the lines for an error: its sentence, then one per fault.
func errorText(err error) string {
	text := err.Error()
	var answer *client.Error
	if !errors.As(err, &answer) {
		return text
	}
	var b strings.Builder
	b.WriteString(text)
	for _, f := range answer.Faults {
		fmt.Fprintf(&b, "\n  %s: %s", strings.TrimPrefix(f.Location, "body."), f.Message)
		if f.Value != "" {
			fmt.Fprintf(&b, " It is %s.", printable(f.Value))
		}
		if f.Expected != "" {
			fmt.Fprintf(&b, " Expected: %s.", strings.TrimSuffix(f.Expected, "."))
		}
	}
	if answer.RetryAfter > 0 {
		fmt.Fprintf(&b, "\nTry again in %s.", answer.RetryAfter)
	}
	if answerStatus(answer.Status) == exitUnexpected && answer.RequestID != "" {
		fmt.Fprintf(&b, "\nThe server's log has more under %s.", answer.RequestID)
	}
	return b.String()
}
