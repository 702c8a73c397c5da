package billing

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"
	"unicode/utf8"

	"gorm.io/gorm"

	"refill/billing/ledger"
	"refill/billing/period"
	"refill/billing/problem"
	"refill/models"
)

// AgencyInput makes an agency.
type AgencyInput struct {
	ExternalID string // the operator's own id for it
	Name       string
	Plan       string // code; "" the default plan
	TimeZone   string // IANA; "" UTC
	// ReferralCode is of the agency that brought this one here; "" for none.
	ReferralCode string
	OwnerEmail   string // of who will own it, where that is known: nobody refers themselves
	Key          string // idempotency key, for CreateAgencyOnce
	By           Actor
}

var externalID = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$`)

func checkExternalID(s string) error {
	if !externalID.MatchString(s) {
		return problem.New(problem.Invalid, "invalid_external_id",
			"An external id has 1 to 100 letters, digits, points, dashes or underscores.").On("external_id")
	}
	return nil
}

func checkName(s string) error {
	if strings.TrimSpace(s) == "" || utf8.RuneCountInString(s) > 120 {
		return problem.New(problem.Invalid, "invalid_name", "A name has 1 to 120 characters.").On("name")
	}
	return nil
}

func checkZone(s string) error {
	if _, err := time.LoadLocation(s); err != nil || s == "Local" {
		return problem.New(problem.Invalid, "invalid_time_zone", "%q is not a time zone such as Europe/Paris or UTC.", s).On("time_zone")
	}
	return nil
}

// CreateAgency makes an agency with its wallet, puts it on a plan and grants
// the first allowance. Errors: external_id_taken, unknown_plan, invalid_*,
// unknown_referral_code, referrals_off, self_referral.
func (s *Service) CreateAgency(ctx context.Context, in AgencyInput) (models.Agency, error) {
	now, asked := s.clock.Now(), in.digest()
	if in.TimeZone == "" {
		in.TimeZone = "UTC"
	}
	if err := errors.Join(checkExternalID(in.ExternalID), checkName(in.Name), checkZone(in.TimeZone)); err != nil {
		return models.Agency{}, err
	}
	if in.Plan == "" {
		code, err := s.Setting(ctx, "default_plan")
		if err != nil {
			return models.Agency{}, err
		}
		in.Plan = code
	}
	agency := models.Agency{
		ID: models.NewID[models.AgencyID](now), ExternalID: in.ExternalID, Name: strings.TrimSpace(in.Name),
		Host: hostLabel(in.ExternalID), TimeZone: in.TimeZone, Status: models.AgencyActive,
		WalletID: models.NewID[models.WalletID](now), CreatedAt: now, UsageRolled: period.DayStart(now, Zone(in.TimeZone)),
	}
	agency.IdempotencyKey, agency.Fingerprint = creationKey(in.Key, asked)
	err := s.db.InTx(ctx, func(tx *gorm.DB) error {
		plan, err := planByCode(tx, in.Plan)
		if err != nil {
			return err
		}
		agency.Currency = plan.Currency
		if err := tx.Create(&agency).Error; err != nil {
			if models.IsDuplicate(err) {
				return problem.New(problem.Conflict, "external_id_taken", "There is an agency %q already.", in.ExternalID).On("external_id")
			}
			return err
		}
		if err := s.ledger.OpenWallet(ctx, tx, models.Wallet{
			AgencyID: agency.ID, ID: agency.WalletID, Status: models.WalletActive, Funding: models.Prepaid, PoolEvery: models.PoolCycle,
			ExcessLimit: plan.ExcessLimit, AgencyCeiling: plan.ExcessLimit, CycleStart: now, CreatedAt: now,
		}); err != nil {
			return err
		}
		if err := s.subscribe(ctx, tx, &agency, plan, now); err != nil {
			return err
		}
		if err := s.join(tx, &agency, &in, now); err != nil {
			return err
		}
		return s.audit(tx, agency.ID, in.By, "agency.create", agency.ID.String(), plan.Code, "", now)
	})
	return agency, err
}

// hostLabel makes an external id a DNS label.
func hostLabel(ext string) string {
	label := strings.Trim(strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= '0' && r <= '9', r == '-':
			return r
		case r >= 'A' && r <= 'Z':
			return r + 'a' - 'A'
		}
		return '-'
	}, ext), "-")
	if len(label) > 63 {
		label = strings.TrimRight(label[:63], "-")
	}
	return label
}

// subscribe starts a subscription that the clock renews, whose first period
// begins now, with the plan's terms as they are, and grants its first allowance.
func (s *Service) subscribe(ctx context.Context, tx *gorm.DB, agency *models.Agency, plan models.Plan, now models.Time) error {
	sub := termsOf(&plan)
	sub.AgencyID, sub.ID, sub.CreatedAt = agency.ID, models.NewID[models.SubscriptionID](now), now
	sub.AnchorAt, sub.TimeZone, sub.PeriodStart = now, agency.TimeZone, now
	if plan.TrialDays > 0 {
		sub.Status, sub.TrialEnd = models.SubscriptionTrialing, now.Add(time.Duration(plan.TrialDays)*24*time.Hour)
	}
	sub.PeriodEnd = period.At(sub.AnchorAt, Zone(sub.TimeZone), rhythm(sub.Every), 1)
	if err := tx.Create(&sub).Error; err != nil {
		return fmt.Errorf("subscribe: %w", err)
	}
	s.periods.kept.Delete(agency.ID)
	return s.grantAllowance(ctx, tx, agency, &sub, now)
}

func rhythm(e models.Every) period.Every {
	if e == models.EveryMonth {
		return period.Month
	}
	return period.None
}

// grantAllowance books the running period's allowance; the lot's unique key
// makes it one per wallet and period.
func (s *Service) grantAllowance(ctx context.Context, tx *gorm.DB, agency *models.Agency, sub *models.Subscription, at models.Time) error {
	if sub.Allowance == 0 {
		return nil
	}
	_, err := s.ledger.Grant(ctx, tx, ledger.GrantRequest{
		Agency: agency.ID, Wallet: agency.WalletID, Source: models.SourcePlan, Credits: sub.Allowance,
		EffectiveAt: sub.PeriodStart, ExpiresAt: sub.PeriodEnd, PeriodStart: sub.PeriodStart,
		Kind: "plan", Actor: string(ActorClock), Reference: sub.ID.String(), At: at,
	})
	return err
}

// ChangePlan puts an agency on another plan from now on: the running allowance
// expires and the new plan's first period begins.
func (s *Service) ChangePlan(ctx context.Context, agencyID models.AgencyID, code string, by Actor) error {
	return s.ChangePlanFor(ctx, agencyID, code, "", by)
}

// ChangePlanFor is ChangePlan with the reason that the audit log keeps.
func (s *Service) ChangePlanFor(ctx context.Context, agencyID models.AgencyID, code, reason string, by Actor) error {
	now := s.clock.Now()
	err := s.db.InTx(ctx, func(tx *gorm.DB) error {
		plan, err := planByCode(tx, code)
		if err != nil {
			return err
		}
		return s.changePlan(ctx, tx, agencyID, &plan, by, reason, now)
	})
	s.cards.forget()
	return err
}

// changePlan ends the live subscription, and its allowance, and begins one on
// the plan; on that plan already, the agency stays as it is. Where Stripe collects
// the price it goes on doing so, the new one from its next invoice on.
func (s *Service) changePlan(ctx context.Context, tx *gorm.DB, agencyID models.AgencyID, plan *models.Plan, by Actor, reason string, now models.Time) error {
	old, err := lockedSubscription(tx, agencyID)
	if err != nil || old.PlanID == plan.ID {
		return err
	}
	var agency models.Agency
	if err := tx.Where("id = ?", agencyID).Take(&agency).Error; err != nil {
		return missing(err, "agency")
	}
	if old.ByStripe() && old.PaidEvery != plan.PaidEvery {
		return problem.New(problem.Conflict, "paid_otherwise",
			"This agency pays %s through Stripe, and the plan is paid otherwise. Its owner changes it on their plan page.", everyWord(old.PaidEvery)).On("plan")
	}
	was := "none"
	if !old.ID.IsZero() {
		if was, err = s.replace(ctx, tx, &agency, &old, now, true); err != nil {
			return err
		}
	}
	start := max(now, old.PeriodStart+1)
	if err := s.putOnPlan(ctx, tx, &agency, plan, start, now); err != nil {
		return err
	}
	if old.ByStripe() {
		err = s.resubscribe(ctx, tx, &agency, &old, plan, start)
	} else {
		err = s.subscribe(ctx, tx, &agency, *plan, start)
	}
	if err != nil {
		return err
	}
	return s.audit(tx, agencyID, by, "plan.change", agencyID.String(), was+" → "+edition(plan), reason, now)
}

// resubscribe puts an agency whose plan Stripe collects on another one for the
// rest of Stripe's period, with the whole allowance.
func (s *Service) resubscribe(ctx context.Context, tx *gorm.DB, agency *models.Agency, old *models.Subscription, plan *models.Plan, start models.Time) error {
	sub := termsOf(plan)
	retakes(&sub, old)
	sub.AgencyID, sub.ID, sub.CreatedAt = agency.ID, models.NewID[models.SubscriptionID](start), start
	sub.AnchorAt, sub.TimeZone, sub.PeriodStart = old.AnchorAt, old.TimeZone, start
	_, _, sub.PeriodEnd = period.Containing(sub.AnchorAt, Zone(sub.TimeZone), rhythm(sub.Every), start)
	if old.PeriodEnd > start && old.TrialEnd == old.PeriodEnd { // the trial ends when it would have
		sub.PeriodEnd = old.PeriodEnd
	}
	if err := tx.Create(&sub).Error; err != nil {
		return fmt.Errorf("resubscribe: %w", err)
	}
	s.periods.kept.Delete(agency.ID)
	return s.grantAllowance(ctx, tx, agency, &sub, start)
}

func everyWord(p models.PaidEvery) string {
	if p == models.PaidYearly {
		return "every year"
	}
	return "every month"
}

// edition names a version of a plan in the audit log.
func edition(p *models.Plan) string { return fmt.Sprintf("%s version %d", p.Code, p.Version) }

// putOnPlan readies an agency's wallet for a plan whose first period begins at start:
// its limits, its cycle, and packs usable that had no plan to be used with.
func (s *Service) putOnPlan(ctx context.Context, tx *gorm.DB, agency *models.Agency, plan *models.Plan, start, now models.Time) error {
	if err := s.setPlanPolicy(ctx, tx, agency, plan); err != nil {
		return err
	}
	if err := s.ledger.StartCycle(ctx, tx, agency.ID, agency.WalletID, start); err != nil {
		return err
	}
	_, err := s.ledger.Thaw(ctx, tx, agency.ID, agency.WalletID, models.FreezeNoPlan, nil, now)
	return err
}

// setPlanPolicy lets the agency's wallet go as far below zero as the plan says.
func (s *Service) setPlanPolicy(ctx context.Context, tx *gorm.DB, agency *models.Agency, plan *models.Plan) error {
	return s.ledger.SetPolicy(ctx, tx, agency.ID, agency.WalletID, ledger.Policy{ExcessLimit: plan.ExcessLimit, AgencyCeiling: plan.ExcessLimit})
}

func missing(err error, what string) error {
	if errors.Is(err, gorm.ErrRecordNotFound) {
		return problem.Missing(what)
	}
	return err
}

// Agencies lists all agencies by name.
func (s *Service) Agencies(ctx context.Context) ([]models.Agency, error) {
	var out []models.Agency
	return out, s.db.Read.WithContext(ctx).Order("name, id").Find(&out).Error
}

// Agency reads one agency by id. Errors: not_found.
func (s *Service) Agency(ctx context.Context, id models.AgencyID) (models.Agency, error) {
	var out models.Agency
	return out, missing(s.db.Read.WithContext(ctx).Where("id = ?", id).Take(&out).Error, "agency")
}

// AgencyByRef finds an agency by its id or external id within a scope.
// Errors: not_found.
func (s *Service) AgencyByRef(ctx context.Context, scope Scope, ref string) (models.Agency, error) {
	var out models.Agency
	q := s.db.Read.WithContext(ctx)
	if id, err := models.ParseID[models.AgencyID](ref); err == nil {
		q = q.Where("id = ?", id)
	} else {
		q = q.Where("external_id = ?", ref)
	}
	if err := q.Take(&out).Error; err != nil {
		return out, missing(err, "agency")
	}
	if !scope.Covers(out.ID) {
		return models.Agency{}, problem.Missing("agency")
	}
	return out, nil
}

// AgencyByHost finds the agency whose clients' portal has this first label.
// Errors: not_found.
func (s *Service) AgencyByHost(ctx context.Context, label string) (models.Agency, error) {
	var out models.Agency
	return out, missing(s.db.Read.WithContext(ctx).Where("host = ?", label).Take(&out).Error, "portal")
}

// SubAccountInput makes a sub-account.
type SubAccountInput struct {
	Agency     models.AgencyID
	ExternalID string
	Name       string
	Funding    models.Funding // "" prepaid
	PoolCap    models.Credits
	PoolEvery  models.PoolEvery
	Excess     models.Credits // how far below zero it may go; 0: it pauses
	TimeZone   string         // "" the agency's
	Key        string         // idempotency key, for CreateSubAccountOnce
	By         Actor
}

// CreateSubAccount makes a client of an agency with a wallet of its own.
// Errors: external_id_taken, sub_account_limit, invalid_*.
func (s *Service) CreateSubAccount(ctx context.Context, scope Scope, in SubAccountInput) (models.SubAccount, error) {
	now := s.clock.Now()
	if !scope.Covers(in.Agency) {
		return models.SubAccount{}, problem.Missing("agency")
	}
	if in.Funding == "" {
		in.Funding = models.Prepaid
	}
	if in.PoolEvery == "" {
		in.PoolEvery = models.PoolCycle
	}
	if err := errors.Join(checkExternalID(in.ExternalID), checkName(in.Name), checkFunding(in.Funding, in.PoolCap, in.PoolEvery, in.Excess)); err != nil {
		return models.SubAccount{}, err
	}
	var out models.SubAccount
	asked := in.digest()
	err := s.db.InTx(ctx, func(tx *gorm.DB) error {
		var agency models.Agency
		if err := tx.Where("id = ?", in.Agency).Take(&agency).Error; err != nil {
			return missing(err, "agency")
		}
		if err := acting(tx, in.Agency); err != nil {
			return err
		}
		if err := s.roomForSubAccount(tx, in.Agency); err != nil {
			return err
		}
		if in.TimeZone == "" {
			in.TimeZone = agency.TimeZone
		}
		if err := checkZone(in.TimeZone); err != nil {
			return err
		}
		if err := withinCeiling(tx, in.Agency, agency.WalletID, in.Excess); err != nil {
			return err
		}
		out = models.SubAccount{
			AgencyID: in.Agency, ID: models.NewID[models.SubAccountID](now), ExternalID: in.ExternalID, Name: strings.TrimSpace(in.Name),
			WalletID: models.NewID[models.WalletID](now), TimeZone: in.TimeZone, Status: models.SubAccountActive, CreatedAt: now,
		}
		out.IdempotencyKey, out.Fingerprint = creationKey(in.Key, asked)
		if err := tx.Create(&out).Error; err != nil {
			if models.IsDuplicate(err) {
				return problem.New(problem.Conflict, "external_id_taken", "This agency has a sub-account %q already.", in.ExternalID).On("external_id")
			}
			return err
		}
		if err := s.ledger.OpenWallet(ctx, tx, models.Wallet{
			AgencyID: in.Agency, ID: out.WalletID, SubAccountID: out.ID, Status: models.WalletActive,
			Funding: in.Funding, PoolWalletID: agency.WalletID, ExcessLimit: in.Excess, PoolCap: in.PoolCap, PoolEvery: in.PoolEvery, CreatedAt: now,
		}); err != nil {
			return err
		}
		return s.audit(tx, in.Agency, in.By, "sub_account.create", out.ID.String(), out.ExternalID, "", now)
	})
	return out, err
}

func (s *Service) roomForSubAccount(tx *gorm.DB, agency models.AgencyID) error {
	sub, err := liveSubscription(tx, agency)
	if err != nil || sub.ID.IsZero() {
		return err
	}
	var plan models.Plan
	if err := tx.Where("id = ?", sub.PlanID).Take(&plan).Error; err != nil {
		return err
	}
	var have int64
	if err := tx.Model(&models.SubAccount{}).Where("agency_id = ? AND status = ?", agency, models.SubAccountActive).Count(&have).Error; err != nil {
		return err
	}
	if plan.SubAccountLimit > 0 && have >= int64(plan.SubAccountLimit) {
		return problem.New(problem.Conflict, "sub_account_limit", "The %s plan has room for %d sub-accounts; archive one or move to a larger plan.", plan.Name, plan.SubAccountLimit)
	}
	return nil
}

// SubAccounts lists an agency's clients by name.
func (s *Service) SubAccounts(ctx context.Context, agency models.AgencyID) ([]models.SubAccount, error) {
	var out []models.SubAccount
	return out, s.db.Read.WithContext(ctx).Where("agency_id = ?", agency).Order("name, id").Find(&out).Error
}

// SubAccountByRef finds a client by its id or external id. Errors: not_found.
func (s *Service) SubAccountByRef(ctx context.Context, agency models.AgencyID, ref string) (models.SubAccount, error) {
	var out models.SubAccount
	q := s.db.Read.WithContext(ctx).Where("agency_id = ?", agency)
	if id, err := models.ParseID[models.SubAccountID](ref); err == nil {
		q = q.Where("id = ?", id)
	} else {
		q = q.Where("external_id = ?", ref)
	}
	return out, missing(q.Take(&out).Error, "sub-account")
}

// pair reads an agency and one of its sub-accounts.
func (s *Service) pair(tx *gorm.DB, agency models.AgencyID, sub models.SubAccountID) (models.Agency, models.SubAccount, error) {
	var a models.Agency
	var c models.SubAccount
	if err := tx.Where("id = ?", agency).Take(&a).Error; err != nil {
		return a, c, missing(err, "agency")
	}
	return a, c, missing(tx.Where("agency_id = ? AND id = ?", agency, sub).Take(&c).Error, "sub-account")
}
