package ratecard

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
)

// The measures the product knows by name. Any other name of the same shape is
// taken too, so that a card can price what we did not think of.
const (
	Characters   = "characters"
	Pages        = "pages"
	InputTokens  = "input_tokens"
	OutputTokens = "output_tokens"
	Labels       = "labels"
	Minutes      = "minutes"
)

// MaxMeasures is how many measures one charge may report.
const MaxMeasures = 16

// Usage is what one action used, by measure. A measure no component asks about
// is recorded and costs nothing.
type Usage map[string]Quantity

// Check tells whether names, values and their number are within bounds; the
// error is an *InvalidError. Usage that was read from JSON has been checked.
func (u Usage) Check() error {
	var found problems
	if len(u) > MaxMeasures {
		found.add("usage", fmt.Sprintf("has %d measures; send at most %d", len(u), MaxMeasures))
		return found.err()
	}
	if u.fine() {
		return nil
	}
	for _, name := range slices.Sorted(maps.Keys(u)) {
		if !ValidMeasure(name) {
			found.add("usage", badMeasure(name))
		}
		if q := u[name]; q < 0 || q > MaxQuantity {
			found.add("usage."+name, "must be between 0 and "+MaxQuantity.String())
		}
	}
	return found.err()
}

// fine tells that Check has nothing to say.
func (u Usage) fine() bool {
	for name, q := range u {
		if !ValidMeasure(name) || q < 0 || q > MaxQuantity {
			return false
		}
	}
	return true
}

// Canonical is the one compact JSON text of the usage: sorted keys, plain
// decimals. Equal usage gives equal text, so it is fit for fingerprints and
// storage. Usage that reports nothing gives "{}".
func (u Usage) Canonical() string {
	names := make([]string, 0, MaxMeasures)
	for name := range u {
		names = append(names, name)
	}
	slices.Sort(names)
	b := make([]byte, 0, 2+32*len(u))
	b = append(b, '{')
	for i, name := range names {
		if i > 0 {
			b = append(b, ',')
		}
		b = strconv.AppendQuote(b, name)
		b = append(b, ':')
		b = append(b, u[name].String()...)
	}
	return string(append(b, '}'))
}

// MarshalJSON writes the canonical form of usage that passes Check.
func (u Usage) MarshalJSON() ([]byte, error) {
	if err := u.Check(); err != nil {
		return nil, err
	}
	return []byte(u.Canonical()), nil
}

// UnmarshalJSON reads an object of measure → number, or string that holds a
// number. It refuses a measure that is named twice, since either value might
// be the one that was meant. null is no usage.
func (u *Usage) UnmarshalJSON(b []byte) error {
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.UseNumber()
	opening, err := dec.Token()
	if err != nil {
		return err
	}
	if opening == nil {
		*u = nil
		return nil
	}
	if opening != json.Delim('{') {
		return invalid("usage", `must be an object, such as {"characters": 1200}`)
	}
	read := Usage{}
	for dec.More() {
		if err := read.readMember(dec); err != nil {
			return err
		}
	}
	if _, err := dec.Token(); err != nil {
		return err
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return invalid("usage", "has text after the object; send one object")
	}
	*u = read
	return nil
}

// readMember reads one measure and its number.
func (u Usage) readMember(dec *json.Decoder) error {
	key, err := dec.Token()
	if err != nil {
		return err
	}
	name, _ := key.(string) // inside an object the decoder gives strings as keys
	if !ValidMeasure(name) {
		return invalid("usage", badMeasure(name))
	}
	field := "usage." + name
	if _, twice := u[name]; twice {
		return invalid(field, "is given twice; send it once")
	}
	if len(u) == MaxMeasures {
		return invalid("usage", fmt.Sprintf("has more than %d measures; send at most %d", MaxMeasures, MaxMeasures))
	}
	value, err := dec.Token()
	if err != nil {
		return err
	}
	var text string
	switch v := value.(type) {
	case json.Number:
		text = v.String()
	case string:
		text = v
	default:
		return invalid(field, "must be a number, such as 1200 or 0.5")
	}
	q, err := ParseQuantity(text)
	if err != nil {
		return invalid(field, err.Error())
	}
	u[name] = q
	return nil
}
