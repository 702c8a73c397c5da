package views

import "slices"

// FieldError is one thing wrong with one field of a form.
type FieldError struct {
	Field string // the input's name, which is also its id
	Text  string // what is wrong and what to do: "Enter at least 1,000 credits."
}

// FieldErrors is everything wrong with a form, in the order of its fields.
type FieldErrors []FieldError

// For finds the text for a field, "" when it is fine.
func (e FieldErrors) For(field string) string {
	i := slices.IndexFunc(e, func(f FieldError) bool { return f.Field == field })
	if i < 0 {
		return ""
	}
	return e[i].Text
}

// SectionFailure says that one card could not be loaded while the page stands.
type SectionFailure struct {
	What  string // begins the sentence: "Usage"
	Keeps string // what can still be trusted: "Your balance above is correct."; may be ""
	Retry string // href of the same page
	Ref   string // what to tell support: "7F3K"
}

// Pager leads to the neighbouring pages of a list; an empty href has no page.
type Pager struct {
	Newer, Older string
	Text         string // what is shown: "50 lines, newest first"
}

// Column is one heading of a table.
type Column struct {
	Label  string
	Number bool   // end-aligned
	Sort   string // aria-sort: "ascending" or "descending", "" when not sorted by it
	Href   string // link that sorts by it; "" for none
	Narrow bool   // hidden on narrow screens
}

// sorted is the Sort of a column whose order goes up or down, and may be turned round.
func sorted(up, turned bool) string {
	if up != turned {
		return "ascending"
	}
	return "descending"
}

func (c Column) class() string {
	class := ""
	if c.Number {
		class = "n"
	}
	if c.Narrow {
		class += " hide-narrow"
	}
	return class
}
