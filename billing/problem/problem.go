// Package problem is the one error type of the domain: a kind for programs and
// a sentence for people. Anything else that comes out of a verb is internal.
//
// It does not know HTTP: handlers turn kinds into status codes in one place.
package problem

import (
	"errors"
	"fmt"
	"runtime/debug"
)

// Kind is the class of a problem; each maps to one HTTP status.
type Kind int

// The kinds.
const (
	Internal     Kind = iota // a fault of ours
	Invalid                  // the request cannot be right: 422
	Malformed                // the request cannot be read: 400
	Unauthorized             // who are you: 401
	Insufficient             // not enough credits: 402
	Forbidden                // you may not: 403
	NotFound                 // there is no such thing, or not for you: 404
	Conflict                 // it stands against what is already there: 409
	TooMany                  // slow down: 429
	Unavailable              // try again later: 503
)

// Error is a problem with a stable code, a sentence that says what to do, and
// the field it is about where there is one.
type Error struct {
	Kind    Kind
	Code    string // stable, snake_case
	Message string // one sentence, with the remedy
	Field   string // form or JSON name
	Facts   []Fact // further members of the API's problem document
	Cause   error  // logged, never shown
}

// Fact is one named value that a program may act on.
type Fact struct {
	Name  string
	Value any
}

func (e *Error) Error() string {
	if e.Cause != nil {
		return e.Code + ": " + e.Message + ": " + e.Cause.Error()
	}
	return e.Code + ": " + e.Message
}

// Unwrap gives the cause.
func (e *Error) Unwrap() error { return e.Cause }

// New makes a problem.
func New(kind Kind, code, format string, args ...any) *Error {
	return &Error{Kind: kind, Code: code, Message: fmt.Sprintf(format, args...)}
}

// On names the field the problem is about.
func (e *Error) On(field string) *Error { e.Field = field; return e }

// With adds a fact.
func (e *Error) With(name string, value any) *Error {
	e.Facts = append(e.Facts, Fact{Name: name, Value: value})
	return e
}

// Because keeps the cause for the log.
func (e *Error) Because(err error) *Error { e.Cause = err; return e }

// Of finds the problem in an error chain; nil means internal.
func Of(err error) *Error {
	p, _ := errors.AsType[*Error](err)
	return p
}

// Is tells whether err is a problem with the code.
func Is(err error, code string) bool {
	p := Of(err)
	return p != nil && p.Code == code
}

// FactOf finds a problem's fact by name, where it is a T.
func FactOf[T any](err error, name string) (value T, ok bool) {
	if p := Of(err); p != nil {
		for _, f := range p.Facts {
			if f.Name == name {
				value, ok = f.Value.(T)
				return value, ok
			}
		}
	}
	return value, false
}

// Missing is the answer for what does not exist or is not the caller's: the two
// must look alike.
func Missing(what string) *Error {
	return New(NotFound, "not_found", "There is no such %s.", what)
}

// KeyReused refuses an idempotency key that did other work before.
func KeyReused() *Error {
	return New(Conflict, "idempotency_key_reused", "This idempotency key was used for a different request; send a new key for new work.").On("idempotency_key")
}

// Contain runs work and makes an error of what falls over in it, with where it did.
// Only what leaves nothing half done may go on after that (docs/decisions/0031).
func Contain(work func() error) (err error) {
	defer func() {
		if fell := recover(); fell != nil {
			err = fmt.Errorf("fell over: %v\n%s", fell, debug.Stack())
		}
	}()
	return work()
}
