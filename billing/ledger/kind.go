package ledger

// Kind says between which two accounts an entry moves credits.
// The numbers are stored: never change one.
type Kind int16

// The kinds of entries.
const (
	Grant         Kind = 1  // sales or promotion → available
	ChargeDraw    Kind = 2  // available → consumed
	HoldDraw      Kind = 3  // available → held
	CaptureDraw   Kind = 4  // held → consumed
	ReleaseBack   Kind = 5  // held → available
	Expire        Kind = 6  // available → breakage
	Forfeit       Kind = 7  // held → breakage: expired while it was held
	AssignOut     Kind = 8  // available → transit
	AssignIn      Kind = 9  // transit → available
	ReturnOut     Kind = 10 // available → transit
	ReturnIn      Kind = 11 // transit → available
	AdjustIn      Kind = 12 // promotion → available
	AdjustOut     Kind = 13 // available → promotion
	Clawback      Kind = 14 // available → sales
	ExcessDraw    Kind = 15 // excess → consumed
	Settle        Kind = 16 // available → excess
	Reverse       Kind = 17 // consumed → available
	ReverseExcess Kind = 18 // consumed → excess
	Unsettle      Kind = 19 // excess → available: a settlement undone by a reversal
	SellOut       Kind = 20 // available → transit
	SellIn        Kind = 21 // transit → available
	SellHeld      Kind = 22 // held → transit: stock kept for a checkout that was paid
	StockDraw     Kind = 23 // available → held: stock kept for a checkout

	Freeze          Kind = 24 // available → disputed
	Unfreeze        Kind = 25 // disputed → available
	Reinstate       Kind = 26 // issued → available: a clawback undone
	ClawbackExcess  Kind = 27 // excess → issued: what was used of credits that were clawed back
	ReinstateExcess Kind = 28 // issued → excess
	ResellOut       Kind = 29 // available → transit: a returned sale that stands after all
	ResellIn        Kind = 30 // transit → available

	PassOut Kind = 31 // available → transit: what came back from one client and goes on to another
)

// effect is what one credit of an entry does to the lot and the wallet.
type effect struct {
	name                    string
	from, to                string
	remaining, held, excess int64
}

// effects is the whole of the ledger's arithmetic.
//
//nolint:gochecknoglobals // a constant table
var effects = map[Kind]effect{
	Grant:         {"grant", "issued", "available", 1, 0, 0},
	ChargeDraw:    {"charge", "available", "consumed", -1, 0, 0},
	HoldDraw:      {"hold", "available", "held", -1, 1, 0},
	CaptureDraw:   {"capture", "held", "consumed", 0, -1, 0},
	ReleaseBack:   {"release", "held", "available", 1, -1, 0},
	Expire:        {"expire", "available", "breakage", -1, 0, 0},
	Forfeit:       {"forfeit", "held", "breakage", 0, -1, 0},
	AssignOut:     {"assign_out", "available", "transit", -1, 0, 0},
	AssignIn:      {"assign_in", "transit", "available", 1, 0, 0},
	ReturnOut:     {"return_out", "available", "transit", -1, 0, 0},
	ReturnIn:      {"return_in", "transit", "available", 1, 0, 0},
	AdjustIn:      {"adjust_in", "promotion", "available", 1, 0, 0},
	AdjustOut:     {"adjust_out", "available", "promotion", -1, 0, 0},
	Clawback:      {"clawback", "available", "issued", -1, 0, 0},
	ExcessDraw:    {"excess", "excess", "consumed", 0, 0, 1},
	Settle:        {"settle", "available", "excess", -1, 0, -1},
	Reverse:       {"reverse", "consumed", "available", 1, 0, 0},
	ReverseExcess: {"reverse_excess", "consumed", "excess", 0, 0, -1},
	Unsettle:      {"unsettle", "excess", "available", 1, 0, 1},
	SellOut:       {"sell_out", "available", "transit", -1, 0, 0},
	SellIn:        {"sell_in", "transit", "available", 1, 0, 0},
	SellHeld:      {"sell_held", "held", "transit", 0, -1, 0},
	StockDraw:     {"hold_stock", "available", "held", -1, 1, 0},

	Freeze:          {"freeze", "available", "disputed", -1, 0, 0},
	Unfreeze:        {"unfreeze", "disputed", "available", 1, 0, 0},
	Reinstate:       {"reinstate", "issued", "available", 1, 0, 0},
	ClawbackExcess:  {"clawback_excess", "excess", "issued", 0, 0, 1},
	ReinstateExcess: {"reinstate_excess", "issued", "excess", 0, 0, -1},
	ResellOut:       {"resell_out", "available", "transit", -1, 0, 0},
	ResellIn:        {"resell_in", "transit", "available", 1, 0, 0},

	PassOut: {"pass_out", "available", "transit", -1, 0, 0},
}

// String is the kind's stable name, as the API prints it.
func (k Kind) String() string { return effects[k].name }

// Change is +1, 0 or −1: what one credit of the kind does to the balance.
func (k Kind) Change() int64 { e := effects[k]; return e.remaining - e.excess }

// Accounts names the account the kind takes from and the one it gives to.
func (k Kind) Accounts() (from, to string) { e := effects[k]; return e.from, e.to }
