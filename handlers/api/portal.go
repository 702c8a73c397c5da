package api

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
)

// portalSession is a link to a part of the portal that stands on another page.
type portalSession struct {
	URL       string `json:"url" doc:"For a frame's src, at once: it shows the account to whoever has it."`
	ExpiresAt moment `json:"expires_at"`
}

type portalSessionIn struct {
	Keyed

	Body struct {
		Agency     string `json:"agency,omitempty" doc:"Its id or external id; an agency's key may leave it out." example:"northwind"`
		SubAccount string `json:"sub_account" doc:"Its id or external id." example:"acme"`
		View       string `json:"view,omitempty" enum:"chip,balance,buy,usage" doc:"balance unless told."`
		TTLSeconds int    `json:"ttl_seconds,omitempty" minimum:"1" maximum:"600" doc:"600 unless told."`
	}
}

func (a *api) portal() {
	typed(a, AnyKey, huma.Operation{
		OperationID: "create-portal-session", Method: http.MethodPost, Path: "/v1/portal-sessions", Summary: "Make a link to embed", Tags: []string{"Embed"},
		Description:   "A signed link to one sub-account's balance for a frame on one of the agency's allowed origins. It reads only and needs no cookie. Every call makes a new link; nothing is kept.",
		DefaultStatus: http.StatusCreated,
	}, func(ctx context.Context, who caller, in *portalSessionIn) (*made[portalSession], error) {
		b := in.Body
		owner, err := a.s.FindAgency(ctx, who.scope, b.Agency)
		if err != nil {
			return nil, onField(err, "agency")
		}
		sub, err := a.s.SubAccountByRef(ctx, owner.ID, b.SubAccount)
		if err != nil {
			return nil, onField(err, "sub_account")
		}
		if b.View == "" {
			b.View = "balance"
		}
		if b.TTLSeconds == 0 {
			b.TTLSeconds = 600
		}
		link, until, err := a.s.EmbedLink(ctx, &owner, &sub, b.View, time.Duration(b.TTLSeconds)*time.Second)
		if err != nil {
			return nil, err
		}
		return madeOf(portalSession{URL: link, ExpiresAt: moment(until)}, false), nil
	})
}
