package ledger

import (
	"slices"
	"strings"

	"refill/models"
)

// walletKey addresses a wallet with its tenant.
type walletKey struct {
	agency models.AgencyID
	wallet models.WalletID
}

// holdKey addresses a hold with its tenant.
type holdKey struct {
	agency models.AgencyID
	hold   models.HoldID
}

// lockWallets reads wallets under their row locks, in id order. It is a
// statement of its own: under READ COMMITTED a later statement sees what the
// lock waited for, the same statement would not (DESIGN 5). With skip, a wallet
// that another transaction holds is left out instead of waited for. SQLite has
// one writer: there the transaction is the lock.
func (b *book) lockWallets(d models.Dialect, keys []walletKey, skip bool) []statement {
	search := &b.tables.lock
	if skip {
		search = &b.tables.skip
	}
	return b.findWallets(d, search, keys)
}

// readWallets reads wallets without locking them.
func (b *book) readWallets(d models.Dialect, keys []walletKey) []statement {
	return b.findWallets(d, &b.tables.see, keys)
}

func (b *book) findWallets(d models.Dialect, by *search[walletKey], keys []walletKey) []statement {
	return by.find(d, keys, func(r record) error {
		a := &account{}
		if err := b.tables.wallet.read(r, &a.Wallet); err != nil {
			return err
		}
		b.accounts[a.ID] = a
		return nil
	})
}

// own adds a lot as it was stored to its account.
func (a *account) own(l *models.Lot) {
	if l.ID == a.DrawnLotID {
		l.Remaining -= a.Drawn
	}
	a.lots = append(a.lots, l)
}

// readLots reads what is open in the wallets: everything a draw may touch.
func (b *book) readLots(d models.Dialect, keys []walletKey) []statement {
	return b.tables.open.find(d, keys, func(r record) error {
		l := &models.Lot{}
		if err := b.tables.newLots.all.read(r, l); err != nil {
			return err
		}
		b.lots[l.ID] = l
		if a := b.accounts[l.WalletID]; a != nil {
			a.own(l)
		}
		return nil
	})
}

// readStanding reads wallets with their open lots as PostgreSQL saw them at one
// moment.
func (b *book) readStanding(keys []walletKey) []statement {
	lots := b.tables.newLots.all
	return b.tables.standing.find(models.Postgres, keys, func(r record) error {
		l := &models.Lot{}
		if r.wire[1] != nil { // else the wallet has none
			if err := lots.read(r, l); err != nil {
				return err
			}
		}
		w := &models.Wallet{}
		if err := b.tables.wallet.read(record{wire: r.wire[len(lots):]}, w); err != nil {
			return err
		}
		a := b.accounts[w.ID]
		if a == nil {
			a = &account{Wallet: *w}
			b.accounts[w.ID] = a
		}
		if !l.ID.IsZero() {
			a.own(l)
		}
		return nil
	})
}

// readKeys reads the charges that used these idempotency keys before.
func (b *book) readKeys(d models.Dialect, keys []key) []statement {
	return b.tables.chargesByKey.find(d, keys, func(r record) error {
		c := &models.Charge{}
		if err := b.tables.charges.all.read(r, c); err != nil {
			return err
		}
		b.byKey[key{c.AgencyID, c.IdempotencyKey}] = c
		return nil
	})
}

// readHoldKeys reads the holds that used these idempotency keys before.
func (b *book) readHoldKeys(d models.Dialect, keys []key) []statement {
	return b.tables.holdsByKey.find(d, keys, func(r record) error {
		h, err := b.readHold(r)
		if err != nil {
			return err
		}
		b.holdKeys[key{h.AgencyID, h.IdempotencyKey}] = h
		return nil
	})
}

// readHolds reads holds by id.
func (b *book) readHolds(d models.Dialect, keys []holdKey) []statement {
	return b.tables.holdsByID.find(d, keys, func(r record) error {
		_, err := b.readHold(r)
		return err
	})
}

// readHold makes sure that a hold read twice is one value in the book.
func (b *book) readHold(r record) (*models.Hold, error) {
	h := &models.Hold{}
	if err := b.tables.holds.all.read(r, h); err != nil {
		return nil, err
	}
	if b.holds[h.ID] == nil {
		b.holds[h.ID] = h
	}
	return b.holds[h.ID], nil
}

// sortLots puts each account's lots into draw order after they were read.
func (b *book) sortLots() {
	for _, a := range b.accounts {
		if !a.known { // those of memory are
			slices.SortFunc(a.lots, drawOrder)
		}
	}
}

// readDraws rebuilds the draws of a stored charge from its own entries, which
// stand together from Seq on; inOrder puts them into the order of the answer.
func readDraws(d models.Dialect, c *models.Charge, found *[]Draw) []statement {
	var out []statement
	add := func(wallet models.WalletID, seq int64) {
		if seq == 0 {
			return
		}
		out = append(out, statement{
			sql: drawsOf[d], args: []any{c.AgencyID[:], wallet[:], seq, c.ID[:]},
			scan: func(r record) error {
				var p paidPart
				if err := paidParts.read(r, &p); err != nil {
					return err
				}
				p.Bucket = models.BucketExcess
				if !p.Lot.IsZero() {
					p.Bucket = p.source.Bucket()
				}
				*found = append(*found, p.Draw)
				return nil
			},
		})
	}
	add(c.WalletID, c.Seq)
	add(c.PoolWalletID, c.PoolSeq)
	return out
}

// paidPart is a draw as the entries tell it.
type paidPart struct {
	Draw
	source models.Source
}

//nolint:gochecknoglobals // a constant
var paidParts = columns[paidPart]{
	ident("wallet_id", func(p *paidPart) *models.WalletID { return &p.Wallet }),
	ident("lot_id", func(p *paidPart) *models.LotID { return &p.Lot }),
	integer("amount", func(p *paidPart) *models.Credits { return &p.Credits }),
	text("source", func(p *paidPart) *models.Source { return &p.source }),
}

// drawsOf finds the first entry that is not the act's, so that it reads no more
// than the act wrote.
//
//nolint:gochecknoglobals // constant statements
var drawsOf = map[models.Dialect]string{
	models.Postgres: selectDraws("$1", "$2", "$3", "$4"),
	models.SQLite:   selectDraws("?1", "?2", "?3", "?4"),
}

func selectDraws(agency, wallet, seq, act string) string {
	return strings.NewReplacer(":agency", agency, ":wallet", wallet, ":seq", seq, ":act", act).Replace(`
		SELECT e.wallet_id, e.lot_id, e.amount, COALESCE(l.source, '')
		FROM entries e LEFT JOIN lots l ON l.agency_id = e.agency_id AND l.id = e.lot_id
		WHERE e.agency_id = :agency AND e.wallet_id = :wallet AND e.seq >= :seq AND e.seq < COALESCE(
			(SELECT x.seq FROM entries x WHERE x.agency_id = :agency AND x.wallet_id = :wallet AND x.seq > :seq AND x.act_id <> :act
				ORDER BY x.seq LIMIT 1), 9223372036854775807)
		ORDER BY e.seq`)
}

// maxDraws bounds how many open lots a wallet may have, and so the entries of
// one act on it.
const maxDraws = 1000

// maxPaidLots bounds the same for lots that were paid for.
const maxPaidLots = 10 * maxDraws
