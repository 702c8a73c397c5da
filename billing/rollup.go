package billing

import (
	"context"

	"refill/models"
)

func (s *Service) rollUsage(context.Context, models.Time) error { return nil }

func (s *Service) refreshThresholds(context.Context, models.Time) error { return nil }
