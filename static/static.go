// Package static holds the paint: style sheets, script and the icon, built into
// the binary.
//
// The files under css are joined in name order into one app.css, those under js
// into one app.js; embed.js goes with what stands on other people's pages, alone.
// Every asset is served under a name that carries a hash of its
// content, so a browser may keep it for ever and a new release never meets an old
// sheet. The package knows no HTTP: Open answers what a handler needs to send.
package static

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"io/fs"
	"path"
	"regexp"
	"strings"
	"sync"
)

// FS is the sources as they were embedded.
//
//go:embed css/*.css js/*.js embed.js icon.svg
var FS embed.FS

// asset is one file as it is served.
type asset struct {
	content     []byte
	contentType string
}

// bundle is every asset under its hashed name, and the hashed name of each plain one.
type bundle struct {
	byName map[string]asset
	hashed map[string]string
}

// built joins the sources once, on first use.
//
//nolint:gochecknoglobals // immutable after the first call
var built = sync.OnceValue(build)

func build() bundle {
	b := bundle{byName: map[string]asset{}, hashed: map[string]string{}}
	b.add("app.css", "text/css; charset=utf-8", squeezeCSS(join("css/*.css")))
	b.add("app.js", "text/javascript; charset=utf-8", join("js/*.js"))
	b.add("embed.js", "text/javascript; charset=utf-8", join("embed.js"))
	b.add("icon.svg", "image/svg+xml", join("icon.svg"))
	return b
}

// add stores an asset as "app.<hash8>.css".
func (b *bundle) add(name, contentType string, content []byte) {
	sum := sha256.Sum256(content)
	ext := path.Ext(name)
	hashed := strings.TrimSuffix(name, ext) + "." + hex.EncodeToString(sum[:4]) + ext
	b.byName[hashed] = asset{content, contentType}
	b.hashed[name] = hashed
}

// join concatenates the embedded files that match, in name order.
func join(pattern string) []byte {
	names, err := fs.Glob(FS, pattern)
	if err != nil {
		return nil
	}
	var out bytes.Buffer
	for _, name := range names {
		content, err := FS.ReadFile(name)
		if err != nil {
			continue
		}
		out.Write(content)
		out.WriteByte('\n')
	}
	return out.Bytes()
}

// aroundPunctuation is the blank space that a sheet can do without.
var aroundPunctuation = regexp.MustCompile(`\s*([{};])\s*`)

// squeezeCSS drops comments and indentation, which is most of what a minifier would
// win. Other blanks stay: a selector or a calculation may need them.
func squeezeCSS(css []byte) []byte {
	var out bytes.Buffer
	for {
		before, rest, found := bytes.Cut(css, []byte("/*"))
		out.Write(before)
		if !found {
			break
		}
		_, css, _ = bytes.Cut(rest, []byte("*/"))
	}
	squeezed := bytes.Join(bytes.Fields(out.Bytes()), []byte(" "))
	squeezed = aroundPunctuation.ReplaceAll(squeezed, []byte("$1"))
	return bytes.ReplaceAll(squeezed, []byte(";}"), []byte("}"))
}

// Path is the address of an asset for a page: "app.css" gives
// "/static/app.<hash8>.css". An unknown name gives a path that answers 404.
func Path(name string) string {
	if hashed, ok := built().hashed[name]; ok {
		return "/static/" + hashed
	}
	return "/static/" + name
}

// Open finds what is served under /static/{name}. The hashed name may be cached
// for ever (immutable); the plain name also answers, but must be asked for again.
func Open(name string) (content []byte, contentType string, immutable, ok bool) {
	b := built()
	if a, found := b.byName[name]; found {
		return a.content, a.contentType, true, true
	}
	a, found := b.byName[b.hashed[name]]
	return a.content, a.contentType, false, found
}
