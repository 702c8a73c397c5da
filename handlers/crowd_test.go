package handlers_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/labstack/echo/v4"
	"github.com/stretchr/testify/require"

	"refill/billing"
	"refill/handlers"
	"refill/handlers/api"
	"refill/models/modelstest"
)

// Where as many requests are under way as may be, the next one is told at once to
// come back: a page in a browser's words, the API in a program's. Charges have a
// queue of their own, and a client that is slow to send keeps nobody out.
func TestACrowdIsToldToComeBack(t *testing.T) {
	t.Parallel()
	entered, leave := make(chan struct{}), make(chan struct{})
	var service *billing.Service
	p := newPortal(t, modelstest.OpenSQLite(t), func(c *handlers.Config) {
		service, c.AtOnce = c.Billing, 1
		c.API = func(e *echo.Echo) error {
			e.GET("/v1/long", func(c echo.Context) error {
				entered <- struct{}{}
				<-leave
				return c.NoContent(http.StatusNoContent)
			})
			_, err := api.Register(e, c.Billing, api.Options{Log: slog.New(slog.DiscardHandler), BaseURL: home})
			return err
		}
	})
	key, _, err := service.CreateAPIKey(t.Context(), billing.Scope{}, "test", "test")
	require.NoError(t, err)
	type reply struct {
		status int
		http.Header
		text string
	}
	ask := func(method, path, body string) reply {
		req, err := http.NewRequestWithContext(t.Context(), method, p.server.URL+path, strings.NewReader(body))
		require.NoError(t, err)
		req.Host = strings.TrimPrefix(home, "http://")
		req.Header.Set("Authorization", "Bearer "+key)
		req.Header.Set("Content-Type", "application/json")
		req.Header.Set("Idempotency-Key", "k")
		res, err := http.DefaultClient.Do(req)
		require.NoError(t, err)
		text, err := io.ReadAll(res.Body)
		require.NoError(t, errors.Join(err, res.Body.Close()))
		return reply{res.StatusCode, res.Header, string(text)}
	}
	require.Equal(t, http.StatusOK, ask(http.MethodGet, "/sign-in", "").status)

	// Half a form: it waits for its sender, and nobody for it.
	slow, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", p.server.Listener.Addr().String())
	require.NoError(t, err)
	defer func() { _ = slow.Close() }()
	_, err = fmt.Fprintf(slow, "POST /sign-in HTTP/1.1\r\nHost: %s\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 100\r\n\r\nemail=", strings.TrimPrefix(home, "http://"))
	require.NoError(t, err)
	for range 20 {
		require.Equal(t, http.StatusOK, ask(http.MethodGet, "/sign-in", "").status)
	}

	gone := make(chan int)
	go func() { gone <- ask(http.MethodGet, "/v1/long", "").status }()
	<-entered
	page := ask(http.MethodGet, "/sign-in", "")
	require.Equal(t, http.StatusServiceUnavailable, page.status)
	require.NotEmpty(t, page.Get("Retry-After"))
	require.Contains(t, page.Get("Content-Type"), "text/html")
	require.Contains(t, page.text, "Try again in a moment")
	program := ask(http.MethodGet, "/v1/wallets/agency%3Anorthwind", "")
	require.Equal(t, http.StatusServiceUnavailable, program.status)
	require.NotEmpty(t, program.Get("Retry-After"))
	require.Equal(t, "application/problem+json", program.Get("Content-Type"))
	require.Contains(t, program.text, `"code":"overloaded"`)
	require.Equal(t, http.StatusCreated, ask(http.MethodPost, "/v1/charges", `{"wallet":"agency:northwind","action":"ai.reply","model":"gpt-4"}`).status)
	require.Equal(t, http.StatusOK, ask(http.MethodGet, "/healthz", "").status)
	close(leave)
	require.Equal(t, http.StatusNoContent, <-gone)
	require.Equal(t, http.StatusOK, ask(http.MethodGet, "/v1/wallets/agency%3Anorthwind", "").status)

	// The slow one is answered once it has sent the rest.
	_, err = io.WriteString(slow, strings.Repeat("x", 94))
	require.NoError(t, err)
	res, err := http.ReadResponse(bufio.NewReader(slow), nil)
	require.NoError(t, err)
	require.NoError(t, res.Body.Close())
	require.Less(t, res.StatusCode, http.StatusInternalServerError)
}
