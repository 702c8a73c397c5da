package ratecard_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/big"
	"strings"
	"testing"

	"refill/billing/ratecard"
)

func TestUsageJSON(t *testing.T) {
	t.Parallel()
	sixteen := make([]string, 16)
	for i := range sixteen {
		sixteen[i] = fmt.Sprintf(`"m%02d":1`, i)
	}
	full := "{" + strings.Join(sixteen, ",") + "}"
	tests := []struct{ in, want string }{
		{`null`, `{}`},
		{`{}`, `{}`},
		{` { "output_tokens" : 44 , "input_tokens" : 374 } `, `{"input_tokens":374,"output_tokens":44}`},
		{`{"pages":"1.50"}`, `{"pages":1.5}`},
		{`{"pages":1.2300000000}`, `{"pages":1.23}`},
		{`{"pages":0.000001}`, `{"pages":0.000001}`},
		{`{"pages":1e-6}`, `{"pages":0.000001}`},
		{`{"pages":12.5E+2}`, `{"pages":1250}`},
		{`{"pages":0}`, `{"pages":0}`},
		{`{"pages":0.0e-3}`, `{"pages":0}`},
		{`{"pages":1e12}`, `{"pages":1000000000000}`},
		{`{"pages":9007199254.740993}`, `{"pages":9007199254.740993}`}, // a float64 would lose the last digit
		{full, full},
	}
	for _, tt := range tests {
		t.Run(tt.in, func(t *testing.T) {
			t.Parallel()
			var u ratecard.Usage
			if err := json.Unmarshal([]byte(tt.in), &u); err != nil {
				t.Fatal(err)
			}
			if got := u.Canonical(); got != tt.want {
				t.Errorf("canonical form is %s, want %s", got, tt.want)
			}
			if b, err := json.Marshal(map[string]any{"usage": u}); err != nil || string(b) != `{"usage":`+tt.want+`}` {
				t.Errorf("JSON is %s, %v", b, err)
			}
		})
	}
}

func TestUsageJSONRefuses(t *testing.T) {
	t.Parallel()
	seventeen := make([]string, 17)
	for i := range seventeen {
		seventeen[i] = fmt.Sprintf(`"m%02d":1`, i)
	}
	tests := []struct{ name, in, field, says string }{
		{"negative", `{"pages":-1}`, "usage.pages", "not be negative"},
		{"negative zero", `{"pages":-0}`, "usage.pages", "not be negative"},
		{"seven digits", `{"pages":0.1234567}`, "usage.pages", "round it to 6"},
		{"small exponent", `{"pages":1e-7}`, "usage.pages", "round it to 6"},
		{"above the bound", `{"pages":1000000000000.000001}`, "usage.pages", "the most is 1000000000000"},
		{"large exponent", `{"pages":1e400}`, "usage.pages", "too large"},
		{"huge exponent", `{"pages":1e99999999999}`, "usage.pages", "exponent out of range"},
		{"many digits", `{"pages":` + strings.Repeat("1", 80) + `}`, "usage.pages", "too long"},
		{"not a number", `{"pages":"NaN"}`, "usage.pages", "is not a number"},
		{"infinity", `{"pages":"Inf"}`, "usage.pages", "is not a number"},
		{"hexadecimal", `{"pages":"0x10"}`, "usage.pages", "is not a number"},
		{"plus sign", `{"pages":"+1"}`, "usage.pages", "is not a number"},
		{"two signs", `{"pages":"1e+-1"}`, "usage.pages", "is not a number"},
		{"no digits behind the point", `{"pages":"1."}`, "usage.pages", "is not a number"},
		{"empty", `{"pages":""}`, "usage.pages", "is not a number"},
		{"grouping", `{"pages":"1,000"}`, "usage.pages", "is not a number"},
		{"null", `{"pages":null}`, "usage.pages", "must be a number"},
		{"true", `{"pages":true}`, "usage.pages", "must be a number"},
		{"nested", `{"pages":{"a":1}}`, "usage.pages", "must be a number"},
		{"twice", `{"pages":1,"pages":1}`, "usage.pages", "given twice"},
		{"capital", `{"Pages":1}`, "usage", "is not a measure"},
		{"long name", `{"` + strings.Repeat("a", 41) + `":1}`, "usage", "is not a measure"},
		{"empty name", `{"":1}`, "usage", "is not a measure"},
		{"too many", "{" + strings.Join(seventeen, ",") + "}", "usage", "at most 16"},
		{"array", `[1]`, "usage", "must be an object"},
		{"number", `1`, "usage", "must be an object"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			u := ratecard.Usage{"kept": 1}
			err := json.Unmarshal([]byte(tt.in), &u)
			var found *ratecard.InvalidError
			if !errors.As(err, &found) {
				t.Fatalf("error is %v, want an InvalidError", err)
			}
			if p := found.Problems[0]; p.Field != tt.field || !strings.Contains(p.Remedy, tt.says) {
				t.Errorf("problem is %+v, want %s … %q", p, tt.field, tt.says)
			}
			if len(u) != 1 {
				t.Errorf("a refused usage left %v behind", u)
			}
		})
	}
}

func TestUsageCheck(t *testing.T) {
	t.Parallel()
	tests := map[string]ratecard.Usage{
		"usage.pages must be between 0": {"pages": -1},
		"usage.minutes must be between": {"minutes": ratecard.MaxQuantity + 1},
		`usage "a-b" is not a measure`:  {"a-b": 1},
		"usage has 17 measures":         seventeenMeasures(),
	}
	for says, u := range tests {
		if err := u.Check(); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("Check says %v, want %q", err, says)
		}
		if _, err := json.Marshal(u); err == nil {
			t.Errorf("%v was written as JSON", u)
		}
	}
	if err := (ratecard.Usage{"pages": 0, "minutes": ratecard.MaxQuantity}).Check(); err != nil {
		t.Errorf("usage at the bounds is refused: %v", err)
	}
}

func seventeenMeasures() ratecard.Usage {
	u := ratecard.Usage{}
	for i := range 17 {
		u[fmt.Sprintf("m%d", i)] = 1
	}
	return u
}

func TestRateJSON(t *testing.T) {
	t.Parallel()
	rate := card().Rates[3]
	b, err := json.Marshal(rate)
	if err != nil {
		t.Fatal(err)
	}
	want := `{"action":"ai.draft","model":"","base":"5","components":[{"measure":"characters","above":4000,"size":4000,"credits":"3"}],"minimum":null,"maximum":"10"}`
	if string(b) != want {
		t.Errorf("JSON is %s, want %s", b, want)
	}
	var back ratecard.Rate
	if err := json.Unmarshal(b, &back); err != nil {
		t.Fatal(err)
	}
	if again, err := json.Marshal(back); err != nil || string(again) != want {
		t.Errorf("read back as %s, %v", again, err)
	}
	var half ratecard.Quantity
	if err := json.Unmarshal([]byte(`"0.5"`), &half); err != nil || half != ratecard.One/2 {
		t.Errorf("0.5 is read as %s, %v", half, err)
	}
}

// FuzzUsageJSON holds what is accepted against exact fractions and demands that
// the canonical form reads back as itself.
func FuzzUsageJSON(f *testing.F) {
	for _, seed := range []string{
		`null`, `{}`, `{"pages":1}`, `{"pages":"1.5","labels":1e3}`, `{"pages":1,"pages":2}`, `{"pages":-1}`,
		`{"pages":0.0000001}`, `{"pages":1e999}`, `{"pages":10e-1}`, `{"pages":00}`, `[{}]`, `{"a":1}x`, `{"a":`, `{"a":"0.1e1"}`,
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		var u ratecard.Usage
		if json.Unmarshal([]byte(text), &u) != nil {
			return
		}
		if err := u.Check(); err != nil {
			t.Fatalf("accepted usage does not pass its own check: %v", err)
		}
		var back ratecard.Usage
		if err := json.Unmarshal([]byte(u.Canonical()), &back); err != nil {
			t.Fatalf("canonical form %s is refused: %v", u.Canonical(), err)
		}
		if !maps.Equal(u, back) || back.Canonical() != u.Canonical() {
			t.Fatalf("%s reads back as %s", u.Canonical(), back.Canonical())
		}
		var raw map[string]any
		dec := json.NewDecoder(strings.NewReader(text))
		dec.UseNumber()
		if err := dec.Decode(&raw); err != nil {
			t.Fatal(err)
		}
		for name, v := range raw {
			want, ok := new(big.Rat).SetString(fmt.Sprint(v))
			if !ok || want.Cmp(big.NewRat(int64(u[name]), int64(ratecard.One))) != 0 {
				t.Fatalf("%s: %v was read as %s", name, v, u[name])
			}
		}
	})
}
