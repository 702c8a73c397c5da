package billing

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"refill/billing/period"
	"refill/billing/problem"
	"refill/models"
)

// ShelfPackage is a package that a client may see now, as far as its monthly
// limit allows.
type ShelfPackage struct {
	models.Package

	Limited bool        // there is a monthly limit
	Left    int         // of it, this month; 0: used up
	OpensAt models.Time // when a used-up limit opens again
	Running bool        // of a monthly one: the client has it
	Later   bool        // it is paid now, and its credits come when the agency has them
	Quoted  bool        // its credits and price are those of the quote
}

// PackagesFor lists what a client may see on sale now, in its agency's order. It
// is empty where nothing could be bought: while the agency's Stripe account takes
// no money, and for a client that draws on its agency's pool. Errors: not_found
// for an agency's own account.
func (s *Service) PackagesFor(ctx context.Context, a *Account) ([]ShelfPackage, error) {
	return s.packagesAt(ctx, a, &Quoted{})
}

// packagesAt is PackagesFor at the prices of a quote, where it holds any.
func (s *Service) packagesAt(ctx context.Context, a *Account, quote *Quoted) ([]ShelfPackage, error) {
	now := s.clock.Now()
	if a.SubAccount == nil {
		return nil, problem.Missing("sub-account")
	}
	var out []ShelfPackage
	err := s.db.Snapshot(ctx, func(tx *gorm.DB) error {
		open, err := mayTakeMoney(tx, a.Agency.ID)
		if err != nil || !open {
			return err
		}
		err = fedByHand(tx, *a.SubAccount)
		if problem.Is(err, "pooled_account") {
			return nil
		}
		if err != nil {
			return err
		}
		var rows []models.Package
		if err := shownTo(tx, a.SubAccount).Where("packages.on_sale").Order("packages.position, packages.id").Find(&rows).Error; err != nil {
			return err
		}
		bought, err := boughtThisMonth(tx, a.SubAccount, now)
		if err != nil {
			return err
		}
		for i := range rows {
			quoted := quote.price(&rows[i])
			out = append(out, onShelf(&rows[i], a.SubAccount, bought[rows[i].ID], now))
			out[i].Quoted = quoted
		}
		if err := markRunning(tx, a, out); err != nil {
			return err
		}
		return s.markLater(ctx, tx, a, out, now)
	})
	return out, err
}

// markRunning marks the monthly packages that a client has.
func markRunning(tx *gorm.DB, a *Account, shelf []ShelfPackage) error {
	var has []models.PackageID
	if err := collected(tx, a.Agency.ID, a.Wallet).Pluck("package_id", &has).Error; err != nil {
		return err
	}
	for i := range shelf {
		shelf[i].Running = slices.Contains(has, shelf[i].ID)
	}
	return nil
}

// markLater marks what is beyond the agency's stock and may wait for it.
func (s *Service) markLater(ctx context.Context, tx *gorm.DB, a *Account, shelf []ShelfPackage, now models.Time) error {
	rule, err := oversellRule(tx, a.Agency.ID)
	if err != nil || rule.Rule == models.OversellRefuse {
		return err
	}
	view, err := s.ledger.ViewIn(ctx, tx, a.Agency.ID, a.Agency.WalletID, now)
	if err != nil {
		return err
	}
	stock := stockOf(&view, now)
	for i := range shelf {
		shelf[i].Later = (stock < shelf[i].Credits || view.Balance.Excess > 0) && rule.room(shelf[i].Credits)
	}
	return nil
}

// shownTo narrows a query of packages to those a client may see, on sale or not.
func shownTo(tx *gorm.DB, sub *models.SubAccount) *gorm.DB {
	return tx.Model(&models.Package{}).Where("packages.agency_id = ? AND packages.archived_at = 0", sub.AgencyID).
		Where(`packages.audience = ? OR EXISTS (SELECT 1 FROM package_viewers v
			WHERE v.agency_id = packages.agency_id AND v.package_id = packages.id AND v.sub_account_id = ?)`, models.AudienceAll, sub.ID)
}

func onShelf(p *models.Package, sub *models.SubAccount, bought int, now models.Time) ShelfPackage {
	out := ShelfPackage{Package: *p, Limited: p.MonthlyLimit > 0}
	if out.Limited {
		out.Left = max(0, p.MonthlyLimit-bought)
	}
	if out.Limited && out.Left == 0 {
		out.OpensAt = period.CalendarMonth(now, Zone(sub.TimeZone)).End
	}
	return out
}

// boughtThisMonth counts what a client bought since its calendar month began, by
// package. An open checkout does not count: a client has one at most, and it is
// closed, or found paid, before another opens. What automatic top-up pays does: nobody
// can close that.
func boughtThisMonth(tx *gorm.DB, sub *models.SubAccount, now models.Time) (map[models.PackageID]int, error) {
	var rows []struct {
		PackageID models.PackageID
		Bought    int
	}
	month := period.CalendarMonth(now, Zone(sub.TimeZone))
	err := tx.Model(&models.Purchase{}).Select("package_id, COUNT(*) AS bought").
		Where("agency_id = ? AND wallet_id = ? AND package_id IS NOT NULL AND created_at >= ?", sub.AgencyID, sub.WalletID, month.Start).
		Where("status IN ? OR status = ? AND origin = ?",
			[]models.PurchaseStatus{models.PurchaseProcessing, models.PurchaseCredited, models.PurchaseReview, models.PurchaseDisputed},
			models.PurchaseOpen, models.OriginAutomatic).
		Group("package_id").Scan(&rows).Error
	out := make(map[models.PackageID]int, len(rows))
	for _, r := range rows {
		out[r.PackageID] = r.Bought
	}
	return out, err
}

// packageForSale finds what a client asks to buy. A package meant for others does
// not exist for it. Errors: unknown_package, package_not_on_sale,
// package_limit_reached (opens_at), pooled_account.
func packageForSale(tx *gorm.DB, agency *models.Agency, sub *models.SubAccount, ref string, now models.Time) (models.Package, error) {
	var p models.Package
	unknown := problem.New(problem.Invalid, "unknown_package", "This package is not on sale for you; choose one of those shown.").On("package")
	id, err := models.ParseID[models.PackageID](ref)
	if err != nil || sub == nil || sub.AgencyID != agency.ID {
		return p, unknown
	}
	err = shownTo(tx, sub).Where("packages.id = ?", id).Take(&p).Error
	switch {
	case errors.Is(err, gorm.ErrRecordNotFound):
		return p, unknown
	case err != nil:
		return p, fmt.Errorf("read package %s: %w", id, err)
	case !p.OnSale:
		return p, problem.New(problem.Conflict, "package_not_on_sale", "%s is not on sale any more; choose one of those shown.", p.Name).On("package")
	}
	if err := fedByHand(tx, *sub); err != nil || p.MonthlyLimit == 0 {
		return p, err
	}
	// Two tabs of one client take turns, so that both do not get the last one.
	lock := models.SubAccount{}
	if err := tx.Clauses(clause.Locking{Strength: "NO KEY UPDATE"}).Select("id").
		Where("agency_id = ? AND id = ?", sub.AgencyID, sub.ID).Take(&lock).Error; err != nil {
		return p, missing(err, "sub-account")
	}
	bought, err := boughtThisMonth(tx, sub, now)
	if err != nil {
		return p, err
	}
	if shelf := onShelf(&p, sub, bought[p.ID], now); shelf.Left == 0 {
		times := "once"
		if p.MonthlyLimit > 1 {
			times = fmt.Sprintf("%d times", p.MonthlyLimit)
		}
		return p, problem.New(problem.Conflict, "package_limit_reached", "%s can be bought %s a month. It opens again on %s.",
			p.Name, times, shelf.OpensAt.In(Zone(sub.TimeZone)).Format("January 2")).On("package").With("opens_at", shelf.OpensAt)
	}
	return p, nil
}

// mayTakeMoney tells whether an agency's Stripe account takes payments now.
func mayTakeMoney(tx *gorm.DB, agency models.AgencyID) (bool, error) {
	account, err := connection(tx, agency)
	return account.Sells(), err
}
