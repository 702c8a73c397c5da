package billing

import (
	"context"
	"errors"
	"strings"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"refill/billing/ledger"
	"refill/billing/problem"
	"refill/models"
)

// The settings that say how much may be given or taken by hand at once.
const (
	settingAdjustmentLimit    = "adjustment_limit"     // by one person alone
	settingAdjustmentLimitAPI = "adjustment_limit_api" // by a program; "" has none
)

// DefaultAdjustmentLimit is how many credits one person gives or takes by hand
// without a second person, until an admin sets another number.
const DefaultAdjustmentLimit = 50_000 * models.Credit

// AdjustmentLimits are how much may be given or taken by hand at once.
type AdjustmentLimits struct {
	Person  models.Credits // by one admin alone; 0: never
	Program models.Credits // with a platform key; meaningless without Limited
	Limited bool           // programs have a limit
}

// AdjustmentLimits reads the limits in force.
func (s *Service) AdjustmentLimits(ctx context.Context) (AdjustmentLimits, error) {
	return adjustmentLimits(s.db.Read.WithContext(ctx))
}

func adjustmentLimits(tx *gorm.DB) (AdjustmentLimits, error) {
	out := AdjustmentLimits{Person: DefaultAdjustmentLimit}
	var rows []models.Setting
	if err := tx.Where("name IN ?", []string{settingAdjustmentLimit, settingAdjustmentLimitAPI}).Find(&rows).Error; err != nil {
		return out, err
	}
	for _, r := range rows {
		if r.Value == "" {
			continue
		}
		limit, err := models.ParseCredits(r.Value)
		if err != nil {
			return out, err
		}
		if r.Name == settingAdjustmentLimit {
			out.Person = limit
		} else {
			out.Program, out.Limited = limit, true
		}
	}
	return out, nil
}

func (l AdjustmentLimits) words() string {
	if !l.Limited {
		return l.Person.String() + " by one person, programs without limit"
	}
	return l.Person.String() + " by one person, " + l.Program.String() + " by a program"
}

// SetAdjustmentLimits changes the limits from the next adjustment on. Errors:
// invalid_limit on limit or program_limit.
func (s *Service) SetAdjustmentLimits(ctx context.Context, in AdjustmentLimits, by Actor) error {
	now := s.clock.Now()
	check := func(c models.Credits, field string) error {
		if c < 0 || c > models.MaxCharge {
			return problem.New(problem.Invalid, "invalid_limit", "Give a limit from 0 up to %s credits.", mostCredits()).On(field)
		}
		return nil
	}
	if err := errors.Join(check(in.Person, "limit"), check(in.Program, "program_limit")); err != nil {
		return err
	}
	return s.db.InTx(ctx, func(tx *gorm.DB) error {
		was, err := adjustmentLimits(tx)
		if err != nil || was == in {
			return err
		}
		program := ""
		if in.Limited {
			program = in.Program.String()
		}
		for name, value := range map[string]string{settingAdjustmentLimit: in.Person.String(), settingAdjustmentLimitAPI: program} {
			if err := tx.Save(&models.Setting{Name: name, Value: value}).Error; err != nil {
				return err
			}
		}
		return s.audit(tx, models.AgencyID{}, by, "adjustment.limit", settingAdjustmentLimit, was.words()+" → "+in.words(), "", now)
	})
}

// AdjustInput gives (> 0) or takes (< 0) credits by hand.
type AdjustInput struct {
	Agency    models.AgencyID
	Wallet    models.WalletID
	Credits   models.Credits
	Source    models.Source // of given credits: adjustment, promo or referral
	ExpiresAt models.Time   // of given credits; 0: never
	Reason    string        // required
	Hidden    bool          // the account's history tells no reason; the audit log always does
	Program   bool          // a platform key asks: its limit holds
	Key       string
	By        Actor
}

func (in *AdjustInput) check() error {
	if err := checkKey(in.Key); err != nil {
		return err
	}
	if err := checkReason(in.Reason, "Say why in up to 500 bytes: the reason is kept with the credits."); err != nil {
		return err
	}
	if in.Credits == 0 || max(in.Credits, -in.Credits) > models.MaxCharge {
		return problem.New(problem.Invalid, "invalid_credits", "Give an amount other than 0, up to %s credits.", mostCredits()).On("credits")
	}
	if in.Source == "" {
		in.Source = models.SourceAdjustment
	}
	if in.Source.Bucket() != models.BucketBonus {
		return problem.New(problem.Invalid, "invalid_adjustment_type", "Credits given by hand are an adjustment, promo or referral.").On("type")
	}
	return nil
}

func (in *AdjustInput) digest() []byte {
	parts := []string{"adjust", in.Wallet.String(), in.Credits.String(), string(in.Source), in.Reason}
	if in.Hidden { // otherwise as before there was a choice
		parts = append(parts, "hidden")
	}
	if in.ExpiresAt != 0 {
		parts = append(parts, "until "+in.ExpiresAt.RFC3339())
	}
	return fingerprint(parts...)
}

// Adjust changes a balance by hand, with a reason, and writes the audit log.
// Errors: reason_missing, invalid_credits, invalid_adjustment_type,
// invalid_expiry, insufficient_credits, second_person_needed (a program above its limit).
func (s *Service) Adjust(ctx context.Context, in AdjustInput) (ledger.Granted, error) {
	now := s.clock.Now()
	if err := in.check(); err != nil {
		return ledger.Granted{}, err
	}
	var out ledger.Granted
	err := s.once(ctx, func(tx *gorm.DB) (err error) {
		out, err = s.adjust(ctx, tx, &in, now)
		return err
	})
	return out, err
}

// adjust books an adjustment once per key.
func (s *Service) adjust(ctx context.Context, tx *gorm.DB, in *AdjustInput, now models.Time) (ledger.Granted, error) {
	digest := in.digest()
	act, done, err := s.ledger.ActByKey(tx, in.Agency, in.Key, digest)
	if done || err != nil {
		return ledger.Granted{Act: act, Replayed: done}, err
	}
	if in.Program {
		limits, err := adjustmentLimits(tx)
		if err != nil {
			return ledger.Granted{}, err
		}
		if limits.Limited && max(in.Credits, -in.Credits) > limits.Program {
			return ledger.Granted{}, problem.New(problem.Conflict, "second_person_needed",
				"A program may give or take up to %s at once. For more, an admin asks on the agency's page and another admin approves.", limits.Program.Counted()).On("credits")
		}
	}
	note := in.Reason
	if in.Hidden {
		note = ""
	}
	if in.Credits > 0 && in.ExpiresAt != 0 && in.ExpiresAt <= now {
		return ledger.Granted{}, problem.New(problem.Invalid, "invalid_expiry", "The credits would end before they are given. Choose a later day, or leave it empty.").On("expires")
	}
	var out ledger.Granted
	if in.Credits > 0 {
		out, err = s.ledger.Grant(ctx, tx, ledger.GrantRequest{
			Agency: in.Agency, Wallet: in.Wallet, Source: in.Source, Credits: in.Credits, ExpiresAt: in.ExpiresAt, Kind: "adjust",
			Actor: string(in.By), Note: note, Key: in.Key, Fingerprint: digest, At: now,
		})
	} else {
		out, err = s.ledger.Withdraw(ctx, tx, ledger.AdjustRequest{
			Agency: in.Agency, Wallet: in.Wallet, Credits: -in.Credits, Actor: string(in.By), Note: note,
			Key: in.Key, Fingerprint: digest, At: now,
		})
	}
	if err != nil {
		return ledger.Granted{}, err
	}
	return out, s.audit(tx, in.Agency, in.By, "credits.adjust", in.Wallet.String(), in.Credits.String(), in.Reason, now)
}

// Adjusted is what an admin's adjustment came to: booked, or waiting for a
// second person.
type Adjusted struct {
	Granted  ledger.Granted
	Waiting  *models.AdjustmentRequest // nil: booked
	Replayed bool
}

// AskAdjustment is an admin's adjustment: booked at once up to the limit, and
// above it kept for another admin to decide. Errors: as Adjust.
func (s *Service) AskAdjustment(ctx context.Context, in AdjustInput) (Adjusted, error) {
	now := s.clock.Now()
	in.Reason = strings.TrimSpace(in.Reason)
	if err := in.check(); err != nil {
		return Adjusted{}, err
	}
	var out Adjusted
	err := s.once(ctx, func(tx *gorm.DB) error {
		out = Adjusted{}
		var old models.AdjustmentRequest
		err := tx.Where("agency_id = ? AND idempotency_key = ?", in.Agency, in.Key).Take(&old).Error
		if done, err := again(err, old.Fingerprint, in.digest()); done || err != nil {
			out.Waiting, out.Replayed = &old, done
			return err
		}
		act, done, err := s.ledger.ActByKey(tx, in.Agency, in.Key, in.digest())
		if done || err != nil {
			out.Granted, out.Replayed = ledger.Granted{Act: act, Replayed: done}, done
			return err
		}
		limits, err := adjustmentLimits(tx)
		if err != nil {
			return err
		}
		if max(in.Credits, -in.Credits) <= limits.Person {
			out.Granted, err = s.adjust(ctx, tx, &in, now)
			return err
		}
		out.Waiting, err = s.keepRequest(tx, &in, now)
		return err
	})
	return out, err
}

func (s *Service) keepRequest(tx *gorm.DB, in *AdjustInput, now models.Time) (*models.AdjustmentRequest, error) {
	var there int64
	if err := tx.Model(&models.Wallet{}).Where("agency_id = ? AND id = ?", in.Agency, in.Wallet).Count(&there).Error; err != nil {
		return nil, err
	}
	if there == 0 {
		return nil, problem.Missing("wallet")
	}
	row := &models.AdjustmentRequest{
		AgencyID: in.Agency, ID: models.NewID[models.AdjustmentID](now), WalletID: in.Wallet, Credits: in.Credits, Source: in.Source, ExpiresAt: in.ExpiresAt,
		Reason: in.Reason, Shown: !in.Hidden, State: models.AdjustmentPending, RequestedBy: string(in.By),
		IdempotencyKey: in.Key, Fingerprint: in.digest(), CreatedAt: now,
	}
	if err := tx.Create(row).Error; err != nil {
		return nil, err
	}
	return row, s.audit(tx, in.Agency, in.By, "adjustment.request", row.ID.String(), in.Credits.String(), in.Reason, now)
}

// Decision is what a second person says to an adjustment.
type Decision struct {
	Agency  models.AgencyID
	Request models.AdjustmentID
	Approve bool
	By      Actor // never the one who asked
}

// DecideAdjustment approves a waiting adjustment, which books it, or declines
// it. Deciding the same again changes nothing, whoever does it. Errors:
// not_found, own_request, already_decided, insufficient_credits (it stays
// waiting).
func (s *Service) DecideAdjustment(ctx context.Context, d Decision) (row models.AdjustmentRequest, replayed bool, err error) {
	now := s.clock.Now()
	err = s.once(ctx, func(tx *gorm.DB) error {
		row, replayed = models.AdjustmentRequest{}, false
		// The row lock makes two who decide at once take turns.
		if err := tx.Clauses(clause.Locking{Strength: "UPDATE"}).
			Where("agency_id = ? AND id = ?", d.Agency, d.Request).Take(&row).Error; err != nil {
			return missing(err, "adjustment")
		}
		want := models.AdjustmentDeclined
		if d.Approve {
			want = models.AdjustmentApproved
		}
		switch {
		case row.State == want:
			replayed = true
			return nil
		case row.State != models.AdjustmentPending:
			return problem.New(problem.Conflict, "already_decided", "This adjustment was %s meanwhile by %s; nothing was changed.", row.State, Actor(row.DecidedBy).name())
		case row.RequestedBy == string(d.By):
			return problem.New(problem.Forbidden, "own_request", "You asked for this adjustment. Another admin decides it.")
		}
		row.State, row.DecidedBy, row.DecidedAt = want, string(d.By), now
		if d.Approve {
			granted, err := s.adjust(ctx, tx, &AdjustInput{
				Agency: row.AgencyID, Wallet: row.WalletID, Credits: row.Credits, Source: row.Source, ExpiresAt: row.ExpiresAt, Reason: row.Reason, Hidden: !row.Shown,
				Key: "adjustment:" + row.ID.String(), By: Actor(row.RequestedBy),
			}, now)
			if err != nil {
				return err
			}
			row.ActID = granted.Act.ID
		}
		if err := tx.Model(&models.AdjustmentRequest{}).Where("agency_id = ? AND id = ? AND state = ?", row.AgencyID, row.ID, models.AdjustmentPending).
			Updates(map[string]any{"state": row.State, "decided_by": row.DecidedBy, "decided_at": row.DecidedAt, "act_id": row.ActID}).Error; err != nil {
			return err
		}
		action := "adjustment.decline"
		if d.Approve {
			action = "adjustment.approve"
		}
		return s.audit(tx, row.AgencyID, d.By, action, row.ID.String(), row.Credits.String(), row.Reason, now)
	})
	return row, replayed, err
}

// name is an actor as people are told: an e-mail address without "user:".
func (a Actor) name() string { return strings.TrimPrefix(string(a), "user:") }

// AdjustmentRow is a request with whose balance it is about.
type AdjustmentRow struct {
	models.AdjustmentRequest

	Agency     string // name
	SubAccount string // name; "" the agency's own wallet
}

// adjustmentsShown bounds the list of decided adjustments.
const adjustmentsShown = 100

// Adjustments lists what waits for a second person, the oldest first, then what
// was decided, the newest first and a hundred of them.
func (s *Service) Adjustments(ctx context.Context) (waiting, decided []AdjustmentRow, err error) {
	err = s.db.Snapshot(ctx, func(tx *gorm.DB) error {
		if err := adjustmentRows(tx).Where("r.state = ?", models.AdjustmentPending).Order("r.id").Limit(MaxPage).Scan(&waiting).Error; err != nil {
			return err
		}
		return adjustmentRows(tx).Where("r.state <> ?", models.AdjustmentPending).Order("r.id DESC").Limit(adjustmentsShown).Scan(&decided).Error
	})
	return waiting, decided, err
}

// Adjustment reads one request. Errors: not_found.
func (s *Service) Adjustment(ctx context.Context, agency models.AgencyID, id models.AdjustmentID) (AdjustmentRow, error) {
	var out AdjustmentRow
	return out, missing(adjustmentRows(s.db.Read.WithContext(ctx)).Where("r.agency_id = ? AND r.id = ?", agency, id).Take(&out).Error, "adjustment")
}

func adjustmentRows(tx *gorm.DB) *gorm.DB {
	return tx.Table("adjustment_requests r").Select("r.*, a.name AS agency, COALESCE(c.name, '') AS sub_account").
		Joins("JOIN agencies a ON a.id = r.agency_id").
		Joins("LEFT JOIN sub_accounts c ON c.agency_id = r.agency_id AND c.wallet_id = r.wallet_id")
}
