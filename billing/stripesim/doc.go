// Package stripesim is a Stripe-compatible server in a box: enough of Stripe's
// HTTP API of version 2023-10-16, with a hosted payment page and signed
// webhooks, that the real client library runs against it unchanged. The demo,
// the tests and the fault runs talk to it over HTTP, exactly as they would
// talk to Stripe.
//
// What holds:
//
//   - No money moves. Live keys are refused, every object says livemode false,
//     every page says that it is a demo.
//   - It is for this machine only: requests from elsewhere are refused, and
//     Listen opens no other address.
//   - Times of objects are domain time from the injected clock. Times in
//     webhook signatures, back-off and held deliveries are wall time.
//   - Objects belong to the account they were made for; another account does
//     not find them.
//   - A change is in the journal before its answer leaves, so that a killed
//     demo goes on where it stood, and an event is delivered at least once.
//   - A parameter that Stripe would not know, or that is not simulated, is an
//     error and never ignored.
//
// It owns no rule about credits and knows nothing of Refill's rows. It shares
// no code with the client library: signatures and shapes are written from
// Stripe's documentation, so that a misreading on one side shows.
package stripesim
