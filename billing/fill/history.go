package fill

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"time"

	"refill/billing/ledger"
	"refill/billing/period"
	"refill/models"
)

// live walks through the history a quarter of an hour at a time: what is due by
// the clock first, then conversations until the ledger has grown by its part.
func (m *maker) live(ctx context.Context) (err error) {
	byID := map[models.AgencyID]*agency{}
	for _, a := range m.agencies {
		byID[a.ID] = a
	}
	m.rolled = m.end.Add(-60 * time.Hour)
	if m.past, err = m.Ledger.NewPast(ctx, m.counted(byID)); err != nil {
		return err
	}
	if err := m.pass(ctx); err != nil {
		return errors.Join(err, m.past.Abandon(ctx))
	}
	fmt.Fprintf(m.Log, "  %d entries; indexes and statistics\n", m.past.Entries)
	if err := m.past.Close(ctx); err != nil {
		return err
	}
	return m.finish(ctx)
}

// pass lets the time of the history pass.
func (m *maker) pass(ctx context.Context) error {
	var total float64
	for at := m.start; at < m.end; at += quarter {
		if (at-m.start)%hour == 0 {
			total += 4 * m.sharesAt(at).sum
		}
	}
	began, told := models.SystemClock{}.Now(), m.start
	usages := m.usages()
	var s shares
	var replies []reply
	so := 0.0
	for at := m.start; at < m.end; at += quarter {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := m.due(at); err != nil {
			return err
		}
		if (at-m.start)%hour == 0 {
			s = m.sharesAt(at)
		}
		so += s.sum
		if s.sum == 0 {
			continue
		}
		replies = m.conversations(replies, at, s, int64(float64(m.Entries)*so/total)-m.past.Entries)
		for i := range replies {
			if err := m.charge(&replies[i], usages); err != nil {
				return err
			}
		}
		if m.err != nil {
			return m.err
		}
		if month := models.Time(30 * 24 * time.Hour / time.Microsecond); at-told >= month {
			told = at
			rate := float64(m.past.Entries) / models.SystemClock{}.Now().Sub(began).Seconds()
			fmt.Fprintf(m.Log, "  %s: %d entries, %.0f a second\n", at.Go().Format(time.DateOnly), m.past.Entries, rate)
		}
	}
	if err := m.past.Counters(); err != nil {
		return err
	}
	for _, a := range m.agencies {
		if err := errors.Join(m.err, m.writeDay(a), m.writePlatformDay(a)); err != nil {
			return err
		}
	}
	return nil
}

// charge books one reply; the agency buys before it runs dry.
func (m *maker) charge(r *reply, usages []string) error {
	a := r.agency
	if r.at >= a.tomorrow {
		day := period.Day(r.at, a.zone)
		a.today, a.tomorrow = day.Start, day.End
	}
	if err := m.stock(a, 1000*models.Credit, r.at); err != nil {
		return err
	}
	a.keys++
	key := "reply:" + padded(a.keys)
	digest := sha256.Sum256([]byte(key))
	return m.past.Charge(&ledger.ChargeRequest{
		Agency: a.ID, Wallet: r.client.wallet, Key: key, Fingerprint: digest[:], Action: action, Model: r.work.model,
		Usage: usages[a.keys%len(usages)], Metadata: `{"conversation":"conv_` + padded(a.keys/5) + `"}`,
		Credits: r.work.price, Units: 1, Card: a.card, CardVersion: a.version, Test: a.keys%200 == 0,
		OccurredAt: r.at, At: r.at, DayStart: a.today,
	})
}

// due renews the subscriptions whose period has ended by an instant.
func (m *maker) due(at models.Time) error {
	for _, a := range m.agencies {
		for a.plan.PeriodEnd <= at {
			if err := m.renew(a); err != nil {
				return fmt.Errorf("renew %s: %w", a.ExternalID, err)
			}
		}
	}
	return nil
}

// renew ends a period as the clock would, and does what the agency does then:
// buy, and give its prepaid clients their credits.
func (m *maker) renew(a *agency) error {
	at := a.plan.PeriodEnd
	for _, c := range a.clients {
		if err := m.past.Expire(c.wallet, at); err != nil {
			return err
		}
	}
	a.nth++
	a.plan.PeriodStart, a.plan.PeriodEnd = at, period.At(a.plan.AnchorAt, a.zone, period.Month, a.nth+1)
	m.past.StartCycle(a.WalletID, at)
	if _, err := m.past.Grant(&ledger.GrantRequest{
		Agency: a.ID, Wallet: a.WalletID, Source: models.SourcePlan, Credits: a.plan.Allowance,
		EffectiveAt: at, ExpiresAt: a.plan.PeriodEnd, PeriodStart: at, Kind: "plan", Actor: "clock", Reference: a.plan.ID.String(), At: at,
	}); err != nil {
		return err
	}
	if a.nth%2 == 0 || m.expected(a, 1) > float64(a.plan.Allowance) {
		if err := m.buy(a, at+second); err != nil {
			return err
		}
	}
	return m.assign(a, at+2*second)
}

// expected is what a part of an agency uses in a month, in millionths.
func (m *maker) expected(a *agency, part float64) float64 {
	var sum float64
	for _, o := range m.agencies {
		sum += o.weight
	}
	return float64(m.Entries) / float64(m.Months) * a.weight / sum * part * m.meanPrice()
}

// assign gives prepaid clients most of what they will use. In a small database
// not each gets some each month: charges are what it is about.
func (m *maker) assign(a *agency, at models.Time) error {
	prepaid := float64(m.Agencies*(m.Clients+1)/2*m.Months) + 1
	chance := min(1, 0.05*float64(m.Entries)/prepaid)
	for i, c := range a.clients {
		if !c.prepaid || m.rng.Float64() >= chance {
			continue
		}
		amount := max(10, models.Credits(m.expected(a, c.part)*0.7)/models.Credit) * models.Credit
		now := at + models.Time(i)*second
		if err := m.stock(a, amount+1000*models.Credit, now); err != nil {
			return err
		}
		if err := m.past.Assign(&ledger.TransferRequest{
			Agency: a.ID, From: a.WalletID, To: c.wallet, Credits: amount, Actor: string(by), Note: "Credits for the month", At: now,
		}); err != nil {
			return err
		}
	}
	return nil
}

// stock buys packs until an agency has enough.
func (m *maker) stock(a *agency, enough models.Credits, at models.Time) error {
	for m.past.Available(a.WalletID, at) < enough {
		if err := m.buy(a, at); err != nil {
			return err
		}
	}
	return nil
}

// buy books a paid purchase of a pack.
func (m *maker) buy(a *agency, at models.Time) error {
	p := models.Purchase{
		AgencyID: a.ID, ID: models.NewID[models.PurchaseID](at), WalletID: a.WalletID, PackID: m.pack.ID, Title: m.pack.Name,
		Credits: m.pack.Credits, Price: m.pack.Price, Currency: m.pack.Currency, Status: models.PurchaseCredited,
		BoughtBy: string(by), ExpiresAt: at.Add(time.Hour), CheckedAt: at, PaidAt: at, CreditedAt: at, CreatedAt: at.Add(-time.Minute),
	}
	a.receipts++
	p.ReceiptNumber, p.IdempotencyKey = a.receipts, "fill:"+p.ID.String()
	digest := sha256.Sum256([]byte(p.IdempotencyKey))
	p.Fingerprint, p.CheckoutSession, p.PaymentIntent = digest[:], "cs_fill_"+p.ID.String(), "pi_fill_"+p.ID.String()
	granted, err := m.past.Grant(&ledger.GrantRequest{
		Agency: a.ID, Wallet: a.WalletID, Source: models.SourcePurchase, Credits: p.Credits, Cost: p.Total(), Purchase: p.ID,
		Kind: "purchase", Actor: p.BoughtBy, Note: p.Title, Reference: p.ID.String(), At: at,
	})
	if err != nil {
		return err
	}
	p.ActID, p.BalanceBefore, p.BalanceAfter = granted.Act.ID, granted.Before.Left(), granted.After.Left()
	a.purchases = append(a.purchases, p)
	return nil
}

// finish writes what is billing's: purchases, periods, and how far days are
// rolled.
func (m *maker) finish(ctx context.Context) error {
	write := m.DB.Write.WithContext(ctx)
	for _, a := range m.agencies {
		var refs []models.PaymentRef
		for i := range a.purchases {
			p := &a.purchases[i]
			refs = append(refs, models.PaymentRef{Ref: p.CheckoutSession, AgencyID: a.ID, PurchaseID: p.ID},
				models.PaymentRef{Ref: p.PaymentIntent, AgencyID: a.ID, PurchaseID: p.ID})
		}
		if len(refs) > 0 {
			if err := write.CreateInBatches(a.purchases, 200).Error; err != nil {
				return err
			}
			if err := write.CreateInBatches(refs, 500).Error; err != nil {
				return err
			}
		}
		err := write.Model(&models.Subscription{}).Where("agency_id = ? AND id = ?", a.ID, a.plan.ID).
			Updates(map[string]any{"period_start": a.plan.PeriodStart, "period_end": a.plan.PeriodEnd}).Error
		if err != nil {
			return err
		}
	}
	return m.rollTo(ctx)
}
