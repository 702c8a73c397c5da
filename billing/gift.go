package billing

import (
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"gorm.io/gorm"

	"refill/billing/ledger"
	"refill/billing/problem"
	"refill/models"
)

// Bounds of gifts.
const (
	MaxGift      = 1_000_000 * models.Credit // for one redemption
	MaxGiftCodes = 5_000                     // in one batch
	MaxGiftUses  = 1_000_000
	maxGiftDays  = 3650
	minCode      = 4
	maxCode      = 40
	giftLetters  = 12 // of chance in a made-up code: 60 bits
)

// GiftInput makes a gift.
type GiftInput struct {
	Name       string
	Credits    models.Credits // for each redemption
	LotDays    int            // the credits last so many days; 0: for ever
	Code       string         // one code for all; "" makes Codes of single use
	Codes      int
	Agency     string         // its id or external id: nobody else may redeem it; "" everybody
	MaxUses    int64          // the first so many agencies; 0: no limit
	MaxCredits models.Credits // in all; 0: no limit
	ExpiresAt  models.Time    // of the codes; 0: never
	Reason     string         // required
	Key        string
	By         Actor
}

func (in *GiftInput) check(now models.Time) error {
	wrong := func(code, field, format string, args ...any) error {
		return problem.New(problem.Invalid, code, format, args...).On(field)
	}
	errs := []error{checkName(in.Name)}
	if in.Credits <= 0 || in.Credits > MaxGift {
		errs = append(errs, wrong("invalid_credits", "credits", "Give an amount above 0 and up to %s credits.", MaxGift))
	}
	if in.LotDays < 0 || in.LotDays > maxGiftDays {
		errs = append(errs, wrong("invalid_days", "lot_days", "Give a number of days from 0, which is for ever, up to %d.", maxGiftDays))
	}
	if in.Code != "" {
		if n := len(normalCode(in.Code)); n < minCode || n > maxCode || len(in.Code) > 2*maxCode {
			errs = append(errs, wrong("invalid_code", "code", "A code has %d to %d letters and digits.", minCode, maxCode))
		}
	} else if in.Codes < 1 || in.Codes > MaxGiftCodes {
		errs = append(errs, wrong("invalid_codes", "codes", "Make 1 to %d codes.", MaxGiftCodes))
	}
	if in.MaxUses < 0 || in.MaxUses > MaxGiftUses {
		errs = append(errs, wrong("invalid_uses", "max_uses", "Give a number from 0, which is no limit, up to %d.", MaxGiftUses))
	}
	if in.MaxCredits != 0 && (in.MaxCredits < in.Credits || in.MaxCredits > models.MaxCharge) {
		errs = append(errs, wrong("invalid_max_credits", "max_credits", "The most in all is at least one redemption and up to %s credits; leave it empty for no limit.", mostCredits()))
	}
	if in.ExpiresAt != 0 && in.ExpiresAt <= now {
		errs = append(errs, wrong("invalid_expiry", "expires", "The codes end later than now; leave it empty for never."))
	}
	return errors.Join(append(errs, checkReason(in.Reason, "Say why in up to 500 bytes: the audit log keeps it."))...)
}

func (in *GiftInput) digest() []byte {
	return fingerprint("gift", in.Name, in.Credits.String(), fmt.Sprint(in.LotDays, in.Codes, in.MaxUses), normalCode(in.Code), in.Agency, in.MaxCredits.String(), in.ExpiresAt.RFC3339(), in.Reason)
}

// CreateGift makes a gift with its codes, once per key. Errors: invalid_*,
// reason_missing, unknown_agency, code_taken, idempotency_key_reused.
func (s *Service) CreateGift(ctx context.Context, in GiftInput) (models.Gift, error) {
	now := s.clock.Now()
	in.Name, in.Reason, in.Code, in.Agency = strings.TrimSpace(in.Name), strings.TrimSpace(in.Reason), strings.TrimSpace(in.Code), strings.TrimSpace(in.Agency)
	if err := errors.Join(checkKey(in.Key), in.check(now)); err != nil {
		return models.Gift{}, err
	}
	gift := models.Gift{
		ID: models.NewID[models.GiftID](now), Name: in.Name, Credits: in.Credits, LotDays: in.LotDays, SingleUse: in.Code == "", Codes: 1,
		MaxRedemptions: in.MaxUses, MaxCredits: in.MaxCredits, ExpiresAt: in.ExpiresAt, Reason: in.Reason, CreatedBy: string(in.By), CreatedAt: now,
		IdempotencyKey: in.Key, Fingerprint: in.digest(),
	}
	if gift.ExpiresAt == 0 {
		gift.ExpiresAt = models.Never
	}
	if gift.SingleUse {
		gift.Codes = int64(in.Codes)
	}
	err := s.once(ctx, func(tx *gorm.DB) error {
		var old models.Gift
		err := tx.Where("idempotency_key = ?", in.Key).Take(&old).Error
		if done, err := again(err, old.Fingerprint, gift.Fingerprint); done || err != nil {
			gift = old
			return err
		}
		if in.Agency != "" {
			agency, err := agencyByRef(tx, in.Agency)
			if err != nil {
				return err
			}
			gift.ForAgencyID = agency.ID
		}
		if err := tx.Create(&gift).Error; err != nil {
			return err
		}
		if err := s.makeCodes(tx, &gift, in.Code); err != nil {
			return err
		}
		return s.audit(tx, gift.ForAgencyID, in.By, "gift.create", gift.ID.String(), giftWords(&gift), in.Reason, now)
	})
	return gift, err
}

func agencyByRef(tx *gorm.DB, ref string) (models.Agency, error) {
	var out models.Agency
	q := tx.Where("external_id = ?", ref)
	if id, err := models.ParseID[models.AgencyID](ref); err == nil {
		q = tx.Where("id = ?", id)
	}
	err := q.Take(&out).Error
	if errors.Is(err, gorm.ErrRecordNotFound) {
		return out, problem.New(problem.Invalid, "unknown_agency", "There is no agency %q. Give its id, or leave it empty for everybody.", ref).On("agency")
	}
	return out, err
}

func giftWords(g *models.Gift) string {
	return fmt.Sprintf("%s: %s credits each, %d codes", g.Name, g.Credits, g.Codes)
}

// makeCodes writes the codes of a gift: the one that was chosen, or many of
// chance.
func (s *Service) makeCodes(tx *gorm.DB, gift *models.Gift, chosen string) error {
	if chosen != "" {
		code := normalCode(chosen)
		var taken int64
		if err := tx.Model(&models.GiftCode{}).Where("code = ?", code).Count(&taken).Error; err != nil {
			return err
		}
		if taken > 0 {
			return problem.New(problem.Conflict, "code_taken", "Another promotion has this code already. Choose another one.").On("code")
		}
		return tx.Create(&models.GiftCode{Code: code, GiftID: gift.ID, Shown: strings.ToUpper(chosen)}).Error
	}
	rows := make([]models.GiftCode, gift.Codes)
	for i := range rows {
		code := chance(giftLetters)
		rows[i] = models.GiftCode{Code: code, GiftID: gift.ID, Shown: code[:4] + "-" + code[4:8] + "-" + code[8:], SingleUse: true}
	}
	const perStatement = 500
	return tx.CreateInBatches(rows, perStatement).Error
}

// StopGift ends a gift: no code of it is taken any more. What was given stays.
// Again changes nothing. Errors: not_found.
func (s *Service) StopGift(ctx context.Context, id models.GiftID, by Actor) (models.Gift, error) {
	now := s.clock.Now()
	var gift models.Gift
	err := s.db.InTx(ctx, func(tx *gorm.DB) error {
		stopped := tx.Model(&models.Gift{}).Where("id = ? AND stopped_at = 0", id).Update("stopped_at", now)
		if stopped.Error != nil {
			return stopped.Error
		}
		if err := tx.Where("id = ?", id).Take(&gift).Error; err != nil {
			return missing(err, "gift")
		}
		if stopped.RowsAffected == 0 {
			return nil
		}
		return s.audit(tx, gift.ForAgencyID, by, "gift.stop", gift.ID.String(), giftWords(&gift), "", now)
	})
	return gift, err
}

// How many codes may be tried in a quarter of an hour by one agency, and from one
// address: a person mistypes a few times, and a code has 60 bits of chance. A code
// that was chosen may be guessed sooner; then these count.
const (
	maxCodesPerAgency  = 20
	maxCodesPerAddress = 60
)

// RedeemInput redeems a gift for an agency.
type RedeemInput struct {
	Account *Account // the agency's own
	Code    string
	Address string // of who asks
	Key     string // of the attempt
	By      Actor
}

// Redeemed is a gift that was redeemed.
type Redeemed struct {
	models.GiftRedemption

	Name     string
	After    models.Credits // the balance; 0 when Replayed
	Replayed bool
}

// Redeem gives an agency the credits of a code, once per gift. Of many who redeem
// the last ones at once, exactly as many are given as there are. Errors:
// unknown_gift_code, gift_ended, gift_used_up, gift_redeemed, agency_paused,
// too_many, too_many_lots, balance_too_large.
func (s *Service) Redeem(ctx context.Context, in RedeemInput) (Redeemed, error) {
	now := s.clock.Now()
	if err := checkKey(in.Key); err != nil {
		return Redeemed{}, err
	}
	if in.Account.SubAccount != nil {
		return Redeemed{}, unknownGift()
	}
	limits := []throttle{{"gift:" + in.Account.Agency.ID.String(), maxCodesPerAgency}, {"gift-from:" + network(in.Address), maxCodesPerAddress}}
	if err := s.countAttempt(ctx, limits, "Too many codes were tried. Wait 15 minutes, then try again."); err != nil {
		return Redeemed{}, err
	}
	var out Redeemed
	err := s.once(ctx, func(tx *gorm.DB) (err error) {
		out, err = s.redeem(ctx, tx, &in, now)
		return err
	})
	if err != nil {
		return Redeemed{}, err
	}
	return out, s.db.InTx(ctx, func(tx *gorm.DB) error { return forgetAttempt(tx, limits) })
}

func unknownGift() error {
	return problem.New(problem.Invalid, "unknown_gift_code", "There is no such code. Check it and try again.").On("code")
}

func (s *Service) redeem(ctx context.Context, tx *gorm.DB, in *RedeemInput, now models.Time) (Redeemed, error) {
	var out Redeemed
	agency := in.Account.Agency.ID
	var code models.GiftCode
	err := tx.Where("code = ?", normalCode(in.Code)).Take(&code).Error
	if errors.Is(err, gorm.ErrRecordNotFound) {
		return out, unknownGift()
	}
	if err != nil {
		return out, err
	}
	var gift models.Gift
	if err := tx.Where("id = ?", code.GiftID).Take(&gift).Error; err != nil {
		return out, err
	}
	if !gift.ForAgencyID.IsZero() && gift.ForAgencyID != agency {
		return out, unknownGift()
	}
	done, err := redeemedBefore(tx, in, &gift, &out)
	if done || err != nil {
		return out, err
	}
	if err := acting(tx, agency); err != nil {
		return out, err
	}
	// The gift's row makes those who redeem at once take turns.
	if refused := claimGift(tx, &gift, &code, now); refused != nil {
		if done, err := redeemedBefore(tx, in, &gift, &out); done || err != nil {
			return out, err // by this agency, while it waited
		}
		return out, refused
	}
	out.Name = gift.Name
	out.GiftRedemption = models.GiftRedemption{
		AgencyID: agency, GiftID: gift.ID, Code: code.Code, Credits: gift.Credits, ExpiresAt: models.Never, RedeemedBy: string(in.By), IdempotencyKey: in.Key, RedeemedAt: now,
	}
	if gift.LotDays > 0 {
		out.ExpiresAt = now.Add(time.Duration(gift.LotDays) * 24 * time.Hour)
	}
	key := "gift:" + gift.ID.String()
	granted, err := s.ledger.Grant(ctx, tx, ledger.GrantRequest{
		Agency: agency, Wallet: in.Account.Wallet, Source: models.SourcePromo, Credits: gift.Credits, ExpiresAt: out.ExpiresAt, Kind: "gift",
		Actor: string(in.By), Note: "Promotion: " + gift.Name, Reference: gift.ID.String(), Key: key, Fingerprint: fingerprint(key), At: now,
	})
	if err != nil {
		return out, err
	}
	out.ActID, out.After = granted.Act.ID, granted.After.Left()
	if err := tx.Create(&out.GiftRedemption).Error; err != nil {
		return out, err
	}
	if err := s.notify(tx, notice{
		agency: agency, wallet: in.Account.Wallet, event: models.NoticeGiftRedeemed, key: gift.ID.String(),
		facts: models.NoticeFacts{Credits: gift.Credits, Left: out.After, Name: gift.Name},
	}, now); err != nil {
		return out, err
	}
	return out, s.audit(tx, agency, in.By, "gift.redeem", gift.ID.String(), gift.Credits.String(), "", now)
}

// redeemedBefore finds an agency's earlier use of a gift: by the same attempt it
// is the answer, by another it is refused.
func redeemedBefore(tx *gorm.DB, in *RedeemInput, gift *models.Gift, out *Redeemed) (bool, error) {
	var old models.GiftRedemption
	err := tx.Where("agency_id = ? AND gift_id = ?", in.Account.Agency.ID, gift.ID).Take(&old).Error
	switch {
	case errors.Is(err, gorm.ErrRecordNotFound):
		return false, nil
	case err != nil:
		return false, err
	case old.IdempotencyKey != in.Key:
		return false, problem.New(problem.Conflict, "gift_redeemed", "You have redeemed this promotion already: each agency may once. The %s are in your history.", old.Credits.Counted()).On("code")
	}
	*out = Redeemed{GiftRedemption: old, Name: gift.Name, Replayed: true}
	return true, nil
}

// claimGift takes one redemption of what a gift has left.
func claimGift(tx *gorm.DB, gift *models.Gift, code *models.GiftCode, now models.Time) error {
	claimed := tx.Exec(`UPDATE gifts SET redeemed = redeemed + 1, given = given + credits WHERE id = ? AND stopped_at = 0 AND expires_at > ?
		AND (max_redemptions = 0 OR redeemed < max_redemptions) AND (max_credits = 0 OR given + credits <= max_credits)`, gift.ID, now)
	if claimed.Error != nil {
		return claimed.Error
	}
	if claimed.RowsAffected == 0 {
		if gift.StoppedAt > 0 || gift.ExpiresAt <= now {
			return problem.New(problem.Conflict, "gift_ended", "This code is over: it can't be redeemed any more.").On("code")
		}
		return usedUp()
	}
	used := tx.Exec("UPDATE gift_codes SET used = used + 1 WHERE code = ? AND (used = 0 OR NOT single_use)", code.Code)
	if used.Error == nil && used.RowsAffected == 0 {
		return usedUp()
	}
	return used.Error
}

func usedUp() error {
	return problem.New(problem.Conflict, "gift_used_up", "This code is used up: others were first.").On("code")
}

// GiftRow is a gift with whom it is for.
type GiftRow struct {
	models.Gift

	ForAgency string // name; "" everybody
	Code      string // of one that is shared
}

// GiftState is where a gift stands.
type GiftState string

// The states of a gift.
const (
	GiftOpen    GiftState = "open"
	GiftStopped GiftState = "stopped"
	GiftExpired GiftState = "expired"
	GiftUsedUp  GiftState = "used_up"
)

// State is where a gift stands at an instant.
func (g *GiftRow) State(now models.Time) GiftState {
	switch {
	case g.StoppedAt > 0:
		return GiftStopped
	case g.ExpiresAt <= now:
		return GiftExpired
	case g.MaxRedemptions > 0 && g.Redeemed >= g.MaxRedemptions, g.MaxCredits > 0 && g.Given+g.Credits > g.MaxCredits, g.SingleUse && g.Redeemed >= g.Codes:
		return GiftUsedUp
	}
	return GiftOpen
}

// giftsShown bounds the lists of gifts and of their redemptions.
const giftsShown = 200

// Gifts lists gifts, the newest first.
func (s *Service) Gifts(ctx context.Context) ([]GiftRow, error) {
	var out []GiftRow
	return out, giftRows(s.db.Read.WithContext(ctx)).Order("g.id DESC").Limit(giftsShown).Scan(&out).Error
}

func giftRows(tx *gorm.DB) *gorm.DB {
	return tx.Table("gifts g").Select("g.*, COALESCE(a.name, '') AS for_agency, COALESCE(c.shown, '') AS code").
		Joins("LEFT JOIN agencies a ON a.id = g.for_agency_id").
		Joins("LEFT JOIN gift_codes c ON c.gift_id = g.id AND NOT c.single_use")
}

// RedemptionRow is a redemption with whose it is.
type RedemptionRow struct {
	models.GiftRedemption

	Agency string // name
	Shown  string // the code as it was given out
}

// GiftPage is a gift with who redeemed it, the newest first.
type GiftPage struct {
	GiftRow

	Now         models.Time
	Redemptions []RedemptionRow
}

// Gift reads one gift. Errors: not_found.
func (s *Service) Gift(ctx context.Context, id models.GiftID) (GiftPage, error) {
	out := GiftPage{Now: s.clock.Now()}
	err := s.db.Snapshot(ctx, func(tx *gorm.DB) error {
		if err := giftRows(tx).Where("g.id = ?", id).Take(&out.GiftRow).Error; err != nil {
			return missing(err, "gift")
		}
		return tx.Table("gift_redemptions r").Select("r.*, a.name AS agency, c.shown").
			Joins("JOIN agencies a ON a.id = r.agency_id").Joins("JOIN gift_codes c ON c.code = r.code").
			Where("r.gift_id = ?", id).Order("r.redeemed_at DESC, r.agency_id").Limit(giftsShown).Scan(&out.Redemptions).Error
	})
	return out, err
}

// GiftCodesCSV exports the codes of a gift, one line each, with who used it.
func (s *Service) GiftCodesCSV(ctx context.Context, id models.GiftID) Export {
	return func(w io.Writer) error {
		out := csv.NewWriter(w)
		out.UseCRLF = true
		if err := out.Write([]string{"code", "used", "agency", "redeemed_utc"}); err != nil {
			return err
		}
		rows, err := s.db.Read.WithContext(ctx).Raw(`SELECT c.shown, c.used, COALESCE(a.name, ''), COALESCE(r.redeemed_at, 0) FROM gift_codes c
			LEFT JOIN gift_redemptions r ON r.gift_id = c.gift_id AND r.code = c.code
			LEFT JOIN agencies a ON a.id = r.agency_id WHERE c.gift_id = ? ORDER BY c.code, r.redeemed_at`, id).Rows()
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var shown, agency string
			var used int64
			var at models.Time
			if err := rows.Scan(&shown, &used, &agency, &at); err != nil {
				return err
			}
			when := ""
			if at > 0 {
				when = at.RFC3339()
			}
			if err := out.Write([]string{safe(shown), strconv.FormatInt(used, 10), safe(agency), when}); err != nil {
				return err
			}
		}
		out.Flush()
		return errors.Join(rows.Err(), out.Error())
	}
}
