package handlers_test

import (
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/PuerkitoBio/goquery"
	"github.com/stretchr/testify/require"

	"refill/models"
	"refill/models/modelstest"
)

// words are an element's text with single blanks.
func words(s *goquery.Selection) string { return strings.Join(strings.Fields(s.Text()), " ") }

// TestFleetUsageIsOneNumber holds every grouping and filter of the page across
// agencies against what was charged, the file included.
func TestFleetUsageIsOneNumber(t *testing.T) {
	t.Parallel()
	modelstest.Each(t, func(t *testing.T, db *models.DB) {
		p := newPortal(t, db)
		north, blue := p.use("agency:northwind", 12), p.use("agency:bluebird", 7)
		p.clock.set(p.clock.Now().Add(26 * time.Hour)) // a day is rolled
		require.NoError(t, p.billing.RunDue(t.Context(), p.clock.Now()))
		admin := p.as("admin")
		for filter, want := range map[string]models.Credits{
			"": north + blue, "?g=plan": north + blue, "?g=model&i=hour&p=7d": north + blue, "?g=action&i=month": north + blue,
			"?g=bucket&p=cycle": north + blue, "?v=cumulative&cmp=1&g=agency": north + blue, "?agency=northwind": north, "?agency=bluebird&g=agency": blue,
			"?plan=-": 0, "?p=custom&from=2020-01-01&to=2020-01-31": 0,
		} {
			answer := admin.get("/admin/usage" + filter)
			require.Equal(t, http.StatusOK, answer.StatusCode, filter)
			require.Equal(t, want, column(t, admin.get("/admin/usage.csv"+filter), "credits"), filter)
			text := words(answer.doc().Find("main"))
			if want == 0 {
				require.Regexp(t, "No usage in this period|Nothing matches these filters", text, filter)
				continue
			}
			require.Contains(t, text, fmt.Sprintf("%d credits used", want/models.Credit), filter)
			require.Contains(t, text, "in UTC, the platform's time zone", filter)
			answer.doc().Find("[data-total]").Each(func(_ int, total *goquery.Selection) {
				require.Equal(t, strconv.FormatInt(int64(want/models.Credit), 10), strings.ReplaceAll(total.Text(), ",", ""), filter)
			})
		}
		require.NoError(t, p.billing.SetSetting(t.Context(), "time_zone", "Asia/Tokyo"))
		require.Contains(t, words(admin.get("/admin/usage").doc().Find("main")), "in Asia/Tokyo, the platform's time zone")
		require.Equal(t, north+blue, column(t, admin.get("/admin/usage.csv"), "credits"))
		require.Contains(t, admin.get("/admin/usage.csv").body, "+09:00")
	})
}

// TestFleetUsageKeepsThePeriod follows the links of the page across agencies.
func TestFleetUsageKeepsThePeriod(t *testing.T) {
	t.Parallel()
	p := sqlite(t)
	p.use("agency:northwind", 6)
	p.use("agency:bluebird", 3)
	admin := p.as("admin")
	doc := admin.get("/admin/usage?p=7d&i=hour&v=cumulative&cmp=1").doc()
	names := doc.Find("table.names tbody tr")
	require.Equal(t, 2, names.Length())
	to, err := url.Parse(names.First().Find("th a").AttrOr("href", ""))
	require.NoError(t, err)
	require.Equal(t, "/admin/usage", to.Path)
	for key, value := range map[string]string{"p": "7d", "i": "hour", "v": "cumulative", "cmp": "1", "agency": "northwind"} {
		require.Equal(t, value, to.Query().Get(key), key)
	}
	require.Equal(t, "/admin/agencies/"+p.northwind.ID.String(), names.First().Find("td a").AttrOr("href", ""))
	require.Equal(t, 2, doc.Find(".minis li").Length())
	require.Regexp(t, `^Northwind.*: \d+ credits in \d+ bars?, the highest .* with \d+$`, doc.Find(".minis svg").First().AttrOr("aria-label", ""))
	require.Equal(t, to.String(), doc.Find(".minis a").First().AttrOr("href", ""), "a small chart leads there as well")

	one := admin.get(to.String()).doc()
	require.Equal(t, "/admin/agencies/"+p.northwind.ID.String(), one.Find("main a.more").First().AttrOr("href", ""))
	require.Zero(t, one.Find(".minis").Length())
	require.Equal(t, "northwind", one.Find("select[name=agency] option[selected]").AttrOr("value", ""))
	require.Equal(t, "model", one.Find("select[name=g] option[selected]").AttrOr("value", ""))
	cleared, err := url.Parse(one.Find(".active a").First().AttrOr("href", ""))
	require.NoError(t, err)
	require.Equal(t, "7d", cleared.Query().Get("p"))
	require.Empty(t, cleared.Query().Get("agency"))

	require.Equal(t, http.StatusNotFound, admin.get("/admin/usage?agency=nobody").StatusCode)
	require.Equal(t, http.StatusNotFound, admin.get("/admin/usage.csv?agency=nobody").StatusCode)
	for _, who := range []string{"owner", "client"} {
		require.Equal(t, http.StatusForbidden, p.as(who).get("/admin/usage").StatusCode, who)
		require.Equal(t, http.StatusForbidden, p.as(who).get("/admin/usage.csv").StatusCode, who)
	}
}
