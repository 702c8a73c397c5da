package ledger

import (
	"fmt"
	"strings"

	"refill/models"
)

// tables holds the written shape of every table of the ledger.
type tables struct {
	charges  *table[models.Charge]
	holds    *table[models.Hold]
	holdEnds *table[models.Hold]
	entries  *table[models.Entry]
	newLots  *table[models.Lot]
	lots     *table[models.Lot]
	wallets  *table[models.Wallet]
	acts     *table[models.Act]
	counters *table[models.UsageQuarter]
}

func newTables() *tables {
	type (
		charge  = models.Charge
		hold    = models.Hold
		entry   = models.Entry
		lot     = models.Lot
		wallet  = models.Wallet
		act     = models.Act
		counter = models.UsageQuarter
	)
	t := &tables{}
	t.charges = newTable("charges",
		[]column[charge]{
			ident("agency_id", func(r *charge) [16]byte { return r.AgencyID }),
			ident("id", func(r *charge) [16]byte { return r.ID }),
		},
		[]column[charge]{
			ident("wallet_id", func(r *charge) [16]byte { return r.WalletID }),
			text("idempotency_key", func(r *charge) string { return r.IdempotencyKey }),
			octets("fingerprint", func(r *charge) []byte { return r.Fingerprint }),
			text("action", func(r *charge) string { return r.Action }),
			text("model", func(r *charge) string { return r.Model }),
			text("usage", func(r *charge) string { return r.Usage }),
			text("metadata", func(r *charge) string { return r.Metadata }),
			integer("credits", func(r *charge) models.Credits { return r.Credits }),
			integer("would_cost", func(r *charge) models.Credits { return r.WouldCost }),
			integer("units", func(r *charge) int64 { return r.Units }),
			ident("card_id", func(r *charge) [16]byte { return r.CardID }),
			integer("card_version", func(r *charge) int { return r.CardVersion }),
			boolean("test", func(r *charge) bool { return r.Test }),
			boolean("late", func(r *charge) bool { return r.Late }),
			ident("hold_id", func(r *charge) [16]byte { return r.HoldID }),
			integer("seq", func(r *charge) int64 { return r.Seq }),
			ident("pool_wallet_id", func(r *charge) [16]byte { return r.PoolWalletID }),
			integer("pool_seq", func(r *charge) int64 { return r.PoolSeq }),
			integer("after_plan", func(r *charge) models.Credits { return r.AfterPlan }),
			integer("after_purchased", func(r *charge) models.Credits { return r.AfterPurchased }),
			integer("after_assigned", func(r *charge) models.Credits { return r.AfterAssigned }),
			integer("after_bonus", func(r *charge) models.Credits { return r.AfterBonus }),
			integer("after_held", func(r *charge) models.Credits { return r.AfterHeld }),
			integer("after_excess", func(r *charge) models.Credits { return r.AfterExcess }),
			text("state", func(r *charge) string { return r.State }),
			integer("occurred_at", func(r *charge) models.Time { return r.OccurredAt }),
			integer("created_at", func(r *charge) models.Time { return r.CreatedAt }),
		})
	holdKeys := []column[hold]{
		ident("agency_id", func(r *hold) [16]byte { return r.AgencyID }),
		ident("id", func(r *hold) [16]byte { return r.ID }),
	}
	holdEnd := []column[hold]{
		text("state", func(r *hold) models.HoldState { return r.State }),
		integer("ended_at", func(r *hold) models.Time { return r.EndedAt }),
	}
	t.holds = newTable("holds", holdKeys, append([]column[hold]{
		ident("wallet_id", func(r *hold) [16]byte { return r.WalletID }),
		text("idempotency_key", func(r *hold) string { return r.IdempotencyKey }),
		octets("fingerprint", func(r *hold) []byte { return r.Fingerprint }),
		text("action", func(r *hold) string { return r.Action }),
		text("model", func(r *hold) string { return r.Model }),
		integer("credits", func(r *hold) models.Credits { return r.Credits }),
		integer("promised", func(r *hold) models.Credits { return r.Promised }),
		text("draws", func(r *hold) string { return r.Draws }),
		ident("purchase_id", func(r *hold) [16]byte { return r.PurchaseID }),
		integer("expires_at", func(r *hold) models.Time { return r.ExpiresAt }),
		integer("created_at", func(r *hold) models.Time { return r.CreatedAt }),
	}, holdEnd...))
	t.holdEnds = newTable("holds", holdKeys, holdEnd)
	t.entries = newTable("entries",
		[]column[entry]{
			ident("agency_id", func(r *entry) [16]byte { return r.AgencyID }),
			ident("wallet_id", func(r *entry) [16]byte { return r.WalletID }),
			integer("seq", func(r *entry) int64 { return r.Seq }),
		},
		[]column[entry]{
			ident("act_id", func(r *entry) [16]byte { return r.ActID }),
			ident("lot_id", func(r *entry) [16]byte { return r.LotID }),
			integer("kind", func(r *entry) int16 { return r.Kind }),
			integer("amount", func(r *entry) models.Credits { return r.Amount }),
			integer("balance", func(r *entry) models.Credits { return r.Balance }),
			integer("at", func(r *entry) models.Time { return r.At }),
		})
	lotKeys := []column[lot]{
		ident("agency_id", func(r *lot) [16]byte { return r.AgencyID }),
		ident("id", func(r *lot) [16]byte { return r.ID }),
	}
	lotMoves := []column[lot]{
		integer("remaining", func(r *lot) models.Credits { return r.Remaining }),
		integer("held", func(r *lot) models.Credits { return r.Held }),
		boolean("open", func(r *lot) bool { return r.Open }),
	}
	t.lots = newTable("lots", lotKeys, lotMoves)
	t.newLots = newTable("lots", lotKeys, append([]column[lot]{
		ident("wallet_id", func(r *lot) [16]byte { return r.WalletID }),
		text("source", func(r *lot) models.Source { return r.Source }),
		integer("priority", func(r *lot) int { return r.Priority }),
		integer("granted", func(r *lot) models.Credits { return r.Granted }),
		boolean("frozen", func(r *lot) bool { return r.Frozen }),
		integer("effective_at", func(r *lot) models.Time { return r.EffectiveAt }),
		integer("expires_at", func(r *lot) models.Time { return r.ExpiresAt }),
		integer("unit_cost", func(r *lot) models.UnitPrice { return r.UnitCost }),
		integer("cost", func(r *lot) int64 { return r.Cost }),
		text("currency", func(r *lot) string { return r.Currency }),
		ident("purchase_id", func(r *lot) [16]byte { return r.PurchaseID }),
		ident("parent_lot_id", func(r *lot) [16]byte { return r.ParentLotID }),
		integer("period_start", func(r *lot) models.Time { return r.PeriodStart }),
		text("note", func(r *lot) string { return r.Note }),
		integer("created_at", func(r *lot) models.Time { return r.CreatedAt }),
	}, lotMoves...))
	t.wallets = newTable("wallets",
		[]column[wallet]{
			ident("agency_id", func(r *wallet) [16]byte { return r.AgencyID }),
			ident("id", func(r *wallet) [16]byte { return r.ID }),
		},
		[]column[wallet]{
			integer("seq", func(r *wallet) int64 { return r.Seq }),
			integer("balance", func(r *wallet) models.Credits { return r.Balance }),
			integer("held", func(r *wallet) models.Credits { return r.Held }),
			integer("excess", func(r *wallet) models.Credits { return r.Excess }),
			integer("promised", func(r *wallet) models.Credits { return r.Promised }),
			integer("pool_drawn", func(r *wallet) models.Credits { return r.PoolDrawn }),
			integer("pool_since", func(r *wallet) models.Time { return r.PoolSince }),
			integer("agency_excess", func(r *wallet) models.Credits { return r.AgencyExcess }),
			integer("last_at", func(r *wallet) models.Time { return r.LastAt }),
			integer("used_at", func(r *wallet) models.Time { return r.UsedAt }),
		})
	t.acts = newTable("acts",
		[]column[act]{
			ident("agency_id", func(r *act) [16]byte { return r.AgencyID }),
			ident("id", func(r *act) [16]byte { return r.ID }),
		},
		[]column[act]{
			ident("wallet_id", func(r *act) [16]byte { return r.WalletID }),
			text("kind", func(r *act) string { return r.Kind }),
			integer("credits", func(r *act) models.Credits { return r.Credits }),
			text("actor", func(r *act) string { return r.Actor }),
			text("note", func(r *act) string { return r.Note }),
			text("reference", func(r *act) string { return r.Reference }),
			ident("other_wallet_id", func(r *act) [16]byte { return r.OtherWalletID }),
			nullText("idempotency_key", func(r *act) *string { return r.IdempotencyKey }),
			octets("fingerprint", func(r *act) []byte { return r.Fingerprint }),
			integer("seq", func(r *act) int64 { return r.Seq }),
			integer("other_seq", func(r *act) int64 { return r.OtherSeq }),
			integer("created_at", func(r *act) models.Time { return r.CreatedAt }),
		})
	t.counters = newTable("usage_quarters",
		[]column[counter]{
			ident("agency_id", func(r *counter) [16]byte { return r.AgencyID }),
			integer("quarter", func(r *counter) models.Time { return r.Quarter }),
			ident("paid_wallet_id", func(r *counter) [16]byte { return r.PaidWalletID }),
			ident("wallet_id", func(r *counter) [16]byte { return r.WalletID }),
			text("action", func(r *counter) string { return r.Action }),
			text("model", func(r *counter) string { return r.Model }),
		},
		[]column[counter]{
			integer("plan", func(r *counter) models.Credits { return r.Plan }),
			integer("purchased", func(r *counter) models.Credits { return r.Purchased }),
			integer("assigned", func(r *counter) models.Credits { return r.Assigned }),
			integer("bonus", func(r *counter) models.Credits { return r.Bonus }),
			integer("excess", func(r *counter) models.Credits { return r.Excess }),
			integer("units", func(r *counter) int64 { return r.Units }),
			integer("charges", func(r *counter) int64 { return r.Charges }),
			integer("tests", func(r *counter) int64 { return r.Tests }),
			integer("first_seq", func(r *counter) int64 { return r.FirstSeq }),
			integer("last_seq", func(r *counter) int64 { return r.LastSeq }),
			integer("balance", func(r *counter) models.Credits { return r.Balance }),
		})
	// Counters add up; the entries' range and the balance follow the newest.
	add := make([]string, 0, 11)
	for _, name := range []string{"plan", "purchased", "assigned", "bonus", "excess", "units", "charges", "tests"} {
		add = append(add, fmt.Sprintf("%[1]s = usage_quarters.%[1]s + excluded.%[1]s", name))
	}
	add = append(add,
		"first_seq = CASE WHEN usage_quarters.first_seq = 0 THEN excluded.first_seq ELSE usage_quarters.first_seq END",
		"last_seq = CASE WHEN excluded.last_seq = 0 THEN usage_quarters.last_seq ELSE excluded.last_seq END",
		"balance = CASE WHEN excluded.last_seq = 0 THEN usage_quarters.balance ELSE excluded.balance END")
	upsert := " ON CONFLICT (agency_id, quarter, paid_wallet_id, wallet_id, action, model) DO UPDATE SET " + strings.Join(add, ", ")
	t.counters.insertPG += upsert
	t.counters.insertLite += upsert
	return t
}

func nullText[T any](name string, get func(*T) *string) column[T] {
	return column[T]{
		name, "text",
		func(rows []T) any {
			out := make([]*string, len(rows))
			for i := range rows {
				out[i] = get(&rows[i])
			}
			return out
		},
		func(r *T) any {
			if s := get(r); s != nil {
				return *s
			}
			return nil
		},
	}
}

const walletColumns = `w.agency_id, w.id, w.sub_account_id, w.status, w.seq, w.balance, w.held, w.excess, w.excess_limit,
	w.funding, w.pool_wallet_id, w.pool_cap, w.pool_every, w.pool_drawn, w.pool_since, w.cycle_start, w.promised,
	w.low_at, w.critical_at, w.agency_excess, w.agency_ceiling, w.last_at, w.used_at, w.created_at`

func scanWallet(r row, w *models.Wallet) error {
	return r.Scan(&w.AgencyID, &w.ID, &w.SubAccountID, &w.Status, &w.Seq, &w.Balance, &w.Held, &w.Excess, &w.ExcessLimit,
		&w.Funding, &w.PoolWalletID, &w.PoolCap, &w.PoolEvery, &w.PoolDrawn, &w.PoolSince, &w.CycleStart, &w.Promised,
		&w.LowAt, &w.CriticalAt, &w.AgencyExcess, &w.AgencyCeiling, &w.LastAt, &w.UsedAt, &w.CreatedAt)
}

const lotColumns = `l.agency_id, l.id, l.wallet_id, l.source, l.priority, l.granted, l.remaining, l.held, l.open, l.frozen,
	l.effective_at, l.expires_at, l.unit_cost, l.cost, l.currency, l.purchase_id, l.parent_lot_id, l.period_start, l.note, l.created_at`

func scanLot(r row, l *models.Lot) error {
	return r.Scan(&l.AgencyID, &l.ID, &l.WalletID, &l.Source, &l.Priority, &l.Granted, &l.Remaining, &l.Held, &l.Open, &l.Frozen,
		&l.EffectiveAt, &l.ExpiresAt, &l.UnitCost, &l.Cost, &l.Currency, &l.PurchaseID, &l.ParentLotID, &l.PeriodStart, &l.Note, &l.CreatedAt)
}

const chargeColumns = `c.agency_id, c.id, c.wallet_id, c.idempotency_key, c.fingerprint, c.action, c.model, c.usage, c.metadata,
	c.credits, c.would_cost, c.units, c.card_id, c.card_version, c.test, c.late, c.hold_id, c.seq, c.pool_wallet_id, c.pool_seq,
	c.after_plan, c.after_purchased, c.after_assigned, c.after_bonus, c.after_held, c.after_excess, c.state, c.occurred_at, c.created_at`

func scanCharge(r row, c *models.Charge) error {
	return r.Scan(&c.AgencyID, &c.ID, &c.WalletID, &c.IdempotencyKey, &c.Fingerprint, &c.Action, &c.Model, &c.Usage, &c.Metadata,
		&c.Credits, &c.WouldCost, &c.Units, &c.CardID, &c.CardVersion, &c.Test, &c.Late, &c.HoldID, &c.Seq, &c.PoolWalletID, &c.PoolSeq,
		&c.AfterPlan, &c.AfterPurchased, &c.AfterAssigned, &c.AfterBonus, &c.AfterHeld, &c.AfterExcess, &c.State, &c.OccurredAt, &c.CreatedAt)
}

const holdColumns = `h.agency_id, h.id, h.wallet_id, h.idempotency_key, h.fingerprint, h.action, h.model, h.credits, h.promised,
	h.draws, h.purchase_id, h.state, h.expires_at, h.ended_at, h.created_at`

func scanHold(r row, h *models.Hold) error {
	return r.Scan(&h.AgencyID, &h.ID, &h.WalletID, &h.IdempotencyKey, &h.Fingerprint, &h.Action, &h.Model, &h.Credits, &h.Promised,
		&h.Draws, &h.PurchaseID, &h.State, &h.ExpiresAt, &h.EndedAt, &h.CreatedAt)
}
