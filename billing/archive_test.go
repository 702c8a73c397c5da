package billing

import (
	"fmt"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"refill/billing/ledger"
	"refill/billing/problem"
	"refill/models"
	"refill/models/modelstest"
)

func TestArchiveAndRestore(t *testing.T) {
	t.Parallel()
	modelstest.Each(t, func(t *testing.T, db *models.DB) {
		h := newInvites(t, db)
		ctx := t.Context()
		assign := func(n int64, sold bool) {
			_, err := h.s.Assign(ctx, Scope{}, TransferInput{
				Agency: h.agency.ID, SubAccount: h.sub.SubAccount, Credits: models.Credits(n) * models.Credit, Sold: sold, Key: h.key(), By: "test",
			})
			require.NoError(t, err)
		}
		h.stock(500, 200)
		assign(1204, false)
		assign(300, true)
		_, tok := h.invite(h.sub, "ada@example.test", "")
		ada, err := h.accept(tok, h.agency.ID)
		require.NoError(t, err)
		_, waiting := h.invite(h.sub, "late@example.test", "")
		before := h.wallet(h.own).Balance

		in := ArchiveInput{Agency: h.agency.ID, SubAccount: h.sub.SubAccount, TakeBack: true, By: "user:owner@example.test"}
		_, err = h.s.ArchiveSubAccount(ctx, Scope{Agency: models.NewID[models.AgencyID](1)}, in)
		require.True(t, problem.Is(err, "not_found"))
		returned, err := h.s.ArchiveSubAccount(ctx, Scope{Agency: h.agency.ID}, in)
		require.NoError(t, err)
		require.Equal(t, 1204*models.Credit, returned)
		require.Equal(t, before.Available+returned, h.wallet(h.own).Balance.Available)
		require.Equal(t, ledger.Balance{Available: 300 * models.Credit, Purchased: 300 * models.Credit}, h.wallet(h.acme).Balance, "what the client bought stays theirs")
		again, err := h.s.ArchiveSubAccount(ctx, Scope{}, in)
		require.NoError(t, err)
		require.Zero(t, again)

		_, err = h.s.Charge(ctx, Scope{}, ChargeInput{Wallet: h.acme.Wallet.String(), Key: h.key(), Action: "ai.reply", Model: "gpt-4"})
		require.True(t, problem.Is(err, "wallet_paused"), "%v", err)
		_, err = h.s.Viewer(ctx, ada.ID, h.agency.ID)
		require.True(t, problem.Is(err, "no_entry"))
		_, err = h.s.InvitationByToken(ctx, waiting, h.agency.ID)
		require.True(t, problem.Is(err, "invitation_expired"))
		_, err = h.s.Invite(ctx, InviteInput{Circle: h.sub, Email: "x@example.test", From: "owner@example.test", By: "test"})
		require.True(t, problem.Is(err, "sub_account_archived"))
		_, err = h.s.Assign(ctx, Scope{}, TransferInput{Agency: h.agency.ID, SubAccount: h.sub.SubAccount, Credits: models.Credit, Key: h.key(), By: "test"})
		require.True(t, problem.Is(err, "sub_account_archived"))
		rows, err := h.s.SubAccountStandings(ctx, h.own)
		require.NoError(t, err)
		require.Empty(t, rows)
		gone, err := h.s.ArchivedSubAccounts(ctx, h.agency.ID)
		require.NoError(t, err)
		require.Len(t, gone, 1)
		require.Equal(t, h.s.Now(), gone[0].ArchivedAt)

		require.NoError(t, h.s.RestoreSubAccount(ctx, Scope{}, h.agency.ID, h.sub.SubAccount, "test"))
		require.NoError(t, h.s.RestoreSubAccount(ctx, Scope{}, h.agency.ID, h.sub.SubAccount, "test"))
		h.charge(h.acme.Wallet, "gpt-4", false)
		_, err = h.s.Viewer(ctx, ada.ID, h.agency.ID)
		require.NoError(t, err)
		require.Len(t, h.audits("sub_account.archive"), 1)
		require.Contains(t, h.audits("sub_account.archive")[0].Detail, "1204")
		require.Len(t, h.audits("sub_account.restore"), 1)
	})
}

// Archiving races charges: none is booked after it, and every credit is somewhere.
func TestArchivingRacesCharges(t *testing.T) {
	t.Parallel()
	modelstest.Each(t, func(t *testing.T, db *models.DB) {
		h := newInvites(t, db)
		ctx := t.Context()
		_, err := h.s.Assign(ctx, Scope{}, TransferInput{Agency: h.agency.ID, SubAccount: h.sub.SubAccount, Credits: 1000 * models.Credit, Key: h.key(), By: "test"})
		require.NoError(t, err)
		had := h.wallet(h.own).Balance.Available
		var wait sync.WaitGroup
		var mu sync.Mutex
		var charged, returned models.Credits
		for i := range 8 {
			wait.Go(func() {
				for j := range 6 {
					got, err := h.s.Charge(ctx, Scope{}, ChargeInput{Wallet: h.acme.Wallet.String(), Key: fmt.Sprintf("race-%d-%d", i, j), Action: "ai.reply", Model: "gpt-3.5-turbo"})
					if problem.Is(err, "wallet_paused") {
						return
					}
					if err != nil {
						t.Errorf("charge: %v", err)
						return
					}
					mu.Lock()
					charged += got.Charge.Credits
					mu.Unlock()
				}
			})
		}
		wait.Go(func() {
			var err error
			if returned, err = h.s.ArchiveSubAccount(ctx, Scope{}, ArchiveInput{Agency: h.agency.ID, SubAccount: h.sub.SubAccount, TakeBack: true, By: "test"}); err != nil {
				t.Errorf("archive: %v", err)
			}
		})
		wait.Wait()
		require.Equal(t, had+returned, h.wallet(h.own).Balance.Available)
		require.Equal(t, 1000*models.Credit, charged+returned+h.wallet(h.acme).Balance.Available)
		require.Zero(t, h.wallet(h.acme).Balance.Available, "nothing was charged between the return and the closing")
		report, err := ledger.Audit(ctx, db, h.s.Now())
		require.NoError(t, err)
		require.True(t, report.Clean(), "%s", report)
	})
}

// An archived client leaves its place on the plan free, and needs one to return.
func TestArchivingFreesAPlace(t *testing.T) {
	t.Parallel()
	modelstest.Each(t, func(t *testing.T, db *models.DB) {
		h := newInvites(t, db)
		ctx := t.Context()
		live, err := liveSubscription(db.Read, h.agency.ID)
		require.NoError(t, err)
		require.NoError(t, db.Write.Model(&models.Plan{}).Where("id = ?", live.PlanID).Update("sub_account_limit", 1).Error)
		add := func(name string) error {
			_, err := h.s.CreateSubAccount(ctx, Scope{}, SubAccountInput{Agency: h.agency.ID, ExternalID: name, Name: name, By: "test"})
			return err
		}
		require.True(t, problem.Is(add("second"), "sub_account_limit"))
		_, err = h.s.ArchiveSubAccount(ctx, Scope{}, ArchiveInput{Agency: h.agency.ID, SubAccount: h.sub.SubAccount, By: "test"})
		require.NoError(t, err)
		require.NoError(t, add("second"))
		require.True(t, problem.Is(h.s.RestoreSubAccount(ctx, Scope{}, h.agency.ID, h.sub.SubAccount, "test"), "sub_account_limit"))
	})
}

// A client restored while its agency is paused waits for its agency.
func TestRestoredIntoAPausedAgency(t *testing.T) {
	t.Parallel()
	h := newInvites(t, modelstest.OpenSQLite(t))
	ctx := t.Context()
	_, err := h.s.ArchiveSubAccount(ctx, Scope{}, ArchiveInput{Agency: h.agency.ID, SubAccount: h.sub.SubAccount, By: "test"})
	require.NoError(t, err)
	_, err = h.s.PauseAgency(ctx, h.agency.ID, "unpaid", "test")
	require.NoError(t, err)
	status := func() models.WalletStatus {
		var w models.Wallet
		require.NoError(t, h.db.Read.Where("agency_id = ? AND id = ?", h.agency.ID, h.acme.Wallet).Take(&w).Error)
		return w.Status
	}
	_, err = h.s.ResumeAgency(ctx, h.agency.ID, "", "test")
	require.NoError(t, err)
	require.Equal(t, models.WalletClosed, status(), "resuming an agency restores nobody")
	_, err = h.s.PauseAgency(ctx, h.agency.ID, "unpaid", "test")
	require.NoError(t, err)
	require.NoError(t, h.s.RestoreSubAccount(ctx, Scope{}, h.agency.ID, h.sub.SubAccount, "test"))
	require.Equal(t, models.WalletSuspended, status())
	_, err = h.s.ResumeAgency(ctx, h.agency.ID, "", "test")
	require.NoError(t, err)
	require.Equal(t, models.WalletActive, status())
}
