package views

import (
	"net/url"
	"slices"
)

// PreviewPage is a page or a mail of the portal that an agency looks at in its brand.
type PreviewPage string

// The pages and mails; low is the first page of a client with few credits left.
const (
	PreviewBalance     PreviewPage = "balance"
	PreviewBuy         PreviewPage = "buy"
	PreviewLow         PreviewPage = "low"
	PreviewSignIn      PreviewPage = "sign-in"
	PreviewSignInMail  PreviewPage = "mail"
	PreviewLowMail     PreviewPage = "low-mail"
	PreviewReceiptMail PreviewPage = "receipt"
)

// previewPages are the pages there are, in words.
func previewPages() []LineRow {
	return []LineRow{
		{string(PreviewBalance), "Balance"},
		{string(PreviewBuy), "Buy"},
		{string(PreviewLow), "Low balance"},
		{string(PreviewSignIn), "Sign-in"},
		{string(PreviewSignInMail), "Sign-in mail"},
		{string(PreviewLowMail), "Low-balance mail"},
		{string(PreviewReceiptMail), "Receipt mail"},
	}
}

// FindPreviewPage finds a page by its name.
func FindPreviewPage(name string) (PreviewPage, bool) {
	return PreviewPage(name), slices.ContainsFunc(previewPages(), func(p LineRow) bool { return p.Kind == name })
}

// Preview is which page the agency looks at, and how.
type Preview struct {
	Page   PreviewPage
	Theme  string // light, dark
	Screen string // desktop, phone
}

// ParsePreview reads an address; what it does not know is the default.
func ParsePreview(q url.Values) Preview {
	p := Preview{PreviewBalance, oneOf(q.Get("theme"), "light", "dark"), oneOf(q.Get("screen"), "desktop", "phone")}
	if page, ok := FindPreviewPage(q.Get("show")); ok {
		p.Page = page
	}
	return p
}

// OfClient tells a page that is one of the agency's clients'.
func (p Preview) OfClient() bool {
	return p.Page == PreviewBalance || p.Page == PreviewBuy || p.Page == PreviewLow
}

// previewSwitch is one choice of how to look, as links: it works without script.
type previewSwitch struct {
	label string
	tabs  []Tab
}

func (p Preview) switches() []previewSwitch {
	choose := func(name, label string, rows []LineRow) previewSwitch {
		s := previewSwitch{label: label}
		for _, r := range rows {
			to := url.Values{"show": {string(p.Page)}, "theme": {p.Theme}, "screen": {p.Screen}}
			current := to.Get(name) == r.Kind
			to.Set(name, r.Kind)
			s.tabs = append(s.tabs, Tab{Label: r.Value, Href: "/settings/brand?" + to.Encode() + "#preview", Current: current})
		}
		return s
	}
	return []previewSwitch{
		choose("show", "Page to preview", previewPages()),
		choose("theme", "Theme", []LineRow{{"light", "Light"}, {"dark", "Dark"}}),
		choose("screen", "Screen", []LineRow{{"desktop", "Desktop"}, {"phone", "Phone"}}),
	}
}

// src is the address of the page itself.
func (p Preview) src() string {
	return "/settings/brand/preview/" + string(p.Page) + "?theme=" + p.Theme
}

// title is "Preview: Low balance, dark".
func (p Preview) title() string {
	for _, r := range previewPages() {
		if r.Kind == string(p.Page) {
			return "Preview: " + r.Value + ", " + p.Theme
		}
	}
	return "Preview"
}
