package handlers

import (
	"encoding/csv"
	"errors"
	"io"
	"regexp"
	"strconv"
	"strings"

	"github.com/xuri/excelize/v2"

	"refill/billing"
	"refill/billing/problem"
)

// A list has one source of rows, its CSV: a workbook is made of what that says, so
// the two files cannot differ.

// plainNumber is a cell that a spreadsheet keeps exactly as a number; longer ones
// and those with leading zeros stay text.
var plainNumber = regexp.MustCompile(`^-?(0|[1-9]\d{0,14})(\.\d{1,6})?$`)

const sheetName = "Sheet1"

// workbook writes what a list exports as CSV as an XLSX file, row by row: only the
// running row is in memory, the rest in a file of the system's. Errors:
// too_many_rows.
func workbook(w io.Writer, export func(io.Writer) error) (err error) {
	f := excelize.NewFile()
	defer func() { err = errors.Join(err, f.Close()) }()
	sheet, err := f.NewStreamWriter(sheetName)
	if err != nil {
		return err
	}
	from, to := io.Pipe()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = to.CloseWithError(export(to)) // never fails; nil ends the file
	}()
	err = fillSheet(sheet, from)
	_ = from.CloseWithError(err) // an export that is not read to its end stops writing
	<-ended
	if err != nil {
		return err
	}
	if err := sheet.Flush(); err != nil {
		return err
	}
	return f.Write(w)
}

func fillSheet(sheet *excelize.StreamWriter, rows io.Reader) error {
	in := csv.NewReader(rows)
	in.ReuseRecord = true
	if err := sheet.SetPanes(&excelize.Panes{Freeze: true, YSplit: 1, TopLeftCell: "A2", ActivePane: "bottomLeft"}); err != nil {
		return err
	}
	for n := 1; ; n++ {
		record, err := in.Read()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if n > excelize.TotalRows {
			return problem.New(problem.Invalid, "too_many_rows", "A workbook holds %d rows; export this list as CSV, which has no limit, or narrow the filter.", excelize.TotalRows)
		}
		cells := make([]any, len(record))
		for i, text := range record {
			cells[i] = cell(text)
		}
		if err := sheet.SetRow("A"+strconv.Itoa(n), cells); err != nil {
			return err
		}
	}
}

// cell is a number where the text is one. A text is never a formula in a workbook,
// so the mark that keeps it from being one in a CSV file goes.
func cell(text string) any {
	if plainNumber.MatchString(text) {
		if n, err := strconv.ParseFloat(text, 64); err == nil {
			return n
		}
	}
	if rest, marked := strings.CutPrefix(text, "'"); marked && text == billing.Cell(rest) {
		return rest
	}
	return text
}
