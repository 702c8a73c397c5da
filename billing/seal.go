package billing

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	"gorm.io/gorm"

	"refill/models"
)

// SecretKeyLength is the length of the key that secrets are sealed with, in bytes.
const SecretKeyLength = 32

// settingSecretKey names the mark of the key that secrets were sealed with: a key
// that does not fit it is told apart before anything is sealed with it.
const settingSecretKey = "secret_key_mark"

// sealedPrefix begins what is sealed; a webhook's secret from before begins whsec_.
const sealedPrefix = "sealed1:"

// ErrSecretKey refuses a key that is not the one the database's secrets are
// sealed with.
var ErrSecretKey = errors.New("the secret key is not the one that this database's secrets are sealed with; give the right one as REFILL_SECRET_KEY, or bring its file back")

var errSealed = errors.New("a sealed secret cannot be opened: the secret key is another one, or the secret was moved")

// vault seals what has to be read again and yet is worth nothing in a copy of the
// database: AES-256-GCM, bound to what the secret is for.
type vault struct {
	aead cipher.AEAD
	mark string // of the key
}

// newVault makes a vault. Without a key it makes one that nobody else has: what it
// seals is lost with the process.
func newVault(key []byte) (*vault, error) {
	if key == nil {
		key = make([]byte, SecretKeyLength)
		_, _ = rand.Read(key) // never fails: the runtime aborts without randomness
	}
	if len(key) != SecretKeyLength {
		return nil, fmt.Errorf("the secret key has %d bytes, not %d", len(key), SecretKeyLength)
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		return nil, err
	}
	mac := hmac.New(sha256.New, key)
	_, _ = mac.Write([]byte("mark"))
	return &vault{aead, hex.EncodeToString(mac.Sum(nil)[:16])}, nil
}

// Seal locks a text away; only Open with the same purpose gives it back.
func (s *Service) Seal(purpose, text string) string {
	nonce := make([]byte, s.vault.aead.NonceSize())
	_, _ = rand.Read(nonce) // as above
	return sealedPrefix + base64.RawURLEncoding.EncodeToString(s.vault.aead.Seal(nonce, nonce, []byte(text), []byte(purpose)))
}

// Open gives back what was sealed for a purpose.
func (s *Service) Open(purpose, sealed string) (string, error) {
	raw, err := base64.RawURLEncoding.DecodeString(strings.TrimPrefix(sealed, sealedPrefix))
	n := s.vault.aead.NonceSize()
	if err != nil || len(raw) < n || !strings.HasPrefix(sealed, sealedPrefix) {
		return "", errSealed
	}
	plain, err := s.vault.aead.Open(nil, raw[:n], raw[n:], []byte(purpose))
	if err != nil {
		return "", errSealed
	}
	return string(plain), nil
}

// SealedBefore tells whether the database holds secrets that a key has sealed: then
// a new key is of no use.
func SealedBefore(ctx context.Context, db *models.DB) (bool, error) {
	var n int64
	err := db.Read.WithContext(ctx).Model(&models.Setting{}).Where("name = ?", settingSecretKey).Count(&n).Error
	return n > 0, err
}

// UseSecretKey makes the key the database's own, or finds that it is, and seals
// what was kept in clear before there was one. Errors: ErrSecretKey.
func (s *Service) UseSecretKey(ctx context.Context) error {
	return s.once(ctx, func(tx *gorm.DB) error {
		var kept models.Setting
		err := tx.Where("name = ?", settingSecretKey).Take(&kept).Error
		if errors.Is(err, gorm.ErrRecordNotFound) {
			err = tx.Create(&models.Setting{Name: settingSecretKey, Value: s.vault.mark}).Error
		} else if err == nil && kept.Value != s.vault.mark {
			err = ErrSecretKey
		}
		if err != nil {
			return err
		}
		var ends []models.WebhookEndpoint
		if err := tx.Where("secret NOT LIKE ? OR (old_secret <> '' AND old_secret NOT LIKE ?)", sealedPrefix+"%", sealedPrefix+"%").Find(&ends).Error; err != nil {
			return err
		}
		for i := range ends {
			e := &ends[i]
			if err := tx.Model(&models.WebhookEndpoint{}).Where("id = ?", e.ID).Updates(map[string]any{
				"secret": s.sealHook(e.ID, e.Secret), "old_secret": s.sealHook(e.ID, e.OldSecret),
			}).Error; err != nil {
				return err
			}
		}
		return nil
	})
}

func hookPurpose(id models.WebhookEndpointID) string { return "webhook " + id.String() }

// sealHook seals an endpoint's secret, once.
func (s *Service) sealHook(id models.WebhookEndpointID, secret string) string {
	if secret == "" || strings.HasPrefix(secret, sealedPrefix) {
		return secret
	}
	return s.Seal(hookPurpose(id), secret)
}

// openHook opens an endpoint's secrets, for signing or to show a new one.
func (s *Service) openHook(e *models.WebhookEndpoint) error {
	for _, secret := range []*string{&e.Secret, &e.OldSecret} {
		if !strings.HasPrefix(*secret, sealedPrefix) {
			continue // none, or one from before there was a key
		}
		plain, err := s.Open(hookPurpose(e.ID), *secret)
		if err != nil {
			return fmt.Errorf("the secret of %s: %w", e.ID, err)
		}
		*secret = plain
	}
	return nil
}
