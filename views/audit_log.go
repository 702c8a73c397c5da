package views

import (
	"net/url"
	"strings"

	"refill/models"
)

// AuditLog is who did what.
type AuditLog struct {
	Frame   Frame
	Failure *SectionFailure
	Filter  AuditFilter
	Errors  FieldErrors // of the dates

	Actors, Actions, Agencies []Option

	Rows  []AuditLine
	Pager Pager
	CSV   string
	Proof AuditProof
}

// AuditProof is how far the log was found to be whole.
type AuditProof struct {
	Entries int64       // walked, from the first on
	Until   models.Time // when the last of them was sealed
	Checked models.Time // 0: not yet
	Head    string      // hash of the last seal
	Broken  string      // what is wrong; "" for nothing
}

// AuditFilter is what the log's address says.
type AuditFilter struct {
	Actor, Action, Agency, From, To string
}

// ParseAuditFilter reads an address.
func ParseAuditFilter(q url.Values) AuditFilter {
	return AuditFilter{
		Actor: filterText(q.Get("actor")), Action: filterText(q.Get("action")), Agency: filterText(q.Get("agency")),
		From: strings.TrimSpace(filterText(q.Get("from"))), To: strings.TrimSpace(filterText(q.Get("to"))),
	}
}

// Values is the filter as an address's query; what is empty is left out.
func (f AuditFilter) Values() url.Values {
	q := url.Values{}
	for name, value := range map[string]string{"actor": f.Actor, "action": f.Action, "agency": f.Agency, "from": f.From, "to": f.To} {
		if value != "" {
			q.Set(name, value)
		}
	}
	return q
}

// Narrowed tells whether the filter leaves anything out.
func (f AuditFilter) Narrowed() bool { return f != AuditFilter{} }

func (f AuditFilter) inWords() string {
	if !f.Narrowed() {
		return "Filters"
	}
	return "Filters (on)"
}

// AuditLine is one entry.
type AuditLine struct {
	At     models.Time
	Who    string
	What   string // in words
	Code   string // "credits.adjust"
	Detail string // before and after, or what
	Reason string
	Agency string // "" the platform
	Href   string // of the agency's page; "" for none
	Target string
}

// AuditWords is an action in words; one that has none yet reads as its code.
func AuditWords(code string) string {
	words := map[string]string{
		"adjustment.approve":  "Adjustment approved",
		"adjustment.decline":  "Adjustment declined",
		"adjustment.limit":    "Adjustment limits changed",
		"adjustment.request":  "Adjustment asked for",
		"agency.connect":      "Stripe account connected",
		"agency.create":       "Agency added",
		"agency.excess_limit": "Excess allowance changed",
		"sales.oversell":      "Rule for selling beyond the stock changed", "sales.platform_fee": "Platform fee changed",
		"sales.monthly": "Monthly package changed", "sales.monthly_cancel": "Monthly package cancelled", "sales.monthly_keep": "Monthly package taken up again",
		"agency.pause":        "Agency paused",
		"agency.resume":       "Agency resumed",
		"api_key.create":      "API key made",
		"agency.two_step":     "Two steps asked of a team",
		"api_key.revoke":      "API key revoked",
		"api_key.rotate":      "API key replaced",
		"catalogue.import":    "Catalogue imported",
		"credits.adjust":      "Credits adjusted",
		"member.add":          "Person added",
		"member.invite":       "Person invited",
		"member.invite_again": "Person invited again",
		"member.join":         "Invitation accepted",
		"member.remove":       "Person removed",
		"member.role":         "Role changed",
		"member.uninvite":     "Invitation withdrawn",
		"pack.archive":        "Pack taken off sale",
		"pack.publish":        "Pack published",
		"package.archive":     "Package archived",
		"package.change":      "Package changed",
		"package.create":      "Package made",
		"package.move":        "Package moved",
		"package.restore":     "Package restored",
		"plan.archive":        "Plan archived",
		"plan.change":         "Plan changed",
		"plan.default":        "Default plan changed",
		"plan.publish":        "Plan published",
		"plan.schedule":       "Plan change planned",
		"rate_card.create":    "Rate card made",
		"rates.publish":       "Rates published",
		"setup.address":       "Set-up: address",
		"setup.admin":         "Set-up: first admin",
		"setup.catalogue":     "Set-up: catalogue",
		"setup.database":      "Set-up: database",
		"setup.done":          "Set-up finished",
		"setup.stripe":        "Set-up: Stripe",
		"sub_account.archive": "Sub-account archived",
		"sub_account.change":  "Sub-account changed",
		"sub_account.create":  "Sub-account added",
		"sub_account.restore": "Sub-account restored",
		"user.create":         "User made",
		"user.disable":        "User disabled",
		"user.email":          "E-mail address changed",
		"user.email_request":  "E-mail address to be changed",
		"user.password":       "Password changed",
		"user.password_reset": "Forgotten password set",
		"user.recovery_code":  "Recovery code used",
		"user.recovery_codes": "Recovery codes made",
		"user.sign_out":       "Signed out",
		"user.two_step_off":   "Two-step sign-in turned off",
		"user.two_step_on":    "Two-step sign-in turned on",
	}[code]
	if words == "" {
		return code
	}
	return words
}

// AuditActor is an actor as people are told: an e-mail address, a program's
// key, the clock.
func AuditActor(actor string) string {
	if mail, ok := strings.CutPrefix(actor, "user:"); ok {
		return mail
	}
	if hint, ok := strings.CutPrefix(actor, "key:"); ok {
		return "API key " + hint
	}
	return actor
}
