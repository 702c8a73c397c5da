package handlers

import (
	"refill/billing"
	"refill/models"
	"refill/views"
)

// halted is the banner of an account whose agency an admin has paused; nil for
// any other. A client is told no more than that its AI stands still.
func (a *app) halted(account *billing.Account) *views.Notice {
	if account.Agency.Status == models.AgencyActive {
		return nil
	}
	if account.SubAccount != nil {
		return &views.Notice{Tone: views.ToneBad, Lead: "Your AI is paused.", Text: account.Agency.Name + " has been told and is working on it."}
	}
	n := &views.Notice{Tone: views.ToneBad, Lead: "Your account is paused.", Text: a.haltedWords()}
	if a.Help != "" {
		n.Action = &views.Link{Label: "Get help", Href: a.Help}
	}
	return n
}

// haltedWords say whose doing it is and what is kept.
func (a *app) haltedWords() string {
	return a.Name + " has stopped AI for you and your clients, and nothing can be bought. Your credits are kept."
}
