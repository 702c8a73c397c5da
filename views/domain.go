package views

import "refill/models"

// Domains is /settings/domain. Field: domain.
type Domains struct {
	Frame  Frame
	Tabs   []Tab
	Usual  string // address of the portal under the platform's name
	Now    string // where links lead
	Server string // what a CNAME points at
	Rows   []DomainRow
	Name   string // kept
	Errors FieldErrors
}

// DomainRow is a name of the agency's own.
type DomainRow struct {
	Name, Path    string
	Record, Value string // the TXT record
	Tone          Tone
	State         string
	Note          string      // what the last look found wrong
	Checked       models.Time // when it was looked for last; unset: never
	Ends          models.Time // when it stops working unless the record comes back
	Proved, Used  bool
}
