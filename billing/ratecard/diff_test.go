package ratecard_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"refill/billing/ratecard"
	"refill/models"
)

func TestDiffTellsEveryDifference(t *testing.T) {
	t.Parallel()
	least, most := 6*models.Credit, 20*models.Credit
	long := ratecard.Rate{
		Action: "ai.draft", Base: 5 * models.Credit, Minimum: &least, Maximum: &most,
		Components: []ratecard.Component{{Measure: "characters", Above: 2000 * ratecard.One, Size: 5000 * ratecard.One, Credits: models.Credit / 2}},
	}
	before := []ratecard.Rate{
		{Action: "ai.reply", Base: models.Credit},
		{Action: "ai.reply", Model: "gpt-4", Base: 25 * models.Credit},
		{Action: "ai.crawl", Base: models.Credit},
		{Action: "ai.draft", Base: 5 * models.Credit},
	}
	after := []ratecard.Rate{
		long,
		{Action: "ai.reply", Base: models.Credit},
		{Action: "ai.reply", Model: "gpt-4", Base: 30 * models.Credit},
		{Action: "ai.label", Base: 0},
	}
	var words []string
	for _, c := range ratecard.Diff(before, after) {
		words = append(words, c.Words())
	}
	require.Equal(t, []string{
		"ai.draft: 5 → 5 + 0.5 per 5000 characters above 2000, at least 6, at most 20",
		"ai.reply gpt-4: 25 → 30",
		"ai.label added: 0",
		"ai.crawl removed: it was 1",
	}, words)
	require.Empty(t, ratecard.Diff(after, after))
	require.Len(t, ratecard.Diff(nil, after), 4)
	require.Len(t, ratecard.Diff(after, nil), 4)
}
