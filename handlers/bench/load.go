package bench

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"refill/models"
)

// sample is what one measurement gave. Times are milliseconds.
type sample struct {
	PerSecond float64
	P50, P99  float64
	P95       float64
	WAL       float64 // bytes a charge, where it was asked for
	CPU       float64 // µs of this process for each request or item, warm-up included
	Database  float64 // µs of the database's
}

// caller sends one request after the other; each call of send is one request.
type caller struct {
	send  func(ctx context.Context) error
	end   func() error
	every time.Duration // a request each, if answers come in time; 0: the next when the last is answered
	late  time.Duration // before the first, so that callers who keep a pace do not ask all at once
}

// rest waits, unless the run ends first.
func rest(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return nil
	}
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// drive is a closed loop: each of n callers sends its next request when the
// last is answered. A fifth of the time, at most a second, warms up and is not
// counted. One request counts as many times as weight says.
func (s *session) drive(ctx context.Context, n, weight int, join func(i int) (caller, error)) (sample, error) {
	callers := make([]caller, n)
	defer func() {
		for _, c := range callers {
			if c.end != nil {
				_ = c.end()
			}
		}
	}()
	for i := range callers {
		var err error
		if callers[i], err = join(i); err != nil {
			return sample{}, err
		}
	}
	took := time.Duration(s.Seconds) * time.Second
	from := s.Clock.Now().Add(min(took/5, time.Second))
	to := from.Add(took)
	waits, errs := make([][]models.Time, n), make([]error, n)
	sent, used := make([]int, n), cpuUsed()
	var work sync.WaitGroup
	for i, c := range callers {
		work.Go(func() { waits[i], sent[i], errs[i] = s.loop(ctx, c, from, to) })
	}
	work.Wait()
	requests := 0
	for _, n := range sent {
		requests += n
	}
	own, database := cpuUsed().each(used, requests*weight)
	all := slices.Concat(waits...)
	slices.Sort(all)
	if err := errors.Join(errs...); err != nil {
		return sample{}, errors.Join(firstOf(errs), ctx.Err())
	}
	return sample{
		PerSecond: float64(len(all)*weight) / took.Seconds(), P50: millis(percentile(all, 50)), P99: millis(percentile(all, 99)),
		P95: millis(percentile(all, 95)),
		CPU: own, Database: database,
	}, nil
}

// loop gives how long the requests took that were answered between two instants,
// and how many were sent altogether.
func (s *session) loop(ctx context.Context, c caller, from, to models.Time) (waits []models.Time, sent int, err error) {
	waits = make([]models.Time, 0, 1024)
	if err := rest(ctx, c.late); err != nil {
		return nil, 0, err
	}
	for began := s.Clock.Now(); began < to; {
		if err := c.send(ctx); err != nil {
			return nil, sent, err
		}
		sent++
		ended := s.Clock.Now()
		if ended >= from && ended < to {
			waits = append(waits, ended-began)
		}
		if c.every > 0 {
			if err := rest(ctx, c.every-ended.Sub(began)); err != nil {
				return nil, sent, err
			}
			began = s.Clock.Now()
			continue
		}
		began = ended
	}
	return waits, sent, nil
}

func firstOf(errs []error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// percentile is the smallest value that p percent of the sorted values do not
// exceed; 0 of none.
func percentile(sorted []models.Time, p int) models.Time {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[(len(sorted)*p+99)/100-1]
}

func millis(t models.Time) float64 { return float64(t) / 1000 }

// median of the values; the mean of the middle two when they are even.
func median(values []float64) float64 {
	if len(values) == 0 {
		return 0
	}
	v := slices.Sorted(slices.Values(values))
	half := len(v) / 2
	if len(v)%2 == 1 {
		return v[half]
	}
	return (v[half-1] + v[half]) / 2
}
