package api_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/stretchr/testify/require"

	"refill/billing"
	"refill/models/modelstest"
)

// contract is the committed document, read once.
var contract = sync.OnceValues(func() (*openapi3.T, error) { return openapi3.NewLoader().LoadFromFile(committed) })

// operationOf finds the documented operation a request is for; a literal
// segment wins over a parameter.
func operationOf(doc *openapi3.T, req *http.Request) (path string, params map[string]string) {
	have := strings.Split(req.URL.EscapedPath(), "/")
	best := -1
	for template := range doc.Paths.Map() {
		want, literal, found := strings.Split(template, "/"), 0, map[string]string{}
		ok := len(want) == len(have)
		for i := 0; ok && i < len(want); i++ {
			switch {
			case strings.HasPrefix(want[i], "{"):
				found[strings.Trim(want[i], "{}")] = have[i]
			case want[i] == have[i]:
				literal++
			default:
				ok = false
			}
		}
		if ok && literal > best {
			best, path, params = literal, template, found
		}
	}
	return path, params
}

// check holds an answer against the document and names the operation. What the
// document does not know must be refused.
func check(req *http.Request, res *http.Response, body []byte) (operation string, err error) {
	doc, err := contract()
	if err != nil {
		return "", err
	}
	path, params := operationOf(doc, req)
	var op *openapi3.Operation
	if path != "" {
		op = doc.Paths.Value(path).GetOperation(req.Method)
	}
	if op == nil {
		if res.StatusCode < http.StatusBadRequest {
			return "", errors.New("answered, but not in the document")
		}
		return "", nil
	}
	in := &openapi3filter.RequestValidationInput{
		Request: req, PathParams: params,
		Route: &routers.Route{Spec: doc, Path: path, PathItem: doc.Paths.Value(path), Method: req.Method, Operation: op},
	}
	return op.OperationID, openapi3filter.ValidateResponse(req.Context(), &openapi3filter.ResponseValidationInput{
		RequestValidationInput: in, Status: res.StatusCode, Header: res.Header, Body: io.NopCloser(bytes.NewReader(body)),
		Options: &openapi3filter.Options{IncludeResponseStatus: true},
	})
}

// TestEveryOperation makes each documented call once; send holds every answer
// against the document.
func TestEveryOperation(t *testing.T) {
	t.Parallel()
	w := newWorld(t, modelstest.OpenSQLite(t), "stammer", "full-saas")
	charge := w.post(w.key, "/v1/charges", "c1", `{"wallet":"agency:northwind","action":"ai.reply","model":"gpt-4"}`).ok(t, 201)
	w.post(w.key, "/v1/charges", "t1", `{"wallet":"agency:northwind","action":"ai.reply","model":"gpt-4","test":true}`).ok(t, 201)
	w.post(w.platform, "/v1/charges/batch", "b1", `{"charges":[{"wallet":"agency:northwind","action":"ai.reply","model":"gpt-4"},{"wallet":"agency:none","action":"ai.reply"}]}`).ok(t, 200)
	w.post(w.key, "/v1/charges/"+charge.text("id")+"/reversals", "r1", `{"reason":"failed"}`).ok(t, 201)
	hold := w.post(w.key, "/v1/holds", "h1", `{"wallet":"agency:northwind","action":"ai.reply","model":"gpt-4"}`).ok(t, 201)
	w.post(w.key, "/v1/holds/"+hold.text("id")+"/captures", "h1c", `{"credits":"30"}`).ok(t, 201)
	hold = w.post(w.key, "/v1/holds", "h2", `{"wallet":"agency:northwind","credits":"12.5","ttl_seconds":60}`).ok(t, 201)
	w.post(w.key, "/v1/holds/"+hold.text("id")+"/releases", "h2r", `{}`).ok(t, 201)
	w.get(w.key, "/v1/charges/"+charge.text("id")).ok(t, 200)
	w.get(w.key, "/v1/charges?idempotency_key=c1").ok(t, 200)
	w.post(w.key, "/v1/estimates", "e1", `{"wallet":"agency:northwind","items":[{"action":"ai.reply","model":"gpt-4","usage":{"output_tokens":12.5},"count":3}]}`).ok(t, 200)
	w.post(w.platform, "/v1/agencies", "a1", `{"external_id":"fabrikam","name":"Fabrikam"}`).ok(t, 201)
	w.get(w.platform, "/v1/agencies").ok(t, 200)
	w.get(w.key, "/v1/agencies/northwind").ok(t, 200)
	w.send(w.platform, http.MethodPatch, "/v1/agencies/fabrikam", "", `{"plan":"starter"}`).ok(t, 200)
	w.post(w.platform, "/v1/agencies/fabrikam/adjustments", "j1", `{"credits":"10","reason":"test"}`).ok(t, 201)
	w.post(w.key, "/v1/sub-accounts", "s1", `{"external_id":"globex","name":"Globex","funding":"pooled","pool_cap":"100"}`).ok(t, 201)
	w.get(w.key, "/v1/sub-accounts").ok(t, 200)
	w.get(w.key, "/v1/sub-accounts/globex").ok(t, 200)
	w.send(w.key, "PATCH", "/v1/sub-accounts/globex", "", `{"status":"archived"}`).ok(t, 200)
	w.send(w.key, "PATCH", "/v1/sub-accounts/globex", "", `{"status":"active"}`).ok(t, 200)
	w.post(w.key, "/v1/assignments", "as1", `{"sub_account":"acme","credits":"100"}`).ok(t, 201)
	w.post(w.key, "/v1/take-backs", "tb1", `{"sub_account":"acme","credits":"40"}`).ok(t, 201)
	w.send(w.key, http.MethodPut, "/v1/sub-accounts/acme/monthly-assignment", "", `{"credits":"10"}`).ok(t, 200)
	w.get(w.key, "/v1/sub-accounts/acme/monthly-assignment").ok(t, 200)
	w.send(w.key, http.MethodDelete, "/v1/sub-accounts/acme/monthly-assignment", "", "").ok(t, 204)
	many := w.post(w.key, "/v1/bulk-assignments", "ba1", `{"way":"same","credits":"5","sub_accounts":["acme"]}`).ok(t, 201).text("id")
	w.get(w.key, "/v1/bulk-assignments/"+many).ok(t, 200)
	w.post(w.key, "/v1/bulk-assignments/"+many+"/undo", "ba2", `{}`).ok(t, 200)
	for _, ref := range []string{"agency:northwind", "sub%3Aacme", "sub%3Anorthwind%2Fglobex"} {
		w.get(w.key, "/v1/wallets/"+ref).ok(t, 200)
		w.get(w.key, "/v1/wallets/"+ref+"/lots").ok(t, 200)
		w.get(w.key, "/v1/wallets/"+ref+"/entries").ok(t, 200)
	}
	w.get(w.key, "/v1/usage?group=model&interval=hour").ok(t, 200)
	w.get(w.platform, "/v1/usage").ok(t, 200)
	purchase := w.post(w.key, "/v1/purchases", "p1", `{"wallet":"agency:northwind","pack":"credits-2000"}`).ok(t, 201)
	w.get(w.key, "/v1/purchases").ok(t, 200)
	w.get(w.platform, "/v1/purchases/"+purchase.text("id")).ok(t, 200)
	pkg := w.post(w.key, "/v1/packages", "pk1", `{"name":"Growth","credits":"10000","price":{"amount":6000,"currency":"usd"}}`).ok(t, 201)
	w.get(w.key, "/v1/packages").ok(t, 200)
	w.get(w.key, "/v1/packages/"+pkg.text("id")).ok(t, 200)
	w.send(w.key, http.MethodPatch, "/v1/packages/"+pkg.text("id"), "", `{"badge":"Best value"}`).ok(t, 200)
	w.get(w.key, "/v1/plans").ok(t, 200)
	w.get(w.key, "/v1/packs").ok(t, 200)
	w.get(w.key, "/v1/rates").ok(t, 200)
	w.post(w.platform, "/v1/rates", "rc1", `{"note":"cheaper","rates":[{"action":"ai.reply","base":"2","components":[{"measure":"characters","above":100,"size":0.5,"credits":"0.25"}],"maximum":"9"}]}`).ok(t, 201)
	require.NoError(t, w.s.SetEmbedOrigins(t.Context(), billing.Scope{}, w.agency.ID, []string{"https://app.example.com"}, "test"))
	w.post(w.key, "/v1/portal-sessions", "ps1", `{"sub_account":"acme"}`).ok(t, 201)
	endpoint := w.post(w.key, "/v1/webhook-endpoints", "wh1", `{"url":"https://example.com/hooks"}`).ok(t, 201)
	w.get(w.key, "/v1/webhook-endpoints").ok(t, 200)
	w.get(w.key, "/v1/webhook-endpoints/"+endpoint.text("id")).ok(t, 200)
	event := w.happened(w.agency)
	w.get(w.key, "/v1/events").ok(t, 200)
	w.post(w.key, "/v1/events/"+event+"/replays", "re1", `{}`).ok(t, 201)
	w.send(w.key, http.MethodDelete, "/v1/webhook-endpoints/"+endpoint.text("id"), "", "").ok(t, 204)
	w.get("", "/v1/openapi.json").ok(t, 200)

	var want []string
	for _, item := range load(t).Paths.Map() {
		for _, op := range item.Operations() {
			want = append(want, op.OperationID)
		}
	}
	var got []string
	w.exercised.Range(func(op, _ any) bool { got = append(got, fmt.Sprint(op)); return true })
	slices.Sort(want)
	slices.Sort(got)
	require.Equal(t, want, got)
}
