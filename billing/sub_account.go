package billing

import (
	"context"
	"errors"
	"slices"
	"strings"

	"gorm.io/gorm"

	"refill/billing/ledger"
	"refill/billing/problem"
	"refill/models"
)

// SubAccountStanding is one client of an agency as the list of clients tells it.
type SubAccountStanding struct {
	SubAccountState

	Used     models.Credits // in the agency's running cycle
	Sold     SalesTotal     // to it in the agency's running cycle
	BoughtAt models.Time    // when it last bought a package; 0: never
}

// Idle tells a prepaid client that bought nothing of its agency in the last 30
// days.
func (s *SubAccountStanding) Idle(now models.Time) bool {
	return s.idle(s.BoughtAt, now)
}

// SubAccountStandings tells how each active client of an agency stands and how
// it gets credits, by name.
func (s *Service) SubAccountStandings(ctx context.Context, a *Account) ([]SubAccountStanding, error) {
	now := s.clock.Now()
	c, err := s.cycleOf(s.db.Read.WithContext(ctx), a, now)
	if err != nil {
		return nil, err
	}
	states, err := s.subAccountStates(ctx, a, now)
	if err != nil {
		return nil, err
	}
	used, err := s.usedByClient(ctx, a, c, nil)
	if err != nil {
		return nil, err
	}
	sold, err := s.SalesByClient(ctx, a.Agency.ID, c.Span)
	if err != nil {
		return nil, err
	}
	bought, err := s.LastSales(ctx, a.Agency.ID)
	if err != nil {
		return nil, err
	}
	out := make([]SubAccountStanding, len(states))
	for i := range states {
		wallet := states[i].WalletID
		out[i] = SubAccountStanding{SubAccountState: states[i], Used: used[wallet], Sold: sold[wallet], BoughtAt: bought[wallet]}
	}
	return out, nil
}

// usedByClient is what accounts of an agency used in a cycle; of all with none named.
func (s *Service) usedByClient(ctx context.Context, a *Account, c cycle, only []models.WalletID) (map[models.WalletID]models.Credits, error) {
	q := UsageOf(a)
	q.From, q.To, q.Group, q.Interval, q.only = c.Start, c.End, BySubAccount, InTotal, only
	report, err := s.Usage(ctx, Scope{Agency: a.Agency.ID}, q)
	used := make(map[models.WalletID]models.Credits, len(report.Rows))
	for i := range report.Rows {
		used[report.Rows[i].Key.Wallet] = report.Rows[i].Total.Credits()
	}
	return used, err
}

// AccountOfSub is the account of one of an agency's clients.
func AccountOfSub(agency models.Agency, sub models.SubAccount) *Account { //nolint:gocritic // read once per page
	return &Account{Agency: agency, SubAccount: &sub, Wallet: sub.WalletID, Zone: Zone(sub.TimeZone)}
}

// Forecasts tells how long the own credits of some clients last, by wallet.
// Accounts that only draw on their agency's pool have none.
func (s *Service) Forecasts(ctx context.Context, agency models.Agency, subs []SubAccountStanding) (map[models.WalletID]Forecast, error) {
	now := s.clock.Now()
	out := make(map[models.WalletID]Forecast, len(subs))
	err := s.db.Snapshot(ctx, func(tx *gorm.DB) error {
		live, err := liveSubscription(tx, agency.ID)
		if err != nil {
			return err
		}
		incomes, err := incomesOf(tx, agency.ID, models.WalletID{}, now)
		if err != nil {
			return err
		}
		own := map[string][]models.WalletID{} // with credits of their own, by time zone
		first := map[string]*Account{}
		for i := range subs {
			if zone := subs[i].TimeZone; subs[i].Funding != models.Pooled {
				if own[zone] = append(own[zone], subs[i].WalletID); first[zone] == nil {
					first[zone] = AccountOfSub(agency, subs[i].SubAccount)
				}
			}
		}
		for zone, wallets := range own {
			c := cycleFrom(live, first[zone], now) // a client's is its agency's, in its zone
			for some := range slices.Chunk(wallets, 1000) {
				if err := s.forecasts(ctx, tx, first[zone], some, c, incomes, now, out); err != nil {
					return err
				}
			}
		}
		return nil
	})
	return out, err
}

// forecasts adds those of some clients that share an agency, a zone and a cycle with
// one of them.
func (s *Service) forecasts(
	ctx context.Context, tx *gorm.DB, like *Account, some []models.WalletID, c cycle, incomes map[models.WalletID][]income, now models.Time, out map[models.WalletID]Forecast,
) error {
	views, err := s.ledger.ViewsIn(ctx, tx, like.Agency.ID, now, some...)
	if err != nil {
		return err
	}
	wallets := make([]*models.Wallet, 0, len(views))
	for _, v := range views {
		wallets = append(wallets, &v.Wallet)
	}
	paces, err := pacesOf(tx, &like.Agency, like.Zone, wallets, now)
	if err != nil {
		return err
	}
	for id, v := range views {
		out[id] = forecastWith(like.Zone, &v, c, incomes[id], paces[id], now)
	}
	return nil
}

// ExternalIDFrom makes an external id of a name: "Acme Dental" is "acme-dental".
// It is "" where the name has none of the letters it takes.
func ExternalIDFrom(name string) string {
	words := strings.FieldsFunc(strings.ToLower(name), func(r rune) bool { return (r < 'a' || r > 'z') && (r < '0' || r > '9') })
	id := strings.Join(words, "-")
	return strings.TrimRight(id[:min(len(id), 100)], "-")
}

// checkFunding refuses a way to feed a sub-account that there is not.
func checkFunding(f models.Funding, poolCap models.Credits, every models.PoolEvery, excess models.Credits) error {
	var wrong []error
	if f != models.Prepaid && f != models.Pooled {
		wrong = append(wrong, problem.New(problem.Invalid, "invalid_funding", "funding is prepaid or pooled.").On("funding"))
	}
	if poolCap < 0 || poolCap > models.MaxCharge {
		wrong = append(wrong, problem.New(problem.Invalid, "invalid_pool_cap", "A limit is 0 to %s credits; 0 sets none.", mostCredits()).On("pool_cap"))
	}
	if every != models.PoolCycle && every != models.PoolDay {
		wrong = append(wrong, problem.New(problem.Invalid, "invalid_pool_every", "A limit counts per cycle or per day.").On("pool_every"))
	}
	if excess < 0 || excess > models.MaxCharge {
		wrong = append(wrong, problem.New(problem.Invalid, "invalid_excess", "Excess usage may be 0 to %s credits; 0 pauses at zero.", mostCredits()).On("excess"))
	}
	return errors.Join(wrong...)
}

// withinCeiling refuses a client more excess than its agency may have: it could
// never use it.
func withinCeiling(tx *gorm.DB, agency models.AgencyID, wallet models.WalletID, excess models.Credits) error {
	if excess == 0 {
		return nil
	}
	var top models.Wallet
	if err := tx.Where("agency_id = ? AND id = ?", agency, wallet).Take(&top).Error; err != nil {
		return missing(err, "wallet")
	}
	switch {
	case top.AgencyCeiling == 0:
		return problem.New(problem.Invalid, "invalid_excess", "You may not have excess usage; leave this at 0.").On("excess")
	case excess > top.AgencyCeiling:
		return problem.New(problem.Invalid, "invalid_excess", "You and your clients together may have %s credits of excess usage; give up to that.", top.AgencyCeiling).On("excess")
	}
	return nil
}

// SubAccountChange is what becomes of a sub-account: all of it is written.
type SubAccountChange struct {
	Agency     models.AgencyID
	SubAccount models.SubAccountID
	Name       string
	Funding    models.Funding
	PoolCap    models.Credits
	PoolEvery  models.PoolEvery
	Excess     models.Credits // how far below zero it may go once all else is used; 0: it pauses
	TryLater   *string        // what its visitors are told while its AI is paused; nil: as it is
	By         Actor
}

// ChangeSubAccount renames a sub-account and sets how it gets credits, from the
// next charge on. What did change is in the audit log; where nothing did, nothing
// is written. A monthly package of a client that draws on the pool from now on ends
// with its month, as when it is archived. Errors: not_found, invalid_name, invalid_funding, invalid_pool_cap,
// invalid_pool_every, invalid_excess.
func (s *Service) ChangeSubAccount(ctx context.Context, scope Scope, in SubAccountChange) error {
	now := s.clock.Now()
	if !scope.Covers(in.Agency) {
		return problem.Missing("sub-account")
	}
	in.Name = strings.TrimSpace(in.Name)
	var badText error
	if in.TryLater != nil {
		var text string
		text, badText = cleanTryLater(*in.TryLater)
		in.TryLater = &text
	}
	if err := errors.Join(checkName(in.Name), checkFunding(in.Funding, in.PoolCap, in.PoolEvery, in.Excess), badText); err != nil {
		return err
	}
	err := s.db.InTx(ctx, func(tx *gorm.DB) error {
		agency, sub, err := s.pair(tx, in.Agency, in.SubAccount)
		if err != nil {
			return err
		}
		var w models.Wallet
		if err := tx.Where("agency_id = ? AND id = ?", in.Agency, sub.WalletID).Take(&w).Error; err != nil {
			return missing(err, "wallet")
		}
		if in.TryLater != nil {
			if err := s.setTryLater(tx, &sub, *in.TryLater, in.By, now); err != nil {
				return err
			}
		}
		var changed []string
		if sub.Name != in.Name {
			changed = append(changed, "name: "+sub.Name+" → "+in.Name)
			if err := tx.Model(&models.SubAccount{}).Where("agency_id = ? AND id = ?", in.Agency, sub.ID).Update("name", in.Name).Error; err != nil {
				return err
			}
		}
		if w.Funding != in.Funding || w.PoolCap != in.PoolCap || w.PoolEvery != in.PoolEvery || w.ExcessLimit != in.Excess {
			if w.ExcessLimit != in.Excess {
				if err := withinCeiling(tx, in.Agency, agency.WalletID, in.Excess); err != nil {
					return err
				}
			}
			changed = append(changed, "funding: "+fundingWords(w.Funding, w.PoolCap, w.PoolEvery, w.ExcessLimit)+" → "+
				fundingWords(in.Funding, in.PoolCap, in.PoolEvery, in.Excess))
			if err := s.ledger.SetPolicy(ctx, tx, in.Agency, w.ID, ledger.Policy{
				ExcessLimit: in.Excess, AgencyCeiling: w.AgencyCeiling, Funding: in.Funding, PoolCap: in.PoolCap, PoolEvery: in.PoolEvery,
			}); err != nil {
				return err
			}
		}
		if len(changed) == 0 {
			return nil
		}
		return s.audit(tx, in.Agency, in.By, "sub_account.change", sub.ID.String(), strings.Join(changed, "; "), "", now)
	})
	s.forgetAccounts()
	return err
}

func fundingWords(f models.Funding, poolCap models.Credits, every models.PoolEvery, excess models.Credits) string {
	text := string(f)
	if poolCap > 0 {
		text += ", pool up to " + poolCap.String() + " per " + string(every)
	}
	if excess > 0 {
		text += ", excess up to " + excess.String()
	}
	return text
}
