package handlers_test

import (
	"fmt"
	"net/http"
	"regexp"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"refill/billing"
	"refill/models"
	"refill/models/modelstest"
)

// TestANewAccountReadsWell opens every page before anything was ever used.
func TestANewAccountReadsWell(t *testing.T) {
	t.Parallel()
	modelstest.Each(t, func(t *testing.T, db *models.DB) {
		p := newPortal(t, db)
		b := p.as("owner")
		overview := b.get("/")
		words := overview.main()
		for _, part := range []string{
			"Credits left100,000", "About 100,000 GPT-3.5 replies or 4,000 GPT-4 replies", "Ready to use.", "Plan 100,000 of 100,000", "Not enough data yet",
			"Send your first reply", "curl " + home + "/v1/charges", `"wallet": "agency:northwind"`, `"action": "ai.reply"`, "Plan credits added",
		} {
			require.Contains(t, words, part)
		}
		require.Equal(t, 1, overview.doc().Find(".meter").Length(), "a full meter, not an empty one")
		for path, part := range map[string]string{
			"/usage":            "Nothing yet. Your first reply will show up here within a minute.",
			"/usage?p=7d":       "Nothing yet. Your first reply will show up here within a minute.",
			"/usage?model=none": "Nothing matches these filters.",
			"/history":          "Plan credits added",
			"/buy":              "You have 100,000 credits.",
			"/purchases":        "Nothing bought yet. Every purchase and its receipt will be listed here.",
		} {
			a := b.get(path)
			require.Equal(t, http.StatusOK, a.StatusCode, path)
			require.Contains(t, a.main(), part, path)
		}

		client := p.as("client").get("/").main()
		require.Contains(t, client, "It starts again as soon as Northwind Agency assigns credits.")
		require.NotContains(t, client, "Buying credits", "a client can buy nothing here")
		require.NotContains(t, client, "0 a day", "nothing was used: there is no pace")
		require.Contains(t, client, "No usage in this period.")
	})
}

// On a cycle's first days it is too early to compare it with the plan, on the first
// page as on the page of usage.
func TestAPaceIsToldOnceThereIsSomethingToCompare(t *testing.T) {
	t.Parallel()
	p := sqlite(t)
	b := p.as("owner")
	pace := regexp.MustCompile(`(On|Below|ahead of) pace`)
	for day := 20; day <= 42; day++ {
		p.clock.set(begin.Add(time.Duration(day) * 24 * time.Hour))
		require.NoError(t, p.billing.RunDue(t.Context(), p.billing.Now()))
		_, err := p.billing.Charge(t.Context(), billing.Scope{}, billing.ChargeInput{Wallet: "agency:northwind", Key: fmt.Sprint("day", day), Action: "ai.reply", Model: "gpt-4"})
		require.NoError(t, err)
		switch day {
		case 32:
			words := b.get("/").main()
			require.Contains(t, words, " a day")
			require.NotRegexp(t, pace, words)
		case 42:
			require.Regexp(t, pace, b.get("/").main())
			require.Regexp(t, pace, b.get("/usage").main())
		}
	}
}

// TestASectionFailsAlone takes one table away at a time: its section says so, and
// no page says a balance of 0 for it.
func TestASectionFailsAlone(t *testing.T) {
	t.Parallel()
	for table, pages := range map[string]map[string]string{
		"lots": {
			"/": "Your balance can't be shown right now.", "/history": "History couldn't be loaded.", "/buy": "Your balance can't be shown right now.",
			"/usage": "Usage couldn't be loaded.", // where it leads to needs the lots
		},
		"usage_quarters": {
			"/": "Usage couldn't be loaded. Your balance above is correct.", "/usage": "Usage couldn't be loaded. Your balance is not affected.",
			"/history": "History couldn't be loaded.", "/buy": "You have ",
		},
		"holds":     {"/": "Your balance can't be shown right now.", "/history": "History couldn't be loaded.", "/usage": "credits used"},
		"purchases": {"/purchases": "Purchases couldn't be loaded.", "/usage": "credits used"},
	} {
		t.Run(table, func(t *testing.T) {
			t.Parallel()
			p := sqlite(t)
			b := p.as("owner")
			p.use("agency:northwind", 4)
			if table == "lots" { // a view, and the rows beneath it
				require.NoError(t, p.db.Write.Exec("DROP VIEW lots").Error)
				table = "lot_rows"
			}
			require.NoError(t, p.db.Write.Exec("ALTER TABLE "+table+" RENAME TO gone").Error)
			for path, part := range pages {
				a := b.get(path)
				require.Equal(t, http.StatusOK, a.StatusCode, path)
				require.Contains(t, a.main(), part, path)
				require.NotContains(t, a.main(), "You have 0", path)
				require.NotRegexp(t, `Credits left ?0\b`, a.main(), path)
				require.NotContains(t, a.body, "no such table")
				if part != "credits used" && part != "You have " && path != "/buy" {
					require.Contains(t, a.body, a.Header.Get("X-Request-Id"), "the reference is on the page")
				}
			}
		})
	}
}
