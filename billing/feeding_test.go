package billing

import (
	"cmp"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"gorm.io/gorm"
	"pgregory.net/rapid"

	"refill/billing/ledger"
	"refill/billing/problem"
	"refill/models"
)

func (h *house) leftOf(a *Account) models.Credits {
	h.t.Helper()
	w, err := h.s.Wallet(h.t.Context(), a)
	require.NoError(h.t, err)
	return w.Balance.Left()
}

func (h *house) clean() {
	h.t.Helper()
	r, err := ledger.Audit(h.t.Context(), h.db, h.s.Now())
	require.NoError(h.t, err)
	require.True(h.t, r.Clean(), "%s", r)
}

// What a bulk assignment was planned to do it does, once, for all or for none; its
// undoing leaves what was used.
func TestAPlannedBulkIsTheBulk(t *testing.T) {
	t.Parallel()
	each(t, "Europe/Paris", "", func(t *testing.T, h *house) {
		ctx, scope := t.Context(), Scope{Agency: h.agency.ID}
		a, b, c := h.client("a", models.Prepaid, ""), h.client("b", models.Prepaid, ""), h.client("c", models.Pooled, "")
		clients := []*Account{a, b}
		h.assign(a, 30)
		book := func(p *BulkPlan, way models.BulkWay, key string) (models.BulkAssignment, bool, error) {
			in := BulkInput{Agency: h.agency.ID, Way: way, Note: "For all", Key: key, By: "user:ana@example.test"}
			for _, r := range p.Rows {
				if r.Credits > 0 {
					in.Shares = append(in.Shares, BulkShare{SubAccount: r.ID, Credits: r.Credits})
				}
			}
			return h.s.AssignMany(ctx, scope, in)
		}
		for _, ask := range []BulkAsk{{Way: models.BulkSame, Credits: credits(50)}, {Way: models.BulkTarget, Credits: credits(100)}} {
			p, err := h.s.PlanBulk(ctx, scope, h.agency.ID, ask)
			require.NoError(t, err)
			require.Equal(t, 1, p.Pooled)
			require.Equal(t, h.leftOf(h.own), p.Now)
			var before models.Credits
			for _, r := range p.Rows {
				require.Equal(t, h.leftOf(h.account(r.WalletID)), r.Now)
				before += r.Credits
			}
			require.Equal(t, p.Total, before)
			key := h.key()
			for i := range 2 {
				_, replayed, err := book(&p, ask.Way, key)
				require.NoError(t, err)
				require.Equal(t, i == 1, replayed)
			}
			require.Equal(t, p.After, h.leftOf(h.own))
			for _, r := range p.Rows {
				require.Equal(t, r.After, h.leftOf(h.account(r.WalletID)))
			}
		}
		require.Equal(t, credits(100), h.leftOf(a))
		require.Equal(t, credits(100), h.leftOf(b))

		// By use: a used twice what b used, in the month before this one.
		_, err := h.s.PlanBulk(ctx, scope, h.agency.ID, BulkAsk{Way: models.BulkShare, Credits: credits(10)})
		require.True(t, problem.Is(err, "no_usage"), "%v", err)
		h.charge(a.Wallet, "gpt-4", false)
		h.charge(a.Wallet, "gpt-4", false)
		h.charge(b.Wallet, "gpt-4", false)
		h.charge(c.Wallet, "gpt-4", false)
		h.at(models.At(time.Date(2026, 4, 2, 9, 0, 0, 0, time.UTC)))
		p, err := h.s.PlanBulk(ctx, scope, h.agency.ID, BulkAsk{Way: models.BulkShare, Credits: credits(100)})
		require.NoError(t, err)
		require.Equal(t, []models.Credits{credits(66), credits(34)}, []models.Credits{p.Rows[0].Credits, p.Rows[1].Credits})
		had := []models.Credits{h.leftOf(a), h.leftOf(b), h.leftOf(h.own)}
		done, _, err := book(&p, models.BulkShare, h.key())
		require.NoError(t, err)

		// All or nothing.
		p.Rows[1].Credits = h.leftOf(h.own)
		was := h.leftOf(h.own)
		_, _, err = book(&p, models.BulkShare, h.key())
		require.True(t, problem.Is(err, "insufficient_credits"), "%v", err)
		require.Equal(t, was, h.leftOf(h.own))
		_, _, err = h.s.AssignMany(ctx, scope, BulkInput{Agency: h.agency.ID, Way: models.BulkSame, Key: h.key(), By: "test", Shares: []BulkShare{
			{a.SubAccount.ID, credits(1)}, {c.SubAccount.ID, credits(1)},
		}})
		require.True(t, problem.Is(err, "pooled_account"), "%v", err)
		require.Equal(t, was, h.leftOf(h.own))

		r, err := h.s.Bulk(ctx, scope, h.agency.ID, done.ID)
		require.NoError(t, err)
		require.Equal(t, credits(100), r.Unspent)
		for i, want := range []models.Credits{credits(100), 0} {
			back, err := h.s.UndoBulk(ctx, scope, h.agency.ID, done.ID, "user:ana@example.test")
			require.NoError(t, err)
			require.Equal(t, want, back, "time %d", i)
		}
		require.Equal(t, []models.Credits{h.leftOf(a), h.leftOf(b), h.leftOf(h.own)}, had)
		r, err = h.s.Bulk(ctx, scope, h.agency.ID, done.ID)
		require.NoError(t, err)
		require.Zero(t, r.Unspent)
		require.Equal(t, credits(66), r.Parts[0].Returned)
		_, err = h.s.Bulk(ctx, Scope{Agency: models.NewID[models.AgencyID](1)}, h.agency.ID, done.ID)
		require.True(t, problem.Is(err, "not_found"))
		require.Len(t, clients, 2)
		h.clean()
	})
}

// What is unspent of a bulk assignment takes no more statements the more clients it
// is for.
func TestABulkIsReadAtOnce(t *testing.T) {
	t.Parallel()
	each(t, "UTC", "", func(t *testing.T, h *house) {
		ctx, scope := t.Context(), Scope{Agency: h.agency.ID}
		h.give(h.agency.WalletID, 1000)
		var n atomic.Int64
		const name = "count statements of a bulk"
		require.NoError(t, h.db.Read.Callback().Query().Before("gorm:query").Register(name, func(*gorm.DB) { n.Add(1) }))
		t.Cleanup(func() { _ = h.db.Read.Callback().Query().Remove(name) })
		read := func(clients int) int64 {
			in := BulkInput{Agency: h.agency.ID, Way: models.BulkSame, Key: h.key(), By: "test"}
			var first *Account
			for i := range clients {
				a := h.client(fmt.Sprint("of-", clients, "-", i), models.Prepaid, "")
				first = cmp.Or(first, a)
				in.Shares = append(in.Shares, BulkShare{a.SubAccount.ID, credits(30)})
			}
			done, _, err := h.s.AssignMany(ctx, scope, in)
			require.NoError(t, err)
			h.charge(first.Wallet, "gpt-4", false)
			before := n.Load()
			r, err := h.s.Bulk(ctx, scope, h.agency.ID, done.ID)
			statements := n.Load() - before
			require.NoError(t, err)
			require.Len(t, r.Parts, clients)
			require.Equal(t, r.Credits-(credits(30)-h.leftOf(first)), r.Unspent)
			back, err := h.s.UndoBulk(ctx, scope, h.agency.ID, done.ID, "test")
			require.NoError(t, err)
			require.Equal(t, r.Unspent, back)
			return statements
		}
		require.Equal(t, read(2), read(9))
		h.clean()
	})
}

// Whatever shares are asked for, either all are booked or none, and undoing gives
// back what is unspent.
func TestBulkIsAllOrNothing(t *testing.T) {
	t.Parallel()
	each(t, "UTC", "", func(t *testing.T, h *house) {
		scope := Scope{Agency: h.agency.ID}
		clients := []*Account{h.client("a", models.Prepaid, ""), h.client("b", models.Prepaid, ""), h.client("c", models.Prepaid, "")}
		h.give(h.agency.WalletID, 300)
		most := h.leftOf(h.own)
		rapid.Check(t, func(r *rapid.T) {
			if h.keys > 300 {
				return // enough
			}
			in := BulkInput{Agency: h.agency.ID, Way: models.BulkList, Key: h.key(), By: "test"}
			var total models.Credits
			for _, c := range clients {
				n := models.Credits(rapid.Int64Range(0, int64(most)).Draw(r, "share")) / models.Credits(rapid.SampledFrom([]int64{1, 3, 1000}).Draw(r, "scale"))
				if n > 0 {
					in.Shares = append(in.Shares, BulkShare{c.SubAccount.ID, n})
					total += n
				}
			}
			if len(in.Shares) == 0 {
				return
			}
			before := h.leftOf(h.own)
			done, _, err := h.s.AssignMany(r.Context(), scope, in)
			if total > before {
				require.True(r, problem.Is(err, "insufficient_credits"), "%v", err)
				require.Equal(r, before, h.leftOf(h.own))
				return
			}
			require.NoError(r, err)
			require.Equal(r, before-total, h.leftOf(h.own))
			if rapid.Bool().Draw(r, "undo") {
				_, err = h.s.UndoBulk(r.Context(), scope, h.agency.ID, done.ID, "test")
				require.NoError(r, err)
				require.Equal(r, before, h.leftOf(h.own))
			}
		})
		h.clean()
	})
}

func TestBulkListsAreReadWholeOrNotAtAll(t *testing.T) {
	t.Parallel()
	each(t, "UTC", "", func(t *testing.T, h *house) {
		a, b := h.client("a", models.Prepaid, ""), h.client("b-2", models.Prepaid, "")
		read := func(text string) (map[models.SubAccountID]models.Credits, error) {
			return h.s.ReadBulkList(t.Context(), h.agency.ID, strings.NewReader(text), models.ParseCredits)
		}
		for _, text := range []string{"client,credits\na,5\nb-2,7.5\n", "\ufeffa;5\r\nb-2;7.5", "a\t5\nb-2\t7.5\n", a.SubAccount.ID.String() + ",5\nb-2,7.5"} {
			got, err := read(text)
			require.NoError(t, err, text)
			require.Equal(t, map[models.SubAccountID]models.Credits{a.SubAccount.ID: credits(5), b.SubAccount.ID: 7_500_000}, got)
		}
		for text, want := range map[string]string{
			"a,5\nz,1\nb-2,lots\na,2": `line 2: there is no client "z"; line 3: "lots" is not a number of credits; line 4: Client a is listed twice`,
			"":                        "empty", "a": "no amount", "a,-5": "not a number", "a,\"5": "can't be read",
		} {
			_, err := read(text)
			require.True(t, problem.Is(err, "invalid_list"), text)
			require.ErrorContains(t, err, want)
		}
	})
}

// Credits move between clients with their expiry and cost; the agency's own stay
// as they are.
func TestCreditsPassBetweenClients(t *testing.T) {
	t.Parallel()
	each(t, "UTC", "", func(t *testing.T, h *house) {
		ctx, scope := t.Context(), Scope{Agency: h.agency.ID}
		a, b, c := h.client("a", models.Prepaid, ""), h.client("b", models.Prepaid, ""), h.client("c", models.Pooled, "")
		h.assign(a, 100)
		h.charge(a.Wallet, "gpt-4", false)
		had := h.leftOf(h.own)
		in := PassInput{Agency: h.agency.ID, From: a.SubAccount.ID, To: b.SubAccount.ID, Credits: credits(60), Note: "Moved", Key: h.key(), By: "test"}
		for i := range 2 {
			got, err := h.s.PassOn(ctx, scope, in)
			require.NoError(t, err)
			require.Equal(t, i == 1, got.Replayed)
		}
		require.Equal(t, []models.Credits{credits(15), credits(60), had}, []models.Credits{h.leftOf(a), h.leftOf(b), h.leftOf(h.own)})
		in.Key = h.key()
		_, err := h.s.PassOn(ctx, scope, in)
		require.True(t, problem.Is(err, "insufficient_credits"), "%v", err)
		in.Key, in.Credits, in.To = h.key(), credits(5), c.SubAccount.ID
		_, err = h.s.PassOn(ctx, scope, in)
		require.True(t, problem.Is(err, "pooled_account"), "%v", err)
		require.Equal(t, "to", problem.Of(err).Field)
		in.To = in.From
		_, err = h.s.PassOn(ctx, scope, in)
		require.True(t, problem.Is(err, "same_account"), "%v", err)

		// What b was given is undone from its line, once.
		lines := h.lines(HistoryQuery{Account: b})
		require.Equal(t, []LineKind{LineAssigned}, kindsOf(lines))
		h.charge(b.Wallet, "gpt-4", false)
		act, err := models.ParseID[models.ActID](lines[0].ID)
		require.NoError(t, err)
		d, err := h.s.Line(ctx, h.own, lines[0].ID)
		require.NoError(t, err)
		require.Equal(t, credits(35), d.Unspent)
		for i, want := range []models.Credits{credits(35), 0} {
			back, err := h.s.UndoAssignment(ctx, scope, h.agency.ID, act, "test")
			require.NoError(t, err)
			require.Equal(t, want, back, "time %d", i)
		}
		require.Zero(t, h.leftOf(b))
		require.Equal(t, had+credits(35), h.leftOf(h.own))
		for _, l := range h.lines(HistoryQuery{Account: b}) {
			require.NotContains(t, l.Note+l.Name, "Client a")
		}
		h.clean()
	})
}

// Credits come every month, once, on the day in the agency's zone; what is unused
// returns where that was asked; with too little nothing moves, and that is said.
func TestMonthlyAssignments(t *testing.T) {
	t.Parallel()
	each(t, "Europe/Paris", "", func(t *testing.T, h *house) {
		ctx, scope := t.Context(), Scope{Agency: h.agency.ID}
		client := h.client("a", models.Prepaid, "")
		h.assign(h.client("plan", models.Prepaid, ""), int64(h.leftOf(h.own)/models.Credit)) // what expires with the plan is out of the way
		h.give(h.agency.WalletID, 1_000)
		in := StandingInput{Agency: h.agency.ID, SubAccount: client.SubAccount.ID, Credits: credits(100), Day: 31, Unused: models.UnusedReturns, Note: "Every month", By: "test"}
		first, err := h.s.SetStanding(ctx, scope, in)
		require.NoError(t, err)
		require.Equal(t, models.At(time.Date(2026, 3, 30, 22, 0, 0, 0, time.UTC)), first.NextAt, "midnight of the 31st in Paris")
		again, err := h.s.SetStanding(ctx, scope, in)
		require.NoError(t, err)
		require.Equal(t, first.ID, again.ID)

		h.at(first.NextAt - 1)
		require.Zero(t, h.leftOf(client))
		h.now.Store(int64(first.NextAt))
		var wg sync.WaitGroup
		var failed atomic.Int64
		for range 4 {
			wg.Go(func() {
				if h.s.RunDue(ctx, first.NextAt) != nil {
					failed.Add(1)
				}
			})
		}
		wg.Wait()
		require.Zero(t, failed.Load())
		require.Equal(t, credits(100), h.leftOf(client), "once, whoever ticks")
		h.charge(client.Wallet, "gpt-4", false)

		april := models.At(time.Date(2026, 4, 29, 22, 0, 0, 0, time.UTC)) // the 30th: April has no 31st
		h.at(april - 1)
		require.Equal(t, credits(75), h.leftOf(client))
		h.at(april)
		require.Equal(t, credits(100), h.leftOf(client), "75 went back before 100 came")
		st, err := h.s.Standing(ctx, h.agency.ID, client.SubAccount.ID)
		require.NoError(t, err)
		require.Equal(t, credits(75), st.Turns[0].Returned)

		// Too little: nothing moves at all.
		left := h.leftOf(h.own)
		_, err = h.s.Assign(ctx, scope, TransferInput{Agency: h.agency.ID, SubAccount: h.client("b", models.Prepaid, "").SubAccount.ID, Credits: left, Key: h.key(), By: "test"})
		require.NoError(t, err)
		require.NoError(t, h.db.Write.Model(&models.Subscription{}).Where("agency_id = ?", h.agency.ID).Update("allowance", 0).Error)
		h.at(models.At(time.Date(2026, 6, 2, 0, 0, 0, 0, time.UTC)))
		st, err = h.s.Standing(ctx, h.agency.ID, client.SubAccount.ID)
		require.NoError(t, err)
		require.Equal(t, models.StandingShort, st.Turns[0].Outcome)
		require.Zero(t, st.Turns[0].Returned)
		require.Len(t, st.Turns, 3)
		for _, wallet := range []models.WalletID{h.agency.WalletID, client.Wallet} {
			var told int64
			require.NoError(t, h.db.Read.Model(&models.Notice{}).Where("agency_id = ? AND wallet_id = ? AND event = ?", h.agency.ID, wallet, models.NoticeStandingSkipped).Count(&told).Error)
			require.EqualValues(t, 1, told, "both sides hear of it once")
		}

		require.NoError(t, h.s.ChangeSubAccount(ctx, scope, SubAccountChange{
			Agency: h.agency.ID, SubAccount: client.SubAccount.ID, Name: "A", Funding: models.Pooled, PoolEvery: models.PoolCycle, By: "test",
		}))
		h.at(models.At(time.Date(2026, 7, 2, 0, 0, 0, 0, time.UTC)))
		st, err = h.s.Standing(ctx, h.agency.ID, client.SubAccount.ID)
		require.NoError(t, err)
		require.Equal(t, models.StandingPooled, st.Turns[0].Outcome)

		require.NoError(t, h.s.StopStanding(ctx, scope, h.agency.ID, client.SubAccount.ID, "test"))
		st, err = h.s.Standing(ctx, h.agency.ID, client.SubAccount.ID)
		require.NoError(t, err)
		require.Nil(t, st)
		h.wait(62 * 24 * time.Hour)
		for _, wrong := range []func(*StandingInput){
			func(in *StandingInput) { in.Day = 0 }, func(in *StandingInput) { in.Credits = 0 }, func(in *StandingInput) { in.Unused = "burn" },
		} {
			bad := in
			wrong(&bad)
			_, err := h.s.SetStanding(ctx, scope, bad)
			require.Error(t, err)
		}
		h.clean()
	})
}

// A monthly assignment that is changed is the same one: what is unused of its last
// turn still returns, unless it was given to stay.
func TestAChangedMonthlyAssignmentKnowsItsPast(t *testing.T) {
	t.Parallel()
	each(t, "UTC", "", func(t *testing.T, h *house) {
		ctx, scope := t.Context(), Scope{Agency: h.agency.ID}
		client := h.client("a", models.Prepaid, "")
		h.assign(h.client("plan", models.Prepaid, ""), int64(h.leftOf(h.own)/models.Credit)) // what expires with the plan is out of the way
		h.give(h.agency.WalletID, 1_000)
		require.NoError(t, h.db.Write.Model(&models.Subscription{}).Where("agency_id = ?", h.agency.ID).Update("allowance", 0).Error)
		in := StandingInput{Agency: h.agency.ID, SubAccount: client.SubAccount.ID, Credits: credits(100), Day: 1, Unused: models.UnusedReturns, By: "test"}
		turn := func(change func(*StandingInput)) {
			t.Helper()
			change(&in)
			set, err := h.s.SetStanding(ctx, scope, in)
			require.NoError(t, err)
			h.at(set.NextAt)
		}
		turn(func(*StandingInput) {})
		require.Equal(t, credits(100), h.leftOf(client))
		turn(func(in *StandingInput) { in.Credits, in.Day = credits(60), 15 })
		require.Equal(t, credits(60), h.leftOf(client), "100 went back before 60 came")
		st, err := h.s.Standing(ctx, h.agency.ID, client.SubAccount.ID)
		require.NoError(t, err)
		require.Equal(t, []models.Credits{credits(100), 0}, []models.Credits{st.Turns[0].Returned, st.Turns[1].Returned})

		// Changed when it is due and before the clock has come to it: that month is not lost.
		turns := len(st.Turns)
		h.now.Store(int64(st.NextAt))
		in.Credits = credits(70)
		_, err = h.s.SetStanding(ctx, scope, in)
		require.NoError(t, err)
		require.NoError(t, h.s.RunDue(ctx, h.s.Now()))
		st, err = h.s.Standing(ctx, h.agency.ID, client.SubAccount.ID)
		require.NoError(t, err)
		require.Len(t, st.Turns, turns+1)
		require.Equal(t, credits(60), st.Turns[0].Credits, "what was agreed when it was due")
		require.Equal(t, credits(60), h.leftOf(client))
		in.Credits = credits(60)

		turn(func(in *StandingInput) { in.Unused = models.UnusedStays })
		require.Equal(t, credits(120), h.leftOf(client))
		turn(func(in *StandingInput) { in.Unused = models.UnusedReturns })
		require.Equal(t, credits(180), h.leftOf(client), "what was given to stay has stayed")
		turn(func(*StandingInput) {})
		require.Equal(t, credits(180), h.leftOf(client))
		h.clean()
	})
}

// How long a client's credits last counts on those it gets every month, on its own
// pages and in its agency's list.
func TestAForecastCountsOnWhatComesEveryMonth(t *testing.T) {
	t.Parallel()
	each(t, "UTC", "", func(t *testing.T, h *house) {
		ctx, scope := t.Context(), Scope{Agency: h.agency.ID}
		client := h.client("a", models.Prepaid, "")
		h.assign(client, 1_000)
		for range 4 {
			h.charge(client.Wallet, "gpt-4", false)
			h.wait(24 * time.Hour)
		}
		alone := h.s.Overview(ctx, client).Forecast
		require.Equal(t, []any{ForecastRunsOut, models.Time(0)}, []any{alone.Kind, alone.ResetsAt}, "%+v", alone)
		soon := h.s.Now().In(Zone("UTC")).AddDate(0, 0, 3).Day()
		set, err := h.s.SetStanding(ctx, scope, StandingInput{
			Agency: h.agency.ID, SubAccount: client.SubAccount.ID, Credits: credits(250), Day: soon, Unused: models.UnusedStays, By: "test",
		})
		require.NoError(t, err)
		fed := h.s.Overview(ctx, client).Forecast
		require.Equal(t, []any{ForecastPastReset, set.NextAt, credits(250), true}, []any{fed.Kind, fed.ResetsAt, fed.Allowance, fed.Monthly})
		require.Greater(t, fed.RunsOutAt, alone.RunsOutAt)
		subs, err := h.s.SubAccountStandings(ctx, h.own)
		require.NoError(t, err)
		listed, err := h.s.Forecasts(ctx, h.agency, subs)
		require.NoError(t, err)
		require.Equal(t, fed, listed[client.Wallet])
	})
}
