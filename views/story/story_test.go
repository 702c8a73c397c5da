package story

import (
	"bytes"
	"compress/gzip"
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/PuerkitoBio/goquery"
	"github.com/stretchr/testify/require"

	"refill/static"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// hashed is the part of an asset's name that changes with its content.
var hashed = regexp.MustCompile(`/static/(\w+)\.[0-9a-f]{8}\.`)

func render(t *testing.T, p Page) []byte {
	t.Helper()
	var html bytes.Buffer
	require.NoError(t, p.Component.Render(t.Context(), &html))
	return html.Bytes()
}

// TestGolden shows what a change does to every page: run with -update and read the
// difference.
func TestGolden(t *testing.T) {
	t.Parallel()
	known := map[string]bool{}
	for _, p := range Pages() {
		require.False(t, known[p.Name], "two stories are called %s", p.Name)
		known[p.Name] = true
		t.Run(p.Name, func(t *testing.T) {
			t.Parallel()
			// One element a line, and no content hashes, so that a difference reads well.
			got := hashed.ReplaceAll(render(t, p), []byte("/static/$1."))
			got = append(bytes.ReplaceAll(got, []byte("><"), []byte(">\n<")), '\n')
			file := filepath.Join("testdata", p.Name+".html")
			if *update {
				require.NoError(t, os.WriteFile(file, got, 0o600))
			}
			want, err := os.ReadFile(file)
			require.NoError(t, err, "a new story needs -update")
			require.Equal(t, string(want), string(got))
		})
	}
	files, err := filepath.Glob("testdata/*.html")
	require.NoError(t, err)
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".html")
		require.True(t, known[name], "%s has no story any more", file)
	}
}

// TestEveryPage holds the rules no page may break.
func TestEveryPage(t *testing.T) {
	t.Parallel()
	for _, p := range Pages() {
		t.Run(p.Name, func(t *testing.T) {
			t.Parallel()
			html := render(t, p)
			doc, err := goquery.NewDocumentFromReader(bytes.NewReader(html))
			require.NoError(t, err)

			require.Equal(t, 1, doc.Find("h1").Length(), "one h1")
			require.Equal(t, 1, doc.Find("main").Length())
			require.NotEmpty(t, doc.Find("title").Text())
			require.Zero(t, doc.Find("style, [style], script:not([src]), [onclick], [onsubmit], [onchange]").Length(), "the policy allows nothing inline")

			doc.Find("form").Each(func(_ int, form *goquery.Selection) {
				if strings.EqualFold(form.AttrOr("method", "get"), "post") {
					require.Equal(t, 1, form.Find("input[name=csrf_token]").Length(), "a form without its token")
				}
			})
			ids := map[string]bool{}
			doc.Find("[id]").Each(func(_ int, s *goquery.Selection) {
				id := s.AttrOr("id", "")
				require.False(t, ids[id], "id %s twice", id)
				ids[id] = true
			})
			doc.Find("[aria-describedby], [aria-labelledby]").Each(func(_ int, s *goquery.Selection) {
				for id := range strings.FieldsSeq(s.AttrOr("aria-describedby", "") + " " + s.AttrOr("aria-labelledby", "")) {
					require.True(t, ids[id], "nothing is called %s", id)
				}
			})

			visible := doc.Find("body").Text()
			require.NotContains(t, visible, "!")
			require.NotRegexp(t, `\$0\.00\b`, visible)
			for _, word := range []string{"tokens", "quota", "top-up balance", "overage", "Oops"} {
				require.NotContains(t, visible, word)
			}

			budget := 20 << 10
			if strings.HasPrefix(p.Name, "usage") {
				budget = 30 << 10
			}
			var packed bytes.Buffer
			w := gzip.NewWriter(&packed)
			_, err = w.Write(html)
			require.NoError(t, err)
			require.NoError(t, w.Close())
			require.LessOrEqual(t, packed.Len(), budget, "gzipped HTML")
		})
	}
}

// F8: where the balance could not be read, no number stands in its place.
func TestUnreadableBalanceIsNotZero(t *testing.T) {
	t.Parallel()
	seen := 0
	for _, p := range Pages() {
		if p.Name != "overview-error" && p.Name != "buy-balance-error" {
			continue
		}
		seen++
		doc, err := goquery.NewDocumentFromReader(bytes.NewReader(render(t, p)))
		require.NoError(t, err)
		require.Zero(t, doc.Find("[data-balance], .chip, .meter").Length())
		require.Contains(t, doc.Text(), "can't be shown right now")
	}
	require.Equal(t, 2, seen)
}

// W1: a client's page carries no trace of the platform.
func TestClientPagesAreUnbranded(t *testing.T) {
	t.Parallel()
	seen := 0
	for _, p := range Pages() {
		if !strings.HasPrefix(p.Name, "client") && p.Name != "buy-client" && p.Name != "usage-client" {
			continue
		}
		seen++
		require.NotContains(t, strings.ToLower(string(render(t, p))), "refill", p.Name)
	}
	require.GreaterOrEqual(t, seen, 5)
	for _, asset := range []string{"app.css", "app.js", "icon.svg"} {
		content, _, _, _ := static.Open(asset)
		require.NotContains(t, strings.ToLower(string(content)), "refill", asset)
	}
}
