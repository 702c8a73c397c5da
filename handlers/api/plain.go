package api

import "refill/billing/ratecard"

// plain reads the bodies that nearly every program sends: known members, each
// once, ASCII strings without escapes, plain decimals. Whatever else JSON
// allows, and whatever is wrong, it leaves to decode, which is slower and says
// what it dislikes; what it does read, decode would read alike.
type plain struct {
	text string
	at   int
}

// plainCharge reads a body of one charge; false: decode must.
func plainCharge(text string, into *batchItem, keyed bool) bool {
	p := plain{text: text}
	return p.charge(into, keyed) && p.end()
}

// plainBatch reads a body of charges; false: decode must.
func plainBatch(text string) (items []batchItem, ok bool) {
	p := plain{text: text}
	name := ""
	if !p.is('{') || !p.string(&name) || name != "charges" || !p.is(':') || !p.is('[') {
		return nil, false
	}
	for !p.is(']') {
		if len(items) > 0 && !p.is(',') {
			return nil, false
		}
		items = append(items, batchItem{})
		if !p.charge(&items[len(items)-1], true) {
			return nil, false
		}
	}
	return items, p.is('}') && p.end()
}

// charge reads the object of a charge; keyed ones may name their own key.
func (p *plain) charge(into *batchItem, keyed bool) bool {
	seen := 0
	once := func(member int) bool {
		first := seen&(1<<member) == 0
		seen |= 1 << member
		return first
	}
	if !p.is('{') {
		return false
	}
	for n := 0; !p.is('}'); n++ {
		name, ok := "", false
		if n > 0 && !p.is(',') || !p.string(&name) || !p.is(':') {
			return false
		}
		switch name {
		case "wallet":
			ok = once(0) && p.string(&into.Wallet)
		case "action":
			ok = once(1) && p.string(&into.Action)
		case "model":
			ok = once(2) && p.string(&into.Model)
		case "occurred_at":
			ok = once(3) && p.string(&into.OccurredAt)
		case "test":
			ok = once(4) && p.flag(&into.Test)
		case "usage":
			ok = once(5) && p.usage(&into.Usage.Usage)
		case "idempotency_key":
			ok = once(6) && keyed && p.string(&into.Key)
		}
		if !ok {
			return false
		}
	}
	return true
}

// usage reads an object of measures and plain decimals.
func (p *plain) usage(into *ratecard.Usage) bool {
	if !p.is('{') {
		return false
	}
	read := ratecard.Usage{}
	for !p.is('}') {
		name, number := "", ""
		if len(read) > 0 && !p.is(',') || !p.string(&name) || !p.is(':') || !p.decimal(&number) {
			return false
		}
		if _, twice := read[name]; twice || len(read) == ratecard.MaxMeasures || !ratecard.ValidMeasure(name) {
			return false
		}
		q, err := ratecard.ParseQuantity(number)
		if err != nil {
			return false
		}
		read[name] = q
	}
	*into = read
	return true
}

// is takes one character that has a meaning, behind any white space.
func (p *plain) is(c byte) bool {
	p.space()
	if p.at == len(p.text) || p.text[p.at] != c {
		return false
	}
	p.at++
	return true
}

func (p *plain) end() bool {
	p.space()
	return p.at == len(p.text)
}

func (p *plain) space() {
	for p.at < len(p.text) {
		switch p.text[p.at] {
		case ' ', '\t', '\n', '\r':
			p.at++
		default:
			return
		}
	}
}

// string takes a string of printable ASCII without escapes.
func (p *plain) string(into *string) bool {
	if !p.is('"') {
		return false
	}
	from := p.at
	for ; p.at < len(p.text); p.at++ {
		switch c := p.text[p.at]; {
		case c == '"':
			*into = p.text[from:p.at]
			p.at++
			return true
		case c < 0x20 || c > 0x7e || c == '\\':
			return false
		}
	}
	return false
}

// decimal takes a number without sign, exponent and leading zeros.
func (p *plain) decimal(into *string) bool {
	p.space()
	from := p.at
	whole := p.digits()
	if whole == 0 || whole > 1 && p.text[from] == '0' {
		return false
	}
	if p.at < len(p.text) && p.text[p.at] == '.' {
		p.at++
		if p.digits() == 0 {
			return false
		}
	}
	*into = p.text[from:p.at]
	return true
}

func (p *plain) digits() (n int) {
	for p.at < len(p.text) && '0' <= p.text[p.at] && p.text[p.at] <= '9' {
		p.at++
		n++
	}
	return n
}

func (p *plain) flag(into *bool) bool {
	p.space()
	for _, word := range []string{"true", "false"} {
		if len(p.text)-p.at >= len(word) && p.text[p.at:p.at+len(word)] == word {
			*into = word == "true"
			p.at += len(word)
			return true
		}
	}
	return false
}
