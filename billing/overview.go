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
	"refill/billing/problem"
	"refill/billing/ratecard"
	"refill/models"
)

// OverviewData is an account's first page. Its sections fail alone: a section's
// error leaves the others as they are, and a failed section shows no numbers.
type OverviewData struct {
	Account *Account
	Now     models.Time
	Cycle   period.Span // the running period; the calendar month where nothing renews

	Balance    BalanceData
	BalanceErr error

	Forecast    Forecast // zero for an account that the agency's pool feeds
	Pace        Pace
	ForecastErr error

	Usage    UsageReport // this cycle by the day, compared with the one before
	UsageErr error

	Latest    []HistoryLine // the newest five
	LatestErr error

	Replies    []ReplyRate // the two pairs used most, or the cheapest and dearest
	RepliesErr error

	// Of an agency; empty for a client.

	Attention    Attention
	AttentionErr error
	Sales        SalesTotal // in the running cycle
	SalesErr     error
	Checklist    []CheckedStep
	ChecklistErr error
}

// BalanceData is a balance and what it is made of.
type BalanceData struct {
	WalletView
	Plan      models.Plan    // the agency's; zero on a client's page
	Allowance models.Credits // plan credits the cycle began with; 0: none
	ResetsAt  models.Time    // 0 when no allowance comes
	EndsAt    models.Time    // the plan is cancelled and ends then; 0: it does not, or not with this period
	HeldJobs  int64          // running jobs that hold credits
	Kept      models.Credits // of what is held: stock kept for clients at the checkout
	Assigned  models.Credits // assigned and spendable with clients, not in the balance; what was sold to them is theirs
}

// ReplyRate is what one unit of an action costs now.
type ReplyRate struct {
	Action  string
	Model   string
	Credits models.Credits // the rate's base; 0: it has none
	From    bool           // the least: components, a minimum or the model may raise it
	Count   int64          // how many the balance is worth, of those with a rate
}

// Attention is which clients need their agency.
type Attention struct {
	Clients int64 // all of them
	Idle    int64 // prepaid ones that bought nothing in 30 days, of an agency that sells
	Paused  int64
	Low     int64                // low or critical
	Below   int64                // in excess
	List    []SubAccountStanding // at most five, the worst first; what was sold to them is not read
}

// SubAccountState is how one prepaid client stands.
type SubAccountState struct {
	models.SubAccount
	Funding   models.Funding
	PoolCap   models.Credits // 0: no cap on a pooled account, no pool for a prepaid one
	PoolEvery models.PoolEvery
	Excess    models.Credits // how far below zero it may go
	NotUsed   bool           // no charge yet
	State     ledger.State
	Left      models.Credits
}

// idleAfter is how long a client may buy nothing before its agency is told.
const idleAfter = 30 * 24 * time.Hour

// idle tells a prepaid client that last bought something of its agency too long
// ago, or never (0).
func (s *SubAccountState) idle(boughtAt, now models.Time) bool {
	return s.Funding == models.Prepaid && now.Sub(boughtAt) > idleAfter
}

// attentionRows is how many clients are listed.
const attentionRows = 5

// Overview reads an account's first page from one moment of the clock, each
// section on its own.
func (s *Service) Overview(ctx context.Context, a *Account) OverviewData {
	now := s.clock.Now()
	o := OverviewData{Account: a, Now: now}
	var c cycle
	var cycleErr error
	if c, cycleErr = s.cycleOf(s.db.Read.WithContext(ctx), a, now); cycleErr == nil {
		o.Cycle = c.Span
	}
	o.Balance, o.BalanceErr = s.balanceData(ctx, a, c, now)
	o.BalanceErr = errors.Join(o.BalanceErr, cycleErr)
	if o.ForecastErr = o.BalanceErr; o.BalanceErr == nil && o.Balance.Wallet.Funding != models.Pooled {
		o.ForecastErr = s.db.Snapshot(ctx, func(tx *gorm.DB) (err error) {
			o.Forecast, err = s.forecastOf(tx, a, o.Balance.View, c, now)
			return err
		})
		if c.renews {
			o.Pace = paceOf(c.allowance, o.Balance.Balance.Plan, c.Span, now)
		}
	}
	if o.UsageErr = cycleErr; cycleErr == nil {
		q := UsageOf(a)
		q.From, q.To, q.Before, q.Compare, q.Interval = c.Start, c.End, c.before, true, Daily
		o.Usage, o.UsageErr = s.Usage(ctx, Scope{Agency: a.Agency.ID}, q)
	}
	var page HistoryPage
	page, o.LatestErr = s.History(ctx, HistoryQuery{Account: a, Limit: 5})
	o.Latest = page.Lines
	if o.RepliesErr = o.UsageErr; o.UsageErr == nil {
		o.Replies, o.RepliesErr = s.replies(ctx, a, o.Balance.Balance.Left(), o.Usage.Rows, now)
	}
	if a.SubAccount == nil {
		if o.AttentionErr = cycleErr; cycleErr == nil {
			o.Attention, o.AttentionErr = s.attention(ctx, a, c, now)
		}
		if o.SalesErr = cycleErr; cycleErr == nil {
			var sold SalesBy[models.WalletID]
			sold, o.SalesErr = s.SalesByClient(ctx, a.Agency.ID, c.Span)
			o.Sales = sold.Total()
		}
		o.Checklist, o.ChecklistErr = s.Checklist(ctx, a)
	}
	return o
}

// BalanceData reads a balance with its cycle, what is held and what clients hold.
func (s *Service) BalanceData(ctx context.Context, a *Account) (BalanceData, error) {
	now := s.clock.Now()
	c, err := s.cycleOf(s.db.Read.WithContext(ctx), a, now)
	if err != nil {
		return BalanceData{}, err
	}
	return s.balanceData(ctx, a, c, now)
}

func (s *Service) balanceData(ctx context.Context, a *Account, c cycle, now models.Time) (BalanceData, error) {
	view, err := s.Wallet(ctx, a)
	out := BalanceData{WalletView: view}
	if err != nil {
		return out, err
	}
	db := s.db.Read.WithContext(ctx)
	var open struct {
		Jobs int64
		Kept models.Credits
	}
	err = db.Model(&models.Hold{}).Where("agency_id = ? AND wallet_id = ? AND state = 'open'", a.Agency.ID, a.Wallet).
		Select(`CAST(COALESCE(SUM(CASE WHEN purchase_id IS NULL THEN 1 ELSE 0 END), 0) AS bigint) AS jobs,
			CAST(COALESCE(SUM(CASE WHEN purchase_id IS NULL THEN 0 ELSE credits END), 0) AS bigint) AS kept`).Scan(&open).Error
	if err != nil {
		return out, err
	}
	out.HeldJobs, out.Kept = open.Jobs, open.Kept
	if a.SubAccount != nil {
		return out, nil
	}
	out.Allowance = c.allowance
	if out.EndsAt = c.ends; c.renews && c.ends == 0 {
		out.ResetsAt = c.End
	}
	if !c.plan.IsZero() {
		if err := db.Where("id = ?", c.plan).Take(&out.Plan).Error; err != nil {
			return out, err
		}
	}
	assigned, err := spendableBy(db.Where("agency_id = ? AND wallet_id <> ? AND source = ?", a.Agency.ID, a.Wallet, models.SourceAssigned), now)
	for _, n := range assigned {
		out.Assigned += n
	}
	return out, err
}

// spendableBy adds up what may be spent per wallet of the lots a query is
// narrowed to, by the very test the draw uses.
func spendableBy(tx *gorm.DB, now models.Time) (map[models.WalletID]models.Credits, error) {
	var rows []struct {
		WalletID  models.WalletID
		Remaining models.Credits
	}
	err := tx.Model(&models.Lot{}).Select("wallet_id, CAST(SUM(remaining) AS bigint) AS remaining").
		Where("open AND remaining > 0 AND NOT frozen AND effective_at <= ? AND expires_at > ?", now, now).
		Group("wallet_id").Scan(&rows).Error
	out := make(map[models.WalletID]models.Credits, len(rows))
	for _, r := range rows {
		out[r.WalletID] = r.Remaining
	}
	return out, err
}

// usualReplies are the replies of an account by its use of the last 30 days.
func (s *Service) usualReplies(ctx context.Context, a *Account, now models.Time) ([]ReplyRate, error) {
	q := UsageOf(a)
	q.To = period.Day(now, a.Zone).End
	q.From, q.Interval = daysBack(q.To, a.Zone, 30), InTotal
	used, err := s.Usage(ctx, Scope{Agency: a.Agency.ID}, q)
	if err != nil {
		return nil, err
	}
	return s.replies(ctx, a, 0, used.Rows, now)
}

// replies are the two pairs of action and model that a report says were used
// most, or else in the period before, with what one costs now; before any usage,
// the cheapest and the dearest.
func (s *Service) replies(ctx context.Context, a *Account, left models.Credits, used []UsageRow, now models.Time) ([]ReplyRate, error) {
	version, err := s.RateCardFor(ctx, &a.Agency, now)
	if problem.Is(err, "no_rate_card") {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	used = slices.Clone(used)
	slices.SortStableFunc(used, func(x, y UsageRow) int {
		return cmp.Or(cmp.Compare(y.Total.Charges, x.Total.Charges), cmp.Compare(y.Previous, x.Previous))
	})
	var out []ReplyRate
	add := func(action, model string) {
		rate, err := version.Find(action, model)
		if err != nil || rate.Base <= 0 || len(out) == 2 {
			return // no longer on the card, or not priced by the piece
		}
		r := ReplyRate{Action: action, Model: model, Credits: rate.Base, From: len(rate.Components) > 0 || rate.Minimum != nil}
		r.Count = max(0, int64(left)/int64(rate.Base))
		out = append(out, r)
	}
	for i := range used {
		if used[i].Total.Charges > 0 || used[i].Previous > 0 {
			add(used[i].Key.Action, used[i].Key.Model)
		}
	}
	if len(out) > 0 {
		return out, nil
	}
	rates := slices.Clone(version.Rates)
	slices.SortStableFunc(rates, func(x, y ratecard.Rate) int { return cmp.Compare(x.Base, y.Base) })
	rates = slices.DeleteFunc(rates, func(r ratecard.Rate) bool { return r.Base <= 0 })
	if n := len(rates); n > 0 {
		add(rates[0].Action, rates[0].Model)
		if n > 1 {
			add(rates[n-1].Action, rates[n-1].Model)
		}
	}
	return out, nil
}

// subAccountStates tells how each active client of an agency stands, by name. A
// client that the agency's pool feeds shares the agency's own condition.
func (s *Service) subAccountStates(ctx context.Context, a *Account, now models.Time) ([]SubAccountState, error) {
	var subs []models.SubAccount
	var wallets []models.Wallet
	var spendable map[models.WalletID]models.Credits
	if err := s.db.Snapshot(ctx, func(tx *gorm.DB) (err error) {
		if err := tx.Where("agency_id = ? AND status = ?", a.Agency.ID, models.SubAccountActive).Order("name, id").Find(&subs).Error; err != nil {
			return err
		}
		if err := tx.Select("id, status, held, excess, promised, excess_limit, funding, pool_wallet_id, pool_cap, pool_every, low_at, critical_at, used_at").
			Where("agency_id = ?", a.Agency.ID).Find(&wallets).Error; err != nil { // all that a state is made of
			return err
		}
		spendable, err = spendableBy(tx.Where("agency_id = ?", a.Agency.ID), now)
		return err
	}); err != nil {
		return nil, err
	}
	byID := map[models.WalletID]*models.Wallet{}
	states := map[models.WalletID]ledger.State{}
	for i := range wallets {
		w := &wallets[i]
		byID[w.ID] = w
		states[w.ID] = ledger.StateOf(*w, ledger.Balance{Available: spendable[w.ID], Held: w.Held, Excess: w.Excess})
	}
	out := make([]SubAccountState, 0, len(subs))
	for i := range subs {
		w := byID[subs[i].WalletID]
		if w == nil {
			continue
		}
		row := SubAccountState{
			SubAccount: subs[i], Funding: w.Funding, PoolCap: w.PoolCap, PoolEvery: w.PoolEvery, Excess: w.ExcessLimit, NotUsed: w.UsedAt == 0,
			State: states[w.ID], Left: spendable[w.ID] - w.Excess,
		}
		if w.Funding == models.Pooled && w.Status == models.WalletActive {
			row.State = ledger.StateHealthy
			if states[w.PoolWalletID] == ledger.StatePaused {
				row.State = ledger.StateUpstream
			}
		}
		out = append(out, row)
	}
	return out, nil
}

func (s *Service) attention(ctx context.Context, a *Account, c cycle, now models.Time) (Attention, error) {
	rows, err := s.subAccountStates(ctx, a, now)
	if err != nil {
		return Attention{}, err
	}
	out := Attention{Clients: int64(len(rows))}
	bought, err := s.LastSales(ctx, a.Agency.ID)
	if err != nil {
		return out, err
	}
	worst := map[ledger.State]int{ledger.StatePaused: 4, ledger.StateExcess: 3, ledger.StateCritical: 2, ledger.StateLow: 1}
	for i := range rows {
		if len(bought) > 0 && rows[i].idle(bought[rows[i].WalletID], now) {
			out.Idle++
		}
		switch rows[i].State {
		case ledger.StatePaused:
			out.Paused++
		case ledger.StateExcess:
			out.Below++
		case ledger.StateCritical, ledger.StateLow:
			out.Low++
		case ledger.StateNew, ledger.StateHealthy, ledger.StateUpstream:
			continue
		}
		out.List = append(out.List, SubAccountStanding{SubAccountState: rows[i], BoughtAt: bought[rows[i].WalletID]})
	}
	slices.SortStableFunc(out.List, func(x, y SubAccountStanding) int { return worst[y.State] - worst[x.State] })
	out.List = out.List[:min(attentionRows, len(out.List))]
	if len(out.List) == 0 {
		return out, nil
	}
	needy := make([]models.WalletID, len(out.List))
	for i := range out.List {
		needy[i] = out.List[i].WalletID
	}
	used, err := s.usedByClient(ctx, a, c, needy)
	for i := range out.List {
		out.List[i].Used = used[out.List[i].WalletID]
	}
	return out, err
}

// PeriodName is a stretch of time that pages name.
type PeriodName string

// The named periods.
const (
	ThisCycle     PeriodName = "cycle"
	PreviousCycle PeriodName = "previous"
	Last24Hours   PeriodName = "24h"
	Last7Days     PeriodName = "7d"
	Last30Days    PeriodName = "30d"
	Last90Days    PeriodName = "90d"
	CustomDays    PeriodName = "custom"
)

// UsagePeriod is a named period of an account.
type UsagePeriod struct {
	period.Span
	Before    models.Time    // where the period it is compared with began
	Allowance models.Credits // plan credits of the cycle; 0: none, or not a cycle
}

// UsagePeriod finds a named period in the account's zone. Custom days are
// "2026-11-01", both included. Errors: invalid_range.
func (s *Service) UsagePeriod(ctx context.Context, a *Account, name PeriodName, fromDay, toDay string) (UsagePeriod, error) {
	now := s.clock.Now()
	today := period.Day(now, a.Zone)
	last := func(days int) UsagePeriod {
		span := period.Span{Start: daysBack(today.Start, a.Zone, days-1), End: today.End}
		return UsagePeriod{Span: span, Before: daysBack(span.Start, a.Zone, days)}
	}
	switch name {
	case Last24Hours:
		end := period.Hour(now, a.Zone).End
		return UsagePeriod{Span: period.Span{Start: end - 24*hour, End: end}, Before: end - 48*hour}, nil
	case Last7Days:
		return last(7), nil
	case Last30Days:
		return last(30), nil
	case Last90Days:
		return last(90), nil
	case CustomDays:
		return customDays(a.Zone, fromDay, toDay)
	case ThisCycle, PreviousCycle:
	}
	c, err := s.cycleOf(s.db.Read.WithContext(ctx), a, now)
	if err != nil {
		return UsagePeriod{}, err
	}
	out := UsagePeriod{Span: c.Span, Before: c.before}
	if c.renews {
		out.Allowance = c.allowance
	}
	if name == PreviousCycle {
		earlier, err := s.cycleOf(s.db.Read.WithContext(ctx), a, c.Start-1)
		if err != nil {
			return UsagePeriod{}, err
		}
		out.Span, out.Before = earlier.Span, earlier.before
	}
	return out, nil
}

func customDays(zone *time.Location, fromDay, toDay string) (UsagePeriod, error) {
	from, errFrom := time.ParseInLocation(time.DateOnly, fromDay, zone)
	to, errTo := time.ParseInLocation(time.DateOnly, toDay, zone)
	if errFrom != nil || errTo != nil {
		return UsagePeriod{}, problem.New(problem.Invalid, "invalid_range", "Write days as 2026-11-01.").On("from")
	}
	// Noon is the same day in every zone's own reading of it.
	start := period.DayStart(models.At(from.Add(12*time.Hour)), zone)
	end := period.Day(models.At(to.Add(12*time.Hour)), zone).End
	days := daysBetween(start, end, zone)
	if days < 1 || days > MaxUsageDays {
		return UsagePeriod{}, problem.New(problem.Invalid, "invalid_range", "Give a period that ends after it begins and lasts up to %d days.", MaxUsageDays).On("from")
	}
	return UsagePeriod{Span: period.Span{Start: start, End: end}, Before: daysBack(start, zone, days)}, nil
}
