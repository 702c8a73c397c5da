package billing_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"refill/billing"
	"refill/billing/problem"
	"refill/models"
	"refill/models/modelstest"
)

// The test cards of this file.
const (
	cardPays         = "4242424242424242"
	cardOther        = "5555555555554444"
	cardDeclines     = "4000000000000341" // can be saved
	cardSetUp        = "4000002500003155" // authenticated once, when it is saved
	cardAuthenticate = "4000002760003184"
	cardStolen       = "4000000000009979"
	cardPoor         = "4000000000009995"
)

// save saves a card for an account, as its people do.
func (s *shop) save(t *testing.T, who *billing.Account, card string) models.TopUp {
	t.Helper()
	link, err := s.AddCard(t.Context(), billing.SaveCardInput{Account: who, Email: "ada@shop.example"})
	require.NoError(t, err)
	session := link[len(s.box+"/c/pay/"):]
	require.Equal(t, http.StatusOK, s.sim(t, "checkout/sessions/"+session+"/pay", url.Values{"card": {card}, "authenticate": {"true"}}))
	got, err := s.TakeCard(t.Context(), who, session, "test")
	require.NoError(t, err)
	return got
}

// bankSays has a saved card answer like another from now on.
func (s *shop) bankSays(t *testing.T, who *billing.Account, card string) {
	t.Helper()
	require.Equal(t, http.StatusOK, s.sim(t, "payment_methods/"+s.topUp(t, who).PaymentMethod, url.Values{"card": {card}}))
}

func (s *shop) topUp(t *testing.T, who *billing.Account) billing.TopUpView {
	t.Helper()
	v, err := s.TopUp(t.Context(), who)
	require.NoError(t, err)
	return v
}

// turnOn buys packs of 2,000 for $10 below a threshold.
func (s *shop) turnOn(t *testing.T, below models.Credits, limit int64, more ...func(*billing.TopUpInput)) models.Purchase {
	t.Helper()
	in := billing.TopUpInput{Account: s.account, Threshold: below, Offer: "credits-2000", Limit: models.Money{Amount: limit, Currency: "usd"}, By: "test"}
	for _, f := range more {
		f(&in)
	}
	_, p, err := s.TurnTopUpOn(t.Context(), in)
	require.NoError(t, err)
	return p
}

// attempts are a wallet's automatic purchases, oldest first.
func (s *shop) attempts(t *testing.T, who *billing.Account) []models.Purchase {
	t.Helper()
	var out []models.Purchase
	require.NoError(t, s.db.Read.Where("wallet_id = ? AND origin = 'automatic'", who.Wallet).Order("created_at, id").Find(&out).Error)
	return out
}

// charged counts the payments that the simulator has taken or tried, by state.
func (s *shop) charged(t *testing.T, account string) map[string]int {
	t.Helper()
	out := map[string]int{}
	for after, more := "", true; more; {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.box+"/v1/charges?limit=100"+after, http.NoBody)
		require.NoError(t, err)
		req.Header.Set("Authorization", "Bearer sk_test_shop")
		if account != "" {
			req.Header.Set("Stripe-Account", account)
		}
		res, err := http.DefaultClient.Do(req)
		require.NoError(t, err)
		var list struct {
			Data []struct {
				ID     string `json:"id"`
				Status string `json:"status"`
			} `json:"data"`
			More bool `json:"has_more"`
		}
		require.NoError(t, json.NewDecoder(res.Body).Decode(&list))
		require.NoError(t, res.Body.Close())
		for _, ch := range list.Data {
			out[ch.Status]++
			after = "&starting_after=" + ch.ID
		}
		more = list.More
	}
	return out
}

// told counts the notices of a wallet by event.
func (s *shop) told(t *testing.T, who *billing.Account) map[models.NoticeEvent]int {
	t.Helper()
	var rows []models.Notice
	require.NoError(t, s.db.Read.Where("wallet_id = ? AND event LIKE 'topup.%'", who.Wallet).Find(&rows).Error)
	out := map[models.NoticeEvent]int{}
	for _, n := range rows {
		out[n.Event]++
	}
	return out
}

// use takes credits from a wallet.
func (s *shop) use(t *testing.T, who *billing.Account, n int64, key string) {
	t.Helper()
	_, err := s.Adjust(t.Context(), billing.AdjustInput{
		Agency: who.Agency.ID, Wallet: who.Wallet, Credits: -models.Credits(n) * models.Credit, Reason: "used", Key: key, By: "test",
	})
	require.NoError(t, err)
}

func TestTopUpBuysAtOnceAndThenBelowTheLine(t *testing.T) {
	t.Parallel()
	modelstest.Each(t, func(t *testing.T, db *models.DB) {
		s := openShop(t, db, "stammer", "")
		s.dry(t)
		require.Equal(t, models.TopUpOff, s.topUp(t, s.account).State)
		_, _, err := s.TurnTopUpOn(t.Context(), billing.TopUpInput{
			Account: s.account, Threshold: thousand, Offer: "credits-2000", Limit: models.Money{Amount: 100_00, Currency: "usd"}, By: "test",
		})
		require.True(t, problem.Is(err, "no_card"), "%v", err)
		saved := s.save(t, s.account, cardPays)
		require.Equal(t, []any{"visa", "4242", models.TopUpOff}, []any{saved.CardBrand, saved.CardLast4, saved.State}, "a card turns nothing on")
		require.Empty(t, s.charged(t, ""), "nor is it charged")

		plan, err := s.PlanTopUp(t.Context(), billing.TopUpInput{Account: s.account, Threshold: thousand, Offer: "credits-2000", Limit: models.Money{Amount: 100_00, Currency: "usd"}})
		require.NoError(t, err)
		require.True(t, plan.Now)
		require.Equal(t, models.Money{Amount: 10_00, Currency: "usd"}, plan.Price)
		p := s.turnOn(t, thousand, 100_00)
		require.Equal(t, models.PurchaseCredited, p.Status, p.StatusNote)
		require.Equal(t, 2*thousand, s.left(t, s.account))
		require.Equal(t, map[string]int{"succeeded": 1}, s.charged(t, ""))
		require.Equal(t, map[models.NoticeEvent]int{models.NoticeTopUpDone: 1}, s.told(t, s.account))
		require.Equal(t, "/purchases/"+p.ID.String()+"/receipt", s.said(t, s.account, models.NoticeTopUpDone).Path)

		s.use(t, s.account, 500, "a")
		s.later(t, 2*time.Hour)
		require.Len(t, s.attempts(t, s.account), 1, "1,500 is not below 1,000")
		s.use(t, s.account, 600, "b")
		s.later(t, time.Minute)
		require.Len(t, s.attempts(t, s.account), 2)
		require.Equal(t, 2_900*models.Credit, s.left(t, s.account))
		s.use(t, s.account, 2_000, "c")
		s.later(t, time.Minute)
		require.Len(t, s.attempts(t, s.account), 2, "at most once an hour")
		s.later(t, time.Hour)
		require.Len(t, s.attempts(t, s.account), 3)

		require.NoError(t, s.TurnTopUpOff(t.Context(), s.account, "test"))
		s.use(t, s.account, 2_500, "d")
		s.later(t, 2*time.Hour)
		require.Len(t, s.attempts(t, s.account), 3, "off is off")
		var log int64
		require.NoError(t, db.Read.Model(&models.AuditEntry{}).Where("action IN ('top_up.on', 'top_up.off', 'top_up.card')").Count(&log).Error)
		require.EqualValues(t, 3, log)
	})
}

// F-31: at most four tries in 30 days with spending every hour, and the owner is
// told of the first.
func TestADecliningCardForThirtyDays(t *testing.T) {
	t.Parallel()
	modelstest.Each(t, func(t *testing.T, db *models.DB) {
		s := openShop(t, db, "stammer", "")
		s.dry(t)
		s.save(t, s.account, cardDeclines)
		p := s.turnOn(t, 5*thousand, 1_000_00)
		require.Equal(t, models.PurchaseFailed, p.Status)
		require.Equal(t, map[models.NoticeEvent]int{models.NoticeTopUpFailed: 1}, s.told(t, s.account), "told of the first")
		retried := 0
		for day := range 30 {
			for range 8 {
				s.later(t, 3*time.Hour)
			}
			if v := s.topUp(t, s.account); v.Retryable && day%3 == 0 {
				_, err := s.RetryTopUp(t.Context(), s.account, "test")
				require.NoError(t, err)
				retried++
			}
		}
		require.Equal(t, 1, retried, "a person may try once more, and no more than that")
		require.Equal(t, map[string]int{"failed": 4}, s.charged(t, ""))
		v := s.topUp(t, s.account)
		require.Equal(t, []any{models.TopUpPaused, models.TopUpDeclined}, []any{v.State, v.Reason})
		require.Equal(t, 2, s.told(t, s.account)[models.NoticeTopUpPaused], "after the third, and after the one that was asked for")

		// The same card saved again is the same card.
		link, err := s.AddCard(t.Context(), billing.SaveCardInput{Account: s.account})
		require.NoError(t, err)
		session := link[len(s.box+"/c/pay/"):]
		require.Equal(t, http.StatusOK, s.sim(t, "checkout/sessions/"+session+"/pay", url.Values{"card": {cardDeclines}}))
		_, err = s.TakeCard(t.Context(), s.account, session, "test")
		require.True(t, problem.Is(err, "same_card"), "%v", err)
		s.later(t, 2*time.Hour)
		require.Equal(t, map[string]int{"failed": 4}, s.charged(t, ""))
		if left := s.left(t, s.account); left > 0 { // the plan's credits of the next month
			s.use(t, s.account, int64(left/models.Credit), "reset")
		}
		// Another one lets it go on by itself.
		require.Equal(t, models.TopUpOn, s.save(t, s.account, cardPays).State)
		s.later(t, time.Minute)
		require.Equal(t, 6*thousand, s.left(t, s.account), "three packs in one payment: 5,000 are wanted")
		require.Equal(t, map[string]int{"failed": 4, "succeeded": 1}, s.charged(t, ""))
	})
}

// cardDeclined is what the shop's balance says of its card.
func (s *shop) cardDeclined(t *testing.T) bool {
	t.Helper()
	v, err := s.Wallet(t.Context(), s.account)
	require.NoError(t, err)
	return v.CardDeclined
}

// The first try after a decline waits an hour, the next three.
func TestADeclinedCardRests(t *testing.T) {
	t.Parallel()
	modelstest.Each(t, func(t *testing.T, db *models.DB) {
		s := openShop(t, db, "stammer", "")
		s.dry(t)
		s.save(t, s.account, cardPays)
		s.bankSays(t, s.account, cardPoor)
		began := s.clock.Now()
		require.False(t, s.cardDeclined(t))
		s.turnOn(t, thousand, 100_00)
		require.True(t, s.cardDeclined(t), "still on, and declined")
		for range 60 {
			s.later(t, 10*time.Minute)
		}
		var waits []time.Duration
		for _, p := range s.attempts(t, s.account) {
			waits = append(waits, p.CreatedAt.Sub(began).Round(10*time.Minute))
			require.Equal(t, "insufficient_funds", p.FailureCode)
		}
		require.Equal(t, []time.Duration{0, time.Hour, 4 * time.Hour}, waits)
		require.Equal(t, models.TopUpDeclined, s.topUp(t, s.account).Reason, "three in a row pause it")
		require.True(t, s.cardDeclined(t))
	})
}

func TestAStolenCardPausesAtOnce(t *testing.T) {
	t.Parallel()
	modelstest.Each(t, func(t *testing.T, db *models.DB) {
		s := openShop(t, db, "stammer", "")
		s.dry(t)
		s.save(t, s.account, cardPays)
		s.bankSays(t, s.account, cardStolen)
		s.turnOn(t, thousand, 100_00)
		v := s.topUp(t, s.account)
		require.Equal(t, []any{models.TopUpPaused, models.TopUpBlocked}, []any{v.State, v.Reason})
		require.NotContains(t, v.Note, "stolen", "who holds the card is not told what its bank thinks")
		require.False(t, v.Retryable)
		_, err := s.RetryTopUp(t.Context(), s.account, "test")
		require.True(t, problem.Is(err, "not_retryable"))
		for range 20 {
			s.later(t, 12*time.Hour)
		}
		require.Equal(t, map[string]int{"failed": 1}, s.charged(t, ""))
		require.Equal(t, map[models.NoticeEvent]int{models.NoticeTopUpPaused: 1}, s.told(t, s.account), "of one decline once")
		require.Contains(t, s.said(t, s.account, models.NoticeTopUpPaused).Lines[1], v.Note, "with the bank's reason")
	})
}

// F-32: the bank wants to see the owner. Nothing loops; they pay once at a
// checkout, and what they pay with goes on by itself.
func TestTheBankWantsToSeeTheOwner(t *testing.T) {
	t.Parallel()
	modelstest.Each(t, func(t *testing.T, db *models.DB) {
		s := openShop(t, db, "stammer", "")
		s.dry(t)
		s.save(t, s.account, cardAuthenticate)
		p := s.turnOn(t, thousand, 100_00)
		require.Equal(t, []any{models.PurchaseFailed, "authentication_required"}, []any{p.Status, p.FailureCode})
		for range 10 {
			s.later(t, 12*time.Hour)
		}
		require.Equal(t, map[string]int{"failed": 1}, s.charged(t, ""), "no loop")
		require.Equal(t, 1, s.told(t, s.account)[models.NoticeTopUpPaused])
		require.True(t, s.cardDeclined(t))

		pay, err := s.PayTopUp(t.Context(), s.account, "k", "ada@shop.example", "test")
		require.NoError(t, err)
		require.Equal(t, 2*thousand, pay.Credits)
		require.Equal(t, http.StatusOK, s.sim(t, "checkout/sessions/"+pay.CheckoutSession+"/pay", url.Values{"card": {cardOther}}))
		s.becomes(t, pay, models.PurchaseCredited)
		v := s.topUp(t, s.account)
		require.Equal(t, []any{models.TopUpOn, "4444"}, []any{v.State, v.CardLast4})
		s.cardEvents(t, "payment_method.detached", 1)
		var log []models.AuditEntry
		require.NoError(t, db.Read.Where("action = 'top_up.card'").Order("id").Find(&log).Error)
		require.Len(t, log, 2)
		require.Contains(t, log[1].Detail, "4444")
		require.False(t, s.cardDeclined(t))
		s.use(t, s.account, 1_500, "used")
		s.later(t, 2*time.Hour)
		require.Equal(t, 2_500*models.Credit, s.left(t, s.account), "it buys by itself again")
		_, err = s.PayTopUp(t.Context(), s.account, "k2", "", "test")
		require.True(t, problem.Is(err, "nothing_to_pay"))
	})
}

// A card that was authenticated when it was saved is charged without its owner.
func TestACardAuthenticatedOnceIsCharged(t *testing.T) {
	t.Parallel()
	modelstest.Each(t, func(t *testing.T, db *models.DB) {
		s := openShop(t, db, "stammer", "")
		s.dry(t)
		s.save(t, s.account, cardSetUp)
		require.Equal(t, models.PurchaseCredited, s.turnOn(t, thousand, 100_00).Status)
	})
}

// The answer to the charge is lost, or the process dies before it: whoever looks
// next finds the payment at Stripe and books it once.
func TestALostAnswerIsFoundAgain(t *testing.T) {
	t.Parallel()
	modelstest.Each(t, func(t *testing.T, db *models.DB) {
		s := openShop(t, db, "stammer", "")
		s.dry(t)
		s.save(t, s.account, cardPays)
		s.mode(t, "drop") // no event helps
		lose := func(path, fault string, count int) {
			require.Equal(t, http.StatusOK, s.sim(t, "faults", url.Values{"path": {path}, "fault": {fault}, "count": {strconv.Itoa(count)}}))
		}
		lose("POST /v1/payment_intents", "timeout_after_success", 10)
		lose("GET /v1/payment_intents", "500", 10)
		p := s.turnOn(t, thousand, 100_00)
		require.True(t, p.ID.IsZero() || p.Status == models.PurchaseOpen)
		require.Len(t, s.attempts(t, s.account), 1)
		require.Zero(t, s.left(t, s.account))
		lose("POST /v1/payment_intents", "timeout_after_success", 0)
		lose("GET /v1/payment_intents", "500", 0)
		// The memory of its key is gone too: nothing but the list can tell.
		s.later(t, 25*time.Hour)
		require.Equal(t, 2*thousand, s.left(t, s.account))
		require.Equal(t, map[string]int{"succeeded": 1}, s.charged(t, ""))
		require.Equal(t, models.PurchaseCredited, s.attempts(t, s.account)[0].Status)
		run, err := s.Reconcile(t.Context())
		require.NoError(t, err)
		require.EqualValues(t, 1, run.Payments, "Stripe's list of payments has it")
	})
}

// Stripe fails and remembers that: the attempt ends without a charge, and does not
// count against the card.
func TestAnOutageIsNotADecline(t *testing.T) {
	t.Parallel()
	modelstest.Each(t, func(t *testing.T, db *models.DB) {
		s := openShop(t, db, "stammer", "")
		s.dry(t)
		s.save(t, s.account, cardPays)
		s.fault(t, "POST /v1/payment_intents", 1)
		s.turnOn(t, thousand, 100_00)
		for range 14 {
			s.later(t, 10*time.Minute)
		}
		require.Equal(t, 2*thousand, s.left(t, s.account))
		require.Equal(t, map[string]int{"succeeded": 1}, s.charged(t, ""))
		require.Zero(t, s.topUp(t, s.account).Declines)
		require.Zero(t, s.told(t, s.account)[models.NoticeTopUpFailed])
	})
}

// A debt of several packs is one payment, as far as the month's limit goes; the
// rest waits for the next month, or for a higher limit.
func TestADebtOfSeveralPacksAndTheLimit(t *testing.T) {
	t.Parallel()
	modelstest.Each(t, func(t *testing.T, db *models.DB) {
		s := openShop(t, db, "stammer", "")
		s.dry(t)
		s.save(t, s.account, cardPays)
		p := s.turnOn(t, 9*thousand, 40_00)
		require.Equal(t, []any{8 * thousand, int64(40_00), "4 × 2,000 credits"}, []any{p.Credits, p.Price, p.Title}, "five would be right, four are allowed")
		s.use(t, s.account, 8_000, "used")
		s.later(t, 2*time.Hour)
		v := s.topUp(t, s.account)
		require.Equal(t, []any{models.TopUpPaused, models.TopUpLimit, v.MonthEnds, int64(40_00)}, []any{v.State, v.Reason, v.DueAt, v.Spent})
		require.Equal(t, 1, s.told(t, s.account)[models.NoticeTopUpLimit])
		s.later(t, 24*time.Hour)
		require.Equal(t, map[string]int{"succeeded": 1}, s.charged(t, ""))
		require.NoError(t, s.clock.Advance(v.MonthEnds))
		require.NoError(t, s.RunDue(t.Context(), s.clock.Now()))
		require.Equal(t, map[string]int{"succeeded": 2}, s.charged(t, ""), "the new month has a limit of its own")
		require.Equal(t, models.TopUpOn, s.topUp(t, s.account).State)
		s.later(t, 2*time.Hour)
		p = s.turnOn(t, 12*thousand, 100_00)
		require.Equal(t, models.PurchaseCredited, p.Status, "a higher limit ends the pause at once")
	})
}

// 9,000 in stock, 10,000 wanted, packs of 2,000: one is bought, and the sale goes on.
func TestASaleBuysTheSmallestPackThatCovers(t *testing.T) {
	t.Parallel()
	modelstest.Each(t, func(t *testing.T, db *models.DB) {
		s := openShop(t, db, "stammer", "")
		s.paid(t, "a", "credits-12500")
		s.connect(t)
		growth, acme := s.offer(t, 10_000, 60_00), s.client(t, "acme")
		small := s.offer(t, 3_500, 30_00)
		first, err := s.order(t, acme, small, "first")
		require.NoError(t, err)
		s.pay(t, first)
		s.becomes(t, first, models.PurchaseCredited)
		_, err = s.order(t, acme, growth, "k")
		require.True(t, problem.Is(err, "out_of_stock"), "9,000 are left: %v", err)

		s.save(t, s.account, cardPays)
		s.turnOn(t, 1, 100_00, func(in *billing.TopUpInput) { in.Threshold, in.ForSales = models.Credit, true })
		require.Empty(t, s.attempts(t, s.account))
		p, err := s.order(t, acme, growth, "k")
		require.NoError(t, err)
		bought := s.attempts(t, s.account)
		require.Len(t, bought, 1)
		require.Equal(t, []any{2 * thousand, int64(10_00)}, []any{bought[0].Credits, bought[0].Price})
		s.pay(t, p)
		s.becomes(t, p, models.PurchaseCredited)
		require.Equal(t, 13_500*models.Credit, s.left(t, acme))
		p, err = s.order(t, acme, growth, "again")
		require.NoError(t, err, "a second short sale within the hour is covered too")
		bought = s.attempts(t, s.account)
		require.Len(t, bought, 2)
		require.Equal(t, []any{12_500 * models.Credit, int64(50_00)}, []any{bought[1].Credits, bought[1].Price})
		_, err = s.order(t, s.client(t, "bright"), growth, "third")
		require.True(t, problem.Is(err, "out_of_stock"), "the month's limit stands: %v", err)
		require.Equal(t, models.TopUpPaused, s.topUp(t, s.account).State)
		s.pay(t, p)
		s.becomes(t, p, models.PurchaseCredited)
	})
}

// However many sales lack stock, a card that did not pay is asked once an hour.
func TestADeclinedCardRestsFromSalesToo(t *testing.T) {
	t.Parallel()
	modelstest.Each(t, func(t *testing.T, db *models.DB) {
		s := openShop(t, db, "stammer", "")
		s.paid(t, "a", "credits-12500")
		s.connect(t)
		large, acme := s.offer(t, 20_000, 120_00), s.client(t, "acme")
		s.save(t, s.account, cardPays)
		s.turnOn(t, 1, 100_00, func(in *billing.TopUpInput) { in.Threshold, in.ForSales = models.Credit, true })
		s.bankSays(t, s.account, cardPoor)
		asks := func(key string) {
			_, err := s.order(t, acme, large, key)
			require.True(t, problem.Is(err, "out_of_stock"), "%v", err)
		}
		for n := range 5 {
			asks(fmt.Sprint("within the hour ", n))
			require.Len(t, s.attempts(t, s.account), 1)
		}
		s.later(t, time.Hour)
		asks("after it")
		require.Len(t, s.attempts(t, s.account), 2)
	})
}

func (s *shop) turnClientOn(t *testing.T, who *billing.Account, pkg models.Package, below models.Credits) (models.Purchase, error) {
	t.Helper()
	_, p, err := s.TurnTopUpOn(t.Context(), billing.TopUpInput{
		Account: who, Threshold: below, Offer: pkg.ID.String(), Limit: models.Money{Amount: 500_00, Currency: "usd"}, By: "test",
	})
	return p, err
}

// A client buys its agency's package by itself, where the agency allows it, out of
// the agency's stock and on its Stripe account.
func TestAClientTopsUpOnlyWhereItsAgencyAllowsIt(t *testing.T) {
	t.Parallel()
	modelstest.Each(t, func(t *testing.T, db *models.DB) {
		s, growth := openStall(t, db)
		acme := s.client(t, "acme")
		_, err := s.AddCard(t.Context(), billing.SaveCardInput{Account: acme})
		require.True(t, problem.Is(err, "top_up_not_allowed"), "%v", err)
		require.NoError(t, s.AllowClientTopUps(t.Context(), s.account.Agency.ID, true, "test"))
		s.save(t, acme, cardPays)
		p, err := s.turnClientOn(t, acme, growth, 5*thousand)
		require.NoError(t, err)
		require.Equal(t, []any{models.PurchaseCredited, shopAccount, int64(60_00)}, []any{p.Status, p.Account, p.Price}, p.StatusNote)
		require.NotZero(t, p.Cost, "the sale knows what it cost")
		require.Equal(t, "/purchases/"+p.ID.String()+"/receipt", s.said(t, acme, models.NoticeTopUpDone).Path)
		require.Equal(t, 10*thousand, s.left(t, acme))
		require.Equal(t, 25*thousand, s.balance(t, s.account).Purchased)
		require.Equal(t, map[string]int{"succeeded": 1}, s.charged(t, shopAccount))

		// A refund takes it back as it does any sale.
		s.bank(t, "payments/"+p.PaymentIntent+"/refund", nil)
		require.Eventually(t, func() bool { return s.left(t, acme) == 0 }, 15*time.Second, 10*time.Millisecond)
		s.later(t, 2*time.Hour)
		require.Len(t, s.attempts(t, acme), 2)

		require.NoError(t, s.AllowClientTopUps(t.Context(), s.account.Agency.ID, false, "test"))
		s.use(t, acme, 9_000, "used")
		s.later(t, 2*time.Hour)
		require.Len(t, s.attempts(t, acme), 2)
		require.Equal(t, models.TopUpForbidden, s.topUp(t, acme).Reason)
	})
}

// A package that may be bought once a month opens again by the client's month. Where
// that begins after its agency's, automatic top-up goes on then, and not a month later.
func TestAClientsTopUpGoesOnWithTheClientsMonth(t *testing.T) {
	t.Parallel()
	modelstest.Each(t, func(t *testing.T, db *models.DB) {
		s, growth := openStall(t, db)
		require.NoError(t, db.Write.Model(&models.Package{}).Where("id = ?", growth.ID).Update("monthly_limit", 1).Error)
		sub, err := s.CreateSubAccount(t.Context(), billing.Scope{}, billing.SubAccountInput{
			Agency: s.account.Agency.ID, ExternalID: "acme", Name: "acme", TimeZone: "America/New_York", By: "test",
		})
		require.NoError(t, err)
		acme, err := s.AccountOf(t.Context(), sub.WalletID)
		require.NoError(t, err)
		require.NoError(t, s.AllowClientTopUps(t.Context(), s.account.Agency.ID, true, "test"))
		s.save(t, acme, cardPays)
		below := billing.TopUpInput{Account: acme, Threshold: 25 * thousand, Offer: growth.ID.String(), Limit: models.Money{Amount: 500_00, Currency: "usd"}, By: "test"}
		plan, err := s.PlanTopUp(t.Context(), below)
		require.NoError(t, err)
		require.Equal(t, []any{true, int64(1), growth.Price, true}, []any{plan.Now, plan.Times, plan.Price.Amount, plan.Short}, "one is all that may be bought")
		_, p, err := s.TurnTopUpOn(t.Context(), below)
		require.NoError(t, err)
		require.Equal(t, growth.Price, p.Paid)
		s.later(t, 2*time.Hour)
		require.Equal(t, models.TopUpPackage, s.topUp(t, acme).Reason)
		words := s.says(t, acme, models.NoticeTopUpLimit)
		require.Contains(t, words, "can be bought once a month")
		require.NotContains(t, words, "spent", "it is not its own limit that was reached")

		here := s.clock.Now().In(time.UTC)
		month := time.Date(here.Year(), here.Month()+1, 1, 0, 0, 0, 0, time.UTC) // the agency's
		s.later(t, month.Add(time.Minute).Sub(s.clock.Now().Go()))
		require.Len(t, s.attempts(t, acme), 1)
		s.later(t, 5*time.Hour)
		require.Len(t, s.attempts(t, acme), 2)
	})
}

// Out of stock: no card is charged, and the agency hears of it.
func TestAClientsTopUpWithoutStockChargesNobody(t *testing.T) {
	t.Parallel()
	modelstest.Each(t, func(t *testing.T, db *models.DB) {
		s, _ := openStall(t, db)
		huge := s.offer(t, 40_000, 200_00)
		acme := s.client(t, "acme")
		morning := s.clock.Now().Go().UTC().Truncate(24 * time.Hour).Add(30 * time.Hour)
		s.later(t, morning.Sub(s.clock.Now().Go())) // the agency's day is counted, and two hours may be the next
		require.NoError(t, s.AllowClientTopUps(t.Context(), s.account.Agency.ID, true, "test"))
		s.save(t, acme, cardPays)
		p, err := s.turnClientOn(t, acme, huge, thousand)
		require.NoError(t, err)
		require.True(t, p.ID.IsZero())
		require.Empty(t, s.charged(t, shopAccount))
		require.Equal(t, map[models.NoticeEvent]int{models.NoticeTopUpFailed: 1}, s.told(t, s.account), "the agency is told")
		require.Empty(t, s.told(t, acme))
		s.later(t, 2*time.Hour)
		require.Equal(t, 1, s.told(t, s.account)[models.NoticeTopUpFailed], "once a day")
		// Paused for a month's limit that is over, it does not look at every tick either.
		require.NoError(t, db.Write.Model(&models.TopUp{}).Where("wallet_id = ?", acme.Wallet).Updates(map[string]any{
			"state": models.TopUpPaused, "reason": models.TopUpLimit, "paused_at": s.clock.Now().Add(-32 * 24 * time.Hour), "due_at": s.clock.Now(),
		}).Error)
		s.later(t, time.Minute)
		require.Greater(t, s.topUp(t, acme).DueAt, s.clock.Now())
		s.paid(t, "more", "credits-35000")
		s.later(t, 2*time.Hour)
		require.Equal(t, 40*thousand, s.left(t, acme), "it buys as soon as there is stock")
	})
}

// Fewer credits for the same price are not what was agreed to: nobody is charged
// for them, whether a pack shrank or a package did.
func TestTopUpStopsForFewerCredits(t *testing.T) {
	t.Parallel()
	modelstest.Each(t, func(t *testing.T, db *models.DB) {
		s := openShop(t, db, "stammer", "")
		s.save(t, s.account, cardPays)
		s.turnOn(t, thousand, 100_00)
		require.Equal(t, 2*thousand, s.topUp(t, s.account).Credits, "what was agreed to is kept")
		require.NoError(t, db.Write.Model(&models.Pack{}).Where("code = 'credits-2000'").Update("credits", 1_900*models.Credit).Error)
		s.dry(t)
		s.later(t, time.Minute)
		v := s.topUp(t, s.account)
		require.Equal(t, []any{models.TopUpPaused, models.TopUpOffer}, []any{v.State, v.Reason})
		require.Contains(t, v.Note, "holds 1,900 credits now, fewer than you agreed to")
		require.Empty(t, s.charged(t, ""))
	})
	modelstest.Each(t, func(t *testing.T, db *models.DB) {
		s, growth := openStall(t, db)
		acme := s.client(t, "acme")
		require.NoError(t, s.AllowClientTopUps(t.Context(), s.account.Agency.ID, true, "test"))
		s.save(t, acme, cardPays)
		_, err := s.turnClientOn(t, acme, growth, thousand)
		require.NoError(t, err)
		require.Equal(t, map[string]int{"succeeded": 1}, s.charged(t, shopAccount))
		edit := billing.PackageEdit{
			Agency: growth.AgencyID, ID: growth.ID, Name: growth.Name, Credits: thousand, Price: growth.Price, CostBasis: models.CostBest, OnSale: true, By: "test",
		}
		_, err = s.SavePackage(t.Context(), billing.Scope{}, edit)
		require.NoError(t, err)
		s.use(t, acme, 10_000, "used")
		s.later(t, 2*time.Hour)
		require.Equal(t, map[string]int{"succeeded": 1}, s.charged(t, shopAccount), "nor ten of it for ten times the price")
		v := s.topUp(t, acme)
		require.Equal(t, []any{models.TopUpPaused, models.TopUpOffer}, []any{v.State, v.Reason})

		in := billing.TopUpInput{Account: acme, Threshold: thousand, Offer: growth.ID.String(), Limit: models.Money{Amount: 500_00, Currency: "usd"}, By: "test"}
		in.Seen, in.SeenHolds = growth.Price, growth.Credits
		_, _, err = s.TurnTopUpOn(t.Context(), in)
		require.True(t, problem.Is(err, "offer_changed"), "the page showed more: %v", err)
		in.SeenHolds = thousand
		_, _, err = s.TurnTopUpOn(t.Context(), in)
		require.NoError(t, err)
		require.Equal(t, []any{models.TopUpOn, thousand}, []any{s.topUp(t, acme).State, s.topUp(t, acme).Credits})
	})
}

// A dearer pack is not what was agreed to, and a disputed payment ends it.
func TestTopUpStopsForAPriceAndForADispute(t *testing.T) {
	t.Parallel()
	modelstest.Each(t, func(t *testing.T, db *models.DB) {
		s := openShop(t, db, "stammer", "")
		s.dry(t)
		s.save(t, s.account, cardPays)
		p := s.turnOn(t, thousand, 100_00)
		s.bank(t, "payments/"+p.PaymentIntent+"/dispute", nil)
		s.becomes(t, p, models.PurchaseDisputed)
		s.later(t, 2*time.Hour)
		require.Equal(t, models.TopUpDisputed, s.topUp(t, s.account).Reason)
		require.Equal(t, map[string]int{"succeeded": 1}, s.charged(t, ""))
	})
	modelstest.Each(t, func(t *testing.T, db *models.DB) {
		s := openShop(t, db, "stammer", "")
		s.save(t, s.account, cardPays)
		s.turnOn(t, thousand, 100_00)
		require.NoError(t, db.Write.Model(&models.Pack{}).Where("code = 'credits-2000'").Update("price", 12_00).Error)
		s.dry(t)
		s.later(t, time.Minute)
		require.Equal(t, models.TopUpOffer, s.topUp(t, s.account).Reason)
		require.Empty(t, s.charged(t, ""))
	})
}

// said is the one notice of an event to a wallet's people, in words.
func (s *shop) said(t *testing.T, who *billing.Account, event models.NoticeEvent) billing.NoticeWords {
	t.Helper()
	var n models.Notice
	require.NoError(t, s.db.Read.Where("wallet_id = ? AND event = ?", who.Wallet, event).Take(&n).Error)
	return billing.Voice{Agency: "Shop", Platform: "Refill", Zone: time.UTC}.Say(&n)
}

// Money that was taken and not booked is not said to be kept, and no card is asked
// for.
func TestATopUpThatIsReviewedSaysThatMoneyWasTaken(t *testing.T) {
	t.Parallel()
	modelstest.Each(t, func(t *testing.T, db *models.DB) {
		s := openShop(t, db, "stammer", "")
		s.mode(t, "drop") // a delivery could come before the price is changed
		s.dry(t)
		s.save(t, s.account, cardPays)
		change := func(r *http.Request) {
			if r.Method == http.MethodPost && r.URL.Path == "/v1/payment_intents" {
				require.NoError(t, db.Write.Model(&models.Purchase{}).Where("origin = ?", models.OriginAutomatic).Update("price", 1).Error)
			}
		}
		s.meanwhile.Store(&change)
		require.Equal(t, models.PurchaseReview, s.turnOn(t, thousand, 100_00).Status)
		require.Equal(t, map[string]int{"succeeded": 1}, s.charged(t, ""))
		say := s.said(t, s.account, models.NoticeTopUpPaused)
		require.NotContains(t, strings.Join(say.Lines, " "), "Nothing was charged")
		require.Equal(t, []string{"See your purchases", "/purchases"}, []string{say.Button, say.Path})
	})
}
