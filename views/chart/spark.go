package chart

import (
	"strings"

	"refill/models"
)

// sparkPath is a polyline through the values, sparkStep apart, on a scale from
// zero to their peak.
func sparkPath(values []models.Credits) string {
	var peak models.Credits = 1
	for _, v := range values {
		peak = max(peak, v)
	}
	s := scale{top: peak, steps: 1}
	var b strings.Builder
	for i, v := range values {
		if i == 0 {
			b.WriteString(move(0, full-s.height(v)))
			continue
		}
		b.WriteString(line(i*slotWidth, full-s.height(v)))
	}
	return b.String()
}

// miniBars are a small chart's bars on a shared scale.
func miniBars(values []models.Credits, s scale) []rect {
	var bars []rect
	for i, v := range values {
		if h := s.height(v); v > 0 {
			h = max(minShown, h)
			bars = append(bars, rect{X: i*slotWidth + (slotWidth-barWidth)/2, Y: full - h, W: barWidth, H: h})
		}
	}
	return bars
}

// sharedScale covers the highest value of all small charts.
func sharedScale(minis []Mini) scale {
	var peak models.Credits
	for _, m := range minis {
		for _, v := range m.Values {
			peak = max(peak, v)
		}
	}
	return niceScale(peak)
}
