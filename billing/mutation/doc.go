// Package mutation asks whether the tests have teeth: it breaks the program in one
// guarded place at a time and expects the tests that guard it to fail.
//
// A defect is a few words of the source and what is written in their place. It is
// compiled by go test -overlay, so the product's files are not touched and carry
// no hooks. With plain go test only this is checked: that the words still stand
// in the source, once, and that the tests are there. make mutations runs every
// defect (DEFECT=name for one), and its tests once without any: they pass then.
package mutation
