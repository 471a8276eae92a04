package docs

import (
	"net/url"
	"strings"

	"telltale.example/telltale/docs"
)

// Receiver is a program that takes webhooks, in one language.
type Receiver struct {
	Language string
	File     string // its name
	Run      string // how it is started
	Source   string
}

// The placeholders in the files of docs/receivers. They are what works as it
// stands, so that each file can be run.
const (
	placeSecret = "WEBHOOK_SECRET"
	placePath   = "/webhooks"
	placePort   = "3000"
)

// serverMark begins what is behind the verification in each file.
const serverMark = "The receiver. Any framework"

var receivers = []Receiver{
	{Language: "Go", File: "receiver.go", Run: "go run receiver.go"},
	{Language: "TypeScript", File: "receiver.ts", Run: "node receiver.ts"},
	{Language: "Python", File: "receiver.py", Run: "python3 receiver.py"},
	{Language: "Ruby", File: "receiver.rb", Run: "ruby receiver.rb"},
	{Language: "PHP", File: "receiver.php", Run: "php -S localhost:3000 receiver.php"},
	{Language: "Java", File: "Receiver.java", Run: "javac Receiver.java && java Receiver"},
}

// Receivers gives a receiver in each language for a webhook's URL: with its path,
// with its port if it is on this machine, and with the name of the environment
// variable that holds the secret. What is empty stays as it is in the documents.
func Receivers(address, secretName string) []Receiver {
	path, port := placePath, placePort
	if u, err := url.Parse(address); err == nil && u.Host != "" {
		if path = u.EscapedPath(); path == "" {
			path = "/"
		}
		switch u.Hostname() {
		case "localhost", "127.0.0.1", "::1":
			if u.Port() != "" {
				port = u.Port()
			}
		}
	}
	if secretName == "" {
		secretName = placeSecret
	}
	filled := make([]Receiver, len(receivers))
	for i, r := range receivers {
		// An escaped path has nothing in it that could end a quoted text or a
		// Go pattern; PHP alone would take a dollar sign for a variable.
		to := path
		if r.Language == "PHP" {
			to = strings.ReplaceAll(path, "$", `\$`)
		}
		fill := strings.NewReplacer(placeSecret, secretName, placePath+`"`, to+`"`, "localhost:"+placePort, "localhost:"+port, ", "+placePort, ", "+port, ": "+placePort, ": "+port, placePort+", ", port+", ")
		r.Run, r.Source = fill.Replace(r.Run), fill.Replace(source(r.File))
		filled[i] = r
	}
	return filled
}

func source(file string) string {
	text, err := docs.Files.ReadFile("receivers/" + file)
	if err != nil {
		panic("docs: " + err.Error()) // the table names what is embedded
	}
	return string(text)
}

// verification is the part of a receiver's source that verifies a request.
func verification(source string) string {
	end := strings.Index(source, serverMark)
	end = strings.LastIndexByte(source[:max(end, 0)], '\n')
	return strings.TrimRight(source[:max(end, 0)], "\n") + "\n"
}
