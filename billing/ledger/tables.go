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
	watches  *table[models.Wallet] // what is watched of wallets
	stirred  *table[models.Stirred]

	wallet columns[models.Wallet] // as read
	see    search[walletKey]      // wallets
	lock   search[walletKey]      // and keep them, waiting for those that others hold
	skip   search[walletKey]      // or leaving them out
	open   search[walletKey]      // lots

	standing search[walletKey] // wallets with their open lots, or NULLs

	chargesByKey search[key]
	holdsByKey   search[key]
	holdsByID    search[holdKey]
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
		stirred = models.Stirred
	)
	t := &tables{}
	t.charges = newTable("charges",
		columns[charge]{
			ident("agency_id", func(r *charge) *models.AgencyID { return &r.AgencyID }),
			ident("id", func(r *charge) *models.ChargeID { return &r.ID }),
		},
		columns[charge]{
			ident("wallet_id", func(r *charge) *models.WalletID { return &r.WalletID }),
			text("idempotency_key", func(r *charge) *string { return &r.IdempotencyKey }),
			octets("fingerprint", func(r *charge) *[]byte { return &r.Fingerprint }),
			text("action", func(r *charge) *string { return &r.Action }),
			text("model", func(r *charge) *string { return &r.Model }),
			text("usage", func(r *charge) *string { return &r.Usage }),
			text("metadata", func(r *charge) *string { return &r.Metadata }),
			integer("credits", func(r *charge) *models.Credits { return &r.Credits }),
			integer("would_cost", func(r *charge) *models.Credits { return &r.WouldCost }),
			integer("units", func(r *charge) *int64 { return &r.Units }),
			ident("card_id", func(r *charge) *models.RateCardID { return &r.CardID }),
			integer("card_version", func(r *charge) *int { return &r.CardVersion }),
			boolean("test", func(r *charge) *bool { return &r.Test }),
			boolean("late", func(r *charge) *bool { return &r.Late }),
			ident("hold_id", func(r *charge) *models.HoldID { return &r.HoldID }),
			integer("seq", func(r *charge) *int64 { return &r.Seq }),
			ident("pool_wallet_id", func(r *charge) *models.WalletID { return &r.PoolWalletID }),
			integer("pool_seq", func(r *charge) *int64 { return &r.PoolSeq }),
			integer("after_plan", func(r *charge) *models.Credits { return &r.AfterPlan }),
			integer("after_purchased", func(r *charge) *models.Credits { return &r.AfterPurchased }),
			integer("after_assigned", func(r *charge) *models.Credits { return &r.AfterAssigned }),
			integer("after_bonus", func(r *charge) *models.Credits { return &r.AfterBonus }),
			integer("after_held", func(r *charge) *models.Credits { return &r.AfterHeld }),
			integer("after_excess", func(r *charge) *models.Credits { return &r.AfterExcess }),
			text("state", func(r *charge) *string { return &r.State }),
			integer("occurred_at", func(r *charge) *models.Time { return &r.OccurredAt }),
			integer("created_at", func(r *charge) *models.Time { return &r.CreatedAt }),
		})
	holdKeys := columns[hold]{
		ident("agency_id", func(r *hold) *models.AgencyID { return &r.AgencyID }),
		ident("id", func(r *hold) *models.HoldID { return &r.ID }),
	}
	holdEnd := columns[hold]{
		text("state", func(r *hold) *models.HoldState { return &r.State }),
		integer("ended_at", func(r *hold) *models.Time { return &r.EndedAt }),
	}
	t.holds = newTable("holds", holdKeys, append(columns[hold]{
		ident("wallet_id", func(r *hold) *models.WalletID { return &r.WalletID }),
		text("idempotency_key", func(r *hold) *string { return &r.IdempotencyKey }),
		octets("fingerprint", func(r *hold) *[]byte { return &r.Fingerprint }),
		text("action", func(r *hold) *string { return &r.Action }),
		text("model", func(r *hold) *string { return &r.Model }),
		integer("credits", func(r *hold) *models.Credits { return &r.Credits }),
		integer("promised", func(r *hold) *models.Credits { return &r.Promised }),
		text("draws", func(r *hold) *string { return &r.Draws }),
		ident("purchase_id", func(r *hold) *models.PurchaseID { return &r.PurchaseID }),
		integer("expires_at", func(r *hold) *models.Time { return &r.ExpiresAt }),
		integer("created_at", func(r *hold) *models.Time { return &r.CreatedAt }),
	}, holdEnd...))
	// Updates name a column of each index that begins like the primary key: to the
	// planner a young table is empty, where one index looks as good as the other.
	t.holdEnds = newTable("holds", append(holdKeys, text("idempotency_key", func(r *hold) *string { return &r.IdempotencyKey })), holdEnd)
	t.entries = newTable("entries",
		columns[entry]{
			ident("agency_id", func(r *entry) *models.AgencyID { return &r.AgencyID }),
			ident("wallet_id", func(r *entry) *models.WalletID { return &r.WalletID }),
			integer("seq", func(r *entry) *int64 { return &r.Seq }),
		},
		columns[entry]{
			ident("act_id", func(r *entry) *models.ActID { return &r.ActID }),
			ident("lot_id", func(r *entry) *models.LotID { return &r.LotID }),
			integer("kind", func(r *entry) *int16 { return &r.Kind }),
			integer("amount", func(r *entry) *models.Credits { return &r.Amount }),
			integer("balance", func(r *entry) *models.Credits { return &r.Balance }),
			integer("at", func(r *entry) *models.Time { return &r.At }),
		})
	lotKeys := columns[lot]{
		ident("agency_id", func(r *lot) *models.AgencyID { return &r.AgencyID }),
		ident("id", func(r *lot) *models.LotID { return &r.ID }),
	}
	lotMoves := columns[lot]{
		integer("remaining", func(r *lot) *models.Credits { return &r.Remaining }),
		integer("held", func(r *lot) *models.Credits { return &r.Held }),
		boolean("open", func(r *lot) *bool { return &r.Open }),
	}
	t.lots = newTable("lot_rows", append(lotKeys, ident("wallet_id", func(r *lot) *models.WalletID { return &r.WalletID })), lotMoves)
	t.newLots = newTable("lot_rows", lotKeys, append(columns[lot]{
		ident("wallet_id", func(r *lot) *models.WalletID { return &r.WalletID }),
		text("source", func(r *lot) *models.Source { return &r.Source }),
		integer("priority", func(r *lot) *int { return &r.Priority }),
		integer("granted", func(r *lot) *models.Credits { return &r.Granted }),
		boolean("frozen", func(r *lot) *bool { return &r.Frozen }),
		integer("effective_at", func(r *lot) *models.Time { return &r.EffectiveAt }),
		integer("expires_at", func(r *lot) *models.Time { return &r.ExpiresAt }),
		integer("unit_cost", func(r *lot) *models.UnitPrice { return &r.UnitCost }),
		integer("cost", func(r *lot) *int64 { return &r.Cost }),
		text("currency", func(r *lot) *string { return &r.Currency }),
		ident("purchase_id", func(r *lot) *models.PurchaseID { return &r.PurchaseID }),
		ident("parent_lot_id", func(r *lot) *models.LotID { return &r.ParentLotID }),
		integer("period_start", func(r *lot) *models.Time { return &r.PeriodStart }),
		text("note", func(r *lot) *string { return &r.Note }),
		integer("created_at", func(r *lot) *models.Time { return &r.CreatedAt }),
	}, lotMoves...))
	walletKeys := columns[wallet]{
		ident("agency_id", func(r *wallet) *models.AgencyID { return &r.AgencyID }),
		ident("id", func(r *wallet) *models.WalletID { return &r.ID }),
	}
	t.wallets = newTable("wallets", walletKeys,
		columns[wallet]{
			integer("seq", func(r *wallet) *int64 { return &r.Seq }),
			integer("balance", func(r *wallet) *models.Credits { return &r.Balance }),
			integer("held", func(r *wallet) *models.Credits { return &r.Held }),
			integer("excess", func(r *wallet) *models.Credits { return &r.Excess }),
			integer("promised", func(r *wallet) *models.Credits { return &r.Promised }),
			integer("pool_drawn", func(r *wallet) *models.Credits { return &r.PoolDrawn }),
			integer("pool_since", func(r *wallet) *models.Time { return &r.PoolSince }),
			integer("agency_excess", func(r *wallet) *models.Credits { return &r.AgencyExcess }),
			integer("last_at", func(r *wallet) *models.Time { return &r.LastAt }),
			integer("used_at", func(r *wallet) *models.Time { return &r.UsedAt }),
			integer("version", func(r *wallet) *int64 { return &r.Version }),
			ident("drawn_lot_id", func(r *wallet) *models.LotID { return &r.DrawnLotID }),
			integer("drawn", func(r *wallet) *models.Credits { return &r.Drawn }),
		})
	t.wallets.guardBy("version")
	t.acts = newTable("acts",
		columns[act]{
			ident("agency_id", func(r *act) *models.AgencyID { return &r.AgencyID }),
			ident("id", func(r *act) *models.ActID { return &r.ID }),
		},
		columns[act]{
			ident("wallet_id", func(r *act) *models.WalletID { return &r.WalletID }),
			text("kind", func(r *act) *string { return &r.Kind }),
			integer("credits", func(r *act) *models.Credits { return &r.Credits }),
			text("actor", func(r *act) *string { return &r.Actor }),
			text("note", func(r *act) *string { return &r.Note }),
			text("reference", func(r *act) *string { return &r.Reference }),
			ident("other_wallet_id", func(r *act) *models.WalletID { return &r.OtherWalletID }),
			nullText("idempotency_key", func(r *act) *string { return r.IdempotencyKey }),
			octets("fingerprint", func(r *act) *[]byte { return &r.Fingerprint }),
			integer("seq", func(r *act) *int64 { return &r.Seq }),
			integer("other_seq", func(r *act) *int64 { return &r.OtherSeq }),
			integer("created_at", func(r *act) *models.Time { return &r.CreatedAt }),
		})
	t.counters = newTable("usage_quarters",
		columns[counter]{
			ident("agency_id", func(r *counter) *models.AgencyID { return &r.AgencyID }),
			integer("quarter", func(r *counter) *models.Time { return &r.Quarter }),
			ident("paid_wallet_id", func(r *counter) *models.WalletID { return &r.PaidWalletID }),
			ident("wallet_id", func(r *counter) *models.WalletID { return &r.WalletID }),
			text("action", func(r *counter) *string { return &r.Action }),
			text("model", func(r *counter) *string { return &r.Model }),
		},
		columns[counter]{
			integer("plan", func(r *counter) *models.Credits { return &r.Plan }),
			integer("purchased", func(r *counter) *models.Credits { return &r.Purchased }),
			integer("assigned", func(r *counter) *models.Credits { return &r.Assigned }),
			integer("bonus", func(r *counter) *models.Credits { return &r.Bonus }),
			integer("excess", func(r *counter) *models.Credits { return &r.Excess }),
			integer("units", func(r *counter) *int64 { return &r.Units }),
			integer("charges", func(r *counter) *int64 { return &r.Charges }),
			integer("tests", func(r *counter) *int64 { return &r.Tests }),
			integer("first_seq", func(r *counter) *int64 { return &r.FirstSeq }),
			integer("last_seq", func(r *counter) *int64 { return &r.LastSeq }),
			integer("balance", func(r *counter) *models.Credits { return &r.Balance }),
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
	t.counters.onConflict("(agency_id, quarter, paid_wallet_id, wallet_id, action, model) DO UPDATE SET " + strings.Join(add, ", "))
	t.watches = newTable("wallets", walletKeys, columns[wallet]{
		integer("watch_below", func(r *wallet) *models.Credits { return &r.WatchBelow }),
		integer("watch_from", func(r *wallet) *models.Credits { return &r.WatchFrom }),
	})
	t.stirred = newTable("stirred",
		columns[stirred]{
			ident("agency_id", func(r *stirred) *models.AgencyID { return &r.AgencyID }),
			ident("wallet_id", func(r *stirred) *models.WalletID { return &r.WalletID }),
		},
		columns[stirred]{integer("at", func(r *stirred) *models.Time { return &r.At })})
	t.stirred.onConflict("DO NOTHING")
	t.searches()
	return t
}

// searches is what is read, and by which keys.
func (t *tables) searches() {
	type wallet = models.Wallet
	t.wallet = append(append(columns[wallet]{}, t.wallets.all...),
		ident("sub_account_id", func(r *wallet) *models.SubAccountID { return &r.SubAccountID }),
		text("status", func(r *wallet) *models.WalletStatus { return &r.Status }),
		integer("excess_limit", func(r *wallet) *models.Credits { return &r.ExcessLimit }),
		text("funding", func(r *wallet) *models.Funding { return &r.Funding }),
		ident("pool_wallet_id", func(r *wallet) *models.WalletID { return &r.PoolWalletID }),
		integer("pool_cap", func(r *wallet) *models.Credits { return &r.PoolCap }),
		text("pool_every", func(r *wallet) *models.PoolEvery { return &r.PoolEvery }),
		integer("cycle_start", func(r *wallet) *models.Time { return &r.CycleStart }),
		integer("low_at", func(r *wallet) *models.Credits { return &r.LowAt }),
		integer("critical_at", func(r *wallet) *models.Credits { return &r.CriticalAt }),
		integer("agency_ceiling", func(r *wallet) *models.Credits { return &r.AgencyCeiling }),
		integer("watch_below", func(r *wallet) *models.Credits { return &r.WatchBelow }),
		integer("watch_from", func(r *wallet) *models.Credits { return &r.WatchFrom }),
		integer("quarantined_at", func(r *wallet) *models.Time { return &r.QuarantinedAt }),
		integer("created_at", func(r *wallet) *models.Time { return &r.CreatedAt }),
	)
	ofAgency := ident("agency_id", func(k *walletKey) *models.AgencyID { return &k.agency })
	id := func(k *walletKey) *models.WalletID { return &k.wallet }
	t.see = newSearch(columns[walletKey]{ofAgency, ident("id", id)}, t.wallet.names("t."), "wallets", "")
	t.lock, t.skip = t.see, t.see
	t.lock.pg += " ORDER BY t.agency_id, t.id FOR NO KEY UPDATE OF t"
	t.skip.pg = t.lock.pg + " SKIP LOCKED"
	t.standing = t.see
	t.standing.pg = fmt.Sprintf(`SELECT %s, %s FROM (SELECT %s) AS k JOIN wallets t ON t.agency_id = k.agency_id AND t.id = k.id
		LEFT JOIN lot_rows l ON l.agency_id = k.agency_id AND l.wallet_id = k.id AND l.open`,
		t.newLots.all.names("l."), t.wallet.names("t."), t.standing.keys.unnested())
	t.open = newSearch(columns[walletKey]{ofAgency, ident("wallet_id", id)}, t.newLots.all.names("t."), "lot_rows", " AND t.open")

	byKey := columns[key]{
		ident("agency_id", func(k *key) *models.AgencyID { return &k.agency }),
		text("idempotency_key", func(k *key) *string { return &k.text }),
	}
	t.chargesByKey = newSearch(byKey, t.charges.all.names("t."), "charges", "")
	t.holdsByKey = newSearch(byKey, t.holds.all.names("t."), "holds", "")
	t.holdsByID = newSearch(columns[holdKey]{
		ident("agency_id", func(k *holdKey) *models.AgencyID { return &k.agency }),
		ident("id", func(k *holdKey) *models.HoldID { return &k.hold }),
	}, t.holds.all.names("t."), "holds", "")
}
