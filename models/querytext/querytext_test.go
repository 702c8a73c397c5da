// Package querytext holds every query of the program against two rules, by its
// types: what GORM takes as SQL is a constant, or a piece that is listed here as
// made of constants; and no query takes its conditions from a struct, where a key
// that is half filled would reach a whole agency.
package querytext

import (
	"fmt"
	"go/ast"
	"go/token"
	"go/types"
	"os"
	"path"
	"path/filepath"
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

// pieces are the expressions that become SQL without being constants, by the file
// they stand in, each made of constants there. Whoever adds one says what it is made
// of.
var pieces = map[string]string{
	"billing/agency_list.go: read.sql": "a table of statements in the loop", "billing/backlog.go: q.sql": "the same",
	"billing/ledger/audit.go: query": "each caller's constant", "billing/ledger/read.go: where": "the same", "billing/locate.go: query": "the same", "billing/lease.go: keys": "the same",
	"models/modelstest/digest.go: table": "names the database gave", "models/schema_gaps.go: query": "a table of constants",
	"billing/fleet.go: sum(price, \"day_price\")": "a sum of a constant", "billing/fleet.go: sum(price, \"week_price\")": "the same", "billing/fleet.go: sum(price, \"month_price\")": "the same",
	"billing/fleet.go: sum(amount, \"day_credits\")": "the same", "billing/fleet.go: sum(amount, \"week_credits\")": "the same", "billing/fleet.go: sum(amount, \"month_credits\")": "the same",
	"billing/fleet_usage_read.go: part.table": "one of two tables", "billing/fleet_usage_read.go: part.when": "its column",
	"billing/fleet_usage_read.go: by": "columns of a grouping", "billing/fleet_usage_read.go: told": "the same, and sums of counters",
	"billing/fleet_usage_roll.go: columns": "names of counters", "billing/fleet_usage_roll.go: sums()": "sums of counters",
	"billing/history_acts.go: wallet": "which of two columns", "billing/history_acts.go: otherSide": "the other", "billing/history_acts.go: seq": "which of two columns",
	"billing/history_acts.go: states": "a constant of each caller", "billing/history_acts.go: column": "the same",
	"billing/notice_read.go: compare": "one of two conditions", "billing/notice_tell.go: compare": "one of two signs",
	"billing/payments_desk.go: with": "places for 31 days", "billing/payments_desk.go: sum(\"s.amount\")": "a sum of a constant", "billing/payments_desk.go: sum(\"s.refunded\")": "the same",
	"billing/payments_desk.go: sum(\"p.paid\")": "the same", "billing/payments_desk.go: sum(\"p.refunded\")": "the same",
	"billing/renewal.go: strings.Join(rows, \", \")": "places for values", "billing/rollup.go: columns": "names of counters",
	"billing/rollup.go: strings.Join(sum, \", \")": "sums of counters", "billing/rollup.go: strings.Join(counterColumns(), \", \")": "names of counters", "billing/rollup.go: sums()": "sums of counters",
	"billing/sales.go: column": "a constant of each caller", "billing/size.go: size": "one of two statements",
	"billing/usage_read.go: table": "one of two tables",
	"billing/usage_read.go: strings.Join(append([]string{\"day\"}, cols...), \", \")":                         "columns of a grouping",
	"billing/usage_read.go: strings.Join(append([]string{\"day AS at\"}, append(cols, sums())...), \", \")":   "the same, and sums of counters",
	"billing/usage_read.go: strings.Join(append([]string{at}, cols...), \", \")":                              "columns of a grouping",
	"billing/usage_read.go: strings.Join(append([]string{at + \" AS at\"}, append(cols, sums())...), \", \")": "the same, and sums of counters",
}

// rows are models that come in a variable, an empty one of each caller.
var rows = map[string]bool{"billing/lease.go: row": true}

func TestQueriesAreMadeOfConstants(t *testing.T) {
	t.Parallel()
	var l look
	for _, p := range source.Load(t, "refill", "refill/billing/...", "refill/handlers/...", "refill/models/...") {
		l.at(t, p)
	}
	for _, w := range l.wrong {
		t.Errorf("%s: %s", w.at, w.why)
	}
	require.Greater(t, l.checked, 500, "the walk finds the queries")
	for key := range pieces {
		require.True(t, l.used[key], "%s is listed and not there", key)
	}
}

// The rules bite: every line of a package that breaks them on purpose is found, by
// the rule that stands behind it, and no other.
func TestPlantedQueriesAreFound(t *testing.T) {
	t.Parallel()
	const planted = "testdata/planted/planted.go"
	var l look
	for _, p := range source.Load(t, "refill/models/querytext/testdata/planted") {
		l.at(t, p)
	}
	text, err := os.ReadFile(planted)
	require.NoError(t, err)
	want, got := map[int]string{}, map[int]string{}
	for i, line := range strings.Split(string(text), "\n") {
		if _, rule, marked := strings.Cut(line, "// bad: "); marked {
			want[i+1] = rule
		}
	}
	for _, w := range l.wrong {
		got[w.at.Line] = w.why
	}
	require.GreaterOrEqual(t, len(want), 10)
	for line, rule := range want {
		require.Contains(t, got[line], rule, "%s:%d", planted, line)
		delete(got, line)
	}
	require.Empty(t, got)
}

// look is a walk along the queries of packages.
type look struct {
	wrong   []wrong
	used    map[string]bool // pieces that were met
	checked int
}

// wrong is a query that breaks a rule.
type wrong struct {
	at  token.Position
	why string
}

func (l *look) found(at token.Position, format string, args ...any) {
	l.wrong = append(l.wrong, wrong{at, fmt.Sprintf(format, args...)})
}

// at looks at a package: at the calls of *gorm.DB's methods, and at pieces of SQL
// that are made to be given to one.
func (l *look) at(t *testing.T, p *packages.Package) {
	t.Helper()
	for _, file := range p.Syntax {
		ast.Inspect(file, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.CallExpr:
				selected, ok := n.Fun.(*ast.SelectorExpr)
				switch {
				case !ok:
				case isGorm(p.TypesInfo.TypeOf(selected.X)):
					l.call(t, p, n, selected.Sel.Name)
				case isNamed(p.TypesInfo.Uses[selected.Sel], "gorm.io/gorm", "Expr"):
					l.sql(t, p, n.Args[0], "gorm.Expr")
				}
			case *ast.CompositeLit:
				l.literal(t, p, n)
			}
			return true
		})
	}
}

// call looks at the call of a method.
func (l *look) call(t *testing.T, p *packages.Package, call *ast.CallExpr, method string) {
	t.Helper()
	at := p.Fset.Position(call.Pos())
	switch method {
	case "Model", "Delete":
		if !empty(call.Args[0]) && !rows[key(t, p, call.Args[0])] {
			l.found(at, "%s(%s): its fields become conditions, half a key reaches a whole agency; pass an empty one and name the key in Where", method, text(t, p, call.Args[0]))
		}
	}
	n, ok := sqlArgument[method]
	if !ok || len(call.Args) <= n {
		return
	}
	arg := call.Args[n]
	if kind, ok := p.TypesInfo.TypeOf(arg).Underlying().(*types.Basic); !ok || kind.Kind() != types.String && kind.Kind() != types.UntypedString {
		if method == "Where" && strings.Contains(p.TypesInfo.TypeOf(arg).String(), "gorm.DB") || strings.HasPrefix(p.TypesInfo.TypeOf(arg).String(), "gorm.io/gorm/clause.") {
			return // conditions in brackets, which were checked where they are made
		}
		if _, slice := p.TypesInfo.TypeOf(arg).Underlying().(*types.Slice); slice && method == "Select" {
			return // columns by name, which GORM quotes
		}
		l.found(at, "%s takes %s: conditions are text with places for values", method, p.TypesInfo.TypeOf(arg))
		return
	}
	l.sql(t, p, arg, method)
}

// literal looks at a piece of SQL that is written as a value of GORM's own types.
func (l *look) literal(t *testing.T, p *packages.Package, lit *ast.CompositeLit) {
	t.Helper()
	named, ok := p.TypesInfo.TypeOf(lit).(*types.Named)
	if !ok || !isNamed(named.Obj(), "gorm.io/gorm/clause", "Expr") && !isNamed(named.Obj(), "gorm.io/gorm/clause", "NamedExpr") {
		return
	}
	for i, e := range lit.Elts {
		pair, keyed := e.(*ast.KeyValueExpr)
		switch {
		case !keyed && i == 0:
			l.sql(t, p, e, named.Obj().Name())
		case keyed && text(t, p, pair.Key) == "SQL":
			l.sql(t, p, pair.Value, named.Obj().Name())
		}
	}
}

// sql looks at what becomes SQL.
func (l *look) sql(t *testing.T, p *packages.Package, arg ast.Expr, taker string) {
	t.Helper()
	l.checked++
	for _, piece := range variable(p, arg) {
		key := key(t, p, piece)
		if l.used == nil {
			l.used = map[string]bool{}
		}
		l.used[key] = true
		if pieces[key] == "" {
			l.found(p.Fset.Position(arg.Pos()), "%s is given %q, which is no constant; bind it as a value, or list it with what it is made of", taker, key)
		}
	}
}

// key names an expression and the file of the module it stands in.
func key(t *testing.T, p *packages.Package, e ast.Expr) string {
	t.Helper()
	return path.Join(strings.TrimPrefix(p.PkgPath, "refill/"), filepath.Base(p.Fset.Position(e.Pos()).Filename)) + ": " + text(t, p, e)
}

func isNamed(o types.Object, pkg, name string) bool {
	return o != nil && o.Pkg() != nil && o.Pkg().Path() == pkg && o.Name() == name
}

func isGorm(t types.Type) bool {
	if pointer, ok := t.(*types.Pointer); ok {
		t = pointer.Elem()
	}
	named, ok := t.(*types.Named)
	return ok && isNamed(named.Obj(), "gorm.io/gorm", "DB")
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
