package api

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"refill/billing"
	"refill/billing/problem"
	"refill/models"
)

// offeredPackage is what an agency sells its clients.
type offeredPackage struct {
	ID             string         `json:"id"`
	Agency         string         `json:"agency"`
	Name           string         `json:"name"`
	Credits        credits        `json:"credits"`
	Price          money          `json:"price"`
	Every          string         `json:"every" enum:"once,month" doc:"once: bought one at a time, and the credits never expire. month: paid every month until it is cancelled, and a month's credits last until the next."`
	PricePerCredit string         `json:"price_per_credit" doc:"Rounded for display, never to zero." example:"0.0060"`
	Badge          string         `json:"badge"`
	Note           string         `json:"note" doc:"Clients read it."`
	Audience       string         `json:"audience" enum:"all,chosen"`
	SubAccounts    []string       `json:"sub_accounts" nullable:"false" doc:"Of a chosen audience: the ids of those who may buy it."`
	MonthlyLimit   *int           `json:"monthly_limit" doc:"Purchases per sub-account and calendar month; null: as many as wanted."`
	OnSale         bool           `json:"on_sale"`
	Position       int            `json:"position" doc:"Its place in the order that clients see, from 0."`
	CostBasis      string         `json:"cost_basis" enum:"held,last,best,plan,own" doc:"What margin is reckoned with."`
	OwnCost        *string        `json:"own_cost" doc:"Of cost basis own: the cost of one credit." example:"0.0029"`
	Margin         *packageMargin `json:"margin" doc:"What a sale would leave as of now; null while the cost is not known. What a sale left is on the sale."`
	LossAccepted   bool           `json:"loss_accepted"`
	Sold30Days     int64          `json:"sold_30_days"`
	ArchivedAt     moment         `json:"archived_at"`
	CreatedAt      moment         `json:"created_at"`
}

// packageMargin is what is kept of a price.
type packageMargin struct {
	Cost      money  `json:"cost" doc:"Of the credits."`
	CardFee   money  `json:"card_fee" doc:"About."`
	Platform  money  `json:"platform_fee" doc:"The platform's share of the price."`
	Keep      money  `json:"keep" doc:"price − cost − card_fee − platform_fee; below 0 each sale loses."`
	BreakEven *money `json:"break_even" doc:"The least price that loses nothing; null when no payment can be that large."`
}

func packageOf(p *billing.PackageDetail) offeredPackage {
	out := offeredPackage{
		ID: p.ID.String(), Agency: p.AgencyID.String(), Name: p.Name, Credits: creditsOf(p.Credits), Price: moneyOf(p.Total()),
		PricePerCredit: perCredit(p.Total().PerCredit(p.Credits), p.Currency), Every: string(p.Every), Badge: p.Badge, Note: p.Note,
		Audience: string(p.Audience), SubAccounts: []string{},
		OnSale: p.OnSale, Position: p.Position, CostBasis: string(p.CostBasis), LossAccepted: p.LossAccepted, Sold30Days: p.Sold,
		ArchivedAt: moment(p.ArchivedAt), CreatedAt: moment(p.CreatedAt),
	}
	for _, id := range p.Chosen {
		out.SubAccounts = append(out.SubAccounts, id.String())
	}
	if p.MonthlyLimit > 0 {
		out.MonthlyLimit = &p.MonthlyLimit
	}
	if p.OwnCost > 0 {
		text := p.OwnCost.Decimal(p.Currency)
		out.OwnCost = &text
	}
	if m := p.Margin; m != nil {
		out.Margin = &packageMargin{Cost: moneyOf(m.Cost), CardFee: moneyOf(m.Fee), Platform: moneyOf(m.Platform), Keep: moneyOf(m.Keep)}
		if m.BreakEven.Amount > 0 {
			even := moneyOf(m.BreakEven)
			out.Margin.BreakEven = &even
		}
	}
	return out
}

// packageIn makes a package.
type packageIn struct {
	Keyed

	Body struct {
		Agency       string   `json:"agency,omitempty" doc:"Its id or external id; an agency's key may leave it out." example:"northwind"`
		Name         string   `json:"name" example:"Growth"`
		Credits      string   `json:"credits" doc:"Of one credit and up, as a decimal string." example:"10000"`
		Price        money    `json:"price" doc:"In the agency's currency."`
		Every        string   `json:"every,omitempty" enum:"once,month" doc:"once unless told; month: paid every month until it is cancelled, and a month's credits last until the next."`
		Badge        string   `json:"badge,omitempty" example:"Most popular"`
		Note         string   `json:"note,omitempty"`
		Audience     string   `json:"audience,omitempty" enum:"all,chosen" doc:"all unless told, or unless sub_accounts are named."`
		SubAccounts  []string `json:"sub_accounts,omitempty" maxItems:"1000" doc:"Ids or external ids of those who may buy it." example:"[\"acme\"]"`
		MonthlyLimit int      `json:"monthly_limit,omitempty" minimum:"0" maximum:"1000" doc:"Purchases per sub-account and calendar month; 0: as many as wanted."`
		CostBasis    string   `json:"cost_basis,omitempty" enum:"held,last,best,plan,own" doc:"held unless told: the average of the purchased credits the agency holds."`
		OwnCost      string   `json:"own_cost,omitempty" doc:"Of cost basis own: the cost of one credit." example:"0.0029"`
		OnSale       bool     `json:"on_sale,omitempty" doc:"Needs a connected Stripe account."`
		LossAccepted bool     `json:"loss_accepted,omitempty" doc:"A price below break-even is refused unless this is true."`
	}
}

// PackageRef addresses a package in a path.
type PackageRef struct {
	ID     string `path:"id" example:"pkg_00000000000000000000000000"`
	Agency string `query:"agency" doc:"With a platform key: the agency's id or external id." example:"northwind"`
}

// packagePatch changes what it names.
type packagePatch struct {
	PackageRef

	Body struct {
		Name         *string   `json:"name,omitempty"`
		Credits      *string   `json:"credits,omitempty" example:"10000"`
		Price        *money    `json:"price,omitempty" doc:"Holds for new purchases."`
		Every        *string   `json:"every,omitempty" enum:"once,month" doc:"Holds for new purchases."`
		Badge        *string   `json:"badge,omitempty"`
		Note         *string   `json:"note,omitempty"`
		Audience     *string   `json:"audience,omitempty" enum:"all,chosen"`
		SubAccounts  *[]string `json:"sub_accounts,omitempty" maxItems:"1000" doc:"All of those who may buy it."`
		MonthlyLimit *int      `json:"monthly_limit,omitempty" minimum:"0" maximum:"1000" doc:"0 takes the limit away."`
		CostBasis    *string   `json:"cost_basis,omitempty" enum:"held,last,best,plan,own"`
		OwnCost      *string   `json:"own_cost,omitempty" example:"0.0029"`
		OnSale       *bool     `json:"on_sale,omitempty"`
		LossAccepted *bool     `json:"loss_accepted,omitempty"`
		Archived     *bool     `json:"archived,omitempty" doc:"true takes it off sale and out of the list; false brings it back, not on sale. Comes alone."`
	}
}

type packagesQuery struct {
	Paging

	Agency string `query:"agency" doc:"With a platform key: the agency's id or external id." example:"northwind"`
}

func (a *api) packages() {
	tags := []string{"Packages"}
	typed(a, AnyKey, huma.Operation{
		OperationID: "list-packages", Method: http.MethodGet, Path: "/v1/packages", Summary: "List an agency's packages", Tags: tags,
		Description: "What the agency sells its clients, oldest first, archived ones included; position is the order that clients see.",
	}, func(ctx context.Context, who caller, in *packagesQuery) (*listed[offeredPackage], error) {
		after, err := cursorID[models.PackageID](in.Cursor)
		if err != nil {
			return nil, err
		}
		owner, err := a.s.FindAgency(ctx, who.scope, in.Agency)
		if err != nil {
			return nil, err
		}
		rows, err := a.s.PackagePage(ctx, who.scope, owner.ID, after, in.Limit)
		if err != nil {
			return nil, err
		}
		return listOf(rows, in.Limit, packageOf, func(p *offeredPackage) string { return p.ID }), nil
	})
	typed(a, AnyKey, huma.Operation{
		OperationID: "get-package", Method: http.MethodGet, Path: "/v1/packages/{id}", Summary: "Read a package", Tags: tags,
	}, func(ctx context.Context, who caller, in *PackageRef) (*found[offeredPackage], error) {
		p, err := a.findPackage(ctx, who, in)
		if err != nil {
			return nil, err
		}
		return &found[offeredPackage]{packageOf(&p)}, nil
	})
	typed(a, AnyKey, huma.Operation{
		OperationID: "create-package", Method: http.MethodPost, Path: "/v1/packages", Summary: "Make a package", Tags: tags,
		Description:   "Credits at the agency's price, which never expire unless they are sold by the month. A repeat answers the package as it stands now.",
		DefaultStatus: http.StatusCreated,
	}, a.createPackage)
	typed(a, AnyKey, huma.Operation{
		OperationID: "change-package", Method: http.MethodPatch, Path: "/v1/packages/{id}", Summary: "Change a package", Tags: tags,
		Description: "Members that are left out stay as they are. A new price or size holds for new purchases.",
	}, a.changePackage)
}

// findPackage reads a package of the caller's.
func (a *api) findPackage(ctx context.Context, who caller, ref *PackageRef) (billing.PackageDetail, error) {
	owner, err := a.s.FindAgency(ctx, who.scope, ref.Agency)
	if err != nil {
		return billing.PackageDetail{}, err
	}
	id, err := models.ParseID[models.PackageID](ref.ID)
	if err != nil {
		return billing.PackageDetail{}, problem.Missing("package")
	}
	return a.s.Package(ctx, who.scope, owner.ID, id)
}

func (a *api) createPackage(ctx context.Context, who caller, in *packageIn) (*made[offeredPackage], error) {
	b := in.Body
	owner, err := a.s.FindAgency(ctx, who.scope, b.Agency)
	if err != nil {
		return nil, onField(err, "agency")
	}
	edit := billing.PackageEdit{
		Agency: owner.ID, Name: b.Name, Badge: b.Badge, Note: b.Note, Audience: models.Audience(b.Audience), MonthlyLimit: b.MonthlyLimit,
		Every: models.PackageEvery(b.Every), CostBasis: models.CostBasis(b.CostBasis), LossAccepted: b.LossAccepted, OnSale: b.OnSale, Key: in.Key, By: who.by,
	}
	if edit.Credits, err = parseCredits(b.Credits, "credits"); err != nil {
		return nil, err
	}
	if edit.Price, err = priceIn(b.Price, owner.Currency); err != nil {
		return nil, err
	}
	if edit.OwnCost, err = ownCostIn(b.OwnCost, owner.Currency); err != nil {
		return nil, err
	}
	if b.Audience == "" && len(b.SubAccounts) > 0 {
		edit.Audience = models.AudienceChosen
	}
	if edit.Viewers, err = a.viewersIn(ctx, owner.ID, b.SubAccounts); err != nil {
		return nil, err
	}
	saved, err := a.s.SavePackage(ctx, who.scope, edit)
	if err != nil {
		return nil, err
	}
	p, err := a.s.Package(ctx, who.scope, owner.ID, saved.ID)
	if err != nil {
		return nil, err
	}
	return madeOf(packageOf(&p), saved.Replayed), nil
}

func (a *api) changePackage(ctx context.Context, who caller, in *packagePatch) (*found[offeredPackage], error) {
	p, err := a.findPackage(ctx, who, &in.PackageRef)
	if err != nil {
		return nil, err
	}
	if in.Body.Archived != nil {
		change := a.s.RestorePackage
		if *in.Body.Archived {
			change = a.s.ArchivePackage
		}
		if _, err := change(ctx, who.scope, p.AgencyID, p.ID, who.by); err != nil {
			return nil, err
		}
	} else {
		edit, err := a.packageEdit(ctx, &p, in)
		if err != nil {
			return nil, err
		}
		edit.By = who.by
		if _, err := a.s.SavePackage(ctx, who.scope, edit); err != nil {
			return nil, err
		}
	}
	if p, err = a.s.Package(ctx, who.scope, p.AgencyID, p.ID); err != nil {
		return nil, err
	}
	return &found[offeredPackage]{packageOf(&p)}, nil
}

// packageEdit is a package as it stands with the members of a patch in place.
func (a *api) packageEdit(ctx context.Context, p *billing.PackageDetail, in *packagePatch) (billing.PackageEdit, error) {
	b := &in.Body
	edit := billing.PackageEdit{
		Agency: p.AgencyID, ID: p.ID, Name: or(b.Name, p.Name), Credits: p.Credits, Price: p.Price, Badge: or(b.Badge, p.Badge), Note: or(b.Note, p.Note),
		Audience: models.Audience(or(b.Audience, string(p.Audience))), Viewers: p.Chosen, MonthlyLimit: or(b.MonthlyLimit, p.MonthlyLimit),
		Every: models.PackageEvery(or(b.Every, string(p.Every))), CostBasis: models.CostBasis(or(b.CostBasis, string(p.CostBasis))), OwnCost: p.OwnCost, LossAccepted: or(b.LossAccepted, p.LossAccepted),
		OnSale: or(b.OnSale, p.OnSale),
	}
	var err error
	if b.Credits != nil {
		if edit.Credits, err = parseCredits(*b.Credits, "credits"); err != nil {
			return edit, err
		}
	}
	if b.Price != nil {
		if edit.Price, err = priceIn(*b.Price, p.Currency); err != nil {
			return edit, err
		}
	}
	if b.OwnCost != nil {
		if edit.OwnCost, err = ownCostIn(*b.OwnCost, p.Currency); err != nil {
			return edit, err
		}
	}
	if b.SubAccounts != nil {
		if b.Audience == nil {
			edit.Audience = models.AudienceChosen
		}
		edit.Viewers, err = a.viewersIn(ctx, p.AgencyID, *b.SubAccounts)
	}
	return edit, err
}

// or is what a patch says, or what stands.
func or[T any](said *T, stands T) T {
	if said != nil {
		return *said
	}
	return stands
}

// priceIn reads a price, which must be in the agency's currency.
func priceIn(m money, currency string) (int64, error) {
	if m.Currency != currency {
		return 0, problem.New(problem.Invalid, "invalid_currency", "This agency sells in %s; give the price in it.", currency).On("price.currency")
	}
	return m.Amount, nil
}

func ownCostIn(s, currency string) (models.UnitPrice, error) {
	if s == "" {
		return 0, nil
	}
	cost, err := models.ParseUnitPrice(s, currency)
	if err != nil {
		return 0, problem.New(problem.Invalid, "invalid_own_cost", "Give the cost of one credit as a decimal string, such as \"0.0029\".").On("own_cost")
	}
	return cost, nil
}

func (a *api) viewersIn(ctx context.Context, agency models.AgencyID, refs []string) ([]models.SubAccountID, error) {
	out := make([]models.SubAccountID, 0, len(refs))
	for _, ref := range refs {
		sub, err := a.s.SubAccountByRef(ctx, agency, ref)
		if err != nil {
			return nil, onField(err, "sub_accounts")
		}
		out = append(out, sub.ID)
	}
	return out, nil
}
