package postgres

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"telltale.example/telltale"
)

// When to come back: soon if others were in the way, later if the server is away.
const (
	retryBusy = time.Second
	retryAway = 5 * time.Second
)

var (
	errClosed     = errors.New("the store is closed")
	errOverloaded = errors.New("too many operations wait to be written")
)

func unavailable(message string, retryAfter time.Duration, cause error) error {
	return &telltale.Error{Code: telltale.Unavailable, Message: message, RetryAfter: retryAfter, Cause: cause}
}

func notFound(noun string) error {
	return telltale.Errorf(telltale.NotFound, "There is no such %s.", noun)
}

func orNotFound(err error, noun string) error {
	if err != nil {
		return err
	}
	return notFound(noun)
}

func changedMeanwhile(noun string, is, was int64) error {
	return telltale.Errorf(telltale.PreconditionFailed, "The %s was changed meanwhile: it is at version %d, not %d.", noun, is, was)
}

// noRows reports whether err says that a row was asked for that is not there.
func noRows(err error) bool { return errors.Is(err, pgx.ErrNoRows) }

// sqlState is the server's code for err, or "" if the server did not speak.
// The codes are those of PostgreSQL's appendix A.
func sqlState(err error) string {
	var known *pgconn.PgError
	if errors.As(err, &known) {
		return known.Code
	}
	return ""
}

func isUnique(err error) bool { return sqlState(err) == "23505" }

// isTransient reports whether the transaction may succeed if it is run again:
// it was chosen to end a deadlock, or lost a race. Nothing of it was kept.
func isTransient(err error) bool {
	state := sqlState(err)
	return state == "40P01" || state == "40001"
}

// explain turns an error of the server, of the connection to it or of a context
// into what the contract promises.
func (s *Store) explain(operation string, err error) error {
	var known *telltale.Error
	if err == nil || errors.As(err, &known) {
		return err
	}
	err = fmt.Errorf("postgres: %s: %w", operation, err)
	state := sqlState(err)
	switch {
	case errors.Is(err, errClosed):
		return unavailable("The store is closed.", retryBusy, err)
	case errors.Is(err, errOverloaded):
		return unavailable("The store cannot keep up.", retryBusy, err)
	case state == "53100":
		return unavailable("The database's disk is full: nothing was stored.", retryAway, err)
	case state == "57014", state == "25P03":
		return unavailable("The database took too long to answer.", retryBusy, err)
	case isTransient(err), state == "55P03":
		return unavailable("The database is busy.", retryBusy, err)
	case state == "25006":
		return unavailable("The database takes no writes now: it is a standby.", retryAway, err)
	case strings.HasPrefix(state, "08"), strings.HasPrefix(state, "53"), strings.HasPrefix(state, "57"), strings.HasPrefix(state, "58"):
		return unavailable("The database cannot be reached.", retryAway, err)
	case state != "":
		return err // a mistake of ours
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return unavailable("The store was not waited for.", retryBusy, err)
	case lost(err):
		return unavailable("The database cannot be reached.", retryAway, err)
	}
	return err
}

// Away reports whether err says that the server cannot be reached now, or takes no
// connections.
func Away(err error) bool {
	state := sqlState(err)
	return strings.HasPrefix(state, "08") || strings.HasPrefix(state, "53") || strings.HasPrefix(state, "57") || state == "" && lost(err)
}

// ended reports whether the server ended the session, or the connection broke: as
// when it restarts, or an operator ended what was idle.
func ended(err error) bool {
	state := sqlState(err)
	return state == "57P01" || state == "57P02" || state == "" && isEOF(err)
}

// lost reports whether err is a connection's, and not the server's word.
func lost(err error) bool {
	var network net.Error
	var connect *pgconn.ConnectError
	return errors.As(err, &network) || errors.As(err, &connect) || pgconn.SafeToRetry(err) || pgconn.Timeout(err) || isEOF(err) ||
		strings.Contains(err.Error(), "conn closed") || strings.Contains(err.Error(), "closed pool")
}
