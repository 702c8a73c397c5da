package billing

import (
	"context"
	"sync"
	"time"
)

// sharedRead reads something once for all who ask while it is being read: they
// get what the next reading finds. So no answer is older than its question, and a
// thousand questions at once cost two queries.
type sharedRead[V any] struct {
	read func(context.Context) (V, error)

	mu   sync.Mutex
	next *reading[V] // nil: nobody waits
	busy bool
}

type reading[V any] struct {
	value V
	err   error
	done  chan struct{}
}

// sharedReadTimeout ends a reading whose database does not answer.
const sharedReadTimeout = 10 * time.Second

func (s *sharedRead[V]) get(ctx context.Context) (V, error) {
	r := s.join(ctx)
	select {
	case <-r.done:
		return r.value, r.err
	case <-ctx.Done():
		var none V
		return none, ctx.Err()
	}
}

// join is the reading that has yet to begin.
func (s *sharedRead[V]) join(ctx context.Context) *reading[V] {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.next == nil {
		s.next = &reading[V]{done: make(chan struct{})}
	}
	if !s.busy {
		s.busy = true
		go s.serve(context.WithoutCancel(ctx))
	}
	return s.next
}

// serve reads until nobody waits.
func (s *sharedRead[V]) serve(ctx context.Context) {
	for r := s.begin(); r != nil; r = s.begin() {
		within, cancel := context.WithTimeout(ctx, sharedReadTimeout)
		r.value, r.err = s.read(within)
		cancel()
		close(r.done)
	}
}

func (s *sharedRead[V]) begin() *reading[V] {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.next
	s.next, s.busy = nil, r != nil
	return r
}
