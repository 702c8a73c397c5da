package ledger_test

import (
	"fmt"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"gorm.io/gorm"

	"refill/billing/ledger"
	"refill/models"
)

// moneyBack adds packs whose payments went back: one in part, with the same part of
// its bonus, one that the bank keeps half of, and one whose credits were used.
func (w *world) moneyBack(t *testing.T, pack models.PackID, now models.Time) {
	t.Helper()
	bought := func(intent string, n, price int64) *models.Purchase {
		p := &models.Purchase{
			AgencyID: w.agency, ID: models.NewID[models.PurchaseID](now), WalletID: w.wallet, PackID: pack, Title: "p", Credits: credits(n), Price: price,
			Currency: "usd", Status: models.PurchaseCredited, IdempotencyKey: intent, Fingerprint: []byte{1}, PaymentIntent: intent, ExpiresAt: now + 1,
			Paid: price, PaidAt: now, CreditedAt: now, CreatedAt: now,
		}
		require.NoError(t, w.db.Write.Create(p).Error)
		w.grant(t, w.wallet, models.SourcePurchase, n, func(r *ledger.GrantRequest) {
			r.Purchase, r.Cost, r.At = p.ID, p.Total(), now
		})
		return p
	}
	// stand books how a payment stands, as billing does.
	stand := func(p *models.Purchase, change func()) {
		change()
		s := ledger.Standing{Paid: p.Paid, Refunded: p.Refunded, Disputed: p.DisputeHeld, Lost: p.DisputeLost}
		revoke := func(of models.Credits, lot models.LotID) (out ledger.Revoked) {
			revoked, frozen := s.Target(of)
			require.NoError(t, w.db.InTx(t.Context(), func(tx *gorm.DB) (err error) {
				out, err = w.ledger.Revoke(t.Context(), tx, ledger.RevokeRequest{
					Agency: w.agency, Wallet: w.wallet, Purchase: p.ID, Lot: lot, Revoked: revoked, Frozen: frozen, Actor: "test", At: now,
				})
				return err
			}))
			return out
		}
		done := revoke(p.Credits, models.LotID{})
		p.Revoked, p.RevokedSpent, p.Frozen = done.Revoked(), done.Spent, done.Frozen
		if p.Bonus > 0 {
			done = revoke(p.Bonus, p.BonusLotID)
			p.BonusRevoked, p.BonusSpent, p.BonusFrozen = done.Revoked(), done.Spent, done.Frozen
		}
		require.NoError(t, w.db.Write.Where("agency_id = ? AND id = ?", p.AgencyID, p.ID).Select("*").Updates(p).Error)
	}
	used := bought("pi_u", 2, 10) // the cheapest, so it is drawn first
	w.charge(t, of(w.request("k7", 40), w.wallet, now))
	refunded, disputed := bought("pi_r", 100, 1000), bought("pi_d", 100, 1000)
	refunded.Bonus = credits(10)
	refunded.BonusLotID = w.grant(t, w.wallet, models.SourceAdjustment, 10, func(r *ledger.GrantRequest) { r.At = now }).Lot.ID
	stand(used, func() { used.Refunded, used.Status = used.Paid, models.PurchaseRefunded })
	require.Equal(t, credits(2), used.RevokedSpent)
	stand(refunded, func() { refunded.Refunded = 300 })
	require.Equal(t, []models.Credits{credits(30), credits(3)}, []models.Credits{refunded.Revoked, refunded.BonusRevoked})
	stand(disputed, func() { disputed.DisputeHeld, disputed.Status = 500, models.PurchaseDisputed })
	require.Equal(t, credits(50), disputed.Frozen)

	other := models.Agency{
		ID: models.NewID[models.AgencyID](now), ExternalID: "b", Name: "b", Host: "b", TimeZone: "UTC", Currency: "usd", Status: models.AgencyActive,
		WalletID: models.NewID[models.WalletID](now), CreatedAt: now,
	}
	reward := w.grant(t, w.wallet, models.SourceReferral, 5, func(r *ledger.GrantRequest) { r.At = now })
	for _, row := range []any{
		&other,
		&models.Referral{
			AgencyID: w.agency, ReferredID: other.ID, Credits: credits(5), State: models.ReferralEarned, LotID: reward.Lot.ID, ActID: reward.Act.ID, JoinedAt: now, DecidedAt: now,
		},
		&models.PlanClaim{AgencyID: w.agency, LotID: reward.Lot.ID, Credits: credits(5), ClaimedAt: now},
	} {
		require.NoError(t, w.db.Write.Create(row).Error)
	}
}

// aside adds what stands beside the ledger: a plan, automatic top-up with declines
// and its limit, notices, events and what leaves, each as it may be.
func (w *world) aside(t *testing.T, pack models.PackID, now models.Time) {
	t.Helper()
	const half = 30 * time.Minute
	add := func(rows ...any) {
		for _, row := range rows {
			require.NoError(t, w.db.Write.Create(row).Error, "%T", row)
		}
	}
	plan := models.Plan{
		ID: models.NewID[models.PlanID](now), Code: "p", Name: "p", Version: 1, Currency: "usd", Allowance: credits(10), Every: models.EveryMonth,
		PaidEvery: models.PaidMonthly, RateCardID: w.card, CreatedAt: start,
	}
	live := models.Subscription{
		AgencyID: w.agency, ID: models.NewID[models.SubscriptionID](now), PlanID: plan.ID, PlanVersion: 1, Status: models.SubscriptionTrialing, Currency: "usd",
		PaidEvery: models.PaidMonthly, AnchorAt: now, TimeZone: "UTC", Every: models.EveryMonth, Allowance: credits(10),
		PeriodStart: now, PeriodEnd: start.Add(time.Hour), TrialEnd: start.Add(time.Hour), CreatedAt: now,
	}
	over := live
	over.ID, over.Status, over.PeriodStart, over.EndedAt = models.NewID[models.SubscriptionID](now), models.SubscriptionCancelled, start, now
	add(&models.RateCard{ID: w.card, Code: "c", Name: "c", CreatedAt: start}, &plan, &live, &over,
		&models.Setting{Name: models.SettingWorked, Value: strconv.FormatInt(int64(start.Add(half)), 10)})

	require.NoError(t, w.db.Write.Model(&models.Purchase{}).Where("payment_intent = 'pi_b'").Update("origin", models.OriginAutomatic).Error)
	add(&models.TopUp{
		AgencyID: w.agency, WalletID: w.wallet, State: models.TopUpOn, Threshold: credits(1), PackID: pack, Price: 1000, Currency: "usd", MonthlyLimit: 1000,
		AgreedBy: "test", AgreedAt: start, PaymentMethod: "pm", CardFingerprint: "other", CreatedAt: start,
	})
	for i, card := range []string{"one", "one", "one", "one", "other"} {
		at := start.Add(time.Duration(i+2) * 2 * time.Hour)
		add(&models.Purchase{
			AgencyID: w.agency, ID: models.NewID[models.PurchaseID](at), WalletID: w.wallet, PackID: pack, Title: "p", Credits: credits(100), Price: 1000, Currency: "usd",
			Status: models.PurchaseFailed, Origin: models.OriginAutomatic, Card: card, IdempotencyKey: fmt.Sprintf("f%d", i), Fingerprint: []byte{1}, ExpiresAt: at, CreatedAt: at,
		})
	}
	var sale models.Purchase
	require.NoError(t, w.db.Read.Where("idempotency_key = 'sale'").Take(&sale).Error)
	add(&models.SeenPayment{Payment: "pi_x", Account: sale.Account, AgencyID: w.agency, PurchaseID: sale.ID, Amount: sale.Price, Currency: "usd", PaidAt: now, SeenAt: now})

	low := models.Notice{
		AgencyID: w.agency, ID: models.NewID[models.NoticeID](now), WalletID: w.wallet, Event: models.NoticeLow, Occasion: "wallet.low #1", DueAt: now, ToldAt: now, CreatedAt: now,
	}
	paused := low
	paused.ID, paused.Event, paused.Occasion, paused.DueAt, paused.ToldAt = models.NewID[models.NoticeID](now), models.NoticePaused, "wallet.paused #2", start.Add(half), 0
	low.DueAt = start.Add(half)
	user := models.User{ID: models.NewID[models.UserID](now), Email: "a@example.com", Name: "a", PasswordHash: "x", CreatedAt: now}
	end := models.WebhookEndpoint{ID: models.NewID[models.WebhookEndpointID](now), URL: "https://example.com/", Secret: "s", CreatedBy: "test", CreatedAt: now}
	add(&models.Alarm{AgencyID: w.agency, WalletID: w.wallet, Told: 2, LookedAt: now}, &low, &paused, &user,
		&models.NoticeCopy{AgencyID: w.agency, UserID: user.ID, NoticeID: low.ID, InApp: true},
		&end,
		&models.WebhookDelivery{
			EndpointID: end.ID, EventID: models.NewID[models.WebhookEventID](now), AgencyID: w.agency, Type: "wallet.low", Body: "{}", State: models.WebhookDelivered,
			Attempts: 1, Status: 204, NextAt: now, ExpiresAt: now, TriedAt: now, CreatedAt: now, EndedAt: now,
		},
		&models.Mail{Kind: models.MailNotice, Recipient: "a@example.com", State: models.MailSent, NextAt: now, ExpiresAt: now, CreatedAt: now, EndedAt: now},
		&models.StripeEvent{Endpoint: "platform", EventID: "evt_1", Type: "x", Payload: []byte("{}"), State: models.EventPending, Note: "later", Attempts: 3, NextAt: start.Add(half), ReceivedAt: start},
		&models.StripeEvent{Endpoint: "platform", EventID: "evt_2", Type: "x", Payload: []byte("{}"), State: models.EventProcessed, ReceivedAt: start, ProcessedAt: now},
		&models.StripeEvent{Endpoint: "platform", EventID: "evt_3", Type: "x", Payload: []byte("{}"), State: models.EventIgnored, Note: "not ours", ReceivedAt: start, ProcessedAt: now},
	)
}
