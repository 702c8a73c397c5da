package billing

import (
	"cmp"
	"context"
	"errors"
	"strings"
	"time"

	"gorm.io/gorm"

	"refill/billing/problem"
	"refill/models"
)

// Account is an addressed wallet and whose it is.
type Account struct {
	Agency     models.Agency
	SubAccount *models.SubAccount // nil: the agency's own wallet
	Wallet     models.WalletID
	Zone       *time.Location // cuts the account's days
}

// Name is what people call the account.
func (a *Account) Name() string {
	if a.SubAccount != nil {
		return a.SubAccount.Name
	}
	return a.Agency.Name
}

// Ref is the account's address as a platform's program may write it.
func (a *Account) Ref() string {
	if a.SubAccount != nil {
		return "sub:" + a.Agency.ExternalID + "/" + a.SubAccount.ExternalID
	}
	return "agency:" + a.Agency.ExternalID
}

// DefaultTryLater is what a visitor is told while the AI is paused, where an agency
// has no words of its own.
const DefaultTryLater = "Our assistant is taking a short break. Please try again later."

// TryLater is what a visitor is told while the account's AI is paused.
func (a *Account) TryLater() string {
	if a.SubAccount != nil && a.SubAccount.TryLater != "" {
		return a.SubAccount.TryLater
	}
	return cmp.Or(a.Agency.TryLater, DefaultTryLater)
}

// Scope is what a caller may touch: everything (the platform) or one agency.
type Scope struct {
	Agency models.AgencyID // zero: the platform
}

// Platform is the scope of the operator's own keys and admins.
func (sc Scope) Platform() bool { return sc.Agency.IsZero() }

// Covers tells whether an agency lies within the scope.
func (sc Scope) Covers(id models.AgencyID) bool { return sc.Platform() || sc.Agency == id }

// directoryTTL is how long another process's change of an account (its zone,
// card or name) may go unseen. Addresses never move to another account.
const directoryTTL = 10 * time.Second

// tenantsTTL spares the clients of one agency reading it one by one.
const tenantsTTL = time.Second

// forgetAccounts makes a change of an account rule at once in this process.
func (s *Service) forgetAccounts() {
	s.directory.forget()
	s.tenants.forget()
}

// Find resolves a wallet address: its id, "agency:{external id}",
// "sub:{external id}" for an agency's caller, "sub:{agency}/{sub-account}" for
// the platform's. What lies outside the scope does not exist. Errors: not_found.
func (s *Service) Find(ctx context.Context, scope Scope, ref string) (*Account, error) {
	name := ref
	if ext, ok := strings.CutPrefix(ref, "sub:"); ok && !scope.Platform() && !strings.Contains(ext, "/") {
		name = "sub:" + scope.Agency.String() + "|" + ext
	}
	account, err := s.directory.get(name, s.people.wall.Now(), func() (*Account, error) { return s.locate(ctx, scope, ref) })
	if err != nil {
		return nil, err
	}
	if !scope.Covers(account.Agency.ID) {
		return nil, problem.Missing("wallet").On("wallet")
	}
	return account, nil
}

func (s *Service) locate(ctx context.Context, scope Scope, ref string) (*Account, error) {
	db := s.db.Read.WithContext(ctx)
	kind, ext, _ := strings.Cut(ref, ":")
	var a Account
	var err error
	switch kind {
	case "agency":
		if err = db.Where("external_id = ?", ext).Take(&a.Agency).Error; err == nil {
			a.Wallet = a.Agency.WalletID
		}
	case "sub":
		agency, sub, both := strings.Cut(ext, "/")
		if both {
			a.Agency, err = s.tenants.get(agency, s.people.wall.Now(), func() (found models.Agency, err error) {
				return found, db.Where("external_id = ?", agency).Take(&found).Error
			})
		} else if sub = ext; scope.Platform() {
			return nil, problem.New(problem.Invalid, "ambiguous_wallet",
				"A platform key names a sub-account as sub:{agency}/{sub-account}.").On("wallet")
		} else {
			err = db.Where("id = ?", scope.Agency).Take(&a.Agency).Error
		}
		if err == nil {
			a.SubAccount = &models.SubAccount{}
			err = db.Where("agency_id = ? AND external_id = ?", a.Agency.ID, sub).Take(a.SubAccount).Error
			a.Wallet = a.SubAccount.WalletID
		}
	default:
		id, bad := models.ParseID[models.WalletID](ref)
		if bad != nil {
			return nil, problem.New(problem.Invalid, "invalid_wallet",
				"Name a wallet by its id (wal_…), as agency:{external id} or as sub:{external id}.").On("wallet")
		}
		return s.AccountOf(ctx, id)
	}
	return finishAccount(&a, err)
}

// AccountOf finds the account a wallet belongs to. Errors: not_found.
func (s *Service) AccountOf(ctx context.Context, id models.WalletID) (*Account, error) {
	db := s.db.Read.WithContext(ctx)
	var place models.WalletPlace
	if err := db.Where("wallet_id = ?", id).Take(&place).Error; err != nil {
		return finishAccount(nil, err)
	}
	return accountIn(db, place.AgencyID, id)
}

// accountIn reads the account of an agency's wallet. Errors: not_found.
func accountIn(db *gorm.DB, agency models.AgencyID, wallet models.WalletID) (*Account, error) {
	a := Account{Wallet: wallet}
	err := db.Where("id = ?", agency).Take(&a.Agency).Error
	if err == nil && a.Agency.WalletID != wallet {
		a.SubAccount = &models.SubAccount{}
		err = db.Where("agency_id = ? AND wallet_id = ?", agency, wallet).Take(a.SubAccount).Error
	}
	return finishAccount(&a, err)
}

func finishAccount(a *Account, err error) (*Account, error) {
	if errors.Is(err, gorm.ErrRecordNotFound) {
		return nil, problem.Missing("wallet").On("wallet")
	}
	if err != nil {
		return nil, err
	}
	zone := a.Agency.TimeZone
	if a.SubAccount != nil {
		zone = a.SubAccount.TimeZone
	}
	a.Zone = Zone(zone)
	return a, nil
}

// Zone is a stored time zone; one that the program's zone data does not know
// reads as UTC.
func Zone(name string) *time.Location {
	loc, err := time.LoadLocation(name)
	if err != nil {
		return time.UTC
	}
	return loc
}
