package mutation

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// root is the module's folder.
const root = "../.."

func all() []defect { return slices.Concat(defects, guards) }

// A defect whose place is gone from the source would prove nothing, nor one whose
// tests are.
func TestEveryDefectHasItsPlace(t *testing.T) {
	t.Parallel()
	names := map[string]bool{}
	for _, d := range all() {
		require.False(t, names[d.name], d.name)
		names[d.name] = true
		for _, e := range d.edits {
			source, err := os.ReadFile(filepath.Join(root, e.file))
			require.NoError(t, err)
			require.Equal(t, 1, strings.Count(string(source), e.from), "%s: %s has not exactly one\n%s", d.name, e.file, e.from)
		}
		there := testsOf(t, d.pkg)
		for name := range strings.SplitSeq(d.tests, "|") {
			require.Contains(t, there, "\nfunc "+name, "%s: %s has no such test", d.name, d.pkg)
		}
	}
	require.GreaterOrEqual(t, len(all()), 45)
}

// testsOf is the text of a package's tests.
func testsOf(t *testing.T, pkg string) string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(root, pkg, "*_test.go"))
	require.NoError(t, err)
	var all strings.Builder
	for _, file := range files {
		source, err := os.ReadFile(file)
		require.NoError(t, err)
		all.Write(source)
	}
	return all.String()
}

// With MUTATIONS set, every defect is compiled in and its tests must fail, which
// pass without it; DEFECT picks those whose name matches it.
func TestEveryDefectIsKilled(t *testing.T) {
	t.Parallel()
	if os.Getenv("MUTATIONS") == "" {
		return // make mutations
	}
	chosen, err := regexp.Compile(os.Getenv("DEFECT"))
	require.NoError(t, err)
	tried, survived, sound := 0, 0, map[suite]bool{}
	for _, d := range all() {
		if !chosen.MatchString(d.name) {
			continue
		}
		tried++
		suite := d.suite()
		if _, known := sound[suite]; !known {
			out, err := suite.run(t, nil)
			if sound[suite] = err == nil && !strings.Contains(out, "no tests to run"); !sound[suite] {
				t.Logf("without any defect:\n%s", out)
			}
		}
		if !sound[suite] {
			survived++
			t.Errorf("NOT TRIED %s\n(%s -run '%s' fails without it)", d.name, d.pkg, d.tests)
			continue
		}
		out, err := suite.run(t, d.edits)
		// A goroutine that falls over ends the tests without a word of which it was.
		killed := err != nil && (strings.Contains(out, "--- FAIL") || strings.Contains(out, "panic: "))
		switch {
		case killed:
			t.Logf("killed    %s", d.name)
		case err == nil:
			survived++
			t.Errorf("SURVIVED  %s\n(%s -run '%s')", d.name, d.pkg, d.tests)
		default:
			survived++
			t.Errorf("NOT TRIED %s\n%s", d.name, out)
		}
	}
	t.Logf("mutations: %d tried, %d killed, %d survived", tried, tried-survived, survived)
}

// suite is which tests run, and at which size.
type suite struct{ pkg, tests, env string }

func (d *defect) suite() suite { return suite{d.pkg, d.tests, d.env} }

// run runs the tests on the program with these edits, and gives what they said.
func (s suite) run(t *testing.T, edits []edit) (string, error) {
	t.Helper()
	abs, err := filepath.Abs(root)
	require.NoError(t, err)
	cmd := exec.CommandContext(t.Context(), "go", "test", "-count=1", "-timeout", "15m", "-run", "^("+s.tests+")", s.pkg)
	cmd.Dir = abs
	cmd.Env = append(os.Environ(), "MUTATIONS=", "REFILL_BINARY=")
	if s.env != "" {
		cmd.Env = append(cmd.Env, s.env)
	}
	if len(edits) > 0 {
		// By the environment, so that it reaches a program that the tests build too.
		cmd.Env = append(cmd.Env, "GOFLAGS="+strings.TrimSpace(os.Getenv("GOFLAGS")+" -overlay="+overlay(t, abs, edits)))
	}
	// Databases that tests copy are named after their schema: a defect of the schema is nobody else's.
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// overlay writes the edited files into a folder, and the file that tells go build
// of them.
func overlay(t *testing.T, abs string, edits []edit) string {
	t.Helper()
	dir, edited := t.TempDir(), map[string]string{}
	for _, e := range edits {
		name := filepath.Join(abs, e.file)
		if edited[name] == "" {
			source, err := os.ReadFile(name)
			require.NoError(t, err)
			edited[name] = string(source)
		}
		edited[name] = strings.Replace(edited[name], e.from, e.to, 1)
	}
	replace := map[string]string{}
	for name, source := range edited {
		to := filepath.Join(dir, strings.ReplaceAll(strings.TrimPrefix(name, abs+"/"), "/", "_"))
		require.NoError(t, os.WriteFile(to, []byte(source), 0o600))
		replace[name] = to
	}
	list, err := json.Marshal(map[string]any{"Replace": replace})
	require.NoError(t, err)
	file := filepath.Join(dir, "overlay.json")
	require.NoError(t, os.WriteFile(file, list, 0o600))
	return file
}
