package models

import (
	"crypto/sha256"
	"encoding/hex"
	"io/fs"
)

// SchemaFingerprint identifies a dialect's migrations by their names and
// contents: two programs with the same fingerprint make the same schema.
func SchemaFingerprint(d Dialect) (string, error) {
	sum := sha256.New()
	err := fs.WalkDir(migrations, "migrations/"+string(d), func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		text, err := migrations.ReadFile(path)
		if err != nil {
			return err
		}
		sum.Write([]byte(path + "\x00"))
		sum.Write(text)
		sum.Write([]byte{0})
		return nil
	})
	return hex.EncodeToString(sum.Sum(nil)), err
}
