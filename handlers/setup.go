package handlers

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/labstack/echo/v4"

	"refill/billing"
	"refill/billing/preset"
	"refill/billing/problem"
	"refill/models"
	"refill/views"
	"refill/views/format"
)

// setupPath is where a step stands; the first stands at the door.
func setupPath(step billing.SetupStep) string {
	if step == billing.SetupAdmin {
		return "/setup"
	}
	return "/setup/" + string(step)
}

func setupTitle(step billing.SetupStep) string {
	switch step {
	case billing.SetupAdmin:
		return "Admin"
	case billing.SetupAddress:
		return "Address and time zone"
	case billing.SetupDatabase:
		return "Database"
	case billing.SetupStripe:
		return "Stripe"
	case billing.SetupCatalogue:
		return "Plans, packs and rates"
	case billing.SetupDone:
		return "Done"
	}
	return string(step)
}

// unfounded tells whether nobody administers the platform yet: until somebody
// does, every page of it leads to the set-up.
func (a *app) unfounded(c echo.Context) (bool, error) {
	if visitOf(c).host.portal != nil {
		return false, nil
	}
	has, err := a.Billing.HasAdmin(c.Request().Context())
	return !has, err
}

// setup is the door: the form for the code while there is no admin, and for the
// admin the first step that is open.
func (a *app) setup(c echo.Context) error {
	none, err := a.unfounded(c)
	if err != nil {
		return err
	}
	v := visitOf(c)
	switch {
	case v.host.portal != nil:
		return echo.ErrNotFound
	case none:
		return a.showSetupAdmin(c, http.StatusOK, views.SetupAdmin{})
	case v.viewer == nil:
		return a.askToSignIn(c)
	case !v.viewer.Admin:
		return echo.ErrForbidden
	}
	return a.nextStep(c)
}

// nextStep leads to the first step that is open, or to the last page.
func (a *app) nextStep(c echo.Context) error {
	state, err := a.Billing.SetupState(c.Request().Context())
	if err != nil {
		return err
	}
	if open := state.Open(); open != "" {
		return seeOther(c, setupPath(open))
	}
	return seeOther(c, setupPath(billing.SetupDone))
}

func (a *app) showSetupAdmin(c echo.Context, code int, out views.SetupAdmin) error {
	var err error
	errs := out.Errors
	if out.Setup, err = a.setupFrame(c, billing.SetupAdmin, "Make the first admin"); err != nil {
		return err
	}
	out.Errors, out.Frame.Failed = errs, len(errs) > 0
	return page(c, code, views.SetupAdminPage(out))
}

// makeAdmin takes the code and makes the first admin, who is then signed in.
func (a *app) makeAdmin(c echo.Context) error {
	v, ctx := visitOf(c), c.Request().Context()
	if v.host.portal != nil {
		return echo.ErrNotFound
	}
	out := views.SetupAdmin{Code: c.FormValue("code"), Name: c.FormValue("name"), Email: strings.TrimSpace(c.FormValue("email"))}
	if v.expired {
		none, err := a.unfounded(c)
		if err != nil {
			return err
		}
		if !none {
			return errForeignForm
		}
		out.Notice = "This form had expired, so nothing was saved. Enter the password again and send it once more."
		return a.showSetupAdmin(c, http.StatusForbidden, out)
	}
	user, err := a.Billing.FirstAdminByCode(ctx, billing.FirstAdminInput{
		Code: out.Code, Name: out.Name, Email: out.Email, Password: c.FormValue("password"), Address: c.RealIP(),
	})
	switch {
	case err == nil:
	case problem.Is(err, "setup_over"):
		in := views.Problem{
			Frame: a.bareFrame(c, "Set-up"), Status: http.StatusConflict, Heading: "There is an admin already",
			Text:   "Somebody else finished this step before you, and the code is void. Nothing of yours was saved. If it was you in another window, sign in. If not, ask them for an account.",
			Action: &views.Link{Label: "Go to sign-in", Href: "/sign-in?" + url.Values{"next": {"/setup"}}.Encode()},
		}
		return page(c, http.StatusConflict, views.ProblemPage(in))
	case problem.Is(err, "too_many"):
		c.Response().Header().Set(echo.HeaderRetryAfter, retryAfter(err))
		out.Errors = views.FieldErrors{{Field: "code", Text: problem.Of(err).Message}}
		return a.showSetupAdmin(c, http.StatusTooManyRequests, out)
	default:
		var ok bool
		if out.Errors, ok = wrongFields(err, "code", "name", "email", "password"); !ok {
			return err
		}
		return a.showSetupAdmin(c, statusOf(err), out)
	}
	if err := a.begin(c, user.ID, models.AgencyID{}, false); err != nil {
		return err
	}
	return seeOther(c, setupPath(billing.SetupAddress))
}

// setupFrame is the frame of a step, with the list of all of them once there is
// an admin.
func (a *app) setupFrame(c echo.Context, step billing.SetupStep, title string) (views.Setup, error) {
	steps := billing.SetupSteps()
	out := views.Setup{Step: slices.Index(steps, step) + 1, Of: len(steps)}
	var err error
	if out.Frame, err = a.formFrame(c, title); err != nil {
		return out, err
	}
	v := visitOf(c)
	if v.viewer == nil || !v.viewer.Admin {
		return out, nil
	}
	ctx := c.Request().Context()
	out.Frame.User, out.Frame.Home = v.viewer.User.Email, "/admin"
	if out.Frame.Flash, err = a.takeFlash(c); err != nil {
		return out, err
	}
	if zone, err := a.Billing.PlatformZone(ctx); err == nil {
		out.Frame.Zone = zone
	}
	state, err := a.Billing.SetupState(ctx)
	if err != nil {
		return out, err
	}
	for _, s := range steps {
		link := views.SetupLink{Label: setupTitle(s), Href: setupPath(s), Done: state.Done[s], Current: s == step}
		if s == billing.SetupAdmin {
			link.Href, link.Done = "", true
		}
		out.Steps = append(out.Steps, link)
	}
	return out, nil
}

// setupNotice is the banner of an admin whose set-up is not finished.
func (a *app) setupNotice(ctx context.Context) *views.Notice {
	state, err := a.Billing.SetupState(ctx)
	open := state.Open()
	if err != nil || open == "" {
		return nil
	}
	steps := billing.SetupSteps()
	return &views.Notice{
		Tone: views.ToneInfo, Lead: "Set-up is not finished.",
		Text:   fmt.Sprintf("Step %d of %d is open: %s.", slices.Index(steps, open)+1, len(steps), setupTitle(open)),
		Action: &views.Link{Label: "Continue set-up", Href: setupPath(open)},
	}
}

// checked turns checks into what pages show.
func checked(checks []billing.Check) []views.SetupCheck {
	out := make([]views.SetupCheck, 0, len(checks))
	for _, c := range checks {
		tone := views.ToneNone
		switch c.Verdict {
		case billing.CheckGood:
			tone = views.ToneOK
		case billing.CheckWarn:
			tone = views.ToneWarn
		case billing.CheckBad:
			tone = views.ToneBad
		case billing.CheckSkipped:
		}
		out = append(out, views.SetupCheck{Name: c.Name, Tone: tone, Word: c.Verdict.Word(), Tried: c.Tried, Found: c.Found, Next: c.Next})
	}
	return out
}

func (a *app) setupAddressForm(c echo.Context) error {
	zone, err := a.Billing.PlatformZone(c.Request().Context())
	if err != nil {
		return err
	}
	return a.showSetupAddress(c, http.StatusOK, zone.String(), nil)
}

func (a *app) showSetupAddress(c echo.Context, code int, zone string, errs views.FieldErrors) error {
	checks := append(a.addressChecks(c), a.Billing.ClockCheck(c.Request().Context()))
	out := views.SetupAddress{Checks: checked(checks), Zone: zone, Zones: commonZones("UTC")}
	var err error
	if out.Setup, err = a.setupFrame(c, billing.SetupAddress, "Address and time zone"); err != nil {
		return err
	}
	out.Errors, out.Frame.Failed = errs, len(errs) > 0
	return page(c, code, views.SetupAddressPage(out))
}

// addressChecks hold what is configured against what this very request shows.
func (a *app) addressChecks(c echo.Context) []billing.Check {
	r := c.Request()
	used := &url.URL{Scheme: c.Scheme(), Host: r.Host}
	address := billing.Check{
		Name: "Address", Verdict: billing.CheckGood, Tried: "Compared the configured address with the one your browser used.",
		Found: "Both are " + origin(a.base) + ".",
	}
	if origin(used) != origin(a.base) {
		address.Verdict = billing.CheckWarn
		address.Found = "Configured is " + origin(a.base) + ", your browser used " + origin(used) + "."
		address.Next = "Links in e-mails and the way back from a payment lead to the configured address. If people use the other one, set REFILL_BASE_URL to it and start the server again."
	}
	safe := billing.Check{Name: "Encryption", Verdict: billing.CheckGood, Tried: "Looked at whether the configured address is https.", Found: "It is."}
	switch {
	case a.secure && used.Scheme != "https":
		safe.Verdict, safe.Found = billing.CheckWarn, "It is, but your browser came without it."
		safe.Next = "Open the https address. If you did, your proxy has to send X-Forwarded-Proto."
	case !a.secure && isLocal(a.base.Hostname()):
		safe.Found = "It is not, which is fine while only this machine reaches the portal."
		safe.Next = "Before anybody else signs in, put a proxy with a certificate before the portal and set REFILL_BASE_URL to its https address."
	case !a.secure:
		safe.Verdict, safe.Found = billing.CheckWarn, "It is not: passwords travel in the clear."
		safe.Next = "Put a proxy with a certificate before the portal and set REFILL_BASE_URL to its https address."
	}
	proxy := billing.Check{
		Name: "Proxy", Verdict: billing.CheckGood, Tried: "Looked for the headers that a proxy adds, and at whom the server takes you for.",
		Found: "There is no proxy. The server sees you at " + c.RealIP() + ".",
	}
	if forwarded := r.Header.Get(echo.HeaderXForwardedFor); forwarded != "" {
		proxy.Found = "There is a proxy, and it is trusted. The server sees you at " + c.RealIP() + "."
		if len(a.TrustedProxies) == 0 {
			proxy.Verdict = billing.CheckWarn
			proxy.Found = "There is a proxy that is not trusted: everybody seems to come from " + c.RealIP() + ", and the wrong passwords of one count for all."
			proxy.Next = "Set REFILL_TRUSTED_PROXIES to the proxy's own address, such as 10.0.0.5/32, and start the server again."
		}
	}
	return []billing.Check{address, safe, proxy}
}

// origin is an address without what goes without saying.
func origin(u *url.URL) string {
	host := strings.ToLower(u.Host)
	switch u.Scheme {
	case "http":
		host = strings.TrimSuffix(host, ":80")
	case "https":
		host = strings.TrimSuffix(host, ":443")
	}
	return u.Scheme + "://" + host
}

func (a *app) setupAddress(c echo.Context) error {
	zone := strings.TrimSpace(c.FormValue("time_zone"))
	err := a.Billing.SetPlatformZone(c.Request().Context(), zone, visitOf(c).viewer.Actor())
	if errs, ok := wrongFields(err, "time_zone"); ok {
		return a.showSetupAddress(c, statusOf(err), zone, errs)
	}
	if err != nil {
		return err
	}
	return a.saved(c, "Time zone saved: "+zone+".")
}

// saved says what was saved on the next open step.
func (a *app) saved(c echo.Context, text string) error {
	if err := a.say(c, views.Flash{Tone: views.ToneOK, Text: text}); err != nil {
		return err
	}
	return a.nextStep(c)
}

func (a *app) setupDatabaseForm(c echo.Context) error {
	var out views.SetupDatabase
	f, err := a.Billing.DatabaseFacts(c.Request().Context())
	if err != nil {
		out.Failure = a.failure(c, "The database's facts", "", err)
	} else {
		databaseFacts(&out, &f)
	}
	if out.Setup, err = a.setupFrame(c, billing.SetupDatabase, "Database"); err != nil {
		return err
	}
	return page(c, http.StatusOK, views.SetupDatabasePage(out))
}

func databaseFacts(out *views.SetupDatabase, f *models.Facts) {
	program, place := "PostgreSQL", "Database"
	out.Backup = "Copy the database with pg_dump, or archive its log, on a schedule of your own. Try a restore before you need one; refill audit proves that nothing is missing."
	if f.Dialect == models.SQLite {
		program, place = "SQLite, embedded", "File"
		out.Backup = "While the server runs, copy the file with sqlite3's .backup, never with a plain copy. For more than one server, or to grow, use PostgreSQL (DATABASE_URL)."
	}
	migrated := views.SetupFact{Name: "Migrations", Value: fmt.Sprintf("%d of %d done", f.Schema, f.Newest), Tag: "Up to date", Tone: views.ToneOK}
	if f.Schema != f.Newest {
		migrated.Tag, migrated.Tone = "Behind", views.ToneBad
	}
	out.Facts = []views.SetupFact{
		{Name: "Kind", Value: program},
		{Name: "Version", Value: f.Version},
		{Name: place, Value: f.Place},
		{Name: "Size", Value: bytesText(f.Size)},
		migrated,
	}
	if f.Role != "" {
		out.Facts = append(out.Facts, views.SetupFact{Name: "Role", Value: f.Role})
	}
	if f.Super {
		out.Warning = "The role " + f.Role + " may do anything, also change what the ledger has booked. Give the portal a role of its own that owns only its database."
	}
	for _, d := range f.Durable {
		fact := views.SetupFact{Name: d.Name, Value: d.Value, Tag: "Safe", Tone: views.ToneOK}
		if !d.Safe {
			fact.Tag, fact.Tone = "Not safe", views.ToneBad
		}
		out.Durable = append(out.Durable, fact)
	}
}

// bytesText is a size for people: "1.2 MB".
func bytesText(n int64) string {
	size := float64(n)
	for _, unit := range []string{"bytes", "kB", "MB", "GB"} {
		if size < 1000 {
			if unit == "bytes" {
				return fmt.Sprintf("%d bytes", n)
			}
			return fmt.Sprintf("%.1f %s", size, unit)
		}
		size /= 1000
	}
	return fmt.Sprintf("%.1f TB", size)
}

func (a *app) setupDatabase(c echo.Context) error { return a.finishStep(c, billing.SetupDatabase) }

func (a *app) setupStripe(c echo.Context) error { return a.finishStep(c, billing.SetupStripe) }

func (a *app) finishStep(c echo.Context, step billing.SetupStep) error {
	if err := a.Billing.FinishStep(c.Request().Context(), step, visitOf(c).viewer.Actor()); err != nil {
		return err
	}
	return a.nextStep(c)
}

func (a *app) setupStripeForm(c echo.Context) error {
	s := a.Stripe
	out := views.SetupStripe{HasKey: s.Console != nil, Mode: s.Mode(), Ready: s.Complete(), Tool: "refill stripe setup --url " + origin(a.base)}
	if !s.Reachable() && s.Mode() != "simulated" { // Stripe would be told an address that leads nowhere
		out.Tool = "refill stripe setup --url https://your-public-address"
	}
	if c.QueryParam("check") != "" && out.HasKey {
		out.Checks = checked(billing.CheckStripe(c.Request().Context(), s))
	}
	var err error
	if out.Setup, err = a.setupFrame(c, billing.SetupStripe, "Stripe"); err != nil {
		return err
	}
	return page(c, http.StatusOK, views.SetupStripePage(out))
}

func (a *app) setupCatalogueForm(c echo.Context) error {
	return a.showSetupCatalogue(c, http.StatusOK, "", nil)
}

func (a *app) showSetupCatalogue(c echo.Context, code int, choice string, errs views.FieldErrors) error {
	ctx := c.Request().Context()
	out := views.SetupCatalogue{Choice: choice}
	plans, err := a.Billing.Plans(ctx)
	if err != nil {
		return err
	}
	packs, err := a.Billing.Packs(ctx)
	if err != nil {
		return err
	}
	if len(plans) > 0 {
		out.Has = format.Plural(int64(len(plans)), "plan", "plans") + " and " + format.Plural(int64(len(packs)), "pack", "packs")
		out.Edit = []views.Link{{Label: "Plans", Href: "/admin/plans"}, {Label: "Packs", Href: "/admin/packs"}, {Label: "Rates", Href: "/admin/rates"}}
	} else if out.Presets, err = presets(); err != nil {
		return err
	}
	if out.Setup, err = a.setupFrame(c, billing.SetupCatalogue, "Plans, packs and rates"); err != nil {
		return err
	}
	out.Errors, out.Frame.Failed = errs, len(errs) > 0
	return page(c, code, views.SetupCataloguePage(out))
}

// shownRates is how many rates of a catalogue are named.
const shownRates = 4

// presets are the ready-made catalogues in words.
func presets() ([]views.SetupPreset, error) {
	var out []views.SetupPreset
	for _, name := range preset.Names() {
		c, err := preset.Load(name)
		if err != nil {
			return nil, err
		}
		p := views.SetupPreset{Name: c.Name, Title: c.Title}
		for i := range c.Plans {
			p.Plans = append(p.Plans, planWords(&c.Plans[i]))
		}
		for i := range c.Packs {
			p.Packs = append(p.Packs, packWords(&c.Packs[i], c.Currency))
		}
		rates := c.Cards[0].Rates
		for _, r := range rates[:min(len(rates), shownRates)] {
			words := c.Label(r.Action)
			if r.Model != "" {
				words += ", " + c.Label(r.Model)
			}
			cost := format.Credits(r.Base)
			if len(r.Components) > 0 {
				cost = "from " + cost
			}
			p.Rates = append(p.Rates, words+" "+cost)
		}
		p.Hidden = len(rates) - len(p.Rates)
		out = append(out, p)
	}
	return out, nil
}

func planWords(p *preset.Plan) string {
	price := format.Round(p.Price) + " a month"
	switch {
	case p.CustomPrice:
		price = "price agreed by hand"
	case p.Every == preset.Once:
		price = format.Round(p.Price) + " once"
	}
	credits := format.CreditsWord(p.Allowance)
	switch p.Every {
	case preset.Once:
		credits += ", granted once"
	case preset.None:
		credits = "no credits of its own"
	case preset.Month:
	}
	return p.Name + " (" + price + ", " + credits + ")"
}

func packWords(p *preset.Pack, currency string) string {
	if p.Kind == preset.Quantity {
		return fmt.Sprintf("from %s in steps of %s, %s each", format.Credits(p.Minimum), format.Credits(p.Step),
			format.PricePerCredit(format.UnitPrice(p.UnitPrice, currency), currency))
	}
	return format.CreditsWord(p.Credits) + " for " + format.Round(p.Price)
}

func (a *app) setupCatalogue(c echo.Context) error {
	ctx, by, choice := c.Request().Context(), visitOf(c).viewer.Actor(), c.FormValue("preset")
	if choice == "" {
		return a.showSetupCatalogue(c, http.StatusUnprocessableEntity, "", views.FieldErrors{{Field: "preset", Text: "Choose one of the catalogues, or the blank one."}})
	}
	plans, err := a.Billing.Plans(ctx)
	if err != nil {
		return err
	}
	if len(plans) > 0 { // chosen before, or made some other way
		return a.finishStep(c, billing.SetupCatalogue)
	}
	err = a.Billing.ChooseCatalogue(ctx, choice, by)
	if errs, ok := wrongFields(err, "preset"); ok {
		return a.showSetupCatalogue(c, statusOf(err), "", errs)
	}
	if problem.Is(err, "catalogue_not_empty") { // somebody was quicker
		return a.saved(c, "There was a catalogue already; it stays as it is.")
	}
	if err != nil {
		return err
	}
	if choice == billing.BlankCatalogue {
		return a.saved(c, "An empty rate card is ready. Add rates to it, then plans and packs.")
	}
	made, err := preset.Load(choice)
	if err != nil {
		return err
	}
	return a.saved(c, "Catalogue "+made.Title+" is in place.")
}

func (a *app) setupDoneForm(c echo.Context) error { return a.showSetupDone(c, "") }

// showSetupDone tells what to do next; key is one that was made just now.
func (a *app) showSetupDone(c echo.Context, key string) error {
	ctx := c.Request().Context()
	out := views.SetupDone{Key: key}
	if key != "" {
		out.Curl = "curl -s " + origin(a.base) + "/v1/plans -H 'Authorization: Bearer " + key + "'"
	}
	keys, err := a.Billing.APIKeys(ctx, billing.Scope{})
	if err != nil {
		return err
	}
	for i := range keys {
		if keys[i].RevokedAt == 0 {
			out.KeyHint = "…" + keys[i].Hint
			break
		}
	}
	plans, err := a.Billing.Plans(ctx)
	if err != nil {
		return err
	}
	if len(plans) == 0 {
		out.Next = append(out.Next, views.SetupNext{
			Link: views.Link{Label: "Set rates and make the first plan", Href: "/admin/rates"},
			Why:  "An agency needs a plan, and a charge needs a rate. Until then nothing can be sold or charged.",
		})
	}
	out.Next = append(out.Next,
		views.SetupNext{Link: views.Link{Label: "Add your first agency", Href: "/admin/agencies/new"}, Why: "It gets a wallet, the plan's credits and a portal for its clients."},
		views.SetupNext{Link: views.Link{Label: "Invite its people"}, Why: "Its owner is invited with the agency, by e-mail, and invites the rest."},
	)
	if m, err := a.Billing.MailStanding(ctx); err != nil {
		return err
	} else if !m.Ready {
		out.Next = append(out.Next, views.SetupNext{
			Link: views.Link{Label: "Switch e-mail on"}, Why: "Set REFILL_SMTP_URL and REFILL_MAIL_FROM and start the server again. Until then invitations and sign-in links wait.",
		})
	}
	if !a.Stripe.Complete() {
		out.Next = append(out.Next, views.SetupNext{Link: views.Link{Label: "Switch payments on", Href: setupPath(billing.SetupStripe)}, Why: "Nothing can be bought until Stripe's key and webhook secrets are set."})
	}
	if out.Setup, err = a.setupFrame(c, billing.SetupDone, "Done"); err != nil {
		return err
	}
	for _, s := range out.Steps {
		if !s.Done && !s.Current {
			out.Missing = append(out.Missing, views.Link{Label: s.Label, Href: s.Href})
		}
	}
	state, err := a.Billing.SetupState(ctx)
	if err != nil {
		return err
	}
	if !state.Begun { // set up otherwise: nothing is missing
		out.Missing = nil
	}
	return page(c, http.StatusOK, views.SetupDonePage(out))
}

func (a *app) setupDone(c echo.Context) error {
	ctx, by := c.Request().Context(), visitOf(c).viewer.Actor()
	if c.FormValue("act") == "key" {
		key, _, err := a.Billing.CreateAPIKey(ctx, billing.Scope{}, "Set-up", by)
		if err != nil {
			return err
		}
		return a.showSetupDone(c, key)
	}
	if err := a.Billing.FinishStep(ctx, billing.SetupDone, by); err != nil {
		return err
	}
	if err := a.say(c, views.Flash{Tone: views.ToneOK, Text: "Set-up is finished."}); err != nil {
		return err
	}
	return seeOther(c, "/admin")
}
