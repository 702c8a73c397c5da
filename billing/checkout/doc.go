// Package checkout talks to Stripe. It is the only package that imports
// stripe-go, and it speaks to a real Stripe and to billing/stripesim alike.
//
// What holds:
//
//   - It decides nothing about credits: it says what Stripe says, as plain
//     structs, and whether a failure is worth another try.
//   - No secret is ever empty, and a simulator is never used with a live key.
//   - Every call that changes something carries an idempotency key that the
//     caller derived from its own row, so that a retry after a crash is the
//     same call.
//   - A signature counts only within five minutes of now, in both directions.
//   - There are no globals: two gateways with two keys may live side by side.
//
// Signatures live by wall time. The times of objects are Stripe's.
package checkout
