package api

import (
	"context"
	"net/http"
	"strconv"

	"github.com/danielgtaylor/huma/v2"

	"refill/billing"
	"refill/billing/problem"
	"refill/billing/ratecard"
	"refill/models"
)

// wallet is a balance and whose it is.
type wallet struct {
	ID          string  `json:"id"`
	Agency      string  `json:"agency"`
	SubAccount  *string `json:"sub_account" doc:"null for an agency's own wallet."`
	Name        string  `json:"name"`
	Balance     balance `json:"balance"`
	State       string  `json:"state" enum:"new,healthy,low,critical,excess,paused,upstream_paused,charge_failed" doc:"charge_failed: automatic top-up was declined; what is left can be used."`
	Payable     credits `json:"payable" doc:"The largest charge it could pay now, the agency's pool and allowed excess included."`
	ExcessLimit credits `json:"excess_limit" doc:"How far below zero it may go; 0: it pauses at zero."`
	Funding     string  `json:"funding" enum:"prepaid,pooled"`
	Pool        *pool   `json:"pool,omitempty" doc:"How the agency's pool feeds it, where it does."`
	TryLater    string  `json:"try_later" doc:"What to tell the visitor while the state is paused or upstream_paused, in the agency's words." example:"Our assistant is taking a short break. Please try again later."`
	At          moment  `json:"at" doc:"The instant of this balance."`
}

// pool is what an account may draw from its agency.
type pool struct {
	Cap   maybeCredits `json:"cap" doc:"null: no cap."`
	Drawn credits      `json:"drawn"`
	Every string       `json:"every" enum:"day,cycle"`
}

func walletOf(v *billing.WalletView) wallet {
	out := wallet{
		ID: v.Wallet.ID.String(), Agency: v.Account.Agency.ID.String(), Name: v.Account.Name(), Balance: balanceOf(v.Balance),
		State: string(v.Condition()), Payable: creditsOf(v.Payable), ExcessLimit: creditsOf(v.Wallet.ExcessLimit),
		Funding: string(v.Wallet.Funding), TryLater: v.Account.TryLater(), At: moment(v.Now),
	}
	if sub := v.Account.SubAccount; sub != nil {
		out.SubAccount = orNull(sub.ID.String())
	}
	if v.Pool != nil {
		out.Pool = &pool{Cap: limit(v.Pool.Cap), Drawn: creditsOf(v.Pool.Drawn), Every: string(v.Pool.Every)}
	}
	return out
}

// lot is what is left of one grant.
type lot struct {
	ID          string  `json:"id"`
	Source      string  `json:"source" enum:"plan,purchased,assigned,bonus"`
	Granted     credits `json:"granted"`
	Remaining   credits `json:"remaining"`
	Held        credits `json:"held"`
	Spendable   bool    `json:"spendable" doc:"Whether it can be drawn now: in effect, not expired, not frozen."`
	Frozen      bool    `json:"frozen"`
	EffectiveAt moment  `json:"effective_at"`
	ExpiresAt   moment  `json:"expires_at" doc:"null: never."`
	Cost        *string `json:"cost_per_credit" doc:"What a credit of it cost, in the lot's currency; null when it was free."`
	Currency    *string `json:"currency"`
	Parent      *string `json:"parent" doc:"The lot it was carved from."`
	Purchase    *string `json:"purchase"`
	CreatedAt   moment  `json:"created_at"`
}

func lotOf(l *models.Lot, now models.Time) lot {
	out := lot{
		ID: l.ID.String(), Source: string(l.Source.Bucket()), Granted: creditsOf(l.Granted), Remaining: creditsOf(l.Remaining), Held: creditsOf(l.Held),
		Spendable: l.Remaining > 0 && !l.Frozen && l.EffectiveAt <= now && now < l.ExpiresAt, Frozen: l.Frozen,
		EffectiveAt: moment(l.EffectiveAt), ExpiresAt: moment(l.ExpiresAt), Currency: orNull(l.Currency),
		Parent: orNull(l.ParentLotID.String()), Purchase: orNull(l.PurchaseID.String()), CreatedAt: moment(l.CreatedAt),
	}
	if l.UnitCost > 0 {
		out.Cost = orNull(l.UnitCost.Decimal(l.Currency))
	}
	return out
}

// entry is one movement of a wallet's ledger.
type entry struct {
	Seq     int64   `json:"seq" doc:"Gapless within the wallet."`
	Kind    string  `json:"kind" doc:"What moved: grant, charge, hold, capture, release, expire, assign_in, settle, …" example:"charge"`
	From    string  `json:"from" doc:"The account it left." example:"available"`
	To      string  `json:"to" doc:"The account it went to." example:"consumed"`
	Amount  credits `json:"amount" doc:"Always positive."`
	Change  credits `json:"change" doc:"What it did to the balance."`
	Balance credits `json:"balance" doc:"After it: spendable credits minus excess, expired lots that are not booked yet included."`
	Act     string  `json:"act" doc:"Shared by all movements of one act; a charge's or a hold's has the same 26 characters as its id."`
	Lot     *string `json:"lot" doc:"null for a movement of excess."`
	Source  string  `json:"source" enum:"plan,purchased,assigned,bonus,excess"`
	At      moment  `json:"at"`
}

func entryOf(e *billing.EntryRow) entry {
	kind := billing.EntryKind(e.Kind)
	from, to := kind.Accounts()
	out := entry{
		Seq: e.Seq, Kind: kind.String(), From: from, To: to, Amount: creditsOf(e.Amount), Change: creditsOf(models.Credits(kind.Change()) * e.Amount),
		Balance: creditsOf(e.Balance), Act: e.ActID.String(), Lot: orNull(e.LotID.String()), Source: string(models.BucketExcess), At: moment(e.At),
	}
	if e.Source != "" {
		out.Source = string(e.Source.Bucket())
	}
	return out
}

// WalletRef addresses a wallet in a path. It is exported for huma, which sets the
// fields of exported embedded structs only; so are Keyed and Paging.
type WalletRef struct {
	Ref string `path:"ref" doc:"wal_…, agency:{external id}, sub:{external id}, or sub:{agency}/{sub-account} with a platform key; percent-encoded." example:"agency:northwind"`
}

func badCursor() error {
	return problem.New(problem.Invalid, "invalid_cursor", "Send next_cursor of the page before, as it was.").On("cursor")
}

func (a *api) wallets() {
	typed(a, AnyKey, huma.Operation{
		OperationID: "get-wallet", Method: http.MethodGet, Path: "/v1/wallets/{ref}", Summary: "Read a balance", Tags: []string{"Wallets"},
	}, func(ctx context.Context, who caller, in *WalletRef) (*found[wallet], error) {
		account, err := a.s.Find(ctx, who.scope, in.Ref)
		if err != nil {
			return nil, err
		}
		view, err := a.s.Wallet(ctx, account)
		if err != nil {
			return nil, err
		}
		return &found[wallet]{walletOf(&view)}, nil
	})
	typed(a, AnyKey, huma.Operation{
		OperationID: "list-lots", Method: http.MethodGet, Path: "/v1/wallets/{ref}/lots", Summary: "List open lots", Tags: []string{"Wallets"},
		Description: "Everything that still has credits, in the order it is drawn.",
	}, func(ctx context.Context, who caller, in *WalletRef) (*listed[lot], error) {
		account, err := a.s.Find(ctx, who.scope, in.Ref)
		if err != nil {
			return nil, err
		}
		view, err := a.s.Wallet(ctx, account)
		if err != nil {
			return nil, err
		}
		lots := make([]lot, len(view.Lots))
		for i, l := range view.Lots {
			lots[i] = lotOf(l, view.Now)
		}
		return &listed[lot]{pageOf(lots, "")}, nil
	})
	typed(a, AnyKey, huma.Operation{
		OperationID: "list-entries", Method: http.MethodGet, Path: "/v1/wallets/{ref}/entries", Summary: "Read the ledger", Tags: []string{"Wallets"},
		Description: "Every movement of the wallet's credits, newest first.",
	}, a.listEntries)
}

type entriesQuery struct {
	WalletRef
	Paging
}

func (a *api) listEntries(ctx context.Context, who caller, in *entriesQuery) (*listed[entry], error) {
	before, err := cursorSeq(in.Cursor)
	if err != nil {
		return nil, err
	}
	account, err := a.s.Find(ctx, who.scope, in.Ref)
	if err != nil {
		return nil, err
	}
	rows, err := a.s.Entries(ctx, account, before, in.Limit)
	if err != nil {
		return nil, err
	}
	out := make([]entry, len(rows))
	for i := range rows {
		out[i] = entryOf(&rows[i])
	}
	next := ""
	if n := len(rows); n == in.Limit && rows[n-1].Seq > 1 {
		next = strconv.FormatInt(rows[n-1].Seq, 10)
	}
	return &listed[entry]{pageOf(out, next)}, nil
}

func (a *api) charges() {
	typed(a, AnyKey, huma.Operation{
		OperationID: "get-charge", Method: http.MethodGet, Path: "/v1/charges/{id}", Summary: "Look a charge up", Tags: []string{"Charges"},
	}, func(ctx context.Context, who caller, in *struct {
		ID string `path:"id" example:"chg_00000000000000000000000000"`
	},
	) (*found[charge], error) {
		id, err := models.ParseID[models.ChargeID](in.ID)
		if err != nil {
			return nil, problem.Missing("charge")
		}
		agency, err := a.s.AgencyOfCharge(ctx, who.scope, id)
		if err != nil {
			return nil, err
		}
		r, err := a.s.ChargeByID(ctx, who.scope, agency, id)
		if err != nil {
			return nil, err
		}
		return &found[charge]{chargeOf(&r)}, nil
	})
	typed(a, AnyKey, huma.Operation{
		OperationID: "find-charge", Method: http.MethodGet, Path: "/v1/charges", Summary: "Look a charge up by its idempotency key", Tags: []string{"Charges"},
		Description: "Answers the one charge the key made, or 404: then nothing was booked under it.",
	}, func(ctx context.Context, who caller, in *struct {
		Key    string `query:"idempotency_key" required:"true" example:"reply-8f14e45f"`
		Agency string `query:"agency" doc:"With a platform key: the agency, where several used the same key."`
	},
	) (*found[charge], error) {
		scope := who.scope
		if in.Agency != "" {
			agency, err := a.s.AgencyByRef(ctx, scope, in.Agency)
			if err != nil {
				return nil, err
			}
			scope = billing.Scope{Agency: agency.ID}
		}
		r, err := a.s.FindChargeByKey(ctx, scope, in.Key)
		if err != nil {
			return nil, err
		}
		return &found[charge]{chargeOf(&r)}, nil
	})
	typed(a, AnyKey, huma.Operation{
		OperationID: "create-estimate", Method: http.MethodPost, Path: "/v1/estimates", Summary: "Price without charging", Tags: []string{"Charges"},
		DefaultStatus: http.StatusOK,
	}, a.estimate)
}

// usage is what one action used, by measure.
type usage struct{ ratecard.Usage }

// Schema describes usage.
func (usage) Schema(huma.Registry) *huma.Schema { return usageSchema() }

func usageSchema() *huma.Schema {
	return &huma.Schema{
		Type: huma.TypeObject, AdditionalProperties: &huma.Schema{Type: huma.TypeNumber, Minimum: new(float64)},
		Description: "What the action used, by measure: numbers with up to six decimals.", Examples: []any{map[string]any{"characters": 1200}},
	}
}

// estimateItem is one thing to price.
type estimateItem struct {
	Action string `json:"action" example:"ai.reply"`
	Model  string `json:"model,omitempty" example:"gpt-4"`
	Usage  usage  `json:"usage,omitzero"`
	Count  *int64 `json:"count,omitempty" minimum:"0" maximum:"1000000000" doc:"How many of it; 1 unless told."`
}

// estimateIn asks for prices.
type estimateIn struct {
	Keyed
	Body struct {
		Wallet string         `json:"wallet" example:"agency:northwind"`
		Items  []estimateItem `json:"items" minItems:"1" maxItems:"100" nullable:"false"`
	}
}

// estimateLine is one priced item.
type estimateLine struct {
	Action  string  `json:"action"`
	Model   string  `json:"model"`
	Count   int64   `json:"count"`
	Each    credits `json:"each"`
	Credits credits `json:"credits"`
}

// estimate is a price without a charge.
type estimate struct {
	Wallet          string         `json:"wallet"`
	Credits         credits        `json:"credits"`
	Lines           []estimateLine `json:"lines" nullable:"false"`
	Available       credits        `json:"available" doc:"What the wallet could pay now."`
	Affordable      bool           `json:"affordable"`
	RateCardVersion int            `json:"rate_card_version"`
}

func (a *api) estimate(ctx context.Context, who caller, in *estimateIn) (*found[estimate], error) {
	items := make([]billing.EstimateItem, len(in.Body.Items))
	for i, item := range in.Body.Items {
		items[i] = billing.EstimateItem{Action: item.Action, Model: item.Model, Usage: item.Usage.Usage, Count: 1}
		if item.Count != nil {
			items[i].Count = *item.Count
		}
	}
	e, err := a.s.Estimate(ctx, who.scope, in.Body.Wallet, items)
	if err != nil {
		return nil, err
	}
	out := estimate{
		Wallet: e.Account.Wallet.String(), Credits: creditsOf(e.Credits), Lines: make([]estimateLine, len(e.Lines)),
		Available: creditsOf(e.Available), Affordable: e.Affordable, RateCardVersion: e.Version,
	}
	for i, l := range e.Lines {
		out.Lines[i] = estimateLine{l.Item.Action, l.Item.Model, l.Item.Count, creditsOf(l.Each), creditsOf(l.Credits)}
	}
	return &found[estimate]{out}, nil
}
