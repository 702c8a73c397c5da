package billing

import (
	"errors"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"refill/models"
)

func TestRecallReadsOnceForAllWhoAsk(t *testing.T) {
	t.Parallel()
	r := recall[string, int]{ttl: directoryTTL}
	var reads atomic.Int64
	begun := make(chan struct{})
	read := func() (int, error) {
		<-begun
		return int(reads.Add(1)), nil
	}
	var work sync.WaitGroup
	for range 64 {
		work.Go(func() {
			v, err := r.get("a", 1, read)
			if err != nil || v != 1 {
				t.Errorf("got %d, %v", v, err)
			}
		})
	}
	close(begun)
	work.Wait()
	require.EqualValues(t, 1, reads.Load())
}

func TestRecallReadsAgainWhenOldForgottenOrFailed(t *testing.T) {
	t.Parallel()
	r := recall[string, models.Time]{ttl: directoryTTL}
	at := func(now models.Time) models.Time {
		v, err := r.get("a", now, func() (models.Time, error) { return now, nil })
		require.NoError(t, err)
		return v
	}
	first := models.Time(1_000_000)
	require.Equal(t, first, at(first))
	require.Equal(t, first, at(first.Add(directoryTTL)-1), "still fresh")
	require.Equal(t, first.Add(directoryTTL), at(first.Add(directoryTTL)), "too old")
	require.Equal(t, first, at(first), "read before it was: the clock was set")
	r.forget()
	require.Equal(t, first+1, at(first+1))

	gone := errors.New("gone")
	_, err := r.get("b", 1, func() (models.Time, error) { return 0, gone })
	require.ErrorIs(t, err, gone)
	_, kept := r.kept.Load("b")
	require.False(t, kept, "what is not found takes no room")
}
