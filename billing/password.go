package billing

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/ccojocar/zxcvbn-go"
	"golang.org/x/crypto/argon2"

	"refill/billing/problem"
)

// Argon2id as OWASP's minimum has it: 19 MiB, two passes, one lane.
const (
	hashMemory   = 19 * 1024 // KiB
	hashPasses   = 2
	hashLanes    = 1
	hashSalt     = 16
	hashLength   = 32
	maxHashing   = 4 // at once: 76 MiB
	hashPatience = 2 * time.Second
)

// Bounds of a password, in characters.
const (
	minPassword = 8
	maxPassword = 128
	judged      = 64 // bytes of it whose strength is reckoned: that work grows with their square
)

// unusableHash costs as much as a real one and matches nothing: it stands for
// people without a password, and for people who do not exist.
const unusableHash = "$argon2id$v=19$m=19456,t=2,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"

// hashPassword makes the PHC string of a password somebody chose; words are what
// others know of them. Errors: invalid_password, too_many.
func (s *Service) hashPassword(ctx context.Context, password string, words ...string) (string, error) {
	if err := checkNewPassword(password, words...); err != nil {
		return "", err
	}
	return s.hash(ctx, password)
}

// hash makes the PHC string of a password, a weak one included. Errors: too_many.
func (s *Service) hash(ctx context.Context, password string) (string, error) {
	salt := make([]byte, hashSalt)
	if _, err := rand.Read(salt); err != nil {
		return "", err
	}
	p := phc{memory: hashMemory, passes: hashPasses, lanes: hashLanes, salt: salt}
	key, err := s.derive(ctx, password, p, hashLength)
	if err != nil {
		return "", err
	}
	p.key = key
	return p.String(), nil
}

// checkNewPassword refuses what is guessed within minutes: passwords that leaked
// before, rows of keys, dates, and the words of the place and the person. Errors:
// invalid_password.
func checkNewPassword(password string, words ...string) error {
	if n := utf8.RuneCountInString(password); n < minPassword || n > maxPassword {
		return problem.New(problem.Invalid, "invalid_password", "A password has %d to %d characters.", minPassword, maxPassword).On("password")
	}
	known := []string{"refill", "credits"}
	for _, w := range words {
		known = append(known, strings.FieldsFunc(strings.ToLower(w), func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) })...)
	}
	start := password[:min(len(password), judged)]
	if zxcvbn.PasswordStrength(start, known).Score == 0 {
		return problem.New(problem.Invalid, "invalid_password", "This password is among the first that are guessed. Use a longer one: four words that have nothing to do with each other.").On("password")
	}
	return nil
}

// checkPassword tells whether a password matches, and whether its hash was made
// with other parameters than today's. Errors: too_many.
func (s *Service) checkPassword(ctx context.Context, password, hash string) (match, stale bool, err error) {
	p, err := parsePHC(hash)
	if err != nil {
		return false, false, err
	}
	if utf8.RuneCountInString(password) > maxPassword {
		password = "" // the same work, and never a match: no hash is made of ""
	}
	key, err := s.derive(ctx, password, p, uint32(len(p.key))) //nolint:gosec // parsePHC bounds it
	if err != nil {
		return false, false, err
	}
	stale = p.memory != hashMemory || p.passes != hashPasses || p.lanes != hashLanes || len(p.key) != hashLength
	return subtle.ConstantTimeCompare(key, p.key) == 1 && password != "", stale, nil
}

// derive hashes when one of maxHashing places is free, so that a crowd at the
// door costs time and not memory. Errors: too_many.
func (s *Service) derive(ctx context.Context, password string, p phc, length uint32) ([]byte, error) {
	wait, cancel := context.WithTimeout(ctx, hashPatience)
	defer cancel()
	select {
	case s.people.hashing <- struct{}{}:
	case <-wait.Done():
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return nil, problem.New(problem.TooMany, "too_many", "Many people are signing in right now. Wait a moment, then try again.")
	}
	defer func() { <-s.people.hashing }()
	return argon2.IDKey([]byte(password), p.salt, p.passes, p.memory, p.lanes, length), nil
}

// phc is an Argon2id hash with what it was made with.
type phc struct {
	memory, passes uint32
	lanes          uint8
	salt, key      []byte
}

func (p phc) String() string {
	b64 := base64.RawStdEncoding
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, p.memory, p.passes, p.lanes,
		b64.EncodeToString(p.salt), b64.EncodeToString(p.key))
}

var errHash = errors.New("a password hash cannot be read")

func parsePHC(s string) (phc, error) {
	var p phc
	var version int
	parts := strings.Split(s, "$")
	if len(parts) != 6 || parts[0] != "" || parts[1] != "argon2id" {
		return p, errHash
	}
	if _, err := fmt.Sscanf(parts[2], "v=%d", &version); err != nil || version != argon2.Version {
		return p, errHash
	}
	if _, err := fmt.Sscanf(parts[3], "m=%d,t=%d,p=%d", &p.memory, &p.passes, &p.lanes); err != nil {
		return p, errHash
	}
	var err error
	if p.salt, err = base64.RawStdEncoding.DecodeString(parts[4]); err != nil {
		return p, errHash
	}
	if p.key, err = base64.RawStdEncoding.DecodeString(parts[5]); err != nil {
		return p, errHash
	}
	if p.memory > 1<<20 || p.passes == 0 || p.passes > 64 || p.lanes == 0 || len(p.key) < 16 || len(p.key) > 64 {
		return p, errHash
	}
	return p, nil
}
