package billing

import (
	"context"

	"gorm.io/gorm"

	"refill/billing/ledger"
	"refill/billing/period"
	"refill/billing/problem"
	"refill/models"
)

// WalletView is an account's balance as its owner may see it.
type WalletView struct {
	ledger.View
	Account *Account
	Payable models.Credits // what a charge could draw now, pool and allowed excess included
	Pool    *PoolView      // how the agency's pool feeds it; nil when it does not
	Now     models.Time

	CardDeclined bool // automatic top-up was declined and has not paid since; only Wallet says so
}

// PoolView is what an account may draw from its agency's pool. It never tells
// the agency's balance.
type PoolView struct {
	Cap   models.Credits // 0: no cap
	Drawn models.Credits // since the span began
	Every models.PoolEvery
}

// Wallet reads an account's balance, and the pool's that feeds it, as they stood
// together.
func (s *Service) Wallet(ctx context.Context, a *Account) (WalletView, error) {
	out := WalletView{Account: a, Now: s.clock.Now()}
	s.inPeriod(ctx, a.Agency.ID, out.Now)
	views, err := s.ledger.Views(ctx, a.Agency.ID, out.Now, a.Wallet)
	if err == nil && fed(&views[0].Wallet) {
		views, err = s.ledger.Views(ctx, a.Agency.ID, out.Now, a.Wallet, views[0].Wallet.PoolWalletID)
	}
	if err != nil {
		return out, err
	}
	out.complete(views)
	declined, err := s.declined.get(ctx)
	out.CardDeclined = declined[a.Wallet]
	return out, err
}

// declinedWallets are those whose automatic top-up was declined and has not paid
// since: few, read at once for all who look at a balance meanwhile.
func declinedWallets(tx *gorm.DB) (map[models.WalletID]bool, error) {
	var ids []models.WalletID
	err := tx.Model(&models.TopUp{}).
		Where("state = 'on' AND declines > 0 OR state = 'paused' AND reason IN ('declined', 'blocked', 'authentication')"). // the index top_ups_declined
		Pluck("wallet_id", &ids).Error
	out := make(map[models.WalletID]bool, len(ids))
	for _, id := range ids {
		out[id] = true
	}
	return out, err
}

// ChargeFailed is the state of a wallet whose automatic top-up was declined.
const ChargeFailed ledger.State = "charge_failed"

// Condition is the one state to name where there is room for one: the worst that
// is true (UX 1.0.3).
func (out *WalletView) Condition() ledger.State {
	if out.CardDeclined && out.State != ledger.StatePaused && out.State != ledger.StateUpstream {
		return ChargeFailed
	}
	return out.State
}

// walletIn is Wallet inside the caller's transaction.
func (s *Service) walletIn(tx *gorm.DB, a *Account, now models.Time) (WalletView, error) {
	out := WalletView{Account: a, Now: now}
	own, err := s.ledger.ViewIn(tx.Statement.Context, tx, a.Agency.ID, a.Wallet, now)
	if err != nil {
		return out, err
	}
	views := []ledger.View{own}
	if fed(&own.Wallet) {
		pool, err := s.ledger.ViewIn(tx.Statement.Context, tx, a.Agency.ID, own.Wallet.PoolWalletID, now)
		if err != nil {
			return out, err
		}
		views = append(views, pool)
	}
	out.complete(views)
	return out, nil
}

// complete takes in the wallet, and the pool that feeds it.
func (out *WalletView) complete(views []ledger.View) {
	out.View = views[0]
	switch {
	case out.Wallet.Status == models.WalletSuspended:
		if !out.Wallet.SubAccountID.IsZero() { // its agency's doing, which a client is not told
			out.State = ledger.StateUpstream
		}
	case fed(&out.Wallet):
		out.feed(&views[1])
	default:
		out.Payable = payable(&out.View)
	}
}

// fed tells whether the agency's pool feeds a wallet.
func fed(w *models.Wallet) bool {
	return !w.SubAccountID.IsZero() && (w.Funding == models.Pooled || w.PoolCap > 0)
}

// payable is what a charge could draw on a wallet's own.
func payable(v *ledger.View) models.Credits {
	return v.Balance.Available + max(0, v.Wallet.ExcessLimit-v.Wallet.Excess-v.Wallet.Promised)
}

// feed adds what the agency's pool gives.
func (out *WalletView) feed(pool *ledger.View) {
	w := &out.Wallet
	since := pool.Wallet.CycleStart
	if w.PoolEvery == models.PoolDay {
		since = period.DayStart(out.Now, out.Account.Zone)
	}
	out.Pool = &PoolView{Cap: w.PoolCap, Every: w.PoolEvery}
	if w.PoolSince >= since {
		out.Pool.Drawn = w.PoolDrawn
	}
	fromPool := pool.Balance.Available
	if w.Funding == models.Pooled {
		fromPool = payable(pool)
		if pool.State == ledger.StatePaused {
			out.State = ledger.StateUpstream
		} else if out.State == ledger.StatePaused && w.Status == models.WalletActive {
			out.State = ledger.StateHealthy
		}
	} else {
		out.Payable = payable(&out.View)
	}
	if w.PoolCap > 0 {
		fromPool = min(fromPool, max(0, w.PoolCap-out.Pool.Drawn))
	}
	out.Payable += fromPool
	if w.Funding == models.Prepaid && out.State == ledger.StatePaused && w.Status == models.WalletActive && out.Payable > 0 {
		out.State = ledger.StateLow // its own are used up, and the agency's go on
	}
}

// ChargeByID reads a booked charge. Errors: not_found.
func (s *Service) ChargeByID(ctx context.Context, scope Scope, agency models.AgencyID, id models.ChargeID) (ledger.Receipt, error) {
	if !scope.Covers(agency) {
		return ledger.Receipt{}, problem.Missing("charge")
	}
	return s.ledger.ChargeByID(ctx, agency, id)
}

// ChargeByKey reads a booked charge by its idempotency key. Errors: not_found.
func (s *Service) ChargeByKey(ctx context.Context, agency models.AgencyID, key string) (ledger.Receipt, error) {
	return s.ledger.ChargeByKey(ctx, agency, key)
}

// Reverse gives a failed action's credits back, once. Errors: not_found,
// test_charge, idempotency_key_reused.
func (s *Service) Reverse(ctx context.Context, scope Scope, agency models.AgencyID, charge models.ChargeID, key, reason string) (ledger.Reversed, error) {
	if err := checkKey(key); err != nil {
		return ledger.Reversed{}, err
	}
	if len(reason) > 500 {
		return ledger.Reversed{}, problem.New(problem.Invalid, "reason_too_long", "A reason has at most 500 bytes.").On("reason")
	}
	if !scope.Covers(agency) {
		return ledger.Reversed{}, problem.Missing("charge")
	}
	now := s.clock.Now()
	var out ledger.Reversed
	err := s.once(ctx, func(tx *gorm.DB) (err error) {
		out, err = s.ledger.Reverse(ctx, tx, ledger.ReverseRequest{Agency: agency, Charge: charge, Key: key, Reason: reason, At: now})
		return err
	})
	return out, err
}

// TransferInput asks to assign credits to a sub-account, or take them back.
type TransferInput struct {
	Agency     models.AgencyID
	SubAccount models.SubAccountID
	Credits    models.Credits
	Note       string
	Sold       bool // Assign only: a sale settled outside Refill
	Key        string
	By         Actor
}

// Assign moves credits from the agency to one sub-account. The same key assigns
// once. Errors: insufficient_credits, invalid_credits, idempotency_key_reused,
// pooled_account.
func (s *Service) Assign(ctx context.Context, scope Scope, in TransferInput) (ledger.Transfer, error) {
	return s.transfer(ctx, scope, in, false)
}

// TakeBack returns unspent assigned credits to the agency. Errors: as Assign.
func (s *Service) TakeBack(ctx context.Context, scope Scope, in TransferInput) (ledger.Transfer, error) {
	return s.transfer(ctx, scope, in, true)
}

func (s *Service) transfer(ctx context.Context, scope Scope, in TransferInput, back bool) (ledger.Transfer, error) {
	now := s.clock.Now()
	if err := checkKey(in.Key); err != nil {
		return ledger.Transfer{}, err
	}
	if in.Credits <= 0 || in.Credits > models.MaxCharge {
		return ledger.Transfer{}, problem.New(problem.Invalid, "invalid_credits", "Give an amount above 0 and up to %s credits.", mostCredits()).On("credits")
	}
	if len(in.Note) > 500 {
		return ledger.Transfer{}, problem.New(problem.Invalid, "note_too_long", "A note has at most 500 bytes.").On("note")
	}
	if !scope.Covers(in.Agency) {
		return ledger.Transfer{}, problem.Missing("sub-account")
	}
	var out ledger.Transfer
	err := s.once(ctx, func(tx *gorm.DB) error {
		agency, sub, err := s.pair(tx, in.Agency, in.SubAccount)
		if err != nil {
			return err
		}
		r := ledger.TransferRequest{
			Agency: in.Agency, From: agency.WalletID, To: sub.WalletID, Credits: in.Credits, Sold: in.Sold, Actor: string(in.By), Note: in.Note,
			Key: in.Key, Fingerprint: fingerprint("transfer", flag(back), flag(in.Sold), sub.ID.String(), in.Credits.String(), in.Note), At: now,
		}
		if act, done, err := s.ledger.ActByKey(tx, in.Agency, in.Key, r.Fingerprint); done || err != nil {
			out = ledger.Transfer{Act: act, Replayed: done}
			return err
		}
		if back {
			r.From, r.To = r.To, r.From
			out, err = s.ledger.TakeBack(ctx, tx, r)
		} else {
			if err := fedByHand(tx, sub); err != nil {
				return err
			}
			out, err = s.ledger.Assign(ctx, tx, r)
		}
		return err
	})
	return out, err
}

// fedByHand refuses credits for an account that would never draw them.
func fedByHand(tx *gorm.DB, sub models.SubAccount) error {
	if sub.Status != models.SubAccountActive {
		return archived(&sub)
	}
	var pooled int64
	if err := tx.Model(&models.Wallet{}).Where("agency_id = ? AND id = ? AND funding = ?", sub.AgencyID, sub.WalletID, models.Pooled).
		Count(&pooled).Error; err != nil {
		return err
	}
	if pooled > 0 {
		return problem.New(problem.Conflict, "pooled_account",
			"%s draws on the agency's pool and would never use credits of its own. Make it prepaid first.", sub.Name).On("sub_account")
	}
	return nil
}
