// Package preset holds the five ready-made catalogues: plans, packs, rate cards
// and the words for what they price, as data.
//
// It is pure and decides nothing: a catalogue is what an operator starts from,
// and installing one is billing's. Numbers that the product a catalogue stands
// for does not publish were chosen here and are listed under Assumed beside
// what they belong to.
//
// Every catalogue that Load gives has passed Validate: codes are unique and
// lead somewhere, amounts are within bounds, a larger pack is cheaper per
// credit.
package preset
