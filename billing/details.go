package billing

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"

	"gorm.io/gorm"

	"refill/billing/problem"
	"refill/models"
)

// sellerSetting holds the platform's billing details, JSON of models.Party.
const sellerSetting = "billing_details"

// maxDetail bounds a line of billing details, in characters.
const maxDetail = 120

// Party is whose details are meant.
type Party struct {
	Agency     models.AgencyID     // zero: the platform
	SubAccount models.SubAccountID // zero: the agency itself
}

// BillingDetails reads who somebody is on receipts; nobody so far is the zero
// party.
func (s *Service) BillingDetails(ctx context.Context, p Party) (models.Party, error) {
	return billingDetails(s.db.Read.WithContext(ctx), p)
}

func billingDetails(db *gorm.DB, p Party) (models.Party, error) {
	var out models.Party
	if p.Agency.IsZero() {
		text, err := setting(db, sellerSetting)
		if err != nil || text == "" {
			return out, err
		}
		return out, json.Unmarshal([]byte(text), &out)
	}
	var row models.BillingDetails
	err := detailsOf(db, p).Take(&row).Error
	if errors.Is(err, gorm.ErrRecordNotFound) {
		return out, nil
	}
	return row.Party(), err
}

func detailsOf(db *gorm.DB, p Party) *gorm.DB {
	if p.SubAccount.IsZero() {
		return db.Where("agency_id = ? AND sub_account_id IS NULL", p.Agency)
	}
	return db.Where("agency_id = ? AND sub_account_id = ?", p.Agency, p.SubAccount)
}

// SetBillingDetails writes who somebody is on receipts made from now on; those
// that were made keep what they say. Errors: not_found, detail_too_long,
// invalid_country, invalid_tax_id.
func (s *Service) SetBillingDetails(ctx context.Context, p Party, d models.Party, by Actor) error { //nolint:gocritic // written once
	now := s.clock.Now()
	d, err := cleanParty(d)
	if err != nil {
		return err
	}
	return s.db.InTx(ctx, func(tx *gorm.DB) error {
		was, err := billingDetails(tx, p)
		if err != nil || was == d {
			return err
		}
		if p.Agency.IsZero() {
			text, err := json.Marshal(d)
			if err != nil {
				return err
			}
			if err := tx.Save(&models.Setting{Name: sellerSetting, Value: string(text)}).Error; err != nil {
				return err
			}
			return s.audit(tx, p.Agency, by, "billing_details.change", sellerSetting, partyWords(&was)+" → "+partyWords(&d), "", now)
		}
		target := p.Agency.String()
		if !p.SubAccount.IsZero() {
			if _, _, err := s.pair(tx, p.Agency, p.SubAccount); err != nil {
				return err
			}
			target = p.SubAccount.String()
		}
		row := models.BillingDetails{
			AgencyID: p.Agency, SubAccountID: p.SubAccount, Company: d.Name, Line1: d.Line1, Line2: d.Line2, PostalCode: d.PostalCode, City: d.City,
			Region: d.Region, Country: d.Country, TaxID: d.TaxID, UpdatedAt: now,
		}
		change := detailsOf(tx.Model(&models.BillingDetails{}), p).Select("*").Omit("agency_id", "sub_account_id").Updates(&row)
		if change.Error == nil && change.RowsAffected == 0 {
			change = tx.Create(&row)
		}
		if change.Error != nil {
			return change.Error
		}
		return s.audit(tx, p.Agency, by, "billing_details.change", target, partyWords(&was)+" → "+partyWords(&d), "", now)
	})
}

// partyWords is a party on one line.
func partyWords(p *models.Party) string {
	var out []string
	for _, part := range []string{p.Name, p.Line1, p.Line2, p.PostalCode, p.City, p.Region, p.Country, p.TaxID} {
		if part != "" {
			out = append(out, part)
		}
	}
	return cmp.Or(strings.Join(out, ", "), "nothing")
}

// cleanParty brings details into their normal form.
func cleanParty(d models.Party) (models.Party, error) { //nolint:gocritic // a value in, a value out
	var wrong []error
	for _, f := range []struct {
		name string
		text *string
	}{
		{"company", &d.Name}, {"line1", &d.Line1}, {"line2", &d.Line2}, {"postal_code", &d.PostalCode}, {"city", &d.City}, {"region", &d.Region},
	} {
		*f.text = strings.Join(strings.Fields(*f.text), " ")
		if !utf8.ValidString(*f.text) || utf8.RuneCountInString(*f.text) > maxDetail || strings.ContainsFunc(*f.text, unicode.IsControl) {
			wrong = append(wrong, problem.New(problem.Invalid, "detail_too_long", "Write at most %d characters of plain text.", maxDetail).On(f.name))
		}
	}
	d.Country = strings.ToUpper(strings.TrimSpace(d.Country))
	if d.Country != "" && !countryCode.MatchString(d.Country) {
		wrong = append(wrong, problem.New(problem.Invalid, "invalid_country", "Give the country as two letters, such as DE, FR or US.").On("country"))
	}
	d.TaxID = strings.ToUpper(strings.NewReplacer(" ", "", ".", "", "-", "", "/", "").Replace(strings.TrimSpace(d.TaxID)))
	if err := checkTaxID(d.TaxID); err != nil {
		wrong = append(wrong, err)
	}
	return d, errors.Join(wrong...)
}

var (
	countryCode = regexp.MustCompile(`^[A-Z]{2}$`)
	anyTaxID    = regexp.MustCompile(`^[A-Z0-9]{4,20}$`)
)

// vatShapes are the VAT numbers of Europe without their country's letters.
func vatShapes() map[string]string {
	return map[string]string{
		"AT": `U\d{8}`, "BE": `[01]\d{9}`, "BG": `\d{9,10}`, "CY": `\d{8}[A-Z]`, "CZ": `\d{8,10}`, "DE": `\d{9}`, "DK": `\d{8}`, "EE": `\d{9}`,
		"EL": `\d{9}`, "ES": `[A-Z0-9]\d{7}[A-Z0-9]`, "FI": `\d{8}`, "FR": `[A-HJ-NP-Z0-9]{2}\d{9}`, "GB": `(\d{9}|\d{12}|(GD|HA)\d{3})`, "XI": `(\d{9}|\d{12}|(GD|HA)\d{3})`,
		"HR": `\d{11}`, "HU": `\d{8}`, "IE": `(\d{7}[A-W][A-I]?|\d[A-Z]\d{5}[A-W])`, "IT": `\d{11}`, "LT": `(\d{9}|\d{12})`, "LU": `\d{8}`, "LV": `\d{11}`, "MT": `\d{8}`,
		"NL": `\d{9}B\d{2}`, "PL": `\d{10}`, "PT": `\d{9}`, "RO": `\d{2,10}`, "SE": `\d{12}`, "SI": `\d{8}`, "SK": `\d{10}`,
		"CHE": `\d{9}(MWST|TVA|IVA)?`, "NO": `\d{9}(MVA)?`,
	}
}

// checkTaxID holds a VAT number against the shape of its country; what is none of
// Europe's is taken as it is.
func checkTaxID(id string) error {
	if id == "" {
		return nil
	}
	wrong := problem.New(problem.Invalid, "invalid_tax_id", "%.40q is not a VAT number such as DE123456789, or the tax number of another country.", id).On("tax_id")
	if !anyTaxID.MatchString(id) {
		return wrong
	}
	for _, n := range []int{3, 2} {
		if shape, ok := vatShapes()[id[:n]]; ok {
			if ok, _ := regexp.MatchString("^"+shape+"$", id[n:]); !ok {
				return wrong
			}
			return nil
		}
	}
	return nil
}

// nameParties writes who sold and who bought on a purchase, as they are when it is
// credited.
func (s *Service) nameParties(tx *gorm.DB, p *models.Purchase) error {
	a, err := accountIn(tx, p.AgencyID, p.WalletID)
	if err != nil {
		return err
	}
	agency, err := billingDetails(tx, Party{Agency: p.AgencyID})
	if err != nil {
		return err
	}
	agency.Name = cmp.Or(agency.Name, a.Agency.Name)
	if !p.IsSale() {
		p.BuyerDetails = agency
		p.SellerDetails, err = billingDetails(tx, Party{})
		p.SellerDetails.Name = cmp.Or(p.SellerDetails.Name, s.post.platform)
		return err
	}
	p.SellerDetails = agency
	var sub models.SubAccountID
	if a.SubAccount != nil {
		sub = a.SubAccount.ID
	}
	p.BuyerDetails, err = billingDetails(tx, Party{Agency: p.AgencyID, SubAccount: sub})
	p.BuyerDetails.Name = cmp.Or(p.BuyerDetails.Name, a.Name())
	return err
}
