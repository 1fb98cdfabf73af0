package web

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"io/fs"
	"mime"
	"net/http"
	"path"

	"github.com/conchmq/conch/internal/uplot"
)

// consoleFiles are the files of the console: a page, its style, and a module for each view. Nothing comes from elsewhere.
//
//go:embed console
var consoleFiles embed.FS

// consolePolicy is the Content-Security-Policy of the console: its own files and requests, no frame around it. Names and payloads are
// text nodes; markup in them would run nothing even if they were not.
const consolePolicy = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// asset is a file of the console.
type asset struct {
	content []byte
	mime    string
	etag    string
}

// consoleAssets are all files by their names.
var consoleAssets = func() map[string]asset {
	all := map[string]asset{
		"uplot.js":  newAsset("uplot.js", []byte(uplot.Script)),
		"uplot.css": newAsset("uplot.css", []byte(uplot.Style)),
	}
	files, err := fs.ReadDir(consoleFiles, "console")
	if err != nil {
		panic(err) // they are embedded
	}
	for _, f := range files {
		content, err := consoleFiles.ReadFile("console/" + f.Name())
		if err != nil {
			panic(err) // as above
		}
		all[f.Name()] = newAsset(f.Name(), content)
	}
	return all
}()

func newAsset(name string, content []byte) asset {
	kind := mime.TypeByExtension(path.Ext(name))
	switch path.Ext(name) { // what the machine's table says does not count
	case ".js":
		kind = "text/javascript; charset=utf-8"
	case ".css":
		kind = "text/css; charset=utf-8"
	case ".html":
		kind = "text/html; charset=utf-8"
	case ".svg":
		kind = "image/svg+xml"
	case ".LICENSE":
		kind = "text/plain; charset=utf-8"
	}
	sum := sha256.Sum256(content)
	return asset{content, kind, `"` + hex.EncodeToString(sum[:8]) + `"`}
}

// getPage is GET /: the console. It needs no user: it is the same for all.
func (x *exchange) getPage() error { return x.asset("index.html") }

// getAsset is GET /console/{file}.
func (x *exchange) getAsset() error { return x.asset(x.params["file"]) }

func (x *exchange) asset(name string) error {
	a, ok := consoleAssets[name]
	if !ok {
		return &problem{Status: http.StatusNotFound, Detail: "the console has no such file"}
	}
	h := x.writer.Header()
	h.Set("Content-Security-Policy", consolePolicy)
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cache-Control", "no-cache") // another version has other files under the same names
	h.Set("ETag", a.etag)
	if x.request.Header.Get("If-None-Match") == a.etag {
		x.begin(http.StatusNotModified, "")
		return nil
	}
	x.text(http.StatusOK, a.mime, a.content)
	return nil
}
