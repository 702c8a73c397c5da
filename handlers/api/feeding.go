package api

import (
	"context"
	"net/http"
	"slices"

	"github.com/danielgtaylor/huma/v2"

	"refill/billing"
	"refill/billing/problem"
	"refill/models"
)

// monthlyAssignment is what a sub-account gets every month.
type monthlyAssignment struct {
	SubAccount string        `json:"sub_account"`
	Credits    credits       `json:"credits"`
	Day        int           `json:"day" doc:"Of the month; in a shorter one its last day."`
	Unused     string        `json:"unused" enum:"stay,return" doc:"What happens to unspent ones of the month before."`
	Note       string        `json:"note"`
	TimeZone   string        `json:"time_zone" doc:"Whose midnight it is given at."`
	NextAt     moment        `json:"next_at"`
	Turns      []monthlyTurn `json:"turns" nullable:"false" doc:"The last six months, newest first."`
	CreatedAt  moment        `json:"created_at"`
}

// monthlyTurn is one month of it.
type monthlyTurn struct {
	DueAt    moment  `json:"due_at"`
	Outcome  string  `json:"outcome" enum:"done,short,pooled,closed,full" doc:"done, or why it was skipped in full: the agency had too little, the sub-account draws on the pool, is archived, or has no room."`
	Credits  credits `json:"credits"`
	Returned credits `json:"returned" doc:"Unspent ones of the month before, which went back."`
}

func monthlyAssignmentOf(st *billing.StandingView) monthlyAssignment {
	out := monthlyAssignment{
		SubAccount: st.SubAccountID.String(), Credits: creditsOf(st.Credits), Day: st.Day, Unused: string(st.Unused), Note: st.Note, TimeZone: st.TimeZone,
		NextAt: moment(st.NextAt), Turns: make([]monthlyTurn, len(st.Turns)), CreatedAt: moment(st.CreatedAt),
	}
	for i := range st.Turns {
		t := &st.Turns[i]
		out.Turns[i] = monthlyTurn{DueAt: moment(t.DueAt), Outcome: string(t.Outcome), Credits: creditsOf(t.Credits), Returned: creditsOf(t.Returned)}
	}
	return out
}

// monthlyAssignmentIn sets it.
type monthlyAssignmentIn struct {
	SubAccountRef

	Body struct {
		Credits string `json:"credits" doc:"More than 0, as a decimal string." example:"5000"`
		Day     int    `json:"day,omitempty" minimum:"1" maximum:"31" doc:"Of the month; 1 unless told."`
		Unused  string `json:"unused,omitempty" enum:"stay,return" doc:"stay unless told."`
		Note    string `json:"note,omitempty" doc:"The sub-account reads it." example:"Monthly credits"`
	}
}

// bulkAssignment is credits for many sub-accounts in one act.
type bulkAssignment struct {
	ID         *string    `json:"id" doc:"null of a dry run."`
	Agency     string     `json:"agency"`
	Way        string     `json:"way" enum:"same,target,share,list"`
	Credits    credits    `json:"credits" doc:"Of all together."`
	Note       string     `json:"note"`
	Parts      []bulkPart `json:"parts" nullable:"false" doc:"By name; those that get nothing are left out."`
	Short      credits    `json:"short" doc:"Of a dry run: how many the agency has too few."`
	UndoneAt   moment     `json:"undone_at"`
	CreatedAt  moment     `json:"created_at"`
	FromPool   int        `json:"from_pool" doc:"Of a dry run: sub-accounts left out because they draw on the agency's own credits."`
	Returnable credits    `json:"returnable" doc:"What is unspent of it: what undoing would bring back."`
}

// bulkPart is one sub-account's.
type bulkPart struct {
	SubAccount string  `json:"sub_account"`
	Credits    credits `json:"credits"`
	Returned   credits `json:"returned" doc:"Of them, taken back when all was undone."`
}

// bulkAssignmentIn assigns to many.
type bulkAssignmentIn struct {
	Keyed

	Body struct {
		Agency      string      `json:"agency,omitempty" doc:"Its id or external id; an agency's key may leave it out." example:"northwind"`
		Way         string      `json:"way" enum:"same,target,share,list" doc:"same: credits for each; target: each is refilled to credits; share: credits are shared by last month's use; list: as list says."`
		Credits     string      `json:"credits,omitempty" doc:"Of same, target and share." example:"5000"`
		SubAccounts []string    `json:"sub_accounts,omitempty" maxItems:"1000" doc:"Ids or external ids; every one with credits of its own unless told."`
		List        []bulkShare `json:"list,omitempty" maxItems:"1000" doc:"Of list."`
		Note        string      `json:"note,omitempty" doc:"The sub-accounts read it." example:"January"`
		DryRun      bool        `json:"dry_run,omitempty" doc:"Works it out and books nothing."`
	}
}

// bulkShare is a line of a list.
type bulkShare struct {
	SubAccount string `json:"sub_account" doc:"Its id or external id." example:"acme"`
	Credits    string `json:"credits" example:"500"`
}

// BulkRef addresses a bulk assignment in a path.
type BulkRef struct {
	ID     string `path:"id" example:"blk_00000000000000000000000000"`
	Agency string `query:"agency" doc:"With a platform key: the agency's id or external id." example:"northwind"`
}

// bulkUndoIn takes one back.
type bulkUndoIn struct {
	Keyed
	BulkRef

	Body struct{}
}

func (a *api) feeding() {
	tags := []string{"Sub-accounts"}
	typed(a, AnyKey, huma.Operation{
		OperationID: "get-monthly-assignment", Method: http.MethodGet, Path: "/v1/sub-accounts/{id}/monthly-assignment", Summary: "Read what a sub-account gets every month", Tags: tags,
	}, func(ctx context.Context, who caller, in *SubAccountRef) (*found[monthlyAssignment], error) {
		row, err := a.s.FindSubAccount(ctx, who.scope, in.Agency, in.ID)
		if err != nil {
			return nil, err
		}
		return a.readMonthly(ctx, &row)
	})
	typed(a, AnyKey, huma.Operation{
		OperationID: "set-monthly-assignment", Method: http.MethodPut, Path: "/v1/sub-accounts/{id}/monthly-assignment", Summary: "Assign credits every month", Tags: tags,
		Description: "From the next such day on, in place of what it got every month before. A month for which the agency has too little is skipped in full, and both sides are told. Sent again, it changes nothing.",
	}, a.setMonthly)
	typed(a, AnyKey, huma.Operation{
		OperationID: "delete-monthly-assignment", Method: http.MethodDelete, Path: "/v1/sub-accounts/{id}/monthly-assignment", Summary: "Stop assigning every month", Tags: tags,
		Description: "What was given stays.", DefaultStatus: http.StatusNoContent,
	}, func(ctx context.Context, who caller, in *SubAccountRef) (*noContent, error) {
		row, err := a.s.FindSubAccount(ctx, who.scope, in.Agency, in.ID)
		if err != nil {
			return nil, err
		}
		return &noContent{}, a.s.StopStanding(ctx, who.scope, row.AgencyID, row.ID, who.by)
	})
	typed(a, AnyKey, huma.Operation{
		OperationID: "create-bulk-assignment", Method: http.MethodPost, Path: "/v1/bulk-assignments", Summary: "Assign credits to many sub-accounts", Tags: tags,
		Description: "All of them or none. Sent again with the same key it answers what was done the first time, whatever would be worked out now.", DefaultStatus: http.StatusCreated,
	}, a.assignMany)
	typed(a, AnyKey, huma.Operation{
		OperationID: "get-bulk-assignment", Method: http.MethodGet, Path: "/v1/bulk-assignments/{id}", Summary: "Read a bulk assignment", Tags: tags,
	}, func(ctx context.Context, who caller, in *BulkRef) (*found[bulkAssignment], error) {
		agency, id, err := a.findBulk(ctx, who, in)
		if err != nil {
			return nil, err
		}
		return a.readBulk(ctx, who, agency, id)
	})
	typed(a, AnyKey, huma.Operation{
		OperationID: "undo-bulk-assignment", Method: http.MethodPost, Path: "/v1/bulk-assignments/{id}/undo", Summary: "Take a bulk assignment back", Tags: tags,
		Description: "What is unspent of it, to the very credits it came from, once; what was used stays used.", DefaultStatus: http.StatusOK,
	}, func(ctx context.Context, who caller, in *bulkUndoIn) (*found[bulkAssignment], error) {
		agency, id, err := a.findBulk(ctx, who, &in.BulkRef)
		if err != nil {
			return nil, err
		}
		if _, err := a.s.UndoBulk(ctx, who.scope, agency, id, who.by); err != nil {
			return nil, err
		}
		return a.readBulk(ctx, who, agency, id)
	})
}

func (a *api) readMonthly(ctx context.Context, row *billing.SubAccountRow) (*found[monthlyAssignment], error) {
	st, err := a.s.Standing(ctx, row.AgencyID, row.ID)
	if err != nil {
		return nil, err
	}
	if st == nil {
		return nil, problem.Missing("assignment")
	}
	return &found[monthlyAssignment]{monthlyAssignmentOf(st)}, nil
}

func (a *api) setMonthly(ctx context.Context, who caller, in *monthlyAssignmentIn) (*found[monthlyAssignment], error) {
	b := in.Body
	amount, err := parseCredits(b.Credits, "credits")
	if err != nil {
		return nil, err
	}
	row, err := a.s.FindSubAccount(ctx, who.scope, in.Agency, in.ID)
	if err != nil {
		return nil, err
	}
	if b.Day == 0 {
		b.Day = 1
	}
	if b.Unused == "" {
		b.Unused = string(models.UnusedStays)
	}
	if _, err := a.s.SetStanding(ctx, who.scope, billing.StandingInput{
		Agency: row.AgencyID, SubAccount: row.ID, Credits: amount, Day: b.Day, Unused: models.Unused(b.Unused), Note: b.Note, By: who.by,
	}); err != nil {
		return nil, err
	}
	return a.readMonthly(ctx, &row)
}

func (a *api) assignMany(ctx context.Context, who caller, in *bulkAssignmentIn) (*made[bulkAssignment], error) {
	b := in.Body
	owner, err := a.s.FindAgency(ctx, who.scope, b.Agency)
	if err != nil {
		return nil, onField(err, "agency")
	}
	ask := billing.BulkAsk{Way: models.BulkWay(b.Way)}
	if ask.Way != models.BulkList {
		if ask.Credits, err = parseCredits(b.Credits, "credits"); err != nil {
			return nil, err
		}
	}
	if err := a.namedIn(ctx, owner.ID, in, &ask); err != nil {
		return nil, err
	}
	if b.DryRun {
		plan, err := a.s.PlanBulk(ctx, who.scope, owner.ID, ask)
		if err != nil {
			return nil, err
		}
		return &made[bulkAssignment]{Status: http.StatusOK, Body: plannedOf(owner.ID, &ask, &plan, b.Note)}, nil
	}
	row, replayed, err := a.s.AssignAsked(ctx, who.scope, billing.BulkOrder{Agency: owner.ID, Ask: ask, Note: b.Note, Key: in.Key, By: who.by})
	if err != nil {
		return nil, err
	}
	out, err := a.readBulk(ctx, who, owner.ID, row.ID)
	if err != nil {
		return nil, err
	}
	return madeOf(out.Body, replayed), nil
}

// namedIn finds the sub-accounts that a request names.
func (a *api) namedIn(ctx context.Context, agency models.AgencyID, in *bulkAssignmentIn, ask *billing.BulkAsk) error {
	if len(in.Body.SubAccounts) == 0 && len(in.Body.List) == 0 {
		return nil
	}
	subs, err := a.s.SubAccounts(ctx, agency)
	if err != nil {
		return err
	}
	find := func(ref, field string) (models.SubAccountID, error) {
		i := slices.IndexFunc(subs, func(s models.SubAccount) bool { return s.ExternalID == ref || s.ID.String() == ref }) //nolint:gocritic // the signature is slices'
		if i < 0 {
			return models.SubAccountID{}, problem.Missing("sub-account").On(field)
		}
		return subs[i].ID, nil
	}
	for _, ref := range in.Body.SubAccounts {
		id, err := find(ref, "sub_accounts")
		if err != nil {
			return err
		}
		ask.Accounts = append(ask.Accounts, id)
	}
	for _, line := range in.Body.List {
		id, err := find(line.SubAccount, "list")
		if err != nil {
			return err
		}
		amount, err := parseCredits(line.Credits, "list")
		if err != nil {
			return err
		}
		if ask.List == nil {
			ask.List = map[models.SubAccountID]models.Credits{}
		}
		if _, twice := ask.List[id]; twice || amount <= 0 {
			return problem.New(problem.Invalid, "invalid_list", "Give each sub-account one line with more than 0 credits.").On("list")
		}
		ask.List[id] = amount
	}
	return nil
}

func plannedOf(agency models.AgencyID, ask *billing.BulkAsk, plan *billing.BulkPlan, note string) bulkAssignment {
	out := bulkAssignment{
		Agency: agency.String(), Way: string(ask.Way), Credits: creditsOf(plan.Total), Note: note, Parts: []bulkPart{}, Short: creditsOf(plan.Short()),
		FromPool: plan.Pooled, Returnable: creditsOf(0),
	}
	for i := range plan.Rows {
		if r := &plan.Rows[i]; r.Credits > 0 {
			out.Parts = append(out.Parts, bulkPart{SubAccount: r.ID.String(), Credits: creditsOf(r.Credits), Returned: creditsOf(0)})
		}
	}
	return out
}

func (a *api) findBulk(ctx context.Context, who caller, in *BulkRef) (models.AgencyID, models.BulkID, error) {
	owner, err := a.s.FindAgency(ctx, who.scope, in.Agency)
	if err != nil {
		return owner.ID, models.BulkID{}, err
	}
	id, err := models.ParseID[models.BulkID](in.ID)
	if err != nil {
		return owner.ID, id, problem.Missing("assignment")
	}
	return owner.ID, id, nil
}

func (a *api) readBulk(ctx context.Context, who caller, agency models.AgencyID, id models.BulkID) (*found[bulkAssignment], error) {
	row, err := a.s.Bulk(ctx, who.scope, agency, id)
	if err != nil {
		return nil, err
	}
	out := bulkAssignment{
		ID: orNull(row.ID.String()), Agency: agency.String(), Way: string(row.Way), Credits: creditsOf(row.Credits), Note: row.Note,
		Parts: make([]bulkPart, len(row.Parts)), Short: creditsOf(0), UndoneAt: moment(row.UndoneAt), CreatedAt: moment(row.CreatedAt), Returnable: creditsOf(row.Unspent),
	}
	for i := range row.Parts {
		p := &row.Parts[i]
		out.Parts[i] = bulkPart{SubAccount: p.SubAccountID.String(), Credits: creditsOf(p.Credits), Returned: creditsOf(p.Returned)}
	}
	return &found[bulkAssignment]{out}, nil
}
