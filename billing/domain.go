package billing

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"time"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"refill/billing/mail"
	"refill/billing/problem"
	"refill/models"
)

// Resolver looks up TXT records; *net.Resolver is one.
type Resolver interface {
	LookupTXT(ctx context.Context, name string) ([]string, error)
}

// DomainGrace is how long a proved domain's record may be missing.
const DomainGrace = 72 * time.Hour

// How domains are proved, in domain time but for the look-up itself.
const (
	maxDomains  = 5 // claims of one agency
	domainEvery = 24 * time.Hour
	domainRetry = time.Hour // after a record was not found

	certificateEvery = time.Hour // for how long asking for one again is not noted

	lookupTime   = 5 * time.Second
	domainBatch  = 50
	domainPrefix = "_portal."
	tokenPrefix  = "portal-verify="
)

// What records were called before: those that are there go on proving names.
const (
	earlierPrefix = "_refill."
	earlierToken  = "refill-verify="
)

// DomainRecord is the TXT record that proves a claim: its name and its value. An
// agency's clients may read it, so it does not say whose product this is.
func DomainRecord(d *models.Domain) (name, value string) {
	return domainPrefix + d.Name, tokenPrefix + d.Token
}

var domainShape = regexp.MustCompile(`^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z][a-z0-9-]{0,61}[a-z0-9]$`)

// checkDomain gives a name as it is kept. Errors: invalid_domain, domain_reserved.
func (s *Service) checkDomain(name string) (string, error) {
	name = strings.TrimSuffix(strings.ToLower(strings.TrimSpace(name)), ".")
	if _, err := netip.ParseAddr(name); err == nil || len(name) > 253-len(domainPrefix) || !domainShape.MatchString(name) {
		return "", problem.New(problem.Invalid, "invalid_domain", "Write a name such as credits.example.com: letters, digits and hyphens, without https:// and without a path. One with other letters goes in its xn-- form.").On("domain")
	}
	for _, own := range []string{s.base.Hostname(), s.portalDomain} {
		if own = strings.ToLower(own); name == own || strings.HasSuffix(name, "."+own) || strings.HasSuffix(own, "."+name) {
			return "", problem.New(problem.Invalid, "domain_reserved", "This name belongs to the platform. Use one of your own.").On("domain")
		}
	}
	return name, nil
}

// ClaimDomain notes that an agency says a name is its own; nothing follows from it
// before a TXT record proves it. Claiming again changes nothing. Errors: not_found,
// invalid_domain, domain_reserved, domain_taken, too_many_domains.
func (s *Service) ClaimDomain(ctx context.Context, scope Scope, id models.AgencyID, name string, by Actor) (models.Domain, error) {
	name, err := s.checkDomain(name)
	if err != nil {
		return models.Domain{}, err
	}
	var out models.Domain
	err = s.changeBrand(ctx, scope, id, func(tx *gorm.DB, _ *models.Agency) error {
		var claims []models.Domain
		if err := tx.Where("agency_id = ?", id).Find(&claims).Error; err != nil {
			return err
		}
		if i := slices.IndexFunc(claims, func(d models.Domain) bool { return d.Name == name }); i >= 0 { //nolint:gocritic // the signature is slices'
			out = claims[i]
			return nil
		}
		if len(claims) >= maxDomains {
			return problem.New(problem.Conflict, "too_many_domains", "An agency has at most %d domains. Remove one first.", maxDomains).On("domain")
		}
		if err := notElsewhere(tx, id, name); err != nil {
			return err
		}
		now := s.clock.Now()
		out = models.Domain{AgencyID: id, Name: name, Token: strings.ToLower(rand.Text()), CreatedBy: string(by), CreatedAt: now}
		if err := tx.Create(&out).Error; err != nil {
			return err
		}
		return s.audit(tx, id, by, "domain.claim", name, "", "", now)
	})
	return out, err
}

// notElsewhere refuses a name that another agency has proved. Errors:
// domain_taken.
func notElsewhere(tx *gorm.DB, id models.AgencyID, name string) error {
	var n int64
	if err := tx.Model(&models.Host{}).Where("name = ? AND agency_id <> ?", name, id).Count(&n).Error; err != nil || n == 0 {
		return err
	}
	return problem.New(problem.Conflict, "domain_taken", "Somebody else here has proved that %s is theirs. If it is yours, take their TXT record away and try again in three days.", name).On("domain")
}

// Domains lists an agency's claims by name.
func (s *Service) Domains(ctx context.Context, id models.AgencyID) ([]models.Domain, error) {
	var out []models.Domain
	return out, s.db.Read.WithContext(ctx).Where("agency_id = ?", id).Order("name").Find(&out).Error
}

// CheckDomain looks a claim's record up now. Errors: not_found, domain_unproved
// when it is not there, domain_taken.
func (s *Service) CheckDomain(ctx context.Context, scope Scope, id models.AgencyID, name string, by Actor) error {
	if !scope.Covers(id) {
		return problem.Missing("domain")
	}
	var d models.Domain
	if err := missing(s.db.Read.WithContext(ctx).Where("agency_id = ? AND name = ?", id, name).Take(&d).Error, "domain"); err != nil {
		return err
	}
	note := s.lookUp(ctx, &d)
	if err := s.bookLookup(ctx, &d, note, by); err != nil {
		return err
	}
	if note != "" {
		return problem.New(problem.Conflict, "domain_unproved", "%s Records take up to a day to be seen everywhere. Nothing was changed.", note)
	}
	return nil
}

// lookUp asks for a claim's record: "" when it is there, else what is wrong.
func (s *Service) lookUp(ctx context.Context, d *models.Domain) string {
	name, want := DomainRecord(d)
	ctx, cancel := context.WithTimeout(ctx, lookupTime)
	defer cancel()
	found, err := s.resolver.LookupTXT(ctx, name+".")
	if !slices.Contains(found, want) {
		if earlier, err := s.resolver.LookupTXT(ctx, earlierPrefix+d.Name+"."); err == nil && slices.Contains(earlier, earlierToken+d.Token) {
			return ""
		}
	}
	var wrong *net.DNSError
	switch {
	case slices.Contains(found, want):
		return ""
	case errors.As(err, &wrong) && wrong.IsNotFound:
		return "There is no TXT record " + name + " yet."
	case err != nil:
		return "The name servers of " + d.Name + " did not answer."
	case len(found) == 0:
		return "There is no TXT record " + name + " yet."
	}
	return "The TXT record " + name + " says something else."
}

// bookLookup books what a look-up found, unless the claim is gone meanwhile.
func (s *Service) bookLookup(ctx context.Context, d *models.Domain, note string, by Actor) error {
	return s.changeBrand(ctx, Scope{}, d.AgencyID, func(tx *gorm.DB, agency *models.Agency) error {
		now := s.clock.Now()
		var row models.Domain
		err := tx.Where("agency_id = ? AND name = ? AND token = ?", d.AgencyID, d.Name, d.Token).Take(&row).Error
		if err != nil {
			return missing(err, "domain")
		}
		change := map[string]any{"checked_at": now, "note": note}
		switch {
		case note == "":
			change["failing_since"], change["check_at"] = 0, now.Add(domainEvery)
			if row.VerifiedAt == 0 {
				change["verified_at"] = now
				if err := s.serveHost(tx, &row, by, now); err != nil {
					return err
				}
			}
		case row.VerifiedAt == 0:
		case row.FailingSince == 0:
			change["failing_since"], change["check_at"] = now, now.Add(domainRetry)
			if err := s.mailOwners(tx, row.AgencyID, s.letterhead().domainLost(row.Name, note, false), now); err != nil {
				return err
			}
		case now.Sub(row.FailingSince) < DomainGrace:
			change["check_at"] = now.Add(domainRetry)
		default:
			change["verified_at"], change["failing_since"], change["check_at"], change["certificate_at"] = 0, 0, 0, 0
			if err := s.dropHost(tx, agency, row.Name, ActorClock, "domain.lapse", note, now); err != nil {
				return err
			}
			if err := s.mailOwners(tx, row.AgencyID, s.letterhead().domainLost(row.Name, note, true), now); err != nil {
				return err
			}
		}
		return tx.Model(&models.Domain{}).Where("agency_id = ? AND name = ?", row.AgencyID, row.Name).Updates(change).Error
	})
}

// serveHost makes a proved name a host. Errors: domain_taken.
func (s *Service) serveHost(tx *gorm.DB, d *models.Domain, by Actor, now models.Time) error {
	made := tx.Clauses(clause.OnConflict{DoNothing: true}).Create(&models.Host{Name: d.Name, AgencyID: d.AgencyID})
	if made.Error != nil {
		return made.Error
	}
	if err := notElsewhere(tx, d.AgencyID, d.Name); err != nil {
		return err
	}
	return s.audit(tx, d.AgencyID, by, "domain.verify", d.Name, "", "", now)
}

// dropHost stops serving a name, and leading links to it.
func (s *Service) dropHost(tx *gorm.DB, agency *models.Agency, name string, by Actor, action, why string, now models.Time) error {
	if err := tx.Where("name = ? AND agency_id = ?", name, agency.ID).Delete(&models.Host{}).Error; err != nil {
		return err
	}
	if agency.Domain == name {
		if err := tx.Model(&models.Agency{}).Where("id = ?", agency.ID).Update("domain", "").Error; err != nil {
			return err
		}
	}
	return s.audit(tx, agency.ID, by, action, name, "", why, now)
}

// mailOwners writes to an agency's owners about its domain.
func (s *Service) mailOwners(tx *gorm.DB, agency models.AgencyID, l mail.Letter, now models.Time) error { //nolint:gocritic // once per act
	var to []string
	err := tx.Model(&models.User{}).Where("disabled_at = 0 AND id IN (?)", tx.Model(&models.Member{}).Select("user_id").Where("agency_id = ? AND role = ?", agency, models.RoleOwner)).
		Order("email").Pluck("email", &to).Error
	for _, address := range to {
		err = errors.Join(err, s.postMail(tx, envelope{kind: models.MailNotice, to: address, life: DomainGrace}, &l, now))
	}
	return err
}

// UseDomain leads links, mails and returns from payment to a proved name, or away
// from it to the platform's address again. Errors: not_found, domain_unproved.
func (s *Service) UseDomain(ctx context.Context, scope Scope, id models.AgencyID, name string, on bool, by Actor) error {
	return s.changeBrand(ctx, scope, id, func(tx *gorm.DB, agency *models.Agency) error {
		var d models.Domain
		if err := tx.Where("agency_id = ? AND name = ?", id, name).Take(&d).Error; err != nil {
			return missing(err, "domain")
		}
		to := name
		switch {
		case on && d.VerifiedAt == 0:
			return problem.New(problem.Conflict, "domain_unproved", "Prove first that this name is yours.")
		case !on && agency.Domain != name:
			return nil
		case !on:
			to = ""
		}
		if agency.Domain == to {
			return nil
		}
		if err := tx.Model(&models.Agency{}).Where("id = ?", id).Update("domain", to).Error; err != nil {
			return err
		}
		return s.audit(tx, id, by, "domain.use", id.String(), inQuotes(agency.Domain)+" → "+inQuotes(to), "", s.clock.Now())
	})
}

// RemoveDomain gives a claim up; the name is nobody's from the commit on. Errors:
// not_found.
func (s *Service) RemoveDomain(ctx context.Context, scope Scope, id models.AgencyID, name string, by Actor) error {
	return s.changeBrand(ctx, scope, id, func(tx *gorm.DB, agency *models.Agency) error {
		gone := tx.Where("agency_id = ? AND name = ?", id, name).Delete(&models.Domain{})
		if gone.Error != nil {
			return gone.Error
		}
		if gone.RowsAffected == 0 {
			return problem.Missing("domain")
		}
		return s.dropHost(tx, agency, name, by, "domain.remove", "", s.clock.Now())
	})
}

// AgencyByDomain finds whose proved name a host is. Errors: not_found.
func (s *Service) AgencyByDomain(ctx context.Context, name string) (models.Agency, error) {
	var out models.Agency
	db := s.db.Read.WithContext(ctx)
	return out, missing(db.Where("id = (?)", db.Model(&models.Host{}).Select("agency_id").Where("name = ?", name)).Take(&out).Error, "portal")
}

// NoteCertificate notes that a proxy asked for a certificate of a name of an agency's
// own and was told yes. Proxies ask again as they start and renew.
func (s *Service) NoteCertificate(ctx context.Context, id models.AgencyID, name string) error {
	now := s.clock.Now()
	this := func(db *gorm.DB) *gorm.DB {
		return db.Model(&models.Domain{}).Where("agency_id = ? AND name = ? AND verified_at > 0 AND certificate_at <= ?", id, name, now.Add(-certificateEvery))
	}
	var n int64
	if err := this(s.db.Read.WithContext(ctx)).Count(&n).Error; err != nil || n == 0 {
		return err
	}
	return s.db.InTx(ctx, func(tx *gorm.DB) error { return this(tx).Update("certificate_at", now).Error })
}

// WorkDomains looks proved names up again as they are due, until ctx ends. The tick
// wakes it: name servers may take their time, and nothing waits for them.
func (s *Service) WorkDomains(ctx context.Context) {
	s.lookups.answer(ctx, s.log, "check domains", s.CheckDomains)
}

// CheckDomains looks up every proved name that is due.
func (s *Service) CheckDomains(ctx context.Context) error {
	var due []models.Domain
	if err := s.db.Read.WithContext(ctx).Where("verified_at > 0 AND check_at <= ?", s.clock.Now()).Order("check_at, agency_id, name").
		Limit(domainBatch).Find(&due).Error; err != nil {
		return err
	}
	for i := range due {
		note := s.lookUp(ctx, &due[i])
		if ctx.Err() != nil {
			return ctx.Err() // it is we who gave up, not the name
		}
		if err := s.bookLookup(ctx, &due[i], note, ActorClock); err != nil && !problem.Is(err, "not_found") {
			s.log.LogAttrs(ctx, slog.LevelError, "check a domain", slog.String("domain", due[i].Name), slog.Any("error", err))
			return fmt.Errorf("check a domain: %w", err)
		}
	}
	return nil
}
