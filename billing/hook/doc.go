// Package hook takes messages to the webhook endpoints of other people's
// programs: it signs them by the Standard Webhooks scheme and sends them over
// HTTPS to public addresses only.
//
// An endpoint's address is somebody's input. Where a name leads is checked when
// the connection is made, on the resolved address, so that a name which changes
// its mind between check and use leads nowhere; redirects are not followed, no
// proxy is asked, and of the answer only the beginning is read.
package hook
