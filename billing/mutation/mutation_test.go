package mutation

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// root is the module's folder.
const root = "../.."

// A defect whose place is gone from the source would prove nothing.
func TestEveryDefectHasItsPlace(t *testing.T) {
	t.Parallel()
	names := map[string]bool{}
	for _, d := range defects {
		require.False(t, names[d.name], d.name)
		names[d.name] = true
		for _, e := range d.edits {
			source, err := os.ReadFile(filepath.Join(root, e.file))
			require.NoError(t, err)
			require.Equal(t, 1, strings.Count(string(source), e.from), "%s: %s has not exactly one\n%s", d.name, e.file, e.from)
		}
	}
	require.GreaterOrEqual(t, len(defects), 25)
}

// With MUTATIONS set, every defect is compiled in and its tests must fail; DEFECT
// picks those whose name contains it.
func TestEveryDefectIsKilled(t *testing.T) {
	t.Parallel()
	if os.Getenv("MUTATIONS") == "" {
		return // make mutations
	}
	tried, survived := 0, 0
	for _, d := range defects {
		if !strings.Contains(d.name, os.Getenv("DEFECT")) {
			continue
		}
		tried++
		out, err := d.run(t)
		killed := err != nil && strings.Contains(out, "--- FAIL")
		switch {
		case killed:
			t.Logf("killed    %s", d.name)
		case err == nil && !strings.Contains(out, "no tests to run"):
			survived++
			t.Errorf("SURVIVED  %s\n(%s -run '%s')", d.name, d.pkg, d.tests)
		default:
			survived++
			t.Errorf("NOT TRIED %s\n%s", d.name, out)
		}
	}
	t.Logf("mutations: %d tried, %d killed, %d survived", tried, tried-survived, survived)
}

// run runs a defect's tests with it and gives what they said.
func (d *defect) run(t *testing.T) (string, error) {
	t.Helper()
	abs, err := filepath.Abs(root)
	require.NoError(t, err)
	replace := map[string]string{}
	dir := t.TempDir()
	edited := map[string]string{}
	for _, e := range d.edits {
		name := filepath.Join(abs, e.file)
		if edited[name] == "" {
			source, err := os.ReadFile(name)
			require.NoError(t, err)
			edited[name] = string(source)
		}
		edited[name] = strings.Replace(edited[name], e.from, e.to, 1)
	}
	for name, source := range edited {
		to := filepath.Join(dir, strings.ReplaceAll(strings.TrimPrefix(name, abs+"/"), "/", "_"))
		require.NoError(t, os.WriteFile(to, []byte(source), 0o600))
		replace[name] = to
	}
	overlay, err := json.Marshal(map[string]any{"Replace": replace})
	require.NoError(t, err)
	file := filepath.Join(dir, "overlay.json")
	require.NoError(t, os.WriteFile(file, overlay, 0o600))
	cmd := exec.CommandContext(t.Context(), "go", "test", "-count=1", "-timeout", "5m", "-overlay", file, "-run", d.tests, d.pkg)
	cmd.Dir = abs
	// Databases that tests copy are named after their schema: a defect of the schema is nobody else's.
	cmd.Env = append(os.Environ(), "MUTATIONS=")
	out, err := cmd.CombinedOutput()
	return string(out), err
}
