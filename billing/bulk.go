package billing

import (
	"cmp"
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"refill/billing/ledger"
	"refill/billing/period"
	"refill/billing/problem"
	"refill/models"
)

// MaxBulk is how many clients one bulk assignment may reach.
const MaxBulk = 1000

// BulkAsk says how amounts for many clients are to be worked out.
type BulkAsk struct {
	Way      models.BulkWay
	Credits  models.Credits                         // for each, the balance to refill to, or the sum to share
	Accounts []models.SubAccountID                  // whom; none: every one that has credits of its own
	List     map[models.SubAccountID]models.Credits // of BulkList
}

// BulkPlan is what a bulk assignment would do now. Nothing is booked.
type BulkPlan struct {
	Rows   []BulkRow // by name, those that get nothing included
	Total  models.Credits
	Count  int            // clients that get something
	Now    models.Credits // what the agency has
	After  models.Credits // and would have; below zero: there is too little
	Pooled int            // clients left out: they draw on the agency's own credits
}

// Short tells how many credits there are too few.
func (p *BulkPlan) Short() models.Credits { return max(0, -p.After) }

// BulkRow is one client's part.
type BulkRow struct {
	models.SubAccount

	Credits    models.Credits
	Now, After models.Credits
	Used       models.Credits // last month, of BulkShare
}

// PlanBulk works out who would get what. Errors: not_found, invalid_way,
// invalid_credits, too_many_accounts, no_usage, sub_account_archived.
func (s *Service) PlanBulk(ctx context.Context, scope Scope, agency models.AgencyID, ask BulkAsk) (BulkPlan, error) { //nolint:gocritic // once per form
	var p BulkPlan
	now := s.clock.Now()
	if !scope.Covers(agency) {
		return p, problem.Missing("agency")
	}
	if ask.Way != models.BulkList && (ask.Credits <= 0 || ask.Credits > models.MaxCharge) {
		return p, problem.New(problem.Invalid, "invalid_credits", "Give an amount above 0 and up to %s credits.", mostCredits()).On("credits")
	}
	a, err := s.Agency(ctx, agency)
	if err != nil {
		return p, err
	}
	used := map[models.WalletID]models.Credits{}
	if ask.Way == models.BulkShare {
		if used, err = s.usedLastMonth(ctx, scope, &a, now); err != nil {
			return p, err
		}
	}
	s.inPeriod(ctx, agency, now)
	err = s.db.Snapshot(ctx, func(tx *gorm.DB) error {
		view, err := s.ledger.ViewIn(ctx, tx, agency, a.WalletID, now)
		if err != nil {
			return err
		}
		p.Now = view.Balance.Left()
		if err := p.read(tx, agency, &ask, now); err != nil {
			return err
		}
		return p.share(&ask, used)
	})
	return p, err
}

// read gathers the clients that are asked for, with what they have.
func (p *BulkPlan) read(tx *gorm.DB, agency models.AgencyID, ask *BulkAsk, now models.Time) error {
	var subs []models.SubAccount
	if err := tx.Where("agency_id = ? AND status = ?", agency, models.SubAccountActive).Order("name, id").Find(&subs).Error; err != nil {
		return err
	}
	active := make(map[models.SubAccountID]bool, len(subs))
	for i := range subs {
		active[subs[i].ID] = true
	}
	for _, id := range ask.named() {
		if active[id] {
			continue
		}
		var gone models.SubAccount
		if err := tx.Where("agency_id = ? AND id = ?", agency, id).Take(&gone).Error; err != nil {
			return missing(err, "sub-account")
		}
		return archived(&gone)
	}
	var wallets []models.Wallet
	if err := tx.Where("agency_id = ?", agency).Find(&wallets).Error; err != nil {
		return err
	}
	left, err := spendableBy(tx.Where("agency_id = ?", agency), now)
	if err != nil {
		return err
	}
	byID := make(map[models.WalletID]*models.Wallet, len(wallets))
	for i := range wallets {
		byID[wallets[i].ID] = &wallets[i]
	}
	for i := range subs {
		w := byID[subs[i].WalletID]
		chosen := len(ask.Accounts) == 0 || slices.Contains(ask.Accounts, subs[i].ID)
		if ask.Way == models.BulkList {
			_, chosen = ask.List[subs[i].ID]
		}
		switch {
		case w == nil || !chosen:
		case w.Funding == models.Pooled:
			p.Pooled++
		default:
			p.Rows = append(p.Rows, BulkRow{SubAccount: subs[i], Now: left[w.ID] - w.Excess})
		}
	}
	if len(p.Rows) > MaxBulk {
		return problem.New(problem.Invalid, "too_many_accounts", "At most %d clients at once; choose fewer, or send a list in parts.", MaxBulk).On("accounts")
	}
	return nil
}

// named are the clients that are asked for one by one.
func (ask *BulkAsk) named() []models.SubAccountID {
	if ask.Way == models.BulkList {
		return slices.SortedFunc(maps.Keys(ask.List), models.SubAccountID.Compare)
	}
	return ask.Accounts
}

// share works the amounts out and adds them up.
func (p *BulkPlan) share(ask *BulkAsk, used map[models.WalletID]models.Credits) error {
	var whole, before models.Credits
	for i := range p.Rows {
		p.Rows[i].Used = max(0, used[p.Rows[i].WalletID])
		whole += p.Rows[i].Used
	}
	if ask.Way == models.BulkShare && whole == 0 {
		return problem.New(problem.Conflict, "no_usage", "None of these clients used any credits last month, so there is nothing to share by.").On("credits")
	}
	unit := models.Credits(1)
	if ask.Credits%models.Credit == 0 {
		unit = models.Credit // a whole sum is shared out in whole credits
	}
	for i := range p.Rows {
		r := &p.Rows[i]
		switch ask.Way {
		case models.BulkSame:
			r.Credits = ask.Credits
		case models.BulkTarget:
			r.Credits = max(0, ask.Credits-r.Now)
		case models.BulkShare:
			part, err := models.Part(int64(ask.Credits/unit), int64(before), int64(before+r.Used), int64(whole))
			if err != nil {
				return err
			}
			before += r.Used
			r.Credits = models.Credits(part) * unit
		case models.BulkList:
			r.Credits = ask.List[r.ID]
		default:
			return problem.New(problem.Invalid, "invalid_way", "Choose how the amounts are worked out.").On("way")
		}
		r.After = r.Now + r.Credits
		p.Total += r.Credits
		if r.Credits > 0 {
			p.Count++
		}
	}
	p.After = p.Now - p.Total
	return nil
}

// usedLastMonth is what each client used in the calendar month before this one.
func (s *Service) usedLastMonth(ctx context.Context, scope Scope, a *models.Agency, now models.Time) (map[models.WalletID]models.Credits, error) {
	zone := Zone(a.TimeZone)
	this := period.CalendarMonth(now, zone)
	last := period.CalendarMonth(this.Start-1, zone)
	r, err := s.Usage(ctx, scope, UsageQuery{Agency: a.ID, Zone: zone, From: last.Start, To: last.End, Group: BySubAccount, Interval: InTotal})
	if err != nil {
		return nil, err
	}
	out := make(map[models.WalletID]models.Credits, len(r.Rows))
	for i := range r.Rows {
		out[r.Rows[i].Key.Wallet] = r.Rows[i].Total.Credits()
	}
	return out, nil
}

// maxListBytes bounds a list of amounts.
const maxListBytes = 512 << 10

// ReadBulkList reads a list "client,credits", a line each, by id or external id;
// commas, semicolons or tabs between, a heading if its second column is no
// number. parse reads an amount. All that is wrong is told at once, by line.
// Errors: invalid_list.
func (s *Service) ReadBulkList(ctx context.Context, agency models.AgencyID, in io.Reader, parse func(string) (models.Credits, error)) (map[models.SubAccountID]models.Credits, error) {
	text, err := io.ReadAll(io.LimitReader(in, maxListBytes+1))
	if err != nil {
		return nil, err
	}
	if len(text) > maxListBytes {
		return nil, problem.New(problem.Invalid, "invalid_list", "A list has at most %d KB; send it in parts.", maxListBytes>>10).On("list")
	}
	subs, err := s.SubAccounts(ctx, agency)
	if err != nil {
		return nil, err
	}
	by := make(map[string]*models.SubAccount, 2*len(subs))
	for i := range subs {
		by[subs[i].ID.String()], by[subs[i].ExternalID] = &subs[i], &subs[i]
	}
	lines, err := splitList(strings.TrimPrefix(string(text), "\ufeff"))
	if err != nil {
		return nil, problem.New(problem.Invalid, "invalid_list", "The list can't be read: %s.", err).On("list")
	}
	out, listed := map[models.SubAccountID]models.Credits{}, map[models.SubAccountID]bool{}
	var wrong []string
	for i, line := range lines {
		amount, err := parse(strings.TrimSpace(line[1]))
		if i == 0 && err != nil && by[line[0]] == nil {
			continue // a heading
		}
		sub := by[strings.TrimSpace(line[0])]
		switch {
		case sub == nil:
			wrong = append(wrong, fmt.Sprintf("line %d: there is no client %q", i+1, line[0]))
		case sub.Status != models.SubAccountActive:
			wrong = append(wrong, fmt.Sprintf("line %d: %s is archived", i+1, sub.Name))
		case err != nil || amount < 0 || amount > models.MaxCharge:
			wrong = append(wrong, fmt.Sprintf("line %d: %q is not a number of credits", i+1, line[1]))
		case listed[sub.ID]:
			wrong = append(wrong, fmt.Sprintf("line %d: %s is listed twice", i+1, sub.Name))
		default:
			out[sub.ID], listed[sub.ID] = amount, true
		}
	}
	const shown = 10
	if n := len(wrong); n > shown {
		wrong = append(wrong[:shown], fmt.Sprintf("and %d more", n-shown))
	}
	if len(wrong) > 0 {
		return nil, problem.New(problem.Invalid, "invalid_list", "Nothing was taken from the list: %s.", strings.Join(wrong, "; ")).On("list")
	}
	if len(out) == 0 {
		return nil, problem.New(problem.Invalid, "invalid_list", "The list is empty. Give a line for each client: its id, a comma, its credits.").On("list")
	}
	return out, nil
}

// splitList cuts a list into lines of two cells.
func splitList(text string) ([][]string, error) {
	r := csv.NewReader(strings.NewReader(text))
	r.FieldsPerRecord, r.TrimLeadingSpace = -1, true
	if first, _, _ := strings.Cut(text, "\n"); strings.Contains(first, ";") {
		r.Comma = ';'
	} else if strings.Contains(first, "\t") {
		r.Comma = '\t'
	}
	lines, err := r.ReadAll()
	if err != nil {
		return nil, err
	}
	for i, line := range lines {
		if len(line) < 2 {
			return nil, fmt.Errorf("line %d has no amount", i+1)
		}
	}
	return lines, nil
}

// BulkInput assigns credits to many clients.
type BulkInput struct {
	Agency models.AgencyID
	Way    models.BulkWay
	Shares []BulkShare
	Note   string
	Key    string
	By     Actor

	asked []byte // of a program, which asks for a way and not for shares
}

// BulkShare is what one client gets.
type BulkShare struct {
	SubAccount models.SubAccountID
	Credits    models.Credits
}

// AssignMany assigns every share or none, once for a key; replayed tells that the
// key had done it before. Errors: insufficient_credits, invalid_credits,
// too_many_accounts, pooled_account, sub_account_archived, not_found,
// idempotency_key_reused.
func (s *Service) AssignMany(ctx context.Context, scope Scope, in BulkInput) (out models.BulkAssignment, replayed bool, err error) { //nolint:gocritic // once per form
	now := s.clock.Now()
	if err := errors.Join(checkKey(in.Key), in.check()); err != nil {
		return out, false, err
	}
	if !scope.Covers(in.Agency) {
		return out, false, problem.Missing("agency")
	}
	asked := in.digest()
	s.inPeriod(ctx, in.Agency, now)
	err = s.once(ctx, func(tx *gorm.DB) error {
		out = models.BulkAssignment{}
		found := tx.Where("agency_id = ? AND idempotency_key = ?", in.Agency, in.Key).Take(&out).Error
		if replayed, err = again(found, out.Fingerprint, asked); replayed || err != nil {
			return err
		}
		var agency models.Agency
		if err := tx.Where("id = ?", in.Agency).Take(&agency).Error; err != nil {
			return missing(err, "agency")
		}
		out = models.BulkAssignment{
			AgencyID: in.Agency, ID: models.NewID[models.BulkID](now), Way: in.Way, Accounts: len(in.Shares), Note: in.Note,
			CreatedBy: string(in.By), IdempotencyKey: in.Key, Fingerprint: asked, CreatedAt: now,
		}
		return s.spread(ctx, tx, &agency, &in, &out, now)
	})
	return out, replayed, err
}

// BulkOrder has a bulk assignment worked out and booked in one go, for programs.
type BulkOrder struct {
	Agency models.AgencyID
	Ask    BulkAsk
	Note   string
	Key    string
	By     Actor
}

func (o *BulkOrder) digest() []byte {
	parts := []string{"bulk ask", string(o.Ask.Way), o.Ask.Credits.String(), o.Note}
	for _, id := range o.Ask.Accounts {
		parts = append(parts, id.String())
	}
	for _, id := range slices.SortedFunc(maps.Keys(o.Ask.List), models.SubAccountID.Compare) {
		parts = append(parts, id.String(), o.Ask.List[id].String())
	}
	return fingerprint(parts...)
}

// AssignAsked works out who gets what and assigns every share or none, once for a
// key: asked again it gives what was booked, whatever would be worked out now.
// Errors: as PlanBulk and AssignMany, and nothing_to_assign.
func (s *Service) AssignAsked(ctx context.Context, scope Scope, o BulkOrder) (out models.BulkAssignment, replayed bool, err error) { //nolint:gocritic // once per request
	if err := checkKey(o.Key); err != nil {
		return out, false, err
	}
	if !scope.Covers(o.Agency) {
		return out, false, problem.Missing("agency")
	}
	in := BulkInput{Agency: o.Agency, Way: o.Ask.Way, Note: o.Note, Key: o.Key, By: o.By, asked: o.digest()}
	found := s.db.Write.WithContext(ctx).Where("agency_id = ? AND idempotency_key = ?", o.Agency, o.Key).Take(&out).Error
	if replayed, err = again(found, out.Fingerprint, in.asked); replayed || err != nil {
		return out, replayed, err
	}
	plan, err := s.PlanBulk(ctx, scope, o.Agency, o.Ask)
	if err != nil {
		return out, false, err
	}
	for i := range plan.Rows {
		if r := &plan.Rows[i]; r.Credits > 0 {
			in.Shares = append(in.Shares, BulkShare{SubAccount: r.ID, Credits: r.Credits})
		}
	}
	if len(in.Shares) == 0 {
		return out, false, problem.New(problem.Conflict, "nothing_to_assign", "None of these sub-accounts would get any credits, so nothing was assigned.").On("sub_accounts")
	}
	return s.AssignMany(ctx, scope, in)
}

// spread books what was asked for and what each got.
func (s *Service) spread(ctx context.Context, tx *gorm.DB, agency *models.Agency, in *BulkInput, out *models.BulkAssignment, now models.Time) error {
	r := ledger.SpreadRequest{Agency: agency.ID, From: agency.WalletID, Actor: string(in.By), Note: in.Note, Reference: out.ID.String(), At: now}
	for _, share := range in.Shares {
		_, sub, err := s.pair(tx, agency.ID, share.SubAccount)
		if err == nil {
			err = fedByHand(tx, sub)
		}
		if err != nil {
			return err
		}
		r.Shares = append(r.Shares, ledger.Share{To: sub.WalletID, Credits: share.Credits})
		out.Credits += share.Credits
	}
	acts, err := s.ledger.Spread(ctx, tx, r)
	if err != nil {
		return err
	}
	if err := tx.Create(out).Error; err != nil {
		return err
	}
	parts := make([]models.BulkPart, len(acts))
	for i := range acts {
		parts[i] = models.BulkPart{
			AgencyID: agency.ID, BulkID: out.ID, SubAccountID: in.Shares[i].SubAccount, Credits: in.Shares[i].Credits, ActID: acts[i].ID,
		}
	}
	if err := tx.CreateInBatches(&parts, 100).Error; err != nil {
		return err
	}
	return s.audit(tx, agency.ID, in.By, "credits.assign_many", out.ID.String(), fmt.Sprintf("%s credits to %d clients (%s)", out.Credits, out.Accounts, out.Way), in.Note, now)
}

func (in *BulkInput) check() error {
	if len(in.Shares) == 0 || len(in.Shares) > MaxBulk {
		return problem.New(problem.Invalid, "too_many_accounts", "Assign to 1 to %d clients at once.", MaxBulk).On("accounts")
	}
	if !slices.Contains([]models.BulkWay{models.BulkSame, models.BulkTarget, models.BulkShare, models.BulkList}, in.Way) {
		return problem.New(problem.Invalid, "invalid_way", "Choose how the amounts are worked out.").On("way")
	}
	if len(in.Note) > 500 {
		return problem.New(problem.Invalid, "note_too_long", "A note has at most 500 bytes.").On("note")
	}
	seen := make(map[models.SubAccountID]bool, len(in.Shares))
	for _, share := range in.Shares {
		if share.Credits <= 0 || share.Credits > models.MaxCharge || seen[share.SubAccount] {
			return problem.New(problem.Invalid, "invalid_credits", "Give each client an amount above 0 and up to %s credits, once.", mostCredits()).On("credits")
		}
		seen[share.SubAccount] = true
	}
	return nil
}

func (in *BulkInput) digest() []byte {
	if in.asked != nil {
		return in.asked
	}
	parts := []string{"bulk", string(in.Way), in.Note}
	for _, share := range in.Shares {
		parts = append(parts, share.SubAccount.String(), share.Credits.String())
	}
	return fingerprint(parts...)
}

// BulkRecord is a bulk assignment with what has become of it.
type BulkRecord struct {
	models.BulkAssignment

	Parts   []BulkPartRow // by name
	Unspent models.Credits
}

// BulkPartRow is one client's part and what of it could be taken back now.
type BulkPartRow struct {
	models.BulkPart

	Name    string
	Unspent models.Credits
}

// Bulk reads a bulk assignment. Errors: not_found.
func (s *Service) Bulk(ctx context.Context, scope Scope, agency models.AgencyID, id models.BulkID) (BulkRecord, error) {
	var out BulkRecord
	if !scope.Covers(agency) {
		return out, problem.Missing("assignment")
	}
	err := s.db.Snapshot(ctx, func(tx *gorm.DB) error {
		if err := tx.Where("agency_id = ? AND id = ?", agency, id).Take(&out.BulkAssignment).Error; err != nil {
			return missing(err, "assignment")
		}
		if err := tx.Table("bulk_assignment_parts p").Select("p.*, s.name").
			Joins("JOIN sub_accounts s ON s.agency_id = p.agency_id AND s.id = p.sub_account_id").
			Where("p.agency_id = ? AND p.bulk_id = ?", agency, id).Scan(&out.Parts).Error; err != nil {
			return err
		}
		slices.SortFunc(out.Parts, func(a, b BulkPartRow) int { //nolint:gocritic // the signature is slices'
			return cmp.Or(cmp.Compare(a.Name, b.Name), a.SubAccountID.Compare(b.SubAccountID))
		})
		acts, err := bulkActs(tx, agency, out.Parts)
		if err != nil {
			return err
		}
		unspent, err := s.ledger.Unspent(tx, acts, s.clock.Now())
		for i := range out.Parts {
			out.Parts[i].Unspent = unspent[out.Parts[i].ActID]
			out.Unspent += out.Parts[i].Unspent
		}
		return err
	})
	return out, err
}

func bulkActs(tx *gorm.DB, agency models.AgencyID, parts []BulkPartRow) ([]models.Act, error) {
	var out []models.Act
	for part := range slices.Chunk(parts, chunk) {
		ids := make([]models.ActID, len(part))
		for i := range part {
			ids[i] = part[i].ActID
		}
		var acts []models.Act
		if err := tx.Where("agency_id = ? AND id IN ?", agency, ids).Find(&acts).Error; err != nil {
			return nil, err
		}
		out = append(out, acts...)
	}
	return out, nil
}

// UndoBulk takes back what is unspent of a bulk assignment, to the very credits
// it came from, once; what was used meanwhile stays used. Undone already, it
// changes nothing. Errors: not_found.
func (s *Service) UndoBulk(ctx context.Context, scope Scope, agency models.AgencyID, id models.BulkID, by Actor) (models.Credits, error) {
	now := s.clock.Now()
	if !scope.Covers(agency) {
		return 0, problem.Missing("assignment")
	}
	var back models.Credits
	err := s.db.InTx(ctx, func(tx *gorm.DB) error {
		var b models.BulkAssignment
		if err := tx.Clauses(clause.Locking{Strength: "NO KEY UPDATE"}).Where("agency_id = ? AND id = ?", agency, id).Take(&b).Error; err != nil {
			return missing(err, "assignment")
		}
		if b.UndoneAt.IsSet() {
			return nil
		}
		var owner models.Agency
		if err := tx.Where("id = ?", agency).Take(&owner).Error; err != nil {
			return err
		}
		var parts []BulkPartRow
		if err := tx.Table("bulk_assignment_parts").Where("agency_id = ? AND bulk_id = ?", agency, id).Order("sub_account_id").Scan(&parts).Error; err != nil {
			return err
		}
		acts, err := bulkActs(tx, agency, parts)
		if err != nil {
			return err
		}
		got, err := s.ledger.Recall(ctx, tx, ledger.RecallRequest{Agency: agency, To: owner.WalletID, Acts: acts, Actor: string(by), Reference: id.String(), At: now})
		if err != nil {
			return err
		}
		for _, g := range got {
			back += g.Credits
			if err := tx.Model(&models.BulkPart{}).Where("agency_id = ? AND bulk_id = ? AND act_id = ?", agency, id, g.Of).Update("returned", g.Credits).Error; err != nil {
				return err
			}
		}
		if err := tx.Model(&models.BulkAssignment{}).Where("agency_id = ? AND id = ?", agency, id).
			Updates(map[string]any{"undone_at": now, "undone_by": string(by)}).Error; err != nil {
			return err
		}
		return s.audit(tx, agency, by, "credits.undo_many", id.String(), back.String()+" of "+b.Credits.String()+" credits returned", "", now)
	})
	return back, err
}
