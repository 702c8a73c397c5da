package models_test

import (
	"encoding/json"
	"math"
	"math/big"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"refill/models"
)

func TestCreditsText(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]models.Credits{
		"0": 0, "1": 1_000_000, "0.5": 500_000, "-3.25": -3_250_000, "12.000001": 12_000_001, "1000000000": 1_000_000_000_000_000,
	} {
		got, err := models.ParseCredits(text)
		require.NoError(t, err, text)
		require.Equal(t, want, got)
		require.Equal(t, text, got.String())
	}
	for _, bad := range []string{"", ".", "1.", ".5", "1e3", "1,000", " 1", "--1", "+1", "0.0000001", "99999999999999999999", "١"} {
		_, err := models.ParseCredits(bad)
		require.Error(t, err, bad)
	}
	rapid.Check(t, func(t *rapid.T) {
		c := models.Credits(rapid.Int64().Draw(t, "c"))
		if c == math.MinInt64 {
			return // has no positive twin
		}
		back, err := models.ParseCredits(c.String())
		if err != nil || back != c {
			t.Fatalf("%d reads back as %d, %v", c, back, err)
		}
	})
}

func TestAddNeverWraps(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		a, b := rapid.Int64().Draw(t, "a"), rapid.Int64().Draw(t, "b")
		sum, err := models.Credits(a).Add(models.Credits(b))
		exact := new(big.Int).Add(big.NewInt(a), big.NewInt(b))
		if exact.IsInt64() != (err == nil) {
			t.Fatalf("%d + %d: %v", a, b, err)
		}
		if err == nil && int64(sum) != exact.Int64() {
			t.Fatalf("%d + %d = %d", a, b, sum)
		}
	})
}

// To the last of sixty-four bits, where a float has fifty-three.
func TestMulDivIsExact(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		any64 := rapid.Int64Range(0, math.MaxInt64)
		a, b, c := any64.Draw(t, "a"), any64.Draw(t, "b"), rapid.Int64Range(1, math.MaxInt64).Draw(t, "c")
		got, err := models.MulDiv(a, b, c)
		exact := new(big.Int).Mul(big.NewInt(a), big.NewInt(b))
		exact.Quo(exact, big.NewInt(c))
		if exact.IsInt64() != (err == nil) {
			t.Fatalf("%d × %d ÷ %d: %v", a, b, c, err)
		}
		if err == nil && got != exact.Int64() {
			t.Fatalf("%d × %d ÷ %d = %d, not %s", a, b, c, got, exact)
		}
	})
}

// The parts of a whole add up to the total, however it is cut.
func TestPartsAddUp(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		total := rapid.Int64Range(0, 1<<40).Draw(t, "total")
		whole := rapid.Int64Range(1, 1<<50).Draw(t, "whole")
		var sum, from int64
		for from < whole {
			to := min(whole, from+rapid.Int64Range(1, whole).Draw(t, "step"))
			part, err := models.Part(total, from, to, whole)
			if err != nil || part < 0 {
				t.Fatalf("part %d, %v", part, err)
			}
			sum, from = sum+part, to
		}
		if sum != total {
			t.Fatalf("parts add up to %d of %d", sum, total)
		}
	})
}

func TestIDText(t *testing.T) {
	t.Parallel()
	id := models.NewID[models.ChargeID](1_700_000_000_000_000)
	back, err := models.ParseID[models.ChargeID](id.String())
	require.NoError(t, err)
	require.Equal(t, id, back)
	_, err = models.ParseID[models.WalletID](id.String())
	require.Error(t, err, "a charge's id does not name a wallet")
	later := models.NewID[models.ChargeID](1_700_000_000_001_000)
	require.Less(t, id.String(), later.String(), "text sorts by time")
	for _, bad := range []string{"", "chg_", "chg_zzz", "chg_" + id.String()[4:29], id.String() + "0"} {
		_, err := models.ParseID[models.ChargeID](bad)
		require.Error(t, err, bad)
	}
}

func TestTimeJSON(t *testing.T) {
	t.Parallel()
	for want, at := range map[string]models.Time{
		`"2023-11-14T22:13:20.000001Z"`: 1_700_000_000_000_001, "null": models.Never,
	} {
		got, err := json.Marshal(at)
		require.NoError(t, err)
		require.Equal(t, want, string(got))
	}
	require.Equal(t, models.Never, models.Never.Add(1e9))
}

func TestMoneyByCurrency(t *testing.T) {
	t.Parallel()
	for text, currency := range map[string]string{"10.50": "usd", "5000": "jpy", "1.234": "kwd"} {
		m, err := models.ParseMoney(text, currency)
		require.NoError(t, err)
		require.Equal(t, text, m.Decimal())
	}
	unit, err := models.ParseUnitPrice("0.03", "usd")
	require.NoError(t, err)
	total, err := unit.Times(1000 * models.Credit)
	require.NoError(t, err)
	require.EqualValues(t, 3000, total)
}
