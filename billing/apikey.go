package billing

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"math/big"
	"net/netip"
	"slices"
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

	usedMu sync.Mutex
	used   map[models.APIKeyID]models.Time // since booked
	booked models.Time
}

// keyUseExact is how exact a key's last use is.
const keyUseExact = time.Minute

type knownKey struct {
	row  models.APIKey
	read models.Time
}

func newAPIKeys(wall models.Clock) *apiKeys {
	if wall == nil {
		wall = models.SystemClock{}
	}
	return &apiKeys{wall: wall, known: map[[sha256.Size]byte]knownKey{}, used: map[models.APIKeyID]models.Time{}}
}

// What a key may do. A key without scopes may do all of it.
const (
	KeyReads   = "read"   // every GET
	KeyCharges = "charge" // charges, holds, estimates
	KeyManages = "manage" // everything else that changes something
)

// KeyScopes are all scopes, in the order in which people are shown them.
func KeyScopes() []string { return []string{KeyCharges, KeyReads, KeyManages} }

// Limits of API keys.
const (
	MaxAPIKeys     = 100 // of one owner that work
	maxKeyNetworks = 20
	MaxKeyOverlap  = 30 * 24 * time.Hour // of wall time
)

// APIKeyInput makes a key.
type APIKeyInput struct {
	Owner    Scope // an agency, or the platform with the zero scope
	Name     string
	Scopes   []string      // of KeyScopes; none: all
	Networks []string      // addresses or CIDRs it may come from; none: all
	Life     time.Duration // of wall time; 0: it does not expire
	By       Actor
}

// check brings the input into its normal form. Errors: invalid_name,
// invalid_scope, invalid_network, invalid_life.
func (in *APIKeyInput) check() error {
	in.Name = strings.TrimSpace(in.Name)
	if err := checkName(in.Name); err != nil {
		return err
	}
	slices.Sort(in.Scopes)
	in.Scopes = slices.Compact(in.Scopes)
	for _, scope := range in.Scopes {
		if !slices.Contains(KeyScopes(), scope) {
			return problem.New(problem.Invalid, "invalid_scope", "A key may charge, read or manage; leave scopes out for all of them.").On("scopes")
		}
	}
	if len(in.Scopes) == len(KeyScopes()) {
		in.Scopes = nil
	}
	if len(in.Networks) > maxKeyNetworks {
		return problem.New(problem.Invalid, "invalid_network", "A key has at most %d networks.", maxKeyNetworks).On("networks")
	}
	for i, text := range in.Networks {
		prefix, err := netip.ParsePrefix(text)
		if err != nil {
			var ip netip.Addr
			if ip, err = netip.ParseAddr(text); err == nil {
				prefix, err = ip.Unmap().WithZone("").Prefix(ip.Unmap().BitLen())
			}
		}
		if err != nil || prefix.Addr().Is4In6() { // which would let nobody in: callers are compared as IPv4
			return problem.New(problem.Invalid, "invalid_network", "%.60q is no address: write 203.0.113.7, or 203.0.113.0/24 for a network.", text).On("networks")
		}
		in.Networks[i] = prefix.Masked().String()
	}
	if in.Life < 0 || in.Life > 10*MaxLinkTTL {
		return problem.New(problem.Invalid, "invalid_life", "A key lasts between a moment and ten years, or does not expire.").On("life")
	}
	return nil
}

// CreateAPIKey makes a key that may do everything, for one agency, or for the
// platform with a zero scope, and gives its text: it is shown this once. Errors:
// invalid_name, not_found, too_many_keys.
func (s *Service) CreateAPIKey(ctx context.Context, scope Scope, name string, by Actor) (string, models.APIKey, error) {
	return s.MakeAPIKey(ctx, APIKeyInput{Owner: scope, Name: name, By: by})
}

// MakeAPIKey makes a key and gives its text: it is shown this once. Errors:
// invalid_name, invalid_scope, invalid_network, invalid_life, not_found,
// too_many_keys.
func (s *Service) MakeAPIKey(ctx context.Context, in APIKeyInput) (string, models.APIKey, error) { //nolint:gocritic // made once
	if err := in.check(); err != nil {
		return "", models.APIKey{}, err
	}
	text, row, err := s.newKey(ctx, &in)
	if err != nil {
		return "", row, err
	}
	err = s.db.InTx(ctx, func(tx *gorm.DB) error { return s.addKey(tx, &row, in.By, "api_key.create", row.Name) })
	return text, row, err
}

func (s *Service) newKey(ctx context.Context, in *APIKeyInput) (string, models.APIKey, error) {
	now := s.clock.Now()
	mode, err := s.Setting(ctx, SettingKeyMode)
	if err != nil {
		return "", models.APIKey{}, err
	}
	prefix := liveKey
	if mode == "test" {
		prefix = testKey
	}
	text := newKeyText(prefix, in.Owner)
	hash := sha256.Sum256([]byte(text))
	row := models.APIKey{
		ID: models.NewID[models.APIKeyID](now), AgencyID: in.Owner.Agency, Name: in.Name, KeyHash: hash[:], Hint: text[len(text)-4:], CreatedAt: now,
		CreatedBy: string(in.By), Scopes: strings.Join(in.Scopes, " "), Networks: strings.Join(in.Networks, " "),
	}
	if in.Life > 0 {
		row.ExpiresAt = s.apiKeys.wall.Now().Add(in.Life)
	}
	return text, row, nil
}

func (s *Service) addKey(tx *gorm.DB, row *models.APIKey, by Actor, action, detail string) error {
	owner := Scope{Agency: row.AgencyID}
	if !owner.Platform() {
		var agency models.Agency
		if err := tx.Where("id = ?", row.AgencyID).Take(&agency).Error; err != nil {
			return missing(err, "agency")
		}
	}
	var there int64
	if err := ownKeys(tx.Model(&models.APIKey{}), owner).Where("revoked_at = 0 AND (expires_at = 0 OR expires_at > ?)", s.apiKeys.wall.Now()).
		Count(&there).Error; err != nil {
		return err
	}
	if there >= MaxAPIKeys {
		return problem.New(problem.Conflict, "too_many_keys", "There are %d API keys that work; revoke one first.", there).On("name")
	}
	if err := tx.Create(row).Error; err != nil {
		return err
	}
	return s.audit(tx, row.AgencyID, by, action, row.ID.String(), detail, "", row.CreatedAt)
}

// ownKeys narrows a query of keys to one owner's.
func ownKeys(db *gorm.DB, owner Scope) *gorm.DB {
	if owner.Platform() {
		return db.Where("agency_id IS NULL")
	}
	return db.Where("agency_id = ?", owner.Agency)
}

// APIKey reads one of an owner's keys. Errors: not_found.
func (s *Service) APIKey(ctx context.Context, owner Scope, id models.APIKeyID) (models.APIKey, error) {
	var row models.APIKey
	return row, missing(ownKeys(s.db.Read.WithContext(ctx), owner).Where("id = ?", id).Take(&row).Error, "API key")
}

// RotateAPIKey makes a key like another one, which goes on for a while beside it:
// a program changes over without a pause. life is the new key's; 0: it does not
// expire. Errors: not_found, key_over, invalid_overlap, invalid_life,
// too_many_keys.
func (s *Service) RotateAPIKey(ctx context.Context, owner Scope, id models.APIKeyID, overlap, life time.Duration, by Actor) (string, models.APIKey, error) {
	if overlap < 0 || overlap > MaxKeyOverlap {
		return "", models.APIKey{}, problem.New(problem.Invalid, "invalid_overlap", "The old key goes on for up to 30 days.").On("overlap")
	}
	old, err := s.APIKey(ctx, owner, id)
	if err != nil {
		return "", old, err
	}
	in := APIKeyInput{Owner: owner, Name: old.Name, Scopes: strings.Fields(old.Scopes), Networks: strings.Fields(old.Networks), Life: life, By: by}
	if err := in.check(); err != nil {
		return "", old, err
	}
	text, row, err := s.newKey(ctx, &in)
	if err != nil {
		return "", row, err
	}
	wall := s.apiKeys.wall.Now()
	err = s.db.InTx(ctx, func(tx *gorm.DB) error {
		until := wall.Add(overlap)
		r := ownKeys(tx.Model(&models.APIKey{}), owner).
			Where("id = ? AND revoked_at = 0 AND replaced_by IS NULL AND (expires_at = 0 OR expires_at > ?)", id, wall).
			Updates(map[string]any{"replaced_by": row.ID, "expires_at": gorm.Expr("CASE WHEN expires_at <> 0 AND expires_at < ? THEN expires_at ELSE ? END", until, until)})
		if r.Error != nil {
			return r.Error
		}
		if r.RowsAffected == 0 {
			return problem.New(problem.Conflict, "key_over", "This key was revoked, expired or replaced already; make a new one.")
		}
		return s.addKey(tx, &row, by, "api_key.rotate", old.ID.String()+" → "+row.ID.String())
	})
	s.apiKeys.forget(old.KeyHash)
	return text, row, err
}

// KeyMay refuses what a key's scopes or networks leave out. Errors: scope_missing,
// address_not_allowed.
func (s *Service) KeyMay(row *models.APIKey, scope, address string) error {
	if row.Scopes != "" && !slices.Contains(strings.Fields(row.Scopes), scope) {
		return problem.New(problem.Forbidden, "scope_missing", "This needs an API key with the scope %s; this one has %s.", scope, strings.ReplaceAll(row.Scopes, " ", " and ")).
			On("Authorization")
	}
	if row.Networks == "" {
		return nil
	}
	ip, err := netip.ParseAddr(address)
	if err == nil {
		ip = ip.Unmap().WithZone("")
		for text := range strings.FieldsSeq(row.Networks) {
			if prefix, err := netip.ParsePrefix(text); err == nil && prefix.Contains(ip) {
				return nil
			}
		}
	}
	return problem.New(problem.Forbidden, "address_not_allowed", "This API key may not be used from this address.").On("Authorization")
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
		return s.apiKeys.use(hit.row, now)
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
	return s.apiKeys.use(row, now)
}

// use notes that a key is in use, if it has not expired.
func (k *apiKeys) use(row models.APIKey, now models.Time) (Scope, models.APIKey, error) { //nolint:gocritic // given back
	if row.ExpiresAt != 0 && now >= row.ExpiresAt {
		return Scope{}, models.APIKey{}, badKey("This API key has expired; make a new one.")
	}
	k.usedMu.Lock()
	k.used[row.ID] = now
	k.usedMu.Unlock()
	return Scope{Agency: row.AgencyID}, row, nil
}

// keysUsed books when keys were last used, once a minute: a charge waits for none
// of it.
func (s *Service) keysUsed(ctx context.Context) error {
	k, now := s.apiKeys, s.apiKeys.wall.Now()
	k.usedMu.Lock()
	used := k.used
	if len(used) == 0 || now.Sub(k.booked) < keyUseExact && now >= k.booked {
		k.usedMu.Unlock()
		return nil
	}
	k.used, k.booked = map[models.APIKeyID]models.Time{}, now
	k.usedMu.Unlock()
	for id, at := range used {
		if err := s.db.Write.WithContext(ctx).Model(&models.APIKey{}).Where("id = ? AND last_used_at < ?", id, at).Update("last_used_at", at).Error; err != nil {
			return err
		}
	}
	return nil
}

// forget makes a key's next use read its row.
func (k *apiKeys) forget(hash []byte) {
	k.mu.Lock()
	k.revoked++
	delete(k.known, [sha256.Size]byte(hash))
	k.mu.Unlock()
}

func (k *apiKeys) drop(hash [sha256.Size]byte) {
	k.mu.Lock()
	delete(k.known, hash)
	k.mu.Unlock()
}

// APIKeys lists a scope's keys, newest first, the revoked ones included.
func (s *Service) APIKeys(ctx context.Context, scope Scope) ([]models.APIKey, error) {
	var out []models.APIKey
	return out, ownKeys(s.db.Read.WithContext(ctx), scope).Order("created_at DESC, id DESC").Limit(MaxPage).Find(&out).Error
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
	s.apiKeys.forget(row.KeyHash)
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
