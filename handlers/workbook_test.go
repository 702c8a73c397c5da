package handlers_test

import (
	"encoding/csv"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/xuri/excelize/v2"
)

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
	for _, list := range []string{"/history.csv", "/sub-accounts.csv", "/usage.csv", "/purchases.csv", "/sales.csv", "/statement.csv"} {
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
				require.Equal(t, strings.TrimPrefix(text, "'"), cell, "%s, row %d", list, i)
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
	require.Equal(t, http.StatusNotFound, b.get("/statement.csv?month=1999-01&as=xlsx").StatusCode, "an error is a page")
}
