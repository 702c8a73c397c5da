// Package views holds the pages: templ components, one view struct per page.
//
// A handler fills the struct with facts (amounts, instants, states) and calls the
// page function; the view finds the words and the format. Views ask nobody
// anything: no query, no request, no clock. They know models, static and the
// packages below views, nothing else.
//
// Rules every page keeps: one h1, forms are plain POSTs that carry the CSRF token,
// no inline style or script, numbers in cells are end-aligned, an unreadable
// balance is words and never a number.
package views
