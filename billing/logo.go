package billing

import (
	"bytes"
	"context"
	"crypto/rand"
	"image"
	"image/color"
	_ "image/jpeg" // an upload may be one
	"image/png"
	"runtime/debug"
	"strings"

	"golang.org/x/image/draw"
	_ "golang.org/x/image/webp" // an upload may be one

	"refill/billing/problem"
	"refill/models"
)

// Limits of an uploaded logo. What is kept is smaller: it stands in a header.
const (
	MaxLogo     = 512 << 10 // bytes of the upload
	maxLogoEdge = 4096      // pixels
	maxLogoArea = 16 << 20  // pixels
	maxUnpacked = 160 << 20 // bytes that the pixels take while they are read
	bigUnpacked = 8 << 20   // bytes that are worth giving back at once
	minLogoEdge = 16        // pixels of the shorter edge
	minLogoLong = 128       // pixels of the longer edge
	keptLogoX   = 640       // pixels
	keptLogoY   = 160       // pixels
	keptIcon    = 180       // pixels
)

// pictureUse is what an uploaded picture is for: the field that it comes in.
type pictureUse string

const (
	asLogo     pictureUse = "logo"
	asDarkLogo pictureUse = "logo_dark"
	asIcon     pictureUse = "icon"
)

// kept is the most pixels of each edge that are kept.
func (u pictureUse) kept() (x, y int) {
	if u == asIcon {
		return keptIcon, keptIcon
	}
	return keptLogoX, keptLogoY
}

// makePicture is newPicture, one at a time: a few hundred kilobytes can unpack to more
// than the whole program takes otherwise, and several at once to more than there is.
func (s *Service) makePicture(ctx context.Context, upload []byte, use pictureUse) (*models.Logo, error) {
	select {
	case s.unpacking <- struct{}{}:
		defer func() { <-s.unpacking }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	config, format, err := image.DecodeConfig(bytes.NewReader(upload))
	if err == nil && unpacked(upload, &config, format) > bigUnpacked {
		defer debug.FreeOSMemory() // else the next one comes on top of what this one left
	}
	return newPicture(upload, use)
}

// unpacked is about how many bytes a picture's pixels take while they are read.
func unpacked(upload []byte, config *image.Config, format string) int64 {
	size := int64(4)
	switch config.ColorModel {
	case color.NRGBA64Model, color.RGBA64Model:
		size = 8
	}
	// A progressive JPEG is read in several passes over coefficients of four bytes, of
	// each of three colours or four. The mark may stand elsewhere by chance.
	if format == "jpeg" && bytes.Contains(upload, []byte{0xff, 0xc2}) {
		size = 4 * (1 + 4)
	}
	return size * int64(config.Width) * int64(config.Height)
}

// newPicture makes our own picture of an uploaded one: decoded within limits, made
// as small as its use needs, and written anew, so that nothing but pixels is
// left. Errors: logo_too_large, logo_svg, invalid_logo, icon_not_square.
func newPicture(upload []byte, use pictureUse) (*models.Logo, error) {
	badLogo := func(code, format string, args ...any) error {
		return problem.New(problem.Invalid, code, format, args...).On(string(use))
	}
	if len(upload) > MaxLogo {
		return nil, badLogo("logo_too_large", "The file has more than 512 KB. Save it smaller, then try again.")
	}
	if isSVG(upload) {
		return nil, badLogo("logo_svg", "SVG files can carry programs, so they are not taken. Save the picture as PNG, at least 128 pixels wide.")
	}
	config, format, err := image.DecodeConfig(bytes.NewReader(upload))
	if err != nil || format != "png" && format != "jpeg" && format != "webp" {
		return nil, badLogo("invalid_logo", "This is no PNG, JPEG or WebP picture. Save it as one of these, then try again.")
	}
	w, h := config.Width, config.Height
	switch {
	case w > maxLogoEdge || h > maxLogoEdge || w*h > maxLogoArea:
		return nil, badLogo("logo_too_large", "The picture is %d × %d pixels; 4096 × 4096 are the most. Save it smaller, then try again.", w, h)
	case unpacked(upload, &config, format) > maxUnpacked:
		return nil, badLogo("logo_too_large", "The picture takes too much memory to read. Save it with fewer pixels, then try again.")
	case max(w, h) < minLogoLong || min(w, h) < minLogoEdge:
		return nil, badLogo("invalid_logo", "The picture is %d × %d pixels: too small to stay sharp. Use one that is at least 128 pixels wide.", w, h)
	case use == asIcon && w != h:
		return nil, badLogo("icon_not_square", "The picture is %d × %d pixels. An icon is as wide as it is high.", w, h)
	}
	picture, _, err := image.Decode(bytes.NewReader(upload))
	if err != nil {
		return nil, badLogo("invalid_logo", "The picture is damaged. Save it again as PNG, then try again.")
	}
	kept := shrink(picture, use)
	var out bytes.Buffer
	if err := png.Encode(&out, kept); err != nil {
		return nil, err
	}
	bounds := kept.Bounds()
	return &models.Logo{
		Name: strings.ToLower(rand.Text()), PNG: out.Bytes(), Width: bounds.Dx(), Height: bounds.Dy(),
		PaleLight: pale(kept, 0xffffff), PaleDark: pale(kept, 0x161c24),
	}, nil
}

// isSVG tells drawings in XML, which the picture readers would only call unknown.
func isSVG(b []byte) bool {
	head := bytes.ToLower(bytes.TrimSpace(bytes.TrimPrefix(b[:min(len(b), 1024)], []byte("\xef\xbb\xbf"))))
	return bytes.HasPrefix(head, []byte("<?xml")) || bytes.HasPrefix(head, []byte("<svg")) || bytes.HasPrefix(head, []byte("<!")) && bytes.Contains(head, []byte("svg")) ||
		bytes.HasPrefix(head, []byte{0x1f, 0x8b}) // svgz
}

// shrink draws a picture no larger than is kept.
func shrink(p image.Image, use pictureUse) *image.NRGBA {
	w, h := p.Bounds().Dx(), p.Bounds().Dy()
	x, y := use.kept()
	scale := min(1, float64(x)/float64(w), float64(y)/float64(h))
	out := image.NewNRGBA(image.Rect(0, 0, max(1, int(float64(w)*scale+0.5)), max(1, int(float64(h)*scale+0.5))))
	draw.CatmullRom.Scale(out, out.Bounds(), p, p.Bounds(), draw.Src, nil)
	return out
}

// pale tells whether nearly all that is drawn is hard to see on a surface.
func pale(p *image.NRGBA, surface models.Colour) bool {
	seen, drawn := 0, 0
	for y := p.Rect.Min.Y; y < p.Rect.Max.Y; y++ {
		for x := p.Rect.Min.X; x < p.Rect.Max.X; x++ {
			c := p.NRGBAAt(x, y)
			if c.A < 64 {
				continue
			}
			drawn++
			if over(c, surface).Contrast(surface) >= 1.6 {
				seen++
			}
		}
	}
	return seen*20 < drawn || drawn == 0
}

// over is a colour as it looks in front of a surface.
func over(c color.NRGBA, surface models.Colour) models.Colour {
	mix := func(front uint8, shift uint) models.Colour {
		back := uint32(surface>>shift) & 0xff
		return models.Colour((uint32(front)*uint32(c.A)+back*(255-uint32(c.A)))/255) << shift
	}
	return mix(c.R, 16) | mix(c.G, 8) | mix(c.B, 0)
}
