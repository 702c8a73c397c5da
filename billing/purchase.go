package billing

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"refill/billing/checkout"
	"refill/billing/ledger"
	"refill/billing/problem"
	"refill/models"
)

// Payments is what billing needs of a payment provider.
type Payments interface {
	LiveMode() bool
	CreateSession(ctx context.Context, p checkout.SessionParams) (checkout.Session, error)
	Session(ctx context.Context, account, id string) (checkout.Session, error)
	ExpireSession(ctx context.Context, account, id string) (checkout.Session, error)
	ParseEvent(payload []byte, signature string, connect bool) (checkout.Event, error)
	MoneyBack(ctx context.Context, account, intent string) (checkout.MoneyBack, error)
	RefundPayment(ctx context.Context, p checkout.RefundParams) (checkout.Refund, error)
	CompletedSessions(ctx context.Context, account string, from models.Time, each func(checkout.Session) error) error
	RefundsSince(ctx context.Context, account string, from models.Time, each func(checkout.Refund) error) error
	DisputesSince(ctx context.Context, account string, from models.Time, each func(checkout.Dispute) error) error
	MissedEvents(ctx context.Context, account string, from models.Time, each func(checkout.Event) error) error
	Connect
	SavedCards
}

// SessionLife is how long a buyer may take to pay.
const SessionLife = time.Hour

// BuyInput asks to buy a pack.
type BuyInput struct {
	Account  *Account
	Pack     string         // id or code
	Quantity models.Credits // of a pack sold by quantity; 0 for a fixed one
	Key      string         // of the attempt: the same key is the same purchase
	Email    string         // of the buyer, for the receipt; may be empty
	By       Actor
	// Instead closes older open checkouts of the same: a person in two tabs means one
	// purchase, where a program's other key means another.
	Instead bool
}

// Buy opens a purchase of a pack and its Checkout Session; the buyer pays at
// CheckoutURL. Errors: not_for_sale, unknown_pack, invalid_quantity,
// idempotency_key_reused, payment_unavailable (nothing was charged).
func (s *Service) Buy(ctx context.Context, in BuyInput) (models.Purchase, error) {
	if in.Account.SubAccount != nil {
		return models.Purchase{}, problem.New(problem.Forbidden, "not_for_sale", "Packs are sold to agencies; a sub-account buys a package from its agency.").On("wallet")
	}
	p, err := s.checkOut(ctx, attempt{
		account: in.Account, key: in.Key, email: in.Email, by: in.By, back: s.baseURL,
		asked: fingerprint("purchase", in.Account.Wallet.String(), in.Pack, in.Quantity.String()),
		offer: func(tx *gorm.DB, p *models.Purchase) error {
			pack, err := packForSale(tx, p.AgencyID, in.Pack)
			if err != nil {
				return err
			}
			credits, price, err := Quote(pack, in.Quantity)
			if err != nil {
				return err
			}
			p.PackID, p.Title, p.Credits, p.Price, p.Currency = pack.ID, packTitle(pack, credits), credits, price.Amount, price.Currency
			p.Bonus = pack.Bonus
			return tx.Create(p).Error
		},
	})
	if err == nil && in.Instead && p.Status == models.PurchaseOpen {
		s.closeOlder(ctx, &p)
	}
	return p, err
}

// closeOlder closes the open checkouts of what a purchase buys that came before it, so
// that it is not paid twice; of two that are opened at once one stays. One that was
// paid meanwhile is credited all the same; one that cannot be closed now runs out by
// itself.
func (s *Service) closeOlder(ctx context.Context, p *models.Purchase) {
	var older []models.PurchaseID
	err := s.db.Write.WithContext(ctx).Model(&models.Purchase{}).
		Where("agency_id = ? AND wallet_id = ? AND status = ? AND pack_id = ? AND credits = ? AND origin = ? AND id < ?",
			p.AgencyID, p.WalletID, models.PurchaseOpen, p.PackID, p.Credits, p.Origin, p.ID).Pluck("id", &older).Error
	for _, id := range older {
		_, closed := s.Cancel(ctx, p.AgencyID, id)
		err = errors.Join(err, closed)
	}
	if err != nil {
		s.log.LogAttrs(ctx, slog.LevelWarn, "close older checkouts", slog.String("purchase", p.ID.String()), slog.Any("error", err))
	}
}

// attempt is somebody's wish to buy.
type attempt struct {
	account *Account
	key     string // the same key is the same purchase
	asked   []byte // fingerprint of what was asked for
	email   string
	by      Actor
	back    string // where the buyer returns to: the base address of their portal
	// offer writes what is bought, at what price, as it is now.
	offer func(tx *gorm.DB, p *models.Purchase) error
	// recovers is the automatic top-up that goes on with the card that pays; nil for
	// none.
	recovers *models.TopUp
}

// checkOut writes a purchase and opens its Checkout Session. The row exists
// before Stripe hears of it, so a retry with the same key finds it.
func (s *Service) checkOut(ctx context.Context, in attempt) (models.Purchase, error) {
	now := s.clock.Now()
	if err := checkKey(in.key); err != nil {
		return models.Purchase{}, err
	}
	if s.payments == nil {
		return models.Purchase{}, paymentUnavailable(errors.New("no payment provider is configured"))
	}
	var p models.Purchase
	err := s.once(ctx, func(tx *gorm.DB) (err error) {
		p, err = s.openPurchase(tx, &in, now)
		return err
	})
	if err != nil || p.CheckoutSession != "" || p.Status != models.PurchaseOpen {
		return p, err
	}
	params := checkout.SessionParams{
		Account: p.Account, Reference: p.ID.String(), IdempotencyKey: "purchase:" + p.ID.String(),
		Title: p.Title, Description: p.Credits.Counted() + " that never expire.", Amount: p.Total(), CustomerEmail: in.email,
		SuccessURL: in.back + "/buy/return?s={CHECKOUT_SESSION_ID}",
		CancelURL:  in.back + "/buy?cancelled=" + p.ID.String(),
		ExpiresAt:  p.ExpiresAt,
	}
	if p.Waits {
		params.Description += " They come as soon as " + in.account.Agency.Name + " has them ready."
	}
	if p.IsSale() {
		params.ApplicationFee = FeeShare(p.FeeShare).Of(p.Price)
	}
	if in.recovers != nil {
		params.SaveCard = true
		if in.recovers.Account == p.Account {
			params.Customer = in.recovers.Customer
		}
	}
	var session checkout.Session
	if p.Month() {
		session, err = s.openMonthly(ctx, &p, &params)
	} else {
		session, err = s.payments.CreateSession(ctx, params)
	}
	if err != nil {
		s.doubtConnection(ctx, &p, err)
		return p, paymentUnavailable(err)
	}
	p.CheckoutSession, p.CheckoutURL, p.Live = session.ID, session.URL, session.Live
	err = s.db.InTx(ctx, func(tx *gorm.DB) error {
		if err := tx.Clauses(clause.OnConflict{DoNothing: true}).
			Create(&models.PaymentRef{Ref: session.ID, AgencyID: p.AgencyID, PurchaseID: p.ID}).Error; err != nil {
			return err
		}
		return tx.Model(&models.Purchase{}).Where("agency_id = ? AND id = ?", p.AgencyID, p.ID).
			Updates(map[string]any{"checkout_session": session.ID, "checkout_url": session.URL, "live": session.Live, "checked_at": now}).Error
	})
	return p, err
}

func paymentUnavailable(err error) error {
	return problem.New(problem.Unavailable, "payment_unavailable", "Payment is not available right now. You have not been charged. Try again.").Because(err)
}

// openPurchase finds the attempt's row or writes it with the offer as it is now.
func (s *Service) openPurchase(tx *gorm.DB, in *attempt, now models.Time) (models.Purchase, error) {
	var old models.Purchase
	err := tx.Where("agency_id = ? AND idempotency_key = ?", in.account.Agency.ID, in.key).Take(&old).Error
	if done, err := again(err, old.Fingerprint, in.asked); done || err != nil {
		return old, err
	}
	if err := acting(tx, in.account.Agency.ID); err != nil {
		return old, err
	}
	p := models.Purchase{
		AgencyID: in.account.Agency.ID, ID: models.NewID[models.PurchaseID](now), WalletID: in.account.Wallet, Status: models.PurchaseOpen,
		IdempotencyKey: in.key, Fingerprint: in.asked, BoughtBy: string(in.by), Live: s.payments.LiveMode(),
		ExpiresAt: now.Add(SessionLife), CreatedAt: now,
	}
	if in.recovers != nil {
		p.Origin = models.OriginRecovery
	}
	if err := in.offer(tx, &p); err != nil {
		return p, err
	}
	return p, tx.Create(&models.PaymentRef{Ref: p.ID.String(), AgencyID: p.AgencyID, PurchaseID: p.ID}).Error
}

func packForSale(tx *gorm.DB, agency models.AgencyID, ref string) (models.Pack, error) {
	packs, err := packsFor(tx, agency)
	if err != nil {
		return models.Pack{}, err
	}
	if len(packs) == 0 {
		return models.Pack{}, problem.New(problem.Forbidden, "not_for_sale", "Your plan does not sell extra credits. Move to a paid plan to buy them.").On("pack")
	}
	for _, p := range packs {
		if p.Code == ref || p.ID.String() == ref {
			return p, nil
		}
	}
	return models.Pack{}, problem.New(problem.Invalid, "unknown_pack", "This pack is not on sale for your plan; choose one of those shown.").On("pack")
}

// maxPrice is the most one payment may be, in minor units (Stripe's limit).
const maxPrice = 99_999_999

// Quote is what an amount of a pack costs. Errors: invalid_quantity, which
// names the minimum and the step.
func Quote(pack models.Pack, quantity models.Credits) (models.Credits, models.Money, error) {
	if pack.Kind == models.PackFixed {
		if quantity != 0 && quantity != pack.Credits {
			return 0, models.Money{}, problem.New(problem.Invalid, "invalid_quantity", "This pack is always %s; leave the quantity out.", pack.Credits.Counted()).On("quantity")
		}
		return pack.Credits, models.Money{Amount: pack.Price, Currency: pack.Currency}, nil
	}
	if quantity < pack.Minimum || quantity%pack.Step != 0 || quantity > models.MaxCharge {
		return 0, models.Money{}, problem.New(problem.Invalid, "invalid_quantity",
			"Buy at least %s, in steps of %s.", pack.Minimum.Counted(), pack.Step).On("quantity").
			With("minimum", pack.Minimum).With("step", pack.Step)
	}
	amount, err := pack.UnitPrice.Times(quantity)
	if err != nil || amount > maxPrice {
		return 0, models.Money{}, problem.New(problem.Invalid, "invalid_quantity", "This is more than one payment can be; buy it in parts.").On("quantity")
	}
	return quantity, models.Money{Amount: amount, Currency: pack.Currency}, nil
}

func packTitle(p models.Pack, credits models.Credits) string {
	if p.Kind == models.PackFixed {
		return p.Name
	}
	return fmt.Sprintf("%s × %s", credits, p.Name)
}

// progress orders the states a purchase moves through; it never moves back.
func progress(st models.PurchaseStatus) int {
	switch st {
	case models.PurchaseOpen:
		return 0
	case models.PurchaseProcessing:
		return 1
	case models.PurchaseFailed, models.PurchaseExpired, models.PurchaseCancelled:
		return 2
	case models.PurchaseReview:
		return 3
	case models.PurchaseCredited:
		return 4
	case models.PurchaseRefunded, models.PurchaseDisputed:
		return 5
	}
	return 0
}

// Cancel closes a purchase that the buyer walked away from. One that was paid
// meanwhile is credited all the same. Errors: not_found, payment_unavailable.
func (s *Service) Cancel(ctx context.Context, agency models.AgencyID, id models.PurchaseID) (models.Purchase, error) {
	now := s.clock.Now()
	p, err := s.Purchase(ctx, agency, id)
	if err != nil || p.Status != models.PurchaseOpen || s.payments == nil || p.Automatic() || p.Renewal() { // nobody can walk away from those
		return p, err
	}
	if p.CheckoutSession == "" { // no payment page was ever shown
		return s.book(ctx, p, look{session: checkout.Session{Status: checkout.StatusExpired, PaymentStatus: checkout.PaymentUnpaid}}, now, true)
	}
	l, err := s.beginLook(ctx, &p)
	if err != nil {
		return p, err
	}
	l.session, err = s.payments.ExpireSession(ctx, p.Account, p.CheckoutSession)
	if p.IsSale() && checkout.IsRevoked(err) {
		return s.unreachable(ctx, p, now, true)
	}
	if err != nil {
		return p, paymentUnavailable(err)
	}
	return s.book(ctx, p, l, now, true)
}

// book writes what a look at Stripe means for a purchase.
func (s *Service) book(ctx context.Context, p models.Purchase, l look, now models.Time, cancelled bool) (models.Purchase, error) {
	var out models.Purchase
	var replaced models.TopUp
	err := s.db.InTx(ctx, func(tx *gorm.DB) error {
		replaced = models.TopUp{}
		// The row lock makes concurrent settles take turns.
		if err := tx.Clauses(clause.Locking{Strength: "UPDATE"}).
			Where("agency_id = ? AND id = ?", p.AgencyID, p.ID).Take(&out).Error; err != nil {
			return missing(err, "purchase")
		}
		if l.number > 0 {
			if l.number < out.Looked { // a later look was booked meanwhile
				return walkedAway(tx, &out, cancelled)
			}
			out.Looked = l.number
		}
		out.CheckedAt = now
		if out.Month() && l.session.Invoice != "" {
			out.Invoice = l.session.Invoice
		}
		was := out.Status
		if out.CreditedAt == 0 {
			if err := s.bookPayment(ctx, tx, &out, &l, now, cancelled); err != nil {
				return err
			}
			var err error
			if replaced, err = s.bookTopUp(tx, &out, was, &l.session, now); err != nil {
				return err
			}
		}
		if err := s.bookMoneyBack(ctx, tx, &out, &l, now); err != nil {
			return err
		}
		if err := noteSeen(tx, &out, &l.session, now); err != nil {
			return err
		}
		if err := s.mailReview(tx, was, &out, now); err != nil {
			return err
		}
		return tx.Where("agency_id = ? AND id = ?", out.AgencyID, out.ID).Select("*").Updates(&out).Error
	})
	if err == nil {
		s.forgetCard(ctx, &replaced)
	}
	if err == nil && !out.IsSale() && out.CreditedAt > 0 {
		s.settleReferralOf(ctx, out.AgencyID)
	}
	return out, err
}

// walkedAway keeps the buyer's word where Stripe told first that the session it
// closed had expired.
func walkedAway(tx *gorm.DB, p *models.Purchase, cancelled bool) error {
	if !cancelled || p.Status != models.PurchaseExpired {
		return nil
	}
	p.Status, p.StatusNote = models.PurchaseCancelled, notCharged
	return tx.Model(&models.Purchase{}).Where("agency_id = ? AND id = ?", p.AgencyID, p.ID).
		Updates(map[string]any{"status": p.Status, "status_note": p.StatusNote}).Error
}

// notCharged is told of a purchase that its buyer closed.
const notCharged = "You were not charged."

// bookPayment moves a purchase that is not credited to where its payment stands.
func (s *Service) bookPayment(ctx context.Context, tx *gorm.DB, p *models.Purchase, l *look, now models.Time, cancelled bool) error {
	was := p.Status
	want, note := wanted(p, l.session, now, cancelled)
	if want == models.PurchaseCredited || want == models.PurchaseReview && l.session.Paid() {
		p.PaymentIntent, p.ReceiptURL, p.PaidAt, p.Paid = l.session.PaymentIntent, l.session.ReceiptURL, l.session.PaidAt, l.session.AmountTotal.Amount
		p.Tax, p.Method, p.CardLast4 = l.session.Tax, l.session.Method, l.session.Card.Last4
		if p.PaidAt == 0 {
			p.PaidAt = now
		}
	}
	if want == models.PurchaseCredited {
		return s.deliver(ctx, tx, p, l.session, now)
	}
	givenBack := want == models.PurchaseCancelled && l.session.Paid()
	if progress(want) > progress(was) || want == was || givenBack || want == models.PurchaseCancelled && was == models.PurchaseExpired {
		// Closing the session at Stripe makes it tell us that it expired: the
		// buyer's word stands, whichever of the two is booked first.
		p.Status, p.StatusNote = want, note
		if p.IsSale() && want.Unpaid() {
			return s.releaseStock(ctx, tx, p, now)
		}
	}
	return nil
}

// wanted is the state a session's facts ask for. Credits are given only when
// amount, currency, account and mode are those of our own row.
func wanted(p *models.Purchase, session checkout.Session, now models.Time, cancelled bool) (models.PurchaseStatus, string) {
	if session.Paid() && session.Status == checkout.StatusComplete {
		if p.IsSale() && p.CreditedAt == 0 && session.AmountRefunded >= p.Price {
			return models.PurchaseCancelled, "Your payment was given back."
		}
		if why := mismatch(p, session); why != "" {
			return models.PurchaseReview, why
		}
		return models.PurchaseCredited, ""
	}
	switch session.Status {
	case checkout.StatusComplete:
		if session.IntentStatus == checkout.IntentNeedsMethod || session.IntentStatus == checkout.IntentCanceled {
			return models.PurchaseFailed, reason(session.FailureMessage, "The bank did not make the payment.")
		}
		return models.PurchaseProcessing, "The bank confirms this payment in a few days; the credits are added then."
	case checkout.StatusExpired:
		if cancelled {
			return models.PurchaseCancelled, notCharged
		}
		return models.PurchaseExpired, "The time to pay ran out. You were not charged."
	case checkout.StatusOpen:
		if session.ID == "" && p.ExpiresAt <= now {
			return models.PurchaseExpired, "The time to pay ran out. You were not charged."
		}
	}
	return models.PurchaseOpen, session.FailureMessage
}

func reason(text, otherwise string) string {
	if text != "" {
		return text
	}
	return otherwise
}

func mismatch(p *models.Purchase, session checkout.Session) string {
	switch {
	case session.ID != p.CheckoutSession || session.Account != p.Account:
		return "The payment belongs to another session or account."
	case session.Reference != p.ID.String():
		return "The payment carries another reference."
	case session.AmountSubtotal != p.Total():
		paid, due := session.AmountSubtotal, p.Total()
		return fmt.Sprintf("Stripe was paid %s %s, the purchase is %s %s.", paid.Decimal(), strings.ToUpper(paid.Currency), due.Decimal(), strings.ToUpper(due.Currency))
	case session.Live != p.Live:
		return "The payment was made in another mode."
	}
	return ""
}

// deliver gives what a paid purchase bought. One payment stands in payment_refs
// once, and the ledger books one grant or sale per purchase: whoever comes second
// changes nothing.
func (s *Service) deliver(ctx context.Context, tx *gorm.DB, p *models.Purchase, session checkout.Session, now models.Time) error {
	if p.Invoice != "" {
		if err := knowPayment(tx, p, p.Invoice); err != nil {
			return err
		}
	}
	if session.PaymentIntent != "" {
		if err := knowPayment(tx, p, session.PaymentIntent); err != nil {
			return err
		}
		var held models.PaymentRef
		if err := tx.Where("ref = ?", session.PaymentIntent).Take(&held).Error; err != nil {
			return err
		}
		if held.PurchaseID != p.ID {
			p.Status, p.StatusNote = models.PurchaseReview, "This payment was booked for another purchase."
			return nil
		}
	}
	if p.IsSale() {
		if done, err := s.sell(ctx, tx, p, session, now); !done || err != nil {
			return err
		}
	} else if done, err := s.grant(ctx, tx, p, now); !done || err != nil {
		return err
	}
	// Under the agency wallet's lock, so a seller's numbers are gapless.
	if err := tx.Model(&models.Purchase{}).Where("agency_id = ? AND account = ?", p.AgencyID, p.Account).
		Select("COALESCE(MAX(receipt_number), 0) + 1").Scan(&p.ReceiptNumber).Error; err != nil {
		return err
	}
	if err := s.nameParties(tx, p); err != nil {
		return err
	}
	p.Status, p.StatusNote, p.CreditedAt = models.PurchaseCredited, "", now
	if err := s.knowPayers(tx, p, &session, now); err != nil {
		return err
	}
	return s.notifyDelivered(tx, p, now)
}

// knowPayers notes who paid for an agency, and that whoever referred it may be
// rewarded. Test cards are everybody's and tell nothing.
func (s *Service) knowPayers(tx *gorm.DB, p *models.Purchase, session *checkout.Session, now models.Time) error {
	if p.IsSale() {
		return nil
	}
	if err := knowPayer(tx, p.AgencyID, "customer", session.Customer, now); err != nil {
		return err
	}
	if session.Live {
		if err := knowPayer(tx, p.AgencyID, "card", session.Card.Fingerprint, now); err != nil {
			return err
		}
	}
	return stirReferral(tx, p.AgencyID, now)
}

// knowPayment keeps what Stripe calls a purchase's payment, unless it is another
// purchase's.
func knowPayment(tx *gorm.DB, p *models.Purchase, intent string) error {
	ref := models.PaymentRef{Ref: intent, AgencyID: p.AgencyID, PurchaseID: p.ID}
	return tx.Clauses(clause.OnConflict{DoNothing: true}).Create(&ref).Error
}

// bookTopUp carries on what a purchase means for automatic top-up, and gives how that
// was with the card that another one replaces; zero when none does.
func (s *Service) bookTopUp(tx *gorm.DB, p *models.Purchase, was models.PurchaseStatus, session *checkout.Session, now models.Time) (old models.TopUp, err error) {
	switch {
	case p.Automatic():
		if err := noteAutomatic(tx, p, session); err != nil {
			return old, err
		}
		return old, s.topUpBooked(tx, p, was, now)
	case p.Origin == models.OriginRecovery && p.Status == models.PurchaseCredited:
		return s.topUpRecovered(tx, p, session, now)
	}
	return old, nil
}

// grant books the credits of a pack.
func (s *Service) grant(ctx context.Context, tx *gorm.DB, p *models.Purchase, now models.Time) (done bool, err error) {
	granted, err := s.ledger.Grant(ctx, tx, ledger.GrantRequest{
		Agency: p.AgencyID, Wallet: p.WalletID, Source: models.SourcePurchase, Credits: p.Credits, Cost: p.Total(), Purchase: p.ID,
		Kind: "purchase", Actor: p.BoughtBy, Note: p.Title, Reference: p.ID.String(), At: now,
	})
	if refused := problem.Of(err); refused != nil {
		p.Status, p.StatusNote = models.PurchaseReview, "Paid, but the credits do not fit: "+refused.Message
		return false, nil //nolint:nilerr // booked as it stands: a person decides
	}
	if err != nil {
		return false, fmt.Errorf("credit purchase %s: %w", p.ID, err)
	}
	p.ActID, p.BalanceBefore, p.BalanceAfter = granted.Act.ID, granted.Before.Left(), granted.After.Left()
	if p.Bonus > 0 {
		bonus, err := s.ledger.Grant(ctx, tx, ledger.GrantRequest{
			Agency: p.AgencyID, Wallet: p.WalletID, Source: models.SourcePromo, Credits: p.Bonus, Kind: "bonus", Actor: p.BoughtBy,
			Note: "Bonus with " + p.Title, Reference: p.ID.String(), At: now,
		})
		if err != nil {
			return false, fmt.Errorf("credit the bonus of purchase %s: %w", p.ID, err)
		}
		p.BonusLotID, p.BalanceAfter = bonus.Lot.ID, bonus.After.Left()
	}
	if err := s.freezeBought(ctx, tx, p.AgencyID); err != nil {
		return false, err
	}
	return true, wakeSales(tx, p.AgencyID)
}

// Purchase reads one purchase. Errors: not_found.
func (s *Service) Purchase(ctx context.Context, agency models.AgencyID, id models.PurchaseID) (models.Purchase, error) {
	var p models.Purchase
	return p, missing(s.db.Read.WithContext(ctx).Where("agency_id = ? AND id = ?", agency, id).Take(&p).Error, "purchase")
}

// PurchaseByRef finds a purchase by Stripe's session, its payment or our id,
// within a scope. Errors: not_found.
func (s *Service) PurchaseByRef(ctx context.Context, scope Scope, ref string) (models.Purchase, error) {
	var place models.PaymentRef
	if err := s.db.Read.WithContext(ctx).Where("ref = ?", ref).Take(&place).Error; err != nil {
		return models.Purchase{}, missing(err, "purchase")
	}
	if !scope.Covers(place.AgencyID) {
		return models.Purchase{}, problem.Missing("purchase")
	}
	return s.Purchase(ctx, place.AgencyID, place.PurchaseID)
}

// PurchaseQuery pages through a wallet's purchases, newest first.
type PurchaseQuery struct {
	Agency models.AgencyID
	Wallet models.WalletID   // zero: every wallet of the agency
	Only   PurchaseFilter    // "": all
	Before models.PurchaseID // zero: from the newest
	Limit  int               // 0: 50
}

// PurchaseFilter narrows a list of purchases.
type PurchaseFilter string

// The filters.
const (
	OnlyPaid     PurchaseFilter = "paid" // and not given back
	OnlyPending  PurchaseFilter = "pending"
	OnlyRefunded PurchaseFilter = "refunded" // wholly or in part
	OnlyDisputed PurchaseFilter = "disputed"
	OnlyFailed   PurchaseFilter = "failed" // or left
)

// OwnPlanPayments lists what an agency paid for its plan, the newest first.
func (s *Service) OwnPlanPayments(ctx context.Context, agency models.AgencyID, limit int) ([]models.PlanPayment, error) {
	var out []models.PlanPayment
	return out, s.db.Read.WithContext(ctx).Where("agency_id = ?", agency).Order("paid_at DESC, invoice").Limit(limit).Find(&out).Error
}

// Purchases lists purchases, newest first.
func (s *Service) Purchases(ctx context.Context, q PurchaseQuery) ([]models.Purchase, error) {
	if q.Limit <= 0 || q.Limit > 1000 {
		q.Limit = 50
	}
	tx := s.db.Read.WithContext(ctx).Where("agency_id = ?", q.Agency)
	if !q.Wallet.IsZero() {
		tx = tx.Where("wallet_id = ?", q.Wallet)
	}
	if !q.Before.IsZero() {
		tx = tx.Where("id < ?", q.Before)
	}
	switch q.Only {
	case OnlyPaid:
		tx = tx.Where("status = ? AND refunded = 0", models.PurchaseCredited)
	case OnlyPending:
		tx = tx.Where("status IN ?", []models.PurchaseStatus{models.PurchaseOpen, models.PurchaseProcessing, models.PurchaseReview})
	case OnlyRefunded:
		tx = tx.Where("refunded > 0")
	case OnlyDisputed:
		tx = tx.Where("status = ?", models.PurchaseDisputed)
	case OnlyFailed:
		tx = tx.Where("status IN ?", []models.PurchaseStatus{models.PurchaseFailed, models.PurchaseExpired, models.PurchaseCancelled})
	}
	var out []models.Purchase
	return out, tx.Order("id DESC").Limit(q.Limit).Find(&out).Error
}

// Offer is a pack with what buying it would do to the balance.
type Offer struct {
	Pack    models.Pack
	Credits models.Credits // of a pack by quantity: the minimum
	Bonus   models.Credits
	Price   models.Money
	Settled models.Credits // excess it pays off
	After   models.Credits // the number on screen afterwards
}

// Storefront is everything the purchase page shows.
type Storefront struct {
	Wallet    WalletView
	Offers    []Offer          // none: the plan does not sell packs
	Last      *models.Purchase // its pack is the version on sale now
	Suggested models.PackID    // last bought, else the smallest that clears the excess
}

// Storefront reads the balance and what the account may buy.
func (s *Service) Storefront(ctx context.Context, a *Account) (Storefront, error) {
	var out Storefront
	var err error
	if out.Wallet, err = s.Wallet(ctx, a); err != nil {
		return out, err
	}
	packs, err := s.PacksFor(ctx, a.Agency.ID)
	if err != nil {
		return out, err
	}
	for _, pack := range packs {
		credits, price, err := Quote(pack, pack.Minimum)
		if err != nil {
			return out, err
		}
		out.Offers = append(out.Offers, offer(out.Wallet.Balance, pack, credits, price))
	}
	var last models.Purchase
	err = s.db.Read.WithContext(ctx).Where("agency_id = ? AND wallet_id = ? AND status = ?", a.Agency.ID, a.Wallet, models.PurchaseCredited).
		Order("id DESC").Take(&last).Error
	switch {
	case err == nil:
		sold, err := s.SoldAs(ctx, []models.PackID{last.PackID})
		if err != nil {
			return out, err
		}
		if now, ok := sold[last.PackID]; ok {
			last.PackID = now
		}
		out.Last = &last
	case !errors.Is(err, gorm.ErrRecordNotFound):
		return out, err
	}
	for _, o := range out.Offers {
		if out.Last != nil && o.Pack.ID == out.Last.PackID && o.After > 0 {
			out.Suggested = o.Pack.ID
		}
	}
	for _, o := range out.Offers {
		if out.Suggested.IsZero() && o.After > 0 {
			out.Suggested = o.Pack.ID
		}
	}
	return out, nil
}

func offer(b ledger.Balance, pack models.Pack, credits models.Credits, price models.Money) Offer {
	all := credits + pack.Bonus
	return Offer{Pack: pack, Credits: credits, Bonus: pack.Bonus, Price: price, Settled: min(b.Excess, all), After: b.Left() + all}
}
