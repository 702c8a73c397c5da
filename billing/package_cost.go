package billing

import (
	"cmp"
	"context"
	"errors"
	"slices"

	"gorm.io/gorm"

	"refill/billing/problem"
	"refill/models"
)

// CostOption is one way to reckon what an agency's credits cost, with its value
// now.
type CostOption struct {
	Basis   models.CostBasis
	Cost    UnitCost       // not known: there is nothing to reckon it from
	Credits models.Credits // that the basis speaks of: held now, bought last, in the pack, in the plan; 0 for a price by quantity
	Price   models.Money   // of last, best and plan: what Credits cost
}

// Costs are the ways to reckon, in the order people are shown them.
type Costs struct {
	Currency string
	Fee      CardFee
	Platform FeeShare // of the price
	Options  []CostOption
	Stock    models.Credits // purchased credits that could be sold now

	lots []*models.Lot // of the stock, in the order a sale draws them
}

// next is what the credits of the very next sale cost, lot by lot as the ledger
// carves them; false where the stock is short.
func (c *Costs) next(amount models.Credits) (cost int64, ok bool) {
	for _, l := range c.lots {
		part := min(amount, l.Remaining)
		if part <= 0 {
			break
		}
		used := int64(l.Granted - l.Remaining - l.Held)
		of, err := models.Part(l.Cost, used, used+int64(part), int64(l.Granted))
		if err != nil || l.Currency != c.Currency {
			return 0, false
		}
		cost += of
		amount -= part
	}
	return cost, amount <= 0
}

// Pick is the option for a basis. Where it has no value now, the first that has
// one stands in, so that a margin is told by something that is known. An own
// figure counts as it is given.
func (c *Costs) Pick(basis models.CostBasis, own models.UnitPrice) CostOption {
	if basis == models.CostOwn && own > 0 {
		return CostOption{Basis: models.CostOwn, Cost: ofUnitPrice(own)}
	}
	for _, o := range c.Options {
		if o.Basis == basis && o.Cost.Known() {
			return o
		}
	}
	for _, o := range c.Options {
		if o.Cost.Known() {
			return o
		}
	}
	return CostOption{Basis: basis}
}

// reckon is the margin of credits at a price, nil where the cost is not known or
// the amounts are out of bounds.
func (c *Costs) reckon(credits models.Credits, price int64, basis CostOption) *Margin {
	if !basis.Cost.Known() || credits <= 0 || credits > models.MaxCharge || price < 0 || price > maxPrice {
		return nil
	}
	m, err := Reckon(credits, models.Money{Amount: price, Currency: c.Currency}, basis.Cost, Fees{c.Fee, c.Platform})
	if err != nil {
		return nil
	}
	return &m
}

// costsOf reads what an agency's credits cost, each way. What was paid in another
// currency than the agency sells in cannot be compared, and is left out.
func (s *Service) costsOf(ctx context.Context, tx *gorm.DB, agency *models.Agency, now models.Time) (Costs, error) {
	out := Costs{Currency: agency.Currency, Fee: CardFeeOf(agency.Currency)}
	var err error
	if out.Platform, err = feeShare(tx); err != nil {
		return out, err
	}
	held, err := s.heldCost(ctx, tx, agency, now, &out)
	if err != nil {
		return out, err
	}
	last, err := lastCost(tx, agency)
	if err != nil {
		return out, err
	}
	best, err := bestPack(tx, agency)
	if err != nil {
		return out, err
	}
	plan, err := planCost(tx, agency)
	if err != nil {
		return out, err
	}
	out.Options = []CostOption{held, last, best, plan, {Basis: models.CostOwn}}
	return out, nil
}

// heldCost is the average of the purchased credits that could be sold now, which
// it notes as the stock.
func (s *Service) heldCost(ctx context.Context, tx *gorm.DB, agency *models.Agency, now models.Time, c *Costs) (CostOption, error) {
	out := CostOption{Basis: models.CostHeld}
	view, err := s.ledger.ViewIn(ctx, tx, agency.ID, agency.WalletID, now)
	if err != nil {
		return out, err
	}
	var costs []UnitCost
	var amounts []models.Credits
	for _, l := range view.Lots {
		if l.Source != models.SourcePurchase || l.Remaining == 0 || l.Frozen || l.ExpiresAt != models.Never || l.EffectiveAt > now {
			continue
		}
		c.lots, c.Stock = append(c.lots, l), c.Stock+l.Remaining
		if l.Currency == agency.Currency {
			costs, amounts = append(costs, UnitCost{l.Cost, l.Granted}), append(amounts, l.Remaining)
			out.Credits += l.Remaining
		}
	}
	out.Cost = averageCost(costs, amounts)
	return out, nil
}

func lastCost(tx *gorm.DB, agency *models.Agency) (CostOption, error) {
	out := CostOption{Basis: models.CostLast}
	var last models.Purchase
	err := tx.Where("agency_id = ? AND wallet_id = ? AND status = ? AND currency = ?", agency.ID, agency.WalletID, models.PurchaseCredited, agency.Currency).
		Order("id DESC").Take(&last).Error
	if errors.Is(err, gorm.ErrRecordNotFound) {
		return out, nil
	}
	out.Cost, out.Credits, out.Price = UnitCost{last.Price, last.Credits}, last.Credits, last.Total()
	return out, err
}

// bestPack is the cheapest pack per credit that the agency may buy.
func bestPack(tx *gorm.DB, agency *models.Agency) (CostOption, error) {
	out := CostOption{Basis: models.CostBest}
	packs, err := packsFor(tx, agency.ID)
	for i := range packs {
		p := &packs[i]
		if p.Currency != agency.Currency {
			continue
		}
		cost := packCost(p)
		if out.Cost.Known() && out.Cost.perCredit().Cmp(cost.perCredit()) <= 0 {
			continue
		}
		out.Cost, out.Credits, out.Price = cost, p.Credits, models.Money{Amount: p.Price, Currency: p.Currency}
	}
	return out, err
}

func packCost(p *models.Pack) UnitCost {
	if p.Kind == models.PackQuantity {
		return ofUnitPrice(p.UnitPrice)
	}
	return UnitCost{p.Price, p.Credits}
}

// planCost is the plan's fee over its allowance.
func planCost(tx *gorm.DB, agency *models.Agency) (CostOption, error) {
	out := CostOption{Basis: models.CostPlan}
	sub, err := liveSubscription(tx, agency.ID)
	if err != nil || sub.ID.IsZero() {
		return out, err
	}
	var plan models.Plan
	if err := tx.Where("id = ?", sub.PlanID).Take(&plan).Error; err != nil {
		return out, err
	}
	if sub.Allowance > 0 && plan.Currency == agency.Currency {
		out.Cost, out.Credits, out.Price = UnitCost{plan.Price, sub.Allowance}, sub.Allowance, models.Money{Amount: plan.Price, Currency: plan.Currency}
	}
	return out, nil
}

// LadderBreak is a larger package that costs more per credit than a smaller one.
type LadderBreak struct {
	Larger, Smaller models.Package
}

// ladderBreaks finds the packages that break the ladder against the nearest
// smaller one, among those that one client may see side by side. Viewers are the
// sub-accounts of packages for chosen ones.
func ladderBreaks(packages []models.Package, viewers map[models.PackageID][]models.SubAccountID) []LadderBreak {
	sorted := slices.Clone(packages)
	slices.SortStableFunc(sorted, func(a, b models.Package) int { //nolint:gocritic // the signature is slices'
		return cmp.Compare(a.Credits, b.Credits)
	})
	together := func(a, b *models.Package) bool {
		return a.Audience == models.AudienceAll || b.Audience == models.AudienceAll ||
			slices.ContainsFunc(viewers[a.ID], func(id models.SubAccountID) bool { return slices.Contains(viewers[b.ID], id) })
	}
	var out []LadderBreak
	for i := range sorted {
		larger := &sorted[i]
		for j := i - 1; j >= 0; j-- {
			smaller := &sorted[j]
			if smaller.Credits == larger.Credits || !together(larger, smaller) {
				continue
			}
			if larger.Total().PerCredit(larger.Credits).Cmp(smaller.Total().PerCredit(smaller.Credits)) > 0 {
				out = append(out, LadderBreak{*larger, *smaller})
			}
			break
		}
	}
	return out
}

// PackageOfSize is what an agency keeps of a package of so many credits at the
// price that the middle margin asks for, by what its credits cost on the basis that
// an editor starts with; nil while that is not known.
func (s *Service) PackageOfSize(ctx context.Context, agency *models.Agency, credits models.Credits) (*Margin, CostOption, error) {
	var out *Margin
	var basis CostOption
	err := s.db.Snapshot(ctx, func(tx *gorm.DB) error {
		costs, err := s.costsOf(ctx, tx, agency, s.clock.Now())
		if err != nil {
			return err
		}
		basis = costs.Pick("", 0)
		if m := costs.reckon(credits, 0, basis); m != nil && m.Targets[1].Price.Amount > 0 {
			out = costs.reckon(credits, m.Targets[1].Price.Amount, basis)
		}
		return nil
	})
	return out, basis, err
}

// PackagePanel is what the editor shows beside a package's form.
type PackagePanel struct {
	Costs       Costs
	Basis       CostOption    // reckoned with: the one asked for, or what stands in for it
	Margin      *Margin       // nil while credits or cost are missing; without a price its break-even and targets count
	Next        *models.Money // what the credits of the very next sale cost; nil while the stock is short of one
	Ladder      []LadderBreak // that this package takes part in
	Reply       ReplyRate     // what a client's credits go to; zero when nothing is priced by the piece
	PerTalk     int64         // replies that a conversation is reckoned with; 0: Reply is not part of one
	Least       models.Money  // Stripe's minimum charge; 0: not known
	Currency    string
	Connected   bool                // the agency's Stripe account takes money
	SubAccounts []models.SubAccount // to choose from, by name
}

// repliesPerTalk is how many replies a conversation is reckoned with.
const repliesPerTalk = 7

// PackagePanel reckons what an edit would mean. It changes nothing and may be
// asked with half a form. Errors: not_found.
func (s *Service) PackagePanel(ctx context.Context, scope Scope, in *PackageEdit) (PackagePanel, error) {
	now := s.clock.Now()
	var out PackagePanel
	var agency models.Agency
	if !scope.Covers(in.Agency) {
		return out, problem.Missing("package")
	}
	err := s.db.Snapshot(ctx, func(tx *gorm.DB) (err error) {
		if err := tx.Where("id = ?", in.Agency).Take(&agency).Error; err != nil {
			return missing(err, "agency")
		}
		if out.Costs, err = s.costsOf(ctx, tx, &agency, now); err != nil {
			return err
		}
		if err := tx.Where("agency_id = ? AND status = ?", agency.ID, models.SubAccountActive).Order("name, id").Find(&out.SubAccounts).Error; err != nil {
			return err
		}
		if out.Connected, err = mayTakeMoney(tx, agency.ID); err != nil {
			return err
		}
		out.Ladder, err = ladderWith(tx, in, agency.Currency)
		return err
	})
	if err != nil {
		return out, err
	}
	out.Currency, out.Least = agency.Currency, models.Money{Amount: MinimumCharge(agency.Currency), Currency: agency.Currency}
	out.Basis = out.Costs.Pick(in.CostBasis, in.OwnCost)
	out.Margin = out.Costs.reckon(in.Credits, max(0, in.Price), out.Basis)
	if cost, ok := out.Costs.next(in.Credits); ok && in.Credits > 0 {
		out.Next = &models.Money{Amount: cost, Currency: agency.Currency}
	}
	out.Reply, out.PerTalk, err = s.usualReply(ctx, &agency, now)
	return out, err
}

// usualReply is what a client's credits are reckoned in: of the two most used
// actions the dearer, so that nobody is promised too much.
func (s *Service) usualReply(ctx context.Context, agency *models.Agency, now models.Time) (ReplyRate, int64, error) {
	account := &Account{Agency: *agency, Wallet: agency.WalletID, Zone: Zone(agency.TimeZone)}
	rates, err := s.usualReplies(ctx, account, now)
	var out ReplyRate
	var perTalk int64
	for _, r := range rates {
		talks := r.Action == "ai.reply" || r.Action == "ai.message" || r.Action == "ai.chat"
		if out.Action == "" || talks && perTalk == 0 || talks == (perTalk > 0) && r.Credits > out.Credits {
			out, perTalk = r, 0
			if talks {
				perTalk = repliesPerTalk
			}
		}
	}
	return out, perTalk, err
}

// ladderWith is how an edit would stand among the packages on sale.
func ladderWith(tx *gorm.DB, in *PackageEdit, currency string) ([]LadderBreak, error) {
	if in.Credits <= 0 || in.Price <= 0 {
		return nil, nil
	}
	var rows []models.Package
	if err := tx.Where("agency_id = ? AND archived_at = 0 AND on_sale", in.Agency).Find(&rows).Error; err != nil {
		return nil, err
	}
	viewers, err := viewersOf(tx, in.Agency)
	if err != nil {
		return nil, err
	}
	edited := models.Package{ID: in.ID, Name: in.Name, Credits: in.Credits, Price: in.Price, Currency: currency, Audience: in.Audience}
	rows = append(slices.DeleteFunc(rows, func(p models.Package) bool { return p.ID == in.ID }), edited) //nolint:gocritic // the signature is slices'
	viewers[in.ID] = in.Viewers
	breaks := ladderBreaks(rows, viewers)
	return slices.DeleteFunc(breaks, func(b LadderBreak) bool { return b.Larger.ID != in.ID && b.Smaller.ID != in.ID }), nil
}

func viewersOf(tx *gorm.DB, agency models.AgencyID) (map[models.PackageID][]models.SubAccountID, error) {
	var rows []models.PackageViewer
	err := tx.Where("agency_id = ?", agency).Order("package_id, sub_account_id").Find(&rows).Error
	out := map[models.PackageID][]models.SubAccountID{}
	for _, r := range rows {
		out[r.PackageID] = append(out[r.PackageID], r.SubAccountID)
	}
	return out, err
}
