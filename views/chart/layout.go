package chart

import (
	"strconv"
	"strings"

	"refill/models"
)

// Units of the drawing. A bucket is slotWidth wide and the plot full high; the
// browser stretches both to the space there is.
const (
	full      = 1000
	slotWidth = 20
	barWidth  = 16
	compared  = 15 // a bar's width in front of the previous period's
	outline   = 19 // that one's
	manyBars  = 7  // fewer than this are drawn narrower
	minWide   = 3
	minShown  = 8 // a bar that is not zero is at least this high, about 2 px
	minGapped = 10
	hatchRows = 16
)

// rect is a rectangle in units of the drawing.
type rect struct{ X, Y, W, H int }

// segment is one name's part of a bar.
type segment struct {
	rect
	Slot int
}

// bar is one bucket's drawing.
type bar struct {
	Title    string
	Segments []segment // from the base up
	Previous rect      // hollow; no height: not drawn
	Hatch    rect      // covers an incomplete bar; no height: not drawn
}

// tick is a label under the axis; most buckets have none.
type tick struct {
	Text  string
	Minor bool // only where there is room
}

// plot is a stacked chart laid out.
type plot struct {
	Width int
	Bars  []bar
	Grid  string // path of the gridlines
	Gaps  string // path of the lines that part segments
	Y     []string
	X     []tick
}

// layout places a chart's bars.
func layout(d Data) plot {
	totals := d.Totals()
	peak := d.Max
	for i := range totals {
		peak = max(peak, barHeight(d.Series, i), at(d.Previous, i))
	}
	s := niceScale(peak)
	p := plot{Width: slotWidth * max(1, len(d.Buckets)), X: ticksFor(d.Buckets)}
	p.Grid, p.Y = gridlines(s, p.Width, d.compact)

	w := widthsFor(len(d.Buckets), d.Previous != nil)
	var gaps strings.Builder
	for i := range d.Buckets {
		b := bar{Title: barTitle(d, i, totals[i])}
		x := i*slotWidth + w.inset
		b.Segments = stack(d.Series, i, s, x, w.bar)
		writeGaps(&gaps, b.Segments)
		if h := s.height(at(d.Previous, i)); h > 0 {
			b.Previous = rect{X: i*slotWidth + w.outlineInset, Y: full - h, W: w.outline, H: h}
		}
		if d.Buckets[i].Partial && len(b.Segments) > 0 {
			top := b.Segments[len(b.Segments)-1].Y
			b.Hatch = rect{X: x, Y: top, W: w.bar, H: full - top}
		}
		p.Bars = append(p.Bars, b)
	}
	p.Gaps = gaps.String()
	return p
}

// widths are where a bar and the hollow one behind it stand in their slot.
type widths struct{ inset, bar, outlineInset, outline int }

// widthsFor keeps a handful of bars from filling the page like walls.
func widthsFor(bars int, compare bool) widths {
	share := func(units int) int { return max(minWide, units*min(bars, manyBars)/manyBars) }
	w := widths{bar: share(barWidth)}
	if compare { // the hollow bar stands out on both sides
		w.bar, w.outline = share(compared), share(outline)
	}
	w.inset = (slotWidth - w.bar + 1) / 2
	w.outlineInset = w.inset - (w.outline-w.bar)/2
	return w
}

// barHeight is how high a bucket's bar is: its total, without what is negative.
func barHeight(series []Series, i int) (out models.Credits) {
	for _, one := range series {
		out = plus(out, max(0, at(one.Values, i)))
	}
	return out
}

// stack cuts a bar into its segments by cumulative difference, so that their
// heights add up to the bar's.
func stack(series []Series, i int, s scale, x, width int) []segment {
	total := barHeight(series, i)
	if total == 0 {
		return nil
	}
	high := max(minShown, s.height(total))
	var segments []segment
	var below models.Credits
	base := full
	for _, one := range series {
		below = plus(below, max(0, at(one.Values, i)))
		cut, err := models.MulDiv(int64(high), int64(below), int64(total))
		if err != nil {
			cut = int64(high)
		}
		y := full - int(cut)
		if y < base {
			segments = append(segments, segment{rect: rect{X: x, Y: y, W: width, H: base - y}, Slot: one.Slot})
			base = y
		}
	}
	return segments
}

// writeGaps draws a line of the surface's colour between segments that are both
// high enough to lose a pixel.
func writeGaps(out *strings.Builder, segments []segment) {
	for i := 1; i < len(segments); i++ {
		under, over := segments[i-1], segments[i]
		if under.H >= minGapped && over.H >= minGapped {
			out.WriteString(move(under.X, under.Y))
			out.WriteString("h" + strconv.Itoa(under.W))
		}
	}
}

// gridlines gives the path of the horizontal lines and their labels, top first.
func gridlines(s scale, width int, words func(models.Credits) string) (path string, labels []string) {
	var b strings.Builder
	for i, v := range s.ticks() {
		b.WriteString(move(0, full*i/s.steps))
		b.WriteString("h" + strconv.Itoa(width))
		labels = append(labels, words(v))
	}
	return b.String(), labels
}

// ticksFor labels every n-th bucket so that about seven labels stand under a
// wide chart and half of them under a narrow one. Days are labelled by week.
func ticksFor(buckets []Bucket) []tick {
	every := 1
	for _, n := range []int{1, 2, 3, 4, 6, 7, 12, 14, 24, 28} {
		every = n
		if (len(buckets)+n-1)/n <= 7 {
			break
		}
	}
	for (len(buckets)+every-1)/every > 7 {
		every *= 2
	}
	ticks := make([]tick, len(buckets))
	for i := 0; i < len(buckets); i += every {
		if i > 0 && (len(buckets)-i)*4 < every*2 { // too near the end to fit
			break
		}
		ticks[i] = tick{Text: buckets[i].Tick, Minor: i/every%2 == 1}
	}
	return ticks
}

// move starts a path at a point.
func move(x, y int) string { return "M" + strconv.Itoa(x) + " " + strconv.Itoa(y) }

// line goes on to a point.
func line(x, y int) string { return "L" + strconv.Itoa(x) + " " + strconv.Itoa(y) }

// hatchCols is how many stripes lie side by side over a drawing. The drawing is
// stretched, so the tile is sized by it and not by the bar: on screen the
// stripes keep about the same slope however many bars there are.
func hatchCols(width int) int { return min(50, max(1, width/4)) }

// hatchPath is one tile of the pattern: a stripe from corner to corner, half as
// wide as the tile.
func hatchPath(w, h int) string {
	return move(0, h) + line(w, 0) + "h-" + strconv.Itoa(w/2) + line(0, h/2) + "z" +
		move(w, h/2) + "v" + strconv.Itoa(h-h/2) + "h-" + strconv.Itoa(w/2) + "z"
}
