package billing

import (
	"context"
	"fmt"

	"refill/models"
)

// SizeFacts is how much a database holds.
type SizeFacts struct {
	Entries int64       // of the ledger
	Bytes   int64       // on disk
	Middle  models.Time // between the first agency's first day and now
}

// SizeOf counts: not for a page, it reads all wallets.
func (s *Service) SizeOf(ctx context.Context) (SizeFacts, error) {
	var out SizeFacts
	db := s.db.Read.WithContext(ctx)
	// A wallet's seq is gapless: the sum of all is the number of entries.
	if err := db.Model(&models.Wallet{}).Select("CAST(COALESCE(SUM(seq), 0) AS bigint)").Scan(&out.Entries).Error; err != nil {
		return out, fmt.Errorf("count entries: %w", err)
	}
	size := "SELECT page_count * page_size FROM pragma_page_count(), pragma_page_size()"
	if s.db.Dialect == models.Postgres {
		size = "SELECT pg_database_size(current_database())"
	}
	if err := db.Raw(size).Scan(&out.Bytes).Error; err != nil {
		return out, fmt.Errorf("measure the database: %w", err)
	}
	var first models.Time
	if err := db.Model(&models.Agency{}).Select("COALESCE(MIN(created_at), 0)").Scan(&first).Error; err != nil {
		return out, fmt.Errorf("find the first day: %w", err)
	}
	out.Middle = first + (s.clock.Now()-first)/2
	return out, nil
}
