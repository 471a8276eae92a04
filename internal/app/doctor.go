package app

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"telltale.example/telltale"
	"telltale.example/telltale/internal/config"
	"telltale.example/telltale/internal/postgres"
	"telltale.example/telltale/internal/send"
)

// Finding is one thing that [Examine] looked at.
type Finding struct {
	Check  string `json:"check"`
	State  string `json:"state"` // ok, warn or fail
	Detail string `json:"detail"`
	Fix    string `json:"fix,omitempty"`
}

// States of a finding.
const (
	FindingOK   = "ok"
	FindingWarn = "warn"
	FindingFail = "fail"
)

// When a disk is too full: below the first a warning, below the second a failure.
const (
	littleSpace = 1 << 30   // bytes
	noSpace     = 100 << 20 // likewise
)

// Examine looks at what a server of that configuration needs: the data folder and
// its files and the disk, or the PostgreSQL database, trusted certificates, and, if receiver is
// not empty, whether a webhook to that URL would get through from here. It changes
// nothing; the receiver gets one signed test request.
func Examine(ctx context.Context, cfg config.Config, version, receiver string) []Finding {
	var findings []Finding
	switch {
	case Shared(cfg):
		findings = append(findings, examineDatabase(ctx, cfg)...)
		if ownsToken(cfg) {
			findings = append(findings, examineFolder(cfg.Data), examineFile(filepath.Join(cfg.Data, OwnerTokenFile), false))
		}
	default:
		findings = append(findings, examineFolder(cfg.Data))
		for _, name := range []string{SecretKeyFile, OwnerTokenFile, DatabaseFile} {
			findings = append(findings, examineFile(filepath.Join(cfg.Data, name), name == SecretKeyFile && cfg.SecretKey != ""))
		}
		findings = append(findings, examineDisk(cfg.Data))
	}
	findings = append(findings, examineRoots())
	if receiver != "" {
		findings = append(findings, examineReceiver(ctx, cfg, version, receiver))
	}
	return findings
}

// examineDatabase looks at a PostgreSQL database and at the key that goes with it.
func examineDatabase(ctx context.Context, cfg config.Config) []Finding {
	key := Finding{Check: "secret key", State: FindingOK, Detail: "it comes from the configuration"}
	if _, err := sharedKeyRing(cfg); err != nil && cfg.SecretKey != "" {
		key.State, key.Detail = FindingFail, err.Error()
	} else if err != nil {
		key.State, key.Detail, key.Fix = FindingFail, "servers on PostgreSQL need one that all of them share", "openssl rand -base64 32 makes one; name its file with TELLTALE_SECRET_KEY_FILE"
	}
	f := Finding{Check: "database", State: FindingOK, Detail: Location(cfg)}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	if err := postgres.CheckServer(ctx, string(cfg.DatabaseURL)); err != nil {
		f.State, f.Detail, f.Fix = FindingFail, Location(cfg)+": "+err.Error(), "is the URL right, and does the server let this machine in?"
		return []Finding{f, key}
	}
	schema := Finding{Check: "schema", State: FindingOK}
	switch current, latest, pending, err := Migrations(ctx, cfg); {
	case err != nil:
		schema.State, schema.Detail = FindingFail, err.Error()
	case current == 0:
		schema.State, schema.Detail, schema.Fix = FindingWarn, "not there yet", "telltale serve makes it on first run, or telltale migrate up"
	case len(pending) > 0:
		schema.State, schema.Detail, schema.Fix = FindingWarn, fmt.Sprintf("at version %d of %d", current, latest), "telltale serve brings it up to date, or telltale migrate up"
	default:
		schema.Detail = fmt.Sprintf("version %d", current)
	}
	return []Finding{f, schema, key}
}

func examineFolder(path string) Finding {
	f := Finding{Check: "data folder", State: FindingOK, Detail: path}
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		f.State, f.Detail, f.Fix = FindingWarn, path+" does not exist yet", "telltale serve makes it on first run; --data names another"
	case err != nil:
		f.State, f.Detail, f.Fix = FindingFail, err.Error(), "let this user read the folder, or name another with --data"
	case !info.IsDir():
		f.State, f.Detail, f.Fix = FindingFail, path+" is no folder", "name another with --data"
	case info.Mode().Perm()&0o077 != 0:
		f.State, f.Detail, f.Fix = FindingWarn, fmt.Sprintf("%s can be read by others (%#o)", path, info.Mode().Perm()), "chmod 700 "+path
	case unix.Access(path, unix.W_OK) != nil:
		f.State, f.Detail, f.Fix = FindingFail, path+" cannot be written by this user", "run as its owner, or name another with --data"
	}
	return f
}

// examineFile looks at a file that the server makes by itself on first run.
func examineFile(path string, elsewhere bool) Finding {
	f := Finding{Check: filepath.Base(path), State: FindingOK, Detail: "there, for its owner alone"}
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist) && elsewhere:
		f.Detail = "the key comes from the configuration"
	case errors.Is(err, fs.ErrNotExist):
		f.State, f.Detail, f.Fix = FindingWarn, "not there", "telltale serve makes it on first run; if it was there before, restore it from a copy"
	case err != nil:
		f.State, f.Detail, f.Fix = FindingFail, err.Error(), "let this user read it"
	case info.Mode().Perm()&0o077 != 0:
		f.State, f.Detail, f.Fix = FindingFail, fmt.Sprintf("others can read it (%#o)", info.Mode().Perm()), "chmod 600 "+path
	}
	return f
}

func examineDisk(path string) Finding {
	f := Finding{Check: "disk", State: FindingOK}
	for {
		if _, err := os.Stat(path); err == nil || path == filepath.Dir(path) {
			break
		}
		path = filepath.Dir(path) // the folder above is on the same disk as what is made in it
	}
	var stat unix.Statfs_t
	if err := unix.Statfs(path, &stat); err != nil {
		return Finding{Check: "disk", State: FindingFail, Detail: err.Error(), Fix: "name a folder on a local disk with --data"}
	}
	free := uint64(stat.Bavail) * uint64(stat.Bsize) //nolint:unconvert // the fields differ between systems
	f.Detail = fmt.Sprintf("%.1f GiB free", float64(free)/(1<<30))
	switch {
	case free < noSpace:
		f.State, f.Fix = FindingFail, "make room: without it nothing can be accepted"
	case free < littleSpace:
		f.State, f.Fix = FindingWarn, "make room, or keep events for fewer days with --retention-days"
	}
	return f
}

func examineRoots() Finding {
	pool, err := x509.SystemCertPool()
	if err != nil || pool.Equal(x509.NewCertPool()) {
		return Finding{Check: "trusted certificates", State: FindingFail, Detail: "none were found: every https receiver would be refused", Fix: "install the package ca-certificates, or name a file with SSL_CERT_FILE"}
	}
	return Finding{Check: "trusted certificates", State: FindingOK, Detail: "found"}
}

// examineReceiver sends what a test would send, through the same guard.
func examineReceiver(ctx context.Context, cfg config.Config, version, address string) Finding {
	f := Finding{Check: "receiver", State: FindingOK}
	guard, err := newGuard(cfg, "")
	if err != nil {
		return Finding{Check: "receiver", State: FindingFail, Detail: err.Error()}
	}
	if err := guard.CheckURL(address); err != nil {
		return Finding{Check: "receiver", State: FindingFail, Detail: err.Error(), Fix: "mend the URL, or allow it: --allow-private, --allow-cidr, --allow-http, --egress-ports"}
	}
	e, err := telltale.SampleEvent("", telltale.Sent)
	if err != nil {
		return Finding{Check: "receiver", State: FindingFail, Detail: err.Error()}
	}
	sender := send.New(send.Config{Guard: guard, Node: telltale.NewNodeID(), Version: version, Log: slog.New(slog.DiscardHandler)})
	defer sender.Close()
	w := telltale.NewWebhook("", address, telltale.AllEventTypes)
	a := sender.Send(ctx, &telltale.Claim{Event: &e, Webhook: &w, Trigger: telltale.TriggerTest, Test: true, Once: true, Attempt: 1}, &w)
	f.Detail, f.Fix = a.Sentence(), a.Fix()
	switch {
	case a.Success():
	case a.Status != 0:
		f.State = FindingWarn // it is reached; what it thinks of a signature that it cannot know is another matter
	default:
		f.State = FindingFail
	}
	return f
}

// ExamineClock holds this machine's clock against the time that a server gave in
// its answer: signatures and links depend on both.
func ExamineClock(answer http.Header, now time.Time) Finding {
	f := Finding{Check: "clock", State: FindingOK}
	theirs, err := http.ParseTime(answer.Get("Date"))
	if err != nil {
		return Finding{Check: "clock", State: FindingWarn, Detail: "the server does not tell the time", Fix: "is a proxy between that removes the header Date?"}
	}
	off := now.Sub(theirs).Abs().Truncate(time.Second)
	f.Detail = fmt.Sprintf("%s apart from the server's", off)
	switch {
	case off > 5*time.Minute:
		f.State, f.Fix = FindingFail, "set the clock: receivers refuse signatures that are five minutes off"
	case off > 5*time.Second:
		f.State, f.Fix = FindingWarn, "let the clock be kept by NTP"
	}
	return f
}
