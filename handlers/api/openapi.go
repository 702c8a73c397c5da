package api

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"reflect"
	"strconv"

	"github.com/danielgtaylor/huma/v2"
	"github.com/labstack/echo/v4"
)

func body(b []byte) io.ReadCloser { return io.NopCloser(bytes.NewReader(b)) }

const intro = `Prepaid AI credits: charge what an AI action costs, hold credits while it runs, read balances and usage.

Every request carries ` + "`Authorization: Bearer {API key}`" + `, every POST an ` + "`Idempotency-Key`" + `: send the same key with the same body again, and the first answer comes again with ` + "`Idempotent-Replayed: true`" + `. Credits are decimal strings. Problems are RFC 9457 documents with a stable ` + "`code`" + `.`

func humaConfig(baseURL string) huma.Config {
	cfg := huma.DefaultConfig("Refill", "1")
	cfg.Info.Description = intro
	cfg.CreateHooks = nil                                       // no $schema in answers
	cfg.OpenAPIPath, cfg.DocsPath, cfg.SchemasPath = "", "", "" // served by document
	cfg.Formats = map[string]huma.Format{echo.MIMEApplicationJSON: huma.DefaultJSONFormat, "json": huma.DefaultJSONFormat}
	cfg.DefaultFormat = echo.MIMEApplicationJSON
	cfg.Components.Schemas = huma.NewMapRegistry("#/components/schemas/", schemaName)
	cfg.Components.SecuritySchemes = map[string]*huma.SecurityScheme{"key": {Type: "http", Scheme: "bearer", Description: "An API key, rf_live_… or rf_test_…"}}
	cfg.Security = []map[string][]string{{"key": {}}}
	if baseURL != "" {
		cfg.Servers = []*huma.Server{{URL: baseURL}}
	}
	return cfg
}

// reading is everything beside the charge path.
func (a *api) reading() {
	a.wallets()
	a.charges()
	a.usage()
	a.agencies()
	a.subAccounts()
	a.transfers()
	a.feeding()
	a.purchases()
	a.packages()
	a.webhooks()
	a.portal()
	a.catalogue()
}

// problemView describes problem documents. Some codes have further members.
type problemView struct {
	_ struct{} `additionalProperties:"true"`

	Type      string  `json:"type" example:"urn:refill:problem:insufficient_credits"`
	Title     string  `json:"title" example:"Payment Required"`
	Status    int     `json:"status" example:"402"`
	Code      string  `json:"code" doc:"Stable, for programs." example:"insufficient_credits"`
	Detail    string  `json:"detail" doc:"For people: what is wrong and what to do." example:"25 credits are needed and 3 are available. Add credits and send the same key again."`
	Field     string  `json:"field,omitempty" doc:"The member, parameter or header it is about."`
	RequestID string  `json:"request_id,omitempty" doc:"Quote it when you ask for help."`
	Available credits `json:"available,omitempty" doc:"Of insufficient_credits."`
	Required  credits `json:"required,omitempty" doc:"Of insufficient_credits."`
	TryLater  string  `json:"try_later,omitempty" doc:"Of insufficient_credits: what to tell the visitor meanwhile, in the agency's words."`
}

// batchBody is what POST /v1/charges/batch takes.
type batchBody struct {
	Charges []batchItem `json:"charges" minItems:"1" maxItems:"1000" nullable:"false"`
}

// batchAnswer is one item's answer.
type batchAnswer struct {
	Status int          `json:"status" doc:"201 booked, 200 booked before, else as a single charge would have answered." example:"201"`
	Charge *charge      `json:"charge,omitempty"`
	Error  *problemView `json:"error,omitempty"`
}

// batchOut is the answers, in order.
type batchOut struct {
	Data []batchAnswer `json:"data" nullable:"false"`
}

// written documents one hand-written endpoint.
type written struct {
	id, path, summary, about, tag string
	in, out                       any
	status                        int // of the first answer
	example, answer               string
	refusals                      map[int]string // status → when
	optional                      bool           // an absent body is {}
}

const (
	exampleCharge = `{"id":"chg_cp8k2n1f6s7ta0b3d5e9g4h1i2","wallet":"wal_cp8k2n1f6s7ta0b3d5e9g4h1i2","action":"ai.reply","model":"gpt-4","credits":"25",` +
		`"rate_card_version":1,"draws":[{"wallet":"wal_cp8k2n1f6s7ta0b3d5e9g4h1i2","lot":"lot_cp8k2n1f6s7ta0b3d5e9g4h1i2","source":"plan","credits":"25"}],` +
		`"balance":{"available":"99975","held":"0","excess":"0","plan":"99975","purchased":"0","assigned":"0","bonus":"0"},"state":"healthy","test":false,"created_at":"2026-03-01T12:00:00.000000Z"}`
	exampleHold = `{"id":"hld_cp8k2n1f6s7ta0b3d5e9g4h1i2","wallet":"wal_cp8k2n1f6s7ta0b3d5e9g4h1i2","action":"ai.reply","model":"gpt-4","credits":"25","state":"open",` +
		`"expires_at":"2026-03-01T12:15:00.000000Z","draws":[{"wallet":"wal_cp8k2n1f6s7ta0b3d5e9g4h1i2","lot":"lot_cp8k2n1f6s7ta0b3d5e9g4h1i2","source":"plan","credits":"25"}],"created_at":"2026-03-01T12:00:00.000000Z"}`
	exampleReversal = `{"id":"rev_cp8k2n1f6s7ta0b3d5e9g4h1i2","charge":"chg_cp8k2n1f6s7ta0b3d5e9g4h1i2","wallet":"wal_cp8k2n1f6s7ta0b3d5e9g4h1i2","credits":"25",` +
		`"draws":[{"wallet":"wal_cp8k2n1f6s7ta0b3d5e9g4h1i2","lot":"lot_cp8k2n1f6s7ta0b3d5e9g4h1i2","source":"plan","credits":"25"}],"reason":"The reply failed to send.","created_at":"2026-03-01T12:00:05.000000Z"}`
)

func writtenByHand() []written {
	refusals := map[int]string{
		http.StatusPaymentRequired:     "insufficient_credits: nothing was booked; the same key may succeed later.",
		http.StatusConflict:            "idempotency_key_reused: the key was used with another body.",
		http.StatusUnprocessableEntity: "unknown_action, unknown_model, invalid_usage and other things that cannot be right.",
		http.StatusServiceUnavailable:  "overloaded: wait for Retry-After, then send the same again.",
	}
	of := "Charges"
	return []written{
		{
			"create-charge", "/v1/charges", "Charge an AI action", "Prices it by the rate card and books it exactly once per key. Answers after the commit.", of,
			ChargeBody{},
			charge{},
			http.StatusCreated, `{"wallet":"sub:acme","action":"ai.reply","model":"gpt-4","usage":{"output_tokens":412}}`, exampleCharge, refusals, false,
		},
		{
			"create-charges", "/v1/charges/batch", "Charge up to 1,000 actions", "Independent items, which may span agencies with a platform key; each has its own answer, in order.", of,
			batchBody{},
			batchOut{},
			http.StatusOK, `{"charges":[{"wallet":"sub:acme","action":"ai.reply","model":"gpt-4"}]}`, `{"data":[{"status":201,"charge":` + exampleCharge + `}]}`, nil, false,
		},
		{
			"create-reversal", "/v1/charges/{id}/reversals", "Reverse a charge", "For an action that failed: the credits go back to the same lots, once, whatever the key; a key that reversed another charge is refused.", of,
			reversalBody{},
			reversal{},
			http.StatusCreated, `{"reason":"The reply failed to send."}`, exampleReversal,
			map[int]string{http.StatusConflict: "idempotency_key_reused: the key reversed another charge, or gave another reason. test_charge: it cost nothing."},
			true,
		},
		{
			"create-hold", "/v1/holds", "Hold credits for running work", "Reserves them now; capture what the work cost, and the rest goes back.", "Holds",
			holdBody{},
			hold{},
			http.StatusCreated, `{"wallet":"sub:acme","action":"ai.reply","model":"gpt-4"}`, exampleHold, refusals, false,
		},
		{
			"capture-hold", "/v1/holds/{id}/captures", "Capture a hold", "Ends it with a charge; more than was held is drawn like a charge. After the hold has expired it is still booked, late, up to the held amount even where the wallet is empty.", "Holds",
			captureBody{},
			charge{},
			http.StatusCreated, `{"credits":"25"}`, "", refusals, false,
		},
		{
			"release-hold", "/v1/holds/{id}/releases", "Release a hold", "Gives everything back. A hold ends once, so releasing it again answers 200 whatever the key; the key is not remembered.", "Holds",
			releaseBody{},
			hold{},
			http.StatusCreated, `{}`, "",
			map[int]string{http.StatusConflict: "hold_not_open: it was captured."},
			true,
		},
	}
}

// document completes the OpenAPI document and serves it.
func (a *api) document() error {
	o := a.huma.OpenAPI()
	schemas := o.Components.Schemas
	for _, w := range writtenByHand() {
		op, err := w.operation(schemas)
		if err != nil {
			return err
		}
		o.AddOperation(op)
	}
	problem := schemas.Schema(reflect.TypeFor[problemView](), true, "")
	for _, item := range o.Paths {
		for _, op := range []*huma.Operation{item.Get, item.Post, item.Put, item.Patch, item.Delete} {
			if op != nil {
				finish(op, problem)
			}
		}
	}
	delete(schemas.Map(), "ErrorModel")
	delete(schemas.Map(), "ErrorDetail")
	a.routes = append(a.routes, Route{http.MethodGet, "/v1/openapi.json", Anyone})
	o.AddOperation(&huma.Operation{
		OperationID: "get-openapi", Method: http.MethodGet, Path: "/v1/openapi.json", Summary: "Read this document", Tags: []string{"Document"},
		Security:  []map[string][]string{},
		Responses: map[string]*huma.Response{"200": {Description: "OpenAPI 3.1", Content: map[string]*huma.MediaType{echo.MIMEApplicationJSON: {Schema: &huma.Schema{Type: huma.TypeObject}}}}},
	})
	compact, err := o.MarshalJSON()
	if err != nil {
		return fmt.Errorf("write the OpenAPI document: %w", err)
	}
	var text bytes.Buffer
	if err := json.Indent(&text, compact, "", "  "); err != nil {
		return fmt.Errorf("write the OpenAPI document: %w", err)
	}
	text.WriteByte('\n')
	a.doc = text.Bytes()
	a.echo.GET("/v1/openapi.json", func(c echo.Context) error {
		write(c, http.StatusOK, echo.MIMEApplicationJSON, a.doc)
		return nil
	})
	return nil
}

func (w *written) operation(schemas huma.Registry) (*huma.Operation, error) {
	var in, out any
	if err := json.Unmarshal([]byte(w.example), &in); err != nil {
		return nil, fmt.Errorf("example of %s: %w", w.path, err)
	}
	if w.answer != "" {
		if err := json.Unmarshal([]byte(w.answer), &out); err != nil {
			return nil, fmt.Errorf("example of %s: %w", w.path, err)
		}
	}
	op := &huma.Operation{
		OperationID: w.id, Method: http.MethodPost, Path: w.path, Summary: w.summary, Description: w.about, Tags: []string{w.tag},
		RequestBody: &huma.RequestBody{Required: !w.optional, Content: map[string]*huma.MediaType{
			echo.MIMEApplicationJSON: {Schema: schemas.Schema(reflect.TypeOf(w.in), true, w.id+"Request"), Example: in},
		}},
		Responses: map[string]*huma.Response{strconv.Itoa(w.status): {
			Description: http.StatusText(w.status),
			Content:     map[string]*huma.MediaType{echo.MIMEApplicationJSON: {Schema: schemas.Schema(reflect.TypeOf(w.out), true, w.id+"Answer"), Example: out}},
		}},
	}
	for code, when := range w.refusals {
		op.Responses[strconv.Itoa(code)] = &huma.Response{Description: when}
	}
	if echoPath(w.path) != w.path {
		op.Parameters = append(op.Parameters, &huma.Param{Name: "id", In: "path", Required: true, Schema: &huma.Schema{Type: huma.TypeString}})
	}
	// A batch whose items all have keys of their own needs none in the header.
	op.Parameters = append(op.Parameters, &huma.Param{
		Name: keyHeader, In: "header", Required: w.path != "/v1/charges/batch", Schema: &huma.Schema{Type: huma.TypeString}, Example: "reply-8f14e45f",
		Description: "Names this piece of work: the same key and body is done once.",
	})
	return op, nil
}

// finish gives an operation its problems, and a POST the answer to a repeat.
func finish(op *huma.Operation, problem *huma.Schema) {
	content := map[string]*huma.MediaType{problemJSON: {Schema: problem}}
	for code, r := range op.Responses {
		if code >= "4" && code < "6" {
			r.Content = content
		}
	}
	op.Responses["default"] = &huma.Response{Description: "A problem.", Content: content}
	if first, ok := op.Responses["201"]; ok {
		op.Responses["200"] = &huma.Response{
			Description: "The answer to a request that was made before.", Content: first.Content,
			Headers: map[string]*huma.Param{replayedHeader: {Schema: &huma.Schema{Type: huma.TypeString, Enum: []any{"true"}}}},
		}
	}
}
