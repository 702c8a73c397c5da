package static

import (
	"bytes"
	"compress/gzip"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// What a first visit may weigh, gzipped.
const (
	cssBudget = 12 << 10
	jsBudget  = 15 << 10
	embedded  = 1 << 10
)

func TestWeight(t *testing.T) {
	t.Parallel()
	for name, budget := range map[string]int{"app.css": cssBudget, "app.js": jsBudget, "embed.js": embedded} {
		content, _, _, ok := Open(name)
		require.True(t, ok)
		var packed bytes.Buffer
		w := gzip.NewWriter(&packed)
		_, err := w.Write(content)
		require.NoError(t, err)
		require.NoError(t, w.Close())
		t.Logf("%s: %d bytes, %d gzipped", name, len(content), packed.Len())
		require.LessOrEqual(t, packed.Len(), budget, name)
	}
}

func TestNamesCarryTheirContent(t *testing.T) {
	t.Parallel()
	for name, contentType := range map[string]string{
		"app.css": "text/css; charset=utf-8", "app.js": "text/javascript; charset=utf-8", "embed.js": "text/javascript; charset=utf-8", "icon.svg": "image/svg+xml",
	} {
		path := Path(name)
		require.Regexp(t, `^/static/\w+\.[0-9a-f]{8}\.\w+$`, path)
		content, gotType, immutable, ok := Open(strings.TrimPrefix(path, "/static/"))
		require.True(t, ok)
		require.True(t, immutable)
		require.Equal(t, contentType, gotType)
		require.NotEmpty(t, content)

		_, _, immutable, ok = Open(name)
		require.True(t, ok)
		require.False(t, immutable, "a plain name may change its content")
	}
	_, _, _, ok := Open("nothing.css")
	require.False(t, ok)
	require.Equal(t, "/static/nothing.css", Path("nothing.css"))
}

// Squeezing must not change what the sheet means: blocks balance, the layers come
// first, nothing is left of a comment.
func TestSqueezedSheet(t *testing.T) {
	t.Parallel()
	css, _, _, _ := Open("app.css")
	text := string(css)
	require.True(t, strings.HasPrefix(text, "@layer tokens, base, layout, components, pages, print;"), text[:80])
	require.Equal(t, strings.Count(text, "{"), strings.Count(text, "}"))
	require.NotContains(t, text, "/*")
	require.NotContains(t, text, "@import")
	require.NotContains(t, text, "url(")
	require.Equal(t, "a b{color:red}@media (x){i{y:calc(1px + 2px)}}", string(squeezeCSS([]byte("/* c */ a\n  b { color:red; }\n@media (x) {\n i { y:calc(1px + 2px) }\n}"))))
}
