package handlers

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/labstack/echo/v4"
	"github.com/stretchr/testify/require"
)

func TestTheAPIRefusesLargeBodiesItself(t *testing.T) {
	t.Parallel()
	reaches := func(path string) bool {
		reached := false
		c := echo.New().NewContext(httptest.NewRequestWithContext(t.Context(), http.MethodPost, path, strings.NewReader(strings.Repeat("x", 3<<20))), httptest.NewRecorder())
		err := limits(func(echo.Context) error {
			reached = true
			return nil
		})(c)
		require.Equal(t, reached, err == nil)
		return reached
	}
	require.True(t, reaches("/v1/charges"), "its answer is a problem with the API's own code")
	require.False(t, reaches("/webhooks/stripe"))
	require.False(t, reaches("/sign-in"))
}
