// Package ledger is the sole writer of wallets, lots, entries, charges, holds
// and usage counters.
//
// What always holds (numbers as in refill audit):
//
//	I-01  a wallet's balance is the sum of its entries
//	I-02  a wallet's balance is Σ lots' remaining − excess
//	I-03  0 ≤ remaining, 0 ≤ held, remaining + held ≤ granted, and both are the
//	      sum of the lot's entries
//	I-04  every kind of entry moves between two accounts, so the ledger sums to
//	      zero by construction
//	I-05  entries are only ever added; seq is gapless per wallet
//	I-06  one idempotency key makes at most one charge; the first answer is
//	      rendered again from stored facts, for ever
//	I-09  no wallet goes below zero beyond its excess limit
//	I-11  lots are drawn by priority, expiry, unit cost, age, id
//	I-12  a hold leaves open exactly once
//	I-14  purchased credits stand on a payment to whoever sold them
//	I-16  the credits of a purchase that are revoked and frozen follow from how its
//	      payment stands, whatever happened before
//	I-21  what a client was given came out of its agency's lots, with their
//	      expiry and cost
//	I-22  while a client may pay, what it buys is kept in its agency's stock
//	I-23  every wallet an act, charge or purchase names is the agency's
//	I-20  an expired lot is never drawn, whether its expiry is booked or not
//
// Every change goes through book.move: state is read under the wallet's lock, or
// remembered and checked by the write itself (known.go), decided in memory, and
// written back as a set. What was drawn from a wallet's current lot stands in
// the wallet's row (book.lag): read lots from lots, never from lot_rows.
//
// The package does not price (ratecard does), does not know who may act
// (billing does), and never calls the network.
package ledger
