package billing

import (
	"time"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"refill/models"
)

// noticeSpan is how long an agency's notices about its clients are gathered:
// the first goes out at once, those that follow within the span go together.
const noticeSpan = time.Hour

// notice is something that the people of a wallet are to hear of.
type notice struct {
	agency models.AgencyID
	wallet models.WalletID // whose people: an agency's, or a client's
	event  models.NoticeEvent
	key    string // the occasion: told once per wallet, event and key
	facts  models.NoticeFacts
}

// notify writes a notice in the transaction that causes it, once however often
// it is asked. Who hears of it, and how, is worked out after the commit: nothing
// of that is done under the caller's locks.
func (s *Service) notify(tx *gorm.DB, n notice, now models.Time) error { //nolint:gocritic // a notice is rare
	row := models.Notice{
		AgencyID: n.agency, ID: models.NewID[models.NoticeID](now), WalletID: n.wallet, Event: n.event, Occasion: n.key,
		Facts: n.facts, DueAt: now, CreatedAt: now,
	}
	if gathered(n.event) {
		due, err := gatherUntil(tx, &row, now)
		if err != nil {
			return err
		}
		row.DueAt = due
	}
	// A violated key would end PostgreSQL's transaction, and the caller's work with it.
	done := tx.Clauses(clause.OnConflict{DoNothing: true}).Create(&row)
	if done.Error != nil || done.RowsAffected == 0 {
		return done.Error
	}
	s.post.wake()
	return nil
}

// gathered tells events of which an agency with many clients would hear too
// often.
func gathered(e models.NoticeEvent) bool {
	return e == models.NoticeSubAccountLow || e == models.NoticeSubAccountPaused || e == models.NoticeSubAccountBought
}

// gatherUntil is when a notice about a client is told: at once after a quiet
// span, otherwise with the others of the running one.
func gatherUntil(tx *gorm.DB, n *models.Notice, now models.Time) (models.Time, error) {
	var last []models.Time
	err := tx.Model(&models.Notice{}).
		Where("agency_id = ? AND wallet_id = ? AND id >= ?", n.AgencyID, n.WalletID, earliest(now.Add(-2*noticeSpan))).
		Where("event IN ?", []models.NoticeEvent{models.NoticeSubAccountLow, models.NoticeSubAccountPaused, models.NoticeSubAccountBought}).
		Order("id DESC").Limit(1).Pluck("due_at", &last).Error
	switch {
	case err != nil || len(last) == 0 || last[0].Add(noticeSpan) <= now:
		return now, err
	case last[0] > now:
		return last[0], nil
	}
	return last[0].Add(noticeSpan), nil
}

// earliest is an id before all that are made at an instant.
func earliest(at models.Time) models.NoticeID {
	id := models.NewID[models.NoticeID](at)
	clear(id[6:])
	return id
}
