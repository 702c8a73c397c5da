// Package estimate works out how many credits a month of work takes by a rate
// card, and what covers them at the lowest price.
//
// Estimates are whole multiples of real rates: whoever does exactly what was
// typed is charged exactly Usual. Nothing here is booked or promised; the package
// knows no database, no account and no clock.
package estimate
