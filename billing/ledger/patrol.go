package ledger

import (
	"context"
	"errors"
	"fmt"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"refill/billing/problem"
	"refill/models"
)

// patrolEntries is how many entries of one wallet a round reads at most.
const patrolEntries = 20_000

// Suspect is a wallet whose books do not add up.
type Suspect struct {
	Agency models.AgencyID
	Wallet models.WalletID
	Broken string // why, in words
}

// Patrol checks up to limit wallets that were booked since they were last looked
// at, or were broken then, the longest ago first: that their new entries are gapless, in order of time
// and carry the running balance (I-05), that the balance is their sum (I-01) and
// what the lots have left less the excess (I-02). It reads what is new, not what
// was: Audit checks everything. It changes no wallet; next says whether more are
// waiting. Each wallet is read from one moment, so charges go on.
func (l *Ledger) Patrol(ctx context.Context, now models.Time, limit int) (suspects []Suspect, next bool, err error) {
	var due []models.Patrol
	err = l.db.Read.WithContext(ctx).Raw(`SELECT w.agency_id, w.id AS wallet_id, COALESCE(p.seq, 0) AS seq, COALESCE(p.balance, 0) AS balance, COALESCE(p.booked_at, 0) AS booked_at
		FROM wallets w LEFT JOIN patrols p ON p.agency_id = w.agency_id AND p.wallet_id = w.id
		WHERE w.quarantined_at = 0 AND (p.seq IS NULL OR p.seq <> w.seq OR p.broken <> '') ORDER BY COALESCE(p.looked_at, 0), w.agency_id, w.id LIMIT ?`, limit).Scan(&due).Error
	if err != nil || len(due) == 0 {
		return nil, false, err
	}
	next = len(due) == limit
	for i := range due {
		p := &due[i]
		_, whole, err := l.look(ctx, p, patrolEntries)
		if err != nil {
			return nil, false, fmt.Errorf("look at wallet %s: %w", p.WalletID, err)
		}
		next = next || !whole
		p.LookedAt = now
		if p.Broken != "" {
			suspects = append(suspects, Suspect{p.AgencyID, p.WalletID, p.Broken})
		}
	}
	return suspects, next, l.db.InTx(ctx, func(tx *gorm.DB) error {
		return savePatrols(tx, due, "seq", "balance", "booked_at", "looked_at", "broken")
	})
}

// PatrolAgain reads up to so many wallets, and entries in all, from the first entry
// on, those first that were not for the longest: books can also break where nothing
// is booked any more. A wallet that is too long for a round is gone on with in the
// next. It changes no wallet, and finds a broken one again until it is out of
// service.
func (l *Ledger) PatrolAgain(ctx context.Context, now models.Time, wallets, entries int) ([]Suspect, error) {
	var due []models.Patrol
	err := l.db.Read.WithContext(ctx).Raw(`SELECT p.agency_id, p.wallet_id, p.again_seq, p.again_balance, p.again_booked_at, p.again_at
		FROM patrols p JOIN wallets w ON w.agency_id = p.agency_id AND w.id = p.wallet_id
		WHERE w.quarantined_at = 0 ORDER BY p.again_at, p.agency_id, p.wallet_id LIMIT ?`, wallets).Scan(&due).Error
	if err != nil {
		return nil, err
	}
	var suspects []Suspect
	var done []models.Patrol
	for left, i := entries, 0; i < len(due) && left > 0; i++ {
		row := due[i]
		p := models.Patrol{AgencyID: row.AgencyID, WalletID: row.WalletID, Seq: row.AgainSeq, Balance: row.AgainBalance, BookedAt: row.AgainBookedAt}
		n, whole, err := l.look(ctx, &p, left)
		if err != nil {
			return nil, fmt.Errorf("look at wallet %s again: %w", p.WalletID, err)
		}
		left -= n
		switch row.AgainSeq, row.AgainBalance, row.AgainBookedAt = p.Seq, p.Balance, p.BookedAt; {
		case p.Broken != "":
			suspects = append(suspects, Suspect{p.AgencyID, p.WalletID, p.Broken})
		case whole:
			row.AgainSeq, row.AgainBalance, row.AgainBookedAt, row.AgainAt = 0, 0, 0, now
		}
		done = append(done, row)
	}
	if len(done) == 0 {
		return nil, nil
	}
	return suspects, l.db.InTx(ctx, func(tx *gorm.DB) error {
		return savePatrols(tx, done, "again_seq", "again_balance", "again_booked_at", "again_at")
	})
}

func savePatrols(tx *gorm.DB, rows []models.Patrol, columns ...string) error {
	return tx.Clauses(clause.OnConflict{
		Columns: []clause.Column{{Name: "agency_id"}, {Name: "wallet_id"}}, DoUpdates: clause.AssignmentColumns(columns),
	}).CreateInBatches(rows, 200).Error
}

// look goes on from where a wallet was last found whole, by up to limit entries, and
// says in p how far it came and what is broken; whole is false when there are
// entries left.
func (l *Ledger) look(ctx context.Context, p *models.Patrol, limit int) (n int, whole bool, err error) {
	err = l.db.Snapshot(ctx, func(tx *gorm.DB) error {
		var w models.Wallet
		if err := tx.Where("agency_id = ? AND id = ?", p.AgencyID, p.WalletID).Take(&w).Error; err != nil {
			return err
		}
		var err error
		n, err = follow(tx, p, limit)
		if whole = n < limit; err != nil || p.Broken != "" || !whole {
			return err
		}
		return compare(tx, p, &w)
	})
	return n, whole, err
}

// follow reads up to limit entries after p, one at a time, and moves p to the last
// one that follows from the one before it.
func follow(tx *gorm.DB, p *models.Patrol, limit int) (n int, err error) {
	rows, err := tx.Raw("SELECT seq, kind, amount, balance, at FROM entries WHERE agency_id = ? AND wallet_id = ? AND seq > ? ORDER BY seq LIMIT ?",
		p.AgencyID, p.WalletID, p.Seq, limit).Rows()
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var e models.Entry
		var kind Kind
		if err := rows.Scan(&e.Seq, &kind, &e.Amount, &e.Balance, &e.At); err != nil {
			return n, err
		}
		n++
		_, known := effects[kind]
		switch want := p.Balance + models.Credits(kind.Change())*e.Amount; {
		case !known:
			p.Broken = fmt.Sprintf("Entry %d is of no known kind (%d).", e.Seq, kind)
		case e.Seq != p.Seq+1:
			p.Broken = fmt.Sprintf("Entry %d follows entry %d: what was between them is lost.", e.Seq, p.Seq)
		case e.Balance != want:
			p.Broken = fmt.Sprintf("Entry %d carries a balance of %s; what was booked before it gives %s.", e.Seq, e.Balance, want)
		case e.At < p.BookedAt:
			p.Broken = fmt.Sprintf("Entry %d is dated before entry %d.", e.Seq, p.Seq)
		default:
			p.Seq, p.Balance, p.BookedAt = e.Seq, e.Balance, e.At
			continue
		}
		return n, nil
	}
	return n, rows.Err()
}

// compare holds a wallet's row and its lots against the end of its entries.
func compare(tx *gorm.DB, p *models.Patrol, w *models.Wallet) error {
	var lots struct{ Remaining, Held models.Credits }
	if err := tx.Raw(`SELECT CAST(COALESCE(SUM(remaining), 0) AS bigint) AS remaining, CAST(COALESCE(SUM(held), 0) AS bigint) AS held
		FROM lots WHERE agency_id = ? AND wallet_id = ? AND open`, w.AgencyID, w.ID).Scan(&lots).Error; err != nil {
		return err
	}
	switch {
	case p.Seq != w.Seq:
		p.Broken = fmt.Sprintf("The wallet counts %d entries and has %d.", w.Seq, p.Seq)
	case p.Balance != w.Balance:
		p.Broken = fmt.Sprintf("The balance is %s; the entries give %s.", w.Balance, p.Balance)
	case lots.Remaining-w.Excess != w.Balance:
		p.Broken = fmt.Sprintf("The balance is %s; the lots have %s left and the excess is %s.", w.Balance, lots.Remaining, w.Excess)
	case lots.Held != w.Held:
		p.Broken = fmt.Sprintf("%s are held; the lots say %s.", w.Held, lots.Held)
	}
	return nil
}

// Quarantine takes a wallet out of service: it is not charged until Readmit. It
// tells whether it was in service.
func (l *Ledger) Quarantine(ctx context.Context, tx *gorm.DB, agency models.AgencyID, wallet models.WalletID, now models.Time) (bool, error) {
	var w models.Wallet
	if err := tx.WithContext(ctx).Clauses(clause.Locking{Strength: "NO KEY UPDATE"}).Where("agency_id = ? AND id = ?", agency, wallet).Take(&w).Error; err != nil {
		return false, err
	}
	if w.QuarantinedAt > 0 {
		return false, nil
	}
	if err := l.Stir(ctx, tx, agency, 0, wallet); err != nil {
		return false, err
	}
	return true, l.change(ctx, tx, agency, wallet, map[string]any{"quarantined_at": now})
}

// Readmit puts a wallet back into service after all of its entries were read again
// and add up. Errors: not_found, wallet_broken with why.
func (l *Ledger) Readmit(ctx context.Context, tx *gorm.DB, agency models.AgencyID, wallet models.WalletID, now models.Time) error {
	var w models.Wallet
	if err := tx.WithContext(ctx).Clauses(clause.Locking{Strength: "NO KEY UPDATE"}).Where("agency_id = ? AND id = ? AND quarantined_at > 0", agency, wallet).Take(&w).Error; err != nil {
		if errors.Is(err, gorm.ErrRecordNotFound) {
			return problem.Missing("wallet")
		}
		return err
	}
	p := models.Patrol{AgencyID: agency, WalletID: wallet, LookedAt: now}
	for {
		n, err := follow(tx.WithContext(ctx), &p, patrolEntries)
		if err != nil {
			return err
		}
		if p.Broken != "" || n < patrolEntries {
			break
		}
	}
	if p.Broken == "" {
		if err := compare(tx.WithContext(ctx), &p, &w); err != nil {
			return err
		}
	}
	if p.Broken != "" {
		return problem.New(problem.Conflict, "wallet_broken", "This wallet still does not add up. %s", p.Broken)
	}
	if err := errors.Join(tx.WithContext(ctx).Clauses(clause.OnConflict{UpdateAll: true}).Create(&p).Error, l.Stir(ctx, tx, agency, 0, wallet)); err != nil {
		return err
	}
	return l.change(ctx, tx, agency, wallet, map[string]any{"quarantined_at": 0})
}

func quarantined() error {
	return problem.New(problem.Unavailable, "wallet_quarantined", "This wallet is out of service while its books are looked at. Send the same again later.")
}
