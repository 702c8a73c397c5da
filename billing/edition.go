package billing

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"

	"gorm.io/gorm"

	"refill/billing/problem"
	"refill/models"
)

// Plans and packs are edited by publishing: the version that was on offer is
// archived and the next one inserted, in one transaction. A version never
// changes afterwards. Agencies stay on the plan version they subscribed to until
// they are moved; packs are sold in their newest version only.

// Bounds of what an operator may enter.
const (
	maxNote        = 500
	maxPosition    = 9999
	maxTrialDays   = 365
	maxSubAccounts = 1_000_000
)

var catalogueCode = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,59}$`)

func checkCode(s string) error {
	if !catalogueCode.MatchString(s) {
		return problem.New(problem.Invalid, "invalid_code", "A code has 1 to 60 lower-case letters, digits and dashes, such as agency-pro.").On("code")
	}
	return nil
}

func checkNote(s string, needed bool) error {
	switch {
	case needed && strings.TrimSpace(s) == "":
		return problem.New(problem.Invalid, "note_missing", "Say why in a few words; the audit log keeps it.").On("note")
	case len(s) > maxNote:
		return problem.New(problem.Invalid, "note_too_long", "A note has at most %d bytes.", maxNote).On("note")
	}
	return nil
}

func checkPosition(n int) error {
	if n < 0 || n > maxPosition {
		return problem.New(problem.Invalid, "invalid_position", "The order is a whole number from 0 to %d.", maxPosition).On("position")
	}
	return nil
}

func checkPrice(amount int64, least int64, currency string) error {
	if amount >= least && amount <= maxPrice {
		return nil
	}
	low, high := models.Money{Amount: least, Currency: currency}, models.Money{Amount: maxPrice, Currency: currency}
	return problem.New(problem.Invalid, "invalid_price", "The price is from %s to %s %s, the most one payment can be.",
		low.Decimal(), high.Decimal(), strings.ToUpper(currency)).On("price")
}

// publishedMeanwhile is the answer to an edit of what is not the newest any more.
func publishedMeanwhile(what string) error {
	return problem.New(problem.Conflict, "published_meanwhile",
		"Somebody changed this %s since you opened it, and nothing of yours was published. Open the newest version and edit that.", what)
}

func nothingChanged() error {
	return problem.New(problem.Invalid, "nothing_changed", "Nothing would change. Change something first.").On("name")
}

// lockCatalogue makes edits of plans, packs and what plans sell wait for each
// other until the transaction ends; readers do not wait. On SQLite there is one
// writer anyway.
func (s *Service) lockCatalogue(tx *gorm.DB) error {
	if s.db.Dialect != models.Postgres {
		return nil
	}
	return tx.Exec("LOCK TABLE plan_packs IN SHARE ROW EXCLUSIVE MODE").Error
}

// CatalogueCurrency is the currency of every plan and pack, "usd" while there is
// nothing to take it from.
func (s *Service) CatalogueCurrency(ctx context.Context) (string, error) {
	return catalogueCurrency(s.db.Read.WithContext(ctx))
}

func catalogueCurrency(tx *gorm.DB) (string, error) {
	var row models.Setting
	err := tx.Where("name = ?", "currency").Take(&row).Error
	if err == nil && row.Value != "" {
		return row.Value, nil
	}
	if err != nil && !errors.Is(err, gorm.ErrRecordNotFound) {
		return "", err
	}
	var plan models.Plan
	err = tx.Order("created_at, id").Take(&plan).Error
	if errors.Is(err, gorm.ErrRecordNotFound) {
		return "usd", nil
	}
	return plan.Currency, err
}

// word is one named value of a version, as the audit log writes it.
type word struct{ name, value string }

// difference is what changed between two lists of the same words: "price 97.00 →
// 99.00; trial 0 days → 14 days". Without an old list it is the new one.
func difference(before, after []word) string {
	var parts []string
	for i, w := range after {
		switch {
		case before == nil && w.value != "":
			parts = append(parts, w.name+" "+w.value)
		case before != nil && before[i].value != w.value:
			parts = append(parts, fmt.Sprintf("%s %s → %s", w.name, orNone(before[i].value), orNone(w.value)))
		}
	}
	return strings.Join(parts, "; ")
}

func orNone(s string) string {
	if s == "" {
		return "none"
	}
	return s
}

// tally is how many rows an id has.
type tally[T any] struct {
	ID T
	N  int64
}

func byID[T comparable](rows []tally[T]) map[T]int64 {
	out := make(map[T]int64, len(rows))
	for _, r := range rows {
		out[r.ID] = r.N
	}
	return out
}
