package billing

import (
	"context"
	"errors"

	"gorm.io/gorm"

	"refill/billing/problem"
	"refill/models"
)

// PackageOffer is a package with what buying it would do to a client's balance.
type PackageOffer struct {
	ShelfPackage

	After models.Credits // the number on screen afterwards
}

// Shopfront is everything a client's purchase page shows.
type Shopfront struct {
	Wallet    WalletView
	Offers    []PackageOffer // none: the agency sells nothing to this client
	Last      *models.Purchase
	Suggested models.PackageID // last bought, else the smallest that leaves something
	Statement string           // what the client's card statement will show; may be empty
	Quote     Quoted           // the prices are of; zero: of none
}

// Shopfront reads a client's balance and what it may buy of its agency, by a
// quote's link at the quote's prices; quote may be empty. Errors: not_found for an
// agency's own account.
func (s *Service) Shopfront(ctx context.Context, a *Account, quote string) (Shopfront, error) {
	var out Shopfront
	var err error
	if quote != "" {
		if out.Quote, err = s.QuoteByToken(ctx, a.Agency.ID, quote); err != nil && !problem.Is(err, "not_found") {
			return out, err
		}
	}
	packages, err := s.packagesAt(ctx, a, &out.Quote)
	if err != nil {
		return out, err
	}
	if out.Wallet, err = s.Wallet(ctx, a); err != nil {
		return out, err
	}
	for _, p := range packages {
		out.Offers = append(out.Offers, PackageOffer{ShelfPackage: p, After: out.Wallet.Balance.Left() + p.Credits})
	}
	read := s.db.Read.WithContext(ctx)
	var last models.Purchase
	err = read.Where("agency_id = ? AND wallet_id = ? AND status = ?", a.Agency.ID, a.Wallet, models.PurchaseCredited).Order("id DESC").Take(&last).Error
	switch {
	case err == nil:
		out.Last = &last
	case !errors.Is(err, gorm.ErrRecordNotFound):
		return out, err
	}
	through, err := connection(read, a.Agency.ID)
	out.Statement = through.Statement
	out.Suggested = out.suggest()
	return out, err
}

func (f *Shopfront) suggest() models.PackageID {
	var smallest *PackageOffer
	for i, o := range f.Offers {
		if o.After <= 0 || o.Limited && o.Left == 0 || o.Running {
			continue
		}
		if f.Last != nil && f.Last.PackageID == o.ID {
			return o.ID
		}
		if smallest == nil || o.Credits < smallest.Credits {
			smallest = &f.Offers[i]
		}
	}
	if smallest == nil {
		return models.PackageID{}
	}
	return smallest.ID
}

// Sells tells whether a client could buy something of its agency now.
func (s *Service) Sells(ctx context.Context, a *Account) (bool, error) {
	packages, err := s.PackagesFor(ctx, a)
	return len(packages) > 0, err
}

// OnTheWay adds up what an account paid for and has not got yet.
func (s *Service) OnTheWay(ctx context.Context, a *Account) (models.Credits, error) {
	var out models.Credits
	err := s.db.Read.WithContext(ctx).Model(&models.Purchase{}).
		Where("agency_id = ? AND wallet_id = ? AND status = ?", a.Agency.ID, a.Wallet, models.PurchaseProcessing).
		Select("COALESCE(CAST(SUM(credits) AS bigint), 0)").Scan(&out).Error
	return out, err
}
