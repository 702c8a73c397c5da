package billing

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"refill/billing/checkout"
	"refill/billing/ledger"
	"refill/billing/preset"
	"refill/billing/problem"
	"refill/models"
	"refill/models/modelstest"
)

// newPlatform is a service on an empty database.
func newPlatform(t *testing.T, db *models.DB) *Service {
	t.Helper()
	l, err := ledger.Open(t.Context(), db, ledger.Options{})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, l.Close()) })
	s, err := New(Config{DB: db, Ledger: l, Clock: models.SystemClock{}})
	require.NoError(t, err)
	return s
}

func founder(code string) FirstAdminInput {
	return FirstAdminInput{Code: code, Name: "Ana", Email: "Ana@Example.test ", Password: secret, Address: "203.0.113.7"}
}

// actions lists what the audit log says happened, in order.
func actions(t *testing.T, db *models.DB) []string {
	t.Helper()
	var rows []models.AuditEntry
	require.NoError(t, db.Read.Order("created_at, id").Find(&rows).Error)
	out := make([]string, len(rows))
	for i, r := range rows {
		out[i] = r.Action
	}
	return out
}

// codes lists the problems of an error and the fields they are about.
func codesOf(err error) []string {
	var out []string
	if many, ok := err.(interface{ Unwrap() []error }); ok {
		for _, one := range many.Unwrap() {
			out = append(out, codesOf(one)...)
		}
		return out
	}
	if p := problem.Of(err); p != nil {
		out = append(out, p.Code+"@"+p.Field)
	}
	return out
}

func TestFirstAdminNeedsTheCodeOfTheLatestStart(t *testing.T) {
	t.Parallel()
	modelstest.Each(t, func(t *testing.T, db *models.DB) {
		s, ctx := newPlatform(t, db), t.Context()
		has, err := s.HasAdmin(ctx)
		require.NoError(t, err)
		require.False(t, has)
		_, err = s.FirstAdminByCode(ctx, founder("0000-0000-0000-0000"))
		require.True(t, problem.Is(err, "wrong_code"), "no code was made: %v", err)

		old, err := s.NewSetupCode(ctx)
		require.NoError(t, err)
		code, err := s.NewSetupCode(ctx)
		require.NoError(t, err)
		require.Regexp(t, `^([0-9A-HJKMNP-TV-Z]{4}-){3}[0-9A-HJKMNP-TV-Z]{4}$`, code)
		require.NotEqual(t, old, code)
		var kept models.Setting
		require.NoError(t, db.Read.Where("name = ?", settingSetupCode).Take(&kept).Error)
		require.NotContains(t, kept.Value, strings.ReplaceAll(code, "-", ""))
		require.Len(t, kept.Value, 64, "only its hash is kept")

		for _, wrong := range []string{old, "", code[:15], code + "X"} {
			_, err = s.FirstAdminByCode(ctx, founder(wrong))
			require.True(t, problem.Is(err, "wrong_code"), "%q: %v", wrong, err)
			require.Equal(t, "code", problem.Of(err).Field)
		}
		// Everything wrong is told at once, and nothing is used up.
		in := founder(old)
		in.Name, in.Email, in.Password = " ", "ana", "short"
		_, err = s.FirstAdminByCode(ctx, in)
		require.Equal(t, []string{"wrong_code@code", "invalid_name@name", "invalid_email@email", "invalid_password@password"}, codesOf(err))
		in.Code = code
		_, err = s.FirstAdminByCode(ctx, in)
		require.Equal(t, []string{"invalid_name@name", "invalid_email@email", "invalid_password@password"}, codesOf(err))
		has, err = s.HasAdmin(ctx)
		require.NoError(t, err)
		require.False(t, has)

		// As somebody types it from a screen.
		typed := strings.NewReplacer("-", " ", "0", "o", "1", "l").Replace(strings.ToLower(code))
		user, err := s.FirstAdminByCode(ctx, founder(typed))
		require.NoError(t, err)
		require.Equal(t, "ana@example.test", user.Email)
		require.Equal(t, models.PlatformAdmin, user.PlatformRole)
		has, err = s.HasAdmin(ctx)
		require.NoError(t, err)
		require.True(t, has)
		_, err = s.Authenticate(ctx, "ana@example.test", secret, "10.0.0.1")
		require.NoError(t, err)

		// The code is void, and no start makes another.
		again := founder(code)
		again.Email = "eve@example.test"
		_, err = s.FirstAdminByCode(ctx, again)
		require.True(t, problem.Is(err, "setup_over"), "%v", err)
		code, err = s.NewSetupCode(ctx)
		require.NoError(t, err)
		require.Empty(t, code)
		require.Equal(t, []string{"setup.admin"}, actions(t, db))

		// An admin who was disabled was still there.
		require.NoError(t, s.DisableUser(ctx, user.ID, "test"))
		has, err = newPlatform(t, db).HasAdmin(ctx)
		require.NoError(t, err)
		require.True(t, has)
	})
}

func TestFirstAdminWithAnAddressThatIsTaken(t *testing.T) {
	t.Parallel()
	s, ctx := newPlatform(t, modelstest.OpenSQLite(t)), t.Context()
	_, err := s.CreateUser(ctx, UserInput{Email: "ana@example.test", Name: "Ana", By: "test"})
	require.NoError(t, err)
	code, err := s.NewSetupCode(ctx)
	require.NoError(t, err)
	_, err = s.FirstAdminByCode(ctx, founder("wrong"))
	require.Equal(t, []string{"wrong_code@code"}, codesOf(err), "who has no code learns nothing of who there is")
	_, err = s.FirstAdminByCode(ctx, founder(code))
	require.Equal(t, []string{"email_taken@email"}, codesOf(err))
	in := founder(code)
	in.Email = "bo@example.test"
	_, err = s.FirstAdminByCode(ctx, in)
	require.NoError(t, err, "a refusal did not use the code up")
}

// Whoever guesses is stopped after ten, also at once, and elsewhere goes on.
func TestWrongCodesAreCounted(t *testing.T) {
	t.Parallel()
	modelstest.Each(t, func(t *testing.T, db *models.DB) {
		s, ctx := newPlatform(t, db), t.Context()
		code, err := s.NewSetupCode(ctx)
		require.NoError(t, err)
		var group sync.WaitGroup
		results := make([]error, 3*maxPerPair)
		for i := range results {
			group.Go(func() { _, results[i] = s.FirstAdminByCode(ctx, founder("guess "+strconv.Itoa(i))) })
		}
		group.Wait()
		tried := 0
		for _, err := range results {
			if problem.Is(err, "wrong_code") {
				tried++
				continue
			}
			require.True(t, problem.Is(err, "too_many"), "%v", err)
			require.NotContains(t, problem.Of(err).Message, "sign-in")
		}
		require.Equal(t, maxPerPair, tried)
		_, err = s.FirstAdminByCode(ctx, founder(code))
		require.True(t, problem.Is(err, "too_many"), "the right code from there has to wait too")
		in := founder(code)
		in.Address = "198.51.100.9"
		_, err = s.FirstAdminByCode(ctx, in)
		require.NoError(t, err)
	})
}

// Of many who race with the same code, and of one who has the database, one
// becomes the admin.
func TestOneFirstAdmin(t *testing.T) {
	t.Parallel()
	modelstest.Each(t, func(t *testing.T, db *models.DB) {
		s, ctx := newPlatform(t, db), t.Context()
		other := newPlatform(t, db) // another process
		code, err := s.NewSetupCode(ctx)
		require.NoError(t, err)
		const racers = 8
		results := make([]error, racers)
		var group sync.WaitGroup
		for i := range racers {
			group.Go(func() {
				in := founder(code)
				in.Email = "ana" + strconv.Itoa(i) + "@example.test"
				switch {
				case i == 0:
					_, results[i] = other.FirstAdmin(ctx, UserInput{Name: in.Name, Email: in.Email, Password: in.Password, By: "setup"})
				case i%2 == 0:
					_, results[i] = other.FirstAdminByCode(ctx, in)
				default:
					_, results[i] = s.FirstAdminByCode(ctx, in)
				}
			})
		}
		group.Wait()
		won := 0
		for i, err := range results {
			if err == nil {
				won++
				continue
			}
			require.True(t, problem.Is(err, "setup_over"), "%d: %v", i, err)
		}
		require.Equal(t, 1, won)
		var admins int64
		require.NoError(t, db.Read.Model(&models.User{}).Where("platform_role = ?", models.PlatformAdmin).Count(&admins).Error)
		require.EqualValues(t, 1, admins)
		require.Equal(t, []string{"setup.admin"}, actions(t, db))
	})
}

func TestStepsAreSavedOneByOne(t *testing.T) {
	t.Parallel()
	modelstest.Each(t, func(t *testing.T, db *models.DB) {
		s, ctx := newPlatform(t, db), t.Context()
		open := func() SetupStep {
			state, err := s.SetupState(ctx)
			require.NoError(t, err)
			return state.Open()
		}
		require.Empty(t, open(), "nothing has begun")
		code, err := s.NewSetupCode(ctx)
		require.NoError(t, err)
		_, err = s.FirstAdminByCode(ctx, founder(code))
		require.NoError(t, err)
		require.Equal(t, SetupAddress, open())

		for _, bad := range []string{"", "Moon/Base", "Local"} {
			err := s.SetPlatformZone(ctx, bad, "ana")
			require.Equal(t, []string{"invalid_time_zone@time_zone"}, codesOf(err), bad)
		}
		require.Equal(t, SetupAddress, open())
		require.NoError(t, s.SetPlatformZone(ctx, "Europe/Paris", "ana"))
		zone, err := s.PlatformZone(ctx)
		require.NoError(t, err)
		require.Equal(t, "Europe/Paris", zone.String())

		require.NoError(t, s.FinishStep(ctx, SetupStripe, "ana"), "in any order")
		require.Equal(t, SetupDatabase, open())
		for range 2 { // once more changes nothing
			require.NoError(t, s.FinishStep(ctx, SetupDatabase, "ana"))
		}
		require.Equal(t, SetupCatalogue, open())
		require.Equal(t, []string{"unknown_preset@preset"}, codesOf(s.ChooseCatalogue(ctx, "nothing", "ana")))

		// Blank first, then another mind: the empty card is taken, not doubled.
		for range 2 {
			require.NoError(t, s.ChooseCatalogue(ctx, BlankCatalogue, "ana"))
		}
		cards, err := s.RateCards(ctx)
		require.NoError(t, err)
		require.Len(t, cards, 1)
		_, err = s.CardInForce(ctx, cards[0].ID)
		require.True(t, problem.Is(err, "no_rate_card"), "%v", err)
		require.NoError(t, s.ChooseCatalogue(ctx, "stammer", "ana"))
		again, err := s.RateCards(ctx)
		require.NoError(t, err)
		require.Equal(t, cards[0].ID, again[0].ID)
		require.Len(t, again, 1)
		for _, name := range []string{"stammer", "tawk", BlankCatalogue} {
			err := s.ChooseCatalogue(ctx, name, "ana")
			require.True(t, problem.Is(err, "catalogue_not_empty"), "%s: %v", name, err)
		}
		require.Equal(t, SetupDone, open())
		require.NoError(t, s.FinishStep(ctx, SetupDone, "ana"))
		require.Empty(t, open())
		log := actions(t, db)
		for _, want := range []string{"setup.admin", "setup.address", "setup.stripe", "setup.database", "setup.catalogue", "catalogue.import", "setup.done"} {
			require.Contains(t, log, want)
		}
	})
}

// The same choice sent twice at once makes one catalogue.
func TestPresetIsImportedOnce(t *testing.T) {
	t.Parallel()
	modelstest.Each(t, func(t *testing.T, db *models.DB) {
		s, ctx := newPlatform(t, db), t.Context()
		results := make([]error, 4)
		var group sync.WaitGroup
		for i := range results {
			group.Go(func() { results[i] = s.ChooseCatalogue(ctx, "thrivedesk", "ana") })
		}
		group.Wait()
		won := 0
		for _, err := range results {
			if err == nil {
				won++
			} else {
				require.True(t, problem.Is(err, "catalogue_not_empty"), "%v", err)
			}
		}
		require.Equal(t, 1, won)
		plans, err := s.Plans(ctx)
		require.NoError(t, err)
		want, err := preset.Load("thrivedesk")
		require.NoError(t, err)
		require.Len(t, plans, len(want.Plans))
	})
}

// An agency cannot be made without a plan, and the refusal says what is missing.
func TestBlankCatalogueSaysWhatIsMissing(t *testing.T) {
	t.Parallel()
	s, ctx := newPlatform(t, modelstest.OpenSQLite(t)), t.Context()
	require.NoError(t, s.ChooseCatalogue(ctx, BlankCatalogue, "ana"))
	_, err := s.CreateAgency(ctx, AgencyInput{ExternalID: "northwind", Name: "Northwind", By: "test"})
	require.Equal(t, []string{"unknown_plan@plan"}, codesOf(err))
	require.Contains(t, problem.Of(err).Message, "no plans yet")
}

func TestClockCheck(t *testing.T) {
	t.Parallel()
	modelstest.Each(t, func(t *testing.T, db *models.DB) {
		s := newPlatform(t, db)
		require.Equal(t, CheckGood, s.ClockCheck(t.Context()).Verdict)
		if db.Dialect == models.SQLite {
			return
		}
		s.people.wall = models.ClockFunc(func() models.Time { return models.SystemClock{}.Now().Add(-7 * 60e9) })
		c := s.ClockCheck(t.Context())
		require.Equal(t, CheckWarn, c.Verdict)
		require.Contains(t, c.Found, "7m0s apart")
		require.NotEmpty(t, c.Next)
	})
}

// TestEndpointsAskForWhatIsActedOn holds the events that endpoints are made with
// against the inbox: one that it ignores would be asked for in vain.
func TestEndpointsAskForWhatIsActedOn(t *testing.T) {
	t.Parallel()
	for _, kind := range checkout.PlatformEvents() {
		require.True(t, isPurchaseEvent(kind) || isCardEvent(kind) || isPlanEvent(kind), kind)
	}
	for _, kind := range checkout.ConnectEvents() {
		require.True(t, isPurchaseEvent(kind) || isCardEvent(kind) || isPlanEvent(kind) || isConnectionEvent(EndpointConnect, kind, "acct_1"), kind)
	}
	for _, kind := range []string{"account.updated", "capability.updated", eventDeauthorized} {
		require.Contains(t, checkout.ConnectEvents(), kind, "the inbox waits for it")
	}
}

// stub answers as Stripe would, for the words of the checks.
type stub struct {
	live, sim bool
	account   checkout.OwnAccount
	endpoints []checkout.WebhookEndpoint
	err       error
}

func (s *stub) LiveMode() bool  { return s.live }
func (s *stub) Simulated() bool { return s.sim }
func (s *stub) Account(context.Context) (checkout.OwnAccount, error) {
	return s.account, s.err
}

func (s *stub) Endpoints(context.Context) ([]checkout.WebhookEndpoint, error) {
	return s.endpoints, nil
}

func TestStripeChecks(t *testing.T) {
	t.Parallel()
	const base = "https://credits.example"
	endpoint := func(connect bool, change func(*checkout.WebhookEndpoint)) checkout.WebhookEndpoint {
		e := checkout.WebhookEndpoint{
			ID: "we_1", URL: checkout.EndpointURL(base, connect), Connect: connect, APIVersion: checkout.APIVersion, Enabled: true, Events: []string{"*"},
		}
		if change != nil {
			change(&e)
		}
		return e
	}
	fine := func() (*stub, StripeSetup) {
		s := &stub{
			account:   checkout.OwnAccount{ID: "acct_1", Name: "Northwind", Country: "US", Currency: "usd", ChargesEnabled: true, PayoutsEnabled: true},
			endpoints: []checkout.WebhookEndpoint{endpoint(false, nil), endpoint(true, nil)},
		}
		return s, StripeSetup{Console: s, Key: "…4242", Secrets: []string{"…aaaa"}, ConnectSecrets: []string{"…bbbb"}, BaseURL: base}
	}
	check := func(checks []Check, name string) Check {
		for _, c := range checks {
			require.NotEmpty(t, c.Tried, c.Name)
			require.NotEmpty(t, c.Found, c.Name)
			if c.Verdict == CheckBad || c.Verdict == CheckWarn {
				require.NotEmpty(t, c.Next, "%s says what is wrong and not what to do", c.Name)
			}
		}
		for _, c := range checks {
			if c.Name == name {
				return c
			}
		}
		require.Fail(t, "no check "+name)
		return Check{}
	}

	_, setup := fine()
	checks := CheckStripe(t.Context(), setup)
	require.Len(t, checks, 8)
	for _, c := range checks {
		require.Equal(t, CheckGood, c.Verdict, "%+v", c)
	}
	require.False(t, Failed(checks))
	require.Contains(t, check(checks, "Account").Found, "Northwind (acct_1), US, USD")
	require.Contains(t, check(checks, "Secret key").Found, "…4242 and is a test key")

	none := CheckStripe(t.Context(), StripeSetup{BaseURL: base})
	require.Len(t, none, 1)
	require.Contains(t, none[0].Next, "STRIPE_SECRET_KEY")

	for name, c := range map[string]struct {
		change  func(*stub, *StripeSetup)
		check   string
		verdict Verdict
		says    string
	}{
		"live key": {func(s *stub, _ *StripeSetup) { s.live = true }, "Secret key", CheckGood, "real money moves"},
		"wrong key": {func(s *stub, _ *StripeSetup) {
			s.err = &checkout.Error{Kind: checkout.KindUnauthorised, Detail: "Invalid API Key provided: sk_test_***42"}
		}, "Account", CheckBad, "does not accept the key: Invalid API Key"},
		"nothing known without the account": {func(s *stub, _ *StripeSetup) {
			s.err = &checkout.Error{Kind: checkout.KindUnauthorised}
		}, "Webhook endpoint", CheckSkipped, "could not be read"},
		"down": {func(s *stub, _ *StripeSetup) {
			s.err = &checkout.Error{Kind: checkout.KindUnavailable, Detail: "timeout"}
		}, "Account", CheckBad, "did not answer: timeout."},
		"broken":            {func(s *stub, _ *StripeSetup) { s.err = errors.New("boom") }, "Account", CheckBad, "failed before"},
		"no charges":        {func(s *stub, _ *StripeSetup) { s.account.ChargesEnabled, s.account.Due = false, []string{"tos"} }, "Account", CheckBad, "still wants: tos"},
		"no endpoint":       {func(s *stub, _ *StripeSetup) { s.endpoints = s.endpoints[1:] }, "Webhook endpoint", CheckBad, "There is none"},
		"not for platforms": {func(s *stub, _ *StripeSetup) { s.endpoints[1].Connect = false }, "Webhook endpoint for connected accounts", CheckBad, "There is none"},
		"elsewhere":         {func(s *stub, _ *StripeSetup) { s.endpoints[0].URL = "https://other.example/webhooks/stripe" }, "Webhook endpoint", CheckBad, "There is none"},
		"old version":       {func(s *stub, _ *StripeSetup) { s.endpoints[0].APIVersion = "2020-08-27" }, "Webhook endpoint", CheckBad, "written in 2020-08-27"},
		"account's version": {func(s *stub, _ *StripeSetup) { s.endpoints[0].APIVersion = "" }, "Webhook endpoint", CheckBad, "the account's default version"},
		"an old one too": {func(s *stub, _ *StripeSetup) {
			s.endpoints = append(s.endpoints, endpoint(false, func(e *checkout.WebhookEndpoint) { e.ID, e.APIVersion = "we_old", "2020-08-27" }))
		}, "Webhook endpoint", CheckWarn, "we_1 is there"},
		"off":             {func(s *stub, _ *StripeSetup) { s.endpoints[0].Enabled = false }, "Webhook endpoint", CheckBad, "switched off"},
		"few events":      {func(s *stub, _ *StripeSetup) { s.endpoints[0].Events = checkout.PlatformEvents()[1:] }, "Webhook endpoint", CheckBad, "does not send " + checkout.PlatformEvents()[0] + "."},
		"no secret":       {func(_ *stub, t *StripeSetup) { t.Secrets = nil }, "Webhook secret", CheckBad, "not set"},
		"no Connect":      {func(_ *stub, t *StripeSetup) { t.ConnectSecrets = nil }, "Webhook secret for connected accounts", CheckWarn, "not set"},
		"rolled":          {func(_ *stub, t *StripeSetup) { t.Secrets = []string{"…aaaa", "…cccc"} }, "Webhook secret", CheckGood, "…aaaa and …cccc"},
		"on this machine": {func(s *stub, t *StripeSetup) { t.BaseURL, s.endpoints = "http://localhost:8080", nil }, "Address for webhooks", CheckWarn, "of this machine"},
		"none needed":     {func(s *stub, t *StripeSetup) { t.BaseURL, s.endpoints = "http://10.0.0.7", nil }, "Webhook endpoint", CheckWarn, "There is none"},
		"plain http":      {func(_ *stub, t *StripeSetup) { t.BaseURL = "http://credits.example" }, "Address for webhooks", CheckWarn, "not https"},
		"simulated":       {func(s *stub, t *StripeSetup) { s.sim, t.BaseURL = true, "http://localhost:1" }, "Secret key", CheckWarn, "simulator on this machine"},
	} {
		s, setup := fine()
		c.change(s, &setup)
		got := check(CheckStripe(t.Context(), setup), c.check)
		require.Equal(t, c.verdict, got.Verdict, "%s: %+v", name, got)
		require.Contains(t, got.Found, c.says, name)
	}
}
