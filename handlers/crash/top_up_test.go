//go:build linux

package crash

import (
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"refill/models"
)

// The cards that are saved: one pays, the other is declined each time.
const (
	cardPays     = "4242424242424242"
	cardDeclines = "4000000000000341"
)

// topper is an agency whose wallet buys by itself.
type topper struct {
	agency   models.AgencyID
	wallet   models.WalletID
	customer string // at Stripe
	card     string // there
	pays     bool
}

// ask is a request of Stripe's API, past the road.
func (t *till) ask(method, path string, form url.Values) map[string]any {
	t.h.t.Helper()
	if method == http.MethodGet {
		path += "?" + form.Encode()
		form = nil
	}
	req, err := http.NewRequestWithContext(t.h.ctx, method, t.url+path, strings.NewReader(form.Encode()))
	require.NoError(t.h.t, err)
	req.Header.Set("Authorization", "Bearer "+tillKey)
	if method == http.MethodPost {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	res, err := http.DefaultClient.Do(req)
	require.NoError(t.h.t, err)
	raw, err := io.ReadAll(res.Body)
	require.NoError(t.h.t, joinErr(err, res.Body.Close()))
	require.Equal(t.h.t, http.StatusOK, res.StatusCode, "%s %s: %s", method, path, raw)
	return decode(raw)
}

// topper makes an agency with a saved card.
func (t *till) topper(c *crew, rng *rand.Rand, n int) topper {
	name := fmt.Sprint("topper", n)
	status, raw := c.ask(rng, &act{key: name, path: "/v1/agencies", body: encode(map[string]any{"external_id": name, "name": name})})
	require.Equal(t.h.t, http.StatusCreated, status, "%s", raw)
	wallet, _ := decode(raw)["wallet"].(string)
	out := topper{pays: n%4 != 3}
	var err error
	out.wallet, err = models.ParseID[models.WalletID](wallet)
	require.NoError(t.h.t, err)

	out.customer, _ = t.ask(http.MethodPost, "/v1/customers", url.Values{"email": {name + "@example.com"}})["id"].(string)
	page, _ := t.ask(http.MethodPost, "/v1/checkout/sessions", url.Values{
		"mode": {"setup"}, "customer": {out.customer}, "success_url": {"https://example.com/"}, "payment_method_types[0]": {"card"},
	})["id"].(string)
	card := cardPays
	if !out.pays {
		card = cardDeclines
	}
	t.door("/_sim/checkout/sessions/"+page+"/pay", url.Values{"card": {card}})
	setup, _ := t.ask(http.MethodGet, "/v1/checkout/sessions/"+page, nil)["setup_intent"].(string)
	out.card, _ = t.ask(http.MethodGet, "/v1/setup_intents/"+setup, nil)["payment_method"].(string)
	require.NotEmpty(t.h.t, out.card)
	return out
}

// due lets an agency's automatic top-up be due.
func (t *till) due(db *models.DB, a *topper) {
	var place models.WalletPlace
	require.NoError(t.h.t, db.Read.Where("wallet_id = ?", a.wallet).Take(&place).Error)
	a.agency = place.AgencyID
	now := models.At(time.Now())
	require.NoError(t.h.t, db.Write.Create(&models.TopUp{
		AgencyID: a.agency, WalletID: a.wallet, State: models.TopUpOn, Threshold: 1_000_000 * models.Credit, PackID: t.pack.ID, Price: t.pack.Price,
		Credits: t.pack.Credits + t.pack.Bonus, Currency: t.pack.Currency, MonthlyLimit: t.pack.Price, AgreedBy: "test", AgreedAt: now,
		Customer: a.customer, PaymentMethod: a.card, CardBrand: "visa", CardLast4: "4242", CardMonth: 12, CardYear: 2034, CardFingerprint: a.card,
		DueAt: now, CreatedAt: now,
	}).Error)
}

// became is what the database and Stripe have of a topper.
type became struct {
	Purchases, Open, Credited, Failed, Lots int64
	Granted                                 models.Credits
}

// ended reads it; nil while an attempt is on its way, or none was made yet.
func (t *till) ended(db *models.DB, a topper) *became {
	var b became
	require.NoError(t.h.t, db.Read.Raw(`SELECT p.*, l.* FROM
		(SELECT COUNT(*) AS purchases, COUNT(CASE WHEN status IN ('open', 'processing') THEN 1 END) AS open, COUNT(CASE WHEN status = 'credited' THEN 1 END) AS credited,
			COUNT(CASE WHEN status = 'failed' THEN 1 END) AS failed FROM purchases WHERE agency_id = ? AND origin = 'automatic') p,
		(SELECT COUNT(*) AS lots, CAST(COALESCE(SUM(granted), 0) AS bigint) AS granted FROM lots WHERE agency_id = ? AND purchase_id IS NOT NULL) l`,
		a.agency, a.agency).Scan(&b).Error)
	if b.Purchases == 0 || b.Open > 0 {
		return nil
	}
	return &b
}

// The portal is killed before Stripe hears of an automatic payment, after it was made
// and before the portal hears, while it looks for what became of one, and at random:
// each claim is one payment, and each payment one grant.
func TestKilledAroundAnAutomaticPayment(t *testing.T) {
	t.Parallel()
	h := open(t, options{what: "portal killed around automatic payments", clients: 4, till: true, quiet: true})
	n := kills(10, 4)
	rng := rand.New(rand.NewPCG(h.seed, 13))
	var toppers []topper
	killed := map[string]int{}
	died := make(chan string, 1)
	const batch = 4
	for len(toppers) < n {
		var some []topper
		for range min(batch, n-len(toppers)) {
			some = append(some, h.till.topper(h.crew, h.rng, len(toppers)+len(some)))
		}
		// Each payment of the batch, and each question about one, may be the portal's last.
		budget := batch
		var turn sync.Mutex
		over := false
		h.till.toll.Store(&toll{
			judge: func(r *http.Request) fate {
				turn.Lock()
				defer turn.Unlock()
				about := strings.HasPrefix(r.URL.Path, "/v1/payment_intents")
				if !about || budget == 0 || rng.IntN(3) == 0 {
					return pass
				}
				budget--
				return []fate{before, after}[rng.IntN(2)]
			},
			then: func(f fate) {
				turn.Lock()
				defer turn.Unlock()
				if over { // nobody would start it again
					return
				}
				h.portals[0].kill()
				select {
				case died <- map[fate]string{before: "before Stripe heard", after: "before the portal heard"}[f]:
				default: // another request of the same portal's
				}
			},
		})
		db := h.read()
		for i := range some {
			h.till.due(db, &some[i])
		}
		for limit := time.Now().Add(tillPatience); ; {
			select {
			case how := <-died:
				killed[how]++
				require.NoError(t, h.portals[0].start(h.ctx))
			case <-time.After(time.Duration(20+h.rng.IntN(50)) * time.Millisecond):
			}
			left := 0
			for _, a := range some {
				if h.till.ended(db, a) == nil {
					left++
				}
			}
			if left == 0 {
				break
			}
			if time.Now().After(limit) {
				var rows []models.TopUp
				require.NoError(t, db.Read.Find(&rows).Error)
				t.Fatalf("%d automatic payments came to no end: %+v\n%s", left, rows, h.portals[0].said())
			}
		}
		require.NoError(t, db.Close())
		toppers = append(toppers, some...)
		h.till.toll.Store(nil)
		turn.Lock()
		over = true
		turn.Unlock()
		select {
		case <-died:
			require.NoError(t, h.portals[0].start(h.ctx))
		default:
		}
	}

	db := h.read()
	paid, declined := 0, 0
	for _, a := range toppers {
		list, _ := h.till.ask(http.MethodGet, "/v1/charges", url.Values{"customer": {a.customer}, "limit": {"100"}})["data"].([]any)
		took := 0
		for _, row := range list {
			if c, _ := row.(map[string]any); c["status"] == "succeeded" {
				took++
			}
		}
		got, want := *h.till.ended(db, a), became{Purchases: 1, Credited: 1, Lots: 1, Granted: h.till.pack.Credits}
		wantTook := 1
		paid++
		if !a.pays {
			want, wantTook = became{Purchases: 1, Failed: 1}, 0
			paid, declined = paid-1, declined+1
		}
		if got != want || took != wantTook || len(list) != 1 {
			h.crew.tell(func(f *findings) { f.doubled++ }, "wallet %s (its card pays: %t) has %+v and Stripe %d charges of which %d took money", a.wallet, a.pays, got, len(list), took)
		}
	}
	require.NoError(t, db.Close())
	h.report(fmt.Sprintf("%d automatic payments taken once and %d declined once, %d kills before Stripe heard and %d before the portal heard",
		paid, declined, killed["before Stripe heard"], killed["before the portal heard"]))
}
