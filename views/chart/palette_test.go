package chart_test

import (
	"fmt"
	"math"
	"regexp"
	"strconv"
	"testing"

	"refill/static"
)

// The palette must be told apart by everyone: the least difference (CIEDE2000)
// between any two of its colours, seen with normal, protan, deutan and tritan
// vision (Machado, Oliveira and Fernandes 2009, full severity), is 15, and every
// colour stands out 3:1 from the surface.
func TestPaletteIsToldApart(t *testing.T) {
	t.Parallel()
	light, dark := tokens(t)
	for theme, colours := range map[string]map[string]rgb{"light": light, "dark": dark} {
		t.Run(theme, func(t *testing.T) {
			t.Parallel()
			for i := 1; i <= 6; i++ {
				name := "c" + strconv.Itoa(i)
				if ratio := contrast(colours[name], colours["surface"]); ratio < 3 {
					t.Errorf("%s on surface: %.2f:1, want 3:1", name, ratio)
				}
				for j := i + 1; j <= 6; j++ {
					other := "c" + strconv.Itoa(j)
					for vision, matrix := range visions() {
						if d := difference(toLab(see(colours[name], matrix)), toLab(see(colours[other], matrix))); d < 15 {
							t.Errorf("%s and %s, %s vision: %.1f, want 15", name, other, vision, d)
						}
					}
				}
			}
		})
	}
}

// TestDifference holds the formula against published pairs (Sharma, Wu and Dalal
// 2005, table 1).
func TestDifference(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		a, b lab
		want float64
	}{
		{lab{50, 2.6772, -79.7751}, lab{50, 0, -82.7485}, 2.0425},
		{lab{50, -1, 2}, lab{50, 0, 0}, 2.3669},
		{lab{50, 2.5, 0}, lab{73, 25, -18}, 27.1492},
		{lab{60.2574, -34.0099, 36.2677}, lab{60.4626, -34.1751, 39.4387}, 1.2644},
		{lab{2.0776, 0.0795, -1.135}, lab{0.9033, -0.0636, -0.5514}, 0.9082},
	} {
		if got := difference(c.a, c.b); math.Abs(got-c.want) > 0.0001 {
			t.Errorf("%v and %v: %.4f, want %.4f", c.a, c.b, got, c.want)
		}
	}
}

type (
	rgb [3]float64 // linear light, 0 to 1
	lab [3]float64
)

// tokens reads the colours of both themes from the style sheet that is served.
func tokens(t *testing.T) (light, dark map[string]rgb) {
	t.Helper()
	css, _, _, ok := static.Open("app.css")
	if !ok {
		t.Fatal("no style sheet")
	}
	light, dark = map[string]rgb{}, map[string]rgb{}
	found := regexp.MustCompile(`--(c[1-6]|surface):\s*light-dark\((#[0-9A-Fa-f]{6}),\s*(#[0-9A-Fa-f]{6})\)`).FindAllSubmatch(css, -1)
	for _, m := range found {
		light[string(m[1])], dark[string(m[1])] = parse(t, string(m[2])), parse(t, string(m[3]))
	}
	if len(light) != 7 {
		t.Fatalf("%d colours in the style sheet, want six and the surface", len(light))
	}
	return light, dark
}

func parse(t *testing.T, hex string) (c rgb) {
	t.Helper()
	var v [3]uint8
	if _, err := fmt.Sscanf(hex, "#%02x%02x%02x", &v[0], &v[1], &v[2]); err != nil {
		t.Fatal(err)
	}
	for i := range v {
		x := float64(v[i]) / 255
		if x <= 0.04045 {
			c[i] = x / 12.92
		} else {
			c[i] = math.Pow((x+0.055)/1.055, 2.4)
		}
	}
	return c
}

func contrast(a, b rgb) float64 {
	luminance := func(c rgb) float64 { return 0.2126*c[0] + 0.7152*c[1] + 0.0722*c[2] }
	x, y := luminance(a), luminance(b)
	return (max(x, y) + 0.05) / (min(x, y) + 0.05)
}

func visions() map[string][3]rgb {
	return map[string][3]rgb{
		"normal": {{1, 0, 0}, {0, 1, 0}, {0, 0, 1}},
		"protan": {{0.152286, 1.052583, -0.204868}, {0.114503, 0.786281, 0.099216}, {-0.003882, -0.048116, 1.051998}},
		"deutan": {{0.367322, 0.860646, -0.227968}, {0.280085, 0.672501, 0.047413}, {-0.011820, 0.042940, 0.968881}},
		"tritan": {{1.255528, -0.076749, -0.178779}, {-0.078411, 0.930809, 0.147602}, {0.004733, 0.691367, 0.303900}},
	}
}

// see is a colour as a kind of vision receives it.
func see(c rgb, m [3]rgb) (out rgb) {
	for i, row := range m {
		out[i] = min(1, max(0, row[0]*c[0]+row[1]*c[1]+row[2]*c[2]))
	}
	return out
}

func toLab(c rgb) lab {
	f := func(v float64) float64 {
		if v > 0.008856 {
			return math.Cbrt(v)
		}
		return 7.787*v + 16.0/116
	}
	x := f((0.4124564*c[0] + 0.3575761*c[1] + 0.1804375*c[2]) / 0.95047)
	y := f(0.2126729*c[0] + 0.7151522*c[1] + 0.0721750*c[2])
	z := f((0.0193339*c[0] + 0.1191920*c[1] + 0.9503041*c[2]) / 1.08883)
	return lab{116*y - 16, 500 * (x - y), 200 * (y - z)}
}

// difference is CIEDE2000 with all weights one.
func difference(p, q lab) float64 {
	const turn = 2 * math.Pi
	rad := func(degrees float64) float64 { return degrees * math.Pi / 180 }
	pow7 := func(c float64) float64 { return math.Sqrt(math.Pow(c, 7) / (math.Pow(c, 7) + math.Pow(25, 7))) }
	hue := func(a, b float64) float64 { return math.Mod(math.Atan2(b, a)+turn, turn) }

	g := 0.5 * (1 - pow7((math.Hypot(p[1], p[2])+math.Hypot(q[1], q[2]))/2))
	a1, a2 := (1+g)*p[1], (1+g)*q[1]
	c1, c2 := math.Hypot(a1, p[2]), math.Hypot(a2, q[2])
	h1, h2 := hue(a1, p[2]), hue(a2, q[2])
	dh, mean := h2-h1, (h1+h2)/2
	switch {
	case c1*c2 == 0:
		dh, mean = 0, h1+h2
	case dh > math.Pi:
		dh -= turn
		mean += math.Pi
	case dh < -math.Pi:
		dh += turn
		mean += math.Pi
	}
	mean = math.Mod(mean, turn)
	dL, dC, dH := q[0]-p[0], c2-c1, 2*math.Sqrt(c1*c2)*math.Sin(dh/2)
	fromMiddle, c := (p[0]+q[0])/2-50, (c1+c2)/2
	l50 := fromMiddle * fromMiddle
	tone := 1 - 0.17*math.Cos(mean-rad(30)) + 0.24*math.Cos(2*mean) + 0.32*math.Cos(3*mean+rad(6)) - 0.20*math.Cos(4*mean-rad(63))
	sL, sC, sH := 1+0.015*l50/math.Sqrt(20+l50), 1+0.045*c, 1+0.015*c*tone
	turned := rad(30) * math.Exp(-math.Pow((mean-rad(275))/rad(25), 2))
	rT := -math.Sin(2*turned) * 2 * pow7(c)
	x, y, z := dL/sL, dC/sC, dH/sH
	return math.Sqrt(x*x + y*y + z*z + rT*y*z)
}
