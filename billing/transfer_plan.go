package billing

import (
	"cmp"
	"context"
	"slices"

	"gorm.io/gorm"

	"refill/billing/ledger"
	"refill/billing/problem"
	"refill/models"
)

// TransferPlan is what an assignment, or taking one back, would do now. Nothing
// is booked.
type TransferPlan struct {
	Most    models.Credits // that can move now
	Held    models.Credits // in use on the giving side, and so not in Most
	Moved   models.Credits // of what was asked; less than asked: it is not there
	Parts   []TransferPart // in draw order
	Agency  TransferSide
	Client  TransferSide
	Funding models.Funding // of the client
	Now     models.Time
}

// TransferPart is what would move out of lots that expire together.
type TransferPart struct {
	Bucket    models.Bucket // where the agency has them from; assigned when taking back
	Credits   models.Credits
	ExpiresAt models.Time // Never for none
}

// TransferSide is one of the two balances, now and afterwards.
type TransferSide struct {
	Now, After models.Credits
	Lasts      Forecast // with After
}

// PlanTransfer works out what assigning credits to a sub-account would do, or
// with back set, taking unspent assigned ones back. An amount of 0 asks how much
// there is. Errors: not_found.
func (s *Service) PlanTransfer(ctx context.Context, scope Scope, agency models.AgencyID, sub models.SubAccountID, amount models.Credits, back bool) (TransferPlan, error) {
	p := TransferPlan{Now: s.clock.Now()}
	if !scope.Covers(agency) {
		return p, problem.Missing("sub-account")
	}
	err := s.db.Snapshot(ctx, func(tx *gorm.DB) error {
		a, c, err := s.pair(tx, agency, sub)
		if err != nil {
			return err
		}
		own := &Account{Agency: a, Wallet: a.WalletID, Zone: Zone(a.TimeZone)}
		theirs := AccountOfSub(a, c)
		giver, err := s.ledger.ViewIn(ctx, tx, agency, own.Wallet, p.Now)
		if err != nil {
			return err
		}
		taker, err := s.ledger.ViewIn(ctx, tx, agency, theirs.Wallet, p.Now)
		if err != nil {
			return err
		}
		p.Funding = taker.Wallet.Funding
		p.Agency.Now, p.Client.Now = giver.Balance.Left(), taker.Balance.Left()
		agencyAfter, clientAfter := giver, taker
		if back {
			p.takeBack(&agencyAfter, &clientAfter, amount)
		} else {
			p.assign(&agencyAfter, &clientAfter, amount)
		}
		p.Agency.After, p.Client.After = agencyAfter.Balance.Left(), clientAfter.Balance.Left()
		live, err := liveSubscription(tx, agency)
		if err != nil {
			return err
		}
		if p.Agency.Lasts, err = s.forecastOf(tx, own, agencyAfter, cycleFrom(live, own, p.Now), p.Now); err != nil {
			return err
		}
		p.Client.Lasts, err = s.forecastOf(tx, theirs, clientAfter, cycleFrom(live, theirs, p.Now), p.Now)
		return err
	})
	return p, err
}

// assign plans as the ledger draws: excess that can be paid off is paid first.
func (p *TransferPlan) assign(from, to *ledger.View, amount models.Credits) {
	p.Most, p.Held = max(0, from.Balance.Left()), from.Balance.Held
	p.move(from, to, from.Plan(min(amount, p.Most), p.Now), models.SourceAssigned)
}

// takeBack plans as the ledger returns.
func (p *TransferPlan) takeBack(to, from *ledger.View, amount models.Credits) {
	for _, l := range from.Lots {
		if l.Source == models.SourceAssigned {
			p.Held += l.Held
		}
	}
	var draws []ledger.Draw
	draws, p.Most = from.PlanReturn(amount, p.Now)
	p.move(from, to, draws, "")
}

// move writes planned draws into copies of both sides. What comes to a client is
// assigned; what comes back to the agency keeps its kind as far as its expiry.
func (p *TransferPlan) move(from, to *ledger.View, draws []ledger.Draw, as models.Source) {
	taken := make(map[models.LotID]models.Credits, len(draws))
	for _, d := range draws {
		taken[d.Lot] += d.Credits
	}
	left, right := make([]*models.Lot, 0, len(from.Lots)), slices.Clone(to.Lots)
	for _, l := range from.Lots {
		part := taken[l.ID]
		if part == 0 {
			left = append(left, l)
			continue
		}
		less, more := *l, *l
		less.Remaining -= part
		more.Remaining = part
		if as != "" {
			more.Source, more.Priority = as, as.Priority()
		}
		left, right = append(left, &less), append(right, &more)
		p.Moved += part
		p.note(TransferPart{Bucket: l.Source.Bucket(), Credits: part, ExpiresAt: l.ExpiresAt})
	}
	slices.SortStableFunc(right, func(x, y *models.Lot) int {
		return cmp.Or(cmp.Compare(x.Priority, y.Priority), cmp.Compare(x.ExpiresAt, y.ExpiresAt))
	})
	from.Lots, to.Lots = left, right
	from.Balance.Available -= p.Moved
	to.Balance.Available += p.Moved
}

func (p *TransferPlan) note(part TransferPart) {
	for i := range p.Parts {
		if p.Parts[i].Bucket == part.Bucket && p.Parts[i].ExpiresAt == part.ExpiresAt {
			p.Parts[i].Credits += part.Credits
			return
		}
	}
	p.Parts = append(p.Parts, part)
}
