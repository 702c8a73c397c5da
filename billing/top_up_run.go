package billing

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"gorm.io/gorm"

	"refill/billing/checkout"
	"refill/billing/ledger"
	"refill/billing/period"
	"refill/billing/problem"
	"refill/models"
)

// How often a wallet may buy by itself, and how often a card that is declined is
// tried: card networks fine whoever tries one again and again.
const (
	topUpEvery  = time.Hour
	pauseAfter  = 3 // declines in a row
	maxDeclines = 4 // of one card in declineSpan, with those that somebody asked for
	declineSpan = 30 * 24 * time.Hour
	// topUpPatience is how long an attempt that Stripe did not answer is asked for
	// again under its key, which Stripe may forget after a day.
	topUpPatience = 23 * time.Hour
	// topUpAgain is when a wallet is looked at again after something went wrong here.
	topUpAgain = 5 * time.Minute
)

// cardRest is how long a card rests after so many declines in a row.
func cardRest(declines int) time.Duration {
	if declines <= 1 {
		return time.Hour
	}
	return 3 * time.Hour
}

// watchTopUp notes that a wallet fell below the line of its automatic top-up: the
// charge of the card comes after the commit.
func (s *Service) watchTopUp(_ context.Context, tx *gorm.DB, v *ledger.View, now models.Time) (ledger.Window, error) {
	t, err := topUpOf(tx, v.Wallet.AgencyID, v.Wallet.ID)
	if err != nil || t.State == models.TopUpOff {
		return ledger.AnyLeft(), err
	}
	if v.Balance.Left() >= t.Threshold {
		return ledger.Window{Below: t.Threshold, From: math.MaxInt64}, nil
	}
	below := ledger.Window{Below: math.MinInt64, From: t.Threshold}
	if t.State != models.TopUpOn || t.DueAt > 0 || v.Wallet.QuarantinedAt > 0 {
		return below, nil
	}
	s.topUps.ring() // too early by the rest of this transaction, and the tick finds it anyway
	return below, tx.Model(&models.TopUp{}).Where("agency_id = ? AND wallet_id = ? AND due_at = 0", t.AgencyID, t.WalletID).Update("due_at", now).Error
}

// WorkTopUps charges cards as wallets fall below their lines, until ctx ends.
// RunDue does the same for what it missed.
func (s *Service) WorkTopUps(ctx context.Context) {
	s.topUps.answer(ctx, s.log, "top wallets up", func(ctx context.Context) error { return s.topUpsDue(ctx, s.clock.Now()) })
}

// topUpsDue looks at every wallet whose automatic top-up is due.
func (s *Service) topUpsDue(ctx context.Context, now models.Time) error {
	if s.payments == nil {
		return nil
	}
	var errs []error
	for {
		var due []models.TopUp
		if err := s.db.Read.WithContext(ctx).Where("due_at > 0 AND due_at <= ?", now).Order("due_at").Limit(pollBatch).Find(&due).Error; err != nil {
			return err
		}
		for i := range due {
			if _, err := s.topUpWallet(ctx, due[i].AgencyID, due[i].WalletID, now); err != nil {
				// It holds up nobody else.
				errs = append(errs, fmt.Errorf("wallet %s: %w", due[i].WalletID, err), s.topUpLater(ctx, due[i].AgencyID, due[i].WalletID, now.Add(topUpAgain)))
			}
		}
		if len(due) < pollBatch || ctx.Err() != nil {
			return errors.Join(append(errs, ctx.Err())...)
		}
	}
}

func (s *Service) topUpLater(ctx context.Context, agency models.AgencyID, wallet models.WalletID, at models.Time) error {
	return s.db.Write.WithContext(ctx).Model(&models.TopUp{}).Where("agency_id = ? AND wallet_id = ? AND state <> ?", agency, wallet, models.TopUpOff).Update("due_at", at).Error
}

// topUpWallet buys for one wallet if it is below its line and may. The purchase is
// zero when there was nothing to do.
func (s *Service) topUpWallet(ctx context.Context, agency models.AgencyID, wallet models.WalletID, now models.Time) (models.Purchase, error) {
	return s.topUp(ctx, agency, wallet, coverage{}, now)
}

// coverage is stock that something lacks of an agency.
type coverage struct {
	credits models.Credits // 0: nothing does
	key     string         // of what lacks it: for the same key it is bought once
}

// topUp is topUpWallet; with cover it buys the smallest pack that holds so much,
// whatever the wallet has.
func (s *Service) topUp(ctx context.Context, agency models.AgencyID, wallet models.WalletID, cover coverage, now models.Time) (models.Purchase, error) {
	a, err := s.AccountOf(ctx, wallet)
	if err != nil {
		return models.Purchase{}, err
	}
	if a.Agency.ID != agency {
		return models.Purchase{}, problem.Missing("wallet")
	}
	p, err := s.claimTopUp(ctx, a, cover, now)
	if lack, short := errors.AsType[stockError](err); short {
		// The agency may buy what its client wants; else it is told, and no card is
		// charged.
		covered, err := s.coverStock(ctx, &a.Agency, lack.credits, lack.key, now)
		if err == nil && covered {
			p, err = s.claimTopUp(ctx, a, cover, now)
		}
		if _, short := errors.AsType[stockError](err); short || err == nil && !covered {
			return models.Purchase{}, s.noStock(ctx, a, now)
		}
		if err != nil {
			return p, err
		}
	} else if err != nil {
		return p, err
	}
	if p.ID.IsZero() {
		return p, nil
	}
	return s.settle(ctx, p.AgencyID, p.ID, false)
}

// stockError says that an agency has not the stock that its client would buy.
type stockError struct {
	credits models.Credits
	key     string // of the attempt
}

func (stockError) Error() string { return "the agency has not the stock for this automatic top-up" }

// pausedError says that automatic top-up has to stop, and why.
type pausedError struct {
	reason models.TopUpReason
	note   string
	until  models.Time // of a package that may be bought so often a month: when again
}

func (e pausedError) Error() string { return e.note }

// claimTopUp writes the attempt before anybody is asked for money: whatever
// becomes of this process, the next one finds it. The purchase is zero when there
// is nothing to do. Errors: stockError.
func (s *Service) claimTopUp(ctx context.Context, a *Account, cover coverage, now models.Time) (models.Purchase, error) {
	var p models.Purchase
	err := s.db.InTx(ctx, func(tx *gorm.DB) error {
		p = models.Purchase{}
		t, err := topUpOf(tx, a.Agency.ID, a.Wallet)
		if err != nil || t.CreatedAt == 0 {
			return err
		}
		month := period.CalendarMonth(now, Zone(a.Agency.TimeZone))
		if cover.credits > 0 && (t.State != models.TopUpOn || !t.ForSales) {
			return nil
		}
		if !t.Buys(month.Start) {
			return s.topUpDone(tx, &t, 0)
		}
		if wait := t.AttemptedAt.Add(topUpEvery); t.AttemptedAt > 0 && wait > now {
			again, err := mayCoverAgain(tx, &t, cover.credits)
			if err != nil {
				return err
			}
			if !again {
				return s.topUpDone(tx, &t, wait)
			}
		}
		if cover.credits == 0 && t.State == models.TopUpOn && t.DueAt > now { // the card rests
			return nil
		}
		// An attempt in flight is looked for before the balance is read: one that ends in
		// between is seen in the balance, and never neither here nor there.
		var flying int64
		if err := tx.Model(&models.Purchase{}).Where("agency_id = ? AND wallet_id = ? AND origin = ? AND status IN ?", a.Agency.ID, a.Wallet,
			models.OriginAutomatic, []models.PurchaseStatus{models.PurchaseOpen, models.PurchaseProcessing}).Count(&flying).Error; err != nil {
			return err
		}
		if flying > 0 {
			return s.topUpDone(tx, &t, now.Add(topUpAgain))
		}
		left, err := s.leftBy(ctx, tx, a, now)
		if err != nil {
			return err
		}
		need := t.Threshold - left
		if cover.credits == 0 && need <= 0 {
			return s.topUpDone(tx, &t, 0)
		}
		if err := s.mayCharge(tx, a, &t, now); err != nil {
			return err
		}
		spent, err := topUpSpent(tx, a.Agency.ID, a.Wallet, month.Start)
		if err != nil {
			return err
		}
		p = models.Purchase{
			AgencyID: a.Agency.ID, ID: models.NewID[models.PurchaseID](now), WalletID: a.Wallet, Status: models.PurchaseOpen, Account: t.Account,
			BoughtBy: string(ActorTopUp), Live: s.payments.LiveMode(), ExpiresAt: now.Add(topUpPatience), CreatedAt: now,
			Origin: models.OriginAutomatic, Customer: t.Customer, PaymentMethod: t.PaymentMethod, Card: t.CardFingerprint,
		}
		if p.IdempotencyKey = cover.key; cover.key == "" {
			p.IdempotencyKey = "top-up:" + p.ID.String()
		}
		p.Fingerprint = fingerprint("top_up", p.ID.String())
		room := t.MonthlyLimit - spent
		if a.SubAccount != nil {
			err = s.claimPackage(ctx, tx, a, &t, &p, need, room)
		} else {
			err = claimPack(tx, &t, &p, need, cover.credits, room)
		}
		if err != nil {
			return err
		}
		if err := tx.Create(&models.PaymentRef{Ref: p.ID.String(), AgencyID: p.AgencyID, PurchaseID: p.ID}).Error; err != nil {
			return err
		}
		// Whoever turned it off, changed it or tried meanwhile stands.
		r := tx.Model(&models.TopUp{}).
			Where("agency_id = ? AND wallet_id = ? AND state = ? AND agreed_at = ? AND attempted_at = ? AND payment_method = ?",
				t.AgencyID, t.WalletID, t.State, t.AgreedAt, t.AttemptedAt, t.PaymentMethod).
			Updates(map[string]any{"state": models.TopUpOn, "reason": "", "note": "", "paused_at": 0, "attempted_at": now, "due_at": 0})
		if r.Error == nil && r.RowsAffected == 0 {
			return errMeanwhile
		}
		return r.Error
	})
	if problem.Is(err, "agency_paused") { // the platform resumes it
		return models.Purchase{}, s.topUpLater(ctx, a.Agency.ID, a.Wallet, now.Add(topUpEvery))
	}
	if stop, ok := errors.AsType[pausedError](err); ok {
		return models.Purchase{}, s.pauseTopUp(ctx, a, stop, now)
	}
	if errors.Is(err, errMeanwhile) || models.IsDuplicate(err) { // another attempt is in flight
		return models.Purchase{}, s.db.Write.WithContext(ctx).Model(&models.TopUp{}).
			Where("agency_id = ? AND wallet_id = ? AND due_at > 0 AND due_at <= ?", a.Agency.ID, a.Wallet, now).Update("due_at", now.Add(topUpAgain)).Error
	}
	if err != nil {
		return models.Purchase{}, err
	}
	return p, nil
}

// mayCoverAgain tells whether what a client's purchase lacks may be bought within
// the hour: the money is asked for by somebody who is there, and the last payment
// went through. A card that did not pay rests.
func mayCoverAgain(tx *gorm.DB, t *models.TopUp, cover models.Credits) (bool, error) {
	if cover == 0 || t.Declines > 0 {
		return false, nil
	}
	last, err := lastAttempt(tx, t.AgencyID, t.WalletID)
	return last.Status == models.PurchaseCredited, err
}

// leftBy is what a wallet has left now, with everything that was booked before:
// another process's clock may be a little ahead of ours.
func (s *Service) leftBy(ctx context.Context, tx *gorm.DB, a *Account, now models.Time) (models.Credits, error) {
	view, err := s.ledger.ViewIn(ctx, tx, a.Agency.ID, a.Wallet, now)
	if err == nil && view.Wallet.LastAt > now {
		view, err = s.ledger.ViewIn(ctx, tx, a.Agency.ID, a.Wallet, view.Wallet.LastAt)
	}
	return view.Balance.Left(), err
}

// errMeanwhile says that the settings an attempt was made from have changed.
var errMeanwhile = errors.New("automatic top-up changed meanwhile")

// ActorTopUp is automatic top-up, as the buyer of what it buys.
const ActorTopUp Actor = "automatic top-up"

// topUpDone notes when a wallet is looked at next.
func (s *Service) topUpDone(tx *gorm.DB, t *models.TopUp, next models.Time) error {
	if t.DueAt == next {
		return nil
	}
	return tx.Model(&models.TopUp{}).Where("agency_id = ? AND wallet_id = ?", t.AgencyID, t.WalletID).Update("due_at", next).Error
}

// mayCharge tells whether a card may be charged for an account now.
func (s *Service) mayCharge(tx *gorm.DB, a *Account, t *models.TopUp, now models.Time) error {
	if err := mayTopUp(tx, a); problem.Of(err) != nil && !problem.Is(err, "agency_paused") {
		return pausedError{reason: models.TopUpForbidden, note: problem.Of(err).Message}
	} else if err != nil {
		return err
	}
	if err := acting(tx, a.Agency.ID); err != nil {
		return err
	}
	account, err := s.topUpAccount(tx, a)
	if problem.Of(err) != nil {
		return pausedError{reason: models.TopUpOffer, note: "Payments to " + a.Agency.Name + " are not possible at the moment."}
	}
	if err != nil {
		return err
	}
	if t.Account != account {
		return pausedError{reason: models.TopUpRemoved, note: a.Agency.Name + " takes payments through another account now. Save the card again."}
	}
	disputed, err := disputedSince(tx, a, t.AgreedAt)
	if err != nil {
		return err
	}
	if disputed {
		return pausedError{reason: models.TopUpDisputed, note: "A payment is disputed at the bank."}
	}
	tried, err := declinesOfCard(tx, t, now)
	if err != nil {
		return err
	}
	if tried >= maxDeclines {
		return pausedError{reason: models.TopUpDeclined, note: "This card was declined too often."}
	}
	return nil
}

// disputedSince tells whether a bank has money of an account back that it paid: while
// it is decided, and when it was lost after automatic top-up was agreed to. An agency
// pays for its plan as well, with the same card.
func disputedSince(tx *gorm.DB, a *Account, agreed models.Time) (bool, error) {
	var n int64
	const asked = "(dispute = ? OR dispute = ? AND disputed_at > ?)"
	err := tx.Model(&models.Purchase{}).Where("agency_id = ? AND wallet_id = ? AND "+asked, a.Agency.ID, a.Wallet, models.DisputeOpen, models.DisputeLost, agreed).Count(&n).Error
	if err != nil || n > 0 || a.SubAccount != nil {
		return n > 0, err
	}
	err = tx.Model(&models.PlanPayment{}).Where("agency_id = ? AND "+asked, a.Agency.ID, models.DisputeOpen, models.DisputeLost, agreed).Count(&n).Error
	return n > 0, err
}

// declinesOfCard counts the failed tries of a wallet's card that its bank heard of.
func declinesOfCard(tx *gorm.DB, t *models.TopUp, now models.Time) (int64, error) {
	if t.CardFingerprint == "" {
		return 0, nil
	}
	var n int64
	err := tx.Model(&models.Purchase{}).Where("agency_id = ? AND wallet_id = ? AND origin = ? AND card = ? AND status = ? AND created_at > ?",
		t.AgencyID, t.WalletID, models.OriginAutomatic, t.CardFingerprint, models.PurchaseFailed, now.Add(-declineSpan)).Count(&n).Error
	return n, err
}

// agreedPack is the pack that was agreed to, as it is sold now, at the quantity
// that was agreed to.
func agreedPack(tx *gorm.DB, t *models.TopUp) (TopUpOffer, error) {
	var code string
	if err := tx.Model(&models.Pack{}).Where("id = ?", t.PackID).Pluck("code", &code).Error; err != nil {
		return TopUpOffer{}, err
	}
	pack, err := packForSale(tx, t.AgencyID, code)
	if err != nil {
		return TopUpOffer{}, err
	}
	credits, price, err := Quote(pack, t.Quantity)
	return TopUpOffer{ID: pack.Code, Title: packTitle(pack, credits), Credits: credits, Price: price, Pack: pack}, err
}

// takeOffer writes so many of an offer into a purchase.
func takeOffer(p *models.Purchase, o *TopUpOffer, times int64) {
	p.PackID, p.Title, p.Credits, p.Price, p.Currency = o.Pack.ID, o.Title, o.Credits*models.Credits(times), o.Price.Amount*times, o.Price.Currency
	p.Bonus = o.Pack.Bonus * models.Credits(times)
	if times > 1 {
		p.Title = fmt.Sprintf("%d × %s", times, o.Title)
	}
}

// claimPack writes an agency's attempt: enough of the pack that was agreed to, in
// one payment, or the smallest pack that covers what a sale lacks.
func claimPack(tx *gorm.DB, t *models.TopUp, p *models.Purchase, need, cover models.Credits, room int64) error {
	offer, err := agreedPack(tx, t)
	if problem.Of(err) != nil {
		return pausedError{reason: models.TopUpOffer, note: problem.Of(err).Message}
	}
	if err != nil {
		return err
	}
	if err := worsened(t, &offer); err != nil {
		return err
	}
	times := timesFor(need, offer.Credits)
	if cover > 0 {
		if offer, times, err = smallestThatCovers(tx, t.AgencyID, cover); err != nil {
			return err
		}
		if timesWithin(room, offer.Price.Amount) < times {
			return limitReached()
		}
	}
	if times = min(times, timesWithin(room, offer.Price.Amount)); times == 0 {
		return limitReached()
	}
	takeOffer(p, &offer, times)
	return tx.Create(p).Error
}

func limitReached() error {
	return pausedError{reason: models.TopUpLimit, note: "The limit of this month is reached."}
}

// smallestThatCovers is the smallest pack on sale that holds what is needed, or
// enough of the largest.
func smallestThatCovers(tx *gorm.DB, agency models.AgencyID, need models.Credits) (TopUpOffer, int64, error) {
	packs, err := packsFor(tx, agency)
	if err != nil {
		return TopUpOffer{}, 0, err
	}
	var best, largest TopUpOffer
	for _, pack := range packs {
		quantity := models.Credits(0)
		if pack.Kind == models.PackQuantity {
			quantity = max(pack.Minimum, (need+pack.Step-1)/pack.Step*pack.Step)
		}
		credits, price, err := Quote(pack, quantity)
		if err != nil {
			continue // more than one payment can be
		}
		o := TopUpOffer{ID: pack.Code, Title: packTitle(pack, credits), Credits: credits, Price: price, Pack: pack}
		if credits >= need && (best.ID == "" || credits < best.Credits) {
			best = o
		}
		if credits > largest.Credits {
			largest = o
		}
	}
	switch {
	case best.ID != "":
		return best, 1, nil
	case largest.ID != "":
		return largest, timesFor(need, largest.Credits), nil
	}
	return best, 0, pausedError{reason: models.TopUpOffer, note: "No packs are on sale."}
}

// claimPackage writes a client's attempt and keeps its stock. Errors: stockError.
func (s *Service) claimPackage(ctx context.Context, tx *gorm.DB, a *Account, t *models.TopUp, p *models.Purchase, need models.Credits, room int64) error {
	var pkg models.Package
	if err := tx.Where("agency_id = ? AND id = ?", t.AgencyID, t.PackageID).Limit(1).Find(&pkg).Error; err != nil {
		return err
	}
	if pkg.ID.IsZero() {
		return pausedError{reason: models.TopUpOffer, note: "What it bought is not sold any more."}
	}
	if err := worsened(t, &TopUpOffer{Title: pkg.Name, Credits: pkg.Credits, Price: pkg.Total()}); err != nil {
		return err
	}
	times := timesFor(need, pkg.Credits)
	if pkg.MonthlyLimit > 0 {
		times = 1 // each counts
	}
	if times = min(times, timesWithin(room, pkg.Price)); times == 0 {
		return limitReached()
	}
	_, err := s.offerPackage(ctx, tx, PackageInput{Account: a, Package: t.PackageID.String(), times: times}, p)
	switch wrong := problem.Of(err); {
	case errors.Is(err, errCheckoutOpen):
		return errMeanwhile // somebody is paying right now
	case wrong == nil:
		return err
	case wrong.Code == "out_of_stock":
		return stockError{pkg.Credits * models.Credits(times), fmt.Sprintf("%s:%d", t.WalletID, t.AttemptedAt)}
	case wrong.Code == "package_limit_reached":
		opens, _ := problem.FactOf[models.Time](wrong, "opens_at")
		return pausedError{reason: models.TopUpPackage, note: wrong.Message, until: opens}
	default:
		return pausedError{reason: models.TopUpOffer, note: wrong.Message}
	}
}

// coverStock has an agency buy what it lacks of the stock for a sale, if it wants
// that. False: it does not, may not now, or its card was not charged. What is wanted
// under one key is covered once an hour: of two who found the same sale short, the
// second may look when the first has bought the stock and taken it.
func (s *Service) coverStock(ctx context.Context, agency *models.Agency, need models.Credits, key string, now models.Time) (bool, error) {
	t, err := topUpOf(s.db.Read.WithContext(ctx), agency.ID, agency.WalletID)
	if err != nil || t.State != models.TopUpOn || !t.ForSales {
		return false, err
	}
	view, err := s.ledger.View(ctx, agency.ID, agency.WalletID, now)
	if err != nil {
		return false, err
	}
	if need += view.Balance.Excess - stockOf(&view, now); need <= 0 {
		return true, nil // it has come meanwhile
	}
	if key != "" {
		key = fmt.Sprintf("cover:%x", fingerprint("cover", key, fmt.Sprint(now/models.Time(topUpEvery.Microseconds()))))
	}
	p, err := s.topUp(ctx, agency.ID, agency.WalletID, coverage{need, key}, now)
	if err != nil {
		return false, err
	}
	if p.ID.IsZero() { // perhaps one is in flight
		if p, err = lastAttempt(s.db.Write.WithContext(ctx), agency.ID, agency.WalletID); err != nil || p.Status != models.PurchaseOpen {
			return key != "" && p.IdempotencyKey == key && p.CreditedAt > 0, err
		}
		if p, err = s.settle(ctx, p.AgencyID, p.ID, false); err != nil {
			return false, err
		}
	}
	return p.CreditedAt > 0, nil
}

// noStock tells an agency that it lacks what its client would have bought. The
// client's card is not charged, and its own credits go on.
func (s *Service) noStock(ctx context.Context, a *Account, now models.Time) error {
	return s.db.InTx(ctx, func(tx *gorm.DB) error {
		// Paused for a limit, too: that one buys again in the new month.
		if err := tx.Model(&models.TopUp{}).Where("agency_id = ? AND wallet_id = ? AND state <> ?", a.Agency.ID, a.Wallet, models.TopUpOff).
			Update("due_at", now.Add(topUpEvery)).Error; err != nil {
			return err
		}
		return s.notify(tx, notice{
			agency: a.Agency.ID, wallet: a.Agency.WalletID, event: models.NoticeTopUpFailed,
			key: "stock:" + a.Wallet.String() + ":" + now.Go().In(Zone(a.Agency.TimeZone)).Format("2006-01-02"),
			facts: models.NoticeFacts{
				Name: a.Name(), Path: "/buy", At: now.Add(topUpEvery),
				Reason: a.Name() + " would have bought a package by itself, and you have not enough purchased credits to sell. Their card was not charged.",
			},
		}, now)
	})
}

// pauseTopUp stops automatic top-up until somebody, or the next month, puts right
// what is wrong, and tells whoever it is about.
func (s *Service) pauseTopUp(ctx context.Context, a *Account, stop pausedError, now models.Time) error {
	return s.db.InTx(ctx, func(tx *gorm.DB) error {
		t, err := topUpOf(tx, a.Agency.ID, a.Wallet)
		if err != nil || t.State == models.TopUpOff || t.State == models.TopUpPaused && !t.Reason.EndsByItself() {
			return err
		}
		return s.pauseIn(tx, &t, a.Agency.TimeZone, stop, now)
	})
}

func (s *Service) pauseIn(tx *gorm.DB, t *models.TopUp, zone string, stop pausedError, now models.Time) error {
	t.State, t.Reason, t.Note, t.PausedAt, t.DueAt = models.TopUpPaused, stop.reason, stop.note, now, 0
	event, occasion := models.NoticeTopUpPaused, fmt.Sprintf("paused:%d", now)
	facts := models.NoticeFacts{Reason: stop.note, Amount: t.MonthlyLimit, Currency: t.Currency, Name: cardName(t), Path: TopUpPath, Why: stop.reason}
	if stop.reason.EndsByItself() {
		// Its own limit is of the agency's months, a package's of the client's.
		t.DueAt = max(stop.until, period.CalendarMonth(now, Zone(zone)).End)
		event, occasion, facts.At = models.NoticeTopUpLimit, fmt.Sprintf("limit:%d:%d", t.DueAt, t.MonthlyLimit), t.DueAt
	}
	if err := tx.Model(&models.TopUp{}).Where("agency_id = ? AND wallet_id = ?", t.AgencyID, t.WalletID).
		Updates(map[string]any{"state": t.State, "reason": t.Reason, "note": t.Note, "paused_at": t.PausedAt, "due_at": t.DueAt}).Error; err != nil {
		return err
	}
	return s.notify(tx, notice{agency: t.AgencyID, wallet: t.WalletID, event: event, key: occasion, facts: facts}, now)
}

// lookAutomatic asks Stripe what became of an attempt, and makes it if Stripe
// never heard of it. The first look makes it; any later one searches first, for
// the process that made the first may have died before it heard the answer.
func (s *Service) lookAutomatic(ctx context.Context, p *models.Purchase, number int64, now models.Time) (checkout.Session, error) {
	if p.PaymentIntent != "" {
		return s.payments.Payment(ctx, p.Account, p.PaymentIntent)
	}
	find := func() (checkout.Session, bool, error) {
		return s.payments.FindPayment(ctx, p.Account, p.Customer, p.ID.String(), p.CreatedAt.Add(-time.Hour)) // clocks differ
	}
	if number > 1 {
		if found, ok, err := find(); ok || err != nil {
			return found, err
		}
	}
	never := checkout.Session{Account: p.Account, Status: checkout.StatusExpired, PaymentStatus: checkout.PaymentUnpaid}
	if p.Status != models.PurchaseOpen || now >= p.ExpiresAt {
		return never, nil
	}
	made, err := s.payments.ChargeSaved(ctx, checkout.SavedChargeParams{
		Account: p.Account, Customer: p.Customer, Card: p.PaymentMethod, Reference: p.ID.String(), IdempotencyKey: p.IdempotencyKey,
		Title: p.Title, Amount: p.Total(), ApplicationFee: FeeShare(p.FeeShare).Of(p.Price),
	})
	if err == nil {
		return made, nil
	}
	wrong, ok := errors.AsType[*checkout.Error](err)
	switch {
	case !ok || checkout.IsRevoked(err):
		return made, err
	case wrong.Kind == checkout.KindUnavailable && wrong.Replayed:
		// Stripe remembers a failure of its own. If it charged all the same, its list
		// tells; else this attempt is over, and the next has a key of its own.
		if found, ok, err := find(); ok || err != nil {
			return found, err
		}
		return never, nil
	case wrong.Kind == checkout.KindUnavailable, wrong.Kind == checkout.KindUnauthorised:
		return made, err
	}
	never.Status, never.IntentStatus = checkout.StatusComplete, checkout.IntentNeedsMethod
	never.FailureCode, never.FailureMessage = failureRefused, "The saved card cannot be charged any more. Save it again."
	return never, nil
}

const (
	// failureRefused stands for Stripe's own refusal, that no bank has heard of.
	failureRefused = "refused"
	failureExpired = "expired_card"
)

// noteAutomatic keeps what a look at an attempt told, beside whether it was paid.
func noteAutomatic(tx *gorm.DB, p *models.Purchase, session *checkout.Session) error {
	if session.FailureCode != "" {
		p.FailureCode = session.FailureCode
	}
	if p.PaymentIntent != "" || session.PaymentIntent == "" {
		return nil
	}
	p.PaymentIntent = session.PaymentIntent
	return knowPayment(tx, p, session.PaymentIntent)
}

// topUpBooked carries what became of an attempt into the settings that made it.
func (s *Service) topUpBooked(tx *gorm.DB, p *models.Purchase, was models.PurchaseStatus, now models.Time) error {
	if p.Status == was {
		return nil
	}
	t, err := topUpOf(tx, p.AgencyID, p.WalletID)
	if err != nil || t.CreatedAt == 0 {
		return err
	}
	facts := models.NoticeFacts{Credits: p.Credits, Left: p.BalanceAfter, Amount: p.Price, Currency: p.Currency, Name: cardName(&t)}
	about := func(event models.NoticeEvent) notice {
		return notice{agency: p.AgencyID, wallet: p.WalletID, event: event, key: p.ID.String(), facts: facts}
	}
	if p.Status == models.PurchaseCredited {
		facts.Path = receiptPath(p)
		if err := s.notify(tx, about(models.NoticeTopUpDone), now); err != nil {
			return err
		}
	}
	if t.State != models.TopUpOn {
		return nil // turned off meanwhile
	}
	var zone string
	if err := tx.Model(&models.Agency{}).Where("id = ?", p.AgencyID).Pluck("time_zone", &zone).Error; err != nil {
		return err
	}
	facts.Path = TopUpPath
	next := map[string]any{}
	switch p.Status {
	case models.PurchaseCredited:
		next["declines"], next["due_at"] = 0, p.CreatedAt.Add(topUpEvery) // it may not have been enough
	case models.PurchaseFailed:
		stop, pause := stopFor(p.FailureCode, p.StatusNote)
		if t.CardFingerprint != p.Card { // another card is there by now
			next["due_at"] = p.CreatedAt.Add(topUpEvery)
			break
		}
		declines := t.Declines
		if counts(p.FailureCode) {
			declines++
			next["declines"] = declines
			if declines >= pauseAfter && !pause {
				stop, pause = pausedError{reason: models.TopUpDeclined, note: p.StatusNote}, true
			}
		}
		facts.Reason = p.StatusNote
		if pause { // people hear of the decline with the pause, in one; programs of each
			if err = s.hookNotice(tx, about(models.NoticeTopUpFailed), now); err == nil {
				err = s.pauseIn(tx, &t, zone, stop, now)
			}
		} else {
			facts.At = now.Add(cardRest(declines))
			next["due_at"] = facts.At
			err = s.notify(tx, about(models.NoticeTopUpFailed), now)
		}
		if err != nil {
			return err
		}
		next["note"] = p.StatusNote
		if p.FailureCode == failureRefused {
			next["removed_card"] = p.PaymentMethod
		}
	case models.PurchaseReview:
		// Paid and not booked: to charge again would pay twice.
		return s.pauseIn(tx, &t, zone, pausedError{reason: models.TopUpReview, note: "A payment was made that we have to look at. You are not charged again meanwhile."}, now)
	case models.PurchaseExpired, models.PurchaseCancelled:
		next["due_at"] = p.CreatedAt.Add(topUpEvery) // nobody was asked for money
	case models.PurchaseOpen, models.PurchaseProcessing, models.PurchaseRefunded, models.PurchaseDisputed:
		return nil
	}
	if len(next) == 0 {
		return nil
	}
	return tx.Model(&models.TopUp{}).Where("agency_id = ? AND wallet_id = ?", t.AgencyID, t.WalletID).Updates(next).Error
}

// stopFor tells whether a bank's answer ends all tries at once.
func stopFor(code, note string) (pausedError, bool) {
	switch code {
	case "authentication_required":
		return pausedError{reason: models.TopUpAuthenticate, note: "Your bank wants you to confirm this payment yourself."}, true
	case "stolen_card", "lost_card", "pickup_card", "fraudulent", "restricted_card", "security_violation", failureExpired, "invalid_account",
		"revocation_of_authorization", "revocation_of_all_authorizations", "stop_payment_order", "merchant_blacklist", "card_not_supported":
		return pausedError{reason: models.TopUpBlocked, note: note}, true
	case failureRefused:
		return pausedError{reason: models.TopUpRemoved, note: note}, true
	}
	return pausedError{}, false
}

// counts tells a bank's own no from a fault on the way to it.
func counts(code string) bool {
	switch code {
	case "processing_error", "issuer_not_available", "try_again_later", "reenter_transaction", failureRefused, "":
		return false
	}
	return true
}

// topUpRecovered lets automatic top-up go on with the card that somebody has just
// paid with, and gives how it was with the one before; zero when that stays.
func (s *Service) topUpRecovered(tx *gorm.DB, p *models.Purchase, session *checkout.Session, now models.Time) (old models.TopUp, err error) {
	if session.Card.ID == "" || session.Customer == "" {
		return old, nil
	}
	t, err := topUpOf(tx, p.AgencyID, p.WalletID)
	if err != nil || t.State != models.TopUpPaused || !t.Reason.OfCard() {
		return old, err
	}
	if t.PaymentMethod != session.Card.ID {
		old = t
	}
	t.Account, t.Customer = p.Account, session.Customer
	if err := useCard(tx, &t, &session.Card, now); err != nil {
		return old, err
	}
	t.State, t.Reason, t.Note, t.PausedAt, t.DueAt, t.Declines, t.AttemptedAt = models.TopUpOn, models.TopUpNoReason, "", 0, now.Add(topUpEvery), 0, now
	if err := tx.Select("*").Updates(&t).Error; err != nil {
		return old, err
	}
	return old, s.audit(tx, t.AgencyID, Actor(p.BoughtBy), "top_up.card", t.WalletID.String(), cardName(&t), "", now)
}
