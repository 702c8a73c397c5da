package story

import (
	"math"
	"regexp"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"refill/static"
)

// token reads one colour of the sheet: --ink: light-dark(#17202B, #EAEFF5).
var token = regexp.MustCompile(`--([\w-]+): ?light-dark\(#([0-9A-Fa-f]{6}), ?#([0-9A-Fa-f]{6})\)`)

// luminance is the relative luminance of WCAG 2.
func luminance(t *testing.T, hex string) float64 {
	t.Helper()
	rgb, err := strconv.ParseUint(hex, 16, 32)
	require.NoError(t, err)
	channel := func(shift uint) float64 {
		c := float64(rgb>>shift&0xff) / 255
		if c <= 0.04045 {
			return c / 12.92
		}
		return math.Pow((c+0.055)/1.055, 2.4)
	}
	return 0.2126*channel(16) + 0.7152*channel(8) + 0.0722*channel(0)
}

// X4: every pair of colours that meets on a page reaches its contrast, in both themes.
func TestContrast(t *testing.T) {
	t.Parallel()
	css, _, _, ok := static.Open("app.css")
	require.True(t, ok)
	themes := [2]map[string]string{{}, {}}
	for _, m := range token.FindAllStringSubmatch(string(css), -1) {
		themes[0][m[1]], themes[1][m[1]] = m[2], m[3]
	}
	type pair struct {
		front, back string
		least       float64
	}
	var pairs []pair
	for _, back := range []string{"canvas", "surface", "sunken"} {
		pairs = append(pairs, pair{"ink", back, 7}, pair{"ink2", back, 4.5}, pair{"ink3", back, 4.5}, pair{"link", back, 4.5}, pair{"focus", back, 3}, pair{"line-strong", back, 3})
	}
	pairs = append(pairs, pair{"on-brand", "brand", 4.5}, pair{"brand", "surface", 3}, pair{"on-bad", "bad", 4.5}, pair{"bad", "surface", 3}, pair{"bad", "bad-bg", 3})
	for _, tone := range []string{"ok", "warn", "bad", "info"} {
		pairs = append(pairs, pair{tone + "-ink", tone + "-bg", 4.5}, pair{tone + "-ink", "surface", 4.5})
	}
	for _, series := range []string{"c1", "c2", "c3", "c4", "c5", "c6"} {
		pairs = append(pairs, pair{series, "surface", 3})
	}
	for _, part := range []string{"plan", "bought", "assigned", "bonus"} {
		pairs = append(pairs, pair{"meter-" + part, "meter-track", 3}, pair{"meter-" + part, "surface", 3})
	}
	for i, name := range []string{"light", "dark"} {
		for _, p := range pairs {
			require.Contains(t, themes[i], p.front)
			require.Contains(t, themes[i], p.back)
			a, b := luminance(t, themes[i][p.front]), luminance(t, themes[i][p.back])
			ratio := (max(a, b) + 0.05) / (min(a, b) + 0.05)
			require.GreaterOrEqual(t, ratio, p.least, "%s: %s on %s is %.2f", name, p.front, p.back, ratio)
		}
	}
}
