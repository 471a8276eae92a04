package web

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"mime"
	"net/http"
	"path"
	"strings"
)

//go:embed static
var static embed.FS

// assets are the files that pages load. Their address holds a hash of their
// content, so that browsers keep them for good.
type assets struct {
	files map[string]asset // by name
}

type asset struct {
	address   string
	mediaType string
	plain, gz []byte
}

// scripts are served as one file, [scriptName]. Apart, htmx might begin with the
// page before its extension has arrived, and the page would never be live.
var scripts = []string{"htmx.js", "htmx-sse.js", "app.js"}

const scriptName = "script.js"

func loadAssets() *assets {
	a := &assets{files: map[string]asset{}}
	var script []byte
	for _, name := range scripts {
		script = append(append(script, readAsset(name)...), '\n')
	}
	a.add(scriptName, script)
	for _, name := range []string{"app.css", "icon.svg"} {
		a.add(name, readAsset(name))
	}
	return a
}

func readAsset(name string) []byte {
	content, err := static.ReadFile("static/" + name)
	if err != nil {
		panic("web: " + err.Error()) // it is part of the binary
	}
	return content
}

func (a *assets) add(name string, content []byte) {
	hash := sha256.Sum256(content)
	a.files[name] = asset{"/static/" + hex.EncodeToString(hash[:6]) + "/" + name, mime.TypeByExtension(path.Ext(name)), content, compress(content)}
}

// address gives the path under which the file of that name is served.
func (a *assets) address(name string) string { return a.files[name].address }

func (a *assets) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	file, ok := a.files[r.PathValue("name")]
	if !ok || file.address != r.URL.Path {
		w.Header().Set("Cache-Control", "no-store")
		http.Error(w, "There is no such file.", http.StatusNotFound)
		return
	}
	h := w.Header()
	h.Set("Content-Type", file.mediaType)
	h.Set("Cache-Control", "public, max-age=31536000, immutable")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Vary", "Accept-Encoding")
	if acceptsGzip(r) {
		h.Set("Content-Encoding", "gzip")
		_, _ = w.Write(file.gz)
		return
	}
	_, _ = w.Write(file.plain)
}

func compress(plain []byte) []byte {
	var b bytes.Buffer
	w, _ := gzip.NewWriterLevel(&b, gzip.BestCompression) // the level exists
	_, _ = w.Write(plain)                                 // to memory
	_ = w.Close()
	return b.Bytes()
}

// acceptsGzip reports whether the browser said gzip, and not that it would rather not.
func acceptsGzip(r *http.Request) bool {
	for coding := range strings.SplitSeq(r.Header.Get("Accept-Encoding"), ",") {
		name, quality, _ := strings.Cut(strings.TrimSpace(coding), ";")
		if strings.TrimSpace(name) == "gzip" {
			return strings.ReplaceAll(quality, " ", "") != "q=0"
		}
	}
	return false
}
