package billing

import (
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"gorm.io/gorm"

	"refill/billing/ledger"
	"refill/billing/problem"
	"refill/models"
)

// stock gives the agency purchased credits that cost so many cents.
func (h *house) stock(n, cents int64) {
	h.t.Helper()
	require.NoError(h.t, h.db.InTx(h.t.Context(), func(tx *gorm.DB) error {
		_, err := h.s.ledger.Grant(h.t.Context(), tx, ledger.GrantRequest{
			Agency: h.agency.ID, Wallet: h.agency.WalletID, Source: models.SourcePurchase, Credits: whole(n), Cost: dollars(cents),
			Purchase: models.NewID[models.PurchaseID](h.s.Now()), Kind: "purchase", Actor: "test", At: h.s.Now(),
		})
		return err
	}))
}

// connect lets the agency take money.
func (h *house) connect() {
	h.t.Helper()
	require.NoError(h.t, h.db.Write.Create(&models.StripeAccount{AgencyID: h.agency.ID, Account: "acct_1", ChargesEnabled: true, CreatedAt: h.s.Now()}).Error)
}

// growth is the package of the seed example.
func (h *house) growth() PackageEdit {
	return PackageEdit{Agency: h.agency.ID, Name: "Growth", Credits: whole(10_000), Price: 6_000, By: "test"}
}

func (h *house) save(in PackageEdit) SavedPackage { //nolint:gocritic // once per test
	h.t.Helper()
	out, err := h.s.SavePackage(h.t.Context(), Scope{Agency: h.agency.ID}, in)
	require.NoError(h.t, err)
	return out
}

// sold books a purchase of a package as the sale does, in a state.
func (h *house) sold(p *models.Package, to *Account, status models.PurchaseStatus) {
	h.t.Helper()
	row := models.Purchase{
		AgencyID: h.agency.ID, ID: models.NewID[models.PurchaseID](h.s.Now()), WalletID: to.Wallet, PackageID: p.ID, Title: p.Name, Credits: p.Credits,
		Price: p.Price, Currency: p.Currency, Status: status, IdempotencyKey: h.key(), Fingerprint: []byte{1}, CreatedAt: h.s.Now(),
	}
	if status == models.PurchaseCredited {
		row.CreditedAt = h.s.Now()
	}
	require.NoError(h.t, h.db.Write.Create(&row).Error)
}

func (h *house) audits(action string) []models.AuditEntry {
	h.t.Helper()
	var out []models.AuditEntry
	require.NoError(h.t, h.db.Read.Where("agency_id = ? AND action = ?", h.agency.ID, action).Order("id").Find(&out).Error)
	return out
}

// codes are the codes of everything that a joined error names.
func codes(err error) []string {
	if many, ok := err.(interface{ Unwrap() []error }); ok {
		var out []string
		for _, one := range many.Unwrap() {
			out = append(out, codes(one)...)
		}
		return out
	}
	if p := problem.Of(err); p != nil {
		return []string{p.Code + " " + p.Field}
	}
	return []string{err.Error()}
}

// What the agency holds, bought last, could buy and pays for its plan: each basis
// has its value, and one that has none is told by one that has.
func TestCostBases(t *testing.T) {
	t.Parallel()
	each(t, "Europe/Paris", "", func(t *testing.T, h *house) {
		ctx := t.Context()
		in := h.growth()
		panel, err := h.s.PackagePanel(ctx, Scope{Agency: h.agency.ID}, &in)
		require.NoError(t, err)
		known := map[models.CostBasis]bool{}
		for _, o := range panel.Costs.Options {
			known[o.Basis] = o.Cost.Known()
		}
		require.Equal(t, map[models.CostBasis]bool{models.CostHeld: false, models.CostLast: false, models.CostBest: true, models.CostPlan: true, models.CostOwn: false}, known)
		require.Equal(t, models.CostBest, panel.Basis.Basis, "nothing is held: the best pack stands in")
		require.Equal(t, whole(35_000), panel.Basis.Credits)
		require.Equal(t, dollars(2_857), panel.Margin.Cost)
		require.Equal(t, "gpt-4", panel.Reply.Model, "nothing is used yet: the dearest reply")
		require.EqualValues(t, 7, panel.PerTalk)
		require.Equal(t, dollars(50), panel.Least)

		h.stock(35_000, 10_000)
		in.CostBasis = models.CostHeld
		panel, err = h.s.PackagePanel(ctx, Scope{Agency: h.agency.ID}, &in)
		require.NoError(t, err)
		require.Equal(t, models.CostHeld, panel.Basis.Basis)
		require.Equal(t, dollars(2_857), panel.Margin.Cost)
		require.Equal(t, dollars(2_939), panel.Margin.Keep)
		require.Equal(t, dollars(2_857), *panel.Next)
		// Two prices are held: the average of what is there.
		h.stock(12_500, 5_000)
		panel, err = h.s.PackagePanel(ctx, Scope{Agency: h.agency.ID}, &in)
		require.NoError(t, err)
		require.Equal(t, dollars(3_157), panel.Margin.Cost, "10,000 of 47,500 credits for $150.00")
		require.Equal(t, dollars(2_857), *panel.Next, "the cheapest go first")
		require.Equal(t, whole(47_500), panel.Costs.Stock)
		in.Credits = whole(40_000)
		panel, err = h.s.PackagePanel(ctx, Scope{Agency: h.agency.ID}, &in)
		require.NoError(t, err)
		require.Equal(t, dollars(12_000), *panel.Next, "35,000 for $100.00, then 5,000 of 12,500 for $50.00")
		in.Credits = whole(47_501)
		panel, err = h.s.PackagePanel(ctx, Scope{Agency: h.agency.ID}, &in)
		require.NoError(t, err)
		require.Nil(t, panel.Next, "the stock is short")
		in.Credits = whole(10_000)
		in.CostBasis = models.CostPlan
		panel, err = h.s.PackagePanel(ctx, Scope{Agency: h.agency.ID}, &in)
		require.NoError(t, err)
		require.Equal(t, dollars(4_970), panel.Margin.Cost, "$497.00 for 100,000")
		in.CostBasis, in.OwnCost = models.CostOwn, 250_000
		panel, err = h.s.PackagePanel(ctx, Scope{Agency: h.agency.ID}, &in)
		require.NoError(t, err)
		require.Equal(t, dollars(2_500), panel.Margin.Cost)

		// Half a form: no price, no credits.
		panel, err = h.s.PackagePanel(ctx, Scope{}, &PackageEdit{Agency: h.agency.ID, Credits: whole(10_000), CostBasis: models.CostBest})
		require.NoError(t, err)
		require.Equal(t, dollars(4_300), panel.Margin.Targets[0].Price)
		panel, err = h.s.PackagePanel(ctx, Scope{}, &PackageEdit{Agency: h.agency.ID, Price: 100})
		require.NoError(t, err)
		require.Nil(t, panel.Margin)
		_, err = h.s.PackagePanel(ctx, Scope{Agency: models.NewID[models.AgencyID](1)}, &in)
		require.True(t, problem.Is(err, "not_found"))
	})
}

func TestPackagesAreChecked(t *testing.T) {
	t.Parallel()
	each(t, "Europe/Paris", "", func(t *testing.T, h *house) {
		h.connect()
		for _, c := range []struct {
			change func(*PackageEdit)
			want   []string
		}{
			{func(in *PackageEdit) { in.Name = " " }, []string{"invalid_name name"}},
			{func(in *PackageEdit) { in.Credits = models.Credit / 2 }, []string{"invalid_credits credits"}},
			{func(in *PackageEdit) { in.Credits = models.MaxCharge + 1 }, []string{"invalid_credits credits"}},
			{func(in *PackageEdit) { in.Price = 49 }, []string{"price_too_low price"}},
			{func(in *PackageEdit) { in.Price = maxPrice + 1 }, []string{"price_too_high price"}},
			{func(in *PackageEdit) { in.Price = 2_972 }, []string{"sold_at_loss price"}},
			{func(in *PackageEdit) { in.Badge = strings.Repeat("ü", 41) }, []string{"badge_too_long badge"}},
			{func(in *PackageEdit) { in.Note = strings.Repeat("ü", 501) }, []string{"note_too_long note"}},
			{func(in *PackageEdit) { in.Audience = models.AudienceChosen }, []string{"audience_empty audience"}},
			{func(in *PackageEdit) { in.Audience = "friends" }, []string{"invalid_audience audience"}},
			{func(in *PackageEdit) { in.MonthlyLimit = -1 }, []string{"invalid_monthly_limit monthly_limit"}},
			{func(in *PackageEdit) { in.CostBasis = "guess" }, []string{"invalid_cost_basis cost_basis"}},
			{func(in *PackageEdit) { in.CostBasis = models.CostOwn }, []string{"invalid_own_cost own_cost"}},
			{func(in *PackageEdit) {
				in.Audience, in.Viewers = models.AudienceChosen, []models.SubAccountID{models.NewID[models.SubAccountID](1)}
			}, []string{"not_found audience"}},
			{
				func(in *PackageEdit) { in.Name, in.Credits, in.Price, in.MonthlyLimit = "", 0, 0, 5_000 },
				[]string{"invalid_name name", "invalid_credits credits", "price_too_low price", "invalid_monthly_limit monthly_limit"},
			},
		} {
			in := h.growth()
			c.change(&in)
			_, err := h.s.SavePackage(t.Context(), Scope{Agency: h.agency.ID}, in)
			require.Equal(t, c.want, codes(err))
		}
		list, err := h.s.Packages(t.Context(), Scope{}, h.agency.ID)
		require.NoError(t, err)
		require.Empty(t, list.Rows, "what was refused was not written")
		require.Empty(t, h.audits("package.create"))

		// At the very edge it is sold, and below it on purpose only.
		in := h.growth()
		in.Price = 2_973
		require.False(t, h.save(in).LossAccepted)
		in.Price, in.LossAccepted = 2_972, true
		require.True(t, h.save(in).LossAccepted)
		in.Price = 6_000
		require.False(t, h.save(in).LossAccepted, "a tick that was not needed is asked for again")
		// Another agency's caller finds nothing.
		_, err = h.s.SavePackage(t.Context(), Scope{Agency: models.NewID[models.AgencyID](1)}, h.growth())
		require.True(t, problem.Is(err, "not_found"))
	})
}

func TestPackagePrices(t *testing.T) {
	t.Parallel()
	require.NoError(t, checkPackagePrice(50, "jpy"))
	require.Error(t, checkPackagePrice(49, "jpy"))
	require.NoError(t, checkPackagePrice(1_500, "kwd"))
	require.Equal(t, "price_decimals", problem.Of(checkPackagePrice(1_505, "kwd")).Code)
	require.Error(t, checkPackagePrice(0, "zzz"))
}

// A price is changed for new purchases: the old ones are counted, and the history
// keeps each.
func TestPackageHistory(t *testing.T) {
	t.Parallel()
	each(t, "Europe/Paris", "", func(t *testing.T, h *house) {
		ctx, scope := t.Context(), Scope{Agency: h.agency.ID}
		h.connect()
		acme := h.client("acme", models.Prepaid, "")
		in := h.growth()
		in.Key, in.OnSale = "growth", true
		made := h.save(in)
		require.True(t, made.Repriced)
		require.True(t, h.save(in).Replayed)
		require.Equal(t, made.ID, h.save(in).ID, "the key makes it once")
		other := in
		other.Price = 7_000
		_, err := h.s.SavePackage(ctx, scope, other)
		require.True(t, problem.Is(err, "idempotency_key_reused"))
		h.sold(&made.Package, acme, models.PurchaseCredited)
		h.sold(&made.Package, acme, models.PurchaseFailed)

		in.ID, in.Key = made.ID, ""
		same := h.save(in)
		require.False(t, same.Repriced)
		require.Empty(t, h.audits("package.change"), "nothing changed")
		h.wait(40 * 24 * time.Hour)
		in.Price, in.Badge = 6_500, "Most popular"
		dearer := h.save(in)
		require.True(t, dearer.Repriced)
		require.EqualValues(t, 1, dearer.Past)
		got, err := h.s.Package(ctx, scope, h.agency.ID, made.ID)
		require.NoError(t, err)
		require.Len(t, got.Prices, 2)
		require.EqualValues(t, 6_500, got.Prices[0].Price)
		require.EqualValues(t, 6_000, got.Prices[1].Price)
		require.EqualValues(t, 1, got.Past)
		require.Zero(t, got.Sold, "40 days ago")
		change := h.audits("package.change")
		require.Len(t, change, 1)
		require.Equal(t, "price: 60.00 usd → 65.00 usd; badge:  → Most popular", change[0].Detail)
		_, err = h.s.Package(ctx, Scope{Agency: models.NewID[models.AgencyID](1)}, h.agency.ID, made.ID)
		require.True(t, problem.Is(err, "not_found"))
		require.NotEmpty(t, got.IdempotencyKey, "an edit keeps the key that made it")
	})
}

// A client chooses on one page, which shows what each of twelve packages would
// do. Packages for single clients count only on their pages.
func TestNoClientSeesMoreThanTwelvePackages(t *testing.T) {
	t.Parallel()
	each(t, "Europe/Paris", "", func(t *testing.T, h *house) {
		ctx, scope := t.Context(), Scope{Agency: h.agency.ID}
		h.connect()
		client := func(name string) models.SubAccountID {
			sub, err := h.s.CreateSubAccount(ctx, scope, SubAccountInput{Agency: h.agency.ID, ExternalID: name, Name: name, By: "test"})
			require.NoError(t, err)
			return sub.ID
		}
		one, other := client("one"), client("other")
		in := h.growth()
		in.OnSale = true
		var last SavedPackage
		for range 11 {
			last = h.save(in)
		}
		own := in
		own.Audience, own.Viewers = models.AudienceChosen, []models.SubAccountID{one}
		h.save(own)
		own.Viewers = []models.SubAccountID{other}
		others := h.save(own)
		refused := func(in PackageEdit) { //nolint:gocritic // a few times
			t.Helper()
			_, err := h.s.SavePackage(ctx, scope, in)
			require.Equal(t, []string{"too_many_on_sale on_sale"}, codes(err))
			require.ErrorContains(t, err, "13 packages")
		}
		refused(in) // a twelfth for all: one and other would see thirteen
		refused(own)
		moved := own
		moved.ID, moved.Audience, moved.Viewers = others.ID, models.AudienceChosen, []models.SubAccountID{one, other}
		refused(moved)
		moved.Audience, moved.Viewers = models.AudienceAll, nil
		refused(moved)
		in.OnSale = false
		draft := h.save(in)
		_, err := h.s.PutOnSale(ctx, scope, h.agency.ID, draft.ID, "test")
		require.Equal(t, []string{"too_many_on_sale on_sale"}, codes(err))
		same := h.growth()
		same.ID, same.OnSale, same.Note = last.ID, true, "What is on sale may still be changed."
		h.save(same)
		_, err = h.s.TakeOffSale(ctx, scope, h.agency.ID, last.ID, "test")
		require.NoError(t, err)
		_, err = h.s.PutOnSale(ctx, scope, h.agency.ID, draft.ID, "test")
		require.NoError(t, err)
	})
}

func TestPackagesOnSale(t *testing.T) {
	t.Parallel()
	each(t, "Europe/Paris", "", func(t *testing.T, h *house) {
		ctx, scope := t.Context(), Scope{Agency: h.agency.ID}
		in := h.growth()
		in.OnSale = true
		_, err := h.s.SavePackage(ctx, scope, in)
		require.Equal(t, []string{"not_connected on_sale"}, codes(err))
		in.OnSale = false
		p := h.save(in)
		_, err = h.s.PutOnSale(ctx, scope, h.agency.ID, p.ID, "test")
		require.True(t, problem.Is(err, "not_connected"))
		h.connect()
		on, err := h.s.PutOnSale(ctx, scope, h.agency.ID, p.ID, "test")
		require.NoError(t, err)
		require.True(t, on.OnSale)
		_, err = h.s.PutOnSale(ctx, scope, h.agency.ID, p.ID, "test")
		require.NoError(t, err, "twice is once")
		require.Len(t, h.audits("package.change"), 1)
		_, err = h.s.TakeOffSale(ctx, scope, h.agency.ID, p.ID, "test")
		require.NoError(t, err)
		// While Stripe has paused the account, what is on sale may still be changed.
		_, err = h.s.PutOnSale(ctx, scope, h.agency.ID, p.ID, "test")
		require.NoError(t, err)
		require.NoError(t, h.db.Write.Model(&models.StripeAccount{}).Where("agency_id = ?", h.agency.ID).Update("charges_enabled", false).Error)
		in.ID, in.OnSale, in.Note = p.ID, true, "For a busy month."
		h.save(in)
		_, err = h.s.TakeOffSale(ctx, scope, h.agency.ID, p.ID, "test")
		require.NoError(t, err)
		_, err = h.s.SavePackage(ctx, scope, in)
		require.Equal(t, []string{"not_connected on_sale"}, codes(err))
		require.NoError(t, h.db.Write.Model(&models.StripeAccount{}).Where("agency_id = ?", h.agency.ID).Update("charges_enabled", true).Error)
		// Its credits got dearer since: it would lose money now.
		h.stock(1_000, 5_000)
		_, err = h.s.PutOnSale(ctx, scope, h.agency.ID, p.ID, "test")
		require.Equal(t, []string{"sold_at_loss price"}, codes(err))

		archived, err := h.s.ArchivePackage(ctx, scope, h.agency.ID, p.ID, "test")
		require.NoError(t, err)
		require.False(t, archived.OnSale)
		_, err = h.s.PutOnSale(ctx, scope, h.agency.ID, p.ID, "test")
		require.True(t, problem.Is(err, "package_archived"))
		list, err := h.s.Packages(ctx, scope, h.agency.ID)
		require.NoError(t, err)
		require.Empty(t, list.Rows)
		require.Len(t, list.Archived, 1)
		require.Empty(t, list.Ready, "there are packages")
		_, err = h.s.RestorePackage(ctx, scope, h.agency.ID, p.ID, "test")
		require.NoError(t, err)
		_, err = h.s.RestorePackage(ctx, scope, h.agency.ID, models.NewID[models.PackageID](1), "test")
		require.True(t, problem.Is(err, "not_found"))
		for _, f := range []func() error{
			func() error {
				return h.s.MovePackage(ctx, Scope{Agency: models.NewID[models.AgencyID](1)}, h.agency.ID, p.ID, true, "test")
			},
			func() error {
				_, err := h.s.ArchivePackage(ctx, Scope{Agency: models.NewID[models.AgencyID](1)}, h.agency.ID, p.ID, "test")
				return err
			},
			func() error {
				_, err := h.s.TakeOffSale(ctx, Scope{Agency: models.NewID[models.AgencyID](1)}, h.agency.ID, p.ID, "test")
				return err
			},
		} {
			require.True(t, problem.Is(f(), "not_found"), "another agency's")
		}
	})
}

func (h *house) shown(a *Account) []string {
	h.t.Helper()
	list, err := h.s.PackagesFor(h.t.Context(), a)
	require.NoError(h.t, err)
	out := []string{}
	for i := range list {
		out = append(out, list[i].Name)
	}
	return out
}

// The three ready-made packages keep half of their price, are arranged, and clients
// see those that are for them and on sale, in that order.
func TestReadyMadePackagesAreSold(t *testing.T) {
	t.Parallel()
	each(t, "Europe/Paris", "", func(t *testing.T, h *house) {
		ctx, scope := t.Context(), Scope{Agency: h.agency.ID}
		before, err := h.s.Packages(ctx, scope, h.agency.ID)
		require.NoError(t, err)
		require.Len(t, before.Ready, 3)
		made, err := h.s.CreateReadyMade(ctx, scope, h.agency.ID, "test")
		require.NoError(t, err)
		require.Equal(t, before.Ready[1].Price, made[1].Price)
		_, err = h.s.CreateReadyMade(ctx, scope, h.agency.ID, "test")
		require.True(t, problem.Is(err, "packages_exist"))
		list, err := h.s.Packages(ctx, scope, h.agency.ID)
		require.NoError(t, err)
		require.Len(t, list.Rows, 3)
		require.False(t, list.Connected)
		for i, want := range []struct {
			name    string
			credits models.Credits
			price   int64
		}{{"Starter", whole(2_000), 1_300}, {"Growth", whole(12_500), 7_700}, {"Scale", whole(35_000), 21_300}} {
			row := list.Rows[i]
			require.Equal(t, want.name, row.Name)
			require.Equal(t, want.credits, row.Credits)
			require.Equal(t, want.price, row.Price)
			require.False(t, row.OnSale)
			require.True(t, row.Short, "nothing is held to sell")
			require.GreaterOrEqual(t, row.Margin.Keep.Amount*2, row.Price-20)
		}
		acme, maple := h.client("acme", models.Prepaid, ""), h.client("maple", models.Prepaid, "")
		pooled := h.client("pool", models.Pooled, "")
		h.connect()
		require.Empty(t, h.shown(acme), "nothing is on sale")
		for i := range made {
			_, err := h.s.PutOnSale(ctx, scope, h.agency.ID, made[i].ID, "test")
			require.NoError(t, err)
		}
		require.Equal(t, []string{"Starter", "Growth", "Scale"}, h.shown(acme))
		require.Empty(t, h.shown(pooled), "it would never draw what it bought")
		require.NoError(t, h.s.MovePackage(ctx, scope, h.agency.ID, made[2].ID, true, "test"))
		require.NoError(t, h.s.MovePackage(ctx, scope, h.agency.ID, made[2].ID, true, "test"))
		require.NoError(t, h.s.MovePackage(ctx, scope, h.agency.ID, made[2].ID, true, "test"), "at the top it stays")
		require.NoError(t, h.s.MovePackage(ctx, scope, h.agency.ID, made[0].ID, false, "test"))
		require.Equal(t, []string{"Scale", "Growth", "Starter"}, h.shown(acme))
		require.Len(t, h.audits("package.move"), 3)

		// For chosen ones, dearer per credit than a smaller one they see.
		in := PackageEdit{
			Agency: h.agency.ID, ID: made[1].ID, Name: "Growth", Credits: whole(12_500), Price: 10_000, Audience: models.AudienceChosen,
			Viewers: []models.SubAccountID{acme.SubAccount.ID, acme.SubAccount.ID}, CostBasis: models.CostBest, OnSale: true, By: "test",
		}
		panel, err := h.s.PackagePanel(ctx, scope, &in)
		require.NoError(t, err)
		require.Len(t, panel.Ladder, 1)
		require.Equal(t, "Starter", panel.Ladder[0].Smaller.Name)
		h.save(in)
		require.Equal(t, []string{"Scale", "Growth", "Starter"}, h.shown(acme))
		require.Equal(t, []string{"Scale", "Starter"}, h.shown(maple))
		list, err = h.s.Packages(ctx, scope, h.agency.ID)
		require.NoError(t, err)
		require.Len(t, list.Ladder, 1)
		require.Equal(t, "Growth", list.Ladder[0].Larger.Name)
		require.Equal(t, 1, list.Rows[1].Viewers)
		_, err = h.s.PackagesFor(ctx, h.own)
		require.True(t, problem.Is(err, "not_found"))
	})
}

// A monthly limit counts in the client's own calendar month, and what was bought,
// not what was merely looked at.
func TestMonthlyLimit(t *testing.T) {
	t.Parallel()
	each(t, "America/New_York", "", func(t *testing.T, h *house) {
		h.connect()
		acme, maple := h.client("acme", models.Prepaid, "Asia/Tokyo"), h.client("maple", models.Prepaid, "")
		in := h.growth()
		in.OnSale, in.MonthlyLimit = true, 2
		p := h.save(in)
		buy := func(a *Account, ref string) (got models.Package, err error) {
			err = h.db.InTx(t.Context(), func(tx *gorm.DB) (err error) {
				got, err = packageForSale(tx, &h.agency, a.SubAccount, ref, h.s.Now())
				return err
			})
			return got, err
		}
		ref := p.ID.String()
		got, err := buy(acme, ref)
		require.NoError(t, err)
		require.Equal(t, p.Price, got.Price)
		h.sold(&p.Package, acme, models.PurchaseOpen)
		h.sold(&p.Package, acme, models.PurchaseExpired)
		h.sold(&p.Package, acme, models.PurchaseCredited)
		shelf, err := h.s.PackagesFor(t.Context(), acme)
		require.NoError(t, err)
		require.Equal(t, 1, shelf[0].Left)
		h.sold(&p.Package, acme, models.PurchaseProcessing)
		_, err = buy(acme, ref)
		require.True(t, problem.Is(err, "package_limit_reached"))
		tokyo := Zone("Asia/Tokyo")
		local := h.s.Now().In(tokyo)
		opens := models.At(time.Date(local.Year(), local.Month()+1, 1, 0, 0, 0, 0, tokyo))
		require.Contains(t, problem.Of(err).Message, "2 times a month. It opens again on "+opens.In(tokyo).Format("January 2")+".")
		shelf, err = h.s.PackagesFor(t.Context(), acme)
		require.NoError(t, err)
		require.Equal(t, opens, shelf[0].OpensAt)
		_, err = buy(maple, ref)
		require.NoError(t, err, "each has its own limit")
		h.sold(&p.Package, maple, models.PurchaseCredited)
		h.sold(&p.Package, maple, models.PurchaseOpen)
		require.NoError(t, h.db.Write.Model(&models.Purchase{}).Where("wallet_id = ? AND status = ?", maple.Wallet, models.PurchaseOpen).
			Update("origin", models.OriginAutomatic).Error)
		_, err = buy(maple, ref)
		require.True(t, problem.Is(err, "package_limit_reached"), "the card is being charged for the second: %v", err)
		h.at(opens - 1)
		_, err = buy(acme, ref)
		require.Error(t, err)
		h.at(opens)
		_, err = buy(acme, ref)
		require.NoError(t, err)

		for _, bad := range []string{"", "growth", models.NewID[models.PackageID](1).String()} {
			_, err = buy(acme, bad)
			require.True(t, problem.Is(err, "unknown_package"), bad)
		}
		_, err = h.s.TakeOffSale(t.Context(), Scope{}, h.agency.ID, p.ID, "test")
		require.NoError(t, err)
		_, err = buy(acme, ref)
		require.True(t, problem.Is(err, "package_not_on_sale"))
		_, err = buy(h.client("pool", models.Pooled, ""), ref)
		require.True(t, problem.Is(err, "package_not_on_sale"))
	})
}

// However many save and arrange at once, a key makes one package, and places stay
// an order.
func TestPackagesAtOnce(t *testing.T) {
	t.Parallel()
	each(t, "Europe/Paris", "", func(t *testing.T, h *house) {
		ctx, scope := t.Context(), Scope{Agency: h.agency.ID}
		made, err := h.s.CreateReadyMade(ctx, scope, h.agency.ID, "test")
		require.NoError(t, err)
		in := h.growth()
		in.Name, in.Key = "Once", "once"
		var all sync.WaitGroup
		failed := make([]error, 12)
		for i := range failed {
			all.Go(func() {
				_, err := h.s.SavePackage(ctx, scope, in)
				failed[i] = errors.Join(err, h.s.MovePackage(ctx, scope, h.agency.ID, made[i%3].ID, i%2 == 0, "test"))
			})
		}
		all.Wait()
		require.NoError(t, errors.Join(failed...))
		list, err := h.s.Packages(ctx, scope, h.agency.ID)
		require.NoError(t, err)
		require.Len(t, list.Rows, 4)
		seen := map[int]bool{}
		for i := range list.Rows {
			require.False(t, seen[list.Rows[i].Position])
			seen[list.Rows[i].Position] = true
		}
	})
}
