package billing_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"refill/billing"
	"refill/billing/ledger"
	"refill/billing/stripesim"
	"refill/models"
	"refill/models/modelstest"
	"refill/models/modelstest/faults"
)

// inLanes runs a test on both databases, the large size in lanes beside one
// another: each has databases and a Stripe of its own, and does its part of the
// work.
func inLanes(t *testing.T, f func(t *testing.T, db *models.DB, lane, of int)) {
	t.Helper()
	of := faults.Sized(1, 4)
	for lane := range of {
		t.Run(fmt.Sprintf("lane %d of %d", lane+1, of), func(t *testing.T) {
			t.Parallel()
			modelstest.Each(t, func(t *testing.T, db *models.DB) {
				f(t, db, lane, of)
			})
		})
	}
}

// fate is a payment under test as its bank knows it.
type fate struct {
	p       models.Purchase
	refunds map[string]int64 // those that stand
	amount  int64            // disputed
	dispute string           // id; "": none
	outcome string           // "", open, won, lost
	fees    int64            // charged for disputes: what is won does not bring them back
}

func (f *fate) standing() ledger.Standing {
	s := ledger.Standing{Paid: f.p.Price}
	for _, amount := range f.refunds {
		s.Refunded += amount
	}
	switch f.outcome {
	case "open":
		s.Disputed = f.amount
	case "lost":
		s.Lost = f.amount
	}
	return s
}

// step lets one thing happen to the payment, if it can.
func (s *shop) step(t *testing.T, r *rapid.T, f *fate) {
	t.Helper()
	left := f.p.Price
	for _, amount := range f.refunds {
		left -= amount
	}
	switch what := rapid.SampledFrom([]string{"refund", "pending", "fail", "dispute", "end"}).Draw(r, "what"); what {
	case "refund", "pending":
		if left == 0 {
			return
		}
		amount := rapid.Int64Range(1, left).Draw(r, "amount")
		form := url.Values{"amount": {strconv.FormatInt(amount, 10)}}
		if what == "pending" {
			form.Set("status", "pending")
		}
		f.refunds[s.bank(t, "payments/"+f.p.CheckoutSession+"/refund", form)] = amount
	case "fail":
		for _, id := range slices.Sorted(keys(f.refunds)) {
			status := rapid.SampledFrom([]string{"failed", "canceled"}).Draw(r, "status")
			s.bank(t, "refunds/"+id, url.Values{"status": {status}})
			delete(f.refunds, id)
			return
		}
	case "dispute":
		if f.outcome == "open" || f.outcome == "lost" {
			return
		}
		f.amount = rapid.Int64Range(1, f.p.Price).Draw(r, "disputed")
		f.dispute, f.outcome = s.dispute(t, f.p, f.amount), "open"
		f.fees += 15_00
	case "end":
		if f.outcome == "open" {
			end := rapid.SampledFrom([]string{"win", "lose"}).Draw(r, "outcome")
			s.bank(t, "disputes/"+f.dispute, url.Values{"outcome": {end}})
			f.outcome = map[string]string{"win": "won", "lose": "lost"}[end]
		}
	}
}

func keys(m map[string]int64) func(func(string) bool) {
	return func(yield func(string) bool) {
		for k := range m {
			if !yield(k) {
				return
			}
		}
	}
}

// Whatever happens to payments, in whatever order, and whatever is spent between:
// after every step what is revoked and frozen is what the payment's standing alone
// says, and the balance is what follows from it.
func TestCreditsFollowTheStandingOfThePayment(t *testing.T) {
	t.Parallel()
	seed := faults.SequenceSeed()
	inLanes(t, func(t *testing.T, db *models.DB, lane, of int) {
		s := openShop(t, db, "stammer", "")
		s.mode(t, "drop")
		n, payments := 0, faults.Sized(100, 20_000/of)
		faults.Sequences(t, seed+uint64(lane)<<32, payments, func(r *rapid.T) {
			n++
			if n%100 == 0 {
				agency, err := s.CreateAgency(t.Context(), billing.AgencyInput{ExternalID: fmt.Sprint("more", n), Name: "More", By: "test"})
				require.NoError(t, err)
				s.account, err = s.AccountOf(t.Context(), agency.WalletID)
				require.NoError(t, err)
			}
			s.sequence(t, r, fmt.Sprint("k", n))
		})
		faults.Tried(t, seed, "%d payments refunded, disputed and decided on %s, lane %d", payments, db.Dialect, lane+1)
	})
}

func (s *shop) sequence(t *testing.T, r *rapid.T, key string) {
	t.Helper()
	f := &fate{p: s.buy(t, key, "credits-2000", 0), refunds: map[string]int64{}}
	s.pay(t, f.p)
	var err error
	f.p, err = s.Settle(t.Context(), f.p.AgencyID, f.p.ID)
	require.NoError(t, err)
	base := s.left(t, s.account) - f.p.Credits
	for range rapid.IntRange(1, 7).Draw(r, "steps") {
		if rapid.IntRange(0, 2).Draw(r, "spend") == 0 {
			if b := s.balance(t, s.account); b.Available > 0 {
				part := models.Credits(rapid.Int64Range(1, int64(min(b.Available, f.p.Credits))).Draw(r, "used"))
				_, err := s.Adjust(t.Context(), billing.AdjustInput{
					Agency: f.p.AgencyID, Wallet: s.account.Wallet, Credits: -part, Reason: "used", Key: fmt.Sprint(key, s.clock.Now(), rapid.Uint64().Draw(r, "key")), By: "test",
				})
				require.NoError(t, err)
				base -= part
			}
		}
		s.step(t, r, f)
		got := s.settled(t, f.p)
		revoked, frozen := f.standing().Target(f.p.Credits)
		require.Equal(t, revoked, got.Revoked, "%+v", f.standing())
		require.LessOrEqual(t, got.Frozen, frozen)
		require.Equal(t, base+f.p.Credits-got.Revoked-got.Frozen, s.left(t, s.account))
		if got.RevokedSpent > 0 {
			require.Zero(t, got.Frozen, "nothing waits while something is owed")
		}
	}
}

// deliver signs an event as Stripe would and has it worked.
func (s *shop) deliver(t *testing.T, raw []byte) {
	t.Helper()
	signature := stripesim.Sign(raw, "whsec_shop", time.Now())
	require.NoError(t, s.ReceiveEvent(t.Context(), billing.EndpointPlatform, raw, signature))
	require.NoError(t, s.RunDue(t.Context(), s.clock.Now()))
}

// Every order of the seven events of one payment, with duplicates, ends in one and
// the same ledger.
func TestEveryOrderOfEventsEndsInOneLedger(t *testing.T) {
	t.Parallel()
	all := permutations(7)
	seed := faults.Seed()
	mixed := rand.New(rand.NewPCG(seed, 1))
	mixed.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	all = all[:faults.Sized(40, len(all))]
	var first atomic.Pointer[string] // of all lanes
	inLanes(t, func(t *testing.T, db *models.DB, lane, of int) {
		s := openShop(t, db, "stammer", "")
		s.mode(t, "drop")
		random := rand.New(rand.NewPCG(seed, uint64(lane)))
		for n := lane; n < len(all); n += of {
			order := all[n]
			p := s.buy(t, fmt.Sprint("k", n), "credits-2000", 0)
			require.Equal(t, http.StatusOK, s.sim(t, "checkout/sessions/"+p.CheckoutSession+"/pay", url.Values{"method": {"pay_later"}}))
			require.Equal(t, http.StatusOK, s.sim(t, "checkout/sessions/"+p.CheckoutSession+"/settle", url.Values{"outcome": {"succeeded"}}))
			s.refund(t, p, 2_00)
			s.refund(t, p, 3_00)
			d := s.dispute(t, p, 10_00)
			s.bank(t, "disputes/"+d, url.Values{"outcome": {"win"}})
			events := s.eventsOf(t, p)
			require.Len(t, events, 7)
			for _, i := range order {
				s.deliver(t, events[i])
				if random.IntN(4) == 0 {
					s.deliver(t, events[i])
				}
			}
			s.clock.Advance(s.clock.Now().Add(2 * time.Minute)) //nolint:errcheck // forward
			require.NoError(t, s.RunDue(t.Context(), s.clock.Now()))
			got := s.ledgerOf(t, p)
			if first.CompareAndSwap(nil, &got) {
				t.Log(got)
			}
			require.Equal(t, *first.Load(), got, "order %v", order)
		}
		var waiting int64
		require.NoError(t, db.Read.Model(&models.StripeEvent{}).Where("state <> ?", models.EventProcessed).Count(&waiting).Error)
		require.Zero(t, waiting)
		faults.Tried(t, seed, "%d orders of a payment's seven events on %s, one ledger, lane %d", (len(all)-lane+of-1)/of, db.Dialect, lane+1)
	})
}

// Payments that are refunded, disputed and decided, whose events arrive mixed with
// one another's, several times, late or never: after one comparison with Stripe
// each stands where its bank says. A schedule is one payment's.
func TestEveryScheduleOfManyPaymentsEndsWhereTheBankSays(t *testing.T) {
	t.Parallel()
	seed := faults.Seed()
	const together = 5
	inLanes(t, func(t *testing.T, db *models.DB, lane, of int) {
		random := rand.New(rand.NewPCG(seed, uint64(lane)))
		var s *shop
		rounds := faults.Sized(8, 20_000/together/of)
		for round := range rounds {
			if round%40 == 0 { // a list of Stripe's is short enough to be compared often
				s = openShop(t, freshLike(t, db), "stammer", "")
				s.mode(t, "drop")
			}
			seen := map[string]bool{}
			for _, e := range s.listEvents(t) {
				id, _ := e["id"].(string)
				seen[id] = true
			}
			fates := make([]*fate, together)
			for i := range fates {
				fates[i] = &fate{p: s.buy(t, fmt.Sprint("r", round, ":", i), "credits-2000", 0), refunds: map[string]int64{}}
				s.pay(t, fates[i].p)
				s.happen(t, random, fates[i])
			}
			var events [][]byte
			for _, e := range s.listEvents(t) {
				if id, _ := e["id"].(string); seen[id] || random.IntN(4) == 0 {
					continue // never arrives
				}
				for range 1 + random.IntN(3) {
					events = append(events, encode(t, e))
				}
			}
			random.Shuffle(len(events), func(i, j int) { events[i], events[j] = events[j], events[i] })
			for i, raw := range events {
				require.NoError(t, s.ReceiveEvent(t.Context(), billing.EndpointPlatform, raw, stripesim.Sign(raw, "whsec_shop", time.Now())))
				if i%25 == 24 {
					require.NoError(t, s.RunDue(t.Context(), s.clock.Now()))
				}
			}
			require.NoError(t, s.clock.Advance(s.clock.Now().Add(6*time.Minute)))
			require.NoError(t, s.RunDue(t.Context(), s.clock.Now()))
			_, err := s.Reconcile(t.Context())
			require.NoError(t, err)
			for _, f := range fates {
				got := s.read(t, f.p)
				revoked, frozen := f.standing().Target(f.p.Credits)
				require.Equal(t, []models.Credits{revoked, frozen}, []models.Credits{got.Revoked, got.Frozen}, "round %d of lane %d: %+v", round, lane, f.standing())
			}
		}
		faults.Tried(t, seed, "%d schedules of events that come mixed, twice or never on %s, lane %d", rounds*together, db.Dialect, lane+1)
	})
}

// freshLike opens another database of the same kind.
func freshLike(t *testing.T, db *models.DB) *models.DB {
	t.Helper()
	if db.Dialect == models.Postgres {
		return modelstest.OpenPostgres(t)
	}
	out := modelstest.OpenSQLite(t)
	return out
}

// happen lets up to three things happen to a payment.
func (s *shop) happen(t *testing.T, random *rand.Rand, f *fate) {
	t.Helper()
	left := f.p.Price
	for range random.IntN(4) {
		switch random.IntN(4) {
		case 0, 1:
			if left > 1 {
				amount := 1 + random.Int64N(left-1)
				f.refunds[s.refund(t, f.p, amount)] = amount
				left -= amount
			}
		case 2:
			if f.outcome == "" {
				f.amount = 1 + random.Int64N(f.p.Price)
				f.dispute, f.outcome = s.dispute(t, f.p, f.amount), "open"
			}
		case 3:
			if f.outcome == "open" {
				f.outcome = []string{"won", "lost"}[random.IntN(2)]
				s.bank(t, "disputes/"+f.dispute, url.Values{"outcome": {map[string]string{"won": "win", "lost": "lose"}[f.outcome]}})
			}
		}
	}
}

func permutations(n int) [][]int {
	if n == 0 {
		return [][]int{{}}
	}
	var out [][]int
	for _, p := range permutations(n - 1) {
		for i := range n {
			out = append(out, slices.Insert(slices.Clone(p), i, n-1))
		}
	}
	return out
}

// eventsOf are the events of a payment that F-11 names, in the order they happened.
func (s *shop) eventsOf(t *testing.T, p models.Purchase) [][]byte {
	t.Helper()
	wanted := []string{
		"checkout.session.completed", "checkout.session.async_payment_succeeded", "payment_intent.succeeded", "charge.refunded",
		"charge.dispute.created", "charge.dispute.closed",
	}
	intent := ""
	var out [][]byte
	list := func(keep func(raw map[string]any, object map[string]any) bool) {
		t.Helper()
		for _, raw := range s.listEvents(t) {
			data, _ := raw["data"].(map[string]any)
			object, _ := data["object"].(map[string]any)
			if keep(raw, object) {
				out = append(out, encode(t, raw))
			}
		}
	}
	for _, raw := range s.listEvents(t) {
		data, _ := raw["data"].(map[string]any)
		object, _ := data["object"].(map[string]any)
		if object["id"] == p.CheckoutSession && object["payment_intent"] != nil {
			intent, _ = object["payment_intent"].(string)
		}
	}
	require.NotEmpty(t, intent)
	list(func(raw, object map[string]any) bool {
		kind, _ := raw["type"].(string)
		return slices.Contains(wanted, kind) && (object["id"] == p.CheckoutSession || object["id"] == intent || object["payment_intent"] == intent)
	})
	slices.Reverse(out)
	return out
}

// ledgerOf is everything that a purchase left behind, without ids and times.
func (s *shop) ledgerOf(t *testing.T, p models.Purchase) string {
	t.Helper()
	got := s.read(t, p)
	var out strings.Builder
	fmt.Fprintf(&out, "%s paid %d refunded %d dispute %q held %d lost %d revoked %s spent %s frozen %s\n", got.Status, got.Paid, got.Refunded,
		got.Dispute, got.DisputeHeld, got.DisputeLost, got.Revoked, got.RevokedSpent, got.Frozen)
	var lots []models.Lot
	require.NoError(t, s.db.Read.Where("agency_id = ? AND purchase_id = ?", p.AgencyID, p.ID).Find(&lots).Error)
	for _, l := range lots {
		fmt.Fprintf(&out, "lot %s of %s\n", l.Remaining, l.Granted)
		var entries []models.Entry
		require.NoError(t, s.db.Read.Where("agency_id = ? AND lot_id = ?", p.AgencyID, l.ID).Order("seq").Find(&entries).Error)
		for _, e := range entries {
			fmt.Fprintf(&out, "%s %s\n", ledger.Kind(e.Kind), e.Amount)
		}
	}
	return out.String()
}

// listEvents are the platform's events as Stripe's API lists them, newest first.
func (s *shop) listEvents(t *testing.T) []map[string]any {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.box+"/v1/events?limit=100", http.NoBody)
	require.NoError(t, err)
	req.Header.Set("Authorization", "Bearer sk_test_shop")
	res, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	defer res.Body.Close()
	var list struct {
		Data []map[string]any `json:"data"`
	}
	require.NoError(t, json.NewDecoder(res.Body).Decode(&list))
	return list.Data
}

func encode(t *testing.T, v any) []byte {
	t.Helper()
	out, err := json.Marshal(v)
	require.NoError(t, err)
	return out
}
