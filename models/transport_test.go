package models

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// A server on another machine is spoken to where its certificate is looked at, or
// where somebody says that the network between is theirs.
func TestAServerFarAwayShowsItsCertificate(t *testing.T) {
	t.Parallel()
	root := authority(t)
	for _, c := range []struct {
		url  string
		near bool
	}{
		{"postgres://refill@127.0.0.1/refill?sslmode=disable", true},
		{"postgres://refill@[::1]/refill", true},
		{"postgres://refill@localhost/refill?sslmode=disable", true},
		{"postgres:///refill?host=/var/run/postgresql", true},
		{"host=/var/run/postgresql user=refill sslmode=disable", true},
		{"postgres://refill@db.example:5432/refill?sslmode=verify-full", true},
		{"postgres://refill@10.0.0.5/refill?sslmode=verify-full", true},
		{"postgres://refill@db.example/refill?sslmode=verify-ca&sslrootcert=" + root, true},
		{"postgres://refill@db.example/refill?sslmode=require&sslrootcert=" + root, true}, // which is verify-ca, as in libpq
		{"postgres://refill@127.0.0.1,db.example/refill?sslmode=verify-full", true},
		{"postgres://refill@db.example/refill", false},
		{"postgres://refill@db.example/refill?sslmode=disable", false},
		{"postgres://refill@db.example/refill?sslmode=allow", false},
		{"postgres://refill@db.example/refill?sslmode=prefer", false},
		{"postgres://refill@db.example/refill?sslmode=require", false},
		{"postgres://refill@10.0.0.5/refill?sslmode=require", false},
		{"postgres://refill@localhost.db.example/refill", false},
		{"postgres://refill@127.0.0.1,db.example/refill?sslmode=disable", false},
		{"host=db.example user=refill password=hunter2 sslmode=disable", false},
	} {
		cfg, err := Options{DatabaseURL: c.url}.poolConfig()
		if c.near {
			require.NoError(t, err, c.url)
			require.NotNil(t, cfg)
			continue
		}
		require.ErrorContains(t, err, "sslmode=verify-full", c.url)
		require.ErrorContains(t, err, "REFILL_TRUST_DATABASE_NETWORK", c.url)
		require.NotContains(t, err.Error(), "hunter2")
		_, err = Options{DatabaseURL: c.url, TrustNetwork: true}.poolConfig()
		require.NoError(t, err, c.url)

		// A backup and a restore speak with it too.
		file := filepath.Join(t.TempDir(), "backup")
		_, err = Backup(t.Context(), BackupOptions{Options: Options{DatabaseURL: c.url}}, file)
		require.ErrorContains(t, err, "sslmode=verify-full", c.url)
		require.NoFileExists(t, file)
		require.NoError(t, os.WriteFile(file, []byte(dumpMagic), 0o600))
		_, err = Restore(t.Context(), BackupOptions{Options: Options{DatabaseURL: c.url}}, file)
		require.ErrorContains(t, err, "sslmode=verify-full", c.url)
	}
}

// authority writes a certificate that signs itself, and gives the file.
func authority(t *testing.T) string {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	c := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"}, NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, c, c, &key.PublicKey, key)
	require.NoError(t, err)
	file := filepath.Join(t.TempDir(), "root.pem")
	require.NoError(t, os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600))
	return file
}
