package main

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/alecthomas/kong"
	"github.com/stretchr/testify/require"
)

// pageCommands are the lines of a page's sh blocks that call this program, by the
// section they stand in.
func pageCommands(t *testing.T, page string) map[string][][]string {
	t.Helper()
	text, err := os.ReadFile(page)
	require.NoError(t, err)
	out := map[string][][]string{}
	section, inside := "", false
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSpace(line)
		switch {
		case strings.HasPrefix(line, "## "):
			section = strings.TrimPrefix(line, "## ")
		case strings.HasPrefix(line, "```"):
			inside = line == "```sh"
		case inside:
			words := shellWords(line)
			for len(words) > 0 && strings.Contains(words[0], "=") { // a variable for this command
				words = words[1:]
			}
			if len(words) > 0 && words[0] == "refill" {
				out[section] = append(out[section], words[1:])
			} else if i := strings.Index(line, " portal "); i > 0 && strings.HasPrefix(line, "docker compose run") {
				out[section+" in compose"] = append(out[section+" in compose"], shellWords(line[i+len(" portal "):]))
			}
		}
	}
	return out
}

// shellWords splits as a shell does what these pages have.
func shellWords(line string) []string {
	var out []string
	for _, w := range regexp.MustCompile(`"[^"]*"|\S+`).FindAllString(line, -1) {
		out = append(out, strings.Trim(w, `"`))
	}
	return out
}

// Every command of the operator's page is one of this program's, flags and all; and
// from backup to restore to upgrade they are run as they stand there, in a folder of
// their own.
func TestTheCommandsOfTheOperatorsPageWork(t *testing.T) {
	t.Parallel()
	page := filepath.Join("docs", "operations.md")
	commands := pageCommands(t, page)
	seen := map[string]bool{}
	for section, lines := range commands {
		for _, args := range lines {
			var c cli
			parser, err := kong.New(&c, kong.Writers(io.Discard, io.Discard), kong.Exit(func(int) {}))
			require.NoError(t, err)
			_, err = parser.Parse(args)
			require.NoError(t, err, "%s: refill %s", section, strings.Join(args, " "))
			seen[args[0]] = true
		}
	}
	for _, name := range []string{"serve", "stripe", "backup", "restore", "audit", "audit-log", "migrate", "readmit", "healthcheck"} {
		require.True(t, seen[name], "the page tells of refill %s", name)
	}

	root := t.TempDir()
	at := place{data: filepath.Join(root, "var", "lib", "refill")}
	require.NoError(t, os.MkdirAll(filepath.Join(root, "var", "backups", "refill"), 0o700))
	setUp(t, at)
	for _, section := range []string{"Back up", "Restore", "Upgrade", "Watch"} {
		require.NotEmpty(t, commands[section], section)
		for _, args := range commands[section] {
			if args[0] == "restore" && len(args) == 1 {
				continue // of compose
			}
			here := []string{args[0]}
			for _, a := range append(args[1:], "--database-url", "") {
				here = append(here, strings.Replace(a, "/var/", root+"/var/", 1))
			}
			code, said := ran(t, here...)
			require.Zero(t, code, "refill %s: %s", strings.Join(args, " "), said)
		}
	}
}

// What the page names exists: pages of the portal, metrics, variables and documents.
func TestTheOperatorsPageNamesWhatThereIs(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(filepath.Join("docs", "operations.md"))
	require.NoError(t, err)
	var routes bytes.Buffer
	require.Zero(t, run(t.Context(), []string{"routes"}, &routes, io.Discard))
	for _, m := range regexp.MustCompile("`(/[a-z/-]+)`").FindAllStringSubmatch(string(text), -1) {
		if !strings.HasPrefix(m[1], "/var/") {
			require.Regexp(t, `(?m)^GET +`+m[1]+` `, routes.String(), m[1])
		}
	}
	program := source(t, "main.go") + source(t, filepath.Join("handlers", "metrics", "*.go"))
	for _, m := range regexp.MustCompile("`refill_([a-z_]+)`").FindAllStringSubmatch(string(text), -1) {
		require.Regexp(t, `"(refill_)?`+m[1]+`"`, program, "a metric")
	}
	for _, m := range regexp.MustCompile(`REFILL_[A-Z_]+`).FindAllString(string(text), -1) {
		require.Contains(t, program, `env:"`+m+`"`, "a variable")
	}
	for _, m := range regexp.MustCompile(`\]\(([^)#]+)[^)]*\)`).FindAllStringSubmatch(string(text), -1) {
		require.FileExists(t, filepath.Join("docs", m[1]))
	}
}

// source is the text of files.
func source(t *testing.T, pattern string) string {
	t.Helper()
	files, err := filepath.Glob(pattern)
	require.NoError(t, err)
	require.NotEmpty(t, files)
	var out strings.Builder
	for _, f := range files {
		text, err := os.ReadFile(f)
		require.NoError(t, err)
		out.Write(text)
	}
	return out.String()
}
