package chart

import (
	"hash/fnv"
	"slices"
)

// Slots gives every shown name its colour. order is the account's stored list of
// names, oldest first, which only ever grows; names not in it come last, by name.
//
// Each name hashes to one of the five hues; a name that finds its hue taken takes
// the next free one. The first five names of order settle among themselves
// before anything is shown, so they keep their colour under every filter. When a
// sixth or later name is shown beside another of its hue, the later one moves.
// More than five names at once share hues: fold them with Top first.
func Slots(order, shown []string) map[string]int {
	names := slices.Clone(shown)
	slices.Sort(names)
	names = slices.Compact(names)
	rank := make(map[string]int, len(order))
	for i, name := range order {
		if _, known := rank[name]; !known {
			rank[name] = i
		}
	}
	place := func(name string) int {
		if r, known := rank[name]; known {
			return r
		}
		return len(order)
	}
	slices.SortStableFunc(names, func(a, b string) int { return place(a) - place(b) })

	homes := homeSlots(order)
	slots := make(map[string]int, len(names))
	var taken [SlotLast + 1]bool
	for _, name := range names {
		home, ok := homes[name]
		if !ok {
			home = hue(name)
		}
		slots[name] = takeFree(&taken, home)
	}
	return slots
}

// homeSlots settles the first five different names of the stored order.
func homeSlots(order []string) map[string]int {
	homes := make(map[string]int, MaxSeries)
	var taken [SlotLast + 1]bool
	for _, name := range order {
		if len(homes) == MaxSeries {
			break
		}
		if _, known := homes[name]; !known {
			homes[name] = takeFree(&taken, hue(name))
		}
	}
	return homes
}

// takeFree takes want, or the next free hue after it, or want once none is free.
func takeFree(taken *[SlotLast + 1]bool, want int) int {
	for i := range MaxSeries {
		slot := (want-SlotFirst+i)%MaxSeries + SlotFirst
		if !taken[slot] {
			taken[slot] = true
			return slot
		}
	}
	return want
}

// hue is the colour a name would have on its own.
func hue(name string) int {
	h := fnv.New32a()
	_, _ = h.Write([]byte(name)) // a hash never fails
	return int(h.Sum32()%MaxSeries) + SlotFirst
}
