package billing

import (
	"cmp"
	"fmt"
	"time"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"refill/billing/checkout"
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
	return s.hookNotice(tx, n, now)
}

// announce is notify for many wallets at once.
func (s *Service) announce(tx *gorm.DB, all []notice, now models.Time) error {
	if len(all) == 0 {
		return nil
	}
	rows := make([]models.Notice, len(all))
	for i := range all {
		n := &all[i]
		rows[i] = models.Notice{
			AgencyID: n.agency, ID: models.NewID[models.NoticeID](now), WalletID: n.wallet, Event: n.event, Occasion: n.key,
			Facts: n.facts, DueAt: now, CreatedAt: now,
		}
	}
	if err := tx.Clauses(clause.OnConflict{DoNothing: true}).CreateInBatches(rows, 500).Error; err != nil {
		return err
	}
	return s.hookNotices(tx, all, now)
}

// leftIn is what a wallet's row says is left.
func leftIn(tx *gorm.DB, agency models.AgencyID, wallet models.WalletID) (models.Credits, error) {
	var row models.Wallet
	err := tx.Select("balance").Where("agency_id = ? AND id = ?", agency, wallet).Take(&row).Error
	return row.Balance, err
}

// notifyPlan tells an agency what became of its plan.
func (s *Service) notifyPlan(tx *gorm.DB, event models.NoticeEvent, sub *models.Subscription, key string, f models.NoticeFacts, now models.Time) error { //nolint:gocritic // a notice is rare
	wallet, err := agencyWallet(tx, sub.AgencyID)
	if err != nil {
		return err
	}
	var plan models.Plan
	if err := tx.Where("id = ?", sub.PlanID).Take(&plan).Error; err != nil {
		return err
	}
	f.Name = plan.Name
	if f.Left, err = leftIn(tx, sub.AgencyID, wallet); err != nil {
		return err
	}
	return s.notify(tx, notice{agency: sub.AgencyID, wallet: wallet, event: event, key: key, facts: f}, now)
}

// notifyResets tells agencies that their plan credits are there again.
func (s *Service) notifyResets(tx *gorm.DB, subs []*models.Subscription, wallets map[models.AgencyID]models.WalletID, now models.Time) error {
	var all []notice
	for _, sub := range subs {
		if sub.Allowance > 0 {
			all = append(all, notice{
				agency: sub.AgencyID, wallet: wallets[sub.AgencyID], event: models.NoticePlanReset, key: sub.PeriodStart.RFC3339(),
				facts: models.NoticeFacts{Credits: sub.Allowance, ResetsAt: sub.PeriodEnd},
			})
		}
	}
	return s.announce(tx, all, now)
}

// notifyDelivered tells of a purchase that was booked: who bought, and who sold.
// Of what automatic top-up bought it tells itself.
func (s *Service) notifyDelivered(tx *gorm.DB, p *models.Purchase, now models.Time) error {
	n := notice{agency: p.AgencyID, wallet: p.WalletID, event: models.NoticePurchaseCredited, key: p.ID.String(), facts: models.NoticeFacts{
		Credits: p.Credits + p.Bonus, Left: p.BalanceAfter, Amount: p.Paid, Currency: p.Currency, Name: p.Title, Path: receiptPath(p), At: p.TermEnd,
	}}
	if !p.Automatic() {
		if err := s.notify(tx, n, now); err != nil {
			return err
		}
	}
	if !p.IsSale() {
		return nil
	}
	name, seller, err := s.seller(tx, p)
	if err != nil {
		return err
	}
	n.wallet, n.event, n.facts.Name, n.facts.Path, n.facts.At = seller, models.NoticeSubAccountBought, name, "", 0
	if n.facts.Left, err = leftIn(tx, p.AgencyID, seller); err != nil {
		return err
	}
	return s.notify(tx, n, now)
}

// receiptPath is the receipt of a purchase, below the portal of whoever bought.
func receiptPath(p *models.Purchase) string { return "/purchases/" + p.ID.String() + "/receipt" }

// notifySales tells an agency that it takes no money any more, and that it does
// again, once each: next keeps since when, under the lock of its row. said is what
// Stripe answered, nothing of an account that is disconnected. That sales begin
// tells nobody.
func (s *Service) notifySales(tx *gorm.DB, was, next *models.StripeAccount, said *checkout.Account, now models.Time) error {
	n := notice{agency: next.AgencyID, event: models.NoticeSalesPaused}
	switch {
	case was.Sells() && !next.Sells():
		next.PausedAt, n.key = next.CheckedAt, next.CheckedAt.RFC3339()
		n.facts = models.NoticeFacts{Reason: said.Disabled, Count: len(said.Due)}
		if next.DisconnectedAt != 0 {
			running, err := monthsRunning(tx, was)
			if err != nil {
				return err
			}
			n.facts = models.NoticeFacts{Reason: disconnectedReason, Count: running}
		}
	case next.Sells() && next.PausedAt != 0:
		n.event, n.key = models.NoticeSalesResumed, next.PausedAt.RFC3339()
		next.PausedAt = 0
	default:
		return nil
	}
	var err error
	if n.wallet, err = agencyWallet(tx, n.agency); err != nil {
		return err
	}
	return s.notify(tx, n, now)
}

// seller is the client of a sale by name, and the wallet of who sold.
func (s *Service) seller(tx *gorm.DB, p *models.Purchase) (client string, wallet models.WalletID, err error) {
	var sub models.SubAccount
	if err := tx.Where("agency_id = ? AND wallet_id = ?", p.AgencyID, p.WalletID).Take(&sub).Error; err != nil {
		return "", wallet, err
	}
	wallet, err = agencyWallet(tx, p.AgencyID)
	return sub.Name, wallet, err
}

// notifyMoneyBack tells what happened to a payment after it was made: the buyer of
// refunds and disputes, and the seller of what is theirs to answer or to do again. Of
// a pack the seller is the platform.
func (s *Service) notifyMoneyBack(tx *gorm.DB, was, p *models.Purchase, news refundNews, now models.Time) error {
	if !p.IsSale() {
		if err := s.mailMoney(tx, was, p, news, now); err != nil {
			return err
		}
	}
	all := moneyNotices(was, p, news)
	warned := p.IsSale() && p.WarnedAt > was.WarnedAt
	if len(all) == 0 && !warned {
		return nil
	}
	left, err := leftIn(tx, p.AgencyID, p.WalletID)
	if err != nil {
		return err
	}
	for i := range all {
		n := &all[i]
		n.wallet, n.key, n.facts.Left, n.facts.Name = p.WalletID, p.ID.String()+" "+n.key, left, p.Title
		if err := s.notify(tx, *n, now); err != nil {
			return err
		}
	}
	if !p.IsSale() {
		return nil
	}
	client, wallet, err := s.seller(tx, p)
	if err != nil {
		return err
	}
	if warned {
		all = append(all, notice{
			agency: p.AgencyID, event: models.NoticePaymentWarned, key: p.ID.String(), facts: models.NoticeFacts{Amount: p.Paid, Currency: p.Currency},
		})
	}
	for i := range all {
		n := &all[i]
		if n.event == models.NoticePurchaseRefunded { // the seller's own doing
			continue
		}
		n.wallet, n.facts.Left, n.facts.Name, n.facts.Reason = wallet, 0, client, ofSale
		if n.event == models.NoticePaymentDisputed {
			n.facts.At = p.DisputeAnswerBy
		}
		if err := s.notify(tx, *n, now); err != nil {
			return err
		}
	}
	return nil
}

// moneyNotices are what is to be told of a payment since it was read as was; who is
// told, and of which payment, is the caller's to say.
func moneyNotices(was, p *models.Purchase, news refundNews) []notice {
	var all []notice
	about := func(event models.NoticeEvent, key string, c models.Credits, amount int64) *notice {
		all = append(all, notice{
			agency: p.AgencyID, event: event, key: key, facts: models.NoticeFacts{Credits: max(0, c), Amount: amount, Currency: p.Currency},
		})
		return &all[len(all)-1]
	}
	taken := p.Revoked + p.BonusRevoked - was.Revoked - was.BonusRevoked
	if news.given > 0 {
		about(models.NoticePurchaseRefunded, news.gave, taken, news.given)
	}
	if news.failed > 0 {
		about(models.NoticeRefundFailed, news.returned, -taken, news.failed)
	}
	disputed := string(p.Dispute) + " " + p.DisputedAt.RFC3339()
	switch {
	case asksAnew(was.Dispute, p.Dispute):
		about(models.NoticePaymentDisputed, disputed, p.Frozen+p.BonusFrozen, cmp.Or(p.DisputeHeld, p.Paid))
	case decidedAnew(was.Dispute, p.Dispute) && p.Dispute == models.DisputeWon:
		about(models.NoticeDisputeDecided, disputed, was.Frozen+was.BonusFrozen-p.Frozen-p.BonusFrozen, cmp.Or(was.DisputeHeld, p.Paid)).facts.Won = true
	case decidedAnew(was.Dispute, p.Dispute):
		about(models.NoticeDisputeDecided, disputed, taken, p.DisputeLost)
	}
	return all
}

// notifyRates tells the agencies that a card prices of its next version.
func (s *Service) notifyRates(tx *gorm.DB, v *models.RateCardVersion, changes int, now models.Time) error {
	if changes == 0 {
		return nil
	}
	var card models.RateCard
	if err := tx.Where("id = ?", v.CardID).Take(&card).Error; err != nil {
		return err
	}
	var priced []models.Agency
	if err := tx.Select("agencies.id", "agencies.wallet_id").Where("rate_card_id = ?", v.CardID).
		Or(`rate_card_id IS NULL AND EXISTS (SELECT 1 FROM subscriptions s JOIN plans p ON p.id = s.plan_id
			WHERE s.agency_id = agencies.id AND s.ended_at = 0 AND p.rate_card_id = ?)`, v.CardID).Find(&priced).Error; err != nil {
		return err
	}
	all := make([]notice, len(priced))
	for i := range priced {
		all[i] = notice{
			agency: priced[i].ID, wallet: priced[i].WalletID, event: models.NoticeRateChanged, key: fmt.Sprintf("%s %d", v.CardID, v.Number),
			facts: models.NoticeFacts{At: v.EffectiveAt, Name: card.Name, Count: changes},
		}
	}
	return s.announce(tx, all, now)
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
