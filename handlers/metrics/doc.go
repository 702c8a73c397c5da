// Package metrics shows an operator what runs inside, in the words of
// Prometheus. It is told what happened, or asks when it is scraped; nothing
// waits for it.
package metrics
