package billing

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"
	"time"

	"refill/models"
)

// NoticeWords is what a notice says: what happened and how much is left, what it
// means, and the one thing that ends it. Mail and page say the same.
type NoticeWords struct {
	Title  string
	Lines  []string
	Button string
	Path   string // of the button, on the reader's own portal
}

// Voice is whom a notice speaks to.
type Voice struct {
	Client   bool
	Member   bool   // of an agency, who reads along: may not buy, sell or assign
	Agency   string // its name
	Portal   string // to a client, what the portal is called; "" Agency
	Platform string
	Zone     *time.Location
}

// Say puts a notice into words.
func (v Voice) Say(n *models.Notice) NoticeWords {
	w := v.say(n)
	switch { // pages that a member may not enter
	case !v.Member:
	case w.Path == connectPath:
		w.Button, w.Path = "See your packages", "/packages"
	case strings.HasSuffix(w.Path, assignPath):
		w.Button, w.Path = "See "+n.Facts.Name, strings.TrimSuffix(w.Path, assignPath)
	}
	return w
}

// Where notices lead that only somebody who may buy and sell is let in.
const (
	connectPath = "/packages/connect"
	assignPath  = "/assign" // below a sub-account
)

func (v Voice) say(n *models.Notice) NoticeWords {
	f, now := &n.Facts, n.CreatedAt
	switch n.Event {
	case models.NoticeLow:
		return v.low(f, now)
	case models.NoticeCritical:
		return v.critical(f, now)
	case models.NoticePaused:
		return v.paused(f, now)
	case models.NoticeResumed:
		w := NoticeWords{Title: v.ai() + " again", Button: "See your account", Path: "/"}
		w.Lines = sentences(v.ai()+" again: replies go out as before.", v.left(f))
		return w
	case models.NoticeUpstreamPaused:
		return NoticeWords{
			Title:  "Your AI is paused",
			Lines:  sentences("Your AI is paused. "+v.Agency+" has been told and is working on it.", kept(f.Left)),
			Button: "See your account", Path: "/",
		}
	case models.NoticeTopUpDone, models.NoticeTopUpFailed, models.NoticeTopUpLimit, models.NoticeTopUpPaused:
		return v.topUp(n.Event, f, now)
	case models.NoticePlanReset, models.NoticePlanPastDue, models.NoticePlanEnded:
		return v.plan(n.Event, f, now)
	case models.NoticeExpiring:
		return NoticeWords{
			Title: creditsWord(f.Credits) + expire(f.Credits) + inDays(f.At, now, v.Zone),
			Lines: sentences(creditsWord(f.Credits)+" "+bucketWords(f.Name)+expire(f.Credits)+days(f.At, now, v.Zone)+" if not used by then.",
				"They are used before credits that never expire. Nothing stops."),
			Button: "See your credits", Path: "/",
		}
	case models.NoticeSubAccountLow, models.NoticeSubAccountPaused, models.NoticeSubAccountBought:
		return v.subAccount(n.Event, f, now)
	case models.NoticePurchaseCredited, models.NoticePurchaseRefunded, models.NoticePaymentDisputed, models.NoticePaymentWarned:
		return v.payment(n.Event, f, now)
	case models.NoticeRefundFailed, models.NoticeDisputeDecided:
		return v.outcome(n.Event, f)
	case models.NoticeSalesPaused:
		return v.salesPaused(f)
	case models.NoticeSalesResumed:
		return NoticeWords{
			Title:  "You can sell again",
			Lines:  sentences("Stripe takes payments for you again: your clients see your packages and can buy.", "Nothing has to be done."),
			Button: "See your packages", Path: cmp.Or(f.Path, "/packages"),
		}
	case models.NoticeSaleWaits, models.NoticeMonthSkipped, models.NoticeMonthUnpaid:
		return v.monthly(n.Event, f, now)
	case models.NoticeMonthEnded:
		return v.monthEnded(f, now)
	case models.NoticeStandingSkipped:
		return v.skipped(f, now)
	case models.NoticeRateChanged:
		when := "now"
		if f.At > now {
			when = "on " + date(f.At, now, v.Zone)
		}
		return NoticeWords{
			Title: "What replies cost changes " + when,
			Lines: sentences("The rate card "+quoted(f.Name)+" changes "+when+": "+plural(max(1, f.Count), "rate")+" in it.",
				"Your credits stay what they are, and what was charged before keeps its price."),
			Button: "See your usage", Path: cmp.Or(f.Path, "/usage"),
		}
	case models.NoticeReferralEarned, models.NoticeGiftRedeemed:
		return v.bonus(n.Event, f)
	case models.NoticeSummaryWeekly:
		return v.week(f, now)
	case models.NoticeTest:
		return NoticeWords{
			Title:  "This is a test",
			Lines:  sentences("You asked for a test: notices of "+v.house()+" reach you here.", v.left(f)),
			Button: "See your notifications", Path: "/settings/notifications",
		}
	}
	return NoticeWords{Title: string(n.Event), Lines: sentences(f.Reason), Button: "See your account", Path: cmp.Or(f.Path, "/")}
}

// house is whose portal it is.
func (v Voice) house() string {
	if v.Client {
		return cmp.Or(v.Portal, v.Agency)
	}
	return v.Platform
}

func (v Voice) ai() string {
	if v.Client {
		return "Your AI assistant is running"
	}
	return "AI replies are running"
}

// stops is what happens without credits.
func (v Voice) stops() string {
	if v.Client {
		return "your AI assistant pauses. Messages still arrive; people can answer by hand"
	}
	return "AI replies pause. Everything else keeps working"
}

func (v Voice) left(f *models.NoticeFacts) string {
	switch {
	case f.Left == 0:
		return ""
	case f.Left < 0:
		return owed(f.Left)
	}
	text := "You have " + creditsWord(f.Left) + " left"
	if f.Held > 0 {
		text += ", and " + creditsWord(f.Held) + " in use now"
	}
	return text + "."
}

// lasts tells when the credits end, or that they last.
func (v Voice) lasts(f *models.NoticeFacts, now models.Time) string {
	reset := "your reset"
	if v.Client {
		reset = "your next monthly credits"
	}
	switch {
	case f.RunsOutAt > now && f.ResetsAt > now:
		return "At your pace they run out " + days(f.RunsOutAt, now, v.Zone) + ", before " + reset + " on " + date(f.ResetsAt, now, v.Zone) + "."
	case f.RunsOutAt > now:
		return "At your pace they run out " + days(f.RunsOutAt, now, v.Zone) + "."
	case f.ResetsAt > now && v.Client:
		return "Your next monthly credits come " + days(f.ResetsAt, now, v.Zone) + "."
	case f.ResetsAt > now:
		return "Your plan credits reset " + days(f.ResetsAt, now, v.Zone) + "."
	}
	return ""
}

func (v Voice) low(f *models.NoticeFacts, now models.Time) NoticeWords {
	w := NoticeWords{Button: "Buy credits", Path: cmp.Or(f.Path, "/buy")}
	what := ""
	switch {
	case f.Percent >= 100:
		w.Title = "Your plan credits are used up"
		what = "All " + creditsText(f.Credits) + " plan credits of this period are used."
	case f.Percent > 0:
		w.Title = strconv.Itoa(f.Percent) + "% of your plan credits are used"
		what = strconv.Itoa(f.Percent) + "% of this period's " + creditsText(f.Credits) + " plan credits are used."
	case f.Days > 0:
		w.Title = "Your credits last less than " + plural(f.Days, "day")
	default:
		w.Title = "You have less than " + creditsWord(f.Credits) + " left"
		what = "You asked to hear of it below " + creditsText(f.Credits) + "."
	}
	after := "Nothing stops yet. Without credits " + v.stops() + "."
	w.Lines = sentences(strings.TrimSpace(v.left(f)+" "+what), strings.TrimSpace(v.lasts(f, now)+" "+after))
	return w
}

func (v Voice) critical(f *models.NoticeFacts, now models.Time) NoticeWords {
	w := NoticeWords{Title: "Less than a day of credits left", Button: "Buy credits", Path: cmp.Or(f.Path, "/buy")}
	if f.Left <= 0 {
		w.Title = "You are below zero"
		w.Lines = sentences(owed(f.Left), strings.TrimSpace("AI goes on up to your limit; then it pauses. "+v.lasts(f, now)))
		return w
	}
	when := "."
	if f.ResetsAt > now {
		what := "your plan credits"
		if v.Client {
			what = "your next monthly credits"
		}
		when = " until " + what + " come on " + date(f.ResetsAt, now, v.Zone) + " or you buy some."
	}
	pauses, meanwhile, _ := strings.Cut(v.stops(), ". ")
	w.Lines = sentences(v.left(f)+" At your pace that is less than a day.", "When they are used, "+pauses+when+" "+meanwhile+".")
	return w
}

func (v Voice) paused(f *models.NoticeFacts, now models.Time) NoticeWords {
	switch {
	case f.Reason == haltedReason:
		return NoticeWords{
			Title:  "Your account is paused",
			Lines:  sentences(v.Platform+" has stopped AI for you and your clients, and nothing can be bought.", cmp.Or(kept(f.Left), "Your credits are kept.")),
			Button: "See your account", Path: "/",
		}
	case v.Client && f.Credits > 0: // of the agency's pool
		span := "this period"
		if f.Name == string(models.PoolDay) {
			span = "today"
		}
		return NoticeWords{
			Title: "Your AI assistant is paused",
			Lines: sentences("The "+creditsWord(f.Credits)+" included for "+span+" are used, so your AI assistant is paused. Messages still arrive; people can answer by hand.",
				"It starts again by itself when the next ones come, or when "+v.Agency+" raises the limit."),
			Button: "See your account", Path: "/",
		}
	case v.Client:
		again := "Buying credits starts it again at once."
		if f.ResetsAt > now {
			again = "It starts again at once when you buy credits, or with your next monthly credits " + days(f.ResetsAt, now, v.Zone) + "."
		}
		return NoticeWords{
			Title: "Your AI assistant is paused",
			Lines: sentences("Your AI assistant is paused because there are no credits left. Messages still arrive; people can answer by hand."+spaced(below(f.Left)),
				again),
			Button: "Buy credits", Path: cmp.Or(f.Path, "/buy"),
		}
	}
	again := "Buying credits starts them again at once."
	if f.ResetsAt > now {
		again = "They start again at once when you buy credits, or with your plan credits " + days(f.ResetsAt, now, v.Zone) + "."
	}
	return NoticeWords{
		Title:  "AI replies are paused",
		Lines:  sentences("AI replies are paused because you have no credits left. Everything else keeps working."+spaced(below(f.Left)), again),
		Button: "Buy credits", Path: cmp.Or(f.Path, "/buy"),
	}
}

func (v Voice) topUp(event models.NoticeEvent, f *models.NoticeFacts, now models.Time) NoticeWords {
	next := ""
	if f.At > now {
		next = "It is tried again " + days(f.At, now, v.Zone) + "."
	}
	switch event { //nolint:exhaustive // Say passes these
	case models.NoticeTopUpDone:
		return NoticeWords{
			Title:  creditsWord(f.Credits) + " bought automatically",
			Lines:  sentences("Automatic top-up bought "+creditsWord(f.Credits)+forMoney(f)+"."+spaced(v.left(f)), "Nothing is to be done. You can change or turn off automatic top-up at any time."),
			Button: "See the purchase", Path: cmp.Or(f.Path, "/purchases"),
		}
	case models.NoticeTopUpLimit:
		again := ""
		if f.At > now {
			again = "It goes on " + days(f.At, now, v.Zone) + "."
		}
		if f.Why == models.TopUpPackage { // not its own limit
			return NoticeWords{
				Title:  "Automatic top-up waits for the new month",
				Lines:  sentences(f.Reason+spaced(v.left(f)), strings.TrimSpace("Automatic top-up buys nothing more until then. "+again)),
				Button: "See automatic top-up", Path: cmp.Or(f.Path, "/buy/automatic"),
			}
		}
		return NoticeWords{
			Title:  "Automatic top-up has reached its limit",
			Lines:  sentences("Automatic top-up has spent what you allow for a month"+inMoney(f)+", so it buys nothing more for now."+spaced(v.left(f)), strings.TrimSpace(f.Reason+" "+again)),
			Button: "Raise the limit", Path: cmp.Or(f.Path, "/buy/automatic"),
		}
	case models.NoticeTopUpPaused:
		return v.topUpPaused(f)
	case models.NoticeTopUpFailed:
		if f.Currency == "" { // no payment was tried: the agency has too few to sell
			return NoticeWords{
				Title:  "A client could not buy by itself",
				Lines:  sentences(cmp.Or(f.Reason, "You have too few purchased credits to sell."), strings.TrimSpace("Its own credits go on. Buy credits, and it can buy again. "+next)),
				Button: "Buy credits", Path: cmp.Or(f.Path, "/buy"),
			}
		}
		return NoticeWords{
			Title:  "Automatic top-up failed",
			Lines:  sentences("The payment"+ofMoney(f)+" for automatic top-up failed. You were not charged."+spaced(v.left(f)), strings.TrimSpace(f.Reason+" "+next)),
			Button: "Check the card", Path: cmp.Or(f.Path, "/buy/automatic"),
		}
	default:
		return NoticeWords{}
	}
}

// topUpPaused tells why automatic top-up waits, and what ends that. That nothing was
// charged is said only where it is so.
func (v Voice) topUpPaused(f *models.NoticeFacts) NoticeWords {
	w := NoticeWords{Title: "Automatic top-up is paused", Button: "Pay or change the card", Path: cmp.Or(f.Path, "/buy/automatic")}
	until, charged := "and buys nothing until you act.", "Nothing was charged."
	switch f.Why {
	case models.TopUpReview:
		w.Button, w.Path = "See your purchases", "/purchases"
		until, charged = "and buys nothing until you turn it on again.", ""
	case models.TopUpDisputed:
		w.Button = "See automatic top-up"
		until, charged = "and buys nothing until you turn it on again.", "Nothing more is charged meanwhile."
	case models.TopUpOffer:
		w.Button = "Choose what it buys"
	case models.TopUpForbidden:
		w.Button, w.Path = "See your account", "/"
		until = "and buys nothing any more."
	case models.TopUpNoReason: // of a release that did not note it: perhaps money was taken
		w.Button, charged = "See automatic top-up", ""
	case models.TopUpDeclined, models.TopUpBlocked, models.TopUpAuthenticate, models.TopUpRemoved, models.TopUpLimit, models.TopUpPackage:
		if f.Name == "" { // there is no card any more
			w.Button = "Add a card"
		}
	}
	w.Lines = sentences("Automatic top-up is paused, "+until+spaced(v.left(f)), strings.TrimSpace(f.Reason+" "+charged))
	return w
}

func (v Voice) plan(event models.NoticeEvent, f *models.NoticeFacts, now models.Time) NoticeWords {
	switch event { //nolint:exhaustive // Say passes these
	case models.NoticePlanReset:
		next := ""
		if f.ResetsAt > now {
			next = "They hold until " + date(f.ResetsAt, now, v.Zone) + "; what is left of them then does not roll over."
		}
		return NoticeWords{
			Title:  creditsText(f.Credits) + " plan credits added",
			Lines:  sentences("A new period has begun: "+creditsText(f.Credits)+" plan credits were added."+spaced(v.left(f)), next),
			Button: "See your balance", Path: "/",
		}
	case models.NoticePlanPastDue:
		until := ""
		if f.At > now {
			until = " until " + date(f.At, now, v.Zone)
		}
		return NoticeWords{
			Title: "The payment for your plan failed",
			Lines: sentences("The payment for your plan "+quoted(f.Name)+" failed."+spaced(v.left(f)),
				"Everything keeps working"+until+". Without a payment by then the plan ends: its credits expire, and purchased credits wait until you have a plan again."),
			Button: "Pay now", Path: cmp.Or(f.Path, "/plan"),
		}
	case models.NoticePlanEnded:
		kept := ""
		if f.Credits > 0 {
			kept = creditsWord(f.Credits) + " that you bought are kept, and can be used once you have a plan again."
		}
		return NoticeWords{
			Title:  "Your plan has ended",
			Lines:  sentences("Your plan "+quoted(f.Name)+" has ended, and its credits have expired."+spaced(v.left(f)), cmp.Or(kept, "Purchased credits are kept, and can be used once you have a plan again.")),
			Button: "Choose a plan", Path: cmp.Or(f.Path, "/plan/choose"),
		}
	default:
		return NoticeWords{}
	}
}

func (v Voice) subAccount(event models.NoticeEvent, f *models.NoticeFacts, now models.Time) NoticeWords {
	switch event { //nolint:exhaustive // Say passes these
	case models.NoticeSubAccountLow:
		ends := ""
		if f.RunsOutAt > now {
			ends = "At its pace they run out " + days(f.RunsOutAt, now, v.Zone) + ". "
		}
		return NoticeWords{
			Title:  f.Name + " is low on credits",
			Lines:  sentences(f.Name+" has "+creditsWord(f.Left)+" left.", ends+"Nothing stops yet. Its people have been told, too."),
			Button: "Assign credits", Path: cmp.Or(f.Path, "/sub-accounts"),
		}
	case models.NoticeSubAccountPaused:
		why, way := "has no credits left, so its AI is paused.", "Assign some, or let it buy: its AI starts again at once. Its people have been told, too."
		button := "Assign credits"
		if f.Credits > 0 {
			why = "has used the " + creditsWord(f.Credits) + " it may draw on your pool, so its AI is paused."
			way, button = "Raise the limit, or wait for the next period. Its people have been told, too.", "See "+f.Name
		}
		return NoticeWords{Title: f.Name + " is paused", Lines: sentences(f.Name+" "+why, way), Button: button, Path: cmp.Or(f.Path, "/sub-accounts")}
	case models.NoticeSubAccountBought:
		return NoticeWords{
			Title:  f.Name + " bought " + creditsWord(f.Credits),
			Lines:  sentences(f.Name+" bought "+creditsWord(f.Credits)+forMoney(f)+". The money is in your Stripe account.", v.left(f)),
			Button: "See your sales", Path: cmp.Or(f.Path, "/sales"),
		}
	default:
		return NoticeWords{}
	}
}

func (v Voice) payment(event models.NoticeEvent, f *models.NoticeFacts, now models.Time) NoticeWords {
	by := ""
	if f.At > now {
		by = " by " + date(f.At, now, v.Zone)
	}
	switch event { //nolint:exhaustive // Say passes these
	case models.NoticePurchaseCredited:
		lasts := "Purchased credits never expire and are used after other credits."
		if f.At > 0 { // a month's
			lasts = "They last until " + date(f.At, now, v.Zone) + " and are used before other credits."
		}
		return NoticeWords{
			Title:  creditsWord(f.Credits) + " added",
			Lines:  sentences("Your payment"+ofMoney(f)+" has arrived and "+creditsWord(f.Credits)+" were added."+spaced(v.left(f)), lasts),
			Button: "See the receipt", Path: cmp.Or(f.Path, "/purchases"),
		}
	case models.NoticePurchaseRefunded:
		taken := ""
		if f.Credits > 0 {
			taken = " " + creditsWord(f.Credits) + " were taken back with it."
		}
		return NoticeWords{
			Title:  moneyText(f) + " refunded",
			Lines:  sentences(moneyText(f)+" of "+yours(f)+" were refunded."+taken+spaced(v.left(f)), "Banks take a few days to show it."),
			Button: "See your purchases", Path: cmp.Or(f.Path, "/purchases"),
		}
	case models.NoticePaymentDisputed:
		if f.Reason == ofSale {
			return NoticeWords{
				Title: "A client's payment is disputed",
				Lines: sentences("The bank of "+f.Name+" asks"+forMoney(f)+" back. "+aside(f.Credits, "its"),
					"Answer the dispute at Stripe"+by+", or it is lost. If it is won, everything goes back to where it was."),
				Button: "See the sale", Path: cmp.Or(f.Path, "/sales"),
			}
		}
		return NoticeWords{
			Title:  "Your bank asks for a payment back",
			Lines:  sentences("Your bank asks"+forMoney(f)+" of "+yours(f)+" back. "+aside(f.Credits, "your")+spaced(v.left(f)), "If that is a mistake, withdraw it with your bank; the credits can be used again then."),
			Button: "See your purchases", Path: cmp.Or(f.Path, "/purchases"),
		}
	case models.NoticePaymentWarned:
		return NoticeWords{
			Title:  "A payment may be fraud",
			Lines:  sentences("The card network takes the payment"+ofMoney(f)+" of "+f.Name+" for fraud.", "A refund now avoids a dispute and its fee. If you know the buyer, nothing has to be done."),
			Button: "See the sale", Path: cmp.Or(f.Path, "/sales"),
		}
	default:
		return NoticeWords{}
	}
}

// ofPlan names the payment of a plan among purchases.
const ofPlan = "Plan"

// yours is what a reader paid for.
func yours(f *models.NoticeFacts) string {
	if f.Name == ofPlan {
		return "the payment for your plan"
	}
	return "your purchase " + quoted(f.Name)
}

// outcome tells what came of a refund that was sent, or of a dispute.
func (v Voice) outcome(event models.NoticeEvent, f *models.NoticeFacts) NoticeWords {
	w := NoticeWords{Button: "See your purchases", Path: cmp.Or(f.Path, "/purchases")}
	sale := f.Reason == ofSale
	if sale {
		w.Button, w.Path = "See the sale", cmp.Or(f.Path, "/sales")
	}
	again := ""
	if f.Credits > 0 {
		again = creditsWord(f.Credits) + " can be used again."
	}
	switch {
	case event == models.NoticeRefundFailed && sale:
		w.Title = "A refund to a client failed"
		w.Lines = sentences("The refund"+ofMoney(f)+" to "+f.Name+" did not arrive: its bank did not take it. The money is in your Stripe account again.",
			"Refund it once more, or send the money another way.")
	case event == models.NoticeRefundFailed:
		seller := v.Platform
		if v.Client {
			seller = v.Agency
		}
		w.Title = "A refund did not arrive"
		w.Lines = sentences("The refund"+ofMoney(f)+" of "+yours(f)+" could not be sent: your bank did not take it."+spaced(again)+spaced(v.left(f)),
			seller+" has been told. Ask there how you get the money.")
	case f.Won && sale:
		w.Title = "A dispute is won"
		w.Lines = sentences("The bank of "+f.Name+" has decided: the payment"+ofMoney(f)+" stays yours.", "Nothing has to be done: what was set aside of its credits can be used again.")
	case f.Won:
		w.Title = "Your bank has decided: a payment stands"
		w.Lines = sentences("Your bank has decided: "+moneyText(f)+" of "+yours(f)+" stay paid."+spaced(again)+spaced(v.left(f)), "Nothing has to be done.")
	case sale:
		w.Title = "A dispute is lost"
		w.Lines = sentences("The bank of "+f.Name+" has decided: it takes"+spaced(moneyText(f))+" back.", "Unspent credits of the sale are in your stock again. Nothing more can be done at Stripe.")
	default:
		taken := ""
		if f.Credits > 0 {
			taken = creditsWord(f.Credits) + " were taken back with it."
		}
		w.Title = "Your bank gave a payment back"
		w.Lines = sentences("Your bank has given you "+moneyText(f)+" of "+yours(f)+" back. "+taken+spaced(v.left(f)), "If that was a mistake, buy the credits again.")
	}
	return w
}

// salesPaused tells an agency that it takes no money, and what its clients see of
// it.
func (v Voice) salesPaused(f *models.NoticeFacts) NoticeWords {
	clients := " Your clients keep what they have, and their AI goes on with it. Where they would buy they are asked to contact you."
	if f.Reason == disconnectedReason {
		way := "Was it a mistake, or do you want to sell through another account? Connect it, and your packages are on sale again."
		if f.Count > 0 {
			way = "Stripe goes on charging your clients for " + plural(f.Count, "monthly package") +
				", and nothing is added here for that. Connect the account again, or end them at Stripe."
		}
		return NoticeWords{
			Title:  "Stripe is disconnected, so you can't sell",
			Lines:  sentences("Your Stripe account is disconnected from "+v.Platform+"."+clients, way),
			Button: "Connect Stripe", Path: cmp.Or(f.Path, connectPath),
		}
	}
	w := NoticeWords{Title: "Stripe has paused your sales", Button: "See how it stands", Path: cmp.Or(f.Path, connectPath)}
	way := "Your Stripe account says what can be done. Your packages are on sale again by themselves once Stripe takes payments."
	if f.Count > 0 {
		w.Button = "See what Stripe needs"
		way = "Stripe asks you for details. Give them, and your packages are on sale again by themselves once Stripe has checked them."
	}
	w.Lines = sentences("Stripe takes no payments for you at the moment."+spaced(f.Reason)+clients, way)
	return w
}

// disconnectedReason marks the notice of an agency that has disconnected its Stripe
// account.
const disconnectedReason = "disconnected"

// skipped tells of a month's credits that were not given; an agency's balance is
// not its client's to know.
func (v Voice) skipped(f *models.NoticeFacts, now models.Time) NoticeWords {
	next := ""
	if f.At > now {
		next = "They are next due " + days(f.At, now, v.Zone) + "."
	}
	if v.Client {
		return NoticeWords{
			Title:  "This month's credits were not added",
			Lines:  sentences("The "+creditsWord(f.Credits)+" that "+v.Agency+" gives you every month were not added this time."+spaced(v.left(f)), strings.TrimSpace(v.Agency+" has been told. "+next)),
			Button: "See your account", Path: "/",
		}
	}
	w := NoticeWords{Title: "Monthly credits of " + f.Name + " were not given", Button: "See " + f.Name, Path: cmp.Or(f.Path, "/sub-accounts")}
	why := f.Name + " gets " + creditsWord(f.Credits) + " every month. "
	if f.Reason == "" {
		why += "You had fewer, so none were given."
	}
	w.Lines = sentences(why+f.Reason+spaced(v.left(f)), strings.TrimSpace("Assign them by hand once you have enough. "+next))
	return w
}

// monthly tells of sales that find too little stock, and of months of a package that
// were not sold or not paid; an agency's stock is not its client's to know.
func (v Voice) monthly(event models.NoticeEvent, f *models.NoticeFacts, now models.Time) NoticeWords {
	next := ""
	if f.At > now {
		next = "The next month is due " + days(f.At, now, v.Zone) + "."
	}
	what := "its monthly " + creditsWord(f.Credits)
	if v.Client {
		what = "your monthly " + creditsWord(f.Credits)
	}
	switch {
	case event == models.NoticeSaleWaits:
		return NoticeWords{
			Title: "A client has paid for " + creditsWord(f.Credits) + " you do not have",
			Lines: sentences(f.Name+" has paid"+withMoney(" ", f)+" for "+creditsWord(f.Credits)+", and you have too few purchased credits to give. "+f.Reason,
				"It waits, and gets them by itself as soon as you have enough. Buy credits, or refund the sale."),
			Button: "Buy credits", Path: cmp.Or(f.Path, "/buy"),
		}
	case event == models.NoticeMonthSkipped && v.Client:
		return NoticeWords{
			Title: "This month's credits were not added",
			Lines: sentences("Your monthly "+creditsWord(f.Credits)+" were due, and could not be added this time. You were not charged."+spaced(v.left(f)),
				strings.TrimSpace(v.Agency+" has been told. "+next)),
			Button: "See your account", Path: "/",
		}
	case event == models.NoticeMonthSkipped:
		return NoticeWords{
			Title: "A month of " + f.Name + " was not sold",
			Lines: sentences(f.Name+" was due "+what+", and you had too few purchased credits: it was not charged"+withMoney(" the ", f)+", got none, and has been told. "+f.Reason,
				strings.TrimSpace("Buy credits, and the next month is sold as usual. "+next)),
			Button: "Buy credits", Path: cmp.Or(f.Path, "/buy"),
		}
	case v.Client:
		return NoticeWords{
			Title: "The payment for your monthly credits failed",
			Lines: sentences("The payment"+ofMoney(f)+" for "+what+" failed."+spaced(v.left(f)),
				"They are added as soon as it goes through. It is tried again; change the card if it will not work."),
			Button: "Change the card", Path: cmp.Or(f.Path, "/buy"),
		}
	}
	return NoticeWords{
		Title: "A monthly payment of " + f.Name + " failed",
		Lines: sentences("The payment"+ofMoney(f)+" of "+f.Name+" for "+what+" failed. It gets them as soon as it pays.",
			"Stripe tries again by itself, and its people have been told. Nothing has to be done."),
		Button: "See your sales", Path: cmp.Or(f.Path, "/sales"),
	}
}

// ofSale marks the dispute of a client's payment, told to who sold.
const ofSale = "sale"

func aside(c models.Credits, whose string) string {
	if c == 0 {
		return "Until it is decided, " + whose + " credits stay as they are."
	}
	return "Until it is decided, " + creditsWord(c) + " of " + whose + " balance can't be used."
}

func (v Voice) bonus(event models.NoticeEvent, f *models.NoticeFacts) NoticeWords {
	w := NoticeWords{Title: creditsText(f.Credits) + " bonus credits added", Button: "See your balance", Path: cmp.Or(f.Path, "/")}
	why := "The code " + quoted(f.Name) + " gave you " + creditsText(f.Credits) + " bonus credits."
	if event == models.NoticeReferralEarned {
		why = f.Name + ", whom you brought, has made its first payment. You get " + creditsText(f.Credits) + " bonus credits for it."
	}
	w.Lines = sentences(why+spaced(v.left(f)), cmp.Or(f.Reason, "Bonus credits are used before purchased ones."))
	return w
}

func (v Voice) week(f *models.NoticeFacts, now models.Time) NoticeWords {
	by := ""
	if f.Count > 0 {
		by = " by you and " + plural(f.Count, "client")
	}
	return NoticeWords{
		Title:  "Your week: " + creditsWord(f.Credits) + " used",
		Lines:  sentences(creditsWord(f.Credits)+" were used"+by+" in the week from "+date(f.At, now, v.Zone)+"."+spaced(v.left(f)), v.lasts(f, now)),
		Button: "See your usage", Path: cmp.Or(f.Path, "/usage?p=7d"),
	}
}

// sentences leaves out lines that say nothing.
func sentences(lines ...string) []string {
	out := lines[:0]
	for _, l := range lines {
		if l = strings.TrimSpace(l); l != "" {
			out = append(out, l)
		}
	}
	return out
}

func spaced(s string) string {
	if s == "" {
		return ""
	}
	return " " + s
}

func quoted(name string) string {
	if name == "" {
		return ""
	}
	return "“" + name + "”"
}

func kept(c models.Credits) string {
	if c <= 0 {
		return ""
	}
	return "Your " + creditsWord(c) + " are kept."
}

func owed(left models.Credits) string {
	if left >= 0 {
		return "You have no credits left."
	}
	return "You have used " + creditsWord(-left) + " more than you had. They come off your next purchase."
}

func below(left models.Credits) string {
	if left >= 0 {
		return ""
	}
	return owed(left)
}

func bucketWords(bucket string) string {
	switch models.Bucket(bucket) {
	case models.BucketAssigned:
		return "that were assigned to you"
	case models.BucketBonus:
		return "that you got as a bonus"
	case models.BucketPlan, models.BucketPurchased, models.BucketExcess:
	}
	return "of yours"
}

// symbols are as on pages: currencies whose sign needs no explanation.
//
//nolint:gochecknoglobals // a constant table
var symbols = map[string]string{
	"usd": "$", "eur": "€", "gbp": "£", "jpy": "¥", "inr": "₹", "krw": "₩", "brl": "R$", "cad": "CA$", "aud": "A$", "nzd": "NZ$",
}

func moneyText(f *models.NoticeFacts) string {
	m := models.Money{Amount: f.Amount, Currency: f.Currency}
	sign, ok := symbols[strings.ToLower(f.Currency)]
	if !ok {
		sign = strings.ToUpper(f.Currency) + "\u00a0"
	}
	return sign + grouped(m.Decimal())
}

func forMoney(f *models.NoticeFacts) string { return withMoney(" for ", f) }

func ofMoney(f *models.NoticeFacts) string { return withMoney(" of ", f) }

func inMoney(f *models.NoticeFacts) string { return withMoney(", ", f) }

func withMoney(before string, f *models.NoticeFacts) string {
	if f.Currency == "" {
		return ""
	}
	return before + moneyText(f)
}

// creditsText is an amount as pages show it: grouped, cut to two decimals, or to
// as many as it takes to show that it is not zero.
func creditsText(c models.Credits) string {
	prefix := ""
	if c < 0 {
		prefix, c = "\u2212", -c
	}
	whole, frac, _ := strings.Cut(c.String(), ".")
	keep := min(2, len(frac))
	if whole == "0" {
		for keep < len(frac) && strings.Trim(frac[:keep], "0") == "" {
			keep++
		}
	}
	if frac = strings.TrimRight(frac[:keep], "0"); frac != "" {
		frac = "." + frac
	}
	return prefix + grouped(whole) + frac
}

func creditsWord(c models.Credits) string {
	if c == models.Credit {
		return "1 credit"
	}
	return creditsText(c) + " credits"
}

// expire is the verb that goes with an amount.
func expire(c models.Credits) string {
	if c == models.Credit {
		return " expires "
	}
	return " expire "
}

// mostCredits is the most that one amount may be, as a sentence says it.
func mostCredits() string { return grouped(models.MaxCharge.String()) }

// grouped puts commas between the thousands of a decimal.
func grouped(decimal string) string {
	whole, frac, point := strings.Cut(decimal, ".")
	for i := len(whole) - 3; i > 0 && whole[i-1] != '-'; i -= 3 {
		whole = whole[:i] + "," + whole[i:]
	}
	if point {
		whole += "." + frac
	}
	return whole
}

func date(t, now models.Time, zone *time.Location) string {
	day := t.In(zone)
	if day.Year() != now.In(zone).Year() {
		return day.Format("Mon, Jan 2, 2006")
	}
	return day.Format("Mon, Jan 2")
}

func inDays(t, now models.Time, zone *time.Location) string {
	a, b := now.In(zone), t.In(zone)
	first := time.Date(a.Year(), a.Month(), a.Day(), 0, 0, 0, 0, time.UTC)
	last := time.Date(b.Year(), b.Month(), b.Day(), 0, 0, 0, 0, time.UTC)
	switch n := int(last.Sub(first) / (24 * time.Hour)); n {
	case 0:
		return "today"
	case 1:
		return "tomorrow"
	default:
		return fmt.Sprintf("in %d days", n)
	}
}

// days is distance, then date: "in 7 days (Mon, Dec 1)".
func days(t, now models.Time, zone *time.Location) string {
	return inDays(t, now, zone) + " (" + date(t, now, zone) + ")"
}
