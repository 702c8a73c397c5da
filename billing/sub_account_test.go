package billing

import (
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"gorm.io/gorm"

	"refill/billing/problem"
	"refill/models"
)

// A plan of a transfer says what the transfer then does: both balances, and what
// expires first.
func TestAPlannedTransferIsTheTransfer(t *testing.T) {
	t.Parallel()
	each(t, "Europe/Paris", "", func(t *testing.T, h *house) {
		ctx := t.Context()
		client := h.client("acme", models.Prepaid, "")
		id := client.SubAccount.ID
		h.give(h.agency.WalletID, 2_000)
		balance := func(a *Account) models.Credits {
			w, err := h.s.Wallet(ctx, a)
			require.NoError(t, err)
			return w.Balance.Left()
		}
		whole := balance(h.own)
		for _, n := range []models.Credits{credits(10), whole - credits(500), credits(400)} {
			plan, err := h.s.PlanTransfer(ctx, Scope{Agency: h.agency.ID}, h.agency.ID, id, n, false)
			require.NoError(t, err)
			require.Equal(t, balance(h.own), plan.Agency.Now)
			require.Equal(t, balance(h.own), plan.Most)
			var parts models.Credits
			first := models.Never
			for _, p := range plan.Parts {
				parts += p.Credits
				first = min(first, p.ExpiresAt)
			}
			if n > plan.Most {
				require.Equal(t, plan.Most, plan.Moved)
				require.Equal(t, plan.Most, parts)
				continue
			}
			require.Equal(t, n, parts)
			done, err := h.s.Assign(ctx, Scope{Agency: h.agency.ID}, TransferInput{Agency: h.agency.ID, SubAccount: id, Credits: n, Key: h.key(), By: "test"})
			require.NoError(t, err)
			require.Equal(t, done.FirstExpiry, first)
			require.Equal(t, balance(h.own), plan.Agency.After)
			require.Equal(t, balance(client), plan.Client.After)
		}
		h.charge(client.Wallet, "gpt-4", false)
		plan, err := h.s.PlanTransfer(ctx, Scope{}, h.agency.ID, id, whole, true)
		require.NoError(t, err)
		require.Equal(t, balance(client), plan.Most, "all that is unspent")
		require.Equal(t, plan.Most, plan.Moved)
		_, err = h.s.TakeBack(ctx, Scope{}, TransferInput{Agency: h.agency.ID, SubAccount: id, Credits: plan.Most, Key: h.key(), By: "test"})
		require.NoError(t, err)
		require.Zero(t, balance(client))
		require.Equal(t, plan.Agency.After, balance(h.own))
		_, err = h.s.PlanTransfer(ctx, Scope{Agency: models.NewID[models.AgencyID](h.s.Now())}, h.agency.ID, id, 1, false)
		require.True(t, problem.Is(err, "not_found"), "%v", err)
	})
}

func TestAChangedSubAccountIsAuditedAndObeyed(t *testing.T) {
	t.Parallel()
	each(t, "UTC", "", func(t *testing.T, h *house) {
		ctx := t.Context()
		client := h.client("acme", models.Prepaid, "")
		h.assign(client, 100)
		change := SubAccountChange{
			Agency: h.agency.ID, SubAccount: client.SubAccount.ID, Name: " Acme Dental ", Funding: models.Pooled, PoolCap: credits(30), PoolEvery: models.PoolDay, By: "user:ana@example.test",
		}
		written := func() []models.AuditEntry {
			var rows []models.AuditEntry
			require.NoError(t, h.db.Read.Where("action = ?", "sub_account.change").Order("id").Find(&rows).Error)
			return rows
		}
		for range 2 { // the second changes nothing and is not worth a line
			require.NoError(t, h.s.ChangeSubAccount(ctx, Scope{Agency: h.agency.ID}, change))
		}
		rows := written()
		require.Len(t, rows, 1)
		require.Equal(t, "user:ana@example.test", rows[0].Actor)
		require.Equal(t, client.SubAccount.ID.String(), rows[0].Target)
		require.Equal(t, "name: Client acme → Acme Dental; funding: prepaid → pooled, pool up to 30 per day", rows[0].Detail)
		require.Equal(t, "Acme Dental", h.account(client.Wallet).Name(), "no copy of the old name is kept")

		got := h.charge(client.Wallet, "gpt-4", false)
		require.Equal(t, h.agency.WalletID, got.Draws[0].Wallet, "the pool pays")
		_, err := h.s.Charge(ctx, Scope{}, ChargeInput{Wallet: client.Wallet.String(), Key: h.key(), Action: "ai.reply", Model: "gpt-4"})
		require.True(t, problem.Is(err, "insufficient_credits"), "beyond the cap: %v", err)
		h.wait(24 * time.Hour)
		h.charge(client.Wallet, "gpt-4", false)

		states, err := h.s.SubAccountStandings(ctx, h.own)
		require.NoError(t, err)
		require.Len(t, states, 1)
		require.Equal(t, models.Pooled, states[0].Funding)
		require.False(t, states[0].NotUsed)
		require.Equal(t, credits(50), states[0].Used)
		known, err := h.s.Forecasts(ctx, h.agency, states)
		require.NoError(t, err)
		require.Empty(t, known, "no forecast of its own")

		for _, wrong := range []func(*SubAccountChange){
			func(c *SubAccountChange) { c.Name = " " },
			func(c *SubAccountChange) { c.Funding = "gifted" },
			func(c *SubAccountChange) { c.PoolCap = -1 },
			func(c *SubAccountChange) { c.PoolEvery = "year" },
		} {
			bad := change
			wrong(&bad)
			require.Equal(t, problem.Invalid, problem.Of(h.s.ChangeSubAccount(ctx, Scope{}, bad)).Kind)
		}
		foreign := change
		foreign.SubAccount = models.NewID[models.SubAccountID](h.s.Now())
		require.True(t, problem.Is(h.s.ChangeSubAccount(ctx, Scope{}, foreign), "not_found"))
		require.Len(t, written(), 1)
	})
}

// How long the credits of all clients last is what each one's own page says of it,
// and takes no more statements the more there are.
func TestForecastsOfAllAreThoseOfEach(t *testing.T) {
	t.Parallel()
	each(t, "Europe/Paris", "", func(t *testing.T, h *house) {
		ctx := t.Context()
		h.give(h.agency.WalletID, 100_000)
		var clients []*Account
		add := func(zone string, funding models.Funding) {
			a := h.client(fmt.Sprint("c", len(clients)), funding, zone)
			if funding == models.Prepaid {
				h.assign(a, int64(400+150*len(clients)))
			}
			clients = append(clients, a)
		}
		zones := []string{"", "", "Pacific/Auckland", "Asia/Kolkata", "America/New_York", "Pacific/Auckland"}
		for _, zone := range zones {
			add(zone, models.Prepaid)
		}
		add("", models.Pooled)
		for day := range 9 {
			for i, a := range clients {
				if i == 1 || day < i+3 && i > 2 { // one is never used, others from some day on
					continue
				}
				for range 1 + i%2 {
					h.charge(a.Wallet, "gpt-4", false)
				}
			}
			h.wait(23 * time.Hour)
		}
		var n atomic.Int64
		const name = "count statements of forecasts"
		count := func(*gorm.DB) { n.Add(1) }
		require.NoError(t, h.db.Read.Callback().Query().Before("gorm:query").Register(name, count))
		t.Cleanup(func() { _ = h.db.Read.Callback().Query().Remove(name) })
		compare := func() (statements int64) {
			t.Helper()
			subs, err := h.s.SubAccountStandings(ctx, h.own)
			require.NoError(t, err)
			before := n.Load()
			listed, err := h.s.Forecasts(ctx, h.agency, subs)
			statements = n.Load() - before
			require.NoError(t, err)
			require.Len(t, listed, len(subs)-1, "one has none of its own")
			kinds := map[ForecastKind]bool{}
			for i := range subs {
				if subs[i].Funding == models.Pooled {
					continue
				}
				alone := h.s.Overview(ctx, h.account(subs[i].WalletID))
				require.NoError(t, alone.ForecastErr)
				require.Equal(t, alone.Forecast, listed[subs[i].WalletID], subs[i].Name)
				kinds[alone.Forecast.Kind] = true
			}
			require.Subset(t, kinds, map[ForecastKind]bool{ForecastRunsOut: true, ForecastNoData: true})
			return statements
		}
		compare()
		require.NoError(t, h.s.rollUsage(ctx, h.s.Now()))
		var err error
		h.agency, err = h.s.Agency(ctx, h.agency.ID) // whose days are added up now
		require.NoError(t, err)
		few := compare()
		for _, zone := range zones {
			add(zone, models.Prepaid)
		}
		require.Equal(t, few, compare())
	})
}

func TestAnExternalIDIsMadeOfAName(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{"Acme Dental": "acme-dental", "  Kite & Co. ": "kite-co", "東京": "", "A": "a"} {
		require.Equal(t, want, ExternalIDFrom(name))
	}
}
