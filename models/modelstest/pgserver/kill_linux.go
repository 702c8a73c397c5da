package pgserver

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"time"
)

// Kill ends the server as a crash does: its main process and every child get
// SIGKILL, and it returns once none of them runs. It kills no process but those
// that descend from the server it started.
func (s *Server) Kill() error {
	main := s.Pid()
	if err := syscall.Kill(main, syscall.SIGSTOP); err != nil { // no child is born from now on
		return err
	}
	family, err := children(main)
	if err != nil {
		return errors.Join(err, syscall.Kill(main, syscall.SIGCONT))
	}
	for _, pid := range append(family, main) {
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
			return fmt.Errorf("kill process %d of the server: %w", pid, err)
		}
	}
	<-s.exited
	// A child that still runs would keep the next server from starting.
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for _, pid := range family {
		for running(pid) {
			<-tick.C
		}
	}
	return nil
}

// Freeze stops the server where it is, its main process and every child, until thaw
// is called: its machine is too busy, or its disk answers nobody.
func (s *Server) Freeze() (thaw func() error, err error) {
	main := s.Pid()
	var stopped []int
	thaw = func() error {
		var errs []error
		for _, pid := range stopped {
			if err := syscall.Kill(pid, syscall.SIGCONT); err != nil && !errors.Is(err, syscall.ESRCH) {
				errs = append(errs, fmt.Errorf("continue process %d of the server: %w", pid, err))
			}
		}
		return errors.Join(errs...)
	}
	stop := func(pid int) error {
		if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil && !errors.Is(err, syscall.ESRCH) {
			return fmt.Errorf("stop process %d of the server: %w", pid, err)
		}
		stopped = append(stopped, pid)
		return nil
	}
	if err := stop(main); err != nil { // no child is born from now on
		return nil, err
	}
	family, err := children(main)
	for _, pid := range family {
		err = errors.Join(err, stop(pid))
	}
	if err != nil {
		return nil, errors.Join(err, thaw())
	}
	return thaw, nil
}

// children are the processes that a process started and that run.
func children(of int) ([]int, error) {
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		return nil, err
	}
	var out []int
	for _, name := range stats {
		if state, parent := processState(name); parent == of && state != 'Z' {
			pid, err := strconv.Atoi(filepath.Base(filepath.Dir(name)))
			if err != nil {
				return nil, err
			}
			out = append(out, pid)
		}
	}
	return out, nil
}

func running(pid int) bool {
	state, _ := processState(fmt.Sprintf("/proc/%d/stat", pid))
	return state != 0 && state != 'Z' && state != 'X'
}

// processState reads "pid (name) state parent ..."; zeros when it is gone.
func processState(name string) (state byte, parent int) {
	stat, err := os.ReadFile(name)
	if err != nil {
		return 0, 0
	}
	fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
	if len(fields) < 2 {
		return 0, 0
	}
	parent, err = strconv.Atoi(string(fields[1]))
	if err != nil {
		return 0, 0
	}
	return fields[0][0], parent
}
