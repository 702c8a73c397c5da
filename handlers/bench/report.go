package bench

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"text/tabwriter"
)

// round is what one round measured, by load.
type round map[string]sample

// line is one row of the table: the figures of a load, and a value that is held
// against a target.
type line struct {
	name   string
	load   string
	beside string // the load it is compared with; "": none
	unit   string
	value  func(own, beside sample) float64
	target float64 // 0: none
	atMost bool    // the target is a ceiling
}

func ratio(own, beside sample) float64 { return own.PerSecond / beside.PerSecond }

// table is every row (issue "The charge path at the limit" sets the targets).
func table() []line {
	t := func(name, load string, target float64) line {
		return line{name: name, load: load, beside: tpcb, unit: "T", value: ratio, target: target}
	}
	return []line{
		{name: "TPC-B, best of 8 to 64 clients: T", load: tpcb, beside: tpcb, unit: "T", value: ratio},
		{name: "TPC-B, 1 client", load: tpcbAlone, beside: tpcb, unit: "T", value: ratio},
		t("in process, 256 callers, 1,000 wallets", inProcess, 12),
		t("in process, 256 callers, one wallet", inProcessHot, 25),
		t("HTTP, 64 connections, 1,000 wallets", http64, 3),
		t("HTTP, 64 connections, one wallet", http64Hot, 3),
		t("HTTP, 256 connections, 1,000 wallets", http256, 4),
		t("HTTP, 1,000 charges a request, 4 connections", httpBatch, 15),
		{
			name: "HTTP, lone caller: p50 beside a TPC-B commit", load: httpAlone, beside: tpcbAlone, unit: "×",
			value: func(own, beside sample) float64 { return own.P50 / beside.P50 }, target: 1.5, atMost: true,
		},
		{
			name: "HTTP, 64 connections: p99 beside p50", load: http64, unit: "×",
			value: func(own, _ sample) float64 { return own.P99 / own.P50 }, target: 5, atMost: true,
		},
		{
			name: "HTTP, half the rate of 64 connections: p99 beside a TPC-B commit", load: httpHalf, beside: tpcbAlone, unit: "×",
			value: func(own, beside sample) float64 { return own.P99 / beside.P50 }, target: 5, atMost: true,
		},
		{
			name: "TPC-B, half its rate: p99 beside a TPC-B commit", load: tpcbHalf, beside: tpcbAlone, unit: "×",
			value: func(own, beside sample) float64 { return own.P99 / beside.P50 },
		},
		t("HTTP, 64 connections, hold + capture pairs", pairs, 1.5),
		{
			name: "HTTP, 64 connections: write-ahead log a charge", load: http64, unit: "B",
			value: func(own, _ sample) float64 { return own.WAL }, target: 1200, atMost: true,
		},
		t("HTTP, 64 connections, GET wallet", reads, 4),
		{name: "SQLite, in process, 256 callers, 1,000 wallets", load: liteInProcess},
		{
			name: "SQLite, HTTP, 64 connections, 1,000 wallets", load: liteHTTP64, beside: http64, unit: "× PostgreSQL's",
			value: ratio, target: 0.8,
		},
	}
}

// needsPostgres tells whether a row means nothing without the server.
func (l line) needsPostgres() bool { return loads()[l.load].on != onSQLite }

// needs are the loads behind some lines, those aside that need a server when
// there is none.
func needs(lines []line, postgres bool) map[string]bool {
	out := map[string]bool{}
	for _, l := range lines {
		for _, name := range []string{l.load, l.beside} {
			if name != "" && (postgres || loads()[name].on == onSQLite) {
				out[name] = true
				switch name { // half of what that reaches
				case httpHalf:
					out[http64] = true
				case tpcbHalf:
					out[tpcb] = true
				}
			}
		}
	}
	return out
}

// Report is the outcome of a run.
type Report struct {
	At      string  `json:"at"`
	Machine Machine `json:"machine"`
	Scale   int     `json:"tpcb_scale"`
	Seconds int     `json:"seconds"`
	Rounds  int     `json:"rounds"`
	Quick   bool    `json:"quick"` // too short to mean anything
	Rows    []Row   `json:"rows"`
}

// Machine is where the figures are from.
type Machine struct {
	CPUs     int    `json:"cpus"`
	System   string `json:"system"`
	Go       string `json:"go"`
	Postgres string `json:"postgres,omitempty"`
}

// Row is one result: medians of the rounds.
type Row struct {
	Name      string   `json:"name"`
	PerSecond float64  `json:"per_second"`
	P50       float64  `json:"p50_ms"`
	P99       float64  `json:"p99_ms,omitempty"`
	CPU       float64  `json:"cpu_us,omitempty"`          // of the product and the load, a charge
	Database  float64  `json:"database_cpu_us,omitempty"` // of the database, a charge
	Value     *float64 `json:"value,omitempty"`           // what the target is about
	Unit      string   `json:"unit,omitempty"`
	Target    float64  `json:"target,omitempty"`
	AtMost    bool     `json:"at_most,omitempty"`
	Met       *bool    `json:"met,omitempty"`
}

// result is a line's medians. A ratio is taken within each round, so that a
// machine that slows down between rounds does not blur it.
func (l line) result(rounds []round) Row {
	of := func(get func(own, beside sample) float64) float64 {
		var values []float64
		for _, r := range rounds {
			values = append(values, get(r[l.load], r[l.beside]))
		}
		return median(values)
	}
	row := Row{
		Name:      l.name,
		PerSecond: of(func(own, _ sample) float64 { return own.PerSecond }),
		P50:       of(func(own, _ sample) float64 { return own.P50 }),
		P99:       of(func(own, _ sample) float64 { return own.P99 }),
		CPU:       of(func(own, _ sample) float64 { return own.CPU }),
		Database:  of(func(own, _ sample) float64 { return own.Database }),
		Unit:      l.unit, Target: l.target, AtMost: l.atMost,
	}
	if l.value == nil || l.beside != "" && slices.ContainsFunc(rounds, func(r round) bool { return r[l.beside].PerSecond == 0 }) {
		return row
	}
	value := of(l.value)
	row.Value = &value
	if l.target != 0 {
		met := value >= l.target
		if l.atMost {
			met = value <= l.target
		}
		row.Met = &met
	}
	return row
}

func (r *Report) json() ([]byte, error) {
	out, err := json.MarshalIndent(r, "", "  ")
	return append(out, '\n'), err
}

// print writes the table for people.
func (r *Report) print(to io.Writer) error {
	w := tabwriter.NewWriter(to, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "medians of %d × %d s, %d CPUs, %s, %s, PostgreSQL %s, TPC-B at scale %d\n\n",
		r.Rounds, r.Seconds, r.Machine.CPUs, r.Machine.System, r.Machine.Go, r.Machine.Postgres, r.Scale)
	fmt.Fprintln(w, "row\ta second\tp50 ms\tp99 ms\tµs CPU\tdatabase\tvalue\ttarget\t")
	for _, row := range r.Rows {
		value, target, verdict := "", "", ""
		if row.Value != nil {
			value = fmt.Sprintf("%.2f %s", *row.Value, row.Unit)
		}
		if row.Target != 0 {
			target = fmt.Sprintf("≥ %g", row.Target)
			if row.AtMost {
				target = fmt.Sprintf("≤ %g", row.Target)
			}
		}
		if row.Met != nil {
			verdict = "missed"
			if *row.Met {
				verdict = "met"
			}
		}
		p99 := ""
		if row.P99 > 0 {
			p99 = fmt.Sprintf("%.2f", row.P99)
		}
		used := func(us float64) string {
			if us == 0 {
				return ""
			}
			return fmt.Sprintf("%.0f", us)
		}
		fmt.Fprintf(w, "%s\t%.0f\t%.2f\t%s\t%s\t%s\t%s\t%s\t%s\n", row.Name, row.PerSecond, row.P50, p99,
			used(row.CPU), used(row.Database), value, target, verdict)
	}
	return w.Flush()
}
