package views

import (
	"refill/models"
	"refill/views/format"
)

// Referral is what an agency's referrals bring it.
type Referral struct {
	Frame   Frame
	Failure *SectionFailure
	Off     bool // nobody is rewarded now
	Reward  models.Credits
	Code    string
	Link    string
	Earned  models.Credits // that stand
	Waiting int64
	Month   int64 // rewards of this month
	PerMonth, InAll,
	All int64 // rewards in all; the limits 0: none
	Rows []ReferralRow
}

// offer is what a referral brings, in a sentence.
func (v Referral) offer() string {
	return "You get " + format.CreditsWord(v.Reward) + " when an agency that came with your code has made its first payment and the money has arrived. A trial does not count."
}

// limits says how many rewards there are at most; "" without limits.
func (v Referral) limits() string {
	switch {
	case v.PerMonth > 0 && v.InAll > 0:
		return "Up to " + format.Plural(v.PerMonth, "agency", "agencies") + " a month and " + format.Count(v.InAll) + " in all: " + format.Count(v.Month) + " this month, " + format.Count(v.All) + " so far."
	case v.PerMonth > 0:
		return "Up to " + format.Plural(v.PerMonth, "agency", "agencies") + " a month: " + format.Count(v.Month) + " this month."
	case v.InAll > 0:
		return "Up to " + format.Plural(v.InAll, "agency", "agencies") + " in all: " + format.Count(v.All) + " so far."
	}
	return ""
}

// ReferralRow is an agency that came with a code.
type ReferralRow struct {
	Referrer     string // for admins
	ReferrerHref string
	Name         string
	Href         string // for admins; "" for the referrer
	JoinedAt     models.Time
	DecidedAt    models.Time // unset while it waits
	State        models.ReferralState
	Promised     models.Credits
	Kept         models.Credits // of the reward
	Frozen       bool           // with a disputed payment
	Note         string         // why, for admins
	Payment      string         // for admins
}

func (r ReferralRow) tone() Tone {
	switch {
	case r.State == models.ReferralEarned && r.Kept > 0:
		return ToneOK
	case r.State == models.ReferralWaiting, r.Frozen:
		return ToneInfo
	}
	return ToneNone
}

func (r ReferralRow) word() string {
	switch r.State {
	case models.ReferralWaiting:
		return "Waiting"
	case models.ReferralCapped:
		return "Over the limit"
	case models.ReferralRefused:
		return "Does not count"
	case models.ReferralEarned:
	}
	switch {
	case r.Frozen:
		return "On hold"
	case r.Kept == 0:
		return "Taken back"
	case r.Kept < r.Promised:
		return "Earned in part"
	}
	return "Earned"
}

// says is why a referral stands as it does, without a word about money.
func (r ReferralRow) says() string {
	switch r.State {
	case models.ReferralWaiting:
		return "Counts when their first payment has arrived."
	case models.ReferralCapped:
		return "You had reached the limit."
	case models.ReferralRefused:
		return "They belong to the same people as your agency."
	case models.ReferralEarned:
	}
	switch {
	case r.Frozen:
		return "Their bank is looking into the payment it was for."
	case r.Kept == 0:
		return "The payment it was for did not stand."
	case r.Kept < r.Promised:
		return "A part of the payment it was for did not stand."
	}
	return ""
}

// ReferralInvite is what a referral's link leads to.
type ReferralInvite struct {
	Frame  Frame
	Agency string // that refers; "" the code is unknown
	Code   string
	Add    string // for admins: the form that adds an agency with this code
	Ask    string // href of help; "" none
}

// RedeemForm is where an agency types a code. Field names: code, attempt.
type RedeemForm struct {
	Frame   Frame
	Errors  FieldErrors
	Attempt string
	Code    string // as typed
}

// Promotions are the codes that give bonus credits.
type Promotions struct {
	Frame   Frame
	Failure *SectionFailure
	Rows    []PromotionRow
}

// PromotionRow is one promotion.
type PromotionRow struct {
	Name     string
	Href     string
	Code     string // of a shared one; "" Codes of single use
	Codes    int64
	Credits  models.Credits
	Days     int // the credits last; 0: for ever
	For      string
	Redeemed int64
	Most     int64 // redemptions; 0: no limit
	Given    models.Credits
	MostAll  models.Credits // in all; 0: no limit
	Ends     models.Time    // unset: never
	State    string         // open, stopped, expired, used_up
}

func (r PromotionRow) tone() Tone {
	if r.State == "open" {
		return ToneOK
	}
	return ToneNone
}

func (r PromotionRow) word() string {
	switch r.State {
	case "stopped":
		return "Stopped"
	case "expired":
		return "Over"
	case "used_up":
		return "Used up"
	}
	return "Open"
}

func (r PromotionRow) codes() string {
	if r.Code != "" {
		return r.Code
	}
	return format.Plural(r.Codes, "code of single use", "codes of single use")
}

// uses is "7 of 10", or "7".
func (r PromotionRow) uses() string {
	most := r.Most
	if r.Code == "" && (most == 0 || r.Codes < most) {
		most = r.Codes
	}
	if most == 0 {
		return format.Count(r.Redeemed)
	}
	return format.Count(r.Redeemed) + " of " + format.Count(most)
}

func (r PromotionRow) lasts() string {
	if r.Days == 0 {
		return "Never expire"
	}
	return "For " + format.Plural(int64(r.Days), "day", "days")
}

func (r PromotionRow) ends(f Frame) string {
	if !r.Ends.IsSet() {
		return "Never"
	}
	return format.DateTime(r.Ends, f.Now, f.zone())
}

func (r PromotionRow) whom() string {
	if r.For == "" {
		return "Every agency"
	}
	return r.For
}

func (r PromotionRow) inAll() string {
	if r.MostAll == 0 {
		return format.Credits(r.Given)
	}
	return format.Credits(r.Given) + " of " + format.Credits(r.MostAll)
}

// Promotion is one promotion with who redeemed it.
type Promotion struct {
	Frame Frame
	PromotionRow

	Reason string
	By     string
	At     models.Time
	CSV    string
	Stop   string // POST; "" it is over
	Uses   []Redemption
}

// Redemption is one use of a code.
type Redemption struct {
	Agency string
	Href   string
	Code   string
	By     string
	At     models.Time
}

// PromotionForm makes a promotion. Field names: name, credits, lot_days, kind
// (shared, single), code, codes, agency, max_uses, max_credits, expires, reason,
// attempt.
type PromotionForm struct {
	Frame   Frame
	Errors  FieldErrors
	Attempt string

	Name, Credits, LotDays, Kind, Code, Codes, Agency, MaxUses, MaxCredits, Expires, Reason string // as typed
}

// Rewards are the terms of referrals and what came of them. Field names: credits,
// per_month, in_all.
type Rewards struct {
	Frame   Frame
	Failure *SectionFailure
	Errors  FieldErrors

	Credits, PerMonth, InAll string // as typed

	Rows []ReferralRow
}
