package billing

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"refill/billing/ledger"
	"refill/billing/mail"
	"refill/billing/period"
	"refill/billing/problem"
	"refill/models"
)

// MaxBrandName bounds the names of a brand, in characters.
const MaxBrandName = 60

// MaxBrandLinks bounds the links at the foot of a portal.
const MaxBrandLinks = 4

// brandsKept is how many published versions are kept to go back to.
const brandsKept = 20

// brandTTL is how long a published brand is remembered: it never changes.
const brandTTL = 365 * 24 * time.Hour

type brandKey struct {
	agency  models.AgencyID
	version int
}

// BrandInput is a whole draft.
type BrandInput struct {
	Agency        models.AgencyID
	Name          string // of the portal; "" the agency's
	Colour        string // "#rrggbb"; "" the usual one
	Support       string // e-mail address or https address; "" none
	SenderName    string // of mails; "" the portal's name
	SenderAddress string // of mails, at a verified domain of the agency's; "" the platform's
	Logo          []byte // an uploaded picture; nil: as it was
	NoLogo        bool   // take the one there is away, and with it that of dark pages
	LogoDark      []byte // as Logo, in its place on dark pages
	NoLogoDark    bool
	Icon          []byte // as Logo, in the browser's tab
	NoIcon        bool
	Corners       models.Corners
	Links         []models.BrandLink // at the foot of every page, at most MaxBrandLinks
	By            Actor
}

// BrandDesk is what an owner sees of the brand.
type BrandDesk struct {
	Draft     *models.Brand // nil: nothing waits to be published
	Published models.Brand  // what clients see, with the agency's name where none was chosen
	Logo      *models.Logo  // of the draft, or of what is published; without its picture
	LogoDark  *models.Logo  // likewise
	Icon      *models.Logo
	Versions  []models.Brand
	Senders   []string // verified domains, where mails may come from
}

// Edited is what the form shows: the draft, or what is published.
func (d *BrandDesk) Edited() models.Brand {
	if d.Draft != nil {
		return *d.Draft
	}
	return d.Published
}

// BrandOf is what an agency's clients see. Name is never empty.
func (s *Service) BrandOf(ctx context.Context, agency *models.Agency) (models.Brand, error) {
	return s.brandIn(s.db.Read.WithContext(ctx), agency)
}

func (s *Service) brandIn(db *gorm.DB, agency *models.Agency) (models.Brand, error) {
	out := models.Brand{AgencyID: agency.ID}
	if agency.Brand > 0 {
		var err error
		out, err = s.brands.get(brandKey{agency.ID, agency.Brand}, s.people.wall.Now(), func() (b models.Brand, err error) {
			return b, db.Where("agency_id = ? AND version = ?", agency.ID, agency.Brand).Take(&b).Error
		})
		if err != nil {
			return models.Brand{}, fmt.Errorf("read a brand: %w", err)
		}
	}
	out.Name = cmp.Or(out.Name, strings.TrimSpace(agency.Name))
	return out, nil
}

// DraftBrand is BrandOf for who looks at what is not published yet.
func (s *Service) DraftBrand(ctx context.Context, agency *models.Agency) (models.Brand, error) {
	draft, err := draftOf(s.db.Read.WithContext(ctx), agency.ID)
	if err != nil {
		return models.Brand{}, err
	}
	if draft == nil {
		return models.Brand{}, problem.Missing("draft")
	}
	draft.Name = cmp.Or(draft.Name, strings.TrimSpace(agency.Name))
	return *draft, nil
}

func draftOf(db *gorm.DB, agency models.AgencyID) (*models.Brand, error) {
	var found []models.Brand
	if err := db.Where("agency_id = ? AND version = 0", agency).Find(&found).Error; err != nil || len(found) == 0 {
		return nil, err
	}
	return &found[0], nil
}

// BrandDesk reads an agency's brand with its draft and its past.
func (s *Service) BrandDesk(ctx context.Context, agency *models.Agency) (BrandDesk, error) {
	db := s.db.Read.WithContext(ctx)
	var out BrandDesk
	var err error
	if out.Published, err = s.brandIn(db, agency); err != nil {
		return out, err
	}
	if out.Draft, err = draftOf(db, agency.ID); err != nil {
		return out, err
	}
	if err := db.Where("agency_id = ? AND version > 0", agency.ID).Order("version DESC").Limit(brandsKept).Find(&out.Versions).Error; err != nil {
		return out, err
	}
	if out.Senders, err = verifiedDomains(db, agency.ID); err != nil {
		return out, err
	}
	edited := out.Edited()
	var made []models.Logo
	if err := db.Omit("png").Where("agency_id = ? AND name IN ?", agency.ID, []string{edited.Logo, edited.LogoDark, edited.Icon}).Find(&made).Error; err != nil {
		return out, err
	}
	for i := range made {
		switch made[i].Name {
		case edited.Logo:
			out.Logo = &made[i]
		case edited.LogoDark:
			out.LogoDark = &made[i]
		case edited.Icon:
			out.Icon = &made[i]
		}
	}
	return out, nil
}

func verifiedDomains(db *gorm.DB, agency models.AgencyID) ([]string, error) {
	var out []string
	return out, db.Model(&models.Host{}).Where("agency_id = ?", agency).Order("name").Pluck("name", &out).Error
}

// SaveBrandDraft keeps a draft, which clients do not see before it is published.
// Errors: not_found, invalid_brand_name, reserved_name, invalid_colour,
// invalid_support, invalid_sender_address, sender_domain_unverified, invalid_logo,
// logo_too_large, logo_svg, logo_dark_alone, icon_not_square, invalid_corners,
// invalid_links.
func (s *Service) SaveBrandDraft(ctx context.Context, scope Scope, in BrandInput) error { //nolint:gocritic // once per form
	if !scope.Covers(in.Agency) {
		return problem.Missing("agency")
	}
	row, err := s.checkBrand(&in)
	pictures, wrong := s.brandPictures(ctx, &in)
	if err := errors.Join(err, wrong); err != nil {
		return err
	}
	now := s.clock.Now()
	row.CreatedAt = now
	return s.db.InTx(ctx, func(tx *gorm.DB) error {
		agency, err := lockAgency(tx, in.Agency)
		if err != nil {
			return err
		}
		if err := checkSender(tx, in.Agency, row.SenderAddress); err != nil {
			return err
		}
		before, err := draftOf(tx, in.Agency)
		if err != nil {
			return err
		}
		if before == nil {
			published, err := s.brandIn(tx, &agency)
			if err != nil {
				return err
			}
			before = &published
		}
		if err := pictures.wear(tx, &row, before, &in); err != nil {
			return err
		}
		if err := tx.Clauses(clause.OnConflict{UpdateAll: true}).Create(&row).Error; err != nil {
			return err
		}
		if err := dropLogos(tx, in.Agency); err != nil {
			return err
		}
		return s.audit(tx, in.Agency, in.By, "brand.draft", in.Agency.String(), brandWords(&row), "", now)
	})
}

// pictures are those that came with a brand; nil where none did.
type pictures struct{ logo, dark, icon *models.Logo }

// brandPictures makes the pictures that were uploaded. Errors: as newPicture.
func (s *Service) brandPictures(ctx context.Context, in *BrandInput) (pictures, error) {
	var out pictures
	var wrong []error
	for _, one := range []struct {
		upload []byte
		use    pictureUse
		into   **models.Logo
	}{{in.Logo, asLogo, &out.logo}, {in.LogoDark, asDarkLogo, &out.dark}, {in.Icon, asIcon, &out.icon}} {
		if len(one.upload) == 0 {
			continue
		}
		made, err := s.makePicture(ctx, one.upload, one.use)
		if err != nil {
			wrong = append(wrong, err)
			continue
		}
		*one.into = made
	}
	return out, errors.Join(wrong...)
}

// wear stores the pictures and gives a draft those it has from now on: new ones, or
// as before what is not taken away. Errors: logo_dark_alone.
func (p *pictures) wear(tx *gorm.DB, row, before *models.Brand, in *BrandInput) error {
	for _, made := range []*models.Logo{p.logo, p.dark, p.icon} {
		if made == nil {
			continue
		}
		made.AgencyID, made.CreatedAt = row.AgencyID, row.CreatedAt
		if err := tx.Create(made).Error; err != nil {
			return err
		}
	}
	switch {
	case p.logo != nil:
		row.Logo, row.LogoWidth, row.LogoHeight = p.logo.Name, p.logo.Width, p.logo.Height
	case !in.NoLogo:
		row.Logo, row.LogoWidth, row.LogoHeight = before.Logo, before.LogoWidth, before.LogoHeight
	}
	switch {
	case p.dark != nil && row.Logo == "":
		return problem.New(problem.Invalid, "logo_dark_alone", "Choose a logo too: this one takes its place on dark pages.").On("logo_dark")
	case p.dark != nil:
		row.LogoDark, row.LogoDarkWidth, row.LogoDarkHeight = p.dark.Name, p.dark.Width, p.dark.Height
	case !in.NoLogoDark && row.Logo != "":
		row.LogoDark, row.LogoDarkWidth, row.LogoDarkHeight = before.LogoDark, before.LogoDarkWidth, before.LogoDarkHeight
	}
	switch {
	case p.icon != nil:
		row.Icon = p.icon.Name
	case !in.NoIcon:
		row.Icon = before.Icon
	}
	return nil
}

// lockAgency reads an agency while nobody else changes its brand or domains.
// Errors: not_found.
func lockAgency(tx *gorm.DB, id models.AgencyID) (models.Agency, error) {
	var out models.Agency
	return out, missing(tx.Clauses(clause.Locking{Strength: "NO KEY UPDATE"}).Where("id = ?", id).Take(&out).Error, "agency")
}

// dropLogos forgets pictures that no version shows.
func dropLogos(tx *gorm.DB, agency models.AgencyID) error {
	return tx.Where(`agency_id = ? AND name NOT IN (SELECT logo FROM brands WHERE agency_id = ?
		UNION SELECT logo_dark FROM brands WHERE agency_id = ? UNION SELECT icon FROM brands WHERE agency_id = ?)`, agency, agency, agency, agency).
		Delete(&models.Logo{}).Error
}

// PublishBrand shows the draft to clients from its commit on. Errors: not_found,
// no_draft.
func (s *Service) PublishBrand(ctx context.Context, scope Scope, id models.AgencyID, by Actor) error {
	return s.changeBrand(ctx, scope, id, func(tx *gorm.DB, agency *models.Agency) error {
		draft, err := draftOf(tx, id)
		if err != nil {
			return err
		}
		if draft == nil {
			return problem.New(problem.Conflict, "no_draft", "There is nothing to publish: clients see all that was saved.")
		}
		if err := checkSender(tx, id, draft.SenderAddress); err != nil {
			return err
		}
		if err := tx.Where("agency_id = ? AND version = 0", id).Delete(&models.Brand{}).Error; err != nil {
			return err
		}
		return s.putUp(tx, agency, *draft, by, "brand.publish")
	})
}

// UndoBrand shows clients again what they saw before a version was published; what
// was taken down becomes the draft unless there is one. Undoing once more brings
// it back. Errors: not_found, brand_changed when another version holds by now.
func (s *Service) UndoBrand(ctx context.Context, scope Scope, id models.AgencyID, version int, by Actor) error {
	return s.changeBrand(ctx, scope, id, func(tx *gorm.DB, agency *models.Agency) error {
		if agency.Brand != version || version == 0 {
			return problem.New(problem.Conflict, "brand_changed", "Another version was published meanwhile. Look at it first.")
		}
		var rows []models.Brand
		if err := tx.Where("agency_id = ? AND version IN ?", id, []int{0, version - 1, version}).Order("version").Find(&rows).Error; err != nil {
			return err
		}
		var now, before models.Brand
		drafted := false
		for _, r := range rows {
			switch r.Version {
			case version:
				now = r
			case 0:
				drafted = true
			default:
				before = r
			}
		}
		before.AgencyID = id
		if !drafted {
			now.Version = 0
			if err := tx.Create(&now).Error; err != nil {
				return err
			}
		}
		return s.putUp(tx, agency, before, by, "brand.undo")
	})
}

// DiscardBrandDraft forgets the draft; clients see what they saw. Errors:
// not_found.
func (s *Service) DiscardBrandDraft(ctx context.Context, scope Scope, id models.AgencyID, by Actor) error {
	return s.changeBrand(ctx, scope, id, func(tx *gorm.DB, _ *models.Agency) error {
		gone := tx.Where("agency_id = ? AND version = 0", id).Delete(&models.Brand{})
		if gone.Error != nil || gone.RowsAffected == 0 {
			return gone.Error
		}
		if err := dropLogos(tx, id); err != nil {
			return err
		}
		return s.audit(tx, id, by, "brand.discard", id.String(), "", "", s.clock.Now())
	})
}

func (s *Service) changeBrand(ctx context.Context, scope Scope, id models.AgencyID, change func(tx *gorm.DB, agency *models.Agency) error) error {
	if !scope.Covers(id) {
		return problem.Missing("agency")
	}
	err := s.db.InTx(ctx, func(tx *gorm.DB) error {
		agency, err := lockAgency(tx, id)
		if err != nil {
			return err
		}
		return change(tx, &agency)
	})
	s.forgetAccounts()
	return err
}

// putUp publishes a brand as the next version.
func (s *Service) putUp(tx *gorm.DB, agency *models.Agency, b models.Brand, by Actor, action string) error { //nolint:gocritic // a copy is what is wanted
	now := s.clock.Now()
	b.Version, b.CreatedBy, b.CreatedAt = agency.Brand+1, string(by), now
	if err := tx.Create(&b).Error; err != nil {
		return err
	}
	if err := tx.Model(&models.Agency{}).Where("id = ?", agency.ID).Update("brand", b.Version).Error; err != nil {
		return err
	}
	if err := tx.Where("agency_id = ? AND version > 0 AND version <= ?", agency.ID, b.Version-brandsKept).Delete(&models.Brand{}).Error; err != nil {
		return err
	}
	if err := dropLogos(tx, agency.ID); err != nil {
		return err
	}
	return s.audit(tx, agency.ID, by, action, agency.ID.String(), fmt.Sprintf("version %d: %s", b.Version, brandWords(&b)), "", now)
}

// brandWords tell a brand on one line.
func brandWords(b *models.Brand) string {
	logo := "none"
	switch {
	case b.LogoDark != "":
		logo = "for both themes"
	case b.Logo != "":
		logo = "yes"
	}
	if b.Icon != "" {
		logo += " · icon yes"
	}
	if b.Corners != models.CornersSoft {
		logo += " · corners " + string(b.Corners)
	}
	words := []string{fmt.Sprintf("name %s · colour %s · logo %s · support %s · mails from %s <%s>", inQuotes(b.Name), cmp.Or(b.Colour, "the usual"), logo,
		cmp.Or(b.Support, "none"), inQuotes(b.SenderName), cmp.Or(b.SenderAddress, "the platform's"))}
	for _, l := range b.Links {
		words = append(words, "link "+inQuotes(l.Label)+" "+l.URL)
	}
	return strings.Join(words, " · ")
}

// checkBrand gives the row of a draft, or all that is wrong with it.
func (s *Service) checkBrand(in *BrandInput) (models.Brand, error) {
	out := models.Brand{
		AgencyID: in.Agency, Colour: strings.ToLower(strings.TrimSpace(in.Colour)), Support: strings.TrimSpace(in.Support),
		SenderAddress: strings.TrimSpace(in.SenderAddress), CreatedBy: string(in.By),
	}
	var wrong []error
	var err error
	if out.Name, err = s.checkBrandName(in.Name, "name"); err != nil {
		wrong = append(wrong, err)
	}
	if out.Colour != "" && !strings.HasPrefix(out.Colour, "#") {
		out.Colour = "#" + out.Colour
	}
	if _, err := models.ParseColour(out.Colour); out.Colour != "" && err != nil {
		wrong = append(wrong, problem.New(problem.Invalid, "invalid_colour", "Write the colour as # and six digits, such as #2448c8.").On("colour"))
	}
	if !isSupport(out.Support) {
		wrong = append(wrong, problem.New(problem.Invalid, "invalid_support", "Give an e-mail address, or an address that begins with https://.").On("support"))
	}
	if out.Corners = in.Corners; !out.Corners.Known() {
		wrong = append(wrong, problem.New(problem.Invalid, "invalid_corners", "Choose soft, square or round corners.").On("corners"))
	}
	if out.Links, err = s.checkBrandLinks(in.Links); err != nil {
		wrong = append(wrong, err)
	}
	if out.SenderName, err = s.checkBrandName(in.SenderName, "sender_name"); err != nil {
		wrong = append(wrong, err)
	}
	if out.SenderAddress != "" && checkEmail(out.SenderAddress) != nil {
		wrong = append(wrong, problem.New(problem.Invalid, "invalid_sender_address", "Enter an e-mail address such as hello@example.com.").On("sender_address"))
	}
	return out, errors.Join(wrong...)
}

// checkBrandName is a name as a header can carry it: plain text on one line,
// which does not pass for the platform's.
func (s *Service) checkBrandName(name, field string) (string, error) {
	name = strings.Join(strings.Fields(name), " ")
	if !utf8.ValidString(name) || utf8.RuneCountInString(name) > MaxBrandName || strings.ContainsFunc(name, func(r rune) bool { return !unicode.IsPrint(r) && r != '\u200d' }) {
		return "", problem.New(problem.Invalid, "invalid_brand_name", "Write plain text of at most %d characters.", MaxBrandName).On(field)
	}
	if platform := letters(s.post.platform); platform != "" && strings.Contains(letters(name), platform) {
		return "", problem.New(problem.Invalid, "reserved_name", "This name would pass for the platform's. Choose your own.").On(field)
	}
	return name, nil
}

// letters is a name without what makes two that look alike differ.
func letters(name string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsLetter(r) && !unicode.IsDigit(r) {
			return -1
		}
		return unicode.ToLower(r)
	}, name)
}

// checkBrandLinks makes the links at the foot of a portal. Errors: invalid_links,
// invalid_brand_name, reserved_name.
func (s *Service) checkBrandLinks(links []models.BrandLink) (models.BrandLinks, error) {
	if len(links) > MaxBrandLinks {
		return nil, problem.New(problem.Invalid, "invalid_links", "At most %d links have room there.", MaxBrandLinks).On("links")
	}
	var out models.BrandLinks
	for i, l := range links {
		label, err := s.checkBrandName(l.Label, "links")
		if err != nil {
			return nil, err
		}
		l.Label, l.URL = label, strings.TrimSpace(l.URL)
		if l.Label == "" || !isWebPage(l.URL) {
			return nil, problem.New(problem.Invalid, "invalid_links", "Link %d needs a name, and an address that begins with https://.", i+1).On("links")
		}
		out = append(out, l)
	}
	return out, nil
}

func isSupport(s string) bool {
	return s == "" || checkEmail(s) == nil || isWebPage(s)
}

// isWebPage tells an address of a page that is read over TLS.
func isWebPage(s string) bool {
	u, err := url.Parse(s)
	return err == nil && len(s) <= 254 && utf8.ValidString(s) && u.Scheme == "https" && u.Hostname() != "" && u.User == nil
}

// BrandLetter is what a client would get by mail of an event, in a brand that need
// not be published. Its amounts are made up.
func (s *Service) BrandLetter(agency *models.Agency, b *models.Brand, event models.NoticeEvent) mail.Letter {
	now := s.clock.Now()
	facts := models.NoticeFacts{Credits: 2_000 * models.Credit, Left: exampleLeft, RunsOutAt: now.Add(exampleLasts)}
	if event == models.NoticePurchaseCredited {
		facts = models.NoticeFacts{Credits: 10_000 * models.Credit, Left: 11_204 * models.Credit, Amount: 60_00, Currency: agency.Currency}
	}
	voice := Voice{Client: true, Agency: strings.TrimSpace(agency.Name), Portal: b.Name, Platform: s.post.platform, Zone: Zone(agency.TimeZone)}
	return NoticeLetter(voice, &models.Notice{AgencyID: agency.ID, Event: event, Facts: facts, CreatedAt: now}, s.PortalURL(agency))
}

// What is left in examples of a low balance, and how long it lasts.
const (
	exampleLeft  = 1_204 * models.Credit
	exampleLasts = 3 * 24 * time.Hour
)

// RunLow makes a client's page one of a client that has few credits left, whatever
// it has: the amounts are those of BrandLetter.
func (o *OverviewData) RunLow() {
	b := &o.Balance
	b.State, b.Pool, b.CardDeclined, b.HeldJobs, b.Kept = ledger.StateLow, nil, false, 0, 0
	b.Wallet.Status, b.Wallet.Funding, b.Wallet.UsedAt = models.WalletActive, models.Prepaid, o.Now
	b.Balance = ledger.Balance{Available: exampleLeft, Purchased: exampleLeft}
	to := period.DayStart(o.Now, o.Account.Zone)
	o.Forecast = Forecast{
		Kind: ForecastRunsOut, PerDay: exampleLeft / models.Credits(exampleLasts/(24*time.Hour)), Daily: make([]models.Credits, paceDays),
		From: daysBack(to, o.Account.Zone, paceDays), To: to, Other: exampleLeft, RunsOutAt: o.Now.Add(exampleLasts),
	}
	for i := range o.Replies {
		o.Replies[i].Count = int64(exampleLeft / o.Replies[i].Credits)
	}
	for i := range o.Latest { // what was left after them is another story
		o.Latest[i].HasAfter = false
	}
}

// checkSender holds a sender's address to the domains the agency has proved: mail
// in somebody else's name is nobody's to send.
func checkSender(tx *gorm.DB, agency models.AgencyID, address string) error {
	if address == "" {
		return nil
	}
	own, err := sends(tx, agency, address)
	if err != nil || own {
		return err
	}
	_, domain, _ := strings.Cut(address, "@")
	return problem.New(problem.Invalid, "sender_domain_unverified", "Prove first that %s is yours, under Domain. Until then mails come from the portal's own address.", domain).On("sender_address")
}

// sends tells whether an address is at a domain that the agency has proved.
func sends(tx *gorm.DB, agency models.AgencyID, address string) (bool, error) {
	_, domain, _ := strings.Cut(strings.ToLower(address), "@")
	var n int64
	err := tx.Model(&models.Host{}).Where("name = ? AND agency_id = ?", domain, agency).Count(&n).Error
	return n > 0, err
}

// stamp puts an agency's brand on a letter, and tells the address it comes from:
// "" the platform's, also when the agency's domain is not proved any more.
func (s *Service) stamp(tx *gorm.DB, id models.AgencyID, l *mail.Letter) (from string, err error) {
	if id.IsZero() {
		return "", nil
	}
	var agency models.Agency
	if err := tx.Where("id = ?", id).Take(&agency).Error; err != nil {
		return "", err
	}
	b, err := s.brandIn(tx, &agency)
	if err != nil {
		return "", err
	}
	l.Sender = b.SenderName
	if c, err := models.ParseColour(b.Colour); err == nil {
		shades := c.Shades(false)
		l.Solid, l.On, l.Edge = shades.Solid.String(), shades.On.String(), shades.Edge.String()
	}
	if b.SenderAddress == "" {
		return "", nil
	}
	own, err := sends(tx, id, b.SenderAddress)
	if err != nil || !own {
		return "", err
	}
	return b.SenderAddress, nil
}

// supportMail is where answers to an agency's mails go, "" where it said nothing.
func supportMail(b *models.Brand) string {
	if checkEmail(b.Support) == nil {
		return b.Support
	}
	return ""
}

// Logo reads a picture of an agency's. Errors: not_found.
func (s *Service) Logo(ctx context.Context, agency models.AgencyID, name string) (models.Logo, error) {
	var out models.Logo
	return out, missing(s.db.Read.WithContext(ctx).Where("agency_id = ? AND name = ?", agency, name).Take(&out).Error, "logo")
}

// AnyClient is one of a viewer's agency's clients as its people see it, for a
// preview: one that has credits of its own left, if there is one. Errors: not_found
// when there is no client.
func (s *Service) AnyClient(ctx context.Context, who *Viewer) (Viewer, error) {
	var sub models.SubAccount
	err := s.db.Read.WithContext(ctx).Table("sub_accounts s").Select("s.*").
		Joins("JOIN wallets w ON w.agency_id = s.agency_id AND w.id = s.wallet_id").
		Where("s.agency_id = ? AND s.status = ?", who.Agency.ID, models.SubAccountActive).
		Order("CASE w.funding WHEN 'prepaid' THEN 0 ELSE 1 END, CASE WHEN w.balance > 0 THEN 0 ELSE 1 END, s.created_at, s.id").Limit(1).Take(&sub).Error
	if err != nil {
		return Viewer{}, missing(err, "client")
	}
	return Viewer{User: who.User, Agency: who.Agency, Role: models.RoleClient, SubAccount: &sub, Places: 1}, nil
}
