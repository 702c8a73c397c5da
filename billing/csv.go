package billing

import (
	"context"
	"encoding/csv"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"gorm.io/gorm"

	"refill/billing/period"
	"refill/billing/problem"
	"refill/models"
)

// Export writes a CSV file: UTF-8, RFC 4180, raw numbers, no cap on rows. It
// reads as it writes, so an error may come after some rows.
type Export func(w io.Writer) error

// sheet is a CSV file being written.
type sheet struct {
	csv  *csv.Writer
	zone *time.Location
}

func newSheet(w io.Writer, zone *time.Location) *sheet {
	out := csv.NewWriter(w)
	out.UseCRLF = true
	return &sheet{out, zone}
}

// times are an instant in the account's zone and in UTC.
func (s *sheet) times(t models.Time) (local, utc string) {
	return t.In(s.zone).Format(time.RFC3339), t.Go().Format(time.RFC3339)
}

// Cell is a text that somebody else wrote as a cell of a file: what a spreadsheet
// would take for a formula is marked as text.
func Cell(text string) string {
	lead := strings.TrimLeft(text, " \"'\u00a0\u3000")
	if lead == "" {
		return text
	}
	first, _ := utf8.DecodeRuneInString(lead)
	if strings.ContainsRune("=+-@\t\r\n\x00|%＝＋－＠", first) {
		return "'" + text
	}
	return text
}

func safe(text string) string { return Cell(text) }

// UsageCSV exports a usage query: a row per bucket, account, action and model,
// whatever the query is grouped by. The rows add up to the report's total.
// Errors: as Usage.
func (s *Service) UsageCSV(ctx context.Context, scope Scope, q UsageQuery) (Export, error) {
	if q.Agency.IsZero() || !scope.Covers(q.Agency) {
		return nil, problem.Missing("agency")
	}
	if err := q.check(); err != nil {
		return nil, err
	}
	agency, err := s.Agency(ctx, q.Agency)
	if err != nil {
		return nil, err
	}
	if q.Zone == nil {
		q.Zone = Zone(agency.TimeZone)
	}
	q.Compare = false
	return func(w io.Writer) error { return s.writeUsage(ctx, w, q) }, nil
}

func (s *Service) writeUsage(ctx context.Context, w io.Writer, q UsageQuery) error {
	out := newSheet(w, q.Zone)
	if err := out.csv.Write([]string{
		"time_local", "time_utc", "account", "account_id", "action", "model", "units", "charges", "tests", "credits",
		"plan_credits", "purchased_credits", "assigned_credits", "bonus_credits", "excess_usage",
	}); err != nil {
		return err
	}
	now := s.clock.Now()
	spans := q.cut(q.From, q.To, q.Zone)
	begun := slices.IndexFunc(spans, func(sp period.Span) bool { return sp.Start > now })
	if begun < 0 {
		begun = len(spans)
	}
	// A bucket a read keeps memory at one bucket's rows, however long the file.
	for i, span := range spans[:begun] {
		if i == begun-1 { // with what another process, a little ahead, has counted
			span.End = q.To
		}
		if err := s.writeBucket(ctx, out, q, span); err != nil {
			return err
		}
		if out.csv.Flush(); out.csv.Error() != nil {
			return out.csv.Error()
		}
	}
	return nil
}

func (s *Service) writeBucket(ctx context.Context, out *sheet, q UsageQuery, span period.Span) error {
	var rows []counted
	names := map[models.WalletID][2]string{}
	if err := s.db.Snapshot(ctx, func(tx *gorm.DB) error {
		var agency models.Agency
		if err := tx.Where("id = ?", q.Agency).Take(&agency).Error; err != nil {
			return missing(err, "agency")
		}
		whole := q.Interval == InTotal || q.Interval != Hourly && q.Zone.String() == Zone(agency.TimeZone).String()
		read, err := readCounters(tx, &agency, &q, []string{"wallet_id", "action", "model"}, span.Start, span.End, whole)
		if err != nil || len(read) == 0 {
			return err
		}
		rows = mergeCounted(read)
		report := UsageReport{Query: UsageQuery{Group: BySubAccount}}
		for _, r := range rows {
			report.Rows = append(report.Rows, UsageRow{Key: UsageKey{Wallet: r.WalletID}})
		}
		if err := nameSubAccounts(tx, &agency, &report); err != nil {
			return err
		}
		for _, r := range report.Rows {
			names[r.Key.Wallet] = [2]string{r.Name, r.ExternalID}
		}
		return nil
	}); err != nil {
		return err
	}
	local, utc := out.times(span.Start)
	for _, r := range rows {
		if err := out.csv.Write([]string{
			local, utc, safe(names[r.WalletID][0]), safe(names[r.WalletID][1]), safe(r.Action), safe(r.Model),
			number(r.Units), number(r.Charges), number(r.Tests), r.Credits().String(),
			r.Plan.String(), r.Purchased.String(), r.Assigned.String(), r.Bonus.String(), r.Excess.String(),
		}); err != nil {
			return err
		}
	}
	return nil
}

func number(n int64) string { return strconv.FormatInt(n, 10) }

// mergeCounted adds rows of one account, action and model up, in their order.
func mergeCounted(rows []counted) []counted {
	by := map[UsageKey]*counted{}
	for _, r := range rows {
		k := UsageKey{Wallet: r.WalletID, Action: r.Action, Model: r.Model}
		if have := by[k]; have != nil {
			have.add(r.UsageCount)
			continue
		}
		by[k] = &r
	}
	out := make([]counted, 0, len(by))
	for _, r := range by {
		out = append(out, *r)
	}
	slices.SortFunc(out, func(a, b counted) int {
		return UsageKey{Wallet: a.WalletID, Action: a.Action, Model: a.Model}.compare(UsageKey{Wallet: b.WalletID, Action: b.Action, Model: b.Model})
	})
	return out
}

// HistoryCSV exports the lines of a history query, newest first.
func (s *Service) HistoryCSV(ctx context.Context, q HistoryQuery) Export {
	return func(w io.Writer) error {
		out := newSheet(w, q.Account.Zone)
		if err := out.csv.Write([]string{
			"time_local", "time_utc", "until_local", "until_utc", "type", "account", "action", "model", "count", "change", "credits",
			"balance_after", "test", "would_cost", "note", "reference", "id",
		}); err != nil {
			return err
		}
		q.Limit, q.Cursor = MaxLines, ""
		for {
			page, err := s.History(ctx, q)
			if err != nil {
				return err
			}
			for i := range page.Lines {
				if err := out.csv.Write(out.line(&page.Lines[i])); err != nil {
					return err
				}
			}
			if out.csv.Flush(); out.csv.Error() != nil {
				return out.csv.Error()
			}
			if page.Next == "" {
				return nil
			}
			q.Cursor = page.Next
		}
	}
}

func (s *sheet) line(l *HistoryLine) []string {
	local, utc := s.times(l.At)
	untilLocal, untilUTC, after, count := "", "", "", ""
	if l.Until.IsSet() {
		untilLocal, untilUTC = s.times(l.Until)
	}
	if l.HasAfter {
		after = l.After.String()
	}
	if l.Count != 0 {
		count = number(l.Count)
	}
	return []string{
		local, utc, untilLocal, untilUTC, string(l.Kind), safe(l.Name), safe(l.Action), safe(l.Model), count, l.Change.String(), l.Credits.String(),
		after, strconv.FormatBool(l.Test), l.Would.String(), safe(l.Note), safe(l.Reference), l.ID,
	}
}
