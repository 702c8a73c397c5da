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

	"github.com/PuerkitoBio/goquery"
	"github.com/stretchr/testify/require"

	"refill/billing"
	"refill/models"
	"refill/models/modelstest"
)

// aLogo is a picture that can be uploaded.
func aLogo(t testing.TB) []byte {
	t.Helper()
	return aPicture(t, 200, 50)
}

func aPicture(t testing.TB, w, h int) []byte {
	t.Helper()
	p := image.NewNRGBA(image.Rect(0, 0, w, h))
	for i := range p.Pix {
		p.Pix[i] = 120
	}
	p.Set(0, 0, color.Black)
	var out bytes.Buffer
	require.NoError(t, png.Encode(&out, p))
	return out.Bytes()
}

// uploads sends the brand's form with a logo.
func (b *browser) uploads(fields url.Values, name string, file []byte) answer {
	b.p.t.Helper()
	if file == nil {
		return b.brands(fields, "", nil)
	}
	return b.brands(fields, name, map[string][]byte{"logo": file})
}

// brands sends the brand's form with files of one name.
func (b *browser) brands(fields url.Values, name string, files map[string][]byte) answer {
	b.p.t.Helper()
	var body bytes.Buffer
	form := multipart.NewWriter(&body)
	require.NoError(b.p.t, form.WriteField("csrf_token", b.get("/settings/brand").token()))
	for k := range fields {
		require.NoError(b.p.t, form.WriteField(k, fields.Get(k)))
	}
	for field, file := range files {
		part, err := form.CreateFormFile(field, name)
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

		for _, shown := range []string{"balance", "buy", "low", "sign-in", "mail", "low-mail", "receipt"} {
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

// Each theme has its logo: the one that was chosen, or the one that the device asks
// for. Corners come from a sheet that the policy allows, links lead away without
// telling from where, and the tab has the icon.
func TestABrandsLooksAreOnEveryPage(t *testing.T) {
	t.Parallel()
	p := sqlite(t)
	owner, client := p.as("owner"), p.as("client")
	saved := owner.brands(url.Values{
		"corners": {"round"}, "link_label_2": {" Imprint "}, "link_url_2": {"https://orbit.example/imprint"}, "link_label_4": {"Terms <b>"}, "link_url_4": {"https://orbit.example/terms"},
	}, "a.png", map[string][]byte{"logo": aPicture(t, 200, 50), "logo_dark": aPicture(t, 300, 60), "icon": aPicture(t, 256, 256)})
	require.Equal(t, http.StatusSeeOther, saved.StatusCode, saved.body)
	form := owner.get("/settings/brand").doc()
	require.Equal(t, "Imprint", form.Find("#link_label_1").AttrOr("value", ""), "without gaps")
	require.Equal(t, "https://orbit.example/terms", form.Find("#link_url_2").AttrOr("value", ""))
	require.Equal(t, "round", form.Find("#corners [selected]").AttrOr("value", ""))
	require.Equal(t, 3, form.Find(".logo-now img").Length())
	require.Equal(t, http.StatusSeeOther, owner.fill("/settings/brand", "/settings/brand/publish", url.Values{}).StatusCode)
	require.Contains(t, owner.get("/settings/brand").main(), "a logo for each theme · an icon · round corners · 2 links")

	for _, path := range []string{"/", "/buy", "/nothing"} {
		page := client.get(path)
		doc := page.doc()
		dark := doc.Find("header .brand picture source[media='screen and (prefers-color-scheme: dark)']")
		require.Equal(t, "300", dark.AttrOr("width", ""), path)
		require.Equal(t, "200", doc.Find("header .brand picture img").AttrOr("width", ""))
		for _, src := range []string{dark.AttrOr("srcset", ""), doc.Find("header .brand img").AttrOr("src", ""), doc.Find("link[rel=icon]").AttrOr("href", "")} {
			require.Equal(t, "image/png", client.get(src).Header.Get("Content-Type"))
		}
		sheet := client.get(doc.Find("link[rel=stylesheet]").Last().AttrOr("href", ""))
		require.Equal(t, "@layer tokens{:root{--r-card:1.25rem;--r-ctl:1.375rem}}", sheet.body)
		require.Contains(t, page.Header.Get("Content-Security-Policy"), "style-src 'self'")
		links := doc.Find("footer a[href^='https://orbit.example/']")
		require.Equal(t, "ImprintTerms <b>", links.Text())
		require.Equal(t, []string{"noreferrer", "noreferrer"}, links.Map(func(_ int, a *goquery.Selection) string { return a.AttrOr("rel", "") }))
	}
	for theme, width := range map[string]string{"dark": "300", "light": "200"} {
		client.fill("/", "/theme", url.Values{"theme": {theme}, "return_to": {"/"}})
		logo := client.get("/").doc().Find("header .brand")
		require.Zero(t, logo.Find("source[media*=prefers]").Length(), "the theme was chosen, whatever the device asks for")
		if theme == "dark" {
			require.Equal(t, "200", logo.Find("source[media=print]").AttrOr("width", ""), "paper is white")
		}
		require.Equal(t, width, logo.Find("img").AttrOr("width", ""), theme)
	}
	require.Zero(t, owner.get("/").doc().Find("header .brand img, footer a[rel=noreferrer]").Length(), "the platform's pages stay its own")

	require.Equal(t, http.StatusSeeOther, owner.brands(url.Values{"no_logo": {"1"}, "corners": {"square"}, "colour": {"#FFD400"}}, "", nil).StatusCode)
	require.Equal(t, http.StatusSeeOther, owner.fill("/settings/brand", "/settings/brand/publish", url.Values{}).StatusCode)
	doc := client.get("/").doc()
	require.Zero(t, doc.Find("header .brand img").Length())
	require.Zero(t, doc.Find("footer a[rel=noreferrer]").Length())
	require.Equal(t, "image/png", doc.Find("link[rel=icon]").AttrOr("type", ""), "the icon stands without a logo")
	require.Contains(t, client.get(doc.Find("link[rel=stylesheet]").Last().AttrOr("href", "")).body, ";--r-card:0px;--r-ctl:0px}}")
}

// Mails are shown as they would come, in the draft's name and about nobody.
func TestMailsAreShownInTheBrand(t *testing.T) {
	t.Parallel()
	p := sqlite(t)
	owner := p.as("owner")
	require.Equal(t, http.StatusSeeOther, owner.uploads(url.Values{"name": {"Orbit Credits"}, "support": {"help@orbit.example"}}, "", nil).StatusCode)
	for shown, words := range map[string][]string{
		"low-mail": {"You have less than 2,000 credits left", "You have 1,204 credits left.", "Buy credits", "an account at Orbit Credits"},
		"receipt":  {"10,000 credits added", "Your payment of $60.00 has arrived", "See the receipt", "help@orbit.example"},
	} {
		page := owner.get("/settings/brand/preview/" + shown)
		for _, w := range words {
			require.Contains(t, page.main(), w)
		}
		require.NotContains(t, page.body, "Refill")
	}
}

// A page is looked at in each theme and on each screen, and each choice keeps the
// others; where few credits are left, its figures are those of the mail about it.
func TestPagesAreShownOnEachScreen(t *testing.T) {
	t.Parallel()
	modelstest.Each(t, func(t *testing.T, db *models.DB) {
		p := newPortal(t, db)
		owner := p.as("owner")
		page := owner.get("/settings/brand")
		frame := page.doc().Find("iframe.look")
		require.Equal(t, "/settings/brand/preview/balance?theme=light", frame.AttrOr("src", ""))
		require.True(t, frame.HasClass("desktop"))
		require.Equal(t, "Balance Light Desktop", current(page))

		for _, label := range []string{"Low balance", "Dark", "Phone"} {
			page = owner.get(page.doc().Find(".looks a").FilterFunction(func(_ int, a *goquery.Selection) bool { return a.Text() == label }).AttrOr("href", ""))
		}
		require.Equal(t, "Low balance Dark Phone", current(page))
		frame = page.doc().Find("iframe.look")
		require.True(t, frame.HasClass("phone"))
		require.Equal(t, "Preview: Low balance, dark", frame.AttrOr("title", ""))
		require.Equal(t, "Balance Light Desktop", current(owner.get("/settings/brand?show=x&theme=y&screen=z")))

		low := owner.get(frame.AttrOr("src", ""))
		require.Equal(t, "1,204", low.doc().Find("[data-balance]").Text())
		require.Contains(t, low.doc().Find("[aria-label=Notices], .notices").Text(), "Low balance.")
		require.Contains(t, low.main(), "in 3 days")
		balance := func() string {
			return owner.get("/settings/brand/preview/balance").doc().Find("[data-balance]").Text()
		}
		require.Equal(t, "0", balance())
		birch, err := p.billing.CreateSubAccount(t.Context(), billing.Scope{}, billing.SubAccountInput{Agency: p.northwind.ID, ExternalID: "birch", Name: "Birch", Funding: models.Prepaid, By: "test"})
		require.NoError(t, err)
		_, err = p.billing.Assign(t.Context(), billing.Scope{}, billing.TransferInput{Agency: p.northwind.ID, SubAccount: birch.ID, Credits: 400 * models.Credit, Key: "birch", By: "test"})
		require.NoError(t, err)
		require.Equal(t, "400", balance(), "who has credits is shown before who has none")
		require.NoError(t, p.billing.ChangeSubAccount(t.Context(), billing.Scope{}, billing.SubAccountChange{
			Agency: p.northwind.ID, SubAccount: p.acme.ID, Name: p.acme.Name, Funding: models.Pooled, PoolEvery: models.PoolCycle, By: "test",
		}))
		_, err = p.billing.ArchiveSubAccount(t.Context(), billing.Scope{}, billing.ArchiveInput{Agency: p.northwind.ID, SubAccount: birch.ID, By: "test"})
		require.NoError(t, err)
		require.Equal(t, "1,204", owner.get(frame.AttrOr("src", "")).doc().Find("[data-balance]").Text(), "though no client has credits of its own")
		for _, wrong := range []string{"none", "Low", "low-mail/"} {
			require.Equal(t, http.StatusNotFound, owner.get("/settings/brand/preview/"+wrong).StatusCode, wrong)
		}
	})
}

// current is what is chosen of the preview.
func current(a answer) string {
	return strings.Join(a.doc().Find(".looks [aria-current]").Map(func(_ int, a *goquery.Selection) string { return a.Text() }), " ")
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
		"Link 1 needs a name, and an address that begins with https://": func() answer {
			return owner.uploads(url.Values{"link_label_3": {"Imprint"}, "link_url_3": {"http://orbit.example"}}, "", nil)
		},
		"soft, square or round":            func() answer { return owner.uploads(url.Values{"corners": {"oval"}}, "", nil) },
		"Choose a logo too":                func() answer { return owner.brands(nil, "a.png", map[string][]byte{"logo_dark": aLogo(t)}) },
		"An icon is as wide as it is high": func() answer { return owner.brands(nil, "a.png", map[string][]byte{"icon": aLogo(t)}) },
		"SVG files": func() answer {
			return owner.brands(nil, "a.png", map[string][]byte{"logo": aLogo(t), "logo_dark": []byte("<svg/>")})
		},
	} {
		a := send()
		require.Equal(t, http.StatusUnprocessableEntity, a.StatusCode, words)
		require.Contains(t, a.main(), words)
		require.True(t, strings.HasPrefix(a.doc().Find("title").Text(), "Error: "))
	}
	require.Equal(t, http.StatusRequestEntityTooLarge, owner.uploads(url.Values{}, "logo.png", make([]byte, 3<<20)).StatusCode)
	for _, name := range []string{"usual.css", "ffd400-oval.943ff1ea.css", "ffd400.css", "..%2f..%2fgo.mod", "ffd400.00000000.css", "zzzzzz.12345678.css"} {
		require.Equal(t, http.StatusNotFound, p.visitor(clients).get("/brand/"+name).StatusCode, name)
	}
}
