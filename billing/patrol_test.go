package billing

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"gorm.io/gorm"

	"refill/billing/problem"
	"refill/models"
)

// A wallet that does not add up is taken out of service alone: it and who draws on
// it are told to come back later, its neighbours are charged, the admins get one
// mail, and it comes back once its books are right again and somebody says so.
func TestAWalletThatDoesNotAddUpIsTakenOutOfService(t *testing.T) {
	t.Parallel()
	each(t, "UTC", "agency", func(t *testing.T, h *house) {
		admin, err := h.s.CreateUser(t.Context(), UserInput{Email: "admin@refill.example", Name: "Admin", Admin: true, By: "test"})
		require.NoError(t, err)
		prepaid, pooled := h.client("prepaid", models.Prepaid, ""), h.client("pooled", models.Pooled, "")
		require.NoError(t, h.db.InTx(t.Context(), func(tx *gorm.DB) error {
			_, err := h.s.ledger.Quarantine(t.Context(), tx, h.agency.ID, h.agency.WalletID, 1)
			return err
		}), "as it will be called")
		require.NoError(t, h.s.ReadmitWallet(t.Context(), h.agency.WalletID, "operator", "nothing was wrong"))
		_, err = h.s.Assign(t.Context(), Scope{}, TransferInput{Agency: h.agency.ID, SubAccount: prepaid.SubAccount.ID, Credits: credits(50), Key: h.key(), By: "test"})
		require.NoError(t, err)
		h.charge(h.agency.WalletID, "gpt-4", false)
		look := func() {
			h.s.patrolled.Store(0)
			require.NoError(t, h.s.patrolDue(t.Context(), h.s.Now()))
		}
		look()
		require.Empty(t, h.audits("wallet.quarantine"))

		require.NoError(t, h.db.Write.Exec("UPDATE wallets SET held = held + 5, version = version + 1 WHERE id = ?", h.agency.WalletID).Error)
		h.charge(h.agency.WalletID, "gpt-4", false)
		look()
		look()
		require.Len(t, h.audits("wallet.quarantine"), 1)
		subjects, mails := h.told(admin.Email)
		require.Equal(t, []string{"A wallet does not add up and is out of service"}, subjects)
		require.Contains(t, mails[0].Text, "refill readmit "+h.agency.WalletID.String())
		charge := func(w models.WalletID) error {
			_, err := h.s.Charge(t.Context(), Scope{}, ChargeInput{Wallet: w.String(), Key: h.key(), Action: "ai.reply", Model: "gpt-4"})
			return err
		}
		for _, w := range []models.WalletID{h.agency.WalletID, pooled.Wallet} {
			err := charge(w)
			require.True(t, problem.Is(err, "wallet_quarantined"), "%v", err)
		}
		require.NoError(t, charge(prepaid.Wallet), "its own credits are not concerned")
		view, err := h.s.Wallet(t.Context(), h.own)
		require.NoError(t, err)
		require.EqualValues(t, "paused", view.State)
		waits, err := h.s.Backlog(t.Context())
		require.NoError(t, err)
		require.EqualValues(t, 1, waits.Quarantined)

		err = h.s.ReadmitWallet(t.Context(), h.agency.WalletID, "operator", "hope")
		require.True(t, problem.Is(err, "wallet_broken"), "%v", err)
		require.NoError(t, h.db.Write.Exec("UPDATE wallets SET held = held - 5, version = version + 1 WHERE id = ?", h.agency.WalletID).Error)
		require.NoError(t, h.s.ReadmitWallet(t.Context(), h.agency.WalletID, "operator", "put right by hand"))
		require.NoError(t, charge(pooled.Wallet))
		require.Len(t, h.audits("wallet.readmit"), 2)
	})
}

// A wallet whose quarantine fails is found again, though nothing is booked on it any
// more, and holds up no other.
func TestABrokenWalletDoesNotEscape(t *testing.T) {
	t.Parallel()
	each(t, "UTC", "agency", func(t *testing.T, h *house) {
		_, err := h.s.CreateUser(t.Context(), UserInput{Email: "admin@refill.example", Name: "Admin", Admin: true, By: "test"})
		require.NoError(t, err)
		h.charge(h.agency.WalletID, "gpt-4", false)
		run := func(sql string) { require.NoError(t, h.db.Write.Exec(sql).Error) }
		look := func() error {
			h.s.patrolled.Store(0)
			return h.s.patrolDue(t.Context(), h.s.Now())
		}
		worked := func() string {
			at, err := h.s.Setting(t.Context(), models.SettingWorked)
			require.NoError(t, err)
			return at
		}
		require.NoError(t, look())
		require.NotEmpty(t, worked())
		run("DELETE FROM settings WHERE name = 'worked_until'")
		run("UPDATE wallets SET held = held + 5, version = version + 1 WHERE sub_account_id IS NULL")
		h.charge(h.agency.WalletID, "gpt-4", false)
		run("ALTER TABLE mails RENAME TO mails_away")
		for range 2 {
			require.Error(t, look())
			require.Empty(t, h.audits("wallet.quarantine"))
		}
		require.Empty(t, worked(), "the round did not end")
		run("ALTER TABLE mails_away RENAME TO mails")
		require.NoError(t, look())
		require.Len(t, h.audits("wallet.quarantine"), 1)
		require.NotEmpty(t, worked())
	})
}

// A round is made once a minute of the wall's time, however often the clock's work
// is called.
func TestPatrolsAreAMinuteApart(t *testing.T) {
	t.Parallel()
	each(t, "UTC", "agency", func(t *testing.T, h *house) {
		wall := time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)
		h.s.people.wall = models.ClockFunc(func() models.Time { return models.At(wall) })
		seen := func() models.Time {
			require.NoError(t, h.s.patrolDue(t.Context(), models.At(wall)))
			var p models.Patrol
			require.NoError(t, h.db.Read.Where("wallet_id = ?", h.agency.WalletID).Take(&p).Error)
			return p.LookedAt
		}
		first := seen()
		h.charge(h.agency.WalletID, "gpt-4", false)
		wall = wall.Add(59 * time.Second)
		require.Equal(t, first, seen())
		wall = wall.Add(time.Second)
		require.Greater(t, seen(), first)
	})
}
