package billing

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"math/big"
	"strings"
	"sync"
	"time"

	"gorm.io/gorm"

	"refill/billing/problem"
	"refill/models"
)

// An API key reads rf_live_ or rf_test_, then for an agency's key its agency in
// 22 characters and an underscore, then 32 random bytes in 43 characters and a
// checksum of all before it in 6, all base 62. The database holds its SHA-256:
// the secret has 256 bits, so a fast hash is right.
const (
	liveKey       = "rf_live_"
	testKey       = "rf_test_"
	secretChars   = 43
	agencyChars   = 22
	checksumChars = 6
)

// SettingKeyMode names the setting that decides how new keys begin: "test"
// makes rf_test_ keys, anything else rf_live_ ones.
const SettingKeyMode = "key_mode"

// apiKeyTTL is how long this process may trust a key that another one revoked.
const apiKeyTTL = 2 * time.Second

// apiKeys remembers keys that were found valid. Only keys that exist are kept,
// so it cannot be filled by guessing.
type apiKeys struct {
	wall    models.Clock // trust ends by wall time, whatever the domain's clock does
	mu      sync.RWMutex
	known   map[[sha256.Size]byte]knownKey
	revoked int // counts revocations, so that a slow read never brings a key back
}

type knownKey struct {
	row  models.APIKey
	read models.Time
}

func newAPIKeys(wall models.Clock) *apiKeys {
	if wall == nil {
		wall = models.SystemClock{}
	}
	return &apiKeys{wall: wall, known: map[[sha256.Size]byte]knownKey{}}
}

// CreateAPIKey makes a key for one agency, or for the platform with a zero
// scope, and gives its text: it is shown this once. Errors: invalid_name,
// not_found.
func (s *Service) CreateAPIKey(ctx context.Context, scope Scope, name string, by Actor) (string, models.APIKey, error) {
	now := s.clock.Now()
	if err := checkName(name); err != nil {
		return "", models.APIKey{}, err
	}
	mode, err := s.Setting(ctx, SettingKeyMode)
	if err != nil {
		return "", models.APIKey{}, err
	}
	prefix := liveKey
	if mode == "test" {
		prefix = testKey
	}
	text := newKeyText(prefix, scope)
	hash := sha256.Sum256([]byte(text))
	row := models.APIKey{
		ID: models.NewID[models.APIKeyID](now), AgencyID: scope.Agency, Name: strings.TrimSpace(name),
		KeyHash: hash[:], Hint: text[len(text)-4:], CreatedAt: now,
	}
	err = s.db.InTx(ctx, func(tx *gorm.DB) error {
		if !scope.Platform() {
			var agency models.Agency
			if err := tx.Where("id = ?", scope.Agency).Take(&agency).Error; err != nil {
				return missing(err, "agency")
			}
		}
		if err := tx.Create(&row).Error; err != nil {
			return err
		}
		return s.audit(tx, scope.Agency, by, "api_key.create", row.ID.String(), row.Name, "", now)
	})
	if err != nil {
		return "", models.APIKey{}, err
	}
	return text, row, nil
}

// AuthenticateKey finds what a key may touch. A mistyped key is refused by its
// checksum without a look at the database; a key revoked in this process is
// refused at once. Errors: api_key_invalid.
func (s *Service) AuthenticateKey(ctx context.Context, text string) (Scope, models.APIKey, error) {
	if !wellFormedKey(text) {
		return Scope{}, models.APIKey{}, badKey("This is not a whole API key; copy it again, from rf_ to its last character.")
	}
	hash := sha256.Sum256([]byte(text))
	now := s.apiKeys.wall.Now()
	s.apiKeys.mu.RLock()
	hit, ok := s.apiKeys.known[hash]
	before := s.apiKeys.revoked
	s.apiKeys.mu.RUnlock()
	if ok && now >= hit.read && now.Sub(hit.read) < apiKeyTTL {
		return Scope{Agency: hit.row.AgencyID}, hit.row, nil
	}
	var row models.APIKey
	err := s.db.Read.WithContext(ctx).Where("key_hash = ? AND revoked_at = 0", hash[:]).Take(&row).Error
	if errors.Is(err, gorm.ErrRecordNotFound) {
		s.apiKeys.drop(hash)
		return Scope{}, models.APIKey{}, badKey("This API key does not exist or was revoked; make a new one.")
	}
	if err != nil {
		return Scope{}, models.APIKey{}, err
	}
	s.apiKeys.mu.Lock()
	if s.apiKeys.revoked == before {
		s.apiKeys.known[hash] = knownKey{row, now}
	}
	s.apiKeys.mu.Unlock()
	return Scope{Agency: row.AgencyID}, row, nil
}

func (k *apiKeys) drop(hash [sha256.Size]byte) {
	k.mu.Lock()
	delete(k.known, hash)
	k.mu.Unlock()
}

// APIKeys lists a scope's keys, newest first, the revoked ones included.
func (s *Service) APIKeys(ctx context.Context, scope Scope) ([]models.APIKey, error) {
	q := s.db.Read.WithContext(ctx).Order("created_at DESC, id DESC")
	if scope.Platform() {
		q = q.Where("agency_id IS NULL")
	} else {
		q = q.Where("agency_id = ?", scope.Agency)
	}
	var out []models.APIKey
	return out, q.Find(&out).Error
}

// RevokeAPIKey ends a key; in this process its next request fails, in others
// within two seconds. Revoking again changes nothing. Errors: not_found.
func (s *Service) RevokeAPIKey(ctx context.Context, scope Scope, id models.APIKeyID, by Actor) error {
	now := s.clock.Now()
	var row models.APIKey
	err := s.db.InTx(ctx, func(tx *gorm.DB) error {
		if err := tx.Where("id = ?", id).Take(&row).Error; err != nil {
			return missing(err, "API key")
		}
		if !scope.Platform() && scope.Agency != row.AgencyID {
			return problem.Missing("API key")
		}
		if row.RevokedAt != 0 {
			return nil
		}
		if err := tx.Model(&models.APIKey{}).Where("id = ?", id).Update("revoked_at", now).Error; err != nil {
			return err
		}
		return s.audit(tx, row.AgencyID, by, "api_key.revoke", id.String(), row.Name, "", now)
	})
	if err != nil {
		return err
	}
	s.apiKeys.mu.Lock()
	s.apiKeys.revoked++
	delete(s.apiKeys.known, [sha256.Size]byte(row.KeyHash))
	s.apiKeys.mu.Unlock()
	return nil
}

func badKey(message string) error {
	return problem.New(problem.Unauthorized, "api_key_invalid", "%s", message).On("Authorization")
}

func newKeyText(prefix string, scope Scope) string {
	var b strings.Builder
	b.WriteString(prefix)
	if !scope.Platform() {
		b.WriteString(base62(scope.Agency[:], agencyChars))
		b.WriteByte('_')
	}
	secret := make([]byte, 32)
	_, _ = rand.Read(secret) // never fails: the runtime aborts without randomness
	b.WriteString(base62(secret, secretChars))
	return b.String() + checksum(b.String())
}

// wellFormedKey checks a key's shape and checksum.
func wellFormedKey(text string) bool {
	body, ok := strings.CutPrefix(text, liveKey)
	if !ok {
		if body, ok = strings.CutPrefix(text, testKey); !ok {
			return false
		}
	}
	if len(body) != secretChars+checksumChars && len(body) != agencyChars+1+secretChars+checksumChars {
		return false
	}
	cut := len(text) - checksumChars
	return checksum(text[:cut]) == text[cut:]
}

func checksum(s string) string {
	return base62(binary.BigEndian.AppendUint32(nil, crc32.ChecksumIEEE([]byte(s))), checksumChars)
}

// base62 writes bytes as a number of a fixed width.
func base62(b []byte, width int) string {
	s := new(big.Int).SetBytes(b).Text(62)
	return strings.Repeat("0", max(0, width-len(s))) + s
}
