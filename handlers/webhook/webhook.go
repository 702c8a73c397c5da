// Package webhook takes Stripe's deliveries.
//
// A delivery is checked against the endpoint's secret over the bytes exactly as
// they came, stored, and only then answered with 200: whatever comes later
// happens from the inbox. What could not be stored is answered with an error, and
// Stripe sends it again. It reads no cookie, believes nothing a delivery says,
// and knows nothing of purchases.
package webhook

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"sync/atomic"

	"github.com/labstack/echo/v4"

	"refill/billing/problem"
)

// maxBody bounds a delivery, in bytes.
const maxBody = 1 << 20

// Receive stores a signed delivery of an endpoint. Errors: bad_signature.
type Receive func(ctx context.Context, endpoint string, payload []byte, signature string) error

// Counts is what became of an endpoint's deliveries since the start.
type Counts struct {
	Received atomic.Int64 // stored
	Refused  atomic.Int64 // not signed with a known secret, or too large
	Failed   atomic.Int64 // could not be stored; Stripe sends it again
}

// Door takes the deliveries of one endpoint.
type Door struct {
	Counts Counts

	endpoint string
	receive  Receive
	log      *slog.Logger
}

// New makes the door of an endpoint.
func New(endpoint string, receive Receive, log *slog.Logger) *Door {
	return &Door{endpoint: endpoint, receive: receive, log: log}
}

// Take answers one delivery: 200 once it is stored, 400 when it is not from
// Stripe.
func (d *Door) Take(c echo.Context) error {
	r := c.Request()
	body, err := io.ReadAll(http.MaxBytesReader(c.Response(), r.Body, maxBody))
	if err != nil {
		d.Counts.Refused.Add(1)
		if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
			return echo.ErrStatusRequestEntityTooLarge
		}
		return problem.New(problem.Malformed, "body_cut_short", "The delivery ended before its end; send it again.").Because(err)
	}
	if err := d.receive(r.Context(), d.endpoint, body, r.Header.Get("Stripe-Signature")); err != nil {
		if p := problem.Of(err); p != nil && p.Kind == problem.Malformed {
			d.Counts.Refused.Add(1)
			d.log.LogAttrs(r.Context(), slog.LevelWarn, "delivery refused", slog.String("endpoint", d.endpoint), slog.Any("error", err))
		} else {
			d.Counts.Failed.Add(1)
		}
		return err
	}
	d.Counts.Received.Add(1)
	return c.JSON(http.StatusOK, map[string]bool{"received": true})
}
