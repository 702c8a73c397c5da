package ledger_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"gorm.io/gorm"

	"refill/billing/ledger"
	"refill/models"
	"refill/models/modelstest"
)

// busy is a world in which every table of the ledger has something to corrupt.
func busy(t *testing.T, db *models.DB) *world {
	t.Helper()
	w := newWorld(t, db)
	now := start
	pack := models.Pack{ID: models.NewID[models.PackID](now), Code: "p", Version: 1, Name: "p", Kind: "fixed", Credits: credits(100), Price: 1000, Currency: "usd"}
	bought := make([]models.Purchase, 2)
	var sub models.Wallet
	require.NoError(t, db.Read.Where("id = ?", w.sub).Take(&sub).Error)
	growth := models.Package{
		AgencyID: w.agency, ID: models.NewID[models.PackageID](now), Name: "Growth", Credits: credits(10), Price: 600, Currency: "usd",
		Audience: models.AudienceAll, CostBasis: models.CostHeld, CreatedAt: now,
	}
	sale := models.Purchase{
		AgencyID: w.agency, ID: models.NewID[models.PurchaseID](now), WalletID: w.sub, PackageID: growth.ID, Title: "Growth", Credits: credits(10),
		Price: 600, Currency: "usd", Status: models.PurchaseOpen, IdempotencyKey: "sale", Fingerprint: []byte{1}, Account: "acct_a", ExpiresAt: now + 1, CreatedAt: now,
	}
	paid := sale
	paid.ID, paid.IdempotencyKey, paid.PaymentIntent = models.NewID[models.PurchaseID](now), "paid", "pi_s"
	require.NoError(t, db.InTx(t.Context(), func(tx *gorm.DB) error {
		if err := tx.Create(&pack).Error; err != nil {
			return err
		}
		if err := tx.Create(&models.Agency{
			ID: w.agency, ExternalID: "a", Name: "a", Host: "a", TimeZone: "UTC", Currency: "usd",
			Status: models.AgencyActive, WalletID: w.wallet, CreatedAt: now,
		}).Error; err != nil {
			return err
		}
		for _, row := range []any{
			&models.SubAccount{
				AgencyID: w.agency, ID: sub.SubAccountID, ExternalID: "s", Name: "s", WalletID: w.sub, TimeZone: "UTC",
				Status: models.SubAccountActive, CreatedAt: now,
			}, &growth, &sale, &paid,
		} {
			if err := tx.Create(row).Error; err != nil {
				return err
			}
		}
		for i := range bought {
			bought[i] = models.Purchase{
				AgencyID: w.agency, ID: models.NewID[models.PurchaseID](now), WalletID: w.wallet, PackID: pack.ID, Title: "p",
				Credits: credits(100), Price: 1000, Currency: "usd", Status: models.PurchaseCredited, IdempotencyKey: string(rune('a' + i)),
				Fingerprint: []byte{1}, PaymentIntent: "pi_" + string(rune('a'+i)), ExpiresAt: now + 1, PaidAt: now, CreditedAt: now, CreatedAt: now,
			}
			if err := tx.Create(&bought[i]).Error; err != nil {
				return err
			}
		}
		return nil
	}))
	for _, p := range bought {
		w.grant(t, w.wallet, models.SourcePurchase, 100, func(r *ledger.GrantRequest) {
			r.Purchase, r.Cost = p.ID, models.Money{Amount: 1000, Currency: "usd"}
		})
	}
	for _, p := range []models.Purchase{sale, paid} {
		require.NoError(t, db.InTx(t.Context(), func(tx *gorm.DB) error {
			_, err := w.ledger.HoldStock(t.Context(), tx, ledger.StockRequest{Agency: w.agency, Wallet: w.wallet, Purchase: p.ID, Credits: p.Credits, At: now})
			return err
		}))
	}
	sold, err := w.sell(t, paid.ID, 10)
	require.NoError(t, err)
	require.NoError(t, db.Write.Model(&models.Purchase{}).Where("id = ?", paid.ID).Updates(map[string]any{
		"status": models.PurchaseCredited, "act_id": sold.Act.ID, "paid_at": now, "credited_at": now,
	}).Error)
	month := func(start, end models.Time) func(*ledger.GrantRequest) {
		return func(r *ledger.GrantRequest) {
			r.PeriodStart, r.EffectiveAt, r.ExpiresAt, r.At = start, start, end, start
		}
	}
	w.grant(t, w.wallet, models.SourcePlan, 10, month(start, start+100))
	w.charge(t, w.request("k1", 4))
	_, err = w.ledger.ExpireLots(t.Context(), start+100, 10)
	require.NoError(t, err)
	now = start + 100
	w.grant(t, w.wallet, models.SourcePlan, 10, month(now, start.Add(time.Hour)))
	w.charge(t, of(w.request("k2", 3), w.wallet, now))
	test := of(w.request("test", 3), w.wallet, now)
	test.Test = true
	w.charge(t, test)
	w.reverse(t, w.charge(t, of(w.request("k3", 2), w.wallet, now)), now)
	_, err = w.transfer(t, w.ledger.Assign, w.wallet, w.sub, 5, now)
	require.NoError(t, err)
	w.policy(t, w.wallet, ledger.Policy{AgencyCeiling: credits(50)})
	w.policy(t, w.sub, ledger.Policy{ExcessLimit: credits(20)})
	w.grant(t, w.sub, models.SourcePromo, 7, func(r *ledger.GrantRequest) { r.EffectiveAt = start.Add(time.Hour) })
	w.charge(t, of(w.request("k4", 18), w.sub, now))
	w.hold(t, w.wallet, "h1", 6, now)
	_, err = w.capture(t, w.hold(t, w.wallet, "h2", 6, now), "k5", 5, now)
	require.NoError(t, err)
	w.moneyBack(t, pack.ID, now)
	w.aside(t, pack.ID, now)
	w.charge(t, of(w.request("k6", 1), w.wallet, now)) // its lot's row is left behind
	suspects, _, err := w.ledger.Patrol(t.Context(), now, 10)
	require.NoError(t, err)
	require.Empty(t, suspects)
	w.audit(t)
	return w
}

// The auditor is audited: each way to corrupt a database breaks the checks it
// should and no other (RELIABILITY A18: an auditor that cries wolf is worse
// than none).
func TestAuditSeesEachCorruption(t *testing.T) {
	t.Parallel()
	cases := []struct {
		name   string
		sql    string // ; between statements
		breaks string
	}{
		{"a balance", "UPDATE wallets SET balance = balance + 1 WHERE sub_account_id IS NULL", "I-01 I-02"},
		{"held", "UPDATE wallets SET held = held + 1 WHERE sub_account_id IS NULL", "I-01 I-02"},
		{"excess of a wallet", "UPDATE wallets SET excess = excess + 1, balance = balance - 1 WHERE sub_account_id IS NOT NULL", "I-01 I-04 I-09"},
		{"excess beside credits", "UPDATE wallets SET last_at = 1772369700000000 + 1000000000 WHERE sub_account_id IS NOT NULL", "I-02"},
		{"a grant", "UPDATE lot_rows SET granted = granted + 1 WHERE source = 'promo'", "I-03"},
		{"a lot's rest", "UPDATE lot_rows SET remaining = remaining - 1 WHERE source = 'promo'", "I-02 I-03 I-04"},
		{"what was drawn", "UPDATE wallets SET drawn = drawn + 1 WHERE drawn > 0", "I-02 I-03 I-04"},
		{"drawn from nothing", "UPDATE wallets SET drawn_lot_id = id WHERE drawn > 0", "I-02 I-03 I-04"},
		{"a lot's wallet", "UPDATE lot_rows SET wallet_id = (SELECT id FROM wallets WHERE sub_account_id IS NULL) WHERE source = 'promo'", "I-02 I-03"},
		{"transit", "UPDATE entries SET kind = 13 WHERE kind = 8", "I-04"},
		{"an unknown kind", "UPDATE entries SET kind = 99 WHERE kind = 8", "I-01 I-03 I-04 I-05 I-11"},
		{"a running balance", "UPDATE entries SET balance = balance + 1 WHERE seq = 2", "I-05"},
		{"a gap", "UPDATE entries SET seq = seq + 1000 WHERE kind = 15", "I-05 I-07 I-30"},
		{"a lost entry", "DELETE FROM entries WHERE kind = 15", "I-01 I-04 I-05 I-06 I-07 I-29"},
		{"time running backwards", "UPDATE entries SET at = at + 60 WHERE seq = 2", "I-05"},
		{"a key used twice", "DROP INDEX charges_key; UPDATE charges SET idempotency_key = 'k1' WHERE idempotency_key = 'k2'", "I-06 I-31"},
		{"a price", "UPDATE charges SET credits = credits + 1 WHERE idempotency_key = 'k2'", "I-04 I-06"},
		{"a test that cost", "UPDATE charges SET test = true WHERE idempotency_key = 'k2'", "I-06 I-29"},
		{"a charge that is not there", "DELETE FROM charges WHERE idempotency_key = 'k2'", "I-04 I-06 I-29"},
		{"a reversal", "UPDATE reversals SET credits = credits + 1", "I-04 I-06"},
		{"a limit", "UPDATE wallets SET excess_limit = 0 WHERE sub_account_id IS NOT NULL", "I-09"},
		{"a ceiling", "UPDATE wallets SET agency_ceiling = 0 WHERE sub_account_id IS NULL", "I-09"},
		{"the agency's excess", "UPDATE wallets SET agency_excess = agency_excess + 1 WHERE sub_account_id IS NULL", "I-09"},
		{"excess before credits", "UPDATE lot_rows SET effective_at = created_at WHERE source = 'promo'", "I-02 I-09 I-11 I-17"},
		{"the draw order", "UPDATE lot_rows SET priority = 99 WHERE source = 'plan'", "I-11"},
		{"a hold that ended twice", "UPDATE holds SET state = 'released' WHERE state = 'captured'", "I-12"},
		{"a hold that never ended", "UPDATE holds SET state = 'captured', ended_at = 1 WHERE state = 'open' AND purchase_id IS NULL", "I-12"},
		{"a hold without an end", "UPDATE holds SET ended_at = 0 WHERE state = 'captured'", "I-12"},
		{"a hold's draws", "UPDATE holds SET draws = '[]' WHERE state = 'open'", "I-12"},
		{"a promise", "UPDATE wallets SET promised = promised + 1 WHERE sub_account_id IS NULL; UPDATE wallets SET agency_excess = agency_excess + 1, excess_limit = 1 WHERE sub_account_id IS NULL", "I-12"},
		{"a payment that bought twice", "UPDATE purchases SET payment_intent = 'pi_a'", "I-13"},
		{"credits for a purchase not paid", "UPDATE purchases SET status = 'open' WHERE payment_intent = 'pi_a'", "I-13"},
		{"a purchase not granted", "UPDATE lot_rows SET purchase_id = NULL WHERE purchase_id IS NOT NULL", "I-13 I-14 I-17"},
		{"a grant without a purchase", "UPDATE lot_rows SET purchase_id = id WHERE source = 'promo'", "I-13"},
		{"two grants", "DROP INDEX lots_one_grant; UPDATE lot_rows SET purchase_id = (SELECT id FROM purchases WHERE payment_intent = 'pi_a') WHERE purchase_id IS NOT NULL", "I-13 I-17 I-31"},
		{"a purchase nobody paid", "UPDATE purchases SET paid_at = 0 WHERE payment_intent = 'pi_a'", "I-14"},
		{"a sale paid to the platform", "UPDATE purchases SET account = '' WHERE payment_intent = 'pi_s'", "I-14"},
		{"bought from nobody", "UPDATE lot_rows SET source = 'purchase' WHERE source = 'promo'", "I-14"},
		{"a client's expiry", "UPDATE lot_rows SET expires_at = expires_at - 1 WHERE parent_lot_id IS NOT NULL AND source = 'purchase'", "I-21"},
		{"a client's cost", "UPDATE lot_rows SET unit_cost = unit_cost + 1 WHERE parent_lot_id IS NOT NULL", "I-21"},
		{"a sale's cost", "UPDATE lot_rows SET cost = cost + 2 WHERE parent_lot_id IS NOT NULL AND source = 'purchase'", "I-21"},
		{"another's child", "UPDATE lot_rows SET parent_lot_id = (SELECT id FROM lots WHERE source = 'promo') WHERE parent_lot_id IS NOT NULL", "I-21"},
		{"a checkout without stock", "UPDATE holds SET purchase_id = NULL WHERE purchase_id IS NOT NULL AND state = 'open'", "I-22"},
		{"stock nobody may pay for", "UPDATE purchases SET status = 'expired' WHERE idempotency_key = 'sale'", "I-22"},
		{"a stranger's wallet", "UPDATE sub_accounts SET wallet_id = id", "I-23"},
		{"another pool", "UPDATE wallets SET pool_wallet_id = id WHERE sub_account_id IS NOT NULL", "I-23"},
		{"a lost address", "DELETE FROM wallet_directory", "I-23"},
		{"an act elsewhere", "UPDATE acts SET other_wallet_id = id WHERE other_wallet_id IS NOT NULL", "I-08 I-23"},
		{"a charge elsewhere", "UPDATE charges SET pool_wallet_id = id WHERE idempotency_key = 'k1'", "I-23"},
		{"a sale to the agency", "UPDATE purchases SET wallet_id = (SELECT id FROM wallets WHERE sub_account_id IS NULL) WHERE payment_intent = 'pi_s'", "I-23"},
		{"two allowances", "DROP INDEX lots_one_allowance; UPDATE lot_rows SET period_start = 5 WHERE source = 'plan' AND parent_lot_id IS NULL", "I-18 I-19 I-31"},
		{"a rollover", "UPDATE lot_rows SET remaining = remaining + 1, open = true WHERE source = 'plan' AND expires_at = 1772366400000100", "I-02 I-03 I-04 I-18"},
		{"a draw after expiry", "UPDATE lot_rows SET expires_at = effective_at + 1 WHERE source = 'plan' AND expires_at = 1772366400000100; UPDATE lot_rows SET effective_at = effective_at - 9, expires_at = effective_at WHERE source = 'plan' AND expires_at = 1772366400000001", "I-20"},
		{"a draw before its time", "UPDATE lot_rows SET effective_at = effective_at + 1 WHERE source = 'plan' AND expires_at = 1772366400000100", "I-20"},
		{"a bound", "UPDATE charges SET would_cost = -1 WHERE test", "I-28"},
		{"a counter", "UPDATE usage_quarters SET plan = plan + 1 WHERE plan > 0", "I-29"},
		{"a count", "UPDATE usage_quarters SET charges = charges + 1", "I-29"},
		{"a day", "INSERT INTO usage_days (agency_id, day, paid_wallet_id, wallet_id, action, model, plan, purchased, assigned, bonus, excess, units, charges, tests) SELECT agency_id, 0, id, id, 'a', '', 1, 0, 0, 0, 0, 0, 0, 0 FROM wallets WHERE sub_account_id IS NULL", "I-29"},
		{"a day of the platform", "INSERT INTO usage_platform_days (agency_id, day, action, model, plan, purchased, assigned, bonus, excess, units, charges, tests) SELECT agency_id, 0, 'a', '', 1, 0, 0, 0, 0, 0, 0, 0 FROM wallets WHERE sub_account_id IS NULL", "I-29"},

		{"a balance that was seen", "UPDATE patrols SET balance = balance + 1", "I-07"},
		{"an entry that was seen", "UPDATE patrols SET seq = seq + 1", "I-07"},
		{"the end of a counter", "UPDATE usage_quarters SET balance = balance - 1 WHERE last_seq > 0", "I-07"},
		{"a stop that was never reached", "INSERT INTO wallet_stops (agency_id, wallet_id, seq) SELECT agency_id, id, seq + 1 FROM wallets WHERE sub_account_id IS NOT NULL", "I-07"},
		{"where a charge's entries are", "UPDATE charges SET seq = seq + 1 WHERE idempotency_key = 'k2'", "I-08"},
		{"where an act's entries are", "UPDATE acts SET seq = seq + 1 WHERE other_wallet_id IS NOT NULL", "I-08"},
		{"an answer with too much", "UPDATE charges SET after_plan = after_plan + 1000000000 WHERE idempotency_key = 'k2'", "I-08"},
		{"what a charge was asked for by", "UPDATE charges SET fingerprint = substr(fingerprint, 1, 0) WHERE idempotency_key = 'k2'", "I-08"},
		{"what a hold was asked for by", "UPDATE holds SET fingerprint = substr(fingerprint, 1, 0) WHERE state = 'captured'", "I-08"},
		{"an answer that it is paused", "UPDATE charges SET state = 'paused' WHERE idempotency_key = 'k2'", "I-10"},
		{"told of a pause too early", `UPDATE notices SET facts = '{"left": "5"}' WHERE event = 'wallet.paused'`, "I-10"},
		{"told of a pause by a person", `UPDATE notices SET facts = '{"left": "5", "reason": "halted"}' WHERE event = 'wallet.paused'`, ""},
		{"given back before it was taken", "UPDATE reversals SET charge_id = (SELECT id FROM charges WHERE idempotency_key = 'k6')", "I-06 I-30"},
		{"captured before it was held", "UPDATE charges SET hold_id = (SELECT id FROM holds WHERE idempotency_key = 'h1') WHERE idempotency_key = 'k1'", "I-12 I-30"},
		{"used before it was given", "UPDATE entries SET lot_id = (SELECT id FROM lots WHERE source = 'plan' AND expires_at = 1772370000000000 AND parent_lot_id IS NULL) WHERE kind = 2 AND act_id = (SELECT id FROM charges WHERE idempotency_key = 'k1')", "I-03 I-11 I-20 I-30"},
		{"an index that is gone", "DROP INDEX holds_key", "I-31"},
		{"a migration that was left out", "DELETE FROM goose_db_version WHERE version_id = 9", "I-31"},

		{"a refund that took nothing", "UPDATE purchases SET refunded = refunded + 1 WHERE payment_intent = 'pi_r'", "I-16"},
		{"a dispute that froze too much", "UPDATE purchases SET dispute_held = 0 WHERE payment_intent = 'pi_d'", "I-16"},
		{"a revoked credit", "UPDATE purchases SET revoked_spent = revoked_spent - 1 WHERE payment_intent = 'pi_u'", "I-16"},
		{"a refund of what nobody bought", "DELETE FROM purchases WHERE payment_intent = 'pi_d'", "I-13 I-16"},
		{"a bonus", "UPDATE purchases SET bonus_revoked = bonus_revoked + 1 WHERE payment_intent = 'pi_r'", "I-16"},
		{"a bonus that was not taken", "UPDATE purchases SET bonus_revoked = 0 WHERE payment_intent = 'pi_r'", "I-16"},
		{"a reward", "UPDATE referrals SET revoked = 1", "I-16"},
		{"a plan's claim", "UPDATE plan_claims SET revoked = 1", "I-16"},
		{"taken from another lot", "UPDATE lot_rows SET purchase_id = NULL WHERE purchase_id = (SELECT id FROM purchases WHERE payment_intent = 'pi_d')", "I-13 I-14 I-17"},

		{"paid and not given", "UPDATE purchases SET paid_at = 1 WHERE idempotency_key = 'f1'", "I-15"},
		{"paid as Stripe shows it", "UPDATE seen_payments SET seen_at = 1", "I-15"},
		{"two plans", "DROP INDEX subscriptions_live; UPDATE subscriptions SET ended_at = 0", "I-19 I-31"},
		{"a period's end", "UPDATE subscriptions SET trial_end = 0 WHERE ended_at = 0", "I-19"},
		{"a period that did not begin", "UPDATE subscriptions SET period_end = period_start + 1, trial_end = period_start + 1, allowance = 0 WHERE ended_at = 0", "I-19"},
		{"a period without its allowance", "UPDATE subscriptions SET period_start = period_start + 1 WHERE ended_at = 0", "I-19"},
		{"a zone nobody knows", "UPDATE subscriptions SET time_zone = 'Mars/Olympus' WHERE ended_at = 0", "I-19"},
		{"two top-ups at once", "DROP INDEX purchases_in_flight; UPDATE purchases SET status = 'open' WHERE status = 'failed'", "I-24 I-31"},
		{"a card that had no rest", "UPDATE purchases SET created_at = created_at - 3600000001 WHERE idempotency_key = 'f2'", "I-24"},
		{"a card that was tried too often", "UPDATE purchases SET card = 'one' WHERE card = 'other'", "I-24"},
		{"a month's limit", "UPDATE top_ups SET monthly_limit = 999", "I-24"},
		{"told once too often", "UPDATE alarms SET told = 1", "I-25"},
		{"told twice of one occasion", "UPDATE notices SET occasion = event || ' #1'", "I-25"},
		{"an event nobody looked at", "UPDATE stripe_events SET next_at = 1 WHERE state = 'pending'", "I-26"},
		{"an event ignored for no reason", "UPDATE stripe_events SET note = '' WHERE state = 'ignored'", "I-26"},
		{"an event that ended at no time", "UPDATE stripe_events SET processed_at = 0 WHERE state = 'processed'", "I-26"},
		{"a notice nobody told", "UPDATE notices SET due_at = 1 WHERE told_at = 0", "I-27"},
		{"a notice told before its time", "UPDATE notices SET told_at = 0 WHERE told_at > 0", "I-27"},
		{"a webhook nobody took", "UPDATE webhook_deliveries SET status = 500", "I-27"},
		{"a webhook that never ended", "UPDATE webhook_deliveries SET ended_at = 0", "I-27"},
		{"a mail that never ended", "UPDATE mails SET ended_at = 0", "I-27"},
		{"an account that runs without its agency", "UPDATE agencies SET status = 'suspended' WHERE external_id = 'a'", "I-32"},
		{"a client that was archived", "UPDATE sub_accounts SET status = 'archived'", "I-32"},
		{"a draw after the stop", "UPDATE wallets SET status = 'closed' WHERE sub_account_id IS NOT NULL; UPDATE sub_accounts SET status = 'archived'; INSERT INTO wallet_stops (agency_id, wallet_id, seq) SELECT agency_id, id, 1 FROM wallets WHERE sub_account_id IS NOT NULL", "I-32"},
	}
	// What the checks that have several sentences say of it.
	says := map[string]string{
		"a refund that took nothing": "are revoked, its payment asks for", "a dispute that froze too much": "are frozen, its payment asks for",
		"a revoked credit": "of them used, and", "a refund of what nobody bought": "for a purchase that was never credited",
		"a bonus": "its row says", "a bonus that was not taken": "the bonus of", "a reward": "reward lot_", "a plan's claim": "its row says",
		"taken from another lot": "which is not what it came from", "excess before credits": "it owes",
	}
	modelstest.Each(t, func(t *testing.T, db *models.DB) {
		w := busy(t, db)
		var guarding []string
		if db.Dialect == models.SQLite {
			require.NoError(t, db.Read.Raw("SELECT sql FROM sqlite_master WHERE name IN ('entries_no_update', 'entries_no_delete')").Scan(&guarding).Error)
		}
		for _, c := range cases {
			tx := db.Write.WithContext(t.Context()).Begin()
			require.NoError(t, tx.Error)
			// Nobody is kept from a corruption, and the schema is as it was when it is looked at.
			allow, again := []string{"ALTER TABLE entries DISABLE TRIGGER entries_append_only"}, []string{"ALTER TABLE entries ENABLE TRIGGER entries_append_only"}
			if db.Dialect == models.SQLite {
				allow, again = []string{"DROP TRIGGER entries_no_update", "DROP TRIGGER entries_no_delete"}, guarding
			}
			for _, q := range slices.Concat(allow, strings.Split(c.sql, "; "), again) {
				done := tx.Exec(q)
				require.NoError(t, done.Error, "%s: %s", c.name, q)
				if strings.HasPrefix(q, "UPDATE") {
					require.Positive(t, done.RowsAffected, "%s: nothing corrupted by %s", c.name, q)
				}
			}
			r, err := ledger.AuditIn(tx, w.agency, start.Add(30*time.Minute))
			require.NoError(t, err, c.name)
			var broken []string
			for _, check := range r.Checks {
				if check.Count > 0 {
					require.NotEmpty(t, check.Breaches)
					broken = append(broken, check.ID)
				}
			}
			require.NoError(t, tx.Rollback().Error)
			require.Contains(t, r.String(), says[c.name], c.name)
			if got := strings.Join(broken, " "); got != c.breaks {
				t.Errorf("%s breaks %s, want %s\n%s", c.name, got, c.breaks, r)
			}
		}
		w.audit(t)
	})
}

// Entries can only be added.
func TestEntriesAreAppendOnly(t *testing.T) {
	t.Parallel()
	modelstest.Each(t, func(t *testing.T, db *models.DB) {
		w := newWorld(t, db)
		w.grant(t, w.wallet, models.SourcePlan, 10)
		require.ErrorContains(t, db.Write.Exec("UPDATE entries SET amount = 1").Error, "append-only")
		require.ErrorContains(t, db.Write.Exec("DELETE FROM entries").Error, "append-only")
		w.audit(t)
	})
}

func TestAReportTellsBreachesInWords(t *testing.T) {
	t.Parallel()
	r := ledger.Report{Checks: []ledger.Check{{ID: "I-01", Title: "a title", Checked: 3, Count: 1, Breaches: []string{"wallet w: wrong"}}}}
	require.False(t, r.Clean())
	require.Contains(t, r.String(), "I-01  a title")
	require.Contains(t, r.String(), "1 BROKEN")
	require.Contains(t, r.String(), "wallet w: wrong")
}
