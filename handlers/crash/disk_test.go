//go:build linux

package crash

import (
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// diskSize is what a database of these runs has, in bytes: enough for PostgreSQL's
// own files and little more.
const diskSize = 160 << 20

// newDisk mounts a small file system. It needs the right to mount: make crash
// gives it, in a namespace of its own.
func newDisk(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "refill-disk-") //nolint:usetesting // t.TempDir is closed to the user that the server runs as
	require.NoError(t, err)
	t.Cleanup(func() { _ = os.Remove(dir) })
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, fmt.Sprintf("size=%d,mode=0777", diskSize)); err != nil {
		t.Fatalf("a small disk cannot be mounted here (%v): run this with make crash, which asks for a mount namespace", err)
	}
	t.Cleanup(func() { _ = syscall.Unmount(dir, syscall.MNT_DETACH) })
	return dir
}

// fill takes what is left of a disk, down to the last byte.
func fill(t *testing.T, disk string) (ballast string) {
	t.Helper()
	ballast = filepath.Join(disk, "ballast")
	f, err := os.Create(ballast)
	require.NoError(t, err)
	for _, size := range []int{1 << 20, 4 << 10, 1} {
		block := make([]byte, size)
		for err = nil; err == nil; {
			_, err = f.Write(block)
		}
		require.ErrorIs(t, err, syscall.ENOSPC)
	}
	require.NoError(t, f.Close())
	return ballast
}

// fillRounds fills the disk under load, waits until nothing is acknowledged any
// more, makes room, and waits until everything works again by itself. A PostgreSQL
// that stopped is started again, as its supervisor would. Each round must have
// refused something: one in which all found room would have tried nothing.
func (h *house) fillRounds(disk string, rounds int) (refused []int64, stopped int) {
	for range rounds {
		pause(h.ctx, time.Duration(100+h.rng.IntN(400))*time.Millisecond)
		before := h.crew.unable.Load()
		ballast := fill(h.t, disk)
		// Silence, or twenty seconds of what is written where there is room already;
		// longer while there still is.
		begun, quiet, last := time.Now(), time.Now(), int64(0)
		for time.Since(quiet) < 700*time.Millisecond && time.Since(begun) < 20*time.Second || h.crew.unable.Load() == before && time.Since(begun) < 2*time.Minute {
			pause(h.ctx, 20*time.Millisecond)
			if now := h.crew.lastAck.Load(); now != last {
				last, quiet = now, time.Now()
			}
		}
		refused = append(refused, h.crew.unable.Load()-before)
		require.Positive(h.t, refused[len(refused)-1], "nothing was refused in two minutes: the disk was not full")
		require.NoError(h.t, os.Remove(ballast))
		if h.server != nil {
			select {
			case <-h.server.Exited():
				stopped++
				require.NoError(h.t, h.server.Restart(h.ctx))
				h.wire.point(h.server.URL)
			case <-time.After(200 * time.Millisecond): // refused what it could not write
			}
		}
		h.alive()
		h.recovers()
		h.crew.check(false)
	}
	return refused, stopped
}

func TestAFullDiskLosesNothing(t *testing.T) {
	t.Parallel()
	rounds := kills(80, 0)
	if rounds == 0 {
		return // make crash: mounting is not for everybody
	}
	for _, sqlite := range []bool{true, false} {
		what := map[bool]string{true: "SQLite's disk full", false: "PostgreSQL's disk full"}[sqlite]
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			disk := newDisk(t)
			h := open(t, options{
				what: what, sqlite: sqlite, clients: 6, disk: disk,
				settings: []string{"min_wal_size=32MB", "max_wal_size=48MB", "checkpoint_timeout=30s", "shared_buffers=32MB"},
			})
			refused, stopped := h.fillRounds(disk, rounds)
			h.report(fmt.Sprintf("%d rounds, PostgreSQL stopped itself in %d, refused for want of room %v", rounds, stopped, refused))
		})
	}
}
