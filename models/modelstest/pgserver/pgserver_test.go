package pgserver_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/jackc/pgx/v5"

	"refill/models/modelstest/pgserver"
)

// The test changes TMPDIR, so it cannot run in parallel.
func TestServer(t *testing.T) {
	tmp, err := os.MkdirTemp("", "refill-pgserver-test-") //nolint:usetesting // t.TempDir is closed to the user that the server runs as
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(tmp); err != nil {
			t.Error(err)
		}
	})
	if err := os.Chmod(tmp, 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("TMPDIR", tmp)
	// A process id above the kernel's largest can belong to nobody.
	abandoned := filepath.Join(tmp, "refill-pg-999999999-1")
	if err := os.MkdirAll(filepath.Join(abandoned, "data"), 0o755); err != nil {
		t.Fatal(err)
	}

	s, err := pgserver.Start(t.Context(), pgserver.Options{Durable: true, Settings: []string{"work_mem=5MB"}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(abandoned); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the directory of a dead process is still there (%v)", err)
	}

	conn, err := pgx.Connect(t.Context(), s.URL)
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"fsync": "on", "work_mem": "5MB", "listen_addresses": "127.0.0.1"} {
		var got string
		if err := conn.QueryRow(t.Context(), "SELECT current_setting($1)", name).Scan(&got); err != nil || got != want {
			t.Errorf("%s: got %q (%v), want %q", name, got, err, want)
		}
	}

	if err := s.FillLog(t.Context(), 4); err != nil {
		t.Fatal(err)
	}
	var spare int
	if err := conn.QueryRow(t.Context(), "SELECT count(*) FROM pg_ls_waldir() WHERE name > pg_walfile_name(pg_current_wal_lsn())").Scan(&spare); err != nil || spare < 3 {
		t.Errorf("%d files of the log are there to be used (%v)", spare, err)
	}

	if err := s.Stop(); err != nil {
		t.Fatal(err)
	}
	if err := conn.Ping(t.Context()); err == nil {
		t.Error("a stopped server still answers")
	}
	left, err := os.ReadDir(tmp)
	if err != nil {
		t.Fatal(err)
	}
	if len(left) != 0 {
		t.Errorf("the server left %v behind", left)
	}
}
