//go:build linux

package crash

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

const root = "../.."

// shallow says that the source's history does not reach far enough.
type shallow string

func (s shallow) Error() string { return string(s) }

func git(args ...string) (string, error) {
	out, err := exec.Command("git", append([]string{"-C", root}, args...)...).Output()
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		err = fmt.Errorf("git %s: %w: %s", strings.Join(args, " "), err, exit.Stderr)
	}
	return strings.TrimSpace(string(out)), err
}

// releaseBefore is the program as it was before the newest migration was added, built once,
// or as BEFORE=commit names it.
var releaseBefore = sync.OnceValues(func() (string, error) {
	commit := os.Getenv("BEFORE")
	if commit == "" {
		var err error
		if commit, err = beforeNewestMigration(); err != nil {
			return "", err
		}
	}
	dir, err := os.MkdirTemp("", "refill-before-")
	if err != nil {
		return "", err
	}
	builtBefore = dir
	source := filepath.Join(dir, "source")
	if err := checkOut(commit, source); err != nil {
		return "", err
	}
	path := filepath.Join(dir, "refill")
	cmd := exec.Command("go", "build", "-trimpath", "-o", path, ".")
	cmd.Dir = source
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=-trimpath", "GOWORK=off")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build the program of %s: %w\n%s", commit, err, out)
	}
	return path, os.RemoveAll(source)
})

// builtBefore is the folder of the program before.
var builtBefore string

func beforeNewestMigration() (string, error) {
	if _, err := git("rev-parse", "--git-dir"); err != nil {
		return "", shallow("this source came without its history")
	}
	files, err := filepath.Glob(filepath.Join(root, "models", "migrations", "postgres", "*.sql"))
	if err != nil || len(files) == 0 {
		return "", errors.Join(err, errors.New("no migrations"))
	}
	newest := filepath.Base(slices.Max(files))
	added, err := git("log", "--diff-filter=A", "--format=%H", "--", "models/migrations/postgres/"+newest)
	if err != nil {
		return "", err
	}
	if added == "" {
		return "HEAD", nil // the migration is being written
	}
	lines := strings.Fields(added)
	commit := lines[len(lines)-1] + "^"
	if _, err := git("rev-parse", "--verify", "--quiet", commit+"^{tree}"); err != nil {
		return "", shallow("this clone's history ends before migration " + newest + " was added: git fetch --unshallow")
	}
	return commit, nil
}

// checkOut writes the files of a commit into a folder.
func checkOut(commit, dir string) error {
	cmd := exec.Command("git", "-C", root, "archive", "--format=tar", commit)
	all, err := cmd.Output()
	if err != nil {
		return fmt.Errorf("read the files of %s: %w", commit, err)
	}
	files := tar.NewReader(bytes.NewReader(all))
	for {
		f, err := files.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		to := filepath.Join(dir, filepath.Clean("/"+f.Name))
		switch f.Typeflag {
		case tar.TypeDir:
			err = os.MkdirAll(to, 0o700)
		case tar.TypeReg:
			var content []byte
			if content, err = io.ReadAll(files); err == nil {
				err = errors.Join(os.MkdirAll(filepath.Dir(to), 0o700), os.WriteFile(to, content, 0o600))
			}
		}
		if err != nil {
			return err
		}
	}
}

// programBefore builds the program before, or skips the test where that cannot be.
func programBefore(t *testing.T) string {
	t.Helper()
	path, err := releaseBefore()
	if why := shallow(""); errors.As(err, &why) {
		t.Skip(why) // there is no release before to build: sources without history, or a clone cut short
	}
	require.NoError(t, err)
	return path
}

// An upgrade without a pause: while the release before serves, this one starts beside
// it and migrates; both charge the same wallets; the old one is told to leave and does
// not come back. What one of them answered the other answers too, byte for byte.
func TestTwoReleasesChargeTheSameWallets(t *testing.T) {
	t.Parallel()
	old := programBefore(t)
	for n := range kills(200, 1) { //nolint:paralleltest // one after the other: each has two portals, a server and ten programs
		t.Run(strconv.Itoa(n), func(t *testing.T) {
			h := open(t, options{what: "an upgrade from the release before", clients: 10, before: old})
			newer, older := h.portals[0], h.portals[1]
			reach := func(p *portal, more int64) {
				t.Helper()
				limit := time.Now().Add(time.Minute)
				for want := p.answered.Load() + more; p.answered.Load() < want; pause(h.ctx, 5*time.Millisecond) {
					require.False(t, older.ended(), "the release before fell over: %s", older.said())
					require.False(t, newer.cmd != nil && newer.ended(), "this release fell over: %s", newer.said())
					require.False(t, time.Now().After(limit), "nothing is answered any more: %s\n%s", older.said(), newer.said())
				}
			}
			reach(older, 100)
			require.NoError(t, newer.start(h.ctx)) // migrates under load
			reach(newer, 200)
			reach(older, 200)
			killed := 0
			for range kills(400, 1) { // this one is killed and comes back; the other goes on
				newer.kill()
				reach(older, 20)
				require.NoError(t, newer.start(h.ctx))
				reach(newer, 20)
				killed++
			}
			require.NoError(t, older.terminate())
			require.Zero(t, older.left(t), "%s", older.said())
			reach(newer, 100)
			_, err := older.spawn()
			require.NoError(t, err)
			require.Equal(t, 1, older.left(t), "the release before starts on a newer schema")
			require.Contains(t, older.said(), "run the newer program")
			older.kill()
			h.report(fmt.Sprintf("%d kills of the newer", killed))
		})
	}
}
