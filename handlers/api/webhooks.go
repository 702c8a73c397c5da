package api

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"refill/billing"
	"refill/billing/problem"
	"refill/models"
)

// webhookEndpoint is where a program listens.
type webhookEndpoint struct {
	ID         string   `json:"id"`
	Agency     *string  `json:"agency" doc:"Whose wallets it hears of; null: the platform's, every wallet."`
	URL        string   `json:"url"`
	Events     []string `json:"events" nullable:"false" doc:"What it hears of; empty: everything."`
	Note       string   `json:"note"`
	Status     string   `json:"status" enum:"enabled,disabled" doc:"disabled: by hand, or because it took nothing for three days."`
	StatusNote string   `json:"status_note" doc:"Why it is disabled, in words."`
	Secret     string   `json:"secret,omitempty" doc:"Signs what is sent; only in the answer that makes the endpoint." example:"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwMfKQ9r8GKYo="`
	CreatedAt  moment   `json:"created_at"`
}

func webhookEndpointOf(e *models.WebhookEndpoint) webhookEndpoint {
	out := webhookEndpoint{
		ID: e.ID.String(), Agency: orNull(e.AgencyID.String()), URL: e.URL, Events: strings.Fields(e.Events), Note: e.Note,
		Status: "enabled", StatusNote: e.DisabledNote, CreatedAt: moment(e.CreatedAt),
	}
	if e.DisabledAt != 0 {
		out.Status = "disabled"
	}
	return out
}

// event is what happened, as webhooks tell it.
type event struct {
	ID        string    `json:"id" doc:"The webhook-id of every delivery of it."`
	Type      string    `json:"type" example:"wallet.paused"`
	Timestamp moment    `json:"timestamp"`
	Data      eventData `json:"data"`
}

// eventData is what an event says of a wallet, as it stood then.
type eventData struct {
	_ struct{} `additionalProperties:"true"`

	Wallet     string  `json:"wallet"`
	Ref        string  `json:"ref" doc:"The wallet's address by external ids." example:"sub:northwind/acme"`
	Agency     string  `json:"agency"`
	SubAccount *string `json:"sub_account"`
	State      string  `json:"state" enum:"new,healthy,low,critical,excess,paused,upstream_paused"`
	Left       credits `json:"left"`
	TryLater   string  `json:"try_later" doc:"What to tell the visitor while the state is paused or upstream_paused."`
	Occasion   string  `json:"occasion" doc:"What it was told of once: of a purchase, its id."`
	Credits    credits `json:"credits,omitempty" doc:"That came or went."`
	Price      *money  `json:"price,omitempty"`
	Name       string  `json:"name,omitempty" doc:"Of the pack, package or plan."`
	At         *string `json:"at,omitempty" format:"date-time" doc:"What comes next: a reset, a try."`
}

func eventOf(e *models.WebhookEvent) event {
	var body struct {
		Data eventData `json:"data"`
	}
	_ = json.Unmarshal([]byte(e.Body), &body) // we wrote it; at worst the data are empty
	return event{ID: e.ID.String(), Type: e.Type, Timestamp: moment(e.CreatedAt), Data: body.Data}
}

// endpointIn makes an endpoint.
type endpointIn struct {
	Keyed

	Body struct {
		URL    string   `json:"url" doc:"Public, https, port 443 or 8443." example:"https://ai.example.com/webhooks"`
		Events []string `json:"events,omitempty" maxItems:"50" doc:"Names of events; everything unless told." example:"[\"wallet.paused\",\"wallet.resumed\"]"`
		Note   string   `json:"note,omitempty" maxLength:"200"`
	}
}

// EndpointRef addresses an endpoint in a path.
type EndpointRef struct {
	ID string `path:"id" example:"whk_00000000000000000000000000"`
}

func (r *EndpointRef) id() (models.WebhookEndpointID, error) {
	id, err := models.ParseID[models.WebhookEndpointID](r.ID)
	if err != nil {
		return id, problem.Missing("endpoint")
	}
	return id, nil
}

type eventsQuery struct {
	Paging

	Agency string `query:"agency" doc:"With a platform key: only this agency's; its id or external id." example:"northwind"`
	Type   string `query:"type" doc:"Only events of this name." example:"wallet.paused"`
}

// replayIn sends an event again.
type replayIn struct {
	Keyed

	ID   string `path:"id" example:"evt_00000000000000000000000000"`
	Body struct {
		Endpoint string `json:"endpoint,omitempty" doc:"One endpoint; all of yours that hear of it unless told." example:"whk_00000000000000000000000000"`
	}
}

// eventReplay tells where an event was sent again.
type eventReplay struct {
	Event      string `json:"event"`
	Deliveries int    `json:"deliveries" doc:"How many endpoints get it again, under the same webhook-id."`
}

// noContent is the answer to a DELETE.
type noContent struct{}

func owner(who caller) billing.WebhookOwner { return billing.WebhookOwner{Agency: who.scope.Agency} }

func (a *api) webhooks() {
	tags := []string{"Webhooks"}
	typed(a, AnyKey, huma.Operation{
		OperationID: "create-webhook-endpoint", Method: http.MethodPost, Path: "/v1/webhook-endpoints", Summary: "Listen", Tags: tags,
		Description:   "An agency's key hears of its own wallets, a platform key of all. Every message is signed by the Standard Webhooks scheme with the secret of this answer.",
		DefaultStatus: http.StatusCreated,
	}, func(ctx context.Context, who caller, in *endpointIn) (*made[webhookEndpoint], error) {
		row, replayed, err := a.s.AddWebhook(ctx, billing.WebhookInput{
			Owner: owner(who), URL: in.Body.URL, Events: in.Body.Events, Note: in.Body.Note, Key: in.Key, By: who.by,
		})
		if err != nil {
			return nil, err
		}
		out := webhookEndpointOf(&row)
		out.Secret = row.Secret
		return madeOf(out, replayed), nil
	})
	typed(a, AnyKey, huma.Operation{
		OperationID: "list-webhook-endpoints", Method: http.MethodGet, Path: "/v1/webhook-endpoints", Summary: "List your endpoints", Tags: tags,
	}, func(ctx context.Context, who caller, _ *struct{}) (*listed[webhookEndpoint], error) {
		rows, err := a.s.Webhooks(ctx, owner(who))
		if err != nil {
			return nil, err
		}
		return listOf(rows, billing.MaxWebhooks+1, webhookEndpointOf, func(e *webhookEndpoint) string { return e.ID }), nil
	})
	typed(a, AnyKey, huma.Operation{
		OperationID: "get-webhook-endpoint", Method: http.MethodGet, Path: "/v1/webhook-endpoints/{id}", Summary: "Read an endpoint", Tags: tags,
	}, func(ctx context.Context, who caller, in *EndpointRef) (*found[webhookEndpoint], error) {
		id, err := in.id()
		if err != nil {
			return nil, err
		}
		row, err := a.s.Webhook(ctx, owner(who), id)
		if err != nil {
			return nil, err
		}
		return &found[webhookEndpoint]{webhookEndpointOf(&row)}, nil
	})
	typed(a, AnyKey, huma.Operation{
		OperationID: "delete-webhook-endpoint", Method: http.MethodDelete, Path: "/v1/webhook-endpoints/{id}", Summary: "Remove an endpoint", Tags: tags,
		Description: "What was on its way there is forgotten.", DefaultStatus: http.StatusNoContent,
	}, func(ctx context.Context, who caller, in *EndpointRef) (*noContent, error) {
		id, err := in.id()
		if err != nil {
			return nil, err
		}
		return &noContent{}, a.s.RemoveWebhook(ctx, owner(who), id, who.by)
	})
	typed(a, AnyKey, huma.Operation{
		OperationID: "list-events", Method: http.MethodGet, Path: "/v1/events", Summary: "List events, newest first", Tags: tags,
		Description: "What endpoints were told, or would have been: kept for 90 days.",
	}, func(ctx context.Context, who caller, in *eventsQuery) (*listed[event], error) {
		before, err := cursorID[models.WebhookEventID](in.Cursor)
		if err != nil {
			return nil, err
		}
		q := billing.EventQuery{Scope: who.scope, Type: in.Type, Before: before, Limit: in.Limit}
		if in.Agency != "" {
			row, err := a.s.AgencyByRef(ctx, who.scope, in.Agency)
			if err != nil {
				return nil, err
			}
			q.Agency = row.ID
		}
		rows, err := a.s.WebhookEvents(ctx, q)
		if err != nil {
			return nil, err
		}
		return listOf(rows, in.Limit, eventOf, func(e *event) string { return e.ID }), nil
	})
	typed(a, AnyKey, huma.Operation{
		OperationID: "replay-event", Method: http.MethodPost, Path: "/v1/events/{id}/replays", Summary: "Send an event again", Tags: tags,
		Description:   "With the body and the webhook-id it had, to your own endpoints, disabled ones only when named.",
		DefaultStatus: http.StatusCreated,
	}, func(ctx context.Context, who caller, in *replayIn) (*made[eventReplay], error) {
		id, err := models.ParseID[models.WebhookEventID](in.ID)
		if err != nil {
			return nil, problem.Missing("event")
		}
		var only models.WebhookEndpointID
		if in.Body.Endpoint != "" {
			if only, err = (&EndpointRef{in.Body.Endpoint}).id(); err != nil {
				return nil, onField(err, "endpoint")
			}
		}
		_, n, err := a.s.ReplayWebhook(ctx, who.scope, id, only, who.by)
		if err != nil {
			return nil, err
		}
		return madeOf(eventReplay{Event: id.String(), Deliveries: n}, false), nil
	})
}
