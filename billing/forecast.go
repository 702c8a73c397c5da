package billing

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"gorm.io/gorm"

	"refill/billing/ledger"
	"refill/billing/period"
	"refill/models"
)

// ForecastKind says what is known about how long credits last.
type ForecastKind string

// The kinds of forecast (UX 1.0.4).
const (
	ForecastNoData    ForecastKind = "no_data"      // fewer than three complete days
	ForecastIdle      ForecastKind = "idle"         // no usage in the window
	ForecastRunsOut   ForecastKind = "runs_out"     // at RunsOutAt, before a reset
	ForecastPastReset ForecastKind = "past_reset"   // the next allowance comes first
	ForecastBeyond    ForecastKind = "beyond"       // more than 90 days
	ForecastNothing   ForecastKind = "nothing_left" // at or below zero already
)

// The windows of a forecast, in local days.
const (
	paceDays     = 7
	leastDays    = 3
	forecastDays = 90
)

// Forecast is how long credits last, with the parts it was worked out from.
type Forecast struct {
	Kind      ForecastKind
	PerDay    models.Credits // the pace: mean of Daily
	Daily     []models.Credits
	From, To  models.Time    // the complete local days of the pace, half-open
	Plan      models.Credits // left of the allowance
	Other     models.Credits // purchased, assigned and bonus credits left
	ResetsAt  models.Time    // next allowance; 0: none comes
	Allowance models.Credits // what it will be
	Monthly   bool           // it is no plan's: a client is given it, or pays for it, every month
	Ends      models.Credits // of what is left, ends when it comes
	Rolls     bool           // what is left of it then stays
	RunsOutAt models.Time    // also with ForecastPastReset, when it is within 90 days; 0: it is not
}

// Pace compares the share of the allowance used with the share of the cycle
// gone by.
type Pace struct {
	Word  string // "On pace", "18% ahead of pace", "Below pace"; "" without an allowance
	Ahead int    // percent, negative when below
}

// forecastInput is what a forecast is worked out from.
type forecastInput struct {
	now       models.Time
	zone      *time.Location
	left      models.Credits // available − excess
	lots      []*models.Lot  // open, in draw order
	daily     []models.Credits
	from, to  models.Time
	reset     func(after models.Time) models.Time // Never: none
	allowance models.Credits
	incomes   []income // of a client
}

// income is credits that come to a client by themselves every month.
type income struct {
	at      models.Time // the next ones
	credits models.Credits
	next    func(after models.Time) models.Time
	rolls   bool        // what is left of them then stays
	given   models.Time // when those came of which what is left returns then; 0: none
}

// firstOf is what comes next of at least one.
func firstOf(incomes []income) income {
	return slices.MinFunc(incomes, func(a, b income) int { return cmp.Compare(a.at, b.at) })
}

// stock is what is left of one lot while the walk goes on.
type stock struct {
	credits models.Credits
	expires models.Time
	plan    bool
}

// forecast walks forward day by day: the pace is taken from lots in draw order,
// a lot is gone when it expires, a reset brings the allowance.
func forecast(in forecastInput) Forecast {
	f := Forecast{Daily: in.daily, From: in.from, To: in.to, Allowance: in.allowance}
	incomes := slices.Clone(in.incomes)
	if reset := in.reset(in.now); reset != models.Never && in.allowance > 0 {
		incomes = append(incomes, income{at: reset, credits: in.allowance, next: in.reset})
	}
	if len(incomes) > 0 {
		first := firstOf(incomes)
		f.ResetsAt, f.Allowance, f.Rolls, f.Monthly = first.at, first.credits, first.rolls, len(in.incomes) > 0
	}
	var stocks []stock
	for _, l := range in.lots {
		if l.Remaining <= 0 || l.Frozen || l.EffectiveAt > in.now || l.ExpiresAt <= in.now {
			continue
		}
		s := stock{l.Remaining, l.ExpiresAt, l.Source == models.SourcePlan}
		for i := range in.incomes {
			if given := in.incomes[i].given; given > 0 && l.Source == models.SourceAssigned && l.CreatedAt == given {
				s.expires = min(s.expires, in.incomes[i].at)
			}
		}
		stocks = append(stocks, s)
		if s.plan {
			f.Plan += l.Remaining
		} else {
			f.Other += l.Remaining
		}
		if s.plan || s.expires == f.ResetsAt {
			f.Ends += l.Remaining
		}
	}
	var sum models.Credits
	for _, c := range in.daily {
		sum += c
	}
	if len(in.daily) > 0 {
		f.PerDay = max(0, sum/models.Credits(len(in.daily)))
	}
	switch {
	case in.left <= 0:
		f.Kind = ForecastNothing
		return f
	case len(in.daily) < leastDays:
		f.Kind = ForecastNoData
		return f
	case f.PerDay == 0:
		f.Kind = ForecastIdle
		return f
	}
	f.RunsOutAt = walk(in, f.PerDay, stocks, incomes)
	switch {
	case f.RunsOutAt == 0:
		f.Kind = ForecastBeyond
	case f.ResetsAt != 0 && f.RunsOutAt > f.ResetsAt:
		f.Kind = ForecastPastReset
	default:
		f.Kind = ForecastRunsOut
	}
	return f
}

// walk finds the instant at which the pace has used everything, 0 within 90 days.
func walk(in forecastInput, pace models.Credits, stocks []stock, incomes []income) models.Time {
	t, day := in.now, period.Day(in.now, in.zone)
	for range forecastDays {
		for t < day.End {
			// To the end of the day, but for what comes or expires on the way.
			end := day.End
			for i := range incomes {
				end = min(end, incomes[i].at)
			}
			for _, s := range stocks {
				if s.expires > t {
					end = min(end, s.expires)
				}
			}
			need, err := models.MulDiv(int64(pace), int64(end-t), int64(day.End-day.Start))
			if err != nil {
				return 0
			}
			rest := models.Credits(need)
			for i := range stocks {
				part := min(rest, stocks[i].credits)
				stocks[i].credits -= part
				rest -= part
			}
			if rest > 0 {
				used, err := models.MulDiv(int64(end-t), need-int64(rest), need)
				if err != nil {
					return 0
				}
				return t + models.Time(used)
			}
			t = end
			stocks = slices.DeleteFunc(stocks, func(s stock) bool { return s.expires <= t || s.credits == 0 })
			for i := range incomes {
				c := &incomes[i]
				if c.at != t {
					continue
				}
				if c.at = c.next(t); c.rolls {
					stocks = append(stocks, stock{c.credits, models.Never, false})
				} else {
					stocks = append([]stock{{c.credits, c.at, true}}, stocks...)
				}
			}
			if len(stocks) == 0 {
				return t
			}
		}
		day = period.Day(day.End, in.zone)
	}
	return 0
}

// paceOf compares the allowance used with the time gone by. Within five percent
// is on pace; before a tenth of the cycle it is too early to say.
func paceOf(allowance, left models.Credits, cycle period.Span, now models.Time) Pace {
	length, gone := int64(cycle.End-cycle.Start), int64(now-cycle.Start)
	if allowance <= 0 || cycle.End == models.Never || length <= 0 || gone*10 < length {
		return Pace{}
	}
	used := max(0, allowance-left)
	expected, err := models.MulDiv(int64(allowance), min(gone, length), length)
	if err != nil || expected == 0 {
		return Pace{}
	}
	percent, err := models.MulDiv(int64(used), 100, expected)
	if err != nil {
		return Pace{}
	}
	p := Pace{Ahead: int(percent) - 100}
	switch {
	case p.Ahead > 5:
		p.Word = fmt.Sprintf("%d%% ahead of pace", p.Ahead)
	case p.Ahead < -5:
		p.Word = "Below pace"
	default:
		p.Word = "On pace"
	}
	return p
}

// cycle is an account's running period, the one before and what comes with the
// next: an agency's by its plan, a client's by its agency's; the calendar month
// where nothing renews.
type cycle struct {
	period.Span
	plan      models.PlanID // the agency's; zero: none
	before    models.Time   // start of the one before
	renews    bool
	ends      models.Time    // the plan is cancelled, and ends then with this period; 0: it does not
	allowance models.Credits // of an agency's plan; 0 on a client's
	next      func(after models.Time) models.Time
}

func (s *Service) cycleOf(tx *gorm.DB, a *Account, now models.Time) (cycle, error) {
	sub, err := liveSubscription(tx, a.Agency.ID)
	if err != nil {
		return cycle{}, err
	}
	return cycleFrom(sub, a, now), nil
}

func cycleFrom(sub models.Subscription, a *Account, now models.Time) cycle {
	c := cycle{plan: sub.PlanID}
	if sub.ID.IsZero() || sub.Every != models.EveryMonth {
		c.Span = period.CalendarMonth(now, a.Zone)
		c.before = period.CalendarMonth(c.Start-1, a.Zone).Start
		c.next = func(models.Time) models.Time { return models.Never }
		if !sub.ID.IsZero() && a.SubAccount == nil {
			c.allowance = sub.Allowance
		}
		return c
	}
	zone, every := Zone(sub.TimeZone), rhythm(sub.Every)
	n, start, end := period.Containing(sub.AnchorAt, zone, every, now)
	c.Span, c.before, c.renews = period.Span{Start: start, End: end}, period.At(sub.AnchorAt, zone, every, n-1), true
	if sub.PeriodStart <= now && now < sub.PeriodEnd { // a trial, or a plan that began in the middle
		c.Span = period.Span{Start: sub.PeriodStart, End: sub.PeriodEnd}
		c.before = min(c.before, c.Start)
	}
	c.next = func(after models.Time) models.Time {
		_, _, end := period.Containing(sub.AnchorAt, zone, every, after)
		if sub.CancelAt > 0 && sub.CancelAt <= end {
			return models.Never // nothing comes after its end
		}
		return end
	}
	if sub.CancelAt > 0 && sub.CancelAt <= c.End {
		c.ends = sub.CancelAt
	}
	if a.SubAccount == nil {
		c.allowance = sub.Allowance
	}
	return c
}

// pace is what a wallet paid on its last complete local days, up to seven and none
// before its first use.
type pace struct {
	daily    []models.Credits
	from, to models.Time
}

// pacesOf reads the pace of wallets of an agency whose days are those of one zone.
// All are read at once: a week of one wallet lies among the whole agency's, which
// would be gone through again for each.
func pacesOf(tx *gorm.DB, agency *models.Agency, zone *time.Location, wallets []*models.Wallet, now models.Time) (map[models.WalletID]pace, error) {
	to := period.DayStart(now, zone)
	week := daysBack(to, zone, paceDays)
	q := UsageQuery{Agency: agency.ID, Zone: zone, From: week, To: to, Interval: Daily}
	for _, w := range wallets {
		if w.UsedAt != 0 && w.UsedAt < to {
			q.payers = append(q.payers, w.ID)
		}
	}
	days := q.cut(week, to, zone)
	paid := make(map[models.WalletID][]models.Credits, len(q.payers))
	if len(q.payers) > 0 {
		rows, err := readCounters(tx, agency, &q, []string{"paid_wallet_id"}, week, to, q.whole(agency))
		if err != nil {
			return nil, err
		}
		for _, id := range q.payers {
			paid[id] = make([]models.Credits, len(days))
		}
		for i := range rows {
			paid[rows[i].PaidWalletID][place(days, rows[i].At)] += rows[i].Credits()
		}
	}
	out := make(map[models.WalletID]pace, len(wallets))
	for _, w := range wallets {
		p := pace{from: to, to: to}
		if daily, used := paid[w.ID]; used {
			p.from = max(week, period.DayStart(w.UsedAt, zone))
			p.daily = daily[place(days, p.from):]
		}
		out[w.ID] = p
	}
	return out, nil
}

// incomesOf reads what comes by itself every month to an agency's clients, or to one
// of them, by wallet: what it assigns them, and packages that they pay for. A zero
// agency stands for all of them.
func incomesOf(tx *gorm.DB, agency models.AgencyID, client models.WalletID, now models.Time) (map[models.WalletID][]income, error) {
	var given []struct {
		models.StandingAssignment

		WalletID models.WalletID
		GivenAt  models.Time
	}
	q := tx.Table("standing_assignments st").Select(`st.*, sa.wallet_id, COALESCE((SELECT MAX(t.created_at) FROM standing_turns t
			WHERE t.agency_id = st.agency_id AND t.standing_id = st.id AND t.outcome = ?), 0) AS given_at`, models.StandingDone).
		Joins("JOIN sub_accounts sa ON sa.agency_id = st.agency_id AND sa.id = st.sub_account_id").
		Where("st.ended_at = 0 AND sa.status = ?", models.SubAccountActive)
	paying := tx.Where("status = ? AND cancel_at = 0 AND period_end > ?", models.PackageSubActive, now)
	if !agency.IsZero() {
		q, paying = q.Where("st.agency_id = ?", agency), paying.Where("agency_id = ?", agency)
	}
	if !client.IsZero() {
		q, paying = q.Where("sa.wallet_id = ?", client), paying.Where("wallet_id = ?", client)
	}
	if err := q.Order("st.id").Scan(&given).Error; err != nil {
		return nil, err
	}
	out := map[models.WalletID][]income{}
	for i := range given {
		day, zone := given[i].Day, Zone(given[i].TimeZone)
		next := func(after models.Time) models.Time {
			_, next := turnsOf(day, zone, after)
			return next
		}
		in := income{at: next(now), credits: given[i].Credits, next: next, rolls: given[i].Unused == models.UnusedStays}
		if !in.rolls {
			in.given = given[i].GivenAt
		}
		out[given[i].WalletID] = append(out[given[i].WalletID], in)
	}
	var paid []models.PackageSubscription
	if err := paying.Order("id").Find(&paid).Error; err != nil {
		return nil, err
	}
	for i := range paid {
		anchor := paid[i].PeriodEnd
		out[paid[i].WalletID] = append(out[paid[i].WalletID], income{at: anchor, credits: paid[i].Credits, next: func(after models.Time) models.Time {
			_, _, end := period.Containing(anchor, time.UTC, period.Month, after)
			return end
		}})
	}
	return out, nil
}

// resetOf is when an agency's next plan credits come; 0: none come.
func resetOf(sub *models.Subscription, now models.Time) models.Time {
	if sub.Every != models.EveryMonth || sub.Allowance <= 0 || sub.PeriodEnd <= now || sub.PeriodEnd == models.Never ||
		sub.CancelAt > 0 && sub.CancelAt <= sub.PeriodEnd {
		return 0
	}
	return sub.PeriodEnd
}

// nextIncomes is when the next credits come to clients by themselves, by wallet, for
// every agency.
func nextIncomes(tx *gorm.DB, now models.Time) (map[models.WalletID]models.Time, error) {
	all, err := incomesOf(tx, models.AgencyID{}, models.WalletID{}, now)
	out := make(map[models.WalletID]models.Time, len(all))
	for w, incomes := range all {
		out[w] = firstOf(incomes).at
	}
	return out, err
}

// forecastOf is the forecast of an account's own wallet. A client's counts on what
// it gets every month.
func (s *Service) forecastOf(tx *gorm.DB, a *Account, v ledger.View, c cycle, now models.Time) (Forecast, error) { //nolint:gocritic // once per page
	var incomes map[models.WalletID][]income
	if a.SubAccount != nil {
		var err error
		if incomes, err = incomesOf(tx, a.Agency.ID, a.Wallet, now); err != nil {
			return Forecast{}, err
		}
	}
	paces, err := pacesOf(tx, &a.Agency, a.Zone, []*models.Wallet{&v.Wallet}, now)
	if err != nil {
		return Forecast{}, err
	}
	return forecastWith(a.Zone, &v, c, incomes[a.Wallet], paces[a.Wallet], now), nil
}

func forecastWith(zone *time.Location, v *ledger.View, c cycle, incomes []income, p pace, now models.Time) Forecast {
	in := forecastInput{
		now: now, zone: zone, left: v.Balance.Left(), lots: v.Lots, daily: p.daily, from: p.from, to: p.to, reset: c.next, incomes: incomes,
	}
	if c.renews {
		in.allowance = c.allowance
	}
	if in.allowance == 0 {
		in.reset = func(models.Time) models.Time { return models.Never }
	}
	return forecast(in)
}
