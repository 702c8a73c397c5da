//go:build !linux

package pgserver

import (
	"os/exec"
	"syscall"
)

// serverProcess asks for nothing special: only Linux can tie a child to its
// parent's life, and elsewhere tests do not run as root.
func serverProcess() (*syscall.SysProcAttr, error) { return &syscall.SysProcAttr{}, nil }

// startOnLastingThread starts cmd and closes exited once it has ended.
func startOnLastingThread(cmd *exec.Cmd, exited chan<- struct{}) error {
	if err := cmd.Start(); err != nil {
		return err
	}
	go func() {
		_ = cmd.Wait()
		close(exited)
	}()
	return nil
}
