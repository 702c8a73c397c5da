package api

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"refill/billing"
	"refill/billing/problem"
	"refill/models"
)

// assignment is credits an agency gave a sub-account, or took back.
type assignment struct {
	ID         string  `json:"id"`
	Agency     string  `json:"agency"`
	SubAccount string  `json:"sub_account"`
	Credits    credits `json:"credits"`
	Note       string  `json:"note"`
	CreatedAt  moment  `json:"created_at"`
}

// assignmentIn assigns credits, or takes them back.
type assignmentIn struct {
	Keyed

	Body struct {
		Agency     string `json:"agency,omitempty" doc:"Its id or external id; an agency's key may leave it out." example:"northwind"`
		SubAccount string `json:"sub_account" doc:"Its id or external id." example:"acme"`
		Credits    string `json:"credits" doc:"More than 0, as a decimal string." example:"500"`
		Note       string `json:"note,omitempty" doc:"Kept with the credits." example:"January"`
	}
}

// adjustment is credits the platform gave or took by hand.
type adjustment struct {
	ID        string  `json:"id"`
	Agency    string  `json:"agency"`
	Wallet    string  `json:"wallet"`
	Credits   credits `json:"credits"`
	Reason    string  `json:"reason"`
	CreatedAt moment  `json:"created_at"`
}

// adjustmentIn changes a balance by hand.
type adjustmentIn struct {
	AgencyRef
	Keyed

	Body struct {
		Credits    string `json:"credits" doc:"Above 0 gives, below 0 takes." example:"100"`
		Reason     string `json:"reason" doc:"Kept with the credits and in the audit log." example:"Outage on 1 March"`
		Type       string `json:"type,omitempty" enum:"adjustment,promo,referral" doc:"Of given credits; adjustment unless told."`
		SubAccount string `json:"sub_account,omitempty" doc:"Adjust this sub-account's wallet instead of the agency's own."`
	}
}

func (a *api) transfers() {
	typed(a, AnyKey, huma.Operation{
		OperationID: "create-assignment", Method: http.MethodPost, Path: "/v1/assignments", Summary: "Assign credits to a sub-account", Tags: []string{"Sub-accounts"},
		Description: "Assigned credits keep the expiry and the cost of the agency's credits they are carved from.", DefaultStatus: http.StatusCreated,
	}, func(ctx context.Context, who caller, in *assignmentIn) (*made[assignment], error) {
		return a.transfer(ctx, who, in, a.s.Assign)
	})
	typed(a, AnyKey, huma.Operation{
		OperationID: "create-take-back", Method: http.MethodPost, Path: "/v1/take-backs", Summary: "Take assigned credits back", Tags: []string{"Sub-accounts"},
		Description: "Only what was assigned and is not spent; what a client bought is its own.", DefaultStatus: http.StatusCreated,
	}, func(ctx context.Context, who caller, in *assignmentIn) (*made[assignment], error) {
		return a.transfer(ctx, who, in, a.s.TakeBack)
	})
	typed(a, PlatformKey, huma.Operation{
		OperationID: "create-adjustment", Method: http.MethodPost, Path: "/v1/agencies/{id}/adjustments", Summary: "Give or take credits by hand", Tags: []string{"Agencies"},
		Description: "With a reason, and an entry in the audit log. Platform key.", DefaultStatus: http.StatusCreated,
	}, a.adjust)
}

type mover func(context.Context, billing.Scope, billing.TransferInput) (billing.Transfer, error)

func (a *api) transfer(ctx context.Context, who caller, in *assignmentIn, move mover) (*made[assignment], error) {
	b := in.Body
	amount, err := parseCredits(b.Credits, "credits")
	if err != nil {
		return nil, err
	}
	owner, err := a.s.FindAgency(ctx, who.scope, b.Agency)
	if err != nil {
		return nil, onField(err, "agency")
	}
	sub, err := a.s.SubAccountByRef(ctx, owner.ID, b.SubAccount)
	if err != nil {
		return nil, onField(err, "sub_account")
	}
	out, err := move(ctx, who.scope, billing.TransferInput{
		Agency: owner.ID, SubAccount: sub.ID, Credits: amount, Note: b.Note, Key: in.Key, By: who.by,
	})
	if err != nil {
		return nil, err
	}
	// An act that was found again carries no balances.
	return madeOf(assignment{
		ID: out.Act.ID.String(), Agency: owner.ID.String(), SubAccount: sub.ID.String(), Credits: creditsOf(amount), Note: b.Note,
		CreatedAt: moment(out.Act.CreatedAt),
	}, out.Replayed), nil
}

func (a *api) adjust(ctx context.Context, who caller, in *adjustmentIn) (*made[adjustment], error) {
	b := in.Body
	amount, err := parseCredits(b.Credits, "credits")
	if err != nil {
		return nil, err
	}
	owner, err := a.s.AgencyByRef(ctx, who.scope, in.ID)
	if err != nil {
		return nil, err
	}
	wallet := owner.WalletID
	if b.SubAccount != "" {
		sub, err := a.s.SubAccountByRef(ctx, owner.ID, b.SubAccount)
		if err != nil {
			return nil, onField(err, "sub_account")
		}
		wallet = sub.WalletID
	}
	if b.Type != "" && amount < 0 {
		return nil, problem.New(problem.Invalid, "invalid_adjustment_type", "Only given credits have a type; leave it out when taking.").On("type")
	}
	out, err := a.s.Adjust(ctx, billing.AdjustInput{
		Agency: owner.ID, Wallet: wallet, Credits: amount, Source: models.Source(b.Type), Reason: b.Reason, Program: true, Key: in.Key, By: who.by,
	})
	if err != nil {
		return nil, err
	}
	return madeOf(adjustment{
		ID: out.Act.ID.String(), Agency: owner.ID.String(), Wallet: wallet.String(), Credits: creditsOf(amount), Reason: b.Reason,
		CreatedAt: moment(out.Act.CreatedAt),
	}, out.Replayed), nil
}
