package models

import (
	"database/sql/driver"
	"encoding/json"
	"fmt"
)

// NoticeEvent is something that people, and programs, want to hear of once.
type NoticeEvent string

// The events. Those of wallet.* are told to whoever the wallet belongs to: an
// agency's people, or a client's. Those of sub_account.* tell an agency of one of
// its clients and belong to the agency's wallet.
const (
	NoticeLow              NoticeEvent = "wallet.low"      // a threshold was crossed
	NoticeCritical         NoticeEvent = "wallet.critical" // less than a day is left
	NoticePaused           NoticeEvent = "wallet.paused"
	NoticeResumed          NoticeEvent = "wallet.resumed"
	NoticeUpstreamPaused   NoticeEvent = "upstream.paused" // the client has credits, its agency has none
	NoticeTopUpDone        NoticeEvent = "topup.done"
	NoticeTopUpFailed      NoticeEvent = "topup.failed"
	NoticeTopUpLimit       NoticeEvent = "topup.limit"
	NoticeTopUpPaused      NoticeEvent = "topup.paused"
	NoticePlanReset        NoticeEvent = "plan.reset"
	NoticePlanPastDue      NoticeEvent = "plan.past_due"
	NoticePlanEnded        NoticeEvent = "plan.ended"
	NoticeExpiring         NoticeEvent = "credits.expiring"
	NoticeSubAccountLow    NoticeEvent = "sub_account.low"
	NoticeSubAccountPaused NoticeEvent = "sub_account.paused"
	NoticeSubAccountBought NoticeEvent = "sub_account.bought"
	NoticePurchaseCredited NoticeEvent = "purchase.credited"
	NoticePurchaseRefunded NoticeEvent = "purchase.refunded"
	NoticePaymentDisputed  NoticeEvent = "payment.disputed"
	NoticeRefundFailed     NoticeEvent = "refund.failed" // money on its way back did not arrive
	NoticeDisputeDecided   NoticeEvent = "dispute.decided"
	NoticePaymentWarned    NoticeEvent = "payment.warned" // a card network takes it for fraud
	NoticeSalesPaused      NoticeEvent = "sales.paused"   // the agency takes no money: Stripe or its owner says so
	NoticeSalesResumed     NoticeEvent = "sales.resumed"
	NoticeSaleWaits        NoticeEvent = "sale.waits"       // a client has paid for more than the agency has
	NoticeMonthSkipped     NoticeEvent = "month.skipped"    // a month of a monthly package was not sold: the stock was short
	NoticeMonthUnpaid      NoticeEvent = "month.unpaid"     // its payment failed
	NoticeMonthEnded       NoticeEvent = "month.ended"      // a monthly package has ended, is to end, or goes on after all
	NoticeStandingSkipped  NoticeEvent = "standing.skipped" // a monthly assignment could not be given
	NoticeRateChanged      NoticeEvent = "rate.changed"
	NoticeReferralEarned   NoticeEvent = "referral.earned"
	NoticeGiftRedeemed     NoticeEvent = "gift.redeemed"
	NoticeSummaryWeekly    NoticeEvent = "summary.weekly"
	NoticeTest             NoticeEvent = "test"
)

// NoticeFacts are what a notice says, as they were when it was caused; each event
// has its own. They are printed, never computed with.
type NoticeFacts struct {
	Credits   Credits `json:"credits,omitempty"` // moved, or at stake
	Left      Credits `json:"left,omitempty"`    // in the wallet, afterwards
	Held      Credits `json:"held,omitempty"`    // kept back beside Left: in use now, or disputed
	Amount    int64   `json:"amount,omitempty"`  // minor units of Currency
	Currency  string  `json:"currency,omitempty"`
	At        Time    `json:"at,omitzero"`        // what comes next: a reset, an expiry, the next try
	Name      string  `json:"name,omitempty"`     // of the client, pack, package, plan or card
	Reason    string  `json:"reason,omitempty"`   // in words, a whole sentence
	Path      string  `json:"path,omitempty"`     // of the page that ends the problem; "" is the event's own
	Percent   int     `json:"percent,omitempty"`  // of the allowance, of a threshold
	Days      int     `json:"days,omitempty"`     // of a threshold or a span
	Count     int     `json:"count,omitempty"`    // of what there are several
	ResetsAt  Time    `json:"resets_at,omitzero"` // the next plan credits
	RunsOutAt Time    `json:"runs_out_at,omitzero"`

	Why TopUpReason `json:"why,omitempty"` // of automatic top-up that is paused
	Won bool        `json:"won,omitempty"` // a dispute, by whoever was paid
}

// Value stores JSON.
func (f NoticeFacts) Value() (driver.Value, error) { //nolint:gocritic // a Valuer of a column is a value
	b, err := json.Marshal(f)
	return string(b), err
}

// Scan reads JSON.
func (f *NoticeFacts) Scan(src any) error {
	*f = NoticeFacts{}
	switch v := src.(type) {
	case string:
		return json.Unmarshal([]byte(v), f)
	case []byte:
		return json.Unmarshal(v, f)
	}
	return fmt.Errorf("scan the facts of a notice: unexpected %T", src)
}

// GormDataType names the column family for the drift test.
func (NoticeFacts) GormDataType() string { return "text" }

// Notice is something to tell the people of one wallet, written in the
// transaction that caused it. Who is told, and how, is decided after the commit.
type Notice struct {
	AgencyID  AgencyID `gorm:"primaryKey"`
	ID        NoticeID `gorm:"primaryKey"`
	WalletID  WalletID
	Event     NoticeEvent
	Occasion  string // told once per wallet, event and occasion
	Facts     NoticeFacts
	DueAt     Time // when it is told: at once, or with others of its kind
	ToldAt    Time // 0: not yet
	CreatedAt Time `gorm:"autoCreateTime:false"`
}

// NoticeCopy is a notice as one person got it.
type NoticeCopy struct {
	AgencyID AgencyID `gorm:"primaryKey"`
	UserID   UserID   `gorm:"primaryKey"`
	NoticeID NoticeID `gorm:"primaryKey"`
	InApp    bool     // shown among their notices
	MailID   int64    // 0: not mailed; several copies may share one mail
	Address  string   // it was mailed to
	ReadAt   Time
}

// NoticeChannel is a way to tell people.
type NoticeChannel string

// The channels people choose between.
const (
	ChannelMail  NoticeChannel = "email"
	ChannelInApp NoticeChannel = "in_app"
)

// NoticeChoice is what a person wants other than their role's usual.
type NoticeChoice struct {
	AgencyID AgencyID      `gorm:"primaryKey"`
	UserID   UserID        `gorm:"primaryKey"`
	Event    NoticeEvent   `gorm:"primaryKey"`
	Channel  NoticeChannel `gorm:"primaryKey"`
	Wanted   bool
}

// Alarm is what a wallet's people are to hear of its credits, and what they have
// heard: one row per wallet, read and written under the wallet's lock.
type Alarm struct {
	AgencyID AgencyID `gorm:"primaryKey"`
	WalletID WalletID `gorm:"primaryKey"`
	Lines    string   // the thresholds, JSON; "" for the usual ones
	Crossed  string   // those that were told of and have not recovered, JSON
	State    string   // the worst state that was told of and is not over
	Told     int64    // counts what was told
	LookAt   Time     // when the clock looks again; 0: not by itself
	LookedAt Time
	AskedAt  Time // when its AI was first refused, where nothing was ever charged to it; 0: never
}
