package billing

import (
	"context"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"refill/billing/checkout"
	"refill/models"
)

// refundNews is what of a payment's refunds was not known before, in minor units, and
// Stripe's id of one of those.
type refundNews struct {
	given, failed  int64
	gave, returned string
}

func (n *refundNews) give(amount int64, refund string) { n.given, n.gave = n.given+amount, refund }

func (n *refundNews) fail(amount int64, refund string) {
	n.failed, n.returned = n.failed+amount, refund
}

// noteCredits writes a credit note for each refund of a credited purchase that
// stands, and voids those of refunds that failed. Numbers follow the seller's
// order of notes and are never used again. It gives which were written and voided.
func noteCredits(tx *gorm.DB, p *models.Purchase, m *checkout.MoneyBack, now models.Time) (news refundNews, err error) {
	var rows []models.CreditNote
	if err := tx.Where("agency_id = ? AND purchase_id = ?", p.AgencyID, p.ID).Order("number").Find(&rows).Error; err != nil {
		return news, err
	}
	known := map[string]*models.CreditNote{}
	var amounts, taxes int64
	for i := range rows {
		known[rows[i].Refund] = &rows[i]
		if rows[i].VoidedAt == 0 {
			amounts, taxes = amounts+rows[i].Amount, taxes+rows[i].Tax
		}
	}
	var last int64
	for _, r := range m.Refunds {
		old := known[r.ID]
		switch {
		case !r.Status.Stands():
			if old == nil || old.VoidedAt > 0 {
				continue
			}
			if err := tx.Model(&models.CreditNote{}).Where("agency_id = ? AND purchase_id = ? AND refund = ?", p.AgencyID, p.ID, r.ID).
				Update("voided_at", now).Error; err != nil {
				return news, err
			}
			amounts, taxes = amounts-old.Amount, taxes-old.Tax
			news.fail(old.Amount, r.ID)
			continue
		case old != nil || r.Amount.Amount <= 0:
			continue
		}
		if last == 0 {
			// A seller's notes take turns, so that the numbers are gapless.
			if err := tx.Clauses(clause.Locking{Strength: "UPDATE"}).Select("id").Where("id = ?", p.AgencyID).Take(&models.Agency{}).Error; err != nil {
				return news, err
			}
			if err := tx.Model(&models.CreditNote{}).Where("agency_id = ? AND account = ?", p.AgencyID, p.Account).
				Select("COALESCE(MAX(number), 0)").Scan(&last).Error; err != nil {
				return news, err
			}
		}
		last++
		// Tax by cumulative difference: the notes of a whole refund come to the whole tax.
		tax := int64(0)
		if p.Paid > 0 {
			upto, err := models.MulDiv(p.Tax, min(amounts+r.Amount.Amount, p.Paid), p.Paid)
			if err != nil {
				return news, err
			}
			tax = min(max(0, upto-taxes), r.Amount.Amount)
		}
		amounts, taxes = amounts+r.Amount.Amount, taxes+tax
		if err := tx.Create(&models.CreditNote{
			AgencyID: p.AgencyID, PurchaseID: p.ID, Refund: r.ID, Account: p.Account, Number: last, Amount: r.Amount.Amount, Tax: tax, Currency: p.Currency,
			RefundedAt: r.CreatedAt, CreatedAt: now,
		}).Error; err != nil {
			return news, err
		}
		news.give(r.Amount.Amount, r.ID)
	}
	return news, nil
}

// CreditNotes are a purchase's, by number.
func (s *Service) CreditNotes(ctx context.Context, agency models.AgencyID, id models.PurchaseID) ([]models.CreditNote, error) {
	var out []models.CreditNote
	return out, s.db.Read.WithContext(ctx).Where("agency_id = ? AND purchase_id = ?", agency, id).Order("number").Find(&out).Error
}
