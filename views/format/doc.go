// Package format turns amounts and instants into the words on screen. It is pure:
// the same value gives the same text on every page, in every mail and test.
//
// Invariants: nothing that is not zero is ever shown as zero ($0.00, 0%, 0
// credits); no balance is shown larger than it is; minus is U+2212.
//
// It does not own arithmetic: what it is given is already decided.
package format
