// Package period cuts time: billing periods from a stored anchor, and the days,
// weeks, months and hours of charts, each in a given zone.
//
// It is pure arithmetic on instants: no clock, no database. Who has which
// anchor, zone and period, and what happens at a boundary, is billing's.
//
// What always holds (I-19):
//
//   - Periods and buckets are half-open [start, end) and tile time: every
//     instant lies in exactly one, and one ends where the next begins.
//   - Every period is computed from the anchor, never from the one before it:
//     31 Jan is followed by 28 Feb and then 31 Mar.
//   - A wall time that a clock change skips becomes the first instant after the
//     gap; one that happens twice is the first of the two. Only the anchor
//     itself is kept as it is: period 0 starts exactly there.
//   - An hour bucket never reaches across a clock change.
//
// Zones must have been loaded by the caller; the program embeds time/tzdata so
// that they are there on any machine.
package period
