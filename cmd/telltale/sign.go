package main

import (
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"telltale.example/telltale"
	"telltale.example/telltale/signature"
)

func (p *program) sign() *cobra.Command {
	var secrets []string
	var id, at, body string
	cmd := &cobra.Command{
		Use:   "sign",
		Short: "sign a body as Telltale signs what it sends",
		Example: `  telltale sign --secret @secret.txt --body @payload.json
  telltale sign --secret whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw --id msg_1 --timestamp 1614265330 --body '{"test":1}'
  cat payload.json | telltale sign --secret @secret.txt --body @- --json`,
		Long: `Prints the three headers of Standard Webhooks. Use it to try a receiver without a
server. What is signed is the id, the timestamp and the bytes of the body, with
not a byte added or taken away.

Flags can be read by other users of the machine: put the secret in a file and
write --secret @FILE.`,
		Args: args(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := required(cmd, "secret", "body"); err != nil {
				return err
			}
			signing, err := p.secrets(secrets)
			if err != nil {
				return err
			}
			if err := signature.CheckID(id); err != nil {
				return usage("flag --id: %v", err)
			}
			now := time.Now()
			if at != "" {
				if now, err = parseTime("timestamp", at); err != nil {
					return err
				}
			}
			content, err := p.content("body", body)
			if err != nil {
				return err
			}
			value := signature.NewSigner(signing[0], signing[1:]...).Sign(id, now, content)
			stamp := strconv.FormatInt(now.Unix(), 10)
			if p.json {
				return p.writeJSON(map[string]string{signature.HeaderID: id, signature.HeaderTimestamp: stamp, signature.HeaderSignature: value})
			}
			p.say("%s: %s", signature.HeaderID, id)
			p.say("%s: %s", signature.HeaderTimestamp, stamp)
			p.say("%s: %s", signature.HeaderSignature, value)
			return nil
		},
	}
	flags := cmd.Flags()
	flags.SortFlags = false
	flags.StringArrayVar(&secrets, "secret", nil, "whsec_… or @`file`; again for the ones that it replaced")
	flags.StringVar(&body, "body", "", "the `bytes` to sign: a text, @file, or @- for the standard input")
	flags.StringVar(&id, "id", string(telltale.NewEventID()), "`webhook-id`")
	flags.Lookup("id").DefValue = "a fresh one"
	flags.StringVar(&at, "timestamp", "", "Unix `seconds` or RFC 3339; default: now")
	flags.BoolVar(&p.json, "json", false, "print one JSON object")
	return cmd
}

func (p *program) verify() *cobra.Command {
	var secrets, headers []string
	var at, body string
	cmd := &cobra.Command{
		Use:   "verify",
		Short: "check a signature, and say why it is not valid",
		Example: `  telltale verify --secret @secret.txt --header @headers.txt --body @body.json
  telltale verify --secret @new.txt --secret @old.txt --header @headers.txt --body @body.json
  telltale verify --secret @secret.txt --body @body.json --at 1614265330 --header 'webhook-id: msg_1' \
    --header 'webhook-timestamp: 1614265330' --header 'webhook-signature: v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE='`,
		Long: `Takes a request as a receiver got it, and says whether its signature is valid. If
not, it finds out why as far as that can be known: another secret, an old one, a
body that something changed on the way, a clock that is wrong, a header that is
missing. The first secret is the current one; others are those it replaced.

A request that was caught earlier has an old timestamp: --at judges it as of then.
The exit status is 0 for a valid signature and 7 for any other.`,
		Args: args(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := required(cmd, "secret", "header", "body"); err != nil {
				return err
			}
			known, err := p.secrets(secrets)
			if err != nil {
				return err
			}
			header, err := p.headers(headers)
			if err != nil {
				return err
			}
			now := time.Now()
			if at != "" {
				if now, err = parseTime("at", at); err != nil {
					return err
				}
			}
			content, err := p.content("body", body)
			if err != nil {
				return err
			}
			e := signature.Explain(header, content, now, known[0], known[1:]...)
			if p.json {
				err = p.writeJSON(map[string]any{"valid": e.Valid(), "sentences": e.Sentences})
			} else {
				for _, sentence := range e.Sentences {
					p.say("%s", sentence)
				}
			}
			if err == nil && !e.Valid() {
				err = fail(exitRefused, "the signature is not valid")
			}
			return err
		},
	}
	flags := cmd.Flags()
	flags.SortFlags = false
	flags.StringArrayVar(&secrets, "secret", nil, "whsec_… or @`file`; again for the ones that it replaced")
	flags.StringArrayVar(&headers, "header", nil, "a `header` as 'name: value', again for each, or @file with one per line")
	flags.StringVar(&body, "body", "", "the raw `bytes` that came: a text, @file, or @- for the standard input")
	flags.StringVar(&at, "at", "", "judge as of this `time`: Unix seconds or RFC 3339; default: now")
	flags.BoolVar(&p.json, "json", false, "print one JSON object")
	return cmd
}

// secrets reads what --secret says.
func (p *program) secrets(texts []string) ([]signature.Secret, error) {
	secrets := make([]signature.Secret, len(texts))
	for i, text := range texts {
		content, err := p.content("secret", text)
		if err != nil {
			return nil, err
		}
		if secrets[i], err = signature.ParseSecret(strings.TrimSpace(string(content))); err != nil {
			return nil, usage("flag --secret: %v", err)
		}
	}
	return secrets, nil
}

// headers reads what --header says.
func (p *program) headers(texts []string) (http.Header, error) {
	header := http.Header{}
	for _, text := range texts {
		content, err := p.content("header", text)
		if err != nil {
			return nil, err
		}
		for line := range strings.Lines(string(content)) {
			if line = strings.TrimRight(line, "\r\n"); line == "" {
				continue
			}
			name, value, ok := strings.Cut(line, ":")
			if !ok || strings.TrimSpace(name) == "" {
				if i := strings.Index(line, " HTTP/"); i > 0 || strings.HasPrefix(line, "HTTP/") {
					continue // the first line of a request that was pasted whole
				}
				return nil, usage("flag --header: %q; expected 'name: value'", telltale.CutValue(line))
			}
			header.Add(strings.TrimSpace(name), strings.TrimSpace(value))
		}
	}
	return header, nil
}
