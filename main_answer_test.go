package main

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
)

// Who asks over a connection that was given up is answered all the same, and then has
// to take another one; who asks over a sound one keeps it.
func TestAConnectionThatWasGivenUpIsNotKept(t *testing.T) {
	t.Parallel()
	p := &portal{leaving: new(atomic.Bool), log: slog.New(slog.DiscardHandler), web: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Context().Err() != nil {
			w.WriteHeader(http.StatusInternalServerError)
		}
	})}
	server := httptest.NewUnstartedServer(http.HandlerFunc(p.answer))
	var opened atomic.Int64
	server.Config.ConnContext = func(ctx context.Context, _ net.Conn) context.Context {
		if opened.Add(1) > 1 {
			return ctx
		}
		given, giveUp := context.WithCancel(ctx)
		giveUp()
		return given
	}
	server.Start()
	t.Cleanup(server.Close)
	ends := func() bool {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL, http.NoBody)
		require.NoError(t, err)
		res, err := server.Client().Do(req)
		require.NoError(t, err)
		require.NoError(t, res.Body.Close())
		require.Equal(t, http.StatusOK, res.StatusCode)
		return res.Close
	}
	require.True(t, ends())
	require.False(t, ends())
	require.False(t, ends())
	require.EqualValues(t, 2, opened.Load())
}
