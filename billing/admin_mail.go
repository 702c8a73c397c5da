package billing

import (
	"cmp"
	"strings"
	"time"

	"gorm.io/gorm"

	"refill/billing/mail"
	"refill/models"
)

// What the platform's admins hear of by mail: money that is at stake and what waits
// for a person. There is nothing to choose; each is told once, in the transaction
// that notes it.

// letterhead is in whose name a letter is, and below which address its button leads.
type letterhead struct{ brand, home string }

func (s *Service) letterhead() letterhead { return letterhead{s.post.platform, s.home(nil)} }

// letter is one with a button.
func (h letterhead) letter(subject, button, path string, lines ...string) mail.Letter {
	return mail.Letter{Brand: h.brand, Subject: subject, Lines: sentences(lines...), Button: button, URL: h.home + path}
}

// ofPayments is a letter about what the desk of payments shows.
func (h letterhead) ofPayments(subject string, lines ...string) mail.Letter {
	return h.letter(subject, "See the payments", "/admin/payments", lines...)
}

// warned tells that a card network takes a payment to the platform for fraud. It takes
// no credits: that is for a person to decide.
func (h letterhead) warned(agency string, p *models.Purchase) mail.Letter {
	f := models.NoticeFacts{Amount: p.Paid, Currency: p.Currency}
	return h.ofPayments("A payment of "+agency+" may be fraud",
		"The card network takes a payment of "+agency+" for fraud: "+moneyText(&f)+" for "+bought(p)+". Its credits stay as they are.",
		"A refund now takes them back and avoids a dispute and its fee. If you know the buyer, nothing has to be done.")
}

// disputed tells that a bank wants the money of a payment to the platform back, or
// asks about it: only an answer at Stripe keeps the money.
func (h letterhead) disputed(agency string, p *models.Purchase, now models.Time) mail.Letter {
	by := ""
	if p.DisputeAnswerBy > now {
		by = " by " + date(p.DisputeAnswerBy, now, time.UTC)
	}
	if p.Dispute == models.DisputeInquiry {
		f := models.NoticeFacts{Amount: p.Paid, Currency: p.Currency}
		return h.ofPayments("A bank asks about a payment of "+agency,
			"The bank of "+agency+" asks about the payment"+ofMoney(&f)+" for "+bought(p)+". Nothing is taken yet, and the credits stay as they are.",
			"Answer at Stripe"+by+", or it becomes a dispute.")
	}
	f := models.NoticeFacts{Amount: p.DisputeHeld, Currency: p.Currency}
	aside := "The credits stay as they are."
	if c := p.Frozen + p.BonusFrozen; c > 0 {
		aside = creditsWord(c) + " can't be used meanwhile."
	}
	return h.ofPayments("A payment of "+agency+" is disputed",
		"The bank of "+agency+" wants back "+moneyText(&f)+" that was paid for "+bought(p)+", and has taken it until that is decided. "+aside,
		"Answer the dispute at Stripe"+by+", or it is lost. If it is won, everything goes back to where it was.")
}

// decided tells what a bank has made of a dispute.
func (h letterhead) decided(agency string, was, p *models.Purchase) mail.Letter {
	if p.Dispute == models.DisputeWon {
		f := models.NoticeFacts{Amount: cmp.Or(was.DisputeHeld, p.Paid), Currency: p.Currency}
		return h.ofPayments("A payment of "+agency+" stands", "The bank of "+agency+" has decided: the payment"+ofMoney(&f)+" for "+bought(p)+" stands, and its credits can be used.",
			"Nothing has to be done.")
	}
	f := models.NoticeFacts{Amount: p.DisputeLost, Currency: p.Currency}
	then := "What was used of its credits the agency owes."
	if p.ID.IsZero() {
		then = "End the plan if it should not go on."
	}
	return h.ofPayments("A dispute with "+agency+" is lost",
		"The bank of "+agency+" has decided: it keeps "+moneyText(&f)+" that was paid for "+bought(p)+". Unspent credits of it were taken back.",
		"Nothing more can be done at Stripe. "+then)
}

// refundFailed tells that money on its way back was not taken.
func (h letterhead) refundFailed(agency string, p *models.Purchase, amount int64) mail.Letter {
	f := models.NoticeFacts{Amount: amount, Currency: p.Currency}
	return h.ofPayments("A refund to "+agency+" failed",
		"The refund"+ofMoney(&f)+" for "+bought(p)+" did not arrive: their bank did not take it. The money is in the Stripe account again, and the credits are theirs again.",
		"Refund it once more, or send the money another way.")
}

// bought is what a payment to the platform was for; one of a plan has no id.
func bought(p *models.Purchase) string {
	if p.ID.IsZero() {
		return "its plan"
	}
	return quoted(p.Title)
}

// mailMoney tells the admins what has happened to a payment to the platform since it
// was read as was, as far as it is theirs to answer or to do again.
func (s *Service) mailMoney(tx *gorm.DB, was, p *models.Purchase, news refundNews, now models.Time) error {
	warned, asked, decided := p.WarnedAt > was.WarnedAt, asksAnew(was.Dispute, p.Dispute), decidedAnew(was.Dispute, p.Dispute)
	if !warned && !asked && !decided && news.failed == 0 {
		return nil
	}
	var agency models.Agency
	if err := tx.Where("id = ?", p.AgencyID).Take(&agency).Error; err != nil {
		return err
	}
	h := s.letterhead()
	var all []mail.Letter
	if warned {
		all = append(all, h.warned(agency.Name, p))
	}
	if asked {
		all = append(all, h.disputed(agency.Name, p, now))
	}
	if decided {
		all = append(all, h.decided(agency.Name, was, p))
	}
	if news.failed > 0 {
		all = append(all, h.refundFailed(agency.Name, p, news.failed))
	}
	for i := range all {
		if err := s.mailAdmins(tx, all[i], now); err != nil {
			return err
		}
	}
	return nil
}

// asksAnew tells that a bank has come to ask about a payment, or for it back.
func asksAnew(was, is models.DisputeState) bool {
	return is != was && (is == models.DisputeOpen || is == models.DisputeInquiry)
}

// decidedAnew tells that a bank has decided what it asked about.
func decidedAnew(was, is models.DisputeState) bool {
	return is != was && (is == models.DisputeLost || is == models.DisputeWon && was != models.DisputeNone)
}

// doubtful tells of a wallet that does not add up.
func (h letterhead) doubtful(wallet models.WalletID, why string) mail.Letter {
	return h.letter("A wallet does not add up and is out of service", "See the audit log", "/admin/audit?target="+wallet.String(),
		"Wallet "+wallet.String()+" is not charged until somebody has looked. "+why,
		"Run refill audit to see everything that is wrong. Once it adds up again: refill readmit "+wallet.String())
}

// hookOff tells an endpoint's owners that nothing more is sent there; path is where
// they look at it.
func (h letterhead) hookOff(url, why, path string) mail.Letter {
	return h.letter("A webhook endpoint was turned off", "Look at the endpoint", path,
		"Nothing more is sent to "+url+".", why, "What happens meanwhile stays in the list of events and can be sent again.")
}

// domainLost tells an agency that the record of its domain cannot be found, and what
// follows: later, or now that it has stopped.
func (h letterhead) domainLost(name, note string, stopped bool) mail.Letter {
	subject, then := "The record of "+name+" cannot be found", " It is looked for every hour. After three days the name stops working here."
	if stopped {
		subject, then = name+" stopped working", " Your clients reach the portal under the platform's address again. Put the record back and check it to go on."
	}
	return h.letter(subject, "Look at your domains", "/settings/domain", note+then)
}

// unbooked tells of a payment that waits for a person, because it is not what was to
// be paid, or its credits do not fit.
func (h letterhead) unbooked(agency string, p *models.Purchase) mail.Letter {
	f := models.NoticeFacts{Amount: p.Paid, Currency: p.Currency}
	who, what := agency, "Look at the payment: book it once that is put right, or refund it."
	if p.IsSale() {
		who, what = "A client of "+agency, "Look at the payment with "+agency+", who was paid: its credits can be booked once that is put right."
	}
	first := who + " paid " + moneyText(&f) + " for " + bought(p) + " and got no credits."
	if p.PaidAt == 0 {
		first = who + " may have paid for " + bought(p) + " and got no credits."
	}
	return h.ofPayments("A payment of "+agency+" is not booked", first+" "+p.StatusNote, what)
}

// mailReview tells the admins of a purchase that has come to wait for a person.
func (s *Service) mailReview(tx *gorm.DB, was models.PurchaseStatus, p *models.Purchase, now models.Time) error {
	if p.Status != models.PurchaseReview || was == models.PurchaseReview {
		return nil
	}
	var agency models.Agency
	if err := tx.Where("id = ?", p.AgencyID).Take(&agency).Error; err != nil {
		return err
	}
	return s.mailAdmins(tx, s.letterhead().unbooked(agency.Name, p), now)
}

// strays tells of payments that nobody here knows, as after a backup was restored.
func (h letterhead) strays(n int) mail.Letter {
	return h.ofPayments(plural(n, "payment")+" at Stripe unknown here",
		"Stripe has "+plural(n, "payment")+" for purchases that this installation does not know, as after a backup was restored. Nobody got credits for them here.",
		"Find the buyer at Stripe, then refund there or give the credits by hand.")
}

// dead tells of a message of Stripe's that was tried in vain for a day.
func (h letterhead) dead(e *models.StripeEvent) mail.Letter {
	return h.ofPayments("A message of Stripe's was given up",
		"The message "+e.EventID+" ("+e.Type+") was tried for a day in vain: "+strings.TrimSuffix(e.Note, ".")+".",
		"Take it in again once that is put right. Others that are given up within the hour are listed there, without a mail of their own.")
}

// deadTogether is how long after one was told of no other message is: what stops one
// may stop hundreds.
const deadTogether = time.Hour

// mailDead tells the admins of a message that was given up.
func (s *Service) mailDead(tx *gorm.DB, e *models.StripeEvent, now models.Time) error {
	var others int64
	if err := tx.Model(&models.StripeEvent{}).Where("state = ? AND processed_at > ? AND NOT (endpoint = ? AND event_id = ?)",
		models.EventDead, now.Add(-deadTogether), e.Endpoint, e.EventID).Count(&others).Error; err != nil || others > 0 {
		return err
	}
	return s.mailAdmins(tx, s.letterhead().dead(e), now)
}

// mailAdmins writes to every admin of the platform.
func (s *Service) mailAdmins(tx *gorm.DB, l mail.Letter, now models.Time) error { //nolint:gocritic // once per act
	var to []string
	if err := tx.Model(&models.User{}).Where("platform_role = ? AND disabled_at = 0", models.PlatformAdmin).Order("email").Pluck("email", &to).Error; err != nil {
		return err
	}
	for _, address := range to {
		if err := s.postMail(tx, envelope{kind: models.MailNotice, to: address, life: webhookFor}, &l, now); err != nil {
			return err
		}
	}
	if len(to) > 0 {
		s.post.wake()
	}
	return nil
}
