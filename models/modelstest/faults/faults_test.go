package faults

import (
	"flag"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// A seed tries the same sequences each time, no round of a hundred like another;
// another seed tries others.
func TestASeedRepeatsARun(t *testing.T) {
	t.Setenv("SEED", "7")
	require.EqualValues(t, 7, Seed())
	drawn := func(seed uint64) (out []uint64) {
		Sequences(t, seed, 250, func(r *rapid.T) { out = append(out, rapid.Uint64().Draw(r, "n")) })
		return out
	}
	first := drawn(8)
	require.NoError(t, flag.Set(rapidSeed, "0"))
	require.Len(t, first, 250)
	require.Equal(t, first, drawn(8))
	require.NotEqual(t, first, drawn(10))
	require.NotEqual(t, first[:100], first[100:200])
}
