package replay

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/csv"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"
)

// traceRow is one recorded reply.
type traceRow struct {
	at            string // as recorded; the trace names no zone
	input, output int64  // tokens
}

// trace is a recorded hour of traffic and the name its content gives it.
type trace struct {
	rows []traceRow
	name string // first 16 hexadecimal digits of the file's SHA-256
}

// key is the idempotency key of row i, counted from 0.
func (t trace) key(i int) string { return "replay:" + t.name + ":" + strconv.Itoa(i) }

// maxTokens bounds one row; the API would refuse more anyway.
const maxTokens = 1_000_000_000_000

func columns() []string { return []string{"TIMESTAMP", "ContextTokens", "GeneratedTokens"} }

func readTrace(path string) (trace, error) {
	f, err := os.Open(path) //nolint:gosec // the operator names the file
	if err != nil {
		return trace{}, errors.Unwrap(err)
	}
	defer func() { _ = f.Close() }()
	sum := sha256.New()
	rows, err := parseTrace(io.TeeReader(f, sum))
	if err != nil {
		return trace{}, err
	}
	return trace{rows: rows, name: hex.EncodeToString(sum.Sum(nil))[:16]}, nil
}

// parseTrace reads a trace to its end. A byte order mark, CRLF and a missing
// last newline are taken as they come; everything else is held to the letter,
// and an error names the line and the column.
func parseTrace(from io.Reader) ([]traceRow, error) {
	in := bufio.NewReader(from)
	if mark, err := in.Peek(3); err == nil && bytes.Equal(mark, []byte("\ufeff")) {
		_, _ = in.Discard(len(mark))
	}
	r := csv.NewReader(in)
	r.FieldsPerRecord = len(columns())
	r.ReuseRecord = true
	header, err := r.Read()
	if errors.Is(err, io.EOF) {
		return nil, errors.New("the file is empty")
	}
	if err != nil {
		return nil, fmt.Errorf("%w; the first line must be %s", err, strings.Join(columns(), ","))
	}
	if !slices.Equal(header, columns()) {
		return nil, fmt.Errorf("line 1: the first line is %q and must be %s", strings.Join(header, ","), strings.Join(columns(), ","))
	}
	var rows []traceRow
	for {
		fields, err := r.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, err
		}
		row, column, err := parseRow(fields)
		if err != nil {
			line, _ := r.FieldPos(column)
			return nil, fmt.Errorf("line %d, column %d (%s): %w", line, column+1, columns()[column], err)
		}
		rows = append(rows, row)
	}
	if len(rows) == 0 {
		return nil, errors.New("there are no rows under the first line")
	}
	return rows, nil
}

// parseRow also tells which column an error is about.
func parseRow(fields []string) (row traceRow, column int, err error) {
	row.at = strings.Clone(fields[0])
	if _, err = time.Parse("2006-01-02 15:04:05", strings.Replace(row.at, "T", " ", 1)); err != nil {
		return row, 0, fmt.Errorf("%q is not a time such as 2023-11-16 18:15:46.6805900", fields[0])
	}
	if row.input, err = tokens(fields[1]); err != nil {
		return row, 1, err
	}
	if row.output, err = tokens(fields[2]); err != nil {
		return row, 2, err
	}
	return row, 0, nil
}

func tokens(s string) (int64, error) {
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n < 0 || n > maxTokens {
		return 0, fmt.Errorf("%q is not a whole number from 0 to %d", s, int64(maxTokens))
	}
	return n, nil
}
