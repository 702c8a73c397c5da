package metrics_test

import (
	"net/http"
	"testing"
	"time"

	"refill/billing/ledger"
	"refill/handlers/metrics"
)

// What a batch of a hundred charges costs beyond what the ledger counts itself.
func BenchmarkBatchOfAHundredCharges(b *testing.B) {
	m := metrics.New()
	stats := ledger.BatchStats{Took: 2 * time.Millisecond, Waited: 100 * time.Millisecond}
	stats.Waits[4], stats.Waits[5] = 60, 40
	stats.Answers[ledger.CommandCharge] = ledger.Count{Done: 99, Replayed: 1}
	b.ReportAllocs()
	for b.Loop() {
		m.Batch(stats)
	}
}

func BenchmarkRequest(b *testing.B) {
	m := metrics.New()
	b.ReportAllocs()
	for b.Loop() {
		m.RequestBegun()
		m.RequestEnded("/v1/charges", http.MethodPost, http.StatusCreated, time.Millisecond)
	}
}
