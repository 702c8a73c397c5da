package ledger

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"refill/models"
)

// finding is one set-based look for breaches: a query that gives a row, an id
// and as many numbers as say has blanks, for each breach. It runs as it is on
// both databases.
type finding struct {
	check string
	of    string                       // table whose rows count as checked, "" when another finding counts them
	noun  func(models.WalletID) string // nil: the id is a text
	say   string
	plain bool // the numbers are counts, not credits
	sql   string
}

// wallet, lot, … print an id under its kind's prefix.
func noun[T ~[16]byte](show func(T) string, name string) func(models.WalletID) string {
	return func(id models.WalletID) string { return name + " " + show(T(id)) }
}

// perKind is an SQL expression that gives f of an entry's kind.
func perKind(f func(Kind, effect) int64) string {
	kinds := make([]Kind, 0, len(effects))
	for k := range effects {
		kinds = append(kinds, k)
	}
	slices.Sort(kinds)
	var b strings.Builder
	b.WriteString("CASE e.kind")
	for _, k := range kinds {
		if n := f(k, effects[k]); n != 0 {
			fmt.Fprintf(&b, " WHEN %d THEN %d", k, n)
		}
	}
	b.WriteString(" ELSE 0 END")
	return b.String()
}

// list is kinds as the inside of an IN.
func list(kinds ...Kind) string {
	out := make([]string, len(kinds))
	for i, k := range kinds {
		out[i] = strconv.Itoa(int(k))
	}
	return strings.Join(out, ", ")
}

// findings are all set-based checks.
func findings() []finding {
	wallet := noun(models.WalletID.String, "wallet")
	lot := noun(models.LotID.String, "lot")
	act := noun(models.ActID.String, "act")
	charge := noun(models.ChargeID.String, "charge")
	hold := noun(models.HoldID.String, "hold")
	reversal := noun(models.ReversalID.String, "reversal")
	purchase := noun(models.PurchaseID.String, "purchase")

	change := perKind(func(k Kind, _ effect) int64 { return k.Change() })
	remaining := perKind(func(_ Kind, e effect) int64 { return e.remaining })
	held := perKind(func(_ Kind, e effect) int64 { return e.held })
	excess := perKind(func(_ Kind, e effect) int64 { return e.excess })
	granted := perKind(func(k Kind, _ effect) int64 {
		if k.gives() {
			return 1
		}
		return 0
	})
	transit := perKind(func(_ Kind, e effect) int64 {
		switch {
		case e.from == "transit":
			return -1
		case e.to == "transit":
			return 1
		}
		return 0
	})
	known := make([]Kind, 0, len(effects))
	for k := range effects {
		known = append(known, k)
	}
	slices.Sort(known)
	var (
		consuming = list(ChargeDraw, CaptureDraw, ExcessDraw)
		reversing = list(Reverse, ReverseExcess)
	)
	sum := func(expr string) string { return "CAST(SUM(" + expr + ") AS bigint)" }
	// A late capture may pass the limit, and so may a limit that was lowered.
	excused := func(of string) string {
		return `NOT EXISTS (SELECT 1 FROM charges c WHERE c.agency_id = @agency AND c.late` + of + `)
			AND NOT EXISTS (SELECT 1 FROM acts p WHERE p.agency_id = @agency AND p.wallet_id = w.id AND p.kind = '` + actPolicy + `')`
	}
	// Nobody asks a limit when a payment goes back: what was used of it is owed.
	clawed := func(of string) string {
		return `COALESCE((SELECT ` + sum("CASE WHEN e.kind = "+list(ClawbackExcess)+" THEN e.amount ELSE -e.amount END") + ` FROM entries e
			WHERE e.agency_id = @agency` + of + ` AND e.kind IN (` + list(ClawbackExcess, ReinstateExcess) + `)), 0)`
	}
	return []finding{
		{
			check: "I-01", of: "wallets", noun: wallet,
			say: "%s: balance %s, held %s, excess %s; its entries give %s, %s, %s",
			sql: `SELECT w.id, w.balance, w.held, w.excess, COALESCE(s.balance, 0), COALESCE(s.held, 0), COALESCE(s.excess, 0)
				FROM wallets w LEFT JOIN (SELECT e.wallet_id, ` + sum("e.amount * "+change) + ` AS balance, ` + sum("e.amount * "+held) + ` AS held,
					` + sum("e.amount * "+excess) + ` AS excess FROM entries e WHERE e.agency_id = @agency GROUP BY e.wallet_id) s ON s.wallet_id = w.id
				WHERE w.agency_id = @agency AND (w.balance <> COALESCE(s.balance, 0) OR w.held <> COALESCE(s.held, 0) OR w.excess <> COALESCE(s.excess, 0))`,
		},
		{
			check: "I-02", of: "wallets", noun: wallet,
			say: "%s: balance %s and held %s, its lots and excess give %s and %s",
			sql: `SELECT w.id, w.balance, w.held, COALESCE(s.remaining, 0) - w.excess, COALESCE(s.held, 0)
				FROM wallets w LEFT JOIN (SELECT wallet_id, ` + sum("remaining") + ` AS remaining, ` + sum("held") + ` AS held
					FROM lots WHERE agency_id = @agency GROUP BY wallet_id) s ON s.wallet_id = w.id
				WHERE w.agency_id = @agency AND (w.balance <> COALESCE(s.remaining, 0) - w.excess OR w.held <> COALESCE(s.held, 0))`,
		},
		{
			check: "I-02", noun: wallet, say: "%s: owes %s of excess beside spendable credits",
			sql: `SELECT w.id, w.excess FROM wallets w WHERE w.agency_id = @agency AND w.excess > 0 AND EXISTS (SELECT 1 FROM lots l
				WHERE l.agency_id = @agency AND l.wallet_id = w.id AND l.open AND l.remaining > 0 AND NOT l.frozen
					AND l.effective_at <= w.last_at AND l.expires_at > w.last_at)`,
		},
		{
			check: "I-03", of: "lots", noun: lot,
			say: "%s: remaining %s, held %s, granted %s; its entries give %s, %s, %s",
			sql: `SELECT l.id, l.remaining, l.held, l.granted, COALESCE(s.remaining, 0), COALESCE(s.held, 0), COALESCE(s.granted, 0)
				FROM lots l LEFT JOIN (SELECT e.lot_id, ` + sum("e.amount * "+remaining) + ` AS remaining, ` + sum("e.amount * "+held) + ` AS held,
					` + sum("e.amount * "+granted) + ` AS granted FROM entries e WHERE e.agency_id = @agency AND e.lot_id IS NOT NULL GROUP BY e.lot_id) s ON s.lot_id = l.id
				WHERE l.agency_id = @agency AND (l.remaining <> COALESCE(s.remaining, 0) OR l.held <> COALESCE(s.held, 0) OR l.granted <> COALESCE(s.granted, 0)
					OR l.remaining < 0 OR l.held < 0 OR l.remaining + l.held > l.granted OR l.open <> (l.remaining > 0 OR l.held > 0))`,
		},
		{
			check: "I-03", noun: wallet, say: "%s: what was drawn, %s, is not of an open lot of its own",
			sql: `SELECT w.id, w.drawn FROM wallets w LEFT JOIN lot_rows l ON l.agency_id = w.agency_id AND l.id = w.drawn_lot_id AND l.wallet_id = w.id
				WHERE w.agency_id = @agency AND w.drawn > 0 AND (l.id IS NULL OR l.remaining <= w.drawn)`,
		},
		{
			check: "I-03", noun: lot, say: "%s: an entry of %s stands on another wallet, or the lot does not exist",
			sql: `SELECT e.lot_id, e.amount FROM entries e LEFT JOIN lots l ON l.agency_id = e.agency_id AND l.id = e.lot_id
				WHERE e.agency_id = @agency AND e.lot_id IS NOT NULL AND (l.id IS NULL OR l.wallet_id <> e.wallet_id)`,
		},
		{
			check: "I-04", of: "entries", noun: act, say: "%s: leaves %s in transit",
			sql: `SELECT e.act_id, ` + sum("e.amount * "+transit) + ` FROM entries e
				WHERE e.agency_id = @agency AND e.kind IN (` + list(AssignOut, AssignIn, ReturnOut, ReturnIn, SellOut, SellHeld, SellIn, ResellOut, ResellIn, PassOut) + `)
				GROUP BY e.act_id HAVING SUM(e.amount * ` + transit + `) <> 0`,
		},
		{
			check: "I-04", noun: act, plain: true, say: "%s: an entry is of no known kind (%s)",
			sql: `SELECT e.act_id, e.kind FROM entries e WHERE e.agency_id = @agency AND e.kind NOT IN (` + list(known...) + `)`,
		},
		{
			check: "I-06", of: "charges", noun: charge, say: "%s: another charge has the same key",
			sql: `SELECT c.id FROM charges c WHERE c.agency_id = @agency AND EXISTS (SELECT 1 FROM charges d
				WHERE d.agency_id = @agency AND d.idempotency_key = c.idempotency_key AND d.id < c.id)`,
		},
		{
			check: "I-06", noun: charge, say: "%s: cost %s, its entries pay %s",
			sql: `SELECT c.id, c.credits, COALESCE(s.paid, 0) FROM charges c LEFT JOIN (SELECT e.act_id, ` + sum("e.amount") + ` AS paid
					FROM entries e WHERE e.agency_id = @agency AND e.kind IN (` + consuming + `) GROUP BY e.act_id) s ON s.act_id = c.id
				WHERE c.agency_id = @agency AND (c.credits <> COALESCE(s.paid, 0) OR (c.test AND c.credits <> 0))`,
		},
		{
			check: "I-06", noun: act, say: "%s: consumed %s, but no charge says so",
			sql: `SELECT e.act_id, e.amount FROM entries e WHERE e.agency_id = @agency AND e.kind IN (` + consuming + `)
				AND NOT EXISTS (SELECT 1 FROM charges c WHERE c.agency_id = @agency AND c.id = e.act_id)`,
		},
		{
			check: "I-06", noun: reversal, say: "%s: says %s, the charge cost %s, its entries gave back %s",
			sql: `SELECT r.id, r.credits, COALESCE(c.credits, 0), COALESCE(s.back, 0) FROM reversals r
				LEFT JOIN charges c ON c.agency_id = r.agency_id AND c.id = r.charge_id
				LEFT JOIN (SELECT e.act_id, ` + sum("e.amount") + ` AS back FROM entries e
					WHERE e.agency_id = @agency AND e.kind IN (` + reversing + `) GROUP BY e.act_id) s ON s.act_id = r.id
				WHERE r.agency_id = @agency AND (c.id IS NULL OR r.credits <> c.credits OR r.credits <> COALESCE(s.back, 0))`,
		},
		{
			check: "I-06", noun: act, say: "%s: gave back %s, but no reversal says so",
			sql: `SELECT e.act_id, e.amount FROM entries e WHERE e.agency_id = @agency AND e.kind IN (` + reversing + `)
				AND NOT EXISTS (SELECT 1 FROM reversals r WHERE r.agency_id = @agency AND r.id = e.act_id)`,
		},
		{
			check: "I-09", of: "wallets", noun: wallet, say: "%s: excess %s and promised %s, the limit is %s",
			sql: `SELECT w.id, w.excess, w.promised, w.excess_limit FROM wallets w WHERE w.agency_id = @agency AND w.excess + w.promised > w.excess_limit
				AND w.excess + w.promised > w.excess_limit + ` + clawed(" AND e.wallet_id = w.id") + ` AND ` + excused(" AND (c.wallet_id = w.id OR c.pool_wallet_id = w.id)"),
		},
		{
			check: "I-09", noun: wallet, say: "%s: the agency's excess is %s, its wallets' together %s",
			sql: `SELECT w.id, w.agency_excess, s.sum FROM wallets w, (SELECT ` + sum("excess + promised") + ` AS sum FROM wallets WHERE agency_id = @agency) s
				WHERE w.agency_id = @agency AND w.agency_excess <> CASE WHEN w.sub_account_id IS NULL THEN s.sum ELSE 0 END`,
		},
		{
			check: "I-09", noun: wallet, say: "%s: the agency's excess is %s, its ceiling %s",
			sql: `SELECT w.id, w.agency_excess, w.agency_ceiling FROM wallets w
				WHERE w.agency_id = @agency AND w.sub_account_id IS NULL AND w.agency_excess > w.agency_ceiling
				AND w.agency_excess > w.agency_ceiling + ` + clawed("") + ` AND ` + excused(""),
		},
		{
			check: "I-12", of: "holds", noun: hold, say: "%s: reserved %s, drew %s, gave back %s, captured %s",
			sql: `SELECT h.id, h.credits - h.promised, COALESCE(s.drawn, 0), COALESCE(s.back, 0), COALESCE(c.captured, 0) FROM holds h
				LEFT JOIN (SELECT e.act_id, ` + sum("CASE WHEN e.kind IN ("+list(HoldDraw, StockDraw)+") THEN e.amount ELSE 0 END") + ` AS drawn,
					` + sum("CASE WHEN e.kind IN ("+list(ReleaseBack, Forfeit)+") THEN e.amount ELSE 0 END") + ` AS back
					FROM entries e WHERE e.agency_id = @agency AND e.kind IN (` + list(HoldDraw, StockDraw, ReleaseBack, Forfeit) + `) GROUP BY e.act_id) s ON s.act_id = h.id
				LEFT JOIN (SELECT c.hold_id, ` + sum("e.amount") + ` AS captured FROM charges c
					JOIN entries e ON e.agency_id = c.agency_id AND e.act_id = c.id AND e.kind = ` + list(CaptureDraw) + `
					WHERE c.agency_id = @agency AND c.hold_id IS NOT NULL GROUP BY c.hold_id
					UNION ALL SELECT k.id, ` + sum("e.amount") + ` FROM holds k
					JOIN purchases p ON p.agency_id = k.agency_id AND p.id = k.purchase_id
					JOIN entries e ON e.agency_id = p.agency_id AND e.act_id = p.act_id AND e.kind = ` + list(SellHeld) + `
					WHERE k.agency_id = @agency AND k.purchase_id IS NOT NULL GROUP BY k.id) c ON c.hold_id = h.id
				WHERE h.agency_id = @agency AND (h.credits - h.promised <> COALESCE(s.drawn, 0)
					OR COALESCE(s.back, 0) + COALESCE(c.captured, 0) <> CASE WHEN h.state = 'open' THEN 0 ELSE COALESCE(s.drawn, 0) END)`,
		},
		{
			check: "I-12", noun: hold, plain: true, say: "%s: has %s captures, which its state does not say",
			sql: `SELECT h.id, COALESCE(c.n, 0) FROM holds h
				LEFT JOIN (SELECT hold_id, COUNT(*) AS n FROM charges WHERE agency_id = @agency AND hold_id IS NOT NULL GROUP BY hold_id) c ON c.hold_id = h.id
				WHERE h.agency_id = @agency AND (COALESCE(c.n, 0) <> CASE WHEN h.state = 'captured' AND h.purchase_id IS NULL THEN 1 ELSE 0 END
					OR (h.state = 'open') <> (h.ended_at = 0))`,
		},
		{
			check: "I-13", of: "purchases", noun: purchase, say: "%s: bought %s, granted %s",
			sql: `SELECT p.id, p.credits, COALESCE(s.granted, 0) FROM purchases p
				LEFT JOIN (SELECT purchase_id, COUNT(*) AS n, COUNT(parent_lot_id) AS carved, COUNT(DISTINCT wallet_id) AS wallets, ` + sum("granted") + ` AS granted
					FROM lots WHERE agency_id = @agency AND purchase_id IS NOT NULL GROUP BY purchase_id) s ON s.purchase_id = p.id
				WHERE p.agency_id = @agency AND ((p.status IN ('credited', 'refunded', 'disputed')) <> (COALESCE(s.n, 0) > 0)
					OR s.granted <> p.credits OR s.wallets > 1 OR (p.pack_id IS NOT NULL AND s.n > 1)
					OR s.carved <> CASE WHEN p.package_id IS NULL THEN 0 ELSE s.n END)`,
		},
		{
			check: "I-13", noun: lot, say: "%s: %s granted for a purchase that does not exist",
			sql: `SELECT l.id, l.granted FROM lots l WHERE l.agency_id = @agency AND l.purchase_id IS NOT NULL
				AND NOT EXISTS (SELECT 1 FROM purchases p WHERE p.agency_id = @agency AND p.id = l.purchase_id)`,
		},
		{
			check: "I-13", noun: purchase, say: "%s: another purchase was credited for the same payment",
			sql: `SELECT p.id FROM purchases p WHERE p.agency_id = @agency AND p.payment_intent <> '' AND p.credited_at > 0 AND EXISTS (SELECT 1 FROM purchases q
				WHERE q.agency_id = @agency AND q.payment_intent = p.payment_intent AND q.account = p.account AND q.credited_at > 0 AND q.id < p.id)`,
		},
		{
			check: "I-18", of: "lots", noun: lot, say: "%s: another lot of %s is the allowance of the same period",
			sql: `SELECT l.id, l.granted FROM lots l WHERE l.agency_id = @agency AND l.source = 'plan' AND l.period_start > 0 AND l.parent_lot_id IS NULL
				AND EXISTS (SELECT 1 FROM lots m WHERE m.agency_id = @agency AND m.wallet_id = l.wallet_id AND m.source = 'plan'
					AND m.period_start = l.period_start AND m.parent_lot_id IS NULL AND m.id < l.id)`,
		},
		{
			check: "I-18", noun: lot, say: "%s: its expiry is booked and %s remain",
			sql: `SELECT l.id, l.remaining FROM lots l WHERE l.agency_id = @agency AND l.remaining > 0 AND l.expires_at <= @now AND EXISTS (SELECT 1 FROM entries e
				WHERE e.agency_id = @agency AND e.wallet_id = l.wallet_id AND e.lot_id = l.id AND e.kind = ` + list(Expire) + ` AND e.at >= l.expires_at
					AND EXISTS (SELECT 1 FROM acts a WHERE a.agency_id = @agency AND a.id = e.act_id AND a.kind = 'expire'))`,
		},
		{
			check: "I-20", noun: lot, plain: true, say: "%s: frozen or not, against the %s reasons that rule",
			sql: fmt.Sprintf(`SELECT l.id, COALESCE(f.n, 0) FROM lots l LEFT JOIN (SELECT lot_id, COUNT(*) AS n FROM lot_freezes
					WHERE agency_id = @agency AND until_seq = %d GROUP BY lot_id) f ON f.lot_id = l.id
				WHERE l.agency_id = @agency AND l.frozen <> (COALESCE(f.n, 0) > 0)`, models.FreezeRules),
		},
		{
			check: "I-28", of: "charges", noun: charge, say: "%s: costs %s",
			sql: fmt.Sprintf(`SELECT c.id, c.credits FROM charges c WHERE c.agency_id = @agency AND (c.credits < 0 OR c.credits > %[1]d OR c.would_cost < 0 OR c.would_cost > %[1]d)`,
				models.MaxCharge),
		},
		{
			check: "I-28", of: "wallets", noun: wallet, say: "%s: balance %s, held %s, excess %s",
			sql: fmt.Sprintf(`SELECT w.id, w.balance, w.held, w.excess FROM wallets w WHERE w.agency_id = @agency
				AND (w.balance > %[1]d OR w.held < 0 OR w.held > %[1]d OR w.excess < 0 OR w.excess > %[1]d OR w.promised < 0 OR w.agency_excess < 0)`, models.MaxBalance),
		},
		{
			check: "I-28", of: "entries", noun: act, say: "%s: an entry moves %s",
			sql: fmt.Sprintf(`SELECT e.act_id, e.amount FROM entries e WHERE e.agency_id = @agency AND (e.amount <= 0 OR e.amount > %d)`, models.MaxBalance),
		},
		{
			check: "I-29", of: "usage_quarters", noun: noun(models.AgencyID.String, "agency"), plain: true,
			say: "%s: counted %s charges and %s tests, there are %s and %s",
			sql: `SELECT a.id, u.charges, u.tests, c.charges - r.n, c.tests
				FROM (SELECT DISTINCT agency_id AS id FROM wallets WHERE agency_id = @agency) a,
					(SELECT COALESCE(` + sum("charges") + `, 0) AS charges, COALESCE(` + sum("tests") + `, 0) AS tests FROM usage_quarters WHERE agency_id = @agency) u,
					(SELECT COALESCE(` + sum("CASE WHEN test THEN 0 ELSE 1 END") + `, 0) AS charges, COALESCE(` + sum("CASE WHEN test THEN 1 ELSE 0 END") + `, 0) AS tests
						FROM charges WHERE agency_id = @agency) c,
					(SELECT COUNT(*) AS n FROM reversals WHERE agency_id = @agency) r
				WHERE u.charges <> c.charges - r.n OR u.tests <> c.tests`,
		},
		{
			check: "I-29", of: "usage_days", noun: noun(models.AgencyID.String, "agency"), plain: true,
			say: "%s: days add up to %s millionths and %s charges, their quarters to %s and %s",
			sql: `SELECT a.id, d.credits, d.charges, q.credits, q.charges FROM agencies a,
					(SELECT COALESCE(` + sum("plan + purchased + assigned + bonus + excess") + `, 0) AS credits, COALESCE(` + sum("charges") + `, 0) AS charges
						FROM usage_days WHERE agency_id = @agency) d,
					(SELECT COALESCE(` + sum("plan + purchased + assigned + bonus + excess") + `, 0) AS credits, COALESCE(` + sum("charges") + `, 0) AS charges
						FROM usage_quarters u, agencies b WHERE u.agency_id = @agency AND b.id = @agency AND u.quarter < b.usage_rolled) q
				WHERE a.id = @agency AND (d.credits <> q.credits OR d.charges <> q.charges)`,
		},
		{
			check: "I-29", of: "usage_agency_days", noun: noun(models.AgencyID.String, "agency"), plain: true,
			say: "%s: its days add up to %s millionths, %s paid by itself, and %s charges, its clients' to %s, %s and %s",
			sql: `SELECT a.id, d.credits, d.own, d.charges, u.credits, u.own, u.charges FROM agencies a,
					(SELECT COALESCE(` + sum("plan + purchased + assigned + bonus + excess") + `, 0) AS credits, COALESCE(` + sum("own") + `, 0) AS own,
						COALESCE(` + sum("charges") + `, 0) AS charges FROM usage_agency_days WHERE agency_id = @agency) d,
					(SELECT COALESCE(` + sum("x.plan + x.purchased + x.assigned + x.bonus + x.excess") + `, 0) AS credits,
						COALESCE(` + sum("CASE WHEN x.paid_wallet_id = b.wallet_id THEN x.plan + x.purchased + x.assigned + x.bonus + x.excess ELSE 0 END") + `, 0) AS own,
						COALESCE(` + sum("x.charges") + `, 0) AS charges FROM usage_days x, agencies b WHERE x.agency_id = @agency AND b.id = @agency) u
				WHERE a.id = @agency AND (d.credits <> u.credits OR d.own <> u.own OR d.charges <> u.charges)`,
		},
		{
			check: "I-29", of: "usage_platform_days", noun: noun(models.AgencyID.String, "agency"), plain: true,
			say: "%s: its days by the platform's zone add up to %s millionths and %s charges, their quarters to %s and %s",
			sql: `SELECT a.id, d.credits, d.charges, q.credits, q.charges FROM agencies a,
					(SELECT COALESCE(` + sum("plan + purchased + assigned + bonus + excess") + `, 0) AS credits, COALESCE(` + sum("charges") + `, 0) AS charges
						FROM usage_platform_days WHERE agency_id = @agency) d,
					(SELECT COALESCE(` + sum("plan + purchased + assigned + bonus + excess") + `, 0) AS credits, COALESCE(` + sum("charges") + `, 0) AS charges
						FROM usage_quarters u, agencies b WHERE u.agency_id = @agency AND b.id = @agency AND u.quarter < b.platform_rolled) q
				WHERE a.id = @agency AND (d.credits <> q.credits OR d.charges <> q.charges)`,
		},
	}
}
