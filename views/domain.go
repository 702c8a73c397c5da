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
	Certificate   models.Time // when one was allowed last; unset: nobody asked for one yet
}

// DomainRemoval asks before a name is given up.
type DomainRemoval struct {
	Frame Frame
	Row   DomainRow
	Usual string // address of the portal under the platform's name
}

// follows says what removing does.
func (v DomainRemoval) follows() []string {
	if !v.Row.Proved {
		return []string{"Your portal does not answer at " + v.Row.Name + ". Nothing changes for your clients."}
	}
	var out []string
	if v.Row.Used {
		out = append(out, "Links in mails, returns from payment and receipts lead to "+v.Usual+" from now on. Links that were sent before stop working.")
	}
	return append(out,
		"Your portal stops answering at "+v.Row.Name+" at once, and clients who are signed in there have to sign in at "+v.Usual+".",
		"Mails no longer come from addresses at "+v.Row.Name+". Somebody else may claim the name, and proves it with a TXT record as you did.",
	)
}
