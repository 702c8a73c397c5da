package billing

import (
	"context"
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
	quotesListed   = 50
	maxQuoteString = 2000
)

// QuoteInput keeps what the calculator said.
type QuoteInput struct {
	Agency models.AgencyID
	Name   string
	Query  string // the calculator's, without "?"
	Sheet  string // what it said, as the page stores it
	Days   int    // it can be looked at
	By     Actor
}

// SaveQuote keeps what the calculator said, with its prices, for whoever has the
// link, until it expires. Errors: invalid_name, invalid_days, too_many_quotes.
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
		return s.audit(tx, in.Agency, in.By, "quote.save", row.ID.String(), in.Name, "", now)
	})
}

// quoteOpen tells whether a quote can be looked at.
func (s *Service) quoteOpen(q *models.SavedQuote) bool {
	return q.EndedAt == 0 && q.ExpiresAt > s.clock.Now()
}

// QuoteByToken is a quote of an agency's by its link, and whether it still holds.
// Errors: not_found.
func (s *Service) QuoteByToken(ctx context.Context, agency models.AgencyID, token string) (q models.SavedQuote, holds bool, err error) {
	err = missing(s.db.Read.WithContext(ctx).Where("agency_id = ? AND token = ?", agency, token).Take(&q).Error, "quote")
	return q, s.quoteOpen(&q), err
}

// SavedQuotes lists an agency's, the newest first.
func (s *Service) SavedQuotes(ctx context.Context, agency models.AgencyID) ([]models.SavedQuote, error) {
	var out []models.SavedQuote
	return out, s.db.Read.WithContext(ctx).Where("agency_id = ?", agency).Order("id DESC").Limit(quotesListed).Find(&out).Error
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
