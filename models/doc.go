// Package models holds the nouns of Refill: rows, typed ids, amounts and
// instants, the database handle for both dialects, and the migrations.
//
// It knows no HTTP, no HTML and no Stripe, and it decides nothing: every rule
// about credits lives in billing.
//
// Amounts are integers (Credits in millionths, Money in minor units), instants
// are microseconds since 1970 in UTC (Time), ids are UUIDv7 (ID). Every row of
// a tenant starts its primary key with the agency.
package models
