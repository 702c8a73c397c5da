package billing

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"image"
	"image/color"
	"image/jpeg"
	"image/png"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"refill/billing/problem"
	"refill/models"
	"refill/models/modelstest"
)

// picture is an upload of a size, of one colour.
func picture(t testing.TB, w, h int, c color.Color) []byte {
	t.Helper()
	p := image.NewNRGBA(image.Rect(0, 0, w, h))
	for y := range h {
		for x := range w {
			p.Set(x, y, c)
		}
	}
	var out bytes.Buffer
	require.NoError(t, png.Encode(&out, p))
	return out.Bytes()
}

func (p *post) agencyNow() *models.Agency {
	p.t.Helper()
	a, err := p.s.Agency(p.t.Context(), p.agency.ID)
	require.NoError(p.t, err)
	return &a
}

func (p *post) shown() models.Brand {
	p.t.Helper()
	b, err := p.s.BrandOf(p.t.Context(), p.agencyNow())
	require.NoError(p.t, err)
	return b
}

// A draft is nobody's business until it is published, and what was published comes
// back by undoing, as often as one likes.
func TestABrandIsDraftedPublishedAndUndone(t *testing.T) {
	t.Parallel()
	modelstest.Each(t, func(t *testing.T, db *models.DB) {
		p := newPost(t, db)
		ctx, scope := t.Context(), Scope{Agency: p.agency.ID}
		save := func(name, colour string) {
			t.Helper()
			require.NoError(t, p.s.SaveBrandDraft(ctx, scope, BrandInput{Agency: p.agency.ID, Name: name, Colour: colour, By: "user:olive"}))
		}
		require.Equal(t, p.agency.Name, p.shown().Name)
		save(" Orbit  Credits ", "FFD400")
		save("Orbit", "#FFD400") // the draft is one
		require.Equal(t, p.agency.Name, p.shown().Name, "a draft is not shown")
		require.NoError(t, p.s.PublishBrand(ctx, scope, p.agency.ID, "user:olive"))
		require.Equal(t, "Orbit", p.shown().Name)
		require.Equal(t, "#ffd400", p.shown().Colour)
		err := p.s.PublishBrand(ctx, scope, p.agency.ID, "user:olive")
		require.True(t, problem.Is(err, "no_draft"), "published twice: %v", err)

		save("Comet", "")
		require.NoError(t, p.s.PublishBrand(ctx, scope, p.agency.ID, "user:olive"))
		require.Equal(t, "Comet", p.shown().Name)
		require.Empty(t, p.shown().Colour)
		require.NoError(t, p.s.UndoBrand(ctx, scope, p.agency.ID, 2, "user:olive"))
		require.Equal(t, "Orbit", p.shown().Name)
		require.True(t, problem.Is(p.s.UndoBrand(ctx, scope, p.agency.ID, 2, "user:olive"), "brand_changed"), "sent twice")
		desk, err := p.s.BrandDesk(ctx, p.agencyNow())
		require.NoError(t, err)
		require.Equal(t, "Comet", desk.Draft.Name, "what was taken down can be worked on")
		require.Len(t, desk.Versions, 3)
		require.NoError(t, p.s.DiscardBrandDraft(ctx, scope, p.agency.ID, "user:olive"))
		require.NoError(t, p.s.UndoBrand(ctx, scope, p.agency.ID, 3, "user:olive"))
		require.Equal(t, "Comet", p.shown().Name, "undone once more")

		// The first one leads back to none.
		fresh, err := p.s.CreateAgency(ctx, AgencyInput{ExternalID: "fresh", Name: "Fresh", By: "test"})
		require.NoError(t, err)
		require.NoError(t, p.s.SaveBrandDraft(ctx, Scope{}, BrandInput{Agency: fresh.ID, Name: "Peach"}))
		require.NoError(t, p.s.PublishBrand(ctx, Scope{}, fresh.ID, "t"))
		require.NoError(t, p.s.UndoBrand(ctx, Scope{}, fresh.ID, 1, "t"))
		again, err := p.s.Agency(ctx, fresh.ID)
		require.NoError(t, err)
		b, err := p.s.BrandOf(ctx, &again)
		require.NoError(t, err)
		require.Equal(t, "Fresh", b.Name)
		for _, err := range []error{
			p.s.SaveBrandDraft(ctx, scope, BrandInput{Agency: fresh.ID}), p.s.PublishBrand(ctx, scope, fresh.ID, "t"),
			p.s.UndoBrand(ctx, scope, fresh.ID, 1, "t"), p.s.DiscardBrandDraft(ctx, scope, fresh.ID, "t"),
		} {
			require.True(t, problem.Is(err, "not_found"), "another agency's")
		}
	})
}

func TestBrandsThatCannotBe(t *testing.T) {
	t.Parallel()
	p := newPost(t, modelstest.OpenSQLite(t))
	for code, in := range map[string]BrandInput{
		"invalid_brand_name":       {Name: "Orbit\u202eoverride"},
		"reserved_name":            {SenderName: "R e-f_I.l l support"},
		"invalid_colour":           {Colour: "#ffd400;}body{display:none"},
		"invalid_support":          {Support: "javascript:alert(1)"},
		"invalid_sender_address":   {SenderAddress: "a@b.test\r\nBcc: x@y.test"},
		"sender_domain_unverified": {SenderAddress: "hello@bank.example"},
		"logo_svg":                 {Logo: []byte(`<?xml version="1.0"?><svg onload="alert(1)"/>`)},
		"invalid_logo":             {Logo: []byte("GIF89a…")},
		"logo_dark_alone":          {LogoDark: picture(t, 200, 50, color.White)},
		"icon_not_square":          {Icon: picture(t, 200, 50, color.White)},
		"invalid_corners":          {Corners: "oval;"},
		"invalid_links":            {Links: []models.BrandLink{{Label: "Imprint", URL: "javascript:alert(1)"}}},
		"logo_too_large":           {Logo: bytes.Repeat([]byte{0}, MaxLogo+1)},
	} {
		in.Agency = p.agency.ID
		err := p.s.SaveBrandDraft(t.Context(), Scope{}, in)
		require.ErrorContains(t, err, code)
	}
	require.Error(t, p.s.SaveBrandDraft(t.Context(), Scope{}, BrandInput{Agency: p.agency.ID, Name: strings.Repeat("x", 61)}))
	const page = "https://orbit.example/imprint"
	for _, links := range [][]models.BrandLink{
		{{URL: page}},
		{{Label: "Imprint"}},
		{{Label: "Imprint", URL: "http://orbit.example"}},
		{{Label: "Imprint", URL: "//orbit.example"}},
		{{Label: "Imprint", URL: "https://me:secret@orbit.example"}},
		{{Label: "Imprint", URL: page + strings.Repeat("x", 254)}},
		{{Label: "Imprint", URL: page + "\xff"}},
		{{Label: strings.Repeat("x", MaxBrandName+1), URL: page}},
		{{Label: "Imprint\u202e", URL: page}},
		{{Label: "Refill terms", URL: page}},
		slices.Repeat([]models.BrandLink{{Label: "Imprint", URL: page}}, MaxBrandLinks+1),
	} {
		wrong := problem.Of(p.s.SaveBrandDraft(t.Context(), Scope{}, BrandInput{Agency: p.agency.ID, Links: links}))
		require.NotNil(t, wrong, "%v", links)
		require.Equal(t, "links", wrong.Field, "%v", links)
	}
	// Every picture goes through the same gate, and says at its own field what is wrong.
	bomb := picture(t, 128, 128, color.White)
	copy(bomb[16:], []byte{0, 1, 0, 0, 0, 1, 0, 0})
	binary.BigEndian.PutUint32(bomb[29:], crc32.ChecksumIEEE(bomb[12:29]))
	for code, file := range map[string][]byte{"logo_svg": []byte("<svg/>"), "invalid_logo": picture(t, 100, 100, color.White), "logo_too_large": bomb} {
		for field, in := range map[string]BrandInput{"logo_dark": {Logo: picture(t, 200, 50, color.Black), LogoDark: file}, "icon": {Icon: file}} {
			in.Agency = p.agency.ID
			wrong := problem.Of(p.s.SaveBrandDraft(t.Context(), Scope{}, in))
			require.NotNil(t, wrong, field)
			require.Equal(t, []string{code, field}, []string{wrong.Code, wrong.Field})
		}
	}
	desk, err := p.s.BrandDesk(t.Context(), p.agencyNow())
	require.NoError(t, err)
	require.Nil(t, desk.Draft, "nothing of it was kept")
}

// What is kept of an upload is pixels: whatever hides in the file is gone.
func TestLogosAreMadeAnew(t *testing.T) {
	t.Parallel()
	ink := color.NRGBA{30, 60, 120, 255}
	var photo bytes.Buffer
	require.NoError(t, jpeg.Encode(&photo, image.NewGray(image.Rect(0, 0, 2000, 500)), nil))
	// EXIF stands in a segment behind the start of the file.
	tagged := append([]byte{0xff, 0xd8, 0xff, 0xe1, 0, 22}, append([]byte("Exif\x00\x00secret-place-XY"), photo.Bytes()[1:]...)...)
	tagged = append(tagged[:4+22], photo.Bytes()[2:]...)
	for name, upload := range map[string][]byte{
		"png":      picture(t, 300, 100, ink),
		"polyglot": append(picture(t, 300, 100, ink), "<script>alert('secret-place-XY')</script>PK\x03\x04"...),
		"exif":     tagged,
	} {
		logo, err := newPicture(upload, asLogo)
		require.NoError(t, err, name)
		require.NotContains(t, string(logo.PNG), "secret", name)
		require.NotContains(t, string(logo.PNG), "<script", name)
		made, format, err := image.DecodeConfig(bytes.NewReader(logo.PNG))
		require.NoError(t, err)
		require.Equal(t, "png", format)
		require.Equal(t, []int{made.Width, made.Height}, []int{logo.Width, logo.Height})
		require.LessOrEqual(t, made.Width, keptLogoX)
		require.LessOrEqual(t, made.Height, keptLogoY)
		require.Len(t, logo.Name, 26)
	}
	// A file that says it is huge is refused by its head: nothing is unpacked.
	bomb := picture(t, 128, 128, ink)
	copy(bomb[16:], []byte{0, 1, 0, 0, 0, 1, 0, 0})
	binary.BigEndian.PutUint32(bomb[29:], crc32.ChecksumIEEE(bomb[12:29])) // of the head as it is now
	_, err := newPicture(bomb, asLogo)
	require.ErrorContains(t, err, "65536 × 65536")
	_, err = newPicture(picture(t, 4097, 20, ink), asLogo)
	require.ErrorContains(t, err, "4097 × 20")
	_, err = newPicture(picture(t, 100, 100, ink), asLogo)
	require.ErrorContains(t, err, "too small")
	_, err = newPicture(picture(t, 300, 100, ink)[:200], asLogo)
	require.ErrorContains(t, err, "damaged")

	white, err := newPicture(picture(t, 200, 50, color.White), asLogo)
	require.NoError(t, err)
	require.True(t, white.PaleLight)
	require.False(t, white.PaleDark)
	dark, err := newPicture(picture(t, 200, 50, color.NRGBA{20, 26, 34, 255}), asLogo)
	require.NoError(t, err)
	require.True(t, dark.PaleDark)
	require.False(t, dark.PaleLight)
}

// Pictures that no version shows are not kept.
func TestUnusedLogosGo(t *testing.T) {
	t.Parallel()
	modelstest.Each(t, func(t *testing.T, db *models.DB) {
		p := newPost(t, db)
		ctx := t.Context()
		count := func() (n int64) {
			require.NoError(t, db.Read.Model(&models.Logo{}).Count(&n).Error)
			return n
		}
		for range 3 {
			require.NoError(t, p.s.SaveBrandDraft(ctx, Scope{}, BrandInput{Agency: p.agency.ID, Logo: picture(t, 200, 50, color.Black)}))
			require.EqualValues(t, 1, count())
		}
		require.NoError(t, p.s.PublishBrand(ctx, Scope{}, p.agency.ID, "t"))
		shown := p.shown()
		require.Equal(t, []int{200, 50}, []int{shown.LogoWidth, shown.LogoHeight})
		require.NoError(t, p.s.SaveBrandDraft(ctx, Scope{}, BrandInput{Agency: p.agency.ID, NoLogo: true}))
		require.EqualValues(t, 1, count(), "clients still see it")
		require.NoError(t, p.s.PublishBrand(ctx, Scope{}, p.agency.ID, "t"))
		require.EqualValues(t, 1, count(), "undoing would show it")
		_, err := p.s.Logo(ctx, p.agency.ID, shown.Logo)
		require.NoError(t, err)
		other, err := p.s.CreateAgency(ctx, AgencyInput{ExternalID: "other", Name: "Other", By: "t"})
		require.NoError(t, err)
		_, err = p.s.Logo(ctx, other.ID, shown.Logo)
		require.True(t, problem.Is(err, "not_found"))
	})
}

// What a version looks like is published and undone with it, and no picture is lost
// that a version shows.
func TestLooksArePublishedAndUndone(t *testing.T) {
	t.Parallel()
	modelstest.Each(t, func(t *testing.T, db *models.DB) {
		p := newPost(t, db)
		ctx, id := t.Context(), p.agency.ID
		looks := func(b *models.Brand) models.Brand {
			out := *b
			out.Version, out.CreatedAt = 0, 0
			return out
		}
		save := func(in BrandInput) {
			t.Helper()
			in.Agency, in.By = id, "user:olive"
			require.NoError(t, p.s.SaveBrandDraft(ctx, Scope{}, in))
		}
		publish := func() models.Brand {
			t.Helper()
			require.NoError(t, p.s.PublishBrand(ctx, Scope{}, id, "user:olive"))
			b := p.shown()
			return looks(&b)
		}
		pictures := func() (names []string) {
			require.NoError(t, db.Read.Model(&models.Logo{}).Order("name").Pluck("name", &names).Error)
			return names
		}
		// The longest links there can be fit in, however they are written down.
		links := slices.Repeat([]models.BrandLink{{Label: strings.Repeat("&", MaxBrandName), URL: "https://" + strings.Repeat("&", 246)}}, MaxBrandLinks)
		save(BrandInput{
			Name: "Orbit", Logo: picture(t, 200, 50, color.Black), LogoDark: picture(t, 300, 60, color.White), Icon: picture(t, 300, 300, color.Black),
			Corners: models.CornersRound, Links: links,
		})
		desk, err := p.s.BrandDesk(ctx, p.agencyNow())
		require.NoError(t, err)
		require.Equal(t, []int{200, 50, 300, 60, 180, 180}, []int{desk.Logo.Width, desk.Logo.Height, desk.LogoDark.Width, desk.LogoDark.Height, desk.Icon.Width, desk.Icon.Height})
		require.True(t, desk.LogoDark.PaleLight)
		require.False(t, desk.LogoDark.PaleDark)
		first := publish()
		require.Equal(t, []int{300, 60}, []int{first.LogoDarkWidth, first.LogoDarkHeight})
		require.Equal(t, models.CornersRound, first.Corners)
		require.Equal(t, models.BrandLinks(links), first.Links)
		want := []string{first.Logo, first.LogoDark, first.Icon}
		slices.Sort(want)
		require.Equal(t, want, pictures())

		save(BrandInput{Name: "Orbit", LogoDark: picture(t, 200, 50, color.White)})
		require.Len(t, pictures(), 4)
		save(BrandInput{Name: "Orbit", NoLogoDark: true})
		require.Equal(t, want, pictures(), "the draft's own went, what clients see stays")
		save(BrandInput{Name: "Orbit", NoLogo: true, NoIcon: true, Corners: models.CornersSquare})
		second := publish()
		require.Empty(t, second.Logo+second.LogoDark+second.Icon, "the logo of dark pages goes with the logo")
		require.Zero(t, second.LogoDarkWidth+second.LogoDarkHeight)
		require.Equal(t, models.CornersSquare, second.Corners)
		require.Empty(t, second.Links)
		require.Equal(t, want, pictures(), "undoing would show them")
		require.NoError(t, p.s.UndoBrand(ctx, Scope{}, id, 2, "user:olive"))
		shown := p.shown()
		require.Equal(t, first, looks(&shown))
		require.NoError(t, p.s.DiscardBrandDraft(ctx, Scope{}, id, "user:olive"))
		for _, name := range want {
			_, err := p.s.Logo(ctx, id, name)
			require.NoError(t, err)
		}
		for range brandsKept { // until nobody can go back to them
			save(BrandInput{Name: "Orbit", NoLogo: true, NoIcon: true})
			publish()
		}
		require.Empty(t, pictures())
	})
}

// A client's mails bear the brand: its name, its sender, and its button.
func TestMailsBearTheBrand(t *testing.T) {
	t.Parallel()
	p := newPost(t, modelstest.OpenSQLite(t))
	ctx := t.Context()
	sub, err := p.s.CreateSubAccount(ctx, Scope{}, SubAccountInput{Agency: p.agency.ID, ExternalID: "acme", Name: "Acme", By: "t"})
	require.NoError(t, err)
	require.NoError(t, p.s.SaveBrandDraft(ctx, Scope{}, BrandInput{Agency: p.agency.ID, Name: "Orbit", Colour: "#ffd400", SenderName: "Orbit Billing"}))
	require.NoError(t, p.s.PublishBrand(ctx, Scope{}, p.agency.ID, "t"))
	ana := p.person("ana@acme.test", "")
	require.NoError(t, p.s.AddMember(ctx, MemberInput{Agency: p.agency.ID, User: ana.ID, Role: models.RoleClient, SubAccount: sub.ID, By: "t"}))
	require.NoError(t, p.s.RequestSignInLink(ctx, "ana@acme.test", p.agency.ID, "10.0.0.1"))
	require.NoError(t, p.s.SendMails(ctx))
	require.Len(t, p.tray.got, 1)
	m := p.tray.got[0]
	require.Equal(t, "Orbit Billing", m.FromName)
	require.Equal(t, "Sign in to Orbit", m.Subject)
	require.Contains(t, m.HTML, "background:#ffd400;color:#0e1217")
	require.NotContains(t, m.Text+m.HTML+m.Subject, "Refill")
}
