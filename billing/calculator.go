package billing

import (
	"cmp"
	"context"
	"slices"

	"gorm.io/gorm"

	"refill/billing/estimate"
	"refill/billing/period"
	"refill/billing/ratecard"
	"refill/models"
)

// Calculation is what a month of work takes by the rate card in force, and what
// would cover it now. It promises nothing: prices are those of this moment.
type Calculation struct {
	Work     estimate.Work // with its defaults filled in
	Estimate estimate.Estimate
	Models   []ModelNeed // what the same work takes with each model, the least first

	Currency  string
	Offers    bool            // there is something to buy
	Allowance models.Credits  // of the agency's plan, every month
	Month     estimate.Basket // covers what the allowance does not, every month
	Moving    estimate.Basket // covers what moving in takes, once
	Plans     []PlanCover     // of an agency: plans on offer with the packs they need, the cheapest first
}

// ModelNeed is what the same month takes with another model.
type ModelNeed struct {
	Model string
	Month models.Credits
}

// PlanCover is a plan that covers a month together with packs.
type PlanCover struct {
	Plan    models.Plan
	Current bool
	Packs   estimate.Basket
	Price   int64 // a month, packs included, in Currency's smallest unit
	Covered bool  // false: its packs cannot cover the rest
}

// Calculate estimates work for somebody: an agency (its plan, and the packs it may
// buy), a client (the packages it may buy of its agency), or, with no account, any
// visitor of the agency's portal (the packages it shows to everybody), by a version
// of its rate card. Whoever is not the agency learns nothing of plans and packs.
// Errors: unknown_action, unknown_model, too_large.
func (s *Service) Calculate(ctx context.Context, agency *models.Agency, a *Account, v *ratecard.Version, w *estimate.Work) (Calculation, error) {
	out := Calculation{Work: *w, Currency: agency.Currency}
	var err error
	out.Work.Talk = cmp.Or(w.Talk, estimate.Talk(v))
	if known := v.Models(out.Work.Talk); out.Work.Model == "" && len(known) > 0 {
		if out.Work.Model, err = s.usualModel(ctx, a, v, out.Work.Talk); err != nil {
			return out, err
		}
	}
	if out.Estimate, err = estimate.Of(v, &out.Work); err != nil {
		return out, priceProblem(err)
	}
	for _, model := range v.Models(out.Work.Talk) {
		other := out.Work
		other.Model = model
		if e, err := estimate.Of(v, &other); err == nil {
			out.Models = append(out.Models, ModelNeed{model, e.Total.Usual})
		}
	}
	slices.SortStableFunc(out.Models, func(x, y ModelNeed) int { return cmp.Compare(x.Month, y.Month) })
	if a != nil && a.SubAccount == nil {
		return out, s.coverByPlans(ctx, a, &out)
	}
	return out, s.coverByPackages(ctx, agency, a, &out)
}

// Talked counts what an account did of an action in the last 30 days, to start an
// estimate from.
func (s *Service) Talked(ctx context.Context, a *Account, action string) (int64, error) {
	q := UsageOf(a)
	q.To = period.Day(s.clock.Now(), a.Zone).End
	q.From, q.Interval = daysBack(q.To, a.Zone, 30), InTotal
	used, err := s.Usage(ctx, Scope{Agency: a.Agency.ID}, q)
	var out int64
	for i := range used.Rows {
		if used.Rows[i].Key.Action == action {
			out += used.Rows[i].Total.Charges
		}
	}
	return out, err
}

// usualModel is the model an account uses most, else the one a reply costs least
// with.
func (s *Service) usualModel(ctx context.Context, a *Account, v *ratecard.Version, talk string) (string, error) {
	if a != nil {
		replies, err := s.usualReplies(ctx, a, s.clock.Now())
		if err != nil {
			return "", err
		}
		for _, r := range replies {
			if r.Action == talk && slices.Contains(v.Models(talk), r.Model) {
				return r.Model, nil
			}
		}
	}
	var best string
	var least models.Credits
	for _, model := range v.Models(talk) {
		if q, err := v.Price(talk, model, nil); err == nil && (best == "" || q.Credits < least) {
			best, least = model, q.Credits
		}
	}
	return best, nil
}

func packOffers(packs []models.Pack) []estimate.Offer {
	out := make([]estimate.Offer, 0, len(packs))
	for _, p := range packs {
		o := estimate.Offer{ID: p.ID.String(), Name: p.Name, Credits: p.Credits, Price: p.Price}
		if p.Kind != models.PackFixed {
			each, err := p.UnitPrice.Times(p.Step)
			if err != nil {
				continue
			}
			o.Credits, o.Price, o.ByAmount, o.Least = p.Step, each, true, p.Minimum
		}
		out = append(out, o)
	}
	return out
}

// cover fills a need from packs, priced to the cent as the till would.
func cover(packs []models.Pack, need models.Credits) (estimate.Basket, bool) {
	b, ok := estimate.Cheapest(packOffers(packs), need)
	if !ok || len(b.Picks) != 1 || !b.Picks[0].Offer.ByAmount {
		return b, ok
	}
	for _, p := range packs {
		if p.ID.String() == b.Picks[0].Offer.ID {
			_, price, err := Quote(p, b.Credits)
			b.Price = price.Amount
			return b, err == nil
		}
	}
	return b, ok
}

// coverByPlans covers the month with the agency's own plan and packs, and with
// every other plan that can be taken.
func (s *Service) coverByPlans(ctx context.Context, a *Account, out *Calculation) error {
	return s.db.Snapshot(ctx, func(tx *gorm.DB) error {
		sub, err := liveSubscription(tx, a.Agency.ID)
		if err != nil {
			return err
		}
		if sub.Every == models.EveryMonth {
			out.Allowance = sub.Allowance
		}
		packs, err := packsFor(tx, a.Agency.ID)
		if err != nil {
			return err
		}
		out.Offers = len(packs) > 0
		if out.Offers {
			out.Currency = packs[0].Currency
		}
		out.Month, _ = cover(packs, out.Estimate.Total.Usual-out.Allowance)
		out.Moving, _ = cover(packs, out.Estimate.Moving)
		var plans []models.Plan
		if err := tx.Where("archived_at = 0 OR id = ?", sub.PlanID).Order("position, id").Find(&plans).Error; err != nil {
			return err
		}
		for i := range plans {
			p := &plans[i]
			if p.ID != sub.PlanID && sold(p) != nil {
				continue
			}
			if p.Currency != out.Currency && out.Offers {
				continue // prices in two currencies cannot be compared
			}
			c := PlanCover{Plan: *p, Current: p.ID == sub.PlanID, Price: p.Price}
			allowance := p.Allowance
			if c.Current {
				c.Price, allowance = sub.Price, out.Allowance
			}
			if p.PaidEvery == models.PaidYearly {
				c.Price = (c.Price + 11) / 12
			}
			if p.Every != models.EveryMonth {
				allowance = 0
			}
			var sells []models.Pack
			if err := tx.Joins("JOIN plan_packs pp ON pp.pack_id = packs.id").Where("pp.plan_id = ? AND packs.archived_at = 0", p.ID).
				Order("packs.position, packs.id").Find(&sells).Error; err != nil {
				return err
			}
			c.Packs, c.Covered = cover(sells, out.Estimate.Total.Usual-allowance)
			c.Price += c.Packs.Price
			out.Plans = append(out.Plans, c)
		}
		slices.SortStableFunc(out.Plans, func(x, y PlanCover) int {
			if x.Covered != y.Covered {
				return map[bool]int{true: -1, false: 1}[x.Covered]
			}
			return cmp.Compare(x.Price, y.Price)
		})
		return nil
	})
}

// coverByPackages covers the month with what the agency sells: to this client, or
// to everybody. A package with a monthly limit is not counted on, and of monthly ones
// there is one at most: a client has each once, and what it leaves over ends. Those
// that the client has already cover their part, and are not sold to it again.
func (s *Service) coverByPackages(ctx context.Context, agency *models.Agency, a *Account, out *Calculation) error {
	var packages []models.Package
	var held estimate.Basket
	if a != nil {
		shelf, err := s.PackagesFor(ctx, a)
		if err != nil {
			return err
		}
		for i := range shelf {
			if !shelf[i].Running {
				packages = append(packages, shelf[i].Package)
			}
		}
		if held, out.Currency, err = s.heldEveryMonth(ctx, a); err != nil {
			return err
		}
	} else if err := s.db.Snapshot(ctx, func(tx *gorm.DB) error {
		open, err := mayTakeMoney(tx, agency.ID)
		if err != nil || !open {
			return err
		}
		return tx.Where("agency_id = ? AND archived_at = 0 AND on_sale AND audience = ?", agency.ID, models.AudienceAll).
			Order("position, id").Find(&packages).Error
	}); err != nil {
		return err
	}
	var offers []estimate.Offer
	for i := range packages {
		if packages[i].MonthlyLimit == 0 {
			out.Currency = packages[i].Currency
			offers = append(offers, estimate.Offer{
				ID: packages[i].ID.String(), Name: packages[i].Name, Credits: packages[i].Credits, Price: packages[i].Price, Monthly: packages[i].Monthly(),
			})
		}
	}
	out.Month, out.Offers = estimate.CheapestMonth(offers, out.Estimate.Total.Usual-held.Credits)
	out.Month.Picks = append(held.Picks, out.Month.Picks...)
	out.Month.Credits += held.Credits
	out.Month.Price += held.Price
	out.Moving, _ = estimate.Cheapest(offers, out.Estimate.Moving)
	return nil
}

// heldEveryMonth is what a client gets every month already, on the terms it agreed
// to, and their currency; what it has cancelled is left out.
func (s *Service) heldEveryMonth(ctx context.Context, a *Account) (out estimate.Basket, currency string, err error) {
	currency = a.Agency.Currency
	var rows []models.PackageSubscription
	err = collected(s.db.Read.WithContext(ctx), a.Agency.ID, a.Wallet).Where("cancel_at = 0").Order("id").Find(&rows).Error
	for i := range rows {
		m := &rows[i]
		currency = m.Currency
		out.Picks = append(out.Picks, estimate.Pick{
			Offer: estimate.Offer{ID: m.PackageID.String(), Name: m.Title, Credits: m.Credits, Price: m.Price, Monthly: true, Held: true}, Count: 1,
		})
		out.Credits += m.Credits
		out.Price += m.Price
	}
	return out, currency, err
}
