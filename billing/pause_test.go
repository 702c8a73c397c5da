package billing

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"refill/billing/ledger"
	"refill/billing/problem"
	"refill/models"
	"refill/models/modelstest"
)

func (h *house) tryCharge(ctx context.Context, w models.WalletID, key string) error {
	_, err := h.s.Charge(ctx, Scope{}, ChargeInput{Wallet: w.String(), Key: key, Action: "ai.reply", Model: "gpt-3.5-turbo"})
	return err
}

func TestAPausedAgencyAndItsClientsAreNotCharged(t *testing.T) {
	t.Parallel()
	each(t, "UTC", "", func(t *testing.T, h *house) {
		ctx := t.Context()
		prepaid, pooled := h.client("acme", models.Prepaid, ""), h.client("maple", models.Pooled, "")
		h.assign(prepaid, 100)
		wallets := []models.WalletID{h.agency.WalletID, prepaid.Wallet, pooled.Wallet}
		hold, err := h.s.Hold(ctx, Scope{}, HoldInput{Wallet: prepaid.Wallet.String(), Credits: credits(10), Key: h.key()})
		require.NoError(t, err)
		for _, w := range wallets {
			require.NoError(t, h.tryCharge(ctx, w, h.key()))
		}
		before := h.left()

		_, err = h.s.PauseAgency(ctx, h.agency.ID, " ", robin)
		require.True(t, problem.Is(err, "reason_missing"), "%v", err)
		n, err := h.s.PauseAgency(ctx, h.agency.ID, "Chargebacks", robin)
		require.NoError(t, err)
		require.Equal(t, 2, n)
		n, err = h.s.PauseAgency(ctx, h.agency.ID, "Chargebacks", robin)
		require.NoError(t, err)
		require.Zero(t, n, "paused once")
		for _, w := range wallets {
			require.True(t, problem.Is(h.tryCharge(ctx, w, "refused-"+w.String()), "wallet_paused"))
			_, err = h.s.Hold(ctx, Scope{}, HoldInput{Wallet: w.String(), Credits: credits(1), Key: h.key()})
			require.True(t, problem.Is(err, "wallet_paused"), "%v", err)
		}
		_, err = h.s.CreateSubAccount(ctx, Scope{}, SubAccountInput{Agency: h.agency.ID, ExternalID: "way-out", Name: "Way out", By: "test"})
		require.True(t, problem.Is(err, "agency_paused"), "%v", err)
		_, err = h.s.Capture(ctx, Scope{}, CaptureInput{Agency: h.agency.ID, Hold: hold.Hold.ID, Key: h.key()})
		require.NoError(t, err, "running work that holds credits finishes")

		// Balances stay, and are told in words: the agency is paused, a client's
		// agency has been told.
		require.Equal(t, before, h.left())
		for w, state := range map[models.WalletID]ledger.State{
			wallets[0]: ledger.StatePaused, wallets[1]: ledger.StateUpstream, wallets[2]: ledger.StateUpstream,
		} {
			view, err := h.s.Wallet(ctx, h.account(w))
			require.NoError(t, err)
			require.Equal(t, state, view.State)
			require.Zero(t, view.Payable)
		}

		n, err = h.s.ResumeAgency(ctx, h.agency.ID, "", robin)
		require.NoError(t, err)
		require.Equal(t, 2, n)
		for _, w := range wallets {
			require.NoError(t, h.tryCharge(ctx, w, "refused-"+w.String()), "a refusal bound nothing")
		}
		pauses, resumes := h.audited("agency.pause"), h.audited("agency.resume")
		require.Len(t, pauses, 1)
		require.Equal(t, "Chargebacks", pauses[0].Reason)
		require.Equal(t, "2 sub-accounts", pauses[0].Detail)
		require.Len(t, resumes, 1)
		report, err := ledger.Audit(ctx, h.db, h.s.Now())
		require.NoError(t, err)
		require.True(t, report.Clean(), report.String())
	})
}

// Charges run while the agency is paused: none that begins after the pause was
// committed is booked, and each that was answered is.
func TestPausingRulesFromItsCommitOn(t *testing.T) {
	t.Parallel()
	each(t, "UTC", "", func(t *testing.T, h *house) {
		prepaid, pooled := h.client("acme", models.Prepaid, ""), h.client("maple", models.Pooled, "")
		h.assign(prepaid, 2_000)
		var paused atomic.Bool
		var booked, late, other atomic.Int64
		var wg sync.WaitGroup
		for worker := range 8 {
			w := []models.WalletID{h.agency.WalletID, prepaid.Wallet, pooled.Wallet}[worker%3]
			wg.Go(func() {
				for i := range 400 {
					after := paused.Load()
					err := h.tryCharge(t.Context(), w, string(rune('a'+worker))+number(int64(i)))
					switch {
					case err == nil && after:
						late.Add(1)
					case err == nil:
						booked.Add(1)
					case problem.Is(err, "wallet_paused"):
						return
					default:
						other.Add(1)
					}
				}
			})
		}
		require.Eventually(t, func() bool { return booked.Load() > 30 }, 20*time.Second, time.Millisecond)
		_, err := h.s.PauseAgency(t.Context(), h.agency.ID, "race", robin)
		require.NoError(t, err)
		paused.Store(true)
		wg.Wait()
		require.Zero(t, late.Load(), "charged after the pause")
		require.Zero(t, other.Load())
		var rows int64
		require.NoError(t, h.db.Read.Model(&models.Charge{}).Where("agency_id = ?", h.agency.ID).Count(&rows).Error)
		require.Equal(t, booked.Load(), rows)
	})
}

func TestPlanAndExcessAreChangedWithBeforeAndAfter(t *testing.T) {
	t.Parallel()
	modelstest.Each(t, func(t *testing.T, db *models.DB) {
		h := newHouse(t, db, "UTC", "")
		ctx := t.Context()
		plans, err := h.s.Plans(ctx)
		require.NoError(t, err)
		now, _, err := h.s.PlanOf(ctx, h.agency.ID)
		require.NoError(t, err)
		h.give(h.agency.WalletID, 77)
		for range 3 {
			h.charge(h.agency.WalletID, "gpt-4", false)
		}
		for i := range plans {
			if plans[i].ID == now.ID {
				continue
			}
			h.wait(time.Minute)
			change, err := h.s.PlanChange(ctx, h.agency, plans[i].Code)
			require.NoError(t, err)
			require.Equal(t, h.left(), change.Before)
			require.NoError(t, h.s.ChangePlanFor(ctx, h.agency.ID, plans[i].Code, "They asked", robin))
			require.Equal(t, change.After, h.left(), "what was said is what happened")
			_, sub, err := h.s.PlanOf(ctx, h.agency.ID)
			require.NoError(t, err)
			require.Equal(t, sub.PeriodEnd, change.ResetsAt)
		}
		rows := h.audited("plan.change")
		require.Len(t, rows, len(plans)-1)
		require.Contains(t, rows[0].Detail, now.Code)
		require.Contains(t, rows[0].Detail, " → ")
		require.Equal(t, "They asked", rows[0].Reason)

		_, err = h.s.PlanChange(ctx, h.agency, "platinum")
		require.True(t, problem.Is(err, "unknown_plan"), "%v", err)

		for range 2 {
			require.NoError(t, h.s.SetExcessLimit(ctx, h.agency.ID, credits(500), "Trusted", robin))
		}
		excess := h.audited("agency.excess_limit")
		require.Len(t, excess, 1)
		require.Equal(t, "0 → 500", excess[0].Detail)
		h.give(h.agency.WalletID, -int64(h.left()/models.Credit))
		for h.left() > -credits(490) {
			h.charge(h.agency.WalletID, "gpt-4", false)
		}
		require.True(t, problem.Is(h.s.SetExcessLimit(ctx, h.agency.ID, -1, "x", robin), "invalid_limit"))
		require.True(t, problem.Is(h.s.SetExcessLimit(ctx, h.agency.ID, 1, "", robin), "reason_missing"))
	})
}
