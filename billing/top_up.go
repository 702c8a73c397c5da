package billing

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"strings"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"refill/billing/checkout"
	"refill/billing/period"
	"refill/billing/problem"
	"refill/models"
)

// Automatic top-up: how it is set up. top_up_run.go charges. docs/decisions/0016
// says why it is as it is.

// Holds is what somebody gets of an offer, bonus included.
func (o *TopUpOffer) Holds() models.Credits { return o.Credits + o.Pack.Bonus }

// worsened tells what of an offer is not as it was agreed to: it costs more, or
// holds less. Credits of 0 were agreed to before that was kept.
func worsened(t *models.TopUp, o *TopUpOffer) error {
	switch {
	case o.Price.Amount > t.Price:
		return pausedError{reason: models.TopUpOffer, note: o.Title + " costs " + o.Price.Decimal() + " now, more than you agreed to."}
	case o.Holds() < t.Credits:
		return pausedError{reason: models.TopUpOffer, note: o.Title + " holds " + creditsWord(o.Holds()) + " now, fewer than you agreed to."}
	}
	return nil
}

// SavedCards is what billing needs of Stripe to charge a card while nobody is
// there.
type SavedCards interface {
	CreateCustomer(ctx context.Context, p checkout.CustomerParams) (string, error)
	CreateCardSession(ctx context.Context, p checkout.CardSessionParams) (checkout.Session, error)
	SavedCard(ctx context.Context, account, session string) (checkout.Session, checkout.Card, error)
	Card(ctx context.Context, account, id string) (card checkout.Card, customer string, err error)
	ForgetCard(ctx context.Context, account, card string) error
	ChargeSaved(ctx context.Context, p checkout.SavedChargeParams) (checkout.Session, error)
	Payment(ctx context.Context, account, intent string) (checkout.Session, error)
	FindPayment(ctx context.Context, account, customer, reference string, from models.Time) (found checkout.Session, ok bool, err error)
	UnattendedPayments(ctx context.Context, account string, from models.Time, each func(checkout.Session) error) error
}

// TopUpPath is where automatic top-up is set up, below a portal's address.
const TopUpPath = "/buy/automatic"

// TopUpOffer is what automatic top-up can buy: a pack, or a package.
type TopUpOffer struct {
	ID      string // of the pack (its code) or the package
	Title   string
	Credits models.Credits
	Price   models.Money
	Pack    models.Pack // zero for a package
	Package models.PackageID
	Limit   int // of a package: how often a month it may be bought, each time alone; 0: no limit
}

// TopUpView is everything the page of automatic top-up shows.
type TopUpView struct {
	models.TopUp

	Now       models.Time
	Left      models.Credits
	Offers    []TopUpOffer
	Chosen    string // the offer it buys; "" for none
	Allowed   bool   // it may be turned on here
	Closed    string // why not, in words
	PerDay    models.Credits
	Forecast  Forecast
	Spent     int64       // of this month's limit, minor units
	MonthEnds models.Time // when the limit begins anew
	InFlight  bool        // a payment is under way
	Retryable bool        // somebody may have it tried once more
	Failed    models.Purchase
}

// TopUp reads how an account's automatic top-up stands.
func (s *Service) TopUp(ctx context.Context, a *Account) (TopUpView, error) {
	out := TopUpView{Now: s.clock.Now()}
	err := s.db.Snapshot(ctx, func(tx *gorm.DB) error {
		var err error
		if out.TopUp, err = topUpOf(tx, a.Agency.ID, a.Wallet); err != nil {
			return err
		}
		view, err := s.ledger.ViewIn(ctx, tx, a.Agency.ID, a.Wallet, out.Now)
		if err != nil {
			return err
		}
		out.Left = view.Balance.Left()
		c, err := s.cycleOf(tx, a, out.Now)
		if err != nil {
			return err
		}
		if out.Forecast, err = s.forecastOf(tx, a, view, c, out.Now); err != nil {
			return err
		}
		out.PerDay = out.Forecast.PerDay
		if out.Offers, err = topUpOffers(tx, a); err != nil {
			return err
		}
		month := period.CalendarMonth(out.Now, Zone(a.Agency.TimeZone))
		out.MonthEnds = month.End
		if out.Spent, err = topUpSpent(tx, a.Agency.ID, a.Wallet, month.Start); err != nil {
			return err
		}
		last, err := lastAttempt(tx, a.Agency.ID, a.Wallet)
		if err != nil {
			return err
		}
		out.InFlight = last.Status == models.PurchaseOpen || last.Status == models.PurchaseProcessing
		if last.Status.Unpaid() {
			out.Failed = last
		}
		tried, err := declinesOfCard(tx, &out.TopUp, out.Now)
		if err != nil {
			return err
		}
		out.Retryable = retryable(&out.TopUp, tried, out.Now) && !out.InFlight
		return mayTopUp(tx, a)
	})
	out.Allowed = err == nil
	if p := problem.Of(err); p != nil {
		out.Closed, err = p.Message, nil
	}
	for _, o := range out.Offers {
		if !o.Pack.ID.IsZero() && o.Pack.ID == out.PackID || !o.Package.IsZero() && o.Package == out.PackageID {
			out.Chosen = o.ID
		}
	}
	if out.Chosen == "" && !out.PackID.IsZero() && err == nil { // a newer version of the pack is on sale
		now, soldErr := s.SoldAs(ctx, []models.PackID{out.PackID})
		err = soldErr
		for _, o := range out.Offers {
			if o.Pack.ID == now[out.PackID] {
				out.Chosen = o.ID
			}
		}
	}
	return out, err
}

func topUpOf(tx *gorm.DB, agency models.AgencyID, wallet models.WalletID) (models.TopUp, error) {
	var t models.TopUp
	err := tx.Where("agency_id = ? AND wallet_id = ?", agency, wallet).Take(&t).Error
	if errors.Is(err, gorm.ErrRecordNotFound) {
		return models.TopUp{AgencyID: agency, WalletID: wallet, State: models.TopUpOff}, nil
	}
	return t, err
}

// topUpOffers are what an account may choose to buy by itself.
func topUpOffers(tx *gorm.DB, a *Account) ([]TopUpOffer, error) {
	if a.SubAccount == nil {
		packs, err := packsFor(tx, a.Agency.ID)
		if err != nil {
			return nil, err
		}
		out := make([]TopUpOffer, 0, len(packs))
		for _, p := range packs {
			credits, price, err := Quote(p, p.Minimum)
			if err != nil {
				return nil, err
			}
			out = append(out, TopUpOffer{ID: p.Code, Title: packTitle(p, credits), Credits: credits, Price: price, Pack: p})
		}
		return out, nil
	}
	var packages []models.Package
	if err := shownTo(tx, a.SubAccount).Where("packages.on_sale AND packages.every = ?", models.PackageOnce).Order("packages.position, packages.id").Find(&packages).Error; err != nil {
		return nil, err
	}
	out := make([]TopUpOffer, 0, len(packages))
	for i := range packages {
		p := &packages[i]
		out = append(out, TopUpOffer{ID: p.ID.String(), Title: p.Name, Credits: p.Credits, Price: p.Total(), Package: p.ID, Limit: p.MonthlyLimit})
	}
	return out, nil
}

// mayTopUp tells whether an account may buy by itself. Errors: top_up_not_allowed,
// pooled_account, not_connected, payments_disabled, agency_paused.
func mayTopUp(tx *gorm.DB, a *Account) error {
	var agency models.Agency
	if err := tx.Select("status", "client_top_up").Where("id = ?", a.Agency.ID).Take(&agency).Error; err != nil {
		return missing(err, "agency")
	}
	if agency.Status != models.AgencyActive {
		return problem.New(problem.Forbidden, "agency_paused", "Nothing can be bought at the moment.")
	}
	if a.SubAccount == nil {
		return nil
	}
	if !agency.ClientTopUp {
		return problem.New(problem.Forbidden, "top_up_not_allowed", "%s does not offer automatic top-up.", a.Agency.Name)
	}
	return fedByHand(tx, *a.SubAccount)
}

// topUpSpent is what automatic top-up took since an instant, or may yet have
// taken, in minor units.
func topUpSpent(tx *gorm.DB, agency models.AgencyID, wallet models.WalletID, since models.Time) (int64, error) {
	var sum int64
	err := tx.Model(&models.Purchase{}).
		Where("agency_id = ? AND wallet_id = ? AND origin = ? AND created_at >= ? AND status NOT IN ?", agency, wallet, models.OriginAutomatic, since,
			[]models.PurchaseStatus{models.PurchaseFailed, models.PurchaseExpired, models.PurchaseCancelled}).
		Select("CAST(COALESCE(SUM(price), 0) AS bigint)").Scan(&sum).Error
	return sum, err
}

func lastAttempt(tx *gorm.DB, agency models.AgencyID, wallet models.WalletID) (models.Purchase, error) {
	var p models.Purchase
	return p, tx.Where("agency_id = ? AND wallet_id = ? AND origin = ?", agency, wallet, models.OriginAutomatic).
		Order("created_at DESC, id DESC").Limit(1).Find(&p).Error
}

// SaveCardInput asks for a card that automatic top-up may charge.
type SaveCardInput struct {
	Account *Account
	Email   string     // of the person, for receipts
	Keep    url.Values // what the return page gets along: the choices made so far
	Key     string     // of the attempt
}

// AddCard opens Stripe's page on which a card is saved, and gives its address.
// Nothing is charged, and nothing is turned on. Errors: top_up_not_allowed,
// pooled_account, not_connected, payments_disabled, agency_paused,
// payment_unavailable.
func (s *Service) AddCard(ctx context.Context, in SaveCardInput) (string, error) {
	now := s.clock.Now()
	if s.payments == nil {
		return "", paymentUnavailable(errors.New("no payment provider is configured"))
	}
	a := in.Account
	var t models.TopUp
	err := s.db.InTx(ctx, func(tx *gorm.DB) error {
		if err := mayTopUp(tx, a); err != nil {
			return err
		}
		account, err := s.topUpAccount(tx, a)
		if err != nil {
			return err
		}
		if err := tx.Clauses(clause.OnConflict{DoNothing: true}).
			Create(&models.TopUp{AgencyID: a.Agency.ID, WalletID: a.Wallet, State: models.TopUpOff, CreatedAt: now}).Error; err != nil {
			return err
		}
		if t, err = topUpOf(tx, a.Agency.ID, a.Wallet); err != nil {
			return err
		}
		if t.Account != account { // a customer belongs to one account
			t.Account, t.Customer = account, ""
		}
		if t.Customer == "" && a.SubAccount == nil { // the plan's customer is the same agency
			sub, err := lastSubscription(tx, a.Agency.ID)
			if err != nil {
				return err
			}
			t.Customer = sub.StripeCustomer
		}
		return nil
	})
	if err != nil {
		return "", err
	}
	if t.Customer == "" {
		t.Customer, err = s.payments.CreateCustomer(ctx, checkout.CustomerParams{
			Account: t.Account, Reference: a.Wallet.String(), IdempotencyKey: "customer:" + a.Wallet.String() + ":" + t.Account, Name: a.Name(), Email: in.Email,
		})
		if err != nil {
			return "", paymentUnavailable(err)
		}
	}
	back := s.portalOf(a)
	keep := ""
	if len(in.Keep) > 0 {
		keep = "&" + in.Keep.Encode()
	}
	session, err := s.payments.CreateCardSession(ctx, checkout.CardSessionParams{
		Account: t.Account, Customer: t.Customer, Reference: a.Wallet.String(), IdempotencyKey: "card:" + a.Wallet.String() + ":" + cmp.Or(in.Key, NewSecret()),
		SuccessURL: back + TopUpPath + "/card?s={CHECKOUT_SESSION_ID}" + keep, CancelURL: back + TopUpPath + "?" + strings.TrimPrefix(keep, "&"),
	})
	if err != nil {
		return "", paymentUnavailable(err)
	}
	return session.URL, s.db.InTx(ctx, func(tx *gorm.DB) error {
		change := map[string]any{"card_session": session.ID}
		var kept models.TopUp
		if kept, err = topUpOf(tx, a.Agency.ID, a.Wallet); err != nil {
			return err
		}
		if !kept.HasCard() { // else they are those of the card that is charged
			change["account"], change["customer"] = t.Account, t.Customer
		}
		return tx.Model(&models.TopUp{}).Where("agency_id = ? AND wallet_id = ?", a.Agency.ID, a.Wallet).Updates(change).Error
	})
}

// portalOf is the base address of the portal an account's people use.
func (s *Service) portalOf(a *Account) string {
	if a.SubAccount == nil {
		return s.baseURL
	}
	return s.PortalURL(&a.Agency)
}

// topUpAccount is the Stripe account that an account's purchases are paid into.
func (s *Service) topUpAccount(tx *gorm.DB, a *Account) (string, error) {
	if a.SubAccount == nil {
		return "", nil
	}
	seller, err := s.sellsThrough(tx, a.Agency.ID)
	return seller.Account, err
}

// TakeCard keeps the card that a page of AddCard has brought. What paused for the
// card goes on with another one. Errors: not_found, no_card (the page was left
// without one), same_card (its bank has declined it), payment_unavailable.
func (s *Service) TakeCard(ctx context.Context, a *Account, session string, by Actor) (models.TopUp, error) {
	now := s.clock.Now()
	t, err := topUpOf(s.db.Read.WithContext(ctx), a.Agency.ID, a.Wallet)
	if err != nil {
		return t, err
	}
	if t.CreatedAt == 0 || session == "" || t.CardSession != session {
		return t, problem.Missing("card")
	}
	if s.payments == nil {
		return t, paymentUnavailable(errors.New("no payment provider is configured"))
	}
	account, err := s.topUpAccount(s.db.Read.WithContext(ctx), a)
	if err != nil {
		return t, err
	}
	shown, card, err := s.payments.SavedCard(ctx, account, session)
	if err != nil {
		return t, paymentUnavailable(err)
	}
	if shown.Reference != a.Wallet.String() || shown.Live != s.payments.LiveMode() {
		return t, problem.Missing("card")
	}
	if card.ID == "" {
		return t, problem.New(problem.Conflict, "no_card", "No card was saved.").On("card")
	}
	var old models.TopUp
	err = s.db.InTx(ctx, func(tx *gorm.DB) error {
		if err := tx.Clauses(clause.Locking{Strength: "UPDATE"}).Where("agency_id = ? AND wallet_id = ?", a.Agency.ID, a.Wallet).Take(&t).Error; err != nil {
			return err
		}
		if t.PaymentMethod == card.ID {
			return nil // the page was loaded again, or its event came first
		}
		old = t
		t.Account, t.Customer = account, shown.Customer
		if err := useCard(tx, &t, &card, now); err != nil {
			return err
		}
		if err := tx.Select("*").Updates(&t).Error; err != nil {
			return err
		}
		return s.audit(tx, a.Agency.ID, by, "top_up.card", a.Wallet.String(), cardName(&t), "", now)
	})
	if err != nil {
		return t, err
	}
	if t.PaymentMethod != old.PaymentMethod {
		s.forgetCard(ctx, &old)
	}
	s.topUps.ring()
	if t.State == models.TopUpPaused && t.Reason.OfCard() {
		return t, problem.New(problem.Conflict, "same_card", "This is the card that was declined. Use another one, or pay once yourself.").On("card")
	}
	return t, nil
}

// forgetCard has Stripe forget a card that another one has replaced: nobody should be
// able to charge it any more.
func (s *Service) forgetCard(ctx context.Context, old *models.TopUp) {
	if !old.HasCard() {
		return
	}
	if err := s.payments.ForgetCard(ctx, old.Account, old.PaymentMethod); err != nil {
		s.log.LogAttrs(ctx, slog.LevelWarn, "forget a replaced card", slog.Any("error", err))
	}
}

// useCard puts a card in the place of the one before, and lets what paused for
// that one go on: with another card, with the same one again once it was removed or
// its bank has seen the owner, and for one try with the same one of a later expiry,
// unless its bank has more against it than the date.
func useCard(tx *gorm.DB, t *models.TopUp, card *checkout.Card, now models.Time) error {
	other := card.Fingerprint != t.CardFingerprint
	renewed := !other && 12*card.Year+card.Month > 12*t.CardYear+t.CardMonth
	t.PaymentMethod, t.CardBrand, t.CardLast4, t.CardMonth, t.CardYear, t.CardFingerprint = card.ID, card.Brand, card.Last4, card.Month, card.Year, card.Fingerprint
	if other {
		t.Declines = 0
	}
	if t.State != models.TopUpPaused || !t.Reason.OfCard() {
		return nil
	}
	switch {
	case other || t.Reason == models.TopUpRemoved:
	case t.Reason == models.TopUpAuthenticate:
		t.Declines = 0
	case renewed:
		last, err := lastAttempt(tx, t.AgencyID, t.WalletID)
		if err != nil || t.Reason == models.TopUpBlocked && last.FailureCode != failureExpired {
			return err
		}
		t.Declines = pauseAfter - 1
	default:
		return nil
	}
	t.State, t.Reason, t.Note, t.PausedAt, t.DueAt = models.TopUpOn, models.TopUpNoReason, "", 0, now
	return nil
}

// cardName is a card as people know it.
func cardName(t *models.TopUp) string {
	if !t.HasCard() {
		return ""
	}
	brand := t.CardBrand
	switch brand {
	case "amex":
		brand = "American Express"
	case "":
		brand = "Card"
	default:
		brand = strings.ToUpper(brand[:1]) + brand[1:]
	}
	return brand + " •••• " + t.CardLast4
}

// CardName is the saved card as people know it, "" for none.
func (v *TopUpView) CardName() string { return cardName(&v.TopUp) }

// TopUpInput turns automatic top-up on, or changes what it does.
type TopUpInput struct {
	Account   *Account
	Threshold models.Credits
	Offer     string         // code or id of a pack, or id of a package
	Quantity  models.Credits // of a pack that is sold by the quantity
	Limit     models.Money   // in a calendar month
	ForSales  bool           // an agency's: also what a client's purchase lacks
	Seen      int64          // the price that was agreed to; 0: whatever it is
	SeenHolds models.Credits // the credits that were, bonus included; 0: whatever they are
	By        Actor
}

// TopUpPlan is what turning automatic top-up on will do.
type TopUpPlan struct {
	Left    models.Credits
	Offer   TopUpOffer
	Now     bool // it charges at once
	Times   int64
	Credits models.Credits // Now: what it buys
	Price   models.Money   // Now: what it charges
	Short   bool           // Now: the limit does not allow enough to get above the threshold
}

// PlanTopUp works out what turning automatic top-up on would do. Errors: those of
// TurnTopUpOn.
func (s *Service) PlanTopUp(ctx context.Context, in TopUpInput) (TopUpPlan, error) { //nolint:gocritic // sent once per page
	now := s.clock.Now()
	var out TopUpPlan
	err := s.db.Snapshot(ctx, func(tx *gorm.DB) error {
		var err error
		out, err = s.planTopUp(ctx, tx, &in, now)
		return err
	})
	return out, err
}

// planTopUp checks a wish and works out what it does.
func (s *Service) planTopUp(ctx context.Context, tx *gorm.DB, in *TopUpInput, now models.Time) (TopUpPlan, error) {
	var out TopUpPlan
	a := in.Account
	if err := mayTopUp(tx, a); err != nil {
		return out, err
	}
	var wrong []error
	if in.Threshold <= 0 || in.Threshold > models.MaxBalance {
		wrong = append(wrong, problem.New(problem.Invalid, "invalid_threshold", "Enter a number of credits above 0, such as 10,000.").On("threshold"))
	}
	var err error
	if out.Offer, err = topUpOffer(tx, in); problem.Of(err) != nil {
		wrong = append(wrong, err)
	} else if err != nil {
		return out, err
	}
	switch {
	case in.Limit.Amount <= 0 || in.Limit.Amount > maxTopUpLimit:
		wrong = append(wrong, problem.New(problem.Invalid, "invalid_limit", "Enter the most it may spend in a month, such as 200.").On("limit"))
	case out.Offer.ID != "" && in.Limit.Amount < out.Offer.Price.Amount:
		wrong = append(wrong, problem.New(problem.Invalid, "invalid_limit", "One purchase is %s %s: the limit must allow it at least.",
			out.Offer.Price.Decimal(), strings.ToUpper(out.Offer.Price.Currency)).On("limit"))
	}
	if len(wrong) > 0 {
		return out, errors.Join(wrong...)
	}
	if in.Seen > 0 && out.Offer.Price.Amount > in.Seen || out.Offer.Holds() < in.SeenHolds {
		return out, problem.New(problem.Conflict, "offer_changed", "What it buys changed while the page was open. Look at it once more.").On("offer")
	}
	view, err := s.ledger.ViewIn(ctx, tx, a.Agency.ID, a.Wallet, now)
	if err != nil {
		return out, err
	}
	out.Left = view.Balance.Left()
	if out.Now = out.Left < in.Threshold; !out.Now {
		return out, nil
	}
	spent, err := topUpSpent(tx, a.Agency.ID, a.Wallet, period.CalendarMonth(now, Zone(a.Agency.TimeZone)).Start)
	if err != nil {
		return out, err
	}
	want := timesFor(in.Threshold-out.Left, out.Offer.Credits)
	out.Times = min(want, timesWithin(in.Limit.Amount-spent, out.Offer.Price.Amount))
	if out.Offer.Limit > 0 {
		out.Times = min(out.Times, 1)
	}
	out.Short = out.Times < want
	if out.Times == 0 {
		out.Now = false
		return out, nil
	}
	out.Credits, out.Price = out.Offer.Credits*models.Credits(out.Times), models.Money{Amount: out.Offer.Price.Amount * out.Times, Currency: out.Offer.Price.Currency}
	return out, nil
}

// maxTopUpLimit is the most a month's limit may be, in minor units.
const maxTopUpLimit = 1_000_000_000

// timesFor is how many of an offer cover a need, at least one.
func timesFor(need, each models.Credits) int64 {
	if need <= 0 || each <= 0 {
		return 1
	}
	return int64((need + each - 1) / each)
}

// timesWithin is how many of a price fit into an amount, and into one payment.
func timesWithin(amount, each int64) int64 {
	if each <= 0 {
		return 0
	}
	return max(0, min(amount, maxPrice)/each)
}

// topUpOffer finds what somebody chose to buy.
func topUpOffer(tx *gorm.DB, in *TopUpInput) (TopUpOffer, error) {
	offers, err := topUpOffers(tx, in.Account)
	if err != nil {
		return TopUpOffer{}, err
	}
	return chosenOffer(offers, in.Offer, in.Quantity)
}

// chosenOffer is the offer of an id, at a quantity where it is sold by the quantity.
// Errors: unknown_offer, invalid_quantity.
func chosenOffer(offers []TopUpOffer, id string, quantity models.Credits) (TopUpOffer, error) {
	for _, o := range offers {
		if id == "" || o.ID != id && (o.Pack.ID.IsZero() || o.Pack.ID.String() != id) {
			continue
		}
		if o.Pack.Kind == models.PackQuantity && quantity > 0 {
			credits, price, err := Quote(o.Pack, quantity)
			if err != nil {
				return TopUpOffer{}, err
			}
			o.Credits, o.Price, o.Title = credits, price, packTitle(o.Pack, credits)
		}
		return o, nil
	}
	return TopUpOffer{}, problem.New(problem.Invalid, "unknown_offer", "Choose what to buy.").On("offer")
}

// TurnTopUpOn has a wallet buy by itself from now on; a wallet that is below the
// threshold buys at once, and the purchase that this began is given too. Errors:
// invalid_threshold, unknown_offer, invalid_quantity, invalid_limit,
// offer_changed, no_card, top_up_not_allowed, pooled_account, agency_paused.
func (s *Service) TurnTopUpOn(ctx context.Context, in TopUpInput) (models.TopUp, models.Purchase, error) { //nolint:gocritic // sent once
	now := s.clock.Now()
	a := in.Account
	var t models.TopUp
	err := s.db.InTx(ctx, func(tx *gorm.DB) error {
		if err := tx.Clauses(clause.Locking{Strength: "UPDATE"}).Where("agency_id = ? AND wallet_id = ?", a.Agency.ID, a.Wallet).Limit(1).Find(&t).Error; err != nil {
			return err
		}
		plan, err := s.planTopUp(ctx, tx, &in, now)
		if err != nil {
			return err
		}
		account, err := s.topUpAccount(tx, a)
		if err != nil {
			return err
		}
		if !t.HasCard() || t.Account != account {
			return problem.New(problem.Conflict, "no_card", "Add a card first.").On("card")
		}
		// A card that its bank declined stays declined, whoever presses which button.
		if t.State != models.TopUpPaused || !t.Reason.OfCard() {
			t.State, t.Reason, t.Note, t.PausedAt = models.TopUpOn, models.TopUpNoReason, "", 0
		}
		t.Threshold, t.PackID, t.PackageID, t.Quantity = in.Threshold, plan.Offer.Pack.ID, plan.Offer.Package, 0
		if plan.Offer.Pack.Kind == models.PackQuantity {
			t.Quantity = plan.Offer.Credits
		}
		t.Price, t.Currency, t.Credits = plan.Offer.Price.Amount, plan.Offer.Price.Currency, plan.Offer.Holds()
		t.MonthlyLimit, t.ForSales = in.Limit.Amount, in.ForSales && a.SubAccount == nil
		t.AgreedBy, t.AgreedAt, t.DueAt = string(in.By), now, now
		if err := tx.Select("*").Updates(&t).Error; err != nil {
			return err
		}
		if err := s.ledger.Stir(ctx, tx, a.Agency.ID, now, a.Wallet); err != nil { // its watch is another from now on
			return err
		}
		detail := fmt.Sprintf("below %s buy %s for %s %s, at most %s a month", t.Threshold, plan.Offer.Title, plan.Offer.Price.Decimal(),
			strings.ToUpper(t.Currency), in.Limit.Decimal())
		return s.audit(tx, a.Agency.ID, in.By, "top_up.on", a.Wallet.String(), detail, "", now)
	})
	if err != nil {
		return t, models.Purchase{}, err
	}
	bought, err := s.topUpWallet(ctx, a.Agency.ID, a.Wallet, now)
	if err != nil { // it is turned on, and the clock tries again
		s.log.LogAttrs(ctx, slog.LevelError, "top a wallet up", slog.String("wallet", a.Wallet.String()), slog.Any("error", err))
	}
	t, err = topUpOf(s.db.Read.WithContext(ctx), a.Agency.ID, a.Wallet)
	return t, bought, err
}

// TurnTopUpOff ends automatic top-up; the card stays saved. What is under way at
// the bank is booked all the same.
func (s *Service) TurnTopUpOff(ctx context.Context, a *Account, by Actor) error {
	now := s.clock.Now()
	return s.db.InTx(ctx, func(tx *gorm.DB) error {
		r := tx.Model(&models.TopUp{}).Where("agency_id = ? AND wallet_id = ? AND state <> ?", a.Agency.ID, a.Wallet, models.TopUpOff).
			Updates(map[string]any{"state": models.TopUpOff, "reason": "", "note": "", "due_at": 0, "paused_at": 0})
		if r.Error != nil || r.RowsAffected == 0 {
			return r.Error
		}
		return s.audit(tx, a.Agency.ID, by, "top_up.off", a.Wallet.String(), "", "", now)
	})
}

// retryable tells whether somebody may have a card tried once more that was
// declined so often.
func retryable(t *models.TopUp, tried int64, now models.Time) bool {
	return t.State == models.TopUpPaused && t.Reason == models.TopUpDeclined && t.HasCard() && tried < maxDeclines && now.Sub(t.AttemptedAt) >= topUpEvery
}

// RetryTopUp tries a declined card once more because somebody asks for it. Errors:
// not_retryable.
func (s *Service) RetryTopUp(ctx context.Context, a *Account, by Actor) (models.Purchase, error) {
	now := s.clock.Now()
	err := s.db.InTx(ctx, func(tx *gorm.DB) error {
		t, err := topUpOf(tx, a.Agency.ID, a.Wallet)
		if err != nil {
			return err
		}
		tried, err := declinesOfCard(tx, &t, now)
		if err != nil {
			return err
		}
		if !retryable(&t, tried, now) {
			return problem.New(problem.Conflict, "not_retryable", "This card cannot be tried again now. Use another card, or pay once yourself.").On("card")
		}
		r := tx.Model(&models.TopUp{}).Where("agency_id = ? AND wallet_id = ? AND state = ? AND reason = ?", a.Agency.ID, a.Wallet, t.State, t.Reason).
			Updates(map[string]any{"state": models.TopUpOn, "reason": "", "note": "", "paused_at": 0, "due_at": now, "declines": pauseAfter - 1})
		if r.Error != nil || r.RowsAffected == 0 {
			return r.Error
		}
		return s.audit(tx, a.Agency.ID, by, "top_up.retry", a.Wallet.String(), "", "", now)
	})
	if err != nil {
		return models.Purchase{}, err
	}
	return s.topUpWallet(ctx, a.Agency.ID, a.Wallet, now)
}

// AllowClientTopUps lets an agency's clients turn automatic top-up on, or no
// longer; then those that have it on are paused before they buy again.
func (s *Service) AllowClientTopUps(ctx context.Context, agency models.AgencyID, allow bool, by Actor) error {
	now := s.clock.Now()
	err := s.db.InTx(ctx, func(tx *gorm.DB) error {
		r := tx.Model(&models.Agency{}).Where("id = ? AND client_top_up <> ?", agency, allow).Update("client_top_up", allow)
		if r.Error != nil || r.RowsAffected == 0 {
			return r.Error
		}
		detail := "not allowed"
		if allow {
			detail = "allowed"
		}
		return s.audit(tx, agency, by, "top_up.clients", agency.String(), detail, "", now)
	})
	return err
}

// ClientTopUps tells whether an agency's clients may turn automatic top-up on.
func (s *Service) ClientTopUps(ctx context.Context, agency models.AgencyID) (bool, error) {
	var row models.Agency
	err := s.db.Read.WithContext(ctx).Select("client_top_up").Where("id = ?", agency).Take(&row).Error
	return row.ClientTopUp, missing(err, "agency")
}

// PayTopUp opens a checkout at which somebody pays what the saved card would not,
// so that automatic top-up goes on with the card they pay with. Errors: as Buy and
// BuyPackage, and nothing_to_pay.
func (s *Service) PayTopUp(ctx context.Context, a *Account, key, email string, by Actor) (models.Purchase, error) {
	now := s.clock.Now()
	t, err := topUpOf(s.db.Read.WithContext(ctx), a.Agency.ID, a.Wallet)
	if err != nil {
		return models.Purchase{}, err
	}
	if t.State != models.TopUpPaused || !t.Reason.OfCard() {
		return models.Purchase{}, problem.New(problem.Conflict, "nothing_to_pay", "Automatic top-up is not waiting for a payment.")
	}
	if a.SubAccount != nil {
		return s.BuyPackage(ctx, PackageInput{Account: a, Package: t.PackageID.String(), Key: key, Email: email, By: by, recovers: &t})
	}
	return s.checkOut(ctx, attempt{
		account: a, key: key, email: email, by: by, back: s.baseURL, recovers: &t, asked: fingerprint("top_up", a.Wallet.String(), t.PackID.String()),
		offer: func(tx *gorm.DB, p *models.Purchase) error {
			offer, err := agreedPack(tx, &t)
			if err != nil {
				return err
			}
			view, err := s.ledger.ViewIn(ctx, tx, a.Agency.ID, a.Wallet, now)
			if err != nil {
				return err
			}
			takeOffer(p, &offer, timesFor(t.Threshold-view.Balance.Left(), offer.Credits))
			return tx.Create(p).Error
		},
	})
}

// cardEvent takes the card of which a page for saving one tells, whoever closed
// the page.
func (s *Service) cardEvent(ctx context.Context, e *models.StripeEvent) (found bool, err error) {
	wallet, err := models.ParseID[models.WalletID](e.Reference)
	if err != nil || e.Type != "checkout.session.completed" {
		return false, nil //nolint:nilerr // it is about something else
	}
	a, err := s.AccountOf(ctx, wallet)
	if problem.Is(err, "not_found") {
		return true, foreignError("it is about a card of nobody here")
	}
	if err != nil {
		return true, err
	}
	_, err = s.TakeCard(ctx, a, e.ObjectID, actorStripe)
	if p := problem.Of(err); p != nil && p.Code != "payment_unavailable" {
		return true, foreignError("a card that was not kept: " + p.Message)
	}
	return true, err
}

// Offer is the offer of an id, nil when it is not on sale.
func (v *TopUpView) Offer(id string) *TopUpOffer {
	for i := range v.Offers {
		if id != "" && v.Offers[i].ID == id {
			return &v.Offers[i]
		}
	}
	return nil
}

// TopUpState reads no more of an account's automatic top-up than how it stands.
func (s *Service) TopUpState(ctx context.Context, a *Account) (models.TopUp, error) {
	return topUpOf(s.db.Read.WithContext(ctx), a.Agency.ID, a.Wallet)
}
