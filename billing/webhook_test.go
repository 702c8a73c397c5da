package billing

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
	"github.com/stretchr/testify/require"
	"gorm.io/gorm"

	"refill/billing/hook"
	"refill/billing/problem"
	"refill/models"
	"refill/models/modelstest"
)

// heard is what a program got.
type heard struct {
	id, body, signature string
	header              http.Header
}

// listener is a program at the end of a webhook: it answers as told and keeps
// what it gets.
type listener struct {
	*httptest.Server

	mu   sync.Mutex
	got  []heard
	say  int                                   // status; 0: 204
	also func(w http.ResponseWriter, h *heard) // before the status
}

func newListener(t *testing.T) *listener {
	t.Helper()
	l := &listener{}
	l.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		h := heard{r.Header.Get("webhook-id"), string(body), r.Header.Get("webhook-signature"), r.Header}
		l.mu.Lock()
		l.got = append(l.got, h)
		say, also := l.say, l.also
		l.mu.Unlock()
		if also != nil {
			also(w, &h)
		}
		if say == 0 {
			say = http.StatusNoContent
		}
		w.WriteHeader(say)
		if say >= 300 {
			_, _ = io.WriteString(w, "no, thank you")
		}
	}))
	t.Cleanup(l.Close)
	return l
}

func (l *listener) answers(status int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.say = status
}

func (l *listener) all() []heard {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.got)
}

// wires is a house with webhooks and a wall clock of its own.
type wires struct {
	*house

	wall atomic.Int64
}

func newWires(t *testing.T, db *models.DB) *wires {
	t.Helper()
	w := &wires{house: newHouse(t, db, "UTC", "")}
	w.wall.Store(int64(readsStart))
	clock := models.ClockFunc(func() models.Time { return models.Time(w.wall.Load()) })
	w.s.people.wall = clock
	w.s.hooks.sender = hook.New(hook.Options{Loopback: true, Timeout: 5 * time.Second})
	return w
}

func (w *wires) later(d time.Duration) { w.wall.Add(d.Microseconds()) }

func (w *wires) endpoint(o WebhookOwner, l *listener, events ...string) models.WebhookEndpoint {
	w.t.Helper()
	row, _, err := w.s.AddWebhook(w.t.Context(), WebhookInput{Owner: o, URL: l.URL + "/hooks", Events: events, By: "test"})
	require.NoError(w.t, err)
	return row
}

// tell causes a notice.
func (w *wires) tell(a *Account, event models.NoticeEvent, occasion string) {
	w.t.Helper()
	now := w.s.Now()
	require.NoError(w.t, w.s.db.InTx(w.t.Context(), func(tx *gorm.DB) error {
		return w.s.notify(tx, notice{agency: a.Agency.ID, wallet: a.Wallet, event: event, key: occasion, facts: models.NoticeFacts{Credits: 5 * models.Credit}}, now)
	}))
}

func (w *wires) send() {
	w.t.Helper()
	require.NoError(w.t, w.s.SendHooks(w.t.Context()))
}

func (w *wires) one(o WebhookOwner, e models.WebhookEndpoint) models.WebhookDelivery {
	w.t.Helper()
	rows, err := w.s.Deliveries(w.t.Context(), o, e.ID, models.WebhookEventID{}, 10)
	require.NoError(w.t, err)
	require.Len(w.t, rows, 1)
	return rows[0]
}

// A program hears of what its owner's wallets go through, signed, and of nobody
// else's.
func TestProgramsHearOfTheirWallets(t *testing.T) {
	t.Parallel()
	modelstest.Each(t, func(t *testing.T, db *models.DB) {
		w := newWires(t, db)
		acme := w.client("acme", models.Prepaid, "UTC")
		contoso, err := w.s.CreateAgency(t.Context(), AgencyInput{ExternalID: "contoso", Name: "Contoso", By: "test"})
		require.NoError(t, err)
		all, own, other, few := newListener(t), newListener(t), newListener(t), newListener(t)
		platform := w.endpoint(WebhookOwner{}, all)
		mine := w.endpoint(WebhookOwner{w.agency.ID}, own)
		w.endpoint(WebhookOwner{contoso.ID}, other)
		w.endpoint(WebhookOwner{w.agency.ID}, few, "wallet.resumed")

		w.tell(acme, models.NoticePaused, "1")
		w.tell(acme, models.NoticePaused, "1") // told once
		w.tell(acme, models.NoticeSummaryWeekly, "1")
		w.tell(w.account(contoso.WalletID), models.NoticePlanReset, "1")
		require.Empty(t, all.all(), "nothing is sent in the transaction")
		w.send()
		w.send()
		require.Len(t, all.all(), 2)
		require.Len(t, own.all(), 1)
		require.Len(t, other.all(), 1)
		require.Empty(t, few.all())

		got := own.all()[0]
		signer, err := standardwebhooks.NewWebhook(mine.Secret)
		require.NoError(t, err)
		require.NoError(t, signer.Verify([]byte(got.body), got.header))
		foreign, err := standardwebhooks.NewWebhook(platform.Secret)
		require.NoError(t, err)
		require.Error(t, foreign.Verify([]byte(got.body), got.header))
		var body struct {
			Type      string         `json:"type"`
			Timestamp string         `json:"timestamp"`
			Data      map[string]any `json:"data"`
		}
		require.NoError(t, json.Unmarshal([]byte(got.body), &body))
		require.Equal(t, "wallet.paused", body.Type)
		require.Equal(t, w.s.Now().RFC3339(), body.Timestamp)
		require.Equal(t, map[string]any{
			"wallet": acme.Wallet.String(), "ref": "sub:northwind/acme", "agency": w.agency.ID.String(), "sub_account": acme.SubAccount.ID.String(),
			"state": "paused", "left": "0", "try_later": DefaultTryLater, "occasion": "1", "credits": "5",
		}, body.Data)
		require.NotContains(t, other.all()[0].body, "northwind")

		events, err := w.s.WebhookEvents(t.Context(), EventQuery{Scope: Scope{w.agency.ID}, Limit: 10})
		require.NoError(t, err)
		require.Len(t, events, 1)
		require.Equal(t, got.id, events[0].ID.String())
		events, err = w.s.WebhookEvents(t.Context(), EventQuery{Limit: 10})
		require.NoError(t, err)
		require.Len(t, events, 2)
		_, err = w.s.WebhookEvents(t.Context(), EventQuery{Scope: Scope{w.agency.ID}, Agency: contoso.ID, Limit: 10})
		require.True(t, problem.Is(err, "not_found"))
	})
}

// What a transaction undoes, nobody hears of.
func TestWebhooksComeFromCommits(t *testing.T) {
	t.Parallel()
	modelstest.Each(t, func(t *testing.T, db *models.DB) {
		w := newWires(t, db)
		l := newListener(t)
		w.endpoint(WebhookOwner{w.agency.ID}, l)
		undone := errors.New("undone")
		require.ErrorIs(t, w.s.db.InTx(t.Context(), func(tx *gorm.DB) error {
			require.NoError(t, w.s.notify(tx, notice{agency: w.agency.ID, wallet: w.agency.WalletID, event: models.NoticeLow, key: "1"}, w.s.Now()))
			return undone
		}), undone)
		w.send()
		require.Empty(t, l.all())
		events, err := w.s.WebhookEvents(t.Context(), EventQuery{Limit: 10})
		require.NoError(t, err)
		require.Empty(t, events)
	})
}

// A failed delivery is tried again later and later under one id, and given up
// after three days, with its endpoint; its owner is told.
func TestWebhooksAreTriedForThreeDays(t *testing.T) {
	t.Parallel()
	modelstest.Each(t, func(t *testing.T, db *models.DB) {
		w := newWires(t, db)
		owner, err := w.s.CreateUser(t.Context(), UserInput{Email: "owner@example.test", Name: "Owner", Password: "a long stone bridge", By: "test"})
		require.NoError(t, err)
		require.NoError(t, w.s.AddMember(t.Context(), MemberInput{Agency: w.agency.ID, User: owner.ID, Role: models.RoleOwner, By: "test"}))
		o := WebhookOwner{w.agency.ID}
		l := newListener(t)
		l.answers(http.StatusInternalServerError)
		e := w.endpoint(o, l)
		w.tell(w.own, models.NoticeLow, "1")
		var tries []models.Time
		for range 3 * 24 * 60 * 6 { // every ten seconds
			before := len(l.all())
			w.send()
			if len(l.all()) > before {
				require.Len(t, l.all(), before+1, "one attempt at a time")
				tries = append(tries, models.Time(w.wall.Load()))
			}
			d := w.one(o, e)
			if d.State == models.WebhookDead {
				break
			}
			require.Equal(t, http.StatusInternalServerError, d.Status)
			require.Equal(t, "no, thank you", d.Note)
			next := max(d.NextAt, models.Time(w.wall.Load())+1)
			row, err := w.s.Webhook(t.Context(), o, e.ID)
			require.NoError(t, err)
			w.wall.Store(int64(max(next, row.RetryAt)))
		}
		require.Greater(t, len(tries), 10)
		require.Less(t, len(tries), 30)
		for i := 2; i < len(tries); i++ {
			require.GreaterOrEqual(t, tries[i].Sub(tries[i-1])+time.Second, tries[i-1].Sub(tries[i-2]), "later and later")
			require.LessOrEqual(t, tries[i].Sub(tries[i-1]), hookLatest)
		}
		span := tries[len(tries)-1].Sub(tries[0])
		require.Greater(t, span, 48*time.Hour)
		require.LessOrEqual(t, span, webhookFor)
		ids := map[string]bool{}
		for _, h := range l.all() {
			ids[h.id] = true
		}
		require.Len(t, ids, 1, "a receiver can drop what it has seen")
		d := w.one(o, e)
		require.Equal(t, models.WebhookDead, d.State)
		require.Equal(t, len(tries), d.Attempts)

		// Another one finds the endpoint failing for three days: off, and said so.
		w.later(webhookFor)
		w.tell(w.own, models.NoticeLow, "2")
		w.send()
		row, err := w.s.Webhook(t.Context(), o, e.ID)
		require.NoError(t, err)
		require.NotZero(t, row.DisabledAt)
		require.Contains(t, row.DisabledNote, "three days")
		var mails []models.Mail
		require.NoError(t, db.Read.Where("kind = ?", models.MailWebhook).Find(&mails).Error)
		require.Len(t, mails, 1)
		require.Equal(t, "owner@example.test", mails[0].Recipient)
		require.Contains(t, mails[0].Text, l.URL)
		require.Contains(t, mails[0].Text, "/settings/webhooks/"+e.ID.String())
		before := len(l.all())
		w.later(24 * time.Hour)
		w.tell(w.own, models.NoticeLow, "3")
		w.send()
		require.Len(t, l.all(), before, "nothing goes to an endpoint that is off")

		// Turned on again, it works, and what was given up can be sent again.
		l.answers(http.StatusOK)
		require.NoError(t, w.s.SwitchWebhook(t.Context(), o, e.ID, true, "test"))
		require.NoError(t, w.s.ResendWebhook(t.Context(), o, e.ID, d.EventID, "test"))
		w.send()
		after := l.all()[before:]
		require.Contains(t, []string{after[0].id, after[len(after)-1].id}, d.EventID.String())
		row, err = w.s.Webhook(t.Context(), o, e.ID)
		require.NoError(t, err)
		require.Zero(t, row.Failures)
	})
}

// An endpoint that says it is gone is turned off at once, and one that asks for
// patience is given it.
func TestWebhooksDoAsTheyAreTold(t *testing.T) {
	t.Parallel()
	modelstest.Each(t, func(t *testing.T, db *models.DB) {
		w := newWires(t, db)
		o := WebhookOwner{w.agency.ID}
		busy, gone := newListener(t), newListener(t)
		busy.answers(http.StatusServiceUnavailable)
		busy.also = func(rw http.ResponseWriter, _ *heard) { rw.Header().Set("Retry-After", "600") }
		gone.answers(http.StatusGone)
		b, g := w.endpoint(o, busy), w.endpoint(o, gone)
		w.tell(w.own, models.NoticeLow, "1")
		w.send()
		require.Equal(t, models.Time(w.wall.Load()).Add(10*time.Minute), w.one(o, b).NextAt)
		row, err := w.s.Webhook(t.Context(), o, g.ID)
		require.NoError(t, err)
		require.NotZero(t, row.DisabledAt)
		w.later(599 * time.Second)
		w.send()
		require.Len(t, busy.all(), 1)
		w.later(time.Second)
		w.send()
		require.Len(t, busy.all(), 2)
	})
}

// A worker that dies while it sends leaves the delivery to the next, and two
// workers never send one at the same time.
func TestWebhooksSurviveTheirSender(t *testing.T) {
	t.Parallel()
	modelstest.Each(t, func(t *testing.T, db *models.DB) {
		w := newWires(t, db)
		o := WebhookOwner{w.agency.ID}
		l := newListener(t)
		e := w.endpoint(o, l)
		w.tell(w.own, models.NoticeLow, "1")
		d := w.one(o, e)
		mine, err := w.s.claim(t.Context(), &models.WebhookDelivery{}, d.NextAt, d.Attempts, "endpoint_id = ? AND event_id = ?", d.EndpointID, d.EventID)
		require.NoError(t, err)
		require.True(t, mine)
		w.send()
		require.Empty(t, l.all(), "somebody has it")
		w.later(sendLease)
		var all sync.WaitGroup
		for range 4 {
			all.Go(func() { _ = w.s.SendHooks(context.WithoutCancel(t.Context())) })
		}
		all.Wait()
		require.Len(t, l.all(), 1)
		require.Equal(t, models.WebhookDelivered, w.one(o, e).State)
	})
}

// A slow endpoint delays nobody else's.
func TestASlowEndpointDelaysNobody(t *testing.T) {
	t.Parallel()
	w := newWires(t, modelstest.OpenSQLite(t))
	w.s.hooks.sender = hook.New(hook.Options{Loopback: true, Timeout: 200 * time.Millisecond})
	slow, quick := newListener(t), newListener(t)
	stop := make(chan struct{})
	slow.also = func(http.ResponseWriter, *heard) { <-stop }
	t.Cleanup(func() { close(stop) })
	o := WebhookOwner{w.agency.ID}
	e := w.endpoint(o, slow)
	w.endpoint(o, quick)
	for i := range 20 {
		w.tell(w.own, models.NoticeLow, strconv.Itoa(i))
	}
	w.send()
	require.Len(t, quick.all(), 20)
	require.Len(t, slow.all(), 1, "it is left alone after one attempt")
	rows, err := w.s.Deliveries(t.Context(), o, e.ID, models.WebhookEventID{}, 100)
	require.NoError(t, err)
	require.True(t, slices.ContainsFunc(rows, func(d models.WebhookDelivery) bool { return strings.Contains(d.Note, "no answer in time") }))
}

// While one secret takes the other's place, both sign; after a day the old one is
// worth nothing.
func TestSecretsRotateWithOverlap(t *testing.T) {
	t.Parallel()
	modelstest.Each(t, func(t *testing.T, db *models.DB) {
		w := newWires(t, db)
		o := WebhookOwner{w.agency.ID}
		l := newListener(t)
		old := w.endpoint(o, l)
		fresh, err := w.s.RotateWebhook(t.Context(), o, old.ID, "test")
		require.NoError(t, err)
		require.NotEqual(t, old.Secret, fresh.Secret)
		w.tell(w.own, models.NoticeLow, "1")
		w.send()
		w.later(SecretOverlap)
		w.tell(w.own, models.NoticeLow, "2")
		w.send()
		got := l.all()
		require.Len(t, got, 2)
		verify := func(secret string, h heard) error {
			v, err := standardwebhooks.NewWebhook(secret)
			require.NoError(t, err)
			return v.Verify([]byte(h.body), h.header)
		}
		require.NoError(t, verify(old.Secret, got[0]))
		require.NoError(t, verify(fresh.Secret, got[0]))
		require.Error(t, verify(old.Secret, got[1]))
		require.NoError(t, verify(fresh.Secret, got[1]))
		require.Len(t, strings.Fields(got[0].signature), 2)
		require.Len(t, strings.Fields(got[1].signature), 1)
	})
}

// Endpoints, their deliveries and events are their owner's: nobody else's calls
// find them.
func TestEndpointsAreTheirOwners(t *testing.T) {
	t.Parallel()
	modelstest.Each(t, func(t *testing.T, db *models.DB) {
		w := newWires(t, db)
		contoso, err := w.s.CreateAgency(t.Context(), AgencyInput{ExternalID: "contoso", Name: "Contoso", By: "test"})
		require.NoError(t, err)
		l := newListener(t)
		o := WebhookOwner{w.agency.ID}
		e := w.endpoint(o, l)
		w.tell(w.own, models.NoticeLow, "1")
		w.send()
		d := w.one(o, e)
		ctx := t.Context()
		for _, foreign := range []WebhookOwner{{contoso.ID}, {}} {
			list, err := w.s.Webhooks(ctx, foreign)
			require.NoError(t, err)
			require.Empty(t, list)
			_, one := w.s.Webhook(ctx, foreign, e.ID)
			_, rows := w.s.Deliveries(ctx, foreign, e.ID, models.WebhookEventID{}, 10)
			_, test := w.s.TestWebhook(ctx, foreign, e.ID, "x")
			_, rotate := w.s.RotateWebhook(ctx, foreign, e.ID, "x")
			for what, err := range map[string]error{
				"read": one, "deliveries": rows, "test": test, "rotate": rotate, "remove": w.s.RemoveWebhook(ctx, foreign, e.ID, "x"),
				"switch": w.s.SwitchWebhook(ctx, foreign, e.ID, false, "x"), "resend": w.s.ResendWebhook(ctx, foreign, e.ID, d.EventID, "x"),
				"change": w.s.ChangeWebhook(ctx, e.ID, WebhookInput{Owner: foreign, URL: l.URL, By: "x"}),
			} {
				require.True(t, problem.Is(err, "not_found"), what)
			}
		}
		_, _, err = w.s.ReplayWebhook(ctx, Scope{contoso.ID}, d.EventID, models.WebhookEndpointID{}, "x")
		require.True(t, problem.Is(err, "not_found"))
		_, n, err := w.s.ReplayWebhook(ctx, Scope{}, d.EventID, models.WebhookEndpointID{}, "x")
		require.NoError(t, err)
		require.Zero(t, n, "the platform replays to its own endpoints")
		before := len(l.all())
		_, n, err = w.s.ReplayWebhook(ctx, Scope{w.agency.ID}, d.EventID, models.WebhookEndpointID{}, "x")
		require.NoError(t, err)
		require.Equal(t, 1, n)
		w.send()
		require.Len(t, l.all(), before+1)
		require.Equal(t, l.all()[0].id, l.all()[before].id)
		require.Equal(t, l.all()[0].body, l.all()[before].body)

		// Replayed to an endpoint that is newer than the event.
		late := newListener(t)
		w.endpoint(o, late, "wallet.low")
		_, n, err = w.s.ReplayWebhook(ctx, Scope{w.agency.ID}, d.EventID, models.WebhookEndpointID{}, "x")
		require.NoError(t, err)
		require.Equal(t, 2, n)
		w.send()
		require.Len(t, late.all(), 1)

		got, err := w.s.TestWebhook(ctx, o, e.ID, "test")
		require.NoError(t, err)
		require.Equal(t, models.WebhookDelivered, got.State)
		require.Equal(t, http.StatusNoContent, got.Status)
		require.NoError(t, w.s.RemoveWebhook(ctx, o, e.ID, "test"))
		var left int64
		require.NoError(t, db.Read.Model(&models.WebhookDelivery{}).Where("endpoint_id = ?", e.ID).Count(&left).Error)
		require.Zero(t, left)
	})
}

// What an endpoint may be.
func TestEndpointsAreChecked(t *testing.T) {
	t.Parallel()
	modelstest.Each(t, func(t *testing.T, db *models.DB) {
		w := newWires(t, db)
		w.s.hooks.sender = hook.New(hook.Options{})
		add := func(in WebhookInput) error {
			in.By = "test"
			_, _, err := w.s.AddWebhook(t.Context(), in)
			return err
		}
		for _, u := range []string{"", "http://example.com", "https://10.0.0.1", "https://localhost:8443", "https://example.com:25"} {
			err := add(WebhookInput{URL: u})
			require.True(t, problem.Is(err, "invalid_url"), u)
			require.Equal(t, "url", problem.Of(err).Field)
		}
		require.True(t, problem.Is(add(WebhookInput{URL: "https://example.com", Events: []string{"wallet.gone"}}), "unknown_event"))
		in := WebhookInput{Owner: WebhookOwner{w.agency.ID}, URL: "https://example.com/hooks", Key: "one", By: "test"}
		first, replayed, err := w.s.AddWebhook(t.Context(), in)
		require.NoError(t, err)
		require.False(t, replayed)
		second, replayed, err := w.s.AddWebhook(t.Context(), in)
		require.NoError(t, err)
		require.True(t, replayed)
		require.Equal(t, first.ID, second.ID)
		in.URL = "https://example.com/other"
		require.True(t, problem.Is(add(in), "idempotency_key_reused"))
		in.Owner = WebhookOwner{}
		require.NoError(t, add(in), "the platform's keys are its own")
		for range MaxWebhooks - 1 {
			require.NoError(t, add(WebhookInput{URL: "https://example.com"}))
		}
		require.True(t, problem.Is(add(WebhookInput{URL: "https://example.com"}), "too_many_webhooks"))
	})
}
