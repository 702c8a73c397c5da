package checkout_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"
)

// A card is taken from its customer only where nothing else is paid with it.
func TestACardThatPaysElseIsKept(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		invoices, plan string // what pays them
		forgotten      bool
	}{
		"nothing else":   {"null", "null", true},
		"another card":   {`"pm_2"`, `"pm_2"`, true},
		"all invoices":   {`"pm_1"`, "null", false},
		"a subscription": {`"pm_2"`, `"pm_1"`, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			forgotten := false
			stripe := http.NewServeMux()
			answer := func(pattern, body string) {
				stripe.HandleFunc(pattern, func(w http.ResponseWriter, _ *http.Request) { _, _ = fmt.Fprint(w, body) })
			}
			answer("GET /v1/payment_methods/pm_1", `{"id": "pm_1", "object": "payment_method", "customer": "cus_1", "card": {"brand": "visa"}}`)
			answer("GET /v1/customers/cus_1", `{"id": "cus_1", "object": "customer", "invoice_settings": {"default_payment_method": `+c.invoices+`}}`)
			answer("GET /v1/subscriptions", `{"object": "list", "has_more": false, "data": [{"id": "sub_1", "object": "subscription", "default_payment_method": `+c.plan+`}]}`)
			stripe.HandleFunc("POST /v1/payment_methods/pm_1/detach", func(w http.ResponseWriter, _ *http.Request) {
				forgotten = true
				_, _ = fmt.Fprint(w, `{"id": "pm_1", "object": "payment_method"}`)
			})
			server := httptest.NewServer(stripe)
			defer server.Close()
			require.NoError(t, newGateway(t, server.URL).ForgetCard(t.Context(), "", "pm_1"))
			require.Equal(t, c.forgotten, forgotten)
		})
	}
}
