// Package faults sizes the runs that look for credits lost or given twice: small
// ones with every change, large ones by make faults (REFILL_FAULTS). Each says what
// it tried, by which seed, and what came of it; SEED repeats a run.
package faults

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"sync"
	"testing"

	"pgregory.net/rapid"
)

// Large tells whether the large sizes are asked for.
func Large() bool { return os.Getenv("REFILL_FAULTS") != "" }

// Sized is how often something is tried: few times with every change, many where
// the large sizes are asked for.
func Sized(few, many int) int {
	if Large() {
		return many
	}
	return few
}

// Seed is what a run draws from: SEED, or another each time.
func Seed() uint64 {
	if n, err := strconv.ParseUint(os.Getenv("SEED"), 10, 64); err == nil {
		return n
	}
	return 1 + rand.Uint64N(1_000_000_000)
}

// SequenceSeed is Seed for Sequences: 0 where rapid takes seeds of its own, which it
// names when a sequence fails.
func SequenceSeed() uint64 {
	if !ours() {
		return 0
	}
	return Seed()
}

// ours tells whether rapid's seeds are ours: where a run is to be repeatable. rapid
// knows one seed for the whole process, which other tests of it read too.
func ours() bool { return Large() || os.Getenv("SEED") != "" }

// Tried says what a run has tried and what came of it. It is called where the run
// has come to its end, having lost and doubled nothing, or with t failed by then.
func Tried(t testing.TB, seed uint64, format string, args ...any) {
	t.Helper()
	found := "0 lost, 0 doubled"
	if t.Failed() {
		found = "FAILED"
	}
	drawn := fmt.Sprint("seed ", seed)
	if seed == 0 {
		drawn = "no seed"
	}
	t.Logf("faults: %s, %s: %s", fmt.Sprintf(format, args...), drawn, found)
}

// Raced is Tried for a run that draws nothing: what comes first is up to the machine.
func Raced(t testing.TB, format string, args ...any) {
	t.Helper()
	Tried(t, 0, format, args...)
}

// Sequences tries a property on so many drawn sequences, and again while a failing
// one is made shorter. Two calls with one seed try the same.
func Sequences(t *testing.T, seed uint64, times int, try func(r *rapid.T)) {
	t.Helper()
	done, failed := 0, false
	for round := uint64(0); done < times; round++ {
		seeded(t, seed+round<<16, func(r *rapid.T) { // a hundred times
			if done++; done > times && !failed {
				return
			}
			failed = true // stands when the run does not come to its end
			try(r)
			failed = false
		})
	}
}

// turns lets one check at a time read its seed.
var turns sync.Mutex //nolint:gochecknoglobals // rapid's seed is the process's too

// given is the seed that somebody named to rapid itself, to repeat what failed.
var given = sync.OnceValue(func() string { return flag.Lookup(rapidSeed).Value.String() }) //nolint:gochecknoglobals // read before it is overwritten

const rapidSeed = "rapid.seed"

// seeded checks a property with a seed of ours, or else of rapid's. rapid reads the
// process's seed before it tries anything.
func seeded(t *testing.T, seed uint64, property func(*rapid.T)) {
	t.Helper()
	if named := given() != "0"; named || !ours() {
		rapid.Check(t, property)
		return
	}
	turns.Lock()
	read := sync.OnceFunc(turns.Unlock)
	defer read()
	if err := flag.Set(rapidSeed, strconv.FormatUint(seed|1, 10)); err != nil { // 0 would be another each time
		t.Fatal(err)
	}
	rapid.Check(t, func(r *rapid.T) {
		read()
		property(r)
	})
}
