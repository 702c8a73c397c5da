package billing

import (
	"cmp"
	"context"
	"errors"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"gorm.io/gorm"

	"refill/billing/problem"
	"refill/models"
)

// Payment is a payment as the platform's operator sees it.
type Payment struct {
	models.Purchase

	Agency string // name
	Client string // of a sale; "" else
	// StripeAmount and StripeRefunded are what Stripe was last seen to say, in minor
	// units; SeenAt zero: its lists were not read since.
	StripeAmount   int64
	StripeRefunded int64
	SeenAt         models.Time
}

// Difference is what Stripe says was kept, less what is booked, in minor units.
func (p *Payment) Difference() int64 {
	if p.SeenAt == 0 {
		return 0
	}
	return p.StripeAmount - p.StripeRefunded - p.Booked()
}

// Booked is what of the payment is booked as kept, in minor units.
func (p *Payment) Booked() int64 {
	if p.CreditedAt == 0 {
		return 0
	}
	return p.Paid - p.Refunded
}

// PlanPaid is what was paid for a plan, as the platform's operator sees it.
type PlanPaid struct {
	models.PlanPayment

	Agency         string // name
	StripeAmount   int64  // as Stripe's lists last showed it, in minor units
	StripeRefunded int64
	SeenAt         models.Time // 0: not in its lists yet
}

// Difference is what Stripe says was kept, less what is noted, in minor units.
func (p *PlanPaid) Difference() int64 {
	if p.SeenAt == 0 {
		return 0
	}
	return p.StripeAmount - p.StripeRefunded - p.Amount + p.Refunded
}

func planPaidRows(tx *gorm.DB) *gorm.DB {
	return tx.Table("plan_payments p").Select(`p.*, a.name AS agency, COALESCE(s.amount, 0) AS stripe_amount, COALESCE(s.refunded, 0) AS stripe_refunded,
			COALESCE(s.seen_at, 0) AS seen_at`).
		Joins("JOIN agencies a ON a.id = p.agency_id").Joins("LEFT JOIN seen_payments s ON s.payment = p.payment_intent")
}

// PlanPayments lists what was paid for plans in a span, the last paid first.
func (s *Service) PlanPayments(ctx context.Context, q PaymentQuery) ([]PlanPaid, error) {
	if q.Limit <= 0 || q.Limit > 1000 {
		q.Limit = 50
	}
	if q.Until == 0 {
		q.Until = models.Never
	}
	var out []PlanPaid
	return out, planPaidRows(s.db.Read.WithContext(ctx)).Where("p.paid_at >= ? AND p.paid_at < ?", q.From, q.Until).
		Order("p.paid_at DESC, p.agency_id, p.invoice").Limit(q.Limit).Scan(&out).Error
}

// PaymentDay compares one day's payments, by the day they were made, with what
// is booked of them. Amounts are minor units of one currency.
type PaymentDay struct {
	Day            models.Time // its midnight
	Currency       string
	Payments       int64 // at Stripe
	StripePaid     int64
	StripeRefunded int64
	Booked         int64 // purchases and payments of plans
	Paid           int64
	Refunded       int64
}

// Difference is what Stripe kept and is not booked.
func (d *PaymentDay) Difference() int64 {
	return d.StripePaid - d.StripeRefunded - d.Paid + d.Refunded
}

// PaymentsDesk is everything about payments that may need a person.
type PaymentsDesk struct {
	Now      models.Time
	Unbooked []Payment            // paid, and not booked within two minutes; the oldest first
	Strays   []models.SeenPayment // at Stripe, of no purchase known here
	Trouble  []Payment            // disputed, taken for fraud, or a refund that is on its way
	Plans    []PlanPaid           // such payments of plans
	Asked    []RefundAsked        // refunds that Stripe has not answered
	Dead     []models.StripeEvent // given up
	Waiting  int64                // events that wait for their next try
	Days     []PaymentDay         // the last 30 and today, newest first
	Last     *models.Reconciliation
	Running  bool
}

// RefundAsked is a refund request with whose purchase it is about.
type RefundAsked struct {
	models.RefundRequest

	Agency   string
	Currency string
}

// deskLists bounds each list of the desk.
const deskLists = 50

// paymentRows reads purchases with what Stripe's lists say of them.
func paymentRows(tx *gorm.DB) *gorm.DB {
	return tx.Table("purchases p").Select(`p.*, a.name AS agency, COALESCE(c.name, '') AS client,
			COALESCE(s.amount, 0) AS stripe_amount, COALESCE(s.refunded, 0) AS stripe_refunded, COALESCE(s.seen_at, 0) AS seen_at`).
		Joins("JOIN agencies a ON a.id = p.agency_id").
		Joins("LEFT JOIN sub_accounts c ON c.agency_id = p.agency_id AND c.wallet_id = p.wallet_id").
		Joins("LEFT JOIN seen_payments s ON s.payment = p.payment_intent AND p.payment_intent <> ''")
}

// unbooked are purchases that were paid and have no credits.
func unbooked(tx *gorm.DB) *gorm.DB {
	return paymentRows(tx).Where("p.paid_at > 0 AND p.credited_at = 0 AND p.status IN ?",
		[]models.PurchaseStatus{models.PurchaseOpen, models.PurchaseProcessing, models.PurchaseReview, models.PurchaseExpired, models.PurchaseFailed})
}

// PaymentsDesk reads the desk in a time zone, from one snapshot.
func (s *Service) PaymentsDesk(ctx context.Context, zone *time.Location) (PaymentsDesk, error) {
	out := PaymentsDesk{Now: s.clock.Now()}
	err := s.db.Snapshot(ctx, func(tx *gorm.DB) error {
		if err := unbooked(tx).Where("p.paid_at <= ?", out.Now.Add(-soonBooked)).Order("p.paid_at").Limit(deskLists).Scan(&out.Unbooked).Error; err != nil {
			return err
		}
		if err := tx.Where("purchase_id IS NULL AND agency_id IS NULL").Order("paid_at DESC").Limit(deskLists).Find(&out.Strays).Error; err != nil {
			return err
		}
		if err := paymentRows(tx).Where("p.dispute IN ? OR p.refund_pending > 0 OR p.warned_at > 0 AND p.refunded < p.paid",
			[]models.DisputeState{models.DisputeInquiry, models.DisputeOpen}).
			Order("p.disputed_at DESC, p.id DESC").Limit(deskLists).Scan(&out.Trouble).Error; err != nil {
			return err
		}
		if err := planPaidRows(tx).Where("p.dispute IN ? OR p.refund_pending > 0 OR p.warned_at > 0 AND p.refunded < p.amount",
			[]models.DisputeState{models.DisputeInquiry, models.DisputeOpen}).
			Order("p.disputed_at DESC, p.agency_id, p.invoice").Limit(deskLists).Scan(&out.Plans).Error; err != nil {
			return err
		}
		if err := tx.Table("refund_requests r").Select("r.*, a.name AS agency, p.currency").
			Joins("JOIN agencies a ON a.id = r.agency_id").Joins("JOIN purchases p ON p.agency_id = r.agency_id AND p.id = r.purchase_id").
			Where("r.state = ?", models.RefundAsked).Order("r.created_at").Limit(deskLists).Scan(&out.Asked).Error; err != nil {
			return err
		}
		if err := tx.Where("state = ?", models.EventDead).Order("received_at DESC").Limit(deskLists).Find(&out.Dead).Error; err != nil {
			return err
		}
		if err := tx.Model(&models.StripeEvent{}).Where("state = ?", models.EventPending).Count(&out.Waiting).Error; err != nil {
			return err
		}
		var last models.Reconciliation
		err := tx.Order("started_at DESC").Take(&last).Error
		switch {
		case err == nil:
			out.Last, out.Running = &last, last.FinishedAt == 0 && last.StartedAt > out.Now.Add(-reconcileStuck)
		case !errors.Is(err, gorm.ErrRecordNotFound):
			return err
		}
		out.Days, err = paymentDays(tx, out.Now, zone)
		return err
	})
	return out, err
}

// paymentDays adds up the last 30 days and today.
func paymentDays(tx *gorm.DB, now models.Time, zone *time.Location) ([]PaymentDay, error) {
	local := now.In(zone)
	const days = 31
	midnight := func(back int) models.Time {
		return models.At(time.Date(local.Year(), local.Month(), local.Day()-back, 0, 0, 0, 0, zone))
	}
	values := make([]string, 0, days)
	var bounds []any
	for i := range days {
		values = append(values, "(CAST(? AS bigint), CAST(? AS bigint))")
		bounds = append(bounds, midnight(i), midnight(i-1))
	}
	with := "WITH d(day, until) AS (VALUES " + strings.Join(values, ", ") + ") "
	sum := func(column string) string { return "CAST(COALESCE(SUM(" + column + "), 0) AS bigint)" }
	var stripe, ours []PaymentDay
	if err := tx.Raw(with+"SELECT d.day, s.currency, COUNT(*) AS payments, "+sum("s.amount")+" AS stripe_paid, "+sum("s.refunded")+` AS stripe_refunded
		FROM d JOIN seen_payments s ON s.paid_at >= d.day AND s.paid_at < d.until GROUP BY d.day, s.currency`, bounds...).Scan(&stripe).Error; err != nil {
		return nil, err
	}
	if err := tx.Raw(with+"SELECT d.day, p.currency, COUNT(*) AS booked, "+sum("p.paid")+" AS paid, "+sum("p.refunded")+` AS refunded
		FROM d JOIN (SELECT paid_at, currency, paid, refunded FROM purchases WHERE paid_at > 0 AND paid_at >= ? AND credited_at > 0
			UNION ALL SELECT paid_at, currency, amount, refunded FROM plan_payments WHERE paid_at >= ?) p
		ON p.paid_at >= d.day AND p.paid_at < d.until GROUP BY d.day, p.currency`, append(bounds, midnight(days-1), midnight(days-1))...).Scan(&ours).Error; err != nil {
		return nil, err
	}
	type key struct {
		day      models.Time
		currency string
	}
	all := map[key]*PaymentDay{}
	for i := range stripe {
		all[key{stripe[i].Day, stripe[i].Currency}] = &stripe[i]
	}
	for i := range ours {
		o := &ours[i]
		d := all[key{o.Day, o.Currency}]
		if d == nil {
			all[key{o.Day, o.Currency}] = o
			continue
		}
		d.Booked, d.Paid, d.Refunded = o.Booked, o.Paid, o.Refunded
	}
	out := make([]PaymentDay, 0, len(all))
	for _, d := range all {
		out = append(out, *d)
	}
	slices.SortFunc(out, func(a, b PaymentDay) int { //nolint:gocritic // the signature is slices'
		return cmp.Or(cmp.Compare(b.Day, a.Day), cmp.Compare(a.Currency, b.Currency))
	})
	return out, nil
}

// PaymentQuery pages through payments of all agencies, the last paid first.
type PaymentQuery struct {
	From, Until models.Time // when they were paid, half-open; 0: no bound
	Cursor      string      // Next of the page before
	Limit       int         // 0: 50
}

// Payments lists payments of all agencies, and what Stripe's lists show beside
// them in the span: payments of no purchase come with the first page.
func (s *Service) Payments(ctx context.Context, q PaymentQuery) (rows []Payment, strays []models.SeenPayment, next string, err error) {
	if q.Limit <= 0 || q.Limit > 1000 {
		q.Limit = 50
	}
	if q.Until == 0 {
		q.Until = models.Never
	}
	err = s.db.Snapshot(ctx, func(tx *gorm.DB) error {
		page := paymentRows(tx).Where("p.paid_at > 0 AND p.paid_at >= ? AND p.paid_at < ?", q.From, q.Until)
		if q.Cursor == "" {
			if err := tx.Where("purchase_id IS NULL AND agency_id IS NULL AND paid_at >= ? AND paid_at < ?", q.From, q.Until).Order("paid_at DESC").Limit(q.Limit).Find(&strays).Error; err != nil {
				return err
			}
		} else {
			at, id, ok := strings.Cut(q.Cursor, ".")
			paid, err := strconv.ParseInt(at, 10, 64)
			purchase, err2 := models.ParseID[models.PurchaseID](id)
			if !ok || err != nil || err2 != nil {
				return problem.Missing("page")
			}
			page = page.Where("(p.paid_at, p.id) < (?, ?)", paid, purchase)
		}
		return page.Order("p.paid_at DESC, p.id DESC").Limit(q.Limit + 1).Scan(&rows).Error
	})
	if len(rows) > q.Limit {
		rows = rows[:q.Limit]
		last := &rows[q.Limit-1]
		next = strconv.FormatInt(int64(last.PaidAt), 10) + "." + last.ID.String()
	}
	return rows, strays, next, err
}

// PaymentsCSV exports the payments of a span, one line each, those that no
// purchase knows included.
func (s *Service) PaymentsCSV(ctx context.Context, q PaymentQuery, zone *time.Location) Export {
	return func(w io.Writer) error {
		out := newSheet(w, zone)
		if err := out.csv.Write([]string{
			"paid_local", "paid_utc", "agency", "client", "purchase", "account", "session", "payment", "status", "booked_utc", "currency",
			"stripe_amount", "stripe_refunded", "booked_amount", "booked_refunded", "difference", "dispute", "credits", "credits_revoked",
		}); err != nil {
			return err
		}
		q.Limit = 1000
		for {
			rows, strays, next, err := s.Payments(ctx, q)
			if err != nil {
				return err
			}
			for i := range strays {
				if err := out.stray(&strays[i]); err != nil {
					return err
				}
			}
			for i := range rows {
				if err := out.payment(&rows[i]); err != nil {
					return err
				}
			}
			if q.Cursor == "" {
				if err := s.planPaymentsCSV(ctx, q, out); err != nil {
					return err
				}
			}
			if out.csv.Flush(); out.csv.Error() != nil || next == "" {
				return out.csv.Error()
			}
			q.Cursor = next
		}
	}
}

func (s *Service) planPaymentsCSV(ctx context.Context, q PaymentQuery, out *sheet) error {
	if q.Until == 0 {
		q.Until = models.Never
	}
	return s.db.Snapshot(ctx, func(tx *gorm.DB) error {
		rows, err := planPaidRows(tx).Where("p.paid_at >= ? AND p.paid_at < ?", q.From, q.Until).Order("p.paid_at DESC, p.agency_id, p.invoice").Rows()
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var p PlanPaid
			if err := tx.ScanRows(rows, &p); err != nil {
				return err
			}
			if err := out.planPaid(&p); err != nil {
				return err
			}
		}
		return rows.Err()
	})
}

func (s *sheet) planPaid(p *PlanPaid) error {
	money := func(amount int64) string { return models.Money{Amount: amount, Currency: p.Currency}.Decimal() }
	local, utc := s.times(p.PaidAt)
	return s.csv.Write([]string{
		local, utc, safe(p.Agency), "", "plan " + p.Subscription, "", safe(p.Invoice), safe(p.PaymentIntent), "plan", utc, p.Currency,
		money(p.StripeAmount), money(p.StripeRefunded), money(p.Amount), money(p.Refunded), money(p.Difference()), string(p.Dispute), "", "",
	})
}

func (s *sheet) stray(p *models.SeenPayment) error {
	money := func(amount int64) string { return models.Money{Amount: amount, Currency: p.Currency}.Decimal() }
	local, utc := s.times(p.PaidAt)
	return s.csv.Write([]string{
		local, utc, "", "", safe(p.Reference), safe(p.Account), safe(p.Session), safe(p.Payment), "unknown", "", p.Currency, money(p.Amount), money(p.Refunded),
		money(0), money(0), money(p.Amount - p.Refunded), "", "", "",
	})
}

func (s *sheet) payment(p *Payment) error {
	money := func(amount int64) string { return models.Money{Amount: amount, Currency: p.Currency}.Decimal() }
	local, utc := s.times(p.PaidAt)
	booked, kept := "", int64(0)
	if p.CreditedAt > 0 {
		_, booked = s.times(p.CreditedAt)
		kept = p.Paid
	}
	return s.csv.Write([]string{
		local, utc, safe(p.Agency), safe(p.Client), p.ID.String(), safe(p.Account), safe(p.CheckoutSession), safe(p.PaymentIntent), string(p.Status), booked, p.Currency,
		money(p.StripeAmount), money(p.StripeRefunded), money(kept), money(p.Refunded), money(p.Difference()), string(p.Dispute), p.Credits.String(), p.Revoked.String(),
	})
}

// RetryBooking settles a purchase because a person asked for it. Errors:
// not_found, payment_unavailable.
func (s *Service) RetryBooking(ctx context.Context, agency models.AgencyID, id models.PurchaseID, by Actor) (models.Purchase, error) {
	p, err := s.SettleWhole(ctx, agency, id)
	if err != nil {
		return p, err
	}
	return p, s.db.InTx(ctx, func(tx *gorm.DB) error {
		return s.audit(tx, agency, by, "payment.retry", id.String(), string(p.Status), "", s.clock.Now())
	})
}

// ReplayEvent takes an event that was given up out of the inbox once more.
// Errors: not_found.
func (s *Service) ReplayEvent(ctx context.Context, endpoint, id string, by Actor) (models.StripeEvent, error) {
	now := s.clock.Now()
	var e models.StripeEvent
	err := s.db.InTx(ctx, func(tx *gorm.DB) error {
		if err := tx.Where("endpoint = ? AND event_id = ?", endpoint, id).Take(&e).Error; err != nil {
			return missing(err, "event")
		}
		if e.State != models.EventDead {
			return nil // somebody did it meanwhile
		}
		if err := tx.Model(&models.StripeEvent{}).Where("endpoint = ? AND event_id = ?", endpoint, id).
			Updates(map[string]any{"state": models.EventPending, "next_at": now, "processed_at": 0}).Error; err != nil {
			return err
		}
		e.State = models.EventPending
		return s.audit(tx, models.AgencyID{}, by, "event.replay", id, e.Type, "", now)
	})
	if err != nil || e.State != models.EventPending {
		return e, err
	}
	if err := s.workEvent(ctx, &e, now); err != nil {
		return e, err
	}
	return e, nil
}

// ReconcileNow is Reconcile because a person asked for it.
func (s *Service) ReconcileNow(ctx context.Context, by Actor) (models.Reconciliation, error) {
	run, err := s.Reconcile(ctx)
	if err != nil {
		return run, err
	}
	return run, s.db.InTx(ctx, func(tx *gorm.DB) error {
		return s.audit(tx, models.AgencyID{}, by, "payments.reconcile", "", strconv.FormatInt(run.Settled, 10)+" booked", "", run.FinishedAt)
	})
}
