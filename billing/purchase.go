package billing

import (
	"context"

	"refill/models"
)

// Payments is what billing needs of a payment provider.
type Payments interface{}

type purchaseDesk struct{}

func newPurchaseDesk() *purchaseDesk { return &purchaseDesk{} }

func (s *Service) purchasesDue(context.Context, models.Time) error { return nil }
