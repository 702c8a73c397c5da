package billing

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"gorm.io/gorm"

	"refill/models"
	"refill/models/modelstest"
)

func (h *house) tenant(name, zone string) models.Agency {
	h.t.Helper()
	a, err := h.s.CreateAgency(h.t.Context(), AgencyInput{ExternalID: name, Name: strings.ToUpper(name[:1]) + name[1:], TimeZone: zone, By: "test"})
	require.NoError(h.t, err)
	return a
}

// times charges a wallet ten credits so many times.
func (h *house) times(n int, w models.WalletID) {
	h.t.Helper()
	for range n {
		h.charge(w, "gpt-4-turbo", false) // 10 credits
	}
}

// drawnByAll is the ledger's own answer for all agencies.
func (h *house) drawnByAll(from, to models.Time) models.Credits {
	h.t.Helper()
	var sum int64
	require.NoError(h.t, h.db.Read.Raw(`SELECT COALESCE(SUM(CASE WHEN kind IN (2, 4, 15) THEN amount ELSE -amount END), 0)
		FROM entries WHERE kind IN (2, 4, 15, 17, 18) AND at >= ? AND at < ?`, from, to).Scan(&sum).Error)
	return models.Credits(sum)
}

func TestTheFleetsFiguresAreTheCounters(t *testing.T) {
	t.Parallel()
	each(t, "Asia/Tokyo", "", func(t *testing.T, h *house) {
		other := h.tenant("contoso", "America/Los_Angeles")
		// Five weeks, every seven hours: the newest week three times as much.
		for i := range 5 * 24 {
			n := 1
			if i >= 4*24 {
				n = 3
			}
			h.times(n, h.agency.WalletID)
			if i%2 == 0 && i < 100 { // it stops six days before the end
				h.times(1, other.WalletID)
			}
			h.wait(7 * time.Hour)
		}
		out := h.s.Fleet(t.Context())
		for _, err := range []error{out.StatesErr, out.UseErr, out.MoneyErr, out.DeskErr, out.HooksErr, out.MoversErr} {
			require.NoError(t, err)
		}
		now := h.s.Now()
		require.Equal(t, h.drawnByAll(now.Add(-24*time.Hour), now+1), out.Use.Used24h)
		require.Equal(t, 4, out.Use.Weeks)
		whole := now - intoQuarter(now)
		var usual models.Credits
		for k := range 4 {
			back := time.Duration(k+1) * week
			usual += h.drawnByAll(whole.Add(-24*time.Hour-back), whole.Add(-back))
		}
		require.Equal(t, usual/4, out.Use.Usual24h)
		require.Equal(t, h.drawnByAll(whole.Add(-24*time.Hour), whole), out.Use.Whole24h)
		require.Len(t, out.Use.Hours, 48)
		for i, hour := range out.Use.Hours {
			require.Equal(t, h.drawnByAll(hour.Start, hour.End), hour.Used, i)
			require.Equal(t, i == 47, hour.Partial)
			require.Len(t, hour.Before, 4)
			for k, before := range hour.Before {
				back := time.Duration(k+1) * week
				require.Equal(t, h.drawnByAll(hour.Start.Add(-back), hour.End.Add(-back)), before)
			}
		}
		require.Len(t, out.Movers, 2)
		require.Equal(t, h.agency.ID, out.Movers[0].ID, "the biggest change first")
		for _, m := range out.Movers {
			zone := Zone(m.TimeZone)
			y, mo, d := now.In(zone).Date()
			midnight := func(back int) models.Time { return models.At(time.Date(y, mo, d-back, 0, 0, 0, 0, zone)) }
			ledgers := func(from, to models.Time) models.Credits {
				var sum int64
				require.NoError(t, h.db.Read.Raw("SELECT COALESCE(SUM(amount), 0) FROM entries WHERE agency_id = ? AND kind IN (2, 4, 15) AND at >= ? AND at < ?", m.ID, from, to).Scan(&sum).Error)
				return models.Credits(sum)
			}
			require.Equal(t, ledgers(midnight(7), midnight(0)), m.Now, m.Name)
			require.Equal(t, ledgers(midnight(14), midnight(7)), m.Before, m.Name)
		}
		require.Positive(t, out.Movers[0].Change())
		require.Negative(t, out.Movers[1].Change())
		require.EqualValues(t, 2, out.States.Agencies)
		require.Empty(t, out.Money)
	})
}

func TestTheFleetCountsStatesAndWhatWaits(t *testing.T) {
	t.Parallel()
	each(t, "UTC", "", func(t *testing.T, h *house) {
		ctx := t.Context()
		dry, below, stopped := h.tenant("dry", ""), h.tenant("below", ""), h.tenant("stopped", "")
		empty := func(a models.Agency) {
			_, err := h.s.Adjust(ctx, AdjustInput{Agency: a.ID, Wallet: a.WalletID, Credits: -credits(100_000), Reason: "test", Key: h.key(), By: "test"})
			require.NoError(t, err)
		}
		h.charge(h.agency.WalletID, "gpt-4", false)
		empty(dry)
		empty(below)
		require.NoError(t, h.s.SetExcessLimit(ctx, below.ID, credits(500), "trusted", robin))
		h.times(3, below.WalletID)
		_, err := h.s.PauseAgency(ctx, stopped.ID, "fraud", robin)
		require.NoError(t, err)
		_, err = h.ask(60_000)
		require.NoError(t, err)
		now := h.s.Now()
		purchase := func(a models.Agency, status models.PurchaseStatus, price int64, credited models.Time) models.Purchase {
			packs, err := h.s.Packs(ctx)
			require.NoError(t, err)
			p := models.Purchase{
				AgencyID: a.ID, ID: models.NewID[models.PurchaseID](now), WalletID: a.WalletID, PackID: packs[0].ID, Title: "2,000 credits", Credits: credits(2_000),
				Price: price, Paid: price, Currency: "usd", Status: status, IdempotencyKey: h.key(), Fingerprint: []byte{1}, ExpiresAt: now, CreditedAt: credited, CreatedAt: now,
			}
			if status == models.PurchaseRefunded {
				p.Refunded, p.Revoked = p.Paid, p.Credits
			}
			require.NoError(t, h.db.Write.Create(&p).Error)
			return p
		}
		purchase(dry, models.PurchaseCredited, 1_000, now.Add(-time.Hour))
		purchase(dry, models.PurchaseCredited, 1_000, now.Add(-3*24*time.Hour))
		purchase(below, models.PurchaseCredited, 5_000, now.Add(-20*24*time.Hour))
		purchase(below, models.PurchaseCredited, 9_900, now.Add(-40*24*time.Hour))
		purchase(below, models.PurchaseRefunded, 7_700, now.Add(-time.Hour))
		review := purchase(dry, models.PurchaseReview, 1_000, 0)
		late, fresh := purchase(below, models.PurchaseOpen, 1_000, 0), purchase(below, models.PurchaseOpen, 1_000, 0)
		event := func(p models.Purchase, state models.StripeEventState, received, processed models.Time) {
			require.NoError(t, h.db.Write.Create(&models.PaymentRef{Ref: "cs_" + p.ID.String(), AgencyID: p.AgencyID, PurchaseID: p.ID}).Error)
			require.NoError(t, h.db.Write.Create(&models.StripeEvent{
				Endpoint: EndpointPlatform, EventID: "evt_" + h.key(), Type: "checkout.session.completed", ObjectID: "cs_" + p.ID.String(), Payload: []byte("{}"),
				State: state, ReceivedAt: received, ProcessedAt: processed,
			}).Error)
		}
		event(late, models.EventPending, now.Add(-10*time.Minute), 0)
		event(fresh, models.EventPending, now.Add(-time.Second), 0)
		event(review, models.EventProcessed, now.Add(-time.Hour), now.Add(-time.Hour+4*time.Second))
		event(purchase(dry, models.PurchaseFailed, 1, 0), models.EventProcessed, now.Add(-time.Hour), now.Add(-time.Hour+8*time.Second))
		event(purchase(dry, models.PurchaseFailed, 1, 0), models.EventDead, now.Add(-48*time.Hour), now)

		out := h.s.Fleet(ctx)
		require.NoError(t, out.StatesErr)
		require.Equal(t, FleetStates{Agencies: 4, Healthy: 1, Below: 1, Paused: 2, Suspended: 1}, out.States)
		require.NoError(t, out.DeskErr)
		require.Equal(t, []int64{1, 1, 1, 1}, []int64{out.Desk.Review, out.Desk.Unbooked, out.Desk.Dead, out.Desk.Waiting})
		require.Len(t, out.Desk.Purchases, 2)
		require.Equal(t, late.ID, out.Desk.Purchases[0].ID, "what was paid and not booked comes first")
		require.Equal(t, "Below", out.Desk.Purchases[0].Agency)
		require.Equal(t, review.ID, out.Desk.Purchases[1].ID)
		require.NoError(t, out.HooksErr)
		require.Equal(t, FleetHooks{Processed: 2, Mean: 6 * time.Second, Longest: 8 * time.Second, Pending: 2, OldestSince: now.Add(-10 * time.Minute)}, out.Hooks)
		require.NoError(t, out.MoneyErr)
		require.Equal(t, []FleetMoney{{
			Currency: "usd", Day: Turnover{1_000, credits(2_000)}, Week: Turnover{2_000, credits(4_000)}, Month: Turnover{7_000, credits(6_000)},
		}}, out.Money)

		list, err := h.s.AgencyList(ctx, AgencyQuery{})
		require.NoError(t, err)
		require.Equal(t, map[AgencySignal]int64{EveryAgency: 4, AgenciesPaused: 2, AgenciesBelow: 1, AgenciesNoBuying: 2, AgenciesSuspended: 1}, list.Counts)
		names := func(q AgencyQuery) string {
			list, err := h.s.AgencyList(ctx, q)
			require.NoError(t, err)
			var out []string
			for i := range list.Rows {
				out = append(out, list.Rows[i].ExternalID)
			}
			return strings.Join(out, " ")
		}
		require.Equal(t, "below dry northwind stopped", names(AgencyQuery{Sort: AgenciesByName}))
		require.Equal(t, "stopped northwind dry below", names(AgencyQuery{Sort: AgenciesByName, Turned: true}))
		require.Equal(t, "dry stopped", names(AgencyQuery{Only: AgenciesPaused}))
		require.Equal(t, "stopped", names(AgencyQuery{Only: AgenciesSuspended}))
		require.Equal(t, "northwind stopped", names(AgencyQuery{Only: AgenciesNoBuying}))
		require.Equal(t, "northwind", names(AgencyQuery{Search: " NORTH"}))
		require.Empty(t, names(AgencyQuery{Search: "nobody"}))
		require.Equal(t, "dry stopped below northwind", names(AgencyQuery{Sort: AgenciesByState}))
		require.Equal(t, "below dry northwind stopped", names(AgencyQuery{Sort: AgenciesByLeft}))
		require.Equal(t, "below northwind dry stopped", names(AgencyQuery{Sort: AgenciesByUsed}))
		require.Equal(t, "dry below northwind stopped", names(AgencyQuery{Sort: AgenciesByBought}))
		require.Equal(t, "below dry northwind stopped", names(AgencyQuery{Sort: AgenciesByExcess}))
		require.Equal(t, "below dry northwind stopped", names(AgencyQuery{Sort: AgenciesByPurchased}), "one that was refunded was a purchase")
		require.Equal(t, "below dry northwind stopped", names(AgencyQuery{Sort: AgenciesByLasts}))
		require.Equal(t, "below dry", names(AgencyQuery{Size: 2, Page: 1}))
		require.Equal(t, "northwind stopped", names(AgencyQuery{Size: 2, Page: 7}), "the last page there is")
		for i := range list.Rows {
			row := &list.Rows[i]
			require.Equal(t, row.ExternalID == "dry", row.Review, row.Name)
			require.Equal(t, row.ExternalID == "northwind", row.Asked, row.Name)
			if row.ExternalID == "below" {
				require.Equal(t, credits(30), row.Excess)
				require.Equal(t, -credits(30), row.Left)
				require.Equal(t, credits(30), row.Used)
			}
		}
	})
}

// The list and the agency's own page tell one forecast.
func TestTheListsForecastIsTheAgencys(t *testing.T) {
	t.Parallel()
	each(t, "Asia/Tokyo", "", func(t *testing.T, h *house) {
		client := h.client("acme", models.Prepaid, "")
		h.assign(client, 1_000)
		young := h.tenant("young", "America/Los_Angeles")
		check := func() {
			list, err := h.s.AgencyList(t.Context(), AgencyQuery{})
			require.NoError(t, err)
			for i := range list.Rows {
				o := h.s.Overview(t.Context(), h.account(list.Rows[i].WalletID))
				require.NoError(t, o.ForecastErr)
				require.Equal(t, o.Forecast, list.Rows[i].Lasts, list.Rows[i].Name)
				require.Equal(t, o.Balance.Balance.Left(), list.Rows[i].Left)
				require.Equal(t, o.Balance.State, list.Rows[i].State)
				require.Len(t, list.Rows[i].Daily, 30)
			}
		}
		check()
		for day := range 12 {
			for range 20 {
				h.charge(h.agency.WalletID, "gpt-4", false)
			}
			h.charge(client.Wallet, "gpt-4", false)
			if day > 9 {
				h.charge(young.WalletID, "gpt-4", false)
			}
			check()
			h.wait(23 * time.Hour)
		}
	})
}

// However many agencies there are, the pages ask the database as often.
func TestFleetPagesAskAsOftenWhateverTheAgencies(t *testing.T) {
	t.Parallel()
	modelstest.Each(t, func(t *testing.T, db *models.DB) {
		h := newHouse(t, db, "UTC", "")
		var asked int
		const name = "count statements"
		count := func(*gorm.DB) { asked++ }
		require.NoError(t, db.Read.Callback().Query().Before("gorm:query").Register(name, count))
		require.NoError(t, db.Read.Callback().Row().Before("gorm:row").Register(name, count))
		require.NoError(t, db.Read.Callback().Raw().Before("gorm:raw").Register(name, count))
		statements := func() []int {
			var out []int
			for _, read := range []func() error{
				func() error { h.s.Fleet(t.Context()); return nil },
				func() error { _, err := h.s.AgencyList(t.Context(), AgencyQuery{Size: 50}); return err },
				func() error { _, err := h.s.AgencyList(t.Context(), AgencyQuery{Sort: AgenciesByUsed}); return err },
			} {
				asked = 0
				require.NoError(t, read())
				require.Positive(t, asked)
				out = append(out, asked)
			}
			return out
		}
		one := statements()
		for _, n := range []string{"ada", "bob", "cyd", "dee", "eve", "fay"} {
			a := h.tenant(n, "")
			h.times(2, a.WalletID)
		}
		require.Equal(t, one, statements())
	})
}

func TestTheAuditLogIsReadByWhoWhatAndWhen(t *testing.T) {
	t.Parallel()
	each(t, "UTC", "", func(t *testing.T, h *house) {
		ctx := t.Context()
		other := h.tenant("contoso", "")
		from := h.s.Now().Add(time.Hour)
		h.wait(2 * time.Hour)
		for i := range 7 {
			_, err := h.ask(int64(i+1), func(in *AdjustInput) {
				if i%2 == 1 {
					in.Agency, in.Wallet, in.By = other.ID, other.WalletID, sam
				}
			})
			require.NoError(t, err)
			h.wait(time.Minute)
		}
		all := func(q AuditQuery) (details []string) {
			q.Limit = 2
			for {
				page, err := h.s.AuditLog(ctx, q)
				require.NoError(t, err)
				for i := range page.Rows {
					details = append(details, page.Rows[i].Agency+" "+page.Rows[i].Detail)
				}
				if page.Next == "" {
					return details
				}
				q.Cursor = page.Next
			}
		}
		want := []string{"Northwind 7", "Contoso 6", "Northwind 5", "Contoso 4", "Northwind 3", "Contoso 2", "Northwind 1"}
		require.Equal(t, want, all(AuditQuery{Action: "credits.adjust"}))
		require.Equal(t, want, all(AuditQuery{From: from}))
		require.Equal(t, []string{"Contoso 6", "Contoso 4", "Contoso 2"}, all(AuditQuery{Actor: string(sam)}))
		require.Equal(t, []string{"Contoso 6", "Contoso 4", "Contoso 2"}, all(AuditQuery{Agency: other.ID, From: from}))
		require.NotContains(t, all(AuditQuery{To: from}), "Northwind 1")
		actors, actions, err := h.s.AuditFacets(ctx)
		require.NoError(t, err)
		require.True(t, slices.IsSorted(actors))
		require.Contains(t, actors, string(sam))
		require.Contains(t, actions, "credits.adjust")
		_, err = h.s.AuditLog(ctx, AuditQuery{Cursor: "nonsense"})
		require.Error(t, err)
	})
}
