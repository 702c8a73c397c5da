package billing

import (
	"context"
	"sort"
	"time"

	"gorm.io/gorm"

	"refill/billing/period"
	"refill/models"
)

// SalesTotal is what an agency's sales of a span came to, in minor units of its
// currency. The cost is that of the very lots moved, the fee what Stripe kept;
// money given back, and credits that came back with it, are taken off.
type SalesTotal struct {
	Sales   int64
	Credits models.Credits
	Revenue int64
	Cost    int64
	Fee     int64
	Share   int64 // the platform's, less what went back with refunds

	DisputeFee int64 // what Stripe charged for disputes
}

// Profit is what the agency kept.
func (t SalesTotal) Profit() int64 { return t.Revenue - t.Cost - t.Fee - t.Share - t.DisputeFee }

// IsZero tells that nothing was sold, nor anything left of what was refunded: Stripe
// keeps its fee.
func (t SalesTotal) IsZero() bool { return t == SalesTotal{} }

func (t *SalesTotal) add(o SalesTotal) {
	t.Sales += o.Sales
	t.Credits += o.Credits
	t.Revenue += o.Revenue
	t.Cost += o.Cost
	t.Fee += o.Fee
	t.Share += o.Share
	t.DisputeFee += o.DisputeFee
}

// SalesBy is sales by something: a client's wallet, a package.
type SalesBy[K comparable] map[K]SalesTotal

// Total adds all up.
func (b SalesBy[K]) Total() SalesTotal {
	var out SalesTotal
	for _, t := range b {
		out.add(t)
	}
	return out
}

// SalesByClient adds up what an agency sold in a span, by its clients' wallets.
func (s *Service) SalesByClient(ctx context.Context, agency models.AgencyID, span period.Span) (SalesBy[models.WalletID], error) {
	return salesBy[models.WalletID](s.db.Read.WithContext(ctx), "wallet_id", agency, span)
}

// SalesByPackage adds up what an agency sold in a span, by package.
func (s *Service) SalesByPackage(ctx context.Context, agency models.AgencyID, span period.Span) (SalesBy[models.PackageID], error) {
	return salesBy[models.PackageID](s.db.Read.WithContext(ctx), "package_id", agency, span)
}

// SalesDay is what an agency sold on one of its days.
type SalesDay struct {
	period.Span
	SalesTotal
}

// SalesByDay adds up what an agency sold in a span, day by day in a zone; days
// without a sale are among them.
func (s *Service) SalesByDay(ctx context.Context, agency models.AgencyID, span period.Span, zone *time.Location) ([]SalesDay, error) {
	// A midnight of any zone is one of UTC's quarter-hours.
	quarters, err := salesBy[int64](s.db.Read.WithContext(ctx), "credited_at / 900000000", agency, span)
	if err != nil {
		return nil, err
	}
	var out []SalesDay
	for _, day := range period.Days(span.Start, span.End, zone) {
		out = append(out, SalesDay{Span: day})
	}
	for quarter, t := range quarters {
		at := models.Time(quarter * 900_000_000)
		i := sort.Search(len(out), func(i int) bool { return out[i].End > at })
		out[min(i, len(out)-1)].add(t)
	}
	return out, nil
}

// goneSQL is models.Purchase's Gone.
const goneSQL = "(CASE WHEN refunded + dispute_lost < paid THEN refunded + dispute_lost ELSE paid END)"

// feeBackSQL is models.Purchase's PlatformBack.
const feeBackSQL = "(CASE WHEN paid > 0 THEN platform_fee * (CASE WHEN refunded < paid THEN refunded ELSE paid END) / paid ELSE 0 END)"

func salesBy[K comparable](tx *gorm.DB, column string, agency models.AgencyID, span period.Span) (SalesBy[K], error) {
	var rows []struct {
		Key K
		SalesTotal
	}
	err := tx.Model(&models.Purchase{}).
		Select(column+` AS key, CAST(SUM(CASE WHEN `+goneSQL+` < paid OR paid = 0 THEN 1 ELSE 0 END) AS bigint) AS sales,
			CAST(SUM(credits - revoked + revoked_spent) AS bigint) AS credits, CAST(SUM(price - `+goneSQL+`) AS bigint) AS revenue,
			CAST(SUM(cost - cost_back) AS bigint) AS cost, CAST(SUM(fee) AS bigint) AS fee, CAST(SUM(platform_fee - `+feeBackSQL+`) AS bigint) AS share,
			CAST(SUM(dispute_fee) AS bigint) AS dispute_fee`).
		Where("agency_id = ? AND package_id IS NOT NULL AND credited_at > 0 AND credited_at >= ? AND credited_at < ?", agency, span.Start, span.End).
		Group(column).Scan(&rows).Error
	out := make(SalesBy[K], len(rows))
	for _, r := range rows {
		out[r.Key] = r.SalesTotal
	}
	return out, err
}

// Sale is one sale as the agency sees it.
type Sale struct {
	models.Purchase

	Client string // the sub-account's name
	Sub    models.SubAccountID
}

// Profit is what the agency kept of it, in minor units.
func (s *Sale) Profit() int64 {
	return s.Price - s.Gone() - s.Cost + s.CostBack - s.Fee - s.Share() - s.DisputeFee
}

// Share is what the platform kept of it, in minor units.
func (s *Sale) Share() int64 { return s.PlatformFee - s.PlatformBack() }

// SalesQuery pages through an agency's sales, newest first.
type SalesQuery struct {
	Agency models.AgencyID
	Client models.WalletID   // zero: all
	Span   period.Span       // of the credits' coming, or of the checkout before it; zero: ever
	Before models.PurchaseID // zero: from the newest
	Limit  int               // 0: 50
}

// Sales lists what clients bought and what they are paying for, newest first;
// checkouts that ended unpaid are left out. What a span adds up is listed in it.
func (s *Service) Sales(ctx context.Context, q SalesQuery) ([]Sale, error) {
	if q.Limit <= 0 || q.Limit > 1000 {
		q.Limit = 50
	}
	tx := s.db.Read.WithContext(ctx).Table("purchases p").Select("p.*, sa.name AS client, sa.id AS sub").
		Joins("JOIN sub_accounts sa ON sa.agency_id = p.agency_id AND sa.wallet_id = p.wallet_id").
		Where("p.agency_id = ? AND p.package_id IS NOT NULL AND p.status NOT IN ?", q.Agency,
			[]models.PurchaseStatus{models.PurchaseFailed, models.PurchaseExpired, models.PurchaseCancelled})
	if !q.Client.IsZero() {
		tx = tx.Where("p.wallet_id = ?", q.Client)
	}
	if q.Span.End != 0 {
		tx = tx.Where("(CASE WHEN p.credited_at > 0 THEN p.credited_at ELSE p.created_at END) BETWEEN ? AND ?", q.Span.Start, q.Span.End-1)
	}
	if !q.Before.IsZero() {
		tx = tx.Where("p.id < ?", q.Before)
	}
	var out []Sale
	return out, tx.Order("p.id DESC").Limit(q.Limit).Scan(&out).Error
}

// LastSales tells when each client last bought something of its agency, by
// wallet; who never did is left out.
func (s *Service) LastSales(ctx context.Context, agency models.AgencyID) (map[models.WalletID]models.Time, error) {
	var rows []struct {
		WalletID models.WalletID
		At       models.Time
	}
	err := s.db.Read.WithContext(ctx).Model(&models.Purchase{}).Select("wallet_id, MAX(credited_at) AS at").
		Where("agency_id = ? AND package_id IS NOT NULL AND credited_at > 0", agency).Group("wallet_id").Scan(&rows).Error
	out := make(map[models.WalletID]models.Time, len(rows))
	for _, r := range rows {
		out[r.WalletID] = r.At
	}
	return out, err
}

// PackageNames are the names of all an agency's packages, archived ones included.
func (s *Service) PackageNames(ctx context.Context, agency models.AgencyID) (map[models.PackageID]string, error) {
	var rows []models.Package
	err := s.db.Read.WithContext(ctx).Select("id", "name").Where("agency_id = ?", agency).Find(&rows).Error
	out := make(map[models.PackageID]string, len(rows))
	for i := range rows {
		out[rows[i].ID] = rows[i].Name
	}
	return out, err
}

// ClientNames are all an agency's clients by wallet, archived ones included.
func (s *Service) ClientNames(ctx context.Context, agency models.AgencyID) (map[models.WalletID]models.SubAccount, error) {
	var rows []models.SubAccount
	err := s.db.Read.WithContext(ctx).Select("id", "name", "wallet_id").Where("agency_id = ?", agency).Find(&rows).Error
	out := make(map[models.WalletID]models.SubAccount, len(rows))
	for i := range rows {
		out[rows[i].WalletID] = rows[i]
	}
	return out, err
}
