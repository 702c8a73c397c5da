package ledger

import (
	"time"

	"refill/billing/period"
	"refill/models"
)

// overdue is how long work may be due, by the clock's own rounds, before it counts
// as forgotten.
const overdue = 10 * time.Minute

// doings are the checks of what billing does around the ledger: what it is paid,
// whom it stops, whom it tells. Nothing here is broken by being under way: what is
// tried again, waits for stock or for a person says so in its row.
func doings() []finding {
	wallet := noun(models.WalletID.String, "wallet")
	agency := noun(models.AgencyID.String, "agency")
	purchase := noun(models.PurchaseID.String, "purchase")
	subscription := noun(models.SubscriptionID.String, "subscription")
	notice := noun(models.NoticeID.String, "notice")
	const alarms = "('wallet.low', 'wallet.critical', 'wallet.paused', 'wallet.resumed', 'upstream.paused')"
	return []finding{
		{
			check: "I-15", of: "purchases", noun: purchase, say: "%s: %s were paid for and not given, and nothing says why",
			sql: `SELECT p.id, p.credits FROM purchases p WHERE p.agency_id = @agency AND p.paid_at > 0 AND p.credited_at = 0
				AND p.status NOT IN ('review', 'cancelled') AND NOT (p.status = 'processing' AND p.package_id IS NOT NULL)`,
		},
		{
			check: "I-19", of: "subscriptions", noun: agency, plain: true, say: "%s: is on %s plans at once",
			sql: `SELECT s.agency_id, COUNT(*) FROM subscriptions s WHERE s.agency_id = @agency AND s.ended_at = 0 GROUP BY s.agency_id HAVING COUNT(*) > 1`,
		},
		{
			// One that ends, or may have, waits for what Stripe says of it.
			check: "I-19", noun: subscription, say: "%s: its period is over and none has begun",
			sql: `SELECT s.id FROM subscriptions s WHERE s.agency_id = @agency AND s.ended_at = 0 AND s.period_end < @late AND s.cancel_at = 0 AND s.grace_until = 0`,
		},
		{
			check: "I-19", noun: subscription, say: "%s: gives %s for its period, which has no allowance",
			sql: `SELECT s.id, s.allowance FROM subscriptions s JOIN agencies a ON a.id = s.agency_id
				WHERE s.agency_id = @agency AND s.ended_at = 0 AND s.allowance > 0 AND NOT EXISTS (SELECT 1 FROM lots l
					WHERE l.agency_id = @agency AND l.wallet_id = a.wallet_id AND l.source = 'plan' AND l.parent_lot_id IS NULL
						AND l.period_start >= s.period_start AND l.expires_at = s.period_end)`,
		},
		{
			check: "I-24", noun: wallet, plain: true, say: "%s: has %s automatic top-ups on their way at once",
			sql: `SELECT p.wallet_id, COUNT(*) FROM purchases p WHERE p.agency_id = @agency AND p.origin = 'automatic' AND p.status IN ('open', 'processing')
				GROUP BY p.wallet_id HAVING COUNT(*) > 1`,
		},
		{
			// What a sale lacks may be bought at once after one that was credited.
			check: "I-24", of: "top_ups", noun: purchase, say: "%s: its card was tried within the hour of one that came to nothing",
			sql: `SELECT p.id FROM purchases p WHERE p.agency_id = @agency AND p.origin = 'automatic' AND EXISTS (SELECT 1 FROM purchases q
				WHERE q.agency_id = @agency AND q.wallet_id = p.wallet_id AND q.origin = 'automatic' AND q.status IN ('failed', 'expired', 'cancelled')
					AND q.created_at < p.created_at AND q.created_at > p.created_at - 3600000000)`,
		},
		{
			check: "I-24", noun: purchase, plain: true, say: "%s: its card had been declined %s times in the thirty days before",
			sql: `SELECT f.id, f.n FROM (SELECT p.id, (SELECT COUNT(*) FROM purchases q
					WHERE q.agency_id = @agency AND q.wallet_id = p.wallet_id AND q.origin = 'automatic' AND q.status = 'failed' AND q.card = p.card
						AND q.created_at < p.created_at AND q.created_at > p.created_at - 2592000000000) AS n
				FROM purchases p WHERE p.agency_id = @agency AND p.origin = 'automatic' AND p.status = 'failed' AND p.card <> '') f WHERE f.n >= 4`,
		},
		{
			check: "I-25", of: "alarms", noun: wallet, plain: true, say: "%s: its people were told %s times, its row counts %s",
			sql: `SELECT n.wallet_id, COUNT(*), COALESCE(MAX(l.told), 0) FROM notices n LEFT JOIN alarms l ON l.agency_id = n.agency_id AND l.wallet_id = n.wallet_id
				WHERE n.agency_id = @agency AND n.event IN ` + alarms + ` GROUP BY n.wallet_id HAVING COUNT(*) > COALESCE(MAX(l.told), 0)`,
		},
		{
			// An occasion is the event, a space, # and the count.
			check: "I-25", noun: wallet, plain: true, say: "%s: its people were told %s times of one occasion",
			sql: `SELECT n.wallet_id, COUNT(*) FROM notices n WHERE n.agency_id = @agency AND n.event IN ` + alarms + `
				GROUP BY n.wallet_id, substr(n.occasion, length(n.event) + 3) HAVING COUNT(*) > 1`,
		},
		{
			check: "I-27", of: "notices", noun: notice, say: "%s: nobody has been told, and it is long due",
			sql: "SELECT n.id FROM notices n WHERE n.agency_id = @agency AND n.told_at = 0 AND n.due_at < @late",
		},
		{
			check: "I-27", of: "notice_copies", noun: notice, say: "%s: somebody has it, and it was not told",
			sql: `SELECT n.id FROM notice_copies c JOIN notices n ON n.agency_id = c.agency_id AND n.id = c.notice_id
				WHERE c.agency_id = @agency AND n.told_at = 0`,
		},
		{
			check: "I-32", of: "wallets", noun: wallet, say: "%s: is in service, and its account is stopped",
			sql: `SELECT w.id FROM wallets w JOIN agencies a ON a.id = w.agency_id LEFT JOIN sub_accounts s ON s.agency_id = w.agency_id AND s.id = w.sub_account_id
				WHERE w.agency_id = @agency AND w.status = 'active' AND (a.status = 'suspended' OR s.status = 'archived')`,
		},
		{
			check: "I-32", noun: wallet, say: "%s: drew %s after it was stopped",
			sql: `SELECT w.id, e.amount FROM wallet_stops t JOIN wallets w ON w.agency_id = t.agency_id AND w.id = t.wallet_id
				JOIN entries e ON e.agency_id = t.agency_id AND e.wallet_id = t.wallet_id AND e.seq > t.seq
				LEFT JOIN charges c ON c.agency_id = e.agency_id AND c.id = e.act_id
				WHERE t.agency_id = @agency AND w.status <> 'active' AND e.kind IN (` + list(ChargeDraw, ExcessDraw, HoldDraw, StockDraw) + `) AND c.hold_id IS NULL`,
		},
	}
}

// shared are the checks of tables that no agency owns, asked once.
func shared() []finding {
	purchase := noun(models.PurchaseID.String, "purchase")
	return []finding{
		{
			// What Stripe's lists show and no purchase knows waits for a person.
			check: "I-15", noun: purchase, say: "%s: Stripe shows it paid for half an hour, and its %s were not given",
			sql: `SELECT p.id, p.credits FROM seen_payments s JOIN purchases p ON p.agency_id = s.agency_id AND p.id = s.purchase_id
				WHERE s.seen_at + 1200000000 < @late AND p.credited_at = 0 AND p.status IN ('open', 'failed', 'expired')`,
		},
		{
			check: "I-26", of: "stripe_events", say: "event %s: has been due for long, and nobody looked",
			sql: "SELECT e.event_id FROM stripe_events e WHERE e.state = 'pending' AND e.next_at < @late",
		},
		{
			check: "I-26", say: "event %s: ended without a time or a reason",
			sql: `SELECT e.event_id FROM stripe_events e WHERE (e.state = 'pending') <> (e.processed_at = 0) OR e.state IN ('ignored', 'dead') AND e.note = ''`,
		},
		{
			check: "I-27", of: "webhook_deliveries", noun: noun(models.WebhookEventID.String, "webhook"), plain: true, say: "%s: is over or not, and its last answer was %s",
			sql: `SELECT d.event_id, d.status FROM webhook_deliveries d
				WHERE (d.state = 'queued') <> (d.ended_at = 0) OR d.state = 'delivered' AND (d.status < 200 OR d.status > 299)`,
		},
		{
			check: "I-27", of: "mails", say: "mail %s: is on its way and over, or neither",
			sql: "SELECT CAST(m.id AS text) FROM mails m WHERE (m.state = 'queued') <> (m.ended_at = 0)",
		},
	}
}

// periods compares running subscriptions with the periods of their anchor (I-19).
func (a *auditor) periods() error {
	var running []models.Subscription
	if err := a.tx.Where("agency_id = ? AND ended_at = 0", a.agency).Find(&running).Error; err != nil {
		return err
	}
	for i := range running {
		s := &running[i]
		every := period.None
		if s.Every == models.EveryMonth {
			every = period.Month
		}
		zone, err := time.LoadLocation(s.TimeZone)
		if err != nil {
			a.breach("I-19", "subscription %s: is in zone %q, which nobody knows", s.ID, s.TimeZone)
			continue
		}
		// A period may begin late, or end with a trial; else it ends where its anchor says.
		if _, _, end := period.Containing(s.AnchorAt, zone, every, s.PeriodStart); s.PeriodEnd != end && s.PeriodEnd != s.TrialEnd {
			a.breach("I-19", "subscription %s: its period ends at %s, from its anchor it is %s", s.ID, s.PeriodEnd.RFC3339(), end.RFC3339())
		}
	}
	return nil
}

// topUps compares what automatic top-up has spent in a month, since it was agreed
// to, with the limit that was agreed to (I-24).
func (a *auditor) topUps() error {
	var agreed []models.TopUp
	if err := a.tx.Where("agency_id = ? AND agreed_at > 0 AND monthly_limit > 0", a.agency).Find(&agreed).Error; err != nil || len(agreed) == 0 {
		return err
	}
	var names []string
	if err := a.tx.Model(&models.Agency{}).Where("id = ?", a.agency).Pluck("time_zone", &names).Error; err != nil || len(names) == 0 {
		return err
	}
	zone, err := time.LoadLocation(names[0])
	if err != nil {
		return err
	}
	for i := range agreed {
		t := &agreed[i]
		var bought []models.Purchase
		if err := a.tx.Select("created_at", "price").Where("agency_id = ? AND wallet_id = ? AND origin = 'automatic'", a.agency, t.WalletID).
			Where("created_at >= ? AND status NOT IN ('failed', 'expired', 'cancelled')", t.AgreedAt).Find(&bought).Error; err != nil {
			return err
		}
		months := map[models.Time]int64{}
		for _, p := range bought {
			months[period.CalendarMonth(p.CreatedAt, zone).Start] += p.Price
		}
		for month, spent := range months {
			if spent > t.MonthlyLimit {
				a.breach("I-24", "wallet %s: bought for %d by itself in the month from %s, the limit is %d (minor units)", t.WalletID, spent, month.RFC3339(), t.MonthlyLimit)
			}
		}
	}
	return nil
}
