package demo

import (
	"refill/billing/preset"
	"refill/models"
)

// house is an agency of the demo.
type house struct {
	external, name, zone string
	clients              []string // the first ones are prepaid, the others draw on the agency's pool
	thirsty              int      // a prepaid client that gets less than it uses; 0: none
	tier                 int      // which plan, from the dearest down; the default plan for 0
	busy                 float64  // charges a day, where the allowance lasts for them
	thirst               float64  // above 1: it uses more than its allowance; 0 reads as 1
	packs                int      // bought over the 90 days
	sells                int      // one of its clients buys a package every so many days; 0: not connected
	friend               string   // external id of the agency that referred it

	agency   models.Agency
	subs     []models.SubAccount
	packages []models.Package
}

// The agencies: one to live with, and eleven for the charts to tell apart.
func houses() []*house {
	return []*house{
		{external: AgencyExternalID, name: "Northwind Agency", zone: "Europe/Paris", clients: []string{"Acme Dental", "Bright Solar", "Kite Legal", "Nord Gym", "Harbour Hotel"}, busy: 210, packs: 4, sells: 6, thirsty: 2},
		{external: "bluebird", name: "Bluebird Studio", zone: "America/New_York", clients: []string{"Maple Bakery", "Union Cycles", "Fern Clinic"}, busy: 26, packs: 1},
		{external: "copperfield", name: "Copperfield Media", zone: "Europe/London", clients: []string{"Dover Tyres", "Ivy Florist", "Oak Dental"}, busy: 18, packs: 1, sells: 20},
		{external: "sakura", name: "Sakura Growth", zone: "Asia/Tokyo", clients: []string{"Hana Salon", "Kumo Coffee", "Nami Surf"}, busy: 14, packs: 1, tier: 1},
		{external: "lumen", name: "Lumen Partners", zone: "UTC", clients: []string{"Peak Outdoor", "Vale Vets", "Quay Marine"}, busy: 8},
		{external: "atlas", name: "Atlas Digital", zone: "America/Chicago", clients: []string{"Prairie Homes", "Lake Dental", "Union Hardware", "Summit Law"}, busy: 24, packs: 2, sells: 14, friend: "bluebird"},
		{external: "cobalt", name: "Cobalt House", zone: "Europe/Berlin", clients: []string{"Linden Optik", "Spree Fitness", "Havel Bikes"}, busy: 12, tier: 1, sells: 25},
		{external: "delta", name: "Delta Reach", zone: "Australia/Sydney", clients: []string{"Coral Dive", "Bondi Physio", "Reef Rentals"}, busy: 60, tier: 2, thirst: 2.2},
		{external: "ember", name: "Ember Social", zone: "America/Los_Angeles", clients: []string{"Mesa Tacos", "Sol Yoga", "Palm Realty", "Pier Burgers"}, busy: 16, packs: 1, sells: 18},
		{external: "fjord", name: "Fjord Consulting", zone: "Europe/Oslo", clients: []string{"Berg Bakeri", "Nordlys Spa", "Vik Auto"}, busy: 40, tier: 2, thirst: 1.5, packs: 1},
		{external: "grove", name: "Grove Marketing", zone: "America/Sao_Paulo", clients: []string{"Ipe Moveis", "Rio Cafe", "Serra Pet"}, busy: 7, tier: 1, friend: AgencyExternalID},
		{external: "juniper", name: "Juniper Works", zone: "Asia/Singapore", clients: []string{"Orchid Clinic", "Straits Foods", "Lion Tutors"}, busy: 6, tier: 2},
	}
}

// account is the Stripe account of a house that sells.
func (h *house) account() string { return "acct_" + h.external }

// Seller is a connected account that the simulator has to know before the seed.
type Seller struct{ Account, Name, Email string }

// Sellers are the agencies that sell.
func Sellers() []Seller {
	var out []Seller
	for _, h := range houses() {
		if h.sells > 0 {
			out = append(out, Seller{Account: h.account(), Name: h.name, Email: "billing@" + h.external + ".example"})
		}
	}
	return out
}

// plan is the plan of a tier: the default for 0, else so many below the dearest,
// as far as they let an agency buy packs.
func plan(c *preset.Catalogue, tier int) preset.Plan {
	def, _ := c.Plan(c.DefaultPlan)
	var paid []preset.Plan
	for _, p := range c.Plans {
		if len(p.PacksForSale) > 0 && p.Allowance > 0 {
			paid = append(paid, p)
		}
	}
	if tier == 0 || len(paid) == 0 {
		return def
	}
	return paid[max(0, len(paid)-1-tier)]
}
