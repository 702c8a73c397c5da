package handlers

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"refill/billing"
)

// FuzzReturnTo: an address that came from outside leads to a path of ours, in a
// library's reading and in a browser's, or nowhere.
func FuzzReturnTo(f *testing.F) {
	for _, s := range HostileTargets() {
		f.Add(s)
	}
	f.Add("/history?type=used#x")
	f.Add("/" + strings.Repeat("\xa8", maxNext/2)) // three times as long once it is escaped
	ours, err := url.Parse("https://refill.test/sign-in")
	require.NoError(f, err)
	f.Fuzz(func(t *testing.T, raw string) {
		to := localPath(raw)
		if to == "" {
			return
		}
		require.LessOrEqual(t, len(to), maxNext)
		require.Regexp(t, `^/([^/\\]|$)`, to)
		require.NotContains(t, to, "\\")
		require.False(t, strings.ContainsFunc(to, func(r rune) bool { return r <= ' ' || r == 0x7f }), "%q", to)
		u, err := ours.Parse(to)
		require.NoError(t, err)
		require.Equal(t, "https://refill.test", u.Scheme+"://"+u.Host)
		require.Nil(t, u.User)
		// Nor does it once a careless proxy has unescaped and tidied it.
		require.NotContains(t, strings.ReplaceAll(u.Path, "\\", "/"), "//", "%q", to)
		require.Equal(t, to, localPath(to), "it is as it stays")
	})
}

// HostileTargets are addresses that have led elsewhere in one program or another.
func HostileTargets() []string {
	return []string{
		"//evil.example", "///evil.example", "////evil.example", "/\\evil.example", "\\\\evil.example", "\\/evil.example", "https://evil.example", "https:evil.example", "https:/evil.example", "http:///evil.example",
		"HTTPS://EVIL.EXAMPLE", "/%2fevil.example", "/%5cevil.example", "/%2F%2Fevil.example", "%2f%2fevil.example", "/\t/evil.example", "/\n/evil.example", "/\r\n/evil.example", "/%09/evil.example", "/%0a/evil.example",
		"javascript:alert(1)", "java\tscript:alert(1)", "data:text/html,x", "evil.example", "//evil.example@refill.test/", "https://refill.test@evil.example/", "//refill.test.evil.example", "/.//evil.example", "/..//evil.example", "/./\\evil.example",
		"/%252fevil.example", "//evil%E3%80%82example", "/〱evil.example", "//[::1]/", "//2130706433/", "?next=//evil.example", "#//evil.example", "/;//evil.example", " //evil.example", "\u00a0//evil.example", "/\u2028/evil.example", "/\x00/evil.example",
	}
}

// FuzzHostName: the name that a request came to is read without its port, in small
// letters, and a label of it that is looked up is a label.
func FuzzHostName(f *testing.F) {
	for _, s := range []string{"refill.test", "REFILL.TEST:443", "[::1]:80", "::1", "a:b:c", "a.b@c.d", "northwind.refill.test.", "", ":", "[", "]", "x\x00y", "ﬁ.refill.test", "a b", "%41.refill.test"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, host string) {
		name := hostName(&http.Request{Host: host})
		require.Equal(t, strings.ToLower(name), name)
		require.LessOrEqual(t, len(name), len(strings.ToLower(host)))
		if label, below := strings.CutSuffix(name, ".refill.test"); below && hostLabel.MatchString(label) {
			require.Regexp(t, `^[a-z0-9-]{1,63}$`, label)
			require.True(t, strings.HasPrefix(strings.ToLower(host), label+".refill.test"), "%q is read as %q", host, label)
		}
	})
}

// FuzzCell: no cell that somebody else wrote is one that a spreadsheet takes for a
// formula, and what is harmless stays as it was.
func FuzzCell(f *testing.F) {
	for _, s := range []string{"=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", " =1", "'=1", "\"=1", "＝1", "%0A=1", "|calc", "\x00=1", "\u00a0=1", "plain", "1 - 2", "", "\ufeff=1", "\u200b=1"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		cell := text(s)
		require.True(t, cell == s || cell == "'"+s, "%q became %q", s, cell)
		require.False(t, strings.ContainsAny(cell[:min(1, len(cell))], "=+-@\t\r\n|%"), "%q", cell)
		if lead := strings.TrimLeft(s, " \"'"); cell == s && lead != "" {
			require.False(t, strings.ContainsAny(lead[:1], "=+-@\t\r\n"), "%q stays", s)
		}
	})
}

// FuzzDays: two typed dates are a period within bounds, or an error that names a
// field.
func FuzzDays(f *testing.F) {
	for _, d := range [][2]string{{"2026-01-01", "2026-01-31"}, {"2026-02-30", "2026-03-01"}, {"0001-01-01", "9999-12-31"}, {"2026-01-02", "2026-01-01"}, {"", ""}, {"2999-12-31", "2999-12-31"}, {"2026-1-1", "２０２６-01-01"}, {"-2026-01-01", "2026-01-01T00:00:00Z"}} {
		f.Add(d[0], d[1], true)
		f.Add(d[0], d[1], false)
	}
	f.Fuzz(func(t *testing.T, from, to string, open bool) {
		err := days{from: from, to: to, until: "To", open: open}.check()
		if err != nil {
			wrong, ok := err.(wrongDaysError) //nolint:errorlint // it is what is returned, not wrapped
			require.True(t, ok)
			require.NotEmpty(t, wrong)
			for _, w := range wrong {
				require.Contains(t, []string{"from", "to"}, w.Field)
				require.NotEmpty(t, w.Text)
			}
			return
		}
		var at [2]time.Time
		for i, typed := range []string{from, to} {
			if typed == "" {
				require.True(t, open)
				return
			}
			var err error
			at[i], err = time.Parse(time.DateOnly, typed)
			require.NoError(t, err)
			require.Equal(t, typed, at[i].Format(time.DateOnly))
			require.True(t, possible(at[i]))
		}
		require.False(t, at[1].Before(at[0]))
		if !open {
			require.Less(t, at[1].Sub(at[0]), billing.MaxUsageDays*24*time.Hour)
		}
	})
}
