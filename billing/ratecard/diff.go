package ratecard

import (
	"strings"
)

// Change is one rate that differs between two states of a card. Old is nil for a
// rate that is new, New for one that is gone.
type Change struct{ Old, New *Rate }

// Diff tells what publishing after instead of before would change: rates of after
// in their order, then those that are gone.
func Diff(before, after []Rate) []Change {
	var out []Change
	old := make(map[[2]string]*Rate, len(before))
	for i := range before {
		old[[2]string{before[i].Action, before[i].Model}] = &before[i]
	}
	for i := range after {
		r := &after[i]
		pair := [2]string{r.Action, r.Model}
		was := old[pair]
		delete(old, pair)
		if was == nil || was.Terms() != r.Terms() {
			out = append(out, Change{Old: was, New: r})
		}
	}
	for i := range before {
		if r, gone := old[[2]string{before[i].Action, before[i].Model}]; gone {
			out = append(out, Change{Old: r})
		}
	}
	return out
}

// Name is what a rate is for: "ai.reply gpt-4".
func (r Rate) Name() string {
	if r.Model == "" {
		return r.Action
	}
	return r.Action + " " + r.Model
}

// Terms is the whole price in plain decimals: "5 + 3 per 5000 characters above
// 2000, at least 6, at most 20". Two rates with the same terms price alike.
func (r Rate) Terms() string {
	var b strings.Builder
	b.WriteString(r.Base.String())
	for _, c := range r.Components {
		b.WriteString(" + " + c.Credits.String() + " per " + c.Size.String() + " " + c.Measure)
		if c.Above > 0 {
			b.WriteString(" above " + c.Above.String())
		}
	}
	if r.Minimum != nil {
		b.WriteString(", at least " + r.Minimum.String())
	}
	if r.Maximum != nil {
		b.WriteString(", at most " + r.Maximum.String())
	}
	return b.String()
}

// Words is the change in one line: "ai.reply gpt-4: 25 → 30", "ai.crawl added: 1".
func (c Change) Words() string {
	switch {
	case c.Old == nil:
		return c.New.Name() + " added: " + c.New.Terms()
	case c.New == nil:
		return c.Old.Name() + " removed: it was " + c.Old.Terms()
	}
	return c.New.Name() + ": " + c.Old.Terms() + " → " + c.New.Terms()
}
