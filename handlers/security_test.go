package handlers_test

import (
	"context"
	"crypto/hmac"
	"crypto/sha1" // what authenticator apps use
	"encoding/base32"
	"encoding/binary"
	"fmt"
	"net/http"
	"net/url"
	"path"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"refill/billing"
	"refill/handlers"
	"refill/models"
	"refill/models/modelstest"
)

// app is an authenticator on somebody's phone.
type app struct{ secret []byte }

// newApp takes the secret of a page, as somebody types it.
func newApp(t *testing.T, text string) app {
	t.Helper()
	key, err := base32.StdEncoding.DecodeString(strings.ReplaceAll(text, " ", ""))
	require.NoError(t, err)
	require.Len(t, key, 20)
	return app{key}
}

// code is what the app shows at an instant.
func (a app) code(at models.Time) string {
	mac := hmac.New(sha1.New, a.secret)
	_, _ = mac.Write(binary.BigEndian.AppendUint64(nil, uint64(at.Go().Unix()/30)))
	sum := mac.Sum(nil)
	return fmt.Sprintf("%06d", binary.BigEndian.Uint32(sum[sum[19]&15:])&0x7fffffff%1_000_000)
}

const security = "/settings/security"

// enrol sets two steps up in a browser and gives the app and the recovery codes.
func (b *browser) enrol() (app, []string) {
	b.p.t.Helper()
	form := b.get(security + "/two-step").doc()
	phone := newApp(b.p.t, form.Find("#secret").Text())
	require.Equal(b.p.t, 1, form.Find("svg.qr path").Length())
	offer := form.Find("input[name=offer]").AttrOr("value", "")
	token := form.Find("input[name=csrf_token]").First().AttrOr("value", "")
	wrong := b.post(security+"/two-step", url.Values{"csrf_token": {token}, "offer": {offer}, "code": {"000000"}})
	require.Equal(b.p.t, http.StatusUnprocessableEntity, wrong.StatusCode)
	require.Equal(b.p.t, form.Find("#secret").Text(), wrong.doc().Find("#secret").Text(), "a wrong code asks for no other secret")
	done := b.post(security+"/two-step", url.Values{"csrf_token": {token}, "offer": {offer}, "code": {phone.code(b.p.wall.Now())}})
	require.Equal(b.p.t, security, done.to(), done.body)
	page := b.get(security).doc()
	codes := strings.Fields(page.Find("#codes").Text())
	require.Len(b.p.t, codes, billing.RecoveryCodes)
	different := map[string]bool{}
	for _, code := range codes {
		require.Regexp(b.p.t, `^([0-9A-HJKMNP-TV-Z]{4}-){5}[0-9A-HJKMNP-TV-Z]{4}$`, code, "24 of 32 letters: 120 bits, of which a plain hash may be stolen")
		different[code] = true
	}
	require.Len(b.p.t, different, billing.RecoveryCodes)
	file, err := url.PathUnescape(page.Find("a[download]").AttrOr("href", ""))
	require.NoError(b.p.t, err)
	require.Contains(b.p.t, file, codes[9], "they can be kept as a file")
	require.Zero(b.p.t, b.get(security).doc().Find("#codes").Length(), "they are shown once")
	return phone, codes
}

// later moves wall time.
func (p *portal) later(d time.Duration) { p.wall.set(p.wall.Now().Add(d)) }

// half signs in with a password and gives the browser that is asked for a code.
func (p *portal) half(email string) *browser {
	p.t.Helper()
	b := p.visitor(home)
	form := credentials(email, password)
	form.Set("next", "/history")
	require.Equal(p.t, "/sign-in/code?next=%2Fhistory", b.fill("/sign-in", "/sign-in", form).to())
	return b
}

func (b *browser) enterCode(code string) answer {
	b.p.t.Helper()
	return b.fill("/sign-in/code", "/sign-in/code", url.Values{"code": {code}, "next": {"/history"}})
}

func TestSigningInInTwoSteps(t *testing.T) {
	t.Parallel()
	modelstest.Each(t, func(t *testing.T, db *models.DB) {
		p := newPortal(t, db)
		phone, codes := p.as("owner").enrol()

		b := p.half("owner@example.test")
		first := b.cookie()
		require.Equal(t, "/sign-in", b.get("/").to(), "half a session opens nothing")
		require.Equal(t, "/sign-in?next=%2Fsettings%2Fsecurity", b.get(security).to())
		require.Equal(t, http.StatusUnprocessableEntity, b.enterCode("123").StatusCode)
		used := phone.code(p.wall.Now())
		require.Equal(t, http.StatusUnprocessableEntity, b.enterCode(used).StatusCode, "the code that turned it on is used")
		p.later(30 * time.Second)
		fresh := phone.code(p.wall.Now())
		require.Equal(t, "/history", b.enterCode(fresh[:3]+" "+fresh[3:]).to())
		require.NotEqual(t, first, b.cookie(), "a new id with the second proof")
		require.Equal(t, http.StatusOK, b.get("/").StatusCode)
		require.Equal(t, http.StatusUnprocessableEntity, p.half("owner@example.test").enterCode(fresh).StatusCode, "no code twice")

		again := p.half("owner@example.test")
		require.Equal(t, "/history", again.enterCode(strings.ToLower(strings.ReplaceAll(codes[0], "-", " "))).to(), "a recovery code, as people type it")
		require.Equal(t, http.StatusUnprocessableEntity, p.half("owner@example.test").enterCode(codes[0]).StatusCode, "once")
		require.Contains(t, again.get(security).doc().Find("main").Text(), "9 recovery codes are left")

		token, err := p.billing.NewSignInLink(t.Context(), p.users["owner"].ID, time.Hour, 1)
		require.NoError(t, err)
		byLink := p.visitor(home)
		require.Equal(t, "/sign-in/code", byLink.fill("/sign-in/"+token, "/sign-in/"+token, url.Values{}).to(), "a mailed link is the first step only")

		late := p.half("owner@example.test")
		p.later(11 * time.Minute)
		require.Equal(t, "/sign-in", late.get("/sign-in/code").to(), "half a session ends soon")

		var user models.User
		require.NoError(t, db.Read.Take(&user, "id = ?", p.users["owner"].ID).Error)
		require.NotContains(t, user.TwoStepSecret, base32.StdEncoding.EncodeToString(phone.secret), "sealed at rest")
	})
}

// A code lives for the thirty seconds that the app shows it, at every place that takes
// one: not a moment before, nor after.
func TestACodeLivesThirtySeconds(t *testing.T) {
	t.Parallel()
	p := sqlite(t)
	p.wall.set(models.At(p.wall.Now().Go().Truncate(30 * time.Second)))
	owner := p.as("owner")
	offer := owner.get(security + "/two-step").doc()
	late := newApp(t, offer.Find("#secret").Text()).code(p.wall.Now().Add(-time.Second))
	set := owner.fill(security+"/two-step", security+"/two-step", url.Values{"offer": {offer.Find("input[name=offer]").AttrOr("value", "")}, "code": {late}})
	require.Equal(t, http.StatusUnprocessableEntity, set.StatusCode, "nor when it is set up")
	phone, _ := owner.enrol()
	p.later(10 * time.Minute) // a step begins
	code, next := phone.code(p.wall.Now()), phone.code(p.wall.Now().Add(30*time.Second))
	require.NotEqual(t, code, next)

	early := p.half("owner@example.test").enterCode(next)
	require.Equal(t, http.StatusUnprocessableEntity, early.StatusCode, "before its time")
	require.NotContains(t, early.doc().Find("main").Text(), "ended", "and nothing is told of what will be right")
	p.later(30*time.Second - time.Microsecond)
	require.Equal(t, http.StatusUnprocessableEntity, p.half("owner@example.test").enterCode(next).StatusCode)
	p.later(time.Microsecond)
	ended := p.half("owner@example.test").enterCode(code)
	require.Equal(t, http.StatusUnprocessableEntity, ended.StatusCode, "after its time")
	require.Contains(t, ended.doc().Find("main").Text(), "That code has just ended")
	p.later(30*time.Second - time.Microsecond)
	require.Equal(t, "/history", p.half("owner@example.test").enterCode(next).to(), "in its last moment")
}

func TestCodesCannotBeGuessedAndNobodyIsLockedOut(t *testing.T) {
	t.Parallel()
	p := sqlite(t)
	owner := p.as("owner")
	phone, codes := owner.enrol()
	p.later(11 * time.Minute)
	thief := p.half("owner@example.test")
	for range 10 {
		require.Equal(t, http.StatusUnprocessableEntity, thief.enterCode("000000").StatusCode)
	}
	locked := thief.enterCode(phone.code(p.wall.Now()))
	require.Equal(t, http.StatusTooManyRequests, locked.StatusCode, "nor by the right one")
	require.Equal(t, "900", locked.Header.Get("Retry-After"))
	require.Equal(t, "/history", p.half("owner@example.test").enterCode(codes[1]).to(), "a recovery code still works")
	require.Equal(t, http.StatusOK, owner.get("/").StatusCode, "and who is signed in stays so")

	p.later(15*time.Minute - time.Second)
	require.Equal(t, http.StatusTooManyRequests, p.half("owner@example.test").enterCode(phone.code(p.wall.Now())).StatusCode)
	p.later(2 * time.Second)
	require.Equal(t, "/history", p.half("owner@example.test").enterCode(phone.code(p.wall.Now())).to())
}

func TestAdminsSetTwoStepsUpFirst(t *testing.T) {
	t.Parallel()
	p := sqlite(t, func(c *handlers.Config) { c.EasyAdmins = false })
	b := p.as("admin")
	for _, at := range []string{"/admin", "/admin/agencies", "/admin/audit", "/switch"} {
		require.Equal(t, security+"/two-step", b.get(at).to(), at)
	}
	require.Equal(t, security+"/two-step", b.fill(security, "/admin/adjustments", url.Values{}).to(), "nor can they do anything")
	require.Equal(t, http.StatusOK, b.get("/setup/done").StatusCode, "setting the platform up comes first")
	require.Contains(t, b.get(security+"/two-step").doc().Find("main").Text(), "Everybody who administers the platform")
	b.enrol()
	require.Equal(t, http.StatusOK, b.get("/admin").StatusCode)
	require.Equal(t, http.StatusConflict, b.fill(security, security+"/two-step/off", url.Values{}).StatusCode, "and it stays on")
	require.Equal(t, http.StatusOK, p.as("owner").get("/").StatusCode, "others choose")
}

// Where the operator says so nobody enters with one proof, whoever they are.
func TestEverybodySignsInInTwoStepsWhereTheOperatorSaysSo(t *testing.T) {
	t.Parallel()
	p := sqlite(t, func(c *handlers.Config) { c.AllInTwoSteps = true })
	for _, role := range []string{"owner", "billing", "member", "client", "stranger"} {
		b := p.as(role)
		for _, at := range []string{"/", "/history"} {
			require.Equal(t, security+"/two-step", b.get(at).to(), "%s at %s", role, at)
		}
		b.enrol()
		require.Equal(t, http.StatusOK, b.get("/").StatusCode, role)
		require.Equal(t, http.StatusConflict, b.fill(security, security+"/two-step/off", url.Values{}).StatusCode, "%s: and it stays on", role)
	}
}

func TestAnOwnerAsksTwoStepsOfTheTeam(t *testing.T) {
	t.Parallel()
	p := sqlite(t)
	owner, member, client := p.as("owner"), p.as("member"), p.as("client")
	ask := func() string { return owner.fill(security, security+"/team", url.Values{"required": {"yes"}}).to() }
	require.Equal(t, security+"/two-step", ask(), "who asks it of others has it")
	require.Equal(t, http.StatusOK, member.get("/").StatusCode)
	owner.enrol()
	require.Equal(t, security, ask())
	require.Equal(t, security+"/two-step", member.get("/history").to())
	require.Equal(t, http.StatusOK, client.get("/").StatusCode, "clients choose for themselves")
	require.Equal(t, http.StatusOK, p.as("stranger").get("/").StatusCode, "and other agencies")
	member.enrol()
	require.Equal(t, http.StatusOK, member.get("/history").StatusCode)
	require.Equal(t, http.StatusConflict, member.fill(security, security+"/two-step/off", url.Values{}).StatusCode)
	require.Equal(t, security, owner.fill(security, security+"/team", url.Values{"required": {"no"}}).to())
	require.Equal(t, security, member.fill(security, security+"/two-step/off", url.Values{}).to())
	require.Equal(t, "/", p.visitor(home).fill("/sign-in", "/sign-in", credentials("owner@example.test", password)).to()[:1], "still in two steps")
}

// What matters is asked for a password again after ten minutes; the form goes on
// with what was typed.
func TestWhatMattersTakesAFreshProof(t *testing.T) {
	t.Parallel()
	p := sqlite(t)
	b := p.as("owner")
	form := func() url.Values {
		return url.Values{"url": {"https://hooks.example/in"}, "note": {"Büro & <b>"}, "hear": {"some"}, "event": {"wallet.low", "wallet.paused"}}
	}
	p.later(billing.ProofLife - time.Second)
	require.Equal(t, http.StatusUnprocessableEntity, b.fill("/settings/webhooks", "/settings/webhooks", url.Values{"url": {"x"}}).StatusCode, "fresh enough")

	p.later(time.Second)
	asked := b.fill("/settings/webhooks", "/settings/webhooks", form())
	require.Equal(t, http.StatusOK, asked.StatusCode)
	require.Equal(t, "Confirm it is you", asked.doc().Find("h1").Text())
	hooks, err := p.billing.Webhooks(t.Context(), billing.WebhookOwner{Agency: p.northwind.ID})
	require.NoError(t, err)
	require.Empty(t, hooks, "nothing is done before")

	send := func(a answer, secret string) answer {
		page, out := a.doc().Find("main form").First(), url.Values{}
		for _, in := range page.Find("input[name]").EachIter() {
			out.Add(in.AttrOr("name", ""), in.AttrOr("value", ""))
		}
		out.Set("proof_password", secret)
		require.Equal(t, "/settings/webhooks", page.AttrOr("action", ""))
		return b.post(page.AttrOr("action", ""), out)
	}
	wrong := send(asked, "wrong horse")
	require.Equal(t, http.StatusUnprocessableEntity, wrong.StatusCode)
	require.Equal(t, 1, wrong.doc().Find("#proof_password[aria-invalid=true]").Length())
	require.Contains(t, send(wrong, password).to(), "/settings/webhooks/whk_")
	hooks, err = p.billing.Webhooks(t.Context(), billing.WebhookOwner{Agency: p.northwind.ID})
	require.NoError(t, err)
	require.Len(t, hooks, 1)
	require.Equal(t, "Büro & <b>", hooks[0].Note, "what was typed came through")
	require.Equal(t, "wallet.low wallet.paused", hooks[0].Events)
	require.Equal(t, http.StatusUnprocessableEntity, b.fill("/settings/webhooks", "/settings/webhooks", url.Values{"url": {"x"}}).StatusCode, "for ten minutes more")

	for range 10 {
		p.later(11 * time.Minute)
		require.NotEqual(t, http.StatusSeeOther, b.fill("/settings/webhooks", "/settings/webhooks", url.Values{"proof_password": {"wrong"}, "url": {"https://hooks.example/b"}}).StatusCode)
	}
	require.NotContains(t, p.log.String(), password)
}

// A proof in between takes what signing in takes: who has stolen one of the two
// and found a browser open does not take the other away.
func TestAFreshProofTakesBothSteps(t *testing.T) {
	t.Parallel()
	p := sqlite(t)
	b := p.as("owner")
	phone, _ := b.enrol()
	p.later(billing.ProofLife)
	off := func(password, code string) answer {
		return b.fill(security, security+"/two-step/off", url.Values{"proof_password": {password}, "proof_code": {code}})
	}
	asked := b.fill(security, security+"/two-step/off", url.Values{}).doc()
	require.Equal(t, 2, asked.Find("#proof_password[required], #proof_code[required]").Length())
	require.Equal(t, http.StatusUnprocessableEntity, off(password, "").StatusCode, "a password alone")
	require.Equal(t, http.StatusUnprocessableEntity, off("", phone.code(p.wall.Now())).StatusCode, "a code alone")
	require.Equal(t, 1, b.get(security).doc().Find("form[action='"+security+"/two-step/off']").Length(), "it is on")
	require.Equal(t, security, off(password, phone.code(p.wall.Now())).to())
	require.Zero(t, b.get(security).doc().Find("form[action='"+security+"/two-step/off']").Length())
}

// Every form that the table marks asks, and only those: a list that a reader can
// check against what is at stake.
func TestTheTableSaysWhatTakesAProof(t *testing.T) {
	t.Parallel()
	var marked []string
	for _, r := range handlers.Table() {
		if strings.HasSuffix(r.Who, ", proved lately") {
			require.Equal(t, http.MethodPost, r.Method, r.Path)
			marked = append(marked, r.Path)
		}
	}
	require.Subset(t, marked, []string{
		"/sales/:id/refund", "/packages/connect", "/settings/webhooks", "/settings/webhooks/:id/rotate", "/settings/security/email", "/settings/security/two-step",
		"/settings/security/two-step/off", "/settings/security/recovery-codes", "/settings/security/team", "/settings/security/sessions", "/settings/api-keys", "/settings/api-keys/:id/rotate",
		"/settings/api-keys/:id/revoke", "/admin/api-keys", "/admin/api-keys/:id/rotate", "/admin/api-keys/:id/revoke", "/admin/agencies/:id/adjust", "/admin/adjustments",
		"/admin/adjustments/:agency/:id", "/admin/payments/:agency/:id/refund", "/admin/webhooks", "/admin/webhooks/:id/rotate", "/admin/people/:id/two-step/off",
	})
}

func TestAForgottenPassword(t *testing.T) {
	t.Parallel()
	modelstest.Each(t, func(t *testing.T, db *models.DB) {
		p := newPortal(t, db)
		signedIn, b := p.as("owner"), p.visitor(home)
		ask := func(email string) answer { return b.fill("/forgotten", "/forgotten", url.Values{"email": {email}}) }
		require.Equal(t, "/forgotten/sent", ask("owner@example.test").to())
		require.Equal(t, "/forgotten/sent", ask("nobody@example.test").to(), "the same answer for everybody")
		at, old := p.mailed("owner@example.test")
		require.Equal(t, home, at, "by configuration, never by the Host header")
		require.Equal(t, "/forgotten/sent", ask("owner@example.test").to())
		_, link := p.mailed("owner@example.test")
		require.NotEqual(t, old, link)
		require.Equal(t, http.StatusGone, b.get(old).StatusCode, "a newer one replaces it")

		page := b.get(link)
		require.Equal(t, http.StatusOK, page.StatusCode, "reading uses nothing up")
		require.Equal(t, "no-referrer", page.Header.Get("Referrer-Policy"))
		require.Equal(t, http.StatusUnprocessableEntity, b.fill(link, link, url.Values{"password": {"short"}}).StatusCode)
		require.Equal(t, http.StatusForbidden, b.post(link, url.Values{"password": {"another good one"}}).StatusCode, "without the form's token")
		require.Equal(t, http.StatusGone, p.visitor(clients).get(link).StatusCode, "nor at another door")

		require.Equal(t, "/sign-in?done=password", b.fill(link, link, url.Values{"password": {"another good one"}}).to())
		require.Equal(t, "/sign-in", b.get("/").to(), "it signs nobody in")
		require.Equal(t, "/sign-in", signedIn.get("/").to(), "and everybody out")
		require.Equal(t, http.StatusGone, b.get(link).StatusCode, "once")
		require.Equal(t, http.StatusUnprocessableEntity, b.fill("/sign-in", "/sign-in", credentials("owner@example.test", password)).StatusCode)
		require.Equal(t, "/", b.fill("/sign-in", "/sign-in", credentials("owner@example.test", "another good one")).to())

		require.Equal(t, "/forgotten/sent", ask("member@example.test").to())
		_, late := p.mailed("member@example.test")
		p.later(billing.PasswordLinkLife)
		require.Equal(t, http.StatusGone, b.get(late).StatusCode)
		require.NotContains(t, p.log.String(), path.Base(late))
	})
}

// A forgotten password is one step of two: who has the mailbox still needs the app.
func TestAForgottenPasswordLeavesTheSecondStep(t *testing.T) {
	t.Parallel()
	p := sqlite(t)
	p.as("owner").enrol()
	require.NoError(t, p.billing.RequestPasswordReset(t.Context(), "owner@example.test", models.AgencyID{}, "10.0.0.1"))
	_, link := p.mailed("owner@example.test")
	b := p.visitor(home)
	require.Equal(t, "/sign-in?done=password", b.fill(link, link, url.Values{"password": {"another good one"}}).to())
	require.Equal(t, "/sign-in/code", b.fill("/sign-in", "/sign-in", credentials("owner@example.test", "another good one")).to())
	require.Equal(t, "/sign-in", b.get("/").to())
}

// Of two that use a link at once, one wins.
func TestAForgottenPasswordIsSetOnce(t *testing.T) {
	t.Parallel()
	p := sqlite(t)
	require.NoError(t, p.billing.RequestPasswordReset(t.Context(), "member@example.test", models.AgencyID{}, "10.0.0.1"))
	_, link := p.mailed("member@example.test")
	done := make(chan error, 4)
	for i := range cap(done) {
		go func() {
			done <- p.billing.ResetPassword(context.WithoutCancel(t.Context()), path.Base(link), fmt.Sprintf("good password %d", i), models.AgencyID{})
		}()
	}
	won := 0
	for range cap(done) {
		if <-done == nil {
			won++
		}
	}
	require.Equal(t, 1, won)
}

func TestChangingTheAddress(t *testing.T) {
	t.Parallel()
	p := sqlite(t)
	b := p.as("owner")
	change := func(to string) answer { return b.fill(security, security+"/email", url.Values{"email": {to}}) }
	require.Equal(t, http.StatusUnprocessableEntity, change("not an address").StatusCode)
	require.Equal(t, http.StatusUnprocessableEntity, change("owner@example.test").StatusCode)
	taken, free := change("member@example.test"), change("new@example.test")
	require.Equal(t, security, taken.to())
	require.Equal(t, security, free.to(), "the same answer, whoever has the address")
	_, link := p.mailed("new@example.test")
	require.False(t, p.tray.has("member@example.test"), "who has an account there is not mailed to")
	require.Equal(t, "/", p.visitor(home).fill("/sign-in", "/sign-in", credentials("owner@example.test", password)).to(), "nothing changes before")

	out := p.visitor(home)
	require.Contains(t, out.get(link).doc().Find("main").Text(), "new@example.test")
	require.Equal(t, "/sign-in?done=email", out.fill(link, link, url.Values{}).to())
	require.Equal(t, http.StatusGone, out.get(link).StatusCode)
	require.Equal(t, "/", out.fill("/sign-in", "/sign-in", credentials("new@example.test", password)).to())
	require.Equal(t, http.StatusUnprocessableEntity, p.visitor(home).fill("/sign-in", "/sign-in", credentials("owner@example.test", password)).StatusCode)
	require.NoError(t, p.billing.SendMails(t.Context()))
	require.True(t, p.tray.has("owner@example.test"), "the old address is told")

	require.NoError(t, p.billing.RequestPasswordReset(t.Context(), "new@example.test", models.AgencyID{}, "10.0.0.1"))
	_, reset := p.mailed("new@example.test")
	require.NoError(t, p.db.Write.Exec("UPDATE users SET email = 'third@example.test' WHERE id = ?", p.users["owner"].ID).Error)
	require.Equal(t, http.StatusGone, out.get(reset).StatusCode, "a link for an address that is not theirs any more")
}

func TestPeopleSeeWhereTheyAreSignedIn(t *testing.T) {
	t.Parallel()
	p := sqlite(t)
	here, there, third := p.as("owner"), p.as("owner"), p.as("owner")
	p.as("member")
	rows := here.get(security).doc().Find("#browsers").Parent().Find("tbody tr")
	require.Equal(t, 3, rows.Length(), "theirs alone")
	require.Equal(t, 1, rows.Find(".tag").Length())
	var mine models.Session
	require.NoError(t, p.db.Read.Order("created_at, id_hash").Where("user_id = ?", p.users["member"].ID).Take(&mine).Error)
	require.Equal(t, security, here.fill(security, security+"/sessions", url.Values{"session": {billing.SessionRef(&mine)}}).to())
	var n int64
	require.NoError(t, p.db.Read.Model(&models.Session{}).Where("user_id = ?", p.users["member"].ID).Count(&n).Error)
	require.EqualValues(t, 1, n, "nobody ends another's")

	var ref string
	for _, button := range rows.EachIter() {
		if button.Find(".tag").Length() == 0 {
			ref = button.Find("button[name=session]").AttrOr("value", "")
		}
	}
	require.Equal(t, security, here.fill(security, security+"/sessions", url.Values{"session": {ref}}).to())
	live := 0
	for _, b := range []*browser{there, third} {
		if b.get("/").StatusCode == http.StatusOK {
			live++
		}
	}
	require.Equal(t, 1, live)
	require.Equal(t, security, here.fill(security, security+"/sessions", url.Values{"session": {"others"}}).to())
	require.Equal(t, http.StatusOK, here.get("/").StatusCode)
	require.Equal(t, http.StatusSeeOther, there.get("/").StatusCode)
	require.Equal(t, http.StatusSeeOther, third.get("/").StatusCode)
}

// A stranger who guesses from everywhere keeps nobody out where they are signed in.
func TestStrangersLockNobodyOut(t *testing.T) {
	t.Parallel()
	p := sqlite(t)
	ctx := t.Context()
	p.as("owner") // from 127.0.0.1
	for i := range 60 {
		_, err := p.billing.Authenticate(ctx, "owner@example.test", "wrong horse", fmt.Sprintf("198.51.100.%d", i))
		require.Error(t, err)
	}
	_, err := p.billing.Authenticate(ctx, "owner@example.test", password, "203.0.113.9")
	require.Error(t, err, "their e-mail is guarded everywhere else")
	require.Equal(t, "/", p.visitor(home).fill("/sign-in", "/sign-in", credentials("owner@example.test", password)).to())
}

// An admin signs somebody out everywhere, and helps who lost their device.
func TestAnAdminHelpsPeople(t *testing.T) {
	t.Parallel()
	p := sqlite(t)
	owner, admin := p.as("owner"), p.as("admin")
	owner.enrol()
	list := admin.get("/admin/people?q=OWNER").doc().Find("tbody tr")
	require.Equal(t, 1, list.Length())
	require.Equal(t, 1, admin.get("/admin/people?q=%25").doc().Find(".empty").Length(), "a percent sign is a letter")
	at := list.Find("th a").AttrOr("href", "")
	require.Equal(t, at, admin.fill(at, at+"/sign-out", url.Values{}).to())
	require.Equal(t, "/sign-in", owner.get("/").to())
	require.Equal(t, at, admin.fill(at, at+"/two-step/off", url.Values{}).to())
	require.Equal(t, "/", p.visitor(home).fill("/sign-in", "/sign-in", credentials("owner@example.test", password)).to())
	_, told := p.mailed("owner@example.test")
	require.Equal(t, security, told, "and they are told")
}

// The log says who came in by which way, who tried to, and who was turned away where,
// and from which address; never by what they said.
func TestWhoEntersAndWhoIsTurnedAwayIsLogged(t *testing.T) {
	t.Parallel()
	p := sqlite(t)
	logged := func(what string, act func(), parts ...string) {
		t.Helper()
		before := len(p.log.String())
		act()
		for line := range strings.Lines(p.log.String()[before:]) {
			if !strings.Contains(line, parts[0]) {
				continue
			}
			for _, part := range append(parts, "ip=127.0.0.1", "request_id=", "time=") {
				require.Contains(t, line, part, what)
			}
			return
		}
		require.Fail(t, what, "no line of %s in %s", parts[0], p.log.String()[before:])
	}
	b := p.visitor(home)
	logged("a wrong password", func() { b.fill("/sign-in", "/sign-in", credentials("owner@example.test", "wrong horse")) }, "route=/sign-in status=422")
	logged("the right one", func() { b.fill("/sign-in", "/sign-in", credentials("owner@example.test", password)) }, "route=/sign-in status=303")
	logged("a link", func() { p.as("member") }, "route=/sign-in/:token status=303")
	member, id := p.as("member"), p.users["member"].ID.String()
	logged("a page of others", func() { member.get("/admin") }, "route=/admin status=403", "user="+id, "role=member")
	logged("a form of others", func() { member.fill(security, "/settings/team", url.Values{"email": {"a@example.test"}}) }, "route=/settings/team status=403", "user="+id)
	logged("a forged form", func() { member.post("/settings/notifications", url.Values{}) }, "route=/settings/notifications status=403")
	logged("a forged message", func() { p.visitor(home).post("/webhooks/stripe", url.Values{}) }, "route=/webhooks/stripe status=400")
	logged("leaving", func() { member.fill(security, "/sign-out", url.Values{}) }, "route=/sign-out status=303")
}
