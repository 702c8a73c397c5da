package ledger

import (
	"refill/models"
)

// told are the checks of what somebody was told, or has seen: a row that is lost
// leaves none, but others speak of it.
func told() []finding {
	wallet := noun(models.WalletID.String, "wallet")
	charge := noun(models.ChargeID.String, "charge")
	hold := noun(models.HoldID.String, "hold")
	reversal := noun(models.ReversalID.String, "reversal")
	act := noun(models.ActID.String, "act")
	// Where each act's entries begin and end on each wallet.
	const spans = `(SELECT e.wallet_id, e.act_id, MIN(e.seq) AS first, MAX(e.seq) AS last, COUNT(*) AS n
		FROM entries e WHERE e.agency_id = @agency GROUP BY e.wallet_id, e.act_id)`
	return []finding{
		{
			check: "I-07", of: "patrols", noun: wallet, say: "%s: was found whole with a balance of %s, and that entry is gone or another",
			sql: `SELECT p.wallet_id, p.balance FROM patrols p WHERE p.agency_id = @agency AND p.seq > 0 AND NOT EXISTS (SELECT 1 FROM entries e
				WHERE e.agency_id = @agency AND e.wallet_id = p.wallet_id AND e.seq = p.seq AND e.balance = p.balance AND e.at = p.booked_at)`,
		},
		{
			check: "I-07", of: "usage_quarters", noun: wallet, say: "%s: a quarter of an hour ended with a balance of %s, and that entry is gone or another",
			sql: `SELECT u.paid_wallet_id, u.balance FROM usage_quarters u WHERE u.agency_id = @agency AND u.last_seq > 0 AND NOT EXISTS (SELECT 1 FROM entries e
				WHERE e.agency_id = @agency AND e.wallet_id = u.paid_wallet_id AND e.seq = u.last_seq AND e.balance = u.balance)`,
		},
		{
			check: "I-07", noun: wallet, plain: true, say: "%s: was stopped after entry %s, and has %s",
			sql: `SELECT w.id, t.seq, w.seq FROM wallet_stops t JOIN wallets w ON w.agency_id = t.agency_id AND w.id = t.wallet_id
				WHERE t.agency_id = @agency AND t.seq > w.seq`,
		},
		{
			check: "I-08", of: "charges", noun: charge, say: "%s: cost %s, and its entries are not where its row says",
			sql: `SELECT c.id, c.credits FROM charges c
				LEFT JOIN ` + spans + ` o ON o.act_id = c.id AND o.wallet_id = c.wallet_id
				LEFT JOIN ` + spans + ` p ON p.act_id = c.id AND p.wallet_id = c.pool_wallet_id
				WHERE c.agency_id = @agency AND (c.seq <> COALESCE(o.first, 0) OR c.pool_seq <> COALESCE(p.first, 0) OR c.credits > 0 AND c.seq = 0 AND c.pool_seq = 0)`,
		},
		{
			// What is expired, frozen or to come is in the balance and not to be spent.
			check: "I-08", noun: charge, say: "%s: was answered with %s left to spend, and its wallet's balance was %s",
			sql: `SELECT c.id, c.after_plan + c.after_purchased + c.after_assigned + c.after_bonus - c.after_excess, e.balance FROM charges c
				JOIN ` + spans + ` o ON o.act_id = c.id AND o.wallet_id = c.wallet_id
				JOIN entries e ON e.agency_id = c.agency_id AND e.wallet_id = c.wallet_id AND e.seq = o.last
				WHERE c.agency_id = @agency AND c.after_plan + c.after_purchased + c.after_assigned + c.after_bonus - c.after_excess > e.balance`,
		},
		{
			check: "I-08", noun: charge, say: "%s: keeps nothing of the request it answers",
			sql: "SELECT c.id FROM charges c WHERE c.agency_id = @agency AND (c.idempotency_key = '' OR length(c.fingerprint) = 0)",
		},
		{
			check: "I-08", of: "holds", noun: hold, say: "%s: keeps nothing of the request it answers",
			sql: "SELECT h.id FROM holds h WHERE h.agency_id = @agency AND h.purchase_id IS NULL AND (h.idempotency_key = '' OR length(h.fingerprint) = 0)",
		},
		{
			// What is reversed may have been paid by the pool alone; a limit moves nothing.
			check: "I-08", of: "acts", noun: act, say: "%s: moved %s, and its entries are not where its row says",
			sql: `SELECT a.id, a.credits FROM acts a
				LEFT JOIN ` + spans + ` o ON o.act_id = a.id AND o.wallet_id = a.wallet_id
				LEFT JOIN ` + spans + ` p ON p.act_id = a.id AND p.wallet_id = a.other_wallet_id
				LEFT JOIN (SELECT DISTINCT e.act_id FROM entries e WHERE e.agency_id = @agency) s ON s.act_id = a.id
				WHERE a.agency_id = @agency AND (a.seq > 0 AND o.first <> a.seq OR a.other_seq > 0 AND COALESCE(p.first, 0) <> a.other_seq
					OR a.credits <> 0 AND a.kind <> '` + actPolicy + `' AND s.act_id IS NULL)`,
		},
		{
			check: "I-10", noun: charge, say: "%s: was answered that its wallet is paused, with %s left",
			sql: `SELECT c.id, c.after_plan + c.after_purchased + c.after_assigned + c.after_bonus - c.after_excess FROM charges c
				WHERE c.agency_id = @agency AND c.state = 'paused' AND c.hold_id IS NULL
					AND c.after_plan + c.after_purchased + c.after_assigned + c.after_bonus - c.after_excess > 0`,
		},
		{
			// A hold's entries are its own, before and after: those of everything else are one run.
			check: "I-30", noun: act, plain: true, say: "%s: its %s entries stand between others, from %s to %s",
			sql: `SELECT s.act_id, s.n, s.first, s.last FROM ` + spans + ` s WHERE s.last - s.first + 1 <> s.n
				AND NOT EXISTS (SELECT 1 FROM holds h WHERE h.agency_id = @agency AND h.id = s.act_id)`,
		},
		{
			check: "I-30", of: "reversals", noun: reversal, plain: true, say: "%s: stands at entry %s, before what it gives back at %s",
			sql: `SELECT r.id, b.first, o.first FROM reversals r JOIN ` + spans + ` b ON b.act_id = r.id
				JOIN ` + spans + ` o ON o.act_id = r.charge_id AND o.wallet_id = b.wallet_id
				WHERE r.agency_id = @agency AND b.first < o.last`,
		},
		{
			check: "I-30", noun: charge, plain: true, say: "%s: captures at entry %s what was held at %s",
			sql: `SELECT c.id, o.first, h.first FROM charges c JOIN ` + spans + ` o ON o.act_id = c.id
				JOIN ` + spans + ` h ON h.act_id = c.hold_id AND h.wallet_id = o.wallet_id
				WHERE c.agency_id = @agency AND c.hold_id IS NOT NULL AND o.first < h.first`,
		},
	}
}

// refusals reads the notices that say that AI stands still for want of credits
// (I-10). What the API refuses leaves no row.
func (a *auditor) refusals() error {
	return a.each(`SELECT id, facts FROM notices WHERE agency_id = @agency AND event IN ('wallet.paused', 'sub_account.paused')`, func(r row) error {
		var id models.NoticeID
		var f models.NoticeFacts
		if err := r.Scan(&id, &f); err != nil {
			return err
		}
		a.checks["I-10"].Checked++
		if f.Left > 0 && f.Reason == "" { // else a person paused it
			a.breach("I-10", "notice %s: says that credits are out, with %s left", id, f.Left)
		}
		return nil
	})
}

// schema looks at what keeps wrong rows out: one that a restore by other means, or a
// hand, left behind would let them in from now on (I-31).
func (a *auditor) schema() error {
	checked, gaps, err := models.SchemaGaps(a.tx)
	a.checks["I-31"].Checked += int64(checked)
	for _, gap := range gaps {
		a.breach("I-31", "%s", gap)
	}
	return err
}
