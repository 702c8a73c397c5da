package stripesim

import (
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// Bounds of one request's parameters.
const (
	maxParams   = 500
	maxNesting  = 6
	maxMetadata = 50
)

// form holds the parameters of one request under canonical names: every list
// has its indices written out, as in line_items[0][price_data][currency]. The
// first wrong value met while reading is kept in err, so that a handler reads
// everything it wants and then checks once.
type form struct {
	names  []string // in order of arrival
	values map[string]string
	err    *apiError
}

// parseForm decodes URL-encoded text. Empty brackets are numbered: a list of
// plain values counts up, a list of hashes starts a new element when a name
// comes again.
func parseForm(encoded string) (*form, *apiError) {
	f := &form{values: map[string]string{}}
	if encoded == "" {
		return f, nil
	}
	pairs := strings.Split(encoded, "&")
	if len(pairs) > maxParams {
		return nil, invalid("", "parameter_invalid", "A request may have at most %d parameters.", maxParams)
	}
	next := map[string]int{} // list's name → number of elements seen
	for _, pair := range pairs {
		rawName, rawValue, _ := strings.Cut(pair, "=")
		name, err := url.QueryUnescape(rawName)
		if err != nil {
			return nil, invalid("", "parameter_invalid", "A parameter's name is not URL-encoded.")
		}
		value, err := url.QueryUnescape(rawValue)
		if err != nil {
			return nil, invalid(name, "parameter_invalid", "The value of %s is not URL-encoded.", name)
		}
		if name == "" {
			continue
		}
		segments, ok := splitName(name)
		if !ok {
			return nil, invalid(name, "parameter_invalid", "Invalid parameter name: %s", name)
		}
		canonical := f.number(segments, next)
		if _, seen := f.values[canonical]; !seen {
			f.names = append(f.names, canonical)
		}
		f.values[canonical] = value
	}
	return f, nil
}

// splitName cuts a[b][0] into a, b and 0.
func splitName(name string) ([]string, bool) {
	head, rest, nested := strings.Cut(name, "[")
	segments := []string{head}
	if !nested {
		return segments, head != "" && !strings.Contains(head, "]")
	}
	if head == "" || !strings.HasSuffix(rest, "]") {
		return nil, false
	}
	segments = append(segments, strings.Split(strings.TrimSuffix(rest, "]"), "][")...)
	for _, s := range segments[1:] {
		if strings.ContainsAny(s, "[]") {
			return nil, false
		}
	}
	return segments, len(segments) <= maxNesting
}

// number writes the indices of empty brackets and joins the name again.
func (f *form) number(segments []string, next map[string]int) string {
	name := segments[0]
	for i, s := range segments[1:] {
		if s != "" {
			name += "[" + s + "]"
			continue
		}
		last := i == len(segments)-2
		index := max(0, next[name]-1)
		if last || next[name] == 0 || f.has(joinName(name+"["+strconv.Itoa(index)+"]", segments[i+2:])) {
			index = next[name]
			next[name]++
		}
		name += "[" + strconv.Itoa(index) + "]"
	}
	return name
}

func joinName(name string, segments []string) string {
	if len(segments) == 0 {
		return name
	}
	return name + "[" + strings.Join(segments, "][") + "]"
}

// pattern is a name with its indices left out and its metadata keys as a
// star: line_items[][price], metadata[*].
func pattern(name string) string {
	segments, _ := splitName(name)
	for i, s := range segments {
		switch {
		case i == 0:
		case segments[i-1] == "metadata":
			segments[i] = "*"
		default:
			if _, err := strconv.Atoi(s); err == nil {
				segments[i] = ""
			}
		}
	}
	return joinName(segments[0], segments[1:])
}

// checkKnown refuses a name that is not among the patterns.
func (f *form) checkKnown(known []string) *apiError {
	for _, name := range f.names {
		if p := pattern(name); p != "expand[]" && !slices.Contains(known, p) {
			return invalid(name, "parameter_unknown", "Received unknown parameter: %s", name)
		}
	}
	return nil
}

func (f *form) has(name string) bool { _, ok := f.values[name]; return ok }

func (f *form) fail(e *apiError) {
	if f.err == nil {
		f.err = e
	}
}

// text is an optional value. An empty one is refused, as Stripe does.
func (f *form) text(name string) string {
	v, ok := f.values[name]
	if ok && v == "" {
		f.fail(invalid(name, "parameter_invalid_empty",
			"You passed an empty string for '%s'. We assume empty values are an attempt to unset a parameter; however '%s' cannot be unset.", name, name))
	}
	return v
}

// optional is text as a pointer, nil when absent.
func (f *form) optional(name string) *string {
	if !f.has(name) {
		return nil
	}
	v := f.text(name)
	return &v
}

// need is a value that must be there.
func (f *form) need(name string) string {
	if !f.has(name) {
		f.fail(missing(name))
	}
	return f.text(name)
}

// integer is an optional whole number.
func (f *form) integer(name string) (int64, bool) {
	v, ok := f.values[name]
	if !ok {
		return 0, false
	}
	n, err := strconv.ParseInt(v, 10, 64)
	if err != nil {
		f.fail(invalid(name, "parameter_invalid_integer", "Invalid integer: %s", v))
	}
	return n, err == nil
}

// truth is an optional boolean.
func (f *form) truth(name string) bool {
	switch v := f.values[name]; v {
	case "true":
		return true
	case "false", "":
		return false
	default:
		f.fail(invalid(name, "parameter_invalid_boolean", "Invalid boolean: %s", v))
		return false
	}
}

// oneOf is an optional value out of a list; the first is the default.
func (f *form) oneOf(name string, allowed ...string) string {
	if !f.has(name) {
		return allowed[0]
	}
	v := f.text(name)
	if !slices.Contains(allowed, v) {
		f.fail(invalid(name, "", "Invalid %s: must be one of %s", name, strings.Join(allowed, ", ")))
	}
	return v
}

// list reads name[0], name[1] and so on.
func (f *form) list(name string) []string {
	var out []string
	for i := range f.size(name) {
		out = append(out, f.text(name+"["+strconv.Itoa(i)+"]"))
	}
	return out
}

// size is how many elements a list has, without gaps.
func (f *form) size(name string) int {
	n := 0
	for slices.ContainsFunc(f.names, func(s string) bool {
		element := name + "[" + strconv.Itoa(n) + "]"
		return s == element || strings.HasPrefix(s, element+"[")
	}) {
		n++
	}
	return n
}

// metadata reads a hash of at most 50 keys of 40 characters with values of
// 500; an empty value leaves its key out.
func (f *form) metadata(name string) map[string]string {
	out := map[string]string{}
	for _, n := range f.names {
		key, ok := strings.CutPrefix(n, name+"[")
		if !ok {
			continue
		}
		key = strings.TrimSuffix(key, "]")
		v := f.values[n]
		if len(key) > 40 || len(v) > 500 {
			f.fail(invalid(n, "parameter_invalid", "Metadata keys may have up to 40 characters and values up to 500: %s", n))
		}
		if v != "" {
			out[key] = v
		}
	}
	if len(out) > maxMetadata {
		f.fail(invalid(name, "parameter_invalid", "Metadata may have at most %d keys.", maxMetadata))
	}
	return out
}

// fingerprint is a text that two requests share exactly when their parameters
// are equal, whatever their order.
func (f *form) fingerprint() string {
	names := slices.Sorted(slices.Values(f.names))
	q := make([]string, 0, len(names))
	for _, n := range names {
		q = append(q, url.QueryEscape(n)+"="+url.QueryEscape(f.values[n]))
	}
	return strings.Join(q, "&")
}
