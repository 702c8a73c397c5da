package models

import (
	"fmt"
	"math"
	"strconv"
)

// Colour is an opaque colour of sRGB, 0xRRGGBB.
type Colour uint32

// ParseColour reads "#rrggbb", in either case.
func ParseColour(s string) (Colour, error) {
	if len(s) != 7 || s[0] != '#' {
		return 0, fmt.Errorf("%q is not a colour like #2448c8", s)
	}
	n, err := strconv.ParseUint(s[1:], 16, 24)
	if err != nil {
		return 0, fmt.Errorf("%q is not a colour like #2448c8", s)
	}
	return Colour(n), nil
}

// String is "#rrggbb" in lower case.
func (c Colour) String() string { return fmt.Sprintf("#%06x", uint32(c)) }

func (c Colour) channels() (out [3]float64) {
	for i, shift := range []uint{16, 8, 0} {
		out[i] = float64(c>>shift&0xff) / 255
	}
	return out
}

// linear undoes the curve that sRGB stores light in.
func (c Colour) linear() (out [3]float64) {
	for i, v := range c.channels() {
		if v <= 0.04045 {
			out[i] = v / 12.92
		} else {
			out[i] = math.Pow((v+0.055)/1.055, 2.4)
		}
	}
	return out
}

// Luminance is the relative luminance of WCAG 2, from 0 to 1.
func (c Colour) Luminance() float64 {
	l := c.linear()
	return 0.2126*l[0] + 0.7152*l[1] + 0.0722*l[2]
}

// Contrast is the contrast ratio of WCAG 2, from 1 to 21.
func (c Colour) Contrast(other Colour) float64 {
	a, b := c.Luminance(), other.Luminance()
	return (max(a, b) + 0.05) / (min(a, b) + 0.05)
}

// What text and parts of a page must reach against what they stand on.
const (
	TextContrast = 4.5
	PartContrast = 3
)

// The colours of a page that a brand's have to stand on.
const (
	white  Colour = 0xffffff
	black  Colour = 0x000000
	nearly Colour = 0x0e1217 // the dark ink of buttons
)

// Shades is a brand colour as one theme can use it.
type Shades struct {
	Surface Colour // of cards: what most of it stands on
	Solid   Colour // of buttons: the brand's own colour, never changed
	On      Colour // of the words on it: white, or dark, whichever can be read
	Hover   Colour // of a button under the pointer
	Link    Colour // the brand's hue, as light or dark as it takes to be read on every background
	Edge    Colour // of what must be seen by the colour alone: Solid, or Link where Solid is too pale
}

// Shades derives what the light or the dark theme needs from a brand's colour.
// Whatever the colour: words on it and links in it reach TextContrast, and edges
// PartContrast.
func (c Colour) Shades(dark bool) Shades {
	backs := [3]Colour{0xffffff, 0xf6f7f9, 0xeef1f4} // surface, canvas, sunken, as in the style sheet
	if dark {
		backs = [3]Colour{0x161c24, 0x0e1217, 0x1e2630}
	}
	out := Shades{Surface: backs[0], Solid: c, On: white}
	switch {
	case white.Contrast(c) >= TextContrast:
	case nearly.Contrast(c) >= TextContrast:
		out.On = nearly
	case black.Contrast(c) > white.Contrast(c):
		out.On = black
	}
	lightness, chroma, hue := c.oklch()
	away := 0.05
	if out.On == white {
		away = -away
	}
	out.Hover = fromOKLCH(lightness+away, chroma, hue)
	if out.Hover == c || out.On.Contrast(out.Hover) < TextContrast {
		out.Hover = c // white and black have nowhere to go
	}
	out.Link = c
	step := -0.01
	if dark {
		step, chroma = -step, chroma*0.9
	}
	for l, n := lightness, 0; n < 100 && !readable(out.Link, backs); n++ {
		l += step
		out.Link = fromOKLCH(l, chroma, hue)
	}
	if out.Edge = c; c.Contrast(out.Surface) < PartContrast {
		out.Edge = out.Link
	}
	return out
}

func readable(c Colour, backs [3]Colour) bool {
	for _, b := range backs {
		if c.Contrast(b) < TextContrast {
			return false
		}
	}
	return true
}

// oklch gives lightness 0 to 1, chroma, and hue in degrees: steps of lightness
// look even, and the hue stays.
func (c Colour) oklch() (lightness, chroma, hue float64) {
	v := c.linear()
	l := math.Cbrt(0.4122214708*v[0] + 0.5363325363*v[1] + 0.0514459929*v[2])
	m := math.Cbrt(0.2119034982*v[0] + 0.6806995451*v[1] + 0.1073969566*v[2])
	s := math.Cbrt(0.0883024619*v[0] + 0.2817188376*v[1] + 0.6299787005*v[2])
	a := 1.9779984951*l - 2.4285922050*m + 0.4505937099*s
	b := 0.0259040371*l + 0.7827717662*m - 0.8086757660*s
	return 0.2104542553*l + 0.7936177850*m - 0.0040720468*s, math.Hypot(a, b), math.Atan2(b, a) * 180 / math.Pi
}

// fromOKLCH gives the colour, with as much of its chroma as a screen can show.
func fromOKLCH(lightness, chroma, hue float64) Colour {
	lightness = min(1, max(0, lightness))
	for {
		rgb, shown := screen(lightness, chroma, hue)
		if shown || chroma <= 0.001 {
			var out Colour
			for _, v := range rgb {
				out = out<<8 | Colour(math.Round(min(1, max(0, v))*255))
			}
			return out
		}
		chroma -= 0.004
	}
}

func screen(lightness, chroma, hue float64) (rgb [3]float64, shown bool) {
	const slack = 0.0005
	a, b := chroma*math.Cos(hue*math.Pi/180), chroma*math.Sin(hue*math.Pi/180)
	l, m, s := lightness+0.3963377774*a+0.2158037573*b, lightness-0.1055613458*a-0.0638541728*b, lightness-0.0894841775*a-1.2914855480*b
	l, m, s = l*l*l, m*m*m, s*s*s
	rgb = [3]float64{
		4.0767416621*l - 3.3077115913*m + 0.2309699292*s,
		-1.2684380046*l + 2.6097574011*m - 0.3413193965*s,
		-0.0041960863*l - 0.7034186147*m + 1.7076147010*s,
	}
	shown = true
	for i, v := range rgb {
		switch {
		case v <= 0.0031308:
			rgb[i] = 12.92 * v
		default:
			rgb[i] = 1.055*math.Pow(v, 1/2.4) - 0.055
		}
		shown = shown && rgb[i] >= -slack && rgb[i] <= 1+slack
	}
	return rgb, shown
}
