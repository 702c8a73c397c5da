package billing_test

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"refill/billing"
	"refill/models"
	"refill/models/modelstest"
)

const cardExpired = "4000000000000069"

// atStripe calls Stripe as whoever owns the account does.
func (s *shop) atStripe(t *testing.T, account, path string, form url.Values) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.box+"/v1/"+path, strings.NewReader(form.Encode()))
	require.NoError(t, err)
	req.Header.Set("Authorization", "Bearer sk_test_shop")
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if account != "" {
		req.Header.Set("Stripe-Account", account)
	}
	res, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	require.NoError(t, res.Body.Close())
	require.Equal(t, http.StatusOK, res.StatusCode, path)
}

// removeCard takes the saved card away, as its owner does in the billing portal.
func (s *shop) removeCard(t *testing.T, who *billing.Account) {
	t.Helper()
	v := s.topUp(t, who)
	s.atStripe(t, v.Account, "payment_methods/"+v.PaymentMethod+"/detach", nil)
}

// expires has the saved card's owner write another expiry.
func (s *shop) expires(t *testing.T, who *billing.Account, year int) {
	t.Helper()
	s.atStripe(t, "", "payment_methods/"+s.topUp(t, who).PaymentMethod, url.Values{"card[exp_month]": {"11"}, "card[exp_year]": {strconv.Itoa(year)}})
}

// reissued has the network give a saved card a number and a later expiry.
func (s *shop) reissued(t *testing.T, who *billing.Account, card string) {
	t.Helper()
	require.Equal(t, http.StatusOK, s.sim(t, "payment_methods/"+s.topUp(t, who).PaymentMethod, url.Values{"card": {card}, "reissued": {"true"}}))
}

// cardEvents waits until so many events of cards are worked.
func (s *shop) cardEvents(t *testing.T, kind string, want int64) {
	t.Helper()
	require.Eventually(t, func() bool {
		var n int64
		require.NoError(t, s.db.Write.Model(&models.StripeEvent{}).Where("type = ? AND state <> ?", kind, models.EventPending).Count(&n).Error)
		return n == want
	}, 15*time.Second, 10*time.Millisecond)
}

// A card that its owner removes at Stripe is never tried again: automatic top-up
// waits for another, they hear of it once, and saving one lets it go on.
func TestARemovedCardIsNotTried(t *testing.T) {
	t.Parallel()
	modelstest.Each(t, func(t *testing.T, db *models.DB) {
		s := openShop(t, db, "stammer", "")
		s.dry(t)
		s.save(t, s.account, cardPays)
		require.Equal(t, models.PurchaseCredited, s.turnOn(t, thousand, 100_00).Status)
		// What came before is told last, and everything twice.
		require.Equal(t, http.StatusOK, s.sim(t, "webhooks", url.Values{"mode": {"reorder"}, "count": {"2"}}))
		s.expires(t, s.account, 2041)
		s.removeCard(t, s.account)
		s.cardEvents(t, "payment_method.detached", 1)
		s.cardEvents(t, "payment_method.updated", 1)
		require.NoError(t, db.Write.Model(&models.StripeEvent{}).Where("type LIKE 'payment_method.%'").
			Updates(map[string]any{"state": models.EventPending, "processed_at": 0}).Error)
		s.later(t, time.Minute)
		v := s.topUp(t, s.account)
		require.Equal(t, []any{models.TopUpPaused, models.TopUpRemoved, "", false}, []any{v.State, v.Reason, v.CardName(), v.HasCard()})
		require.Contains(t, v.Note, "Visa •••• 4242 was removed")
		require.Equal(t, map[models.NoticeEvent]int{models.NoticeTopUpDone: 1, models.NoticeTopUpPaused: 1}, s.told(t, s.account))
		s.use(t, s.account, 1_500, "a")
		s.later(t, 2*time.Hour)
		require.Len(t, s.attempts(t, s.account), 1, "nothing is tried")
		require.Equal(t, models.TopUpOn, s.save(t, s.account, cardPays).State, "the same card again will do")
		s.later(t, time.Minute)
		require.Equal(t, 2_500*models.Credit, s.left(t, s.account))
		require.Equal(t, map[string]int{"succeeded": 2}, s.charged(t, ""))

		// Turned off there is nobody to tell, and a month's limit does not bring it back.
		s.turnOn(t, 9*thousand, 10_00)
		s.later(t, 2*time.Hour)
		require.Equal(t, models.TopUpLimit, s.topUp(t, s.account).Reason)
		s.removeCard(t, s.account)
		s.cardEvents(t, "payment_method.detached", 2)
		require.Equal(t, models.TopUpRemoved, s.topUp(t, s.account).Reason)
		s.save(t, s.account, cardOther)
		require.NoError(t, s.TurnTopUpOff(t.Context(), s.account, "test"))
		s.removeCard(t, s.account)
		s.cardEvents(t, "payment_method.detached", 3)
		v = s.topUp(t, s.account)
		require.Equal(t, []any{models.TopUpOff, ""}, []any{v.State, v.CardName()})
		require.Equal(t, 2, s.told(t, s.account)[models.NoticeTopUpPaused])
	})
}

// A client's card lies at its agency's account, whose events come by the other
// endpoint.
func TestAClientsCardIsRemoved(t *testing.T) {
	t.Parallel()
	modelstest.Each(t, func(t *testing.T, db *models.DB) {
		s, growth := openStall(t, db)
		acme := s.client(t, "acme")
		require.NoError(t, s.AllowClientTopUps(t.Context(), s.account.Agency.ID, true, "test"))
		s.save(t, acme, cardPays)
		_, err := s.turnClientOn(t, acme, growth, 5*thousand)
		require.NoError(t, err)
		s.removeCard(t, acme)
		s.cardEvents(t, "payment_method.detached", 1)
		require.Equal(t, models.TopUpRemoved, s.topUp(t, acme).Reason)
		require.Equal(t, 1, s.told(t, acme)[models.NoticeTopUpPaused])
		require.Zero(t, s.told(t, s.account)[models.NoticeTopUpPaused])
		s.use(t, acme, 9_000, "used")
		s.later(t, 2*time.Hour)
		require.Equal(t, map[string]int{"succeeded": 1}, s.charged(t, shopAccount))
	})
}

// Nobody tells that the card is gone: the next try fails once, and saving the same
// card again lets it go on.
func TestARemovedCardNobodyToldOf(t *testing.T) {
	t.Parallel()
	modelstest.Each(t, func(t *testing.T, db *models.DB) {
		s := openShop(t, db, "stammer", "")
		s.dry(t)
		s.save(t, s.account, cardPays)
		s.mode(t, "drop")
		s.removeCard(t, s.account)
		s.turnOn(t, thousand, 100_00)
		for range 10 {
			s.later(t, 12*time.Hour)
		}
		tries := s.attempts(t, s.account)
		require.Len(t, tries, 1)
		require.Equal(t, models.PurchaseFailed, tries[0].Status)
		v := s.topUp(t, s.account)
		require.Equal(t, []any{models.TopUpPaused, models.TopUpRemoved, false}, []any{v.State, v.Reason, v.HasCard()})
		require.Equal(t, map[models.NoticeEvent]int{models.NoticeTopUpPaused: 1}, s.told(t, s.account))
		require.Equal(t, models.TopUpOn, s.save(t, s.account, cardPays).State)
		s.later(t, time.Minute)
		require.Equal(t, 2*thousand, s.left(t, s.account))
	})
}

// A card that its network renews is shown as it is now. One of another number lets
// what its decline had stopped go on; the same number is tried once more, and not
// at all where its bank has more against it than the date.
func TestARenewedCardGoesOn(t *testing.T) {
	t.Parallel()
	modelstest.Each(t, func(t *testing.T, db *models.DB) {
		s := openShop(t, db, "stammer", "")
		s.dry(t)
		s.save(t, s.account, cardPays)
		s.bankSays(t, s.account, cardPoor)
		s.turnOn(t, thousand, 100_00)
		for range 10 {
			s.later(t, time.Hour)
		}
		require.Equal(t, models.TopUpDeclined, s.topUp(t, s.account).Reason)
		s.expires(t, s.account, 2041)
		s.cardEvents(t, "payment_method.updated", 1)
		v := s.topUp(t, s.account)
		require.Equal(t, []any{models.TopUpOn, 11, 2041}, []any{v.State, v.CardMonth, v.CardYear})
		for range 10 {
			s.later(t, time.Hour)
		}
		require.Equal(t, models.TopUpDeclined, s.topUp(t, s.account).Reason, "one try")
		require.Equal(t, map[string]int{"failed": 4}, s.charged(t, ""))
		s.reissued(t, s.account, cardOther)
		s.cardEvents(t, "payment_method.automatically_updated", 1)
		v = s.topUp(t, s.account)
		require.Equal(t, []any{models.TopUpOn, "Mastercard •••• 4444", 2045}, []any{v.State, v.CardName(), v.CardYear})
		s.later(t, time.Minute)
		require.Equal(t, 2*thousand, s.left(t, s.account))
		require.Equal(t, models.PurchaseCredited, s.attempts(t, s.account)[4].Status)
	})
	for bank, goesOn := range map[string]bool{cardExpired: true, cardStolen: false} {
		modelstest.Each(t, func(t *testing.T, db *models.DB) {
			s := openShop(t, db, "stammer", "")
			s.dry(t)
			s.save(t, s.account, cardPays)
			s.bankSays(t, s.account, bank)
			s.turnOn(t, thousand, 100_00)
			require.Equal(t, models.TopUpBlocked, s.topUp(t, s.account).Reason)
			s.later(t, 2*time.Hour)
			s.reissued(t, s.account, cardPays)
			s.cardEvents(t, "payment_method.automatically_updated", 1)
			s.later(t, time.Minute)
			v := s.topUp(t, s.account)
			require.Equal(t, []any{goesOn, 2038}, []any{v.State == models.TopUpOn, v.CardYear})
			require.Equal(t, goesOn, s.left(t, s.account) == 2*thousand)
		})
	}
}

// An answer of Stripe's that is overtaken on its way is not written over what came
// after it.
func TestAnOldAnswerAboutACardIsNotWritten(t *testing.T) {
	t.Parallel()
	modelstest.Each(t, func(t *testing.T, db *models.DB) {
		s := openShop(t, db, "stammer", "")
		s.save(t, s.account, cardPays)
		p := s.buy(t, "k", "credits-2000", 0)
		overtaken := make(chan struct{})
		overtake := func(r *http.Request) {
			if r.Method != http.MethodGet || !strings.HasPrefix(r.URL.Path, "/v1/payment_methods/") {
				return
			}
			s.meanwhile.Store(nil)
			s.expires(t, s.account, 2042)
			require.Eventually(t, func() bool {
				var n int64
				require.NoError(t, db.Write.Model(&models.StripeEvent{}).Where("type = 'payment_method.updated'").Count(&n).Error)
				return n == 2
			}, 15*time.Second, 10*time.Millisecond)
			require.NoError(t, s.RunDue(t.Context(), s.clock.Now()))
			require.Equal(t, 2042, s.topUp(t, s.account).CardYear)
			close(overtaken)
		}
		s.meanwhile.Store(&overtake)
		s.expires(t, s.account, 2041)
		<-overtaken
		// What the inbox does next tells that it has done with the old answer.
		require.Equal(t, http.StatusOK, s.sim(t, "checkout/sessions/"+p.CheckoutSession+"/expire", nil))
		s.becomes(t, p, models.PurchaseExpired)
		require.Equal(t, 2042, s.topUp(t, s.account).CardYear)
	})
}
