package ledger

import (
	"slices"
	"strings"

	"github.com/jackc/pgx/v5/pgtype"

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
// that another transaction holds is left out instead of waited for.
func lockWallets(d models.Dialect, b *book, keys []walletKey, skip bool) []statement {
	scan := func(r row) error {
		a := &account{}
		if err := scanWallet(r, &a.Wallet); err != nil {
			return err
		}
		b.accounts[a.ID] = a
		return nil
	}
	if d == models.SQLite { // one writer: the transaction is the lock
		return pairs(keys, "SELECT "+walletColumns+" FROM wallets w WHERE w.agency_id = ? AND w.id = ?", scan)
	}
	tail := ""
	if skip {
		tail = " SKIP LOCKED"
	}
	agencies, ids := walletArrays(keys)
	return []statement{{
		sql: "SELECT " + walletColumns + ` FROM (SELECT unnest($1::uuid[]) AS agency_id, unnest($2::uuid[]) AS id) AS k
			JOIN wallets w ON w.agency_id = k.agency_id AND w.id = k.id
			ORDER BY w.agency_id, w.id FOR NO KEY UPDATE OF w` + tail,
		args: []any{agencies, ids}, scan: scan,
	}}
}

// readLots reads what is open in the wallets: everything a draw may touch.
func readLots(d models.Dialect, b *book, keys []walletKey) []statement {
	scan := func(r row) error {
		l := &models.Lot{}
		if err := scanLot(r, l); err != nil {
			return err
		}
		b.lots[l.ID] = l
		if a := b.accounts[l.WalletID]; a != nil {
			a.lots = append(a.lots, l)
		}
		return nil
	}
	if d == models.SQLite {
		return pairs(keys, "SELECT "+lotColumns+" FROM lots l WHERE l.agency_id = ? AND l.wallet_id = ? AND l.open", scan)
	}
	agencies, ids := walletArrays(keys)
	return []statement{{
		sql: "SELECT " + lotColumns + ` FROM (SELECT unnest($1::uuid[]) AS agency_id, unnest($2::uuid[]) AS id) AS k
			JOIN lots l ON l.agency_id = k.agency_id AND l.wallet_id = k.id AND l.open`,
		args: []any{agencies, ids}, scan: scan,
	}}
}

// readKeys reads the charges that used these idempotency keys before.
func readKeys(d models.Dialect, b *book, keys []key) []statement {
	scan := func(r row) error {
		c := &models.Charge{}
		if err := scanCharge(r, c); err != nil {
			return err
		}
		b.byKey[key{c.AgencyID, c.IdempotencyKey}] = c
		return nil
	}
	return keyed(d, keys, "SELECT "+chargeColumns+" FROM charges c WHERE c.agency_id = ? AND c.idempotency_key = ?",
		"SELECT "+chargeColumns+` FROM (SELECT unnest($1::uuid[]) AS agency_id, unnest($2::text[]) AS idempotency_key) AS k
			JOIN charges c ON c.agency_id = k.agency_id AND c.idempotency_key = k.idempotency_key COLLATE "C"`, scan)
}

// readHoldKeys reads the holds that used these idempotency keys before.
func readHoldKeys(d models.Dialect, b *book, keys []key) []statement {
	scan := func(r row) error {
		h := &models.Hold{}
		if err := scanHold(r, h); err != nil {
			return err
		}
		b.keepHold(h)
		b.holdKeys[key{h.AgencyID, h.IdempotencyKey}] = b.holds[h.ID]
		return nil
	}
	return keyed(d, keys, "SELECT "+holdColumns+" FROM holds h WHERE h.agency_id = ? AND h.idempotency_key = ?",
		"SELECT "+holdColumns+` FROM (SELECT unnest($1::uuid[]) AS agency_id, unnest($2::text[]) AS idempotency_key) AS k
			JOIN holds h ON h.agency_id = k.agency_id AND h.idempotency_key = k.idempotency_key COLLATE "C"`, scan)
}

// readHolds reads holds by id.
func readHolds(d models.Dialect, b *book, keys []holdKey) []statement {
	scan := func(r row) error {
		h := &models.Hold{}
		if err := scanHold(r, h); err != nil {
			return err
		}
		b.keepHold(h)
		return nil
	}
	if len(keys) == 0 {
		return nil
	}
	if d == models.SQLite {
		return pairs(keys, "SELECT "+holdColumns+" FROM holds h WHERE h.agency_id = ? AND h.id = ?", scan)
	}
	agencies, ids := make([]pgtype.UUID, len(keys)), make([]pgtype.UUID, len(keys))
	for i, k := range keys {
		agencies[i], ids[i] = pgUUID(k.agency), pgUUID(k.hold)
	}
	return []statement{{
		sql: "SELECT " + holdColumns + ` FROM (SELECT unnest($1::uuid[]) AS agency_id, unnest($2::uuid[]) AS id) AS k
			JOIN holds h ON h.agency_id = k.agency_id AND h.id = k.id`,
		args: []any{agencies, ids}, scan: scan,
	}}
}

// keepHold makes sure that a hold read twice is one value in the book.
func (b *book) keepHold(h *models.Hold) {
	if b.holds[h.ID] == nil {
		b.holds[h.ID] = h
	}
}

// sortLots puts each account's lots into draw order after they were read.
func (b *book) sortLots() {
	for _, a := range b.accounts {
		slices.SortFunc(a.lots, drawOrder)
	}
}

func keyed(d models.Dialect, keys []key, lite, pg string, scan func(row) error) []statement {
	if len(keys) == 0 {
		return nil
	}
	if d == models.SQLite {
		out := make([]statement, len(keys))
		for i, k := range keys {
			out[i] = statement{sql: lite, args: []any{k.agency[:], k.text}, scan: scan}
		}
		return out
	}
	agencies, texts := make([]pgtype.UUID, len(keys)), make([]string, len(keys))
	for i, k := range keys {
		agencies[i], texts[i] = pgUUID(k.agency), k.text
	}
	return []statement{{sql: pg, args: []any{agencies, texts}, scan: scan}}
}

// pairs is one statement for each (agency, id).
func pairs[K interface{ walletKey | holdKey }](keys []K, sql string, scan func(row) error) []statement {
	out := make([]statement, len(keys))
	for i, k := range keys {
		var agency, id [16]byte
		switch k := any(k).(type) {
		case walletKey:
			agency, id = k.agency, k.wallet
		case holdKey:
			agency, id = k.agency, k.hold
		}
		out[i] = statement{sql: sql, args: []any{agency[:], id[:]}, scan: scan}
	}
	return out
}

func walletArrays(keys []walletKey) (agencies, ids []pgtype.UUID) {
	agencies, ids = make([]pgtype.UUID, len(keys)), make([]pgtype.UUID, len(keys))
	for i, k := range keys {
		agencies[i], ids[i] = pgUUID(k.agency), pgUUID(k.wallet)
	}
	return agencies, ids
}

func pgUUID(id [16]byte) pgtype.UUID { return pgtype.UUID{Bytes: id, Valid: true} }

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
			scan: func(r row) error {
				var draw Draw
				var source models.Source
				if err := r.Scan(&draw.Wallet, &draw.Lot, &draw.Credits, &source); err != nil {
					return err
				}
				draw.Bucket = models.BucketExcess
				if !draw.Lot.IsZero() {
					draw.Bucket = source.Bucket()
				}
				*found = append(*found, draw)
				return nil
			},
		})
	}
	add(c.WalletID, c.Seq)
	add(c.PoolWalletID, c.PoolSeq)
	return out
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
