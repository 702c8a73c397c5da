package api

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"refill/billing"
	"refill/billing/problem"
	"refill/models"
)

// agency is a tenant.
type agency struct {
	ID         string  `json:"id"`
	ExternalID string  `json:"external_id"`
	Name       string  `json:"name"`
	Wallet     string  `json:"wallet"`
	Plan       *string `json:"plan" doc:"Code of its plan; null without one."`
	TimeZone   string  `json:"time_zone"`
	Currency   string  `json:"currency"`
	Status     string  `json:"status" enum:"active,suspended"`
	Excess     credits `json:"excess_limit" doc:"How far below zero it and its sub-accounts together may go; 0 pauses at zero."`
	CreatedAt  moment  `json:"created_at"`
}

func agencyOf(r *billing.AgencyRow) agency {
	return agency{
		ID: r.ID.String(), ExternalID: r.ExternalID, Name: r.Name, Wallet: r.WalletID.String(), Plan: orNull(r.Plan),
		TimeZone: r.TimeZone, Currency: r.Currency, Status: string(r.Status), Excess: creditsOf(r.Excess), CreatedAt: moment(r.CreatedAt),
	}
}

// AgencyRef addresses an agency in a path.
type AgencyRef struct {
	ID string `path:"id" doc:"Its id or external id." example:"northwind"`
}

// agencyIn makes an agency.
type agencyIn struct {
	Keyed

	Body struct {
		ExternalID string `json:"external_id" doc:"Your own id for it: letters, digits, points, dashes, underscores." example:"northwind"`
		Name       string `json:"name" example:"Northwind"`
		Plan       string `json:"plan,omitempty" doc:"Code of a plan; the default plan unless told." example:"full-saas"`
		TimeZone   string `json:"time_zone,omitempty" doc:"IANA name; UTC unless told." example:"Europe/Paris"`
		Referral   string `json:"referral_code,omitempty" doc:"Of the agency that brought this one here; that agency is rewarded once this one's first payment has cleared." example:"NORTHWIND7K3F"`
	}
}

// agencyPatch changes an agency.
type agencyPatch struct {
	AgencyRef

	Body struct {
		Plan   string `json:"plan,omitempty" doc:"Code of the plan to be on from now: what is left of the running allowance expires and the new plan's first period begins." example:"agency"`
		Excess string `json:"excess_limit,omitempty" doc:"Instead of plan: how far below zero it and its sub-accounts together may go; 0 pauses at zero. A plan that is changed to brings its own." example:"500"`
		Reason string `json:"reason,omitempty" doc:"Of excess_limit: kept in the audit log." example:"Trusted since 2024"`
	}
}

func (a *api) agencies() {
	typed(a, AnyKey, huma.Operation{
		OperationID: "list-agencies", Method: http.MethodGet, Path: "/v1/agencies", Summary: "List agencies", Tags: []string{"Agencies"},
		Description: "An agency's key lists its own agency.",
	}, func(ctx context.Context, who caller, in *Paging) (*listed[agency], error) {
		after, err := cursorID[models.AgencyID](in.Cursor)
		if err != nil {
			return nil, err
		}
		rows, err := a.s.AgencyPage(ctx, who.scope, after, in.Limit)
		if err != nil {
			return nil, err
		}
		return listOf(rows, in.Limit, agencyOf, func(r *agency) string { return r.ID }), nil
	})
	typed(a, AnyKey, huma.Operation{
		OperationID: "get-agency", Method: http.MethodGet, Path: "/v1/agencies/{id}", Summary: "Read an agency", Tags: []string{"Agencies"},
	}, func(ctx context.Context, who caller, in *AgencyRef) (*found[agency], error) {
		row, err := a.s.AgencyByRef(ctx, who.scope, in.ID)
		if err != nil {
			return nil, err
		}
		return a.readAgency(ctx, row.ID)
	})
	typed(a, PlatformKey, huma.Operation{
		OperationID: "create-agency", Method: http.MethodPost, Path: "/v1/agencies", Summary: "Make an agency", Tags: []string{"Agencies"},
		Description: "With its wallet, on a plan, with the plan's first allowance. Platform key.", DefaultStatus: http.StatusCreated,
	}, func(ctx context.Context, who caller, in *agencyIn) (*made[agency], error) {
		b := in.Body
		row, replayed, err := a.s.CreateAgencyOnce(ctx, billing.AgencyInput{ExternalID: b.ExternalID, Name: b.Name, Plan: b.Plan, TimeZone: b.TimeZone, ReferralCode: b.Referral, Key: in.Key, By: who.by})
		if err != nil {
			return nil, err
		}
		out, err := a.readAgency(ctx, row.ID)
		if err != nil {
			return nil, err
		}
		return madeOf(out.Body, replayed), nil
	})
	typed(a, PlatformKey, huma.Operation{
		OperationID: "change-agency", Method: http.MethodPatch, Path: "/v1/agencies/{id}", Summary: "Change an agency's plan or its limit below zero", Tags: []string{"Agencies"},
		Description: "One of the two at a time. Sending what it has changes nothing. Platform key.",
	}, func(ctx context.Context, who caller, in *agencyPatch) (*found[agency], error) {
		row, err := a.s.AgencyByRef(ctx, who.scope, in.ID)
		if err != nil {
			return nil, err
		}
		if err := a.changeAgency(ctx, who, row.ID, in); err != nil {
			return nil, err
		}
		return a.readAgency(ctx, row.ID)
	})
}

func (a *api) changeAgency(ctx context.Context, who caller, id models.AgencyID, in *agencyPatch) error {
	b := in.Body
	switch {
	case b.Plan == "" && b.Excess == "":
		return problem.New(problem.Invalid, "field_missing", "Send plan or excess_limit.").On("plan")
	case b.Plan != "" && b.Excess != "":
		return problem.New(problem.Invalid, "invalid_field", "Change the plan and the limit one after the other: a plan brings a limit of its own.").On("excess_limit")
	case b.Plan != "":
		return a.s.ChangePlan(ctx, id, b.Plan, who.by)
	}
	limit, err := parseCredits(b.Excess, "excess_limit")
	if err != nil {
		return err
	}
	err = a.s.SetExcessLimit(ctx, id, limit, b.Reason, who.by)
	if problem.Is(err, "invalid_limit") {
		return problem.Of(err).On("excess_limit")
	}
	return err
}

func (a *api) readAgency(ctx context.Context, id models.AgencyID) (*found[agency], error) {
	row, err := a.s.AgencyRow(ctx, id)
	if err != nil {
		return nil, err
	}
	return &found[agency]{agencyOf(&row)}, nil
}

// subAccount is a client of an agency.
type subAccount struct {
	ID         string       `json:"id"`
	Agency     string       `json:"agency"`
	ExternalID string       `json:"external_id"`
	Name       string       `json:"name"`
	Wallet     string       `json:"wallet"`
	Funding    string       `json:"funding" enum:"prepaid,pooled"`
	PoolCap    maybeCredits `json:"pool_cap" doc:"The most it may draw from the agency's pool per pool_every; null: no cap when pooled, nothing when prepaid."`
	PoolEvery  string       `json:"pool_every" enum:"day,cycle"`
	TimeZone   string       `json:"time_zone"`
	Status     string       `json:"status" enum:"active,archived"`
	CreatedAt  moment       `json:"created_at"`
}

func subAccountOf(r *billing.SubAccountRow) subAccount {
	return subAccount{
		ID: r.ID.String(), Agency: r.AgencyID.String(), ExternalID: r.ExternalID, Name: r.Name, Wallet: r.WalletID.String(),
		Funding: string(r.Funding), PoolCap: limit(r.PoolCap), PoolEvery: string(r.PoolEvery), TimeZone: r.TimeZone, Status: string(r.Status),
		CreatedAt: moment(r.CreatedAt),
	}
}

// subAccountIn makes a sub-account.
type subAccountIn struct {
	Keyed

	Body struct {
		Agency     string `json:"agency,omitempty" doc:"Its id or external id; an agency's key may leave it out." example:"northwind"`
		ExternalID string `json:"external_id" example:"acme"`
		Name       string `json:"name" example:"Acme"`
		Funding    string `json:"funding,omitempty" enum:"prepaid,pooled" doc:"prepaid: own credits; pooled: the agency's. prepaid unless told."`
		PoolCap    string `json:"pool_cap,omitempty" doc:"The most it may draw from the agency's pool per pool_every." example:"5000"`
		PoolEvery  string `json:"pool_every,omitempty" enum:"day,cycle"`
		TimeZone   string `json:"time_zone,omitempty" example:"Europe/Paris"`
	}
}

// SubAccountRef addresses a sub-account in a path.
type SubAccountRef struct {
	ID     string `path:"id" doc:"Its id or external id." example:"acme"`
	Agency string `query:"agency" doc:"With a platform key: the agency's id or external id." example:"northwind"`
}

// subAccountPatch archives a sub-account, or restores it.
type subAccountPatch struct {
	SubAccountRef

	Body struct {
		Status         string `json:"status" enum:"active,archived" doc:"archived: it cannot be charged, its people have no entry, and it leaves the plan's room free."`
		ReturnAssigned bool   `json:"return_assigned,omitempty" doc:"When archiving: unspent assigned credits return to the agency; bought ones stay in any case."`
	}
}

type subAccountsQuery struct {
	Paging

	Agency string `query:"agency" doc:"With a platform key: the agency's id or external id." example:"northwind"`
}

func (a *api) subAccounts() {
	typed(a, AnyKey, huma.Operation{
		OperationID: "list-sub-accounts", Method: http.MethodGet, Path: "/v1/sub-accounts", Summary: "List an agency's sub-accounts", Tags: []string{"Sub-accounts"},
	}, func(ctx context.Context, who caller, in *subAccountsQuery) (*listed[subAccount], error) {
		after, err := cursorID[models.SubAccountID](in.Cursor)
		if err != nil {
			return nil, err
		}
		owner, err := a.s.FindAgency(ctx, who.scope, in.Agency)
		if err != nil {
			return nil, err
		}
		rows, err := a.s.SubAccountPage(ctx, owner.ID, after, in.Limit)
		if err != nil {
			return nil, err
		}
		return listOf(rows, in.Limit, subAccountOf, func(r *subAccount) string { return r.ID }), nil
	})
	typed(a, AnyKey, huma.Operation{
		OperationID: "get-sub-account", Method: http.MethodGet, Path: "/v1/sub-accounts/{id}", Summary: "Read a sub-account", Tags: []string{"Sub-accounts"},
	}, func(ctx context.Context, who caller, in *SubAccountRef) (*found[subAccount], error) {
		row, err := a.s.FindSubAccount(ctx, who.scope, in.Agency, in.ID)
		if err != nil {
			return nil, err
		}
		return &found[subAccount]{subAccountOf(&row)}, nil
	})
	typed(a, AnyKey, huma.Operation{
		OperationID: "create-sub-account", Method: http.MethodPost, Path: "/v1/sub-accounts", Summary: "Make a sub-account", Tags: []string{"Sub-accounts"},
		DefaultStatus: http.StatusCreated,
	}, a.createSubAccount)
	typed(a, AnyKey, huma.Operation{
		OperationID: "change-sub-account", Method: http.MethodPatch, Path: "/v1/sub-accounts/{id}", Summary: "Archive or restore a sub-account", Tags: []string{"Sub-accounts"},
		Description: "Sending the status it has changes nothing.",
	}, func(ctx context.Context, who caller, in *subAccountPatch) (*found[subAccount], error) {
		row, err := a.s.FindSubAccount(ctx, who.scope, in.Agency, in.ID)
		if err != nil {
			return nil, err
		}
		if models.SubAccountStatus(in.Body.Status) == models.SubAccountArchived {
			_, err = a.s.ArchiveSubAccount(ctx, who.scope, billing.ArchiveInput{Agency: row.AgencyID, SubAccount: row.ID, TakeBack: in.Body.ReturnAssigned, By: who.by})
		} else {
			err = a.s.RestoreSubAccount(ctx, who.scope, row.AgencyID, row.ID, who.by)
		}
		if err != nil {
			return nil, err
		}
		if row, err = a.s.SubAccountRow(ctx, row.AgencyID, row.ID); err != nil {
			return nil, err
		}
		return &found[subAccount]{subAccountOf(&row)}, nil
	})
}

func (a *api) createSubAccount(ctx context.Context, who caller, in *subAccountIn) (*made[subAccount], error) {
	b := in.Body
	owner, err := a.s.FindAgency(ctx, who.scope, b.Agency)
	if err != nil {
		return nil, onField(err, "agency")
	}
	input := billing.SubAccountInput{
		Agency: owner.ID, ExternalID: b.ExternalID, Name: b.Name, Funding: models.Funding(b.Funding), PoolEvery: models.PoolEvery(b.PoolEvery),
		TimeZone: b.TimeZone, Key: in.Key, By: who.by,
	}
	if b.PoolCap != "" {
		if input.PoolCap, err = parseCredits(b.PoolCap, "pool_cap"); err != nil {
			return nil, err
		}
		if input.PoolCap < 0 || input.PoolCap > models.MaxBalance {
			return nil, problem.New(problem.Invalid, "invalid_credits", "A cap is 0 or more credits.").On("pool_cap")
		}
	}
	sub, replayed, err := a.s.CreateSubAccountOnce(ctx, who.scope, input)
	if err != nil {
		return nil, err
	}
	row, err := a.s.SubAccountRow(ctx, owner.ID, sub.ID)
	if err != nil {
		return nil, err
	}
	return madeOf(subAccountOf(&row), replayed), nil
}

// onField says which member of the body named what does not exist.
func onField(err error, field string) error {
	if p := problem.Of(err); p != nil && p.Field == "" {
		return p.On(field)
	}
	return err
}

// listOf makes a page of rows that were read with its limit; the cursor is the
// id of the last.
func listOf[R, T any](rows []R, limit int, view func(*R) T, id func(*T) string) *listed[T] {
	out := make([]T, len(rows))
	for i := range rows {
		out[i] = view(&rows[i])
	}
	next := ""
	if n := len(out); n > 0 && n == limit {
		next = id(&out[n-1])
	}
	return &listed[T]{pageOf(out, next)}
}

// cursorID reads a cursor that is an id; "" is the zero id.
func cursorID[T any, P interface {
	*T
	UnmarshalText(b []byte) error
}](s string) (T, error) {
	var id T
	if P(&id).UnmarshalText([]byte(s)) != nil {
		return id, badCursor()
	}
	return id, nil
}
