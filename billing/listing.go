package billing

import (
	"context"

	"gorm.io/gorm"

	"refill/billing/problem"
	"refill/billing/ratecard"
	"refill/models"
)

// MaxPage is the longest page of a list.
const MaxPage = 200

func pageSize(limit int) int {
	if limit <= 0 || limit > MaxPage {
		return MaxPage
	}
	return limit
}

// EntryRow is one line of a wallet's ledger with the lot's source; Source is ""
// for a movement of excess.
type EntryRow struct {
	models.Entry

	Source models.Source
}

// Entries reads a wallet's ledger, newest first, before an entry's seq (0: from
// the newest).
func (s *Service) Entries(ctx context.Context, a *Account, before int64, limit int) ([]EntryRow, error) {
	var out []EntryRow
	q := s.db.Read.WithContext(ctx).Table("entries e").
		Select("e.agency_id, e.wallet_id, e.seq, e.act_id, e.lot_id, e.kind, e.amount, e.balance, e.at, COALESCE(l.source, '') AS source").
		Joins("LEFT JOIN lots l ON l.agency_id = e.agency_id AND l.id = e.lot_id").
		Where("e.agency_id = ? AND e.wallet_id = ?", a.Agency.ID, a.Wallet)
	if before > 0 {
		q = q.Where("e.seq < ?", before)
	}
	return out, q.Order("e.seq DESC").Limit(pageSize(limit)).Scan(&out).Error
}

// AgencyRow is an agency with the code of its plan, "" without one, and how far
// below zero it and its clients together may go.
type AgencyRow struct {
	models.Agency

	Plan   string
	Excess models.Credits
}

// AgencyPage lists the agencies of a scope by id, which is by age, after one
// (zero: from the oldest).
func (s *Service) AgencyPage(ctx context.Context, scope Scope, after models.AgencyID, limit int) ([]AgencyRow, error) {
	q := agencyRows(s.db.Read.WithContext(ctx))
	if !scope.Platform() {
		q = q.Where("agencies.id = ?", scope.Agency)
	}
	if !after.IsZero() {
		q = q.Where("agencies.id > ?", after)
	}
	var out []AgencyRow
	return out, q.Order("agencies.id").Limit(pageSize(limit)).Scan(&out).Error
}

// AgencyRow reads one agency. Errors: not_found.
func (s *Service) AgencyRow(ctx context.Context, id models.AgencyID) (AgencyRow, error) {
	var out AgencyRow
	return out, missing(agencyRows(s.db.Read.WithContext(ctx)).Where("agencies.id = ?", id).Take(&out).Error, "agency")
}

func agencyRows(tx *gorm.DB) *gorm.DB {
	return tx.Model(&models.Agency{}).Select("agencies.*, COALESCE(p.code, '') AS plan, w.agency_ceiling AS excess").
		Joins("JOIN wallets w ON w.agency_id = agencies.id AND w.id = agencies.wallet_id").
		Joins("LEFT JOIN subscriptions s ON s.agency_id = agencies.id AND s.ended_at = 0").
		Joins("LEFT JOIN plans p ON p.id = s.plan_id")
}

// SubAccountRow is a sub-account with how its wallet is fed.
type SubAccountRow struct {
	models.SubAccount

	Funding   models.Funding
	PoolCap   models.Credits
	PoolEvery models.PoolEvery
	Excess    models.Credits // how far below zero it may go
}

// SubAccountPage lists an agency's sub-accounts by id, which is by age, after
// one (zero: from the oldest).
func (s *Service) SubAccountPage(ctx context.Context, agency models.AgencyID, after models.SubAccountID, limit int) ([]SubAccountRow, error) {
	q := subAccountRows(s.db.Read.WithContext(ctx), agency)
	if !after.IsZero() {
		q = q.Where("sub_accounts.id > ?", after)
	}
	var out []SubAccountRow
	return out, q.Order("sub_accounts.id").Limit(pageSize(limit)).Scan(&out).Error
}

// SubAccountPrepaid lists an agency's active clients that have credits of their
// own, by name.
func (s *Service) SubAccountPrepaid(ctx context.Context, agency models.AgencyID) ([]SubAccountRow, error) {
	var out []SubAccountRow
	return out, subAccountRows(s.db.Read.WithContext(ctx), agency).Where("sub_accounts.status = ? AND w.funding = ?", models.SubAccountActive, models.Prepaid).
		Order("sub_accounts.name, sub_accounts.id").Scan(&out).Error
}

// SubAccountRow reads one sub-account. Errors: not_found.
func (s *Service) SubAccountRow(ctx context.Context, agency models.AgencyID, id models.SubAccountID) (SubAccountRow, error) {
	var out SubAccountRow
	return out, missing(subAccountRows(s.db.Read.WithContext(ctx), agency).Where("sub_accounts.id = ?", id).Take(&out).Error, "sub-account")
}

func subAccountRows(tx *gorm.DB, agency models.AgencyID) *gorm.DB {
	return tx.Model(&models.SubAccount{}).Select("sub_accounts.*, w.funding, w.pool_cap, w.pool_every, w.excess_limit AS excess").
		Joins("JOIN wallets w ON w.agency_id = sub_accounts.agency_id AND w.id = sub_accounts.wallet_id").
		Where("sub_accounts.agency_id = ?", agency)
}

// FindSubAccount finds a sub-account by its id or external id in an agency named
// the same ways; "" is the scope's own agency. Errors: not_found, agency_missing.
func (s *Service) FindSubAccount(ctx context.Context, scope Scope, agency, ref string) (SubAccountRow, error) {
	owner, err := s.FindAgency(ctx, scope, agency)
	if err != nil {
		return SubAccountRow{}, err
	}
	sub, err := s.SubAccountByRef(ctx, owner.ID, ref)
	if err != nil {
		return SubAccountRow{}, err
	}
	return s.SubAccountRow(ctx, owner.ID, sub.ID)
}

// FindAgency finds an agency by its id or external id; "" is the scope's own.
// Errors: not_found, agency_missing.
func (s *Service) FindAgency(ctx context.Context, scope Scope, ref string) (models.Agency, error) {
	if ref != "" {
		return s.AgencyByRef(ctx, scope, ref)
	}
	if scope.Platform() {
		return models.Agency{}, problem.New(problem.Invalid, "agency_missing", "A platform key names the agency, by its id or external id.").On("agency")
	}
	return s.Agency(ctx, scope.Agency)
}

// RateCards lists the cards there are, by code.
func (s *Service) RateCards(ctx context.Context) ([]models.RateCard, error) {
	var out []models.RateCard
	return out, s.db.Read.WithContext(ctx).Order("code").Find(&out).Error
}

// FindRateCard finds a card by its id or code; "" is the only one there is.
// Errors: unknown_rate_card.
func (s *Service) FindRateCard(ctx context.Context, ref string) (models.RateCard, error) {
	cards, err := s.RateCards(ctx)
	if err != nil {
		return models.RateCard{}, err
	}
	if ref == "" && len(cards) == 1 {
		return cards[0], nil
	}
	for _, c := range cards {
		if ref == c.Code || ref == c.ID.String() {
			return c, nil
		}
	}
	return models.RateCard{}, problem.New(problem.Invalid, "unknown_rate_card", "Name a rate card there is, by its id or code.").On("card")
}

// CardInForce is the version of a card in force now. Errors: no_rate_card.
func (s *Service) CardInForce(ctx context.Context, card models.RateCardID) (ratecard.Version, error) {
	return s.cards.versionAt(ctx, card, s.clock.Now())
}
