package replay

import (
	"context"
	"fmt"
	"slices"
	"time"

	"refill/models"
)

// show writes the progress once a second until the returned function is called.
func (r *run) show(ctx context.Context) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		tick := time.NewTicker(time.Second)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				r.line()
			case <-ctx.Done():
				return
			}
		}
	}()
	return func() {
		cancel()
		<-ended
		r.line()
	}
}

func (r *run) line() {
	s := r.counts()
	fmt.Fprintf(r.config.Progress, "%d of %d rows: %d charged, %d replayed, %d refused, %d failed, %d a second\n",
		s.Charged+s.Replayed+s.Refused+s.Failed, s.Rows, s.Charged, s.Replayed, s.Refused, s.Failed, s.PerSecond/1000)
}

func (r *run) counts() Summary {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := r.tally
	s.Rows = len(r.trace.rows)
	s.PerSecond = perSecond(len(r.waits), r.config.Clock.Now().Sub(r.start))
	return s
}

// summary is called once all rows are done.
func (r *run) summary() Summary {
	s := r.counts()
	slices.Sort(r.waits)
	s.P50, s.P99 = inMillis(percentile(r.waits, 50)), inMillis(percentile(r.waits, 99))
	return s
}

// percentile is the smallest value that p percent of the sorted values do not
// exceed; 0 of none.
func percentile(sorted []models.Time, p int) models.Time {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[(len(sorted)*p+99)/100-1]
}
