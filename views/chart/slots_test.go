package chart_test

import (
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"refill/views/chart"
)

func TestSlotsKeepAColourUnderEveryFilter(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		order := rapid.SliceOfNDistinct(rapid.StringMatching(`[a-z0-9 -]{1,12}`), 1, 12, rapid.ID).Draw(t, "order")
		shown := order[:0:0]
		for _, name := range order {
			if len(shown) < chart.MaxSeries && rapid.Bool().Draw(t, "shown") {
				shown = append(shown, name)
			}
		}
		all := chart.Slots(order, order[:min(len(order), chart.MaxSeries)])
		got := chart.Slots(order, rapid.Permutation(shown).Draw(t, "asked"))
		if len(got) != len(shown) {
			t.Fatalf("%d colours for %d names", len(got), len(shown))
		}
		taken := map[int]string{}
		for name, slot := range got {
			if slot < chart.SlotFirst || slot > chart.SlotLast {
				t.Fatalf("%q has slot %d", name, slot)
			}
			if other, twice := taken[slot]; twice {
				t.Fatalf("%q and %q share slot %d", name, other, slot)
			}
			taken[slot] = name
			if settled, early := all[name]; early && settled != slot {
				t.Fatalf("%q had slot %d and has %d under a filter", name, settled, slot)
			}
		}
	})
}

func TestSlotsDoNotChangeWhenTheListGrows(t *testing.T) {
	t.Parallel()
	order := []string{"GPT-4 Turbo", "GPT-3.5", "GPT-4", "Website sync"}
	before := chart.Slots(order, order)
	for i := range 20 {
		order = append(order, fmt.Sprintf("Later %d", i))
		for name, slot := range before {
			if got := chart.Slots(order, []string{name, order[len(order)-1]})[name]; got != slot {
				t.Fatalf("%s moved from %d to %d after %d more names", name, slot, got, i+1)
			}
		}
	}
}

func TestSlotsPlaceNamesTheListDoesNotKnow(t *testing.T) {
	t.Parallel()
	got := chart.Slots(nil, []string{"b", "a", "a"})
	again := chart.Slots(nil, []string{"a", "b"})
	if len(got) != 2 || got["a"] != again["a"] || got["b"] != again["b"] || got["a"] == got["b"] {
		t.Fatalf("got %v, then %v", got, again)
	}
	many := []string{"1", "2", "3", "4", "5", "6", "7"}
	for _, slot := range chart.Slots(many, many) {
		if !slices.Contains([]int{1, 2, 3, 4, 5}, slot) {
			t.Fatalf("slot %d", slot)
		}
	}
}
