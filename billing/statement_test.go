package billing

import (
	"bytes"
	"encoding/csv"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"refill/billing/ledger"
	"refill/billing/period"
	"refill/billing/problem"
	"refill/models"
)

// statements checks every month of an account: the rows add up, months join up,
// what was used is what the counters say, and the last closing is the balance.
func (h *house) statements(t require.TestingT, a *Account) (months int) {
	ctx := h.t.Context()
	now := h.s.Now()
	this, err := h.s.Statement(ctx, a, now)
	require.NoError(t, err)
	var w models.Wallet
	require.NoError(t, h.db.Read.Where("agency_id = ? AND id = ?", a.Agency.ID, a.Wallet).Take(&w).Error)
	require.Equal(t, w.Balance, this.Closing)
	require.False(t, this.Complete)
	before := models.Credits(0)
	for _, m := range period.CalendarMonths(this.First, now+1, a.Zone) {
		st, err := h.s.Statement(ctx, a, m.Start)
		require.NoError(t, err)
		require.Equal(t, before, st.Opening, "months join up")
		sum, used := st.Opening, models.Credits(0)
		for _, r := range st.Rows {
			require.NotZero(t, r.Credits)
			sum += r.Credits
			if r.Item == StatementUsed {
				used = -r.Credits
			}
		}
		require.Equal(t, st.Closing, sum)
		for _, u := range st.Used {
			require.NotEmpty(t, u.Action, "counters and entries agree on the month")
			used -= u.Credits
		}
		require.Zero(t, used)
		before = st.Closing
		months++
	}
	require.Equal(t, this.Closing, before)
	return months
}

// Whatever happens in a year, every statement adds up and they join up, with sums
// as without.
func TestStatementsAddUp(t *testing.T) {
	t.Parallel()
	each(t, "America/New_York", "", func(t *testing.T, h *house) {
		ctx := t.Context()
		h.s.sumEvery = 7
		require.NoError(t, h.s.SetExcessLimit(ctx, h.agency.ID, credits(500), "trusted", "test"))
		a, b := h.client("a", models.Prepaid, "Asia/Kolkata"), h.client("b", models.Pooled, "")
		require.NoError(t, h.s.ChangeSubAccount(ctx, Scope{}, SubAccountChange{
			Agency: h.agency.ID, SubAccount: a.SubAccount.ID, Name: "A", Funding: models.Prepaid, PoolCap: credits(60), PoolEvery: models.PoolDay, Excess: credits(40), By: "test",
		}))
		all := []*Account{h.own, a, b}
		var charges []models.ChargeID
		var holds []models.Hold
		refusable := func(r *rapid.T, err error) {
			if err != nil {
				require.NotNil(r, problem.Of(err), "%v", err)
			}
		}
		amount := func(r *rapid.T) models.Credits {
			return models.Credits(rapid.Int64Range(1, 400).Draw(r, "quarters")) * models.Credit / 4
		}
		wallet := func(r *rapid.T) models.WalletID { return rapid.SampledFrom(all).Draw(r, "who").Wallet }
		rounds := 0
		rapid.Check(t, func(r *rapid.T) {
			if rounds++; rounds > 6 {
				return
			}
			r.Repeat(map[string]func(*rapid.T){
				"charge": func(r *rapid.T) {
					out, err := h.s.Charge(ctx, Scope{}, ChargeInput{
						Wallet: wallet(r).String(), Key: h.key(), Action: "ai.reply", Model: rapid.SampledFrom([]string{"gpt-4", "gpt-4-turbo"}).Draw(r, "model"),
					})
					if refusable(r, err); err == nil {
						charges = append(charges, out.Charge.ID)
					}
				},
				"reverse": func(r *rapid.T) {
					if len(charges) > 0 {
						_, err := h.s.Reverse(ctx, Scope{}, h.agency.ID, rapid.SampledFrom(charges).Draw(r, "charge"), h.key(), "failed")
						refusable(r, err)
					}
				},
				"hold": func(r *rapid.T) {
					out, err := h.s.Hold(ctx, Scope{}, HoldInput{Wallet: wallet(r).String(), Key: h.key(), Action: "ai.reply", Credits: amount(r), TTL: time.Hour})
					if refusable(r, err); err == nil {
						holds = append(holds, out.Hold)
					}
				},
				"capture": func(r *rapid.T) {
					if len(holds) == 0 {
						return
					}
					n := amount(r)
					_, err := h.s.Capture(ctx, Scope{}, CaptureInput{Agency: h.agency.ID, Hold: holds[len(holds)-1].ID, Key: h.key(), Credits: &n})
					refusable(r, err)
					holds = holds[:len(holds)-1]
				},
				"assign": func(r *rapid.T) {
					_, err := h.s.Assign(ctx, Scope{}, TransferInput{Agency: h.agency.ID, SubAccount: a.SubAccount.ID, Credits: amount(r), Key: h.key(), By: "test"})
					refusable(r, err)
				},
				"take back": func(r *rapid.T) {
					_, err := h.s.TakeBack(ctx, Scope{}, TransferInput{Agency: h.agency.ID, SubAccount: a.SubAccount.ID, Credits: amount(r), Key: h.key(), By: "test"})
					refusable(r, err)
				},
				"adjust": func(r *rapid.T) {
					n := amount(r)
					if rapid.Bool().Draw(r, "take") {
						n = -n
					}
					_, err := h.s.Adjust(ctx, AdjustInput{Agency: h.agency.ID, Wallet: wallet(r), Credits: n, Reason: "test", Key: h.key(), By: "test"})
					refusable(r, err)
				},
				"wait": func(r *rapid.T) {
					h.wait(time.Duration(rapid.IntRange(1, 400).Draw(r, "hours")) * time.Hour)
				},
				"": func(*rapid.T) {},
			})
			for _, account := range all {
				h.statements(r, account)
			}
		})
		var stored int64
		require.NoError(t, h.db.Read.Model(&models.EntrySum{}).Where("agency_id = ?", h.agency.ID).Count(&stored).Error)
		require.Positive(t, stored, "sums were used")
		require.Greater(t, h.statements(t, h.own), 1)

		// The same with no sums at all, and with the ledger's own word for it.
		with, err := h.s.Statement(ctx, h.own, readsStart)
		require.NoError(t, err)
		require.NoError(t, h.db.Write.Exec("DELETE FROM entry_sums").Error)
		without, err := h.s.Statement(ctx, h.own, readsStart)
		require.NoError(t, err)
		require.Equal(t, with.Rows, without.Rows)
		report, err := ledger.Audit(ctx, h.db, h.s.Now())
		require.NoError(t, err)
		require.True(t, report.Clean(), "%s", report)
	})
}

// A statement in plain numbers, and its file.
func TestAStatementOfAClient(t *testing.T) {
	t.Parallel()
	each(t, "Europe/Paris", "", func(t *testing.T, h *house) {
		ctx := t.Context()
		h.give(h.agency.WalletID, 1_000)
		client := h.client("a", models.Prepaid, "")
		h.assign(client, 100)
		h.charge(client.Wallet, "gpt-4", false)
		reversed := h.charge(client.Wallet, "gpt-4-turbo", false)
		_, err := h.s.Reverse(ctx, Scope{}, h.agency.ID, reversed.Charge.ID, h.key(), "failed")
		require.NoError(t, err)
		_, err = h.s.TakeBack(ctx, Scope{}, TransferInput{Agency: h.agency.ID, SubAccount: client.SubAccount.ID, Credits: credits(15), Key: h.key(), By: "test"})
		require.NoError(t, err)
		st, err := h.s.Statement(ctx, client, h.s.Now())
		require.NoError(t, err)
		require.Equal(t, []StatementRow{{StatementAssigned, credits(100)}, {StatementUsed, credits(-25)}, {StatementReturned, credits(-15)}}, st.Rows)
		require.Equal(t, []StatementUse{{Action: "ai.reply", Model: "gpt-4", Charges: 1, Credits: credits(25)}}, st.Used)
		require.Equal(t, credits(60), st.Closing)

		var file bytes.Buffer
		require.NoError(t, st.StatementCSV()(&file))
		lines, err := csv.NewReader(&file).ReadAll()
		require.NoError(t, err)
		var got []string
		for _, l := range lines[1:] {
			got = append(got, fmt.Sprint(l[2:]))
		}
		require.Equal(t, []string{"[opening    0]", "[assigned    100]", "[used    -25]", "[used_by ai.reply gpt-4 1 -25]", "[returned    -15]", "[closing    60]"}, got)

		for _, at := range []models.Time{h.s.Now().Add(40 * 24 * time.Hour), h.s.Now().Add(-40 * 24 * time.Hour)} {
			_, err = h.s.Statement(ctx, client, at)
			require.True(t, problem.Is(err, "not_found"), "%v", err)
		}
	})
}
