package fill

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"golang.org/x/sync/errgroup"

	"refill/billing"
	"refill/billing/ledger"
	"refill/billing/preset"
	"refill/models"
)

// maker is one run.
type maker struct {
	Config
	rng        *rand.Rand
	start, end models.Time

	agencies []*agency
	pack     models.Pack
	past     *ledger.Past
	rolled   models.Time // days that begin before it are rolled here
	platform *time.Location
	work     []work
	err      error // of writing days
}

// agency is one of the agencies while its history is made.
type agency struct {
	models.Agency

	zone    *time.Location
	plan    models.Subscription
	nth     int // of its running period
	weight  float64
	clients []*client
	card    models.RateCardID
	version int

	keys      int // charges so far
	receipts  int64
	purchases []models.Purchase

	today, tomorrow models.Time // its local day
	days            days[models.UsageDay]
	platformDays    days[models.UsagePlatformDay]
}

// client is a wallet that is charged: a sub-account's, or the agency's own.
type client struct {
	models.SubAccount

	wallet  models.WalletID
	upTo    float64 // its part of the agency's charges, with those before it
	part    float64
	prepaid bool
}

// zones are where agencies are.
func zones() []string {
	return []string{"UTC", "America/New_York", "Europe/Berlin", "Asia/Kolkata", "America/Los_Angeles", "Australia/Sydney"}
}

// open makes the catalogue and the accounts. Agencies come one after the other in
// the first month, the large ones first.
func (m *maker) open(ctx context.Context) error {
	m.Clock.stop(m.start)
	catalogue, err := preset.Load("stammer")
	if err != nil {
		return err
	}
	if err := m.Billing.Import(ctx, catalogue, by); err != nil {
		return err
	}
	packs, err := m.Billing.Packs(ctx)
	if err != nil {
		return err
	}
	m.pack = packs[len(packs)-1]
	if m.platform, err = m.Billing.PlatformZone(ctx); err != nil {
		return err
	}
	for i := range m.Agencies {
		at := m.start + models.Time(i)*models.Time(28*24*time.Hour/time.Microsecond)/models.Time(m.Agencies)
		m.Clock.stop(at)
		a, err := m.openAgency(ctx, i)
		if err != nil {
			return fmt.Errorf("make agency %d: %w", i+1, err)
		}
		m.agencies = append(m.agencies, a)
	}
	return nil
}

func (m *maker) openAgency(ctx context.Context, i int) (*agency, error) {
	a := &agency{weight: 1 / float64(i+1)}
	var err error
	a.Agency, err = m.Billing.CreateAgency(ctx, billing.AgencyInput{
		ExternalID: fmt.Sprintf("agency-%03d", i+1), Name: fmt.Sprintf("Agency %03d", i+1), TimeZone: zones()[i%len(zones())], By: by,
	})
	if err != nil {
		return nil, err
	}
	a.zone = billing.Zone(a.TimeZone)
	if err := m.DB.Read.WithContext(ctx).Where("agency_id = ? AND ended_at = 0", a.ID).Take(&a.plan).Error; err != nil {
		return nil, err
	}
	version, err := m.Billing.RateCardFor(ctx, &a.Agency, m.Clock.Now())
	if err != nil {
		return nil, err
	}
	a.card, a.version = version.Card, version.Number
	if m.work == nil {
		m.price(version)
	}
	a.clients = make([]*client, m.Clients+1)
	a.clients[m.Clients] = &client{wallet: a.WalletID, part: 0.5}
	work, each := errgroup.WithContext(ctx)
	work.SetLimit(8)
	for j := range m.Clients {
		work.Go(func() error {
			in := billing.SubAccountInput{
				Agency: a.ID, ExternalID: fmt.Sprintf("client-%03d", j+1), Name: fmt.Sprintf("Client %03d", j+1), Funding: models.Pooled, By: by,
			}
			if j%2 == 0 { // prepaid, and fed from the pool when that is used up
				in.Funding, in.PoolCap = models.Prepaid, models.MaxCharge
			}
			sub, err := m.Billing.CreateSubAccount(each, billing.Scope{}, in)
			a.clients[j] = &client{SubAccount: sub, wallet: sub.WalletID, part: 1 / float64(j+2), prepaid: j%2 == 0}
			return err
		})
	}
	if err := work.Wait(); err != nil {
		return nil, err
	}
	var sum float64
	for _, c := range a.clients {
		sum += c.part
	}
	upTo := 0.0
	for _, c := range a.clients {
		c.part /= sum
		upTo += c.part
		c.upTo = upTo
	}
	return a, nil
}
