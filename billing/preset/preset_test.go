package preset_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"math/big"
	"slices"
	"strings"
	"testing"

	"refill/billing/preset"
	"refill/billing/ratecard"
	"refill/models"
)

func load(t *testing.T, name string) preset.Catalogue {
	t.Helper()
	c, err := preset.Load(name)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func whole(n int64) models.Credits { return models.Credits(n) * models.Credit }

func same(t *testing.T, what, got, want string) {
	t.Helper()
	if got != want {
		t.Errorf("%s:\n got %s\nwant %s", what, got, want)
	}
}

func assumed(what []string) string {
	if len(what) == 0 {
		return "nothing"
	}
	return strings.Join(what, ", ")
}

// plans prints one line per plan, packs likewise, so that a test shows the
// catalogue it expects.
func plans(c preset.Catalogue) string {
	var b strings.Builder
	for _, p := range c.Plans {
		price := p.Price.Decimal() + " " + p.Price.Currency
		if p.CustomPrice {
			price = "custom"
		}
		fmt.Fprintf(&b, "%s | %s | %s | %s %s | %s", p.Code, p.Name, price, p.Allowance, p.Every, p.AtZero)
		if p.AtZero == preset.Excess {
			fmt.Fprintf(&b, " %s", p.ExcessLimit)
		}
		fmt.Fprintf(&b, " | sells %d | accounts %d | trial %d | %s | assumed %s\n",
			len(p.PacksForSale), p.SubAccountLimit, p.TrialDays, p.RateCard, assumed(p.Assumed))
	}
	return b.String()
}

func packs(c preset.Catalogue) string {
	var b strings.Builder
	for _, p := range c.Packs {
		if p.Kind == preset.Quantity {
			fmt.Fprintf(&b, "%s | at least %s in steps of %s, %s each | assumed %s\n",
				p.Code, p.Minimum, p.Step, p.UnitPrice.Decimal(c.Currency), assumed(p.Assumed))
			continue
		}
		fmt.Fprintf(&b, "%s | %s for %s, %s each | assumed %s\n",
			p.Code, p.Credits, p.Price.Decimal(), p.Price.PerCredit(p.Credits).FloatString(4), assumed(p.Assumed))
	}
	return b.String()
}

// prices are usages on the plan's own card, with what each must cost.
type price struct{ plan, action, model, usage, want string }

func checkPrices(t *testing.T, c preset.Catalogue, prices []price) {
	t.Helper()
	for _, p := range prices {
		plan, ok := c.Plan(p.plan)
		if !ok {
			t.Fatalf("no plan %s", p.plan)
		}
		card, _ := c.Card(plan.RateCard)
		var usage ratecard.Usage
		if err := json.Unmarshal([]byte(p.usage), &usage); err != nil {
			t.Fatal(err)
		}
		quote, err := ratecard.Version{Rates: card.Rates}.Price(p.action, p.model, usage)
		if err != nil {
			t.Errorf("%+v: %v", p, err)
			continue
		}
		if quote.Credits.String() != p.want {
			t.Errorf("%+v costs %s", p, quote.Credits)
		}
	}
}

func TestStammer(t *testing.T) {
	t.Parallel()
	c := load(t, "stammer")
	same(t, "plans", plans(c), `starter | Starter | 97.00 usd | 5000 month | pause | sells 3 | accounts 0 | trial 0 | standard | assumed name, allowance, what happens at zero
agency | Agency | 297.00 usd | 25000 month | pause | sells 3 | accounts 0 | trial 0 | standard | assumed name, allowance, what happens at zero
full-saas | Full SaaS Mode | 497.00 usd | 100000 month | pause | sells 3 | accounts 0 | trial 0 | standard | assumed what happens at zero
`)
	same(t, "packs", packs(c), `credits-2000 | 2000 for 10.00, 0.0050 each | assumed nothing
credits-12500 | 12500 for 50.00, 0.0040 each | assumed nothing
credits-35000 | 35000 for 100.00, 0.0029 each | assumed nothing
`)
	checkPrices(t, c, []price{
		{"full-saas", "ai.reply", "gpt-3.5-turbo", `{}`, "1"},
		{"full-saas", "ai.reply", "gpt-4-turbo", `{"input_tokens":374,"output_tokens":44}`, "10"},
		{"starter", "ai.reply", "gpt-4", `{}`, "25"},
	})
	exact := map[string]*big.Rat{"credits-2000": big.NewRat(1, 200), "credits-12500": big.NewRat(1, 250), "credits-35000": big.NewRat(1, 350)}
	for code, want := range exact {
		if p, _ := c.Pack(code); p.Price.PerCredit(p.Credits).Cmp(want) != 0 {
			t.Errorf("a credit of %s costs %s, want %s", code, p.Price.PerCredit(p.Credits), want)
		}
	}
	// The source gives $0.0029 to $0.02 as the range of prices over plans.
	low, high := big.NewRat(29, 10_000), big.NewRat(2, 100)
	for _, p := range c.Plans {
		if each := p.Price.PerCredit(p.Allowance); each.Cmp(low) < 0 || each.Cmp(high) > 0 {
			t.Errorf("a credit of plan %s costs %s", p.Code, each.FloatString(4))
		}
	}
	same(t, "label", c.Label("gpt-4-turbo"), "GPT-4 Turbo")
	same(t, "label", c.Label("gpt-3.5-turbo"), "GPT-3.5")
	same(t, "label of an unknown model", c.Label("gpt-9"), "gpt-9")
}

func TestAIEmployee(t *testing.T) {
	t.Parallel()
	c := load(t, "ai-employee")
	same(t, "plans", plans(c), `starter | Starter | 65.00 usd | 1000 month | pause | sells 3 | accounts 0 | trial 14 | standard | assumed allowance
professional | Professional | 199.00 usd | 5000 month | pause | sells 3 | accounts 0 | trial 14 | standard | assumed allowance
scale | Scale | 399.00 usd | 15000 month | pause | sells 3 | accounts 0 | trial 14 | standard | assumed allowance
enterprise | Enterprise | custom | 60000 month | pause | sells 3 | accounts 0 | trial 14 | standard | assumed allowance
`)
	same(t, "packs", packs(c), `credits-500 | 500 for 15.00, 0.0300 each | assumed credits, price
credits-2500 | 2500 for 60.00, 0.0240 each | assumed credits, price
credits-10000 | 10000 for 200.00, 0.0200 each | assumed credits, price
`)
	checkPrices(t, c, []price{
		{"starter", "ai.reply", "", `{}`, "1"},
		{"starter", "ai.reply", "gpt-4", `{}`, "1"},
		{"scale", "ai.command", "", `{}`, "1"},
		{"enterprise", "ai.knowledge_sync", "", `{"pages":40}`, "25"},
	})
	same(t, "label", c.Label("ai.knowledge_sync"), "Website knowledge sync")
}

func TestDMChamp(t *testing.T) {
	t.Parallel()
	c := load(t, "dm-champ")
	same(t, "plans", plans(c), `agency | Agency | 499.00 usd | 20000 once | pause | sells 3 | accounts 100 | trial 0 | standard | assumed name, price, credits granted
agency-unlimited | Agency Unlimited | 999.00 usd | 20000 once | pause | sells 3 | accounts 100 | trial 0 | unlimited-replies | assumed name, price, credits granted
`)
	same(t, "packs", packs(c), `credits-5000 | 5000 for 50.00, 0.0100 each | assumed credits, price
credits-25000 | 25000 for 200.00, 0.0080 each | assumed credits, price
credits-100000 | 100000 for 600.00, 0.0060 each | assumed credits, price
`)
	checkPrices(t, c, []price{
		{"agency", "ai.reply", "", `{}`, "1"},
		{"agency", "ai.tool_use", "", `{}`, "2"},
		{"agency", "ai.generation", "", `{}`, "5"},
		{"agency", "infra.phone_number", "", `{}`, "500"},
		{"agency-unlimited", "ai.reply", "", `{}`, "0"},
		{"agency-unlimited", "ai.reply", "gpt-4", `{"input_tokens":90000}`, "0"},
		{"agency-unlimited", "ai.generation", "", `{}`, "5"},
		{"agency-unlimited", "infra.phone_number", "", `{}`, "500"},
	})
}

func TestTawk(t *testing.T) {
	t.Parallel()
	c := load(t, "tawk")
	same(t, "plans", plans(c), `hobby | Hobby | 0.00 usd | 100 month | pause | sells 0 | accounts 0 | trial 0 | standard | assumed nothing
growth | Growth | 29.00 usd | 1000 month | excess 500 | sells 1 | accounts 0 | trial 0 | standard | assumed price, excess limit
business | Business | 99.00 usd | 5000 month | excess 1000 | sells 1 | accounts 0 | trial 0 | standard | assumed price, excess limit
enterprise | Enterprise | 399.00 usd | 20000 month | excess 2000 | sells 1 | accounts 0 | trial 0 | standard | assumed price, excess limit
`)
	same(t, "packs", packs(c), "message-credits | at least 1000 in steps of 1000, 0.03 each | assumed nothing\n")
	checkPrices(t, c, []price{
		{"hobby", "ai.message", "", `{}`, "1"},
		{"growth", "ai.message", "any-model", `{}`, "1"},
	})
	pack, _ := c.Pack("message-credits")
	for n, want := range map[int64]int64{1_000: 30_00, 2_000: 60_00, 35_000: 1_050_00} {
		if cents, err := pack.UnitPrice.Times(whole(n)); err != nil || cents != want {
			t.Errorf("%d credits cost %d cents, %v; want %d", n, cents, err, want)
		}
	}
}

func TestThriveDesk(t *testing.T) {
	t.Parallel()
	c := load(t, "thrivedesk")
	same(t, "plans", plans(c), `basic | Basic | 25.00 usd | 2500 month | pause | sells 3 | accounts 0 | trial 0 | standard | assumed name, price, allowance
plus | Plus | 79.00 usd | 10000 month | pause | sells 3 | accounts 0 | trial 0 | standard | assumed name, price, allowance
pro | Pro | 199.00 usd | 30000 month | pause | sells 3 | accounts 0 | trial 0 | standard | assumed name, price, allowance
`)
	same(t, "packs", packs(c), `bundle-5000 | 5000 for 25.00, 0.0050 each | assumed credits, price
bundle-20000 | 20000 for 80.00, 0.0040 each | assumed credits, price
bundle-100000 | 100000 for 300.00, 0.0030 each | assumed credits, price
`)
	var prices []price
	for _, p := range [][]string{
		{"ai.draft", "", `{}`, "5"},
		{"ai.draft", "", `{"characters":4000}`, "5"},
		{"ai.draft", "", `{"characters":4001}`, "8"},
		{"ai.draft", "", `{"characters":9000}`, "10"},
		{"ai.draft", "", `{"characters":900000}`, "10"},
		{"ai.label", "", `{}`, "1"},
		{"ai.label", "", `{"labels":100}`, "1"},
		{"ai.label", "", `{"labels":101}`, "2"},
		{"ai.label", "", `{"labels":300}`, "3"},
		{"ai.label", "", `{"labels":301}`, "4"},
		{"ai.label", "", `{"labels":5000}`, "4"},
		{"ai.prioritize", "", `{}`, "1"},
		{"ai.chat", "gpt-4o-mini", `{"input_tokens":9000}`, "4"},
		{"ai.chat", "gpt-4.1-mini", `{}`, "6"},
		{"ai.chat", "gpt-4.1-mini", `{"input_tokens":2001}`, "7"},
		{"ai.chat", "gpt-4.1-mini", `{"input_tokens":100000}`, "10"},
		{"ai.article", "", `{}`, "1"},
		{"ai.crawl", "", `{"pages":500}`, "1"},
		{"ai.scrape", "", `{}`, "1"},
		{"ai.scrape", "", `{"characters":5000}`, "1"},
		{"ai.scrape", "", `{"characters":5001}`, "2"},
		{"ai.document", "", `{"characters":12300}`, "3"},
		{"ai.embed_conversation", "", `{}`, "0.5"},
	} {
		prices = append(prices, price{"plus", p[0], p[1], p[2], p[3]})
	}
	checkPrices(t, c, prices)
	if c.Referral != whole(2_000) {
		t.Errorf("a referral earns %s", c.Referral)
	}
	card, _ := c.Card("standard")
	_, err := ratecard.Version{Rates: card.Rates}.Price("ai.chat", "gpt-4", nil)
	if err == nil || !strings.Contains(err.Error(), "gpt-4.1-mini, gpt-4o-mini") {
		t.Errorf("an unknown chat model gives %v", err)
	}
	if len(card.Assumed) != 3 {
		t.Errorf("assumed are %q", card.Assumed)
	}
}

// The names programs rely on (DESIGN 9), neither more nor fewer.
func TestActionsAndModels(t *testing.T) {
	t.Parallel()
	want := map[string]string{
		"stammer":     "ai.reply; gpt-3.5-turbo gpt-4 gpt-4-turbo",
		"ai-employee": "ai.command ai.knowledge_sync ai.reply; ",
		"dm-champ":    "ai.generation ai.reply ai.tool_use infra.phone_number; ",
		"tawk":        "ai.message; ",
		"thrivedesk":  "ai.article ai.chat ai.crawl ai.document ai.draft ai.embed_conversation ai.label ai.prioritize ai.scrape; gpt-4.1-mini gpt-4o-mini",
	}
	for _, name := range preset.Names() {
		c := load(t, name)
		for _, card := range c.Cards {
			v := ratecard.Version{Rates: card.Rates}
			priced := map[string]bool{}
			for _, a := range v.Actions() {
				for _, m := range v.Models(a) {
					priced[m] = true
				}
			}
			got := strings.Join(v.Actions(), " ") + "; " + strings.Join(slices.Sorted(maps.Keys(priced)), " ")
			same(t, name+" "+card.Code, got, want[name])
		}
	}
}

func TestEveryCatalogue(t *testing.T) {
	t.Parallel()
	for _, name := range preset.Names() {
		c := load(t, name)
		if c.Name != name || c.Title == "" || len(c.Notes) == 0 || len(c.Yardsticks) == 0 {
			t.Errorf("%s lacks its name, title, notes or yardsticks: %+v", name, c)
		}
		for _, l := range slices.Concat(c.Actions, c.Models) {
			if l.Title == "" || l.One == "" || l.Many == "" {
				t.Errorf("%s: label %+v is not whole", name, l)
			}
		}
		// What one caller changes, the next must not see.
		c.Plans[0].Name, c.Cards[0].Rates[0].Base = "changed", -1
		if again := load(t, name); again.Plans[0].Name == "changed" || again.Cards[0].Rates[0].Base < 0 {
			t.Errorf("%s is shared between callers", name)
		}
	}
}

func TestUnknownPreset(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"", "Stammer", "dmchamp"} {
		_, err := preset.Load(name)
		if err == nil || !strings.Contains(err.Error(), "stammer, ai-employee, dm-champ, tawk, thrivedesk") {
			t.Errorf("%q gives %v", name, err)
		}
	}
}

func TestValidate(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, preset string
		spoil        func(*preset.Catalogue)
		says         string
	}{
		{"two plans of one code", "tawk", func(c *preset.Catalogue) { c.Plans[1].Code = "hobby" }, `plan "hobby": give it a code of its own`},
		{"plan without a card", "tawk", func(c *preset.Catalogue) { c.Plans[0].RateCard = "none" }, `plan hobby: rate card "none" does not exist`},
		{"plan in another currency", "tawk", func(c *preset.Catalogue) { c.Plans[0].Price.Currency = "eur" }, "price in usd"},
		{"plan with two prices", "tawk", func(c *preset.Catalogue) { c.Plans[1].CustomPrice = true }, "keep one of them"},
		{"plan every week", "tawk", func(c *preset.Catalogue) { c.Plans[0].Every = "week" }, "write month, once or none"},
		{"no allowance each month", "tawk", func(c *preset.Catalogue) { c.Plans[0].Allowance = 0 }, `allowance 0 does not go with "month"`},
		{"at zero", "tawk", func(c *preset.Catalogue) { c.Plans[0].AtZero = "stop" }, "write pause or excess"},
		{"excess without a limit", "tawk", func(c *preset.Catalogue) { c.Plans[1].ExcessLimit = 0 }, `excess limit 0 does not go with "excess"`},
		{"negative trial", "tawk", func(c *preset.Catalogue) { c.Plans[0].TrialDays = -1 }, "negative limit or trial"},
		{"plan sells what is not there", "tawk", func(c *preset.Catalogue) { c.Plans[0].PacksForSale = []string{"gold"} }, `sells pack "gold"`},
		{"default plan cannot buy", "tawk", func(c *preset.Catalogue) { c.DefaultPlan = "hobby" }, "must be one of the plans and sell packs"},
		{"minimum is no step", "tawk", func(c *preset.Catalogue) { c.Packs[0].Minimum = whole(1_500) }, "a number of steps"},
		{"quantity with a price", "tawk", func(c *preset.Catalogue) { c.Packs[0].Credits = whole(1) }, "leave out credits and price"},
		{"kind", "tawk", func(c *preset.Catalogue) { c.Packs[0].Kind = "bag" }, "write fixed or quantity"},
		{"no label", "tawk", func(c *preset.Catalogue) { c.Actions = nil }, "action ai.message has no label"},
		{"invalid rate", "tawk", func(c *preset.Catalogue) { c.Cards[0].Rates[0].Base = -1 }, "rates[0].base must not be negative"},
		{"no model label", "stammer", func(c *preset.Catalogue) { c.Models = c.Models[1:] }, "model gpt-3.5-turbo has no label"},
		{"pack without a price", "stammer", func(c *preset.Catalogue) { c.Packs[0].Price.Amount = 0 }, "give it credits and a price"},
		{"fixed with a step", "stammer", func(c *preset.Catalogue) { c.Packs[0].Step = 1 }, "leave out minimum"},
		{"larger is not cheaper", "stammer", func(c *preset.Catalogue) { c.Packs[1].Price.Amount = 62_50 }, "pack credits-12500 must be cheaper per credit than pack credits-2000"},
		{"yardstick without a rate", "stammer", func(c *preset.Catalogue) { c.Yardsticks[0].Model = "x" }, "yardstick ai.reply x has no rate"},
		{"negative referral", "thrivedesk", func(c *preset.Catalogue) { c.Referral = -1 }, "referral of"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c := load(t, tt.preset)
			tt.spoil(&c)
			if err := c.Validate(); err == nil || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("Validate says %v, want %q", err, tt.says)
			}
		})
	}
}
