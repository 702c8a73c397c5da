package billing

import (
	"bytes"
	"encoding/json"
	"image"
	"image/color"
	"image/png"
	"net/netip"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"refill/billing/problem"
	"refill/models"
)

// FuzzCursor: an address that names a place in a list is read as one place, which
// is written as an address that is read as the same, or refused.
func FuzzCursor(f *testing.F) {
	f.Add(GroupRef{Start: 1, Wallet: models.NewID[models.WalletID](1), Action: "ai.reply", Model: "gpt-4"}.String())
	f.Add(encodeCursor(position{At: 5, Rank: 1, Seq: 9, ID: "x"}))
	for _, s := range []string{"", "e30", "bnVsbA", "W10", "eyJ0IjoxZTk5OX0", "eyJ0IjotMX0", "====", "e30=", "e3\n0", strings.Repeat("W1tb", 500)} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if g, err := ParseGroupRef(s); err == nil {
			again, err := ParseGroupRef(g.String())
			require.NoError(t, err)
			require.Equal(t, g, again)
		} else {
			require.True(t, problem.Is(err, "invalid_cursor"), "%v", err)
		}
		var p position
		if err := decodeCursor(s, &p); err == nil {
			var again position
			require.NoError(t, decodeCursor(encodeCursor(p), &again))
			require.Zero(t, p.compare(again))
		}
	})
}

// FuzzLogo: whatever is uploaded, what is kept is a small picture of our own making,
// in which nothing of the upload's bytes is left but how it looks.
func FuzzLogo(f *testing.F) {
	picture := image.NewNRGBA(image.Rect(0, 0, 200, 50))
	for x := range 200 {
		picture.Set(x, x/4, color.NRGBA{uint8(x), 200, 30, 255})
	}
	var plain bytes.Buffer
	require.NoError(f, png.Encode(&plain, picture))
	const program = "<script>alert(1)</script>"
	f.Add(plain.Bytes())
	f.Add(append(bytes.Clone(plain.Bytes()), program...))
	f.Add(plain.Bytes()[:40])
	for _, s := range []string{"", "GIF89a", "<svg/>", "\x89PNG\r\n\x1a\n", "\xff\xd8\xff", "RIFF\x00\x00\x00\x00WEBPVP8 ", "\x1f\x8b", "BM"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, upload []byte) {
		logo, err := newPicture(upload, asLogo)
		if err != nil {
			p := problem.Of(err)
			require.NotNil(t, p, "%v", err)
			require.Contains(t, []string{"logo_too_large", "logo_svg", "invalid_logo"}, p.Code)
			require.Nil(t, logo)
			return
		}
		require.LessOrEqual(t, len(upload), MaxLogo)
		config, format, err := image.DecodeConfig(bytes.NewReader(logo.PNG))
		require.NoError(t, err)
		require.Equal(t, "png", format)
		require.Equal(t, []int{logo.Width, logo.Height}, []int{config.Width, config.Height})
		require.LessOrEqual(t, config.Width, keptLogoX)
		require.LessOrEqual(t, config.Height, keptLogoY)
		require.Regexp(t, `^[a-z2-7]{20,}$`, logo.Name)
		require.NotContains(t, string(logo.PNG), program)
		require.True(t, bytes.HasSuffix(logo.PNG, []byte("IEND\xaeB`\x82")), "nothing follows the picture")
		again, err := newPicture(upload, asLogo)
		require.NoError(t, err)
		require.Equal(t, logo.PNG, again.PNG)
		require.NotEqual(t, logo.Name, again.Name)
	})
}

// FuzzBulkList: a pasted list is cut into lines of cells, and the cells written as
// CSV are the same cells.
func FuzzBulkList(f *testing.F) {
	for _, s := range []string{"acme,100\nmaple,5", "acme;1,5", "a\tb", "\"a\nb\",2", "\"", "a", "a,b,c", "\ufeffa,1", "=1+1,2", "a,\"x\"\"y\"", strings.Repeat(",", 1000)} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		lines, err := splitList(text)
		if err != nil {
			require.Empty(t, lines)
			return
		}
		require.LessOrEqual(t, len(lines), 1+strings.Count(text, "\n"))
		size := 0
		for _, line := range lines {
			require.GreaterOrEqual(t, len(line), 2)
			for _, cell := range line {
				size += len(cell)
			}
		}
		require.LessOrEqual(t, size, len(text))
	})
}

// FuzzDomain: a name that an agency may claim is a plain host name that leads to
// itself in every address, and never one of the platform's own.
func FuzzDomain(f *testing.F) {
	base, err := url.Parse("https://credits.example")
	require.NoError(f, err)
	s := &Service{base: *base, portalDomain: "credits.example"}
	for _, name := range []string{
		"credits.orbit.example", "CREDITS.EXAMPLE", "x.credits.example", "example", "127.0.0.1", "0x7f.1", "[::1]", "a..b", "-a.b", "a-.b", "xn--bcher-kva.example", "bücher.example", "a.b/c", "a.b:80", "a.b@c.d", "a.b\n", "a_b.c",
		"credits.example.", "credits.exampIe", "a.b?c", "localhost", "1.1", "2130706433",
	} {
		f.Add(name)
	}
	f.Fuzz(func(t *testing.T, typed string) {
		name, err := s.checkDomain(typed)
		if err != nil {
			require.Empty(t, name)
			return
		}
		u, err := url.Parse("https://" + name + "/x")
		require.NoError(t, err)
		require.Equal(t, name, u.Host)
		require.Empty(t, u.Port())
		require.Nil(t, u.User)
		require.Equal(t, strings.ToLower(name), name)
		require.LessOrEqual(t, len(name), 253)
		require.Contains(t, name, ".")
		_, err = netip.ParseAddr(name)
		require.Error(t, err)
		require.NotEqual(t, "credits.example", name)
		require.False(t, strings.HasSuffix(name, ".credits.example"))
		again, err := s.checkDomain(name)
		require.NoError(t, err)
		require.Equal(t, name, again)
	})
}

// FuzzSupport: the address for help that an agency gives is a mail address or a page,
// never a program.
func FuzzSupport(f *testing.F) {
	for _, s := range []string{"help@x.example", "mailto:help@x.example", "https://x.example/help", "javascript:alert(1)", "JaVaScRiPt:alert(1)", " https://x", "https://", "//x", "data:text/html,x", "https://a@b", "\x01javascript:alert(1)", "java\nscript:alert(1)"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, typed string) {
		if !isSupport(typed) {
			return
		}
		// What a browser does first: it takes blanks and control characters off.
		lead := strings.ToLower(strings.TrimLeftFunc(strings.NewReplacer("\t", "", "\n", "", "\r", "").Replace(typed), func(r rune) bool { return r <= ' ' }))
		scheme, _, _ := strings.Cut(lead, ":")
		if strings.Contains(lead, ":") && !strings.ContainsAny(scheme, "/@.") {
			require.Contains(t, []string{"https"}, scheme, typed)
		}
		require.NotContains(t, typed, "\x00")
		_, err := json.Marshal(typed)
		require.NoError(t, err)
	})
}
