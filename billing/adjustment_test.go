package billing

import (
	"errors"
	"strconv"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"refill/billing/problem"
	"refill/models"
	"refill/models/modelstest"
)

const (
	robin Actor = "user:robin@example.test"
	sam   Actor = "user:sam@example.test"
	kim   Actor = "user:kim@example.test"
)

func (h *house) ask(n int64, change ...func(*AdjustInput)) (Adjusted, error) {
	h.t.Helper()
	in := AdjustInput{Agency: h.agency.ID, Wallet: h.agency.WalletID, Credits: credits(n), Reason: "Outage on 1 March", Key: h.key(), By: robin}
	for _, f := range change {
		f(&in)
	}
	return h.s.AskAdjustment(h.t.Context(), in)
}

func (h *house) left() models.Credits {
	h.t.Helper()
	w, err := h.s.Wallet(h.t.Context(), h.own)
	require.NoError(h.t, err)
	return w.Balance.Left()
}

func (h *house) audited(action string) []models.AuditEntry {
	h.t.Helper()
	var rows []models.AuditEntry
	require.NoError(h.t, h.db.Read.Where("action = ?", action).Order("id").Find(&rows).Error)
	return rows
}

// Up to the limit one admin is enough; above it nothing moves before another
// has approved, and only another may.
func TestALargeAdjustmentWaitsForASecondPerson(t *testing.T) {
	t.Parallel()
	each(t, "UTC", "", func(t *testing.T, h *house) {
		ctx := t.Context()
		had := h.left()
		out, err := h.ask(50_000)
		require.NoError(t, err)
		require.Nil(t, out.Waiting)
		require.Equal(t, had+credits(50_000), h.left())

		for _, n := range []int64{50_001, -50_001} {
			had = h.left()
			key := h.key()
			send := func() Adjusted {
				out, err := h.ask(n, func(in *AdjustInput) { in.Key = key })
				require.NoError(t, err)
				require.NotNil(t, out.Waiting)
				return out
			}
			asked := send().Waiting
			again := send()
			require.True(t, again.Replayed)
			require.Equal(t, asked.ID, again.Waiting.ID, "the same form is one request")
			require.Equal(t, had, h.left(), "nothing moves yet")
			_, err = h.ask(n+1, func(in *AdjustInput) { in.Key = key })
			require.True(t, problem.Is(err, "idempotency_key_reused"), "%v", err)

			d := Decision{Agency: h.agency.ID, Request: asked.ID, Approve: true, By: robin}
			_, _, err = h.s.DecideAdjustment(ctx, d)
			require.True(t, problem.Is(err, "own_request"), "%v", err)
			require.Equal(t, had, h.left())
			d.By = sam
			row, replayed, err := h.s.DecideAdjustment(ctx, d)
			require.NoError(t, err)
			require.False(t, replayed)
			require.Equal(t, models.AdjustmentApproved, row.State)
			require.Equal(t, had+credits(n), h.left())
			d.By = kim
			_, replayed, err = h.s.DecideAdjustment(ctx, d)
			require.NoError(t, err)
			require.True(t, replayed, "approving twice books once")
			require.Equal(t, had+credits(n), h.left())
			d.Approve = false
			_, _, err = h.s.DecideAdjustment(ctx, d)
			require.True(t, problem.Is(err, "already_decided"), "%v", err)
		}
		waiting, decided, err := h.s.Adjustments(ctx)
		require.NoError(t, err)
		require.Empty(t, waiting)
		require.Len(t, decided, 2)
		require.Equal(t, "Northwind", decided[0].Agency)
		require.Len(t, h.audited("adjustment.request"), 2)
		require.Len(t, h.audited("adjustment.approve"), 2)
		books := h.audited("credits.adjust")
		require.Len(t, books, 3)
		require.Equal(t, string(robin), books[1].Actor, "who asked is who gave")
		require.Equal(t, "Outage on 1 March", books[1].Reason)
	})
}

func TestADeclinedAdjustmentMovesNothing(t *testing.T) {
	t.Parallel()
	each(t, "UTC", "", func(t *testing.T, h *house) {
		had := h.left()
		out, err := h.ask(60_000)
		require.NoError(t, err)
		d := Decision{Agency: h.agency.ID, Request: out.Waiting.ID, By: sam}
		for i := range 2 {
			row, replayed, err := h.s.DecideAdjustment(t.Context(), d)
			require.NoError(t, err)
			require.Equal(t, i > 0, replayed)
			require.Equal(t, models.AdjustmentDeclined, row.State)
		}
		d.Approve = true
		_, _, err = h.s.DecideAdjustment(t.Context(), d)
		require.True(t, problem.Is(err, "already_decided"), "%v", err)
		require.Equal(t, had, h.left())
		d.Agency = models.NewID[models.AgencyID](h.s.Now())
		_, _, err = h.s.DecideAdjustment(t.Context(), d)
		require.True(t, problem.Is(err, "not_found"), "%v", err)

		// What can no longer be taken stays waiting.
		out, err = h.ask(-90_000)
		require.NoError(t, err)
		d = Decision{Agency: h.agency.ID, Request: out.Waiting.ID, Approve: true, By: sam}
		h.give(h.agency.WalletID, -int64((h.left()-credits(10))/models.Credit))
		_, _, err = h.s.DecideAdjustment(t.Context(), d)
		require.True(t, problem.Is(err, "insufficient_credits"), "%v", err)
		row, err := h.s.Adjustment(t.Context(), h.agency.ID, out.Waiting.ID)
		require.NoError(t, err)
		require.Equal(t, models.AdjustmentPending, row.State)
	})
}

// Many who decide at once grant once; of those who approve and decline at once,
// one side wins and the other is told.
func TestDecidingAtOnceGrantsOnce(t *testing.T) {
	t.Parallel()
	each(t, "UTC", "", func(t *testing.T, h *house) {
		for round := range 5 {
			had := h.left()
			out, err := h.ask(100_000)
			require.NoError(t, err)
			var wg sync.WaitGroup
			results := make([]error, 8)
			for i := range results {
				wg.Go(func() {
					_, _, results[i] = h.s.DecideAdjustment(t.Context(), Decision{
						Agency: h.agency.ID, Request: out.Waiting.ID, Approve: round < 3 || i%2 == 0, By: Actor("user:" + strconv.Itoa(i)),
					})
				})
			}
			wg.Wait()
			row, err := h.s.Adjustment(t.Context(), h.agency.ID, out.Waiting.ID)
			require.NoError(t, err)
			want := had
			if row.State == models.AdjustmentApproved {
				want += credits(100_000)
			}
			require.Equal(t, want, h.left())
			for i, err := range results {
				approved := round < 3 || i%2 == 0
				if approved == (row.State == models.AdjustmentApproved) {
					require.NoError(t, err)
				} else {
					require.True(t, problem.Is(err, "already_decided"), "%v", err)
				}
			}
		}
		var lots int64
		require.NoError(t, h.db.Read.Model(&models.Lot{}).Where("agency_id = ? AND source = ?", h.agency.ID, models.SourceAdjustment).Count(&lots).Error)
		require.Equal(t, int64(len(h.audited("adjustment.approve"))), lots)
	})
}

// The reason is in the audit log always, and in the account's history only when
// it is meant for the account.
func TestAHiddenReasonStaysInTheAuditLog(t *testing.T) {
	t.Parallel()
	each(t, "UTC", "", func(t *testing.T, h *house) {
		_, err := h.ask(10, func(in *AdjustInput) { in.Reason = "Sorry for the outage" })
		require.NoError(t, err)
		_, err = h.ask(20, func(in *AdjustInput) { in.Reason, in.Hidden = "They threatened to leave", true })
		require.NoError(t, err)
		out, err := h.ask(60_000, func(in *AdjustInput) { in.Reason, in.Hidden = "A secret deal", true })
		require.NoError(t, err)
		_, _, err = h.s.DecideAdjustment(t.Context(), Decision{Agency: h.agency.ID, Request: out.Waiting.ID, Approve: true, By: sam})
		require.NoError(t, err)
		var notes []string
		require.NoError(t, h.db.Read.Model(&models.Act{}).Where("agency_id = ? AND kind = 'adjust'", h.agency.ID).Order("created_at, id").Pluck("note", &notes).Error)
		require.ElementsMatch(t, []string{"Sorry for the outage", "", ""}, notes)
		require.NoError(t, h.db.Read.Model(&models.Lot{}).Where("agency_id = ? AND source = 'adjustment'", h.agency.ID).Pluck("note", &notes).Error)
		require.ElementsMatch(t, []string{"Sorry for the outage", "", ""}, notes)
		var reasons []string
		for _, row := range h.audited("credits.adjust") {
			reasons = append(reasons, row.Reason)
		}
		require.ElementsMatch(t, []string{"Sorry for the outage", "They threatened to leave", "A secret deal"}, reasons)
		page, err := h.s.History(t.Context(), HistoryQuery{Account: h.own})
		require.NoError(t, err)
		for _, l := range page.Lines {
			require.NotContains(t, l.Note, "threatened")
			require.NotContains(t, l.Note, "secret")
		}
	})
}

func TestLimitsOfAdjustments(t *testing.T) {
	t.Parallel()
	modelstest.Each(t, func(t *testing.T, db *models.DB) {
		h := newHouse(t, db, "UTC", "")
		ctx := t.Context()
		program := func(n int64) error {
			_, err := h.s.Adjust(ctx, AdjustInput{
				Agency: h.agency.ID, Wallet: h.agency.WalletID, Credits: credits(n), Reason: "migration", Program: true, Key: h.key(), By: "key:abcd",
			})
			return err
		}
		require.NoError(t, program(2_000_000), "no limit of its own yet")
		for range 2 { // the second changes nothing and is not worth a line
			require.NoError(t, h.s.SetAdjustmentLimits(ctx, AdjustmentLimits{Person: credits(100), Program: credits(1_000), Limited: true}, sam))
		}
		rows := h.audited("adjustment.limit")
		require.Len(t, rows, 1)
		require.Equal(t, "50000 by one person, programs without limit → 100 by one person, 1000 by a program", rows[0].Detail)
		require.NoError(t, program(1_000))
		require.True(t, problem.Is(program(1_001), "second_person_needed"))
		require.True(t, problem.Is(program(-1_001), "second_person_needed"))
		out, err := h.ask(100)
		require.NoError(t, err)
		require.Nil(t, out.Waiting)
		key := h.key()
		out, err = h.ask(101, func(in *AdjustInput) { in.Key = key })
		require.NoError(t, err)
		require.NotNil(t, out.Waiting)

		// A form sent again after the limit was raised does not book what waits.
		require.NoError(t, h.s.SetAdjustmentLimits(ctx, AdjustmentLimits{Person: credits(1_000)}, sam))
		again, err := h.ask(101, func(in *AdjustInput) { in.Key = key })
		require.NoError(t, err)
		require.Equal(t, out.Waiting.ID, again.Waiting.ID)
		require.NoError(t, program(5_000))

		err = h.s.SetAdjustmentLimits(ctx, AdjustmentLimits{Person: -1, Program: models.MaxCharge + 1, Limited: true}, sam)
		var many interface{ Unwrap() []error }
		require.True(t, errors.As(err, &many) && len(many.Unwrap()) == 2, "%v", err)
	})
}

// Nobody but another one decides, whoever writes the row.
func TestTheDatabaseRefusesToDecideOnesOwn(t *testing.T) {
	t.Parallel()
	each(t, "UTC", "", func(t *testing.T, h *house) {
		out, err := h.ask(60_000)
		require.NoError(t, err)
		r := out.Waiting
		err = h.db.Write.Model(&models.AdjustmentRequest{}).Where("agency_id = ? AND id = ?", r.AgencyID, r.ID).
			Updates(map[string]any{"state": models.AdjustmentDeclined, "decided_by": r.RequestedBy, "decided_at": h.s.Now()}).Error
		require.Error(t, err)
	})
}
