package billing

import (
	"context"
	"fmt"
	"time"

	"gorm.io/gorm"

	"refill/billing/mail"
	"refill/billing/problem"
	"refill/models"
)

// Told is a notice as somebody has it.
type Told struct {
	ID     models.NoticeID
	Event  models.NoticeEvent
	At     models.Time
	Words  NoticeWords
	Unread bool
}

// voiceOf is how an account's people are spoken to.
func (s *Service) voiceOf(a *Account) Voice {
	v := Voice{Agency: a.Agency.Name, Platform: s.post.platform, Zone: a.Zone}
	if a.SubAccount != nil {
		v.Client, v.Platform = true, ""
	}
	return v
}

// NoticesOf lists a person's notices of an account, the newest first: those
// before an id, or with the zero id from the newest on.
func (s *Service) NoticesOf(ctx context.Context, a *Account, user models.UserID, before models.NoticeID, limit int) ([]Told, error) {
	var rows []struct {
		models.Notice

		ReadAt models.Time
		Member bool
	}
	q := s.db.Read.WithContext(ctx).Table("notices n").Select("n.*, c.read_at, COALESCE(m.role, '') = ? AS member", models.RoleMember).
		Joins("JOIN notice_copies c ON c.agency_id = n.agency_id AND c.notice_id = n.id").
		Joins("LEFT JOIN members m ON m.agency_id = c.agency_id AND m.user_id = c.user_id").
		Where("c.agency_id = ? AND c.user_id = ? AND c.in_app AND n.agency_id = ? AND n.wallet_id = ?", a.Agency.ID, user, a.Agency.ID, a.Wallet)
	if !before.IsZero() {
		q = q.Where("c.notice_id < ?", before)
	}
	if err := q.Order("c.notice_id DESC").Limit(min(limit, MaxPage)).Scan(&rows).Error; err != nil {
		return nil, err
	}
	voice := s.voiceOf(a)
	out := make([]Told, len(rows))
	for i := range rows {
		n := &rows[i].Notice
		voice.Member = rows[i].Member
		out[i] = Told{ID: n.ID, Event: n.Event, At: n.CreatedAt, Words: voice.Say(n), Unread: rows[i].ReadAt == 0}
	}
	return out, nil
}

// maxUnread is up to where unread notices are counted.
const maxUnread = 100

// UnreadNotices counts what somebody has not marked as read, up to 100.
func (s *Service) UnreadNotices(ctx context.Context, agency models.AgencyID, user models.UserID) (int, error) {
	var n int
	err := s.db.Read.WithContext(ctx).Raw(`SELECT COUNT(*) FROM (SELECT 1 FROM notice_copies
		WHERE agency_id = ? AND user_id = ? AND in_app AND read_at = 0 LIMIT ?) unread`, agency, user, maxUnread).Scan(&n).Error
	return n, err
}

// ReadNotices marks one notice of somebody's as read, or all up to and with it.
func (s *Service) ReadNotices(ctx context.Context, agency models.AgencyID, user models.UserID, id models.NoticeID, before bool) error {
	compare := "notice_id = ?"
	if before {
		compare = "notice_id <= ?"
	}
	return s.db.InTx(ctx, func(tx *gorm.DB) error {
		return tx.Model(&models.NoticeCopy{}).Where("agency_id = ? AND user_id = ? AND in_app AND read_at = 0", agency, user).
			Where(compare, id).Update("read_at", s.people.wall.Now()).Error
	})
}

// Sending is what became of a notice for one person.
type Sending struct {
	At    models.Time
	Title string
	Name  string // whom it was sent to
	Email string // "" without a mail
	State models.MailState
	Note  string // why a mail failed
	InApp bool
	Read  bool
}

// SentNotices lists what an account's people were told, the newest first, before
// an instant or with 0 from now on.
func (s *Service) SentNotices(ctx context.Context, a *Account, before models.NoticeID, limit int) ([]Sending, models.NoticeID, error) {
	db := s.db.Read.WithContext(ctx)
	q := db.Where("agency_id = ? AND wallet_id = ? AND told_at > 0", a.Agency.ID, a.Wallet)
	if !before.IsZero() {
		q = q.Where("id < ?", before)
	}
	var notices []models.Notice
	if err := q.Order("id DESC").Limit(min(limit, MaxPage)).Find(&notices).Error; err != nil || len(notices) == 0 {
		return nil, models.NoticeID{}, err
	}
	ids := make([]models.NoticeID, len(notices))
	for i := range notices {
		ids[i] = notices[i].ID
	}
	var copies []struct {
		models.NoticeCopy

		Name  string
		State models.MailState
		Note  string
	}
	if err := db.Table("notice_copies c").Select("c.*, u.name, COALESCE(m.state, '') AS state, COALESCE(m.note, '') AS note").
		Joins("JOIN users u ON u.id = c.user_id").Joins("LEFT JOIN mails m ON m.id = c.mail_id").
		Where("c.agency_id = ? AND c.notice_id IN ?", a.Agency.ID, ids).Order("c.notice_id, u.name, u.id").Scan(&copies).Error; err != nil {
		return nil, models.NoticeID{}, err
	}
	voice := s.voiceOf(a)
	var out []Sending
	for i := range notices {
		n := &notices[i]
		title := voice.Say(n).Title
		for j := range copies {
			c := &copies[j]
			if c.NoticeID != n.ID {
				continue
			}
			state := c.State
			if c.MailID > 0 && state == "" {
				state = models.MailSent // so long ago that the outbox has forgotten it
			}
			out = append(out, Sending{At: n.CreatedAt, Title: title, Name: c.Name, Email: c.Address, State: state, Note: c.Note, InApp: c.InApp, Read: c.ReadAt > 0})
		}
	}
	last := models.NoticeID{}
	if len(notices) == min(limit, MaxPage) {
		last = notices[len(notices)-1].ID
	}
	return out, last, nil
}

// Wish is whether somebody hears of an event, and how.
type Wish struct {
	Event models.NoticeEvent
	Mail  bool
	Must  bool // the mail goes whatever is chosen
	InApp bool
	Who   []string // names of those of the circle who get the mail
}

// WishesOf reads what one of a circle's people hears of, event by event; the first
// of them for no user. Errors:
// not_found.
func (s *Service) WishesOf(ctx context.Context, a *Account, user models.UserID) (Person, []Person, []Wish, error) {
	var person Person
	var out []Wish
	who, err := s.audienceOf(s.db.Read.WithContext(ctx), a.Agency.ID, a.Wallet)
	if err != nil {
		return person, nil, nil, err
	}
	found := false
	for i := range who.people {
		if who.people[i].ID == user || user.IsZero() && !found {
			person, found = who.people[i], true
		}
	}
	if !found {
		return person, nil, nil, problem.Missing("person")
	}
	for _, e := range EventsFor(a.SubAccount != nil) {
		w := Wish{
			Event: e, Mail: who.wanted(&person, e, models.ChannelMail), InApp: who.wanted(&person, e, models.ChannelInApp), Must: MustMail(person.Role, e),
		}
		for i := range who.people {
			if who.wanted(&who.people[i], e, models.ChannelMail) {
				w.Who = append(w.Who, who.people[i].Name)
			}
		}
		out = append(out, w)
	}
	return person, who.people, out, nil
}

// SetWishes stores what one of an account's people is to hear of. What is as
// usual is stored too: it stays when the usual changes. Errors: not_found.
func (s *Service) SetWishes(ctx context.Context, a *Account, user models.UserID, wishes []Wish, by Actor) error {
	person, _, was, err := s.WishesOf(ctx, a, user)
	if err != nil {
		return err
	}
	asked := map[models.NoticeEvent]Wish{}
	for _, w := range wishes {
		asked[w.Event] = w
	}
	var choices []models.NoticeChoice
	for _, old := range was {
		w, ok := asked[old.Event]
		if !ok {
			continue
		}
		if w.Mail != old.Mail && !old.Must {
			choices = append(choices, models.NoticeChoice{AgencyID: a.Agency.ID, UserID: person.ID, Event: old.Event, Channel: models.ChannelMail, Wanted: w.Mail})
		}
		if w.InApp != old.InApp {
			choices = append(choices, models.NoticeChoice{AgencyID: a.Agency.ID, UserID: person.ID, Event: old.Event, Channel: models.ChannelInApp, Wanted: w.InApp})
		}
	}
	if len(choices) == 0 {
		return nil
	}
	now := s.clock.Now()
	return s.db.InTx(ctx, func(tx *gorm.DB) error {
		if err := choose(tx, choices); err != nil {
			return err
		}
		return s.audit(tx, a.Agency.ID, by, "notices.choose", person.ID.String(), choiceWords(choices), "", now)
	})
}

// maxTests is how many tests a person may ask for within an hour.
const maxTests = 5

// TestNotice sends somebody a notice and a mail as real ones look. Errors:
// too_many, not_found.
func (s *Service) TestNotice(ctx context.Context, a *Account, user models.UserID, left models.Credits) error {
	now := s.clock.Now()
	key, err := s.offKey(ctx)
	if err != nil {
		return err
	}
	err = s.db.InTx(ctx, func(tx *gorm.DB) error {
		who, err := s.audienceOf(tx, a.Agency.ID, a.Wallet)
		if err != nil {
			return err
		}
		var p *Person
		for i := range who.people {
			if who.people[i].ID == user {
				p = &who.people[i]
			}
		}
		if p == nil {
			return problem.Missing("person")
		}
		var asked int64
		if err := tx.Table("notice_copies c").Joins("JOIN notices n ON n.agency_id = c.agency_id AND n.id = c.notice_id").
			Where("c.agency_id = ? AND c.user_id = ? AND c.notice_id >= ? AND n.event = ?", a.Agency.ID, user, earliest(now.Add(-time.Hour)), models.NoticeTest).
			Count(&asked).Error; err != nil {
			return err
		}
		if asked >= maxTests {
			return problem.New(problem.TooMany, "too_many", "That is enough tests for now. Try again in an hour.")
		}
		id := models.NewID[models.NoticeID](now)
		n := models.Notice{
			AgencyID: a.Agency.ID, ID: id, WalletID: a.Wallet, Event: models.NoticeTest, Occasion: fmt.Sprint(id), Facts: models.NoticeFacts{Left: left},
			DueAt: now, ToldAt: now, CreatedAt: now,
		}
		if err := tx.Create(&n).Error; err != nil {
			return err
		}
		row, err := s.mailNotice(tx, key, who, p, []*models.Notice{&n}, now)
		if err != nil {
			return err
		}
		c := models.NoticeCopy{AgencyID: a.Agency.ID, UserID: user, NoticeID: id, InApp: true, MailID: row.ID, Address: p.Email}
		return tx.Create(&c).Error
	})
	s.post.wake()
	return err
}

// envelope is who a mail goes to.
func (a *audience) envelope(p *Person) envelope {
	e := envelope{kind: models.MailNotice, to: p.Email, replyTo: a.reply, life: noticeLife}
	if a.voice.Client {
		e.agency = a.agency.ID
	}
	return e
}

// NoticeLetter is one notice as the mail that a client's people, or an agency's,
// get: for whoever looks at mails without sending them.
func NoticeLetter(v Voice, n *models.Notice, home string) mail.Letter {
	a := audience{voice: v, home: home}
	return a.letter([]*models.Notice{n})
}

// noticesKept is how long notices stay in people's lists.
const noticesKept = 400 * 24 * time.Hour

// sweepNotices forgets old notices, a batch with each tick.
func (s *Service) sweepNotices(ctx context.Context, now models.Time) error {
	var old []models.Notice
	if err := s.db.Read.WithContext(ctx).Select("agency_id", "id").Where("told_at > 0 AND told_at <= ?", now.Add(-noticesKept)).
		Order("told_at").Limit(dueBatch).Find(&old).Error; err != nil || len(old) == 0 {
		return err
	}
	return s.db.InTx(ctx, func(tx *gorm.DB) error {
		for i := range old {
			n := &old[i]
			if err := tx.Where("agency_id = ? AND notice_id = ?", n.AgencyID, n.ID).Delete(&models.NoticeCopy{}).Error; err != nil {
				return err
			}
			if err := tx.Where("agency_id = ? AND id = ?", n.AgencyID, n.ID).Delete(&models.Notice{}).Error; err != nil {
				return err
			}
		}
		return nil
	})
}
