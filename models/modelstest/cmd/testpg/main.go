// Command testpg runs another command with a throw-away PostgreSQL server:
//
//	go run ./models/modelstest/cmd/testpg go test ./...
//
// The server's address is in TEST_DATABASE_URL while the command runs, and
// testpg ends with the command's exit code. With -durable the server keeps
// fsync on and has the memory of a small production server. A TEST_DATABASE_URL that is set already wins:
// then no server is started.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"syscall"

	"refill/models/modelstest/pgserver"
)

// logFiles are as many as min_wal_size keeps.
const logFiles = 256

func main() {
	durable := flag.Bool("durable", false, "keep fsync on, as in production")
	flag.Parse()
	code, err := run(context.Background(), *durable, flag.Args())
	if err != nil {
		fmt.Fprintln(os.Stderr, "testpg:", err)
	}
	os.Exit(code)
}

// run returns the exit code of the command.
func run(ctx context.Context, durable bool, args []string) (code int, err error) {
	if len(args) == 0 {
		return 2, errors.New("say which command to run")
	}
	// Ctrl-C reaches the command as well; we only wait for it and clean up.
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()

	env := os.Environ()
	if os.Getenv("TEST_DATABASE_URL") == "" {
		o := pgserver.Options{Durable: durable}
		if durable { // what an operator would give a server of its own
			o.Settings = []string{"shared_buffers=1GB", "max_wal_size=4GB", "min_wal_size=4GB"}
		}
		s, err := pgserver.Start(ctx, o)
		if err != nil {
			return 1, err
		}
		defer func() { err = errors.Join(err, s.Stop()) }()
		if durable {
			if err := s.FillLog(ctx, logFiles); err != nil {
				return 1, err
			}
		}
		env = append(env, "TEST_DATABASE_URL="+s.URL, "TEST_DATABASE_BIN="+s.Bin)
	}
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.Env, cmd.Stdin, cmd.Stdout, cmd.Stderr = env, os.Stdin, os.Stdout, os.Stderr
	err = cmd.Run()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		return max(exit.ExitCode(), 1), nil
	}
	if err != nil {
		return 1, err
	}
	return 0, nil
}
