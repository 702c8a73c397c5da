package billing_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"refill/billing"
	"refill/billing/checkout"
	"refill/billing/demo"
	"refill/billing/ledger"
	"refill/billing/preset"
	"refill/billing/problem"
	"refill/billing/stripesim"
	"refill/models"
	"refill/models/modelstest"
	"refill/models/modelstest/faults"
)

// shop is an agency that can buy, with a Stripe in a box that delivers to it.
type shop struct {
	*billing.Service
	db      *models.DB
	clock   *demo.Clock
	box     string
	account *billing.Account

	gateway   *checkout.Gateway
	simulator *stripesim.Server
	meanwhile atomic.Pointer[func(*http.Request)] // what happens before Stripe's answer arrives
}

// shopAccount is the Stripe account the shop's agency may sell through.
const shopAccount = "acct_shop"

func openShop(t *testing.T, db *models.DB, presetName, plan string, more ...func(*checkout.Config)) *shop {
	t.Helper()
	s := &shop{db: db, clock: demo.NewClock(0)}
	sim, err := stripesim.New(stripesim.Config{
		Clock: s.clock, Secret: "sk_test_shop", Accounts: []stripesim.Account{{ID: shopAccount, Name: "Shop"}, {ID: "acct_other", Name: "Other"}},
	})
	require.NoError(t, err)
	box := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		meanwhile := s.meanwhile.Load()
		if meanwhile == nil {
			sim.ServeHTTP(w, r)
			return
		}
		late := httptest.NewRecorder()
		sim.ServeHTTP(late, r)
		(*meanwhile)(r)
		maps.Copy(w.Header(), late.Header())
		w.WriteHeader(late.Code)
		_, _ = w.Write(late.Body.Bytes())
	}))
	s.box, s.simulator = box.URL, sim
	cfg := checkout.Config{
		SecretKey: "sk_test_shop", WebhookSecrets: []string{"whsec_shop"}, ConnectWebhookSecrets: []string{"whsec_connect"}, BaseURL: box.URL,
	}
	for _, change := range more {
		change(&cfg)
	}
	gateway, err := checkout.New(cfg)
	require.NoError(t, err)
	s.gateway = gateway
	led, err := ledger.Open(t.Context(), db, ledger.Options{})
	require.NoError(t, err)
	s.Service, err = billing.New(billing.Config{DB: db, Ledger: led, Clock: s.clock, Payments: gateway, BaseURL: "http://localhost:1"})
	require.NoError(t, err)
	work, stop := context.WithCancel(t.Context())
	idle := make(chan struct{})
	go func() {
		defer close(idle)
		s.WorkInbox(work)
	}()
	hook := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err == nil {
			err = s.ReceiveEvent(r.Context(), strings.TrimPrefix(r.URL.Path, "/"), body, r.Header.Get("Stripe-Signature"))
		}
		if err != nil {
			w.WriteHeader(http.StatusBadRequest)
		}
	}))
	require.NoError(t, sim.SetEndpoints([]stripesim.Endpoint{
		{URL: hook.URL + "/" + billing.EndpointPlatform, Secret: "whsec_shop"},
		{URL: hook.URL + "/" + billing.EndpointConnect, Secret: "whsec_connect", Connect: true},
	}))
	t.Cleanup(func() {
		require.NoError(t, sim.Close())
		hook.Close()
		box.Close()
		stop()
		<-idle
		report, err := ledger.Audit(context.WithoutCancel(t.Context()), db, s.clock.Now())
		require.NoError(t, err)
		require.True(t, report.Clean(), "%s", report)
		require.NoError(t, led.Close())
	})
	catalogue, err := preset.Load(presetName)
	require.NoError(t, err)
	require.NoError(t, s.Import(t.Context(), catalogue, "test"))
	agency, err := s.CreateAgency(t.Context(), billing.AgencyInput{ExternalID: "shop", Name: "Shop", Plan: plan, By: "test"})
	require.NoError(t, err)
	s.account, err = s.AccountOf(t.Context(), agency.WalletID)
	require.NoError(t, err)
	return s
}

func (s *shop) buy(t *testing.T, key, pack string, quantity int64) models.Purchase {
	t.Helper()
	p, err := s.Buy(t.Context(), billing.BuyInput{Account: s.account, Pack: pack, Quantity: models.Credits(quantity) * models.Credit, Key: key, By: "test"})
	require.NoError(t, err)
	require.NotEmpty(t, p.CheckoutURL)
	return p
}

// sim posts to the simulator's control door.
func (s *shop) sim(t *testing.T, path string, form url.Values) int {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.box+"/_sim/"+path, strings.NewReader(form.Encode()))
	require.NoError(t, err)
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	res, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	require.NoError(t, res.Body.Close())
	return res.StatusCode
}

func (s *shop) pay(t *testing.T, p models.Purchase) {
	t.Helper()
	require.Equal(t, http.StatusOK, s.sim(t, "checkout/sessions/"+p.CheckoutSession+"/pay", url.Values{"card": {"4242424242424242"}}))
}

func (s *shop) mode(t *testing.T, mode string) {
	t.Helper()
	body, err := json.Marshal(map[string]any{"mode": mode})
	require.NoError(t, err)
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.box+"/_sim/webhooks", bytes.NewReader(body))
	require.NoError(t, err)
	req.Header.Set("Content-Type", "application/json")
	res, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	require.NoError(t, res.Body.Close())
	require.Equal(t, http.StatusOK, res.StatusCode)
}

func (s *shop) status(t *testing.T, p models.Purchase) models.PurchaseStatus {
	t.Helper()
	got, err := s.Purchase(t.Context(), p.AgencyID, p.ID)
	require.NoError(t, err)
	return got.Status
}

func (s *shop) becomes(t *testing.T, p models.Purchase, want models.PurchaseStatus) {
	t.Helper()
	require.Eventually(t, func() bool { return s.status(t, p) == want }, 15*time.Second, 10*time.Millisecond)
}

func (s *shop) purchased(t *testing.T) models.Credits {
	t.Helper()
	v, err := s.Wallet(t.Context(), s.account)
	require.NoError(t, err)
	return v.Balance.Purchased
}

func TestAPaidPurchaseIsCreditedOnce(t *testing.T) {
	t.Parallel()
	modelstest.Each(t, func(t *testing.T, db *models.DB) {
		s := openShop(t, db, "stammer", "")
		front, err := s.Storefront(t.Context(), s.account)
		require.NoError(t, err)
		p := s.buy(t, "k", "credits-12500", 0)
		again := s.buy(t, "k", "credits-12500", 0)
		require.Equal(t, p.ID, again.ID, "the same attempt is the same purchase")
		s.pay(t, p)
		s.becomes(t, p, models.PurchaseCredited)
		// One delivery 64 times at once, beside 64 askings.
		var event models.StripeEvent
		require.NoError(t, db.Read.Where("type = ?", "checkout.session.completed").Take(&event).Error)
		signature := stripesim.Sign(event.Payload, "whsec_shop", time.Now())
		var wg sync.WaitGroup
		for range 64 {
			wg.Go(func() {
				if err := s.ReceiveEvent(t.Context(), billing.EndpointPlatform, event.Payload, signature); err != nil {
					t.Error(err)
				}
			})
			wg.Go(func() {
				if _, err := s.Settle(t.Context(), p.AgencyID, p.ID); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		require.Equal(t, 12_500*models.Credit, s.purchased(t))
		got, err := s.Purchase(t.Context(), p.AgencyID, p.ID)
		require.NoError(t, err)
		require.Equal(t, front.Offers[1].After, got.BalanceAfter, "what was shown before paying is what came of it")
		require.EqualValues(t, 1, got.ReceiptNumber)
		var lots int64
		require.NoError(t, db.Read.Model(&models.Lot{}).Where("source = ?", models.SourcePurchase).Count(&lots).Error)
		require.EqualValues(t, 1, lots)
	})
}

func TestAFirstSettlementRacesWithItself(t *testing.T) {
	t.Parallel()
	modelstest.Each(t, func(t *testing.T, db *models.DB) {
		s := openShop(t, db, "stammer", "")
		s.mode(t, "drop")
		p := s.buy(t, "k", "credits-2000", 0)
		s.pay(t, p)
		require.Equal(t, models.PurchaseOpen, s.status(t, p), "nobody was told")
		var wg sync.WaitGroup
		for range 32 {
			wg.Go(func() {
				if _, err := s.Settle(t.Context(), p.AgencyID, p.ID); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		require.Equal(t, models.PurchaseCredited, s.status(t, p))
		require.Equal(t, 2000*models.Credit, s.purchased(t))
	})
}

// With every delivery lost, asking on a schedule credits all the same.
func TestThePollerCreditsWithoutWebhooks(t *testing.T) {
	t.Parallel()
	modelstest.Each(t, func(t *testing.T, db *models.DB) {
		s := openShop(t, db, "stammer", "")
		s.mode(t, "drop")
		p := s.buy(t, "k", "credits-2000", 0)
		s.pay(t, p)
		for range 3 {
			require.NoError(t, s.clock.Advance(s.clock.Now().Add(time.Minute)))
			require.NoError(t, s.RunDue(t.Context(), s.clock.Now()))
		}
		require.Equal(t, models.PurchaseCredited, s.status(t, p))
		require.Equal(t, 2000*models.Credit, s.purchased(t))
	})
}

func TestWaysNotToBeCredited(t *testing.T) {
	t.Parallel()
	modelstest.Each(t, func(t *testing.T, db *models.DB) {
		s := openShop(t, db, "stammer", "")
		declined := s.buy(t, "declined", "credits-2000", 0)
		require.Equal(t, http.StatusPaymentRequired, s.sim(t, "checkout/sessions/"+declined.CheckoutSession+"/pay", url.Values{"card": {"4000000000009995"}}))
		got, err := s.Settle(t.Context(), declined.AgencyID, declined.ID)
		require.NoError(t, err)
		require.Equal(t, models.PurchaseOpen, got.Status, "the buyer may try another card")
		require.NotEmpty(t, got.StatusNote, "and is told why")

		cancelled := s.buy(t, "cancelled", "credits-2000", 0)
		got, err = s.Cancel(t.Context(), cancelled.AgencyID, cancelled.ID)
		require.NoError(t, err)
		require.Equal(t, models.PurchaseCancelled, got.Status)

		later := s.buy(t, "later", "credits-2000", 0)
		require.Equal(t, http.StatusOK, s.sim(t, "checkout/sessions/"+later.CheckoutSession+"/pay", url.Values{"method": {"pay_later"}}))
		s.becomes(t, later, models.PurchaseProcessing)
		bounced := s.buy(t, "bounced", "credits-2000", 0)
		require.Equal(t, http.StatusOK, s.sim(t, "checkout/sessions/"+bounced.CheckoutSession+"/pay", url.Values{"method": {"pay_later"}}))
		require.Equal(t, http.StatusOK, s.sim(t, "checkout/sessions/"+bounced.CheckoutSession+"/settle", url.Values{"outcome": {"failed"}}))
		s.becomes(t, bounced, models.PurchaseFailed)
		require.Zero(t, s.purchased(t), "no credits before the money")
		require.Equal(t, http.StatusOK, s.sim(t, "checkout/sessions/"+later.CheckoutSession+"/settle", url.Values{"outcome": {"succeeded"}}))
		s.becomes(t, later, models.PurchaseCredited)

		expired := s.buy(t, "expired", "credits-2000", 0)
		require.NoError(t, s.clock.Advance(s.clock.Now().Add(2*billing.SessionLife)))
		require.NoError(t, s.RunDue(t.Context(), s.clock.Now()))
		require.Equal(t, models.PurchaseExpired, s.status(t, expired))
		require.Equal(t, models.PurchaseExpired, s.status(t, declined))
		require.Equal(t, 2000*models.Credit, s.purchased(t))
	})
}

// A payment whose facts differ from our row waits for a person.
func TestAPaymentThatDoesNotMatchIsReviewed(t *testing.T) {
	t.Parallel()
	modelstest.Each(t, func(t *testing.T, db *models.DB) {
		s := openShop(t, db, "stammer", "")
		for column, value := range map[string]any{"price": 1, "currency": "eur", "live": true, "account": "acct_other"} {
			p := s.buy(t, "k-"+column, "credits-2000", 0)
			s.mode(t, "drop")
			s.pay(t, p)
			require.NoError(t, db.Write.Model(&models.Purchase{}).Where("agency_id = ? AND id = ?", p.AgencyID, p.ID).Update(column, value).Error)
			got, err := s.Settle(t.Context(), p.AgencyID, p.ID)
			if column == "account" {
				require.True(t, problem.Is(err, "payment_unavailable"), "that account has no such session: %v", err)
				// The audit at the end would find it: packs are paid into the platform's.
				require.NoError(t, db.Write.Model(&models.Purchase{}).Where("agency_id = ? AND id = ?", p.AgencyID, p.ID).Update(column, "").Error)
				continue
			}
			require.NoError(t, err)
			require.Equal(t, models.PurchaseReview, got.Status, column)
			require.NotEmpty(t, got.StatusNote)
		}
		require.Zero(t, s.purchased(t))

		paid, other := s.buy(t, "k-paid", "credits-2000", 0), s.buy(t, "k-other", "credits-2000", 0)
		s.pay(t, paid)
		is := func(p *models.Purchase, session string) {
			require.NoError(t, db.Write.Model(&models.Purchase{}).Where("agency_id = ? AND id = ?", p.AgencyID, p.ID).Update("checkout_session", session).Error)
		}
		is(&paid, "cs_swapped")
		is(&other, paid.CheckoutSession)
		got, err := s.Settle(t.Context(), other.AgencyID, other.ID)
		require.NoError(t, err)
		require.Equal(t, models.PurchaseReview, got.Status, "what is paid by one purchase's session gives another nothing")
		require.Equal(t, "The payment carries another reference.", got.StatusNote)
		require.Zero(t, s.purchased(t))
	})
}

// A payment provider that fails, or whose answer is lost, charges nobody twice.
func TestBuyingThroughFaults(t *testing.T) {
	t.Parallel()
	modelstest.Each(t, func(t *testing.T, db *models.DB) {
		s := openShop(t, db, "stammer", "")
		in := billing.BuyInput{Account: s.account, Pack: "credits-2000", Key: "k", By: "test"}
		require.Equal(t, http.StatusOK, s.sim(t, "faults", url.Values{"path": {"/v1/checkout/sessions"}, "fault": {"500"}, "count": {"9"}}))
		_, err := s.Buy(t.Context(), in)
		require.True(t, problem.Is(err, "payment_unavailable"), "%v", err)
		require.Equal(t, http.StatusOK, s.sim(t, "faults", url.Values{"path": {"/v1/checkout/sessions"}, "fault": {"500"}, "count": {"0"}}))
		p, err := s.Buy(t.Context(), in)
		require.NoError(t, err)
		s.pay(t, p)
		s.becomes(t, p, models.PurchaseCredited)
		require.Equal(t, 2000*models.Credit, s.purchased(t))
		other := in
		other.Pack = "credits-12500"
		_, err = s.Buy(t.Context(), other)
		require.True(t, problem.Is(err, "idempotency_key_reused"), "%v", err)
	})
}

// Sixty-four deliveries of each of a payment's events at once, round after round:
// one grant each.
func TestEveryEventDeliveredManyTimesAtOnce(t *testing.T) {
	t.Parallel()
	inLanes(t, func(t *testing.T, db *models.DB, lane, of int) {
		s := openShop(t, db, "stammer", "")
		s.mode(t, "drop")
		rounds := faults.Sized(4, 2_000/of)
		for round := range rounds {
			if round%100 == 99 { // a wallet has room for so many purchases
				agency, err := s.CreateAgency(t.Context(), billing.AgencyInput{ExternalID: fmt.Sprint("more", round), Name: "More", By: "test"})
				require.NoError(t, err)
				s.account, err = s.AccountOf(t.Context(), agency.WalletID)
				require.NoError(t, err)
			}
			had := s.purchased(t)
			p := s.buy(t, fmt.Sprint("k", round), "credits-2000", 0)
			s.pay(t, p)
			events := s.eventsOf(t, p)
			require.NotEmpty(t, events)
			var wg sync.WaitGroup
			for i := range 64 {
				raw := events[i%len(events)]
				wg.Go(func() {
					if err := s.ReceiveEvent(t.Context(), billing.EndpointPlatform, raw, stripesim.Sign(raw, "whsec_shop", time.Now())); err != nil {
						t.Error(err)
					}
				})
				if i%16 == 0 {
					wg.Go(func() {
						if _, err := s.Settle(t.Context(), p.AgencyID, p.ID); err != nil {
							t.Error(err)
						}
					})
				}
			}
			wg.Wait()
			require.NoError(t, s.RunDue(t.Context(), s.clock.Now()))
			require.Equal(t, had+2*thousand, s.purchased(t), "round %d of lane %d", round, lane)
		}
		faults.Raced(t, "%d payments, each event delivered 64 times at once on %s, lane %d", rounds, db.Dialect, lane+1)
	})
}

// Whatever Stripe's answers are like (failures, answers lost after the work was
// done), an attempt that is made again and again opens one checkout, and what is
// paid is credited once.
func TestEveryAttemptThroughFaultsIsOnePurchase(t *testing.T) {
	t.Parallel()
	seed := faults.Seed()
	inLanes(t, func(t *testing.T, db *models.DB, lane, of int) {
		s := openShop(t, db, "stammer", "")
		s.mode(t, "drop")
		random := rand.New(rand.NewPCG(seed, uint64(lane)))
		attempts := faults.Sized(10, 1_250/of) // four calls of Stripe and more for each
		for n := range attempts {
			if n%100 == 99 {
				agency, err := s.CreateAgency(t.Context(), billing.AgencyInput{ExternalID: fmt.Sprint("more", n), Name: "More", By: "test"})
				require.NoError(t, err)
				s.account, err = s.AccountOf(t.Context(), agency.WalletID)
				require.NoError(t, err)
			}
			had := s.purchased(t)
			in := billing.BuyInput{Account: s.account, Pack: "credits-2000", Key: fmt.Sprint("k", n), By: "test"}
			fault := func(path, count string) {
				t.Helper()
				kind := []string{"500", "timeout_after_success"}[random.IntN(2)]
				require.Equal(t, http.StatusOK, s.sim(t, "faults", url.Values{"path": {path}, "fault": {kind}, "count": {count}}))
			}
			fault("/v1/checkout/sessions", strconv.Itoa(1+random.IntN(5)))
			var p models.Purchase
			var err error
			sessions := map[string]bool{}
			for range 8 {
				if p, err = s.Buy(t.Context(), in); err == nil {
					sessions[p.CheckoutSession] = true
				} else {
					require.True(t, problem.Is(err, "payment_unavailable"), "%v", err)
				}
			}
			require.NoError(t, err)
			require.Len(t, sessions, 1, "one attempt, one checkout")
			s.pay(t, p)
			fault("/v1/checkout/sessions", strconv.Itoa(1+random.IntN(3)))
			for range 6 {
				_, err = s.Settle(t.Context(), p.AgencyID, p.ID)
			}
			require.NoError(t, err)
			require.Equal(t, had+2*thousand, s.purchased(t), "attempt %d of lane %d", n, lane)
		}
		faults.Tried(t, seed, "%d purchases through failures and lost answers of Stripe's on %s, lane %d", attempts, db.Dialect, lane+1)
	})
}

func TestWhatAPlanSells(t *testing.T) {
	t.Parallel()
	modelstest.Each(t, func(t *testing.T, db *models.DB) {
		s := openShop(t, db, "tawk", "hobby")
		_, err := s.Buy(t.Context(), billing.BuyInput{Account: s.account, Pack: "message-credits", Quantity: 1000 * models.Credit, Key: "k", By: "test"})
		require.True(t, problem.Is(err, "not_for_sale"), "%v", err)
		require.NoError(t, s.ChangePlan(t.Context(), s.account.Agency.ID, "growth", "test"))
		for _, n := range []int64{0, -1000, 999, 1500, 1_000_000_000_000} {
			_, err := s.Buy(t.Context(), billing.BuyInput{
				Account: s.account, Pack: "message-credits", Quantity: models.Credits(n) * models.Credit, Key: fmt.Sprint("q", n), By: "test",
			})
			require.True(t, problem.Is(err, "invalid_quantity"), "%d: %v", n, err)
		}
	})
}

// 1,000 bought with 223 of excess leaves 777, as shown before paying, and the
// ledger says why.
func TestAPurchasePaysExcessOffFirst(t *testing.T) {
	t.Parallel()
	modelstest.Each(t, func(t *testing.T, db *models.DB) {
		s := openShop(t, db, "tawk", "growth")
		for i := range 1223 {
			_, err := s.Charge(t.Context(), billing.Scope{}, billing.ChargeInput{Wallet: "agency:shop", Key: strconv.Itoa(i), Action: "ai.message"})
			require.NoError(t, err)
		}
		front, err := s.Storefront(t.Context(), s.account)
		require.NoError(t, err)
		require.Equal(t, 223*models.Credit, front.Wallet.Balance.Excess)
		require.Equal(t, 777*models.Credit, front.Offers[0].After)
		require.Equal(t, 223*models.Credit, front.Offers[0].Settled)
		p := s.buy(t, "k", "message-credits", 1000)
		s.pay(t, p)
		s.becomes(t, p, models.PurchaseCredited)
		view, err := s.Wallet(t.Context(), s.account)
		require.NoError(t, err)
		require.Equal(t, 777*models.Credit, view.Balance.Available)
		require.Zero(t, view.Balance.Excess)
		var entries []models.Entry
		require.NoError(t, db.Read.Where("act_id = (SELECT act_id FROM purchases)").Order("seq").Find(&entries).Error)
		require.Len(t, entries, 2)
		require.Equal(t, int16(ledger.Grant), entries[0].Kind)
		require.Equal(t, int16(ledger.Settle), entries[1].Kind)
		require.Equal(t, 223*models.Credit, entries[1].Amount)
		require.Equal(t, 777*models.Credit, entries[1].Balance)
	})
}
