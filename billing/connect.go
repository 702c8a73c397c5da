package billing

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"time"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"refill/billing/checkout"
	"refill/billing/problem"
	"refill/models"
)

// Connect is what billing needs of Stripe so that agencies can sell.
type Connect interface {
	CreateAccount(ctx context.Context, p checkout.AccountParams) (checkout.Account, error)
	AccountLink(ctx context.Context, p checkout.LinkParams) (checkout.Link, error)
	Account(ctx context.Context, id string) (checkout.Account, error)
	Dashboard(account string) string
}

// actorStripe is who changed what Stripe told us of.
const actorStripe Actor = "stripe"

// connectionAge is how old our knowledge of an account may become before Stripe
// is asked again, whether or not an event told us to.
const connectionAge = time.Hour

// Connection is an agency's Stripe account as it is known now.
type Connection struct {
	models.StripeAccount

	Due       []string // what Stripe still needs, in words
	Why       string   // why it may not take money, in a sentence; may be empty
	Dashboard string   // address where its owner looks after it; "" without an account
}

// ConnectionState is what an agency's Stripe account means for its sales.
type ConnectionState string

// The states of a connection.
const (
	ConnectionNone    ConnectionState = "none"
	ConnectionStarted ConnectionState = "started" // its owner has not gone through Stripe's pages
	ConnectionLacking ConnectionState = "lacking" // Stripe needs more details before it takes money
	ConnectionSelling ConnectionState = "selling"
	ConnectionPaused  ConnectionState = "paused" // Stripe takes no money, and asks for nothing
	ConnectionEnded   ConnectionState = "ended"  // its owner has disconnected us
)

// State tells what the connection means for sales.
func (c *Connection) State() ConnectionState {
	switch {
	case c.Account == "":
		return ConnectionNone
	case c.DisconnectedAt != 0:
		return ConnectionEnded
	case c.Sells():
		return ConnectionSelling
	case !c.DetailsSubmitted:
		return ConnectionStarted
	case len(c.Due) > 0:
		return ConnectionLacking
	}
	return ConnectionPaused
}

// Connection reads the Stripe account an agency sells through as it was last
// known; its Account is "" when there is none.
func (s *Service) Connection(ctx context.Context, agency models.AgencyID) (models.StripeAccount, error) {
	return connection(s.db.Read.WithContext(ctx), agency)
}

// Dashboard is where the owner of the Stripe account that an agency sells through
// looks after it; "" without one.
func (s *Service) Dashboard(ctx context.Context, agency models.AgencyID) (string, error) {
	row, err := s.Connection(ctx, agency)
	if err != nil || s.payments == nil || row.Account == "" || row.DisconnectedAt != 0 {
		return "", err
	}
	return s.payments.Dashboard(row.Account), nil
}

func connection(tx *gorm.DB, agency models.AgencyID) (models.StripeAccount, error) {
	var out models.StripeAccount
	err := tx.Where("agency_id = ?", agency).Take(&out).Error
	if errors.Is(err, gorm.ErrRecordNotFound) {
		return models.StripeAccount{AgencyID: agency}, nil
	}
	return out, err
}

// lockedConnection reads the row of an agency that has an account, for a change.
func lockedConnection(tx *gorm.DB, agency models.AgencyID) (models.StripeAccount, error) {
	var out models.StripeAccount
	err := tx.Clauses(clause.Locking{Strength: "UPDATE"}).Where("agency_id = ?", agency).Take(&out).Error
	return out, err
}

// sellsThrough finds the Stripe account an agency sells through. Errors:
// not_connected, payments_disabled.
func (s *Service) sellsThrough(tx *gorm.DB, agency models.AgencyID) (models.StripeAccount, error) {
	out, err := connection(tx, agency)
	switch {
	case err != nil:
		return out, err
	case out.Account == "" || out.DisconnectedAt != 0 || !out.ChargesEnabled && !out.DetailsSubmitted:
		return out, problem.New(problem.Conflict, "not_connected", "Payments are not set up yet. You have not been charged.")
	case !out.Sells():
		return out, problem.New(problem.Conflict, "payments_disabled", "Payments are paused at the moment. You have not been charged.")
	}
	return out, nil
}

// StartOnboarding gives a fresh link to Stripe's set-up pages for an agency's
// account, which it opens the first time, and again after the agency has
// disconnected the one it had. Errors: not_found, payment_unavailable.
func (s *Service) StartOnboarding(ctx context.Context, agency models.AgencyID, by Actor) (string, error) {
	if s.payments == nil {
		return "", connectUnavailable(errors.New("no payment provider is configured"))
	}
	for range 2 { // the account may turn out to be disconnected only when it is asked for a link
		row, err := s.Connection(ctx, agency)
		if err != nil {
			return "", err
		}
		if row.DisconnectedAt != 0 { // it may have come back: Stripe knows
			now, err := s.RefreshConnection(ctx, agency)
			if err != nil {
				return "", err
			}
			row = now.StripeAccount
		}
		if row.Account == "" || row.DisconnectedAt != 0 {
			if row, err = s.openAccount(ctx, agency, row.Account, by); err != nil {
				return "", err
			}
		}
		link, err := s.payments.AccountLink(ctx, checkout.LinkParams{
			Account: row.Account, RefreshURL: s.baseURL + "/packages/connect?again=1", ReturnURL: s.baseURL + "/packages/connect/return",
		})
		switch {
		case err == nil:
			return link.URL, nil
		case !checkout.IsRevoked(err):
			return "", connectUnavailable(err)
		}
		if _, err := s.RefreshConnection(ctx, agency); err != nil {
			return "", err
		}
	}
	return "", connectUnavailable(errors.New("the account was disconnected while its link was made"))
}

// openAccount opens an account at Stripe in place of the one before, "" for
// none. Whoever comes at the same time, or again after a crash, opens the same
// one: the key says which account of which agency it is.
func (s *Service) openAccount(ctx context.Context, agency models.AgencyID, before string, by Actor) (models.StripeAccount, error) {
	none := models.StripeAccount{}
	a, err := s.Agency(ctx, agency)
	if err != nil {
		return none, err
	}
	ask := checkout.AccountParams{Reference: agency.String(), IdempotencyKey: "connect:" + agency.String() + before, Name: a.Name}
	made, err := s.payments.CreateAccount(ctx, ask)
	if checkout.KindOf(err) == checkout.KindConflict {
		// The agency took another name between a crash and now: the account made
		// under the old one stays behind, empty.
		ask.IdempotencyKey += ":" + a.Name[:min(len(a.Name), 100)]
		made, err = s.payments.CreateAccount(ctx, ask)
	}
	if err != nil {
		return none, connectUnavailable(err)
	}
	return s.connect(ctx, agency, before, made, "agency.connect.start", by)
}

// ConnectExisting sells through an account that Stripe lets us act for already.
// Errors: not_found, account_taken, account_unknown, already_connected,
// payment_unavailable.
func (s *Service) ConnectExisting(ctx context.Context, agency models.AgencyID, account string, by Actor) (models.StripeAccount, error) {
	if s.payments == nil {
		return models.StripeAccount{}, connectUnavailable(errors.New("no payment provider is configured"))
	}
	if _, err := s.Agency(ctx, agency); err != nil {
		return models.StripeAccount{}, err
	}
	row, err := s.Connection(ctx, agency)
	switch {
	case err != nil:
		return row, err
	case row.Account == account && row.DisconnectedAt == 0:
		now, err := s.RefreshConnection(ctx, agency)
		return now.StripeAccount, err
	case row.Account != "" && row.DisconnectedAt == 0:
		return row, problem.New(problem.Conflict, "already_connected", "This agency sells through another Stripe account; disconnect that one first.").On("account")
	}
	got, err := s.payments.Account(ctx, account)
	switch {
	case checkout.IsRevoked(err), checkout.KindOf(err) == checkout.KindNotFound:
		return row, problem.New(problem.Invalid, "account_unknown", "Stripe does not let us act for this account; connect it first.").On("account").Because(err)
	case err != nil:
		return row, connectUnavailable(err)
	}
	if row, err = s.connect(ctx, agency, row.Account, got, "agency.connect", by); err != nil {
		return row, err
	}
	// What changed between the question and the row went unheard.
	now, err := s.RefreshConnection(ctx, agency)
	return now.StripeAccount, err
}

// connect writes an agency's account, the first or in place of the one before.
// If another request was quicker, its row is the answer. Errors: account_taken.
func (s *Service) connect(
	ctx context.Context, agency models.AgencyID, before string, a checkout.Account, action string, by Actor,
) (models.StripeAccount, error) {
	now := s.clock.Now()
	var out models.StripeAccount
	err := s.db.InTx(ctx, func(tx *gorm.DB) error {
		row := models.StripeAccount{AgencyID: agency, Account: a.ID, CheckedAt: now, CreatedAt: now}
		told(&row, &a)
		written, err := s.putConnection(tx, before, &row, &a, now)
		if err != nil {
			return err
		}
		if out, err = connection(tx, agency); err != nil {
			return err
		}
		if out.Account == "" { // nothing of ours stood in the way: another agency has this account
			return accountTaken()
		}
		if !written {
			return nil
		}
		return s.audit(tx, agency, by, action, a.ID, "", "", now)
	})
	if models.IsDuplicate(err) {
		err = accountTaken()
	}
	return out, err
}

// putConnection writes the row of an account that was made; written is false when
// another request was quicker.
func (s *Service) putConnection(
	tx *gorm.DB, before string, row *models.StripeAccount, made *checkout.Account, now models.Time,
) (written bool, err error) {
	if before == "" {
		done := tx.Clauses(clause.OnConflict{DoNothing: true}).Create(row)
		return done.RowsAffected == 1, done.Error
	}
	was, err := lockedConnection(tx, row.AgencyID)
	if err != nil || was.Account != before {
		return false, err
	}
	row.CheckedAt, row.PausedAt = max(now, was.CheckedAt+1), was.PausedAt
	if err := s.notifySales(tx, &was, row, made, now); err != nil {
		return false, err
	}
	return true, tx.Where("agency_id = ?", row.AgencyID).Select("*").Updates(row).Error
}

func accountTaken() error {
	return problem.New(problem.Conflict, "account_taken", "Another agency sells through this Stripe account; an account belongs to one agency only.").On("account")
}

func connectUnavailable(err error) error {
	return problem.New(problem.Unavailable, "payment_unavailable", "Stripe does not answer right now. Nothing was changed. Try again in a moment.").Because(err)
}

// told takes over what Stripe says of an account.
func told(row *models.StripeAccount, a *checkout.Account) {
	row.Name, row.Statement = a.Name, a.Statement
	row.ChargesEnabled, row.PayoutsEnabled, row.DetailsSubmitted = a.ChargesEnabled, a.PayoutsEnabled, a.DetailsSubmitted
	row.DisconnectedAt = 0
}

// maxAsks is how often Stripe is asked when somebody else stores a newer answer
// meanwhile.
const maxAsks = 5

// RefreshConnection asks Stripe how an agency's account stands and stores it:
// the page an owner comes back to, events and the clock call it. Without an
// account it does nothing. An error that comes with a connection leaves it as
// it was last known. Errors: payment_unavailable.
func (s *Service) RefreshConnection(ctx context.Context, agency models.AgencyID) (Connection, error) {
	var out Connection
	for range maxAsks {
		row, err := s.Connection(ctx, agency)
		if err != nil || row.Account == "" {
			return Connection{StripeAccount: row}, err
		}
		out = Connection{StripeAccount: row}
		if s.payments == nil {
			return out, connectUnavailable(errors.New("no payment provider is configured"))
		}
		out.Dashboard = s.payments.Dashboard(row.Account)
		now := s.clock.Now() // of the question: the answer is as old as that
		got, asked := s.payments.Account(ctx, row.Account)
		if checkout.IsRevoked(asked) {
			got, asked = checkout.Account{}, nil
		}
		stored, current, err := s.storeAnswer(ctx, row, got, asked, now)
		switch {
		case err != nil:
			return out, err
		case asked != nil:
			return out, connectUnavailable(asked)
		case current:
			out.StripeAccount, out.Due, out.Why = stored, got.Due, got.Disabled
			return out, nil
		}
	}
	return out, connectUnavailable(errors.New("the account keeps changing"))
}

// storeAnswer books what Stripe said of an account since row was read: got, or
// with asked that it said nothing. An answer without an id means that the owner
// has disconnected us. current is false when another answer was stored meanwhile:
// this one may be the older of the two.
func (s *Service) storeAnswer(
	ctx context.Context, row models.StripeAccount, got checkout.Account, asked error, now models.Time,
) (out models.StripeAccount, current bool, err error) {
	err = s.db.InTx(ctx, func(tx *gorm.DB) error {
		was, err := lockedConnection(tx, row.AgencyID)
		if err != nil {
			return err
		}
		out = was
		if current = out.CheckedAt == row.CheckedAt && out.Account == row.Account; !current {
			return nil
		}
		switch {
		case asked != nil: // it is asked again after a while
		case got.ID == "":
			disconnected(&out, now)
		default:
			told(&out, &got)
			if was.DisconnectedAt != 0 {
				out.CreatedAt = now // another connection: what ended the one before, and comes late, does not end it
			}
		}
		return s.saveConnection(tx, &was, &out, &got, now)
	})
	return out, current, err
}

func disconnected(row *models.StripeAccount, now models.Time) {
	row.ChargesEnabled, row.PayoutsEnabled = false, false
	if row.DisconnectedAt == 0 {
		row.DisconnectedAt = now
	}
}

// saveConnection writes a row that is locked, and notes and tells what it means
// for sales. said is what Stripe answered of it.
func (s *Service) saveConnection(tx *gorm.DB, was, next *models.StripeAccount, said *checkout.Account, now models.Time) error {
	next.CheckedAt = max(now, was.CheckedAt+1) // also the version of the row
	if err := s.notifySales(tx, was, next, said, now); err != nil {
		return err
	}
	if err := tx.Where("agency_id = ?", next.AgencyID).Select("*").Updates(next).Error; err != nil {
		return err
	}
	var action string
	switch {
	case was.DisconnectedAt == 0 && next.DisconnectedAt != 0:
		action = "agency.connect.end"
	case !was.Sells() && next.Sells():
		action = "agency.connect.ready"
	case was.Sells() && !next.Sells():
		action = "agency.connect.pause"
	default:
		return nil
	}
	return s.audit(tx, next.AgencyID, actorStripe, action, next.Account, "", "", now)
}

// connectionEvent handles an event about a connected account itself. Only the
// end of a connection is believed as signed: Stripe lets nobody ask about the
// account any more.
func (s *Service) connectionEvent(ctx context.Context, e *models.StripeEvent, now models.Time) error {
	var row models.StripeAccount
	err := s.db.Read.WithContext(ctx).Where("account = ?", e.Account).Take(&row).Error
	if errors.Is(err, gorm.ErrRecordNotFound) {
		return foreignError("no agency sells through this account")
	}
	if err != nil {
		return err
	}
	if e.Type != eventDeauthorized {
		_, err = s.RefreshConnection(ctx, row.AgencyID)
		return err
	}
	var body struct {
		Created int64 `json:"created"` // seconds
	}
	if err := json.Unmarshal(e.Payload, &body); err != nil {
		return err
	}
	return s.db.InTx(ctx, func(tx *gorm.DB) error {
		was, err := lockedConnection(tx, row.AgencyID)
		if err != nil {
			return err
		}
		if was.Account != e.Account || body.Created < was.CreatedAt.Go().Unix() {
			return foreignError("it ended an earlier connection")
		}
		next := was
		disconnected(&next, now)
		return s.saveConnection(tx, &was, &next, &checkout.Account{}, now)
	})
}

// connectionsDue asks about accounts nobody told us of for a while.
func (s *Service) connectionsDue(ctx context.Context, now models.Time) error {
	var old []models.StripeAccount
	if err := s.db.Read.WithContext(ctx).Where("disconnected_at = 0 AND checked_at <= ?", now.Add(-connectionAge)).
		Order("checked_at").Limit(pollBatch).Find(&old).Error; err != nil {
		return err
	}
	var errs []error
	for _, row := range old {
		if _, err := s.RefreshConnection(ctx, row.AgencyID); err != nil {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// doubtConnection asks Stripe about an agency's account after it refused to open
// a checkout there, so that the next buyer is told at once.
func (s *Service) doubtConnection(ctx context.Context, p *models.Purchase, refused error) {
	kind := checkout.KindOf(refused)
	if !p.IsSale() || kind != checkout.KindRefused && kind != checkout.KindUnauthorised {
		return
	}
	if _, err := s.RefreshConnection(ctx, p.AgencyID); err != nil {
		s.log.LogAttrs(ctx, slog.LevelWarn, "ask about a refused account", slog.String("account", p.Account), slog.Any("error", err))
	}
}

// unreachable books a sale that Stripe lets nobody ask about any more, because
// the agency has disconnected the account it is paid into. While the buyer may
// still pay, the agency may come back; then the kept stock is let go and a person
// decides. over is for a buyer who gave up.
func (s *Service) unreachable(ctx context.Context, p models.Purchase, now models.Time, over bool) (models.Purchase, error) {
	var out models.Purchase
	err := s.db.InTx(ctx, func(tx *gorm.DB) error {
		if err := tx.Clauses(clause.Locking{Strength: "UPDATE"}).
			Where("agency_id = ? AND id = ?", p.AgencyID, p.ID).Take(&out).Error; err != nil {
			return missing(err, "purchase")
		}
		out.CheckedAt = now
		if (over || out.ExpiresAt <= now) && progress(out.Status) < progress(models.PurchaseReview) {
			out.Status, out.StatusNote = models.PurchaseReview, "The Stripe account was disconnected, so whether this was paid cannot be checked."
			if err := s.releaseStock(ctx, tx, &out, now); err != nil {
				return err
			}
			if err := s.mailReview(tx, p.Status, &out, now); err != nil {
				return err
			}
		}
		return tx.Where("agency_id = ? AND id = ?", out.AgencyID, out.ID).Select("*").Updates(&out).Error
	})
	return out, err
}
