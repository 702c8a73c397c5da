package billing

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"refill/billing/problem"
	"refill/models"
)

// PackageEdit is what becomes of a package: all of it is written.
type PackageEdit struct {
	Agency       models.AgencyID
	ID           models.PackageID // zero: a new one
	Name         string
	Credits      models.Credits
	Price        int64               // minor units of the agency's currency
	Every        models.PackageEvery // "": as it was, or once
	Badge        string
	Note         string // shown to the client
	Audience     models.Audience
	Viewers      []models.SubAccountID // of a chosen audience
	MonthlyLimit int                   // per sub-account and calendar month; 0: none
	CostBasis    models.CostBasis
	OwnCost      models.UnitPrice // of CostOwn
	LossAccepted bool             // sold below its cost on purpose
	OnSale       bool
	Key          string // of a new one: the same key makes it once; "" for none
	By           Actor
}

func (in *PackageEdit) digest() []byte {
	parts := []string{
		"package", in.Name, in.Credits.String(), strconv.FormatInt(in.Price, 10), in.Badge, in.Note, string(in.Audience),
		strconv.Itoa(in.MonthlyLimit), string(in.CostBasis), strconv.FormatInt(int64(in.OwnCost), 10), flag(in.LossAccepted), flag(in.OnSale),
	}
	if in.Every == models.PackageMonthly {
		parts = append(parts, string(in.Every))
	}
	for _, v := range in.Viewers {
		parts = append(parts, v.String())
	}
	return fingerprint(parts...)
}

// SavedPackage is a package as it was written.
type SavedPackage struct {
	models.Package

	Repriced bool  // credits or price changed, which holds for new purchases
	Past     int64 // purchases that keep what they paid
	Replayed bool  // the key had made it before
}

// Bounds of a package's texts and limit.
const (
	maxBadge        = 40
	maxPackageNote  = 500
	maxMonthlyLimit = 1000
	maxPackages     = 200 // of one agency, archived ones included
	maxOffers       = 12  // on sale to one client: its page pairs so many with their sums without script
)

// SavePackage makes a package or changes one; a changed price holds for new
// purchases and is kept in the history. Everything wrong is told at once, each
// with its field. Errors: not_found, invalid_name, invalid_credits, price_decimals,
// price_too_low (minimum), price_too_high, badge_too_long, note_too_long,
// invalid_audience, audience_empty, invalid_monthly_limit, invalid_cost_basis,
// invalid_own_cost, sold_at_loss (loss, break_even), not_connected,
// package_archived, too_many_packages, too_many_on_sale, idempotency_key_reused.
func (s *Service) SavePackage(ctx context.Context, scope Scope, in PackageEdit) (SavedPackage, error) {
	now := s.clock.Now()
	if !scope.Covers(in.Agency) {
		return SavedPackage{}, problem.Missing("package")
	}
	in.tidy()
	if in.Key != "" {
		if err := checkKey(in.Key); err != nil {
			return SavedPackage{}, err
		}
	}
	var out SavedPackage
	err := s.once(ctx, func(tx *gorm.DB) (err error) {
		out, err = s.savePackage(ctx, tx, &in, now)
		return err
	})
	return out, err
}

func (in *PackageEdit) tidy() {
	in.Name, in.Badge, in.Note = strings.TrimSpace(in.Name), strings.TrimSpace(in.Badge), strings.TrimSpace(in.Note)
	if in.Audience == "" {
		in.Audience = models.AudienceAll
	}
	if in.CostBasis == "" {
		in.CostBasis = models.CostHeld
	}
	if in.Audience == models.AudienceAll {
		in.Viewers = nil
	}
	slices.SortFunc(in.Viewers, models.SubAccountID.Compare)
	in.Viewers = slices.Compact(in.Viewers)
}

func (s *Service) savePackage(ctx context.Context, tx *gorm.DB, in *PackageEdit, now models.Time) (SavedPackage, error) {
	var out SavedPackage
	asked := in.digest()
	if in.ID.IsZero() && in.Key != "" {
		err := tx.Where("agency_id = ? AND idempotency_key = ?", in.Agency, in.Key).Take(&out.Package).Error
		if done, err := again(err, out.Fingerprint, asked); done || err != nil {
			out.Replayed = done
			return out, err
		}
	}
	agency, rows, err := lockPackages(tx, in.Agency)
	if err != nil {
		return out, err
	}
	var old models.Package
	if !in.ID.IsZero() {
		if old, err = editable(rows, in.ID); err != nil {
			return out, err
		}
	} else if len(rows) >= maxPackages {
		return out, problem.New(problem.Conflict, "too_many_packages", "There are %d packages; change one that is there instead.", len(rows))
	}
	if in.Every == "" {
		in.Every = cmp.Or(old.Every, models.PackageOnce)
	}
	lossy, err := s.checkPackage(ctx, tx, &agency, in, in.OnSale && !old.OnSale, now)
	if err != nil {
		return out, err
	}
	out.Package = models.Package{
		AgencyID: in.Agency, ID: in.ID, Name: in.Name, Credits: in.Credits, Price: in.Price, Currency: agency.Currency, Badge: in.Badge, Note: in.Note,
		Audience: in.Audience, MonthlyLimit: in.MonthlyLimit, Every: in.Every, Position: old.Position, OnSale: in.OnSale, LossAccepted: lossy,
		CostBasis: in.CostBasis, OwnCost: in.OwnCost, CreatedAt: old.CreatedAt, IdempotencyKey: old.IdempotencyKey, Fingerprint: old.Fingerprint,
	}
	out.Repriced = old.Credits != in.Credits || old.Price != in.Price || old.Currency != agency.Currency
	if in.ID.IsZero() {
		out.ID, out.CreatedAt, out.Position = models.NewID[models.PackageID](now), now, nextPosition(rows)
		out.IdempotencyKey, out.Fingerprint = creationKey(in.Key, asked)
		if err := tx.Create(&out.Package).Error; err != nil {
			return out, err
		}
	} else if err := tx.Where("agency_id = ? AND id = ?", in.Agency, in.ID).Select("*").Updates(&out.Package).Error; err != nil {
		return out, err
	}
	if out.Repriced {
		if err := appendPrice(tx, &out.Package, in.By, now); err != nil {
			return out, err
		}
	}
	was, err := setViewers(tx, &out.Package, in.Viewers)
	if err != nil {
		return out, err
	}
	if out.Past, err = pastSales(tx, in.Agency, out.ID); err != nil {
		return out, err
	}
	detail := packageChange(&old, &out.Package, was, in.Viewers)
	if detail == "" {
		return out, nil // nothing changed
	}
	verb := "package.change"
	if in.ID.IsZero() {
		verb = "package.create"
	}
	return out, s.audit(tx, in.Agency, in.By, verb, out.ID.String(), detail, "", now)
}

// lockPackages reads an agency and all its packages in order. Two people who
// arrange them at once take turns at the agency's row.
func lockPackages(tx *gorm.DB, id models.AgencyID) (models.Agency, []models.Package, error) {
	var agency models.Agency
	var rows []models.Package
	if err := tx.Clauses(clause.Locking{Strength: "NO KEY UPDATE"}).Where("id = ?", id).Take(&agency).Error; err != nil {
		return agency, nil, missing(err, "agency")
	}
	return agency, rows, tx.Where("agency_id = ?", id).Order("position, id").Find(&rows).Error
}

func editable(rows []models.Package, id models.PackageID) (models.Package, error) {
	i := slices.IndexFunc(rows, func(p models.Package) bool { return p.ID == id }) //nolint:gocritic // the signature is slices'
	if i < 0 {
		return models.Package{}, problem.Missing("package")
	}
	if rows[i].ArchivedAt != 0 {
		return rows[i], problem.New(problem.Conflict, "package_archived", "%s is archived. Restore it to change it.", rows[i].Name)
	}
	return rows[i], nil
}

func nextPosition(rows []models.Package) int {
	next := 0
	for i := range rows {
		next = max(next, rows[i].Position+1)
	}
	return next
}

// checkPackage tells everything that is wrong with an edit, and whether it sells
// at a loss on purpose. A package that is put on sale needs an account that takes
// the money; one that is on sale already may be changed while Stripe has paused it.
func (s *Service) checkPackage(ctx context.Context, tx *gorm.DB, agency *models.Agency, in *PackageEdit, putOn bool, now models.Time) (lossy bool, err error) {
	wrong := []error{checkName(in.Name), checkSize(in.Credits), checkPackagePrice(in.Price, agency.Currency), in.checkTexts(), in.checkReach()}
	wrong = append(wrong, in.checkBasis())
	if in.Every != models.PackageOnce && in.Every != models.PackageMonthly {
		wrong = append(wrong, problem.New(problem.Invalid, "invalid_every", "A package is paid once or every month.").On("every"))
	}
	if errors.Join(wrong...) == nil { // a margin of sound amounts only
		costs, err := s.costsOf(ctx, tx, agency, now)
		if err != nil {
			return false, err
		}
		m := costs.reckon(in.Credits, in.Price, costs.Pick(in.CostBasis, in.OwnCost))
		if lossy = m != nil && m.Lossy(); lossy && !in.LossAccepted {
			wrong = append(wrong, soldAtLoss(m))
		}
	}
	if in.Audience == models.AudienceChosen && len(in.Viewers) > 0 {
		var known int64
		if err := tx.Model(&models.SubAccount{}).Where("agency_id = ? AND id IN ?", in.Agency, in.Viewers).Count(&known).Error; err != nil {
			return lossy, err
		}
		if known != int64(len(in.Viewers)) {
			wrong = append(wrong, problem.Missing("sub-account").On("audience"))
		}
	}
	if in.OnSale && errors.Join(wrong...) == nil {
		wrong = append(wrong, checkOffers(tx, in))
	}
	if putOn && errors.Join(wrong...) == nil {
		wrong = append(wrong, checkConnected(tx, agency.ID))
	}
	return lossy, errors.Join(wrong...)
}

// checkOffers refuses a package that would be one too many for a client.
func checkOffers(tx *gorm.DB, in *PackageEdit) error {
	var onSale []models.Package
	if err := tx.Where("agency_id = ? AND on_sale AND archived_at = 0", in.Agency).Find(&onSale).Error; err != nil {
		return err
	}
	viewers, err := viewersOf(tx, in.Agency)
	if err != nil {
		return err
	}
	toAll := 1 // with this one
	toOne := map[models.SubAccountID]int{}
	for i := range onSale {
		switch p := &onSale[i]; {
		case p.ID == in.ID:
		case p.Audience == models.AudienceAll:
			toAll++
		default:
			for _, v := range viewers[p.ID] {
				toOne[v]++
			}
		}
	}
	seen := toAll
	for v, n := range toOne {
		if in.Audience == models.AudienceAll || slices.Contains(in.Viewers, v) {
			seen = max(seen, toAll+n)
		}
	}
	if seen > maxOffers {
		return problem.New(problem.Conflict, "too_many_on_sale",
			"A client would see %d packages on sale, and %d is the most. Take another off sale first, or save this one as a draft.", seen, maxOffers).On("on_sale")
	}
	return nil
}

func checkSize(c models.Credits) error {
	if c < models.Credit || c > models.MaxCharge {
		return problem.New(problem.Invalid, "invalid_credits", "A package holds 1 to %s credits.", mostCredits()).On("credits")
	}
	return nil
}

func checkPackagePrice(price int64, currency string) error {
	code := strings.ToUpper(currency)
	plain := func(amount int64) string {
		return models.Money{Amount: amount, Currency: currency}.Decimal() + " " + code
	}
	switch least := MinimumCharge(currency); {
	case price < max(1, least):
		return problem.New(problem.Invalid, "price_too_low", "Stripe takes %s at the least; enter a price of that or more.", plain(max(1, least))).
			On("price").With("minimum", max(1, least))
	case price > maxPrice:
		return problem.New(problem.Invalid, "price_too_high", "One payment is %s at the most; make the package smaller.", plain(maxPrice)).On("price")
	case models.MinorDigits(currency) == 3 && price%10 != 0:
		return problem.New(problem.Invalid, "price_decimals", "Card networks take two decimals of %s; end the price with a 0.", code).On("price")
	}
	return nil
}

func (in *PackageEdit) checkTexts() error {
	var wrong []error
	if utf8.RuneCountInString(in.Badge) > maxBadge {
		wrong = append(wrong, problem.New(problem.Invalid, "badge_too_long", "A badge has at most %d characters.", maxBadge).On("badge"))
	}
	if utf8.RuneCountInString(in.Note) > maxPackageNote {
		wrong = append(wrong, problem.New(problem.Invalid, "note_too_long", "A note has at most %d characters.", maxPackageNote).On("note"))
	}
	return errors.Join(wrong...)
}

func (in *PackageEdit) checkReach() error {
	var wrong []error
	if in.Audience != models.AudienceAll && in.Audience != models.AudienceChosen {
		wrong = append(wrong, problem.New(problem.Invalid, "invalid_audience", "A package is for all sub-accounts or for chosen ones.").On("audience"))
	}
	if in.Audience == models.AudienceChosen && len(in.Viewers) == 0 {
		wrong = append(wrong, problem.New(problem.Invalid, "audience_empty", "Choose at least one sub-account, or make the package visible to all.").On("audience"))
	}
	if in.MonthlyLimit < 0 || in.MonthlyLimit > maxMonthlyLimit {
		wrong = append(wrong, problem.New(problem.Invalid, "invalid_monthly_limit", "A limit is 1 to %d purchases a month, or none.", maxMonthlyLimit).On("monthly_limit"))
	}
	return errors.Join(wrong...)
}

func (in *PackageEdit) checkBasis() error {
	switch in.CostBasis {
	case models.CostHeld, models.CostLast, models.CostBest, models.CostPlan:
	case models.CostOwn:
		if in.OwnCost <= 0 {
			return problem.New(problem.Invalid, "invalid_own_cost", "Enter what a credit costs you, such as 0.0029.").On("own_cost")
		}
	default:
		return problem.New(problem.Invalid, "invalid_cost_basis", "The cost basis is held, last, best, plan or own.").On("cost_basis")
	}
	return nil
}

func soldAtLoss(m *Margin) error {
	code := strings.ToUpper(m.Price.Currency)
	loss := models.Money{Amount: -m.Keep.Amount, Currency: m.Keep.Currency}
	return problem.New(problem.Invalid, "sold_at_loss", "You would lose %s %s on each sale; it breaks even at %s %s. Raise the price, or accept the loss on purpose.",
		loss.Decimal(), code, m.BreakEven.Decimal(), code).On("price").With("loss", loss).With("break_even", m.BreakEven)
}

func checkConnected(tx *gorm.DB, agency models.AgencyID) error {
	open, err := mayTakeMoney(tx, agency)
	if err != nil || open {
		return err
	}
	return problem.New(problem.Conflict, "not_connected", "Connect your Stripe account before you put a package on sale; until then save it as a draft.").On("on_sale")
}

func appendPrice(tx *gorm.DB, p *models.Package, by Actor, now models.Time) error {
	var newest int
	if err := tx.Model(&models.PackagePrice{}).Where("agency_id = ? AND package_id = ?", p.AgencyID, p.ID).
		Select("COALESCE(MAX(number), 0)").Scan(&newest).Error; err != nil {
		return err
	}
	return tx.Create(&models.PackagePrice{
		AgencyID: p.AgencyID, PackageID: p.ID, Number: newest + 1, Credits: p.Credits, Price: p.Price, SetBy: string(by), CreatedAt: now,
	}).Error
}

// setViewers writes who may buy a package and tells who might before.
func setViewers(tx *gorm.DB, p *models.Package, viewers []models.SubAccountID) ([]models.SubAccountID, error) {
	var old []models.PackageViewer
	if err := tx.Where("agency_id = ? AND package_id = ?", p.AgencyID, p.ID).Order("sub_account_id").Find(&old).Error; err != nil {
		return nil, err
	}
	was := make([]models.SubAccountID, len(old))
	for i := range old {
		was[i] = old[i].SubAccountID
	}
	if slices.Equal(was, viewers) {
		return was, nil
	}
	if err := tx.Where("agency_id = ? AND package_id = ?", p.AgencyID, p.ID).Delete(&models.PackageViewer{}).Error; err != nil {
		return was, err
	}
	rows := make([]models.PackageViewer, len(viewers))
	for i, v := range viewers {
		rows[i] = models.PackageViewer{AgencyID: p.AgencyID, PackageID: p.ID, SubAccountID: v}
	}
	if len(rows) == 0 {
		return was, nil
	}
	return was, tx.Create(&rows).Error
}

// packageChange is what an edit changed, in words for the audit log; "" nothing.
func packageChange(old, p *models.Package, was, viewers []models.SubAccountID) string {
	if old.ID.IsZero() {
		text := fmt.Sprintf("%s: %s for %s %s", p.Name, p.Credits.Counted(), p.Total().Decimal(), p.Currency)
		if p.OnSale {
			text += ", on sale"
		}
		return text
	}
	var out []string
	add := func(what, before, after string) {
		if before != after {
			out = append(out, what+": "+before+" → "+after)
		}
	}
	add("name", old.Name, p.Name)
	add("credits", old.Credits.String(), p.Credits.String())
	add("price", old.Total().Decimal()+" "+old.Currency, p.Total().Decimal()+" "+p.Currency)
	add("paid", string(cmp.Or(old.Every, models.PackageOnce)), string(p.Every))
	add("badge", old.Badge, p.Badge)
	add("note", old.Note, p.Note)
	add("audience", string(old.Audience), string(p.Audience))
	if !slices.Equal(was, viewers) {
		add("viewers", strconv.Itoa(len(was)), strconv.Itoa(len(viewers))+" chosen")
	}
	add("monthly limit", strconv.Itoa(old.MonthlyLimit), strconv.Itoa(p.MonthlyLimit))
	add("cost basis", string(old.CostBasis), string(p.CostBasis))
	add("own cost", strconv.FormatInt(int64(old.OwnCost), 10), strconv.FormatInt(int64(p.OwnCost), 10))
	add("loss accepted", flag(old.LossAccepted), flag(p.LossAccepted))
	add("on sale", flag(old.OnSale), flag(p.OnSale))
	return strings.Join(out, "; ")
}

// PutOnSale lets clients buy a package from now on. Errors: not_found,
// not_connected, package_archived, and as SavePackage for what has become wrong
// since: sold_at_loss when its credits got dearer.
func (s *Service) PutOnSale(ctx context.Context, scope Scope, agency models.AgencyID, id models.PackageID, by Actor) (models.Package, error) {
	return s.setOnSale(ctx, scope, agency, id, true, by)
}

// TakeOffSale ends that; checkouts that are open may still be paid. Errors:
// not_found, package_archived.
func (s *Service) TakeOffSale(ctx context.Context, scope Scope, agency models.AgencyID, id models.PackageID, by Actor) (models.Package, error) {
	return s.setOnSale(ctx, scope, agency, id, false, by)
}

func (s *Service) setOnSale(ctx context.Context, scope Scope, agencyID models.AgencyID, id models.PackageID, on bool, by Actor) (models.Package, error) {
	now := s.clock.Now()
	var p models.Package
	if !scope.Covers(agencyID) {
		return p, problem.Missing("package")
	}
	err := s.db.InTx(ctx, func(tx *gorm.DB) error {
		agency, rows, err := lockPackages(tx, agencyID)
		if err != nil {
			return err
		}
		if p, err = editable(rows, id); err != nil || p.OnSale == on {
			return err
		}
		if on {
			if err := s.checkSellable(ctx, tx, &agency, &p, now); err != nil {
				return err
			}
		}
		p.OnSale = on
		if err := tx.Model(&models.Package{}).Where("agency_id = ? AND id = ?", agencyID, id).Update("on_sale", on).Error; err != nil {
			return err
		}
		return s.audit(tx, agencyID, by, "package.change", id.String(), "on sale: "+flag(!on)+" → "+flag(on), "", now)
	})
	return p, err
}

// checkSellable holds a stored package against what may have changed since it was
// saved.
func (s *Service) checkSellable(ctx context.Context, tx *gorm.DB, agency *models.Agency, p *models.Package, now models.Time) error {
	var viewers []models.PackageViewer
	if err := tx.Where("agency_id = ? AND package_id = ?", p.AgencyID, p.ID).Find(&viewers).Error; err != nil {
		return err
	}
	in := PackageEdit{
		Agency: p.AgencyID, ID: p.ID, Name: p.Name, Credits: p.Credits, Price: p.Price, Badge: p.Badge, Note: p.Note, Audience: p.Audience,
		MonthlyLimit: p.MonthlyLimit, CostBasis: p.CostBasis, OwnCost: p.OwnCost, Every: p.Every, LossAccepted: p.LossAccepted, OnSale: true,
	}
	for _, v := range viewers {
		in.Viewers = append(in.Viewers, v.SubAccountID)
	}
	_, err := s.checkPackage(ctx, tx, agency, &in, true, now)
	return err
}

// MovePackage moves a package one place up or down in the order that clients see.
// At the end it stays where it is. Errors: not_found, package_archived.
func (s *Service) MovePackage(ctx context.Context, scope Scope, agency models.AgencyID, id models.PackageID, up bool, by Actor) error {
	now := s.clock.Now()
	if !scope.Covers(agency) {
		return problem.Missing("package")
	}
	return s.db.InTx(ctx, func(tx *gorm.DB) error {
		_, rows, err := lockPackages(tx, agency)
		if err != nil {
			return err
		}
		moved, err := editable(rows, id)
		if err != nil {
			return err
		}
		rows = slices.DeleteFunc(rows, func(p models.Package) bool { return p.ArchivedAt != 0 }) //nolint:gocritic // the signature is slices'
		i := slices.IndexFunc(rows, func(p models.Package) bool { return p.ID == id })           //nolint:gocritic // as above
		to := i + 1
		if up {
			to = i - 1
		}
		if to < 0 || to >= len(rows) {
			return nil
		}
		rows[i], rows[to] = rows[to], rows[i]
		for place := range rows {
			if rows[place].Position == place {
				continue
			}
			if err := tx.Model(&models.Package{}).Where("agency_id = ? AND id = ?", agency, rows[place].ID).Update("position", place).Error; err != nil {
				return err
			}
		}
		return s.audit(tx, agency, by, "package.move", id.String(), fmt.Sprintf("%s: place %d → %d", moved.Name, i+1, to+1), "", now)
	})
}

// ArchivePackage takes a package off sale and out of the list; past purchases
// keep it. Errors: not_found.
func (s *Service) ArchivePackage(ctx context.Context, scope Scope, agency models.AgencyID, id models.PackageID, by Actor) (models.Package, error) {
	return s.setArchived(ctx, scope, agency, id, true, by)
}

// RestorePackage brings an archived package back, last in order and not on sale.
// Errors: not_found.
func (s *Service) RestorePackage(ctx context.Context, scope Scope, agency models.AgencyID, id models.PackageID, by Actor) (models.Package, error) {
	return s.setArchived(ctx, scope, agency, id, false, by)
}

func (s *Service) setArchived(ctx context.Context, scope Scope, agency models.AgencyID, id models.PackageID, archive bool, by Actor) (models.Package, error) {
	now := s.clock.Now()
	var p models.Package
	if !scope.Covers(agency) {
		return p, problem.Missing("package")
	}
	err := s.db.InTx(ctx, func(tx *gorm.DB) error {
		_, rows, err := lockPackages(tx, agency)
		if err != nil {
			return err
		}
		if p, err = editable(rows, id); err != nil && !problem.Is(err, "package_archived") {
			return err
		}
		if (p.ArchivedAt != 0) == archive {
			return nil
		}
		verb := "package.archive"
		p.ArchivedAt, p.OnSale = now, false
		if !archive {
			verb = "package.restore"
			p.ArchivedAt, p.Position = 0, nextPosition(rows)
		}
		if err := tx.Model(&models.Package{}).Where("agency_id = ? AND id = ?", agency, id).
			Updates(map[string]any{"archived_at": p.ArchivedAt, "on_sale": p.OnSale, "position": p.Position}).Error; err != nil {
			return err
		}
		return s.audit(tx, agency, by, verb, id.String(), p.Name, "", now)
	})
	return p, err
}

// soldWithin is how far back a package's sales are counted.
const soldWithin = 30 * 24 * time.Hour

// PackageRow is a package with what its agency wants to know of it.
type PackageRow struct {
	models.Package

	Basis   CostOption // reckoned with
	Margin  *Margin    // nil: the cost is not known
	Viewers int        // of a chosen audience
	Sold    int64      // in the last 30 days
	Short   bool       // there is not enough stock for one sale
}

// PackageList is an agency's packages.
type PackageList struct {
	Rows      []PackageRow // in the order that clients see
	Archived  []PackageRow // newest first
	Ladder    []LadderBreak
	Connected bool             // the Stripe account takes money
	Ready     []models.Package // the ready-made ones; none once there are packages
}

// Packages reads an agency's packages with their margins as of now. Errors:
// not_found.
func (s *Service) Packages(ctx context.Context, scope Scope, agencyID models.AgencyID) (PackageList, error) {
	now := s.clock.Now()
	var out PackageList
	if !scope.Covers(agencyID) {
		return out, problem.Missing("agency")
	}
	err := s.db.Snapshot(ctx, func(tx *gorm.DB) error {
		var agency models.Agency
		if err := tx.Where("id = ?", agencyID).Take(&agency).Error; err != nil {
			return missing(err, "agency")
		}
		var rows []models.Package
		if err := tx.Where("agency_id = ?", agencyID).Order("position, id").Find(&rows).Error; err != nil {
			return err
		}
		costs, err := s.costsOf(ctx, tx, &agency, now)
		if err != nil {
			return err
		}
		viewers, err := viewersOf(tx, agencyID)
		if err != nil {
			return err
		}
		sold, err := soldSince(tx, agencyID, now.Add(-soldWithin))
		if err != nil {
			return err
		}
		if out.Connected, err = mayTakeMoney(tx, agencyID); err != nil {
			return err
		}
		var onSale []models.Package
		for i := range rows {
			row := packageRow(&rows[i], &costs)
			row.Viewers, row.Sold = len(viewers[row.ID]), sold[row.ID]
			if row.ArchivedAt != 0 {
				out.Archived = append(out.Archived, row)
				continue
			}
			out.Rows = append(out.Rows, row)
			if row.OnSale {
				onSale = append(onSale, row.Package)
			}
		}
		out.Ladder = ladderBreaks(onSale, viewers)
		if len(rows) == 0 {
			out.Ready, err = readyMade(tx, &agency, &costs)
		}
		return err
	})
	slices.SortStableFunc(out.Archived, func(a, b PackageRow) int { return cmp.Compare(b.ArchivedAt, a.ArchivedAt) }) //nolint:gocritic // the signature is slices'
	return out, err
}

func packageRow(p *models.Package, costs *Costs) PackageRow {
	row := PackageRow{Package: *p, Basis: costs.Pick(p.CostBasis, p.OwnCost), Short: costs.Stock < p.Credits}
	if p.Currency == costs.Currency {
		row.Margin = costs.reckon(p.Credits, p.Price, row.Basis)
	}
	return row
}

func soldSince(tx *gorm.DB, agency models.AgencyID, since models.Time) (map[models.PackageID]int64, error) {
	var rows []struct {
		PackageID models.PackageID
		Sold      int64
	}
	err := tx.Model(&models.Purchase{}).Select("package_id, COUNT(*) AS sold").
		Where("agency_id = ? AND package_id IS NOT NULL AND credited_at > ? AND status = ?", agency, max(0, since), models.PurchaseCredited).
		Group("package_id").Scan(&rows).Error
	out := make(map[models.PackageID]int64, len(rows))
	for _, r := range rows {
		out[r.PackageID] = r.Sold
	}
	return out, err
}

// pastSales counts every purchase of a package that was credited.
func pastSales(tx *gorm.DB, agency models.AgencyID, id models.PackageID) (n int64, err error) {
	return n, tx.Model(&models.Purchase{}).Where("agency_id = ? AND package_id = ? AND credited_at > 0", agency, id).Count(&n).Error
}

// PackageDetail is one package with its history.
type PackageDetail struct {
	PackageRow

	Chosen []models.SubAccountID // of a chosen audience
	Prices []models.PackagePrice // newest first
	Past   int64                 // purchases so far
}

// Package reads one package. Errors: not_found.
func (s *Service) Package(ctx context.Context, scope Scope, agencyID models.AgencyID, id models.PackageID) (PackageDetail, error) {
	now := s.clock.Now()
	var out PackageDetail
	if !scope.Covers(agencyID) {
		return out, problem.Missing("package")
	}
	err := s.db.Snapshot(ctx, func(tx *gorm.DB) error {
		var agency models.Agency
		var p models.Package
		if err := tx.Where("agency_id = ? AND id = ?", agencyID, id).Take(&p).Error; err != nil {
			return missing(err, "package")
		}
		if err := tx.Where("id = ?", agencyID).Take(&agency).Error; err != nil {
			return err
		}
		costs, err := s.costsOf(ctx, tx, &agency, now)
		if err != nil {
			return err
		}
		out.PackageRow = packageRow(&p, &costs)
		var viewers []models.PackageViewer
		if err := tx.Where("agency_id = ? AND package_id = ?", agencyID, id).Order("sub_account_id").Find(&viewers).Error; err != nil {
			return err
		}
		for _, v := range viewers {
			out.Chosen = append(out.Chosen, v.SubAccountID)
		}
		out.Viewers = len(out.Chosen)
		if err := tx.Where("agency_id = ? AND package_id = ?", agencyID, id).Order("number DESC").Find(&out.Prices).Error; err != nil {
			return err
		}
		sold, err := soldSince(tx, agencyID, now.Add(-soldWithin))
		if err != nil {
			return err
		}
		out.Sold = sold[id]
		out.Past, err = pastSales(tx, agencyID, id)
		return err
	})
	return out, err
}

// PackagePage lists an agency's packages by id, archived ones included, from
// after one on.
func (s *Service) PackagePage(ctx context.Context, scope Scope, agency models.AgencyID, after models.PackageID, limit int) ([]PackageDetail, error) {
	if !scope.Covers(agency) {
		return nil, problem.Missing("agency")
	}
	list, err := s.Packages(ctx, scope, agency)
	if err != nil {
		return nil, err
	}
	all := append(list.Rows, list.Archived...)
	slices.SortFunc(all, func(a, b PackageRow) int { return a.ID.Compare(b.ID) })             //nolint:gocritic // the signature is slices'
	all = slices.DeleteFunc(all, func(r PackageRow) bool { return r.ID.Compare(after) <= 0 }) //nolint:gocritic // as above
	all = all[:min(limit, len(all))]
	viewers, err := viewersOf(s.db.Read.WithContext(ctx), agency)
	out := make([]PackageDetail, len(all))
	for i := range all {
		out[i] = PackageDetail{PackageRow: all[i], Chosen: viewers[all[i].ID]}
	}
	return out, err
}

// readyMade are three packages of the sizes of the agency's packs, at a margin of
// 50 % over its best pack. Packs by quantity are taken at 1, 5 and 20 times their
// minimum. There are none where the agency cannot buy credits to sell.
func readyMade(tx *gorm.DB, agency *models.Agency, costs *Costs) ([]models.Package, error) {
	packs, err := packsFor(tx, agency.ID)
	if err != nil {
		return nil, err
	}
	var sizes []models.Credits
	for i := range packs {
		if packs[i].Currency != agency.Currency {
			continue
		}
		if packs[i].Kind == models.PackFixed {
			sizes = append(sizes, packs[i].Credits)
			continue
		}
		for _, times := range []models.Credits{1, 5, 20} {
			sizes = append(sizes, times*packs[i].Minimum)
		}
	}
	slices.Sort(sizes)
	sizes = slices.Compact(sizes)
	if n := len(sizes); n > 3 {
		sizes = []models.Credits{sizes[0], sizes[n/2], sizes[n-1]}
	}
	var out []models.Package
	basis := costs.Pick(models.CostBest, 0)
	for i, size := range sizes {
		m := costs.reckon(size, 0, basis)
		if m == nil || m.Targets[1].Price.Amount == 0 {
			continue
		}
		out = append(out, models.Package{
			AgencyID: agency.ID, Name: []string{"Starter", "Growth", "Scale"}[i], Credits: size, Price: m.Targets[1].Price.Amount, Currency: agency.Currency,
			Audience: models.AudienceAll, CostBasis: models.CostBest, Position: len(out),
		})
	}
	return out, nil
}

// CreateReadyMade makes the three ready-made packages, not on sale. Errors:
// not_found, packages_exist once there is any.
func (s *Service) CreateReadyMade(ctx context.Context, scope Scope, agencyID models.AgencyID, by Actor) ([]models.Package, error) {
	now := s.clock.Now()
	if !scope.Covers(agencyID) {
		return nil, problem.Missing("agency")
	}
	var out []models.Package
	err := s.db.InTx(ctx, func(tx *gorm.DB) error {
		agency, rows, err := lockPackages(tx, agencyID)
		if err != nil {
			return err
		}
		if len(rows) > 0 {
			return problem.New(problem.Conflict, "packages_exist", "There are packages already; the ready-made ones are for a start from nothing.")
		}
		costs, err := s.costsOf(ctx, tx, &agency, now)
		if err != nil {
			return err
		}
		if out, err = readyMade(tx, &agency, &costs); err != nil {
			return err
		}
		for i := range out {
			p := &out[i]
			p.ID, p.CreatedAt = models.NewID[models.PackageID](now), now
			if err := tx.Create(p).Error; err != nil {
				return err
			}
			if err := appendPrice(tx, p, by, now); err != nil {
				return err
			}
			if err := s.audit(tx, agencyID, by, "package.create", p.ID.String(), packageChange(&models.Package{}, p, nil, nil), "ready-made", now); err != nil {
				return err
			}
		}
		return nil
	})
	return out, err
}
