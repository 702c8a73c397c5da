package stripesim

import (
	"net/url"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestParseForm(t *testing.T) {
	t.Parallel()
	for encoded, want := range map[string]map[string]string{
		"":                            {},
		"a=1":                         {"a": "1"},
		"a=1&a=2":                     {"a": "2"},
		"a[b][0][c]=1":                {"a[b][0][c]": "1"},
		"a%5Bb%5D%5B0%5D%5Bc%5D=%24+": {"a[b][0][c]": "$ "},
		"e[]=x&e[]=y":                 {"e[0]": "x", "e[1]": "y"},
		"l[][p]=1&l[][q]=2&l[][p]=3":  {"l[0][p]": "1", "l[0][q]": "2", "l[1][p]": "3"},
		"l[][d][c]=1&l[][d][u]=2":     {"l[0][d][c]": "1", "l[0][d][u]": "2"},
		"metadata[0]=x":               {"metadata[0]": "x"},
	} {
		f, e := parseForm(encoded)
		require.Nil(t, e, encoded)
		require.Equal(t, want, f.values, encoded)
	}
	for _, bad := range []string{"[a]=1", "a[=1", "a]=1", "a[b]c=1", "%zz=1", "a=%zz", "a[b][c][d][e][f][g]=1"} {
		_, e := parseForm(bad)
		require.NotNil(t, e, bad)
	}
}

func TestPattern(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{
		"mode":                             "mode",
		"line_items[12][quantity]":         "line_items[][quantity]",
		"metadata[7]":                      "metadata[*]",
		"payment_intent_data[metadata][a]": "payment_intent_data[metadata][*]",
		"created[gte]":                     "created[gte]",
	} {
		require.Equal(t, want, pattern(name))
	}
}

func TestFingerprint(t *testing.T) {
	t.Parallel()
	read := func(s string) string {
		f, e := parseForm(s)
		require.Nil(t, e)
		return f.fingerprint()
	}
	require.Equal(t, read("a=1&b[c]=2"), read("b[c]=2&a=1"))
	require.NotEqual(t, read("a=1&b=2"), read("a=1%26b=2"))
	require.NotEqual(t, read("a=1"), read("a=2"))
}

// FuzzParseForm: no text breaks the decoder, and what it read it reads again.
func FuzzParseForm(f *testing.F) {
	for _, seed := range []string{"a=1", "a[b][0][c]=1", "e[]=x&e[]=y", "l[][p]=1&l[][p]=2", "a[=&]=", "%", "metadata[a][b]=c"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, encoded string) {
		first, e := parseForm(encoded)
		if e != nil {
			require.Nil(t, first)
			return
		}
		q := url.Values{}
		for name, value := range first.values {
			require.NotEmpty(t, pattern(name))
			q.Set(name, value)
		}
		again, e := parseForm(q.Encode())
		require.Nil(t, e)
		require.Equal(t, first.values, again.values)
	})
}

func TestCards(t *testing.T) {
	t.Parallel()
	for _, c := range testCards() {
		require.True(t, validNumber(c.Number), c.Number)
	}
	for _, bad := range []string{"", "4242", "4242424242424241", "4242x24242424242", "42424242424242424242"} {
		require.False(t, validNumber(bad), bad)
	}
	require.Equal(t, "4242424242424242", digits(" 4242-4242 4242\u00a04242"))
}

func TestExpiryDate(t *testing.T) {
	t.Parallel()
	for text, want := range map[string][2]int{"12/34": {12, 2034}, "12 / 34": {12, 2034}, "01/2031": {1, 2031}, "0131": {1, 2031}} {
		month, year, ok := readExpiryDate(text)
		require.True(t, ok, text)
		require.Equal(t, want, [2]int{month, year}, text)
	}
	for _, bad := range []string{"", "13/30", "00/30", "1/30", "12/3", "ab/cd"} {
		_, _, ok := readExpiryDate(bad)
		require.False(t, ok, bad)
	}
}
