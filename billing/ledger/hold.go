package ledger

import (
	"bytes"
	"time"

	"refill/billing/problem"
	"refill/models"
)

// Bounds of a hold's life.
const (
	DefaultHoldTTL = 15 * time.Minute
	MaxHoldTTL     = 24 * time.Hour
)

// HoldRequest reserves credits for work that begins now.
type HoldRequest struct {
	Agency      models.AgencyID
	Wallet      models.WalletID
	Key         string
	Fingerprint []byte
	Action      string
	Model       string
	Credits     models.Credits
	TTL         time.Duration
	At          models.Time
	DayStart    models.Time
}

// HoldReceipt is a hold and the lots it stands on.
type HoldReceipt struct {
	Hold     models.Hold
	Draws    []Draw
	Replayed bool
}

// CaptureRequest turns a hold into a charge of Charge.Credits; Charge.Wallet is
// the hold's wallet.
type CaptureRequest struct {
	Hold   models.HoldID
	Charge ChargeRequest
}

// ReleaseRequest lets a hold go.
type ReleaseRequest struct {
	Agency models.AgencyID
	Wallet models.WalletID // the hold's
	Hold   models.HoldID
	At     models.Time
}

func (b *book) hold(r *HoldRequest) (HoldReceipt, error) {
	k := key{r.Agency, r.Key}
	if old := b.holdKeys[k]; old != nil {
		if !bytes.Equal(old.Fingerprint, r.Fingerprint) {
			return HoldReceipt{}, problem.KeyReused()
		}
		draws, err := decodeDraws(old.Draws)
		return HoldReceipt{Hold: *old, Draws: draws, Replayed: true}, err
	}
	a, err := b.usable(r.Wallet, r.At)
	if err != nil {
		return HoldReceipt{}, err
	}
	p, err := b.plan(a, r.Credits, r.At, r.DayStart, leeway{})
	if err != nil {
		return HoldReceipt{}, err
	}
	at := a.stamp(r.At)
	h := &models.Hold{
		AgencyID: r.Agency, ID: models.NewID[models.HoldID](r.At), WalletID: r.Wallet,
		IdempotencyKey: r.Key, Fingerprint: r.Fingerprint, Action: r.Action, Model: r.Model,
		Credits: r.Credits, Promised: p.excess, State: models.HoldOpen,
		ExpiresAt: at.Add(r.TTL), CreatedAt: at,
	}
	for _, d := range p.draws {
		b.move(b.accounts[d.Wallet], b.lots[d.Lot], HoldDraw, d.Credits, models.ActID(h.ID), r.At)
	}
	draws := p.draws
	if p.excess > 0 {
		b.promise(p.from, p.excess)
		draws = append(draws, Draw{Wallet: p.from.ID, Bucket: models.BucketExcess, Credits: p.excess})
	}
	b.drawPool(a, p.pooled, r.DayStart)
	h.Draws = encodeDraws(draws)
	b.holds[h.ID] = h
	if a.holds == nil {
		a.holds = map[models.HoldID]*models.Hold{}
	}
	a.holds[h.ID] = h
	b.newHolds = append(b.newHolds, h.ID)
	b.holdKeys[k] = h
	return HoldReceipt{Hold: *h, Draws: draws}, nil
}

// letGo ends an open hold and gives back what of it was not used; what expired
// meanwhile goes to breakage.
func (b *book) letGo(h *models.Hold, unused []Draw, state models.HoldState, at models.Time) {
	var pooled models.Credits
	for _, d := range unused {
		if d.Wallet != h.WalletID {
			pooled += d.Credits
		}
		a := b.accounts[d.Wallet]
		if d.Bucket == models.BucketExcess {
			b.promise(a, -d.Credits)
			continue
		}
		kind, l := ReleaseBack, b.lots[d.Lot]
		if l.ExpiresAt <= a.stamp(at) {
			kind = Forfeit
		}
		b.move(a, l, kind, d.Credits, models.ActID(h.ID), at)
		b.settleExcess(a, models.ActID(h.ID), at)
	}
	b.undrawPool(b.accounts[h.WalletID], pooled, h.CreatedAt)
	h.State, h.EndedAt = state, at
	b.ended = append(b.ended, h.ID)
}

// needsLocked tells whether every wallet a hold stands on is in the book, and every
// lot as long as it is open.
func (b *book) needsLocked(a *account, h *models.Hold, draws []Draw) error {
	for _, d := range draws {
		if b.accounts[d.Wallet] == nil {
			return errNeedsPool
		}
		if h.State == models.HoldOpen && d.Bucket != models.BucketExcess && b.lots[d.Lot] == nil {
			return errOutdated // the hold was made after what is remembered of its wallet
		}
		if d.Bucket == models.BucketExcess && b.agencyOf(b.accounts[d.Wallet]) == nil {
			return errNeedsPool
		}
	}
	if a.Excess > 0 && b.agencyOf(a) == nil {
		return errNeedsPool
	}
	return nil
}

func (b *book) release(r *ReleaseRequest) (HoldReceipt, error) {
	h := b.holds[r.Hold]
	if h == nil || h.WalletID != r.Wallet || !h.PurchaseID.IsZero() {
		return HoldReceipt{}, problem.Missing("hold")
	}
	draws, err := decodeDraws(h.Draws)
	if err != nil {
		return HoldReceipt{}, err
	}
	switch h.State {
	case models.HoldReleased, models.HoldExpired:
		return HoldReceipt{Hold: *h, Draws: draws, Replayed: true}, nil
	case models.HoldCaptured:
		return HoldReceipt{}, holdEnded(h)
	case models.HoldOpen:
	}
	a := b.accounts[h.WalletID]
	if a == nil {
		return HoldReceipt{}, problem.Missing("hold")
	}
	if err := b.needsLocked(a, h, draws); err != nil {
		return HoldReceipt{}, err
	}
	state := models.HoldReleased
	if h.ExpiresAt <= r.At {
		state = models.HoldExpired
	}
	b.letGo(h, draws, state, a.stamp(r.At))
	return HoldReceipt{Hold: *h, Draws: draws}, nil
}

func holdEnded(h *models.Hold) error {
	return problem.New(problem.Conflict, "hold_not_open", "This hold was %s already; each hold ends once.", h.State).
		With("state", h.State)
}

// capture books what the held work really cost. Within the TTL it takes the
// held credits first, in the order they were held, and the difference like a
// charge. After it, it is a new charge that may go into excess up to the held
// amount even where the wallet pauses: the work was promised.
func (b *book) capture(r *CaptureRequest) (Receipt, error) {
	k := key{r.Charge.Agency, r.Charge.Key}
	if old, err := b.replay(k, r.Charge.Fingerprint); old != nil || err != nil {
		return Receipt{Charge: deref(old), Draws: b.paid[k], Replayed: true}, err
	}
	h := b.holds[r.Hold]
	a := b.accounts[r.Charge.Wallet]
	if h == nil || a == nil || h.WalletID != a.ID || !h.PurchaseID.IsZero() {
		return Receipt{}, problem.Missing("hold")
	}
	draws, err := decodeDraws(h.Draws)
	if err != nil {
		return Receipt{}, err
	}
	if h.State == models.HoldCaptured || h.State == models.HoldReleased {
		return Receipt{}, holdEnded(h)
	}
	if err := b.needsLocked(a, h, draws); err != nil {
		return Receipt{}, err
	}
	at := a.stamp(r.Charge.At)
	c := r.Charge.row()
	c.HoldID = h.ID
	if h.State == models.HoldExpired || h.ExpiresAt <= at {
		return b.captureLate(r, h, draws, a, c, k, at)
	}
	b.settleChain(a, at)
	// Held lots pay first, in the order they were held. The rest, what was
	// promised of excess included, is found like a charge: credits that came
	// meanwhile go before excess.
	var taken, unused []Draw
	var over leeway
	rest := r.Charge.Credits
	for _, d := range draws {
		part := min(rest, d.Credits)
		if d.Bucket == models.BucketExcess {
			over.excess += d.Credits
			if d.Wallet != a.ID {
				over.pool += d.Credits
			}
			part = 0
		}
		for _, s := range []struct {
			to      *[]Draw
			credits models.Credits
		}{{&taken, part}, {&unused, d.Credits - part}} {
			if s.credits > 0 {
				*s.to = append(*s.to, Draw{Wallet: d.Wallet, Lot: d.Lot, Bucket: d.Bucket, Credits: s.credits})
			}
		}
		rest -= part
	}
	more, err := b.plan(a, rest, at, r.Charge.DayStart, over)
	if err != nil {
		return Receipt{}, err
	}
	b.letGo(h, unused, models.HoldCaptured, at)
	act := models.ActID(c.ID)
	for _, d := range taken {
		b.move(b.accounts[d.Wallet], b.lots[d.Lot], CaptureDraw, d.Credits, act, at)
	}
	paid := append(taken, b.pay(a, more, act, at, r.Charge.DayStart)...) //nolint:gocritic // taken ends here
	return b.finish(a, c, paid, k, at)
}

func (b *book) captureLate(r *CaptureRequest, h *models.Hold, draws []Draw, a *account, c *models.Charge, k key, at models.Time) (Receipt, error) {
	c.Late = true
	if b.agencyOf(a) == nil {
		return Receipt{}, errNeedsPool
	}
	if h.State == models.HoldOpen {
		b.letGo(h, draws, models.HoldExpired, at)
	}
	b.settleChain(a, at)
	over := leeway{excess: min(r.Charge.Credits, h.Credits)}
	for _, d := range draws {
		if d.Wallet != a.ID {
			over.pool += d.Credits
		}
	}
	p, err := b.plan(a, r.Charge.Credits, at, r.Charge.DayStart, over)
	if err != nil {
		return Receipt{}, err
	}
	h.State, h.EndedAt = models.HoldCaptured, at
	b.ended = append(b.ended, h.ID)
	paid := b.pay(a, p, models.ActID(c.ID), at, r.Charge.DayStart)
	return b.finish(a, c, paid, k, at)
}
