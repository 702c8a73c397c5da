package billing

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"
	"time"

	"refill/billing/checkout"
)

// Check is one thing that was looked at: what was tried, what came back, and
// what to do next. Pages and the command line show the same words.
type Check struct {
	Name    string
	Verdict Verdict
	Tried   string
	Found   string
	Next    string // "" when there is nothing to do
}

// Verdict is how a check ended.
type Verdict string

// The verdicts.
const (
	CheckGood    Verdict = "good"
	CheckWarn    Verdict = "warn"    // works, but look at it
	CheckBad     Verdict = "bad"     // does not work
	CheckSkipped Verdict = "skipped" // was not tried, for what another check says
)

// Word is the verdict for people.
func (v Verdict) Word() string {
	switch v {
	case CheckGood:
		return "Good"
	case CheckWarn:
		return "Look at this"
	case CheckBad:
		return "Not working"
	case CheckSkipped:
		return "Not checked"
	}
	return string(v)
}

// maxDrift is how far the database's clock may be off before it is worth a word.
const maxDrift = 2 * time.Second

// ClockCheck holds this server's clock against the database's.
func (s *Service) ClockCheck(ctx context.Context) Check {
	c := Check{Name: "Clocks", Verdict: CheckGood, Tried: "Asked the database for the time and compared it with this server's."}
	before := s.people.wall.Now()
	at, asked, err := s.db.Wall(ctx)
	after := s.people.wall.Now()
	if err != nil {
		c.Verdict, c.Found, c.Next = CheckBad, "The database did not answer.", "Look at the server's log, then open this page again."
		return c
	}
	if !asked {
		c.Found = "The embedded database uses this server's clock, so the two cannot differ."
		return c
	}
	drift := max(at.Sub(after), before.Sub(at), 0)
	if drift <= maxDrift {
		c.Found = "They agree within two seconds."
		return c
	}
	c.Verdict = CheckWarn
	c.Found = fmt.Sprintf("They are %s apart.", drift.Round(time.Second))
	c.Next = "Switch time synchronisation (NTP) on for both machines: from five minutes on, signed events of Stripe's are refused."
	return c
}

// StripeConsole is what the checks need of Stripe; checkout.Console is one.
type StripeConsole interface {
	LiveMode() bool
	Simulated() bool
	Account(ctx context.Context) (checkout.OwnAccount, error)
	Endpoints(ctx context.Context) ([]checkout.WebhookEndpoint, error)
}

// StripeSetup is how the connection to Stripe is configured. Of secrets it
// holds their ends only.
type StripeSetup struct {
	Console        StripeConsole // nil without a key
	Key            string        // "…4242"
	Secrets        []string      // of the platform's endpoint, the same way
	ConnectSecrets []string      // of the Connect endpoint
	BaseURL        string        // the portal's address
}

// Complete tells whether payments can be taken: a key, and a secret to know
// Stripe's events by.
func (t StripeSetup) Complete() bool { return t.Console != nil && len(t.Secrets) > 0 }

// Mode is "live" or "test"; "simulated" for a simulator, "" without a key.
func (t StripeSetup) Mode() string {
	switch {
	case t.Console == nil:
		return ""
	case t.Console.Simulated():
		return "simulated"
	case t.Console.LiveMode():
		return "live"
	}
	return "test"
}

// Failed tells whether a check found something that does not work.
func Failed(checks []Check) bool {
	for _, c := range checks {
		if c.Verdict == CheckBad {
			return true
		}
	}
	return false
}

// CheckStripe looks at everything that taking payments needs.
func CheckStripe(ctx context.Context, t StripeSetup) []Check {
	if t.Console == nil {
		return []Check{noKey()}
	}
	out := []Check{t.keyCheck()}
	account, known := t.accountCheck(ctx)
	out = append(out, account)
	if known {
		out = append(out, Check{
			Name: "API version", Verdict: CheckGood, Tried: "Named the version in each of these calls.",
			Found: "Stripe answered in " + checkout.APIVersion + ", the one this program reads. The account's own default does not matter.",
		})
	}
	out = append(out, t.addressCheck())
	out = append(out, t.endpointChecks(ctx, known)...)
	return append(out,
		secretCheck("Webhook secret", "STRIPE_WEBHOOK_SECRET", t.Secrets, CheckBad,
			"Without it nothing can be bought: anybody could claim a payment."),
		secretCheck("Webhook secret for connected accounts", "STRIPE_CONNECT_WEBHOOK_SECRET", t.ConnectSecrets, CheckWarn,
			"Without it agencies cannot sell packages to their clients."))
}

func noKey() Check {
	return Check{
		Name: "Secret key", Verdict: CheckSkipped, Tried: "Read STRIPE_SECRET_KEY.", Found: "It is not set, so nothing can be bought. Everything else works.",
		Next: "Copy the secret key from Stripe's dashboard (Developers, API keys), set STRIPE_SECRET_KEY to it, run refill stripe setup for the " +
			"webhook secrets, and start the server again. You may skip this now.",
	}
}

func (t StripeSetup) keyCheck() Check {
	c := Check{Name: "Secret key", Verdict: CheckGood, Tried: "Read STRIPE_SECRET_KEY."}
	c.Found = "It ends in " + t.Key + " and is a test key: no real money moves."
	switch t.Mode() {
	case "live":
		c.Found = "It ends in " + t.Key + " and is a live key: real money moves."
	case "simulated":
		c.Verdict, c.Found = CheckWarn, "It ends in "+t.Key+" and goes to a simulator on this machine: no money moves."
		c.Next = "This is for trying things out. Leave REFILL_STRIPE_URL empty to talk to Stripe."
	}
	return c
}

// accountCheck asks whose key it is; known is false when Stripe did not say.
func (t StripeSetup) accountCheck(ctx context.Context) (c Check, known bool) {
	c = Check{Name: "Account", Verdict: CheckGood, Tried: "Asked Stripe whose key it is."}
	a, err := t.Console.Account(ctx)
	if err != nil {
		c.Verdict, c.Found = CheckBad, said(err)
		c.Next = "Check that this server can reach api.stripe.com on port 443, then check again."
		if checkout.KindOf(err) == checkout.KindUnauthorised {
			c.Next = "Copy the secret key from Stripe's dashboard once more (Developers, API keys), set STRIPE_SECRET_KEY to it and start the server again. " +
				"A restricted key needs to read the account and to read and write webhook endpoints, Checkout Sessions and payments."
		}
		return c, false
	}
	c.Found = fmt.Sprintf("%s (%s), %s, %s. It may take payments", a.Name, a.ID, a.Country, strings.ToUpper(a.Currency))
	if a.PayoutsEnabled {
		c.Found += ", and Stripe pays them out."
	} else {
		c.Found += "."
	}
	if !a.ChargesEnabled {
		c.Verdict = CheckBad
		c.Found = fmt.Sprintf("%s (%s), %s, %s. It may not take payments yet", a.Name, a.ID, a.Country, strings.ToUpper(a.Currency))
		if len(a.Due) > 0 {
			c.Found += "; Stripe still wants: " + strings.Join(a.Due, ", ")
		}
		c.Found += "."
		c.Next = "Finish the account in Stripe's dashboard, then check again."
	}
	return c, true
}

// said is what a call came back with, in Stripe's own words where it gave some.
func said(err error) string {
	e, ok := errors.AsType[*checkout.Error](err)
	if !ok {
		return "The call failed before Stripe answered."
	}
	switch e.Kind {
	case checkout.KindUnauthorised:
		return "Stripe does not accept the key: " + sentence(e.Detail)
	case checkout.KindUnavailable:
		return "Stripe did not answer: " + sentence(e.Detail)
	case checkout.KindConflict, checkout.KindDeclined, checkout.KindNotFound, checkout.KindRefused, checkout.KindSignature:
	}
	return "Stripe refused: " + sentence(e.Detail)
}

func sentence(s string) string {
	if s == "" {
		return "it did not say why."
	}
	return strings.TrimRight(s, ".") + "."
}

// addressCheck tells whether Stripe can reach the portal at all.
func (t StripeSetup) addressCheck() Check {
	c := Check{Name: "Address for webhooks", Verdict: CheckGood, Tried: "Looked at whether " + t.BaseURL + " can be reached from the internet."}
	switch {
	case t.Mode() == "simulated":
		c.Found = "The simulator is on this machine and reaches it."
	case !t.Reachable():
		c.Verdict, c.Found = CheckWarn, "It is an address of this machine or of a private network: Stripe cannot deliver to it. Payments are still found by asking, a little later."
		c.Next = "Set REFILL_BASE_URL to the public https address. To try things out on this machine, run stripe listen --forward-to " +
			checkout.EndpointURL(t.BaseURL, false) + " and set STRIPE_WEBHOOK_SECRET to the secret it prints."
	case !strings.HasPrefix(t.BaseURL, "https://"):
		c.Verdict, c.Found = CheckWarn, "It is not https: Stripe delivers live events to https only."
		c.Next = "Put a proxy with a certificate before the portal and set REFILL_BASE_URL to its https address."
	default:
		c.Found = "It is a public https address."
	}
	return c
}

// Reachable tells whether the internet can know the address.
func (t StripeSetup) Reachable() bool {
	u, err := url.Parse(t.BaseURL)
	if err != nil {
		return false
	}
	name := u.Hostname()
	if ip := net.ParseIP(name); ip != nil {
		return !ip.IsLoopback() && !ip.IsPrivate() && !ip.IsLinkLocalUnicast() && !ip.IsUnspecified()
	}
	return name != "localhost" && !strings.HasSuffix(name, ".localhost") && !strings.HasSuffix(name, ".local") &&
		!strings.HasSuffix(name, ".internal") && strings.Contains(name, ".")
}

func (t StripeSetup) endpointChecks(ctx context.Context, known bool) []Check {
	platform := Check{Name: "Webhook endpoint", Tried: "Looked for " + checkout.EndpointURL(t.BaseURL, false) + " among the account's webhook endpoints."}
	connect := Check{Name: "Webhook endpoint for connected accounts", Tried: "Looked for " + checkout.EndpointURL(t.BaseURL, true) + " among them."}
	if !known {
		for _, c := range []*Check{&platform, &connect} {
			c.Verdict, c.Tried, c.Found = CheckSkipped, "Nothing.", "The account could not be read."
		}
		return []Check{platform, connect}
	}
	all, err := t.Console.Endpoints(ctx)
	if err != nil {
		for _, c := range []*Check{&platform, &connect} {
			c.Verdict, c.Found, c.Next = CheckBad, said(err), "Check again in a minute. A restricted key needs to read and write webhook endpoints."
		}
		return []Check{platform, connect}
	}
	t.endpointCheck(&platform, all, false)
	t.endpointCheck(&connect, all, true)
	return []Check{platform, connect}
}

func (t StripeSetup) endpointCheck(c *Check, all []checkout.WebhookEndpoint, connect bool) {
	var found, stale *checkout.WebhookEndpoint
	for i := range all {
		switch e := &all[i]; {
		case e.URL != checkout.EndpointURL(t.BaseURL, connect) || e.Connect != connect:
		case !e.Current():
			stale = e
		case found == nil || e.Enabled:
			found = e
		}
	}
	c.Verdict, c.Next = CheckBad, "Run refill stripe setup --url "+t.BaseURL+" where STRIPE_SECRET_KEY is set."
	switch {
	case found == nil && stale != nil:
		version := stale.APIVersion
		if version == "" {
			version = "the account's default version"
		}
		c.Found = fmt.Sprintf("%s is there, but its events are written in %s, not in %s. An endpoint keeps its version.", stale.ID, version, checkout.APIVersion)
		c.Next += " It makes a new one; delete the old one in Stripe's dashboard afterwards."
	case found == nil:
		c.Found = "There is none."
		if !t.Reachable() && t.Mode() != "simulated" {
			c.Verdict, c.Next = CheckWarn, "Stripe could not deliver to this address: see above."
		}
	case !found.Enabled:
		c.Found = found.ID + " is there, but switched off."
	case len(found.Lacks()) > 0:
		c.Found = found.ID + " is there, but does not send " + strings.Join(found.Lacks(), ", ") + "."
	default:
		c.Verdict, c.Next = CheckGood, ""
		c.Found = found.ID + " is there, switched on, in version " + checkout.APIVersion + ", with every event that is acted on."
		if stale != nil {
			c.Verdict = CheckWarn
			c.Next = "Delete the other one of this address, " + stale.ID + ", in Stripe's dashboard: its events cannot be read."
		}
	}
}

func secretCheck(name, variable string, hints []string, missing Verdict, without string) Check {
	c := Check{Name: name, Verdict: CheckGood, Tried: "Read " + variable + "."}
	switch len(hints) {
	case 0:
		c.Verdict, c.Found = missing, "It is not set. "+without
		c.Next = "Run refill stripe setup, set " + variable + " to the secret it prints, and start the server again."
	case 1:
		c.Found = "One is set; it ends in " + hints[0] + "."
	default:
		c.Found = fmt.Sprintf("%d are set, as while one is rolled; they end in %s.", len(hints), strings.Join(hints, " and "))
	}
	return c
}
