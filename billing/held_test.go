package billing

import (
	"testing"

	"github.com/stretchr/testify/require"

	"refill/models"
)

// The desk keeps the newest holds and is bounded: what it forgot is read.
func TestHoldDeskForgetsTheOldest(t *testing.T) {
	t.Parallel()
	d := newHoldDesk()
	made := make([]models.Hold, 2*recentHolds+1)
	for i := range made {
		made[i] = models.Hold{ID: models.NewID[models.HoldID](models.Time(i)), Credits: models.Credits(i)}
		d.put(&made[i])
	}
	_, ok := d.get(made[0].ID)
	require.False(t, ok)
	for _, h := range made[len(made)-recentHolds:] {
		held, ok := d.get(h.ID)
		require.True(t, ok)
		require.Equal(t, h.Credits, held.credits)
	}
	require.LessOrEqual(t, len(d.newest)+len(d.older), 2*recentHolds)
}
