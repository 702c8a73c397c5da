package chart

import (
	"math"

	"refill/models"
)

// scale is a y axis: from zero to top in steps of equal size.
type scale struct {
	top   models.Credits
	steps int
}

// niceScale finds the lowest top that covers peak with three or four steps of
// 1, 2, 2.5 or 5 times a power of ten. Steps are whole or half credits unless
// the peak is below three.
func niceScale(peak models.Credits) scale {
	if peak <= 0 {
		return scale{top: 4 * models.Credit, steps: 4}
	}
	best := scale{top: math.MaxInt64, steps: 4}
	for tenth := models.Credit / 1000; tenth <= models.MaxBalance/10; tenth *= 10 {
		for _, tenths := range []models.Credits{10, 20, 25, 50} {
			step := tenth * tenths
			if peak >= 3*models.Credit && step%(models.Credit/2) != 0 {
				continue
			}
			for _, n := range []int{4, 3} {
				if step > math.MaxInt64/models.Credits(n) {
					continue
				}
				if top := step * models.Credits(n); top >= peak && top < best.top {
					best = scale{top: top, steps: n}
				}
			}
		}
	}
	return best
}

// NiceMax is the top of the y axis for a highest value.
func NiceMax(peak models.Credits) models.Credits { return niceScale(peak).top }

// height is v in units of the drawing, 0 to full.
func (s scale) height(v models.Credits) int {
	if v <= 0 {
		return 0
	}
	h, err := models.MulDiv(int64(min(v, s.top)), full, int64(s.top))
	if err != nil {
		return full
	}
	return int(h)
}

// ticks are the values of the gridlines, top first, zero last.
func (s scale) ticks() []models.Credits {
	ticks := make([]models.Credits, 0, s.steps+1)
	for i := s.steps; i >= 0; i-- {
		ticks = append(ticks, s.top/models.Credits(s.steps)*models.Credits(i))
	}
	return ticks
}
