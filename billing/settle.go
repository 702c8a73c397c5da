package billing

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"refill/billing/checkout"
	"refill/billing/ledger"
	"refill/models"
)

// An event, a person or the clock only hints that a payment may have changed.
// What is booked follows from what Stripe says when it is asked, whole and at
// once, so that it does not matter what happened before or in which order it was
// told.

// look is what Stripe said of a purchase when it was asked.
type look struct {
	number  int64 // of the look; 0: Stripe was not asked
	session checkout.Session
	money   checkout.MoneyBack // refunds, disputes and warnings
	whole   bool               // money was asked for
}

// Settle asks Stripe how a purchase stands and brings our row, and the credits,
// to it. The return page, the poller and a person call this one function; it may
// run any number of times, at once. A purchase that is booked, or waits for a
// person, is left as it is. Errors: not_found, payment_unavailable.
func (s *Service) Settle(ctx context.Context, agency models.AgencyID, id models.PurchaseID) (models.Purchase, error) {
	p, err := s.settle(ctx, agency, id, false)
	if err == nil && p.Month() {
		if _, err := s.SettleMonthly(ctx, agency, p.SubscriptionID); err != nil { // its event does it too
			s.log.LogAttrs(ctx, slog.LevelWarn, "settle the subscription of a purchase", slog.Any("error", err))
		}
	}
	return p, err
}

// SettleWhole is Settle for a purchase in any state, with everything that
// happened to its payment since: what was refunded, disputed or warned of.
// Errors: not_found, payment_unavailable.
func (s *Service) SettleWhole(ctx context.Context, agency models.AgencyID, id models.PurchaseID) (models.Purchase, error) {
	return s.settle(ctx, agency, id, true)
}

func (s *Service) settle(ctx context.Context, agency models.AgencyID, id models.PurchaseID, whole bool) (models.Purchase, error) {
	now := s.clock.Now()
	p, err := s.Purchase(ctx, agency, id)
	if err != nil || !whole && progress(p.Status) >= progress(models.PurchaseReview) {
		return p, err
	}
	if p.CheckoutSession == "" && !p.Automatic() {
		return s.book(ctx, p, look{session: checkout.Session{Status: checkout.StatusOpen, PaymentStatus: checkout.PaymentUnpaid}}, now, false)
	}
	if s.payments == nil {
		return p, paymentUnavailable(errors.New("no payment provider is configured"))
	}
	l, err := s.beginLook(ctx, &p)
	if err != nil {
		return p, err
	}
	switch {
	case p.Automatic():
		l.session, err = s.lookAutomatic(ctx, &p, l.number, now)
	case p.Month():
		l.session, err = s.lookMonth(ctx, &p)
	default:
		l.session, err = s.payments.Session(ctx, p.Account, p.CheckoutSession)
	}
	if err == nil && l.session.PaymentIntent != "" && l.session.Paid() &&
		(whole || l.session.AmountRefunded > 0 || l.session.Disputed) {
		l.whole = true
		l.money, err = s.payments.MoneyBack(ctx, p.Account, l.session.PaymentIntent)
	}
	if p.IsSale() && checkout.IsRevoked(err) {
		return s.unreachable(ctx, p, now, false)
	}
	if err != nil {
		return p, paymentUnavailable(err)
	}
	return s.book(ctx, p, l, now, false)
}

// beginLook takes the number of a look before Stripe is asked: what a look saw is
// booked only when none that began later was, so that a slow answer never
// overtakes what is newer. Unlike a lease it needs no end, and nobody waits for a
// process that died. Whatever changes at Stripe after a look began tells of it in
// an event of its own, which looks again.
func (s *Service) beginLook(ctx context.Context, p *models.Purchase) (look, error) {
	var l look
	err := s.db.InTx(ctx, func(tx *gorm.DB) error {
		return tx.Raw("UPDATE purchases SET looks = looks + 1 WHERE agency_id = ? AND id = ? RETURNING looks", p.AgencyID, p.ID).Scan(&l.number).Error
	})
	return l, err
}

// seenPayment is a payment as a look at Stripe shows it.
func seenPayment(session *checkout.Session, now models.Time) models.SeenPayment {
	seen := models.SeenPayment{
		Payment: session.PaymentIntent, Account: session.Account, Session: session.ID, Reference: session.Reference, Amount: session.AmountTotal.Amount,
		Refunded: session.AmountRefunded, Currency: session.AmountTotal.Currency, Live: session.Live, PaidAt: session.PaidAt, SeenAt: now,
	}
	if seen.Payment == "" { // nothing was to be paid
		seen.Payment = session.ID
	}
	if seen.PaidAt == 0 {
		seen.PaidAt = session.CreatedAt
	}
	return seen
}

// noteSeen keeps what a look at Stripe showed of a paid purchase.
func noteSeen(tx *gorm.DB, p *models.Purchase, session *checkout.Session, now models.Time) error {
	if !session.Paid() || session.ID != p.CheckoutSession {
		return nil
	}
	seen := seenPayment(session, now)
	seen.AgencyID, seen.PurchaseID = p.AgencyID, p.ID
	return tx.Clauses(clause.OnConflict{UpdateAll: true}).Create(&seen).Error
}

// bookMoneyBack writes what happened to a payment after it was made, and brings
// the credits of a booked purchase to it.
func (s *Service) bookMoneyBack(ctx context.Context, tx *gorm.DB, p *models.Purchase, l *look, now models.Time) error {
	if !l.whole || p.PaymentIntent == "" {
		return nil
	}
	was := *p
	readMoneyBack(p, &l.money)
	if p.Dispute != was.Dispute || p.WarnedAt != was.WarnedAt {
		s.log.LogAttrs(ctx, slog.LevelWarn, "payment disputed or taken for fraud", slog.String("purchase", p.ID.String()),
			slog.String("dispute", string(p.Dispute)), slog.Bool("fraud_warning", p.WarnedAt > 0))
	}
	if p.CreditedAt == 0 {
		if p.IsSale() {
			return nil
		}
		return s.mailMoney(tx, &was, p, refundNews{}, now)
	}
	if err := s.revoke(ctx, tx, p, now); err != nil {
		return err
	}
	if err := s.revokeBonus(ctx, tx, p, now); err != nil {
		return err
	}
	p.Status = statusOfMoney(p)
	var news refundNews
	if p.ReceiptNumber > 0 {
		var err error
		if news, err = noteCredits(tx, p, &l.money, now); err != nil {
			return err
		}
	}
	if !p.IsSale() {
		if err := stirReferral(tx, p.AgencyID, now); err != nil {
			return err
		}
	}
	return s.notifyMoneyBack(tx, &was, p, news, now)
}

// readMoneyBack takes a payment's refunds, disputes and warnings into its
// purchase.
func readMoneyBack(p *models.Purchase, m *checkout.MoneyBack) {
	p.Refunded, p.RefundPending, p.RefundedAt = 0, 0, 0
	for _, r := range m.Refunds {
		if !r.Status.Stands() {
			continue
		}
		p.Refunded += r.Amount.Amount
		p.RefundedAt = max(p.RefundedAt, r.CreatedAt)
		if r.Status != checkout.RefundSucceeded {
			p.RefundPending += r.Amount.Amount
		}
	}
	p.Dispute, p.DisputeHeld, p.DisputeLost, p.DisputeFee, p.DisputeAnswerBy, p.DisputedAt = models.DisputeNone, 0, 0, 0, 0, 0
	for i := range m.Disputes {
		d := &m.Disputes[i]
		state := models.DisputeWon
		switch {
		case d.Open() && d.Inquiry():
			state = models.DisputeInquiry
		case d.Open():
			state = models.DisputeOpen
			p.DisputeHeld += d.Amount.Amount
		case d.Lost():
			state = models.DisputeLost
			p.DisputeLost += d.Amount.Amount
		}
		if graver(state) > graver(p.Dispute) {
			p.Dispute = state
		}
		if d.AnswerBy > 0 && (p.DisputeAnswerBy == 0 || d.AnswerBy < p.DisputeAnswerBy) {
			p.DisputeAnswerBy = d.AnswerBy
		}
		p.DisputedAt = max(p.DisputedAt, d.CreatedAt)
		if d.Fee.Currency == p.Currency { // of an account that is paid out in another, it stays out of sums
			p.DisputeFee += d.Fee.Amount
		}
	}
	p.DisputeFee = max(0, p.DisputeFee)
	p.WarnedAt = m.WarnedAt
}

// graver orders the states of disputes, for a payment that has several.
func graver(d models.DisputeState) int {
	switch d {
	case models.DisputeNone:
		return 0
	case models.DisputeWon:
		return 1
	case models.DisputeInquiry:
		return 2
	case models.DisputeLost:
		return 3
	case models.DisputeOpen:
		return 4
	}
	return 0
}

// standingOfPayment is how the money of a purchase stands.
func standingOfPayment(p *models.Purchase) ledger.Standing {
	return ledger.Standing{Paid: p.Paid, Refunded: p.Refunded, Disputed: p.DisputeHeld, Lost: p.DisputeLost}
}

// statusOfMoney is the state of a credited purchase.
func statusOfMoney(p *models.Purchase) models.PurchaseStatus {
	switch {
	case p.DisputeHeld > 0 || p.DisputeLost > 0:
		return models.PurchaseDisputed
	case p.Paid > 0 && p.Refunded >= p.Paid:
		return models.PurchaseRefunded
	}
	return models.PurchaseCredited
}

// revokeBonus brings the bonus that came with a pack to how its payment stands:
// the same part of it goes as of what was bought.
func (s *Service) revokeBonus(ctx context.Context, tx *gorm.DB, p *models.Purchase, now models.Time) error {
	if p.BonusLotID.IsZero() {
		return nil
	}
	revoked, frozen := standingOfPayment(p).Target(p.Bonus)
	if revoked == p.BonusRevoked && frozen == p.BonusFrozen && p.BonusSpent == 0 {
		return nil
	}
	done, err := s.ledger.Revoke(ctx, tx, ledger.RevokeRequest{
		Agency: p.AgencyID, Wallet: p.WalletID, Lot: p.BonusLotID, Revoked: revoked, Frozen: frozen, Actor: "stripe", Note: "Bonus with " + p.Title, At: now,
	})
	if err != nil {
		return fmt.Errorf("take back the bonus of purchase %s: %w", p.ID, err)
	}
	p.BonusRevoked, p.BonusSpent, p.BonusFrozen = done.Revoked(), done.Spent, done.Frozen
	return nil
}

// revoke brings the credits of a purchase to how its payment stands.
func (s *Service) revoke(ctx context.Context, tx *gorm.DB, p *models.Purchase, now models.Time) error {
	revoked, frozen := standingOfPayment(p).Target(p.Credits)
	if revoked == p.Revoked && frozen == p.Frozen && p.RevokedSpent == 0 {
		return nil
	}
	r := ledger.RevokeRequest{
		Agency: p.AgencyID, Wallet: p.WalletID, Purchase: p.ID, Revoked: revoked, Frozen: frozen, Actor: "stripe", Note: p.Title, At: now,
	}
	if p.IsSale() {
		seller, err := agencyWallet(tx, p.AgencyID)
		if err != nil {
			return err
		}
		r.Seller = seller
	}
	done, err := s.ledger.Revoke(ctx, tx, r)
	if err != nil {
		return fmt.Errorf("take back purchase %s: %w", p.ID, err)
	}
	p.Revoked, p.RevokedSpent, p.Frozen = done.Revoked(), done.Spent, done.Frozen
	if !p.IsSale() {
		return nil
	}
	p.CostBack = done.CostBack
	p.StatusNote = ""
	if done.Waiting > 0 {
		p.StatusNote = done.Waiting.Counted() + " that were taken back go to the client again once they are unspent."
	}
	if done.Act.IsZero() {
		return nil
	}
	return wakeSales(tx, p.AgencyID) // they may wait for what has come back
}
