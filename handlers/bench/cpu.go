package bench

import (
	"bytes"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"time"
)

// cpu is processor time used so far: by this process, which is the product and
// the load, and by the database's processes of this machine.
type cpu struct{ own, database time.Duration }

// tick is the unit of /proc/*/stat.
const tick = 10 * time.Millisecond

func cpuUsed() (used cpu) {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err == nil {
		used.own = time.Duration(u.Utime.Nano() + u.Stime.Nano())
	}
	stats, err := filepath.Glob("/proc/[0-9]*/stat") // none but on Linux
	if err != nil {
		return used
	}
	for _, path := range stats {
		stat, err := os.ReadFile(path) //nolint:gosec // of /proc
		if err != nil || !bytes.Contains(stat, []byte("(postgres)")) {
			continue // it ended, or is somebody else's
		}
		fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
		for _, f := range fields[11:13] { // in user mode, in the kernel
			n, err := strconv.ParseInt(string(f), 10, 64)
			if err == nil {
				used.database += time.Duration(n) * tick
			}
		}
	}
	return used
}

// each is what one of n requests took between two readings, in microseconds.
func (c cpu) each(before cpu, n int) (own, database float64) {
	per := func(d time.Duration) float64 { return float64(d.Microseconds()) / float64(max(1, n)) }
	return per(c.own - before.own), per(c.database - before.database)
}
