package billing

import (
	"bytes"
	"encoding/csv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"gorm.io/gorm"

	"refill/billing/ledger"
	"refill/billing/problem"
	"refill/models"
)

// lines reads an account's whole history in pages of a few lines.
func (h *house) lines(q HistoryQuery) []HistoryLine {
	h.t.Helper()
	var out []HistoryLine
	q.Limit = 3
	for {
		page, err := h.s.History(h.t.Context(), q)
		require.NoError(h.t, err)
		require.LessOrEqual(h.t, len(page.Lines), 3)
		out = append(out, page.Lines...)
		if page.Next == "" {
			return out
		}
		require.NotEqual(h.t, page.Next, q.Cursor, "pages advance")
		q.Cursor = page.Next
	}
}

func kindsOf(lines []HistoryLine) []LineKind {
	out := make([]LineKind, len(lines))
	for i := range lines {
		out[i] = lines[i].Kind
	}
	return out
}

func (h *house) hold(w models.WalletID, n int64) models.Hold {
	h.t.Helper()
	out, err := h.s.Hold(h.t.Context(), Scope{}, HoldInput{Wallet: w.String(), Key: h.key(), Credits: credits(n), Action: "ai.reply", Model: "gpt-4"})
	require.NoError(h.t, err)
	return out.Hold
}

// A life with every kind of movement, a minute apart unless said otherwise.
func (h *house) live(client *Account) (reversed Receipt, released, captured models.Hold) {
	h.t.Helper()
	h.assign(client, 500)
	for range 4 {
		h.wait(time.Minute)
		h.charge(client.Wallet, "gpt-4", false)
		h.charge(client.Wallet, "gpt-3.5-turbo", false)
	}
	reversed = h.charge(client.Wallet, "gpt-4", false)
	h.wait(time.Minute)
	_, err := h.s.Reverse(h.t.Context(), Scope{}, h.agency.ID, reversed.Charge.ID, h.key(), "The reply failed")
	require.NoError(h.t, err)
	h.wait(2 * time.Hour)
	h.charge(client.Wallet, "gpt-4", true)
	h.charge(client.Wallet, "gpt-4", true)
	released, captured = h.hold(client.Wallet, 50), h.hold(client.Wallet, 60)
	h.wait(time.Minute)
	_, err = h.s.Release(h.t.Context(), Scope{}, h.agency.ID, released.ID)
	require.NoError(h.t, err)
	took := credits(12)
	_, err = h.s.Capture(h.t.Context(), Scope{}, CaptureInput{Agency: h.agency.ID, Hold: captured.ID, Key: h.key(), Credits: &took})
	require.NoError(h.t, err)
	h.wait(time.Minute)
	h.hold(client.Wallet, 7)
	h.wait(time.Minute)
	_, err = h.s.TakeBack(h.t.Context(), Scope{}, TransferInput{Agency: h.agency.ID, SubAccount: client.SubAccount.ID, Credits: credits(100), Key: h.key(), By: "user:ada@example.com"})
	require.NoError(h.t, err)
	h.give(client.Wallet, 40)
	return reversed, released, captured
}

func TestHistoryTellsEveryMovement(t *testing.T) {
	t.Parallel()
	each(t, "Europe/Paris", "", func(t *testing.T, h *house) {
		client := h.client("acme", models.Prepaid, "")
		h.live(client)
		lines := h.lines(HistoryQuery{Account: client})
		require.Equal(t, []LineKind{
			LineUsed, LineUsed, // the running hour: 12 captured, 2 tests
			LineAdjustment, LineReturned, LineHeld, LineReleased, LineHeld,
			LineUsed, LineUsed, // two hours ago, by model
			LineReversed, LineAssigned,
		}, kindsOf(lines))
		var change models.Credits
		seen := map[string]bool{}
		for _, l := range lines {
			change += l.Change
			if l.ID != "" {
				require.False(t, seen[string(l.Kind)+l.ID], "no line twice")
				seen[string(l.Kind)+l.ID] = true
			}
		}
		v, err := h.s.Wallet(t.Context(), client)
		require.NoError(t, err)
		require.Equal(t, v.Wallet.Balance, change, "the changes add up to the balance")
		require.Equal(t, v.Wallet.Balance, lines[2].After)

		byModel := map[string]HistoryLine{}
		for _, l := range lines[7:9] {
			byModel[l.Model] = l
		}
		require.EqualValues(t, 5, byModel["gpt-4"].Count, "the reversed one included: the reversal has its own line")
		require.Equal(t, credits(-125), byModel["gpt-4"].Change)
		require.Equal(t, credits(-4), byModel["gpt-3.5-turbo"].Change)
		require.Equal(t, credits(25), lines[9].Change)
		require.Equal(t, "Northwind", lines[10].Name)
		require.Equal(t, "Welcome credits", lines[10].Note)

		for kind, n := range map[LineKind]int{LineUsed: 4, LineHeld: 2, LineReleased: 1, LineReversed: 1, LineAssigned: 1, LineReturned: 1, LineAdjustment: 1, LinePurchase: 0} {
			require.Len(t, h.lines(HistoryQuery{Account: client, Kind: kind}), n, kind)
		}
		require.Len(t, h.lines(HistoryQuery{Account: client, Model: "gpt-3.5-turbo"}), 1)
		require.Len(t, h.lines(HistoryQuery{Account: client, Text: "WELCOME"}), 1)
		require.Len(t, h.lines(HistoryQuery{Account: client, Text: "key-3"}), 1)
		require.Len(t, h.lines(HistoryQuery{Account: client, From: h.s.Now().Add(-time.Hour)}), 7)

		var file bytes.Buffer
		require.NoError(t, h.s.HistoryCSV(t.Context(), HistoryQuery{Account: client})(&file))
		rows, err := csv.NewReader(&file).ReadAll()
		require.NoError(t, err)
		require.Len(t, rows, len(lines)+1)
		require.Equal(t, "2026-03-26T10:00:00+01:00", rows[len(rows)-1][0])
		require.Equal(t, "2026-03-26T09:00:00Z", rows[len(rows)-1][1])
	})
}

func TestHistoryShowsAResetAsTwoLines(t *testing.T) {
	t.Parallel()
	each(t, "UTC", "", func(t *testing.T, h *house) {
		for range 4 {
			h.charge(h.agency.WalletID, "gpt-4", false)
		}
		h.wait(40 * 24 * time.Hour)
		lines := h.lines(HistoryQuery{Account: h.own})
		require.Equal(t, []LineKind{LinePlanAdded, LinePlanExpired, LineUsed, LinePlanAdded}, kindsOf(lines))
		require.Equal(t, credits(100_000), lines[0].Change)
		require.Equal(t, credits(100_000), lines[0].After)
		require.Equal(t, credits(-99_900), lines[1].Change)
		require.Zero(t, lines[1].After)
		require.Equal(t, credits(99_900), lines[2].After)
	})
}

func TestPooledUsageIsSeenFromBothSides(t *testing.T) {
	t.Parallel()
	each(t, "UTC", "", func(t *testing.T, h *house) {
		client := h.client("pooled", models.Pooled, "")
		r := h.charge(client.Wallet, "gpt-4", false)
		mine := h.lines(HistoryQuery{Account: client})
		require.Len(t, mine, 1)
		require.Zero(t, mine[0].Change, "its own balance did not move")
		require.Equal(t, credits(25), mine[0].Credits)
		require.Equal(t, credits(25), mine[0].Pool)
		require.False(t, mine[0].HasAfter, "the agency's balance is not its client's to see")
		page, err := h.s.HistoryGroup(t.Context(), client, *mine[0].Group, "", 10)
		require.NoError(t, err)
		require.Len(t, page.Lines, 1)

		agency := h.lines(HistoryQuery{Account: h.own})
		require.Equal(t, []LineKind{LineUsed, LinePlanAdded}, kindsOf(agency))
		require.Equal(t, "Client pooled", agency[0].Name)
		require.Equal(t, credits(-25), agency[0].Change)
		require.Equal(t, credits(99_975), agency[0].After)

		line, err := h.s.Line(t.Context(), client, r.Charge.ID.String())
		require.NoError(t, err)
		require.Len(t, line.Moves, 1)
		require.True(t, line.Moves[0].Pool)
		require.Nil(t, line.Moves[0].Lot)

		// Given back hours later: the client reads it as a line, the agency's
		// changes still add up to its balance.
		h.wait(3 * time.Hour)
		_, err = h.s.Reverse(t.Context(), Scope{}, h.agency.ID, r.Charge.ID, h.key(), "failed")
		require.NoError(t, err)
		mine = h.lines(HistoryQuery{Account: client})
		require.Equal(t, []LineKind{LineReversed, LineUsed}, kindsOf(mine))
		require.Equal(t, credits(25), mine[0].Pool)
		var change models.Credits
		for _, l := range h.lines(HistoryQuery{Account: h.own}) {
			change += l.Change
		}
		require.Equal(t, credits(100_000), change)
	})
}

func TestAGroupOpensToItsCharges(t *testing.T) {
	t.Parallel()
	each(t, "UTC", "", func(t *testing.T, h *house) {
		client := h.client("acme", models.Prepaid, "")
		h.assign(client, 20)
		h.give(client.Wallet, 100) // so that charges straddle lots
		var ids []string
		for range 7 {
			ids = append(ids, h.charge(client.Wallet, "gpt-4-turbo", false).Charge.ID.String())
			h.charge(client.Wallet, "gpt-3.5-turbo", false)
			h.charge(client.Wallet, "gpt-4-turbo", true)
			h.wait(time.Minute)
		}
		lines := h.lines(HistoryQuery{Account: client, Model: "gpt-4-turbo"})
		require.Len(t, lines, 2)
		for _, group := range lines {
			ref, err := ParseGroupRef(group.Group.String())
			require.NoError(t, err)
			require.Equal(t, *group.Group, ref)
			var found []string
			var sum models.Credits
			for cursor := ""; ; {
				page, err := h.s.HistoryGroup(t.Context(), client, ref, cursor, 3)
				require.NoError(t, err)
				require.Equal(t, group.Change, page.Group.Change)
				for _, l := range page.Lines {
					found = append(found, l.ID)
					sum += l.Change
				}
				if cursor = page.Next; cursor == "" {
					break
				}
			}
			require.Len(t, found, 7)
			require.Equal(t, group.Change, sum)
			if group.Test {
				require.Equal(t, credits(70), group.Would)
				continue
			}
			for i := range ids {
				require.Equal(t, ids[i], found[6-i], "newest first")
			}
		}
		stranger := h.client("other", models.Prepaid, "")
		_, err := h.s.HistoryGroup(t.Context(), stranger, *lines[0].Group, "", 3)
		require.True(t, problem.Is(err, "not_found"))
		_, err = h.s.HistoryGroup(t.Context(), client, *lines[0].Group, "nonsense!", 3)
		require.True(t, problem.Is(err, "invalid_cursor"))
	})
}

func TestALineExplainsItself(t *testing.T) {
	t.Parallel()
	each(t, "UTC", "", func(t *testing.T, h *house) {
		client, stranger := h.client("acme", models.Prepaid, ""), h.client("other", models.Prepaid, "")
		reversed, released, captured := h.live(client)

		line, err := h.s.Line(t.Context(), h.own, reversed.Charge.ID.String())
		require.NoError(t, err)
		require.Equal(t, LineUsed, line.Kind)
		require.Equal(t, "Client acme", line.Name)
		require.Equal(t, credits(25), line.Before-line.After)
		require.Equal(t, "Standard", line.Charge.Card)
		require.Equal(t, 1, line.Charge.Version.Number)
		require.False(t, line.Charge.Given)
		var priced models.Credits
		for _, part := range line.Charge.Quote.Lines {
			priced += part.Credits
		}
		require.Equal(t, line.Charge.Price(), priced)
		require.Len(t, line.Moves, 1)
		require.Equal(t, models.BucketAssigned, line.Moves[0].Bucket)
		require.Equal(t, models.SourcePlan, line.Moves[0].Parent.Source, "carved from the agency's allowance")
		require.NotNil(t, line.Reversal)

		mine, err := h.s.Line(t.Context(), client, reversed.Charge.ID.String())
		require.NoError(t, err)
		require.True(t, mine.Client)
		require.Nil(t, mine.Moves[0].Parent)
		require.Zero(t, mine.Moves[0].Lot.UnitCost)

		back, err := h.s.Line(t.Context(), client, line.Reversal.ID.String())
		require.NoError(t, err)
		require.Equal(t, LineReversed, back.Kind)
		require.Equal(t, reversed.Charge.ID, back.Reversed)
		require.Equal(t, credits(25), back.After-back.Before)

		held, err := h.s.Line(t.Context(), client, captured.ID.String())
		require.NoError(t, err)
		require.Equal(t, credits(-60), held.Change)
		require.False(t, held.CapturedBy.IsZero())
		by, err := h.s.Line(t.Context(), client, held.CapturedBy.String())
		require.NoError(t, err)
		require.Equal(t, credits(12), by.Charge.Price())
		require.True(t, by.Charge.Given, "the caller named the amount")
		require.Equal(t, captured.ID, by.Hold.ID)

		for _, l := range h.lines(HistoryQuery{Account: client}) {
			if l.ID == "" {
				continue
			}
			found, err := h.s.Line(t.Context(), client, l.ID)
			require.NoError(t, err, l.Kind)
			if l.Kind != LineReleased {
				require.Equal(t, l.Change, found.Change)
			}
			_, err = h.s.Line(t.Context(), stranger, l.ID)
			require.True(t, problem.Is(err, "not_found"), "another client's %s", l.Kind)
		}
		for _, id := range []string{"", "nothing", "chg_", released.ID.String() + "x", "lot_00000000000000000000000000"} {
			_, err := h.s.Line(t.Context(), client, id)
			require.True(t, problem.Is(err, "not_found"), id)
		}
	})
}

func TestExcessIsReadOffTheHistory(t *testing.T) {
	t.Parallel()
	each(t, "UTC", "starter", func(t *testing.T, h *house) {
		require.NoError(t, h.db.InTx(t.Context(), func(tx *gorm.DB) error {
			return h.s.ledger.SetPolicy(t.Context(), tx, h.agency.ID, h.agency.WalletID, ledger.Policy{ExcessLimit: credits(1000), AgencyCeiling: credits(1000)})
		}))
		h.give(h.agency.WalletID, -4_990)
		h.charge(h.agency.WalletID, "gpt-4", false)
		h.wait(time.Hour)
		h.give(h.agency.WalletID, 1_000)
		lines := h.lines(HistoryQuery{Account: h.own})
		require.Equal(t, []LineKind{LineSettled, LineAdjustment, LineUsed, LineAdjustment, LinePlanAdded}, kindsOf(lines))
		require.Equal(t, credits(15), lines[0].Credits)
		require.Zero(t, lines[0].Change)
		require.Equal(t, credits(1_000), lines[1].Change)
		require.Equal(t, credits(985), lines[1].After, "1,000 − 15 = 985")
		require.Equal(t, credits(-15), lines[2].After)
		require.Len(t, h.lines(HistoryQuery{Account: h.own, Kind: LineSettled}), 1)
		line, err := h.s.Line(t.Context(), h.own, lines[1].ID)
		require.NoError(t, err)
		require.Equal(t, credits(-15), line.Before)
		require.Len(t, line.Moves, 2)
		require.Equal(t, "settle", line.Moves[1].Kind)
	})
}
