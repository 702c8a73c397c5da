// Package docs holds what is written about Refill. Its tests hold the tables in it
// against the program.
package docs

import (
	"encoding/csv"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// asvsLevels is how many requirements ASVS 5.0.0 has at levels 1 and 2.
var asvsLevels = map[string]int{"1": 70, "2": 183}

// Every requirement up to level 2 has its line; what is met names tests that are
// there, what is not met, not ours, or so by design that no test could find it
// otherwise, says why.
func TestEveryRequirementIsAnswered(t *testing.T) {
	t.Parallel()
	f, err := os.Open("asvs.csv")
	require.NoError(t, err)
	defer f.Close()
	lines, err := csv.NewReader(f).ReadAll()
	require.NoError(t, err)
	require.Equal(t, []string{"requirement", "level", "answer", "how", "proof"}, lines[0])
	there := tests(t)
	seen, levels := map[string]bool{}, map[string]int{}
	for _, l := range lines[1:] {
		id, answer, how, proof := l[0], l[2], l[3], l[4]
		require.Regexp(t, `^\d+\.\d+\.\d+$`, id)
		require.False(t, seen[id], "%s twice", id)
		seen[id] = true
		levels[l[1]]++
		require.NotEmpty(t, how, id)
		switch answer {
		case "met":
			require.NotEmpty(t, proof, "%s names no test", id)
			for name := range strings.SplitSeq(proof, "; ") {
				require.True(t, there[name], "%s names %q, which is no test", id, name)
			}
		case "not applicable", "operator", "open", "by design":
			require.Empty(t, proof, id)
		default:
			t.Errorf("%s: unknown answer %q", id, answer)
		}
	}
	require.Equal(t, asvsLevels, levels)
}

// tests are the names of all tests of the product: Go's functions and the browser's
// titles. Those of what only serves tests, such as the simulator, prove nothing of it.
func tests(t *testing.T) map[string]bool {
	t.Helper()
	function := regexp.MustCompile(`(?m)^func ((?:Test|Fuzz)\w+)\(`)
	title := regexp.MustCompile("(?m)^\\s*test\\([\"`]([^\"`]+)")
	out := map[string]bool{}
	err := filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		served := []string{"../billing/stripesim", "../billing/nametest", "../billing/mutation", "../models/modelstest", "../handlers/replay"}
		if d.IsDir() && (d.Name() == "node_modules" || d.Name() != ".." && strings.HasPrefix(d.Name(), ".") || slices.Contains(served, path)) {
			return filepath.SkipDir
		}
		found := function
		switch {
		case strings.HasSuffix(path, ".test.mjs"):
			found = title
		case !strings.HasSuffix(path, "_test.go"):
			return nil
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		for _, m := range found.FindAllStringSubmatch(string(text), -1) {
			name, _, _ := strings.Cut(m[1], "${")
			out[strings.TrimRight(name, ", ")] = true
		}
		return nil
	})
	require.NoError(t, err)
	return out
}
