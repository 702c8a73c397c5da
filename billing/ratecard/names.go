package ratecard

import (
	"fmt"
	"strings"
)

// Longest names, in characters.
const (
	MaxMeasureName = 40
	MaxActionName  = 60
	MaxModelName   = 80
)

// ValidMeasure tells whether a name is lower snake case, such as
// "input_tokens".
func ValidMeasure(name string) bool { return len(name) <= MaxMeasureName && lowerSnake(name) }

// ValidAction tells whether a name is lower snake words joined by points, such
// as "ai.reply".
func ValidAction(name string) bool {
	if len(name) > MaxActionName {
		return false
	}
	for word := range strings.SplitSeq(name, ".") {
		if !lowerSnake(word) {
			return false
		}
	}
	return true
}

// ValidModel tells whether a name is made as providers make them:
// "gpt-3.5-turbo", "meta/llama-3:70b". The empty name, an action's default, is
// not a model.
func ValidModel(name string) bool {
	if name == "" || len(name) > MaxModelName {
		return false
	}
	for i, r := range []byte(name) {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9':
		case i > 0 && strings.IndexByte("._:/@-", r) >= 0:
		default:
			return false
		}
	}
	return true
}

func lowerSnake(word string) bool {
	if word == "" || word[0] < 'a' || word[0] > 'z' {
		return false
	}
	for _, r := range []byte(word) {
		if (r < 'a' || r > 'z') && (r < '0' || r > '9') && r != '_' {
			return false
		}
	}
	return true
}

func badMeasure(name string) string {
	return fmt.Sprintf("%.50q is not a measure; write at most %d of a–z, 0–9 and _, such as input_tokens", name, MaxMeasureName)
}
