package billing

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

	"gorm.io/gorm"

	"refill/billing/ledger"
	"refill/billing/period"
	"refill/models"
)

// FleetData is how all agencies stand, for the platform. Its sections fail
// alone. Each is read with a number of statements that does not grow with the
// agencies: from counters, purchases and wallets, never from entries.
type FleetData struct {
	Now models.Time

	States    FleetStates
	StatesErr error

	Use    FleetUse
	UseErr error

	Money    []FleetMoney // by currency; none: nothing was bought in 30 days
	MoneyErr error

	Desk    FleetDesk
	DeskErr error

	Hooks    FleetHooks
	HooksErr error

	Movers    []Mover // the biggest change first, either way
	MoversErr error
}

// FleetStates counts agencies by the state of their own wallet.
type FleetStates struct {
	Agencies  int64
	New       int64
	Healthy   int64
	Low       int64 // low or critical
	Below     int64 // in excess
	Paused    int64 // for want of credits, or by an admin
	Suspended int64 // of these, by an admin
}

// FleetUse is what all agencies used by the hour, with the same hours of the
// weeks before.
type FleetUse struct {
	Hours    []FleetHour    // 48, the last one is running
	Used24h  models.Credits // the last 24 hours
	Whole24h models.Credits // 24 hours up to the last whole quarter of an hour
	Usual24h models.Credits // mean of the same hours as Whole24h, Weeks ago and less
	Weeks    int            // how many weeks before are known, up to four
}

// FleetHour is one hour of all agencies.
type FleetHour struct {
	period.Span

	Used    models.Credits
	Before  []models.Credits // the same hour, one week ago first
	Partial bool
}

// The windows of the fleet's page.
const (
	fleetHours = 48
	fleetWeeks = 4
	week       = 7 * 24 * time.Hour
)

// FleetMoney is what was paid in one currency.
type FleetMoney struct {
	Currency                     string
	Day, Week, Month             Turnover // packs: agencies to the platform, in the last 24 hours, 7 and 30 days
	SoldDay, SoldWeek, SoldMonth Turnover // packages: clients to agencies
}

// Turnover is money and the credits it bought.
type Turnover struct {
	Price   int64 // minor units
	Credits models.Credits
}

// FleetDesk is the payments that need a person.
type FleetDesk struct {
	Review    int64 // Stripe's facts differ from ours
	Unbooked  int64 // Stripe told of them, they are not booked
	Dead      int64 // events given up
	Waiting   int64 // adjustments for a second person
	Purchases []DeskPurchase
}

// DeskPurchase is a purchase that a person has to look at.
type DeskPurchase struct {
	models.Purchase

	Agency string // name
}

// deskRows is how many purchases are listed.
const deskRows = 10

// unbookedAfter is how long an event may be on its way.
const unbookedAfter = 2 * time.Minute

// FleetHooks is how long Stripe's deliveries of the last 24 hours waited for
// us, from their arrival to their booking.
type FleetHooks struct {
	Processed   int64
	Mean        time.Duration
	Longest     time.Duration
	Pending     int64
	OldestSince models.Time // of the pending; 0: none
}

// Mover is an agency whose usage changed: its last seven whole days against the
// seven before, in its own zone.
type Mover struct {
	models.Agency

	Now, Before models.Credits
}

// Change is by how much, with its sign.
func (m *Mover) Change() models.Credits { return m.Now - m.Before }

// moversEachWay is how many are listed for more and for less.
const moversEachWay = 5

// Fleet reads the platform's first page, each section on its own.
func (s *Service) Fleet(ctx context.Context) FleetData {
	out := FleetData{Now: s.clock.Now()}
	section := func(read func(tx *gorm.DB) error) error { return s.db.Snapshot(ctx, read) }
	out.StatesErr = section(func(tx *gorm.DB) (err error) { out.States, err = fleetCounts(tx, out.Now); return err })
	out.UseErr = section(func(tx *gorm.DB) (err error) { out.Use, err = s.fleetUse(tx, out.Now); return err })
	out.MoneyErr = section(func(tx *gorm.DB) (err error) { out.Money, err = fleetMoney(tx, out.Now); return err })
	out.DeskErr = section(func(tx *gorm.DB) (err error) { out.Desk, err = fleetDesk(tx, out.Now); return err })
	out.HooksErr = section(func(tx *gorm.DB) (err error) { out.Hooks, err = fleetHooks(tx, out.Now); return err })
	out.MoversErr = section(func(tx *gorm.DB) (err error) { out.Movers, err = fleetMovers(tx, out.Now); return err })
	return out
}

type fleetState struct {
	Wallet models.Wallet
	State  ledger.State
	Left   models.Credits
}

// fleetStates reads every agency's own wallet and what it may spend.
func fleetStates(tx *gorm.DB, now models.Time) (map[models.AgencyID]fleetState, error) {
	var wallets []models.Wallet
	if err := tx.Joins("JOIN agencies a ON a.id = wallets.agency_id AND a.wallet_id = wallets.id").Find(&wallets).Error; err != nil {
		return nil, err
	}
	spendable, err := spendableBy(tx.Where("(agency_id, wallet_id) IN (SELECT id, wallet_id FROM agencies)"), now)
	if err != nil {
		return nil, err
	}
	out := make(map[models.AgencyID]fleetState, len(wallets))
	for i := range wallets {
		w := &wallets[i]
		b := ledger.Balance{Available: spendable[w.ID], Held: w.Held, Excess: w.Excess}
		out[w.AgencyID] = fleetState{*w, ledger.StateOf(*w, b), b.Left()}
	}
	return out, nil
}

func fleetCounts(tx *gorm.DB, now models.Time) (FleetStates, error) {
	states, err := fleetStates(tx, now)
	var out FleetStates
	for _, st := range states {
		out.Agencies++
		switch st.State {
		case ledger.StateNew:
			out.New++
		case ledger.StateHealthy, ledger.StateUpstream:
			out.Healthy++
		case ledger.StateLow, ledger.StateCritical:
			out.Low++
		case ledger.StateExcess:
			out.Below++
		case ledger.StatePaused:
			out.Paused++
		}
		if st.Wallet.Status == models.WalletSuspended {
			out.Suspended++
		}
	}
	return out, err
}

const paidSum = "CAST(COALESCE(SUM(u.plan + u.purchased + u.assigned + u.bonus + u.excess), 0) AS bigint)"

// fleetUse adds up the last 48 hours of all agencies and the same hours of four
// weeks before, by each agency's key.
func (s *Service) fleetUse(tx *gorm.DB, now models.Time) (FleetUse, error) {
	var out FleetUse
	var oldest models.Time
	if err := tx.Raw("SELECT COALESCE(MIN(created_at), 0) FROM agencies").Scan(&oldest).Error; err != nil {
		return out, err
	}
	end := period.Hour(now, time.UTC).End
	spans := period.Hours(end.Add(-fleetHours*time.Hour), end, time.UTC)
	out.Hours = make([]FleetHour, len(spans))
	for i, s := range spans {
		out.Hours[i] = FleetHour{Span: s, Partial: s.End > now}
	}
	whole := now - intoQuarter(now)
	for back := range fleetWeeks + 1 {
		apart := time.Duration(back) * week
		from := spans[0].Start.Add(-apart)
		if back > 0 && (oldest == 0 || oldest > from) {
			break
		}
		rows, err := s.pulse.read(tx, from, end.Add(-apart), now)
		if err != nil {
			return out, err
		}
		var sum models.Credits
		hours := make([]models.Credits, len(spans))
		for _, r := range rows {
			at := r.At.Add(apart)
			if i := place(spans, at); i >= 0 {
				hours[i] += r.Paid
			}
			if at >= whole.Add(-24*time.Hour) && at < whole {
				sum += r.Paid
			}
			if back == 0 && at >= now.Add(-24*time.Hour) {
				out.Used24h += r.Paid
			}
		}
		for i, h := range hours {
			if back == 0 {
				out.Hours[i].Used = h
			} else {
				out.Hours[i].Before = append(out.Hours[i].Before, h)
			}
		}
		if back == 0 {
			out.Whole24h = sum
		} else {
			out.Usual24h += sum
			out.Weeks = back
		}
	}
	if out.Weeks > 0 {
		out.Usual24h /= models.Credits(out.Weeks)
	}
	return out, nil
}

// fleetMoney adds up what was bought and not taken back.
func fleetMoney(tx *gorm.DB, now models.Time) ([]FleetMoney, error) {
	day, sevenDays, month := now.Add(-24*time.Hour), now.Add(-week), now.Add(-30*24*time.Hour)
	var rows []struct {
		Currency                                                               string
		Sale                                                                   bool
		DayPrice, WeekPrice, MonthPrice, DayCredits, WeekCredits, MonthCredits int64
	}
	sum := func(column, as string) string {
		return "CAST(SUM(CASE WHEN p.credited_at >= ? THEN " + column + " ELSE 0 END) AS bigint) AS " + as
	}
	const price, amount = "p.price - p.refunded - p.dispute_lost", "p.credits - p.revoked"
	if err := tx.Raw("SELECT p.currency, p.package_id IS NOT NULL AS sale, "+
		sum(price, "day_price")+", "+sum(price, "week_price")+", "+sum(price, "month_price")+", "+
		sum(amount, "day_credits")+", "+sum(amount, "week_credits")+", "+sum(amount, "month_credits")+`
		FROM agencies a JOIN purchases p ON p.agency_id = a.id AND p.credited_at >= ?
		WHERE p.paid = 0 OR p.refunded + p.dispute_lost < p.paid
		GROUP BY p.currency, p.package_id IS NOT NULL ORDER BY p.currency`,
		day, sevenDays, month, day, sevenDays, month, month).Scan(&rows).Error; err != nil {
		return nil, err
	}
	var out []FleetMoney
	for _, r := range rows {
		if len(out) == 0 || out[len(out)-1].Currency != r.Currency {
			out = append(out, FleetMoney{Currency: r.Currency})
		}
		m := &out[len(out)-1]
		d, w, t := Turnover{r.DayPrice, models.Credits(r.DayCredits)}, Turnover{r.WeekPrice, models.Credits(r.WeekCredits)}, Turnover{r.MonthPrice, models.Credits(r.MonthCredits)}
		if r.Sale {
			m.SoldDay, m.SoldWeek, m.SoldMonth = d, w, t
		} else {
			m.Day, m.Week, m.Month = d, w, t
		}
	}
	return out, nil
}

// fleetDesk finds the payments that need a person.
func fleetDesk(tx *gorm.DB, now models.Time) (FleetDesk, error) {
	var out FleetDesk
	if err := tx.Model(&models.Purchase{}).Where("status = ?", models.PurchaseReview).Count(&out.Review).Error; err != nil {
		return out, err
	}
	// Our rows that Stripe says are paid, or whose payment it told us of, some
	// time ago.
	unbooked := func() *gorm.DB {
		return tx.Model(&models.Purchase{}).Where(`purchases.status IN ? AND purchases.credited_at = 0 AND (purchases.paid_at > 0
			OR (purchases.agency_id, purchases.id) IN (SELECT r.agency_id, r.purchase_id FROM stripe_events e
				JOIN payment_refs r ON r.ref = e.object_id WHERE e.state = ? AND e.received_at < ? AND e.type IN ?))`,
			[]models.PurchaseStatus{models.PurchaseOpen, models.PurchaseProcessing}, models.EventPending, now.Add(-unbookedAfter),
			[]string{"checkout.session.completed", "checkout.session.async_payment_succeeded"})
	}
	if err := unbooked().Count(&out.Unbooked).Error; err != nil {
		return out, err
	}
	if err := tx.Model(&models.StripeEvent{}).Where("state = ?", models.EventDead).Count(&out.Dead).Error; err != nil {
		return out, err
	}
	if err := tx.Model(&models.AdjustmentRequest{}).Where("state = ?", models.AdjustmentPending).Count(&out.Waiting).Error; err != nil {
		return out, err
	}
	if out.Review+out.Unbooked == 0 {
		return out, nil
	}
	named := func(q *gorm.DB) ([]DeskPurchase, error) {
		var rows []DeskPurchase
		err := q.Select("purchases.*, a.name AS agency").Joins("JOIN agencies a ON a.id = purchases.agency_id").
			Order("purchases.created_at, purchases.id").Limit(deskRows).Scan(&rows).Error
		return rows, err
	}
	review, err := named(tx.Model(&models.Purchase{}).Where("purchases.status = ?", models.PurchaseReview))
	if err != nil {
		return out, err
	}
	out.Purchases, err = named(unbooked())
	out.Purchases = append(out.Purchases, review...)
	return out, err
}

func fleetHooks(tx *gorm.DB, now models.Time) (FleetHooks, error) {
	var row struct{ Processed, Total, Longest int64 }
	if err := tx.Raw(`SELECT COUNT(*) AS processed, CAST(COALESCE(SUM(processed_at - received_at), 0) AS bigint) AS total,
		COALESCE(MAX(processed_at - received_at), 0) AS longest FROM stripe_events WHERE received_at >= ? AND state = ?`,
		now.Add(-24*time.Hour), models.EventProcessed).Scan(&row).Error; err != nil {
		return FleetHooks{}, err
	}
	out := FleetHooks{Processed: row.Processed, Longest: time.Duration(row.Longest) * time.Microsecond}
	if row.Processed > 0 {
		out.Mean = time.Duration(row.Total/row.Processed) * time.Microsecond
	}
	var pending struct {
		N     int64
		Since models.Time
	}
	err := tx.Raw("SELECT COUNT(*) AS n, COALESCE(MIN(received_at), 0) AS since FROM stripe_events WHERE state = ?", models.EventPending).Scan(&pending).Error
	out.Pending, out.OldestSince = pending.N, pending.Since
	return out, err
}

// fleetMovers finds whose usage changed most, more and less.
func fleetMovers(tx *gorm.DB, now models.Time) ([]Mover, error) {
	var agencies []models.Agency
	if err := tx.Order("name, id").Find(&agencies).Error; err != nil {
		return nil, err
	}
	used, err := dailyUse(tx, agencies, false, 2*7+1, now)
	if err != nil {
		return nil, err
	}
	all := make([]Mover, 0, len(agencies))
	for i := range agencies {
		m := Mover{Agency: agencies[i]}
		for day, use := range used[agencies[i].ID] {
			switch { // the last one is running
			case day < 7:
				m.Before += use.All
			case day < 14:
				m.Now += use.All
			}
		}
		if m.Change() != 0 {
			all = append(all, m)
		}
	}
	slices.SortStableFunc(all, func(x, y Mover) int { //nolint:gocritic // the signature is slices'
		return cmp.Compare(max(y.Change(), -y.Change()), max(x.Change(), -x.Change()))
	})
	var out []Mover
	var more, less int
	for i := range all {
		n := &more
		if all[i].Change() < 0 {
			n = &less
		}
		if *n++; *n <= moversEachWay {
			out = append(out, all[i])
		}
	}
	return out, nil
}

// dayUse is what an agency and its clients used on one local day.
type dayUse struct {
	All models.Credits
	Own models.Credits // of it, paid by the agency's own wallet
}

// useAt is an agency's use in a day or quarter.
type useAt struct {
	dayUse

	agency models.AgencyID
	at     models.Time
}

// dayUses reads rows of agency, instant, all and own: thousands for a page, too
// many for GORM's way of finding their fields.
func dayUses(tx *gorm.DB) (out []useAt, err error) {
	rows, err := tx.Rows()
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var u useAt
		if err := rows.Scan(&u.agency, &u.at, &u.All, &u.Own); err != nil {
			return nil, err
		}
		out = append(out, u)
	}
	return out, rows.Err()
}

// dailyUse reads the last local days of agencies, today's running one last: one
// statement for the rolled days and one for the rest. Without today, the running
// day is left empty, and mostly the second statement out.
func dailyUse(tx *gorm.DB, agencies []models.Agency, today bool, days int, now models.Time) (map[models.AgencyID][]dayUse, error) {
	out := make(map[models.AgencyID][]dayUse, len(agencies))
	spans := make(map[models.AgencyID][]period.Span, len(agencies))
	ids := make([]models.AgencyID, 0, len(agencies))
	oldest := now
	for i := range agencies {
		zone := Zone(agencies[i].TimeZone)
		end := period.Day(now, zone).End
		local := period.Days(daysBack(end, zone, days), end, zone)
		spans[agencies[i].ID], out[agencies[i].ID] = local, make([]dayUse, len(local))
		oldest = min(oldest, local[0].Start)
		ids = append(ids, agencies[i].ID)
	}
	if len(agencies) == 0 {
		return out, nil
	}
	add := func(rows []useAt) {
		for _, r := range rows {
			local := spans[r.agency]
			// What was booked a little ahead of the clock is today's.
			if i := min(place(local, r.at), len(local)-1); i >= 0 {
				out[r.agency][i].All += r.All
				out[r.agency][i].Own += r.Own
			}
		}
	}
	// Each agency is named, so that both databases reach its counters by their key
	// whatever they know of the table.
	for part := range slices.Chunk(ids, fleetNamed) {
		rows, err := dayUses(tx.Table("usage_agency_days u").Select(`u.agency_id, u.day, `+paidSum+`, CAST(SUM(u.own) AS bigint)`).
			Where("u.agency_id IN ? AND u.day >= ?", part, oldest).Group("u.agency_id, u.day"))
		if err != nil {
			return nil, err
		}
		add(rows)
	}
	// What is not rolled yet: today, and around midnight the day before it.
	var late []models.AgencyID
	from, to := models.Never, models.Time(0)
	for i := range agencies {
		a := &agencies[i]
		local := spans[a.ID]
		until := local[len(local)-1].Start
		if today {
			until = models.Never
		}
		if since := max(a.UsageRolled, local[0].Start); since < until {
			late, from, to = append(late, a.ID), min(from, since), max(to, until)
		}
	}
	for part := range slices.Chunk(late, fleetNamed) {
		rows, err := dayUses(tx.Raw(`SELECT u.agency_id, u.quarter, `+paidSum+`, CAST(COALESCE(SUM(CASE WHEN u.paid_wallet_id = a.wallet_id
				THEN u.plan + u.purchased + u.assigned + u.bonus + u.excess ELSE 0 END), 0) AS bigint)
			FROM usage_quarters u JOIN agencies a ON a.id = u.agency_id
			WHERE u.agency_id IN ? AND u.quarter >= ? AND u.quarter < ? AND u.quarter >= a.usage_rolled
			GROUP BY u.agency_id, u.quarter`, part, from, to))
		if err != nil {
			return nil, err
		}
		add(rows)
	}
	return out, nil
}
