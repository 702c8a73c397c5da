package handlers_test

import (
	"fmt"
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"refill/billing"
	"refill/models"
	"refill/models/modelstest"
)

// A quote says to whoever has its link what the calculator said when it was saved,
// in the agency's name, and no longer once it has expired or was ended.
func TestAQuoteHoldsUntilItExpires(t *testing.T) {
	t.Parallel()
	modelstest.Each(t, func(t *testing.T, db *models.DB) {
		p := newPortal(t, db)
		p.selling(p.northwind)
		owner, client := p.as("owner"), p.as("client")
		save := func(name, days string) answer {
			t.Helper()
			return owner.fill("/calculator?c=500", "/calculator/quotes", url.Values{"query": {"c=500&r=6.3"}, "name": {name}, "days": {days}})
		}
		for _, wrong := range []struct{ name, days, field string }{{"", "30", "name"}, {"Acme", "91", "days"}, {"Acme", "soon", "days"}} {
			refused := save(wrong.name, wrong.days)
			require.Equal(t, http.StatusUnprocessableEntity, refused.StatusCode)
			require.Equal(t, []string{wrong.name, wrong.days, "500", "6.3"},
				[]string{refused.field("name"), refused.field("days"), refused.field("c"), refused.field("r")}, "what was typed stays")
			require.Equal(t, 1, refused.doc().Find("#"+wrong.field+"-error").Length(), wrong)
			require.Contains(t, refused.main(), "credits a month")
		}
		require.Equal(t, "/quotes", save("Acme Dental", "14").to())
		require.Equal(t, "/quotes", save("Second", "90").to())
		var rows []models.SavedQuote
		require.NoError(t, db.Read.Order("name").Find(&rows).Error)
		require.Len(t, rows, 2)
		for _, q := range rows {
			require.Contains(t, owner.get("/quotes").main(), "/q/"+q.Token)
		}
		at := "/q/" + rows[0].Token
		before := client.get(at)
		require.Equal(t, http.StatusOK, before.StatusCode)
		for _, want := range []string{"Quote: Acme Dental", "Northwind Agency", "500 conversations", "credits a month"} {
			require.Contains(t, before.main(), want)
		}
		require.NotContains(t, before.body, "credits-2000", "a client reads of packages, not of packs")
		require.Equal(t, http.StatusNotFound, owner.get(at).StatusCode, "it is shown on the agency's portal")
		require.Equal(t, http.StatusNotFound, client.get("/q/"+rows[0].Token+"x").StatusCode)

		// What is sold changes; the quote does not.
		require.NoError(t, db.Write.Model(&models.Package{}).Where("agency_id = ?", p.northwind.ID).Update("price", 1).Error)
		require.Equal(t, before.main(), client.get(at).main())

		require.Equal(t, "/quotes", owner.fill("/quotes", "/quotes/"+rows[1].ID.String()+"/end", url.Values{}).to())
		require.Equal(t, http.StatusGone, client.get("/q/"+rows[1].Token).StatusCode)
		require.NoError(t, db.Write.Model(&models.SavedQuote{}).Where("agency_id = ? AND id = ?", rows[0].AgencyID, rows[0].ID).
			Update("expires_at", p.billing.Now().Add(-time.Second)).Error)
		gone := client.get(at)
		require.Equal(t, http.StatusGone, gone.StatusCode)
		require.Contains(t, gone.main(), "no longer holds")
		require.NotContains(t, gone.main(), "credits a month")
	})
}

// A client that comes by a quote pays what the quote says, whatever the package
// costs meanwhile, until the quote is over.
func TestAQuotesPriceIsWhatAClientPays(t *testing.T) {
	t.Parallel()
	modelstest.Each(t, func(t *testing.T, db *models.DB) {
		p := newPortal(t, db)
		growth := p.selling(p.northwind)
		owner, client := p.as("owner"), p.as("client")
		require.Equal(t, "/quotes", owner.fill("/calculator", "/calculator/quotes", url.Values{"query": {"c=300&r=7"}, "name": {"Acme"}, "days": {"14"}}).to())
		var q models.SavedQuote
		require.NoError(t, db.Read.Take(&q).Error)
		require.NoError(t, db.Write.Model(&models.Package{}).Where("agency_id = ?", p.northwind.ID).
			Updates(map[string]any{"price": 99_00, "credits": 9000 * models.Credit}).Error)
		buy := func() string {
			link := client.get("/q/" + q.Token).doc().Find(`main a[href^="/buy"]`).First()
			return link.AttrOr("href", "")
		}
		at := buy()
		require.Equal(t, "/buy?pack="+growth.ID.String()+"&quote="+q.Token, at)
		page := client.get(at)
		require.Contains(t, page.main(), "is at your quote's price")
		require.Contains(t, page.doc().Find(".offer").Text(), "$60.00")
		form := func(page answer) url.Values {
			out := url.Values{"pack": {growth.ID.String()}, "attempt": {page.field("attempt")}, "quote": {page.field("quote")}}
			if quoted := page.field("quoted"); quoted != "" {
				out.Set("quoted", quoted)
			}
			return out
		}
		sent := client.fill(at, "/buy", form(page))
		require.Equal(t, http.StatusSeeOther, sent.StatusCode, sent.body)
		require.Equal(t, sent.to(), client.fill(at, "/buy", form(page)).to(), "sent twice it is one purchase")
		sold := func() (out models.Purchase) {
			require.NoError(t, db.Read.Where("package_id IS NOT NULL").Order("id DESC").Take(&out).Error)
			return out
		}
		first := sold()
		require.Equal(t, []any{int64(60_00), 10_000 * models.Credit, q.ID}, []any{first.Price, first.Credits, first.QuoteID})
		require.Equal(t, at, client.get("/buy?cancelled="+first.ID.String()).to(), "who comes back without paying keeps the quote")

		// At the package's own price, without the quote.
		p.clock.set(begin.Add(time.Minute))
		plain := client.get("/buy?pack=" + growth.ID.String())
		require.Contains(t, plain.doc().Find(".offer").Text(), "$99.00")
		require.Equal(t, http.StatusSeeOther, client.fill("/buy", "/buy", form(plain)).StatusCode)
		require.Equal(t, int64(99_00), sold().Price)

		// What is over is said before anybody pays another price than they looked at.
		opened := form(client.get(at))
		require.Equal(t, "/quotes", owner.fill("/quotes", "/quotes/"+q.ID.String()+"/end", url.Values{}).to())
		refused := client.fill("/buy", "/buy", opened)
		require.Equal(t, http.StatusConflict, refused.StatusCode)
		require.Contains(t, refused.doc().Find("#pack-error").Text(), "no longer holds")
		require.Contains(t, refused.doc().Find(".offer").Text(), "$99.00")
		require.Contains(t, client.get(at).main(), "This quote no longer holds.")

		// Another agency's quote, and a package that is not on sale, change nothing.
		foreign := opened
		foreign.Set("quote", "no-such-quote")
		require.Equal(t, http.StatusConflict, client.fill("/buy", "/buy", foreign).StatusCode)
		require.NoError(t, db.Write.Model(&models.SavedQuote{}).Where("agency_id = ?", p.northwind.ID).Update("ended_at", 0).Error)
		require.NoError(t, db.Write.Model(&models.Package{}).Where("agency_id = ?", p.northwind.ID).Update("on_sale", false).Error)
		require.Empty(t, buy())
		require.Contains(t, client.get("/q/"+q.Token).main(), "not on sale any more")
		foreign.Set("quote", q.Token)
		require.Equal(t, http.StatusConflict, client.fill("/", "/buy", foreign).StatusCode)
	})
}

// The oldest quote can be found and ended, however many came after it.
func TestEveryQuoteCanBeEnded(t *testing.T) {
	t.Parallel()
	p := sqlite(t)
	owner := p.as("owner")
	var oldest models.SavedQuote
	for i := range 51 {
		p.clock.set(begin.Add(time.Duration(i) * time.Minute))
		q, err := p.billing.SaveQuote(t.Context(), billing.QuoteInput{Agency: p.northwind.ID, Name: fmt.Sprint("Quote ", i), Query: "c=500", Sheet: "{}", Days: 14, By: "test"})
		require.NoError(t, err)
		if i == 0 {
			oldest = q
		}
	}
	end := "/quotes/" + oldest.ID.String() + "/end"
	first := owner.get("/quotes")
	require.Zero(t, first.doc().Find(`form[action="`+end+`"]`).Length())
	older := first.doc().Find(`main a[href^="/quotes?before="]`).AttrOr("href", "")
	second := owner.get(older)
	require.Equal(t, 1, second.doc().Find(`form[action="`+end+`"]`).Length())
	require.Equal(t, "/quotes", second.doc().Find(`main a[href="/quotes"]`).AttrOr("href", ""))
	require.Equal(t, "/quotes", owner.fill(older, end, url.Values{}).to())
	require.Equal(t, http.StatusGone, p.visitor(clients).get("/q/"+oldest.Token).StatusCode)
}
