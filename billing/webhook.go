package billing

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"gorm.io/gorm"

	"refill/billing/hook"
	"refill/billing/problem"
	"refill/models"
)

// Limits of webhook endpoints.
const (
	MaxWebhooks     = 20             // of one owner
	SecretOverlap   = 24 * time.Hour // both secrets sign, of wall time
	webhookFor      = 72 * time.Hour // a delivery is tried, of wall time
	maxWebhookNote  = 200
	webhookKept     = 30 * 24 * time.Hour // deliveries that ended, of wall time
	webhookTestType = "test"
)

// Hooks takes messages to endpoints; hook.Sender does.
type Hooks interface {
	CheckURL(raw string) error
	Send(ctx context.Context, to string, m hook.Message) (hook.Answer, error)
}

// WebhookType is an event that programs can hear of.
type WebhookType struct {
	Name  string
	About string // one sentence, for people who choose
}

// WebhookTypes are the events programs can hear of.
func WebhookTypes() []WebhookType {
	return []WebhookType{
		{"wallet.low", "A wallet fell below one of its thresholds."},
		{"wallet.critical", "A wallet lasts less than a day."},
		{"wallet.paused", "A wallet is empty: its AI stops."},
		{"wallet.resumed", "A paused wallet has credits again."},
		{"upstream.paused", "A client has credits, but its agency has none: its AI stops."},
		{"purchase.credited", "A purchase was paid and its credits are there."},
		{"purchase.refunded", "Money of a purchase went back, and credits with it."},
		{"payment.disputed", "A buyer asked their bank for the money back."},
		{"topup.done", "An automatic top-up added credits."},
		{"topup.failed", "An automatic top-up was declined."},
		{"topup.limit", "Automatic top-ups reached their monthly limit."},
		{"topup.paused", "Automatic top-ups stopped until the card is seen to."},
		{"plan.reset", "A new period began with its plan credits."},
		{"plan.past_due", "A plan's payment failed."},
		{"plan.ended", "A plan ended."},
	}
}

func isWebhookType(name string) bool {
	return slices.ContainsFunc(WebhookTypes(), func(t WebhookType) bool { return t.Name == name })
}

// WebhookOwner is whose endpoints are meant.
type WebhookOwner struct {
	Agency models.AgencyID // zero: the platform
}

// of narrows a query of endpoints to their owner's.
func (o WebhookOwner) of(db *gorm.DB) *gorm.DB {
	if o.Agency.IsZero() {
		return db.Where("agency_id IS NULL")
	}
	return db.Where("agency_id = ?", o.Agency)
}

// WebhookInput is an endpoint as somebody wants it.
type WebhookInput struct {
	Owner  WebhookOwner
	URL    string
	Events []string // names of WebhookTypes; none: all of them
	Note   string
	Key    string // AddWebhook: the same key and request makes one endpoint; "" for people
	By     Actor
}

// check brings the input into its normal form. Errors: invalid_url,
// unknown_event, note_too_long.
func (in *WebhookInput) check(h Hooks) error {
	in.URL, in.Note = strings.TrimSpace(in.URL), strings.TrimSpace(in.Note)
	if err := h.CheckURL(in.URL); err != nil {
		text := err.Error()
		return problem.New(problem.Invalid, "invalid_url", "%s", strings.ToUpper(text[:1])+text[1:]+".").On("url")
	}
	if len(in.Note) > maxWebhookNote {
		return problem.New(problem.Invalid, "note_too_long", "A note has at most %d bytes.", maxWebhookNote).On("note")
	}
	slices.Sort(in.Events)
	in.Events = slices.Compact(in.Events)
	for _, e := range in.Events {
		if !isWebhookType(e) {
			return problem.New(problem.Invalid, "unknown_event", "There is no event %.60q to hear of; leave events out to hear of all.", e).On("events")
		}
	}
	if len(in.Events) == len(WebhookTypes()) {
		in.Events = nil
	}
	return nil
}

// HeardBy tells which events an agency's own endpoints hear of.
func (s *Service) HeardBy(ctx context.Context, agency models.AgencyID) (map[models.NoticeEvent]bool, error) {
	var ends []models.WebhookEndpoint
	if err := s.db.Read.WithContext(ctx).Where("agency_id = ? AND disabled_at = 0", agency).Find(&ends).Error; err != nil {
		return nil, err
	}
	out := map[models.NoticeEvent]bool{}
	for _, t := range WebhookTypes() {
		for i := range ends {
			if ends[i].Hears(t.Name) {
				out[models.NoticeEvent(t.Name)] = true
			}
		}
	}
	return out, nil
}

// AddWebhook makes an endpoint, which hears of everything from now on. Its secret
// is on the row; nobody is shown it again. Errors: invalid_url, unknown_event,
// note_too_long, too_many_webhooks, idempotency_key_reused.
func (s *Service) AddWebhook(ctx context.Context, in WebhookInput) (row models.WebhookEndpoint, replayed bool, err error) { //nolint:gocritic // made once
	now := s.clock.Now()
	if err := in.check(s.hooks.sender); err != nil {
		return row, false, err
	}
	asked := fingerprint("webhook", in.URL, strings.Join(in.Events, " "), in.Note)
	err = s.once(ctx, func(tx *gorm.DB) error {
		if in.Key != "" {
			found := in.Owner.of(tx).Where("idempotency_key = ?", in.Key).Take(&row).Error
			if replayed, err = again(found, row.Fingerprint, asked); replayed || err != nil {
				return err
			}
		}
		if !in.Owner.Agency.IsZero() {
			if err := acting(tx, in.Owner.Agency); err != nil {
				return err
			}
		}
		var there int64
		if err := in.Owner.of(tx.Model(&models.WebhookEndpoint{})).Count(&there).Error; err != nil {
			return err
		}
		if there >= MaxWebhooks {
			return problem.New(problem.Conflict, "too_many_webhooks", "There are %d endpoints already; remove one first.", there).On("url")
		}
		row = models.WebhookEndpoint{
			ID: models.NewID[models.WebhookEndpointID](now), AgencyID: in.Owner.Agency, URL: in.URL, Note: in.Note, Events: strings.Join(in.Events, " "),
			CreatedBy: string(in.By), CreatedAt: now,
		}
		row.Secret = s.sealHook(row.ID, hook.NewSecret())
		row.IdempotencyKey, row.Fingerprint = creationKey(in.Key, asked)
		if err := tx.Create(&row).Error; err != nil {
			return err
		}
		return s.audit(tx, in.Owner.Agency, in.By, "webhook.create", row.ID.String(), row.URL, "", now)
	})
	if err == nil {
		err = s.openHook(&row)
	}
	return row, replayed, err
}

// Webhooks lists an owner's endpoints, the oldest first.
func (s *Service) Webhooks(ctx context.Context, o WebhookOwner) ([]models.WebhookEndpoint, error) {
	var out []models.WebhookEndpoint
	return out, o.of(s.db.Read.WithContext(ctx)).Order("id").Find(&out).Error
}

// Webhook reads an endpoint of an owner's. Errors: not_found.
func (s *Service) Webhook(ctx context.Context, o WebhookOwner, id models.WebhookEndpointID) (models.WebhookEndpoint, error) {
	return webhook(s.db.Read.WithContext(ctx), o, id)
}

func webhook(db *gorm.DB, o WebhookOwner, id models.WebhookEndpointID) (models.WebhookEndpoint, error) {
	var row models.WebhookEndpoint
	return row, missing(o.of(db).Where("id = ?", id).Take(&row).Error, "endpoint")
}

// change books a change of an endpoint with who made it.
func (s *Service) changeWebhook(ctx context.Context, o WebhookOwner, id models.WebhookEndpointID, by Actor, action string,
	f func(tx *gorm.DB, row *models.WebhookEndpoint) (change map[string]any, detail string, err error),
) (models.WebhookEndpoint, error) {
	var row models.WebhookEndpoint
	err := s.db.InTx(ctx, func(tx *gorm.DB) (err error) {
		if row, err = webhook(tx, o, id); err != nil {
			return err
		}
		change, detail, err := f(tx, &row)
		if err != nil {
			return err
		}
		if len(change) > 0 {
			if err := o.of(tx.Model(&models.WebhookEndpoint{})).Where("id = ?", id).Updates(change).Error; err != nil {
				return err
			}
			if row, err = webhook(tx, o, id); err != nil {
				return err
			}
		}
		return s.audit(tx, o.Agency, by, action, id.String(), detail, "", s.clock.Now())
	})
	return row, err
}

// ChangeWebhook changes where an endpoint is and what it hears of. Errors:
// not_found, invalid_url, unknown_event, note_too_long.
func (s *Service) ChangeWebhook(ctx context.Context, id models.WebhookEndpointID, in WebhookInput) error { //nolint:gocritic // changed once
	if err := in.check(s.hooks.sender); err != nil {
		return err
	}
	_, err := s.changeWebhook(ctx, in.Owner, id, in.By, "webhook.change", func(_ *gorm.DB, row *models.WebhookEndpoint) (map[string]any, string, error) {
		detail := row.URL + " → " + in.URL
		if row.URL == in.URL {
			detail = in.URL + ": " + strings.Join(in.Events, " ")
		}
		return map[string]any{"url": in.URL, "events": strings.Join(in.Events, " "), "note": in.Note, "retry_at": 0}, detail, nil
	})
	return err
}

// RemoveWebhook forgets an endpoint and what was on its way there. Errors:
// not_found.
func (s *Service) RemoveWebhook(ctx context.Context, o WebhookOwner, id models.WebhookEndpointID, by Actor) error {
	_, err := s.changeWebhook(ctx, o, id, by, "webhook.remove", func(tx *gorm.DB, row *models.WebhookEndpoint) (map[string]any, string, error) {
		return nil, row.URL, o.of(tx).Where("id = ?", id).Delete(&models.WebhookEndpoint{}).Error
	})
	return err
}

// SwitchWebhook turns an endpoint off, or on again: what waited for it goes out.
// Errors: not_found.
func (s *Service) SwitchWebhook(ctx context.Context, o WebhookOwner, id models.WebhookEndpointID, on bool, by Actor) error {
	action, change := "webhook.disable", map[string]any{"disabled_at": s.people.wall.Now(), "disabled_note": "It was turned off by hand."}
	if on {
		action, change = "webhook.enable", map[string]any{"disabled_at": 0, "disabled_note": "", "failures": 0, "failing_since": 0, "retry_at": 0}
	}
	_, err := s.changeWebhook(ctx, o, id, by, action, func(_ *gorm.DB, row *models.WebhookEndpoint) (map[string]any, string, error) {
		return change, row.URL, nil
	})
	if err == nil && on {
		s.hooks.ring()
	}
	return err
}

// RotateWebhook gives an endpoint a new secret, which is on the row. For a day both
// sign. Errors: not_found.
func (s *Service) RotateWebhook(ctx context.Context, o WebhookOwner, id models.WebhookEndpointID, by Actor) (models.WebhookEndpoint, error) {
	row, err := s.changeWebhook(ctx, o, id, by, "webhook.rotate", func(_ *gorm.DB, row *models.WebhookEndpoint) (map[string]any, string, error) {
		return map[string]any{
			"secret": s.sealHook(id, hook.NewSecret()), "old_secret": s.sealHook(id, row.Secret), "old_until": s.people.wall.Now().Add(SecretOverlap),
		}, row.URL, nil
	})
	if err == nil {
		err = s.openHook(&row)
	}
	return row, err
}

// Deliveries lists what went or goes to an owner's endpoint, the newest event
// first. Errors: not_found.
func (s *Service) Deliveries(ctx context.Context, o WebhookOwner, id models.WebhookEndpointID, before models.WebhookEventID, limit int) ([]models.WebhookDelivery, error) {
	if _, err := s.Webhook(ctx, o, id); err != nil {
		return nil, err
	}
	q := s.db.Read.WithContext(ctx).Where("endpoint_id = ?", id)
	if !before.IsZero() {
		q = q.Where("event_id < ?", before)
	}
	var out []models.WebhookDelivery
	return out, q.Order("event_id DESC").Limit(limit).Find(&out).Error
}

// TestWebhook sends an endpoint a made-up event now, and tells what came of it.
// Errors: not_found.
func (s *Service) TestWebhook(ctx context.Context, o WebhookOwner, id models.WebhookEndpointID, by Actor) (models.WebhookDelivery, error) {
	now := s.clock.Now()
	var d models.WebhookDelivery
	_, err := s.changeWebhook(ctx, o, id, by, "webhook.test", func(tx *gorm.DB, row *models.WebhookEndpoint) (map[string]any, string, error) {
		body, err := webhookBody(webhookTestType, now, map[string]any{"endpoint": row.ID.String(), "note": "This is a test. Nothing has happened."})
		if err != nil {
			return nil, "", err
		}
		d = s.delivery(row, models.WebhookEvent{AgencyID: o.Agency, ID: models.NewID[models.WebhookEventID](now), Type: webhookTestType, Body: body, CreatedAt: now})
		return nil, row.URL, tx.Create(&d).Error
	})
	if err != nil {
		return d, err
	}
	if err := s.sendHook(ctx, &d); err != nil && !errors.Is(err, errLeftAlone) {
		return d, err
	}
	return s.delivered(ctx, id, d.EventID)
}

func (s *Service) delivered(ctx context.Context, id models.WebhookEndpointID, event models.WebhookEventID) (models.WebhookDelivery, error) {
	var d models.WebhookDelivery
	return d, missing(s.db.Read.WithContext(ctx).Where("endpoint_id = ? AND event_id = ?", id, event).Take(&d).Error, "delivery")
}

// ResendWebhook tries a delivery again from the start, under the id it has.
// Errors: not_found.
func (s *Service) ResendWebhook(ctx context.Context, o WebhookOwner, id models.WebhookEndpointID, event models.WebhookEventID, by Actor) error {
	_, err := s.changeWebhook(ctx, o, id, by, "webhook.resend", func(tx *gorm.DB, _ *models.WebhookEndpoint) (map[string]any, string, error) {
		done := s.requeue(tx).Where("endpoint_id = ? AND event_id = ?", id, event).Updates(s.afresh())
		if done.Error == nil && done.RowsAffected == 0 {
			return nil, "", problem.Missing("delivery")
		}
		return nil, event.String(), done.Error
	})
	if err == nil {
		s.hooks.ring()
	}
	return err
}

func (s *Service) requeue(tx *gorm.DB) *gorm.DB { return tx.Model(&models.WebhookDelivery{}) }

// afresh is a delivery that begins again.
func (s *Service) afresh() map[string]any {
	wall := s.people.wall.Now()
	return map[string]any{"state": models.WebhookQueued, "attempts": 0, "next_at": wall, "expires_at": wall.Add(webhookFor), "ended_at": 0}
}

// EventQuery pages through what happened, the newest first.
type EventQuery struct {
	Scope  Scope
	Agency models.AgencyID // zero: every agency of the scope
	Type   string          // "": all
	Before models.WebhookEventID
	Limit  int
}

// WebhookEvents lists what programs were, or could have been, told.
func (s *Service) WebhookEvents(ctx context.Context, q EventQuery) ([]models.WebhookEvent, error) {
	tx := s.db.Read.WithContext(ctx)
	switch {
	case !q.Agency.IsZero() && !q.Scope.Covers(q.Agency):
		return nil, problem.Missing("agency")
	case !q.Agency.IsZero():
		tx = tx.Where("agency_id = ?", q.Agency)
	case !q.Scope.Platform():
		tx = tx.Where("agency_id = ?", q.Scope.Agency)
	}
	if q.Type != "" {
		tx = tx.Where("type = ?", q.Type)
	}
	if !q.Before.IsZero() {
		tx = tx.Where("id < ?", q.Before)
	}
	var out []models.WebhookEvent
	return out, tx.Order("id DESC").Limit(q.Limit).Find(&out).Error
}

// ReplayWebhook sends an event again, under the id it has, to the endpoints of the
// caller's own that hear of it, or to one of them. It tells to how many. Errors:
// not_found.
func (s *Service) ReplayWebhook(ctx context.Context, scope Scope, id models.WebhookEventID, only models.WebhookEndpointID, by Actor) (models.WebhookEvent, int, error) {
	owner := WebhookOwner(scope)
	var event models.WebhookEvent
	sent := 0
	err := s.db.InTx(ctx, func(tx *gorm.DB) error {
		sent = 0
		q := tx.Where("id = ?", id)
		if !scope.Platform() {
			q = q.Where("agency_id = ?", scope.Agency)
		}
		if err := q.Take(&event).Error; err != nil {
			return missing(err, "event")
		}
		var ends []models.WebhookEndpoint
		if only.IsZero() {
			if err := owner.of(tx).Where("disabled_at = 0").Order("id").Find(&ends).Error; err != nil {
				return err
			}
			ends = slices.DeleteFunc(ends, func(e models.WebhookEndpoint) bool { return !e.Hears(event.Type) })
		} else {
			end, err := webhook(tx, owner, only)
			if err != nil {
				return err
			}
			ends = append(ends, end)
		}
		for i := range ends {
			done := s.requeue(tx).Where("endpoint_id = ? AND event_id = ?", ends[i].ID, event.ID).Updates(s.afresh())
			if done.Error != nil {
				return done.Error
			}
			if done.RowsAffected == 0 {
				d := s.delivery(&ends[i], event)
				if err := tx.Create(&d).Error; err != nil {
					return err
				}
			}
			sent++
		}
		return s.audit(tx, scope.Agency, by, "webhook.replay", event.ID.String(), event.Type, "", s.clock.Now())
	})
	if err == nil && sent > 0 {
		s.hooks.ring()
	}
	return event, sent, err
}
