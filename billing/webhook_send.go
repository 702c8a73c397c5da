package billing

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"
	"gorm.io/gorm"

	"refill/billing/hook"
	"refill/billing/problem"
	"refill/models"
)

// How webhooks go out, in wall time.
const (
	hookBatch    = 50 // deliveries of one endpoint in one round
	hookAtOnce   = 8  // endpoints
	hookSoonest  = 10 * time.Second
	hookLatest   = 12 * time.Hour
	hookPatience = 5 * time.Minute // the longest an endpoint that fails is left alone
)

// switchboard wakes the webhooks' worker.
type switchboard struct {
	bell

	sender Hooks
}

func newSwitchboard(h Hooks) *switchboard {
	if h == nil {
		h = hook.New(hook.Options{})
	}
	return &switchboard{bell: newBell(), sender: h}
}

// webhookData is what an event says of a wallet.
type webhookData struct {
	Wallet     string         `json:"wallet"`
	Ref        string         `json:"ref"`
	Agency     string         `json:"agency"`
	SubAccount *string        `json:"sub_account"`
	State      string         `json:"state"`
	Left       string         `json:"left"`
	TryLater   string         `json:"try_later"`
	Occasion   string         `json:"occasion"`
	Credits    string         `json:"credits,omitempty"`
	Price      *webhookAmount `json:"price,omitempty"`
	Name       string         `json:"name,omitempty"`
	At         models.Time    `json:"at,omitzero"`
}

// webhookAmount is money in minor units.
type webhookAmount struct {
	Amount   int64  `json:"amount"`
	Currency string `json:"currency"`
}

// webhookBody is an event in the words that programs read.
func webhookBody(event string, at models.Time, data any) (string, error) {
	b, err := json.Marshal(struct {
		Type      string      `json:"type"`
		Timestamp models.Time `json:"timestamp"`
		Data      any         `json:"data"`
	}{event, at, data})
	if err != nil {
		return "", fmt.Errorf("write an event: %w", err)
	}
	return string(b), nil
}

// hookNotice tells programs of a notice: one event, and a delivery for every
// endpoint that hears of it, in the transaction that causes it.
func (s *Service) hookNotice(tx *gorm.DB, n notice, now models.Time) error { //nolint:gocritic // a notice is rare
	if !isWebhookType(string(n.event)) {
		return nil
	}
	data, err := s.webhookData(tx, &n, now)
	if err != nil {
		return err
	}
	event := models.WebhookEvent{AgencyID: n.agency, ID: models.NewID[models.WebhookEventID](now), WalletID: n.wallet, Type: string(n.event), CreatedAt: now}
	if event.Body, err = webhookBody(event.Type, now, data); err != nil {
		return err
	}
	if err := tx.Create(&event).Error; err != nil {
		return err
	}
	var ends []models.WebhookEndpoint
	if err := tx.Where("(agency_id = ? OR agency_id IS NULL) AND disabled_at = 0", n.agency).Order("id").Find(&ends).Error; err != nil {
		return err
	}
	for i := range ends {
		if !ends[i].Hears(event.Type) {
			continue
		}
		d := s.delivery(&ends[i], event)
		if err := tx.Create(&d).Error; err != nil {
			return err
		}
		s.hooks.ring()
	}
	return nil
}

// hookNotices is hookNotice for what happens to many wallets at once. Where nobody
// listens nothing is written: a hundred thousand renewals are no time for it.
func (s *Service) hookNotices(tx *gorm.DB, all []notice, now models.Time) error {
	if !isWebhookType(string(all[0].event)) {
		return nil
	}
	var ends []models.WebhookEndpoint
	if err := tx.Where("disabled_at = 0").Find(&ends).Error; err != nil {
		return err
	}
	for i := range all {
		if !slices.ContainsFunc(ends, func(e models.WebhookEndpoint) bool {
			return (e.AgencyID.IsZero() || e.AgencyID == all[i].agency) && e.Hears(string(all[i].event))
		}) {
			continue
		}
		if err := s.hookNotice(tx, all[i], now); err != nil {
			return err
		}
	}
	return nil
}

// webhookData reads how the wallet of a notice stands.
func (s *Service) webhookData(tx *gorm.DB, n *notice, now models.Time) (webhookData, error) {
	a, err := accountIn(tx, n.agency, n.wallet)
	if err != nil {
		return webhookData{}, err
	}
	view, err := s.walletIn(tx, a, now)
	if err != nil {
		return webhookData{}, err
	}
	out := webhookData{
		Wallet: n.wallet.String(), Ref: a.Ref(), Agency: n.agency.String(), State: string(view.State), Left: view.Balance.Left().String(),
		TryLater: a.TryLater(), Occasion: n.key, Name: n.facts.Name, At: n.facts.At,
	}
	if a.SubAccount != nil {
		id := a.SubAccount.ID.String()
		out.SubAccount = &id
	}
	if n.facts.Credits != 0 {
		out.Credits = n.facts.Credits.String()
	}
	if n.facts.Currency != "" {
		out.Price = &webhookAmount{n.facts.Amount, n.facts.Currency}
	}
	return out, nil
}

// delivery is an event on its way to an endpoint.
func (s *Service) delivery(e *models.WebhookEndpoint, event models.WebhookEvent) models.WebhookDelivery { //nolint:gocritic // copied into the row
	wall := s.people.wall.Now()
	return models.WebhookDelivery{
		EndpointID: e.ID, EventID: event.ID, AgencyID: event.AgencyID, Type: event.Type, Body: event.Body, State: models.WebhookQueued,
		NextAt: wall, ExpiresAt: wall.Add(webhookFor), CreatedAt: event.CreatedAt,
	}
}

// WorkHooks sends webhooks as they are written, until ctx ends. The tick wakes it
// for what it missed and for what is tried again.
func (s *Service) WorkHooks(ctx context.Context) {
	s.hooks.answer(ctx, s.log, "send webhooks", s.SendHooks)
}

// SendHooks makes the attempts that are due: those of one endpoint one after
// another, several endpoints beside each other. One that fails is left alone for a
// while and holds nobody else up.
func (s *Service) SendHooks(ctx context.Context) error {
	for ctx.Err() == nil {
		wall := s.people.wall.Now()
		var due []models.WebhookEndpointID
		if err := s.db.Read.WithContext(ctx).Model(&models.WebhookEndpoint{}).
			Where("disabled_at = 0 AND retry_at <= ?", wall).
			Where("EXISTS (SELECT 1 FROM webhook_deliveries d WHERE d.endpoint_id = webhook_endpoints.id AND d.state = ? AND d.next_at <= ?)", models.WebhookQueued, wall).
			Order("retry_at, id").Pluck("id", &due).Error; err != nil {
			return err
		}
		if len(due) == 0 {
			return nil
		}
		var all errgroup.Group
		all.SetLimit(hookAtOnce)
		for _, id := range due {
			all.Go(func() error { return problem.Contain(func() error { return s.sendHooksTo(ctx, id, wall) }) })
		}
		if err := all.Wait(); err != nil {
			return err
		}
	}
	return ctx.Err()
}

// sendHooksTo makes an endpoint's attempts until one fails.
func (s *Service) sendHooksTo(ctx context.Context, id models.WebhookEndpointID, wall models.Time) error {
	var due []models.WebhookDelivery
	if err := s.db.Read.WithContext(ctx).Where("endpoint_id = ? AND state = ? AND next_at <= ?", id, models.WebhookQueued, wall).
		Order("next_at, event_id").Limit(hookBatch).Find(&due).Error; err != nil {
		return err
	}
	for i := range due {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err := s.sendHook(ctx, &due[i]); err != nil {
			if errors.Is(err, errLeftAlone) {
				return nil
			}
			return err
		}
	}
	return nil
}

// errLeftAlone ends a round at an endpoint that did not take what it was sent.
var errLeftAlone = errors.New("the endpoint is left alone for a while")

// sendHook claims a delivery, makes one attempt outside of any transaction, and
// books what came of it. Once claimed it is finished even while the program shuts
// down. Errors: errLeftAlone.
func (s *Service) sendHook(ctx context.Context, d *models.WebhookDelivery) error {
	ctx = context.WithoutCancel(ctx)
	mine, err := s.claim(ctx, &models.WebhookDelivery{}, d.NextAt, d.Attempts, "endpoint_id = ? AND event_id = ?", d.EndpointID, d.EventID)
	if !mine {
		return err // another process has it
	}
	var e models.WebhookEndpoint
	if err := s.db.Read.WithContext(ctx).Where("id = ?", d.EndpointID).Take(&e).Error; err != nil {
		if errors.Is(err, gorm.ErrRecordNotFound) {
			return nil // removed meanwhile, its deliveries with it
		}
		return err
	}
	if err := s.openHook(&e); err != nil {
		return err
	}
	m := hook.Message{ID: d.EventID.String(), Body: []byte(d.Body), Secrets: []string{e.Secret}}
	if e.OldSecret != "" && s.people.wall.Now() < e.OldUntil {
		m.Secrets = append(m.Secrets, e.OldSecret)
	}
	answer, err := s.hooks.sender.Send(ctx, e.URL, m)
	return s.bookHook(ctx, d, &e, answer, err)
}

// bookHook writes what came of an attempt, on the delivery and on its endpoint.
func (s *Service) bookHook(ctx context.Context, d *models.WebhookDelivery, e *models.WebhookEndpoint, answer hook.Answer, failed error) error {
	wall := s.people.wall.Now()
	taken := failed == nil && answer.OK()
	change := map[string]any{"status": answer.Status, "note": shorten(answer.Excerpt), "took": answer.Took.Milliseconds(), "tried_at": wall}
	if failed != nil {
		change["note"] = shorten(failed.Error())
	}
	next := wall.Add(max(backOff(d.Attempts, hookSoonest, hookLatest), min(answer.RetryAfter, hookLatest)))
	switch {
	case taken:
		change["state"], change["ended_at"] = models.WebhookDelivered, wall
	case next >= d.ExpiresAt:
		change["state"], change["ended_at"] = models.WebhookDead, wall
	default:
		change["next_at"] = next
	}
	err := s.db.InTx(ctx, func(tx *gorm.DB) error {
		if err := tx.Model(&models.WebhookDelivery{}).Where("endpoint_id = ? AND event_id = ? AND state = ?", d.EndpointID, d.EventID, models.WebhookQueued).
			Updates(change).Error; err != nil {
			return err
		}
		return s.bookEndpoint(tx, e, &answer, taken, wall)
	})
	if err == nil && !taken {
		return errLeftAlone
	}
	return err
}

// bookEndpoint notes how an endpoint does, and turns one off that is given up.
func (s *Service) bookEndpoint(tx *gorm.DB, e *models.WebhookEndpoint, answer *hook.Answer, taken bool, wall models.Time) error {
	row := tx.Model(&models.WebhookEndpoint{}).Where("id = ?", e.ID)
	if taken {
		if e.Failures == 0 && e.RetryAt == 0 {
			return nil
		}
		return row.Updates(map[string]any{"failures": 0, "failing_since": 0, "retry_at": 0}).Error
	}
	since := e.FailingSince
	if e.Failures == 0 || since == 0 {
		since = wall
	}
	change := map[string]any{
		"failures": e.Failures + 1, "failing_since": since,
		"retry_at": wall.Add(max(backOff(e.Failures, time.Second, hookPatience), min(answer.RetryAfter, hookPatience))),
	}
	why := ""
	switch {
	case answer.Gone():
		why = "It answered 410: nobody listens there any more."
	case wall.Sub(since) >= webhookFor:
		why = "It took nothing for three days."
	}
	if why == "" || e.DisabledAt != 0 {
		return row.Updates(change).Error
	}
	change["disabled_at"], change["disabled_note"] = wall, why
	off := row.Where("disabled_at = 0").Updates(change)
	if off.Error != nil || off.RowsAffected == 0 {
		return off.Error
	}
	return s.mailHookOff(tx, e, why)
}

// mailHookOff tells an endpoint's owners that it was turned off: an agency's, or
// the platform's admins.
func (s *Service) mailHookOff(tx *gorm.DB, e *models.WebhookEndpoint, why string) error {
	now := s.clock.Now()
	if err := s.audit(tx, e.AgencyID, ActorClock, "webhook.disable", e.ID.String(), e.URL, why, now); err != nil {
		return err
	}
	path, people := "/admin/webhooks/", tx.Model(&models.User{}).Where("platform_role = ?", models.PlatformAdmin)
	if !e.AgencyID.IsZero() {
		path = "/settings/webhooks/"
		people = tx.Model(&models.User{}).Where("id IN (?)", tx.Model(&models.Member{}).Select("user_id").Where("agency_id = ? AND role = ?", e.AgencyID, models.RoleOwner))
	}
	var to []string
	if err := people.Where("disabled_at = 0").Order("email").Pluck("email", &to).Error; err != nil {
		return err
	}
	for _, address := range to {
		l := s.letterhead().hookOff(e.URL, why, path+e.ID.String())
		if err := s.postMail(tx, envelope{kind: models.MailWebhook, to: address, life: webhookFor}, &l, now); err != nil {
			return err
		}
	}
	if len(to) > 0 {
		s.post.wake()
	}
	return nil
}

// HookStanding is how webhooks do.
type HookStanding struct {
	Queued int64
	Dead   int64 // given up in the last seven days
	Off    int64 // endpoints that were turned off because they failed
}

// HookStanding tells how webhooks do, for the operator.
func (s *Service) HookStanding(ctx context.Context) (HookStanding, error) {
	var out HookStanding
	db := s.db.Read.WithContext(ctx)
	return out, errors.Join(
		db.Model(&models.WebhookDelivery{}).Where("state = ?", models.WebhookQueued).Count(&out.Queued).Error,
		db.Model(&models.WebhookDelivery{}).Where("state = ? AND ended_at > ?", models.WebhookDead, s.people.wall.Now().Add(-mailRecent)).Count(&out.Dead).Error,
		db.Model(&models.WebhookEndpoint{}).Where("disabled_at > 0 AND failures > 0").Count(&out.Off).Error,
	)
}

// sweepHooks forgets deliveries that ended long ago, gives up those whose time ran
// out while their endpoint was off, and forgets events that nobody asks for.
func (s *Service) sweepHooks(ctx context.Context, wall models.Time) error {
	db := s.db.Write.WithContext(ctx)
	return errors.Join(
		db.Where("state <> ? AND ended_at <= ?", models.WebhookQueued, wall.Add(-webhookKept)).Delete(&models.WebhookDelivery{}).Error,
		db.Model(&models.WebhookDelivery{}).Where("state = ? AND expires_at <= ?", models.WebhookQueued, wall).
			Updates(map[string]any{"state": models.WebhookDead, "ended_at": wall}).Error,
		db.Where("created_at <= ?", s.clock.Now().Add(-eventsKept)).Delete(&models.WebhookEvent{}).Error,
	)
}

// eventsKept is how long events are listed, of domain time.
const eventsKept = 90 * 24 * time.Hour
