package receipt

import (
	"bytes"
	"compress/zlib"
	"flag"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"unicode/utf16"

	"github.com/stretchr/testify/require"

	"refill/models"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// Text is what a PDF of ours says, one string per piece of text.
func text(t *testing.T, pdf []byte) string {
	t.Helper()
	var out strings.Builder
	for _, m := range regexp.MustCompile(`(?s)stream\r?\n(.*?)\r?\nendstream`).FindAllSubmatch(pdf, -1) {
		r, err := zlib.NewReader(bytes.NewReader(m[1]))
		if err != nil {
			continue
		}
		plain, err := io.ReadAll(r)
		if err != nil {
			continue
		}
		for _, s := range regexp.MustCompile(`(?s)\((.*?[^\\])\)\s*Tj`).FindAllSubmatch(plain, -1) {
			raw := regexp.MustCompile(`(?s)\\(.)`).ReplaceAllFunc(s[1], func(b []byte) []byte {
				if b[1] == 'r' {
					return []byte{'\r'}
				}
				return b[1:]
			})
			var units []uint16
			for i := 0; i+1 < len(raw); i += 2 {
				units = append(units, uint16(raw[i])<<8|uint16(raw[i+1]))
			}
			out.WriteString(string(utf16.Decode(units)) + "\n")
		}
	}
	return out.String()
}

func sample() *Document {
	return &Document{
		Title: "Receipt", Number: "NORTHWIND-7", Date: "March 1, 2026", At: 1772366400_000_000,
		Seller: models.Party{Name: "Zażółć Gęślą Sp. z o.o.", Line1: "ul. Długa 1", PostalCode: "00-001", City: "Łódź", Country: "PL", TaxID: "PL1234567890"},
		Buyer:  models.Party{Name: "Őrség Kft.", Line1: "Fő utca 2", City: "Győr", Country: "HU", TaxID: "HU12345678"}, Mail: "ana@example.test",
		Lines: []Line{{"12,500 credits", "€0.0040 each", "12,500", "€50.00"}},
		Sums:  []Line{{What: "Net", Amount: "€50.00"}, {What: "Tax", Amount: "€9.50"}, {What: "Total", Amount: "€59.50"}},
		Notes: []string{"Paid by card ending in 4242.", "Purchased credits never expire."},
	}
}

func TestReceiptSaysWhatItShould(t *testing.T) {
	t.Parallel()
	pdf, err := PDF(sample())
	require.NoError(t, err)
	got := text(t, pdf)
	for _, want := range []string{"Receipt", "NORTHWIND-7", "Zażółć Gęślą", "Łódź", "Őrség", "Győr", "€59.50", "€9.50", "VAT number PL1234567890", "ending in 4242", "ana@example.test"} {
		require.Contains(t, got, want)
	}
	for _, foreign := range []string{"FPDF", "fpdf", "Refill", "refill", "gofpdf"} {
		require.NotContains(t, string(pdf), foreign, "nothing tells whose program made it")
	}
	require.Less(t, len(pdf), 120<<10)
	again, err := PDF(sample())
	require.NoError(t, err)
	require.Equal(t, pdf, again, "the same receipt is the same file")
	if at := os.Getenv("RECEIPT_SAMPLE"); at != "" { // to look at
		require.NoError(t, os.WriteFile(at, pdf, 0o600))
	}
}

// A statement on paper is golden to the byte: what changes it is seen.
func TestStatementIsTheSameFile(t *testing.T) {
	t.Parallel()
	s := &Statement{
		Month: "March 2026", Days: "March 1, 2026 to March 31, 2026 (Europe/Warsaw)", At: 1775001600_000_000,
		Seller: sample().Seller, Holder: sample().Buyer, Opening: "1,000",
		Rows: []StatementRow{
			{What: "From " + strings.Repeat("Zażółć Gęślą ", 12), Credits: "+5,000"},
			{What: "Used", Credits: "−2,525.5", Parts: []Line{{What: "AI reply · gpt-4, 101 times", Credits: "2,525"}, {What: "Embedding, 1 times", Credits: "0.5"}}},
		},
		Closing: Line{What: "Closing balance", Credits: "3,474.5"},
		Notes:   []string{"1,000 + 5,000 − 2,525.5 = 3,474.5"},
	}
	pdf, err := StatementPDF(s)
	require.NoError(t, err)
	got := text(t, pdf)
	for _, want := range []string{"March 2026", "Europe/Warsaw", "Zażółć Gęślą", "Őrség Kft.", "−2,525.5", "AI reply · gpt-4, 101 times", "3,474.5", "1,000 + 5,000 − 2,525.5 = 3,474.5"} {
		require.Contains(t, got, want)
	}
	golden := filepath.Join("testdata", "statement.pdf")
	if *update {
		require.NoError(t, os.MkdirAll("testdata", 0o750))
		require.NoError(t, os.WriteFile(golden, pdf, 0o600))
	}
	kept, err := os.ReadFile(golden)
	require.NoError(t, err)
	require.True(t, bytes.Equal(kept, pdf), "the file differs from testdata/statement.pdf: look at it, then go test ./views/receipt -update")

	// A month of a thousand models goes on over pages.
	for range 200 {
		s.Rows[1].Parts = append(s.Rows[1].Parts, Line{What: "AI reply · gpt-4", Credits: "1"})
	}
	long, err := StatementPDF(s)
	require.NoError(t, err)
	require.Equal(t, 200, strings.Count(text(t, long), "AI reply · gpt-4\n"))
	for _, foreign := range []string{"FPDF", "fpdf", "Refill", "refill", "gofpdf"} {
		require.NotContains(t, string(pdf), foreign)
	}
}

func TestFileNames(t *testing.T) {
	t.Parallel()
	require.Equal(t, "receipt-2026-03-01-a----b-7.pdf", FileName("receipt", "a/../b-7", models.Time(1772366400_000_000).Go()))
}
