package handlers_test

import (
	"bytes"
	"image"
	"image/color"
	"image/png"
	"mime/multipart"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"refill/models"
	"refill/models/modelstest"
)

// aLogo is a picture that can be uploaded.
func aLogo(t testing.TB) []byte {
	t.Helper()
	p := image.NewNRGBA(image.Rect(0, 0, 200, 50))
	for i := range p.Pix {
		p.Pix[i] = 120
	}
	p.Set(0, 0, color.Black)
	var out bytes.Buffer
	require.NoError(t, png.Encode(&out, p))
	return out.Bytes()
}

// uploads sends the brand's form with a file.
func (b *browser) uploads(fields url.Values, name string, file []byte) answer {
	b.p.t.Helper()
	var body bytes.Buffer
	form := multipart.NewWriter(&body)
	fields.Set("csrf_token", b.get("/settings/brand").token())
	for k := range fields {
		require.NoError(b.p.t, form.WriteField(k, fields.Get(k)))
	}
	if file != nil {
		part, err := form.CreateFormFile("logo", name)
		require.NoError(b.p.t, err)
		_, err = part.Write(file)
		require.NoError(b.p.t, err)
	}
	require.NoError(b.p.t, form.Close())
	req, err := http.NewRequestWithContext(b.p.t.Context(), http.MethodPost, b.at+"/settings/brand", &body)
	require.NoError(b.p.t, err)
	req.Header.Set("Content-Type", form.FormDataContentType())
	return b.do(req)
}

// An owner makes a brand, looks at it, publishes it, and takes it back: clients see
// exactly what is published, and the platform's own pages stay its own.
func TestAnOwnerBrandsThePortal(t *testing.T) {
	t.Parallel()
	modelstest.Each(t, func(t *testing.T, db *models.DB) {
		p := newPortal(t, db)
		owner, client := p.as("owner"), p.as("client")
		saved := owner.uploads(url.Values{"name": {"Orbit Credits"}, "colour": {"#FFD400"}, "support": {"help@orbit.example"}}, "../../logo.svg.png", aLogo(t))
		require.Equal(t, http.StatusSeeOther, saved.StatusCode, saved.body)
		page := owner.get("/settings/brand")
		words := page.main()
		require.Contains(t, words, "Dark text on your colour: 13.1 : 1, readable.")
		require.Contains(t, words, "We use #816a01 instead: 5.2 : 1.")
		require.Contains(t, page.Header.Get("Content-Security-Policy"), "frame-src 'self'")
		require.Equal(t, "Northwind Agency", client.get("/").doc().Find("header .brand").Text(), "a draft is nobody's business")

		for _, shown := range []string{"balance", "buy", "sign-in", "mail"} {
			a := owner.get("/settings/brand/preview/" + shown + "?theme=dark")
			require.Equal(t, http.StatusOK, a.StatusCode, shown)
			require.Contains(t, a.Header.Get("Content-Security-Policy"), "frame-ancestors 'self'")
			require.Equal(t, "dark", a.doc().Find("html").AttrOr("data-theme", ""))
			require.Equal(t, "Orbit Credits", a.doc().Find("header .brand img").AttrOr("alt", ""), shown)
			require.Zero(t, a.doc().Find("script").Length(), shown)
		}
		require.Equal(t, http.StatusSeeOther, owner.fill("/settings/brand", "/settings/brand/publish", url.Values{}).StatusCode)
		for _, path := range []string{"/", "/buy", "/nothing", "/history", "/calculator"} {
			doc := client.get(path).doc()
			require.Equal(t, "Orbit Credits", doc.Find("header .brand img").AttrOr("alt", ""), path)
			sheet := client.get(doc.Find("link[rel=stylesheet]").Last().AttrOr("href", ""))
			require.Equal(t, "public, max-age=31536000, immutable", sheet.Header.Get("Cache-Control"))
			require.Equal(t, "text/css; charset=utf-8", sheet.Header.Get("Content-Type"))
			require.Regexp(t, `^@layer tokens\{:root\{(--[a-z-]+:light-dark\(#[0-9a-f]{6},#[0-9a-f]{6}\);?)+\}\}$`, sheet.body)
			require.Equal(t, "mailto:help@orbit.example", doc.Find("footer a").AttrOr("href", ""))
			logo := client.get(doc.Find("header .brand img").AttrOr("src", ""))
			require.Equal(t, "image/png", logo.Header.Get("Content-Type"))
			require.Equal(t, "default-src 'none'; sandbox", logo.Header.Get("Content-Security-Policy"))
			require.Equal(t, "nosniff", logo.Header.Get("X-Content-Type-Options"))
		}
		require.Equal(t, "Refill", owner.get("/").doc().Find("header .brand").Text())
		require.Equal(t, "Bluebird Studio", p.visitor(others).get("/sign-in").doc().Find("header .brand").Text(), "another agency's is its own")

		require.Equal(t, http.StatusSeeOther, owner.fill("/settings/brand", "/settings/brand/undo", url.Values{"version": {"1"}}).StatusCode)
		require.Equal(t, "Northwind Agency", client.get("/").doc().Find("header .brand").Text())
		require.Contains(t, owner.get("/settings/brand").main(), "A draft waits")
	})
}

func TestBrandsAreRefusedInWords(t *testing.T) {
	t.Parallel()
	p := sqlite(t)
	owner := p.as("owner")
	for words, send := range map[string]func() answer{
		"SVG files can carry programs":     func() answer { return owner.uploads(url.Values{}, "logo.png", []byte("<svg/>")) },
		"has more than 512":                func() answer { return owner.uploads(url.Values{}, "logo.png", make([]byte, 600<<10)) },
		"This is no PNG":                   func() answer { return owner.uploads(url.Values{}, "logo.png", []byte("MZ program")) },
		"# and six digits":                 func() answer { return owner.uploads(url.Values{"colour": {"red;}"}}, "", nil) },
		"would pass for the platform":      func() answer { return owner.uploads(url.Values{"name": {"Re-fill"}}, "", nil) },
		"Prove first that orbit.example":   func() answer { return owner.uploads(url.Values{"sender_address": {"a@orbit.example"}}, "", nil) },
		"address that begins with https:/": func() answer { return owner.uploads(url.Values{"support": {"http://x"}}, "", nil) },
	} {
		a := send()
		require.Equal(t, http.StatusUnprocessableEntity, a.StatusCode, words)
		require.Contains(t, a.main(), words)
		require.True(t, strings.HasPrefix(a.doc().Find("title").Text(), "Error: "))
	}
	require.Equal(t, http.StatusRequestEntityTooLarge, owner.uploads(url.Values{}, "logo.png", make([]byte, 3<<20)).StatusCode)
	for _, name := range []string{"ffd400.css", "..%2f..%2fgo.mod", "ffd400.00000000.css", "zzzzzz.12345678.css"} {
		require.Equal(t, http.StatusNotFound, p.visitor(clients).get("/brand/"+name).StatusCode, name)
	}
}
