package billing

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"time"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"refill/billing/ledger"
	"refill/billing/problem"
	"refill/models"
)

// An agency that brings another one here is given credits once, when the other's
// first payment has cleared. Like a purchase, the reward follows from how that
// payment stands now: what goes back takes its part of the reward along, and what
// comes again brings it. docs/decisions/0019 says why.

// The settings of referrals.
const (
	settingReferralCredits = "referral_credits"
	settingReferralMonth   = "referral_month_cap"
	settingReferralTotal   = "referral_total_cap"
)

// ReferralTerms are what a referral earns, and how many one agency is rewarded
// for.
type ReferralTerms struct {
	Credits  models.Credits // 0: nobody is rewarded, and codes are not taken
	PerMonth int64          // in a calendar month of the referrer's zone; 0: no limit
	InAll    int64          // 0: no limit
}

// What referrals earn until an admin sets something else.
const (
	defaultReferralCredits = 2_000 * models.Credit
	defaultReferralMonth   = 10
	defaultReferralTotal   = 100
	maxReferralCap         = 1_000_000
)

// ReferralTerms reads the terms in force.
func (s *Service) ReferralTerms(ctx context.Context) (ReferralTerms, error) {
	return referralTerms(s.db.Read.WithContext(ctx))
}

func referralTerms(tx *gorm.DB) (ReferralTerms, error) {
	out := ReferralTerms{Credits: defaultReferralCredits, PerMonth: defaultReferralMonth, InAll: defaultReferralTotal}
	var rows []models.Setting
	if err := tx.Where("name IN ?", []string{settingReferralCredits, settingReferralMonth, settingReferralTotal}).Find(&rows).Error; err != nil {
		return out, err
	}
	for _, r := range rows {
		var err error
		switch r.Name {
		case settingReferralCredits:
			out.Credits, err = models.ParseCredits(r.Value)
		case settingReferralMonth:
			out.PerMonth, err = strconv.ParseInt(r.Value, 10, 64)
		case settingReferralTotal:
			out.InAll, err = strconv.ParseInt(r.Value, 10, 64)
		}
		if err != nil {
			return out, fmt.Errorf("setting %s: %w", r.Name, err)
		}
	}
	return out, nil
}

func (t ReferralTerms) words() string {
	limit := func(n int64) string {
		if n == 0 {
			return "no limit"
		}
		return strconv.FormatInt(n, 10)
	}
	return t.Credits.String() + " credits, " + limit(t.PerMonth) + " a month, " + limit(t.InAll) + " in all"
}

// SetReferralTerms changes the terms: the credits for those who join from now on,
// the limits for every payment that clears from now on. Errors: invalid_credits,
// invalid_cap on per_month or in_all.
func (s *Service) SetReferralTerms(ctx context.Context, in ReferralTerms, by Actor) error {
	now := s.clock.Now()
	checkCap := func(n int64, field string) error {
		if n < 0 || n > maxReferralCap {
			return problem.New(problem.Invalid, "invalid_cap", "Give a number from 0, which is no limit, up to %d.", maxReferralCap).On(field)
		}
		return nil
	}
	if in.Credits < 0 || in.Credits > MaxGift {
		return problem.New(problem.Invalid, "invalid_credits", "Give an amount from 0, which turns referrals off, up to %s credits.", MaxGift).On("credits")
	}
	if err := errors.Join(checkCap(in.PerMonth, "per_month"), checkCap(in.InAll, "in_all")); err != nil {
		return err
	}
	return s.db.InTx(ctx, func(tx *gorm.DB) error {
		was, err := referralTerms(tx)
		if err != nil || was == in {
			return err
		}
		for name, value := range map[string]string{
			settingReferralCredits: in.Credits.String(), settingReferralMonth: strconv.FormatInt(in.PerMonth, 10), settingReferralTotal: strconv.FormatInt(in.InAll, 10),
		} {
			if err := tx.Save(&models.Setting{Name: name, Value: value}).Error; err != nil {
				return err
			}
		}
		return s.audit(tx, models.AgencyID{}, by, "referral.terms", settingReferralCredits, was.words()+" → "+in.words(), "", now)
	})
}

// plainLetters are those that are not taken for one another.
const plainLetters = "23456789ABCDEFGHJKLMNPQRSTUVWXYZ"

// chance is n letters of chance.
func chance(n int) string {
	b := make([]byte, n)
	_, _ = rand.Read(b) // never fails since Go 1.24
	for i := range b {
		b[i] = plainLetters[int(b[i])%len(plainLetters)] // 256 is a multiple of 32
	}
	return string(b)
}

// normalCode is a code as it is kept, however it was typed: capitals and digits.
func normalCode(typed string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z':
			return r - 'a' + 'A'
		case r >= 'A' && r <= 'Z', r >= '0' && r <= '9':
			return r
		}
		return -1
	}, typed)
}

// How a referral code is made up: of the agency's name, and so much of chance.
const (
	codeName   = 12
	codeChance = 4
)

// ReferralCode is an agency's code, made the first time it is asked for.
func (s *Service) ReferralCode(ctx context.Context, id models.AgencyID) (string, error) {
	var row models.ReferralCode
	err := s.db.Read.WithContext(ctx).Where("agency_id = ?", id).Take(&row).Error
	if err == nil || !errors.Is(err, gorm.ErrRecordNotFound) {
		return row.Code, err
	}
	agency, err := s.Agency(ctx, id)
	if err != nil {
		return "", err
	}
	err = s.once(ctx, func(tx *gorm.DB) error {
		err := tx.Where("agency_id = ?", id).Take(&row).Error
		if err == nil || !errors.Is(err, gorm.ErrRecordNotFound) {
			return err
		}
		name := normalCode(agency.ExternalID)
		row = models.ReferralCode{Code: name[:min(len(name), codeName)] + chance(codeChance), AgencyID: id, CreatedAt: s.clock.Now()}
		return tx.Create(&row).Error
	})
	return row.Code, err
}

// ReferralOffer is whose code it is, and what it earns them.
type ReferralOffer struct {
	Agency  models.Agency
	Code    string
	Credits models.Credits
}

// ReferralOffer finds the agency of a code. Errors: unknown_referral_code,
// referrals_off.
func (s *Service) ReferralOffer(ctx context.Context, code string) (ReferralOffer, error) {
	return referralOffer(s.db.Read.WithContext(ctx), code)
}

func referralOffer(tx *gorm.DB, code string) (ReferralOffer, error) {
	var out ReferralOffer
	var row models.ReferralCode
	err := tx.Where("code = ?", normalCode(code)).Take(&row).Error
	if errors.Is(err, gorm.ErrRecordNotFound) {
		return out, problem.New(problem.Invalid, "unknown_referral_code", "There is no such referral code. Check it, or leave it empty.").On("referral_code")
	}
	if err != nil {
		return out, err
	}
	terms, err := referralTerms(tx)
	if err != nil {
		return out, err
	}
	if terms.Credits == 0 {
		return out, problem.New(problem.Invalid, "referrals_off", "Referrals are not rewarded at the moment. Leave the code empty.").On("referral_code")
	}
	out.Code, out.Credits = row.Code, terms.Credits
	return out, tx.Where("id = ?", row.AgencyID).Take(&out.Agency).Error
}

// join notes whose code a new agency came with. Errors: as referralOffer, and
// self_referral.
func (s *Service) join(tx *gorm.DB, agency *models.Agency, in *AgencyInput, now models.Time) error {
	if in.ReferralCode == "" {
		return nil
	}
	offer, err := referralOffer(tx, in.ReferralCode)
	if err != nil {
		return err
	}
	if in.OwnerEmail != "" {
		var team int64
		if err := tx.Table("members m").Joins("JOIN users u ON u.id = m.user_id").
			Where("m.agency_id = ? AND m.role <> ? AND u.email = ?", offer.Agency.ID, models.RoleClient, normalEmail(in.OwnerEmail)).Count(&team).Error; err != nil {
			return err
		}
		if team > 0 {
			return problem.New(problem.Conflict, "self_referral", "The owner of the new agency is one of %s's own people: nobody refers themselves. Leave the code empty.", offer.Agency.Name).On("referral_code")
		}
	}
	if err := tx.Create(&models.ReferredAgency{AgencyID: agency.ID, ReferrerID: offer.Agency.ID, JoinedAt: now}).Error; err != nil {
		return err
	}
	return tx.Create(&models.Referral{
		AgencyID: offer.Agency.ID, ReferredID: agency.ID, Credits: offer.Credits, State: models.ReferralWaiting, JoinedAt: now,
	}).Error
}

// stirReferral notes, in the transaction that books it, that a payment of an
// agency changed. What it means for who referred it is worked out after the
// commit, in the house of the referrer.
func stirReferral(tx *gorm.DB, agency models.AgencyID, now models.Time) error {
	by, err := referrerOf(tx, agency)
	if err != nil || by.IsZero() {
		return err
	}
	return tx.Model(&models.Referral{}).Where("agency_id = ? AND referred_id = ?", by, agency).Update("stirred_at", now).Error
}

func referrerOf(tx *gorm.DB, agency models.AgencyID) (models.AgencyID, error) {
	var row models.ReferredAgency
	return row.ReferrerID, tx.Where("agency_id = ?", agency).Limit(1).Find(&row).Error
}

// knowPayer notes something by which who pays for an agency can be told.
func knowPayer(tx *gorm.DB, agency models.AgencyID, kind, id string, now models.Time) error {
	if id == "" {
		return nil
	}
	return tx.Clauses(clause.OnConflict{DoNothing: true}).Create(&models.PayerMark{AgencyID: agency, Mark: kind + ":" + id, SeenAt: now}).Error
}

// settleReferralOf settles the referral of an agency whose payment was just
// booked, if it came with a code. What goes wrong is the clock's to do again.
func (s *Service) settleReferralOf(ctx context.Context, agency models.AgencyID) {
	by, err := referrerOf(s.db.Write.WithContext(ctx), agency)
	if err == nil && !by.IsZero() {
		err = s.settleReferral(ctx, by, agency, s.clock.Now())
	}
	if err != nil {
		s.log.LogAttrs(ctx, slog.LevelError, "settle a referral", slog.String("referred", agency.String()), slog.Any("error", err))
	}
}

// referralsDue settles the referrals that a payment stirred.
func (s *Service) referralsDue(ctx context.Context, now models.Time) error {
	var due []models.Referral
	if err := s.db.Read.WithContext(ctx).Where("stirred_at > 0 AND stirred_at <= ?", now).Order("stirred_at").Limit(pollBatch).Find(&due).Error; err != nil {
		return err
	}
	var errs []error
	for i := range due {
		if err := s.settleReferral(ctx, due[i].AgencyID, due[i].ReferredID, now); err != nil {
			errs = append(errs, fmt.Errorf("referral of %s by %s: %w", due[i].ReferredID, due[i].AgencyID, err))
		}
	}
	return errors.Join(errs...)
}

// rewardRetry is when a reward that does not fit into its wallet is tried again.
const rewardRetry = time.Hour

// settleReferral brings a referral and its reward to where the referred agency's
// first payment stands. It may run any number of times, at once.
func (s *Service) settleReferral(ctx context.Context, referrer, referred models.AgencyID, now models.Time) error {
	err := s.db.InTx(ctx, func(tx *gorm.DB) error {
		var house models.Agency
		// The referrer first: two rewards that are earned at once count each other.
		if err := tx.Clauses(clause.Locking{Strength: "NO KEY UPDATE"}).Where("id = ?", referrer).Take(&house).Error; err != nil {
			return err
		}
		var r models.Referral
		found := tx.Clauses(clause.Locking{Strength: "NO KEY UPDATE"}).
			Where("agency_id = ? AND referred_id = ? AND stirred_at > 0", referrer, referred).Limit(1).Find(&r)
		if found.Error != nil || found.RowsAffected == 0 {
			return found.Error // settled meanwhile
		}
		r.StirredAt = 0
		paid, err := rewardedPayment(tx, &r)
		if err != nil {
			return err
		}
		if r.State == models.ReferralWaiting && paid.earns(r.Credits) {
			if err := s.decideReferral(ctx, tx, &house, &r, paid, now); err != nil {
				return err
			}
		}
		if r.State == models.ReferralEarned {
			if err := s.followPayment(ctx, tx, &house, &r, &paid.standing, now); err != nil {
				return err
			}
		}
		return tx.Where("agency_id = ? AND referred_id = ?", r.AgencyID, r.ReferredID).Select("*").Updates(&r).Error
	})
	if refused := problem.Of(err); refused != nil && (refused.Code == "too_many_lots" || refused.Code == "balance_too_large") {
		return s.db.Write.WithContext(ctx).Model(&models.Referral{}).
			Where("agency_id = ? AND referred_id = ?", referrer, referred).Update("stirred_at", now.Add(rewardRetry)).Error
	}
	return err
}

// clearedPayment is a payment whose money is there, as it stands now.
type clearedPayment struct {
	ref      string // our purchase, or Stripe's invoice; "": there is none
	paidAt   models.Time
	standing ledger.Standing
}

// earns tells whether some of a reward follows from the payment now. One that is given
// back before it was looked at may come again, and nobody is told of it until then.
func (p *clearedPayment) earns(reward models.Credits) bool {
	if p.ref == "" {
		return false
	}
	revoked, frozen := p.standing.Target(reward)
	return revoked+frozen < reward
}

// rewardedPayment is the payment that a referral counts: the one it was decided
// for, else the first that cleared. A trial pays nothing and counts nothing.
func rewardedPayment(tx *gorm.DB, r *models.Referral) (clearedPayment, error) {
	var out clearedPayment
	packs := tx.Where("agency_id = ? AND package_id IS NULL AND credited_at > 0 AND paid > 0", r.ReferredID)
	plans := tx.Where("agency_id = ?", r.ReferredID)
	if r.Payment != "" {
		plans = plans.Where("invoice = ?", r.Payment)
		id, err := models.ParseID[models.PurchaseID](r.Payment)
		if err != nil {
			id = models.PurchaseID{} // an invoice
		}
		packs = packs.Where("id = ?", id)
	}
	var pack []models.Purchase
	if err := packs.Order("paid_at, id").Limit(1).Find(&pack).Error; err != nil {
		return out, err
	}
	var plan []models.PlanPayment
	if err := plans.Order("paid_at, invoice").Limit(1).Find(&plan).Error; err != nil {
		return out, err
	}
	for i := range pack {
		p := &pack[i]
		out = clearedPayment{p.ID.String(), p.PaidAt, standingOfPayment(p)}
	}
	for i := range plan {
		p := &plan[i]
		if out.ref == "" || p.PaidAt < out.paidAt {
			out = clearedPayment{p.Invoice, p.PaidAt, ledger.Standing{Paid: p.Amount, Refunded: p.Refunded, Disputed: p.DisputeHeld, Lost: p.DisputeLost}}
		}
	}
	return out, nil
}

// decideReferral rewards a referral whose payment has cleared, unless its two
// sides are one or the referrer has had all that one agency gets.
func (s *Service) decideReferral(ctx context.Context, tx *gorm.DB, house *models.Agency, r *models.Referral, paid clearedPayment, now models.Time) error {
	r.Payment, r.DecidedAt = paid.ref, now
	why, err := sameHands(tx, r.AgencyID, r.ReferredID)
	if err != nil {
		return err
	}
	if why != "" {
		r.State, r.Note = models.ReferralRefused, why
		return s.audit(tx, r.AgencyID, ActorClock, "referral.refuse", r.ReferredID.String(), "", why, now)
	}
	if why, err = capReached(tx, house, now); err != nil {
		return err
	}
	if why != "" {
		r.State, r.Note = models.ReferralCapped, why
		return s.audit(tx, r.AgencyID, ActorClock, "referral.cap", r.ReferredID.String(), "", why, now)
	}
	var friend models.Agency
	if err := tx.Where("id = ?", r.ReferredID).Take(&friend).Error; err != nil {
		return err
	}
	key := "referral:" + r.ReferredID.String()
	granted, err := s.ledger.Grant(ctx, tx, ledger.GrantRequest{
		Agency: r.AgencyID, Wallet: house.WalletID, Source: models.SourceReferral, Credits: r.Credits, Kind: "referral",
		Actor: string(ActorClock), Note: rewardNote(&friend), Reference: r.ReferredID.String(),
		Key: key, Fingerprint: fingerprint(key), At: now,
	})
	if err != nil {
		return err
	}
	r.State, r.LotID, r.ActID = models.ReferralEarned, granted.Lot.ID, granted.Act.ID
	if err := s.notify(tx, notice{
		agency: r.AgencyID, wallet: house.WalletID, event: models.NoticeReferralEarned, key: r.ReferredID.String(),
		facts: models.NoticeFacts{Credits: r.Credits, Left: granted.After.Left(), Name: friend.Name, Path: "/referral"},
	}, now); err != nil {
		return err
	}
	return s.audit(tx, r.AgencyID, ActorClock, "referral.earn", r.ReferredID.String(), r.Credits.String(), "", now)
}

func rewardNote(friend *models.Agency) string { return "Referral: " + friend.Name }

// sameHands says why two agencies are taken for one; "" when nothing says so.
func sameHands(tx *gorm.DB, referrer, referred models.AgencyID) (string, error) {
	var people int64
	if err := tx.Raw(`SELECT COUNT(*) FROM members a JOIN members b ON b.agency_id = ? AND b.user_id = a.user_id
		WHERE a.agency_id = ? AND a.role <> ? AND b.role <> ? AND (a.role = ? OR b.role = ?)`,
		referred, referrer, models.RoleClient, models.RoleClient, models.RoleOwner, models.RoleOwner).Scan(&people).Error; err != nil {
		return "", err
	}
	if people == 0 { // an owner who was invited and has not come yet
		if err := tx.Raw(`SELECT COUNT(*) FROM invitations i JOIN users u ON u.email = i.email JOIN members m ON m.user_id = u.id
			WHERE i.agency_id = ? AND i.role = ? AND i.revoked_at = 0 AND m.agency_id = ? AND m.role <> ?`,
			referred, models.RoleOwner, referrer, models.RoleClient).Scan(&people).Error; err != nil {
			return "", err
		}
	}
	if people > 0 {
		return "An owner of one of the two agencies belongs to the other.", nil
	}
	var marks int64
	if err := tx.Raw("SELECT COUNT(*) FROM payer_marks a JOIN payer_marks b ON b.agency_id = ? AND b.mark = a.mark WHERE a.agency_id = ?",
		referred, referrer).Scan(&marks).Error; err != nil || marks == 0 {
		return "", err
	}
	return "The same card or the same customer at Stripe pays for both.", nil
}

// capReached says which limit a referrer has reached; "" for none.
func capReached(tx *gorm.DB, house *models.Agency, now models.Time) (string, error) {
	terms, err := referralTerms(tx)
	if err != nil {
		return "", err
	}
	earned := func(since models.Time) (n int64, err error) {
		return n, tx.Model(&models.Referral{}).Where("agency_id = ? AND state = ? AND decided_at >= ?", house.ID, models.ReferralEarned, since).Count(&n).Error
	}
	if terms.InAll > 0 {
		if n, err := earned(0); err != nil || n >= terms.InAll {
			return fmt.Sprintf("The limit of %d rewards in all was reached.", terms.InAll), err
		}
	}
	if terms.PerMonth > 0 {
		if n, err := earned(monthStart(house, now)); err != nil || n >= terms.PerMonth {
			return fmt.Sprintf("The limit of %d rewards a month was reached.", terms.PerMonth), err
		}
	}
	return "", nil
}

func monthStart(house *models.Agency, now models.Time) models.Time {
	local := now.In(Zone(house.TimeZone))
	return models.At(time.Date(local.Year(), local.Month(), 1, 0, 0, 0, 0, local.Location()))
}

// followPayment brings a reward to how its payment stands.
func (s *Service) followPayment(ctx context.Context, tx *gorm.DB, house *models.Agency, r *models.Referral, standing *ledger.Standing, now models.Time) error {
	revoked, frozen := standing.Target(r.Credits)
	if revoked == r.Revoked && frozen == r.Frozen && r.RevokedSpent == 0 {
		return nil
	}
	var friend models.Agency
	if err := tx.Where("id = ?", r.ReferredID).Take(&friend).Error; err != nil {
		return err
	}
	done, err := s.ledger.Revoke(ctx, tx, ledger.RevokeRequest{
		Agency: r.AgencyID, Wallet: house.WalletID, Lot: r.LotID, Revoked: revoked, Frozen: frozen, Actor: string(ActorClock), Note: rewardNote(&friend), At: now,
	})
	if err != nil {
		return fmt.Errorf("take back the reward for %s: %w", r.ReferredID, err)
	}
	moved := done.Revoked() != r.Revoked || done.Frozen != r.Frozen
	r.Revoked, r.RevokedSpent, r.Frozen = done.Revoked(), done.Spent, done.Frozen
	if !moved {
		return nil
	}
	return s.audit(tx, r.AgencyID, ActorClock, "referral.follow", r.ReferredID.String(), r.Revoked.String()+" taken back, "+r.Frozen.String()+" frozen", "", now)
}

// ReferralRow is a referral with the names of its two sides.
type ReferralRow struct {
	models.Referral

	Referrer string
	Referred string
}

// Kept is what of the reward stands.
func (r *ReferralRow) Kept() models.Credits {
	if r.State != models.ReferralEarned {
		return 0
	}
	return r.Credits - r.Revoked - r.Frozen
}

// ReferralPage is what an agency sees of its referrals.
type ReferralPage struct {
	Code    string
	Link    string
	Terms   ReferralTerms
	Earned  models.Credits // that stand
	Waiting int64
	Month   int64 // rewards of this month
	InAll   int64
	Rows    []ReferralRow // the newest first
}

// referralsShown bounds the lists of referrals.
const referralsShown = 100

// ReferralPath is where a code is followed, below the portal's address.
const ReferralPath = "/r/"

// Referrals reads an agency's referrals, and its code.
func (s *Service) Referrals(ctx context.Context, id models.AgencyID) (ReferralPage, error) {
	now := s.clock.Now()
	var out ReferralPage
	var err error
	if out.Code, err = s.ReferralCode(ctx, id); err != nil {
		return out, err
	}
	out.Link = s.baseURL + ReferralPath + out.Code
	err = s.db.Snapshot(ctx, func(tx *gorm.DB) error {
		var house models.Agency
		if err := tx.Where("id = ?", id).Take(&house).Error; err != nil {
			return missing(err, "agency")
		}
		if out.Terms, err = referralTerms(tx); err != nil {
			return err
		}
		var sums struct {
			Kept                  models.Credits
			Waiting, Month, InAll int64
		}
		if err := tx.Raw(`SELECT CAST(COALESCE(SUM(CASE WHEN state = 'earned' THEN credits - revoked - frozen ELSE 0 END), 0) AS bigint) AS kept,
				COALESCE(SUM(CASE WHEN state = 'waiting' THEN 1 ELSE 0 END), 0) AS waiting,
				COALESCE(SUM(CASE WHEN state = 'earned' AND decided_at >= ? THEN 1 ELSE 0 END), 0) AS month,
				COALESCE(SUM(CASE WHEN state = 'earned' THEN 1 ELSE 0 END), 0) AS in_all
			FROM referrals WHERE agency_id = ?`, monthStart(&house, now), id).Scan(&sums).Error; err != nil {
			return err
		}
		out.Earned, out.Waiting, out.Month, out.InAll = sums.Kept, sums.Waiting, sums.Month, sums.InAll
		return referralRows(tx).Where("r.agency_id = ?", id).Scan(&out.Rows).Error
	})
	return out, err
}

// AllReferrals lists the newest referrals of all agencies.
func (s *Service) AllReferrals(ctx context.Context) ([]ReferralRow, error) {
	var out []ReferralRow
	return out, referralRows(s.db.Read.WithContext(ctx)).Scan(&out).Error
}

func referralRows(tx *gorm.DB) *gorm.DB {
	return tx.Table("referrals r").Select("r.*, a.name AS referrer, b.name AS referred").
		Joins("JOIN agencies a ON a.id = r.agency_id").Joins("JOIN agencies b ON b.id = r.referred_id").
		Order("r.joined_at DESC, r.referred_id DESC").Limit(referralsShown)
}

// ReferredBy tells who referred an agency; nil when nobody did.
func (s *Service) ReferredBy(ctx context.Context, id models.AgencyID) (*ReferralRow, error) {
	var rows []ReferralRow
	err := s.db.Read.WithContext(ctx).Table("referred_agencies x").Select("r.*, a.name AS referrer, b.name AS referred").
		Joins("JOIN referrals r ON r.agency_id = x.referrer_id AND r.referred_id = x.agency_id").
		Joins("JOIN agencies a ON a.id = r.agency_id").Joins("JOIN agencies b ON b.id = r.referred_id").
		Where("x.agency_id = ?", id).Scan(&rows).Error
	if err != nil || len(rows) == 0 {
		return nil, err
	}
	return &rows[0], nil
}
