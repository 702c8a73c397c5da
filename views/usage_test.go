package views_test

import (
	"fmt"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/PuerkitoBio/goquery"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"refill/models"
	"refill/views"
	"refill/views/format"
)

// X9: the sentence, the figure, both tables and the chart say one total.
func TestUsageTotalsAreEqual(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		u := anyUsage(rt)
		doc := page(t, u)
		total := format.Credits(totalOf(u))
		require.Equal(rt, total, doc.Find("[data-total=names]").Text())
		require.Equal(rt, total, doc.Find("[data-total=numbers]").Text())
		require.Equal(rt, total, doc.Find(".facts dd").First().Text())
		require.True(rt, strings.HasPrefix(doc.Find("#used").Parent().Parent().Find("p strong").First().Text(), total+" credit"))

		numbers := doc.Find(".numbers tbody tr")
		require.Equal(rt, len(u.Starts), numbers.Length())
		var sum models.Credits
		numbers.Each(func(_ int, row *goquery.Selection) { sum += parsed(rt, row.Find("td").First().Text()) })
		require.Equal(rt, totalOf(u), sum, "the days add up")

		var names models.Credits
		doc.Find(".names tbody tr").Each(func(_ int, row *goquery.Selection) {
			cells := row.Find("td")
			names += parsed(rt, cells.Eq(cells.Length()-2).Text())
		})
		require.Equal(rt, totalOf(u), names, "the names add up")

		var bars models.Credits
		doc.Find(".chart:not(.narrow) g > title").Each(func(_ int, title *goquery.Selection) {
			first, _, _ := strings.Cut(title.Text(), "\n")
			bars += parsed(rt, regexp.MustCompile(`: (\S+) credits?$`).FindStringSubmatch(first)[1])
		})
		require.Equal(rt, totalOf(u), bars, "the bars add up")
	})
}

// anyUsage draws a page of whole credits, so that every cell shows all of them.
func anyUsage(t *rapid.T) views.Usage {
	n := rapid.IntRange(1, 60).Draw(t, "days")
	from := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	u := views.Usage{
		Base: "/usage", Unit: views.IntervalDay, Filter: views.ParseUsageFilter(nil),
		From: models.At(from), To: models.At(from.AddDate(0, 0, n)),
		Frame: views.Frame{Title: "Usage", Brand: "Refill", Now: models.At(from.AddDate(0, 0, n))},
	}
	for i := range n {
		u.Starts = append(u.Starts, models.At(from.AddDate(0, 0, i)))
	}
	for range rapid.IntRange(1, 70).Draw(t, "names") {
		row := views.UsageShare{Name: rapid.StringMatching(`[A-Za-z0-9 ]{1,10}`).Draw(t, "name"), Units: 1}
		for range n {
			row.Values = append(row.Values, models.Credits(rapid.Int64Range(0, 90_000).Draw(t, "credits"))*models.Credit)
		}
		u.Rows = append(u.Rows, row)
	}
	return u
}

func page(t *testing.T, u views.Usage) *goquery.Document {
	t.Helper()
	var html strings.Builder
	require.NoError(t, views.UsagePage(u).Render(t.Context(), &html))
	doc, err := goquery.NewDocumentFromReader(strings.NewReader(html.String()))
	require.NoError(t, err)
	return doc
}

func totalOf(u views.Usage) (total models.Credits) {
	for _, r := range u.Rows {
		total += r.Credits()
	}
	return total
}

func parsed(t *rapid.T, text string) models.Credits {
	c, err := models.ParseCredits(strings.ReplaceAll(text, ",", ""))
	require.NoError(t, err)
	return c
}

// An address says everything a page shows, and what it says is read back whole.
func TestUsageFilterRoundTrip(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		q := url.Values{}
		for _, key := range []string{"p", "g", "i", "v", "cmp", "from", "to", "sub", "model", "action", "agency", "plan"} {
			if rapid.Bool().Draw(t, key) {
				q.Set(key, rapid.OneOf(
					rapid.SampledFrom([]string{"1", "custom", "90d", "hour", "month", "bucket", "agency", "plan", "cumulative", "2026-02-28", "2026-03-01", "2026-02-31"}),
					rapid.String(),
				).Draw(t, "value"))
			}
		}
		f := views.ParseUsageFilter(q)
		require.Equal(t, f, views.ParseUsageFilter(f.Values()))
		f = views.ParseFleetFilter(q)
		require.Equal(t, f, views.ParseFleetFilter(f.Values()))
		h := views.ParseHistoryFilter(q)
		require.Equal(t, h, views.ParseHistoryFilter(h.Values()))
	})
}

func TestUsageFilterFallsBackToThePageThereIs(t *testing.T) {
	t.Parallel()
	for address, want := range map[string]string{
		"p=forever&g=colour&i=minute&v=pie":  "",
		"p=90d&cmp=1&model=gpt-4":            "cmp=1&model=gpt-4&p=90d",
		"p=7d&from=2026-03-01&to=2026-03-02": "p=7d",
		"sub=" + strings.Repeat("x", 201):    "",
		// Dates are never replaced by others, right or wrong.
		"p=custom&from=2026-03-05&to=2026-03-01": "from=2026-03-05&p=custom&to=2026-03-01",
		"p=custom&from=2026-02-31&to=":           "from=2026-02-31&p=custom",
		"from=2026-03-01&to=2026-03-02":          "from=2026-03-01&p=custom&to=2026-03-02",
		"to=%ff":                                 "p=custom&to=%3F",
	} {
		q, err := url.ParseQuery(address)
		require.NoError(t, err)
		require.Equal(t, want, views.ParseUsageFilter(q).Values().Encode(), address)
	}
	require.NotEmpty(t, views.ParseHistoryFilter(url.Values{"from": {strings.Repeat("9", 300)}}).From)
}

// Earlier and Later tile time, through a night that is an hour shorter.
func TestUsagePeriodsTile(t *testing.T) {
	t.Parallel()
	paris, err := time.LoadLocation("Europe/Paris")
	require.NoError(t, err)
	from := time.Date(2026, 3, 27, 0, 0, 0, 0, paris)
	u := views.Usage{
		Base: "/usage", Unit: views.IntervalDay,
		Filter: views.ParseUsageFilter(url.Values{"p": {"custom"}, "from": {"2026-03-27"}, "to": {"2026-03-29"}}),
		From:   models.At(from), To: models.At(from.AddDate(0, 0, 3)),
		Frame: views.Frame{Title: "Usage", Zone: paris, Now: models.At(from.AddDate(0, 1, 0))},
	}
	doc := page(t, u)
	require.Equal(t, "/usage?from=2026-03-24&p=custom&to=2026-03-26", doc.Find("#earlier").AttrOr("href", ""))
	require.Equal(t, "/usage?from=2026-03-30&p=custom&to=2026-04-01", doc.Find("#later").AttrOr("href", ""))
}

// X9 across agencies: the agencies' list, the small charts' numbers and the chart
// beside them say one total, under every grouping.
func TestFleetUsageTotalsAreEqual(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		u := anyUsage(rt)
		u.Base, u.Filter = "/admin/usage", views.ParseFleetFilter(url.Values{"g": {rapid.SampledFrom([]string{"agency", "plan", "model"}).Draw(rt, "group")}})
		u.PreviousName = rapid.SampledFrom([]string{"", "the 30 days before"}).Draw(rt, "than")
		v := views.FleetUsage{Usage: u, Each: u.Rows}
		for i := range v.Each {
			v.Each[i].Name = fmt.Sprintf("%d %s", i, v.Each[i].Name)
			v.Each[i].Previous = models.Credits(rapid.Int64Range(0, 1_000_000).Draw(rt, "before")) * models.Credit
		}
		if u.Filter.Group != views.GroupAgency { // other names, the same credits
			v.Rows = []views.UsageShare{{Name: "All of it", Values: make([]models.Credits, len(u.Starts))}}
			for _, r := range v.Each {
				v.Rows[0].Previous += r.Previous
				for i, c := range r.Values {
					v.Rows[0].Values[i] += c
				}
			}
		}
		var html strings.Builder
		require.NoError(rt, views.FleetUsagePage(v).Render(t.Context(), &html))
		doc, err := goquery.NewDocumentFromReader(strings.NewReader(html.String()))
		require.NoError(rt, err)
		total := totalOf(u)
		totals := doc.Find("[data-total]")
		totals.Each(func(_ int, cell *goquery.Selection) { require.Equal(rt, format.Credits(total), cell.Text()) })
		list := doc.Find("table.names").Last()
		require.Equal(rt, "Agency", list.Find("thead th").First().Text())
		var listed models.Credits
		list.Find("tbody tr").Each(func(_ int, row *goquery.Selection) { listed += parsed(rt, row.Find("td").Eq(1).Text()) })
		require.Equal(rt, total, listed, "the agencies add up")

		minis, numbers := doc.Find(".minis li"), doc.Find("#each").Parent().Find(".numbers")
		require.Equal(rt, min(12, len(v.Each)), minis.Length())
		require.LessOrEqual(rt, numbers.Find("tbody tr").Length(), 31)
		minis.Each(func(i int, mini *goquery.Selection) {
			label, note := mini.Find("svg").AttrOr("aria-label", ""), mini.Find("p").Text()
			said, _, _ := strings.Cut(note, " credit")
			require.Contains(rt, label, ": "+said+" credit")
			require.Equal(rt, said, numbers.Find("tfoot td").Eq(i).Text())
			var bars models.Credits
			numbers.Find("tbody tr").Each(func(_ int, row *goquery.Selection) { bars += parsed(rt, row.Find("td").Eq(i).Text()) })
			require.Equal(rt, parsed(rt, said), bars)
		})
	})
}
