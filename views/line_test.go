package views_test

import (
	"strings"
	"testing"

	"github.com/PuerkitoBio/goquery"
	"github.com/stretchr/testify/require"

	"refill/models"
	"refill/views"
)

func lineText(t *testing.T, l views.Line) *goquery.Document {
	t.Helper()
	var html strings.Builder
	l.Frame.Brand = "Refill"
	require.NoError(t, views.LinePage(l).Render(t.Context(), &html))
	doc, err := goquery.NewDocumentFromReader(strings.NewReader(html.String()))
	require.NoError(t, err)
	return doc
}

func TestLineSaysWhoPaid(t *testing.T) {
	t.Parallel()
	const one = models.Credit
	reply := &views.ChargeFacts{Action: "ai.reply", Model: "gpt-4-turbo", Credits: 10 * one}
	test := &views.ChargeFacts{Action: "ai.reply", Model: "gpt-4", Credits: 25 * one, Test: true}
	for _, c := range []struct {
		line     views.Line
		title    string
		sentence string
	}{
		{
			views.Line{Kind: views.LineUsed, Charge: reply, Change: -10 * one, Moves: []views.Move{
				{Bucket: models.BucketPlan, Credits: 5 * one},
				{Bucket: models.BucketPlan, Credits: 3 * one},
				{Bucket: models.BucketPurchased, Credits: one},
				{Bucket: models.BucketExcess, Credits: one},
			}},
			"1 reply · GPT-4 Turbo",
			"10 credits used: 8 plan credits, 1 purchased credit and 1 in excess usage.",
		},
		{views.Line{Kind: views.LineUsed, Charge: test}, "Test: 1 reply · GPT-4", "This was a test. It would have cost 25 credits; nothing was charged."},
		{
			views.Line{Kind: views.LineHeld, Charge: reply, Change: -one, Moves: []views.Move{{Bucket: models.BucketBonus, Credits: one}}},
			"Held, in use now: 1 reply · GPT-4 Turbo",
			"1 credit set aside for work that is still running: 1 bonus credit.",
		},
		{views.Line{Kind: views.LineReversed, Charge: reply, Change: 10 * one}, "Charge reversed: 1 reply · GPT-4 Turbo", "10 credits added to the balance."},
		{
			views.Line{Kind: views.LinePlanExpired, Change: -40_000 * one, Moves: []views.Move{{Bucket: models.BucketPlan, Credits: 40_000 * one}}},
			"Plan credits expired",
			"40,000 credits taken off the balance: 40,000 plan credits.",
		},
		{views.Line{Kind: views.LineAdjustment}, "Adjustment", "The balance did not change."},
	} {
		doc := lineText(t, c.line)
		require.Equal(t, c.title, doc.Find("h1").Text())
		require.Equal(t, c.sentence, doc.Find("main p strong").First().Text())
		require.True(t, strings.HasPrefix(doc.Find("title").Text(), c.title), "the window has the line's title")
	}
}

func TestLineHidesCostsFromClients(t *testing.T) {
	t.Parallel()
	l := views.Line{Kind: views.LineUsed, Change: -models.Credit, Moves: []views.Move{
		{Bucket: models.BucketPlan, Credits: models.Credit, UnitCost: 400_000, Currency: "usd", Expires: models.Never},
	}}
	require.NotContains(t, lineText(t, l).Text(), "$")
	l.Costs = true
	require.Contains(t, lineText(t, l).Text(), "$0.0040")
}

func TestLineExplainsEachPart(t *testing.T) {
	t.Parallel()
	const one = models.Credit
	l := views.Line{Kind: views.LineUsed, Charge: &views.ChargeFacts{Action: "ai.draft", Credits: 8 * one, Version: 3, Parts: []views.PricePart{
		{Kind: views.PartBase, Units: 1, Each: 5 * one, Credits: 5 * one},
		{Kind: views.PartComponent, Measure: "input_tokens", Quantity: 2_500_000_000, Above: 1_000_000_000, Size: 500_000_000, Units: 3, Each: one / 2, Credits: 3 * one / 2},
		{Kind: views.PartComponent, Measure: "pages", Quantity: 1_000_000, Size: 1_000_000, Units: 1, Each: one, Credits: one},
		{Kind: views.PartMinimum, Units: 1, Each: one / 2, Credits: one / 2},
	}}}
	var rows []string
	lineText(t, l).Find(".pricing tbody tr").Each(func(_ int, row *goquery.Selection) {
		rows = append(rows, row.Find("th").Text()+" | "+row.Find("td").Text())
	})
	require.Equal(t, []string{
		"1 draft, base rate | 1 × 5 = 5",
		"2,500 input tokens, of them 1,500 above the first 1,000, in 3 started blocks of 500 | 3 × 0.5 = 1.5",
		"1 page | 1 × 1 = 1",
		"Up to the minimum | +0.5",
	}, rows)
}
