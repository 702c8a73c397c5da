// Package handlers holds the doors: which address leads where, and who may
// enter.
//
// The whole route table is on one screen in routes.go. A route without a policy
// does not exist; a policy names the roles that may enter, and a role is read
// anew for every request. A handler takes a request apart, calls one verb or
// read of billing and gives the facts to a view. It writes no SQL, does no
// arithmetic with credits and formats nothing.
//
// What holds for every answer, errors included: the security headers are set, a
// body is written only when it is complete, and nothing secret is logged.
package handlers
