package chart

import (
	"time"

	"refill/models"
)

// Widths of the drawing in CSS pixels.
const (
	minBar      = 6   // a narrower bar can be neither seen nor hit
	phoneWidth  = 360 // the narrowest common phone
	phoneChrome = 98  // page and card padding and the y axis, on a phone
	wideWidth   = 1280
	wideChrome  = 380 // the same with the side navigation
	navFrom     = 896 // 56rem: from here the navigation stands beside the page
)

// MaxBars is how many bars fit into a page of the given width in CSS pixels with
// each at least six wide, compared or not.
func MaxBars(widthPx int) int {
	chrome := phoneChrome
	if widthPx >= navFrom {
		chrome = wideChrome
	}
	return max(1, (widthPx-chrome)*compared/(slotWidth*minBar))
}

// Coarsen merges neighbouring buckets until at most limit are left: days into
// weeks, hours into 2, 3, 4, 6 or 12. Totals stay the same. It returns d itself
// when d already fits.
func Coarsen(d Data, limit int) Data {
	k := groupSize(d.Buckets, max(1, limit))
	if k == 1 {
		return d
	}
	out := d
	out.Buckets = nil
	for i := 0; i < len(d.Buckets); i += k {
		group := d.Buckets[i:min(i+k, len(d.Buckets))]
		b := Bucket{Start: group[0].Start, Label: group[0].Label, Tick: group[0].Tick}
		if last := group[len(group)-1]; len(group) > 1 {
			b.Label += " – " + last.Label
		}
		b.Ahead = group[0].Ahead
		for _, g := range group {
			b.Partial = b.Partial || g.Partial || g.Ahead != b.Ahead
		}
		out.Buckets = append(out.Buckets, b)
	}
	out.Series = make([]Series, len(d.Series))
	for i, s := range d.Series {
		out.Series[i] = Series{Name: s.Name, Slot: s.Slot, Values: merge(s.Values, k)}
	}
	if d.Previous != nil {
		out.Previous = merge(d.Previous, k)
	}
	if d.Max > 0 {
		out.Max = d.Max * models.Credits(k)
	}
	return out
}

// groupSize is how many buckets become one. It prefers spans people know.
func groupSize(buckets []Bucket, limit int) int {
	least := (len(buckets) + limit - 1) / limit
	if least <= 1 {
		return 1
	}
	known := []int{2, 3, 4, 6, 12, 24}
	if buckets[1].Start.Sub(buckets[0].Start) >= 20*time.Hour { // a day may have 23 hours
		known = []int{7, 14, 28}
	}
	if buckets[1].Start.Sub(buckets[0].Start) >= 6*24*time.Hour {
		known = []int{2, 4}
	}
	for _, k := range known {
		if k >= least {
			return k
		}
	}
	return least
}

func merge(values []models.Credits, k int) []models.Credits {
	out := make([]models.Credits, 0, len(values)/k+1)
	for i := 0; i < len(values); i += k {
		out = append(out, sum(values[i:min(i+k, len(values))]))
	}
	return out
}
