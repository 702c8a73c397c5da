// Package chart turns series of credits into SVG: stacked bars, running totals,
// small multiples and sparklines. It is pure: the same data gives the same
// bytes, and it reads no clock, no store and no request.
//
// What holds for every chart:
//
//   - The SVG carries shapes only. Axis text is HTML beside it, because text in
//     a stretched SVG shrinks to 5 px on a phone.
//   - Shapes are coloured by class (c0…c6), never by an inline style, so that the
//     page's content security policy can forbid styles.
//   - The heights of a bar's segments add up to the bar, to the unit.
//   - Colour belongs to a name (see Slots), and a table beside the chart says the
//     same numbers: colour alone carries nothing.
//   - A net amount below zero (more reversed than used) draws nothing; the table
//     shows it.
//
// The package does not own the table, the filters or the words around a chart,
// and it does not add up charges: callers bring values from the usage counters.
package chart
