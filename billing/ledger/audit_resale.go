package ledger

import "refill/models"

// resale are the checks of what passes between an agency and its clients, and of
// what was paid for it. They ask rows of billing's too: whose a wallet is and
// what Stripe was paid decide whether credits may be where they are.
func resale() []finding {
	wallet := noun(models.WalletID.String, "wallet")
	lot := noun(models.LotID.String, "lot")
	act := noun(models.ActID.String, "act")
	charge := noun(models.ChargeID.String, "charge")
	hold := noun(models.HoldID.String, "hold")
	purchase := noun(models.PurchaseID.String, "purchase")
	const (
		settled = "p.status IN ('credited', 'refunded', 'disputed')"
		known   = "EXISTS (SELECT 1 FROM agencies a WHERE a.id = @agency)" // a ledger may stand alone
	)
	amount := func(kinds ...Kind) string {
		return "COALESCE(CAST(SUM(CASE WHEN e.kind IN (" + list(kinds...) + ") THEN e.amount ELSE 0 END) AS bigint), 0)"
	}
	return []finding{
		{
			check: "I-14", of: "purchases", noun: purchase, say: "%s: %s were given and it was not paid",
			sql: `SELECT p.id, p.credits FROM purchases p WHERE p.agency_id = @agency AND ` + settled + `
				AND (p.paid_at = 0 OR p.price > 0 AND p.payment_intent = '')`,
		},
		{
			check: "I-14", noun: purchase, say: "%s: of %s, was paid into an account that is not its seller's",
			sql: `SELECT p.id, p.credits FROM purchases p WHERE p.agency_id = @agency AND (p.package_id IS NULL) <> (p.account = '')`,
		},
		{
			check: "I-14", noun: lot, say: "%s: %s were bought without a purchase",
			sql: `SELECT l.id, l.granted FROM lots l WHERE l.agency_id = @agency AND l.source = 'purchase' AND l.parent_lot_id IS NULL
				AND l.purchase_id IS NULL AND ` + known,
		},
		{
			check: "I-21", of: "lots", noun: lot, say: "%s: of %s, has not its parent's expiry and cost",
			sql: `SELECT c.id, c.granted FROM lots c LEFT JOIN lots p ON p.agency_id = c.agency_id AND p.id = c.parent_lot_id
				WHERE c.agency_id = @agency AND c.parent_lot_id IS NOT NULL AND (p.id IS NULL OR c.wallet_id = p.wallet_id OR c.granted > p.granted
					OR c.expires_at <> p.expires_at AND NOT (c.expires_at < p.expires_at AND EXISTS (SELECT 1 FROM purchases b
						WHERE b.agency_id = @agency AND b.id = c.purchase_id AND b.term_end = c.expires_at)) OR c.unit_cost <> p.unit_cost OR c.currency <> p.currency
					OR ABS(c.cost - p.cost * 1.0 * c.granted / p.granted) >= 1)`,
		},
		{
			check: "I-21", noun: lot, say: "%s: gave %s to clients, who got %s of it",
			sql: `SELECT g.lot_id, g.gave, COALESCE(c.got, 0) FROM (
					SELECT e.lot_id, ` + amount(AssignOut, PassOut, SellOut, SellHeld, ResellOut) + ` - ` + amount(ReturnIn) + ` AS gave FROM entries e
					WHERE e.agency_id = @agency AND e.kind IN (` + list(AssignOut, PassOut, SellOut, SellHeld, ResellOut, ReturnIn) + `) GROUP BY e.lot_id) g
				LEFT JOIN (SELECT l.parent_lot_id, ` + amount(AssignIn, SellIn, ResellIn) + ` - ` + amount(ReturnOut) + ` AS got
					FROM lots l JOIN entries e ON e.agency_id = l.agency_id AND e.wallet_id = l.wallet_id AND e.lot_id = l.id
					WHERE l.agency_id = @agency AND l.parent_lot_id IS NOT NULL AND e.kind IN (` + list(AssignIn, SellIn, ResellIn, ReturnOut) + `)
					GROUP BY l.parent_lot_id) c ON c.parent_lot_id = g.lot_id
				WHERE g.gave <> COALESCE(c.got, 0)`,
		},
		{
			check: "I-22", of: "purchases", noun: purchase, say: "%s: may be paid for %s, of which %s are kept in stock",
			sql: `SELECT p.id, p.credits, COALESCE(h.credits, 0) FROM purchases p
				LEFT JOIN holds h ON h.agency_id = p.agency_id AND h.purchase_id = p.id AND h.state = 'open'
				WHERE p.agency_id = @agency AND p.package_id IS NOT NULL AND (p.status = 'open' OR p.status = 'processing' AND p.paid_at = 0)
					AND NOT p.waits AND COALESCE(h.credits, 0) <> p.credits`,
		},
		{
			check: "I-22", noun: hold, say: "%s: keeps %s in stock for a purchase that ended",
			sql: `SELECT h.id, h.credits FROM holds h LEFT JOIN purchases p ON p.agency_id = h.agency_id AND p.id = h.purchase_id
				WHERE h.agency_id = @agency AND h.purchase_id IS NOT NULL AND h.state = 'open' AND ` + known + `
					AND (p.id IS NULL OR p.package_id IS NULL OR p.status NOT IN ('open', 'processing', 'review'))`,
		},
		{
			check: "I-23", of: "wallets", noun: wallet, plain: true, say: "%s: is not the wallet of an account of this agency",
			sql: `SELECT w.id FROM wallets w
				LEFT JOIN agencies a ON a.id = w.agency_id
				LEFT JOIN sub_accounts s ON s.agency_id = w.agency_id AND s.id = w.sub_account_id
				LEFT JOIN wallet_directory d ON d.wallet_id = w.id
				WHERE w.agency_id = @agency AND (d.agency_id IS NULL OR d.agency_id <> w.agency_id OR ` + known + ` AND (
					CASE WHEN w.sub_account_id IS NULL THEN w.id <> a.wallet_id OR w.pool_wallet_id IS NOT NULL
					ELSE s.wallet_id IS NULL OR s.wallet_id <> w.id OR w.pool_wallet_id IS NULL OR w.pool_wallet_id <> a.wallet_id END))`,
		},
		{
			check: "I-23", of: "acts", noun: act, plain: true, say: "%s: names a wallet of another agency",
			sql: `SELECT a.id FROM acts a WHERE a.agency_id = @agency AND (NOT EXISTS (SELECT 1 FROM wallets w WHERE w.agency_id = @agency AND w.id = a.wallet_id)
				OR a.other_wallet_id IS NOT NULL AND NOT EXISTS (SELECT 1 FROM wallets w WHERE w.agency_id = @agency AND w.id = a.other_wallet_id))`,
		},
		{
			check: "I-23", of: "charges", noun: charge, plain: true, say: "%s: names a wallet of another agency",
			sql: `SELECT c.id FROM charges c WHERE c.agency_id = @agency AND (NOT EXISTS (SELECT 1 FROM wallets w WHERE w.agency_id = @agency AND w.id = c.wallet_id)
				OR c.pool_wallet_id IS NOT NULL AND NOT EXISTS (SELECT 1 FROM wallets w WHERE w.agency_id = @agency AND w.id = c.pool_wallet_id))`,
		},
		{
			check: "I-23", of: "purchases", noun: purchase, plain: true, say: "%s: was made for a wallet that may not buy it",
			sql: `SELECT p.id FROM purchases p LEFT JOIN wallets w ON w.agency_id = p.agency_id AND w.id = p.wallet_id
				WHERE p.agency_id = @agency AND (w.id IS NULL OR (w.sub_account_id IS NULL) <> (p.package_id IS NULL))`,
		},
	}
}
