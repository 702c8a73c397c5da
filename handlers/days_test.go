package handlers_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestDatesAreNeverReplaced asks every page and file with dates for a period that
// is none: each says which field is wrong and what to do, and none shows another.
func TestDatesAreNeverReplaced(t *testing.T) {
	t.Parallel()
	p := sqlite(t)
	p.use("agency:northwind", 3)
	type dates struct{ from, to, field, says string }
	both := []dates{
		{"2026-11-01", "2026-10-01", "to", "is before From"},
		{"zz", "yy", "from", "Enter a date in From, such as 2026-11-01."},
		{"2026-02-31", "2026-03-01", "from", "Enter a date in From"},
		{"1000-01-01", "1000-01-02", "from", "between the years 2000 and 2999"},
	}
	closed := append([]dates{
		{"1000-01-01", "9999-12-31", "to", "span more than 366 days"},
		{"2026-01-01", "2027-01-02", "to", "span more than 366 days"},
		{"2026-03-01", "", "to", "Enter a date in To, such as 2026-11-01."},
		{"", "", "from", "Enter a date in From"},
	}, both...)
	for _, page := range []struct {
		who, path, query string
		dates            []dates
	}{
		{"owner", "/usage", "p=custom", closed},
		{"client", "/usage", "p=custom", closed},
		{"admin", "/admin/usage", "p=custom&g=agency", closed},
		{"owner", "/history", "type=used", append([]dates{{"", "zz", "to", "Enter a date in Until"}}, both...)},
	} {
		b := p.as(page.who)
		for _, d := range page.dates {
			query := "?" + page.query + "&" + url.Values{"from": {d.from}, "to": {d.to}}.Encode()
			a := b.get(page.path + query)
			require.Equal(t, http.StatusUnprocessableEntity, a.StatusCode, page.path+query)
			doc := a.doc()
			require.True(t, strings.HasPrefix(doc.Find("title").Text(), "Error: "), query)
			require.Contains(t, doc.Find("#"+d.field+"-error").Text(), d.says, query)
			require.Contains(t, doc.Find(`.errors a[href="#`+d.field+`"]`).Text(), d.says, query)
			require.Equal(t, 1, doc.Find("#"+d.field+"[aria-invalid=true]").Length(), query)
			require.Equal(t, d.from, doc.Find("[name=from]").AttrOr("value", ""), "what was typed is kept")
			require.Equal(t, d.to, doc.Find("[name=to]").AttrOr("value", ""), "what was typed is kept")
			_, open := doc.Find("details.filters").Attr("open")
			require.True(t, open, "the field is in sight")
			require.NotContains(t, doc.Find("main").Text(), "credits used", "no period, no numbers")
			require.Zero(t, doc.Find("main table").Length(), query)

			file := b.get(page.path + ".csv" + query)
			require.Equal(t, http.StatusUnprocessableEntity, file.StatusCode, page.path+".csv"+query)
			require.NotContains(t, file.Header.Get("Content-Type"), "csv")
			require.Contains(t, file.doc().Find("main").Text(), d.says, query)
			form, ok := file.doc().Find("main a").Attr("href")
			require.True(t, ok)
			require.Equal(t, http.StatusUnprocessableEntity, b.get(form).StatusCode, "and the way back to the form")
			require.True(t, strings.HasPrefix(form, page.path+"?"), form)
		}
		require.Equal(t, http.StatusOK, b.get(page.path+"?"+page.query+"&from=2026-01-01&to=2027-01-01").StatusCode, "366 days fit")
	}
	// What else is unknown falls back, and the page names what it shows.
	require.Contains(t, p.as("owner").get("/usage?p=nonsense&i=minute").main(), "This cycle")
}
