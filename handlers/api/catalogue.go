package api

import (
	"context"
	"math/big"
	"net/http"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"refill/billing"
	"refill/billing/ratecard"
	"refill/models"
	"refill/views/format"
)

// plan is what an agency can be on.
type plan struct {
	ID              string  `json:"id"`
	Code            string  `json:"code"`
	Name            string  `json:"name"`
	Version         int     `json:"version" doc:"Each edit publishes the next one; agencies stay on theirs until they are moved."`
	Price           money   `json:"price" doc:"Per month; once where the allowance is granted once."`
	Allowance       credits `json:"allowance"`
	Every           string  `json:"every" enum:"month,once"`
	PricePerCredit  *string `json:"price_per_credit" doc:"Rounded for display; null without an allowance." example:"0.0050"`
	ExcessLimit     credits `json:"excess_limit" doc:"How far below zero a wallet may go; 0: it pauses at zero."`
	SubAccountLimit *int    `json:"sub_account_limit" doc:"null: as many as wanted."`
	TrialDays       int     `json:"trial_days"`
	RateCard        string  `json:"rate_card"`
}

func planOf(p *models.Plan) plan {
	out := plan{
		ID: p.ID.String(), Code: p.Code, Name: p.Name, Version: p.Version, Price: money{p.Price, p.Currency}, Allowance: creditsOf(p.Allowance),
		Every: string(p.Every), ExcessLimit: creditsOf(p.ExcessLimit), TrialDays: p.TrialDays, RateCard: p.RateCardID.String(),
	}
	if p.Allowance > 0 {
		price := perCredit(models.Money{Amount: p.Price, Currency: p.Currency}.PerCredit(p.Allowance), p.Currency)
		out.PricePerCredit = &price
	}
	if p.SubAccountLimit > 0 {
		out.SubAccountLimit = &p.SubAccountLimit
	}
	return out
}

// pack is what an agency buys once.
type pack struct {
	ID             string  `json:"id"`
	Code           string  `json:"code"`
	Name           string  `json:"name"`
	Version        int     `json:"version" doc:"Each edit publishes the next one, with an id of its own; the code stays."`
	Kind           string  `json:"kind" enum:"fixed,quantity"`
	Credits        credits `json:"credits,omitempty" doc:"Of a fixed pack: what it holds."`
	Bonus          credits `json:"bonus,omitempty" doc:"Of a fixed pack: bonus credits that come with it."`
	Minimum        credits `json:"minimum,omitempty" doc:"Of a pack by quantity: the least one may buy."`
	Step           credits `json:"step,omitempty" doc:"Of a pack by quantity: in steps of."`
	UnitPrice      string  `json:"unit_price,omitempty" doc:"Of a pack by quantity: the price of one credit, exact." example:"0.03"`
	Price          *money  `json:"price,omitempty" doc:"Of a fixed pack; of one by quantity it is quantity × unit_price."`
	PricePerCredit string  `json:"price_per_credit" doc:"Rounded for display, never to zero." example:"0.0029"`
}

func packOf(p *models.Pack) pack {
	out := pack{ID: p.ID.String(), Code: p.Code, Name: p.Name, Version: p.Version, Kind: string(p.Kind)}
	if p.Kind == models.PackQuantity {
		out.Minimum, out.Step, out.UnitPrice = creditsOf(p.Minimum), creditsOf(p.Step), p.UnitPrice.Decimal(p.Currency)
		out.PricePerCredit = perCredit(format.UnitPrice(p.UnitPrice, p.Currency), p.Currency)
		return out
	}
	price := models.Money{Amount: p.Price, Currency: p.Currency}
	total := moneyOf(price)
	if p.Bonus > 0 {
		out.Bonus = creditsOf(p.Bonus)
	}
	out.Credits, out.Price, out.PricePerCredit = creditsOf(p.Credits), &total, perCredit(price.PerCredit(p.Credits), p.Currency)
	return out
}

// perCredit is the price of one credit as screens round it, without the symbol.
func perCredit(r *big.Rat, currency string) string {
	return strings.TrimPrefix(format.PricePerCredit(r, currency), format.Symbol(currency))
}

// component prices one measure of a rate.
type component struct {
	Measure string   `json:"measure" example:"characters"`
	Above   quantity `json:"above" doc:"The free amount."`
	Size    quantity `json:"size" doc:"Credits are for every started size above it."`
	Credits string   `json:"credits" example:"1"`
}

// rate is what an action costs.
type rate struct {
	Action     string       `json:"action" example:"ai.reply"`
	Model      string       `json:"model" doc:"\"\" is the action's default, for every model without a rate of its own."`
	Base       credits      `json:"base"`
	Components []component  `json:"components" nullable:"false"`
	Minimum    maybeCredits `json:"minimum"`
	Maximum    maybeCredits `json:"maximum"`
	Version    int          `json:"version" doc:"Of the rate card; printed on every charge."`
	Card       string       `json:"card"`
}

func ratesOf(v *ratecard.Version) []rate {
	out := make([]rate, len(v.Rates))
	for i, r := range v.Rates {
		out[i] = rate{
			Action: r.Action, Model: r.Model, Base: creditsOf(r.Base), Components: make([]component, len(r.Components)),
			Minimum: bound(r.Minimum), Maximum: bound(r.Maximum), Version: v.Number, Card: v.Card.String(),
		}
		for j, c := range r.Components {
			out[i].Components[j] = component{c.Measure, quantity{c.Above}, quantity{c.Size}, c.Credits.String()}
		}
	}
	return out
}

// bound is a minimum or maximum, null where there is none.
func bound(c *models.Credits) maybeCredits {
	if c == nil {
		return ""
	}
	return maybeCredits(c.String())
}

// rateIn is a rate to publish.
type rateIn struct {
	Action     string        `json:"action" example:"ai.reply"`
	Model      string        `json:"model,omitempty" example:"gpt-4"`
	Base       string        `json:"base,omitempty" doc:"Decimal string of credits; 0 unless told." example:"25"`
	Components []componentIn `json:"components,omitempty" nullable:"false"`
	Minimum    *string       `json:"minimum,omitempty"`
	Maximum    *string       `json:"maximum,omitempty"`
}

// componentIn is a component to publish.
type componentIn struct {
	Measure string   `json:"measure" example:"characters"`
	Above   quantity `json:"above,omitzero"`
	Size    quantity `json:"size"`
	Credits string   `json:"credits" example:"1"`
}

// quantity is an amount of a measure.
type quantity struct{ ratecard.Quantity }

// Schema describes quantities.
func (quantity) Schema(huma.Registry) *huma.Schema {
	return &huma.Schema{Type: huma.TypeNumber, Minimum: new(float64), Description: "A number with up to six decimals."}
}

// publication is a published version.
type publication struct {
	Card        string `json:"card"`
	Version     int    `json:"version"`
	EffectiveAt moment `json:"effective_at"`
	Rates       []rate `json:"rates" nullable:"false"`
}

// publicationIn publishes the next version of a card.
type publicationIn struct {
	Keyed

	Body struct {
		Card        string   `json:"card,omitempty" doc:"Id or code; may be left out while there is one card." example:"standard"`
		EffectiveAt string   `json:"effective_at,omitempty" doc:"RFC 3339, now or later; now unless told."`
		Note        string   `json:"note,omitempty" maxLength:"500"`
		Rates       []rateIn `json:"rates" minItems:"1" maxItems:"500" nullable:"false" doc:"The whole card: a rate that is left out is gone."`
	}
}

type packsQuery struct {
	Agency string `query:"agency" doc:"With a platform key: only what this agency may buy." example:"northwind"`
}

type ratesQuery struct {
	Agency string `query:"agency" doc:"With a platform key: the rates of this agency; all cards without." example:"northwind"`
}

func (a *api) catalogue() {
	typed(a, AnyKey, huma.Operation{
		OperationID: "list-plans", Method: http.MethodGet, Path: "/v1/plans", Summary: "List plans", Tags: []string{"Catalogue"},
	}, func(ctx context.Context, _ caller, _ *struct{}) (*listed[plan], error) {
		rows, err := a.s.Plans(ctx)
		if err != nil {
			return nil, err
		}
		return listOf(rows, 0, planOf, nil), nil
	})
	typed(a, AnyKey, huma.Operation{
		OperationID: "list-packs", Method: http.MethodGet, Path: "/v1/packs", Summary: "List packs", Tags: []string{"Catalogue"},
		Description: "An agency's key lists what its plan lets it buy; the platform's lists all.",
	}, func(ctx context.Context, who caller, in *packsQuery) (*listed[pack], error) {
		rows, err := a.packs(ctx, who, in.Agency)
		if err != nil {
			return nil, err
		}
		return listOf(rows, 0, packOf, nil), nil
	})
	typed(a, AnyKey, huma.Operation{
		OperationID: "list-rates", Method: http.MethodGet, Path: "/v1/rates", Summary: "List the rates in force", Tags: []string{"Catalogue"},
	}, func(ctx context.Context, who caller, in *ratesQuery) (*listed[rate], error) {
		rates, err := a.rates(ctx, who, in.Agency)
		if err != nil {
			return nil, err
		}
		return &listed[rate]{pageOf(rates, "")}, nil
	})
	typed(a, PlatformKey, huma.Operation{
		OperationID: "publish-rates", Method: http.MethodPost, Path: "/v1/rates", Summary: "Publish a rate card version", Tags: []string{"Catalogue"},
		Description: "Charges already made keep their price and their version. Platform key.", DefaultStatus: http.StatusCreated,
	}, a.publishRates)
}

func (a *api) packs(ctx context.Context, who caller, ref string) ([]models.Pack, error) {
	if ref == "" && who.scope.Platform() {
		return a.s.Packs(ctx)
	}
	owner, err := a.s.FindAgency(ctx, who.scope, ref)
	if err != nil {
		return nil, err
	}
	return a.s.PacksFor(ctx, owner.ID)
}

func (a *api) rates(ctx context.Context, who caller, ref string) ([]rate, error) {
	if ref == "" && who.scope.Platform() {
		cards, err := a.s.RateCards(ctx)
		if err != nil {
			return nil, err
		}
		var out []rate
		for _, c := range cards {
			v, err := a.s.CardInForce(ctx, c.ID)
			if err != nil {
				return nil, err
			}
			out = append(out, ratesOf(&v)...)
		}
		return out, nil
	}
	owner, err := a.s.FindAgency(ctx, who.scope, ref)
	if err != nil {
		return nil, err
	}
	v, err := a.s.RateCardFor(ctx, &owner, a.s.Now())
	return ratesOf(&v), err
}

func (a *api) publishRates(ctx context.Context, who caller, in *publicationIn) (*made[publication], error) {
	card, err := a.s.FindRateCard(ctx, in.Body.Card)
	if err != nil {
		return nil, err
	}
	at, err := parseTime(in.Body.EffectiveAt, "effective_at")
	if err != nil {
		return nil, err
	}
	rates := make([]ratecard.Rate, len(in.Body.Rates))
	for i := range in.Body.Rates {
		if rates[i], err = in.Body.Rates[i].parse(); err != nil {
			return nil, err
		}
	}
	v, replayed, err := a.s.PublishRatesOnce(ctx, billing.PublishInput{
		Card: card.ID, Rates: rates, EffectiveAt: at, Note: in.Body.Note, Key: in.Key, By: who.by,
	})
	if err != nil {
		return nil, err
	}
	return madeOf(publication{Card: card.ID.String(), Version: v.Number, EffectiveAt: moment(v.EffectiveAt), Rates: ratesOf(&v)}, replayed), nil
}

func (r *rateIn) parse() (out ratecard.Rate, err error) {
	out = ratecard.Rate{Action: r.Action, Model: r.Model, Components: make([]ratecard.Component, len(r.Components))}
	if r.Base != "" {
		if out.Base, err = parseCredits(r.Base, "rates.base"); err != nil {
			return out, err
		}
	}
	for i, c := range r.Components {
		each, err := parseCredits(c.Credits, "rates.components.credits")
		if err != nil {
			return out, err
		}
		out.Components[i] = ratecard.Component{Measure: c.Measure, Above: c.Above.Quantity, Size: c.Size.Quantity, Credits: each}
	}
	if out.Minimum, err = parseBound(r.Minimum, "rates.minimum"); err != nil {
		return out, err
	}
	out.Maximum, err = parseBound(r.Maximum, "rates.maximum")
	return out, err
}

func parseBound(s *string, field string) (*models.Credits, error) {
	if s == nil {
		return nil, nil //nolint:nilnil // no bound is the value
	}
	c, err := parseCredits(*s, field)
	return &c, err
}
