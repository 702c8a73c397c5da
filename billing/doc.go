// Package billing holds the verbs of Refill: charge, hold, capture, release,
// reverse, top up, assign, adjust, renew, expire; and the reads behind screens.
//
// An exported verb is a transaction boundary and reads the clock once. It takes
// the acting party and checks what that party may touch; unexported helpers take
// the transaction. No verb calls the network inside a transaction.
//
// What it keeps true, beyond the ledger's own invariants:
//
//	I-13  a paid purchase has exactly one grant, a payment at most one
//	I-14  no purchased credits without money that matches our own row
//	I-18  an allowance never rolls over; one per wallet and period
//	I-29  charts, totals and CSV read the same counters the charge wrote
//
// It does not know HTTP or HTML, does not price (ratecard), does not write
// ledger tables (ledger), and does not speak to Stripe (checkout).
package billing
