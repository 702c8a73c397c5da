package billing

import (
	"context"
	"maps"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"gorm.io/gorm"

	"refill/billing/problem"
	"refill/models"
)

// Limits of saved quotes.
const (
	MaxQuoteDays   = 90
	maxQuotes      = 500 // of an agency that can still be looked at
	maxQuoteSheet  = 64 << 10
	maxQuoteString = 2000
)

// QuoteInput keeps what the calculator said.
type QuoteInput struct {
	Agency models.AgencyID
	Name   string
	Query  string // the calculator's, without "?"
	Sheet  string // what it said, as the page stores it
	Offers []Offered
	Days   int // it holds
	By     Actor
}

// Offered is a package as a quote offers it.
type Offered struct {
	Package models.PackageID
	Credits models.Credits
	Price   int64 // minor units of the package's currency
}

// SaveQuote keeps what the calculator said, for whoever has the link, and holds
// its packages at its prices until it expires. Errors: invalid_name, invalid_days,
// too_many_quotes.
func (s *Service) SaveQuote(ctx context.Context, in QuoteInput) (models.SavedQuote, error) {
	now := s.clock.Now()
	in.Name = strings.Join(strings.Fields(in.Name), " ")
	row := models.SavedQuote{
		AgencyID: in.Agency, ID: models.NewID[models.QuoteID](now), Token: NewSecret(), Name: in.Name, Query: in.Query, Sheet: in.Sheet,
		CreatedBy: string(in.By), CreatedAt: now, ExpiresAt: now.Add(time.Duration(in.Days) * 24 * time.Hour),
	}
	switch {
	case in.Name == "" || utf8.RuneCountInString(in.Name) > 100 || !utf8.ValidString(in.Name) || strings.ContainsFunc(in.Name, unicode.IsControl):
		return row, problem.New(problem.Invalid, "invalid_name", "Name the quote in up to 100 characters, such as Acme Dental.").On("name")
	case in.Days < 1 || in.Days > MaxQuoteDays:
		return row, problem.New(problem.Invalid, "invalid_days", "A quote can be looked at for 1 to %d days.", MaxQuoteDays).On("days")
	case len(in.Query) > maxQuoteString || len(in.Sheet) > maxQuoteSheet:
		return row, problem.New(problem.Invalid, "too_large", "This is more than a quote can hold.").On("name")
	}
	return row, s.db.InTx(ctx, func(tx *gorm.DB) error {
		var open int64
		if err := tx.Model(&models.SavedQuote{}).Where("agency_id = ? AND ended_at = 0 AND expires_at > ?", in.Agency, now).Count(&open).Error; err != nil {
			return err
		}
		if open >= maxQuotes {
			return problem.New(problem.Conflict, "too_many_quotes", "There are %d open quotes; end some first.", maxQuotes).On("name")
		}
		if err := tx.Create(&row).Error; err != nil {
			return err
		}
		if err := holdPrices(tx, &row, in.Offers); err != nil {
			return err
		}
		return s.audit(tx, in.Agency, in.By, "quote.save", row.ID.String(), in.Name, "", now)
	})
}

// holdPrices writes what a quote holds its packages at.
func holdPrices(tx *gorm.DB, q *models.SavedQuote, offers []Offered) error {
	for _, o := range offers {
		var p models.Package
		if err := tx.Where("agency_id = ? AND id = ?", q.AgencyID, o.Package).Take(&p).Error; err != nil {
			return missing(err, "package")
		}
		if err := tx.Create(&models.QuoteOffer{
			AgencyID: q.AgencyID, QuoteID: q.ID, PackageID: p.ID, Credits: o.Credits, Price: o.Price, Currency: p.Currency, Every: p.Every,
		}).Error; err != nil {
			return err
		}
	}
	return nil
}

// Quoted is a quote with what it holds packages at.
type Quoted struct {
	models.SavedQuote

	Holds  bool
	Offers map[models.PackageID]models.QuoteOffer // none of a quote that was saved before prices were held
	Sold   map[models.PackageID]bool              // of Offers, what can be had on those terms still
}

// price gives a package the terms that the quote holds it at; false: it holds
// none for a package like this.
func (q *Quoted) price(p *models.Package) bool {
	o, ok := q.Offers[p.ID]
	if !ok || !q.Holds || o.Currency != p.Currency || o.Every != p.Every {
		return false
	}
	p.Credits, p.Price = o.Credits, o.Price
	return true
}

// quoted reads a quote of an agency's by its link. Errors: not_found.
func (s *Service) quoted(tx *gorm.DB, agency models.AgencyID, token string) (Quoted, error) {
	out := Quoted{Offers: map[models.PackageID]models.QuoteOffer{}}
	if err := tx.Where("agency_id = ? AND token = ?", agency, token).Take(&out.SavedQuote).Error; err != nil {
		return out, missing(err, "quote")
	}
	out.Holds = out.EndedAt == 0 && out.ExpiresAt > s.clock.Now()
	var offers []models.QuoteOffer
	err := tx.Where("agency_id = ? AND quote_id = ?", agency, out.ID).Find(&offers).Error
	for _, o := range offers {
		out.Offers[o.PackageID] = o
	}
	return out, err
}

// atQuote gives a package that is bought by a quote the quote's terms; without a
// quote it stays what it is. Errors: quote_over.
func (s *Service) atQuote(tx *gorm.DB, token string, p *models.Package) (models.QuoteID, error) {
	if token == "" {
		return models.QuoteID{}, nil
	}
	q, err := s.quoted(tx, p.AgencyID, token)
	if err != nil && !problem.Is(err, "not_found") {
		return models.QuoteID{}, err
	}
	if !q.price(p) {
		return models.QuoteID{}, problem.New(problem.Conflict, "quote_over", "The quote for %s no longer holds. Look at its price of today, then pay.", p.Name).On("package")
	}
	return q.ID, nil
}

// QuoteByToken is a quote of an agency's by its link. Errors: not_found.
func (s *Service) QuoteByToken(ctx context.Context, agency models.AgencyID, token string) (Quoted, error) {
	var out Quoted
	err := s.db.Snapshot(ctx, func(tx *gorm.DB) (err error) {
		if out, err = s.quoted(tx, agency, token); err != nil {
			return err
		}
		var packages []models.Package
		if err := tx.Where("agency_id = ? AND on_sale AND archived_at = 0 AND id IN ?", agency, slices.Collect(maps.Keys(out.Offers))).Find(&packages).Error; err != nil {
			return err
		}
		out.Sold = map[models.PackageID]bool{}
		for i := range packages {
			out.Sold[packages[i].ID] = out.price(&packages[i])
		}
		return nil
	})
	return out, err
}

// QuoteOf is the link's part of the quote that a sale was made by; "" for one made
// without. Errors: not_found.
func (s *Service) QuoteOf(ctx context.Context, p *models.Purchase) (string, error) {
	var q models.SavedQuote
	if p.QuoteID.IsZero() {
		return "", nil
	}
	err := s.db.Read.WithContext(ctx).Where("agency_id = ? AND id = ?", p.AgencyID, p.QuoteID).Take(&q).Error
	return q.Token, missing(err, "quote")
}

// SavedQuotes lists an agency's, the newest first, from before one on (zero: the
// newest), limit at most.
func (s *Service) SavedQuotes(ctx context.Context, agency models.AgencyID, before models.QuoteID, limit int) ([]models.SavedQuote, error) {
	tx := s.db.Read.WithContext(ctx).Where("agency_id = ?", agency)
	if !before.IsZero() {
		tx = tx.Where("id < ?", before)
	}
	var out []models.SavedQuote
	err := tx.Order("id DESC").Limit(limit).Find(&out).Error
	return out, err
}

// EndQuote takes a quote back: its link says that it no longer holds. Again
// changes nothing. Errors: not_found.
func (s *Service) EndQuote(ctx context.Context, agency models.AgencyID, id models.QuoteID, by Actor) error {
	now := s.clock.Now()
	return s.db.InTx(ctx, func(tx *gorm.DB) error {
		var q models.SavedQuote
		if err := tx.Where("agency_id = ? AND id = ?", agency, id).Take(&q).Error; err != nil {
			return missing(err, "quote")
		}
		if q.EndedAt > 0 {
			return nil
		}
		if err := tx.Model(&models.SavedQuote{}).Where("agency_id = ? AND id = ? AND ended_at = 0", agency, id).Update("ended_at", now).Error; err != nil {
			return err
		}
		return s.audit(tx, agency, by, "quote.end", id.String(), q.Name, "", now)
	})
}
