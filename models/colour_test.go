package models_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"refill/models"
)

// X5: whatever colour an agency has, what is derived from it can be read, in both
// themes, and its own colour stays on its buttons.
func TestEveryColourCanBeRead(t *testing.T) {
	t.Parallel()
	edges := 0
	for r := models.Colour(0); r < 256; r += 15 {
		for g := models.Colour(0); g < 256; g += 15 {
			for b := models.Colour(0); b < 256; b += 15 {
				c := r<<16 | g<<8 | b
				for i, backs := range [][]models.Colour{{0xf6f7f9, 0xffffff, 0xeef1f4}, {0x0e1217, 0x161c24, 0x1e2630}} {
					s := c.Shades(i == 1)
					require.Equal(t, c, s.Solid)
					require.GreaterOrEqual(t, s.On.Contrast(s.Solid), 4.5, "words on %s", c)
					require.GreaterOrEqual(t, s.On.Contrast(s.Hover), 4.5, "words on %s under the pointer", c)
					require.GreaterOrEqual(t, s.Edge.Contrast(s.Surface), 3.0, "edge of %s", c)
					for _, back := range backs {
						require.GreaterOrEqual(t, s.Link.Contrast(back), 4.5, "links of %s on %s", c, back)
					}
					if s.Edge != s.Solid {
						edges++
					}
				}
			}
		}
	}
	require.Equal(t, 4061, edges, "as many as the reference says need an edge")
}

func TestColours(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]models.Colour{"#2448c8": 0x2448c8, "#FFD400": 0xffd400, "#000000": 0} {
		got, err := models.ParseColour(text)
		require.NoError(t, err)
		require.Equal(t, want, got)
	}
	for _, text := range []string{"", "2448c8", "#fff", "#2448c81", "#2448cg", "red", "#+448c8", "#2448c8;", "url(x)", "# 448c8", "#2448C8\n"} {
		_, err := models.ParseColour(text)
		require.Error(t, err, text)
	}
	yellow := models.Colour(0xffd400)
	require.Equal(t, "#0e1217", yellow.Shades(false).On.String(), "dark words on yellow")
	require.Equal(t, "#816a01", yellow.Shades(false).Link.String(), "as the reference derives it")
	require.Equal(t, "#dc090c", models.Colour(0xff3b30).Shades(false).Link.String())
	require.Equal(t, "#8e8e8e", models.Colour(0x111111).Shades(true).Link.String())
}
