package handlers

import (
	"cmp"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/labstack/echo/v4"

	"refill/billing"
	"refill/billing/ratecard"
	"refill/models"
	"refill/views"
)

// line explains one movement down to the lot: what support sends.
func (a *app) line(c echo.Context) error {
	account := visitOf(c).viewer.Account()
	found, err := a.Billing.Line(c.Request().Context(), account, c.Param("id"))
	if err != nil {
		return err
	}
	out := views.Line{
		Back: "/history", Kind: views.LineKind(found.Kind), ID: found.ID, At: found.At, Change: found.Change, Before: found.Before, After: found.After,
		Costs: !found.Client, Reference: found.Reference, Actor: actorWords(found.Actor, account), Note: lineDetail(&found.HistoryLine, account),
		Charge: chargeFacts(found.Charge, account), Moves: moves(&found, account), Related: related(&found),
	}
	if account.SubAccount == nil {
		out.Sub = found.Name
	}
	for _, name := range slices.Sorted(maps.Keys(found.Metadata)) {
		out.Metadata = append(out.Metadata, views.Fact{Label: name, Value: found.Metadata[name]})
	}
	if found.Unspent > 0 && mayBuy(visitOf(c)) {
		out.Unspent, out.Undo = found.Unspent, "/history/"+found.ID+"/undo"
	}
	if !found.Bulk.IsZero() {
		out.Facts = append(out.Facts, views.Fact{Label: "Part of", Value: "An assignment to many clients", Href: bulkPath + "/" + found.Bulk.String()})
	}
	if !found.Purchase.IsZero() {
		out.Facts = append(out.Facts, views.Fact{Label: "Receipt", Value: "Open receipt", Href: "/purchases/" + found.Purchase.String() + "/receipt"})
	}
	if out.Frame, err = a.frame(c, "Line", "history", nil); err != nil {
		return err
	}
	return page(c, http.StatusOK, views.LinePage(out))
}

// actorWords says who did it. A client sees its agency, not its agency's people
// or the platform's.
func actorWords(by string, account *billing.Account) string {
	kind, who, _ := strings.Cut(by, ":")
	switch {
	case kind == "clock":
		return "Clock"
	case kind == "api":
		return "API"
	case kind == "key" && account.SubAccount == nil:
		return "API key that ends in " + strings.TrimPrefix(who, "…")
	case account.SubAccount != nil:
		return account.Agency.Name
	case kind == "user":
		return who
	}
	return by
}

// chargeFacts are what was charged and why. The rate card's name is the platform's
// own word, which a client never reads.
func chargeFacts(c *billing.ChargeDetail, account *billing.Account) *views.ChargeFacts {
	if c == nil {
		return nil
	}
	out := &views.ChargeFacts{
		Action: c.Action, Model: c.Model, Credits: c.Price(), Version: c.CardVersion, Since: c.Version.EffectiveAt, Test: c.Test, Late: c.Late,
	}
	if account.SubAccount == nil {
		out.Card = c.Card
	}
	if c.OccurredAt != c.CreatedAt {
		out.Occurred = c.OccurredAt
	}
	for _, l := range c.Quote.Lines {
		out.Parts = append(out.Parts, views.PricePart{
			Kind: partKind(l.Kind), Measure: l.Measure, Quantity: int64(l.Quantity), Above: int64(l.Above), Size: int64(l.Size),
			Units: l.Units, Each: l.Each, Credits: l.Credits,
		})
	}
	return out
}

func partKind(k ratecard.LineKind) views.PartKind {
	switch k {
	case ratecard.LineBase:
		return views.PartBase
	case ratecard.LineComponent:
		return views.PartComponent
	case ratecard.LineMinimum:
		return views.PartMinimum
	case ratecard.LineMaximum:
		return views.PartMaximum
	}
	return views.PartBase
}

// moves are the lots' parts. What the agency's pool paid for a client is told as
// an amount only.
func moves(found *billing.LineDetail, account *billing.Account) []views.Move {
	var out []views.Move
	for _, m := range found.Moves {
		move := views.Move{Credits: m.Credits, Bucket: m.Bucket, Pool: m.Pool && account.SubAccount != nil}
		if lot := m.Lot; lot != nil {
			move.Lot, move.Granted, move.Expires = lot.ID, lot.EffectiveAt, lot.ExpiresAt
			move.From = cmp.Or(m.Pack, lotNote(lot, account))
			if !found.Client {
				move.UnitCost, move.Currency = lot.UnitCost, lot.Currency
			}
		}
		out = append(out, move)
	}
	return out
}

func lotNote(lot *models.Lot, account *billing.Account) string {
	if account.SubAccount != nil && lot.Source == models.SourceAssigned {
		return "From " + account.Agency.Name
	}
	return lot.Note
}

// related are the other lines that belong to this one.
func related(found *billing.LineDetail) []views.Related {
	var out []views.Related
	if r := found.Reversal; r != nil {
		out = append(out, views.Related{Kind: "Reversed by", Text: r.ID.String(), Href: "/history/" + r.ID.String(), At: r.CreatedAt})
	}
	if h := found.Hold; h != nil && found.Charge != nil {
		out = append(out, views.Related{Kind: "Reserved by", Text: h.ID.String(), Href: "/history/" + h.ID.String(), At: h.CreatedAt})
	}
	if !found.CapturedBy.IsZero() {
		id := found.CapturedBy.String()
		out = append(out, views.Related{Kind: "Captured by", Text: id, Href: "/history/" + id, At: found.Hold.EndedAt})
	}
	if !found.Reversed.IsZero() {
		id := found.Reversed.String()
		out = append(out, views.Related{Kind: "Takes back", Text: id, Href: "/history/" + id, At: found.At})
	}
	return out
}
