package billing_test

import (
	"bytes"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"refill/billing"
	"refill/billing/problem"
	"refill/models"
	"refill/models/modelstest"
)

func (s *shop) gift(t *testing.T, change ...func(*billing.GiftInput)) models.Gift {
	t.Helper()
	in := billing.GiftInput{Name: "Welcome", Credits: thousand, Code: "wel-come", Reason: "Launch", Key: fmt.Sprint("gift", s.clock.Now()), By: "user:admin"}
	for _, f := range change {
		f(&in)
	}
	out, err := s.CreateGift(t.Context(), in)
	require.NoError(t, err)
	return out
}

func (s *shop) redeem(t *testing.T, who *billing.Account, code, key string) (billing.Redeemed, error) {
	t.Helper()
	return s.Redeem(t.Context(), billing.RedeemInput{Account: who, Code: code, Address: "192.0.2.1", Key: key, By: "user:owner"})
}

func (s *shop) more(t *testing.T, n int) []*billing.Account {
	t.Helper()
	out := make([]*billing.Account, n)
	for i := range out {
		agency, err := s.CreateAgency(t.Context(), billing.AgencyInput{ExternalID: fmt.Sprint("racer", i), Name: fmt.Sprint("Racer ", i), By: "test"})
		require.NoError(t, err)
		out[i], err = s.AccountOf(t.Context(), agency.WalletID)
		require.NoError(t, err)
	}
	return out
}

// A hundred agencies race for the first ten: ten are given, whoever sends twice
// gets one, and everybody else is told.
func TestFirstTenOfAHundred(t *testing.T) {
	t.Parallel()
	modelstest.Each(t, func(t *testing.T, db *models.DB) {
		s := openShop(t, db, "stammer", "")
		racers := s.more(t, 100)
		gift := s.gift(t, func(in *billing.GiftInput) { in.MaxUses = 10 })
		var given, late atomic.Int64
		var wg sync.WaitGroup
		for i, who := range racers {
			for range 2 { // a double click
				wg.Go(func() {
					out, err := s.Redeem(t.Context(), billing.RedeemInput{Account: who, Code: "WELCOME", Address: fmt.Sprint("192.0.2.", i), Key: fmt.Sprint("k", i), By: "user:x"})
					switch {
					case err == nil && !out.Replayed:
						given.Add(1)
					case problem.Is(err, "gift_used_up"):
						late.Add(1)
					case err != nil:
						t.Error(err)
					}
				})
			}
		}
		wg.Wait()
		require.EqualValues(t, 10, given.Load())
		require.EqualValues(t, 180, late.Load())
		got, err := s.Gift(t.Context(), gift.ID)
		require.NoError(t, err)
		require.Equal(t, []any{int64(10), 10 * thousand, 10, billing.GiftUsedUp}, []any{got.Redeemed, got.Given, len(got.Redemptions), got.State(s.clock.Now())})
		var lots []models.Lot
		require.NoError(t, db.Read.Where("source = ?", models.SourcePromo).Find(&lots).Error)
		require.Len(t, lots, 10)
		for _, l := range lots {
			require.Equal(t, []any{thousand, models.Never}, []any{l.Granted, l.ExpiresAt})
		}
	})
}

func TestAGiftsBounds(t *testing.T) {
	t.Parallel()
	modelstest.Each(t, func(t *testing.T, db *models.DB) {
		s := openShop(t, db, "stammer", "")
		others := s.more(t, 3)
		is := func(code string, err error) {
			t.Helper()
			require.True(t, problem.Is(err, code), "%s, got %v", code, err)
		}
		s.gift(t, func(in *billing.GiftInput) { in.LotDays = 30 })
		had := s.left(t, s.account)
		first, err := s.redeem(t, s.account, " Wel come ", "a")
		require.NoError(t, err)
		require.Equal(t, []any{had + thousand, s.clock.Now().Add(30 * 24 * time.Hour).In(time.UTC).Format(time.DateOnly)},
			[]any{first.After, first.ExpiresAt.In(time.UTC).Format(time.DateOnly)})
		again, err := s.redeem(t, s.account, "WELCOME", "a")
		require.NoError(t, err)
		require.True(t, again.Replayed)
		_, err = s.redeem(t, s.account, "WELCOME", "b")
		is("gift_redeemed", err)
		require.Equal(t, had+thousand, s.left(t, s.account))
		require.EqualValues(t, 1, s.notices(t, models.NoticeGiftRedeemed))

		s.gift(t, func(in *billing.GiftInput) { in.Code, in.Agency, in.Key = "ONLYONE", "racer1", "g2" })
		_, err = s.redeem(t, s.account, "ONLYONE", "c")
		is("unknown_gift_code", err)
		_, err = s.redeem(t, others[1], "onlyone", "c")
		require.NoError(t, err)

		s.gift(t, func(in *billing.GiftInput) { in.Code, in.MaxCredits, in.Key = "CAPPED", 2500*models.Credit, "g3" })
		for i, who := range others {
			_, err := s.redeem(t, who, "CAPPED", "d")
			if i < 2 {
				require.NoError(t, err)
				continue
			}
			is("gift_used_up", err) // a third thousand would be more than 2,500
		}

		stopped := s.gift(t, func(in *billing.GiftInput) { in.Code, in.Key = "STOPPED", "g4" })
		_, err = s.StopGift(t.Context(), stopped.ID, "user:admin")
		require.NoError(t, err)
		_, err = s.redeem(t, s.account, "STOPPED", "e")
		is("gift_ended", err)
		s.gift(t, func(in *billing.GiftInput) {
			in.Code, in.ExpiresAt, in.Key = "SHORT", s.clock.Now().Add(time.Hour), "g5"
		})
		require.NoError(t, s.clock.Advance(s.clock.Now().Add(time.Hour)))
		_, err = s.redeem(t, s.account, "SHORT", "f")
		is("gift_ended", err)

		_, err = s.CreateGift(t.Context(), billing.GiftInput{Name: "Twice", Credits: thousand, Code: "capped", Reason: "x", Key: "g6", By: "user:admin"})
		is("code_taken", err)
		_, err = s.CreateGift(t.Context(), billing.GiftInput{Name: "None", Credits: thousand, Code: "abc", Key: "g7", By: "user:admin"})
		is("invalid_code", err)

		// The credits end after their days.
		require.NoError(t, s.clock.Advance(first.ExpiresAt))
		require.NoError(t, s.RunDue(t.Context(), s.clock.Now()))
		require.Zero(t, s.balance(t, s.account).Bonus)
	})
}

// A batch has codes that work once each, and an agency uses one of them.
func TestABatchOfSingleUseCodes(t *testing.T) {
	t.Parallel()
	modelstest.Each(t, func(t *testing.T, db *models.DB) {
		s := openShop(t, db, "stammer", "")
		others := s.more(t, 2)
		batch := s.gift(t, func(in *billing.GiftInput) { in.Code, in.Codes = "", 1200 })
		same := s.gift(t, func(in *billing.GiftInput) { in.Code, in.Codes, in.Key = "", 1200, batch.IdempotencyKey })
		require.Equal(t, batch.ID, same.ID, "one form, one batch")
		var out bytes.Buffer
		require.NoError(t, s.GiftCodesCSV(t.Context(), batch.ID)(&out))
		lines := strings.Split(strings.TrimSpace(out.String()), "\r\n")
		require.Len(t, lines, 1201)
		code, _, _ := strings.Cut(lines[1], ",")
		next, _, _ := strings.Cut(lines[2], ",")
		_, err := s.redeem(t, others[0], code, "a")
		require.NoError(t, err)
		_, err = s.redeem(t, others[1], strings.ToLower(code), "a")
		require.True(t, problem.Is(err, "gift_used_up"), "%v", err)
		_, err = s.redeem(t, others[0], next, "b")
		require.True(t, problem.Is(err, "gift_redeemed"), "%v", err)
		_, err = s.redeem(t, others[1], next, "b")
		require.NoError(t, err)
		out.Reset()
		require.NoError(t, s.GiftCodesCSV(t.Context(), batch.ID)(&out))
		require.Contains(t, out.String(), code+",1,Racer 0,")
	})
}

// Guessing is bounded for an agency and for an address; what is right counts
// against nobody.
func TestGuessingCodesIsBounded(t *testing.T) {
	t.Parallel()
	modelstest.Each(t, func(t *testing.T, db *models.DB) {
		s := openShop(t, db, "stammer", "")
		s.gift(t)
		for i := range 20 {
			_, err := s.redeem(t, s.account, fmt.Sprint("GUESS", i), fmt.Sprint("g", i))
			require.True(t, problem.Is(err, "unknown_gift_code"), "%v", err)
		}
		_, err := s.redeem(t, s.account, "WELCOME", "right")
		require.True(t, problem.Is(err, "too_many"), "%v", err)
		other := s.more(t, 1)[0]
		_, err = s.redeem(t, other, "WELCOME", "right")
		require.NoError(t, err)
		for range 30 {
			_, err = s.redeem(t, other, "WELCOME", "right")
			require.NoError(t, err)
		}
	})
}
