package handlers_test

import (
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"testing"

	"github.com/stretchr/testify/require"

	"refill/billing"
	"refill/models"
	"refill/models/modelstest"
)

// The calculator's sum is what the rate card charges, and its basket is what the
// till asks for.
func TestTheCalculatorAgreesWithTheTill(t *testing.T) {
	t.Parallel()
	modelstest.Each(t, func(t *testing.T, db *models.DB) {
		p := newPortal(t, db)
		b := p.as("owner")
		a := b.get("/calculator?c=5,000&r=6.4&m=gpt-4-turbo&x=20")
		require.Equal(t, http.StatusOK, a.StatusCode)
		text := words(a.doc().Find("main"))
		for _, part := range []string{"32,000 × 10 = 320,000", "Extra, to be safe64,000", "384,000 credits a month", "GPT-3.5 would take 38,400: 345,600 credits less"} {
			require.Contains(t, text, part)
		}
		account, err := p.billing.AccountOf(t.Context(), p.northwind.WalletID)
		require.NoError(t, err)
		packs, err := p.billing.PacksFor(t.Context(), p.northwind.ID)
		require.NoError(t, err)
		require.NotEmpty(t, packs)
		link, _ := a.doc().Find("dl.sums a").First().Attr("href")
		at, err := url.Parse(link)
		require.NoError(t, err)
		bought, err := p.billing.Buy(t.Context(), billing.BuyInput{Account: account, Pack: at.Query().Get("pack"), Key: "k", By: "test"})
		require.NoError(t, err, "the link leads to something that is on sale")
		require.Positive(t, bought.Price)
		require.Equal(t, http.StatusOK, b.get(link).StatusCode)

		share := a.doc().Find("#share").Text()
		require.Contains(t, share, clients+"/calculator?", "for a client to open")
		made, _ := a.doc().Find("a[href^='/packages/new']").Attr("href")
		editor := b.get(made)
		require.Contains(t, editor.body, `value="384000"`)
		require.Contains(t, text, "A package of 384,000 credits for ")
		kept := regexp.MustCompile(`leaves you (\S+ \(\d+%\))`).FindStringSubmatch(text)
		require.Len(t, kept, 2)
		require.Contains(t, words(editor.doc().Find("main")), "You keep "+kept[1], "the editor reckons the same")
		require.NotContains(t, text, "Your last 30 days")
		for i := range 16 {
			_, err := p.billing.Charge(t.Context(), billing.Scope{}, billing.ChargeInput{Wallet: "agency:northwind", Key: fmt.Sprint("k", i), Action: "ai.reply", Model: "gpt-4-turbo"})
			require.NoError(t, err)
		}
		past := b.get("/calculator?c=5&r=6.4").doc().Find(`.quick a:contains("Your last 30 days")`)
		require.Contains(t, past.Text(), "16 replies, as in 3 conversations of 6.4")
		require.Contains(t, past.AttrOr("href", ""), "c=3&")

		bad := b.get("/calculator?c=many&r=0&m=gpt-4-turbo")
		require.Equal(t, http.StatusUnprocessableEntity, bad.StatusCode)
		require.Contains(t, words(bad.doc().Find("main")), "Enter how many conversations a month")
		require.Contains(t, words(bad.doc().Find("main")), "Enter a number from 0.1 to 100")
		require.Contains(t, bad.body, `value="many"`, "nothing typed is lost")
		require.Contains(t, words(b.get("/calculator?m=gpt-9").doc().Find("main")), "gpt-4-turbo", "a model that is not on the card names those that are")
	})
}

// Anybody may open an agency's calculator, and finds its packages and prices
// there, never the platform's.
func TestAnybodyMayCalculateAtAnAgency(t *testing.T) {
	t.Parallel()
	modelstest.Each(t, func(t *testing.T, db *models.DB) {
		p := newPortal(t, db)
		stranger := p.visitor(clients)
		require.Contains(t, words(stranger.get("/calculator").doc().Find("main details")), "Bringing your old tickets and knowledge pages along costs no credits here.")
		require.Contains(t, words(stranger.get("/calculator").doc().Find("main")), "Ask Northwind Agency for a price.")
		growth := p.sells()
		hidden, err := p.billing.SavePackage(t.Context(), billing.Scope{}, billing.PackageEdit{
			Agency: p.northwind.ID, Name: "For one only", Credits: 100_000 * models.Credit, Price: 100_00, Audience: models.AudienceChosen,
			Viewers: []models.SubAccountID{p.acme.ID}, CostBasis: models.CostBest, LossAccepted: true, OnSale: true, By: "test",
		})
		require.NoError(t, err)
		for name, b := range map[string]*browser{"visitor": stranger, "client": p.as("client")} {
			a := b.get("/calculator?c=1500&r=7&m=gpt-4-turbo")
			text := words(a.doc().Find("main"))
			require.Contains(t, text, "105,000 credits a month", name)
			for _, never := range []string{"Refill", "Full SaaS", "credits-35000", "your plan", "Your plan", "stammer", "/packages", "$100.00 and packs"} {
				require.NotContains(t, a.body, never, name)
			}
			if name == "client" {
				require.Contains(t, text, "For one only")
				continue
			}
			require.Contains(t, text, "11 × Growth", name)
			require.Contains(t, text, "$660.00", name)
			require.NotContains(t, a.body, hidden.Name, name)
			link, _ := a.doc().Find("dl.sums a").First().Attr("href")
			require.Equal(t, "/sign-in?next=%2Fbuy%3Fpack%3D"+growth.ID.String(), link)
		}
		// A monthly package is had once, and what is over of it is not kept.
		require.NoError(t, db.Write.Model(&models.Package{}).Where("id = ?", growth.ID).Update("every", models.PackageMonthly).Error)
		text := words(stranger.get("/calculator?c=100&r=7&m=gpt-4-turbo").doc().Find("main"))
		require.Contains(t, text, "Growth, a monthly package")
		require.NotContains(t, text, "Left over")
		require.Contains(t, words(stranger.get("/calculator?c=1500&r=7&m=gpt-4-turbo").doc().Find("main")), "Ask Northwind Agency for a price.")
		require.Equal(t, http.StatusSeeOther, p.visitor(home).get("/calculator").StatusCode, "the platform's prices are for its agencies")
	})
}

// Whoever comes from another product enters what it has there: the month, and what
// bringing it along takes once, are what the rate card charges.
func TestAMoveFromAnotherProductIsEstimated(t *testing.T) {
	t.Parallel()
	modelstest.Each(t, func(t *testing.T, db *models.DB) {
		p := &portal{preset: "thrivedesk"}
		p.start(t, db)
		b := p.visitor(clients)
		const counts = "/calculator?c=900&r=2&m=gpt-4o-mini&o.ai.embed_conversation=12001&o.ai.scrape=300"
		main := b.get(counts).doc().Find("main")
		text := words(main)
		for _, part := range []string{
			"Coming from a help desk? Your tickets a month.", "7,200 credits a month", "and at least 6,300.5 credits once, to bring along what you have",
			"12,001 × 0.5 = 6,000.5", "300 × 1 = at least 300", "Old tickets to bring along", "Knowledge pages to bring along",
		} {
			require.Contains(t, text, part)
		}
		require.Equal(t, 1, main.Find("details[open] input[name='o.ai.scrape'][value='300']").Length(), "what was typed stands in the address")
		require.Equal(t, "Old tickets to bring along", main.Find("details label").First().Text(), "what everybody has comes first")
		require.NotContains(t, words(b.get("/calculator").doc().Find("section")), "bring along", "nobody is asked")
		require.Equal(t, http.StatusUnprocessableEntity, b.get("/calculator?o.ai.scrape=all").StatusCode)
	})
}
