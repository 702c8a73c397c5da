package billing

import (
	"context"
	"encoding/json"
	"strings"

	"gorm.io/gorm"

	"refill/billing/problem"
	"refill/billing/ratecard"
	"refill/models"
)

// LineDetail is one act of the ledger explained.
type LineDetail struct {
	HistoryLine
	Before models.Credits // balance before it; as After, of the wallet it moved
	Actor  string         // who or what did it
	Client bool           // the reader is a client: nothing here tells costs

	Charge     *ChargeDetail // of a charge
	Moves      []LineMove    // lots that paid or received, in order
	Metadata   map[string]string
	Reversal   *models.Reversal // of a reversed charge
	Hold       *models.Hold     // the hold itself, or the one a charge captured
	CapturedBy models.ChargeID  // of a hold that became a charge
	Reversed   models.ChargeID  // of a reversal: what it took back
	Act        *models.Act      // of what is neither charge nor hold
	SubWallet  models.WalletID  // the account that was addressed
	Unspent    models.Credits   // of an assignment, for its agency: what could be taken back now
	Bulk       models.BulkID    // the bulk assignment it is a part of
}

// ChargeDetail is how a price came about.
type ChargeDetail struct {
	models.Charge
	Card    string // the rate card's name
	Version ratecard.Version
	// Quote prices the stored usage again by the stored version. Given says that
	// the caller named the amount (a capture) and the quote only repeats it.
	Quote ratecard.Quote
	Given bool
}

// Price is what the charge cost, or would have cost.
func (c *ChargeDetail) Price() models.Credits {
	if c.Test {
		return c.WouldCost
	}
	return c.Credits
}

// LineMove is one entry of an act: what one lot, or excess, had to do with it.
type LineMove struct {
	Kind    string // ledger's stable name
	Credits models.Credits
	Change  models.Credits // of the balance
	Bucket  models.Bucket
	Wallet  models.WalletID
	Pool    bool        // of the agency's wallet, for a client's charge
	Lot     *models.Lot // nil for excess, and for a client where the pool paid
	Parent  *models.Lot // the lot it was carved from; nil for a client
	Pack    string      // name of the pack it was bought as
}

// Line explains one charge (chg_…), act (act_…), reversal (rev_…) or hold
// (hld_…). What is not the account's does not exist. Errors: not_found.
func (s *Service) Line(ctx context.Context, a *Account, id string) (LineDetail, error) {
	kind, _, _ := strings.Cut(id, "_")
	var out LineDetail
	now := s.clock.Now()
	err := s.db.Snapshot(ctx, func(tx *gorm.DB) (err error) {
		e := explainer{tx: tx, a: a, s: s, now: now}
		switch kind {
		case "chg":
			out, err = e.charge(id)
		case "act":
			out, err = e.act(id)
		case "rev":
			var rev models.ReversalID
			if rev, err = models.ParseID[models.ReversalID](id); err != nil {
				return problem.Missing("line")
			}
			out, err = e.act(models.ActID(rev).String())
		case "hld":
			out, err = e.hold(id)
		default:
			return problem.Missing("line")
		}
		if err != nil {
			return err
		}
		out.Client = a.SubAccount != nil
		one := []HistoryLine{out.HistoryLine}
		if err := nameLines(tx, a, one); err != nil {
			return err
		}
		out.HistoryLine = one[0]
		return nil
	})
	return out, err
}

// explainer reads what a line stands on, for one account.
type explainer struct {
	tx  *gorm.DB
	a   *Account
	s   *Service
	now models.Time
}

func (e *explainer) charge(text string) (LineDetail, error) {
	var out LineDetail
	id, err := models.ParseID[models.ChargeID](text)
	if err != nil {
		return out, problem.Missing("line")
	}
	var c models.Charge
	if err := e.tx.Where("agency_id = ? AND id = ?", e.a.Agency.ID, id).Take(&c).Error; err != nil {
		return out, missing(err, "line")
	}
	wallet := perspective(e.a, &c)
	if wallet.IsZero() {
		return out, problem.Missing("line")
	}
	lines, err := chargeLines(e.tx, e.a, wallet, []models.Charge{c})
	if err != nil {
		return out, err
	}
	out.HistoryLine, out.SubWallet, out.Actor = lines[0], c.WalletID, "api"
	if !out.HasAfter && wallet == c.WalletID { // it moved nothing here: the balance as it was
		out.After, out.HasAfter = c.AfterPlan+c.AfterPurchased+c.AfterAssigned+c.AfterBonus-c.AfterExcess, true
	}
	out.Before = out.After - out.Change
	if out.Charge, err = e.price(&c); err != nil {
		return out, err
	}
	if c.Metadata != "" {
		if err := json.Unmarshal([]byte(c.Metadata), &out.Metadata); err != nil {
			return out, err
		}
	}
	for _, w := range []models.WalletID{c.WalletID, c.PoolWalletID} {
		if seq := seqOn(&c, w); !w.IsZero() && seq > 0 {
			if err := e.moves(&out, w, models.ActID(c.ID), seq, w != c.WalletID); err != nil {
				return out, err
			}
		}
	}
	var reversals []models.Reversal
	if err := e.tx.Where("agency_id = ? AND charge_id = ?", c.AgencyID, c.ID).Limit(1).Find(&reversals).Error; err != nil {
		return out, err
	}
	if len(reversals) > 0 {
		out.Reversal = &reversals[0]
	}
	if !c.HoldID.IsZero() {
		out.Hold = &models.Hold{}
		if err := e.tx.Where("agency_id = ? AND id = ?", c.AgencyID, c.HoldID).Take(out.Hold).Error; err != nil {
			return out, err
		}
	}
	return out, nil
}

// price explains a charge by the version it was priced with.
func (e *explainer) price(c *models.Charge) (*ChargeDetail, error) {
	out := &ChargeDetail{Charge: *c}
	var card models.RateCard
	if err := e.tx.Where("id = ?", c.CardID).Take(&card).Error; err != nil {
		return nil, err
	}
	out.Card = card.Name
	var row models.RateCardVersion
	if err := e.tx.Where("card_id = ? AND number = ?", c.CardID, c.CardVersion).Take(&row).Error; err != nil {
		return nil, err
	}
	out.Version = ratecard.Version{Card: c.CardID, Number: row.Number, EffectiveAt: row.EffectiveAt}
	if err := json.Unmarshal([]byte(row.Rates), &out.Version.Rates); err != nil {
		return nil, err
	}
	usage := ratecard.Usage{}
	if c.Usage != "" {
		if err := json.Unmarshal([]byte(c.Usage), &usage); err != nil {
			return nil, err
		}
	}
	quote, err := out.Version.Price(c.Action, c.Model, usage)
	if err != nil || quote.Credits != out.Price() {
		// A capture of a named amount; the version may not even know the action.
		out.Given = true
		quote = ratecard.Quote{Credits: out.Price(), Lines: []ratecard.Line{
			{Kind: ratecard.LineBase, Units: 1, Each: out.Price(), Credits: out.Price()},
		}}
	}
	out.Quote = quote
	return out, nil
}

// moves adds an act's entries on one wallet, with their lots.
func (e *explainer) moves(out *LineDetail, wallet models.WalletID, act models.ActID, seq int64, pool bool) error {
	found, err := entriesOf(e.tx, e.a.Agency.ID, wallet, map[models.ActID]int64{act: seq})
	if err != nil {
		return err
	}
	return e.addMoves(out, found[act], pool)
}

func (e *explainer) addMoves(out *LineDetail, entries []entry, pool bool) error {
	hide := pool && e.a.SubAccount != nil // an agency's lots are not its client's to see
	lots, packs, err := e.lots(entries, hide)
	if err != nil {
		return err
	}
	for _, en := range entries {
		m := LineMove{
			Kind: en.kind().String(), Credits: en.Amount, Change: en.change(), Bucket: models.BucketExcess, Wallet: en.WalletID, Pool: pool,
		}
		if !en.LotID.IsZero() {
			m.Bucket = en.Source.Bucket()
		}
		if lot := lots[en.LotID]; lot != nil {
			m.Lot = lot
			m.Pack = packs[lot.PurchaseID]
			if e.a.SubAccount == nil {
				m.Parent = lots[lot.ParentLotID]
				if m.Pack == "" && m.Parent != nil {
					m.Pack = packs[m.Parent.PurchaseID]
				}
			}
		}
		out.Moves = append(out.Moves, m)
	}
	return nil
}

// lots reads the lots of entries and those they were carved from. A client does
// not learn what its agency paid.
func (e *explainer) lots(entries []entry, hide bool) (map[models.LotID]*models.Lot, map[models.PurchaseID]string, error) {
	lots, packs := map[models.LotID]*models.Lot{}, map[models.PurchaseID]string{}
	wanted := map[models.LotID]bool{}
	for _, en := range entries {
		if !en.LotID.IsZero() && !hide {
			wanted[en.LotID] = true
		}
	}
	purchases := map[models.PurchaseID]bool{}
	for range 2 { // the lots, then their parents
		if len(wanted) == 0 {
			break
		}
		var rows []models.Lot
		if err := e.tx.Where("agency_id = ? AND id IN ?", e.a.Agency.ID, keysOf(wanted)).Find(&rows).Error; err != nil {
			return nil, nil, err
		}
		wanted = map[models.LotID]bool{}
		for i := range rows {
			l := &rows[i]
			if e.a.SubAccount != nil {
				l.UnitCost, l.Cost, l.Currency, l.ParentLotID = 0, 0, "", models.LotID{}
			}
			lots[l.ID] = l
			if !l.PurchaseID.IsZero() {
				purchases[l.PurchaseID] = true
			}
			if !l.ParentLotID.IsZero() && lots[l.ParentLotID] == nil {
				wanted[l.ParentLotID] = true
			}
		}
	}
	if len(purchases) > 0 {
		var rows []models.Purchase
		if err := e.tx.Where("agency_id = ? AND id IN ?", e.a.Agency.ID, keysOf(purchases)).Find(&rows).Error; err != nil {
			return nil, nil, err
		}
		for i := range rows {
			packs[rows[i].ID] = rows[i].Title
		}
	}
	return lots, packs, nil
}

func (e *explainer) act(text string) (LineDetail, error) {
	var out LineDetail
	id, err := models.ParseID[models.ActID](text)
	if err != nil {
		return out, problem.Missing("line")
	}
	var act models.Act
	if err := e.tx.Where("agency_id = ? AND id = ?", e.a.Agency.ID, id).Take(&act).Error; err != nil {
		return out, missing(err, "line")
	}
	wallet := e.a.Wallet
	if act.WalletID != wallet && act.OtherWalletID != wallet {
		if e.a.SubAccount != nil {
			return out, problem.Missing("line")
		}
		wallet = act.WalletID
	}
	lines, err := actLines(e.tx, e.a, wallet, []models.Act{act})
	if err != nil {
		return out, err
	}
	out.HistoryLine, out.Act, out.SubWallet, out.Actor = lines[0], &act, act.WalletID, act.Actor
	if out.Before = out.After - out.Change; wallet != e.a.Wallet && out.Wallet.IsZero() {
		out.Wallet = wallet
	}
	if e.a.SubAccount != nil && act.WalletID != e.a.Wallet {
		out.Actor, act.Actor = "", "" // a person of the agency's
	}
	if id, err := models.ParseID[models.ChargeID](act.Reference); err == nil && act.Kind == "reverse" {
		out.Reversed = id
		var c models.Charge
		if err := e.tx.Where("agency_id = ? AND id = ?", e.a.Agency.ID, id).Take(&c).Error; err != nil {
			return out, err
		}
		if out.Charge, err = e.price(&c); err != nil {
			return out, err
		}
		out.Action, out.Model = c.Action, c.Model
	}
	if act.Kind == "assign" && e.a.SubAccount == nil {
		unspent, err := e.s.ledger.Unspent(e.tx, []models.Act{act}, e.now)
		if err != nil {
			return out, err
		}
		out.Unspent = unspent[act.ID]
		if id, err := models.ParseID[models.BulkID](act.Reference); err == nil {
			out.Bulk = id
		}
	}
	if seq := actSeq(&act, wallet); seq > 0 {
		if err := e.moves(&out, wallet, act.ID, seq, false); err != nil {
			return out, err
		}
	}
	return out, nil
}

func (e *explainer) hold(text string) (LineDetail, error) {
	var out LineDetail
	id, err := models.ParseID[models.HoldID](text)
	if err != nil {
		return out, problem.Missing("line")
	}
	var h models.Hold
	if err := e.tx.Where("agency_id = ? AND id = ?", e.a.Agency.ID, id).Take(&h).Error; err != nil {
		return out, missing(err, "line")
	}
	if h.WalletID != e.a.Wallet && e.a.SubAccount != nil {
		return out, problem.Missing("line")
	}
	seq, err := newestSeq(e.tx, h.AgencyID, h.WalletID)
	if err != nil {
		return out, err
	}
	if out.HistoryLine, err = holdLine(e.tx, h.WalletID, seq, &h, LineHeld); err != nil {
		return out, err
	}
	out.Hold, out.SubWallet, out.Actor, out.Before = &h, h.WalletID, "api", out.After-out.Change
	if h.WalletID != e.a.Wallet {
		out.Wallet = h.WalletID
	}
	entries, err := entriesAt(e.tx, h.AgencyID, h.WalletID, seq, h.CreatedAt, models.ActID(h.ID))
	if err != nil {
		return out, err
	}
	if err := e.addMoves(&out, entries, false); err != nil {
		return out, err
	}
	if h.State == models.HoldCaptured {
		// A charge has no index by hold; it was made when the hold ended.
		var charges []models.Charge
		if err := e.tx.Where("agency_id = ? AND id >= ? AND id < ? AND hold_id = ?", h.AgencyID,
			idAt[models.ChargeID](h.EndedAt.Add(-clockSkew)), idAt[models.ChargeID](h.EndedAt+1000), h.ID).Limit(1).Find(&charges).Error; err != nil {
			return out, err
		}
		if len(charges) > 0 {
			out.CapturedBy = charges[0].ID
		}
	}
	return out, nil
}
