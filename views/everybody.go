package views

// Everybody is GET /admin/people: the people of all agencies.
type Everybody struct {
	Frame Frame
	Match string // a part of the e-mail or name; "" all
	Rows  []SomebodyRow
	Pager Pager
}

// SomebodyRow is one of them.
type SomebodyRow struct {
	Name, Email, Href string
	Admin             bool
	TwoStep           bool
	Disabled          bool
	Agencies          int64
	Browsers          int64  // signed in
	Seen              string // "3 minutes ago"; "" not known
}

// Somebody is one person's page.
type Somebody struct {
	Frame    Frame
	Row      SomebodyRow
	Browsers []Browser
}
