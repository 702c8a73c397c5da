package receipt

import (
	"codeberg.org/go-pdf/fpdf"

	"refill/models"
)

// Statement is a wallet's month as it is printed. Credits are already text, so
// that they read as on screen.
type Statement struct {
	Month   string // "March 2026"
	Days    string // the first and the last of them, and their zone
	At      models.Time
	Seller  models.Party
	Holder  models.Party
	Opening string
	Rows    []StatementRow
	Closing Line // What and Credits
	Notes   []string
}

// StatementRow is what one kind of movement did, and what it is made of.
type StatementRow struct {
	What, Credits string
	Parts         []Line // What and Credits
}

// StatementPDF writes a statement. The same statement gives the same bytes.
func StatementPDF(s *Statement) ([]byte, error) {
	p := paper("Statement", "Statement "+s.Month, s.Month+"  ·  "+s.Days, s.Seller.Name, s.At)
	top := p.GetY()
	bottom := party(p, margin, top, "From", &s.Seller, "")
	bottom = max(bottom, party(p, second, top, "Account", &s.Holder, ""))
	p.SetY(bottom + 10)

	movement(p, "What", "Credits", "B", 9)
	rule(p)
	movement(p, "Opening balance", s.Opening, "", 10)
	for _, r := range s.Rows {
		movement(p, r.What, r.Credits, "", 10)
		for _, l := range r.Parts {
			part(p, l)
		}
	}
	rule(p)
	movement(p, s.Closing.What, s.Closing.Credits, "B", 10)
	return finish(p, s.Notes)
}

// movement writes a row of a statement. It is kept on one page.
func movement(p *fpdf.Fpdf, what, credits, style string, size float64) {
	const tall = 7.0
	p.SetFont("lato", style, size)
	black(p)
	p.CellFormat(width-45, tall, fitted(p, what, width-47), "", 0, "L", false, 0, "")
	p.CellFormat(45, tall, credits, "", 1, "R", false, 0, "")
}

// part writes what a row above it is made of.
func part(p *fpdf.Fpdf, l Line) {
	p.SetFont("lato", "", 9)
	grey(p)
	p.SetX(margin + 5)
	p.CellFormat(width-95, 5, fitted(p, l.What, width-97), "", 0, "L", false, 0, "")
	p.CellFormat(45, 5, l.Credits, "", 1, "R", false, 0, "")
}

// fitted shortens a text that is wider than its cell, in millimetres.
func fitted(p *fpdf.Fpdf, text string, wide float64) string {
	if p.GetStringWidth(text) <= wide {
		return text
	}
	runes := []rune(text)
	for len(runes) > 1 && p.GetStringWidth(string(runes)+"…") > wide {
		runes = runes[:len(runes)-1]
	}
	return string(runes) + "…"
}
