package chart_test

import (
	"bytes"
	"encoding/xml"
	"errors"
	"flag"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/a-h/templ"

	"refill/models"
	"refill/views/chart"
)

var update = flag.Bool("update", false, "write the golden files")

func credits(n ...int64) []models.Credits {
	out := make([]models.Credits, len(n))
	for i, v := range n {
		out[i] = models.Credits(v) * models.Credit
	}
	return out
}

// days labels n days from 1 November 2025.
func days(n int) []chart.Bucket {
	buckets := make([]chart.Bucket, n)
	for i := range buckets {
		day := time.Date(2025, time.November, 1+i, 0, 0, 0, 0, time.UTC)
		buckets[i] = chart.Bucket{Start: models.At(day), Label: day.Format("Mon, Jan 2"), Tick: day.Format("Jan 2")}
	}
	return buckets
}

func week() chart.Data {
	d := chart.Data{
		ID: "week", Title: "Credits used per day, by model and action", Buckets: days(7),
		Series: []chart.Series{
			{Name: "GPT-4 Turbo", Slot: 1, Values: credits(1000, 1500, 1200, 10, 0, 900)},
			{Name: "<GPT-3.5 & co>", Slot: 3, Values: credits(400, 1, 300, 0, 0, 250)},
		},
	}
	d.Buckets[5].Partial = true
	d.Buckets[6].Ahead = true
	return d
}

func TestGolden(t *testing.T) {
	t.Parallel()
	compared := week()
	compared.Previous = credits(900, 1600, 0, 20, 5, 1000, 1100)
	quarter := chart.Data{ID: "quarter", Title: "Credits used per day", Buckets: days(40)}
	one := chart.Series{Name: "All"}
	for i := range 40 {
		one.Values = append(one.Values, credits(int64(100+i*7%30))...)
	}
	quarter.Series = []chart.Series{one}
	running := chart.Running{
		ID: "run", Title: "Credits used, added up per day", Buckets: days(10), Values: credits(100, 250, 0, 400),
		Plan: credits(2000)[0], Projected: credits(1900)[0], Previous: credits(90, 90, 90, 90, 90, 90, 90, 90, 90, 90),
	}
	sold := running
	sold.Plan, sold.Projected, sold.Sold = 0, 0, credits(500, 0, 250)
	for name, component := range map[string]templ.Component{
		"sold":       chart.Cumulative(sold),
		"stacked":    chart.Stacked(week()),
		"compared":   chart.Stacked(compared),
		"coarsened":  chart.Stacked(quarter),
		"empty":      chart.Stacked(chart.Data{ID: "none", Title: "Nothing"}),
		"cumulative": chart.Cumulative(running),
		"sparkline":  chart.Sparkline(credits(1, 5, 3, 0, 8), "Credits used in the last 5 days, most on the last"),
		"multiples": chart.Multiples("Credits per day, each agency", []chart.Mini{
			{Name: "Northwind", Href: "/admin/usage?agency=northwind", Note: "60 credits, +8%", Peak: "the highest Nov 3 with 30", Values: credits(10, 20, 30)},
			{Name: "Bluebird", Note: "3 credits, new", Values: credits(0, 0, 3)},
		}),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			compare(t, name, render(t, component))
		})
	}
}

// render draws a component, one element a line, so that a difference can be read.
func render(t *testing.T, c templ.Component) string {
	t.Helper()
	var out bytes.Buffer
	if err := c.Render(t.Context(), &out); err != nil {
		t.Fatal(err)
	}
	return strings.ReplaceAll(out.String(), "><", ">\n<") + "\n"
}

// compare holds a drawing against its golden file and against what every drawing
// must keep.
func compare(t *testing.T, name, got string) {
	t.Helper()
	for _, bad := range []string{"NaN", "Inf", "style=", "<script", "<text", "%!"} {
		if strings.Contains(got, bad) {
			t.Errorf("%s in the drawing", bad)
		}
	}
	decoder := xml.NewDecoder(strings.NewReader("<all>" + got + "</all>"))
	decoder.Strict = false
	for {
		if _, err := decoder.Token(); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatalf("not well formed: %v", err)
		}
	}
	seen := map[string]bool{}
	for _, id := range regexp.MustCompile(` id="([^"]+)"`).FindAllStringSubmatch(got, -1) {
		if seen[id[1]] {
			t.Errorf("id %q stands twice", id[1])
		}
		seen[id[1]] = true
	}
	for _, ref := range regexp.MustCompile(`url\(#([^)]+)\)|aria-labelledby="([^" ]+) ([^"]+)"`).FindAllStringSubmatch(got, -1) {
		for _, id := range ref[1:] {
			if id != "" && !seen[id] {
				t.Errorf("nothing has id %q", id)
			}
		}
	}
	path := filepath.Join("testdata", name+".golden.html")
	if *update {
		if err := os.MkdirAll("testdata", 0o750); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s differs from its golden file; look at it and run with -update\n%s", name, got)
	}
}
