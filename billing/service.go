package billing

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"sync/atomic"

	"gorm.io/gorm"

	"refill/billing/ledger"
	"refill/models"
)

// Config is what a Service is wired from.
type Config struct {
	DB       *models.DB
	Ledger   *ledger.Ledger
	Clock    models.Clock // domain time
	Wall     models.Clock // wall time, for sign-in and sessions; nil: the system's
	Payments Payments     // nil: nothing can be bought
	BaseURL  string       // of the portal, for links and return addresses
	// PortalDomain is what the clients' portals stand under, {agency}.PortalDomain;
	// "" is BaseURL's own host, or localhost for a local one.
	PortalDomain string
	Mailer       Mailer   // nil: mails wait
	Hooks        Hooks    // nil: webhooks go to public addresses
	Resolver     Resolver // proves agencies' domains; nil: the system's
	KeepMails    bool     // their words too, after they were sent: for a demonstration
	Platform     string   // in whose name the platform's mails are; "" Refill
	// SecretKey seals secrets that have to be read again. It is kept outside the
	// database. nil: one for this process alone, which then seals nothing to last.
	SecretKey []byte
	Log       *slog.Logger
}

// Service carries the verbs. It is safe for concurrent use.
type Service struct {
	db       *models.DB
	ledger   *ledger.Ledger
	clock    models.Clock
	payments Payments
	plans    PlanPayments    // nil: plans are not sold
	months   MonthlyPayments // nil: nothing is sold every month
	baseURL  string
	log      *slog.Logger

	base         url.URL // of baseURL
	portalDomain string

	directory recall[string, *Account]
	tenants   recall[string, models.Agency]        // by external id, for the accounts that are read again
	periods   recall[models.AgencyID, models.Time] // when the running ones end
	brands    recall[brandKey, models.Brand]       // published ones
	refusals  recall[models.WalletID, struct{}]    // that were noted
	declined  sharedRead[map[models.WalletID]bool] // see declinedWallets
	cards     *cards
	apiKeys   *apiKeys
	purchases *purchaseDesk
	holds     *holdDesk
	pulse     pulse
	people    *people
	post      *postOffice
	hooks     *switchboard
	vault     *vault
	seals     sealWalk
	sumEvery  int64 // entries between two sums of a wallet
	topUps    bell
	lookups   bell
	resolver  Resolver
	founded   atomic.Bool   // there is an admin, for good
	patrolled atomic.Int64  // wall time of the last round of checks
	unpacking chan struct{} // holds whoever reads a picture
}

// New wires a Service.
func New(c Config) (*Service, error) {
	if c.DB == nil || c.Ledger == nil || c.Clock == nil {
		return nil, errors.New("billing: database, ledger and clock are needed")
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	s := &Service{
		db: c.DB, ledger: c.Ledger, clock: c.Clock, payments: c.Payments, baseURL: c.BaseURL, log: c.Log,
	}
	var err error
	if s.base, s.portalDomain, err = portalsUnder(c.BaseURL, c.PortalDomain); err != nil {
		return nil, fmt.Errorf("billing: %w", err)
	}
	s.sumEvery, s.unpacking = sumEvery, make(chan struct{}, 1)
	s.directory.ttl, s.tenants.ttl = directoryTTL, tenantsTTL
	s.periods.ttl, s.brands.ttl, s.refusals.ttl = periodTTL, brandTTL, refusalTTL
	s.declined.read = func(ctx context.Context) (map[models.WalletID]bool, error) {
		return declinedWallets(s.db.Read.WithContext(ctx))
	}
	s.plans, _ = c.Payments.(PlanPayments)
	s.months, _ = c.Payments.(MonthlyPayments)
	s.cards = newCards(s)
	s.apiKeys = newAPIKeys(c.Wall)
	s.purchases = newPurchaseDesk()
	s.holds = newHoldDesk()
	s.people = newPeople(c.Wall)
	s.post = newPostOffice(&c)
	s.topUps, s.lookups = newBell(), newBell()
	if s.resolver = c.Resolver; s.resolver == nil {
		s.resolver = net.DefaultResolver
	}
	s.hooks = newSwitchboard(c.Hooks)
	if s.vault, err = newVault(c.SecretKey); err != nil {
		return nil, fmt.Errorf("billing: %w", err)
	}
	return s, nil
}

// Now is domain time.
func (s *Service) Now() models.Time { return s.clock.Now() }

// Ping tells whether the database answers.
func (s *Service) Ping(ctx context.Context) error { return s.db.Ping(ctx) }

// Setting reads one named value of the installation; "" when it is not set.
func (s *Service) Setting(ctx context.Context, name string) (string, error) {
	var row models.Setting
	err := s.db.Read.WithContext(ctx).Where("name = ?", name).Take(&row).Error
	if errors.Is(err, gorm.ErrRecordNotFound) {
		return "", nil
	}
	return row.Value, err
}

// SetSetting writes one named value of the installation.
func (s *Service) SetSetting(ctx context.Context, name, value string) error {
	return s.db.Write.WithContext(ctx).Save(&models.Setting{Name: name, Value: value}).Error
}

// Actor is who acts, as entries, acts and the audit log name them:
// "user:ada@example.com", "key:…4f2a", "clock".
type Actor string

// ActorClock is the ticking of time.
const ActorClock Actor = "clock"

// audit writes who did what in the transaction that did it.
func (s *Service) audit(tx *gorm.DB, agency models.AgencyID, by Actor, action, target, detail, reason string, at models.Time) error {
	return tx.Create(&models.AuditEntry{
		ID: models.NewID[models.AuditID](at), AgencyID: agency, Actor: string(by), Action: action,
		Target: target, Detail: detail, Reason: reason, CreatedAt: at,
	}).Error
}
