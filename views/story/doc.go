// Package story renders every page in every state with fixed facts: to look at
// while working, and as golden files that show what a change does to a page.
//
// It decides nothing and reads nothing; the facts are those of one made-up agency
// at one instant.
package story
