package chart

import (
	"strings"

	"refill/models"
	"refill/views/format"
)

// curve is a cumulative chart laid out.
type curve struct {
	Width     int
	Line      string // running total
	Projected string // from the last point to the end
	Previous  string
	Sold      string
	PlanY     int // height of the plan's line; -1: none
	Hits      []hit
	Grid      string
	Y         []string
	X         []tick
}

// hit is the area over one bucket that answers to the pointer.
type hit struct {
	rect
	Title string
}

// Total is the running total so far.
func (r Running) Total() models.Credits { return sum(r.Values) }

func (r Running) layout() curve {
	peak := max(r.Total(), r.Plan, r.Projected, sum(r.Previous), sum(r.Sold))
	s := niceScale(peak)
	c := curve{Width: slotWidth * max(1, len(r.Buckets)), X: ticksFor(r.Buckets), PlanY: -1}
	c.Grid, c.Y = gridlines(s, c.Width, format.Compact)
	if r.Plan > 0 {
		c.PlanY = full - s.height(r.Plan)
	}
	values := r.Values[:min(len(r.Values), len(r.Buckets))]
	c.Line = runningPath(values, s)
	c.Previous = runningPath(r.Previous[:min(len(r.Previous), len(r.Buckets))], s)
	c.Sold = steppedPath(r.Sold[:min(len(r.Sold), len(r.Buckets))], s)
	if r.Projected > 0 && len(values) > 0 && len(values) < len(r.Buckets) {
		c.Projected = move(len(values)*slotWidth, full-s.height(r.Total())) + line(c.Width, full-s.height(r.Projected))
	}
	var total, sold models.Credits
	for i, v := range values {
		total = plus(total, v)
		title := labelOf(r.Buckets[i]) + ": " + format.Credits(total) + " so far, " + format.Credits(v) + " of it here"
		if r.Sold != nil {
			sold = plus(sold, at(r.Sold, i))
			title += "\nSold: " + format.Credits(sold) + " so far"
		}
		c.Hits = append(c.Hits, hit{
			rect:  rect{X: i * slotWidth, W: slotWidth, H: full},
			Title: title,
		})
	}
	return c
}

// runningPath is the line of the running total, from zero at the left edge to
// each bucket's end.
func runningPath(values []models.Credits, s scale) string {
	if len(values) == 0 {
		return ""
	}
	var b strings.Builder
	b.WriteString(move(0, full))
	var total models.Credits
	for i, v := range values {
		total = plus(total, v)
		b.WriteString(line((i+1)*slotWidth, full-s.height(total)))
	}
	return b.String()
}

// steppedPath is the line of a running total that rises at each bucket's start:
// what is sold is there at once.
func steppedPath(values []models.Credits, s scale) string {
	if len(values) == 0 {
		return ""
	}
	var b strings.Builder
	b.WriteString(move(0, full))
	var total models.Credits
	for i, v := range values {
		total = plus(total, v)
		b.WriteString(line(i*slotWidth, full-s.height(total)))
		b.WriteString(line((i+1)*slotWidth, full-s.height(total)))
	}
	return b.String()
}
