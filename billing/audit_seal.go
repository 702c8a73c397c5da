package billing

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"gorm.io/gorm"

	"refill/models"
)

// sealHash is what a seal holds: the seal before it, its number, and every column
// of the entry, each with its length so that no two entries read alike.
func sealHash(before []byte, seq int64, e *models.AuditEntry) []byte {
	h := sha256.New()
	write := func(b []byte) {
		_, _ = h.Write(binary.BigEndian.AppendUint64(nil, uint64(len(b))))
		_, _ = h.Write(b)
	}
	number := func(n int64) { write(binary.BigEndian.AppendUint64(nil, uint64(n))) } //nolint:gosec // the bits, whatever the sign
	write([]byte("refill audit log 1"))
	write(before)
	number(seq)
	write(e.ID[:])
	write(e.AgencyID[:])
	for _, text := range []string{e.Actor, e.Action, e.Target, e.Detail, e.Reason} {
		write([]byte(text))
	}
	number(int64(e.CreatedAt))
	return h.Sum(nil)
}

// sealAudit seals the entries of the audit log that wait, after the commits that
// wrote them: no act waits for its place in the chain. Of two processes one seals.
func (s *Service) sealAudit(ctx context.Context) error {
	err := s.untilDone(ctx, "seal the audit log", func() (n int, err error) {
		var waiting []models.AuditEntry
		if err := s.db.Read.WithContext(ctx).Joins("JOIN audit_unsealed u ON u.audit_id = audit_log.id").
			Order("audit_log.id").Limit(dueBatch).Find(&waiting).Error; err != nil || len(waiting) == 0 {
			return 0, err
		}
		return len(waiting), s.db.InTx(ctx, func(tx *gorm.DB) error { return s.sealBatch(tx, waiting) })
	})
	if models.IsDuplicate(err) {
		return nil // another process was faster
	}
	return errors.Join(err, s.walkSealsDue(ctx))
}

func (s *Service) sealBatch(tx *gorm.DB, waiting []models.AuditEntry) error {
	last, err := lastSeal(tx)
	if err != nil {
		return err
	}
	wall := s.people.wall.Now()
	seals, ids := make([]models.AuditSeal, len(waiting)), make([]models.AuditID, len(waiting))
	for i := range waiting {
		last = models.AuditSeal{Seq: last.Seq + 1, AuditID: waiting[i].ID, Hash: sealHash(last.Hash, last.Seq+1, &waiting[i]), At: wall}
		seals[i], ids[i] = last, waiting[i].ID
	}
	if err := tx.Create(&seals).Error; err != nil {
		return err
	}
	return tx.Where("audit_id IN ?", ids).Delete(&models.AuditUnsealed{}).Error
}

func lastSeal(tx *gorm.DB) (models.AuditSeal, error) {
	var last []models.AuditSeal
	if err := tx.Order("seq DESC").Limit(1).Find(&last).Error; err != nil || len(last) == 0 {
		return models.AuditSeal{}, err
	}
	return last[0], nil
}

// AuditProof is what a walk along the audit log's chain found.
type AuditProof struct {
	Entries int64       // sealed, from the first on
	Head    string      // hash of the last seal, in hex; "" for none
	At      models.Time // when the last of them was sealed, in wall time
	Waiting int64       // entries that are not sealed yet
	Broken  string      // what is wrong, and where; "" for nothing
}

// sealBatchRead is how many seals a walk reads at once.
const sealBatchRead = 1000

// sealWalk is how far along the chain this process has been.
type sealWalk struct {
	mu      sync.Mutex
	at      models.AuditSeal // the last that was right
	begun   models.Time      // when this round was
	whole   AuditProof       // of the last whole round
	checked models.Time      // when that was; 0: never
}

// sealsEvery is how often the chain is walked from its beginning, in wall time.
const sealsEvery = 10 * time.Minute

// VerifyAuditLog walks the whole chain. head is the hash that somebody kept of an
// earlier walk: a log that was cut off behind it has no seal with it. "" asks for
// none.
func VerifyAuditLog(ctx context.Context, db *models.DB, head string) (AuditProof, error) {
	var out AuditProof
	err := db.Snapshot(ctx, func(tx *gorm.DB) error {
		last, found := models.AuditSeal{}, head == ""
		for {
			seals, broken, err := nextSeals(tx, last)
			if err != nil {
				return err
			}
			for i := range seals {
				found = found || hex.EncodeToString(seals[i].Hash) == head
			}
			if len(seals) > 0 {
				last = seals[len(seals)-1]
			}
			if out.Broken = broken; broken != "" || len(seals) == 0 {
				break
			}
		}
		out.Entries, out.At = last.Seq, last.At
		if last.Seq > 0 {
			out.Head = hex.EncodeToString(last.Hash)
		}
		if out.Broken == "" && !found {
			out.Broken = "no seal has the hash " + head + ": the log was cut off before it, or is another one"
		}
		if err := tx.Model(&models.AuditUnsealed{}).Count(&out.Waiting).Error; err != nil || out.Broken != "" {
			return err
		}
		var err error
		out.Broken, err = strayEntries(tx)
		return err
	})
	return out, err
}

// nextSeals reads the seals behind one, as far as they are right, and tells what is
// wrong with the next.
func nextSeals(tx *gorm.DB, last models.AuditSeal) (right []models.AuditSeal, broken string, err error) { //nolint:gocritic // read once per thousand
	type pair struct {
		models.AuditSeal
		Entry models.AuditEntry `gorm:"embedded;embeddedPrefix:entry_"`
		There bool
	}
	var rows []pair
	err = tx.Table("audit_seals s").Joins("LEFT JOIN audit_log l ON l.id = s.audit_id").
		Select("s.seq, s.audit_id, s.hash, s.at, l.id IS NOT NULL AS there, l.id AS entry_id, l.agency_id AS entry_agency_id, "+
			"COALESCE(l.actor, '') AS entry_actor, COALESCE(l.action, '') AS entry_action, COALESCE(l.target, '') AS entry_target, "+
			"COALESCE(l.detail, '') AS entry_detail, COALESCE(l.reason, '') AS entry_reason, COALESCE(l.created_at, 0) AS entry_created_at").
		Where("s.seq > ?", last.Seq).Order("s.seq").Limit(sealBatchRead).Scan(&rows).Error
	if err != nil {
		return nil, "", err
	}
	for i := range rows {
		r := &rows[i]
		where := fmt.Sprintf("seal %d, entry %s", r.Seq, r.AuditID)
		switch {
		case r.Seq != last.Seq+1:
			return right, fmt.Sprintf("after seal %d comes seal %d: those between were removed", last.Seq, r.Seq), nil
		case !r.There:
			return right, where + ": the entry was removed", nil
		case !bytes.Equal(r.Hash, sealHash(last.Hash, r.Seq, &r.Entry)):
			return right, where + ": the entry or the seal was altered", nil
		}
		last = r.AuditSeal
		right = append(right, last)
	}
	return right, "", nil
}

// strayEntries finds an entry that neither is sealed nor waits for it.
func strayEntries(tx *gorm.DB) (string, error) {
	var stray []models.AuditID
	err := tx.Model(&models.AuditEntry{}).
		Where("NOT EXISTS (SELECT 1 FROM audit_seals s WHERE s.audit_id = audit_log.id) AND NOT EXISTS (SELECT 1 FROM audit_unsealed u WHERE u.audit_id = audit_log.id)").
		Order("id").Limit(1).Pluck("id", &stray).Error
	if err != nil || len(stray) == 0 {
		return "", err
	}
	return "entry " + stray[0].String() + " has no seal and waits for none: its seal was removed, or it was slipped in", nil
}

// walkSealsDue walks a part of the chain, and begins again when it is due. What it
// finds is logged as an error, every round.
func (s *Service) walkSealsDue(ctx context.Context) error {
	w, wall := &s.seals, s.people.wall.Now()
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.checked != 0 && w.begun == 0 && wall.Sub(w.checked) < sealsEvery && wall >= w.checked {
		return nil
	}
	if w.begun == 0 {
		w.begun, w.at = max(wall, 1), models.AuditSeal{}
	}
	seals, broken, err := nextSeals(s.db.Read.WithContext(ctx), w.at)
	if err != nil {
		return err
	}
	if len(seals) > 0 {
		w.at = seals[len(seals)-1]
	}
	if broken == "" && len(seals) == sealBatchRead {
		return nil // the next beat goes on
	}
	w.whole = AuditProof{Entries: w.at.Seq, At: w.at.At, Broken: broken}
	if w.at.Seq > 0 {
		w.whole.Head = hex.EncodeToString(w.at.Hash)
	}
	w.begun, w.checked = 0, wall
	if broken != "" {
		s.log.LogAttrs(ctx, slog.LevelError, "the audit log was tampered with", slog.String("what", broken))
	}
	return nil
}

// AuditProved is what the last whole walk along the chain found, and when it
// ended, in wall time; 0 before the first.
func (s *Service) AuditProved() (AuditProof, models.Time) {
	s.seals.mu.Lock()
	defer s.seals.mu.Unlock()
	return s.seals.whole, s.seals.checked
}
