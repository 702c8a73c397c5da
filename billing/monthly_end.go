package billing

import (
	"cmp"

	"gorm.io/gorm"

	"refill/billing/checkout"
	"refill/models"
)

// Why a monthly package ends, as its notice keeps it.
const (
	monthUnpaid    = "unpaid"
	monthDisputed  = "disputed"
	monthCancelled = "cancelled" // by the client, by its agency, or on Stripe's own pages
	monthPooled    = "pooled"    // the client draws on its agency's credits
	monthArchived  = "archived"
	monthKept      = "kept" // it does not: its agency took the cancellation back
)

// notifyEnd tells both sides that a monthly package is to end, or has ended and
// nobody said so before. An agency that has put its client away, or on its pool,
// knows: its form said so.
func (s *Service) notifyEnd(tx *gorm.DB, was, row *models.PackageSubscription, why checkout.EndReason, now models.Time) error {
	n := notice{agency: row.AgencyID, wallet: row.WalletID, event: models.NoticeMonthEnded, key: row.ID.String() + " ended"}
	n.facts = models.NoticeFacts{Credits: row.Credits, Amount: row.Price, Currency: row.Currency, Reason: monthCancelled}
	ended := row.Status == models.PackageSubEnded && was.Status.Running()
	switch {
	case ended && (why == checkout.EndUnpaid || why == "" && was.Status == models.PackageSubPastDue):
		n.facts.Reason = monthUnpaid
	case ended && why == checkout.EndDisputed:
		n.facts.Reason = monthDisputed
	case ended && was.CancelAt == 0:
	case row.Status.Running() && row.CancelAt > 0 && was.CancelAt == 0:
		n.key, n.facts.At = row.ID.String()+" ends "+row.CancelAt.RFC3339(), row.CancelAt
	default:
		return nil
	}
	var sub models.SubAccount
	if err := tx.Where("agency_id = ? AND wallet_id = ?", row.AgencyID, row.WalletID).Take(&sub).Error; err != nil {
		return err
	}
	var client models.Wallet
	if err := tx.Where("agency_id = ? AND id = ?", row.AgencyID, row.WalletID).Take(&client).Error; err != nil {
		return err
	}
	if n.facts.Left = client.Balance; sub.Status != models.SubAccountActive {
		n.facts.Reason, n.facts.Left = monthArchived, 0
	} else if client.Funding == models.Pooled {
		n.facts.Reason, n.facts.Left = monthPooled, 0
	}
	if err := s.notify(tx, n, now); err != nil || n.facts.Reason == monthArchived || n.facts.Reason == monthPooled {
		return err
	}
	var err error
	if n.wallet, err = agencyWallet(tx, row.AgencyID); err != nil {
		return err
	}
	n.facts.Name, n.facts.Left = sub.Name, 0
	return s.notify(tx, n, now)
}

// notifyKept tells a client that its agency has taken a cancellation back: it pays
// again, and may have been the one who cancelled.
func (s *Service) notifyKept(tx *gorm.DB, row *models.PackageSubscription, now models.Time) error {
	left, err := leftIn(tx, row.AgencyID, row.WalletID)
	if err != nil {
		return err
	}
	return s.notify(tx, notice{
		agency: row.AgencyID, wallet: row.WalletID, event: models.NoticeMonthEnded, key: row.ID.String() + " kept " + now.RFC3339(),
		facts: models.NoticeFacts{Credits: row.Credits, Amount: row.Price, Currency: row.Currency, Left: left, At: row.PeriodEnd, Reason: monthKept},
	}, now)
}

// monthsRunning counts the monthly packages that an account collects: Stripe goes on
// with them when it is disconnected, and tells us nothing of it.
func monthsRunning(tx *gorm.DB, of *models.StripeAccount) (int, error) {
	var n int64
	err := tx.Model(&models.PackageSubscription{}).Where("agency_id = ? AND account = ? AND status IN ?", of.AgencyID, of.Account,
		models.RunningPackageSubs()).Count(&n).Error
	return int(n), err
}

// monthEnded tells that a monthly package ends, to the client or to who sold it.
func (v Voice) monthEnded(f *models.NoticeFacts, now models.Time) NoticeWords {
	w := NoticeWords{Title: "Your monthly package has ended", Button: "Buy credits", Path: cmp.Or(f.Path, "/buy")}
	what, ends := "Your monthly package of "+creditsWord(f.Credits)+forMoney(f), "has ended"
	if !v.Client {
		w = NoticeWords{Title: "The monthly package of " + f.Name + " has ended", Button: "See your sales", Path: cmp.Or(f.Path, "/sales")}
		what = "The monthly package of " + f.Name + ", " + creditsWord(f.Credits) + forMoney(f) + ","
	}
	if f.At > now {
		ends = "ends " + days(f.At, now, v.Zone)
		w.Title = "Your monthly package ends"
		if !v.Client {
			w.Title = "The monthly package of " + f.Name + " ends"
		}
	}
	switch {
	case f.Reason == monthUnpaid && v.Client:
		w.Lines = sentences(what+" has ended: its payment failed too often and is not tried again. You were not charged."+spaced(v.left(f)),
			"To have it again, buy it once more with a card that works. Without credits "+v.stops()+".")
	case f.Reason == monthUnpaid:
		w.Lines = sentences(what+" has ended: its payment failed too often, and Stripe does not try it again.",
			"Its people have been told and can buy it again. What was kept for this month is yours to sell again.")
	case f.Reason == monthDisputed && v.Client:
		w.Button, w.Path = "See your purchases", "/purchases"
		w.Lines = sentences(what+" has ended: your bank asks for a payment of it back."+spaced(v.left(f)),
			"If that is a mistake, withdraw it with your bank. Then you can buy the package again.")
	case f.Reason == monthDisputed:
		w.Lines = sentences(what+" has ended: a payment of it is disputed, and Stripe makes no other.",
			"Answer the dispute at Stripe, if you have not. Its people have been told of the end.")
	case f.Reason == monthArchived: // its people have no entry any more
		w.Button, w.Path = "", ""
		w.Lines = sentences(v.Agency+" has closed your account, so your monthly package of "+creditsWord(f.Credits)+forMoney(f)+" "+ends+". Nothing more is charged.",
			"If that is a mistake, or you want money back for credits you have not used, write to "+v.Agency+".")
	case f.Reason == monthKept:
		w.Title, w.Button = "Your monthly package goes on", "See your packages"
		w.Lines = sentences(v.Agency+" has taken the cancellation back: your monthly package of "+creditsWord(f.Credits)+forMoney(f)+" goes on."+spaced(v.left(f)),
			"The next payment is made "+days(f.At, now, v.Zone)+". If you do not want that, cancel it before then.")
	case f.Reason == monthPooled:
		w.Button, w.Path = "See your account", "/"
		w.Lines = sentences("Your AI uses credits of "+v.Agency+" now, so your monthly package of "+creditsWord(f.Credits)+forMoney(f)+" "+ends+". Nothing more is charged.",
			"Nothing has to be done. What is left of it is not used any more: if you want money back for that, ask "+v.Agency+".")
	case v.Client && f.At > now:
		w.Button = "See your packages"
		w.Lines = sentences(what+" was cancelled: it "+ends+", and nothing more is charged."+spaced(v.left(f)),
			"Its credits stay until then. You can still keep it until that day; if you did not cancel it, ask "+v.Agency+".")
	case v.Client:
		w.Lines = sentences(what+" has ended, and nothing more is charged."+spaced(v.left(f)),
			"If you did not expect that, ask "+v.Agency+". You can buy it again at any time.")
	case f.At > now:
		w.Lines = sentences(what+" was cancelled: it "+ends+", and nothing more is charged.", "It keeps the credits of this month until then. Nothing has to be done.")
	default:
		w.Lines = sentences(what+" was ended at Stripe, and nothing more is charged.", "Its people have been told, and can buy it again. Nothing has to be done.")
	}
	return w
}
