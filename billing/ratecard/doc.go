// Package ratecard prices usage: a version of a rate card and what was used
// give credits and the lines that explain them.
//
// It is pure: no input or output, no clock, no database. Which version applies,
// whether a wallet can pay and what is drawn are billing's and the ledger's.
//
// What always holds:
//
//   - Amounts are integers: credits and quantities in millionths. Every sum and
//     product is checked; no price is above models.MaxCharge (I-28).
//   - A price never falls when usage grows.
//   - minimum ≤ price ≤ maximum, where the rate has them.
//   - The lines of a quote add up to its credits.
//   - The order in which rates stand on a card changes nothing.
package ratecard
