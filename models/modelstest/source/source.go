// Package source gives tests the program's own text with its types, for rules that
// no linter has.
package source

import (
	"go/token"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/tools/go/packages"
)

// Load reads packages of this module, without their tests, by patterns such as
// refill/billing/...; one that does not compile fails the test.
func Load(t testing.TB, patterns ...string) []*packages.Package {
	t.Helper()
	all, err := packages.Load(&packages.Config{
		Mode:    packages.NeedName | packages.NeedFiles | packages.NeedSyntax | packages.NeedTypes | packages.NeedTypesInfo | packages.NeedImports | packages.NeedExportFile,
		Context: t.Context(), Fset: token.NewFileSet(),
	}, patterns...)
	require.NoError(t, err)
	for _, p := range all {
		require.Empty(t, p.Errors, p.PkgPath)
	}
	return all
}
