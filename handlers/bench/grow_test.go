package bench

import (
	"bytes"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestGrowthIsJudged(t *testing.T) {
	t.Parallel()
	rows := func(page, charges, start float64) []GrowRow {
		return []GrowRow{
			{Name: "Overview, idle", Value: page, Unit: "ms p95", Target: 25, Most: growthPages, Rising: true},
			{Name: rowCharges, Value: charges, Unit: "a second", Most: growthCharges},
			{Name: rowStart, Value: start, Unit: "ms", Target: 300},
		}
	}
	small := GrowReport{Entries: 100_000, Rows: rows(10, 1000, 200)}
	small.judge(nil)
	file := filepath.Join(t.TempDir(), "bench", "growth.json")
	require.NoError(t, small.write(file))
	before, err := readGrowReport(file)
	require.NoError(t, err)
	require.Equal(t, &small, before)

	for _, c := range []struct {
		page, charges, start float64
		met, kept            [2]bool
	}{
		{13, 850, 300, [2]bool{true, true}, [2]bool{true, true}},
		{26, 849, 301, [2]bool{false, false}, [2]bool{false, false}},
	} {
		large := GrowReport{Entries: 1_000_000, Rows: rows(c.page, c.charges, c.start)}
		large.judge(before)
		got := large.Rows
		met, kept := [2]bool{*got[0].Met, *got[2].Met}, [2]bool{*got[0].Kept, *got[1].Kept}
		require.Equal(t, c.met, met)
		require.Equal(t, c.kept, kept)
		require.Nil(t, large.Rows[1].Met, "it has no target of its own")
		require.Nil(t, large.Rows[2].Kept, "and this may not grow at all beyond its target")
		var table bytes.Buffer
		require.NoError(t, large.print(&table, before))
		require.Contains(t, table.String(), "beside 100000 entries")
	}
}

func TestGrowthOfMemoryIsOfItsLastPart(t *testing.T) {
	t.Parallel()
	seen := make([]float64, 100)
	for i := range seen {
		seen[i] = 50 // as it warms up
		if i >= 40 {
			seen[i] = 100 + float64(i-40) // then it leaks
		}
	}
	require.InDelta(t, 54, growth(seen), 0.01)
	require.Zero(t, growth([]float64{7}))
}
