package billing

import "refill/billing/ledger"

// The ledger's facts that verbs return, so that who calls a verb need not know
// the ledger.
type (
	// Balance is a wallet's credits by bucket.
	Balance = ledger.Balance
	// Draw is credits taken from one lot, or from excess.
	Draw = ledger.Draw
	// Receipt is a booked charge and who paid it.
	Receipt = ledger.Receipt
	// HoldReceipt is a hold and the lots it stands on.
	HoldReceipt = ledger.HoldReceipt
	// Reversed is a booked reversal.
	Reversed = ledger.Reversed
	// Transfer is credits moved between an agency and a sub-account.
	Transfer = ledger.Transfer
	// EntryKind says between which two accounts an entry moves credits.
	EntryKind = ledger.Kind
	// State is how a wallet stands.
	State = ledger.State
)

// The states of a wallet.
const (
	StateNew      = ledger.StateNew
	StateHealthy  = ledger.StateHealthy
	StateLow      = ledger.StateLow
	StateCritical = ledger.StateCritical
	StateExcess   = ledger.StateExcess
	StatePaused   = ledger.StatePaused
	StateUpstream = ledger.StateUpstream
)
