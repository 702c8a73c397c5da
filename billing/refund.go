package billing

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"time"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"refill/billing/checkout"
	"refill/billing/ledger"
	"refill/billing/problem"
	"refill/models"
)

// RefundPlan is what giving money of a purchase back will do, before it is done.
type RefundPlan struct {
	Purchase models.Purchase
	Left     int64 // minor units that can still be given back
	Amount   int64 // minor units; 0: no amount to plan for
	// Revoked is how many credits go with the amount: Unspent out of the buyer's
	// balance, Spent have been used already. Of a pack those become excess usage of
	// its buyer, of a package they are the seller's loss.
	Revoked models.Credits
	Unspent models.Credits
	Spent   models.Credits
	Before  models.Credits // the buyer's balance
	After   models.Credits
	Asked   []models.RefundRequest // earlier ones, newest first
}

// PlanRefund works out what a refund would do; amount 0 is all that is left.
// Errors: not_found, not_refundable, invalid_amount.
func (s *Service) PlanRefund(ctx context.Context, agency models.AgencyID, id models.PurchaseID, amount int64) (RefundPlan, error) {
	var out RefundPlan
	err := s.db.Snapshot(ctx, func(tx *gorm.DB) error {
		if err := tx.Where("agency_id = ? AND id = ?", agency, id).Take(&out.Purchase).Error; err != nil {
			return missing(err, "purchase")
		}
		p := &out.Purchase
		if err := tx.Where("agency_id = ? AND purchase_id = ?", agency, id).Order("id DESC").Limit(MaxPage).Find(&out.Asked).Error; err != nil {
			return err
		}
		var err error
		if out.Left, err = refundable(p, out.Asked); err != nil {
			return err
		}
		if out.Amount, err = refundAmount(p, amount, out.Left); err != nil {
			return err
		}
		var wallet models.Wallet
		if err := tx.Where("agency_id = ? AND id = ?", agency, p.WalletID).Take(&wallet).Error; err != nil {
			return err
		}
		var left models.Credits
		if err := tx.Model(&models.Lot{}).Where("agency_id = ? AND wallet_id = ? AND purchase_id = ?", agency, p.WalletID, p.ID).
			Select("CAST(COALESCE(SUM(remaining), 0) AS bigint)").Scan(&left).Error; err != nil {
			return err
		}
		standing := ledger.Standing{Paid: p.Paid, Refunded: p.Refunded + out.Amount, Disputed: p.DisputeHeld, Lost: p.DisputeLost}
		target, _ := standing.Target(p.Credits)
		taken := min(target, left+p.Frozen+p.Revoked-p.RevokedSpent) - (p.Revoked - p.RevokedSpent)
		out.Revoked = max(0, target-p.Revoked)
		out.Unspent = max(0, taken)
		out.Spent = out.Revoked - out.Unspent
		if err := out.planBonus(tx, standing); err != nil {
			return err
		}
		out.Before = wallet.Balance
		out.After = out.Before - out.Unspent
		if !p.IsSale() {
			out.After -= out.Spent
		}
		return nil
	})
	return out, err
}

// planBonus adds what goes of the bonus that came with a pack.
func (r *RefundPlan) planBonus(tx *gorm.DB, standing ledger.Standing) error {
	p := &r.Purchase
	if p.BonusLotID.IsZero() {
		return nil
	}
	var lot models.Lot
	if err := tx.Where("agency_id = ? AND id = ?", p.AgencyID, p.BonusLotID).Take(&lot).Error; err != nil {
		return err
	}
	target, _ := standing.Target(p.Bonus)
	had := p.BonusRevoked - p.BonusSpent
	revoked, unspent := max(0, target-p.BonusRevoked), max(0, min(target, lot.Remaining+p.BonusFrozen+had)-had)
	r.Revoked += revoked
	r.Unspent += unspent
	r.Spent += revoked - unspent
	return nil
}

// refundable is how much of a purchase can still be given back.
func refundable(p *models.Purchase, asked []models.RefundRequest) (int64, error) {
	no := func(format string) error {
		return problem.New(problem.Conflict, "not_refundable", "%s", format).On("amount")
	}
	switch {
	case p.PaidAt == 0 || p.PaymentIntent == "" || p.Paid == 0:
		return 0, no("Nothing was paid for this purchase, so nothing can be given back.")
	case p.DisputeHeld > 0:
		return 0, no("The buyer's bank has taken this payment while a dispute is open. It is decided there; a refund now would pay twice.")
	}
	left := p.Paid - p.Gone()
	for i := range asked {
		if asked[i].State == models.RefundAsked {
			left -= asked[i].Amount
		}
	}
	if left <= 0 {
		return 0, no("All of this payment has been given back.")
	}
	return left, nil
}

func refundAmount(p *models.Purchase, amount, left int64) (int64, error) {
	if amount == 0 {
		return left, nil
	}
	if amount < 0 || amount > left {
		most := models.Money{Amount: left, Currency: p.Currency}
		return 0, problem.New(problem.Invalid, "invalid_amount", "Give an amount above 0 and up to %s %s, which is what is left of the payment.",
			most.Decimal(), strings.ToUpper(p.Currency)).On("amount")
	}
	return amount, nil
}

// RefundInput gives money of a purchase back.
type RefundInput struct {
	Agency   models.AgencyID
	Purchase models.PurchaseID
	Sale     bool   // the seller asks: sales only; else packs only
	Amount   int64  // minor units; 0: all that is left
	Reason   string // required
	Key      string
	By       Actor
}

// Refund gives money of a purchase back to who paid it and takes the credits it
// bought with it. The request is written before Stripe hears of it, so a key
// never sends money twice; what Stripe did not answer is asked again by the
// clock. Errors: not_found, reason_missing, not_refundable, invalid_amount,
// idempotency_key_reused, refund_refused, payment_unavailable (it is on its way).
func (s *Service) Refund(ctx context.Context, in RefundInput) (models.RefundRequest, error) {
	now := s.clock.Now()
	in.Reason = strings.TrimSpace(in.Reason)
	if err := checkKey(in.Key); err != nil {
		return models.RefundRequest{}, err
	}
	if err := checkReason(in.Reason, "Say why in up to 500 bytes: the reason is kept in the audit log."); err != nil {
		return models.RefundRequest{}, err
	}
	if s.payments == nil {
		return models.RefundRequest{}, paymentUnavailable(errors.New("no payment provider is configured"))
	}
	var row models.RefundRequest
	err := s.once(ctx, func(tx *gorm.DB) (err error) {
		row, err = s.askRefund(tx, &in, now)
		return err
	})
	if err != nil {
		return row, err
	}
	if row.State == models.RefundAsked {
		if row, err = s.sendRefund(ctx, row, now); err != nil {
			return row, err
		}
	}
	if row.State == models.RefundRefused {
		return row, problem.New(problem.Conflict, "refund_refused", "%s", row.Note).On("amount")
	}
	if _, err := s.SettleWhole(ctx, row.AgencyID, row.PurchaseID); err != nil { // its event does it too
		s.log.LogAttrs(ctx, slog.LevelWarn, "settle a refunded purchase", slog.Any("error", err))
	}
	return row, nil
}

// askRefund writes a request, or finds the one its key made.
func (s *Service) askRefund(tx *gorm.DB, in *RefundInput, now models.Time) (models.RefundRequest, error) {
	asked := fingerprint("refund", in.Purchase.String(), models.Money{Amount: in.Amount}.Decimal(), in.Reason)
	var old models.RefundRequest
	err := tx.Where("agency_id = ? AND idempotency_key = ?", in.Agency, in.Key).Take(&old).Error
	if done, err := again(err, old.Fingerprint, asked); done || err != nil {
		return old, err
	}
	var p models.Purchase
	if err := tx.Clauses(clause.Locking{Strength: "UPDATE"}).Where("agency_id = ? AND id = ?", in.Agency, in.Purchase).Take(&p).Error; err != nil {
		return old, missing(err, "purchase")
	}
	if p.IsSale() != in.Sale {
		return old, problem.Missing("purchase") // whoever was paid gives back
	}
	var earlier []models.RefundRequest
	if err := tx.Where("agency_id = ? AND purchase_id = ? AND state = ?", in.Agency, in.Purchase, models.RefundAsked).Find(&earlier).Error; err != nil {
		return old, err
	}
	left, err := refundable(&p, earlier)
	if err != nil {
		return old, err
	}
	amount, err := refundAmount(&p, in.Amount, left)
	if err != nil {
		return old, err
	}
	row := models.RefundRequest{
		AgencyID: in.Agency, ID: models.NewID[models.RefundID](now), PurchaseID: p.ID, Amount: amount, Reason: in.Reason, State: models.RefundAsked,
		RequestedBy: string(in.By), IdempotencyKey: in.Key, Fingerprint: asked, CreatedAt: now,
	}
	if err := tx.Create(&row).Error; err != nil {
		return row, err
	}
	money := models.Money{Amount: amount, Currency: p.Currency}
	return row, s.audit(tx, in.Agency, in.By, "payment.refund", p.ID.String(), money.Decimal()+" "+strings.ToUpper(p.Currency), in.Reason, now)
}

// refundPatience is how long a refund that Stripe did not answer is asked for
// again under its key, which Stripe may forget after a day.
const refundPatience = 23 * time.Hour

// sendRefund has Stripe send the money of a request back. The answer to its key
// stands. Errors: payment_unavailable.
func (s *Service) sendRefund(ctx context.Context, row models.RefundRequest, now models.Time) (models.RefundRequest, error) {
	p, err := s.Purchase(ctx, row.AgencyID, row.PurchaseID)
	if err != nil {
		return row, err
	}
	if now.Sub(row.CreatedAt) > refundPatience {
		row.State, row.Note = models.RefundRefused, "The payment provider did not answer for a day. Look the payment up there before you try again."
	} else {
		made, err := s.payments.RefundPayment(ctx, checkout.RefundParams{
			Account: p.Account, PaymentIntent: p.PaymentIntent, Amount: row.Amount, IdempotencyKey: "refund:" + row.ID.String(), FeeToo: p.PlatformFee > 0,
		})
		switch {
		case checkout.KindOf(err) == checkout.KindUnavailable:
			return row, problem.New(problem.Unavailable, "payment_unavailable",
				"The payment provider did not answer. The refund was asked for and goes on by itself; do not ask again.").Because(err)
		case err != nil:
			row.State, row.Note = models.RefundRefused, refusal(err)
		default:
			row.State, row.Refund = models.RefundSent, made.ID
		}
	}
	return row, s.db.Write.WithContext(ctx).Model(&models.RefundRequest{}).
		Where("agency_id = ? AND id = ? AND state = ?", row.AgencyID, row.ID, models.RefundAsked).
		Updates(map[string]any{"state": row.State, "refund": row.Refund, "note": row.Note}).Error
}

// refusal is why Stripe will not send money back, in words.
func refusal(err error) string {
	if e, ok := errors.AsType[*checkout.Error](err); ok {
		switch e.Code {
		case "charge_already_refunded":
			return "The payment provider says that this payment has been given back already."
		case "charge_disputed":
			return "The buyer's bank has taken this payment back; it cannot be refunded as well."
		case "insufficient_funds", "balance_insufficient":
			return "The account has not enough money for this refund. Nothing was sent."
		}
		return "The payment provider refused this refund. Nothing was sent."
	}
	return "The refund could not be made. Nothing was sent."
}

// refundsDue asks again for refunds that Stripe did not answer.
func (s *Service) refundsDue(ctx context.Context, now models.Time) error {
	var due []models.RefundRequest
	if err := s.db.Read.WithContext(ctx).Where("state = ?", models.RefundAsked).Order("created_at").Limit(pollBatch).Find(&due).Error; err != nil {
		return err
	}
	var errs []error
	for i := range due {
		row, err := s.sendRefund(ctx, due[i], now)
		if err == nil && row.State == models.RefundSent {
			_, err = s.SettleWhole(ctx, row.AgencyID, row.PurchaseID)
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}
