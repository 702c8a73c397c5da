package views

import "refill/models"

// ConnectState is what an agency's Stripe account means for its sales, as billing
// names it.
type ConnectState string

// The states of a connection.
const (
	ConnectNone    ConnectState = "none"
	ConnectStarted ConnectState = "started"
	ConnectLacking ConnectState = "lacking"
	ConnectSelling ConnectState = "selling"
	ConnectPaused  ConnectState = "paused"
	ConnectEnded   ConnectState = "ended"
)

// Connect is the page about the Stripe account an agency sells through.
type Connect struct {
	Frame     Frame
	State     ConnectState
	Name      string // as clients know the business; may be empty
	Statement string // on card statements; may be empty
	Account   string // acct_…
	Payouts   bool
	Due       []string // what Stripe still needs
	Why       string   // why it takes no money; may be empty
	EndedAt   models.Time
	Dashboard string // address at Stripe; "" without an account
	Returned  bool   // the owner comes back from Stripe
	Again     bool   // the link to Stripe was used or too old
	Stale     bool   // Stripe did not answer: this is what it said last
	Failed    bool   // Stripe did not answer to the button
}

func (v *Connect) heading() string {
	switch v.State {
	case ConnectNone:
		return "Connect Stripe to start selling"
	case ConnectStarted:
		return "Finish setting up Stripe"
	case ConnectLacking:
		return "Stripe needs something more"
	case ConnectSelling:
		return "You can take payments"
	case ConnectPaused:
		return "Stripe has paused your payments"
	case ConnectEnded:
		return "Stripe is disconnected"
	}
	return ""
}

// button is what leads to Stripe; "" where there is nothing to do there.
func (v *Connect) button() string {
	switch v.State {
	case ConnectNone:
		return "Connect Stripe"
	case ConnectStarted, ConnectLacking:
		return "Continue at Stripe"
	case ConnectEnded:
		return "Connect Stripe again"
	case ConnectSelling, ConnectPaused:
	}
	return ""
}

// result is what came of a visit to Stripe: coming back proves nothing.
func (v *Connect) result() (Tone, string) {
	switch v.State {
	case ConnectSelling:
		return ToneOK, "Stripe is connected."
	case ConnectPaused:
		return ToneInfo, "Stripe has your details and has not switched payments on yet."
	case ConnectNone, ConnectStarted, ConnectLacking, ConnectEnded:
	}
	return ToneWarn, "You are back from Stripe, and it is not finished yet."
}

func onOff(on bool) string {
	if on {
		return "On"
	}
	return "Off"
}

// tone colours the word for whether clients can pay.
func (v *Connect) tone() Tone {
	switch v.State {
	case ConnectSelling:
		return ToneOK
	case ConnectPaused, ConnectEnded:
		return ToneBad
	case ConnectNone, ConnectStarted, ConnectLacking:
	}
	return ToneWarn
}
