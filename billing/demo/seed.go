package demo

import (
	"context"
	"fmt"
	"math/rand/v2"
	"path"
	"strings"
	"time"

	"refill/billing"
	"refill/billing/preset"
	"refill/billing/problem"
	"refill/billing/ratecard"
	"refill/models"
)

// Days is how much history the demo shows.
const Days = 90

// by is who the seed acts as.
const by billing.Actor = "demo"

// Seeder makes the demo's business.
type Seeder struct {
	Billing   *billing.Service
	Clock     *Clock
	Catalogue preset.Catalogue
	Pay       func(ctx context.Context, session string) error // pays a checkout session with a good card
	Days      int                                             // of history; 0: Days

	rng *rand.Rand
}

// The people of the demo; all have the same password.
const (
	Password    = "four green kettles"
	AdminEmail  = "admin@refill.example"
	OwnerEmail  = "owner@northwind.example"
	ClientEmail = "hello@acme-dental.example"

	SecondAdminEmail = "sam@refill.example"
	SecondOwnerEmail = "owner@bluebird.example"
)

// Where the demo's owner and client belong.
const (
	AgencyExternalID = "northwind"
	ClientExternalID = "acme-dental"
)

// Seed builds the catalogue, agencies, people, purchases and Days days of usage
// that end now.
func (s *Seeder) Seed(ctx context.Context) error {
	s.rng = rand.New(rand.NewPCG(20261122, 7)) // the same business every time
	if s.Days == 0 {
		s.Days = Days
	}
	end := s.Clock.Now()
	start := end.Add(-time.Duration(s.Days) * 24 * time.Hour)
	s.Clock.freeze(start)
	defer s.Clock.run()
	if err := s.Billing.Import(ctx, s.Catalogue, by); err != nil {
		return fmt.Errorf("import the %s preset: %w", s.Catalogue.Name, err)
	}
	all := houses()
	for _, h := range all {
		h.busy = min(h.busy, s.affordable(h)) * max(1, h.thirst)
		if err := s.open(ctx, h, all); err != nil {
			return fmt.Errorf("make %s: %w", h.name, err)
		}
	}
	if err := s.people(ctx, all); err != nil {
		return err
	}
	if err := s.live(ctx, all, start, end); err != nil {
		return err
	}
	return s.finish(ctx, all, end)
}

// people makes two admins, the first agency's owner and a member, its first client,
// and the owner of the second agency, which has no Stripe account yet.
func (s *Seeder) people(ctx context.Context, all []*house) error {
	h, second := all[0], all[1]
	for _, p := range []struct {
		user   billing.UserInput
		member billing.MemberInput
	}{
		{user: billing.UserInput{Email: AdminEmail, Name: "Robin Admin", Admin: true}},
		{user: billing.UserInput{Email: SecondAdminEmail, Name: "Sam Second", Admin: true}},
		{billing.UserInput{Email: OwnerEmail, Name: "Nora Wind"}, billing.MemberInput{Role: models.RoleOwner}},
		{billing.UserInput{Email: "member@northwind.example", Name: "Max Member"}, billing.MemberInput{Role: models.RoleMember}},
		{billing.UserInput{Email: ClientEmail, Name: "Ada Dental"}, billing.MemberInput{Role: models.RoleClient, SubAccount: h.subs[0].ID}},
		{billing.UserInput{Email: SecondOwnerEmail, Name: "Bea Bird"}, billing.MemberInput{Agency: second.agency.ID, Role: models.RoleOwner}},
	} {
		p.user.Password, p.user.By = Password, by
		user, err := s.Billing.CreateUser(ctx, p.user)
		if err != nil {
			return fmt.Errorf("make %s: %w", p.user.Email, err)
		}
		if p.user.Admin {
			continue
		}
		if p.member.Agency.IsZero() {
			p.member.Agency = h.agency.ID
		}
		p.member.User, p.member.By = user.ID, by
		if err := s.Billing.AddMember(ctx, p.member); err != nil {
			return fmt.Errorf("make %s a member: %w", p.user.Email, err)
		}
	}
	return nil
}

// open makes an agency and its clients; the first are prepaid, the others draw
// on the agency's pool.
func (s *Seeder) open(ctx context.Context, h *house, all []*house) (err error) {
	code := ""
	for _, other := range all {
		if other.external == h.friend {
			if code, err = s.Billing.ReferralCode(ctx, other.agency.ID); err != nil {
				return err
			}
		}
	}
	if h.agency, err = s.Billing.CreateAgency(ctx, billing.AgencyInput{
		ExternalID: h.external, Name: h.name, TimeZone: h.zone, Plan: plan(&s.Catalogue, h.tier).Code, ReferralCode: code, By: by,
	}); err != nil {
		return err
	}
	for i, name := range h.clients {
		in := billing.SubAccountInput{Agency: h.agency.ID, ExternalID: slug(name), Name: name, By: by}
		if i > max(1, h.thirsty) {
			in.Funding = models.Pooled
		}
		sub, err := s.Billing.CreateSubAccount(ctx, billing.Scope{}, in)
		if err != nil {
			return err
		}
		h.subs = append(h.subs, sub)
	}
	return nil
}

func slug(name string) string { return strings.ToLower(strings.ReplaceAll(name, " ", "-")) }

// slots are the hours of a day in which the demo is busy, and how much.
func slots() []struct {
	hour int
	part float64
} {
	return []struct {
		hour int
		part float64
	}{{7, 0.06}, {9, 0.2}, {11, 0.2}, {13, 0.16}, {15, 0.18}, {18, 0.12}, {21, 0.08}}
}

// live walks through the days: renewals, purchases, assignments and usage, each
// at its own time.
func (s *Seeder) live(ctx context.Context, all []*house, start, end models.Time) error {
	n := 0
	for day := range s.Days + 1 {
		morning := start.Add(time.Duration(day) * 24 * time.Hour)
		weekend := morning.Go().Weekday() == time.Saturday || morning.Go().Weekday() == time.Sunday
		midnight := morning - morning%models.Time(24*time.Hour/time.Microsecond)
		for _, slot := range slots() {
			at := midnight.Add(time.Duration(slot.hour)*time.Hour + time.Duration(s.rng.IntN(50*60))*time.Second)
			if at <= s.Clock.Now() || at >= end {
				continue
			}
			s.Clock.freeze(at)
			var batch []billing.ChargeInput
			for _, h := range all {
				grow := 0.7 + 0.6*float64(day)/float64(s.Days)
				if weekend {
					grow *= 0.45
				}
				want := h.busy * slot.part * grow * (0.75 + 0.5*s.rng.Float64())
				for range int(want + s.rng.Float64()) {
					n++
					batch = append(batch, s.charge(h, n))
				}
			}
			if err := s.book(ctx, batch); err != nil {
				return err
			}
		}
		if err := s.daily(ctx, all, day); err != nil {
			return err
		}
		if day%10 == 0 || day == s.Days {
			if err := s.Billing.RunDue(ctx, s.Clock.Now()); err != nil {
				return err
			}
		}
	}
	return nil
}

// book charges a batch; what a preset's small allowance cannot pay is refused,
// as it would be in life.
func (s *Seeder) book(ctx context.Context, batch []billing.ChargeInput) error {
	for len(batch) > 0 {
		part := batch[:min(len(batch), billing.MaxBatch)]
		batch = batch[len(part):]
		for _, r := range s.Billing.ChargeAll(ctx, billing.Scope{}, part) {
			if r.Err != nil && !isRefusal(r.Err) {
				return fmt.Errorf("seed usage: %w", r.Err)
			}
		}
	}
	return nil
}

// affordable is how many charges a day leave some of a house's allowance unused.
func (s *Seeder) affordable(h *house) float64 {
	plan := plan(&s.Catalogue, h.tier)
	days, part := 30.0, 0.6
	if plan.Every != preset.Month {
		days, part = float64(s.Days), 0.5
	}
	var price, sum float64
	for i, r := range s.Catalogue.Cards[0].Rates {
		w := s.weights()[i]
		price += w * float64(r.Base)
		sum += w
	}
	if price == 0 {
		return float64(s.Days)
	}
	return float64(plan.Allowance) * part / days / (price / sum)
}

// weights says how often each rate of the card is used: cheap ones more.
func (s *Seeder) weights() []float64 {
	rates := s.Catalogue.Cards[0].Rates
	out := make([]float64, len(rates))
	for i, r := range rates {
		out[i] = 1 / (1 + float64(max(r.Base, models.Credit/2))/float64(models.Credit)*0.04)
		if strings.HasPrefix(r.Action, "infra.") {
			out[i] = 0.01
		}
	}
	return out
}

// charge is one AI action of a house: a client of it, mostly.
func (s *Seeder) charge(h *house, n int) billing.ChargeInput {
	wallet := "agency:" + h.external
	if len(h.subs) > 0 && s.rng.Float64() < 0.8 {
		// Earlier clients are busier.
		i := min(int(s.rng.ExpFloat64()*float64(len(h.subs))/3), len(h.subs)-1)
		wallet = "sub:" + h.external + "/" + h.subs[i].ExternalID
	}
	action, model, usage := s.work()
	return billing.ChargeInput{
		Wallet: wallet, Key: fmt.Sprintf("demo:%s:%d", h.external, n), Action: action, Model: model, Usage: usage,
		Metadata: map[string]string{"conversation": fmt.Sprintf("conv_%05d", n/6)}, Test: s.rng.IntN(200) == 0,
	}
}

// work picks an action of the preset's card, cheap ones more often.
func (s *Seeder) work() (action, model string, usage ratecard.Usage) {
	rates := s.Catalogue.Cards[0].Rates
	weights := s.weights()
	var sum float64
	for _, w := range weights {
		sum += w
	}
	pick := s.rng.Float64() * sum
	r := rates[len(rates)-1]
	for i := range rates {
		if pick -= weights[i]; pick < 0 {
			r = rates[i]
			break
		}
	}
	usage = ratecard.Usage{
		ratecard.InputTokens:  ratecard.Quantity(200+s.rng.IntN(1800)) * ratecard.One,
		ratecard.OutputTokens: ratecard.Quantity(20+s.rng.IntN(400)) * ratecard.One,
	}
	for _, c := range r.Components {
		if _, ok := usage[c.Measure]; !ok {
			usage[c.Measure] = c.Size * ratecard.Quantity(1+s.rng.IntN(3))
		}
	}
	return r.Action, r.Model, usage
}

// daily is what people do: buy packs, open shops, sell, and assign credits.
func (s *Seeder) daily(ctx context.Context, all []*house, day int) error {
	if day == s.Days/3 {
		if err := s.promote(ctx, all[3:6]); err != nil {
			return fmt.Errorf("promote: %w", err)
		}
	}
	for i, h := range all {
		if i == 0 && day > s.Days/2 && day%4 == 1 { // what finish needs, in its own time
			if err := s.restock(ctx, h, 1); err != nil {
				return err
			}
		}
		if h.packs > 0 && day%max(10, s.Days/h.packs) == (5+i)%10 {
			if err := s.buy(ctx, h); err != nil {
				return err
			}
		}
		if h.thirsty > 0 && day%30 == 20 {
			if err := s.assign(ctx, h, h.subs[h.thirsty], 60, fmt.Sprintf("%d:thirsty", day)); err != nil {
				return err
			}
		}
		if h.sells > 0 && day == min(6, s.Days/4) {
			if err := s.openShop(ctx, h); err != nil {
				return fmt.Errorf("open the shop of %s: %w", h.name, err)
			}
		}
		if len(h.packages) > 0 && day%h.sells == (8+i)%h.sells {
			if err := s.sell(ctx, h, h.subs[s.rng.IntN(2)], s.rng.IntN(2)); err != nil {
				return fmt.Errorf("sell at %s: %w", h.name, err)
			}
		}
		if day%7 == 3 {
			for j, sub := range h.subs[:min(2, len(h.subs))] {
				if err := s.assign(ctx, h, sub, 14+4*j, fmt.Sprintf("%d:%d", day, j)); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// assign feeds a prepaid client a part of what the agency has, if it can.
func (s *Seeder) assign(ctx context.Context, h *house, sub models.SubAccount, part int, n string) error {
	account, err := s.Billing.AccountOf(ctx, h.agency.WalletID)
	if err != nil {
		return err
	}
	view, err := s.Billing.Wallet(ctx, account)
	if err != nil {
		return err
	}
	amount := view.Balance.Available / models.Credits(part) / models.Credit * models.Credit
	if amount <= 0 {
		return nil
	}
	_, err = s.Billing.Assign(ctx, billing.Scope{}, billing.TransferInput{
		Agency: h.agency.ID, SubAccount: sub.ID, Credits: amount, Note: "Credits for the week", Key: "demo:assign:" + sub.ExternalID + ":" + n, By: by,
	})
	return err
}

// buy buys the preset's middle pack, stock the last: the cheapest per credit.
func (s *Seeder) buy(ctx context.Context, h *house) error {
	return s.buyPack(ctx, h, func(offers int) int { return offers / 2 })
}

func (s *Seeder) stock(ctx context.Context, h *house) error {
	return s.buyPack(ctx, h, func(offers int) int { return offers - 1 })
}

// buyPack buys one of the packs on sale through the simulator, as a visitor would.
func (s *Seeder) buyPack(ctx context.Context, h *house, which func(offers int) int) error {
	account, err := s.Billing.AccountOf(ctx, h.agency.WalletID)
	if err != nil {
		return err
	}
	front, err := s.Billing.Storefront(ctx, account)
	if err != nil || len(front.Offers) == 0 {
		return err
	}
	offer := front.Offers[which(len(front.Offers))]
	in := billing.BuyInput{Account: account, Pack: offer.Pack.Code, Key: fmt.Sprintf("demo:buy:%s:%s:%d", h.external, offer.Pack.Code, s.Clock.Now()), By: by}
	if offer.Pack.Kind == models.PackQuantity {
		in.Quantity = 10 * offer.Pack.Minimum
	}
	p, err := s.Billing.Buy(ctx, in)
	if err != nil {
		return fmt.Errorf("open a purchase: %w", err)
	}
	return s.pay(ctx, p)
}

// openShop connects a house to its Stripe account and puts its packages on sale:
// the ready-made ones, or for the first house its own.
func (s *Seeder) openShop(ctx context.Context, h *house) error {
	if _, err := s.Billing.ConnectExisting(ctx, h.agency.ID, h.account(), by); err != nil {
		return err
	}
	if err := s.stock(ctx, h); err != nil { // something to sell, whose cost is known
		return err
	}
	made, err := s.Billing.CreateReadyMade(ctx, billing.Scope{}, h.agency.ID, by)
	if err != nil {
		return err
	}
	for _, p := range made {
		if p, err = s.Billing.PutOnSale(ctx, billing.Scope{}, h.agency.ID, p.ID, by); err != nil {
			return err
		}
		h.packages = append(h.packages, p)
	}
	return nil
}

// sell lets a client buy a package on its agency's Stripe account; where the
// stock is short, the agency buys first.
func (s *Seeder) sell(ctx context.Context, h *house, to models.SubAccount, which int) error {
	account, err := s.Billing.AccountOf(ctx, to.WalletID)
	if err != nil {
		return err
	}
	in := billing.PackageInput{
		Account: account, Package: h.packages[which].ID.String(), Key: fmt.Sprintf("demo:package:%s:%d", to.ExternalID, s.Clock.Now()), By: by,
	}
	p, err := s.Billing.BuyPackage(ctx, in)
	for range 9 {
		if !problem.Is(err, "out_of_stock") {
			break
		}
		if err := s.stock(ctx, h); err != nil {
			return err
		}
		p, err = s.Billing.BuyPackage(ctx, in)
	}
	if err != nil {
		return fmt.Errorf("open a sale: %w", err)
	}
	return s.pay(ctx, p)
}

// pay pays for what was opened and sees it credited.
func (s *Seeder) pay(ctx context.Context, p models.Purchase) error {
	if err := s.Pay(ctx, p.CheckoutSession); err != nil {
		return fmt.Errorf("pay a purchase: %w", err)
	}
	p, err := s.Billing.Settle(ctx, p.AgencyID, p.ID)
	if err != nil {
		return err
	}
	if p.Status != models.PurchaseCredited {
		return fmt.Errorf("a paid purchase was not credited: it is %s, %s", p.Status, p.StatusNote)
	}
	return nil
}

// finish leaves the first agency with a stock to sell from, its first client
// healthy with at least 1,000 purchased credits, and everything due done.
func (s *Seeder) finish(ctx context.Context, all []*house, end models.Time) error {
	s.Clock.freeze(end.Add(-30 * time.Minute))
	h := all[0]
	if err := s.restock(ctx, h, 40); err != nil {
		return err
	}
	// What its owner usually buys, and is offered again: later than the rest, for
	// the order of purchases is that of their milliseconds.
	s.Clock.freeze(s.Clock.Now().Add(time.Second))
	if err := s.buy(ctx, h); err != nil {
		return err
	}
	if err := s.topUps(ctx, all); err != nil {
		return err
	}
	client, err := s.Billing.AccountOf(ctx, h.subs[0].WalletID)
	if err != nil {
		return err
	}
	for range 9 {
		view, err := s.Billing.Wallet(ctx, client)
		if err != nil {
			return err
		}
		if view.Balance.Purchased >= 1000*models.Credit {
			break
		}
		s.Clock.freeze(s.Clock.Now() + 1)
		if err := s.sell(ctx, h, h.subs[0], 0); err != nil {
			return err
		}
	}
	s.Clock.freeze(end)
	return s.Billing.RunDue(ctx, end)
}

// topUps lets the first house's clients buy by themselves, for whoever tries that,
// and has the second house's own packs bought below a line that it is far above.
func (s *Seeder) topUps(ctx context.Context, all []*house) error {
	if err := s.Billing.AllowClientTopUps(ctx, all[0].agency.ID, true, by); err != nil || len(all) < 2 {
		return err
	}
	account, err := s.Billing.AccountOf(ctx, all[1].agency.WalletID)
	if err != nil {
		return err
	}
	front, err := s.Billing.TopUp(ctx, account)
	if err != nil || len(front.Offers) == 0 || front.Left < 2*models.Credit { // a plan without packs
		return err
	}
	link, err := s.Billing.AddCard(ctx, billing.SaveCardInput{Account: account, Key: "demo"})
	if err != nil {
		return fmt.Errorf("save a card: %w", err)
	}
	session := path.Base(link)
	if err := s.Pay(ctx, session); err != nil {
		return fmt.Errorf("save a card: %w", err)
	}
	if _, err := s.Billing.TakeCard(ctx, account, session, by); err != nil {
		return fmt.Errorf("save a card: %w", err)
	}
	offer := front.Offers[0]
	limit := models.Money{Amount: 10 * offer.Price.Amount, Currency: offer.Price.Currency}
	below := min(500*models.Credit, front.Left/2)
	_, _, err = s.Billing.TurnTopUpOn(ctx, billing.TopUpInput{Account: account, Threshold: below, Offer: offer.ID, Limit: limit, By: by})
	return err
}

// restock buys packs, so many at most, until a house has something of each of its
// packages to sell.
func (s *Seeder) restock(ctx context.Context, h *house, most int) error {
	account, err := s.Billing.AccountOf(ctx, h.agency.WalletID)
	if err != nil {
		return err
	}
	enough := 4000 * models.Credit
	for _, p := range h.packages {
		enough = max(enough, p.Credits+4000*models.Credit)
	}
	for range most {
		view, err := s.Billing.Wallet(ctx, account)
		if err != nil {
			return err
		}
		if view.Balance.Purchased >= enough && view.Balance.Excess == 0 {
			return nil
		}
		s.Clock.freeze(s.Clock.Now() + 1)
		if err := s.stock(ctx, h); err != nil {
			return err
		}
		s.Clock.freeze(s.Clock.Now() + 1) // another purchase of the same pack is another
	}
	return nil
}

// promote makes a promotion, which some agencies redeem, and one of single-use
// codes that nobody has used yet.
func (s *Seeder) promote(ctx context.Context, some []*house) error {
	if _, err := s.Billing.CreateGift(ctx, billing.GiftInput{
		Name: "Autumn", Credits: 500 * models.Credit, LotDays: 30, Code: "AUTUMN", MaxUses: 10, Reason: "Newsletter of the autumn", Key: "demo:autumn", By: by,
	}); err != nil {
		return err
	}
	if _, err := s.Billing.CreateGift(ctx, billing.GiftInput{
		Name: "Conference", Credits: 1000 * models.Credit, Codes: 50, Reason: "Cards for the stand", Key: "demo:conference", By: by,
	}); err != nil {
		return err
	}
	for _, h := range some {
		account, err := s.Billing.AccountOf(ctx, h.agency.WalletID)
		if err != nil {
			return err
		}
		if _, err := s.Billing.Redeem(ctx, billing.RedeemInput{Account: account, Code: "autumn", Key: "demo:autumn", By: by}); err != nil {
			return err
		}
	}
	return nil
}

// isRefusal tells an answer that a full or empty wallet gives from a fault.
func isRefusal(err error) bool {
	p := problem.Of(err)
	return p != nil && (p.Kind == problem.Insufficient || p.Kind == problem.Forbidden)
}
