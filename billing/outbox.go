package billing

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"gorm.io/gorm"

	"refill/billing/mail"
	"refill/billing/problem"
	"refill/models"
)

// Mailer takes a message off our hands. Errors: mail.ErrRefused,
// mail.ErrUnreachable, and others that may pass.
type Mailer interface {
	Send(ctx context.Context, m mail.Message) error
}

// How mails go out, in wall time.
const (
	mailBatch    = 50
	mailSoonest  = 10 * time.Second
	mailLatest   = time.Hour
	mailTries    = 10
	mailPatience = 5 * time.Minute     // the longest pause after a server that cannot be reached
	mailKept     = 90 * 24 * time.Hour // how long it is known that a mail was sent
	mailRecent   = 7 * 24 * time.Hour  // dead mails that an admin is told of
)

// postOffice wakes the outbox's worker and remembers how the mail server does.
type postOffice struct {
	mailer   Mailer // nil: mails wait
	keep     bool   // their words, after they were sent
	platform string // in whose name the platform's mails are
	poke     bell

	mu       sync.Mutex
	until    models.Time // no attempt before this instant of wall time
	failures int
	trouble  string
}

func newPostOffice(c *Config) *postOffice {
	if c.Platform == "" {
		c.Platform = "Refill"
	}
	return &postOffice{mailer: c.Mailer, keep: c.KeepMails, platform: c.Platform, poke: newBell()}
}

// wake tells the worker that there may be something to send.
func (p *postOffice) wake() { p.poke.ring() }

// closed tells whether the server is being left alone for a while.
func (p *postOffice) closed(wall models.Time) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return wall < p.until
}

// reached notes how the server did; every failure in a row doubles the pause.
func (p *postOffice) reached(err error, wall models.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err == nil {
		p.failures, p.until, p.trouble = 0, 0, ""
		return
	}
	p.until = wall.Add(backOff(p.failures, time.Second, mailPatience))
	p.failures++
	p.trouble = err.Error()
}

// CanMail tells whether mails leave: without a mail server they wait.
func (s *Service) CanMail() bool { return s.post.mailer != nil }

// home is the address of a door: an agency's portal, or with nil the platform's.
func (s *Service) home(portal *models.Agency) string {
	if portal == nil {
		return s.base.String()
	}
	return s.PortalURL(portal)
}

// envelope is what an outbox row has beside its letter.
type envelope struct {
	agency  models.AgencyID // in whose name; zero: the platform's
	kind    models.MailKind
	to      string
	replyTo string
	life    time.Duration // of wall time, after which it is not worth sending
}

// postMail writes a mail in the transaction that causes it. It leaves after the
// commit, once the caller or the tick wakes the worker. A nil letter is written
// when it leaves.
func (s *Service) postMail(tx *gorm.DB, e envelope, l *mail.Letter, now models.Time) error { //nolint:gocritic // once per mail
	_, err := s.putInOutbox(tx, e, l, now)
	return err
}

// putInOutbox is postMail for who wants to know what became of the mail.
func (s *Service) putInOutbox(tx *gorm.DB, e envelope, l *mail.Letter, now models.Time) (models.Mail, error) { //nolint:gocritic // once per mail
	wall := s.people.wall.Now()
	row := models.Mail{
		AgencyID: e.agency, Kind: e.kind, Recipient: e.to, ReplyTo: e.replyTo, State: models.MailQueued,
		NextAt: wall, ExpiresAt: wall.Add(e.life), CreatedAt: now,
	}
	if l != nil {
		var m mail.Message
		var err error
		if row.FromAddress, err = s.stamp(tx, e.agency, l); err != nil {
			return row, err
		}
		if err := m.Write(*l); err != nil {
			return row, err
		}
		row.FromName, row.Subject, row.Text, row.HTML, row.Unsubscribe = m.FromName, m.Subject, m.Text, m.HTML, m.Unsubscribe
	}
	return row, tx.Create(&row).Error
}

// WorkMails sends mails as they are written, until ctx ends. The tick wakes it
// for what it missed and for what is tried again.
func (s *Service) WorkMails(ctx context.Context) {
	s.post.poke.answer(ctx, s.log, "send mails", s.SendMails)
}

// SendMails sends every mail that is due: at least once each, and those to one
// address in the order they were written. One that fails waits and holds up only
// its own address.
func (s *Service) SendMails(ctx context.Context) error {
	for s.post.mailer != nil && ctx.Err() == nil {
		wall := s.people.wall.Now()
		if s.post.closed(wall) {
			return nil
		}
		var due []models.Mail
		if err := s.db.Read.WithContext(ctx).
			Where("state = ? AND next_at <= ?", models.MailQueued, wall).
			Where("NOT EXISTS (SELECT 1 FROM mails earlier WHERE earlier.recipient = mails.recipient AND earlier.state = ? AND earlier.id < mails.id)",
				models.MailQueued).
			Order("id").Limit(mailBatch).Find(&due).Error; err != nil {
			return err
		}
		for i := range due {
			if err := s.sendMail(ctx, &due[i]); err != nil {
				return err
			}
			if ctx.Err() != nil || s.post.closed(s.people.wall.Now()) {
				return ctx.Err()
			}
		}
		if len(due) == 0 {
			return nil
		}
	}
	return ctx.Err()
}

// sendMail claims a mail, sends it outside of any transaction, and books what
// came of it. Once claimed it is finished even while the program shuts down.
func (s *Service) sendMail(ctx context.Context, m *models.Mail) error {
	ctx = context.WithoutCancel(ctx)
	wall := s.people.wall.Now()
	if wall >= m.ExpiresAt {
		return s.endMail(ctx, m, models.MailDropped, "It came too late to be worth sending.")
	}
	if mine, err := s.claim(ctx, &models.Mail{}, m.NextAt, m.Attempts, "id = ?", m.ID); !mine {
		return err // another process has it
	}
	if m.Text == "" {
		wanted, err := s.writeSignIn(ctx, m)
		if err != nil {
			return err // the lease runs out, and it is tried again
		}
		if !wanted {
			return s.endMail(ctx, m, models.MailDropped, "Nobody with this address has access there.")
		}
	}
	err := s.post.mailer.Send(ctx, mail.Message{
		ID: fmt.Sprintf("%d.%d", m.ID, m.CreatedAt), To: m.Recipient, FromName: m.FromName, From: m.FromAddress, ReplyTo: m.ReplyTo,
		Date: m.CreatedAt.Go(), Subject: m.Subject, Text: m.Text, HTML: m.HTML, Unsubscribe: m.Unsubscribe,
	})
	wall = s.people.wall.Now()
	if errors.Is(err, mail.ErrUnreachable) {
		// The server's trouble, not the mail's: it loses no try.
		s.post.reached(err, wall)
		s.log.LogAttrs(ctx, slog.LevelWarn, "the mail server cannot be reached", slog.Any("error", err))
		return s.retryMail(ctx, m, m.Attempts, wall, err)
	}
	s.post.reached(nil, wall)
	switch {
	case err == nil:
		return s.endMail(ctx, m, models.MailSent, "")
	case errors.Is(err, mail.ErrRefused), m.Attempts+1 >= mailTries:
		s.log.LogAttrs(ctx, slog.LevelError, "mail given up", slog.Int64("mail", m.ID), slog.Any("error", err))
		return s.endMail(ctx, m, models.MailDead, err.Error())
	}
	return s.retryMail(ctx, m, m.Attempts+1, wall.Add(backOff(m.Attempts, mailSoonest, mailLatest)), err)
}

func (s *Service) retryMail(ctx context.Context, m *models.Mail, attempts int, at models.Time, why error) error {
	return s.db.Write.WithContext(ctx).Model(&models.Mail{}).Where("id = ? AND state = ?", m.ID, models.MailQueued).
		Updates(map[string]any{"next_at": at, "attempts": attempts, "note": shorten(why.Error())}).Error
}

// endMail closes a mail. Its words are forgotten, because links in them let
// people in; a demonstration keeps them to show.
func (s *Service) endMail(ctx context.Context, m *models.Mail, state models.MailState, note string) error {
	change := map[string]any{"state": state, "note": shorten(note), "ended_at": s.people.wall.Now(), "text": "", "html": "", "unsubscribe": ""}
	if s.post.keep {
		change["from_name"], change["subject"], change["text"], change["html"] = m.FromName, m.Subject, m.Text, m.HTML
		change["unsubscribe"], change["from_address"] = m.Unsubscribe, m.FromAddress
	}
	return s.db.Write.WithContext(ctx).Model(&models.Mail{}).Where("id = ? AND state = ?", m.ID, models.MailQueued).Updates(change).Error
}

// shorten keeps what a server said within bounds.
func shorten(s string) string {
	if len(s) > 500 {
		s = s[:500]
	}
	return s
}

// MailStanding is how the outbox does.
type MailStanding struct {
	Ready   bool   // there is a mail server
	Trouble string // why it cannot be reached; "" when it can
	Queued  int64
	Dead    int64 // given up in the last seven days
}

// MailStanding tells how the outbox does, for the operator.
func (s *Service) MailStanding(ctx context.Context) (MailStanding, error) {
	out := MailStanding{Ready: s.CanMail()}
	s.post.mu.Lock()
	out.Trouble = s.post.trouble
	s.post.mu.Unlock()
	db := s.db.Read.WithContext(ctx).Model(&models.Mail{})
	if err := db.Where("state = ?", models.MailQueued).Count(&out.Queued).Error; err != nil {
		return out, err
	}
	db = s.db.Read.WithContext(ctx).Model(&models.Mail{})
	return out, db.Where("state = ? AND ended_at > ?", models.MailDead, s.people.wall.Now().Add(-mailRecent)).Count(&out.Dead).Error
}

// Mails lists mails, the newest first: those before an id, or with 0 the newest
// of all.
func (s *Service) Mails(ctx context.Context, before int64, limit int) ([]models.Mail, error) {
	q := s.db.Read.WithContext(ctx).Omit("text", "html")
	if before > 0 {
		q = q.Where("id < ?", before)
	}
	var out []models.Mail
	return out, q.Order("id DESC").Limit(limit).Find(&out).Error
}

// Mail reads one mail. Errors: not_found.
func (s *Service) Mail(ctx context.Context, id int64) (models.Mail, error) {
	var out models.Mail
	return out, missing(s.db.Read.WithContext(ctx).Where("id = ?", id).Take(&out).Error, "mail")
}

// sweepMails forgets mails that ended long ago, and requests for links that
// nobody could send in time.
func (s *Service) sweepMails(ctx context.Context, wall models.Time) error {
	return errors.Join(
		s.db.Write.WithContext(ctx).Where("state <> ? AND ended_at <= ?", models.MailQueued, wall.Add(-mailKept)).Delete(&models.Mail{}).Error,
		s.db.Write.WithContext(ctx).Where("state = ? AND kind = ? AND expires_at <= ?", models.MailQueued, models.MailSignIn, wall).Delete(&models.Mail{}).Error,
	)
}

// noMail is the answer where a mail is needed and none can leave.
func noMail() error {
	return problem.New(problem.Unavailable, "mail_unavailable", "No mail can be sent from here yet. Sign in with your password, or ask whoever runs this portal.")
}
