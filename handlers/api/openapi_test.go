package api_test

import (
	"flag"
	"net/http"
	"os"
	"slices"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/labstack/echo/v4"
	"github.com/stretchr/testify/require"

	"refill/handlers/api"
	"refill/models/modelstest"
)

var update = flag.Bool("update", false, "write docs/openapi.json instead of comparing with it")

const committed = "../../docs/openapi.json"

func TestDocumentIsCommittedAndValid(t *testing.T) {
	t.Parallel()
	w := newWorld(t, modelstest.OpenSQLite(t), "stammer", "full-saas")
	got := w.get("", "/v1/openapi.json").ok(t, http.StatusOK).body
	if *update {
		require.NoError(t, os.WriteFile(committed, []byte(got), 0o600))
	}
	want, err := os.ReadFile(committed)
	require.NoError(t, err)
	require.Equal(t, string(want), got, "run go test ./handlers/api -run Document -update")
	doc, err := openapi3.NewLoader().LoadFromData(want)
	require.NoError(t, err)
	require.NoError(t, doc.Validate(t.Context()))
}

func TestRoutesEqualTheDocument(t *testing.T) {
	t.Parallel()
	w := newWorld(t, modelstest.OpenSQLite(t), "stammer", "full-saas")
	doc := load(t)
	var documented, known, routed []string
	for path, item := range doc.Paths.Map() {
		for method := range item.Operations() {
			documented = append(documented, method+" "+path)
		}
	}
	for _, r := range w.routes {
		known = append(known, r.Method+" "+r.Path)
	}
	e := echo.New()
	_, err := api.Register(e, w.s, api.Options{})
	require.NoError(t, err)
	for _, r := range e.Routes() {
		if r.Method == http.MethodHead { // GET without the body, of the same operation
			continue
		}
		routed = append(routed, r.Method+" "+r.Path)
	}
	slices.Sort(documented)
	slices.Sort(known)
	require.Equal(t, known, documented)
	require.Len(t, routed, len(known))
}

// Where the address says all there is to say, the document lets the body go.
func TestWhichBodiesMayBeAbsent(t *testing.T) {
	t.Parallel()
	w := newWorld(t, modelstest.OpenSQLite(t), "stammer", "full-saas")
	for path, item := range load(t).Paths.Map() {
		if item.Post == nil {
			continue
		}
		absent := w.send(w.platform, http.MethodPost, fill(path), "k", "", "Content-Type", "").status == http.StatusNotFound
		require.Equal(t, absent, !item.Post.RequestBody.Value.Required, path)
	}
}

func load(t *testing.T) *openapi3.T {
	t.Helper()
	doc, err := openapi3.NewLoader().LoadFromFile(committed)
	require.NoError(t, err)
	return doc
}
