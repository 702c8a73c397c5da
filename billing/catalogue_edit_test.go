package billing

import (
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"refill/billing/problem"
	"refill/billing/ratecard"
	"refill/models"
)

// planInput is an edit of a plan that changes nothing yet.
func (h *house) planInput(code string) PlanInput {
	h.t.Helper()
	lines, err := h.s.PlanLines(h.t.Context())
	require.NoError(h.t, err)
	for i := range lines {
		if lines[i].Code != code {
			continue
		}
		d, err := h.s.PlanData(h.t.Context(), lines[i].ID)
		require.NoError(h.t, err)
		in := PlanInput{Base: d.ID, By: "user:ada@example.com", PlanTerms: PlanTerms{
			Name: d.Name, Price: d.Price, Allowance: d.Allowance, Every: d.Every, ExcessLimit: d.ExcessLimit, SubAccountLimit: d.SubAccountLimit,
			TrialDays: d.TrialDays, RateCard: d.RateCardID, Position: d.Position,
		}}
		for _, p := range d.Packs {
			in.Packs = append(in.Packs, p.Code)
		}
		return in
	}
	require.Fail(h.t, "no plan "+code)
	return PlanInput{}
}

func (h *house) packInput(code string) PackInput {
	h.t.Helper()
	lines, err := h.s.PackLines(h.t.Context())
	require.NoError(h.t, err)
	for i := range lines {
		p := &lines[i]
		if p.Code != code {
			continue
		}
		in := PackInput{Base: p.ID, By: "user:ada@example.com", PackTerms: PackTerms{
			Name: p.Name, Kind: p.Kind, Credits: p.Credits, Price: p.Price, Minimum: p.Minimum, Step: p.Step, UnitPrice: p.UnitPrice, Position: p.Position,
		}}
		for _, plan := range p.Plans {
			in.Plans = append(in.Plans, plan.Code)
		}
		return in
	}
	require.Fail(h.t, "no pack "+code)
	return PackInput{}
}

// lastAudit is the newest entry of an action; those of one instant have no order.
func (h *house) lastAudit(action string) models.AuditEntry {
	h.t.Helper()
	var out models.AuditEntry
	require.NoError(h.t, h.db.Read.Where("action = ?", action).Order("id DESC").Take(&out).Error)
	return out
}

// starter is the plan that the house's agency is on.
func (h *house) starter() (models.Plan, models.Subscription) {
	h.t.Helper()
	plan, sub, err := h.s.PlanOf(h.t.Context(), h.agency.ID)
	require.NoError(h.t, err)
	return plan, sub
}

func TestAPublishedPlanLeavesSubscribersOnTheirTerms(t *testing.T) {
	t.Parallel()
	each(t, "UTC", "", func(t *testing.T, h *house) {
		ctx := t.Context()
		old, sub := h.starter()
		in := h.planInput(old.Code)
		in.Name, in.Price, in.Allowance, in.Note = "Renamed", old.Price+100, old.Allowance+credits(1), "prices rise"
		before, err := h.s.Plans(ctx)
		require.NoError(t, err)
		look, err := h.s.PreviewPlan(ctx, in)
		require.NoError(t, err)
		require.EqualValues(t, 1, look.Staying)
		require.Equal(t, old.Version+1, look.New.Version)
		after, err := h.s.Plans(ctx)
		require.NoError(t, err)
		require.Equal(t, before, after, "looking publishes nothing")

		made, err := h.s.PublishPlan(ctx, in)
		require.NoError(t, err)
		require.Equal(t, old.Code, made.New.Code)
		require.Equal(t, old.Version+1, made.New.Version)
		require.EqualValues(t, 1, made.Staying)
		entry := h.lastAudit("plan.publish")
		require.Equal(t, "prices rise", entry.Reason)
		require.Equal(t, "user:ada@example.com", entry.Actor)
		require.Contains(t, entry.Detail, "name "+old.Name+" → Renamed; price "+models.Money{Amount: old.Price, Currency: "usd"}.Decimal()+" → ")

		now, still := h.starter()
		require.Equal(t, old.ID, now.ID)
		require.Equal(t, old.Name, now.Name, "a version never changes")
		require.Equal(t, sub.Allowance, still.Allowance)
		require.NotZero(t, now.ArchivedAt)
		h.at(sub.PeriodEnd)
		_, still = h.starter()
		require.Equal(t, sub.Allowance, still.Allowance, "nor after a reset")

		fresh, err := h.s.CreateAgency(ctx, AgencyInput{ExternalID: "fresh", Name: "Fresh", Plan: old.Code, By: "test"})
		require.NoError(t, err)
		plan, _, err := h.s.PlanOf(ctx, fresh.ID)
		require.NoError(t, err)
		require.Equal(t, made.New.ID, plan.ID, "who comes now gets the new one")

		_, err = h.s.PublishPlan(ctx, in)
		require.True(t, problem.Is(err, "published_meanwhile"), "an edit of what is not the newest: %v", err)
		in.Base = made.New.ID
		_, err = h.s.PublishPlan(ctx, in)
		require.True(t, problem.Is(err, "nothing_changed"), "%v", err)

		lines, err := h.s.PlanLines(ctx)
		require.NoError(t, err)
		for i := range lines {
			if lines[i].Code == old.Code {
				require.EqualValues(t, 1, lines[i].On)
				require.EqualValues(t, 1, lines[i].Older)
			}
		}
	})
}

func TestWrongPlansNameTheirFields(t *testing.T) {
	t.Parallel()
	each(t, "UTC", "", func(t *testing.T, h *house) {
		_, err := h.s.PublishPlan(t.Context(), PlanInput{Code: "No spaces", PlanTerms: PlanTerms{
			Price: -1, Allowance: -1, Every: "week", ExcessLimit: -1, SubAccountLimit: -1, TrialDays: 9999, Packs: []string{"nothing"}, Position: -1,
		}, Note: strings.Repeat("x", 501)})
		var fields []string
		for _, one := range flat(err) {
			fields = append(fields, problem.Of(one).Field)
		}
		require.ElementsMatch(t, []string{
			"code", "name", "price", "allowance", "every", "excess_limit", "sub_account_limit", "trial_days", "rate_card", "packs", "position", "note",
		}, fields)
		old, _ := h.starter()
		in := h.planInput(old.Code)
		in.Base, in.Code = models.PlanID{}, old.Code
		_, err = h.s.PublishPlan(t.Context(), in)
		require.True(t, problem.Is(err, "code_taken"), "%v", err)
		_, err = h.s.PublishPlan(t.Context(), PlanInput{Base: models.NewID[models.PlanID](1)})
		require.True(t, problem.Is(err, "not_found"), "%v", err)
	})
}

// flat takes joined errors apart.
func flat(err error) []error {
	many, joined := err.(interface{ Unwrap() []error })
	if !joined {
		return []error{err}
	}
	var out []error
	for _, one := range many.Unwrap() {
		out = append(out, flat(one)...)
	}
	return out
}

func TestOneOfTwoPublishersWins(t *testing.T) {
	t.Parallel()
	each(t, "UTC", "", func(t *testing.T, h *house) {
		old, _ := h.starter()
		plan, pack := h.planInput(old.Code), h.packInput("credits-2000")
		plan.Price++
		pack.Price++
		cards, err := h.s.RateCards(t.Context())
		require.NoError(t, err)
		card, err := h.s.CardData(t.Context(), cards[0].ID)
		require.NoError(t, err)
		var mu sync.Mutex
		won := map[string]int{}
		var wg sync.WaitGroup
		try := func(what string, publish func() error) {
			for range 8 {
				wg.Go(func() {
					err := publish()
					mu.Lock()
					defer mu.Unlock()
					if err == nil {
						won[what]++
					} else if !problem.Is(err, "published_meanwhile") {
						t.Errorf("%s: %v", what, err)
					}
				})
			}
		}
		try("plan", func() error { _, err := h.s.PublishPlan(t.Context(), plan); return err })
		try("pack", func() error { _, err := h.s.PublishPack(t.Context(), pack); return err })
		try("rates", func() error {
			_, _, err := h.s.PublishRatesOnce(t.Context(), PublishInput{Card: card.ID, Rates: card.Last().Rates, After: card.Newest, Key: NewSecret(), By: "test"})
			return err
		})
		wg.Wait()
		require.Equal(t, map[string]int{"plan": 1, "pack": 1, "rates": 1}, won)
		var sold int64
		require.NoError(t, h.db.Read.Raw(`SELECT COUNT(*) FROM plan_packs pp JOIN plans p ON p.id = pp.plan_id AND p.archived_at = 0
			JOIN packs k ON k.id = pp.pack_id AND k.archived_at = 0 WHERE p.code = ? AND k.code = 'credits-2000'`, old.Code).Scan(&sold).Error)
		require.EqualValues(t, 1, sold, "the new plan sells the new pack, whichever came first")
	})
}

func TestAPublishedPackIsSoldEverywhereItWas(t *testing.T) {
	t.Parallel()
	each(t, "UTC", "", func(t *testing.T, h *house) {
		ctx := t.Context()
		old, _ := h.starter()
		plan := h.planInput(old.Code)
		plan.Price++
		_, err := h.s.PublishPlan(ctx, plan)
		require.NoError(t, err)

		// The agency is on a plan version that is off offer.
		in := h.packInput("credits-2000")
		in.Price = 1200
		made, err := h.s.PublishPack(ctx, in)
		require.NoError(t, err)
		require.Equal(t, 2, made.New.Version)
		require.Contains(t, h.lastAudit("pack.publish").Detail, "credits-2000 version 2: price 10.00 → 12.00")
		packs, err := h.s.PacksFor(ctx, h.agency.ID)
		require.NoError(t, err)
		require.Len(t, packs, 3)
		require.Equal(t, made.New.ID, packs[0].ID)
		require.EqualValues(t, 1200, packs[0].Price)

		// Dearer per credit than the smaller one: a warning, no error.
		require.Empty(t, made.Ladder)
		in = h.packInput("credits-12500")
		in.Price = 12_500
		made, err = h.s.PublishPack(ctx, in)
		require.NoError(t, err)
		require.Len(t, made.Ladder, 1)
		require.Equal(t, "credits-2000", made.Ladder[0].Smaller.Code)
		require.Equal(t, "credits-12500", made.Ladder[0].Larger.Code)

		// Off one plan, in all its versions.
		in = h.packInput("credits-12500")
		in.Plans = nil
		_, err = h.s.PublishPack(ctx, in)
		require.NoError(t, err)
		packs, err = h.s.PacksFor(ctx, h.agency.ID)
		require.NoError(t, err)
		require.Len(t, packs, 2)

		// A new one, by quantity.
		_, err = h.s.PublishPack(ctx, PackInput{Code: "any", PackTerms: PackTerms{
			Name: "Any", Kind: models.PackQuantity, Minimum: credits(1000), Step: credits(300), UnitPrice: 0, Plans: []string{"nothing"},
		}})
		var fields []string
		for _, one := range flat(err) {
			fields = append(fields, problem.Of(one).Field)
		}
		require.ElementsMatch(t, []string{"minimum", "unit_price", "plans"}, fields)
		loose, err := h.s.PublishPack(ctx, PackInput{Code: "any", PackTerms: PackTerms{
			Name: "Any", Kind: models.PackQuantity, Credits: credits(7), Minimum: credits(1000), Step: credits(500), UnitPrice: 3_000_000, Plans: []string{old.Code},
		}})
		require.NoError(t, err)
		require.Zero(t, loose.New.Credits, "what is not of its kind is left out")
		packs, err = h.s.PacksFor(ctx, h.agency.ID)
		require.NoError(t, err)
		require.Len(t, packs, 3, "sold to who is on an older version of the plan too")

		require.True(t, problem.Is(h.s.ArchivePack(ctx, loose.New.ID, " ", "test"), "note_missing"))
		require.NoError(t, h.s.ArchivePack(ctx, loose.New.ID, "nobody bought it", "test"))
		require.True(t, problem.Is(h.s.ArchivePack(ctx, loose.New.ID, "again", "test"), "published_meanwhile"))
		require.Equal(t, "nobody bought it", h.lastAudit("pack.archive").Reason)
		packs, err = h.s.PacksFor(ctx, h.agency.ID)
		require.NoError(t, err)
		require.Len(t, packs, 2)
		again := h.packInput("any")
		back, err := h.s.PublishPack(ctx, again)
		require.NoError(t, err, "published again as it was")
		require.Equal(t, 2, back.New.Version)
	})
}

func TestAPlanOffOfferKeepsWhoIsOnIt(t *testing.T) {
	t.Parallel()
	each(t, "UTC", "", func(t *testing.T, h *house) {
		ctx := t.Context()
		old, sub := h.starter()
		_, err := h.s.ArchivePlan(ctx, old.ID, "too cheap", "test")
		require.True(t, problem.Is(err, "default_plan"), "%v", err)
		var other models.Plan
		plans, err := h.s.Plans(ctx)
		require.NoError(t, err)
		for i := range plans {
			if plans[i].ID != old.ID {
				other = plans[i]
			}
		}
		require.NoError(t, h.s.SetDefaultPlan(ctx, other.ID, "test"))
		require.Equal(t, old.Code+" → "+other.Code, h.lastAudit("plan.default").Detail)
		_, err = h.s.ArchivePlan(ctx, old.ID, "", "test")
		require.True(t, problem.Is(err, "note_missing"), "%v", err)
		staying, err := h.s.ArchivePlan(ctx, old.ID, "too cheap", "test")
		require.NoError(t, err)
		require.EqualValues(t, 1, staying)
		require.Contains(t, h.lastAudit("plan.archive").Detail, "1 agencies stay on it")
		_, err = h.s.ArchivePlan(ctx, old.ID, "again", "test")
		require.True(t, problem.Is(err, "published_meanwhile"), "%v", err)
		require.True(t, problem.Is(h.s.SetDefaultPlan(ctx, old.ID, "test"), "published_meanwhile"))
		_, err = h.s.CreateAgency(ctx, AgencyInput{ExternalID: "late", Name: "Late", Plan: old.Code, By: "test"})
		require.True(t, problem.Is(err, "unknown_plan"), "%v", err)
		h.at(sub.PeriodEnd)
		_, still := h.starter()
		require.Equal(t, sub.ID, still.ID)
		in := h.planInput(old.Code)
		back, err := h.s.PublishPlan(ctx, in)
		require.NoError(t, err, "offered again as it was")
		require.Equal(t, old.Version+1, back.New.Version)
	})
}

func TestAgenciesMoveNowOrAtTheirReset(t *testing.T) {
	t.Parallel()
	each(t, "Europe/Paris", "", func(t *testing.T, h *house) {
		ctx := t.Context()
		old, sub := h.starter()
		other, err := h.s.CreateAgency(ctx, AgencyInput{ExternalID: "other", Name: "Other", By: "test"})
		require.NoError(t, err)
		in := h.planInput(old.Code)
		in.Allowance, in.ExcessLimit = credits(77_000), credits(50)
		made, err := h.s.PublishPlan(ctx, in)
		require.NoError(t, err)
		move := MoveInput{From: old.ID, To: made.New.ID, When: MoveAtReset, Agencies: []models.AgencyID{h.agency.ID}, Note: "as agreed", By: "test"}
		for _, wrong := range []struct {
			code   string
			change func(*MoveInput)
		}{
			{"invalid_when", func(m *MoveInput) { m.When = "soon" }},
			{"note_missing", func(m *MoveInput) { m.Note = "" }},
			{"unknown_plan", func(m *MoveInput) { m.To = old.ID }},
			{"unknown_plan", func(m *MoveInput) { m.To = models.PlanID{} }},
			{"not_found", func(m *MoveInput) { m.From = models.NewID[models.PlanID](1) }},
		} {
			m := move
			wrong.change(&m)
			_, err := h.s.MoveAgencies(ctx, m)
			require.True(t, problem.Is(err, wrong.code), "%s: %v", wrong.code, err)
		}

		moved, err := h.s.MoveAgencies(ctx, move)
		require.NoError(t, err)
		require.Equal(t, Moved{Done: 1}, moved)
		_, err = h.s.MoveAgencies(ctx, move) // again changes nothing
		require.NoError(t, err)
		var entries int64
		require.NoError(t, h.db.Read.Model(&models.AuditEntry{}).Where("action = 'plan.schedule'").Count(&entries).Error)
		require.EqualValues(t, 1, entries)
		d, err := h.s.PlanData(ctx, old.ID)
		require.NoError(t, err)
		require.EqualValues(t, 2, d.On)
		require.EqualValues(t, 1, d.Editions[0].Coming)
		h.charge(h.agency.WalletID, "gpt-4", false)
		left := h.wallet(h.own).Balance.Plan
		require.Equal(t, old.Allowance-credits(25), left)

		h.at(sub.PeriodEnd)
		plan, now := h.starter()
		require.Equal(t, made.New.ID, plan.ID)
		require.NotEqual(t, sub.ID, now.ID)
		require.Equal(t, sub.PeriodEnd, now.PeriodStart)
		require.Equal(t, sub.AnchorAt, now.AnchorAt, "the day of the month stays")
		require.Equal(t, credits(77_000), h.wallet(h.own).Balance.Plan)
		require.Equal(t, credits(50), h.wallet(h.own).Wallet.ExcessLimit)
		var before models.Subscription
		require.NoError(t, h.db.Read.Where("agency_id = ? AND id = ?", h.agency.ID, sub.ID).Take(&before).Error)
		require.Equal(t, sub.PeriodEnd, before.EndedAt)
		require.Equal(t, sub.PeriodStart, before.PeriodStart)
		require.Zero(t, before.NextPlanID)
		require.Equal(t, string(ActorClock), h.lastAudit("plan.change").Actor)
		h.at(now.PeriodEnd)
		require.Equal(t, credits(77_000), h.wallet(h.own).Balance.Plan, "and so on")
		_, again := h.starter()
		require.Equal(t, now.ID, again.ID)

		// The other stays, is noted, is taken back, and goes at once.
		on := func() models.PlanID {
			plan, _, err := h.s.PlanOf(ctx, other.ID)
			require.NoError(t, err)
			return plan.ID
		}
		require.Equal(t, old.ID, on())
		move.Agencies = nil
		for _, when := range []MoveWhen{MoveAtReset, MoveNever} {
			move.When = when
			moved, err = h.s.MoveAgencies(ctx, move)
			require.NoError(t, err)
			require.Equal(t, Moved{Done: 1}, moved)
		}
		h.wait(62 * 24 * time.Hour)
		require.Equal(t, old.ID, on())
		move.When = MoveNow
		moved, err = h.s.MoveAgencies(ctx, move)
		require.NoError(t, err)
		require.Equal(t, Moved{Done: 1}, moved)
		require.Equal(t, made.New.ID, on())
		require.Equal(t, "as agreed", h.lastAudit("plan.change").Reason)
		w, err := h.s.Wallet(ctx, h.account(other.WalletID))
		require.NoError(t, err)
		require.Equal(t, credits(77_000), w.Balance.Plan)
	})
}

// wallet reads a balance.
func (h *house) wallet(a *Account) WalletView {
	h.t.Helper()
	w, err := h.s.Wallet(h.t.Context(), a)
	require.NoError(h.t, err)
	return w
}

func TestCreditsGrantedOnceMoveOnlyNow(t *testing.T) {
	t.Parallel()
	each(t, "UTC", "", func(t *testing.T, h *house) {
		ctx := t.Context()
		old, _ := h.starter()
		in := h.planInput(old.Code)
		in.Base, in.Code, in.Every, in.Name = models.PlanID{}, "forever", models.Once, "Forever"
		once, err := h.s.PublishPlan(ctx, in)
		require.NoError(t, err)
		require.Equal(t, 1, once.New.Version)
		moved, err := h.s.MoveAgencies(ctx, MoveInput{From: old.ID, To: once.New.ID, When: MoveAtReset, Note: "x", By: "test"})
		require.NoError(t, err)
		require.Equal(t, Moved{Done: 1}, moved)
		_, sub := h.starter()
		h.at(sub.PeriodEnd)
		_, now := h.starter()
		require.Equal(t, models.Never, now.PeriodEnd)
		require.Equal(t, sub.PeriodEnd, now.AnchorAt)
		moved, err = h.s.MoveAgencies(ctx, MoveInput{From: once.New.ID, To: old.ID, When: MoveAtReset, Note: "x", By: "test"})
		require.NoError(t, err)
		require.Equal(t, Moved{NoReset: 1}, moved)
	})
}

func TestRatesRuleFromTheirTimeOn(t *testing.T) {
	t.Parallel()
	each(t, "UTC", "", func(t *testing.T, h *house) {
		ctx := t.Context()
		cards, err := h.s.RateCards(ctx)
		require.NoError(t, err)
		d, err := h.s.CardData(ctx, cards[0].ID)
		require.NoError(t, err)
		require.Equal(t, 1, d.InForce)
		require.EqualValues(t, 1, d.Agencies)
		h.charge(h.agency.WalletID, "gpt-4", false)
		h.wait(time.Hour)

		later := h.s.Now().Add(10 * 24 * time.Hour)
		var rates []ratecard.Rate
		for _, r := range d.Last().Rates {
			if r.Model == "gpt-4" {
				r.Base = credits(30)
			}
			if r.Model == "gpt-4-turbo" {
				continue // gone
			}
			rates = append(rates, r)
		}
		in := PublishInput{Card: d.ID, Rates: rates, EffectiveAt: later, After: 1, Note: "dearer", Key: "one", By: "user:ada@example.com"}
		v, _, err := h.s.PublishRatesOnce(ctx, in)
		require.NoError(t, err)
		require.Equal(t, 2, v.Number)
		require.Contains(t, h.lastAudit("rates.publish").Detail, "ai.reply gpt-4: 25 → 30; ai.reply gpt-4-turbo removed: it was 10")
		require.Equal(t, "dearer", h.lastAudit("rates.publish").Reason)
		in.Key = "two"
		_, _, err = h.s.PublishRatesOnce(ctx, in)
		require.True(t, problem.Is(err, "published_meanwhile"), "an edit that began at version 1: %v", err)

		require.Equal(t, credits(25), h.charge(h.agency.WalletID, "gpt-4", false).Charge.Credits)
		require.Equal(t, 1, h.charge(h.agency.WalletID, "gpt-4-turbo", false).Charge.CardVersion)
		d, err = h.s.CardData(ctx, d.ID)
		require.NoError(t, err)
		require.Equal(t, 1, d.InForce)
		require.Equal(t, 2, d.Last().Number)
		require.Equal(t, []RateUse{
			{Action: "ai.reply", Model: "gpt-4", Charges: 2, Credits: credits(50)}, {Action: "ai.reply", Model: "gpt-4-turbo", Charges: 1, Credits: credits(10)},
		}, d.Used)
		require.Empty(t, d.Unpriced(d.Editions[1].Rates))
		require.Equal(t, "gpt-4-turbo", d.Unpriced(rates)[0].Model)

		h.at(later - 1)
		require.Equal(t, 1, h.charge(h.agency.WalletID, "gpt-4", false).Charge.CardVersion)
		h.at(later)
		receipt := h.charge(h.agency.WalletID, "gpt-4", false)
		require.Equal(t, 2, receipt.Charge.CardVersion)
		require.Equal(t, credits(30), receipt.Charge.Credits)
		d, err = h.s.CardData(ctx, d.ID)
		require.NoError(t, err)
		require.Equal(t, 2, d.InForce)
		newest := d.Last()
		for _, r := range newest.Rates {
			want := 1
			if r.Model == "gpt-4" {
				want = 2
			}
			require.Equal(t, want, d.Since(&newest, &r).Number, r.Model)
		}

		// Undone: the version before, published again.
		first, ok := d.Edition(1)
		require.True(t, ok)
		v, _, err = h.s.PublishRatesOnce(ctx, PublishInput{Card: d.ID, Rates: first.Rates, After: 2, Note: "back to version 1", Key: "undo", By: "test"})
		require.NoError(t, err)
		require.Equal(t, 3, v.Number)
		require.Equal(t, credits(25), h.charge(h.agency.WalletID, "gpt-4", false).Charge.Credits)
	})
}

func TestARateCardIsMadeWithItsFirstVersion(t *testing.T) {
	t.Parallel()
	each(t, "UTC", "", func(t *testing.T, h *house) {
		ctx := t.Context()
		rates := []ratecard.Rate{{Action: "ai.reply", Base: credits(2)}}
		card, err := h.s.CreateRateCard(ctx, CardInput{Code: "cheap", Name: "Cheap", Rates: rates, By: "test"})
		require.NoError(t, err)
		_, err = h.s.CreateRateCard(ctx, CardInput{Code: "cheap", Name: "Cheap", Rates: rates, By: "test"})
		require.True(t, problem.Is(err, "code_taken"), "%v", err)
		_, err = h.s.CreateRateCard(ctx, CardInput{Code: "empty", Name: "Empty", By: "test"})
		require.True(t, problem.Is(err, "invalid_rates"), "%v", err)
		_, err = h.s.CreateRateCard(ctx, CardInput{Code: "Not a code", Rates: rates})
		require.Len(t, flat(err), 2)
		lines, err := h.s.CardLines(ctx)
		require.NoError(t, err)
		require.Len(t, lines, 2, "one that failed left nothing")
		require.Equal(t, "cheap", lines[0].Code)
		require.Equal(t, 1, lines[0].Rates)
		require.Zero(t, lines[0].Agencies)

		old, _ := h.starter()
		in := h.planInput(old.Code)
		in.RateCard = card.ID
		made, err := h.s.PublishPlan(ctx, in)
		require.NoError(t, err)
		require.Equal(t, credits(25), h.charge(h.agency.WalletID, "gpt-4", false).Charge.Credits, "the agency stays on its card")
		_, err = h.s.MoveAgencies(ctx, MoveInput{From: old.ID, To: made.New.ID, When: MoveNow, Note: "x", By: "test"})
		require.NoError(t, err)
		require.Equal(t, credits(2), h.charge(h.agency.WalletID, "gpt-4", false).Charge.Credits)
		lines, err = h.s.CardLines(ctx)
		require.NoError(t, err)
		require.EqualValues(t, 1, lines[0].Agencies)
		require.Equal(t, []string{old.Name}, lines[0].Plans)
	})
}
