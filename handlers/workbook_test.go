package handlers_test

import (
	"encoding/csv"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/xuri/excelize/v2"

	"refill/billing"
	"refill/models"
)

// assignedToMany gives Acme two credits as part of a bulk assignment and answers
// where its file is.
func assignedToMany(p *portal) string {
	p.t.Helper()
	done, _, err := p.billing.AssignMany(p.t.Context(), billing.Scope{}, billing.BulkInput{
		Agency: p.northwind.ID, Way: models.BulkSame, Shares: []billing.BulkShare{{SubAccount: p.acme.ID, Credits: 2 * models.Credit}}, Note: "-note", Key: "many", By: "test",
	})
	require.NoError(p.t, err)
	return "/sub-accounts/bulk/" + done.ID.String() + "/clients.csv"
}

// Every list says as a file what it says as a page: each line of it, on whatever
// page of the list it stands.
func TestListsAreFiles(t *testing.T) {
	t.Parallel()
	p := sqlite(t)
	b := p.as("owner")
	growth := p.selling(p.northwind)
	read := func(b *browser, page, file string) []map[string]string {
		require.Contains(t, b.get(page).body, `href="`+file+`"`, page)
		rows, err := csv.NewReader(strings.NewReader(b.get(file).body)).ReadAll()
		require.NoError(t, err, file)
		out := make([]map[string]string, len(rows)-1)
		for i, row := range rows[1:] {
			out[i] = map[string]string{}
			for j, cell := range row {
				out[i][rows[0][j]] = cell
			}
		}
		return out
	}
	found := func(row map[string]string, columns ...string) []string {
		out := make([]string, len(columns))
		for i, c := range columns {
			require.Contains(t, row, c)
			out[i] = row[c]
		}
		return out
	}

	packages := read(b, "/packages", "/packages.csv")
	require.Len(t, packages, 1)
	require.Equal(t, []string{"1", growth.Name, "10000", "60.00", "usd", "28.57", "2.04", "29.39", "all", "yes"},
		found(packages[0], "order", "name", "credits", "price", "currency", "cost", "card_fee", "keep", "visible_to", "on_sale"))
	_, err := p.billing.ArchivePackage(t.Context(), billing.Scope{}, p.northwind.ID, growth.ID, "test")
	require.NoError(t, err)
	packages = read(b, "/packages", "/packages.csv")
	require.Equal(t, []string{"", growth.Name, "no"}, found(packages[0], "order", "name", "on_sale"))
	require.NotEmpty(t, packages[0]["archived_utc"])

	for i := range billing.MaxPage + 1 {
		_, err := p.billing.SaveQuote(t.Context(), billing.QuoteInput{Agency: p.northwind.ID, Name: fmt.Sprint("Quote ", i), Query: "c=500", Sheet: "{}", Days: 14, By: "test"})
		require.NoError(t, err)
	}
	quotes := read(b, "/quotes", "/quotes.csv")
	require.Len(t, quotes, billing.MaxPage+1)
	names := map[string]bool{}
	for _, q := range quotes {
		names[q["name"]] = true
		require.Equal(t, "yes", q["holds"])
	}
	require.Len(t, names, billing.MaxPage+1, "each is in the file once")
	require.Contains(t, b.get("/quotes").body, quotes[0]["link"])

	team := read(b, "/settings/team", "/settings/team.csv")
	require.Equal(t, []string{"owner@example.test", "owner", "active"}, found(team[0], "email", "role", "status"))
	own := read(p.as("client"), "/settings/people", "/settings/people.csv")
	require.Len(t, own, 1)
	require.Equal(t, []string{"client@example.test", "client"}, found(own[0], "email", "role"))
	require.Equal(t, own, read(b, acmePath(p)+"/people", acmePath(p)+"/people.csv"))

	bulk := assignedToMany(p)
	parts := read(b, strings.TrimSuffix(bulk, "/clients.csv"), bulk)
	require.Len(t, parts, 1)
	require.Equal(t, []string{"2", "2", "0", "same", "'-note"}, found(parts[0], "credits", "unspent", "returned", "way", "note"))

	account, err := p.billing.AccountOf(t.Context(), p.northwind.WalletID)
	require.NoError(t, err)
	require.NoError(t, p.billing.TestNotice(t.Context(), account, p.users["owner"].ID, models.Credit))
	sent := read(b, "/settings/notifications/sent", "/settings/notifications/sent.csv")
	require.Equal(t, []string{"owner@example.test", "yes"}, found(sent[0], "email", "in_portal"))
}

// A workbook says what the CSV of the same address says, and no text in it is a
// formula.
func TestWorkbooksSayWhatTheCSVSays(t *testing.T) {
	t.Parallel()
	p := sqlite(t)
	b := p.as("owner")
	require.Equal(t, http.StatusSeeOther, b.fill("/sub-accounts/new", "/sub-accounts/new", url.Values{
		"name": {"=HYPERLINK(1)"}, "external_id": {"evil"}, "funding": {"prepaid"}, "pool_every": {"cycle"},
	}).StatusCode)
	path := acmePath(p)
	require.Equal(t, path, b.fill(path+"/assign", path+"/assign", url.Values{"credits": {"5000.5"}, "note": {"+cmd"}}).to())
	p.charge("sub:northwind/acme")
	p.selling(p.northwind)
	bulk := assignedToMany(p)
	_, err := p.billing.SaveQuote(t.Context(), billing.QuoteInput{Agency: p.northwind.ID, Name: "=1+1", Query: "c=500", Sheet: "{}", Days: 14, By: "test"})
	require.NoError(t, err)
	gone, err := p.billing.CreateSubAccount(t.Context(), billing.Scope{}, billing.SubAccountInput{Agency: p.northwind.ID, ExternalID: "gone", Name: "@gone", By: "test"})
	require.NoError(t, err)
	_, err = p.billing.ArchiveSubAccount(t.Context(), billing.Scope{}, billing.ArchiveInput{Agency: p.northwind.ID, SubAccount: gone.ID, By: "test"})
	require.NoError(t, err)
	for _, list := range []string{
		"/history.csv", "/sub-accounts.csv", "/usage.csv", "/purchases.csv", "/sales.csv", "/statement.csv", "/packages.csv", "/quotes.csv",
		"/sub-accounts/archived.csv", bulk, "/settings/team.csv", path + "/people.csv", "/settings/notifications/sent.csv",
	} {
		plain, book := b.get(list), b.get(list+"?as=xlsx")
		require.Equal(t, http.StatusOK, book.StatusCode, list)
		require.Contains(t, book.Header.Get("Content-Type"), "spreadsheetml", list)
		require.Contains(t, book.Header.Get("Content-Disposition"), ".xlsx", list)
		want, err := csv.NewReader(strings.NewReader(plain.body)).ReadAll()
		require.NoError(t, err)
		f, err := excelize.OpenReader(strings.NewReader(book.body))
		require.NoError(t, err, list)
		got, err := f.GetRows("Sheet1")
		require.NoError(t, err)
		require.Len(t, got, len(want), list)
		for i, row := range want {
			for j, text := range row {
				cell := ""
				if j < len(got[i]) {
					cell = got[i][j]
				}
				if amount, err := strconv.ParseFloat(text, 64); err == nil { // 60.00 is the number 60
					got, err := strconv.ParseFloat(cell, 64)
					require.NoError(t, err, "%s, row %d: %q", list, i, cell)
					require.InDelta(t, amount, got, 0)
				} else {
					require.Equal(t, strings.TrimPrefix(text, "'"), cell, "%s, row %d", list, i)
				}
				name, err := excelize.CoordinatesToCellName(j+1, i+1)
				require.NoError(t, err)
				formula, err := f.GetCellFormula("Sheet1", name)
				require.NoError(t, err)
				require.Empty(t, formula)
			}
		}
		require.NoError(t, f.Close())
	}
	require.Contains(t, b.get("/sub-accounts.csv").body, "'=HYPERLINK(1)")
	require.Contains(t, b.get("/quotes.csv").body, "'=1+1")
	require.Contains(t, b.get("/sub-accounts/archived.csv").body, "'@gone")
	require.Equal(t, http.StatusNotFound, b.get("/statement.csv?month=1999-01&as=xlsx").StatusCode, "an error is a page")
}
