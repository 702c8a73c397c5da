package billing

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"refill/billing/ledger"
	"refill/billing/period"
	"refill/billing/problem"
	"refill/models"
)

// AlarmKind is what a threshold measures.
type AlarmKind string

// The kinds of thresholds.
const (
	AlarmPercent AlarmKind = "percent" // of the period's plan credits, used
	AlarmCredits AlarmKind = "credits" // left
	AlarmDays    AlarmKind = "days"    // left at the wallet's pace, before credits come by themselves
)

// AlarmLine is a threshold of a wallet. Its people hear of it when it is
// crossed, and again only after it has recovered; of percents also in the next
// period.
type AlarmLine struct {
	Kind  AlarmKind `json:"kind"`
	Value int64     `json:"value"` // percent, days, or millionths of a credit
}

// MaxAlarmLines is how many thresholds a wallet may have.
const MaxAlarmLines = 8

// usualLines are the thresholds of a wallet whose people chose none. A client has
// no plan, so it has no share of one.
func usualLines(client bool) []AlarmLine {
	days := AlarmLine{AlarmDays, 3}
	if client {
		return []AlarmLine{days}
	}
	return []AlarmLine{{AlarmPercent, 75}, {AlarmPercent, 90}, {AlarmPercent, 100}, days}
}

// crossedLine is a threshold that was told of.
type crossedLine struct {
	AlarmLine

	Period models.Time `json:"period,omitempty"` // of percents: the one whose credits were used
}

// plight is a wallet's trouble, by its gravity.
type plight string

const (
	plightNone     plight = ""
	plightCritical plight = "critical" // less than a day, or below zero and still running
	plightPaused   plight = "paused"   // no credits
	plightUpstream plight = "upstream" // its agency's doing
	plightHalted   plight = "halted"   // an agency that an admin has paused
)

// stopped tells that AI stands still.
func (p plight) stopped() bool {
	return p == plightPaused || p == plightUpstream || p == plightHalted
}

// alarmed is a wallet under its lock, with what its people have heard.
type alarmed struct {
	*ledger.View

	row     models.Alarm
	lines   []AlarmLine
	crossed []crossedLine
	sub     models.Subscription // of an agency's own wallet
	comes   models.Time         // when credits come by themselves: plan credits, or a client's monthly ones; 0: none do
	pool    plight              // of the pool that feeds it
	drawn   models.Credits      // on the pool, in the span of its cap
	now     models.Time
}

func (a *alarmed) client() bool { return !a.Wallet.SubAccountID.IsZero() }

func (a *alarmed) left() models.Credits { return a.Balance.Left() }

// own tells that the wallet's own credits decide; a pooled one has none.
func (a *alarmed) own() bool { return !a.client() || a.Wallet.Funding != models.Pooled }

// watchAlarms tells a wallet's people what its credits have come to, and watches
// up to the next line.
func (s *Service) watchAlarms(ctx context.Context, tx *gorm.DB, v *ledger.View, now models.Time) (ledger.Window, error) {
	if v.Wallet.Status == models.WalletClosed {
		return ledger.AnyLeft(), nil
	}
	a, err := readAlarm(tx, v, now)
	if err != nil {
		return ledger.Window{}, err
	}
	was := plight(a.row.State)
	is := a.plight()
	news := a.cross()
	if is == plightNone && was == plightCritical && a.left() <= a.settled() {
		is = was // it has not recovered by enough to be told of again
	}
	switch {
	case is.stopped() && is != was:
		err = s.tellPlight(tx, a, is)
	case was.stopped() && !is.stopped():
		err = s.tellResumed(tx, a)
	case is == plightCritical && was == plightNone:
		err = s.tellLow(tx, a, models.NoticeCritical, AlarmLine{})
	case is != plightNone: // what is worse has been told
	case len(news) > 0:
		err = s.tellLow(tx, a, models.NoticeLow, news[0])
	}
	if err != nil {
		return ledger.Window{}, err
	}
	if !a.client() && is.stopped() != was.stopped() {
		if err := s.stirFed(ctx, tx, a); err != nil {
			return ledger.Window{}, err
		}
	}
	a.row.State = string(is)
	if err := a.keep(tx); err != nil {
		return ledger.Window{}, err
	}
	return a.window(), nil
}

// readAlarm reads what a wallet's people have heard, and what its lines are
// worked out from.
func readAlarm(tx *gorm.DB, v *ledger.View, now models.Time) (*alarmed, error) {
	a := &alarmed{View: v, now: now}
	if err := tx.Where("agency_id = ? AND wallet_id = ?", v.Wallet.AgencyID, v.Wallet.ID).Limit(1).Find(&a.row).Error; err != nil {
		return nil, err
	}
	var err error
	if a.lines, err = linesOf(&a.row, a.client()); err == nil && a.row.Crossed != "" {
		err = json.Unmarshal([]byte(a.row.Crossed), &a.crossed)
	}
	if err != nil {
		return nil, fmt.Errorf("read the alarms of wallet %s: %w", v.Wallet.ID, err)
	}
	if !a.client() {
		a.sub, err = liveSubscription(tx, v.Wallet.AgencyID)
		a.comes = resetOf(&a.sub, now)
		return a, err
	}
	if fed(&v.Wallet) {
		if err := a.readPool(tx); err != nil {
			return nil, err
		}
	}
	if a.own() {
		incomes, err := incomesOf(tx, v.Wallet.AgencyID, v.Wallet.ID, now)
		if err != nil {
			return nil, err
		}
		for _, in := range incomes[v.Wallet.ID] {
			if a.comes == 0 || in.at < a.comes {
				a.comes = in.at
			}
		}
	}
	return a, nil
}

// readPool reads how the pool stands that feeds a client, and what the client has
// drawn on it.
func (a *alarmed) readPool(tx *gorm.DB) error {
	var pool struct {
		State      string
		CycleStart models.Time
		TimeZone   string // the client's
	}
	if err := tx.Raw(`SELECT COALESCE(l.state, '') AS state, w.cycle_start, s.time_zone
		FROM wallets w JOIN sub_accounts s ON s.agency_id = w.agency_id AND s.id = ?
		LEFT JOIN alarms l ON l.agency_id = w.agency_id AND l.wallet_id = w.id
		WHERE w.agency_id = ? AND w.id = ?`, a.Wallet.SubAccountID, a.Wallet.AgencyID, a.Wallet.PoolWalletID).Scan(&pool).Error; err != nil {
		return err
	}
	a.pool = plight(pool.State)
	since := pool.CycleStart
	if a.Wallet.PoolEvery == models.PoolDay {
		since = period.DayStart(a.now, Zone(pool.TimeZone))
	}
	if a.Wallet.PoolSince >= since {
		a.drawn = a.Wallet.PoolDrawn
	}
	return nil
}

func linesOf(row *models.Alarm, client bool) ([]AlarmLine, error) {
	if row.Lines == "" {
		return usualLines(client), nil
	}
	var out []AlarmLine
	return out, json.Unmarshal([]byte(row.Lines), &out)
}

// used tells that somebody waits for the wallet's answers: it gave some, or was asked
// in vain.
func (a *alarmed) used() bool { return a.Wallet.UsedAt > 0 || a.row.AskedAt > 0 }

// plight is the wallet's trouble now. One that was never used has none: nobody
// waits for its answers yet.
func (a *alarmed) plight() plight {
	w := &a.Wallet
	switch {
	case (w.Status == models.WalletSuspended || w.QuarantinedAt > 0) && a.client():
		return plightUpstream
	case w.Status == models.WalletSuspended, w.QuarantinedAt > 0:
		return plightHalted
	case !a.own() && a.pool.stopped():
		return plightUpstream
	case !a.own() && a.capped() && a.used():
		return plightPaused
	case !a.own(), !a.used():
		return plightNone
	}
	switch a.State {
	case ledger.StatePaused:
		if fed(w) && !a.pool.stopped() && !a.capped() {
			return plightNone
		}
		return plightPaused
	case ledger.StateCritical, ledger.StateExcess:
		return plightCritical
	case ledger.StateNew, ledger.StateHealthy, ledger.StateLow, ledger.StateUpstream:
	}
	return plightNone
}

// refusalTTL is for how long a wallet that was refused is not looked at again, of wall
// time.
const refusalTTL = 10 * time.Minute

// askedInVain notes that the AI of an account was refused for want of credits. It
// matters to a wallet that nothing was ever charged to, whose people would not hear of
// it; what goes wrong is tried again with the next refusal.
func (s *Service) askedInVain(ctx context.Context, a *Account) {
	if _, err := s.refusals.get(a.Wallet, s.people.wall.Now(), func() (struct{}, error) { return struct{}{}, s.noteAsked(ctx, a) }); err != nil {
		s.log.LogAttrs(ctx, slog.LevelError, "note a refusal", slog.String("wallet", a.Wallet.String()), slog.Any("error", err))
	}
}

func (s *Service) noteAsked(ctx context.Context, a *Account) error {
	now := s.clock.Now()
	var unused []models.WalletID
	for _, id := range []models.WalletID{a.Wallet, a.Agency.WalletID} {
		var w models.Wallet
		if err := s.db.Read.WithContext(ctx).Where("agency_id = ? AND id = ?", a.Agency.ID, id).Take(&w).Error; err != nil {
			return err
		}
		if w.UsedAt == 0 {
			unused = append(unused, id)
		}
		if !fed(&w) { // else its pool was asked, too
			break
		}
	}
	if len(unused) == 0 {
		return nil
	}
	return s.db.InTx(ctx, func(tx *gorm.DB) error {
		for _, id := range unused {
			noted := tx.Clauses(clause.OnConflict{
				Columns: []clause.Column{{Name: "agency_id"}, {Name: "wallet_id"}}, DoUpdates: clause.AssignmentColumns([]string{"asked_at"}),
				Where: clause.Where{Exprs: []clause.Expression{clause.Eq{Column: clause.Column{Table: "alarms", Name: "asked_at"}, Value: 0}}},
			}).Create(&models.Alarm{AgencyID: a.Agency.ID, WalletID: id, AskedAt: now})
			if noted.Error != nil {
				return noted.Error
			}
			if noted.RowsAffected == 0 {
				continue
			}
			if err := s.ledger.Stir(ctx, tx, a.Agency.ID, now, id); err != nil {
				return err
			}
		}
		return nil
	})
}

// capped tells that the wallet has drawn what it may on the pool.
func (a *alarmed) capped() bool { return a.Wallet.PoolCap > 0 && a.drawn >= a.Wallet.PoolCap }

// cross finds the lines that are crossed and not told of yet, the lowest first,
// and forgets those that have recovered. All count as told afterwards: one notice
// says it for those above.
func (a *alarmed) cross() []AlarmLine {
	if !a.own() || a.Wallet.UsedAt == 0 {
		return nil
	}
	var news []AlarmLine
	var keep []crossedLine
	for _, l := range a.lines {
		at, margin, ok := a.level(l)
		if !ok {
			continue
		}
		told := slices.ContainsFunc(a.crossed, func(c crossedLine) bool { return c.AlarmLine == l && c.Period == a.periodOf(l) })
		switch {
		case told && a.left() <= at+margin, !told && a.left() <= at:
			keep = append(keep, crossedLine{l, a.periodOf(l)})
			if !told {
				news = append(news, l)
			}
		}
	}
	slices.SortFunc(news, func(x, y AlarmLine) int {
		ax, _, _ := a.level(x)
		ay, _, _ := a.level(y)
		return cmp.Compare(ax, ay)
	})
	a.crossed = keep
	return news
}

// periodOf is what a line is told in once; zero for one that recovers.
func (a *alarmed) periodOf(l AlarmLine) models.Time {
	if l.Kind == AlarmPercent {
		return a.sub.PeriodStart
	}
	return 0
}

// level is the credits left at or below which a line is crossed, and how far
// above them it has recovered; false for a line that has none now.
func (a *alarmed) level(l AlarmLine) (at, margin models.Credits, ok bool) {
	switch l.Kind {
	case AlarmCredits:
		c := models.Credits(l.Value)
		return c - 1, max(c/10, models.Credit), c > 0
	case AlarmPercent:
		allowance := a.sub.Allowance
		if a.sub.ID.IsZero() || allowance <= 0 {
			return 0, 0, false
		}
		rest, err := models.MulDiv(int64(allowance), 100-l.Value, 100)
		return a.left() - a.planLeft() + models.Credits(rest), max(allowance/20, models.Credit), err == nil
	case AlarmDays:
		at := a.pace(time.Duration(l.Value) * 24 * time.Hour)
		return at, max(at/5, models.Credit), at > 0
	}
	return 0, 0, false
}

// planLeft is what is spendable of the plan credits.
func (a *alarmed) planLeft() models.Credits {
	var sum models.Credits
	for _, l := range a.Lots {
		if l.Source == models.SourcePlan && !l.Frozen && l.EffectiveAt <= a.now && l.ExpiresAt > a.now {
			sum += l.Remaining
		}
	}
	return sum
}

// pace is what the wallet uses within a span, or until credits come by themselves if
// that is sooner, as its forecast counts on them; 0 when its pace is not known. The
// clock keeps a day's worth in the wallet's row (Service.refreshThresholds).
func (a *alarmed) pace(span time.Duration) models.Credits {
	day := 24 * time.Hour
	if a.comes > a.now {
		rest := a.comes.Sub(a.now)
		day, span = min(day, rest), min(span, rest)
	}
	c, err := models.MulDiv(int64(a.Wallet.CriticalAt), int64(span), int64(day))
	if err != nil {
		return 0
	}
	return models.Credits(c)
}

// runsOutAt is when the credits end at the wallet's pace; 0 when that is not
// known, comes after the next ones or lies more than a month ahead.
func (a *alarmed) runsOutAt() models.Time {
	const day = 24 * time.Hour
	perDay := a.pace(day)
	if a.comes > a.now && a.comes.Sub(a.now) < day {
		return 0 // what is left of the day is no day's pace
	}
	if perDay <= 0 || a.left() <= 0 {
		return 0
	}
	ahead, err := models.MulDiv(int64(a.left()), int64(day), int64(perDay))
	if err != nil || time.Duration(ahead) > 31*day {
		return 0
	}
	at := a.now.Add(time.Duration(ahead))
	if a.comes > 0 && at >= a.comes {
		return 0
	}
	return at
}

// settled is up to where a wallet that was critical still counts as such.
func (a *alarmed) settled() models.Credits {
	return a.Wallet.CriticalAt + max(a.Wallet.CriticalAt/10, models.Credit)
}

// window is how far the wallet may go without anybody having to hear of it.
func (a *alarmed) window() ledger.Window {
	w := ledger.AnyLeft()
	left, state := a.left(), plight(a.row.State)
	below := func(at models.Credits) { // look again at at, and below
		if at < left {
			w.Below = max(w.Below, at+1)
		}
	}
	from := func(at models.Credits) { // look again above at
		if at >= left {
			w.From = min(w.From, at+1)
		}
	}
	if !a.own() {
		return w
	}
	if a.Wallet.UsedAt == 0 {
		below(left - 1) // its first use is looked at
	}
	if state != plightPaused {
		below(0)
		below(-a.Wallet.ExcessLimit)
	}
	from(0)
	from(-1)
	below(a.Wallet.CriticalAt)
	if state == plightCritical {
		from(a.settled())
	}
	for _, l := range a.lines {
		at, margin, ok := a.level(l)
		if !ok {
			continue
		}
		if slices.ContainsFunc(a.crossed, func(c crossedLine) bool { return c.AlarmLine == l }) {
			from(at + margin)
		} else {
			below(at)
		}
		if l.Kind == AlarmPercent { // other credits move the line: look when some came
			from(left + max(a.sub.Allowance/50, models.Credit))
		}
	}
	return w
}

// keep stores what was told. The thresholds are their people's, and the clock's
// column is the clock's.
func (a *alarmed) keep(tx *gorm.DB) error {
	crossed := ""
	if len(a.crossed) > 0 {
		text, err := json.Marshal(a.crossed)
		if err != nil {
			return err
		}
		crossed = string(text)
	}
	fresh := a.row.LookedAt == 0
	a.row.AgencyID, a.row.WalletID, a.row.Crossed, a.row.LookedAt = a.Wallet.AgencyID, a.Wallet.ID, crossed, a.now
	columns := []string{"crossed", "state", "told", "looked_at"}
	switch {
	case fresh && !a.client():
		var agency models.Agency
		if err := tx.Select("time_zone").Where("id = ?", a.Wallet.AgencyID).Take(&agency).Error; err != nil {
			return err
		}
		a.row.LookAt = nextSummary(a.now, Zone(agency.TimeZone))
		columns = append(columns, "look_at")
	case a.Wallet.PoolCap > 0 && a.client():
		// What it draws on the pool is no booking of its own.
		a.row.LookAt = a.now.Add(alarmLater)
		if a.drawn >= a.Wallet.PoolCap/2 {
			a.row.LookAt = a.now.Add(alarmSoon)
		}
		columns = append(columns, "look_at")
	}
	return tx.Clauses(clause.OnConflict{
		Columns: []clause.Column{{Name: "agency_id"}, {Name: "wallet_id"}}, DoUpdates: clause.AssignmentColumns(columns),
	}).Create(&a.row).Error
}

// How often a wallet is looked at that may draw on its agency's pool up to a cap:
// with more than half of it left, and with less.
const (
	alarmLater = time.Hour
	alarmSoon  = 5 * time.Minute
)

// occasion names the next thing the wallet's people are told.
func (a *alarmed) occasion(of string) string {
	a.row.Told++
	return fmt.Sprintf("%s #%d", of, a.row.Told)
}

// facts are what a notice about the wallet's credits says.
func (a *alarmed) facts() models.NoticeFacts {
	return models.NoticeFacts{Left: a.left(), Held: a.Wallet.Held, RunsOutAt: a.runsOutAt(), ResetsAt: a.comes}
}

// tellLow tells that credits are low or almost gone, and an agency of its client.
func (s *Service) tellLow(tx *gorm.DB, a *alarmed, event models.NoticeEvent, l AlarmLine) error {
	f := a.facts()
	switch l.Kind {
	case AlarmPercent:
		f.Percent, f.Credits = int(l.Value), a.sub.Allowance
	case AlarmCredits:
		f.Credits = models.Credits(l.Value)
	case AlarmDays:
		f.Days = int(l.Value)
	}
	n := notice{agency: a.Wallet.AgencyID, wallet: a.Wallet.ID, event: event, key: a.occasion(string(event)), facts: f}
	if err := s.notify(tx, n, a.now); err != nil || !a.client() {
		return err
	}
	return s.tellAgency(tx, a, models.NoticeSubAccountLow, f)
}

// tellPlight tells that AI stands still, and an agency of its client that has no
// credits.
func (s *Service) tellPlight(tx *gorm.DB, a *alarmed, is plight) error {
	n := notice{agency: a.Wallet.AgencyID, wallet: a.Wallet.ID, event: models.NoticePaused, facts: a.facts()}
	switch is {
	case plightUpstream:
		n.event, n.facts = models.NoticeUpstreamPaused, models.NoticeFacts{}
		if a.own() {
			n.facts.Left = a.left()
		}
	case plightHalted:
		n.facts.Reason = haltedReason
	case plightPaused:
		if !a.own() {
			n.facts = models.NoticeFacts{Credits: a.Wallet.PoolCap, Name: string(a.Wallet.PoolEvery)}
		}
	case plightNone, plightCritical:
	}
	n.key = a.occasion(string(n.event))
	if err := s.notify(tx, n, a.now); err != nil || !a.client() || is != plightPaused {
		return err
	}
	return s.tellAgency(tx, a, models.NoticeSubAccountPaused, n.facts)
}

// haltedReason marks the notice of an agency that an admin has paused.
const haltedReason = "halted"

func (s *Service) tellResumed(tx *gorm.DB, a *alarmed) error {
	f := a.facts()
	if !a.own() {
		f = models.NoticeFacts{}
	}
	return s.notify(tx, notice{
		agency: a.Wallet.AgencyID, wallet: a.Wallet.ID, event: models.NoticeResumed, key: a.occasion(string(models.NoticeResumed)), facts: f,
	}, a.now)
}

// tellAgency tells an agency of one of its clients.
func (s *Service) tellAgency(tx *gorm.DB, a *alarmed, event models.NoticeEvent, f models.NoticeFacts) error { //nolint:gocritic // a notice is rare
	var sub models.SubAccount
	if err := tx.Where("agency_id = ? AND id = ?", a.Wallet.AgencyID, a.Wallet.SubAccountID).Take(&sub).Error; err != nil {
		return err
	}
	f.Name, f.Path = sub.Name, "/sub-accounts/"+sub.ID.String()
	if a.own() {
		f.Path += assignPath
	}
	return s.notify(tx, notice{
		agency: sub.AgencyID, wallet: a.Wallet.PoolWalletID, event: event, key: fmt.Sprintf("%s #%d", sub.ID, a.row.Told), facts: f,
	}, a.now)
}

// stirFed has every client looked at that draws on the agency's pool, which has
// run dry or is fed again.
func (s *Service) stirFed(ctx context.Context, tx *gorm.DB, a *alarmed) error {
	var ids []models.WalletID
	if err := tx.Model(&models.Wallet{}).Where("agency_id = ? AND sub_account_id IS NOT NULL AND status = ?", a.Wallet.AgencyID, models.WalletActive).
		Where("funding = ? OR pool_cap > 0", models.Pooled).Order("id").Pluck("id", &ids).Error; err != nil {
		return err
	}
	return s.ledger.Stir(ctx, tx, a.Wallet.AgencyID, a.now, ids...)
}

// alarmsDue looks at wallets whose time has come, and writes the week's summaries
// of agencies.
func (s *Service) alarmsDue(ctx context.Context, now models.Time) error {
	return s.untilDone(ctx, "look at alarms", func() (int, error) {
		var due []models.Alarm
		if err := s.db.Read.WithContext(ctx).Where("look_at > 0 AND look_at <= ?", now).Order("look_at").Limit(dueBatch).Find(&due).Error; err != nil {
			return 0, err
		}
		var errs []error
		for i := range due {
			if err := s.alarmDue(ctx, &due[i], now); err != nil {
				errs = append(errs, fmt.Errorf("wallet %s: %w", due[i].WalletID, err))
			}
		}
		if len(errs) > 0 { // with the next tick
			return 0, errors.Join(errs...)
		}
		return len(due), nil
	})
}

func (s *Service) alarmDue(ctx context.Context, row *models.Alarm, now models.Time) error {
	var agency models.Agency
	if err := s.db.Read.WithContext(ctx).Where("id = ?", row.AgencyID).Take(&agency).Error; err != nil {
		return err
	}
	own := agency.WalletID == row.WalletID
	next := models.Time(0)
	var n notice
	if own {
		next = nextSummary(now, Zone(agency.TimeZone))
		var err error
		if now.Sub(row.LookAt) < summaryFresh && agency.Status == models.AgencyActive {
			if n, err = s.summary(ctx, &agency, row.LookAt, now); err != nil {
				return err
			}
		}
	}
	return s.db.InTx(ctx, func(tx *gorm.DB) error {
		claim := tx.Model(&models.Alarm{}).Where("agency_id = ? AND wallet_id = ? AND look_at = ?", row.AgencyID, row.WalletID, row.LookAt).Update("look_at", next)
		switch {
		case claim.Error != nil || claim.RowsAffected == 0:
			return claim.Error
		case !own:
			return s.ledger.Stir(ctx, tx, row.AgencyID, now, row.WalletID)
		case n.event == "":
			return nil
		}
		return s.notify(tx, n, now)
	})
}

// The week's summary is written on Mondays at this hour, or not at all once it is
// old.
const (
	summaryHour  = 8
	summaryFresh = 48 * time.Hour
)

// nextSummary is the Monday morning after an instant.
func nextSummary(now models.Time, zone *time.Location) models.Time {
	t := now.In(zone)
	for ahead := range 9 {
		day := time.Date(t.Year(), t.Month(), t.Day()+ahead, summaryHour, 0, 0, 0, zone)
		if day.Weekday() == time.Monday && models.At(day) > now {
			return models.At(day)
		}
	}
	return now.Add(7 * 24 * time.Hour)
}

// summary is an agency's last seven days; nothing of a week without use.
func (s *Service) summary(ctx context.Context, agency *models.Agency, at, now models.Time) (notice, error) {
	zone := Zone(agency.TimeZone)
	to := period.DayStart(at, zone)
	from := daysBack(to, zone, 7)
	var used struct {
		Credits models.Credits
		Clients int
	}
	if err := s.db.Read.WithContext(ctx).Raw(`SELECT CAST(COALESCE(SUM(plan + purchased + assigned + bonus + excess), 0) AS bigint) AS credits,
			COUNT(DISTINCT CASE WHEN wallet_id <> ? THEN wallet_id END) AS clients
		FROM usage_days WHERE agency_id = ? AND day >= ? AND day < ?`, agency.WalletID, agency.ID, from, to).Scan(&used).Error; err != nil {
		return notice{}, err
	}
	if used.Credits == 0 {
		return notice{}, nil
	}
	v, err := s.ledger.View(ctx, agency.ID, agency.WalletID, now)
	if err != nil {
		return notice{}, err
	}
	a := alarmed{View: &v, now: now}
	if a.sub, err = liveSubscription(s.db.Read.WithContext(ctx), agency.ID); err != nil {
		return notice{}, err
	}
	a.comes = resetOf(&a.sub, now)
	f := a.facts()
	f.Credits, f.Count, f.At = used.Credits, used.Clients, from
	return notice{agency: agency.ID, wallet: agency.WalletID, event: models.NoticeSummaryWeekly, key: to.RFC3339(), facts: f}, nil
}

// expiringSpans are how long before their end people hear of credits.
//
//nolint:gochecknoglobals // a constant list
var expiringSpans = []int{30, 7}

// expiringSetting remembers up to which end credits were looked at, by span.
const expiringSetting = "expiring_told_"

// expiringDue tells of credits that end within 30 and within 7 days, once per lot
// and span. Plan credits end with every period, and nobody is told of that; nor of
// what was given for little longer than the span, as credits assigned out of a
// plan's are.
func (s *Service) expiringDue(ctx context.Context, now models.Time) error {
	var errs []error
	for _, days := range expiringSpans {
		span := time.Duration(days) * 24 * time.Hour
		name := fmt.Sprint(expiringSetting, days)
		if err := s.untilDone(ctx, "tell of credits that expire", func() (int, error) { return s.expiring(ctx, name, span, now) }); err != nil {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// expiring does one batch: the lots whose end came within the span since the last
// look, by their index.
func (s *Service) expiring(ctx context.Context, name string, span time.Duration, now models.Time) (int, error) {
	text, err := s.Setting(ctx, name)
	if err != nil {
		return 0, err
	}
	until := now.Add(span)
	var done models.Time
	if _, err := fmt.Sscan(text, &done); err != nil {
		done = now // the first look ever
	}
	if done >= until {
		return 0, nil
	}
	var ends []models.Time
	if err := s.db.Read.WithContext(ctx).Raw("SELECT expires_at FROM lot_rows WHERE open AND expires_at > ? AND expires_at <= ? AND expires_at < ? ORDER BY expires_at LIMIT ?",
		done, until, models.Never, dueBatch).Scan(&ends).Error; err != nil {
		return 0, err
	}
	if len(ends) == dueBatch {
		until = ends[len(ends)-1] // with all that end at that very instant
	}
	if len(ends) == 0 && until.Sub(done) < time.Hour && text != "" {
		return 0, nil // nothing to write down every second
	}
	return len(ends), s.db.InTx(ctx, func(tx *gorm.DB) error {
		var lots []models.Lot
		if len(ends) > 0 {
			if err := tx.Where("open AND expires_at > ? AND expires_at <= ?", done, until).
				Where("source <> ? AND remaining > 0 AND expires_at - effective_at > ?", models.SourcePlan, span.Microseconds()*3/2).
				Order("expires_at, agency_id, id").Find(&lots).Error; err != nil {
				return err
			}
		}
		for i := range lots {
			l := &lots[i]
			if err := s.notify(tx, notice{
				agency: l.AgencyID, wallet: l.WalletID, event: models.NoticeExpiring, key: fmt.Sprintf("%s %s", l.ID, span),
				facts: models.NoticeFacts{Credits: l.Remaining, At: l.ExpiresAt, Days: int(span / (24 * time.Hour)), Name: string(l.Source.Bucket())},
			}, now); err != nil {
				return err
			}
		}
		return tx.Save(&models.Setting{Name: name, Value: strconv.FormatInt(int64(until), 10)}).Error
	})
}

// Alarms are a wallet's thresholds.
type Alarms struct {
	Lines []AlarmLine
	Usual bool // nobody has chosen others
}

// AlarmsOf reads a wallet's thresholds.
func (s *Service) AlarmsOf(ctx context.Context, a *Account) (Alarms, error) {
	var row models.Alarm
	if err := s.db.Read.WithContext(ctx).Where("agency_id = ? AND wallet_id = ?", a.Agency.ID, a.Wallet).Limit(1).Find(&row).Error; err != nil {
		return Alarms{}, err
	}
	lines, err := linesOf(&row, a.SubAccount != nil)
	return Alarms{Lines: lines, Usual: row.Lines == ""}, err
}

// SetAlarms sets a wallet's thresholds; nil goes back to the usual ones. Those
// that are crossed already are told of once. Errors: invalid_threshold.
func (s *Service) SetAlarms(ctx context.Context, a *Account, lines []AlarmLine, by Actor) error {
	if err := checkLines(lines, a.SubAccount != nil); err != nil {
		return err
	}
	text := ""
	if lines != nil {
		b, err := json.Marshal(lines)
		if err != nil {
			return err
		}
		text = string(b)
	}
	now := s.clock.Now()
	return s.db.InTx(ctx, func(tx *gorm.DB) error {
		var was models.Alarm
		if err := tx.Where("agency_id = ? AND wallet_id = ?", a.Agency.ID, a.Wallet).Limit(1).Find(&was).Error; err != nil {
			return err
		}
		if was.Lines == text && was.LookedAt > 0 {
			return nil
		}
		row := models.Alarm{AgencyID: a.Agency.ID, WalletID: a.Wallet, Lines: text}
		if err := tx.Clauses(clause.OnConflict{
			Columns: []clause.Column{{Name: "agency_id"}, {Name: "wallet_id"}}, DoUpdates: clause.AssignmentColumns([]string{"lines"}),
		}).Create(&row).Error; err != nil {
			return err
		}
		if err := s.audit(tx, a.Agency.ID, by, "alarms.set", a.Wallet.String(), lineWords(lines), "", now); err != nil {
			return err
		}
		return s.ledger.Stir(ctx, tx, a.Agency.ID, now, a.Wallet)
	})
}

// maxAlarmDays is how far ahead the forecast of a pace is worth a threshold.
const maxAlarmDays = 30

func checkLines(lines []AlarmLine, client bool) error {
	wrong := func(i int, format string, args ...any) error {
		return problem.New(problem.Invalid, "invalid_threshold", format, args...).On(fmt.Sprintf("line-%d", i))
	}
	if len(lines) > MaxAlarmLines {
		return problem.New(problem.Invalid, "invalid_threshold", "At most %d thresholds.", MaxAlarmLines).On("line-0")
	}
	for i, l := range lines {
		switch l.Kind {
		case AlarmPercent:
			if client {
				return wrong(i, "Choose credits or days: there are no plan credits to count.")
			}
			if l.Value < 1 || l.Value > 100 {
				return wrong(i, "Give a percentage from 1 to 100.")
			}
		case AlarmDays:
			if l.Value < 1 || l.Value > maxAlarmDays {
				return wrong(i, "Give 1 to %d days.", maxAlarmDays)
			}
		case AlarmCredits:
			if l.Value < int64(models.Credit) || l.Value > math.MaxInt64/2 || models.Credits(l.Value) > models.MaxBalance {
				return wrong(i, "Give at least 1 credit.")
			}
		default:
			return wrong(i, "Choose what to measure: percent, credits or days.")
		}
		if slices.Contains(lines[:i], l) {
			return wrong(i, "This threshold is there already.")
		}
	}
	return nil
}

// lineWords are thresholds for the audit log.
func lineWords(lines []AlarmLine) string {
	if lines == nil {
		return "the usual ones"
	}
	out := make([]string, len(lines))
	for i, l := range lines {
		switch l.Kind {
		case AlarmPercent:
			out[i] = fmt.Sprintf("%d%% used", l.Value)
		case AlarmDays:
			out[i] = plural(int(l.Value), "day")
		case AlarmCredits:
			out[i] = models.Credits(l.Value).Counted()
		}
	}
	return cmp.Or(strings.Join(out, ", "), "none")
}
