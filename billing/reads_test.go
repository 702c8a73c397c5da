package billing

import (
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"refill/billing/ledger"
	"refill/billing/preset"
	"refill/models"
	"refill/models/modelstest"
)

// readsStart is a Thursday three days before Europe moves its clocks forward:
// 2026-03-26 09:00 UTC.
var readsStart = models.At(time.Date(2026, 3, 26, 9, 0, 0, 0, time.UTC))

// house is a Service on a fresh database with one agency and clients.
type house struct {
	t      testing.TB
	db     *models.DB
	s      *Service
	now    atomic.Int64
	agency models.Agency
	own    *Account
	keys   int
	knows  map[models.NoticeID]bool // notices that a test has seen
}

func newHouse(t testing.TB, db *models.DB, zone, plan string) *house {
	t.Helper()
	h := &house{t: t, db: db}
	h.now.Store(int64(readsStart))
	l, err := ledger.Open(t.Context(), db, ledger.Options{})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, l.Close()) })
	h.s, err = New(Config{DB: db, Ledger: l, Clock: models.ClockFunc(func() models.Time { return models.Time(h.now.Load()) })})
	require.NoError(t, err)
	catalogue, err := preset.Load("stammer")
	require.NoError(t, err)
	require.NoError(t, h.s.Import(t.Context(), catalogue, "test"))
	h.agency, err = h.s.CreateAgency(t.Context(), AgencyInput{ExternalID: "northwind", Name: "Northwind", Plan: plan, TimeZone: zone, By: "test"})
	require.NoError(t, err)
	h.own = h.account(h.agency.WalletID)
	return h
}

func (h *house) account(w models.WalletID) *Account {
	h.t.Helper()
	a, err := h.s.AccountOf(h.t.Context(), w)
	require.NoError(h.t, err)
	return a
}

func (h *house) client(name string, funding models.Funding, zone string) *Account {
	h.t.Helper()
	sub, err := h.s.CreateSubAccount(h.t.Context(), Scope{}, SubAccountInput{
		Agency: h.agency.ID, ExternalID: name, Name: "Client " + name, Funding: funding, TimeZone: zone, By: "test",
	})
	require.NoError(h.t, err)
	return h.account(sub.WalletID)
}

// at moves the clock, doing what becomes due.
func (h *house) at(t models.Time) {
	h.t.Helper()
	h.now.Store(int64(t))
	require.NoError(h.t, h.s.RunDue(h.t.Context(), t))
}

func (h *house) wait(d time.Duration) { h.at(h.s.Now().Add(d)) }

func (h *house) key() string {
	h.keys++
	return fmt.Sprintf("key-%d", h.keys)
}

func (h *house) charge(w models.WalletID, model string, test bool) Receipt {
	h.t.Helper()
	out, err := h.s.Charge(h.t.Context(), Scope{}, ChargeInput{Wallet: w.String(), Key: h.key(), Action: "ai.reply", Model: model, Test: test})
	require.NoError(h.t, err)
	return out.Receipt
}

func (h *house) give(w models.WalletID, n int64) {
	h.t.Helper()
	_, err := h.s.Adjust(h.t.Context(), AdjustInput{
		Agency: h.agency.ID, Wallet: w, Credits: models.Credits(n) * models.Credit, Reason: "goodwill", Key: h.key(), By: "test",
	})
	require.NoError(h.t, err)
}

func (h *house) assign(to *Account, n int64) {
	h.t.Helper()
	_, err := h.s.Assign(h.t.Context(), Scope{}, TransferInput{
		Agency: h.agency.ID, SubAccount: to.SubAccount.ID, Credits: models.Credits(n) * models.Credit, Note: "Welcome credits", Key: h.key(), By: "test",
	})
	require.NoError(h.t, err)
}

func (h *house) usage(q UsageQuery) UsageReport {
	h.t.Helper()
	r, err := h.s.Usage(h.t.Context(), Scope{}, q)
	require.NoError(h.t, err)
	return r
}

// drawn is the ledger's own answer: what entries consumed in [from, to) for
// charges addressed to a wallet (zero: any of the agency).
func (h *house) drawn(addressed models.WalletID, action, model string, from, to models.Time) models.Credits {
	h.t.Helper()
	sql := `SELECT COALESCE(SUM(CASE WHEN e.kind IN (2, 4, 15) THEN e.amount ELSE -e.amount END), 0) FROM entries e
		JOIN charges c ON c.agency_id = e.agency_id
			AND c.id = COALESCE((SELECT r.charge_id FROM reversals r WHERE r.agency_id = e.agency_id AND r.id = e.act_id), e.act_id)
		WHERE e.agency_id = ? AND e.kind IN (2, 4, 15, 17, 18) AND e.at >= ? AND e.at < ?`
	args := []any{h.agency.ID, from, to}
	if action != "" {
		sql, args = sql+" AND c.action = ?", append(args, action)
	}
	if model != "" {
		sql, args = sql+" AND c.model = ?", append(args, model)
	}
	if !addressed.IsZero() {
		sql, args = sql+" AND c.wallet_id = ?", append(args, addressed)
	}
	var sum int64
	require.NoError(h.t, h.db.Read.Raw(sql, args...).Scan(&sum).Error)
	return models.Credits(sum)
}

func credits(n int64) models.Credits { return models.Credits(n) * models.Credit }

// each runs a test on both databases with a fresh house.
func each(t *testing.T, zone, plan string, f func(t *testing.T, h *house)) {
	t.Helper()
	modelstest.Each(t, func(t *testing.T, db *models.DB) { f(t, newHouse(t, db, zone, plan)) })
}
