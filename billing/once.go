package billing

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"gorm.io/gorm"

	"refill/billing/problem"
	"refill/billing/ratecard"
	"refill/models"
)

// What programs create keeps the idempotency key and a fingerprint of the
// request on its own row, as charges do: the same key and request finds the row
// of the first time. A refusal binds nothing.

// creationKey is what a row keeps of the request that made it; people's requests
// have no key.
func creationKey(key string, asked []byte) (*string, []byte) {
	if key == "" {
		return nil, nil
	}
	return &key, asked
}

// again finds what a key made before: true when it was the same request.
func again(err error, kept, asked []byte) (bool, error) {
	switch {
	case errors.Is(err, gorm.ErrRecordNotFound):
		return false, nil
	case err != nil:
		return false, err
	case !bytes.Equal(kept, asked):
		return false, problem.KeyReused()
	}
	return true, nil
}

// once runs a verb that looks its idempotency key up and then books under it.
// Sent twice at once, the second meets the first's row only when it writes:
// run again, it finds what the key did.
func (s *Service) once(ctx context.Context, verb func(tx *gorm.DB) error) error {
	err := s.db.InTx(ctx, verb)
	if models.IsDuplicate(err) {
		err = s.db.InTx(ctx, verb)
	}
	return err
}

func (in *AgencyInput) digest() []byte {
	parts := []string{"agency", in.ExternalID, in.Name, in.Plan, in.TimeZone}
	if in.ReferralCode != "" { // otherwise as before there were codes
		parts = append(parts, normalCode(in.ReferralCode))
	}
	return fingerprint(parts...)
}

// CreateAgencyOnce is CreateAgency under its idempotency key; replayed tells
// that the key had made the agency before. Errors: as CreateAgency, and
// idempotency_key_reused.
func (s *Service) CreateAgencyOnce(ctx context.Context, in AgencyInput) (agency models.Agency, replayed bool, err error) {
	if err := checkKey(in.Key); err != nil {
		return agency, false, err
	}
	find := func() (bool, error) {
		err := s.db.Write.WithContext(ctx).Where("idempotency_key = ?", in.Key).Take(&agency).Error
		return again(err, agency.Fingerprint, in.digest())
	}
	if done, err := find(); done || err != nil {
		return agency, done, err
	}
	made, err := s.CreateAgency(ctx, in)
	if problem.Is(err, "external_id_taken") || models.IsDuplicate(err) { // perhaps by this very key, at the same time
		if done, other := find(); done || other != nil {
			return agency, done, other
		}
	}
	return made, false, err
}

func (in *SubAccountInput) digest() []byte {
	parts := []string{"sub_account", in.ExternalID, in.Name, string(in.Funding), in.PoolCap.String(), string(in.PoolEvery), in.TimeZone}
	if in.Excess != 0 {
		parts = append(parts, in.Excess.String())
	}
	return fingerprint(parts...)
}

// CreateSubAccountOnce is CreateSubAccount under its idempotency key. Errors: as
// CreateSubAccount, and idempotency_key_reused.
func (s *Service) CreateSubAccountOnce(ctx context.Context, scope Scope, in SubAccountInput) (sub models.SubAccount, replayed bool, err error) {
	if err := checkKey(in.Key); err != nil {
		return sub, false, err
	}
	if !scope.Covers(in.Agency) {
		return sub, false, problem.Missing("agency")
	}
	if in.Funding == "" {
		in.Funding = models.Prepaid
	}
	if in.PoolEvery == "" {
		in.PoolEvery = models.PoolCycle
	}
	find := func() (bool, error) {
		err := s.db.Write.WithContext(ctx).Where("agency_id = ? AND idempotency_key = ?", in.Agency, in.Key).Take(&sub).Error
		return again(err, sub.Fingerprint, in.digest())
	}
	if done, err := find(); done || err != nil {
		return sub, done, err
	}
	made, err := s.CreateSubAccount(ctx, scope, in)
	if problem.Is(err, "external_id_taken") || models.IsDuplicate(err) {
		if done, other := find(); done || other != nil {
			return sub, done, other
		}
	}
	return made, false, err
}

// PublishInput makes the next version of a rate card under a key.
type PublishInput struct {
	Card        models.RateCardID
	Rates       []ratecard.Rate
	EffectiveAt models.Time // 0: now
	After       int         // the newest version when the edit began; 0: whatever is newest
	Note        string
	Key         string
	By          Actor
}

// PublishRatesOnce is PublishRates under an idempotency key. Errors: as
// PublishRates, published_meanwhile and idempotency_key_reused.
func (s *Service) PublishRatesOnce(ctx context.Context, in PublishInput) (ratecard.Version, bool, error) {
	now := s.clock.Now()
	if err := checkKey(in.Key); err != nil {
		return ratecard.Version{}, false, err
	}
	if len(in.Note) > 500 {
		return ratecard.Version{}, false, problem.New(problem.Invalid, "note_too_long", "A note has at most 500 bytes.").On("note")
	}
	body, err := json.Marshal(in.Rates)
	if err != nil {
		return ratecard.Version{}, false, fmt.Errorf("write rates: %w", err)
	}
	asked := fingerprint("rates", in.Card.String(), string(body), in.EffectiveAt.RFC3339(), in.Note)
	v, replayed := ratecard.Version{Card: in.Card, EffectiveAt: in.EffectiveAt, Rates: in.Rates}, false
	err = s.db.InTx(ctx, func(tx *gorm.DB) error {
		var old models.RateCardVersion
		err := tx.Where("card_id = ? AND idempotency_key = ?", in.Card, in.Key).Take(&old).Error
		if replayed, err = again(err, old.Fingerprint, asked); replayed || err != nil {
			v.Number, v.EffectiveAt = old.Number, old.EffectiveAt
			return err
		}
		if v.EffectiveAt == 0 {
			v.EffectiveAt = now
		}
		if v.EffectiveAt < now {
			return problem.New(problem.Invalid, "effective_in_past", "A version takes effect now or later: charges already made keep their price.").On("effective_at")
		}
		v.Number, err = s.publish(tx, models.RateCardVersion{
			CardID: in.Card, EffectiveAt: v.EffectiveAt, Note: in.Note, CreatedBy: string(in.By), CreatedAt: now,
			IdempotencyKey: &in.Key, Fingerprint: asked,
		}, in.Rates)
		if err == nil && in.After > 0 && v.Number != in.After+1 { // looked at here, nobody can come between
			err = publishedMeanwhile("rate card")
		}
		return err
	})
	if models.IsDuplicate(err) && in.After > 0 {
		err = publishedMeanwhile("rate card")
	} else if models.IsDuplicate(err) {
		err = problem.New(problem.Conflict, "published_meanwhile", "Another version was published at the same moment; send this again.").Because(err)
	}
	s.cards.forget()
	return v, replayed, err
}
