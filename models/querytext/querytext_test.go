// Package querytext holds every query of the program against two rules, by its
// types: what GORM takes as SQL is a constant, or a piece that is listed here as
// made of constants; and no query takes its conditions from a struct, where a key
// that is half filled would reach a whole agency.
package querytext

import (
	"go/ast"
	"go/types"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/tools/go/packages"

	"refill/models/modelstest/source"
)

// sqlArgument is the place of the SQL among the arguments of a method of *gorm.DB.
var sqlArgument = map[string]int{
	"Where": 0, "Not": 0, "Or": 0, "Order": 0, "Select": 0, "Omit": 0, "Group": 0, "Having": 0, "Joins": 0, "InnerJoins": 0, "Table": 0, "Raw": 0,
	"Exec": 0, "Pluck": 0, "Distinct": 0, "First": 1, "Last": 1, "Take": 1, "Find": 1, "Delete": 1, "Update": 0, "UpdateColumn": 0,
}

// pieces are the expressions that become SQL without being constants, each made of
// constants in the function they stand in. Whoever adds one says what it is made of.
var pieces = map[string]string{
	"agency_list.go: read.sql": "a table of statements in the loop", "backlog.go: q.sql": "the same",
	"audit.go: query": "each caller's constant", "read.go: where": "the same", "locate.go: query": "the same", "lease.go: keys": "the same",
	"digest.go: table":                    "names the database gave",
	"fleet.go: sum(price, \"day_price\")": "a sum of a constant", "fleet.go: sum(price, \"week_price\")": "the same", "fleet.go: sum(price, \"month_price\")": "the same",
	"fleet.go: sum(amount, \"day_credits\")": "the same", "fleet.go: sum(amount, \"week_credits\")": "the same", "fleet.go: sum(amount, \"month_credits\")": "the same",
	"fleet_usage_read.go: part.table": "one of two tables", "fleet_usage_read.go: part.when": "its column",
	"fleet_usage_read.go: by": "columns of a grouping", "fleet_usage_read.go: told": "the same, and sums of counters",
	"fleet_usage_roll.go: columns": "names of counters", "fleet_usage_roll.go: sums()": "sums of counters",
	"history_acts.go: wallet": "which of two columns", "history_acts.go: otherSide": "the other", "history_acts.go: seq": "which of two columns",
	"history_acts.go: states": "a constant of each caller", "history_acts.go: column": "the same",
	"notice_read.go: compare": "one of two conditions", "notice_tell.go: compare": "one of two signs",
	"payments_desk.go: with": "places for 31 days", "payments_desk.go: sum(\"s.amount\")": "a sum of a constant", "payments_desk.go: sum(\"s.refunded\")": "the same",
	"payments_desk.go: sum(\"p.paid\")": "the same", "payments_desk.go: sum(\"p.refunded\")": "the same",
	"renewal.go: strings.Join(rows, \", \")": "places for values", "rollup.go: columns": "names of counters",
	"rollup.go: strings.Join(sum, \", \")": "sums of counters", "rollup.go: strings.Join(counterColumns(), \", \")": "names of counters", "rollup.go: sums()": "sums of counters",
	"sales.go: column": "a constant of each caller", "size.go: size": "one of two statements",
	"usage_read.go: table": "one of two tables",
	"usage_read.go: strings.Join(append([]string{\"day\"}, cols...), \", \")":                         "columns of a grouping",
	"usage_read.go: strings.Join(append([]string{\"day AS at\"}, append(cols, sums())...), \", \")":   "the same, and sums of counters",
	"usage_read.go: strings.Join(append([]string{at}, cols...), \", \")":                              "columns of a grouping",
	"usage_read.go: strings.Join(append([]string{at + \" AS at\"}, append(cols, sums())...), \", \")": "the same, and sums of counters",
}

// rows are models that come in a variable, an empty one of each caller.
var rows = map[string]bool{"lease.go: row": true}

func TestQueriesAreMadeOfConstants(t *testing.T) {
	t.Parallel()
	checked := 0
	used := map[string]bool{}
	eachCall(t, func(p *packages.Package, call *ast.CallExpr, method string) {
		at := p.Fset.Position(call.Pos())
		where := at.Filename[strings.LastIndex(at.Filename, "/")+1:]
		switch method {
		case "Model", "Delete":
			if !empty(call.Args[0]) && !rows[where+": "+text(t, p, call.Args[0])] {
				t.Errorf("%s: %s(%s): its fields become conditions, half a key reaches a whole agency; pass an empty one and name the key in Where", at, method, text(t, p, call.Args[0]))
			}
		}
		n, ok := sqlArgument[method]
		if !ok || len(call.Args) <= n {
			return
		}
		checked++
		arg := call.Args[n]
		if kind, ok := p.TypesInfo.TypeOf(arg).Underlying().(*types.Basic); !ok || kind.Kind() != types.String && kind.Kind() != types.UntypedString {
			if method == "Where" && strings.Contains(p.TypesInfo.TypeOf(arg).String(), "gorm.DB") || strings.HasPrefix(p.TypesInfo.TypeOf(arg).String(), "gorm.io/gorm/clause.") {
				return // conditions in brackets, which were checked where they are made
			}
			if _, slice := p.TypesInfo.TypeOf(arg).Underlying().(*types.Slice); slice && method == "Select" {
				return // columns by name, which GORM quotes
			}
			t.Errorf("%s: %s takes %s: conditions are text with places for values", at, method, p.TypesInfo.TypeOf(arg))
			return
		}
		for _, piece := range variable(p, arg) {
			key := where + ": " + text(t, p, piece)
			used[key] = true
			if pieces[key] == "" {
				t.Errorf("%s: %s is given %q, which is no constant; bind it as a value, or list it with what it is made of", at, method, key)
			}
		}
	})
	require.Greater(t, checked, 500, "the walk finds the queries")
	for key := range pieces {
		require.True(t, used[key], "%s is listed and not there", key)
	}
}

// eachCall visits every call of a method of *gorm.DB in the program.
func eachCall(t *testing.T, f func(p *packages.Package, call *ast.CallExpr, method string)) {
	t.Helper()
	for _, p := range source.Load(t, "refill", "refill/billing/...", "refill/handlers/...", "refill/models/...") {
		for _, file := range p.Syntax {
			ast.Inspect(file, func(n ast.Node) bool {
				call, ok := n.(*ast.CallExpr)
				if !ok {
					return true
				}
				method, ok := call.Fun.(*ast.SelectorExpr)
				if ok && isGorm(p.TypesInfo.TypeOf(method.X)) {
					f(p, call, method.Sel.Name)
				}
				return true
			})
		}
	}
}

func isGorm(t types.Type) bool {
	if pointer, ok := t.(*types.Pointer); ok {
		t = pointer.Elem()
	}
	named, ok := t.(*types.Named)
	return ok && named.Obj().Name() == "DB" && named.Obj().Pkg().Path() == "gorm.io/gorm"
}

// variable are the parts of an expression that are not known when compiling.
func variable(p *packages.Package, e ast.Expr) []ast.Expr {
	if p.TypesInfo.Types[e].Value != nil {
		return nil
	}
	switch e := e.(type) {
	case *ast.ParenExpr:
		return variable(p, e.X)
	case *ast.BinaryExpr:
		return append(variable(p, e.X), variable(p, e.Y)...)
	}
	return []ast.Expr{e}
}

// empty tells a value without conditions: &T{}, new(T), a slice to be filled.
func empty(e ast.Expr) bool {
	switch e := e.(type) {
	case *ast.UnaryExpr:
		lit, ok := e.X.(*ast.CompositeLit)
		return ok && len(lit.Elts) == 0
	case *ast.CallExpr:
		name, ok := e.Fun.(*ast.Ident)
		return ok && name.Name == "new"
	}
	return false
}

// text is an expression as it stands in its file, on one line.
func text(t *testing.T, p *packages.Package, e ast.Expr) string {
	t.Helper()
	from, to := p.Fset.Position(e.Pos()), p.Fset.Position(e.End())
	all, err := os.ReadFile(from.Filename)
	require.NoError(t, err)
	return strings.Join(strings.Fields(string(all[from.Offset:to.Offset])), " ")
}
