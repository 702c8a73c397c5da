package chart

import (
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"refill/models"
)

// anyData draws a chart of up to 400 buckets and seven series, with values from
// nothing to most, and some below zero.
func anyData(t *rapid.T, most models.Credits) Data {
	amount := rapid.OneOf(
		rapid.Int64Range(0, 5_000*int64(models.Credit)),
		rapid.Int64Range(-int64(models.Credit), int64(most)),
		rapid.Just(int64(0)), rapid.Just(int64(1)),
	)
	n := rapid.IntRange(0, 400).Draw(t, "buckets")
	d := Data{ID: "c"}
	begun := rapid.IntRange(0, n).Draw(t, "begun")
	for i := range n {
		start := models.At(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC).Add(time.Duration(i) * 24 * time.Hour))
		d.Buckets = append(d.Buckets, Bucket{Start: start, Label: "L", Tick: "T", Partial: i == begun-1, Ahead: i >= begun})
	}
	for range rapid.IntRange(0, 7).Draw(t, "series") {
		s := Series{Name: rapid.StringMatching(`[a-z<>"&]{1,9}`).Draw(t, "name"), Slot: rapid.IntRange(-1, 9).Draw(t, "slot")}
		for range begun {
			s.Values = append(s.Values, models.Credits(amount.Draw(t, "value")))
		}
		d.Series = append(d.Series, s)
	}
	if rapid.Bool().Draw(t, "compared") {
		d.Previous = make([]models.Credits, n)
		for i := range d.Previous {
			d.Previous[i] = models.Credits(amount.Draw(t, "previous"))
		}
	}
	return d
}

func TestSegmentsAddUpToTheirBar(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		d := anyData(t, models.MaxBalance)
		p := layout(d)
		if len(p.Bars) != len(d.Buckets) || len(p.X) != len(d.Buckets) {
			t.Fatalf("%d bars and %d ticks for %d buckets", len(p.Bars), len(p.X), len(d.Buckets))
		}
		for i, b := range p.Bars {
			height, base := 0, full
			for _, s := range b.Segments {
				if s.H <= 0 || s.Y+s.H != base || s.Y < 0 || s.X < i*slotWidth || s.X+s.W > (i+1)*slotWidth {
					t.Fatalf("bar %d: segment %+v does not stand on %d", i, s.rect, base)
				}
				height += s.H
				base = s.Y
			}
			used := false
			for _, s := range d.Series {
				used = used || at(s.Values, i) > 0
			}
			if used && height < minShown {
				t.Fatalf("bar %d is used but %d high", i, height)
			}
			if !used && height > 0 {
				t.Fatalf("bar %d is not used but %d high", i, height)
			}
			if b.Hatch.H > 0 && b.Hatch.H != height {
				t.Fatalf("bar %d: hatched %d of %d", i, b.Hatch.H, height)
			}
			if o := b.Previous; o.H > 0 && (o.X < i*slotWidth || o.X+o.W > (i+1)*slotWidth) {
				t.Fatalf("bar %d: the hollow bar leaves its place: %+v", i, o)
			}
		}
	})
}

func TestALargerValueIsNeverDrawnLower(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		peak := models.Credits(rapid.Int64Range(0, int64(models.MaxBalance)*9).Draw(t, "peak"))
		s := niceScale(peak)
		if s.top < peak || (s.steps != 3 && s.steps != 4) {
			t.Fatalf("top %d in %d steps for %d", s.top, s.steps, peak)
		}
		if peak >= models.Credit && peak <= models.MaxBalance && s.top > peak*5/2 {
			t.Fatalf("top %d leaves %d in the lower half", s.top, peak)
		}
		a := models.Credits(rapid.Int64Range(0, int64(s.top)).Draw(t, "a"))
		b := models.Credits(rapid.Int64Range(0, int64(s.top)).Draw(t, "b"))
		if (a < b) && s.height(a) > s.height(b) || s.height(s.top) != full || s.height(0) != 0 {
			t.Fatalf("%d is %d high, %d is %d high", a, s.height(a), b, s.height(b))
		}
		ticks := s.ticks()
		if ticks[len(ticks)-1] != 0 || ticks[0] > s.top {
			t.Fatalf("ticks %v", ticks)
		}
	})
}

func TestNiceScaleReadsWell(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		peak, top string
		steps     int
	}{
		{"0", "4", 4},
		{"0.5", "0.6", 3},
		{"1", "1", 4},
		{"3", "3", 3},
		{"4", "4", 4},
		{"7", "7.5", 3},
		{"9", "10", 4},
		{"4594", "6000", 3},
		{"3917", "4000", 4},
		{"9048", "10000", 4},
		{"100000", "100000", 4},
	} {
		peak, err := models.ParseCredits(c.peak)
		if err != nil {
			t.Fatal(err)
		}
		if s := niceScale(peak); s.top.String() != c.top || s.steps != c.steps {
			t.Errorf("%s: top %s in %d steps, want %s in %d", c.peak, s.top, s.steps, c.top, c.steps)
		}
	}
}

func TestCoarsenKeepsEveryCredit(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		d := anyData(t, models.MaxBalance/4096)
		limit := rapid.IntRange(1, 120).Draw(t, "limit")
		got := Coarsen(d, limit)
		if len(got.Buckets) > limit && len(got.Buckets) > 1 {
			t.Fatalf("%d bars, at most %d fit", len(got.Buckets), limit)
		}
		if got.Total() != d.Total() || sum(got.Previous) != sum(d.Previous) || len(got.Series) != len(d.Series) {
			t.Fatalf("total %s became %s", d.Total(), got.Total())
		}
	})
}

func TestBarsOnAPhoneAreSixPixelsWide(t *testing.T) {
	t.Parallel()
	for _, width := range []int{320, 360, 412, 768, 1280, 1920} {
		n := MaxBars(width)
		chrome := phoneChrome
		if width >= navFrom {
			chrome = wideChrome
		}
		w := widthsFor(n, true)
		if px := float64(width-chrome) / float64(n) * float64(w.bar) / slotWidth; px < minBar {
			t.Errorf("%d px: %d bars are %.2f px wide", width, n, px)
		}
	}
	if MaxBars(phoneWidth) < 31 {
		t.Errorf("a month of days must fit on a phone, %d do", MaxBars(phoneWidth))
	}
}

func TestSpansPeopleKnow(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ buckets, hours, limit, want int }{
		{90, 24, 32, 13}, {48, 1, 32, 24}, {53, 168, 32, 27}, {31, 24, 32, 31}, {366, 24, 120, 53}, {168, 1, 32, 28},
	} {
		var d Data
		for i := range c.buckets {
			d.Buckets = append(d.Buckets, Bucket{Start: models.Time(int64(i*c.hours) * 3_600_000_000)})
		}
		if got := len(Coarsen(d, c.limit).Buckets); got != c.want {
			t.Errorf("%d of %d h: %d bars, want %d", c.buckets, c.hours, got, c.want)
		}
	}
}

func TestRunningTotalNeverFalls(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		d := anyData(t, models.MaxBalance/4096)
		r := Running{
			ID: "r", Buckets: d.Buckets, Values: d.Totals(), Previous: d.Previous,
			Plan:      models.Credits(rapid.Int64Range(0, int64(models.MaxBalance)).Draw(t, "plan")),
			Projected: models.Credits(rapid.Int64Range(0, int64(models.MaxBalance)).Draw(t, "projected")),
		}
		c := r.layout()
		for _, path := range []string{c.Line, c.Projected, c.Previous, c.Grid} {
			if strings.Contains(path, "NaN") || strings.Contains(path, "--") {
				t.Fatalf("path %q", path)
			}
		}
		if len(c.Hits) != len(d.Buckets) || c.PlanY > full {
			t.Fatalf("%d places for %d buckets, plan at %d", len(c.Hits), len(d.Buckets), c.PlanY)
		}
	})
}

func TestTopFoldsTheRest(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		d := anyData(t, models.MaxBalance/4096)
		folded := Top(d.Series, 3, func(int) string { return "Other" })
		if len(d.Series) > 3 && (len(folded) != 4 || folded[3].Slot != SlotOther) {
			t.Fatalf("%d series became %d", len(d.Series), len(folded))
		}
		for i := 1; i < min(3, len(folded)); i++ {
			if folded[i-1].Total() < folded[i].Total() {
				t.Fatalf("%d is before the larger %d", folded[i-1].Total(), folded[i].Total())
			}
		}
		if got := (Data{Buckets: d.Buckets, Series: folded}).Total(); got != d.Total() {
			t.Fatalf("total %s became %s", d.Total(), got)
		}
	})
}
