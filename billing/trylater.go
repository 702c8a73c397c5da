package billing

import (
	"context"
	"strings"
	"unicode"
	"unicode/utf8"

	"gorm.io/gorm"

	"refill/billing/problem"
	"refill/models"
)

// MaxTryLater bounds what a visitor is told while the AI is paused, in characters.
const MaxTryLater = 300

// TryLaterInput is what visitors are to be told while the AI is paused.
type TryLaterInput struct {
	Agency     models.AgencyID
	SubAccount models.SubAccountID // zero: of the agency, where a client has no words of its own
	Text       string              // "": the agency's words, or the usual ones
	By         Actor
}

// SetTryLater sets what visitors are told while the AI is paused. Errors:
// not_found, invalid_try_later.
func (s *Service) SetTryLater(ctx context.Context, scope Scope, in TryLaterInput) error {
	if !scope.Covers(in.Agency) {
		return problem.Missing("agency")
	}
	text, err := cleanTryLater(in.Text)
	if err != nil {
		return err
	}
	now := s.clock.Now()
	err = s.db.InTx(ctx, func(tx *gorm.DB) error {
		if !in.SubAccount.IsZero() {
			_, sub, err := s.pair(tx, in.Agency, in.SubAccount)
			if err != nil {
				return err
			}
			return s.setTryLater(tx, &sub, text, in.By, now)
		}
		var agency models.Agency
		if err := tx.Where("id = ?", in.Agency).Take(&agency).Error; err != nil {
			return missing(err, "agency")
		}
		if agency.TryLater == text {
			return nil
		}
		if err := tx.Model(&models.Agency{}).Where("id = ?", in.Agency).Update("try_later", text).Error; err != nil {
			return err
		}
		return s.audit(tx, in.Agency, in.By, "agency.try_later", in.Agency.String(), inQuotes(agency.TryLater)+" → "+inQuotes(text), "", now)
	})
	s.forgetAccounts()
	return err
}

// setTryLater sets a client's own words.
func (s *Service) setTryLater(tx *gorm.DB, sub *models.SubAccount, text string, by Actor, now models.Time) error {
	if sub.TryLater == text {
		return nil
	}
	if err := tx.Model(&models.SubAccount{}).Where("agency_id = ? AND id = ?", sub.AgencyID, sub.ID).Update("try_later", text).Error; err != nil {
		return err
	}
	return s.audit(tx, sub.AgencyID, by, "sub_account.try_later", sub.ID.String(), inQuotes(sub.TryLater)+" → "+inQuotes(text), "", now)
}

func inQuotes(s string) string {
	if s == "" {
		return "the usual"
	}
	return "“" + s + "”"
}

// cleanTryLater is plain text on one line. Errors: invalid_try_later.
func cleanTryLater(s string) (string, error) {
	s = strings.Join(strings.Fields(s), " ")
	bad := !utf8.ValidString(s) || utf8.RuneCountInString(s) > MaxTryLater || strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) && r != '\u200d' && r != '\u200c' })
	if bad {
		return "", problem.New(problem.Invalid, "invalid_try_later", "Write one or two plain sentences of at most %d characters.", MaxTryLater).On("try_later")
	}
	return s, nil
}

// TryLaters are the clients of an agency that have words of their own, by name.
func (s *Service) TryLaters(ctx context.Context, agency models.AgencyID) ([]models.SubAccount, error) {
	var out []models.SubAccount
	return out, s.db.Read.WithContext(ctx).Where("agency_id = ? AND try_later <> '' AND status = ?", agency, models.SubAccountActive).
		Order("name, id").Limit(200).Find(&out).Error
}
