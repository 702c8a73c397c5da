package chart

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"refill/models"
)

func bandOf(n int) Banded {
	b := Banded{Data: Data{ID: "b", Series: []Series{{Name: "Credits"}}}, Weeks: make([][]models.Credits, 3)}
	for i := range n {
		b.Buckets = append(b.Buckets, Bucket{Start: models.Time(i) * 3_600_000_000, Label: "bar"})
		b.Series[0].Values = append(b.Series[0].Values, models.Credits(i)*models.Credit)
		for week := range b.Weeks {
			b.Weeks[week] = append(b.Weeks[week], models.Credits(10+i*(week+1))*models.Credit)
		}
	}
	return b
}

// The range is the least and the most of the weeks, and merged bars have the
// range of their own sums.
func TestUsualIsTheRangeOfTheWeeks(t *testing.T) {
	t.Parallel()
	b := bandOf(48)
	least, most, known := b.Usual(4)
	require.True(t, known)
	require.Equal(t, 14*models.Credit, least)
	require.Equal(t, 22*models.Credit, most)
	_, _, known = Banded{Data: b.Data}.Usual(4)
	require.False(t, known)

	small := b.fitted(16)
	require.LessOrEqual(t, len(small.Buckets), 16)
	require.Equal(t, b.Total(), small.Total())
	k := 48 / len(small.Buckets)
	least, most, _ = small.Usual(0)
	var low, high models.Credits
	for i := range k {
		low, high = low+b.Weeks[0][i], high+b.Weeks[2][i]
	}
	require.Equal(t, low, least)
	require.Equal(t, high, most)
	_, top, _ := small.Usual(len(small.Buckets) - 1)
	require.Equal(t, top, small.Max, "the axis reaches the range")
	require.Same(t, &b.fitted(48).Buckets[0], &b.Buckets[0], "what fits stays as it is")
}

func TestTheBandIsClosedAndSaysHowManyBarsLeaveIt(t *testing.T) {
	t.Parallel()
	b := bandOf(4).fitted(4)
	require.True(t, strings.HasPrefix(b.path(), "M0 "))
	require.True(t, strings.HasSuffix(b.path(), "Z"))
	require.Equal(t, 8, strings.Count(b.path(), "H"), "there and back over every bar")
	require.Empty(t, Banded{Data: b.Data}.path())
	require.Contains(t, b.describe(), "0 bars above the usual range, 4 below it.")
	b.Series[0].Values[2] = 1_000 * models.Credit
	b.Buckets[3].Partial = true
	require.Contains(t, b.describe(), "1 bar above the usual range, 2 below it.")
}
