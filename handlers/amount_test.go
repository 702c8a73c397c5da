package handlers

import (
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"refill/models"
	"refill/views/format"
)

func TestTypedCredits(t *testing.T) {
	t.Parallel()
	for typed, want := range map[string]string{
		"1000": "1000", "1,000": "1000", "1 000": "1000", "1\u00a0000": "1000", "1\u2009000": "1000", "1\u202f000": "1000", "12,345,678": "12345678",
		"1,000.5": "1000.5", "1 000.25": "1000.25", " 5 ": "5", "0.125": "0.125", "1000.125": "1000.125", "1.0000": "1", "1.5": "1.5",
	} {
		got, err := typedCredits(typed)
		require.NoError(t, err, "%q", typed)
		require.Equal(t, want, got.String(), "%q", typed)
	}
	for typed, says := range map[string]string{
		"1.000":   "The number of credits, 1.000, can be read in two ways. Enter 1000 or 1 instead.",
		"12.125":  "The number of credits, 12.125, can be read in two ways. Enter 12125 or 12.1250 instead.",
		"999.250": "The number of credits, 999.250, can be read in two ways. Enter 999250 or 999.25 instead.",
		"":        notAnAmount, "many": notAnAmount, "1,00": notAnAmount, "1,000,5": notAnAmount, "1.000.000": notAnAmount, "1,000 000": notAnAmount,
		"10 00": notAnAmount, "1.000,50": notAnAmount, "1e3": notAnAmount,
	} {
		_, err := typedCredits(typed)
		require.Error(t, err, "%q", typed)
		require.Equal(t, says, amountText(err), "%q", typed)
	}
}

// What the product writes into a field or a link is read back, to the last digit.
func TestTypedReadsWhatIsWritten(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		amount := models.Credits(rapid.Int64Range(0, int64(models.MaxCharge)).Draw(t, "amount"))
		if rapid.Bool().Draw(t, "three decimals") {
			amount = amount / 1000 * 1000
		}
		for _, text := range []string{format.Typed(amount), format.Credits(amount / models.Credit * models.Credit)} {
			got, err := typedCredits(text)
			require.NoError(t, err, text)
			if text == format.Typed(amount) {
				require.Equal(t, amount, got)
			}
		}
	})
}
