package billing

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"refill/billing/checkout"
	"refill/billing/ledger"
	"refill/billing/problem"
	"refill/models"
)

// Packages that clients get every month. Stripe collects them on the agency's own
// account and begins each month with an invoice; what is paid is a purchase like
// any other, settled, refunded and disputed by the same functions. Its credits last
// until the month ends. docs/decisions/0022 says why.

// MonthlyPayments is what billing needs of a payment provider to sell packages
// every month; a provider of Payments that has it sells them.
type MonthlyPayments interface {
	CreateMonthly(ctx context.Context, p checkout.MonthlyParams) (checkout.Session, error)
	Monthly(ctx context.Context, account, id string) (checkout.Subscription, error)
	CancelMonthly(ctx context.Context, account, id string, atEnd bool, idempotencyKey string) (checkout.Subscription, error)
	MonthlyInvoices(ctx context.Context, account, subscription string, from models.Time, each func(checkout.Invoice) error) error
	InvoicePayment(ctx context.Context, account, id string) (checkout.Invoice, checkout.Session, error)
	EndMonthly(ctx context.Context, account, id string) (checkout.Subscription, error)
	GiveUpInvoice(ctx context.Context, account string, i *checkout.Invoice) error
	MonthlyPortal(ctx context.Context, account, customer, returnURL string) (string, error)
}

// ActorMonthly is a month that began, as the buyer of what it bought.
const ActorMonthly Actor = "monthly package"

// renewalLife is how long a month's invoice is waited for: Stripe gives up before.
const renewalLife = 35 * 24 * time.Hour

var errNoMonths = errors.New("the payment provider sells nothing every month")

// beginMonthly writes the subscription that a checkout of a monthly package is to
// begin. Errors: subscribed_already.
func beginMonthly(tx *gorm.DB, pkg *models.Package, p *models.Purchase) error {
	var running int64
	if err := collected(tx, p.AgencyID, p.WalletID).Where("package_id = ?", pkg.ID).Count(&running).Error; err != nil {
		return err
	}
	if running > 0 {
		return problem.New(problem.Conflict, "subscribed_already", "You get %s every month already.", pkg.Name).On("package")
	}
	p.SubscriptionID = models.NewID[models.PackageSubID](p.CreatedAt)
	if err := tx.Create(&models.PackageSubscription{
		AgencyID: p.AgencyID, ID: p.SubscriptionID, WalletID: p.WalletID, PackageID: pkg.ID, Title: pkg.Name, Credits: p.Credits, Price: p.Price,
		Currency: p.Currency, Account: p.Account, Live: p.Live, FeeShare: p.FeeShare, Status: models.PackageSubOpen, PurchaseID: p.ID,
		CheckedAt: p.CreatedAt, CreatedAt: p.CreatedAt,
	}).Error; err != nil {
		return err
	}
	return tx.Create(&models.PaymentRef{Ref: p.SubscriptionID.String(), AgencyID: p.AgencyID, PurchaseID: p.ID}).Error
}

// collected narrows to a client's monthly packages that run and are paid into the
// account its agency sells through. What Stripe may go on with on one that the agency
// has left brings no credits, and nobody here can end it.
func collected(tx *gorm.DB, agency models.AgencyID, wallet models.WalletID) *gorm.DB {
	return tx.Model(&models.PackageSubscription{}).Where("agency_id = ? AND wallet_id = ? AND status IN ?", agency, wallet,
		models.RunningPackageSubs()).
		Where("account = (SELECT c.account FROM stripe_accounts c WHERE c.agency_id = package_subscriptions.agency_id AND c.disconnected_at = 0)")
}

// openMonthly opens the checkout of a monthly package.
func (s *Service) openMonthly(ctx context.Context, p *models.Purchase, params *checkout.SessionParams) (checkout.Session, error) {
	if s.months == nil {
		return checkout.Session{}, errNoMonths
	}
	return s.months.CreateMonthly(ctx, checkout.MonthlyParams{
		Account: p.Account, Reference: params.Reference, Subscription: p.SubscriptionID.String(), IdempotencyKey: params.IdempotencyKey, Title: p.Title,
		Amount: p.Total(), FeeShare: p.FeeShare, CustomerEmail: params.CustomerEmail, SuccessURL: params.SuccessURL, CancelURL: params.CancelURL,
		ExpiresAt: p.ExpiresAt,
	})
}

// lookMonth asks Stripe how a month of a subscription stands: the first by the
// checkout that began it, a later one by its invoice.
func (s *Service) lookMonth(ctx context.Context, p *models.Purchase) (checkout.Session, error) {
	if s.months == nil {
		return checkout.Session{}, errNoMonths
	}
	at := checkout.Session{ID: p.CheckoutSession, Account: p.Account, Invoice: p.Invoice}
	if !p.Renewal() {
		var err error
		if at, err = s.payments.Session(ctx, p.Account, p.CheckoutSession); err != nil || at.Status != checkout.StatusComplete {
			return at, err
		}
	}
	i, paid, err := s.months.InvoicePayment(ctx, p.Account, at.Invoice)
	if err != nil {
		return at, err
	}
	if p.Renewal() {
		at.Live, at.CreatedAt, at.AmountSubtotal, at.AmountTotal, at.Reference = i.Live, i.CreatedAt, i.Subtotal, i.Total, i.Reference
	}
	switch {
	case i.Reference != p.SubscriptionID.String():
		at.Reference = i.Reference // somebody else's: it is not booked
	case i.Paid && paid.PaymentIntent == "":
		at.Reference = "" // paid with no payment: a person decides
	default:
		at.Reference = p.ID.String()
	}
	at.PaymentStatus, at.TermStart, at.TermEnd = checkout.PaymentUnpaid, i.PeriodStart, i.PeriodEnd
	switch i.Status {
	case "paid":
		at.Status, at.PaymentStatus = checkout.StatusComplete, checkout.PaymentPaid
	case "void", "uncollectible":
		at.Status = checkout.StatusExpired
	default:
		at.Status = checkout.StatusOpen
	}
	at.PaymentIntent, at.IntentStatus, at.FailureCode, at.FailureMessage = paid.PaymentIntent, paid.IntentStatus, paid.FailureCode, paid.FailureMessage
	at.Charge, at.PaidAt, at.Method, at.Card, at.ReceiptURL = paid.Charge, paid.PaidAt, paid.Method, paid.Card, paid.ReceiptURL
	at.AmountRefunded, at.Disputed, at.Fee, at.ApplicationFee = paid.AmountRefunded, paid.Disputed, paid.Fee, paid.ApplicationFee
	return at, nil
}

// term is when a month's credits expire: with the month, or a whole month from now
// when its payment or the stock for it came after that.
func term(session *checkout.Session, now models.Time) models.Time {
	if session.TermEnd > now {
		return session.TermEnd
	}
	return now.Add(max(28*24*time.Hour, session.TermEnd.Sub(session.TermStart)))
}

// SettleMonthly asks Stripe how a client's subscription stands and brings its row,
// and each of its months, to it. Events, the clock and people call it; it may run
// any number of times. Errors: not_found, payment_unavailable.
func (s *Service) SettleMonthly(ctx context.Context, agency models.AgencyID, id models.PackageSubID) (models.PackageSubscription, error) {
	var row models.PackageSubscription
	if err := s.db.Write.WithContext(ctx).Where("agency_id = ? AND id = ?", agency, id).Take(&row).Error; err != nil {
		return row, missing(err, "subscription")
	}
	if row.Status == models.PackageSubEnded || row.Status == models.PackageSubExpired {
		return row, nil
	}
	if s.months == nil {
		return row, paymentUnavailable(errNoMonths)
	}
	asked := s.clock.Now()
	first, err := s.settle(ctx, agency, row.PurchaseID, false)
	if err != nil {
		return row, err
	}
	next := row
	if next.StripeID == "" {
		var session checkout.Session
		if first.CheckoutSession != "" {
			if session, err = s.payments.Session(ctx, row.Account, first.CheckoutSession); err != nil {
				return row, paymentUnavailable(err)
			}
		}
		next.StripeID = session.Subscription
	}
	if next.StripeID == "" {
		if first.Status.Unpaid() || first.Status == models.PurchaseReview {
			next.Status, next.StatusNote = models.PackageSubExpired, first.StatusNote
		}
		return s.saveMonthly(ctx, &next, "", asked)
	}
	stripe, err := s.months.Monthly(ctx, row.Account, next.StripeID)
	if err != nil {
		return row, paymentUnavailable(err)
	}
	if stripe.Reference != row.ID.String() || stripe.Live != row.Live {
		return row, fmt.Errorf("subscription %s: Stripe's is of %q, live %t", row.ID, stripe.Reference, stripe.Live)
	}
	if stripe.Status == checkout.SubscriptionUnpaid {
		// Its agency has Stripe keep what nobody pays. It would go on for ever, unpaid
		// and with an invoice a month, and keep the client from buying it anew.
		if stripe, err = s.months.EndMonthly(ctx, row.Account, next.StripeID); err != nil {
			return row, paymentUnavailable(err)
		}
		stripe.EndReason = checkout.EndUnpaid
	}
	heedMonthly(&next, &stripe)
	if err := s.settleMonths(ctx, &next); err != nil {
		return row, err
	}
	return s.saveMonthly(ctx, &next, stripe.EndReason, asked)
}

// heedMonthly writes what Stripe says of a subscription into its row.
func heedMonthly(row *models.PackageSubscription, stripe *checkout.Subscription) {
	row.Customer, row.PeriodStart, row.PeriodEnd, row.CancelAt, row.StatusNote = stripe.Customer, stripe.PeriodStart, stripe.PeriodEnd, stripe.CancelAt, ""
	if stripe.CancelAtEnd {
		row.CancelAt = stripe.PeriodEnd
	}
	switch stripe.Status {
	case checkout.SubscriptionActive, checkout.SubscriptionTrialing:
		row.Status = models.PackageSubActive
	case checkout.SubscriptionPastDue, checkout.SubscriptionPaused:
		row.Status = models.PackageSubPastDue
		row.StatusNote = "The last payment did not go through. It is tried again; change the card if it will not work."
	case checkout.SubscriptionCanceled:
		row.Status, row.EndedAt = models.PackageSubEnded, stripe.EndedAt
	case checkout.SubscriptionNeverPaid:
		row.Status = models.PackageSubExpired
	case checkout.SubscriptionIncomplete, checkout.SubscriptionUnpaid: // the latter is ended at once
	}
}

// saveMonthly writes a subscription's row unless a later answer was written
// meanwhile, and tells both sides what they should know of it.
func (s *Service) saveMonthly(ctx context.Context, row *models.PackageSubscription, why checkout.EndReason, asked models.Time) (models.PackageSubscription, error) {
	err := s.db.InTx(ctx, func(tx *gorm.DB) error {
		var was models.PackageSubscription
		if err := tx.Clauses(clause.Locking{Strength: "UPDATE"}).Where("agency_id = ? AND id = ?", row.AgencyID, row.ID).Take(&was).Error; err != nil {
			return err
		}
		if was.CheckedAt > asked {
			*row = was
			return nil
		}
		row.CheckedAt = asked
		if err := tx.Where("agency_id = ? AND id = ?", row.AgencyID, row.ID).Select("*").Updates(row).Error; err != nil {
			return err
		}
		if err := s.notifyEnd(tx, &was, row, why, asked); err != nil || was.Status == row.Status {
			return err
		}
		if row.Status == models.PackageSubPastDue {
			if err := s.notifyUnpaid(tx, row, asked); err != nil {
				return err
			}
		}
		return s.audit(tx, row.AgencyID, actorStripe, "sales.monthly", row.ID.String(), row.Title+" "+string(row.Status), "", asked)
	})
	return *row, err
}

// settleMonths brings every invoice of a subscription that is not settled yet to a
// purchase.
func (s *Service) settleMonths(ctx context.Context, row *models.PackageSubscription) error {
	var invoices []checkout.Invoice
	if err := s.months.MonthlyInvoices(ctx, row.Account, row.StripeID, row.CreatedAt.Add(-time.Hour), func(i checkout.Invoice) error {
		invoices = append(invoices, i)
		return ctx.Err()
	}); err != nil {
		return paymentUnavailable(err)
	}
	var months []models.Purchase
	if err := s.db.Write.WithContext(ctx).Where("agency_id = ? AND subscription_id = ?", row.AgencyID, row.ID).Find(&months).Error; err != nil {
		return err
	}
	var errs []error // one month that cannot be booked holds up no other
	for n := range slices.Backward(invoices) {
		errs = append(errs, s.settleInvoice(ctx, row, &invoices[n], months))
	}
	return errors.Join(errs...)
}

func (s *Service) settleInvoice(ctx context.Context, row *models.PackageSubscription, i *checkout.Invoice, months []models.Purchase) error {
	known := slices.IndexFunc(months, func(p models.Purchase) bool { return p.Invoice == i.ID }) //nolint:gocritic // the signature is slices'
	var p models.Purchase
	switch {
	case known >= 0:
		p = months[known]
	case i.Total.Amount <= 0 || i.Status == "void" || i.Status == "uncollectible":
		return nil
	default:
		var err error
		if p, err = s.openRenewal(ctx, row, i); err != nil {
			return err
		}
	}
	if p.Status == models.PurchaseCancelled && !i.Paid {
		return s.giveUp(ctx, row, i) // the stock was short
	}
	if p.CreditedAt == 0 && p.Status == models.PurchaseOpen && !row.Status.Running() && !i.Paid {
		if err := s.giveUp(ctx, row, i); err != nil {
			return err
		}
	}
	if p.CreditedAt > 0 || p.Status.Unpaid() && !i.Paid {
		return nil
	}
	_, err := s.settle(ctx, p.AgencyID, p.ID, false)
	return err
}

func (s *Service) giveUp(ctx context.Context, row *models.PackageSubscription, i *checkout.Invoice) error {
	if i.Status == "void" || i.Status == "uncollectible" {
		return nil
	}
	if err := s.months.GiveUpInvoice(ctx, row.Account, i); err != nil {
		return paymentUnavailable(err)
	}
	return nil
}

// openRenewal writes the purchase of a month that Stripe has begun, and keeps its
// stock. Where the stock is short the agency's rules for any sale hold: it buys what
// is lacking, or the client pays and waits, or, while nothing was paid yet, this
// month is not sold: the purchase is cancelled and its invoice is to be given up.
func (s *Service) openRenewal(ctx context.Context, row *models.PackageSubscription, i *checkout.Invoice) (models.Purchase, error) {
	p, err := s.writeRenewal(ctx, row, i, false)
	if problem.Is(err, "out_of_stock") {
		agency, readErr := s.Agency(ctx, row.AgencyID)
		if readErr != nil {
			return p, readErr
		}
		if _, err := s.coverStock(ctx, &agency, row.Credits, i.ID, s.clock.Now()); err != nil {
			s.log.LogAttrs(ctx, slog.LevelError, "buy stock for a renewal", slog.Any("error", err))
		}
		p, err = s.writeRenewal(ctx, row, i, true)
	}
	if models.IsDuplicate(err) { // somebody else wrote it meanwhile
		p = models.Purchase{} // the id of ours is of no row
		err = s.db.Write.WithContext(ctx).Where("agency_id = ? AND account = ? AND invoice = ?", row.AgencyID, row.Account, i.ID).Take(&p).Error
	}
	return p, err
}

func (s *Service) writeRenewal(ctx context.Context, row *models.PackageSubscription, i *checkout.Invoice, last bool) (models.Purchase, error) {
	now := s.clock.Now()
	var p models.Purchase
	err := s.db.InTx(ctx, func(tx *gorm.DB) error {
		p = models.Purchase{
			AgencyID: row.AgencyID, ID: models.NewID[models.PurchaseID](now), WalletID: row.WalletID, PackageID: row.PackageID, Title: row.Title,
			Credits: row.Credits, Price: row.Price, Currency: row.Currency, Status: models.PurchaseOpen, IdempotencyKey: "invoice:" + i.ID,
			Fingerprint: fingerprint("invoice", row.Account, i.ID), BoughtBy: string(ActorMonthly), Account: row.Account, Live: row.Live,
			CheckoutSession: i.ID, Invoice: i.ID, SubscriptionID: row.ID, FeeShare: row.FeeShare, ExpiresAt: now.Add(renewalLife), CreatedAt: now,
		}
		wallet, err := agencyWallet(tx, row.AgencyID)
		if err != nil {
			return err
		}
		_, err = s.ledger.HoldStock(ctx, tx, ledger.StockRequest{Agency: row.AgencyID, Wallet: wallet, Purchase: p.ID, Credits: p.Credits, At: now})
		if problem.Is(err, "wallet_paused") {
			err = problem.New(problem.Conflict, "out_of_stock", "These credits cannot be sold right now.").Because(err)
		}
		if problem.Is(err, "out_of_stock") && last {
			err = s.shortRenewal(tx, &p, i, now)
		}
		if err != nil {
			return err
		}
		if err := tx.Create(&p).Error; err != nil {
			return err
		}
		for _, ref := range []string{p.ID.String(), i.ID} {
			if err := tx.Create(&models.PaymentRef{Ref: ref, AgencyID: p.AgencyID, PurchaseID: p.ID}).Error; err != nil {
				return err
			}
		}
		return nil
	})
	return p, err
}

// shortRenewal decides about a month for which the stock is short.
func (s *Service) shortRenewal(tx *gorm.DB, p *models.Purchase, i *checkout.Invoice, now models.Time) error {
	if err := beyondStock(tx, p, errShort); err == nil || !errors.Is(err, errShort) {
		return err
	}
	if i.Paid { // the client gets them whatever the rule: the money is there
		p.Waits = true
		return nil
	}
	p.Status, p.StatusNote = models.PurchaseCancelled, "You were not charged for this month: these credits could not be sold."
	client, wallet, err := s.seller(tx, p)
	if err != nil {
		return err
	}
	rule, err := oversellRule(tx, p.AgencyID)
	if err != nil {
		return err
	}
	why := "You don't sell more than you hold."
	if rule.Rule == models.OversellAllow {
		why = "No more than " + creditsWord(rule.Limit) + " may wait for your stock at once."
	}
	if why, err = withTopUp(tx, p.AgencyID, wallet, why); err != nil {
		return err
	}
	n := notice{
		agency: p.AgencyID, wallet: wallet, event: models.NoticeMonthSkipped, key: "renewal:" + p.Invoice,
		facts: models.NoticeFacts{Credits: p.Credits, Amount: p.Price, Currency: p.Currency, Name: client, Reason: why, At: i.PeriodEnd},
	}
	return s.tellBoth(tx, &n, p.WalletID, now)
}

// tellBoth tells an agency of a month of its client, and the client with what it has
// left and without what is the agency's to know.
func (s *Service) tellBoth(tx *gorm.DB, n *notice, client models.WalletID, now models.Time) error {
	if err := s.notify(tx, *n, now); err != nil {
		return err
	}
	left, err := leftIn(tx, n.agency, client)
	if err != nil {
		return err
	}
	n.wallet, n.facts.Name, n.facts.Reason, n.facts.Left = client, "", "", left
	return s.notify(tx, *n, now)
}

// notifyUnpaid tells both sides that the payment of a month did not go through, once
// a month: Stripe tries it again, and each try may bring an event.
func (s *Service) notifyUnpaid(tx *gorm.DB, row *models.PackageSubscription, now models.Time) error {
	client, wallet, err := s.seller(tx, &models.Purchase{AgencyID: row.AgencyID, WalletID: row.WalletID})
	if err != nil {
		return err
	}
	n := notice{
		agency: row.AgencyID, wallet: wallet, event: models.NoticeMonthUnpaid, key: row.ID.String() + " " + row.PeriodStart.RFC3339(),
		facts: models.NoticeFacts{Credits: row.Credits, Amount: row.Price, Currency: row.Currency, Name: client},
	}
	return s.tellBoth(tx, &n, row.WalletID, now)
}

var errShort = errors.New("the stock is short")

// monthsDue asks Stripe about subscriptions nobody told us of, and has those end of
// clients that can't use them: that are archived, or draw on their agency's pool.
func (s *Service) monthsDue(ctx context.Context, now models.Time) error {
	if s.months == nil {
		return nil
	}
	var due []models.PackageSubscription
	if err := s.db.Read.WithContext(ctx).
		Where("status IN ?", []models.PackageSubStatus{models.PackageSubOpen, models.PackageSubActive, models.PackageSubPastDue}).
		Where("status = ? AND checked_at <= ? OR status <> ? AND checked_at <= ? AND (period_end <= ? OR status = ?)",
			models.PackageSubOpen, now.Add(-orderPoll), models.PackageSubOpen, now.Add(-planPollEvery), now, models.PackageSubPastDue).
		Order("checked_at").Limit(pollBatch).Find(&due).Error; err != nil {
		return err
	}
	var errs []error
	for i := range due {
		if _, err := s.SettleMonthly(ctx, due[i].AgencyID, due[i].ID); err != nil {
			errs = append(errs, fmt.Errorf("settle subscription %s: %w", due[i].ID, err), s.checkedInVain(ctx, &due[i], now))
		}
	}
	var orphans []models.PackageSubscription
	if err := s.db.Read.WithContext(ctx).Table("package_subscriptions p").Select("p.*").
		Joins("JOIN sub_accounts sa ON sa.agency_id = p.agency_id AND sa.wallet_id = p.wallet_id").
		Joins("JOIN wallets w ON w.agency_id = p.agency_id AND w.id = p.wallet_id").
		Joins("JOIN stripe_accounts c ON c.agency_id = p.agency_id AND c.account = p.account AND c.disconnected_at = 0"). // others are out of reach
		Where("p.status IN ? AND p.cancel_at = 0 AND (sa.status <> ? OR w.funding = ?)",
			models.RunningPackageSubs(), models.SubAccountActive, models.Pooled).
		Order("p.checked_at").Limit(pollBatch).Scan(&orphans).Error; err != nil {
		return errors.Join(append(errs, err)...)
	}
	for i := range orphans {
		if _, err := s.cancelMonthly(ctx, &orphans[i], false); err != nil {
			errs = append(errs, err, s.checkedInVain(ctx, &orphans[i], now))
			continue
		}
		errs = append(errs, s.noteMonthly(ctx, &orphans[i], false, ActorClock)) // once: it is tried until it is done
	}
	return errors.Join(errs...)
}

// checkedInVain puts a subscription behind the others that Stripe is to be asked about:
// the next time is as far off as after an answer.
func (s *Service) checkedInVain(ctx context.Context, row *models.PackageSubscription, now models.Time) error {
	return s.db.Write.WithContext(ctx).Model(&models.PackageSubscription{}).Where("agency_id = ? AND id = ?", row.AgencyID, row.ID).Update("checked_at", now).Error
}

// MonthlyPackages lists a client's monthly packages that run, the oldest first.
func (s *Service) MonthlyPackages(ctx context.Context, a *Account) ([]models.PackageSubscription, error) {
	var out []models.PackageSubscription
	err := s.db.Read.WithContext(ctx).Where("agency_id = ? AND wallet_id = ? AND status IN ?", a.Agency.ID, a.Wallet,
		models.RunningPackageSubs()).Order("id").Find(&out).Error
	return out, err
}

// SoldMonthly is a client's monthly package as its agency sees it.
type SoldMonthly struct {
	models.PackageSubscription

	Client string
	Sub    models.SubAccountID
}

// SoldMonthlies lists an agency's monthly packages that run, the next payment
// first.
func (s *Service) SoldMonthlies(ctx context.Context, agency models.AgencyID) ([]SoldMonthly, error) {
	var out []SoldMonthly
	err := s.db.Read.WithContext(ctx).Table("package_subscriptions p").Select("p.*, sa.name AS client, sa.id AS sub").
		Joins("JOIN sub_accounts sa ON sa.agency_id = p.agency_id AND sa.wallet_id = p.wallet_id").
		Where("p.agency_id = ? AND p.status IN ?", agency, models.RunningPackageSubs()).
		Order("p.period_end, p.id").Limit(MaxPage).Scan(&out).Error
	return out, err
}

// MonthlyPackage reads one of an agency's monthly packages; a wallet narrows it to
// a client's own. Errors: not_found.
func (s *Service) MonthlyPackage(ctx context.Context, agency models.AgencyID, wallet models.WalletID, id models.PackageSubID) (models.PackageSubscription, error) {
	var row models.PackageSubscription
	tx := s.db.Read.WithContext(ctx).Where("agency_id = ? AND id = ?", agency, id)
	if !wallet.IsZero() {
		tx = tx.Where("wallet_id = ?", wallet)
	}
	return row, missing(tx.Take(&row).Error, "subscription")
}

// CancelMonthly has a monthly package end with the month that is paid, or takes
// that back with keep: a client's own, or with a zero wallet any of the agency's.
// Again changes nothing. Errors: not_found, subscription_ended, payment_unavailable.
func (s *Service) CancelMonthly(ctx context.Context, agency models.AgencyID, wallet models.WalletID, id models.PackageSubID, keep bool, by Actor) (models.PackageSubscription, error) {
	row, err := s.MonthlyPackage(ctx, agency, wallet, id)
	if err != nil {
		return row, err
	}
	if !row.Status.Running() {
		return row, problem.New(problem.Conflict, "subscription_ended", "%s does not renew any more.", row.Title)
	}
	if s.months == nil {
		return row, paymentUnavailable(errNoMonths)
	}
	if keep == (row.CancelAt == 0) {
		return row, nil
	}
	if err := s.noteMonthly(ctx, &row, keep, by); err != nil {
		return row, err
	}
	row, err = s.cancelMonthly(ctx, &row, keep)
	if err != nil || !keep || !wallet.IsZero() || row.CancelAt > 0 {
		return row, err
	}
	return row, s.db.InTx(ctx, func(tx *gorm.DB) error { return s.notifyKept(tx, &row, s.clock.Now()) })
}

func (s *Service) cancelMonthly(ctx context.Context, row *models.PackageSubscription, keep bool) (models.PackageSubscription, error) {
	key := monthlyAct(keep) + ":" + row.ID.String() + ":" + s.clock.Now().RFC3339()
	if _, err := s.months.CancelMonthly(ctx, row.Account, row.StripeID, !keep, key); err != nil {
		return *row, paymentUnavailable(err)
	}
	return s.SettleMonthly(ctx, row.AgencyID, row.ID)
}

// noteMonthly writes into the audit log who had a monthly package end, or go on.
func (s *Service) noteMonthly(ctx context.Context, row *models.PackageSubscription, keep bool, by Actor) error {
	return s.db.InTx(ctx, func(tx *gorm.DB) error {
		return s.audit(tx, row.AgencyID, by, monthlyAct(keep), row.ID.String(), row.Title, "", s.clock.Now())
	})
}

func monthlyAct(keep bool) string {
	if keep {
		return "sales.monthly_keep"
	}
	return "sales.monthly_cancel"
}

// MonthlyCardPage makes a link to Stripe's page on which a client changes the card
// of a monthly package and pays what is open. Errors: not_found,
// payment_unavailable.
func (s *Service) MonthlyCardPage(ctx context.Context, a *Account, id models.PackageSubID) (string, error) {
	row, err := s.MonthlyPackage(ctx, a.Agency.ID, a.Wallet, id)
	if err != nil {
		return "", err
	}
	if s.months == nil || row.Customer == "" {
		return "", paymentUnavailable(errNoMonths)
	}
	link, err := s.months.MonthlyPortal(ctx, row.Account, row.Customer, s.PortalURL(&a.Agency)+"/buy")
	if err != nil {
		return "", paymentUnavailable(err)
	}
	return link, nil
}
