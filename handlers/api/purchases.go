package api

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"refill/billing"
	"refill/billing/problem"
	"refill/models"
)

// purchase is one attempt to buy: an agency's of a pack, a sub-account's of a package.
type purchase struct {
	ID              string  `json:"id"`
	Wallet          string  `json:"wallet"`
	Pack            *string `json:"pack" doc:"What an agency bought."`
	Package         *string `json:"package" doc:"What a sub-account bought of its agency."`
	Title           string  `json:"title"`
	Status          string  `json:"status" enum:"open,processing,credited,failed,expired,cancelled,review,refunded,disputed"`
	StatusNote      string  `json:"status_note" doc:"Why, in words, where there is something to say."`
	Credits         credits `json:"credits"`
	Bonus           credits `json:"bonus" doc:"Bonus credits that come with it."`
	Price           money   `json:"price"`
	CheckoutURL     *string `json:"checkout_url" doc:"Where the buyer pays."`
	CheckoutSession *string `json:"checkout_session" doc:"Stripe's id of the checkout."`
	ExpiresAt       moment  `json:"expires_at" doc:"When the checkout ends unpaid."`
	CreditedAt      moment  `json:"credited_at"`
	CreatedAt       moment  `json:"created_at"`
}

func purchaseOf(p *models.Purchase) purchase {
	var pack, pkg string
	if p.IsSale() {
		pkg = p.PackageID.String()
	} else {
		pack = p.PackID.String()
	}
	return purchase{
		ID: p.ID.String(), Wallet: p.WalletID.String(), Pack: orNull(pack), Package: orNull(pkg), Title: p.Title, Status: string(p.Status), StatusNote: p.StatusNote,
		Credits: creditsOf(p.Credits), Bonus: creditsOf(p.Bonus), Price: moneyOf(p.Total()), CheckoutURL: orNull(p.CheckoutURL), CheckoutSession: orNull(p.CheckoutSession),
		ExpiresAt: moment(p.ExpiresAt), CreditedAt: moment(p.CreditedAt), CreatedAt: moment(p.CreatedAt),
	}
}

// purchaseIn buys a pack, or a package.
type purchaseIn struct {
	Keyed

	Body struct {
		Wallet   string `json:"wallet" example:"agency:northwind"`
		Pack     string `json:"pack,omitempty" doc:"For an agency's wallet: a pack's id or code." example:"credits-12500"`
		Package  string `json:"package,omitempty" doc:"For a sub-account's wallet: the id of one of its agency's packages."`
		Quantity string `json:"quantity,omitempty" doc:"Credits to buy, of a pack by quantity." example:"2000"`
	}
}

type purchasesQuery struct {
	Paging

	Wallet string `query:"wallet" doc:"Only this wallet's; a platform key names a wallet or an agency."`
	Agency string `query:"agency" doc:"With a platform key: the agency's id or external id."`
}

func (a *api) purchases() {
	typed(a, AnyKey, huma.Operation{
		OperationID: "create-purchase", Method: http.MethodPost, Path: "/v1/purchases", Summary: "Buy a pack or a package", Tags: []string{"Purchases"},
		Description:   "Opens a checkout; send the buyer to checkout_url. An agency's wallet buys a pack; a sub-account's buys a package, which its agency sells through its own Stripe account and keeps in stock while the checkout is open. The credits come once the payment provider confirms the money. A repeat answers the purchase as it stands now.",
		DefaultStatus: http.StatusCreated,
	}, a.buy)
	typed(a, AnyKey, huma.Operation{
		OperationID: "get-purchase", Method: http.MethodGet, Path: "/v1/purchases/{id}", Summary: "Read a purchase", Tags: []string{"Purchases"},
	}, func(ctx context.Context, who caller, in *struct {
		ID string `path:"id" example:"pur_00000000000000000000000000"`
	},
	) (*found[purchase], error) {
		id, err := models.ParseID[models.PurchaseID](in.ID)
		if err != nil {
			return nil, problem.Missing("purchase")
		}
		p, err := a.s.PurchaseByRef(ctx, who.scope, id.String())
		if err != nil {
			return nil, err
		}
		return &found[purchase]{purchaseOf(&p)}, nil
	})
	typed(a, AnyKey, huma.Operation{
		OperationID: "list-purchases", Method: http.MethodGet, Path: "/v1/purchases", Summary: "List purchases, newest first", Tags: []string{"Purchases"},
	}, a.listPurchases)
}

func (a *api) buy(ctx context.Context, who caller, in *purchaseIn) (*made[purchase], error) {
	account, err := a.s.Find(ctx, who.scope, in.Body.Wallet)
	if err != nil {
		return nil, err
	}
	if (in.Body.Pack == "") == (in.Body.Package == "") {
		return nil, problem.New(problem.Invalid, "invalid_offer", "Name a pack, for an agency's wallet, or a package, for a sub-account's; one of the two.").On("pack")
	}
	known, err := a.s.PurchaseKeyUsed(ctx, account.Agency.ID, in.Key)
	if err != nil {
		return nil, err
	}
	if in.Body.Package != "" {
		p, err := a.s.BuyPackage(ctx, billing.PackageInput{Account: account, Package: in.Body.Package, Key: in.Key, By: who.by})
		if err != nil {
			return nil, err
		}
		return madeOf(purchaseOf(&p), known), nil
	}
	input := billing.BuyInput{Account: account, Pack: in.Body.Pack, Key: in.Key, By: who.by}
	if in.Body.Quantity != "" {
		if input.Quantity, err = parseCredits(in.Body.Quantity, "quantity"); err != nil {
			return nil, err
		}
		if input.Quantity <= 0 {
			return nil, problem.New(problem.Invalid, "invalid_quantity", "Buy more than 0 credits.").On("quantity")
		}
	}
	p, err := a.s.Buy(ctx, input)
	if err != nil {
		return nil, err
	}
	return madeOf(purchaseOf(&p), known), nil
}

func (a *api) listPurchases(ctx context.Context, who caller, in *purchasesQuery) (*listed[purchase], error) {
	before, err := cursorID[models.PurchaseID](in.Cursor)
	if err != nil {
		return nil, err
	}
	q := billing.PurchaseQuery{Before: before, Limit: in.Limit}
	if in.Wallet != "" {
		account, err := a.s.Find(ctx, who.scope, in.Wallet)
		if err != nil {
			return nil, err
		}
		q.Agency, q.Wallet = account.Agency.ID, account.Wallet
	} else {
		owner, err := a.s.FindAgency(ctx, who.scope, in.Agency)
		if err != nil {
			return nil, err
		}
		q.Agency = owner.ID
	}
	rows, err := a.s.Purchases(ctx, q)
	if err != nil {
		return nil, err
	}
	return listOf(rows, in.Limit, purchaseOf, func(p *purchase) string { return p.ID }), nil
}
