// Package api is the JSON API under /v1.
//
// The charge path (charges, batches, holds, captures, releases, reversals) is
// written by hand for speed; everything else is typed handlers on huma. Both
// speak one language: bearer keys, strict bodies, an Idempotency-Key on every
// POST, RFC 9457 problems with a stable code.
//
// What it keeps true:
//
//   - an answer to a repeated POST has the bytes of the first one, because it is
//     written from stored facts in a fixed order of members;
//   - whatever goes wrong under /v1 is a problem document, and an internal error
//     shows its request id and nothing else;
//   - what lies outside a key's scope answers as if it did not exist;
//   - the OpenAPI document describes every route, and only routes there are.
//
// It holds no rule about credits, writes no SQL, and reads no cookie.
package api
