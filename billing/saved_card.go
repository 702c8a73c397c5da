package billing

import (
	"context"
	"errors"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"refill/billing/checkout"
	"refill/models"
)

// What becomes of a saved card at Stripe while nobody is here: its owner removes
// it on Stripe's pages, or its network gives it another number or expiry.

func isCardEvent(kind string) bool {
	switch kind {
	case "payment_method.automatically_updated", "payment_method.detached", "payment_method.updated":
		return true
	}
	return false
}

// changedCardEvent brings whoever is charged with the card of an event to how it
// stands.
func (s *Service) changedCardEvent(ctx context.Context, e *models.StripeEvent) error {
	var charged []models.TopUp
	if err := s.db.Write.WithContext(ctx).Where("payment_method = ? AND account = ?", e.ObjectID, e.Account).Find(&charged).Error; err != nil {
		return err
	}
	if len(charged) == 0 {
		return foreignError("automatic top-up charges another card, or none")
	}
	var errs []error
	for i := range charged {
		errs = append(errs, s.settleCard(ctx, &charged[i]))
	}
	return errors.Join(errs...)
}

// settleCard asks Stripe how the card of an automatic top-up stands, and brings our
// row to it. What a look saw is written only when none began after it, so that an
// old answer never overtakes a newer one: whoever looks last writes.
func (s *Service) settleCard(ctx context.Context, of *models.TopUp) error {
	var look int64
	if err := s.db.InTx(ctx, func(tx *gorm.DB) error {
		return tx.Raw("UPDATE top_ups SET card_looks = card_looks + 1 WHERE agency_id = ? AND wallet_id = ? AND payment_method = ? RETURNING card_looks",
			of.AgencyID, of.WalletID, of.PaymentMethod).Scan(&look).Error
	}); err != nil || look == 0 { // 0: another card was saved meanwhile
		return err
	}
	card, customer, err := s.payments.Card(ctx, of.Account, of.PaymentMethod)
	if checkout.IsRevoked(err) {
		return foreignError("its account is not connected any more")
	}
	removed := customer == ""
	if err != nil && checkout.KindOf(err) != checkout.KindNotFound {
		return paymentUnavailable(err)
	}
	now := s.clock.Now()
	return s.db.InTx(ctx, func(tx *gorm.DB) error {
		var t models.TopUp
		if err := tx.Clauses(clause.Locking{Strength: "UPDATE"}).Where("agency_id = ? AND wallet_id = ?", of.AgencyID, of.WalletID).Take(&t).Error; err != nil {
			return err
		}
		if t.PaymentMethod != of.PaymentMethod || t.CardLooks != look || !t.HasCard() {
			return nil
		}
		if removed {
			return s.cardRemoved(tx, &t, now)
		}
		return s.cardChanged(tx, &t, &card, now)
	})
}

// cardRemoved ends the use of a card that its owner took away, before it is tried
// in vain. Whoever was told that automatic top-up waits for another card is not told
// again.
func (s *Service) cardRemoved(tx *gorm.DB, t *models.TopUp, now models.Time) error {
	name := cardName(t)
	t.RemovedCard = t.PaymentMethod
	if t.State == models.TopUpOn || t.State == models.TopUpPaused && t.Reason.EndsByItself() {
		stop := pausedError{reason: models.TopUpRemoved, note: name + " was removed from your cards at Stripe. Add a card, and automatic top-up goes on by itself."}
		if err := s.pauseIn(tx, t, "", stop, now); err != nil { // only a limit needs the zone
			return err
		}
	}
	if err := tx.Model(&models.TopUp{}).Where("agency_id = ? AND wallet_id = ?", t.AgencyID, t.WalletID).Update("removed_card", t.RemovedCard).Error; err != nil {
		return err
	}
	return s.audit(tx, t.AgencyID, actorStripe, "top_up.card", t.WalletID.String(), name+" removed", "", now)
}

// cardChanged shows a card as its network has it now, and lets what paused for it
// go on where that helps.
func (s *Service) cardChanged(tx *gorm.DB, t *models.TopUp, card *checkout.Card, now models.Time) error {
	was := *t
	if err := useCard(tx, t, card, now); err != nil || *t == was {
		return err
	}
	if err := tx.Select("*").Updates(t).Error; err != nil {
		return err
	}
	if t.State != was.State {
		s.topUps.ring() // too early by the rest of this transaction, and the tick finds it anyway
	}
	return s.audit(tx, t.AgencyID, actorStripe, "top_up.card", t.WalletID.String(), cardName(t), "", now)
}
