package handlers_test

import (
	"bytes"
	"compress/zlib"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"
	"unicode/utf16"

	"github.com/stretchr/testify/require"

	"refill/billing"
	"refill/models"
	"refill/models/modelstest"
)

// inPDF is the text of a receipt's PDF, a line per piece.
func inPDF(t *testing.T, pdf string) string {
	t.Helper()
	require.True(t, strings.HasPrefix(pdf, "%PDF-"))
	var out strings.Builder
	for _, m := range regexp.MustCompile(`(?s)stream\r?\n(.*?)\r?\nendstream`).FindAllStringSubmatch(pdf, -1) {
		r, err := zlib.NewReader(bytes.NewReader([]byte(m[1])))
		if err != nil {
			continue // a font
		}
		plain, err := io.ReadAll(r)
		if err != nil {
			continue
		}
		for _, s := range regexp.MustCompile(`(?s)\((.*?[^\\])\)\s*Tj`).FindAllSubmatch(plain, -1) {
			raw := regexp.MustCompile(`(?s)\\(.)`).ReplaceAll(s[1], []byte("$1"))
			var units []uint16
			for i := 0; i+1 < len(raw); i += 2 {
				units = append(units, uint16(raw[i])<<8|uint16(raw[i+1]))
			}
			out.WriteString(string(utf16.Decode(units)) + "\n")
		}
	}
	return out.String()
}

// What is paid every month ends with the month, and its receipt does not say that it
// never expires.
func TestAReceiptOfAMonthSaysHowLongItLasts(t *testing.T) {
	t.Parallel()
	p := sqlite(t)
	p.soldTo(p.acme, p.selling(p.northwind))
	var sale models.Purchase
	require.NoError(t, p.db.Read.Where("package_id IS NOT NULL").Take(&sale).Error)
	client, path := p.as("client"), "/purchases/"+sale.ID.String()+"/receipt"
	words := func() []string { return []string{client.get(path).main(), inPDF(t, client.get(path+".pdf").body)} }
	for _, text := range words() {
		require.Contains(t, text, "Purchased credits never expire.")
	}
	require.NoError(t, p.db.Write.Model(&models.Purchase{}).Where("id = ?", sale.ID).Update("term_end", begin.Add(31*24*time.Hour)).Error)
	for _, text := range words() {
		require.Contains(t, text, "These credits last until ")
		require.NotContains(t, text, "never expire")
	}
}

// A receipt names seller and buyer with what they wrote of themselves when it was
// made, its sums add up, and the client's tells nothing of the platform.
func TestReceiptsAreComplete(t *testing.T) {
	t.Parallel()
	modelstest.Each(t, func(t *testing.T, db *models.DB) {
		p := newPortal(t, db)
		admin, owner, client := p.as("admin"), p.as("owner"), p.as("client")
		const own, theirs = "/settings/billing", "/admin/billing-details"
		details := func(company, country, vat string) url.Values {
			return url.Values{"company": {company}, "line1": {"1 Long Street"}, "postal_code": {"12345"}, "city": {"Łódź"}, "country": {country}, "tax_id": {vat}}
		}
		for vat, ok := range map[string]bool{
			"DE123456789": true, "de 123 456 789": true, "ATU12345678": true, "CHE-123.456.789 MWST": true, "US-12-3456789": true,
			"DE12345678": false, "FR1": false, "PL123": false, "??": false, "NL123456789B1": false,
		} {
			r := owner.fill(own, own, details("Northwind GmbH", "de", vat))
			require.Equal(t, ok, r.StatusCode == http.StatusSeeOther, vat)
			if !ok {
				require.NotEmpty(t, r.doc().Find("#tax_id-error").Text(), vat)
				require.Equal(t, vat, r.doc().Find("#tax_id").AttrOr("value", ""))
			}
		}
		require.Equal(t, http.StatusUnprocessableEntity, owner.fill(own, own, details("x", "Germany", "")).StatusCode)
		require.Equal(t, own, owner.fill(own, own, details("Northwind GmbH", "de", "DE987654321")).to())
		require.Equal(t, "DE987654321", owner.get(own).doc().Find("#tax_id").AttrOr("value", ""))
		require.Equal(t, theirs, admin.fill(theirs, theirs, details("Platform Inc.", "IE", "IE1234567T")).to())
		require.Equal(t, own, client.fill(own, own, details("Acme Sp. z o.o.", "PL", "PL1234567890")).to())
		require.NotContains(t, owner.get(own).body, "PL1234567890")
		require.NotContains(t, client.get(own).body, "DE987654321")

		pkg := p.selling(p.northwind)
		buy := func(wallet models.WalletID, pack, key string) models.Purchase {
			account, err := p.billing.AccountOf(t.Context(), wallet)
			require.NoError(t, err)
			var got models.Purchase
			if pack != "" {
				got, err = p.billing.Buy(t.Context(), billing.BuyInput{Account: account, Pack: pack, Key: key, By: "user:owner@example.test"})
			} else {
				got, err = p.billing.BuyPackage(t.Context(), billing.PackageInput{Account: account, Package: pkg.ID.String(), Key: key, By: "user:client@example.test"})
			}
			require.NoError(t, err)
			p.till.pay(got.CheckoutSession)
			got, err = p.billing.Settle(t.Context(), got.AgencyID, got.ID)
			require.NoError(t, err)
			require.Equal(t, models.PurchaseCredited, got.Status)
			return got
		}
		pack := buy(p.northwind.WalletID, "credits-12500", "pack")
		// As a checkout with taxes leaves it.
		require.NoError(t, db.Write.Model(&models.Purchase{}).Where("agency_id = ? AND id = ?", pack.AgencyID, pack.ID).
			Updates(map[string]any{"paid": pack.Price + 950, "tax": 950, "method": "card", "card_last4": "4242"}).Error)
		sale := buy(p.acme.WalletID, "", "sale")
		// What changes later does not change what was made out.
		require.Equal(t, own, owner.fill(own, own, details("Renamed AG", "AT", "ATU12345678")).to())

		at := "/purchases/" + pack.ID.String() + "/receipt"
		page, pdf := owner.get(at), owner.get(at+".pdf")
		require.Equal(t, "application/pdf", pdf.Header.Get("Content-Type"))
		require.Contains(t, pdf.Header.Get("Content-Disposition"), ".pdf")
		for _, text := range []string{page.main(), inPDF(t, pdf.body)} {
			for _, want := range []string{"Platform Inc.", "IE1234567T", "Northwind GmbH", "DE987654321", "Łódź", "$50.00", "$9.50", "$59.50", "ending in 4242", "NORTHWIND-"} {
				require.Contains(t, text, want)
			}
			require.NotContains(t, text, "Renamed")
		}
		list := owner.get("/purchases")
		require.Contains(t, list.main(), "$9.50")
		require.Contains(t, list.main(), "$59.50")
		require.Contains(t, list.body, at+".pdf")
		require.NotContains(t, owner.get("/purchases?status=refunded").body, at)
		require.Contains(t, owner.get("/purchases?status=refunded").main(), "Nothing matches")
		require.Contains(t, owner.get("/purchases?status=paid").body, at)
		require.Contains(t, owner.get("/purchases.csv?status=paid").body, ",9.50,card")
		require.NotContains(t, owner.get("/purchases.csv?status=failed").body, "pur_")

		at = "/purchases/" + sale.ID.String() + "/receipt"
		page, pdf = client.get(at), client.get(at+".pdf")
		for _, text := range []string{page.main(), inPDF(t, pdf.body)} {
			for _, want := range []string{"Northwind GmbH", "DE987654321", "Acme Sp. z o.o.", "PL1234567890"} {
				require.Contains(t, text, want)
			}
		}
		for _, text := range []string{pdf.body, inPDF(t, pdf.body), page.body} {
			for _, foreign := range []string{"Refill", "refill", "Platform Inc", "FPDF", "fpdf"} {
				require.NotContains(t, text, foreign)
			}
		}
		require.Equal(t, http.StatusNotFound, client.get("/purchases/"+pack.ID.String()+"/receipt.pdf").StatusCode)
		require.Equal(t, http.StatusNotFound, owner.get(at+".pdf").StatusCode)
	})
}
