package billing

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"gorm.io/gorm"

	"refill/billing/checkout"
	"refill/billing/ledger"
	"refill/billing/problem"
	"refill/models"
)

// PackageInput asks to buy a package of a client's agency.
type PackageInput struct {
	Account *Account // the client's
	Package string   // id
	Quote   string   // link's part of the quote whose price it is bought at; "": at its own
	Key     string   // of the attempt: the same key is the same purchase
	Email   string   // of the buyer, for the receipt; may be empty
	By      Actor

	times    int64         // how many of it, of automatic top-up; 0: one
	waits    bool          // where the stock is short, the client may pay now and get the credits later
	recovers *models.TopUp // the automatic top-up that goes on with the card that pays
}

// BuyPackage opens a client's purchase and its Checkout Session on the agency's
// own Stripe account. The package's credits are kept in the agency's stock from
// now until the client paid or can no longer, so two buyers never get the same
// credits. A client has one checkout open: an earlier one is closed first, and
// credited all the same if it was paid meanwhile. Errors: not_for_sale,
// unknown_package, package_not_on_sale, package_limit_reached, quote_over,
// not_connected, out_of_stock, idempotency_key_reused, subscribed_already, payment_unavailable (nothing was charged).
func (s *Service) BuyPackage(ctx context.Context, in PackageInput) (models.Purchase, error) {
	if in.Account.SubAccount == nil {
		return models.Purchase{}, problem.New(problem.Forbidden, "not_for_sale", "Packages are sold to sub-accounts; an agency buys packs.").On("wallet")
	}
	wish := attempt{
		account: in.Account, key: in.Key, email: in.Email, by: in.By, back: s.PortalURL(&in.Account.Agency),
		asked: in.digest(), recovers: in.recovers,
	}
	var earlier models.PurchaseID
	wish.offer = func(tx *gorm.DB, p *models.Purchase) (err error) {
		earlier, err = s.offerPackage(ctx, tx, in, p)
		return err
	}
	asked := false
	for range 6 { // each time another tab of the same client was quicker
		p, err := s.checkOut(ctx, wish)
		if problem.Is(err, "out_of_stock") && !in.waits {
			// The agency may have chosen to buy what a sale lacks; else its rule says
			// whether the sale may wait for it.
			in.waits = asked || !s.coverSale(ctx, &in)
			asked = true
			continue
		}
		if !errors.Is(err, errCheckoutOpen) {
			return p, err
		}
		if _, err := s.Cancel(ctx, in.Account.Agency.ID, earlier); err != nil {
			return p, err
		}
	}
	return models.Purchase{}, paymentUnavailable(errCheckoutOpen)
}

// digest is what a sale's key stands for.
func (in *PackageInput) digest() []byte {
	parts := []string{"package", in.Account.Wallet.String(), in.Package}
	if in.Quote != "" {
		parts = append(parts, in.Quote)
	}
	return fingerprint(parts...)
}

// coverSale has the agency buy what a sale lacks, if it wants that; false: there is
// no more than before.
func (s *Service) coverSale(ctx context.Context, in *PackageInput) bool {
	lacks, err := s.lacks(ctx, in)
	covered := false
	if err == nil {
		covered, err = s.coverStock(ctx, &in.Account.Agency, lacks, in.Account.Wallet.String()+":"+in.Key, s.clock.Now())
	}
	if err != nil {
		s.log.LogAttrs(ctx, slog.LevelError, "buy stock for a sale", slog.Any("error", err))
	}
	return covered
}

// lacks is how many credits a sale of a package needs in stock.
func (s *Service) lacks(ctx context.Context, in *PackageInput) (models.Credits, error) {
	id, err := models.ParseID[models.PackageID](in.Package)
	if err != nil {
		return 0, err
	}
	var pkg models.Package
	read := s.db.Read.WithContext(ctx)
	if err = read.Where("agency_id = ? AND id = ?", in.Account.Agency.ID, id).Take(&pkg).Error; err != nil {
		return 0, missing(err, "package")
	}
	_, err = s.atQuote(read, in.Quote, &pkg)
	return pkg.Credits, err
}

// errCheckoutOpen says that a client's earlier checkout has to be closed first.
var errCheckoutOpen = errors.New("another checkout of this client is open")

// offerPackage writes a sale as it is offered now and keeps its stock. With
// errCheckoutOpen it names the checkout that stands in the way.
func (s *Service) offerPackage(ctx context.Context, tx *gorm.DB, in PackageInput, p *models.Purchase) (models.PurchaseID, error) {
	var none models.PurchaseID
	agency, sub := in.Account.Agency, in.Account.SubAccount
	pkg, err := packageForSale(tx, &agency, sub, in.Package, p.CreatedAt)
	if err != nil {
		return none, err
	}
	if p.QuoteID, err = s.atQuote(tx, in.Quote, &pkg); err != nil {
		return none, err
	}
	seller, err := s.sellsThrough(tx, agency.ID)
	if err != nil {
		return none, err
	}
	p.PackageID, p.Title, p.Credits, p.Price, p.Currency, p.Account = pkg.ID, pkg.Name, pkg.Credits, pkg.Price, pkg.Currency, seller.Account
	share, err := feeShare(tx)
	if err != nil {
		return none, err
	}
	p.FeeShare = int64(share)
	if in.times > 1 {
		p.Title = fmt.Sprintf("%d × %s", in.times, pkg.Name)
		p.Credits, p.Price = pkg.Credits*models.Credits(in.times), pkg.Price*in.times
	}
	if pkg.Monthly() && in.times > 0 {
		return none, problem.New(problem.Conflict, "package_not_on_sale", "%s is paid every month; choose one that is bought once.", pkg.Name).On("package")
	}
	_, err = s.ledger.HoldStock(ctx, tx, ledger.StockRequest{
		Agency: p.AgencyID, Wallet: agency.WalletID, Purchase: p.ID, Credits: p.Credits, At: p.CreatedAt,
	})
	if problem.Is(err, "wallet_paused") {
		return none, problem.New(problem.Conflict, "out_of_stock", "These credits cannot be sold right now. You have not been charged.").Because(err)
	}
	if problem.Is(err, "out_of_stock") && in.waits {
		err = beyondStock(tx, p, err)
	}
	if err != nil {
		return none, err
	}
	// The agency's wallet is locked now: no other checkout of hers opens meanwhile.
	var open models.Purchase
	err = tx.Where("agency_id = ? AND wallet_id = ? AND status = ?", p.AgencyID, p.WalletID, models.PurchaseOpen).Where("origin <> ? AND invoice = ''", models.OriginAutomatic).Take(&open).Error
	switch {
	case err == nil && open.IdempotencyKey != p.IdempotencyKey: // else the same request, sent twice at once
		return open.ID, errCheckoutOpen
	case err != nil && !errors.Is(err, gorm.ErrRecordNotFound):
		return none, err
	}
	if pkg.Monthly() {
		if err := beginMonthly(tx, &pkg, p); err != nil {
			return none, err
		}
	}
	return none, tx.Create(p).Error
}

// releaseStock gives back what a checkout kept that will not be paid any more.
func (s *Service) releaseStock(ctx context.Context, tx *gorm.DB, p *models.Purchase, now models.Time) error {
	wallet, err := agencyWallet(tx, p.AgencyID)
	if err != nil {
		return err
	}
	return s.ledger.ReleaseStock(ctx, tx, p.AgencyID, wallet, p.ID, now)
}

func agencyWallet(tx *gorm.DB, agency models.AgencyID) (models.WalletID, error) {
	var row models.Agency
	err := tx.Select("wallet_id").Where("id = ?", agency).Take(&row).Error
	return row.WalletID, missing(err, "agency")
}

// sell books a paid sale. Money that came after the stock was let go waits until
// the agency has credits again: the client's purchase stays on its way, and the
// agency never goes below zero for it.
func (s *Service) sell(ctx context.Context, tx *gorm.DB, p *models.Purchase, session checkout.Session, now models.Time) (done bool, err error) {
	stock, err := agencyWallet(tx, p.AgencyID)
	if err != nil {
		return false, err
	}
	request := ledger.SaleRequest{
		Agency: p.AgencyID, From: stock, To: p.WalletID, Purchase: p.ID, Credits: p.Credits, Actor: p.BoughtBy, Note: p.Title, At: now,
	}
	if p.Month() {
		request.ExpiresAt = term(&session, now)
	}
	sold, err := s.ledger.Sell(ctx, tx, request)
	if refused := problem.Of(err); refused != nil {
		p.Status, p.StatusNote = models.PurchaseReview, "Paid, but the credits do not fit: "+refused.Message
		if refused.Code == "out_of_stock" {
			p.Status, p.StatusNote = models.PurchaseProcessing, "Paid. The credits are on the way."
			return false, s.notifyWaiting(tx, p, now)
		}
		return false, nil // booked as it stands: the money is there, the credits are not
	}
	if err != nil {
		return false, fmt.Errorf("book sale %s: %w", p.ID, err)
	}
	p.ActID, p.BalanceBefore, p.BalanceAfter, p.Cost = sold.Act.ID, sold.ToBefore.Left(), sold.ToAfter.Left(), sold.Cost
	p.TermEnd = request.ExpiresAt
	if session.Fee.Currency == p.Currency {
		p.Fee = session.Fee.Amount
	}
	p.PlatformFee = session.ApplicationFee
	return true, nil
}

// wakeSales makes the next tick look at paid sales that wait for stock.
func wakeSales(tx *gorm.DB, agency models.AgencyID) error {
	return tx.Model(&models.Purchase{}).
		Where("agency_id = ? AND status = ? AND package_id IS NOT NULL AND paid_at > 0", agency, models.PurchaseProcessing).
		Update("checked_at", 0).Error
}
