package billing

import (
	"sync"
	"sync/atomic"
	"time"

	"refill/models"
)

// recall keeps what was read for a while of wall time, for it is other processes
// that may change it meanwhile. Once a value is too old, one caller reads it again
// and those who want the same wait for that answer: a thousand charges at once cost
// one query. What is not found is not kept, so it cannot be filled by guessing.
type recall[K comparable, V any] struct {
	ttl  time.Duration
	kept sync.Map // K → *memory[V]
}

type memory[V any] struct {
	reading sync.Mutex
	last    atomic.Pointer[impression[V]]
}

type impression[V any] struct {
	value V
	at    models.Time
}

func (r *recall[K, V]) get(key K, now models.Time, read func() (V, error)) (V, error) {
	found, ok := r.kept.Load(key)
	if !ok {
		found, _ = r.kept.LoadOrStore(key, &memory[V]{})
	}
	m, _ := found.(*memory[V])
	if last := m.last.Load(); r.fresh(last, now) {
		return last.value, nil
	}
	m.reading.Lock()
	defer m.reading.Unlock()
	if last := m.last.Load(); r.fresh(last, now) {
		return last.value, nil
	}
	value, err := read()
	if err != nil {
		r.kept.CompareAndDelete(key, m)
		return value, err
	}
	m.last.Store(&impression[V]{value, now})
	return value, nil
}

func (r *recall[K, V]) fresh(last *impression[V], now models.Time) bool {
	return last != nil && now >= last.at && now.Sub(last.at) < r.ttl
}

// forget drops everything; what is being read meanwhile is not kept.
func (r *recall[K, V]) forget() { r.kept.Clear() }
