package api_test

import (
	"go/ast"
	"go/types"
	"maps"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"refill/billing/problem"
	"refill/handlers/status"
	"refill/models/modelstest/source"
)

// kinds are problem's by their names in the code.
func kinds() map[string]problem.Kind {
	return map[string]problem.Kind{
		"Invalid": problem.Invalid, "Malformed": problem.Malformed, "Unauthorized": problem.Unauthorized, "Insufficient": problem.Insufficient,
		"Forbidden": problem.Forbidden, "NotFound": problem.NotFound, "Conflict": problem.Conflict, "TooMany": problem.TooMany, "Unavailable": problem.Unavailable,
	}
}

// The page's table has exactly the codes that a call of /v1 can meet, each at
// its status.
func TestTableOfCodesIsTheCode(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../../docs/api.md")
	require.NoError(t, err)
	_, table, found := strings.Cut(string(page), "| Status | Codes |\n|---|---|\n")
	require.True(t, found)
	table, _, _ = strings.Cut(table, "\n\n")
	var documented []string
	for row := range strings.SplitSeq(table, "\n") {
		cells := strings.Split(row, "|")
		require.Len(t, cells, 4, row)
		aside := regexp.MustCompile(`\([^)]*\)`).ReplaceAllString(cells[2], "")
		for _, code := range regexp.MustCompile("`([a-z_]+)`").FindAllStringSubmatch(aside, -1) {
			documented = append(documented, strings.TrimSpace(cells[1])[:3]+" "+code[1])
		}
	}
	slices.Sort(documented)
	require.Equal(t, reachableCodes(t), documented)
	statusOf := map[string]string{}
	for _, row := range documented {
		number, code, _ := strings.Cut(row, " ")
		require.Empty(t, statusOf[code], "%s has two statuses", code)
		statusOf[code] = number
	}
}

// reachableCodes are "status code" of every problem made in a function that the
// API's functions name, or that those name: more than can happen rather than less.
func reachableCodes(t *testing.T) []string {
	t.Helper()
	type function struct {
		*ast.FuncDecl
		uses map[*ast.Ident]types.Object
	}
	named := map[string][]function{} // by full name; methods by their bare one too, for interfaces
	var todo []function
	for _, p := range source.Load(t, "refill/handlers/api", "refill/billing", "refill/billing/ledger", "refill/billing/problem") {
		for _, file := range p.Syntax {
			for _, decl := range file.Decls {
				d, ok := decl.(*ast.FuncDecl)
				if !ok {
					continue
				}
				f := function{d, p.TypesInfo.Uses}
				full := p.TypesInfo.Defs[d.Name].(*types.Func).FullName()
				named[full] = append(named[full], f)
				if d.Recv != nil {
					named[d.Name.Name] = append(named[d.Name.Name], f)
				}
				if p.PkgPath == "refill/handlers/api" || d.Name.Name == "serve" { // and the lanes, which serve what calls queue
					todo = append(todo, f)
				}
			}
		}
	}
	numbers := map[string]string{}
	for n := 400; n < 600; n++ {
		numbers["Status"+strings.ReplaceAll(http.StatusText(n), " ", "")] = strconv.Itoa(n)
	}
	// What a price refuses has its code from ratecard.
	codes := map[string]bool{"422 unknown_action": true, "422 unknown_model": true, "422 too_large": true}
	seen := map[string]bool{}
	for len(todo) > 0 {
		f := todo[0]
		todo = todo[1:]
		ast.Inspect(f.Body, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.Ident:
				used, ok := f.uses[n].(*types.Func)
				if !ok {
					return true
				}
				name := used.Origin().FullName()
				if recv := used.Signature().Recv(); recv != nil && types.IsInterface(recv.Type()) {
					name = n.Name // whoever fills it
				}
				if !seen[name] {
					seen[name] = true
					todo = append(todo, named[name]...)
				}
			case *ast.CallExpr:
				if len(n.Args) > 2 && nameOf(n.Fun) == "New" {
					if kind, ok := kinds()[nameOf(n.Args[0])]; ok && literal(n.Args[1]) != "" {
						codes[strconv.Itoa(status.Of(kind))+" "+literal(n.Args[1])] = true
					}
				}
			case *ast.CompositeLit: // document{Status: http.StatusX, Code: "x"}
				var number, code string
				for _, e := range n.Elts {
					if kv, ok := e.(*ast.KeyValueExpr); ok && nameOf(kv.Key) == "Status" {
						number = numbers[nameOf(kv.Value)]
					} else if ok && nameOf(kv.Key) == "Code" {
						code = literal(kv.Value)
					}
				}
				if number != "" && code != "" {
					codes[number+" "+code] = true
				}
			case *ast.CaseClause: // case http.StatusX: d.Code, d.Detail = "x", …
				if len(n.List) == 1 && len(n.Body) == 1 {
					if set, ok := n.Body[0].(*ast.AssignStmt); ok && nameOf(set.Lhs[0]) == "Code" {
						codes[numbers[nameOf(n.List[0])]+" "+literal(set.Rhs[0])] = true
					}
				}
			}
			return true
		})
	}
	return slices.Sorted(maps.Keys(codes))
}

func nameOf(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.Ident:
		return e.Name
	case *ast.SelectorExpr:
		return e.Sel.Name
	}
	return ""
}

func literal(e ast.Expr) string {
	lit, ok := e.(*ast.BasicLit)
	if !ok {
		return ""
	}
	s, err := strconv.Unquote(lit.Value)
	if err != nil {
		return ""
	}
	return s
}
