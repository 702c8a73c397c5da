package billing

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
)

// Who asks while a reading is under way gets the next one's answer, and all who
// wait share it.
func TestAReadingIsSharedAndNeverOlderThanItsQuestion(t *testing.T) {
	t.Parallel()
	var (
		reads   atomic.Int64
		begun   = make(chan struct{}, 8)
		goOn    = make(chan struct{})
		answers [4]int64
	)
	s := sharedRead[int64]{read: func(context.Context) (int64, error) {
		begun <- struct{}{}
		<-goOn
		return reads.Add(1), nil
	}}
	var all sync.WaitGroup
	ask := func(i int) {
		all.Go(func() {
			var err error
			answers[i], err = s.get(t.Context())
			if err != nil {
				t.Error(err)
			}
		})
	}
	ask(0)
	<-begun
	second := s.join(t.Context()) // asked while the first is under way
	for i := 1; i < len(answers); i++ {
		ask(i)
	}
	require.Same(t, second, s.join(t.Context()), "no two wait")
	goOn <- struct{}{}
	<-begun
	close(goOn)
	all.Wait()
	<-second.done
	require.EqualValues(t, 1, answers[0])
	require.EqualValues(t, 2, second.value)
	for _, got := range answers[1:] {
		require.GreaterOrEqual(t, got, int64(2), "read after it was asked")
	}
}
