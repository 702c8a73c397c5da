// Package receipt puts receipts and statements on paper: a PDF in the seller's
// name, with nothing in it that tells whose program made it.
package receipt

import (
	"bytes"
	_ "embed" // the fonts
	"fmt"
	"strings"
	"time"

	"codeberg.org/go-pdf/fpdf"

	"refill/models"
)

//go:embed fonts/Lato-Regular.ttf
var regular []byte

//go:embed fonts/Lato-Bold.ttf
var bold []byte

// Document is a receipt as it is printed. Amounts are already text, so that they
// read as on screen.
type Document struct {
	Title  string // "Receipt", "Receipt, partly refunded"
	Number string
	Date   string // of the payment
	At     models.Time
	Seller models.Party
	Buyer  models.Party
	Mail   string // of the person who bought; may be ""
	Lines  []Line
	Sums   []Line // below the rule, the last one bold
	Notes  []string
}

// Line is a row of the table: what, how many credits, how much.
type Line struct{ What, Small, Credits, Amount string }

// Measures of the page, in millimetres.
const (
	margin = 20.0
	width  = 210 - 2*margin
	second = 105.0 // where the second column begins
)

// PDF writes the receipt. The same document gives the same bytes.
func PDF(d *Document) ([]byte, error) {
	p := paper(d.Title, d.Title+" "+d.Number, "Number "+d.Number+"  ·  "+d.Date, d.Seller.Name, d.At)
	top := p.GetY()
	bottom := party(p, margin, top, "Sold by", &d.Seller, "")
	bottom = max(bottom, party(p, second, top, "Sold to", &d.Buyer, d.Mail))
	p.SetY(bottom + 10)

	columns(p, Line{"Item", "", "Credits", "Amount"}, "B", 9)
	rule(p)
	for _, l := range d.Lines {
		row(p, l, "")
	}
	rule(p)
	for i, l := range d.Sums {
		style := ""
		if i == len(d.Sums)-1 {
			style = "B"
		}
		row(p, l, style)
	}
	return finish(p, d.Notes)
}

// paper begins a document: its first page with a title and a line below it, and
// nothing in the file that tells when or by what it was written.
func paper(title, file, below, author string, at models.Time) *fpdf.Fpdf {
	p := fpdf.New("P", "mm", "A4", "")
	p.SetCompression(true)
	p.SetProducer("", false)
	p.SetCreator("", false)
	p.SetTitle(file, true)
	p.SetAuthor(author, true)
	p.SetCreationDate(at.Go())
	p.SetModificationDate(at.Go())
	p.SetCatalogSort(true)
	p.SetLang("en")
	p.AddUTF8FontFromBytes("lato", "", regular)
	p.AddUTF8FontFromBytes("lato", "B", bold)
	p.SetMargins(margin, margin, margin)
	p.SetAutoPageBreak(true, margin)
	p.AddPage()

	p.SetFont("lato", "B", 20)
	p.CellFormat(width, 10, title, "", 1, "L", false, 0, "")
	p.SetFont("lato", "", 10)
	grey(p)
	p.CellFormat(width, 6, below, "", 1, "L", false, 0, "")
	p.Ln(8)
	return p
}

// finish writes the notes below a document and gives its bytes.
func finish(p *fpdf.Fpdf, notes []string) ([]byte, error) {
	p.Ln(6)
	p.SetFont("lato", "", 9)
	grey(p)
	for _, n := range notes {
		p.MultiCell(width, 5, n, "", "L", false)
		p.Ln(1)
	}
	var out bytes.Buffer
	if err := p.Output(&out); err != nil {
		return nil, fmt.Errorf("write a document: %w", err)
	}
	return out.Bytes(), nil
}

func grey(p *fpdf.Fpdf)  { p.SetTextColor(90, 90, 90) }
func black(p *fpdf.Fpdf) { p.SetTextColor(20, 20, 20) }

// party writes a block of an address and tells where it ends.
func party(p *fpdf.Fpdf, x, y float64, head string, who *models.Party, mail string) float64 {
	const wide = 85.0
	p.SetXY(x, y)
	p.SetFont("lato", "", 9)
	grey(p)
	p.CellFormat(wide, 5, head, "", 2, "L", false, 0, "")
	black(p)
	p.SetFont("lato", "B", 11)
	p.MultiCell(wide, 5.5, who.Name, "", "L", false)
	p.SetFont("lato", "", 10)
	lines := Address(who)
	if mail != "" {
		lines = append(lines, mail)
	}
	for _, l := range lines {
		p.SetX(x)
		p.MultiCell(wide, 5, l, "", "L", false)
	}
	return p.GetY()
}

// Address is a party's lines below its name.
func Address(who *models.Party) []string {
	var out []string
	for _, l := range []string{who.Line1, who.Line2, strings.TrimSpace(who.PostalCode + " " + who.City), who.Region, who.Country} {
		if l != "" {
			out = append(out, l)
		}
	}
	if who.TaxID != "" {
		out = append(out, "VAT number "+who.TaxID)
	}
	return out
}

// columns writes the three cells of a row.
func columns(p *fpdf.Fpdf, l Line, style string, size float64) {
	p.SetFont("lato", style, size)
	black(p)
	x, y := p.GetXY()
	p.SetXY(x+100, y)
	p.CellFormat(35, 6, l.Credits, "", 0, "R", false, 0, "")
	p.CellFormat(35, 6, l.Amount, "", 0, "R", false, 0, "")
	p.SetXY(x, y)
	p.MultiCell(100, 6, l.What, "", "L", false)
}

func row(p *fpdf.Fpdf, l Line, style string) {
	p.Ln(1)
	columns(p, l, style, 10)
	if l.Small != "" {
		p.SetFont("lato", "", 8)
		grey(p)
		p.MultiCell(100, 4, l.Small, "", "L", false)
	}
	p.Ln(1)
}

func rule(p *fpdf.Fpdf) {
	p.SetDrawColor(200, 200, 200)
	y := p.GetY() + 1
	p.Line(margin, y, margin+width, y)
	p.SetY(y + 1)
}

// FileName is the name a kind of document is saved under: receipt, credit-note.
func FileName(kind, number string, at time.Time) string {
	return kind + "-" + at.Format("2006-01-02") + "-" + fileWord(number) + ".pdf"
}

// fileWord is what of a text is safe in a file's name.
func fileWord(text string) string {
	return strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' {
			return r
		}
		return '-'
	}, text)
}
