package api

import (
	"encoding/json"
	"strconv"
	"sync"

	"github.com/labstack/echo/v4"

	"refill/billing"
	"refill/models"
)

// buffer is reused between answers and bodies.
type buffer struct{ b []byte }

//nolint:gochecknoglobals // a pool of scratch memory, empty of meaning
var buffers = sync.Pool{New: func() any { return &buffer{b: make([]byte, 0, 4096)} }}

func takeBuffer() *buffer {
	buf, _ := buffers.Get().(*buffer)
	buf.b = buf.b[:0]
	return buf
}

// free gives the memory back, unless a large body would keep it forever.
func (b *buffer) free() {
	if cap(b.b) <= 256<<10 {
		buffers.Put(b)
	}
}

func write(c echo.Context, status int, contentType string, body []byte) {
	h := c.Response().Header()
	h.Set(echo.HeaderContentType, contentType)
	h.Set(echo.HeaderContentLength, strconv.Itoa(len(body)))
	c.Response().WriteHeader(status)
	_, _ = c.Response().Write(body) // the caller is gone; what was booked is booked
}

// appendString writes a JSON string. Names and ids are plain ASCII, the rest
// takes the long way.
func appendString(b []byte, s string) []byte {
	for i := range len(s) {
		if c := s[i]; c < 0x20 || c > 0x7e || c == '"' || c == '\\' {
			long, err := json.Marshal(s)
			if err != nil {
				return append(b, `""`...) // a string always encodes
			}
			return append(b, long...)
		}
	}
	b = append(b, '"')
	b = append(b, s...)
	return append(b, '"')
}

// appendCredits writes the decimal string of Credits.String.
func appendCredits(b []byte, c models.Credits) []byte {
	b = append(b, '"')
	u := uint64(c) //nolint:gosec // the wrap of the smallest value is undone by the negation below
	if c < 0 {
		u = -u
		b = append(b, '-')
	}
	const one = uint64(models.Credit)
	b = strconv.AppendUint(b, u/one, 10)
	if frac := u % one; frac != 0 {
		b = append(b, '.')
		for scale := one / 10; frac != 0; scale /= 10 {
			b = append(b, '0'+byte(frac/scale)) //nolint:gosec // one digit: frac is below ten times scale
			frac %= scale
		}
	}
	return append(b, '"')
}

func appendTime(b []byte, t models.Time) []byte {
	if !t.IsSet() {
		return append(b, "null"...)
	}
	b = append(b, '"')
	b = t.Go().AppendFormat(b, "2006-01-02T15:04:05.000000Z07:00")
	return append(b, '"')
}

func appendBalance(b []byte, v *billing.Balance) []byte {
	b = append(b, `{"available":`...)
	b = appendCredits(b, v.Available)
	b = append(b, `,"held":`...)
	b = appendCredits(b, v.Held)
	b = append(b, `,"excess":`...)
	b = appendCredits(b, v.Excess)
	b = append(b, `,"plan":`...)
	b = appendCredits(b, v.Plan)
	b = append(b, `,"purchased":`...)
	b = appendCredits(b, v.Purchased)
	b = append(b, `,"assigned":`...)
	b = appendCredits(b, v.Assigned)
	b = append(b, `,"bonus":`...)
	b = appendCredits(b, v.Bonus)
	return append(b, '}')
}

func appendDraws(b []byte, draws []billing.Draw) []byte {
	b = append(b, '[')
	for i := range draws {
		d := &draws[i]
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, `{"wallet":`...)
		b = appendString(b, d.Wallet.String())
		b = append(b, `,"lot":`...)
		if d.Lot.IsZero() {
			b = append(b, "null"...)
		} else {
			b = appendString(b, d.Lot.String())
		}
		b = append(b, `,"source":`...)
		b = appendString(b, string(d.Bucket))
		b = append(b, `,"credits":`...)
		b = appendCredits(b, d.Credits)
		b = append(b, '}')
	}
	return append(b, ']')
}

// appendCharge writes a booked charge from stored facts alone, so that a replay
// has the bytes of the first answer.
func appendCharge(b []byte, r *billing.Receipt) []byte {
	c := &r.Charge
	b = append(b, `{"id":`...)
	b = appendString(b, c.ID.String())
	b = append(b, `,"wallet":`...)
	b = appendString(b, c.WalletID.String())
	b = append(b, `,"action":`...)
	b = appendString(b, c.Action)
	b = append(b, `,"model":`...)
	b = appendString(b, c.Model)
	b = append(b, `,"credits":`...)
	b = appendCredits(b, c.Credits)
	if c.Test {
		b = append(b, `,"would_cost":`...)
		b = appendCredits(b, c.WouldCost)
	}
	b = append(b, `,"rate_card_version":`...)
	b = strconv.AppendInt(b, int64(c.CardVersion), 10)
	b = append(b, `,"draws":`...)
	b = appendDraws(b, r.Draws)
	b = append(b, `,"balance":`...)
	balance := r.Balance()
	b = appendBalance(b, &balance)
	b = append(b, `,"state":`...)
	b = appendString(b, c.State)
	b = append(b, `,"test":`...)
	b = strconv.AppendBool(b, c.Test)
	if !c.HoldID.IsZero() {
		b = append(b, `,"hold":`...)
		b = appendString(b, c.HoldID.String())
		b = append(b, `,"late":`...)
		b = strconv.AppendBool(b, c.Late)
	}
	b = append(b, `,"created_at":`...)
	b = appendTime(b, c.CreatedAt)
	return append(b, '}')
}

// appendHold writes a hold in the given state.
func appendHold(b []byte, r *billing.HoldReceipt, state models.HoldState) []byte {
	h := &r.Hold
	b = append(b, `{"id":`...)
	b = appendString(b, h.ID.String())
	b = append(b, `,"wallet":`...)
	b = appendString(b, h.WalletID.String())
	b = append(b, `,"action":`...)
	b = appendString(b, h.Action)
	b = append(b, `,"model":`...)
	b = appendString(b, h.Model)
	b = append(b, `,"credits":`...)
	b = appendCredits(b, h.Credits)
	b = append(b, `,"state":`...)
	b = appendString(b, string(state))
	b = append(b, `,"expires_at":`...)
	b = appendTime(b, h.ExpiresAt)
	b = append(b, `,"draws":`...)
	b = appendDraws(b, r.Draws)
	b = append(b, `,"created_at":`...)
	b = appendTime(b, h.CreatedAt)
	return append(b, '}')
}

// appendReversal writes a reversal from stored facts alone.
func appendReversal(b []byte, r *billing.Reversed) []byte {
	b = append(b, `{"id":`...)
	b = appendString(b, r.Reversal.ID.String())
	b = append(b, `,"charge":`...)
	b = appendString(b, r.Charge.ID.String())
	b = append(b, `,"wallet":`...)
	b = appendString(b, r.Charge.WalletID.String())
	b = append(b, `,"credits":`...)
	b = appendCredits(b, r.Reversal.Credits)
	b = append(b, `,"draws":`...)
	b = appendDraws(b, r.Draws)
	b = append(b, `,"reason":`...)
	b = appendString(b, r.Reversal.Reason)
	b = append(b, `,"created_at":`...)
	b = appendTime(b, r.Reversal.CreatedAt)
	return append(b, '}')
}
