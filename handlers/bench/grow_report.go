package bench

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"text/tabwriter"
)

// GrowReport is what one database gave.
type GrowReport struct {
	At       string    `json:"at"`
	Machine  Machine   `json:"machine"`
	Database string    `json:"database"`
	Entries  int64     `json:"entries"` // before the run
	Bytes    int64     `json:"bytes"`
	Seconds  int       `json:"seconds"`
	Rounds   int       `json:"rounds"`
	Rows     []GrowRow `json:"rows"`
}

// GrowRow is one figure.
type GrowRow struct {
	Name   string  `json:"name"`
	Value  float64 `json:"value"`
	Unit   string  `json:"unit"`
	P50    float64 `json:"p50_ms,omitempty"`
	P95    float64 `json:"p95_ms,omitempty"`
	Target float64 `json:"target,omitempty"` // a ceiling
	Met    *bool   `json:"met,omitempty"`
	// Beside the same row of a smaller database.
	Ratio  float64 `json:"ratio,omitempty"`
	Most   float64 `json:"most,omitempty"` // what the ratio may be: a ceiling when Rising, else a floor
	Rising bool    `json:"rising,omitempty"`
	Kept   *bool   `json:"kept,omitempty"`
}

const (
	rowStart   = "cold start, exec to ready"
	rowCharges = "charges, HTTP, 64 connections, 1,000 wallets"
	rowMemory  = "memory of the process, most"

	growthPages   = 1.3
	growthCharges = 0.85
)

// judge holds the rows against their targets and against a smaller database.
func (r *GrowReport) judge(before *GrowReport) {
	for i := range r.Rows {
		row := &r.Rows[i]
		if row.Target > 0 {
			met := row.Value <= row.Target
			row.Met = &met
		}
		if before == nil {
			continue
		}
		for j := range before.Rows {
			if b := &before.Rows[j]; b.Name == row.Name && b.Value > 0 {
				row.Ratio = row.Value / b.Value
			}
		}
		if row.Ratio > 0 && row.Most > 0 {
			kept := row.Ratio <= row.Most
			if !row.Rising {
				kept = row.Ratio >= row.Most
			}
			row.Kept = &kept
		}
	}
}

func verdict(ok *bool) string {
	switch {
	case ok == nil:
		return ""
	case *ok:
		return "met"
	}
	return "missed"
}

// print writes the table for people.
func (r *GrowReport) print(to io.Writer, before *GrowReport) error {
	w := tabwriter.NewWriter(to, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "%s, %d entries in %.1f GB, medians of %d × %d s, %d CPUs, %s\n",
		r.Database, r.Entries, float64(r.Bytes)/(1<<30), r.Rounds, r.Seconds, r.Machine.CPUs, r.Machine.System)
	if before != nil {
		fmt.Fprintf(w, "beside %d entries of %s\n", before.Entries, before.At)
	}
	fmt.Fprintln(w, "\nrow\tvalue\tp50 ms\ttarget\t\tbeside\tmay be\t")
	for _, row := range r.Rows {
		p50, target, ratio, most := "", "", "", ""
		if row.P50 > 0 {
			p50 = fmt.Sprintf("%.1f", row.P50)
		}
		if row.Target > 0 {
			target = fmt.Sprintf("≤ %g", row.Target)
		}
		if row.Ratio > 0 {
			ratio = fmt.Sprintf("%.2f ×", row.Ratio)
		}
		if row.Ratio > 0 && row.Most > 0 {
			most = fmt.Sprintf("≥ %g", row.Most)
			if row.Rising {
				most = fmt.Sprintf("≤ %g", row.Most)
			}
		}
		fmt.Fprintf(w, "%s\t%.1f %s\t%s\t%s\t%s\t%s\t%s\t%s\n", row.Name, row.Value, row.Unit, p50, target, verdict(row.Met), ratio, most, verdict(row.Kept))
	}
	return w.Flush()
}

func (r *GrowReport) write(path string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil { //nolint:gosec // results are for everybody
		return err
	}
	body, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(path, append(body, '\n'), 0o644) //nolint:gosec // results are for everybody
}

func readGrowReport(path string) (*GrowReport, error) {
	body, err := os.ReadFile(path) //nolint:gosec // the operator's own file
	if err != nil {
		return nil, err
	}
	var out GrowReport
	if err := json.Unmarshal(body, &out); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return &out, nil
}
